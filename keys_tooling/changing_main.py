"""fenpost-keys rotate, revoke, resume: what an administrator types when keys change. Each is a plan first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.change import CHANGE, Change
from keys_tooling.console import World, report, tell
from keys_tooling.lent_key import LENT, Lent
from keys_tooling.options import DEMONSTRATION, FILE, JSON, MEMBER, PASSPHRASE, Id

if TYPE_CHECKING:
    from keys_tooling.directory_reading import Reading
    from keys_tooling.own_side import OwnSide
    from keys_tooling.plan import Facts, Plan

AGENTS = ("msg", "auth", "consent", "prekey", "witness")
ADMINS = ("op", "renew")


@click.command()
@MEMBER
@click.option(
    "--use", "uses", multiple=True, type=click.Choice(ADMINS + AGENTS), help="Which key. Repeatable."
)
@click.option("--all", "every", is_flag=True, help="The operational, the renew and every running key.")
@click.option(
    "--here", is_flag=True, help="No agent runs with these keys: write agent.fpk anew, as for oversight."
)
@click.option("--person", "person", type=FILE, help="A person's next card (fenpost-keys role new).")
@click.option("--officer", "officer", type=FILE, help="An IG officer's next card, or her successor's.")
@click.option("--policy", "signer", type=FILE, help="A policy signer's next card; oversight only.")
@click.option("--number", help="The card's number, as she read it aloud. Asked for otherwise.")
@click.option(
    "--agent-passphrase-file", type=FILE, help="The agent's own passphrase, if agent.fpk has another."
)
@DEMONSTRATION
@CHANGE
@click.pass_obj
def rotate(
    world: World,
    folder: Path,
    uses: tuple[str, ...],
    every: bool,
    here: bool,
    person: Path | None,
    officer: Path | None,
    signer: Path | None,
    number: str | None,
    agent_passphrase_file: Path | None,
    demonstration_cost: bool,
    change: Change,
) -> None:
    """Put a new key in the place of one that ends soon. Killed at any moment, run it again: it goes on.

    The running agent rotates msg, auth, consent, prekey and witness by itself; here it is asked to do it now.

    \b
    Example:
      fenpost-keys rotate --dir peacock --use op
      fenpost-keys rotate --dir peacock --all --dry-run
    """
    from keys_tooling import cards, rotation
    from keys_tooling.carrying_out import carry_out, given
    from keys_tooling.demonstration import cost
    from keys_tooling.passphrases import known_passphrase

    wanted = (*ADMINS, *AGENTS) if every else uses
    if bool(wanted) == any(path is not None for path in (person, officer, signer)):
        raise click.UsageError("Say what to rotate: --use, --all, or one of --person, --officer, --policy.")
    card = cards.read(person, officer, signer, number)
    own, passphrase = change.administrator(folder)
    running, mine = tuple(use for use in wanted if use in AGENTS), [use for use in wanted if use in ADMINS]
    agents = known_passphrase(agent_passphrase_file, "the agent's keys") if agent_passphrase_file else None
    asked = _ask_agent(folder, running, change) if running and not here else None
    if not mine and not here and card is None:
        text = "Done: the agent has rotated." if asked and asked["applied"] else "Nothing was changed."
        report(asked or {}, text, as_json=change.as_json)
        return
    told = given(
        uses=",".join(sorted((*mine, *running) if here else mine)), card=card.kid if card else None, here=here
    )

    def plan(reading: Reading, side: OwnSide) -> Plan:
        price = cost(demonstration_cost)
        if card is not None:
            return card.plan(reading, side, told, world.now())
        plans = []
        if here and running:
            plans.append(
                rotation.rotate_here(reading, side, told, running, agents or passphrase, price, world)
            )
        if "renew" in mine:
            plans.append(rotation.rotate_renew(reading, side, told, passphrase, price, world, agents))
        if "op" in mine:
            plans.append(rotation.rotate_op(reading, side, told, passphrase, price, world))
        return rotation.together(plans, told)

    carry_out(world, own, passphrase, change, "rotate", told, plan, more=asked)


def _ask_agent(folder: Path, uses: tuple[str, ...], change: Change) -> Facts:
    from keys_tooling.carrying_out import agreed
    from keys_tooling.moments import moment
    from keys_tooling.own_agent import OwnAgent

    agent = OwnAgent(folder)
    plan = agent.rotate(uses, dry=True)
    lines = ["The agent will do this:"]
    lines += [
        f"  - publish {row['use']}, from {moment(row['nbf'])} to {moment(row['exp'])}"
        for row in plan["publish"]
    ]
    lines += [
        f"  - end {row['kid'][:12]}… from {moment(row['since'])}, {row['reason']}" for row in plan["revoke"]
    ]
    lines += [f"Who seals to it: {', '.join(row['name'] for row in plan['affected']) or 'nobody yet'}"]
    tell("\n".join(lines))
    go = not change.dry and agreed(yes=change.yes)
    return {"agent": agent.rotate(uses, dry=False) if go else plan, "applied": go}


@click.command()
@click.argument("kids", nargs=-1, cls=Id)
@MEMBER
@click.option("--use", help="Every key of this use, such as msg, that stood at --since.")
@click.option("--person", help="Every key of this person, such as lead-2, that stood at --since.")
@click.option(
    "--reason",
    type=click.Choice(["rotated", "lost", "compromised", "left"]),
    required=True,
    help="Why it ends.",
)
@click.option(
    "--since", default="now", show_default=True, help="From when: now, or such as 2027-01-04T09:00Z."
)
@LENT
@CHANGE
@click.pass_obj
def revoke(
    world: World,
    kids: tuple[str, ...],
    folder: Path,
    use: str | None,
    person: str | None,
    reason: str,
    since: str,
    lent: Lent,
    change: Change,
) -> None:
    """End keys of your agency: the plan says what that undoes, and who must act. A leaver's key ends the same day.

    The administrator's own key was stolen, or she cannot be reached? Then: fenpost-keys emergency. Is it the last key
    with which this folder asks the relay? Then an IG officer lends hers.

    \b
    Example:
      fenpost-keys revoke --dir peacock --person lead-2 --reason left
      fenpost-keys revoke --dir peacock --use msg --reason compromised --since 2027-01-04T09:00Z
    """
    from keys_tooling import bare_side, revocation
    from keys_tooling.carrying_out import carry_out, given
    from keys_tooling.passphrases import known_passphrase
    from keys_tooling.plan import Plan
    from keys_tooling.policy_asking import read_moment

    if not kids and use is None and person is None:
        raise click.UsageError("Say which key: its id, --use or --person.")
    passphrase = known_passphrase(change.passphrase_file, "the administrator's keys")
    own = bare_side.without_agent(folder, passphrase, lent.key(passphrase))
    told = given(kids=",".join(sorted(kids)), use=use, person=person, reason=reason, since=since)

    def plan(reading: Reading, side: OwnSide) -> Plan:
        now = world.now()
        at, agency = read_moment(since, now), reading.view.agencies[side.admin.agency]
        keys = revocation.chosen(agency, kids, use, person, at, now)
        kept = revocation.staying(agency, kids, use, person, at, now)
        if not keys and revocation.ended_before(agency, use, person, now):
            return Plan("revoke", told, agency.id, (), after=kept)
        return revocation.revoke_keys(reading, side, told, keys, reason, at, now, kept)

    with lent.asked_for():
        carry_out(world, own, passphrase, change, "revoke", told, plan)


@click.command()
@MEMBER
@LENT
@PASSPHRASE
@JSON
@click.pass_obj
def resume(world: World, folder: Path, lent: Lent, passphrase_file: Path | None, as_json: bool) -> None:
    """Go on with a change that was begun in this folder and interrupted, whatever it was.

    Have the keys that ask the relay ended meanwhile, or is agent.fpk gone? Then an IG officer lends hers.

    \b
    Example:
      fenpost-keys resume --dir peacock
    """
    from keys_tooling import carrying_out
    from keys_tooling.passphrases import known_passphrase

    passphrase = known_passphrase(passphrase_file, "the administrator's keys")
    with lent.asked_for():
        carrying_out.resume(world, folder, passphrase, lent.key(passphrase), as_json=as_json)
