"""`fenpost-broker`: runs the relay. The only part of it that looks at the clock, the environment and signals."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import click
import uvloop

from broker.memory import seal_memory
from schemas.errors import Refusal

PILE = 20_000
"""Objects that were made and not freed since cycles were collected last; some megabytes."""
SWITCH = 0.0005
"""Seconds that a thread which comes back from the disk waits at most for the interpreter, when another has it."""


_config = click.option(
    "--config", "path", type=click.Path(path_type=Path), required=True, help="The relay's settings file."
)


@click.group()
def main() -> None:
    """The relay: carries sealed messages between agencies, gates them by consent, and records every decision.

    Example: fenpost-broker run --config relay.toml
    """
    seal_memory()
    os.umask(0o077)


@main.command()
@_config
def run(path: Path) -> None:
    """Run the relay until it is told to stop.

    Example: fenpost-broker run --config /etc/fenpost/relay.toml
    """
    # structlog loads rich, if there is one, for a console that a service does not have: 2 MB in each idle relay.
    sys.modules["rich"] = None  # type: ignore[assignment]
    from broker import logs
    from broker.settings import load

    try:
        settings = load(path, os.environ)
        logs.configure(settings.log_level)
        sys.setswitchinterval(SWITCH)
        uvloop.run(_run(path))
    except Refusal as refusal:
        _refused(refusal)
    except OSError as error:
        click.echo(f"The relay cannot listen there or use its store ({type(error).__name__}).", err=True)
        sys.exit(1)


@main.group()
def db() -> None:
    """The relay's store."""


@db.command()
@_config
def upgrade(path: Path) -> None:
    """Bring the store's tables to what this program knows; `run` does it too.

    Example: fenpost-broker db upgrade --config /etc/fenpost/relay.toml
    """
    from broker.migrations import HEAD
    from broker.settings import load
    from broker.store import Store

    async def work() -> str:
        store = Store(load(path, os.environ).database)
        try:
            return await store.open()
        finally:
            await store.close()

    try:
        found = asyncio.run(work())
    except Refusal as refusal:
        _refused(refusal)
    else:
        click.echo(f"{found} -> {HEAD}")


@main.group()
def log() -> None:
    """The stored audit log of a relay that stands still: look, give back what is missing, accept a loss."""


@log.command()
@_config
def check(path: Path) -> None:
    """Hash every stored entry anew and hold the log against the anchor; nothing is changed.

    Example: fenpost-broker log check --config /etc/fenpost/relay.toml
    """
    from broker import repairs
    from broker.settings import load

    _repaired(lambda: repairs.check(load(path, os.environ)))


@log.command()
@_config
@click.option(
    "--from", "mirror", type=click.Path(path_type=Path), required=True, help="An IG officer's mirror.db."
)
def refill(path: Path, mirror: Path) -> None:
    """Give a restored log the entries that it lacks, out of an IG officer's mirror; they must hash to a signed head.

    Example: fenpost-broker log refill --config /etc/fenpost/relay.toml --from mirror.db
    """
    from broker import repairs
    from broker.settings import load

    _repaired(lambda: repairs.refilled(load(path, os.environ), mirror))


@log.command("accept-loss")
@_config
@click.option(
    "--lost",
    required=True,
    help="How much is missing, as the refused start said: a number, or 'unknown' without an anchor.",
)
def accept_loss(path: Path, lost: str) -> None:
    """Go on without entries that nobody has any more. Every agency's officers are told, and agents notice.

    Example: fenpost-broker log accept-loss --config /etc/fenpost/relay.toml --lost 12
    """
    from broker import repairs
    from broker.settings import load

    _repaired(lambda: repairs.loss_accepted(load(path, os.environ), lost, int(time.time())))


def _repaired(work: Callable[[], Coroutine[None, None, str]]) -> None:
    try:
        click.echo(asyncio.run(work()))
    except Refusal as refusal:
        _refused(refusal)
    except OSError as error:
        click.echo(f"The store or the anchor cannot be used ({type(error).__name__}).", err=True)
        sys.exit(1)


async def _run(path: Path) -> None:
    from broker import logs
    from broker.app import build
    from broker.settings import load

    settings = load(path, os.environ)
    running = await build(settings, time.time, secrets.token_bytes)
    collecting = asyncio.create_task(_collect())
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    (settings.folder / "relay.port").write_text(f"{running.port}\n")
    click.echo(f"The relay listens on port {running.port}.", err=True)
    await stop.wait()
    collecting.cancel()
    logs.get().info("stopping")
    await running.close()


async def _collect() -> None:
    """Collect cycles by the clock, and sooner where objects pile up. Left to itself the collector looks at everything
    again every few messages, which costs a fifth of the relay's time; hardly anything of a message is in a cycle."""
    gc.collect()
    gc.freeze()
    gc.disable()
    seconds = 0
    while True:
        await asyncio.sleep(1)
        seconds += 1
        if seconds % 60 == 0:
            gc.collect()
        elif gc.get_count()[0] > PILE:
            gc.collect(0)


def _refused(refusal: Refusal) -> None:
    click.echo(f"{refusal.say} ({refusal.code})", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
