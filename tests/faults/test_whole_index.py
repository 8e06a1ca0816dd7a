"""All of Debian's package index: imported, walked while others write, and compared."""

from debian_index import import_and_walk


def test_the_whole_index():
    import_and_walk(None)
