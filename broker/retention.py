"""Deleting sealed records: what a signed statement names, after its notice, never what is held (PROTOCOL.md Y1-Y9).

Rules of this house:
- the relay cannot tell what a record is about; it obeys statements, and holds their dates against its own clock;
- what is deleted is overwritten, a few hundred entries a turn, so that nobody waits for it; the leaf stays;
- when a list is done, that is logged. What a hold keeps back is looked at again when the hold is lifted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from broker.days import log_size, older_than
from broker.sweeping import Unasked
from broker.tables import deletions, keeps, records
from broker.turn import Turn
from schemas.audit import Event
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.hold import Hold, Lift, hold_key, hold_owner, parse_hold, parse_lift
from schemas.keys import Use
from schemas.policing import LATE
from schemas.ranges import Ranges, spelled, unspelled, without
from schemas.retention import RetentionBody, RetentionList, read_list
from schemas.signing import Purpose, Signed

DAY = 24 * 3600
TOGETHER = 128
"""Entries that one turn looks at: each has some ten thousand bytes to overwrite, and others' work waits meanwhile."""
MOST_HELD = 10_000
"""Holds that may stand at once."""
SELECT_LIST = select(deletions.c.text).where(deletions.c.digest == bindparam("named"))
SELECT_PENDING = (
    select(deletions.c.digest)
    .where(deletions.c.at >= 0, deletions.c.due <= bindparam("now"))
    .order_by(deletions.c.due)
    .limit(1)
)
SELECT_KEPT = select(keeps.c.runs)
SELECT_KEEP = select(keeps).where(keeps.c.key == bindparam("named"))
WIPE = (
    update(records)
    .where(
        records.c.idx >= bindparam("first"),
        records.c.idx <= bindparam("last"),
        func.length(records.c.relay) > 0,
    )
    .values(relay=b"", sender=b"")
)
WAITS, DONE = -2, -1
"""`deletions.at`: what is left of the list is held; nothing is left."""


# --- statements


def check_list(body: Frozen, text: bytes | None, turn: Turn) -> None:
    """Hold a retention statement's list against what the relay knows by itself; other statements pass.

    Raises:
        Refusal: RETENTION (no list, another list, another policy, entries that are not there), POLICY,
            RETENTION_EARLY (by the relay's own clock not all of it is old enough).
    """
    if not isinstance(body, RetentionBody):
        return
    if text is None:
        raise Refusal("RETENTION", "A retention statement is handed in together with its list.")
    listed, policy = read_list(body, text), turn.policy
    if policy is None:
        raise Refusal("POLICY")
    if listed.policy != policy.version or listed.notice < policy.retention.notice_days * DAY:
        raise Refusal("RETENTION", "The list was made under another policy. Make the plan again.")
    if listed.size > log_size(turn.db):
        raise Refusal("RETENTION")
    if listed.ranges[-1][1] >= older_than(turn.now - policy.retention.shortest, turn.db):
        raise Refusal("RETENTION_EARLY")


def put_on_list(body: Frozen, text: bytes | None, turn: Turn) -> None:
    """Keep a list whose statement was taken; its deletion begins when the notice is over."""
    if isinstance(body, RetentionBody) and text is not None:
        due = turn.now + RetentionList.parse(text).notice
        turn.db.execute(insert(deletions), {"digest": body.digest, "text": text, "due": due, "at": 0})


# --- holds


@dataclass(frozen=True, slots=True)
class Keeping:
    """A hold, or the end of one, as an officer handed it in."""

    said: Hold | Lift
    signed: Signed

    @classmethod
    def read(cls, kind: str, signed: Signed) -> Keeping:
        """Raises Refusal FORM, NOT_CANONICAL, TOO_BIG."""
        return cls(parse_hold(signed) if kind == "hold" else parse_lift(signed), signed)


def record_keeping(keeping: Keeping, requester: str, turn: Turn) -> str:
    """Place or lift a hold; "repeat" when it is so already.

    Raises:
        Refusal: NOT_ALLOWED, CLOCK, SIGNATURE, HOLD (no such hold of this agency), ID_CLASH, LIMITED, RETENTION (an
            entry that is not there), and as Directory.key.
    """
    said = keeping.said
    if said.by != requester:
        raise Refusal("NOT_ALLOWED", "A hold is placed and lifted by an officer of the agency that it names.")
    if abs(said.ts - turn.now) > LATE:
        raise Refusal("CLOCK")
    key = turn.view.key(said.signer, Use.IG_AUTH, said.ts, requester)
    purpose = Purpose.HOLD if isinstance(said, Hold) else Purpose.LIFT
    keeping.signed.verified(key.public, purpose)
    found = turn.db.execute(SELECT_KEEP, {"named": hold_key(said.hid)}).first()
    if found is not None and found.owner != hold_owner(said.hid, requester):
        raise Refusal("HOLD")
    if isinstance(said, Hold):
        return _place(said, keeping.signed, found, turn)
    return _lift(said, keeping.signed, found, turn)


def _place(hold: Hold, signed: Signed, found: Any, turn: Turn) -> str:
    if found is not None:
        if found.runs == spelled(hold.ranges):
            return "repeat"
        raise Refusal("ID_CLASH")
    if hold.ranges[-1][1] >= log_size(turn.db):
        raise Refusal("RETENTION", "The log has no such entry yet. Pull, then look again.")
    if turn.db.execute(select(func.count()).select_from(keeps)).scalar_one() >= MOST_HELD:
        raise Refusal("LIMITED")
    row = {"key": hold_key(hold.hid), "owner": hold_owner(hold.hid, hold.by), "runs": spelled(hold.ranges)}
    turn.db.execute(insert(keeps), row)
    turn.log(Event.HOLD, turn.draw(32), {hold.by}, {"statement": signed.to_json()})
    return "recorded"


def _lift(lift: Lift, signed: Signed, found: Any, turn: Turn) -> str:
    if found is None:
        raise Refusal("HOLD")
    turn.db.execute(delete(keeps).where(keeps.c.key == hold_key(lift.hid)))
    # What it kept back may go now.
    turn.db.execute(update(deletions).where(deletions.c.at == WAITS).values(at=0))
    turn.log(Event.LIFT, turn.draw(32), {lift.by}, {"statement": signed.to_json()})
    return "recorded"


# --- deleting


@dataclass
class Deletion(Unasked):
    """The next entries of a list whose notice is over. Says whether there is more of it to do now."""

    digest: str
    logs = True
    order = 6

    def decide(self, turn: Turn) -> bool:
        named = deletions.c.digest == self.digest
        row = turn.db.execute(select(deletions).where(named)).first()
        if row is None or row.at < 0 or row.due > turn.now:
            return False
        listed = RetentionList.parse(row.text)
        kept = [run for (runs,) in turn.db.execute(SELECT_KEPT) for run in unspelled(runs)]
        held, after = row.held if row.at else 0, None
        for first, last in _portion(listed.ranges, row.at):
            wiped = without((first, last), kept)
            for start, end in wiped:
                turn.db.execute(WIPE, {"first": start, "last": end})
            held += last - first + 1 - sum(end - start + 1 for start, end in wiped)
            after = last + 1
        if after is not None and after <= listed.ranges[-1][1]:
            turn.db.execute(update(deletions).where(named).values(at=after, held=held))
            return True
        turn.db.execute(update(deletions).where(named).values(at=WAITS if held else DONE, held=held))
        if not held:
            facts = {"count": listed.count, "digest": self.digest}
            turn.log(Event.DELETED, turn.draw(32), {turn.view.oversight}, facts)
        return False


def _portion(ranges: Ranges, start: int) -> Iterable[tuple[int, int]]:
    """The named runs from `start` on, a turn's worth of entries."""
    room = TOGETHER
    for first, last in ranges:
        if last < start:
            continue
        if not room:
            return
        begin = max(first, start)
        end = min(last, begin + room - 1)
        room -= end - begin + 1
        yield begin, end
