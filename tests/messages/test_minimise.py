"""From a whole case record only what the form, the desk, the purpose and the person allow goes on."""

import copy
import datetime
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.case import read_case
from schemas.categories import CATEGORIES, categories_of, check_categories, flags_of
from schemas.errors import Refusal
from schemas.kinds import KINDS
from schemas.messages.catalogue import parse_payload, print_payload
from schemas.minimise import Limits, RecipientProfile, minimise
from schemas.selection import look, paths_in

CASES = Path(__file__).parents[1] / "cases"
IDVA = RecipientProfile(agency="ag-idvas", desk="duty", sector="idva", sees_children=True)
HOUSING = RecipientProfile(agency="ag-homes", desk="front", sector="housing")
MASH = RecipientProfile(
    agency="ag-city", desk="mash", sector="childrens_services", sees_children=True, searches_files=True
)
ADULTS = RecipientProfile(agency="ag-city", desk="adults", sector="adult_care", searches_files=True)
ROUTES = {
    "referral.universal": ("adult_referral", IDVA, "RISK_MGMT"),
    "child.concern": ("child_concern", MASH, "CHILD_PROT"),
    "adult.concern": ("adult_concern", ADULTS, "ADULT_PROT"),
}


def case(kind="referral.universal"):
    return json.loads((CASES / f"{ROUTES[kind][0]}.json").read_text(encoding="utf-8"))


def made(record=None, kind="referral.universal", **options):
    _, recipient, purpose = ROUTES[kind]
    options = {"recipient": recipient, "purpose": purpose} | options
    return minimise(case(kind) if record is None else record, kind, **options)


def refusal(record=None, kind="referral.universal", **options):
    with pytest.raises(Refusal) as caught:
        made(record, kind, **options)
    assert caught.value.party == "sender"
    return caught.value


def reasons(result):
    return {item.path: item.reason_code for item in result.left_out}


def changed(path, value, kind="referral.universal"):
    record = case(kind)
    *way, last = path
    place = record
    for step in way:
        place = place[step]
    place[last] = value
    return record


# --- what is carried


@pytest.mark.parametrize("kind", sorted(ROUTES))
def test_the_message_reads_back_and_declares_what_it_holds(kind):
    result = made(kind=kind)
    assert parse_payload(print_payload(result.message)) == result.message
    assert result.categories == categories_of(result.message)
    assert result.flags == flags_of(result.message)
    check_categories(result.message, result.categories)


@pytest.mark.parametrize("kind", sorted(ROUTES))
def test_everything_of_the_record_is_carried_or_listed(kind):
    record = read_case(case(kind))
    result = made(kind=kind)
    text = print_payload(result.message)
    listed = [item.path for item in result.left_out]
    for path in paths_in(record):
        if not any(path == item or path.startswith((f"{item}.", f"{item}[")) for item in listed):
            value = look(record, path)
            assert json.dumps(value, ensure_ascii=False) in text, path


@pytest.mark.parametrize("kind", sorted(ROUTES))
def test_every_reason_is_a_code_and_a_sentence(kind):
    for item in made(kind=kind).left_out:
        assert item.reason_code.isupper()
        assert item.why.endswith(".")
        assert " " in item.why


def test_a_worker_types_three_things_and_the_rest_is_prefilled():
    typed = {
        "person": {"known_as": "Zeph"},
        "wishes": {"wants": "To meet others who understand"},
        "contact": {"channels": [{"kind": "call", "safe": "yes", "value": "07700 900481"}]},
    }
    prefilled = {
        "person": {"area": "Fenland"},
        "contact": {"checked_on": "2026-11-22", "asked_alone": True},
        "referral": {"rag": "GREEN", "strand": "da", "ask": "The recovery group"},
        "reply_to": {"desk": "referrals"},
    }
    record = {name: typed.get(name, {}) | prefilled.get(name, {}) for name in {*typed, *prefilled}}
    result = made(record, purpose="SUPPORT", person_ref="q" * 22)
    assert result.message.wishes.wants == ("To meet others who understand",)
    assert result.message.strand == ("da",)
    assert result.left_out == ()


def test_a_handle_of_this_recipient_replaces_the_records_own():
    assert made(person_ref="x" * 22).message.person.person_ref == "x" * 22
    assert made(person_ref="x" * 22, kind="adult.concern").message.person_ref == "x" * 22
    assert made(person_ref="x" * 22, kind="child.concern").message.person_ref == "x" * 22


def test_what_nobody_tagged_is_carried_as_reported():
    assert [line.kind for line in made(kind="child.concern").message.concern] == [
        "fact",
        "reported",
        "opinion",
    ]


def test_an_age_band_is_enough_and_is_worked_out_only_from_a_given_day():
    record = case()
    del record["person"]["age_band"]
    result = made(record, on=datetime.date(2026, 11, 22))
    assert result.message.person.age_band == "26_39"
    assert reasons(result)["person.dob"] == "ENOUGH"
    assert made(record).message.person.age_band == "not_asked_yet"


@pytest.mark.parametrize(
    ("dob", "band"),
    [
        ("2008-11-23", "16_17"),
        ("2008-11-22", "18_25"),
        ("2014-01-01", "under_13"),
        ("2030-01-01", "not_asked_yet"),
        ("n/k", "not_asked_yet"),
    ],
)
def test_an_age_band_turns_on_the_birthday(dob, band):
    record = changed(("person", "dob"), dob)
    del record["person"]["age_band"]
    assert made(record, on=datetime.date(2026, 11, 22)).message.person.age_band == band


def test_where_family_may_be_the_danger_the_desk_is_told_without_anybody_typing_it():
    record = changed(("referral", "strand"), ["hba"])
    assert "no_family_contact" in made(record).message.handling
    del record["handling"]
    assert made(record).message.handling == ("no_family_contact",)


def test_text_is_tidied_and_not_reworded():
    record = changed(("wishes", "own_words"), "  I said:\r\n\tno\u200bw.\u00ad Cafe\u0301 ")
    assert made(record).message.wishes.own_words == "I said:\n now. Café"


def test_the_child_whom_a_concern_is_about_is_named_by_the_record():
    message = made(kind="child.concern").message
    assert message.child.known_as == "Wren"
    assert [child.known_as for child in message.other_children] == ["Tobit"]
    other = made(changed(("child_concern", "about"), "c2", "child.concern"), "child.concern").message
    assert other.child.legal_name == "Tobit Brambleworth"
    assert [child.known_as for child in other.other_children] == ["Wren"]


def test_which_child_it_is_is_never_guessed():
    record = case("child.concern")
    del record["child_concern"]["about"]
    assert refusal(record, "child.concern").detail == ("child_concern.about.legal_name",)
    del record["children"][1]
    assert made(record, "child.concern").message.child.known_as == "Wren"
    assert (
        refusal(changed(("child_concern", "about"), "c9", "child.concern"), "child.concern").code
        == "BAD_VALUE"
    )


# --- what stays


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("person.legal_name", "NO_SEARCH"),
        ("person.dob", "ENOUGH"),
        ("person.address", "ADDRESS_WITHHELD"),
        ("person.nhs_no", "NO_SEARCH"),
        ("person.ethnicity", "NEVER"),
        ("refuge", "NEVER"),
        ("contact.code_word", "NEVER"),
        ("contact.channels[1].value", "UNSAFE_CHANNEL"),
        ("contact.channels[3].value", "UNSAFE_CHANNEL"),
        ("contact.channels[4].value", "UNSAFE_CHANNEL"),
        ("risk.answers", "TOOL_ANSWERS"),
        ("harm_causers[0].name", "HARM_CAUSER_LEAST"),
        ("harm_causers[0].previous_offences", "HARM_CAUSER_LEAST"),
        ("children[0].legal_name", "NO_SEARCH"),
        ("children[0].dob", "ENOUGH"),
        ("therapy_notes", "NEVER"),
        ("immigration_status", "NEVER"),
        ("bank_details", "NEVER"),
        ("images", "NEVER"),
        ("passwords", "NEVER"),
        ("informant", "NEVER"),
        ("monitoring", "NEVER"),
        ("case_ref", "OWN_NUMBER"),
        ("worker_diary", "NOT_CARRIED"),
    ],
)
def test_a_referral_leaves_behind(path, code):
    assert reasons(made())[path] == code


def test_a_concern_finds_the_person_and_a_referral_does_not():
    assert made(kind="adult.concern").message.ident.legal_name == "Ambrose Fennimore-Tuck"
    assert "Zephyrine" not in print_payload(made().message)


def test_a_concern_about_an_adult_names_nobody_who_causes_harm():
    result = made(kind="adult.concern")
    assert "Lucian" not in print_payload(result.message)
    assert reasons(result)["harm_causers[0].name"] == "HARM_CAUSER_LEAST"


def test_a_concern_about_a_child_carries_the_harm_causer_whom_it_must_find():
    assert made(kind="child.concern").message.harm_causers[0].name == "Leander Crookshanks-Holt"


@pytest.mark.parametrize("status", ["withheld", None, "unknown", "refuge"])
def test_an_address_goes_only_where_it_is_called_shareable(status):
    record = changed(("person", "address_status"), status, "adult.concern")
    del record["contact"]
    result = made(record, "adult.concern") if status in ("withheld", None) else None
    if result is None:
        assert refusal(record, "adult.concern").code == "UNKNOWN_CODE"
    else:
        assert "Kingcup" not in print_payload(result.message)
        assert reasons(result)["person.address"] == "ADDRESS_WITHHELD"


def test_a_desk_for_adults_learns_nothing_about_children():
    result = made(recipient=IDVA.model_copy(update={"sees_children": False}))
    assert reasons(result)["children"] == "ADULT_ONLY"
    assert "Pip" not in print_payload(result.message)
    assert not result.flags.child


def test_a_desk_that_also_supports_those_who_cause_harm_learns_nothing_about_them():
    result = made(recipient=IDVA.model_copy(update={"supports_harm_causer": True}))
    assert reasons(result)["harm_causers"] == "SUPPORTS_HARM_CAUSER"
    assert "hc" not in result.categories


def test_a_desk_described_by_nothing_but_its_name_gets_the_least():
    plain = RecipientProfile(agency="a", desk="d", sector="other")
    assert plain.model_dump(exclude={"agency", "desk", "sector"}) == dict.fromkeys(
        ("sees_children", "searches_files", "supports_harm_causer"), False
    )


def test_housing_does_not_need_devices_or_counts():
    result = made(recipient=HOUSING, purpose="HOUSING")
    found = reasons(result)
    for path in ("digital", "risk.yes_count", "risk.indicators", "access.trauma_triggers"):
        assert found[path] == "PURPOSE"
    assert result.message.risk.level == "medium"


# --- what the person ruled out


def test_a_topic_that_was_ruled_out_is_taken_out_and_listed():
    result = made(limits=Limits(not_about=frozenset({"housing"})))
    assert "housing" not in result.message.needs
    assert reasons(result)["needs[3]"] == "LIMIT"
    assert "needs[0]" not in reasons(result)


def test_a_category_that_was_ruled_out_is_taken_out_and_listed():
    result = made(limits=Limits(not_categories=frozenset({"health", "digital"})))
    assert not {"health", "digital"} & set(result.categories)
    found = reasons(result)
    assert found["digital"] == found["access.trauma_triggers"] == found["needs[2]"] == "LIMIT"


def test_a_block_goes_whole_when_it_cannot_do_without_what_was_ruled_out():
    result = made(
        limits=Limits(not_categories=frozenset({"crim"})), record=changed(("referral", "also_holds"), None)
    )
    assert "crim" not in result.categories
    # The reason for a professional judgement touches on offences, and a judgement without its reason says nothing.
    assert result.message.risk == "not_asked_yet"
    assert reasons(result)["risk.level"] == "LIMIT"


def test_the_message_keeps_within_the_categories_that_were_agreed():
    agreed = frozenset({"ask", "person", "wishes", "contact", "access"})
    result = made(changed(("referral", "also_holds"), None), limits=Limits(categories=agreed))
    assert set(result.categories) <= agreed
    assert result.message.wishes.who_not_to_tell == "not_asked_yet"


def test_no_limit_takes_a_warning_about_contact_off():
    agreed = frozenset({"ask", "person", "wishes", "contact"})
    result = made(changed(("referral", "also_holds"), None), limits=Limits(categories=agreed))
    assert result.message.handling == ("do_not_text", "do_not_write")
    assert [way.safe for way in result.message.contact.channels] == ["yes", "no", "unknown", "no", "unknown"]


@pytest.mark.parametrize("category", ["wishes", "ask", "person", "contact"])
def test_without_what_the_form_needs_it_does_not_go(category):
    found = refusal(limits=Limits(not_categories=frozenset({category})))
    assert (found.code, found.detail) == ("SCOPE", (category,))


def test_the_authors_word_about_the_text_cannot_be_limited_away():
    found = refusal(limits=Limits(not_categories=frozenset({"crim"})))
    assert found.code == "SCOPE"


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        (Limits(not_sectors=frozenset({"housing"})), "recipient.sector"),
        (Limits(not_purposes=frozenset({"HOUSING"})), "purpose"),
        (Limits(not_recipients=frozenset({"ag-homes"})), "recipient"),
        (Limits(not_recipients=frozenset({"ag-homes/front"})), "recipient"),
    ],
)
def test_not_housing_stops_what_is_bound_for_housing(limits, named):
    found = refusal(recipient=HOUSING, purpose="HOUSING", limits=limits)
    assert (found.code, found.detail) == ("SCOPE", (named,))
    assert made(limits=limits).message


# --- refusals


@pytest.mark.parametrize(
    ("kind", "options", "code"),
    [
        ("marac.referral", {}, "UNKNOWN_TYPE"),
        ("referral.response", {}, "NOT_FROM_CASE"),
        ("consent.grant", {}, "NOT_FROM_CASE"),
        ("referral.universal", {"purpose": "CRIME"}, "PURPOSE"),
        ("referral.universal", {"purpose": "IMMIGRATION"}, "PURPOSE"),
        ("child.concern", {"purpose": "SUPPORT"}, "PURPOSE"),
        ("child.concern", {"recipient": IDVA}, "WRONG_DESK"),
        ("child.concern", {"recipient": ADULTS}, "WRONG_DESK"),
        ("child.concern", {"recipient": MASH.model_copy(update={"sees_children": False})}, "WRONG_DESK"),
        ("adult.concern", {"recipient": MASH}, "WRONG_DESK"),
        ("adult.concern", {"recipient": ADULTS.model_copy(update={"searches_files": False})}, "WRONG_DESK"),
    ],
)
def test_a_form_goes_only_where_it_belongs(kind, options, code):
    options = {"recipient": IDVA, "purpose": "SUPPORT"} | (
        {"recipient": ROUTES[kind][1], "purpose": ROUTES[kind][2]} if kind in ROUTES else {}
    ) | options  # fmt: skip
    with pytest.raises(Refusal) as caught:
        minimise(case(), kind, **options)
    assert caught.value.code == code


def test_all_that_is_missing_is_named_at_once_and_where_the_record_wants_it():
    record = {"referral": {"rag": "AMBER"}, "person": {"known_as": "Zeph"}, "wishes": {"wants": " "}}
    found = refusal(record)
    assert found.code == "MISSING"
    assert set(found.detail) == {
        "referral.ask",
        "referral.rag_why",
        "referral.strand",
        "person.area",
        "person.person_ref",
        "wishes.wants",
        "contact.checked_on",
        "contact.asked_alone",
        "contact.channels",
        "reply_to.desk",
    }


@pytest.mark.parametrize("empty", [None, "", "  ", [], {}, "not_asked_yet", [None, ""]])
def test_nothing_said_is_missing_and_not_guessed(empty):
    assert refusal(changed(("wishes", "wants"), empty)).detail == ("wishes.wants",)


@pytest.mark.parametrize(
    ("path", "value", "code", "named"),
    [
        (("referral", "rag"), "amber", "UNKNOWN_CODE", "referral.rag"),
        (("referral", "strand"), ["nuisance"], "UNKNOWN_CODE", "referral.strand[0]"),
        (("referral", "ask"), "x" * 4001, "TOO_LONG", "referral.ask"),
        (("referral", "ask"), "x\u202e", "BAD_TEXT", "referral.ask"),
        (("risk", "yes_count"), 12.5, "BAD_VALUE", "risk.yes_count"),
        (("risk", "yes_count"), float("nan"), "BAD_VALUE", "risk.yes_count"),
        (("person", "person_ref"), "case 417", "BAD_VALUE", "person.person_ref"),
        (("contact", "channels", 0, "value"), "the blue phone", "BAD_VALUE", "contact.channels[0].value"),
        (("digital", "link_ok"), True, "UNKNOWN_FIELD", None),
        (("person",), "Zeph", "BAD_VALUE", "person"),
        (("children",), {"known_as": "Pip"}, "BAD_VALUE", "children"),
        (("needs",), [{"housing": True}], "BAD_VALUE", "needs"),
        (("diary",), datetime.date(2026, 11, 22), "BAD_VALUE", None),
        (("diary",), [[[[[[[[[[[[[[[["deep"]]]]]]]]]]]]]]]], "TOO_BIG", None),
        (("diary",), list(range(20_001)), "TOO_BIG", None),
        (("referral", "tried_already"), ["x y " * 999] * 20, "TOO_BIG", None),
    ],
)
def test_an_answer_that_its_field_cannot_take_is_refused_by_its_place_in_the_record(path, value, code, named):
    record = changed(path, value)
    if path[0] == "digital":
        record["digital"].pop("safe_device")
        code, named = "DIGITAL_UNSAFE", "digital.link_ok"
    found = refusal(record)
    assert found.code == code
    assert named is None or any(entry.startswith(named) for entry in found.detail)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("She can be found at 12 Larkspur Lane", "REFUGE"),
        ("Marigold Lantern House rang", "REFUGE"),
        ("PE99 9ZZ", "REFUGE"),
        ("Text 07700900662 if late", "WITHHELD"),
        ("mail zephyrine.q@mailbox.example", "WITHHELD"),
        ("It is 88 Nettlebed Crescent", "WITHHELD"),
        ("Zephyrine Quillfeather came in", "WITHHELD"),
        ("Gideon Ravenscombe waited outside", "WITHHELD"),
        ("born 14/03/1991", "WITHHELD"),
        ("crime number 35/70031/26", "WITHHELD"),
        ("she described the cellar at her grandmother's house in Saltmarsh End", "KEPT_BACK"),
        ("That day: described the cellar at her grandmother's house in Saltmarsh, only once", "KEPT_BACK"),
        ("Hester Applegarth-Vane told us", "KEPT_BACK"),
        ("Velveteen-Otter-52", "KEPT_BACK"),
    ],
)
@pytest.mark.parametrize("path", [("wishes", "own_words"), ("referral", "ask"), ("reasons", "necessity")])
def test_what_was_left_out_does_not_come_back_through_a_story(path, text, kind):
    found = refusal(changed(path, text))
    assert found.code == "NEVER_SHARED"
    assert any(entry.endswith(kind) for entry in found.detail)
    assert text not in str(found)


def test_the_same_number_may_be_safe_to_call_and_unsafe_to_text():
    record = changed(("contact", "channels", 1, "value"), "07700 900481")
    assert made(record).message.contact.channels[0].value == "07700 900481"


def test_a_parent_of_the_record_may_be_named_where_parents_are_named():
    assert made(kind="child.concern").message.adults_with_pr[0].name == "Odalys Brambleworth"


def test_a_full_name_that_the_person_goes_by_is_no_secret():
    record = changed(("person", "known_as"), "Zephyrine Quillfeather")
    assert made(record).message.person.known_as == "Zephyrine Quillfeather"


def test_the_case_record_is_not_changed():
    record = case()
    before = copy.deepcopy(record)
    made(record, limits=Limits(not_about=frozenset({"housing"})), on=datetime.date(2026, 11, 22))
    assert record == before


def test_names_that_a_case_system_made_up_are_listed_in_a_harmless_form():
    odd = "a.b[0]\u202e\nperson.known_as"
    result = made(case() | {odd: "x", "x" * 500: {"y": 1}})
    assert {"a_b_0___person_known_as", "x" * 60} <= set(reasons(result))


# --- whatever the record holds

WORD = st.sampled_from(["Xanthe Corvidblossom", "Thornapple Weir", "Quincequill 77", "01632 960555"])
NAMES = st.sampled_from(
    ["refuge", "notes", "therapy_notes", "surname", "new_address", "alias", "diary", "safe_house", "friend"]
)


def outcome(record, kind, **options):
    """What minimising gives: a result or a refusal. Anything else that is raised fails the test."""
    try:
        return made(record, kind, **options)
    except Refusal as found:
        return found


def dicts_in(value):
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from dicts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from dicts_in(item)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(ROUTES)), st.data())
def test_no_record_gets_what_was_left_out_into_the_message(kind, data):
    record = case(kind)
    for name in data.draw(st.lists(st.sampled_from(sorted(record)), max_size=4, unique=True)):
        del record[name]
    planted = []
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.sampled_from(list(dicts_in(record))))
        name, word = data.draw(NAMES), data.draw(WORD)
        place[name] = data.draw(st.sampled_from([word, [word], {"name": word}, {"address": word}]))
        planted.append(word)
    limits = data.draw(
        st.none()
        | st.builds(Limits, not_categories=st.frozensets(st.sampled_from(sorted(CATEGORIES)), max_size=3))
    )
    flags = {"sees_children": data.draw(st.booleans()), "supports_harm_causer": data.draw(st.booleans())}
    result = outcome(record, kind, recipient=ROUTES[kind][1].model_copy(update=flags), limits=limits)
    if isinstance(result, Refusal):
        assert result.code in KINDS
        assert not any(word in result.say + " ".join(result.detail) for word in planted)
        return
    text = print_payload(result.message)
    assert not any(word in text for word in planted)
    assert parse_payload(text) == result.message
    assert result.categories == categories_of(result.message)
    if limits:
        assert not set(result.categories) & limits.not_categories
    assert not any(word in f"{item.path} {item.why}" for item in result.left_out for word in planted)
