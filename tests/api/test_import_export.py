"""trestle import and trestle export: through a running server, and straight into the database."""

import csv
import io
import json
import os
import re
import subprocess
import threading
import time

import pytest
from hypothesis import given, settings, strategies

import harness
from harness import ADMIN_KEY, HOST, PROGRAM, ROOT, Server, free_port, program
from streams import Cutter

THINGS = """
required: [name]
properties:
  name: {type: string, minLength: 2, maxLength: 50}
  version: {type: string, maxLength: 20}
  amount: {type: integer}
  ratio: {type: number}
  price: {type: string, format: decimal, scale: 2}
  open: {type: boolean}
  day: {type: string, format: date}
  at: {type: string, format: date-time}
  link: {type: string, format: uri, maxLength: 100}
  tags: {type: array, items: {type: string}}
  extra: {type: object}
  mixed: {type: object, properties: {either: {type: [string, integer]}}}
  store:
    type: object
    properties:
      city: {type: string}
      spot: {type: object, properties: {lat: {type: number}, long: {type: number}}}
  uses: {type: integer, default: 3, readOnly: true}
unique: [[name, version]]
"""

CODES = """
key: code
properties:
  code: {type: string, maxLength: 20}
  amount: {type: integer}
  label: {type: string, maxLength: 20}
unique: [[label]]
"""

PLAIN = """
access: {read: public, write: public}
properties:
  text: {type: string}
"""

NOTES = """
key: {digest: sha256(text)}
actions: [list, create, read]
required: [text]
properties:
  text: {type: string, maxLength: 100}
"""

DEFINITIONS = {"things": THINGS, "codes": CODES, "plain": PLAIN, "notes": NOTES}

RECORDS = [
    {"name": "first", "version": "1", "amount": 9223372036854775807, "ratio": 0.1,
     "price": "12.50", "open": True, "day": "2024-02-29", "at": "2024-02-29T12:00:00.123Z",
     "link": "https://example.org/a?b=c", "tags": ["x", "y, z", ""],
     "extra": {"any": [1, None, {"deep": "ü"}]}, "mixed": {"either": "5"},
     "store": {"city": "Köln, \"Altstadt\"\nam Rhein", "spot": {"lat": 50.9, "long": 6.9}}},
    {"name": "second", "version": "", "amount": -1, "ratio": 1e300, "open": False, "tags": [],
     "extra": {}, "mixed": {"either": 5}, "store": {"city": ""}},
    {"name": "\U0001F600 null", "version": "null"},
    {"name": "  blanks  ", "version": "1.0", "ratio": -0.5},
]

SUMMARY = re.compile(r"^\w+: (\d+) created, (\d+) replaced, (\d+) skipped, (\d+) rejected"
                     r"(?:, (\d+) not stored)?\.$", re.MULTILINE)


class Place:
    """Where records go: a running server, or a database on which none runs."""

    def __init__(self, server, remote):
        self.server = server
        self.remote = remote

    def run(self, *arguments, stdin=None, check=None, **settings):
        if not self.remote:
            arguments = (*arguments, "--direct")
        return self.server.program(*arguments, stdin=stdin, check=check, **settings)

    def load(self, resource, content, *arguments, form="ndjson", check=0, **settings):
        """Imports and gives the numbers of the summary: created, replaced, skipped, rejected."""
        if not isinstance(content, bytes):
            content = b"".join(json.dumps(each).encode() + b"\n" for each in content)
        said = self.run("import", resource, "-", "--format", form, *arguments, stdin=content,
                        check=check, **settings)
        found = SUMMARY.search(said.stdout)
        assert found, said.stdout + said.stderr
        assert ("through http" in said.stderr) == self.remote
        self.said = said
        self.not_stored = int(found.group(5) or 0)
        return tuple(int(each) for each in found.groups()[:4])

    def dump(self, resource, form="ndjson"):
        said = self.run("export", resource, "--format", form, check=0).stdout
        return [json.loads(line) for line in said.split("\n")[:-1]] if form == "ndjson" else said


@pytest.fixture(params=["server", "database"])
def place(request):
    server = Server(DEFINITIONS)
    if request.param == "server":
        with server:
            yield Place(server, True)
    else:
        server.settings["listen"] = f"{HOST}:{free_port()}"
        server.program("migrate", check=0)
        yield Place(server, False)
        server.close()


def shown(record, **also):
    """The record as it is shown, without its key."""
    names = re.findall(r"^  (\w+):", THINGS.split("properties:", 1)[1], re.MULTILINE)
    return {**{name: None for name in names}, "uses": 3, **record, **also}


def without_key(records, key="id"):
    return [{name: value for name, value in record.items() if name != key} for record in records]


def by_name(records):
    return sorted(records, key=lambda record: (record["name"], record["version"] or ""))


EXPECTED = by_name([shown({**RECORDS[0]}), shown(RECORDS[1]), shown(RECORDS[2]), shown(RECORDS[3])])


# ---- formats


@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_json_goes_in_and_comes_out(place, form):
    content = (json.dumps(RECORDS, indent=1) if form == "json" else
               "\n".join(json.dumps(each, ensure_ascii=False) for each in RECORDS)).encode()
    assert place.load("things", content, form=form) == (4, 0, 0, 0)
    records = place.dump("things")
    assert by_name(without_key(records)) == EXPECTED
    assert sorted(record["id"] for record in records) == [1, 2, 3, 4]
    assert json.loads(place.dump("things", "json")) == records


def test_csv_goes_in_and_comes_out(place):
    assert place.load("things", RECORDS) == (4, 0, 0, 0)
    text = place.dump("things", "csv")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0][:3] == ["id", "name", "version"]
    assert "store.spot.lat" in rows[0] and "mixed.either" in rows[0]
    assert all(len(row) == len(rows[0]) for row in rows) and len(rows) == 5
    place.run("export", "things", "all.ndjson", check=0)
    empty(place)
    assert place.load("things", text.encode(), form="csv") == (4, 0, 0, 0)
    # An object that is empty is as good as none in a CSV.
    expected = [dict(record) for record in EXPECTED]
    assert by_name(without_key(place.dump("things"))) == expected


def empty(place):
    """Deletes all things."""
    if place.remote:
        for record in place.dump("things"):
            assert place.server.admin.delete(f"/things/{record['id']}").status_code == 204
    else:
        place.server.store.empty(place.server.folder)


def test_a_foreign_csv(place):
    content = ("\ufeffversion,name,amount,open,store.city,ratio,tags\r\n"
               "1,aa,1,TRUE,\"x \"\"y\"\"\r\nz\",1,\"[\"\"t\"\"]\"\n"
               ",bb,,false,,,\r\n"
               "\"\",cc,\"7\",,,2.5,\r\n").encode()
    assert place.load("things", content, form="csv") == (3, 0, 0, 0)
    records = by_name(without_key(place.dump("things")))
    assert records == [
        shown({"name": "aa", "version": "1", "amount": 1, "open": True, "ratio": 1.0,
               "store": {"city": "x \"y\"\r\nz"}, "tags": ["t"]}),
        shown({"name": "bb", "open": False}),
        shown({"name": "cc", "version": "", "amount": 7, "ratio": 2.5}),
    ]


def test_a_header_that_does_not_fit(place):
    said = place.run("import", "things", "-", "--format", "csv", stdin=b"nme,version\na,b\n", check=1)
    assert 'column "nme"; perhaps name is meant' in said.stderr


def test_the_name_of_a_file_tells_its_format(place):
    folder = place.server.folder
    for name, content in {
            "a.json": '[{"name": "a1"}]', "a.ndjson": '{"name": "a2"}', "a.jsonl": '{"name": "a3"}',
            "a.CSV": "name\na4\n"}.items():
        (folder / name).write_text(content)
        place.run("import", "things", name, check=0)
    for name in ("out.json", "out.ndjson", "out.csv"):
        place.run("export", "things", name, check=0)
    assert len(json.loads((folder / "out.json").read_text())) == 4
    assert len((folder / "out.ndjson").read_text().splitlines()) == 4
    assert (folder / "out.csv").read_text().startswith("id,name,")
    assert sorted(path.name for path in folder.glob("out*")) == ["out.csv", "out.json", "out.ndjson"]


def test_nothing_is_no_fault(place):
    assert place.load("things", b"") == (0, 0, 0, 0)
    assert place.load("things", b"[]", form="json") == (0, 0, 0, 0)
    assert place.dump("things") == []
    assert place.dump("things", "json") == "[]\n"
    assert len(place.dump("things", "csv").splitlines()) == 1


@pytest.mark.parametrize("content, created, says", [
    (b"", 0, "there is nothing in it"),
    (b'{"name":"aa"}', 0, "--format ndjson"),
    (b'[{"name":"aa"}', 1, "the file ends before the array does"),
    (b'[{"name":"aa"} {"name":"bb"}]', 1, "',' or ']' is expected"),
])
def test_what_is_no_array(place, content, created, says):
    assert place.load("things", content, form="json", check=1) == (created, 0, 0, 0)
    assert says in place.said.stderr
    assert len(place.dump("things")) == created


# ---- rejects


BAD = b"""{"name": "x", "amount": "many"}

{"name": "ok1"}
{"name": "no end
[{"name": "ok2"}]
{"name": "ok3", "colour": "red"}
{"name": "ok4", "day": "2023-02-29"}
{"name": "ok5", "name": "ok6"}
"""


def rejects(text):
    return {int(number): reason for number, reason in
            re.findall(r"^standard input:(\d+): (.*)$", text, re.MULTILINE)}


def check_bad(found):
    assert sorted(found) == [1, 4, 5, 6, 7, 8]
    assert "/name: " in found[1] and "/amount: " in found[1]
    assert "a record must be an object" in found[5]
    assert "/colour: " in found[6]
    assert "/day: " in found[7]
    assert "twice" in found[8]


def test_rejects_are_listed_with_line_and_reason(place):
    assert place.load("things", BAD, check=1) == (1, 0, 0, 6)
    check_bad(rejects(place.said.stderr))
    assert [record["name"] for record in place.dump("things")] == ["ok1"]


def test_rejects_may_go_to_a_file(place):
    assert place.load("things", BAD, "--rejects", "rejects.txt", check=1) == (1, 0, 0, 6)
    assert rejects(place.said.stderr) == {}
    check_bad(rejects((place.server.folder / "rejects.txt").read_text()))


def test_a_record_that_is_too_large(place):
    content = [{"name": "fits"}, {"name": "large", "extra": {"x": "y" * 5000}}, {"name": "fits too"}]
    assert place.load("things", content, check=1, max_body="4KiB") == (2, 0, 0, 1)
    assert list(rejects(place.said.stderr)) == [2]


def test_lines_of_a_csv(place):
    content = b'name,version\naa,"1\n2"\n\nx,1\nbb\ncc,"3"x\ndd,4\n'
    assert place.load("things", content, form="csv", check=1) == (2, 0, 0, 3)
    assert sorted(rejects(place.said.stderr)) == [5, 6, 7]


# ---- conflicts


def test_a_conflict_stops(place):
    records = [{"name": f"n{i}", "version": "1", "amount": i} for i in range(3000)]
    assert place.load("things", [records[1000]]) == (1, 0, 0, 0)
    created, replaced, skipped, rejected = place.load("things", records, check=1)
    assert (replaced, skipped, rejected) == (0, 0, 0)
    assert 900 <= created < 3000
    assert list(rejects(place.said.stderr)) == [1001]
    assert "--on-conflict skip" in place.said.stderr
    assert place.load("things", records, "--on-conflict", "skip") == (2999 - created, 0, created + 1, 0)
    assert len(place.dump("things")) == 3000


def test_conflicts_may_be_skipped(place):
    assert place.load("things", [{"name": "aa", "version": "1", "amount": 1}]) == (1, 0, 0, 0)
    content = [{"name": "aa", "version": "1", "amount": 2}, {"name": "bb", "version": "1", "amount": 3},
               {"name": "bb", "version": "1", "amount": 4}, {"name": "bb", "amount": 5},
               {"name": "bb", "amount": 6}]
    assert place.load("things", content, "--on-conflict", "skip") == (3, 0, 2, 0)
    assert sorted(record["amount"] for record in place.dump("things")) == [1, 3, 5, 6]


def test_conflicts_may_replace(place):
    assert place.load("things", [{"name": "aa", "version": "1", "amount": 1, "open": True}]) \
        == (1, 0, 0, 0)
    before = place.dump("things")[0]
    content = [{"name": "aa", "version": "1", "amount": 2}, {"name": "bb", "version": "1", "amount": 3},
               {"name": "bb", "version": "1", "amount": 4}, {"name": "aa", "version": "1", "amount": 5}]
    assert place.load("things", content, "--on-conflict", "replace") == (1, 3, 0, 0)
    records = place.dump("things")
    assert [(record["name"], record["amount"], record["open"]) for record in records] \
        == [("aa", 5, None), ("bb", 4, None)]
    assert records[0]["id"] == before["id"] and records[0]["uses"] == 3


def test_the_last_of_the_same_counts_when_replacing(place):
    content = [{"name": f"n{i % 7}", "version": "1", "amount": i} for i in range(300)]
    assert place.load("things", content, "--on-conflict", "replace") == (7, 293, 0, 0)
    assert sorted(record["amount"] for record in place.dump("things")) == list(range(293, 300))


def test_the_first_of_the_same_counts_when_skipping(place):
    content = [{"name": f"n{i % 7}", "version": "1", "amount": i} for i in range(300)]
    assert place.load("things", content, "--on-conflict", "skip") == (7, 0, 293, 0)
    assert sorted(record["amount"] for record in place.dump("things")) == list(range(7))


def test_many_conflicts_among_many(place):
    some = [{"name": f"n{i}", "version": "1", "amount": 0} for i in range(0, 2000, 3)]
    assert place.load("things", some) == (len(some), 0, 0, 0)
    every = [{"name": f"n{i}", "version": "1", "amount": 1} for i in range(2000)]
    assert place.load("things", every, "--on-conflict", "skip") == (2000 - len(some), 0, len(some), 0)
    assert place.load("things", every, "--on-conflict", "replace") == (0, 2000, 0, 0)
    assert {record["amount"] for record in place.dump("things")} == {1}


def test_keys_that_clients_choose(place):
    content = [{"code": "a/b ü", "amount": 1, "label": "x"}, {"code": "b", "amount": 2}]
    assert place.load("codes", content) == (2, 0, 0, 0)
    assert place.load("codes", content, "--on-conflict", "skip") == (0, 0, 2, 0)
    content[0]["amount"] = 7
    assert place.load("codes", content, "--on-conflict", "replace") == (0, 2, 0, 0)
    assert place.dump("codes") == [{"code": "a/b ü", "amount": 7, "label": "x"},
                                   {"code": "b", "amount": 2, "label": None}]
    # Another record has the label: there is nothing that the new one could replace.
    assert place.load("codes", [{"code": "c", "label": "x"}], "--on-conflict", "replace", check=1) \
        == (0, 0, 0, 1)
    assert list(rejects(place.said.stderr)) == [1]
    assert [record["code"] for record in place.dump("codes")] == ["a/b ü", "b"]


def test_the_same_content_is_stored_once(place):
    content = [{"text": "a"}, {"text": "b"}, {"text": "a"}, {"digest": "00" * 32, "text": "c"}]
    assert place.load("notes", content) == (3, 0, 1, 0)
    assert "Left out, because only trestle writes them: digest." in place.said.stdout
    assert place.load("notes", content) == (0, 0, 4, 0)
    assert sorted(record["text"] for record in place.dump("notes")) == ["a", "b", "c"]


# ---- what may be imported and exported


@pytest.mark.parametrize("arguments, says", [
    (["import", "thing", "x.json"], 'there is no resource "thing"; perhaps things is meant'),
    (["import", "zzzzzzzz", "x.json"], 'there is no resource "zzzzzzzz"'),
    (["import", "things", "missing.json"], "missing.json cannot be opened: No such file"),
    (["import", "notes", "x.json", "--on-conflict", "replace"], None),
    (["export", "tings"], "perhaps things is meant"),
    (["export", "things", "nowhere/out.json"], "nowhere/out.json cannot be written"),
    (["import", "things", "x.json", "--rejects", "nowhere/r"], "--rejects: nowhere/r: "),
])
def test_what_cannot_be_done_is_explained(place, arguments, says):
    (place.server.folder / "x.json").write_text("[]")
    said = place.run(*arguments, check=1 if says else 0)
    assert (says or "") in said.stderr


def test_actions_that_a_definition_does_not_have():
    definitions = {"sealed": "actions: [read]\nproperties: {a: {type: string}}\n",
                   "kept": "actions: [create, list, read]\nproperties: {a: {type: string, "
                           "maxLength: 5}}\nunique: [[a]]\n"}
    with Server(definitions) as server:
        said = server.program("import", "sealed", "-", "--format", "json", stdin=b"[]", check=1)
        assert 'the definition of sealed has no action "create"' in said.stderr
        said = server.program("export", "sealed", check=1)
        assert 'the definition of sealed has no action "list"' in said.stderr
        said = server.program("import", "kept", "-", "--format", "json", "--on-conflict", "replace",
                              stdin=b"[]", check=1)
        assert 'the definition of kept has no action "replace"' in said.stderr


def test_what_trestle_writes_is_left_out(place):
    content = [{"id": 77, "name": "aa", "uses": 12}]
    assert place.load("things", content) == (1, 0, 0, 0)
    assert "Left out, because only trestle writes them: id, uses." in place.said.stdout
    assert place.dump("things") == [shown({"name": "aa"}, id=1)]


def test_an_export_into_nothing_leaves_the_old_file(place):
    path = place.server.folder / "out.ndjson"
    path.write_text("old")
    wrong = {"key": "nonsense" * 3} if place.remote else {"database": "sqlite:missing/x.db"}
    place.run("export", "things", "out.ndjson", check=1, **wrong)
    assert path.read_text() == "old"
    assert [each.name for each in place.server.folder.glob("out*")] == ["out.ndjson"]


# ---- whole round trips


texts = strategies.text(strategies.characters(min_codepoint=1, blacklist_categories=("Cs",)),
                        max_size=12)
plain = strategies.none() | strategies.booleans() | strategies.integers(-2**63, 2**63 - 1) | texts
values = {
    "name": texts.filter(lambda text: len(text) >= 2),
    "version": texts | strategies.none(),
    "amount": strategies.integers(-2**63, 2**63 - 1) | strategies.none(),
    "ratio": strategies.floats(allow_nan=False, allow_infinity=False) | strategies.none(),
    "open": strategies.booleans() | strategies.none(),
    "price": strategies.none() | strategies.decimals(-10**9, 10**9, places=2).map(lambda d: f"{d:.2f}"),
    "day": strategies.dates().map(str) | strategies.none(),
    "tags": strategies.none() | strategies.lists(texts, max_size=3),
    "extra": strategies.none() | strategies.dictionaries(texts, plain, max_size=3),
    "store": strategies.none() | strategies.fixed_dictionaries(
        {}, optional={"city": texts, "spot": strategies.fixed_dictionaries(
            {"lat": strategies.floats(-90, 90), "long": strategies.floats(-180, 180)})}),
}
records = strategies.lists(strategies.fixed_dictionaries(values), min_size=1, max_size=20,
                           unique_by=lambda record: (record["name"], record["version"]))


def as_csv_tells(record):
    """A CSV knows no empty object where the members are declared."""
    store = record["store"]
    if store is not None and not store:
        return {**record, "store": None}
    return record


@settings(max_examples=6)
@given(records)
def test_any_record_survives_the_round_trip(content):
    with Server({"things": THINGS}) as server:
        remote = Place(server, True)
        assert remote.load("things", content) == (len(content), 0, 0, 0)
        exported = remote.dump("things")
        order = lambda each: (each["name"], each["version"] is not None, each["version"])
        assert without_key(sorted(exported, key=order)) == [
            shown(record) for record in sorted(content, key=order)]
        text = remote.dump("things", "csv")
        direct = Place(server, False)
        assert direct.dump("things") == exported
        assert direct.dump("things", "csv") == text
        server.stop()
        # Into an empty database, by each format.
        for form, expected in (("ndjson", exported), ("csv", [as_csv_tells(each) for each in exported])):
            server.store.empty(server.folder)
            source = (text.encode() if form == "csv" else
                      b"".join(json.dumps(each).encode() + b"\n" for each in exported))
            assert direct.load("things", source, form=form) == (len(content), 0, 0, 0)
            assert without_key(direct.dump("things")) == without_key(expected)
        server.start()


def test_many_records(place):
    count = 12000
    content = [{"name": f"thing {i}", "version": str(i % 5), "amount": i} for i in range(count)]
    assert place.load("things", content) == (count, 0, 0, 0)
    found = place.dump("things")
    assert len({record["id"] for record in found}) == count
    assert sorted(record["amount"] for record in found) == list(range(count))


# ---- servers


def test_a_key_is_needed():
    with Server(DEFINITIONS) as server:
        del server.settings["admin_key"]
        said = server.program("import", "things", "-", "--format", "ndjson", stdin=b'{"name":"aa"}',
                              check=1)
        assert "--key, TRESTLE_KEY or admin_key" in said.stderr
        assert "0 created" in said.stdout and "1 not stored" in said.stdout
        said = server.program("export", "things", check=1)
        assert "--key, TRESTLE_KEY or admin_key" in said.stderr
        assert said.stdout == ""
        server.program("import", "things", "-", "--format", "ndjson", "--key", ADMIN_KEY,
                       stdin=b'{"name":"aa"}', check=0)
        said = server.program("export", "things", check=0, key=ADMIN_KEY)
        assert json.loads(said.stdout)["name"] == "aa"


def test_a_server_may_be_named(tmp_path):
    with Server(DEFINITIONS) as server:
        settings = {"resources": server.resources, "key": ADMIN_KEY, "listen": "fd:3"}
        program("import", "things", "-", "--format", "ndjson", "--server", server.url("/"),
                folder=tmp_path, settings=settings, stdin=b'{"name":"aa"}', check=0)
        said = program("export", "things", folder=tmp_path,
                       settings={**settings, "server": server.url()}, check=0)
        assert json.loads(said.stdout)["name"] == "aa"
        assert list(tmp_path.iterdir()) == []
        said = program("export", "things", "--server", f"http://{HOST}:1", "--key", "x y",
                       folder=tmp_path, settings=settings, check=2)
        assert "visible ASCII" in said.stderr


def test_through_a_unix_socket():
    with Server({"plain": PLAIN}) as server:
        path = f"unix:{server.folder}/socket"
        server.stop()
        process = subprocess.Popen(
            [PROGRAM, "serve"], cwd=server.folder,
            env={**os.environ, "TRESTLE_LISTEN": path, "TRESTLE_LOG_LEVEL": "warning"})
        try:
            while not (server.folder / "socket").exists():
                time.sleep(0.01)
            for arguments, settings in (((), {"listen": path}), (("--server", path), {})):
                said = server.program("import", "plain", "-", "--format", "ndjson", *arguments,
                                      stdin=b'{"text":"a"}\n', check=0, **settings)
                assert "through /" in said.stderr
            said = server.program("export", "plain", "--server", path, check=0)
            assert len(said.stdout.splitlines()) == 2
        finally:
            process.terminate()
            assert process.wait(60) == 0
        server.start()


def test_a_server_that_dies_and_comes_back():
    """Nothing is lost and nothing is doubled where the resource has unique properties."""
    count = 3000
    with Server({"things": THINGS}) as server:
        path = server.folder / "things.ndjson"
        path.write_text("".join(json.dumps({"name": f"thing {i}", "version": "1", "amount": i}) + "\n"
                                for i in range(count)))
        said = []
        importing = threading.Thread(target=lambda: said.append(
            program("import", "things", "things.ndjson", "--on-conflict", "skip",
                    folder=server.folder, settings={**server.settings})))
        importing.start()
        listen = server.settings["listen"]
        while len(server.admin.list("/things", limit=200)) < 200:
            time.sleep(0.005)
        server.close_clients()
        server.kill()
        time.sleep(0.3)
        restart(server, listen)
        importing.join()
        result = said[0]
        assert result.returncode == 0, result.stderr
        created, replaced, skipped, rejected = map(int, SUMMARY.search(result.stdout).groups()[:4])
        assert (created + skipped, replaced, rejected) == (count, 0, 0)
        assert skipped <= 64 # what was stored when the answer did not come
        found = sorted(record["amount"] for page in server.admin.walk("/things", limit=1000)
                       for record in page)
        assert found == list(range(count))


@pytest.mark.parametrize("resource, count, bounds", [
    ("plain", 1500, (300, 6000)), ("plain", 60, (200, 2000)), ("things", 600, (300, 6000))])
def test_connections_that_break(resource, count, bounds):
    """However often they do, each record is stored, and once; also where nothing tells two of the
    same from each other."""
    with Server({"plain": PLAIN, "things": THINGS}) as server:
        member = {"plain": "text", "things": "name"}[resource]
        lines = "".join(json.dumps({member: f"record {i % (count - 5)}" if resource == "plain"
                                    else f"record {i}"}) + "\n" for i in range(count))
        with Cutter(server, bounds) as cutter:
            said = server.program("import", resource, "-", "--format", "ndjson", "--on-conflict",
                                  "skip", "--server", cutter.url, stdin=lines.encode(),
                                  key=ADMIN_KEY)
            cuts = cutter.cuts
        assert said.returncode == 0, said.stderr
        created, replaced, skipped, rejected = map(int, SUMMARY.search(said.stdout).groups()[:4])
        assert (created + skipped, replaced, rejected) == (count, 0, 0)
        found = [record[member] for page in server.admin.walk(f"/{resource}", limit=1000)
                 for record in page]
        assert sorted(found) == sorted(json.loads(line)[member] for line in lines.splitlines())
        assert cuts > 10
        if resource == "plain":
            assert skipped == 0


def restart(server, listen):
    """Starts it again on the same address."""
    free = harness.free_port
    harness.free_port = lambda: int(listen.rsplit(":", 1)[1])
    try:
        server.start()
    finally:
        harness.free_port = free


def test_a_slow_pipe_does_not_hold_records_back(place):
    """What came is stored while more is waited for."""
    arguments = [] if place.remote else ["--direct"]
    process = subprocess.Popen(
        [PROGRAM, "import", "plain", "-", "--format", "ndjson", *arguments],
        cwd=place.server.folder, env=harness._environment(place.server.settings),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for count in (1, 2):
        process.stdin.write(b'{"text":"a"}\n')
        process.stdin.flush()
        harness.wait_until(lambda: len(place.dump("plain")) == count, "the record is stored")
    said = process.communicate(timeout=harness.PATIENCE)[0]
    assert process.returncode == 0
    assert b"plain: 2 created" in said


# ---- the examples


def test_debian_packages(tmp_path):
    index = """Package: 0ad
Version: 0.0.26-3
Description: a game
 with: a colon
Filename: pool/main/0/0ad/0ad_0.0.26-3_amd64.deb
SHA256: %(a)s

Package: 0ad
Version: 0.0.26-3
Filename: pool/again.deb
SHA256: %(b)s

Package: R
Version: 1
Filename: pool/r.deb
SHA256: %(b)s

Package: local
Version: 1

Package: caf\u00e9
Version: 1:2.0~rc1-1
Filename: pool/c.deb
SHA256: %(b)s
""" % {"a": "a" * 64, "b": "b" * 64}
    result = subprocess.run([ROOT / "examples" / "debian_packages"], input=index.encode(),
                            capture_output=True, check=True)
    found = [json.loads(line) for line in result.stdout.decode().split("\n")[:-1]]
    assert found == [
        {"name": "0ad", "version": "0.0.26-3", "sha256": "a" * 64,
         "source": "https://deb.debian.org/debian/pool/main/0/0ad/0ad_0.0.26-3_amd64.deb"},
        {"name": "caf\u00e9", "version": "1:2.0~rc1-1", "sha256": "b" * 64,
         "source": "https://deb.debian.org/debian/pool/c.deb"},
    ]
    (tmp_path / "p.ndjson").write_bytes(result.stdout)
    settings = {"resources": ROOT / "resources", "listen": "fd:3"}
    program("import", "packages", "p.ndjson", folder=tmp_path, settings=settings, check=0)
    exported = program("export", "packages", folder=tmp_path, settings=settings, check=0).stdout
    members = ["name", "version", "source", "sha256"]
    assert digest(result.stdout, *members) == digest(exported.encode(), *members)
    assert digest(result.stdout) != digest(exported.encode()) # which has keys, too


def digest(content, *members):
    return subprocess.run([ROOT / "examples" / "canonical", *members], input=content,
                          capture_output=True, check=True).stdout


def test_canonical_lines():
    one = b'{"b": 1, "a": "\\u00e9"}\n{"a": 2}\n'
    other = '{"a":2}\n\n{"a":"\u00e9","b":1}'.encode()
    assert digest(one) == digest(other)
    assert digest(one).endswith(b"  2 records\n")
    assert digest(one) != digest(one + one)
    assert digest(one, "a") != digest(one, "b")
