"""fenpost-keys policy: what the people type who answer for a partnership's policy. The work is beside this module."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.change import CHANGE, Change
from keys_tooling.console import World, report, tell
from keys_tooling.options import FILE, JSON, OVERSIGHT, PASSPHRASE
from keys_tooling.policy_asking import (
    aloud,
    asking,
    compared,
    entry_facts,
    entry_line,
    in_force,
    one_file,
    plan_text,
    read_file,
    view_of,
    write_draft,
)
from keys_tooling.policy_signers_main import signer

if TYPE_CHECKING:
    from keys_tooling.directory_reading import Reading
    from keys_tooling.own_side import OwnSide
    from keys_tooling.plan import Plan

WEEK = 7 * 24 * 3600

_dir = click.option(
    "--dir",
    "folder",
    type=FILE,
    required=True,
    help="Your agency's folder, or oversight's: it asks the relay.",
)
_out = click.option("--out", type=FILE, required=True, help="The new file; it must not be there yet.")
_effective = click.option(
    "--effective", help="Its first moment: now, or such as 2027-01-04T09:00Z. [default: in a week]"
)


@click.group()
def policy() -> None:
    """Look at the partnership's policy, draft the next, sign it with two people, put it in force, bring one back.

    \b
    Example:
      fenpost-keys policy new --dir partnership --from 1 --out draft.json
      fenpost-keys policy check draft.json --dir partnership
    """


policy.add_command(signer)


@policy.command("show")
@_dir
@PASSPHRASE
@JSON
@click.pass_obj
def policy_show(world: World, folder: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Which policy is in force, which is to come, and all that were.

    \b
    Example:
      fenpost-keys policy show --dir partnership
    """
    from keys_tooling.moments import moment

    view = asking(world, folder, passphrase_file, lambda line, member: view_of(line, member, world))
    now = world.now()
    force, coming = view.policies.in_force(now), view.policies.coming(now)
    facts = {
        "coming": [entry_facts(entry) for entry in coming],
        "history": [entry_facts(entry) for entry in view.policies.entries],
        "in_force": None if force is None else entry_facts(force),
    }
    lines = [
        f"In force       {'none' if force is None else entry_line(force)}",
        *(f"To come        {entry_line(entry)}" for entry in coming),
        "",
        "Every version, with the people who signed it:",
        *(
            f"  {entry.version:>3}  from {moment(entry.effective)}  by {', '.join(entry.signers)}"
            for entry in view.policies.entries
        ),
    ]
    report(facts, "\n".join(lines), as_json=as_json)


@policy.command("new")
@_dir
@click.option("--from", "source", required=True, help="A version on record, or a file with a policy.")
@_effective
@_out
@CHANGE
@click.pass_obj
def policy_new(
    world: World,
    folder: Path,
    source: str,
    effective: str | None,
    out: Path,
    change: Change,
) -> None:
    """Write the next version as a text to edit, made from one on record or from a file.

    \b
    Example:
      fenpost-keys policy new --dir partnership --from 1 --effective 2027-01-04T09:00Z --out draft.json
    """
    write_draft(world, folder, source, effective, WEEK, out, change)


@policy.command("rollback")
@click.argument("version", type=click.IntRange(min=1))
@_dir
@click.option("--effective", help="Its first moment: now, or such as 2027-01-04T09:00Z. [default: now]")
@_out
@CHANGE
@click.pass_obj
def policy_rollback(
    world: World,
    version: int,
    folder: Path,
    effective: str | None,
    out: Path,
    change: Change,
) -> None:
    """Write an old version's text as the next version. Two people sign it as they sign any other.

    \b
    Example:
      fenpost-keys policy rollback 1 --dir partnership --out back.json
    """
    write_draft(world, folder, str(version), effective, 0, out, change)


@policy.command("check")
@click.argument("file", type=FILE)
@_dir
@PASSPHRASE
@JSON
@click.pass_obj
def policy_check(world: World, file: Path, folder: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Say whether a draft or a signed policy holds together, and what it changes, in plain words.

    \b
    Example:
      fenpost-keys policy check draft.json --dir partnership
    """
    from keys_tooling import policy as work
    from keys_tooling.moments import moment
    from keys_tooling.policy_words import changes
    from schemas.policing import policy_digest

    found = read_file(file)

    view, old = asking(world, folder, passphrase_file, lambda line, member: in_force(line, member, world))
    standing = work.standing(found, view, world.now())
    new, said = standing.policy, () if old is None else changes(old, standing.policy)
    facts = {
        "against": None if old is None else old.version,
        "changes": list(said),
        "digest": policy_digest(found.text),
        "effective": new.effective,
        "missing_signatures": standing.missing,
        "signers": list(standing.people),
        "version": new.version,
    }
    lines = [
        f"Version        {new.version}, from {moment(new.effective)}",
        f"Signed by      {', '.join(standing.people) or 'nobody yet'}"
        + (f"; {standing.missing} more must sign" if standing.missing else ""),
        compared(old, said),
        *(f"  - {sentence}" for sentence in said),
    ]
    report(facts, "\n".join(lines), as_json=as_json)


@policy.command("sign")
@click.argument("file", type=FILE)
@click.option("--key", type=FILE, required=True, help="Your own policy key file.")
@_out
@CHANGE
def policy_sign(file: Path, key: Path, out: Path, change: Change) -> None:
    """Sign a draft, or a policy that somebody else signed first. Says first what it will sign. Asks no relay.

    Read the digest aloud to the other signer: both must see the same.

    \b
    Example:
      fenpost-keys policy sign draft.json --key policy-1.fpk --out once.json
      fenpost-keys policy sign once.json --key policy-2.fpk --out signed.json
    """
    from keys_tooling import policy as work
    from keys_tooling.moments import moment
    from keys_tooling.passphrases import known_passphrase
    from schemas.policing import SIGNERS, policy_digest
    from schemas.policy import Policy

    found = read_file(file)
    signer = work.read_signer(key, known_passphrase(change.passphrase_file, "your policy key"))
    signed, new = found.signed_by(signer.key), Policy.parse(found.text)
    before = work.is_there(out, signed.to_bytes())
    digest = policy_digest(found.text)
    missing = max(0, SIGNERS - len(signed.sigs))
    tell(
        f"This will happen:\n  - {signer.person} signs version {new.version}, from {moment(new.effective)}, and {out} "
        f"is written\n  - digest {aloud(digest)}\n  - what it changes: fenpost-keys policy check {file}"
    )
    facts = {
        "digest": digest,
        "effective": new.effective,
        "missing_signatures": missing,
        "out": str(out),
        "person": signer.person,
        "version": new.version,
        "was_written": before,
    }
    text = (
        f"Version        {new.version}, from {moment(new.effective)}\n"
        f"Signed as      {signer.person}; {'one more must sign' if missing else 'complete'}\n"
        f"Digest         {aloud(digest)}\n\n"
        "Read the digest aloud to the other signer. Both must see the same before it is put in force.\n"
        + (
            f"\nNext:\n  fenpost-keys policy sign {out} --key HER_KEY --out signed.json"
            if missing
            else f"\nNext:\n  fenpost-keys policy apply {out} --partnership-dir partnership"
        )
    )
    one_file(change, facts, text, None if before else lambda: work.write_new(out, signed.to_bytes()))


@policy.command("dry-run")
@click.argument("file", type=FILE)
@click.option(
    "--headers", type=FILE, required=True, help="Past headers: what `fenpost-audit headers` prints."
)
@_dir
@PASSPHRASE
@JSON
@click.pass_obj
def policy_dry_run(
    world: World, file: Path, headers: Path, folder: Path, passphrase_file: Path | None, as_json: bool
) -> None:
    """Decide past headers under this policy and under the one in force, and count what would come out otherwise.

    It prints numbers and rows of the rule; no agency, no message, nobody. Overrides and requests for information are
    not among headers: what rests on one is decided without it, under both policies.

    \b
    Example:
      fenpost-audit headers --dir officer > headers.jsonl
      fenpost-keys policy dry-run draft.json --headers headers.jsonl --dir partnership
    """
    from keys_tooling.policy_trial import read_past, try_out
    from schemas.errors import Refusal
    from schemas.policy import Policy

    new = Policy.parse(read_file(file).text)

    view, old = asking(world, folder, passphrase_file, lambda line, member: in_force(line, member, world))
    try:
        with headers.open("rb") as lines:
            trial = try_out(read_past(lines), view, old, new)
    except OSError as error:
        raise Refusal("FILE", f"{headers.name} cannot be read. Check the name of the file.") from error
    rows = sorted(trial.changed.items(), key=lambda item: (-item[1], str(item[0])))
    facts = {
        "against": None if old is None else old.version,
        "changes": [{"count": n, "from": a.to_json(), "to": b.to_json()} for (a, b), n in rows],
        "otherwise": trial.otherwise,
        "passed_over": trial.passed_over,
        "tried": trial.tried,
        "version": new.version,
    }
    against = "no policy" if old is None else f"version {old.version}"
    text = [
        f"Headers        {trial.tried:,} decided, {trial.passed_over:,} passed over (their agency has left)",
        f"Otherwise      {trial.otherwise:,} under version {new.version} than under {against}",
        *(f"  {count:>6,}  {before} → {after}" for (before, after), count in rows),
    ]
    report(facts, "\n".join(text), as_json=as_json)


@policy.command("apply")
@click.argument("file", type=FILE)
@OVERSIGHT
@CHANGE
@click.pass_obj
def policy_apply(world: World, file: Path, folder: Path, change: Change) -> None:
    """Put a policy in force that two people signed: oversight runs this. It says first what it will do, and asks.

    Run again, it changes nothing; a relay that lost the text takes it again. Killed at any moment, run it again.

    \b
    Example:
      fenpost-keys policy apply signed.json --partnership-dir partnership
    """
    from keys_tooling import policy as work
    from keys_tooling.carrying_out import carried_out, given, said
    from keys_tooling.moments import moment
    from keys_tooling.own_side import reached
    from schemas.policing import policy_digest

    found = read_file(file)
    (own, passphrase), told = change.oversight(folder), given(digest=policy_digest(found.text))

    def plan(reading: Reading, _side: OwnSide) -> Plan:
        made = work.put_in_force(reading.view, told, found, world.now())
        tell(plan_text(work.entry_of(reading.view, found, world.now())))
        return made

    outcome = carried_out(world, own, passphrase, change, "policy apply", told, plan)
    before = not outcome.plan.says
    if before and not change.dry:

        async def again() -> None:
            async with reached(own, world) as line:
                await work.hand_in_again(line, own, found, world)

        asyncio.run(again())
    entry = work.entry_of(outcome.view, found, world.now())
    state = "was on record already; nothing was changed" if before else "is on record now"
    text = f"Version {entry.version} {state}. It counts from {moment(entry.effective)}."
    facts = {**entry_facts(entry), "was_on_record": before}
    said(outcome, facts, text, change)
