"""`fenpost-agent statement` and `nondisclosure`: what a person is told, and what was decided not to share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from agent.console import PATH, Id, folder, line, read, say
from schemas.errors import Refusal


@click.group(invoke_without_command=True)
@folder
@click.option("--subject", help="Your agency's own reference for the person.")
@click.option(
    "--out", type=PATH, help="A new file: .html to print, anything else as text. Choose a neutral name."
)
@click.option("--child", is_flag=True, help="The person is a child: what is about an adult is left out.")
@click.option("--role", default="worker", show_default=True, help="Your role, never a name.")
@click.option("--delivery-checked", is_flag=True, help="You have checked how it can be given safely.")
@click.pass_context
def statement(
    ctx: click.Context,
    home: Path,
    as_json: bool,
    subject: str | None,
    out: Path | None,
    child: bool,
    role: str,
    delivery_checked: bool,
) -> None:
    """Make a person's sharing statement: who got what about them, why and when, and what they can do."""
    if ctx.invoked_subcommand is not None:
        return
    if subject is None or out is None:
        raise click.UsageError("--subject and --out are needed")
    if out.exists() or out.is_symlink():
        raise Refusal("EXISTS")
    checked = delivery_checked or _told_how()
    value = {
        "subject": subject,
        "about": "child" if child else "adult",
        "role": role,
        "delivery_checked": checked,
    }
    answer = line(home).ask("POST", "/v1/statements", value)
    from agent.secretfile import write_new

    write_new(out, answer["html" if out.suffix.casefold() in (".html", ".htm") else "text"].encode())
    rows = [f"Not on the page: {row['id']}. {row['say']}" for row in answer["left_out"]]
    shown = {name: answer[name] for name in ("left_out", "made", "made_before", "reminder")}
    say(as_json, shown, "\n".join(["Written. Read it through before you give it.", *rows]))


@statement.command()
@folder
def kept(home: Path, as_json: bool) -> None:
    """Messages that were marked as not safe to tell, and when somebody looks at each again."""
    from agent.statement import day_of

    answer = line(home).ask("GET", "/v1/statements/reviews")
    rows = [
        f"{row['id']}  look again {'now' if row['due'] else day_of(row['look_again'])}"
        for row in answer["messages"]
    ]
    say(as_json, answer, "\n".join(rows) or "Nothing is kept back.")


@statement.command()
@folder
@click.argument("place", metavar="ID", cls=Id)
@click.option("--safe/--not-yet", required=True, help="Whether the person may be told of it now.")
@click.option("--role", required=True, help="The role that looked at it, never a name.")
@click.option("--look-again", metavar="DAY", help="If not yet: when somebody looks again, within 90 days.")
def review(home: Path, as_json: bool, place: str, safe: bool, role: str, look_again: str | None) -> None:
    """Say whether a message that was left out of a statement may be told."""
    value = {"id": place, "safe": safe, "role": role}
    if look_again is not None:
        value["look_again"] = look_again
    answer = line(home).ask("POST", "/v1/statements/reviews", value)
    say(as_json, answer, "It may be told." if answer["safe"] else "Kept from the statement.")


@click.group()
def nondisclosure() -> None:
    """Decisions not to share: record, list."""


@nondisclosure.command("record")
@folder
@click.argument("form", type=click.File("rb"))
def record_nondisclosure(home: Path, as_json: bool, form: Any) -> None:
    """Record a decision not to share.

    FORM is a JSON file: case_ref, purpose, categories, to or to_others, why, because, risk_if_shared, risk_if_not,
    decided_by (a role), review_on, and persons_view when there was a safe way to ask. Its words stay in this store.
    """
    answer = line(home).ask("POST", "/v1/nondisclosures", read(form))
    where = "" if answer["at_the_relay"] else " The relay is away and will log it as soon as it is back."
    say(as_json, answer, f"Recorded: {answer['id']}.{where}")


@nondisclosure.command("list")
@folder
@click.option("--case-ref", help="Only decisions about this reference of yours.")
def list_nondisclosures(home: Path, as_json: bool, case_ref: str | None) -> None:
    """The decisions, newest first, with when each is to be looked at again."""
    answer = line(home).ask("GET", "/v1/nondisclosures")
    if case_ref is not None:  # asked here, because an address holds no reference of anybody's
        answer["decisions"] = [row for row in answer["decisions"] if row["case_ref"] == case_ref]
    rows = [
        f"{row['id']}  {row['why']}  look again {'now' if row['review_due'] else row['review_on']}"
        for row in answer["decisions"]
    ]
    say(as_json, answer, "\n".join(rows) or "Nothing is recorded.")


def _told_how() -> bool:
    from schemas.statement_words import SAFE_DELIVERY

    for sentence in SAFE_DELIVERY:
        click.echo(sentence, err=True)
    return sys.stdin.isatty() and click.confirm("Have you checked this?", err=True)
