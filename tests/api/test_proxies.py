"""Behind proxies: whom the program takes for the client, as its access log tells."""

import itertools
import json
import socket

import pytest

import harness
from harness import Server, wait_until

PEER = "127.0.0.1"  # from where all requests come

_numbers = itertools.count()


def logged_address(server, **fields):
    """Makes a request with some fields, and gives the address that is logged for it."""
    number = f"request-{next(_numbers)}"
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    response = server.public.get("/healthz", headers={"X-Request-Id": number, **headers})
    assert response.headers["X-Request-Id"] == number
    return _address_of(server, number)


def _address_of(server, number):
    def found():
        lines = [json.loads(line) for line in server.log_text().splitlines() if number in line]
        return [line["peer"] for line in lines if line.get("request_id") == number]
    addresses = wait_until(found, f"the log's line about {number}")
    assert len(addresses) == 1
    return addresses[0]


def serve(**settings):
    return Server(settings={"log": "json", **settings})


@pytest.fixture(name="trusting", scope="module")
def _trusting():
    """A server that trusts who connects to it, 10/8 and an IPv6 network."""
    with serve(trusted_proxies=f"{PEER}, 10.0.0.0/8,2001:db8:f::/48") as server:
        yield server


def test_nobody_is_believed_unless_trusted():
    with serve() as server:
        assert logged_address(server, X_Forwarded_For="203.0.113.9",
                              Forwarded="for=203.0.113.9", X_Real_IP="203.0.113.9") == PEER
    with serve(trusted_proxies="203.0.113.0/24") as server:
        assert logged_address(server, X_Forwarded_For="203.0.113.9, 203.0.113.8") == PEER


@pytest.mark.parametrize("value, client", [
    ("203.0.113.9", "203.0.113.9"),
    ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
    ("1.1.1.1, 203.0.113.9, 10.1.1.1", "203.0.113.9"),
    ("2001:db8::9, 2001:db8:f::1,10.1.1.1", "2001:db8::9"),
    ("[2001:DB8::9]:4711", "2001:db8::9"),
    ("::ffff:203.0.113.9, ::ffff:10.1.1.1", "203.0.113.9"),
    ("10.3.3.3, 10.2.2.2", "10.3.3.3"),
    ("unknown", PEER),
    ("203.0.113.9, nonsense, 10.2.2.2", "10.2.2.2"),
    ("", PEER),
])
def test_the_first_from_the_right_who_is_not_trusted(trusting, value, client):
    assert logged_address(trusting, X_Forwarded_For=value) == client


def test_without_the_field_it_is_the_proxy(trusting):
    assert logged_address(trusting) == PEER


def test_the_other_field_is_not_read(trusting):
    assert logged_address(trusting, Forwarded="for=203.0.113.9") == PEER
    assert logged_address(trusting, Forwarded="for=1.1.1.1",
                          X_Forwarded_For="203.0.113.9") == "203.0.113.9"


def test_several_fields_are_one_list(trusting):
    with trusting.wire() as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: twice\r\n"
                  b"X-Forwarded-For: 1.1.1.1, 203.0.113.9\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n")
        assert wire.receive("GET").status == 200
    assert _address_of(trusting, "twice") == "203.0.113.9"


def test_forwarded():
    with serve(trusted_proxies=f"{PEER},10.0.0.0/8", proxy_field="forwarded") as server:
        assert logged_address(server, Forwarded='for=1.1.1.1, for="[2001:db8::9]:80";proto=https'
                              ) == "2001:db8::9"
        assert logged_address(server, Forwarded='for="1.1.1.1, for=203.0.113.9, for=10.2.2.2'
                              ) == "203.0.113.9"
        assert logged_address(server, Forwarded="for=unknown",
                              X_Forwarded_For="203.0.113.9") == PEER


@pytest.mark.parametrize("trusted, client", [("unix", "203.0.113.9"), ("none", ""),
                                             ("127.0.0.0/8", "")])
def test_a_unix_socket(trusted, client):
    server = serve(trusted_proxies=trusted)
    path = str(server.folder / "socket")
    with server:
        server.stop()
        server.spawn(listen=f"unix:{path}")
        def connected():
            try:
                wire = socket.socket(socket.AF_UNIX)
                wire.connect(path)
                return wire
            except OSError:
                wire.close()
                return None
        with wait_until(connected, "the socket is there") as wire:
            wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: local\r\n"
                         b"Connection: close\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n")
            assert wire.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert _address_of(server, "local") == client


@pytest.mark.parametrize("setting, value, said", [
    ("trusted_proxies", "10.0.0.1/8", "TRESTLE_TRUSTED_PROXIES"),
    ("trusted_proxies", "proxy.example", "neither an address nor a network"),
    ("proxy_field", "x-real-ip", "TRESTLE_PROXY_FIELD"),
])
def test_what_does_not_fit_is_told(setting, value, said):
    server = serve(**{setting: value})
    try:
        assert said in server.refuses_to_start()
    finally:
        server.close()


def test_all_three_ways_to_set_it():
    server = serve()
    try:
        (server.folder / "trestle.yaml").write_text("trusted_proxies:\n  - 10.0.0.0/8\n  - bad\n")
        assert "trestle.yaml:2:3: trusted_proxies: " in server.refuses_to_start()
        (server.folder / "trestle.yaml").unlink()
        result = harness.program("serve", "--trusted-proxies", "bad", folder=server.folder)
        assert result.returncode != 0 and "--trusted-proxies: " in result.stderr
        result = harness.program("help", "serve", folder=server.folder, check=0)
        assert "--trusted-proxies" in result.stdout and "--proxy-field" in result.stdout
    finally:
        server.close()
