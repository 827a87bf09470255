"""The header's marks are the form's: nobody's word makes a message consent-only or its person an adult at risk (M2, V7)."""

import json

import pytest
from sqlalchemy import select

from agent.forms import Give, Send
from agent.tables import inbox, receipts, sealings
from schemas.categories import categories_of, flags_of
from schemas.errors import Refusal
from schemas.messages.catalogue import class_of, parse_payload
from tests.agent.agencies import CATEGORIES, agreement, form, quiet
from tests.agent.test_rules import agreed, check, deliver
from tests.messages.samples import least
from tests.simulated_world import AGREED, World

EVERYTHING = sorted({*CATEGORIES, "concern", "consent", "crim", "health", "ident", "statements", "reasons"})
MARKS = ("consent_only", "adult_at_risk")


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


def of(kind, law, **changes):
    """What it takes to seal the least of a form with these marks, all else being right."""
    message = parse_payload(json.dumps({**least(kind), **changes}))
    flags = flags_of(message)
    right = {"spec": flags.spec, "crim": flags.crim, "child": flags.child, "b9": "9a" if flags.spec else None}
    right |= {"s1": ["s1:29"] if flags.crim else []}
    return {
        "payload": json.dumps({**least(kind), **changes}), "categories": categories_of(message),
        "cls": class_of(message), "rag": getattr(message, "rag", "AMBER"), "law": {**AGREED, **right, **law},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "form", "right"),
    [
        ("referral.universal", {}, {}),
        ("consent.grant", {}, {"consent_only": True}),
        ("adult.concern", {"care_support_needs": True}, {"adult_at_risk": True}),
        ("adult.concern", {"care_support_needs": False}, {}),
        ("child.concern", {}, {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_that_is_not_the_forms_is_refused_by_the_recipient(world, kind, form, right, mark):
    grant = agreed(world)
    grant["grant"] = world.grant("Peacock", "IDVAS", cat=sorted({*EVERYTHING, "child", "third_party"}))
    grant["status"] = world.status("Peacock", grant["grant"])
    check(world, deliver(world, **grant, **of(kind, right, **form)))
    with pytest.raises(Refusal) as refusal:
        check(world, deliver(world, **grant, **of(kind, {**right, mark: not right.get(mark)}, **form)))
    assert (refusal.value.code, refusal.value.detail) == ("FLAGS_DIFFER", (mark,))


@pytest.mark.parametrize(("gateway", "child"), [("HA-213B", False), ("MSA-52", False)])
def test_what_only_agreement_opens_makes_any_form_consent_only(world, gateway, child):
    rests = agreed(world)
    right = {"gw": [gateway], "consent_only": True}
    check(world, deliver(world, **rests, **of("referral.universal", right)))
    with pytest.raises(Refusal) as refusal:
        check(world, deliver(world, **rests, **of("referral.universal", {**right, "consent_only": False})))
    assert (refusal.value.code, refusal.value.detail) == ("FLAGS_DIFFER", ("consent_only",))


def read(model, **value):
    return model.model_validate_json(json.dumps(value))


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("said", [True, False, "Yes", None])
async def test_an_author_cannot_set_a_mark(world, mark, said):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        given = await peacock.agreements.give(read(Give, **agreement("IDVAS")))
        with pytest.raises(Refusal) as refusal:
            await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"], law={mark: said})))
        assert (refusal.value.code, refusal.value.detail) == ("FORM", (mark,))


async def test_the_agent_sets_the_marks_and_the_recipient_finds_them_right(world):
    """A homelessness referral under its gateway: consent-only by itself, and shown at the other end."""
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        given = await peacock.agreements.give(read(Give, **agreement("IDVAS")))
        asked = form("IDVAS", gid=given["gid"], law={"gw": ["HA-213B"]})
        queued = await peacock.office.send(read(Send, **asked))
        (row,) = await peacock.store.run(lambda c: c.execute(select(sealings)).all())
        assert json.loads(row.header)["law"]["consent_only"] is True
        await peacock.posting.flush()
        await peacock.outbox.flush()
        await idvas.inbox.collect(0)
        (item,) = await idvas.showing.inbox()
        assert item["mid"] == queued["mid"]


async def test_a_sender_that_lies_about_a_mark_is_found_out_over_the_wire(world):
    """Sealed by another program than ours: the relay cannot see the form, the recipient can."""
    async with world.relay(), world.session() as http, quiet(world, "IDVAS") as idvas:
        grant = world.grant("Peacock", "IDVAS", cat=EVERYTHING)
        status = world.status("Peacock", grant)
        await world.post_statements(http, "Peacock", ("grant", grant), ("status", status))
        lie = of("consent.grant", {"consent_only": False})
        sealed = world.seal("Peacock", "IDVAS", grant=grant, status=status, **lie)
        answer = await world.post_envelopes(http, "Peacock", sealed)
        assert answer.json()["results"][0]["status"] == "accepted"
        await idvas.inbox.collect(0)
        (row,) = await idvas.store.run(lambda c: c.execute(select(inbox)).all())
        assert (row.state, row.code, row.message) == ("rejected", "FLAGS_DIFFER", None)
        said = await idvas.store.run(lambda c: list(c.execute(select(receipts.c.state)).scalars()))
        assert said == ["collected", "rejected"]
