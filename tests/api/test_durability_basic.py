"""What was answered is there after a restart. (tests/faults kills it; this is the quick part.)"""

import concurrent.futures
import hashlib
import re

import pytest

from harness import ADMIN_KEY, Server, only_sqlite, problem


@pytest.fixture
def server():
    with Server() as running:
        yield running


def fill(server):
    """Writes from many threads; gives what was answered."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        messages = list(pool.map(
            lambda i: server.public.post("/messages", {"message": f"durable {i}"}).json(),
            range(200)))
        packages = list(pool.map(
            lambda i: server.admin.create("/packages", {"name": "durable", "version": str(i)}),
            range(200)))
        coupons = list(pool.map(
            lambda i: server.admin.create("/coupons", {"title": f"durable {i}"}), range(50)))
    for coupon in coupons[::2]:
        assert server.admin.delete(f"/coupons/{coupon['id']}").status_code == 204
    changed = [server.admin.patch(f"/coupons/{coupon['id']}", {"category": "changed"}).json()
               for coupon in coupons[1::2]]
    return messages, packages, changed


def check(server, messages, packages, coupons):
    for message in messages:
        assert server.public.get(f"/messages/{message['digest']}").json() == message
    assert server.admin.list("/packages", limit=1000) == sorted(packages,
        key=lambda each: each["id"])
    assert server.public.list("/coupons", limit=1000) == sorted(coupons,
        key=lambda each: each["id"])


def test_a_restart_keeps_everything(server):
    stored = fill(server)
    check(server, *stored)
    server.restart()
    check(server, *stored)
    server.restart(workers=1)
    check(server, *stored)


def test_a_kill_keeps_everything(server):
    stored = fill(server)
    server.kill()
    server.start()
    check(server, *stored)


@only_sqlite
def test_the_settings_of_the_file(server):
    """WAL, and pages as they are best for digests; a write is synchronous."""
    server.public.post("/messages", {"message": "x"})
    with server.store.connect(server.folder) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA page_size").fetchone() == (4096,)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        stored = connection.execute(
            "SELECT digest, typeof(digest), message FROM messages").fetchall()
    assert stored == [(hashlib.sha256(b"x").digest(), "blob", "x")]


def test_a_reader_from_outside_does_not_stop_it(server):
    """Somebody looks at the database with a long transaction."""
    record = server.admin.create("/coupons", {"title": "x"})
    with server.store.connect(server.folder) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM coupons").fetchall()
        for i in range(50):
            assert server.admin.patch(f"/coupons/{record['id']}",
                                      {"title": str(i)}).status_code == 200
        connection.execute("ROLLBACK")
    assert server.public.get(f"/coupons/{record['id']}").json()["title"] == "49"


def test_a_writer_from_outside(server):
    """While another process holds the database: 503, nothing lost; afterwards it goes on by itself."""
    server.restart(query_timeout="300ms")
    record = server.admin.create("/coupons", {"title": "x"})
    with server.store.connect(server.folder) as connection:
        server.store.hold(connection, "coupons")
        response = server.admin.patch(f"/coupons/{record['id']}", {"title": "y"})
        value = problem(response, 503)
        assert int(response.headers["Retry-After"]) >= 0, value
        assert server.public.get(f"/coupons/{record['id']}").json() == record
        connection.execute("COMMIT")
    assert server.admin.patch(f"/coupons/{record['id']}", {"title": "z"}).json()["title"] == "z"


def test_the_admin_key_that_it_makes():
    """Printed once, stored only as its digest, the same after a restart."""
    server = Server()
    del server.settings["admin_key"]
    with server:
        keys = re.findall(r"tr_[0-9A-Za-z]{49}", server.log_text())
        assert len(keys) == 1
        assert server.client(keys[0]).get("/packages").status_code == 200
        assert server.client(ADMIN_KEY).get("/packages").status_code == 401
        server.restart()
        assert len(re.findall(r"tr_[0-9A-Za-z]{49}", server.log_text())) == 1
        assert server.client(keys[0]).get("/packages").status_code == 200
        for path in server.data.rglob("*"):
            if path.is_file():
                assert keys[0].encode() not in path.read_bytes()
        # A configured one takes its place, for good.
        server.restart(admin_key=ADMIN_KEY)
        assert server.client(ADMIN_KEY).get("/packages").status_code == 200
        assert server.client(keys[0]).get("/packages").status_code == 401
        del server.settings["admin_key"]
        server.restart()
        assert server.client(ADMIN_KEY).get("/packages").status_code == 200
        assert server.client(keys[0]).get("/packages").status_code == 401


def test_it_writes_only_its_data(server):
    before = {path for path in server.folder.rglob("*") if server.data not in [path, *path.parents]}
    fill(server)
    server.restart()
    after = {path for path in server.folder.rglob("*") if server.data not in [path, *path.parents]}
    assert after == before
    assert server.data.stat().st_mode & 0o077 == 0, "nobody else may read the data"
