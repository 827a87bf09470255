"""Overrides at the recipient: it verifies them itself, and each fault has its own code (V8, O8)."""

import json

import pytest

from agent.rules import NoAuthority, clear, parse, sealed
from schemas.api import PageItem
from schemas.canonical import b64
from schemas.directory import Directory
from schemas.envelope import Delivery
from schemas.override import parse_override
from schemas.policy import founding
from tests.agent.test_rules import HELD, TEXT, proof_of
from tests.broker.leads import DAY, REFUSED, People, fresh_mid, header_of, risky
from tests.simulated_world import World
from tests.tools.override_world import add_person

AMBER = {"payload": TEXT, "categories": HELD}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World.found(tmp_path_factory.mktemp("overrides"), "Peacock", "IDVAS", "Harbour", "SARC")


@pytest.fixture(scope="module")
def people(world):
    return People.of(world)


def delivery_of(world, message, place=0):
    upload = message.upload
    return Delivery(upload.envelope, upload.wraps[place], upload.record, proof_of(world, upload.envelope))


def opened(world, message, beside=None, view: Directory | None = None):
    """The recipient's own decision; `beside` is what the relay hands out with it."""
    delivery = delivery_of(world, message)
    item = PageItem(eid=b64(delivery.envelope.eid), d="intake", state="queued")
    keys, view = world.parties["IDVAS"].member.agent, view or world.directory
    log_key = world.founded.partnership.log_key
    passed = clear(parse(delivery.to_bytes(), item), "intake", view, keys, log_key, world.now)
    outer = None if beside is None else json.dumps(beside.to_json())
    return sealed(passed, view, (founding(),), withdrawn=False, override=outer)


def refused(world, message, beside=None, **how):
    with pytest.raises(NoAuthority) as refusal:
        opened(world, message, beside, **how)
    return refusal.value.why


def held(world, *to, **changes):
    """A message that waited at the relay: it names no override, for there was none when it was sealed."""
    return risky(world, *to, **{**AMBER, **changes})


def test_a_message_that_was_released_opens_with_the_override_beside_it(world, people):
    message = held(world)
    signed, _ = people.override(header_of(message))
    assert opened(world, message, signed).alert


def test_a_relay_that_released_it_without_one_is_found_out(world, people):
    assert refused(world, held(world)) == "HOLD_LEAD"


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"lead": "author"}, "AUTHORISER_SAME"),
        ({"lead": "second author"}, "AUTHORISER_ROLE"),
        ({"author": "lead", "lead": "new lead"}, "AUTHOR_ROLE"),
        ({"lead": "new lead"}, "ROLE_KEY_YOUNG"),
        ({"lead": "unsigned lead"}, "ROLE_KEY_UNSIGNED"),
        ({"lead": "their lead"}, "OVERRIDE_AGENCY"),
        ({"author": "their author"}, "OVERRIDE_AGENCY"),
        ({"mid": fresh_mid()}, "OVERRIDE_USED"),
        ({"cat": ["ask"]}, "OVERRIDE_CATEGORIES"),
        ({"basis": "6d"}, "OVERRIDE_DIFFERS"),
        ({"reason": "E"}, "OVERRIDE_DIFFERS"),
        ({"exp": 9_999_999_999}, "OVERRIDE_LIFE"),
    ],
)
def test_the_recipient_believes_nothing_less(world, people, how, code):
    message = held(world)
    signed, _ = people.override(header_of(message), **how)
    assert refused(world, message, signed) == code


def test_a_desk_beyond_the_override_gets_nothing_shown(world, people):
    message = held(world, "IDVAS", "Harbour")
    signed, _ = people.override(header_of(message), to=[{"a": world.parties["IDVAS"].id, "d": "intake"}])
    assert refused(world, message, signed) == "OVERRIDE_RECIPIENTS"


def test_an_agency_without_a_lead_overrides_nothing(world, people):
    add_person(world, "SARC", "author-1")
    message = world.seal("SARC", "IDVAS", purpose="RISK_MGMT", law=REFUSED, rag="AMBER", **AMBER)
    signed, _ = people.override(header_of(message))
    assert refused(world, message, signed) == "NO_LEAD"


def thread_of(world, people, **changes):
    """A message of a risk thread that carries its override inside."""
    thread = fresh_mid()
    header = header_of(held(world, thread=thread))
    signed, _ = people.override(header, **{"scope": "thread", "mid": None, "thr": thread, **changes})
    return thread, (parse_override(signed).hash, signed)


def test_a_message_of_a_risk_thread_carries_its_override_inside(world, people):
    thread, override = thread_of(world, people, exp=world.now + 28 * DAY)
    assert opened(world, held(world, thread=thread, override=override)).alert
    assert opened(world, held(world, thread=thread, override=override)).alert


def test_an_override_inside_is_held_to_what_it_is_for(world, people):
    thread, override = thread_of(world, people)
    assert refused(world, held(world, override=override)) == "OVERRIDE_USED"
    other = held(world, thread=thread, override=override, purpose="CHILD_PROT")
    assert refused(world, other) == "OVERRIDE_DIFFERS"
    late, ended = thread_of(world, people, exp=world.now + DAY)
    with_time = held(world, thread=late, override=ended, ts=world.now + DAY, exp=world.now + 2 * DAY)
    world.clock.advance(DAY)
    try:
        assert refused(world, with_time) == "OVERRIDE_EXPIRED"
    finally:
        world.clock.advance(-DAY)


def test_a_header_that_names_another_override_than_the_one_inside_is_refused(world, people):
    thread, (_, signed) = thread_of(world, people)
    assert refused(world, held(world, thread=thread, override=(b64(bytes(32)), signed))) == "OVERRIDE_UNKNOWN"


def test_what_the_relay_hands_out_that_is_no_override_counts_as_none(world, people):
    message = held(world)
    signed, _ = people.override(header_of(message))
    spoiled = type(signed)(signed.text.replace(b'"v":1', b'"v":3'), signed.signature)
    assert refused(world, message, spoiled) == "HOLD_LEAD"
