"""Asking the agency's own running agent about the keys that it rotates by itself: its loopback face, with its token."""

from __future__ import annotations

import http.client
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keys_tooling.keyfiles import check_private
from keys_tooling.signed_here import add_lines, record
from schemas.canonical import unb64
from schemas.directory_statement import AddKey, parse_statement, statement_hash
from schemas.errors import Refusal
from schemas.keys import kid_of
from schemas.kinds import KINDS
from schemas.signing import Signed

PATIENCE = 60.0
ANSWER_LIMIT = 4 * 1024 * 1024
TOKEN_LIMIT = 256
ROTATION = "/v1/keys/rotation"
STATUS = "/v1/status"
MADE = "made.txt"
KEPT = 1000
"""Hashes of statements, and ids of keys, that are kept: 43 letters each."""


@dataclass(frozen=True, slots=True)
class OwnAgent:
    """The agent of one folder. Every method raises Refusal AGENT_AWAY, FILE, and whatever the agent refuses."""

    folder: Path

    def keys(self) -> list[dict[str, Any]]:
        """Its running keys: use, kid, nbf, exp, whether it holds the secret, and when the next is due."""
        found: list[dict[str, Any]] = self._ask("GET", ROTATION)["keys"]
        return found

    def rotate(self, uses: tuple[str, ...], *, dry: bool) -> dict[str, Any]:
        """Rotate these uses: what is published and revoked, and which agencies it touches."""
        found: dict[str, Any] = self._ask("POST", ROTATION, {"uses": list(uses), "dry_run": dry})
        return found

    def status(self) -> dict[str, Any]:
        """What waits at the agent, in numbers."""
        found: dict[str, Any] = self._ask("GET", STATUS)
        return found

    def _ask(self, method: str, path: str, value: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"}
        body = None if value is None else json.dumps(value).encode()
        connection = http.client.HTTPConnection(*self._address(), timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            data = json.loads(response.read(ANSWER_LIMIT))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Refusal("AGENT_AWAY") from error
        finally:
            connection.close()
        if response.status >= 400:
            code = data.get("code", "")
            raise Refusal(code if code in KINDS else "FORM", data.get("say"), retry=data.get("retry"))
        return data

    def _token(self) -> str:
        try:
            with os.fdopen(os.open(self.folder / "api.token", os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
                check_private(os.fstat(file.fileno()), "api.token")
                return file.read(TOKEN_LIMIT).decode("ascii", "replace").strip()
        except OSError as error:
            raise Refusal(
                "AGENT_AWAY", "No agent runs from this folder. Start it: fenpost-agent run --dir"
            ) from error

    def _address(self) -> tuple[str, int]:
        try:
            host, port = (self.folder / "agent.port").read_text(encoding="ascii").split()
            return host, int(port)
        except (OSError, ValueError) as error:
            raise Refusal("AGENT_AWAY") from error


def status_of(folder: Path) -> dict[str, Any]:
    """The status of the folder's agent, or nothing when none runs here: then nobody is told what is open."""
    try:
        return OwnAgent(folder).status()
    except Refusal:
        return {}


def announce(folder: Path, statements: tuple[Signed, ...]) -> None:
    """Write down, before it is published, what this command says in its agency's name, and tell the folder's agent.

    It need not run: it reads the file when it meets the statements. Elsewhere a person confirms them (PROTOCOL.md G15).

    Raises:
        Refusal: FILE, DISK_FULL.
    """
    record(folder, statements)
    if not (folder / "agent.toml").exists():
        return
    add_lines(folder, MADE, (*map(statement_hash, statements), *_published(statements)), KEPT)


def _published(statements: tuple[Signed, ...]) -> list[str]:
    """Ids of the keys that these publish: the agent may hold them only when it starts anew."""
    bodies = (parse_statement(signed)[1] for signed in statements)
    return [kid_of(body.alg, unb64(body.pub)) for body in bodies if isinstance(body, AddKey)]
