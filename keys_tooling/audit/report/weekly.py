"""The weekly report: what waits for somebody. Internal."""

from __future__ import annotations

from keys_tooling.audit.opened import Row
from keys_tooling.audit.queries.people import unsigned_emergencies
from keys_tooling.audit.queries.question import ENDINGS, Desk, Given, when
from keys_tooling.audit.report import timeliness
from keys_tooling.audit.report.page import Section, Table, table_of
from keys_tooling.audit.report.periods import Period
from schemas.audit import Event

HOUR = 3600
FOUND = "What is listed here waits for somebody. Ring first: the entries tell when, never about whom."


def sections(desk: Desk, period: Period) -> tuple[Section, ...]:
    return (
        _reds(desk, period),
        _holds(desk, period),
        _signatures(desk, period),
        _unsafe(desk),
        _timely(desk, period),
    )


def _reds(desk: Desk, period: Period) -> Section:
    """Of any age while it waits, and what ended unread in the week."""
    rows = []
    for message in desk.rows(Event.ACCEPT):
        if message.rag != "RED":
            continue
        for place in message.to:
            steps = desk.steps.get((message.eid, place), {})
            end = next((steps[event] for event in ENDINGS if event in steps), None)
            if end is not None and (end.event != Event.EXPIRED or not period.holds(end.ts)):
                continue
            waits = (desk.now - message.ts) // HOUR
            state = "waits" if end is None else "EXPIRED, nobody took it on"
            reached = next((e for e in (Event.OPENED, Event.COLLECTED) if e in steps), "not collected")
            whose = (when(message.ts), message.mid, desk.place(message.sender), desk.place(place))
            rows.append((*whose, waits, reached, state))
    columns = ("Sent (UTC)", "Message", "From", "To", "Hours since", "Reached", "Now")
    words = (FOUND, "RED is to be acknowledged by a person within the hour, at any hour.")
    return Section(
        "RED that nobody has acknowledged", words, tables=(Table("Unacknowledged RED", columns, tuple(rows)),)
    )


def _holds(desk: Desk, period: Period) -> Section:
    accepted = {row.eid: row for row in desk.rows(Event.ACCEPT)}
    ended = {row.eid: row for row in desk.rows(Event.LAPSED, Event.WITHDRAWN, Event.EXPIRED)}
    rows = []
    for held in desk.rows(Event.HELD):
        end = accepted.get(held.eid) or ended.get(held.eid)
        if end is not None and not period.holds(end.ts):
            continue
        now = f"waits {(desk.now - held.ts) // HOUR} hours" if end is None else _became(end)
        rows.append(
            (when(held.ts), held.mid, desk.place(held.sender), desk.places(held.to), held.rag, held.code, now)
        )
    columns = ("Held (UTC)", "Message", "From", "To", "Colour", "Why", "Now")
    words = (
        "A held message waits for the sender's safeguarding lead. What waits, and what ended in the week.",
    )
    return Section("Holds", words, tables=(Table("Held messages", columns, tuple(rows)),))


def _became(end: Row) -> str:
    return f"let go {when(end.ts)}" if end.event == Event.ACCEPT else f"{end.event} {when(end.ts)}"


def _signatures(desk: Desk, period: Period) -> Section:
    asked = tuple(
        (when(row.ts), row.mid, desk.place(row.sender), row.count)
        for row in desk.rows(Event.LEAD_MISSING)
        if period.holds(row.ts)
    )
    emergencies = table_of(
        "Emergencies that no lead signed within 24 hours", desk.said(unsigned_emergencies(desk, Given()))
    )
    reminders = Table("Reminders of the week", ("Time (UTC)", "Message", "Desk", "How often by then"), asked)
    words = ("An emergency goes at once; a safeguarding lead signs within 24 hours that she answers for it.",)
    return Section("Missing second signatures", words, tables=(emergencies, reminders))


def _unsafe(desk: Desk) -> Section:
    rows = tuple(
        (when(row.told_by), row.mid, desk.place(row.sender), desk.places(row.to), when(row.ts))
        for row in sorted(desk.accepted(), key=lambda row: row.told_by or 0)
        if row.told == "UNSAFE" and row.told_by is not None and row.told_by < desk.now
    )
    columns = ("Look again by (UTC)", "Message", "From", "To", "Sent (UTC)")
    words = (
        (
            "It was not safe to tell the person. The day to look at that again has passed. Whether "
            "somebody has looked, the "
            "agency's own store knows: fenpost-agent statement kept"
        ),
    )
    return Section(
        "Not told, and the day to look again is past",
        words,
        tables=(Table("Past their review", columns, rows),),
    )


def _timely(desk: Desk, period: Period) -> Section:
    found, unread = timeliness.deliveries(desk, period)
    words = (
        (f"{unread} messages are left out: the policy of their time is not here. Pull.",) if unread else ()
    )
    return Section("Timeliness of the week", words, charts=(timeliness.chart(desk, found),))
