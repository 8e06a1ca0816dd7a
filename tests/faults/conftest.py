"""The harness of the API tests serves here too."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))

from clusters import make_cluster  # found by the line above


@pytest.fixture(scope="module")
def cluster():
    """A PostgreSQL cluster that the tests of a module may do anything to."""
    made = make_cluster()
    try:
        yield made
    finally:
        made.remove()
