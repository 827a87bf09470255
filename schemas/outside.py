"""Witnesses outside the partnership, as the charter names them (PROTOCOL.md L25; C2SP tlog-witness, tlog-cosignature).

A member's witness key is in the directory, which the relay serves. An outside witness vouches for the relay itself, so
its key stands in the partnership file, which is given by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from schemas.checkpoint import Checkpoint, NoteKey
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.mldsa import MLDSA_SIGNATURE, verify_mldsa
from schemas.witness import (
    AHEAD,
    MldsaLogKey,
    Published,
    WitnessKey,
    cosigned_at,
    cosigned_message,
    quorum_time,
)

MOST = 8
"""Outside witnesses of one partnership: an ML-DSA-44 line has 3,300 characters."""
_STAMP = 8


class OutsideWitness(Frozen):
    """A witness that the relay asks: its verifier key (L7, type 04 or 06), and its submission prefix."""

    key: Annotated[str, Field(max_length=2400)]
    url: Annotated[
        str, Field(pattern=r"^(https://|http://(127\.0\.0\.1|\[::1\]|localhost)[:/])[!-~]+$", max_length=200)
    ]


@dataclass(frozen=True, slots=True)
class Outside:
    """The outside witnesses of a partnership, and how many of them must cosign a head."""

    keys: tuple[NoteKey, ...] = ()
    urls: tuple[str, ...] = ()
    needed: int = 0

    @classmethod
    def of(cls, listed: Sequence[OutsideWitness], needed: int, origin: str) -> Outside:
        """Raises Refusal CHECKPOINT for a key that is none, SETTINGS for lists that do not hold together."""
        keys = tuple(_parse(one.key) for one in listed)
        names = {key.name for key in keys}
        materials = {key.public for key in keys}
        if (
            needed > len(keys)
            or len(names) < len(keys)
            or len(materials) < len(keys)
            or names & {origin, f"{origin}/keys"}
        ):
            raise Refusal(
                "SETTINGS",
                "The partnership file's outside witnesses do not hold together: each once, and no more needed.",
            )
        return cls(keys, tuple(one.url.rstrip("/") for one in listed), needed)

    def key(self, name: str) -> NoteKey | None:
        return next((key for key in self.keys if key.name == name), None)

    def seen(self, published: Published, now: int) -> dict[str, int]:
        """The outside witnesses whose cosignatures a head carries, each with its newest time.

        Raises:
            Refusal: CHECKPOINT when a line names such a key and does not verify.
        """
        found: dict[str, int] = {}
        for key in self.keys:
            for signature in key.own(published.lines):
                stamp = stamp_of(key, signature, published.checkpoint)
                if stamp <= now + AHEAD:
                    found[key.name] = max(stamp, found.get(key.name, 0))
        return found

    def stood(self, members: int | None, found: Mapping[str, int]) -> int | None:
        """The time since which members and outside witnesses both stand behind a head; None when either do not.

        Args:
            members: that of the members' quorum.
            found: the outside witnesses seen on the head.
        """
        if members is None or not self.needed:
            return members
        outside = quorum_time(found, self.needed)
        return None if outside is None else min(members, outside)


def stamp_of(key: NoteKey, signature: bytes, checkpoint: Checkpoint) -> int:
    """When an outside witness cosigned, once it verifies; `signature` is what follows the key id.

    Raises:
        Refusal: CHECKPOINT.
    """
    try:
        if isinstance(key, WitnessKey):
            stamp = cosigned_at(signature, checkpoint, key.public)
        else:
            stamp = int.from_bytes(signature[:_STAMP], "big")
            if len(signature) != _STAMP + MLDSA_SIGNATURE:
                raise Refusal("SIGNATURE")
            verify_mldsa(key.public, cosigned_message(key.name, stamp, checkpoint), signature[_STAMP:])
    except Refusal as error:
        raise Refusal("CHECKPOINT") from error
    if stamp == 0:  # it would say nothing of when this was the largest log it knew
        raise Refusal("CHECKPOINT")
    return stamp


def _parse(text: str) -> NoteKey:
    try:
        return WitnessKey.parse(text)
    except Refusal:
        return MldsaLogKey.parse(text)
