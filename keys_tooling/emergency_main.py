"""fenpost-keys emergency: two people end an agency's keys at once, without its administrator."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from keys_tooling.change import CHANGE, Change
from keys_tooling.console import REFUSED, World, report, tell
from keys_tooling.options import FILE, JSON, PASSPHRASE, Id

if TYPE_CHECKING:
    from keys_tooling.emergency import Emergency, Hand
    from keys_tooling.plan import Facts

KEY = click.option(
    "--key",
    type=FILE,
    required=True,
    help="Your own key file: a lead's, an officer's, or oversight's admin.fpk.",
)
PARTNERSHIP_FILE = click.option(
    "--partnership", "partnership_file", type=FILE, required=True, help="partnership.json."
)
Reasons = Literal["lost", "compromised", "left"]


@click.group()
def emergency() -> None:
    """A key was stolen, a machine is gone, a person must be stopped now: two people in two roles end the keys.

    Any two of: the agency's safeguarding lead, its IG officer, the partnership's duty (oversight). An officer or the
    duty starts; the other signs. A lead signs into a new file, which whoever started it signs again and so posts.

    The operational key (admin.fpk) is not ended here: the roots replace it, with fenpost-keys recover op.

    \b
    Example:
      fenpost-keys emergency start --agency "The Peacock Project" --key officer.fpk --out emergency.json \\
        --partnership partnership.json
      fenpost-keys emergency sign emergency.json --key lead-2.fpk --out both.json --partnership partnership.json
      fenpost-keys emergency sign both.json --key officer.fpk --partnership partnership.json
    """


@emergency.command("start")
@click.argument("kids", nargs=-1, cls=Id)
@click.option("--agency", "named", required=True, help="Whose keys end, by name or id.")
@click.option("--use", "uses", multiple=True, help="Keys of this use. [default: all that its machine holds]")
@click.option(
    "--reason", type=click.Choice(["lost", "compromised", "left"]), default="compromised", show_default=True
)
@click.option(
    "--since", default="now", show_default=True, help="From when: now, or such as 2027-01-04T09:00Z."
)
@click.option(
    "--out", type=FILE, required=True, help="The file for the second signer; it must not be there yet."
)
@KEY
@PARTNERSHIP_FILE
@PASSPHRASE
@JSON
@click.pass_obj
def emergency_start(
    world: World,
    kids: tuple[str, ...],
    named: str,
    uses: tuple[str, ...],
    reason: Reasons,
    since: str,
    out: Path,
    key: Path,
    partnership_file: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """The first of two, an officer or oversight's duty: say whose keys end, and sign it. Nothing happens yet.

    \b
    Example:
      fenpost-keys emergency start --agency "The Peacock Project" --key officer.fpk --out emergency.json \\
        --partnership partnership.json
    """
    from agent.client import Relay
    from keys_tooling import emergency as work
    from keys_tooling.keyfiles import new_files, read_public
    from keys_tooling.line import asked
    from keys_tooling.passphrases import known_passphrase
    from keys_tooling.policy_asking import read_moment
    from schemas.errors import Refusal
    from schemas.partnership import FILE_LIMIT, Partnership

    partnership = Partnership.parse(read_public(partnership_file, FILE_LIMIT))
    signer, charter = work.hand(key, known_passphrase(passphrase_file, "your own key")), partnership.charter
    asks = signer.asks
    if asks is None:
        raise Refusal("EMERGENCY_START")
    with new_files(out.parent) as files:
        files.absent(out.name)

    reading = asked(Relay, charter, asks, world, lambda line: work.read(line, partnership, world))
    view, now = reading.view, world.now()
    agency = view.find(named)
    at = read_moment(since, now)
    keys = work.chosen(agency, kids, uses, at, now)
    made = work.start(signer.key, agency, keys, reason, at, now)
    tell(work.described(made, view))
    with new_files(out.parent) as files:
        files.public(out.name, made.to_bytes())
    text = (
        f"Signed: {out}. Nothing has happened yet; it must be signed again within a day.\n"
        "Hand it to the second person now, of another role: the agency's lead or officer, or the partnership's duty.\n"
        f"\nNext:\n  fenpost-keys emergency sign {out} --key HER_KEY --partnership partnership.json"
    )
    report({"agency": agency.id, "kids": list(made.body.kids), "out": str(out)}, text, as_json=as_json)


@emergency.command("sign")
@click.argument("file", type=FILE)
@click.option("--out", type=FILE, help="A lead: the file that she hands back to whoever started it.")
@KEY
@PARTNERSHIP_FILE
@CHANGE
@click.pass_obj
def emergency_sign(
    world: World,
    file: Path,
    out: Path | None,
    key: Path,
    partnership_file: Path,
    change: Change,
) -> None:
    """The second of two: read what ends, sign it too, and post it. The relay refuses those keys at once.

    A lead's signature goes into a new file (--out), which whoever started it signs once more, and so posts.

    \b
    Example:
      fenpost-keys emergency sign emergency.json --key partnership/admin.fpk --partnership partnership.json
      fenpost-keys emergency sign emergency.json --key lead-2.fpk --out both.json --partnership partnership.json
    """
    from agent.client import Relay
    from keys_tooling import emergency as work
    from keys_tooling.carrying_out import agreed
    from keys_tooling.keyfiles import read_public
    from keys_tooling.line import asked
    from keys_tooling.passphrases import known_passphrase
    from schemas.partnership import FILE_LIMIT, Partnership

    partnership = Partnership.parse(read_public(partnership_file, FILE_LIMIT))
    found, charter = work.Emergency.parse(read_public(file, work.LIMIT)), partnership.charter
    signer = work.hand(key, known_passphrase(change.passphrase_file, "your own key"))
    if (signer.asks is None) != (out is not None):
        raise click.UsageError(
            "A lead gives --out, the file that she hands back; an officer or the duty posts."
        )
    if signer.asks is None or out is not None:
        _hand_back(world, found, signer, out or file, change)
        return

    async def sign(line: Relay) -> int | None:
        tell(work.described(found, (await work.read(line, partnership, world)).view))
        if change.dry or not agreed(yes=change.yes):
            return None
        return await work.sign(line, partnership, signer, found, world)

    posted = asked(Relay, charter, signer.asks, world, sign)
    if posted is None and not change.dry:
        tell("Nothing was changed.")
        sys.exit(REFUSED)
    text = {None: "Nothing was changed: this was a dry run.", 0: "It was on record already."}.get(
        posted, "Done. The relay refuses these keys from the next request on."
    )
    report(
        {"agency": found.agency, "applied": posted is not None, "posted": posted or 0},
        text,
        as_json=change.as_json,
    )


def _hand_back(world: World, found: Emergency, signer: Hand, out: Path, change: Change) -> None:
    from keys_tooling import emergency as work
    from keys_tooling.carrying_out import agreed
    from keys_tooling.keyfiles import new_files

    tell(work.described(found, None))
    if change.dry:
        facts: Facts = {"agency": found.agency, "applied": False, "out": str(out)}
        report(facts, "Nothing was signed: this was a dry run.", as_json=change.as_json)
        return
    if not agreed(yes=change.yes):
        tell("Nothing was signed.")
        sys.exit(REFUSED)
    with new_files(out.parent) as files:
        files.public(out.name, work.signed_too(signer.key, found, world.now()).to_bytes())
    text = f"Signed: {out}. Hand it back to whoever started it: she signs it once more, and so posts it."
    report({"agency": found.agency, "applied": False, "out": str(out)}, text, as_json=change.as_json)
