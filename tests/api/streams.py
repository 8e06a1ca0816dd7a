"""Answers that come bit by bit, and bodies that are sent in the same way, on a bare connection."""

import contextlib
import json
import random
import re
import select
import socket
import threading

from harness import ADMIN_KEY, HOST, PATIENCE

NDJSON = "application/x-ndjson"


class Truncated(Exception):
    """The stream ended before its end."""


class Exchange:
    """One request on a connection of its own. The body goes out in chunks, when and as it is sent;
    the answer is read meanwhile, or not."""

    def __init__(self, server, method, target, *, key=ADMIN_KEY, fields=(), room=None):
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.connect((HOST, server.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")
        self._chunked = None
        lines = [f"{method} {target} HTTP/1.1", "Host: test", *fields]
        if key:
            lines.append(f"Authorization: Bearer {key}")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._file.close()
        self.socket.close()

    def reset(self):
        """Goes without a word of farewell."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def send(self, data):
        """One chunk of the body."""
        if data:
            self.socket.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self):
        self.socket.sendall(b"0\r\n\r\n")

    def head(self):
        """Status and fields, once they are there."""
        status = self._file.readline().decode()
        found = re.fullmatch(r"HTTP/1\.1 (\d+) .*\r\n", status)
        if not found:
            raise Truncated(status)
        fields = {}
        while (line := self._file.readline().decode()) != "\r\n":
            if not line:
                raise Truncated(status)
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        self._chunked = fields.get("transfer-encoding") == "chunked"
        return int(found.group(1)), fields

    def chunks(self):
        """The chunks of the body, as they come; Truncated where the last one does not."""
        if self._chunked is None:
            self.head()
        assert self._chunked
        try:
            while (size := int(self._file.readline().strip() or b"x", 16)) > 0:
                data = self._file.read(size)
                if len(data) < size or self._file.read(2) != b"\r\n":
                    raise Truncated(data[-100:])
                yield data
        except (ValueError, ConnectionResetError) as error:
            raise Truncated() from error
        assert self._file.readline() == b"\r\n"

    def lines(self):
        """What the body's lines say, as they come."""
        rest = b""
        for chunk in self.chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            yield from map(json.loads, whole)
        assert not rest


def upload(server, path, **arguments):
    """A POST of NDJSON whose lines are still to be sent."""
    fields = [f"Content-Type: {NDJSON}", "Transfer-Encoding: chunked", *arguments.pop("fields", ())]
    return Exchange(server, "POST", path, fields=fields, **arguments)


def download(server, path, **arguments):
    """A GET of a list as NDJSON, of which nothing is read yet."""
    return Exchange(server, "GET", path, fields=[f"Accept: {NDJSON}"], **arguments)


@contextlib.contextmanager
def sending(exchange, chunks):
    """Sends a body beside whatever is done meanwhile."""
    def send():
        for chunk in chunks:
            exchange.send(chunk)
        exchange.end()
    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join(PATIENCE)


def ndjson(records):
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def rss(server):
    """KiB of memory that the server has."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s*(\d+) kB", status.read()).group(1))


class Cutter:
    """Stands between a server and its clients, and resets each connection after so many bytes of
    requests and answers, which `choice` draws from `bounds`."""

    def __init__(self, server, bounds, seed=1):
        self._target = (HOST, server.port)
        self._bounds = bounds
        self._choice = random.Random(seed)
        self._listener = socket.create_server((HOST, 0), backlog=256)
        self.url = "http://%s:%d" % self._listener.getsockname()
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Only shutdown wakes a thread that waits for it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                left = self._choice.randint(*self._bounds)
                threading.Thread(target=self._relay, args=(client, left), daemon=True).start()

    def _relay(self, client, left):
        server = socket.create_connection(self._target)
        other = {client: server, server: client}
        with client, server, contextlib.suppress(OSError):
            while left > 0:
                for each in select.select([client, server], [], [])[0]:
                    data = each.recv(min(65536, left or 1))
                    if not data:
                        return
                    other[each].sendall(data)
                    left -= len(data)
            self.cuts += 1
            for each in other:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
