"""Idempotency-Key: what is sent again under the same key is done once, and answered as before."""

import collections
import concurrent.futures
import json
import time
import uuid

import hypothesis
import hypothesis.stateful
import hypothesis.strategies as st
import pytest

from harness import STORE, Server, problem, wait_until

DEFINITIONS = {
    "notes": """
access: {read: public, write: public}
required: [text]
properties:
  text: {type: string, minLength: 1, maxLength: 100}
  size: {type: integer}
""",
    "names": """
access: {read: public, write: key}
required: [name]
properties:
  name: {type: string, maxLength: 100}
  size: {type: integer, minimum: 0}
unique: [[name]]
""",
    "blobs": """
key: {digest: sha256(data)}
access: {read: public, write: public}
required: [data]
properties: {data: {type: string, maxLength: 1000}}
""",
}


# (The server moves to another port when it is restarted.)


@pytest.fixture
def public(server):
    return server.public


@pytest.fixture
def admin(server):
    return server.admin


def new_key():
    return f'"{uuid.uuid4()}"'


def post(client, path, record, key, **headers):
    return client.post(path, record, headers={"Idempotency-Key": key, **headers})


def patch(client, path, changes, key, **headers):
    return client.patch(path, changes, headers={"Idempotency-Key": key, **headers})


SAME_FIELDS = ("Location", "ETag", "Content-Type", "Content-Length")


def is_replay(response):
    value = response.headers.get("Idempotency-Replayed")
    assert value in (None, "true")
    return value is not None


def assert_replay(first, again):
    """The same answer, and it says that it was given before."""
    assert not is_replay(first) and is_replay(again), again.text
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in SAME_FIELDS:
        assert again.headers.get(name) == first.headers.get(name), name
    assert again.headers["X-Request-Id"] != first.headers["X-Request-Id"]


def count(client, path):
    return int(client.get(path, params={"count": "true", "limit": 1}).headers["X-Total-Count"])


# Replays


def test_a_create_is_done_once(public):
    key = new_key()
    before = count(public, "/notes")
    first = post(public, "/notes", {"text": "once"}, key)
    assert first.status_code == 201
    for _ in range(3):
        assert_replay(first, post(public, "/notes", {"text": "once"}, key))
    assert count(public, "/notes") == before + 1
    assert public.get(first.headers["Location"]).json() == first.json()


def test_without_a_key_it_is_done_each_time(public):
    before = count(public, "/notes")
    for _ in range(2):
        response = public.post("/notes", {"text": "twice"})
        assert response.status_code == 201 and not is_replay(response)
    assert count(public, "/notes") == before + 2


def test_a_change_is_done_once(admin):
    path = admin.post("/names", {"name": new_key(), "size": 1}).headers["Location"]
    key = new_key()
    first = patch(admin, path, {"size": 2}, key)
    assert first.status_code == 200 and first.json()["size"] == 2
    assert admin.patch(path, {"size": 3}).status_code == 200
    assert_replay(first, patch(admin, path, {"size": 2}, key))
    assert admin.get(path).json()["size"] == 3, "it was not done again"


def test_a_replay_outlives_the_record(admin):
    """What was answered stays answered, though the record has changed, or gone."""
    name = new_key()
    create, change = new_key(), new_key()
    created = post(admin, "/names", {"name": name}, create)
    changed = patch(admin, created.headers["Location"], {"size": 5}, change)
    assert admin.delete(created.headers["Location"]).status_code == 204
    assert_replay(created, post(admin, "/names", {"name": name}, create))
    assert_replay(changed, patch(admin, created.headers["Location"], {"size": 5}, change))
    problem(admin.get(created.headers["Location"]), 404)


def test_an_array_is_created_once(admin):
    key = new_key()
    records = [{"name": f"{i} {key}"} for i in range(300)]
    problem(post(admin, "/names", records + [records[7]], key), 409, "conflict")
    first = post(admin, "/names", records, key)
    assert first.status_code == 201 and len(first.json()) == 300
    assert_replay(first, post(admin, "/names", records, key))
    problem(post(admin, "/names", records[:-1], key), 422, "idempotency-mismatch")


def test_an_array_of_content_that_is_there_in_part(public):
    key = new_key()
    records = [{"data": f"{i} {key}"} for i in range(150)]
    assert public.post("/blobs", records[:70]).status_code == 201
    first = post(public, "/blobs", records + records[:3], key)
    assert first.status_code == 201
    again = new_key()
    second = post(public, "/blobs", records, again)
    assert second.status_code == 200
    assert public.delete(f"/blobs/{second.json()[0]['digest']}").status_code == 204
    assert_replay(first, post(public, "/blobs", records + records[:3], key))
    assert_replay(second, post(public, "/blobs", records, again))


def test_a_transition_is_done_once(server):
    """Though it could be done again."""
    server.define("tickets", """
access: {read: public, write: public, redeem: public}
properties: {uses: {type: integer, minimum: 0, readOnly: true, default: 0}}
transitions: {redeem: {when: uses < 3, set: {uses: uses + 1}}}
""")
    server.restart()
    path = server.public.post("/tickets", {}).headers["Location"]
    keys = [new_key() for _ in range(4)]
    firsts = []
    for i, key in enumerate(keys[:3]):
        fields = {"Idempotency-Key": key}
        firsts.append(server.public.request("POST", path + "/redeem", headers=fields))
        assert firsts[i].status_code == 200 and firsts[i].json()["uses"] == i + 1
        assert_replay(firsts[i], server.public.request("POST", path + "/redeem", headers=fields))
    for _ in range(2):
        problem(server.public.request("POST", path + "/redeem",
                                      headers={"Idempotency-Key": keys[3]}), 409, "transition-closed")
    assert server.public.get(path).json()["uses"] == 3


def test_content_that_was_there(public):
    """Under a digest nothing is stored the second time; that answer is kept, too."""
    data = new_key()
    first, second = new_key(), new_key()
    created = post(public, "/blobs", {"data": data}, first)
    found = post(public, "/blobs", {"data": data}, second)
    assert (created.status_code, found.status_code) == (201, 200)
    assert public.delete(created.headers["Location"]).status_code == 204
    assert_replay(created, post(public, "/blobs", {"data": data}, first))
    assert_replay(found, post(public, "/blobs", {"data": data}, second))
    problem(public.get(created.headers["Location"]), 404)


def test_a_slash_at_the_end_is_the_same_path(public):
    key = new_key()
    first = post(public, "/notes", {"text": "slash"}, key)
    assert_replay(first, post(public, "/notes/", {"text": "slash"}, key))


def test_the_longest_answer(server, public):
    """Beyond what fits into a page of any database."""
    server.define("texts", "access: {read: public, write: public}\n"
                           "properties: {text: {type: string, maxLength: 3000000}}\n")
    server.restart()
    key = new_key()
    text = "\u00e4\"\\\n" * 700000
    first = post(server.public, "/texts", {"text": text}, key)
    assert first.status_code == 201
    assert_replay(first, post(server.public, "/texts", {"text": text}, key))


def test_replays_after_a_restart(server):
    keys = [new_key() for _ in range(20)]
    firsts = [post(server.public, "/notes", {"text": key}, key) for key in keys]
    server.restart()
    for key, first in zip(keys, firsts):
        assert_replay(first, post(server.public, "/notes", {"text": key}, key))


def test_replays_after_a_kill(server):
    """Whatever it was at when it was killed: the client that sends everything again ends up with
    each done once."""
    records = [(new_key(), {"text": f"killed {i} {uuid.uuid4()}"}) for i in range(300)]
    answered = {}

    def send(each):
        key, record = each
        try:
            answered[key] = post(server.client(None), "/notes", record, key)
        except Exception:  # pylint: disable=broad-except
            pass  # it was killed meanwhile

    for round_ in range(3):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for each in records[round_ * 100:(round_ + 1) * 100]:
                pool.submit(send, each)
            wait_until(lambda done=round_ * 100 + 20: len(answered) >= done or
                       len(answered) >= 20 * (round_ + 1), "some answers")
            server.kill()
        server.start()
    for key, record in records:
        again = post(server.public, "/notes", record, key)
        assert again.status_code == 201
        if key in answered:
            assert_replay(answered[key], again)
    stored = collections.Counter()
    for page in server.public.walk("/notes", limit=1000):
        stored.update(note["text"] for note in page)
    assert [stored[record["text"]] for _, record in records] == [1] * len(records)


# What is another request


def test_another_body(public):
    key = new_key()
    first = post(public, "/notes", {"text": "a"}, key)
    problem(post(public, "/notes", {"text": "b"}, key), 422, "idempotency-mismatch")
    problem(post(public, "/notes", {"wrong": 1}, key), 422, "idempotency-mismatch")
    problem(public.post("/notes", data=b"{", headers={"Idempotency-Key": key}), 422,
            "idempotency-mismatch")
    assert_replay(first, post(public, "/notes", {"text": "a"}, key))


def test_another_content_type(admin):
    path = admin.post("/names", {"name": new_key()}).headers["Location"]
    key = new_key()
    first = patch(admin, path, {"size": 1}, key)
    problem(patch(admin, path, {"size": 1}, key, **{"Content-Type": "application/merge-patch+json"}),
            422, "idempotency-mismatch")
    assert_replay(first, patch(admin, path, {"size": 1}, key))


def test_another_path_or_method_is_another_key(admin):
    key = new_key()
    body = {"name": new_key(), "size": 1}
    first = post(admin, "/names", body, key)
    other = admin.post("/names", {"name": new_key()})
    for response in (first, other):
        changed = patch(admin, response.headers["Location"], {"size": 7}, key)
        assert changed.status_code == 200 and not is_replay(changed)
    assert_replay(first, post(admin, "/names", body, key))


def caller(admin, server, *scopes):
    """Somebody with an API key."""
    return server.client(admin.create("/keys", {"name": "x", "scopes": list(scopes)})["secret"])


def test_another_caller_has_other_keys(admin, server):
    """The key of one caller says nothing about another's."""
    key = new_key()
    name = new_key()
    one, other = (caller(admin, server, "names:write") for _ in range(2))
    first = post(one, "/names", {"name": name}, key)
    assert first.status_code == 201
    problem(post(other, "/names", {"name": name}, key), 409, "conflict")
    problem(post(admin, "/names", {"name": name}, key), 409, "conflict")
    assert not is_replay(post(other, "/names", {"name": new_key()}, key))
    assert_replay(first, post(one, "/names", {"name": name}, key))


def test_callers_where_none_is_asked(admin, public, server):
    """Who presents a key is somebody, and all others are one caller."""
    key = new_key()
    one = caller(admin, server, "names:read")
    firsts = [post(client, "/notes", {"text": key}, key) for client in (public, one, admin)]
    assert {first.status_code for first in firsts} == {201}
    assert len({first.json()["id"] for first in firsts}) == 3
    for client, first in zip((server.client(None), one, admin), firsts):
        assert_replay(first, post(client, "/notes", {"text": key}, key))
    wrong = post(server.client("tr_" + "0" * 49), "/notes", {"text": key}, key)
    assert_replay(firsts[0], wrong)


def test_a_key_that_lost_its_rights(admin, server):
    """What was answered is nobody's who may not do it any more."""
    record = admin.create("/keys", {"name": "x", "scopes": ["names:write"]})
    client = server.client(record["secret"])
    key = new_key()
    name = new_key()
    first = post(client, "/names", {"name": name}, key)
    assert first.status_code == 201
    assert admin.patch(f"/keys/{record['id']}", {"scopes": ["names:read"]}).status_code == 200
    wait_until(lambda: post(client, "/names", {"name": name}, key).status_code == 403, "forbidden")
    assert admin.patch(f"/keys/{record['id']}", {"scopes": ["*:write"]}).status_code == 200
    wait_until(lambda: post(client, "/names", {"name": name}, key).status_code == 201, "allowed")
    assert_replay(first, post(client, "/names", {"name": name}, key))


def test_a_secret_is_shown_once(admin, server):
    """The answer is given again without it, and it is kept nowhere."""
    key = new_key()
    body = {"name": "once", "scopes": ["names:read"]}
    first = post(admin, "/keys", body, key)
    again = post(admin, "/keys", body, key)
    assert (first.status_code, again.status_code) == (201, 201) and is_replay(again)
    record = first.json()
    secret = record.pop("secret")
    assert again.json() == record
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Cache-Control"] == first.headers["Cache-Control"] == "no-store"
    assert server.client(secret).get("/names").status_code == 200
    with server.store.connect(server.folder) as connection:
        bodies = [bytes(row[0]) for row in
                  connection.execute("SELECT body FROM trestle_idempotency").fetchall()]
    assert any(b'"once"' in kept for kept in bodies)
    assert not any(secret.encode() in kept for kept in bodies)


def test_changes_of_keys(admin):
    """Whoever changes a key under a key of this kind has it known at once, too."""
    path = "/keys/" + admin.create("/keys", {"name": "x", "scopes": ["names:read"]})["id"]
    key = new_key()
    first = patch(admin, path, {"active": False}, key)
    assert first.status_code == 200 and first.json()["active"] is False
    assert_replay(first, patch(admin, path, {"active": False}, key))


def test_it_is_authorized_first(admin, public):
    key = new_key()
    name = new_key()
    assert post(admin, "/names", {"name": name}, key).status_code == 201
    problem(post(public, "/names", {"name": name}, key), 401, "key-required")


# What burns no key


def test_a_failure_burns_no_key(admin):
    key = new_key()
    name = new_key()
    problem(post(admin, "/names", {"name": name, "size": -1}, key), 400, "invalid-body")
    problem(admin.post("/names", data=b"{", headers={"Idempotency-Key": key}), 400,
            "malformed-json")
    blocker = admin.post("/names", {"name": name}).headers["Location"]
    problem(post(admin, "/names", {"name": name, "size": 1}, key), 409, "conflict")
    assert admin.delete(blocker).status_code == 204
    first = post(admin, "/names", {"name": name, "size": 2}, key)
    assert first.status_code == 201
    assert_replay(first, post(admin, "/names", {"name": name, "size": 2}, key))


def test_a_patch_of_what_is_not_there_burns_no_key(admin):
    key = new_key()
    created = admin.post("/names", {"name": new_key()})
    path = created.headers["Location"]
    following = path[:path.rindex("/")] + "/" + str(created.json()["id"] + 1)
    problem(patch(admin, following, {"size": 1}, key), 404)
    assert admin.post("/names", {"name": new_key()}).headers["Location"] == following
    first = patch(admin, following, {"size": 1}, key)
    assert first.status_code == 200
    assert_replay(first, patch(admin, following, {"size": 1}, key))


def test_an_unavailable_database_burns_no_key(server):
    server.restart(query_timeout="300ms")
    key = new_key()
    with server.store.connect(server.folder) as connection:
        server.store.hold(connection, "notes")
        problem(post(server.public, "/notes", {"text": "held"}, key), 503)
        connection.execute("COMMIT")
    first = post(server.public, "/notes", {"text": "held"}, key)
    assert first.status_code == 201
    assert_replay(first, post(server.public, "/notes", {"text": "held"}, key))
    server.restart(query_timeout="5s")


# The field


@pytest.mark.parametrize("key", [
    "a", "8e03978e-40d5-43e8-bc93-6894a57f9324", '"8e03978e"', '"a\\"b\\\\c"', "x" * 255,
    '"' + "y" * 255 + '"', '"a,b;c"', "!#$%&'()*+-./:<=>?@[]^_`{|}~",
])
def test_keys_that_are_fine(public, key):
    first = post(public, "/notes", {"text": "key"}, key)
    assert first.status_code == 201
    assert_replay(first, post(public, "/notes", {"text": "key"}, key))


@pytest.mark.parametrize("key", [
    "", '""', '"', '"a', 'a"', '"a"b', '"a";b=1', "a, b", "a,b", "a b", '"a b"', "a\tb", "x" * 256,
    '"' + "y" * 256 + '"', '"a\\b"', '"a\\"', "a\\b", "caf\u00e9".encode("utf-8"), b"\xff",
])
def test_keys_that_cannot_be_one(public, key):
    before = count(public, "/notes")
    problem(post(public, "/notes", {"text": "key"}, key), 400, "invalid-field")
    assert count(public, "/notes") == before


def test_two_of_them(server):
    with server.wire() as wire:
        wire.send_lines("POST /notes HTTP/1.1", "Host: h", "Content-Type: application/json",
                        "Idempotency-Key: a", "Idempotency-Key: a", "Content-Length: 12",
                        body=b'{"text":"a"}')
        assert wire.receive().status == 400


def test_quotation_marks_are_no_part_of_it(public):
    first = post(public, "/notes", {"text": "quoted"}, "quoted-or-not")
    assert_replay(first, post(public, "/notes", {"text": "quoted"}, '"quoted-or-not"'))


def test_other_methods_need_none(admin):
    """They are idempotent by themselves; the field says nothing to them, not even what is wrong."""
    path = admin.post("/names", {"name": new_key()}).headers["Location"]
    for key in ("same", '"'):
        fields = {"Idempotency-Key": key}
        for _ in range(2):
            assert admin.get(path, headers=fields).status_code == 200
            replaced = admin.put(path, {"name": new_key()}, headers=fields)
            assert replaced.status_code == 200 and not is_replay(replaced)
            assert admin.options(path, headers=fields).status_code == 204
    assert admin.delete(path, headers={"Idempotency-Key": "same"}).status_code == 204
    problem(admin.delete(path, headers={"Idempotency-Key": "same"}), 404)


# At once


def server_beside(server):
    """Another process on the same database."""
    other = Server(DEFINITIONS, settings={"workers": 2})
    other.store.remove()
    other.store = server.store
    other.settings["database"] = server.settings["database"]
    return other


@pytest.fixture(scope="module")
def processes(server):
    """Three of them on one database."""
    others = [server_beside(server) for _ in range(2)]
    try:
        yield [server, *[other.start() for other in others]]
    finally:
        for other in others:
            other.store = _NoStore()
            other.close()


class _NoStore:
    def remove(self):
        """It belongs to another server."""


def test_fifty_at_once_to_three_processes(processes):
    for round_ in range(4):
        key = new_key()
        record = {"text": f"fifty {round_} {key}"}
        clients = [processes[i % 3].client(None) for i in range(50)]
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda client: post(client, "/notes", record, key), clients))
        for client in clients:
            client.close()
        created = [answer for answer in answers if answer.status_code == 201]
        assert created and sum(not is_replay(answer) for answer in created) <= 1
        for answer in answers:
            if answer.status_code != 201:
                problem(answer, 409, "idempotency-in-progress")
                assert answer.headers["Retry-After"] == "1"
        assert len({answer.content for answer in created}) == 1
        for process in processes:
            again = post(process.public, "/notes", record, key)
            assert is_replay(again) and again.content == created[0].content
        stored = processes[0].public.list("/notes", sort="-id", limit=100)
        assert [note["text"] for note in stored].count(record["text"]) == 1


def test_fifty_changes_at_once(processes):
    """A change that is repeated does not undo another one that came between."""
    path = processes[0].admin.post("/names", {"name": new_key(), "size": 0}).headers["Location"]
    keys = [new_key() for _ in range(5)]
    requests = [(processes[i % 3].client(), keys[i % 5], i % 5 + 1) for i in range(50)]

    def send(each):
        client, key, size = each
        while True:
            answer = patch(client, path, {"size": size}, key)
            if answer.status_code == 200:
                return key, answer
            problem(answer, 409, {"idempotency-in-progress", "contention"})

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(send, requests))
    for client, _, _ in requests:
        client.close()
    for key in keys:
        of_key = [answer for answered, answer in answers if answered == key]
        assert sum(not is_replay(answer) for answer in of_key) == 1
        assert len({answer.content for answer in of_key}) == 1


@pytest.mark.skipif(STORE != "postgres", reason="SQLite's writes wait for their turn")
def test_one_that_runs_is_told_at_once(server):
    """Whatever the one that is under way waits for."""
    server.restart(query_timeout="20s", lock_timeout="20s")
    key = new_key()
    record = {"name": new_key()}
    with server.store.connect(server.folder) as connection, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO names (name) VALUES (%s)", (record["name"],))
        first = pool.submit(post, server.client(), "/names", record, key)
        wait_until(lambda: connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted").fetchone()[0],
                   "the first one is at it")
        began = time.monotonic()
        problem(post(server.admin, "/names", record, key), 409, "idempotency-in-progress")
        assert time.monotonic() - began < 5
        connection.execute("ROLLBACK")
        assert first.result().status_code == 201
    assert_replay(first.result(), post(server.admin, "/names", record, key))
    server.restart(query_timeout="5s", lock_timeout="2s")


# How long


def kept(server):
    with server.store.connect(server.folder) as connection:
        return connection.execute("SELECT count(*) FROM trestle_idempotency").fetchone()[0]


def test_only_requests_with_a_key_are_kept(server):
    before = kept(server)
    server.public.post("/notes", {"text": "a"})
    problem(post(server.public, "/notes", {"wrong": 1}, new_key()), 400)
    assert kept(server) == before
    post(server.public, "/notes", {"text": "a"}, new_key())
    assert kept(server) == before + 1


def test_what_has_expired():
    """It counts no more, and it goes, of itself and however much there is."""
    with Server(DEFINITIONS, settings={"idempotency_retention": "3s"}) as server:
        keys = [new_key() for _ in range(500)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            firsts = list(pool.map(
                lambda key: post(server.public, "/notes", {"text": key}, key), keys))
        assert {first.status_code for first in firsts} == {201}
        wait_until(lambda: kept(server) == 0, "all is forgotten")
        again = post(server.public, "/notes", {"text": keys[0]}, keys[0])
        assert again.status_code == 201 and not is_replay(again)
        assert again.json()["id"] != firsts[0].json()["id"]
        assert_replay(again, post(server.public, "/notes", {"text": keys[0]}, keys[0]))


def test_what_has_expired_and_is_still_there(server):
    """The new answer takes its place."""
    key = new_key()
    first = post(server.public, "/notes", {"text": "old"}, key)
    with server.store.connect(server.folder) as connection:
        connection.execute("UPDATE trestle_idempotency SET created_at = '2001-01-01T00:00:00.000Z',"
                           " expires_at = '2001-01-02T00:00:00.000Z'")
        second = post(server.public, "/notes", {"text": "new"}, key)
    assert second.status_code == 201 and not is_replay(second)
    assert second.json()["id"] != first.json()["id"]
    assert_replay(second, post(server.public, "/notes", {"text": "new"}, key))


def test_the_program_tells_the_setting(server):
    assert "--idempotency-retention" in server.program("help", "serve", check=0).stdout


# Any order of everything


class Model(hypothesis.stateful.RuleBasedStateMachine):
    """A few keys, a few bodies, creates and changes, right and wrong: the answer to each is known
    from what came before."""

    server = None
    keys = st.integers(0, 3)
    bodies = st.sampled_from([{"text": "a"}, {"text": "b"}, {"text": "a", "size": 1}, {"text": ""}])
    changes = st.sampled_from([{"size": 1}, {"size": 2}, {"text": "c"}, {"text": ""}])

    def __init__(self):
        super().__init__()
        self.prefix = uuid.uuid4().hex
        self.client = self.server.public
        self.kept = {}
        self.notes = {}

    def send(self, method, path, key, body, is_valid):
        """Sends it, and checks all that does not depend on what it is."""
        response = self.client.request(
            method, path, data=json.dumps(body),
            headers={"Content-Type": "application/json", "Idempotency-Key": f"{self.prefix}-{key}"})
        kept = self.kept.get((method, path, key))
        if kept and kept[0] != body:
            problem(response, 422, "idempotency-mismatch")
        elif kept:
            assert_replay(kept[1], response)
        elif not is_valid:
            problem(response, 400, "invalid-body")
        else:
            return response
        return None

    def keep(self, method, path, key, body, response):
        assert not is_replay(response)
        self.kept[method, path, key] = (body, response)
        self.notes[f"/notes/{response.json()['id']}"] = response.json()

    @hypothesis.stateful.rule(key=keys, body=bodies)
    def create(self, key, body):
        response = self.send("POST", "/notes", key, body, body["text"] != "")
        if response is not None:
            assert response.status_code == 201
            assert response.headers["Location"] not in self.notes
            self.keep("POST", "/notes", key, body, response)

    @hypothesis.stateful.precondition(lambda self: self.notes)
    @hypothesis.stateful.rule(key=keys, body=changes, data=st.data())
    def change(self, key, body, data):
        path = data.draw(st.sampled_from(sorted(self.notes)))
        response = self.send("PATCH", path, key, body, body.get("text") != "")
        if response is not None:
            assert response.status_code == 200
            assert response.json() == {**self.notes[path], **body}
            self.keep("PATCH", path, key, body, response)

    @hypothesis.stateful.precondition(lambda self: self.notes)
    @hypothesis.stateful.rule(data=st.data())
    def change_without(self, data):
        path = data.draw(st.sampled_from(sorted(self.notes)))
        self.notes[path] = self.client.patch(path, {"size": 99}).json()
        assert self.notes[path]["size"] == 99

    @hypothesis.stateful.invariant()
    def each_was_done_once(self):
        for path, note in self.notes.items():
            assert self.client.get(path).json() == note


def test_model(server):
    Model.server = server
    hypothesis.stateful.run_state_machine_as_test(
        Model, settings=hypothesis.settings(max_examples=20, stateful_step_count=20))
