"""A partnership of three agencies, its relay in this process, and a client."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop

from broker import logs
from tests.broker.leads import People
from tests.simulated_world import World


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop that a relay runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def quiet_logs():
    logs.configure("error")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.again(tmp_path, "Peacock", "IDVAS", "Harbour", sectors={"IDVAS": "health"})


@pytest.fixture
def people(world: World) -> People:
    """Authors and leads with countersigned keys."""
    return People.of(world)


@pytest.fixture
async def relay(world: World) -> AsyncIterator[Any]:
    async with world.relay() as running:
        yield running


@pytest.fixture
async def http(world: World, relay: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with world.session() as session:
        yield session
