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
from itertools import islice
from typing import Protocol, TypeVar

from agent.client import RelayRefusal
from keys_tooling.audit.bundles import BUNDLE, split_bundle, tile_path
from keys_tooling.audit.lifetimes import lives
from keys_tooling.audit.mirror import Entry, Log, Mirror
from keys_tooling.audit.opened import row_of
from keys_tooling.audit.read import opener
from keys_tooling.audit.retaining import GivenUp, Runs, give_up, holds, let_go, on_record, periods_of
from keys_tooling.audit.vouching import Shown, Tally, Vouched, opened
from keys_tooling.directory_reading import Source, read_directory
from schemas import api
from schemas.audit import Leaf
from schemas.checkpoint import Checkpoint, open_checkpoint
from schemas.directory import Directory
from schemas.directory_statement import statement_leaf
from schemas.errors import Refusal
from schemas.keyring import OfficerKeys
from schemas.keys import Use
from schemas.merkle import Frontier, leaf_hash, verify_consistency
from schemas.partnership import Partnership
from schemas.policing import LATE, check_text
from schemas.ranges import each, names, ranges_of
from schemas.record_sealing import record_hash
from schemas.retention import read_list
from schemas.signing import Signed
from schemas.witness import ACTIVE

T = TypeVar("T")
PATIENCE = 100
LONGEST_WAIT = 60.0
UNKNOWN_OFFICER = (
    "The relay does not know this officer's key. Ask your administrator whether the agency was taken in, "
    "and check this machine's clock."
)
AFTER_A_LOSS = (
    " If they say that the relay lost entries and oversight accepted it: keep this folder as it is, for it has what "
    "was lost, hold their file against it (fenpost-audit loss show), and pull into a new folder."
)
Progress = Callable[[int, int], None]
"""Told how many entries are stored, of how many."""


class Relay(Source, Protocol):
    """What pulling asks of a relay: agent.client.Relay does it."""

    async def checkpoint(self) -> str: ...
    async def consistency(self, old: int, new: int) -> tuple[bytes, ...]: ...
    async def head(self, log: str = api.LOG) -> api.WitnessPage: ...
    async def tile(self, path: str) -> bytes: ...
    async def policy(self, digest: str) -> bytes: ...
    async def records(self, start: int, limit: int) -> tuple[tuple[bytes, bytes], ...]: ...
    async def epochs(self, after: int) -> api.EpochsPage: ...
    async def retention(self, digest: str) -> bytes: ...


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
        await self._entries(checkpoint)
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
                text = await self._ask(partial(self.relay.retention, said.digest))
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
                text = await self._ask(partial(self.relay.policy, entry.digest))
                check_text(text, entry.digest, entry.version, entry.effective)
            except Refusal as refusal:
                if refusal.code not in ("NOT_FOUND", "POLICY_TEXT"):
                    raise
            else:
                self.mirror.add_policy(entry.digest, text)

    async def _checkpoint(self) -> Checkpoint:
        """The newest checkpoint, once it extends the one believed."""
        key = self.partnership.log_key
        note = await self._ask(self.relay.checkpoint)
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
        page = await self._ask(self.relay.head)
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
        page = await self._ask(partial(self.relay.head, api.KEYS))
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
            proof = await self._ask(partial(self.relay.consistency, old.size, new.size))
        try:
            verify_consistency(old.size, old.root, new.size, new.root, proof)
        except Refusal as error:
            raise Refusal("FORK", otherwise) from error

    # --- entries

    async def _entries(self, checkpoint: Checkpoint) -> None:
        proven = self.mirror.frontier()
        have = self.mirror.size()
        if have < proven.size or proven.size > checkpoint.size:
            raise Refusal("MIRROR", f"The mirror lacks entries that it had: the first is entry {have}.")
        frontier = proven
        for leaf in self.mirror.hashes(proven.size):
            frontier = frontier.append(leaf)
        self.progress(frontier.size, checkpoint.size)
        while frontier.size < checkpoint.size:
            frontier = await self._bundle(frontier, checkpoint.size)
            self.progress(frontier.size, checkpoint.size)
        if frontier.size != checkpoint.size or frontier.root() != checkpoint.root:
            self.mirror.drop_entries(proven.size)
            raise Refusal(
                "PROOF",
                f"The entries from {proven.size} on are not the ones that the relay signed. They were not kept. "
                "Tell oversight.",
            )
        self.mirror.prove(frontier)

    async def _bundle(self, frontier: Frontier, size: int) -> Frontier:
        """Fetch and store what is new of one bundle; the frontier after it."""
        start, have = frontier.size // BUNDLE * BUNDLE, frontier.size
        width = min(BUNDLE, size - start)
        leaves = await self._leaves(start // BUNDLE, width)
        for at, stored in enumerate(self.mirror.leaves(start, have), start):
            if leaves[at - start] != stored:
                raise Refusal("FORK", f"The relay shows another entry {at} than before. Tell oversight.")
        new = leaves[have - start :]
        records = await self._records(have, len(new))
        entries = [
            _entry(have + at, leaf, *pair, self.gone)
            for at, (leaf, pair) in enumerate(zip(new, records, strict=True))
        ]
        self.mirror.add_entries(entries)
        for entry in entries:
            frontier = frontier.append(entry.hash)
        return frontier

    async def _leaves(self, bundle: int, width: int) -> list[bytes]:
        path = f"entries/{tile_path(bundle)}"
        try:
            data = await self._ask(partial(self.relay.tile, path if width == BUNDLE else f"{path}.p/{width}"))
        except Refusal as refusal:
            if refusal.code != "NOT_FOUND" or width == BUNDLE:
                raise
            # The log grew meanwhile and the relay keeps only the full bundle.
            data = await self._ask(partial(self.relay.tile, path))
        leaves = list(islice(split_bundle(data), width))
        if len(leaves) != width:
            raise Refusal("PROOF", "The relay sent fewer entries than it signed. Tell oversight.")
        return leaves

    async def _records(self, start: int, count: int) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        while len(found) < count:
            limit = min(count - len(found), api.PAGE_RECORDS)
            more = await self._ask(partial(self.relay.records, start + len(found), limit))
            if not more:
                raise Refusal("PROOF", f"The relay keeps back its record of entry {start + len(found)}.")
            found += more
        return found[:count]

    # --- epochs

    async def _epochs(self) -> int:
        kid, new = self.keys.ig.kid, 0
        # The newest one is asked for again: a restarted relay may have begun another at the same entry.
        after = max(self.mirror.last_epoch(kid) - 1, -1)
        while True:
            page = await self._ask(partial(self.relay.epochs, after))
            if not page.epochs:
                return new
            if page.epochs[-1].first <= after:
                raise Refusal("FORM", party="relay")
            new += self.mirror.add_epochs(epoch for epoch in page.epochs if epoch.kid == kid)
            after = page.epochs[-1].first

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The relay's answer, waited for as long as it says when it has too much to do."""
        for _ in range(PATIENCE):
            try:
                return await question()
            except RelayRefusal as refusal:
                if refusal.code != "LIMITED":
                    raise
                await self.sleep(min(refusal.after or 1.0, LONGEST_WAIT))
        return await question()


def _entry(index: int, data: bytes, relay: bytes, sender: bytes, gone: Runs) -> Entry:
    leaf = Leaf.parse(data)
    if not relay:
        if not names(gone, index):
            raise Refusal(
                "PROOF",
                f"The relay has no record of entry {index}, and no retention statement whose notice is over lets it "
                "go. Tell oversight.",
            )
        return Entry(index, data, leaf_hash(data), b"", b"")
    if record_hash(relay) != leaf.relay_record:
        raise Refusal(
            "PROOF",
            f"The relay's record of entry {index} is not the one that its log commits to. Tell oversight.",
        )
    return Entry(index, data, leaf_hash(data), relay, sender)


def root_at(size: int, statements: tuple[Signed, ...]) -> bytes:
    """The directory log's root over its first `size` statements."""
    leaves = (leaf_hash(statement_leaf(signed)) for signed in statements[:size])
    return reduce(Frontier.append, leaves, Frontier()).root()
