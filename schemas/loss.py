"""Entries that the relay has lost, and oversight's word that one may go on without them (PROTOCOL.md L26, L27).

The relay says what is gone, under its directory log's key: the log's own key signs heads and nothing else. Oversight's
word goes around that statement whole, so both have signed the same facts.

Rules of this house:
- only heads behind the one that the relay went back to, and no newer than the one that it names, count as lost; a
  newer one counts only when oversight names it by its root;
- a loss explains what was signed before it, and nothing that is signed later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, ValidationError

from schemas.canonical import b64, decode, unb64
from schemas.checkpoint import NOTE_LIMIT, Checkpoint, LogKey, open_checkpoint
from schemas.directory import Directory
from schemas.envelope import Frozen, Hash32, Seconds
from schemas.errors import Refusal
from schemas.keys import ED25519, Signer, SigningKey, Use, kid_of
from schemas.signed_text import SignedText
from schemas.signing import STATEMENT_LIMIT, Purpose, Signed

MOST_SEEN = 64
Count = Annotated[int, Field(ge=0, le=2**53)]
Note = Annotated[str, Field(max_length=NOTE_LIMIT)]


class Loss(Frozen):
    """What the relay signs when an administrator accepts a loss.

    `was` is the note of the newest head that it knows of, empty when nobody knows; `now` that of the head which its
    store still has and which it goes on from; `lost` how many entries and directory statements that makes.
    """

    lost: Count | None
    now: Note
    ts: Seconds
    v: Annotated[int, Field(ge=1, le=1)]
    was: Note


class Head(Frozen):
    """A head that an agency saw."""

    root: Hash32
    size: Count


class Word(Frozen):
    """What oversight signs: the relay's statement whole, and lost heads newer than the one that it names."""

    by: Hash32
    loss: SignedText
    seen: Annotated[tuple[Head, ...], Field(max_length=MOST_SEEN)]
    ts: Seconds
    v: Annotated[int, Field(ge=1, le=1)]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A loss as both signed it; `was` is None when nobody knows the newest lost head."""

    loss: Loss
    now: Checkpoint
    was: Checkpoint | None
    seen: frozenset[tuple[int, bytes]]
    ts: int
    signed: Signed = field(repr=False)

    def lost(self, head: Checkpoint) -> bool:
        """Whether this head may have been signed over entries that the relay has not any more."""
        if self.named(head):
            return True
        if self.was is None or not self.now.size < head.size <= self.was.size:
            return False
        return head.size < self.was.size or head.root == self.was.root

    def named(self, head: Checkpoint) -> bool:
        """Whether oversight names this very head as lost."""
        return head.size > self.now.size and (head.size, head.root) in self.seen


def sign_loss(loss: Loss, key: SigningKey) -> Signed:
    """The relay's statement, under its directory log's key."""
    return Signed.make(key, Purpose.LOSS, loss.model_dump(mode="json"))


def sign_word(loss: Signed, seen: Iterable[Checkpoint], key: Signer, kid: str, ts: int) -> Signed:
    """Oversight's word, by its operational key or by the request key of one of its officers."""
    heads = tuple(Head(root=b64(head.root), size=head.size) for head in seen)
    inner = SignedText.model_validate(loss.to_json())
    word = Word(by=kid, loss=inner, seen=heads, ts=ts, v=1)
    return Signed.make(key, Purpose.LOSS_ACCEPTED, word.model_dump(mode="json"))


def read_loss(signed: Signed, log: LogKey, keys_log: LogKey) -> Loss:
    """The relay's statement, verified.

    Raises:
        Refusal: FORM, NOT_CANONICAL; SIGNATURE; CHECKPOINT when a note in it is not the log's.
    """
    signed.verified(keys_log.public, Purpose.LOSS)
    loss = _loss(signed)
    _heads(loss, log)
    return loss


def read_word(signed: Signed, log: LogKey) -> Accepted:
    """A loss as it says itself, with no signature verified but those of the notes: for one that was checked before.

    Raises:
        Refusal: FORM, NOT_CANONICAL; CHECKPOINT.
    """
    word = _word(signed)
    loss = _loss(Signed.from_json(word.loss.model_dump()))
    now, was = _heads(loss, log)
    seen = frozenset((head.size, unb64(head.root, 32)) for head in word.seen)
    return Accepted(loss, now, was, seen, word.ts, signed)


def check_word(signed: Signed, log: LogKey, keys_log: LogKey, view: Directory) -> Accepted:
    """A loss that the relay signed and oversight accepted.

    Raises:
        Refusal: FORM, NOT_CANONICAL; CHECKPOINT; SIGNATURE, UNKNOWN_AGENCY; UNKNOWN_KEY, REVOKED_KEY, STALE_KEY when
            it is not oversight who signed.
    """
    word, found = _word(signed), read_word(signed, log)
    read_loss(Signed.from_json(word.loss.model_dump()), log, keys_log)
    by, oversight = word.by, view.agencies.get(view.oversight)
    if oversight is None:
        raise Refusal("UNKNOWN_AGENCY")
    if by == kid_of(ED25519, oversight.op):
        public = oversight.op
    else:
        public = view.key(by, Use.IG_AUTH, found.ts, view.oversight).public
    signed.verified(public, Purpose.LOSS_ACCEPTED)
    return found


def _loss(signed: Signed) -> Loss:
    decode(signed.text, STATEMENT_LIMIT)
    try:
        return Loss.model_validate_json(signed.text)
    except ValidationError:
        raise Refusal("FORM") from None


def _word(signed: Signed) -> Word:
    decode(signed.text, STATEMENT_LIMIT)
    try:
        return Word.model_validate_json(signed.text)
    except ValidationError:
        raise Refusal("FORM") from None


def _heads(loss: Loss, log: LogKey) -> tuple[Checkpoint, Checkpoint | None]:
    """The head that the relay goes on from, and the newest lost one."""
    now = open_checkpoint(loss.now, log)
    if not loss.was:
        if loss.lost is not None:
            raise Refusal("FORM")
        return now, None
    was = open_checkpoint(loss.was, log)
    if loss.lost is None or was.size < now.size or (was.size == now.size and was.root != now.root):
        raise Refusal("FORM")
    return now, was
