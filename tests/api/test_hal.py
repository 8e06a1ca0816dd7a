"""application/hal+json: records and lists with links to what goes with them."""

import pytest

from harness import links, problem, relative

PUBLIC = "access: {read: public, write: public}\n"
DEFINITIONS = {
    "stores": PUBLIC + "properties:\n  name: {type: string, maxLength: 20}\n",
    "codes": PUBLIC + "key: code\nproperties: {code: {type: string, maxLength: 20}}\n",
    "texts": PUBLIC + "key: {digest: sha256(body)}\nrequired: [body]\nactions: [list, create, read]\n"
                      "properties: {body: {type: string, maxLength: 100}}\n",
    "things": """
access: {read: public, write: public, hide: key, open: public, wake: public, now: public}
properties:
  name:     {type: string, maxLength: 20}
  uses:     {type: integer, default: 0}
  store_id: {type: integer, references: stores, on_delete: set-null}
  code:     {type: string, references: codes}
  text:     {type: string, references: texts}
  token:    {type: integer, references: stores, writeOnly: true}
  self:     {type: integer, references: stores}
  wakes_at: {type: string, format: date-time, readOnly: true}
lifecycle: {property: status, states: [Shut, Open]}
transitions:
  open: {from: [Shut], to: Open, when: uses < 2, set: {uses: uses + 1}}
  hide: {from: [Open], to: Shut}
  wake: {when: wakes_at is null, set: {wakes_at: now()}}
  now:  {when: wakes_at > now(), set: {uses: 0}}
""",
    "locked": "properties: {name: {type: string}}\n",
}
HAL = {"Accept": "application/hal+json"}


def hal(client, path, **parameters):
    response = client.get(path, params=parameters, headers=HAL)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/hal+json"
    return response.json()


def hrefs(resource):
    return {name: link["href"] for name, link in resource["_links"].items()}


def without_links(record):
    return {name: value for name, value in record.items() if name not in ("_links", "_embedded")}


@pytest.fixture(name="thing")
def a_thing_with_references(public):
    store = public.create("/stores", {"name": "a"})
    public.put("/codes/a%2Fb%20%22c", {})
    text = public.post("/texts", {"body": "x"}).json()
    return public.create("/things", {"name": "t", "store_id": store["id"], "code": 'a/b "c',
                                     "text": text["digest"], "token": store["id"],
                                     "self": store["id"]})


def test_a_record_has_links(public, thing):
    path = f"/things/{thing['id']}"
    record = hal(public, path)
    assert without_links(record) == public.get(path).json() == thing
    assert hrefs(record) == {
        "self": path, "collection": "/things", "store_id": f"/stores/{thing['store_id']}",
        "code": "/codes/a%2Fb%20%22c", "text": f"/texts/{thing['text']}",
        "history": path + "/history", "open": path + "/open", "wake": path + "/wake"}
    for name, target in hrefs(record).items():
        if name not in ("open", "wake"):
            assert public.get(target).status_code == 200, name


def test_references_that_are_null_have_no_link(public):
    record = public.post("/things", {"name": "alone"}, headers=HAL).json()
    assert set(hrefs(record)) == {"self", "collection", "history", "open", "wake"}


def test_transitions_are_those_that_are_open_now(public, admin, thing):
    path = f"/things/{thing['id']}"

    def shown(client):
        return set(hrefs(hal(client, path))) & {"open", "hide", "wake", "now"}

    assert shown(public) == shown(admin) == {"open", "wake"}
    moved = public.post(path + "/open", {}, headers=HAL).json()
    assert set(hrefs(moved)) & {"open", "hide"} == set()
    assert shown(public) == {"wake"} and shown(admin) == {"hide", "wake"}
    assert set(hrefs(admin.post(path + "/hide", {}, headers=HAL).json())) >= {"open", "wake"}
    public.post(path + "/open", {})
    admin.post(path + "/hide", {})
    assert shown(admin) == {"wake"}, "the guard looks at uses"
    public.post(path + "/wake", {})
    assert shown(admin) == set()


def test_a_scope_shows_its_transition(server, admin, public, thing):
    path = f"/things/{thing['id']}"
    public.post(path + "/open", {})
    for scope, is_shown in (("things:hide", True), ("things:read", False), ("admin", True)):
        key = admin.create("/keys", {"name": "k", "scopes": [scope]})
        assert ("hide" in hrefs(hal(server.client(key["secret"]), path))) is is_shown


def test_tags_tell_what_is_shown(public, admin, thing):
    path = f"/things/{thing['id']}"
    public.post(path + "/open", {})
    mine = public.get(path, headers=HAL)
    theirs = admin.get(path, headers=HAL)
    plain = public.get(path)
    assert len({mine.headers["ETag"], theirs.headers["ETag"], plain.headers["ETag"]}) == 3
    assert len({tag.headers["ETag"].split(".")[0] for tag in (mine, theirs, plain)}) == 1
    for client, response in ((public, mine), (admin, theirs)):
        tag = response.headers["ETag"]
        again = client.get(path, headers={**HAL, "If-None-Match": tag})
        assert again.status_code == 304 and again.headers["ETag"] == tag and not again.content
        assert client.get(path, headers={**HAL, "If-Match": tag}).json() == response.json()
        problem(client.get(path, headers={"If-Match": tag}), 412)
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 200
    assert admin.get(path, headers={**HAL, "If-None-Match": mine.headers["ETag"]}).status_code == 200


def test_a_write_takes_the_tag_of_any_representation(public, admin, thing):
    path = f"/things/{thing['id']}"
    old = public.get(path, headers=HAL).headers["ETag"]
    written = public.patch(path, {"name": "u"}, headers={**HAL, "If-Match": old})
    assert written.status_code == 200
    assert written.json() == hal(public, path)
    assert written.headers["ETag"] == public.get(path, headers=HAL).headers["ETag"]
    problem(public.patch(path, {"name": "v"}, headers={"If-Match": old}), 412)
    moved = public.post(path + "/open", {}, headers={**HAL, "If-Match": written.headers["ETag"]})
    assert moved.status_code == 200
    assert public.delete(path, headers={**HAL, "If-Match": moved.headers["ETag"]}).status_code == 204


def test_caches_are_told_that_callers_see_different_links(public, thing):
    for path in (f"/things/{thing['id']}", "/things"):
        fields = public.get(path, headers=HAL).headers
        assert fields["Cache-Control"] == "private, no-cache"
        assert {"Accept", "Authorization", "X-API-Key", "api-key"} <= \
            set(fields["Vary"].split(", "))
        assert public.get(path).headers["Cache-Control"] == "no-cache"
    fields = public.get(f"/texts/{thing['text']}", headers=HAL).headers
    assert fields["Cache-Control"] == "public, max-age=31536000, immutable"
    assert fields["Vary"] == "Accept"


def test_head_says_what_get_does(public, thing):
    for path in (f"/things/{thing['id']}", "/things"):
        head, get = public.head(path, headers=HAL), public.get(path, headers=HAL)
        for name in ("ETag", "Content-Type", "Content-Length", "Cache-Control", "Vary"):
            assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("fields", ["name", "id", "store_id,uses"])
def test_chosen_fields_have_all_links(public, thing, fields):
    path = f"/things/{thing['id']}"
    whole = hal(public, path)
    record = hal(public, path, fields=fields)
    assert set(without_links(record)) == set(fields.split(","))
    assert record["_links"] == whole["_links"]
    listed, = hal(public, "/things", fields=fields, id=thing["id"])["_embedded"]["things"]
    assert listed == record


def test_a_list_embeds_its_records(public, thing):
    others = [public.create("/things", {"name": f"t{i}"}) for i in range(4)]
    ids = [record["id"] for record in (thing, *others)]
    target = "/things?filter=id%20%3E=%20" + str(ids[0])
    page = hal(public, target + "&sort=-id&limit=2&count=true")
    assert list(page) == ["_embedded", "_links", "total"] and page["total"] == 5
    assert [record["id"] for record in page["_embedded"]["things"]] == [ids[4], ids[3]]
    assert page["_embedded"]["things"] == [hal(public, f"/things/{i}") for i in (ids[4], ids[3])]
    assert set(page["_links"]) == {"self", "first", "next"}
    assert public.get(page["_links"]["self"]["href"], headers=HAL).json() == page
    seen = []
    while True:
        seen += [record["id"] for record in page["_embedded"]["things"]]
        if "next" not in page["_links"]:
            break
        page = hal(public, page["_links"]["next"]["href"])
    assert seen == ids[::-1] and set(page["_links"]) == {"self", "first", "prev"}
    back = hal(public, page["_links"]["prev"]["href"])
    assert [record["id"] for record in back["_embedded"]["things"]] == [ids[2], ids[1]]
    assert public.get(back["_links"]["self"]["href"], headers=HAL).json() == back
    assert hal(public, back["_links"]["first"]["href"])["_embedded"]["things"][0]["id"] == ids[4]
    response = public.get(target + "&limit=2", headers=HAL)
    assert {name: relative(at) for name, at in links(response).items()} == \
        {name: link["href"] for name, link in response.json()["_links"].items() if name != "self"}


def test_an_empty_list(public):
    assert hal(public, "/things?name=nobody%22%27%5C&count=true") == {
        "_embedded": {"things": []}, "total": 0,
        "_links": {"self": {"href": "/things?name=nobody%22%27%5C&count=true"},
                   "first": {"href": "/things?name=nobody%22%27%5C&count=true"}}}


def test_lists_have_tags_too(public, thing):
    response = public.get("/things", headers=HAL)
    tag = response.headers["ETag"]
    assert public.get("/things", headers={**HAL, "If-None-Match": tag}).status_code == 304
    assert public.get("/things", headers={"If-None-Match": tag}).status_code == 200


def test_what_is_embedded_has_a_link_to_itself(public, thing):
    for record in (hal(public, f"/things/{thing['id']}", expand="store_id,code", fields="name"),
                   hal(public, "/things", expand="store_id,code", fields="name",
                       id=thing["id"])["_embedded"]["things"][0]):
        embedded = record["_embedded"]
        assert embedded["store_id"]["_links"] == {"self": record["_links"]["store_id"]}
        assert embedded["code"]["_links"] == {"self": record["_links"]["code"]}
        assert without_links(embedded["store_id"]) == \
            public.get(f"/stores/{thing['store_id']}").json()
    alone = public.create("/things", {})
    assert hal(public, f"/things/{alone['id']}", expand="store_id")["_embedded"] == {}


def test_answers_to_writes(public, thing):
    created = public.post("/things", {"name": "x"}, headers=HAL)
    assert created.status_code == 201
    assert created.headers["Location"] == hrefs(created.json())["self"]
    assert created.json() == hal(public, created.headers["Location"])
    replaced = public.put(created.headers["Location"], {"name": "y"}, headers=HAL)
    assert replaced.json() == hal(public, created.headers["Location"])
    put = public.put("/codes/new", {}, headers=HAL)
    assert put.status_code == 201 and put.json() == hal(public, "/codes/new")
    twice = [public.post("/texts", {"body": "twice"}, headers=HAL) for _ in range(2)]
    assert [response.status_code for response in twice] == [201, 200]
    assert twice[0].json() == twice[1].json()


def test_an_array_is_answered_by_embedded_records(public):
    response = public.post("/things", [{"name": "a"}, {"name": "b"}], headers=HAL)
    assert response.status_code == 201
    assert list(response.json()) == ["_embedded"]
    records = response.json()["_embedded"]["things"]
    assert [record["name"] for record in records] == ["a", "b"]
    assert records == [hal(public, hrefs(record)["self"]) for record in records]


def test_idempotency_keys_are_for_one_type(public):
    key = {"Idempotency-Key": "hal-1"}
    first = public.post("/things", {"name": "k"}, headers={**HAL, **key})
    again = public.post("/things", {"name": "k"}, headers={**HAL, **key})
    assert again.headers["Idempotency-Replayed"] == "true" and again.json() == first.json()
    assert again.headers["ETag"] == first.headers["ETag"]
    problem(public.post("/things", {"name": "k"}, headers=key), 422)


def test_history_is_a_list(public, thing):
    path = f"/things/{thing['id']}"
    public.post(path + "/open", {})
    page = hal(public, path + "/history", limit=1)
    entry, = page["_embedded"]["history"]
    assert entry == public.get(path + "/history").json()[0] and "_links" not in entry
    assert page["_links"]["self"]["href"] == path + "/history?limit=1"


def test_keys_have_links(admin):
    response = admin.post("/keys", {"name": "k", "scopes": ["things:read"]}, headers=HAL)
    key = response.json()
    path = f"/keys/{key['id']}"
    parts = ("renew", "rotate", "history", "usage")
    assert hrefs(key) == {"self": path, "collection": "/keys",
                          **{name: f"{path}/{name}" for name in parts}}
    event, = hal(admin, path + "/history")["_embedded"]["history"]
    assert event["action"] == "create"
    assert key["secret"].startswith("tr_") and response.headers["Cache-Control"] == "no-store"
    assert "secret" not in hal(admin, path)
    rotated = admin.post(hrefs(key)["rotate"], {}, headers=HAL).json()
    assert rotated["secret"] != key["secret"] and "_links" in rotated
    assert key["id"] in [each["id"] for each in hal(admin, "/keys")["_embedded"]["keys"]]


def test_what_is_hidden_stays_hidden(public, admin):
    record = admin.create("/locked", {"name": "x"})
    problem(public.get(f"/locked/{record['id']}", headers=HAL), 401)
    assert admin.get(f"/locked/{record['id']}", headers=HAL).headers["Cache-Control"] == \
        "private, no-cache"


def test_json_is_preferred(public, thing):
    path = f"/things/{thing['id']}"
    for accept, chosen in (("*/*", "json"), ("application/*", "json"),
                           ("application/hal+json, application/json", "json"),
                           ("application/hal+json, application/json;q=0.9", "hal+json"),
                           ("application/json;q=0, */*", "hal+json")):
        response = public.get(path, headers={"Accept": accept})
        assert response.headers["Content-Type"] == f"application/{chosen}", accept
    problem(public.get("/things/lifecycle", headers=HAL), 406)
    refused = problem(public.get(path, headers={"Accept": "text/html"}), 406)
    assert refused["detail"] == "application/json, application/hal+json is what there is"
