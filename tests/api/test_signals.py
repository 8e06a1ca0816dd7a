"""How it ends: requests under way are answered, and the exit status is 0."""

import json
import signal
import subprocess
import threading

import pytest
import requests

from harness import Closed, Server, problem, wait_until

JSON = "Content-Type: application/json"


@pytest.fixture
def server():
    with Server() as running:
        yield running


def begin(wire, body, sent):
    """Sends a POST with only a part of its body."""
    wire.send_lines("POST /messages HTTP/1.1", "Host: test", JSON, f"Content-Length: {len(body)}")
    wire.send(body[:sent])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends(server, number):
    server.process.send_signal(number)
    server.wait()


def test_idle_connections_do_not_keep_it(server):
    with server.wire() as fresh, server.wire() as used:
        used.get("/healthz")
        assert used.receive().status == 200
        server.terminate()
        assert fresh.at_end() == b""
        assert used.at_end() == b""
        server.wait()


def test_requests_under_way_are_answered(server):
    """Their bodies are still on the way when it is told to end."""
    body = json.dumps({"message": "last words"}).encode()
    wires = [server.wire() for _ in range(8)]
    for i, wire in enumerate(wires):
        begin(wire, body, i)
    # What was sent has arrived once a later request on each worker is answered; a worker takes
    # connections in turn, so ask more often than there are workers.
    for _ in range(8):
        assert requests.get(server.url("/healthz")).status_code == 200
    server.terminate()
    wait_until(lambda: not accepts(server), "it takes no more connections")
    for i, wire in enumerate(wires):
        wire.send(body[i:])
        answer = wire.receive()
        assert answer.status in (200, 201)
        assert answer.field("Connection").lower() == "close"
        assert wire.at_end() == b""
        wire.close()
    server.wait()


def accepts(server):
    """Whether a new connection is taken and served."""
    try:
        with server.wire() as wire:
            wire.get("/readyz")
            answer = wire.receive()
            assert answer.status in (200, 503)
            return answer.status == 200
    except (OSError, Closed):
        return False


def test_new_connections_are_refused(server):
    body = b'{"message":"x"}'
    with server.wire() as wire:
        begin(wire, body, 3)
        assert requests.get(server.url("/healthz")).status_code == 200
        server.terminate()
        wait_until(lambda: not accepts(server), "it takes no more connections")
        wire.send(body[3:])
        assert wire.receive().status in (200, 201)
    server.wait()


def test_it_waits_only_so_long():
    """For a client that never finishes, and one that never reads."""
    with Server(settings={"shutdown_timeout": "1s"}) as server:
        with server.wire() as wire:
            begin(wire, b'{"message":"x"}', 3)
            assert requests.get(server.url("/healthz")).status_code == 200
            server.terminate()
            server.wait()
            wire.at_end()


def test_under_load_every_answer_is_whole(server):
    """Many writers while it ends: each request has its answer, or its connection was closed before
    it was taken; and what was answered 201 is there after the next start."""
    stored, broken = [], []
    stop = threading.Event()

    def write(number):
        client = server.client(None)
        for i in range(100_000):
            if stop.is_set():
                break
            message = f"{number} {i}"
            try:
                response = client.post("/messages", {"message": message})
            except requests.RequestException as error:
                broken.append(str(error))
                break
            if response.status_code == 503:
                break
            assert response.status_code == 201, response.text
            stored.append((message, response.json()["digest"]))
        client.close()

    threads = [threading.Thread(target=write, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(stored) > 500, "the writers write")
    server.terminate()
    try:
        server.wait()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not [error for error in broken if "Incomplete" in error], "an answer was cut"
    server.start()
    for message, digest in stored:
        response = server.public.get(f"/messages/{digest}")
        assert response.status_code == 200, message
        assert response.json()["message"] == message


def test_twice_is_not_worse(server):
    body = b'{"message":"x"}'
    with server.wire() as wire:
        begin(wire, body, 3)
        assert requests.get(server.url("/healthz")).status_code == 200
        server.terminate()
        server.terminate()
        try:
            wire.send(body[3:])
            wire.receive()
        except (OSError, Closed):
            pass  # a second signal may mean "now"
    server.wait()


def test_again_and_again(server):
    """Until the very end it ends in order."""
    server.public.post("/messages", {"message": "x"})
    server.close_clients()
    while server.process.poll() is None:
        server.terminate()
    server.wait()


def test_a_signal_while_it_starts():
    """Ends in order at whatever point it has reached."""
    with Server() as server:
        server.stop()
        for delay in (0.0, 0.01, 0.03, 0.1, 0.3):
            server.spawn()
            try:
                server.process.wait(delay)
            except subprocess.TimeoutExpired:
                pass
            server.terminate()
            status = server._reap()
            assert status in (0, -signal.SIGTERM), server.log_text()
        server.start()


def test_readiness():
    with Server() as server:
        for path in ("/healthz", "/readyz"):
            response = server.public.get(path)
            assert response.status_code == 200
            assert "no-store" in response.headers.get("Cache-Control", "no-store")
            problem(server.public.post(path, {}), 405)


def test_two_on_one_port(server):
    """The second says so and ends; the first goes on."""
    other = Server()
    try:
        other.settings["listen"] = server.settings["listen"]
        result = other.program("serve")
        assert result.returncode != 0
        assert str(server.port) in result.stderr or "in use" in result.stderr
        assert server.public.get("/healthz").status_code == 200
    finally:
        other.close()


def test_two_on_one_database(server):
    """Two processes on one file: both serve, and what one writes the other shows."""
    other = Server(settings={"database": server.settings["database"],
                             "data": server.settings["data"]})
    with other:
        made = server.public.post("/messages", {"message": "from the one"}).json()
        assert other.public.get(f"/messages/{made['digest']}").json() == made
        made = other.public.post("/messages", {"message": "from the other"}).json()
        assert server.public.get(f"/messages/{made['digest']}").json() == made


def test_wires_are_closed_politely(server):
    """The last answer on a connection arrives although more was sent behind it."""
    with server.wire() as wire:
        wire.get("/healthz", "Connection: close")
        wire.send(b"x" * 200_000)
        assert wire.receive().status == 200


def test_logrotate():
    """SIGHUP opens the log anew, and no connection is dropped."""
    with Server() as server:
        log = server.folder / "data" / "trestle.log"
        server.restart(log_file=log)
        with server.wire() as wire:
            wire.get("/nowhere/before")
            assert wire.receive().status == 404
            wait_until(lambda: "/nowhere/before" in log.read_text(), "the line is in the log")
            log.rename(log.with_suffix(".1"))
            server.process.send_signal(signal.SIGHUP)
            wait_until(log.exists, "the log is there again")
            wire.get("/nowhere/after")
            assert wire.receive().status == 404
            wait_until(lambda: "/nowhere/after" in log.read_text(), "the line is in the new log")
        assert "/nowhere/after" not in log.with_suffix(".1").read_text()


def test_the_log_in_json():
    with Server(settings={"log": "json"}) as server:
        with server.wire() as wire:
            wire.get("/nowhere?x=%22%0A%C3%A4", "X-Request-Id: rid-1")
            assert wire.receive().status == 404
        server.stop()
        lines = [json.loads(line) for line in server.log_text().splitlines()]
        assert any("rid-1" in str(line) and 404 in line.values() for line in lines)
        server.start()
