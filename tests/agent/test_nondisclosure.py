"""Decisions not to share: kept with their words here, logged without them, read by the right officers (G12, G13)."""

import json
import secrets
from dataclasses import replace

import pytest
from sqlalchemy import select

from agent.forms import read_form
from agent.nondisclosure_forms import NotShared
from agent.tables import undisclosed
from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.nondisclosure import Weighed, parse_undisclosed, seal_undisclosed
from schemas.record import SealedRecord
from schemas.signing import Purpose, Signed
from tests.agent.agencies import quiet
from tests.agent.test_commands import process_of, type_in
from tests.agent.test_commands import world as world_of_the_wall  # noqa: F401 - a fixture
from tests.keys_tooling.mirrored import pull_served
from tests.keys_tooling.test_real_relay import reading
from tests.simulated_world import World

DAY = 24 * 3600
FORM = {
    "case_ref": "case-77",
    "purpose": "SUPPORT",
    "categories": ["contact", "risk", "contact"],
    "to": [{"agency": "IDVAS", "desk": "intake"}],
    "why": "could_endanger_person",
    "because": "Canary: somebody at that service knows the person who hurt her.",
    "risk_if_shared": "Canary: he could find out where she goes.",
    "risk_if_not": "Canary: she waits longer for advice.",
    "persons_view": "Canary: please not them.",
    "decided_by": "safeguarding-lead",
    "review_on": "2027-01-15",
}


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", "DASS")


def asked(**changes):
    value = {name: item for name, item in {**FORM, **changes}.items() if item is not None}
    return read_form(NotShared, json.dumps(value).encode())


def decision(world, party="Peacock", **changes):
    """A statement and its record, made by hand; `changes` spoil the statement."""
    member = world.parties[party].member
    given = {"nid": b64(secrets.token_bytes(16)), "ts": world.now, **changes.pop("made", {})}
    officers = world.directory.officers(changes.pop("officers", {member.id}), world.now)
    weighed = Weighed(
        member.id, ((world.parties["IDVAS"].id, "intake"),), False, "SUPPORT", ("contact",), "not_needed_for_purpose",
        "worker", world.now + DAY, b64(bytes(32)), "words",
    )  # fmt: skip
    signed, record = seal_undisclosed(
        weighed, given["nid"], given["ts"], officers, member.agent.msg, secrets.token_bytes(32)
    )
    if changes:
        signed = Signed.make(member.agent.msg, Purpose.NONDISCLOSURE, {**signed.peek(), **changes})
    return signed, record


async def post(world, http, party, signed, record):
    item = {"kind": "nondisclosure", "signed": signed.to_json()}
    if record is not None:
        item["record"] = b64(record)
    body = json.dumps({"statements": [item]}).encode()
    return await world.call(http, party, "POST", "/v1/statements", body=body)


async def result(world, http, signed, record, party="Peacock"):
    answer = await post(world, http, party, signed, record)
    assert answer.status == 200, answer.body
    [one] = answer.json()["results"]
    return one["status"], one["code"]


# --- at the agency


async def test_a_decision_is_kept_with_its_words_and_logged(world):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        answer = await peacock.nondisclosures.record(asked())
        assert answer["at_the_relay"]
        [kept] = await peacock.nondisclosures.list()
        assert kept["because"] == FORM["because"]
        assert kept["logged"]
        assert not kept["review_due"]
        world.clock.advance(60 * DAY)
        [kept] = await peacock.nondisclosures.list()
        assert kept["review_due"]
        assert (await peacock.showing.status())["reviews_due"] == 1


async def test_a_relay_that_is_away_hears_of_it_later(world):
    async with quiet(world, "Peacock") as peacock:
        async with world.relay():
            await peacock.book.refresh()
        answer = await peacock.nondisclosures.record(asked())
        assert not answer["at_the_relay"]
        assert not (await peacock.nondisclosures.list())[0]["logged"]
        async with world.relay():
            await peacock.posting.flush()
        assert (await peacock.nondisclosures.list())[0]["logged"]


async def test_somebody_outside_the_partnership_is_named_in_words_that_stay(world):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        await peacock.nondisclosures.record(asked(to=None, to_others="Her employer asked."))
        assert (await peacock.nondisclosures.list())[0]["to_others"] == "Her employer asked."


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"to": None}, "FORM"),
        ({"categories": []}, "FORM"),
        ({"categories": ["gossip"]}, "FORM"),
        ({"why": "did not engage"}, "FORM"),
        ({"because": None}, "FORM"),
        ({"risk_if_shared": None}, "FORM"),
        ({"risk_if_not": None}, "FORM"),
        ({"decided_by": "Jo Bloggs"}, "FORM"),
        ({"case_ref": ""}, "FORM"),
        ({"review_on": "soon"}, "FORM"),
        ({"review_on": "2026-11-22"}, "BAD_VALUE"),
        ({"review_on": "2028-01-01"}, "BAD_VALUE"),
        ({"to": [{"agency": "Nobody"}]}, "UNKNOWN_AGENCY"),
        ({"name": "Robin"}, "FORM"),
    ],
)
async def test_a_decision_that_is_not_whole_is_refused_and_nothing_is_kept(world, changes, code):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        with pytest.raises(Refusal) as caught:
            await peacock.nondisclosures.record(asked(**changes))
        assert caught.value.code == code
        assert await peacock.store.run(lambda c: c.execute(select(undisclosed)).all()) == []


# --- at the relay, and with the officers


async def test_the_relay_learns_neither_about_whom_nor_away_from_whom(world):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        await peacock.nondisclosures.record(asked())
        [row] = await peacock.store.run(lambda c: c.exec_driver_sql("SELECT text, record FROM posts").all())
        sent = json.loads(row.text)
        assert set(sent) == {"ar", "by", "nid", "signer", "ts", "v"}
        from schemas.canonical import unb64

        head = SealedRecord.parse(unb64(row.record)).head
        own = {officer.kid for officer in world.directory.officers({world.parties["Peacock"].id}, world.now)}
        assert set(head.to) == own
    stored = b"".join(path.read_bytes() for path in (world.folder / "relay").glob("relay.db*"))
    for secret in (b"Canary", b"case-77", b"could_endanger", b"safeguarding-lead"):
        assert secret not in stored


async def test_its_own_officers_and_oversights_read_the_codes_and_no_other(world, tmp_path):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        await peacock.nondisclosures.record(asked())
        for name in ("Peacock", "IDVAS", "DASS", "oversight"):
            await pull_served(world, tmp_path / name, name)
    for name in ("Peacock", "oversight"):
        [told] = [
            one for one in reading(world, tmp_path / name, name).entries if one.event == "nondisclosure"
        ]
        assert told.faults == ()
        assert told.sender.agency == world.parties["Peacock"].id
        assert [place.agency for place in told.to] == [world.parties["IDVAS"].id]
        assert (told.pur, told.cat, told.what) == ("SUPPORT", ("contact", "risk"), "could_endanger_person")
        assert told.author == "safeguarding-lead"
        assert "Canary" not in repr(told)
    for name in ("IDVAS", "DASS"):
        found = reading(world, tmp_path / name, name)
        assert [one for one in found.entries if one.event == "nondisclosure"] == []
        assert found.closed >= 1


async def test_nobody_is_told_of_it(world):
    async with world.relay(), world.session() as http, quiet(world, "Peacock") as peacock:
        await peacock.nondisclosures.record(asked())
        for name in ("IDVAS", "DASS"):
            page = await world.mailbox(http, name)
            assert (page.head.items, page.head.notices) == ((), ())


async def test_the_same_decision_again_is_a_repeat(world):
    async with world.relay(), world.session() as http:
        signed, record = decision(world)
        assert await result(world, http, signed, record) == ("recorded", None)
        assert await result(world, http, signed, record) == ("repeat", None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"made": {"ts": 1}}, "EXPIRED"),
        ({"ts": 1}, "EXPIRED"),
        ({"ar": b64(bytes(32))}, "RECORD"),
        ({"nid": b64(bytes(16))}, "RECORD"),
        ({"signer": b64(bytes(32))}, "UNKNOWN_KEY"),
        ({"v": 2}, "FORM"),
        ({"to": "somebody"}, "FORM"),
    ],
)
async def test_a_spoilt_statement_is_refused(world, changes, code):
    async with world.relay(), world.session() as http:
        signed, record = decision(world, **changes)
        assert await result(world, http, signed, record) == ("refused", code)


async def test_a_decision_dated_ahead_is_refused(world):
    async with world.relay(), world.session() as http:
        signed, record = decision(world, ts=world.now + 3600)
        assert await result(world, http, signed, record) == ("refused", "FUTURE")


async def test_a_record_for_other_officers_is_refused(world):
    """The intended recipient's officers may not find out from the record's head, by mistake or on purpose."""
    async with world.relay(), world.session() as http:
        ids = {world.parties["Peacock"].id, world.parties["IDVAS"].id}
        signed, record = decision(world, officers=ids)
        assert await result(world, http, signed, record) == ("refused", "OFFICERS")


@pytest.mark.parametrize(
    "spoil", [lambda _: None, lambda record: record[:-1], lambda record: record + b"\x00", lambda _: b""]
)
async def test_a_record_that_is_missing_or_damaged_is_refused(world, spoil):
    async with world.relay(), world.session() as http:
        signed, record = decision(world)
        assert await result(world, http, signed, spoil(record)) == ("refused", "RECORD")


async def test_another_agencys_decision_is_refused(world):
    async with world.relay(), world.session() as http:
        signed, record = decision(world)
        assert await result(world, http, signed, record, "IDVAS") == ("refused", "NOT_ALLOWED")


async def test_another_signature_is_refused(world):
    async with world.relay(), world.session() as http:
        signed, record = decision(world)
        forged = replace(signed, signature=bytes(64))
        assert await result(world, http, forged, record) == ("refused", "SIGNATURE")


@pytest.mark.parametrize("text", [b"{}", b"[]", b'{"v":1}'])
def test_what_is_no_statement_is_refused(text):
    with pytest.raises(Refusal) as caught:
        parse_undisclosed(Signed(text, bytes(64)))
    assert caught.value.code == "FORM"


# --- by command


async def test_a_session(world_of_the_wall):  # noqa: F811
    world = world_of_the_wall
    async with world.relay():
        async with quiet(world, "Peacock") as peacock:
            home = peacock.settings.home
        (home / "form.json").write_text(json.dumps({**FORM, "review_on": review_day(world.now)}))
        async with process_of(home) as process:
            code, out, err = await type_in("nondisclosure", "record", "--dir", home, home / "form.json")
            assert (code, err) == (0, "")
            assert out.startswith("Recorded: ")
            code, out, _ = await type_in("nondisclosure", "list", "--dir", home)
            assert code == 0
            assert "could_endanger_person  look again 20" in out
            assert "Canary" not in out
            code, out, _ = await type_in("nondisclosure", "list", "--dir", home, "--case-ref", "case-1")
            assert (code, out) == (0, "Nothing is recorded.\n")
            code, out, _ = await type_in(
                "nondisclosure", "list", "--dir", home, "--case-ref", "case-77", "--json"
            )
            assert json.loads(out)["decisions"][0]["because"] == FORM["because"]
        for secret in ("Canary", "case-77", "could_endanger"):
            assert secret not in process.log


def review_day(now):
    import datetime

    return (
        (datetime.datetime.fromtimestamp(now, datetime.UTC) + datetime.timedelta(days=30)).date().isoformat()
    )
