"""A case system that has messages to send by the clock, beside an agent that may be dead at any moment.

    system = CaseSystem(home, 10.0, lambda number: form); system.begin(); ...; system.stop(); system.end(60.0)

What the agent cannot take waits here, under an idempotency key of its own, and goes when the agent is back.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

FLIGHT = 4
"""Messages that one case system hands in at the same moment."""


class Line:
    """A connection to the loopback face of the agent in one folder."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._open: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, value: object = None, key: str | None = None) -> dict:
        """Ask; raises OSError, HTTPException or ValueError while the agent is away."""
        headers = {"Authorization": f"Bearer {(self._home / 'api.token').read_text().strip()}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        line = self._open = self._open or self._dial()
        try:
            line.request(method, path, None if value is None else json.dumps(value), headers)
            answer = line.getresponse()
            said = json.loads(answer.read())
        except BaseException:
            self.close()
            raise
        if answer.status >= 500:
            raise ValueError(said)
        assert answer.status < 300, said
        return said

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _dial(self) -> http.client.HTTPConnection:
        host, port = (self._home / "agent.port").read_text().split()
        return http.client.HTTPConnection(host, int(port), timeout=30)


class CaseSystem:
    """Offers messages at a steady pace; `taken` has the id that the agent gave each number."""

    def __init__(self, home: Path, pace: float, form: Callable[[int], dict]) -> None:
        self.home, self.taken = home, dict[int, str]()
        self.longest = 0.0
        """Seconds from a message's offer to the agent's word that it has it, at worst."""
        self._pace, self._form = pace, form
        self._next = 0
        self._last: int | None = None
        self._lock = threading.Lock()
        self._hands = [threading.Thread(target=self._hand_in, daemon=True) for _ in range(FLIGHT)]
        self._began = 0.0

    @property
    def offered(self) -> int:
        """How many messages its people have written so far, or had when they stopped."""
        return int((time.monotonic() - self._began) * self._pace) if self._last is None else self._last

    def begin(self) -> None:
        self._began = time.monotonic()
        for hand in self._hands:
            hand.start()

    def stop(self) -> None:
        """Its people write nothing more."""
        self._last = self.offered

    def end(self, patience: float) -> float:
        """Wait until all is handed in, after `stop`; returns the seconds from the first offer to then."""
        for hand in self._hands:
            hand.join(patience)
            assert not hand.is_alive(), f"{self.offered - len(self.taken)} messages could not be handed in"
        assert sorted(self.taken) == list(range(self.offered))
        return time.monotonic() - self._began

    def _hand_in(self) -> None:
        with closing(Line(self.home)) as line:
            while (number := self._due()) is not None:
                self.taken[number] = self._sent(line, number)
                waited = time.monotonic() - self._began - number / self._pace
                self.longest = max(self.longest, waited)

    def _due(self) -> int | None:
        """The next message, once it is written; None when there are no more."""
        with self._lock:
            number, self._next = self._next, self._next + 1
        while number >= self.offered:
            if self._last is not None:
                return None
            time.sleep(0.01)
        return number

    def _sent(self, line: Line, number: int) -> str:
        form = self._form(number)
        while True:
            try:
                return str(line.ask("POST", "/v1/messages", form, f"n-{number}")["mid"])
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.1)  # it was killed
