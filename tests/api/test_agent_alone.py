"""`trestle agent`, with a server whose answers the tests choose."""

import os
import signal
import subprocess
import threading
import time

import pytest

from claims import Operations
from commands import ENDS, is_alive, is_limited
from harness import PATIENCE, PROGRAM, STORE, _die_with_parent, assert_no_report, wait_until

# It knows no database: once is enough.
pytestmark = pytest.mark.skipif(STORE != "sqlite", reason="it needs no database")


class Agent:
    """A running agent whose command is a shell's script."""

    def __init__(self, operations, folder, script, *options, key="a-key"):
        self.log_path = folder / f"agent-{time.monotonic_ns()}.log"
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("TRESTLE")}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "agent", "--transition", "things.make", "--server", operations.url,
                 "--key", key, *options, "--", "sh", "-c", script],
                cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, preexec_fn=_die_with_parent)

    def log(self):
        return self.log_path.read_text("utf-8")

    def wait(self, status=0):
        assert self.process.wait(PATIENCE) == status, self.log()
        assert_no_report(self.log())
        return self.log()

    def stop(self, status=0):
        self.process.terminate()
        return self.wait(status)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def operations():
    server = Operations()
    yield server
    server.stop()


def test_it_works(operations, tmp_path):
    name = operations.add({"id": 7, "text": "é\"\\ 1e400"})
    with Agent(operations, tmp_path, "cat > got; echo progress 40; sleep 0.4; "
               "echo detail done with it; echo '{\"size\": 12.5, \"ok\": [true]}'") as agent:
        operation = operations.wait(name, "succeeded")
        assert operation["set"] == {"size": 12.5, "ok": [True]}
        assert operation["progress"] == 40 and operation["detail"] == "done with it"
        assert operation["worker"].endswith(f":{agent.process.pid}")
        assert operation["beats"] and {beat["progress"] for beat in operation["beats"]} == {40}
        assert (tmp_path / "got").read_text("utf-8") == '{"id":7,"text":"é\\"\\\\ 1e400"}'
        said = agent.stop()
    assert f"make of things/7: started (operation {name}, attempt 1)" in said
    assert "make of things/7: succeeded after 0." in said
    assert operations.asked[0][1]["transitions"] == ["things.make"]
    assert {key for _, _, key in operations.asked} == {"Bearer a-key"}


def test_the_environment_is_what_is_declared(operations, tmp_path):
    name = operations.add(environment={"SIZE": "large one", "HOME": "/tmp", "TRESTLE_ATTEMPT": "9"})
    with Agent(operations, tmp_path, "echo detail $(env | grep -v -e ^_= -e ^SHLVL | sort)",
               "--data", "things"):
        detail = operations.wait(name, "succeeded")["detail"]
    assert detail == (f"HOME=/tmp LANG=C.UTF-8 PATH={os.environ['PATH']} PWD={tmp_path} "
                      f"SIZE=large one TRESTLE_ATTEMPT=1 TRESTLE_DATA={tmp_path}/things "
                      f"TRESTLE_OPERATION={name}")


@pytest.mark.parametrize("name", ENDS)
def test_whatever_a_command_does_it_ends_clearly(name, operations, tmp_path):
    script, state, detail = ENDS[name]
    limit = 1 if is_limited(name) else 120
    operation = operations.add({"id": 7, "filler": "x" * 500000}, limit=limit)
    begin = time.monotonic()
    with Agent(operations, tmp_path, script) as agent:
        ended = operations.wait(operation, "succeeded", "failed", patience=120)
        assert ended["state"] == state
        if detail:
            assert ended["detail"].startswith(detail)
        if limit == 1:
            assert 1 <= time.monotonic() - begin < 20
        memory = int(open(f"/proc/{agent.process.pid}/status", encoding="utf-8").read()
                     .split("VmHWM:")[1].split()[0])
        assert memory < 400000  # KiB, of which AddressSanitizer has its share
        said = agent.stop()
    if name == "nonsense":
        assert "(4 lines of its output were passed over)" in said


def test_a_cancelled_operation_ends(operations, tmp_path):
    name = operations.add()
    with Agent(operations, tmp_path, "trap 'echo asked > asked; exit 0' TERM; echo $$ > pid; "
               "setsid sleep 1000 & while :; do sleep 0.1; done"):
        wait_until((tmp_path / "pid").exists, "the command runs")
        operations.cancel(name)
        operations.wait(name, "cancelled", patience=20)
        assert (tmp_path / "asked").exists()


def test_who_is_overtaken_stops_at_once(operations, tmp_path):
    name = operations.add()
    with Agent(operations, tmp_path, "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done",
               "--lease", "5s") as agent:
        pid = int(wait_until(lambda: (tmp_path / "pid").exists() and
                             (tmp_path / "pid").read_text(), "the command runs"))
        with operations.lock:
            operations.operations[name]["attempts"] = 2
        wait_until(lambda: not is_alive(pid), "it is killed", 20)
        wait_until(lambda: "it is no longer ours" in agent.log(), "it is told")
        # And the agent goes on.
        other = operations.add()
        operations.wait(other, "running")
        assert operations.operations[name]["state"] == "running"


def test_so_many_run_at_once(operations, tmp_path):
    names = [operations.add({"id": number}) for number in range(12)]
    script = ("read x; echo start $x >> ../log; sleep 0.3; echo end $x >> ../log")
    folder = tmp_path / "here"
    folder.mkdir()
    with Agent(operations, folder, script, "--concurrency", "4"):
        for name in names:
            operations.wait(name, "succeeded")
    at_once = most = 0
    for line in (tmp_path / "log").read_text().splitlines():
        at_once += 1 if line.startswith("start") else -1
        most = max(most, at_once)
    assert most == 4


def refuse(handler, _):
    """Closes the connection without an answer."""
    handler.close_connection = True
    handler.connection.close()
    return True


def test_it_outlasts_a_server_that_is_away(operations, tmp_path):
    first = operations.add()
    with Agent(operations, tmp_path, "echo begun >> begun; sleep 2; echo '{\"ok\": true}'") as agent:
        wait_until((tmp_path / "begun").exists, "the command runs")
        port = operations.port
        operations.stop()
        time.sleep(3)
        assert operations.operations[first]["state"] == "running"
        operations.start(port)
        assert operations.wait(first, "succeeded")["set"] == {"ok": True}
        second = operations.add()
        operations.wait(second, "succeeded")
        said = agent.stop()
        assert "does not answer, and is tried again" in said and "answers again" in said
    assert (tmp_path / "begun").read_text() == "begun\n" * 2


def test_answers_that_are_lost_do_no_harm(operations, tmp_path):
    counts = {}

    def sometimes(handler, path):
        counts[path] = counts.get(path, 0) + 1
        if path.endswith("claim") or counts[path] % 2:
            return False
        if path.endswith("finish"):
            return False
        return refuse(handler, path)

    operations.fault = sometimes
    name = operations.add()
    with Agent(operations, tmp_path, "for i in 1 2 3 4 5 6 7 8; do echo progress $i; sleep 0.3; done",
               "--lease", "5s"):
        assert operations.wait(name, "succeeded")["progress"] == 8
    assert operations.operations[name]["attempts"] == 1


def test_a_command_ends_before_its_lease(operations, tmp_path):
    """Nobody answers beats any more, yet the end of the lease is known."""
    name = operations.add()

    def silent(handler, path):
        if not path.endswith("beat"):
            return False
        time.sleep(30)
        return refuse(handler, path)

    script = "trap '' TERM; echo $$ > pid; while :; do date +%s.%N > alive; sleep 0.05; done"
    operations.fault = silent
    with Agent(operations, tmp_path, script, "--lease", "5s") as agent:
        pid = int(wait_until(lambda: (tmp_path / "pid").exists() and
                             (tmp_path / "pid").read_text(), "the command runs"))
        wait_until(lambda: not is_alive(pid), "it is killed", 20)
        now = time.monotonic()
        ends = operations.operations[name]["lease_ends"]
        assert ends - 4 < now < ends
        operations.wait(name, "released")
        agent.stop()


def test_a_claim_that_waited_is_confirmed_before_it_begins(operations, tmp_path):
    order = []
    with Agent(operations, tmp_path, "echo x > begun; sleep 0.1", "--lease", "5s"):
        def note(_, path):
            order.append((path.rpartition("/")[2], (tmp_path / "begun").exists()))
            return False

        time.sleep(1.5)
        operations.fault = note
        name = operations.add()
        operations.wait(name, "succeeded")
    assert order[0] == ("beat", False) or ("beat", False) in order[:2]


def test_sigterm_lets_commands_end(operations, tmp_path):
    name = operations.add()
    with Agent(operations, tmp_path, "echo x > begun; sleep 1.5; echo '{}'") as agent:
        wait_until((tmp_path / "begun").exists, "the command runs")
        said = agent.stop()
        assert operations.operations[name]["state"] == "succeeded"
        assert "stopping; commands that run may end within 30 s" in said
        other = operations.add()
        assert operations.operations[other]["state"] == "queued"


@pytest.mark.parametrize("script", ["sleep 1000", "trap '' TERM; while :; do sleep 1; done"])
def test_sigterm_hands_back_what_does_not_end(script, operations, tmp_path):
    name = operations.add()
    with Agent(operations, tmp_path, "echo x > begun; " + script, "--grace", "500ms") as agent:
        wait_until((tmp_path / "begun").exists, "the command runs")
        begin = time.monotonic()
        agent.stop()
        assert 0.5 <= time.monotonic() - begin < 20
        assert operations.operations[name]["state"] == "released"


def test_a_second_sigterm_hurries(operations, tmp_path):
    name = operations.add()
    with Agent(operations, tmp_path, "echo x > begun; sleep 1000") as agent:
        wait_until((tmp_path / "begun").exists, "the command runs")
        agent.process.terminate()
        time.sleep(0.3)
        assert agent.process.poll() is None
        agent.stop()
        assert operations.operations[name]["state"] == "released"


def test_one_signal_for_all_makes_nothing_fail(operations, tmp_path):
    """As systemd sends it: to every process there is, and the agent is the last to get it."""
    name = operations.add()
    with Agent(operations, tmp_path, "echo $$ > begun; sleep 1000") as agent:
        pid = int(wait_until(lambda: (tmp_path / "begun").exists() and
                             (tmp_path / "begun").read_text(), "the command runs"))
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.1)
        agent.stop()
        assert operations.operations[name]["state"] == "released"


def test_a_strangers_signal_is_a_failure(operations, tmp_path):
    name = operations.add()
    with Agent(operations, tmp_path, "kill -TERM $$"):
        assert operations.wait(name, "failed")["detail"] == "it was killed by SIGTERM"


def test_idle_it_stops_at_once(operations, tmp_path):
    with Agent(operations, tmp_path, "true") as agent:
        wait_until(lambda: operations.asked, "it asks")
        begin = time.monotonic()
        agent.stop()
        assert time.monotonic() - begin < 5
        assert len(operations.asked) == 1


def test_killed_it_takes_its_command_along(operations, tmp_path):
    operations.add()
    with Agent(operations, tmp_path, "trap '' TERM; echo $$ > pid; setsid sh -c 'echo $$ > other; "
               "sleep 1000' & sleep 1000") as agent:
        pids = [int(wait_until(lambda p=path: p.exists() and p.read_text(), "it runs"))
                for path in (tmp_path / "pid", tmp_path / "other")]
        agent.process.kill()
        wait_until(lambda: not any(map(is_alive, pids)), "they end")


@pytest.mark.parametrize("status, kind", [(401, "key-invalid"), (403, "forbidden"),
                                          (400, "invalid-body"), (404, "not-found")])
def test_who_may_not_claim_is_told(status, kind, operations, tmp_path):
    operations.fault = lambda handler, _: handler.answer(
        status, {"type": f"urn:trestle:problem:{kind}", "detail": "this is why"}) or True
    with Agent(operations, tmp_path, "true") as agent:
        assert "no work may be claimed: this is why" in agent.wait(1)


def test_a_server_that_cannot_wait_is_asked_every_second(operations, tmp_path):
    waits = []

    def refuse_to_wait(handler, path):
        waits.append("wait=" in handler.path)
        if waits[-1]:
            handler.answer(400, {"type": "urn:trestle:problem:unknown-parameter", "detail": "wait"})
        return waits[-1]

    operations.fault = refuse_to_wait
    with Agent(operations, tmp_path, "true") as agent:
        time.sleep(2.5)
        operations.wait(operations.add(), "succeeded")
        agent.stop()
    assert waits[:2] == [True, False] and sum(waits) == 1 and len(waits) < 15


def test_a_server_that_comes_later_is_waited_for(tmp_path):
    operations = Operations()
    port = operations.port
    operations.stop()
    with Agent(operations, tmp_path, "true") as agent:
        wait_until(lambda: "does not answer" in agent.log(), "it tells")
        operations.start(port)
        operations.wait(operations.add(), "succeeded")
        agent.stop()
    operations.stop()


def test_an_end_that_is_refused_is_told(operations, tmp_path):
    def full(handler, path):
        return path.endswith("finish") and (handler.answer(422, {"detail": "no such"}) or True)

    operations.fault = full
    operations.add()
    with Agent(operations, tmp_path, "true") as agent:
        wait_until(lambda: "its end could not be told: no such" in agent.log(), "it is told")
        agent.stop()


def test_wrong_uses_are_told(tmp_path):
    key = tmp_path / "key"
    key.write_text("a b\n", "utf-8")
    for words, said in [
            (["--", "true"], "--transition is missing"),
            (["--transition", "make", "--", "true"], "write RESOURCE.TRANSITION"),
            (["--transition", "a.b,.c", "--", "true"], "write RESOURCE.TRANSITION"),
            (["--transition", "a.b", "--concurrency", "0", "--", "true"], "--concurrency"),
            (["--transition", "a.b", "--lease", "1s", "--", "true"], "--lease"),
            (["--transition", "a.b", "--server", "ftp://x", "--", "true"], "--server"),
            (["--transition", "a.b", "--key-file", "none", "--", "true"], "--key-file: none: No such"),
            (["--transition", "a.b", "--key-file", "/dev/null", "--", "true"], "--key-file"),
            (["--transition", "a.b", "--key-file", "key", "--", "true"], "visible ASCII"),
            (["--transition", "a.b"], "an argument is missing")]:
        result = subprocess.run([PROGRAM, "agent", *words], cwd=tmp_path, capture_output=True,
                                check=False, timeout=PATIENCE)
        assert result.returncode == 2 and said in result.stderr.decode(), (words, result.stderr)


def test_on_a_terminal_it_draws_a_bar(operations, tmp_path):
    master, slave = os.openpty()
    shown = []
    name = operations.add()
    with subprocess.Popen(
            [PROGRAM, "agent", "--transition", "things.make", "--server", operations.url, "--key",
             "k", "--", "sh", "-c", "echo progress 30; sleep 0.6; echo progress 60; sleep 0.6"],
            cwd=tmp_path, stderr=slave, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(slave)
        reader = threading.Thread(target=_read_all, args=(master, shown))
        reader.start()
        operations.wait(name, "succeeded")
        process.terminate()
        assert process.wait(PATIENCE) == 0
        reader.join()
    os.close(master)
    text = b"".join(shown).decode()
    assert "\rmake of things/7  [" in text and "#.." in text and " 30%  0:" in text and " 60%  " in text
    assert "things/7: succeeded" in text


def _read_all(descriptor, pieces):
    try:
        while True:
            pieces.append(os.read(descriptor, 4096))
    except OSError:
        pass
