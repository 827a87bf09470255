"""Prints the marked blocks of schemas/PROTOCOL.md from the vectors and the code: `python -m tests.tools.write_protocol`.

tests/schemas/test_protocol.py compares, so that neither an example nor a table can go stale.
"""

import ast
import json
import re
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from schemas import (
    api,
    canonical,
    checkpoint,
    directory,
    envelope,
    grants,
    lawful,
    padding,
    receipt,
    record,
    request,
    sectors,
)
from schemas import kinds as refusals
from schemas.envelope import Upload
from schemas.keyring import PREKEY_KEPT
from schemas.policy import founding
from schemas.record import SealedRecord
from schemas.signing import STATEMENT_LIMIT, Purpose
from tests.tools.forge import unb

ROOT = Path(__file__).parents[2]
PROTOCOL = ROOT / "schemas" / "PROTOCOL.md"
BLOCK = re.compile(r"(<!-- (example|table): ([a-z-]+) -->\n)(.*?)(<!-- /\2 -->)", re.DOTALL)
WIDE = 116


def vector(name: str) -> dict:
    return json.loads((ROOT / "tests" / "vectors" / f"{name}.json").read_text(encoding="ascii"))


def code(text: str) -> str:
    """A block of code; long lines are folded, and say so with a backslash at their end."""
    lines: list[str] = []
    for line in text.rstrip("\n").split("\n"):
        pieces = textwrap.wrap(line, WIDE, break_on_hyphens=False, drop_whitespace=False) or [""]
        lines += [piece + "\\" for piece in pieces[:-1]] + [pieces[-1]]
    return "```\n" + "\n".join(lines) + "\n```\n"


def rows(head: str, lines: list[str]) -> str:
    columns = head.count("|") - 1
    return "\n".join([head, "|" + "---|" * columns, *lines]) + "\n"


def layout(parts: list[tuple[str, bytes]]) -> str:
    """A table of offsets."""
    lines, at = [], 0
    for what, data in parts:
        shown = data.hex() if len(data) <= 12 else f"{data[:8].hex()}…{data[-4:].hex()}"
        lines.append(f"| {at} | {len(data)} | {what} | `{shown}` |")
        at += len(data)
    return rows("| at | bytes | what | in hex |", lines)


def pretty(text: str) -> str:
    return json.dumps(json.loads(text), indent=1, ensure_ascii=True)


# --- examples


def example_canonical() -> str:
    return code(vector("canonical")["valid"][0]["text"])


def example_directory() -> str:
    statements = vector("directory")["valid"][0]["statements"]
    first, second = statements[0], statements[1]
    agency = vector("keys")["agency"]
    return (
        "Oversight's inception and its first key; the agency's id is "
        f"`{agency['id']}`, its safety number {agency['safety_number']}:\n\n"
        + code(f"t {first['t']}\ns {first['s']}\n\nt {second['t']}\ns {second['s']}")
    )


def example_rotation() -> str:
    later = vector("directory")["valid"][1]["statements"]
    root, emergency = (
        next(one for one in later if f'"op":"{op}"' in one["t"]) for op in ("rotate-root", "emergency-revoke")
    )
    return (
        "Two of Alder's three next roots outrun a thief, and before that its lead and its IG officer end a key:\n\n"
        + code("\n\n".join(f"t {one['t']}\ns {one['s']}" for one in (root, emergency)))
    )


def example_keyfile() -> str:
    row = vector("keyfile")["valid"][0]
    data = unb(row["file"])
    size = int.from_bytes(data[4:8], "big")
    parts = [("magic", data[:4]), ("length of the head", data[4:8]), ("head", data[8 : 8 + size])]
    parts += [("nonce", data[8 + size : 32 + size]), ("sealed secrets", data[32 + size :])]
    return (
        layout(parts)
        + "\n"
        + code(
            f"passphrase  {row['passphrase']}\nhead        {data[8 : 8 + size].decode()}\nsecrets     {json.dumps(row['secrets'])}"
        )
    )


def example_header() -> str:
    return "Printed here with line breaks; the bytes have none.\n\n" + code(
        pretty(vector("envelope")["valid"][0]["header"])
    )


def example_upload() -> str:
    row = vector("envelope")["valid"][0]
    upload = Upload.parse(unb(row["upload"]))
    e = upload.envelope

    def framed(what: str, data: bytes) -> list[tuple[str, bytes]]:
        return [(f"length of {what}", len(data).to_bytes(4, "big")), (what, data)]

    parts = [("magic", b"FPE1"), *framed("the header", e.header_bytes), *framed("the manifest", e.wm)]
    parts += [*framed("the body", e.body), ("signature", e.sig)]
    parts += [("wrap", wrap) for wrap in upload.wraps] + framed("the sender's record", upload.record)
    assert b"".join(data for _, data in parts) == upload.to_bytes()
    names = ("mid", "cek", "rk", "hh", "transcript", "eid")
    return layout(parts) + "\n" + code("\n".join(f"{name:<11} {unb(row[name]).hex()}" for name in names))


def example_inner() -> str:
    return code(vector("envelope")["valid"][0]["inner"])


def example_record() -> str:
    row = vector("record")["valid"][0]
    return _record(unb(row["record"]), row["facts"])


def example_epoch_record() -> str:
    row = vector("epoch")["valid"][0]
    return _record(unb(row["record"]), row["facts"])


def _record(data: bytes, facts: str) -> str:
    found = SealedRecord.parse(data)
    parts = [
        ("magic", b"FPR1"),
        ("length of the head", len(found.head_bytes).to_bytes(4, "big")),
        ("head", found.head_bytes),
    ]
    parts += [("length of the body", len(found.body).to_bytes(4, "big")), ("body", found.body)]
    parts += [(f"wrap for `{to}`", wrap) for to, wrap in zip(found.head.to, found.wraps, strict=True)]
    assert b"".join(piece for _, piece in parts) == data
    return layout(parts) + "\n" + code(f"head   {found.head_bytes.decode()}\nfacts  {facts}")


def example_tree() -> str:
    row = next(r for r in vector("tree")["valid"] if r["name"] == "leaf 4 of 7")
    hashes = "\n".join(f"hash  {unb(text).hex()}" for text in row["hashes"])
    return code(
        f"index {row['index']}\nsize  {row['size']}\nleaf  {unb(row['leaf']).hex()}\n{hashes}\nroot  {unb(row['root']).hex()}"
    )


def example_checkpoint() -> str:
    file = vector("checkpoint")
    return code(f"{file['key']}\n\n{file['valid'][0]['note']}")


def example_head() -> str:
    file = vector("head")
    row = next(r for r in file["valid"] if r["name"] == "cosigned by a member")
    shown = [shortened(line) for line in row["note"].rstrip("\n").split("\n")]
    keys = [shortened(file["mldsa"]), file["witnesses"][0]["key"]]
    return "The ML-DSA-44 key and signature are cut.\n\n" + code("\n".join([*keys, "", *shown]))


def shortened(line: str) -> str:
    return line if len(line) < 400 else f"{line[:90]}…{line[-20:]}"


def example_proof() -> str:
    return code(vector("proof")["valid"][0]["proof"])


def example_leaf() -> str:
    data = unb(vector("epoch")["valid"][0]["leaf"])
    return layout(
        [("version", data[:1]), ("tag", data[1:33]), ("relay's record", data[33:65]), ("`ar`", data[65:])]
    )


def example_receipt() -> str:
    row = next(r["statement"] for r in vector("receipt")["valid"] if r["name"] == "taken-on")
    return code(f"t {row['t']}\ns {row['s']}")


def example_grant() -> str:
    found = [row["statement"] for row in vector("grant")["valid"]]
    return code("\n\n".join(f"t {row['t']}\ns {row['s']}" for row in found))


def example_request() -> str:
    row = vector("request")["valid"][0]
    sent = row["headers"]
    params = sent["Signature-Input"].removeprefix("fenpost=")
    base = [
        ("@method", row["method"]), ("@authority", row["authority"]), ("@path", row["path"]), ("@query", "?" + row["query"]),
        ("content-type", row["content_type"]), ("content-digest", sent["Content-Digest"]), ("@signature-params", params),
    ]  # fmt: skip
    signed = "\n".join(f'"{name}": {value}' for name, value in base)
    headers = "\n".join(f"{name}: {value}" for name, value in sent.items())
    body = unb(row["body"]).decode()
    return f"The body is `{body}`. What is signed, and the headers:\n\n" + code(signed) + "\n" + code(headers)


# --- tables


def table_refusals() -> str:
    lines = [
        f"| `{name}` | {kind.party} | {'yes' if kind.retry else 'no'} | {kind.say} |"
        for name, kind in refusals.KINDS.items()
    ]
    return rows("| code | whose turn | again later | what its reader is told |", lines)


def table_purposes() -> str:
    return rows("| purpose | name in the code |", [f"| `{p.value}` | {p.name} |" for p in Purpose])


LABEL = re.compile(r"fenpost/v1/[a-z0-9-]+")


def labels() -> dict[str, set[str]]:
    """Every label in the protocol's code, and the modules that use it. Docstrings do not count."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "schemas").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str | bytes):
                continue
            value = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            if LABEL.fullmatch(value.rstrip("\0")):
                found.setdefault(value.rstrip("\0"), set()).add(path.stem)
    return dict(sorted(found.items()))


def table_labels() -> str:
    return rows(
        "| label | used in |",
        [f"| `{label}` | {', '.join(sorted(where))} |" for label, where in labels().items()],
    )


def table_limits() -> str:
    limits = [
        ("header", f"{envelope.HEADER_LIMIT:,}"), ("recipients", envelope.MAX_RECIPIENTS), ("body ciphertext", f"{envelope.BODY_LIMIT:,}"),
        ("sealed record", f"{envelope.RECORD_LIMIT:,}"), ("head of a record", f"{record.HEAD_LIMIT:,}"),
        ("body of a record", f"{record.BODY_LIMIT:,}"), ("readers of a record", record.MAX_OFFICERS),
        ("log proof", f"{envelope.PROOF_LIMIT:,}"), ("upload", f"{api.UPLOAD_LIMIT:,}"), ("statement", f"{STATEMENT_LIMIT:,}"),
        ("signed note", f"{checkpoint.NOTE_LIMIT:,} characters, {checkpoint.MAX_SIGNATURES} signature lines"),
        ("hashes of a proof", checkpoint.MAX_PROOF), ("wrap of a 32-byte key", envelope.WRAP_SIZE),
        ("smallest padded body", f"{padding.BODY_SMALLEST:,}"), ("smallest padded record", f"{padding.RECORD_SMALLEST:,}"),
        ("nesting of clear JSON", f"{canonical.MAX_DEPTH}; of other JSON {canonical.FILE_DEPTH}"),
        ("life of a message", days(envelope.MAX_LIFE)), ("life of a grant", days(grants.MAX_GRANT)), ("life of a staple", days(grants.MAX_STATUS)),
        ("age of a view of the directory", days(directory.MAX_AGE)), ("a prekey is sealable", days(directory.SEALABLE)),
        ("a prekey's secret is kept", days(PREKEY_KEPT)), ("life of a request", f"{request.LIFE} s, clocks {request.MAX_SKEW} s apart, nonce kept {request.NONCE_KEPT} s at least"),
        ("uploads, receipts, statements of one request", f"{api.BATCH_ENVELOPES}, {api.BATCH_RECEIPTS}, {api.BATCH_STATEMENTS}"),
    ]  # fmt: skip
    return rows("| what | at most, or exactly |", [f"| {what} | {value} |" for what, value in limits])


def days(seconds: int) -> str:
    return f"{seconds // 86_400} day{'s' if seconds > 86_400 else ''}"


def table_codes() -> str:
    lists = {
        "cls": lawful.MessageClass, "rag": lawful.Rag, "retain": lawful.Retention, "cat": envelope.CATEGORIES, "receipt `state`": receipt.ReceiptState, "receipt `reason`": lawful.RejectReason,
        "member's `sector`": sectors.Sector,
    }  # fmt: skip
    lines = [
        f"| {field if ' ' in field else f'`{field}`'} | {' '.join(get_args(of) or sorted(of))} |"
        for field, of in lists.items()
    ]
    return rows("| field | codes |", lines)


HEADER_FIELDS = {
    "bases": "b6", "conditions": "b9", "schedule1": "s1", "gateways": "gw", "states": "agree", "decided_by": "agree_by",
    "confidence": "conf", "purposes": "pur", "vir": "vir",
}  # fmt: skip


def table_vocabulary() -> str:
    lines = [
        f"| `{HEADER_FIELDS.get(name, name)}` | {' '.join(entry.code for entry in entries)} |"
        for name, entries in founding().vocabulary.lists()
    ]
    return rows("| field | codes |", lines)


def table_gateways() -> str:
    def shown(entry) -> str:
        since = "" if entry.since is None else datetime.fromtimestamp(entry.since, UTC).date().isoformat()
        return f"| {entry.code} | {since} | {entry.test or ''} | {entry.duty or ''} |"

    return rows("| gateway | from | test | duty |", [shown(one) for one in founding().vocabulary.gateways])


def printed(kind: str, name: str) -> str:
    return globals()[f"{kind}_{name.replace('-', '_')}"]()


def refreshed(text: str) -> str:
    """The document with every marked block printed afresh."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{printed(found[2], found[3])}\n{found[5]}", text)


if __name__ == "__main__":
    PROTOCOL.write_text(refreshed(PROTOCOL.read_text(encoding="utf-8")), encoding="utf-8")
