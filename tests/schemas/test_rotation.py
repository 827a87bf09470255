"""Who may speak for an agency, tabled: rotations of operational and root keys that are refused, each with its code."""

import pytest

from schemas.canonical import b64
from schemas.chain import Chain
from schemas.directory import Directory
from schemas.directory_statement import agency_id
from schemas.emergency import second_signature
from schemas.errors import Refusal
from schemas.keys import LIFE, OpeningKey, SigningKey, Use
from schemas.signing import Purpose, Signed
from tests.tools.rotations import NOW, Staffed, by, ceremony, chain_of, generation, named
from tests.tools.vector_statements import SMALL_ORDER
from tests.tools.vector_world import ALDER, BIRCH, DAY, OVERSIGHT, T0, directory, seed

NEW_OP, RENEW = named("alder op 2"), named("alder renew")


def rotated_op(chain: Chain) -> Signed:
    return chain.rotate_op(NEW_OP, NOW)


def rotated_root(chain: Chain, **how) -> Signed:
    return chain.rotate_root(ceremony(ALDER, op=NEW_OP, **how), NEW_OP, NOW)


def unsigned(signed: Signed) -> Signed:
    return Signed(signed.text, bytes(64))


def resigned(signed: Signed, key: SigningKey, **fields) -> Signed:
    return Signed.make(key, Purpose.DIRECTORY, {**signed.peek(), **fields})


def body_with(signed: Signed, key: SigningKey, **fields) -> Signed:
    value = signed.peek()
    return Signed.make(key, Purpose.DIRECTORY, {**value, "body": {**value["body"], **fields}})


def alder() -> Chain:
    return chain_of(ALDER)


def stranger_root(chain: Chain) -> Signed:
    mine = tuple(named(f"mallory root {n}") for n in range(3))
    return rotated_root(chain, roots=mine)


FOUR = tuple(named(f"alder root of generation 2 {n}") for n in range(4))
SMALL = "AQ" + "A" * 41
REFUSED = [
    ("op: signed by nobody", lambda: unsigned(rotated_op(alder())), "SIGNATURE"),
    ("op: by another agency's administrator", lambda: rotated_op(by(alder(), BIRCH.op)), "DIRECTORY"),
    ("op: by oversight's administrator", lambda: rotated_op(by(alder(), OVERSIGHT.op)), "DIRECTORY"),
    ("op: in the operational key's name by another", lambda: resigned(rotated_op(alder()), BIRCH.op), "SIGNATURE"),
    ("op: by a running key", lambda: rotated_op(by(alder(), ALDER.msg)), "UNKNOWN_KEY"),
    ("op: by the new key itself", lambda: rotated_op(by(alder(), NEW_OP)), "DIRECTORY"),
    ("op: by a root", lambda: rotated_op(by(alder(), generation(ALDER, 0)[0])), "DIRECTORY"),
    ("op: equal serial", lambda: resigned(rotated_op(alder()), ALDER.op, seq=ALDER.chain.seq), "DIRECTORY"),
    ("op: skipped serial", lambda: resigned(rotated_op(alder()), ALDER.op, seq=ALDER.chain.seq + 2), "DIRECTORY"),
    ("op: another previous statement", lambda: resigned(rotated_op(alder()), ALDER.op, prev=b64(bytes(32))), "DIRECTORY"),
    ("op: signed for another purpose", lambda: Signed.make(ALDER.op, Purpose.GRANT, rotated_op(alder()).peek()), "SIGNATURE"),
    ("op: dated before the last", lambda: resigned(rotated_op(alder()), ALDER.op, ts=T0 - 1), "DIRECTORY"),
    ("op: the present one again", lambda: alder().rotate_op(ALDER.op, NOW), "KEY"),
    ("op: another agency's", lambda: alder().rotate_op(BIRCH.op, NOW), "KEY"),
    ("op: a running key", lambda: alder().rotate_op(ALDER.msg, NOW), "KEY"),
    ("op: a root of its own", lambda: alder().rotate_op(generation(ALDER, 0)[1], NOW), "KEY"),
    ("op: a root that is committed to", lambda: alder().rotate_op(generation(ALDER, 1)[1], NOW), "KEY"),
    ("op: of small order", lambda: body_with(rotated_op(alder()), ALDER.op, op_key=b64(SMALL_ORDER)), "KEY"),
    ("op: not on the curve", lambda: body_with(rotated_op(alder()), ALDER.op, op_key=b64(bytes([2]) + bytes(31))), "KEY"),
    ("op: too short", lambda: body_with(rotated_op(alder()), ALDER.op, op_key=b64(bytes(31))), "FORM"),
    ("root: signed by nobody", lambda: unsigned(rotated_root(alder())), "SIGNATURE"),
    ("root: stated by the old operational key", lambda: alder().state("rotate-root", ceremony(ALDER, op=NEW_OP).model_dump(mode="json"), NOW), "DIRECTORY"),
    ("root: stated by another in the new key's name", lambda: resigned(rotated_root(alder()), BIRCH.op), "SIGNATURE"),
    ("root: no root signs", lambda: rotated_root(alder(), signers=()), "ROOT_THRESHOLD"),
    ("root: one below the threshold", lambda: rotated_root(alder(), signers=generation(ALDER, 1)[:1]), "ROOT_THRESHOLD"),
    ("root: a new threshold below the one in force", lambda: rotated_root(alder(), threshold=1, signers=generation(ALDER, 1)[:1]), "ROOT_THRESHOLD"),
    ("root: below a new, higher threshold", lambda: rotated_root(alder(), threshold=3), "ROOT_THRESHOLD"),
    ("root: one signs twice", lambda: rotated_root(alder(), signers=(generation(ALDER, 1)[0],) * 2), "ROOT_THRESHOLD"),
    ("root: enough, but one twice", lambda: rotated_root(alder(), signers=(*generation(ALDER, 1), generation(ALDER, 1)[0])), "ROOT_THRESHOLD"),
    ("root: uncommitted roots", lambda: stranger_root(alder()), "ROOT_UNKNOWN"),
    ("root: one uncommitted among them", lambda: rotated_root(alder(), roots=(*generation(ALDER, 1)[:2], named("mallory"))), "ROOT_UNKNOWN"),
    ("root: today's roots", lambda: rotated_root(alder(), roots=generation(ALDER, 0)), "ROOT_UNKNOWN"),
    ("root: another agency's next roots", lambda: rotated_root(alder(), roots=generation(BIRCH, 1)), "ROOT_UNKNOWN"),
    ("root: signed by roots that it does not name", lambda: rotated_root(alder(), roots=generation(ALDER, 1)[:2], signers=generation(ALDER, 1)[1:]), "ROOT_UNKNOWN"),
    ("root: one named twice", lambda: rotated_root(alder(), roots=(*generation(ALDER, 1), generation(ALDER, 1)[0])), "KEY"),
    ("root: signed for another agency", lambda: alder().rotate_root(ceremony(ALDER, op=NEW_OP).model_copy(update={"sigs": ceremony(BIRCH, op=NEW_OP, roots=generation(ALDER, 1)).sigs}), NEW_OP, NOW), "SIGNATURE"),
    ("root: another op key than was signed", lambda: alder().rotate_root(ceremony(ALDER, op=NEW_OP).model_copy(update={"op_key": b64(BIRCH.op.public)}), BIRCH.op, NOW), "SIGNATURE"),
    ("root: another void than was signed", lambda: alder().rotate_root(ceremony(ALDER, op=NEW_OP).model_copy(update={"void_from": 1}), NEW_OP, NOW), "SIGNATURE"),
    ("root: fewer next roots than must agree", lambda: rotated_root(alder(), after=(named("one").kid,)), "KEY"),
    ("root: no next roots", lambda: rotated_root(alder(), after=()), "KEY"),
    ("root: a next root twice", lambda: rotated_root(alder(), after=(named("one").kid,) * 2), "KEY"),
    ("root: next roots that were there", lambda: rotated_root(alder(), after=tuple(k.kid for k in generation(ALDER, 0))), "KEY"),
    ("root: next roots that are these", lambda: rotated_root(alder(), after=tuple(k.kid for k in generation(ALDER, 1))), "KEY"),
    ("root: another's next roots", lambda: rotated_root(alder(), after=tuple(k.kid for k in generation(BIRCH, 1))), "KEY"),
    ("root: the operational key is there already", lambda: alder().rotate_root(ceremony(ALDER, op=ALDER.auth), ALDER.auth, NOW), "KEY"),
    ("root: a root of small order", lambda: body_with(rotated_root(alder()), NEW_OP, roots=[b64(SMALL_ORDER)]), "KEY"),
    ("root: an operational key of small order", lambda: body_with(rotated_root(alder()), NEW_OP, op_key=b64(SMALL_ORDER)), "KEY"),
    ("root: voids itself", lambda: rotated_root(alder(), void_from=ALDER.chain.seq + 1), "DIRECTORY"),
    ("root: voids the inception", lambda: body_with(rotated_root(alder()), NEW_OP, void_from=0), "FORM"),
    ("root: equal serial", lambda: resigned(rotated_root(alder()), NEW_OP, seq=ALDER.chain.seq), "DIRECTORY"),
    ("root: skipped serial", lambda: resigned(rotated_root(alder()), NEW_OP, seq=ALDER.chain.seq + 2), "DIRECTORY"),
    ("root: dated before the last", lambda: resigned(rotated_root(alder()), NEW_OP, ts=T0 - 1), "DIRECTORY"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "say", "code"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_rotation_that_is_not_the_agencys_changes_nothing(what: str, say, code: str):
    view = directory()
    signed, before = say(), view.agencies[ALDER.id]
    with pytest.raises(Refusal) as caught:
        view.apply(signed)
    assert caught.value.code == code
    assert view.agencies[ALDER.id] == before
    view.apply(rotated_op(alder()))  # and the true one is taken after it


# --- over time


def refused(view: Directory, signed: Signed, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        view.apply(signed)
    assert caught.value.code == code


def test_from_a_rotation_on_only_the_new_operational_key_signs():
    view, chain = directory(), chain_of(ALDER)
    first = chain.rotate_op(NEW_OP, NOW)
    view.apply(first)
    refused(view, by(chain, ALDER.op).revoke(ALDER.msg.kid, "lost", NOW, NOW), "DIRECTORY")
    refused(view, by(chain, ALDER.op).rotate_op(named("alder op 3"), NOW), "DIRECTORY")
    refused(view, first, "DIRECTORY")  # the old rotation again
    refused(view, resigned(first, ALDER.op, seq=chain.seq + 1, prev=chain.head), "DIRECTORY")
    refused(view, by(chain, NEW_OP).rotate_op(ALDER.op, NOW), "KEY")  # and never back
    view.apply(chain.revoke(ALDER.msg.kid, "lost", NOW, NOW))
    assert view.published(ALDER.msg.kid).reason == "lost"


def test_a_root_rotation_is_not_replayed_and_the_next_one_needs_the_next_roots():
    view, chain = directory(), chain_of(ALDER)
    body = ceremony(ALDER, op=NEW_OP)
    first = chain.rotate_root(body, NEW_OP, NOW)
    view.apply(first)
    refused(view, first, "DIRECTORY")
    again = by(chain, NEW_OP)
    refused(view, again.state("rotate-root", body.model_dump(mode="json"), NOW), "ROOT_UNKNOWN")
    third = named("alder op 3")
    refused(view, by(chain, third).rotate_root(ceremony(ALDER, 1, op=third), third, NOW), "ROOT_UNKNOWN")
    view.apply(chain.rotate_root(ceremony(ALDER, 2, op=third), third, NOW))
    assert (view.agencies[ALDER.id].op_kid, view.agencies[ALDER.id].threshold) == (third.kid, 2)


def test_a_lost_root_is_replaced_by_the_others():
    view, chain = directory(), chain_of(ALDER)
    two = generation(ALDER, 1)[1:]
    view.apply(chain.rotate_root(ceremony(ALDER, op=NEW_OP, roots=two, signers=two), NEW_OP, NOW))
    assert view.agencies[ALDER.id].op == NEW_OP.public


def test_roots_may_ask_for_more_agreement_from_now_on():
    view, chain, roots = directory(), chain_of(ALDER), generation(ALDER, 1)
    view.apply(chain.rotate_root(ceremony(ALDER, op=NEW_OP, threshold=3, signers=roots), NEW_OP, NOW))
    third = named("alder op 3")
    refused(view, by(chain, third).rotate_root(ceremony(ALDER, 2, op=third), third, NOW), "ROOT_THRESHOLD")


def test_a_thief_who_keeps_extending_the_chain_is_outrun():
    """What the roots signed names no place in the chain, so it fits wherever the thief has got to meanwhile."""
    view, thief = directory(), chain_of(ALDER)
    start = thief.seq + 1
    body = ceremony(ALDER, op=NEW_OP, void_from=start)
    for number in range(5):
        view.apply(thief.add_key(Use.MSG, named(f"thief {number}").public, NOW, NOW + DAY, NOW))
    view.apply(thief.rotate_op(named("thief's op"), NOW))
    view.apply(thief.add_key(Use.MSG, named("thief 5").public, NOW, NOW + DAY, NOW))
    view.apply(by(thief, NEW_OP).rotate_root(body, NEW_OP, NOW))
    for number in range(6):
        found = view.published(named(f"thief {number}").kid)
        assert (found.revoked, found.reason) == (found.nbf, "voided")
    op = view.agencies[ALDER.id]
    refused(
        view,
        Chain(ALDER.id, named("thief's op"), op.seq, op.head).revoke(ALDER.msg.kid, "lost", NOW, NOW),
        "DIRECTORY",
    )


def test_nobody_takes_a_next_root_before_its_owner_does():
    """A relay that sees a rotation on its way could otherwise publish its roots elsewhere and lock the owner out."""
    view, theirs = directory(), chain_of(BIRCH)
    for root in generation(ALDER, 1):
        refused(view, by(theirs, BIRCH.op).add_key(Use.AUTH, root.public, NOW, NOW + DAY, NOW), "KEY")
        refused(view, by(theirs, BIRCH.op).rotate_op(root, NOW), "KEY")
        _, inception = Chain.begin(named("new op"), (named("new root"),), 1, NOW, (root.kid,))
        refused(view, inception, "KEY")
        _, inception = Chain.begin(named("new op"), (root,), 1, NOW)
        refused(view, inception, "KEY")


# --- keys that are none, wherever a key can enter

BAD_ED = {
    "the neutral element": SMALL_ORDER,
    "of order eight": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    "not on the curve": bytes([2]) + bytes(31),
    "not reduced": (2**255 - 18).to_bytes(32, "little"),
}
GOOD_X = OpeningKey(seed("a prekey")).public
BAD_X = {
    "an Ed25519 key": ALDER.msg.public,
    "a byte short": GOOD_X[:-1],
    "a byte long": GOOD_X + b"\0",
    "an ML-KEM half that is not reduced": b"\xff" * 1184 + GOOD_X[1184:],
    "an X25519 half of nought": GOOD_X[:1184] + bytes(32),
    "an X25519 half of small order": GOOD_X[:1184] + SMALL_ORDER,
}
PLACES = [
    *((use, name, raw) for use in LIFE if use not in (Use.PREKEY, Use.IG) for name, raw in BAD_ED.items()),
    *((use, name, raw) for use in (Use.PREKEY, Use.IG) for name, raw in BAD_X.items()),
    *((use, "an X-Wing key", GOOD_X) for use in LIFE if use not in (Use.PREKEY, Use.IG)),
]


@pytest.mark.parametrize(("use", "name", "raw"), PLACES, ids=[f"{use} {name}" for use, name, _ in PLACES])
def test_no_bad_key_enters(use: Use, name: str, raw: bytes):
    view = directory()
    chain = chain_of(OVERSIGHT if use is Use.POLICY else ALDER)
    person = {Use.PERSON: "lead-1", Use.POLICY: "policy-1"}.get(use)
    refused(view, chain.add_key(use, raw, NOW, NOW + DAY, NOW, person), "KEY")


@pytest.mark.parametrize("raw", BAD_ED.values(), ids=BAD_ED)
def test_no_agency_begins_with_a_bad_key(raw: bytes):
    class Bad:
        kid, public = "", raw

    for op, roots in ((NEW_OP, (Bad(),)), (NEW_OP, (named("root"), Bad())), (Bad(), (named("root"),))):
        _, inception = Chain.begin(NEW_OP, roots, 1, NOW)
        if op is not NEW_OP:
            value = inception.peek()
            value["body"]["op_key"] = b64(raw)
            inception = Signed.make(NEW_OP, Purpose.DIRECTORY, {**value, "agency": agency_id(value["body"])})
        refused(directory(), inception, "KEY")


# --- two people in an emergency

KIDS = (ALDER.msg.kid, ALDER.auth.kid)


def emergency(
    world: Staffed, first: str, second: str, *, kids=KIDS, ago: int = 60, since: int = NOW - 100, key=None
):
    people = {
        **world.people,
        "oversight's op": OVERSIGHT.op,
        "alder's op": ALDER.op,
        "nobody": named("nobody"),
    }
    body = second_signature(people[second], ALDER.id, kids, "compromised", since, NOW - ago)
    if key is not None:
        body = body.model_copy(update={"second": body.second.model_copy(update={"by": people[key].kid})})
    return world.alder.emergency_revoke(body, people[first], NOW)


TAKEN = [
    ("lead", "ig"), ("ig", "lead"), ("lead", "duty"), ("duty", "ig"), ("ig", "oversight's op"), ("oversight's op", "lead"),
    ("second officer", "lead"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), TAKEN)
def test_two_people_in_two_roles_end_keys(first: str, second: str):
    world = Staffed.make()
    world.take(emergency(world, first, second))
    for kid, use in zip(KIDS, (Use.MSG, Use.AUTH), strict=True):
        with pytest.raises(Refusal, match="REVOKED_KEY"):
            world.view.key(kid, use, NOW - 100)
        assert world.view.key(kid, use, NOW - 101).kid == kid
    world.take(world.alder.revoke(ALDER.consent.kid, "lost", NOW, NOW))  # the administrator's chain goes on


STRANGERS = [
    ("one person twice", "lead", "lead", "EMERGENCY_PAIR"),
    ("an officer twice", "ig", "ig", "EMERGENCY_PAIR"),
    ("two people of one role", "ig", "second officer", "EMERGENCY_PAIR"),
    ("oversight's two keys", "duty", "oversight's op", "EMERGENCY_PAIR"),
    ("one person in two roles", "lead", "officer who leads too", "EMERGENCY_PAIR"),
    ("an uncounted lead", "uncounted lead", "ig", "ROLE_KEY_UNSIGNED"),
    ("a lead of less than a day", "ig", "young lead", "ROLE_KEY_YOUNG"),
    ("a revoked lead", "revoked lead", "ig", "REVOKED_KEY"),
    ("an author", "author", "ig", "EMERGENCY_ROLE"),
    ("another agency's officer", "stranger", "lead", "EMERGENCY_ROLE"),
    ("another agency's officer second", "lead", "stranger", "EMERGENCY_ROLE"),
    ("somebody whom nobody published", "nobody", "lead", "UNKNOWN_KEY"),
    ("the agency's administrator", "alder's op", "lead", "UNKNOWN_KEY"),
]


@pytest.mark.parametrize(("what", "first", "second", "code"), STRANGERS, ids=[row[0] for row in STRANGERS])
def test_nobody_else_ends_keys_in_an_emergency(what: str, first: str, second: str, code: str):
    world = Staffed.make()
    refused(world.view, emergency(world, first, second), code)
    assert world.view.key(ALDER.msg.kid, Use.MSG, NOW).revoked is None


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"ago": DAY + 1}, "EMERGENCY_LATE"),
        ({"ago": -1}, "EMERGENCY_LATE"),
        ({"key": "duty"}, "SIGNATURE"),
        ({"kids": (BIRCH.msg.kid,)}, "UNKNOWN_KEY"),
        ({"kids": (ALDER.msg.kid, ALDER.msg.kid)}, "KEY"),
        ({"kids": (ALDER.op.kid,)}, "UNKNOWN_KEY"),
    ],
)
def test_an_emergency_says_exactly_what_both_signed(how: dict, code: str):
    world = Staffed.make()
    refused(world.view, emergency(world, "lead", "ig", **how), code)


@pytest.mark.parametrize("change", [{"since": NOW - 101}, {"reason": "lost"}, {"kids": (ALDER.consent.kid,)}])
def test_the_second_person_signed_that_and_nothing_else(change: dict):
    world = Staffed.make()
    value = emergency(world, "lead", "ig").peek()
    value["body"] |= {key: list(item) if isinstance(item, tuple) else item for key, item in change.items()}
    refused(world.view, Signed.make(world.people["lead"], Purpose.DIRECTORY, value), "SIGNATURE")


def test_the_first_persons_signature_is_held_too():
    world = Staffed.make()
    refused(world.view, unsigned(emergency(world, "lead", "ig")), "SIGNATURE")


# --- a stolen renew key


def test_what_a_compromised_renew_key_published_ends_with_it():
    view, op = directory(), chain_of(ALDER)
    view.apply(op.add_key(Use.RENEW, RENEW.public, NOW, NOW + DAY, NOW))
    agent = by(op, RENEW)
    stolen = NOW + 500
    for number, ts in enumerate((stolen - 301, stolen - 300, stolen + 10)):
        view.apply(agent.add_key(Use.MSG, named(f"renewed {number}").public, ts + 5, ts + DAY, ts))
    op.seq, op.head = agent.seq, agent.head
    view.apply(op.revoke(RENEW.kid, "compromised", stolen, stolen + 20))
    found = [view.published(named(f"renewed {number}").kid) for number in range(3)]
    assert [(key.revoked, key.reason) for key in found] == [
        (None, None),
        (stolen - 295, "compromised"),  # posted at that moment, it may be dated back by so much
        (stolen + 15, "compromised"),
    ]
    refused(
        view,
        by(op, RENEW).add_key(Use.MSG, named("more").public, stolen + 30, stolen + DAY, stolen + 30),
        "REVOKED_KEY",
    )


@pytest.mark.parametrize("reason", ["lost", "rotated", "left"])
def test_what_a_renew_key_published_outlives_it_otherwise(reason: str):
    view, op = directory(), chain_of(ALDER)
    view.apply(op.add_key(Use.RENEW, RENEW.public, NOW, NOW + DAY, NOW))
    agent = by(op, RENEW)
    view.apply(agent.add_key(Use.MSG, named("renewed").public, NOW + 5, NOW + DAY, NOW))
    view.apply(by(agent, ALDER.op).revoke(RENEW.kid, reason, NOW, NOW + 9))
    assert view.key(named("renewed").kid, Use.MSG, NOW + 10).revoked is None
