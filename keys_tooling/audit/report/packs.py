"""The packs that an officer published, as she keeps them: what was shown, and nothing that was withheld."""

from __future__ import annotations

import json
from pathlib import Path

from keys_tooling.audit.report.bounds import Sum
from keys_tooling.audit.report.suppression import Published
from keys_tooling.keyfiles import new_files, read_public
from schemas.canonical import strict_json
from schemas.errors import Refusal

FOLDER = "packs"
LIMIT = 16 * 1024 * 1024


def kept(folder: Path) -> list[Published]:
    """Every pack kept in an officer's folder, oldest first. Raises Refusal FILE."""
    place = folder / FOLDER
    if not place.is_dir():
        return []
    return [_read(place / f"{number}.json") for number in _numbers(place)]


def keep(folder: Path, pack: Published) -> None:
    """Keep a pack before it is shown, unless it is the last one again. Raises Refusal FILE, DISK_FULL."""
    with new_files(folder / FOLDER) as files:
        numbers = _numbers(files.folder)
        if numbers and _read(files.folder / f"{numbers[-1]}.json").shown == pack.shown:
            return
        files.secret(f"{numbers[-1] + 1 if numbers else 1}.json", _text(pack))


def _numbers(place: Path) -> list[int]:
    return sorted(
        int(path.stem) for path in place.glob("*.json") if path.stem.isascii() and path.stem.isdigit()
    )


def _text(pack: Published) -> bytes:
    shown = [[list(key), value] for key, value in pack.shown.items()]
    sums = [[list(one.whole), [list(part) for part in one.parts]] for one in pack.sums]
    return json.dumps({"shown": shown, "sums": sums, "v": 1}).encode("ascii") + b"\n"


def _read(path: Path) -> Published:
    try:
        said = strict_json(read_public(path, LIMIT), LIMIT)
        if said["v"] != 1:
            raise Refusal("VERSION")
        shown = {tuple(map(str, key)): None if value is None else int(value) for key, value in said["shown"]}
        sums = tuple(Sum(tuple(whole), tuple(map(tuple, parts))) for whole, parts in said["sums"])
    except (Refusal, KeyError, TypeError, ValueError) as error:
        say = f"The published pack {path.name} is damaged, so nothing more can be published safely. Bring back a copy."
        raise Refusal("FILE", say) from error
    return Published(shown, sums)
