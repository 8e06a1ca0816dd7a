"""All of Debian's package index: imported, walked while others write, compared; copied to PostgreSQL
and back."""

from debian_index import copy_there_and_back, import_and_walk
from harness import STORES


def test_the_whole_index():
    import_and_walk(None)


def test_the_whole_index_on_postgres_and_back(tmp_path):
    store = STORES["postgres"]()
    try:
        copy_there_and_back(None, f"sqlite:{tmp_path}/first/trestle.db",
                            store.settings(tmp_path)["database"],
                            f"sqlite:{tmp_path}/third/trestle.db")
    finally:
        store.remove()
