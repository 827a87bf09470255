"""The log as officers and strangers see it: provable over restarts, readable by those concerned, and by nobody else."""

import base64
import sqlite3
from pathlib import Path

import pytest

from broker.ledger import Growth, Ledger, grown, rebuilt, sign
from broker.pages import tile_name
from schemas import api
from schemas.audit import Leaf, tag_text
from schemas.canonical import b64, unb64
from schemas.checkpoint import LogProof, open_checkpoint
from schemas.envelope import parse_header
from schemas.errors import Refusal
from schemas.hashing import Frames
from schemas.keys import SigningKey
from schemas.merkle import Frontier, leaf_hash, verify_consistency
from schemas.opening import epoch_record_key, open_epoch, open_record, record_key, unveil_record
from schemas.record import SealedRecord
from schemas.record_sealing import record_hash
from tests.simulated_world import World
from tests.tools import naive_merkle


async def checkpoint(world: World, http):
    async with http.get(api.CHECKPOINT) as response:
        assert response.status == 200
        return open_checkpoint(await response.text(), world.founded.partnership.log_key)


async def send(world: World, http, count: int) -> None:
    for _ in range(count):
        assert (await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))).status == 200


async def leaves(http, size: int) -> list[bytes]:
    """Every leaf, by the entry bundles."""
    found: list[bytes] = []
    while len(found) < size:
        width = min(256, size - len(found))
        suffix = "" if width == 256 else f".p/{width}"
        async with http.get(f"{api.LOG}/tile/entries/{tile_name(len(found) // 256)}{suffix}") as response:
            assert response.status == 200
            data = await response.read()
        while data:
            end = 2 + int.from_bytes(data[:2], "big")
            found.append(data[2:end])
            data = data[end:]
    return found


async def test_the_log_extends_itself_over_restarts(world: World):
    heads = []
    for count in (0, 1, 2, 5, 9):
        async with world.relay(), world.session() as http:
            await send(world, http, count)
            heads.append(await checkpoint(world, http))
            for old in heads:
                query = f"old={old.size}&new={heads[-1].size}"
                async with http.get(f"{api.CONSISTENCY}?{query}") as response:
                    hashes = [base64.b64decode(item) for item in (await response.json())["hashes"]]
                verify_consistency(old.size, old.root, heads[-1].size, heads[-1].root, hashes)
            frontier = Frontier()
            for leaf in await leaves(http, heads[-1].size):
                frontier = frontier.append(leaf_hash(leaf))
            assert frontier.root() == heads[-1].root
    assert [head.size for head in heads] == [0, 1, 3, 8, 17]


async def test_a_log_of_more_than_a_tile_serves_tiles_and_proofs(world: World, relay, http):
    sealed = [world.seal("Peacock", "IDVAS") for _ in range(300)]
    for at in range(0, 300, 60):
        assert (await world.post_envelopes(http, "Peacock", *sealed[at : at + 60])).status == 200
    head = await checkpoint(world, http)
    assert head.size == 300
    hashes = [leaf_hash(leaf) for leaf in await leaves(http, 300)]
    for path, expected in (
        ("0/000", b"".join(hashes[:256])),
        ("0/001.p/44", b"".join(hashes[256:])),
        ("0/001.p/3", b"".join(hashes[256:259])),
    ):
        async with http.get(f"{api.LOG}/tile/{path}") as response:
            assert (response.status, await response.read()) == (200, expected)
    subtree = Frontier()
    for digest in hashes[:256]:
        subtree = subtree.append(digest)
    async with http.get(f"{api.LOG}/tile/1/000.p/1") as response:
        assert await response.read() == subtree.root()
    for number in (0, 255, 256, 299):
        again = (await world.post_envelopes(http, "Peacock", sealed[number])).json()["results"][0]
        proof = LogProof.parse(again["proof"].encode())
        assert proof.index == number
        proof.verified(proof.extra, world.founded.partnership.log_key)


async def test_tiles_that_are_not_there_are_not_found(world: World, http):
    await send(world, http, 3)
    for path in (
        "0/000", "0/000.p/4", "0/000.p/0", "0/000.p/256", "0/000.p/03", "0/001.p/1", "1/000.p/1", "00/000.p/3", "64/000", "0/0",
        "0/x000/000.p/3", "entries/000", "entries/000.p/4", "0/000.p/3/", "data/000.p/3",
    ):  # fmt: skip
        async with http.get(f"{api.LOG}/tile/{path}") as response:
            assert (path, response.status) == (path, 404)
    async with http.get(f"{api.CONSISTENCY}?old=3&new=4") as response:
        assert response.status == 404


def test_tile_names_are_c2sps():
    assert [tile_name(n) for n in (0, 7, 1000, 1234067)] == ["000", "007", "x001/000", "x001/x234/067"]


def test_every_leaf_of_a_growing_log_is_provable():
    key, size = SigningKey(bytes(32)), 0
    ledger = Ledger("test/log", key, Frontier(), sign("test/log", key, Frontier()))
    stored: dict[tuple[int, int], bytes] = {}
    for batch in (1, 1, 2, 3, 7, 64, 100, 200, 1, 150):
        added = [bytes([n % 256]) * 97 for n in range(size, size + batch)]
        growth: Growth = ledger.grow(added)
        for n, leaf in enumerate(added):
            LogProof.parse(growth.proof(leaf, size + n)).verified(leaf, world_key(key))
        stored |= {(level, at): digest for level, at, digest in growth.stored_nodes(size)}
        ledger.adopt(growth)
        size += batch
    assert set(stored) == {(8, 0), (8, 1)}
    plain = Frontier()
    for n in range(size):
        plain = plain.append(leaf_hash(bytes([n % 256]) * 97))
    assert ledger.frontier == plain
    nodes = {}
    for n in range(size):
        nodes[0, n] = leaf_hash(bytes([n % 256]) * 97)
    assert rebuilt(size, lambda level, at: _root(nodes, level, at)) == plain


def test_a_turns_proofs_are_the_plain_ones_byte_for_byte():
    key = SigningKey(bytes(32))
    for size in range(36):
        old = [bytes([n]) * 97 for n in range(size)]
        ledger = Ledger("test/log", key, grown(Frontier(), old)[0], "")
        for batch in (1, 2, 3, 8, 13):
            added = [bytes([200 + n]) * 97 for n in range(batch)]
            growth = ledger.grow(added)
            for n, leaf in enumerate(added, size):
                plain = LogProof(leaf, n, tuple(naive_merkle.path(n, old + added)), growth.note)
                assert growth.proof(leaf, n) == plain.to_bytes()


def world_key(key: SigningKey):
    from schemas.checkpoint import LogKey

    return LogKey("test/log", key.public)


def _root(nodes, level, at):
    part = Frontier()
    for n in range(at << level, (at + 1) << level):
        part = part.append(nodes[0, n])
    return part.root()


# --- reading it


async def read_log(world: World, http, party: str) -> list[tuple[bytes, bytes, bytes]]:
    """(leaf, relay's record, veiled sender's record) as this party's officer pulls them."""
    size = (await checkpoint(world, http)).size
    found = await leaves(http, size)
    key = world.parties[party].officer.auth
    answer = await world.call(http, party, "GET", api.RECORDS, "from=0&limit=500", key=key)
    assert answer.status == 200, answer.body
    frames = list(Frames(answer.body).frames(api.MAX_BODY))
    return list(zip(found, frames[::2], frames[1::2], strict=False))


async def opened(world: World, http, party: str, *, inside: bool = True) -> list[dict]:
    """What this party's officer can read of the log, senders' own records `inside`; None for what she cannot."""
    officer = world.parties[party].officer
    answer = await world.call(http, party, "GET", api.EPOCHS, "after=-1", key=officer.auth)
    epochs = api.EpochsPage.model_validate_json(answer.body).epochs
    keys = [open_epoch(unb64(e.id), unb64(e.wrap), officer.ig) for e in epochs if e.kid == officer.ig.kid]
    facts = []
    for leaf_bytes, record, veiled in await read_log(world, http, party):
        leaf, sealed = Leaf.parse(leaf_bytes), SealedRecord.parse(record)
        assert leaf.relay_record == record_hash(record)
        rks = [rk for key in keys if (rk := epoch_record_key(sealed, key)) is not None]
        if not rks:
            facts.append(None)
            continue
        said = open_record(sealed, rks[0], tag_text(leaf.tag))
        if veiled and inside:
            inner = unveil_record(veiled, leaf.tag, rks[0])
            went = said["event"] not in (
                "held",
                "refuse",
            )  # of what did not, the header alone has the hash (L9)
            ar = leaf.sender_record if went else unb64(parse_header(said["header"].encode()).ar)
            assert record_hash(inner) == ar
            parsed = SealedRecord.parse(inner)
            said["sender"] = open_record(parsed, record_key(parsed, [officer.ig]), parsed.head.ctx)
        facts.append(said)
    return facts


async def test_officers_read_what_concerns_their_agency_and_oversight_reads_all(world: World, http):
    sealed = world.seal("Peacock", "IDVAS")
    await world.post_envelopes(http, "Peacock", sealed)
    (delivery,) = (await world.mailbox(http, "IDVAS")).deliveries
    receipt = world.receipt("IDVAS", delivery, "taken-on")
    await world.post_receipts(http, "IDVAS", receipt)
    await world.post_envelopes(
        http, "Harbour", world.seal("Harbour", "IDVAS", ts=world.now - 99, exp=world.now)
    )
    for party in ("Peacock", "IDVAS", "oversight"):
        accept, taken, *_ = await opened(world, http, party)
        assert (accept["event"], taken["event"]) == ("accept", "taken-on")
        assert accept["header"] == delivery.envelope.header_bytes.decode()
        assert accept["sig"] == b64(delivery.envelope.sig)
        assert accept["sender"]["mid"] == sealed.mid
        assert taken["receipt"] == receipt.to_json()
    harbour = await opened(world, http, "Harbour")
    assert harbour[:2] == [None, None]
    assert "refuse" in [said["event"] for said in await opened(world, http, "oversight")]


async def test_reading_is_logged(world: World, relay, http):
    await send(world, http, 1)
    await read_log(world, http, "IDVAS")
    (_, read) = await opened(world, http, "IDVAS")
    assert (read["event"], read["a"], read["count"]) == ("read", world.parties["IDVAS"].id, 1)
    assert relay.relay.log.size == 3


@pytest.mark.parametrize("path", [api.RECORDS + "?from=0&limit=5", api.EPOCHS + "?after=-1"])
async def test_only_officers_read(world: World, http, path):
    bare, _, query = path.partition("?")
    answer = await world.call(http, "IDVAS", "GET", bare, query)
    assert (answer.status, answer.json()["code"]) == (403, "NOT_ALLOWED")
    async with http.get(path) as response:
        assert response.status == 401


async def test_all_leaves_and_records_look_alike(world: World, http):
    await send(world, http, 1)
    (delivery,) = (await world.mailbox(http, "IDVAS")).deliveries
    await world.post_receipts(http, "IDVAS", world.receipt("IDVAS", delivery, "collected"))
    for leaf, record, _ in await read_log(world, http, "oversight"):
        assert len(leaf) == 97
        assert len(SealedRecord.parse(record).wraps) == 4


async def test_an_epoch_lasts_a_minute_and_every_agency_gets_it_at_once(world: World, relay, http):
    await send(world, http, 2)
    world.clock.advance(61)
    await send(world, http, 1)
    firsts = {}
    for name, party in world.parties.items():
        answer = await world.call(http, name, "GET", api.EPOCHS, "after=-1", key=party.officer.auth)
        firsts[name] = [epoch.first for epoch in api.EpochsPage.model_validate_json(answer.body).epochs]
    assert set(map(tuple, firsts.values())) == {(0, 2)}


# --- what must not start


async def test_a_changed_log_does_not_start(world: World):
    async with world.relay(), world.session() as http:
        await send(world, http, 3)
    database = world.folder / "relay" / "relay.db"
    for spoil in (
        "UPDATE leaves SET leaf = CAST(substr(leaf, 1, 50) || CASE substr(leaf, 51, 1) WHEN x'00' THEN x'01' ELSE x'00' END || substr(leaf, 52) AS BLOB) WHERE idx = 1",
        "DELETE FROM leaves WHERE idx = 2",
        "UPDATE heads SET note = replace(note, '3', '4') WHERE name = 'log'",
        "UPDATE statements SET sig = zeroblob(64) WHERE n = 4",
        "DELETE FROM statements WHERE n = (SELECT max(n) FROM statements)",
    ):
        whole = database.read_bytes()
        with sqlite3.connect(database) as connection:
            connection.execute(spoil)
        connection.close()
        with pytest.raises(Refusal) as refused:
            async with world.relay():
                pass
        assert refused.value.code in ("FORK", "SIGNATURE", "DIRECTORY")
        for suffix in ("-wal", "-shm"):
            Path(f"{database}{suffix}").unlink(missing_ok=True)
        database.write_bytes(whole)
    async with world.relay():
        pass
