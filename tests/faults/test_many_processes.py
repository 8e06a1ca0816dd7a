"""Ten processes on one database: what they answer together is what one could have answered."""

import collections
import contextlib
import json
import random
import threading
import time

import pytest

from harness import Server, wait_until
from linearize import IMPOSSIBLE, Operation, explain

PROCESSES = 10
CLIENTS = 20

DEFINITIONS = {
    "slots": """
key: code
access: {read: public, write: public}
properties:
  code:  {type: string, maxLength: 20}
  owner: {type: string, maxLength: 20}
  marks: {type: object, default: {}}
""",
    "seats": """
access: {read: public, write: public}
required: [place]
properties:
  place: {type: string, maxLength: 20}
unique: [[place]]
""",
    "tickets": """
access: {read: public, write: public}
required: [number, holder]
properties:
  number: {type: string, maxLength: 20}
  holder: {type: string, maxLength: 20}
unique: [[number], [holder]]
"""}


def start_all(cluster, definitions=None, count=PROCESSES):
    """Starts so many at once, and waits for all."""
    servers = [Server(definitions or DEFINITIONS, defaults=False, settings={
        "database": cluster.url, "workers": 2, "connections": 10, "log_access": "off"})
        for _ in range(count)]
    for server in servers:
        server.spawn()
    for server in servers:
        if not server._wait_ready():
            server._reap()
            assert "in use" in server.log_text(), server.log_text()
            server.start()
    return servers


def close_all(servers):
    for server in servers:
        server.close()


# Starting together, and beside a newer one. These come first, since they empty the cluster, and
# whoever still watched it would complain.

@pytest.mark.parametrize("round", range(5))
def test_ten_start_on_an_empty_database(cluster, round):
    """One makes the tables, the others find them; all share what must be shared."""
    cluster.clear()
    running = start_all(cluster)
    try:
        made = running[0].public.create("/seats", {"place": "a"})
        for server in running:
            assert server.public.get(f"/seats/{made['id']}").json() == made
        for number in range(5):
            running[number].public.create("/seats", {"place": f"b{number}"})
        page = running[1].public.get("/seats?limit=2")
        cursor = page.links["next"]["url"]
        for server in running[2:]:  # a cursor is signed with a key that all have
            following = server.public.get(cursor)
            assert following.status_code == 200 and len(following.json()) == 2, following.text
    finally:
        close_all(running)


def test_an_older_process_beside_a_newer_schema(cluster):
    cluster.clear()
    old = {"things": "access: {read: public, write: public}\n"
                     "properties: {name: {type: string, maxLength: 50}}\n"}
    new = {"things": "access: {read: public, write: public}\n"
                     "properties:\n  extra: {type: integer, default: 7}\n"
                     "  name: {type: string, maxLength: 50}\nindexes: [[name]]\n",
           "others": "properties: {name: {type: string}}\n"}
    older, = start_all(cluster, old, 1)
    stop = threading.Event()
    faults = []

    def work():
        client = older.client(key=None)
        for number in range(1_000_000):
            if stop.is_set():
                break
            made = client.post("/things", {"name": f"old {number}"})
            changed = client.patch(f"/things/{made.json().get('id')}", {"name": f"older {number}"})
            listed = client.get("/things?limit=3&sort=-id")
            if [made.status_code, changed.status_code, listed.status_code] != [201, 200, 200]:
                faults.append((made.text, changed.text, listed.text))
        client.close()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.3)
        newer, = start_all(cluster, new, 1)
        try:
            made = newer.public.create("/things", {"name": "new"})
            assert made["extra"] == 7
            assert older.public.get(f"/things/{made['id']}").json() == {"id": made["id"],
                                                                       "name": "new"}
            assert older.public.patch(f"/things/{made['id']}", {"name": "x"}).status_code == 200
            assert newer.public.get(f"/things/{made['id']}").json() == {**made, "name": "x"}
            wait_until(lambda: newer.public.get("/things?filter=name%20=%20'x'").json(), "x", 5)
            time.sleep(0.3)
        finally:
            newer.close()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        older.close()
    assert not faults, faults[:2]


# All on one database, which stay

@pytest.fixture(scope="module")
def servers(cluster):
    cluster.clear()
    running = start_all(cluster)
    yield running
    errors = [line for server in running for line in server.log_text().splitlines()
              if " error " in line[:40]]
    close_all(running)
    assert not errors, errors[:3]


class Clients:
    """Threads that send requests to all processes at once and keep the history."""

    def __init__(self, servers, work, seconds):
        self.servers = servers
        self.work = work
        self.ends = time.monotonic() + seconds
        self.history = collections.defaultdict(list)
        self.surprises = []
        self.contended = 0
        self.lock = threading.Lock()
        threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.surprises, self.surprises[:5]

    def _run(self, number):
        choice = random.Random(number)
        client = self.servers[number % len(self.servers)].client(key=None)
        try:
            while time.monotonic() < self.ends:
                self.work(self, client, choice)
        except Exception as error:  # a thread's error must fail the test
            self.surprises.append(repr(error))
        client.close()

    def send(self, client, part, request, method, path, body=None):
        """Sends a request and notes it as a part of the history; the answer."""
        started = time.monotonic()
        response = client.request(method, path) if body is None else getattr(
            client, method.lower())(path, body)
        ended = time.monotonic()
        value = response.json() if response.content else None
        if response.status_code >= 500:
            raise AssertionError(f"{request}: {response.status_code} {response.text}")
        if response.status_code == 409 and value["type"].endswith("contention"):
            self.contended += 1  # nothing happened, at whatever moment
            return response
        looks = method == "GET" or response.status_code >= 400
        with self.lock:
            self.history[part].append(
                Operation(started, ended, request, (response.status_code, value), looks))
        return response


def operation(started, ended, request, status, value=None):
    return Operation(started, ended, request, (status, value),
                     request[0] == "GET" or status >= 400)


def slot(owner, *marks):
    return {"owner": owner, "marks": dict.fromkeys(marks, 1)}


@pytest.mark.parametrize("possible, history", [
    (True, [operation(0, 9, ("PATCH", None, "b"), 200, slot("x", "a", "b")),
            operation(1, 2, ("PUT", "x", "a"), 201, slot("x", "a")),
            operation(3, 4, ("GET", None, None), 200, slot("x", "a"))]),
    # One that was answered is not there for who asks later.
    (False, [operation(1, 2, ("PUT", "x", "a"), 201, slot("x", "a")),
             operation(3, 4, ("GET", None, None), 404)]),
    # Both changed what they had read, and one change is lost.
    (False, [operation(1, 2, ("PUT", "x", "a"), 201, slot("x", "a")),
             operation(3, 6, ("PATCH", None, "b"), 200, slot("x", "a", "b")),
             operation(4, 6, ("PATCH", None, "c"), 200, slot("x", "a", "c"))]),
    # One got what another one already had.
    (False, [operation(1, 3, ("POST", "x", "a"), 201, slot("x", "a")),
             operation(1, 3, ("POST", "y", "b"), 201, slot("y", "b"))]),
    # One sees it, and then another one does not yet.
    (False, [operation(1, 9, ("PUT", "x", "a"), 201, slot("x", "a")),
             operation(2, 3, ("GET", None, None), 200, slot("x", "a")),
             operation(4, 5, ("GET", None, None), 404)]),
    # It is there again after it was deleted.
    (False, [operation(1, 2, ("PUT", "x", "a"), 201, slot("x", "a")),
             operation(3, 4, ("DELETE", None, None), 204),
             operation(5, 6, ("GET", None, None), 200, slot("x", "a"))]),
])
def test_the_checker_knows_what_cannot_be(possible, history):
    assert (explain(history, None, step_slot) is None) == possible


# Rows that everybody wants. A slot is None or (owner, its marks).

def step_slot(state, request, answer):
    method, owner, mark = request
    status, value = answer
    shown = (value["owner"], frozenset(value["marks"])) if status in (200, 201) else None
    if method == "GET":
        after, expected = state, 404 if state is None else 200
    elif method == "PUT":
        after, expected = (owner, frozenset([mark])), 201 if state is None else 200
    elif method == "POST":
        after, expected = (state, 409) if state else ((owner, frozenset([mark])), 201)
    elif method == "PATCH":
        after, expected = (state, 404) if state is None else ((state[0], state[1] | {mark}), 200)
    else:
        after, expected = None, 404 if state is None else 204  # DELETE
    if status != expected or shown is not None and shown != after:
        return IMPOSSIBLE
    return after


def use_slots(clients, client, choice):
    code = f"c{choice.randrange(3)}"
    mark = f"m{threading.get_ident() % 100000}x{time.monotonic_ns()}"
    owner = mark[-12:]
    method = choice.choices(["PATCH", "GET", "PUT", "POST", "DELETE"], [50, 20, 3, 7, 5])[0]
    body = {"owner": owner, "marks": {mark: 1}} if method != "PATCH" else {"marks": {mark: 1}}
    path = f"/slots/{code}"
    if method in ("GET", "DELETE"):
        body = None
    if method == "POST":
        body["code"] = code
        path = "/slots"
    clients.send(client, code, (method, owner, mark), method, path, body)


@pytest.mark.parametrize("round", range(8))
def test_hot_rows(servers, cluster, round):
    with cluster.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM slots")
    clients = Clients(servers, use_slots, 2)
    total = sum(len(part) for part in clients.history.values())
    print(f"{total} requests, {clients.contended} gave up")
    assert total > 100 and clients.contended < total / 4
    for code, part in clients.history.items():
        fault = explain(part, None, step_slot)
        assert fault is None, f"{code}: {fault}"
        check_last_state(cluster, code, part)


def check_last_state(cluster, code, part):
    """What is stored is what all these requests can have left."""
    now = time.monotonic()
    rows = cluster.rows(f"SELECT owner, marks, _version FROM slots WHERE code = '{code}'")
    answer = (200, {"owner": rows[0][0], "marks": rows[0][1]}) if rows else (404, None)
    stored = Operation(now, now, ("GET", None, None), answer, True)
    fault = explain([*part, stored], None, step_slot)
    assert fault is None, f"{code} as stored: {fault}"


# Values of which there can be one. The state is who sits where: pairs (id, place).

def step_seats(state, request, answer):
    method, key, place = request
    status, value = answer
    seated = dict(state)
    taken = place in seated.values()
    if method == "POST":
        if taken:
            return state if status == 409 else IMPOSSIBLE
        fits = status == 201 and value["id"] not in seated
        return state | {(value["id"], place)} if fits else IMPOSSIBLE
    if method == "LIST":
        found = [(record["id"], record["place"]) for record in value]
        return state if status == 200 and found == [each for each in state
                                                    if each[1] == place] else IMPOSSIBLE
    if key not in seated:
        return state if status == 404 else IMPOSSIBLE
    left = state - {(key, seated[key])}
    if method == "DELETE":
        return left if status == 204 else IMPOSSIBLE
    if taken and seated[key] != place:
        return state if status == 409 else IMPOSSIBLE
    fits = status == 200 and value == {"id": key, "place": place}
    return left | {(key, place)} if fits else IMPOSSIBLE


def use_seats(clients, client, choice):
    """Three places, and moves between them."""
    keys = clients.__dict__.setdefault("keys", collections.deque([1], maxlen=6))
    place = f"p{choice.randrange(3)}"
    method = choice.choices(["POST", "PATCH", "DELETE", "LIST"], [40, 25, 25, 10])[0]
    key = choice.choice(list(keys))
    if method == "POST":
        response = clients.send(client, "all", (method, None, place), "POST", "/seats",
                                {"place": place})
        if response.status_code == 201:
            keys.append(response.json()["id"])
    elif method == "LIST":
        clients.send(client, "all", (method, None, place), "GET", f"/seats?place={place}")
    elif method == "PATCH":
        clients.send(client, "all", (method, key, place), "PATCH", f"/seats/{key}",
                     {"place": place})
    else:
        clients.send(client, "all", (method, key, place), "DELETE", f"/seats/{key}")


@pytest.mark.parametrize("round", range(8))
def test_unique_values(servers, cluster, round):
    with cluster.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM seats")
    clients = Clients(servers, use_seats, 2)
    history = clients.history["all"]
    counts = collections.Counter((each.request[0], each.answer[0]) for each in history)
    print(dict(counts), clients.contended)
    assert len(history) > 100 and counts["POST", 201] > 10 and counts["POST", 409] > 10
    fault = explain(history, frozenset(), step_seats)
    assert fault is None, fault
    places = [place for place, in cluster.rows("SELECT place FROM seats")]
    assert len(places) == len(set(places)) <= 3


# Many creates at once, of few values, in groups that share commits.

def send_creates(servers, path, bodies, choice):
    """Sends them over connections to all processes, all before any answer; the answers."""
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(servers[number % len(servers)].wire())
                 for number in range(len(bodies))]
        order = list(zip(wires, bodies))
        choice.shuffle(order)
        for wire, body in order:
            data = json.dumps(body).encode()
            wire.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
        return [(body, wire.receive()) for wire, body in order]


@pytest.mark.parametrize("round", range(10))
def test_creates_of_the_same(servers, round):
    """Each value is given once, and everybody else is told so."""
    choice = random.Random(round)
    names = [f"{round}.{number}" for number in range(40)]
    answers = send_creates(servers, "/seats", [{"place": name} for name in names * 8], choice)
    given = collections.Counter()
    for body, answer in answers:
        assert answer.status in (201, 409), answer
        given[body["place"]] += answer.status == 201
    assert given == {name: 1 for name in names}


@pytest.mark.parametrize("round", range(10))
def test_creates_with_two_unique_values(servers, cluster, round):
    """Where no order of the values avoids deadlocks, they are still nobody's business."""
    choice = random.Random(round)
    bodies = [{"number": f"{round}.{choice.randrange(12)}",
               "holder": f"{round}.{choice.randrange(12)}"} for _ in range(200)]
    for body, answer in send_creates(servers, "/tickets", bodies, choice):
        assert answer.status in (201, 409), (body, answer)
    rows = cluster.rows(f"SELECT number, holder FROM tickets WHERE number LIKE '{round}.%'")
    numbers, holders = zip(*rows)
    assert len(set(numbers)) == len(numbers) and len(set(holders)) == len(holders)
    # None could be added to them: whoever was refused stands against one that is there.
    for body in bodies:
        assert body["number"] in numbers or body["holder"] in holders
