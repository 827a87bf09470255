"""Policies as the people who answer for them handle them: read, drafted, signed by two, put in force.

Rules of this house:
- what is in force is read from the relay's directory, replayed, and from texts held against their digests;
- a draft and a signed policy are files; none is ever overwritten, and signing needs no relay;
- before anything is posted, all of it is tried on a copy of the directory.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from keys_tooling import own_side
from keys_tooling.admission import Oversight
from keys_tooling.console import World
from keys_tooling.directory_reading import Reading, Source, read_directory
from keys_tooling.keyfiles import new_files, read_public, read_secret
from keys_tooling.partnership import AGENT, PARTNERSHIP
from keys_tooling.token_pins import on_token
from schemas import api
from schemas.canonical import Json, encode, strict_json
from schemas.chain import Chain
from schemas.directory import Directory
from schemas.directory_statement import parse_statement
from schemas.errors import Refusal
from schemas.keyring import AgentKeys, PolicyKey
from schemas.keys import SigningKey
from schemas.kinds import KINDS
from schemas.partnership import FILE_LIMIT as PARTNERSHIP_LIMIT
from schemas.partnership import Partnership
from schemas.policing import FILE_LIMIT, LATE, SIGNERS, Entry, PolicyBody, SignedPolicy, check_signers
from schemas.policy import Policy
from schemas.shelf import read_policy
from schemas.signing import Signed

NOT_ONE = "This is neither a policy's draft nor a signed policy. Make one with: fenpost-keys policy new"


class Line(Source, Protocol):
    """What is asked of a relay here: agent.client.Relay does it."""

    async def policy(self, digest: str) -> bytes: ...

    async def post_statements(self, request: api.StatementsRequest) -> api.StatementResults: ...


@dataclass(frozen=True, slots=True)
class Member:
    """Anybody's side who may read policies: the partnership, and the key that signs the requests."""

    partnership: Partnership
    auth: SigningKey

    @classmethod
    def open(cls, folder: Path, passphrase: bytes) -> Member:
        """An agency's folder, or oversight's. Raises Refusal FILE, KEYFILE, SETTINGS, SIGNATURE, DIRECTORY."""
        partnership = Partnership.parse(read_public(folder / PARTNERSHIP, PARTNERSHIP_LIMIT))
        keys = AgentKeys.from_json(read_secret(folder / AGENT, AgentKeys.HOLDS, passphrase))
        return cls(partnership, keys.auth)


async def read_view(line: Line, member: Member, now: int) -> Directory:
    """The directory as the relay shows it now, all of it checked."""
    charter = member.partnership.charter
    reading = await read_directory(line, member.partnership.keys_log_key, charter.oversight, now)
    return reading.view


async def text_of(line: Line, entry: Entry) -> Policy:
    """The policy of an entry. Raises Refusal NOT_FOUND, POLICY_TEXT."""
    return read_policy(entry, await line.policy(entry.digest))


# --- drafts


def read_draft(data: bytes) -> SignedPolicy:
    """A draft, or a policy with the signatures that it has so far; nothing of them is verified.

    Raises:
        Refusal: FORM, NOT_CANONICAL, TOO_BIG, and what Policy.parse says of a policy that does not hold together.
    """
    value = strict_json(data, FILE_LIMIT)
    if not isinstance(value, dict):
        raise Refusal("FORM", NOT_ONE)
    found = SignedPolicy.parse(data) if set(value) == {"policy", "sigs"} else SignedPolicy(encode(value))
    Policy.parse(found.text)
    return found


def draft(policy: Policy, version: int, effective: int) -> bytes:
    """A policy's text as people edit it, under another version and first second."""
    value: dict[str, Json] = json.loads(policy.text)
    value |= {"version": version, "effective": effective}
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    return text.encode("utf-8") + b"\n"


def write_new(path: Path, data: bytes) -> None:
    """Raises Refusal EXISTS, FILE, DISK_FULL."""
    with new_files(path.parent) as files:
        files.absent(path.name)
        files.public(path.name, data)


# --- checking


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a draft stands: who signed it, and how many people are missing."""

    policy: Policy
    people: tuple[str, ...]

    @property
    def missing(self) -> int:
        return max(0, SIGNERS - len(self.people))


def standing(found: SignedPolicy, view: Directory, now: int) -> Standing:
    """Hold a draft against the directory: is it the next version, is its first day to come, do signatures hold.

    Raises:
        Refusal: POLICY_OLDER, POLICY_GAP, POLICY_PAST, POLICY_SAME_PERSON, SIGNATURE, UNKNOWN_KEY, REVOKED_KEY,
            STALE_KEY.
    """
    policy = Policy.parse(found.text)
    if policy.effective < now - LATE:
        raise Refusal("POLICY_PAST")
    body = found.body()
    view.policies.after(body, now, ())
    return Standing(policy, _people(body, view, now))


def _people(body: PolicyBody, view: Directory, now: int) -> tuple[str, ...]:
    try:
        return check_signers(body, lambda kid: view.signer(kid, now))
    except Refusal as refusal:
        if refusal.code != "POLICY_SIGNERS":
            raise
    return tuple(view.signer(one.kid, now).person or "" for one in body.sigs)


# --- signing and putting in force


def read_signer(path: Path, passphrase: bytes) -> PolicyKey:
    """Raises Refusal FILE, KEYFILE."""
    return PolicyKey.from_json(read_secret(path, PolicyKey.HOLDS, passphrase), on_token)


@dataclass(frozen=True, slots=True)
class Applied:
    """What putting in force did; `before` says that it was in the directory already."""

    entry: Entry
    before: bool


async def plan(line: Line, oversight: Oversight, found: SignedPolicy, world: World) -> Entry:
    """What putting this policy in force would put on record, or what is on record of it; nothing is posted.

    Raises:
        Refusal: as Directory.apply, POLICY_FAULT, FORM of a text that is no policy, FORK, ROLLBACK.
    """
    reading = await read_own(line, oversight, world)
    return _recorded(reading, found) or _tried(reading, oversight, found, world.now())[1]


async def apply(
    line: Line, oversight: Oversight, found: SignedPolicy, expected: Entry, world: World
) -> Applied:
    """Put a policy in force as planned, or hand its text in again when it is on record.

    Raises:
        Refusal: as `plan`, CONFLICT when something else was recorded meanwhile, and the relay's own.
    """
    reading = await read_own(line, oversight, world)
    entry, signed = _recorded(reading, found), None
    if entry is None:
        signed, entry = _tried(reading, oversight, found, world.now())
    else:
        signed = _statement(reading, entry)
    if (entry.digest, entry.version, entry.signers) != (expected.digest, expected.version, expected.signers):
        raise Refusal("CONFLICT")
    item = api.StatementIn(
        kind="policy", signed=api.SignedJson(**signed.to_json()), body=found.text.decode("ascii")
    )
    return Applied(entry, before=await post_one(line, item) == "repeat")


async def post_one(line: Line, item: api.StatementIn) -> str:
    """ "recorded" or "repeat". Raises Refusal CONFLICT when the directory moved on meanwhile, and the relay's own."""
    answer = await line.post_statements(api.StatementsRequest(statements=(item,)))
    if len(answer.results) != 1:
        raise Refusal("FORM", party="relay")
    if (result := answer.results[0]).status == "refused":
        code = result.code if result.code in KINDS else "FORM"
        raise Refusal("CONFLICT" if code == "DIRECTORY" else code or "FORM", party="relay")
    return result.status


async def read_own(line: Line, oversight: Oversight, world: World) -> Reading:
    """The directory, which holds all that oversight's key file knows. Raises Refusal ROLLBACK, FORK."""
    reading = await own_side.read_own(line, oversight, world)
    own_side.check_own_chain(reading, oversight.admin)
    return reading


def _recorded(reading: Reading, found: SignedPolicy) -> Entry | None:
    body = found.body()
    entries = reading.view.policies.entries
    return next((e for e in entries if (e.digest, e.version) == (body.digest, body.version)), None)


def _statement(reading: Reading, entry: Entry) -> Signed:
    """The very statement that put this policy on record."""
    for signed in reading.statements:
        _, body = parse_statement(signed)
        if isinstance(body, PolicyBody) and body.version == entry.version:
            return signed
    raise Refusal("NOT_FOUND")


def _tried(reading: Reading, oversight: Oversight, found: SignedPolicy, now: int) -> tuple[Signed, Entry]:
    """The statement, tried on a copy of the directory, and what it puts on record."""
    Policy.parse(found.text)
    if found.body().effective < now - LATE:
        raise Refusal("POLICY_PAST")
    signed, view = own_chain(reading, oversight).policy(found, now), copy.deepcopy(reading.view)
    view.apply(signed)
    return signed, view.policies.entries[-1]


def own_chain(reading: Reading, oversight: Oversight) -> Chain:
    """Where oversight's chain stands."""
    return own_side.own_chain(reading, oversight.admin)
