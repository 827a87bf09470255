"""Key statements at the relay: from agents, administrators and, in an emergency, from officers (PROTOCOL.md K8, K19-K23)."""

import asyncio
import json
import secrets
import time

import pytest

from broker.intake import SEALED_LATE
from schemas import api
from schemas.canonical import b64
from schemas.chain import Chain
from schemas.emergency import second_signature
from schemas.keys import LIFE, OpeningKey, Signer, SigningKey, Use
from schemas.roots import RotateRoot
from schemas.signing import Signed
from tests.broker.leads import risky
from tests.broker.test_directory import DAY, checked, codes, page, replayed
from tests.simulated_world import Page, World
from tests.tools.override_world import add_person


def chain(world: World, name: str, signer: Signer | None = None) -> Chain:
    """The end of a party's chain, as this key signs there; else its operational key."""
    own = world.directory.agencies[world.parties[name].id]
    return Chain(own.id, signer or world.parties[name].admin.op, own.seq, own.head)


def fresh() -> SigningKey:
    return SigningKey(secrets.token_bytes(32))


async def by_officer(world: World, http, party: str, signed: Signed):
    body = json.dumps({"statements": [{"kind": "directory", "signed": signed.to_json()}]}).encode()
    return await world.call(
        http, party, "POST", api.STATEMENTS, body=body, key=world.parties[party].officer.auth
    )


async def test_an_agent_renews_its_keys_without_its_administrator(world: World, relay, http):
    agent = world.parties["Peacock"].member.agent
    own, public = chain(world, "Peacock", agent.renew), OpeningKey(secrets.token_bytes(32)).public
    said = [
        own.add_key(Use.PREKEY, public, world.now, world.now + LIFE[Use.PREKEY], world.now),
        own.revoke(agent.auth.kid, "rotated", world.now + 60, world.now),
    ]
    assert await codes(world, http, "Peacock", *said) == ["recorded", "recorded"]
    assert await codes(world, http, "Peacock", *said) == ["repeat", "repeat"]
    found = await page(world, http, "Peacock")
    checked(world, found, replayed(world, found))
    world.clock.advance(60)
    assert (await world.call(http, "Peacock", "GET", api.DIRECTORY, "after=0")).status == 401
    assert await codes(world, http, "IDVAS", own.revoke(agent.msg.kid, "rotated", world.now, world.now)) == [
        "NOT_ALLOWED"
    ]


async def test_a_renew_key_makes_no_officer(world: World, http):
    own = chain(world, "Peacock", world.parties["Peacock"].member.agent.renew)
    said = own.add_key(Use.IG_AUTH, fresh().public, world.now, world.now + DAY, world.now, "ig")
    assert await codes(world, http, "Peacock", said) == ["RENEW"]


@pytest.mark.parametrize(
    ("late", "said"), [(-301, "CLOCK"), (301, "CLOCK"), (-300, "recorded"), (300, "recorded")]
)
@pytest.mark.parametrize("renew", [True, False])
async def test_every_statement_of_a_member_is_dated_by_the_relays_clock(
    world: World, http, late, said, renew
):
    world.clock.advance(DAY)
    signer = world.parties["Peacock"].member.agent.renew if renew else None
    ts = world.now + late
    add = chain(world, "Peacock", signer).add_key(Use.AUTH, fresh().public, ts, ts + DAY, ts)
    assert await codes(world, http, "Peacock", add) == [said]


@pytest.mark.parametrize(("late", "said"), [(-20 * DAY, "recorded"), (301, "CLOCK")])
async def test_an_enrolment_waits_for_its_telephone_call(world: World, http, late: int, said: str):
    """Its statements are made at the agency, and posted once somebody has compared the number."""
    now = world.now
    world.clock.advance(late)
    statements = world.join("Newcomer")[:-1]
    world.clock.advance(-late)
    assert world.now == now
    assert set(await codes(world, http, "oversight", *statements)) == {said}


async def test_an_operational_key_hands_over_at_once(world: World, http):
    own, new = chain(world, "Peacock"), fresh()
    said = own.rotate_op(new, world.now)
    after = own.revoke(world.parties["Peacock"].member.agent.consent.kid, "lost", world.now, world.now)
    old = chain(world, "Peacock")
    old.seq, old.head = old.seq + 1, own.head
    assert await codes(world, http, "Peacock", said, after) == ["recorded", "recorded"]
    late = Chain(own.agency, world.parties["Peacock"].admin.op, own.seq, own.head)
    assert await codes(world, http, "Peacock", late.rotate_op(fresh(), world.now)) == ["DIRECTORY"]


def recovery(world: World, name: str, op: SigningKey, void_from: int) -> RotateRoot:
    member = world.parties[name].member
    after = tuple(fresh().kid for _ in range(2))
    body = RotateRoot(
        roots=tuple(b64(root.public) for root in member.next_roots), threshold=2, next_roots=after,
        op_key=b64(op.public), void_from=void_from, sigs=(),
    )  # fmt: skip
    for root in member.next_roots[:2]:
        body = body.signed_by(member.id, root)
    return body


async def test_roots_outrun_a_thief_and_the_relay_forgets_nothing_of_it(world: World):
    """The thief's keys are refused in the next request, and after a restart too; what he ended works again."""
    thief, op, stolen = chain(world, "Peacock"), fresh(), fresh()
    start, agent = thief.seq + 1, world.parties["Peacock"].member.agent
    async with world.relay(), world.session() as http:
        said = [
            thief.add_key(Use.AUTH, stolen.public, world.now, world.now + DAY, world.now),
            thief.revoke(agent.msg.kid, "lost", world.now, world.now),
        ]
        assert await codes(world, http, "Peacock", *said) == ["recorded", "recorded"]
        assert (await world.call(http, "Peacock", "GET", api.DIRECTORY, "after=0", key=stolen)).status == 200
        sealed = world.seal("Peacock", "IDVAS")
        assert (await world.post_envelopes(http, "Peacock", sealed)).json()["code"] == "REVOKED_KEY"
        saved = Chain(thief.agency, op, thief.seq, thief.head)
        root = saved.rotate_root(recovery(world, "Peacock", op, start), op, world.now)
        assert await codes(world, http, "Peacock", root) == ["recorded"]
        assert (await world.call(http, "Peacock", "GET", api.DIRECTORY, "after=0", key=stolen)).status == 401
    async with world.relay(), world.session() as http:
        assert (await world.call(http, "Peacock", "GET", api.DIRECTORY, "after=0", key=stolen)).status == 401
        assert (await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))).status == 200
        found = await page(world, http, "IDVAS")
        view = replayed(world, found)
        checked(world, found, view)
        assert view.published(stolen.kid).reason == "voided"


async def test_a_thief_who_uses_up_an_agents_requests_holds_up_nothing_that_ends_his_key(tmp_path):
    """The agent itself waits meanwhile; the word of two people gets in, and so does its next request key (A9)."""
    world = World.found(tmp_path, "Peacock", "IDVAS")
    lead = add_person(world, "Peacock", "lead-1")
    world.write_relay_folder()
    agent, officer, new = world.parties["Peacock"].member.agent, world.parties["Peacock"].officer, fresh()
    async with world.relay(agency_rate=0.001, agency_burst=8.0), world.session() as http:

        async def asks(key: Signer) -> int:
            answer = await world.call(http, "Peacock", "GET", api.DIRECTORY, "after=0", key=key)
            return answer.status

        thief = [await asks(agent.auth) for _ in range(9)]
        assert thief == [200] * 8 + [429]
        assert (await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))).status == 429
        assert (await world.post_envelopes(http, "IDVAS", world.seal("IDVAS", "Peacock"))).status == 200
        body = second_signature(
            lead, world.parties["Peacock"].id, (agent.auth.kid,), "compromised", world.now, world.now
        )
        said = chain(world, "Peacock").emergency_revoke(body, officer.auth, world.now)
        assert (await by_officer(world, http, "Peacock", said)).json()["results"][0]["status"] == "recorded"
        world.take(said)
        assert await asks(agent.auth) == 401
        after = chain(world, "Peacock", agent.renew)
        renewed = after.add_key(Use.AUTH, new.public, world.now, world.now + DAY, world.now)
        text = json.dumps({"statements": [{"kind": "directory", "signed": renewed.to_json()}]}).encode()
        answer = await world.call(http, "Peacock", "POST", api.STATEMENTS, body=text, key=agent.renew)
        assert answer.json()["results"][0]["status"] == "recorded"


async def test_two_people_end_a_thiefs_keys_with_an_officers_request(tmp_path):
    world = World.found(tmp_path, "Peacock", "IDVAS")
    lead = add_person(world, "Peacock", "lead-1")
    world.write_relay_folder()
    agent, officer = world.parties["Peacock"].member.agent, world.parties["Peacock"].officer
    body = second_signature(
        lead, world.parties["Peacock"].id, (agent.auth.kid,), "compromised", world.now, world.now
    )
    said = chain(world, "Peacock").emergency_revoke(body, officer.auth, world.now)
    async with world.relay(), world.session() as http:
        other = chain(world, "Peacock").recertify((officer.auth.kid,), world.now)
        answer = await by_officer(world, http, "Peacock", other)
        assert answer.json().get("code") == "NOT_ALLOWED", answer.body
        assert (await by_officer(world, http, "IDVAS", said)).json()["results"][0]["code"] == "NOT_ALLOWED"
        assert (await world.call(http, "Peacock", "GET", api.DIRECTORY, "after=0")).status == 200
        assert (await by_officer(world, http, "Peacock", said)).json()["results"][0]["status"] == "recorded"
        assert (await world.call(http, "Peacock", "GET", api.DIRECTORY, "after=0")).status == 401
        # The agent is shut out now; whoever else may repeats it, and learns that it is there.
        assert (await by_officer(world, http, "Peacock", said)).json()["results"][0]["status"] == "repeat"


async def test_nothing_about_a_person_reaches_an_agency_that_has_left(world: World, http):
    own = world.directory.agencies[world.parties["IDVAS"].id]
    sealed = risky(world)
    said = chain(world, "oversight").leave(own.id, world.now, world.parties["Harbour"].id, world.now)
    assert await codes(world, http, "oversight", said) == ["recorded"]
    answer = (await world.post_envelopes(http, "Peacock", sealed)).json()
    assert (answer["code"], answer["say"]) == (
        "LEFT",
        "That agency has left the partnership. Harbour does its work now.",
    )
    assert (
        await world.call(http, "IDVAS", "GET", api.MAILBOX, "wait=0&limit=1")
    ).status == 200  # it may still collect
    assert (
        await world.post_envelopes(http, "IDVAS", world.seal("IDVAS", "Peacock"))
    ).status == 200  # and answer


async def test_a_message_to_an_old_entry_says_where_the_agency_is_now(world: World, http):
    was, now = (world.parties[name].id for name in ("IDVAS", "Harbour"))
    sealed = risky(world)
    said = chain(world, "oversight").alias(was, now, world.now + DAY, world.now)
    assert await codes(world, http, "oversight", said) == ["recorded"]
    answer = (await world.post_envelopes(http, "Peacock", sealed)).json()
    assert answer["code"] == "MOVED"
    assert "Harbour" in answer["say"]
    world.clock.advance(DAY)
    later = (await world.post_envelopes(http, "Peacock", risky(world))).json()
    assert later["code"] == "NO_LEAD"  # the consent rule's answer, and no longer the directory's


async def test_the_end_of_a_key_ends_everybodys_waiting_and_the_one_who_waited_with_it_gets_nothing(
    world: World, http
):
    auth, wait = world.parties["Peacock"].member.agent.auth, "wait=30&limit=64"
    polls = [
        asyncio.create_task(world.call(http, name, "GET", api.MAILBOX, wait)) for name in ("Peacock", "IDVAS")
    ]
    await asyncio.sleep(0.2)
    assert not any(poll.done() for poll in polls)
    began, before = time.monotonic(), (await world.mailbox(http, "IDVAS")).head.directory
    own = chain(world, "Peacock")
    said = own.revoke(auth.kid, "compromised", world.now, world.now)
    assert (await by_officer(world, http, "Peacock", said)).json()["results"][0]["status"] == "recorded"
    stolen, peer = await asyncio.gather(*polls)
    assert time.monotonic() - began < 20
    assert (stolen.status, stolen.json()["code"]) == (401, "UNAUTHENTICATED")
    assert Page.parse(peer.body).head.directory == before + 1


async def test_other_statements_wait_for_the_next_look(world: World, http):
    poll = asyncio.create_task(world.call(http, "IDVAS", "GET", api.MAILBOX, "wait=1&limit=64"))
    await asyncio.sleep(0.1)
    own = chain(world, "Peacock")
    said = own.add_key(Use.AUTH, fresh().public, world.now, world.now + DAY, world.now)
    assert await codes(world, http, "Peacock", said) == ["recorded"]
    assert not poll.done()
    assert Page.parse((await poll).body).head.directory == (await world.mailbox(http, "IDVAS")).head.directory


async def test_a_thief_of_one_key_fills_nobodys_directory_and_shuts_nobody_out(world: World):
    """The relay counts what it records, by who signed it: renew key and operational key apart, and roots not at all."""
    renew, op, now = world.parties["Peacock"].member.agent.renew, fresh(), world.now
    async with world.relay(statement_rate=0.001, statement_burst=5.0), world.session() as http:

        async def floods(signer: Signer) -> tuple[Chain, list[str]]:
            thief = chain(world, "Peacock", signer)
            thief.seq, thief.head = own.seq, own.head
            heard = list[str]()
            for _ in range(8):
                before = thief.seq, thief.head
                said = thief.add_key(Use.AUTH, fresh().public, now, now + DAY, now)
                heard += await codes(world, http, "Peacock", said)
                if heard[-1] != "recorded":
                    thief.seq, thief.head = before
            return thief, heard

        own = chain(world, "Peacock")
        start = own.seq + 1
        for signer in (renew, own.op):  # what the one used up is no matter to the other
            own, heard = await floods(signer)
            assert heard == ["recorded"] * 5 + ["LIMITED"] * 3
        forged = own.add_key(Use.AUTH, fresh().public, now, now + DAY, now)
        assert await codes(world, http, "IDVAS", Signed(forged.text, bytes(64))) == ["NOT_ALLOWED"]
        own.seq, own.head = own.seq - 1, forged.peek()["prev"]
        root = own.rotate_root(recovery(world, "Peacock", op, start), op, now)
        after = own.add_key(Use.AUTH, fresh().public, now, now + DAY, now)
        assert await codes(world, http, "Peacock", root, after) == ["recorded", "recorded"]


async def test_signatures_that_do_not_hold_use_up_nothing(world: World):
    now = world.now
    async with world.relay(statement_rate=0.001, statement_burst=2.0), world.session() as http:
        for _ in range(4):
            said = chain(world, "Peacock").add_key(Use.AUTH, fresh().public, now, now + DAY, now)
            assert await codes(world, http, "Peacock", Signed(said.text, bytes(64))) == ["SIGNATURE"]
        assert await codes(world, http, "Peacock", said) == ["recorded"]


async def test_what_was_sealed_to_a_key_before_its_end_is_sealed_afresh_after_it(world: World, http):
    """A sender that was off for minutes: a thief may hold the old key, and the agency has another."""
    sealed, own = world.seal("Peacock", "IDVAS"), chain(world, "IDVAS")
    new, now = OpeningKey(secrets.token_bytes(32)), world.now
    world.clock.advance(60)
    said = [
        own.add_key(Use.PREKEY, new.public, world.now, world.now + DAY, world.now),
        *(
            own.revoke(key.key.kid, "compromised", now + 1, world.now)
            for key in world.parties["IDVAS"].member.agent.prekeys
        ),
    ]
    assert set(await codes(world, http, "IDVAS", *said)) == {"recorded"}
    answer = (await world.post_envelopes(http, "Peacock", sealed)).json()
    assert (answer["code"], answer["say"]) == ("REVOKED_KEY", SEALED_LATE)
