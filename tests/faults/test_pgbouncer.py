"""Behind a pgbouncer that pools transactions, so that each may come to another connection of the
database: the core of the API, and pgbouncer's restart under load."""

import concurrent.futures
import time

import pytest

from clusters import Bouncer
from harness import Server, problem
from ledger import DEFINITIONS, Ledger

RETURN = 2.0  # seconds after the restart, from when everything must be served


@pytest.fixture(name="bouncer")
def _bouncer(cluster):
    cluster.clear()
    with Bouncer(cluster) as bouncer:
        yield bouncer


def settings(bouncer):
    return {"database": bouncer.url, "prepare": "off"}


def test_the_core_of_the_api(bouncer):
    with Server(DEFINITIONS, settings=settings(bouncer)) as server:
        client = server.public
        labels = [client.create("/labels", {"name": f"label {number:02}"}) for number in range(25)]
        problem(client.post("/labels", {"name": "label 07"}), 409)
        changed = client.patch(f"/labels/{labels[3]['id']}", {"name": "changed"})
        assert changed.status_code == 200 and changed.json()["name"] == "changed"
        problem(client.patch(f"/labels/{labels[4]['id']}", {"name": "label 05"}), 409)
        assert client.delete(f"/labels/{labels[5]['id']}").status_code == 204
        problem(client.get(f"/labels/{labels[5]['id']}"), 404)

        pages = list(client.walk("/labels", sort="name", limit=7))
        names = [record["name"] for page in pages for record in page]
        assert len(pages) == 4
        assert names == sorted({label["name"] for label in labels} - {"label 03", "label 05"}
                               | {"changed"})

        assert client.post("/messages", {"message": "once"}).status_code == 201
        assert client.post("/messages", {"message": "once"}).status_code == 200
    assert bouncer.cluster.rows("SELECT count(*) FROM labels") == [(24,)]
    assert bouncer.cluster.rows("SELECT count(*) FROM messages") == [(1,)]


def test_twenty_clients_on_four_connections(bouncer):
    with Server(DEFINITIONS, settings=settings(bouncer)) as server:
        ledger = Ledger(server, clients=20)
        with ledger:
            time.sleep(5)
        print(ledger.summary())
        assert not ledger.refusals(0, time.monotonic()), ledger.summary()
        ledger.check_database(bouncer.cluster)


def test_one_name_for_many(bouncer):
    """Clients that want the same name at the same time: one gets it."""
    with Server(DEFINITIONS, settings=settings(bouncer)) as server:
        def create(number):
            return server.public.post("/labels", {"name": f"name {number // 20}"}).status_code
        with concurrent.futures.ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(create, range(400)))
        assert sorted(answers) == [201] * 20 + [409] * 380
    assert bouncer.cluster.rows("SELECT count(*) FROM labels") == [(20,)]


@pytest.mark.parametrize("what", ["pgbouncer", "PostgreSQL"])
def test_restarted_under_load(bouncer, what):
    with Server(DEFINITIONS, settings=settings(bouncer)) as server:
        ledger = Ledger(server, clients=20)
        with ledger:
            for number in range(6):
                time.sleep(0.7)
                since = time.monotonic()
                if what == "pgbouncer":
                    bouncer.restart(kill=number % 2 == 1, away=[0, 0, 1][number // 2])
                else:
                    [bouncer.cluster.quit, bouncer.cluster.crash_all][number % 2]()
                    bouncer.cluster.resume()
                back = time.monotonic()
                time.sleep(RETURN + 0.5)
                assert not ledger.surprises, ledger.surprises[:5]
                late = ledger.refusals(back + RETURN, time.monotonic())
                assert not late, [(event.started - back, event) for event in late[:5]]
                print(f"round {number + 1}: {back - since:.2f} s away, "
                      f"{len(ledger.refusals(since, back + RETURN))} refused")
                ledger.check_database(bouncer.cluster)
        print(ledger.summary())
        ledger.check_database(bouncer.cluster)
