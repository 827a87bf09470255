"""What verifying a mirror can find, and what each finding means in plain words."""

from __future__ import annotations

from dataclasses import dataclass, field

from keys_tooling.audit.mirror import Log
from keys_tooling.audit.vouching import Vouched
from schemas.canonical import Json
from schemas.merkle import EMPTY_ROOT, Frontier

MOST = 100
"""Findings that are listed; more are only counted."""
MEANS = {
    "checkpoint": "This checkpoint is not signed by the relay's log key: it was changed or made up in this mirror.",
    "second": "The relay signed this checkpoint, and the line of the log's second key (ML-DSA-44) is missing or does "
    "not verify: it was changed in this mirror, or made with a stolen or broken key. Tell oversight.",
    "cosigned": "Agencies vouched for this head when it was pulled, and what is stored does not show it any more: its "
    "lines were changed or taken out in this mirror.",
    "rollback": "The relay showed a shorter log than before: entries that it had signed were gone. Tell oversight.",
    "fork": "The relay signed this checkpoint, yet it cannot be true together with others that it signed: two "
    "histories. Keep this folder as it is: it is the proof. Tell oversight.",
    "tree": "From here on, no checkpoint vouches for the stored entries: they were changed in this mirror, or the "
    "relay signed another history.",
    "unproven": "The relay signed this checkpoint and did not show that it continues the log. Pull again; if that is "
    "refused, tell oversight.",
    "missing": "Entries that the relay signed for are not stored. Pull again; if a pull had ended before, they were "
    "taken out of this mirror.",
    "extra": "Entries are stored that no checkpoint vouches for: they were added to this mirror.",
    "entry": "The stored entry is not the one that was proven when it was pulled: it was changed in this mirror.",
    "record": "The relay's sealed record is not the one that this entry commits to: it was changed in this mirror.",
    "context": "The relay's sealed record belongs to another entry.",
    "sender": "The sealed sender's record of this entry is not the one that was pulled: it was changed in this mirror.",
    "gone": "The record of this entry is missing, and no retention statement whose notice is over lets it go. "
    "Tell oversight.",
    "early": "A retention statement names this entry, and its time was not over. Tell oversight, and keep this mirror.",
    "statement": "A directory statement does not follow from the ones before it: it was changed, moved or taken out.",
}


OF_CHECKPOINTS = ("checkpoint", "second", "cosigned", "rollback", "fork", "unproven")
PINNED = ("entry", "record", "context", "sender")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: in which log, at which entry (or checkpoint of that many entries), and what it means."""

    log: Log
    position: int
    kind: str

    @property
    def means(self) -> str:
        return MEANS[self.kind]

    @property
    def place(self) -> str:
        if self.kind in OF_CHECKPOINTS:
            return f"the {self.what} checkpoint of {self.position} entries"
        return f"{'entry' if self.log == 'log' else 'directory statement'} {self.position}"

    @property
    def what(self) -> str:
        return "log's" if self.log == "log" else "directory's"

    def to_json(self) -> dict[str, Json]:
        return {
            "kind": self.kind,
            "log": self.log,
            "means": self.means,
            "place": self.place,
            "position": self.position,
        }


@dataclass(slots=True)
class Report:
    """What verifying found. `root` is that of all stored entries, in hex; those before `first` were not read again."""

    entries: int = 0
    first: int = 0
    checkpoints: int = 0
    statements: int = 0
    deleted: int = 0
    root: str = EMPTY_ROOT.hex()
    findings: list[Finding] = field(default_factory=list)
    unlisted: int = 0
    vouched: Vouched | None = None
    """Who vouched for the log, as of the newest checkpoint (PROTOCOL.md L20)."""
    directory_vouched: Vouched | None = None
    seen: int = 0
    """When the newest checkpoint was pulled, in Unix seconds."""
    edge: Frontier = field(default_factory=Frontier, repr=False)
    """The edge of the tree over all that was read."""

    @property
    def whole(self) -> bool:
        return not self.findings

    def find(self, log: Log, position: int, kind: str) -> None:
        finding = Finding(log, position, kind)
        if len(self.findings) == MOST:
            self.unlisted += 1
        elif finding not in self.findings:
            self.findings.append(finding)

    def pinned(self, log: Log, start: int) -> int:
        """The first entry at or after `start` that is known to be bad; `start` when none is."""
        found = [f.position for f in self.findings if f.log == log and f.kind in PINNED]
        return min((position for position in found if position >= start), default=start)

    def ordered(self) -> list[Finding]:
        """The findings, the first bad position first: of the audit log before the directory's."""
        return sorted(self.findings, key=lambda f: (f.log != "log", f.position, f.kind in OF_CHECKPOINTS))

    def to_json(self) -> dict[str, Json]:
        findings = [finding.to_json() for finding in self.ordered()]
        return {
            "checkpoints": self.checkpoints,
            "deleted": self.deleted,
            "entries": self.entries,
            "findings": findings,
            "first": findings[0] if findings else None,
            "from": self.first,
            "ok": self.whole,
            "root": self.root,
            "statements": self.statements,
            "unlisted": self.unlisted,
            "vouched": None if self.vouched is None else self.vouched.to_json(self.seen),
            "directory_vouched": None
            if self.directory_vouched is None
            else self.directory_vouched.to_json(self.seen),
        }

    def text(self, number: str) -> str:
        """For people. `number` is oversight's safety number, to be compared once with what oversight reads aloud."""
        counts = [
            "",
            f"Entries        {self.entries:,}, root {self.root[:16]}",
            *([f"Read           from entry {self.first:,} on"] if self.first else []),
            *(
                [f"Deleted        {self.deleted:,} records, on schedule unless said above"]
                if self.deleted
                else []
            ),
            f"Checkpoints    {self.checkpoints:,}",
            f"Directory      {self.statements:,} statements",
            *([] if self.vouched is None else [f"Witnesses      {self.vouched.text(self.seen)}"]),
            *(
                []
                if self.directory_vouched is None
                else [f"  of directory {self.directory_vouched.text(self.seen)}"]
            ),
            f"Oversight      safety number {number}",
        ]
        if self.whole:
            said = "WHOLE. Everything stored is what the relay signed, in one history."
            if self.first:
                said = "WHOLE since it was verified last. What is new continues the one history that the relay signed."
            return "\n".join([said, *counts])
        found = self.ordered()
        lines = [f"NOT WHOLE. The first bad position is {found[0].place}."]
        lines += [f"  {finding.place}: {finding.means}" for finding in found[:10]]
        more = len(found) - 10 + self.unlisted
        return "\n".join([*lines, *([f"  and {more:,} more"] if more > 0 else []), *counts])
