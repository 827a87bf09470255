"""`fenpost-audit loss`: entries that the relay has lost, and oversight's word that the partnership goes on."""

from __future__ import annotations

import json
from pathlib import Path

import click

from keys_tooling.console import World, report
from keys_tooling.options import FILE, JSON, OFFICER, PASSPHRASE


@click.group()
def loss() -> None:
    """What the relay signed about entries that it lost: read it, and for oversight: accept it.

    \b
    Example:
      fenpost-audit loss show loss-1795305600.json --dir officer
    """


@loss.command("show")
@click.argument("file", type=FILE)
@OFFICER
@JSON
def show(file: Path, folder: Path, as_json: bool) -> None:
    """Say how much was lost, whether oversight accepted it, and of which log your mirror is.

    \b
    Example:
      fenpost-audit loss show loss-1795305600.json --dir officer
    """
    from keys_tooling.audit import losing, officer_folder
    from keys_tooling.audit.mirror_file import open_mirror
    from keys_tooling.keyfiles import read_public

    signed = losing.parse(read_public(file, losing.FILE_LIMIT))
    with open_mirror(folder, write=False) as mirror:
        found = losing.look(signed, officer_folder.believed(folder), mirror)
    report(found.to_json(), found.text(), as_json=as_json)


@loss.command("accept")
@click.argument("file", type=FILE)
@OFFICER
@click.option("--lost", required=True, help="How much is lost, as `loss show` says: a number, or 'unknown'.")
@click.option(
    "--seen", type=FILE, multiple=True, help="An agent's two-logs.json. May be given several times."
)
@click.option("--out", type=FILE, required=True, help="A new file: what agencies lift their alarm with.")
@PASSPHRASE
@JSON
@click.pass_obj
def accept(
    world: World,
    /,
    file: Path,
    folder: Path,
    lost: str,
    seen: tuple[Path, ...],
    out: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Give oversight's word: agencies may go on without what the relay lost. Pull into a new folder first.

    Before the relay starts again, look for an officer's mirror that has the entries: fenpost-broker log refill gives
    them back, and nothing is lost. An agent that saw more than the relay knows of needs its two-logs.json with --seen.

    \b
    Example:
      fenpost-audit loss accept loss-1795305600.json --dir new-folder --lost 12 --out loss-accepted.json
    """
    from keys_tooling.audit import losing
    from keys_tooling.audit.mirror_file import open_mirror
    from keys_tooling.audit.session import Session
    from keys_tooling.keyfiles import read_public
    from schemas.errors import Refusal
    from schemas.forked import FILE_LIMIT, TwoNotes

    if out.exists() or out.is_symlink():
        raise Refusal("EXISTS")
    signed = losing.parse(read_public(file, losing.FILE_LIMIT))
    notes = [TwoNotes.parse(read_public(one, FILE_LIMIT)) for one in seen]
    session = Session.begin(folder, passphrase_file, world)
    with open_mirror(folder, write=False) as mirror:
        word = losing.accept(signed, lost, notes, session.partnership, mirror, session.keys, world.now())
    out.write_text(json.dumps(word.to_json(), indent=1, sort_keys=True) + "\n", encoding="ascii")
    text = (
        f"Written    {out}\n"
        "Send it to every agency: fenpost-agent alarm lift --evidence FILE --lost "
        f"{lost}. They ring you before they do."
    )
    report({"file": str(out), "lost": lost}, text, as_json=as_json)
