"""Filters that look into what records refer to, and into objects."""

import itertools

import hypothesis
import hypothesis.strategies as st
import pytest

import test_filters
from conftest import HUNT
from harness import Server, problem

PUBLIC = "access: {read: public, write: public}\n"
DEFINITIONS = {
    "places": test_filters.DEFINITIONS["things"],
    # Its columns are called as those of the places are, so that no name may stand for the other's.
    "things": PUBLIC + """
properties:
  batch: {type: integer}
  whole: {type: integer}
  text:  {type: string, maxLength: 100}
  flag:  {type: boolean}
  place: {type: integer, references: places}
  other: {type: integer, references: places, on_delete: set-null}
filters:
  size:
    large: place.whole > 5
    alike: place.text = text and other.flag
""",
    "users": PUBLIC + """
key: {id: uuid}
properties:
  name:     {type: string, maxLength: 20}
  password: {type: string, writeOnly: true}
  papers:
    type: object
    properties: {kind: {type: string}, deep: {type: object, properties: {n: {type: integer}}}}
  notes: {type: object}
""",
    "texts": PUBLIC + "key: {digest: sha256(body)}\nrequired: [body]\n"
                      "properties: {body: {type: string, maxLength: 100}}\n",
    "lands": PUBLIC + "key: code\nproperties:\n  name: {type: string}\n"
                      "  code: {type: string, maxLength: 9}\n",
    "safes": "properties: {code: {type: string}}\n",
    "drops": PUBLIC + "actions: [list, create]\nproperties: {a: {type: integer}}\n",
    "cards": PUBLIC + """
properties:
  name: {type: string, maxLength: 20}
  user: {type: string, format: uuid, references: users}
  text: {type: string, references: texts}
  land: {type: string, references: lands}
  next: {type: integer, references: cards, on_delete: set-null}
  safe: {type: integer, references: safes}
  drop: {type: integer, references: drops}
  hidden: {type: integer, references: cards, writeOnly: true}
filters:
  opens: {easily: safe.code = '0000'}
  drops: {low: drop.a < 5}
  pass:  {weak: "contains(user.password, '123')"}
""",
}


# ---- Any condition ----

@st.composite
def joined(draw, name):
    """A condition about places, as one about things that refer to them by `name`."""
    text, matches = draw(test_filters.SIMPLE)
    paths = sorted({".".join(path) for paths in test_filters.PATHS.values() for path in paths}
                   | {"place", "place.inner"}, key=len, reverse=True)
    return prefixed(text, paths, name), lambda thing: matches(thing[name] or {})


def prefixed(text, paths, name):
    """Puts `name.` before each path of an expression, not inside its strings."""
    out, at = [], 0
    while at < len(text):
        if text[at] == "'":
            end = text.index("'", at + 1) + 1
        elif text[at].isalpha():
            end = at
            while end < len(text) and (text[end].isalnum() or text[end] in "._"):
                end += 1
            if text[at:end] in paths:
                out.append(f"{name}.")
        else:
            end = at + 1
        out.append(text[at:end])
        at = end
    return "".join(out)


def test_paths_are_prefixed():
    assert prefixed("text = 'text''s' and contains(place.city, 'x')", ["text", "place.city"], "p") \
        == "p.text = 'text''s' and contains(p.place.city, 'x')"


OWN = st.sampled_from([
    ("whole > 0", lambda thing: (thing["whole"] or 0) > 0),
    ("place is null", lambda thing: thing["place"] is None),
    ("text = place.text",
     lambda thing: thing["text"] == (thing["place"] or {}).get(("text",))),
    ("place.whole < other.whole",
     lambda thing: test_filters.COMPARISONS["<"]((thing["place"] or {}).get(("whole",)),
                                                 (thing["other"] or {}).get(("whole",)))),
    ("other.real != place.whole",
     lambda thing: (thing["other"] or {}).get(("real",)) != (thing["place"] or {}).get(("whole",))),
    ("flag = place.place.open",
     lambda thing: thing["flag"] == (thing["place"] or {}).get(("place", "open"))),
    ("startsWith(place.text, text)",
     lambda thing: None not in (thing["text"], (thing["place"] or {}).get(("text",)))
     and thing["place"][("text",)].startswith(thing["text"])),
])
ANY = st.recursive(joined("place") | joined("other") | OWN, test_filters.combined, max_leaves=5)
PICK = st.none() | st.integers(0, 11)
THINGS = st.lists(st.fixed_dictionaries({
    "place": PICK, "other": PICK, "whole": st.none() | st.integers(-2, 2),
    "text": st.none() | st.sampled_from(["", "a", "\U0001F389"]),
    "flag": st.none() | st.booleans()}), min_size=1, max_size=8)
_batches = itertools.count(1)


@hypothesis.given(places=test_filters.RECORDS, drawn=THINGS,
                  filters=st.lists(ANY, min_size=1, max_size=8))
@hypothesis.settings(max_examples=40 * max(HUNT, 1))
def test_any_filter(public, places, drawn, filters):
    batch = next(_batches)
    keys = [public.create("/places", test_filters.as_json(place))["id"] for place in places]
    things = []
    for each in drawn:
        refers = {name: None if each[name] is None else each[name] % len(keys)
                  for name in ("place", "other")}
        body = {**each, "batch": batch,
                **{name: None if at is None else keys[at] for name, at in refers.items()}}
        key = public.create("/things", body)["id"]
        things.append({**each, "id": key, **{name: None if at is None else places[at]
                                             for name, at in refers.items()}})
    for text, matches in filters:
        parameters = {"batch": batch, "filter": text, "fields": "id", "count": "true", "limit": 3}
        answer = public.get("/things", params=parameters)
        assert answer.status_code == 200, f"{text}\n{answer.text}"
        expected = [thing["id"] for thing in things if matches(thing)]
        assert answer.headers["X-Total-Count"] == str(len(expected)), text
        walked = [record["id"] for page in public.walk("/things", **parameters, expand="place",
                                                       sort="-id") for record in page]
        assert walked == expected[::-1], text
    for thing in things:
        public.delete(f"/things/{thing['id']}")
    for key in keys:
        public.delete(f"/places/{key}")


# ---- Keys of every kind ----

@pytest.fixture(scope="module", name="cards")
def cards_of_all(public):
    users = [public.create("/users", {"name": name, "password": "123",
                                      "papers": {"kind": name, "deep": {"n": 1}}})["id"]
             for name in "ab"]
    texts = [public.post("/texts", {"body": body}).json()["digest"] for body in "ab"]
    lands = [public.create("/lands", {"code": code, "name": code})["code"] for code in "ab"]
    cards = [public.create("/cards", {"name": "none"})]
    for i in range(2):
        cards.append(public.create("/cards", {
            "name": "ab"[i], "user": users[i], "text": texts[i], "land": lands[i],
            "next": cards[i]["id"]}))
    return [card["id"] for card in cards]


@pytest.mark.parametrize("source, expected", [
    ("user.name = 'a'", [1]), ("text.body = 'b'", [2]), ("land.name in ('a', 'b')", [1, 2]),
    ("next.name = 'none'", [1]), ("next.name != 'none'", [0, 2]), ("next.name is null", [0]),
    ("user.papers.kind = 'b'", [2]), ("user.papers.deep.n = 1", [1, 2]),
    ("user.papers is not null", [1, 2]), ("user.notes is null", [0, 1, 2]),
    ("user.name = land.code", [0, 1, 2]), ("user.name = name", [1, 2]),
    ("text.body < land.name", []), ("not startsWith(user.name, 'a')", [0, 2]),
    ("next.next is null", [0, 1]), ("next.land = 'a'", [2]), ("next.user is not null", [2]),
    ("land.code = 'a'", [1]), ("text.digest is null", [0]), ("text.digest = 'zz'", None),
    ("next.id = next", [0, 1, 2]), ("next.id != next", []),
    ("user.name in ('a', null)", [0, 1]), ("contains(land.name, '') and user.name > 'a'", [2]),
])
def test_keys_of_every_kind(public, cards, source, expected):
    if expected is None:
        problem(public.get("/cards", params={"filter": source}), 400, "invalid-filter")
        return
    got = public.list("/cards", filter=source)
    assert [record["id"] for record in got] == [cards[i] for i in expected]


@pytest.mark.parametrize("source, detail", [
    ("user.nope = 1", "filter: at character 6: `nope` is no property of `users`"),
    ("user.password = 'x'", "filter: at character 1: `user.password` cannot be asked for"),
    ("hidden.name = 'x'", "filter: at character 1: `hidden` cannot be asked for"),
    ("next.hidden = 1", "filter: at character 1: `next.hidden` cannot be asked for"),
    ("user = 5", "filter: at character 1: `user` is a UUID and cannot be compared with an integer"),
    ("user.name = 5",
     "filter: at character 1: `user.name` is a string and cannot be compared with an integer"),
    ("next.user.name = 'a'",
     "filter: at character 10: a path leads through one reference, and `next.user` is the second "
     "one"),
    ("user.name.x = 1", "filter: at character 11: `user.name` is no object and has no members"),
    ("user.id.x = 1", "filter: at character 9: `user.id` is no object and has no members"),
    ("user.notes.x = 1", "filter: at character 12: `user.notes` declares no `properties`, so "
                         "nothing is known of its members"),
    ("user.papers.nope = 1", "filter: at character 13: `user.papers` has no member `nope`"),
    ("user. = 1", "filter: at character 7: expected a property's name, found `=`"),
    ("drop.a = 1", "filter: at character 1: `drop` refers to a record of `drops`, which has no "
                   "action `read`"),
])
def test_what_is_refused(public, source, detail):
    errors = problem(public.get("/cards", params={"filter": source}), 400,
                     "invalid-filter")["errors"]
    assert errors == [{"pointer": "filter", "detail": detail}]


def test_paths_are_for_filters_alone(public):
    for query in ("user.name=a", "sort=user.name", "fields=user.name"):
        assert public.get(f"/cards?{query}").status_code == 400


# ---- Who may ----

def test_what_is_for_keys_alone(server, public, admin):
    """Whoever may ask about a record can find out what is in it. What the definition asks, it
    has settled who may."""
    safe = admin.create("/safes", {"code": "0000"})
    card = public.create("/cards", {"safe": safe["id"]})
    asked = {"filter": "name is null or safe.code = '0000'"}
    problem(public.get("/cards", params=asked), 401, "key-required")
    for scope, status in (("safes:read", 200), ("*:read", 200), ("cards:read", 403),
                          ("safes:write", 403)):
        key = admin.create("/keys", {"name": scope, "scopes": [scope]})["secret"]
        answer = server.client(key=key).get("/cards", params=asked)
        assert answer.status_code == status
        if status == 403:
            assert problem(answer, 403, "forbidden")["detail"] == \
                "this API key lacks the scope safes:read"
        else:
            assert answer.headers["Cache-Control"] == "private, no-cache"
            assert "Authorization" in answer.headers["Vary"]
    assert [each["id"] for each in admin.list("/cards", **asked)][-1] == card["id"]
    for open_to_all in ({"opens": "easily"}, {"filter": f"safe.id = {safe['id']}"},
                        {"filter": "safe is not null"}):
        answer = public.get("/cards", params=open_to_all)
        assert [each["id"] for each in answer.json()] == [card["id"]]
        assert answer.headers["Cache-Control"] == "no-cache"
    public.delete(f"/cards/{card['id']}")


def test_named_filters(public, cards):
    drop = public.create("/drops", {"a": 3})
    card = public.create("/cards", {"drop": drop["id"]})
    assert public.list("/cards", drops="low") == [card]
    public.delete(f"/cards/{card['id']}")
    assert [each["id"] for each in public.list("/cards", **{"pass": "weak"})] == cards[1:]
    assert public.list("/cards", **{"pass": "weak", "filter": "user.name = 'a'"})[0]["id"] == cards[1]


# ---- Where no database answers ----

@pytest.mark.parametrize("text, line", [
    ("checks: {a: next.name = 'x'}\n", "a.yaml:5:13"),
    ("transitions: {go: {when: next.name = 'x'}}\n", "a.yaml:5:26"),
    ("transitions: {go: {set: {name: next.name}}}\n", "a.yaml:5:32"),
    ("transitions: {go: {others: {where: next.name = 'x', set: {name: null}}}}\n", "a.yaml:5:36"),
    ("transitions: {go: {others: {where: this.next.name = 'x', set: {name: null}}}}\n",
     "a.yaml:5:41"),
])
def test_definitions_that_are_refused(text, line):
    with Server({"stores": PUBLIC + "properties: {a: {type: string}}\n"}) as server:
        server.stop()
        server.define("a", PUBLIC + "properties:\n  name: {type: string, maxLength: 9}\n"
                           "  next: {type: integer, references: a}\n" + text)
        said = server.refuses_to_start()
        assert f"{line}: `next` refers to a record of `a`, into which filters alone can look" in said
