"""How the commands ask their running agent: its own loopback face, with the token (one way to do a thing)."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.explained import Explained
from agent.limits import TOKEN_LIMIT
from agent.secretfile import read_secret
from schemas.errors import Refusal
from schemas.kinds import KINDS

PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line to the agent of one folder."""

    home: Path

    def ask(self, method: str, path: str, value: Any = None, key: str | None = None) -> Any:
        """The agent's answer. Raises Refusal AGENT_AWAY, and whatever the agent refuses."""
        headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        body = None if value is None else json.dumps(value).encode()
        connection = http.client.HTTPConnection(*self._address(), timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            data = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Refusal("AGENT_AWAY") from error
        finally:
            connection.close()
        if response.status >= 400:
            code = data.get("code", "")
            if code in KINDS and data.get("steps"):
                raise Explained(code, data["say"], data["steps"])
            raise Refusal(
                code if code in KINDS else "FORM",
                data.get("say"),
                party=data.get("party"),
                retry=data.get("retry"),
                detail=tuple(data.get("detail", ())),
            )
        return data

    def _token(self) -> str:
        return read_secret(self.home / "api.token", TOKEN_LIMIT).decode("ascii", "replace").strip()

    def _address(self) -> tuple[str, int]:
        try:
            host, port = (self.home / "agent.port").read_text(encoding="ascii").split()
            return host, int(port)
        except (OSError, ValueError) as error:
            raise Refusal("AGENT_AWAY") from error
