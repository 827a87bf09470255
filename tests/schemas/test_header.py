"""The header's parser: one spelling, closed lists, and none of pydantic's kindness."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.canonical import encode
from schemas.envelope import Header, Law, parse_header
from schemas.errors import Refusal

FOLDER = Path(__file__).parents[1] / "vectors"
GOOD = json.loads(json.loads((FOLDER / "envelope.json").read_text(encoding="ascii"))["valid"][0]["header"])


def with_(**fields: object) -> bytes:
    return encode({**GOOD, **fields})


def law(**fields: object) -> bytes:
    return with_(law={**GOOD["law"], **fields})


def refused(data: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        parse_header(data)
    return caught.value.code


def test_the_sample_is_a_header():
    assert parse_header(encode(GOOD)).sender.d == "duty"


KIND = [
    ("truth for a number", with_(ts=True)),
    ("a number for truth", law(spec=1)),
    ("nought for false", law(spec=0)),
    ("text for truth", law(spec="false")),
    ("text for a number", with_(ts=str(GOOD["ts"]))),
    ("a number for text", with_(cls=1)),
    ("nothing for a list", law(s1=None)),
    ("an object for a list", law(s1={})),
    ("text for a list", law(s1="s1:18")),
    ("a list for an object", with_(law=[])),
    ("a list in a list", with_(to=[GOOD["to"]])),
    ("an object as an attachment", with_(att={})),
    ("nothing for attachments", with_(att=None)),
]
RANGE = [
    ("a time before 1970", with_(ts=-1)),
    ("a time after the sun", with_(ts=2**40 + 1)),
    ("the largest number there is", with_(ts=2**53 - 1)),
    ("version of agreement nought", law(agree_ver=0)),
    ("version of agreement beyond 2^31", law(agree_ver=2**31 + 1)),
    ("an attestation in small letters", law(vir=["x"])),
    ("more attestations than there are", law(vir=["VIR-LINE"] * 17)),
]
SPELLING = [
    ("an agency id in capitals", with_(**{"from": {"a": GOOD["from"]["a"].upper(), "d": "duty"}})),
    ("an agency id with a digit that base32 lacks", with_(**{"from": {"a": "ag1" + "1" * 32, "d": "duty"}})),
    ("an agency id with a line break", with_(**{"from": {"a": GOOD["from"]["a"] + "\n", "d": "duty"}})),
    ("a desk with a line break", with_(**{"from": {"a": GOOD["from"]["a"], "d": "duty\n"}})),
    ("a desk with another alphabet's a", with_(**{"from": {"a": GOOD["from"]["a"], "d": "dut\u0443"}})),
    ("a desk of nothing", with_(**{"from": {"a": GOOD["from"]["a"], "d": ""}})),
    ("a desk that begins with a digit", with_(**{"from": {"a": GOOD["from"]["a"], "d": "1st"}})),
    ("a desk of 33 letters", with_(**{"from": {"a": GOOD["from"]["a"], "d": "d" * 33}})),
    ("an id with padding", with_(mid=GOOD["mid"] + "==")),
    ("an id with plus and slash", with_(mid="+/" + GOOD["mid"][2:])),
    ("an id of 15 bytes", with_(mid=GOOD["mid"][:20])),
    ("a hash with unused bits set", with_(kc=GOOD["kc"][:42] + "B")),
    ("a hash of 31 bytes", with_(kc=GOOD["kc"][:42])),
    ("a code in small letters", with_(rag="amber")),
    ("a code with a space", with_(rag="AMBER ")),
    ("a code in full-width letters", with_(rag="\uff21MBER")),
    ("a category twice", with_(cat=["ask", "ask"])),
    ("a category with a space", with_(cat=["ask "])),
]


@pytest.mark.parametrize(
    ("what", "data"), KIND + RANGE + SPELLING, ids=[row[0] for row in KIND + RANGE + SPELLING]
)
def test_nothing_is_taken_for_something_else(what: str, data: bytes):
    assert refused(data) == "FORM"


@pytest.mark.parametrize("name", Header.model_fields)
def test_every_member_is_there(name: str):
    name = "from" if name == "sender" else name
    data = encode({key: value for key, value in GOOD.items() if key != name})
    assert refused(data) == ("VERSION" if name == "v" else "FORM")


SELDOM = ("asks", "src")
"""Members that are there only where they say something."""


@pytest.mark.parametrize("name", [name for name in Law.model_fields if name not in SELDOM])
def test_every_member_of_the_law_block_is_there(name: str):
    assert refused(law(**{name: "?"})) == ("AGREE_WORD" if name == "agree" else "FORM")
    less = {key: value for key, value in GOOD["law"].items() if key != name}
    assert refused(with_(law=less)) == ("AGREE_MISSING" if name == "agree" else "FORM")


SOURCE = {"leave": None, "mid": GOOD["mid"], "onward": "ASK", "pur": "SUPPORT"}
OTHER = {**SOURCE, "mid": "A" * 22, "leave": GOOD["mid"]}
REQUEST = {"cls": "INFOREQ"}


@pytest.mark.parametrize(
    "head",
    [
        with_(law={**GOOD["law"], "asks": ["contact", "health"]}, **REQUEST),
        law(src=[SOURCE]),
        law(src=[OTHER, SOURCE]),
    ],
)
def test_what_is_asked_and_what_is_passed_on_read_and_print_back(head: bytes):
    assert parse_header(head).model_dump_json(by_alias=True).encode() == head


@pytest.mark.parametrize(
    ("what", "head", "code"),
    [
        ("an answer that asks", law(asks=["health"]), "FORM"),
        ("nothing asked", with_(law={**GOOD["law"], "asks": []}, **REQUEST), "FORM"),
        ("null asked", with_(law={**GOOD["law"], "asks": None}, **REQUEST), "NOT_CANONICAL"),
        ("out of order", with_(law={**GOOD["law"], "asks": ["health", "contact"]}, **REQUEST), "FORM"),
        ("twice", with_(law={**GOOD["law"], "asks": ["health", "health"]}, **REQUEST), "FORM"),
        ("of no list", with_(law={**GOOD["law"], "asks": ["shoes"]}, **REQUEST), "FORM"),
        ("no source", law(src=[]), "FORM"),
        ("a source that is null", law(src=None), "NOT_CANONICAL"),
        ("sources out of order", law(src=[SOURCE, OTHER]), "FORM"),
        ("a source twice", law(src=[SOURCE, {**SOURCE, "onward": "NONE"}]), "FORM"),
        ("too many sources", law(src=[{**SOURCE, "mid": f"{n:021d}A"} for n in range(17)]), "FORM"),
        *[
            (f"a source without {name}", law(src=[{k: v for k, v in SOURCE.items() if k != name}]), "FORM")
            for name in SOURCE
        ],
        ("a source that says more", law(src=[{**SOURCE, "from": "x"}]), "FORM"),
        ("an onward code in small letters", law(src=[{**SOURCE, "onward": "ask"}]), "FORM"),
    ],
)
def test_what_is_asked_and_what_is_passed_on_is_refused_when_wrong(what: str, head: bytes, code: str):
    assert refused(head) == code


SAID = [
    ("nothing", None, "AGREE_NULL"),
    ("a yes", "Yes", "AGREE_WORD"),
    ("a truth as text", "true", "AGREE_WORD"),
    ("a truth", True, "AGREE_WORD"),
    ("a one", 1, "AGREE_WORD"),
    ("an empty word", "", "AGREE_WORD"),
    ("both yes and no", ["GIVEN", "REFUSED"], "AGREE_BOTH"),
]


@pytest.mark.parametrize(("what", "said", "code"), SAID, ids=[row[0] for row in SAID])
def test_how_the_agreement_stands_is_one_word_of_the_policy(what: str, said: object, code: str):
    assert refused(law(agree=said)) == code


def test_an_agreement_said_twice_is_said_both_ways():
    twice = encode(GOOD).replace(b'"agree":"GIVEN"', b'"agree":"GIVEN","agree":"REFUSED"')
    assert refused(twice) == "AGREE_BOTH"


def test_what_else_is_wrong_with_a_header_keeps_its_own_code():
    assert refused(law(agree="GIVEN", spec="Yes")) == "FORM"
    assert refused(b" " + encode(GOOD)) == "NOT_CANONICAL"


@pytest.mark.parametrize("where", ["", "law", "from", "to"])
def test_no_member_is_there_that_is_not_known(where: str):
    value = json.loads(json.dumps(GOOD))
    part = value if not where else value["to"][0] if where == "to" else value[where]
    part["sender"] = part.get("from", "x")
    assert refused(encode(value)) == "FORM"


@pytest.mark.parametrize("value", [0, 2, -1, "1", None, [1], 10**15])
def test_another_version_is_said_to_be_one(value: object):
    assert refused(with_(v=value)) == "VERSION"


def test_a_version_that_equals_one_without_being_it():
    assert refused(with_(v=True)) == "FORM"


@pytest.mark.parametrize("att", [[None], [[]], [{"h": "x", "n": 1}], ["x"] * 100])
def test_any_attachment_is_refused_as_one(att: list):
    assert refused(with_(att=att)) == "ATTACHMENTS"


@pytest.mark.parametrize("value", [[], None, 1, "x", True])
def test_a_header_is_an_object(value: object):
    assert refused(encode(value)) == "FORM"


def test_a_header_of_more_than_16_kib_is_too_big_whatever_it_says():
    assert refused(b'"' + b"x" * 16 * 1024 + b'"') == "TOO_BIG"
    to = [{**GOOD["to"][0], "d": f"d{n}"} for n in range(64)]
    assert len(with_(to=to)) < 16 * 1024
    assert len(parse_header(with_(to=to)).to) == 64
    assert refused(with_(to=[*to, {**to[0], "d": "d64"}])) == "FORM"


TIMES = [
    (0, 1, True),
    (0, 14 * 86_400, True),
    (0, 14 * 86_400 + 1, False),
    (100, 100, False),
    (100, 99, False),
    (2**40 - 1, 2**40, True),
]


@pytest.mark.parametrize(("ts", "exp", "fits"), TIMES)
def test_a_life_is_between_a_second_and_14_days(ts: int, exp: int, fits: bool):
    if fits:
        parse_header(with_(ts=ts, exp=exp))
    else:
        assert refused(with_(ts=ts, exp=exp)) == "FORM"


TOLD = [
    ("YES", None, True),
    ("NA", None, True),
    ("BY", 5, True),
    ("UNSAFE", 5, True),
    ("BY", None, False),
    ("YES", 5, False),
]


@pytest.mark.parametrize(("told", "by", "fits"), TOLD)
def test_a_date_goes_with_by_and_unsafe(told: str, by: int | None, fits: bool):
    if fits:
        parse_header(law(told=told, told_by=by))
    else:
        assert refused(law(told=told, told_by=by)) == "FORM"


def test_a_desk_stands_once_and_an_agency_may_have_several():
    first = GOOD["to"][0]
    parse_header(with_(to=[first, {**first, "d": "duty"}]))
    assert refused(with_(to=[first, {**first, "k": GOOD["kc"]}])) == "FORM"


def test_an_agreement_and_its_staple_are_named_together_or_not_at_all():
    assert (GOOD["gid"] is None, GOOD["st"] is None) == (False, False)
    parse_header(with_(gid=None, st=None))
    assert refused(with_(gid=None)) == "FORM"
    assert refused(with_(st=None)) == "FORM"


def test_a_refusal_names_fields_and_repeats_no_value():
    with pytest.raises(Refusal) as caught:
        parse_header(with_(cls="12 Example Street", rag="Jo Smith"))
    assert set(caught.value.detail) == {"cls", "rag"}
    shown = f"{caught.value} {caught.value.detail} {caught.value.__cause__} {caught.value.__context__}"
    assert "Example" not in shown
    assert "Smith" not in shown


def test_a_member_name_that_somebody_made_up_is_not_repeated():
    with pytest.raises(Refusal) as caught:
        parse_header(with_(**{"Jo Smith": 1}))
    assert caught.value.detail == ("header",)


@settings(max_examples=150, deadline=None)
@given(seed=st.randoms(use_true_random=False), spaces=st.sampled_from(["", " ", "\n", "\t"]))
def test_every_other_spelling_of_the_same_header_is_refused(seed, spaces: str):
    """Members shuffled, spaces put in, letters escaped: the value is the same and the bytes are not."""

    def shuffled(value: object) -> object:
        if isinstance(value, dict):
            items = list(value.items())
            seed.shuffle(items)
            return {key: shuffled(item) for key, item in items}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    text = json.dumps(shuffled(GOOD), separators=("," + spaces, ":"))
    at = text.index("AMBER") + seed.randrange(5)
    if seed.random() < 0.5:
        text = text[:at] + f"\\u{ord(text[at]):04x}" + text[at + 1 :]
    if text.encode() == encode(GOOD):
        return
    assert json.loads(text) == GOOD
    assert refused(text.encode()) == "NOT_CANONICAL"


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_one_changed_value_anywhere_is_another_header_or_none(data: st.DataObject):
    value = json.loads(json.dumps(GOOD))
    part = data.draw(st.sampled_from([value, value["law"], value["from"], value["to"][0]]))
    name = data.draw(st.sampled_from(sorted(part)))
    part[name] = data.draw(
        st.none() | st.booleans() | st.integers(-5, 2**41) | st.text(max_size=5) | st.just([]) | st.just({})
    )
    try:
        read = parse_header(encode(value))
    except Refusal:
        return
    printed = read.model_dump(mode="json", by_alias=True)
    assert printed == value
    assert encode(printed) == encode(value)
