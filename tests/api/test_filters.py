"""Any filter gives what a straightforward evaluator gives, and any order what sorting gives."""

import datetime
import functools
import itertools

import hypothesis
import hypothesis.strategies as st
import pytest

from conftest import HUNT

DEFINITIONS = {"things": """
access: {read: public, write: public}
properties:
  batch:   {type: integer}
  whole:   {type: integer}
  other:   {type: integer}
  real:    {type: number}
  ratio:   {type: number}
  price:   {type: string, format: decimal, scale: 2}
  cost:    {type: string, format: decimal, scale: 2}
  text:    {type: string, maxLength: 100}
  label:   {type: string, maxLength: 200}
  flag:    {type: boolean}
  day:     {type: string, format: date}
  instant: {type: string, format: date-time}
  until:   {type: string, format: date-time}
  uid:     {type: string, format: uuid}
  place:
    type: object
    properties:
      city:  {type: string}
      floor: {type: integer}
      lat:   {type: number}
      open:  {type: boolean}
      inner: {type: object, properties: {city: {type: string}, floor: {type: integer}}}
indexes: [[batch, whole], [text], [batch, instant]]
"""}

# Values with many ties, and those at which things go wrong: the ends of ranges, the neighbours of
# what a double holds exactly, characters beyond the BMP (where UTF-16 sorts otherwise), wildcards,
# quotes.
WHOLE = st.sampled_from([0, 1, -1, 2, 7, 2**53, 2**53 + 1, -2**53 - 1, 2**63 - 1, 2**63 - 2, -2**63,
                         -2**63 + 1]) | st.integers(-9, 9)
REAL = (st.sampled_from([0.0, -0.0, 0.5, -1.5, 1e300, -1e300, 5e-324, 2.0**53, 2.0**63, -2.0**63,
                         0.1, 1.0, 7.0])
        | st.floats(allow_nan=False, allow_infinity=False))
CENTS = st.sampled_from([0, 1, -1, 50, 100, 150, 999, -2**63, 2**63 - 1]) | st.integers(-999, 999)
ALPHABET = ("aAbBäÄzZ~%_\\'\"*?[. \t\n0\u0301\u00df\ue000\uffff\uff5e"
            "\U00010000\U0001F389\U0010ffff")
TEXT = st.text(alphabet=ALPHABET, max_size=4) | st.text(
    alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=6)
DAY = st.sampled_from(["0001-01-01", "9999-12-31", "2000-02-29", "1999-12-31",
                       "2000-01-01"]) | st.dates().map(str)
MILLISECONDS = (st.integers(-62135596800000 + 86400000, 253402300799999 - 86400000)
                | st.sampled_from([0, -1, 1, 999, 1000, 1470386451620, 1470386451621])
                | st.integers(-5, 5))
UUID = st.sampled_from(["00000000-0000-0000-0000-000000000000",
                        "ffffffff-ffff-ffff-ffff-ffffffffffff",
                        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
                        "a17f22e2-79b0-7cc3-98c4-dc0c0c07398f"])

EPOCH = datetime.datetime(1970, 1, 1)


def written_instant(milliseconds, offset=0):
    """RFC 3339, in some zone."""
    local = EPOCH + datetime.timedelta(milliseconds=milliseconds, minutes=offset)
    sign, minutes = "-" if offset < 0 else "+", abs(offset)
    zone = f"{sign}{minutes // 60:02}:{minutes % 60:02}" if offset else "Z"
    return f"{local.year:04}-{local:%m-%dT%H:%M:%S}.{local.microsecond // 1000:03}{zone}"


def written_decimal(cents):
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


# How the values of a kind are made; how they stand in JSON; how they stand in an expression.
KINDS = {
    "integer": (WHOLE, lambda value: value, repr),
    "real": (REAL, lambda value: value, lambda value: repr(value)),
    "decimal": (CENTS, written_decimal, None),
    "text": (TEXT, lambda value: value, lambda value: "'" + value.replace("'", "''") + "'"),
    "boolean": (st.booleans(), lambda value: value, lambda value: "true" if value else "false"),
    "date": (DAY, lambda value: value, lambda value: f"'{value}'"),
    "instant": (MILLISECONDS, written_instant, None),
    "uuid": (UUID, lambda value: value, None),
}
PROPERTIES = {"whole": "integer", "other": "integer", "real": "real", "ratio": "real",
              "price": "decimal", "cost": "decimal",
              "text": "text", "label": "text", "flag": "boolean", "day": "date",
              "instant": "instant", "until": "instant", "uid": "uuid"}
MEMBERS = {("place", "city"): "text", ("place", "floor"): "integer", ("place", "lat"): "real",
           ("place", "open"): "boolean",
           ("place", "inner", "city"): "text", ("place", "inner", "floor"): "integer"}


@st.composite
def a_record(draw):
    """A record as the evaluator sees it: values of their kind by path."""
    record = {}
    for name, kind in PROPERTIES.items():
        if draw(st.integers(0, 3)):
            record[(name,)] = draw(KINDS[kind][0])
    record[("place",)] = draw(st.booleans()) or None
    if record[("place",)]:
        for path, kind in MEMBERS.items():
            if draw(st.integers(0, 2)):
                record[path] = draw(KINDS[kind][0])
    return record


def as_json(record):
    body = {}
    for path, value in record.items():
        if value is None:
            continue
        if path == ("place",):
            body.setdefault("place", {})
            continue
        target = body
        for name in path[:-1]:
            target = target.setdefault(name, {})
        kind = MEMBERS.get(path) or PROPERTIES[path[0]]
        target[path[-1]] = KINDS[kind][1](value)
    return body


PATHS = {}
for _path, _kind in [*(((name,), kind) for name, kind in PROPERTIES.items()), *MEMBERS.items()]:
    PATHS.setdefault(_kind, []).append(_path)
COMPARISONS = {
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b,
    "<": lambda a, b: a is not None and b is not None and a < b,
    "<=": lambda a, b: a is not None and b is not None and a <= b,
    ">": lambda a, b: a is not None and b is not None and a > b,
    ">=": lambda a, b: a is not None and b is not None and a >= b,
}


# An expression is drawn as its source and a function of a record.

@st.composite
def a_literal(draw, kind):
    value = draw(KINDS[kind][0])
    if kind == "decimal":
        text = written_decimal(value)
        if value % 100 == 0 and draw(st.booleans()):
            text = text[:-3]
        return (f"'{text}'" if draw(st.booleans()) else text), value
    if kind == "instant":
        return f"'{written_instant(value, draw(st.integers(-1439, 1439)))}'", value
    if kind == "uuid":
        return f"'{value.upper() if draw(st.booleans()) else value}'", value
    if kind == "real" and draw(st.booleans()):
        whole = draw(st.integers(-20, 20))
        return repr(whole), float(whole)
    if kind == "integer" and draw(st.integers(0, 4)) == 0:
        # A number that is none of the integers, or one in other words.
        tenths = draw(st.integers(-50, 50))
        sign, digits = "-" if tenths < 0 else "", abs(tenths)
        return f"{sign}{digits // 10}.{digits % 10}", tenths / 10
    return KINDS[kind][2](value), value


@st.composite
def a_term(draw, kind):
    if draw(st.booleans()):
        path = draw(st.sampled_from(PATHS[kind]))
        return ".".join(path), lambda record: record.get(path)
    text, value = draw(a_literal(kind))
    return text, lambda record: value


@st.composite
def a_comparison(draw):
    kind = draw(st.sampled_from(sorted(KINDS)))
    kinds = [kind, kind]
    if kind in ("integer", "real") and draw(st.booleans()):
        kinds[1] = draw(st.sampled_from(["integer", "real"]))
    operators = ["=", "!="] if kind == "boolean" else sorted(COMPARISONS)
    operator = draw(st.sampled_from(operators))
    # One of them is a property, or little would be tried.
    path = draw(st.sampled_from(PATHS[kinds[0]]))
    left_text, left = ".".join(path), lambda record: record.get(path)
    if draw(st.integers(0, 9)) == 0:
        right_text, right = "null", lambda record: None
        operator = draw(st.sampled_from(["=", "!="]))
    elif kinds[0] != kinds[1]:
        # Two properties: a literal would be read as the kind of what it stands beside.
        other = draw(st.sampled_from(PATHS[kinds[1]]))
        right_text, right = ".".join(other), lambda record: record.get(other)
    else:
        right_text, right = draw(a_term(kinds[1]))
    if draw(st.booleans()):
        left_text, left, right_text, right = right_text, right, left_text, left
    space = draw(st.sampled_from(["", " ", " \t"]))
    compare = COMPARISONS[operator]
    text = f"{left_text}{space}{operator}{space}{right_text}"
    return text, lambda record: compare(left(record), right(record))


@st.composite
def an_in(draw):
    kind = draw(st.sampled_from(sorted(KINDS)))
    path = draw(st.sampled_from(PATHS[kind]))
    literals = draw(st.lists(a_literal(kind) | st.just(("null", None)), min_size=1, max_size=4))
    negated = draw(st.booleans())
    inside = ", ".join(text for text, _ in literals)
    text = f"{'.'.join(path)} {'not ' if negated else ''}in ({inside})"
    return text, lambda record: any(record.get(path) == value for _, value in literals) != negated


@st.composite
def a_null_test(draw):
    path = draw(st.sampled_from([("place",), ("place", "inner")]
                                + [each for paths in PATHS.values() for each in paths]))
    negated = draw(st.booleans())

    def value(record):
        if path == ("place", "inner"):
            return any(record.get(each) is not None for each in MEMBERS if each[:2] == path) or None
        return record.get(path)
    text = f"{'.'.join(path)} is {'not ' if negated else ''}null"
    return text, lambda record: (value(record) is None) != negated


@st.composite
def a_search(draw):
    path = draw(st.sampled_from(PATHS["text"]))
    needle_text, needle = draw(a_term("text"))
    starts = draw(st.booleans())

    def search(record):
        whole, part = record.get(path), needle(record)
        if whole is None or part is None:
            return False
        return whole.startswith(part) if starts else part in whole
    return f"{'startsWith' if starts else 'contains'}({'.'.join(path)}, {needle_text})", search


@st.composite
def a_flag(draw):
    path = draw(st.sampled_from(PATHS["boolean"]))
    return ".".join(path), lambda record: record.get(path) is True


def combined(inner):
    def junction(word, function):
        return lambda parts: (f" {word} ".join(f"({text})" for text, _ in parts),
                              lambda record: function(each(record) for _, each in parts))
    parts = st.lists(inner, min_size=2, max_size=3)
    return (parts.map(junction("and", all)) | parts.map(junction("or", any))
            | inner.map(lambda part: (f"not ({part[0]})", lambda record: not part[1](record))))


def unparenthesized(parts):
    """a or b and not c: `not` binds closest, then `and`, then `or`."""
    a, b, c = parts
    return (f"{a[0]} or {b[0]} and not {c[0]}",
            lambda record: a[1](record) or (b[1](record) and not c[1](record)))


SIMPLE = a_comparison() | an_in() | a_null_test() | a_search() | a_flag()
FILTER = (st.recursive(SIMPLE, combined, max_leaves=6)
          | st.tuples(SIMPLE, SIMPLE, SIMPLE).map(unparenthesized))
RECORDS = st.lists(a_record(), min_size=1, max_size=12)
_batches = itertools.count(1)


def load(public, records):
    """Stores records under a batch of their own; gives the batch and the stored keys, in order."""
    batch = next(_batches)
    keys = [public.create("/things", {**as_json(record), "batch": batch})["id"]
            for record in records]
    return batch, keys


def clear(public, keys):
    for key in keys:
        public.delete(f"/things/{key}")


@hypothesis.given(records=RECORDS, filters=st.lists(FILTER, min_size=1, max_size=10))
@hypothesis.settings(max_examples=60 * max(HUNT, 1))
def test_any_filter(public, records, filters):
    batch, keys = load(public, records)
    for text, matches in filters:
        response = public.get("/things",
                              params={"batch": batch, "filter": text, "fields": "id",
                                      "count": "true"})
        assert response.status_code == 200, f"{text}\n{response.text}"
        expected = [key for key, record in zip(keys, records) if matches(record)]
        assert [record["id"] for record in response.json()] == expected, text
        assert response.headers["X-Total-Count"] == str(len(expected)), text
    clear(public, keys)


@hypothesis.given(records=RECORDS, sorts=st.lists(
    st.lists(st.tuples(st.sampled_from(sorted(PROPERTIES)), st.booleans()), min_size=1, max_size=4,
             unique_by=lambda key: key[0]), min_size=1, max_size=5), limit=st.integers(1, 5))
@hypothesis.settings(max_examples=40 * max(HUNT, 1))
def test_any_order(public, records, sorts, limit):
    """Mixed directions, nulls smallest, page by page: forwards by cursors and by offsets."""
    batch, keys = load(public, records)
    rows = dict(zip(keys, records))
    for sort in sorts:
        def compare(a, b):
            for name, descending in sort:
                x, y = rows[a].get((name,)), rows[b].get((name,))
                if x == y:
                    continue
                less = x is None or (y is not None and x < y)
                return (-1 if less else 1) * (-1 if descending else 1)
            return (a > b) - (a < b) if not sort[-1][1] else (b > a) - (b < a)
        expected = sorted(keys, key=functools.cmp_to_key(compare))
        words = [("-" if descending else "") + name for name, descending in sort]
        parameters = {"batch": batch, "sort": ",".join(words),
                      "limit": limit, "fields": "id"}
        walked = [record["id"] for page in public.walk("/things", **parameters) for record in page]
        assert walked == expected, sort
        by_offset = [record["id"] for offset in range(0, len(keys), limit)
                     for record in public.list("/things", **parameters, offset=offset)]
        assert by_offset == expected, sort
    clear(public, keys)


@hypothesis.given(records=RECORDS, kind=st.sampled_from(sorted(KINDS)), data=st.data())
@hypothesis.settings(max_examples=40 * max(HUNT, 1))
def test_any_value_of_a_parameter(public, records, kind, data):
    """PROPERTY=value finds what equals it, as it stands in JSON."""
    batch, keys = load(public, records)
    name = data.draw(st.sampled_from([name for name, each in PROPERTIES.items() if each == kind]))
    present = [record[(name,)] for record in records if (name,) in record]
    value = data.draw(st.sampled_from(present) if present else KINDS[kind][0])
    written = KINDS[kind][1](value)
    written = ("true" if value else "false") if kind == "boolean" else str(written)
    got = public.list("/things", **{"batch": batch, name: written, "fields": "id"})
    assert [record["id"] for record in got] == [
        key for key, record in zip(keys, records) if record.get((name,)) == value]
    clear(public, keys)


@pytest.mark.parametrize("source",
                         ["real = 9007199254740993", "whole > 9007199254740992.5", "whole < 1e19",
                          "whole > -1e19", "whole = 1e2"])
def test_literals_at_the_limits(public, source):
    records = [{("whole",): value, ("real",): float(value)}
               for value in (2**53, 2**53 + 1, 2**63 - 1, -2**63, 100)]
    batch, keys = load(public, records)
    expected = {
        "real = 9007199254740993": lambda record: record[("real",)] == float(9007199254740993),
        "whole > 9007199254740992.5": lambda record: record[("whole",)] > 2**53,
        "whole < 1e19": lambda record: True, "whole > -1e19": lambda record: True,
        "whole = 1e2": lambda record: record[("whole",)] == 100,
    }[source]
    got = public.list("/things", batch=batch, filter=source, fields="id")
    assert [record["id"] for record in got] == [
        key for key, record in zip(keys, records) if expected(record)]
    clear(public, keys)
