"""The override desk: an author asks, a lead signs, the message goes; everything else stays where it is."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time

import pytest
from sqlalchemy import select

from agent.persons import read_person
from agent.tables import outbox
from schemas.chain import Chain
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from schemas.keyring import PersonKeys
from schemas.override import authorise_override, parse_core, request_override
from schemas.policing import LATE
from schemas.signing import Signed
from tests.agent.agencies import MESSAGE, eventually, folder_of, form, put, quiet, running
from tests.broker.leads import DAY, People
from tests.policy_world import next_policy, publish
from tests.simulated_world import PASSPHRASE, World

LAW = {"agree": "REFUSED", "agree_by": "SELF", "b6": "6f", "why_no": "G", "told": "YES"}
REASON = "She is in danger and nobody else can reach her this week."


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


@pytest.fixture
def people(world):
    return People.of(world)


@pytest.fixture
async def relay(world, people):
    async with world.relay() as running_relay:
        yield running_relay


def risky(to="IDVAS", **changes):
    return form(to, **{"purpose": "RISK_MGMT", "law": LAW, **changes})


async def ask(caller, people, mid, author="author", reason=REASON, **named):
    """What `override request` does; `named` are the basis and the reason that its author names."""
    key = people.keys[author]
    value = {"author": key.kid, "reason": reason, "mid": mid, **named}
    status, drafted = await caller.ask("POST", "/v1/overrides", value)
    if status >= 300:
        return status, drafted
    signed = request_override(parse_core(drafted["core"].encode()), key)
    path = f"/v1/overrides/{drafted['oid']}/request"
    return await caller.ask("POST", path, {"s": signed.to_json()["s"]})


async def authorise(caller, people, oid, lead="lead"):
    """What `override authorise` does."""
    asked = await caller.ok("GET", f"/v1/overrides/{oid}")
    request = Signed.from_json(asked["request"])
    signed = authorise_override(request, people.keys[lead], people.world.now)
    return await caller.ask("POST", f"/v1/overrides/{oid}/authorise", signed.to_json())


async def held(caller, **changes):
    """Send a message that waits for a lead; its mid."""
    sent = await caller.ok("POST", "/v1/messages", risky(**changes))
    assert sent["warnings"][0]["code"] == "HOLD_LEAD"
    shown = await caller.until(sent["mid"], "held")
    assert shown["desks"][0]["says"] == "waits at the relay for your safeguarding lead"
    return sent["mid"]


async def test_a_message_waits_until_its_lead_signs_and_is_opened_at_the_other_agency(world, relay, people):
    async with running(world, "Peacock") as peacock, running(world, "IDVAS") as idvas:
        mid = await held(peacock)
        (hold,) = (await peacock.ok("GET", "/v1/holds"))["holds"]
        assert (hold["mid"], hold["state"], hold["asked"]) == (mid, "held", None)
        assert (await idvas.ok("GET", "/v1/inbox"))["items"] == []
        _, asked = await ask(peacock, people, mid)
        assert (asked["state"], asked["reason"]) == ("asked", REASON)
        assert (await peacock.ok("GET", "/v1/holds"))["holds"][0]["asked"] == asked["oid"]
        status, done = await authorise(peacock, people, asked["oid"])
        assert (status, done["state"], done["reason"]) == (200, "recorded", None)
        item = await idvas.first_in()
        assert item["alert"]
        received = await idvas.ok("GET", f"/v1/inbox/{item['id']}")
        assert received["message"]["person"]["known_as"] == MESSAGE["person"]["known_as"]
        await peacock.until(mid, "opened")
        assert (await peacock.ok("GET", "/v1/holds"))["holds"] == []
        told = (await peacock.ok("GET", "/v1/overrides"))["told"]
        assert {"held", "released", "override"} <= {one["kind"] for one in told}


@pytest.mark.parametrize(
    ("lead", "code"),
    [
        ("author", "AUTHORISER_SAME"),
        ("second author", "AUTHORISER_ROLE"),
        ("new lead", "ROLE_KEY_YOUNG"),
        ("unsigned lead", "ROLE_KEY_UNSIGNED"),
        ("their lead", "OVERRIDE_AGENCY"),
    ],
)
async def test_only_a_lead_of_this_agency_authorises_and_nothing_goes_before(
    world, relay, people, lead, code
):
    async with running(world, "Peacock") as peacock:
        mid = await held(peacock)
        _, asked = await ask(peacock, people, mid)
        status, problem = await authorise(peacock, people, asked["oid"], lead)
        assert (status, problem["code"]) == (422, code)
        assert (await peacock.ok("GET", f"/v1/overrides/{asked['oid']}"))["state"] == "asked"
        status, done = await authorise(peacock, people, asked["oid"])
        assert (status, done["state"]) == (200, "recorded")


@pytest.mark.parametrize(("author", "code"), [("lead", "AUTHOR_ROLE"), ("their author", "OVERRIDE_AGENCY")])
async def test_only_an_author_of_this_agency_asks(world, relay, people, author, code):
    async with running(world, "Peacock") as peacock:
        status, problem = await ask(peacock, people, await held(peacock), author)
        assert (status, problem["code"]) == (422, code)


async def test_an_author_cannot_sign_in_anothers_name(world, relay, people):
    async with running(world, "Peacock") as peacock:
        mid = await held(peacock)
        value = {"author": people.keys["author"].kid, "reason": REASON, "mid": mid}
        drafted = await peacock.ok("POST", "/v1/overrides", value)
        core = parse_core(drafted["core"].encode())
        other = core.model_copy(update={"author": people.keys["second author"].kid})
        forged = request_override(other, people.keys["second author"]).to_json()["s"]
        status, problem = await peacock.ask("POST", f"/v1/overrides/{drafted['oid']}/request", {"s": forged})
        assert (status, problem["code"]) == (422, "SIGNATURE")


async def test_a_lead_signs_the_request_that_she_was_shown(world, relay, people):
    async with running(world, "Peacock") as peacock:
        first, second = await held(peacock), await held(peacock)
        _, one = await ask(peacock, people, first)
        _, two = await ask(peacock, people, second)
        request = Signed.from_json(two["request"])
        signed = authorise_override(request, people.keys["lead"], world.now).to_json()
        status, problem = await peacock.ask("POST", f"/v1/overrides/{one['oid']}/authorise", signed)
        assert (status, problem["code"]) == (409, "CONFLICT")


async def test_a_thread_of_risk_is_asked_for_once_and_its_messages_go(world, relay, people):
    async with running(world, "Peacock") as peacock, running(world, "IDVAS") as idvas:
        thread = "AAAAAAAAAAAAAAAAAAAAAA"
        about = {
            "thread": thread, "to": [{"agency": "IDVAS", "desk": "intake"}], "from_desk": "intake",
            "categories": ["ask", "contact", "person", "wishes"], "purpose": "RISK_MGMT", "basis": "6f", "days": 7,
        }  # fmt: skip
        key = people.keys["author"]
        value = {"author": key.kid, "reason": REASON, "thread": about}
        drafted = await peacock.ok("POST", "/v1/overrides", value)
        oid = drafted["oid"]
        signed = request_override(parse_core(drafted["core"].encode()), key)
        await peacock.ok("POST", f"/v1/overrides/{oid}/request", {"s": signed.to_json()["s"]})
        status, problem = await peacock.ask("POST", "/v1/messages", risky(override=oid))
        assert (status, problem["code"]) == (422, "OVERRIDE_UNKNOWN")
        await authorise(peacock, people, oid)
        sent = await peacock.ok("POST", "/v1/messages", risky(override=oid))
        assert sent["thread"] == thread
        item = await idvas.first_in()
        assert (item["thread"], item["alert"]) == (thread, True)
        status, problem = await peacock.ask("POST", "/v1/messages", risky(override=oid, purpose="CHILD_PROT"))
        assert status == 422
        world.clock.advance(7 * DAY)


async def test_an_emergency_shows_what_the_lead_has_still_to_sign(world, relay, people):
    async with running(world, "Peacock") as peacock, running(world, "IDVAS") as idvas:
        red = {**MESSAGE, "rag": "RED"}
        emergency = risky(payload=red, law={**LAW, "why_no": "F"})
        sent = await peacock.ok("POST", "/v1/messages", emergency)
        assert (await idvas.first_in())["alert"]

        async def due():
            return (await peacock.ok("GET", "/v1/holds"))["holds"]

        (hold,) = await eventually(due)
        assert (hold["mid"], hold["state"]) == (sent["mid"], "sent, to be signed")
        _, asked = await ask(peacock, people, sent["mid"])
        status, _ = await authorise(peacock, people, asked["oid"])
        assert status == 200

        async def settled():
            return not (await peacock.ok("GET", "/v1/holds"))["holds"]

        await eventually(settled)


async def test_of_an_emergency_that_ended_before_anybody_fetched_it_nothing_is_left_to_sign(
    world, relay, people
):
    async with running(world, "Peacock") as peacock:
        emergency = risky(payload={**MESSAGE, "rag": "RED"}, law={**LAW, "why_no": "F"})
        sent = await peacock.ok("POST", "/v1/messages", emergency)

        async def due():
            return (await peacock.ok("GET", "/v1/holds"))["holds"]

        assert [hold["mid"] for hold in await eventually(due)] == [sent["mid"]]
        world.clock.advance(8 * DAY)
        await relay.sweeper.sweep()

        async def settled():
            return not (await peacock.ok("GET", "/v1/holds"))["holds"]

        await eventually(settled)


async def test_of_an_emergency_that_named_no_basis_the_author_names_one_and_the_lead_signs(
    world, relay, people
):
    async with running(world, "Peacock") as peacock:
        red = {**MESSAGE, "rag": "RED"}
        law = {"agree": "NOT_SOUGHT", "why_no": "F", "told": "YES"}
        sent = await peacock.ok("POST", "/v1/messages", risky(payload=red, law=law))

        async def due():
            return (await peacock.ok("GET", "/v1/holds"))["holds"]

        await eventually(due)
        for basis, code in ((None, "BASIS"), ("6a", "BASIS"), ("6z", "VOCABULARY")):
            status, problem = await ask(peacock, people, sent["mid"], basis=basis)
            assert (status, problem["code"]) == (422, code)
        status, problem = await ask(peacock, people, sent["mid"], basis="6f", why="A")
        assert (status, problem["code"]) == (422, "OVERRIDE_DIFFERS")
        status, asked = await ask(peacock, people, sent["mid"], basis="6f")
        assert (status, asked["basis"], asked["why"]) == (200, "6f", "F")
        status, done = await authorise(peacock, people, asked["oid"])
        assert (status, done["state"]) == (200, "recorded")

        async def settled():
            return not (await peacock.ok("GET", "/v1/holds"))["holds"]

        await eventually(settled)


async def test_before_it_goes_nobody_names_another_basis_than_the_message(world, relay, people):
    async with running(world, "Peacock") as peacock:
        mid = await held(peacock)
        status, problem = await ask(peacock, people, mid, basis="6d")
        assert (status, problem["code"]) == (422, "OVERRIDE_DIFFERS")


async def test_a_message_released_under_a_newer_policy_is_opened_at_the_other_agency(world, relay, people):
    """Under the policy of its own time nobody could have let it go."""
    async with (
        world.session() as http,
        running(world, "Peacock") as peacock,
        running(world, "IDVAS") as idvas,
    ):
        await publish(world, http, next_policy(world, authorisers=["another"]))
        world.clock.advance(2 * LATE)
        for one in (peacock, idvas):
            await one.agent.book.refresh()
        mid = await held(peacock)
        _, asked = await ask(peacock, people, mid)
        status, problem = await authorise(peacock, people, asked["oid"])
        assert (status, problem["code"]) == (422, "AUTHORISER")
        world.clock.advance(2 * LATE)
        await publish(world, http, next_policy(world, 3))
        world.clock.advance(2 * LATE)
        _, asked = await ask(peacock, people, mid)
        status, done = await authorise(peacock, people, asked["oid"])
        assert (status, done["state"]) == (200, "recorded")
        item = await idvas.first_in()
        assert item["alert"]


async def test_what_lapsed_is_told_to_its_author_with_a_next_step(world, relay, people):
    async with running(world, "Peacock") as peacock:
        mid = await held(peacock)
        world.clock.advance(4 * DAY)
        await relay.sweeper.sweep()
        shown = await peacock.until(mid, "refused")
        assert "did not agree in time" in shown["desks"][0]["says"]
        store = peacock.agent.store
        drafts = await store.run(lambda c: c.execute(select(outbox.c.draft)).scalars().all())
        assert drafts == [None]  # its words go with it


async def test_what_waits_is_known_again_after_a_restart(world, relay, people):
    async with running(world, "Peacock") as peacock:
        mid = await held(peacock)
        _, asked = await ask(peacock, people, mid)
    async with quiet(world, "Peacock") as agent:
        (hold,) = (await agent.overrides.holds())["holds"]
        assert (hold["mid"], hold["asked"]) == (mid, asked["oid"])
        await agent.overrides.forget(world.now)
        assert (await agent.overrides.one(asked["oid"]))["reason"] == REASON
        world.clock.advance(3 * DAY)
        await agent.overrides.forget(world.now)
        assert (await agent.overrides.one(asked["oid"]))["reason"] is None


async def test_a_signature_given_while_the_relay_is_away_is_handed_in_later(world, people):
    async with running(world, "Peacock") as peacock:
        async with world.relay():
            mid = await held(peacock)
            _, asked = await ask(peacock, people, mid)
        status, done = await authorise(peacock, people, asked["oid"])
        assert (status, done["state"]) == (200, "authorised")
        async with world.relay():

            async def recorded():
                found = await peacock.ok("GET", f"/v1/overrides/{asked['oid']}")
                return found["state"] == "recorded"

            await eventually(recorded)


async def test_the_reason_is_in_no_log_and_no_file_of_the_agent(world, relay, people, caplog):
    async with running(world, "Peacock") as peacock:
        _, asked = await ask(
            peacock, people, await held(peacock), reason="The kestrel nests in the old mill."
        )
        await authorise(peacock, people, asked["oid"])
    found = [path for path in world.folder.rglob("*") if path.is_file() and b"kestrel" in path.read_bytes()]
    assert found == []
    assert "kestrel" not in caplog.text


# --- the commands


def key_file(world, people, who, tag):
    """A person's key file, as `fenpost-keys role new` makes it."""
    path = world.folder / f"{tag}.fpk"
    keys = PersonKeys(world.parties["Peacock"].id, tag, people.keys[who])
    put(path, lock(keys.to_json(), keys.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes))
    return path


def type_command(world, *words):
    env = {**os.environ, "PYTHONPATH": "."}
    return subprocess.run(
        [sys.executable, "-m", "agent", *words, "--dir", str(world.folder / "Peacock")],
        capture_output=True, text=True, timeout=60, env=env, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


async def test_the_commands_ask_list_and_release(tmp_path):
    # The commands have the real clock, and her key must have counted for a day by then.
    world = World.found(tmp_path, "Peacock", "IDVAS", now=int(time.time()) - 8 * DAY)
    people = People.of(world)
    world.clock.now = time.time()
    author, lead = key_file(world, people, "author", "author-1"), key_file(world, people, "lead", "lead-2")
    passphrase = folder_of(world, "Peacock") / "passphrase"
    reason = world.folder / "reason.txt"
    put(reason, REASON.encode())

    def run(*words):
        return asyncio.to_thread(type_command, world, *words)

    async with world.relay(), running(world, "Peacock") as peacock, running(world, "IDVAS") as idvas:
        mid = await held(peacock)
        lists = await run("override", "hold", "list")
        assert (lists.returncode, mid in lists.stdout) == (0, True)
        opens = ("--passphrase-file", str(passphrase))
        early = await run("override", "hold", "release", mid, "--key", str(lead), *opens, "--yes")
        assert (early.returncode, early.stderr.startswith("CONFLICT")) == (1, True)
        asked = await run(
            "override", "request", mid, "--key", str(author), "--reason-file", str(reason), *opens, "--json"
        )
        assert asked.returncode == 0, asked.stderr
        oid = json.loads(asked.stdout)["oid"]
        another = ("--key", str(author), "--reason-file", str(reason), "--basis", "6d", "--why", "G")
        differs = await run("override", "request", mid, *another, *opens)
        assert (differs.returncode, differs.stderr.startswith("OVERRIDE_DIFFERS")) == (1, True)
        own = await run("override", "authorise", oid, "--key", str(author), *opens, "--yes")
        assert (own.returncode, own.stderr.splitlines()[-1].split(":")[0]) == (1, "AUTHORISER_SAME")
        unread = await run("override", "authorise", oid, "--key", str(lead), *opens)
        assert unread.returncode == 2
        done = await run("override", "hold", "release", mid, "--key", str(lead), *opens, "--yes")
        assert (done.returncode, done.stdout) == (0, "Signed, and the relay has it.\n"), done.stderr
        assert REASON in done.stderr  # she reads it before she signs
        await idvas.first_in()
        listed = await run("override", "list", "--json")
        assert json.loads(listed.stdout)["overrides"][0]["state"] == "recorded"


def test_a_persons_key_file_that_others_may_read_is_refused(world, people):
    path = key_file(world, people, "author", "author-1")
    path.chmod(0o644)
    passphrase = folder_of(world, "Peacock") / "passphrase"
    with pytest.raises(Refusal, match="FILE"):
        read_person(path, passphrase)
    path.chmod(0o600)
    assert read_person(path, passphrase).tag == "author-1"
    wrong = folder_of(world, "Peacock") / "agent.fpk"
    with pytest.raises(Refusal, match="KEYFILE"):
        read_person(wrong, passphrase)


async def test_an_override_whose_leads_key_was_revoked_on_the_way_is_told_and_asked_for_anew(world, people):
    """Only she can sign again; until somebody tells her, she believes that she let it go."""
    async with running(world, "Peacock") as peacock:
        async with world.relay():
            mid = await held(peacock)
            _, asked = await ask(peacock, people, mid)
        _, done = await authorise(peacock, people, asked["oid"])
        assert done["state"] == "authorised"
        world.clock.advance(60)
        async with world.relay(), world.session() as http:
            admin = world.parties["Peacock"].admin
            gone = Chain(admin.agency, admin.op, admin.seq, admin.head).revoke(
                people.keys["lead"].kid, "rotated", world.now, world.now
            )
            await world.post_statements(http, "Peacock", ("directory", gone))

            async def refused():
                return (await peacock.ok("GET", f"/v1/overrides/{asked['oid']}"))["state"] == "refused"

            await eventually(refused)
            shown = await peacock.ok("GET", "/v1/overrides")
            assert [one["code"] for one in shown["overrides"]] == ["REVOKED_KEY"]
            (told,) = [one for one in shown["told"] if one["kind"] == "override-refused"]
            assert (told["mid"], "asked for and signed again" in told["says"]) == (mid, True)
            assert (await peacock.ok("GET", "/v1/holds"))["holds"][0]["state"] == "held"
            assert (await ask(peacock, people, mid))[1]["state"] == "asked"
