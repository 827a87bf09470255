"""Who gets in, and what the server tells those who do not."""

import asyncio
import contextlib
import itertools
import json
import secrets

import pytest

from schemas import api
from schemas.hashing import framed
from schemas.keys import SigningKey
from schemas.kinds import KINDS
from schemas.request import Target, sign_request
from tests.simulated_world import World

SECRET = "Jane-Doe-Refuge-Lane-4"


def headers_for(world: World, **changes) -> dict[str, str]:
    given = {
        "method": "GET",
        "path": api.MAILBOX,
        "query": "limit=1&wait=0",
        "body": b"",
        "skew": 0,
        "key": None,
        "authority": None,
    }
    given |= changes
    target = Target(
        given["method"],
        given["authority"] or f"127.0.0.1:{world.port}",
        given["path"],
        given["query"],
        api.JSON,
    )
    key = given["key"] or world.parties["IDVAS"].member.agent.auth
    return sign_request(target, given["body"], key, world.now + given["skew"], secrets.token_bytes(32))


async def fetch(world: World, http, headers: dict[str, str]):
    return await world.send(http, "GET", api.MAILBOX, "limit=1&wait=0", b"", headers)


async def test_a_signed_request_gets_in(world: World, http):
    assert (await fetch(world, http, headers_for(world))).status == 200


ANYTHING_ELSE = [
    {"method": "POST"},
    {"path": api.DIRECTORY},
    {"query": "limit=2&wait=0"},
    {"body": b"x"},
    {"skew": 91},
    {"skew": -91},
    {"skew": 24 * 3600},
    {"skew": -24 * 3600},
    {"authority": "relay.example:443"},
    {"key": SigningKey(bytes(32))},
]


async def test_a_signature_over_anything_else_does_not(world: World, http):
    for changes in ANYTHING_ELSE:
        answer = await fetch(world, http, headers_for(world, **changes))
        assert (answer.status, answer.json()["code"], answer.json()["detail"]) == (401, "UNAUTHENTICATED", [])


async def test_a_malformed_signature_gets_the_same_answer_and_is_not_echoed(world: World, http):
    for name, value in itertools.product(
        ("Signature", "Signature-Input", "Content-Digest"), (None, "", SECRET, "fenpost=:AAAA:")
    ):
        headers = headers_for(world)
        headers.pop(name)
        if value is not None:
            headers[name] = value
        answer = await fetch(world, http, headers)
        assert answer.status == 401
        assert SECRET.encode() not in answer.body


async def test_what_is_signed_or_signs_stands_once(world: World, relay):
    """RFC 9421 would join a field that comes twice; which of two signatures counts is no question here."""
    for twice in (None, "Signature", "Signature-Input", "Content-Digest", "Content-Type"):
        headers = [*headers_for(world).items()]
        headers += [(name, value) for name, value in headers if name == twice]
        head = [
            f"GET {api.MAILBOX}?limit=1&wait=0 HTTP/1.1",
            f"Host: 127.0.0.1:{world.port}",
            "Connection: close",
        ]
        lines = [*head, *(f"{name}: {value}" for name, value in headers), "", ""]
        answer = await talk(world, "\r\n".join(lines).encode())
        # A second Content-Type is no HTTP to the parser below us.
        assert answer.split(b" ", 2)[1] in ((b"200",) if twice is None else (b"401", b"400")), twice


async def test_a_key_for_another_use_does_not_open_the_door(world: World, http):
    for key in (world.parties["IDVAS"].member.agent.msg, world.parties["IDVAS"].member.agent.consent):
        assert (await fetch(world, http, headers_for(world, key=key))).status == 401


async def test_a_request_counts_once(world: World, http):
    headers = headers_for(world)
    assert (await fetch(world, http, headers)).status == 200
    assert (await fetch(world, http, headers)).status == 401


async def test_a_request_counts_once_for_as_long_as_its_signature_is_good(world: World, relay, http):
    """By a clock that is ahead it is good for three minutes; what is over is forgotten meanwhile."""
    headers = headers_for(world, skew=89)
    assert (await fetch(world, http, headers)).status == 200
    for _ in range(2):
        world.clock.advance(80)
        await relay.sweeper.sweep()
        assert (await fetch(world, http, headers)).status == 401
    world.clock.advance(18)
    await relay.sweeper.sweep()
    assert (await fetch(world, http, headers)).status == 401


async def test_a_request_sent_twice_at_once_counts_once(world: World, http):
    for _ in range(10):
        headers = headers_for(world)
        answers = await asyncio.gather(*(fetch(world, http, headers) for _ in range(8)))
        assert sorted(answer.status for answer in answers) == [200] + [401] * 7


async def test_a_request_counts_once_over_a_restart(world: World):
    headers = headers_for(world)
    async with world.relay(), world.session() as http:
        assert (await fetch(world, http, headers)).status == 200
    async with world.relay(), world.session() as http:
        assert (await fetch(world, http, headers)).status == 401


async def test_a_replayed_post_does_nothing_the_second_time(world: World, relay, http):
    body = b"".join(api_frame(world))
    headers = world.signed_headers(
        world.parties["Peacock"].member.agent.auth, "POST", api.ENVELOPES, "", body, api.BINARY
    )
    assert (await world.send(http, "POST", api.ENVELOPES, "", body, headers)).status == 200
    size = relay.relay.log.size
    assert (await world.send(http, "POST", api.ENVELOPES, "", body, headers)).status == 401
    assert relay.relay.log.size == size


def api_frame(world: World) -> list[bytes]:
    upload = world.seal("Peacock", "IDVAS").upload.to_bytes()
    return [len(upload).to_bytes(4, "big"), upload]


async def test_an_agency_that_is_not_admitted_stays_outside(world: World, http):
    member = world.join("Newcomer")
    for signed in member[:-1]:
        assert (await world.post_statements(http, "oversight", ("directory", signed))).json()["results"][0][
            "code"
        ] is None
    key = world.parties["Newcomer"].member.agent.auth
    assert (await fetch(world, http, headers_for(world, key=key))).status == 401
    assert (await world.post_statements(http, "oversight", ("directory", member[-1]))).status == 200
    assert (await fetch(world, http, headers_for(world, key=key))).status == 200


OTHER_QUERIES = [
    "wait=31&limit=1",
    "wait=-1&limit=1",
    "wait=0&limit=0",
    "wait=0&limit=65",
    "wait=00&limit=1",
    "wait=0&limit=1&x=1",
    "wait=0&wait=0",
    "wait=1.0",
    "again=x",
    "wait=%2B1",
    "wait=1_0",
]


async def test_a_query_has_one_spelling(world: World, http):
    for query in OTHER_QUERIES:
        answer = await world.call(http, "IDVAS", "GET", api.MAILBOX, query)
        assert (answer.status, answer.json()["code"]) == (400, "FORM")


STRANGE = [
        ("GET", "/", 404, "NOT_FOUND"), ("GET", "/v1/" + SECRET, 404, "NOT_FOUND"), ("DELETE", api.MAILBOX, 405, "METHOD"),
        ("HEAD", api.MAILBOX, 405, None), ("GET", api.ENVELOPES, 405, "METHOD"), ("GET", "/metrics", 404, "NOT_FOUND"),
    ]  # fmt: skip


async def test_a_strange_path_or_method_is_a_problem(world: World, http):
    for method, path, status, code in STRANGE:
        async with http.request(method, path) as response:
            body = await response.read()
            assert response.status == status
            assert response.headers["Server"] == "fenpost"
            assert SECRET.encode() not in body
            if code:
                assert response.content_type == api.PROBLEM
                assert api.Problem.model_validate_json(body).code == code


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("path", [api.ENVELOPES, api.RECEIPTS])
async def test_a_request_is_answered_and_counted_alike_whichever_way_it_takes(
    world: World, relay, http, path: str, waits: bool
):
    """Some pass no router: not those that wait to be told to go on."""
    key = world.parties["Peacock"].member.agent.auth
    kind = api.BINARY if path == api.ENVELOPES else api.JSON
    body = framed(world.seal("Peacock", "IDVAS").upload.to_bytes()) if path == api.ENVELOPES else b"{}"
    statuses = []
    for changed in ({}, {"Host": "elsewhere.example"}, {"Signature": "fenpost=:x:"}):
        headers = world.signed_headers(key, "POST", path, "", body, kind) | changed
        async with http.post(path, data=body, headers=headers, expect100=waits) as answer:
            statuses.append(answer.status)
    assert statuses == [200, 421, 401]
    counted = relay.relay.metrics.text().decode()
    for status in statuses:
        assert f'fenpost_requests_total{{route="{path}",status="{status}"}} 1.0' in counted


OTHER_TYPES = [("text/plain", None), (api.BINARY, None), (api.JSON, "gzip")]


async def test_another_content_type_is_refused(world: World, http):
    for kind, encoding in OTHER_TYPES:
        key = world.parties["IDVAS"].member.agent.auth
        headers = world.signed_headers(key, "POST", api.RECEIPTS, "", b"{}", kind)
        answer = await world.send(
            http,
            "POST",
            api.RECEIPTS,
            "",
            b"{}",
            headers | ({"Content-Encoding": encoding} if encoding else {}),
        )
        assert (answer.status, answer.json()["code"]) == (415, "MEDIA")


NOT_THE_FORM = [
        b"", b"[]", b"{", b'{"receipts":[],"receipts":[]}', b'{"receipts":[],"name":"x"}', b'{"notices":[0]}', b'{"notices":["1"]}',
        b'{"notices":[1.0]}', b'{"notices":[NaN]}', b'{"receipts":[{"s":"x","t":"y","z":1}]}', b"\xff", b'{"receipts":"\\ud800"}',
        b"[" * 10_000, json.dumps({"notices": [1] * 257}).encode(), b'{"notices":[1' + b"0" * 5000 + b"]}",
    ]  # fmt: skip


async def test_json_that_is_not_the_form_is_refused(world: World, http):
    for body in NOT_THE_FORM:
        answer = await world.call(http, "IDVAS", "POST", api.RECEIPTS, body=body)
        assert (answer.status, answer.json()["code"]) == (400, "FORM")


async def test_a_body_over_the_limit_is_refused_before_it_is_read(world: World, http):
    key = world.parties["Peacock"].member.agent.auth
    headers = world.signed_headers(key, "POST", api.ENVELOPES, "", b"", api.BINARY)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    lines = [
        f"POST {api.ENVELOPES} HTTP/1.1",
        f"Host: 127.0.0.1:{world.port}",
        f"Content-Length: {api.MAX_BODY + 1}",
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    assert b" 413 " in await reader.readline()
    writer.close()


async def test_a_body_without_a_length_is_refused_where_it_is_too_long(world: World, relay):
    key = world.parties["Peacock"].member.agent.auth
    headers = world.signed_headers(key, "POST", api.ENVELOPES, "", b"", api.BINARY)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    lines = [f"POST {api.ENVELOPES} HTTP/1.1", f"Host: 127.0.0.1:{world.port}", "Transfer-Encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer, sent = asyncio.create_task(reader.readline()), 0
    while not answer.done() and sent < 64:
        writer.write(b"100000\r\n" + bytes(1024 * 1024) + b"\r\n")
        sent += 1
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        await asyncio.sleep(0.01)
    assert b" 413 " in await asyncio.wait_for(answer, 60)
    assert sent < 48  # it has sixteen
    writer.close()


# --- what the server says by itself


async def talk(world: World, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(65536), 60)
    writer.close()
    return answer


NOT_HTTP = [
    f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {SECRET}\r\n\r\n".encode(),
    f"GET / HTTP/1.1\r\nAuthorization: \x00{SECRET}\r\n\r\n".encode(),
    f"{SECRET}\r\n\r\n".encode(),
    f"GET /{SECRET} HTTP/9.9\r\n\r\n".encode(),
    f"GET / HTTP/1.1\r\nHost: x\r\nCookie: {SECRET * 400}\r\n\r\n".encode(),
    ("GET / HTTP/1.1\r\n" + "".join(f"X-{n}: {SECRET}\r\n" for n in range(200)) + "\r\n").encode(),
    f"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {SECRET}\r\n\r\n".encode(),
    f"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {SECRET}\r\n\r\n".encode(),
]


SIZES = [
    ("/healthz", 3900, 1, 200), ("/healthz", 4200, 1, 400), ("/healthz", 1, 28, 200), ("/healthz", 1, 40, 400),
    ("/" + "x" * 3900, 1, 1, 404), ("/" + "x" * 4200, 1, 1, 400),
]  # fmt: skip


async def test_a_header_has_a_length_and_a_number_of_lines(world: World, relay):
    for path, length, number, status in SIZES:
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{world.port}", "Connection: close"]
        lines += [f"X-{n}: {'y' * length}" for n in range(number)]
        answer = await talk(world, "\r\n".join([*lines, "", ""]).encode())
        assert (path[:9], length, number, int(answer.split(b" ", 2)[1])) == (path[:9], length, number, status)


async def test_what_is_not_http_is_not_echoed(world: World, relay, capfd):
    for data in NOT_HTTP:
        answer = await talk(world, data)
        assert answer.split(b" ")[1].startswith(b"4")
        assert SECRET.encode() not in answer
        assert b"aiohttp" not in answer
        assert b"Python" not in answer
        assert SECRET not in "".join(capfd.readouterr())


async def test_only_the_relays_own_name_is_answered(world: World, relay):
    answer = await talk(world, f"GET {api.CHECKPOINT} HTTP/1.1\r\nHost: {SECRET}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 421 ")
    assert b"AUTHORITY" in answer
    assert SECRET.encode() not in answer


async def test_a_slow_header_is_cut_off(world: World):
    async with world.relay(header_seconds=0.5):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"GET / HTTP/1.1\r\n")

        async def drip():
            while True:
                await asyncio.sleep(0.1)
                writer.write(b"X: y\r\n")

        dripping = asyncio.create_task(drip())
        started = asyncio.get_running_loop().time()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 60)
        assert asyncio.get_running_loop().time() - started < 30
        dripping.cancel()
        writer.close()


@pytest.mark.parametrize("piece", [b"x" * 10, b""])
async def test_a_slow_body_is_cut_off(world: World, piece: bytes):
    async with world.relay(body_seconds=0.5, body_rate=1000):
        key = world.parties["Peacock"].member.agent.auth
        headers = world.signed_headers(key, "POST", api.ENVELOPES, "", b"", api.BINARY)
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        lines = [
            f"POST {api.ENVELOPES} HTTP/1.1",
            f"Host: 127.0.0.1:{world.port}",
            "Content-Length: 100000",
        ]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())

        async def drip():
            while True:
                await asyncio.sleep(0.05)
                writer.write(piece)

        dripping = asyncio.create_task(drip())
        answer = await asyncio.wait_for(reader.read(65536), 60)
        assert answer.startswith(b"HTTP/1.1 408 ")
        dripping.cancel()
        writer.close()


async def test_a_body_that_keeps_its_pace_is_not_cut_off(world: World):
    async with world.relay(body_seconds=1.0, body_rate=1000), world.session() as http:
        body = b"".join(api_frame(world))
        key = world.parties["Peacock"].member.agent.auth
        headers = world.signed_headers(key, "POST", api.ENVELOPES, "", body, api.BINARY)

        async def pieces():
            for at in range(0, len(body), 1500):
                yield body[at : at + 1500]
                await asyncio.sleep(0.25)

        async with http.post(api.ENVELOPES, data=pieces(), headers=headers) as response:
            assert response.status == 200


async def test_connections_beyond_the_limit_are_dropped(world: World):
    async with world.relay(connections=3, header_seconds=300.0):
        held = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(3)]
        await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 30)  # long before its header is too late
        for _, other in [*held, (reader, writer)]:
            other.close()


# --- limits


async def test_an_agency_that_asks_too_much_is_told_when_to_come_back(world: World):
    async with world.relay(agency_rate=0.02, agency_burst=3.0), world.session() as http:
        answers = [await fetch(world, http, headers_for(world)) for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[-1].json()["code"] == "LIMITED"
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
        assert (await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))).status == 200


async def test_a_full_queue_refuses_and_takes_nothing(world: World):
    async with world.relay(queue_bytes=100), world.session() as http:
        answer = await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))
        assert (answer.status, answer.json()["code"]) == (503, "UNAVAILABLE")
        assert answer.headers["Retry-After"] == "1"
        assert answer.json()["party"] == "relay"
        assert (await world.mailbox(http, "IDVAS")).head.items == ()


async def test_every_code_of_the_status_table_is_a_known_refusal():
    from broker.problems import STATUS

    assert set(STATUS) <= set(KINDS)


async def test_health_is_told_on_both_ports_and_figures_only_on_the_admins(world: World, relay, http):
    import aiohttp

    for path in ("/healthz", "/readyz"):
        async with http.get(path) as response:
            assert response.status == 200
    async with aiohttp.ClientSession(f"http://127.0.0.1:{relay.admin_port}") as admin:
        async with admin.get("/metrics") as response:
            text = await response.text()
        async with admin.get("/readyz") as response:
            assert response.status == 200
    assert "fenpost_turn_items" in text
    assert not any(party.id in text for party in world.parties.values())
