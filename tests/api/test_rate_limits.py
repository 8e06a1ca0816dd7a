"""Rate limits: of keys, of addresses, of resources, and of attempts with keys that are not good.

Rates are so slow (a time an hour) that nothing comes back while a test runs."""

import concurrent.futures
import datetime
import json
import re

import pytest

import harness
from harness import ADMIN_KEY, Server, problem, wait_until

THINGS = """
access: {read: public, write: key, close: key, look: public}
rate_limit: {read: 6/h, write: 4/h burst 5, close: 2/h}
lifecycle: {property: state, states: [Open, Closed]}
properties:
  name: {type: string, maxLength: 100}
transitions:
  close: {from: [Open], to: Closed}
  look: {set: {name: "'seen'"}}
"""

PLAIN = """
access: {read: public, write: key}
properties:
  name: {type: string, maxLength: 100}
"""

PROXIED = {"trusted_proxies": "127.0.0.0/8"}


def serve(**settings):
    return Server({"things": THINGS, "plain": PLAIN}, settings=settings)


def make_key(server, *scopes):
    key = server.admin.create("/keys", {"name": "k", "scopes": list(scopes) or ["*:read", "*:write"]})
    return key


def client_of(server, *scopes):
    return server.client(make_key(server, *scopes)["secret"])


def limits(response):
    """The fields, as {name: (q, w, r, t)}; an answer has both of them or none."""
    policies = response.headers.get("RateLimit-Policy")
    states = response.headers.get("RateLimit")
    if policies is None:
        assert states is None
        return {}
    found = {}
    for policy, state in zip(policies.split(", "), states.split(", "), strict=True):
        name, q, w = re.fullmatch(r'"([a-z:_]+)";q=(\d+);w=(\d+)', policy).groups()
        same, r, t = re.fullmatch(r'"([a-z:_]+)";r=(\d+);t=(\d+)', state).groups()
        assert name == same
        found[name] = tuple(map(int, (q, w, r, t)))
    return found


def check_refused(response, name):
    """A 429, which tells which limit and for how long."""
    value = problem(response, 429, "rate-limited")
    assert f'"{name}"' in value["detail"], value
    wait = int(response.headers["Retry-After"])
    assert wait > 0
    assert f"try again in {wait} s" in value["detail"]
    policy = limits(response)[name]
    assert policy[2] == 0 and policy[3] == wait
    return wait


# Keys


def test_a_key_has_its_requests():
    with serve(rate_limit_key="3/h burst 4") as server:
        one = client_of(server)
        other = client_of(server)
        for left in (3, 2, 1, 0):
            answer = one.get("/plain")
            assert answer.status_code == 200
            assert limits(answer) == {"key": (4, 4800, left, 1200)}
        assert 1190 <= check_refused(one.get("/plain"), "key") <= 1200
        assert limits(other.get("/plain"))["key"][2] == 3
        # Everything that the key asks counts, whatever becomes of it.
        assert other.get("/plain/1").status_code == 404
        problem(other.post("/plain", {"nonsense": 1}), 400)
        problem(other.delete("/keys/x"), 403)
        check_refused(other.options("/plain"), "key")
        check_refused(other.get("/plain"), "key")


def test_what_is_not_served_does_not_count():
    with serve(rate_limit_key="1/h") as server:
        client = client_of(server)
        for _ in range(3):
            assert limits(client.get("/nowhere")) == {}
            assert limits(client.put("/plain", {})) == {}
        assert limits(client.get("/plain"))["key"][2] == 0


def test_time_brings_them_back():
    with serve(rate_limit_key="20/s burst 1") as server:
        client = client_of(server)
        statuses = [client.get("/plain").status_code for _ in range(30)]
        assert 200 in statuses
        wait_until(lambda: client.get("/plain").status_code == 200, "one is let again")


def test_the_administrators_key_has_no_limit():
    with serve(rate_limit_key="1/h", rate_limit_address="1/h") as server:
        for _ in range(5):
            assert limits(server.admin.get("/plain")) == {}
            assert server.admin.get("/things").status_code == 200
        # A key whose scope is admin is one like others.
        admin = client_of(server, "admin")
        assert admin.get("/keys").status_code == 200
        check_refused(admin.get("/keys"), "key")


def test_a_rotated_key_is_the_same():
    with serve(rate_limit_key="2/h") as server:
        key = make_key(server)
        assert server.client(key["secret"]).get("/plain").status_code == 200
        rotated = server.admin.post(f"/keys/{key['id']}/rotate", {}).json()
        assert server.client(rotated["secret"]).get("/plain").status_code == 200
        check_refused(server.client(rotated["secret"]).get("/plain"), "key")
        check_refused(server.client(key["secret"]).get("/plain"), "key")


# Addresses


def test_an_address_has_its_requests():
    with serve(rate_limit_address="2/h", **PROXIED) as server:
        public = server.public
        def get(address, client=public):
            return client.get("/plain", headers={"X-Forwarded-For": address})
        assert limits(get("203.0.113.1")) == {"address": (2, 3600, 1, 1800)}
        assert get("::ffff:203.0.113.1").status_code == 200
        check_refused(get("203.0.113.1"), "address")
        # What the client says of itself changes nothing.
        check_refused(get("198.51.100.1, 203.0.113.1"), "address")
        assert get("203.0.113.2").status_code == 200
        # Somebody with a key is not somebody without one.
        assert get("203.0.113.1", client_of(server)).status_code == 200
        # A whole IPv6 network is one.
        assert get("2001:db8::1").status_code == 200
        assert get("2001:db8::ffff:1").status_code == 200
        check_refused(get("2001:db8::2"), "address")
        assert get("2001:db8:0:1::1").status_code == 200


def test_those_who_may_not_are_counted_too():
    with serve(rate_limit_address="2/h") as server:
        problem(server.public.get("/keys"), 401, "key-required")
        problem(server.public.post("/plain", {}), 401, "key-required")
        check_refused(server.public.get("/keys"), "address")


def test_health_is_never_limited():
    with serve(rate_limit_address="1/h", rate_limit_key="1/h", rate_limit_failures="1/h") as server:
        for client in (server.public, client_of(server), server.client("wrong")):
            for _ in range(3):
                for path in ("/healthz", "/readyz"):
                    answer = client.get(path)
                    assert answer.status_code == 200
                    assert limits(answer) == {}


# Resources


def test_a_resource_has_its_own():
    with serve() as server:
        one = client_of(server, "*:read", "*:write", "things:close")
        other = client_of(server)
        for left in (5, 4, 3, 2, 1, 0):
            assert limits(one.get("/things")) == {"things:read": (6, 3600, left, 600)}
        check_refused(one.get("/things/1"), "things:read")
        assert other.get("/things").status_code == 200
        assert server.public.get("/things").status_code == 200
        assert limits(one.get("/plain")) == {}
        # Writing and each transition count by themselves.
        made = one.post("/things", {"name": "a"})
        assert limits(made) == {"things:write": (5, 4500, 4, 900)}
        path = f"/things/{made.json()['id']}"
        assert limits(one.post(path + "/close", {})) == {"things:close": (2, 3600, 1, 1800)}
        problem(one.post(path + "/close", {}), 409)
        check_refused(one.post(path + "/close", {}), "things:close")
        assert limits(one.post(path + "/look", {})) == {}
        assert one.patch(path, data="{}", headers={"Content-Type": "application/json"}
                         ).status_code == 200
        assert limits(one.options("/things")) == {}


def test_all_limits_are_told():
    with serve(rate_limit_key="10/h") as server:
        client = client_of(server)
        assert limits(client.get("/things")) == {"key": (10, 3600, 9, 360),
                                                 "things:read": (6, 3600, 5, 600)}
        assert set(limits(client.head("/things"))) == {"key", "things:read"}
        answer = client.get("/things")
        again = client.get("/things", headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304
        assert limits(again)["things:read"][2] == limits(answer)["things:read"][2] - 1
        for _ in range(2):
            assert client.get("/things").status_code == 200
        check_refused(client.get("/things"), "things:read")


def test_records_of_an_array_count_each():
    with serve() as server:
        client = client_of(server)
        answer = client.post("/things", [{"name": "a"}, {"name": "b"}, {"name": "c"}])
        assert answer.status_code == 201
        assert limits(answer)["things:write"][2] == 2
        refused = client.post("/things", [{"name": "d"}, {"name": "e"}, {"name": "f"}])
        value = problem(refused, 429, "rate-limited")
        assert '"things:write"' in value["detail"] and "Retry-After" in refused.headers
        assert len(server.admin.list("/things")) == 3
        # More than ever are let at once.
        value = problem(client_of(server).post("/things", [{}] * 6), 413, "body-too-large")
        assert '"things:write"' in value["detail"]


def test_lines_count_each():
    lines = "".join(json.dumps({"name": str(number)}) + "\n\n" for number in range(8))
    with serve(rate_limit_key="2/h") as server:
        client = client_of(server)
        answer = client.post("/things", data=lines,
                             headers={"Content-Type": "application/x-ndjson"})
        assert answer.status_code == 200
        assert limits(answer)["key"][2] == 1  # it is one request
        outcomes = [json.loads(line) for line in answer.text.splitlines()]
        assert [outcome["status"] for outcome in outcomes] == [201] * 5 + [429] * 3
        for outcome in outcomes[5:]:
            assert outcome["problem"]["type"].endswith(":rate-limited")
            assert '"things:write"' in outcome["problem"]["detail"]
        assert len(server.admin.list("/things")) == 5


def test_it_is_counted_before_the_body_is_read():
    with serve(rate_limit_key="1/h") as server:
        key = make_key(server)["secret"]
        assert server.client(key).get("/plain").status_code == 200
        with server.wire() as wire:
            wire.send(f"POST /plain HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n"
                      "Content-Type: application/json\r\nContent-Length: 13\r\n"
                      "Expect: 100-continue\r\n\r\n".encode())
            answer = wire.receive("POST")
            assert answer.status == 429
            assert answer.field("Retry-After") == "3600"


@pytest.mark.parametrize("text, said", [
    ("rate_limit: {read: 5}", "must be a string"),
    ("rate_limit: {read: fast}", "`fast` is no rate"),
    ("rate_limit: {read: 'off'}", "`off` is no rate"),
    ("rate_limit: {list: 5/s}", "list"),
    ("rate_limit: 5/s", "rate_limit"),
    ("rate_limit: {write: 5/s burst 0}", "is no rate"),
])
def test_a_definition_that_does_not_fit(text, said):
    server = Server({"things": PLAIN + text + "\n"})
    try:
        result = server.program("check")
        assert result.returncode != 0
        assert "things.yaml:5:" in result.stdout + result.stderr
        assert said in result.stdout + result.stderr
    finally:
        server.close()


def test_other_definitions_count_from_the_next_request():
    with serve() as server:
        for _ in range(6):
            assert server.public.get("/things").status_code == 200
        check_refused(server.public.get("/things"), "things:read")
        server.define("things", THINGS.replace("read: 6/h", "read: 3600/h burst 10000"))
        server.process.send_signal(harness.signal.SIGHUP)
        wait_until(lambda: "things:read" in limits(server.public.get("/things")) and
                   limits(server.public.get("/things"))["things:read"][0] == 10000, "the new limit")
        assert server.public.get("/things").status_code == 200


# Workers


def test_workers_share_the_buckets():
    with serve(rate_limit_key="100/d", workers=4) as server:
        key = make_key(server)["secret"]
        def hammer(_):
            client = server.client(key)
            statuses = [client.get("/plain").status_code for _ in range(40)]
            client.close()
            return statuses
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = [status for some in pool.map(hammer, range(8)) for status in some]
        assert statuses.count(200) == 100
        assert statuses.count(429) == 220


# Keys that are not good


def bad_keys(server):
    """Secrets that are refused: a wrong one, one that could be ours, a deactivated, an expired."""
    inactive = make_key(server)
    assert server.admin.patch(f"/keys/{inactive['id']}", data='{"active": false}', headers={
        "Content-Type": "application/json"}).status_code == 200
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    expired = server.admin.create("/keys", {
        "name": "short", "scopes": ["*:read"],
        "expires_at": soon.strftime("%Y-%m-%dT%H:%M:%S.%fZ")[:-4] + "Z"})
    wait_until(lambda: server.client(expired["secret"]).get("/keys").status_code == 401, "its end")
    deleted = make_key(server)
    assert server.admin.delete(f"/keys/{deleted['id']}").status_code == 204
    return ["nonsense", deleted["secret"], inactive["secret"], expired["secret"]]


def from_address(server, key, address, path="/keys"):
    client = server.client(key)
    try:
        return client.get(path, headers={"X-Forwarded-For": address})
    finally:
        client.close()


def test_failed_attempts_of_an_address_are_limited():
    with serve(rate_limit_failures="4/h", **PROXIED) as server:
        good = make_key(server)["secret"]
        bad = bad_keys(server)
        for key in bad:
            problem(from_address(server, key, "203.0.113.1"), 401)
        # From now on nobody is told why.
        said = set()
        for key in bad:
            answer = from_address(server, key, "203.0.113.1")
            check_refused(answer, "failures")
            value = answer.json()
            said.add((value["title"], re.sub(r"\d+", "N", value["detail"])))
            assert "WWW-Authenticate" not in answer.headers
            # Nor by what is public.
            check_refused(from_address(server, key, "203.0.113.1", "/plain"), "failures")
        assert len(said) == 1
        # Others behind the same address go on working, and so does who has no key.
        assert from_address(server, good, "203.0.113.1", "/plain").status_code == 200
        assert from_address(server, ADMIN_KEY, "203.0.113.1").status_code == 200
        assert from_address(server, None, "203.0.113.1", "/plain").status_code == 200
        problem(from_address(server, bad[0], "203.0.113.2"), 401)


def test_keys_cannot_be_tried_at_a_public_route():
    with serve(rate_limit_failures="3/h") as server:
        for left in (2, 1, 0):
            answer = server.client("nonsense").get("/plain")
            assert answer.status_code == 200
            assert limits(answer)["failures"][2] == left
        check_refused(server.client("nonsense").get("/plain"), "failures")
        check_refused(server.client("nonsense").get("/keys"), "failures")


def test_a_hundred_mistakes_are_borne_by_default():
    server = serve()
    del server.settings["rate_limit_failures"]  # which the tests' servers set
    with server:
        client = server.client("nonsense")
        statuses = [client.get("/keys").status_code for _ in range(150)]
        assert statuses[:100] == [401] * 100
        assert 429 in statuses


def test_failed_attempts_may_be_unlimited():
    with serve(rate_limit_failures="off") as server:
        client = server.client("nonsense")
        assert {client.get("/keys").status_code for _ in range(130)} == {401}


def test_failed_attempts_are_logged():
    with serve(log="json", rate_limit_failures="5/h", **PROXIED) as server:
        key = make_key(server)
        wrong = key["secret"][:-1] + ("0" if key["secret"][-1] != "0" else "1")
        client = server.client(wrong)
        for number in range(8):
            client.get("/keys", headers={"X-Forwarded-For": "203.0.113.1",
                                         "X-Request-Id": f"attempt-{number}"})
        server.client(ADMIN_KEY + "x").get("/keys", headers={"X-Forwarded-For": "203.0.113.2"})
        server.client("tr_" + "!" * 49).get("/keys", headers={"X-Forwarded-For": "203.0.113.3"})
        server.stop()
        warnings = [json.loads(line)["message"] for line in server.log_text().splitlines()
                    if '"level":"warning"' in line]
        first, = [line for line in warnings if "attempt-0" in line]
        assert "203.0.113.1" in first and key["prefix"] + "..." in first
        more, = [line for line in warnings if "attempt-7" in line]
        assert more.startswith("7 more requests") and "203.0.113.1" in more
        assert len([line for line in warnings if "203.0.113.1" in line]) == 2
        other, = [line for line in warnings if "203.0.113.2" in line]
        assert "tr_" not in other and ADMIN_KEY[:6] not in other
        strange, = [line for line in warnings if "203.0.113.3" in line]
        assert "tr_" not in strange
        # Nothing but the public prefix.
        log = server.log_text()
        assert key["prefix"] in log
        assert wrong[:len(key["prefix"]) + 1] not in log
        assert "adminadmin" not in log


# Settings


@pytest.mark.parametrize("setting", ["rate_limit_key", "rate_limit_address", "rate_limit_failures"])
def test_what_does_not_fit_is_told(setting):
    server = serve()
    try:
        for value in ("100", "0/s", "100/s burst", "on"):
            said = server.program("serve", check=2, **{setting: value}).stderr
            assert f"TRESTLE_{setting.upper()}: " in said and "is no rate" in said
        (server.folder / "trestle.yaml").write_text(f"log: json\n{setting}: 5\n")
        said = server.program("serve", check=2).stderr
        assert re.search(rf"trestle.yaml:2:\d+: {setting}: ", said)
    finally:
        server.close()


def test_nothing_is_told_where_nothing_is_limited():
    with serve() as server:
        assert limits(server.public.get("/plain")) == {}
        assert limits(client_of(server).get("/plain")) == {}
