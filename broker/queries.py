"""All SQL of the hot path: what a turn reads, what it writes, what a mailbox page holds. Few statements, many rows.

Functions here take SQLAlchemy's plain connection and run inside `run_sync`: one switch for a whole turn, not one for
each statement.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, or_, select, update

from broker import recalls
from broker.epochs import Wrapped
from broker.ledger import Growth
from broker.statements import Statement, store
from broker.sweeping import NOTICE_KEPT
from broker.tables import (
    deliveries,
    envelopes,
    epochs,
    grants,
    heads,
    inquiries,
    invites,
    leaves,
    nodes,
    notices,
    overrides,
    policies,
    records,
    seen,
    statements,
    statuses,
)
from broker.turn import Agreement, Desk, Held, Rows, Turn, Work, grant_of, status_of
from schemas.directory_statement import statement_leaf
from schemas.invite import KEPT as INVITE_KEPT
from schemas.merkle import leaf_hash
from schemas.signing import Signed

HELD = (
    deliveries.c.id,
    deliveries.c.eid,
    deliveries.c.agency,
    deliveries.c.desk,
    deliveries.c.state,
    envelopes.c.body,
    envelopes.c.sender,
    envelopes.c.desk.label("sender_desk"),
    envelopes.c.mid,
    envelopes.c.gid,
    envelopes.c.exp,
)
IN_HAND = (
    select(*HELD)
    .join_from(deliveries, envelopes, deliveries.c.eid == envelopes.c.eid)
    .order_by(deliveries.c.id)
)
SELECT_HELD = Statement(lambda eids: IN_HAND.where(deliveries.c.eid.in_(eids)), "eids")
SELECT_RESTING = Statement(
    lambda gids: IN_HAND.add_columns(envelopes.c.front).where(envelopes.c.gid.in_(gids)), "gids"
)
SELECT_SEEN = Statement(lambda keys: select(seen.c.key, seen.c.idx).where(seen.c.key.in_(keys)), "keys")
SELECT_GRANTS = Statement(lambda gids: select(grants).where(grants.c.gid.in_(gids)), "gids")
SELECT_STATUSES = Statement(lambda gids: select(statuses).where(statuses.c.gid.in_(gids)), "gids")
UPDATE_DELIVERY = Statement(
    lambda: update(deliveries).where(deliveries.c.id == bindparam("key")).values(state=bindparam("new_state"))
)
UPDATE_ENDED = Statement(
    lambda: (
        update(deliveries)
        .where(deliveries.c.id == bindparam("key"))
        .values(state=bindparam("new_state"), wrap=b"")
    )
)
UPDATE_LIMITED = Statement(
    lambda: (
        update(grants)
        .where(grants.c.gid == bindparam("key"))
        .values(text=bindparam("newer_text"), sig=bindparam("newer_sig"))
    )
)
UPDATE_WITHDRAWN = Statement(
    lambda: (
        update(grants)
        .where(grants.c.gid == bindparam("key"))
        .values(withdrawn_text=bindparam("withdrawn_text"), withdrawn_sig=bindparam("withdrawn_sig"))
    )
)
DELETE_DELIVERIES = Statement(lambda eids: delete(deliveries).where(deliveries.c.eid.in_(eids)), "eids")
DELETE_ENVELOPES = Statement(lambda eids: delete(envelopes).where(envelopes.c.eid.in_(eids)), "eids")
DELETE_NOTICES = Statement(
    # Found by their ids: by its agency the store would go through all that one which was long away has waiting.
    lambda ids: delete(notices).where(
        notices.c.id.in_(ids), func.trim(notices.c.agency) == bindparam("whose")
    ),
    "ids",
)
SELECT_NEW = Statement(
    lambda: (
        select(leaves.c.idx, leaves.c.leaf).where(leaves.c.idx >= bindparam("size")).order_by(leaves.c.idx)
    )
)
SELECT_SAID = Statement(
    lambda: (
        select(statements.c.n, statements.c.text, statements.c.sig)
        .where(statements.c.n >= bindparam("size"))
        .order_by(statements.c.n)
    )
)
UPDATE_HEAD = Statement(
    lambda: (
        update(heads)
        .where(heads.c.name == bindparam("which"), heads.c.size == bindparam("old"))
        .values(size=bindparam("new"), note=bindparam("signed"))
    )
)


def load(connection: Connection, turn: Turn, works: Iterable[Work]) -> None:
    """Read every row that these works will be decided on."""
    works = tuple(works)
    keys = {key for work in works for key in work.marks()} | {work.nonce for work in works if work.nonce}
    turn.connection = connection
    turn.look = partial(look, connection)
    turn.owed = partial(recalls.look, connection)
    turn.seen = look(connection, list(keys))
    if eids := {eid for work in works for eid in work.eids()}:
        _hold(turn, SELECT_HELD.rows(connection, eids=list(eids)))
    if gids := {gid for work in works for gid in work.withdrawn_gids()}:
        _hold(turn, SELECT_RESTING.rows(connection, gids=list(gids)))
    if gids := {gid for work in works for gid in work.gids()}:
        _agree(connection, turn, list(gids))
    for place in {place for work in works for place in work.statements()}:
        where = (statements.c.agency == place[0]) & (statements.c.seq == place[1])
        if (row := connection.execute(select(statements).where(where)).first()) is not None:
            turn.said[place] = Signed(row.text, row.sig)


def look(connection: Connection, keys: list[bytes]) -> dict[bytes, int | None]:
    """Those of these hashes that are remembered, with their leaf's index where they have one."""
    if not keys:
        return {}
    return {row.key: row.idx for row in SELECT_SEEN.rows(connection, keys=keys)}


def _hold(turn: Turn, rows: Iterable[Any]) -> None:
    # The same envelope may come by both ways; its desks must be one set of objects.
    fresh: dict[bytes, Held] = {}
    for row in rows:
        held = fresh.get(row.eid)
        if held is None:
            held = Held(row.eid, row.body, row.sender, row.sender_desk, row.mid, row.gid, row.exp, [])
            held.front = getattr(row, "front", b"")
            fresh[row.eid] = held
        held.desks.append(Desk(row.id, row.agency, row.desk, row.state))
    turn.held |= fresh


def held(turn: Turn, eid: bytes) -> Held | None:
    """A stored envelope, read now unless the turn has it already."""
    if eid not in turn.held:
        _hold(turn, SELECT_HELD.rows(turn.db, eids=[eid]))
    return turn.held.get(eid)


def agreement(turn: Turn, gid: str | None) -> Agreement | None:
    """The agreement with this handle, read now unless the turn has it already."""
    if gid is not None and gid not in turn.agreements:
        _agree(turn.db, turn, [gid])
    return turn.agreements.get(gid or "")


def _agree(connection: Connection, turn: Turn, gids: list[str]) -> None:
    for row in SELECT_GRANTS.rows(connection, gids=gids):
        signed = Signed(row.text, row.sig)
        gone = None if row.withdrawn_text is None else Signed(row.withdrawn_text, row.withdrawn_sig)
        turn.agreements[row.gid] = Agreement(grant_of(signed), signed, {}, gone)
    for row in SELECT_STATUSES.rows(connection, gids=gids):
        signed = Signed(row.text, row.sig)
        if row.gid in turn.agreements:
            turn.agreements[row.gid].statuses[row.hash] = (status_of(signed), signed)


def write(connection: Connection, turn: Turn, wraps: list[Wrapped]) -> None:
    """Write all that a turn did but what waits for its records to be sealed."""
    _write_rows(connection, turn.rows)
    recalls.write(connection, turn)
    if changed := turn.changed():
        for statement, over in ((UPDATE_DELIVERY, False), (UPDATE_ENDED, True)):
            rows = [{"key": c["key"], "new_state": c["state"]} for c in changed if c["over"] == over]
            if rows:
                statement.each(connection, rows)
    if gone := turn.gone():
        DELETE_DELIVERIES.run(connection, eids=gone)
        DELETE_ENVELOPES.run(connection, eids=gone)
    if wraps:
        store(connection, epochs, [_wrap_row(wrap) for wrap in wraps])


def write_grown(connection: Connection, turn: Turn, growth: Growth, size: int) -> bool:
    """Write the log as it grew, and the envelopes with their proofs; False when the stored log is not at `size`, or
    holds other leaves than were hashed, so that nothing may be committed and no head leaves the relay."""
    if turn.rows.envelopes:
        store(connection, envelopes, turn.rows.envelopes)
    store(connection, leaves, [{"idx": e.index, "leaf": e.leaf} for e in turn.entries])
    if not growth.stands(size, SELECT_NEW.rows(connection, size=size)):
        return False
    kept = [{"idx": e.index, "relay": e.record, "sender": e.veiled} for e in turn.entries]
    store(connection, records, kept)
    if found := growth.stored_nodes(size):
        store(connection, nodes, [{"level": a, "idx": b, "hash": c} for a, b, c in found])
    return move_head(connection, "log", size, growth.frontier.size, growth.note)


def stand_said(connection: Connection, size: int, leaves: list[bytes]) -> bool:
    """Whether the statements stored from this place on are those of these leaf hashes, all and no other (L2)."""
    rows = SELECT_SAID.rows(connection, size=size)
    found = [leaf_hash(statement_leaf(Signed(row.text, row.sig))) for row in rows]
    return [row.n for row in rows] == list(range(size, size + len(leaves))) and found == leaves


def move_head(connection: Connection, name: str, old: int, new: int, note: str) -> bool:
    """Move a log's head; False when it does not stand where we think it does."""
    return UPDATE_HEAD.run(connection, which=name, old=old, new=new, signed=note) == 1


def _write_rows(connection: Connection, rows: Rows) -> None:
    for row in rows.policies:  # one that the store has spoiled is written anew
        connection.execute(delete(policies).where(policies.c.digest == row["digest"]))
    for table, values in (
        (seen, rows.seen),
        (deliveries, rows.deliveries),
        (notices, rows.notices),
        (grants, rows.grants),
        (statuses, rows.statuses),
        (statements, rows.statements),
        (policies, rows.policies),
    ):
        if values:
            store(connection, table, values)
    if rows.heads:
        connection.execute(delete(heads).where(heads.c.name.in_([row["name"] for row in rows.heads])))
        store(connection, heads, rows.heads)
    if rows.limited:  # after the new ones, which may be among them; the last version of a handle stays
        UPDATE_LIMITED.each(connection, rows.limited)
    if rows.withdrawals:
        UPDATE_WITHDRAWN.each(connection, rows.withdrawals)
    for agency in {agency for agency, _ in rows.heard}:
        ids = [number for whose, number in rows.heard if whose == agency]
        DELETE_NOTICES.run(connection, ids=ids, whose=agency)
    if rows.prune is not None:
        _prune(connection, rows.prune)


def _prune(connection: Connection, now: int) -> None:
    connection.execute(delete(statuses).where(statuses.c.exp < now))
    connection.execute(delete(grants).where(grants.c.until < now, recalls.KEPT_FOR_ANSWERS))
    connection.execute(recalls.DELETE_ENDED)
    connection.execute(delete(notices).where(notices.c.ts < now - NOTICE_KEPT))
    connection.execute(delete(overrides).where(overrides.c.until < now))
    connection.execute(delete(inquiries).where(inquiries.c.until < now))
    connection.execute(delete(invites).where(invites.c.until < now - INVITE_KEPT))


def _wrap_row(wrap: Wrapped) -> dict[str, Any]:
    return {
        "epoch": wrap.epoch,
        "agency": wrap.agency,
        "first": wrap.first,
        "kid": wrap.kid,
        "wrap": wrap.wrap,
    }


# --- reading what is committed

PAGE_ORDER = (deliveries.c.rank, deliveries.c.id)
SELECT_WAITING = Statement(
    lambda: (
        select(deliveries.c.id, deliveries.c.size)
        .where(
            deliveries.c.agency == bindparam("agency"),
            deliveries.c.state == "queued",
            deliveries.c.exp > bindparam("now"),
        )
        .order_by(*PAGE_ORDER)
        .limit(bindparam("most"))
    )
)
SELECT_PAGE = Statement(
    lambda ids: (
        select(
            deliveries.c.eid,
            deliveries.c.desk,
            deliveries.c.state,
            deliveries.c.wrap,
            envelopes.c.front,
            envelopes.c.record,
            envelopes.c.proof,
            envelopes.c.override,
        )
        .join_from(deliveries, envelopes, deliveries.c.eid == envelopes.c.eid)
        .where(deliveries.c.id.in_(ids))
        .order_by(*PAGE_ORDER)
    ),
    "ids",
)
SELECT_AGAIN = Statement(
    lambda: (
        select(deliveries.c.id, deliveries.c.size)
        .where(
            deliveries.c.agency == bindparam("agency"),
            deliveries.c.eid == bindparam("eid"),
            or_(*(deliveries.c.state == state for state in ("queued", "collected", "opened"))),
            deliveries.c.exp > bindparam("now"),
        )
        .order_by(deliveries.c.id)
    )
)
SELECT_NOTICES = Statement(
    lambda: (
        select(notices.c.said)
        .where(notices.c.agency == bindparam("agency"))
        .order_by(notices.c.seq)
        .limit(bindparam("most"))
    )
)
SELECT_NOTE = Statement(lambda: select(heads.c.note).where(heads.c.name == "log"))
SELECT_EXPIRED = (  # an envelope once for each of its desks: to group them, the store would read all that waits
    select(deliveries.c.eid)
    .where(deliveries.c.exp <= bindparam("now"))
    .order_by(deliveries.c.exp)
    .limit(bindparam("most"))
)
