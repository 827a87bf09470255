"""The view as bytes: what they give back is the view that was kept, now and in everything that is said afterwards."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.directory import Directory
from schemas.directory_kept import parts_of, view_of
from schemas.errors import Refusal
from schemas.keys import Use
from schemas.signing import Signed
from tests.schemas.test_voiding import story
from tests.tools.vector_world import BIRCH, OVERSIGHT, directory

IDS = {"ids"}
"""Compared by what they say: how they are stored depends on when the view was copied."""


def same(one: Directory, other: Directory) -> None:
    """Every field that a view has, also one that is added to it some day."""
    assert vars(one).keys() == vars(other).keys()
    for name in vars(one).keys() - IDS:
        assert getattr(one, name) == getattr(other, name), name
    assert dict(one.ids.items()) == dict(other.ids.items())
    assert list(one.agencies) == list(other.agencies)
    for agency in one.agencies.values():
        assert list(agency.keys) == list(other.agencies[agency.id].keys)  # in the same order too


def again(view: Directory) -> Directory:
    return view_of(list(parts_of(view)))


def taken(view: Directory, signed: Signed) -> str:
    """What the view says to one statement more."""
    try:
        view.apply(signed)
    except Refusal as refusal:
        return f"{refusal.code}: {refusal.say}"
    return ""


def test_the_view_comes_back_as_it_was_kept():
    view = directory()
    found = again(view)
    same(view, found)
    assert type(found.published(BIRCH.prekey.kid).use) is Use  # type: ignore[union-attr]
    assert found.frontier.root() == view.frontier.root()


def test_an_empty_view_comes_back_empty():
    same(Directory(OVERSIGHT.id), again(Directory(OVERSIGHT.id)))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(number=st.integers(0, 2**32), cut=st.floats(0, 1))
def test_whatever_is_said_after_it_was_kept_comes_to_the_same(number: int, cut: float):
    """Statements of every kind, words undone by roots, and ones that nobody may take."""
    told = story(30, number).told
    at = int(cut * len(told))
    whole = Directory(OVERSIGHT.id)
    for signed in told[:at]:
        whole.apply(signed)
    found = again(whole)
    same(whole, found)
    for signed in (*told[at:], *told[max(0, at - 3) : at]):
        assert taken(found, signed) == taken(whole, signed)
    same(whole, found)


@pytest.mark.parametrize(
    "change",
    [
        lambda _parts: [],
        lambda parts: parts[1:],
        lambda parts: [parts[0], parts[0]],
        lambda parts: [*parts[:-1], parts[-1][:-1]],
        lambda parts: [parts[0].replace(b'"said"', b'"sand"')[:-1] + b",1]", *parts[1:]],
        lambda parts: [parts[0], b"null"],
    ],
)
def test_other_bytes_are_no_view(change):
    with pytest.raises(Refusal, match="FORM"):
        view_of(change(list(parts_of(directory()))))
