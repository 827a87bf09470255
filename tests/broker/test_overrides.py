"""Overrides at the relay: recorded, announced, single, and each fault with its own code."""

import secrets

import pytest

from schemas.canonical import b64, encode
from schemas.opening import open_record, record_key
from schemas.override import parse_override
from schemas.record import SealedRecord
from schemas.sealing import seal, seal_record
from schemas.signing import Signed
from tests.broker.leads import DAY, REFUSED, People, fresh_mid, header_of, notices, one, post_override, risky
from tests.simulated_world import World
from tests.tools.override_world import core_for

pytestmark = pytest.mark.usefixtures("people")  # before the relay, which founds itself with them


def resting(world: World, people: People, *to: str, law=REFUSED, **changes):
    """A message that names its override, and the override; `changes` are the core's."""
    thread = {"thread": b64(secrets.token_bytes(16))}
    probe = risky(world, *to, law=law, **thread)
    header = header_of(probe)
    signed, record = people.override(header, **{"scope": "thread", "mid": None, "thr": header.thr, **changes})
    named = parse_override(signed).hash
    return risky(world, *to, law=law, override=(named, signed), **thread), signed, record


async def test_two_people_let_a_message_of_a_risk_thread_pass_and_its_answer(world: World, http, people):
    sealed, signed, record = resting(world, people)
    assert await post_override(world, http, signed, record) == ("recorded", None)
    result = await one(world, http, sealed)
    assert (result["status"], result["alert"]) == ("accepted", True)
    again = risky(world, thread=header_of(sealed).thr, override=(parse_override(signed).hash, signed))
    assert (await one(world, http, again))["status"] == "accepted"
    assert len((await world.mailbox(http, "IDVAS")).head.items) == 2


async def test_oversight_hears_of_each_override_at_once(world: World, http, people):
    _, signed, record = resting(world, people)
    await post_override(world, http, signed, record)
    (notice,) = (await world.mailbox(http, "oversight")).head.notices
    assert (notice.kind, notice.a) == ("override", world.parties["Peacock"].id)
    assert notice.evidence.t.encode() == signed.text
    assert await notices(world, http, "Peacock") == ["override"]


async def test_the_reason_is_for_officers_alone(world: World, http, people):
    _, signed, record = resting(world, people)
    core = parse_override(signed).core
    for name in ("Peacock", "oversight"):
        key = record_key(SealedRecord.parse(record), [world.parties[name].officer.ig])
        assert open_record(SealedRecord.parse(record), key, core.oid)["reason"]
    assert "happened" not in signed.text.decode()
    await post_override(world, http, signed, record)
    assert b"happened" not in b"".join(p.read_bytes() for p in (world.folder / "relay").glob("relay.db*"))


async def test_an_override_is_recorded_once(world: World, http, people):
    _, signed, record = resting(world, people)
    assert (await post_override(world, http, signed, record))[0] == "recorded"
    assert (await post_override(world, http, signed, record))[0] == "repeat"
    core = parse_override(signed).core
    _, other, record = resting(world, people, oid=core.oid)
    assert await post_override(world, http, other, record) == ("refused", "ID_CLASH")


async def test_a_message_that_names_an_override_nobody_recorded_is_refused(world: World, http, people):
    sealed, _, _ = resting(world, people)
    result = await one(world, http, sealed)
    assert (result["status"], result["code"]) == ("refused", "OVERRIDE_UNKNOWN")


async def test_an_override_for_one_message_is_not_used_for_another(world: World, http, people):
    first, second = risky(world), risky(world)
    signed, record = people.override(header_of(first))
    assert (await post_override(world, http, signed, record))[0] == "recorded"
    named = risky(world, override=(parse_override(signed).hash, signed))
    result = await one(world, http, named)
    assert (result["status"], result["code"]) == ("refused", "OVERRIDE_USED")
    assert (await one(world, http, second))["status"] == "held"
    assert (await one(world, http, first))["status"] == "accepted"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"categories": ("ask", "risk")}, "OVERRIDE_CATEGORIES"),
        ({"purpose": "CHILD_PROT"}, "OVERRIDE_DIFFERS"),
        ({"law": {**REFUSED, "b6": "6d"}}, "OVERRIDE_DIFFERS"),
        ({"thread": fresh_mid()}, "OVERRIDE_USED"),
    ],
)
async def test_a_message_beyond_its_override_is_refused(world: World, http, people, change, code):
    sealed, signed, record = resting(world, people)
    await post_override(world, http, signed, record)
    thread = header_of(sealed).thr
    beyond = risky(world, **{"thread": thread, **change}, override=(parse_override(signed).hash, signed))
    result = await one(world, http, beyond)
    assert (result["status"], result["code"]) == ("refused", code)


async def test_a_desk_that_the_override_does_not_name_gets_nothing(world: World, http, people):
    sealed, signed, record = resting(world, people)
    await post_override(world, http, signed, record)
    beyond = risky(
        world,
        "IDVAS",
        "Harbour",
        thread=header_of(sealed).thr,
        override=(parse_override(signed).hash, signed),
    )
    result = await one(world, http, beyond)
    assert (result["status"], result["code"]) == ("refused", "OVERRIDE_RECIPIENTS")


async def test_an_override_ends(world: World, http, people):
    sealed, signed, record = resting(world, people, exp=world.now + DAY)
    await post_override(world, http, signed, record)
    world.clock.advance(DAY)
    late = risky(world, thread=header_of(sealed).thr, override=(parse_override(signed).hash, signed))
    result = await one(world, http, late)
    assert (result["status"], result["code"]) == ("refused", "OVERRIDE_EXPIRED")


async def test_another_agencys_override_is_no_override(world: World, http, people):
    _, signed, record = resting(world, people)
    assert await post_override(world, http, signed, record, "IDVAS") == ("refused", "NOT_ALLOWED")
    await post_override(world, http, signed, record)
    theirs = risky(world, "Peacock", sender="IDVAS", override=(parse_override(signed).hash, signed))
    result = await one(world, http, theirs, "IDVAS")
    assert (result["status"], result["code"]) == ("refused", "OVERRIDE_UNKNOWN")


async def test_a_lead_who_left_is_not_relied_on_any_more(world: World, http, people):
    from schemas.chain import Chain

    sealed, signed, record = resting(world, people)
    await post_override(world, http, signed, record)
    admin = world.parties["Peacock"].admin
    gone = Chain(admin.agency, admin.op, admin.seq, admin.head).revoke(
        people.keys["lead"].kid, "left", world.now, world.now
    )
    await world.post_statements(http, "Peacock", ("directory", gone))
    result = await one(world, http, sealed)
    assert (result["status"], result["code"]) == ("refused", "REVOKED_KEY")


async def test_the_reason_must_be_the_one_that_was_signed_and_sealed_to_the_right_officers(
    world: World, http, people
):
    header = header_of(risky(world))
    signed, record = people.override(header)
    _, other = people.override(header)
    assert await post_override(world, http, signed, None) == ("refused", "RECORD")
    assert await post_override(world, http, signed, other) == ("refused", "RECORD")
    assert (await post_override(world, http, signed, record[:-1]))[0] == "refused"
    oid = fresh_mid()
    officers = world.directory.officers({world.parties["IDVAS"].id}, world.now)
    elsewhere = seal_record(oid, encode({"oid": oid, "v": 1}), officers, secrets.token_bytes(32))
    from schemas.override import authorise_override, request_override

    core = core_for(world, header, people.keys["author"], elsewhere, oid)
    wrong = authorise_override(request_override(core, people.keys["author"]), people.keys["lead"], core.ts)
    assert await post_override(world, http, wrong, elsewhere) == ("refused", "OFFICERS")


@pytest.mark.parametrize("text", [b"{}", b'{"by":1}', b"[]", b"\xff", b'{"v":1}'])
async def test_what_is_no_override_is_refused_in_form(world: World, http, text):
    signed = Signed(text if text.isascii() else b"{}", bytes(64))
    status, code = await post_override(world, http, signed, b"x")
    assert (status, code) in (("refused", "FORM"), ("refused", "VERSION"), ("refused", "NOT_CANONICAL"))


async def test_oversight_countersigns_only_now(world: World, http, people):
    """A countersignature dated back would make a key count before anybody could have seen it."""
    from schemas.chain import Chain

    admin = world.parties["oversight"].admin
    key = people.keys["unsigned lead"]
    old = Chain(admin.agency, admin.op, admin.seq, admin.head).countersign(key.kid, "lead", world.now - DAY)
    (result,) = (await world.post_statements(http, "oversight", ("directory", old))).json()["results"]
    assert (result["status"], result["code"]) == ("refused", "CLOCK")
    fresh = Chain(admin.agency, admin.op, admin.seq, admin.head).countersign(key.kid, "lead", world.now)
    (result,) = (await world.post_statements(http, "oversight", ("directory", fresh))).json()["results"]
    assert result["status"] == "recorded"


async def test_an_override_does_not_let_the_same_message_id_go_twice(world: World, relay, http, people):
    """A short-lived message is long forgotten while its override still lives."""

    def sealed():
        draft = world.draft("Peacock", "IDVAS", purpose="RISK_MGMT", law=REFUSED, exp=world.now + 120)
        officers = world.directory.officers({draft.sender, *(r.agency for r in draft.to)}, world.now)
        same = lambda size: b"M" * 16 if size == 16 else secrets.token_bytes(size)  # noqa: E731
        return seal(draft, officers, world.parties["Peacock"].member.agent.msg, same)

    first = sealed()
    signed, record = people.override(header_of(first), exp=world.now + 3 * DAY)
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert (await one(world, http, first))["status"] == "accepted"
    world.clock.advance(2 * DAY + 3600)
    await relay.sweeper.sweep()
    second = sealed()
    assert header_of(second).mid == header_of(first).mid
    result = await one(world, http, second)
    assert (result["status"], result["code"]) == ("refused", "ID_CLASH")


async def test_one_person_gets_no_second_role(world: World, http, people):
    """Whoever asks may not also authorise, not even with two keys: the second is not taken into the directory."""
    from schemas.chain import Chain
    from schemas.keys import SigningKey, Use

    admin = world.parties["Peacock"].admin
    chain = Chain(admin.agency, admin.op, admin.seq, admin.head)
    key = SigningKey(bytes(range(32)))
    add = chain.add_key(Use.PERSON, key.public, world.now, world.now + DAY, world.now, "lead-1")
    (result,) = (await world.post_statements(http, "Peacock", ("directory", add))).json()["results"]
    assert (result["status"], result["code"]) == ("refused", "ONE_PERSON")
