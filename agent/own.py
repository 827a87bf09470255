"""What people of this agency say themselves: that a statement in its name is right, that a second agent was seen to,
and that another agency's safety number was compared (PROTOCOL.md A8, G15, K10).

Rules of this house:
- a number is marked by a role, with how and when it was compared; nobody's name is kept;
- an agency that comes under the name of one whose number was compared, and is another, is not sent to: a number cannot
  change, so this is somebody else until people have compared again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Connection, Row, delete, insert, select

from agent.clock import Clock
from agent.directory import Book
from agent.directory_tables import verified
from agent.doubts import Doubts
from agent.forms import Json
from agent.ring import HeldKeys
from agent.store import Store, note
from schemas.directory import Directory
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.safety import pair_number

ROLE = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")


class Acknowledge(Frozen):
    """Statements in our own name that somebody here knows of, by number; that a second agent was seen to;
    or that messages were looked over which a key signed that was in other hands by then, by the names they were shown
    under."""

    statements: tuple[Annotated[int, Field(ge=0, le=2**31)], ...] = Field(default=(), max_length=500)
    two_agents: bool = False
    messages: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,43}\.[0-9]{1,10}$")], ...] = Field(
        default=(), max_length=500
    )


class Compared(Frozen):
    """Another agency's safety number, as it was read out, and who compared it how. `who` is a role, never a name."""

    agency: Annotated[str, Field(min_length=1, max_length=120)]
    number: Annotated[str, Field(max_length=100)]
    who: Annotated[str, ROLE]
    how: Literal["voice", "meeting"]


class Own:
    """Acts of people. Every method raises Refusal with a code and a next step."""

    def __init__(self, store: Store, book: Book, keys: HeldKeys, clock: Clock) -> None:
        self._store = store
        self._book = book
        self._doubts = Doubts(lambda: book.latest)
        self._keys = keys
        self._clock = clock

    async def acknowledge(self, form: Acknowledge) -> Json:
        """Take a person's word. Raises Refusal NOT_FOUND when nothing of the kind waits, or more."""
        count = await self._book.acknowledge(form.statements) if form.statements else 0
        if form.two_agents:
            await self._book.twin.dealt_with()
        looked = 0
        if form.messages:
            looked = await self._store.run(lambda c: self._doubts.looked_over(c, form.messages))
        return {"acknowledged": count, "two_agents": form.two_agents, "messages": looked}

    async def number(self, text: str) -> Json:
        """The safety number with an agency, by id or name, and who compared it. Raises Refusal UNKNOWN_AGENCY."""
        view = self._book.latest
        other = view.find(text)
        if other.id == self._keys.agency:
            raise Refusal("UNKNOWN_AGENCY", "A safety number is for two agencies: name another one.")
        mine, asked = view.known(self._keys.agency), select(verified).where(verified.c.agency == other.id)
        row = await self._store.run(lambda c: c.execute(asked).first())
        return {
            "agency": other.id,
            "name": other.name,
            "number": pair_number(mine.inception, other.inception),
            "compared": None if row is None else {"who": row.who, "how": row.how, "ts": row.ts},
        }

    async def compared(self, form: Compared) -> Json:
        """Mark a number as compared. Raises Refusal FINGERPRINT when it is another, UNKNOWN_AGENCY."""
        found = await self.number(form.agency)
        if _digits(form.number) != _digits(str(found["number"])):
            raise Refusal(
                "FINGERPRINT",
                "That is not the number of your two agencies, so nothing was marked. Do not send to them until you "
                "know why: ring their safeguarding lead on a number that you knew before.",
            )
        now, name = int(self._clock()), str(found["name"])
        row = {"agency": found["agency"], "number": found["number"], "name": name, "who": form.who}

        def work(c: Connection) -> None:
            others = [
                one.agency
                for one in c.execute(select(verified)).all()
                if one.name.casefold() == name.casefold()
            ]
            c.execute(delete(verified).where(verified.c.agency.in_([*others, found["agency"]])))
            c.execute(insert(verified).values(**row, how=form.how, ts=now))
            note(c, now, "safety-number-compared", "")

        await self._store.run(work)
        return await self.number(str(found["agency"]))

    async def strangers(self) -> list[Json]:
        """Agencies under the name of one whose number was compared, which are others."""
        view, found = self._book.latest, list[Json]()
        marks = [(row, _names(view, row)) for row in await self._marks()]
        for agency in view.agencies.values() if marks else ():
            name = agency.name.casefold()
            found += [
                {"agency": agency.id, "name": agency.name, "compared": row.agency, "ts": row.ts}
                for row, names in marks
                if agency.member and name in names and agency.id != row.agency
            ]
        return found

    async def check(self, agencies: Iterable[str]) -> None:
        """Raises Refusal SAFETY_NUMBER when one of these comes under the name of another that was compared."""
        if set(agencies) & {str(one["agency"]) for one in await self.strangers()}:
            raise Refusal("SAFETY_NUMBER")

    async def _marks(self) -> list[Row[Any]]:
        return await self._store.run(lambda c: list(c.execute(select(verified)).all()))


def _names(view: Directory, row: Row[Any]) -> set[str]:
    """The compared agency's names: as it was called then, and as it is now."""
    now = view.agencies.get(row.agency)
    return {row.name.casefold()} | ({now.name.casefold()} if now is not None and now.member else set())


def _digits(text: str) -> str:
    return "".join(char for char in text if char not in " -\t\n")
