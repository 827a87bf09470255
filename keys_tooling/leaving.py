"""What leaving, merging and renaming publish, and what must be done by people before and after. Pure."""

from __future__ import annotations

from keys_tooling.directory_reading import Reading
from keys_tooling.own_side import OwnSide
from keys_tooling.plan import Facts, Given, Plan, Said, revoke
from schemas.errors import Refusal
from schemas.keys import Use

GRACE = 3600
"""The keys that ask the relay end this much later than the others: the agent still hears that they ended."""
ASKING = (Use.AUTH, Use.RENEW)
OPEN = {
    "waiting": "messages that wait to be sent",
    "receipts_waiting": "confirmations that wait to be sent",
    "to_take_on": "messages that wait to be taken on",
    "reviews_due": "persons still to be told",
}
"""Figures of the agent's status that are open work, in words."""


def leave(
    reading: Reading,
    own: OwnSide,
    given: Given,
    member: str,
    stops: int,
    successor: str | None,
    status: Facts,
) -> Plan:
    """From `stops` on nobody addresses the agency anew; it finishes what is open.

    Raises:
        Refusal: UNKNOWN_AGENCY, NOT_ALLOWED.
    """
    view = reading.view
    leaver = view.find(member)
    after = view.find(successor) if successor else None
    named = (
        f"{after.name} does its work then" if after else "nobody is named to do its work: say so to everybody"
    )
    return Plan(
        "agency leave",
        given,
        own.admin.agency,
        (Said("leave", {"member": leaver.id, "stops": stops, "successor": after.id if after else None}),),
        affects=(
            f"every member: from then on nobody can address {leaver.name} anew; {named}",
            "what was sent before is still collected, confirmed and answered until the keys end",
        ),
        after=(
            *open_work(status),
            "finish or hand over open threads; answer withdrawals; hand the log over (fenpost-audit handover)",
            "its officer copies the log (fenpost-audit pull), and puts her key into the partnership's keeping",
            "how: fenpost-keys backup --file officer.fpk --shares-only, and RUNBOOKS.md, 12",
            "last of all, end the keys: fenpost-keys agency leave --finish",
        ),
    )


def finish(reading: Reading, own: OwnSide, given: Given, status: Facts, now: int) -> Plan:
    """Every key of the agency ends, its officers' and people's too; those that ask the relay an hour later.

    Raises:
        Refusal: NOT_LEFT (it has not said that it leaves, or is not over yet).
    """
    agency = reading.view.agencies[own.admin.agency]
    left = agency.left
    if left is None or now < left.stops:
        raise Refusal("NOT_LEFT")
    keys = [
        key for key in agency.keys.values() if now < key.exp and (key.revoked is None or now < key.revoked)
    ]
    keys.sort(key=lambda key: (key.use in ASKING, key.use, key.nbf))
    says = tuple(revoke(key.kid, "left", now + GRACE if key.use in ASKING else now) for key in keys)
    return Plan(
        "agency leave --finish",
        given,
        agency.id,
        says,
        affects=(
            "the agency's agent and people sign nothing more; its officers open what they could open before",
        ),
        after=(
            *open_work(status),
            "its officer's key and copy of the log stay in the partnership's keeping while records are kept",
            "are they not there yet? Answer no: afterwards nobody can copy the log with that key (RUNBOOKS.md, 12)",
            "destroy admin.fpk, agent.fpk and both root files when the hour is over",
        ),
    )


def merge(
    reading: Reading, own: OwnSide, given: Given, was: str, now_is: str, until: int, stops: int
) -> Plan:
    """An agency becomes part of another, or another under a new name: the old id leads to the new one until then.

    Raises:
        Refusal: UNKNOWN_AGENCY, NOT_ALLOWED (only oversight says so).
    """
    view = reading.view
    if own.admin.agency != view.oversight:
        raise Refusal("NOT_ALLOWED", "Only the partnership's oversight says that an agency is another now.")
    old, new = view.find(was), view.find(now_is)
    return Plan(
        "agency merge",
        given,
        own.admin.agency,
        (
            Said("leave", {"member": old.id, "stops": stops, "successor": new.id}),
            Said("alias", {"now": new.id, "until": until, "was": old.id}),
        ),
        affects=(
            f"every member: whoever looks up {old.name} is told of {new.name}",
            f"agreements do NOT follow: each that names {old.name} counts for it alone. Ask the persons again",
            "until then the stricter reading holds; what the law allows without an agreement goes on",
            f"leads, authors and officers of {old.name} have no role at {new.name} until it publishes their keys",
        ),
        after=(
            f"{old.name} finishes or hands over open threads, timers and withdrawals, then: agency leave --finish",
            f"its officers hand the log over to an officer of {new.name}: fenpost-audit handover give",
            "print the directory and the leaflets anew; sign the data-sharing agreement anew or transfer it",
        ),
    )


def open_work(status: Facts) -> tuple[str, ...]:
    """What the agent says is open, in sentences; nothing where it was not asked."""
    return tuple(
        f"open: {status[name]} {words}"
        for name, words in OPEN.items()
        if isinstance(status.get(name), int) and status[name]
    )
