"""Long transitions: the operations that they make, and the protocol by which workers do them."""

import collections
import concurrent.futures
import contextlib
import itertools
import re
import threading
import time

import pytest

from harness import Server, pointers, problem, wait_until
from listening import Listener

DEFINITIONS = {
    "packages": """
access: {read: key, write: key}
required: [name]
properties:
  name:   {type: string, minLength: 1, maxLength: 100}
  group:  {type: string, maxLength: 50}
  size:   {type: integer, minimum: 0, readOnly: true}
  sha256: {type: string, pattern: "^[0-9a-f]{64}$", maxLength: 64, readOnly: true}
  secret: {type: string, maxLength: 50, writeOnly: true}
  moves:  {type: integer, default: 0, readOnly: true}
  ready:  {type: boolean, default: true}
unique: [[name]]
checks:
  small: size is null or size <= 1000
lifecycle: {property: status, states: [Created, Downloaded, Active, Rejected]}
transitions:
  download:
    from: [Created]
    to: Downloaded
    when: ready
    set: {moves: moves + 1}
    run: [fetch, --quietly]
    time_limit: 10m
    retries: 2
    environment: {COLOUR: red, LEVEL: 3}
  activate:
    from: [Downloaded]
    to: Active
    run: agent
    others: {where: group = this.group and status = 'Active', to: Downloaded}
  check:  {run: agent}
  reject: {from: [Created, Downloaded], to: Rejected}
  oust:
    from: [Downloaded]
    to: Active
    others: {where: group = this.group and status != 'Rejected', to: Downloaded}
""",
    "files": """
key: path
access: {read: public, write: public, scan: public}
properties:
  path:  {type: string, maxLength: 100}
  clean: {type: boolean}
transitions:
  scan: {run: agent, time_limit: 90s}
""",
    "contracts": """
access: {read: public, write: public, sign: public}
require: if-match
properties: {text: {type: string}}
transitions:
  sign: {run: agent}
""",
    "owners": "access: {read: key, write: key}\nproperties: {name: {type: string}}\n",
    "assets": """
access: {read: key, write: key}
properties:
  owner: {type: integer, references: owners, on_delete: cascade}
transitions:
  audit: {run: agent}
""",
    "plain": "access: {read: public, write: public}\nproperties: {text: {type: string}}\n",
}

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_numbers = itertools.count()


def make(admin, **properties):
    return admin.create("/packages", {"name": f"package {next(_numbers)}", **properties})


def path_of(record):
    return f"/packages/{record['id']}"


def start(client, path, transition, **arguments):
    """Begins a long transition: the operation."""
    response = client.post(f"{path}/{transition}", data=b"", **arguments)
    assert response.status_code == 202, response.text
    operation = response.json()
    assert response.headers["Location"] == f"/operations/{operation['id']}"
    assert UUID.fullmatch(operation["id"]) and operation["state"] == "queued"
    return operation


def claim_any(client, *transitions, **members):
    response = client.post("/operations/claim", {"transitions": list(transitions), **members})
    if response.status_code == 204:
        return None
    assert response.status_code == 200, response.text
    return response.json()


def claim(client, operation, **members):
    """Claims what must be this operation."""
    claimed = claim_any(client, f"{operation['resource']}.{operation['transition']}", **members)
    assert claimed and claimed["operation"]["id"] == operation["id"]
    assert claimed["attempt"] == claimed["operation"]["attempts"]
    return claimed


def beat(client, claimed, **members):
    return client.post(f"/operations/{claimed['operation']['id']}/beat",
                       {"attempt": claimed["attempt"], **members})


def finish(client, claimed, state, **members):
    return client.post(f"/operations/{claimed['operation']['id']}/finish",
                       {"attempt": claimed["attempt"], "state": state, **members})


def finished(client, claimed, state, **members):
    response = finish(client, claimed, state, **members)
    assert response.status_code == 200, response.text
    return response.json()


def cancel(client, operation):
    return client.post(f"/operations/{operation['id']}/cancel", data=b"")


def read(client, operation):
    response = client.get(f"/operations/{operation['id']}")
    assert response.status_code == 200
    return response.json()


def key(server, *scopes):
    """Who has these scopes."""
    made = server.admin.create("/keys", {"name": "test", "scopes": list(scopes)})
    return server.client(made["secret"])


@pytest.fixture(autouse=True)
def nothing_is_left(admin):
    """No test finds what another one left to be claimed."""
    yield
    for state in ("queued", "running"):
        for operation in admin.list("/operations", state=state, limit=1000):
            cancel(admin, operation)
            if state == "running":
                admin.post(f"/operations/{operation['id']}/finish",
                           {"attempt": operation["attempts"], "state": "cancelled"})


# Start

def test_the_start_makes_an_operation(admin):
    record = make(admin)
    response = admin.post(f"{path_of(record)}/download", data=b"",
                          headers={"X-Request-Id": "the-request"})
    assert response.status_code == 202
    operation = response.json()
    made = operation.pop("created_at")
    assert operation == {
        "id": operation["id"], "resource": "packages", "record": str(record["id"]),
        "transition": "download", "state": "queued", "progress": 0, "detail": None,
        "requested_by": "admin", "request_id": "the-request", "started_at": None, "ended_at": None,
        "attempts": 0, "failures": 0, "worker": None, "cancel_requested": False}
    assert response.headers["Location"] == f"/operations/{operation['id']}"
    assert read(admin, operation) == {**operation, "created_at": made}
    # The record is as it was, until the work is done.
    assert admin.get(path_of(record)).json() == record


def test_the_guard_counts_at_the_start(admin):
    record = make(admin)
    detail = problem(admin.post(f"{path_of(record)}/activate", data=b""), 409,
                     "transition-closed")["detail"]
    assert detail == "status is Created; activate needs Downloaded"
    unready = make(admin, ready=False)
    problem(admin.post(f"{path_of(unready)}/download", data=b""), 409, "transition-closed")
    problem(admin.post("/packages/99999/download", data=b""), 404)
    assert not admin.list("/operations", record="99999")


def test_a_start_takes_no_members(admin):
    record = make(admin)
    problem(admin.post(f"{path_of(record)}/download", {"force": True}), 400, "invalid-body")
    assert admin.post(f"{path_of(record)}/download", {}).status_code == 202


def test_one_at_a_time_for_a_record(admin):
    record = make(admin)
    operation = start(admin, path_of(record), "download")
    for transition in ("download", "check", "reject"):
        refused = problem(admin.post(f"{path_of(record)}/{transition}", data=b""), 409,
                          "operation-running")
        assert f"/operations/{operation['id']}" in refused["detail"]


def test_many_starts_at_once_make_one_operation(admin, server):
    record = make(admin)
    barrier = threading.Barrier(8)

    def attempt(_):
        client = server.client()
        barrier.wait()
        return client.post(f"{path_of(record)}/download", data=b"").status_code
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = collections.Counter(pool.map(attempt, range(8)))
    assert statuses == {202: 1, 409: 7}
    assert len(admin.list("/operations", resource="packages", record=str(record["id"]))) == 1


def test_a_start_under_a_condition(public, admin):
    response = public.post("/contracts", {"text": "we agree"})
    path = response.headers["Location"]
    problem(public.post(f"{path}/sign", data=b""), 428)
    problem(public.post(f"{path}/sign", data=b"", headers={"If-Match": '"0.none"'}), 412)
    tag = response.headers["ETag"]
    started = start(public, path, "sign", headers={"If-Match": tag})
    assert started["requested_by"] is None
    # What would be refused without a condition is refused for the same reason with one.
    problem(public.patch(path, {"text": "no"}, headers={"If-Match": tag}), 409, "operation-running")
    finished(admin, claim(admin, started), "succeeded")
    problem(public.patch(path, {"text": "no"}, headers={"If-Match": tag}), 412)


def test_an_idempotency_key_starts_once(admin):
    record = make(admin)
    fields = {"Idempotency-Key": f"start-{next(_numbers)}"}
    first = admin.post(f"{path_of(record)}/download", data=b"", headers=fields)
    again = admin.post(f"{path_of(record)}/download", data=b"", headers=fields)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json() and again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    finished(admin, claim(admin, first.json()), "succeeded")
    late = admin.post(f"{path_of(record)}/download", data=b"", headers=fields)
    assert late.json() == first.json()


# What is kept from the record meanwhile

def test_the_record_is_held(admin):
    record = make(admin)
    operation = start(admin, path_of(record), "download")
    for running in (False, True):
        if running:
            claimed = claim(admin, operation)
        answers = [
            admin.put(path_of(record), {"name": "other"}),
            admin.patch(path_of(record), {"name": "other"}),
            admin.patch(path_of(record), [{"op": "remove", "path": "/group"}],
                        headers={"Content-Type": "application/json-patch+json"}),
            admin.delete(path_of(record)),
            admin.delete(path_of(record), headers={"If-Match": "*"}),
        ]
        for answer in answers:
            refused = problem(answer, 409, "operation-running")
            assert f"/operations/{operation['id']}" in refused["detail"]
    assert admin.get(path_of(record)).json() == record
    finished(admin, claimed, "failed")
    wait_until(lambda: admin.patch(path_of(record), {"name": "other"}).status_code == 409,
               "a queued operation holds the record, too")
    assert cancel(admin, operation).status_code == 200
    assert admin.patch(path_of(record), {"group": "g"}).json()["group"] == "g"
    assert admin.delete(path_of(record)).status_code == 204
    problem(admin.delete(path_of(record)), 404)


def test_clients_see_nothing_of_the_lock(admin):
    record = make(admin)
    assert "_operation" not in record
    start(admin, path_of(record), "download")
    assert "_operation" not in admin.get(path_of(record)).json()
    problem(admin.get("/packages?_operation=1"), 400)
    problem(admin.get("/packages", params={"filter": "_operation is null"}), 400)
    problem(admin.get("/packages?fields=_operation"), 400)
    problem(admin.get("/packages?sort=_operation"), 400)
    problem(admin.post("/packages", {"name": "x", "_operation": None}), 400)


def test_others_that_are_held_keep_a_transition_from_happening(admin):
    group = f"group {next(_numbers)}"
    mover, held, free = [make(admin, group=group) for _ in range(3)]
    for record in (mover, free):
        finished(admin, claim(admin, start(admin, path_of(record), "download")), "succeeded")
    operation = start(admin, path_of(held), "download")
    refused = problem(admin.post(f"{path_of(mover)}/oust", data=b""), 409, "operation-running")
    assert operation["id"] in refused["detail"]
    assert [admin.get(path_of(record)).json()["status"] for record in (mover, held, free)] == [
        "Downloaded", "Created", "Downloaded"]
    cancel(admin, operation)
    assert admin.post(f"{path_of(mover)}/oust", data=b"").status_code == 200


# The protocol

def test_claim_beat_finish(admin):
    record = make(admin, secret="sesame", group="g")
    operation = start(admin, path_of(record), "download")
    response = admin.post("/operations/claim", {
        "transitions": ["packages.download"], "worker": "host:17", "lease_seconds": 60})
    assert response.status_code == 200 and response.headers["Cache-Control"] == "no-store"
    claimed = response.json()
    running = claimed.pop("operation")
    assert claimed == {
        "attempt": 1, "record": {**record, "secret": "sesame"}, "run": ["fetch", "--quietly"],
        "environment": {"COLOUR": "red", "LEVEL": "3"}, "time_limit_seconds": 600}
    assert running == {**operation, "state": "running", "attempts": 1, "worker": "host:17",
                       "started_at": running["started_at"]}
    assert running["started_at"] >= operation["created_at"]
    claimed["operation"] = running
    beaten = beat(admin, claimed, progress=40, detail="4 of 10", lease_seconds=30)
    assert beaten.status_code == 200
    assert beaten.json() == {**running, "progress": 40, "detail": "4 of 10"}
    assert beat(admin, claimed).json() == beaten.json()
    done = finished(admin, claimed, "succeeded", set={"size": 10, "sha256": "a" * 64},
                    detail="all of it")
    assert done == {**running, "state": "succeeded", "progress": 100, "detail": "all of it",
                    "ended_at": done["ended_at"]}
    assert read(admin, operation) == done
    assert admin.get(path_of(record)).json() == {
        **record, "status": "Downloaded", "moves": 1, "size": 10, "sha256": "a" * 64}
    (entry,) = admin.list(f"{path_of(record)}/history")
    assert (entry["transition"], entry["from"], entry["to"], entry["by"], entry["request_id"]) == (
        "download", "Created", "Downloaded", "admin", operation["request_id"])
    assert claim_any(admin, "packages.download") is None


def test_an_agents_work_has_no_command(admin):
    public_file = admin.create("/files", {"path": f"a/b {next(_numbers)}"})
    operation = start(admin, f"/files/{public_file['path'].replace('/', '%2F')}", "scan")
    assert operation["record"] == public_file["path"]
    claimed = claim(admin, operation)
    assert claimed["run"] is None and claimed["environment"] == {}
    assert claimed["time_limit_seconds"] == 90 and claimed["record"] == public_file
    assert finished(admin, claimed, "succeeded", set={"clean": True})["state"] == "succeeded"
    assert admin.get(f"/files/{public_file['path'].replace('/', '%2F')}").json()["clean"] is True


def test_the_oldest_is_claimed_first(admin):
    operations = [start(admin, path_of(make(admin)), transition)
                  for transition in ("download", "check", "download", "check")]
    for operation in operations:
        claimed = claim_any(admin, "packages.check", "packages.download")
        assert claimed["operation"]["id"] == operation["id"]
    assert claim_any(admin, "packages.check", "packages.download") is None


def test_only_what_is_asked_for_is_claimed(admin):
    start(admin, path_of(make(admin)), "check")
    assert claim_any(admin, "packages.download", "packages.activate", "files.scan") is None
    assert claim_any(admin, "packages.check")


@pytest.mark.parametrize("body, where", [
    ({}, ["/transitions"]),
    ({"transitions": []}, ["/transitions"]),
    ({"transitions": "packages.download"}, ["/transitions"]),
    ({"transitions": [1]}, ["/transitions"]),
    ({"transitions": ["packages.download"] * 101}, ["/transitions"]),
    ({"transitions": ["packages.download", "packages", "packages.reject", "plain.download", ".",
                      "", "nothing.download", "keys.renew"]},
     [f"/transitions/{index}" for index in range(1, 8)]),
    ({"transitions": ["packages.check"], "lease_seconds": 0, "worker": 3},
     ["/worker", "/lease_seconds"]),
    ({"transitions": ["packages.check"], "lease_seconds": 3601}, ["/lease_seconds"]),
    ({"transitions": ["packages.check"], "lease_seconds": 1.5}, ["/lease_seconds"]),
    ({"transitions": ["packages.check"], "worker": "x" * 201}, ["/worker"]),
    ({"transitions": ["packages.check"], "attempt": 1}, ["/attempt"]),
    ([], [""]),
])
def test_claims_that_are_none(admin, body, where):
    response = admin.post("/operations/claim", body)
    problem(response, 400, "invalid-body")
    assert pointers(response) == where


@pytest.mark.parametrize("what, body, where", [
    ("beat", {}, ["/attempt"]),
    ("beat", {"attempt": 0, "progress": 101, "detail": 1}, ["/attempt", "/progress", "/detail"]),
    ("beat", {"attempt": "1", "progress": -1}, ["/attempt", "/progress"]),
    ("beat", {"attempt": 1, "state": "failed"}, ["/state"]),
    ("finish", {"attempt": 1}, ["/state"]),
    ("finish", {"attempt": 1, "state": "queued"}, ["/state"]),
    ("finish", {"attempt": 1, "state": "succeeded", "set": []}, ["/set"]),
    ("finish", {"attempt": 1, "state": "failed", "set": {}}, ["/set"]),
    ("finish", {"attempt": 1, "state": "failed", "progress": 3}, ["/progress"]),
])
def test_bodies_that_do_not_fit(admin, what, body, where):
    claimed = claim(admin, start(admin, path_of(make(admin)), "check"))
    response = admin.post(f"/operations/{claimed['operation']['id']}/{what}", body)
    problem(response, 400, "invalid-body")
    assert pointers(response) == where


def test_paths_that_are_none(admin):
    unknown = "0190f6a0-0000-7000-8000-000000000000"
    problem(admin.get(f"/operations/{unknown}"), 404, "not-found")
    problem(admin.get("/operations/17"), 400, "invalid-key")
    problem(admin.get("/operations/claim"), 405)
    problem(admin.post(f"/operations/{unknown}/cancel", data=b""), 404)
    problem(admin.post(f"/operations/{unknown}/beat", {"attempt": 1}), 404)
    problem(admin.post(f"/operations/{unknown}/finish", {"attempt": 1, "state": "failed"}), 404)
    problem(admin.post(f"/operations/{unknown}/steal", {"attempt": 1}), 404)
    problem(admin.post("/operations", {}), 405)
    problem(admin.delete(f"/operations/{unknown}"), 405)


def test_a_long_detail_is_cut(admin):
    claimed = claim(admin, start(admin, path_of(make(admin)), "check"))
    long = "é" * 5000
    assert beat(admin, claimed, detail=long).json()["detail"] == "é" * 2048
    assert finished(admin, claimed, "failed", detail="x" + long)["detail"] == "x" + "é" * 2047


# Fences

def test_an_overtaken_attempt_counts_no_more(admin):
    operation = start(admin, path_of(make(admin)), "download")
    first = claim(admin, operation, lease_seconds=1)
    assert claim_any(admin, "packages.download") is None
    second = wait_until(lambda: claim_any(admin, "packages.download"), "the lease ends")
    assert second["operation"]["id"] == operation["id"] and second["attempt"] == 2
    problem(beat(admin, first), 409, "overtaken")
    for state in ("succeeded", "failed", "cancelled", "released"):
        problem(finish(admin, first, state), 409, "overtaken")
    assert read(admin, operation)["attempts"] == 2
    assert finished(admin, second, "succeeded")["state"] == "succeeded"
    problem(finish(admin, first, "succeeded"), 409, "overtaken")
    problem(beat(admin, second), 409, "overtaken")


def test_attempts_that_never_were(admin):
    operation = start(admin, path_of(make(admin)), "download")
    unclaimed = {"operation": operation, "attempt": 1}
    problem(beat(admin, unclaimed), 409, "overtaken")
    problem(finish(admin, unclaimed, "succeeded"), 409, "overtaken")
    claim(admin, operation)
    problem(finish(admin, {"operation": operation, "attempt": 2}, "succeeded"), 409, "overtaken")


def test_who_is_late_but_not_overtaken_counts(admin):
    claimed = claim(admin, start(admin, path_of(make(admin)), "download"), lease_seconds=1)
    time.sleep(1.2)
    assert beat(admin, claimed, lease_seconds=1).status_code == 200
    assert claim_any(admin, "packages.download") is None
    time.sleep(1.2)
    assert finished(admin, claimed, "succeeded")["state"] == "succeeded"


def test_a_beat_renews_the_lease(admin):
    claimed = claim(admin, start(admin, path_of(make(admin)), "download"), lease_seconds=1)
    assert beat(admin, claimed, lease_seconds=60).status_code == 200
    time.sleep(1.2)
    assert claim_any(admin, "packages.download") is None


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled", "released"])
def test_what_is_said_twice_is_heard_once(admin, state):
    record = make(admin)
    claimed = claim(admin, start(admin, path_of(record), "download"))
    first = finished(admin, claimed, state)
    assert finished(admin, claimed, state) == first
    assert first["failures"] == (1 if state == "failed" else 0)
    for other in {"succeeded", "cancelled"} - {state}:
        problem(finish(admin, claimed, other), 409, "overtaken")


# Ends

def test_a_failure_is_tried_again_after_a_while(admin):
    record = make(admin)
    operation = start(admin, path_of(record), "download")
    waits = []
    for failures in (1, 2):
        claimed = wait_until(lambda: claim_any(admin, "packages.download"), "it is due")
        failed = finished(admin, claimed, "failed", detail=f"the {failures}. time")
        waits.append(time.monotonic())
        assert failed["state"] == "queued" and failed["ended_at"] is None
        assert (failed["failures"], failed["detail"]) == (failures, f"the {failures}. time")
        assert claim_any(admin, "packages.download") is None
    last = wait_until(lambda: claim_any(admin, "packages.download"), "it is due")
    assert time.monotonic() - waits[0] > 0.9 and time.monotonic() - waits[1] > 1.8
    assert last["attempt"] == 3 and last["operation"]["detail"] == "the 2. time"
    failed = finished(admin, last, "failed", detail="for good")
    assert (failed["state"], failed["failures"], failed["detail"]) == ("failed", 3, "for good")
    assert failed["ended_at"]
    assert admin.get(path_of(record)).json() == record
    assert admin.list(f"{path_of(record)}/history") == []
    assert read(admin, operation) == failed
    start(admin, path_of(record), "download")


def test_what_is_handed_back_is_no_failure(admin):
    operation = start(admin, path_of(make(admin)), "check")
    for attempt in (1, 2, 3):
        claimed = claim(admin, operation)
        assert claimed["attempt"] == attempt
        released = finished(admin, claimed, "released", detail="going home")
        assert (released["state"], released["failures"]) == ("queued", 0)
    failed = finished(admin, claim(admin, operation), "failed")
    assert (failed["state"], failed["failures"]) == ("failed", 1)


@pytest.mark.parametrize("members, words", [
    ({"id": 3}, "/id is the key"),
    ({"status": "Active"}, "/status is the state"),
    ({"moves": 7}, "/moves is set by the transition"),
    ({"nothing": 1, "_operation": None}, "/nothing is none of the properties; /_operation is none"),
    ({"size": "big"}, "/size must be an integer"),
    ({"size": -1}, "/size must be at least 0"),
    ({"name": None}, "/name is required"),
    ({"sha256": "xyz"}, "/sha256"),
    ({"size": 1001}, "small"),
])
def test_a_result_that_does_not_fit_fails(admin, members, words):
    record = make(admin)
    claimed = claim(admin, start(admin, path_of(record), "download"))
    failed = finished(admin, claimed, "succeeded", set=members)
    assert failed["state"] == "failed" and failed["ended_at"], failed
    assert words in failed["detail"]
    assert admin.get(path_of(record)).json() == record
    assert admin.list(f"{path_of(record)}/history") == []
    start(admin, path_of(record), "download")


def test_a_result_that_another_record_has_fails(admin):
    other, record = make(admin), make(admin)
    claimed = claim(admin, start(admin, path_of(record), "download"))
    failed = finished(admin, claimed, "succeeded", set={"name": other["name"]})
    assert failed["state"] == "failed" and "unique" in failed["detail"]
    assert admin.get(path_of(record)).json() == record


def test_a_worker_may_set_what_clients_may(admin):
    record = make(admin, secret="old", group="g")
    claimed = claim(admin, start(admin, path_of(record), "download"))
    finished(admin, claimed, "succeeded",
             set={"name": f"new {record['name']}", "group": None, "secret": "new"})
    after = admin.get(path_of(record)).json()
    assert (after["name"], after["group"]) == (f"new {record['name']}", None)
    assert claim(admin, start(admin, path_of(record), "check"))["record"]["secret"] == "new"


def test_others_move_when_the_operation_succeeds(admin):
    group = f"group {next(_numbers)}"
    records = [make(admin, group=group) for _ in range(3)]
    for record in records:
        finished(admin, claim(admin, start(admin, path_of(record), "download")), "succeeded")
    for record in records:
        claimed = claim(admin, start(admin, path_of(record), "activate"))
        finished(admin, claimed, "succeeded")
        statuses = {one["id"]: one["status"] for one in admin.list("/packages", group=group)}
        assert [statuses[one["id"]] for one in records] == [
            "Active" if one is record else "Downloaded" for one in records]
    history = admin.list(f"{path_of(records[0])}/history")
    assert [(entry["transition"], entry["to"]) for entry in history] == [
        ("download", "Downloaded"), ("activate", "Active"), ("activate", "Downloaded")]


def test_others_that_are_held_make_it_fail(admin):
    group = f"group {next(_numbers)}"
    active, next_one = [make(admin, group=group) for _ in range(2)]
    for record in (active, next_one):
        finished(admin, claim(admin, start(admin, path_of(record), "download")), "succeeded")
    finished(admin, claim(admin, start(admin, path_of(active), "activate")), "succeeded")
    held = start(admin, path_of(active), "check")
    failed = finished(admin, claim(admin, start(admin, path_of(next_one), "activate")), "succeeded")
    assert failed["state"] == "failed" and held["id"] in failed["detail"]
    assert admin.get(path_of(next_one)).json()["status"] == "Downloaded"
    assert admin.get(path_of(active)).json()["status"] == "Active"


def test_a_record_that_goes_with_another_fails_its_operation(admin):
    owner = admin.create("/owners", {"name": "o"})
    path = f"/assets/{admin.create('/assets', {'owner': owner['id']})['id']}"
    claimed = claim(admin, start(admin, path, "audit"))
    assert admin.delete(f"/owners/{owner['id']}").status_code == 204
    failed = finished(admin, claimed, "succeeded")
    assert (failed["state"], failed["detail"]) == ("failed", "the record is gone")
    # One that nobody has claimed yet is not given to anybody.
    owner = admin.create("/owners", {"name": "o"})
    path = f"/assets/{admin.create('/assets', {'owner': owner['id']})['id']}"
    operation = start(admin, path, "audit")
    assert admin.delete(f"/owners/{owner['id']}").status_code == 204
    assert claim_any(admin, "assets.audit") is None
    ended = read(admin, operation)
    assert (ended["state"], ended["detail"]) == ("failed", "the record is gone")


def test_the_guard_counts_at_the_end(admin, server):
    record = make(admin)
    operation = start(admin, path_of(record), "download")
    claimed = claim(admin, operation)
    with server.store.connect(server.folder) as connection:  # past trestle
        connection.execute(
            f"UPDATE packages SET status = 'Rejected' WHERE id = {record['id']}")
    failed = finished(admin, claimed, "succeeded")
    assert (failed["state"], failed["detail"]) == (
        "failed", "status is Rejected; download needs Created")
    assert admin.delete(path_of(record)).status_code == 204


# Cancel

def test_a_queued_operation_is_cancelled_at_once(admin):
    record = make(admin)
    operation = start(admin, path_of(record), "download")
    response = cancel(admin, operation)
    assert response.status_code == 200
    assert response.json() == {**operation, "state": "cancelled",
                               "ended_at": response.json()["ended_at"]}
    assert claim_any(admin, "packages.download") is None
    problem(cancel(admin, operation), 409, "operation-ended")
    start(admin, path_of(record), "download")


def test_the_worker_of_a_running_one_is_asked_to_stop(admin):
    record = make(admin)
    claimed = claim(admin, start(admin, path_of(record), "download"))
    asked = cancel(admin, claimed["operation"]).json()
    assert (asked["state"], asked["cancel_requested"]) == ("running", True)
    assert cancel(admin, claimed["operation"]).json() == asked
    assert beat(admin, claimed).json()["cancel_requested"] is True
    ended = finished(admin, claimed, "cancelled", detail="stopped")
    assert (ended["state"], ended["detail"]) == ("cancelled", "stopped")
    problem(cancel(admin, claimed["operation"]), 409, "operation-ended")
    assert admin.patch(path_of(record), {"group": "g"}).status_code == 200


@pytest.mark.parametrize("state, ends", [
    ("failed", "cancelled"), ("released", "cancelled"), ("succeeded", "succeeded")])
def test_a_worker_that_was_asked_to_stop_may_end_otherwise(admin, state, ends):
    claimed = claim(admin, start(admin, path_of(make(admin)), "download"))
    cancel(admin, claimed["operation"])
    assert finished(admin, claimed, state)["state"] == ends
    assert finished(admin, claimed, state)["state"] == ends


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_what_has_ended_is_not_cancelled(admin, state):
    claimed = claim(admin, start(admin, path_of(make(admin)), "check"))
    ended = finished(admin, claimed, state)
    refused = problem(cancel(admin, ended), 409, "operation-ended")
    assert refused["detail"] == f"the operation has ended: it {state}"
    assert read(admin, ended) == ended


def test_a_retry_that_waits_is_cancelled_at_once(admin):
    record = make(admin)
    claimed = claim(admin, start(admin, path_of(record), "download"))
    assert finished(admin, claimed, "failed")["state"] == "queued"
    assert cancel(admin, claimed["operation"]).json()["state"] == "cancelled"
    assert admin.delete(path_of(record)).status_code == 204


# Who may what

def test_scopes(server, admin):
    reader = key(server, "packages:read")
    mover = key(server, "packages:read", "packages:download")
    worker = key(server, "packages:run")
    stranger = key(server, "owners:read", "*:write")
    everybody = key(server, "*:run")
    record = make(admin)
    for client in (reader, worker, stranger):
        problem(client.post(f"{path_of(record)}/download", data=b""), 403)
    operation = start(mover, path_of(record), "download")
    assert re.fullmatch(r"key:[0-9a-f-]{36}", operation["requested_by"])
    assert read(reader, operation) == read(mover, operation) == read(admin, operation)
    for client in (worker, stranger):
        refused = client.get(f"/operations/{operation['id']}")
        assert "packages:read" in problem(refused, 403, "forbidden")["detail"]
        assert 'scope="packages:read"' in refused.headers["WWW-Authenticate"]
    problem(server.public.get(f"/operations/{operation['id']}"), 401)
    body = {"transitions": ["packages.download"]}
    for client in (reader, mover, stranger):
        refused = client.post("/operations/claim", body)
        assert "packages:run" in problem(refused, 403, "forbidden")["detail"]
    problem(server.public.post("/operations/claim", body), 401)
    problem(worker.post("/operations/claim",
                        {"transitions": ["packages.download", "files.scan"]}), 403)
    claimed = claim(worker, operation)
    for client in (reader, mover, stranger):
        problem(beat(client, claimed), 403)
        problem(finish(client, claimed, "succeeded"), 403)
    problem(beat(server.public, claimed), 401)
    for client in (reader, worker, stranger):
        assert "packages:download" in problem(cancel(client, operation), 403)["detail"]
    problem(cancel(server.public, operation), 401)
    assert cancel(mover, operation).status_code == 200
    assert beat(everybody, claimed).json()["cancel_requested"] is True
    assert finished(worker, claimed, "cancelled")["state"] == "cancelled"


def test_scopes_that_are_none(admin):
    for scope in ("packages:run", "files:run", "*:run", "packages:activate"):
        assert admin.post("/keys", {"name": "k", "scopes": [scope]}).status_code == 201
    for scope in ("plain:run", "operations:read", "operations:run", "*:download"):
        problem(admin.post("/keys", {"name": "k", "scopes": [scope]}), 400, "invalid-body")


def test_lists_show_what_the_caller_may_read(server, admin):
    package = start(admin, path_of(make(admin)), "check")
    path = f"/files/list-{next(_numbers)}"
    server.public.put(path, {})
    scan = start(server.public, path, "scan")
    owner = admin.create("/owners", {"name": "o"})
    audit = start(admin, f"/assets/{admin.create('/assets', {'owner': owner['id']})['id']}", "audit")
    everything = {package["id"], scan["id"], audit["id"]}

    def seen(client, **parameters):
        return {one["id"] for one in client.list("/operations", **parameters)} & everything
    assert seen(admin, sort="-id") == everything
    assert seen(key(server, "packages:read"), sort="-id") == {package["id"], scan["id"]}
    assert seen(key(server, "*:read"), sort="-id") == everything
    assert seen(key(server, "plain:read"), sort="-id") == {scan["id"]}
    assert seen(server.public, sort="-id") == {scan["id"]}
    assert seen(key(server, "packages:read"), resource="assets") == set()
    assert server.public.get("/operations?count=true&resource=packages").headers[
        "X-Total-Count"] == "0"
    assert seen(admin, resource="packages", state="queued") == {package["id"]}
    assert seen(admin, resource="assets", record=audit["record"]) == {audit["id"]}
    problem(admin.get("/operations?due_at=2020-01-01T00:00:00Z"), 400)
    # A cursor of one list is none of another, which has other records.
    page = admin.get("/operations?limit=1&sort=-id")
    following = page.links["next"]["url"]
    assert admin.get(following).status_code == 200
    problem(server.public.get(following), 400, "invalid-cursor")


def test_an_operation_has_a_version(admin):
    operation = start(admin, path_of(make(admin)), "check")
    path = f"/operations/{operation['id']}"
    first = admin.get(path)
    assert admin.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    claim(admin, operation)
    second = admin.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert second.status_code == 200 and second.headers["ETag"] != first.headers["ETag"]
    assert second.headers["Cache-Control"] == "private, no-cache"


def test_the_lifecycle_says_what_is_long(admin):
    transitions = {one["name"]: one for one in
                   admin.get("/packages/lifecycle").json()["transitions"]}
    assert transitions["download"]["long"] is True and transitions["check"]["long"] is True
    assert "long" not in transitions["reject"]
    assert (transitions["download"]["time_limit_seconds"], transitions["download"]["retries"]) == (
        600, 2)


# Waiting

def in_a_while(what, seconds=0.5):
    thread = threading.Timer(seconds, what)
    thread.start()
    return thread


def test_a_reader_waits_for_the_end(server, admin):
    claimed = claim(admin, start(admin, path_of(make(admin)), "check"))
    path = f"/operations/{claimed['operation']['id']}"
    began = time.monotonic()
    thread = in_a_while(lambda: finished(server.client(), claimed, "succeeded"))
    waited = admin.get(f"{path}?wait=30")
    assert waited.json()["state"] == "succeeded"
    assert 0.4 < time.monotonic() - began < 5
    thread.join()
    began = time.monotonic()
    assert admin.get(f"{path}?wait=30").json() == waited.json()
    assert time.monotonic() - began < 5


def test_a_reader_waits_no_longer_than_asked(admin):
    operation = start(admin, path_of(make(admin)), "check")
    began = time.monotonic()
    assert admin.get(f"/operations/{operation['id']}?wait=1").json() == operation
    assert 0.9 < time.monotonic() - began < 10
    for wrong in ("61", "-1", "x", "1.5", ""):
        problem(admin.get(f"/operations/{operation['id']}?wait={wrong}"), 400, "invalid-parameter")
    problem(admin.get(f"/operations/{operation['id']}?wait=1&wait=2"), 400, "invalid-parameter")


def test_many_readers_wait(server, admin):
    claimed = claim(admin, start(admin, path_of(make(admin)), "check"))
    path = f"/operations/{claimed['operation']['id']}?wait=30"
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(server.client().get, path) for _ in range(20)]
        time.sleep(0.5)
        assert not any(answer.done() for answer in answers)
        finished(admin, claimed, "failed")
        assert {answer.result().json()["state"] for answer in answers} == {"failed"}


def test_a_claim_waits_for_work(server, admin):
    record = make(admin)
    thread = in_a_while(lambda: start(server.client(), path_of(record), "check"))
    began = time.monotonic()
    response = admin.post("/operations/claim?wait=30", {"transitions": ["packages.check"]})
    assert response.status_code == 200 and 0.4 < time.monotonic() - began < 5
    assert response.json()["record"]["id"] == record["id"]
    thread.join()
    began = time.monotonic()
    nothing = admin.post("/operations/claim?wait=1", {"transitions": ["packages.check"]})
    assert nothing.status_code == 204 and 0.9 < time.monotonic() - began < 10
    problem(admin.post("/operations/claim?wait=61", {"transitions": ["packages.check"]}), 400)


def test_a_claim_waits_for_a_lease_to_end(admin):
    operation = start(admin, path_of(make(admin)), "check")
    claim(admin, operation, lease_seconds=1)
    response = admin.post("/operations/claim?wait=30", {"transitions": ["packages.check"]})
    assert response.status_code == 200 and response.json()["attempt"] == 2


def test_each_of_those_who_wait_gets_one(server, admin):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(server.client().post, "/operations/claim?wait=30",
                               {"transitions": ["packages.check"]}) for _ in range(8)]
        time.sleep(0.3)
        operations = {start(admin, path_of(make(admin)), "check")["id"] for _ in range(8)}
        assert {answer.result().json()["operation"]["id"] for answer in answers} == operations


def test_a_start_waits_for_the_end(server, admin):
    record = make(admin)

    def work():
        claimed = server.client().post("/operations/claim?wait=30",
                                       {"transitions": ["packages.check"]}).json()
        finished(server.client(), claimed, "succeeded")
    thread = in_a_while(work, 0)
    response = admin.post(f"{path_of(record)}/check", data=b"", headers={"Prefer": "wait=30"})
    thread.join()
    assert response.status_code == 200 and response.json()["state"] == "succeeded"
    assert response.headers["Preference-Applied"] == "wait=30"
    assert response.headers["Location"] == f"/operations/{response.json()['id']}"
    response = admin.post(f"{path_of(record)}/check", data=b"", headers={"Prefer": "wait=1"})
    assert response.status_code == 202 and response.json()["state"] == "queued"


# What nobody else ends

def test_a_cancelled_operation_whose_worker_is_gone_ends(admin):
    record = make(admin)
    operation = start(admin, path_of(record), "check")
    claim(admin, operation, lease_seconds=1)
    cancel(admin, operation)
    ended = wait_until(lambda: (now := read(admin, operation))["state"] == "cancelled" and now,
                       "it is swept")
    assert ended["ended_at"] and ended["attempts"] == 1
    assert admin.delete(path_of(record)).status_code == 204


def test_what_every_worker_loses_fails(admin, server):
    record = make(admin)
    operation = start(admin, path_of(record), "check")
    with server.store.connect(server.folder) as connection:
        for attempt in range(1, 11):
            assert claim(admin, operation)["attempt"] == attempt
            connection.execute("UPDATE trestle_operations SET due_at = '2020-01-01T00:00:00.000Z' "
                               f"WHERE id = '{operation['id']}'")
    assert claim_any(admin, "packages.check") is None
    ended = wait_until(lambda: (now := read(admin, operation))["state"] == "failed" and now,
                       "it is swept")
    assert "10 workers in a row" in ended["detail"]
    assert admin.delete(path_of(record)).status_code == 204


def test_operations_are_kept_for_a_while():
    with Server(DEFINITIONS, settings={"operations_retention": "1s"}) as server:
        admin = server.admin
        ended = start(admin, path_of(make(admin)), "check")
        stays = start(admin, path_of(make(admin)), "check")
        cancel(admin, ended)
        wait_until(lambda: admin.get(f"/operations/{ended['id']}").status_code == 404, "it is gone")
        assert read(admin, stays) == stays


# Events

def test_listeners_hear_of_what_they_may_read(server, admin):
    reader = server.admin.create("/keys", {"name": "r", "scopes": ["packages:read"]})["secret"]
    with Listener(server, "operations", key=reader) as some, \
            Listener(server, "operations") as all_of_them:
        owner = admin.create("/owners", {"name": "o"})
        audit = start(admin, f"/assets/{admin.create('/assets', {'owner': owner['id']})['id']}",
                      "audit")
        check = start(admin, path_of(make(admin)), "check")
        heard = [all_of_them.next() for _ in range(2)]
        assert [event.data["key"] for event in heard] == [audit["id"], check["id"]]
        event = some.next()
        assert (event.change, event.data["key"]) == ("created", check["id"])
        assert event.data["record"] == check


# Several processes

@contextlib.contextmanager
def processes(count):
    """So many, on one database."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Server(DEFINITIONS))
        servers = [first]
        for _ in range(count - 1):
            servers.append(stack.enter_context(
                Server(DEFINITIONS, settings={"database": first.settings["database"]})))
        yield servers


def test_waits_end_when_another_process_ends_it():
    with processes(2) as (one, other):
        for _ in range(3):
            claimed = claim(one.admin, start(one.admin, path_of(make(one.admin)), "check"))
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(
                    other.admin.get, f"/operations/{claimed['operation']['id']}?wait=30")
                time.sleep(0.5)
                finished(one.admin, claimed, "succeeded")
                began = time.monotonic()
                assert waiting.result().json()["state"] == "succeeded"
                assert time.monotonic() - began < 1.5  # a second, and a busy machine
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(other.admin.post, "/operations/claim?wait=30",
                                      {"transitions": ["packages.check"]})
                time.sleep(0.5)
                operation = start(one.admin, path_of(make(one.admin)), "check")
                assert waiting.result().json()["operation"]["id"] == operation["id"]
                finished(other.admin, waiting.result().json(), "succeeded")


def test_no_two_claimers_hold_the_same_attempt():
    with processes(3) as servers:
        admin = servers[0].admin
        operations = [start(admin, path_of(make(admin)), "check") for _ in range(60)]
        attempts = []

        def work(number):
            client = servers[number % 3].client()
            mine = []
            while claimed := claim_any(client, "packages.check", worker=str(number)):
                mine.append((claimed["operation"]["id"], claimed["attempt"]))
                # Every other one is handed back, so that it is claimed once more.
                state = "released" if claimed["attempt"] < 3 else "succeeded"
                finished(client, claimed, state)
            return mine
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for mine in pool.map(work, range(6)):
                attempts += mine
        assert len(attempts) == len(set(attempts)) == 3 * len(operations)
        assert {id for id, _ in attempts} == {operation["id"] for operation in operations}
        for server in servers:
            states = {one["state"] for one in server.admin.list("/operations", limit=1000)}
            assert states == {"succeeded"}
