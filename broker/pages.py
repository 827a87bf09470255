"""The logs' pages: some that anybody may read, and those for IG officers (PROTOCOL.md L12, L28, W8, W9)."""

from __future__ import annotations

import base64
import json
import re

from aiohttp import web
from sqlalchemy import select

from broker.handlers import Relay
from broker.problems import HEADERS, answer
from broker.rates import Limited
from broker.reading import numbers
from broker.store import Store
from broker.sweeping import Nothing, Reading
from broker.tables import deletions, grants, policies, statuses
from broker.tree import WIDTH
from broker.turn import grant_of
from schemas import api
from schemas.canonical import b64, unb64
from schemas.errors import Refusal
from schemas.hashing import framed
from schemas.policing import policy_digest
from schemas.signing import Signed

NOTE = "text/plain; charset=utf-8"
OCTETS = "application/octet-stream"
_TILE = re.compile(
    r"(?P<level>[0-9]|[1-5][0-9]|6[0-3]|entries)/(?P<n>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<w>[1-9][0-9]{0,2}))?"
)
FOREVER = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}


async def get_checkpoint(relay: Relay, request: web.Request) -> web.Response:
    """GET log/checkpoint and keys/checkpoint (C2SP tlog-tiles): the newest head with both of the log's lines.

    No cache keeps it.
    """
    await _charged(relay, request)
    numbers(request.query, {})
    _, board = relay.shown(request)
    return answer((await board.newest()).encode(), NOTE)


async def get_consistency(relay: Relay, request: web.Request) -> web.Response:
    """GET log/consistency?old=M&new=N, and keys/consistency."""
    await _charged(relay, request)
    asked = numbers(request.query, {"old": None, "new": None})
    log, _ = relay.shown(request)
    hashes = await log.consistency(asked["old"], asked["new"])
    body = {"hashes": [base64.b64encode(one).decode("ascii") for one in hashes]}
    return answer(json.dumps(body).encode("ascii"))


async def get_tile(relay: Relay, request: web.Request) -> web.Response:
    """GET log/tile/L/N[.p/W] and log/tile/entries/N[.p/W] (C2SP tlog-tiles), and the same of keys/tile.

    What is found never changes, so any cache may keep it. "Not found" may be kept by none: the log grows into it.
    The directory's entries say who is a member, so they are for agents and IG officers, and for no cache.
    """
    await _charged(relay, request)
    found = _TILE.fullmatch(request.match_info["path"])
    if found is None or request.query:
        raise Refusal("NOT_FOUND")
    number = int(found["n"].replace("x", "").replace("/", ""))
    width = int(found["w"] or WIDTH)
    if width > WIDTH or (found["w"] and width == WIDTH) or found["n"] != tile_name(number):
        raise Refusal("NOT_FOUND")
    start = number * WIDTH
    log, _ = relay.shown(request)
    if found["level"] != "entries":
        return answer(await log.tile(int(found["level"]), start, start + width), OCTETS, FOREVER)
    if log is relay.log:
        return answer(await log.entries(start, start + width), OCTETS, FOREVER)
    requester = await relay.requester(request, officer=None)
    await relay.sequencer.submit(Nothing(requester.nonce))
    return answer(await log.entries(start, start + width), OCTETS)


async def _charged(relay: Relay, request: web.Request) -> None:
    """Whoever asks, pays: strangers out of the one bucket that all of them share, agents and officers out of their own.

    Else strangers who ask without end would keep every agency from holding two heads against each other, and so from
    its mail. Raises Limited.
    """
    if "Signature-Input" in request.headers:
        try:
            await relay.requester(request, officer=None)
        except Limited:
            raise
        except Refusal:  # a key that is over may read what anybody may
            relay.public.take("")
    else:
        relay.public.take("")


def tile_name(number: int) -> str:
    """A tile's number as its path: 1234067 is x001/x234/067."""
    parts = [f"{number % 1000:03d}"]
    while number := number // 1000:
        parts.append(f"x{number % 1000:03d}")
    return "/".join(reversed(parts))


async def get_records(relay: Relay, request: web.Request) -> web.Response:
    """GET log/records?from=I&limit=N, for IG officers; that she read them is logged before she gets them."""
    officer = await relay.requester(request, officer=True)
    asked = numbers(request.query, {"from": None, "limit": api.PAGE_RECORDS})
    if asked["from"] < 0 or not 1 <= asked["limit"] <= api.PAGE_RECORDS:
        raise Refusal("FORM")
    pairs = await relay.log.records(asked["from"], asked["limit"])
    await relay.sequencer.submit(
        Reading(officer.nonce, officer.agency, officer.kid, asked["from"], len(pairs))
    )
    return answer(b"".join(framed(part) for pair in pairs for part in pair), api.BINARY)


async def get_epochs(relay: Relay, request: web.Request) -> web.Response:
    """GET log/epochs?after=N, for IG officers: the wraps for her agency; after=-1 begins at the first."""
    officer = await relay.requester(request, officer=True)
    asked = numbers(request.query, {"after": -1})
    await relay.sequencer.submit(Nothing(officer.nonce))
    found = await relay.log.epochs(officer.agency, asked["after"])
    items = [{"id": b64(e.epoch), "first": e.first, "kid": e.kid, "wrap": b64(e.wrap)} for e in found]
    return answer(json.dumps({"epochs": items}).encode("ascii"))


async def get_policy(relay: Relay, request: web.Request, store: Store) -> web.Response:
    """GET policy?digest=D, for agents and IG officers alike: the text as it was signed."""
    requester = await relay.requester(request, officer=None)
    digest = _digest(request)
    await relay.sequencer.submit(Nothing(requester.nonce))
    async with store.reading() as connection:
        found = await connection.execute(select(policies.c.text).where(policies.c.digest == digest))
        text = found.scalar()
    if not isinstance(text, bytes) or policy_digest(text) != digest:
        raise Refusal("NOT_FOUND")
    return answer(text)


async def get_retention(relay: Relay, request: web.Request, store: Store) -> web.Response:
    """GET log/retention?digest=D, for IG officers: the list of a retention statement, as it was signed."""
    officer = await relay.requester(request, officer=True)
    digest = _digest(request)
    await relay.sequencer.submit(Nothing(officer.nonce))
    async with store.reading() as connection:
        found = await connection.execute(select(deletions.c.text).where(deletions.c.digest == digest))
        text = found.scalar()
    if not isinstance(text, bytes):
        raise Refusal("NOT_FOUND")
    return answer(text)


def _digest(request: web.Request) -> str:
    """The one thing that is asked for. Raises Refusal FORM."""
    if len(request.query) != 1 or "digest" not in request.query:
        raise Refusal("FORM")
    unb64(request.query["digest"], 32)
    return request.query["digest"]


async def get_grant(relay: Relay, request: web.Request, store: Store) -> web.Response:
    """GET grants/{gid}, for parties; "not yours" and "absent" are one answer."""
    requester = await relay.requester(request)
    numbers(request.query, {})
    await relay.sequencer.submit(Nothing(requester.nonce))
    gid = request.match_info["gid"]
    async with store.reading() as connection:
        row = (await connection.execute(select(grants).where(grants.c.gid == gid))).first()
        newest = select(statuses).where(statuses.c.gid == gid).order_by(statuses.c.exp.desc()).limit(1)
        status = (await connection.execute(newest)).first()
    if row is None or requester.agency not in grant_of(Signed(row.text, row.sig)).parties():
        raise Refusal("NOT_FOUND")
    gone = None if row.withdrawn_text is None else Signed(row.withdrawn_text, row.withdrawn_sig).to_json()
    body = {
        "grant": Signed(row.text, row.sig).to_json(),
        "status": None if status is None else Signed(status.text, status.sig).to_json(),
        "withdrawal": gone,
    }
    return answer(json.dumps(body).encode("ascii"))
