"""Sealed records: one spelling, one key, and nothing that tells the agencies concerned apart from blanks."""

import pytest

from schemas.canonical import b64, encode
from schemas.envelope import Delivery
from schemas.errors import Refusal
from schemas.hashing import framed
from schemas.opening import (
    check_facts,
    epoch_record_key,
    open_delivery,
    open_epoch,
    open_record,
    record_key,
    unveil_record,
)
from schemas.record import MAX_OFFICERS, Head, SealedRecord, wrap_info
from schemas.record_sealing import commitment, epoch_tag, seal_body, seal_epoch_record, veil_record
from schemas.sealing import Draft, Officer, SealedFor, seal, seal_record, wrap_key
from tests.tools.forge import LAW, PAYLOAD, forge
from tests.tools.vector_world import ALDER, BIRCH, CEDAR, DAY, OVERSIGHT, T0, seed

CTX, TAG = b64(seed("mid")[:16]), b64(seed("tag"))
RK = seed("rk")
BLANKS = (b64(seed("blank")[:16]),)
KEYS = tuple(seed(f"epoch {n}") for n in range(3))


def officers(*agencies) -> tuple[Officer, ...]:
    return tuple(Officer(keys.ig.kid, keys.ig.public) for keys in agencies)


def relay_record(keys=KEYS, blanks=BLANKS) -> SealedRecord:
    return SealedRecord.parse(seal_epoch_record(TAG, b"{}", keys, RK, blanks))


def test_officers_are_named_in_order_whatever_the_order_given():
    for order in ((ALDER, BIRCH, OVERSIGHT), (OVERSIGHT, BIRCH, ALDER)):
        record = SealedRecord.parse(seal_record(CTX, b"{}", officers(*order), RK))
        assert list(record.head.to) == sorted(keys.ig.kid for keys in order)
        assert all(record_key(record, [keys.ig]) == RK for keys in order)


def test_somebody_who_is_not_named_opens_nothing():
    record = SealedRecord.parse(seal_record(CTX, b"{}", officers(ALDER), RK))
    for keys in ([BIRCH.ig], [ALDER.prekey], []):
        with pytest.raises(Refusal, match="RECORD"):
            record_key(record, keys)
    with pytest.raises(Refusal, match="RECORD"):
        record_key(relay_record(), [ALDER.ig])


def test_an_officer_opens_with_whichever_of_her_keys_fits():
    record = SealedRecord.parse(seal_record(CTX, b"{}", officers(ALDER), RK))
    assert record_key(record, [BIRCH.ig, CEDAR.ig, ALDER.ig]) == RK


@pytest.mark.parametrize("count", [0, MAX_OFFICERS + 1])
def test_a_record_has_readers_and_not_too_many(count: int):
    with pytest.raises(Refusal, match="OFFICERS"):
        seal_record(CTX, b"{}", officers(ALDER) * count, RK)


def head(**changes) -> bytes:
    """A head in its one spelling, of one officer, with members changed."""
    return encode({"ctx": CTX, "kc": b64(RK), "to": [ALDER.ig.kid], "v": 1, "w": "hpke"} | changes)


MANY = sorted(b64(seed(f"reader {n}")) for n in range(MAX_OFFICERS + 1))
NO_HEADS = [
    ("another kind's name", head(w="epoch")),
    ("a kind of no list", head(w="other")),
    ("a version to come", head(v=2)),
    ("a context of the other kind", head(ctx=TAG)),
    ("readers of the other kind", head(to=[CTX])),
    ("an id whose last character has bits too many", head(ctx=CTX[:-1] + "B")),
    ("a key id that does", head(to=[ALDER.ig.kid[:-1] + "B"])),
    ("a commitment that does", head(kc=b64(RK)[:-1] + "B")),
    ("nobody", head(to=[])),
    ("one reader too many", head(to=MANY)),
    ("out of order", head(to=MANY[1::-1])),
    ("a member too many", head(x=1)),
    ("a member missing", b'{"ctx":"%b"}' % CTX.encode()),
    ("a space", head().replace(b'","', b'", "', 1)),
    ("something behind", head() + b"\n"),
    ("something before", b" " + head()),
    ("the version as a text", head(v="1")),
    ("no JSON", b"\xff"),
    ("nothing", b""),
]


@pytest.mark.parametrize(("what", "data"), NO_HEADS, ids=[row[0] for row in NO_HEADS])
def test_a_head_has_one_spelling(what: str, data: bytes):
    assert Head.parse(head(to=MANY[:MAX_OFFICERS])).to == tuple(MANY[:MAX_OFFICERS])
    with pytest.raises(Refusal, match="RECORD"):
        Head.parse(data)


def test_an_officer_named_twice_makes_a_record_that_nobody_takes():
    with pytest.raises(Refusal, match="RECORD"):
        SealedRecord.parse(seal_record(CTX, b"{}", officers(ALDER, ALDER), RK))


@pytest.mark.parametrize(("ctx", "rk"), [(b64(seed("other")[:16]), RK), (CTX, seed("other")), (TAG, RK)])
def test_another_key_or_context_opens_nothing(ctx: str, rk: bytes):
    record = SealedRecord.parse(seal_record(CTX, b"{}", officers(ALDER), RK))
    with pytest.raises(Refusal, match="RECORD"):
        open_record(record, rk, ctx)


@pytest.mark.parametrize("plain", [b"[]", b"null", b'{"a":1.0}', b'{"a": 1}', b"", b"\xff"])
def test_facts_are_one_canonical_object(plain: bytes):
    record = SealedRecord.parse(seal_record(CTX, plain, officers(ALDER), RK))
    with pytest.raises(Refusal, match="RECORD"):
        open_record(record, RK, CTX)


def test_a_wrap_moved_to_another_record_opens_nothing():
    """The wrap's info names its record: an officer's wrap of one record does not open under another's head."""
    one = SealedRecord.parse(seal_record(CTX, b"{}", officers(ALDER), RK))
    head = encode({"ctx": CTX, "kc": commitment(CTX, seed("x")), "to": [ALDER.ig.kid], "v": 1, "w": "hpke"})
    moved = SealedRecord.parse(
        b"FPR1" + framed(head) + framed(seal_body(seed("x"), seed("rh"), b"{}")) + one.wraps[0]
    )
    with pytest.raises(Refusal, match="CANNOT_OPEN"):
        record_key(moved, [ALDER.ig])
    other = wrap_key(ALDER.ig.public, wrap_info(one.rh, BIRCH.ig.kid), RK)
    swapped = SealedRecord(one.head_bytes, one.head, one.body, (other,))
    with pytest.raises(Refusal, match="CANNOT_OPEN"):
        record_key(swapped, [ALDER.ig])


# --- the relay's records


def test_each_epoch_key_finds_its_row_and_no_other():
    record = relay_record()
    assert [epoch_record_key(record, key) for key in KEYS] == [RK] * 3
    assert epoch_record_key(record, seed("another epoch")) is None
    sent = SealedRecord.parse(seal_record(CTX, b"{}", officers(ALDER), RK))
    assert epoch_record_key(sent, KEYS[0]) is None


def test_tags_of_one_record_are_all_different_and_differ_between_records():
    first, second = (
        relay_record(),
        SealedRecord.parse(seal_epoch_record(b64(seed("t2")), b"{}", KEYS, RK, ())),
    )
    assert len(set(first.head.to)) == len(first.head.to) == 4
    assert not set(first.head.to) & set(second.head.to)
    many = {epoch_tag(seed(str(n)), key) for n in range(500) for key in KEYS}
    assert len(many) == 1500


def test_an_agency_that_is_on_both_sides_has_one_row():
    """Two equal rows would show that sender and recipient are one agency."""
    record = relay_record(keys=(KEYS[0], KEYS[1], KEYS[0]))
    assert len(record.head.to) == 3
    assert len(set(record.wraps)) == 3


def test_a_blank_looks_like_a_wrap():
    record = relay_record()
    assert {len(wrap) for wrap in record.wraps} == {48}
    assert {len(tag) for tag in record.head.to} == {22}


def test_rows_are_sorted_so_that_places_tell_nothing():
    assert relay_record(keys=KEYS[::-1]).head.to == relay_record().head.to
    assert list(relay_record().head.to) == sorted(relay_record().head.to)


def test_a_turned_wrap_is_refused_and_not_passed_over():
    record = relay_record()
    at = record.head.to.index(epoch_tag(TAG.encode(), KEYS[0]))
    wraps = list(record.wraps)
    wraps[at] = wraps[at][:-1] + bytes([wraps[at][-1] ^ 1])
    with pytest.raises(Refusal, match="RECORD"):
        epoch_record_key(SealedRecord(record.head_bytes, record.head, record.body, tuple(wraps)), KEYS[0])


def test_an_epoch_opens_for_its_officer_and_its_id():
    from schemas.record import epoch_info

    epoch_id, key = seed("epoch id"), KEYS[0]
    wrapped = wrap_key(ALDER.ig.public, epoch_info(epoch_id, ALDER.ig.kid), key)
    assert open_epoch(epoch_id, wrapped, ALDER.ig) == key
    for other_id, other in ((seed("other"), ALDER.ig), (epoch_id, BIRCH.ig)):
        with pytest.raises(Refusal, match="CANNOT_OPEN"):
            open_epoch(other_id, wrapped, other)


@pytest.mark.parametrize("cut", [0, 1, 15, 16])
def test_a_veil_that_is_cut_off_is_refused(cut: int):
    with pytest.raises(Refusal, match="RECORD"):
        unveil_record(veil_record(b"record", seed("tag"), RK)[:cut], seed("tag"), RK)


def test_a_veiled_record_shows_no_officer():
    sealed = seal_record(CTX, b"{}", officers(ALDER), RK)
    assert ALDER.ig.kid.encode() in sealed
    veiled = veil_record(sealed, seed("tag"), RK)
    assert ALDER.ig.kid.encode() not in veiled
    with pytest.raises(Refusal, match="RECORD"):
        unveil_record(veiled, seed("another leaf"), RK)


# --- what the record must say


def draft(**fields: object) -> Draft:
    base = {
        "sender": ALDER.id, "desk": "duty", "to": (SealedFor(BIRCH.id, "idva", BIRCH.prekey.kid, BIRCH.prekey.public),),
        "thread": b64(seed("thread")[:16]), "ts": T0, "exp": T0 + DAY, "cls": "REFER", "rag": "AMBER", "purpose": "SUPPORT",
        "categories": ("ask", "contact", "person", "wishes"), "law": LAW, "payload": PAYLOAD, "subject": "s", "author": "worker",
    }  # fmt: skip
    return Draft(**{**base, **fields})


def sealed(**fields: object):
    draws = iter(range(1000))
    return seal(
        draft(**fields),
        officers(ALDER, BIRCH, OVERSIGHT),
        ALDER.msg,
        lambda n: seed(f"draw {next(draws)}")[:n],
    )


def test_what_is_sealed_opens_with_what_was_said():
    made = sealed(seq=(7,), checkpoints=("a", "b"))
    upload = made.upload
    opened = open_delivery(Delivery(upload.envelope, upload.wraps[0], upload.record, b""), BIRCH.prekey)
    assert (opened.payload, opened.seq, opened.checkpoints) == (PAYLOAD, (7,), ("a", "b"))
    assert opened.facts["ref"] == "s"
    check_facts(upload.envelope, opened.facts, PAYLOAD)
    assert made.eid == b64(upload.envelope.eid)


TOO_MUCH = [
    ("a payload of 2 MiB", {"payload": "x" * (2 * 1024 * 1024)}, "TOO_BIG"),
    ("a payload that fills the body with escapes", {"payload": "\u00eb" * 180_000}, "TOO_BIG"),
    ("half a character", {"payload": "\ud800"}, "NOT_CANONICAL"),
    ("a case reference with half a character", {"subject": "\udfff"}, "NOT_CANONICAL"),
    ("a case reference of a book", {"subject": "x" * 90_000, "author": "y" * 60_000}, "TOO_BIG"),
    ("a case reference of a chapter", {"subject": "x" * 97_000}, "TOO_BIG"),
    ("no recipients", {"to": ()}, "FORM"),
    (
        "65 recipients",
        {"to": tuple(SealedFor(BIRCH.id, f"d{n}", BIRCH.prekey.kid, BIRCH.prekey.public) for n in range(65))},
        "FORM",
    ),
    ("a desk twice", {"to": draft().to * 2}, "FORM"),
    ("a prekey that is none", {"to": (SealedFor(BIRCH.id, "idva", BIRCH.prekey.kid, bytes(1216)),)}, "KEY"),
    ("categories out of order", {"categories": ("person", "ask")}, "FORM"),
    ("a colour of no list", {"rag": "PURPLE"}, "FORM"),
    ("a time that is no integer", {"ts": 1.5}, "NOT_CANONICAL"),
    ("expired before it was sealed", {"exp": T0}, "FORM"),
]


@pytest.mark.parametrize(("what", "fields", "code"), TOO_MUCH, ids=[row[0] for row in TOO_MUCH])
def test_what_cannot_be_opened_is_not_sealed(what: str, fields: dict, code: str):
    with pytest.raises(Refusal, match=code):
        sealed(**fields)


def test_a_life_is_cut_to_14_days():
    assert sealed(exp=T0 + 100 * DAY).upload.envelope.header.exp == T0 + 14 * DAY


def test_two_implementations_of_sealing_open_each_other():
    """`forge` follows PROTOCOL.md by hand; `seal` is the program's. One opens what either made."""
    made = forge()
    opened = open_delivery(Delivery.parse(made.delivery(0, b"")), BIRCH.prekey)
    assert opened.payload == PAYLOAD
