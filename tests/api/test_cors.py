"""CORS (the Fetch standard): which web pages of other origins may read answers."""

import pytest

import harness
from harness import Server, problem
from listening import Listener

DEFINITIONS = {
    "things": "access: {read: public, write: public}\nevents: true\n"
              "properties: {name: {type: string}}\n",
    "locked": "properties: {name: {type: string}}\n",
}
SHOP, OTHER = "https://shop.example", "http://localhost:3000"
SETTINGS = {"CORS_ORIGINS": f"{SHOP}, {OTHER}"}
EXPOSED = {"ETag", "Location", "Link", "X-Total-Count", "X-Request-Id", "Retry-After",
           "Idempotency-Replayed", "Preference-Applied", "API-Key-Expires", "RateLimit",
           "RateLimit-Policy"}


def cors(response):
    return {name.lower(): value for name, value in response.headers.items()
            if name.lower().startswith("access-control-")}


def varies(response):
    return "Origin" in response.headers.get("Vary", "").split(", ")


def preflight(client, path, method, origin=SHOP):
    return client.options(path, headers={"Origin": origin, "Access-Control-Request-Method": method,
                                         "Access-Control-Request-Headers": "x-api-key"})


@pytest.mark.parametrize("origin", [SHOP, OTHER])
def test_an_origin_that_is_let_in(public, origin):
    created = public.post("/things", {"name": "a"}, headers={"Origin": origin})
    for response in (created, public.get("/things", headers={"Origin": origin}),
                     public.get(created.headers["Location"], headers={"Origin": origin})):
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert EXPOSED <= set(response.headers["Access-Control-Expose-Headers"].split(", "))
        assert "access-control-allow-credentials" not in cors(response)
        assert varies(response)


@pytest.mark.parametrize("origin", [
    None, "null", "https://evil.example", "http://shop.example", "https://shop.example:8443",
    "https://shop.example.evil.example", "https://shop.exampl", "https://shop.example/", "*",
    "HTTPS://SHOP.EXAMPLE", "https://shop.example, http://localhost:3000", ""])
def test_an_origin_that_is_not(public, origin):
    headers = {} if origin is None else {"Origin": origin}
    for response in (public.get("/things", headers=headers),
                     public.options("/things", headers={
                         **headers, "Access-Control-Request-Method": "PUT"})):
        assert response.ok and cors(response) == {} and varies(response)


def test_errors_have_the_fields_too(server, public):
    for response in (public.get("/nowhere", headers={"Origin": SHOP}),
                     public.get("/locked", headers={"Origin": SHOP}),
                     public.get("/things/x", headers={"Origin": SHOP}),
                     public.put("/things", {}, headers={"Origin": SHOP})):
        problem(response, response.status_code)
        assert response.headers["Access-Control-Allow-Origin"] == SHOP and varies(response)
    with server.wire() as wire:
        wire.send(f"GET /things HTTP/1.1\r\nHost: x\r\nOrigin: {SHOP}\r\n"
                  "Transfer-Encoding: gzip\r\n\r\n".encode())
        answer = wire.receive()
        assert answer.status >= 400 and answer.field("Access-Control-Allow-Origin") == SHOP


def test_what_is_not_modified(public):
    tag = public.get("/things").headers["ETag"]
    response = public.get("/things", headers={"Origin": SHOP, "If-None-Match": tag})
    assert response.status_code == 304
    assert response.headers["Access-Control-Allow-Origin"] == SHOP and varies(response)


def test_streams(server, public):
    with Listener(server, "things", fields=[f"Origin: {SHOP}"]) as listener:
        assert listener.fields["access-control-allow-origin"] == SHOP
        assert "ETag" in listener.fields["access-control-expose-headers"]
    response = public.post("/things", data=b'{"name":"a"}\n', headers={
        "Origin": SHOP, "Content-Type": "application/x-ndjson"})
    assert response.headers["Access-Control-Allow-Origin"] == SHOP


@pytest.mark.parametrize("path, method, methods", [
    ("/things", "POST", {"GET", "HEAD", "POST", "OPTIONS"}),
    ("/things/1", "PATCH", {"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"}),
    ("/locked/1", "DELETE", {"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"}),
    ("/keys", "POST", {"GET", "HEAD", "POST", "OPTIONS"}),
    ("/healthz", "GET", {"GET", "HEAD", "OPTIONS"}),
])
def test_preflights_need_no_key(public, path, method, methods):
    response = preflight(public, path, method)
    assert response.status_code == 204 and response.content == b""
    fields = cors(response)
    assert fields["access-control-allow-origin"] == SHOP
    assert set(fields["access-control-allow-methods"].split(", ")) == methods
    assert {"Authorization", "X-API-Key", "api-key", "Content-Type", "If-Match", "If-None-Match",
            "Idempotency-Key", "Prefer"} <= set(fields["access-control-allow-headers"].split(", "))
    assert int(fields["access-control-max-age"]) > 0
    assert set(response.headers["Allow"].split(", ")) == methods and varies(response)


def test_options_that_are_no_preflight(public):
    response = public.options("/things", headers={"Origin": SHOP})
    assert set(cors(response)) == {"access-control-allow-origin", "access-control-expose-headers"}
    problem(preflight(public, "/nowhere", "GET"), 404)


def test_it_is_off_by_default():
    with Server(DEFINITIONS) as server:
        for response in (server.public.get("/things", headers={"Origin": SHOP}),
                         preflight(server.public, "/things", "POST")):
            assert response.ok and cors(response) == {} and not varies(response)


def test_any_origin():
    with Server(DEFINITIONS, settings={"CORS_ORIGINS": "*"}) as server:
        for headers in ({}, {"Origin": "null"}, {"Origin": "https://any.example"}):
            response = server.public.get("/things", headers=headers)
            assert response.headers["Access-Control-Allow-Origin"] == "*" and not varies(response)
        response = preflight(server.public, "/things", "POST", "https://any.example")
        assert response.status_code == 204
        assert cors(response)["access-control-allow-origin"] == "*"
        assert "POST" in cors(response)["access-control-allow-methods"]


@pytest.mark.parametrize("value, what", [
    ("shop.example", "shop.example"), ("https://shop.example/", "shop.example/"),
    ("https://a.example, https://B.example", "https://B.example"),
    ("https://a.example:443", ":443"), ("https://*.example", "*.example"), ("*, https://a", "*"),
    ("null", "null"), ("https://a.example,,", ""),
])
def test_a_wrong_setting_is_named(tmp_path, value, what):
    (tmp_path / "resources").mkdir()
    (tmp_path / "trestle.yaml").write_text(f"data: data\ncors_origins: \"{value}\"\n")
    result = harness.program("serve", folder=tmp_path)
    assert result.returncode != 0
    assert "trestle.yaml:2:" in result.stderr and "cors_origins" in result.stderr
    assert what in result.stderr


def test_a_list_of_origins(tmp_path):
    (tmp_path / "resources").mkdir()
    (tmp_path / "trestle.yaml").write_text("cors_origins: [https://a.example, nonsense]\n")
    result = harness.program("serve", folder=tmp_path)
    assert result.returncode != 0 and "\"nonsense\"" in result.stderr
