"""Frozen values with some of their fields changed."""

from dataclasses import FrozenInstanceError, replace

import pytest

from schemas.published import Agency, Key
from schemas.values import changed
from tests.tools.vector_world import ALDER, OVERSIGHT, directory

VIEW = directory()
AGENCY = VIEW.agencies[ALDER.id]
KEY = AGENCY.keys[ALDER.prekey.kid]


@pytest.mark.parametrize("fresh", [{}, {"public": b""}, {"revoked": 5, "reason": "lost"}])
def test_a_changed_key_is_the_one_that_the_standard_library_makes(fresh: dict[str, object]):
    before = replace(KEY)
    made = changed(KEY, **fresh)
    assert made == replace(KEY, **fresh)  # type: ignore[arg-type]
    assert type(made) is Key
    assert before == KEY
    with pytest.raises(FrozenInstanceError):
        made.kid = ""  # type: ignore[misc]


def test_a_changed_agency_shares_what_was_not_changed():
    made = changed(AGENCY, seq=7, head="x")
    assert made == replace(AGENCY, seq=7, head="x")
    assert made.keys is AGENCY.keys
    assert type(made) is Agency
    assert VIEW.agencies[OVERSIGHT.id] != made


@pytest.mark.parametrize(("value", "fresh"), [(KEY, {"publik": b""}), (AGENCY, {"sequence": 7})])
def test_a_field_that_is_not_there_is_a_mistake(value: Key | Agency, fresh: dict[str, object]):
    """One of these has slots, and the other has none."""
    before = replace(value)
    with pytest.raises(AttributeError):
        changed(value, **fresh)
    assert value == before
