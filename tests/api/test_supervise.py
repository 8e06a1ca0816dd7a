"""`trestle supervise`: whatever a command starts, and however it does, ends with it."""

import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time

import pytest

from commands import is_alive
from harness import PATIENCE, PROGRAM, STORE, _die_with_parent, wait_until

# It knows no database: once is enough.
pytestmark = pytest.mark.skipif(STORE != "sqlite", reason="it needs no database")

# A command in Python: it says "PID" of itself, and of whatever it starts, in a file.
PRELUDE = """
import os, signal, sys, time
def note():
    with open(sys.argv[1], "a") as file:
        file.write(f"{os.getpid()}\\n")
def forever():
    while True:
        time.sleep(1)
note()
"""


class Supervised:
    """A command under `trestle supervise`, with the processes that it noted."""

    def __init__(self, folder, script, *options, control=None, inner=(), **arguments):
        self.notes = folder / "pids"
        self.notes.touch()
        command = [sys.executable, "-c", PRELUDE + textwrap.dedent(script), str(self.notes)]
        if control:
            options = (*options, "--control", str(control.fileno()))
            arguments["pass_fds"] = (control.fileno(),)
        self.process = subprocess.Popen(
            [*inner, PROGRAM, "supervise", *options, "--", *command], stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent, **arguments)

    def pids(self, count):
        """The processes, once there are so many."""
        def noted():
            words = self.notes.read_text("utf-8").split()
            return len(words) >= count and [int(word) for word in words]
        return wait_until(noted, f"{count} processes")

    def all_gone(self, patience=PATIENCE):
        pids = [int(word) for word in self.notes.read_text("utf-8").split()]
        wait_until(lambda: not any(map(is_alive, pids)), "its processes ended", patience)

    def nothing_left(self):
        """Whatever it noted is dead already, however often one looks."""
        pids = [int(word) for word in self.notes.read_text("utf-8").split()]
        assert pids and not [pid for pid in pids if is_alive(pid)]

    def wait(self):
        return self.process.wait(PATIENCE)

    def keeper(self):
        """The inner one of the two supervisors."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(wait_until(lambda: children.read_text("utf-8").split(), "a keeper")[0])


def test_it_ends_as_its_command_did(tmp_path):
    for script, expected in [("pass", 0), ("sys.exit(7)", 7), ("sys.exit(255)", 255),
                             ("os.kill(os.getpid(), signal.SIGKILL)", -9),
                             ("os.kill(os.getpid(), signal.SIGSEGV)", -11),
                             ("os.kill(os.getpid(), signal.SIGTERM)", -15),
                             ("os.abort()", -6)]:
        assert Supervised(tmp_path, script).wait() == expected, script
    for command, expected in [(["no-such-command-at-all"], 127), (["/dev/null"], 126), (["/"], 126)]:
        result = subprocess.run([PROGRAM, "supervise", "--", *command], capture_output=True,
                                check=False, timeout=PATIENCE)
        assert result.returncode == expected
        assert f"trestle supervise: {command[0]}: it cannot be started" in result.stderr.decode()


def test_wrong_uses_are_told():
    for words in [[], ["--grace", "x", "--", "true"], ["--limit", "-1s", "--", "true"],
                  ["--control", "2", "--", "true"], ["--control", "x", "--", "true"],
                  ["--limit", "400d", "--", "true"]]:
        result = subprocess.run([PROGRAM, "supervise", *words], capture_output=True, check=False,
                                timeout=PATIENCE)
        assert result.returncode == 2 and b"trestle supervise: " in result.stderr, words


def test_the_program_itself_is_found_by_its_name():
    result = subprocess.run([PROGRAM, "supervise", "--", "trestle", "version"], check=True,
                            capture_output=True, timeout=PATIENCE, env={"PATH": "/nowhere"})
    assert result.stdout.startswith(b"trestle ")


def test_streams_and_arguments_pass_through():
    result = subprocess.run([PROGRAM, "supervise", "--", "sh", "-c", 'cat; printf "%s|" "$@" >&2',
                             "sh", "--limit", "a b", ""], input=b"in", capture_output=True,
                            check=True, timeout=PATIENCE)
    assert result.stdout == b"in" and result.stderr == b"--limit|a b||"


def test_nothing_is_inherited_but_the_standard_streams():
    read, write = os.pipe()
    script = ("import os, signal; print(sorted(map(int, os.listdir('/proc/self/fd')))); "
              "print(signal.pthread_sigmask(signal.SIG_BLOCK, [])); "
              "print(open('/proc/self/status').read().split('SigIgn:')[1].split()[0])")
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25).
    result = subprocess.run([PROGRAM, "supervise", "--", sys.executable, "-c", script],
                            pass_fds=(read, write), capture_output=True, check=True,
                            timeout=PATIENCE)
    descriptors, mask, ignored = result.stdout.decode().splitlines()
    assert descriptors == "[0, 1, 2, 3]"  # 3 is the listing's own
    # 32 and 33 are the C library's own, which no program can set: they are as this test's parent left them.
    assert mask == "set()" and int(ignored, 16) & ~(3 << 31) == 1 << 12 | 1 << 24
    for descriptor in read, write:
        os.close(descriptor)


ESCAPES = {
    "background": "if os.fork() == 0: note(); forever()",
    "twice": """
        if os.fork() == 0:
            if os.fork() == 0:
                note(); forever()
            os._exit(0)
        os.wait()
        """,
    "session": """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.setsid()
                for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                    signal.signal(number, signal.SIG_IGN)
                for descriptor in (0, 1, 2):
                    os.close(descriptor)
                note(); forever()
            os._exit(0)
        os.wait()
        """,
    "stopped": "if os.fork() == 0: os.setsid(); note(); os.kill(os.getpid(), signal.SIGSTOP)",
    "deep": """
        for _ in range(20):
            if os.fork():
                forever() if _ else None
                break
            os.setsid(); note()
        else:
            forever()
        """,
}
COUNTS = {"deep": 21}


@pytest.mark.parametrize("name", ESCAPES)
def test_what_escapes_ends_when_the_command_does(name, tmp_path):
    count = COUNTS.get(name, 2)
    supervised = Supervised(tmp_path, textwrap.dedent(ESCAPES[name]) + f"""
while len(open(sys.argv[1]).read().split()) < {count}:
    time.sleep(0.01)
sys.exit(3)
""")
    assert supervised.wait() == 3
    supervised.nothing_left()
    assert len(supervised.pids(count)) == count


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("victim", ["guard", "keeper", "parent", "asked"])
def test_what_escapes_ends_when_anything_else_does(name, victim, tmp_path):
    """Whichever of the processes above it is killed, and whatever it did to escape."""
    parent = [sys.executable, "-c",
              "import subprocess, sys; p = subprocess.Popen(sys.argv[1:]); "
              "print(p.pid, flush=True); p.wait()"] if victim == "parent" else []
    supervised = Supervised(tmp_path, textwrap.dedent(ESCAPES[name]) + "\nforever()\n", "--grace", "100ms",
                            inner=parent, stdout=subprocess.PIPE)
    supervised.pids(COUNTS.get(name, 2))
    if victim == "keeper":
        os.kill(supervised.keeper(), signal.SIGKILL)
    elif victim == "asked":
        supervised.process.terminate()
    else:
        supervised.process.kill()
    status = supervised.wait()
    if victim in ("keeper", "asked"):
        assert status == {"keeper": -9, "asked": -15}[victim]
        supervised.nothing_left()
    supervised.all_gone()
    supervised.process.stdout.close()


def test_when_both_supervisors_are_killed_the_command_ends_at_least(tmp_path):
    supervised = Supervised(tmp_path, "forever()")
    supervised.pids(1)
    keeper = supervised.keeper()
    os.kill(keeper, signal.SIGSTOP)
    os.kill(supervised.process.pid, signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)
    supervised.all_gone()
    supervised.wait()


def test_a_keeper_that_is_stopped_goes_on(tmp_path):
    supervised = Supervised(tmp_path, "os.kill(os.getppid(), signal.SIGSTOP); forever()",
                            "--limit", "300ms")
    assert supervised.wait() == -signal.SIGTERM
    supervised.nothing_left()


@pytest.mark.parametrize("script, expected, least, most", [
    ("forever()", -15, 0.3, 20),
    ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); forever()", 5, 0.3, 20),
    ("signal.signal(signal.SIGTERM, signal.SIG_IGN); forever()", -9, 0.8, 20),
    ("os.kill(os.getpid(), signal.SIGSTOP)", -15, 0.3, 20),
    ("signal.signal(signal.SIGTERM, signal.SIG_IGN); os.kill(os.getpid(), signal.SIGSTOP); "
     "forever()", -9, 0.8, 20),
])
def test_the_limit_counts(script, expected, least, most, tmp_path):
    begin = time.monotonic()
    supervised = Supervised(tmp_path, script, "--limit", "300ms", "--grace", "500ms",
                            stderr=subprocess.PIPE)
    assert supervised.wait() == expected
    assert least <= time.monotonic() - begin < most
    assert b"its time was over" in supervised.process.stderr.read()
    supervised.process.stderr.close()
    supervised.nothing_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_signals_ask_it_to_end(number, tmp_path):
    supervised = Supervised(tmp_path, "note(); forever()", "--grace", "30s")
    supervised.pids(2)
    supervised.process.send_signal(number)
    assert supervised.wait() == -signal.SIGTERM
    supervised.nothing_left()


FORKERS = {
    # Each forks and ends, so that no number is alive for long …
    "chain": """
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if os.fork():
                os._exit(0)
        """,
    # … also in sessions of their own …
    "sessions": """
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if os.fork():
                os._exit(0)
            os.setsid()
        """,
    # … or very many do.
    "crowd": """
        end = time.monotonic() + 5
        while time.monotonic() < end:
            try:
                if os.fork() == 0:
                    os.fork()
                    time.sleep(5)
                    os._exit(0)
            except OSError:
                pass
            time.sleep(0.002)
        """,
}


@pytest.mark.parametrize("name", FORKERS)
def test_who_forks_all_the_time_is_caught(name, tmp_path):
    mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    script = "if os.fork() == 0:\n    os.setsid()\n" + textwrap.indent(
        textwrap.dedent(FORKERS[name]), "    ") + "    os._exit(0)\ntime.sleep(0.5)\n"
    supervised = Supervised(tmp_path, script, env={**os.environ, "MARK": mark})
    assert supervised.wait() == 0
    assert not _marked(mark)


def _marked(mark):
    """All processes that have the mark in their environment."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes() and is_alive(int(path.parent.name)):
                found.append(path.parent.name)
        except OSError:
            pass
    return found


class Control:
    """The end of a control socket that trestle itself has otherwise."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair()
        self.ours.settimeout(PATIENCE)

    def started(self):
        self.theirs.close()

    def extend(self, seconds):
        until = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000 + seconds * 1000)
        self.ours.sendall(struct.pack("=q", until))

    def report(self):
        """(cause, end, number), and that it is the last."""
        said = b""
        while len(said) < 12:
            said += self.ours.recv(12 - len(said)) or pytest.fail(f"only {said}")
        return struct.unpack("=iii", said)

    def ended(self):
        while self.ours.recv(100):
            pass
        return True


CAUSES = {"none": 0, "asked": 1, "limit": 2, "lease": 3, "parent": 4, "supervisor": 5}


def controlled(folder, script, *options):
    control = Control()
    supervised = Supervised(folder, script, *options, control=control.theirs)
    control.started()
    return supervised, control


def test_a_lease_bounds_it(tmp_path):
    supervised, control = controlled(
        tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN); note(); forever()",
        "--grace", "300ms")
    supervised.pids(2)
    for _ in range(4):
        control.extend(0.8)
        time.sleep(0.2)
        assert supervised.process.poll() is None
    begin = time.monotonic()
    assert control.report() == (CAUSES["lease"], 1, 9)
    assert 0.3 < time.monotonic() - begin < 20
    supervised.nothing_left()
    assert control.ended() and supervised.wait() == -9


def test_a_lease_that_is_over_ends_it_at_once(tmp_path):
    supervised, control = controlled(tmp_path, ESCAPES["background"] + "\nforever()")
    supervised.pids(2)
    control.extend(-1)
    assert control.report()[0] == CAUSES["lease"]
    supervised.nothing_left()
    supervised.wait()


def test_reports(tmp_path):
    for script, options, expected in [
            ("sys.exit(4)", [], ("none", 0, 4)),
            ("os.kill(os.getpid(), signal.SIGUSR1)", [], ("none", 1, 10)),
            ("forever()", ["--limit", "200ms"], ("limit", 1, 15)),
            ("forever()", ["asked"], ("asked", 1, 15)),
            ("forever()", ["guard"], ("parent", 1, 9)),
            ("forever()", ["keeper"], ("supervisor", 3, 0)),
            ("forever()", ["hangup"], ("parent", 1, 9))]:
        act = options.pop() if options and not options[0].startswith("--") else None
        supervised, control = controlled(tmp_path, script, *options)
        supervised.pids(1)
        if act == "asked":
            supervised.process.terminate()
        elif act == "guard":
            supervised.process.kill()
        elif act == "keeper":
            os.kill(supervised.keeper(), signal.SIGKILL)
        elif act == "hangup":
            control.ours.shutdown(socket.SHUT_WR)
        cause, end, number = control.report()
        assert (cause, end, number) == (CAUSES[expected[0]], *expected[1:]), expected
        assert control.ended()
        supervised.nothing_left()
        supervised.wait()
        supervised.notes.unlink()


def test_what_cannot_be_started_is_reported(tmp_path):
    control = Control()
    with subprocess.Popen([PROGRAM, "supervise", "--control", str(control.theirs.fileno()), "--",
                           "no-such-command"], pass_fds=(control.theirs.fileno(),),
                          stderr=subprocess.PIPE) as process:
        control.started()
        assert control.report() == (CAUSES["none"], 2, 2)
        assert process.wait(PATIENCE) == 127 and process.stderr.read() == b""
