"""The two registers: processing (ROPA, UK GDPR Article 30) and data-sharing agreements. Internal: for the file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from keys_tooling.audit.inert import Value
from keys_tooling.audit.opened import Row
from keys_tooling.audit.queries.law import without_sharing_agreement
from keys_tooling.audit.queries.question import DAY, Desk
from keys_tooling.audit.report.page import Section, Table, table_of
from keys_tooling.audit.report.periods import Period, day
from schemas.policing import Entry
from schemas.policy import ANYBODY, DataSharing, Policy
from schemas.vocabulary import Entry as Code

SOON = 90 * DAY
OPEN = "no date"
RETAINED = {
    "R1": "At the relay, until its last desk has ended it: at most 7 days for RED, 14 for others.",
    "R2": "At the relay, until every recipient has ended it.",
    "R3": "At sender's and recipient's agents, 90 days after it was filed in the case system.",
    "R4": "Sealed log, 7 years; child-related until 25 or 7 years, whichever is longer.",
    "R5": "With the sealed log.",
    "R6": "3 years.",
}
SECURITY = (
    (
        "Messages are sealed at the sender's agency to the receiving desk (hybrid HPKE, ML-KEM-768 "
        "with X25519) and signed; "
        "the relay holds no key that opens one. It is a processor of headers, which are pseudonymous."
    ),
    (
        "Agents keep what they hold in an encrypted store. The log is sealed to IG officers, and "
        "proven whole by every "
        "agency's agent. Every opening by an officer is itself logged."
    ),
    "Keys are renewed and can be revoked; who may authorise an override holds a key that two people vouched for.",
)
NOT_HERE = (
    (
        "Not in any entry, to be added by hand: the data protection officer's name and contact, a "
        "joint controller or "
        "representative if there is one, transfers outside the United Kingdom (the relay makes "
        "none), and each agency's own "
        "retention schedule for its case system."
    ),
)


def ropa(desk: Desk, period: Period) -> tuple[Section, ...]:
    """What this agency did in the period, by purpose, and on what."""
    own = [row for row in desk.accepted(period.given) if row.sender.agency == desk.agency]
    got = [row for row in desk.accepted(period.given) if row.sender.agency != desk.agency]
    policy = desk.policy(desk.now)
    controller = (f"Controller: {desk.name(desk.agency)} ({desk.agency}).",)
    return (
        Section("Controller", controller),
        Section(
            "What this agency shared",
            _whose(desk, own),
            tables=(_purposes(desk, policy, own), _terms(policy, own)),
        ),
        Section("What this agency received", tables=(_received(desk, policy, got),)),
        Section("How long", tables=(_retention(own),)),
        Section("How it is kept safe", SECURITY),
        Section("What is not here", NOT_HERE),
    )


def _whose(desk: Desk, rows: list[Row]) -> tuple[str, ...]:
    del desk
    if rows:
        return ()
    return ("Nothing about a person was shared in this time.",)


def _purposes(desk: Desk, policy: Policy | None, rows: list[Row]) -> Table:
    by: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by[row.pur].append(row)
    says = {} if policy is None else {code: entry.says for code, entry in policy.purposes.items()}
    found = tuple(
        (
            f"{code}: {says.get(code, 'not in the policy of today')}", _subjects(found), _all(row.cat for row in found),
            _names(desk, found), _all((row.b6,) for row in found), _all((row.b9, *row.s1) for row in found),
            _all(row.gw for row in found), len(found),
        )
        for code, found in sorted(by.items())
    )  # fmt: skip
    columns = (
        "Purpose", "Whose data", "Kinds of information", "Recipients", "Article 6", "Article 9 and Schedule 1",
        "Gateways",
        "Messages",
    )  # fmt: skip
    return Table("Processing by purpose", columns, found)


def _subjects(rows: list[Row]) -> str:
    found = {"the person"}
    for row in rows:
        found |= {"child"} if row.child else set()
        found |= {"adult at risk"} if row.adult_at_risk else set()
        found |= {"person causing harm"} if row.hc or "hc" in row.cat else set()
        found |= {"third party"} if "third_party" in row.cat else set()
    return ", ".join(sorted(found))


def _all(groups: Iterable[Iterable[str]]) -> str:
    return ", ".join(sorted({one for group in groups for one in group if one}))


def _names(desk: Desk, rows: list[Row]) -> str:
    return ", ".join(sorted({desk.name(place.agency) for row in rows for place in row.to}))


def _terms(policy: Policy | None, rows: list[Row]) -> Table:
    """Each basis, condition and paragraph that was relied on, in the policy's words."""
    words: dict[str, str] = {}
    if policy is not None:
        v = policy.vocabulary
        groups: tuple[Iterable[Code], ...] = (v.bases, v.conditions, v.schedule1, v.gateways)
        words = {entry.code: entry.says for group in groups for entry in group}
    used = {code for row in rows for code in (row.b6, row.b9, *row.s1, *row.gw) if code}
    found = tuple((code, words.get(code, "not in the policy of today")) for code in sorted(used))
    return Table("What it rests on, in words", ("Code", "What it says"), found)


def _received(desk: Desk, policy: Policy | None, rows: list[Row]) -> Table:
    by: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by[row.pur, row.sender.agency].append(row)
    del policy
    found = tuple(
        (code, desk.name(agency), _subjects(found), _all(row.cat for row in found), len(found))
        for (code, agency), found in sorted(by.items())
    )
    columns = ("Purpose", "From", "Whose data", "Kinds of information", "Messages")
    return Table("Received, by purpose and source", columns, found)


def _retention(rows: list[Row]) -> Table:
    used = {row.retain for row in rows if row.retain} | {"R4"}
    found = tuple((code, RETAINED.get(code, "")) for code in sorted(used))
    note = "The partnership's defaults; an agency's own schedule wins for its case system."
    return Table("Retention codes that messages carried", ("Code", "What it means"), found, note)


# --- data-sharing agreements

PAPER = "Who owns an agreement, and when it is next reviewed, stands in its paper, not in the policy."


def dsa(desk: Desk, period: Period) -> tuple[Section, ...]:
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
