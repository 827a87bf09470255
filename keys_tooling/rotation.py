"""What rotating a key publishes: the operational key, the renew key, and the keys that people hold. Pure but for draws.

The keys that an agent runs with are its own to rotate: keys_tooling.own_agent asks it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keys_tooling import policy_signers
from keys_tooling.ceremony import BACKDATE, OfficerCard
from keys_tooling.console import World
from keys_tooling.directory_reading import Reading
from keys_tooling.keyfiles import read_secret
from keys_tooling.own_side import ASK, RENEW_HOLDS, OwnSide
from keys_tooling.partnership import ADMIN, AGENT
from keys_tooling.plan import Given, NewFile, Plan, Said, add_key, revoke, standing
from keys_tooling.roles import Card as PersonCard
from schemas.canonical import Json, b64
from schemas.directory import Agency
from schemas.errors import Refusal
from schemas.keyfile import Cost, lock
from schemas.keyring import AdminKeys, AgentKeys
from schemas.keys import ALGORITHM, LIFE, SigningKey, Use

ALONE = {Use.AUTH: 3600, Use.MSG: 26 * 3600, Use.CONSENT: 26 * 3600, Use.WITNESS: 3600}
"""Running keys that are rotated without an agent, and how long the old one stands on, in seconds."""
OVERLAP = 7 * 24 * 3600
"""How long a key that people hold stands on beside its successor, who must be countersigned in that time."""


def rotate_op(
    reading: Reading, own: OwnSide, given: Given, passphrase: bytes, cost: Cost, world: World
) -> Plan:
    """A new operational key, in a key file that takes the place of admin.fpk."""
    key, agency = SigningKey(world.draw(32)), _own(reading, own)
    keys = AdminKeys(agency.id, key, agency.seq, agency.head)
    name = f"next-admin-{_short(key.kid)}.fpk"
    file = NewFile(name, ADMIN, lock(keys.to_json(), AdminKeys.HOLDS, passphrase, cost, world.draw))
    return Plan(
        "rotate",
        given,
        agency.id,
        (Said("rotate-op", {"op_key": b64(key.public)}),),
        (file,),
        (
            "nobody: what was sealed stays as it is; an agent that runs from this folder is told that it was you",
            "from then on only the new key extends your agency's chain; copies of the old admin.fpk are worthless",
        ),
        (
            "if your agent runs from another folder: fenpost-agent doctor --acknowledge there, or it stops sending",
            "make a new backup: fenpost-keys backup",
            f"destroy old-{name}, and every copy of the old admin.fpk",
        ),
    )


def rotate_renew(
    reading: Reading,
    own: OwnSide,
    given: Given,
    passphrase: bytes,
    cost: Cost,
    world: World,
    agents: bytes | None = None,
) -> Plan:
    """A new renew key, in a key file that the agent takes up; those before it end when it has had a week for that.

    `agents` locks that file, when agent.fpk has a passphrase of its own. The administrator keeps a copy (ask.fpk), to
    reach the relay with when the request key of agent.fpk is over.
    """
    key, agency, now = SigningKey(world.draw(32)), _own(reading, own), world.now()
    held: Json = {"agency": agency.id, "renew": b64(key.seed())}
    name = f"renew-{_short(key.kid)}.fpk"
    start = now - BACKDATE
    says = [add_key(Use.RENEW, ALGORITHM[Use.RENEW], b64(key.public), start, start + LIFE[Use.RENEW])]
    says += [revoke(kid, "rotated", now + OVERLAP) for kid in standing(agency, Use.RENEW, now)]
    return Plan(
        "rotate",
        given,
        agency.id,
        tuple(says),
        (
            NewFile(name, name, lock(held, RENEW_HOLDS, agents or passphrase, cost, world.draw)),
            NewFile(
                f"next-ask-{_short(key.kid)}.fpk", ASK, lock(held, RENEW_HOLDS, passphrase, cost, world.draw)
            ),
        ),
        ("nobody: the agent renews its keys with the new one as soon as it has it",),
        (
            f"put {name} beside agent.fpk within a week: the agent takes it up, at its next start at the latest",
        ),
    )


def rotate_here(
    reading: Reading,
    own: OwnSide,
    given: Given,
    uses: tuple[str, ...],
    agents: bytes,
    cost: Cost,
    world: World,
) -> Plan:
    """New running keys in a new agent.fpk, for an agency without an agent, as oversight may be.

    Raises:
        Refusal: AGENT_HERE (an agent has run from this folder and has keys of its own), RENEW (a receiving key), FILE,
            KEYFILE.
    """
    if (own.folder / "agent.port").exists():
        raise Refusal("AGENT_HERE")
    if not set(uses) <= set(ALONE):
        raise Refusal(
            "RENEW", "Receiving keys are for an agent that receives. Start one: it renews them itself."
        )
    agency, now = _own(reading, own), world.now()
    drawn = {use: SigningKey(world.draw(32)) for use in ALONE if use in uses}
    before = AgentKeys.from_json(read_secret(own.folder / AGENT, AgentKeys.HOLDS, agents))
    fields: dict[str, Any] = {str(use): key for use, key in drawn.items()}
    keys, start = replace(before, **fields), now - BACKDATE
    says = [
        add_key(use, ALGORITHM[use], b64(key.public), start, start + LIFE[use]) for use, key in drawn.items()
    ]
    says += [revoke(kid, "rotated", now + ALONE[use]) for use in drawn for kid in standing(agency, use, now)]
    name = f"next-agent-{_short(next(iter(drawn.values())).kid)}.fpk"
    return Plan(
        "rotate",
        given,
        agency.id,
        tuple(says),
        (NewFile(name, AGENT, lock(keys.to_json(), AgentKeys.HOLDS, agents, cost, world.draw)),),
        ("nobody: the old keys stand until what is under way has arrived",),
        (f"make a new backup: fenpost-keys backup; destroy old-{name} tomorrow",),
    )


def rotate_person(reading: Reading, own: OwnSide, given: Given, card: PersonCard, now: int) -> Plan:
    """A person's next key; the one before ends a week later, when the new one counts.

    Raises:
        Refusal: KEY (another agency's card).
    """
    agency = _own(reading, own)
    if card.agency != agency.id:
        raise Refusal("KEY", "This card is for another agency. Ask the person to make her key for this one.")
    start = now - BACKDATE
    says = [
        add_key(Use.PERSON, ALGORITHM[Use.PERSON], card.pub, start, start + LIFE[Use.PERSON], card.person)
    ]
    older = [
        key.kid
        for key in agency.keys.values()
        if key.use == Use.PERSON and key.person == card.person and key.revoked is None and now < key.exp
    ]
    says += [revoke(kid, "rotated", now + OVERLAP) for kid in older if kid != card.kid]
    return Plan(
        "rotate",
        given,
        agency.id,
        () if card.kid in agency.keys else tuple(says),
        affects=(f"{card.person}: her old key signs for a week more",),
        after=(
            f"oversight rings {card.person} and countersigns her card: until then only the old key counts",
        ),
    )


def rotate_officer(reading: Reading, own: OwnSide, given: Given, card: OfficerCard, now: int) -> Plan:
    """An officer's successor, or her own next keys: published beside the old ones, which end after the hand-over."""
    agency, start = _own(reading, own), now - BACKDATE
    pairs = ((Use.IG, card.ig), (Use.IG_AUTH, card.auth))
    known = {key.public for key in agency.keys.values()}
    says = [
        add_key(use, ALGORITHM[use], b64(public), start, start + LIFE[use], card.person)
        for use, public in pairs
        if public not in known
    ]
    return Plan(
        "rotate",
        given,
        agency.id,
        tuple(says),
        affects=("every sender: from its next message on, records are sealed to the new officer too",),
        after=(
            "the new officer pulls; the old one hands over: fenpost-audit handover give",
            "then end the old keys: fenpost-keys officer end",
        ),
    )


def rotate_policy(reading: Reading, own: OwnSide, given: Given, card: policy_signers.Card, now: int) -> Plan:
    """A policy signer's next key, which counts a day after everybody could see it.

    Raises:
        Refusal: NOT_ALLOWED (only oversight names signers).
    """
    agency = _own(reading, own)
    if agency.id != reading.view.oversight:
        raise Refusal("NOT_ALLOWED", "Only the partnership's oversight names who signs policies.")
    return policy_signers.name(reading.view, given, card, now, "rotate")


def together(plans: list[Plan], given: Given) -> Plan:
    """Several plans as one."""
    first = plans[0]
    return replace(
        first,
        given=given,
        says=tuple(one for plan in plans for one in plan.says),
        files=tuple(one for plan in plans for one in plan.files),
        affects=tuple(dict.fromkeys(one for plan in plans for one in plan.affects)),
        after=tuple(dict.fromkeys(one for plan in plans for one in plan.after)),
    )


def _own(reading: Reading, own: OwnSide) -> Agency:
    return reading.view.agencies[own.admin.agency]


def _short(kid: str) -> str:
    """A mark for a file's name: letters that any disk and a backup tell apart."""
    return kid[:8].replace("-", "0").replace("_", "0").lower()
