"""How often API keys are used: counted by every process, written within a second, and exact after an
orderly end."""

import contextlib
import datetime
import threading
import time

import pytest

import harness
from harness import Server, pointers, problem, wait_until

DEFINITIONS = {
    "notes": "properties:\n  text: {type: string, maxLength: 100}\n",
    "news": "access: {read: public, write: key}\nproperties:\n  text: {type: string}\n",
}
BEHIND = 1  # second
CLASSES = ("status_2xx", "status_3xx", "status_4xx", "status_5xx")


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def make(server, *scopes, **members):
    return server.admin.create("/keys", {"name": "test", "scopes": list(scopes) or ["notes:read"],
                                         **members})


def shown(server, key):
    return server.admin.get(f"/keys/{key['id']}").json()


def totals(server, key):
    """Requests, and those of each class, over all days."""
    days = server.admin.list(f"/keys/{key['id']}/usage")
    return tuple(sum(day[name] for day in days) for name in ("requests", *CLASSES))


@pytest.fixture(name="server", scope="module")
def _server():
    with Server(DEFINITIONS) as running:
        yield running


def test_requests_are_counted_by_their_status(server):
    key = make(server)
    assert shown(server, key)["total_requests"] == 0 and shown(server, key)["last_used_at"] is None
    assert server.admin.list(f"/keys/{key['id']}/usage") == []
    began = now()
    client = server.client(key["secret"])
    tag = client.get("/notes").headers["ETag"]
    assert client.get("/notes", headers={"If-None-Match": tag}).status_code == 304
    assert client.get("/news").status_code == 200  # public; it was made with the key
    assert client.options("/notes").status_code == 204
    assert client.post("/notes", {}).status_code == 403
    assert client.get("/notes/999").status_code == 404
    assert client.get("/notes?nothing=1").status_code == 400
    wait_until(lambda: shown(server, key)["total_requests"] == 7, "they are written", BEHIND)
    assert totals(server, key) == (7, 3, 1, 3, 0)
    day, = server.admin.list(f"/keys/{key['id']}/usage")
    assert day["key_id"] == key["id"]
    assert day["day"] in (str(began.date()), str(now().date()))
    last = instant(shown(server, key)["last_used_at"])
    assert began - datetime.timedelta(seconds=1) < last < now()
    assert day["last_used_at"] == shown(server, key)["last_used_at"]


def test_what_is_refused_with_401_is_no_use(server):
    key = make(server, active=False)
    client = server.client(key["secret"])
    for _ in range(3):
        problem(client.get("/notes"), 401)
        assert client.get("/news").status_code == 200  # as anybody may
    time.sleep(BEHIND)
    assert shown(server, key)["total_requests"] == 0 and totals(server, key)[0] == 0


def test_both_secrets_of_a_rotated_key_count_as_it(server):
    key = make(server)
    new = server.admin.post(f"/keys/{key['id']}/rotate", {}).json()
    for secret in (key["secret"], new["secret"]):
        assert server.client(secret).get("/notes").status_code == 200
    wait_until(lambda: shown(server, key)["total_requests"] == 2, "they are written", BEHIND)


def test_lists_by_use(server):
    keys = [make(server, name="by use") for _ in range(3)]
    for uses, key in enumerate(keys):
        client = server.client(key["secret"])
        for _ in range(uses):
            client.get("/notes")
    wait_until(lambda: shown(server, keys[2])["total_requests"] == 2, "they are written", BEHIND)
    wait_until(lambda: shown(server, keys[1])["total_requests"] == 1, "they are written", BEHIND)

    def ids(**parameters):
        return [key["id"] for key in server.admin.list("/keys", name="by use", **parameters)]
    assert ids(sort="-total_requests") == [key["id"] for key in reversed(keys)]
    assert ids(sort="last_used_at")[0] == keys[0]["id"]
    assert ids(filter="total_requests > 0", sort="id") == [key["id"] for key in keys[1:]]
    assert ids(filter="last_used_at is null") == [keys[0]["id"]]


def test_use_is_in_nobodys_way(server):
    """Neither of who changes a key that is in use, nor of its versions, nor of look-ups."""
    key = make(server)
    path = f"/keys/{key['id']}"
    client = server.client(key["secret"])
    first = server.admin.get(path)
    before = first.json()
    client.get("/notes")
    wait_until(lambda: shown(server, key)["total_requests"] == 1, "it is written", BEHIND)
    second = server.admin.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert second.status_code == 200 and second.json()["total_requests"] == 1
    assert second.headers["ETag"] == first.headers["ETag"]
    # What was read before is sent back whole.
    before.pop("secret", None)
    changed = server.admin.patch(path, {**before, "name": "other"},
                                 headers={"If-Match": first.headers["ETag"]})
    assert changed.status_code == 200, changed.text
    assert changed.json()["total_requests"] == 1
    assert server.admin.list(path + "/history")[-1]["changes"] == {"name": "other"}
    # A list is told by its bytes.
    tag = server.admin.get("/keys?sort=-id").headers["ETag"]
    client.get("/notes")
    wait_until(lambda: server.admin.get("/keys?sort=-id").headers["ETag"] != tag, "another", BEHIND)


def test_use_cannot_be_set(server):
    body = {"name": "x", "scopes": ["notes:read"]}
    assert pointers(server.admin.post("/keys", {**body, "total_requests": 5})) == [
        "/total_requests"]
    key = make(server)
    path = f"/keys/{key['id']}"
    assert server.admin.patch(path, {"total_requests": 5}).json()["total_requests"] == 0
    assert server.admin.patch(path, {"last_used_at": "2001-01-01T00:00:00Z"}).json()[
        "last_used_at"] is None


def test_use_while_the_key_changes(server):
    """No change of the key undoes what is counted meanwhile."""
    key = make(server)
    path = f"/keys/{key['id']}"
    client = server.client(key["secret"])
    end = time.monotonic() + 2
    used = 0
    while time.monotonic() < end:
        assert client.get("/notes").status_code == 200
        used += 1
        assert server.admin.patch(path, {"name": f"name {used}"}).status_code == 200
    wait_until(lambda: shown(server, key)["total_requests"] == used, "all are written", BEHIND)
    assert totals(server, key)[0] == used


def test_days_of_a_key(server):
    key = make(server)
    path = f"/keys/{key['id']}/usage"
    with server.store.connect(server.folder) as connection:
        for day in range(1, 8):
            connection.execute(
                "INSERT INTO trestle_key_usage (key_id, day, requests, status_2xx, status_3xx, "
                "status_4xx, status_5xx, last_used_at) VALUES "
                f"('{key['id']}', '2026-01-0{day}', {day}, {day}, 0, 0, 0, "
                f"'2026-01-0{day}T00:00:00.000Z')")
    pages = list(server.admin.walk(path, limit=3))
    assert [day["requests"] for page in pages for day in page] == [1, 2, 3, 4, 5, 6, 7]
    assert [len(page) for page in pages] == [3, 3, 1]
    latest = server.admin.list(path, sort="-day", limit=2, fields="day,requests")
    assert latest == [{"day": "2026-01-07", "requests": 7}, {"day": "2026-01-06", "requests": 6}]
    assert len(server.admin.list(path, filter="day >= '2026-01-05'")) == 3
    assert server.admin.get(path, params={"count": "true"}).headers["X-Total-Count"] == "7"
    # They outlive the key.
    server.admin.delete(f"/keys/{key['id']}")
    assert len(server.admin.list(path)) == 7


def test_whose_use_nobody_may_see(server):
    key = make(server, "*:read")
    problem(server.client(key["secret"]).get(f"/keys/{key['id']}/usage"), 403)
    problem(server.public.get(f"/keys/{key['id']}/usage"), 401)
    problem(server.admin.get("/keys/01890000-0000-7000-8000-000000000000/usage"), 404, "not-found")
    problem(server.admin.get("/keys/7/usage"), 400, "invalid-key")
    problem(server.admin.post(f"/keys/{key['id']}/usage", {}), 405)
    problem(server.admin.get("/key_usage"), 404)
    problem(server.admin.get("/key-usage"), 404)


def test_a_key_that_goes_while_it_is_used_is_in_nobodys_way(server):
    gone, stays = make(server), make(server)
    for key in (gone, stays):
        assert server.client(key["secret"]).get("/notes").status_code == 200
    server.admin.delete(f"/keys/{gone['id']}")
    wait_until(lambda: shown(server, stays)["total_requests"] == 1, "it is written", BEHIND)
    wait_until(lambda: server.admin.get(f"/keys/{gone['id']}/usage").status_code == 200,
               "it is written", BEHIND)
    assert totals(server, gone)[0] == 1
    problem(server.admin.get(f"/keys/{gone['id']}"), 404)


def use(server, key, stop, counts):
    """Asks until it is told to stop; counts what was answered, and what may have been counted."""
    client = server.client(key["secret"])
    with contextlib.closing(client):
        while not stop.is_set():
            try:
                status = client.get("/notes", timeout=harness.PATIENCE).status_code
            except harness.requests.RequestException:
                counts["unknown"] += 1
                return
            counts["answered"] += status == 200


@contextlib.contextmanager
def users(servers, key, each=2):
    stop = threading.Event()
    counts = {"answered": 0, "unknown": 0}
    each_counts = [dict(counts) for _ in range(each * len(servers))]
    threads = [threading.Thread(target=use, args=(servers[i % len(servers)], key, stop, one))
               for i, one in enumerate(each_counts)]
    for thread in threads:
        thread.start()
    yield counts
    stop.set()
    for thread in threads:
        thread.join()
    for name in counts:
        counts[name] = sum(one[name] for one in each_counts)


def test_it_is_exact_after_an_orderly_end():
    """Two processes; both end while they are used."""
    with Server(DEFINITIONS) as server, server.beside() as other:
        key = make(server)
        with users([server, other], key) as counts:
            time.sleep(1.5)
            other.terminate()
            server.terminate()
        for one in (other, server):
            one.wait()
            one.start()
        total = shown(server, key)["total_requests"]
        # The answer to a request may be lost with its connection.
        assert counts["answered"] <= total <= counts["answered"] + counts["unknown"]
        assert totals(server, key)[0] == total
        assert counts["answered"] > 100


def test_it_is_at_most_a_second_behind_after_a_kill():
    with Server(DEFINITIONS) as server:
        key = make(server)
        client = server.client(key["secret"])
        for _ in range(100):
            assert client.get("/notes").status_code == 200
        time.sleep(BEHIND)
        server.kill()
        server.start()
        assert shown(server, key)["total_requests"] == totals(server, key)[0] == 100


def test_what_cannot_be_written_is_written_later():
    with Server(DEFINITIONS) as server:
        key = make(server)
        client = server.client(key["secret"])
        assert client.get("/notes").status_code == 200
        with server.store.connect(server.folder) as connection:
            connection.execute("ALTER TABLE trestle_key_usage RENAME TO away")
            for _ in range(20):
                assert client.get("/notes").status_code == 200
                time.sleep(0.05)
            assert shown(server, key)["total_requests"] <= 1
            connection.execute("ALTER TABLE away RENAME TO trestle_key_usage")
        wait_until(lambda: shown(server, key)["total_requests"] == 21, "they are written", 20)
        assert totals(server, key) == (21, 21, 0, 0, 0)
        said = server.log_text()
        assert said.count("cannot be written for now") >= 1


def test_old_days_are_forgotten():
    with Server(DEFINITIONS) as server:
        key = make(server)
        kept = str(now().date() - datetime.timedelta(days=399))
        old = str(now().date() - datetime.timedelta(days=402))
        server.stop()
        with server.store.connect(server.folder) as connection:
            for day in (kept, old):
                connection.execute(
                    "INSERT INTO trestle_key_usage (key_id, day, requests, status_2xx, "
                    "status_3xx, status_4xx, status_5xx, last_used_at) VALUES "
                    f"('{key['id']}', '{day}', 1, 1, 0, 0, 0, '2026-01-01T00:00:00.000Z')")
        server.start()
        path = f"/keys/{key['id']}/usage"
        wait_until(lambda: [day["day"] for day in server.admin.list(path)] == [kept], "it is gone",
                   10)
