"""What the agent shows: a message's ladder, the inbox, an agreement, its own state. Reads only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select

from agent import findings
from agent.accounts import APART_KINDS
from agent.clock import Clock
from agent.confirming import SAYS, unconfirmed
from agent.consent_showing import agreement_counts
from agent.denials import SAYS as KEPT_BACK
from agent.denials import denied
from agent.directory import Book
from agent.doubts import SAYS as DOUBT
from agent.doubts import TAKEN, Doubtful, Doubts
from agent.explaining import shown
from agent.forms import Json
from agent.own import Own
from agent.ring import HeldKeys
from agent.shares import reviews_due
from agent.store import Store
from agent.tables import inbox, journal, ladder, outbox, receipts, sealings
from agent.trust import LogTrust
from agent.untaken import MOST, Untaken, untaken
from agent.witness import Watch
from agent.words import ENDED, furthest, rank, sentence
from schemas.canonical import unb64
from schemas.directory import MAX_AGE, safety_number
from schemas.errors import Refusal
from schemas.explaining import steps_for
from schemas.override import parse_override
from schemas.people import reminders
from schemas.periods import deadlines
from schemas.policy import Policy
from schemas.signing import Signed
from schemas.staffing import Staff, shortages
from schemas.succession import successions

SHOWN = 500


@dataclass(slots=True)
class Contact:
    """When the relay last answered, and what stood in the way since; code "" when nothing does."""

    last: int = 0
    code: str = "RELAY_AWAY"


def policy_facts(policy: Policy | None) -> Json | None:
    """The policy in force, or null: then only a RED goes (PROTOCOL.md Q8)."""
    if policy is None:
        return None
    return {
        "digest": policy.digest,
        "effective": policy.effective,
        "name": policy.name,
        "version": policy.version,
    }


class Showing:
    """Reports for people and case systems."""

    def __init__(
        self, store: Store, book: Book, trust: LogTrust, watch: Watch, keys: HeldKeys, clock: Clock
    ) -> None:
        self.contact = Contact()
        self._store = store
        self._book = book
        self._own = Own(store, book, keys, clock)
        self.doubts = Doubts(lambda: book.latest)
        self._trust = trust
        self._watch = watch
        self._keys = keys
        self._clock = clock

    async def message(self, mid: str) -> Json:
        """A message that we sent, by any of its ids: where it stands for each desk. Raises Refusal NOT_FOUND."""
        return await self._store.run(lambda c: self._message(c, mid))

    async def sent(self) -> list[Json]:
        """The newest messages that we sent, shortly."""

        def work(c: Connection) -> list[Json]:
            written = select(outbox.c.id).where(outbox.c.kind.not_in(APART_KINDS))
            ids = c.execute(written.order_by(outbox.c.ts.desc()).limit(SHOWN)).scalars().all()
            return [self._message(c, mid) for mid in ids]

        return await self._store.run(work)

    async def inbox(self, *, every: bool = False) -> list[Json]:
        """What was handed over and has not ended (or everything), most urgent first, without its words."""
        shown = select(inbox).where(inbox.c.handed.is_not(None))
        if not every:
            shown = shown.where(inbox.c.state == "opened")
        rows = await self._store.run(
            lambda c: c.execute(shown.order_by(inbox.c.received.desc()).limit(SHOWN)).all()
        )
        return sorted(
            (self.item(row) for row in rows), key=lambda i: ("RED", "AMBER", "GREEN").index(str(i["rag"]))
        )

    async def received(self, place: str) -> Json:
        """One message with its words. Raises Refusal NOT_FOUND."""
        row = await self._store.run(
            lambda c: c.execute(select(inbox).where(inbox.c.id == place)).one_or_none()
        )
        if row is None or row.handed is None:
            raise Refusal("NOT_FOUND")
        return self.whole(row)

    def item(self, row: Row[Any]) -> Json:
        """A received message without its words."""
        header = json.loads(row.header)
        return {
            "id": row.id,
            "mid": row.mid,
            "thread": row.thr,
            "from": {"agency": row.from_a, "name": self._name(row.from_a), "desk": row.from_d},
            "desk": row.d,
            "class": row.cls,
            "rag": row.rag,
            "purpose": header["pur"],
            "state": row.state,
            "says": sentence(row.state, row.role, row.reason),
            "sent": row.ts,
            "received": row.received,
            "expires": row.exp,
            "gid": row.gid,
            "alert": bool(row.alert),
            "agreement_withdrawn": row.withdrawn,
            "agreement_limited": row.limited,
            "doubt": self.doubts.of(row.from_a, header["signer"], row.ts),
            **self._due(row),
        }

    def whole(self, row: Row[Any]) -> Json:
        """A received message with its words, and on what it rests."""
        header = json.loads(row.header)
        return {
            **self.item(row),
            "law": header["law"],
            "categories": header["cat"],
            "also_sent_to": [
                {"agency": r["a"], "name": self._name(r["a"]), "desk": r["d"]}
                for r in header["to"]
                if (r["a"], r["d"]) != (self._keys.agency, row.d)
            ],
            "message": None if row.message is None else json.loads(row.message),
        }

    def _due(self, row: Row[Any]) -> Json:
        """By when it is taken on and answered, by the policy of its time; when it waited for a lead, of her time."""
        under = None if row.override is None else parse_override(Signed.from_json(json.loads(row.override)))
        began = row.ts if under is None else max(row.ts, under.ts)
        due = deadlines(self._book.policies.at(began), row.rag, began)
        waits = row.state in ("collected", "opened")
        return {
            "acknowledge_by": due.acknowledge,
            "respond_by": due.respond,
            "overdue": waits and due.acknowledge < int(self._clock()),
        }

    def _staff(self, now: int) -> Json:
        """Where the policy asks for more officers or leads than there are: here, and for oversight everywhere."""
        found, whole = shortages(self._book.latest, self._book.policies.now, now), self._book.latest.oversight
        mine = [one for one in found if self._keys.agency in (one.agency, whole)]
        return {"short_of_officers": [self._short(one) for one in mine]}

    def _people(self, now: int) -> Json:
        """What is due about this agency's people's keys, and about who speaks for it: uses, roles and dates."""
        own = self._book.latest.agencies.get(self._keys.agency)
        found = () if own is None else reminders(own, now)
        next_ones = () if own is None else successions(own, now)
        return {
            "successors_due": [
                {"use": str(one.use), "since": one.since, "at": one.due, "urgent": one.urgent}
                for one in next_ones
            ],
            "people_due": [
                {
                    "person": one.key.person,
                    "use": str(one.key.use),
                    "why": one.why,
                    "at": one.at,
                    "urgent": one.urgent,
                }
                for one in found
            ],
        }

    def _short(self, one: Staff) -> Json:
        return {
            "agency": one.agency,
            "name": self._name(one.agency),
            "ig": one.ig,
            "ig_asked": one.asked.ig,
            "lead": one.lead,
            "lead_asked": one.asked.lead,
        }

    def _waiting(self, row: Row[Any]) -> Json:
        """What waits to be confirmed: whose it is and for which desk, and nothing of what it says."""
        sender = {"agency": row.from_a, "name": self._name(row.from_a), "desk": row.from_d}
        return {"from": sender, "desk": row.d, "rag": row.rag, "since": row.unsure, "says": SAYS}

    def _kept_back(self, row: Row[Any]) -> Json:
        """What the relay says is over without a proof: whose it is and for which desk, and nothing of what it says."""
        sender = {"agency": row.from_a, "name": self._name(row.from_a), "desk": row.from_d}
        return {"from": sender, "desk": row.d, "rag": row.rag, "since": row.denied, "says": KEPT_BACK}

    def _in_doubt(self, one: Doubtful) -> Json:
        """Whose key was in other hands, since when, and how many messages that were shown here it signed since."""
        sender = {"agency": one.key.agency, "name": self._name(one.key.agency)}
        return {
            "from": sender,
            "since": one.key.since,
            "messages": one.count,
            "says": DOUBT,
            "acknowledge_as": one.name,
        }

    def _untaken(self, one: Untaken) -> Json:
        """What a desk has not taken on in time: which desk and how urgent, and nothing of what it says."""
        return {
            "mid": one.mid,
            "to": {"agency": one.agency, "name": self._name(one.agency), "desk": one.desk},
            "rag": one.rag,
            "state": one.state,
            "says": TAKEN if one.state == "taken-on" else sentence(one.state),
            "since": one.since,
            "acknowledge_by": one.acknowledge_by,
            "acknowledge_as": one.acknowledge_as,
        }

    def _late(self, c: Connection, doubtful: Sequence[Doubtful], now: int) -> list[Untaken]:
        """What desks have not taken on in time, first what only a key says that was in other hands."""
        at = self._book.policies.at
        doubted = [
            Untaken(
                row.mid, row.rag, row.a, row.d, "taken-on", row.ts,
                deadlines(at(row.sent), row.rag, row.sent).acknowledge, one.name,
            )
            for one in doubtful
            for row in one.taken
        ]  # fmt: skip
        return [*doubted, *untaken(c, at, now)][:MOST]

    async def status(self) -> Json:
        """The agent's own state: is it connected, fresh, and free of alarms."""
        now = int(self._clock())

        def work(c: Connection) -> Json:
            waiting = select(func.count()).where(sealings.c.state == "waiting")
            unposted = select(func.count()).where(receipts.c.posted == 0)
            mine = select(func.count()).where(inbox.c.state == "opened", inbox.c.handed.is_not(None))
            problems = select(journal.c.ts, journal.c.event, journal.c.code).where(journal.c.code != "")
            recent = c.execute(problems.order_by(journal.c.n.desc()).limit(10)).all()
            stuck = (
                select(sealings.c.code, func.count())
                .where(sealings.c.state == "waiting")
                .group_by(sealings.c.code)
            )
            doubtful = self.doubts.standing(c)
            late = self._late(c, doubtful, now)
            return {
                "waiting": c.execute(waiting).scalar_one(),
                "waiting_because": {code: count for code, count in c.execute(stuck) if code},
                "receipts_waiting": c.execute(unposted).scalar_one(),
                "to_take_on": c.execute(mine).scalar_one(),
                **agreement_counts(c, self._keys.agency),
                "not_confirmed": [self._waiting(row) for row in unconfirmed(c)],
                "untaken": [self._untaken(one) for one in late],
                "untaken_more": len(late) == MOST,
                "in_doubt": [self._in_doubt(one) for one in doubtful if one.count],
                "over_unproven": [self._kept_back(row) for row in denied(c)],
                "reviews_due": reviews_due(c, now),
                "reconciliation": findings.counts(c),
                "journal": [{"ts": r.ts, "event": r.event, "code": r.code} for r in recent],
            }

        counts = await self._store.run(work)
        alarm, view = self._trust.alarm, self._book.latest
        member = view.agencies.get(self._keys.agency)
        return {
            "agency": self._keys.agency,
            "name": member.name if member else "",
            "desks": list(member.desks) if member else [],
            "safety_number": safety_number(self._keys.agency),
            "directory_fresh": self._book.fresh,
            "directory_stale": now - self._book.fresh > MAX_AGE,
            "relay": {
                "reached": self.contact.last,
                "code": self.contact.code,
                "say": Refusal(self.contact.code).say if self.contact.code else "",
            },
            "policy": policy_facts(self._book.policies.now),
            "log_size": self._trust.size,
            "alarm": None
            if alarm is None
            else {"code": alarm.code, "ts": alarm.ts, "say": Refusal(alarm.code).say},
            "witnesses": self._watch.shown(),
            "directory_witnesses": None if self._watch.beside is None else self._watch.beside.shown(),
            "own_statements": await self._book.own_statements(),
            "own_doubt": self._book.doubt(),
            "two_agents": self._book.twin.met,
            "other_numbers": await self._own.strangers(),
            "unknown_own_keys": list(self._book.strangers),
            **self._staff(now),
            **self._people(now),
            **counts,
        }

    async def reconciliation(self, *, every: bool = False) -> Json:
        """What the daily lists brought to light and has not settled, or all of it that is kept."""
        return await self._store.run(lambda c: findings.show(c, self._keys.agency, self._name, every=every))

    def _message(self, c: Connection, mid: str) -> Json:
        found = c.execute(
            select(sealings.c.id).where((sealings.c.mid == mid) | (sealings.c.eid == mid))
        ).scalar()
        row = c.execute(select(outbox).where(outbox.c.id == (found or mid))).one_or_none()
        if row is None:
            raise Refusal("NOT_FOUND")
        turns = c.execute(select(sealings).where(sealings.c.id == row.id).order_by(sealings.c.turn)).all()
        desks: dict[tuple[str, str], Json] = {}
        for turn in turns:
            if turn.state != "replaced":
                desks |= {(a, d): self._desk(c, turn, a, d) for a, d in json.loads(turn.desks)}
        last = turns[-1]
        states = {str(desk["state"]) for desk in desks.values()}
        return {
            "id": row.id,
            "mid": last.mid,
            "eid": last.eid,
            "thread": row.thr,
            "kind": row.kind,
            "rag": row.rag,
            "gid": row.gid,
            "queued": row.ts,
            "expires": last.exp,
            "alert": any(turn.alert for turn in turns),
            "ended": states <= ENDED,
            "code": last.code,
            "say": last.say,
            "steps": shown(steps_for(last.code or "")) if last.state == "refused" else [],
            "proof": last.proof is not None,
            "desks": list(desks.values()),
        }

    def _desk(self, c: Connection, turn: Row[Any], agency: str, desk: str) -> Json:
        steps = c.execute(
            select(ladder).where(ladder.c.eid == turn.eid, ladder.c.a == agency, ladder.c.d == desk)
        ).all()
        reached = {step.state: step for step in steps}
        state = furthest(reached)
        if turn.state == "refused" or (turn.state == "held" and state == "waiting"):
            state = turn.state
        step = reached.get(state)
        role, reason = (step.role, step.reason) if step is not None else (None, None)
        return {
            "agency": agency,
            "name": self._name(agency),
            "desk": desk,
            "state": state,
            "says": sentence(state, role, reason, turn.say),
            "since": step.ts if step is not None else turn.ts,
            "role": role,
            "reason": reason,
            "doubt": self.doubts.of_step(agency, step.evidence, step.heard or step.ts)
            if step is not None and state == "taken-on"
            else None,
            # By the ladder, not by the time alone: two steps of one second, or of two clocks, would change places.
            "steps": [
                {"state": s.state, "ts": s.ts} for s in sorted(steps, key=lambda s: (rank(s.state), s.ts))
            ],
        }

    def _name(self, agency: str) -> str:
        known = self._book.latest.agencies.get(agency)
        return known.name if known is not None else ""


def _signed(signature: str, text: str) -> Signed:
    return Signed(text.encode("ascii"), unb64(signature, 64))
