"""Pulling wants both lines of the log's keys, and counts who vouches for the log as agents do (PROTOCOL.md L17-L21)."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from keys_tooling.audit.mirror_file import FILE, open_mirror
from keys_tooling.audit.vouching import Vouched
from schemas import api
from schemas.checkpoint import Checkpoint, note_lines, sign_checkpoint
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.mldsa import MldsaKey
from schemas.outside import OutsideWitness
from schemas.witness import WitnessKey, cosign, publish
from tests.keys_tooling.mirrored import pull, verified
from tests.keys_tooling.officer_place import Place
from tests.keys_tooling.paper_relay import PaperRelay
from tests.simulated_world import World

HOUR = 3600


@pytest.fixture
def relay(tmp_path: Path) -> PaperRelay:
    relay = PaperRelay(World.found(tmp_path / "world", "Peacock", "IDVAS", "Harbour"))
    relay.cosigners = ("Peacock", "IDVAS", "Harbour")
    relay.fill(20)
    return relay


def bare(note: str, relay: PaperRelay) -> str:
    """The note with the Ed25519 line alone."""
    text, tail = note.split("\n\n")
    return f"{text}\n\n{tail.splitlines(keepends=True)[0]}"


def spoilt(note: str, at: int) -> str:
    """The note with one letter of its line `at` changed."""
    lines = note.splitlines(keepends=True)
    where = len(lines[at]) - 20
    lines[at] = lines[at][:where] + ("A" if lines[at][where] != "A" else "B") + lines[at][where + 1 :]
    return "".join(lines)


def twice(note: str) -> str:
    return note + note.splitlines(keepends=True)[-1]


def by_another(note: str, relay: PaperRelay) -> str:
    """Both lines, the second by somebody else's key under the log's name."""
    head = Checkpoint(relay.world.founded.partnership.charter.origin, relay.size, _root(note))
    return publish(bare(note, relay), head, MldsaKey(bytes(32)))


def _root(note: str) -> bytes:
    import base64

    return base64.b64decode(note.splitlines()[2])


SECOND_LINES = {
    "absent": bare,
    "changed": lambda note, _relay: spoilt(note, 5),
    "twice": lambda note, _relay: twice(note),
    "another's": by_another,
}


@pytest.mark.parametrize("how", SECOND_LINES)
async def test_a_checkpoint_without_a_good_second_line_is_not_believed(
    relay: PaperRelay, tmp_path: Path, how: str
):
    await pull(relay, tmp_path)
    relay.fill(3)
    false = SECOND_LINES[how](relay.note(), relay)

    async def lies() -> str:
        return false

    true, relay.checkpoint = relay.checkpoint, lies  # type: ignore[method-assign]
    with pytest.raises(Refusal, match=r"CHECKPOINT: The relay's checkpoint lacks a good line.*ML-DSA-44"):
        await pull(relay, tmp_path)
    with open_mirror(tmp_path, write=False) as mirror:
        assert mirror.size() == 20
        assert [note.believed for note in mirror.notes("log")] == [True, False]
    relay.checkpoint = true  # type: ignore[method-assign]
    assert (await pull(relay, tmp_path)).entries == 23
    assert verified(relay, tmp_path).whole


@pytest.mark.parametrize("how", SECOND_LINES)
async def test_a_stored_checkpoint_without_a_good_second_line_is_a_finding(
    relay: PaperRelay, tmp_path: Path, how: str
):
    await pull(relay, tmp_path)
    note = SECOND_LINES[how](relay.note(), relay)
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("UPDATE note SET text = ? WHERE log = 'log'", (note,))
    database.close()
    report = verified(relay, tmp_path)
    assert [(one.kind, one.position) for one in report.findings] == [("second", 20)]
    assert "ML-DSA-44" in report.text("")


@pytest.mark.parametrize("line", [4, 5, 6, 7, 8])
async def test_a_head_of_which_any_line_is_spoilt_is_refused(relay: PaperRelay, tmp_path: Path, line: int):
    """The log's two lines and three members' of the head that agencies are asked about."""
    assert len(note_lines(relay.cosigned())[1]) == 5
    false = spoilt(relay.cosigned(), line)

    async def lies(log: str = api.LOG) -> api.WitnessPage:
        return api.WitnessPage(asked=false if log == api.LOG else relay.directory_cosigned(), held=None)

    relay.head = lies  # type: ignore[method-assign]
    with pytest.raises(Refusal, match="CHECKPOINT"):
        await pull(relay, tmp_path)


async def test_who_vouches_is_counted_as_agents_count(relay: PaperRelay, tmp_path: Path):
    now = relay.world.now
    done = await pull(relay, tmp_path)
    assert done.vouched == Vouched(now, now, 20, wanted=2, active=3, outside=0)
    assert done.vouched.state(now) == "agreed"
    relay.cosigners = ("Harbour",)  # one of three that took part lately is no majority
    relay.world.clock.advance(HOUR)
    relay.fill(1)
    done = await pull(relay, tmp_path)
    assert (done.vouched.last, done.vouched.size, done.vouched.wanted) == (now, 20, 2)
    report = verified(relay, tmp_path)
    assert (report.whole, report.vouched) == (True, done.vouched)


@pytest.mark.parametrize(
    ("hours", "state"), [(1, "agreed"), (3, "late"), (24, "late"), (25, "missing"), (24 * 15, "missing")]
)
async def test_a_quorum_that_is_missing_is_told_after_two_hours_and_loudly_after_a_day(
    relay: PaperRelay, tmp_path: Path, hours: int, state: str
):
    await pull(relay, tmp_path)
    relay.cosigners = ()
    relay.world.clock.advance(hours * HOUR)
    relay.fill(1)
    done = await pull(relay, tmp_path)
    assert (done.entries, done.vouched.state(relay.world.now)) == (21, state)


async def test_a_new_mirror_has_a_day_to_find_its_witnesses(relay: PaperRelay, tmp_path: Path):
    relay.cosigners = ()
    states = []
    for hours in (0, 1, 4, 20):
        relay.world.clock.advance(hours * HOUR)
        states.append((await pull(relay, tmp_path)).vouched.state(relay.world.now))
    assert states == ["waiting", "waiting", "late", "missing"]


async def test_a_head_of_another_history_is_a_fork_and_both_are_kept(relay: PaperRelay, tmp_path: Path):
    """Members are asked to vouch for one log, and this officer is shown another."""
    theirs = PaperRelay(relay.world)
    theirs.cosigners = relay.cosigners
    theirs.fill(18)
    relay.head = theirs.head  # type: ignore[method-assign]
    with pytest.raises(Refusal, match="FORK: The head of 18 entries"):
        await pull(relay, tmp_path)
    with open_mirror(tmp_path, write=False) as mirror:
        assert len(mirror.heads("log")) == 1
    report = verified(relay, tmp_path)
    assert [(one.kind, one.position) for one in report.ordered()] == [("fork", 18)]


@pytest.mark.parametrize(
    "how", ["a line taken out", "a line changed", "said to have a quorum", "the second line"]
)
async def test_a_head_that_was_changed_in_the_mirror_is_named(relay: PaperRelay, tmp_path: Path, how: str):
    relay.cosigners = () if how == "said to have a quorum" else relay.cosigners
    await pull(relay, tmp_path)
    with sqlite3.connect(tmp_path / FILE) as database:
        [text] = database.execute("SELECT text FROM head WHERE log = 'log'").fetchone()
        if how == "said to have a quorum":
            database.execute("UPDATE head SET stood = 1 WHERE log = 'log'")
        else:
            lines = text.splitlines(keepends=True)
            changed = {
                "a line taken out": "".join(lines[:-1]),
                "a line changed": spoilt(text, 6),
                "the second line": "".join([*lines[:5], *lines[6:]]),
            }[how]
            database.execute("UPDATE head SET text = ? WHERE log = 'log'", (changed,))
    database.close()
    report = verified(relay, tmp_path)
    assert [(one.kind, one.position) for one in report.findings] == [("cosigned", 20)]


async def test_witnesses_outside_the_partnership_are_wanted_where_the_charter_names_them(tmp_path: Path):
    key = SigningKey(bytes(range(32)))
    outside = OutsideWitness(
        key=WitnessKey("witness.example", key.public).text(), url="https://witness.example"
    )
    relay = PaperRelay(World.found(tmp_path / "world", "Peacock", "IDVAS", outside=(outside,)))
    relay.fill(4)
    done = await pull(relay, tmp_path)
    assert (done.vouched.last, done.vouched.outside) == (0, 1)
    assert "1 from outside" in done.vouched.text(relay.world.now)
    head = Checkpoint(relay.world.founded.partnership.charter.origin, 4, _root(relay.note()))
    asked = relay.cosigned() + cosign(head, "witness.example", key, relay.world.now)

    async def page(log: str = api.LOG) -> api.WitnessPage:
        return api.WitnessPage(asked=asked if log == api.LOG else relay.directory_cosigned(), held=None)

    relay.head = page  # type: ignore[method-assign]
    done = await pull(relay, tmp_path)
    assert (done.vouched.last, done.vouched.size) == (relay.world.now, 4)


# --- the directory's log is held to the same


@pytest.mark.parametrize("line", [4, 5, 6, 7, 8])
async def test_a_head_of_the_directory_of_which_any_line_is_spoilt_is_refused(
    relay: PaperRelay, tmp_path: Path, line: int
):
    false = spoilt(relay.directory_cosigned(), line)

    async def lies(log: str = api.LOG) -> api.WitnessPage:
        return api.WitnessPage(asked=false if log == api.KEYS else relay.cosigned(), held=None)

    relay.head = lies  # type: ignore[method-assign]
    with pytest.raises(Refusal, match="CHECKPOINT"):
        await pull(relay, tmp_path)


async def test_another_directory_than_the_one_that_agencies_vouch_for_is_a_fork(
    relay: PaperRelay, tmp_path: Path
):
    """Members are shown the directory with one statement exchanged."""
    head = Checkpoint(
        f"{relay.world.founded.partnership.charter.origin}/keys", len(relay.statements), bytes(32)
    )
    keys = relay.world.founded.relay
    other = publish(sign_checkpoint(head, keys.keys_log), head, keys.log_mldsa)

    async def lies(log: str = api.LOG) -> api.WitnessPage:
        return api.WitnessPage(asked=other if log == api.KEYS else relay.cosigned(), held=None)

    relay.head = lies  # type: ignore[method-assign]
    with pytest.raises(Refusal, match="FORK: The directory of"):
        await pull(relay, tmp_path)
    report = verified(relay, tmp_path)
    assert [(one.log, one.kind) for one in report.ordered()] == [("keys", "fork")]


async def test_who_vouches_for_the_directory_is_counted_by_itself(relay: PaperRelay, tmp_path: Path):
    done = await pull(relay, tmp_path)
    size, now = len(relay.statements), relay.world.now
    assert done.directory_vouched == Vouched(now, now, size, wanted=2, active=3, outside=0)
    head = relay.head

    async def none_of_the_directory(log: str = api.LOG) -> api.WitnessPage:
        page = await head(log)
        first = "".join(page.asked.splitlines(keepends=True)[:6])
        return page if log == api.LOG else api.WitnessPage(asked=first, held=None)

    relay.head = none_of_the_directory  # type: ignore[method-assign]
    relay.world.clock.advance(25 * HOUR)
    relay.fill(1)
    done = await pull(relay, tmp_path)
    states = [one.state(relay.world.now) for one in (done.vouched, done.directory_vouched)]
    assert states == ["agreed", "missing"]
    report = verified(relay, tmp_path)
    assert (report.whole, report.directory_vouched) == (True, done.directory_vouched)


async def test_a_key_that_was_revoked_vouches_for_nothing(relay: PaperRelay, tmp_path: Path):
    from schemas.chain import Chain

    world = relay.world
    for name in ("IDVAS", "Harbour"):
        party = world.parties[name]
        chain = Chain(party.admin.agency, party.admin.op, party.admin.seq, party.admin.head)
        signed = chain.revoke(party.member.agent.witness.kid, "compromised", world.now, world.now)
        world.take(signed)
        relay.statements.append(signed)
    done = await pull(relay, tmp_path)
    assert (done.vouched.active, done.vouched.last) == (1, world.now)


async def test_the_command_says_it_and_ends_with_one_when_nobody_vouched_for_a_day(tmp_path: Path):
    """Against the relay itself, which publishes a head when the officer asks."""
    world = World.found(tmp_path / "world", "Peacock", "IDVAS")
    place = Place.make(world, tmp_path / "officer", "Peacock")
    async with world.relay(), world.session() as http:
        assert (await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))).status == 200
        first = await place.type("pull", "--json")
        assert (first.exit, first.json()["vouched"]["state"]) == (0, "waiting")
        await vouch(world, http, "IDVAS")
        second = await place.type("pull")
        assert second.exit == 0
        assert "enough of them vouch for this log" in second.out
        world.clock.advance(25 * HOUR)
        third = await place.type("pull")
        assert (third.exit, third.refusal) == (1, None)
        assert "NOT VOUCHED FOR for more than a day" in third.out
        verify_ = await place.type("verify", passphrase=False)
        assert verify_.exit == 0
        assert "NOT VOUCHED FOR" in verify_.out


async def vouch(world: World, http: Any, party: str) -> None:
    """This party's agent cosigns the head that members are asked about."""
    page = api.WitnessPage.model_validate_json((await world.call(http, party, "GET", api.HEAD)).body)
    lines = page.asked.splitlines()
    head = Checkpoint(lines[0], int(lines[1]), _root(page.asked))
    of = world.parties[party]
    body = {"line": cosign(head, of.id, of.member.agent.witness, world.now), "size": head.size}
    answer = await world.call(http, party, "POST", api.HEAD, body=json.dumps(body).encode())
    assert answer.status == 200, answer.body
