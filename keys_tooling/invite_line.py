"""The relay's pages for invitations: oversight's, and the one that an agency reaches before it is known."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from agent.client import Relay
from schemas import api
from schemas.canonical import encode, strict_json
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.invite import BODY_LIMIT, Enrolling, Invite, Standing, Standings, Taken

T = TypeVar("T", bound=Frozen)


class InviteLine(Relay):
    """A connection to the relay. Every method raises as Relay's do; INVITE for an invitation that is not good."""

    async def post_invite(self, invite: Invite) -> None:
        """Oversight makes an invitation good, or withdraws it."""
        await self._send("POST", api.INVITES, encode(invite.model_dump(mode="json")))

    async def invites(self) -> tuple[Standing, ...]:
        """Every invitation that the relay knows."""
        return _read(Standings, (await self._send("GET", api.INVITES)).body).invites

    async def enrolment(self, mark: str) -> bytes:
        """What came with an invitation: verify it before anything of it is believed."""
        return (await self._send("GET", api.ENROLMENTS, query={"mark": mark})).body

    async def post_enrolment(self, said: Enrolling) -> bool:
        """Hand in an enrolment with its invitation; False when it was handed in before."""
        answer = await self._send("POST", api.ENROLMENTS, encode(said.model_dump(mode="json")))
        return _read(Taken, answer.body).status == "taken"


def _read(model: type[T], data: bytes) -> T:
    strict_json(data, BODY_LIMIT)
    try:
        return model.model_validate_json(data)
    except ValidationError:
        raise Refusal("FORM", party="relay") from None
