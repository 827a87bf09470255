"""The envelope: what the relay sees of a message, and the bytes that carry it (PROTOCOL.md H1-H6, E1-E5).

Rules of this house:
- the header is clear, closed and small: codes and random ids, nothing derived from a person;
- a header that parses is well formed; whether it may pass is for broker.intake and schemas.consent;
- hashes and signatures cover the received bytes.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.canonical import b64, decode, unb64
from schemas.categories import CATEGORIES
from schemas.errors import Refusal
from schemas.hashing import Frames, framed, labelled
from schemas.lawful import (
    AgreedBy,
    Agreement,
    Attestation,
    Basis,
    Confidence,
    Gateway,
    MessageClass,
    Onward,
    PersonalData,
    Purpose,
    Rag,
    Retention,
    Schedule1,
    SpecialCondition,
    Told,
    WhyNo,
)

T = TypeVar("T", bound="Frozen")
MAGIC = b"FPE1"
HEADER_LIMIT = 16 * 1024
BODY_LIMIT = 1024 * 1024
RECORD_LIMIT = 128 * 1024
PROOF_LIMIT = 16 * 1024
MAX_RECIPIENTS = 64
MAX_SOURCES = 16
MAX_LIFE = 14 * 24 * 3600
WRAP_SIZE = 1168
WM_ROW = 64
SIG_SIZE = 64

# Lengths apart from patterns: counted repetitions make automata that do not fit the cache.
AgencyId = Annotated[str, Field(min_length=35, max_length=35, pattern=r"^ag1[a-z2-7]*$")]
DeskId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Id16 = Annotated[str, Field(min_length=22, max_length=22, pattern=r"^[A-Za-z0-9_-]*[AQgw]$")]
Hash32 = Annotated[str, Field(min_length=43, max_length=43, pattern=r"^[A-Za-z0-9_-]*[AEIMQUYcgkosw048]$")]
Seconds = Annotated[int, Field(ge=0, le=2**40)]
SENDER_RECORD = "fenpost/v1/rec"


class Frozen(BaseModel):
    """A value that parses strictly, refuses what it does not know, and never changes."""

    # How each is read is worked out when the first one comes (a few milliseconds, under pydantic's own lock): a process
    # that idles holds that for the few kinds it has met, and none for what only ever stands inside another.
    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, defer_build=True
    )


class Address(Frozen):
    """An agency's desk: a mailbox with a role, never a person."""

    a: AgencyId
    d: DeskId


class Recipient(Address):
    """A desk and the prekey that the message is sealed to."""

    k: Hash32


def _listed(cats: tuple[str, ...]) -> bool:
    return list(cats) == sorted(set(cats)) and CATEGORIES.issuperset(cats)


class HarmCauser(Frozen):
    """Bases for the data of a harm-causer or third party, apart from the person's own."""

    b6: Basis
    s1: tuple[Schedule1, ...]


class PassedOn(Frozen):
    """A message that this one passes on (H8): its id, what its sender said of passing it on, and for which purpose.

    `leave` is the id of the message in which that sender allowed it; null when nobody did.
    """

    leave: Id16 | None
    mid: Id16
    onward: Onward
    pur: Purpose


def _absent(value: object) -> bool:
    return value is None


class Law(Frozen):
    """The consent flags and lawful bases of a message (H4).

    `asks` and `src` are there only where they say something (H8).
    """

    adult_at_risk: bool
    agree: Agreement
    agree_by: AgreedBy | None
    agree_ver: Annotated[int, Field(ge=1, le=2**31)] | None
    asks: Annotated[tuple[str, ...], Field(min_length=1, max_length=64)] | None = Field(
        default=None, exclude_if=_absent
    )
    b6: Basis | None
    b9: SpecialCondition | None
    child: bool
    conf: Confidence | None
    consent_only: bool
    crim: bool
    gw: tuple[Gateway, ...]
    hc: HarmCauser | None
    onward: Onward
    ooh: bool
    pd: PersonalData
    retain: Retention
    rfi: Id16 | None
    s1: tuple[Schedule1, ...]
    spec: bool
    src: Annotated[tuple[PassedOn, ...], Field(min_length=1, max_length=MAX_SOURCES)] | None = Field(
        default=None, exclude_if=_absent
    )
    told: Told
    told_by: Seconds | None
    vir: tuple[Attestation, ...] = Field(max_length=16)
    why_no: WhyNo | None

    @model_validator(mode="after")
    def _told_has_its_date(self) -> Self:
        if (self.told in ("BY", "UNSAFE")) != (self.told_by is not None):
            raise ValueError("told_by goes with BY and UNSAFE")
        return self

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        if self.asks is not None and not _listed(self.asks):
            raise ValueError("categories that are asked for")
        if self.src is not None and [one.mid for one in self.src] != sorted({one.mid for one in self.src}):
            raise ValueError("a source stands twice, or out of order")
        return self


class Header(Frozen):
    """The clear header (H2). Times are Unix seconds, UTC.

    Here and in Law fields stand in the order of their wire names, so that what pydantic prints is canonical.
    """

    ar: Hash32
    att: tuple[object, ...]
    cat: tuple[str, ...]
    cls: MessageClass
    exp: Seconds
    sender: Address = Field(alias="from")
    gid: Id16 | None
    kc: Hash32
    law: Law
    mid: Id16
    ovr: Hash32 | None
    pur: Purpose
    rag: Rag
    signer: Hash32
    st: Hash32 | None
    thr: Id16
    to: tuple[Recipient, ...] = Field(min_length=1, max_length=MAX_RECIPIENTS)
    ts: Seconds
    v: Annotated[int, Field(ge=1, le=1)]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if not 0 < self.exp - self.ts <= MAX_LIFE:
            raise ValueError("life of a message")
        if len({(r.a, r.d) for r in self.to}) != len(self.to):
            raise ValueError("a desk stands twice")
        if not _listed(self.cat):
            raise ValueError("categories")
        if self.law.asks is not None and self.cls != "INFOREQ":
            raise ValueError("only a request asks")
        if (self.gid is None) != (self.st is None):
            raise ValueError("an agreement travels with its status")
        return self


def read_canonical(model: type[T], data: bytes, limit: int) -> T:
    """A model whose fields stand in canonical order, from the one spelling that it has (F2).

    Raises:
        Refusal: TOO_BIG, FORM, NOT_CANONICAL, VERSION.
    """
    if len(data) > limit:
        raise Refusal("TOO_BIG")
    try:
        value = model.model_validate_json(data)
    except ValidationError as error:
        given = decode(data, limit)
        if isinstance(given, dict) and given.get("v") != 1:
            raise Refusal("VERSION") from None
        raise Refusal("FORM", detail=_places(error)[:8]) from None
    if value.model_dump_json(by_alias=True).encode() != data:
        decode(data, limit)  # says FORM where it is not strict JSON at all
        raise Refusal("NOT_CANONICAL")
    return value


def _places(error: ValidationError) -> tuple[str, ...]:
    # A member that nobody knows is named by where it stands: its own name is a stranger's words.
    places = [
        row["loc"][:-1] or ("header",) if row["type"] == "extra_forbidden" else row["loc"]
        for row in error.errors(include_input=False)
    ]
    return tuple(".".join(str(part) for part in place) for place in places)


def parse_header(data: bytes) -> Header:
    """Read a canonical header.

    Raises:
        Refusal: TOO_BIG, FORM, NOT_CANONICAL, VERSION, ATTACHMENTS; AGREE_MISSING, AGREE_NULL, AGREE_WORD, AGREE_BOTH.
    """
    try:
        header = read_canonical(Header, data, HEADER_LIMIT)
    except Refusal as refusal:
        if fault := _agree_fault(data, refusal):
            raise Refusal(fault, detail=("law.agree",)) from None
        raise
    if header.att:
        raise Refusal("ATTACHMENTS")
    return header


def _agree_fault(data: bytes, refusal: Refusal) -> str:
    """What is wrong with how the agreement is said to stand, if that is what is wrong (H7)."""
    if refusal.code == "FORM" and data.count(b'"agree":') > 1:
        return "AGREE_BOTH"
    if "law.agree" not in refusal.detail:
        return ""
    law = decode(data, HEADER_LIMIT)["law"]
    if "agree" not in law:
        return "AGREE_MISSING"
    said = law["agree"]
    if isinstance(said, list):
        return "AGREE_BOTH"
    return "AGREE_NULL" if said is None else "AGREE_WORD"


class Envelope:
    """The signed part of a message: header, wrap manifest, body ciphertext, signature (E1)."""

    def __init__(self, header: bytes, wm: bytes, body: bytes, sig: bytes) -> None:
        self.header_bytes = header
        self.wm = wm
        self.body = body
        self.sig = sig
        self.hh = labelled("fenpost/v1/header", header)
        self.wm_hash = labelled("fenpost/v1/wraps", wm)
        self.body_hash = labelled("fenpost/v1/body", body)
        self.transcript = self.hh + self.wm_hash + self.body_hash
        """t: what the sender signs (E3)."""
        self.eid = labelled("fenpost/v1/eid", self.transcript)
        """The envelope id: 32 bytes that name exactly this envelope."""

    @cached_property
    def header(self) -> Header:
        """The parsed header; raises as parse_header does."""
        return parse_header(self.header_bytes)

    def manifest(self) -> list[tuple[str, bytes]]:
        """(kid, hash of wrap) per recipient, in header order; raises Refusal WRAPS when it does not fit the header."""
        if len(self.wm) != WM_ROW * len(self.header.to):
            raise Refusal("WRAPS")
        rows = [self.wm[at : at + WM_ROW] for at in range(0, len(self.wm), WM_ROW)]
        pairs = [(b64(row[:32]), row[32:]) for row in rows]
        if [kid for kid, _ in pairs] != [r.k for r in self.header.to]:
            raise Refusal("WRAPS")
        return pairs

    def to_bytes(self) -> bytes:
        return MAGIC + framed(self.header_bytes) + framed(self.wm) + framed(self.body) + self.sig

    @classmethod
    def read(cls, frames: Frames) -> Envelope:
        if frames.take(4) != MAGIC:
            raise Refusal("FORM")
        header = frames.frame(HEADER_LIMIT)
        wm = frames.frame(MAX_RECIPIENTS * WM_ROW)
        body = frames.frame(BODY_LIMIT)
        return cls(header, wm, body, frames.take(SIG_SIZE))


def wrap_hash(wrapped: bytes) -> bytes:
    return labelled("fenpost/v1/w", wrapped)


def manifest_row(kid: str, wrapped: bytes) -> bytes:
    return unb64(kid, 32) + wrap_hash(wrapped)


def check_wrap(envelope: Envelope, position: int, wrapped: bytes) -> None:
    """Raises Refusal WRAPS unless `wrapped` is the one that the manifest names at `position`."""
    if wrap_hash(wrapped) != envelope.manifest()[position][1]:
        raise Refusal("WRAPS")


class Upload:
    """What a sender hands to the relay: the envelope, every wrap, the sender's sealed audit record (E4)."""

    def __init__(self, envelope: Envelope, wraps: tuple[bytes, ...], record: bytes) -> None:
        self.envelope = envelope
        self.wraps = wraps
        self.record = record

    def to_bytes(self) -> bytes:
        return self.envelope.to_bytes() + b"".join(self.wraps) + framed(self.record)

    @classmethod
    def parse(cls, data: bytes) -> Upload:
        """Read an upload, consuming it exactly, and check wraps and record against the header (E4).

        Raises:
            Refusal: FORM, TOO_BIG, NOT_CANONICAL, VERSION, ATTACHMENTS, WRAPS, RECORD.
        """
        frames = Frames(data)
        envelope = Envelope.read(frames)
        manifest = envelope.manifest()
        wraps = tuple(frames.take(WRAP_SIZE) for _ in manifest)
        record = frames.frame(RECORD_LIMIT)
        frames.end()
        if any(wrap_hash(w) != row[1] for w, row in zip(wraps, manifest, strict=True)):
            raise Refusal("WRAPS")
        if b64(labelled(SENDER_RECORD, record)) != envelope.header.ar:
            raise Refusal("RECORD")
        return cls(envelope, wraps, record)


class Delivery:
    """What the relay hands to one recipient: the envelope, its own wrap, the record, the log's proof (E5)."""

    def __init__(self, envelope: Envelope, wrap: bytes, record: bytes, proof: bytes) -> None:
        self.envelope = envelope
        self.wrap = wrap
        self.record = record
        self.proof = proof

    def to_bytes(self) -> bytes:
        return self.envelope.to_bytes() + self.wrap + framed(self.record) + framed(self.proof)

    @classmethod
    def parse(cls, data: bytes) -> Delivery:
        """Raises Refusal FORM, TOO_BIG, NOT_CANONICAL, VERSION, ATTACHMENTS, RECORD."""
        frames = Frames(data)
        envelope = Envelope.read(frames)
        wrap = frames.take(WRAP_SIZE)
        record = frames.frame(RECORD_LIMIT)
        proof = frames.frame(PROOF_LIMIT)
        frames.end()
        if b64(labelled(SENDER_RECORD, record)) != envelope.header.ar:
            raise Refusal("RECORD")
        return cls(envelope, wrap, record, proof)
