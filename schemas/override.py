"""Overrides: two people of one agency answer for a message that the person did not agree to (PROTOCOL.md O4-O9).

Rules of this house:
- the author signs what is asked (the core), and the safeguarding lead signs the author's signed request: two people,
  two keys, two purposes, one agency;
- an override is for one message, or for named desks in one thread of risk; it never widens what it was given for;
- relay, recipient and auditor weigh one alike (schemas.covering), each with its own directory; nobody's word counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.canonical import Json, b64
from schemas.directory import Directory, Key
from schemas.envelope import Address, AgencyId, Frozen, Hash32, Id16, Seconds, read_canonical
from schemas.errors import Refusal
from schemas.grants import Category
from schemas.hashing import labelled
from schemas.keys import Signer, Use
from schemas.lawful import Basis, WhyNo
from schemas.lawful import Purpose as LawfulPurpose
from schemas.policy import Policy
from schemas.roles import Role, read_tag
from schemas.signed_text import SignedText
from schemas.signing import STATEMENT_LIMIT, Purpose, Signed

MID_KEPT = 12 * 24 * 3600
"""Seconds past a message's time for which its id is remembered at least: a lead may sign for it seven days late, and
what she signs lives three days more; until then the same id must not go a second time."""

AHEAD = 300
THREAD_PURPOSES: frozenset[LawfulPurpose] = frozenset({"RISK_MGMT", "CHILD_PROT", "ADULT_PROT"})
"""What an override may cover a whole thread for."""


class Core(Frozen):
    """What is asked (O4). Fields stand in canonical order.

    `mid` names the one message, `thr` the one thread: exactly one of them, as `scope` says. `rec` is the hash of the
    reason, sealed to officers; the words themselves are nowhere else.
    """

    author: Hash32
    basis: Basis
    cat: tuple[Category, ...] = Field(max_length=64)
    exp: Seconds
    sender: Address = Field(alias="from")
    mid: Id16 | None
    oid: Id16
    pur: LawfulPurpose
    reason: WhyNo
    rec: Hash32
    scope: Literal["msg", "thread"]
    thr: Id16 | None
    to: tuple[Address, ...] = Field(min_length=1, max_length=64)
    ts: Seconds
    v: Annotated[int, Field(ge=1, le=1)]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if (self.mid is None, self.thr is None) != (self.scope == "thread", self.scope == "msg"):
            raise ValueError("a message or a thread")
        if list(self.cat) != sorted(set(self.cat)):
            raise ValueError("categories")
        desks = [(one.a, one.d) for one in self.to]
        if desks != sorted(set(desks)) or self.ts >= self.exp:
            raise ValueError("desks or dates")
        return self

    def text(self) -> bytes:
        return self.model_dump_json(by_alias=True).encode("ascii")


class Authorised(Frozen):
    """What the lead signs: the author's signed request, whole (O5)."""

    by: Hash32
    request: SignedText
    ts: Seconds
    v: Annotated[int, Field(ge=1, le=1)]


@dataclass(frozen=True, slots=True)
class Override:
    """An override as claimed: nothing is verified yet but its form."""

    core: Core
    request: Signed
    by: str
    ts: int
    signed: Signed = field(repr=False)

    @property
    def hash(self) -> str:
        """What a header's `ovr` names."""
        return core_hash(self.request.text)


@dataclass(frozen=True, slots=True)
class Terms:
    """What policy says of overrides, in seconds: how old a role key must be, how long each kind may last."""

    key_delay: int
    message: int
    thread: int
    policy: Policy | None = None
    """The policy itself, for the bases and reasons that it has; without one, those of the founding policy."""


STRICTEST = Terms(24 * 3600, 24 * 3600, 28 * 24 * 3600)
"""What holds where no policy can be read."""


def terms_of(policy: Policy | None) -> Terms:
    if policy is None:
        return STRICTEST
    said = policy.thresholds
    return Terms(said.role_key_delay_s, said.override_msg_s, said.override_thread_s, policy)


def core_hash(text: bytes) -> str:
    return b64(labelled("fenpost/v1/override-core", text))


def request_override(core: Core, author: Signer) -> Signed:
    """The author's signed request. Raises Refusal KEY unless the core names the author's key."""
    if core.author != author.kid:
        raise Refusal("KEY")
    return Signed.make(author, Purpose.OVERRIDE_REQUEST, core.model_dump(mode="json", by_alias=True))


def authorise_override(request: Signed, lead: Signer, ts: int) -> Signed:
    """The lead's signature over the author's request: from now on it is an override."""
    value: Json = {"by": lead.kid, "request": request.to_json(), "ts": ts, "v": 1}
    return Signed.make(lead, Purpose.OVERRIDE_AUTHORISE, value)


def parse_core(text: bytes) -> Core:
    """Raises Refusal FORM, NOT_CANONICAL, VERSION, TOO_BIG, OVERRIDE_SCOPE, BASIS."""
    core = read_canonical(Core, text, STATEMENT_LIMIT)
    if core.scope == "thread" and core.pur not in THREAD_PURPOSES:
        raise Refusal("OVERRIDE_SCOPE")
    if core.basis == "6a":
        raise Refusal("BASIS", "An override needs another basis than the person's agreement. Name it.")
    return core


def parse_override(signed: Signed) -> Override:
    """The override as claimed. Raises as `parse_core` does."""
    outer = read_canonical(Authorised, signed.text, STATEMENT_LIMIT)
    request = Signed.from_json(outer.request.model_dump())
    return Override(parse_core(request.text), request, outer.by, outer.ts, signed)


def role_key(view: Directory, kid: str, role: Role, agency: AgencyId, at: int, delay: int) -> Key:
    """A person's key that counts in this role at this time (O3).

    Raises:
        Refusal: UNKNOWN_KEY, OVERRIDE_AGENCY (another agency's), AUTHOR_ROLE or AUTHORISER_ROLE (the other role's),
            REVOKED_KEY, STALE_KEY, ROLE_KEY_UNSIGNED (oversight has not countersigned), ROLE_KEY_YOUNG.
    """
    key = view.key(kid, Use.PERSON, at)
    if key.agency != agency:
        raise Refusal("OVERRIDE_AGENCY")
    if read_tag(key.person)[0] != role:
        raise Refusal("AUTHOR_ROLE" if role == "author" else "AUTHORISER_ROLE")
    since = view.countersigned.get(kid)
    if since is None or since > at:
        raise Refusal("ROLE_KEY_UNSIGNED")
    if at < since + delay:
        raise Refusal("ROLE_KEY_YOUNG")
    return key


def leads(view: Directory, agency: str, at: int) -> tuple[Key, ...]:
    """An agency's countersigned lead keys that stand, whether old enough or not."""
    keys = view.agencies[agency].keys.values() if agency in view.agencies else ()
    standing = (key for key in keys if key.use == Use.PERSON and key.stands(at))
    return tuple(k for k in standing if k.kid in view.countersigned and read_tag(k.person)[0] == "lead")


def verify_override(override: Override, view: Directory, terms: Terms, at: int) -> None:
    """Whether two people of one agency really said this, and whether it lasts at `at` (O6).

    Raises:
        Refusal: AUTHORISER_SAME, NO_LEAD, OVERRIDE_ONE_PERSON, OVERRIDE_LIFE, OVERRIDE_EXPIRED, FUTURE, SIGNATURE, as
            `role_key`.
    """
    core, agency = override.core, override.core.sender.a
    if core.author == override.by:
        raise Refusal("AUTHORISER_SAME")
    if not leads(view, agency, override.ts):
        raise Refusal("NO_LEAD")
    author = role_key(view, core.author, "author", agency, core.ts, terms.key_delay)
    lead = role_key(view, override.by, "lead", agency, override.ts, terms.key_delay)
    if read_tag(author.person)[1] == read_tag(lead.person)[1]:
        raise Refusal("OVERRIDE_ONE_PERSON")
    override.request.verified(author.public, Purpose.OVERRIDE_REQUEST)
    override.signed.verified(lead.public, Purpose.OVERRIDE_AUTHORISE)
    if max(core.ts - AHEAD, override.ts - AHEAD) > at or core.ts > override.ts + AHEAD:
        raise Refusal("FUTURE")
    if core.exp - core.ts > (terms.message if core.scope == "msg" else terms.thread):
        raise Refusal("OVERRIDE_LIFE")
    if at >= core.exp:
        raise Refusal("OVERRIDE_EXPIRED")
    for key in (author, lead):  # who was revoked since may not be relied on any more
        view.key(key.kid, Use.PERSON, max(at, core.ts, override.ts), agency)


def read_override(signed: Signed | None) -> Override | None:
    """An override that came beside a message; what is not one is as good as none."""
    try:
        return None if signed is None else parse_override(signed)
    except Refusal:
        return None
