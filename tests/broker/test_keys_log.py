"""The directory's log as the relay serves it: the audit log's pages under another prefix, with its own heads (L28)."""

import base64
import itertools
import json
import secrets
import sqlite3
from typing import Any

import pytest

from schemas import api
from schemas.chain import Chain
from schemas.checkpoint import open_checkpoint
from schemas.errors import Refusal
from schemas.hashed import Hashed
from schemas.keys import SigningKey, Use
from schemas.merkle import Frontier, consistency_proof, leaf_hash, verify_consistency
from schemas.signing import Signed
from schemas.witness import cosign, open_published
from tests.broker.test_tiles import get
from tests.simulated_world import World
from tests.tools.naive_merkle import root as naive_root

FOREVER = "public, max-age=31536000, immutable"


async def add_keys(world: World, http: Any, count: int, party: str = "Peacock") -> None:
    """The agency's administrator publishes some request keys."""
    admin = world.parties[party].admin
    mine = world.directory.agencies[admin.agency]
    chain = Chain(admin.agency, admin.op, mine.seq, mine.head)
    for _ in range(count):
        key = SigningKey(secrets.token_bytes(32))
        said = chain.add_key(Use.AUTH, key.public, world.now, world.now + 86_400, world.now)
        answer = await world.post_statements(http, party, ("directory", said))
        assert answer.json()["results"][0]["status"] == "recorded", answer.body
        world.take(said)


async def leaves_of(world: World, http: Any) -> list[bytes]:
    page = (await world.call(http, "Peacock", "GET", api.DIRECTORY, "after=0")).json()
    found = [Signed.from_json(item) for item in page["statements"]]
    return [one.text + one.signature for one in found]


def head_of(world: World, note: str) -> Any:
    partnership = world.founded.partnership
    return open_published(note, partnership.keys_log_key, partnership.keys_log_mldsa_key)


async def checkpoint(world: World, http: Any) -> Any:
    status, headers, body = await get(http, api.KEYS_CHECKPOINT)
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    return head_of(world, body.decode()).checkpoint


async def bundle(world: World, http: Any, path: str, **named: Any) -> Any:
    return await world.call(http, "Peacock", "GET", f"{api.KEYS}/tile/entries/{path}", **named)


async def test_its_checkpoint_has_both_lines_under_its_own_name(world: World, http: Any):
    head = await checkpoint(world, http)
    assert (head.origin, head.size) == ("relay.test/log/keys", world.directory.size)
    assert head.root == world.directory.frontier.root()
    await add_keys(world, http, 1)
    assert (await checkpoint(world, http)).root == world.directory.frontier.root()


async def test_neither_logs_head_passes_for_the_others(world: World, http: Any):
    partnership = world.founded.partnership
    _, _, log = await get(http, api.CHECKPOINT)
    _, _, keys = await get(http, api.KEYS_CHECKPOINT)
    with pytest.raises(Refusal, match="CHECKPOINT"):
        open_published(keys.decode(), partnership.log_key, partnership.log_mldsa_key)
    with pytest.raises(Refusal, match="CHECKPOINT"):
        head_of(world, log.decode())
    with pytest.raises(Refusal, match="CHECKPOINT"):  # the second line alone from the other log
        open_published(keys.decode(), partnership.keys_log_key, partnership.log_mldsa_key)


async def test_tiles_and_entries_give_the_root_that_is_signed(world: World, http: Any):
    head = await checkpoint(world, http)
    leaves = await leaves_of(world, http)
    status, headers, tile = await get(http, f"{api.KEYS}/tile/0/000.p/{head.size}")
    assert (status, headers["Cache-Control"]) == (200, FOREVER)
    hashes = [tile[at : at + 32] for at in range(0, len(tile), 32)]
    assert hashes == [leaf_hash(leaf) for leaf in leaves]
    frontier = Frontier()
    for one in hashes:
        frontier = frontier.append(one)
    assert frontier.root() == head.root
    entries = await bundle(world, http, f"000.p/{head.size}")
    assert entries.body == b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


async def test_entries_are_for_members_and_officers_and_for_no_cache(world: World, http: Any):
    """They say who is a member (W12); hashes and sizes do not, so those are for anybody."""
    size = world.directory.size
    assert (await get(http, f"{api.KEYS}/tile/entries/000.p/{size}"))[0] == 401
    assert (await get(http, f"{api.KEYS}/tile/0/000.p/{size}"))[0] == 200
    stranger = await bundle(world, http, f"000.p/{size}", key=SigningKey(secrets.token_bytes(32)))
    assert (stranger.status, stranger.json()["code"]) == (401, "UNAUTHENTICATED")
    seen = await bundle(world, http, f"000.p/{size}", key=world.parties["IDVAS"].officer.auth)
    assert seen.status == 200
    path = f"{api.KEYS}/tile/entries/000.p/{size}"
    headers = world.signed_headers(world.parties["Peacock"].member.agent.auth, "GET", path)
    async with http.get(path, headers=headers) as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
    async with http.get(path, headers=headers) as response:
        assert response.status == 401  # a request is spent once


async def test_it_proves_how_it_grew(world: World, http: Any):
    old = await checkpoint(world, http)
    await add_keys(world, http, 3)
    new = await checkpoint(world, http)
    _, _, body = await get(http, f"{api.KEYS_CONSISTENCY}?old={old.size}&new={new.size}")
    proof = tuple(base64.b64decode(one) for one in json.loads(body)["hashes"])
    verify_consistency(old.size, old.root, new.size, new.root, proof)
    assert (await get(http, f"{api.KEYS_CONSISTENCY}?old={old.size}&new={new.size + 1}"))[0] == 404
    for path in ("0/000", f"0/000.p/{new.size + 1}", "1/000.p/1"):
        assert (await get(http, f"{api.KEYS}/tile/{path}"))[0] == 404
    assert (await bundle(world, http, f"000.p/{new.size + 1}")).status == 404


async def test_members_cosign_its_heads_and_both_survive_a_restart(world: World):
    partnership = world.founded.partnership
    async with world.relay(), world.session() as http:
        page = api.WitnessPage.model_validate_json(
            (await world.call(http, "Peacock", "GET", api.KEYS_HEAD)).body
        )
        head = open_checkpoint(page.asked, partnership.keys_log_key)
        party = world.parties["Peacock"]
        line = cosign(head, party.id, party.member.agent.witness, world.now)
        body = json.dumps({"size": head.size, "line": line}).encode()
        wrong = await world.call(http, "Peacock", "POST", api.HEAD, body=body)
        assert wrong.json()["code"] == "CONFLICT"  # the audit log has another size
        taken = await world.call(http, "Peacock", "POST", api.KEYS_HEAD, body=body)
        assert line in taken.json()["asked"]
        assert line not in (await world.call(http, "Peacock", "GET", api.HEAD)).json()["asked"]
        async with http.get(api.KEYS_CHECKPOINT) as response:
            assert party.id not in await response.text()
    async with world.relay() as running:
        assert line in running.relay.keys_board.to_json()["asked"]
        assert running.relay.keys_board.held.lines[party.id][0] == world.now
        assert running.relay.board.asked.lines == {}


async def test_a_line_for_the_other_log_is_not_taken_though_the_key_is_the_same(world: World, http: Any):
    """What is signed names the origin, so one witness key serves both."""
    party = world.parties["Peacock"]
    asked = (await world.call(http, "Peacock", "GET", api.KEYS_HEAD)).json()["asked"]
    head = open_checkpoint(asked, world.founded.partnership.keys_log_key)
    other = type(head)("relay.test/log", head.size, head.root)
    line = cosign(other, party.id, party.member.agent.witness, world.now)
    body = json.dumps({"size": head.size, "line": line}).encode()
    answer = await world.call(http, "Peacock", "POST", api.KEYS_HEAD, body=body)
    assert answer.json()["code"] == "SIGNATURE"


async def test_no_head_is_signed_over_a_statement_whose_stored_bytes_are_others(world: World, relay: Any):
    """As the audit log's leaves are, they are read back before their head is committed (L2)."""
    before = relay.relay.view.note
    with sqlite3.connect(world.folder / "relay" / "relay.db") as store:
        store.execute(
            "CREATE TRIGGER spoil AFTER INSERT ON statements BEGIN "
            "UPDATE statements SET text = text || X'20' WHERE n = NEW.n; END"
        )
    store.close()
    async with world.session() as http:
        admin = world.parties["Peacock"].admin
        mine = world.directory.agencies[admin.agency]
        key = SigningKey(secrets.token_bytes(32))
        said = Chain(admin.agency, admin.op, mine.seq, mine.head).add_key(
            Use.AUTH, key.public, world.now, world.now + 86_400, world.now
        )
        answer = await world.post_statements(http, "Peacock", ("directory", said))
        assert (answer.status, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert relay.relay.view.note == before
    assert relay.relay.view.size == world.directory.size


# --- the hashes in memory


def test_every_tree_up_to_six_hundred_leaves_has_its_root_and_its_proofs():
    leaves = [leaf_hash(bytes([n % 256, n // 256])) for n in range(600)]
    hashed, frontier = Hashed(), Frontier()
    for n, leaf in enumerate(leaves, start=1):
        hashed.extend((leaf,))
        frontier = frontier.append(leaf)
        assert hashed.root(n) == frontier.root()
    roots = [Hashed(leaves[:n]).root(n) for n in (1, 2, 255, 256, 257, 511, 512, 600)]
    for (a, old), (b, new) in itertools.combinations(
        zip((1, 2, 255, 256, 257, 511, 512, 600), roots, strict=True), 2
    ):
        proof = hashed.consistency(a, b)
        assert proof == consistency_proof(a, b, hashed.read)
        verify_consistency(a, old, b, new, tuple(proof))
    assert hashed.tile(1, 0, 2) == hashed.root(256) + Hashed(leaves[256:512]).root(256)
    for refused in (lambda: hashed.tile(0, 0, 601), lambda: hashed.tile(2, 0, 1), lambda: hashed.root(601)):
        with pytest.raises(Refusal, match="NOT_FOUND"):
            refused()


def test_it_agrees_with_a_tree_written_from_the_text():
    leaves = [bytes([n]) * 3 for n in range(70)]
    hashed = Hashed(map(leaf_hash, leaves))
    assert all(hashed.root(n) == naive_root(leaves[:n]) for n in range(71))


def test_seventy_thousand_statements_reach_the_third_kept_level():
    count = 65_536 + 3
    hashed = Hashed(leaf_hash(n.to_bytes(4, "big")) for n in range(count))
    frontier = Frontier()
    for n in range(65_536):
        frontier = frontier.append(leaf_hash(n.to_bytes(4, "big")))
    assert hashed.tile(2, 0, 1) == frontier.root() == hashed.root(65_536)
