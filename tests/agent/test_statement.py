"""Sharing statements from real flows between two agencies: what the person is told, and what never gets out (G9, G10)."""

import itertools
import json
import re
from html.parser import HTMLParser

import pytest
from sqlalchemy import select

from agent.forms import Give, Send, TakeOn
from agent.statement import Review, Tell, day_of
from agent.tables import reviews, tellings
from schemas import statement_words as words
from schemas.errors import Refusal
from tests.agent.agencies import EVIDENCE, MESSAGE, RESPONSE, agreement, eventually, form, quiet, running
from tests.agent.test_commands import process_of, type_in
from tests.agent.test_commands import world as world_of_the_wall  # noqa: F401 - a fixture
from tests.agent.test_override_desk import LAW, ask, authorise, held
from tests.agent.test_two_agencies import fresh
from tests.broker.leads import People
from tests.simulated_world import NOW, World

DAY = 24 * 3600
CONCERN = {
    "type": "child.concern", "v": 1, "rag": "AMBER", "rag_why": "Something happened on Sunday.", "person_ref": "c" * 22,
    "child": {"legal_name": "Sam Canary", "dob": "2019-03-04", "known_as": "Sam"}, "reply_to": {"desk": "intake"},
    "concern": [{"text": "Sam was in the room.", "kind": "reported", "said_by_role": "worker", "date": "2026-11-20"}],
    "impact_on_child": "Sam does not sleep.", "parents_told": False, "parents_not_told_why": "It could make things worse.",
    "what_should_change": "Sam needs a quiet place.",
}  # fmt: skip
SECRET = {"told": "UNSAFE", "told_by": NOW + 30 * DAY}
UNASKED = {"agree": "NOT_SOUGHT", "why_no": "F", "b6": "6f", "conf": "public_interest"}


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", "DASS", sectors={"IDVAS": "idva"})


@pytest.fixture
async def both(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        yield peacock, idvas


async def give(agent, to="IDVAS", **changes):
    asked = agreement(to, **changes)
    return (await agent.agreements.give(Give.model_validate_json(json.dumps(asked))))["gid"]


async def send(agent, to="IDVAS", **changes):
    answer = await agent.office.send(Send.model_validate_json(json.dumps(form(to, **changes))))
    await agent.outbox.flush()
    return answer


async def told(agent, subject="case-77", **changes):
    return await agent.statements.make(Tell(subject=subject, **{"delivery_checked": True, **changes}))


def entries(answer, name):
    return next(part for part in answer["sections"] if part["heading"] == words.HEADING[name])["entries"]


async def refused(work):
    with pytest.raises(Refusal) as caught:
        await work
    return caught.value


async def rows(agent, table):
    return await agent.store.run(lambda c: c.execute(select(table)).all())


# --- told


async def test_a_referral_its_answer_and_a_change_of_mind_are_told_as_they_were(both):
    peacock, idvas = both
    gid = await give(peacock)
    await send(peacock, gid=gid)
    await idvas.inbox.collect(0)
    [item] = await idvas.showing.inbox()
    await idvas.office.take_on(item["id"], TakeOn(role="idva", case_ref="B-9"))
    await idvas.receipts.flush()
    reply = {"kind": "referral.response", "payload": RESPONSE, "answers": item["id"], "case_ref": "B-9"}
    await idvas.office.send(Send.model_validate_json(json.dumps(reply)))
    await idvas.outbox.flush()
    await peacock.inbox.collect(0)
    await peacock.agreements.withdraw(gid)

    page = await told(peacock)
    today = day_of(int(peacock.statements._clock()))
    [sent] = entries(page, "sent")
    assert sent["day"] == today
    assert "Who got it: IDVAS." in sent["lines"]
    assert "Your say: You agreed to this." in sent["lines"]
    assert sent["lines"][-1].startswith("What came of it: They have taken it on.")
    [received] = entries(page, "received")
    assert received["lines"][:2] == ("Who it came from: IDVAS.", "What it was about: an answer to a message.")
    [choice] = entries(page, "choices")
    assert choice["lines"][-1] == f"You changed your mind on {today}. From then on it no longer counts."
    assert page["left_out"] == []

    theirs = await told(idvas, "B-9")
    assert [entry["lines"][0] for entry in entries(theirs, "received")] == ["Who it came from: Peacock."]
    assert [entry["lines"][0] for entry in entries(theirs, "sent")] == ["Who got it: Peacock."]


async def test_no_word_of_any_message_gets_onto_the_page(both):
    peacock, _ = both
    await send(peacock, gid=await give(peacock))
    page = json.dumps(await told(peacock))
    person = MESSAGE["person"]
    secrets = (
        person["known_as"],
        person["area"],
        "07700900123",
        "courts",
        "appointment",
        "case-77",
        MESSAGE["rag_why"],
    )
    assert [secret for secret in secrets if secret in page] == []


async def test_the_page_outlives_the_words(both):
    """The words of a message leave the store when every desk has ended; what was shared stays known."""
    peacock, idvas = both
    await send(peacock, gid=await give(peacock))
    await idvas.inbox.collect(0)
    [item] = await idvas.showing.inbox()
    await idvas.office.take_on(item["id"], TakeOn(role="idva"))
    await idvas.receipts.flush()
    await peacock.inbox.collect(0)
    [entry] = entries(await told(peacock), "sent")
    assert "safe ways to reach you" in entry["lines"][1]
    assert entry["lines"][-1] == "What came of it: They have taken it on."


async def test_sharing_against_her_word_is_told_when_that_is_safe(both):
    peacock, _ = both
    law = {**UNASKED, "agree": "REFUSED", "told": "YES"}
    payload = {**MESSAGE, "rag": "RED"}
    await send(peacock, payload=payload, law=law)
    [entry] = entries(await told(peacock), "sent")
    assert (
        "You had said no to this. We shared it all the same. We thought that somebody was in danger"
        in entry["lines"][3]
    )


async def test_an_agreement_is_told_once_however_many_handles_it_has(both):
    """Handles are drawn for each recipient and purpose; what the person said is one thing."""
    peacock, _ = both
    gid = await give(peacock, purposes=["SUPPORT", "HOUSING"])
    await send(peacock, gid=gid)
    await send(peacock, gid=gid, purpose="HOUSING")
    [choice] = entries(await told(peacock), "choices")
    assert "What for: so that you can get support; to help with a place to live." in choice["lines"]
    assert "Peacock; IDVAS" in choice["lines"][0]


async def test_limits_are_told_as_limits_and_words_of_her_own_are_not_printed(both):
    peacock, _ = both
    limits = {
        "not_purposes": ["HOUSING"], "not_categories": ["needs"], "not_recipients": ["DASS"],
        "not_about": ["Canary: the thing in June"], "in_own_words": "Canary: not that.",
    }  # fmt: skip
    evidence = {**EVIDENCE, "state": "LIMITED", "limits": limits}
    gid = await give(peacock, purposes=["SUPPORT", "HOUSING"], evidence=evidence)
    await send(peacock, gid=gid)
    page = await told(peacock)
    [choice] = entries(page, "choices")
    assert "You said that these must not get it: DASS." in choice["lines"]
    assert "You said that it must not be used to help with a place to live." in choice["lines"]
    assert "You said that this must stay out: what you want help with." in choice["lines"]
    assert words.OTHER_LIMITS in choice["lines"]
    assert "Canary" not in json.dumps(page)


async def test_what_she_told_another_agency_is_told_here_too(both):
    peacock, idvas = both
    gid = await give(peacock)
    await send(peacock, gid=gid)
    await idvas.inbox.collect(0)
    [item] = await idvas.showing.inbox()
    await idvas.office.agreements.withdraw(item["gid"])
    await peacock.inbox.collect(0)
    [choice] = entries(await told(peacock), "choices")
    assert "You told these services to stop: IDVAS. We send them nothing more on this." in choice["lines"]


async def test_what_was_stopped_is_said_to_be_stopped(both):
    peacock, _ = both
    gid = await give(peacock)
    await send(peacock, gid=gid)
    await peacock.agreements.withdraw(gid)
    await peacock.inbox.collect(0)
    [entry] = entries(await told(peacock), "sent")
    assert (
        entry["lines"][-1]
        == "What came of it: It was stopped before they got it, because you changed your mind."
    )


async def test_a_no_that_two_people_overrode_is_told_when_that_is_safe(world):
    """The message waited for the lead's signature; it is on the page as soon as it may be told."""
    people = People.of(world)
    async with world.relay(), running(world, "Peacock") as peacock, running(world, "IDVAS") as idvas:
        await eventually(lambda: fresh(peacock))
        mid = await held(peacock)
        for told, shown in (("YES", 1), ("UNSAFE", 1)):
            law = {**LAW, "told": told, "told_by": None if told == "YES" else NOW + 30 * DAY}
            if told == "UNSAFE":
                mid = await held(peacock, law=law)
            _, asked = await ask(peacock, people, mid)
            assert (await authorise(peacock, people, asked["oid"]))[0] == 200
            await peacock.until(mid, "opened")
            page = await told_by(peacock)
            assert len(entries(page, "sent")) == shown
        assert [row["why"] for row in page["left_out"]] == ["unsafe"]
        [entry] = entries(page, "sent")
        assert "You had said no to this. We shared it all the same." in entry["lines"][3]
        assert words.TWO_PEOPLE in entry["lines"][3]
        assert (await idvas.ok("GET", "/v1/inbox"))["items"]


async def told_by(caller):
    return await caller.ok("POST", "/v1/statements", {"subject": "case-77", "delivery_checked": True})


# --- left out


async def test_two_people_of_the_same_name_are_never_mixed(both):
    peacock, _ = both
    gid = await give(peacock)
    await send(peacock, gid=gid, case_ref="case-1")
    await send(peacock, gid=gid, case_ref="case-2")
    await send(peacock, gid=gid, case_ref="case-2")
    assert len(entries(await told(peacock, "case-1"), "sent")) == 1
    assert len(entries(await told(peacock, "case-2"), "sent")) == 2
    assert (await refused(told(peacock, "Robin"))).code == "NOT_FOUND"


async def test_a_thread_that_speaks_of_two_people_decides_nothing_by_itself(both):
    peacock, idvas = both
    gid = await give(peacock)
    await send(peacock, gid=gid, case_ref="case-1")
    await idvas.inbox.collect(0)
    [item] = await idvas.showing.inbox()
    reply = {"kind": "referral.response", "payload": RESPONSE, "answers": item["id"]}
    await idvas.office.send(Send.model_validate_json(json.dumps(reply)))
    await idvas.outbox.flush()
    await peacock.inbox.collect(0)
    assert len(entries(await told(peacock, "case-1"), "received")) == 1
    [answer] = await peacock.showing.inbox()
    await send(peacock, gid=gid, case_ref="case-2", answers=answer["id"])
    for subject in ("case-1", "case-2"):
        assert entries(await told(peacock, subject), "received") == ()
    await peacock.office.take_on(answer["id"], TakeOn(role="worker", case_ref="case-2"))
    assert entries(await told(peacock, "case-1"), "received") == ()
    assert len(entries(await told(peacock, "case-2"), "received")) == 1


async def test_a_concern_about_a_child_stays_out_of_the_adults_page(both):
    peacock, _ = both
    await send(peacock, gid=await give(peacock))
    law = {**UNASKED, "why_no": "C", "b6": "6f", "b9": "9g", "s1": ["s1:18"], "told": "YES"}
    concern = {
        "kind": "child.concern",
        "payload": CONCERN,
        "purpose": "CHILD_PROT",
        "law": law,
        "anyway": True,
    }
    queued = await send(peacock, **concern)
    page = await told(peacock)
    assert len(entries(page, "sent")) == 1
    assert [(row["id"], row["why"]) for row in page["left_out"]] == [(queued["id"], "another_person")]
    child = await told(peacock, about="child")
    assert [entry["lines"][2] for entry in entries(child, "sent")] == ["Why: to help keep a child safe."]
    assert [row["why"] for row in child["left_out"]] == ["unsure"]
    await peacock.statements.review(Review(id=queued["id"], safe=True, role="lead"))
    assert len(entries(await told(peacock), "sent")) == 1


async def test_what_is_not_safe_to_tell_is_left_out_until_a_worker_has_looked(both, world):
    peacock, _ = both
    review_by = world.now + 30 * DAY
    queued = await send(peacock, gid=await give(peacock), law={"told": "UNSAFE", "told_by": review_by})
    page = await told(peacock)
    assert entries(page, "sent") == ()
    assert page["left_out"][0] | {"say": ""} == {
        "id": queued["id"], "why": "unsafe", "say": "", "look_again": review_by, "due": False
    }  # fmt: skip
    world.clock.advance(31 * DAY)
    assert await peacock.statements.kept() == [{"id": queued["id"], "look_again": review_by, "due": True}]
    assert (await peacock.showing.status())["reviews_due"] == 1
    late = await told(peacock)
    assert entries(late, "sent") == (), "a date that has passed tells nobody anything by itself"
    assert late["left_out"][0]["due"]
    await peacock.statements.review(Review(id=queued["id"], safe=False, role="lead"))
    assert (await told(peacock))["left_out"][0]["look_again"] == world.now + 90 * DAY
    assert (await peacock.showing.status())["reviews_due"] == 0
    await peacock.statements.review(Review(id=queued["id"], safe=True, role="lead"))
    assert len(entries(await told(peacock), "sent")) == 1
    assert await peacock.statements.kept() == []


async def test_what_another_agency_has_not_told_her_is_left_out(both):
    peacock, idvas = both
    await send(peacock, gid=await give(peacock), law=SECRET)
    await idvas.inbox.collect(0)
    [item] = await idvas.showing.inbox()
    await idvas.office.take_on(item["id"], TakeOn(role="idva", case_ref="B-9"))
    page = await told(idvas, "B-9")
    assert entries(page, "received") == ()
    assert [(row["id"], row["why"]) for row in page["left_out"]] == [(item["id"], "unsafe")]
    await idvas.statements.review(Review(id=item["id"], safe=True, role="lead"))
    assert len(entries(await told(idvas, "B-9"), "received")) == 1


async def test_two_pages_differ_in_nothing_when_something_is_left_out(both):
    peacock, _ = both
    gid = await give(peacock)
    await send(peacock, gid=gid)
    before = await told(peacock)
    await send(peacock, gid=gid, law=SECRET)
    after = await told(peacock)
    assert (before["text"], before["html"]) == (after["text"], after["html"])
    assert len(after["left_out"]) == 1


# --- refused


@pytest.mark.parametrize("subject", ["unknown", "case-7", "case-777", "CASE-77", "%", "*"])
async def test_an_unknown_reference_is_refused_and_not_repeated(both, subject):
    peacock, _ = both
    await send(peacock, gid=await give(peacock))
    refusal = await refused(told(peacock, subject))
    assert refusal.code == "NOT_FOUND"
    assert subject not in refusal.say
    assert await rows(peacock, tellings) == []


async def test_nothing_is_made_before_safe_delivery_was_checked(both):
    peacock, _ = both
    await send(peacock, gid=await give(peacock))
    refusal = await refused(told(peacock, delivery_checked=False))
    assert (refusal.code, refusal.detail) == ("MISSING", ("delivery_checked",))
    assert "safe contact" in refusal.say
    assert "anybody else can see" in refusal.say
    assert await rows(peacock, tellings) == []


async def test_a_review_of_nothing_is_refused(both):
    peacock, _ = both
    refusal = await refused(peacock.statements.review(Review(id="x", safe=True, role="lead")))
    assert refusal.code == "NOT_FOUND"


@pytest.mark.parametrize("day", ["2026-11-22", "2020-01-01", "2027-03-01"])
async def test_looking_again_is_within_ninety_days(both, day):
    peacock, _ = both
    queued = await send(peacock, gid=await give(peacock))
    asked = Review(id=queued["id"], safe=False, role="lead", look_again=day)
    assert (await refused(peacock.statements.review(asked))).code == "BAD_VALUE"
    assert await rows(peacock, reviews) == []


# --- noted, and written


async def test_that_a_statement_was_made_is_noted_and_its_words_are_not(both):
    peacock, _ = both
    await send(peacock, gid=await give(peacock))
    first = await told(peacock)
    second = await told(peacock, role="idva")
    assert second["made_before"] == [first["made"]]
    kept = await rows(peacock, tellings)
    assert [(row.role, row.shown) for row in kept] == [("worker", 2), ("idva", 2)]
    assert "case-77" not in repr(kept)


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


async def test_the_page_stands_alone_prints_and_can_be_read_aloud(both):
    peacock, _ = both
    await send(peacock, gid=await give(peacock))
    page = (await told(peacock))["html"]
    found = Tags(page)
    assert not {"script", "img", "link", "a", "iframe", "form", "object", "svg", "i", "em"} & set(found.tags)
    assert ("lang", "en-GB") in found.attributes
    assert re.findall("<title>(.*)</title>", page) == [words.TITLE]
    assert found.tags.count("h1") == found.tags.count("main") == 1
    levels = [int(tag[1]) for tag in found.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert "@media print" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in page


async def test_a_name_cannot_write_html(world, both):
    from agent.page import as_html
    from schemas.statement import Entry, Section, Statement

    page = as_html(Statement("<b>", (Section("<script>", ("&amp;",), (Entry("<i>", ("<u>",)),)),), ()))
    assert not {"script", "b", "i", "u"} & set(Tags(page).tags)


async def test_a_session(world_of_the_wall):  # noqa: F811
    """A worker makes a page, is reminded first, and can overwrite nothing."""
    world = world_of_the_wall
    async with world.relay():
        async with quiet(world, "Peacock") as peacock:
            home = peacock.settings.home
            await send(peacock, gid=await give(peacock))
            secret = {"told": "UNSAFE", "told_by": world.now + 30 * DAY}
            kept = await send(peacock, gid=await give(peacock), law=secret)
        async with process_of(home) as process:
            asked = ("statement", "--dir", home, "--subject", "case-77", "--out", home / "page.html")
            code, out, err = await type_in(*asked)
            assert (code, out) == (1, "")
            assert err.startswith(words.SAFE_DELIVERY[0])
            assert "MISSING" in err
            assert not (home / "page.html").exists()
            code, out, err = await type_in(*asked, "--delivery-checked")
            assert (code, err) == (0, "")
            assert f"Not on the page: {kept['id']}" in out
            assert (home / "page.html").stat().st_mode & 0o777 == 0o600
            page = (home / "page.html").read_text()
            assert page.startswith("<!DOCTYPE html>")
            code, out, err = await type_in(*asked, "--delivery-checked")
            assert (code, err.split(":")[0]) == (1, "EXISTS")
            assert (home / "page.html").read_text() == page
            code, out, _ = await type_in("statement", "kept", "--dir", home)
            assert (code, out) == (0, f"{kept['id']}  look again {day_of(secret['told_by'])}\n")
            code, out, _ = await type_in(
                "statement", "review", "--dir", home, kept["id"], "--safe", "--role", "lead"
            )
            assert (code, out) == (0, "It may be told.\n")
            code, out, _ = await type_in(*asked[:-1], home / "page.txt", "--delivery-checked", "--json")
            assert (code, json.loads(out)["left_out"]) == (0, [])
            assert (home / "page.txt").read_text().startswith(words.TITLE)
            code, _, err = await type_in(
                *asked[:4], "nobody", *asked[5:-1], home / "other.txt", "--delivery-checked"
            )
            assert (code, err.split(":")[0]) == (1, "NOT_FOUND")
            assert not (home / "other.txt").exists()
            assert (await type_in("statement", "--dir", home))[0] == 2
        for secret in ("case-77", "IDVAS", kept["id"]):
            assert secret not in process.log
