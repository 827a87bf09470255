"""Thieves, spoiled clocks and kills at the worst moment, against an agency's own keys (PROTOCOL.md G15, G16, K21)."""

import contextlib
import json
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent import taking_up
from agent.client import Relay
from agent.rotation import DAY
from agent.unlocking import read_keys
from schemas import keyfile
from schemas.canonical import b64, unb64
from schemas.errors import Refusal
from schemas.keys import OpeningKey, SigningKey, Use
from tests.agent.agencies import eventually, folder_of, open_agent, put, quiet, running
from tests.agent.test_directory_log import chain_of, state
from tests.simulated_world import PASSPHRASE, World


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


def stranger(use):
    seed = secrets.token_bytes(32)
    return OpeningKey(seed) if use is Use.PREKEY else SigningKey(seed)


# --- a thief's key that is to end later


@pytest.mark.parametrize("use", [Use.PREKEY, Use.MSG])
async def test_a_strangers_key_stops_sending_also_when_its_end_is_already_named(world, use):
    """Else a thief publishes a key and ends it, in the same breath, at the second before it would be over anyway."""
    chain, now, key = chain_of(world, "Peacock"), world.now, stranger(use)
    chain.op = world.parties["Peacock"].member.agent.renew
    async with world.relay(), quiet(world, "Peacock") as agent:
        said = [
            chain.add_key(use, key.public, now, now + 14 * DAY, now),
            chain.revoke(key.kid, "rotated", now + 14 * DAY - 1, now),
        ]
        await state(world, "Peacock", *said)
        await agent.book.refresh()
        assert agent.book.strangers == (key.kid,)
        assert agent.trust.hindrance == "OWN_STATEMENT"


# --- a request key that was ended while the agent slept


@pytest.mark.parametrize("reason", ["compromised", "rotated"])
async def test_an_agent_whose_request_key_was_ended_learns_it_and_makes_another(world, reason):
    chain, now = chain_of(world, "Peacock"), world.now
    async with world.relay(), world.session() as http, quiet(world, "Peacock") as agent:
        old = agent.rotation._ring.auth.kid
        await world.post_statements(http, "Peacock", ("directory", chain.revoke(old, reason, now, now)))
        world.clock.now += 5
        for _ in range(3):
            try:
                await agent.book.refresh()
                await agent.rotation.round()
                break
            except Refusal:
                continue
        assert agent.rotation._ring.auth.kid != old
        await agent.inbox.collect(0)


async def test_a_running_agent_whose_keys_were_all_ended_is_back_at_once(world):
    chain, now = chain_of(world, "Peacock"), world.now
    fast = running(world, "Peacock", wait=1, directory_every=0.2)
    async with world.relay(), world.session() as http, fast as caller:
        await eventually(lambda: reached(caller))
        mine = world.directory.agencies[chain.agency]
        uses = (Use.AUTH, Use.MSG, Use.PREKEY, Use.CONSENT, Use.WITNESS)
        kids = [key.kid for key in mine.keys.values() if key.use in uses]
        said = [("directory", chain.revoke(kid, "lost", now, now)) for kid in kids]
        await world.post_statements(http, "Peacock", *said)
        ring = caller.agent.rotation._ring

        async def anew():
            used = {ring.key(use).kid for use in uses if use is not Use.PREKEY}
            return not used & set(kids) and any(p.key.kid not in kids for p in ring.prekeys)

        await eventually(anew)
        await eventually(lambda: reached(caller))


async def reached(caller):
    return not (await caller.ok("GET", "/v1/status"))["relay"]["code"]


# --- spoiled clocks


async def test_a_clock_that_runs_weeks_ahead_erases_nothing(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        home = folder_of(world, "Peacock")
        await agent.take_up(home / "agent.fpk", PASSPHRASE, read_keys(home / "agent.fpk", PASSPHRASE))
        held = {p.key.kid for p in agent.rotation._ring.prekeys}
        assert held
        before, world.clock.now = world.clock.now, world.clock.now + 40 * DAY
        with pytest.raises(Refusal):
            await agent.rotation.round()
        world.clock.now = before
        assert {p.key.kid for p in agent.rotation._ring.prekeys} == held


async def test_a_first_start_with_a_clock_weeks_ahead_loses_no_key(world):
    home = folder_of(world, "Peacock")
    keys = read_keys(home / "agent.fpk", PASSPHRASE)
    before, world.clock.now = world.clock.now, world.clock.now + 40 * DAY
    agent = await open_agent(world, "Peacock")
    try:
        await agent.take_up(home / "agent.fpk", PASSPHRASE, keys)
    finally:
        await agent.close()
    world.clock.now = before
    agent = await open_agent(world, "Peacock")
    try:
        assert {p.key.kid for p in keys.prekeys} <= {p.key.kid for p in agent.rotation._ring.prekeys}
    finally:
        await agent.close()


async def test_an_agent_renews_although_its_administrators_clock_is_minutes_ahead(world):
    chain, ts = chain_of(world, "Peacock"), world.now + 290
    async with world.relay(), quiet(world, "Peacock") as agent:
        gone = chain.revoke(
            world.parties["Peacock"].member.agent.prekeys[-1].key.kid, "rotated", ts + DAY, ts
        )
        await state(world, "Peacock", gone)
        done = await agent.rotation.rotate([Use.AUTH, Use.PREKEY], dry_run=False)
        assert [row["use"] for row in done["publish"]] == ["auth", "prekey"]


async def test_a_relay_that_was_days_ahead_for_an_hour_makes_no_view_last_for_days(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        before = world.clock.now
        world.clock.now += 10 * DAY  # both machines, by the same wrong time server
        await agent.book.refresh()
        world.clock.now = before + 60
        await agent.book.refresh()
        assert agent.book.fresh == before + 60


# --- a witness key that was replaced


class Counted:
    def __init__(self, relay):
        self.count, self._post = 0, relay.post_cosignature
        relay.post_cosignature = self

    async def __call__(self, *args):
        self.count += 1
        return await self._post(*args)


async def test_a_witness_knows_its_own_lines_after_its_key_was_replaced(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.rotation.rotate([Use.WITNESS], dry_run=False)
        posted = Counted(agent.relay)
        for _ in range(4):
            world.clock.now += 2
            await agent.watch.round()
        assert posted.count <= 2  # one for each of the two logs


# --- kills while key files change


class Killed(BaseException):
    """Nothing after this instant happened."""


def killing(monkeypatch, at):
    """From now on the program ends before its `at`th change of a file; gives what counts them."""
    left = [at]

    def stepping(work):
        def stepped(*given, **named):
            left[0] -= 1
            if left[0] <= 0:
                raise Killed
            return work(*given, **named)

        return stepped

    for owner, name in ((os, "fsync"), (Path, "rename"), (Path, "unlink"), (taking_up, "_overwrite")):
        monkeypatch.setattr(owner, name, stepping(getattr(owner, name)))
    return left


async def test_a_kill_at_any_change_of_the_key_files_loses_no_key_and_keeps_no_agent_from_starting(
    world, monkeypatch
):
    home = folder_of(world, "Peacock")
    first, given = read_keys(home / "agent.fpk", PASSPHRASE), set()
    for at in range(1, 40):
        key = SigningKey(secrets.token_bytes(32))
        said = {"agency": world.parties["Peacock"].id, "renew": b64(key.seed())}
        sealed = keyfile.lock(said, "renew", PASSPHRASE, keyfile.QUICK, secrets.token_bytes)
        put(home / f"renew-{at}.fpk", sealed)
        (home / "agent.fpk").unlink()
        put(
            home / "agent.fpk",
            keyfile.lock(first.to_json(), first.HOLDS, PASSPHRASE, keyfile.QUICK, secrets.token_bytes),
        )
        given.add(key.kid)
        agent = await open_agent(world, "Peacock")
        try:
            with monkeypatch.context() as patched:
                left = killing(patched, at)
                with contextlib.suppress(Killed):
                    await agent.take_up(home / "agent.fpk", PASSPHRASE, first)
        finally:
            await agent.close()
        agent = await open_agent(world, "Peacock")
        try:
            await agent.take_up(home / "agent.fpk", PASSPHRASE, read_keys(home / "agent.fpk", PASSPHRASE))
            assert given | {p.key.kid for p in first.prekeys} <= agent.rotation._ring.kids, at
        finally:
            await agent.close()
        assert read_keys(home / "agent.fpk", PASSPHRASE).prekeys == ()
        assert not [file.name for file in home.iterdir() if "renew" in file.name or "part" in file.suffix], at
        if left[0] > 0:
            break
    assert at > 6


# --- a key that somebody else took first


class Thieving(Relay):
    """A relay's operator and a member together: what an agent is about to publish stands in the other's chain first."""

    take: Callable[[bytes], Awaitable[None]] | None = None

    async def post_statements(self, request):
        if self.take is not None:
            take, self.take = self.take, None
            await take(unb64(json.loads(request.statements[0].signed.t)["body"]["pub"]))
        return await super().post_statements(request)


async def test_a_key_that_another_agency_published_first_is_drawn_anew(world):
    async with world.relay(), quiet(world, "Peacock", Thieving) as agent:

        async def take(public):
            chain, now = chain_of(world, "IDVAS"), int(world.clock())
            await state(world, "IDVAS", chain.add_key(Use.AUTH, public, now, now + DAY, now))

        world.clock.now += 25 * DAY
        await agent.book.refresh()
        agent.relay.take = take
        with pytest.raises(Refusal, match="KEY"):
            await agent.rotation.round()
        await agent.rotation.round()
        assert agent.rotation.due() == []
        (own,) = agent.rotation._ring.own
        assert agent.rotation._ring.auth.kid == own.kid
