"""fenpost-audit retention: what officers, signers and oversight type about keeping records and letting them go."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.audit.progress import progress_bar
from keys_tooling.audit.purpose import Occasion, Purpose, purposed
from keys_tooling.console import World, report
from keys_tooling.options import FILE, JSON, OFFICER, OVERSIGHT, PASSPHRASE

if TYPE_CHECKING:
    from keys_tooling.audit.opened import Row
    from keys_tooling.audit.read import Opener
    from keys_tooling.audit.retaining import Plan
    from keys_tooling.audit.session import Session


@click.group()
def retention() -> None:
    """Let records go when their time is over, with a plan first and two signatures; hold what a review needs.

    \b
    Example:
      fenpost-audit retention plan --dir officer --out list.json
      fenpost-audit retention sign list.json --key policy-1.fpk --out once.json
      fenpost-audit retention sign once.json --key policy-2.fpk --out signed.json
      fenpost-audit retention apply signed.json --partnership-dir partnership
    """


@retention.command("plan")
@click.option("--out", type=FILE, help="Write the list of what may go, to be signed by two people.")
@purposed
@JSON
@click.pass_obj
def retention_plan(
    world: World,
    at: Occasion,
    out: Path | None,
    as_json: bool,
) -> None:
    """Which records may go now, and why the others stay. Nothing is deleted. Oversight's officer can open all.

    That you opened the entries for it is logged first, as any opening is.

    \b
    Example:
      fenpost-audit retention plan --dir officer --out list.json
    """
    from keys_tooling.audit.mirror_file import open_mirror
    from keys_tooling.audit.retaining import on_record, plan, stated
    from schemas.errors import Refusal
    from schemas.retention import SignedRetention

    rows, officer = _opened(at.session(world), at.purpose)
    policy = officer.shelf.in_force(officer.view.policies, world.now())
    if policy is None:
        raise Refusal("POLICY", "Your mirror has no policy in force. Pull, then plan again.")
    with open_mirror(at.folder, write=False) as mirror:
        named = stated(on_record(mirror, officer.view))
        found = plan(rows, mirror.missing(), named, mirror.size(), policy, world.now())
    if out is not None and found.listed is not None:
        from keys_tooling.policy import write_new

        write_new(out, SignedRetention(found.listed.text).to_bytes())
    facts = found.to_json() | {"out": None if out is None or found.listed is None else str(out)}
    report(facts, _plan_text(found, out), as_json=as_json)


@retention.command("sign")
@click.argument("file", type=FILE)
@click.option("--key", type=FILE, required=True, help="Your own policy key file.")
@click.option(
    "--out", type=FILE, required=True, help="The new file, with your signature; it must not be there yet."
)
@PASSPHRASE
@JSON
def retention_sign(file: Path, key: Path, out: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Sign a list, as one of the two people who answer for it. Read its digest to each other first.

    \b
    Example:
      fenpost-audit retention sign list.json --key policy-1.fpk --out once.json
    """
    from keys_tooling.keyfiles import read_public
    from keys_tooling.passphrases import known_passphrase
    from keys_tooling.policy import read_signer, write_new
    from keys_tooling.policy_asking import aloud
    from schemas.policing import FILE_LIMIT
    from schemas.retention import SignedRetention

    found = SignedRetention.parse(read_public(file, FILE_LIMIT))
    signer = read_signer(key, known_passphrase(passphrase_file, "your policy key"))
    signed = found.signed_by(signer.key)
    write_new(out, signed.to_bytes())
    body = signed.body()
    text = (
        f"Digest         {aloud(body.digest)}\n"
        f"Records        {body.count:,}\n"
        f"Signed by      {len(body.sigs)}\n"
        f"File           {out}"
    )
    facts = {"count": body.count, "digest": body.digest, "out": str(out), "signatures": len(body.sigs)}
    report(facts, text, as_json=as_json)


@retention.command("apply")
@click.argument("file", type=FILE)
@OVERSIGHT
@click.option("--yes", is_flag=True, help="Do not ask.")
@PASSPHRASE
@JSON
@click.pass_obj
def retention_apply(
    world: World, file: Path, folder: Path, yes: bool, passphrase_file: Path | None, as_json: bool
) -> None:
    """Put a list that two people signed on record, as oversight. Deletion begins when its notice is over.

    \b
    Example:
      fenpost-audit retention apply signed.json --partnership-dir partnership
    """
    from agent.client import Relay
    from keys_tooling.admission import Oversight
    from keys_tooling.audit import retention_asking as asking
    from keys_tooling.keyfiles import read_public
    from keys_tooling.line import asked
    from keys_tooling.moments import moment
    from keys_tooling.passphrases import known_passphrase
    from keys_tooling.policy_asking import aloud
    from schemas.policing import FILE_LIMIT
    from schemas.retention import RetentionList, SignedRetention

    found = SignedRetention.parse(read_public(file, FILE_LIMIT))
    listed, body = RetentionList.parse(found.text), found.body()
    begins = world.now() + listed.notice
    if not as_json:
        click.echo(
            f"Records        {body.count:,}, in {len(listed.ranges):,} runs\n"
            f"Digest         {aloud(body.digest)}\n"
            f"Deleted from   {moment(begins)}; until then a hold keeps what it names"
        )
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("There is no terminal to ask: read the plan above, then give --yes.")
        click.confirm("Delete them then", abort=True, err=True)
    oversight = Oversight.open(folder, known_passphrase(passphrase_file, "oversight's keys"))
    charter, key = oversight.partnership.charter, oversight.auth
    done = asked(Relay, charter, key, world, lambda line: asking.apply(line, oversight, found, world))
    facts = {
        "begins": done.said.ts + listed.notice, "before": done.before, "count": done.said.count,
        "digest": done.said.digest, "signers": list(done.said.signers), "statement": done.said.at,
    }  # fmt: skip
    said = "was on record already" if done.before else "is on record now"
    report(facts, f"It {said}, signed by {', '.join(done.said.signers)}.", as_json=as_json)


@retention.command("hold")
@click.option("--entries", help="Entries by their numbers, such as 3-5,9.")
@click.option("--message", "mids", multiple=True, help="Every entry of this message.")
@click.option("--thread", "threads", multiple=True, help="Every entry of every message in this thread.")
@purposed
@JSON
@click.pass_obj
def retention_hold(
    world: World,
    at: Occasion,
    entries: str | None,
    mids: tuple[str, ...],
    threads: tuple[str, ...],
    as_json: bool,
) -> None:
    """Keep records for a review, an inquiry or a court, until your agency lifts the hold. Note why yourself.

    \b
    Example:
      fenpost-audit retention hold --dir officer --thread 3q2-7wAAAAAAAAAAAAAAAA
    """
    from keys_tooling.audit import retention_asking as asking
    from schemas.ranges import count_of, ranges_of

    session = at.session(world)
    wanted = {index for first, last in _runs(entries) for index in range(first, last + 1)}
    rows = _opened(session, at.purpose)[0] if mids or threads else []
    named = {row.mid for row in rows if row.thr in threads and row.mid} | set(mids)
    wanted |= {row.seq for row in rows if row.mid in named}
    if not wanted:
        raise click.UsageError(
            "Name what to hold: --entries, --message or --thread of something that is here."
        )
    runs = ranges_of(wanted)
    agency = _agency(session)
    hid = session.asked(lambda line: asking.place(line, session.keys, agency, runs, world))
    facts = {"count": count_of(runs), "hid": hid, "ranges": [list(run) for run in runs]}
    text = f"Hold           {hid}\nEntries        {count_of(runs):,}, kept until you lift it"
    report(facts, text, as_json=as_json)


@retention.command("lift")
@click.option("--hold", "hid", required=True, help="The hold's id, as `retention holds` shows it.")
@OFFICER
@PASSPHRASE
@JSON
@click.pass_obj
def retention_lift(world: World, hid: str, folder: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Lift a hold of your agency. What a statement names and the hold kept back is deleted then.

    \b
    Example:
      fenpost-audit retention lift --hold 3q2-7wAAAAAAAAAAAAAAAA --dir officer
    """
    from keys_tooling.audit import retention_asking as asking
    from keys_tooling.audit.session import Session

    session = Session.begin(folder, passphrase_file, world)
    agency = _agency(session)
    session.asked(lambda line: asking.lift(line, session.keys, agency, hid, world))
    report({"hid": hid, "lifted": True}, "The hold is lifted.", as_json=as_json)


@retention.command("holds")
@purposed
@JSON
@click.pass_obj
def retention_holds(world: World, at: Occasion, as_json: bool) -> None:
    """The holds that stand, as far as your copy of the log shows them: your agency's; to oversight, everybody's.

    \b
    Example:
      fenpost-audit retention holds --dir officer
    """
    from keys_tooling.audit.retaining import holds
    from keys_tooling.moments import moment
    from schemas.ranges import count_of, spelled

    rows, _ = _opened(at.session(world), at.purpose)
    found = holds(rows)
    facts = {
        "holds": [
            {"agency": one.agency, "hid": one.hid, "ranges": [list(run) for run in one.runs], "since": one.ts}
            for one in found
        ]
    }
    lines = [
        f"{one.hid}  since {moment(one.ts)}  {count_of(one.runs):,} entries: {spelled(one.runs)[:60]}"
        for one in found
    ]
    report(facts, "\n".join(lines) or "No hold stands.", as_json=as_json)


@retention.command("deleted")
@OFFICER
@JSON
def retention_deleted(folder: Path, as_json: bool) -> None:
    """What was deleted on schedule, and the proof: which statement, signed by whom, and what of it is gone here.

    \b
    Example:
      fenpost-audit retention deleted --dir officer
    """
    from keys_tooling.audit import officer_folder
    from keys_tooling.audit.mirror_file import open_mirror
    from keys_tooling.audit.retaining import deleted_on_schedule
    from keys_tooling.directory_reading import replay
    from keys_tooling.moments import moment

    charter = officer_folder.believed(folder).charter
    with open_mirror(folder, write=False) as mirror:
        view = replay(charter.oversight, mirror.statements(), None, lambda _size: None)
        found = deleted_on_schedule(mirror, view)
    lines = [
        f"{moment(one.ts)}  statement {one.statement}, signed by {', '.join(one.signers)}: "
        f"{one.count:,} named, {one.gone:,} gone here, {one.left:,} still here"
        + (f", {len(one.early):,} of them NAMED BEFORE THEIR TIME" if one.early else "")
        for one in found
    ]
    report(
        {"deleted": [one.to_json() for one in found]},
        "\n".join(lines) or "Nothing was deleted yet.",
        as_json=as_json,
    )


def _opened(session: Session, purpose: Purpose) -> tuple[list[Row], Opener]:
    """Every entry that the officer can open, once the log was told that she opened them."""
    from keys_tooling.audit.index import open_index

    size = session.size()
    with (
        progress_bar("Entries") as progress,
        open_index(
            session.folder,
            session.partnership,
            session.keys,
            session.world.draw,
            lambda n: progress(n, size),
        ) as index,
    ):
        rows, whole, officer = list(index.rows()), index.range(), index.officer
    session.announce("query", "retention", whole, officer.agency.id, officer.view, purpose)
    return rows, officer


def _agency(session: Session) -> str:
    """Whose officer this is, by the directory in her mirror."""
    from keys_tooling.audit.mirror_file import open_mirror
    from keys_tooling.audit.read import opener

    with open_mirror(session.folder, write=False) as mirror:
        return opener(mirror, session.partnership, session.keys).agency.id


def _runs(entries: str | None) -> list[tuple[int, int]]:
    """ "3-5,9" as runs."""
    found = []
    for part in (entries or "").split(",") if entries else ():
        first, _, last = part.partition("-")
        if not (first + (last or first)).isdigit() or not part.isascii():
            raise click.UsageError("--entries names positions, such as 3-5,9.")
        found.append((int(first), int(last or first)))
    if any(first > last or last - first > 10**6 for first, last in found):
        raise click.UsageError("--entries names positions in order, such as 3-5,9.")
    return found


def _plan_text(found: Plan, out: Path | None) -> str:
    from keys_tooling.moments import moment

    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.going.items()) if count)
    later = "" if found.next_due is None else f" (the next from {moment(found.next_due)})"
    lines = [
        f"May go now     {sum(found.going.values()):,} records{f' ({kinds})' if kinds else ''}",
        f"Too young      {found.young:,}{later}",
        f"Held           {found.held:,} that would go now",
        f"On record      {found.stated:,} that wait for their notice to end, or for a hold",
        f"With a fault   {found.faulty:,}: they are evidence, and stay",
        f"Deleted before {found.gone:,}",
        f"Closed to you  {found.closed:,}: what you cannot open stays",
    ]
    if found.listed is None:
        return "\n".join([*lines, "", "Nothing may go now."])
    if out is None:
        return "\n".join([*lines, "", "To go on, write the list: --out list.json"])
    steps = f"Next, two people:\n  fenpost-audit retention sign {out} --key policy-1.fpk --out once.json"
    return "\n".join([*lines, f"List           {out}", "", steps])
