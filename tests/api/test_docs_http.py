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
