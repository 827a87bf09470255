"""People with role keys for tests of overrides: published by their agency, countersigned by oversight."""

from __future__ import annotations

import secrets
from typing import Any

from schemas.canonical import b64, encode
from schemas.chain import Chain
from schemas.envelope import Header
from schemas.keyring import AdminKeys
from schemas.keys import SigningKey, Use
from schemas.override import Core, authorise_override, parse_core, request_override
from schemas.record_sealing import record_hash
from schemas.sealing import seal_record
from schemas.signing import Signed
from tests.simulated_world import World

YEAR = 365 * 24 * 3600
DAY = 24 * 3600


def add_person(
    world: World, party: str, tag: str, *, ago: int = 2 * DAY, countersign: bool = True
) -> SigningKey:
    """A person of the party: her key, published and countersigned `ago` seconds before now.

    Chains do not go back in time: where they are further, the clock moves on, so whoever came last is added last.
    """
    key, agencies = SigningKey(secrets.token_bytes(32)), world.directory.agencies
    last = max(agencies[world.parties[name].id].ts for name in (party, "oversight"))
    world.clock.advance(max(0, last - (world.now - ago)))
    ts = world.now - ago
    for signed in introduce(world, party, key, tag, ts, countersign=countersign):
        world.take(signed)
    return key


def introduce(
    world: World, party: str, key: SigningKey, tag: str, ts: int, *, countersign: bool = True
) -> list[Signed]:
    """The statements that publish a person's key, and oversight's countersignature."""
    known, oversight = world.parties[party], world.parties["oversight"]
    chain = Chain(known.admin.agency, known.admin.op, known.admin.seq, known.admin.head)
    said = [chain.add_key(Use.PERSON, key.public, ts - 60, ts + YEAR, ts, tag)]
    known.admin = AdminKeys(chain.agency, chain.op, chain.seq, chain.head)
    if countersign:
        over = Chain(oversight.admin.agency, oversight.admin.op, oversight.admin.seq, oversight.admin.head)
        said.append(over.countersign(key.kid, tag.partition("-")[0], ts))
        oversight.admin = AdminKeys(over.agency, over.op, over.seq, over.head)
    return said


def reason_record(world: World, party: str, oid: str, text: str = "Because of what happened.") -> bytes:
    """A reason, sealed to the agency's and oversight's officers."""
    officers = world.directory.officers({world.parties[party].id}, world.now)
    return seal_record(oid, encode({"oid": oid, "reason": text, "v": 1}), officers, secrets.token_bytes(32))


def core_for(
    world: World, header: Header, author: SigningKey, record: bytes, oid: str, **changes: Any
) -> Core:
    """What an author would ask for this header's message."""
    value: dict[str, Any] = {
        "author": author.kid, "basis": header.law.b6, "cat": list(header.cat), "exp": world.now + DAY,
        "from": {"a": header.sender.a, "d": header.sender.d}, "mid": header.mid, "oid": oid, "pur": header.pur,
        "reason": header.law.why_no or "F", "rec": b64(record_hash(record)), "scope": "msg", "thr": None,
        "to": sorted(({"a": r.a, "d": r.d} for r in header.to), key=lambda one: (one["a"], one["d"])),
        "ts": world.now, "v": 1,
    }  # fmt: skip
    return parse_core(encode({**value, **changes}))


def override(
    world: World, header: Header, author: SigningKey, lead: SigningKey, **changes: Any
) -> tuple[Signed, bytes]:
    """An override for this header's message by these two, and the sealed reason."""
    oid = changes.pop("oid", None) or b64(secrets.token_bytes(16))
    record = reason_record(world, "Peacock", oid)
    core = core_for(world, header, author, record, oid, **changes)
    return authorise_override(request_override(core, author), lead, core.ts), record
