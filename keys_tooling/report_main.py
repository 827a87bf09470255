"""fenpost-audit report: what an IG officer types. Parses the command line; the work is in keys_tooling.audit.report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from keys_tooling.audit.progress import progress_bar
from keys_tooling.audit.purpose import Occasion, purposed
from keys_tooling.console import World
from keys_tooling.options import FILE, JSON


@click.group("report")
def report() -> None:
    """Write a report as one accessible web page, and with --pdf as PDF. That you did is logged first.

    The file's name begins with INTERNAL (exact figures; not for publication) or PUBLIC (small numbers withheld).

    \b
    Example:
      fenpost-audit report weekly --dir officer --to reports --pdf
    """


def _made(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every report."""
    for option in (
        JSON,
        click.option("--pdf", is_flag=True, help="Write PDF too; needs Fenpost with its extra 'pdf'."),
        click.option("--to", type=FILE, default=".", show_default=True, help="The folder for the files."),
    ):
        command = option(command)
    return purposed(click.pass_obj(command))


@report.command("weekly")
@_made
def weekly(world: World, at: Occasion, **given: Any) -> None:
    """What waits: RED that nobody acknowledged, holds, missing signatures, not told and past its review.

    \b
    Example:
      fenpost-audit report weekly --dir officer --to reports
    """
    _write("weekly", world, at, given)


@report.command("monthly")
@click.option("--month", help="Such as 2026-10; the last one that is over when left out.")
@_made
def monthly(world: World, at: Occasion, **given: Any) -> None:
    """Overrides, RED that became milder, refusals by code, dormant accounts, and the sample to review.

    \b
    Example:
      fenpost-audit report monthly --dir officer --month 2026-10
    """
    _write("monthly", world, at, given)


@report.command("quarterly")
@click.option("--quarter", help="Such as 2026-Q3; the last one that is over when left out.")
@_made
def quarterly(world: World, at: Occasion, **given: Any) -> None:
    """The partnership pack, for publication: small numbers withheld, also against the packs that you made before.

    Each pack is kept in packs/ in your folder: keep that folder with your keys.

    \b
    Example:
      fenpost-audit report quarterly --dir officer --quarter 2026-Q3 --pdf
    """
    _write("quarterly", world, at, given)


@report.command("breach")
@click.option("--since", help="When all was well for the last time: 2026-11-22, or 2026-11-22T09:30 (UTC).")
@click.option("--until", help="Up to this time; now when left out.")
@click.option("--known", help="When you learnt of it; now when left out. The 72 hours run from then.")
@click.option("--desk", help="The mailbox that was lost: AGENCY/DESK.")
@click.option("--key", help="The id of the key that was lost.")
@click.option("--agency", help="The agency that lost everything.")
@_made
def breach(world: World, at: Occasion, **given: Any) -> None:
    """Who is affected by a lost key, mailbox or device, and what to do first. Pull before you run it.

    \b
    Example:
      fenpost-audit report breach --dir officer --since 2026-11-20 --desk "Peterborough IDVAS/duty" --reason breach
    """
    _write("breach", world, at, given)


@report.command("ropa")
@_made
def ropa(world: World, at: Occasion, **given: Any) -> None:
    """The register of processing of your agency, from what it really shared in twelve months.

    \b
    Example:
      fenpost-audit report ropa --dir officer --pdf
    """
    _write("ropa", world, at, given)


@report.command("dsa-register")
@_made
def dsa_register(world: World, at: Occasion, **given: Any) -> None:
    """The register of data-sharing agreements, from the partnership's signed policies.

    \b
    Example:
      fenpost-audit report dsa-register --dir officer
    """
    _write("dsa-register", world, at, given)


def _write(kind: str, world: World, at: Occasion, given: dict[str, Any]) -> None:
    from keys_tooling.audit.report.making import Asked, make
    from keys_tooling.console import report as print_report
    from keys_tooling.console import shown, tell

    to, pdf, as_json = given.pop("to"), given.pop("pdf"), given.pop("as_json")
    session = at.session(world)
    size = session.size()
    asked = Asked(kind, {name: value for name, value in given.items() if value is not None})
    with progress_bar("Entries") as progress:
        made = make(asked, session, at.purpose, to, pdf, lambda n: progress(n, size))
    if pdf and len(made.files) == 1:
        rows = f"{made.page.rows:,} rows are too many for one"
        tell(f"The PDF was not written: {rows}. The web page has them all, and prints.")
    facts = {
        "about": made.page.about,
        "audience": made.page.audience,
        "entries": made.entries,
        "files": [str(path) for path in made.files],
        "kind": kind,
    }
    audience = "FOR PUBLICATION" if made.page.audience == "public" else "INTERNAL, not for publication"
    lines = [f"{made.page.title}, {made.page.about}", audience, *(f"  {path}" for path in made.files)]
    print_report(facts, "\n".join(map(shown, lines)), as_json=as_json)
