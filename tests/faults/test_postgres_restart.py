"""PostgreSQL stops, comes back and is killed under load, and the network between fails: nothing
acknowledged is lost, nothing is done twice, and trestle serves again at once."""

import contextlib
import os
import pathlib
import random
import time

import pytest

from clusters import Proxy
from harness import Closed, Server, wait_until
from ledger import DEFINITIONS, Ledger

ROUNDS = int(os.environ.get("POSTGRES_ROUNDS", "100"))
RETURN = 2.0  # seconds after the database's return, from when everything must be served

WAYS = {
    "stopped": lambda cluster: cluster.quit(),
    "killed": lambda cluster: cluster.crash(),
    "killed, all processes": lambda cluster: cluster.crash_all(),
    "one process killed": lambda cluster: cluster.crash_client(),
}


def end_and_resume(cluster, way, away):
    """Ends the server, leaves it so for some time, and starts it."""
    WAYS[way](cluster)
    time.sleep(away)
    if way == "one process killed":
        wait_until(cluster.answers, "PostgreSQL has recovered")
    else:
        cluster.resume()


def run_round(ledger, what, *arguments):
    """Lets something happen under load; how long it took, and what was refused meanwhile."""
    time.sleep(0.5)
    since = time.monotonic()
    what(*arguments)
    back = time.monotonic()
    time.sleep(RETURN + 0.5)
    assert not ledger.surprises, ledger.surprises[:5]
    late = ledger.refusals(back + RETURN, time.monotonic())
    assert not late, [(event.started - back, event) for event in late[:5]]
    return back - since, ledger.refusals(since, back)


def test_ended_and_started_under_load(cluster):
    cluster.clear()
    with Server(DEFINITIONS, settings={"database": cluster.url}) as server:
        ledger = Ledger(server)
        with ledger:
            for number in range(ROUNDS):
                way = list(WAYS)[number % len(WAYS)]
                away = [0, 0, 0.2, 1][number // len(WAYS) % 4]
                seconds, refused = run_round(ledger, end_and_resume, cluster, way, away)
                print(f"round {number + 1}, {way}: {seconds:.2f} s away, {len(refused)} refused")
                assert refused or seconds < 0.5
                if number % 5 == 4:
                    ledger.check_database(cluster)
        print(ledger.summary())
        ledger.check_database(cluster)
        assert server.public.get("/readyz").status_code == 200


# What the network does. (A wait for something that may never happen is bounded.)

def cut_somewhere(proxy, choice):
    """All connections are cut, in the middle of whatever it is."""
    proxy.cut_after = choice.randrange(1, 30000)
    with contextlib.suppress(AssertionError):
        wait_until(lambda: proxy.cut_after is None, "the cut", 3)


def cut_one(proxy, choice):
    """One connection is cut, also in the middle."""
    proxy.cut_only_one = True
    cut_somewhere(proxy, choice)
    proxy.cut_only_one = False


def refuse(proxy, choice):
    proxy.mode = "refuse"
    proxy.cut()
    time.sleep(choice.random() * 2)
    proxy.mode = "pass"


def delay(proxy, choice):
    proxy.mode = "delay"
    time.sleep(2)
    proxy.mode = "pass"


def be_silent(proxy, choice):
    """Everything stops for a while, and then goes on."""
    proxy.mode = "silent"
    time.sleep(choice.choice([0.3, 2, 8]))
    proxy.mode = "pass"


def be_silent_and_cut(proxy, choice):
    """What was sent meanwhile never arrives."""
    proxy.mode = "silent"
    time.sleep(choice.choice([0.3, 2, 8]))
    proxy.cut()
    proxy.mode = "pass"


def lose_answers(proxy, choice):
    """What is asked is done, and nobody is told."""
    proxy.mode = "deaf"
    time.sleep(choice.choice([0.01, 0.03, 0.1]))
    proxy.mode = "pass"  # before the cut, which ends all whose answers have gaps
    proxy.cut()


TROUBLES = [cut_somewhere, cut_one, lose_answers, refuse, delay, be_silent, be_silent_and_cut]


@pytest.fixture
def proxy(cluster):
    made = Proxy(cluster.port)
    try:
        yield made
    finally:
        made.close()


def test_a_bad_network(cluster, proxy):
    cluster.clear()
    choice = random.Random(1)
    with Server(DEFINITIONS, settings={"database": proxy.url(cluster)}) as server:
        ledger = Ledger(server)
        with ledger:
            for number in range(max(ROUNDS * 7 // 10, len(TROUBLES))):
                trouble = TROUBLES[number % len(TROUBLES)]
                seconds, refused = run_round(ledger, trouble, proxy, choice)
                print(f"round {number + 1}, {trouble.__name__}: {seconds:.2f} s, "
                      f"{len(refused)} refused")
                if number % 5 == 4:
                    ledger.check_database(cluster)
        print(ledger.summary())
        ledger.check_database(cluster)


def resident_bytes(server):
    fields = pathlib.Path(f"/proc/{server.process.pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_is_bounded_while_the_database_is_silent(cluster, proxy):
    """Requests wait in a bounded queue; those beyond it are refused at once, for as long as it
    lasts."""
    cluster.clear()
    settings = {"database": proxy.url(cluster), "queue_limit": 200}
    body = b'{"message":"%04d' + b"x" * 900 + b'"}'
    head = b"POST /messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with Server(DEFINITIONS, settings=settings) as server, contextlib.ExitStack() as stack:
        assert server.public.post("/messages", {"message": "first"}).status_code == 201
        wires = [stack.enter_context(server.wire()) for _ in range(800)]
        proxy.mode = "silent"
        sizes = []
        for number in range(4):
            answers = {}
            for wire in wires:
                data = body % number
                wire.send(head + b"Content-Length: %d\r\n\r\n%b" % (len(data), data))
            for wire in wires:
                with contextlib.suppress(Closed):
                    answer = wire.receive()
                    assert answer.status == 503 and answer.field("Retry-After"), answer
                    slug = answer.json()["type"].rsplit(":", 1)[1]
                    answers[slug] = answers.get(slug, 0) + 1
            print(f"round {number + 1}: {answers}")
            assert sum(answers.values()) == len(wires)
            assert number > 0 or answers["queue-full"] >= 400
            sizes.append(resident_bytes(server))
        print([size >> 20 for size in sizes])
        assert sizes[-1] - sizes[0] < 8 << 20, sizes
        proxy.mode = "pass"
        wait_until(lambda: server.public.post(
            "/messages", {"message": "last"}).status_code in (200, 201), "it serves again", 3)
