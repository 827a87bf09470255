"""Emergency revocation by two people in two roles, without the administrator (PROTOCOL.md K22).

Rules of this house:
- each needs her own key file and partnership.json, and nothing of the administrator's;
- an officer, or oversight's duty, starts it and the other of them posts it: the relay knows their keys. A lead's it
  does not know: she signs what an officer or the duty started, and hands it back to be posted;
- both are shown what ends, what that undoes and who must act; the relay and every agent check who they are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from keys_tooling.applying import ATTEMPTS, Line, Stated, post
from keys_tooling.console import World
from keys_tooling.directory_reading import Reading, read_directory
from keys_tooling.keyfiles import read_public, read_secret
from keys_tooling.partnership import AGENT
from keys_tooling.revocation import UNDOES, stood
from keys_tooling.token_pins import on_token
from schemas.canonical import strict_json
from schemas.chain import Chain
from schemas.directory import Agency, Directory, Key
from schemas.emergency import EmergencyRevoke, Reason, second_signature
from schemas.envelope import AgencyId, Frozen
from schemas.errors import Refusal
from schemas.hashing import Frames
from schemas.keyfile import LIMIT as KEY_LIMIT
from schemas.keyring import AdminKeys, AgentKeys, OfficerKeys, PersonKeys
from schemas.keys import RUNNING, Signer, Use
from schemas.partnership import Partnership

LIMIT = 64 * 1024
NOT_ONE = "This is not an emergency file, or it was damaged. Ask whoever signed it first for it again."
AFTER = (
    "ring the agency on a number that you know: it stops its agent and finds out what was copied",
    "this does not end the operational key (admin.fpk). Was it taken too? Then before anything else:",
    "fenpost-keys recover op --officer OFFICER_KEY --void-from FIRST_FALSE_STATEMENT",
    "then she makes new keys: fenpost-keys recover agent --copied --officer OFFICER_KEY, and starts the agent again",
    "an officer lists what went through since then: fenpost-audit report breach",
)


class Emergency(Frozen):
    """What the first signer hands to the second."""

    v: Annotated[int, Field(ge=1, le=1)]
    agency: AgencyId
    body: EmergencyRevoke

    def to_bytes(self) -> bytes:
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True).encode("ascii") + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Emergency:
        """Raises Refusal FORM."""
        try:
            strict_json(data, LIMIT)
            return cls.model_validate_json(data)
        except (Refusal, ValidationError) as error:
            raise Refusal("FORM", NOT_ONE) from error


@dataclass(frozen=True, slots=True)
class Hand:
    """Whoever signs: her key, and the key that signs her requests to the relay, if she has one."""

    key: Signer
    asks: Signer | None


def hand(path: Path, passphrase: bytes) -> Hand:
    """A signer's own key file: a lead's (person), an officer's, or oversight's admin.fpk with agent.fpk beside it.

    What signs may live on a token.

    Raises:
        Refusal: FILE, KEYFILE; its keys raise TOKEN where they sign.
    """
    holds = _holds(read_public(path, KEY_LIMIT))
    value = read_secret(path, holds, passphrase)
    if holds == PersonKeys.HOLDS:
        return Hand(PersonKeys.from_json(value, on_token).key, None)
    if holds == OfficerKeys.HOLDS:
        officer = OfficerKeys.from_json(value, on_token)
        return Hand(officer.auth, officer.auth)
    if holds == AdminKeys.HOLDS:
        agent = AgentKeys.from_json(read_secret(path.parent / AGENT, AgentKeys.HOLDS, passphrase))
        return Hand(AdminKeys.from_json(value, on_token).op, agent.auth)
    raise Refusal(
        "KEYFILE", "That key signs no emergency. A lead's, an officer's or oversight's admin.fpk does."
    )


def chosen(
    agency: Agency, kids: tuple[str, ...], uses: tuple[str, ...], since: int, now: int
) -> tuple[Key, ...]:
    """The keys that end: those named, or those of these uses, or else all that the agency's machine holds.

    Of a use, what stands now ends and what stood at `since`: nobody is there to say which of them a thief has.

    Raises:
        Refusal: UNKNOWN_KEY, EMERGENCY_OP (the operational key is meant).
    """
    if "op" in uses or any(len(kid) >= 6 and agency.op_kid.startswith(kid) for kid in kids):
        raise Refusal("EMERGENCY_OP")
    alive = [*stood(agency, now, now), *stood(agency, since, now)]
    alive = list({key.kid: key for key in alive if key.stands_from(since)}.values())
    wanted = uses if uses or kids else tuple(map(str, (*RUNNING, Use.RENEW)))
    found = [key for key in alive if key.use in wanted]
    for kid in kids:
        match = [key for key in alive if len(kid) >= 6 and key.kid.startswith(kid)]
        if len(match) != 1:
            raise Refusal("UNKNOWN_KEY", f"{kid[:12]} is not one key of that agency. Give more of its id.")
        found += match
    if not found:
        raise Refusal("UNKNOWN_KEY", "That agency has no such key that stands.")
    return tuple(sorted({key.kid: key for key in found}.values(), key=lambda key: (key.use, key.nbf)))


def start(
    key: Signer, agency: Agency, keys: tuple[Key, ...], reason: Reason, since: int, now: int
) -> Emergency:
    """The first signature."""
    body = second_signature(key, agency.id, tuple(one.kid for one in keys), reason, since, now)
    return Emergency(v=1, agency=agency.id, body=body)


def signed_too(key: Signer, emergency: Emergency, now: int) -> Emergency:
    """What a lead hands back: the same keys, under her signature, to be posted by whoever started it."""
    body = emergency.body
    return Emergency(
        v=1,
        agency=emergency.agency,
        body=second_signature(key, emergency.agency, body.kids, body.reason, body.since, now),
    )


def described(emergency: Emergency, view: Directory | None) -> str:
    """What will end, what that undoes, and who must act then; without the directory, by the keys' ids alone."""
    from keys_tooling.moments import moment

    body, known = emergency.body, {} if view is None else view.agencies[emergency.agency].keys
    named = emergency.agency if view is None else view.agencies[emergency.agency].name or emergency.agency
    uses = [known[kid].use for kid in body.kids if kid in known]
    lines = [
        f"This will happen to {named}:",
        *(
            f"  - {known[kid].use if kid in known else 'key'} {kid[:12]}… ends from {moment(body.since)} on: "
            f"{body.reason}"
            for kid in body.kids
        ),
        *(["That undoes:"] if uses else []),
        *(f"  - {use}: {UNDOES[use]}" for use in dict.fromkeys(uses)),
        "Then:",
        *(f"  - {one}" for one in AFTER),
    ]
    return "\n".join(lines)


def done(view: Directory, emergency: Emergency) -> bool:
    """Whether all of it is on record already."""
    agency, body = view.agencies.get(emergency.agency), emergency.body
    if agency is None or not set(body.kids) <= set(agency.keys):
        raise Refusal("UNKNOWN_KEY")
    ends = (agency.keys[kid].revoked for kid in body.kids)
    return all(end is not None and end <= body.since for end in ends)


async def read(line: Line, partnership: Partnership, world: World) -> Reading:
    """The directory as the relay shows it now, checked."""
    return await read_directory(line, partnership.keys_log_key, partnership.charter.oversight, world.now())


async def sign(line: Line, partnership: Partnership, signer: Hand, emergency: Emergency, world: World) -> int:
    """The second signature: stated in the agency's chain wherever that stands now; 0 when it was on record already.

    Raises:
        Refusal: EMERGENCY_PAIR, EMERGENCY_ROLE, EMERGENCY_LATE, SIGNATURE, ROLE_KEY_YOUNG, ROLE_KEY_UNSIGNED,
            UNKNOWN_KEY, CONFLICT, RELAY_AWAY and the relay's own.
    """
    for _ in range(ATTEMPTS):
        reading = await read(line, partnership, world)
        if done(reading.view, emergency):
            return 0
        agency = reading.view.agencies[emergency.agency]
        chain = Chain(agency.id, signer.key, agency.seq, agency.head)
        now = max(world.now(), agency.ts)
        signed = chain.state("emergency-revoke", emergency.body.model_dump(mode="json"), now)
        reading.view.copied().apply(
            signed
        )  # what the directory would refuse is refused here, with its reason
        if await post(line, (Stated(signed),)):
            return 1
    raise Refusal(
        "CONFLICT",
        "Somebody keeps changing that agency's chain. Run it again at once; then recover it.",
        retry=True,
    )


def _holds(data: bytes) -> str:
    try:
        frames = Frames(data)
        frames.take(4)
        head = strict_json(frames.frame(4096), 4096)
    except Refusal as error:
        raise Refusal("KEYFILE") from error
    held = head.get("holds") if isinstance(head, dict) else None
    if not isinstance(held, str):
        raise Refusal("KEYFILE")
    return held
