"""What agents ask of the relay: thin, in the order read → verify → take a turn → answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, get_args

import orjson
from aiohttp import web
from pydantic import ValidationError

from broker.allowance import Allowance
from broker.authentication import Asking, Doorkeeper, Requester
from broker.checking import LARGE, Checks
from broker.instances import Instances
from broker.intake import Examined, examine
from broker.keys_log import KeysLog
from broker.ladder import Said, Step, Steps
from broker.ladder import examine as examine_receipt
from broker.mailbox import Ask, Mailbox
from broker.metrics import Metrics
from broker.problems import answer
from broker.rates import Buckets
from broker.reading import Pace, numbers, read_body
from broker.sequencer import Sequencer
from broker.submission import Result, Submission
from broker.sweeping import Nothing
from broker.tree import Log
from broker.underway import Underway
from broker.view import View
from broker.witnesses import Board
from broker.words import OFFICERS, Kind, Word, Words
from schemas import api
from schemas.canonical import strict_json, unb64
from schemas.checkpoint import note_hash
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.hashing import Frames
from schemas.receipt import Receipt, parse_receipt
from schemas.signing import Check, Purpose, Signed

Model = TypeVar("Model", bound=Frozen)
T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Relay:
    """Everything that a handler may use."""

    doorkeeper: Doorkeeper
    checks: Checks
    sequencer: Sequencer
    mailbox: Mailbox
    underway: Underway
    log: Log
    keys_log: KeysLog
    view: View
    board: Board
    keys_board: Board
    buckets: Buckets
    public: Buckets
    allowance: Allowance
    pace: Pace
    metrics: Metrics
    instances: Instances
    clock: Callable[[], float]

    def shown(self, request: web.Request) -> tuple[Log | KeysLog, Board]:
        """The log that a request is about, by its path, and that log's published head."""
        if request.path.startswith(f"{api.KEYS}/"):
            return self.keys_log, self.keys_board
        return self.log, self.board

    async def read(self, request: web.Request, kind: str) -> tuple[Asking, bytes]:
        """A request's claimed signature and its body. The claim comes first: a stranger's body is not read."""
        asking = self.doorkeeper.asking(request)
        return asking, await read_body(request, kind, self.pace)

    async def vetted(
        self, asking: Asking, body: bytes, parse: Callable[[], Sequence[T | Refusal]]
    ) -> tuple[Requester, list[T | Refusal]]:
        """Who asks, and what `parse` finds in the body; an item whose own signature does not hold became a refusal.

        Raises:
            Refusal: UNAUTHENTICATED before anything that `parse` refuses.
        """
        ours = await self.checks.run(len(body), lambda: asking.check(body))
        if len(body) >= LARGE and not (await self.checks.held([ours]))[0]:
            raise Refusal("UNAUTHENTICATED")  # a stranger's megabytes are not even parsed
        found = await self.checks.run(len(body), lambda: _tried(parse))
        claims = [] if isinstance(found, Refusal) else list(map(_check, found))
        first, *theirs = await self.checks.held([ours, *filter(None, claims)])
        if not first:
            raise Refusal("UNAUTHENTICATED")
        if isinstance(found, Refusal):
            raise found
        held = iter(theirs)
        requester = asking.requester()
        self.instances.expect(asking, requester.nonce)
        return requester, [
            item if claim is None or next(held) else Refusal("SIGNATURE")
            for item, claim in zip(found, claims, strict=True)
        ]

    async def requester(self, request: web.Request, *, officer: bool | None = False) -> Requester:
        """Who asks for a page, verified; the nonce is not yet spent. `officer` None lets agents and officers ask."""
        asking, body = await self.read(request, api.JSON)
        requester, _ = await self.vetted(asking, body, tuple)
        if officer is not None and requester.officer is not officer:
            raise Refusal("NOT_ALLOWED")
        self.buckets.take(requester.bucket)
        return requester


async def post_envelopes(relay: Relay, request: web.Request) -> web.Response:
    """POST envelopes: uploads in frames; 200 with a result each, or the problem of a single one."""
    asking, body = await relay.read(request, api.BINARY)
    directory = relay.view.directory

    def parse() -> list[Examined | Refusal]:
        uploads = list(_frames(body))
        if asking.officer or not 1 <= len(uploads) <= api.BATCH_ENVELOPES:
            raise Refusal("NOT_ALLOWED" if asking.officer else "FORM")
        return [_tried(examine, data, asking.key.agency, directory) for data in uploads]

    requester, items = await relay.vetted(asking, body, parse)
    relay.buckets.take(requester.bucket, len(items))
    results: list[Result] = await relay.sequencer.submit(Submission(requester.nonce, items, len(body)))
    for result in results:
        relay.metrics.result(result.status).inc()
    if len(results) == 1 and results[0].refusal is not None and results[0].status == "refused":
        raise results[0].refusal
    for result in results:
        if result.index is not None:
            result.proof = await relay.log.proof(result.index)
    return _json({"results": [result.to_json() for result in results]})


async def get_mailbox(relay: Relay, request: web.Request) -> web.StreamResponse:
    """GET mailbox?wait=S&limit=N[&again=EID]."""
    requester = await relay.requester(request)
    asked = numbers(request.query, {"wait": 0, "limit": api.PAGE_ITEMS}, "again")
    again = request.query.get("again")
    if not 0 <= asked["wait"] <= api.MAX_WAIT or not 1 <= asked["limit"] <= api.PAGE_ITEMS:
        raise Refusal("FORM")
    ask = Ask(requester.agency, asked["wait"], asked["limit"], None if again is None else unb64(again, 32))
    page = await relay.mailbox.page(ask, requester.nonce, relay.sequencer.submit)
    relay.doorkeeper.check_still(requester)  # the key may have been revoked while it waited
    return await relay.underway.send(request, page)


async def post_receipts(relay: Relay, request: web.Request) -> web.Response:
    """POST receipts: signed steps, and notices that are safely stored; always 200 with a result for each step."""
    asking, body = await relay.read(request, api.JSON)
    directory = relay.view.directory

    notices: list[int] = []
    receipts: list[Receipt] = []

    def parse() -> list[Step | Refusal]:
        if asking.officer:
            raise Refusal("NOT_ALLOWED")
        asked = _model(api.ReceiptsRequest, body)
        notices.extend(asked.notices)
        signed = [_signed(one) for one in asked.receipts]
        # What is not even a receipt spoils the request: there is no id to answer by.
        receipts.extend(parse_receipt(one) for one in signed)
        agency = asking.key.agency
        return [
            _tried(examine_receipt, r, s, agency, directory) for r, s in zip(receipts, signed, strict=True)
        ]

    requester, found = await relay.vetted(asking, body, parse)
    items = [
        Said(receipt.eid, receipt.d, "refused", code=item.code) if isinstance(item, Refusal) else item
        for receipt, item in zip(receipts, found, strict=True)
    ]
    relay.buckets.take(requester.bucket, 1 + len(items))
    steps = Steps(requester.nonce, requester.agency, items, notices, len(body))
    said: list[Said] = await relay.sequencer.submit(steps)
    for one in said:
        if one.status == "repeat" and one.index is not None:
            one.proof = await relay.log.proof(one.index)
    return _json({"results": [one.to_json() for one in said]})


async def post_statements(relay: Relay, request: web.Request) -> web.Response:
    """POST statements, an officer's or an agent's by kind; always 200 with a result for each."""
    asking, body = await relay.read(request, api.JSON)

    def parse() -> list[Word | Refusal]:
        items = _model(api.StatementsRequest, body).statements
        theirs = {*OFFICERS, "directory"} if asking.officer else set(get_args(Kind)) - OFFICERS
        if asking.renews:
            theirs = {"directory"}
        if any(item.kind not in theirs for item in items):
            raise Refusal("NOT_ALLOWED")
        words = [_tried(_word, item) for item in items]
        if asking.officer and any(isinstance(word, Word) and not word.officers for word in words):
            raise Refusal("NOT_ALLOWED")
        return words

    requester, items = await relay.vetted(asking, body, parse)
    relay.buckets.take(requester.bucket, 1 + len(items))
    heard = await relay.sequencer.submit(
        Words(requester.nonce, requester.agency, items, len(body), relay.allowance)
    )
    return _json({"results": [one.to_json() for one in heard]})


async def get_directory(relay: Relay, request: web.Request) -> web.Response:
    """GET directory?after=N, for agents and IG officers alike."""
    requester = await relay.requester(request, officer=None)
    asked = numbers(request.query, {"after": 0})
    if asked["after"] < 0:
        raise Refusal("FORM")
    await relay.sequencer.submit(Nothing(requester.nonce))
    view, note, key = relay.view.directory, relay.view.note, relay.view.key
    found = await relay.log.statements(
        asked["after"], min(api.PAGE_STATEMENTS, max(0, view.size - asked["after"]))
    )
    fresh = Signed.make(key, Purpose.FRESH, {"note": note_hash(note), "ts": int(relay.clock()), "v": 1})
    return _json(
        {
            "size": view.size,
            "statements": [signed.to_json() for signed in found],
            "checkpoint": note,
            "fresh": fresh.to_json(),
        }
    )


def _frames(body: bytes) -> Iterable[bytes]:
    return Frames(body).frames(api.UPLOAD_LIMIT)


def _tried(job: Callable[P, T], *given: P.args, **named: P.kwargs) -> T | Refusal:
    try:
        return job(*given, **named)
    except Refusal as refusal:
        return refusal


def _check(item: object) -> Check | None:
    return item.check if isinstance(item, (Examined, Step)) else None


def _word(item: api.StatementIn) -> Word:
    if item.body is not None and not item.body.isascii():
        raise Refusal("FORM")
    text = None if item.body is None else item.body.encode("ascii")
    return Word.read(item.kind, _signed(item.signed), text, item.record)


def _signed(signed: api.SignedJson) -> Signed:
    return Signed.from_json({"s": signed.s, "t": signed.t})


def _model(model: type[Model], body: bytes) -> Model:
    strict_json(body, api.MAX_BODY)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        fields = tuple(
            ".".join(str(part) for part in row["loc"] if isinstance(part, int) or part in model.model_fields)
            for row in error.errors(include_input=False, include_url=False, include_context=False)
        )
        raise Refusal("FORM", detail=fields[:8]) from None


def _json(value: Any) -> web.Response:
    return answer(orjson.dumps(value))
