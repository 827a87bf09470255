"""What an author sees when the rule says no: by REST, by command, and beside a dropped file (G11)."""

import json

import pytest

from agent.explained import Explained
from agent.forms import Send
from tests.agent.agencies import MESSAGE, form, quiet
from tests.agent.test_commands import process_of, type_in
from tests.agent.test_commands import world as world_of_the_wall  # noqa: F401 - a fixture
from tests.agent.test_folders import drop, folder, names
from tests.simulated_world import World

UNASKED = {"agree": "NOT_SOUGHT", "b6": "6f"}


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


def asked(**changes):
    return Send.model_validate_json(json.dumps(form("IDVAS", **changes)))


async def test_a_refusal_carries_its_steps(world):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        with pytest.raises(Explained) as caught:
            await peacock.office.send(asked())
        refusal = caught.value
        assert refusal.code == "PAPER_BASIS"
        assert [step["code"] for step in refusal.steps][:2] == ["ask", "fix-basis"]
        assert {"why_no": "B", "b6": "6f"} in [step["law"] for step in refusal.steps]


async def test_each_change_can_be_sent_as_it_stands(world):
    """What a step offers is taken by the next try, and the rule is then milder, as the step said."""
    async with world.relay(), quiet(world, "Peacock") as peacock:
        with pytest.raises(Explained) as caught:
            await peacock.office.send(asked(law=UNASKED))
        offered = [step for step in caught.value.steps if step["law"]]
        assert offered
        for step in offered:
            assert step["leads_to"] == "HOLD"
            answer = await peacock.office.send(asked(law={**UNASKED, **step["law"]}))
            [warning] = answer["warnings"]
            assert warning["code"] == "HOLD_LEAD"
            assert warning["steps"][0]["code"] == "lead"


async def test_a_red_goes_with_a_warning_and_what_to_do_about_it(world):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        answer = await peacock.office.send(asked(payload={**MESSAGE, "rag": "RED"}))
        [warning] = answer["warnings"]
        assert warning["code"] == "PAPER_BASIS"
        assert "lead-sign" in [step["code"] for step in warning["steps"]]


async def test_a_dropped_file_that_is_refused_has_the_steps_beside_it(world):
    async with world.relay(), quiet(world, "Peacock", folders=True) as peacock:
        drop(peacock, form("IDVAS", law=UNASKED))
        assert await peacock.folders.scan() == 1
        assert names(peacock, "FAILED") == ["referral-1.json", "referral-1.reason.json"]
        text = (folder(peacock, "FAILED") / "referral-1.reason.json").read_text()
        reason = json.loads(text)
        assert reason["code"] == "REASON"
        assert {step["code"] for step in reason["steps"]} >= {"ask", "why-B"}
        for secret in ("Robin", "case-77", "07700900123", "Peterborough", "IDVAS"):
            assert secret not in text


async def test_a_command_prints_them(world_of_the_wall):  # noqa: F811
    world = world_of_the_wall
    async with world.relay():
        async with quiet(world, "Peacock") as peacock:
            home = peacock.settings.home
        (home / "form.json").write_text(json.dumps(form("IDVAS", law=UNASKED)))
        async with process_of(home):
            code, out, err = await type_in("send", "--dir", home, home / "form.json")
            assert (code, out) == (1, "")
            head, what, first, *rest = err.splitlines()
            assert head.startswith("REASON: The person was not asked and no reason is given.")
            assert what == "What you can do:"
            assert first.startswith("  - Ask the person, alone")
            assert '    law: {"why_no": "B"}' in rest
            code, out, _ = await type_in("send", "--dir", home, home / "form.json", "--json")
            assert json.loads(out)["steps"][0]["code"] == "ask"
