"""The renew key: what it may say in its agency's chain, and everything else that is refused (K21)."""

import pytest

from schemas.chain import Chain
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.keys import LIFE, RUNNING, OpeningKey, Signer, SigningKey, Use
from tests.tools.vector_world import ALDER, BIRCH, DAY, OVERSIGHT, T0, Keys, directory, seed

RENEW, FRESH = SigningKey(seed("alder renew")), SigningKey(seed("fresh"))
NOW = T0 + 1000


def chain_of(keys: Keys) -> Chain:
    return Chain(keys.id, keys.op, keys.chain.seq, keys.chain.head)


@pytest.fixture
def world() -> tuple[Directory, Chain]:
    """A view in which Alder has a renew key, and its chain as the agent extends it with that key."""
    view, chain = directory(), chain_of(ALDER)
    view.apply(chain.add_key(Use.RENEW, RENEW.public, T0, T0 + LIFE[Use.RENEW], T0))
    return view, by(chain, RENEW)


def by(chain: Chain, signer: Signer) -> Chain:
    return Chain(chain.agency, signer, chain.seq, chain.head)


def public_for(use: Use, name: str = "renewed") -> bytes:
    return (OpeningKey if use in (Use.PREKEY, Use.IG) else SigningKey)(seed(name)).public


@pytest.mark.parametrize("use", RUNNING)
def test_it_publishes_and_ends_each_running_key(world: tuple[Directory, Chain], use: Use):
    view, chain = world
    view.apply(chain.add_key(use, public_for(use), NOW - 300, NOW - 300 + LIFE[use], NOW))
    view.apply(chain.add_key(use, public_for(use, "later"), NOW + 7 * DAY, NOW + 7 * DAY + 60, NOW))
    kid = next(key.kid for key in view.agencies[ALDER.id].keys.values() if key.nbf == NOW - 300)
    assert view.key(kid, use, NOW).agency == ALDER.id
    since = NOW + 60 + (DAY if use is Use.PREKEY else 0)
    view.apply(chain.revoke(kid, "rotated", since, NOW + 60))
    with pytest.raises(Refusal, match="REVOKED_KEY"):
        view.key(kid, use, since)


def key(use: Use = Use.AUTH, nbf: int = NOW, life: int | None = None, person: str | None = None):
    end = nbf + (LIFE.get(use, DAY) if life is None else life)
    return lambda chain: chain.add_key(use, public_for(use), nbf, end, NOW, person)


def end(kid: str, reason: str = "rotated", since: int = NOW):
    return lambda chain: chain.revoke(kid, reason, since, NOW)


REFUSED = [
    ("names a lead", key(Use.PERSON, person="lead-1"), "RENEW"),
    ("names an author", key(Use.PERSON, person="author-1"), "RENEW"),
    ("an officer's reading key", key(Use.IG, person="ig"), "RENEW"),
    ("an officer's request key", key(Use.IG_AUTH, person="ig"), "RENEW"),
    ("a policy key", key(Use.POLICY, person="policy-1"), "RENEW"),
    ("another renew key", key(Use.RENEW), "RENEW"),
    ("gives a running key to a person", key(person="lead-1"), "RENEW"),
    *((f"too long a life for {use}", key(use, life=LIFE[use] + 1), "KEY") for use in RUNNING),
    ("begins more than seven days ahead", key(nbf=NOW + 7 * DAY + 1), "KEY"),
    ("begins more than five minutes back", key(nbf=NOW - 301), "KEY"),
    ("ends a key as compromised", end(ALDER.msg.kid, "compromised"), "RENEW"),
    ("ends a key as lost", end(ALDER.msg.kid, "lost"), "RENEW"),
    ("ends a key in the past", end(ALDER.msg.kid, since=NOW - 1), "RENEW"),
    ("ends a receiving key in less than a day", end(ALDER.prekey.kid, since=NOW + DAY - 1), "RENEW"),
    ("ends an officer's key", end(ALDER.ig.kid), "RENEW"),
    ("ends itself", end(RENEW.kid), "RENEW"),
    ("ends another agency's key", end(BIRCH.msg.kid), "UNKNOWN_KEY"),
    ("a new operational key", lambda chain: chain.rotate_op(FRESH, NOW), "RENEW"),
    ("leaves the partnership", lambda chain: chain.leave(ALDER.id, NOW, None, NOW), "RENEW"),
    ("certifies people", lambda chain: chain.recertify((ALDER.ig.kid,), NOW), "RENEW"),
]


@pytest.mark.parametrize(("what", "say", "code"), REFUSED, ids=[row[0] for row in REFUSED])
def test_it_says_nothing_else(world: tuple[Directory, Chain], what: str, say, code: str):
    view, chain = world
    before = (view.size, view.agencies[ALDER.id].seq)
    with pytest.raises(Refusal) as caught:
        view.apply(say(chain))
    assert caught.value.code == code
    assert (view.size, view.agencies[ALDER.id].seq) == before


def test_it_does_not_sign_when_it_does_not_stand(world: tuple[Directory, Chain]):
    view, chain = world
    late = T0 + LIFE[Use.RENEW]
    with pytest.raises(Refusal, match="STALE_KEY"):
        view.apply(by(chain, RENEW).add_key(Use.AUTH, FRESH.public, late, late + DAY, late))
    op = by(chain, ALDER.op)
    op.seq, op.head = view.agencies[ALDER.id].seq, view.agencies[ALDER.id].head
    view.apply(op.revoke(RENEW.kid, "lost", NOW, NOW))
    with pytest.raises(Refusal, match="REVOKED_KEY"):
        view.apply(by(op, RENEW).add_key(Use.AUTH, FRESH.public, NOW, NOW + DAY, NOW))


def test_it_speaks_for_its_own_agency_only(world: tuple[Directory, Chain]):
    view, _ = world
    for keys in (BIRCH, OVERSIGHT):
        with pytest.raises(Refusal, match="DIRECTORY"):
            view.apply(by(chain_of(keys), RENEW).add_key(Use.AUTH, FRESH.public, NOW, NOW + DAY, NOW))
