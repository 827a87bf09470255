"""An agency's keys: made at the agency, shown to whoever asks. Taking it in is keys_tooling.admission."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from keys_tooling.ceremony import make_agency
from keys_tooling.console import World, shown
from keys_tooling.enrolment import LIMIT, Enrolment, make_enrolment, parse_enrolment
from keys_tooling.keyfiles import new_files, read_public
from keys_tooling.names import check_desks
from keys_tooling.partnership import ADMIN, AGENT, NEXT_ROOTS, PARTNERSHIP, ROOTS, read_cards, write_member
from schemas.canonical import Json
from schemas.directory_statement import Flags
from schemas.keyfile import Cost
from schemas.names import check_name
from schemas.partnership import FILE_LIMIT, Partnership
from schemas.sectors import Sector

ENROLMENT = "enrolment.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """What an agency says of itself; `partnership` is the file that oversight handed over."""

    name: str
    desks: tuple[str, ...]
    flags: Flags
    sector: Sector
    officers: tuple[Path, ...]
    partnership: Path


@dataclass(frozen=True, slots=True)
class Locks:
    """Passphrases, the agent's apart from the administrator's, and argon2id cost."""

    own: bytes = field(repr=False)
    agent: bytes = field(repr=False)
    cost: Cost


def init(folder: Path, plan: Plan, locks: Locks, world: World) -> None:
    """Make an agency's folder.

    Raises:
        Refusal: EXISTS, FILE, NAME, SETTINGS, KEY, OFFICERS, SIGNATURE, DIRECTORY, KEYFILE, DISK_FULL.
    """
    partnership, cards = check(plan), read_cards(plan.officers)
    with new_files(folder) as files:
        files.absent(ROOTS, NEXT_ROOTS, ADMIN, AGENT, PARTNERSHIP, ENROLMENT)
        now = world.now()
        member = make_agency(now, world.draw, cards)
        enrolment = make_enrolment(
            member, partnership.charter.oversight, plan.name, plan.desks, plan.flags, now, plan.sector
        )
        write_member(files, member, locks.own, locks.agent, locks.cost, world)
        files.public(ENROLMENT, enrolment.to_bytes())
        files.public(PARTNERSHIP, partnership.to_bytes())  # the last: without it the folder is nobody's yet


def makes(folder: Path) -> tuple[Path, tuple[Path, ...]]:
    """What `init` makes: partnership.json, which is the last, and all before it."""
    return folder / PARTNERSHIP, tuple(folder / name for name in (ROOTS, NEXT_ROOTS, ADMIN, AGENT, ENROLMENT))


def check(plan: Plan) -> Partnership:
    """What can be refused before anything is asked. Raises as init does."""
    check_name(plan.name)
    check_desks(plan.desks)
    read_cards(plan.officers)
    return Partnership.parse(read_public(plan.partnership, FILE_LIMIT))


def read_enrolment(path: Path) -> Enrolment:
    """The enrolment in a file, or in an agency's folder, verified. Raises as parse_enrolment, and FILE."""
    return parse_enrolment(read_public(path / ENROLMENT if path.is_dir() else path, LIMIT))


def facts(enrolment: Enrolment) -> dict[str, Json]:
    """An enrolment as `agency show --json` prints it."""
    said = enrolment.particulars
    keys = sorted(enrolment.agency.keys.values(), key=lambda key: (key.use, key.nbf, key.kid))
    return {
        "agency": said.agency,
        "desks": list(said.desks),
        "flags": said.flags.model_dump(),
        "keys": [
            {"use": str(k.use), "kid": k.kid, "nbf": k.nbf, "exp": k.exp, "person": k.person} for k in keys
        ],
        "name": said.name,
        "partnership": said.partnership,
        "safety_number": enrolment.number,
        "sector": said.sector,
        "statements": len(enrolment.statements),
    }


def described(enrolment: Enrolment, *, number: bool = True) -> str:
    """An enrolment for people; without its safety number where that must come by voice."""
    said = enrolment.particulars
    flags = [name.replace("_", " ") for name, set_ in said.flags.model_dump().items() if set_]
    counted: dict[str, int] = {}
    for key in enrolment.agency.keys.values():
        counted[str(key.use)] = counted.get(str(key.use), 0) + 1
    lines = [
        f"Agency         {shown(said.name)}",
        f"Id             {said.agency}",
        *([f"Safety number  {enrolment.number}"] if number else []),
        f"Desks          {', '.join(said.desks)}",
        f"Sector         {said.sector}",
        f"In law         {', '.join(flags) or 'no flags'}",
        f"Keys           {', '.join(f'{count} {use}' for use, count in sorted(counted.items()))}",
    ]
    return "\n".join(lines)
