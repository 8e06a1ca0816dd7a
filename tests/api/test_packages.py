"""Packages, as they come with trestle: everything takes a key."""

import concurrent.futures

import pytest

from harness import ADMIN_KEY, pointers, problem, relative

SHA256 = "0123456789abcdef" * 4


def sorted_set(items):
    """A value may be wrong in two ways."""
    return sorted(set(items))


def package(name="trestle", version="1.0.0", **more):
    return {"name": name, "version": version, **more}


def test_a_package_from_birth_to_death(admin):
    response = admin.post("/packages", package(source="https://example.org/t_1.deb", sha256=SHA256))
    assert response.status_code == 201
    record = response.json()
    assert record == {"id": record["id"], "name": "trestle", "version": "1.0.0",
                      "source": "https://example.org/t_1.deb", "sha256": SHA256,
                      "status": "Created"}
    assert isinstance(record["id"], int) and record["id"] > 0
    path = relative(response.headers["Location"])
    assert path == f"/packages/{record['id']}"
    assert admin.get(path).json() == record

    changed = admin.put(path, package(version="1.0.1"))
    assert changed.status_code == 200
    assert changed.json() == {"id": record["id"], "name": "trestle", "version": "1.0.1",
                              "source": None, "sha256": None, "status": "Created"}
    patched = admin.patch(path, {"sha256": SHA256, "version": "1.0.2"})
    assert patched.status_code == 200
    assert patched.json() == {**changed.json(), "sha256": SHA256, "version": "1.0.2"}
    assert admin.get(path).json() == patched.json()
    assert patched.json() in admin.list("/packages", limit=1000)

    gone = admin.delete(path)
    assert gone.status_code == 204
    assert gone.content == b"" and "Content-Length" not in gone.headers
    problem(admin.get(path), 404, "not-found")
    problem(admin.delete(path), 404, "not-found")
    problem(admin.put(path, package()), 404, "not-found")
    problem(admin.patch(path, {}), 404, "not-found")


REQUESTS = [("GET", "/packages", None), ("POST", "/packages", package("intruder")),
            ("GET", "/packages/1", None), ("HEAD", "/packages/1", None),
            ("HEAD", "/packages", None), ("PUT", "/packages/1", package("intruder")),
            ("PATCH", "/packages/1", {"name": "intruder"}), ("DELETE", "/packages/1", None),
            ("GET", "/packages?nonsense=1", None), ("POST", "/packages", "nonsense"),
            ("GET", "/packages/nonsense", None)]


@pytest.mark.parametrize("method, path, body", REQUESTS)
def test_without_a_key(server, admin, method, path, body):
    response = server.public.request(method, path, json=body)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    if method != "HEAD":
        problem(response, 401, "key-required")
    assert not admin.list("/packages", name="intruder")


@pytest.mark.parametrize("key", [
    "wrong", ADMIN_KEY + "x", ADMIN_KEY[:-1], ADMIN_KEY.swapcase(), "", " ", "tr_",
    ADMIN_KEY[:-7] + "x000000", "x" * 5000, "schlüssel".encode("utf-8").decode("latin-1")])
def test_with_a_wrong_key(server, key):
    for fields in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}, {"api-key": key}):
        with server.wire() as wire:
            wire.send("GET /packages HTTP/1.1\r\nHost: test\r\n".encode()
                      + b"".join(f"{name}: {value}\r\n".encode("latin-1")
                                 for name, value in fields.items()) + b"\r\n")
            answer = wire.receive()
        assert answer.status == 401, fields
        assert answer.json()["type"].endswith(("key-invalid", "key-required"))
        assert answer.field("WWW-Authenticate").startswith("Bearer")


@pytest.mark.parametrize("fields", [
    {"Authorization": f"Bearer {ADMIN_KEY}"}, {"authorization": f"bearer {ADMIN_KEY}"},
    {"X-API-Key": ADMIN_KEY}, {"x-api-key": ADMIN_KEY}, {"api-key": ADMIN_KEY}])
def test_ways_to_present_the_key(public, fields):
    assert public.get("/packages", headers=fields).status_code == 200


def test_the_key_as_a_parameter(server, public):
    assert public.get("/packages", params={"api-key": ADMIN_KEY}).status_code == 200
    assert public.get("/packages", params={"api-key": ADMIN_KEY, "limit": 1}).status_code == 200
    problem(public.get("/packages", params={"api-key": "wrong"}), 401, "key-invalid")
    created = public.post(f"/packages?api-key={ADMIN_KEY}", package("by-parameter"))
    assert created.status_code == 201
    path = f"/packages/{created.json()['id']}?api-key={ADMIN_KEY}"
    assert public.get(path).json() == created.json()
    assert public.delete(path).status_code == 204


def test_the_key_shows_nowhere(server, public):
    """Neither answers nor the log repeat it."""
    response = public.get("/packages", params={"api-key": ADMIN_KEY, "limit": 1, "nonsense": 1})
    problem(response, 400, "unknown-parameter")
    assert ADMIN_KEY not in response.text
    first = public.post(f"/packages?api-key={ADMIN_KEY}", package("show", "1"))
    second = public.post(f"/packages?api-key={ADMIN_KEY}", package("show", "2"))
    assert ADMIN_KEY not in str(first.headers)
    page = public.get("/packages", params={"api-key": ADMIN_KEY, "limit": 1, "name": "show"})
    assert ADMIN_KEY not in str(page.headers)
    for record in (first, second):
        public.delete(f"/packages/{record.json()['id']}?api-key={ADMIN_KEY}")
    public.get("/packages", params={"API-KEY": ADMIN_KEY})
    public.get("/nowhere", params={"api-key": ADMIN_KEY})
    assert ADMIN_KEY not in server.log_text()


def test_one_name_and_version_once(admin):
    record = admin.create("/packages", package("unique"))
    value = problem(admin.post("/packages", package("unique")), 409, "conflict")
    said = str(value)
    assert "name" in said and "version" in said
    other = admin.create("/packages", package("unique", "2"))
    path = f"/packages/{other['id']}"
    for response in (admin.patch(path, {"version": "1.0.0"}), admin.put(path, package("unique"))):
        value = problem(response, 409, "conflict")
        assert "name" in str(value) and "version" in str(value)
        assert "SQL" not in str(value) and "constraint failed" not in str(value)
    assert admin.get(path).json() == other
    assert admin.put(path, package("unique", "2")).status_code == 200
    assert admin.delete(f"/packages/{record['id']}").status_code == 204
    assert admin.patch(path, {"version": "1.0.0"}).status_code == 200
    admin.delete(path)


def test_many_creators_of_one_package(server):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(
            lambda _: server.admin.post("/packages", package("raced")).status_code, range(64)))
    assert sorted(statuses) == [201] + [409] * 63
    assert len(server.admin.list("/packages", name="raced")) == 1


def test_a_key_is_not_used_again(admin):
    first = admin.create("/packages", package("reused"))
    admin.delete(f"/packages/{first['id']}")
    second = admin.create("/packages", package("reused"))
    assert second["id"] > first["id"]


def test_clients_do_not_write_the_status(admin):
    assert pointers(admin.post("/packages", package("s1", status="Active"))) == ["/status"]
    record = admin.create("/packages", package("s1"))
    path = f"/packages/{record['id']}"
    assert pointers(admin.patch(path, {"status": "Active"})) == ["/status"]
    assert pointers(admin.patch(path, {"status": None})) == ["/status"]
    assert pointers(admin.put(path, package("s1", status="Rejected"))) == ["/status"]
    assert admin.get(path).json() == record
    # What was read can be put back.
    assert admin.put(path, record).json() == record
    assert admin.patch(path, record).json() == record


def test_nor_the_key(admin):
    record = admin.create("/packages", package("k1"))
    path = f"/packages/{record['id']}"
    assert pointers(admin.patch(path, {"id": record["id"] + 1})) == ["/id"]
    assert pointers(admin.put(path, package("k1", id=record["id"] + 1))) == ["/id"]
    assert pointers(admin.post("/packages", package("k2", id=99))) == ["/id"]
    assert admin.patch(path, {"id": record["id"]}).status_code == 200


@pytest.mark.parametrize("change, where", [
    ({"name": "a"}, ["/name"]), ({"name": "x" * 201}, ["/name"]), ({"name": None}, ["/name"]),
    ({"version": ""}, ["/version"]), ({"version": "x" * 101}, ["/version"]),
    ({"version": 1}, ["/version"]), ({"source": "no uri"}, ["/source"]),
    ({"source": "relative/path"}, ["/source"]), ({"source": "http://[::1"}, ["/source"]),
    ({"source": "https://x/" + "y" * 2000}, ["/source"]), ({"source": "1http://x"}, ["/source"]),
    ({"source": "http://x/%zz"}, ["/source"]), ({"source": "http://x/ä"}, ["/source"]),
    ({"sha256": SHA256[:-1]}, ["/sha256"]), ({"sha256": SHA256.upper()}, ["/sha256"]),
    ({"sha256": SHA256 + "\n"}, ["/sha256"]), ({"sha256": ""}, ["/sha256"]),
    ({"name": "", "version": "", "source": "", "sha256": "", "more": 1},
     ["/more", "/name", "/sha256", "/source", "/version"]),
])
def test_every_fault_is_named(admin, change, where):
    assert sorted_set(pointers(admin.post("/packages", {**package("faulty"), **change}))) == where
    record = admin.create("/packages", package("faulty"))
    path = f"/packages/{record['id']}"
    assert sorted_set(pointers(admin.put(path, {**package("faulty"), **change}))) == where
    assert sorted_set(pointers(admin.patch(path, change))) == where
    assert admin.get(path).json() == record
    admin.delete(path)


@pytest.mark.parametrize("source", [
    "https://deb.example.org/pool/t/trestle_1.0.0.deb", "file:///tmp/x", "urn:isbn:0451450523",
    "http://user:pw@[2001:db8::1]:8080/a%20b?c=d#e", "mailto:a@example.org", "x:", "http://"])
def test_sources(admin, source):
    record = admin.create("/packages", package("source", source=source))
    assert record["source"] == source
    admin.delete(f"/packages/{record['id']}")


def test_states_can_be_asked_for(admin):
    record = admin.create("/packages", package("state"))
    assert record in admin.list("/packages", status="Created", limit=1000)
    assert admin.list("/packages", status="Active") == []
    assert admin.list("/packages", filter="status in ('Active', 'Rejected')") == []
    admin.delete(f"/packages/{record['id']}")


def test_patching_twice_at_once_loses_nothing(server):
    """Each PATCH changes its own property; all must be there in the end."""
    record = server.admin.create("/packages", package("patched"))
    path = f"/packages/{record['id']}"

    def patch(round):
        value = [{"source": f"urn:x:{round}"}, {"sha256": f"{round:064x}"}][round % 2]
        return server.admin.patch(path, value).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(patch, range(64)))
    assert statuses <= {200, 409}
    got = server.admin.get(path).json()
    assert got["source"] and got["sha256"]
    assert got["name"] == "patched"


def test_what_needs_a_key_is_not_for_shared_caches(admin):
    record = admin.create("/packages", package("cached"))
    for path in ("/packages", f"/packages/{record['id']}"):
        directives = admin.get(path).headers["Cache-Control"].replace(" ", "").split(",")
        assert "private" in directives or "no-store" in directives
        assert "public" not in directives
    admin.delete(f"/packages/{record['id']}")
