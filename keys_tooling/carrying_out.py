"""How a command shows its plan, asks, applies it, and goes on with one that was begun."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import click

from keys_tooling import journal as journals
from keys_tooling.applying import Applied, AskerEndedError, Line, apply, built, not_recorded
from keys_tooling.bare_side import without_agent
from keys_tooling.change import Change
from keys_tooling.console import REFUSED, World, report, tell
from keys_tooling.directory_reading import Reading
from keys_tooling.journal import Journal
from keys_tooling.keyfiles import read_secret
from keys_tooling.moments import moment
from keys_tooling.own_side import OwnSide, check_own_chain, own_chain, reached, read_own
from keys_tooling.own_statements import by_copies, by_others
from keys_tooling.partnership import AGENT
from keys_tooling.plan import Facts, Given, Plan, described
from keys_tooling.signed_here import recorded
from keys_tooling.token_pins import on_token
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.keyring import AdminKeys, AgentKeys
from schemas.keys import Signer

Make = Callable[[Reading, OwnSide], Plan]
Words = Callable[[Plan], tuple[Facts, str]]
"""What a command reports of its plan once it is done, or has nothing to do: facts, and a sentence."""


def given(**words: object) -> Given:
    """What a command was told, so that it is known again; nothing that was left out."""
    return tuple(
        sorted((name, str(value)) for name, value in words.items() if value not in (None, (), False))
    )


def carry_out(
    world: World,
    own: OwnSide,
    passphrase: bytes,
    change: Change,
    does: str,
    told: Given,
    make: Make,
    *,
    more: Facts | None = None,
    words: Words | None = None,
    unasked: bool = False,
) -> None:
    """Make the plan of a command, show it, ask, and apply it; what was begun goes on without asking again.

    Args:
        make: the plan, from the verified directory.
        more: what the report says besides.
        words: what the report says of this plan.
        unasked: without a terminal it goes on though nobody said --yes.

    Raises:
        Refusal: UNFINISHED, and as journal.begin and applying.apply.
        click.UsageError: there is no terminal to ask, and no --yes.
    """
    outcome = carried_out(world, own, passphrase, change, does, told, make, unasked=unasked)
    facts, text = words(outcome.plan) if words else ({}, "")
    said(outcome, {**(more or {}), **facts}, text, change)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command: its plan, the directory as it was last read, and what applying did, if it went on."""

    plan: Plan
    view: Directory
    done: Applied | None


def carried_out(
    world: World,
    own: OwnSide,
    passphrase: bytes,
    change: Change,
    does: str,
    told: Given,
    make: Make,
    *,
    unasked: bool = False,
) -> Outcome:
    """As carry_out, without its report. Raises as it does."""
    with journals.alone(own.folder):
        begun = journals.unfinished(own.folder)
        journals.check_free(begun, does, told)
        if begun is not None:
            return _gone_on(world, own, passphrase, begun, dry=change.dry)

        async def work() -> Outcome:
            async with reached(own, world) as line:
                plan, reading = await planned(line, own, world, make)
                view, size = reading.view, len(reading.statements)
                tell(described(plan))
                if change.dry or not plan.says or not agreed(yes=change.yes, unasked=unasked):
                    return Outcome(plan, view, None)
                journal = journals.begin(own.folder, plan, size)
                done = await _applied(line, own, passphrase, journal, world)
                return Outcome(plan, done.view, done)

        return asyncio.run(work())


def _gone_on(world: World, own: OwnSide, passphrase: bytes, begun: Journal, *, dry: bool) -> Outcome:
    """Apply the rest of what was begun. The caller has had the folder alone since before it read the journal."""

    async def work() -> Outcome:
        async with reached(after_it(own, begun, passphrase), world) as line:
            tell(f"Going on with '{begun.plan.does}', which was begun here.")
            view = (await read_own(line, own, world)).view
            if dry:
                return Outcome(begun.plan, view, None)
            done = await _applied(line, own, passphrase, begun, world)
            return Outcome(begun.plan, done.view, done)

    return asyncio.run(work())


async def _applied(line: Line, own: OwnSide, passphrase: bytes, journal: Journal, world: World) -> Applied:
    """As applying.apply. A change that ends the key which asks goes on with the key that it published."""
    keys = coming(own.folder, journal, passphrase)
    try:
        return await apply(line, own, journal, keys, world, tell)
    except AskerEndedError as ended:
        posted = ended.posted
    async with reached(after_it(own, journal, passphrase), world) as other:
        try:
            done = await apply(other, own, journal, keys, world, tell)
        except AskerEndedError as ended:
            raise Refusal("UNAUTHENTICATED") from ended
    return replace(done, posted=done.posted + posted)


def after_it(own: OwnSide, journal: Journal, passphrase: bytes) -> OwnSide:
    """The same side, which may ask with the keys that the change puts in force too: it may end those that asked."""
    made = made_for(own.folder, journal).get(AGENT)
    if made is None:
        return own
    try:
        after = AgentKeys.from_json(read_secret(made, AgentKeys.HOLDS, passphrase))
    except Refusal as refusal:
        if refusal.code != "KEYFILE":  # the agent's own passphrase locks it: then the others must do
            raise
        return own
    return replace(own, spare=(after.auth, after.renew, *own.spare))


def made_for(folder: Path, journal: Journal) -> dict[str, Path]:
    """The key files that a change has made and not put in their places yet, by the names that they will have."""
    return {new.final: folder / new.name for new in journal.plan.files if (folder / new.name).exists()}


def resume(
    world: World, folder: Path, passphrase: bytes, asking: Signer | None = None, *, as_json: bool
) -> None:
    """Go on with whatever was begun in this folder, also where the key files that it replaces are lost or over.

    `asking` is an officer's request key, where the agency's own are lost or over too.
    """
    on = Change(yes=True, dry=False, passphrase_file=None, as_json=as_json)
    with journals.alone(folder):  # first: a journal that is not ready may be of a command that is at work now
        begun = journals.unfinished(folder)
        if begun is None:
            report({"finished": True, "plan": None}, "Nothing waits to be finished here.", as_json=as_json)
            return
        own = without_agent(folder, passphrase, asking, made_for(folder, begun))
        outcome = _gone_on(world, own, passphrase, begun, dry=False)
    said(outcome, {}, "", on)


async def planned(line: Line, own: OwnSide, world: World, make: Make) -> tuple[Plan, Reading]:
    """The plan and the directory that it was made from; says what others added to the chain."""
    reading = await read_own(line, own, world)
    check_own_chain(reading, own.admin)
    say_others(by_others(reading, own.admin))
    say_copies(by_copies(reading, own.admin, recorded(own.folder)))
    plan = make(reading, own)
    if not plan.puts:
        own_chain(reading, own.admin)
    if plan.says:  # refused before it is begun
        theirs = not_recorded(reading, plan)
        tried = await built(reading, own, plan.puts, list(plan.says), world.now(), theirs)
        check_asking(tried.view, own, plan, world.now())
    return plan, reading


def check_asking(view: Directory, own: OwnSide, plan: Plan, now: int) -> None:
    """Raises Refusal UNAUTHENTICATED when nobody here could ask the relay any more, once the plan is published.

    Args:
        view: the directory with the plan in it.
    """
    made = any(new.final == AGENT for new in plan.files)  # and new request keys with it
    if made or not any(said.op == "revoke" for said in plan.says):
        return
    for key in (own.auth, *own.spare):
        with contextlib.suppress(Refusal):
            view.requester(key.kid, now)
            return
    raise Refusal(
        "UNAUTHENTICATED",
        "This would end the last key with which this folder asks the relay. Add --officer with the key file of an IG "
        "officer, or replace all of them at once: fenpost-keys recover agent --copied",
    )


def say_others(others: list[tuple[int, str, str]]) -> None:
    """Tell who else extended the chain: the agent's renewals as a figure, everything else by name."""
    renewed = sum(use == "renew" for _, _, use in others)
    if renewed:
        tell(f"Since this key file was made, your agent renewed keys in {renewed} statements.")
    for seq, op, use in others:
        if use != "renew":
            tell(
                f"CAREFUL: statement {seq} of your agency, {op}, was signed by {use or 'another op'} key. Yours?"
            )


def say_copies(found: list[tuple[int, str, int]]) -> None:
    """Tell what the administrator's key signed elsewhere: a new operational key would bury it."""
    for seq, op, ts in found:
        tell(
            f"CAREFUL: statement {seq} of your agency, {op}, {moment(ts)}, was signed with admin.fpk's key, and no "
            "command of this folder made it. Yours?"
        )


def coming(folder: Path, journal: Journal, passphrase: bytes) -> tuple[Signer, ...]:
    """Operational keys that the plan puts in force, from the key files that it made."""
    found: list[Signer] = []
    for new in journal.plan.files:
        if new.final != "admin.fpk":
            continue
        path = folder / new.name
        if path.exists():
            found.append(AdminKeys.from_json(read_secret(path, AdminKeys.HOLDS, passphrase), on_token).op)
    return tuple(found)


def said(outcome: Outcome, more: Facts, words: str, change: Change) -> None:
    """Report what came of a plan; ends with exit code 1 when the person said no."""
    plan, done = outcome.plan, outcome.done
    facts: Facts = {
        "applied": done is not None,
        "plan": plan.to_json(),
        "posted": done.posted if done else 0,
        **more,
    }
    if done is not None:
        then = "\n".join(f"  - {one}" for one in plan.after)
        text = words or f"Done: {plan.does}. Everything is in the directory."
        text += f"\nThen:\n{then}" if then else ""
    elif change.dry:
        text = "Nothing was changed: this was a dry run."
    elif not plan.says:
        text = words or "Nothing has to be changed."
    else:
        tell("Nothing was changed.")
        sys.exit(REFUSED)
    report(facts, text, as_json=change.as_json)


def agreed(*, yes: bool, unasked: bool = False) -> bool:
    """Whether the person at the terminal says go on; --yes says it for her.

    Args:
        unasked: where there is no terminal, having typed the command is enough.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        if unasked:
            return True
        raise click.UsageError("There is no terminal to ask: read the plan above, then give --yes.")
    return click.confirm("Go on", err=True)
