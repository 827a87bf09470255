"""What members ask about a log's published head: which one to cosign, and that they did (PROTOCOL.md W12)."""

from __future__ import annotations

import json

from aiohttp import web
from pydantic import ValidationError

from broker.handlers import Relay
from broker.problems import answer
from broker.reading import numbers
from broker.sweeping import Nothing
from broker.witnesses import Board, Cosigning, HeadAsked
from schemas import api
from schemas.canonical import strict_json
from schemas.errors import Refusal

BODY_LIMIT = 4 * 1024


async def get_head(relay: Relay, request: web.Request) -> web.Response:
    """GET log/head and keys/head, for agents and IG officers: what is to be cosigned, and what was."""
    requester = await relay.requester(request, officer=None)
    numbers(request.query, {})
    _, board = relay.shown(request)
    before = board.asked
    await board.current()
    work = Nothing(requester.nonce) if board.asked is before else HeadAsked(requester.nonce, board)
    await relay.sequencer.submit(work)
    return _page(board)


async def post_cosignature(relay: Relay, request: web.Request) -> web.Response:
    """POST log/head and keys/head: the asking member's cosignature; the answer is the page as it is then."""
    asking, body = await relay.read(request, api.JSON)
    requester, _ = await relay.vetted(asking, body, tuple)
    if requester.officer:
        raise Refusal("NOT_ALLOWED")
    relay.buckets.take(requester.bucket)
    strict_json(body, BODY_LIMIT)
    try:
        said = api.Cosignature.model_validate_json(body)
    except ValidationError:
        raise Refusal("FORM") from None
    _, board = relay.shown(request)
    await relay.sequencer.submit(Cosigning(requester.nonce, board, requester.agency, said.size, said.line))
    return _page(board)


def _page(board: Board) -> web.Response:
    return answer(json.dumps(board.to_json()).encode("ascii"))
