"""`fenpost-agent consent`: what the person said, in commands. Plain words; nobody has to say why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from agent.console import F, Id, folder, line, read, safe, say

AWAY = " The relay is away and will be told as soon as it is back."
EVIDENCE = click.option(
    "--evidence", type=click.File("rb"), required=True, help="JSON: how the person was asked; it stays here."
)
OWN_ACCORD = click.option("--own-accord", is_flag=True, help="The person raised it: nobody pressed them.")
SEEN = click.option("--seen", type=int, help="The version that you saw; refused when there is a newer one.")
AGREEMENT = click.argument("agreement", metavar="AGREEMENT", cls=Id)


@click.group()
def consent() -> None:
    """Agreements: what a person said about sharing, and what follows from it."""


def lists(command: F) -> F:
    """--to, --purpose and --category."""
    for flags, what in (
        (("--category", "categories"), "A kind of information; may be given several times."),
        (("--purpose", "purposes"), "Such as SUPPORT; may be given several times."),
        (("--to", "to"), "An agency; may be given several times."),
    ):
        command = click.option(*flags, multiple=True, help=what)(command)
    return command


def _answers(act: str, words: str, *, first: bool) -> None:
    """A command that records an answer; `first` lets it be the person's first answer, too."""

    @consent.command(act, help=words)
    @folder
    @click.argument("agreement", required=not first, cls=Id)
    @lists
    @EVIDENCE
    @OWN_ACCORD
    @SEEN
    def command(
        home: Path, as_json: bool, agreement: str | None, evidence: Any, own_accord: bool, seen: int | None,
        **given: tuple[str, ...],
    ) -> None:  # fmt: skip
        value: dict[str, Any] = {name: list(items) for name, items in given.items() if items}
        value |= {"evidence": read(evidence), "own_accord": own_accord}
        if agreement is not None:
            _changed(home, as_json, agreement, act, {**value, "seen": seen})
            return
        answer = line(home).ask("POST", "/v1/consent", value)
        say(as_json, answer, answer["gid"])


_answers(
    "give",
    "Record that a person agreed. Without AGREEMENT it is their first answer, and --to, --purpose and --category say "
    "to what; with it, they were asked again, and what is left out stays as it was.",
    first=True,
)
_answers("limit", "Record that a person agrees to part of it, or to less than before.", first=True)
_answers("renew", "Record that the person, asked again, wants it to go on.", first=False)


@consent.command()
@folder
@click.argument("agreement", required=False, cls=Id)
@click.option("--own-words", help="What the person said, if they want it kept. Nobody has to say why.")
@click.option("--ask-again-after", metavar="DAY", help="Four weeks from now when left out.")
@OWN_ACCORD
@SEEN
def refuse(home: Path, as_json: bool, agreement: str | None, **value: Any) -> None:
    """Record that the person said no. Their wish stands."""
    _changed(home, as_json, agreement, "refuse", value, "refused")


@consent.command()
@folder
@AGREEMENT
def withdraw(home: Path, as_json: bool, agreement: str) -> None:
    """Record that a person withdrew: what has not been released is stopped."""
    answer = line(home).ask("POST", f"/v1/consent/{safe(agreement)}/withdraw", {})
    stopped = answer["stopped_here"] + answer["stopped_at_the_relay"]
    where = "" if answer["at_the_relay"] else AWAY
    say(as_json, answer, f"Withdrawn. {stopped} waiting deliveries stopped.{where}")


@consent.command("cannot-give")
@folder
@click.argument("agreement", required=False, cls=Id)
@click.option("--note", type=click.File("r"), required=True, help="The best-interests note; it stays here.")
@click.option("--assessed-by", required=True, metavar="ROLE", help="Such as safeguarding-lead; never a name.")
@click.option("--review-on", required=True, metavar="DAY", help="When somebody looks again, within 90 days.")
@SEEN
def cannot_give(home: Path, as_json: bool, agreement: str | None, note: Any, **value: Any) -> None:
    """Record that a safeguarding lead assessed that the person cannot decide now."""
    value["best_interests"] = note.read()
    _changed(home, as_json, agreement, "cannot-give", value, "cannot-give")


@consent.command()
@folder
@AGREEMENT
@click.option("--assessed-by", required=True, metavar="ROLE", help="Never a name.")
@SEEN
def regain(home: Path, as_json: bool, agreement: str, **value: Any) -> None:
    """Record that the person can decide again, is old enough, or competent. They are asked afresh."""
    _changed(home, as_json, agreement, "regain", value)


@consent.command()
@folder
@AGREEMENT
@click.option("--means", required=True, type=click.Choice(["everywhere", "there", "asked-again"]))
@click.option("--role", required=True, help="The safeguarding lead's role, never a name.")
@click.option("--alone", is_flag=True, help="For asked-again: the person was asked alone.")
def settle(home: Path, as_json: bool, agreement: str, **value: Any) -> None:
    """A safeguarding lead settles what a stop at another agency means."""
    _changed(home, as_json, agreement, "settle", value)


@consent.command()
@folder
@click.argument("agreement", required=False, cls=Id)
def show(home: Path, as_json: bool, agreement: str | None) -> None:
    """An agreement as this agent knows it; all of them when none is named."""
    if agreement is not None:
        answer = line(home).ask("GET", f"/v1/consent/{safe(agreement)}")
        title = f"{answer['label']}: {answer['says']}\n" if "label" in answer else ""
        say(as_json, answer, title + json.dumps(answer, indent=1, ensure_ascii=True))
        return
    answer = line(home).ask("GET", "/v1/consent")
    rows = [
        "\n  ".join([f"{one['id']}  {one['label']}: {one['says']}", *one["prompts"]])
        for one in answer["agreements"]
    ]
    rows += [
        f"message {one['id']}: {one['say']} See: fenpost-agent statement kept" for one in answer["reviews"]
    ]
    say(as_json, answer, "\n".join(rows) or "No agreement is recorded here.")


@consent.command()
@folder
def recalls(home: Path, as_json: bool) -> None:
    """Withdrawn agreements about which somebody here still has to say what became of it all."""
    answer = line(home).ask("GET", "/v1/recalls")
    rows = [
        f"{one['gid']}  {one['by']['name']}: {one['say']}\n  {', '.join(one['messages'])}"
        for one in answer["recalls"]
    ]
    say(as_json, answer, "\n".join(rows) or "Nothing waits for an answer.")


@consent.command()
@folder
@click.argument("handle", metavar="HANDLE", cls=Id)
@click.option("--did", required=True, type=click.Choice(["deleted", "kept"]))
@click.option("--why", type=click.Choice(["legal-duty", "safeguarding", "legal-claims", "own-record"]))
@click.option("--passed-to", multiple=True, metavar="AGENCY", help="A member to whom it had gone on.")
@click.option("--outside", is_flag=True, help="It had gone to somebody outside the partnership too.")
def answer(home: Path, as_json: bool, handle: str, passed_to: tuple[str, ...], **value: Any) -> None:
    """Say what became of what is held here under a withdrawn agreement; "deleted" also clears this agent's copy."""
    said = line(home).ask("POST", f"/v1/recalls/{safe(handle)}", {**value, "passed_to": list(passed_to)})
    say(as_json, said, f"Answered: {said['did']}.{'' if said['at_the_relay'] else AWAY}")


def _changed(
    home: Path, as_json: bool, agreement: str | None, act: str, value: dict[str, Any], new: str = ""
) -> None:
    path = f"/v1/consent/{safe(agreement)}/{act}" if agreement is not None else f"/v1/consent/{new}"
    answer = line(home).ask("POST", path, {name: one for name, one in value.items() if one is not None})
    where = "" if answer["at_the_relay"] else AWAY
    say(as_json, answer, f"{answer['standing']}: {answer['says']} {answer['id']}{where}")
