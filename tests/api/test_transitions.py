"""Transitions without a command: a guard and an effect, as one."""

import concurrent.futures
import datetime
import itertools

import pytest

from harness import ADMIN_KEY, Server, pointers, problem

DEFINITIONS = {
    # Every part of the language of transitions.
    "jobs": """
access: {read: public, write: public, start: public, finish: public, retry: public, take: public,
         grow: public, shrink: public, name_it: public, weigh: public, tick: public, stray: public,
         clear: public}
required: [name, amount]
properties:
  name:   {type: string, maxLength: 50, minLength: 1}
  group:  {type: string, maxLength: 50}
  amount: {type: integer, default: 0, maximum: 9223372036854775807}
  small:  {type: integer, minimum: 0, maximum: 10, default: 9}
  ratio:  {type: number, default: 1.0e+300}
  price:  {type: string, format: decimal, scale: 2, default: "92233720368547758.07"}
  done:   {type: boolean, default: false}
  at:     {type: string, format: date-time}
  size:   {type: object, properties: {width: {type: integer}, label: {type: string}}}
  left:   {type: integer}
unique: [[name]]
indexes: [[group]]
checks:
  finished_has_a_time: state != 'Finished' or at is not null
  named_otherwise: name != 'forbidden'
lifecycle: {property: state, states: [New, Running, Finished, Failed]}
transitions:
  start:  {from: [New], to: Running, when: amount > 0, description: It begins.}
  finish: {from: [Running], to: Finished, set: {done: true, amount: 0}}
  retry:  {from: [Finished, Failed, Running], to: New, set: {done: false, at: null}}
  take:
    from: [New, Running]
    to: Running
    others: {where: group = this.group and state = 'Running', to: New,
             set: {amount: this.amount + amount, done: true}}
  grow:   {set: {amount: amount + amount * 2 - 1}}
  shrink: {set: {small: small - 5}}
  name_it: {set: {name: size.label, left: size.width, done: amount > 3 and not done}}
  weigh:  {set: {ratio: ratio * ratio, price: price + price}}
  tick:   {when: at is null or at <= now(), set: {at: now()}}
  stray:  {set: {name: "'forbidden'"}}
  clear:  {set: {amount: left}}
""",
    "codes": """
key: code
access: {read: public, write: public, count: public, lock: key}
properties:
  code:  {type: string, maxLength: 20}
  uses:  {type: integer, default: 0}
transitions:
  count: {set: {uses: uses + 1}}
  lock:  {set: {uses: null}}
""",
    "tokens": """
key: {token: uuid}
access: {read: public, write: public, spend: public}
properties:
  spent: {type: boolean, default: false}
transitions:
  spend: {when: not spent, set: {spent: true}}
""",
    "files": """
key: {digest: sha256(body)}
actions: [create, read]
access: {read: public, write: public, hide: public}
required: [body]
properties:
  body:   {type: string, maxLength: 100}
lifecycle: {property: state, states: [Shown, Hidden]}
transitions:
  hide: {from: [Shown], to: Hidden}
""",
    "contracts": """
access: {read: public, write: public, sign: public}
require: if-match
properties:
  signatures: {type: integer, default: 0}
transitions:
  sign: {set: {signatures: signatures + 1}}
""",
    "plain": "access: {read: public, write: public}\nproperties: {text: {type: string}}\n",
}

_numbers = itertools.count()


def make(public, **properties):
    return public.create("/jobs", {"name": f"job {next(_numbers)}", "amount": 1, **properties})


def move(client, record, transition, **arguments):
    """A transition without a body."""
    return client.post(f"/jobs/{record['id']}/{transition}", data=b"", **arguments)


def moved(client, record, transition):
    response = move(client, record, transition)
    assert response.status_code == 200, response.text
    return response.json()


def closed(response):
    return problem(response, 409, "transition-closed")["detail"]


# What one does

def test_the_state_moves(public):
    record = make(public)
    assert record["state"] == "New"
    running = moved(public, record, "start")
    assert running == {**record, "state": "Running"}
    assert public.get(f"/jobs/{record['id']}").json() == running


def test_several_properties_are_set(public):
    record = make(public, at="2020-01-01T00:00:00.000Z")
    moved(public, record, "start")
    assert moved(public, record, "finish") == {
        **record, "state": "Finished", "done": True, "amount": 0}
    assert moved(public, record, "retry") == {
        **record, "state": "New", "done": False, "amount": 0, "at": None}


def test_arithmetic(public):
    record = make(public, amount=5)
    assert moved(public, record, "grow")["amount"] == 14
    assert moved(public, record, "grow")["amount"] == 41


def test_members_and_conditions_are_values(public):
    record = make(public, amount=4, size={"width": 7, "label": f"label {next(_numbers)}"})
    after = moved(public, record, "name_it")
    assert (after["name"], after["left"], after["done"]) == (record["size"]["label"], 7, True)
    assert moved(public, record, "name_it")["done"] is False


def test_now_is_one_instant(public):
    record = make(public)
    before = datetime.datetime.now(datetime.timezone.utc)
    stamp = datetime.datetime.fromisoformat(moved(public, record, "tick")["at"])
    after = datetime.datetime.now(datetime.timezone.utc)
    second = datetime.timedelta(seconds=1)
    assert before - second <= stamp <= after + second
    moved(public, record, "tick")
    assert "at <= now()" in closed(move(public, make(public, at="9999-01-01T00:00:00Z"), "tick"))


def test_keys_of_every_kind(public):
    code = public.create("/codes", {"code": "a b/ä"})
    path = "/codes/a%20b%2F%C3%A4/count"
    assert public.post(path, data=b"").json() == {**code, "uses": 1}
    assert public.post(path, data=b"").json() == {**code, "uses": 2}
    token = public.create("/tokens", {})
    path = f"/tokens/{token['token']}/spend"
    assert public.post(path, data=b"").json() == {**token, "spent": True}
    assert closed(public.post(path, data=b"")) == "spend needs not spent"
    file = public.create("/files", {"body": "x"})
    path = f"/files/{file['digest']}/hide"
    assert public.post(path, data=b"").json() == {**file, "state": "Hidden"}
    assert closed(public.post(path.upper().replace("FILES", "files").replace("HIDE", "hide"),
                              data=b"")) == "state is Hidden; hide needs Shown"


# Why it does not

def test_a_state_it_cannot_leave(public):
    record = make(public, amount=0)
    assert closed(move(public, record, "finish")) == "state is New; finish needs Running"
    assert closed(move(public, record, "retry")) == \
        "state is New; retry needs Finished, Failed or Running"
    assert public.get(f"/jobs/{record['id']}").json() == record


def test_a_condition_that_does_not_hold(public):
    record = make(public, amount=0)
    assert closed(move(public, record, "start")) == "start needs amount > 0"
    assert public.get(f"/jobs/{record['id']}").json() == record


def test_a_record_that_is_not_there(public):
    problem(public.post("/jobs/999999/start", data=b""), 404, "not-found")
    problem(public.post("/codes/none/count", data=b""), 404, "not-found")
    problem(public.post("/jobs/abc/start", data=b""), 400, "invalid-key")
    problem(public.post("/jobs/0/start", data=b""), 400, "invalid-key")


def test_overflow(public):
    record = make(public, amount=2**62)
    problem(move(public, record, "grow"), 409, "overflow")
    problem(move(public, record, "weigh"), 409, "overflow")
    assert public.get(f"/jobs/{record['id']}").json() == record
    light = make(public, ratio=1.5, price="0.10")
    after = moved(public, light, "weigh")
    assert (after["ratio"], after["price"]) == (2.25, "0.20")


def errors(response):
    assert closed(response)
    return [(error["pointer"], error["detail"]) for error in response.json()["errors"]]


def test_what_a_record_cannot_be(public):
    record = make(public)
    assert moved(public, record, "shrink")["small"] == 4
    (pointer, detail), = errors(move(public, record, "shrink"))
    assert pointer == "/small" and "at least 0" in detail
    moved(public, record, "start")
    (pointer, detail), = errors(move(public, record, "finish"))
    assert pointer == "" and "finished_has_a_time" in detail
    (pointer, detail), = errors(move(public, record, "stray"))
    assert pointer == "" and "named_otherwise" in detail
    (pointer, detail), = errors(move(public, record, "clear"))
    assert pointer == "/amount" and "required" in detail
    (pointer, detail), = errors(move(public, record, "name_it"))
    assert pointer == "/name" and "required" in detail
    after = public.get(f"/jobs/{record['id']}").json()
    assert after == {**record, "small": 4, "state": "Running"}


def test_what_is_unique_stays_unique(public):
    other = make(public)
    record = make(public, size={"label": other["name"]})
    problem(move(public, record, "name_it"), 409, "conflict")
    assert public.get(f"/jobs/{record['id']}").json() == record


# The others

def test_others_change_with_it(public):
    first, second, third = (make(public, group="g1", amount=amount) for amount in (1, 10, 100))
    apart = make(public, group="g2", amount=5)
    moved(public, apart, "start")
    moved(public, first, "take")
    moved(public, third, "start")
    assert moved(public, second, "take")["state"] == "Running"
    states = {record["id"]: (record["state"], record["amount"], record["done"])
              for record in public.list("/jobs", filter="group in ('g1', 'g2')")}
    assert states == {first["id"]: ("New", 11, True), second["id"]: ("Running", 10, False),
                      third["id"]: ("New", 110, True), apart["id"]: ("Running", 5, False)}


def test_null_is_a_value_for_them(public):
    first, second = make(public), make(public)
    moved(public, first, "take")
    moved(public, second, "take")
    assert public.get(f"/jobs/{first['id']}").json()["state"] == "New"
    moved(public, second, "retry")


def test_all_or_nothing(public):
    first = make(public, group="whole", amount=2**63 - 1)
    second = make(public, group="whole", amount=5)
    moved(public, first, "take")
    problem(move(public, second, "take"), 409, "overflow")
    assert public.get(f"/jobs/{second['id']}").json() == second
    assert public.get(f"/jobs/{first['id']}").json() == {**first, "state": "Running"}


def test_a_closed_one_leaves_the_others_alone(public):
    first = make(public, group="closed")
    second = make(public, group="closed", at="2020-01-01T00:00:00Z")
    moved(public, second, "start")
    moved(public, second, "finish")
    moved(public, first, "take")
    assert closed(move(public, second, "take")) == "state is Finished; take needs New or Running"
    assert public.get(f"/jobs/{first['id']}").json() == {**first, "state": "Running"}


def test_never_two_at_once(server, public):
    """Each takes the place of whoever has it: in the end, one has it."""
    records = [make(public, group="contended") for _ in range(8)]

    def take(number):
        return move(server.public, records[number % 8], "take").status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(take, range(64))) == {200}
    found = public.list("/jobs", group="contended", state="Running")
    assert len(found) == 1


# How it is asked for

@pytest.mark.parametrize("body", [b"", b"{}", b" { } "])
def test_a_body_says_nothing(public, body):
    record = make(public)
    path = f"/jobs/{record['id']}/start"
    assert public.post(path, data=body).status_code == 200
    record = make(public)
    path = f"/jobs/{record['id']}/start"
    response = public.post(path, data=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 200


@pytest.mark.parametrize("body, where", [
    (b'{"state": "Running"}', ["/state"]), (b'{"a": 1, "b": 2}', ["/a", "/b"]), (b"[]", [""]),
    (b"null", [""]), (b"1", [""])])
def test_a_body_that_says_something(public, body, where):
    record = make(public)
    path = f"/jobs/{record['id']}/start"
    assert pointers(public.post(path, data=body)) == where
    assert public.get(f"/jobs/{record['id']}").json() == record


def test_bodies_that_are_none(public):
    record = make(public)
    path = f"/jobs/{record['id']}/start"
    problem(public.post(path, data=b"{"), 400, "malformed-json")
    problem(public.post(path, data=b"{}", headers={"Content-Type": "text/plain"}), 415)
    assert public.post(path, data=b"", headers={"Content-Type": "text/plain"}).status_code == 200


def test_conditions(public):
    record = make(public, amount=0)
    path = f"/jobs/{record['id']}"
    tag = public.get(path).headers["ETag"]
    # What was asked for is another version: that is said before anything else.
    problem(public.post(path + "/start", data=b"", headers={"If-Match": '"9.x"'}), 412)
    problem(public.post(path + "/start", data=b"", headers={"If-None-Match": tag}), 412)
    assert closed(public.post(path + "/start", data=b"", headers={"If-Match": tag}))
    response = public.post(path + "/retry", data=b"", headers={"If-Match": tag})
    assert closed(response)
    response = public.post(path + "/tick", data=b"", headers={"If-Match": f'"9.x", {tag}'})
    assert response.status_code == 200
    assert response.headers["ETag"] == public.get(path).headers["ETag"] != tag
    problem(public.post(path + "/tick", data=b"", headers={"If-Match": tag}), 412)
    assert public.post(path + "/tick", data=b"", headers={"If-Match": "*"}).status_code == 200
    problem(public.post(path + "/tick", data=b"", headers={"If-Match": "x"}), 400, "invalid-field")
    problem(public.post("/jobs/999999/tick", data=b"", headers={"If-Match": tag}), 404)


def test_conditions_can_be_demanded(public):
    record = public.create("/contracts", {})
    path = f"/contracts/{record['id']}"
    problem(public.post(path + "/sign", data=b""), 428, "precondition-required")
    tag = public.get(path).headers["ETag"]
    response = public.post(path + "/sign", data=b"", headers={"If-Match": tag})
    assert response.json() == {**record, "signatures": 1}


def test_of_those_with_one_tag_one_wins(server, public):
    record = public.create("/contracts", {})
    path = f"/contracts/{record['id']}"
    tag = public.get(path).headers["ETag"]

    def sign(_):
        return server.public.post(path + "/sign", data=b"", headers={"If-Match": tag}).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(sign, range(24)))
    assert sorted(statuses) == [200] + [412] * 23


def test_a_transition_takes_no_parameters(public):
    problem(move(public, make(public), "start", params={"now": "1"}), 400, "unknown-parameter")


def test_methods(public):
    record = make(public)
    path = f"/jobs/{record['id']}/start"
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
        response = public.request(method, path)
        assert response.status_code == 405
        assert response.headers["Allow"] == "OPTIONS, POST"
    response = public.options(path)
    assert (response.status_code, response.headers["Allow"]) == (204, "OPTIONS, POST")
    assert public.post(path + "/", data=b"").status_code == 200
    assert public.options("/files/" + "0" * 64 + "/hide").headers["Allow"] == "OPTIONS, POST"


@pytest.mark.parametrize("path", ["/jobs/1/stop", "/jobs/1/Start", "/jobs/1/start/now", "/jobs//start",
                                  "/plain/1/start", "/nothing/1/start", "/jobs/1/start//"])
def test_paths_that_are_none(public, path):
    problem(public.post(path, data=b""), 404, "not-found")


def test_the_state_is_not_written_otherwise(public):
    record = make(public)
    path = f"/jobs/{record['id']}"
    assert pointers(public.patch(path, {"state": "Running"})) == ["/state"]
    assert pointers(public.put(path, {**record, "state": "Running"})) == ["/state"]
    assert pointers(public.post("/jobs", {**record, "state": "Running"})) == ["/id", "/state"]


def test_who_may(public, admin):
    public.create("/codes", {"code": "guarded"})
    problem(public.post("/codes/guarded/lock", data=b""), 401, "key-required")
    problem(public.post("/codes/none/lock", data=b""), 401, "key-required")
    assert admin.post("/codes/guarded/lock", data=b"").json()["uses"] is None
    assert public.post("/codes/guarded/count", data=b"").json()["uses"] is None


# What there is

def test_lifecycle(public):
    response = public.get("/jobs/lifecycle")
    assert response.status_code == 200
    value = response.json()
    assert list(value) == ["property", "states", "transitions"]
    assert value["property"] == "state"
    assert value["states"] == ["New", "Running", "Finished", "Failed"]
    transitions = {transition.pop("name"): transition for transition in value["transitions"]}
    assert list(transitions)[:4] == ["start", "finish", "retry", "take"]
    assert transitions["start"] == {"description": "It begins.", "from": ["New"],
                                    "when": "amount > 0", "to": "Running"}
    assert transitions["retry"] == {"from": ["Finished", "Failed", "Running"], "to": "New",
                                    "set": {"done": "false", "at": "null"}}
    assert transitions["take"]["others"] == {
        "where": "group = this.group and state = 'Running'", "to": "New",
        "set": {"amount": "this.amount + amount", "done": "true"}}
    assert transitions["grow"]["from"] == value["states"]
    assert public.head("/jobs/lifecycle").headers["Content-Length"] == str(len(response.content))


def test_lifecycle_without_states(public):
    value = public.get("/codes/lifecycle").json()
    assert value["transitions"] == [{"name": "count", "set": {"uses": "uses + 1"}},
                                    {"name": "lock", "set": {"uses": "null"}}]
    assert "states" not in value


def test_lifecycle_routes(public):
    response = public.delete("/jobs/lifecycle")
    assert (response.status_code, response.headers["Allow"]) == (405, "OPTIONS, GET, HEAD")
    problem(public.get("/plain/lifecycle"), 400, "invalid-key")
    problem(public.get("/jobs/lifecycle?x=1"), 400, "unknown-parameter")
    assert pointers(public.post("/codes", {"code": "lifecycle"})) == ["/code"]


# What trestle ships with

@pytest.fixture(scope="module")
def shipped():
    with Server() as running:
        yield running


def coupon(shipped, **properties):
    return shipped.admin.create("/coupons", {"title": "x", **properties})


def redeem(client, record):
    return client.post(f"/coupons/{record['id']}/redeem", data=b"")


def test_a_coupon_is_redeemed(shipped):
    record = coupon(shipped)
    for count in (1, 2, 3):
        response = redeem(shipped.admin, record)
        assert response.status_code == 200
        assert response.json() == {**record, "redemptions": count}
    assert shipped.public.get(f"/coupons/{record['id']}").json()["redemptions"] == 3


def test_never_past_its_cap(shipped):
    record = coupon(shipped, max_redemptions=2)
    assert [redeem(shipped.admin, record).status_code for _ in range(4)] == [200, 200, 409, 409]
    assert closed(redeem(shipped.admin, record)) == \
        "redeem needs (max_redemptions is null or redemptions < max_redemptions)"
    assert closed(redeem(shipped.admin, coupon(shipped, max_redemptions=0)))


def test_never_outside_its_dates(shipped):
    early = coupon(shipped, published_at="9998-01-01T00:00:00Z", expire_at="9999-01-01T00:00:00Z")
    late = coupon(shipped, published_at="2001-01-01T00:00:00Z", expire_at="2002-01-01T00:00:00Z")
    both = coupon(shipped, published_at="9998-01-01T00:00:00Z", max_redemptions=0)
    assert closed(redeem(shipped.admin, early)) == "redeem needs published_at <= now()"
    assert closed(redeem(shipped.admin, late)) == \
        "redeem needs (expire_at is null or expire_at > now())"
    assert closed(redeem(shipped.admin, both)) == (
        "redeem needs (max_redemptions is null or redemptions < max_redemptions), "
        "and published_at <= now()")
    assert redeem(shipped.admin, coupon(shipped, expire_at="9999-01-01T00:00:00Z")).ok


def test_redeeming_takes_a_key(shipped):
    problem(redeem(shipped.public, coupon(shipped)), 401, "key-required")


def test_a_package_is_rejected(shipped):
    record = shipped.admin.create("/packages", {"name": "rejected", "version": "1"})
    path = f"/packages/{record['id']}"
    response = shipped.admin.post(path + "/reject", data=b"")
    assert response.json() == {**record, "status": "Rejected"}
    assert closed(shipped.admin.post(path + "/reject", data=b"")) == \
        "status is Rejected; reject needs Created or Downloaded"
    problem(shipped.public.post(path + "/reject", data=b""), 401, "key-required")


def test_the_packages_lifecycle(shipped):
    problem(shipped.public.get("/packages/lifecycle"), 401, "key-required")
    value = shipped.admin.get("/packages/lifecycle").json()
    assert value["states"] == ["Created", "Downloaded", "Active", "Rejected"]
    names = [transition["name"] for transition in value["transitions"]]
    assert "reject" in names


# Many at once

CLIENTS, CAP = 500, 100


@pytest.fixture(scope="module")
def three(shipped):
    """Three processes on one database, of which `shipped` is the first."""
    more = []
    for _ in range(2):
        other = Server(settings=shipped.store.settings(shipped.folder))
        other.start()
        more.append(other)
    yield [shipped, *more]
    for other in more:
        other.close()


def test_many_redeem_on_three_processes(shipped, three):
    redeem_at_once(shipped, three)


def test_many_redeem_on_one_process(shipped):
    redeem_at_once(shipped, [shipped])


def redeem_at_once(shipped, servers):
    record = coupon(shipped, max_redemptions=CAP)
    statuses = hammer(servers, f"/coupons/{record['id']}/redeem", CLIENTS)
    assert {status: statuses.count(status) for status in set(statuses)} == {
        200: CAP, 409: CLIENTS - CAP}
    after = shipped.public.get(f"/coupons/{record['id']}").json()
    assert after == {**record, "redemptions": CAP}


def hammer(servers, path, count):
    """So many clients, each with a connection of its own, POST at the same moment."""
    wires = [servers[i % len(servers)].wire() for i in range(count)]
    request = (f"POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\n"
               "Content-Length: 0\r\n\r\n").encode()
    for wire in wires:
        wire.send(request)
    answers = [wire.receive("POST") for wire in wires]
    statuses = [answer.status for answer in answers]
    for wire in wires:
        wire.close()
    return statuses


# History

def history(client, path, **parameters):
    return client.list(path + "/history", **parameters)


def test_history(public):
    record = make(public)
    path = f"/jobs/{record['id']}"
    assert history(public, path) == []
    before = datetime.datetime.now(datetime.timezone.utc)
    moved(public, record, "start")
    assert closed(move(public, record, "start"))
    moved(public, record, "tick")
    response = move(public, record, "finish", headers={"X-Request-Id": "the last one"})
    assert response.status_code == 200
    entries = history(public, path)
    assert [(entry["transition"], entry["from"], entry["to"]) for entry in entries] == [
        ("start", "New", "Running"), ("tick", "Running", "Running"),
        ("finish", "Running", "Finished")]
    assert list(entries[0]) == ["id", "at", "transition", "from", "to", "by", "request_id"]
    assert {entry["by"] for entry in entries} == {None}
    assert entries[0]["request_id"]
    for entry in entries:
        stamp = datetime.datetime.fromisoformat(entry["at"])
        second = datetime.timedelta(seconds=1)
        assert before - second <= stamp <= datetime.datetime.now(datetime.timezone.utc) + second


def test_a_transition_that_fails_leaves_none(public):
    record = make(public)
    moved(public, record, "start")
    assert errors(move(public, record, "finish"))
    problem(move(public, make(public, amount=2**62), "grow"), 409, "overflow")
    assert len(history(public, f"/jobs/{record['id']}")) == 1


def test_history_of_others(public):
    first, second = make(public, group="history"), make(public, group="history")
    moved(public, first, "take")
    moved(public, second, "take")
    entries = history(public, f"/jobs/{first['id']}")
    assert [(entry["transition"], entry["from"], entry["to"]) for entry in entries] == [
        ("take", "New", "Running"), ("take", "Running", "New")]
    one, = history(public, f"/jobs/{second['id']}")
    assert one["request_id"] == entries[1]["request_id"]


def test_a_history_is_a_list(public):
    record = make(public)
    path = f"/jobs/{record['id']}"
    for _ in range(5):
        moved(public, record, "tick")
    moved(public, record, "start")
    pages = list(public.walk(path + "/history", limit=2, sort="-id"))
    assert [len(page) for page in pages] == [2, 2, 2]
    entries = [entry for page in pages for entry in page]
    assert entries[0]["transition"] == "start"
    assert history(public, path) == entries[::-1]
    assert len(history(public, path, transition="tick")) == 5
    assert history(public, path, filter="to = 'Running'", fields="from") == [{"from": "New"}]
    response = public.get(path + "/history", params={"count": "true", "limit": 1})
    assert response.headers["X-Total-Count"] == "6"
    problem(public.get(path + "/history", params={"resource": "jobs"}), 400, "unknown-parameter")
    problem(public.get(path + "/history", params={"filter": "record = '1'"}), 400)
    # A cursor leads to nobody else's.
    following = public.get(path + "/history", params={"limit": 2}).links["next"]["url"]
    other = make(public)
    moved(public, other, "tick")
    cursor = following.partition("cursor=")[2]
    problem(public.get(f"/jobs/{other['id']}/history", params={"limit": 2, "cursor": cursor}),
            400, "invalid-cursor")


def test_who_did_it(shipped):
    record = shipped.admin.create("/packages", {"name": "whodunit", "version": "1"})
    path = f"/packages/{record['id']}"
    problem(shipped.public.get(path + "/history"), 401, "key-required")
    assert shipped.admin.post(path + "/reject", data=b"").status_code == 200
    entry, = history(shipped.admin, path)
    assert (entry["by"], entry["from"], entry["to"]) == ("admin", "Created", "Rejected")


def test_it_outlives_the_record(public):
    record = make(public)
    path = f"/jobs/{record['id']}"
    moved(public, record, "start")
    entries = history(public, path)
    assert public.delete(path).status_code == 204
    assert history(public, path) == entries
    bare = make(public)
    public.delete(f"/jobs/{bare['id']}")
    problem(public.get(f"/jobs/{bare['id']}/history"), 404, "not-found")


def test_history_of_keys_that_are_digests(public):
    file = public.create("/files", {"body": "history"})
    path = f"/files/{file['digest']}"
    assert public.post(path + "/hide", data=b"").status_code == 200
    assert [entry["to"] for entry in history(public, path)] == ["Hidden"]
    assert [entry["to"] for entry in history(public, f"/files/{file['digest'].upper()}")] == [
        "Hidden"]


def test_history_routes(public):
    record = make(public)
    response = public.post(f"/jobs/{record['id']}/history", data=b"")
    assert (response.status_code, response.headers["Allow"]) == (405, "OPTIONS, GET, HEAD")
    problem(public.get("/codes/x/history"), 404, "not-found")
    problem(public.get("/jobs/abc/history"), 400, "invalid-key")
    problem(public.get("/trestle_history"), 404, "not-found")
    problem(public.get("/history"), 404, "not-found")
    tag = public.get(f"/jobs/{record['id']}/history").headers["ETag"]
    again = public.get(f"/jobs/{record['id']}/history", headers={"If-None-Match": tag})
    assert again.status_code == 304


# With what else there is

def test_repeated_under_one_idempotency_key(shipped):
    record = coupon(shipped)
    path = f"/coupons/{record['id']}/redeem"
    headers = {"Idempotency-Key": '"redeem-once"'}
    first = shipped.admin.post(path, data=b"", headers=headers)
    assert first.status_code == 200
    again = shipped.admin.post(path, data=b"", headers=headers)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert shipped.public.get(f"/coupons/{record['id']}").json()["redemptions"] == 1
    # What was refused leaves the key free.
    full = coupon(shipped, max_redemptions=0)
    path = f"/coupons/{full['id']}/redeem"
    headers = {"Idempotency-Key": '"in-vain"'}
    assert closed(shipped.admin.post(path, data=b"", headers=headers))
    assert shipped.admin.patch(f"/coupons/{full['id']}", {"max_redemptions": 1}).ok
    assert shipped.admin.post(path, data=b"", headers=headers).json()["redemptions"] == 1


def test_an_effect_refused_under_an_idempotency_key(public):
    record = make(public, small=3)
    response = move(public, record, "shrink", headers={"Idempotency-Key": '"shrunk"'})
    (pointer, _), = errors(response)
    assert pointer == "/small"
    assert public.get(f"/jobs/{record['id']}").json() == record
    response = move(public, record, "take", headers={"Idempotency-Key": '"taken"'})
    assert response.json() == {**record, "state": "Running"}
    assert len(history(public, f"/jobs/{record['id']}")) == 1


def test_scopes(shipped):
    record = shipped.admin.create("/packages", {"name": "scoped", "version": "1"})
    path = f"/packages/{record['id']}"
    made = shipped.admin.create("/keys", {"name": "rejecter", "scopes": ["packages:reject"]})
    client = shipped.client(made["secret"])
    problem(client.get(path + "/history"), 403, "forbidden")
    problem(client.delete(path), 403, "forbidden")
    assert client.post(path + "/reject", data=b"").json()["status"] == "Rejected"
    entry, = history(shipped.admin, path)
    assert entry["by"] == "key:" + made["id"]
    client.close()
    writer = shipped.client(shipped.admin.create(
        "/keys", {"name": "writer", "scopes": ["packages:write"]})["secret"])
    problem(writer.post(path + "/reject", data=b""), 403, "forbidden")
    writer.close()
