"""What the directory has published: keys and how they ended, agencies and who says what of them (PROTOCOL.md K12-K25).

Everything here is a frozen value: a view that is copied shares them, and a statement that is refused halfway has
changed nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.directory_statement import Flags
from schemas.hashing import digits, labelled
from schemas.keys import Use
from schemas.sectors import Sector
from schemas.values import changed

UNHELD = 24 * 3600
"""How long after its last second a receiving key's public bytes are kept, in seconds: nobody seals to it any more."""

STOLEN = frozenset({"compromised", "voided"})
"""Reasons of ends after which what the key signed may be somebody else's."""


@dataclass(frozen=True, slots=True)
class Party:
    """A member as the consent rule's party tests see it: all on oversight's word, nothing on its own."""

    flags: Flags
    sector: Sector


@dataclass(frozen=True, slots=True)
class Key:
    """A published key and its dates.

    `seq`, `ts` and `by` are the number, time and signer of the statement that published it. `revoked` is the second
    from which it does not stand, and `reason` why: that of the revocation, or "voided" (K20). `public` is empty for a
    receiving key that is long over.
    """

    kid: str
    use: Use
    agency: str
    public: bytes = field(repr=False)
    nbf: int
    exp: int
    person: str | None = None
    revoked: int | None = None
    reason: str | None = None
    seq: int = 0
    ts: int = 0
    by: str = ""

    def stands(self, at: int) -> bool:
        return self.nbf <= at < self.exp and (self.revoked is None or at < self.revoked)

    def stands_from(self, at: int) -> bool:
        """Whether it stands then or at any later second."""
        end = self.exp if self.revoked is None else min(self.exp, self.revoked)
        return max(at, self.nbf) < end


class End(NamedTuple):
    """One word that a key ends; `firm` when roots or two people said it: then it stands when others are undone (K20).

    `people` are the keys of the two: it is no firmer than they are.
    """

    since: int
    reason: str
    seq: int
    firm: bool
    people: tuple[str, ...] = ()


class Admission(NamedTuple):
    """One word of oversight's about a member; `looks` is what its name is taken for at a glance."""

    seq: int
    since: int
    name: str
    looks: str
    desks: tuple[str, ...]
    party: Party


class Staffing(NamedTuple):
    """One word of an agency's about which roles work at a desk (K25)."""

    seq: int
    since: int
    roles: tuple[str, ...]


class Left(NamedTuple):
    """One word that an agency leaves: said by oversight or by itself (`by`), in statement `seq` of that chain."""

    by: str
    seq: int
    ts: int
    stops: int
    successor: str | None


class Moved(NamedTuple):
    """One word that an agency is another now (K23)."""

    now: str
    until: int


@dataclass(frozen=True)  # without slots: each of the thousands of statements that are replayed makes two
class Agency:
    """One agency's part of the view.

    `op`, `threshold` and `committed` say who speaks for it: its operational key, how many roots may replace that, and
    the digests of the roots that may; `op_since` and `roots_since` when that was said last, in Unix seconds. `prekeys`
    are the ids of its receiving keys of late, oldest statement first.
    """

    id: str
    op: bytes
    seq: int
    head: str
    op_kid: str = ""
    ops: tuple[bytes, ...] = ()
    """Every operational key that it ever had: what one of them signed in its day is no forgery now."""
    ts: int = 0
    threshold: int = 1
    committed: frozenset[str] = frozenset()
    op_since: int = 0
    roots_since: int = 0
    inception: bytes = b""
    """The whole hash of its founding statement's body, for safety numbers: its id shows 20 bytes of that (K9, K10)."""
    keys: Mapping[str, Key] = field(default_factory=dict)
    ig: Mapping[str, Key] = field(default_factory=dict)
    """Those of `keys` that open audit records: every message asks for them."""
    prekeys: tuple[str, ...] = ()
    ends: Mapping[str, tuple[End, ...]] = field(default_factory=dict)
    recertified: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """Statement number and time of each word that a person's key is still right (K24)."""
    rosters: Mapping[str, tuple[Staffing, ...]] = field(default_factory=dict)
    """Who works at each desk, every word that was said of it, oldest first (K25)."""
    admissions: tuple[Admission, ...] = ()
    leaves: tuple[Left, ...] = ()

    @property
    def member(self) -> bool:
        return bool(self.admissions)

    @property
    def name(self) -> str:
        return self.admissions[-1].name if self.admissions else ""

    @property
    def desks(self) -> tuple[str, ...]:
        return self.admissions[-1].desks if self.admissions else ()

    @property
    def flags(self) -> Flags | None:
        return self.admissions[-1].party.flags if self.admissions else None

    @property
    def sector(self) -> Sector:
        return self.admissions[-1].party.sector if self.admissions else "other"

    @property
    def was(self) -> tuple[tuple[int, Party], ...]:
        """What it was in law, and since when: whoever decides on an earlier message goes by what counted then (K14)."""
        return tuple((one.since, one.party) for one in self.admissions)

    @property
    def had(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """Its desks, and since when: a message of one that was closed since is still a message (K14)."""
        return tuple((one.since, one.desks) for one in self.admissions)

    @property
    def left(self) -> Left | None:
        """The word that counts of those that it leaves: the latest, unless it was taken in again since (K23)."""
        if not self.leaves:
            return None
        said = {one.by: one for one in self.leaves}.values()
        last = max(said, key=lambda one: (one.ts, one.by != self.id))
        return None if self._returned(last) else last

    def _returned(self, last: Left) -> bool:
        """Whether oversight admitted it once more, when it had stopped."""
        if not self.admissions:
            return False
        again = self.admissions[-1]
        ours = last.by != self.id  # then both words stand in one chain, in their order
        later = again.since > last.ts or (ours and again.since == last.ts and again.seq > last.seq)
        return later and again.since >= last.stops

    def certified(self, kid: str) -> int:
        """When it was last said that this person's key is hers: published, or recertified (K24)."""
        said = self.recertified.get(kid)
        return said[-1][1] if said else self.keys[kid].ts

    def roster(self, desk: str, at: int) -> tuple[str, ...] | None:
        """The roles that worked at a desk at a time; None when the agency had said nothing of it (K25)."""
        said = [one.roles for one in self.rosters.get(desk, ()) if one.since <= at]
        return said[-1] if said else None

    def in_other_hands(self, kid: str) -> int | None:
        """Since when others had this key, or it was never the agency's, as is known by now; None otherwise (V11)."""
        return min((end.since for end in self.ends.get(kid, ()) if end.reason in STOLEN), default=None)

    def with_keys(self, *fresh: Key, prekeys: tuple[str, ...] | None = None) -> Agency:
        """With these keys, new or changed."""
        found = {key.kid: key for key in fresh}
        opening = {key.kid: key for key in fresh if key.use == Use.IG}
        ig = {**self.ig, **opening} if opening else self.ig
        late = self.prekeys if prekeys is None else prekeys
        return changed(self, keys={**self.keys, **found}, ig=ig, prekeys=late)

    def ended(self, ends: Mapping[str, End]) -> Agency:
        """With one more word about the end of each of these keys; the earliest counts (K13)."""
        said = {kid: (*self.ends.get(kid, ()), end) for kid, end in ends.items()}
        settling = (settled(self.keys[kid], told) for kid, told in said.items())
        return changed(self.with_keys(*settling), ends={**self.ends, **said})


def settled(key: Key, ends: tuple[End, ...]) -> Key:
    """The key as these words leave it."""
    first = min(ends, key=lambda end: end.since, default=None)
    revoked, reason = (None, None) if first is None else (first.since, first.reason)
    return changed(key, revoked=revoked, reason=reason)


def safety_number(agency: str) -> str:
    """Six groups of five digits of an agency's id, to be read aloud on a known number (K10)."""
    return digits(labelled("fenpost/v1/safety", agency.encode("ascii"), size=16))
