"""A disk that fills: 507 while it is full, nothing lost, no restart when there is space again."""

import contextlib
import pathlib
import resource
import signal
import sqlite3
import subprocess
import tempfile
import threading

import pytest
import requests

from harness import Server, problem, wait_until


@pytest.fixture
def small_disk():
    """A file system of 8 MiB. Takes root."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="trestle-disk-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", folder],
                             capture_output=True)
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip("a small file system cannot be mounted here (that takes root): "
                    + mounted.stderr.decode().strip())
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
    folder.rmdir()


def fill(folder):
    """Takes all space that is left."""
    with open(folder / "ballast", "ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return folder / "ballast"


def check_stored(server, stored):
    for digest, message in stored.items():
        response = server.public.get(f"/messages/{digest}")
        assert response.status_code == 200, "lost"
        assert response.json()["message"] == message


def post(server, message):
    return server.public.post("/messages", {"message": message})


def stored_message(server, message):
    response = post(server, message)
    return response if response.status_code == 201 else None


def test_a_disk_that_fills(small_disk):
    with Server(data=small_disk / "data",
                settings={"database": f"sqlite:{small_disk}/data/trestle.db"}) as server:
        stored = {}
        for i in range(20):
            made = post(server, f"{i} " + "x" * 2000)
            assert made.status_code == 201
            stored[made.json()["digest"]] = made.json()["message"]
        for round in range(3):
            ballast = fill(small_disk)
            # What fits into the pages that the log already has may still be stored.
            for i in range(2000):
                response = post(server, f"full {round} {i} " + "y" * 3000)
                if response.status_code == 507:
                    break
                assert response.status_code == 201, response.text
                stored[response.json()["digest"]] = response.json()["message"]
            else:
                pytest.fail("a full disk takes everything")
            for i in range(20):
                value = problem(post(server, f"refused {round} {i} " + "y" * 3000), 507,
                                "disk-full")
                assert value["detail"]
            # Reads go on, and so does the check that it can serve.
            check_stored(server, stored)
            assert server.public.get("/coupons?count=true").status_code == 200
            assert server.public.get("/healthz").status_code == 200
            # What is stored already needs no space.
            digest, message = next(iter(stored.items()))
            assert post(server, message).status_code in (200, 507)

            ballast.unlink()
            made = wait_until(lambda: stored_message(server, f"space again {round}"),
                              "it writes again")
            stored[made.json()["digest"]] = made.json()["message"]
            check_stored(server, stored)
            for i in range(20):
                response = post(server, f"refused {round} {i} " + "y" * 3000)
                assert response.status_code == 201, "it was stored, or is refused still"
                stored[response.json()["digest"]] = response.json()["message"]
        server.restart()
        check_stored(server, stored)
        server.stop()
        with contextlib.closing(sqlite3.connect(small_disk / "data" / "trestle.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT count(*) FROM messages").fetchone()[0] == len(stored)


def test_a_disk_that_fills_under_many_writers(small_disk):
    """Groups that fail in the middle: each member has its own answer, and it is true."""
    with Server(data=small_disk / "data",
                settings={"database": f"sqlite:{small_disk}/data/trestle.db"}) as server:
        stored, refused, surprises = {}, set(), []
        stop = threading.Event()

        def write(writer):
            client = server.client(None)
            for i in range(1_000_000):
                if stop.is_set():
                    break
                size = 100 if i % 3 else 20_000
                message = f"{writer}.{i} " + chr(97 + writer) * size
                response = client.post("/messages", {"message": message})
                if response.status_code == 201:
                    stored[response.json()["digest"]] = message
                elif response.status_code == 507:
                    refused.add(message)
                else:
                    surprises.append(response.text)
            client.close()

        threads = [threading.Thread(target=write, args=(i,)) for i in range(16)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(refused) > 200 or surprises, "the disk is full")
        stop.set()
        for thread in threads:
            thread.join()
        assert not surprises, surprises[0]
        check_stored(server, stored)
        server.kill()  # what was answered is durable though the disk is full
        with contextlib.closing(sqlite3.connect(f"file:{small_disk}/data/trestle.db?mode=ro",
                                                uri=True)) as connection:
            there = {row[0] for row in connection.execute("SELECT message FROM messages")}
        assert set(stored.values()) <= there
        assert not refused & there, "a write that was refused is there"


def test_a_full_disk_at_start(small_disk):
    """It says why, and does not hurt what is there."""
    settings = {"database": f"sqlite:{small_disk}/data/trestle.db"}
    with Server(data=small_disk / "data", settings=settings) as server:
        made = post(server, "before").json()
        server.stop()
        ballast = fill(small_disk)
        server.spawn()
        try:
            wait_until(lambda: server.process.poll() is not None or readable(server),
                       "it starts or ends")
        finally:
            if server.process.poll() is None:
                server.stop()
            else:
                server._reap()
        ballast.unlink()
        server.start()
        assert server.public.get(f"/messages/{made['digest']}").json() == made


def readable(server):
    try:
        return requests.get(server.url("/healthz")).status_code == 200
    except requests.ConnectionError:
        return False


def test_files_that_may_not_grow():
    """The same without root: a limit on the size of a file, as a quota would be."""
    limit = 2 << 20
    with Server() as server:
        server.stop()
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
            server.start()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
            signal.signal(signal.SIGXFSZ, handler)
        stored, refused = {}, None
        for i in range(2000):
            response = post(server, f"{i} " + "z" * 20_000)
            if response.status_code != 201:
                refused = response
                break
            stored[response.json()["digest"]] = response.json()["message"]
        assert refused is not None, "more was stored than the file may hold"
        assert refused.status_code in (507, 503), refused.text
        check_stored(server, stored)
        server.restart()  # without the limit
        check_stored(server, stored)
        assert post(server, "now there is room").status_code == 201
