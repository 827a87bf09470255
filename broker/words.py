"""Statements at their turn: directory statements, grants, staples, withdrawals (PROTOCOL.md W5, K8-K15)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from broker.agreements import record_grant, record_status, record_withdrawal
from broker.allowance import Allowance
from broker.nondisclosures import Decided, record_nondisclosure
from broker.overrides import Asked, record_override
from broker.policies import check_dates, put_on_shelf, shelved
from broker.recalls import record_recalled
from broker.retention import Keeping, check_list, put_on_list, record_keeping
from broker.turn import Quiet, Turn
from broker.unsealings import Taken, Unsealing, record_handover, record_unsealed
from schemas.audit import Event
from schemas.directory import Directory
from schemas.directory_statement import Admit, Alias, Countersign, Leave, Statement, parse_statement
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.retention import RetentionBody
from schemas.signing import Signed
from schemas.staffing import check_admitted

Kind = Literal[
    "directory", "grant", "status", "withdraw", "recalled", "policy", "override", "nondisclosure",
    "unsealed", "handover", "retention", "hold", "lift",
]  # fmt: skip
OFFICERS: frozenset[str] = frozenset({"unsealed", "handover", "hold", "lift"})
"""What IG officers hand in, with their own request keys, and nobody else."""
CARRIED = frozenset({"add-key", "emergency-revoke", "revoke", "rotate-root"})
"""Directory statements that officers may bring as well as agents."""
ENDING = frozenset({"emergency-revoke", "revoke", "rotate-root"})
"""What ends keys: every agent that waits at its mailbox is told at once."""


@dataclass(frozen=True, slots=True)
class Word:
    """One statement as it was handed in. `gid` is what it claims to be about, for reading the right rows."""

    kind: Kind
    signed: Signed
    gid: str | None = None
    of: tuple[str, int] | None = None
    text: bytes | None = None
    asked: Asked | None = None
    decided: Decided | None = None
    unsealed: Unsealing | None = None
    taken: Taken | None = None
    keeping: Keeping | None = None
    op: str | None = None

    @property
    def officers(self) -> bool:
        """Whether IG officers may hand this in: of directory statements those that end a key or put another in its
        place, because the agent may be a thief's then, or have lost its keys (A7, K22). They count by their own
        signatures, whoever brings them."""
        return self.op in CARRIED or self.kind in OFFICERS

    @classmethod
    def read(cls, kind: Kind, signed: Signed, text: bytes | None = None, record: str | None = None) -> Word:
        """`text` is a policy's or a retention list, `record` an override's or a nondisclosure's.

        Raises:
            Refusal: FORM, NOT_CANONICAL, RECORD, TOO_BIG.
        """
        if kind == "nondisclosure":
            return cls(kind, signed, decided=Decided.read(signed, record))
        if kind == "unsealed":
            return cls(kind, signed, unsealed=Unsealing.read(signed, record))
        if kind == "handover":
            return cls(kind, signed, taken=Taken.read(signed))
        if kind == "override":
            return cls(kind, signed, asked=Asked.read(signed, record))
        if text is not None and kind not in ("policy", "retention"):
            raise Refusal("FORM")
        if kind in OFFICERS:
            return cls(kind, signed, keeping=Keeping.read(kind, signed))
        if kind in ("directory", "policy", "retention"):
            statement, _ = parse_statement(signed)
            return cls(kind, signed, of=(statement.agency, statement.seq), text=text, op=statement.op)
        value = signed.peek()
        gid = value.get("gid") if isinstance(value, dict) else None
        if not isinstance(gid, str):
            raise Refusal("FORM")
        return cls(kind, signed, gid=gid)


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one statement."""

    status: str
    stopped: int = 0
    refusal: Refusal | None = None

    def to_json(self) -> dict[str, Any]:
        code, say = (None, None) if self.refusal is None else (self.refusal.code, self.refusal.say)
        return {"status": self.status, "stopped": self.stopped, "code": code, "say": say}


@dataclass
class Words(Quiet):
    """The statements of one request, in order."""

    nonce: bytes | None
    agency: str
    items: Sequence[Word | Refusal]
    size: int
    allowance: Allowance
    logs = True
    order = 1

    def _words(self) -> Iterable[Word]:
        return (item for item in self.items if isinstance(item, Word))

    def gids(self) -> Iterable[str]:
        return (word.gid for word in self._words() if word.gid is not None)

    def withdrawn_gids(self) -> Iterable[str]:
        taking = (word for word in self._words() if word.kind in ("withdraw", "grant"))
        return (word.gid for word in taking if word.gid is not None)

    def statements(self) -> Iterable[tuple[str, int]]:
        return (word.of for word in self._words() if word.of is not None)

    def decide(self, turn: Turn) -> list[Heard]:
        return [
            Heard("refused", refusal=item)
            if isinstance(item, Refusal)
            else hear(item, self.agency, turn, self.allowance)
            for item in self.items
        ]


def hear(word: Word, requester: str, turn: Turn, allowance: Allowance) -> Heard:
    """Record one statement, or say why not."""
    try:
        if word.keeping is not None:
            return Heard(record_keeping(word.keeping, requester, turn))
        if word.kind in ("directory", "policy", "retention"):
            return Heard(record_statement(word.signed, requester, turn, allowance, word.text))
        if word.kind == "grant":
            return Heard(record_grant(word.signed, requester, turn))
        if word.kind == "status":
            return Heard(record_status(word.signed, requester, turn))
        if word.asked is not None:
            return Heard(record_override(word.asked, requester, turn))
        if word.decided is not None:
            return Heard(record_nondisclosure(word.decided, requester, turn))
        if word.unsealed is not None:
            return Heard(record_unsealed(word.unsealed, requester, turn))
        if word.taken is not None:
            return Heard(record_handover(word.taken, requester, turn))
        if word.kind == "recalled":
            return Heard(record_recalled(word.signed, requester, turn))
        return Heard(*record_withdrawal(word.signed, requester, turn))
    except Refusal as refusal:
        return Heard("refused", refusal=refusal)


def record_statement(
    signed: Signed, requester: str, turn: Turn, allowance: Allowance, text: bytes | None = None
) -> str:
    """Take a directory statement of the requester's own chain; oversight may hand in any agency's.

    Raises:
        Refusal: NOT_ALLOWED, LIMITED, and as Directory.apply; for a policy, with its text, also POLICY_TEXT and CLOCK;
            for a retention statement as check_list; for an admission as check_admitted.
    """
    statement, body = parse_statement(signed)
    if requester not in (statement.agency, turn.view.oversight):
        raise Refusal("NOT_ALLOWED")
    listed = isinstance(body, RetentionBody)
    place, shelf = (statement.agency, statement.seq), shelved(body, None if listed else text, turn.shelf)
    if place in turn.said:
        if turn.said[place].text == signed.text:
            put_on_shelf(body, text, turn, shelf)
            return "repeat"
        raise Refusal("DIRECTORY")
    check_dates(statement, body, turn.view, turn.now)
    check_list(body, text, turn)
    if isinstance(body, Admit):
        check_admitted(turn.view, body.member, turn.policy, turn.now)
    counted = allowance.check(turn.view, statement)
    view = turn.own_view()
    n = view.size
    view.apply(signed)
    allowance.count(counted)
    put_on_shelf(body, text, turn, shelf)
    put_on_list(body, text, turn)
    turn.said[place] = signed
    turn.rows.statements.append(
        {"n": n, "agency": place[0], "seq": place[1], "text": signed.text, "sig": signed.signature}
    )
    if statement.op in ENDING:
        turn.rings.update(view.agencies)  # nobody goes on sealing to it until the next look
    facts = {"statement": signed.to_json()}
    turn.log(Event.DIRECTORY, turn.draw(32), concerned(statement, body, view), facts)
    return "recorded"


def concerned(statement: Statement, body: Frozen, view: Directory) -> set[str]:
    """Whose officers find a directory statement among their entries: who made it, and whom it changes."""
    if isinstance(body, Admit):
        return {statement.agency, body.member}
    if isinstance(body, Leave):
        return {statement.agency, body.member, body.successor or body.member}
    if isinstance(body, Alias):
        return {statement.agency, body.was, body.now}
    if isinstance(body, Countersign):
        return {statement.agency, *(a.id for a in view.agencies.values() if body.kid in a.keys)}
    return {statement.agency}
