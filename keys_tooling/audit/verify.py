"""Verifying a mirror, offline and whole, taking nothing in it for granted. Streams; never holds more than one entry.

The tree is built from the hashes that were proven at pull, and each entry is held against its hash. So a change is
pinned to its very entry, and a changed hash shows in the tree.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from keys_tooling.audit.entries import check_entries
from keys_tooling.audit.findings import Report
from keys_tooling.audit.mirror import Log, Mirror, claimed_size
from keys_tooling.audit.retaining import Runs, let_go, on_record, shortest_of, too_early
from keys_tooling.audit.vouching import Shown, Tally, Vouched, opened
from schemas.checkpoint import Checkpoint, LogKey, open_checkpoint
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.merkle import Frontier
from schemas.partnership import Partnership
from schemas.policing import LATE

NOTHING = Frontier()
UNVOUCHED = (
    "What was verified before is in no checkpoint that this mirror has. Verify it whole: fenpost-audit verify"
)


def verify(
    mirror: Mirror,
    partnership: Partnership,
    progress: Callable[[int], None],
    since: Frontier = NOTHING,
) -> Report:
    """Verify all that a mirror holds; with `since`, of the entries only those behind that edge.

    Args:
        since: the edge of the entries that an earlier run found whole (keys_tooling.audit.verified).

    Raises:
        Refusal: MIRROR when it is of another log, when there is nothing in it, or no checkpoint in it is of `since`.
    """
    charter = partnership.charter
    mirror.claim(charter.origin, charter.oversight)
    report = Report()
    notes = _Checkpoints(mirror, "log", partnership.log_key, report, partnership)
    if not notes.all and report.whole:
        raise Refusal("MIRROR", "Nothing was pulled yet. Run: fenpost-audit pull")
    view = _directory(mirror, partnership, report)
    if not any(finding.log == "keys" for finding in report.findings):  # else their keys are not known
        report.seen = max((note.seen for note in mirror.notes("log")), default=0)
        report.vouched = _witnessed("log", mirror, partnership, view, notes, report)
        report.directory_vouched = _witnessed("keys", mirror, partnership, view, None, report)
    gone = _let_go(mirror, view, report)
    if since.size and not notes.vouches(since):
        raise Refusal("MIRROR", UNVOUCHED)
    notes.meet(since)
    report.first = since.size
    frontier = check_entries(mirror, since, notes.sizes, notes.meet, report, gone, progress)
    notes.end(frontier.size)
    report.entries, report.root, report.edge = frontier.size, frontier.root().hex(), frontier
    return report


def _let_go(mirror: Mirror, view: Directory, report: Report) -> Runs:
    """Entries whose records may be missing; what was named before its time is a finding (Y6)."""
    lists = on_record(mirror, view)
    for index in {*mirror.named_early(), *too_early(mirror, lists, shortest_of(mirror, view))}:
        report.find("log", index, "early")
    return let_go(lists, max((note.seen for note in mirror.notes("log")), default=0) + LATE)


def _witnessed(
    log: Log,
    mirror: Mirror,
    partnership: Partnership,
    view: Directory,
    notes: _Checkpoints | None,
    report: Report,
) -> Vouched:
    """Count again who vouched for a log; each head of the audit log must be of the history that `notes` are of."""
    tally = Tally(partnership, view, mirror.began() or 0)
    for head in mirror.heads(log):
        try:
            published = opened(head.text, partnership, log)
            stood = tally.weigh(Shown(published, head.seen))
        except Refusal:
            report.find(log, claimed_size(head.text), "cosigned")
            continue
        if not head.whole or (head.stood and not stood):
            report.find(log, published.checkpoint.size, "cosigned")
        if notes is not None:
            notes.expect(published.checkpoint)
    return tally.so_far(report.seen)


class _Checkpoints:
    """The checkpoints of one log, held against a tree as it grows.

    With `second`, a checkpoint that was believed must carry the log's second line too.
    """

    def __init__(
        self, mirror: Mirror, log: Log, key: LogKey, report: Report, second: Partnership | None = None
    ) -> None:
        self.log, self.report = log, report
        self.all: list[Checkpoint] = []
        self.believed = 0
        for note in mirror.notes(log):
            try:
                checkpoint = open_checkpoint(note.text, key)
            except Refusal:
                report.find(log, claimed_size(note.text), "checkpoint")
                continue
            self.all.append(checkpoint)
            if note.believed:
                self.believed = max(self.believed, checkpoint.size)
            if note.believed and second is not None and not _doubly_signed(note.text, second):
                report.find(log, checkpoint.size, "second")
        report.checkpoints += len(self.all)
        for before, after in zip(self.all, self.all[1:], strict=False):
            if after.size < before.size:
                report.find(log, after.size, "rollback")
        self._waiting: dict[int, set[bytes]] = {}
        for checkpoint in self.all:
            self._waiting.setdefault(checkpoint.size, set()).add(checkpoint.root)
        self.vouched = 0
        self._odd: list[tuple[int, int]] = []

    def expect(self, checkpoint: Checkpoint) -> None:
        """Hold another head against the tree too, when the tree is stored so far."""
        if checkpoint.size <= self.believed:
            self._waiting.setdefault(checkpoint.size, set()).add(checkpoint.root)

    @property
    def sizes(self) -> set[int]:
        return set(self._waiting)

    def vouches(self, frontier: Frontier) -> bool:
        """Whether the log signed this very tree."""
        return frontier.root() in self._waiting.get(frontier.size, ())

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


def _doubly_signed(text: str, partnership: Partnership) -> bool:
    try:
        opened(text, partnership)
    except Refusal:
        return False
    return True


def _directory(mirror: Mirror, partnership: Partnership, report: Report) -> Directory:
    notes = _Checkpoints(mirror, "keys", partnership.keys_log_key, report)
    for head in mirror.heads("keys"):
        with suppress(Refusal):  # one that does not open is found where who vouched is counted
            notes.expect(opened(head.text, partnership, "keys").checkpoint)
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
