"""What `fenpost-keys check` makes of what a running agent says is waiting."""

from typing import Any

import pytest

from keys_tooling.checking import Check, Seen, backlog


def said(status: dict[str, Any], running: dict[str, bool] | None) -> dict[str, Check]:
    nothing: Any = None
    return {one.name: one for one in backlog(Seen(nothing, nothing, 0, 0, running, status))}


def test_what_waits_for_a_reason_needs_somebody_and_the_reason_is_named():
    found = said({"waiting": 3, "waiting_because": {"RELAY_AWAY": 2, "QUORUM": 1}, "to_take_on": 4}, {})
    assert (found["waiting"].ok, found["to take on"].ok) == (False, True)
    assert found["waiting"].say.startswith("3 messages wait to be sent, because of QUORUM, RELAY_AWAY.")
    assert found["to take on"].say.startswith("4 messages")


@pytest.mark.parametrize("waits", [0, 2])
def test_what_is_only_on_its_way_needs_nobody(waits: int):
    found = said({"waiting": waits, "waiting_because": {}, "to_take_on": 0}, {})
    assert all(one.ok for one in found.values())
    assert found["waiting"].say == f"{waits} messages wait to be sent."


def test_where_no_agent_answers_nothing_is_claimed():
    found = said({}, None)
    assert list(found) == ["waiting"]
    assert "was not looked at" in found["waiting"].say
