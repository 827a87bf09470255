"""The register of processing (ROPA, UK GDPR Article 30), from what was really shared. Internal: for the file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from keys_tooling.audit.opened import Row
from keys_tooling.audit.queries.question import Desk
from keys_tooling.audit.report.page import Section, Table
from keys_tooling.audit.report.periods import Period
from schemas.policy import Policy
from schemas.vocabulary import Entry as Code

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


def sections(desk: Desk, period: Period) -> tuple[Section, ...]:
    """What this agency did in the period, by purpose, and on what."""
    own = [row for row in desk.accepted(period.given) if row.sender.agency == desk.agency]
    got = [row for row in desk.accepted(period.given) if row.sender.agency != desk.agency]
    policy = desk.policy(desk.now)
    controller = (f"Controller: {desk.name(desk.agency)} ({desk.agency}).",)
    return (
        Section("Controller", controller),
        Section(
            "What this agency shared",
            _whose(own),
            tables=(_purposes(desk, policy, own), _terms(policy, own)),
        ),
        Section("What this agency received", tables=(_received(desk, got),)),
        Section("How long", tables=(_retention(own),)),
        Section("How it is kept safe", SECURITY),
        Section("What is not here", NOT_HERE),
    )


def _whose(rows: list[Row]) -> tuple[str, ...]:
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


def _received(desk: Desk, rows: list[Row]) -> Table:
    by: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by[row.pur, row.sender.agency].append(row)
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
