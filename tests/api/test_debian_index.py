"""A part of Debian's package index: imported, walked while others write, and compared."""

from debian_index import import_and_walk


def test_a_part_of_the_index():
    import_and_walk(8_000)
