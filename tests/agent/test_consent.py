"""Agreements at their agency: versions, handles that lead nowhere, prompts, and what a worker reads (J1-J6, J12)."""

import json

import pytest
from sqlalchemy import event, select

from agent.consent_forms import Ask, CannotGive, Refuse, Regain, Settle
from agent.forms import Give, Send
from agent.tables import agreements, answers, grants, journal, posts, sealings
from schemas.agreement import evidence_hash
from schemas.canonical import unb64
from schemas.errors import Refusal
from tests.agent.agencies import EVIDENCE, agreement, eventually, form, quiet, running
from tests.agent.test_override_desk import LAW, ask, authorise, held
from tests.broker.leads import People
from tests.simulated_world import World

DAY = 24 * 3600
LIMITED = {**EVIDENCE, "state": "LIMITED", "limits": {"not_categories": ["needs"]}}
REFUSED = "refused"


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", "Harbour")


def read(model, **value):
    return model.model_validate_json(json.dumps(value))


async def give(agent, *to, **changes):
    value = agreement("IDVAS", **changes) | ({"to": list(to)} if to else {})
    return await agent.agreements.give(read(Give, **value))


async def send(agent, gid, *to, **changes):
    desks = [{"agency": name, "desk": "intake"} for name in to or ("IDVAS",)]
    return await agent.office.send(read(Send, **form("IDVAS", gid=gid, to=desks, **changes)))


async def handles(agent, where=True):
    return await agent.store.run(
        lambda c: c.execute(select(grants).where(where).order_by(grants.c.exp)).all()
    )


def facts(row):
    return json.loads(row.grant_t)


async def refused(work):
    with pytest.raises(Refusal) as refusal:
        await work
    return refusal.value.code


async def test_one_agreement_with_several_recipients_becomes_several_handles(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        given = await give(agent, "IDVAS", "Harbour", purposes=["SUPPORT", "RISK_MGMT"])
        assert len(await handles(agent)) == 1  # nothing leaves before a message needs it
        await send(agent, given["id"])
        await send(agent, given["gid"], "Harbour")
        await send(agent, given["id"], "IDVAS", "Harbour")
        await send(agent, given["id"], purpose="RISK_MGMT")
        await send(agent, given["id"])  # uses the first again
        rows = await handles(agent)
        scopes = {(tuple(facts(row)["to"]), *facts(row)["pur"]) for row in rows}
        assert len(rows) == len(scopes) == 4
        gids = await agent.store.run(lambda c: set(c.execute(select(sealings.c.gid)).scalars()))
        assert gids == {row.gid for row in rows}


async def test_two_handles_of_one_person_share_nothing_that_links_them(world):
    """All that the relay gets of each: grants, staples, withdrawals. Codes that everybody shares may be equal."""
    async with world.relay(), quiet(world, "Peacock") as agent:
        given = await give(agent, "IDVAS", "Harbour")
        world.clock.advance(60)
        await send(agent, given["id"], "Harbour")
        await agent.agreements.withdraw(given["id"])
        one, other = await handles(agent)
        told = await agent.store.run(lambda c: c.execute(select(posts)).all())
        seen = [
            " ".join(row.text + row.sig for row in told if row.gid == handle.gid) for handle in (one, other)
        ]
        mine, theirs = (strings(text) for text in seen)
        everybodys = {
            "SUPPORT", "active", world.parties["Peacock"].id, agent.agreements._keys.consent.kid, "false", "1",
            *agreement("IDVAS")["categories"],
        }  # fmt: skip
        assert mine & theirs <= everybodys | NAMES | stamps(seen)
        for name in ("gid", "ev", "exp", "nbf"):
            assert facts(one)[name] != facts(other)[name]
        assert one.salt != other.salt
        for secret in (given["id"], "May we pass", "face_to_face", one.salt, other.salt):
            assert secret not in " ".join(seen)


async def test_a_stop_ends_every_handle_before_anybody_hears_that_it_was_taken(world):
    """Nothing of it waits, not even to hide from the relay that the handles are one person's (SEIZURE.md)."""
    async with world.relay(), quiet(world, "Peacock") as agent, quiet(world, "IDVAS") as idvas:
        given = await give(agent, "IDVAS", "Harbour", purposes=["SUPPORT", "RISK_MGMT"])
        await send(agent, given["id"])
        await send(agent, given["id"], "Harbour")
        await send(agent, given["id"], purpose="RISK_MGMT")
        await agent.posting.flush()
        await agent.outbox.flush()
        world.clock.advance(60)
        assert (await agent.agreements.withdraw(given["id"]))["at_the_relay"]
        rows = await handles(agent)
        pages = [await agent.relay.grant(row.gid) for row in rows]
        assert [json.loads(page.withdrawal.t)["ts"] for page in pages] == [world.now] * 3
        assert (await agent.view.agreement(given["id"]))["stopped_at_the_relay"] == 3
        await idvas.inbox.collect(0)
        assert await idvas.showing.inbox() == []


NAMES = {
    "cat", "ev", "exp", "from", "gid", "iss", "limited", "nbf", "pur", "signer", "to", "v", "ver", "state", "ts", "by",
}  # fmt: skip


def strings(text):
    import re

    return set(re.findall(r"[A-Za-z0-9_-]+", text))


def stamps(texts):
    """The moment of a withdrawal is one for all of a person's handles: nothing waits, and so the relay learns from it
    that they are one person's. It is on the surrender list (SEIZURE.md)."""
    import re

    return set(re.findall(r'"ts":(\d+)', texts[0])) & set(re.findall(r'"ts":(\d+)', texts[1]))


async def test_a_handle_is_replaced_before_ninety_days_are_over(world):
    async with quiet(world, "Peacock") as agent:
        async with world.relay():
            await agent.book.refresh()
            given = await give(agent, evidence={**EVIDENCE, "valid_until": "2027-10-20"})
        (first,) = await handles(agent)
        assert 60 * DAY <= facts(first)["exp"] - world.now < 85 * DAY
        assert 5 * DAY <= first.rest < 20 * DAY
        within = frozenset({world.parties["IDVAS"].id})
        for days, new in (
            (facts(first)["exp"] - first.rest - 1, False),
            (facts(first)["exp"] - first.rest, True),
        ):
            world.clock.now = days
            rest = await agent.consent.resting(given["id"], within, "SUPPORT")
            assert (rest.held.grant.gid != first.gid) == new
        assert rest.held.grant.exp - rest.held.grant.nbf < 90 * DAY


async def test_how_it_was_asked_stays_here_and_only_its_salted_hash_leaves(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        await give(agent)
        (row,) = await handles(agent)
        assert facts(row)["ev"] == evidence_hash(row.evidence, unb64(row.salt, 32))
        assert json.loads(row.evidence)["words_used"] == EVIDENCE["words_used"]
        told = await agent.store.run(lambda c: " ".join(c.execute(select(posts.c.text)).scalars()))
        assert not [word for word in ("alone", "words_used", "May we", "interpreter") if word in told]
    data = b"".join(path.read_bytes() for path in (world.folder / "Peacock").glob("*.db*"))
    assert b"May we pass" not in data


@pytest.mark.parametrize(
    ("evidence", "code"),
    [
        ({"alone_when_asked": False}, "NOT_ALONE"),
        ({"alone_when_asked": None}, "MISSING"),
        ({"alone_when_asked": "Yes"}, "BAD_VALUE"),
        ({"alone_when_asked": "true"}, "BAD_VALUE"),
        ({"told": ["who_will_see_it"]}, "NOT_INFORMED"),
        ({"valid_until": "2026-11-20"}, "PERIOD"),
        ({"valid_until": "2028-01-01"}, "BAD_VALUE"),
        ({"state": "LIMITED"}, "MISSING"),
        ({"state": "both"}, "UNKNOWN_CODE"),
        ({"gid": "AAAAAAAAAAAAAAAAAAAAAA"}, "FORM"),
    ],
)
async def test_an_agreement_that_was_not_asked_freely_is_not_recorded(world, evidence, code):
    async with world.relay(), quiet(world, "Peacock") as agent:
        value = {name: one for name, one in {**EVIDENCE, **evidence}.items() if one is not None}
        assert await refused(give(agent, evidence=value)) == code
        assert await handles(agent) == []


async def test_limits_narrow_what_is_open_and_end_what_the_person_ruled_out(world):
    async with world.relay(), quiet(world, "Peacock") as agent, quiet(world, "IDVAS") as idvas:
        given = await give(agent, "IDVAS", "Harbour")
        await send(agent, given["id"], "Harbour")
        await send(agent, given["id"])
        await agent.posting.flush()
        await agent.outbox.flush()
        ruled_out = [world.parties["Harbour"].id]
        less = {**LIMITED, "limits": {"not_categories": ["needs"], "not_recipients": ruled_out}}
        limited = await agent.agreements.ask(given["id"], "limit", read(Ask, evidence=less))
        assert (limited["standing"], limited["version"]) == ("LIMITED", 2)
        shown = await agent.view.agreement(given["id"])
        assert {one["to"][0]["name"]: one["state"] for one in shown["handles"]} == {
            "IDVAS": "stands", "Harbour": "withdrawn",
        }  # fmt: skip
        assert shown["label"] == "LIMITED"
        # What still fits goes on; the newer version travels with the next message, and the answer quotes it.
        await idvas.inbox.collect(0)
        (item,) = await idvas.showing.inbox()
        assert await refused(send(agent, given["id"], "Harbour")) == "SCOPE"
        await send(agent, given["id"])
        await agent.outbox.flush()
        await idvas.inbox.collect(0)
        held = await idvas.consent.usable(item["gid"])
        assert (held.grant.ver, held.grant.limited) == (2, True)
        assert "needs" not in held.grant.cat


async def test_whom_the_person_ruled_out_may_be_named_as_the_directory_names_them(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        less = {**LIMITED, "limits": {"not_recipients": ["harbour"]}}
        given = await give(agent, "IDVAS", "Harbour", evidence=less)
        assert await refused(send(agent, given["id"], "Harbour")) == "SCOPE"
        await send(agent, given["id"])


async def test_a_limit_that_would_hold_back_nothing_is_not_kept(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        for unknown in ("Harbor", "her brother's team", "Harbor/intake"):
            less = {**LIMITED, "limits": {"not_recipients": [unknown]}}
            assert await refused(give(agent, "IDVAS", evidence=less)) == "UNKNOWN_AGENCY"
        assert await handles(agent) == []


async def test_nobody_is_asked_twice_in_a_row_and_a_no_names_no_handle(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        no = await agent.agreements.refuse(None, read(Refuse, own_words="Not now, thank you."))
        assert (no["standing"], no["state"]) == ("REFUSED", REFUSED)
        assert "unless they raise it" in no["says"]
        lists = {"to": ["IDVAS"], "purposes": ["SUPPORT"], "categories": agreement("IDVAS")["categories"]}
        again = {"evidence": EVIDENCE, **lists}
        assert await refused(agent.agreements.ask(no["id"], "give", read(Ask, **again))) == "ASKED_LATELY"
        assert await refused(send(agent, no["id"])) in {"REASON", "REFUSED", "PAPER_BASIS", "BASIS"}
        yes = await agent.agreements.ask(no["id"], "give", read(Ask, **again, own_accord=True))
        assert (yes["standing"], yes["version"]) == ("GIVEN", 2)
        await send(agent, no["id"])


async def test_a_version_that_somebody_else_changed_is_not_overwritten(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        given = await give(agent)
        seen = read(Ask, evidence=EVIDENCE, seen=1)
        assert (await agent.agreements.ask(given["id"], "renew", seen))["version"] == 2
        assert await refused(agent.agreements.ask(given["id"], "renew", seen)) == "OLDER"
        ahead = read(Ask, evidence=EVIDENCE, seen=7)
        assert await refused(agent.agreements.ask(given["id"], "renew", ahead)) == "OUT_OF_ORDER"


async def test_who_cannot_decide_is_asked_again_as_soon_as_they_can(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        given = await give(agent)
        lead = {"best_interests": "Weighed with the advocate.", "assessed_by": "safeguarding-lead"}
        soon = read(CannotGive, **lead, review_on="2026-12-20")
        late = read(CannotGive, **lead, review_on="2027-11-20")
        assert await refused(agent.agreements.cannot_give(given["id"], late)) == "PERIOD"
        stopped = await agent.agreements.cannot_give(given["id"], soon)
        assert stopped["standing"] == "CANNOT_GIVE"
        assert [row.withdrawal_t is not None for row in await handles(agent)] == [True]
        world.clock.advance(29 * DAY)
        assert (await agent.agreements.view.listing())["agreements"][0]["prompts"]
        back = await agent.agreements.regain(given["id"], read(Regain, assessed_by="safeguarding-lead"))
        assert back["standing"] == "NOT_SOUGHT"
        assert (
            await refused(agent.agreements.regain(given["id"], read(Regain, assessed_by="lead"))) == "NO_STEP"
        )
        said = await agent.store.run(lambda c: list(c.execute(select(answers.c.act)).scalars()))
        assert said == ["give", "cannot-give", "regain"]


async def test_the_agent_says_fourteen_days_before_an_agreement_ends(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        given = await give(agent)  # until 20 January
        until = (await agent.view.agreement(given["id"]))["until"]
        for at, prompts in ((until - 14 * DAY - 1, 0), (until - 14 * DAY, 1), (until - 60, 1)):
            world.clock.now = at
            await agent.book.refresh()
            await agent.agreements.tend()
            await agent.agreements.tend()  # it is said once
            state = (await agent.showing.status())["agreements_to_look_at"]
            assert (state, len((await agent.view.agreement(given["id"]))["prompts"])) == (prompts, prompts)
        noted = select(journal.c.event).where(journal.c.event == "consent-needs-somebody")
        assert len(await agent.store.run(lambda c: c.execute(noted).all())) == 1
        world.clock.now = until
        await agent.book.refresh()
        await agent.agreements.tend()
        shown = await agent.view.agreement(given["id"])
        assert (shown["standing"], shown["prompts"]) == ("EXPIRED", [])
        assert shown["label"] == "EXPIRED"
        assert [one["act"] for one in shown["versions"]] == ["give", "expire"]


async def test_a_clock_that_runs_months_ahead_ends_no_agreement_for_good(world):
    """People would have to be asked again. And no staple says that somebody agrees in two months' time."""
    async with world.relay(), quiet(world, "Peacock") as agent:
        given, withdrawn = await give(agent), await give(agent, "Harbour")
        before = await handles(agent)
    world.clock.advance(70 * DAY)
    async with quiet(world, "Peacock") as agent:
        await agent.agreements.tend()
        shown = await agent.view.agreement(given["id"])
        assert (shown["standing"], shown["prompts"]) == ("EXPIRED", [])  # as far as this clock can tell
        await agent.agreements.withdraw(withdrawn["id"])
        assert [row.status_ts for row in await handles(agent)] == [row.status_ts for row in before]
        assert (
            await agent.store.run(lambda c: c.execute(select(agreements.c.prompted)).scalars().all())
            == [None] * 2
        )
    world.clock.advance(-70 * DAY + 600)
    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.agreements.tend()
        shown = await agent.view.agreement(given["id"])
        assert (shown["standing"], [one["act"] for one in shown["versions"]]) == ("GIVEN", ["give"])
        await send(agent, given["id"])
        stopped = await agent.view.agreement(withdrawn["id"])
        assert (stopped["standing"], [one["state"] for one in stopped["handles"]]) == (
            "REFUSED",
            ["withdrawn"],
        )


async def test_what_is_said_after_the_end_of_an_agreement_keeps_that_it_ended(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        given = await give(agent)
        world.clock.now = (await agent.view.agreement(given["id"]))["until"]
        refused = await agent.agreements.refuse(given["id"], read(Refuse))
        shown = await agent.view.agreement(given["id"])
        assert (refused["standing"], shown["version"]) == ("REFUSED", 3)
        assert [(one["act"], one["version"]) for one in shown["versions"]] == [
            ("give", 1), ("expire", 2), ("refuse", 3),
        ]  # fmt: skip


async def test_a_staple_dated_by_a_wrong_clock_is_made_anew(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        given = await give(agent)
        world.clock.advance(20 * 3600)
        await agent.agreements.tend()
        world.clock.advance(-20 * 3600)
        await agent.agreements.tend()
        assert [row.status_ts for row in await handles(agent)] == [world.now]
        world.clock.advance(20 * 3600)
        await agent.consent.usable(given["gid"])
        world.clock.advance(-20 * 3600)
        assert (await agent.consent.usable(given["gid"])).status.text.count(
            f'"ts":{world.now},'.encode()
        ) == 1


async def test_an_override_is_counted_beside_the_wish_and_never_rewrites_it(world):
    """The person said no; an author and a lead override it for one message of danger."""
    people = People.of(world)
    async with world.relay(), running(world, "Peacock") as peacock:
        await eventually(lambda: fresh(peacock))
        no = await peacock.ok("POST", "/v1/consent/refused", {})
        law = {name: one for name, one in LAW.items() if name != "agree"}  # the agreement itself says REFUSED
        mid = await held(peacock, gid=no["id"], law=law)
        assert (await peacock.ok("GET", f"/v1/consent/{no['id']}"))["label"] == "REFUSED"
        _, asked = await ask(peacock, people, mid)
        await authorise(peacock, people, asked["oid"])
        shown = await peacock.ok("GET", f"/v1/consent/{no['id']}")
        assert (shown["standing"], shown["label"]) == ("REFUSED", "REFUSED (overridden once)")
        assert (shown["overrides"], shown["version"]) == (1, 1)


async def test_a_stop_at_another_agency_holds_here_until_a_lead_settled_it(world):
    async with world.relay(), quiet(world, "Peacock") as agent, quiet(world, "IDVAS") as idvas:
        given = await give(agent, "IDVAS", "Harbour")
        await send(agent, given["id"])
        await agent.outbox.flush()
        await idvas.inbox.collect(0)
        await idvas.agreements.withdraw(given["gid"])
        await agent.inbox.collect(0)
        shown = await agent.view.agreement(given["id"])
        assert (shown["standing"], [one["name"] for one in shown["stopped"]]) == ("GIVEN", ["IDVAS"])
        assert "told another agency to stop" in shown["prompts"][0]
        assert await refused(send(agent, given["id"])) == "UNSETTLED"
        await send(agent, given["id"], "Harbour")  # the person said it of one
        lead = {"role": "safeguarding-lead"}
        asked = read(Settle, means="asked-again", **lead)
        assert await refused(agent.agreements.settle(given["id"], asked)) == "NOT_ALONE"
        await agent.agreements.settle(given["id"], read(Settle, means="there", **lead))
        assert await refused(send(agent, given["id"])) == "SCOPE"
        assert (
            await refused(agent.agreements.settle(given["id"], asked.model_copy(update={"alone": True})))
            == "NO_STEP"
        )


async def test_a_stop_after_the_end_still_stops_what_was_sent_before(world):
    async with world.relay(), quiet(world, "Peacock") as agent, quiet(world, "IDVAS") as idvas:
        given = await give(agent, evidence={**EVIDENCE, "valid_until": "2026-11-23"})
        await send(agent, given["id"])
        await agent.outbox.flush()
        world.clock.advance(2 * DAY)
        await agent.book.refresh()
        assert (await agent.view.agreement(given["id"]))["standing"] == "EXPIRED"
        await agent.agreements.withdraw(given["id"])
        shown = await agent.view.agreement(given["id"])
        assert (shown["standing"], shown["stopped_at_the_relay"]) == ("REFUSED", 1)
        await idvas.inbox.collect(0)
        assert await idvas.showing.inbox() == []


async def test_the_faces_of_a_case_system(world):
    async with world.relay(), running(world, "Peacock") as peacock:
        await eventually(lambda: fresh(peacock))
        given = await peacock.ok("POST", "/v1/consent", agreement("IDVAS"))
        path = f"/v1/consent/{given['id']}"
        assert (await peacock.ok("POST", f"{path}/limit", {"evidence": LIMITED}))["standing"] == "LIMITED"
        renewed = {"evidence": {**LIMITED, "valid_until": "2027-03-01"}, "seen": 2}
        assert (await peacock.ok("POST", f"{path}/renew", renewed))["version"] == 3
        assert (await peacock.ok("POST", f"{path}/withdraw"))["stopped_here"] == 0
        assert (await peacock.ok("POST", f"{path}/withdraw"))["repeat"]
        status, said = await peacock.ask("POST", f"{path}/regain", {"assessed_by": "lead"})
        assert (status, said["code"]) == (422, "NO_STEP")
        assert (await peacock.ok("POST", "/v1/consent/refused", {}))["standing"] == "REFUSED"
        note = {"best_interests": "Noted.", "assessed_by": "lead", "review_on": "2026-12-20"}
        assert (await peacock.ok("POST", "/v1/consent/cannot-give", note))["standing"] == "CANNOT_GIVE"
        found = (await peacock.ok("GET", "/v1/consent"))["agreements"]
        assert sorted(one["standing"] for one in found) == ["CANNOT_GIVE", "REFUSED", "WITHDRAWN"]
        assert (await peacock.ok("GET", "/v1/recalls")) == {"recalls": []}
        for wrong in ({"did": "kept"}, {"did": "lost"}, {"did": "deleted", "why": "legal-duty"}, {}):
            assert (await peacock.ask("POST", f"/v1/recalls/{given['gid']}", wrong))[0] == 422
        assert (await peacock.ask("POST", f"/v1/recalls/{given['gid']}", {"did": "deleted"}))[0] == 404


async def fresh(caller):
    state = await caller.ok("GET", "/v1/status")
    return state["directory_fresh"] and not state["relay"]["code"]


async def test_looking_after_agreements_asks_the_store_the_same_however_many_there_are(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        asked, costs = [], []
        event.listen(
            agent.store._engine, "before_cursor_execute", lambda _c, _cursor, text, *_: asked.append(text)
        )
        for _ in range(3):
            await agent.agreements.give(read(Give, **agreement("IDVAS")))
            asked.clear()
            await agent.agreements.tend()
            costs.append(len(asked))
        assert len(set(costs)) == 1
