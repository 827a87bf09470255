"""Policies as the people who answer for them handle them: read, drafted, signed by two, put in force.

Rules of this house:
- what is in force is read from the relay's directory, replayed, and from texts held against their digests;
- a draft and a signed policy are files; none is ever overwritten, and signing needs no relay.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from keys_tooling import own_side
from keys_tooling.admission import Oversight
from keys_tooling.applying import Stated, post
from keys_tooling.console import World
from keys_tooling.directory_reading import Reading, Source, read_directory
from keys_tooling.keyfiles import clear_part, new_files, read_public, read_secret
from keys_tooling.partnership import AGENT, PARTNERSHIP
from keys_tooling.plan import Given, Plan, Said
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
from schemas.policing import (
    FILE_LIMIT,
    LATE,
    SIGNERS,
    Entry,
    PolicyBody,
    SignedPolicy,
    check_signers,
    statement_body,
)
from schemas.policy import Policy
from schemas.shelf import read_policy

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


def is_there(path: Path, data: bytes) -> bool:
    """Whether a file of these very bytes is there, as a command that was killed after it wrote them leaves it.

    Raises:
        Refusal: EXISTS (another file is there), FILE.
    """
    if not os.path.lexists(path):
        return False
    if read_public(path, FILE_LIMIT) != data:
        raise Refusal("EXISTS")
    clear_part(path)
    return True


def drafted_before(path: Path, policy: Policy, version: int, effective: int) -> int | None:
    """The first second of the draft at `path`, when it is this one, made minutes ago. Raises Refusal EXISTS, FILE."""
    if not os.path.lexists(path):
        return None
    try:
        begins = Policy.parse(read_draft(read_public(path, FILE_LIMIT)).text).effective
    except Refusal as refusal:
        raise Refusal("EXISTS") from refusal
    if abs(begins - effective) > LATE:
        raise Refusal("EXISTS")
    is_there(path, draft(policy, version, begins))
    return begins


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


def put_in_force(view: Directory, given: Given, found: SignedPolicy, now: int) -> Plan:
    """Oversight's word that a policy counts from its first second on; nothing where it is on record.

    Raises:
        Refusal: POLICY_PAST, POLICY_FAULT, FORM of a text that is no policy.
    """
    body, policy = found.body(), Policy.parse(found.text)
    here = recorded(view, found) is not None
    if not here and body.effective < now - LATE:
        raise Refusal("POLICY_PAST")
    return Plan(
        "policy apply",
        given,
        view.oversight,
        () if here else (Said("policy", statement_body(found), found.text.decode("ascii")),),
        affects=("the relay is handed its text again",)
        if here
        else (f"every member: from then on version {policy.version} decides",),
    )


def recorded(view: Directory, found: SignedPolicy) -> Entry | None:
    """The entry of this policy, if it is on record."""
    body = found.body()
    return next(
        (e for e in view.policies.entries if (e.digest, e.version) == (body.digest, body.version)), None
    )


def entry_of(view: Directory, found: SignedPolicy, now: int) -> Entry:
    """What is on record of this policy, or would be. Raises Refusal as check_signers and Timeline.after."""
    body = found.body()
    people = () if (here := recorded(view, found)) else check_signers(body, lambda kid: view.signer(kid, now))
    return here or view.policies.after(body, now, people).entries[-1]


async def hand_in_again(line: Line, oversight: Oversight, found: SignedPolicy, world: World) -> None:
    """A relay that lost the text of a policy on record is given it again. Raises Refusal NOT_FOUND, and the relay's."""
    reading = await read_own(line, oversight, world)
    body = found.body()
    for signed in reading.statements:
        said = parse_statement(signed)[1]
        if isinstance(said, PolicyBody) and (said.digest, said.version) == (body.digest, body.version):
            await post(line, (Stated(signed, found.text.decode("ascii")),))
            return
    raise Refusal("NOT_FOUND")


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


def own_chain(reading: Reading, oversight: Oversight) -> Chain:
    """Where oversight's chain stands."""
    return own_side.own_chain(reading, oversight.admin)
