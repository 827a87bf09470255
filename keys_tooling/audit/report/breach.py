"""A breach: who is affected, in minutes, and what to do first, in plain words. Internal.

Sources: UK GDPR Articles 33 and 34 (72 hours to the ICO; telling people without undue delay where the risk is high).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from keys_tooling.audit.opened import Row
from keys_tooling.audit.queries.question import Desk, Given, when, within
from keys_tooling.audit.report.page import Section, Table
from keys_tooling.audit.report.periods import Period, moment
from keys_tooling.audit.told import Place
from schemas.audit import Event

ICO = 72 * 3600
FIRST = (
    (
        "If somebody may be in danger now, ring 999. Then ring the safeguarding lead of each agency "
        "below, on a known number."
    ),
    "Presume that every address, number and time to call in these messages is known to the person causing harm.",
    (
        "Have the person's own worker ring the person, by the safe way and at the safe time that the "
        "worker has on file: ask "
        "whether it is safe to talk, and who else can hear. No letter, no text, no message on a machine."
    ),
    (
        "Say what happened, plan with the person whether to move, and warn the police and the refuge "
        "before anybody writes "
        "anything down."
    ),
    "Stop the leak: have the key revoked (fenpost-keys revoke), take the device off the network, keep it as it is.",
    "Have what was sent in error recalled, and ask every recipient below to confirm that it is gone.",
    "Note each step with its time. Tell your data protection officer now: the clock below runs.",
)
TAKEN = (Event.COLLECTED, Event.OPENED, Event.TAKEN_ON)
GRAVE = frozenset({"contact", "ident"})
"""Kinds of information that lead to somebody's door."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What was lost: a desk's mailbox, a key, or an agency's everything; and when that became known."""

    known: int
    desk: Place | None = None
    key: str = ""
    agency: str = ""

    def touched(self, row: Row) -> bool:
        """Whether a message was within reach."""
        if self.key:
            return self.key in (row.signer, *row.keys)
        if self.desk is not None:
            return self.desk in (row.sender, *row.to)
        return not self.agency or self.agency in row.agencies


def sections(desk: Desk, period: Period, scope: Scope) -> tuple[Section, ...]:
    affected = [desk.messages[eid] for eid in _touched(desk, period, scope)]
    affected.sort(key=lambda row: (not GRAVE & set(row.cat), row.rag != "RED", row.seq))
    return (
        Section("What to do first", ("In this order. People come before paper.",), FIRST),
        _clock(scope, period),
        Section("Who is affected", _size(affected), tables=(_people(desk, affected), _messages(desk, affected))),
        Section("Whom to ring", tables=(_agencies(desk, affected),)),
        Section("What this cannot tell", (
            ("Whose data it is stands in no entry. The reference of a case is a code that only the "
             "agency which sent it can "
            "turn back: each agency below looks its own codes up with fenpost-agent extract."),
            "Entries that stay closed to you are not here. Ask oversight to run this too: it sees every agency's.",
        )),
    )  # fmt: skip


def _touched(desk: Desk, period: Period, scope: Scope) -> list[str]:
    """Envelopes that were sent, held, refused or taken within reach, in the time."""
    window: Given = period.given
    messages = [
        row for row in within(desk.rows(Event.ACCEPT, Event.HELD, Event.REFUSE), window) if scope.touched(row)
    ]
    found = dict.fromkeys(row.eid for row in messages)
    for step in within(desk.rows(*TAKEN), window):
        message = desk.messages.get(step.eid)
        if message is not None and (scope.touched(message) or (scope.key and step.signer == scope.key)):
            found[step.eid] = None
    return list(found)


def _clock(scope: Scope, period: Period) -> Section:
    words = (
        (
            f"It became known {moment(scope.known)}. The Information Commissioner is told by "
            f"{moment(scope.known + ICO)}, within "
            "72 hours, unless a risk to people is unlikely; here it is likely."
        ),
        f"Looked at: {period.label}. If the leak began earlier, run this again with an earlier --since.",
        "What is not yet known is told later: a first report with gaps is better than a late one.",
    )
    return Section("The clock", words)


def _size(affected: list[Row]) -> tuple[str, ...]:
    cases = {(row.sender.agency, row.ref) for row in affected if row.ref}
    unnamed = sum(not row.ref for row in affected if row.pd != "none")
    grave = sum(bool(GRAVE & set(row.cat)) for row in affected)
    more = f" {unnamed} more messages about somebody name no case." if unnamed else ""
    return (
        (
            f"{len(affected)} messages, about {len(cases)} cases.{more} {grave} of the messages hold "
            "what could lead to "
            "somebody's door: these come first."
        ),
    )


def _people(desk: Desk, affected: list[Row]) -> Table:
    cases: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in affected:
        if row.ref:
            cases[row.sender.agency, row.ref].append(row)
    rows = tuple(
        (
            ref, desk.name(agency), len(found), _yes(bool(GRAVE & set(row.cat)) for row in found),
            _yes(row.child for row in found), _yes(row.rag == "RED" for row in found),
        )
        for (agency, ref), found in cases.items()
    )  # fmt: skip
    columns = (
        "Case, its agency's code",
        "Agency that knows whose",
        "Messages",
        "Ways to reach them",
        "Child",
        "RED",
    )
    return Table("Cases affected, those to ring first on top", columns, rows)


def _yes(of: Iterable[bool]) -> str:
    return "yes" if any(of) else "no"


def _messages(desk: Desk, affected: list[Row]) -> Table:
    rows = tuple(
        (
            when(row.ts), row.mid, desk.place(row.sender), desk.places(row.to), row.rag, " ".join(row.cat), row.told,
            "; ".join(_reached(desk, row, place) for place in row.to),
        )
        for row in affected
    )  # fmt: skip
    columns = (
        "Time (UTC)",
        "Message",
        "From",
        "To",
        "Colour",
        "Kinds of information",
        "Told",
        "How far it came",
    )
    return Table("Messages affected", columns, rows)


def _reached(desk: Desk, row: Row, place: Place) -> str:
    if row.event != Event.ACCEPT:
        return row.event
    steps = desk.steps.get((row.eid, place), {})
    order = (Event.REJECTED, Event.TAKEN_ON, Event.OPENED, Event.COLLECTED, Event.WITHDRAWN, Event.EXPIRED)
    return str(next((event for event in order if event in steps), "waits at the relay"))


def _agencies(desk: Desk, affected: list[Row]) -> Table:
    tally: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in affected:
        tally[row.sender.agency][0] += 1
        for agency in {place.agency for place in row.to}:
            tally[agency][1] += 1
    rows = tuple(
        (desk.name(agency), sent, got)
        for agency, (sent, got) in sorted(tally.items(), key=lambda item: (-sum(item[1]), item[0]))
    )
    return Table(
        "Agencies, each a controller of its own who must be told", ("Agency", "Sent", "Received"), rows
    )
