"""What people said, version after version, as this agency holds it (PROTOCOL.md J1-J6).

Rules of this house:
- an agreement changes only by a step of schemas.agreement, written with what was said;
- its id, its words and how it was asked stay in this store; handles are made from it, never of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from agent.tables import agreements, answers, grants
from schemas.agreement import STANDING, Act, Event, Standing, State, expired, step, stricter
from schemas.errors import Refusal

Said = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a person was asked: with whom, for what, which kinds of information.

    `evidence` is the `consent.grant` form without type, v and gid: the answer, and how it was asked.
    """

    to: tuple[str, ...]
    purposes: tuple[str, ...]
    categories: tuple[str, ...]
    evidence: Said = field(repr=False)

    @property
    def limits(self) -> Said:
        limits: Said = self.evidence.get("limits", {})
        return limits

    @property
    def limited(self) -> bool:
        return bool(self.evidence["state"] == "LIMITED")

    @property
    def agree_by(self) -> str:
        return str(self.evidence["agree_by"])

    @property
    def kinds(self) -> tuple[str, ...]:
        """The categories that the person did not rule out."""
        return tuple(sorted(set(self.categories) - set(self.limits.get("not_categories", ()))))

    def covers(self, agencies: frozenset[str], purpose: str) -> bool:
        """Whether it may go to all of these for this."""
        ruled_out = set(self.limits.get("not_recipients", ()))
        allowed = set(self.purposes) - set(self.limits.get("not_purposes", ()))
        return agencies <= set(self.to) - ruled_out and purpose in allowed and bool(self.kinds)

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Scope:
        value = json.loads(text)
        lists = {name: tuple(value[name]) for name in ("to", "purposes", "categories")}
        return cls(**lists, evidence=value["evidence"])


@dataclass(frozen=True, slots=True)
class Kept:
    """An agreement as kept. `answer` is the version that agreed to `scope`; `stopped` names the agencies that the
    person told to stop, until a safeguarding lead has settled what that means for everybody. `over` is its end, when
    our clock says that it has passed and that is not written down."""

    id: str
    standing: Standing = field(default_factory=Standing)
    answer: int = 0
    scope: Scope | None = None
    stopped: tuple[str, ...] = ()
    over: Event | None = None

    def state_towards(self, agencies: frozenset[str]) -> State:
        """How it stands towards these: the stricter of what was heard here and there (J4)."""
        heard: list[State] = ["WITHDRAWN" for agency in self.stopped if agency in agencies]
        return stricter([self.standing.state, *heard])


def find(c: Connection, name: str, now: int) -> Kept:
    """The agreement with this id, or whose handle this is, as it stands now. Raises Refusal NOT_FOUND."""
    return standing_now(kept_of(_row(c, name)), now)


def _row(c: Connection, name: str) -> Row[Any]:
    row = c.execute(select(agreements).where(agreements.c.id == name)).one_or_none()
    if row is None:
        whose = c.execute(select(grants.c.agreement).where(grants.c.gid == name)).scalar()
        row = c.execute(select(agreements).where(agreements.c.id == whose)).one_or_none()
    if row is None:
        raise Refusal("NOT_FOUND")
    return row


def standing_now(kept: Kept, now: int) -> Kept:
    """The agreement as it stands by our clock. That one is over is not written: a clock can be wrong."""
    end = kept.standing.until
    if end is None or not expired(kept.standing, now):
        return kept
    event = next_event(kept, "expire", end, f"end of {kept.standing.ver}")
    return replace(kept, standing=step(kept.standing, event, now), over=event)


def run_out(c: Connection, before: Kept, now: int) -> Kept:
    """Write down for good that an agreement is over, if it is at a time that is certain (Book.certain)."""
    after = standing_now(before, now)
    return after if after.over is None else advance(c, before, after.over, now, {})


def kept_of(row: Row[Any]) -> Kept:
    standing = Standing(
        row.state, row.ver, row.since, row.until, row.ask_again_after, row.review_on, row.mark
    )
    scope = None if row.scope is None else Scope.from_text(row.scope)
    return Kept(row.id, standing, row.answer, scope, tuple(json.loads(row.stopped)))


def advance(
    c: Connection, kept: Kept, event: Event, now: int, said: Said, scope: Scope | None = None
) -> Kept:
    """Take a step and write it down; `scope` is what was agreed, when something was. Raises as agreement.step does."""
    if kept.over is not None:
        _note(c, kept.id, kept.over, {})
    standing = step(kept.standing, event, now)
    after = replace(kept, standing=standing)
    if scope is not None:
        after = replace(after, scope=scope, answer=standing.ver if event.act != "renew" else kept.answer)
    values = {
        **asdict(standing), "answer": after.answer, "prompted": None,
        "scope": None if after.scope is None else after.scope.to_text(), "stopped": json.dumps(after.stopped),
    }  # fmt: skip
    if kept.standing.ver:
        c.execute(update(agreements).where(agreements.c.id == kept.id).values(**values))
    else:
        c.execute(insert(agreements).values(id=kept.id, **values))
    _note(c, kept.id, event, said)
    return replace(after, over=None)


def _note(c: Connection, name: str, event: Event, said: Said) -> None:
    words = {"id": name, "ver": event.ver, "act": event.act, "ts": event.at, "said": json.dumps(said)}
    c.execute(insert(answers).values(**words))


def set_stopped(c: Connection, kept: Kept, stopped: tuple[str, ...]) -> Kept:
    """Note which agencies the person told to stop."""
    c.execute(update(agreements).where(agreements.c.id == kept.id).values(stopped=json.dumps(stopped)))
    return replace(kept, stopped=stopped)


def note_stop(c: Connection, gid: str, agency: str, now: int) -> None:
    """The person told another agency to stop: nothing goes there until a lead has settled it (J4)."""
    kept = kept_of(_row(c, gid))  # also one that only our clock says is over: it may stand again tomorrow
    if agency not in kept.stopped and kept.standing.state in STANDING:
        note_answer(c, kept, "stopped", now, {"by": agency})
        set_stopped(c, kept, tuple(sorted({*kept.stopped, agency})))
        c.execute(update(agreements).where(agreements.c.id == kept.id).values(prompted=None))


def note_answer(c: Connection, kept: Kept, act: str, at: int, said: Said) -> None:
    """Write down what was decided about an agreement without changing it."""
    values = {"id": kept.id, "ver": kept.standing.ver, "act": act, "ts": at, "said": json.dumps(said)}
    c.execute(insert(answers).values(**values))


def next_event(kept: Kept, act: Act, at: int, mark: str, **guards: Any) -> Event:
    """The event that would become the next version."""
    return Event(act, kept.standing.ver + 1, at, mark, **guards)
