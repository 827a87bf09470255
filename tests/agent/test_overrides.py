"""Overrides at the recipient: it verifies them itself, and each fault has its own code (V8, O8)."""

import json

import pytest

from agent.overriding import decided_at
from agent.rules import NoAuthority, clear, parse, sealed
from schemas.api import PageItem
from schemas.canonical import b64
from schemas.directory import Directory
from schemas.envelope import Delivery
from schemas.errors import Refusal
from schemas.override import authorise_override, parse_override
from schemas.policy import founding
from tests.agent.test_rules import HELD, TEXT, proof_of
from tests.broker.leads import DAY, NOT_HERS, REFUSED, People, fresh_mid, header_of, risky
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


def opened(world, message, beside=None, view: Directory | None = None, **how):
    """The recipient's own decision; `beside` is what the relay hands out with it."""
    delivery = delivery_of(world, message)
    item = PageItem(eid=b64(delivery.envelope.eid), d="intake", state="queued")
    keys, view = world.parties["IDVAS"].member.agent, view or world.directory
    log_key = world.founded.partnership.log_key
    passed = clear(parse(delivery.to_bytes(), item), "intake", view, keys, log_key, world.now)
    outer = None if beside is None else json.dumps(beside.to_json())
    values = {"withdrawn": False, **how}
    return sealed(passed, view, (founding(),), override=outer, **values)


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


def test_a_red_without_a_basis_opens_with_the_one_that_two_people_named(world, people):
    message = held(world, payload=TEXT.replace("AMBER", "RED"), rag="RED", law={**REFUSED, "b6": None})
    signed, _ = people.override(header_of(message), basis="6f")
    assert opened(world, message, signed).alert
    signed, _ = people.override(header_of(message), basis="6z")
    assert refused(world, message, signed) == "VOCABULARY"


def test_another_basis_after_a_withdrawal_wants_a_lead_even_for_a_red(world, people):
    """Row 17, which the relay should have held: the recipient knows when it was written too."""
    grant = world.grant("Peacock", "IDVAS", pur=["RISK_MGMT"], cat=list(HELD))
    status = world.status("Peacock", grant)
    law = {**REFUSED, "agree": "WITHDRAWN", "why_no": "A"}
    red = {
        "payload": TEXT.replace("AMBER", "RED"),
        "rag": "RED",
        "grant": grant,
        "status": status,
        "law": law,
    }
    message = held(world, **red)
    assert opened(world, message, withdrawn=True).alert  # nobody foresaw it, and it is RED
    with pytest.raises(NoAuthority) as refusal:
        opened(world, message, withdrawn=True, switched=True)
    assert refusal.value.code == "BASIS_SWITCH"
    signed, _ = people.override(header_of(message))
    assert opened(world, message, signed, withdrawn=True, switched=True).alert


def test_the_policy_of_the_leads_moment_decides_if_she_really_signed(world, people):
    message = held(world)
    header, change = header_of(message), world.now + 3600

    def around(at):
        return (founding(),) if at < change else (founding(version=2),)

    def decided(signed, now=change + DAY):
        outer = None if signed is None else json.dumps(signed.to_json())
        return decided_at(header, outer, world.directory, around, now)

    good = authorise_override(
        parse_override(people.override(header)[0]).request, people.keys["lead"], change + 60
    )
    assert (decided(None), decided(good)) == (header.ts, change + 60)
    other = authorise_override(
        parse_override(people.override(header, reason="E")[0]).request, people.keys["lead"], change + 60
    )
    assert decided(other) == header.ts  # what is worth nothing moves nothing
    with pytest.raises(Refusal, match="FUTURE"):
        decided(good, now=change - 3600)


def test_a_relay_that_released_it_without_one_is_found_out(world, people):
    assert refused(world, held(world)) == "HOLD_LEAD"


@pytest.mark.parametrize(
    ("how", "code"),
    [
        *NOT_HERS,
        ({"mid": fresh_mid()}, "OVERRIDE_USED"),
        ({"cat": ["ask"]}, "OVERRIDE_CATEGORIES"),
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
