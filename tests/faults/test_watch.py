"""What one process changes of what the others keep in memory, while the database and the network come
and go: measured on the program as it is shipped."""

import contextlib
import hashlib
import statistics
import time

import pytest

from clusters import Proxy
from harness import Server, wait_until

SOON = 0.5  # seconds
BACK = 2.0  # seconds after the database's return

NOTES = {"notes": "access: {read: key}\nproperties: {text: {type: string}}\n"}


@contextlib.contextmanager
def processes(cluster, urls, **settings):
    cluster.clear()
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Server(NOTES, settings={"database": url, **settings}))
               for url in urls]


def set_key(cluster, number):
    """As a process that starts with it does."""
    key = f"the-key-with-number-{number}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    with cluster.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            f"BEGIN; UPDATE trestle_meta SET value = '{digest}' WHERE name = 'admin_key_sha256'; "
            "UPDATE trestle_meta SET value = value::bigint + 1 WHERE name = 'cache_version'; "
            "NOTIFY trestle; COMMIT")
    return key


def seconds_until_taken(servers, key):
    since = time.monotonic()
    for server in servers:
        client = server.client(key, checked=False)
        wait_until(lambda: client.get("/notes").status_code == 200, "the key is taken")
        client.close()
    return time.monotonic() - since


@pytest.mark.parametrize("listen, median", [("off", 0.3), ("on", 0.06)])
def test_how_soon(cluster, listen, median):
    with processes(cluster, [cluster.url] * 3, database_listen=listen) as servers:
        took = []
        for number in range(30):
            time.sleep(0.07 + number % 5 * 0.05)
            took.append(seconds_until_taken(servers, set_key(cluster, number)))
        print(f"median {statistics.median(took):.3f} s, most {max(took):.3f} s")
        assert sorted(took)[-2] < SOON, took  # but one, which the machine may have kept waiting
        assert statistics.median(took) < median, took


@pytest.mark.parametrize("listen", ["off", "on"])
@pytest.mark.parametrize("way", ["quit", "crash", "crash_all"])
def test_the_database_comes_and_goes(cluster, way, listen):
    with processes(cluster, [cluster.url] * 2, database_listen=listen) as servers:
        for number in range(3):
            getattr(cluster, way)()
            time.sleep(number)
            cluster.resume()
            back = time.monotonic()
            key = set_key(cluster, number)
            seconds_until_taken(servers, key)
            print(f"{time.monotonic() - back:.3f} s after its return")
            assert time.monotonic() - back < BACK


@pytest.mark.parametrize("listen", ["off", "on"])
def test_the_network_falls_silent(cluster, listen):
    """Connections that say nothing any more are given up, and the change is seen on others."""
    proxy = Proxy(cluster.port)
    with contextlib.closing(proxy):
        urls = [cluster.url, proxy.url(cluster)]
        with processes(cluster, urls, database_listen=listen, query_timeout="1s") as servers:
            for number, silence in enumerate([0.5, 3, 8]):
                proxy.mode = "silent"
                key = set_key(cluster, number)
                assert seconds_until_taken(servers[:1], key) < 2 * SOON
                time.sleep(silence)
                proxy.mode = "pass"
                back = time.monotonic()
                seconds_until_taken(servers, key)
                print(f"{time.monotonic() - back:.3f} s after {silence} s of silence")
                assert time.monotonic() - back < BACK + 1
