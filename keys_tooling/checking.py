"""`fenpost-keys check`: does what is published fit what is held, and what is due soon. Pure: it judges what was read.

Rules of this house:
- each finding is a sentence that says what to do, and a yes or a no; no is for what somebody must see to;
- what could not be looked at is said, never passed over;
- nothing shown here is secret: ids, uses, dates and roles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keys_tooling.backlog import backlog
from keys_tooling.directory_reading import Reading
from keys_tooling.finding import Check
from keys_tooling.held_keys import HeldKeys
from keys_tooling.moments import moment
from keys_tooling.own_statements import by_copies, by_others
from schemas.canonical import Json
from schemas.directory import Agency
from schemas.keys import ED25519, Use, kid_of
from schemas.people import PEOPLE, URGENT, reminders
from schemas.published import Key
from schemas.request import MAX_SKEW
from schemas.succession import Succession, successions
from schemas.worktime import london

DAY = 24 * 3600
RUNNING_SOON = 2 * DAY
"""An agent renews its own keys by itself, long before this: nearer than that, it is not doing so."""
SHOWN = 12
"""Statements that are named in one finding."""
CLOCK = 15
"""Two clocks further apart than this, in seconds, and somebody should look; beyond MAX_SKEW the relay refuses."""
RUNNING = frozenset({Use.MSG, Use.AUTH, Use.CONSENT, Use.WITNESS, Use.PREKEY})
WHO = {
    Use.PERSON: "she makes a new one: fenpost-keys role new, then rotate --person",
    Use.IG: "the officer makes a new one: fenpost-audit init, then rotate --officer",
    Use.IG_AUTH: "the officer makes a new one: fenpost-audit init, then rotate --officer",
    Use.POLICY: "she makes a new one, then: fenpost-keys rotate --policy",
    Use.RENEW: "fenpost-keys rotate --use renew",
}
SUCCESSION = {
    Use.OP: ("The operational key is", "fenpost-keys rotate --use op"),
    Use.ROOT: (
        "The root keys are",
        "two of you bring the next ones from their safe, and see that they open: fenpost-keys recover op --roots FILE",
    ),
}
BY_AGENT = "the agent does it by itself: look that it runs (fenpost-agent doctor)"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read before judging: `running` is what the running agent says of its keys, None when none answered.

    `recorded` are hashes of what commands of this folder signed.
    """

    held: HeldKeys
    reading: Reading
    now: int
    relay_time: int
    running: Mapping[str, bool] | None = None
    status: Mapping[str, Any] = field(default_factory=dict)
    recorded: frozenset[str] = frozenset()


def judged(seen: Seen, agency: str) -> list[Check]:
    """Everything that the directory and the key files together show about an agency."""
    own = seen.reading.view.agencies.get(agency)
    if own is None:
        return [Check("agency", False, "The directory does not know this agency. Ask oversight to enrol it.")]
    return [
        clock(seen),
        membership(own),
        *chain(seen, own),
        *operational(seen, own),
        *published(seen, own),
        *unpublished(seen, own),
        *dates(own, seen.now),
        *successors(own, seen.now),
        *people(own, seen.now),
        *backlog(seen.running, seen.status),
    ]


def clock(seen: Seen) -> Check:
    apart = seen.relay_time - seen.now
    if abs(apart) <= CLOCK:
        return Check("clock", True, f"This clock and the relay's are {abs(apart)} seconds apart.")
    way = "behind" if apart > 0 else "ahead of"
    return Check(
        "clock",
        False,
        f"This clock is {abs(apart)} seconds {way} the relay's. Set it; from {MAX_SKEW} on nothing is accepted.",
    )


def membership(own: Agency) -> Check:
    if own.left is not None:
        return Check(
            "member", False, f"The agency leaves the partnership: nothing new from {_day(own.left.stops)} on."
        )
    if not own.member:
        return Check("member", False, "The agency is not taken in yet. Hand enrolment.json to oversight.")
    return Check("member", True, "The agency is a member, and its desks and sector are in the directory.")


def chain(seen: Seen, own: Agency) -> list[Check]:
    """The local view and the relay's agree, and nobody spoke in the agency's name unknown to its administrator."""
    checks = [
        Check(
            "directory",
            True,
            f"All {seen.reading.view.size} statements follow, and their root is the relay's.",
        )
    ]
    admin = seen.held.admin
    if admin is None:
        return checks
    if own.seq < admin.seq or admin.head not in seen.reading.hashes():
        say = "The relay hides or has changed statements of this agency. Stop, and ring oversight."
        return [*checks, Check("own chain", False, say)]
    strange = [number for number, _, use in by_others(seen.reading, admin) if use != Use.RENEW]
    if strange:
        say = (
            f"Statements {', '.join(map(str, strange))} in this agency's name are by another key than admin.fpk's. If "
            "nobody here made them, act at once: fenpost-keys recover op"
        )
        checks.append(Check("own chain", False, say))
    if copied := by_copies(seen.reading, admin, seen.recorded):
        checks.append(Check("own chain", False, _copied(copied)))
    if strange or copied:
        return checks
    say = "Every statement in this agency's name is by a key of its own, and what admin.fpk's signed was made here."
    return [*checks, Check("own chain", True, say)]


def _copied(found: list[tuple[int, str, int]]) -> str:
    named = ", ".join(f"{seq} ({op}, {moment(ts)})" for seq, op, ts in found[-SHOWN:])
    more = f", and {len(found) - SHOWN} before them" if len(found) > SHOWN else ""
    return (
        f"Signed with admin.fpk's key, and by no command of this folder: {named}{more}. If nobody of you made that in "
        "another folder, or before this one came out of a backup, somebody has a copy of admin.fpk. Act at once: "
        "fenpost-keys recover op. If one of you did: fenpost-keys rotate --use op, and only this folder can sign."
    )


def operational(seen: Seen, own: Agency) -> list[Check]:
    admin = seen.held.admin
    if admin is None:
        return [Check("op", True, "There is no admin.fpk here, so the operational key was not looked at.")]
    if admin.op.kid == kid_of(ED25519, own.op):
        return [Check("op", True, "admin.fpk holds the operational key that is in force.")]
    say = "admin.fpk holds an operational key that is not in force. Find the newer file, or: fenpost-keys recover op"
    return [Check("op", False, say)]


def published(seen: Seen, own: Agency) -> list[Check]:
    """Each standing key of the agency's is held somewhere that was looked at.

    Where no agent answers, receiving keys are not looked for, it moved them into its store, where they can be erased;
    nor what it renewed itself. But a key that a stolen renew key published is named, whoever holds it.
    """
    missing, unseen, stolen, found = list[Key](), list[Key](), list[Key](), 0
    renew = {key.kid for key in own.keys.values() if key.use == Use.RENEW}
    for key in _standing(own, seen.now):
        if key.kid in seen.held.kids or (seen.running or {}).get(key.kid):
            found += 1
        elif key.use in RUNNING and (
            seen.running is not None or (key.by not in renew and key.use is not Use.PREKEY)
        ):
            missing.append(key)
        elif key.use in RUNNING and own.in_other_hands(key.by) is not None:
            stolen.append(key)
        else:
            unseen.append(key)
    checks = [Check("held", True, f"{found} published keys match a private key that is held here.")]
    for key in missing:
        say = f"The directory has a {key.use} key that nobody here holds ({key.kid[:12]}…). "
        checks.append(Check("held", False, say + "If nobody made it, revoke it at once: fenpost-keys revoke"))
    for key in stolen:
        say = (
            f"A {key.use} key stands ({key.kid[:12]}…) that a renew key published, and that renew key was in other "
            "hands since. It is in no file here that opened. Whoever had that key may hold this one too, so end it: "
            f"fenpost-keys revoke {key.kid[:12]} --reason compromised"
        )
        checks.append(Check("held", False, say))
    if unseen:
        names = ", ".join(sorted({str(key.person or key.use) for key in unseen}))
        say = f"Not looked at, because their files are not here or did not open: {names}."
        checks.append(Check("not looked at", True, say))
    if seen.held.closed:
        say = (
            f"No passphrase given opens {', '.join(seen.held.closed)}. Give theirs too, to have them checked."
        )
        checks.append(Check("closed", True, say))
    return checks


def unpublished(seen: Seen, own: Agency) -> list[Check]:
    """Held keys that the directory never heard of, or that were revoked."""
    checks = []
    stolen: dict[str, list[Key]] = {}
    known = {key.kid: key for key in own.keys.values()}
    for kid, file in seen.held.kids.items():
        if seen.held.admin is not None and kid == seen.held.admin.op.kid:
            continue
        key = known.get(kid)
        if key is None and own.keys:
            checks.append(
                Check("published", False, f"{file} holds a key that is not published ({kid[:12]}…).")
            )
        elif key is not None and key.revoked is not None and key.reason == "compromised":
            stolen.setdefault(file, []).append(key)
    return checks + [_stolen(file, keys, seen, known) for file, keys in stolen.items()]


def _stolen(file: str, keys: list[Key], seen: Seen, known: Mapping[str, Key]) -> Check:
    """Keys of a file that were revoked as compromised: never "destroy" of a file that still opens what waits."""
    uses = ", ".join(sorted({str(key.use) for key in keys}))
    held = [known[kid] for kid, other in seen.held.kids.items() if other == file and kid in known]
    if not any(key.stands(seen.now) for key in held):
        say = f"{file} holds only keys that ended, as compromised: {uses}. Destroy that file."
        return Check("published", False, say)
    if all(key.use is Use.PREKEY for key in keys):
        say = f"{file} still opens what waits here, sealed to {len(keys)} receiving keys that ended as compromised."
        return Check("published", True, say)
    say = (
        f"{file} holds keys that were revoked as compromised: {uses}. Make new ones: "
        "fenpost-keys recover agent --copied. Keep the file until then."
    )
    return Check("published", False, say)


def dates(own: Agency, now: int) -> list[Check]:
    """Keys that end soon without a successor."""
    checks = []
    for use in (use for use in Use if use not in (Use.ROOT, Use.OP, Use.LOG)):
        for person in sorted({key.person or "" for key in own.keys.values() if key.use == use}):
            keys = [k for k in own.keys.values() if k.use == use and (k.person or "") == person]
            lasting = [k for k in keys if k.revoked is None and k.exp > now]
            checks += _dated(use, person, max((k.exp for k in lasting), default=None), now)
    return checks


def _dated(use: Use, person: str, until: int | None, now: int) -> list[Check]:
    named = f"{use} key of {person}" if person else f"{use} key"
    remedy = BY_AGENT if use in RUNNING else WHO[use]
    if until is None:
        # People leave and their keys end with them: only what an agency cannot do without is missed.
        return [Check("dates", False, f"No {named} stands any more: {remedy}.")] if not person else []
    left, soon = until - now, RUNNING_SOON if use in RUNNING else URGENT
    due = f"The last {named} ends on {_day(until)}, in {left // DAY} days"
    return [Check("dates", left > soon, f"{due}." if left > soon else f"{due}: {remedy}.")]


def successors(own: Agency, now: int) -> list[Check]:
    """The operational key and the roots, which end only when somebody puts the next in their place (K26)."""
    due = [Check("dates", not one.urgent, _successor(one, now)) for one in successions(own, now)]
    if due:
        return due
    say = f"The operational key is in force since {_day(own.op_since)}, the root keys since {_day(own.roots_since)}."
    return [Check("dates", True, say)]


def _successor(one: Succession, now: int) -> str:
    days = (one.due - now) // DAY
    when = _counted(abs(days), "in {}") if days > 0 else _counted(-days, "{} ago") if days else "today"
    named, does = SUCCESSION[one.use]
    return f"{named} in force since {_day(one.since)}; the next is due on {_day(one.due)}, {when}: {does}."


def _counted(days: int, way: str) -> str:
    return way.format("1 day" if days == 1 else f"{days} days")


def people(own: Agency, now: int) -> list[Check]:
    """Keys of people are looked over every 90 days (K24)."""
    standing = [key for key in _standing(own, now) if key.use in PEOPLE]
    late = sorted({one.key.person or "" for one in reminders(own, now) if one.why == "look"})
    if late:
        say = f"Look whether these are still right, then: fenpost-keys role recertify. {', '.join(late)}."
        return [Check("people", False, say)]
    return (
        [Check("people", True, f"{len(standing)} people's keys, none due to be looked over.")]
        if standing
        else []
    )


def listed(own: Agency, held: HeldKeys, now: int) -> list[dict[str, Json]]:
    """Every standing or coming key of the agency's, with its dates and whether it is held here."""
    keys = [key for key in own.keys.values() if key.exp > now and (key.revoked is None or key.revoked > now)]
    return [
        {
            "age_days": max(0, now - key.nbf) // DAY,
            "ends": key.exp,
            "held": held.kids.get(key.kid),
            "kid": key.kid,
            "left_days": (key.exp - now) // DAY,
            "person": key.person,
            "since": key.nbf,
            "use": str(key.use),
        }
        for key in sorted(keys, key=lambda key: (key.exp, key.kid))
    ]


def _standing(own: Agency, now: int) -> list[Key]:
    return sorted(
        (key for key in own.keys.values() if key.stands(now)), key=lambda key: (key.use, key.nbf, key.kid)
    )


def _day(at: int) -> str:
    return f"{london(at):%d %B %Y}"
