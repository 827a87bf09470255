"""What the relay's record says that it knew is put to the rule again, and every difference is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from broker.intake import said_of
from schemas.canonical import encode
from schemas.consent import decide
from schemas.directory import Party
from schemas.directory_statement import Flags
from schemas.errors import Refusal
from schemas.facts import Facts, OverrideFacts
from schemas.override import parse_override
from schemas.policy import founding
from schemas.recorded import print_facts, read_facts
from schemas.sealing import Sealed
from schemas.signing import Signed
from tests.broker.leads import REFUSED, People
from tests.keys_tooling.paper_relay import PaperRelay
from tests.keys_tooling.test_reading import faults, reading
from tests.schemas.consent_cases import NO, SIGNED, Case
from tests.simulated_world import AGREED, World

WORDS = ("deliver", "alert", "hold", "refuse")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.found(tmp_path_factory.mktemp("world"), "Peacock", "IDVAS", "DASS")


@pytest.fixture
def relay(world: World) -> PaperRelay:
    return PaperRelay.with_policy(world)


def log(
    relay: PaperRelay, sealed: Sealed, coverage: str = "none", *, policy: int | None = 1, **changes: Any
) -> None:
    """Log a message as a relay does that tells the truth, save for what `changes` says of its decision or its record."""
    world = relay.world
    header = sealed.upload.envelope.header
    view = world.directory
    sender, parties = view.party(header.sender.a), tuple(view.party(to.a) for to in header.to)
    known = Facts(header, coverage, sender, parties, founding(), world.now)
    decision = decide(known)
    said = said_of(WORDS[decision.outcome], decision, known) | changes.pop("decision", {})
    relay.accept(sealed, "Peacock", "IDVAS", decision=said, policy=policy, **changes)


def agreed(world: World, **changes: Any) -> tuple[Sealed, dict[str, Any]]:
    """A message that rests on an agreement, and the agreement as a record quotes it."""
    grant = world.grant("Peacock", "IDVAS", **changes)
    status = world.status("Peacock", grant)
    sealed = world.seal("Peacock", "IDVAS", grant=grant, status=status)
    return sealed, {"grant": grant.to_json(), "status": status.to_json(), "withdrawal": None}


async def test_a_relay_that_tells_the_truth_is_believed(relay: PaperRelay, tmp_path: Path):
    log(relay, relay.world.seal("Peacock", "IDVAS"))
    sealed, quoted = agreed(relay.world)
    log(relay, sealed, "covers", **quoted)
    assert faults(await reading(relay, tmp_path)) == [(), ()]


LIES: list[tuple[str, dict[str, Any]]] = [
    ("an outcome", {"outcome": "alert"}),
    ("a code", {"code": "REFUSED"}),
    ("the rows", {"rows": [7]}),
]


@pytest.mark.parametrize(("what", "lie"), LIES, ids=[row[0] for row in LIES])
async def test_a_decision_that_does_not_follow_is_named(
    relay: PaperRelay, tmp_path: Path, what: str, lie: dict[str, Any]
):
    log(relay, relay.world.seal("Peacock", "IDVAS"), decision=lie)
    assert faults(await reading(relay, tmp_path)) == [("decided",)]


async def test_a_message_that_the_gate_should_have_stopped_is_named(relay: PaperRelay, tmp_path: Path):
    sealed = relay.world.seal("Peacock", "IDVAS", law=AGREED)
    log(relay, sealed, "none", decision={"outcome": "deliver", "code": "", "rows": [7]})
    assert faults(await reading(relay, tmp_path)) == [("decided",)]


async def test_an_agreement_that_the_record_does_not_show_is_named(relay: PaperRelay, tmp_path: Path):
    sealed, quoted = agreed(relay.world)
    _, other = agreed(relay.world)
    log(relay, sealed, "covers")
    log(relay, sealed, "covers", **other)
    log(relay, sealed, "covers", **{**quoted, "status": None})
    log(relay, sealed, "covers", **{**quoted, "withdrawal": quoted["grant"]})
    narrow, said = agreed(relay.world, pur=["HOUSING"])
    log(relay, narrow, "covers", **said)
    assert faults(await reading(relay, tmp_path)) == [("covered",)] * 5


async def test_a_policy_that_was_not_in_force_is_named(relay: PaperRelay, tmp_path: Path):
    log(relay, relay.world.seal("Peacock", "IDVAS"), policy=2)
    assert faults(await reading(relay, tmp_path)) == [("policy",)]


async def test_flags_or_a_sector_that_an_agency_did_not_have_are_named(relay: PaperRelay, tmp_path: Path):
    """The decision follows from what the relay says that it knew; but that was not so."""
    sealed = relay.world.seal("Peacock", "IDVAS")
    header, world = sealed.upload.envelope.header, relay.world
    police = Party(Flags(public_authority=True, s16la_member=False, cda_relevant=False), "police")
    known = Facts(header, "none", world.directory.party(header.sender.a), (police,), founding(), world.now)
    decision = decide(known)
    relay.accept(
        sealed, "Peacock", "IDVAS", decision=said_of(WORDS[decision.outcome], decision, known), policy=1
    )
    assert faults(await reading(relay, tmp_path)) == [("parties",)]


async def test_a_policy_whose_text_is_lost_leaves_the_question_open(relay: PaperRelay, tmp_path: Path):
    relay.policies.clear()
    log(relay, relay.world.seal("Peacock", "IDVAS"), decision={"outcome": "alert"})
    assert faults(await reading(relay, tmp_path)) == [()]


async def test_a_policys_text_that_was_changed_is_not_asked(relay: PaperRelay, tmp_path: Path):
    [digest] = relay.policies
    relay.policies[digest] = encode({**json.loads(relay.policies[digest]), "break_glass": False})
    log(relay, relay.world.seal("Peacock", "IDVAS"), decision={"outcome": "alert"})
    assert faults(await reading(relay, tmp_path)) == [()]


async def test_a_relay_without_a_policy_says_so_and_is_asked_as_such(relay: PaperRelay, tmp_path: Path):
    log(relay, relay.world.seal("Peacock", "IDVAS"), policy=None)
    assert faults(await reading(relay, tmp_path)) == [("decided",)]


@pytest.mark.parametrize("known", [{}, {"coverage": "covers"}, {"more": 1}])
async def test_facts_in_no_known_form_are_named(relay: PaperRelay, tmp_path: Path, known: object):
    log(relay, relay.world.seal("Peacock", "IDVAS"), decision={"known": known})
    assert faults(await reading(relay, tmp_path)) == [("form",)]


async def test_a_refusal_before_the_rule_was_asked_has_nothing_to_ask_again(
    relay: PaperRelay, tmp_path: Path
):
    log(relay, relay.world.seal("Peacock", "IDVAS"), decision={"known": None, "code": "EXPIRED"})
    assert faults(await reading(relay, tmp_path)) == [()]


def overridden(world: World, people: People, **changes: Any) -> tuple[Sealed, Signed]:
    sealed = world.seal("Peacock", "IDVAS", law=REFUSED, purpose="RISK_MGMT")
    return sealed, people.override(sealed.upload.envelope.header, **changes)[0]


def log_overridden(
    relay: PaperRelay, sealed: Sealed, said: Signed, quoted: Signed | None, ts: int | None = None
) -> None:
    """Log it as one that `said` let go, with the statement `quoted` in the record."""
    world, view = relay.world, relay.world.directory
    header = sealed.upload.envelope.header
    found = parse_override(said)
    facts = OverrideFacts("lead", found.core.author, found.by, "msg", valid=True, covers=True, reason="G")
    parties = tuple(view.party(to.a) for to in header.to)
    known = Facts(header, "none", view.party(header.sender.a), parties, founding(), world.now, facts)
    decision = decide(known)
    record = said_of("alert", decision, known)
    shown = {} if quoted is None else {"override": quoted.to_json()}
    relay.accept(sealed, "Peacock", "IDVAS", decision=record, policy=1, **shown)


async def test_an_override_that_the_record_does_not_show_or_that_is_worth_less_is_named(
    world: World, tmp_path: Path
):
    people = People.of(world)
    relay = PaperRelay(world)
    relay.policies[world.directory.policies.entries[0].digest] = founding(
        world.directory.policies.entries[0].effective
    ).text
    good, signed = overridden(world, people)
    log_overridden(relay, good, signed, signed)
    other, unsigned = overridden(world, people, lead="unsigned lead")
    log_overridden(relay, other, unsigned, unsigned)
    log_overridden(relay, other, unsigned, None)
    log_overridden(relay, good, signed, unsigned)
    assert faults(await reading(relay, tmp_path)) == [(), ("signed",), ("signed",), ("signed",)]


@pytest.mark.parametrize("override", [None, SIGNED])
def test_what_is_printed_of_the_facts_reads_back(override: OverrideFacts | None):
    case = Case(
        "any", 0, 0, law=NO, coverage="none", known={"override": override, "switched": True, "leads": False}
    )
    facts = case.facts()
    said = print_facts(facts)
    assert read_facts(facts.header, json.loads(encode(said)), facts.policy, facts.now) == facts
    with pytest.raises(Refusal):
        read_facts(facts.header, {**said, "to": []}, facts.policy, facts.now)
    with pytest.raises(Refusal):
        read_facts(facts.header, {**said, "to": said["to"] * 2}, facts.policy, facts.now)


@pytest.mark.parametrize("quoted", [None, "before", "after"])
@pytest.mark.parametrize("claimed", [False, True])
async def test_whether_the_basis_was_switched_follows_from_the_withdrawal_in_the_record(
    relay: PaperRelay, tmp_path: Path, claimed: bool, quoted: str | None
):
    """Row 17 holds a message up or lets it be overridden: a relay may neither invent it nor leave it out."""
    world = relay.world
    grant = world.grant("Peacock", "IDVAS")
    law = {**AGREED, "b6": "6f", "why_no": "B"}
    sealed = world.seal(
        "Peacock", "IDVAS", grant=grant, status=world.status("Peacock", grant), law=law, rag="RED"
    )
    header = sealed.upload.envelope.header
    view, shown = world.directory, {"grant": grant.to_json()}
    if quoted is not None:
        ts = header.ts + (-1 if quoted == "before" else 1)
        shown["withdrawal"] = world.withdrawal("Peacock", grant, ts=ts).to_json()
    parties = tuple(view.party(to.a) for to in header.to)
    known = Facts(
        header, "withdrawn", view.party(header.sender.a), parties, founding(), world.now, switched=claimed
    )
    decision = decide(known)
    record = said_of(WORDS[decision.outcome], decision, known)
    relay.accept(sealed, "Peacock", "IDVAS", decision=record, policy=1, **shown)
    expected = () if claimed == (quoted == "before") else ("switched",)
    assert faults(await reading(relay, tmp_path)) == [expected]
