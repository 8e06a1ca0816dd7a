"""The rights that docs/OPERATIONS.md names are enough to serve with `migrate: never`, and no fewer."""

import contextlib
import os
import urllib.parse

import pytest

import harness
from harness import ADMIN_KEY, STORE, Server, problem, program

pytestmark = pytest.mark.skipif(STORE != "postgres", reason="SQLite has no rights")

RIGHTS = """
GRANT CONNECT ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
"""


@pytest.fixture(name="role")
def _role():
    """A role that may do nothing yet."""
    name = f"server_{os.getpid()}"
    with contextlib.closing(harness.PostgresConnection(harness.cluster_url())) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'few rights'")
        yield name
        connection.execute(f"DROP OWNED BY {name}")
        connection.execute(f"DROP ROLE {name}")


def url_as(role, url):
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{role}:few%20rights@{host}"))


def run_sql(server, sql, role):
    with server.store.connect(server.folder) as connection:
        connection.execute(sql.format(role=role, database=server.store.name))


def prepared(role):
    """A server's folder and database, with the tables made by their owner."""
    server = Server()
    run_sql(server, "REVOKE CREATE ON SCHEMA public FROM PUBLIC", role)
    program("migrate", folder=server.folder, check=0,
            settings={"resources": server.resources, **server.store.settings(server.folder)})
    server.settings.update(database=url_as(role, server.settings["database"]), migrate="never")
    return server


def test_they_are_enough(role):
    server = prepared(role)
    try:
        run_sql(server, RIGHTS, role)
        server.start()
        admin = server.admin
        assert server.public.post("/messages", {"message": "foo"}).status_code == 201
        coupon = admin.create("/coupons", {
            "title": "20 % off", "couponcode": "X", "category": "Food", "merchant": "m",
            "description": "d"})
        path = f"/coupons/{coupon['id']}"
        assert admin.patch(path, {"title": "30 % off"}).status_code == 200
        assert admin.get("/coupons", params={"count": "true", "sort": "-title"}).status_code == 200
        assert admin.delete(path).status_code == 204
        answer = admin.post("/packages", {"name": "p1", "version": "1"},
                            headers={"Content-Type": "application/json",
                                     "Idempotency-Key": "once"})
        assert answer.status_code == 201, answer.text
        key = admin.create("/keys", {"name": "k", "scopes": ["packages:read"]})
        client = server.client(key["secret"])
        assert client.get("/packages").status_code == 200
        client.close()
        server.restart(admin_key="another-administrator's-key")
        problem(server.client(ADMIN_KEY).get("/packages"), 401)
    finally:
        server.close()


@pytest.mark.parametrize("lacks", ["SELECT, ", ", UPDATE"])
def test_with_fewer_it_says_so(role, lacks):
    server = prepared(role)
    try:
        run_sql(server, RIGHTS.replace(lacks, ""), role)
        said = server.refuses_to_start()
        assert "permission denied" in said, said
    finally:
        server.store.remove()
