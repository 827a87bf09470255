"""The state that replaying directory statements gives, and cheap copies of it (PROTOCOL.md K15).

Rules of this house:
- what agencies have is frozen values, so a copy costs no more than a list of who there is;
- statements are not kept: of what oversight may have to take back, only where it stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple, Self

from schemas.errors import Refusal
from schemas.merkle import Frontier
from schemas.policing import Timeline
from schemas.published import Agency, Moved
from schemas.retention import Retention

FOLD = 4096


class Said(NamedTuple):
    """Something that oversight said in statement `seq` of its chain, so that it can be undone (K20)."""

    seq: int
    op: str
    about: str


class Ids:
    """Every key id ever published or committed to, and whose it is. Copies share what both of them have."""

    __slots__ = ("_new", "_old")

    def __init__(self) -> None:
        self._old: dict[str, str] = {}  # shared, so never written to
        self._new: dict[str, str] = {}

    def get(self, kid: str) -> str | None:
        """The agency that published this key, or None."""
        return self._new.get(kid) or self._old.get(kid)

    def add(self, kids: Collection[str], agency: str) -> None:
        self._new.update(dict.fromkeys(kids, agency))

    def items(self) -> Iterator[tuple[str, str]]:
        """Each key id with the agency that it is of."""
        yield from self._old.items()
        yield from ((kid, agency) for kid, agency in self._new.items() if kid not in self._old)

    def copied(self) -> Ids:
        if len(self._new) > FOLD:
            self._old, self._new = {**self._old, **self._new}, {}
        twin = Ids()
        twin._old, twin._new = self._old, dict(self._new)
        return twin


class View:
    """The view after some statements. Only the takers of schemas.directory change it."""

    def __init__(self, oversight: str) -> None:
        self.oversight = oversight
        self.agencies: dict[str, Agency] = {}
        self.frontier = Frontier()
        self.policies = Timeline()
        self.countersigned: dict[str, int] = {}
        """People's role keys that oversight countersigned, and when; each counts only a while after (O3)."""
        self.young: frozenset[str] = frozenset()
        """Receiving keys that no quorum vouches for yet: sealed to only where an agency has no other (L27)."""
        self.retentions: tuple[Retention, ...] = ()
        """What was said of records that may go, in order (Y1)."""
        self.moves: dict[str, tuple[Moved, ...]] = {}
        """What was said of agencies that are others now, by their old ids, the last word last (K23)."""
        self.said: list[Said] = []
        """What oversight said, in order, and not what is void of it."""
        self.ids = Ids()

    @property
    def size(self) -> int:
        return self.frontier.size

    def copied(self) -> Self:
        """A view of its own that says the same; it costs no more than there are agencies."""
        twin = type(self)(self.oversight)
        twin.agencies = dict(self.agencies)
        twin.frontier, twin.policies, twin.young = self.frontier, self.policies, self.young
        twin.countersigned, twin.retentions = dict(self.countersigned), self.retentions
        twin.moves, twin.said = dict(self.moves), list(self.said)
        twin.ids = self.ids.copied()
        return twin

    def __copy__(self) -> Self:
        return self.copied()

    def __deepcopy__(self, memo: object) -> Self:
        del memo
        return self.copied()

    def known(self, agency: str) -> Agency:
        """Raises Refusal UNKNOWN_AGENCY for one without an inception."""
        try:
            return self.agencies[agency]
        except KeyError:
            raise Refusal("UNKNOWN_AGENCY") from None

    def put(self, agency: Agency) -> None:
        self.agencies[agency.id] = agency

    def check_new(self, kids: Collection[str]) -> None:
        """Raises Refusal KEY unless these are different keys that nobody has published or committed to (K12)."""
        if len(set(kids)) != len(kids) or any(self.ids.get(kid) is not None for kid in kids):
            raise Refusal(
                "KEY", "This key is in the directory already. Make a new one; keys are never reused."
            )

    def note(self, kids: Collection[str], agency: str) -> None:
        """From now on these are this agency's, for good."""
        self.ids.add(kids, agency)
