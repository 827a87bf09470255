"""Categories and flags follow from what a message holds, and from nothing that anybody typed beside it."""

import json
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.categories import (
    CATEGORIES,
    NOT_ASKED,
    Flags,
    Holds,
    categories_of,
    check_categories,
    check_flags,
    flags_of,
    leaves,
)
from schemas.errors import Refusal
from schemas.messages.asked import Block
from schemas.messages.catalogue import FORMS, parse_payload
from schemas.messages.filling import block_of
from tests.messages.samples import FULL, full, least

KINDS = sorted(FULL)


def parsed(payload):
    return parse_payload(json.dumps(payload))


def blocks(form):
    yield form
    for field in form.model_fields.values():
        inner = block_of(field.annotation)
        if inner:
            yield from blocks(inner)


ALL_BLOCKS = sorted(set(chain.from_iterable(map(blocks, FORMS.values()))), key=lambda block: block.__name__)


def test_there_are_at_most_twenty_categories():
    assert len(CATEGORIES) <= 20


@pytest.mark.parametrize("block", ALL_BLOCKS)
def test_every_field_says_what_it_holds_or_holds_blocks_that_do(block):
    for name, field in block.model_fields.items():
        marks = [mark for mark in field.metadata if isinstance(mark, Holds)]
        assert marks or block_of(field.annotation), f"{block.__name__}.{name}"
        for mark in marks:
            named = {mark.cat, *(when.cat for when in mark.when)} - {None}
            assert named <= CATEGORIES
            assert set(mark.marks).union(*(when.marks for when in mark.when)) <= set("PSCTWO")


def test_every_category_is_held_by_some_form():
    held = {cat for kind in KINDS for cat in categories_of(parsed(full(kind)))}
    assert held == CATEGORIES


def test_the_least_referral_holds_the_least():
    message = parsed(least("referral.universal"))
    assert categories_of(message) == ("ask", "contact", "person", "wishes")
    assert flags_of(message) == Flags(spec=False, crim=False, child=False)


def test_what_was_not_asked_holds_nothing():
    payload = least("referral.universal") | {"needs": "not_asked_yet", "risk": "not_asked_yet"}
    payload["person"]["age_band"] = "not_asked_yet"
    assert categories_of(parsed(payload)) == categories_of(parsed(least("referral.universal")))


RISK = {
    "tool": "DASH",
    "level": "medium",
    "prof_judgement": False,
    "assessed_on": "2026-11-12",
    "review_on": "2026-12-03",
}
CHILD = {"known_as": "Pip", "relation": "child", "lives_with": "person", "age": 7}


@pytest.mark.parametrize(
    ("added", "cats", "flags"),
    [
        ({"needs": ["housing"]}, {"needs"}, "spec"),
        ({"needs": ["mental_health"]}, {"needs", "health"}, "spec"),
        ({"access": {"language": "Polish", "interpreter": "spoken"}}, {"access"}, ""),
        ({"access": {"language": "BSL", "interpreter": "BSL"}}, {"access", "health"}, "spec"),
        ({"access": {"language": "x", "interpreter": "none", "sight": "x"}}, {"access", "health"}, "spec"),
        ({"risk": RISK}, {"risk"}, ""),
        ({"risk": RISK | {"yes_count": 0}}, {"risk", "crim"}, "spec crim"),
        ({"risk": RISK | {"indicators": ["self_harm"]}}, {"risk", "crim", "health"}, "spec crim"),
        ({"children": [CHILD]}, {"child"}, "child"),
        ({"children": [CHILD | {"present_or_affected": False}]}, {"child", "crim"}, "spec crim child"),
        ({"digital": {"device_shared": False}}, {"digital"}, ""),
        ({"digital": {"images_threat": True}}, {"digital", "crim"}, "crim"),
        ({"staff_safety": {"visit": "no"}}, {"staff_safety"}, ""),
        ({"staff_safety": {"visit": "no", "hazard": "x"}}, {"staff_safety", "crim", "third_party"}, "crim"),
        ({"strand": ["sv"]}, set(), "spec"),
        ({"also_holds": ["special"]}, set(), "spec"),
        ({"also_holds": ["criminal"]}, {"crim"}, "crim"),
        ({"handling": ["do_not_phone"]}, set(), ""),
        ({"tried_already": ["x"]}, set(), ""),
    ],
)
def test_each_field_brings_its_category_and_its_flags(added, cats, flags):
    message = parsed(least("referral.universal") | added)
    assert set(categories_of(message)) == {"ask", "contact", "person", "wishes"} | cats
    named = flags.split()
    assert flags_of(message) == Flags(spec="spec" in named, crim="crim" in named, child="child" in named)


@pytest.mark.parametrize(("band", "child"), [("13_15", True), ("16_17", True), ("18_25", False)])
def test_somebody_under_eighteen_is_a_child_in_any_form(band, child):
    payload = least("referral.universal")
    payload["person"]["age_band"] = band
    assert flags_of(parsed(payload)).child is child


def test_a_child_concern_is_always_about_a_child():
    assert flags_of(parsed(least("child.concern"))).child


@pytest.mark.parametrize("kind", KINDS)
def test_the_recipient_finds_what_the_sender_declared(kind):
    message = parsed(full(kind))
    check_categories(message, categories_of(message))
    flags = flags_of(message)
    check_flags(message, spec=flags.spec, crim=flags.crim, child=flags.child)


@pytest.mark.parametrize("kind", KINDS)
def test_a_category_more_or_less_is_refused(kind):
    message = parsed(full(kind))
    held = categories_of(message)
    for declared in (held[1:], (*held, "health_2"), sorted({*held, *CATEGORIES}), (*held, *held[:1]), ()):
        if tuple(declared) == held:
            continue
        with pytest.raises(Refusal) as caught:
            check_categories(message, declared)
        assert caught.value.code == "CATEGORIES_DIFFER"
        assert set(caught.value.detail) <= CATEGORIES, "a made-up category is somebody's words"


@pytest.mark.parametrize("flag", ["spec", "crim", "child"])
@pytest.mark.parametrize("kind", ["referral.universal", "child.concern", "consent.grant"])
def test_a_wrong_flag_is_refused(kind, flag):
    message = parsed(full(kind))
    found = flags_of(message)
    flags = {"spec": found.spec, "crim": found.crim, "child": found.child}
    with pytest.raises(Refusal) as caught:
        check_flags(message, **(flags | {flag: not flags[flag]}))
    assert (caught.value.code, caught.value.detail) == ("FLAGS_DIFFER", (flag,))


@settings(deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_fewer_answers_never_hold_more(kind, data):
    form = FORMS[kind, 1]
    payload = full(kind)
    whole = set(categories_of(parsed(payload)))
    optional = [
        name for name, field in form.model_fields.items() if not field.is_required() and name in payload
    ]
    for name in data.draw(st.lists(st.sampled_from(optional or ["none"]), unique=True)):
        payload.pop(name, None)
    try:
        fewer = parsed(payload)
    except Refusal:
        return
    assert set(categories_of(fewer)) <= whole
    assert all(leaf.value != NOT_ASKED for leaf in leaves(fewer))


def test_a_field_without_a_mark_is_a_fault_of_the_form_and_not_carried_silently():
    class Unmarked(Block):
        name: str

    with pytest.raises(TypeError):
        categories_of(Unmarked(name="x"))
