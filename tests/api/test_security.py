"""Attacks that no other test tries, by the OWASP API Security Top 10 (2023); and docs/SECURITY.md, which
names for each of the ten the tests that try it: they must be there."""

import ast
import re
import socket
import time

import pytest

import harness
from harness import ADMIN_KEY, Server, pointers, problem

DEFINITIONS = {
    "notes": "properties:\n  text: {type: string, maxLength: 100}\n",
    "vaults": """
properties:
  name: {type: string, maxLength: 100}
  pin: {type: string, maxLength: 20, writeOnly: true}
  level: {type: integer, readOnly: true, default: 1}
required: [level]
""",
    "news": "access: {read: public, write: key}\nproperties:\n  text: {type: string}\n",
}

PAGE = harness.ROOT / "docs" / "SECURITY.md"


def make(admin, *scopes):
    return admin.create("/keys", {"name": "test", "scopes": list(scopes)})


@pytest.fixture(name="reader", scope="module")
def _reader(server, admin):
    """A key that may do all with notes, and nothing else."""
    return server.client(make(admin, "notes:read", "notes:write")["secret"])


# The page

def named_tests():
    """`tests/api/test_x.py`: `test_y`, `test_z`"""
    found = []
    for line in PAGE.read_text("utf-8").splitlines():
        file = None
        for word in re.findall(r"`([^`]+)`", line):
            if re.fullmatch(r"tests/[a-z_/]+\.py", word):
                file = word
            elif re.fullmatch(r"test_[a-z0-9_]+", word):
                assert file, f"of which file is {word}?"
                found.append((file, word))
    return found


def test_every_risk_has_a_section_with_tests():
    text = PAGE.read_text("utf-8")
    sections = re.split(r"^## ", text, flags=re.M)[1:]
    risks = [section for section in sections if section.startswith("API")]
    assert [re.match(r"API(\d+):2023 ", risk).group(1) for risk in risks] == [
        str(number) for number in range(1, 11)]
    for risk in risks:
        assert re.search(r"`test_[a-z0-9_]+`", risk), risk.splitlines()[0]
    assert len(named_tests()) > 40


@pytest.mark.parametrize("file, name", sorted(set(named_tests())))
def test_the_tests_it_names_are_there(file, name):
    tree = ast.parse((harness.ROOT / file).read_text("utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


# API1, API5: what is not one's own

@pytest.mark.parametrize("target", [
    "/vaults/{id}", "/vaults", "/vaults/", "/vaults/{id}/", "/v%61ults/{id}", "/%76%61ults/{id}",
    "/notes/../vaults/{id}", "/notes/..%2fvaults/{id}", "/notes/%2e%2e/vaults/{id}",
    "//vaults/{id}", "/./vaults/{id}", "/notes/{id}/../../vaults/{id}", "/notes//vaults/{id}",
    "/VAULTS/{id}", "/vaults/{id}%00", "/vaults/{id}%20", "/vaults/{id};x", "/vaults/{id}.json",
    "/notes/{id}?expand=vaults", "/vaults?filter=id={id}", "/vaults?fields=name", "/vaults/lifecycle",
    "/vaults/events", "/vaults/{id}/history", "/keys/{id}", "/keys", "/trestle_keys", "/trestle_meta",
])
def test_paths_around_a_scope(server, admin, reader, target):
    vault = admin.create("/vaults", {"name": "hidden away", "pin": "1234"})
    with server.wire() as wire:  # requests would tidy the path up
        key = reader.session.headers["Authorization"]
        wire.send(f"GET {target.format(id=vault['id'])} HTTP/1.1\r\nHost: x\r\n"
                  f"Authorization: {key}\r\n\r\n".encode())
        answer = wire.receive("GET")
    assert answer.status in (400, 403, 404), answer.status
    assert b"hidden away" not in answer.body and b"1234" not in answer.body


@pytest.mark.parametrize("fields", [
    {"X-HTTP-Method-Override": "DELETE"}, {"X-HTTP-Method": "DELETE"}, {"X-Method-Override": "DELETE"},
    {"X-Original-URL": "/keys"}, {"X-Rewrite-URL": "/keys"}, {"X-Forwarded-For": "127.0.0.1"},
    {"X-Forwarded-User": "admin"}, {"X-Admin": "true"}, {"X-API-Key": ""}, {"Cookie": "admin=true"},
    {"Forwarded": "for=127.0.0.1"}, {"Host": "localhost"},
])
def test_fields_that_mean_nothing(server, admin, fields):
    """What other programs take for a method, a path or somebody's name."""
    note = admin.create("/notes", {"text": "it stays"})
    path = f"/notes/{note['id']}"
    client = server.client(None)
    answer = client.get(path, headers=fields)
    problem(answer, 401)
    client = server.client(make(admin, "notes:read")["secret"])
    answer = client.get(path + "?fields=text", headers=fields)
    assert answer.status_code == 200 and answer.json() == {"text": "it stays"}
    problem(client.post("/notes?_method=GET", {}, headers=fields), 403)
    assert admin.get(path).status_code == 200


def test_no_scope_makes_an_administrator(server, admin):
    """All scopes but admin, together: no way to /keys, nor to more scopes."""
    scopes = ["*:read", "*:write", "notes:read", "notes:write", "vaults:read", "vaults:write"]
    key = make(admin, *scopes)
    client = server.client(key["secret"])
    path = f"/keys/{key['id']}"
    for method, target, body in (
            ("GET", "/keys", None), ("POST", "/keys", {"name": "x", "scopes": ["admin"]}),
            ("GET", path, None), ("PATCH", path, {"scopes": ["admin"]}), ("DELETE", path, None),
            ("POST", path + "/renew", {}), ("POST", path + "/rotate", {}),
            ("GET", path + "/history", None), ("GET", path + "/usage", None)):
        answer = client.request(method, target, **(harness._body(body, {}) if body is not None
                                                   else {}))
        problem(answer, 403, "forbidden")
    assert admin.get(path).json()["scopes"] == scopes
    for scope in ("Admin", "ADMIN", "admin ", " admin", "admin:read", "*", "*:*", "keys:write",
                  "*:admin", "notes:*", "trestle_keys:write", "admin\n"):
        assert pointers(admin.post("/keys", {"name": "x", "scopes": [scope]})) == ["/scopes/0"]


# API2: who asks

def test_one_key_is_looked_at(server, admin):
    """A request with several keys has the rights of the first, whatever the others are."""
    good, none = make(admin, "notes:read")["secret"], "tr_" + "0" * 49
    client = server.client(None)
    for fields, status in (
            ({"Authorization": f"Bearer {none}", "X-API-Key": good}, 401),
            ({"Authorization": f"Bearer {good}", "X-API-Key": none}, 200),
            ({"Authorization": f"Bearer {good}", "X-API-Key": ADMIN_KEY}, 200),
            ({"X-API-Key": none, "api-key": good}, 401),
            ({"X-API-Key": good, "api-key": ADMIN_KEY}, 200)):
        assert client.get("/notes", headers=fields).status_code == status, fields
        if status == 200:
            assert client.get("/keys", headers=fields).status_code == 403, fields
    assert client.get(f"/notes?api-key={good}", headers={"X-API-Key": none}).status_code == 401


def test_what_is_no_key(server):
    """Other schemes, other places, and words that some programs let through."""
    client = server.client(None)
    for fields in ({"Authorization": ADMIN_KEY}, {"Authorization": f"Basic {ADMIN_KEY}"},
                   {"Authorization": f"Token {ADMIN_KEY}"}, {"Authorization": "Bearer null"},
                   {"Authorization": "Bearer undefined"}, {"Authorization": "Bearer  "},
                   {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."},
                   {"Cookie": f"api-key={ADMIN_KEY}"}, {"X-API-Key": "*"}, {"X-API-Key": "%"},
                   {"X-API-Key": "' OR '1'='1"}, {"X-API-Key": ADMIN_KEY.upper()},
                   {"X-API-Key": ADMIN_KEY + ADMIN_KEY}, {"X-API-Key": "A" * 10000}):
        problem(client.get("/notes", headers=fields), 401)


def test_a_secret_tells_nothing_of_others(server, admin):
    """Neither its beginning nor its digest, nor what any answer shows, is good for anything."""
    key = make(admin, "notes:read")
    shown = admin.get(f"/keys/{key['id']}").json()
    with server.store.connect(server.folder) as connection:
        digest, = connection.execute(
            f"SELECT digest FROM trestle_keys WHERE id = '{key['id']}'").fetchone()
    for word in (shown["prefix"], shown["id"], digest, f"key:{shown['id']}", key["secret"][:-1]):
        problem(server.client(word).get("/notes"), 401)


# API3: parts of a record

def test_what_cannot_be_set_is_not(server, admin):
    """Members that a client has no business with, in every way in which a record is written."""
    path = f"/vaults/{admin.create('/vaults', {'name': 'a'})['id']}"
    for members in ({"level": 9}, {"id": 99}, {"_version": 9}, {"admin": True}, {"__proto__": {}},
                    {"constructor": {}}):
        body = {"name": "b", **members}
        for answer in (admin.post("/vaults", body), admin.post("/vaults", [body]),
                       admin.put(path, body), admin.patch(path, body)):
            problem(answer, 400)
        operations = [{"op": "add", "path": "/" + name, "value": value}
                      for name, value in members.items()]
        problem(admin.patch(path, operations, headers={
            "Content-Type": "application/json-patch+json"}), 400)
    assert admin.get(path).json() == {"id": int(path.split("/")[2]), "name": "a", "level": 1}


def test_what_is_never_shown_cannot_be_found_out(admin):
    vault = admin.create("/vaults", {"name": "a", "pin": "4711"})
    assert "pin" not in vault
    path = f"/vaults/{vault['id']}"
    for target in (path, "/vaults", path + "?fields=name", "/vaults?sort=name&count=true"):
        assert "4711" not in admin.get(target).text
    for parameters in ("fields=pin", "sort=pin", "pin=4711", "filter=pin='4711'",
                       "filter=startsWith(pin,'4')", "filter=pin is null", "sort=-pin"):
        for target in ("/vaults?", ) + ((path + "?",) if parameters.startswith("fields") else ()):
            problem(admin.get(target + parameters), 400)
    for value in ("4711", "0000"):  # an answer that differs would tell
        answer = admin.patch(path, [{"op": "test", "path": "/pin", "value": value}], headers={
            "Content-Type": "application/json-patch+json"})
        assert answer.status_code == 409
        assert "4711" not in answer.text
    answer = admin.patch(path, {"name": "b"})
    assert answer.status_code == 200 and "4711" not in answer.text


# API7: what a server may be made to ask

def test_addresses_in_records_are_not_asked(admin):
    """A URI is a text. (What downloads packages has a list of where it may go: trestle fetch.)"""
    with Server() as server, socket.create_server((harness.HOST, 0)) as trap:
        trap.settimeout(0.5)
        url = f"http://{harness.HOST}:{trap.getsockname()[1]}/"
        package = server.admin.create("/packages", {"name": "trap", "version": "1", "source": url})
        path = f"/packages/{package['id']}"
        assert server.admin.get(path).json()["source"] == url
        server.admin.get("/packages", params={"filter": f"source = '{url}'"})
        server.admin.get("/packages", headers={"Referer": url, "Origin": url, "Host": url[7:-1]})
        server.admin.post(path + "/reject", {})
        with pytest.raises(TimeoutError):
            trap.accept()


# API8: how it is set up

def test_what_nobody_configured_is_careful(server, public):
    said = server.program("serve", "--help", check=0).stdout
    assert re.search(r"--listen .*?\[127\.0\.0\.1:8080\]", said, re.S)
    assert (server.folder / "data").stat().st_mode & 0o077 == 0 or harness.STORE != "sqlite" or \
        server.data.stat().st_mode & 0o077 == 0
    for answer in (public.get("/news"), public.get("/notes"), public.get("/nowhere"),
                   public.options("/notes", headers={
                       "Origin": "https://evil.example", "Access-Control-Request-Method": "GET"})):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        for name in ("Server", "X-Powered-By"):
            assert name not in answer.headers
    assert problem(public.request("TRACE", "/news"), 405)
    # What needs a key is for no shared cache.
    answer = server.admin.get("/notes")
    assert answer.headers["Cache-Control"].startswith("private")


SPELLS = ["'", "''", "\"", "'; DROP TABLE notes; --", "' OR '1'='1", "\\", "%", "_", "$1", "?1", "${7*7}",
          "{{7*7}}", "$(id)", "`id`", "|id", "\u202e", "/**/", "\x1b[2J", "\r\nX-Injected: 1"]


@pytest.mark.parametrize("spell", SPELLS)
def test_values_are_values(server, admin, spell):
    """Nothing that a client sends is spoken to the database, a shell, a log or a browser."""
    note = admin.create("/notes", {"text": spell})
    path = f"/notes/{note['id']}"
    assert admin.get(path).json()["text"] == spell
    quoted = spell.replace("'", "''")
    for parameters in ({"text": spell}, {"filter": f"text = '{quoted}'"},
                       {"filter": f"contains(text, '{quoted}')"}):
        answer = admin.get("/notes", params={**parameters, "limit": 1000})
        if answer.status_code == 200:
            assert note in answer.json()
        else:  # the language of filters has escapes of its own
            problem(answer, 400)
    for parameters in ({"sort": spell}, {"fields": spell}, {"filter": spell}, {"cursor": spell},
                       {"limit": spell}, {spell: "1"}):
        problem(admin.get("/notes", params=parameters), 400)
    for answer in (admin.get(path, headers={"X-Request-Id": spell.strip().encode()}),
                   admin.get(f"/notes/{harness.urllib.parse.quote(spell)}")):
        assert answer.status_code in (200, 400, 404)
        assert "X-Injected" not in answer.headers
    key = admin.create("/keys", {"name": spell, "scopes": ["notes:read"]})
    assert key["name"] == spell
    time.sleep(0.1)
    assert "\x1b" not in server.log_text() and "\nX-Injected" not in server.log_text()
    assert admin.get("/notes").status_code == 200
