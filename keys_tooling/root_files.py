"""Root keys in files: who brings some of them, and who gets the ones that come after. Pure but for draws."""

from __future__ import annotations

from dataclasses import dataclass

from keys_tooling.console import World
from keys_tooling.plan import NewFile
from schemas.canonical import Json, b64, unb64
from schemas.directory import Agency
from schemas.errors import Refusal
from schemas.keyfile import Cost, lock
from schemas.keys import SigningKey


@dataclass(frozen=True, slots=True)
class Locked:
    """How new key files are locked: `passphrase` and argon2id cost."""

    passphrase: bytes
    cost: Cost

    def __repr__(self) -> str:
        return "Locked()"


@dataclass(frozen=True, slots=True)
class Brought:
    """The root keys in one file, called `name`, which `passphrase` opens."""

    name: str
    roots: tuple[SigningKey, ...]
    passphrase: bytes

    def __repr__(self) -> str:
        return "Brought()"


def roots_of(secrets: Json) -> tuple[SigningKey, ...]:
    """What a file of roots holds. Raises Refusal KEYFILE."""
    try:
        return tuple(SigningKey(unb64(seed, 32)) for seed in secrets["roots"])
    except (KeyError, TypeError, Refusal) as error:
        raise Refusal("KEYFILE") from error


def next_roots(
    mark: str,
    after: tuple[SigningKey, ...],
    brought: tuple[Brought, ...],
    agency: Agency,
    locked: Locked,
    world: World,
) -> tuple[tuple[NewFile, ...], tuple[str, ...]]:
    """The files of the next roots, and what people do with them. Where several files were brought, each root is alone.

    Whoever brought roots gets as many, under the passphrase of her own file. The roots of those who were not there are
    under the folder's, until they are handed over.
    """
    if len(brought) == 1:
        name = f"next-roots-{mark}.fpk"
        files = (_file_of(name, after, locked, world),)
        say = f"take {name} off this machine, to a safe without other roots, and destroy the old one"
        return files, (say,)
    counted = set[str]()
    own: list[Brought] = []
    for one in brought:
        usable = {root.kid for root in one.roots if root.kid in agency.committed} - counted
        counted |= usable
        own += [one] * len(usable)
    made, says = list[NewFile](), list[str]()
    for n, root in enumerate(after):
        name = f"next-root-{mark}-{n + 1}.fpk"
        lock_it = Locked(own[n].passphrase, locked.cost) if n < len(own) else locked
        made.append(_file_of(name, (root,), lock_it, world))
        if n < len(own):
            says.append(f"{name} is for whoever brought {own[n].name}, which is spent, and opens as that did")
    rest = [one.name for one in made[len(own) :]]
    if rest:
        says.append(
            f"{', '.join(rest)}: for the holders who were not here. Each gives hers a passphrase of her own at once "
            "(fenpost-keys passphrase); until then this folder's opens it"
            + (", and that alone is enough to agree" if len(rest) >= agency.threshold else "")
        )
    says.append("each takes hers off this machine, to a safe without other roots, and destroys the old one")
    return tuple(made), tuple(says)


def locked_file(name: str, final: str, secrets: Json, holds: str, locked: Locked, world: World) -> NewFile:
    """A key file to be made. Its secrets are drawn before, and only their locked form goes on."""
    return NewFile(name, final, lock(secrets, holds, locked.passphrase, locked.cost, world.draw))


def _file_of(name: str, roots: tuple[SigningKey, ...], locked: Locked, world: World) -> NewFile:
    held: Json = {"roots": [b64(root.seed()) for root in roots]}
    return locked_file(name, name, held, "roots", locked, world)
