"""Hostile evidence, by class: none verifies and none crashes, also when an officer of the agency signed the lie herself.

`resigned` writes a file anew as the worst writer could: every line chained, and the end signed with the officer's own
key. What is refused then is refused because the log, the directory and the keys say otherwise.
"""

import asyncio
import base64
import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keys_tooling.audit.evidence import BEGIN, LINE_LIMIT, Bad, Verified, _next, verify
from keys_tooling.audit.exporting import FILE
from schemas.audit import Leaf
from schemas.canonical import b64, encode, unb64
from schemas.checkpoint import Checkpoint, sign_checkpoint
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.merkle import leaf_hash, node_hash
from schemas.signing import Purpose, Signed
from schemas.witness import publish
from tests.keys_tooling.officer_place import Place
from tests.keys_tooling.test_evidence import elsewhere, played
from tests.simulated_world import World

Lines = list[dict[str, Any]]
Spoil = Callable[["Bundle"], None]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return asyncio.run(played(tmp_path_factory.mktemp("kept")))


class Bundle:
    """Evidence taken apart, for a test to spoil."""

    def __init__(self, place: Place) -> None:
        self.world = place.world
        self.data = (place.folder / "evidence" / FILE).read_bytes()
        self.lines: Lines = [json.loads(line) for line in self.data.splitlines()]
        self.entries = [line for line in self.lines if line["kind"] == "entry"]
        self.key = self.world.parties["Peacock"].officer.auth
        self.said: dict[str, Any] = {}
        """What the end says otherwise than it must."""

    def of(self, kind: str) -> dict[str, Any]:
        return next(line for line in self.lines if line["kind"] == kind)

    @property
    def note(self) -> dict[str, Any]:
        return next(line for line in self.lines if line.get("log") == "log")

    def head(self) -> Checkpoint:
        origin, size, root = self.note["note"].split("\n")[:3]
        return Checkpoint(origin, int(size), base64.b64decode(root))

    def noted(self, origin: str = "", more: int = 0, key: SigningKey | None = None) -> None:
        """Another head of the same root, truly signed with the log's keys or with `key`."""
        head, keys = self.head(), self.world.founded.relay
        new = Checkpoint(origin or head.origin, head.size + more, head.root)
        self.note["note"] = publish(sign_checkpoint(new, key or keys.log), new, keys.log_mldsa)

    def resigned(self) -> bytes:
        """The file as it is now, chained and signed."""
        so_far, out = BEGIN, []
        for line in self.lines:
            if line["kind"] == "end" and line is self.lines[-1]:
                said = {
                    "a": self.lines[0].get("a"), "digest": b64(so_far), "entries": sum(one["kind"] == "entry" for one in self.lines),
                    "oid": "A" * 22, "signer": self.key.kid, "ts": self.lines[0].get("made"), "v": 1, **self.said,
                }  # fmt: skip
                line = {**line, "signed": Signed.make(self.key, Purpose.EVIDENCE, said).to_json()}
            out.append(encode({**line, "p": b64(so_far)}) + b"\n")
            so_far = _next(so_far, out[-1])
        return b"".join(out)


def put(at: int, **fields: Callable[[Bundle], Any]) -> Spoil:
    """Fields of the entry `at` otherwise."""

    def spoil(bundle: Bundle) -> None:
        values = {name: value(bundle) for name, value in fields.items()}
        bundle.entries[at].update(values)

    return spoil


def flipped(text: str) -> str:
    data = bytearray(unb64(text))
    data[len(data) // 2] ^= 1
    return b64(bytes(data))


def hashed_anew(bundle: Bundle) -> None:
    """A changed record, and a leaf that commits to it."""
    from schemas.record_sealing import record_hash

    entry = bundle.entries[0]
    entry["relay"] = flipped(entry["relay"])
    leaf = Leaf.parse(unb64(entry["leaf"]))
    entry["leaf"] = b64(Leaf(leaf.tag, record_hash(unb64(entry["relay"])), leaf.sender_record).to_bytes())


def interior(bundle: Bundle) -> None:
    """The node above the first two leaves in place of a leaf."""
    first = bundle.entries[0]
    sibling = unb64(first["proof"][0])
    first["leaf"] = b64(leaf_hash(unb64(first["leaf"])) + sibling)
    first["proof"] = first["proof"][1:]
    assert node_hash(leaf_hash(unb64(bundle.entries[1]["leaf"])), sibling)


def swapped(name: str, a: int = 0, b: int = 1) -> Spoil:
    def spoil(bundle: Bundle) -> None:
        one, other = bundle.entries[a], bundle.entries[b]
        one[name], other[name] = other[name], one[name]

    return spoil


def moved(bundle: Bundle) -> None:
    at = bundle.lines.index(bundle.entries[0])
    bundle.lines[at], bundle.lines[at + 1] = bundle.lines[at + 1], bundle.lines[at]


def duplicated(bundle: Bundle) -> None:
    at = bundle.lines.index(bundle.entries[0])
    bundle.lines.insert(at, dict(bundle.entries[0]))


def emptied(bundle: Bundle) -> None:
    bundle.lines = [line for line in bundle.lines if line["kind"] != "entry"]


def without(kind: str, at: int = 0) -> Spoil:
    def spoil(bundle: Bundle) -> None:
        bundle.lines.remove([line for line in bundle.lines if line["kind"] == kind][at])

    return spoil


def with_line(kind: str, **fields: Any) -> Spoil:
    """A field of the first line of a kind otherwise, or more."""

    def spoil(bundle: Bundle) -> None:
        bundle.of(kind).update(fields)

    return spoil


def note_lines(*wanted: int) -> Spoil:
    """The log's head with only these of its signature lines."""

    def spoil(bundle: Bundle) -> None:
        text, tail = bundle.note["note"].split("\n\n")
        lines = tail.splitlines(keepends=True)
        bundle.note["note"] = f"{text}\n\n{''.join(lines[at] for at in wanted)}"

    return spoil


def said(**values: Any) -> Spoil:
    def spoil(bundle: Bundle) -> None:
        bundle.said |= values

    return spoil


def signed_by(party: str, key: str) -> Spoil:
    def spoil(bundle: Bundle) -> None:
        of = bundle.world.parties[party]
        bundle.key = of.officer.auth if key == "officer" else getattr(of.member.agent, key)

    return spoil


def edited(kind: str, name: str, old: str, new: str) -> Spoil:
    def spoil(bundle: Bundle) -> None:
        line = bundle.of(kind)
        assert old in line[name]
        line[name] = line[name].replace(old, new, 1)

    return spoil


def other_relay(bundle: Bundle) -> None:
    """Another partnership's file: its keys, its oversight."""
    other = World.found(bundle.world.folder / "other", "Peacock").founded.partnership
    bundle.lines[0]["partnership"] = other.to_bytes().decode()


def statement_of(change: Callable[[dict[str, Any]], None], at: int = 3) -> Spoil:
    def spoil(bundle: Bundle) -> None:
        change([line for line in bundle.lines if line["kind"] == "statement"][at])

    return spoil


LONG = b64(bytes(60_000))
HOSTILE: dict[str, Spoil] = {
    "wrong leaf": put(0, leaf=lambda b: b.entries[1]["leaf"]),
    "changed body with kept hash": put(0, relay=lambda b: flipped(b.entries[0]["relay"])),
    "changed body, hashed anew": hashed_anew,
    "changed sender's record": put(0, sender=lambda b: flipped(b.entries[0]["sender"])),
    "other log's head": lambda b: b.noted(key=SigningKey(bytes(32))),
    "other log's head, the directory's": lambda b: b.note.update(
        note=next(line["note"] for line in b.lines if line.get("log") == "keys")
    ),
    "other log's partnership": other_relay,
    "unsigned head": note_lines(),
    "head with one of the log's lines": note_lines(0),
    "head with the other of the log's lines": note_lines(1),
    "unsigned": lambda b: b.lines.pop() and None,
    "size one more": lambda b: b.noted(more=1),
    "size one less": lambda b: b.noted(more=-1),
    "size edited": lambda b: b.note.update(note=b.note["note"].replace("\n", "\n1", 1)),
    "empty": emptied,
    "empty head": lambda b: b.note.update(note=""),
    "empty proof": put(0, proof=lambda _: []),
    "empty record": put(0, relay=lambda _: ""),
    "empty leaf": put(0, leaf=lambda _: ""),
    "older than seen, made to look new": lambda b: b.lines[0].update(made=b.lines[0]["made"] + 10**9),
    "older than seen, the end says another time": said(ts=1),
    "older than seen, an older directory": lambda b: b.lines.remove(
        [line for line in b.lines if line["kind"] == "statement"][-1]
    ),
    "duplicated": duplicated,
    "duplicated under another number": put(1, **{name: lambda b, n=name: b.entries[0][n] for name in ("leaf", "proof", "relay", "rk", "sender", "srk")}),
    "out of order": moved,
    "extra hashes": put(0, proof=lambda b: [*b.entries[0]["proof"], b64(bytes(32))]),
    "missing hashes": put(0, proof=lambda b: b.entries[0]["proof"][:-1]),
    "hashes that are none": put(0, proof=lambda b: [b64(bytes(31)), *b.entries[0]["proof"][1:]]),
    "interior node as leaf": interior,
    "swapped origin": lambda b: b.note.update(note=b.note["note"].replace(b.head().origin, "another/log")),
    "swapped origin, signed": lambda b: b.noted(origin="another/log"),
    "swapped proofs": swapped("proof"),
    "swapped numbers": swapped("i"),
    "swapped records": swapped("relay"),
    "swapped keys": swapped("rk"),
    "swapped senders' records": swapped("sender"),
    "swapped senders' keys": swapped("srk"),
    "key of a sender's record alone": put(0, rk=lambda _: None),
    "key of a sender's record that there is none of": put(2, srk=lambda b: b.entries[0]["srk"]),
    "key of another length": put(0, rk=lambda _: b64(bytes(16))),
    "a number as text": put(0, i=lambda b: str(b.entries[0]["i"])),
    "true for one": put(1, i=lambda _: True),
    "a number below nothing": put(0, i=lambda _: -1),
    "a number without end": put(-1, i=lambda _: 2**53 - 1),
    "a proof without end": put(0, proof=lambda _: [b64(bytes(32))] * 50_000),
    "a record without end": put(0, relay=lambda _: LONG * 40),
    "a leaf without end": put(0, leaf=lambda _: LONG),
    "an id of a person without end": with_line("head", a="ag1" + "a" * 100_000),
    "foreign signature: another agency's officer": signed_by("IDVAS", "officer"),
    "foreign signature: the agency's agent": signed_by("Peacock", "msg"),
    "foreign signature: the agency's witness": signed_by("Peacock", "witness"),
    "foreign signature: nobody's": lambda b: setattr(b, "key", SigningKey(bytes(range(32)))),
    "foreign signature of a statement": statement_of(lambda line: line["signed"].update(s=b64(bytes(64)))),
    "another agency's name on it": lambda b: b.lines[0].update(a=b.world.parties["IDVAS"].id),
    "an agency that there is none of": lambda b: b.lines[0].update(a="ag1" + "a" * 32),
    "edited partnership": edited("head", "partnership", "Simulated", "Simulatod"),
    "edited policy": edited("policy", "text", "1", "2"),
    "a policy that nobody signed": with_line("policy", text="{}"),
    "wrong version": with_line("head", v=2),
    "wrong version as text": with_line("head", v="1"),
    "wrong version of the end": said(v=2),
    "wrong count": said(entries=4),
    "wrong digest": said(digest=b64(bytes(32))),
    "one field more": with_line("entry", more=1),
    "one field more in the end": said(more=1),
    "a kind that there is none of": lambda b: b.entries[0].update(kind="verified"),
    "a kind that is a function": lambda b: b.entries[0].update(kind="_complete"),
    "a kind that is no text": lambda b: b.entries[0].update(kind=["entry"]),
    "no head": without("head"),
    "two heads": lambda b: b.lines.insert(1, dict(b.lines[0])),
    "no note of the log": lambda b: b.lines.remove(b.note),
    "two notes of the log": lambda b: b.lines.insert(1, dict(b.note)),
    "a note of a log that there is none of": lambda b: b.note.update(log="third"),
    "no directory": lambda b: setattr(b, "lines", [line for line in b.lines if line["kind"] != "statement"]),
    "statements out of order": statement_of(lambda line: line.update(n=line["n"] + 1)),
    "a statement left out": without("statement", 4),
    "entries before the directory": lambda b: b.lines.insert(1, b.lines.pop(b.lines.index(b.entries[0]))),
}  # fmt: skip
CLASSES = (
    "wrong leaf", "changed body with kept hash", "other log's head", "unsigned", "size one more", "size one less", "empty",
    "older than seen", "duplicated", "extra hashes", "interior node as leaf", "swapped origin",
)  # fmt: skip
"""Besides the truncated file, below."""


def check(data: bytes) -> Verified:
    return verify(io.BytesIO(data).readline)


def test_the_true_one_holds_also_when_written_anew(kept: Place):
    bundle = Bundle(kept)
    assert check(bundle.data).entries == check(bundle.resigned()).entries == 5


@pytest.mark.parametrize("name", HOSTILE)
def test_a_lie_that_the_officer_herself_signed_does_not_verify(kept: Place, name: str):
    bundle = Bundle(kept)
    HOSTILE[name](bundle)
    with pytest.raises(Bad) as found:
        check(bundle.resigned())
    assert found.value.say.startswith("NOT PROVEN. The first bad position is line ")
    assert 1 <= found.value.line <= len(bundle.lines) + 1


def test_every_class_has_its_row():
    assert {one for one in CLASSES for name in HOSTILE if name.startswith(one)} == set(CLASSES)


def test_a_file_cut_at_any_structure_does_not_verify_even_when_signed_again(kept: Place):
    """Lines taken from the end before it is signed anew: only whole entries may be missing, which is her choice."""
    whole = len(Bundle(kept).lines)
    for keep in range(whole - 1):
        bundle = Bundle(kept)
        left = sum(line["kind"] == "entry" for line in bundle.lines[:keep])
        bundle.lines = [*bundle.lines[:keep], bundle.lines[-1]]
        if left:
            assert check(bundle.resigned()).entries == left
            continue
        with pytest.raises(Bad):
            check(bundle.resigned())


def test_a_replayed_bundle_is_of_the_day_that_it_says_and_lends_its_end_to_no_other(kept: Place):
    """An old file is true for ever, and it says when it was made; its signed end fits nothing else."""
    old, new = Bundle(kept), Bundle(kept)
    assert check(old.data).made == old.lines[0]["made"]
    new.lines[0]["made"] += 60
    data = new.resigned().splitlines(keepends=True)
    with pytest.raises(Bad) as found:
        check(b"".join([*data[:-1], old.data.splitlines(keepends=True)[-1]]))
    assert found.value.line == len(data)


def spelled(line: bytes, how: str) -> bytes:
    """The same value in another spelling."""
    value = json.loads(line)
    names = list(value)
    return {
        "spaces": json.dumps(value, sort_keys=True),
        "order": json.dumps({name: value[name] for name in reversed(names)}, separators=(",", ":")),
        "twice": line.decode().rstrip("\n")[:-1] + ',"kind":"entry"}',
        "escaped": line.decode().rstrip("\n").replace('"kind"', '"\\u006bind"'),
        "a float": line.decode().rstrip("\n").replace('"i":', '"i":1e0,"_":'),
        "not a number": line.decode().rstrip("\n").replace('"i":', '"i":NaN,"_":'),
        "line ends": line.decode().rstrip("\n") + "\r",
        "leading zero": line.decode().rstrip("\n").replace('"i":', '"i":0'),
        "half a character": line.decode().rstrip("\n").replace('"i":', '"a":"\\ud800","i":'),
        "deep": '{"i":' + "[" * 100_000 + "]" * 100_000 + "}",
        "wide": '{"i":[' + "0," * 1_000_000 + "0]}",
        "a byte order mark": "\ufeff" + line.decode().rstrip("\n"),
    }[how].encode() + b"\n"


SPELLINGS = (
    "spaces", "order", "twice", "escaped", "a float", "not a number", "line ends", "leading zero", "half a character",
    "deep", "wide", "a byte order mark",
)  # fmt: skip


@pytest.mark.parametrize("how", SPELLINGS)
def test_a_line_has_one_spelling(kept: Place, how: str):
    lines = Bundle(kept).data.splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if line.startswith(b'{"i":'))
    with pytest.raises(Bad) as found:
        check(b"".join([*lines[:at], spelled(lines[at], how), *lines[at + 1 :]]))
    assert found.value.line == at + 1


@pytest.mark.parametrize("extra", [b"\n", b" ", b"\x00", b"\r\n", b"{}\n", b"x" * 100])
def test_nothing_may_follow_the_end(kept: Place, extra: bytes):
    with pytest.raises(Bad, match="behind the end that was signed"):
        check(Bundle(kept).data + extra)


def test_two_files_in_one_are_none(kept: Place):
    data = Bundle(kept).data
    with pytest.raises(Bad, match="behind the end that was signed"):
        check(data + data)


def test_a_line_without_end_is_not_read_to_its_end():
    """What is read at once is bounded, however long the file says that its line is."""
    asked: list[int] = []

    def endless(limit: int) -> bytes:
        asked.append(limit)
        return b"x" * limit

    with pytest.raises(Bad, match="line 1"):
        verify(endless)
    assert asked == [LINE_LIMIT]


@pytest.mark.parametrize("kind", ["packed", "a link", "a pipe", "a folder without it", "a device"])
def test_a_file_that_is_none_is_said_and_not_waited_for(kept: Place, tmp_path: Path, kind: str):
    path = tmp_path / FILE
    if kind == "packed":
        path.write_bytes(gzip.compress(Bundle(kept).data))
    elif kind == "a link":
        path.symlink_to(kept.folder / "evidence" / FILE)
    elif kind == "a pipe":
        os.mkfifo(path)
    done = elsewhere("/dev/zero" if kind == "a device" else tmp_path)
    assert done.exit_code == 1
    if kind == "packed":
        assert "line 1" in done.stderr
    else:
        assert isinstance(done.exception, Refusal)
        assert done.exception.code == "FILE"


def test_a_name_that_a_terminal_would_obey_comes_out_inert(tmp_path: Path):
    done = elsewhere(tmp_path / "evil\x1b[2J\u202efile")
    assert isinstance(done.exception, Refusal)
    assert "\x1b" not in done.exception.say
    assert "\u202e" not in done.exception.say
