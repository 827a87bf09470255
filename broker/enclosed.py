"""A sealed record beside a statement: its bytes are the relay's to log, not to read (PROTOCOL.md G13, O6)."""

from __future__ import annotations

from schemas.canonical import unb64
from schemas.directory import Directory
from schemas.envelope import RECORD_LIMIT
from schemas.errors import Refusal
from schemas.record import SealedRecord
from schemas.record_sealing import record_hash


def enclosed(record: str | None, say: str) -> bytes:
    """The record's bytes; `say` tells whoever left it out. Raises Refusal RECORD, FORM, TOO_BIG."""
    if record is None:
        raise Refusal("RECORD", say)
    sealed = unb64(record)
    if len(sealed) > RECORD_LIMIT:
        raise Refusal("TOO_BIG")
    return sealed


def check_enclosed(record: bytes, digest: bytes, ctx: str, agency: str, at: int, view: Directory) -> None:
    """It is the one that was signed for, sealed to exactly the officers of this agency and of oversight.

    Raises:
        Refusal: RECORD, OFFICERS.
    """
    head = SealedRecord.parse(record).head
    if record_hash(record) != digest or head.w != "hpke" or head.ctx != ctx:
        raise Refusal("RECORD")
    if head.to != tuple(officer.kid for officer in view.officers({agency}, at)):
        raise Refusal("OFFICERS")
