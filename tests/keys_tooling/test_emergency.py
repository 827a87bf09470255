"""Emergency revocation with a real relay: any two people of two roles, without the administrator's key or folder."""

import asyncio
import secrets
import shutil
from pathlib import Path

import pytest

from schemas import api
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from schemas.keyring import PersonKeys
from schemas.keys import Use
from tests.broker.leads import People
from tests.keys_tooling.admin_place import done, made, refused, run
from tests.keys_tooling.policy_place import served, write_secret
from tests.simulated_world import PASSPHRASE, World

DAY = 24 * 3600


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Peacock with a lead and an officer, IDVAS with theirs, and oversight; key files of persons in their folders."""
    everybody: list[People] = []
    found = made(tmp_path, people=lambda world: everybody.append(People.of(world)))
    keys = everybody[0].keys
    for name, party, tag, who in (
        ("lead", "Peacock", "lead-2", "lead"),
        ("author", "Peacock", "author-1", "author"),
        ("new-lead", "Peacock", "lead-3", "new lead"),
        ("their-lead", "IDVAS", "lead-2", "their lead"),
    ):
        held = PersonKeys(found.parties[party].id, tag, keys[who])
        write_key(found, name, held)
    for name, party in (("ig", "Peacock"), ("their-ig", "IDVAS"), ("duty-ig", "oversight")):
        write_key(found, name, found.parties[party].officer)
    return found


def write_key(world: World, name: str, held: object) -> None:
    data = lock(held.to_json(), held.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes)
    write_secret(world.folder / f"{name}.fpk", data)


def place(world: World, key: str) -> tuple[str | Path, ...]:
    path = world.folder / ("oversight/admin.fpk" if key == "duty" else f"{key}.fpk")
    return ("--key", path, "--partnership", world.folder / "oversight" / "partnership.json")


def start(world: World, key: str, *more: str | Path, agency: str = "Peacock") -> Path:
    out = world.folder / f"{key}-emergency.json"
    done(world, "emergency", "start", "--agency", agency, "--out", out, *place(world, key), *more)
    return out


def lead_signs(world: World, file: Path, key: str = "lead") -> Path:
    out = world.folder / "both.json"
    out.unlink(missing_ok=True)
    done(world, "emergency", "sign", file, "--out", out, *place(world, key), "--yes")
    return out


def sign(world: World, file: Path, key: str, *more: str) -> dict:
    return done(world, "emergency", "sign", file, *place(world, key), "--yes", *more)


def directory_status(world: World, name: str = "Peacock") -> int:
    async def ask() -> int:
        async with world.session() as http:
            return (await world.call(http, name, "GET", api.DIRECTORY, "after=0")).status

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("first", "lead", "second"),
    [
        ("ig", True, "ig"), ("duty", True, "duty"), ("duty-ig", True, "duty-ig"), ("ig", False, "duty"),
        ("duty", False, "ig"), ("ig", False, "duty-ig"),
    ],
)  # fmt: skip
def test_any_two_of_the_three_roles_end_the_keys_and_the_relay_refuses_them_in_the_next_request(
    world: World, first: str, lead: bool, second: str
):
    shutil.rmtree(world.folder / "Peacock")  # neither the administrator's key nor her folder is there
    with served(world):
        assert directory_status(world) == 200
        file = start(world, first)
        if lead:
            file = lead_signs(world, file)
        assert directory_status(world) == 200
        assert sign(world, file, second)["posted"] == 1
        assert directory_status(world) == 401
        assert sign(world, file, second)["posted"] == 0
        assert directory_status(world, "IDVAS") == 200


NOT_TWO = [
    ("ig", None, "ig", "EMERGENCY_PAIR"),
    ("duty", None, "duty-ig", "EMERGENCY_PAIR"),
    ("their-ig", None, "ig", "EMERGENCY_ROLE"),
    ("ig", None, "their-ig", "EMERGENCY_ROLE"),
    ("ig", "their-lead", "ig", "EMERGENCY_ROLE"),
    ("ig", "author", "ig", "EMERGENCY_ROLE"),
    ("ig", "new-lead", "ig", "ROLE_KEY_YOUNG"),
]


def test_two_of_one_role_or_of_another_agency_end_nothing(world: World):
    with served(world):
        for first, lead, second, code in NOT_TWO:
            file = start(world, first)
            given = file if lead is None else lead_signs(world, file, lead)
            refusal = refused(world, "emergency", "sign", given, *place(world, second), "--yes")
            assert (first, lead, second, refusal.code) == (first, lead, second, code)
            file.unlink()
        assert directory_status(world) == 200


def test_a_lead_who_would_start_is_told_who_can(world: World):
    out = ("--out", world.folder / "x.json")
    assert (
        refused(world, "emergency", "start", "--agency", "Peacock", *out, *place(world, "lead")).code
        == "EMERGENCY_START"
    )
    with served(world):
        file = start(world, "ig")
        assert run(world, "emergency", "sign", file, *place(world, "lead"), "--yes").exit_code == 2


def test_the_first_signature_is_good_for_a_day(world: World):
    with served(world):
        file = start(world, "ig")
        world.clock.advance(DAY + 1)
        assert (
            refused(world, "emergency", "sign", file, *place(world, "duty"), "--yes").code == "EMERGENCY_LATE"
        )


def test_a_file_that_was_changed_on_its_way_ends_nothing(world: World):
    with served(world):
        file = start(world, "duty", "--use", "auth")
        other = start(world, "ig", "--use", "msg")
        text = file.read_text()
        kid, instead = (next(iter(_kids(one))) for one in (text, other.read_text()))
        file.write_text(text.replace(kid, instead))
        assert refused(world, "emergency", "sign", file, *place(world, "ig"), "--yes").code == "SIGNATURE"
        for spoiled in ("", "{}", text[:-20]):
            file.write_text(spoiled)
            assert refused(world, "emergency", "sign", file, *place(world, "ig"), "--yes").code == "FORM"


def _kids(text: str) -> list[str]:
    import json

    return json.loads(text)["body"]["kids"]


def test_only_what_is_named_ends(world: World):
    with served(world):
        file = start(world, "ig", "--use", "msg", "--since", "2026-11-01T00:00Z")
        said = sign(world, file, "duty", "--dry-run")
        assert said["applied"] is False
        sign(world, file, "duty")
        assert directory_status(world) == 200
        revoke = ("--use", "msg", "--reason", "rotated", "--dry-run")
        assert done(world, "revoke", "--dir", world.folder / "Peacock", *revoke)["plan"]["publishes"] == []


def test_nothing_is_signed_without_yes_or_a_terminal(world: World):
    with served(world):
        file = start(world, "duty")
        result = run(world, "emergency", "sign", file, *place(world, "ig"))
        assert result.exit_code == 2
        assert "This will happen to Peacock:" in result.output
        assert f"{Use.MSG}: envelopes and receipts" in result.output
        assert directory_status(world) == 200


def test_a_chain_that_a_thief_keeps_extending_does_not_outrun_it(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """The second statement is built where the chain stands; the first signature does not name a place."""
    from agent.client import Relay
    from keys_tooling import emergency, own_side

    with served(world):
        file = lead_signs(world, start(world, "ig"))
        real, tries = Relay.post_statements, []

        async def late(self: Relay, request: api.StatementsRequest) -> api.StatementResults:
            if len(tries) < 3:
                tries.append(1)
                await _thief(world, real)
            return await real(self, request)

        monkeypatch.setattr(Relay, "post_statements", late)
        assert sign(world, file, "ig")["posted"] == 1
        assert len(tries) == 3
    assert len(tries) < emergency.ATTEMPTS
    assert own_side.SEEN


async def _thief(world: World, real: object) -> None:
    from agent.client import Relay
    from keys_tooling import own_side
    from keys_tooling.console import World as Outside

    own = own_side.OwnSide.open(world.folder / "Peacock", PASSPHRASE)
    charter = own.partnership.charter
    async with Relay(charter.relay, charter.authority, own.auth, world.clock, secrets.token_bytes) as line:
        reading = await own_side.read_own(line, own, Outside(world.clock, secrets.token_bytes))
        chain = own_side.own_chain(reading, own.admin)
        agency = reading.view.agencies[chain.agency]
        kid = next(key.kid for key in agency.keys.values() if key.use == Use.WITNESS)
        signed = chain.revoke(kid, "rotated", world.now + 9999, world.now)
        item = api.StatementIn(kind="directory", signed=api.SignedJson(**signed.to_json()))
        answer = await real(line, api.StatementsRequest(statements=(item,)))
        assert answer.results[0].status == "recorded"


def test_a_key_file_of_another_kind_signs_nothing(world: World):
    with pytest.raises(Refusal, match="KEYFILE"):
        raise refused(
            world, "emergency", "start", "--agency", "Peacock", "--out", world.folder / "x.json", "--key",
            world.folder / "Peacock" / "agent.fpk", "--partnership", world.folder / "oversight" / "partnership.json",
        )  # fmt: skip


def test_the_operational_key_is_not_ended_and_what_replaces_it_is_said(world: World):
    op = world.directory.agencies[world.parties["Peacock"].id].op_kid
    words = (
        "emergency",
        "start",
        "--agency",
        "Peacock",
        "--out",
        world.folder / "x.json",
        *place(world, "ig"),
    )
    with served(world):
        for which in (("--use", "op"), ("--use", "msg", "--use", "op"), (op,)):
            refusal = refused(world, *words[:2], *which, *words[2:])
            assert (refusal.code, "fenpost-keys recover op" in refusal.say) == ("EMERGENCY_OP", True)
        assert not (world.folder / "x.json").exists()
        plan = run(world, *words).stderr
    said = [
        plan.index(text) for text in ("stops its agent", "recover op --officer", "recover agent --copied")
    ]
    assert said == sorted(said)
