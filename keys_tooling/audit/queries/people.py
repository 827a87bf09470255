"""Who did what, and who watches the watchers (questions 8, 9, 16 to 19 and 23)."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import median

from keys_tooling.audit.inert import Value
from keys_tooling.audit.opened import Row
from keys_tooling.audit.queries.question import (
    HOUR,
    Answer,
    Desk,
    Given,
    partly,
    when,
    whole,
    within,
)
from keys_tooling.audit.queries.shares import SHARE, share
from schemas.audit import Event
from schemas.worktime import london


def overrides_after_refusal(desk: Desk, given: Given) -> Answer:
    rows: list[tuple[Value, ...]] = []
    for row in desk.accepted(given):
        policy = desk.policy_of(row)
        state = policy.states.get(row.agree, "") if policy else row.agree.lower()
        if state not in ("refused", "withdrawn"):
            continue
        override = desk.override_for(row)
        if override is None:
            rows.append(("nobody", "", "", *share(row, desk)))
        else:
            author, lead = desk.person(override.author), desk.person(override.authoriser)
            rows.append((lead, author, override.words, *share(row, desk)))
    rows.sort(key=lambda row: str(row[0]))
    return whole(f"authoriser asked_by reason {SHARE}", rows)


def unsigned_emergencies(desk: Desk, given: Given) -> Answer:
    hours = given.number("hours", 24)
    rows: list[tuple[Value, ...]] = []
    for row in within(desk.rows(Event.BREAK_GLASS), given):
        message = desk.messages.get(row.eid)
        by = row.ts + hours * HOUR
        signed = next(
            (o for o in desk.overrides if o.mid == row.mid and o.sender.agency == row.sender.agency), None
        )
        if (signed is not None and signed.ts < by) or desk.now < by:
            continue
        state = "never signed" if signed is None else f"signed {when(signed.ts)}"
        to = "" if message is None else desk.places(message.to)
        rows.append((when(row.ts), row.mid, desk.place(row.sender), to, when(by), state))
    return whole("time message from to due signature", rows)


def blocked_attempts(desk: Desk, given: Given) -> Answer:
    most = given.number("more_than", 3)
    tally: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for row in within(desk.rows(Event.REFUSE), given):
        day = when(row.ts)[:10]
        tally[day, desk.place(row.sender), row.author][row.code] += 1
    rows: list[tuple[Value, ...]] = [
        (
            day,
            place,
            author,
            codes.total(),
            ", ".join(f"{code} {count}" for code, count in codes.most_common()),
        )
        for (day, place, author), codes in sorted(tally.items())
        if codes.total() > most
    ]
    others = [row for row in within(desk.rows(Event.REFUSE), given) if not row.author]
    columns = "day desk author attempts codes"
    if others:
        reason = (
            f"Of {len(others)} refused messages the author is not known to you, and they are counted by desk: their "
            "sealed record was not sealed to you, or does not open."
        )
        return partly(columns, rows, reason)
    return whole(columns, rows)


# --- at what hour, by whom


def unusual_work(desk: Desk, given: Given) -> Answer:
    opens, closes = given.number("from_hour", 9), given.number("to_hour", 17)
    roster, bare = given.roster, set[str]()
    rows: list[tuple[Value, ...]] = []
    for row in within(desk.rows(Event.REJECTED, Event.TAKEN_ON), given):
        at = row.ts if row.signed is None else row.signed
        why = []
        if not in_hours(at, opens, closes):
            why.append("outside hours")
        if row.role and row.sender.agency == desk.agency:
            who = desk.roster(row.sender.desk, at) if roster is None else roster.get(row.sender.desk, ())
            why += [] if who is None or row.role in who else ["role not on the desk's roster"]
            bare |= {row.sender.desk} if who is None else set()
        if why:
            rows.append((when(at), desk.place(row.sender), row.event, row.role, ", ".join(why), row.mid))
    reason = (
        "A message is opened by the agency's agent, at any hour, and which person then read it stands in the agency's "
        "own case system. Here are the steps that people take: taking on and giving back, with the role that they gave."
    )
    if bare:
        reason += (
            f" Your agency has put no roster on record for {', '.join(sorted(bare))}, so roles were not looked at "
            "there: fenpost-keys role desk, or give --roster."
        )
    return partly("time desk step role why message", rows, reason)


def in_hours(ts: int, opens: int, closes: int) -> bool:
    """Whether a time is within these hours, Monday to Friday, in London."""
    at = london(ts)
    return at.weekday() < 5 and opens <= at.hour < closes


def busy_keys(desk: Desk, given: Given) -> Answer:
    opened: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in within(desk.rows(Event.OPENED), given):
        message = desk.messages.get(row.eid)
        opened[row.signer, when(row.ts)[:10]].add(row.eid if message is None else message.thr)
    usual = {key: median(len(t) for (k, _), t in opened.items() if k == key) for key, _ in opened}
    most = given.number("more_than", 0)
    rows: list[tuple[Value, ...]] = []
    for (key, day), threads in sorted(opened.items(), key=lambda item: (item[0][1], item[0][0])):
        bound = most or max(10, 3 * usual[key])
        if len(threads) > bound:
            rows.append((day, key, _agency_of(desk, key), len(threads), usual[key]))
    reason = "A key is an agency's agent, not a person. How many cases one person looked at, her case system knows."
    return partly("day key agency threads usual", rows, reason)


def _agency_of(desk: Desk, kid: str) -> str:
    return next((desk.name(a.id) for a in desk.view.agencies.values() if kid in a.keys), "unknown")


def conflict_denials(desk: Desk, given: Given) -> Answer:
    local = given.local
    if local is None or local.conflict_denials is None:
        reason = (
            "Who was kept from a case that she has a part in must never be known at the relay, so no entry says it and "
            "this cannot count it. "
        )
        more = (
            "The extract has no count: this version's agent bars nobody and notes none. Ask whoever runs the agency's "
            "case system."
            if local
            else "Give --local with an extract that has a count."
        )
        return partly("agency until denials", (), reason + more)
    return whole(
        "agency until denials", [(desk.name(local.agency), when(local.made), local.conflict_denials)]
    )


# --- officers


def officers_acts(desk: Desk, given: Given) -> Answer:
    rows = [_act(desk, row) for row in within(desk.rows(Event.HANDOVER, Event.READ, Event.UNSEALED), given)]
    lost = [
        (
            when(one.ts),
            "your own key",
            "opening",
            "NOT IN THE LOG",
            None,
            None,
            "the relay said that it logged it",
        )
        for one in desk.unlogged()
    ]
    reason = "What an officer does with her keys outside this program leaves no trace; nor does what she notes by hand."
    return partly("time officer act why first entries words", [*lost, *rows], reason)


def _act(desk: Desk, row: Row) -> tuple[Value, ...]:
    who = f"{row.signer} at {desk.name(row.sender.agency)}"
    if row.event == Event.READ:
        return (when(row.ts), who, "copied sealed records", "", row.first, row.count, "")
    if row.event == Event.HANDOVER:
        return (
            when(row.ts),
            who,
            f"passed on keys ({row.scope})",
            "",
            row.first,
            row.count,
            f"to {row.authoriser}",
        )
    act = " ".join(filter(None, (row.scope, row.op, "without the relay" if row.outside else "")))
    at = row.signed if row.signed is not None else row.ts
    return (when(at), who, act, row.reason, row.first, row.count, row.words)
