"""Checkpoints and proofs in the field's formats: C2SP tlog-checkpoint, signed-note and tlog-proof (PROTOCOL.md L5-L8).

A checkpoint is a signed statement of a log's size and root. Its parser is a model of strictness: sizes are capped,
a number counts only if printing it gives the same text, and every malformation gets the same answer.
"""

from __future__ import annotations

import base64
import hashlib
from binascii import b2a_base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

import nacl.exceptions
import nacl.signing

from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keys import SigningKey
from schemas.merkle import HASH_SIZE, MAX_PROOF, leaf_hash, verify_inclusion

NOTE_LIMIT = 48 * 1024
MAX_SIGNATURES = 74
"""The log's two lines, those of 64 members and of 8 outside witnesses."""
PROOF_HEAD = b"c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head: origin, number of leaves, root hash."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A verifier key of signed notes: the name on its signature lines, and its public key (C2SP signed-note, L7).

    A kind of signature is a subclass: `KIND` is its type byte, `SIZE` its public key's length.
    """

    name: str
    public: bytes

    KIND: ClassVar[bytes]
    SIZE: ClassVar[int]

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + self.KIND + self.public).digest()[:4]

    def text(self) -> str:
        """The C2SP vkey: name+hash+key."""
        return f"{self.name}+{self.key_id.hex()}+{_b64(self.KIND + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises Refusal CHECKPOINT."""
        if not text.isascii():
            raise Refusal("CHECKPOINT")
        name, _, rest = text.partition("+")
        _, _, encoded = rest.partition("+")
        data = _unb64(encoded)
        key = cls(name, data[1:])
        if not name or data[:1] != cls.KIND or len(data) != 1 + cls.SIZE or key.text() != text:
            raise Refusal("CHECKPOINT")
        return key

    def line(self, signature: bytes) -> str:
        """A signature by this key as a note's line, with its line end."""
        return f"\u2014 {self.name} {_b64(self.key_id + signature)}\n"

    def own(self, lines: Iterable[tuple[str, bytes]]) -> list[bytes]:
        """The signatures among a note's lines that claim to be this key's."""
        key_id = self.key_id
        return [data[4:] for name, data in lines if name == self.name and data[:4] == key_id]


class LogKey(NoteKey):
    """A log's Ed25519 verifier key; its name is the log's origin."""

    __slots__ = ()
    KIND = b"\x01"
    SIZE = 32


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """The checkpoint as a signed note with one Ed25519 line (C2SP signed-note, type 0x01)."""
    text = checkpoint.text()
    return f"{text}\n{LogKey(checkpoint.origin, key.public).line(key.sign_bytes(text.encode()))}"


def open_checkpoint(note: str, key: LogKey) -> Checkpoint:
    """The checkpoint of a note that `key` signed, for the origin of the same name.

    Lines of unknown keys are passed over, as the format asks; a line of this key must verify.

    Raises:
        Refusal: CHECKPOINT.
    """
    text, lines = note_lines(note)
    mine = key.own(lines)
    if len(mine) != 1:
        raise Refusal("CHECKPOINT")
    try:
        nacl.signing.VerifyKey(key.public).verify(text.encode(), mine[0])
    except (
        nacl.exceptions.BadSignatureError,
        ValueError,
    ) as error:  # also half a character, which has no bytes
        raise Refusal("CHECKPOINT") from error
    return _parse_text(text, key.name)


def own_note(note: str, key: NoteKey) -> str:
    """A note with this key's lines alone. Raises Refusal CHECKPOINT."""
    text, lines = note_lines(note)
    return f"{text}\n{''.join(map(key.line, key.own(lines)))}"


def note_lines(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """A signed note taken apart, nothing of it verified: its text, and the name and bytes of each signature line.

    Raises:
        Refusal: CHECKPOINT.
    """
    if len(note) > NOTE_LIMIT:
        raise Refusal("CHECKPOINT")
    body, separator, tail = note.partition("\n\n")
    signatures = tail.split("\n")
    if not separator or signatures.pop() != "" or not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise Refusal("CHECKPOINT")
    return body + "\n", list(map(signature_line, signatures))


def note_hash(note: str) -> str:
    """H("fenpost/v1/note", the whole signed note): how a statement of freshness names a checkpoint (K15)."""
    return b64(labelled("fenpost/v1/note", note.encode()))


def _parse_text(text: str, origin: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) != 4 or lines[0] != origin or not lines[1].isascii() or not lines[1].isdigit():
        raise Refusal("CHECKPOINT")
    if len(lines[1]) > 19:
        raise Refusal("CHECKPOINT")
    checkpoint = Checkpoint(origin, int(lines[1]), _unb64(lines[2]))
    if len(checkpoint.root) != HASH_SIZE or checkpoint.text() != text:
        raise Refusal("CHECKPOINT")
    return checkpoint


def signature_line(line: str) -> tuple[str, bytes]:
    """A note's signature line without its line end: name, and the bytes of key id and signature. Raises CHECKPOINT."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    data = _unb64(encoded)
    if dash != "\u2014" or not name or len(data) < 5:
        raise Refusal("CHECKPOINT")
    return name, data


def proof_start(extra: bytes, index: int) -> bytes:
    """A tlog-proof's lines before its hashes, for one who prints very many proofs of one tree."""
    return b"%b\nextra %bindex %d\n" % (PROOF_HEAD, b2a_base64(extra), index)


def proof_line(node: bytes) -> bytes:
    """A hash of a tlog-proof."""
    return b2a_base64(node)


def proof_end(note: str) -> bytes:
    """What follows a tlog-proof's hashes."""
    return f"\n{note}".encode()


@dataclass(frozen=True, slots=True)
class LogProof:
    """A C2SP tlog-proof: that a leaf stands at `index` of the tree that `note` signs."""

    extra: bytes
    index: int
    hashes: tuple[bytes, ...]
    note: str

    def to_bytes(self) -> bytes:
        return b"".join(
            [proof_start(self.extra, self.index), *map(proof_line, self.hashes), proof_end(self.note)]
        )

    @classmethod
    def parse(cls, data: bytes) -> LogProof:
        """Read a proof in its one spelling, not yet verified. Raises Refusal PROOF."""
        try:
            head, _, note = data.decode().partition("\n\n")
            lines = head.split("\n")
            if lines[0].encode() != PROOF_HEAD or lines[1][:6] != "extra " or lines[2][:6] != "index ":
                raise Refusal("PROOF")
            if len(lines) > 3 + MAX_PROOF or len(lines[2]) > 25:
                raise Refusal("PROOF")
            proof = cls(_unb64(lines[1][6:]), int(lines[2][6:]), tuple(map(_unb64, lines[3:])), note)
        except (ValueError, IndexError, Refusal) as error:
            raise Refusal("PROOF") from error
        if proof.index < 0 or proof.to_bytes() != data:
            raise Refusal("PROOF")
        return proof

    def verified(self, leaf: bytes, key: LogKey) -> Checkpoint:
        """The checkpoint, once it is signed by the log and includes `leaf` at `index`; `extra` must be that leaf.

        Raises:
            Refusal: CHECKPOINT, PROOF.
        """
        checkpoint = open_checkpoint(self.note, key)
        if self.extra != leaf:
            raise Refusal("PROOF")
        verify_inclusion(leaf_hash(leaf), self.index, checkpoint.size, self.hashes, checkpoint.root)
        return checkpoint


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unb64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Refusal("CHECKPOINT") from error
    if _b64(data) != text:
        raise Refusal("CHECKPOINT")
    return data
