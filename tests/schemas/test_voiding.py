"""What a thief said is undone, and nothing else: random histories against a model that knows what is void beforehand."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.canonical import b64, unb64
from schemas.chain import Chain
from schemas.directory import Directory
from schemas.emergency import second_signature
from schemas.errors import Refusal
from schemas.keys import SigningKey, Use, kid_of
from schemas.policing import SignedPolicy
from schemas.policy import founding
from schemas.signing import Signed
from tests.schemas.naive_directory import Naive
from tests.tools.rotations import NOW, Staffed, by, ceremony, chain_of, named
from tests.tools.vector_world import ALDER, BIRCH, CEDAR, DAY, FLAGS, OVERSIGHT, T0, Keys, directory

EVERY = (OVERSIGHT, ALDER, BIRCH, CEDAR)
LETTERS = "bdfghkptvz"


@dataclass
class Story:
    """Statements as their signers make them: what the view refuses never happened."""

    draw: random.Random
    view: Directory
    chains: dict[str, Chain]
    told: list[Signed]
    roots: dict[str, int] = field(default_factory=dict)
    renew: dict[str, SigningKey] = field(default_factory=dict)
    officers: dict[str, SigningKey] = field(default_factory=dict)
    now: int = NOW
    made: int = 0

    @classmethod
    def begin(cls, number: int) -> Story:
        world = Staffed.make()
        chains = {keys.name: chain_of(keys) for keys in EVERY}
        chains["alder"], chains["oversight"] = world.alder, world.oversight
        return cls(random.Random(number), world.view, chains, world.told)

    def fresh(self) -> SigningKey:
        self.made += 1
        return named(f"story {self.made}")

    def try_(self, keys: Keys, signed: Signed, chain: Chain) -> bool:
        try:
            self.view.apply(signed)
        except Refusal:
            return False
        self.told.append(signed)
        own = self.view.agencies[keys.id]
        self.chains[keys.name] = Chain(keys.id, chain.op, own.seq, own.head)
        return True

    def step(self) -> None:
        self.now += self.draw.choice((0, 1, 60, DAY // 2))
        keys = self.draw.choice(EVERY)
        kinds = (
            self.publish, self.renew_key, self.renewed, self.end, self.hand_over, self.recover, self.person,
            self.oversee, self.leave, self.emergency, self.emergency, self.recertify,
        )  # fmt: skip
        self.draw.choice(kinds)(keys, copy.copy(self.chains[keys.name]))

    def publish(self, keys: Keys, chain: Chain) -> None:
        use = self.draw.choice((Use.MSG, Use.AUTH, Use.CONSENT))
        self.try_(
            keys, chain.add_key(use, self.fresh().public, self.now, self.now + 9 * DAY, self.now), chain
        )

    def renew_key(self, keys: Keys, chain: Chain) -> None:
        key = self.fresh()
        said = chain.add_key(Use.RENEW, key.public, self.now, self.now + 90 * DAY, self.now)
        if self.try_(keys, said, chain):
            self.renew[keys.name] = key

    def renewed(self, keys: Keys, chain: Chain) -> None:
        if keys.name in self.renew:
            agent = by(chain, self.renew[keys.name])
            self.try_(
                keys, agent.add_key(Use.MSG, self.fresh().public, self.now, self.now + DAY, self.now), chain
            )

    def end(self, keys: Keys, chain: Chain) -> None:
        kid = self.draw.choice([*self.view.agencies[keys.id].keys])
        back = self.draw.choice((0, DAY, -DAY))
        reason = self.draw.choice(("rotated", "lost", "compromised"))
        self.try_(keys, chain.revoke(kid, reason, self.now - back, self.now), chain)

    def hand_over(self, keys: Keys, chain: Chain) -> None:
        self.try_(keys, chain.rotate_op(self.fresh(), self.now), chain)

    def recover(self, keys: Keys, chain: Chain) -> None:
        number, op = self.roots.get(keys.name, 0) + 1, self.fresh()
        start = self.draw.choice((None, max(1, chain.seq - self.draw.randrange(9))))
        body = ceremony(keys, number, op=op, void_from=start)
        if self.try_(keys, chain.rotate_root(body, op, self.now), chain):
            self.roots[keys.name] = number

    def person(self, keys: Keys, chain: Chain) -> None:
        use, tag = self.draw.choice(((Use.PERSON, f"lead-{self.made}"), (Use.IG_AUTH, f"ig-{self.made}")))
        key = self.fresh()
        said = chain.add_key(use, key.public, self.now, self.now + 90 * DAY, self.now, tag)
        if self.try_(keys, said, chain) and use is Use.IG_AUTH:
            self.officers[keys.name] = key

    def oversee(self, keys: Keys, chain: Chain) -> None:
        over = copy.copy(self.chains["oversight"])
        other, people = (
            self.draw.choice(EVERY[1:]),
            [key.kid for key in self.view.agencies[keys.id].keys.values() if key.use == Use.PERSON],
        )
        name = "".join(self.draw.choice(LETTERS) for _ in range(8))
        said = self.draw.choice((
            lambda: over.admit(keys.id, name, ("duty",), FLAGS, self.now),
            lambda: over.alias(keys.id, other.id, self.now + DAY, self.now),
            lambda: over.leave(keys.id, self.now + self.draw.choice((0, DAY)), other.id, self.now),
            lambda: over.countersign(self.draw.choice([*people, ALDER.msg.kid]), "lead", self.now),
        ))  # fmt: skip
        self.try_(OVERSIGHT, said(), over)

    def leave(self, keys: Keys, chain: Chain) -> None:
        self.try_(keys, chain.leave(keys.id, self.now + self.draw.choice((0, DAY)), None, self.now), chain)

    def emergency(self, keys: Keys, chain: Chain) -> None:
        kids = tuple(self.draw.sample([*self.view.agencies[keys.id].keys], 2))
        reason = self.draw.choice(("lost", "compromised"))
        own = self.officers.get(keys.name, keys.ig_auth)
        body = second_signature(own, keys.id, kids, reason, self.now - 5, self.now)
        self.try_(keys, chain.emergency_revoke(body, OVERSIGHT.ig_auth, self.now), chain)

    def recertify(self, keys: Keys, chain: Chain) -> None:
        people = [key.kid for key in self.view.agencies[keys.id].keys.values() if key.person is not None]
        self.try_(keys, chain.recertify((self.draw.choice(people),), self.now), chain)


def story(steps: int, number: int) -> Story:
    found = Story.begin(number)
    for _ in range(steps):
        found.step()
    return found


def replayed(statements: list[Signed]) -> Directory:
    view = Directory(OVERSIGHT.id)
    for signed in statements:
        view.apply(signed)
    return view


def compare(view: Directory, statements: list[Signed]) -> None:
    """Hold the view against the model, agency by agency."""
    naive = Naive(OVERSIGHT.id, [signed.peek() for signed in statements])
    for keys in EVERY:
        own = view.agencies[keys.id]
        assert {kid: (key.nbf, key.revoked) for kid, key in own.keys.items()} == naive.keys(keys.id)
        assert b64(own.op) == naive.op(keys.id)
        assert [one.name for one in own.admissions] == naive.names(keys.id)
        left = None if own.left is None else (own.left.stops, own.left.successor)
        assert left == naive.left(keys.id)
        assert {kid: said[-1][1] for kid, said in own.recertified.items()} == naive.certified(keys.id)
    assert view.countersigned == naive.countersigned()
    assert {was: tuple(said[-1]) for was, said in view.moves.items()} == naive.moves()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(number=st.integers(0, 2**32))
def test_voiding_and_replaying_is_replaying_without_what_is_void(number: int):
    found = story(40, number)
    compare(found.view, found.told)


def test_the_stories_void_something_of_every_kind():
    """The random histories are worth nothing if what they should try never happens in them."""
    undone: set[str] = set()
    for number in range(12):
        said = [signed.peek() for signed in story(60, number).told]
        gone = Naive(OVERSIGHT.id, said).void
        undone |= {one["op"] for one in said if (one["agency"], one["seq"]) in gone}
    assert undone >= {
        "add-key",
        "revoke",
        "rotate-op",
        "admit",
        "countersign",
        "alias",
        "leave",
        "recertify",
        "emergency-revoke",
    }


# --- in any order


def belongings(statements: list[Signed]) -> dict[str, set[str]]:
    """What names an agency in others' statements: its id, and the ids of its keys."""
    found: dict[str, set[str]] = {}
    for said in (signed.peek() for signed in statements):
        own = found.setdefault(said["agency"], {said["agency"], said["by"]})
        if said["op"] == "add-key":
            own.add(kid_of(said["body"]["alg"], unb64(said["body"]["pub"])))
    return found


def shuffled(statements: list[Signed], draw: random.Random) -> list[Signed]:
    """Another order in which the same could have been recorded: neighbours change places that do not speak of each other.

    What oversight's roots void speaks of everybody.
    """
    names = belongings(statements)
    order = [(signed, signed.text.decode(), signed.peek()) for signed in statements]
    for _ in range(6 * len(order)):
        at = draw.randrange(len(order) - 1)
        (_, one, first), (_, two, second) = order[at : at + 2]
        if first["agency"] == second["agency"] or any(
            said["op"] == "rotate-root" and said["agency"] == OVERSIGHT.id for said in (first, second)
        ):
            continue
        if not any(n in one for n in names[second["agency"]]) and not any(
            n in two for n in names[first["agency"]]
        ):
            order[at], order[at + 1] = order[at + 1], order[at]
    return [signed for signed, _, _ in order]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(number=st.integers(0, 2**32))
def test_any_order_of_several_agencies_statements_gives_the_same_view(number: int):
    found = story(30, number)
    order = shuffled(found.told, random.Random(number))
    view = replayed(order)
    assert view.agencies == found.view.agencies
    for name in ("policies", "countersigned", "retentions", "moves", "said", "size"):
        assert getattr(view, name) == getattr(found.view, name), name


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(number=st.integers(0, 2**32))
def test_a_copy_goes_its_own_way_and_leaves_the_view_alone(number: int):
    found = story(12, number)
    before = (
        dict(found.view.agencies),
        found.view.size,
        dict(found.view.countersigned),
        list(found.view.said),
    )
    kept = found.view
    found.view = kept.copied()
    for _ in range(12):
        found.step()
    assert (kept.agencies, kept.size, kept.countersigned, kept.said) == before
    assert replayed(found.told).agencies == found.view.agencies


# --- what oversight's thief said of others


def test_policies_are_undone_with_the_key_that_put_them_in_force():
    view, over = directory(), chain_of(OVERSIGHT)
    signers = (named("policy one"), named("policy two"))
    for at, signer in enumerate(signers):
        view.apply(over.add_key(Use.POLICY, signer.public, T0, T0 + 99 * DAY, T0, f"policy-{at}"))
    policies = [SignedPolicy(founding(NOW + at).text) for at in range(2)]
    first, second = (one.signed_by(signers[0]).signed_by(signers[1]) for one in policies)
    view.apply(over.policy(first, T0))
    start, kept = over.seq + 1, view.policies
    with pytest.raises(Refusal, match="POLICY_OLDER"):
        view.apply(copy.copy(over).policy(second, NOW))
    view.apply(over.admit(BIRCH.id, "Thieves", ("duty",), FLAGS, NOW, "police"))
    op = named("oversight op 2")
    view.apply(over.rotate_root(ceremony(OVERSIGHT, op=op, void_from=start - 1), op, NOW))
    assert view.policies.entries == ()
    assert (view.member(BIRCH.id).name, view.party(BIRCH.id).sector) == ("Birch Advisers", "idva")
    assert kept.entries
    view.apply(over.policy(first, NOW))  # and the right one is put in force again
    assert [entry.digest for entry in view.policies.entries] == [kept.entries[0].digest]


def test_a_member_that_a_thief_admitted_is_none():
    view, over = directory(), chain_of(OVERSIGHT)
    chain, inception = Chain.begin(named("mallory"), (named("mallory root"),), 1, NOW)
    view.apply(inception)
    start = over.seq + 1
    view.apply(over.admit(chain.agency, "Mallory", ("duty",), FLAGS, NOW))
    assert view.member(chain.agency).name == "Mallory"
    op = named("oversight op 2")
    view.apply(over.rotate_root(ceremony(OVERSIGHT, op=op, void_from=start), op, NOW))
    with pytest.raises(Refusal, match="UNKNOWN_AGENCY"):
        view.member(chain.agency)
    view.apply(over.admit(chain.agency, "Mallory", ("duty",), FLAGS, NOW))


def test_two_people_are_no_firmer_than_their_keys():
    """A thief who names an officer of his own, and finds somebody to believe him, is undone with her."""
    world = Staffed.make()
    start = world.alder.seq + 1
    world.person("thief", "ig-7", Use.IG_AUTH, ts=NOW)
    body = second_signature(OVERSIGHT.op, ALDER.id, (ALDER.msg.kid,), "lost", NOW, NOW)
    world.take(world.alder.emergency_revoke(body, world.people["thief"], NOW))
    assert world.view.published(ALDER.msg.kid).reason == "lost"
    op = named("alder op 2")
    world.take(world.alder.rotate_root(ceremony(ALDER, op=op, void_from=start), op, NOW))
    assert world.view.published(ALDER.msg.kid).revoked is None


def test_oversights_stolen_key_is_not_firm_in_its_own_chain():
    view, over, op = directory(), chain_of(OVERSIGHT), named("oversight op 2")
    start = over.seq + 1
    body = second_signature(OVERSIGHT.op, OVERSIGHT.id, (OVERSIGHT.msg.kid,), "lost", NOW, NOW)
    view.apply(over.emergency_revoke(body, OVERSIGHT.ig_auth, NOW))
    assert view.published(OVERSIGHT.msg.kid).reason == "lost"
    view.apply(over.rotate_root(ceremony(OVERSIGHT, op=op, void_from=start), op, NOW))
    assert view.published(OVERSIGHT.msg.kid).revoked is None


def test_what_two_people_or_roots_said_is_not_undone():
    world = Staffed.make()
    start = world.alder.seq + 1
    body = second_signature(ALDER.ig_auth, ALDER.id, (ALDER.msg.kid,), "lost", NOW, NOW)
    world.take(world.alder.emergency_revoke(body, world.people["lead"], NOW))
    world.take(world.alder.revoke(ALDER.auth.kid, "lost", NOW, NOW))
    op = named("alder op 2")
    world.take(world.alder.rotate_root(ceremony(ALDER, op=op, void_from=start), op, NOW))
    assert world.view.published(ALDER.msg.kid).reason == "lost"
    assert world.view.published(ALDER.auth.kid).revoked is None
    third = named("alder op 3")
    world.take(world.alder.rotate_root(ceremony(ALDER, 2, op=third, void_from=start), third, NOW))
    assert (world.view.agencies[ALDER.id].op, world.view.published(ALDER.msg.kid).reason) == (
        third.public,
        "lost",
    )
