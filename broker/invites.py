"""Invitations: an agency that nobody knows yet hands in its enrolment once, and oversight fetches it (PROTOCOL.md W13).

Rules of this house:
- of an invitation the relay keeps the hash of a public key and a date: nothing of it enrols anybody;
- unknown, used, over, withdrawn and wrongly signed are one answer, INVITE, after the same work;
- an enrolment taken here makes nobody a member: only oversight's admission does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import ValidationError
from sqlalchemy import bindparam, delete, func, insert, select, update

from broker.handlers import Relay
from broker.problems import answer
from broker.reading import read_body
from broker.store import Store
from broker.sweeping import Nothing
from broker.tables import invites
from broker.turn import Quiet, Turn
from schemas import api
from schemas.canonical import b64, strict_json, unb64
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.invite import BODY_LIMIT, ENROLMENT_LIMIT, LONGEST, MOST, Enrolling, Invite
from schemas.signing import Signed

MAX_STATEMENTS = 512
SELECT_ONE = select(invites).where(invites.c.mark == bindparam("named"))
SELECT_ALL = select(invites.c.mark, invites.c.until, invites.c.taken).order_by(
    invites.c.until, invites.c.mark
)


class _Enrolment(Frozen):
    """The shape of an enrolment; what it says is for oversight's own program to verify."""

    enrolment: api.SignedJson
    statements: tuple[api.SignedJson, ...]


@dataclass
class Inviting(Quiet):
    """Oversight makes an invitation good, or withdraws it."""

    nonce: bytes | None
    said: Invite
    size = 1

    def decide(self, turn: Turn) -> str:
        mark, until = unb64(self.said.mark, 32), self.said.until
        found = turn.db.execute(SELECT_ONE, {"named": mark}).first()
        if self.said.act == "withdraw":
            if found is None:
                raise Refusal("NOT_FOUND")
            turn.db.execute(delete(invites).where(invites.c.mark == mark))
            return "recorded"
        if not turn.now < until <= turn.now + LONGEST:
            raise Refusal("FORM", "An invitation is good for a month at most. Shorten it.", detail=("until",))
        if found is not None:
            if found.until == until:
                return "repeat"
            raise Refusal("ID_CLASH", "This invitation was made already, with another end.")
        if turn.db.execute(select(func.count()).select_from(invites)).scalar_one() >= MOST:
            raise Refusal("LIMITED", "Too many invitations stand. Withdraw some first.")
        turn.db.execute(insert(invites), {"mark": mark, "until": until})
        return "recorded"


@dataclass
class Invited(Quiet):
    """An enrolment with an invitation: the first takes it, in the one order of all."""

    mark: bytes
    text: bytes
    nonce = None

    @property
    def size(self) -> int:
        return len(self.text)

    def decide(self, turn: Turn) -> str:
        digest = labelled("fenpost/v1/enrolment-file", self.text)
        found = turn.db.execute(SELECT_ONE, {"named": self.mark}).first()
        if found is None or turn.now >= found.until:
            raise Refusal("INVITE")
        if found.taken is not None:
            if labelled("fenpost/v1/enrolment-file", found.text) == digest:
                return "repeat"
            raise Refusal("INVITE")
        values = {"taken": turn.now, "text": self.text}
        turn.db.execute(update(invites).where(invites.c.mark == self.mark).values(values))
        return "taken"


async def post_invite(relay: Relay, request: web.Request) -> web.Response:
    """POST invites, by oversight's agent key: an Invite; answers its status."""
    asking, body = await relay.read(request, api.JSON)
    requester, _ = await relay.vetted(asking, body, tuple)
    if requester.officer or requester.agency != relay.view.directory.oversight:
        raise Refusal("NOT_ALLOWED")
    relay.buckets.take(requester.bucket)
    status = await relay.sequencer.submit(Inviting(requester.nonce, _read(Invite, body)))
    return answer(json.dumps({"status": status}).encode("ascii"))


async def post_enrolment(relay: Relay, request: web.Request) -> web.Response:
    """POST enrolments, by whoever has an invitation: no request key is known yet, so the invitation's key signs."""
    relay.public.take("")
    if (request.content_length or 0) > BODY_LIMIT:
        raise Refusal("TOO_BIG")
    body = await read_body(request, api.JSON, relay.pace)
    if len(body) > BODY_LIMIT:
        raise Refusal("TOO_BIG")
    said = _read(Enrolling, body)
    partnership = relay.view.directory.oversight
    await relay.checks.run(len(body), lambda: said.check(partnership))
    text = _checked(said.enrolment)
    status = await relay.sequencer.submit(Invited(unb64(said.mark, 32), text))
    return answer(json.dumps({"status": status}).encode("ascii"))


async def get_invites(relay: Relay, request: web.Request, store: Store) -> web.Response:
    """GET invites, for oversight: each with its end, and when an enrolment came with it."""
    await _oversight(relay, request)
    if request.query:
        raise Refusal("FORM")
    async with store.reading() as connection:
        rows = (await connection.execute(SELECT_ALL)).all()
    said = [{"mark": b64(row.mark), "until": row.until, "taken": row.taken} for row in rows]
    return answer(json.dumps({"invites": said}).encode("ascii"))


async def get_enrolment(relay: Relay, request: web.Request, store: Store) -> web.Response:
    """GET enrolments?mark=M, for oversight: what came with this invitation, as it was sent."""
    await _oversight(relay, request)
    if len(request.query) != 1 or "mark" not in request.query:
        raise Refusal("FORM")
    mark = unb64(request.query["mark"], 32)
    async with store.reading() as connection:
        row = (await connection.execute(SELECT_ONE, {"named": mark})).first()
    if row is None or row.text is None:
        raise Refusal("NOT_FOUND")
    return answer(row.text)


async def _oversight(relay: Relay, request: web.Request) -> None:
    requester = await relay.requester(request)
    await relay.sequencer.submit(Nothing(requester.nonce))
    if requester.agency != relay.view.directory.oversight:
        raise Refusal("NOT_ALLOWED")


def _checked(enrolment: str) -> bytes:
    """The enrolment's bytes, if it has the shape of one: only signed statements are stored."""
    if not enrolment.isascii():
        raise Refusal("FORM")
    text = enrolment.encode("ascii")
    strict_json(text, ENROLMENT_LIMIT)
    try:
        found = _Enrolment.model_validate_json(text)
    except ValidationError:
        raise Refusal("FORM") from None
    if not 1 <= len(found.statements) <= MAX_STATEMENTS:
        raise Refusal("FORM")
    for one in (found.enrolment, *found.statements):
        Signed.from_json(one.model_dump()).peek()
    return text


def _read(model: type[Any], body: bytes) -> Any:
    strict_json(body, BODY_LIMIT)
    try:
        return model.model_validate_json(body)
    except ValidationError:
        raise Refusal("FORM") from None
