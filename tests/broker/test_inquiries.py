"""Answers to requests for information at the relay: what it carried, it knows (PROTOCOL.md C19, row 19), and row 22."""

import base64
import json
import secrets
import sqlite3

import pytest

from schemas.references import OPEN_FOR, request_mark
from schemas.sealing import seal
from tests.broker.leads import REFUSED, UNASKED, header_of, notices, one, post_override
from tests.simulated_world import World

pytestmark = pytest.mark.usefixtures("people")

ASKS = ["contact", "needs", "reasons", "response", "statements", "third_party"]
LEGAL = {**REFUSED, "agree": "NOT_SOUGHT", "b6": "6c", "gw": ["COURT"], "why_no": "E", "told": "YES"}
"""A duty: no other row has anything to say."""


def request(world: World, sender: str = "IDVAS", to: tuple[str, ...] = ("Peacock",), **changes):
    law = {**LEGAL, "asks": ASKS, **changes.pop("law", {})}
    return world.seal(sender, *to, **{"cls": "INFOREQ", "categories": ("ask",), "law": law, **changes})


def answer(world: World, asked, sender: str = "Peacock", to: tuple[str, ...] = ("IDVAS",), **changes):
    law = {**LEGAL, "rfi": None if asked is None else header_of(asked).mid, **changes.pop("law", {})}
    fields = {"cls": "INFOGIVE", "categories": ("needs", "statements"), "law": law, "rag": "AMBER"}
    return world.seal(sender, *to, **{**fields, **changes})


def passing(world: World, source: dict, **changes):
    fields = {
        "law": {**LEGAL, "src": [{"leave": None, "mid": "A" * 22, "pur": "SUPPORT", **source}]},
        "cls": "UPDATE",
    }
    return world.seal("Peacock", "IDVAS", **{**fields, "rag": "AMBER", **changes})


async def verdict(world: World, http, sealed, party: str = "Peacock"):
    result = (await world.post_envelopes(http, party, sealed)).json()
    found = result["results"][0] if "results" in result else result
    return found.get("status"), found.get("code")


def stored(world: World):
    with sqlite3.connect(world.folder / "relay" / "relay.db") as store:
        return store.execute("SELECT mark, asks, ts, until FROM inquiries").fetchall()


def older(world: World, seconds: int):
    """Make the requests that the relay knows of so much older."""
    with sqlite3.connect(world.folder / "relay" / "relay.db") as store:
        store.execute("UPDATE inquiries SET ts = ts - ?", (seconds,))


OPEN, SHUT = ("accepted", None), "NO_REQUEST"


async def ask(world: World, http, **changes):
    sealed = request(world, **changes)
    assert await verdict(world, http, sealed, changes.get("sender", "IDVAS")) == OPEN
    return sealed


async def test_an_answer_to_an_open_request_goes(world: World, http):
    asked = await ask(world, http)
    assert await verdict(world, http, answer(world, asked)) == OPEN
    assert await verdict(world, http, answer(world, asked, categories=("contact",))) == OPEN  # a second part


NO_ANSWERS = [
    ("it names none", {"law": {"rfi": None}}),
    ("nobody asked", {"law": {"rfi": "A" * 22}}),
    ("more than was asked", {"categories": ("health", "needs")}),
    ("to somebody who did not ask", {"to": ("Harbour",)}),
    ("to somebody who did not ask as well", {"to": ("IDVAS", "Harbour")}),
]


async def test_without_an_open_request_an_answer_is_refused_and_a_red_rings(world: World, http):
    asked = await ask(world, http)
    for what, changes in NO_ANSWERS:
        assert (await verdict(world, http, answer(world, asked, **changes)))[1] == SHUT, what
        red = await one(world, http, answer(world, asked, **changes, rag="RED"))
        assert (red["status"], red["alert"]) == ("accepted", True), what


async def test_only_who_was_asked_answers(world: World, http):
    asked = await ask(world, http)
    assert (await verdict(world, http, answer(world, asked, sender="Harbour"), "Harbour"))[1] == SHUT


async def test_one_request_to_two_agencies_is_answered_by_each(world: World, http):
    asked = await ask(world, http, to=("Peacock", "Harbour"))
    assert await verdict(world, http, answer(world, asked)) == OPEN
    assert await verdict(world, http, answer(world, asked, sender="Harbour"), "Harbour") == OPEN


async def test_a_request_that_says_nothing_of_what_it_asks_asks_for_nothing(world: World, http):
    law = {**LEGAL}
    asked = world.seal("IDVAS", "Peacock", cls="INFOREQ", categories=("ask",), law=law)
    assert await verdict(world, http, asked, "IDVAS") == OPEN
    assert (await verdict(world, http, answer(world, asked)))[1] == SHUT


async def test_a_request_that_was_refused_is_none(world: World, http):
    asked = request(world, law={"why_no": None, "gw": [], "agree": "REFUSED"})
    assert (await verdict(world, http, asked, "IDVAS"))[1] == "REFUSED"
    assert (await verdict(world, http, answer(world, asked)))[1] == SHUT


async def test_a_request_is_open_for_four_weeks_to_the_second(world: World, http):
    asked = await ask(world, http)
    older(world, OPEN_FOR - 1)
    assert await verdict(world, http, answer(world, asked)) == OPEN
    older(world, 1)
    assert (await verdict(world, http, answer(world, asked)))[1] == SHUT


async def test_who_asked_whom_stands_nowhere_in_the_store_and_is_forgotten(world: World, http):
    asked = await ask(world, http)
    (row,) = stored(world)
    assert row[0] == request_mark(
        world.parties["IDVAS"].id, world.parties["Peacock"].id, header_of(asked).mid
    )
    assert json.loads(row[1]) == ASKS
    assert row[3] - row[2] >= OPEN_FOR


async def test_the_same_id_after_months_spoils_nothing(world: World, http):
    asked = await ask(world, http)
    with sqlite3.connect(world.folder / "relay" / "relay.db") as store:
        store.execute("DELETE FROM seen")
    draft = world.draft(
        "IDVAS", "Peacock", cls="INFOREQ", categories=("ask",), law={**LEGAL, "asks": ["ask"]}
    )
    mid = base64.urlsafe_b64decode(header_of(asked).mid + "==")
    once = iter([mid])
    officers = world.directory.officers({draft.sender, draft.to[0].agency}, world.now)
    again = seal(
        draft, officers, world.parties["IDVAS"].member.agent.msg, lambda n: next(once, secrets.token_bytes(n))
    )
    assert header_of(again).mid == header_of(asked).mid
    assert await verdict(world, http, again, "IDVAS") == OPEN
    assert len(stored(world)) == 1


async def test_a_request_that_waited_for_a_lead_is_one_once_she_let_it_go(world: World, http, people):
    asked = request(
        world,
        sender="Peacock",
        to=("IDVAS",),
        law={**UNASKED, "asks": ASKS},
        rag="AMBER",
        purpose="RISK_MGMT",
    )
    assert (await one(world, http, asked))["status"] == "held"
    back = answer(world, asked, sender="IDVAS", to=("Peacock",))
    assert (await verdict(world, http, back, "IDVAS"))[1] == SHUT
    signed, record = people.override(header_of(asked))
    assert await post_override(world, http, signed, record) == ("recorded", None)
    again = answer(world, asked, sender="IDVAS", to=("Peacock",))
    assert await verdict(world, http, again, "IDVAS") == OPEN


async def test_an_answer_that_waited_for_a_lead_is_held_against_the_request_again(world: World, http, people):
    asked = await ask(world, http)
    back = answer(world, asked, law={**REFUSED, "rfi": header_of(asked).mid}, purpose="RISK_MGMT")
    assert (await one(world, http, back))["status"] == "held"
    signed, record = people.override(header_of(back))
    assert await post_override(world, http, signed, record) == ("recorded", None)


# --- passed on


SOURCES = [
    ("no", {"onward": "NONE"}, "ONWARD"),
    ("no, and leave is claimed", {"onward": "NONE", "leave": "A" * 22}, "ONWARD"),
    ("ask me", {"onward": "ASK"}, "ONWARD"),
    ("ask me, and somebody asked", {"onward": "ASK", "leave": "A" * 22}, None),
    ("for this purpose", {"onward": "WITHIN_PURPOSE"}, None),
    ("for another purpose", {"onward": "WITHIN_PURPOSE", "pur": "HOUSING"}, "ONWARD"),
    (
        "for another purpose, with leave",
        {"onward": "WITHIN_PURPOSE", "pur": "HOUSING", "leave": "A" * 22},
        None,
    ),
    ("a word that nobody knows", {"onward": "FREELY"}, "ONWARD"),
]


async def test_what_its_source_said_binds_what_is_passed_on(world: World, http):
    for what, source, said in SOURCES:
        status, code = await verdict(world, http, passing(world, source))
        assert (code == said) if said else (status, code) == OPEN, what
        red = await one(world, http, passing(world, source, rag="RED"))
        assert (red["status"], red["alert"]) == ("accepted", said is not None), what


async def test_a_red_passed_on_without_leave_waits_for_its_leads_signature(world: World, http, people):
    await one(world, http, passing(world, {"onward": "NONE"}, rag="RED"))
    assert "break-glass" in await notices(world, http, "Peacock")
