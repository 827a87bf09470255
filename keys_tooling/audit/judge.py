"""An agent's two-logs.json or two-directories.json, judged by an officer: with the notes alone, and with her own mirror
(PROTOCOL.md L22, L28)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from keys_tooling.audit.mirror import Mirror
from schemas.canonical import Json
from schemas.checkpoint import Checkpoint
from schemas.directory_statement import statement_leaf
from schemas.errors import Refusal
from schemas.forked import TwoNotes
from schemas.merkle import Frontier, leaf_hash
from schemas.partnership import Partnership

MEANS = {
    "forked": "The relay signed two histories of the log that cannot both be true. Keep the file: for anybody it is "
    "the proof. Tell oversight.",
    "forked-here": "The relay signed one of these and your mirror's checkpoint, and they cannot both be true. Keep the "
    "file and your mirror: together they are the proof. Tell oversight.",
    "fits": "Both notes are of the history that you mirror. The relay did not show the agent how they fit: ask why.",
    "unanswered": "Both are signed. Whether they fit, only a longer mirror can say: pull, then judge again.",
}
"""What each verdict means in plain words."""
Verdict = Literal["forked", "forked-here", "fits", "unanswered"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and the sizes that the two notes are of."""

    verdict: Verdict
    sizes: tuple[int, int]

    @property
    def proven(self) -> bool:
        return self.verdict in ("forked", "forked-here")

    def to_json(self) -> dict[str, Json]:
        return {"verdict": self.verdict, "sizes": list(self.sizes), "means": MEANS[self.verdict]}

    def text(self) -> str:
        return f"Sizes    {self.sizes[0]:,} and {self.sizes[1]:,}\nVerdict  {MEANS[self.verdict]}"


def judge(two: TwoNotes, partnership: Partnership, mirror: Mirror) -> Judgement:
    """What two notes prove about the relay whose log this officer mirrors.

    Raises:
        Refusal: CHECKPOINT when they are of another log, or not signed by it: they accuse nobody.
    """
    if two.log not in (partnership.log_key, partnership.keys_log_key):
        raise Refusal("CHECKPOINT", "The file is about another log than those of your partnership.")
    older, newer = two.heads()
    sizes = (older.size, newer.size)
    if older.size == newer.size and older.root != newer.root:
        return Judgement("forked", sizes)
    leaves = _statements(mirror) if two.log == partnership.keys_log_key else None
    proven = mirror.frontier().size if leaves is None else len(leaves)
    if any(_differs(head, leaves or mirror.hashes(0)) for head in (older, newer) if head.size <= proven):
        return Judgement("forked-here", sizes)
    return Judgement("fits" if newer.size <= proven else "unanswered", sizes)


def _statements(mirror: Mirror) -> list[bytes]:
    """The leaf hashes of the directory's log, as far as it is mirrored."""
    return [leaf_hash(statement_leaf(signed)) for signed in mirror.statements()]


def _differs(head: Checkpoint, leaves: Iterable[bytes]) -> bool:
    frontier = Frontier()
    for leaf, _ in zip(leaves, range(head.size), strict=False):
        frontier = frontier.append(leaf)
    if frontier.size != head.size:
        raise Refusal("MIRROR")
    return frontier.root() != head.root
