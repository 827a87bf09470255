"""From a case record to a message: whom the person ruled out."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from agent.consent import Held
from agent.forms import Send
from agent.send import compose
from schemas.categories import CATEGORIES
from schemas.errors import Refusal
from schemas.grants import parse_grant
from tests.simulated_world import World

CASE = json.loads((Path(__file__).parents[1] / "cases" / "adult_referral.json").read_text())
TODAY = datetime.date(2026, 11, 22)


def composed(tmp_path: Path, ruled_out: int | None, payload: dict | None = None) -> object:
    """A referral to two desks, of which the person ruled one out, or none."""
    world = World.found(tmp_path, "Peacock", "IDVAS", "Harbour")
    recipients = [(world.parties[name].id, "intake") for name in ("IDVAS", "Harbour")]
    signed = world.grant("Peacock", "IDVAS", "Harbour", cat=sorted(CATEGORIES))
    limits = {} if ruled_out is None else {"not_recipients": ["/".join(recipients[ruled_out])]}
    held = Held(signed, parse_grant(signed), True, None, None, "SELF", limits)
    content = {"case": CASE} if payload is None else {"payload": payload}
    form = Send.model_validate(
        {"kind": "referral.universal", **content, "to": [{"agency": a, "desk": d} for a, d in recipients]},
        strict=False,
    )
    return compose(form, tuple(recipients), held, world.directory, TODAY)


def test_a_message_goes_to_every_desk_that_was_agreed(tmp_path: Path) -> None:
    assert composed(tmp_path, None)


@pytest.mark.parametrize("place", [0, 1])
def test_a_message_that_was_written_elsewhere_does_not_go_where_the_person_ruled_it_out(
    tmp_path: Path, place: int
) -> None:
    with pytest.raises(Refusal, match="SCOPE"):
        composed(tmp_path, place, {"type": "feedback", "v": 1})


@pytest.mark.parametrize("place", [0, 1])
def test_a_desk_that_the_person_ruled_out_is_refused_wherever_it_stands(tmp_path: Path, place: int) -> None:
    with pytest.raises(Refusal, match="SCOPE"):
        composed(tmp_path, place)
