"""The command line: help, settings, check, migrate."""

import os
import shutil
import sqlite3
import subprocess

import pytest

from harness import ADMIN_KEY, PROGRAM, RESOURCES, Server, program

COMMANDS = ["serve", "check", "migrate", "import", "export", "copy", "backup", "agent",
            "supervise", "version", "help"]
WITH_SETTINGS = ["serve", "check", "migrate", "import", "export", "copy", "backup", "agent"]

THINGS = """
required: [name]
properties:
  name: {type: string, maxLength: 20}
  amount: {type: integer}
unique: [[name]]
"""


@pytest.fixture
def folder(tmp_path):
    """A folder as people have it: definitions, and nothing else yet."""
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "things.yaml").write_text(THINGS, "utf-8")
    return tmp_path


def define(folder, text, name="things"):
    (folder / "resources" / f"{name}.yaml").write_text(text, "utf-8")


def database(folder):
    return sqlite3.connect(folder / "data" / "trestle.db")


# ---- help


def test_alone_it_prints_what_there_is(folder):
    said = program(folder=folder, check=0)
    for name in COMMANDS:
        assert f"\n  {name} " in said.stdout
    assert said.stderr == ""
    for arguments in (["help"], ["--help"], ["-h"]):
        assert program(*arguments, folder=folder, check=0).stdout == said.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(folder, name):
    said = program(name, "--help", folder=folder, check=0)
    assert said.stdout.startswith(f"Usage: trestle {name}")
    assert f"\nExamples:\n  trestle {name}" in said.stdout
    assert program("help", name, folder=folder, check=0).stdout == said.stdout
    assert ("--config" in said.stdout) == (name in WITH_SETTINGS)
    assert all(len(line) <= 100 for line in said.stdout.splitlines())


def test_help_names_the_settings_that_apply(folder):
    assert "--max-head SIZE" in program("serve", "--help", folder=folder).stdout
    assert "--max-head" not in program("import", "--help", folder=folder).stdout
    assert "--log-level debug|info|warning|error" in program("check", "-h", folder=folder).stdout


def test_version(folder):
    said = program("version", folder=folder, check=0).stdout
    assert said.startswith("trestle ") and said.count(".") >= 2
    assert program("--version", folder=folder, check=0).stdout == said


@pytest.mark.parametrize("arguments, says", [
    (["chek"], 'there is no command "chek"; perhaps check is meant'),
    (["frobnicate"], '"trestle help" lists them'),
    (["help", "impotr"], "perhaps import is meant"),
    (["check", "--dta"], 'there is no flag "--dta"; perhaps --data is meant'),
    (["check", "--frobnicate"], 'there is no flag "--frobnicate"'),
    (["check", "-x"], 'there is no flag "-x"'),
    (["check", "--resources"], "--resources needs a value"),
    (["check", "--data=yes"], "--data takes no value"),
    (["check", "--listen", "x"], 'there is no flag "--listen"'),
    (["check", "surplus"], '"surplus" is one argument too many'),
    (["import", "things"], "an argument is missing: trestle import RESOURCE FILE"),
    (["import", "things", "a.txt"], "--format"),
    (["import", "things", "a.json", "--on-conflict", "merge"], "none of fail, skip, replace"),
    (["import", "things", "a.json", "--format", "xml"], "none of json, ndjson, csv"),
    (["import", "things", "a.json", "--server", "ftp://x"], "is no server"),
    (["export", "things", "--format", "xml"], "none of json, ndjson, csv"),
    (["serve", "--listen", "nonsense"], '--listen: "nonsense" is no address'),
    (["serve", "--admin-key", "hunter2"], "--admin-key: it must have 16 to 1000 characters"),
    (["serve", "--database", "mysql://x/y"], "that names no database"),
    (["check", "--config", "missing.yaml"], "missing.yaml: it cannot be read"),
])
def test_wrong_use_is_explained(folder, arguments, says):
    said = program(*arguments, folder=folder, check=2)
    assert says in said.stderr
    assert said.stdout == ""
    assert "hunter2" not in said.stderr


def test_output_that_cannot_be_written_is_a_failure(folder):
    with open("/dev/full", "wb") as full:
        result = subprocess.run([PROGRAM, "help"], cwd=folder, stdout=full,
                                stderr=subprocess.PIPE, check=False)
    assert result.returncode == 1
    assert b"No space left on device" in result.stderr


# ---- settings


def test_all_wrong_settings_are_told_at_once(folder):
    (folder / "trestle.yaml").write_text("lissten: x\nworkers: many\n", "utf-8")
    said = program("check", "--log-level", "loud", folder=folder, check=2,
                   settings={"max_body": "huge", "worker": "1"}).stderr
    assert 'trestle.yaml:1:1: there is no setting "lissten"; perhaps listen is meant\n' in said
    assert 'trestle.yaml:2:10: workers: "many" is no integer from 0 to 1024\n' in said
    assert 'TRESTLE_MAX_BODY: "huge" is no size' in said
    assert "TRESTLE_WORKER: there is no such setting; perhaps TRESTLE_WORKERS is meant\n" in said
    assert '--log-level: "loud" is none of debug, info, warning, error\n' in said


def test_flags_count_more_than_variables_and_those_more_than_the_file(folder):
    shutil.copytree(folder / "resources", folder / "a")
    shutil.copytree(folder / "resources", folder / "b")
    shutil.copytree(folder / "resources", folder / "c")
    (folder / "trestle.yaml").write_text("resources: a\n", "utf-8")
    assert " in a: " in program("check", folder=folder, check=0).stdout
    variables = {"resources": "b"}
    assert " in b: " in program("check", folder=folder, check=0, settings=variables).stdout
    said = program("check", "--resources=c", folder=folder, check=0, settings=variables)
    assert " in c: " in said.stdout


def test_the_file_may_be_elsewhere(folder):
    (folder / "other.yaml").write_text("resources: nowhere\n", "utf-8")
    assert "nowhere" in program("check", "--config", "other.yaml", folder=folder, check=1).stderr
    assert "nowhere" in program("check", folder=folder, check=1,
                                settings={"config": "other.yaml"}).stderr


def test_the_admin_key_may_be_in_a_file():
    with Server() as server:
        path = server.folder / "key"
        path.write_text(ADMIN_KEY[::-1] + "\n")
        del server.settings["admin_key"]
        server.restart(admin_key_file=path)
        assert server.admin.get("/packages").status_code == 401
        client = server.client(ADMIN_KEY[::-1])
        assert client.get("/packages").status_code == 200
        client.close()


# ---- check


def test_check_says_that_all_is_well(folder):
    said = program("check", folder=folder, check=0)
    assert said.stdout == "1 definition in resources: no faults.\n"
    assert not (folder / "data").exists()


def test_check_tells_all_faults_with_their_places(folder):
    define(folder, THINGS.replace("maxLength", "maxLenght"))
    define(folder, "properties:\n  a: {type: strnig}\n  b: {minimum: x}\n", "others")
    said = program("check", folder=folder, check=1)
    lines = said.stderr.splitlines()
    assert any(line.startswith("resources/things.yaml:4:") and "maxLength" in line for line in lines)
    assert any(line.startswith("resources/others.yaml:2:") for line in lines)
    assert any(line.startswith("resources/others.yaml:3:") for line in lines)
    assert lines[-1].startswith("trestle check: the definitions in resources are not valid: ")
    assert said.stdout == ""


def test_the_resources_that_come_along_are_right(tmp_path):
    program("check", "--resources", str(RESOURCES), folder=tmp_path, check=0)


def test_check_data_lists_what_no_longer_fits(folder):
    program("import", "things", "-", "--format", "ndjson", folder=folder, check=0,
            settings={"listen": "fd:3"},
            stdin=b"".join(b'{"name":"n%d","amount":%d}\n' % (i, i) for i in range(1500)))
    said = program("check", "--data", folder=folder, check=0).stdout
    assert "1500 records checked, 0 no longer satisfy the definitions.\n" in said
    define(folder, THINGS.replace("maxLength: 20", "maxLength: 20, minLength: 3")
           .replace("type: integer", "type: integer, maximum: 1497"))
    said = program("check", "--data", folder=folder, check=1).stdout
    assert "1500 records checked, 12 no longer satisfy the definitions.\n" in said
    assert "things/1: /name: " in said
    assert "things/1500: /amount: " in said
    assert said.count("/name: ") == 10 and said.count("/amount: ") == 2


def test_check_data_needs_tables_that_fit(folder):
    said = program("check", "--data", folder=folder, check=1).stderr
    assert "data/trestle.db" in said
    assert not (folder / "data").exists()
    program("migrate", folder=folder, check=0)
    define(folder, THINGS.replace("unique:", "  colour: {type: string}\nunique:"))
    assert "trestle migrate" in program("check", "--data", folder=folder, check=1).stderr


# ---- migrate


def test_migrate_shows_and_does(folder):
    said = program("migrate", "--dry-run", folder=folder, check=0).stdout
    assert 'CREATE TABLE "things"' in said
    assert "nothing was done" in said
    assert not (folder / "data").exists()
    said = program("migrate", folder=folder, check=0).stdout
    assert 'CREATE TABLE "things"' in said and "Done: " in said
    assert os.stat(folder / "data").st_mode & 0o777 == 0o700
    said = program("migrate", folder=folder, check=0).stdout
    assert "nothing to do" in said
    assert database(folder).execute("SELECT count(*) FROM things").fetchone() == (0,)


def test_migrate_loses_nothing_unless_it_is_allowed(folder):
    program("migrate", folder=folder, check=0)
    with database(folder) as connection:
        connection.execute("INSERT INTO things (name, amount) VALUES ('a', 7)")
    connection.close()
    define(folder, THINGS.replace("  amount: {type: integer}\n", ""))
    said = program("migrate", folder=folder, check=1)
    assert "something may be lost" in said.stdout
    assert "--allow-loss" in said.stderr
    assert "takes --allow-loss" in program("migrate", "--dry-run", folder=folder, check=0).stdout
    assert database(folder).execute("SELECT amount FROM things").fetchone() == (7,)
    program("migrate", "--allow-loss", folder=folder, check=0)
    with pytest.raises(sqlite3.OperationalError):
        database(folder).execute("SELECT amount FROM things")
    assert database(folder).execute("SELECT name FROM things").fetchone() == ("a",)


def test_never_migrating_is_obeyed(folder):
    settings = {"migrate": "never", "listen": "fd:3"}
    said = program("import", "things", "-", "--format", "json", folder=folder, settings=settings,
                   stdin=b"[]", check=1).stderr
    assert 'CREATE TABLE "things"' in said
    assert "migrate: never" in said
    program("migrate", folder=folder, check=0)
    program("import", "things", "-", "--format", "json", folder=folder, settings=settings,
            stdin=b"[]", check=0)
