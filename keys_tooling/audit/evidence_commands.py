"""`fenpost-audit export`, and `verify` of what it wrote."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import click

from keys_tooling.audit.progress import progress_bar
from keys_tooling.audit.purpose import Purpose, purposed
from keys_tooling.console import REFUSED, World, explain, report
from keys_tooling.options import FILE
from schemas.reasons import Why


@click.command()
@click.option("--dir", "folder", type=FILE, required=True, help="The officer's folder.")
@click.option("--to", "out", type=FILE, required=True, help="A new folder for the evidence.")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first entry.")
@click.option("--last", type=click.IntRange(min=0), help="The last entry; the newest when left out.")
@click.option(
    "--message", "mids", multiple=True, help="Only the entries of this message. May be given again."
)
@click.option(
    "--sealed", is_flag=True, help="Prove the entries without opening them to whoever has the file."
)
@click.option(
    "--passphrase-file",
    type=FILE,
    help="A file with the passphrase, readable by you only. Asked for otherwise.",
)
@purposed
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def export(
    world: World,
    /,
    folder: Path,
    out: Path,
    first: int,
    last: int | None,
    mids: tuple[str, ...],
    sealed: bool,
    passphrase_file: Path | None,
    why: Why,
    words: str,
    offline: bool,
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
    from keys_tooling.audit.session import Session
    from schemas.errors import Refusal

    if (out / exporting.FILE).exists():
        raise Refusal("EXISTS")
    session = Session.begin(folder, passphrase_file, world)
    purpose = Purpose(why, words, offline)
    with open_index(folder, session.partnership, session.keys, world.draw, lambda _at: None) as index:
        officer = index.officer
        end = index.size - 1 if last is None else last
        found = [row for row in index.rows(start=first, end=end + 1) if not mids or row.mid in mids]
        if not found:
            raise Refusal("NOT_FOUND", "None of your entries is among those. Nothing was written.")
        only = frozenset(row.seq for row in found) if mids else None
        chosen = exporting.Chosen(found[0].seq, found[-1].seq, only, sealed)
        entries = (len(found), found[0].seq, found[-1].seq)
        oid = session.announce("export", "", entries, officer.agency.id, officer.view, purpose)
        made = exporting.contents(officer, session.partnership, chosen, oid, world.now())
        with progress_bar("Entries") as progress:
            path, count = exporting.write(
                out, made, session.keys, chosen, lambda at: progress(at, len(found))
            )
    facts = {"entries": count, "file": str(path), "first": chosen.first, "last": chosen.last, "opening": oid}
    text = (
        f"Entries        {count:,}, from {chosen.first:,} to {chosen.last:,}{' (sealed)' if sealed else ''}\n"
        f"Evidence       {path}\n\nNext, on any machine:\n  fenpost-audit verify {path}"
    )
    report(dict(facts), text, as_json=as_json)


def verify_evidence(path: Path, given: Path | None, *, show: bool, as_json: bool) -> None:
    """Verify a file of evidence, and print what it says; exit code 1 when it does not hold."""
    from keys_tooling.audit import table
    from keys_tooling.audit.evidence import Bad, Verified, verify
    from keys_tooling.audit.exporting import FILE as NAME
    from keys_tooling.audit.read import Reading
    from keys_tooling.keyfiles import read_public
    from schemas.directory import safety_number
    from schemas.errors import Refusal
    from schemas.partnership import FILE_LIMIT, Partnership

    partnership = None if given is None else Partnership.parse(read_public(given, FILE_LIMIT))
    try:
        with (path / NAME if path.is_dir() else path).open("rb") as file:
            found: Verified = verify(file.readline, partnership)
    except OSError as error:
        raise Refusal("FILE", f"{path.name} cannot be read. Check the name of the file.") from error
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
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    click.echo("\n".join([*lines, *(["", table.entries(reading, width)] if show else [])]))
