"""GET /RESOURCE/events: each change is told once, in order, to whoever listens or comes back."""

import datetime
import json
import os
import signal
import threading
import time

import pytest

from harness import ADMIN_KEY, STORE, Server, only_sqlite, problem, wait_until
from listening import Listener, Refused, changes

PUBLIC = "access: {read: public, write: public}\n"
NOTES = PUBLIC + "properties:\n  text: {type: string}\n  extra: {type: object}\nevents: true\n"
LABELS = PUBLIC + ("key: name\nproperties:\n  name: {type: string, maxLength: 100}\n"
                   "  text: {type: string}\nunique: [[text]]\nevents: true\n").replace(
                       "text: {type: string}", "text: {type: string, maxLength: 100}")
BOOKS = ("properties:\n  text: {type: string}\n"
         "  shelf_id: {type: integer, references: shelves, on_delete: %s}\n"
         "indexes: [[shelf_id]]\nevents: true\n")
DEFINITIONS = {
    "notes": NOTES,
    "others": NOTES,
    "labels": LABELS,
    "tokens": PUBLIC + "key: {id: uuid}\nproperties: {text: {type: string}}\nevents: true\n",
    "digests": PUBLIC + ("key: {digest: sha256(text)}\nrequired: [text]\n"
                         "properties: {text: {type: string}}\nevents: true\n"),
    "logs": PUBLIC + ("actions: [list, read, create, delete]\n"
                      "properties: {text: {type: string}}\nevents: true\n"),
    "secrets": "properties: {text: {type: string, writeOnly: true}}\nevents: true\n",
    "shelves": PUBLIC + "properties: {text: {type: string}}\nevents: true\n",
    "books": PUBLIC + BOOKS % "cascade",
    "leaflets": PUBLIC + BOOKS % "set-null",
    "pages": PUBLIC + ("properties: {book_id: {type: integer, references: books, "
                       "on_delete: cascade}}\nindexes: [[book_id]]\nevents: true\n"),
    "silent": PUBLIC + "properties: {text: {type: string}}\n",
}

SLOW = 3  # times what it takes on a machine that has nothing else to do

only_postgres = pytest.mark.skipif(STORE != "postgres", reason="SQLite has one writer")


@pytest.fixture
def own_server(request):
    with Server(DEFINITIONS, settings=getattr(request, "param", None)) as running:
        yield running


def create(server, text="a", resource="notes"):
    return server.public.create(f"/{resource}", {"text": text})


def test_changes_are_told_as_they_happen(server):
    with Listener(server, "notes", key=None) as listener:
        assert listener.fields["cache-control"] == "no-store"
        assert 1000 <= listener.retry <= 3000
        note = create(server)
        path = f"/notes/{note['id']}"
        event = listener.next()
        assert event.change == "created"
        assert list(event.data) == ["key", "version", "at", "record"]
        assert event.data["record"] == note and event.data["key"] == note["id"]
        assert event.data["version"] == 1
        assert abs(time.time() - _seconds(event.data["at"])) < 60
        changed = server.public.patch(path, {"text": "b"}).json()
        event = listener.next()
        assert (event.change, event.data["version"]) == ("updated", 2)
        assert event.data["record"] == changed
        replaced = server.public.put(path, {"text": "c"}).json()
        assert listener.next().data["record"] == replaced
        server.public.delete(path)
        event = listener.next()
        assert event.change == "deleted"
        assert event.data == {"key": note["id"], "version": 3, "at": event.data["at"],
                              "record": None}


def _seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_it_begins_now_and_tells_from_where(server):
    create(server, "before")
    with Listener(server, "notes") as listener:
        start = listener.last_id
    # Who was cut off before the first event has a number to come back with.
    note = create(server, "while it was away")
    with Listener(server, "notes", start) as listener:
        assert changes([listener.next()]) == [("created", note["id"], 1)]
        assert listener.rest(0.3) == []


def test_who_comes_back_misses_nothing(server):
    with Listener(server, "notes") as listener:
        made = [create(server, f"{i}")["id"] for i in range(3)]
        seen = listener.take(2)
    server.public.delete(f"/notes/{made[0]}")
    with Listener(server, "notes", seen[-1].id) as listener:
        seen += listener.take(2)
        made.append(create(server, "live")["id"])
        seen.append(listener.next())
        assert listener.rest(0.3) == []
    assert changes(seen) == [("created", made[0], 1), ("created", made[1], 1),
                             ("created", made[2], 1), ("deleted", made[0], 1),
                             ("created", made[3], 1)]
    numbers = [event.id for event in seen]
    assert numbers == sorted(set(numbers))
    # Those of the past have the record as it is now, or null.
    assert seen[2].data["record"]["text"] == "2"
    with Listener(server, "notes", seen[0].id - 1) as listener:
        assert listener.next().data["record"] is None


def test_history_of_many_pages_while_it_grows(server):
    with Listener(server, "others") as listener:
        start = listener.last_id
    keys = []
    for i in range(0, 1500, 500):
        batch = [{"text": f"{i + j}"} for j in range(500)]
        keys += [note["id"] for note in server.public.create("/others", batch)]
    stop = threading.Event()
    more = []

    def write():
        client = server.client(key=None)
        while not stop.is_set():
            more.append(client.create("/others", {"text": "more"})["id"])
        client.close()
    thread = threading.Thread(target=write)
    thread.start()
    listeners = [Listener(server, "others", start) for _ in range(12)]
    time.sleep(0.5)
    stop.set()
    thread.join()
    for listener in listeners:
        with listener:
            seen = listener.take(len(keys) + len(more))
            assert [event.data["key"] for event in seen] == keys + more
            assert listener.rest(0.2) == []


def test_other_resources_events_are_not_told(server):
    with Listener(server, "notes") as listener, Listener(server, "labels") as other:
        server.public.create("/labels", {"name": "a", "text": "apart"})
        note = create(server)
        assert changes(listener.take(1)) == [("created", note["id"], 1)]
        assert other.next().data["key"] == "a"
        assert listener.rest(0.2) == [] and other.rest(0.2) == []


@pytest.mark.parametrize("resource, record, key", [
    ("tokens", {"text": "a"}, "id"),
    ("digests", {"text": "content"}, "digest"),
    ("labels", {"name": "ü/ % \"quoted\"\\ 'x'", "text": "k"}, "name"),
    ("labels", {"name": "17", "text": "a number's look"}, "name"),
])
def test_keys_of_every_kind(server, resource, record, key):
    with Listener(server, resource) as listener:
        made = server.public.create(f"/{resource}", record)
        event = listener.next()
        assert event.data["key"] == made[key] and event.data["record"] == made


def test_records_without_versions(server):
    with Listener(server, "logs") as listener:
        made = create(server, resource="logs")
        assert listener.next().data["version"] is None
        server.public.delete(f"/logs/{made['id']}")
        assert changes([listener.next()]) == [("deleted", made["id"], None)]


def test_what_is_never_shown_is_not_told(server):
    with Listener(server, "secrets") as listener:
        made = server.admin.create("/secrets", {"text": "hidden"})
        assert listener.next().data["record"] == made == {"id": made["id"]}


def test_a_key_that_comes_again(server):
    with Listener(server, "labels") as listener:
        for _ in range(3):
            server.public.create("/labels", {"name": "again", "text": "again"})
            server.public.delete("/labels/again")
        seen = listener.take(6)
    assert [event.change for event in seen] == ["created", "deleted"] * 3
    assert all(event.data["record"] is None for event in seen if event.change == "deleted")


def test_stored_json_with_line_ends(server):
    """What came with SQL may have white space between its tokens."""
    with Listener(server, "notes") as listener, server.store.connect(server.folder) as database:
        database.execute("INSERT INTO notes (text, extra) VALUES ('x', '{\"a\":\r\n [1,\n\n 2]}')")
        assert listener.next().data["record"]["extra"] == {"a": [1, 2]}


# What is noted

def test_sql_by_hand_is_told(server):
    with Listener(server, "notes") as listener, server.store.connect(server.folder) as database:
        database.execute("INSERT INTO notes (text) VALUES ('by hand'), ('by hand')")
        database.execute("UPDATE notes SET text = 'changed' WHERE text = 'by hand'")
        database.execute("DELETE FROM notes WHERE text = 'changed'")
        seen = listener.take(6)
    assert [event.change for event in seen] == 2 * ["created"] + 2 * ["updated"] + 2 * ["deleted"]


def test_what_a_delete_does_to_others_is_told(server):
    """Each record that goes along, two steps down, and each that loses what it referred to."""
    shelf, other = (server.public.create("/shelves", {})["id"] for _ in range(2))
    books = [server.public.create("/books", {"shelf_id": at})["id"] for at in (shelf, other, shelf)]
    pages = [server.public.create("/pages", {"book_id": book})["id"] for book in books * 2]
    leaflets = [server.public.create("/leaflets", {"shelf_id": at})["id"]
                for at in (shelf, other, shelf)]
    server.public.patch(f"/leaflets/{leaflets[0]}", {"text": "changed"})
    with (Listener(server, "shelves") as of_shelves, Listener(server, "books") as of_books,
          Listener(server, "pages") as of_pages, Listener(server, "leaflets") as of_leaflets):
        assert server.public.delete(f"/shelves/{shelf}").status_code == 204
        assert changes([of_shelves.next()]) == [("deleted", shelf, 1)]
        assert sorted(changes(of_books.take(2))) == [
            ("deleted", books[0], 1), ("deleted", books[2], 1)]
        assert sorted(changes(of_pages.take(4))) == [
            ("deleted", pages[i], 1) for i in (0, 2, 3, 5)]
        told = sorted(of_leaflets.take(2), key=lambda event: event.data["key"])
        assert changes(told) == [("updated", leaflets[0], 3), ("updated", leaflets[2], 2)]
        for event in told:
            assert event.data["record"]["shelf_id"] is None
            assert event.data["record"] == server.public.get(f"/leaflets/{event.data['key']}").json()
        for listener in (of_shelves, of_books, of_pages, of_leaflets):
            assert listener.rest(0.2) == []


def test_what_was_rolled_back_was_never_there(server):
    with Listener(server, "labels") as listener, server.store.connect(server.folder) as database:
        start = listener.last_id
        database.execute("BEGIN")
        database.execute("INSERT INTO labels (name, text, _version) VALUES ('ghost', 'ghost', 1)")
        database.execute("ROLLBACK")
        # All or none: the last one stands against the first.
        many = [{"name": f"n{i}", "text": f"t{i % 3}"} for i in range(4)]
        problem(server.public.post("/labels", many), 409)
        server.public.create("/labels", {"name": "real", "text": "real"})
        assert changes([listener.next(), *listener.rest(0.3)]) and listener.last_id > start
    with Listener(server, "labels", start) as listener:
        events = [listener.next(), *listener.rest(0.3)]
        assert [event.data["key"] for event in events] == ["real"]


def test_imports_are_told(own_server):
    with Listener(own_server, "notes") as listener:
        lines = "".join(json.dumps({"text": f"{i}"}) + "\n" for i in range(300))
        own_server.program("import", "notes", "-", "--format", "ndjson", "--direct",
                           stdin=lines.encode(), check=0)
        assert [event.data["record"]["text"] for event in listener.take(300)] == [
            f"{i}" for i in range(300)]


# What is asked

def test_the_number_may_stand_in_the_url(server):
    with Listener(server, "notes") as listener:
        start = listener.last_id
    made = [create(server)["id"] for _ in range(2)]
    with Listener(server, "notes", query=f"?last_event_id={start}") as listener:
        seen = listener.take(2)
        assert [event.data["key"] for event in seen] == made
    # The field is what a client comes back with, and newer.
    with Listener(server, "notes", seen[0].id, query=f"?last_event_id={start}") as listener:
        assert listener.next().data["key"] == made[1]


@pytest.mark.parametrize("query, fields, status, slug", [
    ("?last_event_id=x", (), 400, "invalid-parameter"),
    ("?last_event_id=-1", (), 400, "invalid-parameter"),
    ("?last_event_id=", (), 400, "invalid-parameter"),
    ("?last_event_id=99999999999999999999", (), 400, "invalid-parameter"),
    ("?last_event_id=1&last_event_id=2", (), 400, "invalid-parameter"),
    ("", ("Last-Event-ID: 1.5",), 400, "invalid-parameter"),
    ("?filter=x", (), 400, "unknown-parameter"),
    ("?limit=1", (), 400, "unknown-parameter"),
])
def test_what_is_refused(server, query, fields, status, slug):
    with pytest.raises(Refused) as refused:
        Listener(server, "notes", query=query, fields=fields)
    assert refused.value.status == status
    assert refused.value.problem["type"].endswith(slug)


def test_routes(server):
    assert server.public.get("/silent/events").status_code == 400  # no key could be that
    assert server.public.get("/missing/events").status_code == 404
    assert server.public.get("/notes/events/1").status_code == 404
    answer = server.public.post("/notes/events", {})
    problem(answer, 405, "method-not-allowed")
    assert "GET" in answer.headers["Allow"] and "POST" not in answer.headers["Allow"]
    assert server.public.options("/notes/events").status_code == 204
    answer = server.public.head("/notes/events", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/event-stream"
    problem(server.public.get("/notes/events", headers={"Accept": "application/json"}), 406)


def test_who_may_list_may_listen(server):
    problem(server.public.get("/secrets/events"), 401, "key-required")
    problem(server.client("tr_wrong").get("/secrets/events"), 401, "key-invalid")
    with Listener(server, "secrets", key=None, query=f"?api-key={ADMIN_KEY}"):
        pass


def test_http_1_0(server):
    with server.wire() as wire:
        wire.send("GET /notes/events HTTP/1.0\r\n\r\n")
        head = wire._until(b"\r\n\r\n")
        assert b"chunked" not in head
        create(server)
        assert wire._until(b'"record":{')


# Gaps

def test_a_number_from_the_future_is_a_gap(server):
    create(server)
    with Listener(server, "notes") as listener:
        now = listener.last_id
    with Listener(server, "notes", now + 1000) as listener:
        event = listener.next()
        assert event.change == "gap" and event.data == {"from": event.id + 1}
        assert now <= event.id < now + 1000
        note = create(server)
        assert changes([listener.next()]) == [("created", note["id"], 1)]
    with Listener(server, "notes", now) as listener:
        assert listener.next().change == "created"


RETENTION = pytest.mark.parametrize("own_server", [{"events_retention": "2s"}], indirect=True)


def count_events(server):
    with server.store.connect(server.folder) as database:
        return database.execute("SELECT count(*) FROM trestle_events").fetchone()[0]


@RETENTION
def test_what_is_beyond_the_retention_is_a_gap(own_server):
    with Listener(own_server, "notes") as listener, Listener(own_server, "others") as other:
        start = listener.last_id
        own_server.public.create("/notes", [{"text": f"{i}"} for i in range(1000)])
        own_server.public.create("/notes", [{"text": f"{i}"} for i in range(1000)])
        # Who listens has them all.
        assert len(listener.take(2000)) == 2000
        wait_until(lambda: count_events(own_server) == 1, "old events are gone")
        time.sleep(1)
        assert count_events(own_server) == 1  # its number must not come again
        note = create(own_server)
        assert listener.next().data["key"] == note["id"]
        assert other.rest(0.1) == []
        came_back = listener.last_id
    for last_id in (start, 0, 1):
        with Listener(own_server, "notes", last_id) as listener:
            event = listener.next()
            assert event.change == "gap" and event.data == {"from": event.id + 1}
            following = listener.rest(0.3)
            assert following[0].id == event.data["from"]
            assert following[-1].data["key"] == note["id"]
    with Listener(own_server, "notes", came_back) as listener:
        assert listener.rest(0.3) == []


@pytest.mark.parametrize("own_server", [{"events_heartbeat": "100ms", "events_retention": "1s"}],
                         indirect=True)
def test_heartbeats_keep_numbers_fresh(own_server):
    """Who hears nothing for long, because others' records change, has no gap when it comes back."""
    with Listener(own_server, "labels") as listener:
        start = listener.last_id
        for _ in range(4):
            for _ in range(5):
                create(own_server)
            assert listener.rest(0.5) == []
        assert listener.heartbeats >= 5
        assert listener.last_id >= start + 20
        wait_until(lambda: count_events(own_server) == 1, "old events are gone")
    with Listener(own_server, "labels", listener.last_id) as listener:
        assert listener.rest(0.3) == []
    with Listener(own_server, "labels", start) as listener:
        assert listener.next().change == "gap"


def test_another_life_of_the_database(own_server):
    """A backup that is put back while somebody listens has lower numbers."""
    with Listener(own_server, "notes") as listener:
        for _ in range(5):
            create(own_server)
        listener.take(5)
        with own_server.store.connect(own_server.folder) as database:
            database.execute("DELETE FROM trestle_events WHERE seq > "
                             "(SELECT max(seq) - 3 FROM trestle_events)")
        event = listener.next()
        assert event.change == "gap" and event.id == listener.last_id < event.data["from"]
        note = create(own_server)
        assert listener.next().data["key"] == note["id"]


# Definitions and tables

def reload(server, resources):
    before = len(server.log_text())
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: f"serving {resources} resources" in server.log_text()[before:], "reload")


def test_a_reload_keeps_streams_but_for_those_that_are_gone(own_server):
    with (Listener(own_server, "notes") as listener, Listener(own_server, "others") as gone,
          Listener(own_server, "labels") as silenced,
          Listener(own_server, "tokens", key=None) as shut_out,
          Listener(own_server, "tokens") as let_in):
        (own_server.resources / "others.yaml").unlink()
        own_server.define("labels", LABELS.replace("events: true\n", ""))
        own_server.define("tokens", DEFINITIONS["tokens"].replace("public", "key"))
        own_server.define("notes", NOTES.replace("  text:", "  more: {type: integer}\n  text:"))
        reload(own_server, len(DEFINITIONS) - 1)
        assert gone.end() and silenced.end() and shut_out.end()
        note = create(own_server)
        assert "more" in note and listener.next().data["record"] == note
        own_server.admin.create("/tokens", {"text": "x"})
        assert let_in.next().change == "created"
    problem(own_server.public.get("/others/events"), 404)
    # While it had no events, nothing was noted: who was there before is told so.
    own_server.public.create("/labels", {"name": "unseen", "text": "unseen"})
    own_server.define("labels", LABELS)
    reload(own_server, len(DEFINITIONS) - 1)
    with Listener(own_server, "labels", silenced.last_id) as listener:
        assert listener.next().change == "gap"
        own_server.public.create("/labels", {"name": "seen", "text": "seen"})
        assert listener.next().data["key"] == "seen"


# Keys

def make_key(server, *scopes, **members):
    return server.admin.create("/keys", {"name": "listener", "scopes": list(scopes), **members})


def soon(seconds=1):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def deactivate(server, path):
    assert server.admin.patch(path, {"active": False}).status_code == 200


def delete(server, path):
    assert server.admin.delete(path).status_code == 204


def narrow(server, path):
    assert server.admin.patch(path, {"scopes": ["notes:read"]}).status_code == 200


ENDS = {
    deactivate: (401, "key-inactive"), delete: (401, "key-invalid"), narrow: (403, "forbidden")}


@pytest.mark.parametrize("change", ENDS, ids=lambda change: change.__name__)
def test_a_key_that_is_good_no_more_ends_its_streams(server, change):
    status, slug = ENDS[change]
    key, other = make_key(server, "secrets:read"), make_key(server, "secrets:read")
    with (Listener(server, "secrets", key=other["secret"]) as stays,
          Listener(server, "notes", key=key["secret"]) as public,
          Listener(server, "secrets") as admin):
        listeners = [Listener(server, "secrets", key=key["secret"]) for _ in range(5)]
        started = time.monotonic()
        change(server, f"/keys/{key['id']}")
        assert all(listener.end() for listener in listeners)
        assert time.monotonic() - started < 1 * SLOW
        with pytest.raises(Refused) as refused:
            Listener(server, "secrets", key=key["secret"])
        assert refused.value.status == status and refused.value.problem["type"].endswith(slug)
        made = server.admin.create("/secrets", {"text": "x"})
        assert stays.next().data["key"] == admin.next().data["key"] == made["id"]
        note = create(server)
        assert public.next().data["key"] == note["id"]  # where nobody needs a key


def test_a_key_that_expires_ends_its_streams(server):
    key = make_key(server, "secrets:read", expires_at=soon(1.5))
    with Listener(server, "secrets", key=key["secret"]) as listener:
        started = time.monotonic()
        assert listener.end()
        assert 0.2 < time.monotonic() - started < 1.5 + 1 * SLOW


def test_a_key_that_is_changed_goes_on(server):
    key = make_key(server, "secrets:read", expires_at=soon(1.5))
    with Listener(server, "secrets", key=key["secret"]) as listener:
        path = f"/keys/{key['id']}"
        assert server.admin.patch(path, {"scopes": ["*:read", "notes:write"]}).status_code == 200
        assert server.admin.post(f"{path}/renew", {}).status_code == 200
        assert listener.rest(2.5) == []
        made = server.admin.create("/secrets", {"text": "x"})
        assert listener.next().data["key"] == made["id"]


def test_many_keys(server):
    """More than are looked up at once."""
    keys = [make_key(server, "secrets:read") for _ in range(100)]
    listeners = [Listener(server, "secrets", key=key["secret"]) for key in keys]
    for key in keys[:50]:
        deactivate(server, f"/keys/{key['id']}")
    assert all(listener.end() for listener in listeners[:50])
    made = server.admin.create("/secrets", {"text": "x"})
    for listener in listeners[50:]:
        assert listener.next().data["key"] == made["id"]
        listener.close()


def test_a_key_that_another_process_deactivates(own_server):
    with own_server.beside() as other:
        key = make_key(own_server, "secrets:read")
        with Listener(other, "secrets", key=key["secret"]) as listener:
            assert listener.rest(0.7) == []  # it was looked at
            started = time.monotonic()
            deactivate(own_server, f"/keys/{key['id']}")
            assert listener.end()
            assert time.monotonic() - started < 1 * SLOW


def drop_triggers(server, resource):
    with server.store.connect(server.folder) as database:
        if STORE == "postgres":
            names = database.execute("SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass "
                                     "AND tgname LIKE 'trestle_events%%'", (resource,)).fetchall()
        else:
            names = database.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' "
                                     "AND tbl_name = ?", (resource,)).fetchall()
        for name, in names:
            database.execute(f"DROP FUNCTION {name} CASCADE" if STORE == "postgres"
                             else f"DROP TRIGGER {name}")


def test_triggers_that_are_missing_come_back_with_a_gap(own_server):
    with Listener(own_server, "notes") as listener:
        create(own_server)
        listener.take(1)
    own_server.stop()
    drop_triggers(own_server, "notes")
    said = own_server.program("migrate", "--dry-run", check=0).stdout
    assert "notes: its events begin" in said and "CREATE TRIGGER" in said
    own_server.settings["migrate"] = "never"
    assert "CREATE TRIGGER" in own_server.refuses_to_start()
    own_server.start(migrate="auto")
    with Listener(own_server, "notes", listener.last_id) as again:
        assert again.next().change == "gap"
        note = create(own_server)
        assert changes([again.next()]) == [("created", note["id"], 1)]
    own_server.restart(migrate="never")
    with Listener(own_server, "notes", again.last_id) as listener:
        assert listener.rest(0.3) == []


def test_events_can_be_turned_off(own_server):
    own_server.define("notes", NOTES.replace("events: true\n", ""))
    own_server.restart()
    before = count_events(own_server)
    create(own_server)
    assert count_events(own_server) == before
    problem(own_server.public.get("/notes/events"), 400, "invalid-key")


@only_sqlite
def test_a_copy_begins_with_a_gap(own_server):
    with Listener(own_server, "notes") as listener:
        for _ in range(5):
            create(own_server)
        listener.take(5)
    own_server.stop()
    own_server.program("copy", "--from", own_server.settings["database"], "--to",
                       f"sqlite:{own_server.folder}/copy.db", check=0)
    own_server.start(database=f"sqlite:{own_server.folder}/copy.db")
    assert len(own_server.public.list("/notes")) == 5
    with Listener(own_server, "notes", listener.last_id) as again:
        assert again.next().change == "gap"
        note = create(own_server)
        assert note["id"] == 6 and again.next().data["key"] == 6
        assert again.rest(0.2) == []


# Ends

def test_sigterm_ends_streams_in_order(own_server):
    listeners = [Listener(own_server, "notes") for _ in range(20)]
    note = create(own_server)
    assert listeners[0].next().data["key"] == note["id"]
    started = time.monotonic()
    own_server.terminate()
    assert all(listener.end() for listener in listeners)
    own_server.wait()
    assert time.monotonic() - started < 8, "it waited for the shutdown_timeout"


def test_a_killed_server_lost_nothing(own_server):
    with Listener(own_server, "notes") as listener:
        made = [create(own_server)["id"] for _ in range(10)]
        seen = listener.take(3)
        own_server.kill()
        assert not listener.end()
    own_server.start()
    with Listener(own_server, "notes", seen[-1].id) as listener:
        seen += listener.take(len(made) - len(seen)) + listener.rest(0.3)
    assert [event.data["key"] for event in seen] == made


def test_clients_come_and_go(server):
    for _ in range(100):
        with Listener(server, "notes"):
            pass
    # … and some do so before their stream begins.
    for _ in range(100):
        with server.wire() as wire:
            wire.get("/notes/events", "Last-Event-ID: 1")
    note = create(server)
    with Listener(server, "notes", 0) as listener:
        event = listener.next()
        while event.data.get("key") != note["id"]:  # TimeoutError where it does not come
            event = listener.next()


def rss(server):
    with open(f"/proc/{server.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_who_reads_slowly_gets_all_and_costs_little(own_server):
    """What a slow client does not take waits in the table, not in memory."""
    text = "x" * 20_000
    with Listener(own_server, "notes", buffer=4096) as slow, Listener(own_server, "notes") as fast:
        seen = 0
        before = rss(own_server)
        for i in range(20):
            own_server.public.create("/notes", [{"text": f"{i} {text}"} for _ in range(100)])
            seen += len(fast.take(100))
        growth = rss(own_server) - before
        events = slow.take(seen)
        assert [event.id for event in events] == sorted({event.id for event in events})
        assert len(events) == seen == 2000
        note = create(own_server, "the last")
        assert slow.next().data["record"] == note == fast.next().data["record"]
    print(f"{growth / 2**20:.1f} MiB more for 40 MB of events")


@pytest.mark.parametrize("own_server", [{"write_timeout": "1s"}], indirect=True)
def test_who_does_not_read_is_cut(own_server):
    text = "x" * 100_000
    with Listener(own_server, "notes", buffer=4096) as listener:
        start = listener.last_id
        made = [note["id"] for _ in range(6)
                for note in own_server.public.create("/notes", [{"text": text}] * 50)]
        time.sleep(3)
        assert not listener.end()
    with Listener(own_server, "notes", start) as listener:
        assert [event.data["key"] for event in listener.take(300)] == made


def test_a_database_that_is_held(own_server):
    """Streams outlive it, and go on."""
    with Listener(own_server, "notes") as listener:
        with own_server.store.connect(own_server.folder) as database:
            own_server.store.hold(database, "notes")
            with pytest.raises(TimeoutError):
                listener.next(0.5)
            with Listener(own_server, "notes") as other:  # reading goes on
                assert other.last_id == listener.last_id
            database.execute("COMMIT")
        note = create(own_server)
        assert listener.next().data["key"] == note["id"]


# Numbers that do not commit in their order

def begin_insert(server, text):
    """A transaction that has drawn a number and has not ended."""
    context = server.store.connect(server.folder)
    database = context.__enter__()
    database.execute("BEGIN")
    database.execute(f"INSERT INTO notes (text) VALUES ('{text}')")
    return database


@only_postgres
def test_a_late_number_is_not_skipped(own_server):
    with Listener(own_server, "notes") as listener:
        start = listener.last_id
        late = begin_insert(own_server, "late")
        for i in range(3):
            create(own_server, f"early {i}")
        # A transaction of a higher number that ended says nothing about the open one.
        with own_server.store.connect(own_server.folder) as database:
            database.execute("INSERT INTO others (text) VALUES ('x')")
        assert listener.rest(1) == []
        with Listener(own_server, "notes") as newcomer, Listener(own_server, "notes", start) as old:
            assert newcomer.last_id < start + 4 and old.rest(0.3) == []
            late.execute("COMMIT")
            for each in (listener, newcomer, old):
                texts = [event.data["record"]["text"] for event in each.take(4)]
                assert texts == ["late", "early 0", "early 1", "early 2"]
                assert each.rest(0.2) == []
        late.close()


@only_postgres
def test_a_number_that_never_comes_holds_nothing_back_for_long(own_server):
    with Listener(own_server, "notes") as listener:
        late = begin_insert(own_server, "never")
        note = create(own_server)
        assert listener.rest(0.5) == []
        late.execute("ROLLBACK")
        assert listener.next(5).data["key"] == note["id"]
        late.close()


@only_postgres
def test_old_transactions_hold_back_only_behind_a_hole(own_server):
    """Somebody elsewhere writes for long: events without holes go on all the same."""
    with own_server.store.connect(own_server.folder) as database:
        database.execute("CREATE TABLE elsewhere (n integer)")
        database.execute("BEGIN")
        database.execute("INSERT INTO elsewhere VALUES (1)")
        with Listener(own_server, "notes") as listener:
            for _ in range(5):
                note = create(own_server)
                assert listener.next(5).data["key"] == note["id"]
            hole = begin_insert(own_server, "hole")
            hole.execute("ROLLBACK")
            hole.close()
            note = create(own_server)
            assert listener.rest(1) == []
            database.execute("COMMIT")
            assert listener.next(5).data["key"] == note["id"]


@only_postgres
def test_a_start_while_a_transaction_is_open(own_server):
    """What was settled before is noted, so a new process need not wait for it."""
    own_server.restart(events_retention="5s")  # it tidies often
    for _ in range(3):
        create(own_server)
    hole = begin_insert(own_server, "hole")
    hole.execute("ROLLBACK")
    hole.close()
    create(own_server)

    def noted():
        with own_server.store.connect(own_server.folder) as database:
            rows = database.execute("SELECT value::bigint, (SELECT max(seq) FROM trestle_events) "
                                    "FROM trestle_meta WHERE name = 'events_settled'").fetchall()
        return rows and rows[0][0] == rows[0][1]
    wait_until(noted, "it is noted")
    with own_server.store.connect(own_server.folder) as database:
        database.execute("CREATE TABLE elsewhere (n integer)")
        database.execute("BEGIN")
        database.execute("INSERT INTO elsewhere VALUES (1)")
        own_server.restart()
        with Listener(own_server, "notes") as listener:
            note = create(own_server)
            assert listener.next(5).data["key"] == note["id"]
        database.execute("COMMIT")


@only_postgres
def test_three_processes(own_server):
    """Whoever writes, all tell it, and in one order."""
    settings = {"database": own_server.settings["database"], "log_access": "off"}
    others = [Server(DEFINITIONS, settings=settings) for _ in range(2)]
    try:
        servers = [own_server, *[other.start() for other in others]]
        listeners = [Listener(server, "notes") for server in servers]

        def write(server):
            client = server.client(key=None)
            for i in range(60):
                note = client.create("/notes", {"text": f"{i}"})
                client.patch(f"/notes/{note['id']}", {"text": "b"})
                if i % 3 == 0:
                    client.delete(f"/notes/{note['id']}")
            client.close()
        threads = [threading.Thread(target=write, args=(server,)) for server in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told = [listener.take(3 * (60 + 60 + 20)) for listener in listeners]
        assert changes(told[0]) == changes(told[1]) == changes(told[2])
        assert [event.id for event in told[0]] == [event.id for event in told[2]]
        versions = {}
        for change, key, version in changes(told[0]):
            assert (change == "created") == (key not in versions)
            assert change == "created" or version == versions[key] + (change == "updated")
            versions[key] = version
        for listener in listeners:
            assert listener.rest(0.2) == []
            listener.close()
    finally:
        for other in others:
            other.close()
