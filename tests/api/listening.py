"""A listener to a resource's events: a client of server-sent events, strict about their form."""

import collections
import json
import re
import socket
import time

from harness import ADMIN_KEY, HOST, PATIENCE, check_problem

Event = collections.namedtuple("Event", "id change data")


class Ended(Exception):
    """The stream is over; `whole` when its last chunk said so."""

    def __init__(self, whole):
        super().__init__("whole" if whole else "cut")
        self.whole = whole


class Refused(Exception):
    """The answer was no stream."""

    def __init__(self, status, body):
        super().__init__(f"{status} {body[:500]}")
        self.status = status
        self.problem = check_problem(status, body)


class Listener:
    """Reads /RESOURCE/events as an EventSource does: `last_id` is what it would come back with, and
    the dispatched events come one by one."""

    def __init__(self, server, resource, last_id=None, *, key=ADMIN_KEY, query="", fields=(),
                 host=HOST, buffer=None):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect((host, server.port))
        self.buffer = b""  # as it came
        self.text = b""  # without chunks
        self.last_id = last_id
        self.heartbeats = 0
        self.retry = None
        self._event = {}
        lines = [f"GET /{resource}/events{query} HTTP/1.1", "Host: test",
                 "Accept: text/event-stream", *fields]
        if key:
            lines.append(f"Authorization: Bearer {key}")
        if last_id is not None:
            lines.append(f"Last-Event-ID: {last_id}")
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._read_head()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def _read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            self._fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        self.fields = {name.lower(): value.strip()
                       for name, value in (line.split(":", 1) for line in lines[1:])}
        status = int(lines[0].split()[1])
        if status != 200:
            size = int(self.fields["content-length"])
            while len(self.buffer) < size:
                self._fill()
            self.close()
            raise Refused(status, self.buffer[:size])
        assert self.fields["content-type"] == "text/event-stream", self.fields
        assert self.fields["transfer-encoding"] == "chunked", self.fields
        # The stream says at once where it begins.
        self._line_block()
        assert self.retry is not None and self.last_id is not None

    def _fill(self):
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Ended(False)
        self.buffer += data

    def _chunk(self):
        """Takes the next chunk off the wire."""
        while b"\r\n" not in self.buffer:
            self._fill()
        size, _, rest = self.buffer.partition(b"\r\n")
        size = int(size, 16)
        while len(rest) < size + 2:
            self._fill()
            rest = self.buffer.partition(b"\r\n")[2]
        assert rest[size:size + 2] == b"\r\n"
        self.buffer = rest[size + 2:]
        if size == 0:
            raise Ended(True)
        self.text += rest[:size]

    def _line_block(self):
        """The lines up to the next empty one."""
        while b"\n\n" not in self.text:
            self._chunk()
        block, self.text = self.text.split(b"\n\n", 1)
        assert b"\r" not in block
        event = {}
        for line in block.decode().split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            assert name in ("", "id", "event", "data", "retry"), line
            assert name not in event or not name, block
            event[name] = value
        if "retry" in event:
            self.retry = int(event["retry"])
        if "id" in event:
            number = int(event["id"])
            assert self.last_id is None or number >= int(self.last_id) or "event" in event, block
            self.last_id = number
        self.heartbeats += "" in event
        return event

    def next(self, timeout=PATIENCE):
        """The next event; TimeoutError where none comes in time."""
        end = time.monotonic() + timeout
        while True:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            block = self._line_block()
            if "data" in block:
                return Event(int(block["id"]), block["event"], json.loads(block["data"]))
            assert "event" not in block, block

    def take(self, count, timeout=PATIENCE):
        return [self.next(timeout) for _ in range(count)]

    def rest(self, quiet=0.5):
        """All that comes until nothing comes for a while."""
        events = []
        while True:
            try:
                events.append(self.next(quiet))
            except TimeoutError:
                return events

    def end(self, timeout=PATIENCE):
        """Waits for the end of the stream, dropping what comes before; whether it was whole."""
        self.socket.settimeout(timeout)
        try:
            while True:
                self._line_block()
        except Ended as end:
            return end.whole


def changes(events):
    """What events are about, in short: (change, key, version)."""
    return [(event.change, event.data.get("key"), event.data.get("version")) for event in events]


SSE_ID = re.compile(r"^id: (\d+)$", re.M)
