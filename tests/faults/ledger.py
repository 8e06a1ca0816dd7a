"""Clients that write to a database that comes and goes, and remember what they were told.

Every request is sent once. What was acknowledged must be in the database, exactly once; what was
refused must not be; only what was answered `outcome-unknown` may be either.
"""

import collections
import contextlib
import random
import threading
import time

from harness import PROBLEM, check_answer, wait_until

DEFINITIONS = {
    "notes": """
access: {read: public, write: public}
properties:
  tag:   {type: string, maxLength: 60}
  marks: {type: object, default: {}}
indexes: [[tag]]
""",
    "labels": """
access: {read: public, write: public}
required: [name]
properties:
  name: {type: string, maxLength: 60}
unique: [[name]]
""",
    "messages": """
key: {digest: sha256(message)}
access: {read: public, write: public}
actions: [create, read]
required: [message]
properties:
  message: {type: string, maxLength: 1000}
"""}

YES, NO, MAYBE = "yes", "no", "maybe"
SLOWEST = 20  # seconds: 5 for a query, 5 to find out what came of it; the machine may be busy

Event = collections.namedtuple("Event", "started ended method status slug")


class Note:
    """What is known of a record of `notes`."""

    def __init__(self, tag):
        self.tag = tag
        self.key = None
        self.there = NO
        self.marks = set()
        self.doubtful_marks = set()

    def fault(self, rows):
        """What contradicts the rows that have its tag: (id, marks, version)."""
        if self.there == YES and len(rows) != 1 or self.there == NO and rows or len(rows) > 1:
            return f"{self.tag}: {self.there}, and there are {len(rows)}"
        for _, marks, version in rows:
            if not self.marks <= set(marks) <= self.marks | self.doubtful_marks:
                return f"{self.tag}: {sorted(marks)} of {self.marks} and {self.doubtful_marks}"
            if version != 1 + len(marks):
                return f"{self.tag}: {len(marks)} marks by {version - 1} updates"
        return None


class Ledger:
    def __init__(self, server, clients=12, name=""):
        self.server = server
        self.clients = clients
        self.name = name
        self.lock = threading.Lock()
        self.notes = []
        self.labels = collections.defaultdict(list)
        self.messages = collections.defaultdict(list)
        self.events = []
        self.surprises = []
        self.stopped = False
        self.paused = False
        self.resting = set()
        self.threads = [threading.Thread(target=self._run, args=(number,), daemon=True)
                        for number in range(clients)]

    # Load

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self.stopped = True
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a request is never answered"
        if error is None:
            self.check_answers()

    def _run(self, number):
        client = self.server.client(key=None, checked=False)
        choice = random.Random(number)
        try:
            for count in range(1_000_000):
                self._rest(number)
                if self.stopped:
                    break
                self._work(client, choice, f"{self.name}.{number}.{count}")
        except Exception as error:  # a thread's error must fail the test
            self.surprises.append(repr(error))
        client.close()

    def _rest(self, number):
        while self.paused:
            self.resting.add(number)
            time.sleep(0.01)
        self.resting.discard(number)

    @contextlib.contextmanager
    def _pause(self):
        """Nothing is under way meanwhile."""
        running = not self.stopped and not self.surprises
        self.paused = running
        if running:
            wait_until(lambda: len(self.resting) == self.clients or self.surprises, "rest")
        yield
        self.paused = False

    def _send(self, client, method, path, body, expected):
        """Sends a request; the answer, and whether it was done."""
        started = time.monotonic()
        response = client.request(method, path, json=body) if body is not None else client.request(
            method, path)
        ended = time.monotonic()
        check_answer(response)
        slug = None
        if response.status_code == 503:
            slug = response.json()["type"].removeprefix(PROBLEM)
            if not response.headers.get("Retry-After"):
                raise AssertionError("503 without Retry-After")
        elif response.status_code not in expected:
            raise AssertionError(
                f"{method} {path} {body}: {response.status_code} {response.text}")
        self.events.append(Event(started, ended, method, response.status_code, slug))
        if slug is None:
            return response, YES
        time.sleep(0.01)
        return response, MAYBE if slug == "outcome-unknown" else NO

    def _work(self, client, choice, tag):
        kind = choice.random()
        if kind < 0.2:
            self._message(client, f"{tag} {choice.randrange(1 << 30)}")
        elif kind < 0.4:
            self._label(client, f"{self.name}/{int(time.monotonic() * 20)}.{choice.randrange(4)}")
        elif kind < 0.45:
            self._send(client, "GET", "/notes?count=true&limit=1&sort=-tag", None, {200})
        else:
            self._note(client, choice, tag)

    def _message(self, client, text):
        _, done = self._send(client, "POST", "/messages", {"message": text}, {201})
        with self.lock:
            self.messages[text].append(done)

    def _label(self, client, name):
        """Others want the same name."""
        response, done = self._send(client, "POST", "/labels", {"name": name}, {201, 409})
        with self.lock:
            self.labels[name].append("taken" if response.status_code == 409 else done)

    def _note(self, client, choice, tag):
        note = Note(tag)
        response, note.there = self._send(client, "POST", "/notes", {"tag": tag}, {201})
        with self.lock:
            self.notes.append(note)
        if note.there != YES:
            return
        note.key = response.json()["id"]
        path = f"/notes/{note.key}"
        for count in range(choice.randrange(4)):
            mark = f"m{count}"
            _, done = self._send(client, "PATCH", path, {"marks": {mark: 1}}, {200})
            if done != NO:
                (note.marks if done == YES else note.doubtful_marks).add(mark)
        self._look(client, note)
        if choice.random() < 0.3:
            _, done = self._send(client, "DELETE", path, None, {204})
            note.there = {YES: NO, NO: YES, MAYBE: MAYBE}[done]
            self._look(client, note)

    def _look(self, client, note):
        """Whoever was told sees it."""
        response, done = self._send(client, "GET", f"/notes/{note.key}", None, {200, 404})
        if done != YES or note.there == MAYBE:
            return
        shown = set(response.json()["marks"]) if response.status_code == 200 else None
        if note.there == NO and shown is not None or note.there == YES and (
                shown is None or not note.marks <= shown <= note.marks | note.doubtful_marks):
            raise AssertionError(f"{note.tag} ({note.there}) shows {shown}")

    # Checks

    def check_answers(self):
        assert not self.surprises, self.surprises[:5]
        slowest = max(self.events, key=lambda event: event.ended - event.started)
        assert slowest.ended - slowest.started < SLOWEST, slowest

    def check_database(self, cluster):
        """Looks at the tables themselves."""
        with self._pause():
            self._check_database(cluster)

    def _check_database(self, cluster):
        found = collections.defaultdict(list)
        for key, tag, marks, version in cluster.rows("SELECT id, tag, marks, _version FROM notes"):
            found[tag].append((key, marks, version))
        with self.lock:
            faults = [fault for note in self.notes if (fault := note.fault(found[note.tag]))]
            assert not faults, faults[:10]
            assert set(found) <= {note.tag for note in self.notes}
            self._check_labels(collections.Counter(
                name for name, in cluster.rows("SELECT name FROM labels")))
            self._check_messages({text for text, in cluster.rows("SELECT message FROM messages")})

    def _check_labels(self, rows):
        for name, answers in self.labels.items():
            told = collections.Counter(answers)
            assert told[YES] <= 1, f"{name} was given {told[YES]} times"
            assert not told["taken"] or told[YES] or told[MAYBE], f"{name} was taken by nobody"
            there = rows.pop(name, 0)
            if told[YES] or told["taken"]:
                assert there == 1, f"{name} is missing"
            elif not told[MAYBE]:
                assert there == 0, f"{name} is there"
        assert not rows, rows

    def _check_messages(self, rows):
        for text, answers in self.messages.items():
            if YES in answers:
                assert text in rows, f"{text} is missing"
            elif MAYBE not in answers:
                assert text not in rows, f"{text} is there"
        assert rows <= set(self.messages)

    def refusals(self, since, until):
        """What was answered 503 of the requests that began and ended in a time."""
        return [event for event in list(self.events)
                if event.status == 503 and since <= event.started and event.ended <= until]

    def summary(self):
        counts = collections.Counter(event.slug or "done" for event in self.events)
        return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
