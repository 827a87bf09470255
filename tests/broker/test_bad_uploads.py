"""Each way in which an upload can be wrong has its own code, and nothing of it is taken."""

import json
import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest

from schemas.api import BINARY, ENVELOPES
from schemas.canonical import b64
from schemas.envelope import Envelope, Upload
from schemas.hashing import framed
from schemas.keys import OpeningKey, SigningKey
from schemas.record_sealing import record_hash, seal_epoch_record
from schemas.sealing import SealedFor, seal
from schemas.signing import Purpose, sign
from tests.simulated_world import AGREED, NO_PERSON, World

DAY = 24 * 3600


def resigned(world: World, upload: Upload, change: Callable[[dict], None], raw: bytes | None = None) -> bytes:
    """The same upload with another header, signed anew by the sender itself."""
    value = json.loads(upload.envelope.header_bytes)
    change(value)
    header = raw or json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    old = upload.envelope
    bare = Envelope(header, old.wm, old.body, b"")
    signature = sign(world.parties["Peacock"].member.agent.msg, Purpose.ENVELOPE, bare.transcript)
    return Upload(Envelope(header, old.wm, old.body, signature), upload.wraps, upload.record).to_bytes()


def truncated(world: World) -> bytes:
    return world.seal("Peacock", "IDVAS").upload.to_bytes()[:-1]


def trailing(world: World) -> bytes:
    return world.seal("Peacock", "IDVAS").upload.to_bytes() + b"\x00"


def not_magic(world: World) -> bytes:
    return b"FPE2" + world.seal("Peacock", "IDVAS").upload.to_bytes()[4:]


def not_json(world: World) -> bytes:
    return resigned(world, world.seal("Peacock", "IDVAS").upload, lambda _: None, b'{"v":1,')


def spaced_header(world: World) -> bytes:
    upload = world.seal("Peacock", "IDVAS").upload
    value = json.loads(upload.envelope.header_bytes)
    return resigned(world, upload, lambda _: None, json.dumps(value, sort_keys=True).encode())


def duplicate_key(world: World) -> bytes:
    upload = world.seal("Peacock", "IDVAS").upload
    header = upload.envelope.header_bytes.replace(b'"v":1}', b'"v":1,"v":1}')
    return resigned(world, upload, lambda _: None, header)


def unknown_field(world: World) -> bytes:
    return resigned(world, world.seal("Peacock", "IDVAS").upload, lambda h: h.update(name="x"))


def unknown_purpose(world: World) -> bytes:
    return resigned(world, world.seal("Peacock", "IDVAS").upload, lambda h: h.update(pur="IMMIGRATION"))


def said(world: World, **fields: object) -> bytes:
    """An upload whose law block says this; a value of ... leaves it out."""

    def change(header: dict) -> None:
        header["law"] = {
            name: value for name, value in {**header["law"], **fields}.items() if value is not ...
        }

    return resigned(world, world.seal("Peacock", "IDVAS").upload, change)


def agreement_left_out(world: World) -> bytes:
    return said(world, agree=...)


def agreement_of_nothing(world: World) -> bytes:
    return said(world, agree=None)


def agreement_yes(world: World) -> bytes:
    return said(world, agree="Yes")


def agreement_true(world: World) -> bytes:
    return said(world, agree="true")


def agreement_perhaps(world: World) -> bytes:
    return said(world, agree="PERHAPS")


def agreement_both_ways(world: World) -> bytes:
    return said(world, agree=["GIVEN", "REFUSED"])


def agreement_said_twice(world: World) -> bytes:
    upload = world.seal("Peacock", "IDVAS").upload
    header = upload.envelope.header_bytes
    at = header.index(b'"agree":')
    return resigned(world, upload, lambda _: None, header[:at] + b'"agree":"GIVEN",' + header[at:])


def unknown_gateway(world: World) -> bytes:
    return said(world, gw=["HA-1"])


def other_version(world: World) -> bytes:
    return resigned(world, world.seal("Peacock", "IDVAS").upload, lambda h: h.update(v=2))


def attachment(world: World) -> bytes:
    return resigned(
        world, world.seal("Peacock", "IDVAS").upload, lambda h: h.update(att=[{"h": "x", "n": 1}])
    )


def long_header(world: World) -> bytes:
    return resigned(world, world.seal("Peacock", "IDVAS").upload, lambda h: h.update(x="y" * 17_000))


def long_body(world: World) -> bytes:
    upload = world.seal("Peacock", "IDVAS").upload
    big = Envelope(
        upload.envelope.header_bytes, upload.envelope.wm, bytes(1024 * 1024 + 1), upload.envelope.sig
    )
    return Upload(big, upload.wraps, upload.record).to_bytes()


def other_header(world: World) -> bytes:
    """The header of one message over the body of another."""
    one, two = world.seal("Peacock", "IDVAS").upload, world.seal("Peacock", "IDVAS").upload
    mixed = Envelope(one.envelope.header_bytes, two.envelope.wm, two.envelope.body, two.envelope.sig)
    return Upload(mixed, two.wraps, one.record).to_bytes()


def changed_body(world: World) -> bytes:
    upload = world.seal("Peacock", "IDVAS").upload
    body = bytearray(upload.envelope.body)
    body[100] ^= 1
    changed = Envelope(upload.envelope.header_bytes, upload.envelope.wm, bytes(body), upload.envelope.sig)
    return Upload(changed, upload.wraps, upload.record).to_bytes()


def signed_by_another(world: World) -> bytes:
    """Signed with a key that the header does not name."""
    upload = world.seal("Peacock", "IDVAS").upload
    stranger = sign(SigningKey(secrets.token_bytes(32)), Purpose.ENVELOPE, upload.envelope.transcript)
    envelope = Envelope(upload.envelope.header_bytes, upload.envelope.wm, upload.envelope.body, stranger)
    return Upload(envelope, upload.wraps, upload.record).to_bytes()


def unpublished_signer(world: World) -> bytes:
    draft = world.draft("Peacock", "IDVAS")
    return world.seal_draft("Peacock", draft, SigningKey(secrets.token_bytes(32))).upload.to_bytes()


def signed_by_the_request_key(world: World) -> bytes:
    draft = world.draft("Peacock", "IDVAS")
    return world.seal_draft("Peacock", draft, world.parties["Peacock"].member.agent.auth).upload.to_bytes()


def other_wrap(world: World) -> bytes:
    one, two = world.seal("Peacock", "IDVAS").upload, world.seal("Peacock", "IDVAS").upload
    return Upload(one.envelope, two.wraps, one.record).to_bytes()


def other_record(world: World) -> bytes:
    one, two = world.seal("Peacock", "IDVAS").upload, world.seal("Peacock", "IDVAS").upload
    return Upload(one.envelope, one.wraps, two.record).to_bytes()


def named_record(world: World, record: bytes) -> bytes:
    """An upload whose header names this record, signed by its sender."""
    upload = world.seal("Peacock", "IDVAS").upload
    carried = Upload(upload.envelope, upload.wraps, record)
    return resigned(world, carried, lambda h: h.update(ar=b64(record_hash(record))))


def record_of_another_message(world: World) -> bytes:
    return named_record(world, world.seal("Peacock", "IDVAS").upload.record)


def record_that_no_officer_opens(world: World) -> bytes:
    keys = tuple(secrets.token_bytes(32) for _ in range(4))
    return named_record(
        world, seal_epoch_record(b64(secrets.token_bytes(16)), b"{}", keys, secrets.token_bytes(32), ())
    )


def another_agency(world: World) -> bytes:
    """A message of IDVAS, handed in by Peacock."""
    return world.seal("IDVAS", "Harbour").upload.to_bytes()


def expired(world: World) -> bytes:
    return world.seal("Peacock", "IDVAS", ts=world.now - 200, exp=world.now).upload.to_bytes()


def future_dated(world: World) -> bytes:
    return world.seal("Peacock", "IDVAS", ts=world.now + 301, exp=world.now + DAY).upload.to_bytes()


def a_day_ahead(world: World) -> bytes:
    return world.seal("Peacock", "IDVAS", ts=world.now + DAY, exp=world.now + 2 * DAY).upload.to_bytes()


def a_day_behind(world: World) -> bytes:
    return world.seal("Peacock", "IDVAS", ts=world.now - DAY, exp=world.now + DAY).upload.to_bytes()


def wrong_desk(world: World) -> bytes:
    return world.seal("Peacock", "IDVAS", to=world.to("IDVAS", desk="nobody")).upload.to_bytes()


def wrong_own_desk(world: World) -> bytes:
    return world.seal("Peacock", "IDVAS", desk="nobody").upload.to_bytes()


def unknown_recipient(world: World) -> bytes:
    (known,) = world.to("IDVAS")
    draft = replace(world.draft("Peacock", "IDVAS"), to=(replace(known, agency="ag1" + "a" * 32),))
    officers = world.directory.officers({world.parties["Peacock"].id}, world.now)
    return seal(
        draft, officers, world.parties["Peacock"].member.agent.msg, secrets.token_bytes
    ).upload.to_bytes()


def swapped_prekey(world: World) -> bytes:
    """Sealed to IDVAS by a key that is not IDVAS's."""
    (known,), (other,) = world.to("IDVAS"), world.to("Harbour")
    swapped = SealedFor(known.agency, known.desk, other.kid, other.public)
    return world.seal("Peacock", "IDVAS", to=(swapped,)).upload.to_bytes()


def invented_prekey(world: World) -> bytes:
    (known,), key = world.to("IDVAS"), OpeningKey(secrets.token_bytes(32))
    return world.seal(
        "Peacock", "IDVAS", to=(replace(known, kid=key.kid, public=key.public),)
    ).upload.to_bytes()


def later_prekey(world: World) -> bytes:
    """Sealed to a key whose first day has not come."""
    (known,) = world.to("IDVAS")
    key = world.parties["IDVAS"].member.agent.prekeys[5].key
    return world.seal(
        "Peacock", "IDVAS", to=(replace(known, kid=key.kid, public=key.public),)
    ).upload.to_bytes()


def too_few_officers(world: World) -> bytes:
    draft = world.draft("Peacock", "IDVAS")
    officers = world.directory.officers({world.parties["Peacock"].id}, world.now)
    return seal(
        draft, officers, world.parties["Peacock"].member.agent.msg, secrets.token_bytes
    ).upload.to_bytes()


def too_many_officers(world: World) -> bytes:
    draft = world.draft("Peacock", "IDVAS")
    everybody = {world.parties[name].id for name in ("Peacock", "IDVAS", "Harbour")}
    officers = world.directory.officers(everybody, world.now)
    return seal(
        draft, officers, world.parties["Peacock"].member.agent.msg, secrets.token_bytes
    ).upload.to_bytes()


def override(world: World) -> bytes:
    law = {**NO_PERSON, "pd": "personal", "agree": "NOT_SOUGHT", "why_no": "E", "b6": "6c", "gw": ["CA89-47"]}
    upload = world.seal("Peacock", "IDVAS", law=law, cls="SAFEGUARD", purpose="CHILD_PROT").upload
    return resigned(world, upload, lambda h: h.update(ovr=b64(bytes(32))))


def no_agreement_named(world: World) -> bytes:
    return world.seal("Peacock", "IDVAS", law=AGREED).upload.to_bytes()


def nobody_was_asked(world: World) -> bytes:
    law = {**NO_PERSON, "pd": "personal", "agree": "NOT_SOUGHT", "b6": "6ea:safeguarding"}
    return world.seal("Peacock", "IDVAS", law=law).upload.to_bytes()


def she_said_no(world: World) -> bytes:
    law = {**NO_PERSON, "pd": "personal", "agree": "REFUSED", "b6": "6ea:safeguarding"}
    return world.seal("Peacock", "IDVAS", law=law).upload.to_bytes()


CASES: list[tuple[Callable[[World], bytes], str, int]] = [
    (truncated, "FORM", 400),
    (trailing, "FORM", 400),
    (not_magic, "FORM", 400),
    (not_json, "FORM", 400),
    (spaced_header, "NOT_CANONICAL", 400),
    (duplicate_key, "FORM", 400),
    (unknown_field, "FORM", 400),
    (unknown_purpose, "PURPOSE", 403),
    (agreement_left_out, "AGREE_MISSING", 400),
    (agreement_of_nothing, "AGREE_NULL", 400),
    (agreement_yes, "AGREE_WORD", 400),
    (agreement_true, "AGREE_WORD", 400),
    (agreement_perhaps, "VOCABULARY", 403),
    (agreement_both_ways, "AGREE_BOTH", 400),
    (agreement_said_twice, "AGREE_BOTH", 400),
    (unknown_gateway, "VOCABULARY", 403),
    (other_version, "VERSION", 400),
    (attachment, "ATTACHMENTS", 400),
    (long_header, "TOO_BIG", 413),
    (long_body, "TOO_BIG", 413),
    (other_header, "SIGNATURE", 422),
    (changed_body, "SIGNATURE", 422),
    (signed_by_another, "SIGNATURE", 422),
    (unpublished_signer, "UNKNOWN_KEY", 422),
    (signed_by_the_request_key, "UNKNOWN_KEY", 422),
    (other_wrap, "WRAPS", 422),
    (other_record, "RECORD", 422),
    (record_of_another_message, "RECORD", 422),
    (record_that_no_officer_opens, "RECORD", 422),
    (another_agency, "NOT_ALLOWED", 403),
    (expired, "EXPIRED", 422),
    (future_dated, "FUTURE", 422),
    (a_day_ahead, "FUTURE", 422),
    (a_day_behind, "CLOCK", 422),
    (wrong_desk, "UNKNOWN_DESK", 422),
    (wrong_own_desk, "UNKNOWN_DESK", 422),
    (unknown_recipient, "UNKNOWN_AGENCY", 422),
    (swapped_prekey, "UNKNOWN_KEY", 422),
    (invented_prekey, "UNKNOWN_KEY", 422),
    (later_prekey, "STALE_KEY", 422),
    (too_few_officers, "OFFICERS", 422),
    (too_many_officers, "OFFICERS", 422),
    (override, "OVERRIDE_UNKNOWN", 422),
    (no_agreement_named, "GRANT", 403),
    (nobody_was_asked, "REASON", 403),
    (she_said_no, "REFUSED", 403),
]
LOGGED = {
    "EXPIRED", "FUTURE", "CLOCK", "UNKNOWN_DESK", "UNKNOWN_AGENCY", "STALE_KEY", "OFFICERS", "OVERRIDE_UNKNOWN", "GRANT", "REASON",
    "REFUSED", "PURPOSE", "VOCABULARY",
}  # fmt: skip
"""Refusals of envelopes that their sender really signed; the rest is noise and leaves no trace."""


async def test_every_bad_upload_has_its_code(world: World, relay, http):
    for make, code, status in CASES:
        size = relay.relay.log.size
        answer = await world.post_envelopes(http, "Peacock", make(world))
        said = answer.json()
        assert (make.__name__, said.get("code"), answer.status) == (make.__name__, code, status)
        traced = code in LOGGED or make in (swapped_prekey, invented_prekey)
        assert (make.__name__, relay.relay.log.size - size) == (make.__name__, int(traced))
    assert (await world.mailbox(http, "IDVAS")).head.items == ()


async def test_a_refusal_repeated_is_logged_once(world: World, relay, http):
    upload = expired(world)
    for _ in range(3):
        assert (await world.post_envelopes(http, "Peacock", upload)).json()["code"] == "EXPIRED"
    assert relay.relay.log.size == 1


async def test_in_a_batch_each_upload_is_answered_by_itself(world: World, http):
    good = world.seal("Peacock", "IDVAS")
    answer = await world.post_envelopes(http, "Peacock", truncated(world), good, wrong_desk(world), good)
    assert answer.status == 200
    results = answer.json()["results"]
    assert [r["status"] for r in results] == ["refused", "accepted", "refused", "repeat"]
    assert [r.get("code") for r in results] == ["FORM", None, "UNKNOWN_DESK", None]
    assert results[3]["proof"]
    assert results[3]["rk"] is None


@pytest.mark.parametrize("count", [0, 65])
async def test_a_batch_has_one_to_sixty_four_uploads(world: World, http, count: int):
    assert (await world.post_envelopes(http, "Peacock", *([b"x"] * count))).json()["code"] == "FORM"


async def test_the_same_envelope_again_is_a_repeat_with_its_proof(world: World, http):
    sealed = world.seal("Peacock", "IDVAS")
    first = (await world.post_envelopes(http, "Peacock", sealed)).json()["results"][0]
    second = (await world.post_envelopes(http, "Peacock", sealed)).json()["results"][0]
    assert (first["status"], second["status"]) == ("accepted", "repeat")
    assert first["proof"].split("\n")[1] == second["proof"].split("\n")[1]
    assert second["rk"] is None
    assert len((await world.mailbox(http, "IDVAS")).deliveries) == 1


async def test_another_envelope_under_the_same_message_id_clashes(world: World, http):
    upload = world.seal("Peacock", "IDVAS").upload
    assert (await world.post_envelopes(http, "Peacock", upload.to_bytes())).status == 200
    answer = await world.post_envelopes(
        http, "Peacock", resigned(world, upload, lambda h: h.update(exp=h["exp"] - 1))
    )
    assert (answer.status, answer.json()["code"]) == (409, "ID_CLASH")


async def test_a_revoked_key_signs_nothing_even_dated_back(world: World, http):
    from schemas.chain import Chain

    admin = world.parties["Peacock"].admin
    chain = Chain(admin.agency, admin.op, admin.seq, admin.head)
    before = world.seal("Peacock", "IDVAS")
    revoked = chain.revoke(world.parties["Peacock"].member.agent.msg.kid, "lost", world.now, world.now)
    assert (await world.post_statements(http, "Peacock", ("directory", revoked))).json()["results"][0][
        "status"
    ] == "recorded"
    world.clock.advance(60)
    assert (await world.post_envelopes(http, "Peacock", before)).json()["code"] == "REVOKED_KEY"
    dated_back = world.seal("Peacock", "IDVAS", ts=world.now - 100, exp=world.now + DAY)
    assert (await world.post_envelopes(http, "Peacock", dated_back)).json()["code"] == "REVOKED_KEY"


async def test_only_an_agent_posts_envelopes(world: World, http):
    body = framed(world.seal("Peacock", "IDVAS").upload.to_bytes())
    officer = world.parties["Peacock"].officer.auth
    answer = await world.call(http, "Peacock", "POST", ENVELOPES, body=body, content_type=BINARY, key=officer)
    assert (answer.status, answer.json()["code"]) == (403, "NOT_ALLOWED")
