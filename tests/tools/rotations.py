"""Root ceremonies for tests, with the keys of the vectors' world: everybody knows all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.canonical import b64
from schemas.chain import Chain
from schemas.directory import Directory
from schemas.keys import Signer, SigningKey, Use
from schemas.roots import RotateRoot
from schemas.signing import Signed
from tests.tools.vector_world import ALDER, BIRCH, DAY, OVERSIGHT, STATEMENTS, T0, Keys, directory, seed

NOW = T0 + 10 * DAY


def named(name: str) -> SigningKey:
    return SigningKey(seed(name))


def generation(keys: Keys, number: int, count: int = 3) -> tuple[SigningKey, ...]:
    """An agency's roots: 0 those of its inception, 1 the next, and so on."""
    words = {0: "root", 1: "next root"}.get(number, f"root of generation {number}")
    return tuple(named(f"{keys.name} {words} {n}") for n in range(count))


def chain_of(keys: Keys) -> Chain:
    return Chain(keys.id, keys.op, keys.chain.seq, keys.chain.head)


def by(chain: Chain, signer: Signer) -> Chain:
    """The same place in the chain, as another signs there."""
    return Chain(chain.agency, signer, chain.seq, chain.head)


def ceremony(
    keys: Keys,
    number: int = 1,
    *,
    op: Signer,
    signers: tuple[Signer, ...] | None = None,
    roots: tuple[SigningKey, ...] | None = None,
    threshold: int = 2,
    after: tuple[str, ...] | None = None,
    void_from: int | None = None,
) -> RotateRoot:
    """What the roots of one generation sign: two of three unless said otherwise."""
    roots = generation(keys, number) if roots is None else roots
    digests = tuple(key.kid for key in generation(keys, number + 1)) if after is None else after
    body = RotateRoot(
        roots=tuple(b64(root.public) for root in roots), threshold=threshold, next_roots=digests,
        op_key=b64(op.public), void_from=void_from, sigs=(),
    )  # fmt: skip
    for signer in roots[:2] if signers is None else signers:
        body = body.signed_by(keys.id, signer)
    return body


@dataclass
class Staffed:
    """The vectors' world, ten days on, with people in it: Alder's lead and officers, oversight's officer."""

    view: Directory = field(default_factory=directory)
    alder: Chain = field(default_factory=lambda: chain_of(ALDER))
    oversight: Chain = field(default_factory=lambda: chain_of(OVERSIGHT))
    people: dict[str, SigningKey] = field(default_factory=dict)
    told: list[Signed] = field(default_factory=lambda: list(STATEMENTS))

    def take(self, *statements: Signed) -> None:
        for signed in statements:
            self.view.apply(signed)
            self.told.append(signed)

    def person(
        self, name: str, tag: str, use: Use = Use.PERSON, *, ts: int, countersigned: bool = True
    ) -> None:
        """Publish a person's key at Alder; a lead's and an author's is countersigned."""
        key = self.people[name] = named(name)
        self.take(self.alder.add_key(use, key.public, ts, ts + 300 * DAY, ts, tag))
        if use is Use.PERSON and countersigned:
            self.take(self.oversight.countersign(key.kid, tag.partition("-")[0], ts))

    @classmethod
    def make(cls) -> Staffed:
        found = cls(people={"ig": ALDER.ig_auth, "duty": OVERSIGHT.ig_auth, "stranger": BIRCH.ig_auth})
        found.person("lead", "lead-1", ts=T0 + DAY)
        found.person("author", "author-2", ts=T0 + DAY)
        found.person("uncounted lead", "lead-3", ts=T0 + DAY, countersigned=False)
        found.person("revoked lead", "lead-4", ts=T0 + DAY)
        found.person("officer who leads too", "ig-1", Use.IG_AUTH, ts=T0 + DAY)
        found.person("second officer", "ig-9", Use.IG_AUTH, ts=T0 + DAY)
        found.person("young lead", "lead-5", ts=NOW - DAY + 1)
        found.take(found.alder.revoke(found.people["revoked lead"].kid, "left", NOW - 60, NOW - 60))
        return found
