"""PROTOCOL.md cannot go stale: its examples are the vectors', its tables the code's, its numbers in order."""

import re
from pathlib import Path

import pytest

from schemas.consent import TABLE
from schemas.kinds import KINDS
from schemas.policy import founding
from tests.tools.write_protocol import BLOCK, LABEL, PROTOCOL, labels, printed

ROOT = Path(__file__).parents[2]
TEXT = PROTOCOL.read_text(encoding="utf-8")
PROSE = BLOCK.sub("", TEXT)
DEFINED = re.findall(r"\*\*([A-Z])(\d+)\.\*\*", PROSE)
FAMILIES = "RFKHEVISLDCAWMGQJNOYU"


@pytest.mark.parametrize(("kind", "name", "inside"), [(m[2], m[3], m[4]) for m in BLOCK.finditer(TEXT)])
def test_a_marked_block_is_what_the_code_and_the_vectors_print(kind: str, name: str, inside: str):
    assert inside == f"\n{printed(kind, name)}\n", (
        "print it again: .venv/bin/python -m tests.tools.write_protocol"
    )


def test_every_structure_has_an_example():
    shown = {m[3] for m in BLOCK.finditer(TEXT) if m[2] == "example"}
    assert shown == {
        "canonical", "directory", "keyfile", "header", "upload", "inner", "record", "epoch-record", "tree", "checkpoint", "head",
        "proof", "leaf", "receipt", "grant", "request", "rotation",
    }  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_rules_are_numbered_from_one_without_gaps(family: str):
    numbers = [int(number) for letter, number in DEFINED if letter == family]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers


def test_there_is_no_other_family():
    assert {letter for letter, _ in DEFINED} == set(FAMILIES)


def test_every_rule_that_the_document_mentions_is_defined():
    defined = {f"{letter}{number}" for letter, number in DEFINED}
    blocks = {f"B{number}" for number in range(1, 15)}
    cited = set(re.findall(rf"(?<![A-Za-z0-9`./_-])([{FAMILIES}B]\d{{1,2}})(?![A-Za-z0-9`(-])", PROSE))
    assert cited - defined - blocks == set()


def test_every_code_that_a_rule_names_is_a_refusal():
    codes = set(re.findall(r"`([A-Z][A-Z_]{3,})`", PROSE))
    assert (
        codes - set(KINDS) - {e.code for _, entries in founding().vocabulary.lists() for e in entries}
        == set()
    )


def test_each_row_of_the_consent_rule_stands_in_its_table():
    rows = {int(number) for number in re.findall(r"^\| (\d+) \| .* \| .* \|$", PROSE, re.MULTILINE)}
    assert rows == {row.number for row in TABLE}
    for row in TABLE:
        assert len(re.findall(rf"^\| {row.number} \|", PROSE, re.MULTILINE)) == sum(
            other.number == row.number for other in TABLE
        )


def test_every_label_in_the_text_is_one_of_the_codes():
    assert set(LABEL.findall(PROSE)) - set(labels()) == set()


def test_each_refusal_has_a_sentence_for_its_reader():
    for code, kind in KINDS.items():
        assert re.fullmatch(r"[A-Z][A-Z0-9_]+", code)
        assert kind.say[0].isupper(), code
        assert len(kind.say) < 160, code


def test_every_refusal_in_the_code_is_in_the_list():
    """Codes are written out where they are raised, so reading the sources finds them."""
    raised: set[str] = set()
    for folder in ("schemas", "broker", "agent", "keys_tooling"):
        for path in (ROOT / folder).rglob("*.py"):
            raised |= set(re.findall(r'Refusal\(\s*"([A-Z0-9_]+)"', path.read_text(encoding="utf-8")))
    assert raised - set(KINDS) == set()
