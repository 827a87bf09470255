"""Agreements as this agency shows them: state, versions, handles, missing answers (PROTOCOL.md J4, J8, J9, J12).

Reads only.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, select

from agent import recalls
from agent.clock import Clock
from agent.confirming import unconfirmed
from agent.consent import signed_grant
from agent.consent_ledger import Kept, find
from agent.consent_words import ENDS_SOON, LOOK_AGAIN, STOPPED, UNANSWERED, did, label, says
from agent.directory import Book
from agent.forms import DAY, Json
from agent.shares import kept_back
from agent.store import Store
from agent.tables import agreements, answers, grants, journal, outbox, posts, shares
from schemas.agreement import prompts as ends_soon
from schemas.canonical import unb64
from schemas.errors import Refusal
from schemas.grants import parse_grant, parse_recalled, parse_status, parse_withdrawal
from schemas.signing import Signed

REVIEW = Refusal("TOLD_REVIEW").say
PROMPT_DAYS = 14
"""When no policy is at hand to say otherwise."""


class AgreementView:
    """What this agency holds, for people and case systems."""

    def __init__(self, store: Store, book: Book, agency: str, clock: Clock) -> None:
        self._store = store
        self._book = book
        self._agency = agency
        self._clock = clock

    async def agreement(self, name: str) -> Json:
        """An agreement of this agency's own, or a handle that it knows. Raises Refusal NOT_FOUND."""
        now = int(self._clock())

        def work(c: Connection) -> Json:
            row = c.execute(select(grants).where(grants.c.gid == name)).one_or_none()
            if row is not None and not row.mine:
                return self._handle_of_others(c, row, now)
            return self._shown(c, find(c, name, now), row, now)

        return await self._store.run(work)

    async def listing(self) -> Json:
        """Every agreement of this agency's own, shortly; what needs somebody first. And the messages marked as not safe
        to tell whose day to look again has passed."""
        now = int(self._clock())

        def work(c: Connection) -> list[Json]:
            names = c.execute(
                select(agreements.c.id).order_by(agreements.c.since.desc()).limit(500)
            ).scalars()
            return [self._brief(c, find(c, name, now), now) for name in list(names)]

        found = await self._store.run(work)
        kept = await self._store.run(kept_back)
        due = sorted((day, place) for place, day in kept if day <= now)
        return {
            "agreements": sorted(found, key=lambda one: not one["prompts"]),
            "reviews": [
                {"id": place, "since": day, "code": "TOLD_REVIEW", "say": REVIEW} for day, place in due
            ],
        }

    def _brief(self, c: Connection, kept: Kept, now: int) -> Json:
        standing = kept.standing
        count = (
            select(func.count())
            .join_from(outbox, shares, outbox.c.id == shares.c.id)
            .where(outbox.c.agreement == kept.id, shares.c.overridden == 1)
        )
        overrides = c.execute(count).scalar_one()
        return {
            "id": kept.id,
            "standing": standing.state,
            "label": label(standing, overrides),
            "says": says(standing),
            "version": standing.ver,
            "since": standing.since,
            "until": standing.until,
            "overrides": overrides,
            "prompts": self.prompts(kept, now),
        }

    def _handle_of_others(self, c: Connection, row: Row[Any], now: int) -> Json:
        facts = self._facts(c, row, now)
        return {**facts, "recalls": [self._recall(one) for one in recalls.of_handles(c, [row.gid])]}

    def _shown(self, c: Connection, kept: Kept, row: Row[Any] | None, now: int) -> Json:
        rows = c.execute(select(grants).where(grants.c.agreement == kept.id).order_by(grants.c.exp)).all()
        said = c.execute(select(answers).where(answers.c.id == kept.id).order_by(answers.c.n)).all()
        scope = kept.scope
        newest = row if row is not None else rows[-1] if rows else None
        facts = {} if newest is None else self._facts(c, newest, now)
        state = "given" if kept.standing.state == "LIMITED" else kept.standing.state.lower()
        gids = [one.gid for one in rows]
        return {
            **facts,
            **self._brief(c, kept, now),
            "state": state,
            "mine": True,
            "at_the_relay": not self._unposted(c, gids),
            "stopped_at_the_relay": _stopped(c, gids),
            "to": [] if scope is None else [{"agency": a, "name": self._name(a)} for a in scope.to],
            "asked": None if scope is None else dict(scope.evidence),
            "stopped": [{"agency": a, "name": self._name(a)} for a in kept.stopped],
            "handles": [self._handle(row, now) for row in rows],
            "recalls": [self._recall(one) for one in recalls.of_handles(c, gids)],
            "versions": [{"version": row.ver, "act": row.act, "at": row.ts} for row in said],
        }

    def _handle(self, row: Row[Any], now: int) -> Json:
        grant = parse_grant(signed_grant(row))
        ended = "withdrawn" if row.withdrawal_t else "ended" if row.exp <= now else "stands"
        others = sorted(grant.parties() - {self._agency})
        return {
            "gid": row.gid,
            "state": ended,
            "to": [{"agency": a, "name": self._name(a)} for a in others],
            "purpose": row.purpose,
            "until": row.exp,
        }

    def _recall(self, row: Row[Any]) -> Json:
        said = None if row.text is None else parse_recalled(recalls.answered(row))
        return {
            "gid": row.gid,
            "agency": row.a,
            "name": self._name(row.a),
            "since": row.told,
            "answered": None if said is None else said.ts,
            "says": UNANSWERED if said is None else did(said.did, said.why),
            "passed_to": [] if said is None else [{"agency": a, "name": self._name(a)} for a in said.passed],
            "passed_outside": said is not None and said.outside,
        }

    def _facts(self, c: Connection, row: Row[Any], now: int) -> Json:
        """A handle, with what its grant, staple and withdrawal say."""
        grant = parse_grant(signed_grant(row))
        status = None if row.status_t is None else parse_status(_signed(row.status_s, row.status_t))
        gone = row.withdrawal_t and parse_withdrawal(_signed(row.withdrawal_s, row.withdrawal_t))
        return {
            "gid": row.gid,
            "state": "withdrawn" if gone else "expired" if now >= grant.exp else "given",
            "mine": bool(row.mine),
            "limited": grant.limited,
            "issuer": grant.iss,
            "parties": [{"agency": a, "name": self._name(a)} for a in sorted(grant.parties())],
            "purposes": list(grant.pur),
            "categories": list(grant.cat),
            "from": grant.nbf,
            "until": grant.exp,
            "proved_until": None if status is None or gone else status.exp,
            "withdrawn": {"by": gone.by, "at": row.withdrawn_ts} if gone else None,
            "at_the_relay": not self._unposted(c, [row.gid]),
            "stopped_at_the_relay": _stopped(c, [row.gid]),
        }

    @staticmethod
    def _unposted(c: Connection, gids: list[str]) -> int:
        waiting = select(func.count()).where(posts.c.gid.in_(gids), posts.c.posted == 0)
        return int(c.execute(waiting).scalar_one())

    def prompts(self, kept: Kept, now: int) -> list[str]:
        standing = kept.standing
        found = [STOPPED] if kept.stopped else []
        if ends_soon(standing, now, self._ahead()):
            found.append(ENDS_SOON)
        if standing.review_on is not None and now >= standing.review_on:
            found.append(LOOK_AGAIN)
        return found

    def _ahead(self) -> int:
        policy = self._book.policies.now
        return (PROMPT_DAYS if policy is None else policy.thresholds.prompt_days) * DAY

    def _name(self, agency: str) -> str:
        known = self._book.latest.agencies.get(agency)
        return known.name if known is not None else ""


def agreement_counts(c: Connection, agency: str) -> Json:
    """What of agreements needs somebody: for the agent's own state."""
    asking = select(func.count()).where(agreements.c.prompted.is_not(None))
    slept = select(func.count()).where(journal.c.event == "gate-fault")
    return {
        "agreements_to_look_at": c.execute(asking).scalar_one(),
        "recalls_to_answer": len(recalls.owing(c, agency)),
        "recalls_unanswered": recalls.awaited(c, agency),
        "gate_faults": c.execute(slept).scalar_one(),
        "unconfirmed": len(unconfirmed(c)),
    }


def _stopped(c: Connection, gids: list[str]) -> int:
    stopped = select(func.coalesce(func.sum(posts.c.stopped), 0)).where(posts.c.gid.in_(gids))
    return int(c.execute(stopped).scalar_one())


def _signed(signature: str, text: str) -> Signed:
    return Signed(text.encode("ascii"), unb64(signature, 64))
