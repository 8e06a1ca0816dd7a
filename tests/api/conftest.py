"""What all tests against the running program share."""

import os

import hypothesis
import pytest

from harness import PROGRAM, Server

# `make test` tries the same examples each time, few enough for every run. To hunt for new ones:
# TRESTLE_HUNT=200 multiplies their number and draws them at random.
HUNT = int(os.environ.get("TRESTLE_HUNT", "0"))
hypothesis.settings.register_profile(
    "steady", derandomize=True, deadline=None, database=None,
    suppress_health_check=list(hypothesis.HealthCheck))
hypothesis.settings.register_profile(
    "hunt", deadline=None, print_blob=True, suppress_health_check=list(hypothesis.HealthCheck))
hypothesis.settings.load_profile("hunt" if HUNT else "steady")


def pytest_sessionstart(session):
    if not os.access(PROGRAM, os.X_OK):
        pytest.exit(f"there is no program {PROGRAM}; build it, or set TRESTLE", 2)


@pytest.fixture(scope="module")
def server(request):
    """One server for all tests of a module. A module may have DEFINITIONS (YAML by name; without,
    the three resources of resources/) and SETTINGS."""
    with Server(getattr(request.module, "DEFINITIONS", None),
                settings=getattr(request.module, "SETTINGS", None)) as running:
        yield running


@pytest.fixture(scope="module")
def admin(server):
    return server.admin


@pytest.fixture(scope="module")
def public(server):
    return server.public
