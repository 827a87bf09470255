"""The recipient's rules: each way in which a delivery can be wrong has its own refusal (V1-V8)."""

import json
import secrets

import pytest

from agent.inbox import reason_of
from agent.proofs import Proven, prove
from agent.rules import NoAuthority, clear, parse, sealed
from schemas.api import PageItem
from schemas.audit import accept_leaf
from schemas.canonical import b64, decode, encode
from schemas.checkpoint import Checkpoint, LogProof, sign_checkpoint
from schemas.envelope import Delivery, Envelope
from schemas.errors import Refusal
from schemas.keyring import PREKEY_KEPT
from schemas.keys import SigningKey
from schemas.merkle import leaf_hash
from schemas.messages.catalogue import parse_payload, print_payload
from schemas.policy import founding
from schemas.signing import Purpose, sign
from tests.agent.agencies import CATEGORIES, MESSAGE
from tests.simulated_world import World

TEXT = print_payload(parse_payload(json.dumps(MESSAGE)))
POLICY = founding()
HELD = ("ask", "contact", "person", "wishes")
DAY = 24 * 3600


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World.found(tmp_path_factory.mktemp("rules"), "Peacock", "IDVAS", "SARC")


def proof_of(world, envelope, record=b"a sealed record", key=None, leaf=None):
    """What a relay of one leaf would hand out."""
    leaf = leaf or accept_leaf(envelope.eid, record, _unb64(envelope.header.ar)).to_bytes()
    note = sign_checkpoint(Checkpoint("relay.test/log", 1, leaf_hash(leaf)), key or world.founded.relay.log)
    return LogProof(leaf, 0, (), note).to_bytes()


def _unb64(text):
    from schemas.canonical import unb64

    return unb64(text, 32)


def agreed(world, **changes):
    grant = world.grant("Peacock", "IDVAS", cat=sorted(CATEGORIES), **changes)
    return {"grant": grant, "status": world.status("Peacock", grant)}


def deliver(world, place=0, proof=None, to=("IDVAS",), **changes):
    values = {
        "payload": TEXT,
        "categories": HELD,
        **(agreed(world) if "law" not in changes else {}),
        **changes,
    }
    message = world.seal("Peacock", *to, **values)
    upload = message.upload
    return Delivery(
        upload.envelope, upload.wraps[place], upload.record, proof or proof_of(world, upload.envelope)
    )


def check(world, delivery, *, name="IDVAS", desk="intake", now=None, withdrawn=False):
    """Every rule, as the inbox asks them."""
    item = PageItem(eid=b64(delivery.envelope.eid), d=desk, state="queued")
    read = parse(delivery.to_bytes(), item)
    keys = world.parties[name].member.agent
    at = world.now if now is None else now
    passed = clear(read, desk, world.directory, keys, world.founded.partnership.log_key, at)
    return sealed(passed, world.directory, (POLICY,), withdrawn=withdrawn)


def refused(world, delivery, **how):
    with pytest.raises(Refusal) as refusal:
        check(world, delivery, **how)
    return refusal.value.code


def respell(delivery, **changes):
    """The same envelope with its header changed, signed by nobody."""
    value = {**decode(delivery.envelope.header_bytes, 16_384), **changes}
    old = delivery.envelope
    return Delivery(
        Envelope(encode(value), old.wm, old.body, old.sig), delivery.wrap, delivery.record, delivery.proof
    )


def resigned(world, delivery, key, **changes):
    """The same with a new signature, and a proof that fits."""
    spelt = respell(delivery, **changes).envelope
    envelope = Envelope(
        spelt.header_bytes, spelt.wm, spelt.body, sign(key, Purpose.ENVELOPE, spelt.transcript)
    )
    return Delivery(envelope, delivery.wrap, delivery.record, proof_of(world, envelope))


def test_a_right_delivery_is_shown(world):
    shown = check(world, deliver(world))
    assert shown.opened.payload == TEXT
    assert not shown.alert


@pytest.mark.parametrize("cut", [0, 3, 8, 200, 2000, -1, -200])
def test_a_truncated_delivery_is_not_read(world, cut):
    data = deliver(world).to_bytes()[:cut]
    with pytest.raises(Refusal) as refusal:
        parse(data, PageItem(eid=b64(bytes(32)), d="intake", state="queued"))
    assert refusal.value.code in {"FORM", "TOO_BIG", "RECORD", "WRAPS"}


def test_bytes_after_the_end_are_refused(world):
    delivery = deliver(world)
    item = PageItem(eid=b64(delivery.envelope.eid), d="intake", state="queued")
    with pytest.raises(Refusal) as refusal:
        parse(delivery.to_bytes() + b"\x00", item)
    assert refusal.value.code == "FORM"


def test_another_envelope_than_the_relay_named_is_refused(world):
    with pytest.raises(Refusal) as refusal:
        parse(deliver(world).to_bytes(), PageItem(eid=b64(bytes(32)), d="intake", state="queued"))
    assert refusal.value.code == "FORM"


def test_no_flipped_byte_gets_through(world):
    """Of a whole delivery, some hundred bytes spread over all its parts."""
    delivery = deliver(world)
    data, item = delivery.to_bytes(), PageItem(eid=b64(delivery.envelope.eid), d="intake", state="queued")
    keys, log_key = world.parties["IDVAS"].member.agent, world.founded.partnership.log_key
    for at in range(0, len(data), max(1, len(data) // 150)):
        changed = bytearray(data)
        changed[at] ^= 0x40
        with pytest.raises(Refusal):
            sealed(
                clear(parse(bytes(changed), item), "intake", world.directory, keys, log_key, world.now),
                world.directory,
                (POLICY,),
                withdrawn=False,
            )


def test_a_stranger_may_not_sign(world):
    delivery = deliver(world)
    assert refused(world, resigned(world, delivery, SigningKey(secrets.token_bytes(32)))) == "SIGNATURE"


def test_another_members_key_may_not_sign(world):
    key = world.parties["SARC"].member.agent.msg
    assert refused(world, resigned(world, deliver(world), key, signer=key.kid)) == "UNKNOWN_KEY"


def test_a_request_key_may_not_sign_a_message(world):
    key = world.parties["Peacock"].member.agent.auth
    assert refused(world, resigned(world, deliver(world), key, signer=key.kid)) == "UNKNOWN_KEY"


def test_a_swapped_header_is_refused(world):
    assert refused(world, respell(deliver(world), rag="RED")) == "SIGNATURE"


def test_a_header_that_the_sender_signed_afresh_does_not_open_the_old_body(world):
    key = world.parties["Peacock"].member.agent.msg
    assert refused(world, resigned(world, deliver(world), key, rag="RED")) == "CANNOT_OPEN"


def test_the_body_of_another_message_is_refused(world):
    one, other = deliver(world), deliver(world)
    envelope = Envelope(one.envelope.header_bytes, one.envelope.wm, other.envelope.body, one.envelope.sig)
    assert refused(world, Delivery(envelope, one.wrap, one.record, one.proof)) == "SIGNATURE"


def test_the_wrap_of_another_recipient_is_refused(world):
    both = deliver(world, to=("IDVAS", "SARC"), place=1, law=None, grant=None, status=None)
    assert refused(world, both) == "WRAPS"


def test_the_record_of_another_message_is_refused(world):
    one, other = deliver(world), deliver(world)
    assert refused(world, Delivery(one.envelope, one.wrap, other.record, one.proof)) == "RECORD"


def test_a_message_for_another_agency_is_refused(world):
    assert refused(world, deliver(world), name="SARC") == "NOT_FOR_US"


def test_a_message_for_another_desk_is_refused(world):
    assert refused(world, deliver(world), desk="night") == "NOT_FOR_US"


def test_a_message_to_an_erased_key_is_refused(world):
    late = world.now + PREKEY_KEPT
    assert refused(world, deliver(world), now=late) == "KEY_ERASED"


def test_a_prekey_that_is_not_ours_is_refused(world):
    """A directory that swapped our key would have the sender seal to a stranger's."""
    delivery = deliver(world)
    other = world.directory.prekey(world.parties["SARC"].id, world.now)
    to = [{"a": world.parties["IDVAS"].id, "d": "intake", "k": other.kid}]
    key = world.parties["Peacock"].member.agent.msg
    assert refused(world, resigned(world, delivery, key, to=to)) == "KEY_ERASED"


def test_an_expired_message_is_refused(world):
    assert refused(world, deliver(world), now=world.now + 8 * DAY) == "EXPIRED"


def test_a_message_from_the_future_is_refused(world):
    assert refused(world, deliver(world), now=world.now - 301) == "FUTURE"


def test_a_clock_that_is_off_by_five_minutes_is_borne(world):
    check(world, deliver(world), now=world.now - 300)


def test_a_checkpoint_by_another_log_is_refused(world):
    delivery = deliver(world)
    forged = proof_of(world, delivery.envelope, key=world.founded.relay.keys_log)
    changed = Delivery(delivery.envelope, delivery.wrap, delivery.record, forged)
    assert refused(world, changed) == "CHECKPOINT"


def test_a_proof_for_another_envelope_is_refused(world):
    delivery, other = deliver(world), deliver(world)
    changed = Delivery(delivery.envelope, delivery.wrap, delivery.record, other.proof)
    assert refused(world, changed) == "PROOF"


def test_a_proof_that_is_no_proof_is_refused(world):
    delivery = deliver(world)
    changed = Delivery(delivery.envelope, delivery.wrap, delivery.record, b"nothing")
    assert refused(world, changed) == "PROOF"


@pytest.mark.parametrize("categories", [("ask",), (*HELD, "crim"), ()])
def test_categories_that_differ_from_the_message_are_refused(world, categories):
    assert refused(world, deliver(world, categories=tuple(sorted(categories)))) == "CATEGORIES_DIFFER"


@pytest.mark.parametrize("flag", ["spec", "crim", "child"])
def test_flags_that_differ_from_the_message_are_refused(world, flag):
    from tests.simulated_world import AGREED

    delivery = deliver(world, **agreed(world), law={**AGREED, flag: True})
    assert refused(world, delivery) == "FLAGS_DIFFER"


def test_another_class_than_the_form_has_is_refused(world):
    assert refused(world, deliver(world, cls="UPDATE")) == "CLASS_DIFFERS"


def test_another_colour_than_the_form_has_is_refused(world):
    assert refused(world, deliver(world, rag="GREEN")) == "CLASS_DIFFERS"


@pytest.mark.parametrize(
    "payload", ["", "[]", '{"type":"referral.universal","v":1,"x":1}', "{", '{"type":"x","v":1}']
)
def test_a_payload_that_is_no_form_is_refused(world, payload):
    code = refused(world, deliver(world, payload=payload))
    assert code in {"NOT_JSON", "UNKNOWN_FIELD", "UNKNOWN_TYPE", "MISSING"}


def test_no_agreement_and_no_reason_is_refused(world):
    from tests.simulated_world import AGREED

    with pytest.raises(NoAuthority):
        check(world, deliver(world, law=AGREED, grant=None, status=None))


def test_an_agreement_signed_by_somebody_else_counts_for_nothing(world):
    forger = SigningKey(secrets.token_bytes(32))
    grant = world.grant("Peacock", "IDVAS", key=forger, cat=sorted(CATEGORIES))
    with pytest.raises(NoAuthority) as refusal:
        check(world, deliver(world, grant=grant, status=world.status("Peacock", grant)))
    assert refusal.value.why == "UNKNOWN_KEY"


def test_an_agreement_for_another_purpose_counts_as_a_no(world):
    with pytest.raises(NoAuthority) as refusal:
        check(world, deliver(world, **agreed(world, pur=["HOUSING"])))
    assert refusal.value.code == "SCOPE"


def test_a_staple_that_ran_out_counts_for_nothing(world):
    grant = world.grant("Peacock", "IDVAS", cat=sorted(CATEGORIES))
    old = world.status("Peacock", grant, ts=world.now - 60, exp=world.now)
    with pytest.raises(NoAuthority) as refusal:
        check(world, deliver(world, grant=grant, status=old))
    assert refusal.value.why == "STATUS_STALE"


def test_an_agreement_that_is_over_counts_for_nothing(world):
    with pytest.raises(NoAuthority) as refusal:
        check(world, deliver(world, **agreed(world, exp=world.now)))
    assert refusal.value.why == "EXPIRED"


def test_only_the_staple_that_the_header_names_proves_anything(world):
    said = agreed(world)
    header = world.seal("Peacock", "IDVAS", payload=TEXT, categories=HELD, **said).upload.envelope.header
    another = world.status("Peacock", said["grant"], ts=world.now - 1)
    assert prove(header, said["grant"], said["status"], world.directory) == Proven("covers")
    for grant, staple in ((said["grant"], another), (said["grant"], None), (None, said["status"])):
        assert prove(header, grant, staple, world.directory) == Proven("unknown", "GRANT_UNKNOWN")


def test_an_agreement_that_we_know_to_be_withdrawn_counts_as_a_no(world):
    """Even when the relay let it pass: recipients do not trust it for consent."""
    with pytest.raises(NoAuthority):
        check(world, deliver(world), withdrawn=True)


SAID = [
    (b"", "AGREE_MISSING"),
    (b'"agree":null,', "AGREE_NULL"),
    (b'"agree":"Yes",', "AGREE_WORD"),
    (b'"agree":"true",', "AGREE_WORD"),
    (b'"agree":["GIVEN","REFUSED"],', "AGREE_BOTH"),
    (b'"agree":"GIVEN","agree":"REFUSED",', "AGREE_BOTH"),
]


@pytest.mark.parametrize(("said", "code"), SAID)
def test_how_the_agreement_stands_is_one_word_of_the_policy(world, said, code):
    old = deliver(world)
    header = old.envelope.header_bytes.replace(b'"agree":"GIVEN",', said)
    envelope = Envelope(header, old.envelope.wm, old.envelope.body, old.envelope.sig)
    data = Delivery(envelope, old.wrap, old.record, old.proof).to_bytes()
    with pytest.raises(Refusal) as refusal:
        parse(data, PageItem(eid=b64(envelope.eid), d="intake", state="queued"))
    assert refusal.value.code == code


UNKNOWN = [
    ({"agree": "PERHAPS"}, {}, "VOCABULARY"),
    ({"gw": ["HA-1"]}, {}, "VOCABULARY"),
    ({"why_no": "Z"}, {}, "VOCABULARY"),
    ({"why_no": "G"}, {}, "PAPER_BOTH"),
    ({}, {"purpose": "IMMIGRATION"}, "PURPOSE"),
]


@pytest.mark.parametrize(("law", "more", "code"), UNKNOWN)
def test_what_the_gate_should_have_stopped_is_refused_with_its_own_code(world, law, more, code):
    from tests.simulated_world import AGREED

    with pytest.raises(NoAuthority) as refusal:
        check(world, deliver(world, **agreed(world), law={**AGREED, **law}, **more))
    assert refusal.value.code == code


REASONS = {
    "NOT_FOR_US": "wrong-recipient", "UNKNOWN_DESK": "wrong-recipient", "CATEGORIES_DIFFER": "over-shared",
    "FLAGS_DIFFER": "over-shared", "CANNOT_OPEN": "cannot-read", "KEY_ERASED": "cannot-read", "SIGNATURE": "cannot-read",
}  # fmt: skip


@pytest.mark.parametrize(("code", "reason"), REASONS.items())
def test_the_sender_hears_a_reason_of_the_closed_list_and_never_the_code(code, reason):
    assert reason_of(Refusal(code)) == reason
    assert reason_of(NoAuthority(code, code)) == "gate-fault"
