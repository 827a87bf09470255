"""Every changed byte of a signed envelope, and of a delivery, is refused by the recipient's rules."""

import json
from pathlib import Path

import pytest

from schemas.envelope import Delivery, Upload
from schemas.errors import Refusal
from schemas.keys import OpeningKey
from schemas.opening import open_record, record_key
from schemas.record import SealedRecord
from schemas.signing import Purpose, Signed, verify
from tests.tools.forge import unb
from tests.tools.recipient import receive
from tests.tools.vector_world import ALDER, BIRCH, LOG_KEY, directory, seed

FOLDER = Path(__file__).parents[1] / "vectors"
FILE = json.loads((FOLDER / "envelope.json").read_text(encoding="ascii"))
DELIVERY = unb(FILE["valid"][0]["deliveries"][0]["delivery"])
UPLOAD = unb(FILE["valid"][0]["upload"])
VIEW = directory()
HEADER_END = 8 + int.from_bytes(DELIVERY[4:8], "big")
BODY_AT = HEADER_END + 4 + 64 + 4
SIG_AT = BODY_AT + int.from_bytes(DELIVERY[BODY_AT - 4 : BODY_AT], "big")
SIG_END = SIG_AT + 64
WRAP_END = SIG_END + 1168
RECORD_END = WRAP_END + 4 + int.from_bytes(DELIVERY[WRAP_END : WRAP_END + 4], "big")


def taken(data: bytes) -> bool:
    try:
        receive(data, BIRCH.id, BIRCH.prekey, VIEW, LOG_KEY, FILE["now"])
    except Refusal:
        return False
    return True


def turned(data: bytes, at: int, bits: int) -> bytes:
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]


def still_taken(places: range, bits: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(at, bit) for at in places for bit in bits if taken(turned(DELIVERY, at, bit))]


def test_the_untouched_delivery_is_taken():
    assert taken(DELIVERY)


def test_no_byte_of_the_frame_and_header_can_change():
    assert still_taken(range(HEADER_END), (1, 0x20, 0x80)) == []


def test_no_bit_of_the_manifest_and_its_frame_can_change():
    assert still_taken(range(HEADER_END, BODY_AT), tuple(1 << n for n in range(8))) == []


def test_no_bit_of_the_signature_can_change():
    assert still_taken(range(SIG_AT, SIG_END), tuple(1 << n for n in range(8))) == []


def test_no_byte_of_the_body_can_change():
    assert still_taken(range(BODY_AT, SIG_AT, 3), (1,)) == []


def test_no_byte_of_the_wrap_can_change():
    assert still_taken(range(SIG_END, WRAP_END), (0x80,)) == []


def test_no_byte_of_the_record_can_change():
    assert still_taken(range(WRAP_END, RECORD_END, 3), (1,)) == []


def test_no_byte_of_the_proof_can_change():
    assert still_taken(range(RECORD_END, len(DELIVERY)), (1, 0x20)) == []


@pytest.mark.parametrize(
    "at", [0, 3, 7, HEADER_END, BODY_AT, SIG_AT, SIG_END, WRAP_END, RECORD_END, len(DELIVERY) - 1]
)
def test_no_byte_can_be_missing_or_more(at: int):
    assert not taken(DELIVERY[:at] + DELIVERY[at + 1 :])
    assert not taken(DELIVERY[:at] + b"\0" + DELIVERY[at:])


def test_every_changed_byte_of_an_upload_is_refused_by_form_or_signature():
    def refused(data: bytes) -> bool:
        try:
            envelope = Upload.parse(data).envelope
            verify(ALDER.msg.public, Purpose.ENVELOPE, envelope.transcript, envelope.sig)
        except Refusal:
            return True
        return False

    assert not refused(UPLOAD)
    assert [at for at in range(0, len(UPLOAD), 5) if not refused(turned(UPLOAD, at, 1))] == []


def test_every_changed_byte_of_a_record_is_refused_by_an_officer_who_knows_its_hash():
    delivery = Delivery.parse(DELIVERY)
    officer = OpeningKey(seed("alder ig"))
    good = SealedRecord.parse(delivery.record)
    rk = record_key(good, [officer])

    def opens(data: bytes) -> bool:
        try:
            record = SealedRecord.parse(data)
            open_record(record, record_key(record, [officer]), record.head.ctx)
        except Refusal:
            return False
        return True

    assert opens(delivery.record)
    assert open_record(good, rk, good.head.ctx)
    others_wraps = range(len(delivery.record) - 3 * 1168, len(delivery.record))
    for at in range(0, len(delivery.record), 9):
        if at not in others_wraps:  # another officer's wrap is not hers to judge: the header's `ar` fixes it
            assert not opens(turned(delivery.record, at, 1)), at


@pytest.mark.parametrize("name", ["grant", "receipt"])
def test_no_byte_of_a_statement_can_change(name: str):
    file = json.loads((FOLDER / f"{name}.json").read_text(encoding="ascii"))
    signed = Signed.from_json(file["valid"][0]["statement"])
    key, purpose = (ALDER.consent, Purpose.GRANT) if name == "grant" else (BIRCH.msg, Purpose.RECEIPT)
    assert signed.verified(key.public, purpose) == signed.text
    others = [Signed(turned(signed.text, at, 1), signed.signature) for at in range(len(signed.text))]
    others += [
        Signed(signed.text, turned(signed.signature, at, 1 << bit)) for at in range(64) for bit in range(8)
    ]
    for other in others:
        with pytest.raises(Refusal, match="SIGNATURE"):
            other.verified(key.public, purpose)


@pytest.mark.parametrize("purpose", [p for p in Purpose if p is not Purpose.GRANT])
def test_a_signature_is_good_for_one_purpose(purpose: Purpose):
    signed = Signed.make(ALDER.consent, Purpose.GRANT, {"v": 1})
    with pytest.raises(Refusal, match="SIGNATURE"):
        signed.verified(ALDER.consent.public, purpose)
