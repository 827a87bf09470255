"""The founding file: what an empty relay begins with (PROTOCOL.md Q7, K15).

A JSON list of directory statements {"s", "t"} in order, and of {"policy": text} for each policy that they put in force.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from schemas.canonical import strict_json
from schemas.errors import Refusal
from schemas.policing import POLICY_LIMIT, policy_digest
from schemas.signing import Signed

LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Founding:
    """The first statements, and the texts of policies by digest."""

    statements: tuple[Signed, ...]
    policies: dict[str, bytes]

    def to_bytes(self) -> bytes:
        items: list[dict[str, str]] = [signed.to_json() for signed in self.statements]
        items += [{"policy": text.decode("ascii")} for text in self.policies.values()]
        return json.dumps(items, indent=1).encode("ascii") + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Founding:
        """Nothing of it is verified: replaying the statements does that.

        Raises:
            Refusal: TOO_BIG, FORM, SETTINGS when it is not such a list.
        """
        value = strict_json(data, LIMIT)
        if not isinstance(value, list):
            raise Refusal("SETTINGS", "The founding file is not a list of statements.")
        texts = [item["policy"] for item in value if isinstance(item, dict) and set(item) == {"policy"}]
        if any(not isinstance(text, str) or not text.isascii() for text in texts):
            raise Refusal("FORM")
        policies = [text.encode("ascii") for text in texts]
        if any(len(text) > POLICY_LIMIT for text in policies):
            raise Refusal("TOO_BIG")
        statements = [item for item in value if not (isinstance(item, dict) and set(item) == {"policy"})]
        return cls(
            tuple(Signed.from_json(item) for item in statements),
            {policy_digest(text): text for text in policies},
        )
