"""The server's own runner: commands of long transitions, in one process and in several."""

import contextlib
import os
import pathlib
import re
import signal
import time

import pytest

from commands import ENDS, Scripts, begin, is_alive, is_limited, read
from harness import PATIENCE, Server, wait_until


@pytest.fixture
def scripts(tmp_path):
    return Scripts(tmp_path)


@contextlib.contextmanager
def serving(scripts, **settings):
    with Server({"jobs": scripts.definition()}, settings={"runner": 4, **settings}) as server:
        yield server


def ended(client, operation, *states, patience=PATIENCE):
    def look():
        now = read(client, operation)
        return now["state"] in (states or ("succeeded", "failed", "cancelled")) and now
    return wait_until(look, f"{operation['id']} is {states or 'over'}", patience)


def pid_in(scripts, name="pid"):
    """The number that a script has noted, once it has."""
    return int(wait_until(lambda: scripts.text(name).strip(), "the command runs"))


def test_it_works(scripts):
    scripts.write("make", """
echo progress 40; printf %s "$record" > "$FOLDER/record"; sleep 0.6
echo detail nearly there; echo '{"result": "fine"}'
""")
    with serving(scripts) as server:
        begun = time.monotonic()
        job, operation = begin(server.admin, "make")
        ended(server.admin, operation, "running")
        assert time.monotonic() - begun < 5
        wait_until(lambda: read(server.admin, operation)["progress"] == 40, "progress is told")
        done = ended(server.admin, operation)
        assert (done["state"], done["progress"], done["detail"], done["attempts"]) == (
            "succeeded", 100, "nearly there", 1)
        assert re.fullmatch(rf".*:{server.process.pid}", done["worker"])
        now = server.admin.get(f"/jobs/{job['id']}").json()
        assert (now["status"], now["result"]) == ("Done", "fine")
        given = scripts.text("record")
        assert '"secret":"sesame"' in given and '"status":"New"' in given
        assert f"work of jobs/{job['id']}: started (operation {operation['id']}, attempt 1)" in (
            server.log_text())
        assert f"work of jobs/{job['id']}: succeeded" in server.log_text()


def test_a_command_gets_what_is_declared_and_nothing_else(scripts):
    scripts.write("show", """
env | grep -v -e ^_= -e ^SHLVL= -e ^record= | sort > "$FOLDER/env"
ls /proc/self/fd | tr '\\n' ' ' > "$FOLDER/descriptors"
""")
    with serving(scripts) as server:
        _, operation = begin(server.admin, "show")
        assert ended(server.admin, operation)["state"] == "succeeded"
        assert scripts.text("env").splitlines() == [
            "COLOUR=light blue", f"FOLDER={scripts.folder}", "HOME=/", "LANG=C.UTF-8",
            f"PATH={os.environ['PATH']}", f"PWD={server.folder}", "TRESTLE_ATTEMPT=1",
            f"TRESTLE_DATA={server.data}", f"TRESTLE_OPERATION={operation['id']}"]
        assert scripts.text("descriptors") == "0 1 2 3 "  # 3 is the listing's own


@pytest.mark.parametrize("name", ENDS)
def test_whatever_a_command_does_it_ends_clearly(name, scripts):
    script, state, detail = ENDS[name]
    scripts.write("do", script)
    with serving(scripts) as server:
        begun = time.monotonic()
        job, operation = begin(server.admin, "do", "short" if is_limited(name) else "work")
        done = ended(server.admin, operation, patience=120)
        assert done["state"] == state
        if detail:
            assert done["detail"].startswith(detail)
        if is_limited(name):
            assert 1 <= time.monotonic() - begun < 20
        now = server.admin.get(f"/jobs/{job['id']}").json()
        assert now["status"] == ("Done" if state == "succeeded" else "New")
        assert len(done["detail"] or "") <= 4096
        # Whatever it was, the record is free again.
        assert server.admin.patch(f"/jobs/{job['id']}", {"name": "x"}).status_code == 200


def test_a_result_that_does_not_fit_is_a_failure(scripts):
    scripts.write("misfit", "echo '{\"result\": \"much longer than it may be\", \"no\": 1}'")
    with serving(scripts) as server:
        _, operation = begin(server.admin, "misfit")
        done = ended(server.admin, operation)
        assert done["state"] == "failed" and "result" in done["detail"]


def test_failures_are_tried_again(scripts):
    scripts.write("third", """
echo x >> "$FOLDER/tries"; [ $(wc -l < "$FOLDER/tries") = 3 ] || exit $TRESTLE_ATTEMPT
""")
    with serving(scripts) as server:
        _, operation = begin(server.admin, "third", "retry")
        done = ended(server.admin, operation)
        assert (done["state"], done["attempts"], done["failures"]) == ("succeeded", 3, 2)


def test_a_cancelled_operation_ends(scripts):
    scripts.write("long", "echo $$ > \"$FOLDER/pid\"; setsid sleep 1000 & "
                  "while :; do sleep 0.1; done")
    with serving(scripts) as server:
        job, operation = begin(server.admin, "long")
        pid = pid_in(scripts)
        assert server.admin.post(f"/operations/{operation['id']}/cancel", data=b"").json()[
            "cancel_requested"]
        assert ended(server.admin, operation)["state"] == "cancelled"
        assert not is_alive(pid)
        assert server.admin.get(f"/jobs/{job['id']}").json()["status"] == "New"


def test_so_many_run_at_once(scripts):
    scripts.write("count", """
echo start >> "$FOLDER/log"; sleep 0.3; echo end >> "$FOLDER/log"
""")
    with serving(scripts, runner=3) as server:
        operations = [begin(server.admin, "count")[1] for _ in range(10)]
        for operation in operations:
            assert ended(server.admin, operation)["state"] == "succeeded"
    at_once = most = 0
    for line in scripts.text("log").splitlines():
        at_once += 1 if line == "start" else -1
        most = max(most, at_once)
    assert most == 3


def test_what_another_process_queues_is_found_soon(scripts):
    scripts.write("quick", "exit 0")
    with serving(scripts, runner=0) as front, front.beside(runner=2) as back:
        for _ in range(3):
            begun = time.monotonic()
            _, operation = begin(front.admin, "quick")
            done = ended(front.admin, operation)
            assert time.monotonic() - begun < 8
            assert done["worker"].endswith(f":{back.process.pid}")


def test_without_a_runner_nothing_is_claimed(scripts):
    scripts.write("quick", "exit 0")
    with serving(scripts, runner=0) as server:
        _, operation = begin(server.admin, "quick")
        time.sleep(1.5)
        assert read(server.admin, operation)["state"] == "queued"
        server.restart(runner=1)
        assert ended(server.admin, operation)["state"] == "succeeded"


def test_idle_it_costs_nothing(scripts):
    def used(server):
        fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1]
        return sum(map(int, fields.split()[11:13])) / os.sysconf("SC_CLK_TCK")

    with serving(scripts) as server:
        before = used(server)
        time.sleep(3)
        assert used(server) - before < 0.6


def test_sigterm_lets_commands_end(scripts):
    scripts.write("slow", "echo $$ > \"$FOLDER/pid\"; sleep 1.5; echo '{\"result\": \"late\"}'")
    with serving(scripts) as server:
        job, operation = begin(server.admin, "slow")
        pid_in(scripts)
        server.restart(runner=0)
        assert read(server.admin, operation)["state"] == "succeeded"
        assert server.admin.get(f"/jobs/{job['id']}").json()["result"] == "late"


@pytest.mark.parametrize("script", ["sleep 1000", "trap '' TERM; while :; do sleep 1; done"])
def test_sigterm_hands_back_what_does_not_end(script, scripts):
    scripts.write("long", f"echo $$ > \"$FOLDER/pid\"; [ $TRESTLE_ATTEMPT = 2 ] || {{ {script}; }}")
    with serving(scripts, shutdown_timeout="500ms") as server:
        _, operation = begin(server.admin, "long")
        pid = pid_in(scripts)
        begun = time.monotonic()
        server.stop()
        assert 0.5 <= time.monotonic() - begun < 30
        assert not is_alive(pid)
        server.start(runner=0)
        now = read(server.admin, operation)
        assert (now["state"], now["attempts"], now["failures"]) == ("queued", 1, 0)
        server.restart(runner=1)
        done = ended(server.admin, operation)
        assert (done["state"], done["attempts"], done["failures"]) == ("succeeded", 2, 0)


def test_one_signal_for_all_makes_nothing_fail(scripts):
    """As systemd sends it: to every process there is, and the server is the last to get it."""
    scripts.write("long", "echo $$ > \"$FOLDER/pid\"; sleep 1000")
    with serving(scripts) as server:
        _, operation = begin(server.admin, "long")
        os.kill(pid_in(scripts), signal.SIGTERM)
        time.sleep(0.05)
        server.restart(runner=0)
        now = read(server.admin, operation)
        assert (now["state"], now["failures"]) == ("queued", 0)


def test_sigkill_loses_nothing(scripts):
    scripts.write("long", """
echo $$ >> "$FOLDER/pids"; [ $TRESTLE_ATTEMPT = 2 ] && exit 0
trap '' TERM HUP; setsid sh -c 'echo $$ >> "$FOLDER/pids"; sleep 1000' & sleep 1000
""")
    with serving(scripts, runner_lease="3s") as server, server.beside(runner=1) as other:
        server.restart(runner=1)
        other.stop()
        _, operation = begin(server.admin, "long")
        wait_until(lambda: len(scripts.text("pids").split()) == 2, "it runs")
        pids = list(map(int, scripts.text("pids").split()))
        server.kill()
        wait_until(lambda: not any(map(is_alive, pids)), "its commands end")
        other.start()
        done = ended(other.admin, operation)
        assert (done["state"], done["attempts"], done["failures"]) == ("succeeded", 2, 0)
        server.start()


def test_a_database_that_is_away_is_outlasted(scripts):
    """Nobody can write for longer than a beat's answer is waited for, and less than the lease."""
    scripts.write("slow", "echo $$ > \"$FOLDER/pid\"; sleep 4; echo '{\"result\": \"ok\"}'")
    with serving(scripts, query_timeout="500ms", lock_timeout="300ms") as server:
        job, operation = begin(server.admin, "slow")
        pid_in(scripts)
        with server.store.connect(server.folder) as connection:
            server.store.hold(connection, "trestle_operations")
            time.sleep(5)
            connection.execute("ROLLBACK")
        done = ended(server.admin, operation)
        assert (done["state"], done["attempts"]) == ("succeeded", 1)
        assert server.admin.get(f"/jobs/{job['id']}").json()["result"] == "ok"


def test_definitions_may_change_meanwhile(scripts):
    scripts.write("slow", "echo $$ > \"$FOLDER/pid\"; sleep 1; echo '{\"result\": \"ok\"}'")
    scripts.write("quick", "exit 0")
    with serving(scripts) as server:
        _, operation = begin(server.admin, "slow")
        pid_in(scripts)
        server.define("jobs", scripts.definition().replace("light blue", "green"))
        server.define("tasks", "access: {read: public, write: public}\n"
                      "properties: {text: {type: string}}\n"
                      "transitions:\n  go: {run: [sh, -c, 'echo detail $COLOUR']}\n")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.admin.get("/tasks").status_code == 200, "it reads them")
        assert ended(server.admin, operation)["state"] == "succeeded"
        task = server.admin.create("/tasks", {"text": "x"})
        other = server.admin.post(f"/tasks/{task['id']}/go", data=b"").json()
        assert ended(server.admin, other)["state"] == "succeeded"


def test_processes_share_the_work_and_never_overlap(scripts):
    scripts.write("lock", """
mkdir "$FOLDER/lock-$TRESTLE_OPERATION" || { echo overlap >> "$FOLDER/overlaps"; exit 1; }
echo $TRESTLE_OPERATION >> "$FOLDER/done"; sleep 0.1
rmdir "$FOLDER/lock-$TRESTLE_OPERATION"
""")
    with serving(scripts, runner=3) as first, first.beside() as second, first.beside() as third:
        servers = [first, second, third]
        operations = [begin(servers[i % 3].admin, "lock")[1] for i in range(30)]
        ends = [ended(first.admin, operation) for operation in operations]
        assert {end["state"] for end in ends} == {"succeeded"}
        assert len({end["worker"] for end in ends}) > 1
    assert scripts.text("overlaps") == ""
    assert sorted(scripts.text("done").split()) == sorted(operation["id"] for operation in operations)
