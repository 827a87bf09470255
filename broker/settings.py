"""The relay's settings: one TOML file, a few overrides from the environment, and nothing unknown."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from schemas.errors import Refusal
from schemas.founding import Founding
from schemas.keyfile import unlock
from schemas.keyring import RelayKeys
from schemas.partnership import Partnership

PATHS = ("partnership", "key_file", "passphrase_file", "founding", "database", "anchor")
OVERRIDES = ("database", "listen", "admin_listen", "log_level")
"""What FENPOST_DATABASE, FENPOST_LISTEN and so on may replace. Never a secret: other processes can see them."""
CREDENTIAL = "credential:"
CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""Where systemd puts what a unit's LoadCredential= and LoadCredentialEncrypted= name: the variable holds a folder."""
SECRET_LIMIT = 1024 * 1024


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
    handed: bool = False
    """Whether the passphrase is a credential that the service manager hands over."""
    listen: str = "127.0.0.1:8440"
    admin_listen: str = "127.0.0.1:8441"
    log_level: str = "info"
    header_seconds: float = 20.0
    body_seconds: float = 20.0
    body_rate: int = 1024
    agency_rate: float = 1000.0
    agency_burst: float = 4000.0
    public_rate: float = 200.0
    statement_rate: float = 0.003
    """Directory statements a second that one key may have recorded, some 260 a day: everybody replays them for ever.
    An agency of many officers who all come on one day stays within the burst."""
    statement_burst: float = 1000.0
    queue_items: int = 2000
    queue_bytes: int = 128 * 1024 * 1024
    connections: int = 1000
    sweep_seconds: float = 1.0
    head_seconds: float = 30.0
    drain_seconds: float = 10.0

    def read_keys(self) -> RelayKeys:
        """Raises Refusal KEYFILE, SETTINGS."""
        passphrase = read_secret(self.passphrase_file, handed=self.handed).rstrip(b"\r\n")
        return RelayKeys.from_json(unlock(read_secret(self.key_file), RelayKeys.HOLDS, passphrase))

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
    named = table.get("passphrase_file")
    handed = isinstance(named, str) and named.startswith(CREDENTIAL)
    if handed:
        table["passphrase_file"] = str(credential(str(named).removeprefix(CREDENTIAL), environment))
    return replace(_checked(table, path.resolve().parent), handed=handed)


def address(listen: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:8440" or "[::1]:8440". Raises Refusal SETTINGS."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise _fault("listen")
    return host.strip("[]"), int(port)


def credential(name: str, environment: Mapping[str, str]) -> Path:
    """The file of a systemd credential. Raises Refusal SETTINGS where there is none of this name."""
    folder = environment.get(CREDENTIALS, "")
    if not folder or not name or "/" in name or not (Path(folder) / name).is_file():
        raise Refusal(
            "SETTINGS",
            "The service manager hands over no credential of that name. Check LoadCredential= in the unit.",
        )
    return Path(folder) / name


def read_secret(path: Path, *, handed: bool = False) -> bytes:
    """A key or passphrase file that no stranger may read.

    Args:
        handed: the service manager made it, as a credential.

    Raises:
        Refusal: FILE when others may read it or it is another user's, SETTINGS when it is not there.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            data = file.read(SECRET_LIMIT + 1)
    except OSError as error:
        raise Refusal("SETTINGS", f"This file cannot be read: {path.name}.") from error
    # What systemd hands to another user than root shows that user's ACL as the group's bits.
    others = stat.S_IRWXO if handed else stat.S_IRWXG | stat.S_IRWXO
    if not stat.S_ISREG(found.st_mode) or found.st_mode & others or len(data) > SECRET_LIMIT:
        raise Refusal(
            "FILE",
            f"Others on this machine may read {path.name}, or it is no file of this kind. Set it to mode 0600.",
        )
    if found.st_uid not in (os.geteuid(), 0):
        raise Refusal("FILE", f"{path.name} belongs to somebody else. Make the relay's user its owner.")
    return data


def _checked(table: Mapping[str, object], folder: Path) -> Settings:
    kinds = {field.name: field.type for field in fields(Settings) if field.name not in ("folder", "handed")}
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
