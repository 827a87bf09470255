"""Witnesses outside the partnership, by C2SP tlog-witness: asked by the relay, demanded by agents (L25)."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from schemas import api
from schemas.checkpoint import Checkpoint, sign_checkpoint
from schemas.errors import Refusal
from schemas.outside import Outside, OutsideWitness
from schemas.witness import QUORUM_AGE, open_published, publish
from tests.agent.agencies import quiet
from tests.broker.test_keys_log import add_keys
from tests.broker.test_witnesses import cosigned, grow, page
from tests.simulated_world import World
from tests.tools.tlog_witness import TlogWitness

pytestmark = pytest.mark.filterwarnings("ignore:shutdown_timeout:DeprecationWarning")
ROUND, SOON = 30, 0.05


def placed(tmp_path: Path, *mldsa: bool) -> tuple[World, list[TlogWitness]]:
    """A world whose charter names these witnesses, more than half of them needed."""
    found = [TlogWitness(f"witness.example/{n}", "", lambda: 0.0, mldsa=kind) for n, kind in enumerate(mldsa)]
    listed = tuple(OutsideWitness(key=one.vkey, url=one.url) for one in found)
    world = World.found(tmp_path, "Peacock", "IDVAS", outside=listed)
    for one in found:
        charter = world.founded.partnership.charter
        one.log, one.keys, one.clock = charter.log, charter.keys_log, world.clock
    return world, found


async def newer(world: World, http: Any, count: int) -> None:
    """So many entries more, and it is time for another head."""
    await grow(world, http, count)
    world.clock.advance(ROUND)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.02)


def seen(world: World, text: str) -> dict[str, int]:
    partnership = world.founded.partnership
    published = open_published(text, partnership.log_key, partnership.log_mldsa_key)
    return partnership.outside.seen(published, world.now)


@pytest.mark.parametrize("mldsa", [False, True])
async def test_a_witness_cosigns_head_after_head_and_everybody_may_see_it(tmp_path: Path, mldsa: bool):
    world, (witness,) = placed(tmp_path, mldsa)
    async with witness.running(), world.relay(head_seconds=SOON) as relay, world.session() as http:
        for size in (3, 4, 9):
            await newer(world, http, size - relay.relay.log.size)
            await until(
                lambda size=size: witness.head[0] == size and len(relay.relay.board.asked.outside) == 1
            )
            assert seen(world, (await page(world, http)).asked) == {witness.name: world.now}
            async with http.get(api.CHECKPOINT) as response:
                assert seen(world, await response.text()) == {witness.name: world.now}
    assert {status for status, _ in witness.asked} <= {200, 409}


async def test_a_witness_cosigns_both_logs_each_from_where_it_stood(tmp_path: Path):
    world, (witness,) = placed(tmp_path, True)
    partnership = world.founded.partnership
    async with witness.running(), world.relay(head_seconds=SOON) as relay, world.session() as http:
        await until(lambda: witness.keys_head[0] == world.directory.size)
        await add_keys(world, http, 2)
        world.clock.advance(ROUND)
        await until(lambda: witness.keys_head == (world.directory.size, world.directory.frontier.root()))
        board = relay.relay.keys_board
        await until(lambda: board.asked.size == world.directory.size and bool(board.asked.outside))
        async with http.get(api.KEYS_CHECKPOINT) as response:
            head = open_published(
                await response.text(), partnership.keys_log_key, partnership.keys_log_mldsa_key
            )
        assert partnership.outside.seen(head, world.now) == {witness.name: world.now}
        await until(lambda: witness.head[0] == relay.relay.log.size)
    assert {status for status, _ in witness.asked_keys} <= {200, 409}


async def test_members_lines_never_reach_a_witness_or_a_stranger(tmp_path: Path):
    world, (witness,) = placed(tmp_path, False)
    async with witness.running(), world.relay(head_seconds=SOON) as relay, world.session() as http:
        await newer(world, http, 2)
        await until(lambda: witness.head[0] == 2)
        await cosigned(world, http, "Peacock", "IDVAS")
        assert len(relay.relay.board.asked.lines) == 2
        async with http.get(api.CHECKPOINT) as response:
            text = await response.text()
        assert not [party.id for party in world.parties.values() if party.id in text]


async def test_a_witness_that_knows_an_older_size_is_asked_again_with_that(tmp_path: Path):
    world, (witness,) = placed(tmp_path, False)
    async with witness.running(), world.session() as http:
        async with world.relay(head_seconds=SOON):
            await newer(world, http, 5)
            await until(lambda: witness.head[0] == 5)
        async with world.relay(head_seconds=SOON):  # it has forgotten where the witness stood
            await newer(world, http, 3)
            await until(lambda: witness.head[0] == 8)
    assert (409, b"5\n") in witness.asked


async def test_a_head_is_held_only_with_members_and_enough_outside_witnesses(tmp_path: Path):
    world, witnesses = placed(tmp_path, False, True, False)
    async with world.relay(head_seconds=SOON) as relay, world.session() as http:
        board = relay.relay.board
        await newer(world, http, 1)
        await until(lambda: board.asked.size == 1)
        await cosigned(world, http, "Peacock", "IDVAS")
        assert board.held is None
        async with witnesses[0].running():
            await until(lambda: len(board.asked.outside) == 1)
            assert board.held is None
            async with witnesses[1].running():
                await until(lambda: len(board.asked.outside) == 2)
                assert board.held is board.asked
    async with world.relay() as relay:
        assert relay.relay.board.held.text() == board.held.text()  # kept over a restart
        assert len(relay.relay.board.held.outside) == 2


async def test_without_outside_witnesses_an_agent_warns_for_a_day_and_then_stops(tmp_path: Path):
    world, (witness,) = placed(tmp_path, False)
    async with (
        world.relay(head_seconds=SOON) as relay,
        world.session() as http,
        quiet(world, "Peacock") as agent,
    ):
        async with witness.running():
            await newer(world, http, 1)
            await until(lambda: witness.head[0] > 0 and bool(relay.relay.board.asked.outside))
            await agent.watch.round()
            assert agent.watch.shown()["state"] == "agreed"
        for seconds, state in ((3 * 3600, "late"), (QUORUM_AGE, "stopped")):
            world.clock.advance(seconds)
            await grow(world, http, 1)
            await agent.book.refresh()
            await agent.watch.round()  # the agent's own line is there; the witness's is not
            assert agent.watch.shown()["state"] == state
        assert agent.trust.hindrance == "QUORUM"
        async with witness.running():
            await until(lambda: bool(relay.relay.board.asked.outside))
            await agent.watch.round()
        assert (agent.watch.shown()["state"], agent.trust.hindrance) == ("agreed", None)


async def test_answers_that_are_no_cosignature_count_for_nothing_and_stop_nothing(tmp_path: Path):
    world, (witness,) = placed(tmp_path, False)
    stranger = TlogWitness(witness.name, witness.log, world.clock)
    root = hashlib.sha256(b"").digest()
    text = Checkpoint("relay.test/log", 0, root).text()
    lies = (
        b"", b"\xff\xfe", b"x" * 100_000, b"\xe2\x80\x94 a b\n", stranger.cosign(text, 0, root).encode(),
        witness.cosign(text.replace("\n0\n", "\n1\n"), 1, root).encode(),
    )  # fmt: skip
    witness.broken = lies[0]  # before the relay is there, which asks at once
    async with witness.running(), world.relay(head_seconds=SOON) as relay, world.session() as http:
        for lie in lies:
            witness.broken = lie
            before = len(witness.asked)
            await until(lambda before=before: len(witness.asked) > before + 1)
            assert relay.relay.board.asked.outside == {}
        witness.broken = None
        await newer(world, http, 1)
        await until(lambda: bool(relay.relay.board.asked.outside))


async def test_a_witness_that_hangs_holds_up_neither_messages_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("broker.outside.PATIENCE", 600.0)
    world, (witness,) = placed(tmp_path, False)
    gone = asyncio.Event()

    async def hang(_request: Any) -> web.Response:
        await gone.wait()
        return web.Response()

    witness.add_checkpoint = hang  # type: ignore[method-assign,assignment]
    async with witness.running():
        async with asyncio.timeout(60):
            async with world.relay(head_seconds=SOON), world.session() as http:
                await grow(world, http, 3)
        gone.set()


# --- what the charter may name


def vkey(name: str, kind: bytes, public: bytes) -> str:
    digest = hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4].hex()
    return f"{name}+{digest}+{base64.b64encode(kind + public).decode()}"


def test_a_list_that_does_not_hold_together_is_refused():
    one, two = secrets.token_bytes(32), secrets.token_bytes(32)
    url = "https://witness.example/"
    good = OutsideWitness(key=vkey("a.example/w", b"\x04", one), url=url)
    assert Outside.of((good,), 1, "relay.test/log").urls == ("https://witness.example",)
    for keys, needed, code in (
        ([vkey("a.example/w", b"\x04", one)], 2, "SETTINGS"),
        ([vkey("a.example/w", b"\x04", one), vkey("a.example/w", b"\x04", two)], 1, "SETTINGS"),
        ([vkey("a.example/w", b"\x04", one), vkey("b.example/w", b"\x04", one)], 1, "SETTINGS"),
        ([vkey("relay.test/log", b"\x04", one)], 1, "SETTINGS"),
        ([vkey("relay.test/log/keys", b"\x04", one)], 1, "SETTINGS"),
        ([vkey("a.example/w", b"\x01", one)], 1, "CHECKPOINT"),
        (["nothing"], 1, "CHECKPOINT"),
    ):
        with pytest.raises(Refusal, match=code):
            Outside.of([OutsideWitness(key=key, url=url) for key in keys], needed, "relay.test/log")


@pytest.mark.parametrize(
    "url", ["http://witness.example/", "ftp://x/", "https://", "file:///etc", "http://127.0.0.1.evil/"]
)
def test_plain_http_goes_to_this_machine_only(url: str):
    with pytest.raises(ValueError, match="url"):
        OutsideWitness(key="x", url=url)


def test_a_line_that_claims_a_witness_and_does_not_verify_spoils_the_head():
    world_key = TlogWitness("w.example/1", "", lambda: 5.0)
    listed = Outside.of((OutsideWitness(key=world_key.vkey, url=world_key.url),), 1, "o/log")
    from schemas.keys import SigningKey
    from schemas.mldsa import MldsaKey
    from schemas.witness import LogKey, MldsaLogKey

    log, mldsa = SigningKey(bytes(32)), MldsaKey(bytes(32))
    checkpoint = Checkpoint("o/log", 3, secrets.token_bytes(32))
    note = publish(sign_checkpoint(checkpoint, log), checkpoint, mldsa)
    keys = LogKey("o/log", log.public), MldsaLogKey("o/log", mldsa.public)
    good = world_key.cosign(checkpoint.text(), 3, checkpoint.root)
    assert listed.seen(open_published(note + good, *keys), 5) == {"w.example/1": 5}
    assert (
        listed.seen(open_published(note + good, *keys), -400) == {}
    )  # a time to come counts for nothing yet
    other = world_key.cosign(Checkpoint("o/log", 4, checkpoint.root).text(), 4, checkpoint.root)
    with pytest.raises(Refusal, match="CHECKPOINT"):
        listed.seen(open_published(note + other, *keys), 5)
