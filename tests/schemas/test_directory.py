"""The directory as a table of lookups, and what an agency can and cannot do to its own chain."""

import copy
from dataclasses import replace

import pytest

from schemas.chain import Chain
from schemas.directory import Directory, Party
from schemas.directory_statement import Flags, statement_leaf
from schemas.errors import Refusal
from schemas.keys import OpeningKey, SigningKey, Use
from schemas.merkle import Frontier, leaf_hash
from schemas.signing import Purpose, Signed
from tests.tools.vector_world import (
    ALDER,
    BIRCH,
    CEDAR,
    DAY,
    FLAGS,
    OVERSIGHT,
    STATEMENTS,
    T0,
    Keys,
    directory,
    seed,
)


def chain_of(keys: Keys) -> Chain:
    return Chain(keys.id, keys.op, keys.chain.seq, keys.chain.head)


@pytest.fixture
def view() -> Directory:
    return directory()


MSG, AUTH, PREKEY = ALDER.msg.kid, ALDER.auth.kid, ALDER.prekey.kid
LOOKUPS = [
    ("stands on its first second", MSG, Use.MSG, T0, ALDER.id, None),
    ("stands on its last second", MSG, Use.MSG, T0 + 90 * DAY - 1, ALDER.id, None),
    ("not yet", MSG, Use.MSG, T0 - 1, ALDER.id, "STALE_KEY"),
    ("over", MSG, Use.MSG, T0 + 90 * DAY, ALDER.id, "STALE_KEY"),
    ("for another use", MSG, Use.AUTH, T0, ALDER.id, "UNKNOWN_KEY"),
    ("another agency's", MSG, Use.MSG, T0, BIRCH.id, "UNKNOWN_KEY"),
    ("nobody's", "A" * 43, Use.MSG, T0, ALDER.id, "UNKNOWN_KEY"),
    ("an operational key is no running key", ALDER.op.kid, Use.OP, T0, ALDER.id, "UNKNOWN_KEY"),
    ("a prekey on its last second", PREKEY, Use.PREKEY, T0 + 14 * DAY - 1, ALDER.id, None),
    ("a prekey after 14 days", PREKEY, Use.PREKEY, T0 + 14 * DAY, ALDER.id, "STALE_KEY"),
    ("any agency's, when none is named", MSG, Use.MSG, T0, None, None),
]


@pytest.mark.parametrize(
    ("what", "kid", "use", "at", "agency", "code"), LOOKUPS, ids=[row[0] for row in LOOKUPS]
)
def test_a_key_is_looked_up_by_use_agency_and_time(
    view: Directory, what: str, kid: str, use: Use, at: int, agency: str | None, code: str | None
):
    if code is None:
        assert view.key(kid, use, at, agency).kid == kid
        return
    with pytest.raises(Refusal) as caught:
        view.key(kid, use, at, agency)
    assert caught.value.code == code


REVOKED = [
    ("since now", T0 + 100, T0 + 99, None),
    ("from that second on", T0 + 100, T0 + 100, "REVOKED_KEY"),
    ("from a date in the past", T0 - 1000, T0, "REVOKED_KEY"),
]


@pytest.mark.parametrize(("what", "since", "at", "code"), REVOKED, ids=[row[0] for row in REVOKED])
def test_a_revoked_key_does_not_stand(view: Directory, what: str, since: int, at: int, code: str | None):
    view.apply(chain_of(ALDER).revoke(MSG, "compromised", since, T0 + 200))
    if code is None:
        assert view.key(MSG, Use.MSG, at).revoked == since
        return
    with pytest.raises(Refusal, match=code):
        view.key(MSG, Use.MSG, at)


def test_a_revocation_moves_earlier_and_never_later(view: Directory):
    chain = chain_of(ALDER)
    for since, stands in ((T0 + 500, T0 + 500), (T0 + 900, T0 + 500), (T0 + 100, T0 + 100)):
        view.apply(chain.revoke(MSG, "rotated", since, T0 + 1000))
        assert view.key(MSG, Use.MSG, T0).revoked == stands


def test_a_revoked_key_cannot_be_published_again(view: Directory):
    chain = chain_of(ALDER)
    view.apply(chain.revoke(MSG, "rotated", T0 + 10, T0 + 10))
    with pytest.raises(Refusal, match="KEY"):
        view.apply(chain.add_key(Use.MSG, ALDER.msg.public, T0 + 20, T0 + DAY, T0 + 20))


def test_a_sender_seals_to_the_newest_standing_prekey(view: Directory):
    chain, newer = chain_of(ALDER), OpeningKey(seed("newer"))
    later = OpeningKey(seed("later"))
    view.apply(chain.add_key(Use.PREKEY, newer.public, T0 + 7 * DAY, T0 + 21 * DAY, T0))
    view.apply(chain.add_key(Use.PREKEY, later.public, T0 + 14 * DAY, T0 + 28 * DAY, T0))
    assert view.prekey(ALDER.id, T0).kid == PREKEY
    assert view.prekey(ALDER.id, T0 + 8 * DAY).kid == newer.kid
    assert view.prekey(ALDER.id, T0 + 14 * DAY).kid == later.kid
    view.apply(chain.revoke(later.kid, "lost", T0, T0))
    assert view.prekey(ALDER.id, T0 + 14 * DAY).kid == newer.kid
    with pytest.raises(Refusal, match="STALE_KEY"):
        view.prekey(ALDER.id, T0 + 40 * DAY)


def test_nobody_seals_to_an_agency_that_was_not_admitted(view: Directory):
    with pytest.raises(Refusal, match="UNKNOWN_AGENCY"):
        view.prekey(OVERSIGHT.id, T0)
    with pytest.raises(Refusal, match="UNKNOWN_AGENCY"):
        view.member("ag1" + "a" * 32)


def test_a_desk_is_one_of_the_agencys(view: Directory):
    assert view.desk(BIRCH.id, "idva").name == "Birch Advisers"
    with pytest.raises(Refusal, match="UNKNOWN_DESK"):
        view.desk(BIRCH.id, "housing")


def test_admitting_again_replaces_name_desks_flags_and_sector(view: Directory):
    flags = {**FLAGS, "s16la_member": True}
    view.apply(chain_of(OVERSIGHT).admit(BIRCH.id, "Birch", ("night",), flags, T0, "sarc"))
    assert view.party(BIRCH.id) == Party(Flags(**flags), "sarc")
    member = view.desk(BIRCH.id, "night")
    assert (member.name, member.flags.s16la_member) == ("Birch", True)
    with pytest.raises(Refusal, match="UNKNOWN_DESK"):
        view.desk(BIRCH.id, "idva")


def test_what_an_agency_was_in_law_is_kept_with_its_date(view: Directory):
    """Ten minutes on either side of a change nobody can tell by which entry a relay decided: both count (Q9)."""
    changed, before = T0 + DAY, view.party(BIRCH.id)
    view.apply(chain_of(OVERSIGHT).admit(BIRCH.id, "Birch", ("night",), FLAGS, changed, "sarc"))
    after, other = view.party(BIRCH.id), view.party(ALDER.id)
    assert before != after
    found = {at: view.parties([ALDER.id, BIRCH.id], at) for at in (0, changed - 601, changed + 600)}
    assert found == {
        0: ((other, before),),
        changed - 601: ((other, before),),
        changed + 600: ((other, after),),
    }
    assert view.parties([BIRCH.id], changed - 600) == view.parties([BIRCH.id], changed + 599)
    assert view.parties([BIRCH.id], changed) == ((before,), (after,))
    with pytest.raises(Refusal, match="UNKNOWN_AGENCY"):
        view.parties([OVERSIGHT.id], T0)


def test_the_desks_that_an_agency_had_are_kept_with_their_dates(view: Directory):
    """A message of a desk that was closed since is looked at again: by its recipient, and when a lead lets it go."""
    changed = T0 + DAY
    view.apply(chain_of(OVERSIGHT).admit(BIRCH.id, "Birch", ("night",), FLAGS, changed, "idva"))

    def had(desk: str, at: int | None) -> bool:
        try:
            return view.desk(BIRCH.id, desk, at).id == BIRCH.id
        except Refusal as refusal:
            return refusal.code != "UNKNOWN_DESK"

    times = (None, 0, changed - 601, changed - 600, changed, changed + 599, changed + 600)
    assert [had("idva", at) for at in times] == [False, True, True, True, True, True, False]
    assert [had("night", at) for at in times] == [True, False, False, True, True, True, True]
    with pytest.raises(Refusal, match="UNKNOWN_AGENCY"):
        view.desk(OVERSIGHT.id, "intake", T0)
    assert view.known_desk(BIRCH.id, "idva").name == view.known_desk(BIRCH.id, "night").name == "Birch"
    with pytest.raises(Refusal, match="UNKNOWN_DESK"):
        view.known_desk(BIRCH.id, "housing")


def test_a_chain_does_not_go_back_in_time(view: Directory):
    """By its date everybody tells what counted when, so a date that is over already is nobody's to give."""
    chain = chain_of(OVERSIGHT)
    view.apply(chain.admit(BIRCH.id, "Birch", ("night",), FLAGS, T0 + DAY, "sarc"))
    with pytest.raises(Refusal, match="DIRECTORY"):
        view.apply(replace(chain).admit(BIRCH.id, "Birch", ("night",), FLAGS, T0 + DAY - 1, "police"))
    view.apply(chain.admit(BIRCH.id, "Birch", ("night",), FLAGS, T0 + DAY, "police"))
    assert view.party(BIRCH.id).sector == "police"


def test_the_officers_are_those_of_everybody_concerned_and_oversights(view: Directory):
    found = [officer.kid for officer in view.officers({ALDER.id, CEDAR.id}, T0)]
    assert found == sorted([ALDER.ig.kid, CEDAR.ig.kid, OVERSIGHT.ig.kid])
    assert [officer.kid for officer in view.officers(set(), T0)] == [OVERSIGHT.ig.kid]
    with pytest.raises(Refusal, match="OFFICERS"):
        view.officers({ALDER.id}, T0 + 400 * DAY)


def test_every_officer_of_an_agency_counts(view: Directory):
    second = OpeningKey(seed("second officer"))
    view.apply(chain_of(ALDER).add_key(Use.IG, second.public, T0, T0 + DAY, T0, "ig"))
    found = [officer.kid for officer in view.officers({ALDER.id}, T0)]
    assert found == sorted([ALDER.ig.kid, second.kid, OVERSIGHT.ig.kid])


def test_an_agency_is_found_by_id_or_whole_name_and_never_by_a_name_that_two_share(view: Directory):
    assert view.find(BIRCH.id).id == view.find("birch advisers").id == BIRCH.id
    for taken in ("BIRCH ADVISERS", "Birch-Advisers", "Bírch Advisers", "B1rch Advi5ers"):
        with pytest.raises(Refusal, match=r"^NAME"):
            view.apply(chain_of(OVERSIGHT).admit(CEDAR.id, taken, ("housing",), FLAGS, T0))
    for text in ("Birch", "", OVERSIGHT.id):
        with pytest.raises(Refusal, match="UNKNOWN_AGENCY"):
            view.find(text)


def test_requests_are_signed_by_agents_and_officers_only(view: Directory):
    assert view.requester(AUTH, T0).agency == ALDER.id
    assert view.requester(ALDER.ig_auth.kid, T0).use == Use.IG_AUTH
    for kid in (MSG, ALDER.consent.kid, ALDER.op.kid, "A" * 43):
        with pytest.raises(Refusal, match="UNKNOWN_KEY"):
            view.requester(kid, T0)


def test_an_inception_may_not_take_anothers_keys():
    """Somebody who has read the directory cannot found an agency upon keys that are in it."""
    view = directory()
    mine = SigningKey(seed("mallory"))
    for op, roots in (
        (mine, (SigningKey(ALDER.msg.seed()),)),
        (mine, (SigningKey(seed("alder root 1")),)),
        (mine, (mine,)),
        (mine, (SigningKey(seed("r")), SigningKey(seed("r")))),
        (SigningKey(ALDER.op.seed()), (mine,)),
    ):
        _, inception = Chain.begin(op, roots, 1, T0)
        with pytest.raises(Refusal, match="KEY"):
            view.apply(inception)


@pytest.mark.parametrize(("threshold", "count"), [(0, 1), (2, 1), (10, 9)])
def test_a_threshold_is_between_one_and_the_number_of_roots(threshold: int, count: int):
    roots = tuple(SigningKey(seed(f"root {n}")) for n in range(count))
    _, inception = Chain.begin(SigningKey(seed("op")), roots, threshold, T0)
    with pytest.raises(Refusal, match=r"FORM|DIRECTORY"):
        Directory("ag1" + "a" * 32).apply(inception)


def test_statements_out_of_order_are_refused_and_in_order_taken():
    view = Directory(OVERSIGHT.id)
    first, second, third = OVERSIGHT.statements[:3]
    with pytest.raises(Refusal, match="UNKNOWN_AGENCY"):
        view.apply(second)
    view.apply(first)
    with pytest.raises(Refusal, match="DIRECTORY"):
        view.apply(third)
    view.apply(second)
    view.apply(third)
    for again in (first, second, third):
        with pytest.raises(Refusal, match="DIRECTORY"):
            view.apply(again)


def test_two_chains_from_one_point_cannot_both_be_taken(view: Directory):
    """A stolen operational key can race its owner, but nobody's view holds both."""
    ours, theirs = chain_of(ALDER), chain_of(ALDER)
    view.apply(ours.add_key(Use.MSG, SigningKey(seed("ours")).public, T0, T0 + DAY, T0))
    with pytest.raises(Refusal, match="DIRECTORY"):
        view.apply(theirs.add_key(Use.MSG, SigningKey(seed("theirs")).public, T0, T0 + DAY, T0))


def test_the_root_is_that_of_the_statements_in_order(view: Directory):
    frontier = Frontier()
    for statement in STATEMENTS:
        frontier = frontier.append(leaf_hash(statement_leaf(statement)))
    assert view.frontier == frontier
    assert view.size == len(STATEMENTS)


def test_a_copied_view_goes_its_own_way(view: Directory):
    """An agent tries a page on a copy, so that a page with one bad statement leaves nothing behind."""
    trial = copy.deepcopy(view)
    trial.apply(chain_of(ALDER).revoke(MSG, "lost", T0, T0))
    assert view.key(MSG, Use.MSG, T0).kid == MSG
    assert (view.size, trial.size) == (len(STATEMENTS), len(STATEMENTS) + 1)
    view.apply(chain_of(ALDER).revoke(MSG, "lost", T0, T0))


def test_oversight_can_revoke_only_its_own_keys(view: Directory):
    with pytest.raises(Refusal, match="UNKNOWN_KEY"):
        view.apply(chain_of(OVERSIGHT).revoke(MSG, "compromised", T0, T0))


def test_a_statement_signed_for_the_partnership_file_is_no_directory_statement(view: Directory):
    value = chain_of(ALDER).revoke(MSG, "lost", T0, T0).peek()
    with pytest.raises(Refusal, match="SIGNATURE"):
        view.apply(Signed.make(ALDER.op, Purpose.PARTNERSHIP, value))
