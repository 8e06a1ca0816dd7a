"""docs/HTTP.md is true, and complete.

Its examples are run; documented.py says how one is written. What the source knows of fields,
parameters, statuses and types of problems must be in it, with an example wherever one can be shown.
"""

import re

import pytest

import documented
from documented import ROOT

PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if documented.sections(page)]
SECTIONS = [pytest.param(section, id=f"{page.stem}-{section.title}")
            for page in PAGES for section in documented.sections(page)]


@pytest.mark.parametrize("section", SECTIONS)
def test_examples(section):
    documented.run_section(section)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_example_is_left_out(page):
    """Whatever looks like HTTP is run."""
    for block in re.finditer(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
        if re.search(r"^HTTP/1\.[01] |^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /", block[2], re.M):
            assert block[1] == "http", f"not ```http:\n{block[2]}"


# What the source knows

HTTP = (ROOT / "docs" / "HTTP.md").read_text("utf-8")
EXAMPLES = [step for section in documented.sections(ROOT / "docs" / "HTTP.md")
            for step in section.steps if isinstance(step, documented.Example)]
MESSAGES = [message for example in EXAMPLES for message in (example.request, *example.answers)]


def sources(*folders):
    return "\n".join(path.read_text("utf-8") for folder in folders
                     for path in sorted((ROOT / "src" / folder).rglob("*.[ch]")))


FIELD = "([A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)+|Accept|Allow|Authorization|Connection|Date|" \
    "ETag|Expect|Host|Link|Location|Prefer|RateLimit|Vary)"

# Those of which no example can be shown, and why.
FIELDS_WITHOUT_EXAMPLE = {}
STATUSES_WITHOUT_EXAMPLE = {
    414: "a target of more than a KiB is no example",
    431: "fields of more than a KiB are no example",
    500: "a defect",
    503: "trouble of the database",
    507: "a full disk",
}
NEVER_ANSWERED = {"none", "invalid-definition", "invalid-setting", "refused"}


def fields_of_the_source():
    text = re.sub(r"//.*", "", sources("api", "http"))
    calls = re.findall(r"(?:_field(?:_joined)?|read_field)\([^\"();]*(?:\([^()]*\))?[^\"();]*\"" +
                       FIELD + r"\"", text)
    lines = re.findall(r"\"(?:\\r\\n)?" + FIELD + r": ", text)
    return sorted({*calls, *lines})


def problems_of_the_source():
    table = (ROOT / "src" / "base" / "failure.h").read_text("utf-8")
    found = re.findall(r"X\([A-Z_]+, ([0-9]+), \"([a-z-]+)\"", table)
    return [(int(status), name) for status, name in found if name not in NEVER_ANSWERED]


def parameters_of_the_source():
    query = sources("resource")
    named = re.findall(r"\{TEXT_INIT\(\"([a-z]+)\"\), +read_", query)
    lists = re.findall(r"parameters\[\] = \{([^}]*)NULL\}", sources("api"))
    return sorted({*named, *re.findall(r"\"([a-z-]+)\"", " ".join(lists)), "api-key"})


def test_the_source_is_understood():
    """A change of how it is written must not make this test see nothing."""
    assert {"If-Match", "Idempotency-Key", "X-API-Key", "ETag", "Link"} <= \
        set(fields_of_the_source())
    assert {"limit", "fields", "cursor", "api-key"} <= set(parameters_of_the_source())
    assert (422, "idempotency-mismatch") in problems_of_the_source()


@pytest.mark.parametrize("field", fields_of_the_source())
def test_every_field(field):
    assert field in HTTP
    shown = any(message.field(field) is not None for message in MESSAGES)
    assert shown != (field in FIELDS_WITHOUT_EXAMPLE), "an example is missing, or there is one now"


@pytest.mark.parametrize("parameter", parameters_of_the_source())
def test_every_parameter(parameter):
    assert re.search(rf"[`?]{parameter}=", HTTP), "it is not explained"
    assert any(re.search(rf"[?&]{parameter}=", example.request.line) for example in EXAMPLES)


@pytest.mark.parametrize("status, name", problems_of_the_source())
def test_every_problem(status, name):
    rows = re.findall(r"^\| ([0-9, ]+) \| (.*?) \|", HTTP, re.MULTILINE)
    assert any(str(status) in statuses and f"`{name}`" in names for statuses, names in rows)


@pytest.mark.parametrize("status", sorted({status for status, _ in problems_of_the_source()} |
                                          {100, 200, 201, 204, 304}))
def test_every_status(status):
    shown = any(message.line.split(" ")[1] == str(status) for example in EXAMPLES
                for message in example.answers)
    assert shown != (status in STATUSES_WITHOUT_EXAMPLE), \
        "an example is missing, or there is one now"
