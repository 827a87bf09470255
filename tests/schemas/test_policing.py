"""A policy counts only with two people's signatures, in order, from a time on: everything else is refused."""

import copy
import json
from dataclasses import replace

import pytest

from schemas.canonical import encode
from schemas.chain import Chain
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.founding import Founding
from schemas.keys import SigningKey, Use
from schemas.policing import (
    FILE_LIMIT,
    KEY_DELAY,
    LATE,
    POLICY_LIMIT,
    Entry,
    PolicySignature,
    SignedPolicy,
    Timeline,
    check_text,
    policy_digest,
    spoken,
)
from schemas.signing import Signed
from tests.tools.vector_world import ALDER, DAY, OVERSIGHT, T0, directory, seed

ONE, TWO, THREE, LOST = (SigningKey(seed(f"policy {n}")) for n in ("one", "two", "three", "lost"))
SAME = SigningKey(seed("policy one again"))


def text(version: int = 1, effective: int = T0, **more: object) -> bytes:
    return encode({"effective": effective, "name": "A policy", "v": 1, "version": version, **more})


def signed(version: int = 1, effective: int = T0, *keys: SigningKey) -> SignedPolicy:
    policy = SignedPolicy(text(version, effective))
    for key in keys or (ONE, TWO):
        policy = policy.signed_by(key)
    return policy


def chain() -> Chain:
    return Chain(OVERSIGHT.id, OVERSIGHT.op, OVERSIGHT.chain.seq, OVERSIGHT.chain.head)


@pytest.fixture
def own() -> Chain:
    return chain()


@pytest.fixture
def view(own: Chain) -> Directory:
    """A directory with three signers, and a fourth key that the first of them holds too."""
    found = directory()
    for key, person in ((ONE, "policy-1"), (TWO, "policy-2"), (THREE, "policy-3"), (SAME, "policy-1")):
        found.apply(own.add_key(Use.POLICY, key.public, T0, T0 + 700 * DAY, T0, person))
    return found


def refused(code: str, view: Directory, statement: Signed) -> None:
    before = (copy.deepcopy(view.policies), view.size)
    with pytest.raises(Refusal) as caught:
        view.apply(statement)
    assert caught.value.code == code
    assert (view.policies, view.size) == before


# --- who may sign


def test_two_people_put_a_policy_in_force(view: Directory, own: Chain):
    policy = signed()
    view.apply(own.policy(policy, T0))
    entry = view.policies.in_force(T0)
    assert entry == Entry(policy_digest(policy.text), 1, T0, T0, ("policy-1", "policy-2"))
    check_text(policy.text, entry.digest, 1, T0)


def test_three_people_may_sign_too(view: Directory, own: Chain):
    view.apply(own.policy(signed(1, T0, THREE, ONE, TWO), T0))
    assert view.policies.entries[0].signers == ("policy-3", "policy-1", "policy-2")


REFUSED = [
    ("nobody", "POLICY_SIGNERS", lambda: SignedPolicy(text())),
    ("one signature", "POLICY_SIGNERS", lambda: signed(1, T0, ONE)),
    ("the same person with two keys", "POLICY_SAME_PERSON", lambda: signed(1, T0, ONE, SAME)),
    ("an unknown key", "UNKNOWN_KEY", lambda: signed(1, T0, ONE, LOST)),
    ("oversight's operational key", "UNKNOWN_KEY", lambda: signed(1, T0, ONE, OVERSIGHT.op)),
    ("a message key", "UNKNOWN_KEY", lambda: signed(1, T0, ONE, ALDER.msg)),
    ("a signature over another text", "SIGNATURE", lambda: SignedPolicy(text(name="B"), signed().sigs)),
    ("a signature over another version", "SIGNATURE", lambda: SignedPolicy(text(2), signed().sigs)),
    ("a signature over another day", "SIGNATURE", lambda: SignedPolicy(text(1, T0 + 1), signed().sigs)),
    ("a gap", "POLICY_GAP", lambda: signed(2)),
]


@pytest.mark.parametrize(("what", "code", "make"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_not_signed_by_two_people_in_order_is_refused(view, own, what: str, code: str, make):
    refused(code, view, own.policy(make(), T0))


def test_one_signature_given_twice_is_one_person(view: Directory, own: Chain):
    once = signed(1, T0, ONE)
    refused("POLICY_SAME_PERSON", view, own.policy(SignedPolicy(once.text, once.sigs * 2), T0))
    with pytest.raises(Refusal, match="POLICY_SAME_PERSON"):
        once.signed_by(ONE)


@pytest.mark.parametrize("since", [T0 - DAY, T0, T0 + DAY])
def test_a_key_whose_revocation_is_on_record_signs_nothing_whatever_its_date(view, own: Chain, since: int):
    view.apply(own.revoke(TWO.kid, "left", since, T0))
    refused("REVOKED_KEY", view, own.policy(signed(), T0))


def test_a_key_outside_its_dates_signs_nothing(view: Directory, own: Chain):
    ts, early = T0 + 700 * DAY, SigningKey(seed("an early signer"))
    refused("STALE_KEY", view, replace(own).policy(signed(1, ts), ts))
    view.apply(own.add_key(Use.POLICY, early.public, T0 + 9, T0 + DAY, T0, "policy-4"))
    refused("STALE_KEY", view, own.policy(signed(1, T0, ONE, early), T0 + 8))


def test_what_was_in_force_stays_so_when_a_signer_leaves(view: Directory, own: Chain):
    view.apply(own.policy(signed(), T0))
    view.apply(own.revoke(ONE.kid, "left", T0 - DAY, T0 + 1))
    assert view.policies.in_force(T0 + 2) is not None


def test_only_oversight_puts_a_policy_in_force_or_names_signers(view: Directory):
    other = Chain(ALDER.id, ALDER.op, ALDER.chain.seq, ALDER.chain.head)
    refused("NOT_ALLOWED", view, copy.copy(other).policy(signed(), T0))
    refused(
        "NOT_ALLOWED", view, copy.copy(other).add_key(Use.POLICY, LOST.public, T0, T0 + DAY, T0, "policy-4")
    )


def test_a_policy_key_has_a_person(view: Directory, own: Chain):
    refused("KEY", view, own.add_key(Use.POLICY, LOST.public, T0, T0 + DAY, T0))


def test_a_signer_added_later_counts_only_after_a_day(view: Directory, own: Chain):
    view.apply(own.policy(signed(), T0))
    early = copy.copy(own)
    refused("KEY", view, early.add_key(Use.POLICY, LOST.public, T0, T0 + 9 * DAY, T0, "policy-4"))
    view.apply(own.add_key(Use.POLICY, LOST.public, T0 + KEY_DELAY, T0 + 9 * DAY, T0, "policy-4"))
    again = copy.copy(own)
    refused("STALE_KEY", view, again.policy(signed(2, T0 + 10, ONE, LOST), T0 + 10))
    view.apply(own.policy(signed(2, T0 + DAY, ONE, LOST), T0 + DAY))


# --- versions and days


def test_versions_never_go_back_or_repeat(view: Directory, own: Chain):
    view.apply(own.policy(signed(), T0))
    view.apply(own.policy(signed(2, T0 + 10), T0 + 10))
    for version, code in ((1, "POLICY_OLDER"), (2, "POLICY_OLDER"), (4, "POLICY_GAP")):
        refused(code, view, copy.copy(own).policy(signed(version, T0 + 20), T0 + 20))


def test_a_policy_begins_at_most_five_minutes_ago_but_for_the_founding_one(view: Directory, own: Chain):
    view.apply(own.policy(signed(1, T0 - DAY), T0))
    refused("POLICY_PAST", view, copy.copy(own).policy(signed(2, T0 - LATE - 1), T0))
    view.apply(own.policy(signed(2, T0 - LATE), T0))
    view.apply(own.policy(signed(3, T0 + 365 * DAY), T0))


def timeline(*effective: int) -> Timeline:
    return Timeline(tuple(Entry(f"d{n}", n, at, 0, ("a", "b")) for n, at in enumerate(effective, start=1)))


def versions(entries: tuple[Entry, ...]) -> list[int]:
    return [entry.version for entry in entries]


@pytest.mark.parametrize(
    ("at", "version"), [(99, None), (100, 1), (199, 1), (200, 3), (299, 3), (300, 3), (9999, 3)]
)
def test_the_highest_version_that_has_begun_counts(at: int, version: int | None):
    entry = timeline(100, 300, 200).in_force(at)
    assert (entry.version if entry else None) == version


def test_a_policy_that_was_replaced_before_it_began_never_counts():
    found = timeline(100, 300, 200)
    assert versions(found.between(0)) == [1, 3]
    assert versions(found.coming(150)) == [3]
    assert versions(found.coming(250)) == []


def test_around_a_change_both_count():
    found = timeline(100, 300)
    assert versions(found.between(0, 99)) == []
    assert versions(found.between(200, 299)) == [1]
    assert versions(found.between(200, 300)) == [1, 2]
    assert versions(found.between(300, 400)) == [2]


def test_two_that_begin_together_count_as_the_later_version():
    found = timeline(100, 300, 300)
    assert versions(found.between(0)) == [1, 3]


def test_a_version_is_found_by_its_number():
    assert timeline(1, 2).version(2).effective == 2
    with pytest.raises(Refusal, match="NOT_FOUND"):
        timeline(1, 2).version(3)


# --- texts and files


CHANGED = [
    ("another text", text(name="B")),
    ("another version", text(2)),
    ("another day", text(1, T0 + 1)),
    ("not canonical", text() + b" "),
    ("not JSON", b"{"),
    ("not an object", b"[]"),
    ("too big", encode({"effective": T0, "pad": "x" * POLICY_LIMIT, "version": 1})),
]


@pytest.mark.parametrize(("what", "data"), CHANGED, ids=[row[0] for row in CHANGED])
def test_a_text_that_is_not_the_signed_one_is_refused(what: str, data: bytes):
    with pytest.raises(Refusal) as caught:
        check_text(data, policy_digest(text()), 1, T0)
    assert caught.value.code == "POLICY_TEXT"


def test_the_file_reads_back_as_it_was_written():
    policy = signed()
    assert SignedPolicy.parse(policy.to_bytes()) == policy


BAD_FILES = [
    (b"[]", "FORM"),
    (b"{}", "FORM"),
    (b'{"policy":1,"sigs":[]}', "FORM"),
    (b'{"policy":"{}","sigs":[]}', "FORM"),
    (b'{"policy":"[]","sigs":[]}', "FORM"),
    (json.dumps({"policy": text().decode(), "sigs": [{"kid": "x", "s": "y"}]}).encode(), "FORM"),
    (json.dumps({"policy": text().decode(), "sigs": [], "more": 1}).encode(), "FORM"),
    (json.dumps({"policy": "é", "sigs": []}).encode(), "FORM"),
    (json.dumps({"policy": text().decode() + " ", "sigs": []}).encode(), "NOT_CANONICAL"),
    (b" " * (FILE_LIMIT + 1), "TOO_BIG"),
]


@pytest.mark.parametrize(("data", "code"), BAD_FILES)
def test_a_file_that_is_no_signed_policy_is_refused(data: bytes, code: str):
    with pytest.raises(Refusal) as caught:
        SignedPolicy.parse(data)
    assert caught.value.code == code


def test_a_signature_with_a_changed_character_is_refused(view: Directory, own: Chain):
    policy = signed()
    first, second = policy.sigs
    spoiled = PolicySignature(kid=second.kid, s=("A" if second.s[0] != "A" else "B") + second.s[1:])
    refused("SIGNATURE", view, own.policy(SignedPolicy(policy.text, (first, spoiled)), T0))


def test_a_digest_is_spoken_in_groups_of_four():
    groups = list(spoken(policy_digest(text())))
    assert len(groups) == 16
    assert {len(group) for group in groups} == {4}


def test_a_policy_key_prints_as_its_id_only():
    from schemas.keyring import PolicyKey

    held = PolicyKey(ONE, "policy-1")
    assert PolicyKey.from_json(held.to_json()).key.kid == ONE.kid
    assert ONE.seed().hex() not in repr(held)
    for spoiled in (
        {},
        {"key": "x", "person": "policy-1"},
        {"key": held.to_json()["key"], "person": 1},
        None,
    ):
        with pytest.raises(Refusal, match="KEYFILE"):
            PolicyKey.from_json(spoiled)


# --- the founding file


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{}", "SETTINGS"),
        (b"[1]", "FORM"),
        (b'[{"policy":1}]', "FORM"),
        ('[{"policy":"é"}]'.encode(), "FORM"),
        (json.dumps([{"policy": "x" * (POLICY_LIMIT + 1)}]).encode(), "TOO_BIG"),
        (b'[{"policy":"{}","s":"x"}]', "FORM"),
    ],
)
def test_a_founding_file_that_is_none_is_refused(data: bytes, code: str):
    with pytest.raises(Refusal) as caught:
        Founding.parse(data)
    assert caught.value.code == code


def test_a_founding_file_reads_back_as_it_was_written():
    found = Founding((Signed(b"{}", bytes(64)),), {policy_digest(text()): text()})
    assert Founding.parse(found.to_bytes()) == found
