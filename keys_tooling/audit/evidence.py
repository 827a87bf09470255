"""Evidence that leaves an officer's machine: one file that anybody can verify offline (PROTOCOL.md U10). Pure.

Rules of this house:
- a line is one canonical JSON object; each names the hash of all lines before it, and the last one is signed by the
  officer: what was cut off, taken out, moved or changed shows, at the first line that does not fit;
- every line also stands for itself: notes are the log's, statements are their agencies', entries are proven under the
  log's note, and keys are the ones that the entries commit to;
- nothing in the file is believed because the file says so, but oversight's safety number, which a person compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from keys_tooling.audit.telling import STAYED, compare, senders_hash, tell
from keys_tooling.audit.told import Told
from keys_tooling.audit.vouching import opened
from schemas.audit import Event, Leaf, tag_text
from schemas.canonical import Json, b64, decode, encode, unb64
from schemas.checkpoint import Checkpoint, LogKey, open_checkpoint
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keyring import OfficerKeys
from schemas.keys import Use
from schemas.merkle import leaf_hash, verify_inclusion
from schemas.opening import open_record, unveil_record
from schemas.partnership import Partnership
from schemas.policing import policy_digest
from schemas.record import SealedRecord
from schemas.record_sealing import record_hash
from schemas.shelf import Shelf
from schemas.signing import Purpose, Signed

LINE_LIMIT = 4 * 1024 * 1024
VERSION = 1
BEGIN = bytes(32)
SENDERS = STAYED | {Event.ACCEPT, Event.NONDISCLOSURE, Event.UNSEALED, Event.OVERRIDE}
Kind = Literal["head", "note", "statement", "policy", "entry", "end"]
ORDER: tuple[Kind, ...] = ("head", "note", "statement", "policy", "entry", "end")


@dataclass(frozen=True, slots=True)
class Proven:
    """An entry as it goes into evidence. `rk` and `srk` open the relay's and the sender's record; None stays sealed."""

    index: int
    leaf: bytes
    relay: bytes
    sender: bytes
    proof: tuple[bytes, ...]
    rk: bytes | None = None
    srk: bytes | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """All that goes into a file. `notes` are the log's checkpoint and the directory's; `oid` names the opening."""

    partnership: Partnership
    agency: str
    oid: str
    made: int
    notes: tuple[str, str]
    statements: tuple[Signed, ...]
    policies: tuple[bytes, ...]
    entries: Iterable[Proven]


def lines(contents: Contents, keys: OfficerKeys) -> Iterator[bytes]:
    """The lines of the file, each with its end. The last is signed, so a file that was broken off is none."""
    so_far, count = BEGIN, 0
    for value in _values(contents):
        count += value["kind"] == "entry"
        line = encode({**value, "p": b64(so_far)}) + b"\n"
        so_far = _next(so_far, line)
        yield line
    said: dict[str, Json] = {
        "a": contents.agency, "digest": b64(so_far), "entries": count, "oid": contents.oid, "signer": keys.auth.kid,
        "ts": contents.made, "v": VERSION,
    }  # fmt: skip
    signed = Signed.make(keys.auth, Purpose.EVIDENCE, said)
    yield encode({"kind": "end", "p": b64(so_far), "signed": signed.to_json()}) + b"\n"


def _values(contents: Contents) -> Iterator[dict[str, Json]]:
    charter = contents.partnership.to_bytes().decode("ascii")
    yield {"a": contents.agency, "kind": "head", "made": contents.made, "partnership": charter, "v": VERSION}
    for log, note in zip(("log", "keys"), contents.notes, strict=True):
        yield {"kind": "note", "log": log, "note": note}
    for at, signed in enumerate(contents.statements):
        yield {"kind": "statement", "n": at, "signed": signed.to_json()}
    for text in contents.policies:
        yield {"kind": "policy", "text": text.decode("ascii")}
    for entry in contents.entries:
        yield {
            "i": entry.index, "kind": "entry", "leaf": b64(entry.leaf), "proof": [b64(one) for one in entry.proof],
            "relay": b64(entry.relay), "rk": None if entry.rk is None else b64(entry.rk), "sender": b64(entry.sender),
            "srk": None if entry.srk is None else b64(entry.srk),
        }  # fmt: skip


def _next(so_far: bytes, line: bytes) -> bytes:
    return labelled("fenpost/v1/evidence-line", so_far + line)


# --- verifying


@dataclass(slots=True)
class Verified:
    """What a verified file says. `told` are the entries that it opens, `sealed` those that it only proves."""

    partnership: Partnership
    view: Directory
    agency: str = ""
    officer: str = ""
    oid: str = ""
    made: int = 0
    size: int = 0
    entries: int = 0
    first: int | None = None
    last: int | None = None
    sealed: int = 0
    told: list[Told] = field(default_factory=list)


class Bad(Refusal):
    """The first line that does not fit, counted from 1, and the entry that it is about, where there is one."""

    def __init__(self, line: int, entry: int | None, means: str) -> None:
        place = f"line {line}" + ("" if entry is None else f" (entry {entry})")
        super().__init__("EVIDENCE", f"NOT PROVEN. The first bad position is {place}: {means}")
        self.line, self.entry, self.means = line, entry, means


CUT = "the file ends too early. It was cut off, or never finished. Ask for it again."
AFTER = "something stands behind the end that was signed."
CHANGED = "it is not what was written there: it was changed, moved, or something before it was taken out."


def verify(
    read_line: Callable[[int], bytes],
    given: Partnership | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verified:
    """Verify a file from its first line to its signed end.

    Args:
        read_line: the next line with its end, of at most so many bytes; b"" at the end of the file.
        given: the partnership that the reader believes, where she has its file.
        progress: told how many entries were proven.

    Raises:
        Bad: for whatever does not fit; nothing of the file is to be believed then.
    """
    check = _Check(given)
    number, entry = 0, None
    while line := read_line(LINE_LIMIT):
        number, entry = number + 1, None
        try:
            value = check.take(line)
            entry = value.get("i") if isinstance(value.get("i"), int) else None
            check.use(value)
        except Refusal as refusal:
            raise Bad(number, entry, CHANGED) from refusal
        except (KeyError, TypeError, ValueError, UnicodeError) as error:
            raise Bad(number, entry, CHANGED) from error
        if progress is not None and check.found is not None:
            progress(check.found.entries)
        if check.ended:
            if read_line(1):
                raise Bad(number + 1, None, AFTER)
            return check.verified()
    raise Bad(number + 1, None, CUT)


class _Check:
    """A file as its lines pass by."""

    def __init__(self, given: Partnership | None) -> None:
        self.given = given
        self.found: Verified | None = None
        self.ended = False
        self._so_far = BEGIN
        self._before = BEGIN
        self._at = 0
        self._notes: dict[str, Checkpoint] = {}
        self._texts: dict[str, bytes] = {}
        self._shelf: Shelf | None = None

    def verified(self) -> Verified:
        if self.found is None:
            raise Refusal("FORM")
        return self.found

    def take(self, line: bytes) -> Mapping[str, Any]:
        """The line's object, when it follows on those before it."""
        if not line.endswith(b"\n"):
            raise Refusal("FORM")
        value = decode(line[:-1], LINE_LIMIT)
        if not isinstance(value, dict) or value.get("p") != b64(self._so_far):
            raise Refusal("FORM")
        self._before, self._so_far = self._so_far, _next(self._so_far, line)
        return value

    def use(self, value: Mapping[str, Any]) -> None:
        """Hold a line against what it is a line of."""
        place = ORDER.index(value["kind"])
        if place < self._at or (place > 0) is (self.found is None):
            raise Refusal("FORM")
        self._at = place
        fields = {**value}
        del fields["kind"], fields["p"]
        getattr(self, f"_{value['kind']}")(**fields)

    def _head(self, a: str, made: int, partnership: str, v: int) -> None:
        if v != VERSION or self.found is not None:
            raise Refusal("VERSION")
        _number(made)
        read = Partnership.parse(partnership.encode("ascii"))
        if self.given is not None and self.given.charter != read.charter:
            raise Refusal("SIGNATURE")
        self.found = Verified(read, Directory(read.charter.oversight), agency=a, made=made)

    def _note(self, log: Literal["log", "keys"], note: str) -> None:
        found = self.verified()
        key: Mapping[str, LogKey] = {"log": found.partnership.log_key, "keys": found.partnership.keys_log_key}
        if log in self._notes:
            raise Refusal("FORM")
        self._notes[log] = open_checkpoint(note, key[log])
        if log == "log":
            opened(note, found.partnership)
        found.size = self._notes["log"].size

    def _statement(self, n: int, signed: Json) -> None:
        view = self.verified().view
        _number(n)
        if n != view.size:
            raise Refusal("DIRECTORY")
        view.apply(Signed.from_json(signed))

    def _policy(self, text: str) -> None:
        data = text.encode("ascii")
        digest = policy_digest(data)
        if digest not in {one.digest for one in self.verified().view.policies.entries}:
            raise Refusal("POLICY_TEXT")
        self._texts[digest] = data

    def _complete(self) -> Shelf:
        """The policies, once the directory is whole: it has the very root that the relay signed."""
        if self._shelf is None:
            view, note = self.verified().view, self._notes["keys"]
            if (view.size, view.frontier.root()) != (note.size, note.root):
                raise Refusal("DIRECTORY")
            shelf = Shelf()
            for one in view.policies.entries:
                if one.digest in self._texts:
                    shelf = shelf.add(one, self._texts[one.digest])
            self._shelf = shelf
        return self._shelf

    def _entry(
        self, i: int, leaf: str, proof: list[str], relay: str, rk: str | None, sender: str, srk: str | None
    ) -> None:
        found, note, shelf = self.verified(), self._notes["log"], self._complete()
        _number(i)
        if found.last is not None and i <= found.last:
            raise Refusal("PROOF")
        data, record = unb64(leaf), unb64(relay)
        verify_inclusion(leaf_hash(data), i, note.size, [unb64(one, 32) for one in proof], note.root)
        parsed = Leaf.parse(data)
        if record_hash(record) != parsed.relay_record:
            raise Refusal("RECORD")
        found.entries, found.last = found.entries + 1, i
        found.first = i if found.first is None else found.first
        if rk is None:
            if srk is not None:
                raise Refusal("FORM")
            SealedRecord.parse(record)
            found.sealed += 1
            return
        facts = open_record(SealedRecord.parse(record), unb64(rk, 32), tag_text(parsed.tag))
        told = tell(i, parsed, facts, found.view, shelf)
        ar = b"" if srk is None else senders_hash(parsed, facts)
        found.told.append(_opened(told, parsed, unb64(sender), unb64(rk, 32), srk, ar))

    def _end(self, signed: Json) -> None:
        found = self.verified()
        self._complete()
        if not found.entries:  # it would prove nothing, and look as if it proved something
            raise Refusal("FORM")
        last = Signed.from_json(signed)
        said = last.peek()
        key = found.view.key(said["signer"], Use.IG_AUTH, said["ts"], said["a"])
        last.verified(key.public, Purpose.EVIDENCE)
        expected = {
            "a": found.agency, "digest": b64(self._before), "entries": found.entries, "oid": said["oid"],
            "signer": key.kid, "ts": found.made, "v": VERSION,
        }  # fmt: skip
        if said != expected:
            raise Refusal("FORM")
        found.officer, found.oid = key.kid, str(said["oid"])
        self.ended = True


def _number(value: object) -> None:
    """JSON's true passes for 1 in Python. Raises Refusal FORM."""
    if type(value) is not int:
        raise Refusal("FORM")


def _opened(told: Told, leaf: Leaf, veiled: bytes, rk: bytes, srk: str | None, ar: bytes) -> Told:
    """Add what the sender's record says, when its key is in the file. Raises Refusal RECORD when it does not open."""
    if srk is None:
        return told
    data = unveil_record(veiled, leaf.tag, rk)
    if record_hash(data) != ar or told.event not in SENDERS:
        raise Refusal("RECORD")
    record = SealedRecord.parse(data)
    facts = open_record(record, unb64(srk, 32), record.head.ctx)
    if told.event == Event.OVERRIDE:
        return told.saying(str(facts.get("reason", "")))
    return compare(told, facts)
