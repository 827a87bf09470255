"""An officer judges two notes of the log: what they prove, with her mirror and without."""

import json
import secrets
from pathlib import Path

import pytest

from keys_tooling.audit.judge import judge
from keys_tooling.audit.mirror_file import FILE, open_mirror
from schemas.checkpoint import Checkpoint, LogKey, open_checkpoint, sign_checkpoint
from schemas.directory_statement import statement_leaf
from schemas.errors import Refusal
from schemas.forked import TwoNotes
from schemas.hashed import Hashed
from schemas.keys import SigningKey
from schemas.merkle import leaf_hash
from tests.keys_tooling.mirrored import pull
from tests.keys_tooling.paper_relay import PaperRelay
from tests.simulated_world import World


@pytest.fixture
async def relay(tmp_path: Path) -> PaperRelay:
    """Twelve entries, of which the officer of Peacock mirrors the first ten."""
    world = World.found(tmp_path, "Peacock", "IDVAS")
    relay = PaperRelay(world)
    relay.fill(10)
    (tmp_path / "officer").mkdir(mode=0o700)
    await pull(relay, tmp_path / "officer")
    relay.fill(2)
    return relay


def true_note(relay: PaperRelay, size: int) -> str:
    relay.shown = size
    return relay.note()


def forged(relay: PaperRelay, size: int, key: SigningKey | None = None) -> str:
    checkpoint = Checkpoint(relay.world.founded.partnership.charter.origin, size, secrets.token_bytes(32))
    return sign_checkpoint(checkpoint, key or relay.world.founded.relay.log)


def judged(relay: PaperRelay, ours: str, theirs: str, log: LogKey | None = None) -> str:
    partnership = relay.world.founded.partnership
    two = TwoNotes(log or partnership.log_key, ours, theirs)
    with open_mirror(relay.world.folder / "officer", write=False) as mirror:
        return judge(TwoNotes.parse(two.to_bytes()), partnership, mirror).verdict


async def test_two_roots_of_one_size_need_no_mirror(relay: PaperRelay):
    assert judged(relay, true_note(relay, 12), forged(relay, 12)) == "forked"
    assert judged(relay, forged(relay, 50), forged(relay, 50)) == "forked"


async def test_the_mirror_tells_a_fork_of_another_size(relay: PaperRelay):
    for ours, theirs in ((7, 12), (12, 7), (3, 9)):
        assert judged(relay, true_note(relay, ours), forged(relay, theirs)) == (
            "forked-here" if theirs <= 10 else "unanswered"
        )


async def test_notes_of_the_mirrored_history_fit(relay: PaperRelay):
    assert judged(relay, true_note(relay, 4), true_note(relay, 10)) == "fits"
    assert judged(relay, true_note(relay, 0), true_note(relay, 4)) == "fits"
    assert judged(relay, true_note(relay, 4), true_note(relay, 4)) == "fits"
    assert judged(relay, true_note(relay, 4), true_note(relay, 12)) == "unanswered"


async def test_who_did_not_sign_is_not_accused(relay: PaperRelay):
    stranger = SigningKey(secrets.token_bytes(32))
    with pytest.raises(Refusal, match="CHECKPOINT"):
        judged(relay, true_note(relay, 4), forged(relay, 4, stranger))
    other = LogKey(relay.world.founded.partnership.charter.origin, stranger.public)
    with pytest.raises(Refusal, match="CHECKPOINT"):
        judged(relay, forged(relay, 4, stranger), forged(relay, 4, stranger), other)
    keys_log = relay.world.founded.partnership.keys_log_key
    with pytest.raises(Refusal, match="CHECKPOINT"):
        judged(relay, true_note(relay, 4), true_note(relay, 5), keys_log)


async def test_a_mirror_with_a_hole_judges_nothing(relay: PaperRelay):
    import sqlite3

    with sqlite3.connect(relay.world.folder / "officer" / FILE) as database:
        database.execute("DELETE FROM entry WHERE i >= 5")
    database.close()
    with pytest.raises(Refusal, match="MIRROR"):
        judged(relay, true_note(relay, 4), true_note(relay, 8))


async def test_the_command_says_it_and_exits_with_one(relay: PaperRelay, monkeypatch: pytest.MonkeyPatch):
    from click.testing import CliRunner

    from keys_tooling.audit_main import audit

    folder, partnership = relay.world.folder, relay.world.founded.partnership
    (folder / "officer" / "partnership.json").write_bytes(partnership.to_bytes())
    for theirs, code, verdict in ((forged(relay, 7), 1, "forked-here"), (true_note(relay, 7), 0, "fits")):
        file = folder / "two-logs.json"
        file.write_bytes(TwoNotes(partnership.log_key, true_note(relay, 9), theirs).to_bytes())
        done = CliRunner().invoke(audit, ["judge", str(file), "--dir", str(folder / "officer"), "--json"])
        assert (done.exit_code, json.loads(done.stdout)["verdict"]) == (code, verdict)
    assert open_checkpoint(true_note(relay, 9), partnership.log_key).size == 9


async def test_the_directorys_log_is_judged_by_the_statements_that_she_mirrors(relay: PaperRelay):
    world = relay.world
    key, signer = world.founded.partnership.keys_log_key, world.founded.relay.keys_log
    hashed = Hashed(leaf_hash(statement_leaf(signed)) for signed in world.statements)
    size = hashed.size

    def note(size: int, root: bytes | None = None) -> str:
        checkpoint = Checkpoint(key.name, size, hashed.root(size) if root is None else root)
        return sign_checkpoint(checkpoint, signer)

    other = secrets.token_bytes(32)
    for ours, theirs, verdict in (
        (note(size), note(size, other), "forked"),
        (note(3), note(5), "fits"),
        (note(3), note(5, other), "forked-here"),
        (note(3), note(size + 4, other), "unanswered"),
    ):
        assert judged(relay, ours, theirs, key) == verdict
    with pytest.raises(Refusal, match="CHECKPOINT"):
        judged(relay, note(3), note(5), world.founded.partnership.log_key)
