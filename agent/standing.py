"""What is on record here about a person's word, against what an author writes of it (PROTOCOL.md C13, J4).

Rules of this house:
- what this agency recorded is what its messages say; an author may say less than that, never more;
- somebody who has heard something new records it first: the record is where the person's word is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from sqlalchemy import Connection, func, select

from agent.consent import Rest
from agent.consent_ledger import find
from agent.consent_words import SENTENCES
from agent.tables import answers, outbox, shares
from schemas.agreement import ACTS, STRICTNESS, State
from schemas.errors import Refusal

NO: frozenset[State] = frozenset({"REFUSED", "WITHDRAWN", "CANNOT_GIVE"})
ALIKE: Mapping[str, State] = {"WITHDRAWN": "REFUSED", "EXPIRED": "NOT_SOUGHT"}
"""A no is a no, and what ran out counts as not asked: between these an author's word may differ."""


def on_record(rest: Rest) -> State | None:
    """How the agreement stands that a message names; None when it names none."""
    if rest.state is not None or rest.held is None:
        return rest.state
    if rest.held.withdrawal is not None:
        return "WITHDRAWN"
    return "LIMITED" if rest.held.grant.limited else "GIVEN"


def of_case(c: Connection, subject: str, agencies: frozenset[str], now: int) -> State | None:
    """The no that is on record for a case whose messages named an agreement with these agencies; None without one.

    Of several agreements the one that changed last counts.
    """
    sent = select(outbox.c.agreement).join_from(outbox, shares, outbox.c.id == shares.c.id)
    names = c.execute(sent.where(shares.c.subject == subject, outbox.c.agreement.is_not(None)).distinct())
    kept = [find(c, name, now) for name in list(names.scalars())]
    about = [one for one in kept if one.scope is None or agencies & set(one.scope.to)]
    order = _recorded(c, [one.id for one in about])  # and not by their dates: a clock can be wrong
    state = max(about, key=lambda one: order[one.id]).standing.state if about else None
    return state if state in NO else None


def _recorded(c: Connection, ids: list[str]) -> dict[str, int]:
    """The place of the newest answer of each of these agreements, in the order in which they were recorded."""
    newest = select(answers.c.id, func.max(answers.c.n)).where(answers.c.id.in_(ids), answers.c.act.in_(ACTS))
    return {row[0]: row[1] for row in c.execute(newest.group_by(answers.c.id))}


def as_recorded(law: Mapping[str, Any], kept: State | None) -> dict[str, Any]:
    """An author's law entries, with the record's word where they say nothing of the agreement.

    Raises:
        Refusal: AGREE_DIFFERS when they say more than the person did.
    """
    if kept is None:
        return dict(law)
    said: Any = law.get("agree", kept)
    known = said in get_args(State) or said == "NOT_APPLICABLE"
    if known and _strictness(said) > _strictness(kept):
        say = f"On record here: {SENTENCES[kept]} The message says otherwise ({said}). Leave `agree` out and the agent "
        raise Refusal(
            "AGREE_DIFFERS",
            f"{say}writes what is recorded. If you have heard something new, record it first: fenpost-agent consent",
            party="sender",
            detail=("law.agree",),
        )
    return {"agree": kept, **law}


def _strictness(state: str) -> int:
    alike = ALIKE.get(state, state)
    return STRICTNESS.index(alike) if alike in STRICTNESS else len(STRICTNESS)
