"""`fenpost-agent consent`: a worker records what a person says, by command, on a running agent."""

import datetime
import json
import time

import pytest

from tests.agent.agencies import EVIDENCE, agreement, eventually, folder_of, form, quiet
from tests.agent.test_commands import process_of, type_in
from tests.simulated_world import World


@pytest.fixture
def world(tmp_path):
    """Its clock is the wall's, because the processes look at that."""
    made = World.found(tmp_path, "Peacock", "IDVAS", now=time.time())
    made.clock = time.time
    return made


def day(ahead):
    return (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=ahead)).isoformat()


async def ask(home, act, *words):
    code, out, err = await type_in("consent", act, "--dir", home, *words, "--json")
    assert code == 0, err
    return json.loads(out)


async def test_what_a_person_says_in_commands(world):
    home, folder = folder_of(world, "Peacock"), world.folder
    yes = {**EVIDENCE, "asked_on": day(-1), "valid_until": day(60)}
    part = {**yes, "state": "LIMITED", "limits": {"not_categories": ["needs"]}}
    for name, value in (("yes", yes), ("part", part), ("form", form("IDVAS"))):
        (folder / f"{name}.json").write_text(json.dumps(value))
    (folder / "note").write_text("Weighed with her advocate.")
    kinds = [word for kind in agreement("IDVAS")["categories"] for word in ("--category", kind)]
    asked = ["--to", "IDVAS", "--purpose", "SUPPORT", *kinds]
    async with world.relay(), quiet(world, "IDVAS") as idvas, process_of(home):
        given = await ask(home, "give", *asked, "--evidence", folder / "yes.json")
        code, _, err = await type_in("send", "--dir", home, folder / "form.json", "--gid", given["gid"])
        assert code == 0, err

        async def collected():
            await idvas.inbox.collect(0)
            return await idvas.showing.inbox()

        await eventually(collected)
        name = given["id"]
        assert (await ask(home, "limit", name, "--evidence", folder / "part.json"))["standing"] == "LIMITED"
        seen = ["--seen", "2", "--evidence", folder / "part.json"]
        assert (await ask(home, "renew", name, *seen))["version"] == 3
        code, _, err = await type_in("consent", "renew", "--dir", home, name, *seen)
        assert (code, err.split(":")[0]) == (1, "OLDER")
        assert (await ask(home, "withdraw", name))["state"] == "withdrawn"
        code, out, _ = await type_in("consent", "show", "--dir", home, name)
        assert (code, out.split(":")[0]) == (0, "WITHDRAWN")
        assert "Not answered yet" in out
        await idvas.inbox.collect(0)
        (owed,) = (await idvas.agreements.owed())["recalls"]
        assert owed["gid"] == given["gid"]
        assert (await ask(home, "recalls")) == {"recalls": []}
        code, _, err = await type_in("consent", "answer", "--dir", home, given["gid"], "--did", "deleted")
        assert (code, err.split(":")[0]) == (1, "NOT_FOUND")
        no = await ask(home, "refuse", "--own-words", "Not now.")
        assert no["standing"] == "REFUSED"
        code, out, _ = await type_in("consent", "show", "--dir", home)
        assert ", unless they raise it." in out
        lead = ["--note", folder / "note", "--assessed-by", "safeguarding-lead", "--review-on", day(28)]
        unable = await ask(home, "cannot-give", no["id"], *lead)
        assert unable["standing"] == "CANNOT_GIVE"
        able = await ask(home, "regain", no["id"], "--assessed-by", "safeguarding-lead")
        assert able["standing"] == "NOT_SOUGHT"
        code, _, err = await type_in(
            "consent", "settle", "--dir", home, name, "--means", "there", "--role", "lead"
        )
        assert (code, err.split(":")[0]) == (1, "NO_STEP")


async def test_nothing_is_needed_to_refuse_and_little_to_be_told_how(world):
    for words in (
        ["consent", "renew"],
        ["consent", "settle", "x"],
        ["consent", "answer", "x", "--did", "lost"],
    ):
        assert (await type_in(*words))[0] == 2, words
    code, out, _ = await type_in("consent", "--help")
    assert code == 0
    for act in ("give", "limit", "refuse", "withdraw", "renew", "cannot-give", "regain", "show"):
        assert f"\n  {act} " in out
