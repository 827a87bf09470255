"""The register of data-sharing agreements, from every policy on record. Internal: for the file."""

from __future__ import annotations

from collections.abc import Iterable

from keys_tooling.audit.inert import Value
from keys_tooling.audit.queries.law import without_sharing_agreement
from keys_tooling.audit.queries.question import DAY, Desk
from keys_tooling.audit.report.page import Section, Table, table_of
from keys_tooling.audit.report.periods import Period, day
from schemas.policing import Entry
from schemas.policy import ANYBODY, DataSharing, Policy

SOON = 90 * DAY
OPEN = "no date"
PAPER = "Who owns an agreement, and when it is next reviewed, stands in its paper, not in the policy."


def sections(desk: Desk, period: Period) -> tuple[Section, ...]:
    """Every agreement of every policy that was, is or will be in force."""
    entries = desk.view.policies.entries
    present = desk.view.policies.in_force(desk.now)
    texts = [(entry, desk.shelf.policies.get(entry.digest)) for entry in entries]
    live = next((policy for entry, policy in texts if entry is present), None)
    missing = [entry.version for entry, policy in texts if policy is None]
    said = [_standing(present, live)]
    if missing:
        said.append(
            f"The texts of versions {', '.join(map(str, missing))} are not in your mirror. Pull, then "
            "run this again."
        )
    rows = [
        row
        for entry, policy in texts
        if policy is not None
        for row in _agreements(desk, entry, policy, entry is present)
    ]
    columns = ("Agreement", "Parties", "Purposes", "From", "To", "Standing", "Policy", "Signed by")
    register = Table(
        "Data-sharing agreements, those that ask for something first",
        columns,
        tuple(sorted(rows, key=_urgent)),
    )
    outside = table_of(
        "Shared although none was in force", desk.said(without_sharing_agreement(desk, period.given)),
        "time message from to purpose categories",
    )  # fmt: skip
    return (
        Section("The register", tuple(said), tables=(register,)),
        Section("Outside every agreement", (f"In the time {period.label}.",), tables=(outside,)),
        Section("What is not here", (PAPER,)),
    )  # fmt: skip


def _standing(entry: Entry | None, policy: Policy | None) -> str:
    if entry is None:
        return "No policy is in force: only an emergency goes."
    name = "" if policy is None else f" “{policy.name}”"
    return f"In force: policy{name}, version {entry.version}, since {day(entry.effective)}."


def _agreements(desk: Desk, entry: Entry, policy: Policy, present: bool) -> Iterable[tuple[Value, ...]]:
    for one in policy.agreements:
        parties = "every two members" if one.parties == (ANYBODY,) else ", ".join(map(desk.name, one.parties))
        says = policy.purposes
        purposes = ", ".join(f"{code} ({says[code].says})" if code in says else code for code in one.purposes)
        yield (
            one.id, parties, purposes, _date(one.since), _date(one.until), _state(one, desk.now, entry, present),
            f"version {entry.version}", ", ".join(entry.signers),
        )  # fmt: skip


def _state(one: DataSharing, now: int, entry: Entry, present: bool) -> str:
    if not present:
        return "coming" if entry.effective > now else "of an earlier policy"
    if one.since is not None and now < one.since:
        return "not begun"
    if one.until is None:
        return "in force, NO END DATE: review it yearly"
    if now >= one.until:
        return "EXPIRED"
    return "EXPIRES WITHIN 90 DAYS" if one.until - now <= SOON else "in force"


def _urgent(row: tuple[Value, ...]) -> tuple[int, str, str]:
    order = (
        "EXPIRED",
        "EXPIRES WITHIN 90 DAYS",
        "in force, NO END DATE: review it yearly",
        "in force",
        "not begun",
        "coming",
    )
    state = str(row[5])
    return (order.index(state) if state in order else len(order)), str(row[6]), str(row[0])


def _date(ts: int | None) -> str:
    return OPEN if ts is None else day(ts)
