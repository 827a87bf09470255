"""The partnership file: what an agent must be given by hand before it can believe anything (PROTOCOL.md K16).

It names the relay, the log's verifier key and oversight's id, signed by oversight; it carries oversight's inception,
so the signature can be checked against the id that is read aloud.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, ValidationError

from schemas.canonical import decode, strict_json
from schemas.checkpoint import LogKey
from schemas.directory import Directory
from schemas.directory_statement import Text
from schemas.envelope import AgencyId, Frozen
from schemas.errors import Refusal
from schemas.keys import Signer
from schemas.outside import MOST, Outside, OutsideWitness
from schemas.signing import STATEMENT_LIMIT, Purpose, Signed
from schemas.witness import MldsaLogKey

FILE_LIMIT = 64 * 1024


class Charter(Frozen):
    """What oversight signs. `authority` is the relay's host and port as requests sign it; `origin` names its log.

    `witnesses` is the least number of members that must cosign a head; `outside` names witnesses outside the
    partnership, of which `outside_needed` must. A charter without any leaves both out.
    """

    v: Annotated[int, Field(ge=1, le=1)]
    name: Text
    relay: Annotated[str, Field(pattern=r"^https?://[a-z0-9.:\[\]-]+$", max_length=200)]
    authority: Annotated[str, Field(pattern=r"^[a-z0-9.:\[\]-]+$", max_length=200)]
    origin: Annotated[str, Field(pattern=r"^[a-z0-9./-]+$", max_length=200)]
    log: Annotated[str, Field(max_length=400)]
    log_mldsa: Annotated[str, Field(max_length=2400)]
    keys_log: Annotated[str, Field(max_length=400)]
    oversight: AgencyId
    witnesses: Annotated[int, Field(ge=1, le=64)]
    outside: tuple[OutsideWitness, ...] = Field(default=(), max_length=MOST)
    outside_needed: Annotated[int, Field(ge=0, le=MOST)] = 0


@dataclass(frozen=True, slots=True)
class Partnership:
    """A verified partnership file."""

    charter: Charter
    signed: Signed
    inception: Signed

    @property
    def log_key(self) -> LogKey:
        return LogKey.parse(self.charter.log)

    @property
    def log_mldsa_key(self) -> MldsaLogKey:
        return MldsaLogKey.parse(self.charter.log_mldsa)

    @property
    def keys_log_key(self) -> LogKey:
        return LogKey.parse(self.charter.keys_log)

    @property
    def keys_log_mldsa_key(self) -> MldsaLogKey:
        """The directory log's second key: the audit log's own, under the directory log's name (L28)."""
        return MldsaLogKey(self.keys_log_key.name, self.log_mldsa_key.public)

    @property
    def outside(self) -> Outside:
        return Outside.of(self.charter.outside, self.charter.outside_needed, self.charter.origin)

    def to_bytes(self) -> bytes:
        value = {"charter": self.signed.to_json(), "inception": self.inception.to_json()}
        return json.dumps(value, indent=1, sort_keys=True).encode("ascii") + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Partnership:
        """Read and verify a partnership file.

        Raises:
            Refusal: TOO_BIG, SETTINGS, FORM, NOT_CANONICAL, KEY, SIGNATURE, DIRECTORY, UNKNOWN_AGENCY,
                CHECKPOINT (a log key is malformed).
        """
        value = strict_json(data, FILE_LIMIT)
        if not isinstance(value, dict) or set(value) != {"charter", "inception"}:
            raise Refusal(
                "SETTINGS", "This is not a partnership file. Ask your partnership for partnership.json."
            )
        signed, inception = Signed.from_json(value["charter"]), Signed.from_json(value["inception"])
        decode(signed.text, STATEMENT_LIMIT)
        try:
            charter = Charter.model_validate_json(signed.text)
        except ValidationError:
            raise Refusal("FORM") from None
        view = Directory(charter.oversight)
        view.apply(inception)
        if charter.oversight not in view.agencies:
            raise Refusal(
                "DIRECTORY", "The partnership file names one oversight and carries another's inception."
            )
        signed.verified(view.agencies[charter.oversight].op, Purpose.PARTNERSHIP)
        found = cls(charter, signed, inception)
        _check_logs(found)
        return found

    @classmethod
    def make(cls, charter: Charter, inception: Signed, op: Signer) -> Partnership:
        signed = Signed.make(
            op, Purpose.PARTNERSHIP, json.loads(charter.model_dump_json(exclude_defaults=True))
        )
        return cls.parse(cls(charter, signed, inception).to_bytes())


def _check_logs(found: Partnership) -> None:
    _ = found.outside
    log, keys_log, origin = found.log_key, found.keys_log_key, found.charter.origin
    names = (log.name, found.log_mldsa_key.name, keys_log.name)
    if names != (origin, origin, f"{origin}/keys") or log.public == keys_log.public:
        raise Refusal(
            "SETTINGS", "The partnership file's log keys do not belong to its origin. Make it again."
        )
