"""The directory's view, kept in the store beside its statements, so that a start does not replay years of them (K15).

Rules of this house:
- what counts is the statements; a kept view only spares replaying those before it, and those after it are replayed;
- it counts only if it is whole, made by this very program's rules, and of the statements that the store holds: at any
  doubt all of them are replayed;
- like every row it lies under SQLCipher, which authenticates each page under the store's key; the hash of all its parts
  finds one that is not whole all the same.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import pydantic
from sqlalchemy import Connection, delete, insert, select

import schemas
from agent.arriving import Progress, replay
from agent.directory_tables import kept_view, statements
from agent.logs import log
from agent.store import Store, read_kv, write_kv
from schemas.canonical import b64, unb64
from schemas.checkpoint import Checkpoint
from schemas.directory import Directory
from schemas.directory_kept import parts_of, view_of
from schemas.directory_statement import parse_statement, statement_hash
from schemas.errors import Refusal
from schemas.hashing import framed
from schemas.signing import Signed

HEAD = "kept-view"
EVERY = 2000
"""How many statements are replayed at a start rather than the view kept anew: about a fifth of a second's."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a kept view before it is read: `rules` made it, `digest` is the hash of all its parts."""

    rules: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The view after all statements, the places of receiving keys, and the size of the view that was kept, or 0."""

    view: Directory
    prekeys: dict[str, int]
    kept: int


@cache
def rules() -> str:
    """A hash of everything that decides what statements come to: another release has another.

    Raises:
        Refusal: STORE where this program's own text cannot be read.
    """
    texts = sorted(Path(schemas.__file__).parent.rglob("*.py"))
    _expect(bool(texts))
    versions = (pydantic.VERSION.encode(), sys.version.encode())
    return _digest((*versions, *(path.read_bytes() for path in texts)))


def keep(c: Connection, view: Directory, prekeys: Mapping[str, int]) -> None:
    """Keep this view, which all stored statements up to its size give, in the place of any other.

    Args:
        prekeys: places of receiving keys that no quorum is known to cover; kept are those of keys still sealed to.
    """
    sealable = {kid for agency in view.agencies.values() for kid in agency.prekeys}
    places = json.dumps({kid: at for kid, at in prekeys.items() if kid in sealable}).encode("ascii")
    parts = [zlib.compress(part, 1) for part in (places, *parts_of(view))]
    c.execute(delete(kept_view))
    c.execute(insert(kept_view), [{"n": at, "part": part} for at, part in enumerate(parts)])
    write_kv(c, HEAD, json.dumps(asdict(Head(rules(), view.size, _digest(parts)))))


async def load(store: Store, oversight: str, believed: Checkpoint | None, progress: Progress) -> Loaded:
    """The view that the stored statements give: from a kept one and those after it, or else from all of them.

    Args:
        believed: the newest head that this agent believes of the directory's log.
    """
    try:
        rules()  # now: a release that is installed while this program runs did not make what it will keep
        kept = await store.run(partial(_kept, oversight=oversight))
        if kept is not None:
            view, prekeys = kept
            size = view.size
            prekeys |= await replay(store, view, progress)
            if believed is not None and believed.size == view.size:
                _expect(believed.root == view.frontier.root())
            return Loaded(view, prekeys, size)
    except (Refusal, ValueError, TypeError, zlib.error) as error:
        log.warning("kept-view-dropped", error=type(error).__name__)
    view = Directory(oversight)
    return Loaded(view, await replay(store, view, progress), 0)


def _kept(c: Connection, oversight: str) -> tuple[Directory, dict[str, int]] | None:
    """The kept view and the places of receiving keys; None where nothing is kept. What is doubtful raises."""
    text = read_kv(c, HEAD)
    return None if text is None else _read(c, Head(**json.loads(text)), oversight)


def _read(c: Connection, head: Head, oversight: str) -> tuple[Directory, dict[str, int]]:
    _expect(head.rules == rules())
    parts = list(c.execute(select(kept_view.c.part).order_by(kept_view.c.n)).scalars())
    _expect(head.digest == _digest(parts))
    plain = map(zlib.decompress, parts)
    places, view = json.loads(next(plain, b"")), view_of(plain)
    _expect((view.size, view.oversight) == (head.size, oversight))
    last = c.execute(select(statements).where(statements.c.n == view.size - 1)).first()
    _expect(last is not None and _is_last(view, Signed(last.text.encode("ascii"), unb64(last.sig, 64))))
    return view, places


def _is_last(view: Directory, signed: Signed) -> bool:
    """Whether the view's last statement may have been this one: then it is the head of its agency's chain."""
    said, _ = parse_statement(signed)
    return view.known(said.agency).head == statement_hash(signed)


def _digest(parts: Iterable[bytes]) -> str:
    state = hashlib.blake2b(digest_size=32)
    for part in parts:
        state.update(framed(part))
    return b64(state.digest())


def _expect(holds: bool) -> None:
    if not holds:
        raise Refusal("STORE", "The directory's kept view does not hold. It is replayed.")
