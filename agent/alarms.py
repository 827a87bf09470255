"""The alarm about the log, and the one way to lift it: a loss that relay and oversight signed (PROTOCOL.md L27).

Rules of this house:
- no alarm goes by itself, and none for what no signed loss explains;
- whoever lifts it has read how much was lost, and says so;
- what was lost of ours is found in the same transaction: an alarm that is gone must leave no message forgotten.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

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
from schemas.handover import SignedText
from schemas.loss import Accepted, check_word
from schemas.merkle import verify_consistency
from schemas.signing import Signed

UNKNOWN = "unknown"
NOTHING = "There is no alarm that a loss could explain. Look: fenpost-agent alarm show"
OTHER = "This alarm is about the directory's log, and no loss of entries explains it. Tell oversight."
NOT_AMONG = (
    "The two heads of this alarm are not among what was lost. Keep two-logs.json and show it to oversight: a head "
    "newer than the one that the relay names counts only when oversight names it."
)
NO_SEQUEL = (
    "The relay's log of {} entries does not continue a head of {} that was not lost. The alarm stays. "
    "Tell oversight."
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
        text = await self._newest(loss)
        now = int(self._clock())

        def work(connection: Any) -> Gone:
            self._watch.go_back(connection, loss)
            return mark_lost(connection, loss, now)

        gone = await self._trust.go_on(text, loss, work)
        again = await self.resume()
        self._watch.kick.set()
        return {
            "lost": _loss(loss),
            "messages": list(gone.messages),
            "sent_again": again,
            "receipts_again": gone.receipts,
            "statements_again": gone.statements,
            "held_again": gone.held,
        }

    async def resume(self) -> int:
        """Seal anew what was lost and is not on its way yet."""
        return await send_again(self._store, self._outbox, self._clock)

    async def _newest(self, loss: Accepted) -> str:
        """The relay's newest head, once it continues everything that was seen and was not lost."""
        seen = self._explained(loss)
        text = await self._relay.checkpoint()
        head = open_checkpoint(text, self._trust.key)
        for one in (loss.now, *(one for one in seen if not loss.lost(one))):
            await self._continues(one, head)
        return text

    def _explained(self, loss: Accepted) -> list[Checkpoint]:
        """Every head seen of this log, the alarm's two among them; the loss explains one of these."""
        alarm, key = self._trust.alarm, self._trust.key
        if alarm is None or alarm.code not in ("FORK", "ROLLBACK"):
            raise Refusal("CONFLICT", NOTHING)
        try:
            heads = [open_checkpoint(text, key) for text in (alarm.ours, alarm.theirs)]
        except Refusal as error:
            raise Refusal("CONFLICT", OTHER) from error
        if not any(map(loss.lost, heads)):
            raise Refusal("CONFLICT", NOT_AMONG)
        return [*heads, *filter(None, (self._trust.believed, self._watch.cosigned))]

    async def _continues(self, one: Checkpoint, head: Checkpoint) -> None:
        old, new = sorted((one, head), key=lambda c: c.size)
        try:
            proof = await self._trust.consistency(old.size, new.size) if 0 < old.size < new.size else ()
            verify_consistency(old.size, old.root, new.size, new.root, proof)
        except Refusal as refusal:
            if refusal.retry or refusal.code == "UNAUTHENTICATED":
                raise
            raise Refusal("CONFLICT", NO_SEQUEL.format(head.size, one.size)) from refusal

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
