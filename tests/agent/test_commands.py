"""`fenpost-agent` as people type it: real processes, their words and their exit codes."""

import asyncio
import contextlib
import datetime
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from schemas.chain import Chain
from schemas.keys import SigningKey, Use
from tests.agent.agencies import (
    EVIDENCE,
    MESSAGE,
    RESPONSE,
    agreement,
    eventually,
    folder_of,
    form,
    put,
    quiet,
)
from tests.forked import programs
from tests.simulated_world import World

AGENT = Path(sys.executable).parent / "fenpost-agent"


@pytest.fixture
def world(tmp_path):
    """Its clock is the wall's, because the processes look at that."""
    made = World.found(tmp_path, "Peacock", "IDVAS", now=time.time())
    made.clock = time.time
    return made


async def start(*words, cwd=None, program=AGENT):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return await asyncio.create_subprocess_exec(
        str(program), *map(str, words), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env=environment, cwd=cwd,
    )  # fmt: skip


async def type_in(*words):
    """A command that ends by itself, and what it said."""
    process = await start(*words, program=programs() / "fenpost-agent")
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


@contextlib.asynccontextmanager
async def process_of(home):
    """A running agent process; killed at the end if the test has not ended it."""
    (home / "agent.port").unlink(missing_ok=True)
    process = await start("run", "--dir", home)
    try:
        await eventually(lambda: listening(home, process))
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), 60)
        process.log = err.decode()


async def listening(home, process):
    assert process.returncode is None, (await process.communicate())[1]
    return (home / "agent.port").exists()


def lately() -> dict[str, str]:
    """Dates that fit the day on which the test runs."""
    today = datetime.datetime.fromtimestamp(time.time(), datetime.UTC).date()
    return {
        "asked_on": str(today - datetime.timedelta(1)),
        "valid_until": str(today + datetime.timedelta(60)),
    }


async def test_a_session(world):
    """One agency's worker asks, sends, withdraws; every command in turn, on one running agent."""
    home = folder_of(world, "Peacock")
    for name, value in (
        ("evidence.json", {**EVIDENCE, **lately()}),
        ("message.json", MESSAGE),
        ("form.json", form("IDVAS")),
    ):
        (world.folder / name).write_text(json.dumps(value))
    async with world.relay(), quiet(world, "IDVAS") as idvas, process_of(home) as process:
        words = ["consent", "give", "--dir", home, "--to", "IDVAS", "--purpose", "SUPPORT", "--json"]
        for category in agreement("IDVAS")["categories"]:
            words += ["--category", category]
        code, out, err = await type_in(*words, "--evidence", world.folder / "evidence.json")
        assert code == 0, err
        gid = json.loads(out)["gid"]
        code, out, err = await type_in(
            "send",
            "--dir",
            home,
            world.folder / "form.json",
            "--gid",
            gid,
            "--payload",
            world.folder / "message.json",
        )
        assert (code, err) == (0, "")
        mid = re.fullmatch(r"queued here: (\S+)\n", out)[1]
        await eventually(lambda: collected(idvas))
        code, out, _ = await type_in("status", "--dir", home, mid, "--until", "opened", "--json")
        assert (code, json.loads(out)["desks"][0]["state"]) == (0, "opened")
        code, out, _ = await type_in("consent", "withdraw", "--dir", home, gid)
        assert (code, out) == (0, "Withdrawn. 0 waiting deliveries stopped.\n")
        code, out, err = await type_in("send", "--dir", home, world.folder / "form.json", "--gid", gid)
        assert code == 1
        assert out == ""
        assert err.startswith("BASIS: ")
        code, out, _ = await type_in("doctor", "--dir", home, "--json")
        failed = [check["name"] for check in json.loads(out)["checks"] if not check["ok"]]
        assert (code, failed) == (1, ["officers"])  # the policy asks for two leads, and nobody has named any
        code, out, _ = await type_in("reconcile", "show", "--dir", home)
        assert (code, out) == (0, "Nothing to look at. Newest day: none yet.\n")
        running = psutil.Process(process.pid)
        assert running.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert running.memory_info().rss <= 100 * 2**20
        code, out, err = await type_in("run", "--dir", home)
        assert (code, out) == (1, "")
        assert err.startswith("STORE_BUSY: ")
    assert process.returncode == 0
    for secret in ("Robin", "07700900123", "four words", "case-77", gid, mid):
        assert secret not in process.log


async def collected(agent):
    await agent.inbox.collect(0)
    return (await agent.showing.inbox()) != []


async def test_a_response_is_read_and_answered_by_command(world):
    assert RESPONSE["type"] == "referral.response"
    home = folder_of(world, "Peacock")
    code, out, err = await type_in("status", "--dir", home, "--json")
    assert code == 3
    assert json.loads(out)["code"] == "AGENT_AWAY"
    assert "fenpost-agent run" in err


async def test_a_command_that_is_misspelt_ends_with_two():
    for words in (
        ["send", "--to", "no-slash"],
        ["reject", "x", "--reason", "dull"],
        ["take-on", "x"],
        ["nonsense"],
    ):
        assert (await type_in(*words))[0] == 2, words


async def test_a_folder_becomes_an_agents_only_once(world):
    home = folder_of(world, "Peacock")
    before = (home / "api.token").read_bytes()
    code, _, err = await type_in("init", "--dir", home, "--passphrase-file", home / "passphrase")
    assert (code, err.split(":")[0]) == (1, "EXISTS")
    assert (home / "api.token").read_bytes() == before


async def test_an_agent_does_not_start_with_the_wrong_passphrase(world):
    home = folder_of(world, "Peacock")
    put(home / "other", b"not it\n")
    code, _, err = await type_in("run", "--dir", home, "--passphrase-file", home / "other")
    assert (code, err.split(":")[0]) == (1, "KEYFILE")


async def test_an_agent_does_not_start_when_others_can_read_its_keys(world):
    home = folder_of(world, "Peacock")
    (home / "agent.fpk").chmod(0o640)
    code, _, err = await type_in("run", "--dir", home)
    assert (code, err.split(":")[0]) == (1, "FILE")


async def test_a_killed_agent_loses_nothing_and_shows_nothing_twice(world):
    """kill -9 while messages come in, again and again: each is in IN once, and its sender hears "opened"."""
    home = folder_of(world, "IDVAS")
    async with world.relay(), quiet(world, "Peacock") as peacock:
        from agent.forms import Give, Send

        given = await peacock.agreements.give(Give.model_validate_json(json.dumps(agreement("IDVAS"))))
        mids, deaths = [], 3
        for death in range(deaths):
            for _ in range(6):
                value = form("IDVAS", gid=given["gid"])
                mids.append((await peacock.office.send(Send.model_validate_json(json.dumps(value))))["mid"])
            await peacock.outbox.flush()
            async with process_of(home) as process:
                await asyncio.sleep(0.03 * death)
                process.kill()
                await process.wait()
        async with process_of(home):
            await eventually(lambda: all_opened(peacock, mids))
            await eventually(lambda: handed(home, len(mids)))
        found = [json.loads(path.read_text())["mid"] for path in (home / "IN").glob("*.json")]
        assert sorted(found) == sorted(mids)
        assert list((home / "IN").glob(".*")) == []


async def all_opened(agent, mids):
    await agent.inbox.collect(0)
    return all([(await agent.showing.message(mid))["desks"][0]["state"] == "opened" for mid in mids])


async def handed(home, count):
    return len(list((home / "IN").glob("*.json"))) == count


async def test_a_safety_number_is_shown_and_marked_and_what_was_done_in_our_name_is_confirmed(world):
    home, mine = folder_of(world, "Peacock"), world.parties["Peacock"]
    chain = Chain(mine.admin.agency, mine.admin.op, mine.admin.seq, mine.admin.head)
    now = int(time.time())
    lead = chain.add_key(Use.PERSON, SigningKey(bytes(range(32))).public, now, now + 86_400, now, "lead-1")
    with (home / "agent.toml").open("a") as settings:
        settings.write("\ndirectory_every = 1.0\n")
    async with world.relay(), process_of(home):
        await eventually(lambda: knows(home), 20)
        code, out, _ = await type_in("safety-number", "--dir", home, "IDVAS")
        assert (code, out.splitlines()[-1]) == (0, "Nobody here has compared it yet.")
        number = " ".join(line.strip() for line in out.splitlines()[1:4])
        assert re.fullmatch(r"(\d{5} ){11}\d{5}", number)
        marked = ("--compared", number, "--role", "lead", "--how", "voice")
        code, out, _ = await type_in("safety-number", "--dir", home, "IDVAS", *marked)
        assert code == 0
        assert out.splitlines()[-1].endswith(" by lead (voice).")
        async with world.session() as http:
            await world.post_statements(http, "Peacock", ("directory", lead))
        await eventually(lambda: says(home, "own statements"), 45)
        said = await says(home, "own statements")
        assert "your administrator's key published a key of lead-1 (person)." in said
        code, out, _ = await type_in(
            "doctor", "--dir", home, "--acknowledge", re.search(r"\[(\d+)]", said)[1]
        )
        assert "ok  own statements" in out
        code, _, err = await type_in("doctor", "--dir", home, "--acknowledge", "agents")
        assert (code, err.startswith("NOT_FOUND: No second agent")) == (1, True)
        code, _, err = await type_in("doctor", "--dir", home, "--acknowledge", "messages")
        assert (code, "messages:NAME as doctor shows it" in err) == (2, True)
        code, _, err = await type_in("doctor", "--dir", home, "--acknowledge", "messages:abcdefghijkl.1")
        assert (code, err.startswith("NOT_FOUND: No messages in doubt")) == (1, True)


async def knows(home):
    code, out, _ = await type_in("status", "--dir", home, "--json")
    return code == 0 and json.loads(out)["name"] == "Peacock"


async def says(home, name):
    """What doctor finds wrong under this heading, or nothing."""
    _, out, _ = await type_in("doctor", "--dir", home, "--json")
    checks = json.loads(out)["checks"]
    return next((check["say"] for check in checks if check["name"] == name and not check["ok"]), None)
