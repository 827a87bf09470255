"""What kind of agency a recipient is comes from oversight's admission, never from whoever fills in the form (K14, M9)."""

import datetime
import json
from pathlib import Path

import pytest

from agent.forms import Send, read_form
from agent.send import Composed, compose
from schemas.errors import Refusal
from tests.simulated_world import World

CASE = json.loads((Path(__file__).parents[1] / "cases/child_concern.json").read_text(encoding="utf-8"))
TODAY = datetime.date(2026, 11, 22)
SECTORS = {"Council": "childrens_services", "County": "childrens_services", "IDVAS": "idva"}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("sectors")
    return World.found(folder, "Peacock", "Council", "County", "IDVAS", sectors=SECTORS)


def said(**recipient: object) -> bytes:
    profile = {"sees_children": True, "searches_files": True, **recipient}
    return json.dumps(
        {"kind": "child.concern", "case": CASE, "purpose": "CHILD_PROT", "recipient": profile}
    ).encode()


def composed(world: World, *to: str) -> Composed:
    recipients = tuple((world.parties[name].id, "intake") for name in to)
    return compose(read_form(Send, said()), recipients, None, world.directory, TODAY)


@pytest.mark.parametrize("to", [("Council",), ("Council", "County"), ("Council", "Council")])
def test_a_child_concern_goes_to_whom_oversight_admitted_as_childrens_services(world, to):
    assert composed(world, *to).message.type == "child.concern"


@pytest.mark.parametrize(
    "to", [("IDVAS",), ("Peacock",), ("Council", "IDVAS"), ("IDVAS", "Council"), ("Council", "Peacock")]
)
def test_agencies_of_another_sector_or_of_several_are_not_childrens_services(world, to):
    with pytest.raises(Refusal, match="WRONG_DESK"):
        composed(world, *to)


def test_an_agency_that_nobody_admitted_has_no_sector(world):
    stranger = world.founded.oversight.id
    with pytest.raises(Refusal, match="UNKNOWN_AGENCY"):
        compose(read_form(Send, said()), ((stranger, "intake"),), None, world.directory, TODAY)


@pytest.mark.parametrize("sector", ["childrens_services", "other"])
def test_a_form_that_says_a_sector_itself_is_refused(sector):
    with pytest.raises(Refusal, match="FORM"):
        read_form(Send, said(sector=sector))
