"""An officer leaves and her successor reads on; two officers who open together only (PROTOCOL.md U5-U8)."""

import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from keys_tooling.audit.handing import HandoverFile
from keys_tooling.ceremony import OfficerCard, make_officer
from keys_tooling.officer import card_bytes
from schemas import api
from schemas.canonical import b64
from schemas.chain import Chain
from schemas.errors import Refusal
from schemas.keyring import AdminKeys, OfficerKeys
from schemas.keys import OpeningKey, Use
from schemas.package import Keyring, combined, open_package, seal_package
from tests.keys_tooling.officer_place import Place
from tests.simulated_world import World

YEAR = 365 * 24 * 3600


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.again(tmp_path / "world", "Peacock", "IDVAS")


@pytest.fixture
async def relay(world: World) -> AsyncIterator[Any]:
    async with world.relay() as running:
        yield running


async def send(world: World, count: int = 1) -> None:
    async with world.session() as http:
        for _ in range(count):
            world.clock.advance(61)
            answer = await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))
            assert answer.json()["results"][0]["status"] == "accepted"


async def state(world: World, *made: Any, party: str = "Peacock") -> None:
    """Publish statements of the party's own chain; each is made from the chain."""
    admin = world.parties[party].admin
    chain = Chain(admin.agency, admin.op, admin.seq, admin.head)
    signed = [make(chain) for make in made]
    world.parties[party].admin = AdminKeys(chain.agency, chain.op, chain.seq, chain.head)
    async with world.session() as http:
        answer = await world.post_statements(http, party, *(("directory", one) for one in signed))
    assert {one["status"] for one in answer.json()["results"]} == {"recorded"}, answer.body
    for one in signed:
        world.take(one)


async def enrol(
    world: World, folder: Path, person: str, party: str = "Peacock"
) -> tuple[Place, Path, OfficerKeys]:
    """A new officer of an agency that is in already: her place, her card, her keys."""
    keys, card = make_officer(secrets.token_bytes, person)
    uses = ((Use.IG, card.ig), (Use.IG_AUTH, card.auth))
    await state(world, *(
        (lambda chain, use=use, public=public: chain.add_key(use, public, world.now - 60, world.now + YEAR, world.now, person))
        for use, public in uses
    ), party=party)  # fmt: skip
    place = Place.make(world, folder, party, keys)
    path = folder / "card.json"
    path.write_bytes(card_bytes(card))
    return place, path, keys


async def read(place: Place) -> dict[str, Any]:
    assert (await place.type("pull")).exit == 0
    typed = await place.type("read", "--json")
    found: dict[str, Any] = typed.json()
    return found


def accepted(found: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(entry["ref"], entry["faults"]) for entry in found["entries"] if entry["event"] == "accept"]


async def test_a_successor_reads_what_came_before_her(world: World, relay: Any, tmp_path: Path):
    old = Place.make(world, tmp_path / "old", "Peacock")
    await send(world, 3)
    new, card, _ = await enrol(world, tmp_path / "new", "ig")
    await send(world, 1)
    before = accepted(await read(new))
    assert len(before) == 1
    every = accepted(await read(old))
    assert len(every) == 4
    out = tmp_path / "handover.fph"
    given = await old.type("handover", "give", "--to", card, "--out", out, "--reason", "handover", "--json")
    assert given.json()["last"] == json.loads(given.out)["last"]
    assert out.stat().st_mode & 0o777 == 0o600
    taken = await new.type("handover", "take", out, "--json")
    assert (taken.json()["status"], taken.json()["records"] >= 3) == ("recorded", True)
    found = await read(new)
    assert accepted(found) == every
    [entry] = [entry for entry in found["entries"] if entry["event"] == "handover"]
    assert (entry["faults"], entry["what"]) == ([], "handover")
    # Her index is made again with what she took.
    assert (await new.type("query", "sent-to", "--agency", "IDVAS", "--json")).json()["count"] == 4
    # The same once more changes nothing.
    assert (await new.type("handover", "take", out, "--json")).json()["status"] == "repeat"
    assert (await new.type("verify", passphrase=False)).exit == 0


async def test_after_the_old_officer_was_revoked_the_handover_still_holds(
    world: World, relay: Any, tmp_path: Path
):
    old = Place.make(world, tmp_path / "old", "Peacock")
    await send(world, 2)
    new, card, _ = await enrol(world, tmp_path / "new", "ig")
    await old.type("pull")
    await new.type("pull")
    out = tmp_path / "handover.fph"
    assert (await old.type("handover", "give", "--to", card, "--out", out)).exit == 0
    assert (await new.type("handover", "take", out)).exit == 0
    world.clock.advance(3600)
    gone = world.parties["Peacock"].officer
    await state(world, *(
        (lambda chain, kid=kid: chain.revoke(kid, "left", world.now, world.now)) for kid in (gone.ig.kid, gone.auth.kid)
    ))  # fmt: skip
    found = await read(new)
    assert len(accepted(found)) == 2
    assert not found["faulty"]
    refused = await old.type("read")
    assert refused.refusal is not None


@pytest.mark.parametrize("wrong", ["another", "self", "stranger", "changed"])
async def test_what_was_not_given_to_her_is_not_taken(world: World, relay: Any, tmp_path: Path, wrong: str):
    old = Place.make(world, tmp_path / "old", "Peacock")
    await send(world)
    new, card, _ = await enrol(world, tmp_path / "new", "ig")
    for place in (old, new):
        await place.type("pull")
    out = tmp_path / "handover.fph"
    if wrong in ("self", "stranger"):
        own = world.parties["Peacock" if wrong == "self" else "IDVAS"].officer
        card.write_bytes(card_bytes(OfficerCard(own.ig.public, own.auth.public)))
        refused = await old.type("handover", "give", "--to", card, "--out", out)
        assert refused.refusal is not None
        assert refused.refusal.code == ("KEY" if wrong == "self" else "UNKNOWN_KEY")
        assert not out.exists()
        return
    await old.type("handover", "give", "--to", card, "--out", out)
    taker = new
    if wrong == "another":
        taker, _, _ = await enrol(world, tmp_path / "third", "ig")
        await taker.type("pull")
    else:
        value = json.loads(out.read_bytes())
        package = bytearray(HandoverFile.parse(out.read_bytes()).package)
        package[-1] ^= 1
        out.write_text(json.dumps({**value, "package": b64(bytes(package))}, sort_keys=True))
    refused = await taker.type("handover", "take", out)
    assert refused.refusal is not None
    assert refused.refusal.code == ("NOT_ALLOWED" if wrong == "another" else "SIGNATURE")
    assert not list(taker.folder.glob("handed-*"))


async def test_the_relay_logs_no_handover_that_two_officers_did_not_sign(
    world: World, relay: Any, tmp_path: Path
):
    from schemas.handover import take

    old = Place.make(world, tmp_path / "old", "Peacock")
    await send(world)
    new, card, keys = await enrol(world, tmp_path / "new", "ig")
    for place in (old, new):
        await place.type("pull")
    out = tmp_path / "handover.fph"
    await old.type("handover", "give", "--to", card, "--out", out)
    inner = HandoverFile.parse(out.read_bytes()).signed
    own = world.parties["Peacock"].officer.auth

    async def post(signed: Any, key: Any) -> Any:
        item = api.StatementIn(kind="handover", signed=api.SignedJson(**signed.to_json()))
        body = api.StatementsRequest(statements=(item,)).model_dump_json().encode()
        async with world.session() as http:
            answer = await world.call(http, "Peacock", "POST", api.STATEMENTS, body=body, key=key)
        [result] = answer.json()["results"]
        return result["code"] or result["status"]

    assert await post(take(inner, own, world.now), own) == "SIGNATURE"
    assert await post(take(inner, keys.auth, world.now + 3600), keys.auth) == "FUTURE"
    assert await post(take(inner, keys.auth, world.now), world.parties["IDVAS"].officer.auth) == "NOT_ALLOWED"
    assert await post(take(inner, keys.auth, world.now), keys.auth) == "recorded"


async def test_an_opening_from_before_an_officer_came_is_sealed_to_her_too(
    world: World, relay: Any, tmp_path: Path
):
    """Made without the relay, by a copy of the directory that does not know her: it is not lost."""
    old = Place.make(world, tmp_path / "old", "Peacock")
    await send(world)
    await old.type("pull")
    new, _, _ = await enrol(world, tmp_path / "new", "ig")
    world.clock.advance(30)
    made = await old.type("read", "--offline", "--reason", "breach", "--words", "she must be warned now")
    assert made.exit == 0
    pulled = (await old.type("pull", "--json")).json()
    assert (pulled["openings_told"], pulled["openings_refused"]) == (1, 0)
    await new.type("pull")
    read = (await new.type("read", "--json")).json()
    [entry] = [entry for entry in read["entries"] if entry["event"] == "unsealed"]
    assert (entry["what"], entry["faults"]) == ("read breach offline", [])


async def test_under_dual_control_neither_reads_alone_and_both_read_together(
    world: World, relay: Any, tmp_path: Path
):
    """The officer of before was told to go; two who share take her place."""
    gone = world.parties["Peacock"].officer
    one, _, _ = await enrol(world, tmp_path / "one", "share-1")
    two, card, _ = await enrol(world, tmp_path / "two", "share-2")
    await state(world, *(
        (lambda chain, kid=kid: chain.revoke(kid, "rotated", world.now, world.now)) for kid in (gone.ig.kid, gone.auth.kid)
    ))  # fmt: skip
    await send(world, 2)
    for place in (one, two):
        found = await read(place)
        assert (accepted(found), found["faulty"]) == ([], False)
        assert found["closed"] > 0
    oversight = Place.make(world, tmp_path / "oversight", "oversight")
    assert len(accepted(await read(oversight))) == 2
    out = tmp_path / "shares.fph"
    given = await one.type("handover", "give", "--shares", "--to", card, "--out", out, "--reason", "review")
    assert given.exit == 0, given
    assert (await two.type("handover", "take", out)).exit == 0
    found = await read(two)
    assert [faults for _, faults in accepted(found)] == [[], []]
    assert accepted(await read(one)) == []
    # What comes later is closed to her again.
    world.clock.advance(600)
    await send(world, 1)
    await send(world, 1)
    assert len(accepted(await read(two))) == 2


async def test_while_one_of_two_is_missing_the_log_stays_readable(world: World, relay: Any, tmp_path: Path):
    gone = world.parties["Peacock"].officer
    one, _, _ = await enrol(world, tmp_path / "one", "share-1")
    await state(world, *(
        (lambda chain, kid=kid: chain.revoke(kid, "left", world.now, world.now)) for kid in (gone.ig.kid, gone.auth.kid)
    ))  # fmt: skip
    await send(world, 1)
    assert len(accepted(await read(one))) == 1


def test_a_package_opens_for_one_key_and_one_handover_only():
    key, other = OpeningKey(secrets.token_bytes(32)), OpeningKey(secrets.token_bytes(32))
    hid = b64(secrets.token_bytes(16))
    ring = Keyring(((bytes(32), 7, bytes([1]) * 32),), ((9, bytes([2]) * 32), (10, bytes([3]) * 32)))
    package = seal_package(ring, hid, key.kid, key.public, secrets.token_bytes)
    assert open_package(package, hid, key) == ring
    bad = [package[:at] + bytes([package[at] ^ 1]) + package[at + 1 :] for at in range(0, len(package), 97)]
    for data in (*bad, package[:-1], package + b"\x00", b"", package[:1172]):
        with pytest.raises(Refusal, match="RECORD: This package was not sealed to your key"):
            open_package(data, hid, key)
    for wrong_hid, wrong_key in ((b64(bytes(16)), key), (hid, other)):
        with pytest.raises(Refusal, match="RECORD"):
            open_package(package, wrong_hid, wrong_key)


def test_two_shares_give_the_key_and_one_gives_nothing():
    key, share = secrets.token_bytes(32), secrets.token_bytes(32)
    other = bytes(a ^ b for a, b in zip(key, share, strict=True))
    assert key in combined([share, other])
    assert key not in combined([share])
    assert key in combined([key])
