"""The relay's HTTP face, as both sides agree on it (PROTOCOL.md W-rules): paths, media types, bodies, limits.

Every request is signed (schemas.request) unless it is for a page that anybody may read: the checkpoints and tiles of
both logs, which reveal how many events and statements there were and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.canonical import Json
from schemas.checkpoint import NOTE_LIMIT
from schemas.envelope import AgencyId, DeskId, Frozen, Hash32, Id16, Seconds
from schemas.policing import POLICY_LIMIT

ENVELOPES = "/v1/envelopes"
MAILBOX = "/v1/mailbox"
RECEIPTS = "/v1/receipts"
STATEMENTS = "/v1/statements"
DIRECTORY = "/v1/directory"
POLICY = "/v1/policy"
GRANT = "/v1/grants/{gid}"
LOG = "/v1/log"
CHECKPOINT = "/v1/log/checkpoint"
TILE = "/v1/log/tile/{path:.+}"
CONSISTENCY = "/v1/log/consistency"
HEAD = "/v1/log/head"
RECORDS = "/v1/log/records"
EPOCHS = "/v1/log/epochs"
RETENTION = "/v1/log/retention"
KEYS = "/v1/keys"
INVITES = "/v1/invites"
ENROLMENTS = "/v1/enrolments"
KEYS_CHECKPOINT = "/v1/keys/checkpoint"
KEYS_TILE = "/v1/keys/tile/{path:.+}"
KEYS_CONSISTENCY = "/v1/keys/consistency"
KEYS_HEAD = "/v1/keys/head"

BINARY = "application/vnd.fenpost.frames"
JSON = "application/json"
PROBLEM = "application/problem+json"

BATCH_ENVELOPES = 64
BATCH_RECEIPTS = 256
BATCH_STATEMENTS = 64
PAGE_ITEMS = 64
PAGE_BYTES = 8 * 1024 * 1024
PAGE_STATEMENTS = 500
PAGE_RECORDS = 500
MAX_BODY = 16 * 1024 * 1024
MAX_WAIT = 30
UPLOAD_LIMIT = 1024 * 1024 + 512 * 1024
"""One upload: header, 64 wraps, a body of 1 MiB and an audit record of 128 KiB."""


class SignedJson(Frozen):
    """A signed statement: canonical text and signature (F7)."""

    t: Annotated[str, Field(max_length=16 * 1024)]
    s: Annotated[str, Field(max_length=100)]


class Problem(Frozen):
    """An error (RFC 9457). `code` is stable; `say` tells its reader what to do; nothing names a person."""

    type: str
    title: str
    status: int
    code: str
    say: str
    party: Literal["sender", "relay", "recipient"]
    retry: bool
    detail: tuple[str, ...] = ()


class EnvelopeResult(Frozen):
    """What became of one uploaded envelope.

    accepted: `proof` is the tlog-proof text, `record` and `rk` the relay's sealed record (base64url) and its key.
    repeat: it was accepted before; `proof` again, `rk` null, because the relay has forgotten it.
    held: it waits at the relay for the sender's safeguarding lead (O10); `code` and `say` tell why, `proof` is of the
    entry that says so.
    refused: `code`, `say`, `party`, `retry`.
    """

    eid: Hash32 | None
    status: Literal["accepted", "repeat", "held", "refused"]
    proof: str | None = None
    record: str | None = None
    rk: str | None = None
    alert: bool = False
    code: str | None = None
    say: str | None = None
    party: Literal["sender", "relay", "recipient"] | None = None
    retry: bool = False


class EnvelopeResults(Frozen):
    """The answer to POST envelopes: 200 with a result for each upload, in order.

    One upload alone that is refused is answered by its problem instead, with the problem's status.
    """

    results: tuple[EnvelopeResult, ...]


class ReceiptsRequest(Frozen):
    """POST receipts: signed receipts, and the ids of notices that are safely stored."""

    receipts: tuple[SignedJson, ...] = Field(default=(), max_length=BATCH_RECEIPTS)
    notices: tuple[Annotated[int, Field(ge=1, le=2**53)], ...] = Field(default=(), max_length=BATCH_RECEIPTS)


class ReceiptResult(Frozen):
    """What became of one receipt.

    recorded: `proof` is the tlog-proof text of its leaf, `record` and `rk` the relay's sealed record (base64url) and
    its key, as for an envelope. repeat: `proof` again, `rk` null, because the relay has forgotten it. refused: `code`.
    """

    eid: Hash32
    d: DeskId
    status: Literal["recorded", "repeat", "refused"]
    index: int | None = None
    code: str | None = None
    proof: str | None = None
    record: str | None = None
    rk: str | None = None


class ReceiptResults(Frozen):
    results: tuple[ReceiptResult, ...]


class StatementIn(Frozen):
    """One statement to be recorded."""

    kind: Literal[
        "directory", "grant", "status", "withdraw", "recalled", "override", "policy", "nondisclosure",
        "unsealed", "handover",
        "retention", "hold", "lift",
    ]  # fmt: skip
    signed: SignedJson
    body: Annotated[str, Field(max_length=POLICY_LIMIT)] | None = None
    """With a policy's statement the policy's text (Q7), with a retention statement its list (Y1)."""
    record: Annotated[str, Field(max_length=64 * 1024)] | None = None
    """With an override its reason, with a nondisclosure what was weighed, with an officer's opening what she opened and
    why: sealed to officers (base64url). The statement names its hash."""


class StatementsRequest(Frozen):
    statements: tuple[StatementIn, ...] = Field(min_length=1, max_length=BATCH_STATEMENTS)


class StatementResult(Frozen):
    """`stopped` counts the queued deliveries that a withdrawal removed."""

    status: Literal["recorded", "repeat", "refused"]
    stopped: int = 0
    code: str | None = None
    say: str | None = None


class StatementResults(Frozen):
    results: tuple[StatementResult, ...]


class DirectoryPage(Frozen):
    """GET directory?after=N: the statements after the first N, the directory log's checkpoint, and its freshness.

    `fresh` is signed by the directory log key ("fenpost/v1/fresh"):
    {"note": checkpoint.note_hash(`checkpoint`), "ts": now, "v": 1}.
    """

    size: int
    statements: tuple[SignedJson, ...]
    checkpoint: str
    fresh: SignedJson


class GrantPage(Frozen):
    """GET grants/{gid}, for parties to it only."""

    grant: SignedJson
    status: SignedJson | None
    withdrawal: SignedJson | None


class Notice(Frozen):
    """Something that the relay tells an agency outside any message.

    receipt: `evidence` is the recipient's signed receipt. withdrawn / recall: `evidence` is the signed withdrawal;
    withdrawn when the message was stopped before that desk collected it, recall when the desk has it already.
    expired: the message passed its expiry without being taken on. alert: the gate let it pass and rang a bell.
    ended: an agreement was withdrawn (`evidence`), and this agency has not said yet what became of what it holds under
    it; it names no message, and `a` is who withdrew. limited: a later version of an agreement holds less (`evidence`),
    with the same question; `a` is its issuer. recalled: `evidence` is what the agency `a` said about that.
    held / released / lapsed / hold-escalated: what became of a message that waits for a lead (O10-O13). override: two
    people of the agency `a` signed one (`evidence`). break-glass / ring / lead-missing / lead-signed /
    nothing-to-sign: a message that went without its lead's signature, and what became of that (O14-O17); `ring` asks
    oversight to ring now.
    """

    id: int
    kind: Literal[
        "receipt", "withdrawn", "recall", "expired", "alert", "ended", "limited", "recalled",
        "held", "released", "lapsed", "hold-escalated", "override",
        "break-glass", "ring", "lead-missing", "lead-signed", "nothing-to-sign",
    ]  # fmt: skip
    ts: Seconds
    eid: Hash32 | None
    mid: Id16 | None
    gid: Id16 | None
    a: AgencyId
    d: DeskId | None
    evidence: SignedJson | None


class PageItem(Frozen):
    """A delivery in a mailbox page; its bytes are the frame of the same position."""

    eid: Hash32
    d: DeskId
    state: Literal["queued", "collected", "opened"]
    override: SignedJson | None = None
    """The override under which the relay released it, when it was held first (O11)."""


class MailboxHead(Frozen):
    """The first frame of GET mailbox?wait=S&limit=N[&again=EID]; then one frame per item, each a delivery (E5).

    Queued items come most urgent first. With again=EID only that not yet ended delivery is given once more.
    `checkpoint` is the log's newest.
    """

    items: tuple[PageItem, ...]
    notices: tuple[Notice, ...]
    more: bool
    checkpoint: str
    twice: Seconds | None = None
    """When two of this agency's agents were last met at once, if that was within a day (A8)."""
    directory: Annotated[int, Field(ge=0)] | None = None
    """How many statements the directory holds: an agent that knows fewer fetches them (W3)."""


class ConsistencyPage(Frozen):
    """GET log/consistency?old=M&new=N: base64 hashes of the RFC 6962 consistency proof."""

    hashes: tuple[str, ...]


class WitnessPage(Frozen):
    """GET log/head: the published head that members are asked to cosign, with the cosignatures so far.

    `held` is the newest one that a quorum cosigned, when that is another.
    """

    asked: Annotated[str, Field(max_length=NOTE_LIMIT)]
    held: Annotated[str, Field(max_length=NOTE_LIMIT)] | None


class Cosignature(Frozen):
    """POST log/head: a cosignature line of the published head with `size` leaves; answered as GET is."""

    size: Annotated[int, Field(ge=0, le=2**53)]
    line: Annotated[str, Field(max_length=512)]


class EpochItem(Frozen):
    """An epoch key wrapped to the asking officer; it covers leaves from `first` to the next epoch's first."""

    id: Hash32
    first: int
    kid: Hash32
    wrap: str


class EpochsPage(Frozen):
    """GET log/epochs?after=N, for IG officers: the epochs of her agency with first > N, at most PAGE_RECORDS."""

    epochs: tuple[EpochItem, ...]


def notice_facts(notice: Notice) -> Json:
    """A notice as the canonical value that is stored and compared."""
    return notice.model_dump(mode="json")
