"""References between records: what may be stored, and what becomes of it when others go."""

import hashlib
import json
import random
import threading
import uuid

import hypothesis
import hypothesis.strategies as st
import pytest

from conftest import HUNT
from harness import STORE, STORES, Server, problem

PUBLIC = "access: {read: public, write: public}\n"
DEFINITIONS = {
    "stores": PUBLIC + "properties: {name: {type: string, maxLength: 20}}\n",
    "users": PUBLIC + "key: {id: uuid}\nproperties: {name: {type: string}}\n",
    "texts": PUBLIC + "key: {digest: sha256(body)}\nrequired: [body]\n"
                      "properties: {body: {type: string, maxLength: 100}}\n",
    "lands": PUBLIC + "key: code\nproperties: {code: {type: string, maxLength: 9}}\n",
    "things": PUBLIC + """
properties:
  name:  {type: string, maxLength: 20}
  store: {type: integer, references: stores}
  user:  {type: string, format: uuid, references: users, on_delete: cascade}
  text:  {type: string, references: texts, on_delete: set-null}
  land:  {type: string, references: lands, on_delete: set-null}
  next:  {type: integer, references: things, on_delete: set-null}
""",
    # One record for each of another resource, and others that hang on it.
    "flags": PUBLIC + """
key: land
required: [colour]
properties:
  land:   {type: string, maxLength: 9, references: lands, on_delete: cascade}
  colour: {type: string, maxLength: 9}
""",
    "poles": PUBLIC + "properties: {flag: {type: string, references: flags}}\n",
    # It never changes, but for what it refers to.
    "notes": PUBLIC + """
key: {digest: sha256(body)}
required: [body]
properties:
  body:  {type: string, maxLength: 100}
  store: {type: integer, references: stores, on_delete: set-null}
""",
}
NO_TEXT = "0" * 64


def missing(response):
    """What a write refers to that is not there."""
    value = problem(response, 409, "reference-missing")
    return [error["pointer"] for error in value["errors"]]


def holders(response):
    """Who refers to a record that cannot go."""
    value = problem(response, 409, "in-use")
    return [error["pointer"] for error in value.get("errors", [])]


@pytest.fixture
def made(public):
    """A record of each resource that is referred to, and what refers to them."""
    made = {
        "store": public.create("/stores", {"name": "a"})["id"],
        "user": public.create("/users", {"name": "a"})["id"],
        "text": public.post("/texts", {"body": str(uuid.uuid4())}).json()["digest"],
        "land": public.create("/lands", {"code": uuid.uuid4().hex[:9]})["code"],
    }
    made["next"] = public.create("/things", {"name": "next"})["id"]
    yield made
    for record in public.list("/things", limit=1000):
        public.delete(f"/things/{record['id']}")


def version(server, thing):
    with server.store.connect(server.folder) as connection:
        return connection.execute(f"SELECT _version FROM things WHERE id = {thing}").fetchone()[0]


def test_what_is_there_can_be_referred_to(public, made):
    thing = public.create("/things", made)
    assert {name: thing[name] for name in made} == made
    assert public.get(f"/things/{thing['id']}").json() == thing
    for name, value in made.items():
        assert public.list("/things", **{name: value}) == [thing]
        assert public.list("/things", sort=name, fields="id")[-1] == {"id": thing["id"]}
    assert public.list("/things", filter=f"text = '{made['text'].upper()}'") == [thing]


def test_what_is_not_there_cannot(public, made):
    body = {**made, "store": 10**9, "user": str(uuid.uuid4()), "text": NO_TEXT, "land": "nowhere"}
    names = ["/store", "/user", "/text", "/land"]
    before = public.list("/things")
    assert missing(public.post("/things", body)) == names
    assert missing(public.post("/things", {"next": -5})) == ["/next"]
    assert public.list("/things") == before
    thing = public.create("/things", made)
    path = f"/things/{thing['id']}"
    assert missing(public.put(path, body)) == names
    assert missing(public.patch(path, {"land": ""})) == ["/land"]
    assert missing(public.patch(path, {"name": "x", "store": 2**63 - 1})) == ["/store"]
    assert public.get(path).json() == thing
    detail = problem(public.patch(path, {"store": 5 * 10**8}), 409)["errors"][0]["detail"]
    assert detail == "is the id of no record of stores"


def test_a_digest_in_either_case(public, made):
    thing = public.create("/things", {"text": made["text"].upper()})
    assert thing["text"] == made["text"]
    path = f"/things/{thing['id']}"
    assert public.patch(path, {"text": made["text"].upper()}).json() == thing
    for wrong in ("x" * 64, "0" * 63, "", 5):
        assert problem(public.post("/things", {"text": wrong}), 400)["errors"][0]["pointer"] == "/text"


def test_restrict(public, made):
    thing = public.create("/things", made)
    assert holders(public.delete(f"/stores/{made['store']}")) == ["things.store"]
    assert public.get(f"/stores/{made['store']}").status_code == 200
    assert public.patch(f"/things/{thing['id']}", {"store": None}).status_code == 200
    assert public.delete(f"/stores/{made['store']}").status_code == 204
    problem(public.delete(f"/stores/{made['store']}"), 404)


def test_cascade(public, made):
    things = [public.create("/things", {"user": made["user"]}) for _ in range(3)]
    other = public.create("/things", {"next": things[0]["id"]})
    assert public.delete(f"/users/{made['user']}").status_code == 204
    for thing in things:
        problem(public.get(f"/things/{thing['id']}"), 404)
    assert public.get(f"/things/{other['id']}").json() == {**other, "next": None}


def test_set_null(server, public, made):
    """The record becomes another one for whoever knows its version."""
    things = [public.create("/things", made) for _ in range(3)]
    versions = [version(server, thing["id"]) for thing in things]
    assert public.delete(f"/lands/{made['land']}").status_code == 204
    for thing, before in zip(things, versions):
        assert public.get(f"/things/{thing['id']}").json() == {**thing, "land": None}
        assert version(server, thing["id"]) == before + 1
    assert public.delete(f"/texts/{made['text']}").status_code == 204
    assert public.delete(f"/things/{made['next']}").status_code == 204
    for thing, before in zip(things, versions):
        assert version(server, thing["id"]) == before + 3
        again = public.patch(f"/things/{thing['id']}", {"name": "b"})
        assert again.json() == {**thing, "name": "b", "land": None, "text": None, "next": None}
        assert version(server, thing["id"]) == before + 4


def test_a_write_that_makes_it_null_counts_once(server, public, made):
    thing = public.create("/things", made)
    before = version(server, thing["id"])
    assert public.patch(f"/things/{thing['id']}", {"land": None, "text": None}).status_code == 200
    assert version(server, thing["id"]) == before + 1


def test_a_record_that_refers_to_itself(public):
    thing = public.create("/things", {})
    path = f"/things/{thing['id']}"
    assert public.patch(path, {"next": thing["id"]}).json() == {**thing, "next": thing["id"]}
    assert public.delete(path).status_code == 204


def test_what_hangs_on_what_goes(public):
    """What would go with a record keeps it where others refer to that and would not go."""
    land = public.create("/lands", {"code": uuid.uuid4().hex[:9]})["code"]
    assert missing(public.put("/flags/nowhere", {"colour": "red"})) == ["/land"]
    assert public.put(f"/flags/{land}", {"colour": "red"}).status_code == 201
    pole = public.create("/poles", {"flag": land})
    assert holders(public.delete(f"/flags/{land}")) == ["poles.flag"]
    assert holders(public.delete(f"/lands/{land}")) == []
    assert public.delete(f"/poles/{pole['id']}").status_code == 204
    assert public.delete(f"/lands/{land}").status_code == 204
    problem(public.get(f"/flags/{land}"), 404)


def test_content_that_loses_what_it_refers_to(public, made):
    body = {"body": str(uuid.uuid4()), "store": made["store"]}
    note = public.create("/notes", body)
    assert "immutable" not in public.get(f"/notes/{note['digest']}").headers["Cache-Control"]
    assert public.post("/notes", body).status_code == 200
    assert missing(public.post("/notes", {"body": str(uuid.uuid4()), "store": 10**9})) == ["/store"]
    assert public.delete(f"/stores/{made['store']}").status_code == 204
    assert public.get(f"/notes/{note['digest']}").json() == {**note, "store": None}


def test_nobody_is_left_alone(server, public):
    """Records come and go while others begin to refer to them: each either keeps what it refers to,
    or is refused."""
    stores = [public.create("/stores", {"name": "busy"})["id"] for _ in range(6)]
    seen = []

    def create():
        client = server.client(key=None)
        for i in range(60):
            answer = client.post("/things", {"store": stores[i % 6], "name": "busy"})
            seen.append(answer.status_code)
            if answer.status_code == 409:
                assert missing(answer) == ["/store"]

    def remove():
        client = server.client(key=None)
        for store in stores * 3:
            answer = client.delete(f"/stores/{store}")
            if answer.status_code == 409:
                assert holders(answer) in (["things.store"], [])

    threads = [threading.Thread(target=task) for task in (create, create, remove)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) <= {201, 409}
    left = {store["id"] for store in public.list("/stores", name="busy")}
    used = {thing["store"] for thing in public.list("/things", name="busy", limit=1000)}
    assert used <= left


# ---- Any graph ----

GRAPH = {
    "a": PUBLIC + """
properties:
  b: {type: string, references: b, on_delete: cascade}
  a: {type: integer, references: a, on_delete: set-null}
""",
    "b": PUBLIC + """
key: code
properties:
  code: {type: string, maxLength: 2}
  a: {type: integer, references: a}
  c: {type: string, format: uuid, references: c, on_delete: set-null}
""",
    "c": PUBLIC + """
key: {id: uuid}
properties:
  c: {type: string, format: uuid, references: c, on_delete: cascade}
  b: {type: string, references: b}
  a: {type: integer, references: a, on_delete: set-null}
""",
}
EDGES = {("a", "b"): "cascade", ("a", "a"): "set-null", ("b", "a"): "restrict",
         ("b", "c"): "set-null", ("c", "c"): "cascade", ("c", "b"): "restrict",
         ("c", "a"): "set-null"}
KEYS = {"a": "id", "b": "code", "c": "id"}


@pytest.fixture(scope="module")
def graph():
    with Server(GRAPH) as running:
        yield running


class Model:
    """Records by (resource, key); each is the keys that it refers to, by resource."""

    def __init__(self):
        self.records = {}

    def lacks(self, values):
        return [f"/{name}" for name, key in values.items()
                if key is not None and (name, key) not in self.records]

    def referrers(self, target, kind):
        return [record for record, values in self.records.items()
                if EDGES.get((record[0], target[0])) == kind and values[target[0]] == target[1]]

    def remove(self, record):
        """Whether it can go; it does then."""
        going, found = set(), [record]
        while found:
            each = found.pop()
            if each not in going:
                going.add(each)
                found += self.referrers(each, "cascade")
        if any(holder not in going for each in going
               for holder in self.referrers(each, "restrict")):
            return False
        for each in going:
            for other in self.referrers(each, "set-null"):
                self.records[other][each[0]] = None
        for each in going:
            del self.records[each]
        return True


PICK = st.integers(0, 7)
STEPS = st.lists(st.tuples(st.sampled_from(["create", "create", "patch", "delete"]),
                           st.sampled_from("abc"), st.tuples(PICK, PICK, PICK), PICK),
                 min_size=4, max_size=25)
NOWHERE = {"a": 10**9, "b": "zz", "c": "00000000-0000-7000-8000-000000000000"}


def pick(model, name, number):
    """A key of a resource's: of one of its records, or of none, or null."""
    if number == 7:
        return NOWHERE[name]
    keys = [key for resource, key in model.records if resource == name]
    return keys[number % len(keys)] if keys and number < 5 else None


@hypothesis.settings(max_examples=40 * max(HUNT, 1))
@hypothesis.given(steps=STEPS)
def test_any_graph(graph, steps):
    client, model = graph.public, Model()
    for step, (what, name, targets, number) in enumerate(steps):
        values = {to: pick(model, to, targets["abc".index(to)])
                  for at, to in EDGES if at == name}
        key = pick(model, name, number)
        path = f"/{name}/{key}"
        if what == "create":
            code = {"code": f"{step:02}"} if name == "b" else {}
            answer = client.post(f"/{name}", {**code, **values})
            lacks = model.lacks(values)
            if lacks:
                assert missing(answer) == lacks
            else:
                assert answer.status_code == 201, answer.text
                model.records[name, answer.json()[KEYS[name]]] = values
        elif (name, key) not in model.records:
            continue
        elif what == "patch":
            answer = client.patch(path, values)
            lacks = model.lacks(values)
            if lacks:
                assert missing(answer) == lacks
            else:
                assert answer.status_code == 200, answer.text
                model.records[name, key] = values
        else:
            answer = client.delete(path)
            if model.remove((name, key)):
                assert answer.status_code == 204, answer.text
            else:
                problem(answer, 409, "in-use")
        stored = {(name, record[KEYS[name]]): {to: record[to] for at, to in EDGES if at == name}
                  for name in "abc" for record in client.list(f"/{name}", limit=1000)}
        assert stored == model.records
    with graph.store.connect(graph.folder) as connection:
        for name in "abc":
            connection.execute(f"UPDATE {name} SET {', '.join(f'{to} = NULL' for at, to in EDGES if at == name)}")
        for name in "abc":
            connection.execute(f"DELETE FROM {name}")


# ---- Tables that follow ----

def books(*rest, more=""):
    lines = "".join(f"  {line}\n" for line in rest)
    return f"{PUBLIC}properties:\n  title: {{type: string, maxLength: 20}}\n{lines}{more}"


AUTHORS = PUBLIC + "properties: {name: {type: string, maxLength: 20}}\n"
PLAIN = "author: {type: integer}"
INDEXED = "unique: [[author, title]]\nindexes: [[title, author]]\n"


def author(on_delete=None, name="author", extra=""):
    action = f", on_delete: {on_delete}" if on_delete else ""
    return f"{name}: {{type: integer, references: authors{action}{extra}}}"


@pytest.fixture
def library():
    with Server({"authors": AUTHORS, "books": books(PLAIN, more=INDEXED)}) as running:
        client = running.public
        running.authors = [client.create("/authors", {"name": f"a{i}"})["id"] for i in range(4)]
        running.books = [client.create("/books", {"title": f"b{i}", "author": key})
                         for i, key in enumerate([*running.authors, None])]
        yield running


def redefine(server, text, **others):
    server.stop()
    server.define("books", text)
    for name, other in others.items():
        server.define(name, other)
    server.start()
    assert "there is nothing to do" in server.program("migrate", "--dry-run", check=0).stdout


def behaves(server, on_delete):
    """Deletes an author, and looks what becomes of the book."""
    client, key, book = server.public, server.authors.pop(), server.books.pop(-2)
    answer = client.delete(f"/authors/{key}")
    stored = client.get(f"/books/{book['id']}")
    if on_delete == "restrict":
        assert holders(answer) == ["books.author"] and stored.json() == book
    elif on_delete == "cascade":
        assert answer.status_code == 204
        problem(stored, 404)
    else:
        assert answer.status_code == 204
        left = None if on_delete == "set-null" else key
        assert stored.json() == {**book, "author": left}
        with server.store.connect(server.folder) as connection:
            found = connection.execute(f"SELECT _version FROM books WHERE id = {book['id']}")
            assert found.fetchone()[0] == (2 if on_delete == "set-null" else 1)
    client.delete(f"/books/{book['id']}")


def indexes(server):
    with server.store.connect(server.folder) as connection:
        return sorted((unique, columns[:2]) for unique, columns
                      in server.store.indexes(connection, "books"))


def test_a_reference_comes_changes_and_goes(library):
    """What is stored stays, and so do its indexes."""
    before = indexes(library)
    for on_delete in ("restrict", "set-null", "cascade", None):
        line = author(on_delete) if on_delete else PLAIN
        redefine(library, books(line, more=INDEXED))
        assert library.public.list("/books") == library.books
        assert indexes(library) == before
        answer = library.public.post("/books", {"title": "new", "author": 10**9})
        if on_delete:
            assert missing(answer) == ["/author"]
        else:
            assert library.public.delete(f"/books/{answer.json()['id']}").status_code == 204
        behaves(library, on_delete)


def test_a_new_property_that_refers(library):
    redefine(library, books(PLAIN, author("set-null", "editor"), more=INDEXED))
    book = library.books[0]
    path = f"/books/{book['id']}"
    editor = library.public.create("/authors", {"name": "editor"})["id"]
    assert library.public.patch(path, {"editor": editor}).json()["editor"] == editor
    assert library.public.delete(f"/authors/{editor}").status_code == 204
    assert library.public.get(path).json() == {**book, "editor": None}
    # A default is for new records.
    redefine(library, books(PLAIN, author("set-null", "editor"),
                            author(None, "first", f", default: {library.authors[0]}"),
                            more="required: [first]\n" + INDEXED))
    assert library.public.get(path).json()["first"] is None
    assert library.public.create("/books", {"title": "x"})["first"] == library.authors[0]


def test_what_is_stored_does_not_refer(library):
    """Nothing is done then, and the old definition still does."""
    lonely = library.public.create("/books", {"title": "lonely", "author": 10**9})
    library.stop()
    library.define("books", books(author("cascade"), more=INDEXED))
    assert "stored records refer to some that are not there" in library.refuses_to_start()
    library.define("books", books(PLAIN, more=INDEXED))
    library.start()
    assert library.public.list("/books") == [*library.books, lonely]
    assert library.public.delete(f"/books/{lonely['id']}").status_code == 204
    redefine(library, books(author("cascade"), more=INDEXED))
    behaves(library, "cascade")


def test_renames_around_references(library):
    redefine(library, books(author("set-null"), more=INDEXED))
    renamed = INDEXED.replace("author", "writer")
    redefine(library, books(author("set-null", "writer", ", was: author"), more=renamed))
    assert library.public.list("/books") == [
        {"id": book["id"], "title": book["title"], "writer": book["author"]}
        for book in library.books]
    key, book = library.authors.pop(), library.books[-2]
    assert library.public.delete(f"/authors/{key}").status_code == 204
    assert library.public.get(f"/books/{book['id']}").json()["writer"] is None


def test_both_are_new_and_refer_to_each_other(library):
    library.stop()
    library.define("alphas", PUBLIC + "properties: {o: {type: integer, references: omegas}}\n")
    library.define("omegas", PUBLIC + "properties: {a: {type: integer, references: alphas},"
                                      " b: {type: integer, references: books}}\n")
    library.start()
    alpha = library.public.create("/alphas", {})["id"]
    omega = library.public.create("/omegas", {"a": alpha, "b": library.books[0]["id"]})["id"]
    assert library.public.patch(f"/alphas/{alpha}", {"o": omega}).status_code == 200
    assert holders(library.public.delete(f"/alphas/{alpha}")) == ["omegas.a"]


def test_a_resource_that_is_referred_to_cannot_be_taken_away(library):
    redefine(library, books(author("set-null"), more=INDEXED))
    library.stop()
    (library.resources / "authors.yaml").unlink()
    said = library.refuses_to_start()
    assert "books.yaml:4:" in said and "there is no resource `authors`" in said
    library.define("books", books(PLAIN, more=INDEXED))
    library.start()
    assert library.public.list("/books") == library.books
    redefine(library, books(author("set-null"), more=INDEXED), authors=AUTHORS)
    behaves(library, "set-null")


def test_a_resource_that_refers_is_taken_away(library):
    """Its table stays, and with it what it keeps from going."""
    redefine(library, books(author(), more=INDEXED))
    library.stop()
    (library.resources / "books.yaml").unlink()
    library.start()
    assert holders(library.public.delete(f"/authors/{library.authors[0]}")) == []
    library.stop()
    library.define("books", books(author("set-null"), more=INDEXED))
    library.start()
    behaves(library, "set-null")
    library.stop()
    (library.resources / "books.yaml").unlink()
    library.start()
    key = library.authors.pop()
    assert library.public.delete(f"/authors/{key}").status_code == 204


def test_a_key_that_refers(library):
    """On SQLite, what a key refers to stays as the table was made."""
    library.stop()
    library.define("portraits", PUBLIC + "key: code\n"
                                "properties: {code: {type: string, maxLength: 9}}\n")
    library.define("codes", PUBLIC + "key: code\n"
                            "properties: {code: {type: string, maxLength: 9}}\n")
    library.start()
    library.public.create("/codes", {"code": "a"})
    library.public.create("/portraits", {"code": "a"})
    library.stop()
    library.define("portraits", PUBLIC + "key: code\nproperties: {code: {type: string, "
                                "maxLength: 9, references: codes, on_delete: cascade}}\n")
    if STORE == "sqlite":
        assert "which SQLite cannot change" in library.refuses_to_start()
        library.define("portraits", PUBLIC + "key: code\n"
                                    "properties: {code: {type: string, maxLength: 9}}\n")
        library.start()
        return
    library.start()
    assert missing(library.public.put("/portraits/b", {})) == ["/code"]
    assert library.public.delete("/codes/a").status_code == 204
    problem(library.public.get("/portraits/a"), 404)


def test_somebody_elses_foreign_keys(library):
    """Those on columns of resources follow the definitions; other tables are left alone."""
    with library.store.connect(library.folder) as connection:
        connection.execute("CREATE TABLE loans (book INTEGER REFERENCES books (id))"
                           if STORE == "sqlite" else
                           "CREATE TABLE loans (book bigint REFERENCES books (id))")
        connection.execute(f"INSERT INTO loans VALUES ({library.books[0]['id']})")
    redefine(library, books(author("cascade"), more=INDEXED))
    assert holders(library.public.delete(f"/books/{library.books[0]['id']}")) == []
    assert library.public.delete(f"/books/{library.books[1]['id']}").status_code == 204


# ---- Files and other databases ----

TREES = {"nodes": PUBLIC + """
key: code
properties:
  code:   {type: string, maxLength: 20}
  parent: {type: string, references: nodes, on_delete: set-null}
  leaf:   {type: integer, references: leaves}
""", "leaves": PUBLIC + """
properties:
  node: {type: string, references: nodes, on_delete: cascade}
  next: {type: integer, references: leaves, on_delete: cascade}
"""}


@pytest.fixture
def forest():
    with Server(TREES) as running:
        yield running


def tree(count, order):
    """Records each of which refers to one of those before it, put in some order."""
    choice = random.Random(count)
    records = [{"code": f"n{i}", "parent": f"n{choice.randrange(i)}" if i else None}
               for i in range(count)]
    if order == "backward":
        records.reverse()
    elif order == "chain":
        records = [{"code": f"n{i}", "parent": f"n{i + 1}"} for i in range(count)]
        records.append({"code": f"n{count}"})
    elif order == "shuffled":
        choice.shuffle(records)
    return records


def load(server, records, *arguments, check=0):
    lines = "".join(json.dumps(record) + "\n" for record in records)
    return server.program("import", "nodes", "-", "--format", "ndjson", *arguments,
                          stdin=lines.encode(), check=check)


def parents(server):
    return {record["code"]: record["parent"] for page in server.public.walk("/nodes", limit=1000)
            for record in page}


@pytest.mark.parametrize("order", ["forward", "backward", "chain", "shuffled"])
@pytest.mark.parametrize("through", ["server", "database"])
def test_import_of_records_that_refer_to_each_other(forest, order, through):
    records = tree(500, order)
    if through == "database":
        forest.stop()
    load(forest, records)
    if through == "database":
        forest.start()
    assert parents(forest) == {each["code"]: each.get("parent") for each in records}


@pytest.mark.parametrize("through", ["server", "database"])
def test_import_of_records_that_refer_to_nothing(forest, through):
    if through == "database":
        forest.stop()
    records = [{"code": "a", "parent": "b"}, {"code": "b", "parent": "c"}, {"code": "d"},
               {"code": "e", "parent": "d"}, {"code": "f", "parent": "g"},
               {"code": "g", "parent": "f"}, {"code": "h", "parent": "h"},
               {"code": "i", "leaf": 7}]
    said = load(forest, records, check=1)
    assert "3 created" in said.stdout and "5 rejected" in said.stdout
    rejected = sorted(line.split(":")[1] for line in said.stderr.splitlines()
                      if "not there" in line or "no record of" in line)
    assert rejected == ["1", "2", "5", "6", "8"], said.stderr
    changed = [{"code": "d", "parent": "j"}, {"code": "j"}, {"code": "e", "parent": "k"}]
    said = load(forest, changed, "--on-conflict", "replace", check=1)
    assert "1 created, 1 replaced, 0 skipped, 1 rejected" in said.stdout
    if through == "database":
        forest.start()
    assert parents(forest) == {"d": "j", "e": "d", "h": "h", "j": None}


KINDS = ["sqlite"] if STORE == "sqlite" else ["sqlite", STORE]


VERSIONS = "SELECT code, _version FROM nodes ORDER BY code"


@pytest.mark.parametrize("kind", KINDS)
def test_copies(forest, kind, tmp_path):
    """What refers to what comes later is copied too, with its versions."""
    load(forest, tree(2500, "shuffled"))
    client = forest.public
    leaves = [client.create("/leaves", {"node": f"n{i % 50}"})["id"] for i in range(60)]
    for i, leaf in enumerate(leaves):
        assert client.patch(f"/leaves/{leaf}", {"next": leaves[(i * 7 + 3) % 60]}).status_code == 200
        assert client.patch(f"/nodes/n{i}", {"leaf": leaf}).status_code == 200
    before = [client.get(f"/{name}?limit=1000&sort=-{key}").json()
              for name, key in (("nodes", "code"), ("leaves", "id"))]
    forest.stop()
    with forest.store.connect(forest.folder) as connection:
        versions = connection.execute(VERSIONS).fetchall()
    target = STORES[kind]()
    (tmp_path / "data").mkdir()
    try:
        url = target.settings(tmp_path)["database"]
        copy = ["copy", "--from", forest.settings["database"], "--to", url]
        said = forest.program(*copy, check=0).stdout
        assert "nodes: 2500 records, 2500 of them copied" in said
        with target.connect(tmp_path) as connection:
            assert connection.execute(VERSIONS).fetchall() == versions
            # As an earlier run would leave it that was stopped before the end.
            connection.execute("UPDATE nodes SET leaf = NULL")
            connection.execute("UPDATE leaves SET next = NULL")
            connection.execute("DELETE FROM leaves WHERE id > 55")
        said = forest.program(*copy, check=0).stdout
        assert "nodes: 2500 records, 0 of them copied" in said
        assert "leaves: 60 records, 5 of them copied" in said
        with Server(TREES, settings={"database": url}) as other:
            assert [other.public.get(f"/{name}?limit=1000&sort=-{key}").json()
                    for name, key in (("nodes", "code"), ("leaves", "id"))] == before
            assert missing(other.public.patch("/nodes/n1", {"leaf": 99})) == ["/leaf"]
            assert other.public.delete("/nodes/n0").status_code in (204, 409)
    finally:
        target.remove()
    forest.start()


# ---- Arrays ----

def test_an_array_whose_records_refer_to_each_other(forest):
    client = forest.public
    nodes = [{"code": "z"}, {"code": "b", "parent": "z"}, {"code": "a", "parent": "b"},
             {"code": "c", "parent": "c"}]
    assert client.post("/nodes", nodes).status_code == 201
    assert parents(forest) == {"z": None, "b": "z", "a": "b", "c": "c"}
    nodes = [{"code": "y"}, {"code": "x", "parent": "y"}, {"code": "w", "parent": "v", "leaf": 5}]
    assert missing(client.post("/nodes", nodes)) == ["/2/parent", "/2/leaf"]
    leaves = [{"node": "a"}, {"node": "y"}, {"node": "b"}]
    assert missing(client.post("/leaves", leaves)) == ["/1/node"]
    assert client.list("/leaves") == [] and "y" not in parents(forest)


@pytest.mark.parametrize("order", ["forward", "backward", "chain", "shuffled"])
def test_an_array_in_any_order(forest, order):
    """The answer is in the order in which they were sent."""
    records = tree(998 if order == "chain" else 999, order)
    answer = forest.public.post("/nodes", records)
    assert answer.status_code == 201, answer.text
    assert [(each["code"], each["parent"]) for each in answer.json()] == [
        (each["code"], each.get("parent")) for each in records]
    assert parents(forest) == {each["code"]: each.get("parent") for each in records}


def test_an_array_with_a_circle(forest):
    """One of them would have to be there before the other one is."""
    nodes = [{"code": "a", "parent": "b"}, {"code": "b", "parent": "c"}, {"code": "d"},
             {"code": "c", "parent": "a"}, {"code": "e", "parent": "a"}]
    found = missing(forest.public.post("/nodes", nodes))
    assert len(found) == 1 and found[0] in ("/0/parent", "/1/parent", "/3/parent")
    assert parents(forest) == {}


def test_arrays_with_faults_behind_each_other(forest):
    """What is at fault is told by its place in the array, whatever came first."""
    client = forest.public
    client.create("/nodes", {"code": "taken"})
    nodes = [{"code": "a", "parent": "b"}, {"code": "b", "parent": "taken"}, {"code": "taken"}]
    value = problem(client.post("/nodes", nodes), 409, "conflict")
    assert [error["pointer"] for error in value["errors"]] == ["/2/code"]
    nodes[2] = {"code": "c", "parent": "nowhere"}
    assert missing(client.post("/nodes", nodes)) == ["/2/parent"]
    assert parents(forest) == {"taken": None}
    twins = [{"code": "x", "parent": "y"}, {"code": "y"}, {"code": "y"}]
    assert problem(client.post("/nodes", twins), 409, "conflict")["errors"][0]["pointer"][3:] == "code"


CHAIN = {"links": PUBLIC + """
key: {digest: sha256(body)}
required: [body]
actions: [list, create, read]
properties:
  body: {type: string, maxLength: 100}
  back: {type: string, references: links}
  side: {type: string, references: links}
"""}


@pytest.fixture(scope="module")
def chained():
    with Server(CHAIN) as running:
        yield running


LINKS = st.lists(st.tuples(st.integers(0, 11), st.none() | st.integers(0, 11),
                           st.none() | st.integers(0, 11)), min_size=1, max_size=12)


@hypothesis.settings(max_examples=60 * max(HUNT, 1))
@hypothesis.given(drawn=LINKS)
def test_arrays_of_content_in_any_order(chained, drawn):
    """An array is stored where an order is, in which each record's references come before it, and
    the same content twice is one record, the first of those that come."""
    run = uuid.uuid4().hex
    def body(number):
        return f"{run}{number}"
    def digest(number):
        return None if number is None else hashlib.sha256(body(number).encode()).hexdigest()
    # Of the same content, all say the same, so that it does not matter which comes first.
    first = {}
    for number, back, side in drawn:
        first.setdefault(number, (number, back, side))
    records = [first[number] for number, _, _ in drawn]
    stored = set()
    while True:
        more = {number for number, back, side in records
                if number not in stored and {back, side} <= stored | {None, number}}
        if not more:
            break
        stored |= more
    answer = chained.public.post("/links", [
        {"body": body(number), "back": digest(back), "side": digest(side)}
        for number, back, side in records])
    if len(stored) < len(first):
        assert problem(answer, 409, "reference-missing")["errors"]
        for number in first:
            problem(chained.public.get(f"/links/{digest(number)}"), 404)
        return
    assert answer.status_code == 201, answer.text
    assert answer.json() == [
        {"digest": digest(number), "body": body(number), "back": digest(back),
         "side": digest(side)} for number, back, side in records]
