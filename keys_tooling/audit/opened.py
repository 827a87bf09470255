"""Opened entries as rows of one shape: what queries and reports count (PROTOCOL.md L11). Pure.

A row has what the field asks of a log entry, each under one name whatever the event is. What an event does not have is
empty, never guessed. Free text stands in `words` and `what` alone; whoever shows either sends it through
keys_tooling.audit.inert first.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import orjson

from keys_tooling.audit.told import Place, Told
from schemas.audit import Event
from schemas.envelope import Header

MESSAGES = frozenset({Event.ACCEPT, Event.HELD, Event.REFUSE})
"""Events of which the record holds the message's own header."""
STEPS = frozenset(
    {Event.COLLECTED, Event.OPENED, Event.TAKEN_ON, Event.REJECTED, Event.WITHDRAWN, Event.EXPIRED}
)
"""Steps of a delivery at one desk: `sender` is that desk, `to` the message's sender."""


NOBODY = Place("")


@dataclass(frozen=True)
class Row:
    """One opened entry. Times are Unix seconds, UTC; ids and key ids base64url; codes as PROTOCOL.md has them.

    seq, ts, event: the entry's position in the log, when the relay wrote it, a value of schemas.audit.Event.
    rule, policy: versions of the consent rule and of the policy in force; policy None when there was none.
    faults: names in keys_tooling.audit.told.FAULTS; a row with one is shown and counted apart.

    eid, mid, thr, gid: envelope, message, thread, handle of the agreement.
    sender, to: desks. Of a step, `sender` is the desk that took it. Of a decision not to share, `to` is where it would
    have gone. An officer's act has the agency only.
    written, exp: when the sender wrote it, and when it ends by itself.

    cls .. retain: the message's header and law block (H2, H4, H8); `hc` is the basis for the harm-causer's data, `src`
    the messages that it passes on.
    ovr: the hash of the override that the header names, or that this row is. keys: the receiving keys, as `to`.
    signer: the key that signed: of a message and a step the agency's agent, of an officer's act the officer.

    outcome, code, rows: the gate's decision, its code, the rows of the rule that decided.
    ref: the case reference, keyed by its agency; of an override its id. author: the author's role or key.
    authoriser: the lead's key. role: who took it on, or a key's holder. reason: why it was rejected, kept, not shared,
    revoked; of an officer's act, why she opened. scope: of an override, msg or thread; of an officer's act, which.

    due: by when a lead must sign, or a decision be looked at. did, passed, outside: what became of withdrawn
    data, the agencies that it had gone on to, whether also beyond the partnership. first, count: of an officer's act,
    the entries; of a missing signature, how often. op, kid: of a directory statement, and its key. starts, ends:
    dates of an agreement, an override, a key, a policy. signed: when a step was signed. words: free text.
    """

    seq: int
    ts: int
    event: str
    rule: str = ""
    policy: int | None = None
    faults: tuple[str, ...] = ()
    eid: str = ""
    mid: str = ""
    thr: str = ""
    gid: str = ""
    sender: Place = NOBODY
    to: tuple[Place, ...] = ()
    written: int | None = None
    exp: int | None = None
    cls: str = ""
    rag: str = ""
    pur: str = ""
    cat: tuple[str, ...] = ()
    pd: str = ""
    consent_only: bool = False
    spec: bool = False
    crim: bool = False
    child: bool = False
    adult_at_risk: bool = False
    agree: str = ""
    agree_by: str = ""
    agree_ver: int | None = None
    b6: str = ""
    b9: str = ""
    s1: tuple[str, ...] = ()
    gw: tuple[str, ...] = ()
    conf: str = ""
    hc: str = ""
    why_no: str = ""
    vir: tuple[str, ...] = ()
    rfi: str = ""
    asks: tuple[str, ...] = ()
    src: tuple[str, ...] = ()
    told: str = ""
    told_by: int | None = None
    onward: str = ""
    ooh: bool = False
    retain: str = ""
    ovr: str = ""
    keys: tuple[str, ...] = ()
    signer: str = ""
    outcome: str = ""
    code: str = ""
    rows: tuple[int, ...] = ()
    ref: str = ""
    author: str = ""
    authoriser: str = ""
    role: str = ""
    reason: str = ""
    scope: str = ""
    due: int | None = None
    did: str = ""
    passed: tuple[str, ...] = ()
    outside: bool = False
    first: int | None = None
    count: int | None = None
    op: str = ""
    kid: str = ""
    starts: int | None = None
    ends: int | None = None
    signed: int | None = None
    what: str = ""
    words: str = ""

    @property
    def agencies(self) -> frozenset[str]:
        """Whom it names, the sender first."""
        return frozenset({self.sender.agency, *(place.agency for place in self.to)} - {""})


_DEFAULTS = {one.name: one.default for one in fields(Row) if one.name not in ("seq", "ts", "event", "sender")}
_TUPLES = frozenset(one.name for one in fields(Row) if str(one.type).startswith("tuple"))
_LISTS = tuple(_TUPLES - {"to"})


def row_of(told: Told) -> Row:
    """The row of an entry as it told itself."""
    said: dict[str, Any] = {
        "seq": told.index, "ts": told.ts, "event": told.event, "rule": told.rule, "policy": told.policy,
        "faults": told.faults, "eid": told.eid, "mid": told.mid, "gid": told.gid, "to": told.to, "cls": told.cls,
        "rag": told.rag, "pur": told.pur, "cat": told.cat, "ref": told.ref, "author": told.author, "what": told.what,
        "sender": told.sender or NOBODY,
    }  # fmt: skip
    if told.header is not None:
        said |= _of_header(told.header)
    if told.decision is not None:
        decision = told.decision
        said |= {"outcome": decision.outcome, "code": decision.code, "rows": tuple(decision.rows)}
    more = {name: tuple(value) if name in _TUPLES else value for name, value in told.more.items()}
    return Row(**said | more)


def linked(row: Row, sender: Place | None) -> Row:
    """A step says whose it is; to whom it reports is the message's sender, where that is known."""
    if sender is None or row.to or row.event in MESSAGES:
        return row
    return _made(vars(row) | {"to": (sender,)})


def row_text(row: Row) -> str:
    """A row as it is kept in an index."""
    usual = _DEFAULTS.get
    # Most fields hold the very object that is their default: that is seen without comparing.
    said = {
        name: value
        for name, value in vars(row).items()
        if value is not (default := usual(name)) and value != default
    }
    said["sender"] = [row.sender.agency, row.sender.desk]
    said["to"] = [[place.agency, place.desk] for place in row.to]
    return orjson.dumps(said).decode()


def read_row(text: str) -> Row:
    """A row that `row_text` printed."""
    said: dict[str, Any] = orjson.loads(text)
    for name in _LISTS:
        if name in said:
            said[name] = tuple(said[name])
    said["sender"] = _place(*said["sender"])
    said["to"] = tuple([_place(*place) for place in said["to"]])
    return _made(said)


def _made(said: dict[str, Any]) -> Row:
    # What is not said stands in the class; calling it with seventy arguments would take ten times as long.
    row = object.__new__(Row)
    row.__dict__.update(said)
    return row


@lru_cache(maxsize=4096)
def _place(agency: str, desk: str) -> Place:
    return Place(agency, desk)


def _of_header(header: Header) -> dict[str, Any]:
    law = header.law.model_dump(mode="python")
    hc = header.law.hc
    law |= {"hc": "" if hc is None else " ".join((hc.b6, *hc.s1)), "asks": header.law.asks or ()}
    law |= {"src": tuple(one.mid for one in header.law.src or ())}
    said = {name: "" if value is None and name not in _DATES else value for name, value in law.items()}
    return said | {
        "written": header.ts, "exp": header.exp, "thr": header.thr, "ovr": header.ovr or "", "signer": header.signer,
        "keys": tuple(recipient.k for recipient in header.to),
    }  # fmt: skip


_DATES = frozenset({"agree_ver", "told_by"})
