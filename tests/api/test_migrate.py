"""Tables follow the definitions where nothing can be lost, and nowhere else."""

import decimal

import pytest

from harness import Server, problem, program

ACCESS = "access: {read: public, write: public}\n"


def things(*properties, rest=""):
    lines = "".join(f"  {each}\n" for each in properties)
    return f"{ACCESS}properties:\n{lines}{rest}"


A, B = "a: {type: string, maxLength: 50}", "b: {type: integer}"


@pytest.fixture
def server():
    with Server({"things": things(A, B)}) as running:
        running.made = [running.public.create("/things", {"a": f"x{i}", "b": i}) for i in range(5)]
        yield running


def redefine(server, text, **settings):
    server.stop()
    server.define("things", text)
    server.start(**settings)


def refuses(server, text, **settings):
    """The new definition must not start; the old one still does, with all its records."""
    old = (server.resources / "things.yaml").read_text()
    server.stop()
    server.define("things", text)
    server.settings.update(settings)
    said = server.refuses_to_start()
    server.define("things", old)
    server.start(migrate="auto")
    assert server.public.list("/things") == server.made
    return said


def migrate(server, *arguments, check=None):
    return server.program("migrate", *arguments, check=check)


def tables(server):
    return server.store.connect(server.folder)


def indexes(server, table="things"):
    with tables(server) as connection:
        return sorted(server.store.indexes(connection, table))


def test_a_start_without_changes_changes_nothing(server):
    server.restart()
    assert server.public.list("/things") == server.made
    server.restart(migrate="never")
    assert server.public.list("/things") == server.made
    result = migrate(server, "--dry-run", check=0)
    assert "ALTER" not in result.stdout and "CREATE" not in result.stdout


def test_a_new_property(server):
    redefine(server, things(A, B, "c: {type: number}"))
    assert server.public.list("/things") == [{**each, "c": None} for each in server.made]
    record = server.public.patch(f"/things/{server.made[0]['id']}", {"c": 1.5}).json()
    assert record == {**server.made[0], "c": 1.5}
    assert server.public.list("/things", c="1.5") == [record]


def test_a_new_property_with_a_default(server):
    """Defaults apply when a record is created, never again: those that are there have none."""
    redefine(server, things(A, B, "c: {type: integer, default: 7}"))
    assert {each["c"] for each in server.public.list("/things")} == {None}
    assert server.public.create("/things", {})["c"] == 7


def test_a_new_property_between_others(server):
    redefine(server, things("c: {type: string}", B, A))
    assert server.public.list("/things") == [{**each, "c": None} for each in server.made]
    assert list(server.public.list("/things")[0]) == ["id", "c", "b", "a"]


def test_a_new_required_property(server):
    """What is stored lacks it, which binds new writes alone."""
    redefine(server, things(A, B, "c: {type: string}", rest="required: [c]\n"))
    assert server.public.list("/things") == [{**each, "c": None} for each in server.made]
    problem(server.public.post("/things", {"a": "x"}), 400, "invalid-body")
    assert server.public.create("/things", {"c": "x"})["c"] == "x"


def test_rules_that_were_tightened_bind_new_writes(server):
    redefine(server, things("a: {type: string, maxLength: 1}", "b: {type: integer, minimum: 3}"))
    assert server.public.list("/things") == server.made
    problem(server.public.post("/things", {"a": "xx"}), 400, "invalid-body")
    problem(server.public.post("/things", {"b": 2}), 400, "invalid-body")
    result = server.program("check", "--data")
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert str(server.made[0]["id"]) in said


def test_a_new_index(server):
    assert indexes(server) == []
    redefine(server, things(A, B, rest="indexes: [[b], [a, b]]\n"))
    found = [columns for unique, columns in indexes(server) if not unique]
    assert ["b"] in [columns[:1] for columns in found]
    assert ["a", "b"] in [columns[:2] for columns in found]
    assert server.public.list("/things", sort="-b") == server.made[::-1]


def test_an_index_that_is_not_wanted_any_more(server):
    redefine(server, things(A, B, rest="indexes: [[b]]\n"))
    redefine(server, things(A, B))
    assert indexes(server) == []
    assert server.public.list("/things") == server.made


def test_a_new_unique_group(server):
    redefine(server, things(A, B, rest="unique: [[a]]\n"))
    problem(server.public.post("/things", {"a": "x1"}), 409, "conflict")
    assert any(unique and columns[:1] == ["a"] for unique, columns in indexes(server))
    redefine(server, things(A, B))
    server.public.create("/things", {"a": "x1"})


def test_a_new_unique_group_that_does_not_hold(server):
    server.made.append(server.public.create("/things", {"a": "x1", "b": 1}))
    said = refuses(server, things(A, B, rest="unique: [[a]]\n"))
    assert "unique" in said.lower()


def test_a_rename(server):
    redefine(server, things("label: {type: string, maxLength: 50, was: a}", B))
    assert server.public.list("/things") == [
        {"id": each["id"], "label": each["a"], "b": each["b"]} for each in server.made]
    # `was` may stay, and it may go.
    server.restart()
    redefine(server, things("label: {type: string, maxLength: 50}", B))
    assert [each["label"] for each in server.public.list("/things")] == [each["a"]
        for each in server.made]


def test_a_rename_of_what_is_indexed(server):
    redefine(server, things(A, B, rest="unique: [[a]]\nindexes: [[b, a]]\n"))
    redefine(server, things("label: {type: string, maxLength: 50, was: a}", B,
                            rest="unique: [[label]]\nindexes: [[b, label]]\n"))
    problem(server.public.post("/things", {"label": "x1"}), 409, "conflict")
    assert server.public.list("/things", sort="b", limit=1)[0]["label"] == "x0"
    server.restart(migrate="never")


def test_a_dropped_property_is_refused_with_the_sql(server):
    said = refuses(server, things(A))
    assert "ALTER TABLE" in said and "DROP COLUMN" in said and '"b"' in said
    assert "--allow-loss" in said


def test_a_dropped_property_when_it_is_allowed(server):
    server.stop()
    server.define("things", things(A))
    refused = migrate(server)
    assert refused.returncode != 0
    assert "DROP COLUMN" in refused.stdout + refused.stderr
    dry = migrate(server, "--dry-run", "--allow-loss", check=0)
    assert "DROP COLUMN" in dry.stdout
    with tables(server) as connection:
        assert connection.execute("SELECT sum(b) FROM things").fetchone() == (10,)
    migrate(server, "--allow-loss", check=0)
    server.start()
    assert server.public.list("/things") == [{"id": each["id"], "a": each["a"]}
                                             for each in server.made]
    with tables(server) as connection, pytest.raises(server.store.Error):
        connection.execute("SELECT b FROM things")


def test_a_dropped_property_with_an_index(server):
    redefine(server, things(A, B, rest="indexes: [[b]]\n"))
    server.stop()
    server.define("things", things(A))
    migrate(server, "--allow-loss", check=0)
    server.start()
    assert server.public.list("/things") == [{"id": each["id"], "a": each["a"]}
                                             for each in server.made]


@pytest.mark.parametrize("changed", [
    "b: {type: string}", "b: {type: number}", "b: {type: boolean}",
    "b: {type: string, format: decimal, scale: 2}", "b: {type: [integer, string]}",
    "b: {type: object}"])
def test_another_type_is_refused(server, changed):
    said = refuses(server, things(A, changed))
    assert "b" in said


def test_another_key_is_refused(server):
    refuses(server, "key: {id: uuid}\n" + things(A, B))
    refuses(server, "key: {other: integer}\n" + things(A, B))


def test_a_type_that_holds_what_it_held(server):
    """Formats are validated, not stored: text stays text where only its rules change."""
    redefine(server, things("a: {type: string, maxLength: 500, minLength: 1, pattern: '^x'}", B))
    assert server.public.list("/things") == server.made


def test_a_new_resource(server):
    server.stop()
    server.define("others", things("c: {type: string}"))
    server.start()
    assert server.public.create("/others", {"c": "x"})["c"] == "x"
    assert server.public.list("/things") == server.made


def test_a_resource_that_is_gone_keeps_its_records(server):
    server.stop()
    text = (server.resources / "things.yaml").read_text()
    (server.resources / "things.yaml").unlink()
    server.start()
    problem(server.public.get("/things"), 404)
    server.stop()
    server.define("things", text)
    server.start()
    assert server.public.list("/things") == server.made


def test_never(server):
    for text in (things(A, B, "c: {type: string}"), things(A, B, rest="indexes: [[b]]\n"),
                 things("label: {type: string, maxLength: 50, was: a}", B), things(A)):
        said = refuses(server, text, migrate="never")
        assert "things" in said
        assert "ALTER TABLE" in said or "CREATE INDEX" in said


def test_never_after_migrate(server):
    server.stop()
    server.define("things", things(A, B, "c: {type: string}", rest="indexes: [[b]]\n"))
    migrate(server, check=0)
    server.start(migrate="never")
    assert server.public.list("/things") == [{**each, "c": None} for each in server.made]


def test_never_with_no_database_at_all():
    server = Server({"things": things(A)}, settings={"migrate": "never"})
    try:
        said = server.refuses_to_start()
        assert "CREATE TABLE" in said
    finally:
        server.close()


def test_columns_are_the_databases_own(server):
    """So that SQL and other tools can read them."""
    redefine(server, things(A, B, "n: {type: number}", "t: {type: boolean}",
                            "d: {type: string, format: decimal, scale: 2}",
                            "w: {type: string, format: date-time}", "o: {type: object}"))
    server.public.create("/things",
                         {"a": "ä", "b": 7, "n": 1.5, "t": True, "d": "1.50",
                          "w": "2016-08-05T10:40:51.62+02:00",
                                     "o": {"z": 1, "a": 2}})
    with tables(server) as connection:
        row = connection.execute(
            "SELECT a, b, n, t, d, w, CAST(o AS TEXT) FROM things WHERE b = 7").fetchone()
    assert row[:4] == ("ä", 7, 1.5, 1)
    assert row[4] in (150, decimal.Decimal("1.50"))
    assert "2016-08-05" in str(row[5])
    assert row[6] == '{"z":1,"a":2}'


def test_a_table_that_is_somebody_elses(server):
    """Nothing is done to it."""
    with tables(server) as connection:
        connection.execute("CREATE TABLE foreigners (x TEXT)")
        connection.execute("INSERT INTO foreigners VALUES ('mine')")
    server.restart()
    server.stop()
    server.define("foreigners", things("y: {type: string}"))
    server.refuses_to_start()
    (server.resources / "foreigners.yaml").unlink()
    server.start()
    with tables(server) as connection:
        assert connection.execute("SELECT * FROM foreigners").fetchall() == [("mine",)]


def test_names_that_sql_reserves():
    """Property and resource names that are SQL's words work like others."""
    words = ["select", "from", "order", "group", "index", "table", "primary", "check", "values",
             "user", "default", "end"]
    definition = things(*[f"{word}: {{type: string, maxLength: 9}}" for word in words],
                        rest="unique: [[order, group]]\nindexes: [[select], [user]]\n")
    server = Server({"table": definition})
    with server:
        record = server.public.create("/table", dict.fromkeys(words, "x"))
        assert server.public.list("/table", select="x", sort="-order,group") == [record]
        assert server.public.patch(f"/table/{record['id']}", {"from": "y"}).json()["from"] == "y"
        assert server.public.list("/table", filter="values = 'x'") == [{**record, "from": "y"}]
        server.restart(migrate="never")


def test_a_database_that_is_none(server):
    """A file that is not SQLite's is left alone."""
    server.stop()
    right = server.settings["database"]
    path = server.folder / "not-a-database"
    path.write_bytes(b"precious" * 1000)
    server.settings["database"] = f"sqlite:{path}"
    server.refuses_to_start()
    assert path.read_bytes() == b"precious" * 1000
    result = program("serve", folder=server.folder,
                     settings={**server.settings, "database": "oracle:x"})
    assert result.returncode != 0
    server.settings["database"] = right
    server.start()
