"""The line to the relay: what is sent, what is believed of an answer, and what silence means (W-rules, A-rules)."""

import asyncio
import contextlib
import json
import secrets

import pytest
from aiohttp import web

from agent.client import Relay, check_url, plain
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.request import Target, digest_header, read_claim, verify_claim
from tests.ports import free_port

NOW = 1_795_305_600
KEY = SigningKey(bytes(range(32)))


@contextlib.asynccontextmanager
async def answering(handler):
    """Something that answers at a relay's address, and the line to it."""
    port = free_port()
    application = web.Application(client_max_size=32 * 1024 * 1024)
    application.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    line = Relay(f"http://127.0.0.1:{port}", "relay.test", KEY, lambda: NOW, secrets.token_bytes)
    try:
        async with line:
            yield line
    finally:
        await runner.cleanup()


def says(status, body=b"", **headers):
    async def handler(_request):
        return web.Response(status=status, body=body, headers=headers)

    return handler


async def refused(handler):
    async with answering(handler) as line:
        with pytest.raises(Refusal) as refusal:
            await line.directory(0)
    return refusal.value


async def test_a_request_is_signed_for_the_relays_own_name_whatever_the_address():
    seen = []

    async def handler(request):
        body = await request.read()
        claim = read_claim(request.headers, NOW)
        target = Target(
            request.method, "relay.test", request.path, request.query_string, request.content_type
        )
        seen.append(verify_claim(claim, target, KEY.public, digest_header(body)))
        return web.json_response({"results": []})

    async with answering(handler) as line:
        await line.post_envelopes([b"x" * 2_000_000])
    assert seen == [KEY.kid]


async def test_a_redirect_is_not_followed():
    asked = []

    async def handler(request):
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    assert (await refused(handler)).code == "FORM"
    assert asked == ["/v1/directory"]


async def test_a_relay_that_is_not_there_is_away():
    line = Relay(f"http://127.0.0.1:{free_port()}", "relay.test", KEY, lambda: NOW, secrets.token_bytes)
    async with line:
        with pytest.raises(Refusal) as refusal:
            await line.checkpoint()
    assert refusal.value.code == "RELAY_AWAY"
    assert refusal.value.retry


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
async def test_a_gateway_that_answers_for_the_relay_decides_nothing(status):
    refusal = await refused(says(status, b"<html>", **{"Retry-After": "7"}))
    assert (refusal.code, refusal.retry, refusal.after) == ("RELAY_AWAY", True, 7.0)


@pytest.mark.parametrize("wait", ["x", "-1", "1e9", "99999999", ""])
async def test_a_pause_that_is_no_number_is_not_kept(wait):
    assert (await refused(says(503, **{"Retry-After": wait}))).after is None


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"\xff", b"{" * 100_000, b'{"size":1,"size":1}', b'{"size":NaN}']
)
async def test_an_answer_that_is_not_the_protocols_is_refused(body):
    assert (await refused(says(200, body))).code in {"FORM", "TOO_BIG"}


async def test_an_answer_without_end_is_cut_off():
    pieces = []

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while len(pieces) < 64 * 16:
                await response.write(b" " * 65_536)
                pieces.append(1)
        return response

    assert (await refused(handler)).code == "TOO_BIG"
    assert len(pieces) < 48 * 16  # 32 MiB, and what is in the machine's buffers


async def test_a_compressed_answer_is_refused():
    """A small answer that unpacks to gigabytes never gets to unpack."""
    assert (await refused(says(200, b"x", **{"Content-Encoding": "gzip"}))).code == "FORM"


async def test_a_wrong_clock_is_named_when_the_relay_shows_its_own():
    refusal = await refused(says(401, Date="Mon, 23 Nov 2026 00:00:00 GMT"))
    assert refusal.code == "CLOCK"


async def test_a_refusal_of_the_relay_keeps_its_code_and_loses_its_escapes():
    problem = {
        "type": "x", "title": "x", "status": 403, "code": "GRANT", "say": "No\x1b[2J\nmore\u202e.",
        "party": "sender", "retry": False, "detail": [],
    }  # fmt: skip
    refusal = await refused(says(403, json.dumps(problem).encode()))
    assert (refusal.code, refusal.say) == ("GRANT", "No[2Jmore.")


async def test_a_code_that_nobody_knows_yet_is_a_refusal_all_the_same():
    problem = {
        "type": "x", "title": "x", "status": 403, "code": "NEWER", "say": "No.", "party": "sender", "retry": False,
        "detail": [],
    }  # fmt: skip
    assert (await refused(says(403, json.dumps(problem).encode()))).code == "UNFORESEEN"


def test_a_sentence_is_cut_short():
    assert len(plain("x" * 10_000)) == 400


@pytest.mark.parametrize(
    "url", ["https://relay.example", "http://127.0.0.1:80", "http://[::1]:80", "http://localhost:1"]
)
def test_an_address_that_may_be_asked(url):
    check_url(url)


@pytest.mark.parametrize(
    "url",
    ["http://relay.example", "http://127.0.0.1.evil.example", "ftp://x", "https://", "http://10.0.0.1", "x"],
)
def test_plain_http_goes_nowhere_but_here(url):
    with pytest.raises(Refusal) as refusal:
        check_url(url)
    assert refusal.value.code == "SETTINGS"


async def test_the_relays_certificate_is_verified():
    async def hello(reader, writer):
        writer.close()

    server = await asyncio.start_server(hello, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    line = Relay(f"https://localhost:{port}", "relay.test", KEY, lambda: NOW, secrets.token_bytes)
    async with server, line:
        with pytest.raises(Refusal) as refusal:
            await line.checkpoint()
        session = line._open()
        assert session.connector._ssl is True
    assert refusal.value.code == "RELAY_AWAY"
