"""API keys: how they are made, kept, presented, and taken away."""

import datetime
import hashlib
import json
import re
import time

import pytest

import harness
from harness import ADMIN_KEY, Server, pointers, problem

DEFINITIONS = {
    "notes": "properties:\n  text: {type: string, maxLength: 100}\n",
    "news": "access: {read: public, write: key}\nproperties:\n  text: {type: string}\n",
    "blobs": "access: {read: public, write: public}\nproperties:\n  text: {type: string}\n",
}

SECRET = re.compile(r"tr_[0-9A-Za-z]{49}")
DAY = datetime.timedelta(days=1)


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def stamp(moment):
    return moment.isoformat()


def make(admin, *scopes, **members):
    """A new key, as its record with the secret."""
    return admin.create("/keys", {"name": "test", "scopes": list(scopes) or ["*:read"], **members})


def holder(server, key):
    return server.client(key["secret"])


def challenge(response):
    return response.headers.get("WWW-Authenticate")


# Making

def test_a_new_key_shows_its_secret_once(server, admin):
    response = admin.post("/keys", {"name": "build agent", "scopes": ["notes:read"]})
    assert response.status_code == 201
    key = response.json()
    assert response.headers["Location"] == f"/keys/{key['id']}"
    assert response.headers["Cache-Control"] == "no-store"
    assert SECRET.fullmatch(key["secret"])
    assert key["secret"].startswith(key["prefix"]) and len(key["prefix"]) == 11
    assert key["name"] == "build agent" and key["scopes"] == ["notes:read"]
    assert key["active"] is True and key["never_expires"] is False
    assert key["created_by"] == "admin" and key["rotated_at"] is None
    assert abs(instant(key["created_at"]) - now()) < DAY / 24
    assert abs(instant(key["expires_at"]) - now() - 15 * DAY) < DAY / 24
    shown = admin.get(f"/keys/{key['id']}").json()
    assert shown == {name: value for name, value in key.items() if name != "secret"}
    assert shown in admin.list("/keys", id=key["id"])


def test_keys_differ(admin):
    keys = [make(admin) for _ in range(20)]
    assert len({key["secret"] for key in keys}) == len({key["id"] for key in keys}) == 20


def test_the_secret_is_nowhere_but_in_the_answer(server, admin):
    key = make(admin, "notes:read")
    secret = key["secret"]
    client = server.client(None)
    for target in (f"/notes?api-key={secret}", f"/notes?%61pi%2Dkey={secret}",
                   f"/nowhere?api-key={secret}", f"/notes?api-key={secret}&nothing=1",
                   f"/notes/x?api-key={secret}", f"/news?api-key={secret}"):
        client.get(target)
    for header in ({"X-API-Key": secret}, {"api-key": secret},
                   {"Authorization": f"Bearer {secret}"}):
        assert client.get("/notes", headers=header).status_code == 200
    answers = [client.get(f"/notes?limit=x&api-key={secret}"),
               client.post(f"/notes?api-key={secret}", {}),
               client.get(f"/notes?filter=x&api-key={secret}")]
    for answer in answers:
        assert secret not in answer.text + str(answer.headers)
    with server.store.connect(server.folder) as connection:
        rows = connection.execute("SELECT * FROM trestle_keys").fetchall()
        meta = connection.execute("SELECT * FROM trestle_meta").fetchall()
    text = json.dumps([list(map(str, row)) for row in [*rows, *meta]])
    assert secret not in text and secret[11:] not in text
    assert hashlib.sha256(secret.encode()).hexdigest() in text
    time.sleep(1.1)  # the log is gathered for a second
    log = server.log_text()
    assert secret not in log and secret[11:] not in log and ADMIN_KEY not in log
    assert "/notes?api-key=***" in log
    assert f"key:{key['id']}" in log


def test_a_key_for_ever(admin):
    key = make(admin, "notes:read", never_expires=True)
    assert key["expires_at"] is None and key["never_expires"] is True


def test_a_key_until(admin):
    end = now() + 400 * DAY
    key = make(admin, "notes:read", expires_at=stamp(end))
    assert abs(instant(key["expires_at"]) - end) < DAY / 86400
    assert key["never_expires"] is False


@pytest.mark.parametrize("body, expected", [
    ({}, {"/name", "/scopes"}),
    ({"name": "", "scopes": []}, {"/name", "/scopes"}),
    ({"name": "x", "scopes": "admin"}, {"/scopes"}),
    ({"name": "x", "scopes": ["admin", "admin"]}, {"/scopes"}),
    ({"name": "x", "scopes": [1]}, {"/scopes/0"}),
    ({"name": "x", "scopes": ["admin", "nothing:read", "notes:fly", "notes", "keys:read"]},
     {"/scopes/1", "/scopes/2", "/scopes/3", "/scopes/4"}),
    ({"name": "x", "scopes": ["admin", ""]}, {"/scopes/1"}),
    ({"name": "x", "scopes": ["*:fly"]}, {"/scopes/0"}),
    ({"name": "x", "scopes": ["notes:read "]}, {"/scopes/0"}),
    ({"name": "x", "scopes": ["admin"], "expires_at": "2001-01-01T00:00:00Z"}, {"/expires_at"}),
    ({"name": "x", "scopes": ["fly"], "expires_at": "2001-01-01T00:00:00Z"},
     {"/expires_at", "/scopes/0"}),
    ({"name": "x", "scopes": ["admin"], "expires_at": "soon"}, {"/expires_at"}),
    ({"name": "x", "scopes": ["admin"], "never_expires": True,
      "expires_at": "2901-01-01T00:00:00Z"}, {""}),
    ({"name": "x", "scopes": ["admin"], "secret": "tr_mine"}, {"/secret"}),
    ({"name": "x", "scopes": ["admin"], "digest": "00"}, {"/digest"}),
    ({"name": "x", "scopes": ["admin"], "previous_digest": "00"}, {"/previous_digest"}),
    ({"name": "x", "scopes": ["admin"], "prefix": "tr_00000000"}, {"/prefix"}),
    ({"name": "x", "scopes": ["admin"], "created_by": "me"}, {"/created_by"}),
    ({"name": "x", "scopes": ["admin"], "id": "01890000-0000-7000-8000-000000000000"}, {"/id"}),
    ([], {""}),
    ("x", {""}),
    (None, {""}),
])
def test_what_no_key_is_made_of(admin, body, expected):
    before = len(admin.list("/keys", limit=1000))
    assert set(pointers(admin.post("/keys", body))) == expected
    assert len(admin.list("/keys", limit=1000)) == before


# Listing, reading

def test_keys_are_listed_as_any_resource(admin):
    marks = [make(admin, name=f"listed {n}")["id"] for n in range(5)]
    gone = admin.patch(f"/keys/{marks[0]}", {"active": False})
    assert gone.status_code == 200
    listed = admin.list("/keys", filter="startsWith(name, 'listed ')", sort="-name", limit=2,
                        fields="name,active")
    assert listed == [{"name": "listed 4", "active": True}, {"name": "listed 3", "active": True}]
    pages = list(admin.walk("/keys", filter="startsWith(name, 'listed ')", limit=2))
    assert [key["id"] for page in pages for key in page] == sorted(marks)
    inactive = admin.list("/keys", state="inactive", limit=1000)
    assert marks[0] in [key["id"] for key in inactive]
    live = admin.list("/keys", state="live", limit=1000)
    assert marks[0] not in [key["id"] for key in live] and marks[1] in [key["id"] for key in live]
    assert admin.get("/keys", params={"count": "true", "name": "listed 3"}).headers[
        "X-Total-Count"] == "1"


@pytest.mark.parametrize("parameter", ["digest=00", "previous_digest=00", "sort=digest",
                                       "fields=digest", "filter=digest%3D'0'"])
def test_digests_cannot_be_asked_for(admin, parameter):
    problem(admin.get(f"/keys?{parameter}"), 400)


def test_no_answer_shows_a_digest(admin):
    key = make(admin)
    digest = hashlib.sha256(key["secret"].encode()).hexdigest()
    for answer in (admin.get("/keys?limit=1000"), admin.get(f"/keys/{key['id']}"),
                   admin.patch(f"/keys/{key['id']}", {"name": "y"}),
                   admin.patch(f"/keys/{key['id']}", {"digest": digest}),
                   admin.patch(f"/keys/{key['id']}", {"digest": None})):
        assert digest not in answer.text.replace(f'"{digest}":', "")
    assert set(pointers(admin.patch(f"/keys/{key['id']}", {"digest": digest}))) == {"/digest"}
    assert set(pointers(admin.patch(f"/keys/{key['id']}", {"digest": None}))) == {"/digest"}


def test_keys_are_not_replaced_or_imported(server, admin):
    key = make(admin)
    response = admin.put(f"/keys/{key['id']}", {"name": "x", "scopes": ["admin"]})
    problem(response, 405)
    assert set(response.headers["Allow"].split(", ")) == {
        "OPTIONS", "GET", "HEAD", "PATCH", "DELETE"}
    said = server.program("import", "keys", "-", "--format", "json", "--direct", stdin=b"[]",
                          check=1).stderr
    assert "keys" in said
    server.program("export", "keys", "--direct", check=1)
    problem(admin.get("/key-history"), 404)
    problem(admin.get("/trestle_keys"), 404)


# Presenting

def test_every_place_where_a_key_may_stand(server, admin):
    secret = make(admin, "notes:read")["secret"]
    client = server.client(None)
    for headers in ({"Authorization": f"Bearer {secret}"}, {"authorization": f"bEARER  {secret} "},
                    {"X-API-Key": secret}, {"x-api-key": secret}, {"api-key": secret},
                    {"Api-Key": secret}):
        assert client.get("/notes", headers=headers).status_code == 200, headers
    assert client.get(f"/notes?api-key={secret}").status_code == 200
    for headers in ({"Authorization": secret}, {"Authorization": f"Basic {secret}"},
                    {"Authorization": "Bearer"}, {"Cookie": f"api-key={secret}"}):
        assert client.get("/notes", headers=headers).status_code == 401, headers


def test_no_key(public):
    response = public.get("/notes")
    problem(response, 401, "key-required")
    assert challenge(response) == 'Bearer realm="trestle"'


def test_a_wrong_key_and_a_mistyped_one(server, admin):
    secret = make(admin, "notes:read")["secret"]
    other = make(admin, "notes:read")
    assert admin.delete(f"/keys/{other['id']}").status_code == 204
    wrong = other["secret"]
    swapped = secret[:20] + secret[21] + secret[20] + secret[22:]
    for key, words in ((wrong, "not known"), (swapped, "a character is wrong"),
                       (secret[:-1], "a character"), (secret + "0", "a character"),
                       (secret.lower(), "a character"), ("tr_", "a character"), ("x", "a character")):
        response = server.client(key).get("/notes")
        if key == swapped and secret[20] == secret[21]:
            continue
        value = problem(response, 401, "key-invalid")
        assert words in value["detail"]
        assert challenge(response) == 'Bearer realm="trestle", error="invalid_token"'
        assert key not in response.text or len(key) < 4


# Scopes

@pytest.mark.parametrize("scopes, allowed", [
    (["notes:read"], {"GET /notes", "GET /notes/1", "HEAD /notes"}),
    (["notes:write"], {"POST /notes", "PUT /notes/1", "PATCH /notes/1", "DELETE /notes/1"}),
    (["*:read"], {"GET /notes", "GET /notes/1", "HEAD /notes"}),
    (["*:write"], {"POST /notes", "PUT /notes/1", "PATCH /notes/1", "DELETE /notes/1",
                   "POST /news"}),
    (["news:write"], {"POST /news"}),
    (["blobs:read", "blobs:write"], set()),
    (["admin"], {"GET /notes", "GET /notes/1", "HEAD /notes", "POST /notes", "PUT /notes/1",
                 "PATCH /notes/1", "DELETE /notes/1", "POST /news", "GET /keys", "POST /keys"}),
])
def test_a_scope_lets_through_what_it_says(server, admin, scopes, allowed):
    client = holder(server, make(admin, *scopes))
    for request in ("GET /notes", "HEAD /notes", "POST /notes", "GET /notes/1", "PUT /notes/1",
                    "PATCH /notes/1", "DELETE /notes/1", "POST /news", "GET /keys", "POST /keys"):
        method, path = request.split()
        response = client.request(method, path, **harness._body({}, {}) if method in (
            "POST", "PUT", "PATCH") else {})
        if request in allowed:
            assert response.status_code in (200, 201, 204, 400, 404), (request, response.text)
            continue
        assert response.status_code == 403, (request, response.text)
        resource = path.split("/")[1]
        scope = "admin" if resource == "keys" else \
            f"{resource}:{'read' if method in ('GET', 'HEAD') else 'write'}"
        assert challenge(response) == \
            f'Bearer realm="trestle", error="insufficient_scope", scope="{scope}"'
        if method != "HEAD":
            assert scope in problem(response, 403, "forbidden")["detail"]
    # What is public is for everybody.
    assert client.get("/news").status_code == 200
    assert client.post("/blobs", {}).status_code == 201


def test_options_tell_what_a_key_may_do(server, admin, public):
    def allow(client, path):
        response = client.options(path)
        assert response.status_code == 204
        return set(response.headers["Allow"].split(", ")) - {"OPTIONS"}
    everything = {"GET", "HEAD", "PUT", "PATCH", "DELETE"}
    reader, writer = (holder(server, make(admin, scope)) for scope in ("notes:read", "notes:write"))
    assert allow(admin, "/notes/1") == everything
    assert allow(public, "/notes/1") == everything  # what there is
    assert allow(reader, "/notes/1") == {"GET", "HEAD"}
    assert allow(writer, "/notes/1") == {"PUT", "PATCH", "DELETE"}
    assert allow(writer, "/notes") == {"POST"}
    assert allow(reader, "/news") == {"GET", "HEAD"}
    assert allow(reader, "/blobs") == {"GET", "HEAD", "POST"}
    assert allow(reader, "/keys") == set()
    assert allow(admin, "/keys") == {"GET", "HEAD", "POST"}
    assert allow(reader, "/healthz") == {"GET", "HEAD"}


# Changing

def test_a_key_is_renamed_and_gets_other_scopes(server, admin):
    key = make(admin, "notes:read")
    client, path = holder(server, key), f"/keys/{key['id']}"
    assert client.get("/notes").status_code == 200
    changed = admin.patch(path, {"name": "other", "scopes": ["notes:write"]}).json()
    assert changed["name"] == "other" and changed["scopes"] == ["notes:write"]
    assert "secret" not in changed
    harness.wait_until(lambda: client.get("/notes").status_code == 403, "the scope is gone", 1)
    assert client.post("/notes", {}).status_code == 201


def test_an_end_and_for_ever_follow_each_other(admin):
    key = make(admin)
    path = f"/keys/{key['id']}"
    changed = admin.patch(path, {"never_expires": True}).json()
    assert changed["never_expires"] is True and changed["expires_at"] is None
    changed = admin.patch(path, {"expires_at": "2901-01-01T00:00:00Z"}).json()
    assert changed["never_expires"] is False
    assert changed["expires_at"] == "2901-01-01T00:00:00.000Z"
    assert pointers(admin.patch(path, {"expires_at": None})) == ["/expires_at"]
    assert pointers(admin.patch(path, {"never_expires": True,
                                       "expires_at": "2901-01-01T00:00:00Z"})) == [""]
    assert pointers(admin.patch(path, {"active": None})) == ["/active"]
    assert pointers(admin.patch(path, {"scopes": ["notes:read", "zip:read"]})) == ["/scopes/1"]


JSON_PATCH = {"Content-Type": "application/json-patch+json"}
END = "2901-01-01T00:00:00.000Z"


@pytest.mark.parametrize("for_ever, change, expected", [
    # What one says, the other follows.
    (False, {"never_expires": True}, (True, None)),
    (True, {"expires_at": END}, (False, END)),
    (True, {"never_expires": False}, (False, "15 days")),
    (True, {"never_expires": False, "expires_at": END}, (False, END)),
    (False, {"never_expires": True, "expires_at": None}, (True, None)),
    (False, {"never_expires": False}, (False, "15 days")),
    (True, {"expires_at": None}, (True, None)),
    (False, [("replace", "/never_expires", True)], (True, None)),
    (True, [("replace", "/expires_at", END)], (False, END)),
    (True, [("replace", "/never_expires", False)], (False, "15 days")),
    (False, [("test", "/never_expires", False), ("replace", "/never_expires", True)],
     (True, None)),
    (False, [("test", "/name", "test"), ("replace", "/never_expires", True),
             ("replace", "/expires_at", None)], (True, None)),
    # What fits nothing.
    (False, {"expires_at": None}, "/expires_at"),
    (True, {"never_expires": True, "expires_at": END}, ""),
    (False, {"never_expires": True, "expires_at": END}, ""),
    (True, {"never_expires": False, "expires_at": None}, "/expires_at"),
    (False, [("replace", "/expires_at", None)], "/expires_at"),
    (True, [("replace", "/never_expires", True), ("replace", "/expires_at", END)], ""),
])
def test_an_end_or_for_ever(admin, for_ever, change, expected):
    key = make(admin, **({"never_expires": True} if for_ever else {}))
    path = f"/keys/{key['id']}"
    headers = {}
    if isinstance(change, list):
        change = [{"op": op, "path": where, "value": value} for op, where, value in change]
        headers = JSON_PATCH
    response = admin.patch(path, change, headers=headers)
    if isinstance(expected, str):
        assert pointers(response) == [expected]
        return
    assert response.status_code == 200, response.text
    never, end = expected
    assert response.json()["never_expires"] is never
    if end == "15 days":
        assert abs(instant(response.json()["expires_at"]) - now() - 15 * DAY) < DAY / 24
    else:
        assert response.json()["expires_at"] == end


def test_a_key_that_is_made_inactive_and_active_again(server, admin):
    key = make(admin, "notes:read")
    client, path = holder(server, key), f"/keys/{key['id']}"
    assert client.get("/notes").status_code == 200
    assert admin.patch(path, {"active": False}).json()["active"] is False
    harness.wait_until(lambda: client.get("/notes").status_code == 401, "it is refused", 1)
    problem(client.get("/notes"), 401, "key-inactive")
    assert client.get("/news").status_code == 200  # as anybody may
    problem(client.post("/news", {}), 401, "key-inactive")
    assert admin.patch(path, {"active": True}).status_code == 200
    harness.wait_until(lambda: client.get("/notes").status_code == 200, "it is good again", 1)


def test_a_key_that_is_deleted(server, admin):
    key = make(admin, "notes:read")
    client, path = holder(server, key), f"/keys/{key['id']}"
    assert client.get("/notes").status_code == 200
    assert admin.delete(path).status_code == 204
    harness.wait_until(lambda: client.get("/notes").status_code == 401, "it is refused", 1)
    problem(client.get("/notes"), 401, "key-invalid")
    problem(admin.get(path), 404)
    problem(admin.delete(path), 404)


def test_a_key_expires(server, admin):
    key = make(admin, "notes:read", expires_at=stamp(now() + DAY / 86400))
    client = holder(server, key)
    assert client.get("/notes").status_code == 200
    harness.wait_until(lambda: client.get("/notes").status_code == 401, "it has expired", 3)
    value = problem(client.get("/notes"), 401, "key-expired")
    assert key["expires_at"] in value["detail"]
    assert key["id"] in [one["id"] for one in admin.list("/keys", state="expired", limit=1000)]


def test_a_scope_whose_resource_has_gone(server):
    with Server(DEFINITIONS) as other:
        key = make(other.admin, "notes:read", "news:write")
        other.stop()
        (other.resources / "notes.yaml").unlink()
        other.start()
        client = holder(other, key)
        assert client.post("/news", {}).status_code == 201
        problem(client.get("/notes"), 404)
        path = f"/keys/{key['id']}"
        # It may stay, and others may come.
        changed = other.admin.patch(path, {"scopes": ["notes:read", "news:read"]})
        assert changed.status_code == 200
        assert pointers(other.admin.patch(path, {"scopes": ["notes:write"]})) == ["/scopes/0"]


# Renewing and rotating

def test_a_renewed_key_is_good_for_15_days_more(server, admin):
    key = make(admin, "notes:read", expires_at=stamp(now() + DAY))
    path = f"/keys/{key['id']}"
    for body in ({"data": b""}, {"json": {}}):
        renewed = admin.post(path + "/renew", **body)
        assert renewed.status_code == 200
        end = instant(renewed.json()["expires_at"])
        assert abs(end - now() - 15 * DAY) < DAY / 24
        assert renewed.json() == admin.get(path).json()
    assert pointers(admin.post(path + "/renew", {"expires_at": stamp(now())})) == ["/expires_at"]
    assert pointers(admin.post(path + "/renew", [])) == [""]


def test_renewing_takes_nothing_away(admin):
    late = make(admin, expires_at=stamp(now() + 400 * DAY))
    for key in (late, make(admin, never_expires=True)):
        renewed = admin.post(f"/keys/{key['id']}/renew", {})
        assert renewed.status_code == 200
        assert renewed.json()["expires_at"] == key["expires_at"]
        assert renewed.json()["never_expires"] == key["never_expires"]


def test_an_expired_key_is_renewed(server, admin):
    key = make(admin, "notes:read", expires_at=stamp(now() + DAY / 86400 / 2))
    client = holder(server, key)
    harness.wait_until(lambda: client.get("/notes").status_code == 401, "it has expired", 3)
    assert admin.post(f"/keys/{key['id']}/renew", {}).status_code == 200
    assert client.get("/notes").status_code == 200


def test_an_inactive_key_stays_so_when_renewed(server, admin):
    key = make(admin, "notes:read", active=False)
    assert admin.post(f"/keys/{key['id']}/renew", {}).json()["active"] is False
    problem(holder(server, key).get("/notes"), 401, "key-inactive")


def test_a_rotated_key_has_two_secrets_for_a_while(server, admin):
    key = make(admin, "notes:read")
    path = f"/keys/{key['id']}"
    assert holder(server, key).get("/notes").status_code == 200
    response = admin.post(path + "/rotate", {"grace_seconds": 2})
    assert response.status_code == 200 and response.headers["Cache-Control"] == "no-store"
    rotated = response.json()
    assert SECRET.fullmatch(rotated["secret"]) and rotated["secret"] != key["secret"]
    assert rotated["secret"].startswith(rotated["prefix"]) and rotated["prefix"] != key["prefix"]
    assert abs(instant(rotated["rotated_at"]) - now()) < DAY / 24
    assert instant(rotated["previous_expires_at"]) - instant(rotated["rotated_at"]) == DAY / 43200
    for name in ("id", "name", "scopes", "expires_at", "created_at", "active"):
        assert rotated[name] == key[name]
    old, new = holder(server, key), holder(server, rotated)
    assert new.get("/notes").status_code == 200
    answer = old.get("/notes")
    assert answer.status_code == 200
    assert answer.headers["API-Key-Expires"] == rotated["previous_expires_at"]
    assert "API-Key-Expires" not in new.get("/notes").headers
    harness.wait_until(lambda: old.get("/notes").status_code == 401, "grace has ended", 4)
    assert "replaced" in problem(old.get("/notes"), 401, "key-expired")["detail"]
    assert new.get("/notes").status_code == 200


def test_a_rotation_without_grace(server, admin):
    key = make(admin, "notes:read")
    rotated = admin.post(f"/keys/{key['id']}/rotate", {"grace_seconds": 0}).json()
    assert rotated["previous_expires_at"] is None
    problem(holder(server, key).get("/notes"), 401, "key-invalid")
    assert holder(server, rotated).get("/notes").status_code == 200


def test_a_second_rotation_ends_the_first_secret(server, admin):
    first = make(admin, "notes:read")
    path = f"/keys/{first['id']}/rotate"
    second = admin.request("POST", path).json()
    end = instant(second["previous_expires_at"])
    assert abs(end - now() - DAY) < DAY / 24
    third = admin.post(path, {}).json()
    problem(holder(server, first).get("/notes"), 401, "key-invalid")
    assert holder(server, second).get("/notes").status_code == 200
    assert holder(server, third).get("/notes").status_code == 200


def test_grace_does_not_outlive_the_key(server, admin):
    key = make(admin, "notes:read")
    path = f"/keys/{key['id']}"
    assert admin.post(path + "/rotate", {"grace_seconds": 1000}).status_code == 200
    assert holder(server, key).get("/notes").status_code == 200
    assert admin.patch(path, {"expires_at": "2001-01-01T00:00:00Z"}).status_code == 200
    problem(holder(server, key).get("/notes"), 401, "key-expired")
    assert admin.patch(path, {"never_expires": True, "active": False}).status_code == 200
    problem(holder(server, key).get("/notes"), 401, "key-inactive")


@pytest.mark.parametrize("body, expected", [
    ({"grace_seconds": -1}, "/grace_seconds"), ({"grace_seconds": 1.5}, "/grace_seconds"),
    ({"grace_seconds": "1"}, "/grace_seconds"), ({"grace_seconds": 2592001}, "/grace_seconds"),
    ({"grace_seconds": 1 << 63}, "/grace_seconds"), ({"secret": "tr_mine"}, "/secret"), ([], ""),
    ("x", ""),
])
def test_what_no_rotation_is_asked_with(admin, body, expected):
    key = make(admin)
    response = admin.post(f"/keys/{key['id']}/rotate", body)
    if body == {"grace_seconds": 1 << 63}:
        problem(response, 400)
    else:
        assert pointers(response) == [expected]
    assert admin.get(f"/keys/{key['id']}").json()["rotated_at"] is None


def test_keys_that_are_not_there(admin):
    gone = "01890000-0000-7000-8000-000000000000"
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/renew")):
        problem(admin.request(method, f"/keys/{gone}{path}"), 404, "not-found")
        problem(admin.request(method, f"/keys/7{path}"), 400, "invalid-key")
    problem(admin.patch(f"/keys/{gone}", {"name": "x"}), 404)
    problem(admin.post(f"/keys/{gone}/fly", {}), 404)
    problem(admin.get(f"/keys/{gone}/rotate"), 405)
    problem(admin.get(f"/keys/{gone}/renew"), 405)


def test_a_change_of_the_very_version(server, admin):
    key = make(admin, "notes:read")
    path = f"/keys/{key['id']}"
    tag = admin.get(path).headers["ETag"]
    assert admin.patch(path, {"name": "x"}, headers={"If-Match": tag}).status_code == 200
    for method, where in (("POST", "/rotate"), ("POST", "/renew"), ("DELETE", "")):
        problem(admin.request(method, path + where, headers={"If-Match": tag}), 412)
    tag = admin.get(path).headers["ETag"]
    assert admin.request("POST", path + "/rotate", headers={"If-Match": tag}).status_code == 200
    assert holder(server, key).get("/notes").status_code == 200


def test_an_idempotency_record_has_no_secret(server, admin):
    headers = {"Idempotency-Key": "make-a-key"}
    body = {"name": "once", "scopes": ["notes:read"]}
    first = admin.post("/keys", body, headers=headers)
    again = admin.post("/keys", body, headers=headers)
    assert first.status_code == again.status_code == 201
    assert again.headers["Idempotency-Replayed"] == "true"
    key = first.json()
    secret = key.pop("secret")
    assert again.json() == key
    path = f"/keys/{key['id']}/rotate"
    first, again = (admin.post(path, {}, headers={"Idempotency-Key": "once"}) for _ in range(2))
    assert "secret" in first.json() and "secret" not in again.json()
    assert server.client(first.json()["secret"]).get("/notes").status_code == 200
    assert server.client(secret).get("/notes").status_code == 200
    with server.store.connect(server.folder) as connection:
        kept = connection.execute("SELECT body FROM trestle_idempotency").fetchall()
    bodies = b"".join(bytes(row[0]) for row in kept)
    assert key["id"].encode() in bodies and secret[11:].encode() not in bodies


# History

def test_what_was_done_to_a_key_and_by_whom(server, admin):
    key = make(admin, "notes:read", name="watched")
    other = make(admin, "admin")
    path = f"/keys/{key['id']}"
    client = holder(server, other)
    renamed = admin.patch(path, {"name": "other"})
    admin.patch(path, {"name": "other"})  # changes nothing, and is not noted
    client.patch(path, {"active": False})
    admin.request("POST", path + "/renew")
    admin.request("POST", path + "/rotate")
    history = admin.list(path + "/history")
    assert [(one["action"], one["by"]) for one in history] == [
        ("create", "admin"), ("update", "admin"), ("update", f"key:{other['id']}"),
        ("renew", "admin"), ("rotate", "admin")]
    assert history[0]["changes"]["scopes"] == ["notes:read"]
    assert history[0]["changes"]["name"] == "watched"
    assert history[1]["changes"] == {"name": "other"}
    assert history[1]["request_id"] == renamed.headers["X-Request-Id"]
    assert history[2]["changes"] == {"active": False}
    assert set(history[4]["changes"]) == {"prefix", "rotated_at", "previous_expires_at"}
    assert all(one["key_id"] == key["id"] for one in history)
    assert key["secret"][11:] not in json.dumps(history)
    # As any list.
    assert admin.list(path + "/history", action="update", sort="-at", limit=1) == [history[2]]
    assert admin.list(path + "/history", filter="by = 'admin'", fields="action") == [
        {"action": one["action"]} for one in history if one["by"] == "admin"]
    pages = list(admin.walk(path + "/history", limit=2))
    assert [one for page in pages for one in page] == history and len(pages) == 3
    assert admin.head(path + "/history").status_code == 200
    # It outlives the key.
    admin.delete(path)
    gone = admin.list(path + "/history")
    assert gone[:-1] == history and gone[-1]["action"] == "delete"
    assert gone[-1]["changes"] is None
    problem(admin.get(path), 404)


def test_whose_history_there_is_none(server, admin):
    key = make(admin, "*:read", "*:write")
    problem(holder(server, key).get(f"/keys/{key['id']}/history"), 403)
    problem(server.public.get(f"/keys/{key['id']}/history"), 401)
    problem(admin.get("/keys/01890000-0000-7000-8000-000000000000/history"), 404, "not-found")
    problem(admin.get("/keys/7/history"), 400, "invalid-key")
    problem(admin.post(f"/keys/{key['id']}/history", {}), 405)
    problem(admin.get(f"/keys/{key['id']}/history?nothing=1"), 400, "unknown-parameter")


# Warning

def test_a_key_near_its_end_is_warned(server, admin):
    soon = make(admin, "notes:read", expires_at=stamp(now() + 2 * DAY))
    later = make(admin, "notes:read", expires_at=stamp(now() + 4 * DAY))
    client = holder(server, soon)
    for request in (("GET", "/notes"), ("GET", "/news"), ("GET", "/nowhere"), ("POST", "/notes"),
                    ("OPTIONS", "/notes"), ("HEAD", "/notes")):
        answer = client.request(*request)
        expected = None if request[1] == "/nowhere" else soon["expires_at"]
        assert answer.headers.get("API-Key-Expires") == expected, request
    for other in (holder(server, later), admin, server.public):
        assert "API-Key-Expires" not in other.get("/notes").headers
    said = [line for line in server.log_text().splitlines()
            if soon["id"] in line and "expires at" in line]
    assert len(said) == 1 and soon["expires_at"] in said[0] and soon["prefix"] in said[0]
    assert soon["secret"] not in said[0]


def test_how_long_before_its_end_a_key_is_warned(server):
    with Server(DEFINITIONS, settings={"key_warning": "20d"}) as other:
        key = make(other.admin, "notes:read")
        assert holder(other, key).get("/notes").headers["API-Key-Expires"] == key["expires_at"]
        other.restart(key_warning="0")
        assert "API-Key-Expires" not in holder(other, key).get("/notes").headers


# Administrators

def test_a_key_with_the_scope_admin(server, admin):
    key = make(admin, "admin")
    client = holder(server, key)
    made = make(client, "notes:read")
    assert made["created_by"] == f"key:{key['id']}"
    assert client.patch(f"/keys/{key['id']}", {"active": False}).status_code == 200
    harness.wait_until(lambda: client.get("/keys").status_code == 401, "it is refused", 1)


def test_keys_survive_a_restart(server, admin):
    with Server(DEFINITIONS) as other:
        key = make(other.admin, "notes:read")
        other.restart()
        assert holder(other, key).get("/notes").status_code == 200
        # Another key for the administrator changes nothing for others.
        other.restart(admin_key="another-key-of-the-administrator")
        assert holder(other, key).get("/notes").status_code == 200
        assert other.client(ADMIN_KEY).get("/notes").status_code == 401
