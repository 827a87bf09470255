"""What each key file holds (PROTOCOL.md K18): an agency's running keys, its admin's, an officer's, the relay's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from schemas.canonical import Json, b64, unb64
from schemas.errors import Refusal
from schemas.keys import OpeningKey, Signer, SigningKey
from schemas.mldsa import MldsaKey
from schemas.token_place import Sign, held, signer_of, tokenless

PREKEY_KEPT = 30 * 24 * 3600
"""A prekey's secret is erased this long after its first day."""


@dataclass(frozen=True, slots=True)
class Prekey:
    """A receiving key and the first second of its life."""

    key: OpeningKey
    nbf: int


@dataclass(frozen=True, slots=True)
class AgentKeys:
    """The keys of a running agent ("agent" key file). `store` encrypts its store; `subject` keys case references."""

    agency: str
    msg: SigningKey
    auth: SigningKey
    consent: SigningKey
    witness: SigningKey
    renew: SigningKey
    prekeys: tuple[Prekey, ...]
    store: bytes = field(repr=False)
    subject: bytes = field(repr=False)

    HOLDS: ClassVar[str] = "agent"

    def without_prekeys(self) -> AgentKeys:
        """The same for a key file, once the agent's store holds the receiving keys: there they can be erased."""
        return replace(self, prekeys=())

    def to_json(self) -> Json:
        return {
            "agency": self.agency,
            "auth": b64(self.auth.seed()),
            "consent": b64(self.consent.seed()),
            "msg": b64(self.msg.seed()),
            "prekeys": [{"nbf": p.nbf, "seed": b64(p.key.seed())} for p in self.prekeys],
            "renew": b64(self.renew.seed()),
            "store": b64(self.store),
            "subject": b64(self.subject),
            "witness": b64(self.witness.seed()),
        }

    @classmethod
    def from_json(cls, value: Json) -> AgentKeys:
        """Raises Refusal KEYFILE."""
        try:
            return cls(
                _text(value["agency"]),
                SigningKey(unb64(value["msg"], 32)),
                SigningKey(unb64(value["auth"], 32)),
                SigningKey(unb64(value["consent"], 32)),
                SigningKey(unb64(value["witness"], 32)),
                SigningKey(unb64(value["renew"], 32)),
                tuple(Prekey(OpeningKey(unb64(p["seed"], 32)), _whole(p["nbf"])) for p in value["prekeys"]),
                unb64(value["store"], 32),
                unb64(value["subject"], 32),
            )
        except (KeyError, TypeError, Refusal) as error:
            raise Refusal("KEYFILE") from error


@dataclass(frozen=True, slots=True)
class AdminKeys:
    """An administrator's keys ("admin" key file): the operational key and where its chain stands."""

    agency: str
    op: Signer
    seq: int
    head: str

    HOLDS: ClassVar[str] = "admin"

    def to_json(self) -> Json:
        return {"agency": self.agency, "head": self.head, "op": held(self.op), "seq": self.seq}

    @classmethod
    def from_json(cls, value: Json, sign: Sign = tokenless) -> AdminKeys:
        """Raises Refusal KEYFILE."""
        try:
            return cls(
                _text(value["agency"]),
                signer_of(value["op"], sign),
                _whole(value["seq"]),
                _text(value["head"]),
            )
        except (KeyError, TypeError, Refusal) as error:
            raise Refusal("KEYFILE") from error


@dataclass(frozen=True, slots=True)
class OfficerKeys:
    """An IG officer's keys ("officer" key file): one opens audit records, one signs her requests."""

    ig: OpeningKey
    auth: Signer

    HOLDS: ClassVar[str] = "officer"

    def to_json(self) -> Json:
        return {"auth": held(self.auth), "ig": b64(self.ig.seed())}

    @classmethod
    def from_json(cls, value: Json, sign: Sign = tokenless) -> OfficerKeys:
        """Raises Refusal KEYFILE."""
        try:
            return cls(OpeningKey(unb64(value["ig"], 32)), signer_of(value["auth"], sign))
        except (KeyError, TypeError, Refusal) as error:
            raise Refusal("KEYFILE") from error


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """The key of one person who signs policies ("policy" key file), and the tag that she is known by."""

    key: Signer
    person: str

    HOLDS: ClassVar[str] = "policy"

    def to_json(self) -> Json:
        return {"key": held(self.key), "person": self.person}

    @classmethod
    def from_json(cls, value: Json, sign: Sign = tokenless) -> PolicyKey:
        """Raises Refusal KEYFILE."""
        try:
            return cls(signer_of(value["key"], sign), _text(value["person"]))
        except (KeyError, TypeError, Refusal) as error:
            raise Refusal("KEYFILE") from error


@dataclass(frozen=True, slots=True)
class PersonKeys:
    """One person's own key for one role ("person" key file)."""

    agency: str
    tag: str
    key: Signer

    HOLDS: ClassVar[str] = "person"

    def to_json(self) -> Json:
        return {"agency": self.agency, "key": held(self.key), "tag": self.tag}

    @classmethod
    def from_json(cls, value: Json, sign: Sign = tokenless) -> PersonKeys:
        """Raises Refusal KEYFILE."""
        try:
            return cls(_text(value["agency"]), _text(value["tag"]), signer_of(value["key"], sign))
        except (KeyError, TypeError, Refusal) as error:
            raise Refusal("KEYFILE") from error


@dataclass(frozen=True, slots=True)
class RelayKeys:
    """The relay's keys ("relay" key file): two sign the audit log's heads, one the directory log's."""

    log: SigningKey
    log_mldsa: MldsaKey
    keys_log: SigningKey

    HOLDS: ClassVar[str] = "relay"

    def to_json(self) -> Json:
        return {
            "keys_log": b64(self.keys_log.seed()),
            "log": b64(self.log.seed()),
            "log_mldsa": b64(self.log_mldsa.seed()),
        }

    @classmethod
    def from_json(cls, value: Json) -> RelayKeys:
        """Raises Refusal KEYFILE."""
        try:
            return cls(
                SigningKey(unb64(value["log"], 32)),
                MldsaKey(unb64(value["log_mldsa"], 32)),
                SigningKey(unb64(value["keys_log"], 32)),
            )
        except (KeyError, TypeError, Refusal) as error:
            raise Refusal("KEYFILE") from error


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise Refusal("KEYFILE")
    return value


def _whole(value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refusal("KEYFILE")
    return value
