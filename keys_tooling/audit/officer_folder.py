"""An IG officer's folder: her keys, her card, the partnership that she believes, and her mirror of the log."""

from __future__ import annotations

import re
from pathlib import Path

from keys_tooling.ceremony import make_officer
from keys_tooling.console import World
from keys_tooling.keyfiles import new_files, read_public, read_secret
from keys_tooling.officer import card_bytes, card_number
from keys_tooling.partnership import PARTNERSHIP
from keys_tooling.token_pins import on_token
from schemas.errors import Refusal
from schemas.keyfile import Cost, lock
from schemas.keyring import OfficerKeys
from schemas.partnership import FILE_LIMIT, Partnership

KEYS, CARD = "officer.fpk", "officer.json"
_PERSON = re.compile(r"[a-z][a-z0-9-]{0,31}")


def init(folder: Path, person: str, passphrase: bytes, cost: Cost, world: World) -> tuple[Path, str]:
    """Make an officer's keys; the card's path and its safety number.

    Raises:
        Refusal: EXISTS, FILE, SETTINGS, DISK_FULL.
    """
    if not _PERSON.fullmatch(person):
        raise Refusal(
            "SETTINGS", "A role is small letters, digits and hyphens, such as 'ig'.", detail=("person",)
        )
    with new_files(folder) as files:
        files.absent(KEYS, CARD)
        keys, card = make_officer(world.draw, person)
        files.secret(KEYS, lock(keys.to_json(), OfficerKeys.HOLDS, passphrase, cost, world.draw))
        path = files.public(CARD, card_bytes(card))
    return path, card_number(card)


def open_keys(folder: Path, passphrase: bytes) -> OfficerKeys:
    """The officer's keys. Raises Refusal FILE, KEYFILE."""
    return OfficerKeys.from_json(read_secret(folder / KEYS, OfficerKeys.HOLDS, passphrase), on_token)


def adopt(folder: Path, given: Path) -> Partnership:
    """The partnership of this folder: `given` is kept the first time and must be the same one ever after.

    Raises:
        Refusal: FILE, SETTINGS, SIGNATURE, DIRECTORY, EXISTS when the folder believes another partnership.
    """
    partnership = Partnership.parse(read_public(given, FILE_LIMIT))
    if (folder / PARTNERSHIP).exists():
        if believed(folder).charter != partnership.charter:
            raise Refusal("EXISTS", "This folder belongs to another partnership. Choose another folder.")
        return partnership
    with new_files(folder) as files:
        files.public(PARTNERSHIP, partnership.to_bytes())
    return partnership


def believed(folder: Path) -> Partnership:
    """The partnership that this folder believes. Raises Refusal FILE, SETTINGS, SIGNATURE, DIRECTORY."""
    if not (folder / PARTNERSHIP).exists():
        raise Refusal(
            "FILE", "This folder knows no partnership yet. Pull with --partnership partnership.json"
        )
    return Partnership.parse(read_public(folder / PARTNERSHIP, FILE_LIMIT))
