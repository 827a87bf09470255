"""Ceremonies: how a partnership, an agency and an officer come to have keys. Pure: files and clocks are elsewhere.

Rules of this house:
- every secret is drawn here, once, by `draw`; nothing is derived from anything else;
- what is published is exactly the statements returned; the rest goes into key files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from schemas.chain import Chain
from schemas.checkpoint import LogKey
from schemas.founding import Founding
from schemas.keyring import AdminKeys, AgentKeys, OfficerKeys, PolicyKey, Prekey, RelayKeys
from schemas.keys import LIFE, OpeningKey, SigningKey, Use
from schemas.mldsa import MldsaKey
from schemas.outside import OutsideWitness
from schemas.partnership import Charter, Partnership
from schemas.policing import SIGNERS, SignedPolicy, policy_digest
from schemas.policy import founding
from schemas.sectors import Sector
from schemas.signing import Signed
from schemas.witness import MldsaLogKey

Draw = Callable[[int], bytes]
DAY = 24 * 3600
SIGNING = (Use.MSG, Use.AUTH, Use.CONSENT, Use.WITNESS, Use.RENEW)
ROOTS, THRESHOLD = 3, 2
"""How many root keys there are, and how many of them must agree, unless the founders say otherwise."""
WITNESSES = 1
"""At the least; of three members or more that take part it is always more than half (L20)."""
WEEK = 7 * DAY
PREKEYS = 8
"""Prekeys made ahead, one a week, so that an agent can receive for two months before its admin comes back."""
BACKDATE = 3600
"""New keys count from an hour ago, so that a clock that runs a little behind does not refuse them."""


@dataclass(frozen=True, slots=True)
class Member:
    """A new agency: its secrets by holder, and the statements that publish it.

    `next_roots` are the roots after `roots`. The inception holds only their ids, and no other moment can add them.
    """

    roots: tuple[SigningKey, ...]
    next_roots: tuple[SigningKey, ...]
    admin: AdminKeys
    agent: AgentKeys
    statements: tuple[Signed, ...]

    @property
    def id(self) -> str:
        return self.admin.agency


@dataclass(frozen=True, slots=True)
class Founded:
    """A new partnership: oversight's agency, the relay's keys, the partnership file, and its policy's signers.

    `policy` is the founding policy, signed by both; oversight's statements put it in force.
    """

    oversight: Member
    relay: RelayKeys
    partnership: Partnership
    signers: tuple[PolicyKey, ...]
    policy: SignedPolicy

    def founding(self, statements: Iterable[Signed] | None = None) -> Founding:
        """What the relay begins with: oversight's statements, or these which begin with them."""
        taken = self.oversight.statements if statements is None else tuple(statements)
        return Founding(taken, {policy_digest(self.policy.text): self.policy.text})


@dataclass(frozen=True, slots=True)
class OfficerCard:
    """The public half of an officer's keys, as she hands it to her agency's administrator."""

    ig: bytes
    auth: bytes
    person: str = "ig"


def make_officer(draw: Draw, person: str = "ig") -> tuple[OfficerKeys, OfficerCard]:
    keys = OfficerKeys(OpeningKey(draw(32)), SigningKey(draw(32)))
    return keys, OfficerCard(keys.ig.public, keys.auth.public, person)


def running_keys(agency: str, start: int, draw: Draw) -> AgentKeys:
    """Every key of an agent that begins, with a receiving key for each of the coming weeks, from `start` on."""
    prekeys = tuple(Prekey(OpeningKey(draw(32)), start + week * WEEK) for week in range(PREKEYS))
    msg, auth, consent, witness, renew = (SigningKey(draw(32)) for _ in SIGNING)
    return AgentKeys(agency, msg, auth, consent, witness, renew, prekeys, draw(32), draw(32))


def signing_of(keys: AgentKeys) -> dict[Use, SigningKey]:
    """An agent's signing keys by their uses, in the order of SIGNING."""
    held = (keys.msg, keys.auth, keys.consent, keys.witness, keys.renew)
    return dict(zip(SIGNING, held, strict=True))


def make_agency(
    now: int, draw: Draw, officers: tuple[OfficerCard, ...], count: int = ROOTS, threshold: int = THRESHOLD
) -> Member:
    """A new agency with every running key, its officers' keys and prekeys for the coming weeks.

    `threshold` of its `count` roots must agree to replace its operational key.
    """
    roots, after = (tuple(SigningKey(draw(32)) for _ in range(count)) for _ in range(2))
    chain, inception = Chain.begin(
        SigningKey(draw(32)), roots, threshold, now, tuple(key.kid for key in after)
    )
    start = now - BACKDATE
    agent = running_keys(chain.agency, start, draw)
    statements = [inception]
    statements += [
        chain.add_key(use, key.public, start, start + LIFE[use], now)
        for use, key in signing_of(agent).items()
    ]
    statements += [
        chain.add_key(Use.PREKEY, p.key.public, p.nbf, p.nbf + 2 * WEEK, now) for p in agent.prekeys
    ]
    for card in officers:
        statements.append(chain.add_key(Use.IG, card.ig, start, start + LIFE[Use.IG], now, card.person))
        statements.append(
            chain.add_key(Use.IG_AUTH, card.auth, start, start + LIFE[Use.IG_AUTH], now, card.person)
        )
    admin = AdminKeys(chain.agency, chain.op, chain.seq, chain.head)
    return Member(roots, after, admin, agent, tuple(statements))


def found_partnership(
    name: str,
    relay: str,
    authority: str,
    origin: str,
    now: int,
    draw: Draw,
    officers: tuple[OfficerCard, ...],
    outside: tuple[OutsideWitness, ...] = (),
    outside_needed: int = 0,
    roots: tuple[int, int] = (ROOTS, THRESHOLD),
) -> Founded:
    """Oversight, the relay's log keys, the partnership file that every agent is given by hand, the first policy."""
    oversight = make_agency(now, draw, officers, *roots)
    keys = RelayKeys(SigningKey(draw(32)), MldsaKey(draw(32)), SigningKey(draw(32)))
    charter = Charter(
        v=1,
        name=name,
        relay=relay,
        authority=authority,
        origin=origin,
        log=LogKey(origin, keys.log.public).text(),
        log_mldsa=MldsaLogKey(origin, keys.log_mldsa.public).text(),
        keys_log=LogKey(f"{origin}/keys", keys.keys_log.public).text(),
        oversight=oversight.id,
        witnesses=WITNESSES,
        outside=outside,
        outside_needed=outside_needed,
    )
    partnership = Partnership.make(charter, oversight.statements[0], oversight.admin.op)
    oversight, signers, policy = _first_policy(oversight, now, draw)
    return Founded(oversight, keys, partnership, signers, policy)


def _first_policy(
    oversight: Member, now: int, draw: Draw
) -> tuple[Member, tuple[PolicyKey, ...], SignedPolicy]:
    """The founding policy, in force from the first second, and the two who signed it."""
    chain, start = (
        Chain(oversight.id, oversight.admin.op, oversight.admin.seq, oversight.admin.head),
        now - BACKDATE,
    )
    signers = tuple(PolicyKey(SigningKey(draw(32)), f"policy-{n + 1}") for n in range(SIGNERS))
    policy = SignedPolicy(founding(start).text)
    for signer in signers:
        policy = policy.signed_by(signer.key)
    statements = [
        chain.add_key(Use.POLICY, s.key.public, start, start + LIFE[Use.POLICY], now, s.person)
        for s in signers
    ]
    statements.append(chain.policy(policy, now))
    admin = AdminKeys(chain.agency, chain.op, chain.seq, chain.head)
    member = replace(oversight, admin=admin, statements=(*oversight.statements, *statements))
    return member, signers, policy


def admit(
    admin: AdminKeys,
    member: str,
    name: str,
    desks: tuple[str, ...],
    flags: dict[str, bool],
    now: int,
    sector: Sector = "other",
) -> tuple[AdminKeys, Signed]:
    """Oversight's statement that an agency is in, and oversight's keys with the chain moved on."""
    chain = Chain(admin.agency, admin.op, admin.seq, admin.head)
    signed = chain.admit(member, name, desks, flags, now, sector)
    return AdminKeys(chain.agency, chain.op, chain.seq, chain.head), signed
