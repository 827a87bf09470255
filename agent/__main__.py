"""`fenpost-agent`: one agency's agent, and the commands that ask it.

Exit codes: 0 done, 1 refused or a failed check, 2 usage, 3 the agent or the relay cannot be reached.
Results go to stdout, everything else to stderr. What a command needs is imported when it runs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from agent.alarm_commands import alarm
from agent.consent_commands import consent
from agent.console import PATH, Id, folder, line, say
from agent.console import read as _read
from agent.console import safe as _safe
from agent.extract_commands import extract
from agent.inbox_commands import inbox, reject, show, take_on
from agent.memory import seal_memory
from agent.override_commands import override
from agent.own_commands import safety_number
from agent.statement_commands import nondisclosure, statement
from schemas.errors import Refusal

AWAY = frozenset({"AGENT_AWAY", "RELAY_AWAY"})
NEEDS = {
    "agreements_to_look_at": "agreements that need somebody (consent show)",
    "recalls_to_answer": "withdrawn agreements to answer (consent recalls)",
    "recalls_unanswered": "answers of others that are missing",
    "gate_faults": "messages that the relay should have stopped",
    "unconfirmed": "messages that wait, not confirmed: nobody says that the agreement still stands",
    "reviews_due": "days to look again that have passed (statement kept, nondisclosure list)",
}


def lines(steps: Any) -> list[str]:
    """Lawful next steps, as a terminal shows them."""
    said = []
    for step in steps:
        said.append(f"  - {step['say']}")
        if step["law"]:
            said.append(f"    law: {json.dumps(step['law'], sort_keys=True)}")
    return said


class Commands(click.Group):
    """Turns a refusal into a sentence and an exit code, in one place."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Refusal as refusal:
            fields = f" ({', '.join(refusal.detail)})" if refusal.detail else ""
            steps = getattr(refusal, "steps", ())
            click.echo(f"{refusal.code}: {refusal.say}{fields}", err=True)
            for said in ("What you can do:", *lines(steps)) if steps else ():
                click.echo(said, err=True)
            if "--json" in sys.argv:
                value = {"code": refusal.code, "say": refusal.say, "fields": list(refusal.detail)}
                click.echo(json.dumps({"ok": False, **value, "steps": list(steps)}))
            ctx.exit(3 if refusal.code in AWAY else 1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """One agency's side of Fenpost.

    \b
    fenpost-agent init --dir peacock --passphrase-file peacock.passphrase
    fenpost-agent run --dir peacock
    fenpost-agent send --dir peacock --kind referral.universal --case case.json --to "Peterborough IDVAS/duty" --gid GID
    """
    os.umask(0o077)
    seal_memory()


@main.command()
@folder
@click.option(
    "--passphrase-file", type=PATH, required=True, help="0600 file whose first line opens agent.fpk."
)
def init(home: Path, as_json: bool, passphrase_file: Path) -> None:
    """Make an agency's folder an agent's: settings, token, drop folders, store."""
    import secrets

    from agent.setup import init as make

    agency = make(home, passphrase_file, secrets.token_bytes)
    say(as_json, {"agency": agency, "dir": str(home)}, "Ready. Start it with: fenpost-agent run --dir ...")


@main.command()
@folder
@click.option("--passphrase-file", type=PATH, help="Instead of the one named in agent.toml.")
def run(home: Path, as_json: bool, passphrase_file: Path | None) -> None:
    """Run the agent until it is told to stop (SIGTERM or Ctrl-C)."""
    import asyncio

    # structlog loads rich, if there is one, for a console that a service does not have: 3 MB in each idle agent.
    sys.modules["rich"] = None  # type: ignore[assignment]
    from agent import logs
    from agent.settings import read_settings

    settings = read_settings(home, os.environ)
    logs.begin(settings.log_level)
    del as_json
    typed = passphrase_file is None and settings.passphrase_file is None
    again = None if typed else partial(_passphrase, passphrase_file, settings)
    asyncio.run(_run(settings, _passphrase(passphrase_file, settings), again))


async def _run(settings: Any, passphrase: bytes, again: Callable[[], bytes] | None) -> None:
    import asyncio
    import secrets
    import signal

    from agent.clock import wall
    from agent.run import Agent, World
    from agent.setup import read_partnership
    from agent.unlocking import read_keys
    from schemas.opening import self_test

    self_test(secrets.token_bytes)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    keys = read_keys(settings.at(settings.key_file), passphrase)
    partnership = read_partnership(settings.at(settings.partnership))
    world = World(wall, secrets.token_bytes, secrets.SystemRandom().random)
    agent = await Agent.open(settings, keys, partnership, world)
    try:
        await agent.take_up(settings.at(settings.key_file), passphrase, keys, again)
        del passphrase, keys
        await agent.start()
        await stop.wait()
    finally:
        await agent.close()


@main.command()
@folder
@click.argument("form", type=click.File("rb"), required=False)
@click.option("--kind", help="The form, such as referral.universal.")
@click.option(
    "--case", type=click.File("rb"), help="A full case record; only what the form carries is taken."
)
@click.option("--payload", type=click.File("rb"), help="A finished message instead.")
@click.option("--to", multiple=True, metavar="AGENCY/DESK", help="May be given several times.")
@click.option("--from-desk")
@click.option("--purpose", help="Such as SUPPORT or RISK_MGMT.")
@click.option(
    "--rag", type=click.Choice(["RED", "AMBER", "GREEN"]), help="Where the form has no colour of its own."
)
@click.option("--gid", help="The agreement that it rests on.")
@click.option("--answers", metavar="ID", help="The message in the inbox that this one answers.")
@click.option(
    "--passes-on", metavar="ID", multiple=True, help="A message in the inbox that this one passes on."
)
@click.option(
    "--law", type=click.File("rb"), help="JSON: entries of the law block where the defaults do not fit."
)
@click.option(
    "--recipient",
    type=click.File("rb"),
    help="JSON: what the receiving desk does (searches_files and so on).",
)
@click.option("--anyway", is_flag=True, help="Send although the rule would refuse it; the relay decides.")
@click.option("--override", metavar="OID", help="The override of a thread that it belongs to.")
@click.option("--key", help="Idempotency key: the same key never sends twice.")
def send(home: Path, as_json: bool, form: Any, key: str | None, **given: Any) -> None:
    """Queue a message; it is durable here when this returns.

    FORM is a JSON file with everything in it (as for POST /v1/messages); options fill in or replace its entries.
    """
    value: dict[str, Any] = {} if form is None else _read(form)
    for name in ("case", "payload", "law", "recipient"):
        if given[name] is not None:
            value[name] = _read(given[name])
    for name in ("kind", "from_desk", "purpose", "rag", "gid", "answers", "override"):
        if given[name] is not None:
            value[name] = given[name]
    if given["to"]:
        value["to"] = [_desk(text) for text in given["to"]]
    if given["passes_on"]:
        value["passes_on"] = list(given["passes_on"])
    if given["anyway"]:
        value["anyway"] = True
    answer = line(home).ask("POST", "/v1/messages", value, key)
    left = answer.get("left_out", [])
    words = [
        f"{answer['state']}: {answer['mid']}",
        *(
            row
            for w in answer.get("warnings", [])
            for row in (f"warning {w['code']}: {w['say']}", *lines(w.get("steps", [])))
        ),
    ]
    say(
        as_json,
        answer,
        "\n".join([*words, f"{len(left)} items of the case record stayed here."] if left else words),
    )


@main.command()
@folder
@click.argument("mid", required=False, cls=Id)
@click.option(
    "--until", metavar="STATE", help="Wait until every desk has at least this state, such as opened."
)
@click.option("--timeout", type=float, default=30.0, show_default=True, help="Seconds to wait.")
def status(home: Path, as_json: bool, mid: str | None, until: str | None, timeout: float) -> None:
    """The agent's own state, or where a sent message stands."""
    from agent.doctor import person_due, successor_due

    ask = line(home)
    if mid is None:
        answer = ask.ask("GET", "/v1/status")
        state = "reached" if not answer["relay"]["code"] else answer["relay"]["say"]
        alarm = f"\nALARM {answer['alarm']['code']}: {answer['alarm']['say']}" if answer["alarm"] else ""
        differ = answer["reconciliation"]["differences"]
        alarm += f"\ndaily lists: {differ} differences, see: fenpost-agent reconcile show" if differ else ""
        say(
            as_json,
            answer,
            f"{answer['name']} ({answer['agency']})\nrelay: {state}\nlog: {answer['witnesses']['say']}\n"
            f"waiting: {answer['waiting']}{alarm}"
            + "".join(f"\n{words}: {answer[name]}" for name, words in NEEDS.items() if answer[name])
            + "".join(f"\npeople's keys: {person_due(one)}" for one in answer["people_due"])
            + "".join(f"\nkeys: {successor_due(one)}" for one in answer["successors_due"]),
        )
        return
    from agent.words import ORDER

    end = time.monotonic() + timeout
    while True:
        answer = ask.ask("GET", f"/v1/messages/{_safe(mid)}")
        reached = until is None or all(ORDER[d["state"]] >= ORDER.get(until, 0) for d in answer["desks"])
        if reached or time.monotonic() > end:
            break
        time.sleep(0.2)
    rows = [f"{d['name']} {d['desk']}: {d['says']}" for d in answer["desks"]]
    say(as_json, answer, "\n".join([*rows, *lines(answer["steps"])]))
    if not reached:
        click.get_current_context().exit(1)


main.add_command(inbox)
main.add_command(show)
main.add_command(take_on)
main.add_command(reject)
main.add_command(alarm)
main.add_command(safety_number)
main.add_command(consent)
main.add_command(override)
main.add_command(statement)
main.add_command(extract)
main.add_command(nondisclosure)


@main.group()
def reconcile() -> None:
    """Daily lists: what two agencies sent each other, and where they differ."""


@reconcile.command("show")
@folder
@click.option("--all", "every", is_flag=True, help="Also what has settled since.")
def show_reconciliation(home: Path, as_json: bool, every: bool) -> None:
    """What the daily lists brought to light, differences first."""
    answer = line(home).ask("GET", "/v1/reconciliation?all=1" if every else "/v1/reconciliation")
    rows = [
        f"{'LOOK' if i['difference'] else 'note'}  {i['day'] or '-':10}  {i['id'] or i['eid'] or '-'}  {i['says']}"
        for i in answer["findings"]
    ]
    nothing = f"Nothing to look at. Newest day: {answer['last_day'] or 'none yet'}."
    say(as_json, answer, "\n".join(rows) or nothing)


@main.command()
@folder
@click.option(
    "--acknowledge",
    "known",
    multiple=True,
    metavar="NUMBER|agents|messages:NAME",
    help="A statement in your agency's name that is right, by its number; that a second agent was seen to; or that "
    "messages in doubt were looked over, by the name that doctor shows for them.",
)
def doctor(home: Path, as_json: bool, known: tuple[str, ...]) -> None:
    """Check the folder, the keys' dates, the clock, the relay and the log; exit 1 when something needs somebody."""
    from agent.doctor import examine

    if known:
        names = [one for one in known if one.startswith("messages:")]
        numbers = [one for one in known if one != "agents" and one not in names]
        if not all(one.isascii() and one.isdigit() for one in numbers):
            raise click.UsageError(
                "--acknowledge takes the number of a statement, the word agents, or messages:NAME as doctor shows it."
            )
        said = {
            "statements": [int(one) for one in numbers],
            "two_agents": "agents" in known,
            "messages": [one.removeprefix("messages:") for one in names],
        }
        line(home).ask("POST", "/v1/acknowledged", said)

    checks = examine(home, os.environ, time.time())
    rows = [f"{'ok' if check['ok'] else 'LOOK'}  {check['name']}: {check['say']}" for check in checks]
    say(as_json, {"ok": all(check["ok"] for check in checks), "checks": checks}, "\n".join(rows))
    if not all(check["ok"] for check in checks):
        click.get_current_context().exit(1)


def _passphrase(given: Path | None, settings: Any) -> bytes:
    from agent.secretfile import CREDENTIAL, credential, read_passphrase

    if given is not None:
        return read_passphrase(given)
    named = str(settings.passphrase_file or "")
    if named.startswith(CREDENTIAL):
        return read_passphrase(credential(named.removeprefix(CREDENTIAL), os.environ), handed=True)
    if settings.passphrase_file is not None:
        return read_passphrase(settings.at(settings.passphrase_file))
    if not sys.stdin.isatty():
        raise Refusal("KEYFILE", "Name a passphrase file, or start the agent from a terminal.")
    return str(click.prompt("Passphrase", hide_input=True, err=True)).encode()


def _desk(text: str) -> dict[str, str]:
    agency, slash, desk = text.rpartition("/")
    if not slash:
        raise click.UsageError("--to is AGENCY/DESK, such as 'Peterborough IDVAS/duty'")
    return {"agency": agency, "desk": desk}


if __name__ == "__main__":
    main()
