"""`fenpost-agent alarm`: what stopped sending, and going on after a loss that relay and oversight signed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent.console import PATH, folder, line, say


@click.group()
def alarm() -> None:
    """The alarm about the relay's log: look at it, and lift it after an accepted loss."""


@alarm.command("show")
@folder
def show_alarm(home: Path, as_json: bool) -> None:
    """What raised the alarm, and losses that this agency went on from.

    \b
    Example:
      fenpost-agent alarm show --dir peacock
    """
    answer = line(home).ask("GET", "/v1/alarm")
    found, rows = answer["alarm"], ["There is no alarm."]
    if found is not None:
        rows = [f"ALARM {found['code']}: {found['say']}"]
        for name, words in (("ours", "this agent saw"), ("theirs", "then it was shown")):
            if found[name] is not None:
                rows.append(
                    f"  {words} a log of {found[name]['size']:,} entries, root {found[name]['root'][:16]}"
                )
    rows += [_loss(one) for one in answer["losses"]]
    say(as_json, answer, "\n".join(rows))


@alarm.command("lift")
@folder
@click.option("--evidence", type=PATH, required=True, help="Oversight's word about the loss, a file.")
@click.option("--lost", required=True, help="How much was lost, as that file says: a number, or 'unknown'.")
def lift_alarm(home: Path, as_json: bool, evidence: Path, lost: str) -> None:
    """Go on after a loss. It needs what the relay signed about it, and oversight's signature around that.

    Ring oversight on a number that you know before you do this. What of yours was lost is named, and sent again.

    \b
    Example:
      fenpost-agent alarm lift --dir peacock --evidence loss-accepted.json --lost 12
    """
    from schemas.canonical import strict_json
    from schemas.errors import Refusal
    from schemas.signing import STATEMENT_LIMIT

    try:
        data = evidence.read_bytes()
    except OSError as error:
        raise Refusal("FILE") from error
    value = {"evidence": strict_json(data, 2 * STATEMENT_LIMIT), "lost": lost}
    answer = line(home).ask("POST", "/v1/alarm/lift", value)
    rows = [
        f"The alarm is lifted. {_loss(answer['lost'])}",
        f"Messages of yours that were lost: {len(answer['messages'])}; sent again now: {answer['sent_again']}.",
        *(f"  {mid}" for mid in answer["messages"]),
        f"Receipts told again: {answer['receipts_again']}; statements: {answer['statements_again']}.",
        f"Messages that wait for a lead and are handed in again: {answer['held_again']}.",
    ]
    say(as_json, answer, "\n".join(rows))


def _loss(loss: Any) -> str:
    lost = "nobody knows how many" if loss["lost"] is None else f"{loss['lost']:,}"
    return f"Lost: {lost} entries behind the first {loss['now']['size']:,}."
