"""An officer holds what a message refers to against the log itself (PROTOCOL.md C21)."""

import json
from pathlib import Path
from typing import Any

import pytest

from broker.intake import said_of
from schemas.canonical import encode
from schemas.consent import decide
from schemas.errors import Refusal
from schemas.facts import Facts, RequestFacts
from schemas.policy import founding
from schemas.recorded import print_facts, read_facts, read_request
from schemas.references import onward_facts, request_facts
from schemas.sealing import Sealed
from tests.broker.test_inquiries import ASKS, LEGAL, answer, header_of, request
from tests.keys_tooling.paper_relay import PaperRelay
from tests.keys_tooling.test_reading import faults, reading
from tests.simulated_world import World

WORDS = ("deliver", "alert", "hold", "refuse")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.found(tmp_path_factory.mktemp("world"), "Peacock", "IDVAS", "DASS")


@pytest.fixture
def relay(world: World) -> PaperRelay:
    return PaperRelay.with_policy(world)


def log(
    relay: PaperRelay, sealed: Sealed, sender: str, to: str, asked: Any = (), known_of: Any = "the truth"
) -> None:
    """Log what a relay decides on what it says that it knew of the request; it tells the truth of all else."""
    world, header = relay.world, sealed.upload.envelope.header
    view = world.directory
    request = request_facts(header, asked) if known_of == "the truth" else known_of
    known = Facts(
        header, "none", view.party(header.sender.a), tuple(view.party(one.a) for one in header.to), founding(),
        world.now, request=request, onward=onward_facts(header),
    )  # fmt: skip
    decision = decide(known)
    relay.accept(sealed, sender, to, decision=said_of(WORDS[decision.outcome], decision, known), policy=1)


OPEN = RequestFacts(open=True, asked=frozenset(ASKS))


@pytest.mark.parametrize(
    ("what", "known", "found"),
    [
        ("as it was", "the truth", ()),
        ("none, although it carried one", None, ("request",)),
        ("closed, although it is open", RequestFacts(open=False, asked=OPEN.asked), ("request",)),
        ("more was asked", RequestFacts(open=True, asked=OPEN.asked | {"health"}), ("request",)),
    ],
)
async def test_what_the_relay_says_of_a_request_is_held_against_the_entry_of_the_request(
    relay: PaperRelay, tmp_path: Path, what: str, known: Any, found: tuple[str, ...]
):
    asked = request(relay.world)
    log(relay, asked, "IDVAS", "Peacock")
    given = answer(relay.world, asked)
    log(relay, given, "Peacock", "IDVAS", (header_of(asked),), known)
    assert faults(await reading(relay, tmp_path)) == [(), found], what


async def test_an_open_request_that_the_log_does_not_show_proves_nothing_either_way(
    relay: PaperRelay, tmp_path: Path
):
    log(relay, answer(relay.world, request(relay.world)), "Peacock", "IDVAS", known_of=OPEN)
    assert faults(await reading(relay, tmp_path)) == [()]


def told(world: World, onward: str, **changes: Any) -> Sealed:
    return world.seal("IDVAS", "Peacock", law={**LEGAL, "onward": onward}, **changes)


def passed(world: World, source: Sealed, **claims: Any) -> Sealed:
    header = header_of(source)
    terms = {"leave": None, "mid": header.mid, "onward": header.law.onward, "pur": header.pur, **claims}
    return world.seal("Peacock", "IDVAS", law={**LEGAL, "src": [terms]}, cls="UPDATE")


@pytest.mark.parametrize(
    ("what", "claims", "found"),
    [
        ("as it was", {}, ()),
        ("freer", {"onward": "ASK", "leave": "A" * 22}, ("source",)),
        ("for another purpose", {"pur": "HOUSING", "leave": "A" * 22}, ("source",)),
    ],
)
async def test_what_a_sender_says_of_its_source_is_held_against_the_entry_of_the_source(
    relay: PaperRelay, tmp_path: Path, what: str, claims: dict[str, Any], found: tuple[str, ...]
):
    source = told(relay.world, "WITHIN_PURPOSE")
    log(relay, source, "IDVAS", "Peacock")
    log(relay, passed(relay.world, source, **claims), "Peacock", "IDVAS")
    assert faults(await reading(relay, tmp_path)) == [(), found], what


async def test_leave_that_somebody_else_gave_is_named(relay: PaperRelay, tmp_path: Path):
    world = relay.world
    source, own = told(world, "ASK"), world.seal("Peacock", "IDVAS", law=LEGAL, cls="RESPOND")
    leave = world.seal("IDVAS", "Peacock", law=LEGAL, cls="RESPOND")
    log(relay, source, "IDVAS", "Peacock")
    log(relay, leave, "IDVAS", "Peacock")
    log(relay, own, "Peacock", "IDVAS")
    log(relay, passed(world, source, leave=header_of(leave).mid), "Peacock", "IDVAS")
    log(relay, passed(world, source, leave=header_of(own).mid), "Peacock", "IDVAS")
    assert faults(await reading(relay, tmp_path)) == [(), (), (), (), ("source",)]


@pytest.mark.parametrize("known", [OPEN, RequestFacts(open=False, asked=frozenset()), None])
def test_what_is_printed_of_a_request_and_its_sources_reads_back(world: World, known: RequestFacts | None):
    source = told(world, "ASK")
    header = header_of(passed(world, source))
    view = world.directory
    facts = Facts(
        header, "none", view.party(header.sender.a), (view.party(header.to[0].a),), founding(), world.now, request=known,
        onward=onward_facts(header),
    )  # fmt: skip
    said = json.loads(encode(print_facts(facts)))
    assert ("request" in said) == (known is not None)
    assert read_facts(header, said, facts.policy, facts.now) == facts
    for wrong in ({"open": True}, {"asked": [], "open": "yes"}, {"asked": [], "open": True, "more": 1}):
        with pytest.raises(Refusal):
            read_facts(header, {**said, "request": wrong}, facts.policy, facts.now)
        with pytest.raises(Refusal):
            read_request({"request": wrong})
