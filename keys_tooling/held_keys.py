"""What the key files of a folder hold, by key id: to be held against what the directory has published."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keys_tooling.keyfiles import OTHERS, read_public, read_secret
from keys_tooling.token_pins import on_token
from schemas.canonical import Json, unb64
from schemas.errors import Refusal
from schemas.keyfile import LIMIT, claimed
from schemas.keyring import AdminKeys, AgentKeys, OfficerKeys, PersonKeys, PolicyKey
from schemas.keys import Signer, SigningKey

SECRETS = ("*.fpk", "*/*.fpk", "api.token", "agent.db", "passphrase", "*/passphrase")


@dataclass(frozen=True, slots=True)
class HeldKeys:
    """The keys of a folder.

    `kids` maps a key's id to the file that holds it; `closed` are files that no passphrase opened. `admin` is the
    administrator's file, if it is there, and `requests` are keys that can sign requests to the relay.
    """

    kids: dict[str, str] = field(default_factory=dict)
    opened: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    admin: AdminKeys | None = None
    agency: str | None = None
    requests: tuple[Signer, ...] = ()


def key_files(folder: Path) -> list[Path]:
    """Every key file in a folder and in those right below it, but for those that a rotation put out of use."""
    return [
        path
        for level in ("*.fpk", "*/*.fpk")
        for path in sorted(folder.glob(level))
        if not path.name.startswith((".", "old-"))
    ]


def held_in(folder: Path, passphrases: Sequence[bytes]) -> HeldKeys:
    """What the folder's key files hold, as far as these passphrases open them.

    Raises:
        Refusal: FILE when others may read one, KEYFILE when one opened and is not what it says.
    """
    kids: dict[str, str] = {}
    opened, closed, requests = [], [], list[Signer]()
    admin, agencies = None, set[str]()
    for path in key_files(folder):
        name = path.relative_to(folder).as_posix()
        found = _opened(path, passphrases)
        if found is None:
            closed.append(name)
            continue
        opened.append(name)
        holds, secrets = found
        kids.update(dict.fromkeys(_kids(holds, secrets), name))
        if holds == AdminKeys.HOLDS and name == "admin.fpk":
            admin = AdminKeys.from_json(secrets)
            agencies.add(admin.agency)
        if holds == AgentKeys.HOLDS:
            agent = AgentKeys.from_json(secrets)
            requests += [agent.auth, agent.renew]
            agencies.add(agent.agency)
        if holds == OfficerKeys.HOLDS:
            requests.append(OfficerKeys.from_json(secrets, on_token).auth)
    if len(agencies) > 1:
        raise Refusal(
            "KEYFILE", "The keys in this folder are of two agencies. Keep each agency's in its own folder."
        )
    agency = agencies.pop() if agencies else None
    return HeldKeys(kids, tuple(opened), tuple(closed), admin, agency, tuple(requests))


def _opened(path: Path, passphrases: Sequence[bytes]) -> tuple[str, Json] | None:
    holds = claimed(read_public(path, LIMIT))
    for passphrase in passphrases:
        try:
            return holds, read_secret(path, holds, passphrase)
        except Refusal as refusal:
            if refusal.code != "KEYFILE":
                raise
    return None


def _kids(holds: str, secrets: Json) -> list[str]:
    if holds == AdminKeys.HOLDS:
        return [AdminKeys.from_json(secrets).op.kid]
    if holds == AgentKeys.HOLDS:
        agent = AgentKeys.from_json(secrets)
        signing = (agent.msg, agent.auth, agent.consent, agent.witness, agent.renew)
        return [*(key.kid for key in signing), *(prekey.key.kid for prekey in agent.prekeys)]
    if holds == OfficerKeys.HOLDS:
        officer = OfficerKeys.from_json(secrets)
        return [officer.ig.kid, officer.auth.kid]
    if holds == PolicyKey.HOLDS:
        return [PolicyKey.from_json(secrets).key.kid]
    if holds == PersonKeys.HOLDS:
        return [PersonKeys.from_json(secrets).key.kid]
    if holds == "renew":
        return [SigningKey(unb64(secrets["renew"], 32)).kid]
    return []


def exposed(folder: Path) -> list[str]:
    """Secret files in a folder that others may read, that are no files, or that belong to somebody else."""
    paths = {path for pattern in SECRETS for path in folder.glob(pattern)}
    return sorted(path.relative_to(folder).as_posix() for path in paths if not _private(path.lstat()))


def _private(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and not status.st_mode & OTHERS and status.st_uid in (os.geteuid(), 0)
