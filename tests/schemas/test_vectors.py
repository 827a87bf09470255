"""The published vectors: a valid one prints back to the same bytes, an invalid one is refused with its code."""

import hashlib
import json
from functools import cache
from pathlib import Path

import pytest

from schemas.canonical import decode, encode
from schemas.checkpoint import Checkpoint, LogKey, LogProof, open_checkpoint
from schemas.consent import decide
from schemas.decision import Outcome
from schemas.directory import Directory, safety_number
from schemas.directory_statement import agency_id
from schemas.envelope import Delivery, Upload
from schemas.errors import Refusal
from schemas.facts import Facts
from schemas.grants import check_grant, parse_grant, parse_recalled, parse_status, parse_withdrawal
from schemas.keyfile import QUICK, lock, unlock
from schemas.keys import ED25519, OpeningKey, SigningKey, Use, check_public, kid_of
from schemas.kinds import KINDS
from schemas.merkle import verify_consistency, verify_inclusion
from schemas.messages.catalogue import parse_payload
from schemas.mldsa import MldsaKey
from schemas.opening import (
    epoch_record_key,
    open_delivery,
    open_epoch,
    open_record,
    record_key,
    unveil_record,
)
from schemas.padding import bucket
from schemas.partnership import Partnership
from schemas.policy import founding
from schemas.receipt import parse_receipt
from schemas.record import SealedRecord
from schemas.record_sealing import record_hash, seal_epoch_record, veil_record
from schemas.request import Target, digest_header, read_claim, sign_request, verify_claim
from schemas.sealing import status_hash
from schemas.signing import Purpose, Signed
from schemas.witness import MldsaLogKey, WitnessKey, cosigned_at, open_published
from tests.tools import write_vectors
from tests.tools.forge import unb
from tests.tools.recipient import receive
from tests.tools.splices import applied

FOLDER = Path(__file__).parents[1] / "vectors"
FILES = {path.stem: json.loads(path.read_text(encoding="ascii")) for path in sorted(FOLDER.glob("*.json"))}


def each(name: str, kind: str):
    rows = FILES[name][kind]
    return pytest.mark.parametrize("row", rows, ids=[row["name"] for row in rows])


def refused(row: dict, attempt) -> None:
    with pytest.raises(Refusal) as caught:
        attempt()
    assert caught.value.code == row["refusal"]


def test_there_is_a_file_for_each_structure_and_no_other():
    assert set(FILES) == set(write_vectors.FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_the_published_shape(name: str):
    assert {"description", "valid", "invalid"} <= set(FILES[name])
    assert FILES[name]["valid"]
    assert all(row["refusal"] in KINDS for row in FILES[name]["invalid"])
    for kind in ("valid", "invalid"):
        names = [row["name"] for row in FILES[name][kind]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(set(FILES) - set(write_vectors.SEALED_ONCE)))
def test_what_is_deterministic_is_made_again_byte_for_byte(name: str):
    made = write_vectors.printed(write_vectors.FILES[name]())
    assert made == (FOLDER / f"{name}.json").read_text(encoding="ascii")


# --- canonical JSON, keys


def canonical_text(row: dict) -> bytes:
    text = row["text"]
    if "fill" in row:
        text += row["fill"] * row["repeat"] + row["text"]
    elif "repeat" in row:
        text *= row["repeat"]
    return text.encode()


@each("canonical", "valid")
def test_canonical_json_prints_back(row: dict):
    assert encode(decode(canonical_text(row), 65_536)) == canonical_text(row)


@each("canonical", "invalid")
def test_another_spelling_is_refused(row: dict):
    refused(row, lambda: decode(canonical_text(row), 65_536))


@each("keys", "valid")
def test_a_key_follows_from_its_seed(row: dict):
    made = (SigningKey if row["alg"] == ED25519 else OpeningKey)(unb(row["seed"]))
    assert (made.public, made.kid) == (unb(row["public"]), row["kid"])
    check_public(row["alg"], made.public)
    assert kid_of(row["alg"], made.public) == row["kid"]


@each("keys", "invalid")
def test_a_bad_key_is_refused(row: dict):
    refused(row, lambda: check_public(row["alg"], unb(row["public"])))


def test_an_agency_is_its_inception():
    agency = FILES["keys"]["agency"]
    assert agency_id(json.loads(agency["inception"])["body"]) == agency["id"]
    assert safety_number(agency["id"]) == agency["safety_number"]


def test_sizes_are_padded_as_published():
    assert [[size, bucket(size, 4096)] for size, _ in FILES["keys"]["padding"]] == FILES["keys"]["padding"]


# --- envelopes


@cache
def envelope_view() -> tuple[Directory, LogKey]:
    file = FILES["envelope"]
    view = Directory(file["oversight"])
    for statement in file["directory"]:
        view.apply(Signed.from_json(statement))
    return view, LogKey.parse(file["log"])


@each("envelope", "valid")
def test_an_upload_prints_back(row: dict):
    upload = Upload.parse(unb(row["upload"]))
    assert upload.to_bytes() == unb(row["upload"])
    envelope = upload.envelope
    assert (envelope.hh, envelope.transcript, envelope.eid) == tuple(
        unb(row[n]) for n in ("hh", "transcript", "eid")
    )
    assert encode(decode(envelope.header_bytes, 16 * 1024)) == row["header"].encode()


@each("envelope", "valid")
def test_every_recipient_opens_it(row: dict):
    view, log = envelope_view()
    for part in row["deliveries"]:
        data = unb(part["delivery"])
        assert Delivery.parse(data).to_bytes() == data
        key = OpeningKey(unb(part["prekey_seed"]))
        opened = receive(data, part["agency"], key, view, log, FILES["envelope"]["now"])
        assert opened.payload == row["payload"]
        assert encode(opened.facts).decode() == row["facts"]
        assert opened == open_delivery(Delivery.parse(data), key)


@each("envelope", "valid")
def test_it_rests_on_the_agreement_inside(row: dict):
    view, _ = envelope_view()
    part = row["deliveries"][0]
    delivery = Delivery.parse(unb(part["delivery"]))
    header = delivery.envelope.header
    opened = open_delivery(delivery, OpeningKey(unb(part["prekey_seed"])))
    grant, status = parse_grant(opened.grant), parse_status(opened.status)
    opened.grant.verified(view.key(grant.signer, Use.CONSENT, grant.nbf, grant.iss).public, Purpose.GRANT)
    opened.status.verified(view.key(status.signer, Use.CONSENT, status.ts, grant.iss).public, Purpose.STATUS)
    assert header.st == status_hash(opened.status)
    check_grant(header, grant, status, header.ts)
    facts = Facts(
        header,
        "covers",
        view.party(header.sender.a),
        tuple(view.party(to.a) for to in header.to),
        founding(),
        header.ts,
    )
    assert decide(facts).outcome == Outcome.DELIVER


@each("envelope", "valid")
def test_every_officer_opens_its_record(row: dict):
    record = SealedRecord.parse(Upload.parse(unb(row["upload"])).record)
    keys = [OpeningKey(unb(officer["seed"])) for officer in FILES["envelope"]["officers"]]
    for key in (key for key in keys if key.kid in record.head.to):
        assert record_key(record, [key]) == unb(row["rk"])


@each("envelope", "valid")
def test_its_payload_is_a_form_of_the_catalogue(row: dict):
    assert parse_payload(row["payload"]).type == "referral.universal"


@each("envelope", "invalid")
def test_a_message_done_wrongly_is_refused(row: dict):
    first = FILES["envelope"]["valid"][0]
    if row["kind"] == "upload":
        refused(row, lambda: Upload.parse(applied(unb(first["upload"]), row["change"])))
        return
    data = applied(unb(first["deliveries"][0]["delivery"]), row["change"])
    view, log = envelope_view()
    key = OpeningKey(unb(row["prekey_seed"]))
    refused(row, lambda: receive(data, row["agency"], key, view, log, row["now"]))


# --- records


@each("record", "valid")
def test_a_record_opens_for_its_key_and_its_officers(row: dict):
    data, record = unb(row["record"]), SealedRecord.parse(unb(row["record"]))
    assert record_hash(data) == unb(row["hash"])
    assert encode(open_record(record, unb(row["rk"]), row["ctx"])).decode() == row["facts"]
    for officer in row["officers"]:
        assert record_key(record, [OpeningKey(unb(officer["seed"]))]) == unb(row["rk"])
    head, body = len(record.head_bytes).to_bytes(4, "big"), len(record.body).to_bytes(4, "big")
    assert b"FPR1" + head + record.head_bytes + body + record.body + b"".join(record.wraps) == data


@each("record", "invalid")
def test_a_record_done_wrongly_is_refused(row: dict):
    good = FILES["record"]["valid"][0]
    data = applied(unb(good["record"]), row["change"])
    refused(row, lambda: open_record(SealedRecord.parse(data), unb(good["rk"]), good["ctx"]))


@each("epoch", "valid")
def test_the_relays_record_is_made_again_and_opens_for_each_epoch(row: dict):
    keys = tuple(unb(epoch["key"]) for epoch in row["epochs"])
    made = seal_epoch_record(row["tag"], row["facts"].encode(), keys, unb(row["rk"]), tuple(row["blanks"]))
    assert made == unb(row["record"])
    record = SealedRecord.parse(made)
    for epoch in row["epochs"]:
        officer = OpeningKey(unb(epoch["officer_seed"]))
        key = open_epoch(unb(epoch["id"]), unb(epoch["wrap"]), officer)
        assert key == unb(epoch["key"])
        assert epoch_record_key(record, key) == unb(row["rk"])
    assert epoch_record_key(record, bytes(32)) is None
    assert encode(open_record(record, unb(row["rk"]), row["tag"])).decode() == row["facts"]


@each("epoch", "valid")
def test_the_veil_comes_off_with_the_relay_records_key(row: dict):
    tag, rk = unb(row["tag"]), unb(row["rk"])
    assert veil_record(unb(row["sender_record"]), tag, rk) == unb(row["veiled"])
    assert unveil_record(unb(row["veiled"]), tag, rk) == unb(row["sender_record"])
    with pytest.raises(Refusal, match="RECORD"):
        unveil_record(unb(row["veiled"]), tag, bytes(32))


@each("epoch", "invalid")
def test_a_relay_record_done_wrongly_is_refused(row: dict):
    good = FILES["epoch"]["valid"][0]
    data = applied(unb(good["record"]), row["change"])

    def attempt() -> None:
        record = SealedRecord.parse(data)
        for epoch in good["epochs"]:
            rk = epoch_record_key(record, unb(epoch["key"]))
            open_record(record, rk or bytes(32), good["tag"])

    refused(row, attempt)


# --- log


def verify_row(row: dict) -> None:
    hashes = [unb(text) for text in row["hashes"]]
    if "index" in row:
        leaf = hashlib.sha256(b"\0" + unb(row["leaf"])).digest()
        verify_inclusion(leaf, row["index"], row["size"], hashes, unb(row["root"]))
    else:
        verify_consistency(row["old"], unb(row["old_root"]), row["new"], unb(row["new_root"]), hashes)


@each("tree", "valid")
def test_a_tree_proof_holds(row: dict):
    verify_row(row)


@each("tree", "invalid")
def test_a_tree_proof_done_wrongly_is_refused(row: dict):
    refused(row, lambda: verify_row(row))


@each("checkpoint", "valid")
def test_a_checkpoint_is_read_and_printed_back(row: dict):
    key = LogKey.parse(FILES["checkpoint"]["key"])
    assert key.text() == FILES["checkpoint"]["key"]
    found = open_checkpoint(row["note"], key)
    assert found == Checkpoint(row["origin"], row["size"], unb(row["root"]))
    assert row["note"].startswith(found.text() + "\n")


@each("checkpoint", "invalid")
def test_a_checkpoint_done_wrongly_is_refused(row: dict):
    refused(row, lambda: open_checkpoint(row["note"], LogKey.parse(FILES["checkpoint"]["key"])))


def head_row(row: dict) -> tuple[Checkpoint, dict[str, int]]:
    """The checkpoint of a published head, and the times of the listed witnesses that cosigned it."""
    file = FILES["head"]
    published = open_published(row["note"], LogKey.parse(file["key"]), MldsaLogKey.parse(file["mldsa"]))
    found: dict[str, int] = {}
    for witness in file["witnesses"]:
        key = WitnessKey.parse(witness["key"])
        for signature in key.own(published.lines):
            try:
                stamp = cosigned_at(signature, published.checkpoint, key.public)
            except Refusal as refusal:
                raise Refusal("CHECKPOINT") from refusal
            found[key.name] = max(stamp, found.get(key.name, 0))
    return published.checkpoint, found


@each("head", "valid")
def test_a_published_head_is_read_with_its_witnesses(row: dict):
    assert head_row(row) == (Checkpoint(row["origin"], row["size"], unb(row["root"])), row["cosigned"])
    assert open_checkpoint(row["note"], LogKey.parse(FILES["head"]["key"])).size == row["size"]


@each("head", "invalid")
def test_a_published_head_done_wrongly_is_refused(row: dict):
    refused(row, lambda: head_row(row))


def test_the_keys_of_heads_follow_from_their_seeds():
    file = FILES["head"]
    assert MldsaLogKey.parse(file["mldsa"]).public == MldsaKey(unb(file["mldsa_seed"])).public
    for witness in file["witnesses"]:
        assert WitnessKey.parse(witness["key"]).public == SigningKey(unb(witness["seed"])).public


@each("proof", "valid")
def test_a_log_proof_holds_and_prints_back(row: dict):
    file = FILES["proof"]
    proof = LogProof.parse(row["proof"].encode())
    assert proof.to_bytes() == row["proof"].encode()
    assert proof.index == row["index"]
    assert proof.verified(unb(file["leaf"]), LogKey.parse(file["key"])).size == row["size"]


@each("proof", "invalid")
def test_a_log_proof_done_wrongly_is_refused(row: dict):
    file = FILES["proof"]
    refused(
        row,
        lambda: LogProof.parse(row["proof"].encode()).verified(unb(file["leaf"]), LogKey.parse(file["key"])),
    )


# --- statements


def replayed() -> Directory:
    view = Directory(FILES["directory"]["oversight"])
    for statement in FILES["directory"]["valid"][0]["statements"]:
        view.apply(Signed.from_json(statement))
    return view


def test_the_directory_replays_to_its_root():
    row, view = FILES["directory"]["valid"][0], replayed()
    assert (view.size, view.frontier.root()) == (row["size"], unb(row["root"]))


def test_some_days_later_the_view_is_as_published():
    row, view = FILES["directory"]["valid"][1], Directory(FILES["directory"]["oversight"])
    for statement in row["statements"]:
        view.apply(Signed.from_json(statement))
    assert (view.size, view.frontier.root()) == (row["size"], unb(row["root"]))
    alder = next(one for one in view.agencies.values() if one.name == "Alder Support")
    ended = [(key.kid, key.reason, key.revoked) for key in alder.keys.values() if key.revoked is not None]
    assert ended == [(one["kid"], one["reason"], one["since"]) for one in row["ended"]]
    assert {why for _, why, _ in ended} == {"rotated", "lost", "voided"}
    assert (alder.op_kid, {kid: alder.certified(kid) for kid in row["certified"]}) == (
        row["op"],
        row["certified"],
    )
    assert alder.roster(row["roster"]["desk"], alder.ts) == tuple(row["roster"]["roles"])
    left = view.member(row["left"]["member"]).left
    assert (left.stops, left.successor) == (row["left"]["stops"], row["left"]["successor"])
    assert view.moved(row["moved"]["was"], left.stops) == row["moved"]["now"]


@each("directory", "invalid")
def test_a_statement_that_does_not_follow_changes_nothing(row: dict):
    view = replayed()
    before = (
        view.size,
        view.frontier.root(),
        {a.id: (a.seq, a.head, len(a.keys), a.name) for a in view.agencies.values()},
    )
    refused(row, lambda: view.apply(Signed.from_json(row["statement"])))
    after = (
        view.size,
        view.frontier.root(),
        {a.id: (a.seq, a.head, len(a.keys), a.name) for a in view.agencies.values()},
    )
    assert after == before


@each("partnership", "valid")
def test_a_partnership_file_prints_back(row: dict):
    assert Partnership.parse(row["file"].encode()).to_bytes() == row["file"].encode()


@each("partnership", "invalid")
def test_a_partnership_file_done_wrongly_is_refused(row: dict):
    refused(row, lambda: Partnership.parse(row["file"].encode()))


PARSERS = {
    "grant": parse_grant,
    "grant-status": parse_status,
    "withdraw": parse_withdrawal,
    "recalled": parse_recalled,
}


@each("grant", "valid")
def test_an_agreement_verifies_and_prints_back(row: dict):
    signed = Signed.from_json(row["statement"])
    assert signed.to_json() == row["statement"]
    signed.verified(unb(FILES["grant"]["public"][row["by"]]), Purpose(f"fenpost/v1/{row['kind']}"))
    model = PARSERS[row["kind"]](signed)
    assert encode(model.model_dump(mode="json", by_alias=True)) == signed.text


@each("grant", "invalid")
def test_an_agreement_done_wrongly_is_refused(row: dict):
    signed = Signed.from_json(row["statement"])

    def attempt() -> None:
        PARSERS[row["kind"]](signed)
        signed.verified(unb(FILES["grant"]["public"]["alder"]), Purpose(f"fenpost/v1/{row['kind']}"))

    refused(row, attempt)


@each("receipt", "valid")
def test_a_receipt_verifies_and_prints_back(row: dict):
    signed = Signed.from_json(row["statement"])
    signed.verified(unb(FILES["receipt"]["public"]), Purpose.RECEIPT)
    assert encode(parse_receipt(signed).model_dump(mode="json")) == signed.text


@each("receipt", "invalid")
def test_a_receipt_done_wrongly_is_refused(row: dict):
    signed = Signed.from_json(row["statement"])

    def attempt() -> None:
        parse_receipt(signed)
        signed.verified(unb(FILES["receipt"]["public"]), Purpose.RECEIPT)

    refused(row, attempt)


def verified_request(row: dict) -> str:
    target = Target(row["method"], row["authority"], row["path"], row["query"], row["content_type"])
    claim = read_claim(row["headers"], row["now"])
    return verify_claim(claim, target, unb(row["public"]), digest_header(unb(row["body"])))


@each("request", "valid")
def test_a_request_is_signed_as_published(row: dict):
    key = SigningKey(unb(row["seed"]))
    target = Target(row["method"], row["authority"], row["path"], row["query"], row["content_type"])
    assert sign_request(target, unb(row["body"]), key, row["created"], unb(row["nonce"])) == row["headers"]
    assert verified_request(row) == key.kid


@each("request", "invalid")
def test_a_request_done_wrongly_is_refused(row: dict):
    refused(row, lambda: verified_request(row))


@each("keyfile", "valid")
def test_a_key_file_is_made_again_and_opens(row: dict):
    draws = iter((unb(row["salt"]), unb(row["nonce"])))
    made = lock(row["secrets"], row["holds"], row["passphrase"].encode(), QUICK, lambda _: next(draws))
    assert made == unb(row["file"])
    assert unlock(made, row["holds"], row["passphrase"].encode()) == row["secrets"]


@each("keyfile", "invalid")
def test_a_key_file_done_wrongly_does_not_open(row: dict):
    refused(row, lambda: unlock(unb(row["file"]), row["holds"], row["passphrase"].encode()))
