"""Making evidence out of an officer's mirror: which entries, their proofs and keys, and the folder that is handed over.

Rules of this house:
- an export is finished or it is none: it is written beside its place and moved there at the end;
- what is in it is what the log commits to, or the export stops and says which entry is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from keys_tooling.audit.evidence import SENDERS, Contents, Proven, lines
from keys_tooling.audit.mirror import Entry, Mirror
from keys_tooling.audit.read import EpochRing, Opener, record_key_of, senders_key, unveiled
from keys_tooling.audit.telling import senders_hash
from keys_tooling.keyfiles import new_files, sync_folder
from schemas.audit import Leaf, tag_text
from schemas.checkpoint import open_checkpoint
from schemas.directory import safety_number
from schemas.errors import Refusal
from schemas.keyring import OfficerKeys
from schemas.merkle import inclusion_proof, node_hash
from schemas.opening import open_record
from schemas.partnership import Partnership
from schemas.record import SealedRecord
from schemas.record_sealing import record_hash

FILE, README, PART = "evidence.jsonl", "README.txt", "evidence.jsonl.part"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of her entries: those at [first, last], or of these the ones at `only`; `sealed` keeps them closed."""

    first: int
    last: int
    only: frozenset[int] | None
    sealed: bool


class Tree:
    """The log's tree over a mirror, from which proofs are read."""

    def __init__(self, mirror: Mirror, size: int) -> None:
        self.size = size
        self._hashes = [one for one, _ in zip(mirror.hashes(0), range(size), strict=False)]
        self._nodes: dict[tuple[int, int], bytes] = {}
        if len(self._hashes) != size:
            raise Refusal("MIRROR")

    def proof(self, index: int) -> tuple[bytes, ...]:
        return tuple(inclusion_proof(index, self.size, self._read))

    def _read(self, level: int, at: int) -> bytes:
        if level == 0:
            return self._hashes[at]
        if (level, at) not in self._nodes:
            left, right = self._read(level - 1, 2 * at), self._read(level - 1, 2 * at + 1)
            self._nodes[level, at] = node_hash(left, right)
        return self._nodes[level, at]


def chosen_entries(officer: Opener, tree: Tree, chosen: Chosen) -> Iterator[Proven]:
    """The officer's entries of a choice, with their proofs and keys.

    Raises:
        Refusal: MIRROR, naming the entry, when one of hers is not what the log commits to: nothing is exported then.
    """
    ring = officer.ring()
    for entry in officer.mirror.entries(chosen.first):
        if entry.index > min(chosen.last, tree.size - 1):
            return
        if not entry.relay or (chosen.only is not None and entry.index not in chosen.only):
            continue
        found = _keys(entry, ring, officer)
        if found is None:
            continue
        rk, srk = (None, None) if chosen.sealed else found
        yield Proven(entry.index, entry.leaf, entry.relay, entry.sender, tree.proof(entry.index), rk, srk)


def _keys(entry: Entry, ring: EpochRing, officer: Opener) -> tuple[bytes, bytes | None] | None:
    """The keys of an entry's two records; None when it is not hers."""
    try:
        leaf, record = Leaf.parse(entry.leaf), SealedRecord.parse(entry.relay)
        if record_hash(entry.relay) != leaf.relay_record:
            raise Refusal("RECORD")
        rk, damaged = record_key_of(record, ring, entry.index)
        if damaged:
            raise Refusal("RECORD")
        if rk is None:
            return None
        facts = open_record(record, rk, tag_text(leaf.tag))
    except Refusal as refusal:
        say = f"Entry {entry.index} of your mirror is not what the log commits to. Run: fenpost-audit verify"
        raise Refusal("MIRROR", say) from refusal
    if facts.get("event") not in SENDERS:
        return rk, None
    try:
        return rk, senders_key(unveiled(entry, leaf, rk, senders_hash(leaf, facts)), entry.index, officer)
    except Refusal:  # sealed to others, or missing: the entry says so by itself
        return rk, None


def contents(officer: Opener, partnership: Partnership, chosen: Chosen, oid: str, now: int) -> Contents:
    """What is written. Raises Refusal MIRROR when nothing was pulled."""
    mirror = officer.mirror
    note, keys_note = mirror.believed("log"), mirror.believed("keys")
    if note is None or keys_note is None:
        raise Refusal("MIRROR", "Nothing was pulled yet. Run: fenpost-audit pull")
    tree = Tree(mirror, open_checkpoint(note, partnership.log_key).size)
    texts = mirror.policies()
    named = dict.fromkeys(one.digest for one in officer.view.policies.entries)
    policies = tuple(texts[digest] for digest in named if digest in texts)
    entries = chosen_entries(officer, tree, chosen)
    return Contents(
        partnership, officer.agency.id, oid, now, (note, keys_note), mirror.statements(), policies, entries
    )


def write(
    folder: Path, made: Contents, keys: OfficerKeys, chosen: Chosen, progress: Callable[[int], None]
) -> tuple[Path, int]:
    """Write a new folder with the file and its README; the file's path, and how many entries are in it.

    Raises:
        Refusal: EXISTS when there is a finished export; FILE, DISK_FULL; MIRROR as `chosen_entries`.
    """
    with new_files(folder) as files:
        files.absent(FILE, README)
        count = _write(folder / PART, made, keys, progress)
        readme = _readme(made, chosen, count)
        files.secret(README, readme.encode("utf-8"))
        try:
            os.link(folder / PART, folder / FILE)
            (folder / PART).unlink()
        except OSError as error:
            raise Refusal("FILE", "The evidence cannot be written there. Choose another folder.") from error
        sync_folder(folder)
    return folder / FILE, count


def _write(path: Path, made: Contents, keys: OfficerKeys, progress: Callable[[int], None]) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    count = 0
    try:
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            for line in lines(made, keys):
                file.write(line)
                if line.startswith(b'{"i":'):
                    count += 1
                    progress(count)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Refusal("DISK_FULL" if error.errno == 28 else "FILE") from error
    return count


def _readme(made: Contents, chosen: Chosen, count: int) -> str:
    day = datetime.fromtimestamp(made.made, UTC).strftime("%d %B %Y, %H:%M UTC")
    opened = "It opens them: keep it as you keep a case file."
    if chosen.sealed:
        opened = "It proves them and does not open them."
    return f"""Evidence from the audit log of a Fenpost partnership
Made on {day}

evidence.jsonl holds {count:,} entries of the log, from position {chosen.first:,} to {chosen.last:,}, of one agency.
{opened}

To verify it, on any machine, without a network:
  fenpost-audit verify evidence.jsonl
Then compare the safety number that it prints with the one that the partnership's oversight reads aloud. It is
  {safety_number(made.partnership.charter.oversight)}

What it proves, when it verifies: each entry stands at its position in the log that the relay signed; its record is the
one that the log commits to; what people signed in it, they signed; and an IG officer of the agency put it together.
What it does not prove: that there is nothing else. Entries of other agencies, and of this one outside the choice, are
not in it. The officer who made it answers for the choice; that she made it is in the log, as {made.oid}.

This page is not evidence. A file that was cut off or changed does not verify, and the program names the first line
that does not fit.
"""
