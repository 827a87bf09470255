"""Any bytes give a value or a refusal of ours, from every parser; and what is printed is read back."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.audit import Leaf
from schemas.canonical import MAX_INT, b64, decode, encode, strict_json, unb64
from schemas.checkpoint import LogKey, LogProof, open_checkpoint
from schemas.directory_statement import parse_statement
from schemas.envelope import Delivery, Upload, parse_header
from schemas.errors import Refusal
from schemas.founding import Founding
from schemas.grants import parse_grant, parse_recalled, parse_status, parse_withdrawal
from schemas.keyfile import unlock
from schemas.keyring import AdminKeys, AgentKeys, OfficerKeys, RelayKeys
from schemas.keys import OpeningKey, SigningKey
from schemas.opening import epoch_record_key, open_delivery, open_record, own_row, unwrap_key
from schemas.padding import BODY_SMALLEST, pad, unpad
from schemas.partnership import Partnership
from schemas.policing import SignedPolicy
from schemas.policy import Policy, founding
from schemas.receipt import parse_receipt
from schemas.record import SealedRecord
from schemas.request import Target, read_claim, verify_claim
from schemas.signing import Purpose, Signed
from tests.tools.forge import unb
from tests.tools.vector_world import BIRCH, T0

FOLDER = Path(__file__).parents[1] / "vectors"
FILES = {path.stem: json.loads(path.read_text(encoding="ascii")) for path in FOLDER.glob("*.json")}
MESSAGE = FILES["envelope"]["valid"][0]
LOG_KEY = LogKey.parse(FILES["checkpoint"]["key"])
SIGNED_POLICY = SignedPolicy(founding().text).signed_by(SigningKey(bytes(32))).to_bytes()
TARGET = Target("POST", "relay.example", "/v1/receipts", "", "application/json")
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
surrogates = st.characters(categories=["Cs", "Lu", "Nd", "No", "Zs", "Cc", "Pd"])


def opened(data: bytes) -> object:
    delivery = Delivery.parse(data)
    own_row(delivery, {BIRCH.prekey.kid})
    return open_delivery(delivery, BIRCH.prekey)


def record(data: bytes) -> object:
    found = SealedRecord.parse(data)
    epoch_record_key(found, bytes(32))
    return open_record(found, bytes(32), found.head.ctx)


def signed(parse: Callable[[Signed], object]) -> Callable[[bytes], object]:
    return lambda data: parse(Signed(data, bytes(64)))


def statement_text(name: str, place: int = 0) -> bytes:
    return FILES[name]["valid"][place]["statement"]["t"].encode()


PARSERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "upload": (Upload.parse, unb(MESSAGE["upload"])),
    "delivery": (Delivery.parse, unb(MESSAGE["deliveries"][0]["delivery"])),
    "opening": (opened, unb(MESSAGE["deliveries"][0]["delivery"])),
    "header": (parse_header, MESSAGE["header"].encode()),
    "record": (record, unb(FILES["record"]["valid"][0]["record"])),
    "relay record": (record, unb(FILES["epoch"]["valid"][0]["record"])),
    "canonical": (lambda data: decode(data, 4096), MESSAGE["facts"].encode()),
    "strict json": (lambda data: strict_json(data, 4096), MESSAGE["facts"].encode()),
    "leaf": (Leaf.parse, unb(FILES["proof"]["leaf"])),
    "log proof": (
        lambda data: LogProof.parse(data).verified(unb(FILES["proof"]["leaf"]), LOG_KEY),
        FILES["proof"]["valid"][0]["proof"].encode(),
    ),
    "partnership": (Partnership.parse, FILES["partnership"]["valid"][0]["file"].encode()),
    "key file": (lambda data: unlock(data, "officer", b"words"), unb(FILES["keyfile"]["valid"][0]["file"])),
    "directory statement": (
        signed(parse_statement), FILES["directory"]["valid"][0]["statements"][0]["t"].encode()
    ),
    "grant": (signed(parse_grant), statement_text("grant")),
    "status": (signed(parse_status), statement_text("grant", 1)),
    "withdrawal": (signed(parse_withdrawal), statement_text("grant", 2)),
    "answer to a recall": (signed(parse_recalled), statement_text("grant", 3)),
    "receipt": (signed(parse_receipt), statement_text("receipt")),
    "signed policy": (SignedPolicy.parse, SIGNED_POLICY),
    "policy": (Policy.parse, founding().text),
    "founding": (Founding.parse, json.dumps([{"policy": "{}"}, {"s": "A", "t": "{}"}]).encode()),
    "padding": (unpad, pad(b"a message")),
    "wrap": (lambda data: unwrap_key(BIRCH.prekey, b"info", data), bytes(1168)),
}  # fmt: skip


def answers(parse: Callable[[bytes], object], data: bytes) -> None:
    with contextlib.suppress(Refusal):
        parse(data)


@pytest.mark.parametrize("name", PARSERS)
@few
@given(data=st.binary(max_size=300))
@example(data=b"")
def test_any_bytes_are_answered(name: str, data: bytes):
    answers(PARSERS[name][0], data)


@pytest.mark.parametrize("name", PARSERS)
@few
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=6)), min_size=1, max_size=3
    )
)
def test_a_valid_one_with_pieces_replaced_is_answered(name: str, edits: list[tuple[float, int, bytes]]):
    parse, data = PARSERS[name]
    for place, cut, new in edits:
        at = int(place * len(data))
        data = data[:at] + new + data[at + cut :]
    answers(parse, data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(surrogates) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", [n for n, (_, sample) in PARSERS.items() if sample[:1] == b"{"])
@few
@given(place=st.integers(0, 40), value=json_values)
def test_a_member_with_any_other_value_is_answered(name: str, place: int, value: object):
    parse, sample = PARSERS[name]
    members = json.loads(sample)
    members[sorted(members)[place % len(members)]] = value
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    answers(parse, text.encode())


@few
@given(value=json_values)
def test_any_json_value_is_a_statement_or_is_refused(value: object):
    answers(Signed.from_json, value)
    answers(Signed.from_json, {"s": value, "t": "{}"})
    answers(Signed.from_json, {"s": b64(bytes(64)), "t": value})


@few
@given(value=json_values, holder=st.sampled_from([AdminKeys, AgentKeys, OfficerKeys, RelayKeys]))
def test_any_json_value_is_a_key_ring_or_is_refused(value: object, holder: type):
    answers(holder.from_json, value)
    sample = RelayKeys.from_json(
        {"log": b64(bytes(32)), "log_mldsa": b64(bytes(32)), "keys_log": b64(bytes(32))}
    ).to_json()
    answers(RelayKeys.from_json, {**sample, "log": value})


@few
@given(text=st.text(surrogates, max_size=60) | st.text(max_size=60))
def test_any_text_is_a_note_a_key_or_an_id_or_is_refused(text: str):
    note = FILES["checkpoint"]["valid"][0]["note"]
    for attempt in (text, text + note, note + text, note.replace("7", text)):
        answers(lambda data: open_checkpoint(data, LOG_KEY), attempt)
    answers(LogKey.parse, text)
    answers(LogKey.parse, LOG_KEY.text().replace("relay", text))
    answers(unb64, text)
    answers(lambda data: unb64(data, 32), text)
    answers(lambda data: strict_json(data, 4096), text)


@few
@given(
    name=st.sampled_from(["Signature", "Signature-Input", "Content-Digest"]),
    text=st.text(surrogates) | st.text(),
)
def test_any_header_is_a_claim_or_is_refused(name: str, text: str):
    headers = {**FILES["request"]["valid"][0]["headers"], name: text}
    answers(lambda _: verify_claim(read_claim(headers, T0), TARGET, BIRCH.auth.public, ""), b"")


@few
@given(text=st.text(surrogates))
def test_any_target_is_refused_where_it_was_not_signed(text: str):
    claim = read_claim(FILES["request"]["valid"][0]["headers"], T0)
    for field in ("method", "authority", "path", "query", "content_type"):
        sent = TARGET._asdict()
        if sent[field] == text:
            continue
        with pytest.raises(Refusal, match="UNAUTHENTICATED"):
            verify_claim(claim, Target(**{**sent, field: text}), BIRCH.auth.public, claim.digest)


# --- print and parse are inverse

clear_values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(value=clear_values)
@example(value={"\x7f": "\x7f\x1f\b", "é": "\U0001f98a"})
def test_canonical_json_is_read_back(value: object):
    try:
        printed = encode(value)
    except Refusal:
        assert "[[[[[[[" in json.dumps(value).replace("{", "[").replace('"', "") or depth(value) > 6
        return
    assert decode(printed, 1 << 20) == value
    assert printed.isascii()
    assert encode(json.loads(printed)) == printed
    spelled = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert printed == spelled.encode("ascii")


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@few
@given(
    value=clear_values.filter(lambda v: depth(v) <= 6),
    place=st.floats(0, 1),
    char=st.sampled_from(' \t\n"\\u0x,:{}[]-.eE'),
)
def test_one_byte_more_is_another_value_or_refused(value: object, place: float, char: str):
    printed = encode(value).decode()
    at = int(place * len(printed))
    other = (printed[:at] + char + printed[at:]).encode()
    try:
        read = decode(other, 1 << 20)
    except Refusal:
        return
    assert encode(read) == other
    assert (read, type(read)) != (value, type(value))


@few
@given(data=st.binary(max_size=100))
def test_base64url_is_read_back(data: bytes):
    assert unb64(b64(data), len(data)) == data


@few
@given(message=st.binary(max_size=70_000), smallest=st.sampled_from([2048, BODY_SMALLEST]))
def test_padding_comes_off(message: bytes, smallest: int):
    assert unpad(pad(message, smallest), smallest) == message


@pytest.mark.parametrize(
    "size", [0, 1, 4091, 4092, 4093, 65_531, 65_532, 65_533, 70_000, 131_068, 131_069, 1_000_000]
)
def test_every_other_padding_is_refused(size: int):
    padded = pad(bytes(size))
    others = [padded[:-1], padded + b"\0", padded + bytes(len(padded)), padded[:3]]
    if len(padded) > 4 + size:
        others.append(padded[:-1] + b"\1")
    for other in others:
        with pytest.raises(Refusal, match="PADDING"):
            unpad(other)


def test_an_opening_key_has_32_bytes():
    with pytest.raises(Refusal, match="KEY"):
        OpeningKey(bytes(31))


def test_a_purpose_is_in_nobody_elses_beginning():
    """Purpose, then a zero byte: no purpose with what follows can read as another with what follows it."""
    assert not any("\0" in purpose.value for purpose in Purpose)
