"""What an agreement covers, clause by clause (C4): each party, purpose, category and date within it, to the second."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.canonical import encode
from schemas.envelope import Header, parse_header
from schemas.errors import Refusal
from schemas.grants import AHEAD, MAX_GRANT, MAX_STATUS, check_grant, parse_grant, parse_status, uncovered
from schemas.signing import Signed

FOLDER = Path(__file__).parents[1] / "vectors"
HEADER = json.loads(json.loads((FOLDER / "envelope.json").read_text(encoding="ascii"))["valid"][0]["header"])
AT = HEADER["ts"]
OTHER = "A" * 22
STRANGER = "ag1" + "a" * 32
GRANT = {
    "cat": HEADER["cat"], "ev": "A" * 43, "exp": AT + 1000, "from": [HEADER["from"]["a"]], "gid": HEADER["gid"],
    "iss": HEADER["from"]["a"], "limited": False, "nbf": AT - 1000, "pur": [HEADER["pur"]], "signer": "A" * 43,
    "to": [row["a"] for row in HEADER["to"]], "v": 1, "ver": HEADER["law"]["agree_ver"],
}  # fmt: skip
STATUS = {
    "exp": AT + 500, "gid": HEADER["gid"], "signer": "A" * 43, "state": "active", "ts": AT - 500, "v": 1,
}  # fmt: skip


def weighed(grant: dict[str, Any], status: dict[str, Any], header: Header | None = None) -> str:
    """The code with which a message is not covered by this agreement; nothing where it is."""
    said = [
        Signed(encode({**whole, **part}), bytes(64)) for whole, part in ((GRANT, grant), (STATUS, status))
    ]
    try:
        check_grant(header or parse_header(encode(HEADER)), parse_grant(said[0]), parse_status(said[1]), AT)
    except Refusal as refusal:
        return refusal.code
    return ""


COVERED = [
    ("as it stands", {}, {}),
    ("its last second", {"exp": AT + 1}, {}),
    ("the staple's last second", {}, {"exp": AT + 1}),
    ("it begins by a clock that is five minutes ahead", {"nbf": AT + AHEAD}, {}),
    ("the staple comes from such a clock", {}, {"ts": AT + AHEAD}),
    ("more than is asked", {"to": [STRANGER, *GRANT["to"]], "cat": sorted({*GRANT["cat"], "hc"})}, {}),
]
NOT_COVERED = [
    ("it is over", {"exp": AT}, {}, "EXPIRED"),
    ("it has not begun", {"nbf": AT + AHEAD + 1}, {}, "FUTURE"),
    ("the staple is over", {}, {"exp": AT}, "STATUS_STALE"),
    ("the staple is of tomorrow", {}, {"ts": AT + AHEAD + 1}, "FUTURE"),
    ("the staple is of another agreement", {}, {"gid": OTHER}, "GRANT"),
    ("it is another agreement", {"gid": OTHER}, {"gid": OTHER}, "GRANT"),
    ("the sender may not", {"from": [STRANGER]}, {}, "SCOPE"),
    ("a recipient may not", {"to": [STRANGER]}, {}, "SCOPE"),
    ("for another purpose", {"pur": ["HOUSING"]}, {}, "SCOPE"),
    ("without one of its categories", {"cat": HEADER["cat"][1:]}, {}, "SCOPE"),
    ("the header quotes an older version", {"ver": GRANT["ver"] + 1}, {}, "OLDER"),
    ("it is limited, and the header says it is whole", {"limited": True}, {}, "GRANT"),
]


def named(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    return {"argvalues": [row[1:] for row in rows], "ids": [row[0] for row in rows]}


@pytest.mark.parametrize(("grant", "status"), **named(COVERED))
def test_an_agreement_covers_what_it_says_for_as_long_as_it_says(grant: dict, status: dict):
    assert weighed(grant, status) == ""


@pytest.mark.parametrize(("grant", "status", "code"), **named(NOT_COVERED))
def test_an_agreement_covers_nothing_else(grant: dict, status: dict, code: str):
    assert weighed(grant, status) == code


def test_only_outside_of_what_was_agreed_is_a_no_and_an_old_staple_is_not_one():
    assert uncovered("SCOPE") == "outside"
    assert uncovered("STATUS_STALE") == "stale"
    assert {uncovered(code) for code in ("EXPIRED", "FUTURE", "GRANT", "OLDER", "UNKNOWN_KEY")} == {"unknown"}


@pytest.mark.parametrize(
    ("nbf", "exp", "fits"),
    [(AT, AT + 1, True), (AT, AT + MAX_GRANT, True), (AT, AT, False), (AT, AT + MAX_GRANT + 1, False)],
)
def test_an_agreement_lasts_ninety_days_at_most(nbf: int, exp: int, fits: bool):
    signed = Signed(encode({**GRANT, "nbf": nbf, "exp": exp}), bytes(64))
    if fits:
        assert parse_grant(signed).exp == exp
        return
    with pytest.raises(Refusal, match="GRANT"):
        parse_grant(signed)


@pytest.mark.parametrize(
    ("life", "fits"), [(1, True), (MAX_STATUS, True), (0, False), (MAX_STATUS + 1, False)]
)
def test_a_staple_lives_a_day_at_most(life: int, fits: bool):
    signed = Signed(encode({**STATUS, "exp": STATUS["ts"] + life}), bytes(64))
    if fits:
        assert parse_status(signed).exp == STATUS["ts"] + life
        return
    with pytest.raises(Refusal, match="STATUS_STALE"):
        parse_status(signed)
