"""fenpost-keys check: looks at key files, the directory, the clock and what waits, and says what needs somebody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keys_tooling.console import World, report
from keys_tooling.options import FILE, JSON, MEMBER
from schemas.errors import Refusal

if TYPE_CHECKING:
    from keys_tooling.checking import Seen
    from keys_tooling.directory_reading import Source
    from keys_tooling.finding import Check
    from keys_tooling.held_keys import HeldKeys
    from schemas import api
    from schemas.checkpoint import Checkpoint
    from schemas.partnership import Partnership

NOT_KNOWN = frozenset({"UNAUTHENTICATED", "UNKNOWN_KEY", "REVOKED_KEY", "STALE_KEY", "SIGNATURE"})


@click.command("check")
@MEMBER
@click.option(
    "--passphrase-file",
    "passphrase_files",
    type=FILE,
    multiple=True,
    help="A passphrase that opens key files. Repeatable. Asked for otherwise.",
)
@JSON
@click.pass_obj
def check(world: World, folder: Path, passphrase_files: tuple[Path, ...], as_json: bool) -> None:
    """Does everything fit? Key files, directory, clock, dates, people, and what waits. Exit 1 when somebody must act.

    \b
    Example:
      fenpost-keys check --dir peacock
    """
    from keys_tooling.passphrases import known_passphrase

    passphrases = tuple(known_passphrase(file, "the key files") for file in passphrase_files or (None,))
    checks, rows = _examined(world, folder, passphrases)
    good = all(one.ok for one in checks)
    lines = [f"{'ok  ' if one.ok else 'LOOK'}  {one.say}" for one in checks]
    lines += ["", *map(_row, rows)] if rows else []
    lines += ["", "Everything fits." if good else "Somebody must see to what is marked LOOK."]
    facts = {"checks": [one.to_json() for one in checks], "keys": rows, "ok": good}
    report(facts, "\n".join(lines), as_json=as_json)
    if not good:
        click.get_current_context().exit(1)


def _examined(
    world: World, folder: Path, passphrases: tuple[bytes, ...]
) -> tuple[list[Check], list[dict[str, Any]]]:
    import asyncio

    from keys_tooling.checking import judged, listed
    from keys_tooling.finding import Check
    from keys_tooling.held_keys import held_in
    from keys_tooling.keyfiles import read_public
    from keys_tooling.partnership import PARTNERSHIP
    from schemas.partnership import FILE_LIMIT, Partnership

    checks = _custody(folder)
    try:
        partnership = Partnership.parse(read_public(folder / PARTNERSHIP, FILE_LIMIT))
        held = held_in(folder, passphrases)
        if not held.opened:
            raise Refusal(
                "KEYFILE", "No key file here opens with that passphrase. Check the folder and passphrase."
            )
        if held.agency is None or not held.requests:
            raise Refusal(
                "FILE", "There is no admin.fpk or no agent.fpk here, so nothing can be asked of the relay."
            )
        seen = asyncio.run(_seen(world, folder, partnership, held))
    except Refusal as refusal:
        return [*checks, Check("relay", False, f"{refusal.code}: {refusal.say}")], []
    own = seen.reading.view.agencies.get(held.agency)
    return [*checks, *judged(seen, held.agency)], [] if own is None else listed(own, held, seen.now)


def _custody(folder: Path) -> list[Check]:
    import resource

    from keys_tooling.finding import Check
    from keys_tooling.held_keys import exposed

    open_files = exposed(folder)
    say = f"Others may read {', '.join(open_files)}, or it belongs to somebody else. If they may have, make new keys."
    files = Check("files", not open_files, say if open_files else "Secret files are their owner's alone.")
    none = resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    core = Check(
        "memory", none, "No core file is written." if none else "A core file could be written. Report this."
    )
    return [files, core]


async def _seen(world: World, folder: Path, partnership: Partnership, held: HeldKeys) -> Seen:
    from agent.client import Relay
    from keys_tooling.checking import Seen
    from keys_tooling.directory_reading import read_directory
    from keys_tooling.line import connected
    from keys_tooling.signed_here import recorded

    charter, believed = partnership.charter, _believed(folder, partnership)
    last: Refusal | None = None
    for key in held.requests:
        async with connected(Relay, charter, key, world) as relay:
            source = _Heard(relay)
            try:
                reading = await read_directory(
                    source, partnership.keys_log_key, charter.oversight, world.now(), believed=believed
                )
            except Refusal as refusal:
                if refusal.code not in NOT_KNOWN:
                    raise
                last = refusal
                continue
        running, status = _agent(folder)
        return Seen(held, reading, world.now(), source.said, running, status, recorded(folder))
    raise last or Refusal("UNKNOWN_KEY")


def _believed(folder: Path, partnership: Partnership) -> Checkpoint | None:
    """The newest directory that this folder saw before: what the relay shows now must continue it."""
    from keys_tooling.keyfiles import read_public
    from keys_tooling.own_side import SEEN
    from schemas.checkpoint import NOTE_LIMIT, open_checkpoint

    if not (folder / SEEN).exists():
        return None
    try:
        return open_checkpoint(read_public(folder / SEEN, NOTE_LIMIT).decode(), partnership.keys_log_key)
    except UnicodeDecodeError as error:
        raise Refusal("CHECKPOINT") from error


class _Heard:
    """A source of directory pages that remembers the relay's time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.said = 0

    async def directory(self, after: int) -> api.DirectoryPage:
        import json

        page = await self._source.directory(after)
        said = json.loads(page.fresh.t)  # verified by whoever reads the page
        self.said = int(said["ts"])
        return page


def _agent(folder: Path) -> tuple[dict[str, bool] | None, dict[str, Any]]:
    """What the folder's running agent says of its keys, and of what waits; None when none answers."""
    from keys_tooling.own_agent import OwnAgent

    agent = OwnAgent(folder)
    try:
        keys = {row["kid"]: bool(row.get("held")) for row in agent.keys()}  # noqa: SIM118 - not a dictionary
        return keys, agent.status()
    except Refusal:
        return None, {}


def _row(row: dict[str, Any]) -> str:
    from schemas.worktime import london

    where = row["held"] or "not in these files"
    name = f"{row['use']} {row['person'] or ''}".strip()
    return f"{name:<18} {row['age_days']:>4} days old, ends {london(row['ends']):%d %b %Y}  {where}"
