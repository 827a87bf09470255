"""Entries on their way into a mirror: each with its record, and kept once their tree is the one that the relay signed
(PROTOCOL.md L5-L21)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice

from keys_tooling.audit.bundles import BUNDLE, split_bundle, tile_path
from keys_tooling.audit.mirror import Entry, Mirror
from keys_tooling.audit.pull_line import PullLine
from keys_tooling.audit.retaining import Runs
from schemas import api
from schemas.audit import Leaf
from schemas.checkpoint import Checkpoint
from schemas.errors import Refusal
from schemas.merkle import Frontier, leaf_hash
from schemas.ranges import names
from schemas.record_sealing import record_hash

Progress = Callable[[int, int], None]
"""Told how many entries are stored, of how many."""


@dataclass(frozen=True, slots=True)
class EntryPull:
    """What is new of the log, for one mirror; the records of `gone` entries may be missing."""

    line: PullLine
    mirror: Mirror
    gone: Runs
    progress: Progress

    async def run(self, checkpoint: Checkpoint) -> None:
        """Bring the mirror's entries up to this checkpoint. Raises Refusal MIRROR, FORK, PROOF, and the relay's own."""
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
            data = await self.line.ask(
                partial(self.line.relay.tile, path if width == BUNDLE else f"{path}.p/{width}")
            )
        except Refusal as refusal:
            if refusal.code != "NOT_FOUND" or width == BUNDLE:
                raise
            # The log grew meanwhile and the relay keeps only the full bundle.
            data = await self.line.ask(partial(self.line.relay.tile, path))
        leaves = list(islice(split_bundle(data), width))
        if len(leaves) != width:
            raise Refusal("PROOF", "The relay sent fewer entries than it signed. Tell oversight.")
        return leaves

    async def _records(self, start: int, count: int) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        while len(found) < count:
            limit = min(count - len(found), api.PAGE_RECORDS)
            more = await self.line.ask(partial(self.line.relay.records, start + len(found), limit))
            if not more:
                raise Refusal("PROOF", f"The relay keeps back its record of entry {start + len(found)}.")
            found += more
        return found[:count]


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
