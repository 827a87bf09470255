"""A secret on paper: SLIP-39 shares of 32 bytes, any `need` of which give it back (satoshilabs SLIP-0039). Pure.

Rules of this house:
- a share is checked by itself first, so that whoever copied a word wrongly hears which share, and where;
- no refusal repeats a word of a share: it names the share as its giver named it, and a place in it;
- fewer shares than `need` tell nothing at all of the secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shamir_mnemonic import EncryptedMasterSecret, MnemonicError, Share, recover_ems, split_ems
from shamir_mnemonic.constants import CUSTOMIZATION_STRING_EXTENDABLE, RADIX_BITS
from shamir_mnemonic.rs1024 import create_checksum
from shamir_mnemonic.shamir import ShareGroup
from shamir_mnemonic.wordlist import WORDLIST

from schemas.errors import Refusal

SECRET = 32
WORDS, CHECK = 33, 3
MOST = 16
FEWEST = 2
TELLING = 4
"""Letters that tell a word of the list from all others."""


@dataclass(frozen=True, slots=True)
class Share39:
    """One share, checked by itself. `set` names the set that it was made in, `number` counts from 1."""

    set: int
    number: int
    need: int
    words: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Share39({self.set}, {self.number})"

    __str__ = __repr__


def split(secret: bytes, need: int, of: int, identifier: int) -> tuple[Share39, ...]:
    """A new set of `of` shares, any `need` of which give the secret back.

    Args:
        secret: 32 bytes.
        need: 2 or more; one share alone would be the secret itself.
        of: at most 16.
        identifier: 15 bits that tell this set from others; drawn.

    Raises:
        Refusal: SHARE when the numbers make no sense.
    """
    if not FEWEST <= need <= of <= MOST:
        raise Refusal("SHARE", "Choose at least 2 shares that are needed, and at most 16 in all.")
    whole = EncryptedMasterSecret.from_master_secret(secret, b"", identifier, True, 0)
    (made,) = split_ems(1, [(need, of)], whole)
    return tuple(Share39(identifier, one.index + 1, need, tuple(one.words())) for one in made)


def read(text: str, name: str) -> Share39:
    """One share as somebody typed it: words of which four letters are enough, numbers and punctuation around them.

    Args:
        name: how to speak of it, such as "share-2.txt".

    Raises:
        Refusal: SHARE, naming the place of a wrong word where that can be told.
    """
    words = [_word(word, at, name) for at, word in enumerate(_spelt(text), 1)]
    if len(words) != WORDS:
        raise Refusal(
            "SHARE", f"{name} has {len(words)} words, and a share has {WORDS}. Type it again from its page."
        )
    try:
        share = Share.from_mnemonic(" ".join(words))
    except MnemonicError:
        raise Refusal("SHARE", f"{name} does not fit together: {_where(words)}") from None
    if (share.group_count, share.group_index, share.iteration_exponent) != (1, 0, 0) or not share.extendable:
        raise Refusal(
            "SHARE", f"{name} is a share of something else, not of a Fenpost backup. Find the right page."
        )
    return Share39(share.identifier, share.index + 1, share.member_threshold, tuple(words))


def combine(given: Sequence[tuple[str, Share39]]) -> bytes:
    """The secret of which these are shares, each with the name to speak of it by.

    Raises:
        Refusal: SHARE: one twice, of two sets, too few, or they do not fit each other.
    """
    if not given:
        raise Refusal("SHARE", "No share was given. Give those that the pages ask for.")
    seen: dict[int, str] = {}
    first_name, first = given[0]
    for name, share in given:
        if (share.set, share.need) != (first.set, first.need):
            raise Refusal(
                "SHARE",
                f"{name} and {first_name} are of two different backups. Compare the backup's name on the pages.",
            )
        if share.number in seen:
            raise Refusal("SHARE", f"{name} and {seen[share.number]} are the same share. Give another one.")
        seen[share.number] = name
    if len(given) < first.need:
        raise Refusal(
            "SHARE", f"These are {len(given)} shares, and {first.need} are needed. Ask another holder."
        )
    group = ShareGroup()
    for _, share in given[: first.need]:
        group.add(Share.from_mnemonic(" ".join(share.words)))
    try:
        return bytes(recover_ems({0: group}).decrypt(b""))
    except MnemonicError:
        raise Refusal(
            "SHARE", "These shares do not fit each other: one is of another backup. Compare the pages' dates."
        ) from None


def _spelt(text: str) -> Iterator[str]:
    for piece in text.lower().split():
        if letters := piece.strip(".,;:()0123456789"):
            yield letters


def _word(typed: str, at: int, name: str) -> str:
    if typed in WORDLIST:
        return typed
    fitting = [word for word in WORDLIST if word.startswith(typed)] if len(typed) >= TELLING else []
    if len(fitting) == 1:
        return str(fitting[0])
    raise Refusal("SHARE", f"Word {at} of {name} is none of the list. Compare it with the printed page.")


def _where(words: Sequence[str]) -> str:
    """One wrong word can be found, because the check is linear: its place is told, never the word."""
    values = [WORDLIST.index(word) for word in words]

    def fault(of: Sequence[int]) -> int:
        right = create_checksum(of[:-CHECK], CUSTOMIZATION_STRING_EXTENDABLE)
        return sum(
            (one ^ other) << RADIX_BITS * at
            for at, (one, other) in enumerate(zip(right, of[-CHECK:], strict=True))
        )

    found, places = fault(values), []
    for at in range(len(values)):
        bits = []
        for bit in range(RADIX_BITS):
            changed = list(values)
            changed[at] ^= 1 << bit
            bits.append(fault(changed) ^ found)
        if _spanned(found, bits):
            places.append(at + 1)
    if len(places) == 1:
        return f"word {places[0]} is probably wrong. Compare it with the printed page."
    return (
        "more than one word is wrong, or two have changed places. Compare every word with the printed page."
    )


def _spanned(target: int, vectors: Sequence[int]) -> bool:
    """Whether some of these, added without carry, give the target (Gaussian elimination over two elements)."""
    for vector in sorted(_reduced(vectors), reverse=True):
        target = min(target, target ^ vector)
    return target == 0


def _reduced(vectors: Sequence[int]) -> list[int]:
    basis: list[int] = []
    for vector in vectors:
        for one in sorted(basis, reverse=True):
            vector = min(vector, vector ^ one)
        if vector:
            basis.append(vector)
    return basis
