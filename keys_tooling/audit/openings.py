"""An officer's openings: said to the relay before anything is shown, or kept to be said later (PROTOCOL.md U1-U4).

Rules of this house:
- an opening is on her disk before it is at the relay, and at the relay before anything is shown;
- without the relay nothing is opened, unless she says --offline: when somebody must be warned, that cannot wait for a
  machine. It is then signed, kept here, and told at the next pull or opening;
- what the relay said that it recorded is looked for in the log afterwards: it may not keep an opening back.

Who has the officer's keys can open without this program; what it does is to leave honest people no way to forget.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from keys_tooling.audit.opened import Row
from keys_tooling.console import World
from schemas import api
from schemas.audit import Event
from schemas.canonical import Json, b64, unb64
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.keyring import OfficerKeys
from schemas.opening import open_record, record_key
from schemas.record import SealedRecord
from schemas.sealing import Officer
from schemas.signing import Signed
from schemas.unsealing import Opening, parse_unsealed, read_opened, seal_opening

FILE = "openings.jsonl"
NOT_TOLD = (
    "Nothing was opened, because the relay cannot be told of it. Try again; if somebody must be warned now, add "
    "--offline and say why with --words."
)
OFFICERS = "Your copy of the directory is older than the relay's. Pull, then try again. Nothing was opened."


class Relay(Protocol):
    """What telling asks of a relay: agent.client.Relay does it."""

    async def post_statements(self, request: api.StatementsRequest) -> api.StatementResults: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """An opening in the journal.

    `state` is made (still to be told), told, refused (by the relay) or void (there was none); `at` is since when.
    """

    oid: str
    ts: int
    signed: Signed
    record: bytes
    state: str
    at: int


class Journal:
    """The openings of one officer's folder, each line signed before it is written; lines are only ever added."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def add(self, signed: Signed, record: bytes, now: int) -> str:
        """Keep an opening that is about to happen; its id."""
        oid = parse_unsealed(signed).oid
        self._append(
            {"at": now, "oid": oid, "record": b64(record), "signed": signed.to_json(), "state": "made"}
        )
        return oid

    def mark(self, oid: str, state: str, now: int) -> None:
        self._append({"at": now, "oid": oid, "state": state})

    def kept(self) -> list[Kept]:
        """Every opening, in order. Raises Refusal FILE when a line in between was spoilt."""
        found: dict[str, Kept] = {}
        for line in self._lines():
            try:
                said = json.loads(line)
                if said["state"] == "made":
                    signed = Signed.from_json(said["signed"])
                    ts = parse_unsealed(signed).ts
                    found[said["oid"]] = Kept(
                        said["oid"], ts, signed, unb64(said["record"]), "made", said["at"]
                    )
                else:
                    old = found[said["oid"]]
                    found[old.oid] = Kept(old.oid, old.ts, old.signed, old.record, said["state"], said["at"])
            except (ValueError, KeyError, TypeError, Refusal) as error:
                raise Refusal(
                    "FILE", f"{FILE} is damaged. Keep it, tell oversight, and move it away to go on."
                ) from error
        return list(found.values())

    def waiting(self) -> list[Kept]:
        return [one for one in self.kept() if one.state == "made"]

    def _lines(self) -> list[str]:
        try:
            text = self._path.read_text(encoding="ascii")
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise Refusal("FILE", f"{FILE} cannot be read.") from error
        # A line without its end was never finished, so nothing was shown under it.
        return text.split("\n")[:-1]

    def _append(self, value: dict[str, Json]) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            handle = os.open(self._path, flags, 0o600)
            with os.fdopen(handle, "r+b") as file:
                data = file.read()
                file.seek(len(data) - len(data.split(b"\n")[-1]))
                file.truncate()
                file.write(json.dumps(value, sort_keys=True).encode("ascii") + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Refusal("FILE", f"{FILE} cannot be written, so nothing is opened.") from error


def prepare(
    folder: Path, opening: Opening, agency: str, view: Directory, keys: OfficerKeys, world: World
) -> tuple[Journal, str]:
    """Sign an opening and keep it; the journal and its id.

    Raises:
        Refusal: OFFICERS, FILE, FORM; NOT_ALLOWED for an opening without the relay that gives no reason.
    """
    if opening.offline and not opening.words.strip():
        raise Refusal("NOT_ALLOWED", "Say in --words why it cannot wait for the relay. Nothing was opened.")
    now, oid = world.now(), b64(world.draw(16))
    gone = view.known(agency).left
    late = opening.offline and gone is not None and gone.stops <= now
    officers = _last_officers(view, {agency, view.oversight}, now) if late else view.officers({agency}, now)
    signed, record = seal_opening(opening, agency, oid, now, officers, keys.auth, world.draw(32))
    journal = Journal(folder)
    return journal, journal.add(signed, record, now)


def _last_officers(view: Directory, agencies: set[str], at: int) -> tuple[Officer, ...]:
    """Whoever may read of an opening of an agency that has left: of each of these, who stands or else stood last.

    Its log is read for years after its own keys have ended, and in a mirror of that day oversight's have ended too.
    """
    found: dict[str, Officer] = {}
    for agency in agencies:
        own = view.known(agency).ig.values()
        last = max((key.exp for key in own), default=0)
        found |= {k.kid: Officer(k.kid, k.public) for k in own if k.stands(at) or (at >= last == k.exp)}
    return tuple(found[kid] for kid in sorted(found))


async def announce(relay: Relay, journal: Journal, oid: str, now: int) -> None:
    """Have an opening logged before it happens, and whatever waits besides.

    Raises:
        Refusal: RELAY_AWAY, the relay's own: then nothing may be shown, and the opening is void.
    """
    try:
        results = await tell(relay, journal, now)
    except Refusal as refusal:
        journal.mark(oid, "void", now)
        raise Refusal(refusal.code, NOT_TOLD if refusal.code == "RELAY_AWAY" else None) from refusal
    result = results[oid]
    if result.status == "refused":
        journal.mark(oid, "void", now)
        raise Refusal(result.code or "UNFORESEEN", OFFICERS if result.code == "OFFICERS" else None)


async def tell(relay: Relay, journal: Journal, now: int) -> dict[str, api.StatementResult]:
    """Tell the relay of every opening that it has not heard of; what it said of each.

    Raises:
        Refusal: RELAY_AWAY, the relay's own.
    """
    said: dict[str, api.StatementResult] = {}
    waiting = journal.waiting()
    for at in range(0, len(waiting), api.BATCH_STATEMENTS):
        batch = waiting[at : at + api.BATCH_STATEMENTS]
        answer = await relay.post_statements(api.StatementsRequest(statements=tuple(map(_item, batch))))
        for one, result in zip(batch, answer.results, strict=True):
            said[one.oid] = result
            journal.mark(one.oid, "refused" if result.status == "refused" else "told", now)
    return said


def seal_again(
    journal: Journal, oids: Iterable[str], agency: str, view: Directory, keys: OfficerKeys, world: World
) -> None:
    """Seal waiting openings to the officers that a newer directory names; what they say stays, their times too.

    Raises:
        Refusal: OFFICERS, RECORD, FILE.
    """
    kept = {one.oid: one for one in journal.kept()}
    for oid in oids:
        old = kept[oid]
        record = SealedRecord.parse(old.record)
        said = read_opened(open_record(record, record_key(record, [keys.ig]), oid))
        opening = Opening(
            said.act, said.why, said.first, said.last, said.count, said.of, said.words, said.offline
        )
        officers = view.officers({agency}, old.ts)
        journal.add(
            *seal_opening(opening, agency, oid, old.ts, officers, keys.auth, world.draw(32)), world.now()
        )


def unlogged(journal: Journal, rows: Iterable[Row], seen: int) -> list[Kept]:
    """Openings that the relay said it recorded, which its log does not show although a head of `seen` is later."""
    logged = {row.mid for row in rows if row.event == Event.UNSEALED}
    told = (one for one in journal.kept() if one.state == "told" and one.at < seen)
    return [one for one in told if one.oid not in logged]


def _item(kept: Kept) -> api.StatementIn:
    signed = api.SignedJson(**kept.signed.to_json())
    return api.StatementIn(kind="unsealed", signed=signed, record=b64(kept.record))
