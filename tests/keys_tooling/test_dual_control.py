"""Under dual control one officer opens neither kind of record: not the relay's, not the sender's (PROTOCOL.md U7, S7)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from keys_tooling.audit.mirror_file import open_mirror
from keys_tooling.audit.read import Opener, opener, record_key_of, senders_key, unveiled
from schemas.audit import Leaf, tag_text
from schemas.errors import Refusal
from schemas.keyring import OfficerKeys
from schemas.opening import open_record, record_key
from schemas.record import SealedRecord
from tests.keys_tooling.officer_place import Place
from tests.keys_tooling.test_handover import enrol, read, state
from tests.simulated_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.found(tmp_path / "world", "Peacock", "IDVAS")


@pytest.fixture
async def relay(world: World) -> AsyncIterator[Any]:
    async with world.relay() as running:
        yield running


async def two_officers(world: World, folder: Path) -> dict[str, tuple[Place, Path, OfficerKeys]]:
    """Two who share take the place of the officer of before."""
    gone = world.parties["Peacock"].officer
    found = {person: await enrol(world, folder / person, person) for person in ("share-1", "share-2")}
    await state(world, *(
        (lambda chain, kid=kid: chain.revoke(kid, "rotated", world.now, world.now)) for kid in (gone.ig.kid, gone.auth.kid)
    ))  # fmt: skip
    return found


def opened_by(officer: Opener, eid: bytes) -> tuple[int, int]:
    """How many of a message's stored records, the relay's and the sender's, an officer opens by every key she has."""
    ring, relays, senders = officer.ring(), 0, 0
    for entry in officer.mirror.entries():
        leaf, record = Leaf.parse(entry.leaf), SealedRecord.parse(entry.relay)
        if leaf.tag != eid:
            continue
        rk, _ = record_key_of(record, ring, entry.index)
        if rk is not None:
            open_record(record, rk, tag_text(leaf.tag))
            relays += 1
        for secret in filter(None, (rk, *ring.around(entry.index)) if entry.sender else ()):
            try:
                theirs = unveiled(entry, leaf, secret, leaf.sender_record)
                open_record(theirs, senders_key(theirs, entry.index, officer), theirs.head.ctx)
            except Refusal:
                continue
            senders += 1
    return relays, senders


def of(place: Place, keys: OfficerKeys, eid: bytes) -> tuple[int, int]:
    from keys_tooling.audit.handing import taken

    with open_mirror(place.folder, write=False) as mirror:
        return opened_by(
            opener(mirror, place.world.founded.partnership, keys, taken(place.folder, keys)), eid
        )


async def test_neither_kind_of_record_opens_to_one_and_both_kinds_open_to_two(
    world: World, relay: Any, tmp_path: Path
):
    found = await two_officers(world, tmp_path)
    sealed = world.seal("Peacock", "IDVAS")
    eid = sealed.upload.envelope.eid
    async with world.session() as http:
        world.clock.advance(61)
        assert (await world.post_envelopes(http, "Peacock", sealed)).status == 200
    (one, _, first), (two, card, second) = found["share-1"], found["share-2"]
    for place, keys in ((one, first), (two, second)):
        await read(place)
        assert of(place, keys, eid) == (0, 0)
    # The sender wrapped its record to each of them whole: it is the veil that wants both.
    record = SealedRecord.parse(sealed.upload.record)
    for keys in (first, second):
        assert open_record(record, record_key(record, [keys.ig]), record.head.ctx)["mid"] == record.head.ctx
    with open_mirror(one.folder, write=False) as mirror:
        kept = b"".join(entry.sender + entry.relay for entry in mirror.entries())
    assert sealed.upload.record not in kept
    assert not [wrap for wrap in record.wraps if wrap in kept]
    out = tmp_path / "shares.fph"
    given = await one.type("handover", "give", "--shares", "--to", card, "--out", out, "--reason", "review")
    assert given.exit == 0, given
    assert "open nothing by themselves" in given.out
    assert (await two.type("handover", "take", out)).exit == 0
    assert of(two, second, eid) == (1, 1)
    assert of(one, first, eid) == (0, 0)


async def test_who_reads_alone_is_told_why_entries_stay_closed(world: World, relay: Any, tmp_path: Path):
    found = await two_officers(world, tmp_path)
    async with world.session() as http:
        world.clock.advance(61)
        assert (await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))).status == 200
    one, _, _ = found["share-1"]
    assert (await one.type("pull")).exit == 0
    typed = await one.type("read")
    assert "neither the relay's nor the sender's record" in " ".join(typed.out.split())
