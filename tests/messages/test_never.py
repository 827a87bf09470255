"""What never travels is refused wherever it was typed, and the refusal does not say what it was."""

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.errors import Refusal
from schemas.kept import Kept
from schemas.messages.catalogue import FORMS, parse_payload
from schemas.messages.filling import block_of
from schemas.never import NEVER, kept_of, never_named, refuse_never
from schemas.patterns import KINDS, bare, kinds_in
from tests.messages.samples import full, least

REFUGE = {"name": "Marigold Lantern House", "address": "12 Larkspur Lane, Wisbech", "postcode": "PE99 9ZZ"}


def saying(text):
    payload = least("referral.universal")
    payload["wishes"]["own_words"] = text
    return parse_payload(json.dumps(payload))


def refusal(message, case=None):
    with pytest.raises(Refusal) as caught:
        refuse_never(message, kept_of(case or {}))
    assert caught.value.code == "NEVER_SHARED"
    return caught.value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("POSTCODE", "She is near PE1 1AA now"),
        ("POSTCODE", "pe139zz"),
        ("POSTCODE", "ＰＥ１３ ９ＺＺ"),
        ("POSTCODE", "РЕ13-9ZZ with letters of another alphabet"),
        ("POSTCODE", "PE13\u00a09ZZ"),
        ("POSTCODE", "PE13\u20099ZZ"),
        ("POSTCODE", "SW1A 1AA"),
        ("POSTCODE", "B33 8TH"),
        ("POSTCODE", "(EC1A 1BB)"),
        ("STREET", "12 Larkspur Lane"),
        ("STREET", "12, Old Mill Close"),
        ("STREET", "at 221b baker street"),
        ("STREET", "4 St. Mary's Road"),
        ("STREET", "Flat 3, above the shop"),
        ("BANK", "sort code 12-34-56 account 12345678"),
        ("BANK", "card 4111 1111 1111 1111"),
        ("BANK", "GB29 NWBK 6016 1331 9268 19"),
        ("PASSWORD", "the password is Bluebell7"),
        ("PASSWORD", "PIN: 4821"),
        ("PASSWORD", "her password for the tablet is hunter2"),
        ("PASSWORD", "login = zeph"),
        ("FILE", "data:image/png;base64,iVBORw0KGgo"),
        ("FILE", "<img src=x>"),
        ("FILE", "iVBORw0KGgo" * 20),
        ("NHS_NUMBER", "NHS no 999 000 0018"),
        ("NHS_NUMBER", "9990000018"),
    ],
)
def test_what_looks_like_it_is_refused_by_field_and_kind(kind, text):
    found = refusal(saying(text))
    assert f"wishes.own_words {kind}" in found.detail
    assert KINDS[kind] in found.say
    assert text not in found.say


@pytest.mark.parametrize(
    "text",
    [
        "2 men down the road shouted",
        "DASH 16, two answers unknown, 5 incidents in 12 months",
        "On 12-03-26 the police came, 2 officers and a sergeant",
        "The password is known to him, so it was changed",
        "She has been here 3 weeks; the 1st hearing is on 22 November 2026 at 14:30",
        "4WH and 2WD, then raise it",
        "Section 47 and s17 were explained; crime ref 35/12345/26",
        "Seen 3 times at the house, once in the 2nd week",
        "He works for a school near Larkspur Lane",
        "Flat 2 weeks later: nothing in the flat",
        "E10 4th floor, M1 referral, B12 statements",
        "The account was changed and the bank rang",
        "Ring +44 7700 900123 or 01632 960123",
        "She walks 2 miles to the park with 3 children",
        "A pin on the map, and a login page",
    ],
)
def test_ordinary_sentences_pass(text):
    assert list(kinds_in(text)) == []
    refuse_never(saying(text), kept_of({"refuge": {"name": "Marigold Lantern House"}}))


@pytest.mark.parametrize(
    "text",
    [
        "PE99 9ZZ",
        "it is pe999zz",
        "P E 9 9 - 9 Z Z",
        "ＰＥ９９\u3000９ＺＺ",
        "12 Larkspur Lane",
        "twelve, LARKSPUR LANE, she said",
        "Lárkspur\u2003Lane",
        "larkspur ln",
        "Lаrkspur Lаne, with two letters of another alphabet",
        "Marigold Lantern House",
        "marigold-lantern-house",
        "Marigold\nLantern\nHouse",
        "mari\u200dgold lantern house",
    ],
)
def test_a_refuge_is_found_however_it_is_spelled(text):
    found = refusal(saying(text), {"refuge": REFUGE})
    assert "wishes.own_words REFUGE" in found.detail


def test_a_refuge_is_found_when_it_is_split_over_a_list():
    payload = least("referral.universal") | {"tried_already": ["PE", "99 9", "zz"]}
    assert "REFUGE" in refusal(parse_payload(json.dumps(payload)), {"refuge": REFUGE}).detail[0]


@pytest.mark.parametrize(
    "case",
    [
        {"refuge_address": "12 Larkspur Lane"},
        {"safeHouse": {"lines": ["12 Larkspur Lane"], "town": "Wisbech"}},
        {"person": {"new_address": "12 Larkspur Lane, Wisbech"}},
        {"history": [{"Current Refuge": {"where": "12 Larkspur Lane"}}]},
        {"safe_accommodation": "12 Larkspur Ln"},
    ],
)
def test_a_refuge_is_known_under_many_names_at_any_depth(case):
    assert "wishes.own_words REFUGE" in refusal(saying("by Larkspur Lane"), case).detail


def test_a_refuge_has_no_exception_for_a_shareable_address():
    payload = full("adult.concern")
    payload["ident"]["address"] = {"lines": ["12 Larkspur Lane"], "postcode": "PE99 9ZZ"}
    message = parse_payload(json.dumps(payload))
    refuse_never(message)
    found = refusal(message, {"refuge": REFUGE})
    assert {entry.split()[0] for entry in found.detail} == {
        "ident.address.lines[0]",
        "ident.address.postcode",
    }


def test_a_refuge_has_no_exception_for_a_safe_letter():
    message = parse_payload(json.dumps(full("referral.universal")))
    refuse_never(message)
    found = refusal(message, {"refuge": "5 Teasel Drove, PE99 2HX"})
    assert "contact.channels[3].value REFUGE" in found.detail


def test_the_town_of_a_refuge_is_no_secret_by_itself():
    refuse_never(saying("A place in Wisbech would suit"), kept_of({"refuge": REFUGE | {"town": "Wisbech"}}))


def test_a_refuge_with_a_short_name_is_found_as_a_word_only():
    case = {"refuge": {"name": "Haven"}}
    assert "wishes.own_words REFUGE" in refusal(saying("I like Haven."), case).detail
    refuse_never(saying("We are havening"), kept_of(case))


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ({"therapy_notes": "First. She described the cellar at Saltmarsh End."}, "she described the cellar at saltmarsh end"),
        ({"passwords": {"phone": "Velveteen-Otter-52"}}, "try velveteen otter 52"),
        ({"bank_details": {"account_number": 31926819}}, "number 3192 6819"),
        ({"informant": {"name": "Hester Applegarth-Vane"}}, "Hester Applegarth Vane rang"),
        ({"informant": {"phone": "01632 960712"}}, "ring +44 1632 960712"),
        ({"immigration_status": "Indefinite leave to remain"}, "has indefinite leave to remain"),
        ({"code_word": "tamarisk-kettle"}, "say Tamarisk Kettle"),
    ],
)  # fmt: skip
def test_what_the_record_keeps_back_is_found_in_a_story(case, text):
    found = refusal(saying(text), case)
    assert "wishes.own_words KEPT_BACK" in found.detail
    assert text not in found.say


@pytest.mark.parametrize(
    "case",
    [
        {"monitoring": {"religion": "Quaker", "ethnicity": "White"}},
        {"hiv_status": "positive"},
        {"refuge": {"wanted": True, "beds": 2, "status": "requested"}},
        {"pin": 1},
    ],
)
def test_short_and_common_values_raise_no_alarm(case):
    refuse_never(saying("2 positive Quaker meetings were requested, 1 was White"), kept_of(case))


def test_an_address_in_its_own_field_passes():
    for kind in ("child.concern", "adult.concern", "referral.universal"):
        refuse_never(parse_payload(json.dumps(full(kind))))


def test_an_address_in_any_other_field_does_not():
    payload = full("child.concern")
    payload["adults_with_pr"][0]["name"] = "Odalys of 5 Teasel Lane"
    payload["contact"]["channels"][4]["value"] = "PE99 2HX"
    payload["reply_to"]["worker_role"] = "Teacher, PE99 2HX"
    found = refusal(parse_payload(json.dumps(payload)))
    assert {entry.split()[0] for entry in found.detail} == {
        "adults_with_pr[0].name",
        "contact.channels[4].value",
        "reply_to.worker_role",
    }


def test_no_form_has_a_field_by_a_name_that_never_travels():
    def fields(form):
        for name, field in form.model_fields.items():
            yield name
            inner = block_of(field.annotation)
            if inner:
                yield from fields(inner)

    assert [name for form in FORMS.values() for name in fields(form) if never_named(name)] == []


def test_names_on_the_list_are_bare():
    assert all(name == bare(name) for name in NEVER)


def test_a_kept_text_does_not_print_itself():
    assert "larkspur" not in f"{Kept('larkspurlane', 'REFUGE')!r} {Kept('larkspurlane', 'REFUGE')}"


@settings(deadline=None)
@given(st.text(max_size=60))
@example("PE1 1AA")
@example("\ufdfa" * 50)
def test_looking_at_any_text_ends_and_names_known_kinds(text):
    assert set(kinds_in(text)) <= set(KINDS)


@settings(deadline=None)
@given(st.text(" .-,/_\n\u00a0\u2009\u3000", max_size=3), st.booleans())
def test_any_spacing_and_case_of_a_refuge_postcode_is_found(between, upper):
    written = between.join("pe999zz")
    assert refusal(saying(f"x {written.upper() if upper else written} x"), {"refuge": REFUGE})


@pytest.mark.parametrize("unit", ["1 ", "9a ", "12 a", "password for ", "0-", "PE1 ", "data:a", "flat "])
def test_a_long_hostile_text_is_read_in_a_moment(unit):
    start = time.thread_time()
    list(kinds_in((unit * 4000)[:4000]))
    assert time.thread_time() - start < 2
