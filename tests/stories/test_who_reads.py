"""The map of who can read what is what trying shows, and the surrender list is complete (schemas/SEIZURE.md)."""

from __future__ import annotations

import asyncio

import pytest

from broker import tables
from tests.canaries import spellings
from tests.readers import Findings, find_out
from tests.surrendered import CHECKS, KINDS, STORE
from tests.tools.write_seizure import PATH, rendered

RELAY = ("the relay, running", "relay's disk or backup")


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return asyncio.run(find_out(tmp_path_factory.mktemp("readers") / "world"))


def says(findings: Findings, thing: str, party: str) -> str:
    (found,) = [one for one in findings.things if one.name.startswith(thing)]
    return findings.parties[party].says(found)


def test_the_published_map_is_what_trying_shows(findings: Findings):
    assert PATH.read_text(encoding="utf-8") == rendered(findings, len(spellings("word"))), (
        "print it again: .venv/bin/python -m tests.tools.write_seizure"
    )


@pytest.mark.parametrize(
    ("thing", "readers"),
    [
        ("words of a message", {"sender's agent", "recipient's agent"}),
        ("the reason of an override", {"sender's agent", "sender's officer", "oversight's officer"}),
        ("what it did not share", {"sender's agent", "sender's officer", "oversight's officer"}),
    ],
)
def test_what_only_a_few_may_read_only_they_read(findings: Findings, thing: str, readers: set[str]):
    assert {name for name in findings.parties if says(findings, thing, name) == "reads"} == readers


def test_who_took_no_part_reads_nothing_but_what_every_member_may(findings: Findings):
    common = {one.name for one in findings.things[:3]}
    for party in ("another agency's agent", "another agency's officer"):
        read = {one.name for one in findings.things if findings.parties[party].says(one) == "reads"}
        assert read <= common


def test_the_relay_holds_what_it_cannot_read_and_the_search_would_see_it(findings: Findings):
    assert [says(findings, "words of a message", party) for party in RELAY] == ["sealed", "sealed"]
    assert says(findings, "header of a message", "the relay, running") == "reads"


def test_every_column_of_the_store_is_on_the_surrender_list():
    assert {name: set(columns) for name, (_, columns) in STORE.items()} == {
        name: set(table.columns.keys()) for name, table in tables.metadata.tables.items()
    }
    assert {kind for _, columns in STORE.values() for kind in columns.values()} <= set(KINDS)
    assert set(KINDS) == set(CHECKS)
