"""fenpost-keys backup and recover shares. Parses the command line; the work is in the modules beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.backup_opening import BY_SHARES, ROOTS, SHARE_FILE, opened
from keys_tooling.console import World, report, tell
from keys_tooling.options import DEMONSTRATION, DRY, FILE, JSON, YES, as_one

if TYPE_CHECKING:
    from collections.abc import Callable

    from keys_tooling.backup import Head, Kept, Opened
    from keys_tooling.plan import Facts
    from keys_tooling.share_pages import SharePage

PAGE = re.compile(r"[A-Z2-7]{4}-[A-Z2-7]{4}-share-[0-9]{1,2}-of-[0-9]{1,2}\.(txt|pdf)")
SPENT = re.compile(r"old-[^/]*")
"""Replaced key files, which are to be destroyed."""


@dataclass(frozen=True, slots=True)
class Locks:
    """What is to open a new backup, and how it is told."""

    pages: Path | None
    need: int
    of: int
    shares_only: bool
    backup_passphrase_file: Path | None
    pdf: bool
    demonstration_cost: bool
    yes: bool
    dry: bool
    as_json: bool

    def goes_on(self, plan: str, facts: Facts) -> bool:
        from keys_tooling.making import goes_on

        return goes_on(plan, facts, yes=self.yes, dry=self.dry, as_json=self.as_json)

    def check(self) -> None:
        """Raises click.UsageError when nothing would open it."""
        if self.shares_only and self.pages is None:
            raise click.UsageError("--shares-only needs --shares, or nothing would open the backup.")
        if self.need > self.of:
            raise click.UsageError("--need cannot be more than --of.")


_locks = as_one(
    "locks",
    Locks,
    click.option("--shares", "pages", type=FILE, help="A new folder for the shares, one page each."),
    click.option(
        "--need",
        type=click.IntRange(2, 16),
        default=3,
        show_default=True,
        help="How many shares open the backup.",
    ),
    click.option(
        "--of", type=click.IntRange(2, 16), default=5, show_default=True, help="How many shares there are."
    ),
    click.option("--shares-only", is_flag=True, help="No passphrase opens the backup, only its shares."),
    click.option(
        "--backup-passphrase-file",
        type=FILE,
        help="A file with the backup's own passphrase, readable by you only. Asked for otherwise.",
    ),
    click.option("--pdf", is_flag=True, help="Write each page as PDF too (needs the extra 'pdf')."),
    DEMONSTRATION,
    YES,
    DRY,
    JSON,
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
@_locks
@click.pass_obj
def backup(
    world: World,
    folder: Path,
    out: Path,
    chosen: tuple[str, ...],
    passphrase_files: tuple[Path, ...],
    keep_locked: bool,
    locks: Locks,
) -> None:
    """Keep a folder's key files in one locked file, and its secret as shares on paper.

    Whoever has the backup and its passphrase, or enough shares, has every key in it. The agent's store is not in it,
    and the root keys are only when they are named: each in a backup of its own. It says first what it will make.
    Killed at any moment, run it again.

    \b
    Example:
      fenpost-keys backup --dir peacock --out /media/safe/peacock.fpb --shares shares
      fenpost-keys backup --dir safe --file roots.fpk --out roots.fpb --shares shares --shares-only
    """
    from keys_tooling.backup import Opened
    from keys_tooling.backup_files import gathered, names
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
    locks.check()
    passphrases = (
        () if keep_locked else tuple(known_passphrase(file, "the key files") for file in passphrase_files)
    )
    if not passphrases and not keep_locked:
        passphrases = (known_passphrase(None, "the key files"),)
    kept = gathered(folder, files, passphrases, keep_locked=keep_locked)
    now = world.now()
    head = _head(world, files, _agency(kept), now, now, locks)
    _made(world, Opened(head, kept, world.draw(32)), out, locks)


@click.command("shares")
@click.argument("backup_file", metavar="BACKUP", type=FILE)
@click.option("--out", type=FILE, required=True, help="The new backup to make.")
@click.option(
    "--passphrase-file", type=FILE, help="A file with the old backup's passphrase. Asked for otherwise."
)
@SHARE_FILE
@BY_SHARES
@_locks
@click.pass_obj
def recover_shares(
    world: World,
    backup_file: Path,
    out: Path,
    passphrase_file: Path | None,
    share_files: tuple[Path, ...],
    by_shares: bool,
    locks: Locks,
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

    if locks.pages is None:
        raise click.UsageError("Say where the new pages go, with --shares.")
    locks.check()
    old = opened(backup_file, passphrase_file, share_files, by_shares=by_shares)
    head = _head(world, old.head.files, old.head.agency, old.head.taken, world.now(), locks)
    if _made(world, Opened(head, old.files, world.draw(32)), out, locks):
        tell(f"Destroy the old backup {old.head.id}, every copy of it, and its old pages.")


def _head(
    world: World, files: tuple[str, ...], agency: str | None, taken: int, made: int, locks: Locks
) -> Head:
    from pydantic import ValidationError

    from keys_tooling.backup import Head, new_name

    shared = locks.pages is not None
    try:
        return Head(
            v=1,
            id=new_name(world.draw),
            agency=agency,
            made=made,
            taken=taken,
            files=files,
            need=locks.need if shared else None,
            of=locks.of if shared else None,
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


def _made(world: World, opened: Opened, out: Path, locks: Locks) -> bool:
    """The backup and its pages, said first, made and reported; False after a dry run."""
    from functools import partial

    from keys_tooling.backup import MOST, Backup
    from keys_tooling.carrying_out import given
    from keys_tooling.keyfiles import read_public
    from keys_tooling.making import described, making

    head, pages = opened.head, _pages(opened)
    told = given(files=head.files, pages=locks.pages and locks.pages.absolute(), need=head.need, of=head.of)
    with making(out, told, dry=locks.dry, elsewhere=partial(_is_page, locks.pages)) as made:
        if not made.before:
            names = [f"{page.name}.{kind}" for page in pages for kind in ("txt", "pdf")[: 1 + locks.pdf]]
            others = [locks.pages / name for name in names if locks.pages is not None]
            made.check_free(others)
            if not locks.goes_on(
                described(_lines(head, out, locks)), {"files": list(head.files), "out": str(out)}
            ):
                return False
            _write(world, opened, pages, out, locks, lambda: made.begin(others))
        _said(Backup.parse(read_public(out, MOST)).head, out, locks)
    return True


def _is_page(pages: Path | None, path: Path) -> bool:
    """Whether a share's page may have this name, of whichever backup."""
    return pages is not None and path.parent == pages.resolve() and PAGE.fullmatch(path.name) is not None


def _lines(head: Head, out: Path, locks: Locks) -> list[str]:
    """What will happen."""
    opens = [] if locks.shares_only else ["its own passphrase"]
    opens += [f"any {head.need} of {head.of} pages in {locks.pages}"] if locks.pages else []
    return [f"{out} is made, which {' or '.join(opens)} opens", f"it holds {', '.join(head.files)}"]


def _pages(opened: Opened) -> list[SharePage]:
    from keys_tooling.share_pages import SharePage
    from keys_tooling.shares import split

    head = opened.head
    if head.need is None or head.of is None or head.set is None:
        return []
    return [SharePage(head, share) for share in split(opened.secret, head.need, head.of, head.set)]


def _write(
    world: World, opened: Opened, pages: list[SharePage], out: Path, locks: Locks, begin: Callable[[], None]
) -> None:
    from contextlib import ExitStack

    from keys_tooling.backup import make
    from keys_tooling.demonstration import cost
    from keys_tooling.keyfiles import new_files
    from keys_tooling.passphrases import new_passphrase

    passphrase = None if locks.shares_only else new_passphrase(locks.backup_passphrase_file, "the backup")
    made = [(f"{page.name}.txt", page.text().encode()) for page in pages]
    made += [(f"{page.name}.pdf", page.pdf()) for page in pages if locks.pdf]
    data = make(opened.head, opened, passphrase, cost(locks.demonstration_cost), world.draw)
    begin()
    with ExitStack() as stack:
        files = stack.enter_context(new_files(out.parent))
        if locks.pages is not None:
            beside = stack.enter_context(new_files(locks.pages))
            for name, text in made:
                beside.secret(name, text)
        files.secret(out.name, data)


def _said(head: Head, out: Path, locks: Locks) -> None:
    facts = {
        "backup": head.id,
        "files": list(head.files),
        "need": head.need,
        "of": head.of,
        "out": str(out),
        "shares": None if locks.pages is None else str(locks.pages),
    }
    lines = [f"Backup {head.id} is made: {out}", f"It holds: {', '.join(head.files)}"]
    if locks.pages is not None:
        lines += [
            f"{head.of} pages are in {locks.pages}, one share on each; any {head.need} of them open the backup.",
            "Print each, check it word by word, give each to another person or safe, then delete that folder.",
        ]
    lines += [
        "Keep the backup on two disks that are not in one building.",
        "Try it once: fenpost-keys restore into an empty folder, then delete that folder.",
    ]
    report(facts, "\n".join(lines), as_json=locks.as_json)
