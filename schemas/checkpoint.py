"""Checkpoints and proofs in the field's formats: C2SP tlog-checkpoint, signed-note and tlog-proof (PROTOCOL.md L5-L8).

A checkpoint is a signed statement of a log's size and root. Its parser is a model of strictness: sizes are capped,
a number counts only if printing it gives the same text, and every malformation gets the same answer.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

import nacl.exceptions
import nacl.signing

from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keys import SigningKey
from schemas.merkle import HASH_SIZE, MAX_PROOF, leaf_hash, verify_inclusion

NOTE_LIMIT = 8 * 1024
MAX_SIGNATURES = 32
ED25519_NOTE = b"\x01"
PROOF_HEAD = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head: origin, number of leaves, root hash."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"


@dataclass(frozen=True, slots=True)
class LogKey:
    """A log's verifier key: its name on the signature line and its Ed25519 public key."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519_NOTE + self.public).digest()[:4]

    def text(self) -> str:
        """The C2SP vkey: name+hash+key."""
        return f"{self.name}+{self.key_id.hex()}+{_b64(ED25519_NOTE + self.public)}"

    @classmethod
    def parse(cls, text: str) -> LogKey:
        """Raises Refusal CHECKPOINT."""
        if not text.isascii():
            raise Refusal("CHECKPOINT")
        name, _, rest = text.partition("+")
        _, _, encoded = rest.partition("+")
        data = _unb64(encoded)
        key = cls(name, data[1:])
        if not name or data[:1] != ED25519_NOTE or len(data) != 33 or key.text() != text:
            raise Refusal("CHECKPOINT")
        return key


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """The checkpoint as a signed note with one Ed25519 line (C2SP signed-note, type 0x01)."""
    text = checkpoint.text()
    signer = LogKey(checkpoint.origin, key.public)
    line = _b64(signer.key_id + key.sign_bytes(text.encode()))
    return f"{text}\n\u2014 {signer.name} {line}\n"


def open_checkpoint(note: str, key: LogKey) -> Checkpoint:
    """The checkpoint of a note that `key` signed, for the origin of the same name.

    Lines of unknown keys are passed over, as the format asks; a line of this key must verify.

    Raises:
        Refusal: CHECKPOINT.
    """
    if len(note) > NOTE_LIMIT:
        raise Refusal("CHECKPOINT")
    body, separator, tail = note.partition("\n\n")
    text = body + "\n"
    signatures = tail.split("\n")
    if not separator or signatures.pop() != "" or not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise Refusal("CHECKPOINT")
    mine = [
        data[4:]
        for name, data in map(_signature_line, signatures)
        if (name, data[:4]) == (key.name, key.key_id)
    ]
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


def _signature_line(line: str) -> tuple[str, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    data = _unb64(encoded)
    if dash != "\u2014" or not name or len(data) < 5:
        raise Refusal("CHECKPOINT")
    return name, data


@dataclass(frozen=True, slots=True)
class LogProof:
    """A C2SP tlog-proof: that a leaf stands at `index` of the tree that `note` signs."""

    extra: bytes
    index: int
    hashes: tuple[bytes, ...]
    note: str

    def to_bytes(self) -> bytes:
        lines = [PROOF_HEAD, f"extra {_b64(self.extra)}", f"index {self.index}", *map(_b64, self.hashes), ""]
        return ("\n".join(lines) + "\n" + self.note).encode()

    @classmethod
    def parse(cls, data: bytes) -> LogProof:
        """Read a proof in its one spelling, not yet verified. Raises Refusal PROOF."""
        try:
            head, _, note = data.decode().partition("\n\n")
            lines = head.split("\n")
            if lines[0] != PROOF_HEAD or lines[1][:6] != "extra " or lines[2][:6] != "index ":
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
