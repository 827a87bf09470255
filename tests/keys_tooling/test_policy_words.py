"""What a policy changes, in sentences: each kind of change is said once, and nothing is said of what stays."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from keys_tooling.moments import moment
from keys_tooling.policy_words import changes, duration
from schemas.canonical import encode
from schemas.policy import Policy, founding

OLD = founding()
ALDER, BIRCH = "ag1" + "a" * 32, "ag1" + "b" * 32


def after(change: Callable[[Any], object]) -> tuple[str, ...]:
    value = json.loads(OLD.text)
    change(value)
    return changes(OLD, Policy.parse(encode(value)))


def code(value: Any, name: str, wanted: str) -> Any:
    return next(row for row in value["vocabulary"][name] if row["code"] == wanted)


def add_gateway(value: Any) -> None:
    value["vocabulary"]["gateways"].append(
        {"code": "NEW-1", "says": "A new one.", "from": 1_795_305_600, "to": None, "test": None, "duty": None}
    )


def drop_gateway(value: Any) -> None:
    rows = value["vocabulary"]["gateways"]
    rows.remove(code(value, "gateways", "CA04-16LA"))


def add_agreement(value: Any) -> None:
    value["agreements"].append(
        {
            "id": "pair",
            "parties": [ALDER, BIRCH],
            "purposes": ["SUPPORT"],
            "from": 1_795_305_600,
            "to": 1_800_000_000,
        }
    )


SAID = [
    ("nothing", lambda v: None, []),
    ("version and first day", lambda v: v.update(version=9, effective=5), []),
    ("its name", lambda v: v.update(name="Another"), ["The policy's name changes."]),
    ("a new code", add_gateway, ["New gateway: NEW-1 (from 2026-11-22 00:00 UTC)."]),
    ("a code less", drop_gateway, ["No longer there: gateway CA04-16LA."]),
    (
        "a code's last day",
        lambda v: code(v, "gateways", "CA04-16LA").update(to=1_900_000_000),
        ["Gateway CA04-16LA: its last day was open, becomes 2030-03-17 17:46 UTC."],
    ),
    (
        "who may receive a purpose",
        lambda v: code(v, "purposes", "HOUSING").update(sectors=["housing"]),
        ["Purpose HOUSING: who may receive it was not set, becomes housing."],
    ),
    (
        "an agreement",
        add_agreement,
        ["New data-sharing agreement: pair (from 2026-11-22 00:00 UTC to 2027-01-15 08:00 UTC)."],
    ),
    (
        "an agency's flags",
        lambda v: v["flags"].update(
            {ALDER: {"public_authority": True, "s16la_member": None, "cda_relevant": None}}
        ),
        [f"New what is said of agency: {ALDER}."],
    ),
    (
        "a threshold in seconds",
        lambda v: v["thresholds"].update(hold_amber_s=86_400),
        ["thresholds.hold_amber_s: was 2 days, becomes 1 day."],
    ),
    (
        "a threshold in days",
        lambda v: v["thresholds"].update(prompt_days=21),
        ["thresholds.prompt_days: was 14, becomes 21."],
    ),
    (
        "a period",
        lambda v: v["periods"]["AMBER"]["respond"].update(n=1),
        ["periods.AMBER.respond: was 2 working days, becomes 1 working day."],
    ),
    ("officers", lambda v: v["officers"].update(lead=1), ["officers.lead: was 2, becomes 1."]),
    ("break-glass", lambda v: v.update(break_glass=False), ["break_glass: was yes, becomes no."]),
    (
        "who authorises",
        lambda v: v.update(authorisers=["lead", "senior"]),
        ["authorisers: was lead, becomes lead, senior."],
    ),
]


@pytest.mark.parametrize(("what", "change", "said"), SAID, ids=[row[0] for row in SAID])
def test_each_change_is_said_once(what: str, change: Callable[[Any], object], said: list[str]):
    assert list(after(change)) == said


def test_every_list_of_the_vocabulary_is_compared():
    for name, rows in json.loads(OLD.text)["vocabulary"].items():
        if rows:
            said = after(lambda v, name=name: v["vocabulary"][name][0].update(says="Other words."))
            assert len(said) == 1, name
            assert said[0].endswith("becomes Other words.")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (86_400, "1 day"),
        (172_800, "2 days"),
        (3600, "1 hour"),
        (5400, "90 minutes"),
        (61, "61 seconds"),
        (0, "0 seconds"),
    ],
)
def test_a_duration_is_said_in_the_unit_that_fits(seconds: int, said: str):
    assert duration(seconds) == said


def test_a_moment_that_no_calendar_has_is_a_number():
    assert moment(2**53) == str(2**53)
