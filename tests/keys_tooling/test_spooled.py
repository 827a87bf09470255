"""Directory statements in a file without a name: a sequence like any other."""

import gc
import resource

import pytest

from keys_tooling.spooled import Statements
from schemas.errors import Refusal
from tests.tools.vector_world import STATEMENTS


def test_they_come_back_in_order_from_either_end_and_in_part():
    found = Statements(STATEMENTS[:5])
    assert tuple(found) == STATEMENTS[:5]
    found.add(STATEMENTS[5:])
    found.add(())
    assert len(found) == len(STATEMENTS)
    assert tuple(found) == STATEMENTS
    assert tuple(reversed(found)) == STATEMENTS[::-1]
    for part in (slice(3), slice(3, None), slice(-2, None), slice(1, 9, 3), slice(len(STATEMENTS), None)):
        assert found[part] == STATEMENTS[part]
    assert (found[0], found[-1]) == (STATEMENTS[0], STATEMENTS[-1])
    assert STATEMENTS[4] in found


@pytest.mark.parametrize("at", [0, -1])
def test_there_is_nothing_where_there_is_none(at: int):
    with pytest.raises(IndexError):
        Statements()[at]


def test_reading_while_adding_loses_nothing():
    found = Statements()
    for count, signed in enumerate(STATEMENTS, 1):
        found.add((signed,))
        assert found[0] == STATEMENTS[0]
        assert len(found) == count
    assert tuple(found) == STATEMENTS


def test_the_file_goes_with_the_statements():
    found = Statements(STATEMENTS)
    file = found._file
    assert not file.closed
    del found
    gc.collect()
    assert file.closed


def test_a_full_disk_is_said_in_a_sentence():
    found, limits = Statements(STATEMENTS), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (len(STATEMENTS), limits[1])
    )  # the system's word for no more room
    try:
        with pytest.raises(Refusal, match="DISK_FULL"):
            found.add(STATEMENTS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
