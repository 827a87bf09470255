"""Small-number suppression: what of a set of tables may be published. Pure.

Rules of this house:
- no figure of 1 to 7 is shown; every other is rounded to 5, and a nought is a nought (as NHS sub-national hospital
  statistics do);
- a withheld figure must not follow from the others: further ones are withheld until some world that fits everything
  shown gives it 8 or more, even for a reader who knew the shown figures exactly;
- an agency with fewer than three peers is withheld, and cannot be told to within 8;
- with the packs published before, nothing small may follow either, not even how many came late: a figure that would
  do that is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from keys_tooling.audit.report.bounds import Bounds, Key, Range, Sum
from keys_tooling.audit.report.figures import Figures

SMALLEST = 8
"""The smallest count that is shown, other than nought."""
STEP = 5
HALF = STEP // 2
PEERS = 3


@dataclass(frozen=True, slots=True)
class Published:
    """What is shown of each figure, None for one withheld; and the sums that readers know to hold."""

    shown: Mapping[Key, int | None]
    sums: tuple[Sum, ...]
    revised: frozenset[Key] = frozenset()
    """Those withheld only because of an earlier pack."""


def rounded(count: int) -> int:
    """To the nearest 5."""
    return (count + HALF) // STEP * STEP


def without_peers(kinds: Mapping[str, str]) -> frozenset[str]:
    """The agencies with fewer than three others of their kind.

    Args:
        kinds: the kind (sector) of every agency in the table.
    """
    sizes = {kind: sum(other == kind for other in kinds.values()) for kind in kinds.values()}
    return frozenset(agency for agency, kind in kinds.items() if sizes[kind] - 1 < PEERS)


def publish(
    figures: Figures,
    apart: Set[Key] = frozenset(),
    earlier: Sequence[Published] = (),
    twins: Sequence[tuple[Key, Key]] = (),
) -> Published:
    """What may be shown of these figures.

    Args:
        apart: figures to withhold whatever they are, such as those of an agency without peers.
        earlier: the packs published before; those that share a statistic and its period count.
        twins: figures of two statistics that are often equal, so that a reader takes one for the other: where one is
            withheld the other is too.
    """
    withheld, revised = suppress(figures, apart), frozenset[Key]()
    while True:
        beside = _beside(figures, withheld, earlier)
        withheld, revised = withheld | beside, revised | (beside - withheld)
        torn = {key for pair in twins for key in pair if not withheld.isdisjoint(pair)} - withheld
        if not torn:
            break
        withheld |= suppress(figures, apart | torn) | torn
    shown = {key: None if key in withheld else rounded(count) for key, count in figures.counts.items()}
    return Published(shown, figures.sums, revised)


def suppress(figures: Figures, apart: Set[Key] = frozenset()) -> frozenset[Key]:
    """Which figures to withhold, of tables that stand alone."""
    counts = figures.counts
    hidden = {key for key, count in counts.items() if 0 < count < SMALLEST or key in apart}
    ranges = {
        key: Range(min(1, count), None) if key in hidden else Range(count, count)
        for key, count in counts.items()
    }
    bounds = Bounds(ranges, figures.sums, counts)
    for key in sorted(hidden):
        goal = counts[key] + SMALLEST if key in apart else SMALLEST
        while counts[key] and not bounds.reach(key, goal):
            # Some figure shown holds it there: were all of them withheld, every count might be ten times what it is.
            least = min(_shown(bounds.pins(key), hidden, counts), key=lambda pin: _cost(pin, counts))
            hidden.add(least)
            bounds.loosen(least, 1)
    return frozenset(hidden)


def _shown(pins: Sequence[Key], hidden: Set[Key], counts: Mapping[Key, int]) -> list[Key]:
    return [pin for pin in pins if pin not in hidden and counts.get(pin)]


def _cost(key: Key, counts: Mapping[Key, int]) -> tuple[int, int, Key]:
    """What is lost by withholding a figure: the smaller and the narrower, the less."""
    return counts[key], -len(key), key


def _beside(figures: Figures, hidden: Set[Key], packs: Sequence[Published]) -> frozenset[Key]:
    """Which figures to withhold so that nothing small follows from this pack and the earlier ones together.

    What earlier packs show otherwise, or withheld, is withheld. So a reader can never tell that anything came late:
    every world that fits the earlier packs fits this one too. A figure that was nought and is no longer can be any
    number, once every total that it is in is withheld as well.
    """
    told = [(pack.shown, {key[:2] for key in pack.shown}) for pack in packs]
    found = set(hidden)
    for key, count in figures.counts.items():
        # A value that an axis did not have then, such as a new code, was nought.
        then = [shown.get(key, 0) for shown, named in told if key[:2] in named]
        if any(one != rounded(count) for one in then):
            found.add(key)
        if 0 < count < SMALLEST and 0 in then:
            found |= _totals(key, figures)
    return frozenset(found)


def _totals(key: Key, figures: Figures) -> set[Key]:
    """Every total that a figure is in."""
    found: set[Key] = set()
    wanted = {key}
    while wanted:
        wanted = {one.whole for one in figures.sums if not wanted.isdisjoint(one.parts)}
        found |= wanted
    return found
