"""Killed in the middle of it: whatever was answered 201 is there afterwards."""

import collections
import contextlib
import hashlib
import os
import random
import sqlite3
import threading

import pytest
import requests

from harness import Server, wait_until

ROUNDS = int(os.environ.get("KILL_ROUNDS", "50"))
WRITERS = 32


class Writers:
    """Clients that write until the server is gone, and remember what was answered.

    A write whose answer did not arrive may have happened or not; all others must be what they were
    said to be.
    """

    def __init__(self, server, number):
        self.server = server
        self.number = number
        self.messages = {}
        self.packages = {}
        self.doubtful = set()
        self.surprises = []
        self.answers = 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.write, args=(i,)) for i in range(WRITERS)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join()
        assert not self.surprises, self.surprises[:3]

    def write(self, writer):
        client = self.server.client(checked=False)
        for count in range(1_000_000):
            text = f"{self.number}.{writer}.{count}"
            try:
                if (writer + count) % 2:
                    self.write_message(client, f"message {text} " + "x" * (count % 50) * 40)
                else:
                    self.write_package(client, text, writer % 4 == 0)
            except requests.RequestException:
                break
            except Exception as error:  # a thread's error must fail the test
                self.surprises.append(repr(error))
                break
        client.close()

    def write_message(self, client, message):
        response = client.post("/messages", {"message": message})
        if response.status_code != 201:
            raise AssertionError(f"{response.status_code}: {response.text}")
        with self.lock:
            self.answers += 1
            self.messages[response.json()["digest"]] = message

    def write_package(self, client, version, changes):
        record = self.take(client.post("/packages", {"name": "kill", "version": version}), 201)
        if not changes:
            return
        key = record["id"]
        with self.lock:
            self.doubtful.add(key)
        if int(version.rsplit(".", 1)[1]) % 3 == 0:
            response = client.delete(f"/packages/{key}")
            if response.status_code != 204:
                raise AssertionError(f"{response.status_code}: {response.text}")
            with self.lock:
                self.answers += 1
                self.packages[key] = None
                self.doubtful.discard(key)
        else:
            self.take(client.patch(f"/packages/{key}", {"source": f"urn:x:{version}"}), 200)
            with self.lock:
                self.doubtful.discard(key)

    def take(self, response, status):
        if response.status_code != status:
            raise AssertionError(f"{response.status_code}: {response.text}")
        record = response.json()
        with self.lock:
            self.answers += 1
            self.packages[record["id"]] = record
        return record


def check_file(path, messages, packages, doubtful):
    """Looks at the file itself: it is whole, and nothing that was answered is missing."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        stored = {bytes(digest).hex(): message
                  for digest, message in connection.execute("SELECT digest, message FROM messages")}
        rows = {row[0]: row
                for row in connection.execute("SELECT id, name, version, source FROM packages")}
    for digest, message in messages.items():
        assert stored.get(digest) == message, f"the message {digest} is missing"
    for digest, message in stored.items():
        assert hashlib.sha256(message.encode()).hexdigest() == digest
    for key, record in packages.items():
        row = rows.get(key)
        if key in doubtful:
            # Its change was on the way: it is there as it was, or changed, or gone; never half.
            assert row is None or row[3] in (None, f"urn:x:{row[2]}")
        elif record is None:
            assert row is None, f"the package {key} is back"
        else:
            assert row == (key, record["name"], record["version"],
                           record["source"]), f"the package {key}"
    versions = collections.Counter(row[2] for row in rows.values())
    assert max(versions.values(), default=1) == 1
    return len(stored), len(rows)


def test_killed_under_load():
    messages, packages, doubtful = {}, {}, set()
    choice = random.Random(1)
    with Server() as server:
        for round in range(ROUNDS):
            writers = Writers(server, round)
            writers.start()
            # Sooner in some rounds, later in others; now and then a checkpoint is in between.
            enough = choice.randrange(1, 3000)
            wait_until(lambda: writers.answers >= enough or writers.surprises, "writes")
            server.kill()
            writers.join()
            messages.update(writers.messages)
            packages.update(writers.packages)
            doubtful |= writers.doubtful
            counts = check_file(server.store.path(server.folder), messages, packages, doubtful)
            server.start()
            print(f"round {round + 1}: {writers.answers} answers before the kill; "
                  f"{counts[0]} messages and {counts[1]} packages are there")
        # It serves what is in the file.
        for digest in choice.sample(sorted(messages), min(200, len(messages))):
            assert server.public.get(f"/messages/{digest}").json() == {"digest": digest,
                "message": messages[digest]}
        assert server.admin.get("/packages?count=true&limit=1").headers["X-Total-Count"] == str(
            counts[1])


@pytest.mark.parametrize("round", range(10))
def test_killed_while_it_starts(round):
    """At whatever moment of a start, the next one works and everything is there."""
    with Server() as server:
        stored = [server.public.post("/messages", {"message": f"{i}"}).json() for i in range(20)]
        server.kill()  # it leaves a log to be replayed
        choice = random.Random(round)
        for _ in range(5):
            server.spawn()
            with contextlib.suppress(Exception):
                server.process.wait(choice.random() * 0.2)
            server.kill()
        server.start()
        for message in stored:
            assert server.public.get(f"/messages/{message['digest']}").json() == message
