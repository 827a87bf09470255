"""Agencies that leave, merge and are renamed: whom one may write to, and what whoever looks them up is told (K23, K24)."""

import pytest

from schemas.chain import Chain
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.keys import Use
from tests.tools.rotations import NOW, Staffed, chain_of, named
from tests.tools.vector_world import ALDER, BIRCH, CEDAR, DAY, FLAGS, OVERSIGHT, PUBLIC, T0, directory

STOPS = NOW + DAY


@pytest.fixture
def view() -> Directory:
    return directory()


@pytest.fixture
def over() -> Chain:
    return chain_of(OVERSIGHT)


def said(look, *given, **named_) -> str:
    with pytest.raises(Refusal) as caught:
        look(*given, **named_)
    return f"{caught.value.code}: {caught.value.say}"


def lookups(view: Directory, keys, name: str, at: int) -> list:
    """Every way to whom one may write; the prekey of the vectors' world is sealable for 14 days."""
    return [
        lambda: view.addressed(keys.id, "duty", at),
        lambda: view.prekey(keys.id, at),
        lambda: view.addressee(keys.id, at),
        lambda: view.addressee(name, at),
    ]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("successor", [None, CEDAR.id])
def test_nobody_writes_to_an_agency_that_has_left(
    view: Directory, over: Chain, own: bool, successor: str | None
):
    chain = chain_of(ALDER) if own else over
    view.apply(chain.leave(ALDER.id, STOPS, successor, NOW))
    for look in lookups(view, ALDER, "Alder Support", STOPS - 1):
        look()
    for look in lookups(view, ALDER, "Alder Support", STOPS):
        told = said(look)
        assert told.startswith("LEFT: ")
        assert ("Cedar Council does its work now" in told) is (successor is not None)


def test_one_that_has_left_may_still_collect_confirm_and_answer(view: Directory, over: Chain):
    view.apply(over.leave(ALDER.id, T0, None, T0))
    assert view.requester(ALDER.auth.kid, NOW).agency == ALDER.id
    assert view.key(ALDER.msg.kid, Use.MSG, NOW, ALDER.id).kid == ALDER.msg.kid
    assert view.member(ALDER.id).name == view.find("alder support").name == "Alder Support"
    assert view.desk(ALDER.id, "duty").id == ALDER.id
    assert [officer.kid for officer in view.officers({ALDER.id}, NOW)]


def test_what_is_about_nobody_still_goes(view: Directory, over: Chain):
    view.apply(over.leave(ALDER.id, T0, None, T0))
    assert view.addressed(ALDER.id, "duty", NOW, person=False).id == ALDER.id
    assert view.prekey(ALDER.id, NOW, person=False).kid == ALDER.prekey.kid


def test_the_latest_word_counts_and_oversights_of_two_alike(view: Directory, over: Chain):
    own = chain_of(ALDER)
    view.apply(own.leave(ALDER.id, NOW + 9, None, NOW))
    view.apply(over.leave(ALDER.id, NOW + 5, CEDAR.id, NOW))
    assert (view.member(ALDER.id).left.stops, view.member(ALDER.id).left.successor) == (NOW + 5, CEDAR.id)
    view.apply(own.leave(ALDER.id, NOW + DAY, None, NOW + 1))
    assert view.member(ALDER.id).left.stops == NOW + DAY


def test_one_that_has_left_is_taken_in_again_by_oversight(view: Directory, over: Chain):
    view.apply(over.leave(ALDER.id, STOPS, None, NOW))
    view.apply(
        over.admit(ALDER.id, "Alder Support", ("night",), FLAGS, NOW + 1)
    )  # a new entry, but it still leaves
    assert said(view.addressed, ALDER.id, "night", STOPS).startswith("LEFT")
    view.apply(over.admit(ALDER.id, "Alder Support", ("night",), FLAGS, STOPS))
    assert view.addressed(ALDER.id, "night", STOPS).id == ALDER.id


def test_a_name_is_free_once_its_agency_has_left(view: Directory, over: Chain):
    """Who lost every key, roots and all, is enrolled anew under the same name."""
    view.apply(over.leave(BIRCH.id, NOW, None, NOW))
    view.apply(over.admit(CEDAR.id, "Birch Advisers", ("idva",), FLAGS, NOW))
    assert view.addressee("Birch Advisers", NOW).id == view.find("birch advisers").id == CEDAR.id
    assert said(view.addressee, BIRCH.id, NOW).startswith("LEFT")


def test_an_old_id_leads_to_the_new_one_for_a_time(view: Directory, over: Chain):
    view.apply(over.alias(BIRCH.id, CEDAR.id, STOPS, NOW))
    for look in lookups(view, BIRCH, "Birch Advisers", STOPS - 1):
        told = said(look)
        assert told.startswith("MOVED: ")
        assert "Cedar Council" in told
    assert view.moved(BIRCH.id, STOPS - 1) == CEDAR.id
    assert view.moved(BIRCH.id, STOPS) is None
    assert view.addressee(BIRCH.id, STOPS).id == BIRCH.id  # unless it has left by then
    view.apply(over.leave(BIRCH.id, NOW, CEDAR.id, NOW))
    assert said(view.addressee, BIRCH.id, STOPS - 1).startswith("MOVED")
    assert said(view.addressee, BIRCH.id, STOPS).startswith("LEFT")
    assert view.key(BIRCH.msg.kid, Use.MSG, NOW).agency == BIRCH.id


def test_an_alias_is_taken_back_by_a_shorter_one(view: Directory, over: Chain):
    view.apply(over.alias(BIRCH.id, CEDAR.id, STOPS, NOW))
    view.apply(over.alias(BIRCH.id, CEDAR.id, NOW + 5, NOW + 5))
    assert view.addressee("Birch Advisers", NOW + 5).id == BIRCH.id


REFUSED = [
    ("another agency says that it leaves", lambda over: chain_of(BIRCH).leave(ALDER.id, NOW, None, NOW), "NOT_ALLOWED"),
    ("oversight leaves", lambda over: over.leave(OVERSIGHT.id, NOW, None, NOW), "NOT_ALLOWED"),
    ("an agency that is not there leaves", lambda over: over.leave("ag1" + "a" * 32, NOW, None, NOW), "UNKNOWN_AGENCY"),
    ("its own successor", lambda over: over.leave(ALDER.id, NOW, ALDER.id, NOW), "DIRECTORY"),
    ("a successor that is not there", lambda over: over.leave(ALDER.id, NOW, "ag1" + "a" * 32, NOW), "UNKNOWN_AGENCY"),
    ("an agency moves itself", lambda over: chain_of(ALDER).alias(ALDER.id, BIRCH.id, STOPS, NOW), "NOT_ALLOWED"),
    ("an agency moves another", lambda over: chain_of(ALDER).alias(BIRCH.id, ALDER.id, STOPS, NOW), "NOT_ALLOWED"),
    ("moved to where it is", lambda over: over.alias(ALDER.id, ALDER.id, STOPS, NOW), "DIRECTORY"),
    ("moved to nobody", lambda over: over.alias(ALDER.id, "ag1" + "a" * 32, STOPS, NOW), "UNKNOWN_AGENCY"),
    ("moved to one that is no member", lambda over: over.alias(ALDER.id, OVERSIGHT.id, STOPS, NOW), "UNKNOWN_AGENCY"),
    ("no keys certified", lambda over: chain_of(ALDER).recertify((), NOW), "FORM"),
    ("a running key certified", lambda over: chain_of(ALDER).recertify((ALDER.msg.kid,), NOW), "KEY"),
    ("another agency's person certified", lambda over: chain_of(ALDER).recertify((BIRCH.ig.kid,), NOW), "KEY"),
    ("nobody's key certified", lambda over: chain_of(ALDER).recertify((named("nobody").kid,), NOW), "KEY"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "say", "code"), REFUSED, ids=[row[0] for row in REFUSED])
def test_nobody_else_says_so(view: Directory, over: Chain, what: str, say, code: str):
    assert said(view.apply, say(over)).startswith(code)


def test_a_persons_key_is_as_fresh_as_the_last_word_about_it():
    world = Staffed.make()
    lead = world.people["lead"].kid
    assert world.view.agencies[ALDER.id].certified(lead) == T0 + DAY
    world.take(world.alder.recertify((lead, ALDER.ig.kid), NOW))
    assert world.view.agencies[ALDER.id].certified(lead) == NOW
    with pytest.raises(Refusal, match="KEY"):
        world.take(Chain(ALDER.id, ALDER.op, world.alder.seq, world.alder.head).recertify(
            (world.people["revoked lead"].kid,), NOW
        ))  # fmt: skip


# --- names that pass for another's

LIKE = [
    ("Вirсh Аdvisеrs", "Cyrillic letters among the Latin"),
    ("Birch Advisers\u202e", "turned round"),
    ("\u2066Birch Advisers\u2069", "isolated"),
    ("Birch\u200bAdvisers", "an invisible space"),
    ("Birch\u00adAdvisers", "a soft hyphen"),
    ("Birch  Advisers", "two spaces"),
    ("Ｂirch Advisers", "a wide letter"),
    ("𝐁irch Advisers", "a mathematical letter"),
    ("BIRCH ADVISERS", "in capitals"),
    ("B1rch Advi5ers", "digits"),
    ("Bírch Advisers", "an accent"),
    ("Birch-Advisers.", "other signs"),
    ("Birch Advisers\u0301", "a combining accent at the end"),
    ("Bırch Advısers", "dotless"),
    ("𞤀𞤁𞤂", "a script that the fixed edition does not know"),
    ("123 / 45", "no letter"),
]


@pytest.mark.parametrize(("name", "why"), LIKE, ids=[why for _, why in LIKE])
def test_a_name_that_passes_for_a_members_is_refused(view: Directory, over: Chain, name: str, why: str):
    told = said(view.apply, over.admit(CEDAR.id, name, ("housing",), PUBLIC, NOW))
    assert told.startswith(("NAME", "FORM"))
    assert view.member(CEDAR.id).name == "Cedar Council"


def test_whole_names_in_another_script_are_compared_too(view: Directory, over: Chain):
    view.apply(over.admit(CEDAR.id, "COCHA", ("housing",), PUBLIC, NOW))
    told = said(view.apply, chain_after(over).admit(BIRCH.id, "СОСНА", ("duty",), FLAGS, NOW))
    assert told.startswith("NAME")


def chain_after(chain: Chain) -> Chain:
    return Chain(chain.agency, chain.op, chain.seq, chain.head)
