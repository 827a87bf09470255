"""fenpost-audit: what an IG officer types. Parses the command line; the work is in keys_tooling.audit."""

from __future__ import annotations

import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.audit.evidence_commands import export
from keys_tooling.audit.handover_commands import handover
from keys_tooling.audit.loss_commands import loss
from keys_tooling.audit.progress import progress_bar
from keys_tooling.audit.purpose import Occasion, purposed
from keys_tooling.audit.query_commands import query
from keys_tooling.console import REFUSED, World, report, run, width
from keys_tooling.options import DEMONSTRATION, FILE, JSON, OFFICER, PASSPHRASE
from keys_tooling.report_main import report as reports
from keys_tooling.retention_main import retention
from keys_tooling.token_pins import PIN_FILE

if TYPE_CHECKING:
    from keys_tooling.audit.read import Reading
    from schemas.reasons import Act


def main() -> None:
    """The program's entrance."""
    run(audit, World(time.time, secrets.token_bytes))


@click.group()
@PIN_FILE
@click.version_option(package_name="fenpost", message="%(version)s")
def audit() -> None:
    """Keep your own copy of the audit log, prove that it is whole, and read your agency's entries.

    \b
    Example:
      fenpost-audit pull --dir officer && fenpost-audit verify --dir officer
    """


audit.add_command(retention)


@audit.command("init")
@OFFICER
@click.option(
    "--person",
    default="ig",
    show_default=True,
    help="The role that the card names, such as ig-3 or deputy-4, never a name.",
)
@PASSPHRASE
@DEMONSTRATION
@JSON
@click.pass_obj
def audit_init(
    world: World,
    folder: Path,
    person: str,
    passphrase_file: Path | None,
    demonstration_cost: bool,
    as_json: bool,
) -> None:
    """Make an IG officer's keys, and the card that she hands to her agency's administrator.

    \b
    Example:
      fenpost-audit init --dir officer
    """
    from keys_tooling.audit import officer_folder
    from keys_tooling.demonstration import cost
    from keys_tooling.passphrases import new_passphrase

    passphrase = new_passphrase(passphrase_file, "the officer's keys")
    card, number = officer_folder.init(folder, person, passphrase, cost(demonstration_cost), world)
    text = (
        f"Card           {card}\n"
        f"Safety number  {number}\n\n"
        "Hand the card to your agency's administrator and read the safety number aloud to them.\n"
        "Keep the folder and its passphrase: without them nobody opens your agency's entries.\n\n"
        f"Next, when the agency is in:\n  fenpost-audit pull --dir {folder} --partnership partnership.json"
    )
    report({"card": str(card), "person": person, "safety_number": number}, text, as_json=as_json)


@audit.command("pull")
@OFFICER
@click.option("--partnership", "given", type=FILE, help="partnership.json; needed the first time.")
@PASSPHRASE
@JSON
@click.pass_obj
def audit_pull(
    world: World, folder: Path, given: Path | None, passphrase_file: Path | None, as_json: bool
) -> None:
    """Bring your copy of the log up to date, proving each step before it is believed. May be stopped at any time.

    It also counts which agencies, and witnesses outside the partnership, vouch for the log that you are shown. When too
    few did for more than a day, what came is kept, and the exit code is 1.

    \b
    Example:
      fenpost-audit pull --dir officer --partnership partnership.json
    """
    from agent.client import Relay
    from keys_tooling.audit import officer_folder, openings
    from keys_tooling.audit.mirror_file import open_mirror
    from keys_tooling.audit.pull import Pull, Pulled
    from keys_tooling.audit.read import opener
    from keys_tooling.audit.retaining import forget_opened
    from keys_tooling.line import asked
    from keys_tooling.passphrases import known_passphrase
    from schemas.directory import safety_number

    partnership = officer_folder.adopt(folder, given) if given else officer_folder.believed(folder)
    keys = officer_folder.open_keys(folder, known_passphrase(passphrase_file, "the officer's keys"))
    charter = partnership.charter

    async def pull(relay: Relay) -> Pulled:
        waiting = await openings.tell(relay, journal, world.now())
        done = await Pull(relay, mirror, partnership, keys, world.now(), progress).run()
        late = [oid for oid, result in waiting.items() if result.code == "OFFICERS"]
        if late:  # an officer came meanwhile: what was sealed without her is sealed again
            officer = opener(mirror, partnership, keys)
            openings.seal_again(journal, late, officer.agency.id, officer.view, keys, world)
            waiting |= await openings.tell(relay, journal, world.now())
        told.extend(result.status for result in waiting.values())
        return done

    told: list[str] = []
    journal = openings.Journal(folder)
    with open_mirror(folder, write=True) as mirror, progress_bar("Entries") as progress:
        done = asked(Relay, charter, keys.auth, world, pull)
    if done.given_up.count:
        forget_opened(folder)
    number = safety_number(charter.oversight)
    facts = {
        "entries": done.entries,
        "epochs": done.epochs,
        "given_up": done.given_up.count,
        "named_early": len(done.given_up.early),
        "new": done.new,
        "oversight_safety_number": number,
        "openings_refused": told.count("refused"),
        "openings_told": len(told) - told.count("refused"),
        "statements": done.statements,
        "vouched": done.vouched.to_json(world.now()),
        "directory_vouched": done.directory_vouched.to_json(world.now()),
    }
    text = (
        f"Entries        {done.entries:,} ({done.new:,} new), each the one that the relay signed\n"
        f"Directory      {done.statements:,} statements, replayed\n"
        f"Witnesses      {done.vouched.text(world.now())}\n"
        f"  of directory {done.directory_vouched.text(world.now())}\n"
        f"Oversight      safety number {number}"
    )
    if done.given_up.count:
        text += f"\nDeleted        {done.given_up.count:,} records, as signed statements let them go"
    if done.given_up.early:
        text += f"\nKEPT           {len(done.given_up.early):,} records were named before their time. Tell oversight"
    if told:
        text += f"\nOpenings       {facts['openings_told']} made without the relay were told now"
    if facts["openings_refused"]:
        text += f", {facts['openings_refused']} were refused: tell oversight of them yourself"
    report(facts, text, as_json=as_json)
    if "missing" in (done.vouched.state(world.now()), done.directory_vouched.state(world.now())):
        sys.exit(REFUSED)


@audit.command("verify")
@click.argument("evidence", type=FILE, required=False)
@click.option("--dir", "folder", type=FILE, help="The officer's folder.")
@click.option(
    "--partnership", "given", type=FILE, help="With EVIDENCE: the partnership.json that you believe."
)
@click.option("--show", is_flag=True, help="With EVIDENCE: also print the entries that it opens.")
@JSON
@click.option(
    "--new", "only_new", is_flag=True, help="Read only the entries that came since it was last found whole."
)
def audit_verify(
    evidence: Path | None, folder: Path | None, given: Path | None, show: bool, as_json: bool, only_new: bool
) -> None:
    """Prove, without the relay, that your copy is whole: every entry, record and checkpoint. Exit code 1 if not.

    With EVIDENCE, a file or folder that an officer exported, prove that instead: on any machine, without her keys.

    \b
    Example:
      fenpost-audit verify --dir officer
      fenpost-audit verify evidence --show
    """
    if evidence is not None and folder is None:
        from keys_tooling.audit.evidence_commands import verify_evidence

        verify_evidence(evidence, given, show=show, as_json=as_json)
        return
    if folder is None or evidence is not None:
        raise click.UsageError("Give one: the evidence to verify, or --dir with an officer's folder.")
    from keys_tooling.audit import officer_folder, verified
    from keys_tooling.audit.mirror_file import open_mirror
    from keys_tooling.audit.verify import NOTHING, verify
    from schemas.directory import safety_number

    partnership = officer_folder.believed(folder)
    with open_mirror(folder, write=False) as mirror:
        size = mirror.size()
        with progress_bar("Entries") as progress:
            since = verified.kept(folder) if only_new else NOTHING
            found = verify(mirror, partnership, lambda at: progress(at, size), since)
    if found.whole:
        verified.keep(folder, found.edge)
    number = safety_number(partnership.charter.oversight)
    report({**found.to_json(), "oversight_safety_number": number}, found.text(number), as_json=as_json)
    if not found.whole:
        sys.exit(REFUSED)


@audit.command("headers")
@purposed
@click.pass_obj
def audit_headers(world: World, at: Occasion) -> None:
    """Print the headers that the relay decided on, one a line: for `fenpost-keys policy dry-run`.

    They name agencies, times and codes, never a person; hand them on no further than you must.

    \b
    Example:
      fenpost-audit headers --dir officer > headers.jsonl
    """
    from keys_tooling.audit.headers import header_lines

    reading = _opened(world, at, "headers")
    for line in header_lines(reading):
        click.echo(line)


@audit.command("judge")
@click.argument("file", type=FILE)
@OFFICER
@JSON
def audit_judge(file: Path, folder: Path, as_json: bool) -> None:
    """Judge the two-logs.json that an agent wrote when it raised the alarm. Exit code 1 when it proves a forked log.

    \b
    Example:
      fenpost-audit judge two-logs.json --dir officer
    """
    from keys_tooling.audit import officer_folder
    from keys_tooling.audit.judge import judge
    from keys_tooling.audit.mirror_file import open_mirror
    from keys_tooling.keyfiles import read_public
    from schemas.forked import FILE_LIMIT, TwoNotes

    two = TwoNotes.parse(read_public(file, FILE_LIMIT))
    with open_mirror(folder, write=False) as mirror:
        found = judge(two, officer_folder.believed(folder), mirror)
    report(found.to_json(), found.text(), as_json=as_json)
    if found.proven:
        sys.exit(REFUSED)


@audit.command("read")
@purposed
@JSON
@click.pass_obj
def audit_read(world: World, at: Occasion, as_json: bool) -> None:
    """Open the entries of your agency. What belongs to others is counted and stays closed.

    That you did, and why, is logged at the relay first, for the officers of your agency and of oversight. An entry
    marked ! holds something that does not fit what was signed; the exit code is 1 then.

    \b
    Example:
      fenpost-audit read --dir officer
    """
    from keys_tooling.audit import table

    found = _opened(world, at, "read")
    if as_json:
        report(table.facts(found), "", as_json=True)
    else:
        report({}, table.table(found, width()), as_json=False)
    if found.faulty:
        sys.exit(REFUSED)


audit.add_command(export)
audit.add_command(query)
audit.add_command(handover)
audit.add_command(loss)
audit.add_command(reports)


def _opened(world: World, at: Occasion, act: Act) -> Reading:
    """Every entry that she can open, once the log was told that she opened them."""
    from keys_tooling.audit.mirror_file import open_mirror
    from keys_tooling.audit.read import read

    session = at.session(world)
    with open_mirror(at.folder, write=False) as mirror:
        size = mirror.size()
        with progress_bar("Entries") as progress:
            handed = session.taken()
            found = read(mirror, session.partnership, session.keys, lambda n: progress(n, size), handed)
    session.announce(act, "", found.range(), found.agency.id, found.view, at.purpose)
    return found
