"""The relay asks the partnership's outside witnesses to cosign its published heads (C2SP tlog-witness, add-checkpoint).

Rules of this house:
- a witness is told nothing but the log: sizes, hashes, the signed head without members' lines;
- what comes back counts only once it verifies under the key that the charter names;
- a witness that is away stops nothing here: agents see for how long, and stop sending after a day.
"""

from __future__ import annotations

import asyncio
import base64

import aiohttp

from broker import logs
from broker.keys_log import KeysLog
from broker.sequencer import Sequencer
from broker.tree import Log
from broker.witnesses import Board, Head, HeadAsked
from schemas.errors import Refusal

PATIENCE = 10.0
"""Seconds for one question."""
ANSWER_LIMIT = 64 * 1024
SIZE_TYPE = "text/x.tlog.size"
DIGITS = 19
HEADERS = {"User-Agent": "fenpost", "Content-Type": "text/plain; charset=utf-8"}


class Outside:
    """Asks each outside witness about the head of one log that members are asked about, until it has cosigned it."""

    def __init__(self, board: Board, log: Log | KeysLog, sequencer: Sequencer, seconds: float) -> None:
        self._board, self._log, self._sequencer, self._seconds = board, log, sequencer, seconds
        self._sizes: dict[str, int] = {}
        self._closing = asyncio.Event()

    def close(self) -> None:
        self._closing.set()

    async def run(self) -> None:
        """Ask until closed; returns at once where there is nobody to ask."""
        if not self._board.outside.keys:
            return
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(headers=HEADERS, timeout=timeout) as http:
            closing = asyncio.create_task(self._closing.wait())
            while not closing.done():
                asking = asyncio.create_task(self.round(http))
                await asyncio.wait({asking, closing}, return_when=asyncio.FIRST_COMPLETED)
                try:
                    if not asking.done():
                        asking.cancel()  # a witness that is slow must not hold up the end
                    await asking
                except asyncio.CancelledError:
                    return
                except Refusal as refusal:  # the store is away: the next round asks again
                    logs.get().warning("witness", code=refusal.code)
                except Exception as fault:  # noqa: BLE001 -- the last resort of a task that must not stop for good
                    logs.get().error("witness-failed", error=type(fault).__name__)
                await asyncio.wait({closing}, timeout=self._seconds)

    async def round(self, http: aiohttp.ClientSession) -> None:
        """Publish a head if it is time, and ask every witness that has not cosigned the one that is asked about.

        Raises:
            Refusal: as Sequencer.submit.
        """
        await self._board.current()
        head = self._board.asked
        if head is None:
            return
        named = zip(self._board.outside.keys, self._board.outside.urls, strict=True)
        waiting = [(key.name, url) for key, url in named if key.name not in head.outside]
        taken = await asyncio.gather(*(self._ask(http, name, url, head) for name, url in waiting))
        if any(taken):
            await self._sequencer.submit(HeadAsked(None, self._board))

    async def _ask(self, http: aiohttp.ClientSession, name: str, url: str, head: Head) -> bool:
        """Whether the witness cosigned the head; asked twice when the first answer only tells where it stands."""
        try:
            for _ in range(2):
                status, body = await self._post(http, url, self._sizes.get(name, 0), head)
                if status == 200:
                    return self._take(name, head, body)
                if status != 409:
                    logs.get().warning("witness", status=status)
                    return False
                self._sizes[name] = _size(body)
                if self._sizes[name] > head.size:
                    # It saw more of this log than there is: the relay was rolled back, or somebody else has its key.
                    logs.get().error("witness-ahead", code="ROLLBACK")
                    return False
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logs.get().warning("witness", error=type(error).__name__)
        except Refusal as refusal:
            logs.get().warning("witness", code=refusal.code)
        return False

    async def _post(self, http: aiohttp.ClientSession, url: str, old: int, head: Head) -> tuple[int, str]:
        proof = await self._log.consistency(old, head.size) if 0 < old <= head.size else []
        lines = [f"old {old}", *(base64.b64encode(one).decode("ascii") for one in proof), "", ""]
        body = "\n".join(lines) + head.published.note
        question = http.post(f"{url}/add-checkpoint", data=body.encode(), allow_redirects=False)
        async with question as answer:
            data = bytearray()
            async for piece in answer.content.iter_any():
                data += piece
                if len(data) > ANSWER_LIMIT:
                    raise Refusal("TOO_BIG")
            if answer.status == 409 and answer.content_type != SIZE_TYPE:
                return 0, ""
            return answer.status, data.decode("utf-8", errors="replace")

    def _take(self, name: str, head: Head, body: str) -> bool:
        for line in body.splitlines(keepends=True):
            self._board.take_outside(head.size, line)
        self._sizes[name] = head.size
        return name in head.outside


def _size(body: str) -> int:
    """A tree size as the format spells it. Raises Refusal FORM."""
    text = body.removesuffix("\n")
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS and str(int(text)) == text):
        raise Refusal("FORM")
    return int(text)
