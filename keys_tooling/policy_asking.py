"""What the policy commands share: asking the relay, reading files and moments, and how an entry is told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from keys_tooling.console import World, report

if TYPE_CHECKING:
    from agent.client import Relay
    from keys_tooling.policy import Member
    from schemas.canonical import Json
    from schemas.directory import Directory
    from schemas.policing import Entry, SignedPolicy
    from schemas.policy import Policy

T = TypeVar("T")


def agreed(yes: bool) -> bool:
    """Whether the person at the terminal says go on; --yes says it for her."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask: read the plan above, then give --yes.")
    return click.confirm("Put it in force", err=True)


def plan_text(plan: Entry) -> str:
    """What applying will put on record, for eyes."""
    from keys_tooling.policy_words import moment

    return (
        f"Version        {plan.version}, from {moment(plan.effective)}\n"
        f"Signed by      {', '.join(plan.signers)}\n"
        f"Digest         {aloud(plan.digest)}"
    )


def asking(
    world: World,
    folder: Path,
    passphrase_file: Path | None,
    ask: Callable[[Relay, Member], Awaitable[T]],
) -> T:
    """What `ask` learns of the relay, as the agency whose folder this is."""
    from agent.client import Relay
    from keys_tooling.passphrases import known_passphrase
    from keys_tooling.policy import Member

    member = Member.open(folder, known_passphrase(passphrase_file, "this folder's agent.fpk"))
    charter = member.partnership.charter

    async def asked() -> T:
        async with Relay(charter.relay, charter.authority, member.auth, world.clock, world.draw) as line:
            return await ask(line, member)

    return asyncio.run(asked())


async def view_of(line: Relay, member: Member, world: World) -> Directory:
    """The directory as the relay shows it, checked."""
    from keys_tooling.policy import read_view

    return await read_view(line, member, world.now())


async def in_force(line: Relay, member: Member, world: World) -> tuple[Directory, Policy | None]:
    """The directory, and the policy in force now."""
    from keys_tooling.policy import text_of

    view = await view_of(line, member, world)
    entry = view.policies.in_force(world.now())
    return view, None if entry is None else await text_of(line, entry)


def read_file(file: Path) -> SignedPolicy:
    """A draft or a signed policy. Raises as keys_tooling.policy.read_draft."""
    from keys_tooling.keyfiles import read_public
    from keys_tooling.policy import read_draft
    from schemas.policing import FILE_LIMIT

    return read_draft(read_public(file, FILE_LIMIT))


def write_draft(
    world: World,
    folder: Path,
    source: str,
    effective: str | None,
    later: int,
    out: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Write the next version's draft from a version on record or a file; without `effective` it begins `later`."""
    from keys_tooling import policy as work
    from keys_tooling.policy_words import moment
    from schemas.policy import Policy

    first = world.now() + later if effective is None else read_moment(effective, world.now())

    async def ask(line: Relay, member: Member) -> tuple[int, Policy]:
        view = await view_of(line, member, world)
        entries = view.policies.entries
        following = (entries[-1].version if entries else 0) + 1
        if not source.isascii() or not source.isdigit():
            return following, Policy.parse(read_file(Path(source)).text)
        return following, await work.text_of(line, view.policies.version(int(source)))

    version, found = asking(world, folder, passphrase_file, ask)
    work.write_new(out, work.draft(found, version, first))
    facts: dict[str, Json] = {"effective": first, "from": source, "out": str(out), "version": version}
    text = (
        f"Version        {version}, from {moment(first)}\n"
        f"Draft          {out}\n\n"
        f"Edit it, then:\n  fenpost-keys policy check {out} --dir {folder}"
    )
    report(facts, text, as_json=as_json)


def read_moment(text: str, now: int) -> int:
    """Unix seconds of "now" or of a moment that names its zone."""
    if text == "now":
        return now
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise click.UsageError("--effective is now, or a moment with its zone, such as 2027-01-04T09:00Z.")
    return int(found.timestamp())


def compared(old: Policy | None, said: tuple[str, ...]) -> str:
    """The line above the sentences of keys_tooling.policy_words.changes."""
    if old is None:
        return "There is no policy in force to compare it with."
    if not said:
        return f"It decides as version {old.version} does, which is in force."
    return f"Against version {old.version}, which is in force:"


def entry_facts(entry: Entry) -> dict[str, Json]:
    """A policy on record, for programs."""
    return {
        "digest": entry.digest,
        "effective": entry.effective,
        "recorded": entry.ts,
        "signers": list(entry.signers),
        "version": entry.version,
    }


def entry_line(entry: Entry) -> str:
    """A policy on record, for eyes."""
    from keys_tooling.policy_words import moment

    return f"version {entry.version}, from {moment(entry.effective)}, digest {aloud(entry.digest)}"


def aloud(digest: str) -> str:
    """A digest in groups, to be read aloud."""
    from schemas.policing import spoken

    return " ".join(spoken(digest))
