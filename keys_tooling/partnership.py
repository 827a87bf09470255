"""Founding a partnership: oversight's keys, the relay's keys, and the file that every agency is given by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from keys_tooling import ceremony
from keys_tooling.ceremony import Founded, Member, OfficerCard, found_partnership
from keys_tooling.console import World
from keys_tooling.keyfiles import NewFiles, new_files, read_public
from keys_tooling.officer import CARD_LIMIT, parse_card
from schemas.canonical import Json, b64
from schemas.errors import Refusal
from schemas.keyfile import Cost, lock
from schemas.keyring import AdminKeys, AgentKeys, PolicyKey, RelayKeys
from schemas.keys import SigningKey
from schemas.names import check_name
from schemas.outside import OutsideWitness

PARTNERSHIP = "partnership.json"
ADMIN, ROOTS, AGENT = "admin.fpk", "roots.fpk", "agent.fpk"
NEXT_ROOTS = "next-roots.fpk"
RELAY_KEY, FOUNDING, TOML, PASSPHRASE = "relay.fpk", "founding.json", "relay.toml", "passphrase"
SIGNER_FILES = ("policy-1.fpk", "policy-2.fpk")
DEFAULT_PORT = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Plan:
    """What the founders decide; `threshold` of its `roots` root keys must agree to replace the operational key.

    `listen` and `admin_listen` are host:port on the relay's machine.

    `outside` are verifier keys and addresses of witnesses outside the partnership.
    """

    name: str
    relay_url: str
    origin: str
    listen: str
    admin_listen: str
    officers: tuple[Path, ...]
    outside: tuple[tuple[str, str], ...] = ()
    outside_needed: int = 0
    roots: int = ceremony.ROOTS
    threshold: int = ceremony.THRESHOLD


@dataclass(frozen=True, slots=True)
class Locks:
    """Passphrases and argon2id cost.

    `relay` is None when the relay's passphrase is to be drawn; `policy` has one for each signer, or none: then `own`
    locks their keys too. `roots` has one for each root key's holder, or none: then `own` locks all in one file.
    """

    own: bytes = field(repr=False)
    relay: tuple[Path, bytes] | None = field(repr=False)
    cost: Cost
    policy: tuple[bytes, ...] = field(default=(), repr=False)
    roots: tuple[bytes, ...] = field(default=(), repr=False)

    def root_files(self) -> tuple[str, ...]:
        """The names of the files that hold root keys."""
        return root_files(len(self.roots))


def root_files(holders: int) -> tuple[str, ...]:
    """The names of the files that hold root keys: two for each holder, or two for all where nobody has her own."""
    if not holders:
        return (ROOTS, NEXT_ROOTS)
    return tuple(name for n in range(holders) for name in root_names(n))


def makes(folder: Path, roots: tuple[str, ...], *, own_relay: bool) -> tuple[Path, tuple[Path, ...]]:
    """What `init` makes: partnership.json, which is the last, and all before it.

    Args:
        own_relay: the relay's passphrase is drawn.
    """
    relay = (*([PASSPHRASE] if own_relay else []), RELAY_KEY, FOUNDING, PARTNERSHIP, TOML)
    own = (*roots, ADMIN, AGENT, *SIGNER_FILES)
    return folder / PARTNERSHIP, (
        *(folder / name for name in own),
        *(folder / "relay" / name for name in relay),
    )


def check(plan: Plan) -> None:
    """What can be refused before anything is asked. Raises Refusal NAME, SETTINGS, FILE, KEY, OFFICERS."""
    from agent.client import check_url

    check_name(plan.name)
    check_url(plan.relay_url)
    authority(plan.relay_url)
    read_cards(plan.officers)


def init(folder: Path, plan: Plan, locks: Locks, world: World) -> Founded:
    """Make a partnership's folder.

    Raises:
        Refusal: EXISTS, FILE, NAME, KEY, SETTINGS, KEYFILE, DISK_FULL.
    """
    check(plan)
    cards = read_cards(plan.officers)
    with new_files(folder) as files, new_files(folder / "relay") as relay:
        files.absent(PARTNERSHIP, ADMIN, *locks.root_files(), AGENT, *SIGNER_FILES)
        relay.absent(PARTNERSHIP, RELAY_KEY, FOUNDING, TOML, PASSPHRASE)
        founded = _found(plan, cards, world)
        write_member(files, founded.oversight, locks.own, locks.own, locks.cost, world, locks.roots)
        _write_signers(files, founded, locks, world)
        _write_relay(relay, founded, plan, locks, world)
        files.public(PARTNERSHIP, founded.partnership.to_bytes())
    return founded


def _found(plan: Plan, cards: tuple[OfficerCard, ...], world: World) -> Founded:
    named = authority(plan.relay_url)
    relay = f"{urlsplit(plan.relay_url).scheme}://{named}"
    try:
        outside = tuple(OutsideWitness(key=key, url=url) for key, url in plan.outside)
    except ValidationError:
        raise Refusal(
            "SETTINGS", "An outside witness is its verifier key and an https:// address.", detail=("outside",)
        ) from None
    try:
        return found_partnership(
            plan.name, relay, named, plan.origin, world.now(), world.draw, cards, outside, plan.outside_needed,
            (plan.roots, plan.threshold),
        )  # fmt: skip
    except ValidationError as error:
        fields = tuple(str(row["loc"][0]) for row in error.errors(include_input=False))
        raise Refusal(
            "SETTINGS",
            "The relay's address and --origin are small letters, digits, dots and hyphens.",
            detail=fields,
        ) from None


def default_origin(url: str) -> str:
    """The audit log's name, when nobody chose one: the relay's host, and /log."""
    return f"{(urlsplit(url).hostname or '').replace(':', '-')}/log"


def authority(url: str) -> str:
    """The host and port of a relay's address as requests sign them: small letters, no default port.

    Raises:
        Refusal: SETTINGS.
    """
    parts = urlsplit(url.rstrip("/"))
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or not parts.hostname or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise Refusal("SETTINGS", "The relay's address is https://host or https://host:port, without a path.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return host if port in (None, DEFAULT_PORT.get(parts.scheme)) else f"{host}:{port}"


def root_names(n: int) -> tuple[str, str]:
    """The files of the root key of holder `n`, counted from 0, and of the one after it."""
    return f"root-{n + 1}.fpk", f"next-root-{n + 1}.fpk"


def read_cards(paths: tuple[Path, ...]) -> tuple[OfficerCard, ...]:
    """The officers' cards. Raises Refusal FILE, KEY, OFFICERS when there is none."""
    cards = tuple(parse_card(read_public(path, CARD_LIMIT)) for path in paths)
    if not cards:
        raise Refusal("OFFICERS", "An agency needs an IG officer. Give her card with --officer.")
    if len({card.ig for card in cards} | {card.auth for card in cards}) != 2 * len(cards):
        raise Refusal("KEY", "The same officer's card is given twice. Name each officer once.")
    return cards


def write_member(
    files: NewFiles,
    member: Member,
    passphrase: bytes,
    agent_passphrase: bytes,
    cost: Cost,
    world: World,
    holders: tuple[bytes, ...] = (),
) -> None:
    """An agency's key files: roots, the roots after them, admin, agent.

    With `holders`, a passphrase for each root key, every root key and the one after it stand in files of their own.
    """

    def write(name: str, keys: tuple[SigningKey, ...], words: bytes) -> None:
        roots: Json = {"roots": [b64(root.seed()) for root in keys]}
        files.secret(name, lock(roots, "roots", words, cost, world.draw))

    if holders:
        for n, (root, after, words) in enumerate(zip(member.roots, member.next_roots, holders, strict=True)):
            now_name, next_name = root_names(n)
            write(now_name, (root,), words)
            write(next_name, (after,), words)
    else:
        write(ROOTS, member.roots, passphrase)
        write(NEXT_ROOTS, member.next_roots, passphrase)
    files.secret(ADMIN, lock(member.admin.to_json(), AdminKeys.HOLDS, passphrase, cost, world.draw))
    files.secret(AGENT, lock(member.agent.to_json(), AgentKeys.HOLDS, agent_passphrase, cost, world.draw))


def _write_signers(files: NewFiles, founded: Founded, locks: Locks, world: World) -> None:
    for at, signer in enumerate(founded.signers):
        passphrase = locks.policy[at] if locks.policy else locks.own
        data = lock(signer.to_json(), PolicyKey.HOLDS, passphrase, locks.cost, world.draw)
        files.secret(f"{signer.person}.fpk", data)


def _write_relay(files: NewFiles, founded: Founded, plan: Plan, locks: Locks, world: World) -> None:
    if locks.relay is None:
        # Its own, not oversight's: whoever runs the relay must not be able to open oversight's keys.
        file, passphrase = Path(PASSPHRASE), b64(world.draw(24)).encode("ascii")
        files.secret(PASSPHRASE, passphrase + b"\n")
    else:
        file, passphrase = locks.relay
    files.secret(
        RELAY_KEY, lock(founded.relay.to_json(), RelayKeys.HOLDS, passphrase, locks.cost, world.draw)
    )
    files.public(FOUNDING, founded.founding().to_bytes())
    files.public(PARTNERSHIP, founded.partnership.to_bytes())
    files.public(TOML, relay_toml(plan, file).encode("utf-8"))


def relay_toml(plan: Plan, passphrase_file: Path) -> str:
    """The relay's settings. A JSON string without escaped surrogates is a TOML string."""
    settings = {
        "partnership": PARTNERSHIP,
        "key_file": RELAY_KEY,
        "passphrase_file": str(passphrase_file),
        "founding": FOUNDING,
        "database": "relay.db",
        "anchor": "anchor/heads.json",
        "listen": plan.listen,
        "admin_listen": plan.admin_listen,
    }
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in settings.items()]
    return "\n".join(["[relay]", *lines, ""])
