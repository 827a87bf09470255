"""Believing the relay when it says "accepted": proof, record and every field compared (PROTOCOL.md L9-L11)."""

from __future__ import annotations

from schemas.api import EnvelopeResult
from schemas.audit import Event, Leaf, accept_leaf
from schemas.canonical import b64, unb64
from schemas.checkpoint import LogKey, LogProof
from schemas.envelope import Envelope
from schemas.errors import Refusal
from schemas.opening import open_record
from schemas.record import SealedRecord


def check_acceptance(envelope: Envelope, result: EnvelopeResult, key: LogKey) -> str:
    """The checkpoint note under which the log holds this envelope; still to be held against the one believed.

    An accepted envelope comes with the relay's record and its key: it must say what was sent. A repeat has only the
    proof, because the relay has forgotten the key.

    Raises:
        Refusal: PROOF, CHECKPOINT, RECORD, RECORD_DIFFERS, FORM.
    """
    if result.proof is None or result.eid != b64(envelope.eid):
        raise Refusal("PROOF")
    proof = LogProof.parse(result.proof.encode())
    leaf = Leaf.parse(proof.extra)
    if leaf.tag != envelope.eid or leaf.sender_record != unb64(envelope.header.ar, 32):
        raise Refusal("PROOF")
    proof.verified(leaf.to_bytes(), key)
    if result.status == "accepted":
        _check_record(envelope, leaf, result)
    return proof.note


def _check_record(envelope: Envelope, leaf: Leaf, result: EnvelopeResult) -> None:
    if result.record is None or result.rk is None:
        raise Refusal("RECORD", party="relay")
    record = unb64(result.record)
    if accept_leaf(envelope.eid, record, leaf.sender_record) != leaf:
        raise Refusal("PROOF")
    facts = open_record(SealedRecord.parse(record), unb64(result.rk, 32), b64(envelope.eid))
    expected = {
        "event": str(Event.ACCEPT),
        "header": envelope.header_bytes.decode("ascii"),
        "sig": b64(envelope.sig),
        "wm": b64(envelope.wm_hash),
        "body": b64(envelope.body_hash),
    }
    if any(facts.get(name) != value for name, value in expected.items()):
        raise Refusal("RECORD_DIFFERS", "The relay's record does not say what was sent.", party="relay")


def delivered_note(envelope: Envelope, proof_bytes: bytes, key: LogKey) -> str:
    """The checkpoint note that proves a delivery is in the log (V5).

    Raises:
        Refusal: PROOF, CHECKPOINT.
    """
    proof = LogProof.parse(proof_bytes)
    leaf = Leaf.parse(proof.extra)
    if leaf.tag != envelope.eid or leaf.sender_record != unb64(envelope.header.ar, 32):
        raise Refusal("PROOF")
    proof.verified(leaf.to_bytes(), key)
    return proof.note
