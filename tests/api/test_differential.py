"""Which database keeps the records cannot be told from the answers: two servers with the same
definitions, one on SQLite and one on PostgreSQL, are asked the same and answer the same."""

import json
import re
import string
import urllib.parse

import hypothesis
import hypothesis.strategies as st
import pytest

import test_filter_references
import test_filters
import test_nonsense
from conftest import HUNT
from harness import STORE, Server, links, problem, relative

# It needs both databases, so that once is enough: where there is a PostgreSQL.
pytestmark = pytest.mark.skipif(STORE != "postgres", reason="it runs once, with STORE=postgres")

DEFINITIONS = {
    **test_filters.DEFINITIONS,
    "odd": test_nonsense.DEFINITIONS["things"],
    "leaves": """
access: {read: public, write: public}
properties:
  text:  {type: string, maxLength: 20}
  thing: {type: integer, references: things, on_delete: cascade}
  next:  {type: integer, references: leaves, on_delete: set-null}
""",
    "words": """
access: {read: public, write: public}
key: code
properties:
  code: {type: string, minLength: 1, maxLength: 300}
  a:    {type: string}
""",
    "digests": """
access: {read: public, write: public}
key: {digest: sha256(a)}
required: [a]
properties:
  a: {type: string, maxLength: 100000}
  b: {type: integer}
""",
    "unique": """
access: {read: public, write: public}
key: {uid: uuid}
properties:
  name:  {type: string, maxLength: 660}
  whole: {type: integer}
  real:  {type: number}
  price: {type: string, format: decimal, scale: 2}
  text:  {type: string}
  until: {type: string, format: date-time}
  day:   {type: string, format: date}
  twin:  {type: string, format: uuid}
  flag:  {type: boolean}
  list:  {type: array, items: {type: [string, number, "null"]}}
  bag:   {type: object}
unique: [[name], [whole, real], [price, flag], [until], [day, twin]]
""",
}
GROUPS = [["name"], ["whole", "real"], ["price", "flag"], ["until"], ["day", "twin"]]

FIELDS = ("Content-Type", "Allow", "X-Total-Count")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
CURSOR = re.compile(r"cursor=[^&]*")


class Pair:
    """The two servers. What each of them made up for itself (keys, cursors) has the same name in
    what is compared."""

    def __init__(self, servers):
        self.clients = [server.client() for server in servers]
        self.names = [{}, {}]

    def ask(self, method, paths, several=False, **arguments):
        """Asks both, and gives both answers once they are the same; `paths` is one path, or two.
        Where `several` unique groups may be taken at once, each may name another of them."""
        paths = [paths, paths] if isinstance(paths, str) else paths
        answers = [client.request(method, path, **arguments)
                   for client, path in zip(self.clients, paths)]
        if method == "POST" and all(answer.status_code == 201 for answer in answers):
            self._name(answers)
        seen = [self._seen(answer, names) for answer, names in zip(answers, self.names)]
        if several and all(answer.status_code == 409 for answer in answers):
            for each in seen:
                body = json.loads(each["body"])
                assert [error["pointer"][1:] for error in body["errors"]] in GROUPS
                each["body"] = body["type"]
        assert seen[0] == seen[1], f"{method} {paths[0]} {arguments}"
        return answers

    def send(self, method, paths, value):
        """The same with a body of JSON."""
        body = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return self.ask(method, paths, data=body, headers={"Content-Type": "application/json"})

    def create(self, collection, value):
        """Creates a record on both; gives its paths, or None if neither liked it."""
        answers = self.send("POST", collection, value)
        if answers[0].status_code != 201:
            return None
        return [relative(answer.headers["Location"]) for answer in answers]

    def walk(self, path, parameters):
        """Follows a list to its end and back again; gives how many pages there were."""
        answers, pages = self.ask("GET", path, params=parameters), 1
        for relation in ("next", "prev"):
            while relation in links(answers[0]):
                answers = self.ask("GET", [relative(links(answer)[relation]) for answer in answers])
                pages += 1
        return pages

    def delete(self, records):
        for paths in records:
            self.ask("DELETE", paths)

    def _name(self, answers):
        for answer, names in zip(answers, self.names):
            key = relative(answer.headers["Location"]).rpartition("/")[2]
            if UUID.fullmatch(key):
                names[key] = f"key {len(names)}"

    def _seen(self, answer, names):
        def named(text):
            return UUID.sub(lambda found: names.get(found[0], found[0]), text)
        body = answer.content.decode("utf-8")
        if answer.status_code >= 400 and body:
            value = json.loads(body)
            del value["request_id"]
            body = json.dumps(value)
        return {
            "status": answer.status_code,
            "body": named(body),
            "Location": named(relative(answer.headers.get("Location", ""))),
            "Link": {relation: CURSOR.sub("cursor", named(relative(target)))
                     for relation, target in links(answer).items()},
            **{name: answer.headers.get(name) for name in FIELDS},
        }


@pytest.fixture(scope="module", name="pair")
def a_pair():
    with Server(DEFINITIONS, store_name="sqlite") as first, \
            Server(DEFINITIONS, store_name="postgres") as second:
        yield Pair([first, second])


def examples(count):
    return hypothesis.settings(max_examples=count * max(HUNT, 1))


SORT = st.lists(
    st.tuples(st.sampled_from(["", "-"]),
              st.sampled_from([*sorted(test_filters.PROPERTIES), "id", "place.city"])),
    min_size=1, max_size=4).map(lambda keys: ",".join("".join(key) for key in keys))
LIST = st.fixed_dictionaries({"filter": test_filters.FILTER.map(lambda drawn: drawn[0])}, optional={
    "sort": SORT, "limit": st.integers(1, 5), "offset": st.integers(0, 9),
    "count": st.sampled_from(["true", "false"]),
    "fields": st.sampled_from(["id", "id,place", "text,label", "price,real,instant,nope"])})


@hypothesis.given(records=test_filters.RECORDS, lists=st.lists(LIST, min_size=1, max_size=4),
                  sort=SORT)
@examples(22)
def test_lists(pair, records, lists, sort):
    made = [pair.create("/things", test_filters.as_json(record)) for record in records]
    for parameters in [*lists, {"sort": sort, "limit": 2, "count": "true"}]:
        pair.walk("/things", parameters)
    pair.delete(made)


BEHIND = st.recursive(
    test_filter_references.joined("thing"), test_filters.combined, max_leaves=4)
OF_LEAVES = st.fixed_dictionaries({
    "filter": BEHIND.map(lambda drawn: drawn[0]) | st.sampled_from([
        "next.text = text", "not next.text = thing.text", "next.thing = thing",
        "thing.text < next.text or next is null", "thing.place.nope = 1", "thing.id = next.thing"])},
    optional={
        "expand": st.sampled_from(["thing", "next", "next, thing", "text", "thing,thing", ""]),
        "sort": st.sampled_from(["-text", "thing,-next", "next", "-id"]),
        "limit": st.integers(1, 3), "offset": st.integers(0, 3),
        "fields": st.sampled_from(["id", "text,next", "thing"])})


@hypothesis.given(records=test_filters.RECORDS, lists=st.lists(OF_LEAVES, min_size=1, max_size=5),
                  drawn=st.lists(st.tuples(st.none() | test_filters.TEXT,
                                           st.none() | st.integers(0, 11),
                                           st.none() | st.integers(0, 11)), max_size=8))
@examples(22)
def test_references(pair, records, lists, drawn):
    made = [pair.create("/things", test_filters.as_json(record)) for record in records]
    leaves = []
    for text, thing, beside in drawn:
        body = {"text": text}
        body["thing"] = None if thing is None else key_of(made[thing % len(made)])
        body["next"] = key_of(leaves[beside % len(leaves)]) if beside is not None and leaves else None
        leaves.append(pair.create("/leaves", body))
    for parameters in lists:
        pair.walk("/leaves", parameters)
    if leaves:
        pair.ask("GET", leaves[-1], params={"expand": "thing,next"})
    pair.delete(made)
    pair.delete([leaf for leaf, (_, thing, _) in zip(leaves, drawn) if thing is None])


def key_of(paths):
    first, second = (int(path.rpartition("/")[2]) for path in paths)
    assert first == second
    return first


# Few values, so that many of them meet; each is at some edge.
TEXTS = st.sampled_from([
    "", " ", "a", "A", "a ", "\u00e4", "a\u0308", "\uffff", "\U00010000", "\U0010ffff", "\ufdd0",
    "\x7f", "\x01", "\ufeff", "%", "null", "x" * 660, "\U0001f389" * 660, "x" * 661, "\0", None,
    "\ud800"])
INSTANTS = st.sampled_from([
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "0000-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.9999Z", "9999-12-31T23:59:59-00:01",
    "1969-12-31T23:59:59.999Z", "1970-01-01T01:00:00+01:00", "1970-01-01T00:00:00Z",
    "2016-12-31T23:59:60Z", "2000-01-01T24:00:00Z", "2000-01-01t00:00:00.123456z", None])
NUMBERS = st.sampled_from([
    "0", "-0", "0.0", "-0.0", "1", "1.0", "1e0", "10e-1", "0.1", "1e300", "-1e300", "1e308",
    "1.7976931348623157e308", "1e309", "5e-324", "2e-324", "-5e-324", "1e-400", "null",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "9007199254740993", "9007199254740992", "0.30000000000000004",
    "123456789012345678901234567890"])
DECIMALS = st.sampled_from([
    "0", "-0", "-0.00", "1", "1.0", "1.50", "1.505", "01", "92233720368547758.07",
    "92233720368547758.08", "-92233720368547758.08", "-92233720368547758.09", "1e2", "", None])
DAYS = st.sampled_from(["0001-01-01", "0000-12-31", "9999-12-31", "10000-01-01", "2000-02-29",
                        "1900-02-29", None])
UUIDS = st.sampled_from(["017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
                         "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
                         "00000000-0000-0000-0000-000000000000",
                         "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}", "", None])
LISTS = st.sampled_from(['[]', '[null]', '[1,1.0,-0.0,1e300,5e-324]', '[9223372036854775807]',
                         '["\\ud83c\\udf89","\\uffff",""]', '["\\u0000"]', '[18446744073709551616]',
                         'null', '[[]]'])
BAGS = st.sampled_from(['{}', '{"b":1,"a":{"":[null,{}]}}', '{"a":1,"a":2}', '{"\\u0000":1}',
                        'null',
                        '{"big":123456789012345678901234567890,"small":1e-400,"minus":-0}',
                        '{"\\uffff":"\\udbff\\udfff","0":1e22,"1":1E+2}', '{"x":[[[[[[]]]]]]}'])


def member(values):
    return values.map(lambda value: json.dumps(value, ensure_ascii=False))


# The source of a body, because numbers that are equal may be written in many ways.
BODY = st.fixed_dictionaries({}, optional={
    "name": member(TEXTS), "whole": NUMBERS, "real": NUMBERS, "price": member(DECIMALS),
    "text": member(TEXTS), "until": member(INSTANTS), "day": member(DAYS), "twin": member(UUIDS),
    "flag": st.sampled_from(["true", "false", "null"]), "list": LISTS, "bag": BAGS,
}).map(lambda members: "{%s}" % ",".join(f'"{name}":{text}' for name, text in members.items()))
# The i-th of the records that are there, what is done to it, and with what.
CHANGES = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]),
                             BODY), min_size=1, max_size=12)
LITERALS = st.one_of([
    st.tuples(st.just(name), values) for name, values in [
        ("name", TEXTS), ("text", TEXTS), ("until", INSTANTS), ("day", DAYS), ("twin", UUIDS),
        ("price", DECIMALS), ("whole", NUMBERS), ("real", NUMBERS)]])


def ask_with(pair, method, paths, source):
    return pair.ask(method, paths, several=True, data=source.encode("utf-8", "surrogatepass"),
                    headers={"Content-Type": "application/json"})


@hypothesis.given(changes=CHANGES, literals=st.lists(LITERALS, max_size=4))
@examples(55)
def test_values_at_their_edges(pair, changes, literals):
    """Which of them are taken, how they come back, and which of them are the same where they must
    be unique."""
    made = []
    for number, method, body in changes:
        if method == "POST" or not made:
            answers = ask_with(pair, "POST", "/unique", body)
            if answers[0].status_code == 201:
                made.append([relative(answer.headers["Location"]) for answer in answers])
            continue
        record = made[number % len(made)]
        ask_with(pair, method, record, "" if method == "DELETE" else body)
        pair.ask("GET", record)
    pair.walk("/unique", {"limit": 3, "count": "true"})
    for name, literal in literals:
        quoted = literal if name in ("whole", "real") else (
            "null" if literal is None else "'%s'" % literal.replace("'", "''"))
        parameters = [{name: literal}, {"filter": f"{name} = {quoted}"}]
        parameters += [{"filter": f"{name} {sign} {quoted}", "sort": f"-{name},uid", "limit": 2}
                       for sign in ("!=", "<", ">=")]
        if name in ("name", "text"):
            parameters += [{"filter": f"{function}({name}, {quoted})"}
                           for function in ("contains", "startsWith")]
        for each in parameters:
            query = urllib.parse.urlencode(each, errors="surrogatepass")
            pair.walk(f"/unique?{query}", None)
    pair.delete(made)


@pytest.mark.parametrize("group", GROUPS, ids=" ".join)
def test_which_group_is_taken(pair, group):
    """Where it is one alone, both name it: for a record that is made, one that is changed, and one
    that is replaced. Values are the same however they are written."""
    first = {"name": "\U0010ffff", "whole": -2**63, "real": 0.0, "price": "92233720368547758.07",
             "flag": False, "until": "9999-12-31T23:59:59.999Z", "day": "0001-01-01",
             "twin": "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"}
    again = {**first, "real": -0.0, "until": "9999-12-31T22:59:59.9991-01:00",
             "twin": first["twin"].upper()}
    again = {name: again[name] for name in group}
    made = [pair.create("/unique", first), pair.create("/unique", {})]
    for method, paths in [("POST", "/unique"), ("PATCH", made[1]), ("PUT", made[1])]:
        answers = pair.send(method, paths, again)
        assert pointers_of_conflict(answers[0]) == [f"/{name}" for name in group]
    pair.delete(made)


def pointers_of_conflict(answer):
    return [error["pointer"] for error in problem(answer, 409, "conflict")["errors"]]


@hypothesis.given(body=test_nonsense.JSON | test_nonsense.SENSIBLE,
                  patch=test_nonsense.JSON | test_nonsense.SENSIBLE,
                  method=st.sampled_from(["PUT", "PATCH"]))
@examples(50)
def test_bodies(pair, body, patch, method):
    record = pair.create("/odd", body)
    if record is not None:
        pair.send(method, record, patch)
        pair.ask("GET", record)
        pair.ask("DELETE", record)
        pair.ask("GET", record)


@hypothesis.given(parameters=st.lists(st.tuples(test_nonsense.NAMES, test_nonsense.VALUES),
                                      max_size=4))
@examples(90)
def test_parameters(pair, parameters):
    pair.ask("GET", "/odd", params=parameters)


@hypothesis.given(body=st.binary(max_size=40), method=st.sampled_from(["POST", "PUT", "PATCH"]),
                  kind=st.sampled_from(["application/json", "application/merge-patch+json",
                                        "application/json-patch+json", "text/plain", ""]))
@examples(50)
def test_bytes(pair, body, method, kind):
    pair.ask(method, "/odd" if method == "POST" else "/odd/1", data=body,
             headers={"Content-Type": kind})


KEY = (st.sampled_from(["a", "A", "a ", " a", "%", "a/b", "..", ".", "a?b", "a#b", "\u00e4",
                        "a\u0308", "\uffff", "\U0010ffff", "\x01", "\0", "'", '"', "\\", "+", "",
                        "0", "00", "x" * 300, "x" * 301, "\U0001f389" * 300, "null", "a\nb"])
       | test_nonsense.TEXT)


@hypothesis.given(keys=st.lists(KEY, min_size=1, max_size=6), data=st.data())
@examples(25)
def test_keys(pair, keys, data):
    """That clients choose: with PUT to where there is nothing, and twice the same one."""
    paths = ["/words/" + urllib.parse.quote(key, safe="") for key in keys]
    digests = []
    for key, path in zip(keys, paths):
        method = data.draw(st.sampled_from(["POST", "PUT", "PATCH"]))
        pair.send(method, "/words" if method == "POST" else path, {"code": key, "a": key})
        pair.send("PUT", path, {"a": "again"})
        pair.ask("GET", path)
        pair.send("POST", "/words", {"code": key})
        digests.append(pair.create("/digests", {"a": key, "b": len(key)}))
    pair.walk("/words", {"limit": 2, "sort": data.draw(st.sampled_from(["code", "-code", "-a"]))})
    pair.walk("/digests", {"limit": 2, "count": "true"})
    pair.delete([*paths, *filter(None, digests)])


@hypothesis.given(path=st.text(alphabet=string.ascii_lowercase + string.digits + "%.-_~!$()*+,;:@",
                               max_size=12),
                  resource=st.sampled_from(["things", "odd", "words", "digests", "unique"]),
                  method=st.sampled_from(["GET", "PUT", "DELETE", "OPTIONS", "POST"]))
@examples(60)
def test_paths(pair, path, resource, method):
    pair.send(method, f"/{resource}/{path}", {})
