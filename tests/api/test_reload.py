"""SIGHUP: definitions and the log anew, and no connection dropped."""

import os
import signal

import pytest

from harness import Server, wait_until

NOTES = "access: {read: public, write: public}\nproperties: {text: {type: string}}\n"


@pytest.fixture
def server():
    with Server({"notes": NOTES}) as running:
        yield running


def reload(server, said):
    """Tells it to reload and waits for what it then logs."""
    before = len(server.log_text())
    server.process.send_signal(signal.SIGHUP)
    return wait_until(lambda: said in server.log_text()[before:] and server.log_text()[before:],
                      f"it says {said!r}")


def test_a_new_resource_is_served(server):
    assert server.admin.get("/stores").status_code == 404
    server.define("stores", NOTES)
    reload(server, "serving 2 resources")
    wait_until(lambda: all(server.admin.get("/stores").status_code == 200 for _ in range(20)),
               "every worker serves it")
    assert server.admin.post("/stores", {"text": "a"}).status_code == 201


def test_a_new_property_is_there(server):
    record = server.admin.post("/notes", {"text": "a"}).json()
    server.define("notes", NOTES.replace("string}", "string}, size: {type: integer}"))
    reload(server, "serving 1 resources")
    wait_until(lambda: all(server.admin.get("/notes/1").json() == {**record, "size": None}
                           for _ in range(20)), "every worker knows it")


@pytest.mark.parametrize("text, said", [
    (NOTES + "lenght: 1\n", "notes.yaml:3:1"),
    (NOTES.replace("text:", "body:"), "DROP"),
    ("nonsense", "notes.yaml:1:1"),
])
def test_what_is_wrong_changes_nothing(server, text, said):
    server.admin.post("/notes", {"text": "a"})
    server.define("notes", text)
    assert said in reload(server, "the old definitions stay")
    assert server.admin.get("/notes").json() == [{"id": 1, "text": "a"}]
    server.define("notes", NOTES)
    reload(server, "serving 1 resources")


def test_connections_stay(server):
    wires = [server.wire() for _ in range(8)]
    for wire in wires:
        wire.get("/notes")
        assert wire.receive().status == 200
    reload(server, "serving 1 resources")
    for wire in wires:
        wire.get("/notes")
        assert wire.receive().status == 200
        wire.close()


def test_a_log_that_was_turned_over(server):
    server.stop()
    log = server.folder / "trestle.log"
    server.start(log_file=log)
    os.rename(log, server.folder / "old.log")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: log.exists() and "serving 1 resources" in log.read_text(), "a new log")
    server.admin.get("/notes?limit=7")
    wait_until(lambda: "limit=7" in log.read_text(), "the line is in the new log")


def test_again_and_again_while_requests_come(server):
    for i in range(30):
        server.define("notes", NOTES + f"description: number {i}\n")
        server.process.send_signal(signal.SIGHUP)
        assert server.admin.post("/notes", {"text": str(i)}).status_code == 201
    assert len(server.admin.get("/notes").json()) == 30
