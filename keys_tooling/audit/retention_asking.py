"""What the retention commands say to the relay: holds, and oversight's statement (PROTOCOL.md Y1, Y7, Y8)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Protocol

from keys_tooling.admission import Oversight
from keys_tooling.console import World
from keys_tooling.policy import own_chain, post_one, read_own
from schemas import api
from schemas.canonical import b64
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.hold import make_hold, make_lift
from schemas.keyring import OfficerKeys
from schemas.kinds import KINDS
from schemas.policing import check_signers
from schemas.ranges import Ranges
from schemas.retention import Retention, RetentionBody, SignedRetention
from schemas.signing import Purpose, Signed


class Line(Protocol):
    """What is asked of a relay here: agent.client.Relay does it."""

    async def directory(self, after: int) -> api.DirectoryPage: ...

    async def policy(self, digest: str) -> bytes: ...

    async def post_statements(self, request: api.StatementsRequest) -> api.StatementResults: ...


@dataclass(frozen=True, slots=True)
class Applied:
    """A retention statement on record; `before` says that it was there already."""

    said: Retention
    before: bool


async def place(line: Line, keys: OfficerKeys, agency: str, ranges: Ranges, world: World) -> str:
    """Place a hold; its id. Raises Refusal TOO_BIG, RETENTION, LIMITED, CLOCK, and the relay's own."""
    hid = b64(world.draw(16))
    await _say(line, "hold", make_hold(keys.auth, agency, hid, ranges, world.now()))
    return hid


async def lift(line: Line, keys: OfficerKeys, agency: str, hid: str, world: World) -> None:
    """Lift a hold of this agency. Raises Refusal HOLD, FORM, CLOCK, and the relay's own."""
    await _say(line, "lift", make_lift(keys.auth, agency, hid, world.now()))


async def apply(line: Line, oversight: Oversight, found: SignedRetention, world: World) -> Applied:
    """Put a signed list on record; its notice begins.

    Raises:
        Refusal: POLICY_SIGNERS, POLICY_SAME_PERSON, SIGNATURE, RETENTION, RETENTION_EARLY, CONFLICT, FORK, ROLLBACK,
            and the relay's own.
    """
    reading = await read_own(line, oversight, world)
    digest = found.body().digest
    known = next((one for one in reading.view.retentions if one.digest == digest), None)
    if known is not None:
        return Applied(known, before=True)
    signed, view = own_chain(reading, oversight).retention(found, world.now()), copy.deepcopy(reading.view)
    view.apply(signed)
    item = api.StatementIn(
        kind="retention", signed=api.SignedJson(**signed.to_json()), body=found.text.decode("ascii")
    )
    return Applied(view.retentions[-1], before=await post_one(line, item) == "repeat")


def people(body: RetentionBody, view: Directory, now: int) -> tuple[str, ...]:
    """Who signed so far, whether or not that is enough. Raises Refusal SIGNATURE, UNKNOWN_KEY, POLICY_SAME_PERSON."""
    try:
        return check_signers(body, lambda kid: view.signer(kid, now), Purpose.RETENTION)
    except Refusal as refusal:
        if refusal.code != "POLICY_SIGNERS":
            raise
    return tuple(view.signer(one.kid, now).person or "" for one in body.sigs)


async def _say(line: Line, kind: str, signed: Signed) -> None:
    item = api.StatementIn.model_validate({"kind": kind, "signed": signed.to_json()})
    answer = await line.post_statements(api.StatementsRequest(statements=(item,)))
    if len(answer.results) != 1:
        raise Refusal("FORM", party="relay")
    if (result := answer.results[0]).status == "refused":
        code = result.code if result.code in KINDS else "FORM"
        raise Refusal(code or "FORM", party="relay")
