"""What the log itself shows, and what it cannot (questions 25, 26, 28 and 30)."""

from __future__ import annotations

from keys_tooling.audit.inert import Value
from keys_tooling.audit.queries.question import (
    DAY,
    ENDINGS,
    Answer,
    Desk,
    Given,
    partly,
    when,
    whole,
    within,
)
from keys_tooling.audit.retaining import Deleted
from schemas.audit import Event


def deleted(desk: Desk, given: Given) -> Answer:
    rows: list[tuple[Value, ...]] = []
    for row in within(desk.rows(Event.ACCEPT), given):
        ends = [desk.steps.get((row.eid, place), {}) for place in row.to]
        done = [next((steps[event] for event in ENDINGS if event in steps), None) for steps in ends]
        last = max((one.ts for one in done if one is not None), default=None)
        if all(done):
            state = "gone from the relay"
        elif row.exp is not None and desk.now > row.exp + DAY:
            state = "NOT ENDED, although its time is over"
        else:
            state = "not ended yet"
        proof = " ".join(str(one.seq) for one in done if one is not None)
        rows.append(("message", row.mid, when(row.ts), state, when(last) if all(done) else "", proof))
    rows += [
        ("sealed records", row.ref, "", f"{row.count} deleted", when(row.ts), str(row.seq))
        for row in within(desk.rows(Event.DELETED), given)
    ]
    rows += [
        ("retention statement", one.digest, when(one.ts), _went(one), when(one.from_), _signed(one))
        for one in within(desk.scheduled(), given)
    ]
    reason = (
        "A message leaves the relay with the entry that ends it for its last desk, by the program's rule: an entry "
        "proves that it ended, and no entry can prove that nobody kept a copy. Deletions of sealed records are told to "
        "oversight; the lists are in the directory."
    )
    return partly("what id accepted state deleted entries", rows, reason)


def _went(one: Deleted) -> str:
    early = f"; {len(one.early)} NAMED BEFORE THEIR TIME" if one.early else ""
    return f"{one.gone} of {one.count} records gone here, {one.left} still here{early}"


def _signed(one: Deleted) -> str:
    return f"directory statement {one.statement}, signed by {' and '.join(one.signers)}"


def turning_eighteen(desk: Desk, given: Given) -> Answer:
    del given
    ended = {row.gid for row in desk.rows(Event.WITHDRAW)}
    children = {row.gid for row in desk.accepted() if row.child and row.gid}
    rows: list[tuple[Value, ...]] = [
        (row.gid, desk.name(row.sender.agency), desk.places(row.to), when(row.starts), when(row.ends))
        for row in desk.rows(Event.GRANT)
        if row.gid in children and row.gid not in ended and row.ends is not None and row.ends > desk.now
    ]
    reason = (
        "Birthdays travel in no header and stand in no entry, so this cannot say who turns 18, nor when. Listed are "
        "the live agreements under which messages about a child were sent: hold them against your own case system, "
        "which alone has the birthdays. An agreement under which nothing went yet is not among them."
    )
    return partly("agreement issuer others since until", rows, reason)


def gaps(desk: Desk, given: Given) -> Answer:
    del given
    report = desk.verify()
    rows: list[tuple[Value, ...]] = [(one.place, one.kind, one.means) for one in report.ordered()]
    columns = "place kind means"
    if report.unlisted:
        return partly(columns, rows, f"{report.unlisted} more findings are only counted.")
    return whole(columns, rows)


def demographic_gap(desk: Desk, given: Given) -> Answer:
    del desk, given
    reason = (
        "Age bands, ethnicity and the like stand in no header and no entry, on purpose: the log must not be a list of "
        "who people are. This cannot count them, whole or in part: only the agencies' own case systems can, and what "
        "they publish of it must keep to the same rule for small numbers."
    )
    return partly("group count", (), reason)
