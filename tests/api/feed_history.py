"""Writers, listeners and servers that come and go; and whether each listener was told all of it.

Ten writers change records on three processes that share a database. Processes are killed and start
again; listeners cut their streams and come back somewhere else, as an EventSource does. Then the
records' own table, and what the writers were answered, say what was committed, and each listener's
history must hold just that: every change once, and those of each record in their order.

A record's version counts its changes, so the events of one that is there are known from its row: it
was created as version 1, and updated to 2, 3, … Each update adds a mark of its own, so the row also
tells which they were, and what was acknowledged must be among them.
"""

import collections
import contextlib
import json
import random
import socket
import struct
import threading
import time

import requests

from harness import PROBLEM, Server, check_answer, wait_until
from listening import Ended, Listener, Refused

PUBLIC = "access: {read: public, write: public}\n"
DEFINITIONS = {
    "notes": PUBLIC + """
properties:
  tag:   {type: string, maxLength: 60}
  marks: {type: object, default: {}}
events: true
""",
    "labels": PUBLIC + """
required: [name]
properties: {name: {type: string, maxLength: 60}}
unique: [[name]]
events: true
"""}

YES, NO, MAYBE = "yes", "no", "maybe"
SHARED = 8  # records that all writers change


class Note:
    """What is known of a record of `notes`: what was done to it, and what perhaps was."""

    def __init__(self, tag, key=None):
        self.tag = tag
        self.key = key
        self.marks = set()
        self.doubtful_marks = set()
        self.deleted = NO

    def settle(self, mark, done):
        if done != NO:
            (self.marks if done == YES else self.doubtful_marks).add(mark)


class Writer(threading.Thread):
    """Sends each request once, to any server. What was answered counts; where no answer came, or it
    was outcome-unknown, the request may have been done or not."""

    def __init__(self, play, number):
        super().__init__(daemon=True)
        self.play = play
        self.name = f"w{number}"
        self.choice = random.Random(f"{play.seed} {self.name}")
        self.notes = []  # made here
        self.doubtful_tags = set()
        self.labels = {}  # name: whether it was made
        self.answers = collections.Counter()
        self.count = 0

    def run(self):
        try:
            while not self.play.stopped:
                self.count += 1
                self._work()
        except Exception as error:  # a thread's error must fail the test
            self.play.surprises.append(f"{self.name}: {error!r}")

    def _work(self):
        kind = self.choice.random()
        if kind < 0.25:
            self._note()
        elif kind < 0.6:
            self._change(self.play.shared[self.choice.randrange(SHARED)])
        elif kind < 0.85 and self.notes:
            self._change(self.choice.choice(self.notes[-20:]))
        elif kind < 0.93 and self.notes:
            self._remove(self.choice.choice(self.notes))
        else:
            self._labels()

    def send(self, method, path, body, expected):
        """The answer, and whether it was done."""
        server = self.choice.choice(self.play.servers)
        try:
            response = requests.request(method, server.url(path), json=body, timeout=60)
        except requests.RequestException:
            self.answers["none"] += 1
            time.sleep(0.02)
            return None, MAYBE
        check_answer(response)
        self.answers[response.status_code] += 1
        if response.status_code in expected:
            return response, YES
        slug = response.json()["type"].removeprefix(PROBLEM)
        # 409: others changed the record all the time.
        if response.status_code not in (409, 503):
            raise AssertionError(f"{method} {path} {body}: {response.status_code} {response.text}")
        return response, MAYBE if slug == "outcome-unknown" else NO

    def _note(self):
        tag = f"{self.name}.{self.count}"
        response, done = self.send("POST", "/notes", {"tag": tag}, {201})
        if done == YES:
            self.notes.append(Note(tag, response.json()["id"]))
        elif done == MAYBE:
            self.doubtful_tags.add(tag)

    def _change(self, note):
        mark = f"{self.name}.{self.count}"
        if note.deleted != NO:
            return
        _, done = self.send("PATCH", f"/notes/{note.key}", {"marks": {mark: 1}}, {200})
        with self.play.lock:
            note.settle(mark, done)

    def _remove(self, note):
        if note.deleted == NO:
            _, note.deleted = self.send("DELETE", f"/notes/{note.key}", None, {204})

    def _labels(self):
        """All or none; those that are undone have drawn numbers that never come."""
        names = [f"{self.name}.{self.count}.{i}" for i in range(3)]
        undone = self.choice.random() < 0.5
        body = [{"name": name} for name in ([*names, names[0]] if undone else names)]
        _, done = self.send("POST", "/labels", body, set() if undone else {201})
        for name in names:
            self.labels[name] = NO if undone else done


class Meddler(Writer):
    """Writes with SQL, in transactions that take their time and may be rolled back."""

    def _work(self):
        try:
            with self.play.store.connect(self.play.servers[0].folder) as database:
                while not self.play.stopped:
                    self.count += 1
                    self._transaction(database)
                    time.sleep(self.choice.random() * 0.2)
        except self.play.store.Error:  # somebody holds it, or it is away
            self.answers["none"] += 1
            time.sleep(0.05)

    def _transaction(self, database):
        tag = f"{self.name}.{self.count}"
        database.execute("BEGIN")
        row = database.execute("INSERT INTO notes (tag, marks) VALUES "
                               f"('{tag}', '{{}}') RETURNING id").fetchone()
        if self.play.slow_transactions:
            time.sleep(self.choice.random() * 0.4)
        if self.choice.random() < 0.5:
            database.execute("ROLLBACK")
        else:
            self.doubtful_tags.add(tag)
            database.execute("COMMIT")
            self.doubtful_tags.discard(tag)
            self.notes.append(Note(tag, row[0]))
        self.answers["transactions"] += 1


class Follower(threading.Thread):
    """A listener whose connections never last long. `events` is all that it was ever told."""

    def __init__(self, play, number, resource):
        super().__init__(daemon=True)
        self.play = play
        self.name = f"l{number}"
        self.choice = random.Random(f"{play.seed} {self.name}")
        self.resource = resource
        self.last_id = play.starts[resource]
        self.events = []
        self.connections = 0

    def run(self):
        try:
            while not self._has_all() and not self.play.surprises:
                with contextlib.suppress(Ended, OSError):
                    self._listen()
        except Refused as refused:
            self.play.surprises.append(f"{self.name}: {refused!r} {refused.problem}")
        except Exception as error:  # a thread's error must fail the test
            self.play.surprises.append(f"{self.name}: {error!r}")

    def _has_all(self):
        end = self.play.ends.get(self.resource)
        return end is not None and bool(self.events) and self.events[-1].data.get("key") == end

    def _listen(self):
        server = self.choice.choice(self.play.servers)
        small = 4096 if self.choice.random() < 0.2 else None
        try:
            listener = Listener(server, self.resource, self.last_id, key=None, buffer=small)
        except Refused as refused:
            if refused.status != 503:
                raise
            time.sleep(0.05)
            return
        self.connections += 1
        try:
            self._read(listener)
        finally:
            self.last_id = listener.last_id
            if self.choice.random() < 0.5:
                listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                           struct.pack("ii", 1, 0))
            listener.close()

    def _read(self, listener):
        end = time.monotonic() + self.choice.choice((0.02, 0.2, 1, 4)) * self.choice.random()
        pause = self.choice.random() < 0.2
        while time.monotonic() < end and not self._has_all():
            try:
                self.events.append(listener.next(max(end - time.monotonic(), 0.01)))
            except TimeoutError:
                return
            if pause:
                time.sleep(self.choice.random() * 0.02)


class Play:
    """All of them. `servers` run on one database, which `store` is where it is not the first one's;
    the last of them is never killed."""

    def __init__(self, servers, seed, *, store=None, writers=9, listeners=6):
        self.servers = servers
        self.store = store or servers[0].store
        self.slow_transactions = "postgres" in servers[0].settings["database"]
        self.seed = seed
        self.choice = random.Random(seed)
        self.lock = threading.Lock()
        self.stopped = False
        self.surprises = []
        self.ends = {}  # by resource: the key of the last record
        self.starts = {}
        for resource in DEFINITIONS:
            with Listener(servers[0], resource, key=None) as listener:
                self.starts[resource] = listener.last_id
        self.shared = [Note(f"shared {i}") for i in range(SHARED)]
        for note in self.shared:
            note.key = servers[0].public.create("/notes", {"tag": note.tag})["id"]
        self.writers = [Writer(self, i) for i in range(writers)] + [Meddler(self, writers)]
        self.followers = [Follower(self, i, "labels" if i % 3 == 2 else "notes")
                          for i in range(listeners)]

    def start(self):
        for thread in self.writers + self.followers:
            thread.start()

    def kill_one(self):
        """Kills one of the servers but the last, or asks it to end; it is back after a while."""
        victim = self.choice.choice(self.servers[:-1])
        if self.choice.random() < 0.8:
            victim.kill()
        else:
            victim.stop()
        time.sleep(self.choice.random() * 0.5)
        victim.start()

    def finish(self):
        """Lets all come to an end; gives what the database has."""
        self.stopped = True
        for thread in self.writers:
            thread.join(120)
            assert not thread.is_alive(), "a request is never answered"
        assert not self.surprises, self.surprises[:5]
        self._wait_for_transactions()
        rows = self._read()
        server = self.servers[-1]
        for resource, record in (("notes", {"tag": "the end"}), ("labels", {"name": "the end"})):
            self.ends[resource] = server.public.create(f"/{resource}", record)["id"]
        for thread in self.followers:
            thread.join(60)
        assert not self.surprises, self.surprises[:5]
        late = [(each.name, each.last_id, len(each.events))
                for each in self.followers if each.is_alive()]
        assert not late, f"these never heard of the end, number {self.ends}: {late}"
        return rows

    def _wait_for_transactions(self):
        """What a killed server had begun may still run in PostgreSQL."""
        if not self.slow_transactions:
            return

        def idle():
            with (contextlib.suppress(self.store.Error),
                  self.store.connect(self.servers[0].folder) as database):
                return database.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL "
                    "AND datname = current_database()").fetchone()[0] == 0
        wait_until(idle, "no transaction runs")

    def _read(self):
        """The records, by the tables themselves."""
        with self.store.connect(self.servers[0].folder) as database:
            notes = database.execute("SELECT id, tag, marks, _version FROM notes").fetchall()
            labels = database.execute("SELECT id, name, _version FROM labels").fetchall()
        return notes, labels

    def summary(self):
        answers = sum((writer.answers for writer in self.writers), collections.Counter())
        return (f"{dict(answers)}; " + ", ".join(
            f"{each.name} {len(each.events)} events over {each.connections} streams"
            for each in self.followers))


class Judge:
    """Knows what must have been told, from the rows and from what was answered."""

    def __init__(self, play, rows):
        notes, labels = rows
        self.play = play
        self.rows = {
            key: (tag, set(marks if isinstance(marks, dict) else json.loads(marks)), version)
            for key, tag, marks, version in notes}
        self.labels = {key: (name, version) for key, name, version in labels}
        self.known = {note.key: note for note in play.shared}
        for writer in play.writers:
            self.known.update((note.key, note) for note in writer.notes)

    def judge(self):
        self._judge_rows()
        self._judge_labels()
        for follower in self.play.followers:
            self._judge_order(follower)
            told = collections.defaultdict(list)
            for event in follower.events[:-1]:
                told[event.data["key"]].append((event.change, event.data["version"]))
            if follower.resource == "notes":
                self._judge_notes(follower, told)
            else:
                expected = {key: [("created", 1)] for key in self.labels}
                assert told == expected, self._difference(follower, told, expected)
        for resource in DEFINITIONS:
            histories = [[(event.id, event.change, event.data["key"], event.data["version"])
                          for event in follower.events]
                         for follower in self.play.followers if follower.resource == resource]
            assert all(history == histories[0] for history in histories)

    def _judge_order(self, follower):
        assert all(event.change != "gap" for event in follower.events), follower.name
        numbers = [event.id for event in follower.events]
        assert all(a < b for a, b in zip(numbers, numbers[1:])), f"{follower.name}: {numbers}"

    def _judge_rows(self):
        """What was acknowledged is there, and nothing that nobody asked for."""
        for note in self.known.values():
            row = self.rows.get(note.key)
            if note.deleted != NO and row is None:
                continue
            assert note.deleted != YES and row, f"{note.tag}: deleted: {note.deleted}, {row}"
            tag, marks, version = row
            assert tag == note.tag and note.marks <= marks <= note.marks | note.doubtful_marks, row
            assert version == 1 + len(marks), row
        doubtful = set().union(*(writer.doubtful_tags for writer in self.play.writers))
        for key, (tag, _, _) in self.rows.items():
            assert key in self.known or tag in doubtful, (key, tag)

    def _judge_labels(self):
        names = {name for name, _ in self.labels.values()}
        asked = {}
        for writer in self.play.writers:
            asked.update(writer.labels)
        assert {name for name, done in asked.items() if done == YES} <= names
        assert names <= {name for name, done in asked.items() if done != NO}

    def _judge_notes(self, follower, told):
        for key in set(told) | set(self.rows) | set(self.known):
            events = told.get(key, [])
            if key in self.rows:
                versions = self.rows[key][2]
                expected = self._life(versions)
            else:
                # It is gone: its last version is known from what was acknowledged alone.
                note = self.known.get(key)
                assert note and note.deleted != NO, f"{follower.name}: {key} never was: {events}"
                versions = len(events) - 1
                expected = [*self._life(versions), ("deleted", versions)]
                most = 1 + len(note.marks) + len(note.doubtful_marks)
                assert 1 + len(note.marks) <= versions <= most, (follower.name, key, events)
            assert events == expected, f"{follower.name}: {key}: {events} for {expected}"

    @staticmethod
    def _life(versions):
        return [("created", 1), *(("updated", version) for version in range(2, versions + 1))]

    @staticmethod
    def _difference(follower, told, expected):
        return (f"{follower.name}: missing {sorted(set(expected) - set(told))[:10]}, "
                f"too many {sorted(set(told) - set(expected))[:10]}, "
                f"otherwise {[key for key in told if told[key] != expected.get(key)][:10]}")


@contextlib.contextmanager
def three_servers(store_name, **settings):
    """Three processes on one database."""
    with contextlib.ExitStack() as stack:
        first = Server(DEFINITIONS, store_name=store_name,
                       settings={"log_access": "off", "workers": 1, **settings})
        stack.enter_context(first)
        others = [first.beside() for _ in range(2)]
        for other in others:
            stack.enter_context(other)
        yield [first, *others]
