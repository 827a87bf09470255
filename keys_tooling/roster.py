"""Who has which key at an agency, what runs out, and what nobody looked at for a quarter (PROTOCOL.md K24). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from keys_tooling.plan import Facts, Plan, Said
from schemas.directory import Agency, Directory
from schemas.directory import Key as Published
from schemas.errors import Refusal
from schemas.keys import Use

Given = tuple[tuple[str, str], ...]
DAY = 24 * 3600
QUARTER = 90 * DAY
SOON = 30 * DAY
PEOPLE = (Use.PERSON, Use.IG, Use.IG_AUTH, Use.POLICY)
ADVICE = {
    "not countersigned": "oversight has not countersigned her: fenpost-keys role countersign",
    "counts later": "her key counts later",
    "ends soon": "it ends within 30 days: make her next key now (fenpost-keys rotate)",
    "not certified": "nobody has looked at it for 90 days: fenpost-keys role recertify",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One person's key that stands, and what is due about it."""

    key: Published
    state: str
    certified: int
    due: tuple[str, ...]

    def to_json(self) -> Facts:
        key = self.key
        return {
            "certified": self.certified,
            "due": list(self.due),
            "kid": key.kid,
            "person": key.person,
            "state": self.state,
            "until": key.exp,
            "use": str(key.use),
        }


def roster(view: Directory, agency: Agency, now: int, delay: int) -> list[Row]:
    """Every person's key of an agency that is not over, by use and tag."""
    keys = [
        key
        for key in agency.keys.values()
        if key.use in PEOPLE and now < key.exp and (key.revoked is None or now < key.revoked)
    ]
    return [
        _row(view, agency, key, now, delay)
        for key in sorted(keys, key=lambda k: (k.use, k.person or "", k.nbf))
    ]


def shortages(rows: list[Row], needs_leads: bool) -> list[str]:
    """What the agency lacks: two leads who count, an officer and her deputy."""
    leads = {
        row.key.person for row in rows if row.state == "counts" and (row.key.person or "").startswith("lead-")
    }
    officers = sum(row.key.use == Use.IG for row in rows)
    found = []
    if needs_leads and len(leads) < 2:
        found.append(f"{len(leads)} safeguarding leads count: two are needed, so that one can be away")
    if officers < 2:
        found.append(f"{officers} IG officers: an officer and a deputy are needed")
    return found


def recertify(agency: Agency, rows: list[Row], given: Given, only: tuple[str, ...]) -> Plan:
    """The agency's word that these people's keys are still theirs.

    Raises:
        Refusal: UNKNOWN_KEY (a tag that nobody has).
    """
    wanted = [row for row in rows if row.key.person and (not only or row.key.person in only)]
    missing = set(only) - {row.key.person for row in wanted}
    if missing or not wanted:
        raise Refusal("UNKNOWN_KEY", "Your agency has nobody of that tag. Look: fenpost-keys role roster")
    people = sorted({str(row.key.person) for row in wanted})
    return Plan(
        "role recertify",
        given,
        agency.id,
        (Said("recertify", {"kids": [row.key.kid for row in wanted]}),),
        affects=(f"you say that these are still right: {', '.join(people)}",),
        after=("whoever has left or moved: fenpost-keys revoke --person, the same day",),
    )


def _row(view: Directory, agency: Agency, key: Published, now: int, delay: int) -> Row:
    state = "stands" if now >= key.nbf else "counts later"
    if key.use == Use.PERSON:
        signed = view.countersigned.get(key.kid)
        state = (
            "not countersigned" if signed is None else "counts" if now >= signed + delay else "counts later"
        )
    certified, due = agency.certified(key.kid), []
    if state == "not countersigned":
        due.append(state)
    if key.exp - now <= SOON and not _followed(agency, key):
        due.append("ends soon")
    if now - certified >= QUARTER:
        due.append("not certified")
    return Row(key, state, certified, tuple(due))


def _followed(agency: Agency, key: Published) -> bool:
    return any(
        one.use == key.use and one.person == key.person and one.exp > key.exp and one.revoked is None
        for one in agency.keys.values()
    )
