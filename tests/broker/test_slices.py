"""Hashes that are over are forgotten within a round, whatever they begin with; nothing else is."""

import itertools
import sqlite3
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.slices import ROUND, SLICES, TOGETHER, due, minute_of
from broker.statements import store
from broker.tables import seen
from tests.simulated_world import World

EVERY = 170
"""Seconds between two looks of the relay in these tests; it looks every second else."""
LATE = EVERY + 2 * 60
ENDS = (bytes(31), b"\x7f" * 31, b"\xff" * 31)
FIRST = [bytes([n]) for n in range(SLICES)]


async def remember(relay: Any, keys: list[bytes], until: int) -> None:
    rows = [{"key": key, "idx": None, "until": until} for key in keys]
    async with relay.store.turn() as connection:
        await connection.run_sync(lambda c: store(c, seen, rows))


def remembered(world: World) -> set[bytes]:
    with sqlite3.connect(world.folder / "relay" / "relay.db") as db:
        return {key for (key,) in db.execute("SELECT key FROM seen")}


def turns(relay: Any) -> float:
    return relay.relay.metrics.registry.get_sample_value("fenpost_turn_items_count")


async def live(world: World, relay: Any, seconds: int) -> None:
    """So many seconds go by, and the relay looks now and then."""
    left = seconds
    while left:
        step = min(left, EVERY)
        world.clock.advance(step)
        await relay.sweeper.sweep()
        left -= step


async def test_what_is_over_goes_within_a_round_and_nothing_before_it(world: World):
    kept = [first + b"\x01" * 31 for first in FIRST]
    over = [first + end for first, end in itertools.product(FIRST, ENDS)]
    async with world.relay(sweep_seconds=3600.0) as relay:
        world.clock.advance(41)
        await remember(relay, kept, world.now + ROUND + LATE)
        await remember(relay, over, world.now)
        await live(world, relay, ROUND // 2)
        half = remembered(world)
        assert 0 < len(half & set(over)) < len(over)
        await live(world, relay, ROUND // 2 + LATE)
        assert remembered(world) == set(kept)
        world.clock.advance(ROUND)
        await relay.sweeper.sweep()
        assert remembered(world) == set()


async def test_a_relay_that_is_started_again_and_again_forgets_everything_too(world: World):
    """Each run shorter than a round by far, and up to fifty seconds between two."""
    keys = [first + b"\x01" * 31 for first in FIRST]
    async with world.relay(sweep_seconds=3600.0) as relay:
        await remember(relay, keys, world.now)
    begun = world.now
    for lives, pause in zip(itertools.cycle((499, 961, 667)), itertools.cycle((3, 50, 29, 11)), strict=False):
        if world.now > begun + ROUND + LATE:
            break
        async with world.relay(sweep_seconds=3600.0) as relay:
            await live(world, relay, lives)
        world.clock.advance(pause)
    assert remembered(world) == set()


async def test_after_a_long_sleep_a_whole_round_is_made_up_for_in_many_turns(world: World):
    async with world.relay(sweep_seconds=3600.0) as relay:
        await remember(relay, [first + b"\x01" * 31 for first in FIRST], world.now)
        before = turns(relay)
        world.clock.advance(30 * ROUND)
        await relay.sweeper.sweep()
        assert remembered(world) == set()
        assert turns(relay) >= before + SLICES / TOGETHER


async def test_a_clock_that_was_set_back_forgets_nothing_early_and_goes_on(world: World):
    old, new = ([first + bytes([n]) * 31 for first in FIRST] for n in (1, 2))
    async with world.relay(sweep_seconds=3600.0) as relay:
        await remember(relay, old, world.now - 3 * ROUND)
        await remember(relay, new, world.now)
        world.clock.advance(-2 * ROUND)
        await live(world, relay, ROUND + LATE)
        assert remembered(world) == set(new)
        await live(world, relay, 2 * ROUND)
        assert remembered(world) == set()


@given(st.integers(0, 2**33), st.integers(-(2**20), 2**20))
def test_every_minute_since_the_last_time_is_due_once_and_never_more_than_a_round(now: int, since: int):
    done = minute_of(now) - since
    turns = due(done, now)
    minutes = [minute for turn in turns for minute in turn.minutes]
    assert len(minutes) == max(0, min(since, SLICES))
    assert minutes == sorted(set(minutes))
    assert not minutes or (minutes[-1] == minute_of(now) and done < minutes[0])
    assert all(0 < len(turn.minutes) <= TOGETHER for turn in turns)
