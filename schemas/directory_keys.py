"""Taking key statements into the view: add-key, revoke, emergency-revoke, recertify (PROTOCOL.md K12, K13, K21-K25)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from schemas.canonical import unb64
from schemas.directory_lookup import Lookup
from schemas.directory_statement import AddKey, Recertify, Revoke, Roster, Statement
from schemas.emergency import SECOND_LATE, EmergencyRevoke
from schemas.errors import Refusal
from schemas.keys import ALGORITHM, LIFE, Use, kid_of
from schemas.policing import KEY_DELAY
from schemas.published import UNHELD, Agency, End, Key, Staffing
from schemas.roles import check_apart, read_tag
from schemas.signing import Purpose, verify
from schemas.values import changed

KeyCheck = Callable[[str, bytes], None]
"""Looks at a public key of this algorithm: schemas.keys.check_public, or one that puts it off."""
SEALABLE = LIFE[Use.PREKEY]
"""How long a prekey may be sealed to; it is erased 30 days after its first day."""
BACKDATED = 300
"""How far back a statement may be dated when the relay takes it (K8)."""
PEOPLE = frozenset({Use.PERSON, Use.IG, Use.IG_AUTH})
"""Uses whose tags say who holds which role."""


# --- publishing


def add_key(view: Lookup, agency: Agency, statement: Statement, body: AddKey, check: KeyCheck) -> Agency:
    """Raises Refusal KEY, NOT_ALLOWED, PERSON_TAG, ONE_PERSON, and what `check` raises of the key itself (K3)."""
    _check_policy_signer(view, agency, body, statement.ts)
    if body.use in PEOPLE:
        _check_person(view, agency, body, statement.ts)
    use, public = Use(body.use), unb64(body.pub)
    if ALGORITHM[use] != body.alg or body.nbf >= body.exp:
        raise Refusal("KEY")
    if use is Use.PREKEY and body.exp - body.nbf > SEALABLE:
        raise Refusal("KEY", "A receiving key may be sealed to for 14 days at most. Shorten its dates.")
    check(body.alg, public)
    kid = kid_of(body.alg, public)
    view.check_new((kid,))
    view.note((kid,), agency.id)
    key = Key(
        kid, use, agency.id, public, body.nbf, body.exp, body.person,
        seq=statement.seq, ts=statement.ts, by=statement.by,
    )  # fmt: skip
    return _renewed(agency, key) if use is Use.PREKEY else agency.with_keys(key)


def _renewed(agency: Agency, key: Key) -> Agency:
    """With one more receiving key, and without the public bytes of those to which nobody can seal any more."""
    held = [agency.keys[kid] for kid in agency.prekeys]
    over = [changed(one, public=b"") for one in held if one.exp + UNHELD <= key.ts]
    kept = tuple(one.kid for one in held if one.exp + UNHELD > key.ts)
    return agency.with_keys(key, *over, prekeys=(*kept, key.kid))


def _check_policy_signer(view: Lookup, agency: Agency, body: AddKey, ts: int) -> None:
    if body.use != "policy":
        return
    if agency.id != view.oversight:
        raise Refusal("NOT_ALLOWED", "Only the partnership's oversight names who signs policies.")
    if body.person is None:
        raise Refusal("KEY", "A policy key is held by a person. Give her role.")
    if view.policies.entries and body.nbf < ts + KEY_DELAY:
        raise Refusal("KEY", "A new policy key counts a day after it is published. Correct its first day.")


def _check_person(view: Lookup, agency: Agency, body: AddKey, ts: int) -> None:
    """One person has no two roles of which one looks to the other (O1)."""
    if body.use == "person" and read_tag(body.person)[0] == "oversight" and agency.id != view.oversight:
        raise Refusal("NOT_ALLOWED", "Only the partnership's oversight names who speaks for oversight.")
    for key in agency.keys.values():
        ended = ts >= key.exp or (key.revoked is not None and ts >= key.revoked)
        if key.use in PEOPLE and not ended:
            check_apart(key.person, body.person)


# --- ending


def revoke(agency: Agency, statement: Statement, body: Revoke) -> Agency:
    """Raises Refusal UNKNOWN_KEY."""
    return _ended(agency, (body.kid,), End(body.since, body.reason, statement.seq, firm=False))


def _ended(agency: Agency, kids: tuple[str, ...], end: End) -> Agency:
    """These keys end; and what a compromised renew key published since then ends with it, dated back or not (K21)."""
    if any(kid not in agency.keys for kid in kids):
        raise Refusal("UNKNOWN_KEY")
    ends = dict.fromkeys(kids, end)
    if end.reason == "compromised":
        thieves = {kid for kid in kids if agency.keys[kid].use == Use.RENEW}
        since = end.since - BACKDATED
        stolen = (key for key in agency.keys.values() if key.by in thieves and key.ts >= since)
        for key in stolen:
            ends[key.kid] = end._replace(since=min(key.nbf, end.since) if key.kid in ends else key.nbf)
    return agency.ended(ends)


# --- emergencies


class _Signer(NamedTuple):
    """Who signs an emergency revocation: her key, the roles that it can stand for, and what names her."""

    public: bytes
    roles: frozenset[str]
    person: str | None


def emergency_signer(view: Lookup, agency: Agency, kid: str, ts: int) -> _Signer:
    """The person with this key, if she may end keys of this agency in an emergency (K22).

    Raises:
        Refusal: EMERGENCY_ROLE, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY, ROLE_KEY_UNSIGNED, ROLE_KEY_YOUNG.
    """
    duty = view.known(view.oversight)
    if kid == duty.op_kid:
        return _Signer(duty.op, frozenset({"duty"}), None)
    key = view.published(kid)
    if key is None:
        raise Refusal("UNKNOWN_KEY")
    roles = {("ig", agency.id), ("duty", view.oversight)} if key.use == Use.IG_AUTH else {("lead", agency.id)}
    held = frozenset(role for role, whose in roles if whose == key.agency)
    if key.use not in (Use.IG_AUTH, Use.PERSON) or not held:
        raise Refusal("EMERGENCY_ROLE")
    view.key(kid, key.use, ts)
    if key.use == Use.PERSON:
        _check_counting(view, key, ts)
    return _Signer(key.public, held, _named(key))


def _check_counting(view: Lookup, lead: Key, ts: int) -> None:
    if read_tag(lead.person)[0] != "lead":
        raise Refusal("EMERGENCY_ROLE")
    since = view.countersigned.get(lead.kid)
    if since is None or since > ts:
        raise Refusal("ROLE_KEY_UNSIGNED")
    if ts < since + KEY_DELAY:
        raise Refusal("ROLE_KEY_YOUNG")


def _named(key: Key) -> str | None:
    """What names a person within the partnership, as far as her tag does: lead-3 and ig-3 are one."""
    role, _, person = (key.person or "").partition("-")
    return f"{key.agency} {person or role}" if role and role != "share" else None


def emergency_revoke(view: Lookup, agency: Agency, statement: Statement, body: EmergencyRevoke) -> Agency:
    """Raises Refusal EMERGENCY_PAIR, EMERGENCY_LATE, SIGNATURE, KEY, and as emergency_signer and _ended."""
    if not statement.ts - SECOND_LATE <= body.second.ts <= statement.ts:
        raise Refusal("EMERGENCY_LATE")
    if len(set(body.kids)) != len(body.kids):
        raise Refusal("KEY", "A key is named twice. Name each once.")
    one = emergency_signer(view, agency, statement.by, statement.ts)
    two = emergency_signer(view, agency, body.second.by, statement.ts)
    same = one.public == two.public or (one.person is not None and one.person == two.person)
    if same or not any(a != b for a in one.roles for b in two.roles):
        raise Refusal("EMERGENCY_PAIR")
    verify(two.public, Purpose.EMERGENCY_REVOKE, body.signed(agency.id), unb64(body.second.sig, 64))
    people = (statement.by, body.second.by)
    # Whoever stole oversight's operational key is not the partnership's duty in oversight's own chain too.
    firm = agency.op_kid not in people
    return _ended(agency, body.kids, End(body.since, body.reason, statement.seq, firm, people))


# --- people's keys looked at again


def recertify(agency: Agency, statement: Statement, body: Recertify) -> Agency:
    """Raises Refusal KEY unless all of them are people's keys of this agency that stand."""
    keys = [agency.keys.get(kid) for kid in body.kids]
    if any(key is None or key.person is None or not key.stands(statement.ts) for key in keys):
        raise Refusal("KEY", "Only people's keys that stand are certified anew. Leave the others out.")
    said = {kid: (*agency.recertified.get(kid, ()), (statement.seq, statement.ts)) for kid in body.kids}
    return replace(agency, recertified={**agency.recertified, **said})


# --- who works at a desk


def roster(agency: Agency, statement: Statement, body: Roster) -> Agency:
    """Raises Refusal UNKNOWN_DESK unless the agency has, or had, that desk; KEY for a role named twice."""
    if not any(body.desk in desks for _, desks in agency.had):
        raise Refusal("UNKNOWN_DESK", "Your agency has no desk of that name. Look: fenpost-keys agency show")
    if len(set(body.roles)) != len(body.roles):
        raise Refusal("KEY", "A role is named twice on the roster. Name each once.")
    said = (*agency.rosters.get(body.desk, ()), Staffing(statement.seq, statement.ts, body.roles))
    return replace(agency, rosters={**agency.rosters, body.desk: said})
