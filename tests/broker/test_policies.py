"""Policies at the relay: two people's, in order, with their text, from the second they say; or nothing of it."""

import json
import secrets
import sqlite3

import aiohttp
import pytest

from schemas import api
from schemas.canonical import encode
from schemas.keys import SigningKey, Use
from schemas.opening import open_record
from schemas.policing import KEY_DELAY, LATE, POLICY_LIMIT, SignedPolicy, policy_digest
from tests.policy_world import BLIND, next_policy, own_chain, post, publish, signed, stated, text_of
from tests.simulated_world import World

DAY = 24 * 3600


def database(world: World) -> sqlite3.Connection:
    return sqlite3.connect(world.folder / "relay" / "relay.db")


async def readiness(running) -> dict:
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{running.admin_port}") as admin,
        admin.get("/readyz") as answer,
    ):
        assert answer.status == 200
        said = await answer.json()
        assert said.pop("short_of_officers") >= 0  # tests/broker/test_staffing.py
        return said


async def fetched(world: World, http, digest: str, party: str = "IDVAS", key=None):
    return await world.call(http, party, "GET", api.POLICY, f"digest={digest}", key=key)


async def told(world: World, http, **changes) -> str:
    """What the gate says to an AMBER that rests on an agreement."""
    grant = world.grant("Peacock", "IDVAS")
    status = world.status("Peacock", grant)
    await world.post_statements(http, "Peacock", ("grant", grant), ("status", status))
    sealed = world.seal("Peacock", "IDVAS", grant=grant, status=status, **changes)
    answer = await world.post_envelopes(http, "Peacock", sealed)
    return answer.json()["code"] if answer.status != 200 else answer.json()["results"][0]["status"]


# --- taken


async def test_a_new_partnership_has_its_founding_policy(world: World, relay, http):
    assert await readiness(relay) == {"ready": True, "policy": 1}
    answer = await fetched(world, http, policy_digest(world.founded.policy.text))
    assert answer.body == world.founded.policy.text
    assert await told(world, http) == "accepted"


async def test_agents_and_officers_of_members_fetch_it_and_nobody_else(world: World, relay, http):
    digest = policy_digest(world.founded.policy.text)
    for key in (None, world.parties["IDVAS"].officer.auth):
        assert (await fetched(world, http, digest, key=key)).status == 200
    assert (await fetched(world, http, digest, key=SigningKey(secrets.token_bytes(32)))).status == 401
    async with http.get(f"{api.POLICY}?digest={digest}") as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    ("query", "status"),
    [(f"digest={'A' * 43}", 404), ("digest=short", 400), ("", 400), (f"digest={'A' * 43}&v=1", 400)],
)
async def test_a_policy_that_is_not_there_or_not_named_is_refused(
    world: World, http, query: str, status: int
):
    assert (await world.call(http, "IDVAS", "GET", api.POLICY, query)).status == status


async def test_a_policy_of_two_people_decides_from_its_first_second_on(world: World, relay, http):
    policy = next_policy(world, effective=world.now + 600, **BLIND)
    await publish(world, http, policy)
    assert (await fetched(world, http, policy_digest(policy.text))).body == policy.text
    world.clock.advance(599)
    assert await told(world, http) == "accepted"
    world.clock.advance(1)
    assert await told(world, http) == "NO_AGREEMENT"
    assert await readiness(relay) == {"ready": True, "policy": 2}


async def test_it_decides_after_a_restart_too(world: World):
    async with world.relay(), world.session() as http:
        await publish(world, http, next_policy(world, **BLIND))
        assert await told(world, http) == "NO_AGREEMENT"
    async with world.relay(), world.session() as http:
        assert await told(world, http) == "NO_AGREEMENT"


async def test_an_old_policy_comes_back_as_the_next_version(world: World, relay, http):
    await publish(world, http, next_policy(world, **BLIND))
    assert await told(world, http) == "NO_AGREEMENT"
    await publish(world, http, next_policy(world, version=3))
    assert await told(world, http) == "accepted"


async def test_the_same_again_is_a_repeat(world: World, relay, http):
    policy = next_policy(world)
    statement = stated(world, policy)
    assert await post(world, http, statement, policy.text) == "recorded"
    size = relay.relay.log.size
    assert await post(world, http, statement, policy.text) == "repeat"
    assert relay.relay.log.size == size


async def test_oversights_officer_finds_it_in_the_log(world: World, relay, http):
    size = relay.relay.log.size
    await publish(world, http, next_policy(world))
    assert relay.relay.log.size == size + 1


# --- refused


def keys(world: World) -> tuple[SigningKey, SigningKey]:
    one, two = (signer.key for signer in world.founded.signers)
    return one, two


LOST = SigningKey(secrets.token_bytes(32))
REFUSED = [
    ("nobody's signature", "POLICY_SIGNERS", lambda w: signed(text_of(w, 2))),
    ("one signature", "POLICY_SIGNERS", lambda w: signed(text_of(w, 2), keys(w)[0])),
    ("an unknown key", "UNKNOWN_KEY", lambda w: signed(text_of(w, 2), keys(w)[0], LOST)),
    ("oversight's own key", "UNKNOWN_KEY", lambda w: signed(text_of(w, 2), keys(w)[0], w.parties["oversight"].admin.op)),
    ("an older version", "POLICY_OLDER", lambda w: next_policy(w, version=1)),
    ("a gap", "POLICY_GAP", lambda w: next_policy(w, version=3)),
    ("begun in the past", "POLICY_PAST", lambda w: next_policy(w, effective=w.now - LATE - 1)),
    ("changed after signing", "SIGNATURE", lambda w: SignedPolicy(text_of(w, 2, name="B"), next_policy(w).sigs)),
    ("another's first day", "SIGNATURE", lambda w: SignedPolicy(text_of(w, 2, w.now + 9), next_policy(w).sigs)),
]  # fmt: skip


@pytest.mark.parametrize(("what", "code", "make"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_what_two_people_did_not_sign_in_order_is_refused_whole(
    world, relay, http, what: str, code: str, make
):
    policy, size = make(world), relay.relay.view.directory.size
    assert await post(world, http, stated(world, policy), policy.text) == code
    assert relay.relay.view.directory.size == size
    assert await told(world, http) == "accepted"
    assert (await fetched(world, http, policy_digest(policy.text))).status == 404


async def test_one_person_with_two_keys_is_one_person(world: World, relay, http):
    again, one = SigningKey(secrets.token_bytes(32)), keys(world)[0]
    named = own_chain(world).add_key(
        Use.POLICY, again.public, world.now + KEY_DELAY, world.now + 9 * DAY, world.now, "policy-1"
    )
    assert await post(world, http, named, None, kind="directory") == "recorded"
    world.take(named)
    world.clock.advance(KEY_DELAY)
    policy = signed(text_of(world, 2), one, again)
    assert await post(world, http, stated(world, policy), policy.text) == "POLICY_SAME_PERSON"


async def test_a_revoked_key_is_refused_even_by_a_statement_that_is_dated_before(world: World, relay, http):
    gone = own_chain(world).revoke(keys(world)[1].kid, "left", world.now, world.now)
    assert await post(world, http, gone, None, kind="directory") == "recorded"
    world.take(gone)
    policy = next_policy(world)
    assert await post(world, http, stated(world, policy), policy.text) == "REVOKED_KEY"
    # A chain's time never goes back (K8), so nothing can be dated before the revocation either.
    assert await post(world, http, stated(world, policy, world.now - 60), policy.text) == "DIRECTORY"


TEXTS = [
    ("none at all", lambda text: None),
    ("another", lambda text: text.replace(b"founding policy", b"founding politics")),
    ("cut short", lambda text: text[:-1]),
    ("empty", lambda text: b""),
    ("not canonical", lambda text: text + b" "),
]


@pytest.mark.parametrize(("what", "change"), TEXTS, ids=[row[0] for row in TEXTS])
async def test_a_statement_with_a_text_that_is_not_its_own_is_refused(
    world: World, relay, http, what: str, change
):
    policy, size = next_policy(world), relay.relay.view.directory.size
    assert await post(world, http, stated(world, policy), change(policy.text)) == "POLICY_TEXT"
    assert relay.relay.view.directory.size == size


async def test_two_people_cannot_put_in_force_what_is_no_policy(world: World, relay, http):
    for text in (text_of(world, 2, more=1), encode({"version": 2, "effective": world.now})):
        policy = signed(text, *keys(world))
        assert await post(world, http, stated(world, policy), text) == "POLICY_TEXT"


async def test_a_policy_is_not_taken_as_an_ordinary_statement_or_a_text_without_its_policy(
    world: World, relay, http
):
    policy = next_policy(world)
    statement = stated(world, policy)
    assert await post(world, http, statement, None, kind="directory") == "POLICY_TEXT"
    assert await post(world, http, statement, policy.text, kind="directory") == "FORM"
    revoke = own_chain(world).revoke(keys(world)[1].kid, "left", world.now, world.now)
    assert await post(world, http, revoke, policy.text) == "POLICY_TEXT"
    assert await post(world, http, statement, b"\xe9") == "FORM"
    assert await post(world, http, statement, b" " * (POLICY_LIMIT + 1)) == "FORM"


async def test_only_oversights_agent_hands_it_in(world: World, relay, http):
    policy = next_policy(world)
    assert await post(world, http, stated(world, policy), policy.text, party="Peacock") == "NOT_ALLOWED"


@pytest.mark.parametrize("off", [-LATE - 1, LATE + 1])
async def test_policies_and_signers_are_dated_now(world: World, relay, http, off: int):
    policy = next_policy(world, effective=world.now + DAY)
    assert await post(world, http, stated(world, policy, world.now + off), policy.text) == "CLOCK"
    late = own_chain(world).add_key(
        Use.POLICY, LOST.public, world.now + 2 * DAY, world.now + 9 * DAY, world.now + off, "policy-3"
    )
    assert await post(world, http, late, None, kind="directory") == "CLOCK"


async def test_one_refused_policy_leaves_the_other_statements_of_its_request_alone(world: World, relay, http):
    good, bad = next_policy(world), signed(text_of(world, 2), keys(world)[0])
    items = [
        {"kind": "policy", "signed": stated(world, policy).to_json(), "body": policy.text.decode()}
        for policy in (bad, good)
    ]
    body = json.dumps({"statements": items}).encode()
    answer = await world.call(http, "oversight", "POST", api.STATEMENTS, body=body)
    assert [one["code"] or one["status"] for one in answer.json()["results"]] == [
        "POLICY_SIGNERS",
        "recorded",
    ]


# --- a store that lost it


async def test_a_relay_whose_policy_is_spoiled_starts_says_so_and_carries_only_reds(world: World, capsys):
    from broker import logs

    async with world.relay():
        pass
    with database(world) as db:
        db.execute("UPDATE policies SET text = replace(text, 'SUPPORT', 'SUPPORD')")
    db.close()
    logs.configure("error")
    async with world.relay() as relay, world.session() as http:
        assert await readiness(relay) == {"ready": True, "policy": None}
        said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert [(one["event"], one["code"], one["count"]) for one in said] == [
            ("policy-texts-missing", "POLICY_TEXT", 1)
        ]
        assert (await fetched(world, http, policy_digest(world.founded.policy.text))).status == 404
        assert await told(world, http) == "POLICY"
        nobody = await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))
        assert nobody.json()["code"] == "POLICY"
        red = await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS", rag="RED"))
        (result,) = red.json()["results"]
        assert (result["status"], result["alert"]) == ("accepted", True)


async def test_a_red_without_a_policy_is_recorded_as_such(world: World):
    async with world.relay():
        pass
    with database(world) as db:
        db.execute("DELETE FROM policies")
    db.close()
    async with world.relay(), world.session() as http:
        answer = await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS", rag="RED"))
        (result,) = answer.json()["results"]
        facts = opened(result)
        assert (facts["decision"]["outcome"], facts["decision"]["code"]) == ("alert", "POLICY")
        assert facts["policy"] is None


async def test_with_a_policy_the_record_names_it(world: World, relay, http):
    answer = await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))
    (result,) = answer.json()["results"]
    assert opened(result)["policy"] == 1


def opened(result: dict) -> dict:
    from schemas.canonical import unb64
    from schemas.record import SealedRecord

    record = SealedRecord.parse(unb64(result["record"]))
    return open_record(record, unb64(result["rk"]), record.head.ctx)


async def test_a_lost_policy_is_taken_again_with_the_same_statement(world: World):
    policy = next_policy(world, **BLIND)
    statement = stated(world, policy)
    async with world.relay(), world.session() as http:
        assert await post(world, http, statement, policy.text) == "recorded"
    with database(world) as db:
        db.execute("UPDATE policies SET text = x'00' WHERE digest = ?", (policy_digest(policy.text),))
    db.close()
    async with world.relay() as relay, world.session() as http:
        assert await readiness(relay) == {"ready": True, "policy": None}
        assert await post(world, http, statement, text_of(world, 2)) == "POLICY_TEXT"
        assert await post(world, http, statement, policy.text) == "repeat"
        assert await readiness(relay) == {"ready": True, "policy": 2}
        assert (await fetched(world, http, policy_digest(policy.text))).body == policy.text
    async with world.relay() as relay:
        assert await readiness(relay) == {"ready": True, "policy": 2}


async def test_a_spoiled_policy_is_never_replaced_by_an_older_one(world: World):
    policy = next_policy(world, effective=world.now + 600)
    async with world.relay(), world.session() as http:
        await publish(world, http, policy)
    with database(world) as db:
        db.execute("DELETE FROM policies WHERE digest = ?", (policy_digest(policy.text),))
    db.close()
    async with world.relay() as relay, world.session() as http:
        assert await readiness(relay) == {"ready": True, "policy": 1}
        world.clock.advance(600)
        assert await readiness(relay) == {"ready": True, "policy": None}
        assert await told(world, http) == "POLICY"


async def test_a_founding_file_without_a_policy_starts_a_relay_without_one(world: World):
    founding = world.folder / "relay" / "founding.json"
    items = [item for item in json.loads(founding.read_text()) if set(item) != {"policy"}]
    founding.write_text(json.dumps(items))
    async with world.relay() as relay, world.session() as http:
        assert await readiness(relay) == {"ready": True, "policy": None}
        assert await told(world, http) == "POLICY"
