"""The relay's settings: one TOML file, a few overrides from the environment, and nothing unknown."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from schemas.errors import Refusal
from schemas.founding import Founding
from schemas.keyfile import unlock
from schemas.keyring import RelayKeys
from schemas.partnership import Partnership

PATHS = ("partnership", "key_file", "passphrase_file", "founding", "database", "anchor")
OVERRIDES = ("database", "listen", "admin_listen", "log_level")
"""What FENPOST_DATABASE, FENPOST_LISTEN and so on may replace. Never a secret: other processes can see them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that can be set. Paths are absolute; times are seconds, sizes bytes, rates per second."""

    partnership: Path
    key_file: Path
    passphrase_file: Path
    founding: Path
    database: Path
    anchor: Path
    folder: Path
    listen: str = "127.0.0.1:8440"
    admin_listen: str = "127.0.0.1:8441"
    log_level: str = "info"
    header_seconds: float = 20.0
    body_seconds: float = 20.0
    body_rate: int = 1024
    agency_rate: float = 1000.0
    agency_burst: float = 4000.0
    public_rate: float = 200.0
    queue_items: int = 2000
    queue_bytes: int = 128 * 1024 * 1024
    connections: int = 1000
    sweep_seconds: float = 1.0
    head_seconds: float = 30.0
    drain_seconds: float = 10.0

    def read_keys(self) -> RelayKeys:
        """Raises Refusal KEYFILE, SETTINGS."""
        passphrase = _read(self.passphrase_file).rstrip(b"\r\n")
        return RelayKeys.from_json(unlock(_read(self.key_file), RelayKeys.HOLDS, passphrase))

    def read_partnership(self) -> Partnership:
        return Partnership.parse(_read(self.partnership))

    def read_founding(self) -> Founding:
        """What an empty store begins with."""
        return Founding.parse(_read(self.founding))


def load(path: Path, environment: Mapping[str, str]) -> Settings:
    """Read a settings file; relative paths in it start at its own folder.

    Raises:
        Refusal: SETTINGS, with the entry's name.
    """
    try:
        value = tomllib.loads(_read(path).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refusal("SETTINGS", "The settings file is not TOML.") from error
    table = value.get("relay")
    if set(value) != {"relay"} or not isinstance(table, dict):
        raise _fault("relay")
    for name in OVERRIDES:
        if (given := environment.get(f"FENPOST_{name.upper()}")) is not None:
            table[name] = given
    return _checked(table, path.resolve().parent)


def address(listen: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:8440" or "[::1]:8440". Raises Refusal SETTINGS."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise _fault("listen")
    return host.strip("[]"), int(port)


def _checked(table: Mapping[str, object], folder: Path) -> Settings:
    kinds = {field.name: field.type for field in fields(Settings) if field.name != "folder"}
    unknown = sorted(set(table) - set(kinds))
    if unknown:
        raise _fault(*unknown)
    given: dict[str, object] = {"folder": folder}
    for name, entry in table.items():
        given[name] = _entry(name, str(kinds[name]), entry, folder)
    missing = sorted(name for name in PATHS if name not in given)
    if missing:
        raise _fault(*missing)
    settings = Settings(**given)  # type: ignore[arg-type]  # each entry was checked against its field
    address(settings.listen)
    address(settings.admin_listen)
    if settings.log_level not in ("debug", "info", "warning", "error"):
        raise _fault("log_level")
    return settings


def _entry(name: str, kind: str, entry: object, folder: Path) -> object:
    if kind == "Path" and isinstance(entry, str) and entry:
        return folder / entry
    if kind == "str" and isinstance(entry, str):
        return entry
    positive = isinstance(entry, int | float) and not isinstance(entry, bool) and entry > 0
    if kind == "int" and positive and isinstance(entry, int):
        return entry
    if kind == "float" and positive and isinstance(entry, int | float):
        return float(entry)
    raise _fault(name)


def _fault(*names: str) -> Refusal:
    return Refusal(
        "SETTINGS", f"The settings have a fault at: {', '.join(map(json.dumps, names))}.", detail=names
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refusal("SETTINGS", f"This file cannot be read: {path.name}.") from error
