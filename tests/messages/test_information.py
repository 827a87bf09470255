"""Requests for information, their answers, and leave to pass something on."""

import json

import pytest

from schemas.categories import categories_of, flags_of
from schemas.errors import Refusal
from schemas.messages.catalogue import parse_payload
from schemas.messages.heading import check_heading, heading
from schemas.messages.information import ANSWERED_WITH, asks_of, check_answered
from schemas.minimise import RecipientProfile, minimise
from tests.messages.samples import full, least
from tests.schemas.consent_cases import header

LINE = {"text": "Asked about a flat", "kind": "fact", "said_by_role": "support worker"}


def parsed(payload):
    return parse_payload(json.dumps(payload))


def refusal(payload):
    with pytest.raises(Refusal) as caught:
        parsed(payload)
    return caught.value.code, caught.value.detail


def request(**changes):
    return least("info.request") | changes


def answer(**changes):
    return least("info.give") | changes


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"rag": "RED"}, "rag_why"),
        ({"person_knows": "not_yet"}, "person_knows_not_why"),
        ({"person_knows": "not_safe_to_say"}, "person_knows_not_why"),
        ({"vir": ["VIR-LINE"]}, "victim_notice"),
        ({"vir": ["VIR-LINE"], "victim_notice": "not_given"}, "no_notice_why"),
        ({"vir": ["VIR-LINE"], "victim_notice": "will_be_given"}, "no_notice_why"),
        ({"items": []}, "items"),
        ({"period": {"until": "2026-11-01"}}, "period.since"),
    ],
)
def test_a_request_says_what_it_asks_and_why(changes, missing):
    assert refusal(request(**changes)) == ("MISSING", (missing,))


@pytest.mark.parametrize(
    "name", ["power", "items", "period", "needed_by", "reason_text", "person_knows", "about"]
)
def test_no_request_goes_without(name):
    assert refusal({k: v for k, v in request().items() if k != name})[0] == "MISSING"


def test_a_request_asks_for_kinds_of_the_list_and_never_for_the_file():
    assert refusal(request(items=["whole_file"]))[0] == "UNKNOWN_CODE"
    assert refusal(request(period={"since": "2026-11-02", "until": "2026-11-01"})) == (
        "BAD_VALUE",
        ("period.until",),
    )


@pytest.mark.parametrize("item", ["access", "child", "contact", "crim", "digital", "hc", "health", "ident", "needs",
                                  "person", "risk", "staff_safety", "wishes"])  # fmt: skip
def test_an_answer_to_what_was_asked_holds_nothing_that_was_not(item):
    given = parsed(answer(given=[{"item": item, "lines": [LINE]}], not_held="not_asked_yet"))
    assert item in categories_of(given)
    assert set(categories_of(given)) <= set(asks_of([item]))
    other = "wishes" if item != "wishes" else "person"
    assert item not in asks_of([other])


def test_lines_count_as_what_they_stand_under():
    marks = {item: flags_of(parsed(answer(given=[{"item": item, "lines": [LINE]}], not_held=["access"]))) for item in
             ("health", "crim", "child", "risk", "wishes")}  # fmt: skip
    assert (marks["health"].spec, marks["crim"].crim, marks["child"].child) == (True, True, True)
    assert (marks["risk"].spec, marks["risk"].crim) == (True, True)
    assert not any((marks["wishes"].spec, marks["wishes"].crim, marks["wishes"].child))


def test_what_is_not_held_or_held_back_is_no_information_about_the_person():
    nothing = answer(
        given="not_asked_yet", not_held=["health"], withheld=[{"item": "crim", "why": "confidence"}]
    )
    message = parsed(nothing)
    assert set(categories_of(message)) <= ANSWERED_WITH
    assert not any((flags_of(message).spec, flags_of(message).crim))


def test_an_answer_says_something_and_each_thing_once():
    assert refusal(answer(given="not_asked_yet", not_held="not_asked_yet")) == ("MISSING", ("given",))
    assert refusal(answer(not_held=["needs"])) == ("BAD_VALUE", ("given",))
    assert refusal(answer(withheld=[{"item": "health", "why": "because"}]))[0] == "UNKNOWN_CODE"


def test_an_answer_speaks_of_each_kind_that_was_asked_for():
    asked = parsed(request(items=["contact", "health", "needs"]))
    with pytest.raises(Refusal) as caught:
        check_answered(asked, parsed(answer()))
    assert caught.value.detail == ("health",)
    check_answered(asked, parsed(answer(withheld=[{"item": "health", "why": "no_agreement"}])))


def test_the_header_is_what_the_message_says():
    asked, given, leave = (parsed(full(kind)) for kind in ("info.request", "info.give", "onward.answer"))
    assert heading(asked) == {"asks": list(asks_of(asked.items)), "vir": list(asked.vir)}
    assert heading(given) == {"onward": "NONE", "rfi": given.rfi_ref}
    assert heading(leave) == {"pd": "none"}
    assert heading(parsed(least("referral.universal"))) == {}
    assert heading(parsed(least("info.request")))["vir"] == []


@pytest.mark.parametrize(
    ("kind", "law", "fields", "wrong"),
    [
        ("info.request", {}, {"cls": "INFOREQ"}, ("law.asks",)),
        ("info.request", {"asks": asks_of(["contact"])}, {"cls": "INFOREQ"}, ("law.asks",)),
        ("info.request", {"asks": asks_of(["contact", "needs"]), "vir": ("VIR-LINE",)}, {"cls": "INFOREQ"}, ("law.vir",)),
        ("info.give", {"rfi": "B" * 21 + "A"}, {"cls": "INFOGIVE"}, ("law.rfi",)),
        ("info.give", {"rfi": least("info.give")["rfi_ref"], "onward": "NONE"}, {"cls": "INFOGIVE"}, ("law.onward",)),
        ("onward.ask", {"pd": "personal"}, {}, ("law.pd",)),
    ],
)  # fmt: skip
def test_a_header_that_says_otherwise_is_refused(kind, law, fields, wrong):
    with pytest.raises(Refusal) as caught:
        check_heading(parsed(least(kind)), header(law, **fields).law)
    assert (caught.value.code, caught.value.detail) == ("CLASS_DIFFERS", wrong)


def test_a_header_that_says_the_same_is_not():
    law = header({"asks": asks_of(["contact", "needs"])}, cls="INFOREQ").law
    check_heading(parsed(least("info.request")), law)


@pytest.mark.parametrize("kind", ["onward.ask", "onward.answer"])
def test_asking_for_leave_names_nobody_and_holds_no_words(kind):
    message = parsed(full(kind))
    assert set(categories_of(message)) <= {"ask", "response"}
    assert refusal(full(kind) | {"why": "She asked me to"})[0] == "UNKNOWN_FIELD"


# --- from a case record

CASE = {
    "case_ref": "PWA-2291",
    "person": {
        "person_ref": "qWeRtY0123456789abcdef", "known_as": "Zeph", "legal_name": "Zephyrine Aldous-Marsh", "dob": "1991-04-02",
        "address": "7 Sorrel Way, PE99 4AA", "address_status": "withheld", "pronouns": "she/her",
    },
    "risk": {"tool": "DASH", "level": "high", "prof_judgement": False, "assessed_on": "2026-11-01", "review_on": "2026-12-01"},
    "therapy_notes": "Spoke of the lighthouse dream",
    "reply_to": {"desk": "duty"},
    "info_request": {
        "rag": "AMBER", "power": "An enquiry about an adult", "items": ["contact"], "period": {"since": "2026-06-01"},
        "needed_by": "2026-11-27", "reason_text": "To plan a visit", "person_knows": "yes",
    },
}  # fmt: skip
SEARCHES = RecipientProfile(agency="a", desk="d", sector="health", searches_files=True)


def test_a_request_takes_from_a_case_only_what_finds_the_person():
    found = minimise(CASE, "info.request", recipient=SEARCHES, purpose="ADULT_PROT")
    about = found.message.about
    assert (about.legal_name, about.dob, about.address) == (
        "Zephyrine Aldous-Marsh",
        "1991-04-02",
        "not_asked_yet",
    )
    assert found.categories == ("ask", "ident", "reasons")
    left = {item.path: item.reason_code for item in found.left_out}
    assert (left["risk"], left["therapy_notes"], left["person.address"]) == (
        "NOT_CARRIED",
        "NEVER",
        "ADDRESS_WITHHELD",
    )


def test_what_is_never_shared_is_not_retyped_into_a_reason():
    case = CASE | {
        "info_request": CASE["info_request"] | {"reason_text": "She spoke of the lighthouse dream"}
    }
    with pytest.raises(Refusal) as caught:
        minimise(case, "info.request", recipient=SEARCHES, purpose="ADULT_PROT")
    assert caught.value.code == "NEVER_SHARED"


def test_a_request_goes_to_a_desk_that_searches_and_for_no_statistics():
    for profile, purpose, code in (
        (SEARCHES.model_copy(update={"searches_files": False}), "ADULT_PROT", "WRONG_DESK"),
        (SEARCHES, "STATS", "PURPOSE"),
    ):
        with pytest.raises(Refusal) as caught:
            minimise(CASE, "info.request", recipient=profile, purpose=purpose)
        assert caught.value.code == code
