"""The alarm about the log, and the one way to lift it: a loss that relay and oversight signed (PROTOCOL.md L27).

Rules of this house:
- no alarm goes by itself, and none for what no signed loss explains;
- whoever lifts it has read how much was lost, and says so;
- what was lost of ours is found in the same transaction: an alarm that is gone must leave no message forgotten.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import Field
from sqlalchemy import Connection

from agent.client import Relay
from agent.clock import Clock
from agent.directory import Book
from agent.forms import Json
from agent.lost import Gone, mark_lost, send_again
from agent.outbox import Outbox
from agent.store import Store
from agent.trust import LogTrust
from agent.witness import Watch
from schemas.checkpoint import Checkpoint, LogKey, open_checkpoint
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.loss import Accepted, check_word
from schemas.merkle import verify_consistency
from schemas.signed_text import SignedText
from schemas.signing import Signed

UNKNOWN = "unknown"
NOTHING = "There is no alarm that a loss could explain. Look: fenpost-agent alarm show"
OTHER = "This alarm is about the directory's log, and no loss of entries explains it. Tell oversight."
NOT_AMONG = (
    "Both heads of this alarm are of the log that goes on, so no loss explains it: the relay did not show how they "
    "fit. Keep two-logs.json and show it to oversight."
)
NO_SEQUEL = (
    "The relay's log of {} entries does not continue a head of {}, and this loss does not explain that. The alarm "
    "stays. Show oversight two-logs.json: a head newer than the relay names counts only when oversight names it."
)


class Lift(Frozen):
    """Oversight's word around the relay's statement, and how much was lost, as whoever lifts has read it."""

    evidence: SignedText
    lost: Annotated[str, Field(pattern=r"^([0-9]{1,16}|unknown)$")]


class AlarmDesk:
    """What people may see of the alarm, and do about it."""

    def __init__(
        self,
        store: Store,
        relay: Relay,
        book: Book,
        trust: LogTrust,
        watch: Watch,
        outbox: Outbox,
        keys_log: LogKey,
        clock: Clock,
    ) -> None:
        self._store = store
        self._relay = relay
        self._book = book
        self._trust = trust
        self._watch = watch
        self._outbox = outbox
        self._keys_log = keys_log
        self._clock = clock
        self._resuming = asyncio.Lock()

    async def show(self) -> Json:
        """The alarm with the sizes of its two heads, and the losses that were gone on from."""
        alarm = self._trust.alarm
        return {
            "alarm": None
            if alarm is None
            else {
                "code": alarm.code,
                "since": alarm.ts,
                "say": Refusal(alarm.code).say,
                "ours": self._head(alarm.ours),
                "theirs": self._head(alarm.theirs),
            },
            "losses": [_loss(loss) for loss in self._trust.losses],
        }

    async def lift(self, form: Lift) -> Json:
        """Go on after an accepted loss; what was lost of ours is named, and goes again.

        Raises:
            Refusal: FORM, NOT_CANONICAL, SIGNATURE, CHECKPOINT, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY for what is no such
                evidence; CONFLICT for another number, or where it does not explain the alarm; RELAY_AWAY.
        """
        signed = Signed.from_json(form.evidence.model_dump())
        loss = check_word(signed, self._trust.key, self._keys_log, self._book.latest)
        true = UNKNOWN if loss.loss.lost is None else str(loss.loss.lost)
        if form.lost != true:
            raise Refusal(
                "CONFLICT", f"What was lost: {true}. Say exactly that, once you know what it means for you."
            )
        known = any(one.loss == loss.loss for one in self._trust.losses)
        text, gone = await self._newest(loss, known=known)
        now = int(self._clock())
        believed, cosigned = self._trust.believed, self._watch.cosigned

        def work(connection: Connection) -> Gone:
            if cosigned in gone:
                self._watch.go_back(connection, loss)
            # Who believed no lost head has lost nothing: all that an agent has proofs of is of the log it believes.
            return mark_lost(connection, loss, now) if believed in gone and not known else Gone()

        found = await self._trust.go_on(text, loss, work)
        again = await self.resume()
        self._watch.kick.set()
        return {
            "lost": _loss(loss),
            "messages": list(found.messages),
            "sent_again": again,
            "receipts_again": found.receipts,
            "statements_again": found.statements,
            "held_again": found.held,
        }

    async def resume(self) -> int:
        """Seal anew what was lost and is not on its way yet: one at a time, or two would each seal the same."""
        async with self._resuming:
            return await send_again(self._store, self._outbox, self._clock)

    async def _newest(self, loss: Accepted, *, known: bool) -> tuple[str, list[Checkpoint]]:
        """The relay's newest head, and which of all that were seen it does not continue: the loss must explain each.

        A loss that was gone on from already explains only what oversight names: any head behind it may be a new fork.
        """
        alarmed, explains = self._alarmed(), loss.named if known else loss.lost
        others = [one for one in (self._trust.believed, self._watch.cosigned) if one is not None]
        text = await self._relay.checkpoint()
        head = open_checkpoint(text, self._trust.key)
        gone = [one for one in (*alarmed, *others, loss.now) if not await self._continued(one, head)]
        for one in gone:
            if not explains(one):
                raise Refusal("CONFLICT", NO_SEQUEL.format(head.size, one.size))
        if not any(one in gone for one in alarmed):
            raise Refusal("CONFLICT", NOT_AMONG)
        return text, gone

    def _alarmed(self) -> tuple[Checkpoint, Checkpoint]:
        """The two heads of the alarm."""
        alarm, key = self._trust.alarm, self._trust.key
        if alarm is None or alarm.code not in ("FORK", "ROLLBACK"):
            raise Refusal("CONFLICT", NOTHING)
        try:
            return open_checkpoint(alarm.ours, key), open_checkpoint(alarm.theirs, key)
        except Refusal as error:
            raise Refusal("CONFLICT", OTHER) from error

    async def _continued(self, one: Checkpoint, head: Checkpoint) -> bool:
        """Whether the relay shows that its newest head continues this one. Raises Refusal RELAY_AWAY."""
        if one.size > head.size:
            return False
        try:
            proof = await self._trust.consistency(one.size, head.size) if 0 < one.size < head.size else ()
            verify_consistency(one.size, one.root, head.size, head.root, proof)
        except Refusal as refusal:
            if refusal.retry or refusal.code == "UNAUTHENTICATED":
                raise
            return False
        return True

    def _head(self, text: str) -> Json | None:
        try:
            return head_json(open_checkpoint(text, self._trust.key))
        except Refusal:
            return None  # of the directory's log


def head_json(head: Checkpoint) -> Json:
    return {"size": head.size, "root": head.root.hex()}


def _loss(loss: Accepted) -> Json:
    return {
        "lost": loss.loss.lost,
        "said": loss.loss.ts,
        "accepted": loss.ts,
        "was": None if loss.was is None else head_json(loss.was),
        "now": head_json(loss.now),
    }
