"""Walking any list by its cursors, forwards and backwards, while others write: every record that
nobody touches is seen once, in the list's order."""

import itertools
import threading

import hypothesis
import pytest
from hypothesis import strategies

from conftest import HUNT
from harness import links, problem, relative

PROPERTIES = """
  still: {type: boolean, default: false}
  name:  {type: string, maxLength: 20}
  whole: {type: integer}
  real:  {type: number}
  price: {type: string, format: decimal, scale: 2}
  flag:  {type: boolean}
  day:   {type: string, format: date}
  at:    {type: string, format: date-time}
  tag:   {type: string, format: uuid}
indexes: [[whole], [name, whole], [day]]
"""

DEFINITIONS = {
    "numbers": f"access: {{read: public, write: public}}\nproperties:{PROPERTIES}",
    "uuids": f"access: {{read: public, write: public}}\nkey: {{id: uuid}}\nproperties:{PROPERTIES}",
    "words": "access: {read: public, write: public}\nkey: id\n"
             f"properties:\n  id: {{type: string, maxLength: 20}}{PROPERTIES}",
}

# Few values, so that many records share them, and nulls among them.
VALUES = {
    "name": [None, "", "a", "B", "ä", "𝔉"],
    "whole": [None, -2**63, -1, 0, 2**63 - 1],
    "real": [None, -1.5, 0.0, 0.1, 1e300],
    "price": [None, "-1.00", "0.00", "9.99", "100.00"],
    "flag": [None, False, True],
    "day": [None, "0001-01-01", "2016-08-05", "9999-12-31"],
    "at": [None, "1969-12-31T23:59:59.999Z", "2016-08-05T08:40:51.620Z"],
    "tag": [None, "00000000-0000-0000-0000-000000000000", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"],
}
STILL = 40
FILTERS = [{}, {}, {"flag": "true"}, {"filter": "whole is null or whole < 1"},
           {"filter": "name = 'a'"}, {"whole": "0"}]

_numbers = itertools.count()


def record(resource, number, still):
    """One whose values go through all of theirs, each at a pace of its own."""
    values = {name: choices[(number * step + number // len(choices)) % len(choices)]
              for step, (name, choices) in enumerate(VALUES.items(), 1)}
    key = {"id": f"{number * 7919 % 1000:03}-{number}"} if resource == "words" else {}
    return {**key, **values, "still": still}


@pytest.fixture(scope="module", autouse=True)
def still_records(public):
    for resource in DEFINITIONS:
        for _ in range(STILL):
            public.create(f"/{resource}", record(resource, next(_numbers), True))


class Others:
    """What others write between two pages: they come, change their place, and go."""

    def __init__(self, client, resource, choices):
        self.client = client
        self.resource = resource
        self.choices = itertools.cycle(choices)
        self.keys = []

    def write(self):
        choice = next(self.choices)
        values = record(self.resource, next(_numbers), False)
        if choice % 3 == 0 or not self.keys:
            made = self.client.create(f"/{self.resource}", values)
            self.keys.append(made["id"])
            return
        key = self.keys[choice % len(self.keys)]
        if choice % 3 == 1:
            values.pop("id", None)
            assert self.client.patch(f"/{self.resource}/{key}", values).status_code == 200
        else:
            self.keys.remove(key)
            assert self.client.delete(f"/{self.resource}/{key}").status_code == 204

    def leave(self):
        for key in self.keys:
            assert self.client.delete(f"/{self.resource}/{key}").status_code == 204


def get(client, target, **parameters):
    response = client.get(target, params=parameters)
    assert response.status_code == 200, response.text
    return response


def still_keys(records):
    return [each["id"] for each in records if each["still"]]


def walk(client, response, relation, write):
    """The pages from one on, and what came last of those that have records."""
    pages, last = [response.json()], response
    while relation in links(response):
        write()
        response = get(client, relative(links(response)[relation]))
        pages.append(response.json())
        last = response if response.json() else last
        assert len(pages) < 1000
    return pages, last


def check_walks(client, resource, query, limit, write):
    """The order of what stays does not depend on what comes and goes."""
    expected = still_keys(get(client, f"/{resource}", **query, limit=1000).json())
    first = get(client, f"/{resource}", **query, limit=limit)
    pages, last = walk(client, first, "next", write)
    assert all(len(page) <= limit for page in pages)
    assert still_keys(itertools.chain(*pages)) == expected
    back, _ = walk(client, last, "prev", write)
    assert still_keys(itertools.chain(*reversed(back))) == expected
    turned, _ = walk(client, get(client, f"/{resource}", **query, limit=limit), "next", write)
    assert still_keys(itertools.chain(*turned)) == expected


ORDERS = strategies.lists(
    strategies.tuples(strategies.sampled_from(["", "-"]), strategies.sampled_from([*VALUES, "id"])),
    max_size=3, unique_by=lambda key: key[1]).map(lambda keys: ",".join(map("".join, keys)))


@hypothesis.settings(max_examples=HUNT * 10 or 30)
@hypothesis.given(resource=strategies.sampled_from(list(DEFINITIONS)), order=ORDERS,
                  query=strategies.sampled_from(FILTERS), limit=strategies.integers(3, 15),
                  choices=strategies.lists(strategies.integers(0, 99), min_size=1, max_size=8))
def test_any_list(public, resource, order, query, limit, choices):
    query = {**query, **({"sort": order} if order else {})}
    others = Others(public, resource, choices)
    try:
        check_walks(public, resource, query, limit, others.write)
    finally:
        others.leave()


def test_while_others_write_all_the_time(server, public):
    """The same with threads: nothing is agreed upon between them."""
    done = threading.Event()
    failures = []

    def keep_writing(number):
        client = server.client()
        others = Others(client, "numbers", range(number, number + 50, 7))
        try:
            while not done.is_set():
                others.write()
            others.leave()
        except Exception as failure:  # pylint: disable=broad-except
            failures.append(failure)
        finally:
            client.close()
    threads = [threading.Thread(target=keep_writing, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for order in ("", "-id", "whole,-name", "-price,at", "flag,-tag,-real", "-day"):
            query = {"sort": order} if order else {}
            check_walks(public, "numbers", query, 7, lambda: None)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures, failures


def cursor_of(client, **query):
    target = relative(links(get(client, "/numbers", **query))["next"])
    return target.partition("cursor=")[2].partition("&")[0]


@hypothesis.settings(max_examples=HUNT * 10 or 40)
@hypothesis.given(data=strategies.data())
def test_an_altered_cursor_is_refused(public, data):
    cursor = cursor_of(public, sort="-name,whole", limit=3)
    place = data.draw(strategies.integers(0, len(cursor) - 1))
    other = data.draw(strategies.sampled_from(sorted(set("AZaz09-_") - {cursor[place]})))
    for altered in (cursor[:place] + other + cursor[place + 1:], cursor[:place],
                    cursor[:place] + other + cursor[place:]):
        response = public.get("/numbers", params={"sort": "-name,whole", "limit": 3,
                                                  "cursor": altered})
        problem(response, 400, "invalid-cursor")


@pytest.mark.parametrize("path, query", [
    ("/numbers", {}),
    ("/numbers", {"sort": "name,whole"}),
    ("/numbers", {"sort": "-name"}),
    ("/numbers", {"sort": "-name,-whole"}),
    ("/numbers", {"sort": "-name,whole", "flag": "true"}),
    ("/uuids", {"sort": "-name,whole"}),
])
def test_a_cursor_belongs_to_its_arguments(public, path, query):
    cursor = cursor_of(public, sort="-name,whole", limit=3)
    problem(public.get(path, params={**query, "cursor": cursor}), 400, "invalid-cursor")
    # How many records a page has, and what is shown of them, may change on the way.
    assert public.get("/numbers", params={"sort": "-name,whole", "limit": 9, "fields": "id",
                                          "cursor": cursor}).status_code == 200
