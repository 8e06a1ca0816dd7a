"""Lists: filters, order, pages, shape. Test_filters.py tries expressions at random; here is what
they look like, and how one walks."""

import itertools
import threading
import urllib.parse

import pytest

from harness import links, problem, relative

DEFINITIONS = {"books": """
description: What stands on the shelves.
access: {read: public, write: key}
required: [title]
properties:
  title:    {type: string, minLength: 1, maxLength: 100}
  author:   {type: string, maxLength: 100}
  year:     {type: integer}
  price:    {type: string, format: decimal, scale: 2}
  rating:   {type: number}
  lent:     {type: boolean}
  bought:   {type: string, format: date}
  read_at:  {type: string, format: date-time}
  isbn:     {type: string, format: uuid}
  place:
    type: object
    properties:
      room:  {type: string}
      shelf: {type: integer}
  secret:   {type: string, writeOnly: true}
filters:
  age:
    old: year < 1900
    new: year >= 2000
  state:
    lent: lent = true
    here: not lent = true
indexes: [[year], [author, year]]
"""}

BOOKS = [
    {"title": "Ilias", "author": "Homer", "year": -750, "price": "9.90", "rating": 5.0,
     "lent": False,
     "bought": "2001-02-03", "read_at": "2001-03-01T00:00:00Z",
     "place": {"room": "study", "shelf": 1}},
    {"title": "Odyssee", "author": "Homer", "year": -720, "price": "19.90", "rating": 4.5,
     "lent": True,
     "bought": "2001-02-04", "place": {"room": "study", "shelf": 2}},
    {"title": "Don Quijote", "author": "Cervantes", "year": 1605, "price": "100.00", "rating": 4.5,
     "bought": "1999-12-31", "place": {"room": "hall", "shelf": 1}},
    {"title": "Faust", "author": "Goethe", "year": 1808, "price": "0.50", "lent": False,
     "read_at": "1999-01-01T12:00:00+01:00"},
    {"title": "Ulysses", "author": "Joyce", "year": 1922, "price": "12.00", "rating": 3,
     "lent": True,
     "secret": "unread"},
    {"title": "Äon", "author": "d'Arc", "year": 2010, "place": {"room": "50% _of"}},
    {"title": "𝔉inis", "year": 2020, "price": "-1.00", "rating": -0.5},
    {"title": "～tilde", "author": None},
]


@pytest.fixture(scope="module")
def books(admin):
    """The stored books, by title."""
    return {book["title"]: admin.create("/books", book) for book in BOOKS}


def titles(client, **parameters):
    return [book["title"] for book in client.list("/books", **parameters)]


def expect(client, expected, **parameters):
    assert sorted(titles(client, **parameters)) == sorted(expected.split(",") if expected else [])


ALL = ",".join(book["title"] for book in BOOKS)


@pytest.mark.parametrize("expression, expected", [
    ("year < 1900", "Ilias,Odyssee,Don Quijote,Faust"),
    ("year<=1808 and year>-750", "Odyssee,Don Quijote,Faust"),
    ("year = -750", "Ilias"), ("year = 1e3", ""), ("-750 = year", "Ilias"),
    ("year != 1922", "Ilias,Odyssee,Don Quijote,Faust,Äon,𝔉inis,～tilde"),
    ("year is null", "～tilde"), ("year = null", "～tilde"),
    ("year != null and year > 2000", "Äon,𝔉inis"),
    ("year is not null and lent is null", "Don Quijote,Äon,𝔉inis"),
    ("not year < 1900", "Ulysses,Äon,𝔉inis,～tilde"),
    ("not (year < 1900 or year > 2000)", "Ulysses,～tilde"),
    ("year in (1605, 1808, 7)", "Don Quijote,Faust"),
    ("not year in (1605, 1808)", "Ilias,Odyssee,Ulysses,Äon,𝔉inis,～tilde"),
    ("year not in (1605, 1808)", "Ilias,Odyssee,Ulysses,Äon,𝔉inis,～tilde"),
    ("author = 'Homer'", "Ilias,Odyssee"), ("author = 'homer'", ""), ("author = 'd''Arc'", "Äon"),
    ("author < 'D'", "Don Quijote"), ("author >= 'H'", "Ilias,Odyssee,Ulysses,Äon"),
    ("title > 'z'", "Äon,𝔉inis,～tilde"), ("title > '～'", "𝔉inis,～tilde"), ("title > '～~'", "𝔉inis"),
    ("contains(title, 'yss')", "Odyssee,Ulysses"), ("contains(title, 'YSS')", ""),
    ("contains(title, '')", ALL),
    ("contains(author, '')", "Ilias,Odyssee,Don Quijote,Faust,Ulysses,Äon"),
    ("startsWith(title, 'U')", "Ulysses"), ("startsWith(title, '𝔉')", "𝔉inis"),
    ("startsWith(place.room, '50% _')", "Äon"), ("contains(place.room, '%')", "Äon"),
    ("contains(place.room, '_')", "Äon"), ("startsWith('Ulysses S. Grant', title)", "Ulysses"),
    ("not contains(author, 'o')", "Don Quijote,Äon,𝔉inis,～tilde"),
    ("place.room = 'study' and place.shelf > 1", "Odyssee"),
    ("place.shelf is null and place.room is not null", "Äon"),
    ("place is null", "Faust,Ulysses,𝔉inis,～tilde"),
    ("place.room != 'study'", "Don Quijote,Faust,Ulysses,Äon,𝔉inis,～tilde"),
    ("price < '10'", "Ilias,Faust,𝔉inis"), ("price = '12'", "Ulysses"),
    ("price > '19.9'", "Don Quijote"), ("rating >= 4.5", "Ilias,Odyssee,Don Quijote"),
    ("rating = 3", "Ulysses"), ("rating < 0", "𝔉inis"), ("rating = 4.5e0", "Odyssee,Don Quijote"),
    ("lent = true", "Odyssee,Ulysses"),
    ("lent != true", "Ilias,Don Quijote,Faust,Äon,𝔉inis,～tilde"), ("lent", "Odyssee,Ulysses"),
    ("not lent", "Ilias,Don Quijote,Faust,Äon,𝔉inis,～tilde"), ("lent = false", "Ilias,Faust"),
    ("bought < '2001-02-04'", "Ilias,Don Quijote"),
    ("read_at >= '1999-01-01T11:00:00Z'", "Ilias,Faust"),
    ("read_at = '1999-01-01T06:00:00-05:00'", "Faust"), ("read_at < now()", "Ilias,Faust"),
    ("read_at > now()", ""), ("true", ALL), ("false", ""), ("1 = 1", ALL), ("null is null", ALL),
    ("(((year))) = ((1605))", "Don Quijote"), ("  year\t=\n1605  ", "Don Quijote"),
    ("title = author", ""), ("rating < year", "Don Quijote,Ulysses,𝔉inis"),
])
def test_filter(public, books, expression, expected):
    expect(public, expected, filter=expression)


@pytest.mark.parametrize("expression", [
    "", " ", "year", "year <", "< 1", "year = = 1", "year == 1", "year <> 1", "year = 1 and", "and",
    "(year = 1",
    "year = 1)", "nope = 1", "Year = 1", "year = 'x'", "title = 1", "lent = 1", "lent < 'x'",
    "year = '1'", "year in ()", "year in 1", "year in (year)", "year in ('x')", "contains(title)",
    "contains(year, 'x')", "contains(title, 1)", "startswith(title, 'x')", "frob(title)",
    "year + 1 = 2", "year * 2 > 3", "year = 9223372036854775808", "year = -9223372036854775809",
    "title = 'open", 'title = "x"', "place.nope = 1", "place = 'x'", "place.room.x = 1",
    "title.x = 1", "place.", ".place", "year = 1; drop table books", "year = 1 -- x",
    "read_at = 'yesterday'", "bought = '2001-02-30'", "price = '1.234'", "price = 'x'",
    "isbn = 'x'", "now()", "now", "1", "'x'", "null", "year is", "year is not", "year is 1", "not",
    "secret = 'unread'", "title = '\u0001" , "_version = 1", "rowid = 1",
    "(" * 200 + "true" + ")" * 200, "not " * 500 + "true", " and ".join(["true"] * 700),
    "year = 0x10", "year = 1_000", "year = ++1", "year = --1", "1year = 1", "year = 1e999",
    "rating = 1e999", "rating = nan", "rating = infinity",
])
def test_filters_that_do_not_fit(public, books, expression):
    value = problem(public.get("/books", params={"filter": expression}), 400)
    assert value["type"].endswith(("invalid-filter", "invalid-parameter"))
    assert value["detail"]


@pytest.mark.parametrize("parameters, expected", [
    ({"author": "Homer"}, "Ilias,Odyssee"), ({"year": "1605"}, "Don Quijote"),
    ({"year": "-750"}, "Ilias"), ({"price": "12"}, "Ulysses"), ({"price": "12.00"}, "Ulysses"),
    ({"rating": "4.5"}, "Odyssee,Don Quijote"), ({"lent": "true"}, "Odyssee,Ulysses"),
    ({"lent": "false"}, "Ilias,Faust"), ({"bought": "2001-02-03"}, "Ilias"),
    ({"read_at": "1999-01-01T12:00:00+01:00"}, "Faust"), ({"author": "d'Arc"}, "Äon"),
    ({"author": ""}, ""), ({"author": "' or '1'='1"}, ""),
    ({"author": "Homer", "year": "-750"}, "Ilias"),
    ({"author": "Homer", "filter": "year > -750"}, "Odyssee"),
    ({"age": "old"}, "Ilias,Odyssee,Don Quijote,Faust"),
    ({"age": "new", "state": "here"}, "Äon,𝔉inis"),
    ({"age": "old", "author": "Homer", "filter": "lent"}, "Odyssee"), ({"title": "𝔉inis"}, "𝔉inis"),
])
def test_parameters(public, books, parameters, expected):
    expect(public, expected, **parameters)


@pytest.mark.parametrize("query", [
    "year=x", "year=1.5", "year=", "year=9223372036854775808", "year=%201", "year=+1", "year=1e3",
    "lent=yes", "lent=1", "lent=True", "price=x", "price=1.234", "rating=x", "rating=nan",
    "rating=inf", "rating=1e999", "rating=0x10", "bought=2001-02-30", "read_at=2001-02-03",
    "isbn=x", "id=x", "id=1.0", "age=ancient", "age=", "age", "limit=x", "limit=0", "limit=-1",
    "limit=1001", "limit=", "limit=1e2", "limit=+1", "limit=99999999999999999999", "offset=-1",
    "offset=x", "offset=99999999999999999999", "cursor=x", "cursor=", "cursor=AAAA", "count=x",
    "count=1", "sort=nope", "sort=", "sort=-", "sort=title,", "sort=,title", "sort=title,title",
    "sort=--title", "sort=place", "sort=place.room", "sort=title%20desc", "fields=nope", "fields=",
    "fields=title,", "fields=title,title", "fields=*", "fields=secret", "sort=secret",
    "secret=unread", "limit=1&limit=2", "filter=true&filter=false", "sort=title&sort=year",
    "offset=1&cursor=x", "year=1&year=2", "place=x", "place.room=study", "age=old&age=new", "limit",
    "offset", "=1", "%20limit=1",
])
def test_parameters_that_do_not_fit(public, books, query):
    problem(public.get("/books?" + query), 400)


def test_unknown_parameters_are_told_what_there_is(public, books):
    for name in ("colour", "Year", "limits", "filter[year]", "page", "_version"):
        value = problem(public.get("/books", params={name: "1"}), 400, "unknown-parameter")
        said = str(value)
        for known in ("limit", "offset", "cursor", "sort", "filter", "fields", "count", "age",
                      "state", "year",
                      "author"):
            assert known in said, (name, value)
        assert name in said
        assert "secret" not in said


def test_all_wrong_parameters_are_named_at_once(public, books):
    value = problem(public.get("/books?limit=x&offset=y&year=z&nope=1"), 400)
    for name in ("limit", "offset", "year", "nope"):
        assert name in str(value)


@pytest.mark.parametrize("limit, count", [(1, 1), (3, 3), (8, 8), (1000, 8)])
def test_limit(public, books, limit, count):
    assert len(public.list("/books", limit=limit)) == count


def test_offset(public, books):
    everything = public.list("/books")
    for limit, offset in itertools.product((1, 3, 100), (0, 1, 5, 8, 1000)):
        assert public.list("/books", limit=limit,
                           offset=offset) == everything[offset:offset + limit]


def test_the_default_order_is_the_keys(public, books):
    everything = public.list("/books")
    assert everything == sorted(books.values(), key=lambda book: book["id"])


@pytest.mark.parametrize("sort", [
    "title", "-title", "year", "-year", "price", "-price", "rating,-year", "-rating,year",
    "author,year,-title", "lent", "-lent", "bought", "-read_at", "id", "-id", "lent,-author,price",
    "isbn", "-author,-year", "author,-year"])
def test_sort(public, books, sort):
    expected = list(books.values())
    keys = sort.split(",")
    # The key breaks ties, in the direction of what stands before it.
    if keys[-1].lstrip("-") != "id":
        keys.append("-id" if keys[-1].startswith("-") else "id")
    for key in reversed(keys):
        name = key.lstrip("-")

        def rank(book):
            value = book[name]
            if value is None:
                return (0,)
            return (1, float(value) if name == "price" else value)
        expected.sort(key=rank, reverse=key.startswith("-"))
    got = public.list("/books", sort=sort)
    assert [book["title"] for book in got] == [book["title"] for book in expected]
    for limit in (1, 3):
        walked = [book for page in public.walk("/books", sort=sort, limit=limit) for book in page]
        assert walked == got


def test_text_sorts_by_code_point(public, books):
    assert titles(public, sort="title")[-3:] == ["Äon", "～tilde", "𝔉inis"]


@pytest.mark.parametrize("fields, expected", [
    ("title", ["title"]), ("title,id", ["id", "title"]), ("id", ["id"]),
    ("place,author", ["author", "place"])])
def test_fields(public, books, fields, expected):
    for record in public.list("/books", fields=fields, sort="-year"):
        assert sorted(record) == sorted(expected)
        for name in expected:
            source = books.get(record.get("title"))
            if source:
                assert record[name] == source[name]
    one = public.get(f"/books/{books['Ilias']['id']}", params={"fields": fields}).json()
    assert one == {name: books["Ilias"][name] for name in expected}


def test_what_is_write_only_is_never_shown(public, admin, books):
    assert "secret" not in books["Ulysses"]
    for response in (public.get("/books?title=Ulysses"),
                     public.get(f"/books/{books['Ulysses']['id']}"),
                     admin.patch(f"/books/{books['Ulysses']['id']}", {})):
        assert "unread" not in response.text and "secret" not in response.text


def test_count(public, books):
    response = public.get("/books?count=true&limit=2&offset=3")
    assert response.headers["X-Total-Count"] == "8"
    assert len(response.json()) == 2
    assert public.get("/books?count=true&author=Homer&limit=1").headers["X-Total-Count"] == "2"
    assert public.get("/books?count=true&year=7").headers["X-Total-Count"] == "0"
    assert "X-Total-Count" not in public.get("/books").headers
    assert "X-Total-Count" not in public.get("/books?count=false").headers
    assert public.head("/books?count=true").headers["X-Total-Count"] == "8"
    second = links(public.get("/books?count=true&limit=2"))["next"]
    assert public.get(relative(second)).headers["X-Total-Count"] == "8"


def test_an_empty_list(public, books):
    response = public.get("/books?year=7")
    assert response.text == "[]"
    assert "next" not in links(response) and "prev" not in links(response)


def test_links(public, books):
    response = public.get("/books?limit=3&sort=-year")
    first = links(response)
    assert set(first) == {"first", "next"}
    second_response = public.get(relative(first["next"]))
    second = links(second_response)
    assert set(second) == {"first", "prev", "next"}
    third_response = public.get(relative(second["next"]))
    third = links(third_response)
    assert set(third) == {"first", "prev"}
    assert [len(page.json()) for page in (response, second_response, third_response)] == [3, 3, 2]
    # All of them keep the order and the limit; `first` is where we began.
    assert public.get(relative(third["first"])).json() == response.json()
    assert public.get(relative(third["prev"])).json() == second_response.json()
    back = public.get(relative(second["prev"]))
    assert back.json() == response.json()
    assert "next" in links(back)
    assert public.get(relative(links(back)["next"])).json() == second_response.json()


def test_links_keep_the_whole_query(public, books):
    query = {"limit": "1", "sort": "-year", "age": "old",
             "filter": "contains(title, 'a') or year < 0 and title != 'a&b'",
             "fields": "title,year", "count": "true"}
    response = public.get("/books", params=query)
    for relation, target in links(response).items():
        got = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query, keep_blank_values=True)
        for name, value in query.items():
            assert got[name] == [value], relation
    assert titles(public, **query) == ["Faust"]
    walked = [page[0]["title"] for page in public.walk("/books", **query)]
    assert walked == ["Faust", "Odyssee", "Ilias"]


@pytest.mark.parametrize("sort", ["id", "-id", "year", "-year", "rating,-title", "-author,price",
                                  "lent,read_at"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 9])
def test_walking_forwards_and_backwards(public, books, sort, limit):
    response = public.get("/books", params={"sort": sort, "limit": limit})
    forwards = [response]
    while "next" in links(forwards[-1]):
        forwards.append(public.get(relative(links(forwards[-1])["next"])))
    walked = [book["title"] for page in forwards for book in page.json()]
    assert sorted(walked) == sorted(books)
    backwards = [forwards[-1]]
    while "prev" in links(backwards[-1]):
        backwards.append(public.get(relative(links(backwards[-1])["prev"])))
    assert [page.json() for page in reversed(backwards)] == [page.json() for page in forwards]


def test_an_offset_has_links_too(public, books):
    everything = public.list("/books")
    targets = links(public.get("/books?limit=3&offset=3"))
    assert public.get(relative(targets["next"])).json() == everything[6:]
    assert public.get(relative(targets["first"])).json() == everything[:3]
    if "prev" in targets:
        assert public.get(relative(targets["prev"])).json() == everything[:3]


def cursor_of(response, relation="next"):
    query = urllib.parse.urlsplit(links(response)[relation]).query
    return urllib.parse.parse_qs(query)["cursor"][0]


def test_cursors_belong_to_their_query(public, books):
    cursor = cursor_of(public.get("/books?limit=2&sort=year"))
    assert public.get("/books", params={"limit": 3, "sort": "year",
                                        "cursor": cursor}).status_code == 200
    for query in ({"sort": "-year"}, {"sort": "title"}, {}, {"sort": "year", "author": "Homer"},
                  {"sort": "year", "filter": "true"}, {"sort": "year", "age": "old"}):
        problem(public.get("/books", params={**query, "cursor": cursor}), 400, "invalid-cursor")
    problem(public.get("/books", params={"sort": "year", "cursor": cursor, "offset": 1}), 400)


def test_cursors_cannot_be_made_up(public, books):
    cursor = cursor_of(public.get("/books?limit=2"))
    for i in range(len(cursor)):
        changed = cursor[:i] + ("A" if cursor[i] != "A" else "B") + cursor[i + 1:]
        response = public.get("/books", params={"cursor": changed})
        if response.status_code == 200:
            # The last character of base64 may hold bits that mean nothing.
            assert i == len(cursor) - 1, "a changed cursor was taken"
        else:
            problem(response, 400, "invalid-cursor")
    for changed in (cursor[:-1], cursor + "A", cursor + "=", cursor * 2, "", "=", cursor.lower(),
                    "x" * 5000):
        if changed != cursor:
            problem(public.get("/books", params={"cursor": changed}), 400)


def test_a_cursor_whose_record_is_gone(public, admin):
    """A cursor survives the record that it was made at."""
    for i in range(5):
        admin.create("/books", {"title": f"cursor {i}", "author": "cursors"})
    page = public.get("/books?author=cursors&limit=2&sort=-title")
    assert titles(public, author="cursors", sort="-title")[:2] == ["cursor 4", "cursor 3"]
    admin.delete(f"/books/{page.json()[1]['id']}")
    rest = public.get(relative(links(page)["next"])).json()
    assert [book["title"] for book in rest] == ["cursor 2", "cursor 1"]
    for book in public.list("/books", author="cursors"):
        admin.delete(f"/books/{book['id']}")


@pytest.mark.parametrize("sort", ["id", "-id", "title", "-year", "rating,-title"])
def test_walking_while_others_write(server, sort):
    """Whatever was there all the time comes exactly once, in order, whoever writes beside it."""
    admin = server.admin
    stay = {admin.create("/books", {"title": f"stays {i:03d}", "year": i % 17, "rating": i % 5 / 2,
                                    "author": "walk"})["id"] for i in range(150)}
    stop = threading.Event()
    written = []

    def write():
        client = server.client()
        mine = []
        for i in itertools.count():
            if stop.is_set():
                break
            mine.append(client.create("/books", {"title": f"stays {i % 150:03d}x", "year": i % 17,
                                                 "rating": i % 5 / 2, "author": "walk"})["id"])
            written.append(mine[-1])
            if i % 3 == 2:
                assert client.delete(f"/books/{mine.pop(0)}").status_code == 204
        for identity in mine:
            client.delete(f"/books/{identity}")
        client.close()

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for limit in (7, 50):
            pages = server.public.walk("/books", sort=sort, limit=limit, author="walk")
            seen = [book["id"] for page in pages for book in page]
            assert len(seen) == len(set(seen)), "some came twice"
            assert stay <= set(seen), "some did not come"
            if sort.lstrip("-") == "id":
                assert seen == sorted(seen, reverse=sort.startswith("-"))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert written
    for identity in stay:
        admin.delete(f"/books/{identity}")


def test_deep_pages(public, admin):
    """The last page by cursor is the last page by offset."""
    made = [admin.create("/books", {"title": f"deep {i}", "author": "deep", "year": i % 3})["id"]
            for i in range(300)]
    for sort in ("id", "year", "-year"):
        pages = list(public.walk("/books", author="deep", sort=sort, limit=11))
        assert [book["id"] for page in pages for book in page] == [
            book["id"] for book in public.list("/books", author="deep", sort=sort, limit=1000)]
        offset = 11 * (len(pages) - 1)
        assert pages[-1] == public.list("/books", author="deep", sort=sort, limit=11, offset=offset)
    for identity in made:
        admin.delete(f"/books/{identity}")
