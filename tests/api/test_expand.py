"""`expand`: the records that others refer to, embedded in them, on records and on lists."""

import itertools

import hypothesis
import hypothesis.strategies as st
import pytest

from conftest import HUNT
from harness import Server, links, problem, relative

PUBLIC = "access: {read: public, write: public}\n"
MANY = 40
DEFINITIONS = {
    "stores": PUBLIC + """
properties:
  name:    {type: string, maxLength: 20}
  secret:  {type: string, writeOnly: true}
  address: {type: object, properties: {city: {type: string}}}
  price:   {type: string, format: decimal, scale: 2}
  opened:  {type: string, format: date-time}
""",
    "users": PUBLIC + "key: {id: uuid}\nproperties: {name: {type: string}}\n",
    "texts": PUBLIC + "key: {digest: sha256(body)}\nrequired: [body]\nactions: [list, create, read]\n"
                      "properties: {body: {type: string, maxLength: 100}}\n",
    "lands": PUBLIC + "key: code\nproperties:\n  name: {type: string}\n"
                      "  code: {type: string, maxLength: 9}\n",
    # Its name, and those of its columns, are like what the statements are made of.
    "page": PUBLIC + "key: page\nproperties: {page: {type: string, maxLength: 9}}\n",
    "things": PUBLIC + """
properties:
  name:  {type: string, maxLength: 20}
  rank:  {type: integer}
  store: {type: integer, references: stores}
  user:  {type: string, format: uuid, references: users, on_delete: cascade}
  text:  {type: string, references: texts}
  land:  {type: string, references: lands, on_delete: set-null}
  page:  {type: string, references: page}
  next:  {type: integer, references: things, on_delete: set-null}
  token: {type: integer, references: stores, writeOnly: true}
indexes: [[rank]]
""",
    # A record that never changes, but for what it refers to.
    "notes": PUBLIC + """
key: {digest: sha256(body)}
required: [body]
actions: [list, create, read]
properties:
  body:  {type: string, maxLength: 100}
  store: {type: integer, references: stores}
  text:  {type: string, references: texts}
""",
    "safes": "properties: {code: {type: string}}\n",
    "drops": PUBLIC + "actions: [list, create]\nproperties: {a: {type: integer}}\n",
    "keepers": PUBLIC + """
properties:
  safe:  {type: integer, references: safes}
  drop:  {type: integer, references: drops}
  store: {type: integer, references: stores}
""",
    "hubs": PUBLIC + "properties:\n" + "".join(
        f"  r{i}: {{type: integer, references: stores}}\n" for i in range(MANY)),
}
REFERENCES = {"store": "stores", "user": "users", "text": "texts", "land": "lands", "page": "page",
              "next": "things"}


@pytest.fixture(scope="module", name="made")
def records_of_all(public):
    """Two records of each resource, by resource; things refer to them, to each other or to
    nothing."""
    made = {
        "stores": [public.create("/stores", body) for body in (
            {"name": "a", "secret": "s", "address": {"city": "Kyoto"}, "price": "12.5",
             "opened": "2016-08-05T08:40:51.62+02:00"}, {})],
        "users": [public.create("/users", {"name": name}) for name in "ab"],
        "texts": [public.post("/texts", {"body": body}).json() for body in ("a", "b")],
        "lands": [public.create("/lands", {"code": code}) for code in ("x", "\U0001f389 y")],
        "page": [public.create("/page", {"page": code}) for code in ("x", "y")],
    }
    keys = {"stores": "id", "users": "id", "texts": "digest", "lands": "code", "page": "page"}
    things = []
    for i in range(11):
        body = {"name": f"t{i}", "rank": i % 4 or None, "next": things[i // 3]["id"] if i else None}
        for name, target in REFERENCES.items():
            if target in keys and (i + len(name)) % 3:
                body[name] = made[target][i % 2][keys[target]]
        things.append(public.create("/things", body))
    made["things"] = things
    return made


def expanded(made, thing, names):
    """What a thing looks like with these references expanded."""
    keys = {"stores": "id", "users": "id", "texts": "digest", "lands": "code", "page": "page",
            "things": "id"}
    embedded = {}
    for name in [name for name in REFERENCES if name in names]:
        key = keys[REFERENCES[name]]
        found = [record for record in made[REFERENCES[name]] if record[key] == thing[name]]
        embedded[name] = found[0] if found else None
    return {**thing, "_embedded": embedded}


@pytest.mark.parametrize("names", [*REFERENCES, "user,store", " next , land", ",".join(REFERENCES)])
def test_a_record(public, made, names):
    asked = [name.strip() for name in names.split(",")]
    for thing in made["things"]:
        got = public.get(f"/things/{thing['id']}", params={"expand": names})
        assert got.json() == expanded(made, thing, asked)
        assert list(got.json()) == [*thing, "_embedded"]
        assert list(got.json()["_embedded"]) == [name for name in REFERENCES if name in asked]
    assert "secret" not in got.text and "token" not in got.text


def test_null_and_nothing(public):
    thing = public.create("/things", {})
    got = public.get(f"/things/{thing['id']}?expand=store,next").json()
    assert got == {**thing, "_embedded": {"store": None, "next": None}}
    problem(public.get("/things/10000000?expand=store"), 404)
    assert public.delete(f"/things/{thing['id']}").status_code == 204


def test_one_that_refers_to_itself(public):
    thing = public.create("/things", {})
    path = f"/things/{thing['id']}"
    thing = public.patch(path, {"next": thing["id"]}).json()
    assert public.get(path + "?expand=next").json() == {**thing, "_embedded": {"next": thing}}
    assert public.list("/things", expand="next", id=thing["id"]) == [
        {**thing, "_embedded": {"next": thing}}]
    assert public.delete(path).status_code == 204


def test_with_fields(public, made):
    for thing in made["things"]:
        embedded = expanded(made, thing, ["next", "land"])["_embedded"]
        want = {"name": thing["name"], "_embedded": embedded}
        path = f"/things/{thing['id']}?fields=name&expand=land,next"
        assert public.get(path).json() == want
        assert public.list("/things", fields="name", expand="land,next", id=thing["id"]) == [want]
    got = public.list("/things", fields="store", expand="store", sort="-rank,name", limit=3)
    assert all(list(each) == ["store", "_embedded"] for each in got)


SORT = st.lists(st.tuples(st.sampled_from(["", "-"]),
                          st.sampled_from(["id", "name", "rank", "store", "page", "next"])),
                min_size=1, max_size=3, unique_by=lambda key: key[1])


@hypothesis.given(sort=SORT, limit=st.integers(1, 6), offset=st.none() | st.integers(0, 12),
                  names=st.sets(st.sampled_from(sorted(REFERENCES)), min_size=1),
                  fields=st.none() | st.sets(st.sampled_from(["id", "name", "store"]), min_size=1),
                  condition=st.sampled_from([None, "rank > 1", "store is null or user is not null"]))
@hypothesis.settings(max_examples=40 * max(HUNT, 1))
def test_lists(public, made, sort, limit, offset, names, fields, condition):
    """Expanded or not, a list has the same records in the same order on the same pages."""
    parameters = {"sort": ",".join("".join(key) for key in sort), "limit": limit}
    if offset is not None:
        parameters["offset"] = offset
    if condition:
        parameters["filter"] = condition
    plain = public.get("/things", params={**parameters, "count": "true"})
    other = public.get("/things", params={**parameters, "count": "true", "expand": ",".join(names),
                                          **({"fields": ",".join(fields)} if fields else {})})
    shown = set(fields or made["things"][0]) | {"_embedded"}
    while True:
        assert other.json() == [
            {name: value for name, value in expanded(made, thing, names).items() if name in shown}
            for thing in plain.json()]
        assert set(links(other)) == set(links(plain))
        assert other.headers["X-Total-Count"] == plain.headers["X-Total-Count"]
        if "next" not in links(plain):
            break
        before = plain
        plain, other = (public.get(relative(links(each)["next"])) for each in (plain, other))
        assert "expand" in links(other)["first"]
        back = public.get(relative(links(plain)["prev"])).json()
        if offset is None:
            assert back == before.json()
            assert public.get(relative(links(other)["prev"])).json() == [
                {name: value for name, value in expanded(made, thing, names).items()
                 if name in shown} for thing in back]


def test_cursors_are_for_both(public, made):
    """What is shown is none of a cursor's arguments."""
    first = public.get("/things?limit=2&sort=-name")
    cursor = links(first)["next"].rpartition("cursor=")[2]
    plain = public.list("/things", limit=2, sort="-name", cursor=cursor)
    assert public.list("/things", limit=2, sort="-name", cursor=cursor, expand="page") == [
        expanded(made, thing, ["page"]) for thing in plain]


# ---- Tags ----

def test_the_tag_changes_with_what_is_embedded(public):
    store = public.create("/stores", {"name": "before"})
    thing = public.create("/things", {"store": store["id"]})
    path = f"/things/{thing['id']}"
    paths = [f"{path}?expand=store", f"{path}?expand=store&fields=id",
             f"/things?id={thing['id']}&expand=store"]
    plain = public.get(path).headers["ETag"]
    tags = [public.get(each).headers["ETag"] for each in paths]
    assert len({plain, *tags}) == 4
    assert [public.get(each).headers["ETag"] for each in paths] == tags
    assert public.head(paths[0]).headers["ETag"] == tags[0]
    for each, tag in zip(paths, tags):
        assert public.get(each, headers={"If-None-Match": tag}).status_code == 304
        assert public.get(each, headers={"If-Match": tag}).status_code == 200
        problem(public.get(each, headers={"If-Match": plain}), 412)
    assert public.patch(f"/stores/{store['id']}", {"name": "after"}).status_code == 200
    assert public.get(path).headers["ETag"] == plain
    for each, tag in zip(paths, tags):
        answer = public.get(each, headers={"If-None-Match": tag})
        assert answer.status_code == 200 and answer.headers["ETag"] != tag
        assert "after" in answer.text
        problem(public.get(each, headers={"If-Match": tag}), 412)
    # It still says which version of the record itself was read.
    changed = public.patch(path, {"name": "x"}, headers={"If-Match": tags[0]})
    assert changed.status_code == 200
    problem(public.patch(path, {"name": "y"}, headers={"If-Match": tags[1]}), 412)


def test_a_head_says_what_a_get_would(public, made):
    for path in (f"/things/{made['things'][3]['id']}?expand=user", "/things?expand=user&limit=3"):
        got, head = public.get(path), public.head(path)
        assert head.status_code == 200 and not head.content
        for name in ("ETag", "Content-Length", "Content-Type", "Cache-Control", "Vary", "Link"):
            assert head.headers.get(name) == got.headers.get(name)


def test_what_is_kept_for_ever(public, made):
    """Not what has something in it that changes."""
    body = {"body": "n", "store": made["stores"][0]["id"], "text": made["texts"][0]["digest"]}
    note = public.post("/notes", body).json()
    path = f"/notes/{note['digest']}"
    assert "immutable" in public.get(path).headers["Cache-Control"]
    answer = public.get(path + "?expand=store")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.json()["_embedded"] == {"store": made["stores"][0]}
    tag = answer.headers["ETag"]
    assert public.get(path + "?expand=store",
                      headers={"If-None-Match": tag}).status_code == 304


# ---- Who may ----

def test_what_is_for_keys_alone(server, public, admin):
    safe = admin.create("/safes", {"code": "1234"})
    keeper = public.create("/keepers", {"safe": safe["id"]})
    paths = [f"/keepers/{keeper['id']}?expand=safe", "/keepers?expand=store,safe"]
    secrets = {scope: admin.create("/keys", {"name": scope, "scopes": [scope]})["secret"]
               for scope in ("keepers:read", "safes:read", "safes:write", "*:read")}
    for path in paths:
        problem(public.get(path), 401, "key-required")
        for scope in ("keepers:read", "safes:write"):
            answer = server.client(key=secrets[scope]).get(path)
            value = problem(answer, 403, "forbidden")
            assert value["detail"] == "this API key lacks the scope safes:read"
            assert 'scope="safes:read"' in answer.headers["WWW-Authenticate"]
            assert "1234" not in answer.text
        for scope in ("safes:read", "*:read"):
            answer = server.client(key=secrets[scope]).get(path)
            assert answer.status_code == 200 and "1234" in answer.text
            assert answer.headers["Cache-Control"] == "private, no-cache"
            assert "Authorization" in answer.headers["Vary"]
        assert admin.get(path).status_code == 200
    answer = public.get("/keepers?expand=store")
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Vary"] == "Accept"
    problem(server.client(key="tr_nonsense").get(paths[0]), 401, "key-invalid")


def test_what_cannot_be_read(public, made):
    for path in ("/keepers?expand=drop", "/keepers/1?expand=drop"):
        error = problem(public.get(path), 400, "invalid-parameter")["errors"][0]
        assert error["pointer"] == "expand"
        assert error["detail"] == "expand: 'drop' refers to drops, which has no action `read`"


@pytest.mark.parametrize("value, reason", [
    ("", "'' is no property here"), ("stores", "'stores' is no property here"),
    ("name", "'name' refers to nothing"), ("id", "'id' refers to nothing"),
    ("token", "'token' is no property here"), ("store.name", "'store.name' is no property here"),
    ("user,nope", "'nope' is no property here")])
def test_what_is_no_reference(public, made, value, reason):
    for path in ("/things", f"/things/{made['things'][0]['id']}"):
        errors = problem(public.get(path, params={"expand": value}), 400,
                         "invalid-parameter")["errors"]
        assert [error["pointer"] for error in errors] == ["expand"]
        assert errors[0]["detail"] == (f"expand: {reason}; it takes store, user, text, land, page, "
                                       "next")
        assert public.get(path, params={"expand": "store,store"}).status_code == 400
        assert public.get(path + "?expand=store&expand=user").status_code == 400


def test_where_nothing_refers(public, made):
    for path in ("/stores", f"/stores/{made['stores'][0]['id']}"):
        errors = problem(public.get(path + "?expand=name"), 400, "invalid-parameter")["errors"]
        assert errors[0]["detail"] == "expand: 'name' refers to nothing; it takes nothing"


def test_writes_have_none(public, made):
    path = f"/things/{made['things'][0]['id']}"
    for answer in (public.post("/things?expand=store", {}), public.patch(path + "?expand=store", {}),
                   public.put(path + "?expand=store", {}), public.delete(path + "?expand=store")):
        problem(answer, 400, "unknown-parameter")


def test_how_many_at_once(public, made):
    store = made["stores"][0]
    hub = public.create("/hubs", {f"r{i}": store["id"] for i in range(MANY)})
    names = [f"r{i}" for i in range(MANY)]
    for path in (f"/hubs/{hub['id']}", "/hubs"):
        answer = public.get(path, params={"expand": ",".join(names[:32])})
        record = answer.json() if path != "/hubs" else answer.json()[0]
        assert record["_embedded"] == {name: store for name in names[:32]}
        error = problem(public.get(path, params={"expand": ",".join(names)}), 400)["errors"][0]
        assert "at most 32 references" in error["detail"]


def test_wide_records():
    """Together they would have more columns than a database gives in a row."""
    wide = PUBLIC + "properties:\n" + "".join(f"  p{i}: {{type: integer}}\n" for i in range(250))
    narrow = PUBLIC + "properties:\n" + "".join(
        f"  r{i}: {{type: integer, references: wide}}\n" for i in range(8))
    with Server({"wide": wide, "narrow": narrow}) as server:
        client = server.public
        record = client.create("/wide", {f"p{i}": i for i in range(250)})
        client.create("/narrow", {f"r{i}": record["id"] for i in range(8)})
        for count in itertools.count(1):
            answer = client.get("/narrow?expand=" + ",".join(f"r{i}" for i in range(count)))
            if answer.status_code != 200:
                break
            assert answer.json()[0]["_embedded"] == {f"r{i}": record for i in range(count)}
        assert count == 7
        assert "1600 properties" in problem(answer, 400)["errors"][0]["detail"]
