"""fenpost-keys recover: what is done when something was lost or stolen. The work is in modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.backup_main import recover_shares
from keys_tooling.change import CHANGE, Change
from keys_tooling.console import World
from keys_tooling.options import DEMONSTRATION, FILE, MEMBER

if TYPE_CHECKING:
    from keys_tooling.own_side import OwnSide
    from schemas.keys import Signer, SigningKey
    from schemas.partnership import Partnership

OFFICER = click.option(
    "--officer",
    type=FILE,
    help="An IG officer's key file: asks the relay where agent.fpk is gone, or its keys have ended.",
)
LENT = click.option(
    "--officer-passphrase-file",
    "officer_words",
    type=FILE,
    help="Its passphrase. [default: the folder's]",
)


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
@OFFICER
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
    officer: Path | None,
    officer_words: Path | None,
    demonstration_cost: bool,
    change: Change,
) -> None:
    """The operational key is lost or stolen: the roots put a new one in its place, and can undo what a thief said.

    The old one may still publish until this is done: do it at once. Killed at any moment, run it again.

    Where the agent's keys have ended too, an IG officer lends her request key: the agency's, or oversight's if a thief
    has ended that as well.

    \b
    Example:
      fenpost-keys recover op --dir peacock --roots /media/safe/next-roots.fpk --dry-run
      fenpost-keys recover op --dir peacock --roots /media/safe/next-roots.fpk --void-from 31
    """
    from keys_tooling import recovering
    from keys_tooling.carrying_out import carry_out, given
    from keys_tooling.demonstration import cost
    from keys_tooling.keyfiles import read_secret
    from keys_tooling.passphrases import known_passphrase

    if root_passphrases and len(root_passphrases) != len(root_files):
        raise click.UsageError("--roots-passphrase-file is given as often as --roots, or not at all.")
    passphrase = known_passphrase(change.passphrase_file, "the administrator's keys")
    roots: list[SigningKey] = []
    for at, file in enumerate(root_files):
        own = known_passphrase(root_passphrases[at], "the roots") if root_passphrases else passphrase
        roots += recovering.roots_of(read_secret(file, "roots", own))
    locked = recovering.Locked(passphrase, cost(demonstration_cost))
    asking = None if officer is None else _lent(officer, officer_words, passphrase)
    side = _without_admin(world, folder, passphrase, asking)
    told = given(void_from=void_from)
    carry_out(
        world, side, passphrase, change, "recover op", told,
        lambda reading, own: recovering.new_op(reading, own, told, tuple(roots), void_from, locked, world),
    )  # fmt: skip


@recover.command("agent")
@MEMBER
@OFFICER
@LENT
@click.option(
    "--copied",
    is_flag=True,
    help="The keys are here, and somebody else has them too: the store and what it can open stay.",
)
@DEMONSTRATION
@CHANGE
@click.pass_obj
def recover_agent(
    world: World,
    folder: Path,
    officer: Path | None,
    officer_words: Path | None,
    copied: bool,
    demonstration_cost: bool,
    change: Change,
) -> None:
    """The agent's keys are lost or copied: new ones are published, and the old ones end.

    Lost: what was sealed to them stays closed. Look for a backup first: restored keys open what new ones cannot.
    Copied (--copied): agent.fpk and agent.db stay here, so what waits at the relay is still opened; the thief, who has
    copies, is not let in. Stop the agent first.

    Where agent.fpk is gone, or two people have ended its keys (fenpost-keys emergency), an IG officer of the agency
    lends her request key. Killed at any moment, run it again.

    \b
    Example:
      fenpost-keys recover agent --dir peacock --officer peacock-officer/officer.fpk
      fenpost-keys recover agent --dir peacock --officer peacock-officer/officer.fpk --copied
    """
    from keys_tooling import recovering
    from keys_tooling.carrying_out import carry_out, given
    from keys_tooling.demonstration import cost
    from keys_tooling.passphrases import known_passphrase

    passphrase = known_passphrase(change.passphrase_file, "the administrator's keys")
    asking = None if officer is None else _lent(officer, officer_words, passphrase)
    side = _without_agent(folder, passphrase, asking)
    before = recovering.copied_keys(folder, passphrase, side.admin.agency) if copied else None
    locked, told = recovering.Locked(passphrase, cost(demonstration_cost)), given(copied=copied)
    carry_out(
        world, side, passphrase, change, "recover agent", told,
        lambda reading, own: recovering.new_agent(reading, own, told, locked, world, before),
    )  # fmt: skip


def _partnership(folder: Path) -> Partnership:
    from keys_tooling.keyfiles import read_public
    from keys_tooling.partnership import PARTNERSHIP
    from schemas.partnership import FILE_LIMIT, Partnership

    return Partnership.parse(read_public(folder / PARTNERSHIP, FILE_LIMIT))


def _lent(officer: Path, words: Path | None, passphrase: bytes) -> Signer:
    """An officer's request key."""
    from keys_tooling.keyfiles import read_secret
    from keys_tooling.passphrases import known_passphrase
    from keys_tooling.token_pins import on_token
    from schemas.keyring import OfficerKeys

    own = known_passphrase(words, "the officer's keys") if words else passphrase
    return OfficerKeys.from_json(read_secret(officer, OfficerKeys.HOLDS, own), on_token).auth


def _without_admin(world: World, folder: Path, passphrase: bytes, asking: Signer | None) -> OwnSide:
    """The agency's side where admin.fpk is lost, or may not be believed: its place in the chain is the directory's."""
    import asyncio

    from keys_tooling.directory_reading import Reading
    from keys_tooling.keyfiles import read_secret
    from keys_tooling.own_side import OwnSide, reached, read_own
    from keys_tooling.partnership import AGENT
    from schemas.errors import Refusal
    from schemas.keyring import AdminKeys, AgentKeys
    from schemas.keys import SigningKey

    agent = AgentKeys.from_json(read_secret(folder / AGENT, AgentKeys.HOLDS, passphrase))
    nobody = AdminKeys(agent.agency, SigningKey(world.draw(32)), 0, "")
    signs, spare = (agent.auth, (agent.renew,)) if asking is None else (asking, ())
    side = OwnSide(folder, _partnership(folder), nobody, signs, spare)

    async def read() -> Reading:
        async with reached(side, world) as line:
            return await read_own(line, side, world)

    found = asyncio.run(read()).view.agencies.get(agent.agency)
    if found is None:
        raise Refusal("UNKNOWN_AGENCY")
    admin = AdminKeys(agent.agency, nobody.op, found.seq, found.head)
    return OwnSide(folder, side.partnership, admin, signs, spare)


def _without_agent(folder: Path, passphrase: bytes, asking: Signer | None) -> OwnSide:
    """The agency's side where agent.fpk is lost, or its keys have ended: an officer asks the relay."""
    from keys_tooling.keyfiles import read_secret
    from keys_tooling.own_side import OwnSide
    from keys_tooling.partnership import ADMIN
    from keys_tooling.token_pins import on_token
    from schemas.keyring import AdminKeys

    if asking is None:
        return OwnSide.open(folder, passphrase)
    admin = AdminKeys.from_json(read_secret(folder / ADMIN, AdminKeys.HOLDS, passphrase), on_token)
    return OwnSide(folder, _partnership(folder), admin, asking)
