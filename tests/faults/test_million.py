"""A million records in by one POST and out by one GET, as NDJSON: the server's memory stays as it is,
and nobody who writes a single record meanwhile waits long. (What `make test` has of this, smaller, is
in tests/api/test_ndjson.py and test_list_lines.py.)

TRESTLE_RECORDS=50000 makes it smaller, too.
"""

import http.client
import json
import multiprocessing
import os
import statistics
import threading
import time

import pytest

from harness import HOST, PATIENCE, Server
from streams import download, rss, sending, upload

RECORDS = int(os.environ.get("TRESTLE_RECORDS", "1000000"))
A_CHUNK = 500
MOST_GROWTH = 8 * 1024  # KiB, after the first quarter
MOST_TIMES = 10
ALONE = 10  # seconds
AGAIN = 5  # times out, as it is soon over

DEFINITIONS = {
    "things": """
        access: {read: public, write: public}
        required: [name]
        properties:
          name: {type: string, maxLength: 100}
          size: {type: integer}
          note: {type: string, maxLength: 1000}
        """,
}


def write_singly(port, stop, results):
    """POSTs one record after the other, and tells how long each took."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
    body = json.dumps({"name": "single", "size": 1, "note": "n" * 40})
    took = []
    while not stop.is_set():
        start = time.monotonic()
        connection.request("POST", "/things", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        took.append(time.monotonic() - start)
        if answer.status != 201:
            results.put(answer.status)
            return
        time.sleep(0.002)
    results.put(took)


class Meanwhile:
    """Writers of single records, in processes of their own, and samples of the server's memory."""

    def __init__(self, server, writers=4):
        self.server = server
        self.stop = multiprocessing.Event()
        self.results = multiprocessing.Queue()
        self.processes = [multiprocessing.Process(
            target=write_singly, args=(server.port, self.stop, self.results))
            for _ in range(writers)]
        self.thread = threading.Thread(target=self._sample)
        self.memory = []
        self.took = []

    def _sample(self):
        while not self.stop.wait(0.02):
            self.memory.append(rss(self.server))

    def __enter__(self):
        for process in self.processes:
            process.start()
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stop.set()
        self.thread.join()
        found = [self.results.get(timeout=PATIENCE) for _ in self.processes]
        for process in self.processes:
            process.join()
        if kind is None:
            assert all(isinstance(took, list) for took in found), found
            self.took = sorted(seconds for took in found for seconds in took)

    def p99(self):
        return self.took[len(self.took) * 99 // 100]

    def growth(self):
        """By how much the later part's high water is above the earlier one's."""
        quarter = len(self.memory) // 4
        return max(self.memory[2 * quarter:]) - max(self.memory[quarter:2 * quarter])

    def report(self, what, seconds):
        print(f"{what}: {seconds:.1f} s, {RECORDS / seconds:.0f} records/s; memory "
              f"{min(self.memory) / 1024:.1f} to {max(self.memory) / 1024:.1f} MiB, "
              f"{self.growth() / 1024:+.1f} in the end; {len(self.took)} single POSTs, median "
              f"{statistics.median(self.took) * 1e3:.1f} ms, p99 {self.p99() * 1e3:.1f} ms, longest "
              f"{self.took[-1] * 1e3:.0f} ms")


def chunks():
    for first in range(0, RECORDS, A_CHUNK):
        yield b"".join(b'{"name":"record %d","size":%d,"note":"%s"}\n' % (i, i, b"x" * (i % 80))
                       for i in range(first, min(first + A_CHUNK, RECORDS)))


def count(exchange, what):
    """How often something is in a body, read as fast as it comes."""
    total, rest = 0, b""
    for chunk in exchange.chunks():
        text = rest + chunk
        total += text.count(what)
        rest = text[-(len(what) - 1):]
    return total


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_million_in_and_out(store):
    with Server(DEFINITIONS, settings={"log_access": "off"}, store_name=store) as server:
        with Meanwhile(server) as alone:
            time.sleep(ALONE)
        print(f"\n{store}: alone: {len(alone.took)} single POSTs, median "
              f"{statistics.median(alone.took) * 1e3:.1f} ms, p99 {alone.p99() * 1e3:.1f} ms")
        with Meanwhile(server) as coming, upload(server, "/things") as exchange:
            start = time.monotonic()
            with sending(exchange, chunks()):
                assert count(exchange, b'"status":201') == RECORDS
            seconds = time.monotonic() - start
        coming.report(f"{store}: in", seconds)
        with Meanwhile(server) as going:
            for _ in range(AGAIN):
                start = time.monotonic()
                with download(server, "/things") as exchange:
                    found = count(exchange, b'{"id":')
                seconds = time.monotonic() - start
                assert found >= RECORDS + len(alone.took) + len(coming.took)
        going.report(f"{store}: out, the last of {AGAIN} times", seconds)
        for part in (coming, going):
            assert part.growth() < MOST_GROWTH
            assert part.p99() < MOST_TIMES * alone.p99()
