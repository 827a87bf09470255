"""Reading the entries of one officer's agency out of her mirror. What is not hers is counted and stays closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from keys_tooling.audit import halves
from keys_tooling.audit.mirror import Entry, Epoch, Mirror
from keys_tooling.audit.referring import References
from keys_tooling.audit.telling import STAYED, compare, tell
from keys_tooling.audit.told import Told
from keys_tooling.directory_reading import replay
from schemas.audit import LEAF_SIZE, LEAF_VERSION, Event, Leaf, tag_text
from schemas.canonical import b64_bytes, unb64
from schemas.directory import Agency, Directory
from schemas.errors import Refusal
from schemas.keyring import OfficerKeys
from schemas.keys import OpeningKey
from schemas.opening import epoch_record_key, open_epoch, open_record, record_key, unveil_record
from schemas.package import Keyring, combined
from schemas.partnership import Partnership
from schemas.record import SealedRecord
from schemas.record_sealing import epoch_tags, record_hash, record_hashes
from schemas.shelf import Shelf

_RECORD = record_hashes()


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
    epochs: tuple[Held, ...] = field(repr=False)
    senders: Mapping[int, bytes] = field(repr=False)

    def opened(
        self, start: int = 0, references: References | None = None
    ) -> Iterator[tuple[int, Told | None]]:
        """Each entry from `start` on, in order: as it tells itself, or None when it is not hers.

        `references` are of the entries before `start`.
        """
        references = references or References()

        def begin() -> Callable[[Entry], Told | None]:
            ring = self.ring()
            return lambda entry: _open(entry, ring, self)

        for index, told in halves.opened(self.mirror, start, begin):
            yield index, None if told is None else references.held(told)

    def ring(self) -> EpochRing:
        return EpochRing(self.epochs, self.keys.ig)

    def settled(self) -> int:
        """Entries before this one open as they always will: their epochs, and those around them, are here."""
        return self.epochs[-3].first if len(self.epochs) > 2 else 0


def opener(
    mirror: Mirror, partnership: Partnership, keys: OfficerKeys, handed: Iterable[Keyring] = ()
) -> Opener:
    """Find out what an officer may open.

    Args:
        handed: keys that other officers of her agency passed on to her (U5).

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
    rings = tuple(handed)
    senders = {index: secret for ring in rings for index, secret in ring.senders}
    return Opener(mirror, keys, agency, view, _shelf(mirror, view), _held(epochs, rings), senders)


def read(
    mirror: Mirror,
    partnership: Partnership,
    keys: OfficerKeys,
    progress: Callable[[int], None],
    handed: Iterable[Keyring] = (),
) -> Reading:
    """Open every entry that is sealed to this officer. Raises as `opener` does."""
    officer = opener(mirror, partnership, keys, handed)
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


@dataclass(frozen=True, slots=True)
class Held:
    """What there is of one epoch: its wrap to this officer, and what others passed on of its key."""

    id: bytes
    first: int
    wrap: bytes | None
    given: tuple[bytes, ...] = field(default=(), repr=False)


def _held(epochs: Iterable[Epoch], rings: Iterable[Keyring]) -> tuple[Held, ...]:
    """The epochs in order, with what was passed on of each."""
    wraps = {(epoch.first, epoch.id): epoch.wrap for epoch in epochs}
    given: dict[tuple[int, bytes], list[bytes]] = {}
    for ring in rings:
        for id_, first, secret in ring.epochs:
            given.setdefault((first, id_), []).append(secret)
    places = sorted(wraps.keys() | given.keys())
    return tuple(Held(at[1], at[0], wraps.get(at), tuple(given.get(at, ()))) for at in places)


class EpochRing:
    """Epoch keys as entries pass by in order. Each is opened when it is first needed, and only three are held."""

    def __init__(self, epochs: Sequence[Held], key: OpeningKey) -> None:
        self._epochs, self._key = epochs, key
        self._at = 0
        self._opened: dict[int, list[bytes | None]] = {}
        self._near: list[bytes | None] = []
        self._tags: list[blake2b | None] = []

    def around(self, index: int) -> list[bytes | None]:
        """The key of the epoch that covers `index`, then its neighbours'; None for one that does not open.

        Where others passed on of an epoch, all that may be its key.
        """
        while self._at + 1 < len(self._epochs) and self._epochs[self._at + 1].first <= index:
            self._at += 1
            self._near = []
        if not self._near:
            near = [at for at in (self._at, self._at - 1, self._at + 1) if 0 <= at < len(self._epochs)]
            opened = {at: key for at, key in self._opened.items() if at in near}
            self._opened = {at: opened[at] if at in opened else self._open(self._epochs[at]) for at in near}
            self._near = [key for at in near for key in self._opened[at]]
            self._tags = [None if key is None else epoch_tags(key) for key in self._near]
        return self._near

    def passes(self, entry: Entry) -> bool:
        """Whether an entry is what its leaf commits to, and none of the keys around it is named in its record's head.

        Most entries are other agencies', and taking each apart would cost five times as much. One that does not pass
        is looked at again, slowly, for whose it is and what is wrong.
        """
        leaf, relay = entry.leaf, entry.relay
        state = _RECORD.copy()
        state.update(relay)
        if len(leaf) != LEAF_SIZE or leaf[:1] != LEAF_VERSION or state.digest() != leaf[33:65]:
            return False
        context, head = b64_bytes(leaf[1:33]), relay[8 : 8 + int.from_bytes(relay[4:8], "big")]
        for tags in self._tags if self.around(entry.index) else ():
            if tags is None:
                return False
            tag = tags.copy()
            tag.update(context)
            if b64_bytes(tag.digest()) in head:
                return False
        return True

    def _open(self, epoch: Held) -> list[bytes | None]:
        secrets = list(epoch.given)
        with suppress(Refusal):
            secrets += [self.own(epoch)] if epoch.wrap is not None else []
        return [*combined(secrets)] or [None]

    def own(self, epoch: Held) -> bytes:
        """What the wrap to this officer holds: the epoch's key, or her share. Raises Refusal CANNOT_OPEN."""
        return open_epoch(epoch.id, epoch.wrap or b"", self._key)


def _open(entry: Entry, ring: EpochRing, officer: Opener) -> Told | None:
    """The entry as it tells itself to this officer, or None when it is not hers."""
    if ring.passes(entry):
        return None
    try:
        leaf = Leaf.parse(entry.leaf)
        if record_hash(entry.relay) != leaf.relay_record:
            raise Refusal("RECORD")
        record = SealedRecord.parse(entry.relay)
    except Refusal:
        return Told(entry.index).blamed("changed")
    rk, damaged = record_key_of(record, ring, entry.index)
    if rk is None:
        return Told(entry.index).blamed("epoch") if damaged else None
    try:
        facts = open_record(record, rk, tag_text(leaf.tag))
    except Refusal:
        return Told(entry.index).blamed("form")
    told = tell(entry.index, leaf, facts, officer.view, officer.shelf)
    if told.event == Event.OVERRIDE and not told.faults:
        return _reasoned(told, entry, leaf, rk, officer)
    if told.event in STAYED:
        return _stayed(told, entry, leaf, rk, officer)
    sealed = told.event in (Event.ACCEPT, Event.NONDISCLOSURE, Event.UNSEALED)
    return _senders(told, entry, leaf, rk, officer) if sealed else told


def record_key_of(record: SealedRecord, ring: EpochRing, index: int) -> tuple[bytes | None, bool]:
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


def _senders(told: Told, entry: Entry, leaf: Leaf, rk: bytes, officer: Opener) -> Told:
    """Add the sender's own record: out of its veil, held against the entry, opened with the officer's key."""
    try:
        record = unveiled(entry, leaf, rk, leaf.sender_record)
        return compare(told, open_record(record, senders_key(record, entry.index, officer), told.mid))
    except Refusal:
        return told.blamed("sender")


def _stayed(told: Told, entry: Entry, leaf: Leaf, rk: bytes, officer: Opener) -> Told:
    """Add who wrote a message that was refused or held. One that was not sealed to her may be refused for just that."""
    if told.header is None:
        return told
    try:
        record = unveiled(entry, leaf, rk, unb64(told.header.ar, 32))
        if _others(record, entry, officer):
            return told
        return compare(told, open_record(record, senders_key(record, entry.index, officer), told.mid))
    except Refusal:
        return told.blamed("sender")


def _others(record: SealedRecord, entry: Entry, officer: Opener) -> bool:
    """Whether a sealed record is for other officers than this one."""
    return officer.keys.ig.kid not in record.head.to and entry.index not in officer.senders


def unveiled(entry: Entry, leaf: Leaf, rk: bytes, ar: bytes) -> SealedRecord:
    """The sender's record of an entry, whose hash is `ar`. Raises Refusal RECORD."""
    data = unveil_record(entry.sender, leaf.tag, rk)
    if record_hash(data) != ar:
        raise Refusal("RECORD")
    return SealedRecord.parse(data)


def senders_key(record: SealedRecord, index: int, officer: Opener) -> bytes:
    """The key of a sender's record: the officer's own, or one that was passed on to her. Raises Refusal RECORD."""
    if officer.keys.ig.kid not in record.head.to and index in officer.senders:
        return officer.senders[index]
    return record_key(record, [officer.keys.ig])


def _reasoned(told: Told, entry: Entry, leaf: Leaf, rk: bytes, officer: Opener) -> Told:
    """Add an override's reason, for officers of its agency and of oversight; others see that there is one."""
    try:
        record = unveiled(entry, leaf, rk, leaf.sender_record)
        if _others(record, entry, officer):
            return told
        reason = open_record(record, senders_key(record, entry.index, officer), told.ref).get("reason", "")
    except Refusal:
        return told.blamed("sender")
    return told.saying(str(reason))


def _linked(entries: list[Told]) -> Iterator[Told]:
    """Steps say whose they are; the message that they belong to says to whom they report."""
    senders = {told.eid: told.sender for told in entries if told.event == Event.ACCEPT and told.sender}
    for told in entries:
        known = senders.get(told.eid)
        yield replace(told, to=(known,)) if known and not told.to else told
