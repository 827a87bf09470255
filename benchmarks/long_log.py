"""A long log, built directly with the project's own code: an officer's mirror of it, and a relay's store of it.

One entry in ten is of the officer's agency: whole messages with their sender's record and the steps of their delivery.
The rest are others' and stay closed to her. Messages are sealed once and used in turn; records are sealed for every
entry anew, under epoch keys that last 600 entries.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from keys_tooling.audit.mirror import Entry, Mirror
from keys_tooling.audit.mirror_file import open_mirror
from schemas.api import EpochItem
from schemas.audit import Event, Leaf, event_facts, event_tag, tag_text
from schemas.canonical import Json, b64
from schemas.checkpoint import Checkpoint, sign_checkpoint
from schemas.merkle import Frontier, leaf_hash, node_hash
from schemas.receipt import Receipt, sign_receipt
from schemas.record import epoch_info
from schemas.record_sealing import record_hash, seal_epoch_record, veil_record
from schemas.sealing import wrap_key
from schemas.signing import Signed
from schemas.witness import publish
from tests.simulated_world import World

EPOCH = 600
"""Entries under one epoch key: ten a second for a minute."""
HERS = 10
"""One entry in so many is of the officer's agency."""
MESSAGES = 100
"""Distinct messages, used in turn."""
STEPS = ("collected", "opened", "taken-on")
TOGETHER = 5000


@dataclass(frozen=True, slots=True)
class Said:
    """What a record of hers says: its tag, event and facts, and the sender's record that goes with it."""

    tag: bytes
    event: Event
    facts: dict[str, Json]
    record: bytes = b""


@dataclass(slots=True)
class LongLog:
    """The log as it grows; `hers` is how many of its entries the officer can open."""

    world: World
    frontier: Frontier = field(default_factory=Frontier)
    hers: int = 0
    _edge: list[bytes] = field(default_factory=list)
    _epochs: dict[str, bytes] = field(default_factory=dict)
    _said: list[Said] = field(default_factory=list)

    def __post_init__(self) -> None:
        for _ in range(MESSAGES):
            self._said += self._message()

    @property
    def size(self) -> int:
        return self.frontier.size

    def _message(self) -> list[Said]:
        """A message from Peacock to IDVAS: its acceptance and the three steps of its delivery."""
        world = self.world
        sealed = world.seal("Peacock", "IDVAS")
        envelope, reader = sealed.upload.envelope, world.parties["IDVAS"]
        decision: Json = {"alert": False, "code": "", "known": None, "outcome": "deliver", "rows": [2]}
        facts: dict[str, Json] = {
            "body": b64(envelope.body_hash),
            "decision": decision,
            "header": envelope.header_bytes.decode(),
            "sig": b64(envelope.sig),
            "wm": b64(envelope.wm_hash),
        }
        found = [Said(envelope.eid, Event.ACCEPT, facts, sealed.upload.record)]
        for state in STEPS:
            event = Event(state)
            receipt = self._receipt(b64(envelope.eid), b64(envelope.body_hash), state)
            step: dict[str, Json] = {
                "a": reader.id,
                "d": "intake",
                "eid": b64(envelope.eid),
                "mid": sealed.mid,
                "receipt": receipt.to_json(),
            }
            found.append(Said(event_tag(envelope.eid, event, reader.id, "intake"), event, step))
        return found

    def _receipt(self, eid: str, body: str, state: str) -> Signed:
        agent = self.world.parties["IDVAS"].member.agent
        role = "idva" if state == "taken-on" else None
        said: dict[str, Json] = {
            "a": agent.agency,
            "body": body,
            "d": "intake",
            "eid": eid,
            "reason": None,
            "role": role,
        }
        said |= {"signer": agent.msg.kid, "state": state, "ts": self.world.now, "v": 1}
        return sign_receipt(Receipt.model_validate(said), agent.msg)

    def entries(self, count: int, epochs: list[EpochItem]) -> Iterator[Entry]:
        """The next `count` entries; what epochs begin meanwhile is added to `epochs`."""
        for index in range(self.size, self.size + count):
            if index % EPOCH == 0 or not self._epochs:
                epochs.append(self._epoch(index))
            yield self._entry(index)
        self.frontier = Frontier(self.size + count, tuple(self._edge))

    def _entry(self, index: int) -> Entry:
        mine = index % HERS == 0
        said = self._said[self.hers % len(self._said)] if mine else _another()
        self.hers += mine
        names = ("Peacock", "IDVAS", "oversight") if mine else ("IDVAS", "Harbour", "oversight")
        keys = tuple(self._epochs[self.world.parties[name].id] for name in names)
        rk = secrets.token_bytes(32)
        plain = event_facts(said.event, self.world.now, **said.facts)
        sealed = seal_epoch_record(tag_text(said.tag), plain, keys, rk, (b64(secrets.token_bytes(16)),))
        ar = record_hash(said.record) if said.record else secrets.token_bytes(32)
        leaf = Leaf(said.tag, record_hash(sealed), ar).to_bytes()
        digest = leaf_hash(leaf)
        node, at = digest, index
        while at & 1:
            node, at = node_hash(self._edge.pop(), node), at >> 1
        self._edge.append(node)
        return Entry(
            index, leaf, digest, sealed, veil_record(said.record, said.tag, rk) if said.record else b""
        )

    def _epoch(self, first: int) -> EpochItem:
        """New keys for everybody; the wrap for the officer."""
        for party in self.world.parties.values():
            self._epochs[party.id] = secrets.token_bytes(32)
        party = self.world.parties["Peacock"]
        id_, kid = secrets.token_bytes(32), party.officer.ig.kid
        wrap = wrap_key(party.officer.ig.public, epoch_info(id_, kid), self._epochs[party.id])
        return EpochItem(id=b64(id_), first=first, kid=kid, wrap=b64(wrap))

    def note(self) -> str:
        origin, keys = self.world.founded.partnership.charter.origin, self.world.founded.relay
        head = Checkpoint(origin, self.size, self.frontier.root())
        return publish(sign_checkpoint(head, keys.log), head, keys.log_mldsa)


def _another() -> Said:
    facts: dict[str, Json] = {"a": "ag1" + "a" * 32, "count": 1, "first": 0, "kid": "k" * 43}
    return Said(secrets.token_bytes(32), Event.READ, facts)


def extend(mirror: Mirror, log: LongLog, count: int) -> None:
    """Add `count` entries to a mirror as pulling does: a checkpoint, believed, behind them."""
    left = count
    while left:
        epochs: list[EpochItem] = []
        many = min(left, TOGETHER)
        mirror.add_entries(log.entries(many, epochs))
        mirror.add_epochs(epochs)
        left -= many
    mirror.believe(mirror.keep_note("log", log.note(), log.world.now))
    mirror.prove(log.frontier)


def mirrored(folder: Path, world: World, *sizes: int) -> LongLog:
    """A new mirror in `folder` that was pulled at each of these sizes, and the log that it is of."""
    log = LongLog(world)
    folder.mkdir(parents=True, exist_ok=True)
    with open_mirror(folder, write=True) as mirror:
        charter = world.founded.partnership.charter
        mirror.claim(charter.origin, charter.oversight)
        mirror.add_statements(0, world.statements)
        view, key = world.directory, world.founded.relay.keys_log
        head = Checkpoint(f"{charter.origin}/keys", view.size, view.frontier.root())
        mirror.believe(mirror.keep_note("keys", sign_checkpoint(head, key), world.now))
        for size in sizes:
            extend(mirror, log, size - log.size)
    return log
