"""Who may do what: every method of every route, asked by every kind of caller, with the key in each of
the places where one may stand. A route that is added without a row in ROWS fails a test here."""

import contextlib
import datetime
import itertools
import json
import time
import typing
import zlib

import pytest

import harness
from harness import ADMIN_KEY, Server, problem

# What a request needs that gets through: its body, the status of its answer, and what it is about:
# a record of its own, made as this.
COUPON = ("/coupons", {"title": "a coupon"})
PACKAGE = ("/packages", {"name": "package %d", "version": "1"})
KEY = ("/keys", {"name": "key %d", "scopes": ["packages:read"]})
MESSAGE = ("/messages", {"message": "message %d"})


class Row(typing.NamedTuple):
    needs: str  # "public", "admin", "each" (any key; what it is good for comes later), or a scope
    status: int
    body: object = None  # "%d" in a string of it is another number each time
    record: tuple | None = None


READ, MADE, DONE = 200, 201, 204
ROWS = {
    "GET /healthz": Row("public", READ),
    "GET /readyz": Row("public", READ),
    "OPTIONS *": Row("public", DONE),

    "GET /messages/{digest}": Row("public", READ, record=MESSAGE),
    "POST /messages": Row("public", MADE, MESSAGE[1]),

    "GET /coupons": Row("public", READ),
    "GET /coupons/events": Row("public", READ),
    "GET /coupons/lifecycle": Row("public", READ),
    "POST /coupons": Row("coupons:write", MADE, COUPON[1]),
    "GET /coupons/{id}": Row("public", READ, record=COUPON),
    "PUT /coupons/{id}": Row("coupons:write", READ, {"title": "another"}, COUPON),
    "PATCH /coupons/{id}": Row("coupons:write", READ, {"title": "another"}, COUPON),
    "DELETE /coupons/{id}": Row("coupons:write", DONE, record=COUPON),
    "POST /coupons/{id}/redeem": Row("coupons:redeem", READ, {}, COUPON),

    "GET /packages": Row("packages:read", READ),
    "GET /packages/events": Row("packages:read", READ),
    "GET /packages/lifecycle": Row("packages:read", READ),
    "POST /packages": Row("packages:write", MADE, PACKAGE[1]),
    "GET /packages/{id}": Row("packages:read", READ, record=PACKAGE),
    "GET /packages/{id}/history": Row("packages:read", READ, record=PACKAGE),
    "PUT /packages/{id}": Row("packages:write", READ, PACKAGE[1], PACKAGE),
    "PATCH /packages/{id}": Row("packages:write", READ, {"source": "https://a.example/"}, PACKAGE),
    "DELETE /packages/{id}": Row("packages:write", DONE, record=PACKAGE),
    "POST /packages/{id}/reject": Row("packages:reject", READ, {}, PACKAGE),

    "GET /keys": Row("admin", READ),
    "POST /keys": Row("admin", MADE, KEY[1]),
    "GET /keys/{id}": Row("admin", READ, record=KEY),
    "PATCH /keys/{id}": Row("admin", READ, {"name": "another"}, KEY),
    "DELETE /keys/{id}": Row("admin", DONE, record=KEY),
    "POST /keys/{id}/renew": Row("admin", READ, {}, KEY),
    "POST /keys/{id}/rotate": Row("admin", READ, {}, KEY),
    "GET /keys/{id}/history": Row("admin", READ, record=KEY),
    "GET /keys/{id}/usage": Row("admin", READ, record=KEY),

    # Nothing here is long; test_operations.py asks who may what with operations that are there.
    "GET /operations": Row("each", READ),
    "POST /operations/claim": Row("each", 400, {}),
    "GET /operations/events": Row("each", READ),
    "GET /operations/{id}": Row("each", 400),
    "POST /operations/{id}/cancel": Row("each", 400),
    "POST /operations/{id}/beat": Row("each", 400, {}),
    "POST /operations/{id}/finish": Row("each", 400, {}),
}


def _with_heads_and_options(rows):
    """Who may GET may HEAD, and everybody may ask what there is."""
    rows = dict(rows)
    for name, row in list(rows.items()):
        method, path = name.split()
        if method == "GET":
            rows[f"HEAD {path}"] = row
        rows.setdefault(f"OPTIONS {path}", Row("public", DONE, record=row.record))
    return rows


ROWS = _with_heads_and_options(ROWS)
SCOPES = sorted({row.needs for row in ROWS.values()} - {"public", "admin", "each"})

# What a caller gets, by what the route needs: the row's own status, or this one and its problem.
OWN = None
CALLERS = {
    # caller: (public, a scope, admin, any key)
    "nobody": (OWN, (401, "key-required"), (401, "key-required"), (401, "key-required")),
    "a wrong key": (OWN, (401, "key-invalid"), (401, "key-invalid"), (401, "key-invalid")),
    "a mistyped key": (OWN, (401, "key-invalid"), (401, "key-invalid"), (401, "key-invalid")),
    "a deleted key": (OWN, (401, "key-invalid"), (401, "key-invalid"), (401, "key-invalid")),
    "an expired key": (OWN, (401, "key-expired"), (401, "key-expired"), (401, "key-expired")),
    "an inactive key": (OWN, (401, "key-inactive"), (401, "key-inactive"), (401, "key-inactive")),
    "a replaced secret in its grace": (OWN, OWN, OWN, OWN),
    "a replaced secret after its grace": (OWN, (401, "key-expired"), (401, "key-expired"), (401, "key-expired")),
    "a replaced secret without grace": (OWN, (401, "key-invalid"), (401, "key-invalid"), (401, "key-invalid")),
    "the new secret": (OWN, OWN, OWN, OWN),
    "every other scope": (OWN, (403, "forbidden"), (403, "forbidden"), OWN),
    "the right scope": (OWN, OWN, OWN, OWN),
    "a key of the scope admin": (OWN, OWN, OWN, OWN),
    "the administrator": (OWN, OWN, OWN, OWN),
}

FORMS = {
    "Authorization": lambda key: ({"Authorization": f"Bearer {key}"}, ""),
    "X-API-Key": lambda key: ({"X-API-Key": key}, ""),
    "api-key": lambda key: ({"api-key": key}, ""),
    "query": lambda key: ({}, f"?api-key={key}"),
}


def expected(caller, row):
    place = {"public": 0, "admin": 2, "each": 3}.get(row.needs, 1)
    return CALLERS[caller][place] or (row.status, None)


def make(admin, scopes, **members):
    return admin.create("/keys", {"name": "a caller", "scopes": scopes, **members})


# Keys

def swapped(secret):
    """With two different characters next to each other in each other's place."""
    at = next(i for i in range(10, 40) if secret[i] != secret[i + 1])
    return secret[:at] + secret[at + 1] + secret[at] + secret[at + 2:]


class Callers:
    """A key of each kind for each thing that a route may need."""

    def __init__(self, admin):
        self.secrets = {}
        soon = (datetime.datetime.now(datetime.timezone.utc) +
                datetime.timedelta(seconds=0.5)).isoformat()
        for need in [*SCOPES, "admin"]:
            self._make(admin, need, soon)
        time.sleep(1.2)  # so long does a grace of a second last, and an end be ahead

    def _make(self, admin, need, soon):
        right = make(admin, [need])["secret"]
        rotated = {grace: make(admin, [need]) for grace in (0, 1, 3600)}
        new = {grace: admin.post(f"/keys/{key['id']}/rotate", {"grace_seconds": grace}).json()
               for grace, key in rotated.items()}
        gone = make(admin, [need])
        assert admin.delete(f"/keys/{gone['id']}").status_code == 204
        # It has the form of one, and was never made.
        wrong = "tr_" + "7" * 43
        self.secrets[need] = {
            "nobody": None,
            "a wrong key": wrong + check_digits(wrong),
            "a mistyped key": swapped(right),
            "a deleted key": gone["secret"],
            "an expired key": make(admin, [need], expires_at=soon)["secret"],
            "an inactive key": make(admin, [need], active=False)["secret"],
            "a replaced secret in its grace": rotated[3600]["secret"],
            "a replaced secret after its grace": rotated[1]["secret"],
            "a replaced secret without grace": rotated[0]["secret"],
            "the new secret": new[0]["secret"],
            "every other scope": make(admin, sorted(set(SCOPES) - {need}))["secret"],
            "the right scope": right,
            "a key of the scope admin": make(admin, ["admin"])["secret"],
            "the administrator": ADMIN_KEY,
        }

    def secret(self, caller, row):
        return self.secrets[SCOPES[0] if row.needs in ("public", "each") else row.needs][caller]


def check_digits(text):
    """Of a key, as docs/KEYS.md has it: a CRC-32 in base 62."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number, out = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        out = digits[digit] + out
    return out


_numbers = itertools.count(1)


def filled(body):
    """With another number each time."""
    if isinstance(body, dict):
        return {name: filled(value) for name, value in body.items()}
    if isinstance(body, str) and "%d" in body:
        return body % next(_numbers)
    return body


def target_of(server, name, row, shared):
    """The path that a request is made to; the record is one of its own, unless it may be shared."""
    path = name.split()[1]
    if row.record is None:
        return path
    where, body = row.record
    if shared is not None and where in shared:
        record = shared[where]
    else:
        record = server.admin.create(where, filled(body))
        if shared is not None:
            shared[where] = record
    return path.replace("{id}", str(record.get("id"))).replace(
        "{digest}", str(record.get("digest")))


def ask(client, name, path, row, form, secret):
    headers, query = form(secret) if secret else ({}, "")
    method = name.split()[0]
    if path == "*":
        return ask_star(client.server, headers)
    arguments = {"headers": headers, "stream": True}
    if row.body is not None:
        arguments["headers"] = {**headers, "Content-Type": "application/json"}
        arguments["data"] = json.dumps(filled(row.body)).encode()
    elif method == "POST":
        arguments["data"] = b""
    response = client.request(method, path + query, **arguments)
    if "events" in path and response.status_code == 200:
        response.close()  # a stream
    else:
        response.content  # pylint: disable=pointless-statement
    return response


class Star(typing.NamedTuple):
    """The answer to what requests cannot send."""

    status_code: int
    text: str


def ask_star(server, headers):
    with server.wire() as wire:
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        wire.send(f"OPTIONS * HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())
        answer = wire.receive("OPTIONS")
    return Star(answer.status, answer.body.decode())


@pytest.fixture(name="server", scope="module")
def _server():
    with Server() as running:
        yield running


@pytest.fixture(name="callers", scope="module")
def _callers(server):
    return Callers(server.admin)


def routes(server):
    return json.loads(server.program("routes", "--json", check=0).stdout)


def test_every_route_has_its_row(server):
    found = {f"{route['method']} {route['path']}":
             route["scope"] or route["access"] for route in routes(server)}
    assert found == {name: row.needs for name, row in ROWS.items()}


def test_the_server_serves_just_these(server):
    """Allow of each path names what the listing does."""
    paths = {}
    for route in routes(server):
        paths.setdefault(route["path"], set()).add(route["method"])
    for path, methods in paths.items():
        if path == "*":
            continue
        row = ROWS[f"OPTIONS {path}"]
        response = server.admin.options(target_of(server, f"OPTIONS {path}", row, None))
        assert set(response.headers["Allow"].split(", ")) == methods, path
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - methods:
            answer = server.admin.request(
                method, target_of(server, f"OPTIONS {path}", row, None))
            assert answer.status_code in (405, 501), (method, path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("caller", CALLERS)
def test_every_route(server, callers, caller, form):
    if caller == "nobody" and form != "Authorization":
        return  # there is no key to be put anywhere
    shared = {}
    client = server.client(None)
    wrong = []
    with contextlib.closing(client):
        for name, row in ROWS.items():
            status, slug = expected(caller, row)
            # Who is refused changes nothing, so that all may try the same record.
            path = target_of(server, name, row, shared if status >= 400 else None)
            response = ask(client, name, path, row, FORMS[form], callers.secret(caller, row))
            if response.status_code != status:
                wrong.append((name, response.status_code, status, response.text[:300]))
            elif slug and not name.startswith("HEAD"):
                problem(response, status, slug)
                secret = callers.secret(caller, row)
                assert not secret or secret not in response.text
    assert not wrong
    for where, record in shared.items():
        path = f"{where}/{record.get('id', record.get('digest'))}"
        now = server.admin.get(path).json()
        for counted in ("total_requests", "last_used_at", "secret"):
            now.pop(counted, None)
            record.pop(counted, None)
        assert now == record, path


# What is left behind

def every_cell(server):
    """All that the database holds, as one text."""
    with server.store.connect(server.folder) as connection:
        if harness.STORE == "sqlite":
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        else:
            tables = connection.execute(
                "SELECT table_name FROM information_schema.tables "
                "WHERE table_schema = 'public'").fetchall()
        assert len(tables) > 5
        rows = [row for (table,) in tables
                for row in connection.execute(f'SELECT * FROM "{table}"').fetchall()]
    return "\n".join(
        bytes(cell).decode("latin-1") if isinstance(cell, (bytes, memoryview)) else str(cell)
        for row in rows for cell in row)


def leave_traces(server, secret):
    """Sends a key everywhere where it might stick."""
    client = server.client(None)
    answers = []
    for form in FORMS.values():
        headers, query = form(secret)
        mark = "&" if query else "?"
        json_headers = {**headers, "Content-Type": "application/json"}
        for target in ("/packages", "/packages/1", "/nowhere", "/packages/x", "/keys", "/coupons"):
            answers.append(client.get(target + query, headers=headers))
        for parameters in ("nothing=1", "limit=x", "filter=(", "cursor=x", "sort=nothing"):
            answers.append(client.get(f"/packages{query}{mark}{parameters}", headers=headers))
        answers += [
            client.post("/packages" + query, headers=json_headers, data=b"{"),
            client.post("/packages" + query, headers=json_headers,
                        data=b'{"name":"traces","version":"1"}'),
            client.post("/packages" + query, headers={**json_headers, "Idempotency-Key": "traces"},
                        data=b'{"name":"traces","version":"2"}'),
            client.post("/packages" + query, headers=headers, data=b"x"),
            client.request("DELETE", "/packages/999999" + query, headers=headers),
            client.request("TRACE", "/packages" + query, headers=headers),
            client.options("/packages" + query, headers=headers),
        ]
    answers.append(client.get(f"/packages?%61pi%2dkey={secret}"))
    answers.append(client.get(f"/packages?a=b&api-key={secret}&api-key={secret}"))
    answers.append(client.get(f"/packages?api-key={secret}" + "&x=y" * 6000))
    answers.append(client.get(f"/packages?api-key={secret}", headers={"X": "y" * 20000}))
    with server.wire() as wire:  # no request at all
        wire.send(f"GET /packages?api-key={secret} HTTP/1.1\r\nX-API-Key : {secret}\r\n\r\n"
                  .encode())
        answers.append(Star(400, wire.receive("GET").body.decode()))
    return answers


@pytest.mark.parametrize("log", ["text", "json"])
def test_no_key_is_left_anywhere(log):
    with Server(settings={"log": log, "log_access": "on", "log_level": "debug"}) as server:
        key = make(server.admin, ["packages:read", "packages:write"])
        other = server.admin.post(f"/keys/{key['id']}/rotate", {},
                                  headers={"Idempotency-Key": "once"}).json()
        deactivated = make(server.admin, ["packages:read"], active=False)
        secrets = [key["secret"], other["secret"], deactivated["secret"], ADMIN_KEY,
                   swapped(key["secret"])]
        for secret in secrets:
            for answer in leave_traces(server, secret):
                fields = str(getattr(answer, "headers", ""))
                assert secret not in answer.text + fields and secret[11:] not in answer.text
        time.sleep(1.2)  # what is counted is written
        kept = every_cell(server)
        server.stop()
        said = server.log_text()
        for secret in secrets:
            assert secret[11:] not in said and secret[11:] not in kept
        assert key["id"] in said and key["id"] in kept
        assert "api-key=***" in said
        server.start()


def test_a_list_of_routes_for_people(server):
    said = server.program("routes", check=0).stdout.splitlines()
    assert len(said) == len(ROWS)
    assert any(line.split() == ["POST", "/packages/{id}/reject", "reject", "packages:reject"]
               for line in said)
    assert any(line.split() == ["GET", "/keys/{id}/usage", "read", "admin"] for line in said)
    assert any(line.split() == ["GET", "/healthz", "public"] for line in said)
    said = server.program("routes", check=1, resources=server.folder / "nothing").stderr
    assert "nothing" in said
    assert server.program("routes", "twice", check=2).stderr
