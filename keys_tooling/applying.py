"""Applying a plan step by step, so that it can be killed at any instant and run again.

Rules of this house:
- what was published already is read from the verified directory, never from memory;
- each statement is tried on a copy of the view before it is posted: what the directory would refuse is refused here;
- a chain that moved meanwhile is read again and the rest is built on its new place;
- nothing is posted before the journal stands, and the journal goes only when all of it is in the directory.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from keys_tooling import journal as journals
from keys_tooling.console import World
from keys_tooling.directory_reading import Reading, Source
from keys_tooling.journal import Journal
from keys_tooling.own_agent import announce
from keys_tooling.own_side import OwnSide, check_own_chain, own_chain, read_own
from keys_tooling.plan import Plan, Said
from schemas import api
from schemas.canonical import b64
from schemas.chain import Chain
from schemas.errors import Refusal
from schemas.keys import Signer
from schemas.kinds import KINDS
from schemas.signing import Signed

ATTEMPTS = 20
MOVED = ("CONFLICT", "DIRECTORY")
"""How a relay says that the chain stands elsewhere."""
Tell = Callable[[str], None]


class Line(Source, Protocol):
    """What is asked of a relay here: agent.client.Relay does it."""

    async def post_statements(self, request: api.StatementsRequest) -> api.StatementResults: ...


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying did: statements posted by this run, and all of the plan."""

    posted: int
    plan: Plan


async def apply(
    line: Line, own: OwnSide, journal: Journal, held: tuple[Signer, ...], world: World, tell: Tell
) -> Applied:
    """Publish what of the plan is not in the directory yet, then put its key files in their places.

    Args:
        held: operational keys that the plan itself puts in force.

    Raises:
        Refusal: CONFLICT (others change the chain all the time), OP_KEY, ROLLBACK, FORK; what the directory refuses;
            RELAY_AWAY and the relay's own. Run again, it goes on.
    """
    posted, whole = 0, len(journal.plan.says)
    for _ in range(ATTEMPTS):
        reading = await read_own(line, own, world)
        check_own_chain(reading, own.admin)
        missing = outstanding(reading, journal)
        if not missing:
            journals.finish(own.folder, journal)
            return Applied(posted, journal.plan)
        if whole > 1:
            tell(f"{whole - len(missing)} of {whole} recorded")
        try:
            statements = await built(reading, own, held, missing, world.now())
        except Refusal as refusal:
            if len(missing) == whole and not journal.plan.files and not refusal.retry:
                journals.drop(own.folder)  # nothing of it is published, and nothing of it ever will be
            raise
        announce(own.folder, statements)
        posted += await post(line, statements)
    raise Refusal(
        "CONFLICT", "Somebody else was changing the directory at the same time. Run it again.", retry=True
    )


def outstanding(reading: Reading, journal: Journal) -> list[Said]:
    """What of the plan the directory does not hold yet, in order. Pure."""
    taken: list[tuple[str, str]] = []
    for signed in reading.statements[journal.size :]:
        said = signed.peek()
        if said["agency"] == journal.plan.agency:
            taken.append((said["op"], _text(said["body"])))
    missing = []
    for wanted in journal.plan.says:
        place = (wanted.op, _text(wanted.body))
        if place in taken:
            taken.remove(place)
        else:
            missing.append(wanted)
    return missing


async def built(
    reading: Reading, own: OwnSide, held: tuple[Signer, ...], missing: list[Said], now: int
) -> tuple[Signed, ...]:
    """The missing statements on the chain's present place, each tried on a copy of the view."""
    chain, trial = _begun(reading, own, held, missing[0]), copy.deepcopy(reading.view)
    now = max(now, trial.agencies[chain.agency].ts)  # a chain is never dated backwards
    made = []
    for said in missing:
        signed = chain.state(said.op, said.body, now)
        trial.apply(signed)
        made.append(signed)
        chain = _following(chain, trial.agencies[chain.agency].op, (own.admin.op, *held))
    return tuple(made)


def _begun(reading: Reading, own: OwnSide, held: tuple[Signer, ...], first: Said) -> Chain:
    # The roots' word is stated by the key that it puts in force: there may be no other.
    if first.op == "rotate-root":
        agency = reading.view.agencies[own.admin.agency]
        for key in held:
            if isinstance(first.body, dict) and b64(key.public) == first.body["op_key"]:
                return Chain(agency.id, key, agency.seq, agency.head)
    return own_chain(reading, own.admin, held)


def _following(chain: Chain, op: bytes, keys: tuple[Signer, ...]) -> Chain:
    # After the operational key was replaced, its successor signs what follows.
    key = next((key for key in keys if key.public == op), chain.op)
    return Chain(chain.agency, key, chain.seq, chain.head)


async def post(line: Line, statements: tuple[Signed, ...]) -> int:
    """How many were recorded; a chain that moved ends it early, and the caller reads the directory again.

    Raises:
        Refusal: what the relay refuses with.
    """
    recorded = 0
    for start in range(0, len(statements), api.BATCH_STATEMENTS):
        batch = statements[start : start + api.BATCH_STATEMENTS]
        items = tuple(
            api.StatementIn(kind="directory", signed=api.SignedJson(**signed.to_json())) for signed in batch
        )
        answer = await line.post_statements(api.StatementsRequest(statements=items))
        if len(answer.results) != len(batch):
            raise Refusal("FORM", party="relay")
        for result in answer.results:
            if result.status == "refused":
                code = result.code if result.code in KINDS else "FORM"
                if code in MOVED:
                    return recorded
                raise Refusal(code or "FORM", party="relay")
            recorded += result.status == "recorded"
    return recorded


def _text(body: object) -> str:
    return json.dumps(body, sort_keys=True)
