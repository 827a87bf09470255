"""Giving both logs back what an old database lacks, out of an IG officer's mirror (PROTOCOL.md L24).

What she mirrored is what this relay once signed, byte for byte, so nothing here has to be believed: the entries must
hash to a head that the log's own key signed. The database comes back as it was; messages that were on their way do not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from broker.ledger import Ledger, completed, grown
from broker.tables import heads, leaves, nodes, policies, records, statements
from schemas.audit import Leaf
from schemas.checkpoint import Checkpoint, LogKey, open_checkpoint
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.merkle import Frontier
from schemas.partnership import Partnership
from schemas.record_sealing import record_hash
from schemas.signing import Signed

TOGETHER = 1024


@dataclass(frozen=True, slots=True)
class Given:
    """An entry as an officer's mirror has it."""

    leaf: bytes
    relay: bytes
    sender: bytes


async def refill(
    connection: AsyncConnection, ledger: Ledger, mirror: Path, partnership: Partnership, most: int
) -> int:
    """Append what the mirror has and the stored log lacks, up to the newest signed head of at most `most` entries.

    Gives how many entries that were.

    Raises:
        Refusal: FILE for what is no mirror; PROOF for entries that this relay did not sign; NOT_FOUND when the mirror
            has nothing that is missing here.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(mirror))}?mode=ro", uri=True)) as database:
            head, note = _newest(database, partnership, ledger.size, most)
            frontier = await _append(connection, ledger.frontier, _entries(database, ledger.size, head.size))
    except sqlite3.Error as error:
        raise Refusal("FILE", "This file is no officer's mirror (mirror.db). Check its path.") from error
    if (frontier.size, frontier.root()) != (head.size, head.root):
        raise Refusal(
            "PROOF", "The mirror's entries are not the ones that this relay signed. Nothing was changed."
        )
    await connection.execute(update(heads).where(heads.c.name == "log").values(size=head.size, note=note))
    return head.size - ledger.size


async def refill_directory(
    connection: AsyncConnection, view: Directory, mirror: Path, partnership: Partnership, most: int
) -> int:
    """The same for the directory: its statements are too old by now for anybody to post them again (K8).

    Gives how many there were; 0 when the mirror has none that are missing here. Raises Refusal FILE, PROOF.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(mirror))}?mode=ro", uri=True)) as database:
            row = database.execute("SELECT max(n) FROM statement").fetchone()
            newest = _head(database, "keys", partnership.keys_log_key, view.size, min(_count(row), most))
            if newest is None:
                return 0
            head, note = newest
            asked = "SELECT text, signature FROM statement WHERE n >= ? AND n < ? ORDER BY n"
            found = [Signed(*row) for row in database.execute(asked, (view.size, head.size))]
            texts = database.execute("SELECT digest, text FROM policy").fetchall()
    except sqlite3.Error as error:
        raise Refusal("FILE", "This file is no officer's mirror (mirror.db). Check its path.") from error
    grown_view, rows = view.copied(), []
    for n, signed in enumerate(found, view.size):
        said = grown_view.apply(signed)
        rows.append(
            {"n": n, "agency": said.agency, "seq": said.seq, "text": signed.text, "sig": signed.signature}
        )
    if (grown_view.size, grown_view.frontier.root()) != (head.size, head.root):
        raise Refusal(
            "PROOF", "The mirror's statements are not the ones that this relay signed. Nothing was changed."
        )
    await connection.execute(insert(statements), rows)
    have = set((await connection.execute(select(policies.c.digest))).scalars())
    asked_for = {entry.digest for entry in grown_view.policies.entries} - have
    if missing := [{"digest": digest, "text": text} for digest, text in texts if digest in asked_for]:
        await connection.execute(insert(policies), missing)
    await connection.execute(update(heads).where(heads.c.name == "keys").values(size=head.size, note=note))
    return len(rows)


def _count(row: tuple[int | None]) -> int:
    return 0 if row[0] is None else int(row[0]) + 1


def _head(
    database: sqlite3.Connection, log: str, key: LogKey, least: int, most: int
) -> tuple[Checkpoint, str] | None:
    """The newest head of this log among the mirror's checkpoints with more than `least` leaves, and at most `most`."""
    found: list[tuple[Checkpoint, str]] = []
    for (text,) in database.execute("SELECT text FROM note WHERE log = ?", (log,)):
        try:
            checkpoint = open_checkpoint(text, key)
        except Refusal:
            continue
        if least < checkpoint.size <= most:
            found.append((checkpoint, text))
    return max(found, key=lambda pair: pair[0].size, default=None)


def _newest(
    database: sqlite3.Connection, partnership: Partnership, least: int, most: int
) -> tuple[Checkpoint, str]:
    """The newest head among the mirror's checkpoints whose entries it has."""
    have = _count(database.execute("SELECT max(i) FROM entry").fetchone())
    found = _head(database, "log", partnership.log_key, least, min(have, most))
    if found is None:
        raise Refusal(
            "NOT_FOUND", "The mirror has no signed entries that are missing here. Nothing was changed."
        )
    return found


def _entries(database: sqlite3.Connection, start: int, end: int) -> Iterator[list[Given]]:
    rows = database.execute(
        "SELECT leaf, relay, sender FROM entry WHERE i >= ? AND i < ? ORDER BY i", (start, end)
    )
    while batch := rows.fetchmany(TOGETHER):
        yield [Given(*row) for row in batch]


async def _append(
    connection: AsyncConnection, frontier: Frontier, batches: Iterator[list[Given]]
) -> Frontier:
    """Store entries behind `frontier`; nothing is signed, the head for them was signed long ago."""
    for batch in batches:
        for given in batch:
            if given.relay and record_hash(given.relay) != Leaf.parse(given.leaf).relay_record:
                raise Refusal("PROOF", "A record in the mirror is not its entry's. Nothing was changed.")
        before, rows = frontier.size, list(enumerate(batch, frontier.size))
        frontier, made = grown(frontier, [given.leaf for given in batch])
        await connection.execute(insert(leaves), [{"idx": n, "leaf": g.leaf} for n, g in rows])
        await connection.execute(
            insert(records), [{"idx": n, "relay": g.relay, "sender": g.sender} for n, g in rows]
        )
        if done := completed(made, before):
            await connection.execute(insert(nodes), [{"level": a, "idx": b, "hash": c} for a, b, c in done])
    return frontier
