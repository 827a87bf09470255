"""The recipient's rules V1 to V7 in order, on a desk without a store: what a delivery of the vectors is held against."""

from schemas.audit import Leaf
from schemas.canonical import unb64
from schemas.checkpoint import LogKey, LogProof
from schemas.directory import Directory
from schemas.envelope import Delivery
from schemas.errors import Refusal
from schemas.keys import OpeningKey, Use
from schemas.opening import Opened, open_delivery, own_row
from schemas.signing import Purpose, verify


def receive(
    data: bytes,
    agency: str,
    key: OpeningKey,
    view: Directory,
    log: LogKey,
    now: int,
    seen: frozenset[str] = frozenset(),
) -> Opened:
    """The opened message. Raises Refusal, with the code of the first rule that fails."""
    delivery = Delivery.parse(data)  # V1
    envelope, header = delivery.envelope, delivery.envelope.header
    view.desk(header.sender.a, header.sender.d, header.ts)  # V2
    signer = view.key(header.signer, Use.MSG, header.ts, header.sender.a)
    verify(signer.public, Purpose.ENVELOPE, envelope.transcript, envelope.sig)
    place = own_row(delivery, {key.kid})  # V3
    if header.to[place].a != agency:
        raise Refusal("NOT_FOR_US")
    if now > header.exp:  # V4
        raise Refusal("EXPIRED")
    if header.ts > now + 300:
        raise Refusal("FUTURE")
    if header.mid in seen:
        raise Refusal("REPLAY")
    proof = LogProof.parse(delivery.proof)  # V5
    leaf = Leaf.parse(proof.extra)
    if leaf.tag != envelope.eid or leaf.sender_record != unb64(header.ar, 32):
        raise Refusal("PROOF")
    proof.verified(leaf.to_bytes(), log)
    return open_delivery(delivery, key)  # V6, V7
