"""A loss that the relay signed: what an officer reads in it, and oversight's word around it (PROTOCOL.md L26, L27).

Rules of this house:
- the word is given with the new log mirrored and proven, so that what is lost is told from what goes on;
- whoever gives it says how much is lost: nobody signs a number that they did not read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from keys_tooling.audit.mirror import Mirror
from keys_tooling.directory_reading import replay
from schemas.canonical import Json, strict_json
from schemas.checkpoint import Checkpoint, open_checkpoint
from schemas.errors import Refusal
from schemas.forked import TwoNotes
from schemas.keyring import OfficerKeys
from schemas.keys import Use
from schemas.loss import Accepted, Loss, check_word, read_loss, sign_word
from schemas.merkle import Frontier
from schemas.partnership import Partnership
from schemas.signing import STATEMENT_LIMIT, Signed

FILE_LIMIT = 2 * STATEMENT_LIMIT
UNKNOWN = "unknown"
OLD = (
    "This folder mirrors the log as it was before the loss. Keep it as it is: it has what was lost. Pull into a new "
    "folder, and give oversight's word from there."
)


@dataclass(frozen=True, slots=True)
class Said:
    """A relay's statement, with oversight's word where there is one, and which of the two logs this mirror is of."""

    loss: Loss
    now: Checkpoint
    was: Checkpoint | None
    word: Accepted | None
    mirrors: str

    def to_json(self) -> dict[str, Json]:
        return {
            "accepted": None if self.word is None else self.word.ts,
            "kept": self.now.size,
            "known": None if self.was is None else self.was.size,
            "lost": self.loss.lost,
            "mirror": self.mirrors,
            "said": self.loss.ts,
        }

    def text(self) -> str:
        known = "nobody knows of how many" if self.was is None else f"of {self.was.size:,}"
        lost = (
            f"{number(self.loss)} entries and statements; the relay has the first {self.now.size:,} {known}"
        )
        word = "not given yet" if self.word is None else "given, and its signature holds"
        return f"Lost       {lost}\nOversight  word {word}\nMirror     {MIRRORS[self.mirrors]}"


MIRRORS = {
    "before": "of the log before the loss. Keep this folder: it has what was lost. Pull into a new one",
    "after": "of the log that goes on",
    "short": "too short to say of which log it is",
}


def number(loss: Loss) -> str:
    """How much was lost, as people have to say it."""
    return UNKNOWN if loss.lost is None else str(loss.lost)


def parse(data: bytes) -> Signed:
    """A statement or a word, as it lies in a file. Raises Refusal FORM, TOO_BIG."""
    return Signed.from_json(strict_json(data, FILE_LIMIT))


def look(signed: Signed, partnership: Partnership, mirror: Mirror) -> Said:
    """What a file says, its signatures verified.

    Raises:
        Refusal: FORM, SIGNATURE, CHECKPOINT, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY, MIRROR.
    """
    log, keys_log = partnership.log_key, partnership.keys_log_key
    try:
        loss, word = read_loss(signed, log, keys_log), None
    except Refusal as refusal:
        if refusal.code != "SIGNATURE":
            raise
        view = replay(partnership.charter.oversight, mirror.statements(), None, lambda _size: None)
        word = check_word(signed, log, keys_log, view)
        loss = word.loss
    now = open_checkpoint(loss.now, log)
    was = open_checkpoint(loss.was, log) if loss.was else None
    return Said(loss, now, was, word, _which(mirror, loss, now, partnership))


def accept(
    signed: Signed,
    said: str,
    seen: Iterable[TwoNotes],
    partnership: Partnership,
    mirror: Mirror,
    keys: OfficerKeys,
    now: int,
) -> Signed:
    """Oversight's word around a relay's statement.

    Args:
        said: how much is lost, as whoever signs has read it.
        seen: what agents wrote who had seen more than the relay knows of.

    Raises:
        Refusal: CONFLICT for another number, or a mirror of the lost log; UNKNOWN_KEY when the officer is not
            oversight's; MIRROR when the mirror is too short to judge; and as `look`.
    """
    found = look(signed, partnership, mirror)
    view = replay(partnership.charter.oversight, mirror.statements(), None, lambda _size: None)
    try:
        view.key(keys.auth.kid, Use.IG_AUTH, now, view.oversight)
    except Refusal as error:
        raise Refusal(error.code, "Only an officer of oversight gives this word.") from error
    if found.word is not None:
        raise Refusal("CONFLICT", "This file has oversight's word already.")
    if said != number(found.loss):
        raise Refusal("CONFLICT", f"What is lost: {number(found.loss)}. Say exactly that with --lost.")
    if found.mirrors == "before":
        raise Refusal("CONFLICT", OLD)
    if found.mirrors == "short":
        raise Refusal(
            "MIRROR", "Pull first: this mirror does not reach the head that the relay went back to."
        )
    heads = [head for two in seen for head in _lost(two, found, partnership, mirror)]
    return sign_word(signed, heads, keys.auth, keys.auth.kid, now)


def _which(mirror: Mirror, loss: Loss, now: Checkpoint, partnership: Partnership) -> str:
    """Of which log the mirror is: what it believed behind `now` before the loss was said is lost."""
    if mirror.frontier().size < now.size:
        return "short"
    if root_at(mirror, now.size) != now.root:
        raise Refusal("FORK", "The head that the relay went back to is not of your mirror's log. Keep both.")
    for note in mirror.notes("log"):
        behind = open_checkpoint(note.text, partnership.log_key).size > now.size
        if note.believed and note.seen < loss.ts and behind:
            return "before"
    return "after"


def _lost(two: TwoNotes, found: Said, partnership: Partnership, mirror: Mirror) -> Iterable[Checkpoint]:
    """Of an agent's two heads those that are of no log that goes on, and newer than the relay says."""
    if two.log != partnership.log_key:
        raise Refusal("CHECKPOINT", "A file given with --seen is about another log.")
    for head in two.heads():
        if head.size <= found.now.size or (found.was is not None and head.size < found.was.size):
            continue
        if head.size > mirror.frontier().size:
            raise Refusal("MIRROR", "Pull first: a head given with --seen is newer than this mirror.")
        if root_at(mirror, head.size) != head.root:
            yield head


def root_at(mirror: Mirror, size: int) -> bytes:
    """The root over the mirror's first entries. Raises Refusal MIRROR when it has fewer."""
    frontier = Frontier()
    for leaf, _ in zip(mirror.hashes(0), range(size), strict=False):
        frontier = frontier.append(leaf)
    if frontier.size != size:
        raise Refusal("MIRROR")
    return frontier.root()
