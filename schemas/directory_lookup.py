"""Looking up in the directory as it was at a time, or the refusal that says why not (PROTOCOL.md K15, K23)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from schemas.directory_view import View
from schemas.errors import Refusal
from schemas.keys import ED25519, Use, kid_of
from schemas.policing import LATE
from schemas.published import Agency, Key, Party
from schemas.sealing import Officer

T = TypeVar("T")

SPEAKING = (Use.RENEW, Use.PERSON, Use.IG_AUTH)
DATED = 2 * LATE
"""How far a message's time may be from a change that counted for it: two clocks, each up to five minutes off."""


def _moments(entries: Iterable[tuple[int, object]], at: int) -> set[int]:
    """A moment on each side of every entry that a relay which decided at about this time may have gone by."""
    return {at - DATED, *(since for since, _ in entries if at - DATED < since <= at + DATED)}


def _entry_at(entries: tuple[tuple[int, T], ...], at: int) -> T:
    """Of before its first entry an agency has no other than that one."""
    return next((entry for since, entry in reversed(entries) if since <= at), entries[0][1])


def standing(key: Key, at: int) -> Key:
    """The key, which stands at this time. Raises Refusal REVOKED_KEY, STALE_KEY."""
    if key.revoked is not None and at >= key.revoked:
        raise Refusal("REVOKED_KEY")
    if not key.nbf <= at < key.exp:
        raise Refusal("STALE_KEY")
    return key


class Lookup(View):
    """The view, asked."""

    # --- agencies

    def member(self, agency: str) -> Agency:
        """The member with this id, also one that has left: its keys may stand. Raises Refusal UNKNOWN_AGENCY."""
        known = self.known(agency)
        if not known.member:
            raise Refusal("UNKNOWN_AGENCY")
        return known

    def desk(self, agency: str, desk: str, at: int | None = None) -> Agency:
        """The member that has this desk; with `at`, one that it may have had at a relay that decided at about then.

        Raises:
            Refusal: UNKNOWN_AGENCY, UNKNOWN_DESK.
        """
        member = self.member(agency)
        newest = member.admissions[-1]
        if at is None or newest.since <= at - DATED:  # no relay of then can have gone by an earlier word
            found = desk in newest.desks
        else:
            had = member.had
            found = any(desk in _entry_at(had, moment) for moment in _moments(had, at))
        if not found:
            raise Refusal("UNKNOWN_DESK")
        return member

    def addressed(self, agency: str, desk: str, at: int, *, person: bool = True) -> Agency:
        """The member whose desk a message may be addressed to at this time (K23).

        Args:
            person: whether the message is about somebody; what is about nobody still goes to one that has left.

        Raises:
            Refusal: UNKNOWN_AGENCY, UNKNOWN_DESK, LEFT, MOVED.
        """
        if person:
            self.check_here(agency, at)
        return self.desk(agency, desk)

    def check_here(self, agency: str, at: int) -> None:
        """Raises Refusal MOVED or LEFT when nobody may address this agency anew, with who is there instead."""
        if (now := self.moved(agency, at)) is not None:
            name = self.known(now).name
            raise Refusal(
                "MOVED", f"That agency is {name} now. Look that up; agreements do not follow by themselves."
            )
        left = self.known(agency).left
        if left is None or at < left.stops:
            return
        successor = self.agencies[left.successor].name if left.successor in self.agencies else ""
        if successor:
            raise Refusal("LEFT", f"That agency has left the partnership. {successor} does its work now.")
        raise Refusal("LEFT")

    def moved(self, agency: str, at: int) -> str | None:
        """The id of the agency that this one is now, while looking up the old one is answered; else None."""
        said = self.moves.get(agency)
        return said[-1].now if said and at < said[-1].until else None

    def find(self, text: str) -> Agency:
        """A member by id, or by its exact name, wherever it is now: of two of one name, the one that never left.

        Raises:
            Refusal: UNKNOWN_AGENCY.
        """
        if text in self.agencies:
            return self.member(text)
        named = [a for a in self.agencies.values() if a.name and a.name.casefold() == text.casefold()]
        here = [a for a in named if a.left is None and a.id not in self.moves]
        found = named if len(named) == 1 else here
        if len(found) != 1:
            raise Refusal("UNKNOWN_AGENCY")
        return found[0]

    def addressee(self, text: str, at: int) -> Agency:
        """The member to whom somebody may write who types this id or name. Raises as `find`, and LEFT, MOVED."""
        found = self.find(text)
        self.check_here(found.id, at)
        return found

    # --- what an agency is in law

    def known_desk(self, agency: str, desk: str) -> Agency:
        """The member that has or once had this desk. Raises Refusal UNKNOWN_AGENCY, UNKNOWN_DESK."""
        member = self.member(agency)
        if not any(desk in desks for _, desks in member.had):
            raise Refusal("UNKNOWN_DESK")
        return member

    def party(self, agency: str) -> Party:
        """What this member is in law. Raises Refusal UNKNOWN_AGENCY."""
        return self.member(agency).admissions[-1].party

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

    # --- keys

    def published(self, kid: str) -> Key | None:
        """The key with this id, whatever became of it, or None; roots and operational keys are none."""
        owner = self.ids.get(kid)
        return None if owner is None else self.agencies[owner].keys.get(kid)

    def speakers(self, agency: str, kid: str) -> tuple[bytes, ...]:
        """The public key by which a statement of this agency may once have been signed, or none (K8, K20-K22)."""
        known, key = self.agencies.get(agency), self.published(kid)
        if key is not None and key.use in SPEAKING:
            return (key.public,)
        oversight = self.agencies.get(self.oversight)
        ops = [*(known.ops if known else ()), *(oversight.ops if oversight else ())]
        return tuple(op for op in ops if kid_of(ED25519, op) == kid)[:1]

    def key(self, kid: str, use: Use, at: int, agency: str | None = None) -> Key:
        """The key with this id, for this use, standing at this time.

        Raises:
            Refusal: UNKNOWN_KEY, REVOKED_KEY, STALE_KEY.
        """
        key = self.published(kid)
        if key is None or key.use != use or (agency is not None and key.agency != agency):
            raise Refusal("UNKNOWN_KEY")
        return standing(key, at)

    def signer(self, kid: str, at: int) -> Key:
        """The policy key that may sign at this time; one whose revocation is on record signs no more (Q2).

        Raises:
            Refusal: UNKNOWN_KEY, REVOKED_KEY, STALE_KEY.
        """
        key = self.published(kid)
        if key is not None and key.use == Use.POLICY and key.revoked is not None:
            raise Refusal("REVOKED_KEY")
        return self.key(kid, Use.POLICY, at, self.oversight)

    def requester(self, kid: str, at: int) -> Key:
        """The key that signs a request: an agent's, its renew key or an IG officer's. Raises as `key` does."""
        known = self.published(kid)
        use = known.use if known is not None and known.use in (Use.IG_AUTH, Use.RENEW) else Use.AUTH
        return self.key(kid, use, at)

    def prekey(self, agency: str, at: int, *, person: bool = True) -> Key:
        """The newest sealable prekey of a member that is not `young`, or else the newest; `person` as in `addressed`.

        Raises:
            Refusal: UNKNOWN_AGENCY, LEFT, MOVED, STALE_KEY.
        """
        member = self.member(agency)
        if person:
            self.check_here(agency, at)
        keys = [key for kid in member.prekeys if (key := member.keys[kid]).stands(at)]
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
        found = self.ig_keys(agencies, at)
        return tuple(Officer(kid, found[kid].public) for kid in sorted(found))

    def ig_keys(self, agencies: set[str], at: int) -> Mapping[str, Key]:
        """Those officers' keys, by their ids. Raises as `officers` does."""
        found: dict[str, Key] = {}
        for agency in sorted({*agencies, self.oversight}):
            own = {kid: key for kid, key in self.known(agency).ig.items() if key.stands(at)}
            if not own:
                raise Refusal(
                    "OFFICERS", "An agency has no IG officer's key in the directory. Ask its administrator."
                )
            found |= own
        return found
