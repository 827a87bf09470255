"""The operator's log: allow-listed keys, no words of anybody, one line for a refusal and none for a success."""

import io
import json
import logging

import pytest

from broker import logs
from schemas import api
from tests.simulated_world import World

SECRET = "Jane-Doe-Refuge-Lane-4"


@pytest.fixture
def written():
    stream = io.StringIO()
    logs.configure("debug", stream)
    return stream


def lines(written: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_what_is_not_allowed_is_dropped(written):
    logs.get().info("refused", code="FORM", agency=SECRET, name=SECRET, status={"a": SECRET})
    (line,) = lines(written)
    assert line["status"] == "dict"
    assert set(line) <= logs.ALLOWED
    assert SECRET not in written.getvalue()


def test_other_libraries_may_not_quote(written):
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger(f"aiohttp.{SECRET}").exception("broken by %s", SECRET)
    (line,) = lines(written)
    assert (line["logger"], line["error"]) == ("aiohttp", "ValueError")
    assert SECRET not in written.getvalue()


async def test_a_working_relay_logs_nobody(world: World, written):
    async with world.relay(), world.session() as http:
        logs.configure("debug", written)
        sealed = world.seal("Peacock", "IDVAS")
        await world.post_envelopes(http, "Peacock", sealed)
        (delivery,) = (await world.mailbox(http, "IDVAS")).deliveries
        await world.post_receipts(http, "IDVAS", world.receipt("IDVAS", delivery, "taken-on"))
        await world.post_envelopes(
            http, "Peacock", world.seal("Peacock", "IDVAS", to=world.to("IDVAS", desk="jane"))
        )
        async with http.get(f"/{SECRET}?{SECRET}", headers={"Authorization": SECRET}) as response:
            assert response.status == 404
        async with http.get(f"/v1/grants/{SECRET}") as response:
            assert response.status == 401
    text = written.getvalue()
    for line in lines(written):
        assert set(line) <= logs.ALLOWED
    refused = [line for line in lines(written) if line["event"] == "refused"]
    assert [line["code"] for line in refused] == ["UNKNOWN_DESK", "NOT_FOUND", "UNAUTHENTICATED"]
    assert [line["route"] for line in refused] == [api.ENVELOPES, "none", api.GRANT]
    parts = [SECRET, sealed.eid, sealed.mid, "jane", "intake"]
    parts += [part for party in world.parties.values() for part in (party.id, party.name)]
    assert [part for part in parts if part in text] == []


async def test_a_fault_of_ours_tells_only_its_type(world: World, written, monkeypatch):
    from broker import pages

    def broken(*_args):
        raise RuntimeError(SECRET)

    async with world.relay(), world.session() as http:
        logs.configure("debug", written)
        monkeypatch.setattr(pages, "numbers", broken)
        async with http.get(api.CHECKPOINT) as response:
            body = await response.text()
            assert response.status == 500
            assert api.Problem.model_validate_json(body).code == "FAULT"
    assert SECRET not in body + written.getvalue()
    assert "RuntimeError" in {line.get("error") for line in lines(written)}


def test_a_secret_key_does_not_show_in_any_form(world: World):
    key = world.parties["Peacock"].member.agent.auth
    for shown in (str(key), repr(key), f"{key}", f"{key!r}"):
        assert shown == f"SigningKey({key.kid})"
