"""The directory as anybody may read it: its log's public tiles, replayed and held against the signed checkpoint (L28).

It may be an older one than there is, because nobody says that it is fresh: good for looking, never for sealing.
"""

from __future__ import annotations

from agent.client import Relay
from keys_tooling.directory_reading import Reading, replay
from schemas import api
from schemas.checkpoint import NOTE_LIMIT, open_checkpoint
from schemas.errors import Refusal
from schemas.partnership import Partnership
from schemas.signing import SIGNATURE_SIZE, Signed

WIDTH = 256


class PublicDirectory(Relay):
    """A connection without a key, for the directory's public pages."""

    async def read(self, partnership: Partnership) -> Reading:
        """Every statement, replayed. Raises Refusal FORK, CHECKPOINT, FORM, RELAY_AWAY; what Directory.apply raises."""
        note = (
            (await self._send("GET", api.KEYS_CHECKPOINT)).body[: NOTE_LIMIT + 1].decode("utf-8", "replace")
        )
        head = open_checkpoint(note, partnership.keys_log_key)
        statements: list[Signed] = []
        while len(statements) < head.size:
            width = min(WIDTH, head.size - len(statements))
            part = "" if width == WIDTH else f".p/{width}"
            tile = f"entries/{_name(len(statements) // WIDTH)}{part}"
            body = (await self._send("GET", f"{api.KEYS}/tile/{tile}")).body
            statements += _bundle(body, width)
        view = replay(partnership.charter.oversight, tuple(statements), head, lambda _size: None)
        return Reading(view, tuple(statements), note)


def _name(number: int) -> str:
    parts = [f"{number % 1000:03d}"]
    while number := number // 1000:
        parts.append(f"x{number % 1000:03d}")
    return "/".join(reversed(parts))


def _bundle(data: bytes, width: int) -> list[Signed]:
    found, at = [], 0
    for _ in range(width):
        size = int.from_bytes(data[at : at + 2], "big")
        leaf = data[at + 2 : at + 2 + size]
        at += 2 + size
        if len(leaf) != size or size <= SIGNATURE_SIZE:
            raise Refusal("FORM", party="relay")
        found.append(Signed(leaf[:-SIGNATURE_SIZE], leaf[-SIGNATURE_SIZE:]))
    if at != len(data):
        raise Refusal("FORM", party="relay")
    return found
