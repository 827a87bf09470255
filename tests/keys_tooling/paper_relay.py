"""A relay on paper: the directory and the log of a simulated world in memory, answering as agent.client.Relay does.

It keeps the protocol, and a test can make it lie: change `leaves`, `blobs`, `note` or `statements` and see who notices.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Self

from agent.client import RelayRefusal
from schemas import api
from schemas.audit import Event, Leaf, event_facts, tag_text
from schemas.canonical import b64
from schemas.checkpoint import Checkpoint, note_hash, open_checkpoint, sign_checkpoint
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.keys import Use
from schemas.kinds import KINDS
from schemas.merkle import Frontier, consistency_proof, leaf_hash, node_hash
from schemas.policy import founding
from schemas.record import epoch_info
from schemas.record_sealing import record_hash, seal_epoch_record, veil_record
from schemas.sealing import Sealed, wrap_key
from schemas.signing import Purpose, Signed
from schemas.witness import cosign, publish
from tests.simulated_world import World

BUNDLE = 256


@dataclass
class PaperRelay:
    """`reader` is the party whose officer asks for epochs."""

    world: World
    reader: str = "Peacock"
    statements: list[Signed] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    blobs: list[tuple[bytes, bytes]] = field(default_factory=list)
    wrapped: list[tuple[str, api.EpochItem]] = field(default_factory=list)
    keys: dict[str, bytes] = field(default_factory=dict)
    policies: dict[str, bytes] = field(default_factory=dict)
    shown: int | None = None
    cut: int | None = None
    """After so many requests the line goes dead."""
    asked: int = 0
    cosigners: tuple[str, ...] = ("Peacock", "IDVAS")
    """Members whose agents cosign what is published."""
    busy: bool = False
    """Whether every other request to the log is too much at once."""

    def __post_init__(self) -> None:
        self.statements = list(self.world.statements)
        self.epoch()

    @classmethod
    def with_policy(cls, world: World) -> Self:
        """One that has the text of the founding policy."""
        paper, entry = cls(world), world.directory.policies.entries[0]
        paper.policies[entry.digest] = founding(entry.effective).text
        assert founding(entry.effective).digest == entry.digest
        return paper

    # --- what happens at the relay

    def epoch(self) -> None:
        """A new minute: every agency gets an epoch key."""
        for party in self.world.parties.values():
            id_, self.keys[party.id] = secrets.token_bytes(32), secrets.token_bytes(32)
            for officer in (party.officer,):
                wrap = wrap_key(officer.ig.public, epoch_info(id_, officer.ig.kid), self.keys[party.id])
                item = api.EpochItem(id=b64(id_), first=len(self.leaves), kid=officer.ig.kid, wrap=b64(wrap))
                self.wrapped.append((party.id, item))

    def log(self, event: Event, tag: bytes, *parties: str, record: bytes = b"", **facts: Any) -> int:
        """A leaf whose record the officers of `parties` can open."""
        keys = tuple(self.keys[self.world.parties[name].id] for name in (*parties, "oversight"))
        rk = secrets.token_bytes(32)
        blanks = tuple(b64(secrets.token_bytes(16)) for _ in range(-len(keys) % 4))
        plain = event_facts(event, self.world.now, **facts)
        sealed = seal_epoch_record(tag_text(tag), plain, keys, rk, blanks)
        ar = record_hash(record) if record else secrets.token_bytes(32)
        self.leaves.append(Leaf(tag, record_hash(sealed), ar).to_bytes())
        self.blobs.append((sealed, veil_record(record, tag, rk) if record else b""))
        return len(self.leaves) - 1

    def accept(self, sealed: Sealed, *parties: str, **changes: Any) -> int:
        envelope = sealed.upload.envelope
        facts = {
            "header": envelope.header_bytes.decode(), "sig": b64(envelope.sig), "wm": b64(envelope.wm_hash),
            "body": b64(envelope.body_hash), "decision": {"outcome": "deliver", "code": "", "rows": [2]}, **changes,
        }  # fmt: skip
        return self.log(Event.ACCEPT, envelope.eid, *parties, record=sealed.upload.record, **facts)

    def fill(self, count: int, *parties: str) -> None:
        """Events without a message."""
        reader = self.world.parties["IDVAS"]
        for _ in range(count):
            facts = {"a": reader.id, "count": 1, "first": 0, "kid": reader.officer.auth.kid}
            self.log(Event.READ, secrets.token_bytes(32), *(parties or ("IDVAS",)), **facts)

    @property
    def size(self) -> int:
        return len(self.leaves) if self.shown is None else self.shown

    def note(self) -> str:
        frontier = Frontier()
        for leaf in self.leaves[: self.size]:
            frontier = frontier.append(leaf_hash(leaf))
        origin, keys = self.world.founded.partnership.charter.origin, self.world.founded.relay
        head = Checkpoint(origin, frontier.size, frontier.root())
        return publish(sign_checkpoint(head, keys.log), head, keys.log_mldsa)

    def cosigned(self) -> str:
        """The newest head with the lines of those members who cosign."""
        note = self.note()
        head = open_checkpoint(note, self.world.founded.partnership.log_key)
        return self._lines(note, head)

    # --- what agent.client.Relay answers

    def _ask(self, *, of_log: bool = True) -> None:
        self.asked += 1
        if self.cut is not None and self.asked > self.cut:
            raise Refusal("RELAY_AWAY")
        if self.busy and of_log and self.asked % 2:
            kind = KINDS["LIMITED"]
            raise RelayRefusal(
                api.Problem(
                    type="about:blank",
                    title="",
                    status=429,
                    code="LIMITED",
                    say=kind.say,
                    party="relay",
                    retry=True,
                ),
                7.0,
            )

    async def directory(self, after: int) -> api.DirectoryPage:
        self._ask(of_log=False)
        key = self.world.founded.relay.keys_log
        view = Directory(self.world.founded.oversight.id)
        for signed in self.statements:
            view.apply(signed)
        origin = f"{self.world.founded.partnership.charter.origin}/keys"
        note = sign_checkpoint(Checkpoint(origin, view.size, view.frontier.root()), key)
        fresh = Signed.make(key, Purpose.FRESH, {"note": note_hash(note), "ts": self.world.now, "v": 1})
        page = self.statements[after : after + 10]
        return api.DirectoryPage(
            size=view.size,
            statements=tuple(api.SignedJson(**s.to_json()) for s in page),
            checkpoint=note,
            fresh=api.SignedJson(**fresh.to_json()),
        )

    async def post_statements(self, request: api.StatementsRequest) -> api.StatementResults:
        self._ask(of_log=False)
        results = []
        for item in request.statements:
            signed = Signed.from_json(item.signed.model_dump())
            if signed in self.statements:
                results.append(api.StatementResult(status="repeat"))
                continue
            try:
                self.world.directory.apply(signed)
            except Refusal as refusal:
                results.append(api.StatementResult(status="refused", code=refusal.code, say=refusal.say))
                continue
            self.statements.append(signed)
            results.append(api.StatementResult(status="recorded"))
        return api.StatementResults(results=tuple(results))

    async def checkpoint(self) -> str:
        self._ask()
        return self.note()

    def directory_cosigned(self) -> str:
        """The directory's newest head with the same members' lines."""
        view, keys = Directory(self.world.founded.oversight.id), self.world.founded.relay
        for signed in self.statements:
            view.apply(signed)
        origin = f"{self.world.founded.partnership.charter.origin}/keys"
        head = Checkpoint(origin, view.size, view.frontier.root())
        return self._lines(publish(sign_checkpoint(head, keys.keys_log), head, keys.log_mldsa), head)

    def _lines(self, note: str, head: Checkpoint) -> str:
        parties = [self.world.parties[name] for name in self.cosigners if name in self.world.parties]
        return note + "".join(cosign(head, p.id, p.member.agent.witness, self.world.now) for p in parties)

    async def head(self, log: str = api.LOG) -> api.WitnessPage:
        self._ask()
        asked = self.cosigned() if log == api.LOG else self.directory_cosigned()
        return api.WitnessPage(asked=asked, held=None)

    async def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        self._ask()
        hashes = [leaf_hash(leaf) for leaf in self.leaves]

        def read(level: int, at: int) -> bytes:
            if level == 0:
                return hashes[at]
            return node_hash(read(level - 1, 2 * at), read(level - 1, 2 * at + 1))

        return tuple(consistency_proof(old, new, read))

    async def tile(self, path: str) -> bytes:
        self._ask()
        name, _, width = path.partition(".p/")
        number = int("".join(part.removeprefix("x") for part in name.split("/")[1:]))
        there = self.leaves[number * BUNDLE : (number + 1) * BUNDLE]
        wanted = int(width or BUNDLE)
        if wanted > len(there):
            raise Refusal("NOT_FOUND")
        return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in there[:wanted])

    async def policy(self, digest: str) -> bytes:
        self._ask()
        if digest not in self.policies:
            raise Refusal("NOT_FOUND")
        return self.policies[digest]

    async def records(self, start: int, limit: int) -> tuple[tuple[bytes, bytes], ...]:
        self._ask()
        return tuple(self.blobs[start : start + min(limit, 100)])

    async def epochs(self, after: int) -> api.EpochsPage:
        self._ask()
        mine = self.world.parties[self.reader].id
        found = [item for agency, item in self.wrapped if agency == mine and item.first > after]
        return api.EpochsPage(epochs=tuple(found[:3]))


def officer_kid(world: World, party: str) -> str:
    agency = world.directory.agencies[world.parties[party].id]
    return next(key.kid for key in agency.keys.values() if key.use == Use.IG)
