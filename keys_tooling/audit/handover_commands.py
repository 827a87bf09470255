"""`fenpost-audit handover`: the keys of entries, from one officer of an agency to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keys_tooling.audit.progress import progress_bar
from keys_tooling.audit.purpose import Occasion, purposed
from keys_tooling.console import World, report
from keys_tooling.options import FILE, JSON, PASSPHRASE

if TYPE_CHECKING:
    from keys_tooling.audit.handing import HandoverFile
    from keys_tooling.audit.session import Session
    from schemas.handover import Of

_dir = click.option("--dir", "folder", type=FILE, required=True, help="Your own officer's folder.")


@click.group()
def handover() -> None:
    """Pass on the keys of your entries: to your successor, or under dual control to the officer beside you.

    \b
    Example:
      fenpost-audit handover give --dir old --to officer.json --out handover.fph
      fenpost-audit handover take handover.fph --dir new
    """


@handover.command("give")
@click.option("--to", "card", type=FILE, required=True, help="Her officer.json; her agency has enrolled it.")
@click.option("--out", type=FILE, required=True, help="A new file; it opens for her alone.")
@click.option("--shares", is_flag=True, help="Only join in an opening under dual control.")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first entry.")
@click.option("--last", type=click.IntRange(min=0), help="The last entry; the newest when left out.")
@purposed
@JSON
@click.pass_obj
def give(
    world: World,
    /,
    at: Occasion,
    card: Path,
    out: Path,
    shares: bool,
    first: int,
    last: int | None,
    as_json: bool,
) -> None:
    """Seal the keys of your entries to another officer of your agency. Your own copies stay as they are.

    \b
    Example:
      fenpost-audit handover give --dir old --to officer.json --out handover.fph
    """
    from keys_tooling.audit import handing
    from keys_tooling.audit.mirror_file import open_mirror
    from keys_tooling.audit.read import opener
    from keys_tooling.keyfiles import new_files, read_public
    from keys_tooling.officer import CARD_LIMIT, parse_card
    from schemas.errors import Refusal

    if out.exists() or out.is_symlink():
        raise Refusal("EXISTS")
    session = at.session(world)
    with open_mirror(at.folder, write=False) as mirror, progress_bar("Entries") as progress:
        officer = opener(mirror, session.partnership, session.keys, session.taken())
        span = (first, mirror.size() - 1 if last is None else last)
        if not 0 <= span[0] <= span[1] < mirror.size():
            raise Refusal("BAD_VALUE", f"Your mirror holds the entries 0 to {mirror.size() - 1}.")
        act: Of = "shares" if shares else "handover"
        to = parse_card(read_public(card, CARD_LIMIT))
        made = handing.make(
            officer, to, act, span, world.now(), world.draw, lambda n: progress(n, span[1] + 1)
        )
    count = span[1] - span[0] + 1
    entries = (count, *span)
    session.announce(act, "", entries, officer.agency.id, officer.view, at.purpose)
    with new_files(out.parent) as files:
        files.secret(out.name, made.to_bytes())
    facts = {
        "file": str(out),
        "first": span[0],
        "handover": made.given.hid,
        "last": span[1],
        "to": made.given.to,
    }
    text = (
        f"Written        {out}, for entries {span[0]:,} to {span[1]:,}\n"
        "Hand it to her. It counts once she has taken it; then have your own keys revoked, if you leave."
    )
    if shares:
        text = (
            f"Written        your shares of entries {span[0]:,} to {span[1]:,}, in {out}\n"
            "They open nothing by themselves. With her own they open the relay's records, and the senders' records "
            "that lie under them, to her and not to you."
        )
    report(dict(facts), text, as_json=as_json)


@handover.command("take")
@click.argument("file", type=FILE)
@_dir
@PASSPHRASE
@JSON
@click.pass_obj
def take(world: World, /, file: Path, folder: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Take what another officer of your agency passed on to you. That you did is logged, signed by both.

    \b
    Example:
      fenpost-audit handover take handover.fph --dir new
    """
    import asyncio

    from keys_tooling.audit import handing
    from keys_tooling.audit.mirror_file import open_mirror
    from keys_tooling.audit.read import opener
    from keys_tooling.audit.session import Session
    from keys_tooling.keyfiles import read_public

    session = Session.begin(folder, passphrase_file, world)
    found = handing.HandoverFile.parse(read_public(file, handing.LIMIT))
    with open_mirror(folder, write=False) as mirror:
        officer = opener(mirror, session.partnership, session.keys)
    ring = handing.check(found, officer.view, session.keys)
    status = asyncio.run(_log(session, found, world))
    handing.keep(folder, found)
    given = found.given
    facts: dict[str, Any] = {
        "epochs": len(ring.epochs), "first": given.first, "from": given.by, "handover": given.hid, "last": given.last,
        "records": len(ring.senders), "status": status,
    }  # fmt: skip
    text = (
        f"Taken          the keys of entries {given.first:,} to {given.last:,}\n"
        "Logged         signed by both of you; entries of before stay as they were"
    )
    report(facts, text, as_json=as_json)


async def _log(session: Session, found: HandoverFile, world: World) -> str:
    """Have the handover logged, or refuse: keys that nobody else knows of are not taken."""
    from schemas import api
    from schemas.errors import Refusal
    from schemas.handover import take as signed_by_both

    signed = signed_by_both(found.signed, session.keys.auth, world.now())
    item = api.StatementIn(kind="handover", signed=api.SignedJson(**signed.to_json()))
    async with session.relay() as relay:
        answer = await relay.post_statements(api.StatementsRequest(statements=(item,)))
    [result] = answer.results
    if result.status == "refused":
        raise Refusal(result.code or "UNFORESEEN")
    return result.status
