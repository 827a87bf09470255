"""fenpost-keys backup, restore and recover shares. Parses the command line; the work is in the modules beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.console import World, paragraphs, report, tell
from keys_tooling.options import DEMONSTRATION, FILE, JSON
from schemas.errors import Refusal

if TYPE_CHECKING:
    from keys_tooling.backup import Backup, Head, Kept, Opened
    from keys_tooling.shares import Share39
    from schemas.keyfile import Cost

TRIES = 5
ROOTS = re.compile(r"(next-)?roots?(-[^/]*)?\.fpk")
"""Root keys: the founding's, a holder's own, a recovery's. In a backup only when named, and one file alone."""
SPENT = re.compile(r"old-[^/]*")
"""Replaced key files, which are to be destroyed."""
_shares = click.option("--shares", "pages", type=FILE, help="A new folder for the shares, one page each.")
_need = click.option(
    "--need",
    type=click.IntRange(2, 16),
    default=3,
    show_default=True,
    help="How many shares open the backup.",
)
_of = click.option(
    "--of", type=click.IntRange(2, 16), default=5, show_default=True, help="How many shares there are."
)
_only = click.option("--shares-only", is_flag=True, help="No passphrase opens the backup, only its shares.")
_pdf = click.option("--pdf", is_flag=True, help="Write each page as PDF too (needs the extra 'pdf').")
_new = click.option(
    "--backup-passphrase-file",
    type=FILE,
    help="A file with the backup's own passphrase, readable by you only. Asked for otherwise.",
)
_share_file = click.option(
    "--share-file",
    "share_files",
    type=FILE,
    multiple=True,
    help="A file with one share, readable by you only. Repeatable. Without any, shares are typed.",
)
_by_shares = click.option(
    "--by-shares", is_flag=True, help="Open it with shares, though it has a passphrase."
)


@click.command("backup")
@click.option("--dir", "folder", type=FILE, required=True, help="The folder with the key files.")
@click.option("--out", type=FILE, required=True, help="The backup to make. It goes on another disk.")
@click.option(
    "--file",
    "chosen",
    multiple=True,
    help="A file of the folder. Repeatable. [default: every key file but roots]",
)
@click.option(
    "--passphrase-file",
    "passphrase_files",
    type=FILE,
    multiple=True,
    help="A passphrase that opens key files. Repeatable, where they have several. Asked for otherwise.",
)
@click.option("--keep-locked", is_flag=True, help="Keep each key file under its own passphrase, unopened.")
@_shares
@_need
@_of
@_only
@_new
@_pdf
@DEMONSTRATION
@JSON
@click.pass_obj
def backup(
    world: World,
    folder: Path,
    out: Path,
    chosen: tuple[str, ...],
    passphrase_files: tuple[Path, ...],
    keep_locked: bool,
    pages: Path | None,
    need: int,
    of: int,
    shares_only: bool,
    backup_passphrase_file: Path | None,
    pdf: bool,
    demonstration_cost: bool,
    as_json: bool,
) -> None:
    """Keep a folder's key files in one locked file, and its secret as shares on paper.

    Whoever has the backup and its passphrase, or enough shares, has every key in it. The agent's store is not in it,
    and the root keys are only when they are named: each in a backup of its own.

    \b
    Example:
      fenpost-keys backup --dir peacock --out /media/safe/peacock.fpb --shares shares
      fenpost-keys backup --dir safe --file roots.fpk --out roots.fpb --shares shares --shares-only
    """
    from keys_tooling.backup import Opened
    from keys_tooling.backup_files import gathered, names
    from keys_tooling.demonstration import cost
    from keys_tooling.passphrases import known_passphrase

    files = chosen or tuple(
        name for name in names(folder) if not ROOTS.fullmatch(name) and not SPENT.fullmatch(name)
    )
    if not files:
        raise click.UsageError("There is no key file in that folder.")
    if sum(1 for name in set(files) if ROOTS.fullmatch(name)) > 1:
        raise click.UsageError(
            "roots.fpk and next-roots.fpk never go into one backup: whoever had it had both."
        )
    _check_shares(pages, need, of, shares_only=shares_only)
    passphrases = (
        () if keep_locked else tuple(known_passphrase(file, "the key files") for file in passphrase_files)
    )
    if not passphrases and not keep_locked:
        passphrases = (known_passphrase(None, "the key files"),)
    kept = gathered(folder, files, passphrases, keep_locked=keep_locked)
    now = world.now()
    head = _head(world, files, _agency(kept), now, now, need if pages else None, of)
    opened = Opened(head, kept, world.draw(32))
    _write(world, opened, out, pages, shares_only, backup_passphrase_file, cost(demonstration_cost), pdf=pdf)
    _said(head, out, pages, as_json=as_json)


@click.command("restore")
@click.argument("backup_file", metavar="BACKUP", type=FILE)
@click.option("--dir", "folder", type=FILE, required=True, help="The folder to put key files into.")
@click.option("--file", "chosen", multiple=True, help="Only this file of the backup. Repeatable.")
@click.option(
    "--passphrase-file", type=FILE, help="A file with the backup's passphrase. Asked for otherwise."
)
@_share_file
@_by_shares
@click.option(
    "--new-passphrase-file",
    type=FILE,
    help="A file with the passphrase that the restored key files get. Asked for otherwise.",
)
@DEMONSTRATION
@JSON
@click.pass_obj
def restore(
    world: World,
    backup_file: Path,
    folder: Path,
    chosen: tuple[str, ...],
    passphrase_file: Path | None,
    share_files: tuple[Path, ...],
    by_shares: bool,
    new_passphrase_file: Path | None,
    demonstration_cost: bool,
    as_json: bool,
) -> None:
    """Put a backup's key files back. Nothing is overwritten; stopped half-way, run it again.

    \b
    Example:
      fenpost-keys restore /media/safe/peacock.fpb --dir peacock
    """
    from keys_tooling import backup_files
    from keys_tooling.demonstration import cost
    from keys_tooling.passphrases import new_passphrase

    opened = _opened(backup_file, passphrase_file, share_files, by_shares=by_shares)
    unknown = sorted(set(chosen) - set(opened.head.files))
    if unknown:
        raise click.UsageError(f"The backup holds no {unknown[0]}. It holds: {', '.join(opened.head.files)}")
    kept = [one for one in opened.files if not chosen or one.name in chosen]
    new = None
    if any(one.holds is not None for one in kept):
        passphrase = new_passphrase(new_passphrase_file, "the restored key files")
        new = backup_files.NewLock(passphrase, cost(demonstration_cost))
    done = backup_files.restore(folder, kept, new, world)
    steps = next_steps([one.name for one in kept])
    facts = {
        "backup": opened.head.id,
        "made": list(done.made),
        "next": steps,
        "taken": opened.head.taken,
        "there": list(done.there),
    }
    lines = [f"{name}: restored" for name in done.made] + [
        f"{name}: was there already" for name in done.there
    ]
    report(facts, "\n".join([*lines, "", "Now:", *(f"- {step}" for step in steps)]), as_json=as_json)


@click.command("shares")
@click.argument("backup_file", metavar="BACKUP", type=FILE)
@click.option("--out", type=FILE, required=True, help="The new backup to make.")
@click.option(
    "--passphrase-file", type=FILE, help="A file with the old backup's passphrase. Asked for otherwise."
)
@_share_file
@_by_shares
@_shares
@_need
@_of
@_only
@_new
@_pdf
@DEMONSTRATION
@JSON
@click.pass_obj
def recover_shares(
    world: World,
    backup_file: Path,
    out: Path,
    passphrase_file: Path | None,
    share_files: tuple[Path, ...],
    by_shares: bool,
    pages: Path | None,
    need: int,
    of: int,
    shares_only: bool,
    backup_passphrase_file: Path | None,
    pdf: bool,
    demonstration_cost: bool,
    as_json: bool,
) -> None:
    """A share was lost or seen: make the backup anew, under a new secret with new shares.

    Old shares open nothing of the new backup, and old and new ones do not combine. Whoever kept a copy of the old
    backup can still open that one with old shares: destroy it, and the old pages. Keys that may have been read are to
    be rotated.

    \b
    Example:
      fenpost-keys recover shares old.fpb --out new.fpb --shares new-shares --by-shares
    """
    from keys_tooling.backup import Opened
    from keys_tooling.demonstration import cost

    if pages is None:
        raise click.UsageError("Say where the new pages go, with --shares.")
    _check_shares(pages, need, of, shares_only=shares_only)
    old = _opened(backup_file, passphrase_file, share_files, by_shares=by_shares)
    head = _head(world, old.head.files, old.head.agency, old.head.taken, world.now(), need, of)
    new = Opened(head, old.files, world.draw(32))
    _write(world, new, out, pages, shares_only, backup_passphrase_file, cost(demonstration_cost), pdf=pdf)
    tell(f"Destroy the old backup {old.head.id}, every copy of it, and its old pages.")
    _said(head, out, pages, as_json=as_json)


AGENT_STEPS = paragraphs("""\
Make sure that the old agent runs nowhere: two agents with the same keys take each other's messages. The relay
reports it.

The agent's store is not in a backup: what was received and read there is gone from here, and nobody can bring it back.
Look for a copy of agent.db.

Messages that your agency had confirmed have ended at the relay and do not come again. Those not yet confirmed are
collected again by themselves.

Receiving keys that the agent had made by itself were in its store. Make new running keys: fenpost-keys recover agent.
What was sealed to the lost ones nobody can open; its senders are asked to seal it again.

Write the new passphrase into the agent's passphrase file. Then: fenpost-agent init --dir FOLDER, and fenpost-agent run
--dir FOLDER""")


def next_steps(files: list[str]) -> list[str]:
    """What people must do after these files were restored."""
    steps = list(AGENT_STEPS) if "agent.fpk" in files else []
    if "relay/relay.fpk" in files:
        steps.append("Write the new passphrase into the file that relay.toml names (passphrase_file).")
    if any(ROOTS.fullmatch(name) for name in files):
        steps.append(
            "Take the root keys off this machine again, roots.fpk and next-roots.fpk to different places."
        )
    return [*steps, "Look whether everything fits: fenpost-keys check --dir FOLDER"]


def _check_shares(pages: Path | None, need: int, of: int, *, shares_only: bool) -> None:
    if shares_only and pages is None:
        raise click.UsageError("--shares-only needs --shares, or nothing would open the backup.")
    if need > of:
        raise click.UsageError("--need cannot be more than --of.")


def _head(
    world: World,
    files: tuple[str, ...],
    agency: str | None,
    taken: int,
    made: int,
    need: int | None,
    of: int,
) -> Head:
    from pydantic import ValidationError

    from keys_tooling.backup import Head, new_name

    shared = need is not None
    try:
        return Head(
            v=1,
            id=new_name(world.draw),
            agency=agency,
            made=made,
            taken=taken,
            files=files,
            need=need,
            of=of if shared else None,
            set=int.from_bytes(world.draw(2), "big") >> 1 if shared else None,
        )
    except ValidationError:
        raise click.UsageError(
            "A file's name is small letters, digits, dots and hyphens, in this folder."
        ) from None


def _agency(kept: tuple[Kept, ...]) -> str | None:
    """Whose keys these are, if opened files say it."""
    said = [one.secrets for one in kept]
    found = {one["agency"] for one in said if isinstance(one, dict) and "agency" in one}
    return found.pop() if len(found) == 1 else None


def _write(
    world: World,
    opened: Opened,
    out: Path,
    pages: Path | None,
    shares_only: bool,
    passphrase_file: Path | None,
    cost: Cost,
    *,
    pdf: bool,
) -> None:
    from contextlib import ExitStack

    from keys_tooling.backup import make
    from keys_tooling.keyfiles import new_files
    from keys_tooling.passphrases import new_passphrase
    from keys_tooling.share_pages import SharePage
    from keys_tooling.shares import split

    head = opened.head
    passphrase = None if shares_only else new_passphrase(passphrase_file, "the backup")
    printed = []
    if head.need is not None and head.of is not None and head.set is not None:
        printed = [SharePage(head, share) for share in split(opened.secret, head.need, head.of, head.set)]
    made = [(f"{page.name}.txt", page.text().encode()) for page in printed]
    made += [(f"{page.name}.pdf", page.pdf()) for page in printed if pdf]
    data = make(head, opened, passphrase, cost, world.draw)
    with ExitStack() as stack:
        files = stack.enter_context(new_files(out.parent))
        files.absent(out.name)
        if pages is not None:
            beside = stack.enter_context(new_files(pages))
            beside.absent(*(name for name, _ in made))
            for name, text in made:
                beside.secret(name, text)
        files.secret(out.name, data)


def _opened(
    path: Path, passphrase_file: Path | None, share_files: tuple[Path, ...], *, by_shares: bool
) -> Opened:
    from keys_tooling.backup import MOST, Backup
    from keys_tooling.keyfiles import read_public
    from keys_tooling.passphrases import known_passphrase

    found = Backup.parse(read_public(path, MOST))
    tell(f"Backup {found.head.id}, as it says of itself. It holds: {', '.join(found.head.files)}")
    if share_files or by_shares or not found.slot:
        return found.open(_from_shares(found, share_files))
    return found.open(found.secret(known_passphrase(passphrase_file, "the backup")))


def _from_shares(found: Backup, share_files: tuple[Path, ...]) -> bytes:
    from keys_tooling.backup_files import read_share
    from keys_tooling.shares import combine

    if found.head.need is None:
        raise click.UsageError("This backup has no shares. It opens with its passphrase.")
    if share_files:
        given = [read_share(path) for path in share_files]
        for name, share in given:
            _check_set(found, name, share.set)
        return combine(given)
    return combine(_typed(found))


def _typed(found: Backup) -> list[tuple[str, Share39]]:
    """Shares from the terminal, unseen, each checked at once, so that its holder can look at her page again."""
    import sys

    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to type shares at: give --share-file.")
    given: list[tuple[str, Share39]] = []
    while len(given) < (found.head.need or 0):
        given.append(_one_share(found, given))
        tell(f"Share {given[-1][1].number} is right.")
    return given


def _one_share(found: Backup, given: list[tuple[str, Share39]]) -> tuple[str, Share39]:
    from keys_tooling.shares import read

    name = f"share {len(given) + 1} of the {found.head.need} needed"
    for left in range(TRIES, 0, -1):
        text: str = click.prompt(f"Type {name}: all its words in one line, unseen", hide_input=True, err=True)
        try:
            share = read(text, f"What you typed as {name}")
            _check_set(found, f"What you typed as {name}", share.set)
            if any(share.number == other.number for _, other in given):
                raise Refusal(
                    "SHARE", f"Share {share.number} was typed already. Another holder must type hers."
                )
        except Refusal as refusal:
            if left == 1:
                raise
            tell(f"{refusal.code}: {refusal.say}")
        else:
            return f"share {share.number}", share
    raise Refusal("SHARE")


def _check_set(found: Backup, name: str, shares: int) -> None:
    if shares != found.head.set:
        raise Refusal(
            "SHARE",
            f"{name} is of another backup, or of a set that was replaced. Look for the page that says {found.head.id}.",
        )


def _said(head: Head, out: Path, pages: Path | None, *, as_json: bool) -> None:
    facts = {
        "backup": head.id,
        "files": list(head.files),
        "need": head.need,
        "of": head.of,
        "out": str(out),
        "shares": None if pages is None else str(pages),
    }
    lines = [f"Backup {head.id} is made: {out}", f"It holds: {', '.join(head.files)}"]
    if pages is not None:
        lines += [
            f"{head.of} pages are in {pages}, one share on each; any {head.need} of them open the backup.",
            "Print each, check it word by word, give each to another person or safe, then delete that folder.",
        ]
    lines += [
        "Keep the backup on two disks that are not in one building.",
        "Try it once: fenpost-keys restore into an empty folder, then delete that folder.",
    ]
    report(facts, "\n".join(lines), as_json=as_json)
