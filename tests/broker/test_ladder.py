"""The recipient's steps: strictly upward, signed by its own message key, and never for somebody else's message."""

import asyncio
import secrets

from schemas.envelope import Delivery
from schemas.keys import SigningKey
from schemas.receipt import Receipt, sign_receipt
from tests.simulated_world import World


async def delivered(world: World, http, *recipients: str, **changes) -> Delivery:
    """A message from Peacock, as its first recipient fetched it."""
    sealed = world.seal("Peacock", *recipients, **changes)
    assert (await world.post_envelopes(http, "Peacock", sealed)).status == 200
    return (await world.mailbox(http, recipients[0])).deliveries[-1]


async def step(
    world: World, http, party: str, delivery: Delivery, state: str, **changes
) -> tuple[str, str | None]:
    answer = await world.post_receipts(http, party, world.receipt(party, delivery, state, **changes))
    assert answer.status == 200, answer.body
    (said,) = answer.json()["results"]
    return said["status"], said["code"]


async def test_the_ladder_goes_up_and_a_step_said_twice_is_a_repeat(world: World, http):
    delivery = await delivered(world, http, "IDVAS")
    assert await step(world, http, "IDVAS", delivery, "collected") == ("recorded", None)
    assert await step(world, http, "IDVAS", delivery, "collected") == ("repeat", None)
    assert await step(world, http, "IDVAS", delivery, "opened") == ("recorded", None)
    assert await step(world, http, "IDVAS", delivery, "collected") == ("repeat", None)
    assert await step(world, http, "IDVAS", delivery, "taken-on") == ("recorded", None)
    assert await step(world, http, "IDVAS", delivery, "taken-on") == ("repeat", None)
    assert await step(world, http, "IDVAS", delivery, "rejected") == ("refused", "ENDED")


async def test_a_step_down_is_refused(world: World, http):
    delivery = await delivered(world, http, "IDVAS", "Harbour")
    assert await step(world, http, "IDVAS", delivery, "opened") == ("recorded", None)
    assert await step(world, http, "IDVAS", delivery, "collected") == ("refused", "CONFLICT")


async def test_nothing_follows_the_end_while_another_desk_goes_on(world: World, http):
    delivery = await delivered(world, http, "IDVAS", "Harbour")
    assert await step(world, http, "IDVAS", delivery, "rejected") == ("recorded", None)
    assert await step(world, http, "IDVAS", delivery, "taken-on") == ("refused", "ENDED")
    assert len((await world.mailbox(http, "Harbour")).deliveries) == 1


async def test_what_is_not_ours_and_what_is_not_there_get_one_answer(world: World, http):
    delivery = await delivered(world, http, "IDVAS")
    not_ours = await step(world, http, "Harbour", delivery, "collected")
    elsewhere = await step(world, http, "IDVAS", delivery, "collected", desk="other")
    absent = await step(world, http, "IDVAS", delivery, "collected", eid="A" * 43)
    assert not_ours == elsewhere == absent == ("refused", "NOT_FOUND")
    for party, eid in (("Harbour", world_eid(delivery)), ("IDVAS", "A" * 43)):
        answer = await world.call(http, party, "GET", "/v1/mailbox", f"again={eid}&wait=0")
        assert (answer.status, answer.json()["code"]) == (404, "NOT_FOUND")


def world_eid(delivery: Delivery) -> str:
    from schemas.canonical import b64

    return b64(delivery.envelope.eid)


async def test_a_receipt_in_anothers_name_is_not_found(world: World, http):
    delivery = await delivered(world, http, "IDVAS")
    theirs = world.receipt("IDVAS", delivery, "collected")
    assert (await world.post_receipts(http, "Harbour", theirs)).json()["results"][0]["code"] == "NOT_FOUND"


async def test_a_receipt_signed_by_another_key_is_refused(world: World, http):
    delivery = await delivered(world, http, "IDVAS")
    agent = world.parties["IDVAS"].member.agent
    right = Receipt.model_validate_json(world.receipt("IDVAS", delivery, "collected").text)
    for key, code in ((SigningKey(secrets.token_bytes(32)), "SIGNATURE"), (agent.consent, "SIGNATURE")):
        answer = await world.post_receipts(http, "IDVAS", sign_receipt(right, key))
        assert answer.json()["results"][0]["code"] == code
    named = right.model_copy(update={"signer": agent.consent.kid})
    answer = await world.post_receipts(http, "IDVAS", sign_receipt(named, agent.consent))
    assert answer.json()["results"][0]["code"] == "UNKNOWN_KEY"
    assert (await world.mailbox(http, "IDVAS")).head.items[0].state == "queued"


async def test_a_receipt_for_another_body_is_refused(world: World, http):
    delivery = await delivered(world, http, "IDVAS")
    assert await step(world, http, "IDVAS", delivery, "collected", body="A" * 43) == ("refused", "FORM")


async def test_a_receipt_from_the_future_is_refused(world: World, http):
    delivery = await delivered(world, http, "IDVAS")
    assert await step(world, http, "IDVAS", delivery, "collected", ts=world.now + 301) == (
        "refused",
        "FUTURE",
    )


async def test_many_steps_in_one_request_are_taken_in_their_order(world: World, http):
    delivery = await delivered(world, http, "IDVAS")
    steps = [world.receipt("IDVAS", delivery, state) for state in ("collected", "opened", "taken-on")]
    answer = await world.post_receipts(http, "IDVAS", *steps)
    assert [r["status"] for r in answer.json()["results"]] == ["recorded"] * 3
    assert [r["index"] for r in answer.json()["results"]] == [1, 2, 3]


async def test_the_same_step_from_many_sides_at_once_is_recorded_once(world: World, relay, http):
    delivery = await delivered(world, http, "IDVAS")
    size = relay.relay.log.size
    said = await asyncio.gather(*(step(world, http, "IDVAS", delivery, "taken-on") for _ in range(10)))
    assert sorted(said) == [("recorded", None)] + [("repeat", None)] * 9
    assert relay.relay.log.size == size + 1


async def test_the_sender_hears_each_step_with_its_evidence_until_it_is_acknowledged(world: World, http):
    delivery = await delivered(world, http, "IDVAS")
    receipt = world.receipt("IDVAS", delivery, "collected")
    await world.post_receipts(http, "IDVAS", receipt)
    (notice,) = (await world.mailbox(http, "Peacock")).head.notices
    assert (notice.kind, notice.d, notice.a) == ("receipt", "intake", world.parties["IDVAS"].id)
    assert notice.evidence is not None
    assert notice.evidence.t == receipt.text.decode()
    await world.post_receipts(http, "IDVAS", notices=(notice.id,))  # not hers to acknowledge
    assert len((await world.mailbox(http, "Peacock")).head.notices) == 1
    await world.post_receipts(http, "Peacock", notices=(notice.id,))
    assert (await world.mailbox(http, "Peacock")).head.notices == ()


async def test_a_collected_message_waits_no_more_but_can_be_had_again(world: World, http):
    delivery = await delivered(world, http, "IDVAS")
    await step(world, http, "IDVAS", delivery, "collected")
    assert (await world.mailbox(http, "IDVAS")).deliveries == ()
    again = await world.mailbox(http, "IDVAS", f"again={world_eid(delivery)}&wait=0")
    assert [item.state for item in again.head.items] == ["collected"]
    assert again.deliveries[0].to_bytes() == delivery.to_bytes()


async def test_a_page_begins_with_what_is_most_urgent(world: World, http):
    for rag in ("GREEN", "AMBER", "RED", "GREEN", "RED"):
        assert (
            await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS", rag=rag))
        ).status == 200
    page = await world.mailbox(http, "IDVAS")
    assert [d.envelope.header.rag for d in page.deliveries] == ["RED", "RED", "AMBER", "GREEN", "GREEN"]
    page = await world.mailbox(http, "IDVAS", "wait=0&limit=2")
    assert [d.envelope.header.rag for d in page.deliveries] == ["RED", "RED"]
    assert page.head.more


async def test_a_long_poll_wakes_when_something_comes(world: World, http):
    waiting = asyncio.create_task(world.mailbox(http, "IDVAS", "wait=20&limit=64"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))
    page = await asyncio.wait_for(waiting, 15)
    assert len(page.deliveries) == 1


async def test_a_long_poll_ends_by_itself(world: World, http):
    page = await world.mailbox(http, "IDVAS", "wait=1&limit=64")
    assert page.head.items == ()


async def test_a_page_of_large_messages_stays_under_its_limit(world: World, http):
    payload = "x" * 900_000
    for _ in range(10):
        sealed = world.seal("Peacock", "IDVAS", payload=payload)
        assert (await world.post_envelopes(http, "Peacock", sealed)).status == 200
    page = await world.mailbox(http, "IDVAS")
    assert 1 <= len(page.deliveries) < 10
    assert page.head.more
    assert sum(len(d.to_bytes()) for d in page.deliveries) <= 8 * 1024 * 1024
