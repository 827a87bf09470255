"""Statements that wait to be posted, signed anew: their key was replaced meanwhile, or their time is too far off
(PROTOCOL.md C3, C5, J3, J7, G13).

Rules of this house:
- what the relay refuses for its key or its time it has not recorded: it is signed again with the present key, so that
  nothing is lost of what people said; when they said it stays at home;
- what lost its meaning meanwhile is not signed again: an agreement that was withdrawn, a staple or an answer that a
  newer one replaced.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Row, select, update

from agent.directory import Book
from agent.forms import Json
from agent.nondisclosure_forms import NotShared, weighed
from agent.others import staple_words
from agent.recalls import answered_anew, awaits, expect_answers
from agent.ring import HeldKeys
from agent.tables import grants, posts, undisclosed
from schemas.canonical import b64, unb64
from schemas.errors import Refusal
from schemas.grants import MAX_STATUS, parse_grant
from schemas.nondisclosure import seal_undisclosed
from schemas.signing import Purpose, Signed

ANEW = frozenset({"CLOCK", "FUTURE", "STALE_KEY", "UNKNOWN_KEY", "REVOKED_KEY"})
"""Refusals that another signature, with the present time and key, can cure."""
Draw = Callable[[int], bytes]


class Signatures:
    """Signs again what one agency has to say."""

    def __init__(self, book: Book, keys: HeldKeys, draw: Draw) -> None:
        self._book = book
        self._keys = keys
        self._draw = draw

    def anew(self, c: Connection, row: Row[Any], code: str, now: int) -> bool:
        """Sign a refused statement again where that can cure it; False when it is not to be posted any more."""
        early = row.kind == "status" and code == "NOT_FOUND" and _grant_waits(c, row.gid)
        if code not in ANEW and not early:
            return False
        again = {
            "grant": self._grant,
            "status": self._staple,
            "withdraw": self._withdrawal,
            "recalled": self._answer,
            "nondisclosure": self._decision,
        }
        return again[row.kind](c, row, now)

    def _grant(self, c: Connection, row: Row[Any], now: int) -> bool:
        handle = _handle(c, row.gid)
        if handle.withdrawal_t is not None:
            return False
        body = json.loads(row.text)
        signed = self._signed(Purpose.GRANT, body, nbf=max(self._began(), min(body["nbf"], now)))
        _replace(c, row, signed)
        if handle.grant_t == row.text:
            _update(c, row.gid, grant_s=b64(signed.signature), grant_t=_text(signed))
            if awaits(c, row.gid, _signed(row)):
                expect_answers(c, parse_grant(signed), signed, self._keys.agency, now)
        return True

    def _staple(self, c: Connection, row: Row[Any], now: int) -> bool:
        handle = _handle(c, row.gid)
        if handle.status_t != row.text or handle.withdrawal_t is not None:
            return False
        signed = self._signed(Purpose.STATUS, json.loads(row.text), ts=now, exp=now + MAX_STATUS)
        _replace(c, row, signed)
        _update(c, row.gid, **staple_words(signed, now))
        return True

    def _withdrawal(self, c: Connection, row: Row[Any], now: int) -> bool:
        signed = self._signed(Purpose.WITHDRAW, json.loads(row.text), ts=now)
        _replace(c, row, signed)
        _update(c, row.gid, withdrawal_s=b64(signed.signature), withdrawal_t=_text(signed))
        handle = _handle(c, row.gid)
        grant = parse_grant(Signed(handle.grant_t.encode("ascii"), unb64(handle.grant_s, 64)))
        expect_answers(c, grant, signed, self._keys.agency, now)
        return True

    def _answer(self, c: Connection, row: Row[Any], now: int) -> bool:
        signed = answered_anew(c, _signed(row), self._keys, now)
        if signed is None:
            return False
        _replace(c, row, signed)
        return True

    def _decision(self, c: Connection, row: Row[Any], now: int) -> bool:
        kept = c.execute(select(undisclosed).where(undisclosed.c.nid == row.gid)).one()
        view, agency = self._book.latest, self._keys.agency
        try:
            said = weighed(NotShared.model_validate_json(kept.words), view, self._keys, kept.review)
            officers = view.officers({agency}, now)
            signed, record = seal_undisclosed(said, row.gid, now, officers, self._keys.msg, self._draw(32))
        except (
            Refusal
        ):  # an agency that was renamed, an officer who left: it waits until somebody has seen to it
            return True
        _replace(c, row, signed, record=b64(record))
        return True

    def _signed(self, purpose: Purpose, body: Json, **changes: int) -> Signed:
        value = {**body, "signer": self._keys.consent.kid, **changes}
        return Signed.make(self._keys.consent, purpose, value)

    def _began(self) -> int:
        """Since when our key stands: what it signs is not dated earlier, or nobody believes it (C5)."""
        agency = self._book.latest.agencies.get(self._keys.agency)
        key = None if agency is None else agency.keys.get(self._keys.consent.kid)
        return 0 if key is None else key.nbf


def _grant_waits(c: Connection, gid: str) -> bool:
    """Whether the relay cannot know a handle yet, because its agreement is still to be posted."""
    waits = (posts.c.gid == gid) & (posts.c.kind == "grant") & (posts.c.posted == 0)
    return c.execute(select(posts.c.n).where(waits)).first() is not None


def _handle(c: Connection, gid: str) -> Row[Any]:
    return c.execute(select(grants).where(grants.c.gid == gid)).one()


def _update(c: Connection, gid: str, **words: Any) -> None:
    c.execute(update(grants).where(grants.c.gid == gid).values(**words))


def _replace(c: Connection, row: Row[Any], signed: Signed, **more: str) -> None:
    words = {"sig": b64(signed.signature), "text": _text(signed), **more}
    c.execute(update(posts).where(posts.c.n == row.n).values(**words))


def _signed(row: Row[Any]) -> Signed:
    return Signed(row.text.encode("ascii"), unb64(row.sig, 64))


def _text(signed: Signed) -> str:
    return signed.text.decode("ascii")
