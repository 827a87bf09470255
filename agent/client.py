"""The only HTTP to the relay (PROTOCOL.md W-rules, A-rules).

Rules of this house:
- every request is signed, but for the log's public pages; redirects are never followed;
- plain http goes to the loopback only, and certificates are always verified;
- what the relay answers is parsed strictly; its refusals become Refusal, and silence becomes RELAY_AWAY;
- nothing here decides whether an answer is true: that is for whoever asked.
"""

from __future__ import annotations

import base64
import io
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlencode, urlsplit

import aiohttp
from pydantic import ValidationError
from yarl import URL

from schemas import api
from schemas.canonical import encode, strict_json
from schemas.checkpoint import NOTE_LIMIT
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.hashing import Frames, framed
from schemas.keys import Signer
from schemas.kinds import KINDS
from schemas.request import MAX_SKEW, Target, sign_request

T = TypeVar("T", bound=Frozen)
CONNECT = 10.0
ANSWER = 30.0
ANSWER_LIMIT = 32 * 1024 * 1024
PIECE = 256 * 1024
SENTENCE = 400


@dataclass(frozen=True, slots=True)
class Page:
    """A mailbox page: what the relay says of it, and the bytes of each delivery, in the same order."""

    head: api.MailboxHead
    deliveries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from a request that the relay accepted."""

    status: int
    body: bytes


class Relay:
    """A connection to one relay, as one key.

    Args:
        url: where it listens, as the partnership file gives it.
        authority: its host and port as requests sign them.
        key: the request key (auth or ig-auth); None reads only the log's public pages.
        clock: Unix seconds.
        draw: random bytes, for request nonces.

    Every method raises Refusal: RELAY_AWAY when it cannot be reached, FORM when its answer is not what the protocol
    says, and otherwise the relay's own code with `retry_after` seconds set when it gave them.
    """

    def __init__(
        self,
        url: str,
        authority: str,
        key: Signer | None,
        clock: Callable[[], float],
        draw: Callable[[int], bytes],
    ) -> None:
        check_url(url)
        self._base = url.rstrip("/")
        self._authority = authority
        self._key = key
        self._clock = clock
        self._draw = draw
        self._instance = draw(16)  # in memory only: a copy of the folder draws its own (A8)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the object may be used again."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- messages

    async def post_envelopes(self, uploads: Sequence[bytes]) -> api.EnvelopeResults:
        """Hand in at most 64 uploads; the results stand in the same order."""
        body = b"".join(map(framed, uploads))
        answer = await self._send("POST", api.ENVELOPES, body, api.BINARY)
        return _read(api.EnvelopeResults, answer.body)

    async def mailbox(self, wait: int = 0, limit: int = api.PAGE_ITEMS, again: str | None = None) -> Page:
        """What waits for this agency; the relay holds an empty answer back for up to `wait` seconds."""
        query = {"limit": str(limit), "wait": str(wait)} | ({} if again is None else {"again": again})
        answer = await self._send("GET", api.MAILBOX, query=query, patience=ANSWER + wait)
        frames = Frames(answer.body)
        head = _read(api.MailboxHead, frames.frame(api.MAX_BODY))
        deliveries = tuple(frames.frames(api.UPLOAD_LIMIT))
        if len(deliveries) != len(head.items):
            raise Refusal("FORM", party="relay")
        return Page(head, deliveries)

    async def post_receipts(self, request: api.ReceiptsRequest) -> api.ReceiptResults:
        return _read(api.ReceiptResults, (await self._send_json(api.RECEIPTS, request)).body)

    # --- statements

    async def post_statements(self, request: api.StatementsRequest) -> api.StatementResults:
        return _read(api.StatementResults, (await self._send_json(api.STATEMENTS, request)).body)

    async def directory(self, after: int) -> api.DirectoryPage:
        """The statements after the first `after`."""
        answer = await self._send("GET", api.DIRECTORY, query={"after": str(after)})
        return _read(api.DirectoryPage, answer.body)

    async def directory_as(self, key: Signer, after: int) -> api.DirectoryPage:
        """The same, signed by this key: the agent's renew key, when its request key is taken no more (A7)."""
        answer = await self._send("GET", api.DIRECTORY, query={"after": str(after)}, key=key)
        return _read(api.DirectoryPage, answer.body)

    async def policy(self, digest: str) -> bytes:
        """The text of the policy with this digest, as the relay gives it: hold it against the digest."""
        return (await self._send("GET", api.POLICY, query={"digest": digest})).body

    async def grant(self, gid: str) -> api.GrantPage:
        answer = await self._send("GET", api.GRANT.format(gid=gid))
        return _read(api.GrantPage, answer.body)

    # --- the log

    # `log` is api.LOG or api.KEYS: the audit log, or the directory's.

    async def checkpoint(self, log: str = api.LOG) -> str:
        answer = await self._send("GET", f"{log}/checkpoint")
        return _text(answer.body[: NOTE_LIMIT + 1])

    async def consistency(self, old: int, new: int, log: str = api.LOG) -> tuple[bytes, ...]:
        answer = await self._send("GET", f"{log}/consistency", query={"new": str(new), "old": str(old)})
        page = _read(api.ConsistencyPage, answer.body)
        try:
            return tuple(base64.b64decode(item, validate=True) for item in page.hashes)
        except ValueError as error:
            raise Refusal("PROOF") from error

    async def head(self, log: str = api.LOG) -> api.WitnessPage:
        """The published head that members are asked to cosign, and the newest that a quorum did."""
        return _read(api.WitnessPage, (await self._send("GET", f"{log}/head")).body)

    async def post_cosignature(self, size: int, line: str, log: str = api.LOG) -> api.WitnessPage:
        """Hand in this agency's cosignature of the head of this size; the page as it is then."""
        said = api.Cosignature(size=size, line=line)
        return _read(api.WitnessPage, (await self._send_json(f"{log}/head", said)).body)

    async def tile(self, path: str, log: str = api.LOG) -> bytes:
        """A tile of the log: `path` such as "0/000" or "entries/x001/067.p/8" (C2SP tlog-tiles)."""
        return (await self._send("GET", f"{log}/tile/{path}")).body

    async def records(self, start: int, limit: int = api.PAGE_RECORDS) -> tuple[tuple[bytes, bytes], ...]:
        """For each leaf from `start`: the relay's sealed record and the veiled sender's record, or b""."""
        answer = await self._send("GET", api.RECORDS, query={"from": str(start), "limit": str(limit)})
        found = tuple(Frames(answer.body).frames(api.UPLOAD_LIMIT))
        if len(found) % 2:
            raise Refusal("FORM", party="relay")
        return tuple(zip(found[::2], found[1::2], strict=True))

    async def retention(self, digest: str) -> bytes:
        """For officers: the list of records of a retention statement. Hold it against the digest."""
        return (await self._send("GET", api.RETENTION, query={"digest": digest})).body

    async def epochs(self, after: int) -> api.EpochsPage:
        answer = await self._send("GET", api.EPOCHS, query={"after": str(after)})
        return _read(api.EpochsPage, answer.body)

    # --- the wire

    async def _send_json(self, path: str, value: Frozen) -> Answer:
        return await self._send("POST", path, encode(value.model_dump(mode="json")), api.JSON)

    async def _send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        kind: str = api.JSON,
        *,
        query: dict[str, str] | None = None,
        patience: float = ANSWER,
        key: Signer | None = None,
    ) -> Answer:
        search = urlencode(sorted((query or {}).items()))
        headers = {"Content-Type": kind}
        if (signer := key or self._key) is not None:
            target = Target(method, self._authority, path, search, kind)
            headers = sign_request(target, body, signer, int(self._clock()), self._instance + self._draw(16))
        # encoded=True: what is signed is what is sent, byte for byte.
        url = URL(f"{self._base}{path}" + (f"?{search}" if search else ""), encoded=True)
        limits = aiohttp.ClientTimeout(total=patience, connect=CONNECT)
        try:
            async with self._open().request(
                method, url, data=_piecewise(body), headers=headers, allow_redirects=False, timeout=limits
            ) as response:
                data = await _read_all(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Refusal("RELAY_AWAY") from error
        if response.status == 401 and self._skew(response.headers.get("Date", "")) > MAX_SKEW:
            raise Refusal("CLOCK")
        if response.status not in (200, 202):
            raise _problem(response.status, response.headers.get("Retry-After", ""), data)
        return Answer(response.status, data)

    def _skew(self, date: str) -> float:
        # Only a hint for the person: it decides nothing but which sentence is shown.
        try:
            return abs(parsedate_to_datetime(date).timestamp() - self._clock())
        except ValueError:
            return 0.0

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=8),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                headers={"User-Agent": "fenpost"},
                skip_auto_headers=("Accept-Encoding",),
            )
        return self._session


def _piecewise(body: bytes) -> bytes | io.BytesIO:
    # A long body in one piece would hold everything else up while it is copied.
    return body if len(body) < PIECE else io.BytesIO(body)


def plain(text: str) -> str:
    """A relay's sentence as it may stand on a terminal: no escapes, no line breaks, not endless."""
    return "".join(char for char in text[:SENTENCE] if char.isprintable())


class RelayRefusal(Refusal):
    """A refusal that the relay gave; `status` is HTTP's, `after` the seconds it asked to wait, or None."""

    def __init__(self, problem: api.Problem, after: float | None) -> None:
        known = problem.code in KINDS
        super().__init__(
            problem.code if known else "UNFORESEEN",
            plain(problem.say),
            party=problem.party,
            retry=problem.retry,
            detail=problem.detail[:16],
        )
        self.status = problem.status
        self.after = after


def check_url(url: str) -> None:
    """Raises Refusal SETTINGS unless the relay is reached by https, or by http on the loopback."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not _loopback(parts.hostname or ""):
        raise Refusal("SETTINGS", "The relay is reached by https; plain http is for this machine only.")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _read_all(response: aiohttp.ClientResponse) -> bytes:
    # A relay that never stops talking must not fill the agent's memory.
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise Refusal("FORM", party="relay")
    pieces, size = [], 0
    async for piece in response.content.iter_chunked(64 * 1024):
        size += len(piece)
        if size > ANSWER_LIMIT:
            raise Refusal("TOO_BIG", party="relay")
        pieces.append(piece)
    return b"".join(pieces)


def _problem(status: int, wait: str, body: bytes) -> Refusal:
    after = float(wait) if wait.isascii() and wait.isdigit() and len(wait) < 7 else None
    try:
        return RelayRefusal(_read(api.Problem, body), after)
    except Refusal:
        # Something between us and the relay answered, or the relay is being replaced: nothing was decided.
        if status >= 500 or status in (408, 429):
            return RelayRefusal(_away(status), after)
        return Refusal(
            "FORM", "What answers at the relay's address is not a relay.", party="relay", retry=True
        )


def _away(status: int) -> api.Problem:
    kind = KINDS["RELAY_AWAY"]
    return api.Problem(
        type="about:blank",
        title="away",
        status=status,
        code="RELAY_AWAY",
        say=kind.say,
        party="relay",
        retry=True,
    )


def _read(model: type[T], data: bytes) -> T:
    strict_json(data, ANSWER_LIMIT)
    try:
        return model.model_validate_json(data)
    except ValidationError:
        raise Refusal("FORM", party="relay") from None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refusal("CHECKPOINT") from error
