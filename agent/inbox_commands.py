"""`fenpost-agent inbox`, `show`, `take-on` and `reject`: what came, and what a worker does with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from agent.console import Id, folder, line, safe, say
from schemas.errors import Refusal


@click.command()
@folder
@click.option("--all", "every", is_flag=True, help="Also what has ended.")
def inbox(home: Path, as_json: bool, every: bool) -> None:
    """What waits to be taken on, most urgent first."""
    answer = line(home).ask("GET", "/v1/inbox?all=1" if every else "/v1/inbox")
    rows = [
        f"{i['id']}  {i['rag']:5}  {i['class']:9}  {i['says']:20}  {_by(i)}  {_from(i)}{_doubt(i)}"
        for i in answer["items"]
    ]
    say(as_json, answer, "\n".join(rows) or "Nothing waits.")


@click.command()
@folder
@click.argument("place", metavar="ID", cls=Id)
def show(home: Path, as_json: bool, place: str) -> None:
    """A received message with its words, or a sent one with its ladder."""
    ask = line(home)
    try:
        answer = ask.ask("GET", f"/v1/inbox/{safe(place)}")
    except Refusal as refusal:
        if refusal.code != "NOT_FOUND":
            raise
        answer = ask.ask("GET", f"/v1/messages/{safe(place)}")
    say(as_json, answer, json.dumps(answer, indent=1, ensure_ascii=True))


@click.command("take-on")
@folder
@click.argument("place", metavar="ID", cls=Id)
@click.option("--role", required=True, help="The role that takes it on, never a name: idva, social-worker.")
@click.option("--case-ref", help="Your own reference for the person: it stays here, and finds this again.")
def take_on(home: Path, as_json: bool, place: str, role: str, case_ref: str | None) -> None:
    """Take a message on: this ends the sender's clock."""
    value = {"role": role} if case_ref is None else {"role": role, "case_ref": case_ref}
    answer = line(home).ask("POST", f"/v1/inbox/{safe(place)}/take-on", value)
    say(as_json, answer, answer["says"])


@click.command()
@folder
@click.argument("place", metavar="ID", cls=Id)
@click.option(
    "--reason",
    required=True,
    type=click.Choice(["wrong-recipient", "over-shared", "cannot-read", "no-authority"]),
)
def reject(home: Path, as_json: bool, place: str, reason: str) -> None:
    """Give a message back, with a reason that the sender can act on."""
    answer = line(home).ask("POST", f"/v1/inbox/{safe(place)}/reject", {"reason": reason})
    say(as_json, answer, answer["says"])


def _by(item: Any) -> str:
    """By when it is to be taken on, by the clock of London."""
    from schemas.worktime import london

    return f"{'OVERDUE since' if item['overdue'] else 'by'} {london(item['acknowledge_by']):%a %d %b %H:%M}"


def _doubt(item: Any) -> str:
    return f"\n  {item['doubt']}" if item["doubt"] else ""


def _from(item: Any) -> str:
    return f"{item['from']['name']} {item['from']['desk']}"
