"""Passing on the keys of entries between two officers of one agency: giving, taking, and what was taken (U5-U8).

Rules of this house:
- what is given names the one officer who may open it, in her agency's directory, and how far it goes;
- nothing counts before both signed and the relay logged it; old entries and their wraps stay as they are;
- what was taken is kept as it came, sealed to the officer, and opened anew each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keys_tooling.ceremony import OfficerCard
from keys_tooling.keyfiles import new_files, read_public
from schemas.audit import Event, Leaf, tag_text
from schemas.canonical import b64, strict_json, unb64
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.handover import Given, Of, check_given, give, package_hash, parse_given
from schemas.keyring import OfficerKeys
from schemas.keys import ED25519, XWING, Use, kid_of
from schemas.opening import open_record
from schemas.package import Keyring, open_package, seal_package
from schemas.record import SealedRecord
from schemas.sealing import Draw
from schemas.signing import Signed

if TYPE_CHECKING:
    from keys_tooling.audit.read import Opener

LIMIT = 1024 * 1024 * 1024
PREFIX, SUFFIX = "handed-", ".fph"
NOT_ONE = "This is not a handover file, or it was damaged. Ask for it again."
SEALED = frozenset(
    {Event.ACCEPT, Event.HELD, Event.NONDISCLOSURE, Event.OVERRIDE, Event.REFUSE, Event.UNSEALED}
)


@dataclass(frozen=True, slots=True)
class HandoverFile:
    """What travels from one officer to the other: the giver's statement, and the sealed keys."""

    given: Given
    signed: Signed
    package: bytes

    @classmethod
    def parse(cls, data: bytes) -> HandoverFile:
        """Raises Refusal FORM, SIGNATURE (the package is not the one that was signed for)."""
        try:
            value = strict_json(data, LIMIT)
            signed, package = Signed.from_json(value["given"]), unb64(value["package"])
            given = parse_given(signed)
        except (Refusal, KeyError, TypeError) as error:
            raise Refusal("FORM", NOT_ONE) from error
        if package_hash(package) != given.package:
            raise Refusal("SIGNATURE", NOT_ONE)
        return cls(given, signed, package)

    def to_bytes(self) -> bytes:
        value = {"given": self.signed.to_json(), "package": b64(self.package)}
        return json.dumps(value, sort_keys=True).encode("ascii")


def make(
    officer: Opener,
    card: OfficerCard,
    of: Of,
    span: tuple[int, int],
    now: int,
    draw: Draw,
    progress: Callable[[int], None],
) -> HandoverFile:
    """What `officer` passes on to the officer of this card, for entries at positions [first, last].

    Raises:
        Refusal: UNKNOWN_KEY, REVOKED_KEY, STALE_KEY when that officer is not one of this agency; KEY for herself.
    """
    agency, view, keys = officer.agency.id, officer.view, officer.keys
    new, to = kid_of(XWING, card.ig), kid_of(ED25519, card.auth)
    for kid, use in ((new, Use.IG), (to, Use.IG_AUTH)):
        view.key(kid, use, now, agency)
    if new == keys.ig.kid:
        raise Refusal("KEY", "That is your own card. Name the card of the officer who takes over.")
    senders = tuple(_senders(officer, span, progress)) if of == "handover" else ()
    ring = Keyring(tuple(_epochs(officer, span)), senders)
    hid = b64(draw(16))
    package = seal_package(ring, hid, new, card.ig, draw)
    given = Given(
        a=agency, by=keys.auth.kid, first=span[0], hid=hid, last=span[1], new=new, of=of, old=keys.ig.kid,
        package=package_hash(package), to=to, ts=now, v=1,
    )  # fmt: skip
    return HandoverFile(given, give(given, keys.auth), package)


def _epochs(officer: Opener, span: tuple[int, int]) -> Iterator[tuple[bytes, int, bytes]]:
    """The secrets of the epochs that may cover these entries: those around them too, as a reader tries them."""
    places = [at for at, epoch in enumerate(officer.epochs) if epoch.first <= span[0]]
    start = max(0, (places[-1] if places else 0) - 1)
    ring = officer.ring()
    after = 0
    for epoch in officer.epochs[start:]:
        after += epoch.first > span[1]
        if after > 1:
            return
        for secret in epoch.given:
            yield epoch.id, epoch.first, secret
        if epoch.wrap is not None:
            yield epoch.id, epoch.first, ring.own(epoch)


def _senders(
    officer: Opener, span: tuple[int, int], progress: Callable[[int], None]
) -> Iterator[tuple[int, bytes]]:
    """The keys of the senders' records that she can open."""
    from keys_tooling.audit.read import record_key_of, senders_key, unveiled
    from keys_tooling.audit.telling import senders_hash

    ring = officer.ring()
    for entry in officer.mirror.entries(span[0]):
        if entry.index > span[1]:
            return
        if not entry.relay or not entry.sender:
            continue
        if not entry.index % 64:
            progress(entry.index)
        try:
            leaf, record = Leaf.parse(entry.leaf), SealedRecord.parse(entry.relay)
            rk, _ = record_key_of(record, ring, entry.index)
            if rk is None:
                continue
            facts = open_record(record, rk, tag_text(leaf.tag))
            if facts.get("event") not in SEALED:
                continue
            theirs = unveiled(entry, leaf, rk, senders_hash(leaf, facts))
            yield entry.index, senders_key(theirs, entry.index, officer)
        except Refusal:
            continue


def check(file: HandoverFile, view: Directory, keys: OfficerKeys) -> Keyring:
    """What is in a file that was given to this officer.

    Raises:
        Refusal: NOT_ALLOWED (given to another), KEY, SIGNATURE, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY, RECORD.
    """
    given = file.given
    if (given.new, given.to) != (keys.ig.kid, keys.auth.kid):
        raise Refusal("NOT_ALLOWED", "This was given to another officer's keys. Nothing of it was opened.")
    check_given(given, file.signed, view)
    view.key(given.new, Use.IG, given.ts, given.a)
    return open_package(file.package, given.hid, keys.ig)


def keep(folder: Path, file: HandoverFile) -> Path:
    """Keep what was taken; the same again changes nothing. Raises Refusal FILE, DISK_FULL."""
    name = f"{PREFIX}{file.given.hid}{SUFFIX}"
    if (folder / name).exists():
        return folder / name
    with new_files(folder) as files:
        return files.secret(name, file.to_bytes())


def taken(folder: Path, keys: OfficerKeys) -> tuple[Keyring, ...]:
    """Everything that was passed on to this officer. Raises Refusal FORM, SIGNATURE, RECORD for a damaged file."""
    paths = sorted(folder.glob(f"{PREFIX}*{SUFFIX}"))
    files = (HandoverFile.parse(read_public(path, LIMIT)) for path in paths)
    return tuple(open_package(file.package, file.given.hid, keys.ig) for file in files)
