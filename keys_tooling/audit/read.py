"""Reading the entries of one officer's agency out of her mirror. What is not hers is counted and stays closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from keys_tooling.audit.mirror import Entry, Epoch, Mirror
from keys_tooling.audit.referring import References
from keys_tooling.audit.told import Told, compare, tell
from keys_tooling.directory_reading import replay
from schemas.audit import Event, Leaf, tag_text
from schemas.directory import Agency, Directory
from schemas.errors import Refusal
from schemas.keyring import OfficerKeys
from schemas.keys import OpeningKey
from schemas.opening import epoch_record_key, open_epoch, open_record, record_key, unveil_record
from schemas.partnership import Partnership
from schemas.record import SealedRecord
from schemas.record_sealing import epoch_tag, record_hash
from schemas.shelf import Shelf


@dataclass(slots=True)
class Reading:
    """What an officer may read: her agency, her entries in order, and how many stay closed."""

    agency: Agency
    view: Directory
    entries: list[Told] = field(default_factory=list)
    closed: int = 0

    def range(self) -> tuple[int, int, int]:
        """How many entries were opened, and the positions of the first and the last."""
        places = [told.index for told in self.entries] or [0]
        return len(self.entries), places[0], places[-1]

    @property
    def faulty(self) -> bool:
        return any(told.faults for told in self.entries)


@dataclass(frozen=True, slots=True)
class Opener:
    """An officer before her mirror: whose she is, and what her entries are held against."""

    mirror: Mirror
    keys: OfficerKeys
    agency: Agency
    view: Directory
    shelf: Shelf
    epochs: list[Epoch] = field(repr=False)

    def opened(self, start: int = 0) -> Iterator[tuple[int, Told | None]]:
        """Each entry from `start` on, in order: as it tells itself, or None when it is not hers."""
        ring, references = _EpochRing(self.epochs, self.keys.ig), References()
        for entry in self.mirror.entries(start):
            if not entry.relay:  # deleted; whether that was let go is for verify.py
                continue
            told = _open(entry, ring, self.keys, self.view, self.shelf)
            yield entry.index, None if told is None else references.held(told)

    def settled(self) -> int:
        """Entries before this one open as they always will: their epochs, and those around them, are here."""
        return self.epochs[-3].first if len(self.epochs) > 2 else 0


def opener(mirror: Mirror, partnership: Partnership, keys: OfficerKeys) -> Opener:
    """Find out what an officer may open.

    Raises:
        Refusal: UNKNOWN_KEY when nothing here is sealed to her; MIRROR, FORK, DIRECTORY when the mirror was touched.
    """
    charter = partnership.charter
    mirror.claim(charter.origin, charter.oversight)
    view = replay(charter.oversight, mirror.statements(), None, lambda _size: None)
    epochs = mirror.epochs(keys.ig.kid)
    agency = next((a for a in view.agencies.values() if keys.ig.kid in a.keys), None)
    if agency is None or keys.ig.kid not in (mirror.officers() or {keys.ig.kid}):
        raise Refusal(
            "UNKNOWN_KEY",
            "Nothing in this mirror is sealed to this officer's key. Check that the key file is the one of this "
            "folder, and pull with it first.",
        )
    return Opener(mirror, keys, agency, view, _shelf(mirror, view), epochs)


def read(
    mirror: Mirror, partnership: Partnership, keys: OfficerKeys, progress: Callable[[int], None]
) -> Reading:
    """Open every entry that is sealed to this officer. Raises as `opener` does."""
    officer = opener(mirror, partnership, keys)
    reading = Reading(officer.agency, officer.view)
    for index, told in officer.opened():
        if told is None:
            reading.closed += 1
        else:
            reading.entries.append(told)
        if not index % 64:
            progress(index)
    reading.entries = list(_linked(reading.entries))
    return reading


def _shelf(mirror: Mirror, view: Directory) -> Shelf:
    """The policies whose texts are here and are those that were signed."""
    texts, shelf = mirror.policies(), Shelf()
    for entry in view.policies.entries:
        with suppress(Refusal):
            shelf = shelf.add(entry, texts.get(entry.digest, b""))
    return shelf


class _EpochRing:
    """Epoch keys as entries pass by in order. Each is opened when it is first needed, and only three are held."""

    def __init__(self, epochs: list[Epoch], key: OpeningKey) -> None:
        self._epochs, self._key = epochs, key
        self._at = 0
        self._opened: dict[int, bytes | None] = {}
        self._near: list[bytes | None] = []

    def around(self, index: int) -> list[bytes | None]:
        """The key of the epoch that covers `index`, then its neighbours'; None for one that does not open."""
        while self._at + 1 < len(self._epochs) and self._epochs[self._at + 1].first <= index:
            self._at += 1
            self._near = []
        if not self._near:
            near = [at for at in (self._at, self._at - 1, self._at + 1) if 0 <= at < len(self._epochs)]
            opened = {at: key for at, key in self._opened.items() if at in near}
            self._opened = {at: opened[at] if at in opened else self._open(self._epochs[at]) for at in near}
            self._near = [self._opened[at] for at in near]
        return self._near

    def _open(self, epoch: Epoch) -> bytes | None:
        try:
            return open_epoch(epoch.id, epoch.wrap, self._key)
        except Refusal:
            return None


def _open(entry: Entry, ring: _EpochRing, keys: OfficerKeys, view: Directory, shelf: Shelf) -> Told | None:
    """The entry as it tells itself to this officer, or None when it is not hers."""
    try:
        leaf = Leaf.parse(entry.leaf)
        if record_hash(entry.relay) != leaf.relay_record:
            raise Refusal("RECORD")
        if _is_others(entry.relay, leaf, ring.around(entry.index)):
            return None
        record = SealedRecord.parse(entry.relay)
    except Refusal:
        return Told(entry.index).blamed("changed")
    rk, damaged = _record_key(record, ring, entry.index)
    if rk is None:
        return Told(entry.index).blamed("epoch") if damaged else None
    try:
        facts = open_record(record, rk, tag_text(leaf.tag))
    except Refusal:
        return Told(entry.index).blamed("form")
    told = tell(entry.index, leaf, facts, view, shelf)
    if told.event == Event.OVERRIDE and not told.faults:
        return _reasoned(told, entry, leaf, rk, keys)
    sealed = told.event in (Event.ACCEPT, Event.NONDISCLOSURE, Event.UNSEALED)
    return _senders(told, entry, leaf, rk, keys) if sealed else told


def _is_others(record: bytes, leaf: Leaf, near: list[bytes | None]) -> bool:
    """Whether none of these epoch keys is named in a record's head: most entries are other agencies', and taking each
    apart would cost five times as much."""
    head = record[8 : 8 + int.from_bytes(record[4:8], "big")]
    ctx = tag_text(leaf.tag).encode("ascii")
    return not any(key is None or epoch_tag(ctx, key).encode("ascii") in head for key in near)


def _record_key(record: SealedRecord, ring: _EpochRing, index: int) -> tuple[bytes | None, bool]:
    """The record's key, if an epoch key of hers is among its wraps, and whether an epoch could not be opened."""
    damaged = False
    for at, epoch_key in enumerate(ring.around(index)):
        damaged |= epoch_key is None and at == 0
        if epoch_key is None:
            continue
        try:
            rk = epoch_record_key(record, epoch_key)
        except Refusal:
            return None, True
        if rk is not None:
            return rk, False
    return None, damaged


def _senders(told: Told, entry: Entry, leaf: Leaf, rk: bytes, keys: OfficerKeys) -> Told:
    """Add the sender's own record: out of its veil, held against the entry, opened with the officer's key."""
    try:
        data = unveil_record(entry.sender, leaf.tag, rk)
        if record_hash(data) != leaf.sender_record:
            raise Refusal("RECORD")
        record = SealedRecord.parse(data)
        return compare(told, open_record(record, record_key(record, [keys.ig]), told.mid))
    except Refusal:
        return told.blamed("sender")


def _reasoned(told: Told, entry: Entry, leaf: Leaf, rk: bytes, keys: OfficerKeys) -> Told:
    """Add an override's reason, for officers of its agency and of oversight; others see that there is one."""
    try:
        data = unveil_record(entry.sender, leaf.tag, rk)
        record = SealedRecord.parse(data)
        if record_hash(data) != leaf.sender_record:
            raise Refusal("RECORD")
        if keys.ig.kid not in record.head.to:
            return told
        reason = open_record(record, record_key(record, [keys.ig]), told.ref).get("reason", "")
    except Refusal:
        return told.blamed("sender")
    return replace(told, what=f"{told.what}: {reason}", more={**told.more, "words": str(reason)})


def _linked(entries: list[Told]) -> Iterator[Told]:
    """Steps say whose they are; the message that they belong to says to whom they report."""
    senders = {told.eid: told.sender for told in entries if told.event == Event.ACCEPT and told.sender}
    for told in entries:
        known = senders.get(told.eid)
        yield replace(told, to=(known,)) if known and not told.to else told
