"""`trestle agent` and a server: operations that only agents do."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from commands import ENDS, Scripts, begin, is_alive, is_limited, read
from harness import HOST, PATIENCE, PROGRAM, Server, _die_with_parent, assert_no_report, wait_until
from test_runner import ended, pid_in


class Agent:
    """A running agent for all transitions of jobs; its commands are the scripts."""

    def __init__(self, server, scripts, *options, url=None, key=None, transitions=None):
        made = key or server.admin.create("/keys", {"name": "agent", "scopes": ["jobs:run"]})["secret"]
        self.log_path = scripts.path(f"agent-{time.monotonic_ns()}.log")
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("TRESTLE")}
        (scripts.folder / "key").write_text(made + "\n", "utf-8")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "agent", "--transition", transitions or "jobs.work, jobs.short,jobs.retry",
                 "--server", url or server.url(), "--key-file", "key", *options, "--",
                 *scripts.command()],
                cwd=scripts.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, preexec_fn=_die_with_parent)

    def log(self):
        return self.log_path.read_text("utf-8")

    def stop(self, status=0):
        self.process.terminate()
        assert self.process.wait(PATIENCE) == status, self.log()
        assert_no_report(self.log())
        return self.log()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(f"--- the agent ---\n{self.log()}")
        if self.process.poll() is None:
            self.kill()


@pytest.fixture
def scripts(tmp_path):
    return Scripts(tmp_path)


@pytest.fixture
def server(scripts):
    with Server({"jobs": scripts.definition(agent=True)}) as running:
        yield running


def test_it_works(server, scripts):
    scripts.write("make", """
echo progress 40; printf %s "$record" > "$FOLDER/record"; sleep 0.6
echo detail "$COLOUR"; echo '{"result": "fine"}'
""")
    with Agent(server, scripts) as agent:
        job, operation = begin(server.admin, "make")
        wait_until(lambda: read(server.admin, operation)["progress"] == 40, "progress is told")
        done = ended(server.admin, operation)
        assert (done["state"], done["progress"], done["detail"], done["attempts"]) == (
            "succeeded", 100, "light blue", 1)
        assert done["worker"] == f"{socket.gethostname()}:{agent.process.pid}"
        now = server.admin.get(f"/jobs/{job['id']}").json()
        assert (now["status"], now["result"]) == ("Done", "fine")
        assert '"secret":"sesame"' in scripts.text("record")
        said = agent.stop()
    assert f"work of jobs/{job['id']}: started (operation {operation['id']}, attempt 1)" in said


@pytest.mark.parametrize("name", ENDS)
def test_whatever_a_command_does_it_ends_clearly(name, server, scripts):
    script, state, detail = ENDS[name]
    scripts.write("do", script)
    with Agent(server, scripts):
        job, operation = begin(server.admin, "do", "short" if is_limited(name) else "work")
        done = ended(server.admin, operation, patience=120)
        assert done["state"] == state
        if detail:
            assert done["detail"].startswith(detail)
        now = server.admin.get(f"/jobs/{job['id']}").json()
        assert now["status"] == ("Done" if state == "succeeded" else "New")


def test_it_may_not_without_the_scope(server, scripts):
    key = server.admin.create("/keys", {"name": "x", "scopes": ["jobs:read", "jobs:work"]})["secret"]
    with Agent(server, scripts, key=key) as agent:
        assert agent.process.wait(PATIENCE) == 1
        assert "no work may be claimed" in agent.log()
    with Agent(server, scripts, transitions="jobs.none") as agent:
        assert agent.process.wait(PATIENCE) == 1
        assert "no work may be claimed: /transitions/0" in agent.log()


def test_failures_are_tried_again(server, scripts):
    scripts.write("third", """
echo x >> "$FOLDER/tries"; [ $(wc -l < "$FOLDER/tries") = 3 ] || exit $TRESTLE_ATTEMPT
""")
    with Agent(server, scripts):
        _, operation = begin(server.admin, "third", "retry")
        done = ended(server.admin, operation)
        assert (done["state"], done["attempts"], done["failures"]) == ("succeeded", 3, 2)


def test_a_cancelled_operation_ends(server, scripts):
    scripts.write("long", "echo $$ > \"$FOLDER/pid\"; setsid sleep 1000 & "
                  "while :; do sleep 0.1; done")
    with Agent(server, scripts):
        _, operation = begin(server.admin, "long")
        pid = pid_in(scripts)
        assert server.admin.post(f"/operations/{operation['id']}/cancel", data=b"").status_code == 200
        assert ended(server.admin, operation)["state"] == "cancelled"
        assert not is_alive(pid)


def test_it_outlasts_restarts_of_the_server(server, scripts):
    scripts.write("slow", "echo x >> \"$FOLDER/begun\"; sleep 4; echo '{\"result\": \"ok\"}'")
    with Agent(server, scripts) as agent:
        job, operation = begin(server.admin, "slow")
        wait_until(lambda: scripts.text("begun"), "it runs")
        port = server.port
        server.kill()
        time.sleep(1)
        server.spawn(listen=f"{HOST}:{port}")
        server.port = port
        wait_until(lambda: server.process.poll() is None and "serving" in server.log_text(), "it is back")
        done = ended(_patient(server), operation)
        assert (done["state"], done["attempts"]) == ("succeeded", 1)
        # And it goes on claiming.
        _, other = begin(server.admin, "slow")
        assert ended(server.admin, other)["state"] == "succeeded"
        agent.stop()
    assert server.admin.get(f"/jobs/{job['id']}").json()["result"] == "ok"
    assert scripts.text("begun") == "x\n" * 2


def _patient(server):
    """A client once the server is ready."""
    def ready():
        with contextlib.suppress(OSError):
            return server.client().get("/readyz").status_code == 200
        return False
    wait_until(ready, "the server is ready")
    return server.admin


class Wire:
    """A way to a server that can be cut."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server((HOST, 0))
        self.url = f"http://{HOST}:{self.listener.getsockname()[1]}"
        self.is_cut = False
        self.pairs = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                ours, _ = self.listener.accept()
                theirs = socket.create_connection((HOST, self.target))
            except OSError:
                return
            self.pairs.append((ours, theirs))
            for source, target in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.is_cut:  # what is on its way is held, as by a cable that is out
                    time.sleep(0.05)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self):
        self.is_cut = False
        self.listener.close()
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()


def test_it_outlasts_a_network_that_is_away(server, scripts):
    scripts.write("slow", "echo x >> \"$FOLDER/begun\"; sleep 5; echo '{\"result\": \"ok\"}'")
    wire = Wire(server.port)
    with Agent(server, scripts, "--lease", "20s", url=wire.url):
        _, operation = begin(server.admin, "slow")
        wait_until(lambda: scripts.text("begun"), "it runs")
        wire.is_cut = True
        time.sleep(7)
        assert read(server.admin, operation)["state"] == "running"
        wire.is_cut = False
        done = ended(server.admin, operation)
        assert (done["state"], done["attempts"]) == ("succeeded", 1)
    wire.close()
    assert scripts.text("begun") == "x\n"


def test_a_network_that_stays_away_ends_the_command_before_its_lease(server, scripts):
    """Somebody else begins when the lease is over, and the two never overlap."""
    scripts.write("long", """
mkdir "$FOLDER/lock" || echo overlap >> "$FOLDER/overlaps"
[ $TRESTLE_ATTEMPT = 1 ] && trap '' TERM
end=$(($(date +%s) + 30))
while [ $TRESTLE_ATTEMPT = 1 ] && [ $(date +%s) -lt $end ]; do
    echo $$ > "$FOLDER/pid"; date +%s%N > "$FOLDER/now"; mv "$FOLDER/now" "$FOLDER/alive"; sleep 0.02
done
date +%s%N > "$FOLDER/second"
""")
    wire = Wire(server.port)
    with Agent(server, scripts, "--lease", "5s", url=wire.url):
        _, operation = begin(server.admin, "long")
        pid_in(scripts)
        wire.is_cut = True
        with Agent(server, scripts, "--lease", "5s"):
            done = ended(server.admin, operation)
        assert (done["state"], done["attempts"]) == ("succeeded", 2)
        assert int(scripts.text("alive")) < int(scripts.text("second"))
    wire.close()


def test_killed_it_loses_nothing(server, scripts):
    scripts.write("long", """
echo $$ >> "$FOLDER/pids"; [ $TRESTLE_ATTEMPT = 2 ] && exit 0
trap '' TERM HUP; setsid sh -c 'echo $$ >> "$FOLDER/pids"; sleep 1000' & sleep 1000
""")
    with Agent(server, scripts, "--lease", "5s") as agent:
        _, operation = begin(server.admin, "long")
        wait_until(lambda: len(scripts.text("pids").split()) == 2, "it runs")
        pids = list(map(int, scripts.text("pids").split()))
        agent.kill()
        wait_until(lambda: not any(map(is_alive, pids)), "its commands end")
        with Agent(server, scripts):
            done = ended(server.admin, operation)
        assert (done["state"], done["attempts"], done["failures"]) == ("succeeded", 2, 0)


def test_sigterm_lets_commands_end(server, scripts):
    scripts.write("slow", "echo $$ > \"$FOLDER/pid\"; sleep 1.5")
    with Agent(server, scripts) as agent:
        _, operation = begin(server.admin, "slow")
        pid_in(scripts)
        agent.stop()
        assert read(server.admin, operation)["state"] == "succeeded"


def test_sigterm_hands_back_what_does_not_end(server, scripts):
    scripts.write("long", "echo $$ > \"$FOLDER/pid\"; [ $TRESTLE_ATTEMPT = 2 ] || sleep 1000")
    with Agent(server, scripts, "--grace", "300ms") as agent:
        _, operation = begin(server.admin, "long")
        pid = pid_in(scripts)
        agent.stop()
        assert not is_alive(pid)
    now = read(server.admin, operation)
    assert (now["state"], now["attempts"], now["failures"]) == ("queued", 1, 0)
    with Agent(server, scripts):
        assert ended(server.admin, operation)["state"] == "succeeded"


def test_agents_never_overlap(server, scripts):
    """Their commands prove it, with what they leave in the background, too."""
    scripts.write("lock", """
mkdir "$FOLDER/lock-$TRESTLE_OPERATION" || { echo overlap >> "$FOLDER/overlaps"; exit 1; }
(setsid sh -c 'exec 9> "$FOLDER/held-$TRESTLE_OPERATION"; flock -n 9 || \\
    echo overlap >> "$FOLDER/overlaps"; sleep 1000' &)
sleep 0.2
rmdir "$FOLDER/lock-$TRESTLE_OPERATION"
echo $TRESTLE_OPERATION >> "$FOLDER/done"
""")
    with Agent(server, scripts, "--concurrency", "4") as first, \
            Agent(server, scripts, "--concurrency", "4") as second:
        operations = [begin(server.admin, "lock")[1] for _ in range(40)]
        ends = [ended(server.admin, operation) for operation in operations]
        assert {end["state"] for end in ends} == {"succeeded"}, ends
        assert {end["worker"].rpartition(":")[2] for end in ends} == {
            str(first.process.pid), str(second.process.pid)}
    assert scripts.text("overlaps") == ""
    assert sorted(scripts.text("done").split()) == sorted(operation["id"] for operation in operations)


def test_who_was_stopped_for_long_is_overtaken(server, scripts):
    """A machine that stands still: when it goes on, its command is dead before it does anything."""
    scripts.write("long", """
[ $TRESTLE_ATTEMPT = 1 ] || exit 0
echo $$ > "$FOLDER/pid"; while :; do sleep 0.1; done
""")
    with Agent(server, scripts, "--lease", "5s") as agent:
        _, operation = begin(server.admin, "long")
        pid = pid_in(scripts)
        agent.process.send_signal(signal.SIGSTOP)
        with Agent(server, scripts):
            assert ended(server.admin, operation)["attempts"] == 2
            assert not is_alive(pid)
        agent.process.send_signal(signal.SIGCONT)
        wait_until(lambda: "it is no longer ours" in agent.log(), "it hears of it")
        agent.stop()
