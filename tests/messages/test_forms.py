"""What each form asks for, and what it will not have."""

import json

import pytest

from schemas.errors import Refusal
from schemas.messages.catalogue import FORMS, parse_payload
from schemas.messages.response import Outcome, check_replies
from tests.messages.samples import full, least

SAFE_CALL = {"kind": "call", "safe": "yes", "value": "07700 900481"}


def parsed(payload):
    return parse_payload(json.dumps(payload))


def refusal(payload):
    with pytest.raises(Refusal) as caught:
        parsed(payload)
    return caught.value.code, caught.value.detail


def answers(value):
    """How many answers a payload holds, without its type and version."""
    if isinstance(value, dict):
        return sum(answers(item) for name, item in value.items() if name not in ("type", "v"))
    return 1


def referral(**changes):
    return least("referral.universal") | changes


def with_ways(*ways, **changes):
    return referral(
        contact={"checked_on": "2026-11-12", "asked_alone": True, "channels": list(ways)}, **changes
    )


# --- the universal referral


def test_a_green_referral_takes_fewer_than_twelve_answers():
    payload = least("referral.universal")
    assert parsed(payload).rag == "GREEN"
    assert answers(payload) < 12


@pytest.mark.parametrize("colour", ["RED", "AMBER"])
def test_a_higher_colour_says_why(colour):
    assert refusal(referral(rag=colour)) == ("MISSING", ("rag_why",))
    assert parsed(referral(rag=colour, rag_why="He has a key")).rag == colour


@pytest.mark.parametrize("colour", ["GREEN", "AMBER"])
def test_below_red_a_safe_way_back_is_needed(colour):
    payload = referral(rag=colour, rag_why="A hearing on Monday")
    del payload["contact"]
    assert refusal(payload) == ("MISSING", ("contact.checked_on", "contact.asked_alone", "contact.channels"))


def test_a_red_referral_goes_without_any_paperwork():
    payload = referral(rag="RED", rag_why="He is outside now")
    del payload["contact"]
    assert parsed(payload).contact == "not_asked_yet"


@pytest.mark.parametrize(
    "ways", [[], [{"kind": "call", "safe": "no"}], [{"kind": "call", "safe": "unknown"}]]
)
def test_unknown_and_no_are_no_safe_way_back(ways):
    assert refusal(with_ways(*ways)) == ("MISSING", ("contact.channels",))


def test_the_person_getting_in_touch_is_a_safe_way_back():
    assert parsed(least("referral.universal")).contact.person_will_contact_us is True


@pytest.mark.parametrize("wishes", [{}, {"wants": []}, {"wants": [" "]}, {"own_words": "Help"}])
def test_without_what_the_person_wants_there_is_no_referral(wishes):
    code, detail = refusal(referral(wishes=wishes))
    assert code == "MISSING"
    assert detail[0].startswith("wishes.wants")


def test_a_reason_why_nobody_could_ask_stands_for_wishes():
    reasoned = {"could_not_ask": "not_reached", "why": "Three calls, no answer"}
    assert parsed(referral(wishes={"wants": reasoned})).wishes.wants.could_not_ask == "not_reached"
    assert refusal(referral(wishes={"wants": {"could_not_ask": "not_reached"}})) == (
        "MISSING",
        ("wishes.wants.why",),
    )


@pytest.mark.parametrize("strand", ["fgm", "forced_marriage", "hba"])
def test_where_family_may_be_the_danger_green_is_too_low_and_no_family_is_contacted(strand):
    assert refusal(referral(strand=[strand])) == ("MISSING", ("handling",))
    warned = {"strand": [strand], "handling": ["no_family_contact"]}
    assert refusal(referral(**warned)) == ("COLOUR_TOO_LOW", ("rag",))
    assert parsed(referral(**warned, rag="AMBER", rag_why="A flight is booked")).strand == (strand,)


@pytest.mark.parametrize("name", ["legal_name", "dob", "address", "nhs_no"])
def test_a_referral_has_no_place_for_what_finds_a_person(name):
    payload = referral()
    payload["person"][name] = "x"
    assert refusal(payload)[0] == "UNKNOWN_FIELD"


@pytest.mark.parametrize("name", ["name", "dob", "orders", "status", "aliases"])
def test_a_referral_has_no_place_for_who_causes_harm(name):
    payload = full("referral.universal")
    payload["harm_causers"][0][name] = "x"
    assert refusal(payload)[0] == "UNKNOWN_FIELD"


def test_a_referral_has_no_place_for_answers_to_a_risk_tool():
    payload = full("referral.universal")
    payload["risk"]["answers"] = {"1": "yes"}
    assert refusal(payload) == ("UNKNOWN_FIELD", ("risk",))


# --- contact and devices


@pytest.mark.parametrize("safe", ["no", "unknown"])
def test_a_number_that_is_not_called_safe_is_refused(safe):
    assert refusal(with_ways({"kind": "text", "safe": safe, "value": "07700 900662"}, SAFE_CALL)) == (
        "UNSAFE_CONTACT",
        ("contact.channels[0].value",),
    )


@pytest.mark.parametrize("kind", ["letter", "visit"])
@pytest.mark.parametrize("status", [{}, {"address_status": "withheld"}, {"address_status": "not_asked_yet"}])
def test_an_address_that_is_not_called_shareable_is_refused(kind, status):
    way = {"kind": kind, "safe": "yes", "value": "5 Teasel Drove"} | status
    assert refusal(with_ways(way)) == ("ADDRESS_WITHHELD", ("contact.channels[0].value",))


@pytest.mark.parametrize(
    ("kind", "value"),
    [("call", "5 Teasel Drove"), ("call", "zeph@mail.example"), ("text", "ask"), ("email", "07700 900481")],
)
def test_a_value_must_fit_its_channel(kind, value):
    assert refusal(with_ways({"kind": kind, "safe": "yes", "value": value}))[0] == "BAD_VALUE"


@pytest.mark.parametrize("kind", ["call", "text", "voicemail", "email"])
def test_a_safe_channel_has_its_number(kind):
    assert refusal(with_ways({"kind": kind, "safe": "yes"})) == ("MISSING", ("contact.channels[0].value",))


def test_a_cover_story_is_told_before_it_is_used():
    way = SAFE_CALL | {"if_someone_else_answers": "cover"}
    assert refusal(with_ways(way)) == ("MISSING", ("contact.channels[0].say_we_are",))


@pytest.mark.parametrize("watched", [{"device_shared": True}, {"device_suspected_watched": True}])
@pytest.mark.parametrize("kind", ["text", "voicemail", "email", "app"])
def test_nothing_is_sent_to_a_device_that_others_read(watched, kind):
    way = {"kind": kind, "safe": "yes", "value": "a@b.example" if kind == "email" else "07700 900481"}
    assert refusal(with_ways(way, digital=watched)) == ("DIGITAL_UNSAFE", ("contact.channels",))
    assert parsed(with_ways(SAFE_CALL, digital=watched)).digital.watched()
    assert parsed(with_ways(way, digital=watched | {"safe_device": "A work phone"}))


@pytest.mark.parametrize("name", ["link_ok", "online_form_ok"])
def test_a_watched_device_gets_no_link(name):
    assert refusal(referral(digital={"device_shared": True, name: True}))[0] == "DIGITAL_UNSAFE"


# --- the answer


def test_a_bare_decline_is_refused():
    payload = least("referral.response") | {"outcome": "declined_onward"}
    assert refusal(payload) == ("MISSING", ("criterion_cited", "onward.service_ref", "onward.who_will_do_it"))


@pytest.mark.parametrize(
    ("outcome", "needed"),
    [
        ("accepted", ("first_contact_by",)),
        ("accepted_waiting", ("first_contact_by", "wait_estimate", "holding_support")),
        ("need_more", ("questions",)),
        ("redirect_warm", ("onward.service_ref", "onward.who_will_do_it")),
    ],
)
def test_each_outcome_says_what_happens_next(outcome, needed):
    payload = least("referral.response") | {"outcome": outcome}
    del payload["first_contact_by"]
    assert refusal(payload) == ("MISSING", needed)


def test_five_questions_are_enough():
    payload = least("referral.response") | {"outcome": "need_more", "questions": ["?1"] * 6}
    assert refusal(payload) == ("TOO_LONG", ("questions",))


@pytest.mark.parametrize("replies", [None, []])
def test_an_answer_without_replies_to_the_wishes_is_refused(replies):
    payload = least("referral.response") | {"wish_replies": replies}
    if replies is None:
        del payload["wish_replies"]
    assert refusal(payload) == ("MISSING", ("wish_replies",))


def test_a_wish_is_answered_once():
    reply = least("referral.response")["wish_replies"][0]
    assert refusal(least("referral.response") | {"wish_replies": [reply, reply]})[0] == "BAD_VALUE"


def unanswered(request, numbers):
    reply = least("referral.response")["wish_replies"][0]
    answer = parsed(
        least("referral.response") | {"wish_replies": [reply | {"wish": number} for number in numbers]}
    )
    with pytest.raises(Refusal) as caught:
        check_replies(parsed(request), answer)
    return caught.value.code, caught.value.detail


def test_every_wish_of_the_referral_gets_a_reply():
    check_replies(parsed(full("referral.universal")), parsed(full("referral.response")))
    assert unanswered(full("referral.universal"), [1]) == ("WISH_UNANSWERED", ("wish 2",))
    assert unanswered(full("referral.universal"), [1, 2, 3]) == ("WISH_UNANSWERED", ("wish 3",))


def test_where_nobody_could_ask_the_answer_says_how_it_will_be_asked():
    asked_nobody = referral(wishes={"wants": {"could_not_ask": "emergency", "why": "Ambulance"}})
    check_replies(parsed(asked_nobody), parsed(least("referral.response")))
    assert unanswered(asked_nobody, [2])[0] == "WISH_UNANSWERED"


def test_no_code_blames_the_person():
    words = " ".join(json.dumps(form.model_json_schema()) for form in FORMS.values()).lower()
    for blame in ("engage", "attend", "dna", "complian", "refused", "cooperat", "hard_to_reach", "chaotic"):
        assert blame not in words.replace("attendance", "")
    assert not any("disengaged" in outcome or "fail" in outcome for outcome in Outcome.__args__)


# --- concerns


@pytest.mark.parametrize("kind", ["child.concern", "adult.concern"])
@pytest.mark.parametrize("name", ["concern", "reply_to", "rag"])
def test_a_concern_says_what_was_seen_and_who_waits_for_the_answer(kind, name):
    payload = least(kind)
    del payload[name]
    code, detail = refusal(payload)
    assert code == "MISSING"
    assert detail[0].startswith(name)


def test_a_childs_age_or_birthday_is_needed_unless_red():
    payload = least("child.concern") | {"child": {"legal_name": "Wrenna Brambleworth"}}
    assert refusal(payload) == ("MISSING", ("child.dob",))
    assert parsed(payload | {"rag": "RED", "rag_why": "Tonight"}).child.dob == "not_asked_yet"


def test_not_telling_parents_has_a_reason_unless_red():
    payload = least("child.concern") | {"parents_told": False}
    assert refusal(payload) == ("MISSING", ("parents_not_told_why",))
    assert parsed(payload | {"rag": "RED", "rag_why": "Tonight"}).parents_told is False


def test_an_adults_birthday_is_needed_unless_red():
    payload = least("adult.concern")
    del payload["ident"]["dob"]
    assert refusal(payload) == ("MISSING", ("ident.dob",))
    assert parsed(payload | {"rag": "RED", "rag_why": "Now"}).ident.dob == "not_asked_yet"


def test_raising_a_concern_without_agreement_has_a_reason_unless_red():
    payload = least("adult.concern") | {"consent": {"given": False}}
    assert refusal(payload) == ("MISSING", ("consent.why_not",))
    assert parsed(payload | {"rag": "RED", "rag_why": "Now"}).consent.given is False


def test_an_adult_is_asked_what_they_want_or_it_is_said_why_not():
    payload = least("adult.concern")
    del payload["outcome_wanted"]
    assert refusal(payload) == ("MISSING", ("outcome_wanted",))
    assert refusal(payload | {"outcome_wanted": {"could_not_ask": "emergency"}})[0] == "MISSING"


@pytest.mark.parametrize("status", [{}, {"address_status": "withheld"}])
def test_a_withheld_address_does_not_go_in_a_concern_either(status):
    payload = least("adult.concern")
    payload["ident"] |= {"address": {"lines": ["3 Kingcup Court"]}} | status
    assert refusal(payload) == ("ADDRESS_WITHHELD", ("ident.address",))


@pytest.mark.parametrize("number", ["9990000019", "999000001", "99900000180", "999 000 0018"])
def test_an_nhs_number_carries_its_check_digit(number):
    payload = least("adult.concern")
    payload["ident"]["nhs_no"] = number
    assert refusal(payload) == ("BAD_VALUE", ("ident.nhs_no",))


def test_a_statement_says_whether_it_was_seen_reported_or_thought():
    payload = least("child.concern")
    del payload["concern"][0]["kind"]
    assert refusal(payload) == ("MISSING", ("concern[0].kind",))


# --- agreement


def test_agreement_given_in_company_does_not_count():
    payload = least("consent.grant") | {"alone_when_asked": False}
    assert refusal(payload) == ("NOT_ALONE", ("alone_when_asked",))


def test_a_limited_agreement_names_its_limits():
    payload = least("consent.grant") | {"state": "LIMITED"}
    assert refusal(payload) == ("MISSING", ("limits.not_categories",))
    assert refusal(payload | {"limits": {"in_own_words": "Not the council"}})[0] == "MISSING"
    assert refusal(payload | {"limits": {"not_categories": ["gossip"]}})[0] == "BAD_VALUE"
    assert parsed(payload | {"limits": {"not_categories": ["health"]}})


def test_an_agreement_with_limits_is_not_called_whole():
    payload = full("consent.grant") | {"state": "GIVEN"}
    assert refusal(payload) == ("BAD_VALUE", ("state",))


@pytest.mark.parametrize("until", ["2026-11-11", "2027-11-14", "9999-12-31"])
def test_agreement_ends_within_a_year_and_not_before_it_began(until):
    assert refusal(least("consent.grant") | {"valid_until": until}) == ("BAD_VALUE", ("valid_until",))


def test_withdrawing_takes_a_handle_and_a_day():
    assert answers(least("consent.withdraw")) == 2


@pytest.mark.parametrize(
    "gid", ["", "AAECAwQFBgcICQoLDA0OD", "AAECAwQFBgcICQoLDA0ODx", "case-number-17/2026....."]
)
def test_a_handle_of_an_agreement_is_sixteen_random_bytes(gid):
    code, detail = refusal(least("consent.withdraw") | {"gid": gid})
    assert detail == ("gid",)
    assert code in ("BAD_VALUE", "MISSING", "TOO_LONG")
