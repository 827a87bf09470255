"""Verifying a mirror, offline and whole, taking nothing in it for granted. Streams; never holds more than one entry.

The tree is built from the hashes that were proven at pull, and each entry is held against its hash. So a change is
pinned to its very entry, and a changed hash shows in the tree.
"""

from __future__ import annotations

from collections.abc import Callable

from keys_tooling.audit.findings import Report
from keys_tooling.audit.mirror import Entry, Log, Mirror
from keys_tooling.audit.retaining import Runs, let_go, on_record, shortest_of, too_early
from schemas.audit import Leaf, tag_text
from schemas.checkpoint import Checkpoint, LogKey, open_checkpoint
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.merkle import Frontier, leaf_hash
from schemas.partnership import Partnership
from schemas.policing import LATE
from schemas.ranges import names
from schemas.record_sealing import MAGIC, record_hash


def verify(mirror: Mirror, partnership: Partnership, progress: Callable[[int], None]) -> Report:
    """Verify all that a mirror holds.

    Raises:
        Refusal: MIRROR when it is of another log, or when there is nothing in it.
    """
    charter = partnership.charter
    mirror.claim(charter.origin, charter.oversight)
    report = Report()
    notes = _Checkpoints(mirror, "log", partnership.log_key, report)
    if not notes.all and report.whole:
        raise Refusal("MIRROR", "Nothing was pulled yet. Run: fenpost-audit pull")
    view = _directory(mirror, partnership, report)
    gone = _let_go(mirror, view, report)
    _entries(mirror, notes, report, progress, gone)
    return report


def _let_go(mirror: Mirror, view: Directory, report: Report) -> Runs:
    """Entries whose records may be missing; what was named before its time is a finding (Y6)."""
    lists = on_record(mirror, view)
    for index in {*mirror.named_early(), *too_early(mirror, lists, shortest_of(mirror, view))}:
        report.find("log", index, "early")
    return let_go(lists, max((note.seen for note in mirror.notes("log")), default=0) + LATE)


class _Checkpoints:
    """The checkpoints of one log, held against a tree as it grows."""

    def __init__(self, mirror: Mirror, log: Log, key: LogKey, report: Report) -> None:
        self.log, self.report = log, report
        self.all: list[Checkpoint] = []
        self.believed = 0
        for note in mirror.notes(log):
            try:
                checkpoint = open_checkpoint(note.text, key)
            except Refusal:
                report.find(log, _claimed_size(note.text), "checkpoint")
                continue
            self.all.append(checkpoint)
            if note.believed:
                self.believed = max(self.believed, checkpoint.size)
        report.checkpoints += len(self.all)
        for before, after in zip(self.all, self.all[1:], strict=False):
            if after.size < before.size:
                report.find(log, after.size, "rollback")
        self._waiting: dict[int, set[bytes]] = {}
        for checkpoint in self.all:
            self._waiting.setdefault(checkpoint.size, set()).add(checkpoint.root)
        self.vouched = 0
        self._odd: list[tuple[int, int]] = []

    def meet(self, frontier: Frontier) -> None:
        """Hold the checkpoints of this size against the tree."""
        roots = self._waiting.pop(frontier.size, None)
        if roots is None:
            return
        own = frontier.root()
        self._odd += [(frontier.size, self.vouched)] * len(roots - {own})
        if own in roots:
            self.vouched = frontier.size

    def end(self, size: int) -> None:
        """Say what did not fit, once the tree has its full `size`."""
        for at, vouched in self._odd:
            if at <= self.vouched:
                self.report.find(self.log, at, "fork")
            else:
                self.report.find(self.log, self.report.pinned(self.log, vouched), "tree")
        largest = max((checkpoint.size for checkpoint in self.all), default=0)
        if size < self.believed:
            self.report.find(self.log, size, "missing")
        elif size > largest:
            self.report.find(self.log, largest, "extra")
        for at in self._waiting:
            if at > max(size, self.believed):
                self.report.find(self.log, at, "unproven")


def _entries(
    mirror: Mirror, notes: _Checkpoints, report: Report, progress: Callable[[int], None], gone: Runs
) -> None:
    frontier = Frontier()
    notes.meet(frontier)
    for entry in mirror.entries():
        if entry.index != frontier.size:
            # Behind a gap nothing can be held against a checkpoint: the gap is the finding.
            break
        _entry(entry, report, gone)
        frontier = frontier.append(entry.hash)
        notes.meet(frontier)
        if not frontier.size % 256:
            progress(frontier.size)
    notes.end(frontier.size)
    report.entries, report.root = frontier.size, frontier.root().hex()


def _entry(entry: Entry, report: Report, gone: Runs) -> None:
    try:
        leaf = Leaf.parse(entry.leaf)
    except Refusal:
        report.find("log", entry.index, "entry")
        return
    if leaf_hash(entry.leaf) != entry.hash:
        report.find("log", entry.index, "entry")
    elif not entry.relay:
        report.deleted += 1
        if not names(gone, entry.index):
            report.find("log", entry.index, "gone")
    elif record_hash(entry.relay) != leaf.relay_record:
        report.find("log", entry.index, "record")
    elif not _belongs(entry.relay, leaf):
        report.find("log", entry.index, "context")


def _belongs(record: bytes, leaf: Leaf) -> bool:
    # A head is canonical, so its context stands first. Parsing every record would take five times as long and tell
    # no more: the entry commits to its bytes, and reading parses what it opens.
    context = b'{"ctx":"' + tag_text(leaf.tag).encode("ascii") + b'",'
    return record.startswith(MAGIC) and record.startswith(context, len(MAGIC) + 4)


def _directory(mirror: Mirror, partnership: Partnership, report: Report) -> Directory:
    notes = _Checkpoints(mirror, "keys", partnership.keys_log_key, report)
    view = Directory(partnership.charter.oversight)
    notes.meet(view.frontier)
    for at, signed in enumerate(mirror.statements()):
        try:
            view.apply(signed)
        except Refusal:
            report.find("keys", at, "statement")
            return view
        notes.meet(view.frontier)
    notes.end(view.size)
    report.statements = view.size
    return view


def _claimed_size(text: str) -> int:
    line = [*text.split("\n"), "", ""][1]
    return int(line) if line.isascii() and line.isdigit() and len(line) < 19 else 0
