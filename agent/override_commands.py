"""`fenpost-agent override`: what an author and a safeguarding lead type.

Each signs with a key file of her own, opened here and nowhere else; the agent gets the signature. The reason comes
from a file or is asked for, so that it stands in no list of commands.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from agent.console import PATH, Id, folder, line, safe, say
from schemas.errors import Refusal

_key = click.option("--key", "key_file", type=PATH, required=True, help="Your own key file.")
_passphrase = click.option(
    "--passphrase-file", type=PATH, help="0600 file whose first line opens it. Asked for otherwise."
)
_pin = click.option(
    "--token-pin-file",
    type=PATH,
    expose_value=False,
    callback=lambda context, _parameter, value: context.meta.update({"token_pin_file": value}),
    help="0600 file with the PIN, where your key is on a token. Asked for otherwise.",
)
_yes = click.option("--yes", is_flag=True, help="Do not ask again before signing.")


@click.group()
def override() -> None:
    """Overrides: an author asks, the safeguarding lead authorises.

    \b
    fenpost-agent override hold list --dir peacock
    fenpost-agent override request MID --dir peacock --key ann.fpk --reason-file reason.txt
    fenpost-agent override request MID --dir peacock --key ann.fpk --basis 6e   (it went, and names none)
    fenpost-agent override authorise OID --dir peacock --key lead.fpk
    """


@override.command("request")
@folder
@click.argument("mid", required=False, cls=Id)
@click.option("--thread", metavar="ID", help="A whole thread of risk instead of one message.")
@click.option("--to", multiple=True, metavar="AGENCY/DESK", help="With --thread. May be given several times.")
@click.option("--from-desk", help="With --thread: the desk that sends.")
@click.option("--category", "categories", multiple=True, help="With --thread. May be given several times.")
@click.option(
    "--purpose", type=click.Choice(["RISK_MGMT", "CHILD_PROT", "ADULT_PROT"]), help="With --thread."
)
@click.option(
    "--basis", help="The Article 6 basis, such as 6e: with --thread, or where the message names none."
)
@click.option("--why", help="The reason's letter, such as G: with --thread, or where the message names none.")
@click.option("--days", type=click.IntRange(1, 28), default=28, show_default=True, help="With --thread.")
@_key
@_passphrase
@_pin
@click.option("--reason-file", type=PATH, help="A file with your reason. Asked for otherwise.")
def request(
    home: Path,
    as_json: bool,
    mid: str | None,
    thread: str | None,
    key_file: Path,
    passphrase_file: Path | None,
    reason_file: Path | None,
    **about: Any,
) -> None:
    """Ask the safeguarding lead to let the message MID go, or a thread of risk."""
    from agent.persons import read_person
    from schemas.override import parse_core, request_override

    if (mid is None) == (thread is None):
        raise click.UsageError("Name a message, or --thread.")
    person = read_person(key_file, passphrase_file)
    value: dict[str, Any] = {"author": person.key.kid, "reason": _reason(reason_file)}
    value |= _message(mid, about) if thread is None else {"thread": _thread(thread, about)}
    ask = line(home)
    drafted = ask.ask("POST", "/v1/overrides", value)
    signed = request_override(parse_core(drafted["core"].encode("ascii")), person.key)
    answer = ask.ask("POST", f"/v1/overrides/{safe(drafted['oid'])}/request", {"s": signed.to_json()["s"]})
    then = "Now a safeguarding lead has to sign. Ring her; do not wait if someone is in danger."
    say(as_json, answer, f"Asked: {answer['oid']}\n{then}")


@override.command()
@folder
@click.argument("oid", cls=Id)
@_key
@_passphrase
@_pin
@_yes
def authorise(
    home: Path, as_json: bool, oid: str, key_file: Path, passphrase_file: Path | None, yes: bool
) -> None:
    """Sign, as safeguarding lead, what an author asked for."""
    _authorise(home, as_json, oid, key_file, passphrase_file, yes=yes)


@override.command("list")
@folder
def listed(home: Path, as_json: bool) -> None:
    """What was asked, what came of it, and what was told about it."""
    answer = line(home).ask("GET", "/v1/overrides")
    rows = [
        f"{o['oid']}  {o['state']:10}  {o['scope']:6}  {o['purpose']:10}  {_desks(o['to'])}"
        for o in answer["overrides"]
    ]
    told = [f"{one['says']}: {one['from']['name']} {one['mid'] or ''}".rstrip() for one in answer["told"]]
    say(as_json, answer, "\n".join([*(rows or ["Nothing was asked."]), *told]))


@override.group()
def hold() -> None:
    """What waits for a safeguarding lead."""


@hold.command("list")
@folder
def hold_list(home: Path, as_json: bool) -> None:
    """Messages that wait for a lead, and those that went and wait for her signature."""
    answer = line(home).ask("GET", "/v1/holds")
    rows = [
        f"{h['mid']}  {h['rag']:5}  {h['state']:18}  {_desks(h['to'])}"
        + (f"  asked: {h['asked']}" if h["asked"] else "  nobody has asked yet")
        for h in answer["holds"]
    ]
    say(as_json, answer, "\n".join(rows) or "Nothing waits for a lead.")


@hold.command("release")
@folder
@click.argument("mid", cls=Id)
@_key
@_passphrase
@_pin
@_yes
def release(
    home: Path, as_json: bool, mid: str, key_file: Path, passphrase_file: Path | None, yes: bool
) -> None:
    """Sign, as safeguarding lead, what was asked for the message MID: it goes if the rule lets it go now."""
    found = [h["asked"] for h in line(home).ask("GET", "/v1/holds")["holds"] if h["mid"] == mid]
    if not found:
        raise Refusal("NOT_FOUND")
    if found[0] is None:
        raise Refusal("CONFLICT", "Nobody has asked for this yet. Its author asks first, with a reason.")
    _authorise(home, as_json, found[0], key_file, passphrase_file, yes=yes)


def _authorise(
    home: Path, as_json: bool, oid: str, key_file: Path, passphrase_file: Path | None, *, yes: bool
) -> None:
    from agent.clock import wall
    from agent.persons import read_person
    from schemas.override import authorise_override, parse_core
    from schemas.signing import Signed

    ask = line(home)
    asked = ask.ask("GET", f"/v1/overrides/{safe(oid)}")
    if asked["request"] is None:
        raise Refusal("CONFLICT", "Its author has not signed it yet. Ring the author.")
    _show(asked)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("There is no terminal to ask at: read what is asked, and give --yes.")
        click.confirm("Sign this as safeguarding lead?", abort=True, err=True)
    request = Signed.from_json(asked["request"])
    parse_core(request.text)
    person = read_person(key_file, passphrase_file)
    signed = authorise_override(request, person.key, int(wall()))
    answer = ask.ask("POST", f"/v1/overrides/{safe(oid)}/authorise", signed.to_json())
    done = answer["state"] == "recorded"
    said = (
        "Signed, and the relay has it."
        if done
        else "Signed. The relay is away and gets it as soon as it is back."
    )
    say(as_json, answer, said)


def _show(asked: dict[str, Any]) -> None:
    """What she is about to sign, on stderr: results go to stdout."""
    what = "one message" if asked["scope"] == "msg" else "a thread"
    click.echo(f"For {what}, {asked['purpose']}, to {_desks(asked['to'])}", err=True)
    click.echo(f"Kinds of information: {', '.join(asked['categories'])}. Basis: {asked['basis']}", err=True)
    click.echo(f"The author's reason:\n{asked['reason'] or '(gone)'}", err=True)


def _reason(file: Path | None) -> str:
    if file is not None:
        from agent.secretfile import read_secret

        return read_secret(file, 16 * 1024).decode("utf-8", "replace").strip()
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for the reason: give --reason-file.")
    return str(click.prompt("Your reason", err=True))


def _message(mid: str | None, about: dict[str, Any]) -> dict[str, Any]:
    return {"mid": mid} | {name: about[name] for name in ("basis", "why") if about[name]}


def _thread(thread: str, about: dict[str, Any]) -> dict[str, Any]:
    missing = [name for name in ("to", "from_desk", "categories", "purpose", "basis") if not about[name]]
    if missing:
        raise click.UsageError(f"With --thread give also: {', '.join(missing)}")
    desks = [one.rpartition("/") for one in about["to"]]
    return {
        "thread": thread,
        "to": [{"agency": agency, "desk": desk} for agency, _, desk in desks],
        "from_desk": about["from_desk"],
        "categories": list(about["categories"]),
        "purpose": about["purpose"],
        "basis": about["basis"],
        "days": about["days"],
    } | ({"why": about["why"]} if about["why"] else {})


def _desks(to: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['name']} {one['desk']}" for one in to)
