"""The loopback REST face: who may ask, what is refused, and that its OpenAPI document is true (G6)."""

import asyncio
import contextlib
import io
import json

import aiohttp
import pytest
import pytest_asyncio
from pydantic import TypeAdapter

from agent.desk import ROUTES
from agent.openapi import document
from tests.agent.agencies import agreement, eventually, form, running
from tests.simulated_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alone(tmp_path_factory):
    """An agent whose relay is away, for every test of this file that only asks."""
    async with running(World.found(tmp_path_factory.mktemp("desk"), "Peacock"), "Peacock") as caller:
        yield caller


@pytest.mark.parametrize(
    "token", ["", "Bearer ", "Bearer wrong", "Basic x", "bearer", "Bearer caf\u00e9", "Bearer " + "x" * 5000]
)
async def test_a_wrong_token_is_refused(alone, token):
    status, answer = await alone.ask("GET", "/v1/status", Authorization=token)
    assert (status, answer["code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1.evil.example:80"])
async def test_another_host_is_refused(alone, host):
    """A web page that points its own name at the loopback (DNS rebinding) says its own name."""
    status, answer = await alone.ask("GET", "/v1/status", Host=host)
    assert (status, answer["code"]) == (403, "NOT_ALLOWED")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "file://"])
async def test_a_foreign_web_page_is_refused(alone, origin):
    status, answer = await alone.ask("GET", "/v1/status", Origin=origin)
    assert (status, answer["code"]) == (403, "NOT_ALLOWED")


async def test_our_own_origin_may_ask(alone):
    status, _ = await alone.ask("GET", "/v1/status", Origin=f"http://127.0.0.1:{alone.agent.port}")
    assert status == 200


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
async def test_no_route_answers_without_the_token(alone, route):
    path = route.path.replace("{mid}", "x").replace("{id}", "x").replace("{gid}", "x")
    status, _ = await alone.ask(route.method, path, Authorization="")
    assert status == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "NOT_FOUND"),
        ("GET", "/", 404, "NOT_FOUND"),
        ("DELETE", "/v1/status", 405, "METHOD"),
        ("GET", "/v1/messages/unknown", 404, "NOT_FOUND"),
        ("GET", "/v1/inbox/unknown", 404, "NOT_FOUND"),
        ("GET", "/v1/inbox/..%2f..%2fagent.fpk", 404, "NOT_FOUND"),
        ("GET", "/v1/consent/unknown", 404, "NOT_FOUND"),
        ("POST", "/v1/consent/unknown/withdraw", 404, "NOT_FOUND"),
    ],
)
async def test_what_is_not_there_is_said_plainly(alone, method, path, status, code):
    found, answer = await alone.ask(method, path)
    assert (found, answer["code"]) == (status, code)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"kind":1}', b'{"kind":"referral.universal"}',
        b'{"kind":"referral.universal","payload":{},"case":{}}', b'{"kind":"a.b","kind":"a.b"}',
        b'{"kind":"referral.universal","payload":{},"n":NaN}', b'{"x":' * 5000,
        b'{"kind":"referral.universal","payload":{"v":1e999}}', b'{"kind":"../../etc","payload":{}}',
        b'{"kind":"referral.universal","payload":{},"life":1}',
        b'{"kind":"referral.universal","payload":{},"gid":"short"}',
    ],
)  # fmt: skip
async def test_what_is_no_form_is_refused(alone, body):
    status, answer = await alone.ask("POST", "/v1/messages", body)
    assert status == 422
    assert answer["code"] in {"FORM", "TOO_BIG", "STALE_DIRECTORY"}


SAYS = [
    (b'{"kind":"referral.universal",', "line 1, character 30"),
    (b'{"kind":"a.b",\n "payload": }', "line 2, character 13"),
    (b'{"kind":"a.b","kind":"a.b"}', "nothing twice"),
    (b'{"kind":"a.b","payload":{"n":1.5}}', "whole numbers only"),
    (b"\xff\xfe", "UTF-8"),
    (b"[]", "one JSON object"),
    (b'{"kind":"referral.universal"}', "either case or payload"),
    (b'{"kind":"referral.universal","payload":{},"wat":1}', "The fields are: answers, anyway, author, case"),
    (b'{"kind":1,"payload":{}}', "Correct: kind."),
]


@pytest.mark.parametrize(("body", "says"), SAYS)
async def test_what_is_no_form_says_where_to_look(alone, body, says):
    _, answer = await alone.ask("POST", "/v1/messages", body)
    assert answer["code"] == "FORM"
    assert says in answer["say"]


async def test_a_body_that_is_too_long_is_refused(alone):
    status, answer = await alone.ask("POST", "/v1/messages", io.BytesIO(b" " * (1024 * 1024 + 1)))
    assert (status, answer["code"]) == (413, "TOO_BIG")


async def test_a_body_without_end_is_not_read_to_its_end(alone):
    reader, writer = await asyncio.open_connection("127.0.0.1", alone.agent.port)
    host = f"127.0.0.1:{alone.agent.port}"
    head = [f"Host: {host}", f"Authorization: {alone.headers['Authorization']}", "Transfer-Encoding: chunked"]
    writer.write("\r\n".join(["POST /v1/messages HTTP/1.1", *head, "", ""]).encode())
    answer, sent = asyncio.create_task(reader.readline()), 0
    while not answer.done() and sent < 64:
        writer.write(b"100000\r\n" + b" " * (1024 * 1024) + b"\r\n")
        sent += 1
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        await asyncio.sleep(0.01)
    assert (await asyncio.wait_for(answer, 60)).split(b" ")[1] == b"413"
    assert sent < 32  # a form has one megabyte
    writer.close()


async def test_an_unknown_field_is_refused_and_never_repeated(alone):
    body = {**form("IDVAS"), "Robin Canary": "Canary Street 5"}
    status, answer = await alone.ask("POST", "/v1/messages", body)
    assert status == 422
    assert "anary" not in json.dumps(answer)
    assert "unknown field" in answer["say"]


async def test_an_error_is_problem_json_and_is_never_cached(alone):
    url = f"http://127.0.0.1:{alone.agent.port}/v1/nothing"
    async with aiohttp.ClientSession() as http, http.get(url, headers=alone.headers) as response:
        assert response.content_type == "application/problem+json"
        assert response.headers["Cache-Control"] == "no-store"
        assert "aiohttp" not in response.headers["Server"].lower()


async def test_a_refusal_never_repeats_what_was_written(world):
    async with world.relay(), running(world, "Peacock") as caller:
        await eventually(lambda: ready(caller))
        message = {**form("IDVAS")["payload"], "rag": "Canary Street 5"}
        status, answer = await caller.ask("POST", "/v1/messages", form("IDVAS", payload=message))
        assert status == 422
        assert "Canary" not in json.dumps(answer)
        assert answer["detail"] == ["rag"]


async def test_the_status_says_that_the_relay_is_away(alone):
    async def away():
        return (await alone.ok("GET", "/v1/status"))["relay"]["code"] == "RELAY_AWAY"

    await eventually(away)


async def test_with_the_relay_away_and_no_directory_a_message_is_refused_with_what_to_do(alone):
    status, answer = await alone.ask("POST", "/v1/messages", form("IDVAS"))
    assert (status, answer["code"], answer["retry"]) == (503, "STALE_DIRECTORY", True)


async def test_a_message_is_taken_on_once(world):
    async with world.relay(), running(world, "Peacock") as peacock, running(world, "IDVAS") as idvas:
        await eventually(lambda: ready(peacock))
        gid = (await peacock.ok("POST", "/v1/consent", agreement("IDVAS")))["gid"]
        await peacock.ok("POST", "/v1/messages", form("IDVAS", gid=gid))
        place = f"/v1/inbox/{(await idvas.first_in())['id']}"
        assert (await idvas.ask("POST", f"{place}/take-on", {"role": "A Name"}))[0] == 422
        assert (await idvas.ask("POST", f"{place}/reject", {"reason": "dull"}))[0] == 422
        for _ in range(2):
            assert (await idvas.ok("POST", f"{place}/take-on", {"role": "idva"}))[
                "says"
            ] == "taken on by idva"
        for path, body in (("take-on", {"role": "other"}), ("reject", {"reason": "wrong-recipient"})):
            status, answer = await idvas.ask("POST", f"{place}/{path}", body)
            assert (status, answer["code"]) == (409, "ENDED")
        assert (await idvas.ok("GET", "/v1/inbox"))["items"] == []
        assert len((await idvas.ok("GET", "/v1/inbox?all=1"))["items"]) == 1


async def test_a_rejection_reaches_the_sender_with_its_reason(world):
    async with world.relay(), running(world, "Peacock") as peacock, running(world, "IDVAS") as idvas:
        await eventually(lambda: ready(peacock))
        gid = (await peacock.ok("POST", "/v1/consent", agreement("IDVAS")))["gid"]
        queued = await peacock.ok("POST", "/v1/messages", form("IDVAS", gid=gid))
        place = (await idvas.first_in())["id"]
        await idvas.ok("POST", f"/v1/inbox/{place}/reject", {"reason": "wrong-recipient"})
        answer = await peacock.until(queued["mid"], "rejected")
        assert answer["desks"][0]["says"] == "rejected: not for this desk"
        assert answer["ended"]


async def test_the_document_names_every_route_and_no_other(alone):
    served = {
        (route.method, route.resource.canonical)
        for route in alone.agent._runner.app.router.routes()
        if route.method != "HEAD" and route.resource is not None
    }
    described = {(method.upper(), path) for path, item in document()["paths"].items() for method in item}
    assert served == described == {(route.method, route.path) for route in ROUTES}


async def test_the_document_is_served_and_is_json(alone):
    assert await alone.ok("GET", "/v1/openapi.json") == json.loads(json.dumps(document()))


async def test_every_model_of_the_document_is_the_one_that_is_enforced():
    schemas = document()["components"]["schemas"]
    for route in ROUTES:
        if route.body is not None:
            own = TypeAdapter(route.body).json_schema()
            assert set(schemas[route.body.__name__]["properties"]) == set(own["properties"])
            assert schemas[route.body.__name__]["additionalProperties"] is False


async def test_every_reference_of_the_document_leads_somewhere():
    text = json.dumps(document())
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(document()["components"]["schemas"])


async def ready(caller):
    state = await caller.ok("GET", "/v1/status")
    return state["directory_fresh"] and not state["relay"]["code"]
