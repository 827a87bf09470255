"""Published heads of the log and their witnesses (PROTOCOL.md L17-L22; C2SP tlog-cosignature).

The relay publishes a head now and then: the checkpoint with the log's second line, by ML-DSA-44. Members' agents
cosign it, each once it has seen that the head extends what it cosigned before.

Rules of this house:
- a cosignature counts for one agency, by a key that the directory lists as that member's witness and that stands;
- two heads that enough members cosigned share a member, so nobody can be shown a log of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import nacl.exceptions
import nacl.signing

from schemas.checkpoint import Checkpoint, LogKey, NoteKey, note_lines, open_checkpoint
from schemas.directory import Directory, Key
from schemas.errors import Refusal
from schemas.keys import SigningKey, Use
from schemas.mldsa import MLDSA_PUBLIC, MLDSA_SIGNATURE, MLDSA_TYPE, MldsaKey, verify_mldsa

AHEAD = 300
"""Seconds that a witness's clock may be ahead."""
QUORUM_AGE = 24 * 3600
"""How old the newest head with enough cosignatures may be before sending stops."""
ACTIVE = 14 * 24 * 3600
"""How long a member counts as taking part after its last cosignature."""
_STAMP = 8


class MldsaLogKey(NoteKey):
    """A log's ML-DSA-44 verifier key; its name is the log's origin."""

    __slots__ = ()
    KIND = MLDSA_TYPE
    SIZE = MLDSA_PUBLIC


class WitnessKey(NoteKey):
    """A member's witness key as a verifier key; its name is the agency's id."""

    __slots__ = ()
    KIND = b"\x04"
    SIZE = 32


@dataclass(frozen=True, slots=True)
class Published:
    """A head with both of the log's lines verified, and what other lines came with it."""

    checkpoint: Checkpoint
    note: str
    lines: tuple[tuple[str, bytes], ...]


def publish(note: str, checkpoint: Checkpoint, key: MldsaKey) -> str:
    """The signed note with the log's ML-DSA-44 line added; its time is 0, because the witnesses say the time."""
    signature = key.sign_bytes(cosigned_message(checkpoint.origin, 0, checkpoint))
    return note + MldsaLogKey(checkpoint.origin, key.public).line(bytes(_STAMP) + signature)


def open_published(note: str, log: LogKey, mldsa: MldsaLogKey) -> Published:
    """A head that carries exactly one good line of each of the log's keys (L17).

    Raises:
        Refusal: CHECKPOINT.
    """
    checkpoint = open_checkpoint(note, log)
    _, lines = note_lines(note)
    mine = mldsa.own(lines)
    if len(mine) != 1 or len(mine[0]) != _STAMP + MLDSA_SIGNATURE:
        raise Refusal("CHECKPOINT")
    stamp = int.from_bytes(mine[0][:_STAMP], "big")
    try:
        verify_mldsa(mldsa.public, cosigned_message(mldsa.name, stamp, checkpoint), mine[0][_STAMP:])
    except Refusal as error:
        raise Refusal("CHECKPOINT") from error
    return Published(checkpoint, note, tuple(lines))


def cosigned_message(name: str, stamp: int, checkpoint: Checkpoint) -> bytes:
    """What an ML-DSA-44 cosigner signs (tlog-cosignature), for a whole tree: start is 0."""
    cosigner, origin = name.encode(), checkpoint.origin.encode()
    return b"".join(
        (
            b"subtree/v1\n\0",
            len(cosigner).to_bytes(1, "big") + cosigner,
            stamp.to_bytes(_STAMP, "big"),
            len(origin).to_bytes(1, "big") + origin,
            bytes(8),
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


# --- cosignatures


def cosign(checkpoint: Checkpoint, agency: str, key: SigningKey, ts: int) -> str:
    """A member's cosignature as a note's line (type 0x04): as of `ts` this is the largest log that it has seen.

    Danger: call it only when the checkpoint extends all that this key cosigned before, and that is on the disk.
    """
    signature = key.sign_bytes(_cosigned_text(checkpoint, ts))
    return WitnessKey(agency, key.public).line(ts.to_bytes(_STAMP, "big") + signature)


def cosigned_at(signature: bytes, checkpoint: Checkpoint, public: bytes) -> int:
    """When a cosignature was made, once it verifies; `signature` is what follows the key id.

    Raises:
        Refusal: SIGNATURE.
    """
    stamp = int.from_bytes(signature[:_STAMP], "big")
    try:
        nacl.signing.VerifyKey(public).verify(_cosigned_text(checkpoint, stamp), signature[_STAMP:])
    except (nacl.exceptions.BadSignatureError, ValueError) as error:
        raise Refusal("SIGNATURE") from error
    return stamp


def _cosigned_text(checkpoint: Checkpoint, ts: int) -> bytes:
    return f"cosignature/v1\ntime {ts}\n{checkpoint.text()}".encode()


def witness_key(view: Directory, agency: str, key_id: bytes) -> Key:
    """The witness key of a member that a line with this key id is of. Raises Refusal UNKNOWN_AGENCY, UNKNOWN_KEY."""
    for key in view.member(agency).keys.values():
        if key.use == Use.WITNESS and WitnessKey(agency, key.public).key_id == key_id:
            return key
    raise Refusal("UNKNOWN_KEY")


def check_cosignature(
    name: str, data: bytes, checkpoint: Checkpoint, view: Directory, now: int
) -> tuple[str, int]:
    """Whose a signature line is, and of what time, once it verifies under a member's witness key that stands.

    Raises:
        Refusal: UNKNOWN_AGENCY, UNKNOWN_KEY, SIGNATURE, FUTURE, REVOKED_KEY, STALE_KEY.
    """
    key = witness_key(view, name, data[:4])
    stamp = cosigned_at(data[4:], checkpoint, key.public)
    if stamp > now + AHEAD:
        raise Refusal("FUTURE")
    if key.revoked is not None and key.revoked <= now:
        raise Refusal("REVOKED_KEY")  # whatever time it names: who stole a key can antedate
    if not key.stands(stamp):
        raise Refusal("STALE_KEY")
    return name, stamp


def witnesses(published: Published, view: Directory, now: int) -> dict[str, int]:
    """The members whose cosignatures a head carries, each once, with its newest time; others' lines are passed over.

    Raises:
        Refusal: CHECKPOINT when a line names a witness's key and does not verify.
    """
    found: dict[str, int] = {}
    for name, data in published.lines:
        try:
            agency, stamp = check_cosignature(name, data, published.checkpoint, view, now)
        except Refusal as refusal:
            if refusal.code == "SIGNATURE":
                raise Refusal("CHECKPOINT") from refusal
            continue
        found[agency] = max(stamp, found.get(agency, 0))
    return found


# --- the quorum


def taking_part(seen: Mapping[str, int], view: Directory, now: int) -> int:
    """How many members took part lately; `seen` is each agency's newest cosignature that was ever seen."""
    return sum(
        now - stamp <= ACTIVE and agency in view.agencies and view.agencies[agency].member
        for agency, stamp in seen.items()
    )


def needed(members: int, floor: int) -> int:
    """How many must cosign when so many take part (L20): more than half of three or more, never below `floor`.

    Of two, one is enough: their messages to each other show the checkpoints, and neither agent can always be on.
    """
    return max(floor, members // 2 + 1 if members > 2 else 1)


def quorum_time(found: Mapping[str, int], count: int) -> int | None:
    """The time since which `count` of these members stood behind a head; None when they are fewer."""
    stamps = sorted(found.values(), reverse=True)
    return stamps[count - 1] if len(stamps) >= count else None
