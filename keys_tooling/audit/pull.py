"""Pulling: what the relay shows is proven, then kept (PROTOCOL.md L5-L21).

Rules of this house:
- a checkpoint is kept as soon as it is seen and believed only once it extends the one believed before;
- entries count only when their tree has the very root that the relay signed, and each record is the one that its
  entry commits to;
- a checkpoint counts with both of the log's lines, and who vouches for the log is counted as agents count it;
- stopping at any point is safe: the next pull goes on where this one ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial, reduce

from keys_tooling.audit.lifetimes import lives
from keys_tooling.audit.mirror import Log, Mirror
from keys_tooling.audit.opened import row_of
from keys_tooling.audit.pull_line import PullLine, Relay
from keys_tooling.audit.pulled_entries import EntryPull, Progress
from keys_tooling.audit.read import opener
from keys_tooling.audit.retaining import GivenUp, Runs, give_up, holds, let_go, on_record, periods_of
from keys_tooling.audit.vouching import Shown, Tally, Vouched, opened
from keys_tooling.directory_reading import read_directory
from schemas import api
from schemas.checkpoint import Checkpoint, open_checkpoint
from schemas.directory import Directory
from schemas.directory_statement import statement_leaf
from schemas.errors import Refusal
from schemas.keyring import OfficerKeys
from schemas.keys import Use
from schemas.merkle import Frontier, leaf_hash, verify_consistency
from schemas.partnership import Partnership
from schemas.policing import LATE, check_text
from schemas.ranges import each, ranges_of
from schemas.retention import read_list
from schemas.signing import Signed
from schemas.witness import ACTIVE

UNKNOWN_OFFICER = (
    "The relay does not know this officer's key. Ask your administrator whether the agency was taken in, "
    "and check this machine's clock."
)
AFTER_A_LOSS = (
    " If they say that the relay lost entries and oversight accepted it: keep this folder as it is, for it has what "
    "was lost, hold their file against it (fenpost-audit loss show), and pull into a new folder."
)


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull brought: entries stored in all and new, statements in all, epochs new, records given up."""

    entries: int
    new: int
    statements: int
    epochs: int
    given_up: GivenUp
    vouched: Vouched
    directory_vouched: Vouched


@dataclass(slots=True)
class Pull:
    """One pull into one mirror."""

    relay: Relay
    mirror: Mirror
    partnership: Partnership
    keys: OfficerKeys
    now: int
    progress: Progress
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    gone: Runs = ()
    """Entries whose records may be missing."""

    @property
    def line(self) -> PullLine:
        return PullLine(self.relay, self.sleep)

    async def run(self) -> Pulled:
        """Bring the mirror up to what the relay shows now.

        Raises:
            Refusal: CHECKPOINT, ROLLBACK, FORK, PROOF, DIRECTORY, MIRROR, UNKNOWN_KEY, RELAY_AWAY, the relay's own.
        """
        charter = self.partnership.charter
        self.mirror.claim(charter.origin, charter.oversight)
        try:
            view = await self._directory()
        except Refusal as refusal:
            if refusal.code != "UNAUTHENTICATED":
                raise
            raise Refusal("UNAUTHENTICATED", UNKNOWN_OFFICER) from refusal
        before = self.mirror.size()
        checkpoint = await self._checkpoint()
        await EntryPull(self.line, self.mirror, self.gone, self.progress).run(checkpoint)
        vouched = await self._vouched(checkpoint, view)
        directory = await self._directory_vouched(view)
        epochs = await self._epochs()
        new = checkpoint.size - before
        return Pulled(checkpoint.size, new, view.size, epochs, self._give_up(view), vouched, directory)

    async def _directory(self) -> Directory:
        key = self.partnership.keys_log_key
        known = self.mirror.statements()
        note = self.mirror.believed("keys")
        reading = await read_directory(
            self.relay,
            key,
            self.partnership.charter.oversight,
            self.now,
            known,
            open_checkpoint(note, key) if note else None,
        )
        number = self.mirror.keep_note("keys", reading.note, self.now)
        self.mirror.add_statements(len(known), reading.statements[len(known) :])
        self.mirror.believe(number)
        reading.view.key(self.keys.ig.kid, Use.IG, self.now)
        await self._policies(reading.view)
        await self._lists(reading.view)
        return reading.view

    async def _lists(self, view: Directory) -> None:
        """The lists of retention statements. Without one, what it names counts as missing."""
        known = self.mirror.lists()
        for said in view.retentions:
            if said.digest in known:
                continue
            try:
                text = await self.line.ask(partial(self.relay.retention, said.digest))
                read_list(said, text)
            except Refusal as refusal:
                if refusal.code not in ("NOT_FOUND", "RETENTION"):
                    raise
            else:
                self.mirror.add_list(said.digest, text)
        self.gone = let_go(on_record(self.mirror, view), self.now + LATE)

    def _give_up(self, view: Directory) -> GivenUp:
        """Delete here what statements let go; opening everything once, which they seldom ask for."""
        lists = [one for one in on_record(self.mirror, view) if not self.mirror.list_done(one.said.digest)]
        due = [one for one in lists if one.ends is not None and one.ends <= self.now]
        if not due:
            return GivenUp(0, ())
        officer = opener(self.mirror, self.partnership, self.keys)
        rows = [row_of(told) for _, told in officer.opened() if told is not None]
        policy = officer.shelf.in_force(view.policies, self.now)
        standing = ranges_of(index for hold in holds(rows) for index in each(hold.runs))
        return give_up(self.mirror, due, lives(rows, periods_of(policy)), standing, self.now)

    async def _policies(self, view: Directory) -> None:
        """The texts of the policies on record. One that the relay has lost leaves its decisions unasked, no more."""
        known = self.mirror.policies()
        for entry in view.policies.entries:
            if entry.digest in known:
                continue
            try:
                text = await self.line.ask(partial(self.relay.policy, entry.digest))
                check_text(text, entry.digest, entry.version, entry.effective)
            except Refusal as refusal:
                if refusal.code not in ("NOT_FOUND", "POLICY_TEXT"):
                    raise
            else:
                self.mirror.add_policy(entry.digest, text)

    async def _checkpoint(self) -> Checkpoint:
        """The newest checkpoint, once it extends the one believed."""
        key = self.partnership.log_key
        note = await self.line.ask(self.relay.checkpoint)
        new = open_checkpoint(note, key)
        number = self.mirror.keep_note("log", note, self.now)
        opened(note, self.partnership)
        text = self.mirror.believed("log")
        if text is not None:
            await self._extends(open_checkpoint(text, key), new)
        self.mirror.believe(number)
        return new

    async def _vouched(self, checkpoint: Checkpoint, view: Directory) -> Vouched:
        """Who vouches for this very log, by the heads that the relay shows to its members."""
        tally = self._tally("log", view)
        page = await self.line.ask(self.relay.head)
        for text in filter(None, (page.held, page.asked)):
            shown = Shown(opened(text, self.partnership), self.now)
            number = self.mirror.keep_head("log", text, self.now)
            await self._same(checkpoint, shown.published.checkpoint)
            if tally.weigh(shown):
                self.mirror.vouch(number)
        return tally.so_far(self.now)

    async def _directory_vouched(self, view: Directory) -> Vouched:
        """Who vouches for this very directory (L28): its heads are held against the statements replayed here."""
        tally = self._tally("keys", view)
        page = await self.line.ask(partial(self.relay.head, api.KEYS))
        for text in filter(None, (page.held, page.asked)):
            shown = Shown(opened(text, self.partnership, "keys"), self.now)
            head = shown.published.checkpoint
            number = self.mirror.keep_head("keys", text, self.now)
            if head.size > view.size:
                continue  # a statement came since: the next pull has it
            if head.root != root_at(head.size, self.mirror.statements()):
                raise Refusal(
                    "FORK",
                    f"The directory of {head.size} statements that agencies are asked to vouch for is not the one that "
                    "the relay shows you. Both signed notes are kept in the mirror. Tell oversight.",
                )
            if tally.weigh(shown):
                self.mirror.vouch(number)
        return tally.so_far(self.now)

    def _tally(self, log: Log, view: Directory) -> Tally:
        """What was counted of a log before."""
        tally = Tally(self.partnership, view, self.mirror.began() or self.now)
        for head in self.mirror.heads(log, self.now - ACTIVE):
            tally.weigh(Shown(opened(head.text, self.partnership, log), head.seen))
        return tally

    async def _same(self, mine: Checkpoint, head: Checkpoint) -> None:
        """That a head of any age is of the history that is mirrored here."""
        old, new = sorted((mine, head), key=lambda one: one.size)
        await self._continues(
            old,
            new,
            f"The head of {head.size} entries that agencies are asked to vouch for is not of the log of "
            f"{mine.size} entries that the relay shows you. Both signed notes are kept in the mirror. "
            "Tell oversight.",
        )

    async def _extends(self, old: Checkpoint, new: Checkpoint) -> None:
        if new.size < old.size:
            raise Refusal(
                "ROLLBACK",
                f"The relay showed a log of {new.size} entries, and {old.size} before. "
                f"Both signed notes are kept in the mirror. Tell oversight.{AFTER_A_LOSS}",
            )
        await self._continues(
            old,
            new,
            f"The relay's log of {new.size} entries does not continue the one of {old.size} that it signed "
            f"before. Both signed notes are kept in the mirror. Tell oversight.{AFTER_A_LOSS}",
        )

    async def _continues(self, old: Checkpoint, new: Checkpoint, otherwise: str) -> None:
        """That the relay can prove it. Raises Refusal FORK, which says `otherwise`."""
        proof: tuple[bytes, ...] = ()
        if 0 < old.size < new.size:
            proof = await self.line.ask(partial(self.relay.consistency, old.size, new.size))
        try:
            verify_consistency(old.size, old.root, new.size, new.root, proof)
        except Refusal as error:
            raise Refusal("FORK", otherwise) from error

    async def _epochs(self) -> int:
        kid, new = self.keys.ig.kid, 0
        # The newest one is asked for again: a restarted relay may have begun another at the same entry.
        after = max(self.mirror.last_epoch(kid) - 1, -1)
        while True:
            page = await self.line.ask(partial(self.relay.epochs, after))
            if not page.epochs:
                return new
            if page.epochs[-1].first <= after:
                raise Refusal("FORM", party="relay")
            new += self.mirror.add_epochs(epoch for epoch in page.epochs if epoch.kid == kid)
            after = page.epochs[-1].first


def root_at(size: int, statements: tuple[Signed, ...]) -> bytes:
    """The directory log's root over its first `size` statements."""
    leaves = (leaf_hash(statement_leaf(signed)) for signed in statements[:size])
    return reduce(Frontier.append, leaves, Frontier()).root()
