"""The twelve ways to lie with a log proof or a mirror, by name: none verifies and none crashes."""

import base64
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keys_tooling.audit import verified
from keys_tooling.audit.mirror import Mirror
from keys_tooling.audit.mirror_file import FILE, open_mirror
from keys_tooling.audit.verify import verify
from schemas.checkpoint import Checkpoint, LogProof, sign_checkpoint
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.merkle import Frontier, inclusion_proof, leaf_hash, node_hash
from schemas.witness import publish
from tests.keys_tooling.mirrored import pull
from tests.keys_tooling.paper_relay import PaperRelay
from tests.simulated_world import World

SIZE = 20
Spoil = Callable[["Place"], None]


class Place:
    """A pulled mirror and a true proof of its entry 5, for a test to spoil."""

    def __init__(self, world: World, relay: PaperRelay, folder: Path) -> None:
        self.world, self.relay, self.folder = world, relay, folder
        self.note = relay.note()
        self.key, self.origin = world.founded.relay.log, world.founded.partnership.charter.origin
        self.about(5)

    def about(self, index: int) -> None:
        """Make the proof one of this entry; a proof's note has the log's first line alone (L17)."""
        self.index, self.leaf = index, self.relay.leaves[index]
        turn = self.note.split("\n\n")[0] + "\n\n" + self.note.splitlines(keepends=True)[4]
        self.proof = LogProof(self.leaf, index, tuple(self.path(index, SIZE)), turn)

    def path(self, index: int, size: int) -> list[bytes]:
        return inclusion_proof(index, size, self.node)

    def node(self, level: int, at: int) -> bytes:
        if level == 0:
            return leaf_hash(self.relay.leaves[at])
        return node_hash(self.node(level - 1, 2 * at), self.node(level - 1, 2 * at + 1))

    def root(self, size: int) -> bytes:
        frontier = Frontier()
        for leaf in self.relay.leaves[:size]:
            frontier = frontier.append(leaf_hash(leaf))
        return frontier.root()

    def signed(self, size: int, root: bytes, key: SigningKey | None = None, origin: str = "") -> str:
        head = Checkpoint(origin or self.origin, size, root)
        return publish(sign_checkpoint(head, key or self.key), head, self.world.founded.relay.log_mldsa)

    def sql(self, text: str, *values: object) -> None:
        with sqlite3.connect(self.folder / FILE) as database:
            assert database.execute(text, values).rowcount > 0
        database.close()

    def noted(self, text: str) -> None:
        """This head in place of every one of the log's in the mirror."""
        self.sql("UPDATE note SET text = ? WHERE log = 'log'", text)

    def headed(self, text: str) -> None:
        """This head in the proof and in the mirror."""
        self.proof = replace(self.proof, note=text)
        self.noted(text)


def unsigned(note: str) -> str:
    return note.split("\n\n", maxsplit=1)[0] + "\n\n"


def both(*spoils: Spoil) -> Spoil:
    def spoil(place: Place) -> None:
        for one in spoils:
            one(place)

    return spoil


def proven(**fields: Callable[[Place], object]) -> Spoil:
    def spoil(place: Place) -> None:
        place.proof = replace(place.proof, **{name: value(place) for name, value in fields.items()})

    return spoil


HOSTILE: dict[str, Spoil] = {
    "wrong leaf": both(
        proven(extra=lambda p: p.relay.leaves[6]),
        lambda p: p.sql("UPDATE entry SET leaf = ? WHERE i = 5", p.relay.leaves[6]),
    ),
    "changed body with kept hash": both(
        proven(extra=lambda p: p.proof.extra[:-1] + bytes([p.proof.extra[-1] ^ 1])),
        lambda p: p.sql("UPDATE entry SET relay = CAST(relay || x'00' AS BLOB) WHERE i = 5"),
    ),
    "other log's head": lambda p: p.headed(p.signed(SIZE, p.root(SIZE), SigningKey(bytes(32)))),
    "unsigned": lambda p: p.headed(unsigned(p.note)),
    "size one more": lambda p: p.headed(p.note.replace(f"\n{SIZE}\n", f"\n{SIZE + 1}\n")),
    # Of an entry further back the path in a tree one larger has the same shape: only the last one's tells them apart.
    "size one more, signed": both(
        lambda p: p.about(SIZE - 1), lambda p: p.headed(p.signed(SIZE + 1, p.root(SIZE)))
    ),
    "size one less": lambda p: p.headed(p.note.replace(f"\n{SIZE}\n", f"\n{SIZE - 1}\n")),
    "size one less, signed": lambda p: p.headed(p.signed(SIZE - 1, p.root(SIZE))),
    "empty": both(proven(extra=lambda _: b"", hashes=lambda _: ()), lambda p: p.sql("DELETE FROM entry")),
    "empty head": lambda p: p.headed(""),
    "older than seen": both(
        proven(note=lambda p: p.signed(SIZE - 4, p.root(SIZE - 4))),
        lambda p: p.sql(
            "INSERT INTO note (log, text, seen, believed) VALUES ('log', ?, 1, 1)",
            p.signed(SIZE - 4, p.root(SIZE - 4)),
        ),
    ),
    "duplicated": both(
        proven(index=lambda _: 6),
        lambda p: p.sql(
            "UPDATE entry SET (leaf, hash, relay, sender, mark) = "
            "(SELECT leaf, hash, relay, sender, mark FROM entry WHERE i = 5) WHERE i = 6"
        ),
    ),
    "duplicated, one more": both(
        proven(hashes=lambda p: (p.proof.hashes[0], *p.proof.hashes)),
        lambda p: p.sql(
            "INSERT INTO entry SELECT 20, leaf, hash, relay, sender, mark FROM entry WHERE i = 19"
        ),
    ),
    "extra hashes": both(
        proven(hashes=lambda p: (*p.proof.hashes, bytes(32))),
        lambda p: p.sql("UPDATE entry SET hash = CAST(hash || hash AS BLOB) WHERE i = 5"),
    ),
    "interior node as leaf": both(
        proven(
            extra=lambda p: p.node(0, 4) + p.node(0, 5), index=lambda _: 2, hashes=lambda p: p.proof.hashes[1:]
        ),
        lambda p: p.sql(
            "UPDATE entry SET leaf = ?, hash = ? WHERE i = 4", p.node(0, 4) + p.node(0, 5), p.node(1, 2)
        ),
    ),
    "swapped origin": lambda p: p.headed(p.note.replace(p.origin, f"{p.origin}/keys")),
    "swapped origin, signed": lambda p: p.headed(p.signed(SIZE, p.root(SIZE), origin=f"{p.origin}/other")),
    "swapped origin of the mirror": both(
        proven(note=lambda p: p.signed(SIZE, p.root(SIZE), origin="another/log")),
        lambda p: p.sql("UPDATE about SET value = 'another/log' WHERE name = 'origin'"),
    ),
}  # fmt: skip
CLASSES = (
    "wrong leaf", "changed body with kept hash", "other log's head", "unsigned", "size", "empty", "older than seen", "duplicated",
    "extra hashes", "interior node as leaf", "swapped origin",
)  # fmt: skip
"""The twelfth is the truncated file, below, at every length."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.found(tmp_path_factory.mktemp("world"), "Peacock", "IDVAS")


@pytest.fixture(scope="module")
def relay(world: World) -> PaperRelay:
    relay = PaperRelay(world)
    relay.fill(SIZE)
    return relay


@pytest.fixture
async def place(world: World, relay: PaperRelay, tmp_path: Path) -> Place:
    await pull(relay, tmp_path)
    return Place(world, relay, tmp_path)


def _named(refusal: Refusal, *codes: str) -> bool:
    """It does not verify, and says why."""
    assert refusal.code in codes
    return False


def proof_holds(place: Place, data: bytes | None = None) -> bool:
    """Whether the proof shows its entry in a log no older than the one seen."""
    try:
        proof = LogProof.parse(place.proof.to_bytes() if data is None else data)
        checkpoint = proof.verified(place.leaf, place.world.founded.partnership.log_key)
    except Refusal as refusal:
        return _named(refusal, "PROOF", "CHECKPOINT")
    return proof.index == place.index and checkpoint.size >= SIZE


def mirror_holds(place: Place, since: Frontier | None = None) -> bool:
    """Whether the mirror is whole; what it says otherwise names a place or is a refusal in words."""
    try:
        with open_mirror(place.folder, write=False) as mirror:
            report = verify(mirror, place.world.founded.partnership, lambda _at: None, since or Frontier())
    except Refusal as refusal:
        return _named(refusal, "MIRROR")
    if not report.whole:
        assert report.ordered()[0].place
        json.dumps(report.to_json())
    return report.whole


async def test_the_true_ones_hold(place: Place):
    assert proof_holds(place)
    assert mirror_holds(place)


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_not_the_true_one_does_not_verify_and_does_not_crash(place: Place, name: str):
    HOSTILE[name](place)
    assert not proof_holds(place)
    assert not mirror_holds(place)


def test_every_class_has_its_row():
    assert {one for one in CLASSES for name in HOSTILE if name.startswith(one)} == set(CLASSES)


async def test_a_truncated_proof_does_not_verify_at_any_length(place: Place):
    whole = place.proof.to_bytes()
    assert not [length for length in range(len(whole)) if proof_holds(place, whole[:length])]


def lengths(whole: int) -> Iterator[int]:
    yield from (0, 1, 15, 16, 99, 100)
    yield from range(512, whole, 3001)
    yield whole - 1


async def test_a_truncated_mirror_does_not_verify_at_any_length(place: Place):
    path = place.folder / FILE
    data = path.read_bytes()
    for length in lengths(len(data)):
        path.write_bytes(data[:length])
        assert not mirror_holds(place), length
    path.write_bytes(data)
    assert mirror_holds(place)


@pytest.mark.parametrize("extra", [b"\n", b" ", b"\x00", b"=", base64.b64encode(bytes(32)) + b"\n"])
async def test_nothing_may_follow_a_proof(place: Place, extra: bytes):
    assert not proof_holds(place, place.proof.to_bytes() + extra)


# --- what was verified before, as a liar might leave it


async def test_only_a_tree_that_the_log_signed_counts_as_verified_before(place: Place, relay: PaperRelay):
    with open_mirror(place.folder, write=False) as mirror:
        edge = verify(mirror, place.world.founded.partnership, lambda _at: None).edge
    verified.keep(place.folder, edge)
    assert verified.kept(place.folder) == edge
    assert mirror_holds(place, verified.kept(place.folder))
    false = Frontier(edge.size, (bytes(32), *edge.edge[1:]))
    assert not mirror_holds(place, false)
    for text in (
        "",
        "[]",
        "{}",
        '{"size": 20, "edge": []}',
        '{"size": -1, "edge": []}',
        '{"size": 1, "edge": ["00"]}',
    ):
        (place.folder / verified.FILE).write_text(text)
        assert verified.kept(place.folder) == Frontier()


async def test_what_is_new_is_verified_on_top_of_what_was(world: World, tmp_path: Path):
    relay, partnership = PaperRelay(world), world.founded.partnership
    edges = []
    for count in (30, 17):
        relay.fill(count)
        await pull(relay, tmp_path)
        with open_mirror(tmp_path, write=False) as mirror:
            edges.append(
                verify(mirror, partnership, lambda _at: None, edges[-1] if edges else Frontier()).edge
            )
    shutil.copy(tmp_path / FILE, tmp_path / "copy")
    for at, whole in ((5, True), (35, False)):
        with sqlite3.connect(tmp_path / "copy") as database:
            database.execute("UPDATE entry SET relay = CAST(relay || x'00' AS BLOB) WHERE i = ?", (at,))
            report = verify(Mirror(database), partnership, lambda _at: None, edges[0])
            assert (report.whole, report.first, report.entries) == (whole, 30, 47)
            assert not verify(Mirror(database), partnership, lambda _at: None).whole
            database.rollback()
        database.close()
