"""The world of the published vectors: a small partnership with keys that everybody knows.

Every seed is SHA-256 of a text, so that another implementation can make the same keys. Nothing here is secret, and
no key of it may ever be used.
"""

import hashlib
from dataclasses import dataclass, field

from schemas.canonical import b64
from schemas.chain import Chain
from schemas.checkpoint import Checkpoint, LogKey, LogProof, sign_checkpoint
from schemas.directory import Directory
from schemas.keys import OpeningKey, SigningKey, Use
from schemas.mldsa import MldsaKey
from schemas.partnership import Charter, Partnership
from schemas.signing import Purpose, Signed
from schemas.witness import MldsaLogKey
from tests.tools import naive_merkle

T0 = 1_800_000_000
DAY = 86_400
ORIGIN = "relay.example/log"
FLAGS = {"public_authority": False, "s16la_member": False, "cda_relevant": False}
PUBLIC = {"public_authority": True, "s16la_member": True, "cda_relevant": True}


def seed(name: str) -> bytes:
    """The 32 bytes that stand for randomness called `name`."""
    return hashlib.sha256(f"fenpost test vector: {name}".encode()).digest()


@dataclass(eq=False)
class Keys:
    """One agency of the vectors: its keys, and the statements that publish them."""

    name: str
    op: SigningKey = field(init=False)
    msg: SigningKey = field(init=False)
    auth: SigningKey = field(init=False)
    consent: SigningKey = field(init=False)
    ig_auth: SigningKey = field(init=False)
    prekey: OpeningKey = field(init=False)
    ig: OpeningKey = field(init=False)
    chain: Chain = field(init=False)
    statements: list[Signed] = field(init=False)

    def __post_init__(self) -> None:
        for use in ("op", "msg", "auth", "consent", "ig_auth"):
            setattr(self, use, SigningKey(seed(f"{self.name} {use}")))
        self.prekey, self.ig = (OpeningKey(seed(f"{self.name} {use}")) for use in ("prekey", "ig"))
        roots = tuple(SigningKey(seed(f"{self.name} root {n}")) for n in range(3))
        after = tuple(SigningKey(seed(f"{self.name} next root {n}")).kid for n in range(3))
        self.chain, inception = Chain.begin(self.op, roots, 2, T0, after)
        dated = [
            (Use.MSG, self.msg.public, 90, None),
            (Use.AUTH, self.auth.public, 30, None),
            (Use.CONSENT, self.consent.public, 90, None),
            (Use.PREKEY, self.prekey.public, 14, None),
            (Use.IG, self.ig.public, 365, "ig"),
            (Use.IG_AUTH, self.ig_auth.public, 365, "ig"),
        ]
        self.statements = [inception]
        self.statements += [
            self.chain.add_key(use, public, T0, T0 + days * DAY, T0, person)
            for use, public, days, person in dated
        ]

    @property
    def id(self) -> str:
        return self.chain.agency


OVERSIGHT, ALDER, BIRCH, CEDAR = (Keys(name) for name in ("oversight", "alder", "birch", "cedar"))
STATEMENTS: tuple[Signed, ...] = (
    *OVERSIGHT.statements,
    *ALDER.statements,
    *BIRCH.statements,
    *CEDAR.statements,
    OVERSIGHT.chain.admit(ALDER.id, "Alder Support", ("duty",), FLAGS, T0, "da_support"),
    OVERSIGHT.chain.admit(BIRCH.id, "Birch Advisers", ("idva", "duty"), FLAGS, T0, "idva"),
    OVERSIGHT.chain.admit(CEDAR.id, "Cedar Council", ("housing",), PUBLIC, T0, "housing"),
)
EVERYBODY = (ALDER.id, BIRCH.id, CEDAR.id)
GID = b64(seed("gid")[:16])
GRANT = Signed.make(
    ALDER.consent,
    Purpose.GRANT,
    {
        "v": 1, "gid": GID, "iss": ALDER.id, "signer": ALDER.consent.kid, "ver": 1, "limited": False, "from": list(EVERYBODY),
        "to": list(EVERYBODY), "pur": ["SUPPORT"], "cat": ["ask", "contact", "person", "wishes"], "nbf": T0, "exp": T0 + 90 * DAY,
        "ev": b64(seed("a salted hash of evidence")),
    },
)  # fmt: skip
STAPLE = Signed.make(
    ALDER.consent,
    Purpose.STATUS,
    {"v": 1, "gid": GID, "state": "active", "signer": ALDER.consent.kid, "ts": T0, "exp": T0 + DAY},
)
LOG = SigningKey(seed("log"))
KEYS_LOG = SigningKey(seed("keys log"))
LOG_KEY = LogKey(ORIGIN, LOG.public)
LOG_MLDSA = MldsaKey(seed("log mldsa"))
MLDSA_LOG_KEY = MldsaLogKey(ORIGIN, LOG_MLDSA.public)


def directory() -> Directory:
    """The view after all statements."""
    view = Directory(OVERSIGHT.id)
    for statement in STATEMENTS:
        view.apply(statement)
    return view


def partnership() -> Partnership:
    charter = Charter(
        v=1,
        name="Example partnership",
        relay="https://relay.example",
        authority="relay.example",
        origin=ORIGIN,
        log=LOG_KEY.text(),
        log_mldsa=MLDSA_LOG_KEY.text(),
        keys_log=LogKey(f"{ORIGIN}/keys", KEYS_LOG.public).text(),
        oversight=OVERSIGHT.id,
        witnesses=1,
    )
    return Partnership.make(charter, OVERSIGHT.statements[0], OVERSIGHT.op)


def other_leaves(count: int) -> list[bytes]:
    """Leaves that stand for other events of the same log."""
    return [b"\x01" + seed(f"tag {n}") + seed(f"relay {n}") + seed(f"sender {n}") for n in range(count)]


def proven(leaf: bytes, *, before: int = 4, after: int = 2, key: SigningKey = LOG) -> LogProof:
    """A proof that `leaf` stands in a log between other leaves."""
    others = other_leaves(before + after)
    leaves = [*others[:before], leaf, *others[before:]]
    note = sign_checkpoint(Checkpoint(ORIGIN, len(leaves), naive_merkle.root(leaves)), key)
    return LogProof(leaf, before, tuple(naive_merkle.path(before, leaves)), note)
