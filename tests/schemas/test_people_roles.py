"""Who may hold which roles together, tabled, and the rosters of desks."""

import itertools

import pytest

from schemas.chain import Chain
from schemas.directory_statement import parse_statement
from schemas.errors import Refusal
from schemas.keys import OpeningKey, Use
from schemas.roles import APART, ROLES, check_apart, read_tag
from tests.tools.rotations import NOW, Staffed, by, ceremony, named
from tests.tools.vector_world import ALDER, BIRCH, DAY, OVERSIGHT

HELD = (*ROLES, "ig", "deputy")
TOGETHER = (
    ("author", "ig"), ("author", "deputy"), ("lead", "ig"), ("lead", "deputy"), ("author", "admin"), ("lead", "admin"),
    ("oversight", "admin"), ("oversight", "ig"), ("oversight", "deputy"),
)  # fmt: skip


@pytest.fixture
def world() -> Staffed:
    return Staffed.make()


def published(chain: Chain, tag: str, key: str, nbf: int = NOW, exp: int = NOW + 300 * DAY):
    use = Use.IG_AUTH if tag.startswith(("ig", "deputy")) else Use.PERSON
    return chain.add_key(use, named(key).public, nbf, exp, NOW, tag)


def test_every_pair_of_roles_is_decided():
    decided = APART | set(map(frozenset, TOGETHER))
    assert decided == set(map(frozenset, itertools.combinations(HELD, 2)))
    assert not APART & set(map(frozenset, TOGETHER))


@pytest.mark.parametrize("pair", sorted(map(sorted, APART)))
@pytest.mark.parametrize("turn", [1, -1])
def test_one_person_gets_no_second_role_that_must_be_anothers(world: Staffed, pair: list[str], turn: int):
    first, second = pair[::turn]
    chain = world.oversight if "oversight" in pair else world.alder
    world.take(published(chain, f"{first}-77", "first"))
    with pytest.raises(Refusal, match="ONE_PERSON"):
        world.view.apply(published(Chain(**_place(chain)), f"{second}-77", "second"))
    world.take(published(chain, f"{second}-78", "third"))


@pytest.mark.parametrize("pair", [pair for pair in TOGETHER if "oversight" not in pair])
def test_where_nobody_looks_to_the_other_a_small_agency_may_join_roles(world: Staffed, pair: tuple[str, str]):
    for tag in pair:
        world.take(published(world.alder, f"{tag}-77", f"{tag} of two roles"))


def test_an_ended_role_makes_room_for_the_other(world: Staffed):
    world.take(published(world.alder, "admin-77", "first"), published(world.alder, "ig-78", "second"))
    world.take(world.alder.revoke(named("first").kid, "left", NOW, NOW))
    world.take(published(world.alder, "ig-77", "third"))
    with pytest.raises(Refusal, match="ONE_PERSON"):
        world.view.apply(published(world.alder, "admin-78", "fourth"))


def test_a_role_that_is_to_come_counts_already(world: Staffed):
    world.take(published(world.alder, "admin-77", "first", nbf=NOW + 30 * DAY))
    with pytest.raises(Refusal, match="ONE_PERSON"):
        world.view.apply(published(world.alder, "deputy-77", "second"))


def test_the_officers_opening_key_counts_as_her_signing_key_does(world: Staffed):
    opening = OpeningKey(bytes(range(32)))
    world.take(world.alder.add_key(Use.IG, opening.public, NOW, NOW + DAY, NOW, "ig-77"))
    with pytest.raises(Refusal, match="ONE_PERSON"):
        world.view.apply(published(world.alder, "admin-77", "second"))


def test_only_oversight_names_who_speaks_for_it(world: Staffed):
    with pytest.raises(Refusal, match="NOT_ALLOWED"):
        world.view.apply(published(world.alder, "oversight-1", "first"))
    world.take(published(world.oversight, "oversight-1", "second"))
    world.take(world.oversight.countersign(named("second").kid, "oversight", NOW))


def test_an_administrators_key_neither_asks_nor_authorises_nor_ends_keys(world: Staffed):
    from schemas.directory_keys import emergency_signer
    from schemas.override import leads, role_key

    world.take(published(world.alder, "admin-77", "first"))
    world.take(world.oversight.countersign(named("first").kid, "admin", NOW))
    kid, agency = named("first").kid, world.view.agencies[ALDER.id]
    for role, code in (("author", "AUTHOR_ROLE"), ("lead", "AUTHORISER_ROLE")):
        with pytest.raises(Refusal, match=code):
            role_key(world.view, kid, role, ALDER.id, NOW + 2 * DAY, DAY)
    assert kid not in {key.kid for key in leads(world.view, ALDER.id, NOW)}
    with pytest.raises(Refusal, match="EMERGENCY_ROLE"):
        emergency_signer(world.view, agency, kid, NOW + 2 * DAY)


@pytest.mark.parametrize("tag", ["ig", "share-1", "share-1b", None])
def test_a_tag_without_a_number_is_nobody_in_particular(tag: str | None):
    check_apart(tag, "admin-1")


@pytest.mark.parametrize(
    "tag", ["lead-", "lead", "Lead-1", "chair-1", "ig-1", "lead-1\n", "lead-1-2", "", None]
)
def test_a_person_keys_tag_is_a_role_and_a_number(tag: str | None):
    with pytest.raises(Refusal, match="PERSON_TAG"):
        read_tag(tag)


# --- rosters


def desk_of(world: Staffed) -> str:
    return world.view.agencies[ALDER.id].desks[0]


def test_the_last_roster_before_a_time_counts_then(world: Staffed):
    desk = desk_of(world)
    world.take(world.alder.roster(desk, ("idva", "manager"), NOW))
    world.take(world.alder.roster(desk, (), NOW + DAY))
    agency = world.view.agencies[ALDER.id]
    found = [agency.roster(desk, at) for at in (NOW - 1, NOW, NOW + DAY - 1, NOW + DAY)]
    assert found == [None, ("idva", "manager"), ("idva", "manager"), ()]
    assert agency.roster("elsewhere", NOW + DAY) is None


REFUSED = [
    ("another desk", lambda chain, desk: chain.roster("elsewhere", ("idva",), NOW), "UNKNOWN_DESK"),
    ("a role twice", lambda chain, desk: chain.roster(desk, ("idva", "idva"), NOW), "KEY"),
    ("a name", lambda chain, desk: chain.roster(desk, ("Ann Smith",), NOW), "FORM"),
    ("too many", lambda chain, desk: chain.roster(desk, tuple(f"role-{n}" for n in range(33)), NOW), "FORM"),
    ("by another agency", lambda chain, desk: by(chain, BIRCH.op).roster(desk, ("idva",), NOW), "DIRECTORY"),
    ("by oversight", lambda chain, desk: by(chain, OVERSIGHT.op).roster(desk, ("idva",), NOW), "DIRECTORY"),
]


@pytest.mark.parametrize(("make", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_roster_is_refused(world: Staffed, make, code: str):
    with pytest.raises(Refusal, match=code):
        world.view.apply(make(world.alder, desk_of(world)))


def test_a_renew_key_makes_no_roster(world: Staffed):
    key = named("renewing")
    world.take(world.alder.add_key(Use.RENEW, key.public, NOW, NOW + DAY, NOW))
    with pytest.raises(Refusal, match="RENEW"):
        world.view.apply(by(world.alder, key).roster(desk_of(world), ("idva",), NOW))


def test_what_a_thief_said_of_a_desk_is_undone(world: Staffed):
    desk = desk_of(world)
    world.take(world.alder.roster(desk, ("idva",), NOW))
    stolen = world.alder.roster(desk, ("idva", "stranger"), NOW)
    world.take(stolen)
    op = named("alder op 2")
    start = parse_statement(stolen)[0].seq
    world.take(world.alder.rotate_root(ceremony(ALDER, op=op, void_from=start), op, NOW))
    assert world.view.agencies[ALDER.id].roster(desk, NOW) == ("idva",)


def _place(chain: Chain) -> dict:
    return {"agency": chain.agency, "op": chain.op, "seq": chain.seq, "head": chain.head}
