"""An officer opens the entries of her agency and no others, and whatever does not fit is named."""

import json
import secrets
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from keys_tooling.audit import table
from keys_tooling.audit.mirror_file import FILE, open_mirror
from keys_tooling.audit.read import Reading, read
from keys_tooling.console import shown
from schemas.audit import Event, event_tag
from schemas.canonical import b64
from schemas.envelope import Delivery
from schemas.errors import Refusal
from schemas.keyring import OfficerKeys
from schemas.sealing import Sealed
from schemas.signing import Purpose, Signed
from tests.keys_tooling.mirrored import pull
from tests.keys_tooling.paper_relay import PaperRelay
from tests.simulated_world import DESK, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.found(tmp_path_factory.mktemp("world"), "Peacock", "IDVAS", "DASS")


@pytest.fixture
def relay(world: World) -> PaperRelay:
    return PaperRelay(world)


async def reading(relay: PaperRelay, folder: Path, officer: str = "Peacock") -> Reading:
    await pull(relay, folder, officer)
    return read_again(relay, folder, relay.world.parties[officer].officer)


def read_again(relay: PaperRelay, folder: Path, keys: OfficerKeys) -> Reading:
    with open_mirror(folder, write=False) as mirror:
        return read(mirror, relay.world.founded.partnership, keys, lambda _at: None)


def delivered(sealed: Sealed) -> Delivery:
    upload = sealed.upload
    return Delivery(upload.envelope, upload.wraps[0], upload.record, b"")


def step(relay: PaperRelay, sealed: Sealed, state: str, event: Event | None = None, **changes: object) -> int:
    world, eid = relay.world, sealed.upload.envelope.eid
    signed = world.receipt("IDVAS", delivered(sealed), state)
    idvas = world.parties["IDVAS"].id
    event = event or Event(state)
    facts = {
        "a": idvas,
        "d": DESK,
        "eid": b64(eid),
        "mid": sealed.mid,
        "receipt": signed.to_json(),
        **changes,
    }
    return relay.log(event, event_tag(eid, event, idvas, DESK), "Peacock", "IDVAS", **facts)


async def test_an_accepted_message_is_shown_with_all_that_its_entry_tells(relay: PaperRelay, tmp_path: Path):
    draft = relay.world.draft("Peacock", "IDVAS")
    sealed = relay.world.seal_draft("Peacock", draft)
    relay.accept(sealed, "Peacock", "IDVAS")
    found = await reading(relay, tmp_path)
    [entry] = table.facts(found)["entries"]
    peacock, idvas = relay.world.parties["Peacock"], relay.world.parties["IDVAS"]
    assert entry == {
        "index": 0, "event": "accept", "ts": relay.world.now, "time": "2026-11-22 00:00:00", "rule": entry["rule"],
        "from": {"a": peacock.id, "d": DESK, "name": "Peacock"}, "to": [{"a": idvas.id, "d": DESK, "name": "IDVAS"}],
        "cls": draft.cls, "rag": "AMBER", "pur": "SUPPORT", "cat": list(draft.categories), "decision": {"outcome": "deliver", "code": ""},
        "rows": [2], "ref": draft.subject, "author": "worker", "eid": sealed.eid, "mid": sealed.mid, "gid": None,
        "faults": [], "what": None,
    }  # fmt: skip


async def test_a_step_says_who_took_it_and_to_whom_it_reports(relay: PaperRelay, tmp_path: Path):
    sealed = relay.world.seal("Peacock", "IDVAS")
    relay.accept(sealed, "Peacock", "IDVAS")
    step(relay, sealed, "taken-on")
    _, entry = table.facts(await reading(relay, tmp_path))["entries"]
    assert (entry["event"], entry["from"]["name"], entry["to"][0]["name"]) == ("taken-on", "IDVAS", "Peacock")
    assert entry["faults"] == []


async def test_agreements_and_withdrawals_are_shown_by_their_parties(relay: PaperRelay, tmp_path: Path):
    world = relay.world
    grant = world.grant("Peacock", "IDVAS")
    ended = world.withdrawal("IDVAS", grant)
    sealed = world.seal("Peacock", "IDVAS", grant=grant, status=world.status("Peacock", grant))
    idvas, eid = world.parties["IDVAS"].id, sealed.upload.envelope.eid
    relay.log(Event.GRANT, secrets.token_bytes(32), "Peacock", "IDVAS", statement=grant.to_json())
    relay.accept(sealed, "Peacock", "IDVAS")
    relay.log(Event.WITHDRAW, secrets.token_bytes(32), "Peacock", "IDVAS", statement=ended.to_json())
    facts = {"a": idvas, "d": DESK, "eid": b64(eid), "mid": sealed.mid, "statement": ended.to_json()}
    relay.log(Event.WITHDRAWN, event_tag(eid, Event.WITHDRAWN, idvas, DESK), "Peacock", "IDVAS", **facts)
    entries = table.facts(await reading(relay, tmp_path))["entries"]
    assert [(e["event"], e["from"]["name"]) for e in entries] == [
        ("grant", "Peacock"), ("accept", "Peacock"), ("withdraw", "IDVAS"), ("withdrawn", "IDVAS"),
    ]  # fmt: skip
    assert {e["gid"] for e in entries} == {grant.peek()["gid"]}
    assert [e["faults"] for e in entries] == [[], [], [], []]


async def test_an_officer_reads_why_a_message_was_given_back(relay: PaperRelay, tmp_path: Path):
    """What a recipient's agent says of a gate that slept stands in the log for the officers of both sides (J9)."""
    world = relay.world
    sealed = world.seal("Peacock", "IDVAS")
    relay.accept(sealed, "Peacock", "IDVAS")
    receipt = world.receipt("IDVAS", delivered(sealed), "rejected", reason="gate-fault")
    step(relay, sealed, "rejected", receipt=receipt.to_json())
    for officer in ("Peacock", "IDVAS"):
        (tmp_path / officer).mkdir()
        _, entry = table.facts(await reading(relay, tmp_path / officer, officer))["entries"]
        assert (entry["event"], entry["what"], entry["faults"]) == ("rejected", "gate-fault", [])


async def test_what_was_taken_back_by_a_narrower_version_and_what_became_of_the_rest(
    relay: PaperRelay, tmp_path: Path
):
    world = relay.world
    wide = world.grant("Peacock", "IDVAS", cat=["ask", "risk"])
    narrow = world.grant("Peacock", "IDVAS", **{**wide.peek(), "cat": ["ask"], "limited": True, "ver": 2})
    sealed = world.seal("Peacock", "IDVAS", grant=wide, status=world.status("Peacock", wide))
    idvas, eid = world.parties["IDVAS"].id, sealed.upload.envelope.eid
    key = world.parties["IDVAS"].member.agent.consent
    facts = {"a": idvas, "d": DESK, "eid": b64(eid), "mid": sealed.mid, "statement": narrow.to_json()}
    relay.log(Event.WITHDRAWN, event_tag(eid, Event.WITHDRAWN, idvas, DESK), "Peacock", "IDVAS", **facts)
    answer = {
        "a": idvas, "did": "kept", "gid": wide.peek()["gid"], "outside": False, "passed": [], "signer": key.kid,
        "ts": world.now, "v": 1, "wd": b64(bytes(32)), "why": "legal-duty",
    }  # fmt: skip
    said = Signed.make(key, Purpose.RECALLED, answer)
    forged = Signed(said.text, bytes(64))
    for signed in (said, forged):
        relay.log(Event.RECALLED, secrets.token_bytes(32), "Peacock", "IDVAS", statement=signed.to_json())
    entries = table.facts(await reading(relay, tmp_path))["entries"]
    assert [(e["event"], e["from"]["name"], e["what"]) for e in entries] == [
        ("withdrawn", "IDVAS", None), ("recalled", "IDVAS", "legal-duty"), ("recalled", "IDVAS", "legal-duty"),
    ]  # fmt: skip
    assert {e["gid"] for e in entries} == {wide.peek()["gid"]}
    assert [len(e["faults"]) for e in entries] == [0, 0, 1]


async def test_entries_of_other_agencies_are_counted_and_stay_closed(relay: PaperRelay, tmp_path: Path):
    sealed = relay.world.seal("Peacock", "IDVAS")
    relay.accept(sealed, "Peacock", "IDVAS")
    step(relay, sealed, "collected")
    relay.fill(7, "DASS")
    found = await reading(relay, tmp_path, "DASS")
    assert (len(found.entries), found.closed) == (7, 2)
    assert "2 entries belong to other agencies and stay closed." in table.table(found, 120)
    for text in (table.table(found, 120), json.dumps(table.facts(found))):
        assert "Peacock" not in text
        assert sealed.mid not in text


async def test_oversight_reads_everything(relay: PaperRelay, tmp_path: Path):
    relay.fill(3, "DASS")
    relay.accept(relay.world.seal("Peacock", "IDVAS"), "Peacock", "IDVAS")
    found = await reading(relay, tmp_path, "oversight")
    assert (len(found.entries), found.closed, found.faulty) == (4, 0, False)


async def test_entries_of_every_epoch_are_found(relay: PaperRelay, tmp_path: Path):
    for _ in range(4):
        relay.fill(3, "Peacock")
        relay.epoch()
    relay.fill(3, "Peacock")
    found = await reading(relay, tmp_path)
    assert (len(found.entries), found.closed) == (15, 0)


async def test_a_mirror_without_an_epoch_of_hers_yet_is_all_closed(relay: PaperRelay, tmp_path: Path):
    relay.fill(2, "DASS")
    relay.wrapped.clear()
    found = await reading(relay, tmp_path)
    assert (len(found.entries), found.closed) == (0, 2)


async def test_another_officers_key_opens_nothing_and_learns_nothing(relay: PaperRelay, tmp_path: Path):
    relay.accept(relay.world.seal("Peacock", "IDVAS"), "Peacock", "IDVAS")
    await reading(relay, tmp_path)
    with pytest.raises(
        Refusal, match=r"^UNKNOWN_KEY: Nothing in this mirror is sealed to this officer's key"
    ):
        read_again(relay, tmp_path, relay.world.parties["DASS"].officer)


async def test_an_officer_key_that_the_directory_never_saw_opens_nothing(relay: PaperRelay, tmp_path: Path):
    relay.fill(1, "Peacock")
    await reading(relay, tmp_path)
    stranger = World.found(tmp_path / "other", "Peacock").parties["Peacock"].officer
    with pytest.raises(Refusal, match="UNKNOWN_KEY"):
        read_again(relay, tmp_path, stranger)


# --- a relay that misquotes


def faults(found: Reading) -> list[tuple[str, ...]]:
    return [told.faults for told in found.entries]


async def test_a_misquoted_header_is_named(relay: PaperRelay, tmp_path: Path):
    sealed = relay.world.seal("Peacock", "IDVAS")
    header = sealed.upload.envelope.header_bytes.decode().replace("AMBER", "GREEN")
    relay.accept(sealed, "Peacock", "IDVAS", header=header)
    assert faults(await reading(relay, tmp_path)) == [("tag", "quoted")]


async def test_a_forged_signature_is_named(relay: PaperRelay, tmp_path: Path):
    relay.accept(relay.world.seal("Peacock", "IDVAS"), "Peacock", "IDVAS", sig=b64(bytes(64)))
    found = await reading(relay, tmp_path)
    assert faults(found) == [("quoted",)]
    assert "entry 0: What the relay quotes is not what was signed." in table.table(found, 200)


async def test_a_receipt_of_another_state_is_named(relay: PaperRelay, tmp_path: Path):
    sealed = relay.world.seal("Peacock", "IDVAS")
    step(relay, sealed, "collected", Event.TAKEN_ON)
    assert faults(await reading(relay, tmp_path)) == [("quoted",)]


async def test_a_step_without_its_receipt_is_named(relay: PaperRelay, tmp_path: Path):
    step(relay, relay.world.seal("Peacock", "IDVAS"), "collected", receipt=None)
    assert faults(await reading(relay, tmp_path)) == [("quoted",)]


async def test_a_record_filed_under_another_desk_is_named(relay: PaperRelay, tmp_path: Path):
    step(relay, relay.world.seal("Peacock", "IDVAS"), "collected", d="elsewhere")
    assert faults(await reading(relay, tmp_path)) == [("tag", "quoted")]


async def test_a_withdrawal_that_nobody_signed_is_named(relay: PaperRelay, tmp_path: Path):
    world = relay.world
    forged = replace(world.withdrawal("IDVAS", world.grant("Peacock", "IDVAS")), signature=bytes(64))
    relay.log(Event.WITHDRAW, secrets.token_bytes(32), "Peacock", "IDVAS", statement=forged.to_json())
    assert faults(await reading(relay, tmp_path)) == [("quoted",)]


async def test_a_record_in_no_known_form_is_named(relay: PaperRelay, tmp_path: Path):
    relay.log(Event.ACCEPT, secrets.token_bytes(32), "Peacock", header="{}")
    relay.log(Event.GRANT, secrets.token_bytes(32), "Peacock")
    assert faults(await reading(relay, tmp_path)) == [("form", "sender"), ("form",)]


async def test_a_senders_record_that_is_missing_or_exchanged_is_named(relay: PaperRelay, tmp_path: Path):
    for _ in range(3):
        relay.accept(relay.world.seal("Peacock", "IDVAS"), "Peacock", "IDVAS")
    relay.blobs[0] = (relay.blobs[0][0], b"")
    relay.blobs[1] = (relay.blobs[1][0], relay.blobs[2][1])
    assert faults(await reading(relay, tmp_path)) == [("sender",), ("sender",), ()]


async def test_a_senders_record_that_says_something_else_is_named(relay: PaperRelay, tmp_path: Path):
    from schemas import sealing

    world, honest = relay.world, sealing.record_facts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "record_facts", lambda draft, mid: {**honest(draft, mid), "pur": "HOUSING"})
        sealed = world.seal("Peacock", "IDVAS")
    relay.accept(sealed, "Peacock", "IDVAS")
    assert faults(await reading(relay, tmp_path)) == [("differs",)]


# --- a mirror that was touched


def touch(folder: Path, sql: str, *values: object) -> None:
    with sqlite3.connect(folder / FILE) as database:
        assert database.execute(sql, values).rowcount > 0
    database.close()


async def test_a_changed_record_is_not_shown(relay: PaperRelay, tmp_path: Path):
    relay.fill(2, "Peacock")
    await reading(relay, tmp_path)
    touch(tmp_path, "UPDATE entry SET relay = ? WHERE i = 1", relay.blobs[0][0])
    assert faults(read_again(relay, tmp_path, relay.world.parties["Peacock"].officer)) == [(), ("changed",)]


async def test_an_epoch_that_does_not_open_is_said_and_not_passed_over(relay: PaperRelay, tmp_path: Path):
    relay.fill(1, "Peacock")
    await reading(relay, tmp_path)
    touch(tmp_path, "UPDATE epoch SET wrap = ?", secrets.token_bytes(1168))
    assert faults(read_again(relay, tmp_path, relay.world.parties["Peacock"].officer)) == [("epoch",)]


# --- the terminal


def test_nothing_that_others_wrote_reaches_the_terminal_as_a_command():
    hostile = "a\x1b[2Jb\x9b1m\u202ec\u200bd\u2066e\x07\r\n\x7f\u2028[bold]"
    said = shown(hostile)
    assert said == (
        "a\\u{1b}[2Jb\\u{9b}1m\\u{202e}c\\u{200b}d\\u{2066}e\\u{7}\\u{d}\\u{a}\\u{7f}\\u{2028}[bold]"
    )


async def test_a_hostile_name_is_harmless_in_the_table(relay: PaperRelay, tmp_path: Path):
    relay.accept(relay.world.seal("Peacock", "IDVAS"), "Peacock", "IDVAS")
    found = await reading(relay, tmp_path)
    view, said = found.view, found.view.agencies[relay.world.parties["IDVAS"].id]
    named = said.admissions[-1]._replace(name="\x1b[31mred\u202e [bold]x[/bold]")
    view.put(replace(said, admissions=(*said.admissions[:-1], named)))
    text = table.table(found, 400)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\u{1b}[31mred\\u{202e} [bold]x[/bold] / intake" in text
