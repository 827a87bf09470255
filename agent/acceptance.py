"""Believing the relay when it says "accepted" or "recorded": proof, record, each field (PROTOCOL.md L9-L11, D5)."""

from __future__ import annotations

from schemas.api import EnvelopeResult, ReceiptResult
from schemas.audit import Event, Leaf, accept_leaf, event_tag, tag_text
from schemas.canonical import b64, unb64
from schemas.checkpoint import LogKey, LogProof
from schemas.envelope import Envelope
from schemas.errors import Refusal
from schemas.opening import open_record
from schemas.receipt import parse_receipt
from schemas.record import SealedRecord
from schemas.record_sealing import record_hash
from schemas.signing import Signed

EVIDENCE = frozenset({"PROOF", "CHECKPOINT", "RECORD", "RECORD_DIFFERS", "FORK", "ROLLBACK"})
"""What a relay's answer cannot be refused for by mistake: it stops all sending, and the answer is kept."""


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


def check_step(signed: Signed, result: ReceiptResult, key: LogKey) -> str:
    """The checkpoint note under which the log holds a receipt of ours; still to be held against the one believed (D5).

    A recorded receipt comes with the relay's record and its key: it must name the receipt verbatim. A repeat has only
    the proof, because the relay has forgotten the key.

    Raises:
        Refusal: PROOF, CHECKPOINT, RECORD, RECORD_DIFFERS.
    """
    receipt = parse_receipt(signed)
    if result.proof is None or (result.eid, result.d) != (receipt.eid, receipt.d):
        raise Refusal("PROOF")
    proof = LogProof.parse(result.proof.encode())
    leaf = Leaf.parse(proof.extra)
    tag = event_tag(unb64(receipt.eid, 32), Event(receipt.state), receipt.a, receipt.d)
    if leaf.tag != tag or proof.index != result.index:
        raise Refusal("PROOF")
    proof.verified(leaf.to_bytes(), key)
    if result.status == "recorded":
        _check_step_record(signed, leaf, result)
    return proof.note


def _check_step_record(signed: Signed, leaf: Leaf, result: ReceiptResult) -> None:
    receipt = parse_receipt(signed)
    try:
        record, rk = unb64(result.record or ""), unb64(result.rk or "", 32)
    except Refusal as refusal:
        raise Refusal("RECORD", party="relay") from refusal
    if record_hash(record) != leaf.relay_record:
        raise Refusal("PROOF")
    facts = open_record(SealedRecord.parse(record), rk, tag_text(leaf.tag))
    expected = {
        "event": receipt.state,
        "eid": receipt.eid,
        "a": receipt.a,
        "d": receipt.d,
        "receipt": signed.to_json(),
    }
    if any(facts.get(name) != value for name, value in expected.items()):
        raise Refusal("RECORD_DIFFERS", "The relay's record does not say what was signed.", party="relay")


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
