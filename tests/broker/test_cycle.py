"""One message through the relay: accepted, fetched, taken on, gone."""

from pathlib import Path

from schemas import api
from schemas.audit import Leaf
from schemas.canonical import b64
from schemas.checkpoint import LogProof
from schemas.opening import open_delivery
from tests.simulated_world import World


async def test_a_message_goes_from_one_agency_to_another(tmp_path: Path):
    world = World.found(tmp_path, "Peacock", "IDVAS")
    async with world.relay(), world.session() as http:
        sealed = world.seal("Peacock", "IDVAS")
        answer = await world.post_envelopes(http, "Peacock", sealed)
        assert answer.status == 200, answer.body
        result = api.EnvelopeResults.model_validate_json(answer.body).results[0]
        assert (result.status, result.eid) == ("accepted", sealed.eid)
        proof = LogProof.parse(result.proof.encode())
        proof.verified(proof.extra, world.founded.partnership.log_key)
        assert b64(Leaf.parse(proof.extra).tag) == sealed.eid

        page = await world.mailbox(http, "IDVAS")
        assert [item.eid for item in page.head.items] == [sealed.eid]
        opened = open_delivery(page.deliveries[0], world.parties["IDVAS"].member.agent.prekeys[0].key)
        assert opened.payload == '{"ask":"a simulated message"}'
        for state in ("collected", "opened", "taken-on"):
            answer = await world.post_receipts(
                http, "IDVAS", world.receipt("IDVAS", page.deliveries[0], state)
            )
            assert answer.json()["results"][0]["status"] == "recorded", answer.body
        assert (await world.mailbox(http, "IDVAS")).head.items == ()
        told = (await world.mailbox(http, "Peacock")).head.notices
        assert [notice.kind for notice in told] == ["receipt"] * 3
