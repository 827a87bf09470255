"""Withdrawals with teeth: who is told, who owes an answer, and what is left of a copy that nobody fetched (J7, J8, J11)."""

import asyncio
import time

import pytest

from broker.recalls import AGAIN
from schemas.canonical import b64
from schemas.grants import withdrawal_hash
from schemas.signing import Purpose, Signed
from tests.broker.test_agreements import agree, resting, said
from tests.simulated_world import AGREED, World

DAY = 24 * 3600


def answer(world: World, party: str, grant: Signed, withdrawal: Signed, **changes) -> Signed:
    """What became of it at a party."""
    consent = world.parties[party].member.agent.consent
    value = {
        "a": world.parties[party].id, "did": "deleted", "gid": grant.peek()["gid"], "outside": False, "passed": [],
        "signer": consent.kid, "ts": world.now, "v": 1, "wd": b64(withdrawal_hash(withdrawal)), "why": None, **changes,
    }  # fmt: skip
    return Signed.make(consent, Purpose.RECALLED, value)


async def withdrawn(world: World, http, *others: str, by: str = "Peacock") -> tuple[Signed, Signed]:
    grant, _ = await agree(world, http, *others)
    withdrawal = world.withdrawal(by, grant)
    assert await said(world, http, by, "withdraw", withdrawal) == ("recorded", None)
    return grant, withdrawal


async def notices(world: World, http, party: str, *kinds: str):
    found = (await world.mailbox(http, party)).head.notices
    return [notice for notice in found if notice.kind in kinds]


async def acknowledge(world: World, http, party: str):
    found = (await world.mailbox(http, party)).head.notices
    await world.post_receipts(http, party, notices=tuple(notice.id for notice in found))


async def test_every_other_party_is_told_and_answers(world: World, relay, http):
    grant, withdrawal = await withdrawn(world, http, "IDVAS", "Harbour", by="IDVAS")
    for party in ("Peacock", "Harbour"):
        (ended,) = await notices(world, http, party, "ended")
        assert (ended.gid, ended.a, ended.eid, ended.d) == (
            grant.peek()["gid"], world.parties["IDVAS"].id, None, None,
        )  # fmt: skip
        assert ended.evidence.t == withdrawal.text.decode()
    assert await notices(world, http, "IDVAS", "ended") == []
    size = relay.relay.log.size
    kept = answer(world, "Harbour", grant, withdrawal, did="kept", why="legal-duty")
    assert await said(world, http, "Harbour", "recalled", kept) == ("recorded", None)
    assert relay.relay.log.size == size + 1
    for party in ("IDVAS", "Peacock"):  # who withdrew, and who holds the relationship
        (told,) = await notices(world, http, party, "recalled")
        assert (told.a, told.evidence.t) == (world.parties["Harbour"].id, kept.text.decode())
    assert await said(world, http, "Harbour", "recalled", kept) == ("repeat", None)


async def test_a_later_answer_replaces_an_earlier_one_and_never_the_other_way(world: World, http):
    grant, withdrawal = await withdrawn(world, http, "IDVAS")
    kept = answer(world, "IDVAS", grant, withdrawal, did="kept", why="safeguarding")
    assert (await said(world, http, "IDVAS", "recalled", kept))[0] == "recorded"
    world.clock.advance(60)
    deleted = answer(world, "IDVAS", grant, withdrawal)
    assert (await said(world, http, "IDVAS", "recalled", deleted))[0] == "recorded"
    assert await said(world, http, "IDVAS", "recalled", kept) == ("refused", "OLDER")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"did": "kept"}, "FORM"), ({"why": "legal-duty"}, "FORM"), ({"did": "kept", "why": "because"}, "FORM"),
        ({"did": "nothing-held", "outside": True}, "FORM"), ({"did": None}, "FORM"), ({"outside": "Yes"}, "FORM"),
        ({"passed": ["Harbour"]}, "FORM"), ({"passed": ["ag1" + "a" * 32]}, "UNKNOWN_AGENCY"), ({"more": 1}, "FORM"),
        ({"wd": b64(bytes(32))}, "NOT_FOUND"), ({"gid": b64(bytes(16))}, "NOT_FOUND"), ({"v": 2}, "FORM"),
    ],
    ids=str,
)  # fmt: skip
async def test_an_answer_that_does_not_hold_together_is_refused(world: World, http, changes, code):
    grant, withdrawal = await withdrawn(world, http, "IDVAS")
    wrong = answer(world, "IDVAS", grant, withdrawal, **changes)
    assert await said(world, http, "IDVAS", "recalled", wrong) == ("refused", code)


async def test_only_who_owes_an_answer_gives_it(world: World, http):
    grant, withdrawal = await withdrawn(world, http, "IDVAS")
    for party in ("Harbour", "Peacock"):  # a stranger, and who withdrew
        wrong = answer(world, party, grant, withdrawal)
        assert await said(world, http, party, "recalled", wrong) == ("refused", "NOT_FOUND")
    theirs = answer(world, "IDVAS", grant, withdrawal)
    assert await said(world, http, "Peacock", "recalled", theirs) == ("refused", "NOT_ALLOWED")
    key = world.parties["Harbour"].member.agent.consent
    forged = Signed.make(key, Purpose.RECALLED, {**theirs.peek(), "signer": key.kid})
    assert await said(world, http, "IDVAS", "recalled", forged) == ("refused", "UNKNOWN_KEY")
    ahead = answer(world, "IDVAS", grant, withdrawal, ts=world.now + 3600)
    assert await said(world, http, "IDVAS", "recalled", ahead) == ("refused", "FUTURE")
    standing, _ = await agree(world, http, "IDVAS")
    none = answer(world, "IDVAS", standing, world.withdrawal("Peacock", standing))
    assert await said(world, http, "IDVAS", "recalled", none) == ("refused", "NOT_FOUND")


async def test_what_is_not_answered_is_asked_again_every_day(world: World, relay, http):
    grant, withdrawal = await withdrawn(world, http, "IDVAS", "Harbour")
    for party in ("IDVAS", "Harbour"):
        await acknowledge(world, http, party)
    await said(world, http, "Harbour", "recalled", answer(world, "Harbour", grant, withdrawal))
    for _ in range(2):
        world.clock.advance(AGAIN - 120)
        await relay.sweeper.sweep()
        assert await notices(world, http, "IDVAS", "ended") == []
        world.clock.advance(120)
        await relay.sweeper.sweep()
        (again,) = await notices(world, http, "IDVAS", "ended")
        assert again.evidence.t == withdrawal.text.decode()
        assert await notices(world, http, "Harbour", "ended") == []
        await acknowledge(world, http, "IDVAS")


async def test_an_agreement_is_kept_while_an_answer_is_owed(world: World, relay, http):
    grant = world.grant("Peacock", "IDVAS", exp=world.now + 3600)
    await said(world, http, "Peacock", "grant", grant)
    withdrawal = world.withdrawal("Peacock", grant)
    await said(world, http, "Peacock", "withdraw", withdrawal)
    world.clock.advance(15 * DAY)
    await relay.sweeper.sweep()
    deleted = answer(world, "IDVAS", grant, withdrawal)
    assert await said(world, http, "IDVAS", "recalled", deleted) == ("recorded", None)
    world.clock.advance(120)
    await relay.sweeper.sweep()
    assert await said(world, http, "IDVAS", "recalled", deleted) == ("refused", "NOT_FOUND")


async def test_an_answer_survives_a_restart(world: World):
    async with world.relay(), world.session() as http:
        grant, withdrawal = await withdrawn(world, http, "IDVAS")
    async with world.relay(), world.session() as http:
        deleted = answer(world, "IDVAS", grant, withdrawal)
        assert await said(world, http, "IDVAS", "recalled", deleted) == ("recorded", None)


async def test_a_party_that_listens_hears_of_it_at_once(world: World, http):
    """A real long poll is open while the withdrawal is recorded; the aim is 60 seconds."""
    grant, status = await agree(world, http, "IDVAS")
    await world.post_envelopes(http, "Peacock", resting(world, grant, status))
    (held,) = (await world.mailbox(http, "IDVAS")).deliveries
    await world.post_receipts(http, "IDVAS", world.receipt("IDVAS", held, "opened"))
    listening = asyncio.create_task(world.mailbox(http, "IDVAS", "wait=30&limit=64"))
    await asyncio.sleep(0.2)
    assert not listening.done()
    began = time.monotonic()
    await said(world, http, "Peacock", "withdraw", world.withdrawal("Peacock", grant))
    page = await asyncio.wait_for(listening, 25)
    assert time.monotonic() - began < 25
    assert {notice.kind for notice in page.head.notices} == {"ended", "recall"}


async def test_nothing_of_an_unfetched_copy_is_left_in_the_files(world: World, relay, http):
    """Two minutes after the withdrawal, by the relay's own sweeps: not in free pages, not in the write-ahead log."""
    grant, status = await agree(world, http, "IDVAS", "Harbour")
    payload = '{"ask":"' + "a long simulated message " * 900 + '"}'
    law = {**AGREED, "agree_ver": 1}
    there = {"payload": payload, "law": law}
    world.clock.advance(
        DAY + 1
    )  # the staple has run out: a RED goes all the same, and its lead is to sign for it
    gone = [resting(world, grant, status, "IDVAS", "Harbour", rag="RED", **there) for _ in range(2)]
    fresh = world.status("Peacock", grant)
    assert await said(world, http, "Peacock", "status", fresh) == ("recorded", None)
    gone += [resting(world, grant, fresh, "IDVAS", "Harbour", **there) for _ in range(4)]
    other = world.seal("Peacock", "Harbour")
    for sealed in (*gone, other):
        assert (await world.post_envelopes(http, "Peacock", sealed)).status == 200
    before, searched = files(world), [piece for sealed in gone for piece in pieces(sealed)]
    # Where a piece lies across two pages it is not found in one; nearly all are.
    assert sum(piece in before for piece in searched) > 0.9 * len(searched) > 300
    await said(world, http, "Peacock", "withdraw", world.withdrawal("Peacock", grant))
    world.clock.advance(61)
    await relay.sweeper.sweep()
    left = files(world)
    assert [piece for piece in searched if piece in left] == []
    assert other.upload.envelope.body[:64] in left


def files(world: World) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((world.folder / "relay").glob("relay.db*")))


def pieces(sealed) -> list[bytes]:
    """Pieces of everything that is this message's own: all along the ciphertext and the sender's record, wraps, header."""
    upload = sealed.upload
    body, record = (
        upload.envelope.body,
        upload.record[700:],
    )  # before that stand the officers, who read others too
    return [
        *(body[at : at + 48] for at in range(0, len(body) - 48, 300)),
        *(wrap[at : at + 48] for wrap in upload.wraps for at in (0, 600, 1100)),
        upload.envelope.header_bytes[40:120], upload.envelope.sig, upload.envelope.header.thr.encode(),
        *(record[at : at + 48] for at in range(0, len(record) - 48, 300)),
    ]  # fmt: skip


async def test_an_ending_and_its_answers_in_one_request(world: World, http):
    """An answer is held against what this very turn did: the same again is a repeat, an older one is refused."""
    grant, _ = await agree(world, http, "IDVAS", "Harbour")
    gone = world.withdrawal("Peacock", grant)
    await said(world, http, "Peacock", "withdraw", gone)
    kept = answer(world, "IDVAS", grant, gone, did="kept", why="safeguarding")
    deleted = answer(world, "IDVAS", grant, gone, ts=world.now + 1)
    words = [("recalled", kept), ("recalled", kept), ("recalled", deleted), ("recalled", kept)]
    results = (await world.post_statements(http, "IDVAS", *words)).json()["results"]
    assert [(result["status"], result["code"]) for result in results] == [
        ("recorded", None), ("repeat", None), ("recorded", None), ("refused", "OLDER"),
    ]  # fmt: skip
    assert await said(world, http, "IDVAS", "recalled", deleted) == ("repeat", None)
    early = answer(world, "Harbour", grant, gone, ts=1000)  # no agent would believe it
    assert await said(world, http, "Harbour", "recalled", early) == ("refused", "STALE_KEY")


@pytest.mark.parametrize("together", [True, False])
async def test_who_withdraws_owes_nothing_about_what_was_limited_before(
    world: World, relay, http, together: bool
):
    wide, _ = await agree(world, http, "IDVAS", "Harbour")
    narrow = world.grant("Peacock", "IDVAS", **{**wide.peek(), "cat": ["ask"], "limited": True, "ver": 2})
    gone = world.withdrawal("Peacock", wide)
    if together:  # the issuer limits it and ends it at once
        await world.post_statements(http, "Peacock", ("grant", narrow), ("withdraw", gone))
    else:
        await said(world, http, "Peacock", "grant", narrow)
        gone = world.withdrawal("IDVAS", wide)
        await said(world, http, "IDVAS", "withdraw", gone)
    by = "Peacock" if together else "IDVAS"
    for party in ("Peacock", "IDVAS", "Harbour"):
        owed = answer(world, party, wide, gone)
        expected = ("refused", "NOT_FOUND") if party == by else ("recorded", None)
        assert await said(world, http, party, "recalled", owed) == expected
        await acknowledge(world, http, party)
    world.clock.advance(AGAIN + 1)
    await relay.sweeper.sweep()
    for party in ("Peacock", "IDVAS", "Harbour"):
        assert await notices(world, http, party, "ended", "limited") == []
