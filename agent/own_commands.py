"""`fenpost-agent safety-number`: the number that two agencies read to each other, and the mark that they did."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import click

from agent.console import folder, line, say


@click.command("safety-number")
@folder
@click.argument("agency")
@click.option("--compared", "heard", metavar="NUMBER", help="The number as they read it to you.")
@click.option("--role", help="Who compared it: a role, never a name, such as safeguarding-lead.")
@click.option(
    "--how",
    type=click.Choice(["voice", "meeting"]),
    help="On a number that you knew before, or face to face.",
)
def safety_number(
    home: Path, as_json: bool, agency: str, heard: str | None, role: str | None, how: str | None
) -> None:
    """The number of your agency and another, the same on both sides. Read it to each other; then mark it.

    \b
    Examples:
      fenpost-agent safety-number --dir peacock "Peterborough IDVAS"
      fenpost-agent safety-number --dir peacock "Peterborough IDVAS" --role safeguarding-lead --how voice \\
        --compared "01234 56789 01234 56789 01234 56789 01234 56789 01234 56789 01234 56789"
    """
    ask = line(home)
    if heard is None:
        answer = ask.ask("GET", f"/v1/safety-numbers/{quote(agency, safe='')}")
    elif role is None or how is None:
        raise click.UsageError(
            "Say who compared it with --role, and with --how whether by voice or at a meeting."
        )
    else:
        answer = ask.ask(
            "POST", "/v1/safety-numbers", {"agency": agency, "number": heard, "who": role, "how": how}
        )
    say(
        as_json, answer, f"{answer['name']} ({answer['agency']})\n{_lines(answer['number'])}\n{_mark(answer)}"
    )


def _lines(number: str) -> str:
    groups = number.split(" ")
    return "\n".join("  " + " ".join(groups[at : at + 4]) for at in range(0, len(groups), 4))


def _mark(answer: dict[str, object]) -> str:
    from schemas.worktime import london

    mark = answer["compared"]
    if not isinstance(mark, dict):
        return "Nobody here has compared it yet."
    return f"Compared on {london(mark['ts']):%d %b %Y} by {mark['who']} ({mark['how']})."
