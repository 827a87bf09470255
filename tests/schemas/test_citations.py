"""Every rule that the code cites is one that PROTOCOL.md defines.

A citation is `PROTOCOL.md K1-K6, K9`, `(E3)`, `(A2, A3)`, `(form W-rules)` or `recipient rule 7`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROTOCOL = (ROOT / "schemas" / "PROTOCOL.md").read_text(encoding="utf-8")
DEFINED = {f"{letter}{number}" for letter, number in re.findall(r"\*\*([A-Z])(\d+)\.\*\*", PROTOCOL)}
FAMILIES = "".join(sorted({rule[0] for rule in DEFINED}))

_ID = rf"[{FAMILIES}]\d{{1,2}}"
_SPAN = rf"{_ID}(?:(?:-| to ){_ID})?"
_LIST = rf"{_SPAN}(?:(?:,| and|, and) {_SPAN})*"
_NAMED = re.compile(rf"PROTOCOL\.md ((?:{_LIST})|[A-Z]-rules(?:, [A-Z]-rules)*)")
_ANY_NAMED = re.compile(r"PROTOCOL\.md (\S+)")
_BRACKETED = re.compile(rf"\(({_LIST})\)")
_RECIPIENT = re.compile(r"[Rr]ecipient rules? (\d+)(?:(?:-| to | and )(\d+))?")
_FAMILY = re.compile(r"\b([A-Z])-rules\b")
SOURCES = sorted(
    path
    for folder in ("schemas", "broker", "agent", "keys_tooling", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__)
)


def spelled_out(listed: str) -> Iterator[str]:
    for first, last in re.findall(rf"({_ID})(?:(?:-| to )({_ID}))?", listed):
        end = int((last or first)[1:])
        yield from (f"{first[0]}{number}" for number in range(int(first[1:]), end + 1))


def citations(text: str) -> set[str]:
    found: set[str] = set()
    for pattern in (_NAMED, _BRACKETED):
        for listed in pattern.findall(text):
            found |= set(spelled_out(listed))
    for first, last in _RECIPIENT.findall(text):
        found |= {f"V{number}" for number in range(int(first), int(last or first) + 1)}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_file_cites_is_defined(path: Path):
    text = path.read_text(encoding="utf-8")
    assert citations(text) - DEFINED == set()
    assert set(_FAMILY.findall(text)) - set(FAMILIES) == set()


def test_the_protocols_modules_say_which_rules_they_are():
    silent = [
        path.name
        for path in (ROOT / "schemas").rglob("*.py")
        if path.name != "__init__.py" and not _ANY_NAMED.search(path.read_text(encoding="utf-8"))
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("(PROTOCOL.md K1-K3)", {"K1", "K2", "K3"}),
        ("(PROTOCOL.md E2, E6-E8, S2)", {"E2", "E6", "E7", "E8", "S2"}),
        ("what the sender signs (E3).", {"E3"}),
        ("form and time (A2, A3)", {"A2", "A3"}),
        ("(E10, E11; recipient rules 6 and 7)", {"V6", "V7"}),
        ("recipient rule 2", {"V2"}),
        ("nothing (B1) to see", set()),
    ],
)
def test_a_citation_is_found(text: str, rules: set[str]):
    assert citations(text) == rules


def test_a_rule_that_is_not_there_is_noticed():
    assert citations("(PROTOCOL.md E99)") - DEFINED == {"E99"}
