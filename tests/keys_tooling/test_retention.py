"""Records go when their time is over, by plan and two signatures, and officers hold the relay to it."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from keys_tooling.audit.lifetimes import NEVER, lives
from keys_tooling.audit.opened import Row
from keys_tooling.audit.retaining import RUNS, plan
from keys_tooling.audit_main import audit
from keys_tooling.console import World as Outside
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from schemas.policy import Kept, founding
from schemas.retention import RetentionList, SignedRetention
from tests.keys_tooling.policy_place import served, write_secret
from tests.policy_world import next_policy, publish
from tests.simulated_world import AGREED, PASSPHRASE, World

DAY = 24 * 3600
SHORT = {"log_days": 28, "child_days": 29, "directory_days": 28, "notice_days": 1}
CHILD = {**AGREED, "child": True}


class Place:
    """A partnership on disk, its relay running, and people who type."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        write_secret(folder / "pass", PASSPHRASE + b"\n")
        for name in ("oversight", "Peacock", "IDVAS"):
            home = folder / f"officer-{name}"
            home.mkdir(mode=0o700)
            keys = world.parties[name].officer
            self._key(home / "officer.fpk", keys)
        own = world.parties["oversight"]
        home = folder / "P"
        home.mkdir(mode=0o700)
        (home / "partnership.json").write_bytes(world.founded.partnership.to_bytes())
        self._key(home / "admin.fpk", own.admin)
        self._key(home / "agent.fpk", own.member.agent)
        for signer in world.founded.signers:
            self._key(home / f"{signer.person}.fpk", signer)

    def _key(self, path: Path, held: Any) -> None:
        write_secret(path, lock(held.to_json(), held.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes))

    def officer(self, name: str) -> Path:
        return self.folder / f"officer-{name}"

    def type(self, *words: str | Path) -> Any:
        outside = Outside(self.world.clock, secrets.token_bytes)
        given = [*map(str, words)]
        if given[0] != "verify" and given[:2] != ["retention", "deleted"]:
            given += ["--passphrase-file", str(self.folder / "pass")]
        return CliRunner().invoke(audit, [*given, "--json"], obj=outside)

    def told(self, *words: str | Path) -> dict[str, Any]:
        result = self.type(*words)
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout.splitlines()[-1])

    def refused(self, *words: str | Path) -> str:
        result = self.type(*words)
        assert isinstance(result.exception, Refusal), (result.output, result.exception)
        return result.exception.code

    def pull(self, name: str) -> dict[str, Any]:
        """No agent runs here: once the log was long unvouched for, pulling says so and brings it all the same."""
        partnership = self.folder / "P" / "partnership.json"
        result = self.type("pull", "--dir", self.officer(name), "--partnership", partnership)
        found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        assert result.exit_code == (found["vouched"]["state"] == "missing"), (result.output, result.exception)
        return found

    def verify(self, name: str) -> dict[str, Any]:
        result = self.type("verify", "--dir", self.officer(name))
        return json.loads(result.stdout.splitlines()[-1])

    def signed_list(self, name: str = "list.json") -> Path:
        """A plan by oversight's officer, signed by both."""
        self.pull("oversight")
        path = self.folder / name
        self.told("retention", "plan", "--dir", self.officer("oversight"), "--out", path)
        for signer in ("policy-1", "policy-2"):
            path = self.sign(path, signer, path.with_name(f"{signer}-{name}"))
        return path

    def sign(self, path: Path, signer: str, out: Path) -> Path:
        key = self.folder / "P" / f"{signer}.fpk"
        return Path(self.told("retention", "sign", path, "--key", key, "--out", out)["out"])

    def apply(self, path: Path) -> dict[str, Any]:
        return self.told("retention", "apply", path, "--partnership-dir", self.folder / "P", "--yes")

    def wait_gone(self, digest: str) -> None:
        """Let the notice pass, and the relay do what it says."""
        self.world.clock.advance(DAY + 1)
        end = time.monotonic() + 60
        while not self._ended(digest):
            assert time.monotonic() < end, "it was not deleted"
            time.sleep(0.02)

    def _ended(self, digest: str) -> bool:
        with sqlite3.connect(self.world.folder / "relay" / "relay.db") as db:
            found = db.execute("SELECT at FROM deletions WHERE digest = ?", (digest,)).fetchone()
        return found is not None and found[0] < 0


@pytest.fixture
async def place(tmp_path: Path) -> Any:
    """A month-old log: three messages of adults, one about a child, one agreement; then the relay as a thread."""
    world = World.found(tmp_path / "world", "Peacock", "IDVAS")
    async with world.relay(sweep_seconds=0.02), world.session() as http:
        await publish(world, http, next_policy(world, retention=SHORT))
        grant = world.grant("Peacock", "IDVAS")
        status = world.status("Peacock", grant)
        await world.post_statements(http, "Peacock", ("grant", grant), ("status", status))
        for law in (AGREED, CHILD, AGREED):
            sealed = world.seal("Peacock", "IDVAS", grant=grant, status=status, law=law)
            assert (await world.post_envelopes(http, "Peacock", sealed)).status == 200
        page = await world.mailbox(http, "IDVAS")
        await world.post_receipts(
            http, "IDVAS", *(world.receipt("IDVAS", one, "taken-on") for one in page.deliveries)
        )
        world.clock.advance(61)
        await until_noted(world)
    made = Place(world, tmp_path)
    world.clock.advance(28 * DAY)
    return made


async def until_noted(world: World) -> None:
    import asyncio

    for _ in range(3000):
        with sqlite3.connect(world.folder / "relay" / "relay.db") as db:
            if db.execute("SELECT count(*) FROM days").fetchone()[0]:
                return
        await asyncio.sleep(0.02)
    raise AssertionError("the day was not noted")


def test_what_is_over_goes_and_what_is_about_a_child_stays_and_all_mirrors_stay_whole(place: Place):
    with served(place.world):
        place.pull("Peacock")
        path = place.signed_list()
        listed = RetentionList.parse(SignedRetention.parse(path.read_bytes()).text)
        done = place.apply(path)
        assert place.apply(path)["before"]
        place.pull("oversight")
        again = place.told("retention", "plan", "--dir", place.officer("oversight"))
        assert (again["count"], again["stated"]) == (0, listed.count)
        assert place.pull("Peacock")["given_up"] == 0  # its notice is not over
        place.wait_gone(done["digest"])
        for name in ("Peacock", "oversight"):
            assert place.pull(name)["given_up"] == listed.count
        fresh = place.pull("IDVAS")  # an officer who begins only now
        assert fresh["given_up"] == 0
        rows = place.told("read", "--dir", place.officer("Peacock"))["entries"]
        asked = place.told("query", "deleted", "--dir", place.officer("Peacock"))
    said = [row for row in asked["rows"] if "retention statement" in json.dumps(row)]
    assert "signed by policy-1 and policy-2" in json.dumps(said)
    assert f"{listed.count} of {listed.count} records gone here, 0 still here" in json.dumps(said)
    for name in ("Peacock", "oversight", "IDVAS"):
        found = place.verify(name)
        assert (found["ok"], found["deleted"]) == (True, listed.count)
    with sqlite3.connect(place.officer("Peacock") / "mirror.db") as mirror:
        kept = {i for (i,) in mirror.execute("SELECT i FROM entry WHERE length(relay) > 0")}
    events = [row["event"] for row in rows if row["index"] < listed.size]
    assert events.count("accept") == 1, "the child's message alone is left, with the agreement it rests on"
    assert {"grant", "taken-on"} <= set(events)
    assert kept >= {row["index"] for row in rows}
    (proof,) = place.told("retention", "deleted", "--dir", place.officer("Peacock"))["deleted"]
    assert (proof["gone"], proof["left"], proof["early"]) == (listed.count, 0, [])
    assert proof["signers"] == ["policy-1", "policy-2"]


def test_nothing_of_a_deleted_record_is_left_in_an_officers_folder(place: Place):
    with served(place.world):
        place.pull("Peacock")
        place.told(
            "retention", "holds", "--dir", place.officer("Peacock")
        )  # makes the index of opened entries
        assert (place.officer("Peacock") / "opened.db").exists()
        path = place.signed_list()
        listed = RetentionList.parse(SignedRetention.parse(path.read_bytes()).text)
        first = listed.ranges[0][0]
        mirror = sqlite3.connect(place.officer("Peacock") / "mirror.db")
        relay = mirror.execute("SELECT relay FROM entry WHERE i = ?", (first,)).fetchone()[0]
        mirror.close()
        place.wait_gone(place.apply(path)["digest"])
        place.pull("Peacock")
    data = b"".join(path.read_bytes() for path in place.officer("Peacock").iterdir())
    assert relay[300:332] not in data
    assert relay[-32:] not in data
    assert not (place.officer("Peacock") / "opened.db").exists()


def test_a_hold_for_a_review_keeps_a_message_until_it_is_lifted(place: Place):
    with served(place.world):
        place.pull("Peacock")
        rows = place.told("read", "--dir", place.officer("Peacock"))["entries"]
        mid = next(row["mid"] for row in rows if row["event"] == "accept")
        mine = {row["index"] for row in rows if row["mid"] == mid}
        held = place.told("retention", "hold", "--dir", place.officer("Peacock"), "--message", mid)
        assert held["count"] == len(mine)
        place.pull("oversight")
        plan = place.told("retention", "plan", "--dir", place.officer("oversight"))
        named = {i for first, last in plan["ranges"] for i in range(first, last + 1)}
        assert not mine & named
        assert plan["held"] == len(mine)
        (standing,) = place.told("retention", "holds", "--dir", place.officer("oversight"))["holds"]
        assert standing["agency"] == place.world.parties["Peacock"].id
        assert (
            place.refused("retention", "lift", "--hold", held["hid"], "--dir", place.officer("oversight"))
            == "HOLD"
        )
        place.told("retention", "lift", "--hold", held["hid"], "--dir", place.officer("Peacock"))
        place.pull("oversight")
        again = place.told("retention", "plan", "--dir", place.officer("oversight"))
        assert (again["held"], again["count"]) == (0, plan["count"] + len(mine))


def test_a_hold_that_comes_during_the_notice_is_in_time(place: Place):
    with served(place.world):
        place.pull("Peacock")
        path = place.signed_list()
        first = RetentionList.parse(SignedRetention.parse(path.read_bytes()).text).ranges[0][0]
        done = place.apply(path)
        held = place.told("retention", "hold", "--dir", place.officer("Peacock"), "--entries", str(first))
        place.wait_gone(done["digest"])
        brought = place.pull("Peacock")
        assert brought["given_up"] == done["count"] - 1
        (proof,) = place.told("retention", "deleted", "--dir", place.officer("Peacock"))["deleted"]
        assert proof["left"] == 1
        place.told("retention", "lift", "--hold", held["hid"], "--dir", place.officer("Peacock"))
        assert place.pull("Peacock")["given_up"] == 1
    assert place.verify("Peacock")["ok"]


def test_a_record_that_no_statement_lets_go_is_missed_at_once(place: Place):
    """By a pull over the wire, and by verify of a mirror out of which somebody took it."""
    with served(place.world):
        place.pull("Peacock")
    with sqlite3.connect(place.officer("Peacock") / "mirror.db") as mirror:
        mirror.execute("UPDATE entry SET relay = x'', sender = x'' WHERE i = 4")
    found = place.verify("Peacock")
    assert not found["ok"]
    assert (found["first"]["kind"], found["first"]["position"]) == ("gone", 4)
    with sqlite3.connect(place.world.folder / "relay" / "relay.db") as db:
        db.execute("UPDATE records SET relay = x'', sender = x'' WHERE idx = 5")
    with served(place.world):
        partnership = place.folder / "P" / "partnership.json"
        assert place.refused("pull", "--dir", place.officer("IDVAS"), "--partnership", partnership) == "PROOF"


def test_records_that_were_named_before_their_time_stay_in_the_mirror_and_are_a_finding(place: Place):
    """Oversight's people sign away the child's record: the officer reads for herself that it was not over."""
    with served(place.world):
        place.pull("Peacock")
        rows = place.told("read", "--dir", place.officer("Peacock"))["entries"]
        path = place.signed_list()
        honest = RetentionList.parse(SignedRetention.parse(path.read_bytes()).text)
        named = {i for first, last in honest.ranges for i in range(first, last + 1)}
        child = next(row["index"] for row in rows if row["event"] == "accept" and row["index"] not in named)
        lie = honest.model_copy(update={"ranges": ((child, child),)})
        signed = SignedRetention(lie.text)
        for one in place.world.founded.signers:
            signed = signed.signed_by(one.key)
        (place.folder / "lie.json").write_bytes(signed.to_bytes())
        place.wait_gone(place.apply(place.folder / "lie.json")["digest"])
        brought = place.pull("Peacock")
    assert (brought["given_up"], brought["named_early"]) == (0, 1)
    found = place.verify("Peacock")
    assert (found["first"]["kind"], found["first"]["position"]) == ("early", child)
    (proof,) = place.told("retention", "deleted", "--dir", place.officer("Peacock"))["deleted"]
    assert proof["early"] == [child]


def test_a_mirror_that_saw_the_log_shorter_lately_calls_the_lie_without_any_key(place: Place):
    """The relay lies about its clock and lets young records go; when the mirror saw the log is proof enough."""
    with served(place.world):
        place.pull("IDVAS")
    size = place.verify("IDVAS")["entries"]
    with sqlite3.connect(place.world.folder / "relay" / "relay.db") as db:
        db.execute("UPDATE days SET size = 1000")
    with served(place.world):
        place.pull("oversight")
        place.pull("IDVAS")
        young = RetentionList(notice=DAY, policy=2, ranges=((size + 1, size + 1),), size=size + 2, v=1)
        signed = SignedRetention(young.text)
        for one in place.world.founded.signers:
            signed = signed.signed_by(one.key)
        (place.folder / "young.json").write_bytes(signed.to_bytes())
        place.wait_gone(place.apply(place.folder / "young.json")["digest"])
        place.pull("IDVAS")
    kinds = {(finding["kind"], finding["position"]) for finding in place.verify("IDVAS")["findings"]}
    assert ("early", size + 1) in kinds


def test_a_list_with_one_signature_or_a_changed_one_is_not_applied(place: Place):
    with served(place.world):
        place.pull("oversight")
        path = place.folder / "list.json"
        place.told("retention", "plan", "--dir", place.officer("oversight"), "--out", path)
        once = place.sign(path, "policy-1", place.folder / "once.json")
        words = ("--partnership-dir", place.folder / "P", "--yes")
        assert place.refused("retention", "apply", once, *words) == "POLICY_SIGNERS"
        key, out = place.folder / "P" / "policy-1.fpk", place.folder / "twice.json"
        twice = ("retention", "sign", once, "--key", key, "--out", out)
        assert place.refused(*twice) == "POLICY_SAME_PERSON"
        whole = SignedRetention.parse(place.signed_list("again.json").read_bytes())
        other = whole.text.replace(b'"ranges":[[', b'"ranges":[[0,0],[', 1)
        (place.folder / "other.json").write_bytes(SignedRetention(other, whole.sigs).to_bytes())
        assert place.refused("retention", "apply", place.folder / "other.json", *words) in (
            "SIGNATURE",
            "RETENTION",
        )


def test_a_list_is_never_longer_than_a_statement_takes():
    rows = [row(2 * n, "read") for n in range(2 * RUNS)]
    policy = founding().model_copy(update={"retention": KEPT})
    found = plan(rows, (), (), 4 * RUNS, policy, 10**10)
    assert found.listed is not None
    assert len(RetentionList.parse(found.listed.text).ranges) == RUNS
    rest = plan(rows, found.listed.ranges, (), 4 * RUNS, policy, 10**10)
    assert rest.listed is not None
    assert rest.listed.ranges[0][0] > found.listed.ranges[-1][1]


KEPT = Kept(log_days=100, child_days=1000, directory_days=50, notice_days=1)


def row(seq: int, event: str, **said: Any) -> Row:
    return Row(seq, seq * DAY, event, **said)


@pytest.mark.parametrize(
    ("rows", "until"),
    [
        ([row(1, "read")], {1: 101}),
        ([row(1, "directory")], {1: 51}),
        ([row(1, "accept", mid="m"), row(3, "taken-on", mid="m")], {1: 103, 3: 103}),
        ([row(1, "accept", mid="m", child=True), row(2, "opened", mid="m")], {1: 1002, 2: 1002}),
        ([row(1, "nondisclosure", mid="n", cat=("child",))], {1: 1001}),
        ([row(1, "grant", gid="g"), row(9, "accept", mid="m", gid="g")], {1: 109, 9: 109}),
        ([row(1, "grant", gid="g"), row(9, "accept", mid="m", gid="g", child=True)], {1: 1009, 9: 1009}),
        ([row(1, "override", mid="m"), row(2, "accept", mid="m")], {1: 102, 2: 102}),
        ([row(1, "override", thr="t"), row(2, "accept", mid="m", thr="t", child=True)], {1: 1002, 2: 1002}),
        ([row(1, "accept", mid="m"), row(2, "opened", mid="m", faults=("tag",))], {1: None, 2: None}),
        ([row(1, "accept", mid="m"), row(2, "accept", mid="o")], {1: 101, 2: 102}),
    ],
)
def test_how_long_each_record_is_kept(rows: list[Row], until: dict[int, int | None]):
    found = lives(rows, KEPT)
    said = {seq: None if life.until == NEVER else life.until // DAY for seq, life in found.items()}
    assert said == until
