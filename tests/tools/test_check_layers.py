"""tools/check_layers lets a good tree pass and names what is wrong in a bad one."""

import pathlib
import subprocess

import pytest

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "check_layers"


def run(tree, files):
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return subprocess.run([TOOL, tree], capture_output=True, text=True, check=False)


def test_a_good_tree_passes(tmp_path):
    done = run(tmp_path, {
        "base/text.c": '#include "base/text.h"\n#include <uv.h>\n',
        "store/sqlite/writer.c": '#include "store/store.h"\n#include <sqlite3.h>\n',
        "http/connection.c": '#include <llhttp.h>\n#include "base/text.h"\n',
        "resource/plan.c": '#include "store/statement.h"\n',
        "api/exchange.c": '#include "http/request.h"\n#include "resource/plan.h"\n',
        "cli/serve.c": '#include "store/sqlite/writer.h"\n#include "api/exchange.h"\n',
        "main.c": '#include "cli/cli.h"\n#include <stdio.h>\n',
    })
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name, line, why", [
    ("base/text.c", '#include "store/store.h"', "base may not include store"),
    ("store/store.c", '#include "http/request.h"', "store may not include http"),
    ("store/store.c", '#include "store/sqlite/writer.h"', "store may not include store/sqlite"),
    ("store/store.c", "#include <sqlite3.h>", "only store/sqlite may include sqlite3.h"),
    ("http/request.c", '#include "store/store.h"', "http may not include store"),
    ("resource/plan.c", '#include "http/request.h"', "resource may not include http"),
    ("resource/plan.c", "#include <uv.h>", "resource may not include uv.h"),
    ("resource/plan.c", " #  include <pthread.h>", "resource may not include pthread.h"),
    ("resource/plan.c", '#include "sqlite3.h"', "only store/sqlite may include sqlite3.h"),
    ("api/health.c", '#include "store/sqlite/writer.h"', "api may not include store/sqlite"),
    ("api/health.c", "#include <llhttp.h>", "only http may include llhttp.h"),
    ("cli/serve.c", "#include <libpq-fe.h>", "only store/postgres may include libpq-fe.h"),
    ("cli/serve.c", '#include "serve.h"', "write the header's path from src/"),
    ("main.c", '#include "api/exchange.h"', ". may not include api"),
    ("misc/thing.c", "", "no floor has this folder"),
])
def test_a_bad_tree_fails(tmp_path, name, line, why):
    done = run(tmp_path, {name: f"/* a comment */\n{line}\n"})
    assert done.returncode == 1
    assert f"{tmp_path}/{name}" in done.stderr
    assert why in done.stderr
