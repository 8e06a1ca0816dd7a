"""A resource with every type and every keyword, made by writing one file; and files with mistakes,
refused with their place."""

import json
import re

import pytest
import yaml

from harness import Server, pointers, problem

EVERYTHING = r"""
description: One of each.
key: {uid: uuid}
access: {read: public, write: public}
actions: [list, create, read, replace, update, delete]
required: [text]
properties:
  text:
    {type: string, minLength: 1, maxLength: 10, pattern: "^[^x]*$", description: Text.,
     examples: [abc]}
  whole:      {type: integer, minimum: -10, maximum: 10}
  open:       {type: integer, exclusiveMinimum: 0, exclusiveMaximum: 10}
  third:      {type: integer, multipleOf: 3}
  ratio:      {type: number, minimum: -1.5, exclusiveMaximum: 1.5}
  quarter:    {type: number, multipleOf: 0.25}
  flag:       {type: boolean}
  maybe:      {type: [string, "null"], maxLength: 5}
  either:     {type: [integer, "null"]}
  instant:    {type: string, format: date-time}
  day:        {type: string, format: date}
  uid2:       {type: string, format: uuid}
  link:       {type: string, format: uri}
  mail:       {type: string, format: email}
  price:      {type: string, format: decimal, scale: 2, minimum: 0, maximum: "999.99"}
  exact:      {type: string, format: decimal, scale: 18}
  colour:     {type: string, enum: [red, green, blue]}
  number:     {type: number, enum: [1, 2.5, -3e10]}
  always:     {type: integer, const: 42}
  choice:
    type: object
    properties:
      any:    {}
      value:  {enum: [1, 2.5, "three", null, [4], {five: 5}]}
      fixed:  {const: [1, {a: b}]}
      either: {type: [integer, string]}
      minute: {type: string, format: date-time}
      mail:   {type: string, format: email}
      sum:    {type: string, format: decimal, scale: 1, minimum: "0.5"}
  thing:
    type: object
    required: [a]
    properties:
      a: {type: string, maxLength: 5}
      b: {type: integer, minimum: 0}
      c:
        type: object
        properties:
          d: {type: array, items: {type: number}, maxItems: 2}
  bag:        {type: object}
  list:
    type: array
    items: {type: integer, minimum: 0}
    minItems: 1
    maxItems: 3
    uniqueItems: true
  rows:
    type: array
    items:
      type: object
      required: [x]
      properties:
        x: {type: integer}
        y: {type: string, format: date}
  loose:      {type: array, uniqueItems: true}
  preset:     {type: string, default: here}
  seven:      {type: integer, default: 7}
  made_at:    {type: string, format: date-time, default_expression: now(), readOnly: true}
  locked:     {type: integer, default: 1, readOnly: true}
  secret:     {type: string, writeOnly: true, maxLength: 20}
  code:       {type: string, maxLength: 8}
  "no":       {type: string}
unique: [[code], [colour, day]]
indexes: [[whole], [instant, flag]]
checks:
  ordered: whole is null or open is null or whole <= open
filters:
  size:
    small: whole < 0
    large: whole >= 5
"""
DEFINITIONS = {"everything": EVERYTHING}

ONE = {
    "text": "Äb🎉", "whole": -10, "open": 1, "third": -9, "ratio": -1.5, "quarter": 0.75,
    "flag": False, "maybe": "x", "either": 1, "instant": "2016-08-05T08:40:51.620Z",
    "day": "2016-02-29", "uid2": "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    "link": "https://example.org/?q=%20#f", "mail": "a.b+c@example.org", "price": "0.10",
    "exact": "1.000000000000000001", "colour": "red", "number": 2.5, "always": 42,
    "choice": {"any": {"x": [1, None, "y"]}, "value": [4], "fixed": [1, {"a": "b"}], "either": "1"},
    "thing": {"a": "x", "c": {"d": [1.5]}}, "bag": {"z": 1, "a": {"b": []}}, "list": [3, 1, 2],
    "rows": [{"x": 1}, {"y": "2000-01-01", "x": 2}], "loose": [1, "1", [1], {"a": 1}],
    "preset": "there", "seven": 8, "code": "c1", "no": "yes",
}


@pytest.fixture
def make(public):
    made = []

    def create(**values):
        record = public.create("/everything", {"text": "a", **values})
        made.append(record["uid"])
        return record
    yield create
    for uid in made:
        public.delete(f"/everything/{uid}")


def test_one_of_each_comes_back(public, make):
    record = make(**ONE)
    shown = {name: value for name,
             value in record.items() if name not in ("uid", "made_at", "locked")}
    assert shown == ONE
    assert "secret" not in record
    assert record["locked"] == 1
    declared = [name for name in yaml.safe_load(EVERYTHING)["properties"] if name != "secret"]
    assert list(record) == ["uid", *declared]
    assert public.get(f"/everything/{record['uid']}").json() == record
    assert public.list("/everything", uid=record["uid"]) == [record]
    assert public.put(f"/everything/{record['uid']}", record).json() == record


def test_defaults(make):
    record = make()
    assert record["preset"] == "here" and record["seven"] == 7 and record["locked"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["made_at"])
    assert record["no"] is None and record["thing"] is None


GOOD = [
    ("text", "a" * 10), ("text", "🎉" * 10), ("whole", 10), ("whole", 5.0), ("open", 9),
    ("third", 0), ("third", 9e0), ("ratio", 1.4999999), ("ratio", 0), ("ratio", 5e-324),
    ("quarter", -1e15), ("quarter", 0.25), ("flag", True), ("maybe", None), ("either", 9),
    ("either", None), *[("choice", {"any": each}) for each in (1, "x", [None], False, 1.5, {}, [])],
    ("choice", {"either": 9}), ("choice", {"either": "x"}),
    ("choice", {"fixed": [1.0, {"a": "b"}]}),
    ("choice", {"minute": "2016-08-05T08:40:51Z", "mail": "a@b", "sum": "0.5"}),
    ("day", "2000-02-29"), ("day", "0001-01-01"), ("day", "9999-12-31"),
    ("uid2", "00000000-0000-0000-0000-000000000000"),
    ("uid2", "ffffffff-ffff-ffff-ffff-ffffffffffff"), ("link", "urn:x:y"), ("mail", "x@y"),
    ("mail", "!#$%&'*+-/=?^_`{|}~@a-b.example"), ("price", "0"), ("price", "999.99"),
    ("price", "1.500"), ("exact", "-9.223372036854775808"), ("exact", "9.223372036854775807"),
    ("colour", "blue"), ("number", 1), ("number", 2.5), ("number", None), ("number", 1.0),
    ("number", -3e10), *[("choice", {"value": each})
                         for each in (1, 2.5, "three", {"five": 5}, 1.0)], ("always", 42),
                         ("always", 42.0), ("always", None), ("thing", {"a": ""}),
                         ("thing", {"a": "x", "b": 0, "c": {}}),
                         ("thing", {"c": {"d": []}, "a": "x"}), ("bag", {}),
                         ("bag", {"": {"": {}}}), ("list", [0]), ("list", [1, 2, 3]), ("rows", []),
                         ("rows", [{"x": -1}] * 3), ("loose", []),
    ("loose", [True, 1, "1", None, False, 0]), ("loose", [[1, 2], [2, 1]]), ("no", "no"),
    ("secret", "x" * 20),
]


@pytest.mark.parametrize("name, value", GOOD)
def test_values_that_fit(public, make, name, value):
    record = make(**{name: value})
    uid = record["uid"]
    if name == "secret":
        assert "secret" not in record
        return
    expected = {"0": "0.00", "1.500": "1.50"}.get(value, value) if name == "price" else value
    assert record[name] == expected
    assert public.get(f"/everything/{uid}").json() == record
    assert public.patch(f"/everything/{uid}", {name: value}).json() == record
    assert public.put(f"/everything/{uid}", record).json() == record


BAD = [
    ("text", "", ""), ("text", "a" * 11, ""), ("text", "🎉" * 11, ""), ("text", "axb", ""),
    ("text", 1, ""), ("text", None, ""), ("text", "a\u0000", None),
    ("whole", 11, ""), ("whole", -11, ""), ("whole", 0.5, ""), ("whole", "1", ""),
    ("whole", True, ""), ("open", 0, ""), ("open", 10, ""), ("third", 1, ""), ("third", -10, ""),
    ("ratio", 1.5, ""), ("ratio", -1.50001, ""), ("ratio", "1", ""), ("quarter", 0.3, ""),
    ("quarter", 0.2500001, ""), ("flag", 1, ""), ("flag", "true", ""), ("maybe", "123456", ""),
    ("maybe", 1, ""), ("either", 1.5, ""), ("either", True, ""), ("either", [], ""),
    ("either", "1", ""), ("choice", {"either": 1.5}, "/either"), ("choice", {"value": 3}, "/value"),
    ("choice", {"value": [4, 4]}, "/value"), ("choice", {"value": {"five": 6}}, "/value"),
    ("choice", {"fixed": [1, {"a": "c"}]}, "/fixed"),
    ("choice", {"minute": "2016-08-05"}, "/minute"), ("choice", {"mail": "x"}, "/mail"),
    ("choice", {"sum": "0.4"}, "/sum"), ("choice", {"sum": "0.55"}, "/sum"),
    ("choice", {"sum": 1}, "/sum"), ("instant", "2016-08-05", ""), ("instant", 1, ""),
    ("day", "2001-02-29", ""), ("day", "2016-08-05T00:00:00Z", ""), ("day", "16-08-05", ""),
    ("day", "0000-01-01", ""), ("uid2", "x", ""), ("uid2", "017f22e279b07cc398c4dc0c0c07398f", ""),
    ("uid2", "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}", ""), ("link", "/relative", ""),
    ("link", "http://a b", ""), ("link", "", ""), ("link", "http://x/<>", ""), ("link", "ä:b", ""),
    ("mail", "x", ""), ("mail", "@y", ""), ("mail", "x@", ""), ("mail", "a@b@c", ""),
    ("mail", ".x@y", ""), ("mail", "x.@y", ""), ("mail", "a..b@y", ""), ("mail", "a b@y", ""),
    ("mail", "x@-y", ""), ("mail", "x@y_z", ""), ("mail", "x@y..z", ""), ("mail", "ä@y", ""),
    ("mail", "x" * 65 + "@y", ""), ("price", "-0.01", ""), ("price", "1000", ""),
    ("price", "1.234", ""), ("price", 1.5, ""), ("price", "1,5", ""), ("price", ".5", ""),
    ("price", "1.", ""), ("price", "1e2", ""), ("price", " 1", ""), ("price", "", ""),
    ("price", "+1", ""), ("price", "--1", ""), ("exact", "9.223372036854775808", ""),
    ("exact", "10", ""), ("exact", "0.0000000000000000001", ""), ("colour", "Red", ""),
    ("colour", "", ""), ("colour", ["red"], ""), ("number", 3, ""), ("number", "1", ""),
    ("always", 43, ""), ("always", "42", ""), ("thing", {}, "/a"), ("thing", {"a": None}, "/a"),
    ("thing", {"a": "123456"}, "/a"), ("thing", {"a": "x", "b": -1}, "/b"),
    ("thing", {"a": "x", "e": 1}, "/e"), ("thing", {"a": "x", "c": {"d": ["1"]}}, "/c/d/0"),
    ("thing", {"a": "x", "c": {"d": [1, 2, 3]}}, "/c/d"), ("thing", {"a": "x", "c": []}, "/c"),
    ("thing", "{}", ""), ("thing", [], ""), ("bag", [], ""), ("bag", "x", ""), ("list", [], ""),
    ("list", [1, 2, 3, 4], ""), ("list", [1, 1], ""), ("list", [1, 1.0], ""), ("list", [-1], "/0"),
    ("list", [1, "2"], "/1"), ("list", {}, ""), ("list", [[1]], "/0"), ("rows", [{}], "/0/x"),
    ("rows", [{"x": 1}, {"x": "1"}], "/1/x"), ("rows", [{"x": 1, "z": 1}], "/0/z"),
    ("rows", [{"x": 1, "y": "x"}], "/0/y"), ("rows", [1], "/0"), ("loose", [1, 1], ""),
    ("loose", [1, 1.0], ""), ("loose", [{"a": 1, "b": 2}, {"b": 2, "a": 1}], ""),
    ("loose", [None, None], ""), ("seven", "7", ""), ("no", False, ""), ("locked", 2, ""),
    ("made_at", "2016-08-05T08:40:51.620Z", ""), ("secret", "x" * 21, ""),
    ("code", "123456789", ""), ("uid", "x", ""),
    ("uid", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", ""), ("text2", "x", ""), ("_version", 1, ""),
]


@pytest.mark.parametrize("name, value, where", BAD)
def test_values_that_do_not_fit(public, make, name, value, where):
    record = make()
    path = f"/everything/{record['uid']}"
    for response in (public.post("/everything", {"text": "a", name: value}),
                     public.put(path, {"text": "a", name: value}),
                     public.patch(path, {name: value})):
        if where is None:
            problem(response, 400)
        else:
            assert pointers(response) == [f"/{name}{where}"], response.text
    assert public.get(path).json() == record


def test_checks(public, make):
    record = make(whole=3, open=3)
    path = f"/everything/{record['uid']}"
    value = problem(public.patch(path, {"whole": 4}), 400, "invalid-body")
    assert "ordered" in str(value)
    assert public.patch(path, {"whole": 4, "open": None}).status_code == 200
    problem(public.post("/everything", {"text": "a", "whole": 4, "open": 3}), 400, "invalid-body")


def test_unique(public, make):
    make(code="u1")
    make(code=None)
    make(code=None)
    value = problem(public.post("/everything", {"text": "a", "code": "u1"}), 409, "conflict")
    assert "code" in str(value)
    make(colour="red", day="2000-01-01")
    make(colour="red", day="2000-01-02")
    make(colour="red")
    make(colour="red")
    value = problem(public.post("/everything", {"text": "a", "colour": "red", "day": "2000-01-01"}),
                    409, "conflict")
    assert "colour" in str(value) and "day" in str(value)


def test_write_only_values_are_kept(public, make):
    """They are not shown, and a PATCH of something else does not lose them."""
    record = make(secret="s3cret")
    path = f"/everything/{record['uid']}"
    assert public.patch(path, {"whole": 1}).status_code == 200
    for parameters in ({"filter": "secret = 's3cret'"}, {"secret": "s3cret"}, {"sort": "secret"},
                       {"fields": "secret"}):
        problem(public.get("/everything", params=parameters), 400)
    for response in (public.get(path), public.get("/everything")):
        assert "s3cret" not in response.text


def test_named_filters(public, make):
    small, large = make(whole=-1), make(whole=5)
    make(whole=0)
    make()
    assert public.list("/everything", size="small") == [small]
    assert public.list("/everything", size="large") == [large]


def test_merge_patch_of_nested_objects(public, make):
    record = make(thing={"a": "x", "b": 1, "c": {"d": [1]}}, bag={"x": {"y": 1, "z": 2}, "w": [1]})
    path = f"/everything/{record['uid']}"
    got = public.patch(path, {"thing": {"b": 2},
                              "bag": {"x": {"y": None}, "new": {"n": None, "m": 1}}}).json()
    assert got["thing"] == {"a": "x", "b": 2, "c": {"d": [1]}}
    assert got["bag"] == {"x": {"z": 2}, "w": [1], "new": {"m": 1}}
    assert pointers(public.patch(path, {"thing": {"a": None}})) == ["/thing/a"]
    got = public.patch(path, {"bag": {"w": {"v": 1}}}).json()
    assert got["bag"]["w"] == {"v": 1}


def test_members_keep_their_order_and_numbers_their_worth(public, make):
    body = (b'{"text":"a","bag":{"b":1,"a":2.50,"c":1e2,"d":-0.0,"e":12345678901234567,"10":0.1,'
            b'"9":null}}')
    response = public.post("/everything", data=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 201
    got = json.loads(response.text)["bag"]
    assert list(got) == ["b", "a", "c", "d", "e", "10", "9"]
    assert got == {"b": 1, "a": 2.5, "c": 100, "d": 0, "e": 12345678901234567, "10": 0.1, "9": None}
    public.delete(f"/everything/{response.json()['uid']}")


# Files with mistakes

def refused(definition, name="things"):
    """Expects `trestle check` and a start to refuse a definition alike, and gives what was said."""
    server = Server({name: definition})
    try:
        checked = server.program("check")
        assert checked.returncode != 0, checked.stdout + checked.stderr
        said = checked.stdout + checked.stderr
        started = server.refuses_to_start()
        for line in re.findall(r"^.*\.yaml:\d+:\d+:.*$", said, re.M):
            assert line in started
        return said
    finally:
        server.close()


def place(said, line, name="things"):
    """Expects a message with that line of the file."""
    found = re.findall(rf"{name}\.yaml:(\d+):(\d+): (.+)", said)
    assert str(line) in [each[0] for each in found], said
    return [text for number, _, text in found if number == str(line)]


def test_a_misspelt_keyword_is_refused_with_its_line():
    said = refused(
        "properties:\n  a: {type: string, maxLength: 5}\n  b: {type: string, maxLenght: 5}\n")
    message, = place(said, 3)
    assert "maxLenght" in message and "maxLength" in message


MISTAKES = [
    (1, "propertees: {}\n"), (1, "[]\n"), (1, "x\n"), (2, "properties:\n  a: {type: strin}\n"),
    (2, "properties:\n  A: {type: string}\n"), (2, "properties:\n  limit: {type: string}\n"),
    (2, "properties:\n  _a: {type: string}\n"),
    (2, "properties:\n  a: {type: string, format: dat}\n"),
    (2, "properties:\n  a: {type: string, pattern: '('}\n"),
    (2, "properties:\n  a: {type: string, minLength: -1}\n"),
    (2, "properties:\n  a: {type: string, minLength: 5, maxLength: 4}\n"),
    (2, "properties:\n  a: {type: integer, minimum: x}\n"),
    (2, "properties:\n  a: {type: string, default: 5}\n"),
    (2, "properties:\n  a: {type: integer, default: 5, maximum: 4}\n"),
    (2, "properties:\n  a: {type: string, format: decimal}\n"),
    (2, "properties:\n  a: {type: string, scale: 2}\n"),
    (2, "properties:\n  a: {type: string, default_expression: nope}\n"),
    (2, "properties:\n  a: {type: string, $ref: x}\n"), (2, "properties:\n  a: {allOf: []}\n"),
    (2, "properties:\n  a: {type: integer, pattern: x}\n"),
    (2, "properties:\n  a: {type: string, type: string}\n"),
    (3, "properties:\n  a: {type: string}\nrequired: [b]\n"),
    (3, "properties:\n  a: {type: string}\nunique: [[a]]\n"),
    (3, "properties:\n  a: {type: string}\nunique: [a]\n"),
    (3, "properties:\n  a: {type: string}\nindexes: [[b]]\n"),
    (4, "properties:\n  a: {type: string}\nchecks:\n  c: a = 1\n"),
    (4, "properties:\n  a: {type: string}\nchecks:\n  c: b = 'x'\n"),
    (4, "properties:\n  a: {type: string}\nchecks:\n  c: a\n"),
    (5, "properties:\n  a: {type: string}\nfilters:\n  f:\n    g: a = \n"),
    (4, "properties:\n  a: {type: string}\nfilters:\n  a:\n    g: a = 'x'\n"),
    (4, "properties:\n  a: {type: string}\nfilters:\n  sort:\n    g: a = 'x'\n"),
    (1, "key: a\nproperties:\n  a: {type: string}\n"), (1, "key: {id: serial}\nproperties: {}\n"),
    (1, "key: {id: sha256(b)}\nproperties:\n  a: {type: string}\n"),
    (1, "key: b\nproperties:\n  a: {type: string}\n"),
    (1, "access: {read: everyone}\nproperties: {}\n"), (1, "access: {reed: key}\nproperties: {}\n"),
    (1, "actions: [lst]\nproperties: {}\n"),
    (3, "properties:\n  a: {type: string}\nlifecycle: {property: s, states: []}\n"),
    (3, "properties:\n  a: {type: string}\nlifecycle: {property: a, states: [x, x]}\n"),
    (3, "properties:\n  a: {type: string\n"),
    (2, "properties:\n\ta: {type: string}\n"), (2, "properties:\n  a: {type: array, items: 5}\n"),
    (2, "properties:\n  a: {type: object, properties: {b: {type: x}}}\n"),
    (2, "properties:\n  a: {type: object, required: [b], properties: {c: {}}}\n"),
    (2, "properties:\n  a: {type: integer, multipleOf: 0}\n"),
    (2, "properties:\n  a: {enum: []}\n"), (2, "properties:\n  a: {type: string, enum: [1]}\n"),
    (2, "properties:\n  a: {type: [string, strin]}\n"),
    (2, "properties:\n  a: {type: string, was: A}\n"),
    (2, "properties:\n  a: {type: string, minItems: 1}\n"),
]


@pytest.mark.parametrize("line, definition", MISTAKES)
def test_mistakes_have_their_line(line, definition):
    server = Server({"things": definition})
    try:
        checked = server.program("check")
        assert checked.returncode not in (0, None), f"taken:\n{definition}"
        place(checked.stdout + checked.stderr, line)
    finally:
        server.close()


def test_all_mistakes_are_told_at_once():
    said = refused("""propertees: 1
properties:
  a: {type: strin}
  b: {type: string, maxLenght: 1}
  c: {type: string, minLength: 2, maxLength: 1}
  d: {type: object, properties: {e: {type: nope}}}
required: [z]
unknown: 1
""")
    for line in (1, 3, 4, 5, 6, 7, 8):
        place(said, line)


def test_all_mistakes_of_expressions_are_told_at_once():
    said = refused("""properties:
  a: {type: string}
  b: {type: integer, default_expression: later()}
checks:
  one: a <
  two: a = 1
  three: c is null
filters:
  kind:
    x: a and b
    y: b + 1 = 2
""")
    for line in (3, 5, 6, 7, 10, 11):
        place(said, line)


def test_mistakes_in_several_files_are_told_at_once():
    server = Server({"one": "propertees: {}\n", "two": "properties:\n  a: {type: x}\n",
                     "three": "properties:\n  a: {type: string}\n"})
    try:
        said = server.program("check")
        said = said.stdout + said.stderr
        place(said, 1, "one")
        place(said, 2, "two")
        assert "three.yaml:" not in said
    finally:
        server.close()


@pytest.mark.parametrize("name", ["Things", "1things", "things-2", "keys", "docs", "metrics",
                                  "x" * 64])
def test_names_that_a_resource_cannot_have(name):
    server = Server({name: "properties: {}\n"})
    try:
        assert server.program("check").returncode != 0
    finally:
        server.close()


def test_check_of_what_is_right():
    server = Server({"everything": EVERYTHING}, defaults=True)
    try:
        server.program("check", check=0)
        assert not server.data.exists()
    finally:
        server.close()
