"""What agents ask of the relay: thin, in the order read → verify → take a turn → answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from aiohttp import web
from pydantic import ValidationError
from pydantic_core import to_json

from broker.authentication import Asking, Doorkeeper, Requester
from broker.checking import Checks
from broker.intake import Examined, examine
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
from broker.view import View
from broker.words import Word, Words
from schemas import api
from schemas.canonical import strict_json, unb64
from schemas.checkpoint import note_hash
from schemas.directory import Directory
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.hashing import Frames
from schemas.receipt import parse_receipt
from schemas.signing import Purpose, Signed

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
    log: Log
    view: View
    buckets: Buckets
    public: Buckets
    pace: Pace
    metrics: Metrics
    clock: Callable[[], float]

    async def read(self, request: web.Request, kind: str) -> tuple[Asking, bytes]:
        """A request's claimed signature and its body. The claim comes first: a stranger's body is not read."""
        asking = self.doorkeeper.asking(request)
        return asking, await read_body(request, kind, self.pace)

    async def requester(self, request: web.Request, *, officer: bool = False) -> Requester:
        """Who asks for a page, verified; the nonce is not yet spent."""
        asking, body = await self.read(request, api.JSON)
        requester = await self.checks.run(len(body), lambda: asking.verified(body))
        if requester.officer is not officer:
            raise Refusal("NOT_ALLOWED")
        self.buckets.take(requester.agency)
        return requester


async def post_envelopes(relay: Relay, request: web.Request) -> web.Response:
    """POST envelopes: uploads in frames; 200 with a result each, or the problem of a single one."""
    asking, body = await relay.read(request, api.BINARY)
    directory = relay.view.directory

    def check() -> tuple[Requester, list[Examined | Refusal]]:
        requester = asking.verified(body)
        uploads = list(_frames(body))
        if requester.officer or not 1 <= len(uploads) <= api.BATCH_ENVELOPES:
            raise Refusal("NOT_ALLOWED" if requester.officer else "FORM")
        return requester, [_tried(examine, data, requester.agency, directory) for data in uploads]

    requester, items = await relay.checks.run(len(body), check)
    relay.buckets.take(requester.agency, len(items))
    results: list[Result] = await relay.sequencer.submit(Submission(requester.nonce, items, len(body)))
    for result in results:
        relay.metrics.results.labels(result.status).inc()
    if len(results) == 1 and results[0].refusal is not None:
        raise results[0].refusal
    for result in results:
        if result.index is not None:
            result.proof = await relay.log.proof(result.index)
    return _json({"results": [result.to_json() for result in results]})


async def get_mailbox(relay: Relay, request: web.Request) -> web.Response:
    """GET mailbox?wait=S&limit=N[&again=EID]."""
    requester = await relay.requester(request)
    asked = numbers(request.query, {"wait": 0, "limit": api.PAGE_ITEMS}, "again")
    again = request.query.get("again")
    if not 0 <= asked["wait"] <= api.MAX_WAIT or not 1 <= asked["limit"] <= api.PAGE_ITEMS:
        raise Refusal("FORM")
    ask = Ask(requester.agency, asked["wait"], asked["limit"], None if again is None else unb64(again, 32))
    await relay.sequencer.submit(Nothing(requester.nonce))
    return answer(await relay.mailbox.page(ask), api.BINARY)


async def post_receipts(relay: Relay, request: web.Request) -> web.Response:
    """POST receipts: signed steps, and notices that are safely stored; always 200 with a result for each step."""
    asking, body = await relay.read(request, api.JSON)
    directory = relay.view.directory

    def check() -> tuple[Requester, api.ReceiptsRequest, list[Step | Said]]:
        requester = asking.verified(body)
        if requester.officer:
            raise Refusal("NOT_ALLOWED")
        asked = _model(api.ReceiptsRequest, body)
        return requester, asked, [_step(signed, requester.agency, directory) for signed in asked.receipts]

    requester, asked, items = await relay.checks.run(len(body), check)
    relay.buckets.take(requester.agency, 1 + len(items))
    steps = Steps(requester.nonce, requester.agency, items, asked.notices, len(body))
    said: list[Said] = await relay.sequencer.submit(steps)
    return _json({"results": [one.to_json() for one in said]})


async def post_statements(relay: Relay, request: web.Request) -> web.Response:
    """POST statements: directory, grant, status, withdraw; always 200 with a result for each."""
    asking, body = await relay.read(request, api.JSON)

    def check() -> tuple[Requester, list[Word | Refusal]]:
        requester = asking.verified(body)
        if requester.officer:
            raise Refusal("NOT_ALLOWED")
        asked = _model(api.StatementsRequest, body)
        return requester, [_tried(_word, item) for item in asked.statements]

    requester, items = await relay.checks.run(len(body), check)
    relay.buckets.take(requester.agency, 1 + len(items))
    heard = await relay.sequencer.submit(Words(requester.nonce, requester.agency, items, len(body)))
    return _json({"results": [one.to_json() for one in heard]})


async def get_directory(relay: Relay, request: web.Request) -> web.Response:
    """GET directory?after=N, for agents and IG officers alike."""
    asking, body = await relay.read(request, api.JSON)
    requester = await relay.checks.run(len(body), lambda: asking.verified(body))
    relay.buckets.take(requester.agency)
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


def _step(signed: api.SignedJson, agency: str, directory: Directory) -> Step | Said:
    read = _signed(signed)
    receipt = parse_receipt(
        read
    )  # what is not even a receipt spoils the request: there is no id to answer by
    try:
        return examine_receipt(receipt, read, agency, directory)
    except Refusal as refusal:
        return Said(receipt.eid, receipt.d, "refused", code=refusal.code)


def _word(item: api.StatementIn) -> Word:
    return Word.read(item.kind, _signed(item.signed))


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
    return answer(to_json(value))
