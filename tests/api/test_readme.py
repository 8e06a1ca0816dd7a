"""What the README has people type works: its commands are run, in their order, against a server that
was started as it says. Only the address, the place of the program and the package index are ours."""

import os
import re
import shutil
import signal
import subprocess

import pytest

import harness
from harness import PATIENCE, PROGRAM, ROOT, Server, wait_until

README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8080"
KEY = "choose-a-long-secret"

# A part of what `apt-cache dumpavail` says.
INDEX = "".join(f"""Package: package-{i}
Version: 1.{i}-1
Architecture: amd64
Filename: pool/main/p/package-{i}.deb
SHA256: {i:064x}
Description: \u00fcber {i}

""" for i in range(50))


def block(language, word):
    """The one block that has a word."""
    found = [text for kind, text in BLOCKS if kind == language and word in text]
    assert len(found) == 1, f"{len(found)} blocks with {word!r}"
    return found[0]


@pytest.fixture(name="server", scope="module")
def fixture_server():
    with Server(settings={"admin_key": KEY}) as server:
        (server.folder / "build" / "release").mkdir(parents=True)
        os.symlink(PROGRAM, server.folder / "build" / "release" / "trestle")
        os.symlink(ROOT / "examples", server.folder / "examples")
        (server.folder / "bin").mkdir()
        (server.folder / "index").write_text(INDEX, "utf-8")
        fake = server.folder / "bin" / "apt-cache"
        fake.write_text(f"#!/bin/sh\ntest \"$*\" = dumpavail && cat {server.folder}/index\n")
        fake.chmod(0o755)
        yield server


def run(server, script):
    """Types it into a shell; gives what it said."""
    environment = {**os.environ, "KEY": KEY, "TRESTLE_LISTEN": server.settings["listen"],
                   "PATH": f"{server.folder}/bin:{os.environ['PATH']}", "no_proxy": "*"}
    result = subprocess.run(["bash", "-euo", "pipefail"], cwd=server.folder, env=environment,
                            input=script.replace(ADDRESS, server.url()), encoding="utf-8",
                            capture_output=True, timeout=PATIENCE * 5)
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    harness.assert_no_report(result.stderr)
    return result.stdout


def commands(script):
    """The commands one by one, each with the comment behind it."""
    joined = script.replace("\\\n", "")
    found = []
    for line in filter(None, map(str.strip, joined.split("\n"))):
        if line.startswith("#"):
            found[-1][1].append(line.lstrip("# "))
        else:
            found.append((line, []))
    return found


def as_shown(shown, text):
    """Whether a line of a comment is there; "…" stands for anything."""
    return re.search(".*".join(map(re.escape, shown.split("…"))), text, re.DOTALL)


def test_there_are_just_these_blocks():
    assert [kind for kind, _ in BLOCKS] == ["sh", "sh", "yaml", "sh"], "test what is new"


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_targets_of_make():
    texts = README + (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    targets = set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", texts, re.MULTILINE))
    names = {first or second for first, second in targets}
    assert {"run", "test"} <= names
    for name in names:
        subprocess.run(["make", "-n", "-C", ROOT, name], check=True, stdout=subprocess.DEVNULL)


def test_a_taste_of_it(server):
    told = 0
    for command, comments in commands(block("sh", "/messages")):
        said = run(server, command)
        for shown in comments:
            pieces = shown.split(", ") if shown[0].isdigit() else [shown]
            for piece in pieces:
                assert as_shown(piece, said), f"{command}\n{piece!r} is not in\n{said}"
                told += 1
        if "curl" in command:
            assert '"status":4' not in said, said
    assert told >= 3
    assert server.client(KEY).list("/coupons", status="valid")[0]["category"] == "Food"


def test_a_resource_of_ones_own(server):
    server.define("stores", block("yaml", "rating"))
    run(server, "build/release/trestle check")
    # `pkill -HUP trestle` would reach those of others.
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.public.get("/stores").status_code == 200, "it is served")
    record = {"name": "Here", "opened": "2020-01-01", "rating": "4.5"}
    assert server.client(KEY).create("/stores", record)["rating"] == "4.5"
    server.define("stores", "nonsense: 1\n")
    said = server.program("check", check=1)
    assert "stores.yaml:1:1" in said.stderr
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.log_text().count("stores.yaml:1:1") > 0, "it is told")
    assert server.public.get("/stores").status_code == 200
    server.define("stores", block("yaml", "rating"))


def test_real_data_and_back(server):
    said = run(server, block("sh", "dumpavail"))
    digests = re.findall(r"\b[0-9a-f]{64}\b", said)
    assert len(digests) == 2 and digests[0] == digests[1], said
    assert len(server.client(KEY).list("/packages", limit=1000)) == 50
