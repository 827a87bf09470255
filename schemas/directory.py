"""The key directory: signed statements, and the view that replaying all of them gives (PROTOCOL.md K8-K15).

Rules of this house:
- a statement counts only if it follows from the ones before: right sequence number, right previous hash, right signer;
- an agency's id is the hash of its inception, so nobody can claim another's;
- a member is an agency that oversight admitted, with its name, desks, flags and sector; nobody admits itself;
- looking up a key says for what use and at what time, or refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from schemas.canonical import unb64
from schemas.directory_statement import (
    NO_PREVIOUS,
    AddKey,
    Admit,
    Countersign,
    Flags,
    Inception,
    Revoke,
    Statement,
    agency_id,
    parse_statement,
    statement_hash,
    statement_leaf,
)
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keys import ALGORITHM, ED25519, Use, check_public, kid_of
from schemas.merkle import Frontier, leaf_hash
from schemas.policing import KEY_DELAY, LATE, PolicyBody, Timeline, check_signers
from schemas.renewing import check_renewal, check_renewed
from schemas.retention import Retention, RetentionBody, check_retention
from schemas.roles import read_tag
from schemas.sealing import Officer
from schemas.sectors import Sector
from schemas.signing import Purpose, Signed

T = TypeVar("T")

SEALABLE = 14 * 24 * 3600
"""How long a prekey may be sealed to; it is erased 30 days after its first day."""
MAX_AGE = 24 * 3600
"""How old a view of the directory may be when it decides anything (recipient rule 2)."""

DATED = 2 * LATE
"""How far a message's time may be from a change that counted for it: two clocks, each up to five minutes off."""


@dataclass(frozen=True, slots=True)
class Party:
    """A member as the consent rule's party tests see it: all on oversight's word, nothing on its own."""

    flags: Flags
    sector: Sector


@dataclass(frozen=True, slots=True)
class Key:
    """A published key and its dates."""

    kid: str
    use: Use
    agency: str
    public: bytes = field(repr=False)
    nbf: int
    exp: int
    person: str | None = None
    revoked: int | None = None

    def stands(self, at: int) -> bool:
        return self.nbf <= at < self.exp and (self.revoked is None or at < self.revoked)


@dataclass(slots=True)
class Agency:
    """One agency's part of the view."""

    id: str
    op: bytes
    seq: int
    head: str
    keys: dict[str, Key] = field(default_factory=dict)
    ig: dict[str, Key] = field(default_factory=dict)
    """Those of `keys` that open audit records: every message asks for them."""
    name: str = ""
    desks: tuple[str, ...] = ()
    flags: Flags | None = None
    sector: Sector = "other"
    was: tuple[tuple[int, Party], ...] = ()
    """What it was in law, and since when: whoever decides on an earlier message goes by what counted then (K14)."""
    had: tuple[tuple[int, tuple[str, ...]], ...] = ()
    """Its desks, and since when: a message of one that was closed since is still a message (K14)."""

    @property
    def member(self) -> bool:
        return self.flags is not None


def safety_number(agency: str) -> str:
    """Six groups of five digits of an agency's id, to be read aloud on a known number (K10)."""
    digest = int.from_bytes(labelled("fenpost/v1/safety", agency.encode("ascii"), size=16), "big")
    digits = f"{digest % 10**30:030d}"
    return " ".join(digits[at : at + 5] for at in range(0, 30, 5))


def _moments(entries: Iterable[tuple[int, object]], at: int) -> set[int]:
    """A moment on each side of every entry that a relay which decided at about this time may have gone by."""
    return {at - DATED, *(since for since, _ in entries if at - DATED < since <= at + DATED)}


def _entry_at(entries: tuple[tuple[int, T], ...], at: int) -> T:
    """Of before its first entry an agency has no other than that one."""
    return next((entry for since, entry in reversed(entries) if since <= at), entries[0][1])


class Directory:
    """The view after replaying statements in order. `apply` either takes a statement whole or changes nothing."""

    def __init__(self, oversight: str) -> None:
        self.oversight = oversight
        self.agencies: dict[str, Agency] = {}
        self.frontier = Frontier()
        self.policies = Timeline()
        self.countersigned: dict[str, int] = {}
        """People's role keys that oversight countersigned, and when; each counts only a while after (O3)."""
        self.young: frozenset[str] = frozenset()
        """Receiving keys that no quorum vouches for yet: sealed to only where an agency has no other (L29)."""
        self.retentions: tuple[Retention, ...] = ()
        """What was said of records that may go, in order (Y1)."""
        self._owner: dict[str, Key] = {}
        self._seen: set[str] = set()  # every key id ever published, roots and operational keys too

    @property
    def size(self) -> int:
        return self.frontier.size

    def apply(self, signed: Signed) -> Statement:
        """Take one statement into the view.

        Raises:
            Refusal: FORM, NOT_CANONICAL, DIRECTORY (out of order), SIGNATURE, KEY, NOT_ALLOWED; for a policy also
                POLICY_SIGNERS, POLICY_SAME_PERSON, POLICY_OLDER, POLICY_GAP, POLICY_PAST, UNKNOWN_KEY, REVOKED_KEY,
                STALE_KEY.
        """
        statement, body = parse_statement(signed)
        agency = self.agencies.get(statement.agency)
        if isinstance(body, Inception):
            agency = self._incept(statement, body, signed, agency)
        else:
            agency = self._continue(statement, body, signed, agency)
            self._take(agency, statement, body)
        agency.seq, agency.head = statement.seq, statement_hash(signed)
        self.agencies[agency.id] = agency
        self.frontier = self.frontier.append(leaf_hash(statement_leaf(signed)))
        return statement

    def _incept(self, statement: Statement, body: Inception, signed: Signed, known: Agency | None) -> Agency:
        if known or statement.seq != 0 or statement.prev != NO_PREVIOUS:
            raise Refusal("DIRECTORY")
        if statement.agency != agency_id(statement.body) or body.threshold > len(body.roots):
            raise Refusal("DIRECTORY")
        op = unb64(body.op_key, 32)
        publics = [op, *(unb64(root, 32) for root in body.roots)]
        for public in publics:
            check_public(ED25519, public)
        if statement.by != kid_of(ED25519, op):
            raise Refusal("DIRECTORY")
        signed.verified(op, Purpose.DIRECTORY)
        self._see({kid_of(ED25519, public) for public in publics}, len(publics))
        return Agency(statement.agency, op, 0, "")

    def _continue(self, statement: Statement, body: Frozen, signed: Signed, agency: Agency | None) -> Agency:
        if agency is None:
            raise Refusal("UNKNOWN_AGENCY")
        if statement.seq != agency.seq + 1 or statement.prev != agency.head:
            raise Refusal("DIRECTORY")
        signed.verified(self._speaker(agency, statement, body), Purpose.DIRECTORY)
        return agency

    def _speaker(self, agency: Agency, statement: Statement, body: Frozen) -> bytes:
        """Whose signature it must be: the operational key's, or for the running keys a renew key's (K21)."""
        if statement.by == kid_of(ED25519, agency.op):
            return agency.op
        if agency.keys.get(statement.by) is None:
            raise Refusal("DIRECTORY")
        key = self.key(statement.by, Use.RENEW, statement.ts, agency.id)
        check_renewal(statement, body)
        if isinstance(body, Revoke) and body.kid in agency.keys:
            check_renewed(agency.keys[body.kid].use)
        return key.public

    def _take(self, agency: Agency, statement: Statement, body: Frozen) -> None:
        if isinstance(body, AddKey):
            self._check_signer(agency, body, statement.ts)
            if body.use == "person":
                self._check_person(agency, body, statement.ts)
            self._add_key(agency, body)
        elif isinstance(body, Revoke):
            self._revoke(agency, body)
        elif isinstance(body, Admit):
            if statement.agency != self.oversight:
                raise Refusal("NOT_ALLOWED", "Only the partnership's oversight admits agencies.")
            member = self._known(body.member)
            member.name, member.desks = body.name, body.desks
            member.flags, member.sector = body.flags, body.sector
            since = max(statement.ts, *(at for at, _ in member.was), 0)
            member.was += ((since, Party(body.flags, body.sector)),)
            member.had += ((since, body.desks),)
        elif isinstance(body, PolicyBody):
            self._put_in_force(agency, body, statement.ts)
        elif isinstance(body, Countersign):
            self._countersign(agency, body, statement.ts)
        elif isinstance(body, RetentionBody):
            self._retain(agency, body, statement.ts)
        else:
            raise Refusal("NOT_ALLOWED")

    def _retain(self, agency: Agency, body: RetentionBody, ts: int) -> None:
        if agency.id != self.oversight:
            raise Refusal("NOT_ALLOWED", "Only the partnership's oversight says what may be deleted.")
        if any(one.digest == body.digest for one in self.retentions):
            raise Refusal("DIRECTORY", "This list is on record already.")
        signers = check_retention(body, lambda kid: self.signer(kid, ts))
        self.retentions += (Retention(body.digest, body.count, ts, self.size, signers),)

    def _countersign(self, agency: Agency, body: Countersign, ts: int) -> None:
        if agency.id != self.oversight:
            raise Refusal("NOT_ALLOWED", "Only the partnership's oversight countersigns people's keys.")
        key = self.key(body.kid, Use.PERSON, ts)
        if read_tag(key.person)[0] != body.role:
            raise Refusal("KEY", "That key was published for another role. Ask the agency what it meant.")
        if body.kid in self.countersigned:
            raise Refusal("DIRECTORY", "That key is countersigned already.")
        self.countersigned[body.kid] = ts

    def _check_person(self, agency: Agency, body: AddKey, ts: int) -> None:
        """One person has one role: who may ask for an override cannot also authorise it (O1)."""
        role, person = read_tag(body.person)
        for key in agency.keys.values():
            ended = ts >= key.exp or (key.revoked is not None and ts >= key.revoked)
            if key.use != Use.PERSON or ended:
                continue
            other, same = read_tag(key.person)
            if same == person and other != role:
                raise Refusal("ONE_PERSON")

    def _check_signer(self, agency: Agency, body: AddKey, ts: int) -> None:
        if body.use != "policy":
            return
        if agency.id != self.oversight:
            raise Refusal("NOT_ALLOWED", "Only the partnership's oversight names who signs policies.")
        if body.person is None:
            raise Refusal("KEY", "A policy key is held by a person. Give her role.")
        if self.policies.entries and body.nbf < ts + KEY_DELAY:
            raise Refusal(
                "KEY", "A new policy key counts a day after it is published. Correct its first day."
            )

    def _put_in_force(self, agency: Agency, body: PolicyBody, ts: int) -> None:
        if agency.id != self.oversight:
            raise Refusal("NOT_ALLOWED", "Only the partnership's oversight puts a policy in force.")
        signers = check_signers(body, lambda kid: self.signer(kid, ts))
        self.policies = self.policies.after(body, ts, signers)

    def _add_key(self, agency: Agency, body: AddKey) -> None:
        use, public = Use(body.use), unb64(body.pub)
        if ALGORITHM[use] != body.alg or body.nbf >= body.exp:
            raise Refusal("KEY")
        if use is Use.PREKEY and body.exp - body.nbf > SEALABLE:
            raise Refusal("KEY", "A receiving key may be sealed to for 14 days at most. Shorten its dates.")
        check_public(body.alg, public)
        kid = kid_of(body.alg, public)
        self._see({kid}, 1)
        self._put(agency, Key(kid, use, agency.id, public, body.nbf, body.exp, body.person))

    def _see(self, kids: set[str], count: int) -> None:
        if len(kids) != count or kids & self._seen:
            raise Refusal(
                "KEY", "This key is in the directory already. Make a new one; keys are never reused."
            )
        self._seen |= kids

    def _revoke(self, agency: Agency, body: Revoke) -> None:
        key = agency.keys.get(body.kid)
        if key is None:
            raise Refusal("UNKNOWN_KEY")
        since = body.since if key.revoked is None else min(body.since, key.revoked)
        self._put(agency, Key(key.kid, key.use, key.agency, key.public, key.nbf, key.exp, key.person, since))

    def _put(self, agency: Agency, key: Key) -> None:
        agency.keys[key.kid] = key
        if key.use == Use.IG:
            agency.ig[key.kid] = key
        self._owner[key.kid] = key

    def _known(self, agency: str) -> Agency:
        try:
            return self.agencies[agency]
        except KeyError:
            raise Refusal("UNKNOWN_AGENCY") from None

    # --- looking up

    def member(self, agency: str) -> Agency:
        """The member with this id. Raises Refusal UNKNOWN_AGENCY."""
        known = self._known(agency)
        if not known.member:
            raise Refusal("UNKNOWN_AGENCY")
        return known

    def desk(self, agency: str, desk: str, at: int | None = None) -> Agency:
        """The member that has this desk; with `at`, one that it may have had at a relay that decided at about then.

        Raises:
            Refusal: UNKNOWN_AGENCY, UNKNOWN_DESK.
        """
        member = self.member(agency)
        if at is None:
            found = desk in member.desks
        else:
            found = any(desk in _entry_at(member.had, moment) for moment in _moments(member.had, at))
        if not found:
            raise Refusal("UNKNOWN_DESK")
        return member

    def party(self, agency: str) -> Party:
        """What this member is in law. Raises Refusal UNKNOWN_AGENCY."""
        known = self._known(agency)
        if known.flags is None:
            raise Refusal("UNKNOWN_AGENCY")
        return Party(known.flags, known.sector)

    def parties(self, agencies: Sequence[str], at: int) -> tuple[tuple[Party, ...], ...]:
        """What these members may have been in law at a relay that decided at about this time, in their order.

        One answer where nothing changed within ten minutes of then, else one for each side of each change (Q9).

        Raises:
            Refusal: UNKNOWN_AGENCY.
        """
        known = [self.member(agency).was for agency in agencies]
        moments = sorted(_moments((entry for was in known for entry in was), at))
        found = (tuple(_entry_at(was, moment) for was in known) for moment in moments)
        return tuple(dict.fromkeys(found))

    def key(self, kid: str, use: Use, at: int, agency: str | None = None) -> Key:
        """The key with this id, for this use, standing at this time.

        Raises:
            Refusal: UNKNOWN_KEY, REVOKED_KEY, STALE_KEY.
        """
        key = self._owner.get(kid)
        if key is None or key.use != use or (agency is not None and key.agency != agency):
            raise Refusal("UNKNOWN_KEY")
        if key.revoked is not None and at >= key.revoked:
            raise Refusal("REVOKED_KEY")
        if not key.stands(at):
            raise Refusal("STALE_KEY")
        return key

    def signer(self, kid: str, at: int) -> Key:
        """The policy key that may sign at this time; one whose revocation is on record signs no more (Q2).

        Raises:
            Refusal: UNKNOWN_KEY, REVOKED_KEY, STALE_KEY.
        """
        key = self._owner.get(kid)
        if key is not None and key.use == Use.POLICY and key.revoked is not None:
            raise Refusal("REVOKED_KEY")
        return self.key(kid, Use.POLICY, at, self.oversight)

    def requester(self, kid: str, at: int) -> Key:
        """The key that signs a request: an agent's or an IG officer's. Raises as `key` does."""
        known = self._owner.get(kid)
        use = Use.IG_AUTH if known is not None and known.use == Use.IG_AUTH else Use.AUTH
        return self.key(kid, use, at)

    def prekey(self, agency: str, at: int) -> Key:
        """The newest sealable prekey of a member that is not `young`, or else the newest.

        Raises:
            Refusal: UNKNOWN_AGENCY, STALE_KEY.
        """
        keys = [k for k in self.member(agency).keys.values() if k.use == Use.PREKEY and k.stands(at)]
        if not keys:
            raise Refusal(
                "STALE_KEY", "That agency has no current key to seal to. Ring them; their agent may be off."
            )
        return max(keys, key=lambda key: (key.kid not in self.young, key.nbf, key.kid))

    def officers(self, agencies: set[str], at: int) -> tuple[Officer, ...]:
        """Every IG officer who must be able to read the record of a message between `agencies`, and oversight's.

        Raises:
            Refusal: OFFICERS when one of them has none.
        """
        officers: dict[str, Officer] = {}
        for agency in sorted({*agencies, self.oversight}):
            own = [k for k in self._known(agency).ig.values() if k.stands(at)]
            if not own:
                raise Refusal(
                    "OFFICERS", "An agency has no IG officer's key in the directory. Ask its administrator."
                )
            officers.update({k.kid: Officer(k.kid, k.public) for k in own})
        return tuple(officers[kid] for kid in sorted(officers))

    def find(self, text: str) -> Agency:
        """A member by id, or by its exact name. Raises Refusal UNKNOWN_AGENCY."""
        if text in self.agencies:
            return self.member(text)
        named = [a for a in self.agencies.values() if a.member and a.name.casefold() == text.casefold()]
        if len(named) != 1:
            raise Refusal("UNKNOWN_AGENCY")
        return named[0]
