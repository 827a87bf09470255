"""`fenpost-audit export`, and `verify` of what it wrote."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any, BinaryIO

import click

from keys_tooling.audit.progress import progress_bar
from keys_tooling.audit.purpose import Occasion, purposed
from keys_tooling.console import REFUSED, World, explain, report, shown, width
from keys_tooling.options import FILE, JSON
from schemas.errors import Refusal


@click.command()
@click.option("--to", "out", type=FILE, required=True, help="A new folder for the evidence.")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first entry.")
@click.option("--last", type=click.IntRange(min=0), help="The last entry; the newest when left out.")
@click.option(
    "--message", "mids", multiple=True, help="Only the entries of this message. May be given again."
)
@click.option(
    "--sealed", is_flag=True, help="Prove the entries without opening them to whoever has the file."
)
@purposed
@JSON
@click.pass_obj
def export(
    world: World,
    /,
    at: Occasion,
    out: Path,
    first: int,
    last: int | None,
    mids: tuple[str, ...],
    sealed: bool,
    as_json: bool,
) -> None:
    """Write evidence that anybody can verify offline: entries, their proofs, and the keys that open them.

    \b
    Example:
      fenpost-audit export --dir officer --to evidence --message MID --reason court_order
      fenpost-audit verify evidence/evidence.jsonl
    """
    from keys_tooling.audit import exporting
    from keys_tooling.audit.index import open_index

    if (out / exporting.FILE).exists():
        raise Refusal("EXISTS")
    session = at.session(world)
    size = session.size()
    with (
        progress_bar("Opening") as opening,
        open_index(
            at.folder, session.partnership, session.keys, world.draw, lambda n: opening(n, size)
        ) as index,
    ):
        officer = index.officer
        end = index.size - 1 if last is None else last
        found = [row for row in index.rows(start=first, end=end + 1) if not mids or row.mid in mids]
        if not found:
            raise Refusal("NOT_FOUND", "None of your entries is among those. Nothing was written.")
        only = frozenset(row.seq for row in found) if mids else None
        chosen = exporting.Chosen(found[0].seq, found[-1].seq, only, sealed)
        entries = (len(found), found[0].seq, found[-1].seq)
        oid = session.announce("export", "", entries, officer.agency.id, officer.view, at.purpose)
        made = exporting.contents(officer, session.partnership, chosen, oid, world.now())
        with progress_bar("Entries") as progress:
            path, count = exporting.write(out, made, session.keys, chosen, lambda n: progress(n, len(found)))
    facts = {"entries": count, "file": str(path), "first": chosen.first, "last": chosen.last, "opening": oid}
    text = (
        f"Entries        {count:,}, from {chosen.first:,} to {chosen.last:,}{' (sealed)' if sealed else ''}\n"
        f"Evidence       {path}\n\nNext, on any machine:\n  fenpost-audit verify {path}"
    )
    report(dict(facts), text, as_json=as_json)


def _opened(path: Path) -> BinaryIO:
    """The file, which was made by somebody else: a link or a pipe under its name is not followed and not waited for.

    Raises:
        Refusal: FILE.
        OSError: as os.open.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Refusal("FILE", f"{shown(path.name)} is not a file. Ask for the evidence again.")
    return os.fdopen(handle, "rb")


def verify_evidence(path: Path, given: Path | None, *, show: bool, as_json: bool) -> None:
    """Verify a file of evidence, and print what it says; exit code 1 when it does not hold."""
    from keys_tooling.audit import table
    from keys_tooling.audit.evidence import Bad, Verified, verify
    from keys_tooling.audit.exporting import FILE as NAME
    from keys_tooling.audit.read import Reading
    from keys_tooling.keyfiles import read_public
    from schemas.directory import safety_number
    from schemas.partnership import FILE_LIMIT, Partnership

    partnership = None if given is None else Partnership.parse(read_public(given, FILE_LIMIT))
    try:
        with _opened(path / NAME if path.is_dir() else path) as file, progress_bar("Bytes") as progress:
            size = os.fstat(file.fileno()).st_size
            found: Verified = verify(file.readline, partnership, lambda _entries: progress(file.tell(), size))
    except OSError as error:
        raise Refusal("FILE", f"{shown(path.name)} cannot be read. Check the name of the file.") from error
    except Bad as bad:
        if as_json:
            first = {"entry": bad.entry, "line": bad.line, "means": bad.means}
            report({"first": first, "ok": False}, "", as_json=True)
        explain(bad)
        sys.exit(REFUSED)
    reading = Reading(found.view.agencies[found.agency], found.view, found.told)
    number = safety_number(found.partnership.charter.oversight)
    if as_json:
        facts: dict[str, Any] = {"entries_shown": table.facts(reading)["entries"]} if show else {}
        counts = {
            "agency": found.agency, "entries": found.entries, "first_entry": found.first, "last_entry": found.last,
            "log_entries": found.size, "made": found.made, "officer": found.officer, "ok": True,
            "opening": found.oid, "oversight_safety_number": number, "sealed": found.sealed,
        }  # fmt: skip
        report({**facts, **counts, "first": None}, "", as_json=True)
        return
    lines = [
        "PROVEN. Every entry in it stands in the log that the relay signed, and an officer signed the whole.",
        "",
        f"Agency         {table.named(found.agency, reading)}",
        f"Entries        {found.entries:,} of a log of {found.size:,}; {found.sealed:,} stay sealed",
        f"Made           {table.time(found.made)} UTC, by officer's key {found.officer}",
        f"Logged as      {found.oid}",
        f"Oversight      safety number {number}",
    ]
    click.echo("\n".join([*lines, *(["", table.entries(reading, width())] if show else [])]))
