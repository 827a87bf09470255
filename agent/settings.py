"""agent.toml: where an agent's things are. Unknown keys refuse the start; secrets are never in it.

`FENPOST_LISTEN=127.0.0.1:8450` and the like override an entry of the same name; keys and passphrases have no such door.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import Refusal

OVERRIDES = ("listen", "folders", "settle", "wait", "log_level")
TEMPLATE = """# What fenpost-agent runs with. Paths are relative to this file's folder.
[agent]
key_file = "agent.fpk"
partnership = "partnership.json"
{passphrase}store = "agent.db"
token = "api.token"
# Loopback only. Port 0 takes a free port and writes it to agent.port.
listen = "127.0.0.1:0"
# Drop folders OUT, SENT, FAILED and IN beside this file.
folders = true
"""


class Settings(BaseModel):
    """The settings of one agent; times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path
    key_file: Path = Path("agent.fpk")
    partnership: Path = Path("partnership.json")
    passphrase_file: Path | None = None
    store: Path = Path("agent.db")
    token: Path = Path("api.token")
    listen: Annotated[str, Field(pattern=r"^[0-9a-z.:\[\]]+:[0-9]{1,5}$")] = "127.0.0.1:0"
    folders: bool = True
    settle: Annotated[float, Field(ge=0, le=60)] = 1.0
    wait: Annotated[int, Field(ge=0, le=30)] = 25
    directory_every: Annotated[float, Field(ge=0.1, le=43_200)] = 600.0
    witness_every: Annotated[float, Field(ge=0.1, le=3600)] = 60.0
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"

    @model_validator(mode="after")
    def _loopback_only(self) -> Self:
        if not ipaddress.ip_address(self.host).is_loopback or self.port > 65_535:
            raise ValueError("listen on the loopback")
        return self

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    def at(self, path: Path) -> Path:
        """A path of these settings, from the folder that they stand in."""
        return self.home / path


def read_settings(home: Path, environment: Mapping[str, str]) -> Settings:
    """The settings in `home`/agent.toml, with overrides.

    Raises:
        Refusal: SETTINGS, naming the entries at fault.
    """
    try:
        text = (home / "agent.toml").read_text(encoding="utf-8")
        given = tomllib.loads(text)
    except FileNotFoundError as error:
        raise Refusal("SETTINGS", "There is no agent.toml in this folder. Run: fenpost-agent init") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refusal("SETTINGS", "agent.toml is not readable TOML.") from error
    values = given.pop("agent", {})
    if given or not isinstance(values, dict) or "home" in values:
        raise Refusal("SETTINGS", "agent.toml has one section, [agent].", detail=tuple(sorted(given))[:8])
    for name in OVERRIDES:
        if (value := environment.get(f"FENPOST_{name.upper()}")) is not None:
            values[name] = value
    try:
        return Settings(home=home, **values)
    except (ValidationError, ValueError) as error:
        rows = error.errors(include_input=False) if isinstance(error, ValidationError) else []
        fields = tuple(str(row["loc"][0]) if row["loc"] else "listen" for row in rows)[:8]
        say = f"Correct in agent.toml: {', '.join(fields)}." if fields else None
        raise Refusal("SETTINGS", say, detail=fields) from None
