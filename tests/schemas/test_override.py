"""Overrides as both sides read them: each way in which one can be worthless has its own code (O1-O9)."""

import secrets

import pytest

from schemas.canonical import b64, decode, encode
from schemas.covering import check_covers, weigh
from schemas.errors import Refusal
from schemas.keys import SigningKey, Use
from schemas.override import (
    Terms,
    authorise_override,
    leads,
    parse_core,
    parse_override,
    read_override,
    request_override,
    terms_of,
    verify_override,
)
from schemas.policy import Policy, founding
from schemas.signing import Purpose, Signed
from tests.simulated_world import DESK, NO_PERSON, World
from tests.tools.override_world import DAY, add_person, core_for, introduce, override, reason_record

PEOPLE: dict[str, SigningKey] = {}
TERMS = Terms(DAY, DAY, 28 * DAY)
REFUSED = {
    **NO_PERSON, "pd": "personal", "agree": "REFUSED", "agree_by": "SELF", "b6": "6f", "why_no": "G", "told": "YES",
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World.found(tmp_path_factory.mktemp("override"), "Peacock", "IDVAS", "SARC")
    PEOPLE.update({
        "author": add_person(world, "Peacock", "author-1"),
        "lead": add_person(world, "Peacock", "lead-2"),
        "their lead": add_person(world, "IDVAS", "lead-1"),
        "their author": add_person(world, "IDVAS", "author-2"),
        "unsigned lead": add_person(world, "Peacock", "lead-4", countersign=False),
        "second author": add_person(world, "Peacock", "author-7"),
        "leaving": add_person(world, "Peacock", "lead-8"),
        "lone author": add_person(world, "SARC", "author-1"),
        "new lead": add_person(world, "Peacock", "lead-3", ago=DAY - 60),
    })  # fmt: skip
    return world


def header_of(world, *to, **changes):
    values = {"purpose": "RISK_MGMT", "law": REFUSED, "rag": "AMBER", **changes}
    return world.seal("Peacock", *(to or ("IDVAS",)), **values).upload.envelope.header


def verified(world, header, author="author", lead="lead", at=None, **changes):
    signed, _ = override(world, header, PEOPLE[author], PEOPLE[lead], **changes)
    found = parse_override(signed)
    verify_override(found, world.directory, TERMS, at or world.now)
    check_covers(found, header, world.directory, TERMS, at or world.now)
    return found


def refused(world, header=None, **how):
    with pytest.raises(Refusal) as refusal:
        verified(world, header or header_of(world), **how)
    return refusal.value.code


def test_an_author_and_a_lead_of_one_agency_may_override(world):
    header = header_of(world)
    found = verified(world, header)
    assert (found.core.mid, found.core.reason) == (header.mid, "G")
    weighed = weigh(header, found, world.directory, TERMS, world.now)
    assert (weighed.facts.valid, weighed.facts.covers, weighed.code) == (True, True, "")
    assert weighed.facts.author != weighed.facts.authoriser


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"lead": "author"}, "AUTHORISER_SAME"),
        ({"author": "lead"}, "AUTHORISER_SAME"),
        ({"author": "lead", "lead": "new lead"}, "AUTHOR_ROLE"),
        ({"lead": "their lead"}, "OVERRIDE_AGENCY"),
        ({"author": "their author"}, "OVERRIDE_AGENCY"),
        ({"lead": "new lead"}, "ROLE_KEY_YOUNG"),
        ({"lead": "unsigned lead"}, "ROLE_KEY_UNSIGNED"),
    ],
)
def test_only_a_lead_of_the_same_agency_authorises(world, how, code):
    assert refused(world, **how) == code


def test_an_author_never_authorises_another_authors_request(world):
    assert refused(world, lead="second author") == "AUTHORISER_ROLE"


REASONS = [
    ("G", "AMBER", "G", True),
    ("G", "RED", "F", False),
    ("A", "AMBER", "F", False),
    ("A", "RED", "F", False),
    ("F", "RED", "F", True),
    ("F", "RED", "G", False),
    ("E", "AMBER", "E", True),
    (None, "RED", "F", True),
    (None, "AMBER", "F", False),
    (None, "AMBER", "A", True),
    (None, "AMBER", "E", True),
    (None, "RED", "G", False),
    (None, "RED", "Z", False),
]
"""What the message says, its colour, what the override says, whether they go together."""


@pytest.mark.parametrize(("said", "rag", "named", "fits"), REASONS)
@pytest.mark.parametrize("gone", [False, True])
def test_a_reason_is_the_messages_own_and_an_emergency_is_red(world, said, rag, named, fits, gone):
    header = header_of(world, rag=rag, law={**REFUSED, "why_no": said})
    signed, _ = override(world, header, PEOPLE["author"], PEOPLE["lead"], reason=named)
    args = (parse_override(signed), header, world.directory, TERMS, world.now)
    if fits:
        check_covers(*args, gone=gone)
        return
    with pytest.raises(Refusal, match="OVERRIDE_DIFFERS"):
        check_covers(*args, gone=gone)


BASES = [
    ("6f", "6f", False, ""),
    ("6f", "6d", False, "OVERRIDE_DIFFERS"),
    ("6f", "6d", True, ""),
    ("6a", "6d", False, "OVERRIDE_DIFFERS"),
    ("6a", "6d", True, ""),
    (None, "6d", False, ""),
    (None, "6d", True, ""),
    (None, "6z", True, "VOCABULARY"),
    ("6f", "6z", True, "VOCABULARY"),
    (None, "6ea:crime", True, ""),
]
"""What the message says, what the override says, whether it has gone, the refusal."""


@pytest.mark.parametrize(("said", "named", "gone", "code"), BASES)
def test_a_basis_is_the_messages_own_or_a_lawful_one(world, said, named, gone, code):
    header = header_of(world, law={**REFUSED, "b6": said})
    signed, _ = override(world, header, PEOPLE["author"], PEOPLE["lead"], basis=named)
    args = (parse_override(signed), header, world.directory, TERMS, world.now)
    if not code:
        check_covers(*args, gone=gone)
        return
    with pytest.raises(Refusal, match=code):
        check_covers(*args, gone=gone)


def test_a_recognised_interest_is_none_before_its_day_and_none_for_a_public_authority(world):
    header = header_of(world, law={**REFUSED, "b6": None})
    signed, _ = override(world, header, PEOPLE["author"], PEOPLE["lead"], basis="6ea:crime")
    found = parse_override(signed)
    first = founding().bases["6ea:crime"].since
    check_covers(found, header, world.directory, TERMS, first)
    with pytest.raises(Refusal, match="PAPER_DATES"):
        check_covers(found, header, world.directory, TERMS, first - 1)
    public = {"public_authority": True, "s16la_member": None, "cda_relevant": None}
    value = decode(founding().text, 128 * 1024)
    policy = Policy.parse(encode({**value, "flags": {header.sender.a: public}}))
    with pytest.raises(Refusal, match="PAPER_PUBLIC"):
        check_covers(found, header, world.directory, terms_of(policy), first)


def test_an_agency_without_a_lead_overrides_nothing(world):
    author, lead = PEOPLE["lone author"], PEOPLE["lead"]
    header = world.seal("SARC", "IDVAS", purpose="RISK_MGMT", law=REFUSED).upload.envelope.header
    signed, _ = override(world, header, author, lead)
    with pytest.raises(Refusal) as refusal:
        verify_override(parse_override(signed), world.directory, TERMS, world.now)
    assert refusal.value.code == "NO_LEAD"
    assert leads(world.directory, world.parties["SARC"].id, world.now) == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": 1}, "LATER"),
        ({"days": 2}, "OVERRIDE_LIFE"),
        ({"mid": b64(bytes(16))}, "OVERRIDE_USED"),
        ({"cat": []}, "OVERRIDE_CATEGORIES"),
        ({"pur": "CHILD_PROT"}, "OVERRIDE_DIFFERS"),
        ({"basis": "6d"}, "OVERRIDE_DIFFERS"),
        ({"reason": "E"}, "OVERRIDE_DIFFERS"),
    ],
)
def test_an_override_is_for_nothing_else(world, changes, code):
    changes = dict(changes)
    if code == "LATER":
        assert refused(world, at=world.now + DAY) == "OVERRIDE_EXPIRED"
        return
    if days := changes.pop("days", None):
        changes["exp"] = world.now + days * DAY
    assert refused(world, **changes) == code


def test_an_override_is_for_nobody_else(world):
    one = {"a": world.parties["IDVAS"].id, "d": DESK}
    assert refused(world, header_of(world, "IDVAS", "SARC"), to=[one]) == "OVERRIDE_RECIPIENTS"
    assert refused(world, to=[{**one, "d": "other"}]) == "OVERRIDE_RECIPIENTS"
    assert refused(world, **{"from": {"a": world.parties["Peacock"].id, "d": "other"}}) == "OVERRIDE_DIFFERS"


def test_a_thread_of_risk_may_have_one_for_four_weeks(world):
    header = header_of(world)
    thread = {"scope": "thread", "mid": None, "thr": header.thr, "exp": world.now + 28 * DAY}
    found = verified(world, header, **thread)
    answer = header_of(world, thread=header.thr)
    check_covers(found, answer, world.directory, TERMS, world.now)
    verify_override(found, world.directory, TERMS, world.now + 27 * DAY)
    assert refused(world, header, **{**thread, "exp": world.now + 29 * DAY}) == "OVERRIDE_LIFE"
    with pytest.raises(Refusal, match="OVERRIDE_USED"):
        check_covers(found, header_of(world), world.directory, TERMS, world.now)


@pytest.mark.parametrize("purpose", ["SUPPORT", "HOUSING", "FORUM"])
def test_a_thread_of_anything_else_has_none(world, purpose):
    header = header_of(world, purpose=purpose)
    assert refused(world, header, scope="thread", mid=None, thr=header.thr) == "OVERRIDE_SCOPE"


def test_agreement_is_no_basis_of_an_override(world):
    assert refused(world, header_of(world, law={**REFUSED, "b6": "6a"})) == "BASIS"


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "thread"},
        {"mid": None},
        {"thr": b64(bytes(16))},
        {"to": []},
        {"cat": ["person", "ask"]},
        {"cat": ["ask", "ask"]},
        {"cat": ["Robin"]},
        {"reason": "because she said so"},
        {"reason": None},
        {"exp": 0},
        {"v": 2},
        {"v": True},
        {"rec": "short"},
        {"more": 1},
    ],
)
def test_a_core_that_does_not_hold_together_is_refused(world, changes):
    assert refused(world, **changes) in ("FORM", "VERSION")


def test_a_core_has_one_spelling(world):
    header = header_of(world)
    record = reason_record(world, "Peacock", b64(bytes(16)))
    text = core_for(world, header, PEOPLE["author"], record, b64(bytes(16))).text()
    assert parse_core(text).text() == text
    with pytest.raises(Refusal, match="NOT_CANONICAL"):
        parse_core(text.replace(b'"v":1', b'"v": 1'))


def test_each_signature_is_for_its_own_purpose_and_bytes(world):
    header, author, lead = header_of(world), PEOPLE["author"], PEOPLE["lead"]
    signed, _ = override(world, header, author, lead)
    found = parse_override(signed)
    core = found.core
    forged = Signed.make(author, Purpose.OVERRIDE_AUTHORISE, core.model_dump(mode="json", by_alias=True))
    swapped = Signed.make(lead, Purpose.OVERRIDE_REQUEST, signed.peek())
    other = Signed(signed.text, bytes(64))
    for bad in (authorise_override(forged, lead, core.ts), swapped, other):
        with pytest.raises(Refusal, match="SIGNATURE"):
            verify_override(parse_override(bad), world.directory, TERMS, world.now)


def test_every_flipped_byte_of_an_override_is_refused(world):
    header = header_of(world)
    signed, _ = override(world, header, PEOPLE["author"], PEOPLE["lead"])
    for at in range(0, len(signed.text), 7):
        text = bytearray(signed.text)
        text[at] ^= 1
        found = read_override(Signed(bytes(text), signed.signature))
        weighed = weigh(header, found, world.directory, TERMS, world.now)
        assert weighed.facts is None or not (weighed.facts.valid and weighed.facts.covers)


def test_a_header_that_names_an_override_which_nobody_shows_has_a_worthless_one(world):
    header = header_of(world).model_copy(update={"ovr": b64(bytes(32))})
    weighed = weigh(header, None, world.directory, TERMS, world.now)
    assert (weighed.facts.valid, weighed.code) == (False, "OVERRIDE_UNKNOWN")
    found = verified(world, header_of(world))
    assert weigh(header, found, world.directory, TERMS, world.now).code != ""


def test_revoking_a_role_key_counts_at_once(world):
    key = PEOPLE["leaving"]
    header = header_of(world)
    verified(world, header, lead="leaving")
    party = world.parties["Peacock"]
    from schemas.chain import Chain
    from schemas.keyring import AdminKeys

    chain = Chain(party.admin.agency, party.admin.op, party.admin.seq, party.admin.head)
    world.take(chain.revoke(key.kid, "left", world.now, world.now))
    party.admin = AdminKeys(chain.agency, chain.op, chain.seq, chain.head)
    assert refused(world, header, lead="leaving") == "REVOKED_KEY"
    # What the two signed before that day is not relied on afterwards either.
    before = {"ts": world.now - 90, "exp": world.now + 90}
    assert refused(world, header, lead="leaving", **before) == "REVOKED_KEY"


# --- who has which role


def said(world, party, tag, countersign=True, key=None):
    key = key or SigningKey(secrets.token_bytes(32))
    for signed in introduce(world, party, key, tag, world.now, countersign=countersign):
        world.take(signed)
    return key


@pytest.mark.parametrize("tag", ["lead", "lead-", "officer-1", "author_1", "lead-A", "lead-1-2"])
def test_a_persons_key_says_its_role_and_a_number(tmp_path, tag):
    world = World.found(tmp_path, "Peacock")
    with pytest.raises(Refusal) as refusal:
        said(world, "Peacock", tag, countersign=False)
    assert refusal.value.code in ("PERSON_TAG", "FORM")


def test_nobody_is_author_and_lead(tmp_path):
    world = World.found(tmp_path, "Peacock", "IDVAS")
    key = said(world, "Peacock", "author-1")
    before = world.parties["Peacock"].admin
    with pytest.raises(Refusal, match="ONE_PERSON"):
        said(world, "Peacock", "lead-1", countersign=False)
    world.parties["Peacock"].admin = before
    with pytest.raises(Refusal, match="KEY"):
        said(world, "Peacock", "lead-2", countersign=False, key=key)
    world.parties["Peacock"].admin = before
    said(world, "IDVAS", "lead-1")
    said(world, "Peacock", "author-1")  # a second key of hers in the same role
    assert world.directory.countersigned[key.kid] == world.now


def test_only_oversight_countersigns_and_only_the_published_role(tmp_path):
    from schemas.chain import Chain

    world = World.found(tmp_path, "Peacock")
    key = said(world, "Peacock", "author-1", countersign=False)

    def countersign(party, role, kid=key.kid):
        admin = world.parties[party].admin
        return Chain(admin.agency, admin.op, admin.seq, admin.head).countersign(kid, role, world.now)

    for party, role, kid, code in (
        ("Peacock", "author", key.kid, "NOT_ALLOWED"),
        ("oversight", "lead", key.kid, "KEY"),
        ("oversight", "author", b64(bytes(32)), "UNKNOWN_KEY"),
        ("oversight", "author", world.parties["Peacock"].member.agent.msg.kid, "UNKNOWN_KEY"),
        ("oversight", "judge", key.kid, "FORM"),
    ):
        with pytest.raises(Refusal) as refusal:
            world.directory.apply(countersign(party, role, kid))
        assert refusal.value.code == code
    world.take(countersign("oversight", "author"))
    assert world.directory.key(key.kid, Use.PERSON, world.now).person == "author-1"


def test_one_person_with_two_keys_signs_only_once(world):
    """A directory that let both roles stand would still not be believed: the persons are compared again."""
    header, author, lead = header_of(world), PEOPLE["author"], PEOPLE["lead"]
    signed, _ = override(world, header, author, lead)
    import copy
    from dataclasses import replace

    view = copy.deepcopy(world.directory)
    agency = view.agencies[world.parties["Peacock"].id]
    view.put(agency.with_keys(replace(agency.keys[lead.kid], person="lead-1")))
    with pytest.raises(Refusal, match="OVERRIDE_ONE_PERSON"):
        verify_override(parse_override(signed), view, TERMS, world.now)


def test_an_author_signs_only_in_her_own_name(world):
    header = header_of(world)
    record = reason_record(world, "Peacock", b64(bytes(16)))
    core = core_for(world, header, PEOPLE["author"], record, b64(bytes(16)))
    with pytest.raises(Refusal, match="KEY"):
        request_override(core, PEOPLE["lead"])
    assert decode(core.text(), 16_384) == decode(encode(core.model_dump(mode="json", by_alias=True)), 16_384)
