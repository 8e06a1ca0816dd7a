"""Any sequence of creates, replaces, patches and deletes gives what a simple model gives."""

import functools

import hypothesis
import hypothesis.strategies as st
from hypothesis.stateful import (Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule,
                                 run_state_machine_as_test)

from conftest import HUNT
from harness import pointers, problem

DEFINITIONS = {"things": """
access: {read: public, write: public}
required: [label]
properties:
  label:   {type: string, minLength: 1, maxLength: 20}
  code:    {type: string, maxLength: 4}
  whole:   {type: integer}
  small:   {type: integer, minimum: -3, maximum: 3, default: 2}
  real:    {type: number}
  flag:    {type: boolean, default: false}
  price:   {type: string, format: decimal, scale: 3}
  day:     {type: string, format: date}
  instant: {type: string, format: date-time}
  uid:     {type: string, format: uuid}
  maybe:   {type: [string, "null"], maxLength: 12}
  store:
    type: object
    properties:
      city:  {type: string, maxLength: 10}
      lat:   {type: number}
      inner: {type: object, properties: {deep: {type: [integer, "null"]}}}
  bag:     {type: object}
  list:    {type: array, items: {type: [integer, string, "null"]}, maxItems: 4}
  locked:  {type: integer, default: 1, readOnly: true}
unique: [[code]]
checks:
  small_is_smaller: whole is null or small is null or whole >= small
indexes: [[whole], [label, flag]]
"""}

TEXT = st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"),
               max_size=10)
BIG = st.integers(-2**63, 2**63 - 1)
REAL = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(st.none() | st.booleans() | BIG | REAL | TEXT,
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(TEXT, inner, max_size=3), max_leaves=5)
INSTANT = st.datetimes().map(
    lambda t: f"{t.year:04}-{t:%m-%dT%H:%M:%S}.{t.microsecond // 1000:03}Z")


def decimal(thousandths):
    sign, digits = "-" if thousandths < 0 else "", f"{abs(thousandths):04}"
    return f"{sign}{digits[:-3]}.{digits[-3:]}"


VALUES = {
    "label": st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"),
                     min_size=1, max_size=20),
    "code": st.sampled_from(["a", "b", "c", "d", "🎉"]),
    "whole": BIG | st.integers(-5, 5),
    "small": st.integers(-3, 3),
    "real": REAL,
    "flag": st.booleans(),
    "price": st.integers(-2**63, 2**63 - 1).map(decimal),
    "day": st.dates().map(str),
    "instant": INSTANT,
    "uid": st.uuids().map(str),
    "maybe": TEXT,
    "store": st.fixed_dictionaries({}, optional={
        "city": TEXT, "lat": REAL | st.integers(-9, 9),
        "inner": st.fixed_dictionaries({}, optional={"deep": BIG})}),
    "bag": st.dictionaries(TEXT, JSON, max_size=3),
    "list": st.lists(BIG | TEXT | st.none(), max_size=4),
}
WRONG = {
    "label": st.sampled_from(["", "x" * 21, 1, None, []]),
    "code": st.sampled_from(["12345", 1, {}]), "whole": st.sampled_from(["1", 1.5, True, 1e30, []]),
    "small": st.sampled_from([4, -4, "0"]), "real": st.sampled_from(["1", True, []]),
    "flag": st.sampled_from([0, 1, "true"]),
    "price": st.sampled_from([1, "1.2345", "x", "9223372036854775.808"]),
    "day": st.sampled_from(["2001-02-29", 1, ""]),
    "instant": st.sampled_from(["2001-02-28", 0, "2001-02-29T00:00:00Z"]),
    "uid": st.sampled_from(["x", 1]), "maybe": st.sampled_from([True, 1.5, [], {}, "x" * 13]),
    "store": st.sampled_from([[], "x", {"nope": 1}, {"city": 1}, {"inner": {"deep": "x"}}]),
    "bag": st.sampled_from([[], "x", 1]), "list": st.sampled_from([{}, [1.5], [1] * 5, "x"]),
    "locked": st.sampled_from([2, "1"]), "nope": st.sampled_from([1, None]),
}
DEFAULTS = {"small": 2, "flag": False, "locked": 1}
NAMES = [*VALUES, "locked"]

RECORD = st.fixed_dictionaries({"label": VALUES["label"]}, optional={
    name: values | st.none() for name, values in VALUES.items() if name != "label"})
PATCH = st.fixed_dictionaries({}, optional={
    name: values if name == "label" else values | st.none() for name, values in VALUES.items()})
FAULTY = st.sampled_from(sorted(WRONG)).flatmap(lambda name: st.tuples(st.just(name), WRONG[name]))


def merge(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def without_null_members(name, value):
    """How an object is compared whose absent members may be shown as null, or not at all."""
    if name != "store" or value is None:
        return value
    return {each: without_null_members("store", inner) if each == "inner" else inner
            for each, inner in value.items() if inner is not None}


def satisfies_check(record):
    return record["whole"] is None or record["small"] is None or record["whole"] >= record["small"]


def same(shown, record):
    assert set(shown) == {"id", *NAMES}
    for name in NAMES:
        got, expected = (without_null_members(name, each[name]) for each in (shown, record))
        # 1 and True are equal in Python, but not in JSON.
        assert got == expected and isinstance(got, bool) == isinstance(expected, bool), name
        if isinstance(expected, dict):
            assert list(got) == list(expected), f"{name}: another order of members"


class Things(RuleBasedStateMachine):
    client = None
    keys = Bundle("keys")

    def __init__(self):
        super().__init__()
        self.model = {}
        self.last = 0

    def taken(self, record, key=None):
        return record["code"] is not None and any(
            other["code"] == record["code"] for each, other in self.model.items() if each != key)

    def expect_refusal(self, response, record, key=None):
        """Where the model refuses a record, so must the program."""
        if not satisfies_check(record):
            assert "small_is_smaller" in str(problem(response, 400, "invalid-body"))
        elif self.taken(record, key):
            assert "code" in str(problem(response, 409, "conflict"))
        else:
            return False
        return True

    @rule(target=keys, body=RECORD)
    def create(self, body):
        record = dict.fromkeys(NAMES) | body
        for name, value in DEFAULTS.items():
            if record[name] is None:
                record[name] = value
        response = self.client.post("/things", body)
        if self.expect_refusal(response, record):
            return multiple()
        assert response.status_code == 201, response.text
        shown = response.json()
        same(shown, record)
        assert shown["id"] > self.last
        self.last = shown["id"]
        self.model[shown["id"]] = record
        return shown["id"]

    @rule(key=keys, body=RECORD)
    def replace(self, key, body):
        response = self.client.put(f"/things/{key}", body)
        if key not in self.model:
            problem(response, 404)
            return
        record = dict.fromkeys(NAMES) | body | {"locked": self.model[key]["locked"]}
        if self.expect_refusal(response, record, key):
            return
        assert response.status_code == 200, response.text
        same(response.json(), record)
        self.model[key] = record

    @rule(key=keys, patch=PATCH)
    def update(self, key, patch):
        response = self.client.patch(f"/things/{key}", patch)
        if key not in self.model:
            problem(response, 404)
            return
        stored = {name: value for name, value in self.model[key].items() if value is not None}
        merged = merge(stored, patch)
        record = dict.fromkeys(NAMES) | merged
        if self.expect_refusal(response, record, key):
            return
        assert response.status_code == 200, response.text
        same(response.json(), record)
        self.model[key] = record

    @rule(key=keys)
    def put_back(self, key):
        if key in self.model:
            got = self.client.get(f"/things/{key}")
            response = self.client.put(f"/things/{key}", data=got.content,
                                       headers={"Content-Type": "application/json"})
            assert response.status_code == 200
            assert response.content == got.content

    @rule(key=consumes(keys))
    def delete(self, key):
        response = self.client.delete(f"/things/{key}")
        if self.model.pop(key, None) is None:
            problem(response, 404)
        else:
            assert response.status_code == 204

    @rule(key=keys, fault=FAULTY, body=RECORD)
    def refuse(self, key, fault, body):
        name, value = fault
        if name == "nope" or value is not None:
            body = {**body, name: value}
        else:
            body = {**body, "label": ""}
            name = "label"
        requests = [self.client.post("/things", body)]
        if key in self.model:
            requests += [self.client.put(f"/things/{key}", body)]
        for response in requests:
            found = pointers(response)
            assert any(each.startswith(f"/{name}") for each in found), (found, body)

    @rule(key=keys)
    def read(self, key):
        response = self.client.get(f"/things/{key}")
        if key in self.model:
            same(response.json(), self.model[key])
        else:
            problem(response, 404)

    @rule(sort=st.sampled_from(["id", "-id", "whole", "-label", "flag,-whole", "-code,real",
                                "-instant", "price", "-price,day", "uid", "real"]),
          limit=st.integers(1, 7))
    def walk(self, sort, limit):
        keys = [*sort.split(",")]
        if keys[-1].lstrip("-") != "id":
            keys.append("-id" if keys[-1].startswith("-") else "id")

        def compare(a, b):
            for key in keys:
                name = key.lstrip("-")
                x, y = (a, b) if name == "id" else (self.model[a][name], self.model[b][name])
                if x == y:
                    continue
                if name == "price":
                    x, y = (None if each is None else int(each.replace(".", "")) for each in (x, y))
                less = x is None or (y is not None and x < y)
                return (-1 if less else 1) * (-1 if key.startswith("-") else 1)
            return 0
        expected = sorted(self.model, key=functools.cmp_to_key(compare))
        pages = list(self.client.walk("/things", sort=sort, limit=limit))
        assert [record["id"] for page in pages for record in page] == expected
        assert all(len(page) == limit for page in pages[:-1])

    @invariant()
    def everything_is_there(self):
        shown = self.client.list("/things", limit=1000)
        assert [record["id"] for record in shown] == sorted(self.model)
        for record in shown:
            same(record, self.model[record["id"]])

    def teardown(self):
        for record in self.client.list("/things", limit=1000, fields="id"):
            self.client.delete(f"/things/{record['id']}")


def test_any_sequence_of_writes(server):
    Things.client = server.public
    run_state_machine_as_test(Things, settings=hypothesis.settings(
        max_examples=60 * max(HUNT, 1), stateful_step_count=30))
