"""What the policy commands share: asking the relay, reading files and moments, and how an entry is told."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from keys_tooling.console import REFUSED, World, report, tell

if TYPE_CHECKING:
    from agent.client import Relay
    from keys_tooling.change import Change
    from keys_tooling.policy import Member
    from schemas.canonical import Json
    from schemas.directory import Directory
    from schemas.policing import Entry, SignedPolicy
    from schemas.policy import Policy

T = TypeVar("T")


def plan_text(plan: Entry) -> str:
    """What applying will put on record, for eyes."""
    from keys_tooling.moments import moment

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
    from keys_tooling.line import asked
    from keys_tooling.passphrases import known_passphrase
    from keys_tooling.policy import Member

    member = Member.open(folder, known_passphrase(passphrase_file, "this folder's agent.fpk"))
    return asked(Relay, member.partnership.charter, member.auth, world, lambda line: ask(line, member))


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
    world: World, folder: Path, source: str, effective: str | None, later: int, out: Path, change: Change
) -> None:
    """Write the next version's draft from a version on record or a file; without `effective` it begins `later`."""
    from keys_tooling import policy as work
    from keys_tooling.moments import moment
    from keys_tooling.policy_words import changes
    from schemas.errors import Refusal
    from schemas.policy import Policy

    first = world.now() + later if effective is None else read_moment(effective, world.now())

    async def ask(line: Relay, member: Member) -> tuple[int, Policy, Policy | None]:
        view, now = await view_of(line, member, world), world.now()
        entry = view.policies.in_force(now)
        try:
            force = None if entry is None else await work.text_of(line, entry)
        except Refusal as refusal:
            if refusal.code != "NOT_FOUND":
                raise
            force = None  # a relay that lost it: the draft can be made all the same
        entries = view.policies.entries
        following = (entries[-1].version if entries else 0) + 1
        if not source.isascii() or not source.isdigit():
            return following, Policy.parse(read_file(Path(source)).text), force
        return following, await work.text_of(line, view.policies.version(int(source))), force

    version, found, force = asking(world, folder, change.passphrase_file, ask)
    before = work.drafted_before(out, found, version, first)
    first = before or first
    origin = f"version {source}" if source.isdigit() else source
    said = () if force is None else changes(force, found)
    tell(
        f"This will happen:\n  - {out} is written: version {version}, from {moment(first)}, with the text of {origin}\n"
        + "\n".join((compared(force, said), *(f"  - {sentence}" for sentence in said)))
    )
    facts: dict[str, Json] = {
        "changes": list(said), "effective": first, "from": source, "out": str(out), "version": version,
        "was_written": before is not None,
    }  # fmt: skip
    text = (
        f"Version        {version}, from {moment(first)}\n"
        f"Draft          {out}\n\n"
        f"Edit it, then:\n  fenpost-keys policy check {out} --dir {folder}"
    )
    one_file(
        change,
        facts,
        text,
        None if before else lambda: work.write_new(out, work.draft(found, version, first)),
    )


def one_file(change: Change, facts: dict[str, Json], text: str, write: Callable[[], None] | None) -> None:
    """The end of a command that writes one file, whole or not at all: asked, written and reported.

    Args:
        write: None when the file was written before, by this command, which was killed then.
    """
    from keys_tooling.carrying_out import agreed

    if change.dry:
        report(
            {**facts, "applied": False}, "Nothing was changed: this was a dry run.", as_json=change.as_json
        )
        return
    if write is not None:
        if not agreed(yes=change.yes, unasked=True):
            tell("Nothing was changed.")
            sys.exit(REFUSED)
        write()
    report({**facts, "applied": True}, text, as_json=change.as_json)


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
    from keys_tooling.moments import moment

    return f"version {entry.version}, from {moment(entry.effective)}, digest {aloud(entry.digest)}"


def aloud(digest: str) -> str:
    """A digest in groups, to be read aloud."""
    from schemas.policing import spoken

    return " ".join(spoken(digest))
