"""The entries of a mirror, each held against its hash, its record and what was pulled with it, a million in seconds.

The loop below does in one piece what `_found` says step by step: what passes it is good, and what does not is looked at
again, slowly, for the name of what is wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from keys_tooling.audit.findings import Report
from keys_tooling.audit.mirror import Mirror, Stored, mark_of
from keys_tooling.audit.retaining import Runs
from schemas.audit import LEAF_SIZE, LEAF_VERSION, Leaf, tag_text
from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.merkle import Frontier, leaf_hash
from schemas.ranges import names
from schemas.record_sealing import MAGIC, record_hash

EVERY = 1024
"""Entries between two words to whoever watches the progress."""
_RECORD = hashlib.blake2b(b"fenpost/v1/rec\x00", digest_size=32)
"""record_hash of nothing yet: each record's goes on from a copy (F5)."""


def check_entries(
    mirror: Mirror,
    start: Frontier,
    wanted: set[int],
    meet: Callable[[Frontier], None],
    report: Report,
    gone: Runs,
    progress: Callable[[int], None],
) -> Frontier:
    """Check every entry from `start` on, up to the first gap; the edge of the tree behind the last one.

    Args:
        start: the edge before them.
        wanted: the sizes at which `meet` is told the edge.
        gone: entries whose records may be missing.
    """
    size, edge = start.size, list(start.edge)
    sha, record = hashlib.sha256, _RECORD
    for stored in mirror.stored(size):
        index, leaf, digest, relay, sender, mark = stored
        if index != size:
            break  # behind a gap nothing can be held against a checkpoint: the gap is the finding
        state = record.copy()
        state.update(relay)
        if not (
            len(leaf) == LEAF_SIZE
            and leaf[:1] == LEAF_VERSION
            and sha(b"\x00" + leaf).digest() == digest
            and state.digest() == leaf[33:65]
            and relay[:4] == MAGIC
            and relay[8:61] == b'{"ctx":"' + b64(leaf[1:33]).encode("ascii") + b'",'
            and mark_of(sender) == mark
        ) and (kind := _found(stored, report, gone)):
            report.find("log", index, kind)
        node, at = digest, size
        while at & 1:
            node = sha(b"\x01" + edge.pop() + node).digest()
            at >>= 1
        edge.append(node)
        size += 1
        if size in wanted:
            meet(Frontier(size, tuple(edge)))
        if not size % EVERY:
            progress(size)
    return Frontier(size, tuple(edge))


def _found(stored: Stored, report: Report, gone: Runs) -> str:
    """What is wrong with an entry; nothing when its record was deleted as it may be."""
    index, data, digest, relay, sender, mark = stored
    try:
        leaf = Leaf.parse(data)
    except Refusal:
        return "entry"
    if leaf_hash(data) != digest:
        return "entry"
    if not relay:
        report.deleted += 1
        return "" if names(gone, index) else "gone"
    if record_hash(relay) != leaf.relay_record:
        return "record"
    if not _belongs(relay, leaf):
        return "context"
    return "" if mark_of(sender) == mark else "sender"


def _belongs(record: bytes, leaf: Leaf) -> bool:
    # A head is canonical, so its context stands first. Parsing every record would take five times as long and tell
    # no more: the entry commits to its bytes, and reading parses what it opens.
    context = b'{"ctx":"' + tag_text(leaf.tag).encode("ascii") + b'",'
    return record.startswith(MAGIC) and record.startswith(context, len(MAGIC) + 4)
