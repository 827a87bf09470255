"""Oversight takes an agency in: only the one that it rang, only once, and from whatever point it was stopped at."""

import json
import secrets
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from keys_tooling import journal as journals
from keys_tooling.admission import Oversight
from keys_tooling.admission import admit as admission
from keys_tooling.applying import apply
from keys_tooling.carrying_out import planned
from keys_tooling.ceremony import Member, OfficerCard, admit, make_agency, make_officer
from keys_tooling.console import World as Outside
from keys_tooling.enrolment import Enrolment, check_fingerprint, make_enrolment, parse_enrolment
from keys_tooling.own_side import SEEN
from schemas.canonical import decode, encode
from schemas.directory_statement import Flags
from schemas.errors import Refusal
from schemas.keyring import AdminKeys
from schemas.signing import Purpose, Signed
from tests.keys_tooling.paper_relay import PaperRelay
from tests.simulated_world import World

NO_FLAGS = Flags(public_authority=False, s16la_member=False, cda_relevant=False)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.again(tmp_path / "world", "The Peacock Project")


@pytest.fixture
def relay(world: World) -> PaperRelay:
    return PaperRelay(world)


@pytest.fixture
def oversight(world: World, tmp_path: Path) -> Oversight:
    founded = world.founded
    folder = tmp_path / "P"
    folder.mkdir()
    return Oversight(folder, founded.partnership, founded.oversight.admin, founded.oversight.agent.auth)


def member(world: World, *, card: OfficerCard | None = None, now: int | None = None) -> Member:
    card = card or make_officer(secrets.token_bytes)[1]
    return make_agency(now or world.now, secrets.token_bytes, (card,))


def enrolment(world: World, name: str = "Peterborough IDVAS", **changes: object) -> Enrolment:
    given = {
        "member": member(world),
        "desks": ("duty",),
        "partnership": world.founded.oversight.id,
        **changes,
    }
    return make_enrolment(
        given["member"],
        given["partnership"],
        name,
        given["desks"],
        NO_FLAGS,
        world.now,
        given.get("sector", "idva"),
    )


@dataclass(frozen=True)
class Taken:
    posted: int
    before: bool
    members: int


async def taken(relay: PaperRelay, oversight: Oversight, new: Enrolment, clock=None) -> Taken:
    """As `agency enrol` does it: planned, or what was begun before, and applied."""
    outside = Outside(clock or relay.world.clock, secrets.token_bytes)
    begun, posted, before = journals.unfinished(oversight.folder), 0, False
    if begun is None:
        plan, reading = await planned(
            relay, oversight, outside, lambda reading, own: admission(reading, own, (), new, outside.now())
        )
        before, view = not plan.says, reading.view
        begun = journals.begin(oversight.folder, plan, len(reading.statements)) if plan.says else None
    if begun is not None:
        done = await apply(relay, oversight, begun, (), outside, lambda _text: None)
        posted, view = done.posted, done.view
    return Taken(posted, before, sum(agency.member for agency in view.agencies.values()))


async def test_an_enrolled_agency_is_a_member_with_its_desks(relay, oversight, world):
    new = enrolment(world)
    done = await taken(relay, oversight, new)
    agency = world.directory.find("Peterborough IDVAS")
    assert (agency.id, agency.desks) == (new.particulars.agency, ("duty",))
    assert (agency.flags, agency.sector) == (NO_FLAGS, "idva")
    assert (done.posted, done.before, done.members) == (len(new.statements) + 1, False, 2)


async def test_enrolling_twice_ends_in_the_same_state(relay, oversight, world):
    new = enrolment(world)
    await taken(relay, oversight, new)
    before = list(relay.statements)
    done = await taken(relay, oversight, new)
    assert (done.posted, done.before) == (0, True)
    assert relay.statements == before


@pytest.mark.parametrize("cut", range(1, 6))
async def test_stopped_at_any_request_it_is_finished_by_running_it_again(relay, oversight, world, cut: int):
    new = enrolment(world)
    relay.cut = cut
    with pytest.raises(Refusal, match="RELAY_AWAY"):
        await taken(relay, oversight, new)
    relay.cut = None
    await taken(relay, oversight, new)
    assert world.directory.find("Peterborough IDVAS").member
    assert len({s.text for s in relay.statements}) == len(relay.statements)


async def test_statements_that_arrived_without_the_admission_are_not_posted_again(relay, oversight, world):
    new = enrolment(world)
    for signed in new.statements[:4]:
        world.directory.apply(signed)
        relay.statements.append(signed)
    assert (await taken(relay, oversight, new)).posted == len(new.statements) - 4 + 1


async def test_another_admission_in_the_same_moment_is_no_conflict(relay, oversight, world, tmp_path):
    (tmp_path / "another").mkdir()
    colleague = replace(oversight, folder=tmp_path / "another")
    one, other, honest = enrolment(world), enrolment(world, "IMPAKT DASS"), relay.post_statements
    first = True

    async def overtaken(request):
        nonlocal first
        if first:
            first = False
            relay.post_statements = honest
            await taken(relay, colleague, other)
        return await honest(request)

    relay.post_statements = overtaken
    await taken(relay, oversight, one)
    assert {a.name for a in world.directory.agencies.values() if a.member} >= {
        "Peterborough IDVAS",
        "IMPAKT DASS",
    }


@pytest.mark.parametrize(
    "name", ["The Peacock Project", "the peacock project", "The Peac0ck Project", "Simulated"]
)
async def test_a_look_alike_of_a_member_or_of_the_partnership_is_refused(relay, oversight, world, name: str):
    before = list(relay.statements)
    with pytest.raises(Refusal, match="NAME"):
        await taken(relay, oversight, enrolment(world, name))
    assert relay.statements == before


@pytest.mark.parametrize("changes", [{"desks": ("duty", "referrals")}, {"sector": "police"}])
async def test_a_member_under_other_particulars_is_refused(relay, oversight, world, changes: dict):
    new = member(world)
    await taken(relay, oversight, enrolment(world, member=new))
    with pytest.raises(Refusal, match="CONFLICT"):
        await taken(relay, oversight, enrolment(world, member=new, **changes))


async def test_an_enrolment_for_another_partnership_is_refused(relay, oversight, world, tmp_path):
    other = World.found(tmp_path / "other")
    with pytest.raises(Refusal, match="SETTINGS"):
        await taken(relay, oversight, enrolment(world, partnership=other.founded.oversight.id))


async def test_an_officer_of_another_agency_is_refused(relay, oversight, world):
    keys = world.parties["The Peacock Project"].officer
    card = OfficerCard(keys.ig.public, keys.auth.public)
    with pytest.raises(Refusal, match="KEY"):
        await taken(relay, oversight, enrolment(world, member=member(world, card=card)))


async def test_keys_that_are_past_their_dates_are_refused(relay, oversight, world):
    with pytest.raises(Refusal, match="STALE_KEY"):
        await taken(relay, oversight, enrolment(world, member=member(world, now=world.now - 60 * 24 * 3600)))


# --- a relay that lies


async def test_a_directory_that_hides_what_oversight_said_is_refused(relay, oversight, world):
    relay.statements = relay.statements[:5]
    with pytest.raises(Refusal, match="ROLLBACK"):
        await taken(relay, oversight, enrolment(world))


async def test_a_directory_older_than_one_seen_before_is_refused(relay, oversight, world):
    await taken(relay, oversight, enrolment(world))
    relay.statements.pop()
    with pytest.raises(Refusal, match="ROLLBACK"):
        await taken(relay, oversight, enrolment(world, "IMPAKT DASS"))


async def test_a_directory_with_another_history_is_refused(relay, oversight, world):
    await taken(relay, oversight, enrolment(world))
    length = len(relay.statements)
    honest = list(world.statements)
    relay.statements = honest
    for _ in range(2):
        for signed in world.join(f"Agency {secrets.token_hex(4)}"):
            relay.statements.append(signed)
    assert len(relay.statements) >= length
    with pytest.raises(Refusal, match="FORK"):
        await taken(relay, oversight, enrolment(world, "IMPAKT DASS"))


async def test_oversights_own_chain_rewritten_is_refused(relay, oversight, world):
    admin = oversight.admin
    longer = replace(oversight, admin=AdminKeys(admin.agency, admin.op, admin.seq, "A" * 43))
    with pytest.raises(Refusal, match="FORK"):
        await taken(relay, longer, enrolment(world))


async def test_a_relay_whose_clock_is_off_is_refused(relay, oversight, world):
    with pytest.raises(Refusal, match="CLOCK"):
        await taken(relay, oversight, enrolment(world), lambda: world.now + 301)


async def test_a_changed_note_of_what_was_seen_is_refused(relay, oversight, world):
    new = enrolment(world)
    await taken(relay, oversight, new)
    note = (oversight.folder / SEEN).read_text()
    (oversight.folder / SEEN).write_text(note.replace("\n", "\n1", 1))
    with pytest.raises(Refusal, match="CHECKPOINT"):
        await taken(relay, oversight, new)


# --- the enrolment itself


def test_an_enrolment_survives_the_way_to_oversight(world):
    new = enrolment(world)
    assert parse_enrolment(new.to_bytes()).to_bytes() == new.to_bytes()


def test_every_changed_byte_of_an_enrolment_is_refused_or_means_the_same(world):
    new = enrolment(world)
    data = new.to_bytes()
    for at in range(0, len(data), 97):
        changed = bytearray(data)
        changed[at] ^= 1
        try:
            found = parse_enrolment(bytes(changed))
        except Refusal:
            continue
        assert found.particulars == new.particulars  # a blank between words of JSON
        assert found.statements == new.statements


@pytest.mark.parametrize("field", ["name", "desks", "flags", "sector"])
def test_particulars_that_the_agency_did_not_sign_are_refused(world, field: str):
    value = json.loads(enrolment(world).to_bytes())
    said = json.loads(value["enrolment"]["t"])
    said[field] = {
        "name": "Another", "desks": ["other"], "flags": {**said["flags"], "cda_relevant": True}, "sector": "police",
    }[field]  # fmt: skip
    value["enrolment"]["t"] = encode(said).decode()
    with pytest.raises(Refusal, match="SIGNATURE"):
        parse_enrolment(json.dumps(value).encode())


def test_somebody_elses_statements_are_refused(world):
    mine, theirs = json.loads(enrolment(world).to_bytes()), json.loads(enrolment(world).to_bytes())
    with pytest.raises(Refusal, match="DIRECTORY"):
        parse_enrolment(json.dumps({**mine, "statements": theirs["statements"]}).encode())


def test_somebody_elses_statements_under_ones_own_name_are_refused(world):
    victim, thief = enrolment(world), member(world)
    said = decode(victim.signed.text, 16_384) | {"name": "Another"}
    forged = Signed.make(thief.admin.op, Purpose.ENROLMENT, said)
    with pytest.raises(Refusal, match="SIGNATURE"):
        parse_enrolment(replace(victim, signed=forged).to_bytes())


def test_an_enrolment_that_admits_itself_is_refused(world):
    new = member(world)
    moved, admission = admit(new.admin, new.id, "Sly", ("duty",), NO_FLAGS.model_dump(), world.now)
    with pytest.raises(Refusal, match="NOT_ALLOWED"):
        make_enrolment(
            replace(new, admin=moved, statements=(*new.statements, admission)),
            world.founded.oversight.id, "Sly", ("duty",), NO_FLAGS, world.now,
        )  # fmt: skip


@pytest.mark.parametrize("cut", [1, 5, -1])
def test_statements_that_are_missing_are_refused(world, cut: int):
    value = json.loads(enrolment(world).to_bytes())
    value["statements"] = value["statements"][:cut]
    with pytest.raises(Refusal, match="DIRECTORY"):
        parse_enrolment(json.dumps(value).encode())


def test_an_agency_without_every_key_it_needs_is_refused(world):
    new = make_agency(world.now, secrets.token_bytes, ())
    with pytest.raises(Refusal) as caught:
        enrolment(world, member=new)
    assert (caught.value.code, caught.value.detail) == ("KEY", ("ig", "ig-auth"))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"enrolment": 1, "statements": []}', b"\xff", b"[" * 99999]
)
def test_what_is_no_enrolment_is_refused(data: bytes):
    with pytest.raises(Refusal, match=r"FORM|TOO_BIG"):
        parse_enrolment(data)


@pytest.mark.parametrize("spelling", ["{}", " {} ", "{0}", "{1}"])
def test_a_safety_number_may_be_written_with_or_without_gaps(world, spelling: str):
    new = enrolment(world)
    check_fingerprint(new, spelling.format(new.number.replace(" ", ""), new.number.replace(" ", "-")))


@pytest.mark.parametrize("said", ["", "12345", "00000 " * 6, "٠" * 30, "number"])
def test_a_wrong_safety_number_is_refused_and_the_right_one_is_not_told(world, said: str):
    new = enrolment(world)
    with pytest.raises(Refusal, match="FINGERPRINT") as caught:
        check_fingerprint(new, said)
    assert new.number[:5] not in caught.value.say


def test_another_agencys_safety_number_is_refused(world):
    with pytest.raises(Refusal, match="FINGERPRINT"):
        check_fingerprint(enrolment(world), enrolment(world).number)
