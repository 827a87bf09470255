"""fenpost-keys invite: oversight lets an agency hand in its enrolment by wire, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from keys_tooling.change import CHANGE, Change
from keys_tooling.console import World, report
from keys_tooling.options import FILE, JSON, OVERSIGHT, PASSPHRASE, Id

if TYPE_CHECKING:
    from keys_tooling.admission import Oversight
    from keys_tooling.invite_line import InviteLine
    from keys_tooling.invites import Record
    from keys_tooling.plan import Facts

T = TypeVar("T")
DAY = 24 * 3600


@click.group()
def invite() -> None:
    """Invitations: each lets one agency hand in its enrolment to the relay, once, until a day.

    An invitation proves nobody's identity. Oversight still rings the agency and hears its safety number.

    \b
    Example:
      fenpost-keys invite new --partnership-dir partnership --name "The Peacock Project" --out invite.json
      fenpost-keys invite list --partnership-dir partnership
    """


def asked_as_oversight(
    world: World,
    folder: Path,
    passphrase_file: Path | None,
    ask: Callable[[InviteLine, Oversight], Awaitable[T]],
) -> T:
    """What `ask` learns or does at the relay, as oversight."""
    from keys_tooling.admission import Oversight
    from keys_tooling.invite_line import InviteLine
    from keys_tooling.line import asked
    from keys_tooling.passphrases import known_passphrase

    own = Oversight.open(folder, known_passphrase(passphrase_file, "oversight's keys"))
    return asked(InviteLine, own.partnership.charter, own.auth, world, lambda line: ask(line, own))


@invite.command("new")
@OVERSIGHT
@click.option("--name", required=True, help="The agency's name, as it will stand in the directory.")
@click.option(
    "--days", type=click.IntRange(1, 30), default=14, show_default=True, help="How long it is good."
)
@click.option("--out", type=FILE, required=True, help="The invitation's file; it must not be there yet.")
@CHANGE
@click.pass_obj
def invite_new(world: World, folder: Path, name: str, days: int, out: Path, change: Change) -> None:
    """Make an invitation: a file to hand over, and the same as a line to be read aloud or typed.

    Stopped half-way, type it again: it goes on with the same invitation.

    \b
    Example:
      fenpost-keys invite new --partnership-dir partnership --name "The Peacock Project" --out invite.json
    """
    import unicodedata

    from keys_tooling import invites
    from keys_tooling.carrying_out import given
    from keys_tooling.invite_line import InviteLine
    from keys_tooling.line import asked
    from keys_tooling.making import making

    own, _ = change.oversight(folder)
    charter, said = own.partnership.charter, unicodedata.normalize("NFC", name)
    with making(out, given(name=said, days=days, dir=folder.absolute()), dry=change.dry) as made:
        if not made.before:
            made.check_free(())
            until = world.now() + days * DAY
            asked(InviteLine, charter, own.auth, world, lambda line: _check_name(line, own, said, world))
            if not _goes_on(change, out, said, until, f"{out} is made, and oversight keeps whom it is for"):
                return
            invites.draw(made, own, said, until, world)
        with made.until_heard():
            record = invites.drawn(out, world.now())
            if made.before and not _goes_on(change, out, said, record.until, f"{out} was made before"):
                made.leave()
                return
            asked(InviteLine, charter, own.auth, world, lambda line: invites.register(line, record))
        _say(out, folder, record, before=made.before, as_json=change.as_json)


async def _check_name(line: InviteLine, oversight: Oversight, name: str, world: World) -> None:
    """Raises Refusal NAME for what looks like a member's, and as own_side.read_own."""
    from keys_tooling import own_side
    from schemas.names import check_name, check_unlike

    check_name(name)
    reading = await own_side.read_own(line, oversight, world)
    members = [one.name for one in reading.view.agencies.values() if one.member]
    check_unlike(name, [*members, oversight.partnership.charter.name])


def _goes_on(change: Change, out: Path, name: str, until: int, made: str) -> bool:
    from keys_tooling.making import described
    from keys_tooling.moments import moment

    opens = f"the relay takes one enrolment from whoever has it, until {moment(until)}"
    after = (f"hand it to {name} with partnership.json, over a way that you trust",)
    return change.goes_on(described([made, opens], after), {"name": name, "out": str(out), "until": until})


def _say(out: Path, folder: Path, record: Record, *, before: bool, as_json: bool) -> None:
    from keys_tooling import invites
    from keys_tooling.moments import moment
    from schemas.invite import spoken

    text = (
        f"Invitation     {out}, for {record.name}, good until {moment(record.until)}\n"
        f"As a line      {spoken(invites.read_invitation(out).bytes)}\n\n"
        "Hand it to the agency with partnership.json, over a way that you trust. Whoever has it may hand in one\n"
        "enrolment; nobody is a member before you heard the safety number.\n"
        "\nThen:\n  fenpost-keys agency pending --partnership-dir " + str(folder)
    )
    facts = {"mark": record.mark, "name": record.name, "out": str(out), "until": record.until}
    report({**facts, "applied": True, "was_made": before}, text, as_json=as_json)


@invite.command("list")
@OVERSIGHT
@PASSPHRASE
@JSON
@click.pass_obj
def invite_list(world: World, folder: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Every invitation that the relay knows: for whom, until when, and whether it was used.

    \b
    Example:
      fenpost-keys invite list --partnership-dir partnership
    """
    from keys_tooling import invites
    from keys_tooling.moments import moment

    async def ask(line: InviteLine, oversight: Oversight) -> list[Facts]:
        records, now = invites.known(oversight), world.now()
        rows: list[Facts] = []
        for one in await line.invites():
            state = "used" if one.taken is not None else "over" if now >= one.until else "good"
            record = records.get(one.mark)
            name = None if record is None else record.name
            rows.append({"mark": one.mark, "name": name, "state": state, "until": one.until})
        return rows

    rows = asked_as_oversight(world, folder, passphrase_file, ask)
    lines = [
        f"{str(row['mark'])[:12]}…  {row['state']:<5} until {moment(int(str(row['until'])))}  "
        f"{row['name'] or 'not made in this folder'}"
        for row in rows
    ]
    report({"invites": rows}, "\n".join(lines) or "No invitation stands.", as_json=as_json)


@invite.command("withdraw")
@click.argument("mark", cls=Id)
@OVERSIGHT
@PASSPHRASE
@JSON
@click.pass_obj
def invite_withdraw(
    world: World, mark: str, folder: Path, passphrase_file: Path | None, as_json: bool
) -> None:
    """Take an invitation back, and whatever came with it. MARK is its beginning, from invite list.

    \b
    Example:
      fenpost-keys invite withdraw AbCdEf12 --partnership-dir partnership
    """
    from schemas.errors import Refusal
    from schemas.invite import Invite

    async def ask(line: InviteLine, _oversight: Oversight) -> str:
        match = [one for one in await line.invites() if one.mark.startswith(mark) and len(mark) >= 6]
        if len(match) != 1:
            raise Refusal("INVITE", "That is not one invitation. Look: fenpost-keys invite list")
        await line.post_invite(Invite(act="withdraw", mark=match[0].mark, until=match[0].until))
        return match[0].mark

    found = asked_as_oversight(world, folder, passphrase_file, ask)
    report({"mark": found, "withdrawn": True}, f"{found[:12]}… is withdrawn.", as_json=as_json)
