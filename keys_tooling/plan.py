"""A change of the directory as a plan: what will be published, which key files are made, whom it touches. Pure.

A plan is shown before anything happens, and is what the journal keeps until all of it is done. It says what each
statement holds and not where in the chain it stands: somebody else may extend the chain meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from keys_tooling.moments import moment
from schemas.canonical import Json
from schemas.directory import Agency
from schemas.keys import Signer
from schemas.signing import Signed

Facts = dict[str, Any]
Given = tuple[tuple[str, str], ...]
"""What a command was told, by the names of its options, so that it is known again."""
HIDDEN = 24
"""Longer values are shortened for eyes; --json has them whole."""
MOMENTS = {
    "effective": "from", "exp": "to", "nbf": "from", "since": "from", "stops": "from", "ts": "at", "until": "until",
}  # fmt: skip
"""Fields of a statement that are Unix seconds, and how they are said; --json has the seconds."""


@dataclass(frozen=True, slots=True)
class Said:
    """A statement to be published: its operation and body, without its place.

    `text` is what the relay is handed with it, such as a policy's.
    """

    op: str
    body: Json
    text: str | None = field(default=None, repr=False)

    def to_json(self) -> Json:
        return {"body": self.body, "op": self.op}


@dataclass(frozen=True, slots=True)
class NewFile:
    """A key file to be made as `name`; it becomes `final` once everything is published. `data` is locked."""

    name: str
    final: str
    data: bytes = field(repr=False, default=b"")

    def to_json(self) -> Json:
        return {"final": self.final, "name": self.name}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command will do.

    Args:
        does: the command as it is typed, such as "rotate op".
        given: what it was told, so that the same command is known again.
        agency: whose chain is extended.
        says: the statements, in order.
        files: the key files that it makes; their secrets are on disk before anything is published.
        affects: sentences: who notices, and how.
        after: sentences: what people must do then.
        brings: statements that another agency signed, recorded before these.
        puts: an operational key that the plan puts in force where there may be no other. Kept in memory alone.
    """

    does: str
    given: Given
    agency: str
    says: tuple[Said, ...]
    files: tuple[NewFile, ...] = ()
    affects: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    brings: tuple[Signed, ...] = ()
    puts: tuple[Signer, ...] = field(default=(), repr=False, compare=False)

    def same(self, does: str, given: Given) -> bool:
        return (self.does, self.given) == (does, given)

    def to_json(self) -> Facts:
        return {
            "affects": list(self.affects),
            "after": list(self.after),
            "agency": self.agency,
            "brings": [signed.peek()["op"] for signed in self.brings],
            "does": self.does,
            "files": [file.to_json() for file in self.files],
            "given": dict(self.given),
            "publishes": [said.to_json() for said in self.says],
        }


def described(plan: Plan) -> str:
    """The plan for eyes: "this will happen"."""
    lines = ["This will happen:"]
    if plan.brings:
        lines.append(f"  - {len(plan.brings)} statements of the agency's own are recorded")
    lines += [f"  - {sentence(said)}" for said in plan.says] or ["  - nothing has to be published"]
    lines += [f"  - the key file {file.final} is made" for file in plan.files]
    if plan.affects:
        lines += ["Who notices:", *(f"  - {one}" for one in plan.affects)]
    if plan.after:
        lines += ["Then:", *(f"  - {one}" for one in plan.after)]
    return "\n".join(lines)


def sentence(said: Said) -> str:
    """One statement in a line: its operation and every field."""
    body = said.body if isinstance(said.body, dict) else {}
    return f"{said.op}: {_fields(body)}"


def _fields(body: dict[str, Json]) -> str:
    return ", ".join(
        f"{MOMENTS[name]} {moment(value)}" if name in MOMENTS else f"{name} {_short(value)}"
        for name, value in sorted(body.items(), key=lambda field: MOMENTS.get(field[0], field[0]))
        if value is not None
    )


def _short(value: Json) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_short, value))}]"
    if isinstance(value, dict):
        return "{" + _fields(value) + "}"
    text = str(value)
    return text if len(text) <= HIDDEN * 2 else f"{text[:HIDDEN]}…"


def add_key(use: str, alg: str, pub: str, nbf: int, exp: int, person: str | None = None) -> Said:
    """A new key for one use (PROTOCOL.md K12)."""
    body = {"alg": alg, "exp": exp, "nbf": nbf, "person": person, "pub": pub, "use": str(use)}
    return Said("add-key", body)


def revoke(kid: str, reason: str, since: int) -> Said:
    """The end of a key (PROTOCOL.md K13)."""
    return Said("revoke", {"kid": kid, "reason": reason, "since": since})


def standing(agency: Agency, use: str, at: int) -> list[str]:
    """The ids of an agency's keys of a use that stand at a time and whose end nobody has said yet, oldest first."""
    keys = [key for key in agency.keys.values() if key.use == use and key.stands(at) and key.revoked is None]
    return [key.kid for key in sorted(keys, key=lambda key: (key.nbf, key.kid))]
