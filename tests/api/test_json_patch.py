"""PATCH by RFC 6902: all operations or none, under the record's version."""

import copy
import json
import threading

import hypothesis
import pytest
from hypothesis import strategies

from conftest import HUNT
from harness import pointers, problem

DEFINITIONS = {
    "notes": """
access: {read: public, write: public}
required: [title]
properties:
  title:  {type: string, minLength: 1, maxLength: 100}
  size:   {type: integer, minimum: 0}
  price:  {type: string, format: decimal, scale: 2}
  tags:   {type: array, maxItems: 20}
  free:   {type: object}
  place:
    type: object
    properties:
      city: {type: string, maxLength: 50}
      zip:  {type: string, maxLength: 10}
  made:   {type: string, format: date-time, default_expression: now(), readOnly: true}
  secret: {type: string, maxLength: 100, writeOnly: true}
checks:
  small_or_dear: size is null or size < 100 or price > 10
""",
}

PATCH = {"Content-Type": "application/json-patch+json"}
NOTE = {"title": "a", "size": 1, "tags": [1, "x", {"y": [None]}], "free": {"a": {"b": 1}, "c~/d": 2},
        "place": {"city": "Rome"}}


@pytest.fixture
def note(public):
    return public.create("/notes", {**NOTE, "secret": "hush"})


def path_of(note):
    return f"/notes/{note['id']}"


def patch(client, note, *operations, **headers):
    return client.patch(path_of(note), list(operations), headers={**PATCH, **headers})


def add(path, value):
    return {"op": "add", "path": path, "value": value}


def replace(path, value):
    return {"op": "replace", "path": path, "value": value}


def expects(path, value):
    return {"op": "test", "path": path, "value": value}


def remove(path):
    return {"op": "remove", "path": path}


def move(source, path):
    return {"op": "move", "from": source, "path": path}


def duplicate(source, path):
    return {"op": "copy", "from": source, "path": path}


def test_all_operations(public, note):
    response = patch(public, note, expects("/title", "a"), replace("/title", "b"),
                     add("/tags/0", "first"), add("/tags/-", "last"), remove("/tags/1"),
                     move("/free/a", "/free/e"), duplicate("/place/city", "/place/zip"),
                     remove("/free/c~0~1d"), remove("/size"), add("/price", "1.5"))
    assert response.status_code == 200
    expected = {**note, "title": "b", "tags": ["first", "x", {"y": [None]}, "last"],
                "free": {"e": {"b": 1}}, "place": {"city": "Rome", "zip": "Rome"}, "size": None,
                "price": "1.50"}
    assert response.json() == expected == public.get(path_of(note)).json()
    assert response.headers["ETag"] == public.get(path_of(note)).headers["ETag"]
    assert patch(public, note).json() == expected


def test_an_empty_property_is_null(public, note):
    """It is shown, so it is there."""
    assert patch(public, note, expects("/price", None), replace("/price", "2.00"),
                 remove("/size")).json() == {**note, "price": "2.00", "size": None}


@pytest.mark.parametrize("operations, place", [
    ([expects("/title", "b")], "/0"),
    ([replace("/title", "c"), expects("/size", 2)], "/1"),
    ([remove("/nothing")], "/0"),
    ([replace("/title", "c"), remove("/tags/9")], "/1"),
    ([replace("/title", "c"), add("/free/x/y", 1)], "/1"),
    ([replace("/title", "c"), remove("")], "/1"),
    ([add("/tags/4", 1)], "/0"),
    ([duplicate("/nothing", "/title")], "/0"),
])
def test_what_does_not_fit_the_record_is_a_conflict(public, note, operations, place):
    value = problem(patch(public, note, *operations), 409, "patch-conflict")
    assert [error["pointer"] for error in value["errors"]] == [place]
    assert public.get(path_of(note)).json() == note


@pytest.mark.parametrize("body, places", [
    ({}, [""]),
    ([1], ["/0"]),
    ([{"op": "remove"}, {"op": "add", "path": "/a"}], ["/0/path", "/1/value"]),
    ([{"op": "increment", "path": "/size"}], ["/0/op"]),
    ([remove("title")], ["/0/path"]),
    ([remove("/~")], ["/0/path"]),
    ([move("/free", "/free/a")], ["/0/from"]),
    ([expects("", {})] * 1001, [""]),
])
def test_what_is_no_patch(public, note, body, places):
    assert pointers(public.patch(path_of(note), body, headers=PATCH)) == places
    assert public.get(path_of(note)).json() == note


@pytest.mark.parametrize("operations, places", [
    ([replace("/size", -1), replace("/title", "")], ["/title", "/size"]),
    ([remove("/title")], ["/title"]),
    ([add("/unknown", 1)], ["/unknown"]),
    ([add("/unknown", None)], ["/unknown"]),
    ([add("/place/country", "Italy")], ["/place/country"]),
    ([replace("/id", 7)], ["/id"]),
    ([remove("/id")], ["/id"]),
    ([remove("/made")], ["/made"]),
    ([replace("/made", "2001-01-01T00:00:00Z")], ["/made"]),
    ([replace("/size", 100)], [""]),
    ([replace("", [])], [""]),
    ([replace("", {})], ["/id", "/title", "/made"]),
])
def test_the_result_must_be_a_record(public, note, operations, places):
    """Told by its places in the record."""
    assert sorted(pointers(patch(public, note, *operations))) == sorted(places)
    assert public.get(path_of(note)).json() == note


def test_the_whole_record(public, note):
    whole = {"id": note["id"], "made": note["made"], "title": "new"}
    empty = dict.fromkeys(("size", "price", "tags", "free", "place"))
    assert patch(public, note, expects("", note), replace("", whole)).json() == {**whole, **empty}


def test_what_is_never_shown_is_not_told(public, note):
    for operation in (expects("/secret", "hush"), expects("/secret", None), remove("/secret"),
                      duplicate("/secret", "/title"), move("/secret", "/title")):
        problem(patch(public, note, operation), 409, "patch-conflict")
    assert "secret" not in patch(public, note, add("/secret", "new")).json()
    assert pointers(patch(public, note, add("/secret", 1))) == ["/secret"]


def test_what_is_never_shown_stays(server, public, note):
    def stored():
        with server.store.connect(server.folder) as connection:
            return connection.execute(
                f"SELECT secret FROM notes WHERE id = {note['id']}").fetchone()[0]
    assert patch(public, note, replace("/title", "b")).status_code == 200
    assert stored() == "hush"
    assert patch(public, note, add("/secret", "new")).status_code == 200
    assert stored() == "new"
    assert patch(public, note, add("/secret", None)).status_code == 200
    assert stored() is None


def test_a_test_is_a_precondition(public, note):
    """Each adds one if it is what it was: of those that read the same, one does."""
    counted = []

    def count():
        for _ in range(20):
            seen = public.get(path_of(note)).json()["size"]
            answer = patch(public, note, expects("/size", seen), replace("/size", seen + 1))
            if answer.status_code == 200:
                counted.append(answer.json()["size"])
            else:
                problem(answer, 409, "patch-conflict")
    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counted) == list(range(2, len(counted) + 2))


def test_conditions(public, note):
    tag = public.get(path_of(note)).headers["ETag"]
    assert patch(public, note, replace("/title", "b"), **{"If-Match": tag}).status_code == 200
    problem(patch(public, note, expects("/title", "x"), **{"If-Match": tag}), 412)


def test_a_patch_that_grows(public, note):
    """In depth, and twofold with each operation."""
    for operation in (duplicate("/free", "/free/x"), duplicate("/tags", "/tags/-")):
        problem(patch(public, note, *[operation] * 70), 409, "patch-conflict")
    assert public.get(path_of(note)).json() == note


def test_the_types_of_patches(public, note):
    types = {"application/json", "application/merge-patch+json", "application/json-patch+json"}
    response = public.options(path_of(note))
    assert set(response.headers["Accept-Patch"].split(", ")) == types
    for kind in ("text/plain", "application/json-patch", "application/x-www-form-urlencoded"):
        response = public.patch(path_of(note), [], headers={"Content-Type": kind})
        problem(response, 415, "unsupported-media-type")
        assert set(response.headers["Accept-Patch"].split(", ")) == types
    response = public.put(path_of(note), {}, headers=PATCH)
    problem(response, 415)
    assert response.headers["Accept"] == "application/json"
    response = public.post("/notes", {}, headers=PATCH)
    problem(response, 415)
    assert "application/json" in response.headers["Accept-Post"]
    assert public.options("/notes").headers["Accept-Post"] == response.headers["Accept-Post"]
    response = public.patch(path_of(note), {}, headers={"Content-Encoding": "gzip"})
    problem(response, 415)
    assert response.headers["Accept-Encoding"] == "identity"


# What Python makes of a patch, to compare with. (RFC 6902, as short as it can be said.)

class Conflict(Exception):
    pass


def tokens(pointer):
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def index(items, token, behind):
    if token == "-" and behind:
        return len(items)
    if not (token.isascii() and token.isdigit()) or (token != "0" and token[0] == "0"):
        raise Conflict
    if int(token) > len(items) - (not behind):
        raise Conflict
    return int(token)


def parent_of(document, pointer):
    *way, last = tokens(pointer)
    for token in way:
        document = child(document, token)
    if not isinstance(document, (dict, list)):
        raise Conflict
    return document, last


def child(document, token):
    if isinstance(document, dict) and token in document:
        return document[token]
    if isinstance(document, list):
        return document[index(document, token, False)]
    raise Conflict


def value_at(document, pointer):
    for token in tokens(pointer):
        document = child(document, token)
    return document


def put(document, pointer, value):
    parent, last = parent_of(document, pointer)
    if isinstance(parent, dict):
        parent[last] = value
    else:
        parent.insert(index(parent, last, True), value)


def take(document, pointer):
    parent, last = parent_of(document, pointer)
    child(parent, last)
    return parent.pop(last if isinstance(parent, dict) else int(last))


def same(a, b):
    """Python takes true for 1."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def apply(document, operations):
    document = copy.deepcopy(document)
    for operation in operations:
        path, source = operation["path"], operation.get("from")
        value = copy.deepcopy(operation.get("value"))
        if operation["op"] == "add":
            put(document, path, value)
        elif operation["op"] == "replace":
            value_at(document, path)
            parent, last = parent_of(document, path)
            parent[last if isinstance(parent, dict) else int(last)] = value
        elif operation["op"] == "remove":
            take(document, path)
        elif operation["op"] == "test":
            if not same(value_at(document, path), value):
                raise Conflict
        elif operation["op"] == "copy":
            put(document, path, copy.deepcopy(value_at(document, source)))
        elif source == path:
            value_at(document, path)
        else:
            put(document, path, take(document, source))
    return document


VALUES = strategies.recursive(
    strategies.sampled_from([None, True, 1, 1.5, "", "a", "~/"]),
    lambda inner: strategies.lists(inner, max_size=3) |
    strategies.dictionaries(strategies.sampled_from(["a", "b", "0", "-", "", "~", "/"]), inner,
                            max_size=3), max_leaves=6)
POINTERS = strategies.lists(strategies.sampled_from(["a", "b", "0", "1", "-", "01", "", "~0", "~1"]),
                            max_size=3).map(lambda way: "/free" + "".join("/" + token
                                                                           for token in way))
OPERATIONS = strategies.one_of(
    strategies.builds(add, POINTERS, VALUES), strategies.builds(replace, POINTERS, VALUES),
    strategies.builds(expects, POINTERS, VALUES), strategies.builds(remove, POINTERS),
    strategies.builds(move, POINTERS, POINTERS), strategies.builds(duplicate, POINTERS, POINTERS))


@hypothesis.settings(max_examples=HUNT * 100 or 150)
@hypothesis.given(free=strategies.dictionaries(strategies.sampled_from(["a", "b", "0", "", "~", "/"]),
                                               VALUES, max_size=4),
                  operations=strategies.lists(OPERATIONS, max_size=4))
def test_any_patch_is_applied_whole_or_not_at_all(public, free, operations):
    note = public.create("/notes", {"title": "any", "free": free})
    before = public.get(path_of(note))
    response = patch(public, note, *operations)
    after = public.get(path_of(note))
    if any(each["op"] == "move" and each["path"].startswith(each["from"] + "/")
           for each in operations):
        problem(response, 400, "invalid-body")
    else:
        try:
            expected = apply(note, operations)
        except Conflict:
            problem(response, 409, "patch-conflict")
        else:
            if isinstance(expected.setdefault("free", None), (dict, type(None))):
                assert response.status_code == 200, response.text
                assert same(response.json(), expected)
                assert same(after.json(), expected)
                return
            problem(response, 400, "invalid-body")
    assert after.content == before.content
    assert after.headers["ETag"] == before.headers["ETag"]
