"""What ending keys publishes, and what it undoes: said before anybody agrees to it. Pure."""

from __future__ import annotations

from keys_tooling.directory_reading import Reading
from keys_tooling.moments import moment
from keys_tooling.own_side import OwnSide
from keys_tooling.plan import Given, Plan, revoke
from schemas.directory import Agency, Directory, Key
from schemas.errors import Refusal
from schemas.keys import RUNNING, Use

UNDOES = {
    Use.MSG: "envelopes and receipts that it signed since then are refused; what was taken on stays",
    Use.AUTH: "the relay refuses its next request, and with it the agent, until a new request key is published",
    Use.CONSENT: "agreements that it signed since then are no longer proven: ask the persons again",
    Use.PREKEY: "nobody seals to it any more; what was sealed to it and waits is still opened by whoever holds it",
    Use.WITNESS: "its cosignatures of the log since then do not count",
    Use.RENEW: "the agent renews nothing until it has another; if it was compromised, each key that it added since "
    "ends too",
    Use.IG: "records are no longer sealed to her; what she can open she still opens",
    Use.IG_AUTH: "the relay refuses her next request",
    Use.PERSON: "overrides that she asked for or authorised since then do not count; whoever received on them is told "
    "by their agents",
    Use.POLICY: "she signs nothing more; what she signed stays in force",
}
"""What the end of a key of each use undoes, as the plan says it."""
FLEETING = frozenset({Use.AUTH, Use.PREKEY})
"""Uses of which nobody looks back at a key that is over: there are many, and each end would be a statement for ever."""


def revoke_keys(
    reading: Reading,
    own: OwnSide,
    given: Given,
    keys: list[Key],
    reason: str,
    since: int,
    now: int,
    kept: tuple[str, ...] = (),
) -> Plan:
    """The end of keys of the own agency.

    Args:
        kept: what the plan says of keys that it leaves standing (`staying`).

    Raises:
        Refusal: UNKNOWN_KEY (none is left to end), OFFICERS (nobody would be left who reads the agency's records).
    """
    agency = reading.view.agencies[own.admin.agency]
    if not keys:
        raise Refusal(
            "UNKNOWN_KEY",
            " ".join(
                ("Your agency had no such key then. Look: fenpost-keys role roster, agency show.", *kept)
            ),
        )
    ending = [key for key in keys if key.revoked is None or since < key.revoked]
    check_officers(agency, ending, now)
    uses = dict.fromkeys(key.use for key in ending)
    bare = [use for use in uses if use in RUNNING and not _others(agency, use, ending, now)]
    affects = [f"{use}: {UNDOES[use]}" for use in uses]
    if Use.PREKEY in uses or Use.MSG in uses:
        affects += [f"members that may have sealed to you: {_members(reading.view, agency.id)}"]
    after = list(kept)
    after += [
        f"no {use} key is left: have the agent make one now (fenpost-keys rotate --use {use})" for use in bare
    ]
    if reason == "compromised":
        after += [
            "ask an officer what went through since then: fenpost-audit report breach",
            "treat what was read with it as read; ring whoever is named there",
        ]
    if any(key.use == Use.PERSON for key in ending):
        after += _people(reading.view, agency, ending, now)
    says = tuple(revoke(key.kid, reason, since) for key in ending)
    return Plan("revoke", given, agency.id, says, affects=tuple(affects), after=tuple(after))


def stood(agency: Agency, since: int, now: int) -> list[Key]:
    """The keys that an end from `since` on is meant for: those that were published by then, and were not over by then.

    One that was rotated out since, or ended from a later second on, is among them: what it signed in between is in
    doubt too (V11). One that was published later is not, unless a key published it that was in other hands, or it is
    the first of its use.
    """
    return [
        key
        for key in agency.keys.values()
        if key.stands_from(since)
        and not _later(agency, key, since, now)
        and (key.stands_from(now) or key.use not in FLEETING)
    ]


def _later(agency: Agency, key: Key, since: int, now: int) -> bool:
    """Whether it came after `since` and is not the first of its kind; an end from now on asks for no dates."""
    if now <= since or key.ts <= since or agency.in_other_hands(key.by) is not None:
        return False
    alike = (one for one in agency.keys.values() if (one.use, one.person) == (key.use, key.person))
    return min(one.ts for one in alike) < key.ts


def chosen(
    agency: Agency, kids: tuple[str, ...], use: str | None, person: str | None, since: int, now: int
) -> list[Key]:
    """The keys that are meant: by id (its beginning is enough), or those of a use or a person that stood at `since`.

    Raises:
        Refusal: UNKNOWN_KEY (an id that is none, or begins several).
    """
    found = []
    for kid in kids:
        match = [key for key in agency.keys.values() if key.kid.startswith(kid) and len(kid) >= 6]
        if len(match) != 1:
            raise Refusal("UNKNOWN_KEY", f"{kid[:12]} is not one key of your agency. Give more of its id.")
        found += match
    found += [key for key in stood(agency, since, now) if _meant(key, use, person)]
    return sorted(
        {key.kid: key for key in found}.values(), key=lambda key: (key.use == Use.AUTH, key.use, key.nbf)
    )


def staying(
    agency: Agency, kids: tuple[str, ...], use: str | None, person: str | None, since: int, now: int
) -> tuple[str, ...]:
    """A sentence for each key of this use or person that stands and is left out, because it came after `since`."""
    return tuple(
        f"{key.use} key {key.kid[:12]}… was published later, {moment(key.ts)}, and stays. If nobody of you made it, "
        f"or it was taken too: fenpost-keys revoke {key.kid[:12]} --reason compromised"
        for key in agency.keys.values()
        if _meant(key, use, person)
        and key.stands_from(now)
        and _later(agency, key, since, now)
        and not any(key.kid.startswith(kid) for kid in kids)
    )


def _meant(key: Key, use: str | None, person: str | None) -> bool:
    return (use is not None and key.use == use) or (person is not None and key.person == person)


def ended_before(agency: Agency, use: str | None, person: str | None, now: int) -> bool:
    """Whether keys of this use or person were ended already, as they are when the command is typed again."""
    return any(
        key.revoked is not None and key.revoked <= now
        for key in agency.keys.values()
        if _meant(key, use, person)
    )


def check_officers(agency: Agency, ending: list[Key], now: int) -> None:
    """Raises Refusal OFFICERS unless somebody is left who reads the agency's records."""
    gone = {key.kid for key in ending}
    if any(key.use == Use.IG and key.stands_from(now) for key in ending) and not any(
        key.stands(now) for key in agency.ig.values() if key.kid not in gone
    ):
        raise Refusal("OFFICERS", "She is the last officer of your agency. Publish her successor first.")


def _others(agency: Agency, use: Use, ending: list[Key], now: int) -> list[Key]:
    gone = {key.kid for key in ending}
    return [key for key in agency.keys.values() if key.use == use and key.stands(now) and key.kid not in gone]


def _people(view: Directory, agency: Agency, ending: list[Key], now: int) -> list[str]:
    gone = {key.kid for key in ending}
    left = {
        key.person
        for key in agency.keys.values()
        if key.use == Use.PERSON and key.stands(now) and key.kid in view.countersigned and key.kid not in gone
    }
    leads = sum((person or "").startswith("lead-") for person in left)
    if leads >= 2:
        return []
    return [
        f"your agency has {leads} safeguarding leads then; the rule is two: name another (fenpost-keys role new)"
    ]


def _members(view: Directory, own: str) -> str:
    names = sorted(one.name for one in view.agencies.values() if one.member and one.id != own)
    shown = ", ".join(names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "none"
