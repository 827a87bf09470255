"""fenpost-keys recover: what is done when something was lost or stolen. The work is in modules beside this one."""

from __future__ import annotations

from pathlib import Path

import click

from keys_tooling.backup_main import recover_shares
from keys_tooling.change import CHANGE, Change
from keys_tooling.console import World
from keys_tooling.lent_key import LENT, Lent
from keys_tooling.options import DEMONSTRATION, FILE, MEMBER


@click.group()
def recover() -> None:
    """Something was lost or is in wrong hands: shares on paper, the operational key, the agent's own keys.

    \b
    Example:
      fenpost-keys recover op --dir peacock --roots /media/safe/next-roots.fpk --dry-run
    """


recover.add_command(recover_shares)


@recover.command("op")
@MEMBER
@click.option(
    "--roots",
    "root_files",
    type=FILE,
    required=True,
    multiple=True,
    help="next-roots.fpk, from its safe. Repeatable, where roots are kept apart.",
)
@click.option(
    "--roots-passphrase-file",
    "root_passphrases",
    type=FILE,
    multiple=True,
    help="The passphrase of that file of roots; as often as --roots, in its order. [default: the folder's]",
)
@click.option(
    "--void-from",
    type=click.IntRange(1),
    help="Undo the agency's statements from this number on: a thief made them.",
)
@click.option(
    "--agency", "named", metavar="NAME", help="The agency, by name or id, where agent.fpk is lost too."
)
@LENT
@DEMONSTRATION
@CHANGE
@click.pass_obj
def recover_op(
    world: World,
    folder: Path,
    root_files: tuple[Path, ...],
    root_passphrases: tuple[Path, ...],
    void_from: int | None,
    named: str | None,
    lent: Lent,
    demonstration_cost: bool,
    change: Change,
) -> None:
    """The operational key is lost or stolen: the roots put a new one in its place, and can undo what a thief said.

    The old one may still publish until this is done: do it at once. Killed at any moment, run it again.

    Where the agent's keys have ended too, an IG officer lends her request key: the agency's, or oversight's if a thief
    has ended that as well. Is the whole machine gone, and agent.fpk with it? Put partnership.json into a new folder,
    and name the agency; recover the agent then.

    \b
    Example:
      fenpost-keys recover op --dir peacock --roots /media/safe/next-roots.fpk --dry-run
      fenpost-keys recover op --dir peacock --roots /media/safe/next-roots.fpk --void-from 31
      fenpost-keys recover op --dir new --agency "The Peacock Project" --officer officer.fpk --roots next-roots.fpk
    """
    from keys_tooling import bare_side, recovering
    from keys_tooling.carrying_out import carry_out, given
    from keys_tooling.demonstration import cost
    from keys_tooling.keyfiles import read_secret
    from keys_tooling.passphrases import known_passphrase
    from keys_tooling.root_files import Brought, Locked, roots_of

    if root_passphrases and len(root_passphrases) != len(root_files):
        raise click.UsageError("--roots-passphrase-file is given as often as --roots, or not at all.")
    passphrase = known_passphrase(change.passphrase_file, "the administrator's keys")
    brought: list[Brought] = []
    for at, file in enumerate(root_files):
        own = known_passphrase(root_passphrases[at], "the roots") if root_passphrases else passphrase
        roots = roots_of(read_secret(file, "roots", own))
        brought.append(Brought(file.name, roots, own))
    locked = Locked(passphrase, cost(demonstration_cost))
    told = given(void_from=void_from)
    with lent.asked_for():
        side = bare_side.without_admin(world, folder, passphrase, lent.key(passphrase), named)
        carry_out(
            world, side, passphrase, change, "recover op", told,
            lambda reading, own: recovering.new_op(reading, own, told, tuple(brought), void_from, locked, world),
        )  # fmt: skip


@recover.command("agent")
@MEMBER
@LENT
@click.option(
    "--copied",
    is_flag=True,
    help="The keys are here, and somebody else has them too: the store and what it can open stay.",
)
@click.option(
    "--since",
    default="now",
    show_default=True,
    help="With --copied, when they were copied: now, or such as 2027-01-04T09:00Z.",
)
@DEMONSTRATION
@CHANGE
@click.pass_obj
def recover_agent(
    world: World,
    folder: Path,
    lent: Lent,
    copied: bool,
    since: str,
    demonstration_cost: bool,
    change: Change,
) -> None:
    """The agent's keys are lost or copied: new ones are published, and the old ones end.

    Lost: what was sealed to them stays closed. Look for a backup first: restored keys open what new ones cannot.
    Copied (--copied): agent.fpk and agent.db stay here, so what waits at the relay is still opened; the thief, who has
    copies, is not let in. Stop the agent first. Were they copied earlier? Say when (--since): what the old keys signed
    from then on is in doubt, and every agency that took such a message is told.

    Where agent.fpk is gone, or two people have ended its keys (fenpost-keys emergency), an IG officer of the agency
    lends her request key. Killed at any moment, run it again.

    \b
    Example:
      fenpost-keys recover agent --dir peacock --officer peacock-officer/officer.fpk
      fenpost-keys recover agent --dir peacock --officer peacock-officer/officer.fpk --copied
      fenpost-keys recover agent --dir peacock --copied --since 2027-01-04T09:00Z
    """
    from keys_tooling import bare_side, recovering
    from keys_tooling.carrying_out import carry_out, given
    from keys_tooling.demonstration import cost
    from keys_tooling.passphrases import known_passphrase
    from keys_tooling.policy_asking import read_moment
    from keys_tooling.root_files import Locked

    stolen = None if since == "now" else read_moment(since, world.now())
    if stolen is not None and (not copied or stolen > world.now()):
        raise click.UsageError(
            "--since goes with --copied, and is when they were copied: a moment that is past."
        )
    passphrase = known_passphrase(change.passphrase_file, "the administrator's keys")
    side = bare_side.without_agent(folder, passphrase, lent.key(passphrase))
    before = recovering.copied_keys(folder, passphrase, side.admin.agency) if copied else None
    locked, told = Locked(passphrase, cost(demonstration_cost)), given(copied=copied, since=stolen)
    with lent.asked_for():
        carry_out(
            world, side, passphrase, change, "recover agent", told,
            lambda reading, own: recovering.new_agent(reading, own, told, locked, world, before, stolen),
        )  # fmt: skip
