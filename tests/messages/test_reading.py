"""Any text is a message or a refusal, and a refusal never repeats what somebody wrote."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Refusal
from schemas.kinds import KINDS
from schemas.messages.catalogue import FORMS, class_of, parse_payload, print_payload
from schemas.messages.filling import SAY
from tests.messages.samples import FULL, LEAST, full, least

KINDS_OF_FORM = sorted(LEAST)
CANARY = "Zephyrine Quillfeather"


def refusal(payload: object) -> Refusal:
    text = payload if isinstance(payload, str | bytes) else json.dumps(payload)
    with pytest.raises(Refusal) as caught:
        parse_payload(text)
    return caught.value


def outcome(data):
    """What reading gives: a message or a refusal. Anything else that is raised fails the test."""
    try:
        return parse_payload(data)
    except Refusal as found:
        return found


def test_every_form_has_a_least_and_a_full_sample():
    assert {kind for kind, _ in FORMS} == set(LEAST) == set(FULL)


@pytest.mark.parametrize("kind", KINDS_OF_FORM)
@pytest.mark.parametrize("sample", [least, full])
def test_what_is_printed_reads_as_the_same_message(kind, sample):
    message = parse_payload(json.dumps(sample(kind)))
    assert parse_payload(print_payload(message)) == message


@pytest.mark.parametrize("kind", KINDS_OF_FORM)
def test_printing_is_deterministic_and_leaves_out_what_was_not_asked(kind):
    message = parse_payload(json.dumps(least(kind)))
    shuffled = parse_payload(json.dumps(dict(reversed(least(kind).items()))))
    assert print_payload(message) == print_payload(shuffled)
    assert "not_asked_yet" not in print_payload(message)


@pytest.mark.parametrize("kind", KINDS_OF_FORM)
def test_saying_not_asked_yet_is_the_same_as_saying_nothing(kind):
    form = FORMS[kind, 1]
    said = least(kind)
    for name, field in form.model_fields.items():
        if not field.is_required():
            said.setdefault(name, "not_asked_yet")
    assert parse_payload(json.dumps(said)) == parse_payload(json.dumps(least(kind)))


def test_a_set_of_codes_reads_the_same_in_any_order():
    one, other = full("referral.universal"), full("referral.universal")
    other["needs"] = list(reversed(other["needs"]))
    assert parse_payload(json.dumps(one)) == parse_payload(json.dumps(other))


def test_the_header_class_is_coarse():
    classes = {kind: class_of(parse_payload(json.dumps(least(kind)))) for kind in KINDS_OF_FORM}
    assert classes["child.concern"] == classes["adult.concern"] == "SAFEGUARD"
    assert classes["consent.grant"] == classes["consent.withdraw"] == "CONSENT"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "NOT_JSON"),
        ("{", "NOT_JSON"),
        ("[]", "NOT_JSON"),
        ("null", "NOT_JSON"),
        ('"referral.universal"', "NOT_JSON"),
        ('{"type":"referral.universal"} {}', "NOT_JSON"),
        ("\ufeff{}", "NOT_JSON"),
        ("[" * 50_000, "NOT_JSON"),
        ('{"type":"consent.withdraw","v":1,"gid":"\\ud800","withdrawn_on":"2026-11-20"}', "NOT_JSON"),
        (b"\xff\xfe{}", "NOT_UTF8"),
        ("{}".encode("utf-16"), "NOT_UTF8"),
        ("\ud800", "NOT_UTF8"),
        (b"{" + b" " * 65_536 + b"}", "TOO_BIG"),
        ('{"type":"a","type":"b"}', "DUPLICATE_KEY"),
        ('{"person":{"known_as":"a","known_as":"b"}}', "DUPLICATE_KEY"),
        ('{"v":NaN}', "BAD_NUMBER"),
        ('{"v":-Infinity}', "BAD_NUMBER"),
        ('{"v":1.0}', "BAD_NUMBER"),
        ('{"v":1e400}', "BAD_NUMBER"),
        ('{"v":' + "9" * 5000 + "}", "BAD_NUMBER"),
        ("{}", "UNKNOWN_TYPE"),
        ('{"type":"marac.referral","v":1}', "UNKNOWN_TYPE"),
        ('{"type":["referral.universal"],"v":1}', "UNKNOWN_TYPE"),
        ('{"type":"Referral.Universal","v":1}', "UNKNOWN_TYPE"),
        ('{"type":"referral.universal"}', "UNKNOWN_VERSION"),
        ('{"type":"referral.universal","v":2}', "UNKNOWN_VERSION"),
        ('{"type":"referral.universal","v":"1"}', "UNKNOWN_VERSION"),
        ('{"type":"referral.universal","v":true}', "UNKNOWN_VERSION"),
    ],
)
def test_text_that_is_no_message_is_refused_with_its_own_code(text, code):
    assert refusal(text).code == code


def changed(kind, path, value):
    payload = full(kind)
    *way, last = path
    place = payload
    for step in way:
        place = place[step]
    place[last] = value
    return payload


@pytest.mark.parametrize(
    ("path", "value", "code", "named"),
    [
        (("surname",), CANARY, "UNKNOWN_FIELD", "the form"),
        (("person", "legal_name"), CANARY, "UNKNOWN_FIELD", "person"),
        (("harm_causers", 0, "name"), CANARY, "UNKNOWN_FIELD", "harm_causers[0]"),
        (("contact", "channels", 0, CANARY), 1, "UNKNOWN_FIELD", "contact.channels[0]"),
        (("ask",), CANARY * 400, "TOO_LONG", "ask"),
        (("person", "known_as"), CANARY * 20, "TOO_LONG", "person.known_as"),
        (("wishes", "wants"), [CANARY] * 11, "TOO_LONG", "wishes.wants"),
        (("ask",), CANARY + "\u202e", "BAD_TEXT", "ask"),
        (("ask",), CANARY + "\x07", "BAD_TEXT", "ask"),
        (("ask",), CANARY + "\r\n", "BAD_TEXT", "ask"),
        (("ask",), CANARY + "\u200b", "BAD_TEXT", "ask"),
        (("ask",), CANARY + "\u2028", "BAD_TEXT", "ask"),
        (("ask",), CANARY + "\ue000", "BAD_TEXT", "ask"),
        (("ask",), CANARY + "e\u0301", "BAD_TEXT", "ask"),
        (("ask",), "   ", "MISSING", "ask"),
        (("ask",), "", "MISSING", "ask"),
        (("ask",), "not_asked_yet", "MISSING", "ask"),
        (("strand",), "not_asked_yet", "MISSING", "strand"),
        (("strand",), [], "MISSING", "strand"),
        (("person",), "not_asked_yet", "MISSING", "person.known_as"),
        (("strand",), [CANARY], "UNKNOWN_CODE", "strand[0]"),
        (("rag",), "Red", "UNKNOWN_CODE", "rag"),
        (("strand",), ["da", "da"], "BAD_VALUE", "strand"),
        (("ask",), None, "BAD_VALUE", "ask"),
        (("ask",), 7, "BAD_VALUE", "ask"),
        (("pronouns",), None, "UNKNOWN_FIELD", "the form"),
        (("person", "pronouns"), None, "BAD_VALUE", "person.pronouns"),
        (("risk", "yes_count"), -1, "BAD_VALUE", "risk.yes_count"),
        (("risk", "yes_count"), "12", "BAD_VALUE", "risk.yes_count"),
        (("risk", "prof_judgement"), 1, "BAD_VALUE", "risk.prof_judgement"),
        (("risk", "assessed_on"), "2026-02-30", "BAD_VALUE", "risk.assessed_on"),
        (("risk", "assessed_on"), "20261112", "BAD_VALUE", "risk.assessed_on"),
        (("person", "person_ref"), CANARY, "BAD_VALUE", "person.person_ref"),
        (("reply_to", "desk"), CANARY, "BAD_VALUE", "reply_to.desk"),
    ],
)
def test_a_wrong_answer_is_refused_by_field_and_never_repeated(path, value, code, named):
    found = refusal(changed("referral.universal", path, value))
    assert (found.code, found.party, found.retry) == (code, "sender", False)
    assert named in found.detail
    assert CANARY not in found.say + "".join(found.detail) + str(found) + repr(found)
    assert found.__cause__ is None, "the foreign exception holds the input"


def test_all_that_is_missing_is_named_at_once():
    payload = {"type": "referral.universal", "v": 1, "rag": "AMBER", "risk": {"prof_judgement": True}}
    assert set(refusal(payload).detail) == {
        "rag_why",
        "ask",
        "strand",
        "person.person_ref",
        "person.known_as",
        "person.area",
        "wishes.wants",
        "contact.checked_on",
        "contact.asked_alone",
        "contact.channels",
        "risk.tool",
        "risk.level",
        "risk.assessed_on",
        "risk.review_on",
        "risk.why",
        "reply_to.desk",
    }


def test_joiners_that_a_language_needs_are_carried():
    payload = least("referral.universal")
    payload["wishes"]["wants"] = ["می\u200cخواهم با کسی حرف بزنم"]
    assert parse_payload(json.dumps(payload)).wishes.wants == ("می\u200cخواهم با کسی حرف بزنم",)


def test_every_code_of_this_list_is_a_known_refusal():
    assert set(SAY) <= set(KINDS)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_a_refusal(data):
    found = outcome(data)
    assert not isinstance(found, Refusal) or found.code in KINDS


WORDS = st.text("ab1 -\n\u202e\u0301\ud800", max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KINDS_OF_FORM), st.data())
def test_any_change_of_a_message_is_a_message_that_reads_back_or_a_refusal(kind, data):
    payload = full(kind)
    place = payload
    while True:
        steps = list(place) if isinstance(place, dict) else range(len(place))
        step = data.draw(st.sampled_from(list(steps)))
        if isinstance(place[step], dict | list) and place[step] and data.draw(st.booleans()):
            place = place[step]
            continue
        break
    if data.draw(st.booleans()):
        place[step] = data.draw(JSON)
    else:
        del place[step]
    found = outcome(json.dumps(payload))
    if isinstance(found, Refusal):
        assert found.code in KINDS
    else:
        assert parse_payload(print_payload(found)) == found
