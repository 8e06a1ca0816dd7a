"""Coupons, as they come with trestle: anyone reads, writing takes a key."""

import datetime
import re

import pytest

from harness import pointers, problem, relative

STORE = {"lat": 48.137154, "long": 11.576124, "city": "München", "phone": "+49 89 1234",
         "state": "Bavaria", "street": "Marienplatz 1", "zip": "80331"}
COUPON = {"category": "Food", "couponcode": "SAVE20", "description": "Twenty percent\noff.",
          "merchant": "Blue Bottle", "title": "20 % off every bean", "store": STORE,
          "published_at": "2016-08-05T08:40:51.620Z", "expire_at": "2016-09-05T00:00:00.000Z",
          "max_redemptions": 10, "redemptions": 0}
ORDER = ["id", "category", "couponcode", "description", "merchant", "title", "store",
         "published_at", "expire_at", "max_redemptions", "redemptions"]


@pytest.fixture
def coupon(admin):
    """A stored coupon, gone after the test."""
    record = admin.create("/coupons", COUPON)
    yield record
    admin.delete(f"/coupons/{record['id']}")


def path_of(record):
    return f"/coupons/{record['id']}"


def test_create_and_read(admin, public):
    response = admin.post("/coupons", COUPON)
    assert response.status_code == 201
    record = response.json()
    assert record == {"id": record["id"], **COUPON}
    assert list(record) == ORDER
    assert list(record["store"]) == list(STORE)
    assert relative(response.headers["Location"]) == path_of(record)
    assert public.get(path_of(record)).json() == record
    assert public.get("/coupons", params={"id": record["id"]}).json() == [record]
    admin.delete(path_of(record))


def test_defaults(admin):
    before = datetime.datetime.now(datetime.timezone.utc)
    record = admin.create("/coupons", {"title": "x"})
    after = datetime.datetime.now(datetime.timezone.utc)
    assert list(record) == ORDER
    assert record.pop("redemptions") == 0
    published = record.pop("published_at")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", published)
    stamp = datetime.datetime.fromisoformat(published)
    second = datetime.timedelta(milliseconds=1)
    assert before - second <= stamp <= after + second
    assert record.pop("title") == "x"
    identity = record.pop("id")
    assert set(record.values()) == {None}
    # They apply when a record is created, never again.
    replaced = admin.put(f"/coupons/{identity}", {"title": "y"}).json()
    assert replaced["published_at"] is None
    assert replaced["redemptions"] == 0
    patched = admin.patch(f"/coupons/{identity}", {"published_at": None}).json()
    assert patched["published_at"] is None
    admin.delete(f"/coupons/{identity}")


def test_a_default_gives_way_to_null(admin):
    """Null and absent are the same, so an explicit null gets the default as well."""
    record = admin.create("/coupons", {"title": "x", "published_at": None})
    absent = admin.create("/coupons", {"title": "x"})
    assert (record["published_at"] is None) == (absent["published_at"] is None)
    admin.delete(path_of(record))
    admin.delete(path_of(absent))


def test_replace(admin, public, coupon):
    response = admin.put(path_of(coupon), {"title": "Another", "expire_at": None})
    assert response.status_code == 200
    expected = dict.fromkeys(ORDER, None) | {"id": coupon["id"], "title": "Another",
                                             "redemptions": 0}
    assert response.json() == expected
    assert public.get(path_of(coupon)).json() == expected


def test_what_was_read_can_be_put_back(admin, public, coupon):
    response = public.get(path_of(coupon))
    for content_type in ("application/json", "application/json; charset=UTF-8"):
        answer = admin.put(path_of(coupon), data=response.content,
                           headers={"Content-Type": content_type})
        assert answer.status_code == 200
        assert answer.content == response.content


def test_put_does_not_create(admin):
    problem(admin.put("/coupons/999999999", {"title": "x"}), 404, "not-found")
    problem(admin.get("/coupons/999999999"), 404, "not-found")


@pytest.mark.parametrize("content_type", ["application/merge-patch+json", "application/json"])
def test_merge_patch(admin, coupon, content_type):
    """RFC 7396: null removes, objects are merged, anything else replaces."""
    headers = {"Content-Type": content_type}
    patch = {"category": None, "title": "New", "store": {"city": "Berlin", "zip": None, "lat": 1e1}}
    response = admin.patch(path_of(coupon), patch, headers=headers)
    assert response.status_code == 200
    got = response.json()
    store = {**STORE, "city": "Berlin", "lat": 10}
    del store["zip"]
    assert {**got["store"], "zip": None} == {**store, "zip": None}
    assert got == {**coupon, "category": None, "title": "New", "store": got["store"]}
    assert admin.get(path_of(coupon)).json() == got
    assert admin.patch(path_of(coupon), {}, headers=headers).json() == got
    assert admin.patch(path_of(coupon), {"store": None}, headers=headers).json()["store"] is None
    only = admin.patch(path_of(coupon), {"store": {"city": "Rome"}}, headers=headers).json()
    assert only["store"]["city"] == "Rome"
    assert not [name for name, value in only["store"].items() if name != "city" and value]


@pytest.mark.parametrize("patch", [[], "x", None, 1, [{"op": "remove", "path": "/title"}]])
def test_a_patch_that_is_no_object(admin, coupon, patch):
    """RFC 7396 lets it replace the whole record, which is no record then."""
    problem(admin.patch(path_of(coupon), patch), 400, "invalid-body")
    assert admin.get(path_of(coupon)).json() == coupon


def test_a_patch_must_leave_a_valid_record(admin, coupon):
    assert pointers(admin.patch(path_of(coupon), {"title": None})) == ["/title"]
    assert pointers(admin.patch(path_of(coupon), {"store": {"lat": 91}})) == ["/store/lat"]
    assert pointers(admin.patch(path_of(coupon), {"store": "x"})) == ["/store"]
    assert admin.get(path_of(coupon)).json() == coupon


def test_delete(admin, public):
    record = admin.create("/coupons", {"title": "x"})
    assert admin.delete(path_of(record)).status_code == 204
    problem(public.get(path_of(record)), 404, "not-found")
    problem(admin.delete(path_of(record)), 404, "not-found")
    problem(admin.put(path_of(record), {"title": "x"}), 404, "not-found")
    problem(admin.patch(path_of(record), {"title": "x"}), 404, "not-found")


def test_writing_takes_a_key(public, coupon):
    problem(public.post("/coupons", {"title": "x"}), 401, "key-required")
    problem(public.put(path_of(coupon), {"title": "x"}), 401, "key-required")
    problem(public.patch(path_of(coupon), {"title": "x"}), 401, "key-required")
    problem(public.delete(path_of(coupon)), 401, "key-required")
    assert public.get(path_of(coupon)).json() == coupon


VALID = {"never expires": {"expire_at": None},
         "expires later": {"expire_at": "2016-08-05T08:40:51.621Z"},
         "at the same instant": {"expire_at": "2016-08-05T10:40:51.62+02:00"},
         "both are null": {"expire_at": None, "published_at": None}}
INVALID = {"expires before": {"expire_at": "2016-08-05T08:40:51.619Z"},
           "long before": {"expire_at": "0001-01-01T00:00:00Z"}}


def test_the_status_filter(admin, public):
    category = "test_the_status_filter"
    for title, change in {**VALID, **INVALID}.items():
        admin.create("/coupons", {**COUPON, "category": category, "title": title, **change})
    for status, expected in (("valid", VALID), ("invalid", INVALID)):
        got = public.list("/coupons", status=status, category=category)
        assert {record["title"] for record in got} == set(expected)
    # A published_at of null after the fact is neither: a comparison with null is false.
    both = admin.list("/coupons", category=category, title="expires before")[0]
    admin.patch(path_of(both), {"published_at": None})
    titles = {record["title"] for status in ("valid", "invalid")
              for record in public.list("/coupons", status=status, category=category)}
    assert titles == set(VALID) | set(INVALID) - {"expires before"}
    for record in public.list("/coupons", category=category):
        admin.delete(path_of(record))


@pytest.mark.parametrize("query", [
    "status=expired", "status=", "status=VALID", "status=valid,invalid", "status", "state=valid",
    "valid=true", "status=valid&x=1", "=", "x"])
def test_any_other_status_is_refused(public, query):
    value = problem(public.get("/coupons?" + query), 400,
                    {"invalid-parameter", "unknown-parameter"})
    if "status" in query.split("=")[0] and "x=1" not in query:
        assert "valid" in str(value) and "invalid" in str(value)


def test_redemptions_are_read_only(admin, coupon):
    assert pointers(admin.post("/coupons", {"title": "x", "redemptions": 5})) == ["/redemptions"]
    assert pointers(admin.patch(path_of(coupon), {"redemptions": 1})) == ["/redemptions"]
    assert pointers(admin.patch(path_of(coupon), {"redemptions": None})) == ["/redemptions"]
    assert pointers(admin.put(path_of(coupon),
                              {"title": "x", "redemptions": 1})) == ["/redemptions"]
    assert admin.patch(path_of(coupon), {"redemptions": 0}).status_code == 200
    assert admin.put(path_of(coupon), {"title": "x", "redemptions": 0}).status_code == 200


def test_a_check_of_two_properties(admin):
    """max_redemptions is null or redemptions <= max_redemptions; nobody has redeemed yet."""
    record = admin.create("/coupons", {"title": "x", "max_redemptions": 0})
    assert pointers(admin.patch(path_of(record), {"max_redemptions": -1})) == ["/max_redemptions"]
    assert admin.patch(path_of(record), {"max_redemptions": 2**63 - 1}).status_code == 200
    admin.delete(path_of(record))


@pytest.mark.parametrize("change, where", [
    ({"unknown": 1}, ["/unknown"]),
    ({"store": {"unknown": 1}}, ["/store/unknown"]),
    ({"store": {"a/b": 1, "~": 2, "": 3}}, ["/store/", "/store/a~1b", "/store/~0"]),
    ({"store": []}, ["/store"]),
    ({"store": {"lat": "48", "long": 181, "city": 1}},
     ["/store/city", "/store/lat", "/store/long"]),
    ({"store": {"zip": 80331}}, ["/store/zip"]),
    ({"title": ""}, ["/title"]), ({"title": None}, ["/title"]), ({"title": "x" * 501}, ["/title"]),
    ({"category": "x" * 101}, ["/category"]), ({"category": []}, ["/category"]),
    ({"max_redemptions": -1}, ["/max_redemptions"]),
    ({"max_redemptions": "1"}, ["/max_redemptions"]),
    ({"max_redemptions": 1.5}, ["/max_redemptions"]),
    ({"max_redemptions": True}, ["/max_redemptions"]), ({"expire_at": "tomorrow"}, ["/expire_at"]),
    ({"expire_at": 0}, ["/expire_at"]), ({"id": "x"}, ["/id"]), ({"Title": "x"}, ["/Title"]),
    ({"title": 1, "expire_at": 2, "store": {"lat": "x"}, "nope": 3},
     ["/expire_at", "/nope", "/store/lat", "/title"]),
])
def test_every_fault_is_named(admin, coupon, change, where):
    assert sorted(pointers(admin.post("/coupons", {"title": "x", **change}))) == where
    assert sorted(pointers(admin.put(path_of(coupon), {"title": "x", **change}))) == where
    assert sorted(pointers(admin.patch(path_of(coupon), change))) == where
    assert admin.get(path_of(coupon)).json() == coupon


def test_there_is_an_end_to_the_faults(admin):
    body = {"title": "x", **{f"unknown{i}": i for i in range(5000)}}
    response = admin.post("/coupons", body)
    assert 1 <= len(pointers(response)) <= 1000
    assert len(response.content) < 100_000


@pytest.mark.parametrize("given, stored", [
    ("2016-08-05T08:40:51.62Z", "2016-08-05T08:40:51.620Z"),
    ("2016-08-05T08:40:51Z", "2016-08-05T08:40:51.000Z"),
    ("2016-08-05t08:40:51z", "2016-08-05T08:40:51.000Z"),
    ("2016-08-05T10:40:51.62+02:00", "2016-08-05T08:40:51.620Z"),
    ("2016-08-05T00:10:51-23:59", "2016-08-06T00:09:51.000Z"),
    ("2016-08-05T08:40:51.6204999999999999Z", "2016-08-05T08:40:51.620Z"),
    ("2016-08-05T08:40:51.6206Z", "2016-08-05T08:40:51.621Z"),
    ("2016-12-31T23:59:59.9999Z", "2017-01-01T00:00:00.000Z"),
    ("2016-02-29T12:00:00Z", "2016-02-29T12:00:00.000Z"),
    ("2000-02-29T12:00:00Z", "2000-02-29T12:00:00.000Z"),
    ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
    ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
    ("1900-03-01T00:00:00-00:00", "1900-03-01T00:00:00.000Z"),
])
def test_instants(admin, coupon, given, stored):
    got = admin.patch(path_of(coupon), {"expire_at": given}).json()
    assert got["expire_at"] == stored
    assert got in admin.list("/coupons", expire_at=given)
    assert got in admin.list("/coupons", filter=f"expire_at = '{given}'")


@pytest.mark.parametrize("given", [
    "2015-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2016-02-30T00:00:00Z", "2016-04-31T00:00:00Z",
    "2016-13-01T00:00:00Z", "2016-00-01T00:00:00Z", "2016-01-00T00:00:00Z", "0000-01-01T00:00:00Z",
    "2016-08-05T24:00:00Z", "2016-08-05T08:60:00Z", "2016-08-05T08:40:61Z", "2016-08-05T08:40:51",
    "2016-08-05T08:40:51+0200", "2016-08-05T08:40:51+24:00", "2016-08-05T08:40:51+02:60",
    "2016-08-05T08:40:51.Z", "2016-08-05T08:40Z", "2016-08-05", "16-08-05T08:40:51Z",
    "+2016-08-05T08:40:51Z", " 2016-08-05T08:40:51Z", "2016-08-05T08:40:51Z ", "2016-8-5T08:40:51Z",
    "10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "", "now()", "2016-08-05T08:40:51,5Z",
    "9999-12-31T23:59:59.9999Z", "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01",
    "２０16-08-05T08:40:51Z",
])
def test_what_is_no_instant(admin, coupon, given):
    assert pointers(admin.patch(path_of(coupon), {"expire_at": given})) == ["/expire_at"]
    assert admin.get("/coupons", params={"expire_at": given}).status_code == 400


def test_objects_come_back_as_sent(admin):
    """Their members in the order in which they came."""
    store = {"zip": "1", "city": "b", "lat": 1, "street": "c", "long": -180}
    record = admin.create("/coupons", {"title": "x", "store": store})
    assert list(record["store"].items())[:5] == list(store.items())
    assert admin.create("/coupons", {"title": "x", "store": {}})["store"] in (
        {}, dict.fromkeys(STORE))


def test_an_object_replaces_an_object(admin, coupon):
    got = admin.put(path_of(coupon), {"title": "x", "store": {"city": "Rome"}}).json()
    assert {name for name, value in got["store"].items() if value is not None} == {"city"}


def test_head_and_options(public, coupon):
    for path in (path_of(coupon), "/coupons?limit=1"):
        got, head = public.get(path), public.head(path)
        assert head.status_code == 200
        assert head.headers["Content-Length"] == str(len(got.content))
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
    options = public.options("/coupons")
    assert options.status_code in (200, 204)
    assert set(options.headers["Allow"].replace(" ", "").split(",")) == {
        "GET", "HEAD", "POST", "OPTIONS"}
    options = public.options(path_of(coupon))
    assert set(options.headers["Allow"].replace(" ", "").split(",")) == {
        "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"}


@pytest.mark.parametrize("key", ["abc", "-1", "0", "1.0"])
def test_keys_that_cannot_be(admin, public, key):
    problem(public.get(f"/coupons/{key}"), 400, "invalid-key")
    problem(admin.put(f"/coupons/{key}", {"title": "x"}), 400, "invalid-key")
    problem(admin.patch(f"/coupons/{key}", {"title": "x"}), 400, "invalid-key")
    problem(admin.delete(f"/coupons/{key}"), 400, "invalid-key")
