"""The keys that an agent holds at this moment: its first ones, and those that it made since (PROTOCOL.md G16).

Rules of this house:
- what a key signs or opens is asked of the ring each time, so a rotation needs no restart;
- a new key is in the store before it is published, and signs only when others may know it;
- a receiving key is held 30 days from its first, then erased; nothing here can bring it back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Connection, Row, delete, insert, select, update

from agent.directory_tables import old_sealers, own_keys
from schemas.directory import MAX_AGE, Agency, Directory
from schemas.keyring import PREKEY_KEPT, AgentKeys, Prekey
from schemas.keys import RUNNING, OpeningKey, SigningKey, Use

SKEW = 600
"""Two clocks, each up to five minutes off."""
SIGNING: tuple[Use, ...] = (*(use for use in RUNNING if use is not Use.PREKEY), Use.RENEW)


class HeldKeys(Protocol):
    """An agency's running keys, as whoever signs or opens asks for them: a key file's, or a ring's."""

    @property
    def agency(self) -> str: ...
    @property
    def msg(self) -> SigningKey: ...
    @property
    def auth(self) -> SigningKey: ...
    @property
    def consent(self) -> SigningKey: ...
    @property
    def witness(self) -> SigningKey: ...
    @property
    def renew(self) -> SigningKey: ...
    @property
    def prekeys(self) -> tuple[Prekey, ...]: ...
    @property
    def store(self) -> bytes: ...
    @property
    def subject(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Own:
    """A key that this agent made. `published` is when the relay had taken it, `since` when it may sign; None before."""

    kid: str
    use: Use
    seed: bytes = field(repr=False)
    nbf: int
    exp: int
    published: int | None = None
    since: int | None = None

    @property
    def prekey(self) -> Prekey:
        return Prekey(OpeningKey(self.seed), self.nbf)

    @property
    def public(self) -> bytes:
        return (OpeningKey(self.seed) if self.use is Use.PREKEY else SigningKey(self.seed)).public


def keep(c: Connection, key: Own) -> None:
    """Store a key that was just drawn."""
    row = {name: getattr(key, name) for name in ("kid", "seed", "nbf", "exp", "published", "since")}
    c.execute(insert(own_keys).values(use=str(key.use), **row))


def kept(c: Connection) -> tuple[Own, ...]:
    """Every key in the store, in the order of their first seconds."""
    rows = c.execute(select(own_keys).order_by(own_keys.c.nbf, own_keys.c.kid)).all()
    return tuple(_own(row) for row in rows)


def dated(c: Connection, kid: str, nbf: int, exp: int) -> None:
    """Give a key that was not published in time its new dates."""
    c.execute(update(own_keys).where(own_keys.c.kid == kid).values(nbf=nbf, exp=exp))


def published(c: Connection, kid: str, at: int, since: int) -> None:
    """The relay has taken this key; it signs from `since` on."""
    c.execute(update(own_keys).where(own_keys.c.kid == kid).values(published=at, since=since))


def forget(c: Connection, kid: str) -> None:
    """Drop a key that was never published and never will be."""
    c.execute(delete(own_keys).where(own_keys.c.kid == kid, own_keys.c.published.is_(None)))


def erase(c: Connection, now: int) -> int:
    """Erase receiving keys 30 days after their first second, and signing keys that are over; says how many."""
    receiving = (own_keys.c.use == str(Use.PREKEY)) & (own_keys.c.nbf <= now - PREKEY_KEPT)
    signing = (own_keys.c.use != str(Use.PREKEY)) & (own_keys.c.exp <= now)
    return int(c.execute(delete(own_keys).where(receiving | signing)).rowcount)


def sealed_late(c: Connection, agency: str, ts: int) -> None:
    """Remember that an agency sealed to a receiving key when it should have known a newer one."""
    seen = c.execute(select(old_sealers.c.count).where(old_sealers.c.a == agency)).scalar()
    row = {"a": agency, "count": (seen or 0) + 1, "last": ts}
    c.execute(insert(old_sealers).prefix_with("OR REPLACE").values(**row))


def is_old(keys: HeldKeys, kid: str, ts: int) -> bool:
    """Whether a newer receiving key than this had begun a day, the age of the oldest lawful view, before `ts`."""
    begun = {prekey.key.kid: prekey.nbf for prekey in keys.prekeys}
    newest = max((nbf for nbf in begun.values() if nbf <= ts - MAX_AGE - SKEW), default=0)
    return kid in begun and begun[kid] < newest


class Present:
    """Signs as the ring's key for one use at the moment of signing (schemas.keys.Signer)."""

    def __init__(self, keys: Ring, use: Use) -> None:
        self._ring, self._use = keys, use

    @property
    def kid(self) -> str:
        return self._ring.key(self._use).kid

    @property
    def public(self) -> bytes:
        return self._ring.key(self._use).public

    def sign_bytes(self, data: bytes) -> bytes:
        return self._ring.key(self._use).sign_bytes(data)


class Ring:
    """An agent's keys as they are now. Give it what the store holds (`take`) and the directory's view (`choose`)."""

    def __init__(self, founding: AgentKeys) -> None:
        self.agency, self.store, self.subject = founding.agency, founding.store, founding.subject
        self._founding = {use: _signing(founding, use) for use in SIGNING}
        self._using = dict(self._founding)
        self._over = set[Use]()  # uses of which no key stands
        self._own: tuple[Own, ...] = ()
        self._first = founding.prekeys
        self.prekeys = founding.prekeys

    @property
    def msg(self) -> SigningKey:
        return self._using[Use.MSG]

    @property
    def auth(self) -> SigningKey:
        return self._using[Use.AUTH]

    @property
    def consent(self) -> SigningKey:
        return self._using[Use.CONSENT]

    @property
    def witness(self) -> SigningKey:
        return self._using[Use.WITNESS]

    @property
    def renew(self) -> SigningKey:
        return self._using[Use.RENEW]

    @property
    def own(self) -> tuple[Own, ...]:
        """The keys made since the agency was founded, also those not published yet."""
        return self._own

    @property
    def kids(self) -> frozenset[str]:
        """Ids of all that is held."""
        founding = {key.kid for key in self._founding.values()} | {prekey.key.kid for prekey in self.prekeys}
        return frozenset(founding | {own.kid for own in self._own})

    def key(self, use: Use) -> SigningKey:
        """What signs for this use now. Requests fall back on the renew key: it may ask for a new request key (A7)."""
        return self._using[Use.RENEW if use is Use.AUTH and use in self._over else use]

    def take(self, own: Iterable[Own]) -> None:
        """What the store holds now."""
        held = {one.kid: one for one in self._own}
        known = {prekey.key.kid: prekey for prekey in self.prekeys}
        self._own = tuple(own)
        kids = {one.kid for one in self._own}
        self._first = tuple(first for first in self._first if first.key.kid not in kids)
        self.prekeys = self._first + tuple(
            known.get(one.kid) or held.get(one.kid, one).prekey for one in self._own if one.use is Use.PREKEY
        )

    def choose(self, view: Directory, now: float) -> None:
        """Sign with the newest key of each use that stands and whose time has come, and not with one that is to end.

        Where nothing stands, one whose time has not come will do: others may have to fetch the directory to know it.
        """
        mine = view.agencies.get(self.agency)
        if mine is None:
            return
        for use in SIGNING:
            own = {one.kid: one for one in self._own if one.use is use and one.published is not None}
            standing = self._standing(mine, [self._founding[use].kid, *own], now)
            come = [kid for kid in standing if kid not in own or (own[kid].since or 0) <= now]
            if not (found := come or standing):
                self._over.add(use)
                continue
            self._over.discard(use)
            kid = found[-1]
            if kid != self._using[use].kid:
                self._using[use] = SigningKey(own[kid].seed) if kid in own else self._founding[use]
        self._first = tuple(first for first in self._first if now < first.nbf + PREKEY_KEPT)
        self.take(self._own)

    def _standing(self, mine: Agency, kids: Iterable[str], now: float) -> list[str]:
        """Those of these keys that stand, newest last; what is to end before its time comes first."""
        keys = [key for kid in kids if (key := mine.keys.get(kid)) is not None and key.stands(int(now))]
        return [key.kid for key in sorted(keys, key=lambda key: (key.revoked is None, key.nbf))]


def _signing(founding: AgentKeys, use: Use) -> SigningKey:
    keys = {
        Use.MSG: founding.msg,
        Use.AUTH: founding.auth,
        Use.CONSENT: founding.consent,
        Use.WITNESS: founding.witness,
        Use.RENEW: founding.renew,
    }
    return keys[use]


def _own(row: Row[tuple[object, ...]]) -> Own:
    return Own(row.kid, Use(row.use), row.seed, row.nbf, row.exp, row.published, row.since)
