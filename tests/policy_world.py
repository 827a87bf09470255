"""Policies for tests: changed, signed by whom a test wants, posted to the relay of a simulated world."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from schemas import api
from schemas.canonical import encode
from schemas.chain import Chain
from schemas.keys import SigningKey
from schemas.policing import SignedPolicy
from schemas.signing import Signed
from tests.simulated_world import World

BLIND: dict[str, Any] = {"agreements": []}
"""Changes that leave no data-sharing agreement: row 4 then stops what is not a RED."""


def text_of(world: World, version: int, effective: int | None = None, **changes: Any) -> bytes:
    """The founding policy's text with another version, first second and whatever a test changes."""
    value = json.loads(world.founded.policy.text)
    now = world.now if effective is None else effective
    return encode({**value, "version": version, "effective": now, **changes})


def signed(text: bytes, *keys: SigningKey) -> SignedPolicy:
    policy = SignedPolicy(text)
    for key in keys:
        policy = policy.signed_by(key)
    return policy


def next_policy(world: World, version: int = 2, effective: int | None = None, **changes: Any) -> SignedPolicy:
    """Signed by both of the partnership's signers."""
    return signed(text_of(world, version, effective, **changes), *(one.key for one in world.founded.signers))


def own_chain(world: World) -> Chain:
    """Oversight's chain as this world's directory has it."""
    own = world.directory.agencies[world.parties["oversight"].id]
    return Chain(own.id, world.parties["oversight"].admin.op, own.seq, own.head)


def stated(world: World, policy: SignedPolicy, ts: int | None = None) -> Signed:
    return own_chain(world).policy(policy, world.now if ts is None else ts)


async def post(
    world: World,
    http: aiohttp.ClientSession,
    statement: Signed,
    text: bytes | None,
    *,
    kind: str = "policy",
    party: str = "oversight",
) -> str:
    """What the relay says: recorded, repeat, or the refusal's code."""
    item = {
        "kind": kind,
        "signed": statement.to_json(),
        "body": None if text is None else text.decode("latin-1"),
    }
    body = json.dumps({"statements": [item]}).encode()
    answer = await world.call(http, party, "POST", api.STATEMENTS, body=body)
    if answer.status != 200:
        return str(answer.json()["code"])
    (result,) = answer.json()["results"]
    return str(result["code"] or result["status"])


async def publish(world: World, http: aiohttp.ClientSession, policy: SignedPolicy) -> None:
    """Put a policy in force at the relay and in this world's own view."""
    statement = stated(world, policy)
    assert await post(world, http, statement, policy.text) == "recorded"
    world.take(statement)
