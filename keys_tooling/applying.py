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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from keys_tooling import journal as journals
from keys_tooling.console import AWAY_CODES, World
from keys_tooling.directory_reading import Reading, Source
from keys_tooling.journal import Journal
from keys_tooling.own_agent import announce
from keys_tooling.own_side import OVER, OwnSide, check_own_chain, own_chain, read_own
from keys_tooling.plan import Plan, Said
from schemas import api
from schemas.canonical import Json, b64
from schemas.chain import Chain
from schemas.directory import Directory
from schemas.directory_statement import statement_hash
from schemas.errors import Refusal
from schemas.keys import Signer
from schemas.kinds import KINDS
from schemas.names import check_unlike
from schemas.signing import Signed

ATTEMPTS = 20
OUR_DISK = ("FILE", "DISK_FULL")
"""Refusals of this machine: they say nothing of what the directory takes."""
MOVED = ("CONFLICT", "DIRECTORY")
"""How a relay says that the chain stands elsewhere."""
Tell = Callable[[str], None]


class Line(Source, Protocol):
    """What is asked of a relay here: agent.client.Relay does it."""

    async def post_statements(self, request: api.StatementsRequest) -> api.StatementResults: ...


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying did: statements posted by this run, all of the plan, and the directory as it is then."""

    posted: int
    plan: Plan
    view: Directory


class AskerEndedError(Exception):
    """The relay took so many statements, and with them the key that asked it is over: another one goes on."""

    def __init__(self, posted: int) -> None:
        super().__init__(posted)
        self.posted = posted


@dataclass(frozen=True, slots=True)
class Stated:
    """A signed statement, and the text that the relay is handed with it."""

    signed: Signed
    text: str | None = None

    def item(self) -> api.StatementIn:
        signed = api.SignedJson(**self.signed.to_json())
        if self.text is None:
            return api.StatementIn(kind="directory", signed=signed)
        return api.StatementIn(kind="policy", signed=signed, body=self.text)


async def apply(
    line: Line, own: OwnSide, journal: Journal, held: tuple[Signer, ...], world: World, tell: Tell
) -> Applied:
    """Publish what of the plan is not in the directory yet, then put its key files in their places.

    Args:
        held: operational keys that the plan itself puts in force.

    Raises:
        Refusal: CONFLICT (others change the chain all the time), OP_KEY, ROLLBACK, FORK; what the directory refuses;
            RELAY_AWAY and the relay's own. Run again, it goes on.
        AskerEndedError: what it published has ended the key that asks the relay; `posted` leaves out the last piece.
    """
    posted, plan = 0, journal.plan
    for _ in range(ATTEMPTS):
        try:
            reading = await read_own(line, own, world)
        except Refusal as refusal:
            if posted and refusal.code in OVER:
                raise AskerEndedError(posted) from refusal
            raise
        check_own_chain(reading, own.admin)
        missing, theirs = outstanding(reading, journal), not_recorded(reading, plan)
        if not missing and not theirs:
            journals.finish(own.folder, journal)
            return Applied(posted, plan, reading.view)
        whole = len(plan.says) + len(plan.brings)
        if whole > 1:
            tell(f"{whole - len(missing) - len(theirs)} of {whole} recorded")
        try:
            stated = (await built(reading, own, held, missing, world.now(), theirs)).stated
            announce(own.folder, tuple(one.signed for one in stated[len(theirs) :]))
            posted += await post(line, stated)
        except Refusal as refusal:
            if refusal.code in OVER:  # in the middle of a plan that is posted in several pieces
                raise AskerEndedError(posted) from refusal
            if not refusal.retry and refusal.code not in (*AWAY_CODES, *OUR_DISK):
                await _drop_if_untouched(line, own, journal, world, tell)
            raise
    raise Refusal(
        "CONFLICT", "Somebody else was changing the directory at the same time. Run it again.", retry=True
    )


async def _drop_if_untouched(line: Line, own: OwnSide, journal: Journal, world: World, tell: Tell) -> None:
    """What was refused for good and never begun waits for nobody: the next command finds the folder free."""
    reading = await read_own(line, own, world)
    if len(outstanding(reading, journal)) < len(journal.plan.says):
        return
    aside = journals.drop(own.folder, journal)
    tell(
        f"Nothing of '{journal.plan.does}' is published, and it does not wait any more: this folder is free."
    )
    if aside:
        tell(
            f"The key files that it made never came in force, and are {', '.join(aside)} now. "
            "Destroy them when fenpost-keys check finds that everything fits."
        )


def not_recorded(reading: Reading, plan: Plan) -> tuple[Signed, ...]:
    """What others signed and the directory does not hold yet. Pure."""
    have = reading.hashes()
    return tuple(signed for signed in plan.brings if statement_hash(signed) not in have)


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


@dataclass(frozen=True, slots=True)
class Built:
    """Statements to be posted, and the directory as it is with them."""

    stated: tuple[Stated, ...]
    view: Directory


async def built(
    reading: Reading,
    own: OwnSide,
    held: tuple[Signer, ...],
    missing: list[Said],
    now: int,
    theirs: tuple[Signed, ...] = (),
) -> Built:
    """What others signed, then the missing statements on the chain's present place; each tried on a copy of the view.

    Raises:
        Refusal: OP_KEY, NAME (a member has taken such a name meanwhile), and as Directory.apply.
    """
    trial = copy.deepcopy(reading.view)
    for signed in theirs:
        trial.apply(signed)
    made = [Stated(signed) for signed in theirs]
    if not missing:
        return Built(tuple(made), trial)
    chain = _begun(reading, own, held, missing[0])
    now = max(now, trial.agencies[chain.agency].ts)  # a chain is never dated backwards
    for said in missing:
        if said.op == "admit":
            check_free_name(trial, own, said.body)
        signed = chain.state(said.op, said.body, now)
        trial.apply(signed)
        made.append(Stated(signed, said.text))
        chain = _following(chain, trial.agencies[chain.agency].op, (own.admin.op, *held))
    return Built(tuple(made), trial)


def check_free_name(view: Directory, own: OwnSide, body: Json) -> None:
    """Raises Refusal NAME when an agency to be admitted is called like a member, or like the partnership."""
    others = [one.name for one in view.agencies.values() if one.member and one.id != body["member"]]
    check_unlike(body["name"], [*others, own.partnership.charter.name])


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


async def post(line: Line, stated: Sequence[Stated]) -> int:
    """How many were recorded; a chain that moved ends it early, and the caller reads the directory again.

    Raises:
        Refusal: what the relay refuses with.
    """
    recorded = 0
    for start in range(0, len(stated), api.BATCH_STATEMENTS):
        items = tuple(one.item() for one in stated[start : start + api.BATCH_STATEMENTS])
        answer = await line.post_statements(api.StatementsRequest(statements=items))
        if len(answer.results) != len(items):
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
