"""One finding of a command that looks whether everything fits."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.canonical import Json


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `ok` is no when somebody must see to it."""

    name: str
    ok: bool
    say: str

    def to_json(self) -> dict[str, Json]:
        return {"name": self.name, "ok": self.ok, "say": self.say}
