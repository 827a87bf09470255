"""One turn of the sequencer: the state that its work is decided on, and all that it will write.

Rules of this house:
- everything decided in a turn is decided on rows read inside its transaction, and on what the turn itself has done;
- a piece of work first decides, then changes; what it changes cannot fail, so one bad piece never spoils the others;
- an event and its leaf are made together: `log` is the only way to leave a trace, and nothing happens without it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection

from broker.drafts import Draft, Made
from broker.epochs import Epochs
from broker.ledger import Growth
from schemas.audit import Event, event_facts, event_tag
from schemas.canonical import Json, b64
from schemas.directory import Directory
from schemas.envelope import Header, parse_header
from schemas.errors import Refusal
from schemas.grants import Grant, Status, parse_grant, parse_status
from schemas.policy import Policy
from schemas.receipt import ENDED, State
from schemas.record_sealing import check_size
from schemas.sealing import Draw
from schemas.shelf import Shelf
from schemas.signing import Signed

Look = Callable[[list[bytes]], dict[bytes, int | None]]
HOUR = 3600
"""Dates of hashes are rounded up to it: to the second they would tell who holds the store when each request came."""
KEPT = 2 * 24 * HOUR
"""Seen ids are kept this long past a message's expiry."""


@dataclass(slots=True)
class Desk:
    """One delivery of a held envelope."""

    id: int
    agency: str
    desk: str
    state: State
    changed: bool = False


@dataclass(slots=True)
class Held:
    """An envelope that not every desk has ended, and its deliveries. `front` is read only where it is needed."""

    eid: bytes
    body: bytes
    sender: str
    desk: str
    mid: str
    gid: str | None
    exp: int
    desks: list[Desk]
    front: bytes = b""

    def header(self) -> Header:
        size = int.from_bytes(self.front[4:8], "big")
        return parse_header(self.front[8 : 8 + size])

    def at(self, agency: str, desk: str) -> Desk | None:
        return next((d for d in self.desks if d.agency == agency and d.desk == desk), None)

    @property
    def ended(self) -> bool:
        return all(d.state in ENDED for d in self.desks)


@dataclass(slots=True)
class Agreement:
    """The relay's own copy of a grant: its staples by hash, and its withdrawal."""

    grant: Grant
    signed: Signed
    statuses: dict[str, tuple[Status, Signed]]
    withdrawal: Signed | None


@dataclass(slots=True)
class Entry:
    """A leaf of this turn, drafted when it is decided; it is there once the turn has decided everything."""

    index: int
    draft: Draft
    record: bytes = b""
    veiled: bytes = b""
    leaf: bytes = b""

    @property
    def rk(self) -> bytes:
        """For the submitter, and then forgotten."""
        return self.draft.rk

    def keep(self, made: Made) -> None:
        self.record, self.veiled, self.leaf = made


class Work(Protocol):
    """Something to be decided and done inside a turn.

    `nonce` is the request's, spent in the same transaction; `logs` says whether it may leave a trace. `marks`, `eids`
    and `gids` name the rows that must be read for it. Work of a lower `order` goes first: what somebody withdraws is
    withdrawn before anything rests on it.
    """

    @property
    def nonce(self) -> bytes | None: ...

    @property
    def logs(self) -> bool: ...

    @property
    def size(self) -> int: ...

    @property
    def order(self) -> int: ...

    def marks(self) -> Iterable[bytes]: ...

    def eids(self) -> Iterable[bytes]: ...

    def gids(self) -> Iterable[str]: ...

    def withdrawn_gids(self) -> Iterable[str]: ...

    def statements(self) -> Iterable[tuple[str, int]]: ...

    def decide(self, turn: Turn, /) -> Any: ...


class Quiet:
    """The usual answers of work that needs few rows."""

    logs = False
    order = 5

    def marks(self) -> Iterable[bytes]:
        return ()

    def eids(self) -> Iterable[bytes]:
        return ()

    def gids(self) -> Iterable[str]:
        return ()

    def withdrawn_gids(self) -> Iterable[str]:
        return ()

    def statements(self) -> Iterable[tuple[str, int]]:
        return ()


@dataclass(slots=True)
class Rows:
    """What a turn will write, by table."""

    seen: list[dict[str, Any]] = field(default_factory=list)
    envelopes: list[dict[str, Any]] = field(default_factory=list)
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)
    heard: list[tuple[str, int]] = field(default_factory=list)
    grants: list[dict[str, Any]] = field(default_factory=list)
    limited: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    withdrawals: list[dict[str, Any]] = field(default_factory=list)
    recalls: list[dict[str, Any]] = field(default_factory=list)
    freed: list[dict[str, Any]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    statements: list[dict[str, Any]] = field(default_factory=list)
    policies: list[dict[str, Any]] = field(default_factory=list)
    heads: list[dict[str, Any]] = field(default_factory=list)
    prune: int | None = None

    @property
    def count(self) -> int:
        """How many rows there are."""
        lists: tuple[list[Any], ...] = (
            self.seen, self.envelopes, self.deliveries, self.notices, self.heard, self.grants, self.statuses,
            self.withdrawals, self.recalls, self.answers, self.told, self.statements, self.policies, self.heads,
            self.limited, self.freed,
        )  # fmt: skip
        return sum(map(len, lists))


class Turn:
    """The state of one transaction."""

    def __init__(
        self, now: int, size: int, view: Directory, epochs: Epochs, draw: Draw, shelf: Shelf
    ) -> None:
        self.now = now
        self.shelf = shelf
        self.view = view
        self._shared = view
        self.connection: Connection | None = None
        self.seen: dict[bytes, int | None] = {}
        self.look: Look = lambda _: {}
        self.owed: Callable[[str, str], Any] = lambda _gid, _agency: None
        self.held: dict[bytes, Held] = {}
        self.agreements: dict[str, Agreement] = {}
        self.said: dict[tuple[str, int], Signed] = {}
        self.rows = Rows()
        self.entries: list[Entry] = []
        self.spent: list[bytes] = []
        self.rings: set[str] = set()
        self.after: list[Callable[[Growth], None]] = []
        self.last: list[Callable[[Connection], None]] = []
        self._size = size
        self._epochs = epochs
        self.draw = draw

    @property
    def policy(self) -> Policy | None:
        """The policy in force, this turn's own included; None decides as PROTOCOL.md Q8 says."""
        return self.shelf.in_force(self.view.policies, self.now)

    @property
    def db(self) -> Connection:
        """The transaction itself, for what few pieces of work read and write: seldom, and never for every message."""
        if self.connection is None:
            raise Refusal("UNAVAILABLE")
        return self.connection

    # --- what work may do

    def own_view(self) -> Directory:
        """The directory as this turn changes it; others see it only after the commit."""
        if self.view is self._shared:
            self.view = copy.deepcopy(self._shared)
        return self.view

    def mark(self) -> tuple[int, ...]:
        """Differs once anything was noted."""
        return len(self.entries), len(self.after), self.rows.count

    def log(
        self,
        event: Event,
        tag: bytes,
        agencies: set[str],
        facts: Mapping[str, Json],
        sender_record: tuple[bytes, bytes] | None = None,
    ) -> Entry:
        """Leave a trace: a leaf with this tag, whose record the officers of `agencies` and oversight can open.

        `sender_record` is an envelope's sealed record, and the 32 bytes that stand for it in the leaf. Raises Refusal
        TOO_BIG.
        """
        keys, blanks = self._epochs.sealing({*agencies, self.view.oversight})
        if not keys:  # a record that nobody can open is no record
            raise Refusal("UNAVAILABLE")
        rk = self.draw(32)
        policy = self.policy
        plain = event_facts(event, self.now, policy=None if policy is None else policy.version, **facts)
        check_size(plain)
        sealed, ar = sender_record or (b"", self.draw(32))
        draft = Draft(tag, ar, rk, keys, blanks, plain, sealed)
        entry = Entry(self._size + len(self.entries), draft)
        self.entries.append(entry)
        return entry

    def log_step(self, held: Held, desk: Desk, event: Event, facts: Mapping[str, Json]) -> int:
        """Trace a step of a delivery; the same step twice has the same tag, so it is remembered too."""
        tag = event_tag(held.eid, event, desk.agency, desk.desk)
        who: dict[str, Json] = {"a": desk.agency, "d": desk.desk, "eid": b64(held.eid), "mid": held.mid}
        index = self.log(event, tag, {held.sender, desk.agency}, {**who, **facts}).index
        self.remember(tag, held.exp, index)
        return index

    def move(self, desk: Desk, state: State) -> None:
        desk.state, desk.changed = state, True

    def remember(self, key: bytes, exp: int, index: int | None) -> None:
        """Keep a hash until two days past `exp`, at least."""
        self.keep(key, exp + KEPT, index)

    def knows(self, keys: Iterable[bytes]) -> bool:
        """Whether any of these is remembered: asked of the store, for what few pieces of work need to know."""
        wanted = tuple(keys)
        self.seen = self.look([key for key in wanted if key not in self.seen]) | self.seen
        return any(key in self.seen for key in wanted)

    def keep(self, key: bytes, until: int, index: int | None) -> None:
        """Keep a hash until `until`, at least."""
        self.seen[key] = index
        self.rows.seen.append({"key": key, "idx": index, "until": -(-until // HOUR) * HOUR})

    def tell(
        self, agency: str, kind: str, held: Held, address: tuple[str, str], evidence: Signed | None
    ) -> None:
        """Leave a notice for an agency about the delivery of `held` at `address`."""
        about = {"eid": b64(held.eid), "mid": held.mid, "gid": held.gid, "a": address[0], "d": address[1]}
        self.notify(agency, kind, about, evidence)

    def notify(
        self, agency: str, kind: str, about: Mapping[str, str | None], evidence: Signed | None
    ) -> None:
        """Leave a notice for an agency; `about` says what it concerns, as api.Notice does."""
        said: dict[str, Any] = {
            "id": int.from_bytes(self.draw(7), "big") % (2**52) + 1,
            "kind": kind,
            "ts": self.now,
            **about,
            "evidence": None if evidence is None else evidence.to_json(),
        }
        text = orjson.dumps(said).decode()
        self.rows.notices.append({"id": said["id"], "agency": agency, "said": text, "ts": self.now})
        self.rings.add(agency)

    # --- what is written of held envelopes

    def changed(self) -> list[dict[str, Any]]:
        """Deliveries whose state moved while their envelope stays."""
        stay = (held for held in self.held.values() if not held.ended)
        return [
            {"key": d.id, "state": d.state, "over": d.state in ENDED}
            for held in stay
            for d in held.desks
            if d.changed
        ]

    def taken_back(self) -> set[bytes]:
        """Envelopes that this turn took from a desk's mailbox: their agreement was withdrawn, or narrowed."""
        return {
            held.eid
            for held in self.held.values()
            if any(d.changed and d.state == "withdrawn" for d in held.desks)
        }

    def gone(self) -> list[bytes]:
        """Envelopes that every desk has ended."""
        return [held.eid for held in self.held.values() if held.ended and any(d.changed for d in held.desks)]


@lru_cache(maxsize=256)
def grant_of(signed: Signed) -> Grant:
    """Parsed once: the text is the key, so this remembers no decision."""
    return parse_grant(signed)


@lru_cache(maxsize=256)
def status_of(signed: Signed) -> Status:
    return parse_status(signed)
