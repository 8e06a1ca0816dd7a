"""trestle keys: API keys from a shell, on the database itself, while servers run and while none does."""

import contextlib
import datetime
import json
import re
import threading

import pytest

import harness
from harness import Server, problem, wait_until

LATE = 10  # seconds: servers see a change within one, but for busy machines
SECRET = re.compile(r"tr_[0-9A-Za-z]{49}")
DEFINITIONS = {
    "notes": "properties:\n  text: {type: string, maxLength: 100}\n",
    "orders": "properties: {text: {type: string}}\n"
              "lifecycle: {property: state, states: [A, B]}\ntransitions: {go: {to: B}}\n",
}
DAY = datetime.timedelta(days=1)


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


@pytest.fixture(name="server", scope="module")
def _server():
    with Server(DEFINITIONS) as running:
        yield running


def keys(server, *arguments, check=0):
    return server.program("keys", *arguments, check=check)


def keys_json(server, *arguments):
    return json.loads(keys(server, *arguments, "--json").stdout)


def status(server, secret, path="/notes"):
    client = server.client(secret)
    with contextlib.closing(client):
        return client.get(path).status_code


def statuses(server, secret):
    return {status(server, secret) for _ in range(8)}


def create(server, name, *scopes, options=()):
    scopes = [part for scope in scopes or ("notes:read",) for part in ("--scope", scope)]
    return keys_json(server, "create", name, *scopes, *options)


def test_from_making_a_key_to_its_end(server):
    """All that can be done, each seen by a server that runs."""
    said = keys(server, "create", "a whole life", "--scope", "notes:read", "--scope",
                "notes:write,orders:go")
    secret = said.stdout.strip()
    assert SECRET.fullmatch(secret) and secret not in said.stderr
    assert secret[:11] in said.stderr and "only this once" in said.stderr
    assert status(server, secret) == 200
    listed, = [key for key in keys_json(server, "list") if key["name"] == "a whole life"]
    assert listed["scopes"] == ["notes:read", "notes:write", "orders:go"]
    assert listed["created_by"].startswith("cli:") and "secret" not in listed
    assert listed == server.admin.get(f"/keys/{listed['id']}").json() | {
        name: listed[name] for name in ("total_requests", "last_used_at")}
    assert abs(instant(listed["expires_at"]) - now() - 15 * DAY) < DAY / 24
    which = listed["id"]

    assert "active              no" in keys(server, "deactivate", "a whole life").stdout
    wait_until(lambda: statuses(server, secret) == {401}, "it is refused", LATE)
    assert keys_json(server, "reactivate", which)["active"] is True
    wait_until(lambda: statuses(server, secret) == {200}, "it is taken", LATE)

    said = keys(server, "rotate", secret[:11], "--grace", "0")
    new = said.stdout.strip()
    assert SECRET.fullmatch(new) and new != secret and new not in said.stderr
    wait_until(lambda: statuses(server, secret) == {401}, "the old one is refused", LATE)
    assert status(server, new) == 200

    renewed = keys_json(server, "renew", which)
    assert instant(renewed["expires_at"]) >= instant(listed["expires_at"])
    wait_until(lambda: keys_json(server, "show", which)["total_requests"] > 0, "it is written")

    keys(server, "delete", which)
    wait_until(lambda: statuses(server, new) == {401}, "it is refused", LATE)
    problem(server.admin.get(f"/keys/{which}"), 404)
    assert "no API key" in keys(server, "show", which, check=1).stderr

    # What is kept outlives it.
    history = keys_json(server, "history", which)
    assert [event["action"] for event in history] == [
        "create", "update", "update", "rotate", "renew", "delete"]
    assert {event["by"] for event in history} == {listed["created_by"]}
    assert {event["request_id"] for event in history} == {None}
    assert history[1]["changes"] == {"active": False}
    assert history == server.admin.list(f"/keys/{which}/history")
    assert sum(day["requests"] for day in keys_json(server, "usage", which)) > 0
    assert new[11:] not in json.dumps(history) and secret[11:] not in json.dumps(history)


def test_when_a_key_ends(server):
    assert create(server, "for ever", options=["--never-expires"])["expires_at"] is None
    end = instant(create(server, "90 days", options=["--expires", "90d"])["expires_at"])
    assert abs(end - now() - 90 * DAY) < DAY / 24
    key = create(server, "a day", options=["--expires", "2901-01-01"])
    assert key["expires_at"] == "2901-01-01T00:00:00.000Z"
    key = create(server, "an instant", options=["--expires", "2901-01-01T12:00:00+02:00"])
    assert key["expires_at"] == "2901-01-01T10:00:00.000Z"
    for wrong in ("soon", "2001-01-01", "0"):
        said = keys(server, "create", "x", "--scope", "notes:read", "--expires", wrong, check=1)
        assert "/expires_at" in said.stderr and not said.stdout


def test_what_no_key_is_made_of(server):
    before = len(keys_json(server, "list"))
    said = keys(server, "create", "x", "--scope", "nothing:read,notes:go,orders:go", check=1)
    assert "/scopes/0" in said.stderr and "/scopes/1" in said.stderr
    assert "/scopes/2" not in said.stderr and not said.stdout
    assert "/name" in keys(server, "create", "", "--scope", "admin", check=1).stderr
    assert "/scopes" in keys(server, "create", "x", "--scope", "", check=1).stderr
    assert len(keys_json(server, "list")) == before


@pytest.mark.parametrize("arguments, words", [
    ([], "argument is missing"),
    (["creat", "x"], "perhaps create"),
    (["fly"], "no \"keys fly\""),
    (["create"], "NAME, which is missing"),
    (["show"], "KEY, which is missing"),
    (["create", "x"], "--scope"),
    (["create", "x", "y"], "too many"),
    (["list", "x"], "too many"),
    (["list", "--scope", "admin"], "--scope has no meaning"),
    (["rotate", "x", "--state", "live"], "--state has no meaning"),
    (["rotate", "x", "--grace", "31d"], "--grace"),
    (["rotate", "x", "--grace", "soon"], "--grace"),
    (["create", "x", "--scope", "admin", "--expires", "1d", "--never-expires"], "exclude"),
    (["list", "--nothing"], "no flag"),
])
def test_wrong_uses(server, arguments, words):
    said = keys(server, *arguments, check=2)
    assert words in said.stderr and not said.stdout


def test_which_key_is_meant(server):
    key = create(server, "meant")
    for which in (key["id"], key["prefix"], "meant"):
        assert keys_json(server, "show", which)["id"] == key["id"]
    other = create(server, "meant")
    said = keys(server, "show", "meant", check=1).stderr
    assert "2 API keys" in said
    assert keys_json(server, "show", other["prefix"])["id"] == other["id"]
    for which in ("nobody", "tr_00000000", "01890000-0000-7000-8000-000000000000", "", "%"):
        said = keys(server, "show", which, check=1)
        assert "no API key" in said.stderr and not said.stdout
    for what in ("history", "usage"):
        said = keys(server, what, "01890000-0000-7000-8000-000000000000", check=1)
        assert "no API key" in said.stderr
    # A secret does not belong there, and is not repeated.
    said = keys(server, "deactivate", key["secret"], check=1)
    assert key["secret"] not in said.stderr and key["prefix"] in said.stderr
    assert keys_json(server, "show", key["id"])["active"] is True


def test_tables(server):
    key = create(server, "zwölf\x1b[31m\tbunte\nKeys", "notes:read", "orders:read")
    said = keys(server, "list").stdout
    lines = said.splitlines()
    assert lines[0].split()[:4] == ["ID", "NAME", "PREFIX", "STATE"]
    line, = [line for line in lines if key["id"] in line]
    assert "zwölf?[31m?bunte?Keys" in line and "\x1b" not in said
    assert line.endswith("notes:read orders:read")
    columns = {line.index(prefix) for line, prefix in
               ((line, re.search(r"tr_\w{8}", line).group()) for line in lines[1:])}
    assert columns == {lines[0].index("PREFIX")}
    keys(server, "deactivate", key["id"])
    assert key["id"] in keys(server, "list", "--state", "inactive").stdout
    assert key["id"] not in keys(server, "list", "--state", "live").stdout
    assert [one["id"] for one in keys_json(server, "list", "--state", "inactive")
            if one["id"] == key["id"]]
    assert "state" in keys(server, "list", "--state", "asleep", check=1).stderr
    history = keys(server, "history", key["id"]).stdout.splitlines()
    assert history[0].split() == ["AT", "ACTION", "BY", "CHANGES"]
    assert history[2].endswith('{"active":false}')
    assert keys(server, "usage", key["id"]).stdout.split() == [
        "DAY", "REQUESTS", "2XX", "3XX", "4XX", "5XX", "LAST", "USED"]


def test_many_keys(server):
    """More than a page."""
    scopes = {"name": "one of many", "scopes": ["notes:read"]}

    def make(count):
        client = server.client()
        for _ in range(count):
            client.create("/keys", scopes)
    threads = [threading.Thread(target=make, args=(260,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listed = keys_json(server, "list")
    assert len({key["id"] for key in listed}) == len(listed) > 1040
    assert sum(key["name"] == "one of many" for key in listed) == 1040
    assert keys(server, "list").stdout.count("one of many") == 1040
    said = keys(server, "show", "one of many", check=1).stderr
    assert "1040 API keys" in said


def test_without_a_server():
    """The first key of a database that was never served."""
    server = Server(DEFINITIONS)
    try:
        said = keys(server, "list", check=1).stderr
        assert said
        secret = keys(server, "create", "the first", "--scope", "notes:read").stdout.strip()
        server.start()
        assert status(server, secret) == 200
    finally:
        server.close()


def test_where_the_tables_are_left_alone():
    with Server(DEFINITIONS) as server:
        server.stop()
        with server.store.connect(server.folder) as connection:
            connection.execute("ALTER TABLE trestle_keys RENAME TO away")
        for arguments in (["list"], ["create", "x", "--scope", "admin"]):
            said = server.program("keys", *arguments, check=1, migrate="never")
            assert "tables" in said.stderr and not said.stdout
        with server.store.connect(server.folder) as connection:
            connection.execute("ALTER TABLE away RENAME TO trestle_keys")
        server.start()


def test_two_who_change_one_key(server):
    """A command and requests at the same time: nothing is lost, and all is noted."""
    key = create(server, "wanted by two")
    path = f"/keys/{key['id']}"

    def rename():
        client = server.client()
        for number in range(40):
            assert client.patch(path, {"name": f"wanted {number}"}).status_code == 200
    thread = threading.Thread(target=rename)
    thread.start()
    for action in ("deactivate", "reactivate", "deactivate"):
        keys(server, action, key["id"])
    thread.join()
    shown = server.admin.get(path).json()
    assert shown["name"] == "wanted 39" and shown["active"] is False
    changes = [event["changes"] for event in server.admin.list(path + "/history", limit=100)]
    assert sum("active" in change for change in changes[1:]) == 3
    assert sum(change.get("name", "").startswith("wanted ") for change in changes[1:]) == 40


def test_no_secret_is_left(server):
    key = create(server, "leaves nothing")
    keys(server, "rotate", key["id"])
    text = server.log_text()
    with server.store.connect(server.folder) as connection:
        for table in ("trestle_keys", "trestle_key_history"):
            text += str(connection.execute(f"SELECT * FROM {table}").fetchall())
    assert key["prefix"] in text and key["secret"][11:] not in text


def test_help(server):
    said = keys(server, "--help").stdout
    for word in ("create", "list", "show", "deactivate", "reactivate", "renew", "rotate", "delete",
                 "history", "usage", "Examples:", "--database", "--json"):
        assert word in said
    assert "keys" in harness.program("help", folder=server.folder, check=0).stdout
