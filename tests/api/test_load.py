"""Many at once: whoever waits does not make others wait, and too many are told so."""

import concurrent.futures
import hashlib
import socket
import struct
import threading

import pytest
import requests

from harness import Server, problem


@pytest.fixture
def server():
    with Server() as running:
        yield running


def test_what_was_answered_is_seen_by_everybody(server):
    """Over other connections, and so by other workers."""
    clients = [server.client() for _ in range(6)]
    for i in range(60):
        writer, reader = clients[i % 6], clients[(i * 5 + 1) % 6]
        record = writer.create("/coupons", {"title": f"seen {i}"})
        path = f"/coupons/{record['id']}"
        assert reader.get(path).json() == record
        assert reader.list("/coupons", title=f"seen {i}") == [record]
        changed = reader.patch(path, {"category": "x"}).json()
        assert writer.get(path).json() == changed
        assert reader.delete(path).status_code == 204
        problem(writer.get(path), 404)
    for client in clients:
        client.close()


def test_a_long_query_keeps_nobody_waiting(server):
    """One worker: a search through everything, and beside it reads and writes."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: server.admin.create("/coupons",
                                                    {"title": str(i), "description": "ab" * 5000}),
                                                    range(1000)))
    server.restart(workers=1, query_timeout="60s")
    terms = 4
    done = threading.Event()
    answers = []

    def search():
        client = server.client()
        while not done.is_set():
            expression = " or ".join(f"contains(description, '{'ab' * 40}{i}')"
                                     for i in range(terms))
            answers.append(client.get("/coupons",
                                      params={"filter": expression, "count": "true"}).status_code)
        client.close()

    searcher = threading.Thread(target=search)
    searcher.start()
    try:
        # Enough happens between two answers to the search: it does not hold the others up.
        most = 0
        while most < 10 and len(answers) < 20:
            before, count = len(answers), 0
            while len(answers) == before and count < 10:
                assert server.public.get("/coupons/1").status_code == 200
                assert server.admin.patch("/coupons/2", {"category": str(count)}).status_code == 200
                count += 1
            most = max(most, count)
        assert most >= 10, f"only {most} requests were answered beside a search"
    finally:
        done.set()
        searcher.join()
    assert set(answers) == {200}


def test_a_full_queue(server):
    """503 at once with Retry-After; what was taken is stored, what was refused is not."""
    server.restart(queue_limit=1)
    stored, refused = [], []
    enough = threading.Event()

    def write(writer):
        client = server.client(None)
        for i in range(3000):
            if enough.is_set():
                break
            message = f"queue {writer} {i}"
            response = client.post("/messages", {"message": message})
            if response.status_code == 201:
                stored.append(response.json()["digest"])
            else:
                problem(response, 503, "queue-full")
                assert int(response.headers["Retry-After"]) >= 0
                refused.append(message)
            if len(refused) > 20 and len(stored) > 20:
                enough.set()
        client.close()

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        list(pool.map(write, range(32)))
    assert stored, "nothing was stored"
    assert refused, "a queue of one took everything"
    for digest in stored:
        assert server.public.get(f"/messages/{digest}").status_code == 200
    for message in refused[:50]:
        digest = hashlib.sha256(message.encode()).hexdigest()
        assert server.public.get(f"/messages/{digest}").status_code == 404


def test_patches_of_one_record(server):
    """Each has its effect or says that it had none."""
    record = server.admin.create("/coupons", {"title": "x", "store": {}})
    path = f"/coupons/{record['id']}"
    names = ["city", "phone", "state", "street", "zip"]

    def patch(i):
        name = names[i % len(names)]
        return name, str(i), server.admin.patch(path, {"store": {name: str(i)}}).status_code

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        results = list(pool.map(patch, range(100)))
    assert {status for _, _, status in results} <= {200, 409}
    store = server.public.get(path).json()["store"]
    for name in names:
        written = {value for each, value, status in results if each == name and status == 200}
        assert store[name] in written


def test_many_connections(server):
    """Some hundreds, all of them busy."""
    wires = [server.wire() for _ in range(300)]
    for wire in wires:
        wire.get("/coupons?limit=1")
    for wire in wires:
        assert wire.receive().status == 200
        wire.get("/healthz")
    for wire in wires:
        assert wire.receive().status == 200
        wire.close()
    assert server.public.get("/healthz").status_code == 200


def test_a_large_page(server):
    """A thousand records with much text in them: some 10 MB in one answer, and whole."""
    text = "ä" * 5000
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: server.admin.create("/coupons",
                                                    {"title": str(i), "description": text}),
                                                    range(1000)))
    records = server.public.list("/coupons", limit=1000)
    assert [record["description"] == text for record in records] == [True] * 1000
    assert server.public.head("/coupons?limit=1000").status_code == 200


def test_who_leaves_in_the_middle_of_a_query(server):
    """The query is given up: the ones behind it have their turn before their time is up."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: server.admin.create("/coupons",
                                                    {"title": str(i), "description": "ab" * 5000}),
                                                    range(300)))
    server.restart(query_timeout="20s")
    expression = " or ".join(f"contains(description, '{'ab' * 40}{i}')" for i in range(4))
    query = {"filter": expression, "count": "true"}
    target = requests.Request("GET", server.url("/coupons"), params=query).prepare().path_url
    for _ in range(100):
        with server.wire() as wire:
            # Who only closes its side may still wait for the answer; a reset says that it is gone.
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.get(target)
            wire.get("/healthz")
            with server.wire() as other:
                other.get("/healthz")
                assert other.receive().status == 200
    assert server.public.get("/coupons", params={**query, "limit": 1}).status_code == 200
