"""Who has which key at an agency, what runs out, and what nobody looked at for a quarter (PROTOCOL.md K24). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from keys_tooling.plan import Facts, Given, Plan, Said
from schemas.directory import Agency, Directory
from schemas.directory import Key as Published
from schemas.errors import Refusal
from schemas.keys import Use
from schemas.people import PEOPLE
from schemas.people import due as reminders_of

ADVICE = {
    "not countersigned": "oversight has not countersigned her: fenpost-keys role countersign",
    "counts later": "her key counts later",
    "ends soon": "it ends within 60 days: make her next key now (fenpost-keys rotate)",
    "not certified": "nobody has looked at it for 90 days: fenpost-keys role recertify",
}
DUE = {"ends": "ends soon", "look": "not certified"}


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
    officers = len({row.key.person or row.key.kid for row in rows if row.key.use == Use.IG})
    found = []
    if needs_leads and len(leads) < 2:
        found.append(f"{len(leads)} safeguarding leads count: two are needed, so that one can be away")
    if officers < 2:
        found.append(f"{officers} IG officers: an officer and a deputy are needed")
    return found


def desks(agency: Agency, at: int) -> dict[str, list[str] | None]:
    """The roles at each of the agency's desks; None where it has said nothing (K25)."""
    said = {name: agency.roster(name, at) for name in agency.desks}
    return {name: None if who is None else list(who) for name, who in said.items()}


def desk(agency: Agency, given: Given, name: str, roles: tuple[str, ...]) -> Plan:
    """The agency's word about which roles work at one of its desks.

    Raises:
        Refusal: UNKNOWN_DESK.
    """
    if name not in agency.desks:
        raise Refusal("UNKNOWN_DESK", f"Your agency's desks are: {', '.join(agency.desks)}.")
    says = () if agency.roster(name, agency.ts) == roles else (_said(name, roles),)
    who = ", ".join(roles) or "nobody"
    return Plan(
        "role desk", given, agency.id, says,
        affects=(f"who takes on messages at {name} is, by your word: {who}",),
        after=("an officer's question about unusual work names whoever else does: fenpost-audit query unusual-work",),
    )  # fmt: skip


def _said(name: str, roles: tuple[str, ...]) -> Said:
    return Said("roster", {"desk": name, "roles": list(roles)})


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
    due = ["not countersigned"] if state == "not countersigned" else []
    due += [DUE[one.why] for one in reminders_of(agency, key, now)]
    return Row(key, state, agency.certified(key.kid), tuple(due))
