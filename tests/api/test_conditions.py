"""Conditions: ETags, If-Match, If-None-Match, and resources that demand them."""

import concurrent.futures
import re
import threading

import pytest

from harness import Server, problem, relative

DEFINITIONS = {
    "notes": """
access: {read: public, write: public}
required: [text]
properties:
  text:   {type: string, maxLength: 100}
  size:   {type: integer}
  secret: {type: string, writeOnly: true}
""",
    "words": """
access: {read: public, write: public}
key: code
properties:
  code: {type: string, maxLength: 20}
  text: {type: string, maxLength: 100}
""",
    "labels": """
access: {read: public, write: public}
key: code
actions: [list, create, read, delete]
properties:
  code: {type: string, maxLength: 20}
  text: {type: string, maxLength: 100}
""",
    "files": """
access: {read: public, write: public}
key: {digest: sha256(body)}
required: [body]
properties:
  body: {type: string, maxLength: 100}
  name: {type: string, maxLength: 100}
""",
    "careful": """
access: {read: public, write: public}
key: code
require: if-match
properties:
  code: {type: string, maxLength: 20}
  text: {type: string, maxLength: 100}
""",
    "messages": """
access: {read: public, write: public}
key: {digest: sha256(message)}
actions: [create, read]
required: [message]
properties:
  message: {type: string}
""",
    "private": "properties:\n  text: {type: string, maxLength: 100}\n",
}

TAG = re.compile(r'"([0-9]+)\.([A-Za-z0-9_-]{8})"')


def tag(response):
    """Of an answer about a single record, which must have a strong one."""
    value = response.headers["ETag"]
    assert TAG.fullmatch(value), value
    return value


def matching(value):
    return {"headers": {"If-Match": value}}


def unless(value):
    return {"headers": {"If-None-Match": value}}


@pytest.fixture
def note(public):
    return f"/notes/{public.create('/notes', {'text': 'a'})['id']}"


def test_a_tag_is_that_of_the_version_and_the_bytes(public, note):
    first = public.get(note)
    assert tag(first) == tag(public.get(note)) == tag(public.head(note))
    changed = public.patch(note, {"size": 1})
    assert tag(changed) != tag(first)
    assert tag(changed) == tag(public.get(note))
    again = public.put(note, {"text": "a"})
    assert again.json() == first.json()
    assert tag(again) != tag(changed) and tag(again) != tag(first)
    parts = [TAG.fullmatch(tag(public.get(note, params=query))).groups()
             for query in ({}, {"fields": "id"}, {"fields": "text"}, {"fields": "text,id"},
                           {"fields": "id,text,size"})]
    assert len({version for version, _ in parts}) == 1
    assert len({shape for _, shape in parts}) == 4, parts
    assert parts[0] == parts[4]


def test_a_change_that_is_not_seen_is_a_change(public, note):
    first = public.get(note)
    public.patch(note, {"secret": "x"})
    assert public.get(note).json() == first.json()
    problem(public.put(note, {"text": "b"}, **matching(tag(first))), 412, "precondition-failed")


def test_created_records_have_their_tag(public):
    for response in (public.post("/notes", {"text": "new"}),
                     public.put("/words/new", {"text": "new"}),
                     public.post("/files", {"body": "new"}),
                     public.post("/messages", {"message": "new"})):
        assert response.status_code == 201
        assert tag(response) == tag(public.get(relative(response.headers["Location"])))
    twin = public.post("/messages", {"message": "new"})
    assert twin.status_code == 200
    assert tag(twin) == tag(public.get(relative(twin.headers["Location"])))


def test_what_is_known_is_not_sent(public, note):
    whole = public.get(note)
    for method in (public.get, public.head):
        for value in (tag(whole), f"W/{tag(whole)}", f'"x", W/"y" ,{tag(whole)}', "*"):
            response = method(note, **unless(value))
            assert response.status_code == 304, value
            assert response.content == b""
            for name in ("ETag", "Cache-Control"):
                assert response.headers[name] == whole.headers[name]
            # A large one would come in another coding.
            assert response.headers["Vary"] == whole.headers["Vary"] + ", Accept-Encoding"
            for name in ("Content-Type", "Content-Length", "Link"):
                assert name not in response.headers
    for value in ('"x"', tag(whole)[:-1] + 'x"', '"1"', 'W/""'):
        assert public.get(note, **unless(value)).status_code == 200
    assert public.get(note + "?fields=id", **unless(tag(whole))).status_code == 200
    public.patch(note, {"size": 2})
    assert public.get(note, **unless(tag(whole))).status_code == 200


def test_what_is_not_there_is_404(public):
    for headers in ({"If-None-Match": "*"}, {"If-Match": "*"}, {"If-Match": '"1.x"'}):
        for method in ("GET", "DELETE", "PATCH", "PUT"):
            response = public.request(method, "/notes/999999999", headers=headers, json={})
            problem(response, 404, "not-found")


def test_reads_that_demand_a_version(public, note):
    whole = public.get(note)
    assert public.get(note, **matching(tag(whole))).json() == whole.json()
    assert public.get(note, **matching("*")).status_code == 200
    problem(public.get(note, **matching('"0.x"')), 412, "precondition-failed")
    problem(public.get(note, **matching(f"W/{tag(whole)}")), 412)
    both = {"If-Match": tag(whole), "If-None-Match": tag(whole)}
    assert public.get(note, headers=both).status_code == 304
    problem(public.get(note, headers={**both, "If-Match": '"0.x"'}), 412)


@pytest.mark.parametrize("method, body", [("PUT", {"text": "b"}), ("PATCH", {"text": "b"}),
                                          ("DELETE", None)])
def test_changes_of_one_version(public, note, method, body):
    def change(**conditions):
        return public.request(method, note, json=body, **conditions)
    first = public.get(note)
    other = public.get(note, params={"fields": "size"})
    public.patch(note, {"size": 5})
    for value in (tag(first), tag(other), f"W/{tag(public.get(note))}", '"x"',
                  public.get("/notes").headers["ETag"]):
        problem(change(**matching(value)), 412, "precondition-failed")
    for value in (tag(public.get(note)), "*", f"W/{tag(public.get(note))}"):
        problem(change(**unless(value)), 412, "precondition-failed")
    assert public.get(note).json() == {**first.json(), "size": 5}
    other = tag(public.get(note, params={"fields": "size"}))
    response = change(**matching(f'{tag(first)}, "x" ,{other}'))
    assert response.status_code == (204 if method == "DELETE" else 200)
    if method == "DELETE":
        problem(public.get(note), 404)
        return
    assert tag(response) == tag(public.get(note))
    assert change(**unless('"x"')).status_code == 200
    assert change(**matching("*")).status_code == 200


def test_a_condition_goes_before_what_is_wrong_with_the_body(public, note):
    problem(public.put(note, {"size": "no"}, **matching('"0.x"')), 412)
    problem(public.patch(note, {"size": "no"}, **matching('"0.x"')), 412)
    problem(public.put(note, {"size": "no"}, **matching("*")), 400, "invalid-body")


def test_put_that_must_create(public):
    created = public.put("/words/once", {"text": "1"}, **unless("*"))
    assert created.status_code == 201
    problem(public.put("/words/once", {"text": "2"}, **unless("*")), 412, "precondition-failed")
    assert public.get("/words/once").json()["text"] == "1"
    problem(public.put("/words/never", {"text": "1"}, **matching("*")), 412)
    problem(public.put("/words/never", {"text": "1"}, **matching(tag(created))), 412)
    problem(public.get("/words/never"), 404)
    problem(public.put("/notes/1", {"text": "1"}, **unless("*")), 412)


def test_put_that_must_create_when_many_do(server):
    """Just one of them did."""
    for turn in range(10):
        statuses = []

        def put(number, turn=turn, statuses=statuses):
            client = server.client()
            response = client.put(f"/words/race{turn}", {"text": str(number)}, **unless("*"))
            statuses.append((response.status_code, str(number)))
            client.close()
        threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(status for status, _ in statuses) == [201] + [412] * 7
        winner, = [text for status, text in statuses if status == 201]
        assert server.public.get(f"/words/race{turn}").json()["text"] == winner


@pytest.mark.parametrize("path, body, other", [
    ("/words/again", {"code": "again", "text": "1"}, {"code": "again", "text": "2"}),
    ("/labels/again", {"code": "again", "text": "1"}, {"code": "again", "text": "2"}),
    ("/files/", {"body": "again", "name": "1"}, {"body": "again", "name": "2"}),
])
def test_what_comes_again_under_a_key_is_something_else(public, path, body, other):
    collection = path[:path.index("/", 1)]
    first = public.post(collection, body)
    path = relative(first.headers["Location"])
    assert public.delete(path, **matching(tag(first))).status_code == 204
    second = public.post(collection, other)
    assert second.status_code == 201 and tag(second) != tag(first)
    assert public.get(path, **unless(tag(first))).json()["text" if "text" in body else "name"] == "2"
    problem(public.delete(path, **matching(tag(first))), 412)
    assert public.delete(path, **matching(tag(second))).status_code == 204


def test_what_never_changes_has_the_tag_of_its_key(public):
    made = [public.post("/messages", {"message": text}) for text in ("tag 1", "tag 2")]
    assert tag(made[0]) != tag(made[1])
    path = relative(made[0].headers["Location"])
    response = public.get(path, **unless(tag(made[0])))
    assert response.status_code == 304
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert public.get(path.upper().replace("/MESSAGES", "/messages"),
                      **unless(tag(made[0]))).status_code == 304


def test_tags_of_lists(public):
    before = public.get("/words")
    value = before.headers["ETag"]
    assert re.fullmatch(r'"[A-Za-z0-9_-]{8}"', value), value
    assert public.get("/words").headers["ETag"] == value
    for method in (public.get, public.head):
        response = method("/words", **unless(f"W/{value}"))
        assert response.status_code == 304 and response.content == b""
        assert response.headers["ETag"] == value
        assert "Link" not in response.headers and "Content-Type" not in response.headers
    assert public.get("/words", **matching(value)).status_code == 200
    problem(public.get("/words", **matching('"x"')), 412)
    public.create("/words", {"code": "a-list-1"})
    assert public.get("/words", **unless(value)).status_code == 200


def test_the_tag_of_a_list_tells_its_links_and_its_total(public):
    for i in range(3):
        public.create("/words", {"code": f"total-{i}"})
    query = {"limit": 2, "count": "true", "filter": "startsWith(code, 'total-')"}
    before = public.get("/words", params=query)
    public.create("/words", {"code": "total-9"})
    after = public.get("/words", params=query)
    assert before.json() == after.json()
    assert before.headers["X-Total-Count"] != after.headers["X-Total-Count"]
    assert before.headers["ETag"] != after.headers["ETag"]
    del query["count"]
    query["limit"] = 4
    before = public.get("/words", params=query)
    public.create("/words", {"code": "total-99"})
    after = public.get("/words", params=query)
    assert before.json() == after.json()
    assert before.headers["ETag"] != after.headers["ETag"]


@pytest.mark.parametrize("value", ["", "x", "1.x", "'1'", '"1', 'W/', '"a" "b"', '*, "a"',
                                   '"a", *', '"a b"', "* *", ","])
@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
def test_malformed_conditions(public, note, name, value):
    for method, path in (("GET", note), ("GET", "/notes"), ("PUT", note), ("PATCH", note),
                         ("DELETE", note), ("POST", "/notes")):
        body = {"text": "b"} if method not in ("GET", "DELETE") else None
        problem(public.request(method, path, headers={name: value}, json=body), 400,
                "invalid-field")
    assert public.get(note).json()["text"] == "a"
    assert public.options(note, headers={name: value}).status_code == 204


def test_several_fields_are_one_list(server, note):
    known = tag(server.public.get(note)).encode()
    with server.wire() as wire:
        wire.get(note, 'If-None-Match: "x"', "If-None-Match: " + known.decode())
        assert wire.receive().status == 304
        wire.get(note, 'If-None-Match: "x"', 'if-none-match: "y"')
        assert wire.receive().status == 200
        wire.get(note, "If-None-Match: *", 'If-None-Match: "y"')
        assert wire.receive().status == 400
        wire.get(note, "If-None-Match: *")
        answer = wire.receive()
        assert answer.status == 304 and answer.field("Content-Length") is None
        wire.get(note)
        assert wire.receive().status == 200


def test_dates_say_nothing(public, note):
    headers = {"If-Modified-Since": "Sun, 06 Nov 2994 08:49:37 GMT",
               "If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}
    assert public.get(note, headers=headers).status_code == 200
    assert public.patch(note, {"size": 1}, headers=headers).status_code == 200


def test_adding_to_a_list(public):
    assert public.post("/notes", {"text": "a"}, **matching("*")).status_code == 201
    problem(public.post("/notes", {"text": "a"}, **matching('"x"')), 412, "precondition-failed")
    problem(public.post("/notes", {"text": "a"}, **unless("*")), 412, "precondition-failed")


def test_a_resource_that_requires_conditions(public):
    path = "/careful/one"
    problem(public.put(path, {"text": "1"}), 428, "precondition-required")
    problem(public.put(path, {"text": "1"}, **unless('"x"')), 428)
    created = public.put(path, {"text": "1"}, **unless("*"))
    assert created.status_code == 201
    assert public.create("/careful", {"code": "two", "text": "1"})
    for method in ("PUT", "PATCH", "DELETE"):
        body = {"text": "2"} if method != "DELETE" else None
        problem(public.request(method, path, json=body), 428, "precondition-required")
        problem(public.request(method, path, json=body, **matching('"1.x"')), 412)
    assert public.get(path).json() == created.json()
    assert public.get("/careful").status_code == 200
    changed = public.patch(path, {"text": "2"}, **matching(tag(created)))
    assert changed.status_code == 200
    problem(public.delete(path, **matching(tag(created))), 412)
    assert public.put(path, {"text": "3"}, **matching("*")).status_code == 200
    assert public.delete(path, **matching("*")).status_code == 204


def test_what_caches_are_told(server, public, admin):
    record = admin.create("/private", {"text": "a"})
    for path in ("/private", f"/private/{record['id']}"):
        response = admin.get(path)
        assert response.headers["Cache-Control"] == "private, no-cache"
        vary = {name.strip() for name in response.headers["Vary"].split(",")}
        assert {"Accept", "Authorization", "X-API-Key", "api-key"} <= vary
        assert admin.get(path, **unless(response.headers["ETag"])).status_code == 304
        problem(public.get(path, **unless(response.headers["ETag"])), 401)
    for path in ("/notes", "/words/new"):
        response = public.get(path)
        assert response.headers["Cache-Control"] == "no-cache"
        assert "Accept" in response.headers["Vary"]
        assert "Authorization" not in response.headers["Vary"]
    assert problem(public.get("/notes/0"), 400)
    assert public.get("/notes/999999999").headers["Cache-Control"] == "no-store"


def test_another_definition_is_another_representation():
    """A tag from before it still names the version."""
    definition = "access: {read: public, write: public}\nproperties:\n  a: {type: integer}\n"
    with Server({"things": definition}) as server:
        path = f"/things/{server.public.create('/things', {'a': 1})['id']}"
        before = tag(server.public.get(path))
        server.restart()
        assert tag(server.public.get(path)) == before
        server.stop()
        server.define("things", definition + "  b: {type: integer}\n")
        server.start()
        assert server.public.get(path, **unless(before)).json()["b"] is None
        assert server.public.patch(path, {"b": 2}, **matching(before)).status_code == 200


def test_processes_give_the_same_tags(server, public):
    record = public.create("/notes", {"text": "a"})
    with server.beside() as other:
        for path in ("/notes", f"/notes/{record['id']}", "/notes?fields=id"):
            assert public.get(path).headers["ETag"] == other.public.get(path).headers["ETag"]


CLIENTS = 1000
THREADS = 12


def test_a_thousand_clients_count(server):
    """Each reads a counter and writes one more of it under its tag, again until it is done: none
    gets lost, whichever of three processes they ask."""
    path = f"/notes/{server.public.create('/notes', {'text': 'counter', 'size': 0})['id']}"
    with server.beside() as second, server.beside() as third:
        servers = [server, second, third]
        tries = []

        def count_one(number):
            """One client; its thread keeps its connections for the next one."""
            client = servers[number % 3].public
            for attempt in range(1, 10000):
                seen = client.get(path)
                more = {"text": "counter", "size": seen.json()["size"] + 1}
                method = client.put if number % 2 else client.patch
                answer = method(path, more, **matching(tag(seen)))
                if answer.status_code == 200:
                    assert answer.json()["size"] == more["size"]
                    tries.append(attempt)
                    return
                problem(answer, 412, "precondition-failed")

        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(count_one, range(CLIENTS)))
        assert len(tries) == CLIENTS
        for each in servers:
            assert each.public.get(path).json()["size"] == CLIENTS
    assert max(tries) > 1, "they never met"
