"""A policy's text: what holds together, what never can, and what the founding one says."""

import datetime
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.canonical import encode
from schemas.directory import Party
from schemas.directory_statement import Flags
from schemas.errors import Refusal
from schemas.gateways import TESTS
from schemas.policing import policy_digest
from schemas.policy import POLICY_LIMIT, Policy, founding
from schemas.vocabulary import KEPT
from tests.tools.vector_world import ALDER, BIRCH, CEDAR

FOUNDING = founding(1_800_000_000)
TEXT = json.loads(FOUNDING.text)
SECONDS = 1_800_000_000


def changed(path: str, value: Any) -> bytes:
    """The founding text with one place changed; `-` before the last name takes it away."""
    root = json.loads(FOUNDING.text)
    part = root
    *names, last = path.split(".")
    for name in names:
        part = part[int(name)] if name.isdigit() else part[name]
    if last.startswith("-"):
        del part[int(last[1:]) if last[1:].isdigit() else last[1:]]
    else:
        part[int(last) if last.isdigit() else last] = value
    return encode(root)


def refusal(data: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        Policy.parse(data)
    return caught.value


def place(name: str, code: str) -> str:
    """Where a code stands in the founding vocabulary."""
    codes = [entry["code"] for entry in TEXT["vocabulary"][name]]
    return f"vocabulary.{name}.{codes.index(code)}"


def sharing(**fields: Any) -> list[dict[str, Any]]:
    one = {"id": "one", "parties": ["*"], "purposes": ["SUPPORT"], "from": None, "to": None}
    return [{**one, **fields}]


def entry(name: str, **fields: Any) -> list[dict[str, Any]]:
    """A list of the vocabulary with one more code, made after its last."""
    listed = TEXT["vocabulary"][name]
    return [*listed, {**listed[-1], "code": "NEW-1", "says": "A new one.", **fields}]


def test_a_policy_is_known_by_the_hash_of_its_one_text():
    assert Policy.parse(FOUNDING.text) == FOUNDING
    assert FOUNDING.digest == policy_digest(FOUNDING.text)
    assert founding(SECONDS).text == FOUNDING.text
    assert founding(SECONDS + 1).digest != FOUNDING.digest
    assert (founding(SECONDS, 7).version, founding(SECONDS, 7).effective) == (7, SECONDS)


def test_a_policy_has_one_spelling():
    assert refusal(json.dumps(TEXT).encode()).code == "NOT_CANONICAL"
    assert refusal(FOUNDING.text + b" ").code == "NOT_CANONICAL"
    assert refusal(FOUNDING.text.replace(b'"v":1,', b'"v":1,"v":1,')).code == "FORM"
    assert refusal(b"x" * (POLICY_LIMIT + 1)).code == "TOO_BIG"
    assert refusal(b"[]").code == "FORM"


@pytest.mark.parametrize("name", Policy.model_fields)
def test_every_part_is_there(name: str):
    assert refusal(changed(f"-{name}", None)).code == "FORM"


FORMS = [
    ("name", ""),
    ("v", 2),
    ("version", 0),
    ("version", "1"),
    ("effective", -1),
    ("effective", None),
    ("break_glass", "true"),
    ("break_glass", 1),
    ("break_glass", None),
    ("more", {}),
    ("thresholds.more", 1),
    ("thresholds.staple_s", 86_401),
    ("thresholds.grant_days", 91),
    ("thresholds.override_msg_s", 72 * 3600 + 1),
    ("thresholds.override_thread_s", 28 * 86_400 + 1),
    ("thresholds.lead_due_s", 86_401),
    ("thresholds.unsafe_days", 91),
    ("thresholds.role_key_delay_s", -1),
    ("officers.ig", 0),
    ("periods.RED.acknowledge.unit", "days"),
    ("periods.PURPLE", TEXT["periods"]["RED"]),
    ("periods.-RED", None),
    ("authorisers", []),
    ("flags", {"somebody": {"public_authority": True, "s16la_member": None, "cda_relevant": None}}),
    ("flags", {ALDER.id: {"public_authority": True}}),
    ("agreements", sharing(id="One")),
    ("agreements", sharing(parties=[])),
    ("agreements", sharing(parties=["Peacock", "IDVA"])),
    ("agreements", sharing(purposes=[])),
    ("agreements", sharing(**{"from": "2026-01-01"})),
    ("vocabulary.more", []),
    ("vocabulary.-gateways", None),
    ("vocabulary.bases.0.marks", ["holy"]),
    ("vocabulary.bases.0.code", "6 a"),
    ("vocabulary.states.0.means", "perhaps"),
    ("vocabulary.purposes.0.sectors", ["immigration"]),
    ("vocabulary.gateways.0.duty", "adult"),
]


@pytest.mark.parametrize(("path", "value"), FORMS, ids=[f"{path}={value!r:.40}" for path, value in FORMS])
def test_a_policy_of_another_shape_is_refused(path: str, value: Any):
    found = refusal(changed(path, value))
    assert found.code == "FORM"
    assert all("immigration" not in name and "holy" not in name for name in found.detail)


FAULTS = [
    ("name", "Cambridgeshire\u200b", "name"),
    ("vocabulary.bases.0.says", "\u202eflip", "vocabulary.bases.0.says"),
    ("agreements", sharing(purposes=["SUPPORT", "CHARITY"]), "agreements.one.purposes"),
    ("agreements", sharing(**{"from": 5, "to": 5}), "agreements.0"),
    ("agreements", sharing(parties=[ALDER.id]), "agreements.0.parties"),
    ("agreements", sharing(parties=sorted([ALDER.id, BIRCH.id], reverse=True)), "agreements.0.parties"),
    ("agreements", sharing(parties=[ALDER.id, ALDER.id]), "agreements.0.parties"),
    ("agreements", sharing() * 2, "agreements"),
    ("thresholds.hold_escalate_s", 2 * 86_400 + 1, "thresholds.hold_escalate_s"),
    ("thresholds.grant_days", 14, "thresholds.prompt_days"),
    (f"{place('gateways', 'DAA21')}.test", "whoever-asks", "vocabulary.gateways.9"),
    (f"{place('gateways', 'CA04-16LA')}.to", 1, "vocabulary.gateways.0"),
    ("vocabulary.gateways", TEXT["vocabulary"]["gateways"] * 2, "vocabulary.gateways"),
    ("vocabulary.purposes", TEXT["vocabulary"]["purposes"] * 2, "vocabulary.purposes"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "where"), FAULTS)
def test_what_does_not_hold_together_is_named(path: str, value: Any, where: str):
    found = refusal(changed(path, value))
    assert (found.code, found.detail[0]) == ("POLICY_FAULT", where)


@pytest.mark.parametrize(("name", "code"), [(name, code) for name, kept in KEPT.items() for code in kept])
def test_no_policy_takes_away_what_a_persons_word_hangs_on(name: str, code: str):
    at = place(name, code)
    without, last = at.rsplit(".", 1)
    found = refusal(changed(f"{without}.-{last}", None))
    assert (found.code, found.detail[0]) == ("POLICY_FAULT", f"vocabulary.{name}.{code}")


TURNED = [
    ("states", "REFUSED", "means", "given"),
    ("states", "WITHDRAWN", "means", "unasked"),
    ("states", "GIVEN", "means", "none"),
    ("why_no", "C", "means", "duty"),
    ("why_no", "G", "means", "emergency"),
    ("told", "UNSAFE", "means", "knows"),
    ("onward", "NONE", "means", "within"),
    ("bases", "6a", "marks", []),
    ("conditions", "9a", "marks", []),
    ("schedule1", "s1:29", "marks", ["crime"]),
]


@pytest.mark.parametrize(("name", "code", "field", "value"), TURNED)
def test_no_policy_turns_a_word_into_another(name: str, code: str, field: str, value: Any):
    found = refusal(changed(f"{place(name, code)}.{field}", value))
    assert (found.code, found.detail) == ("POLICY_FAULT", (f"vocabulary.{name}.{code}",))


FOR_EVER = [
    {"code": "IMMIGRATION"},
    {"code": "IMMIGRATION_ENFORCEMENT"},
    {"code": "UK-BORDER"},
    {"code": "DEPORT"},
    {"code": "STATUS", "says": "Immigration enforcement."},
    {"code": "CHECKS", "says": "Checks at the border."},
    {"code": "VISA"},
    {"code": "DEBT_COLLECTION"},
    {"code": "PRESS"},
    {"code": "PARTNERS", "says": "Marketing by partners."},
]


@pytest.mark.parametrize("fields", FOR_EVER, ids=[str(row["code"]) for row in FOR_EVER])
def test_some_purposes_can_never_be_added(fields: dict[str, str]):
    found = refusal(changed("vocabulary.purposes", entry("purposes", **fields)))
    assert (found.code, found.detail) == ("PURPOSE", ("vocabulary.purposes",))


@pytest.mark.parametrize(
    "fields",
    [
        {"code": "DEBT_ADVICE", "says": "Advice about debt."},
        {"code": "DEPRESSION", "says": "Help with low mood, as she expressed it."},
    ],
)
def test_a_purpose_that_only_sounds_like_one_of_them_may_be_added(fields: dict[str, str]):
    assert (
        fields["code"] in Policy.parse(changed("vocabulary.purposes", entry("purposes", **fields))).purposes
    )


def test_a_policy_adds_a_gateway_with_a_test_that_the_software_has():
    for name in TESTS:
        policy = Policy.parse(changed("vocabulary.gateways", entry("gateways", test=name, duty="any")))
        assert (policy.gateways["NEW-1"].test, policy.gateways["NEW-1"].duty) == (name, "any")


def test_sharing_needs_one_agreement_that_names_both_of_a_pair():
    two = [
        {"id": "a-b", "parties": sorted([ALDER.id, BIRCH.id]), "purposes": ["SUPPORT"], "from": 10, "to": 20},
        {
            "id": "b-c",
            "parties": sorted([BIRCH.id, CEDAR.id]),
            "purposes": ["SUPPORT"],
            "from": None,
            "to": None,
        },
    ]
    policy = Policy.parse(changed("agreements", two))
    assert policy.shares(ALDER.id, (BIRCH.id,), "SUPPORT", 10)
    assert policy.shares(BIRCH.id, (ALDER.id, CEDAR.id), "SUPPORT", 19)
    assert policy.shares(ALDER.id, (ALDER.id,), "SUPPORT", 30)
    assert not policy.shares(ALDER.id, (BIRCH.id,), "SUPPORT", 9)
    assert not policy.shares(ALDER.id, (BIRCH.id,), "SUPPORT", 20)
    assert not policy.shares(ALDER.id, (BIRCH.id,), "HOUSING", 15)
    assert not policy.shares(ALDER.id, (CEDAR.id,), "SUPPORT", 15)
    assert not policy.shares(ALDER.id, (BIRCH.id, CEDAR.id), "SUPPORT", 15)


def test_a_policy_speaks_in_place_of_the_directory_where_it_says_so():
    plain = Party(Flags(public_authority=False, s16la_member=False, cda_relevant=True), "housing")
    said = {ALDER.id: {"public_authority": True, "s16la_member": None, "cda_relevant": False}}
    policy = Policy.parse(changed("flags", said))
    outranked = Flags(public_authority=True, s16la_member=False, cda_relevant=False)
    assert policy.party(ALDER.id, plain) == Party(outranked, "housing")
    assert policy.party(BIRCH.id, plain) is plain


def test_the_founding_policy_holds_the_codes_of_the_founding_documents():
    vocabulary = {name: {entry.code for entry in entries} for name, entries in FOUNDING.vocabulary.lists()}
    assert vocabulary["bases"] == {
        "6a", "6c", "6d", "6e", "6ea:safeguarding", "6ea:emergency", "6ea:crime", "6ea:request", "6ea:security", "6f", "LE",
    }  # fmt: skip
    assert vocabulary["conditions"] == {"9a", "9c", "9f", "9g", "9h"}
    assert vocabulary["schedule1"] == {f"s1:{n}" for n in (6, 8, 10, 17, 18, 19, 29, 30, 33, 36)}
    assert vocabulary["gateways"] == {
        "CA04-16LA", "CA89-17", "CA89-47", "CA04-10/11", "CA04-16H", "CARE-42", "CARE-45", "CARE-6", "CDA-115", "DAA21", "HA-213B",
        "MSA-52", "FGM-5B", "CJA-325", "PCSC-44A", "MCA", "CLDC", "COURT",
    }  # fmt: skip
    assert vocabulary["purposes"] == {
        "SUPPORT", "RISK_MGMT", "CHILD_PROT", "ADULT_PROT", "CRIME", "HOUSING", "HEALTH", "FORUM", "RIGHTS", "STATS",
    }  # fmt: skip
    assert {p.code for p in FOUNDING.vocabulary.purposes if p.thread} == {
        "RISK_MGMT",
        "CHILD_PROT",
        "ADULT_PROT",
    }
    days = {
        one.code: datetime.datetime.fromtimestamp(one.since, datetime.UTC).date().isoformat()
        for entries in (FOUNDING.vocabulary.bases, FOUNDING.vocabulary.gateways)
        for one in entries
        if one.since is not None
    }
    assert days == {
        **{
            f"6ea:{what}": "2026-02-05"
            for what in ("safeguarding", "emergency", "crime", "request", "security")
        },
        "CA04-16LA": "2026-09-30",
        "PCSC-44A": "2026-01-12",
    }


def test_the_founding_policy_lets_every_two_members_share_for_every_purpose():
    for purpose in FOUNDING.purposes:
        assert FOUNDING.shares(ALDER.id, (BIRCH.id, CEDAR.id), purpose, 0)
    assert not FOUNDING.shares(ALDER.id, (BIRCH.id,), "IMMIGRATION", 0)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_one_changed_value_anywhere_is_another_policy_or_none(data: st.DataObject):
    root = json.loads(FOUNDING.text)
    part: Any = root
    while True:
        key = data.draw(st.sampled_from(sorted(part) if isinstance(part, dict) else range(len(part))))
        if not isinstance(part[key], dict | list) or not part[key] or data.draw(st.integers(0, 4)) == 0:
            break
        part = part[key]
    part[key] = data.draw(
        st.none() | st.booleans() | st.integers(-5, 2**41) | st.text(max_size=5) | st.just([]) | st.just({})
    )
    text = encode(root)
    try:
        read = Policy.parse(text)
    except Refusal:
        return
    assert read.text == text
    assert (read.digest == FOUNDING.digest) == (text == FOUNDING.text)
