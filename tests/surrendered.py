"""The surrender list: what each place gives away to whoever takes it, column by column and file by file.

This is the list that is published (schemas/SURRENDER.md is printed from it) and the list that a seized relay is held
to: every value in its store must be of the kind that is named here. A column without a line here fails the test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from schemas.errors import Refusal
from schemas.record import SealedRecord

KINDS = {
    "sealed": "ciphertext",
    "hash": "a hash, or random bytes",
    "id": "a random id",
    "agency": "which agency",
    "desk": "which desk, a role",
    "codes": "codes, ids, dates and keys, signed; no free text",
    "signature": "a signature",
    "number": "a number or a time",
    "word": "one word of a short list",
    "kid": "which key, so whose",
    "header": "the header: who, to whom, when, in which colour, why, which kinds, on what law; then ciphertext",
    "proof": "the log's proof: leaf, hashes, signed head",
    "public": "what every member may read: names of agencies, their desks and keys; the policy",
    "runs": "numbers of log entries",
}
"""What a value may be, in the words that are published."""

STORE: dict[str, tuple[str, dict[str, str]]] = {
    "envelopes": ("messages that have not ended for every desk", {
        "eid": "hash", "front": "header", "record": "sealed", "proof": "proof", "body": "hash", "sender": "agency",
        "desk": "desk", "mid": "id", "gid": "id", "exp": "number", "override": "codes",
    }),
    "deliveries": ("their recipients, one by one", {
        "id": "number", "eid": "hash", "agency": "agency", "desk": "desk", "state": "word", "rank": "number",
        "exp": "number", "size": "number", "wrap": "sealed",
    }),
    "notices": ("what an agency has not heard yet, for 30 days at most", {
        "seq": "number", "id": "number", "agency": "agency", "said": "codes", "ts": "number",
    }),
    "grants": ("agreements until they are over", {
        "gid": "id", "text": "codes", "sig": "signature", "withdrawn_text": "codes", "withdrawn_sig": "signature",
        "until": "number",
    }),
    "statuses": ("the day's word that an agreement stands", {
        "hash": "id", "gid": "id", "text": "codes", "sig": "signature", "ts": "number", "exp": "number",
    }),
    "recalls": ("who still has to say what became of withdrawn data", {
        "gid": "id", "agency": "agency", "told": "number", "text": "codes", "sig": "signature",
    }),
    "overrides": ("overrides until they are over", {
        "oid": "id", "agency": "agency", "core": "id", "mid": "id", "text": "codes", "sig": "signature",
        "until": "number",
    }),
    "holds": ("messages that wait for a lead", {
        "eid": "hash", "agency": "agency", "mid": "id", "lapse": "number", "next": "number", "every": "number",
        "loud": "number",
    }),
    "dues": ("messages whose lead has still to sign", {
        "eid": "hash", "agency": "agency", "mid": "id", "claims": "codes", "next": "number", "told": "number",
    }),
    "missed": ("agencies at which a lead's signature was missing once", {"agency": "agency", "since": "number"}),
    "inquiries": ("requests for information that are open", {
        "mark": "hash", "asks": "codes", "ts": "number", "until": "number",
    }),
    "seen": ("hashes against repetition, each until its date and up to six hours more", {
        "key": "hash", "idx": "number", "until": "number",
    }),
    "leaves": ("the log", {"idx": "number", "leaf": "hash"}),
    "nodes": ("the log", {"level": "number", "idx": "number", "hash": "hash"}),
    "heads": ("the log's signed heads", {"name": "word", "size": "number", "note": "proof"}),
    "records": ("the log's sealed records, until a retention statement lets them go", {
        "idx": "number", "relay": "sealed", "sender": "sealed",
    }),
    "epochs": ("epoch keys, wrapped to officers; one for every agency at once, whatever happened", {
        "n": "number", "epoch": "hash", "agency": "agency", "first": "number", "kid": "kid", "wrap": "sealed",
    }),
    "invites": ("invitations that stand, and enrolments that wait for oversight: names and desks of agencies to be", {
        "mark": "hash", "until": "number", "taken": "number", "text": "public",
    }),
    "instances": ("which runs of each agency's agent were met, as hashes, and since when", {
        "agency": "agency", "runs": "codes",
    }),
    "deletions": ("lists of records that may go", {
        "digest": "id", "text": "runs", "due": "number", "at": "number", "held": "number",
    }),
    "keeps": ("holds for reviews; not whose", {"key": "hash", "owner": "hash", "runs": "runs"}),
    "days": ("how long the log was on each day", {"day": "number", "ts": "number", "size": "number"}),
    "statements": ("the directory", {
        "n": "number", "agency": "agency", "seq": "number", "text": "public", "sig": "signature",
    }),
    "policies": ("the policies", {"digest": "id", "text": "public"}),
}  # fmt: skip
"""For each table of the relay's store: what it is for, and the kind of each column."""

PLACES: tuple[tuple[str, str, str], ...] = (
    ("the relay's machine, switched off, or a backup of it", ("its store (above); `relay.fpk` without its passphrase; "
     "the log's public heads (`anchor`); the partnership and the directory; lines of its own log: times, routes, status, codes"),
     "words, names, case references, reasons; any record; log keys; whom a hold is for"),
    ("the passphrase file of the relay, if it lies on the same disk", "then the log keys too: keep it elsewhere",
     "any message or record"),
    ("the relay's machine, running", ("besides: the log keys; epoch keys of the running minute, so the records of that "
     "minute; keys of single records that it answered with lately, as text in memory that was not used again; and what passes through it from then on: "
     "when a person takes an agreement back or limits it, that all its handles are one person's: they end or change in the same second, because nothing may wait"),
     "keys of epochs that are over; words, names, reasons; older records that it was not just asked about"),
    ("an agent's disk, switched off", ("that there is an agent, its agency, sizes and times of files; in the drop folders "
     "OUT, SENT, FAILED and IN whatever a case system has put there or not yet taken: those files are in clear, by design; names of files there"),
     "its store, its keys, words outside the drop folders"),
    ("an agent's machine, running, or its disk with the passphrase", "that agency's whole store and keys; ciphertext that somebody kept, up to 30 days back",
     "others' messages; the agency's roots"),
    ("an officer's laptop, switched off", ("that she is an officer of which partnership; the directory and the policies; "
     "how many events there were and when; sealed records"),
     "any record, what she opened, why she opened it"),
    ("an officer's laptop, unlocked", ("the records of her agency (oversight's: all): who, to whom, when, why, which kinds, "
     "on what law, keyed case references; reasons of overrides in words; why she opened what"),
     "words of messages; other agencies' records; who a keyed reference is"),
    ("an administrator's key file with its passphrase", "the power to extend that agency's chain, in everybody's sight, until it is noticed",
     "anything stored or sent"),
)  # fmt: skip
"""Place, what it gives away, what it does not."""

_CODE = re.compile(r"[A-Za-z0-9_.:/+=@ -]{0,128}")
_WORD = re.compile(r"[a-z][a-z-]{0,15}")
_RUNS = re.compile(r"[0-9,-]+")


def fits(kind: str, value: Any) -> bool:
    """Whether a stored value is what the list says. What is absent or was emptied gives nothing away."""
    if value is None or value in (b"", ""):
        return True
    return CHECKS[kind](value)


def _codes(value: Any) -> bool:
    text = value.decode("ascii") if isinstance(value, bytes) else value
    return all(_CODE.fullmatch(one) and one.count(" ") == 0 for one in _strings(json.loads(text)))


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [one for key, item in value.items() for one in (key, *_strings(item))]
    if isinstance(value, list):
        return [one for item in value for one in _strings(item)]
    if isinstance(value, str) and value[:1] == "{":  # a statement inside a statement
        return _strings(json.loads(value))
    return [value] if isinstance(value, str) else []


def _sealed(value: Any) -> bool:
    """A sealed record, or bytes without any order in them."""
    try:
        SealedRecord.parse(value)
    except Refusal:
        return isinstance(value, bytes) and len(value) >= 48 and len(set(value)) > min(len(value) // 4, 180)
    return True


def _header(value: bytes) -> bool:
    size = int.from_bytes(value[4:8], "big")
    return value[:4] == b"FPE1" and _codes(value[8 : 8 + size])


def _runs(value: Any) -> bool:
    if isinstance(value, bytes):
        said = json.loads(value)
        return set(said) == {"notice", "policy", "ranges", "size", "v"}
    return bool(_RUNS.fullmatch(value))


CHECKS: dict[str, Callable[[Any], bool]] = {
    "sealed": _sealed,
    "hash": lambda value: isinstance(value, bytes) and len(value) in (32, 97),
    "id": lambda value: isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z0-9_-]{22}|[A-Za-z0-9_-]{43}", value)),
    "agency": lambda value: bool(re.fullmatch(r"ag1[a-z2-7]{32}", value)),
    "desk": lambda value: bool(re.fullmatch(r"[a-z][a-z0-9-]{0,31}", value)),
    "codes": _codes,
    "signature": lambda value: isinstance(value, bytes) and len(value) == 64,
    "number": lambda value: isinstance(value, int),
    "word": lambda value: bool(_WORD.fullmatch(value)),
    "kid": lambda value: bool(re.fullmatch(r"[A-Za-z0-9_-]{43}", value)),
    "header": _header,
    "proof": lambda value: b"\n" in (value if isinstance(value, bytes) else value.encode()),
    "public": lambda value: isinstance(json.loads(value), dict),
    "runs": _runs,
}  # fmt: skip
