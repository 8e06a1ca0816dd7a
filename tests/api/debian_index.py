"""Debian's own package index, through the whole program: import, walk, compare.

Test_debian_index.py takes a part of it in each run, tests/faults/test_debian_index.py all of it.
"""

import hashlib
import itertools
import json
import os
import random
import subprocess
import threading

from harness import ROOT, Server

SCRIPT = ROOT / "examples" / "debian_packages"
MEMBERS = ["name", "version", "source", "sha256"]


def dumpavail():
    """What `apt-cache dumpavail` prints, and where it came from. A bare machine has no index; then
    it is fetched where we may, or one of the same shape is made up."""
    def dump():
        try:
            return subprocess.run(["apt-cache", "dumpavail"], capture_output=True,
                                  check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return b""
    text = dump()
    if text.count(b"\nFilename: ") > 10_000:
        return text, "apt-cache dumpavail"
    if os.geteuid() == 0:
        try:
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True, timeout=300,
                           check=True)
            text = dump()
        except (OSError, subprocess.SubprocessError):
            pass
        if text.count(b"\nFilename: ") > 10_000:
            return text, "apt-cache dumpavail, after apt-get update"
    return made_up(), "a made-up index: there is no apt with one"


def made_up(count=60_000):
    choice = random.Random(1)
    entries = []
    for i in range(count):
        prefix = choice.choice(["lib", "python3-", "node-", "golang-", ""])
        name = f"{prefix}{choice.randrange(10**9):x}{i}"
        version = f"{i % 9}:{choice.randrange(99)}.{choice.randrange(99)}~rc{i % 7}+dfsg-{i % 5}"
        entries.append(
            f"Package: {name}\nArchitecture: amd64\nVersion: {version}\n"
            f"Filename: pool/main/{name[0]}/{name}/{name}_{version}_amd64.deb\nSize: {i}\n"
            f"SHA256: {hashlib.sha256(name.encode()).hexdigest()}\n"
            f"Description: {name}\n one\n .\n more: of it\n\n")
    return "".join(entries).encode()


def records(limit):
    """The index as records, by the script under examples/; the first `limit` of them."""
    text, origin = dumpavail()
    lines = subprocess.run([SCRIPT], input=text, stdout=subprocess.PIPE,
                           check=True).stdout.splitlines()
    assert len(lines) > 10_000
    return lines[:limit], origin


def digest(items):
    """Of canonical lines, in any order."""
    lines = sorted(json.dumps([item[name] for name in MEMBERS], ensure_ascii=False)
                   for item in items)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Meanwhile:
    """Writes and removes other packages while it is entered."""

    def __init__(self, server):
        self.server = server
        self.stop = threading.Event()
        self.written = 0
        self.error = None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        client = self.server.client()
        kept = []
        try:
            for i in itertools.count():
                if self.stop.is_set():
                    break
                record = client.create("/packages", {"name": "meanwhile", "version": str(i)})
                kept.append(record["id"])
                self.written += 1
                if len(kept) > 5:
                    assert client.delete(f"/packages/{kept.pop(0)}").status_code == 204
                if i % 4 == 0:
                    assert client.patch(f"/packages/{kept[-1]}",
                                        {"source": "urn:x"}).status_code == 200
        except BaseException as error:
            self.error = error
        client.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        if self.error:
            raise self.error


def import_and_walk(limit):
    lines, origin = records(limit)
    source = [json.loads(line) for line in lines]
    print(f"{len(source)} packages from {origin}")
    with Server() as server:
        path = server.folder / "packages.ndjson"
        path.write_bytes(b"\n".join(lines) + b"\n")
        with Meanwhile(server) as others:
            result = server.program("import", "packages", str(path), check=0)
            print(result.stdout + result.stderr)
            for sort in ("id", "-name,version"):
                walked = [record for page in server.admin.walk("/packages", limit=1000, sort=sort)
                          for record in page]
                theirs = [record for record in walked if record["name"] != "meanwhile"]
                assert len({record["id"] for record in walked}) == len(walked), "some came twice"
                assert len(theirs) == len(source), "some are missing, or too many"
                assert digest(theirs) == digest(source), "some are not what they were"
                assert {record["status"] for record in theirs} == {"Created"}
        assert others.written > 10
        print(f"{others.written} other packages were written meanwhile")
        exported = server.program("export", "packages", check=0).stdout.splitlines()
        theirs = [record for record in map(json.loads, exported) if record["name"] != "meanwhile"]
        assert digest(theirs) == digest(source)
        # Once more: everything is there already.
        again = server.program("import", "packages", str(path), "--on-conflict", "skip", check=0)
        print(again.stdout + again.stderr)
        count = server.admin.get(
            "/packages?count=true&limit=1&filter=name != 'meanwhile'").headers["X-Total-Count"]
        assert count == str(len(source))


def copy_there_and_back(limit, first, second, third):
    """Imports into the first database, copies it to the second and that to the third: three exports
    with one digest."""
    lines, origin = records(limit)
    print(f"{len(lines)} packages from {origin}")
    server = Server(settings={"database": first})
    try:
        path = server.folder / "packages.ndjson"
        path.write_bytes(b"\n".join(lines) + b"\n")
        server.program("import", "packages", str(path), "--direct", check=0)
        for source, target in ((first, second), (second, third)):
            said = server.program("copy", "--from", source, "--to", target, check=0)
            print(said.stdout + said.stderr)
        exports = [server.program("export", "packages", "--direct", "--database", database,
                                  check=0).stdout for database in (first, second, third)]
        assert exports[0].count("\n") == len(lines)
        assert len({hashlib.sha256(each.encode()).hexdigest() for each in exports}) == 1
        theirs = [json.loads(line) for line in exports[2].splitlines()]
        assert digest(theirs) == digest([json.loads(line) for line in lines])
    finally:
        server.close()
