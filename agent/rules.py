"""The recipient's rules, in their order (PROTOCOL.md V1-V9). Pure: no store, no network, no clock.

Rules of this house:
- the first that fails refuses the whole message; nothing of it is shown;
- `clear` is what can be checked before anything is opened, `sealed` what needs the keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.acceptance import delivered_note
from agent.overriding import beside, weighed
from agent.proofs import decision, prove, vouched
from agent.ring import HeldKeys
from schemas.api import PageItem
from schemas.canonical import b64
from schemas.categories import check_categories, check_flags
from schemas.checkpoint import LogKey
from schemas.directory import Directory
from schemas.envelope import Delivery, Header
from schemas.errors import Refusal
from schemas.facts import Coverage
from schemas.keyring import PREKEY_KEPT
from schemas.keys import OpeningKey, Use
from schemas.messages.attested import check_attested
from schemas.messages.catalogue import Message, class_of, parse_payload
from schemas.messages.heading import check_heading
from schemas.opening import Opened, open_delivery, own_row
from schemas.policy import Policy
from schemas.signing import Purpose, Signed, verify

AHEAD = 300
ENDED: tuple[Coverage, ...] = ("withdrawn", "stale")
"""What may become of an agreement while a message is on its way: it ends, or nobody says that it stands."""


@dataclass(frozen=True, slots=True)
class Clear:
    """A delivery that passed rules 1 to 5, but for the log's consistency: `note` is still to be believed."""

    delivery: Delivery = field(repr=False)
    header: Header
    desk: str
    key: OpeningKey
    note: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A delivery that passed every rule."""

    opened: Opened = field(repr=False)
    message: Message = field(repr=False)
    alert: bool
    number: int | None
    """The running number between the two agencies, when the sender counts."""
    alone: bool = False
    """Whether the rule lets it pass without the agreement that it names."""
    unproven: bool = False
    """Whether the rule lets it pass although nobody says any more that this agreement stands."""
    grant: Signed | None = None
    staple: Signed | None = None
    """The agreement and the staple inside, where their issuer signed them."""


class NoAuthority(Refusal):
    """The consent rule does not let this pass; a relay that let it pass was wrong or lied.

    `why` is the code of what is wrong with the agreement, where something is.
    """

    def __init__(self, code: str, why: str) -> None:
        super().__init__(code, party="sender")
        self.why = why or code


def parse(data: bytes, item: PageItem) -> Delivery:
    """Rule 1: the bytes, and that they are the envelope that the relay names.

    Raises:
        Refusal: FORM, TOO_BIG, NOT_CANONICAL, VERSION, ATTACHMENTS, RECORD.
    """
    delivery = Delivery.parse(data)
    if b64(delivery.envelope.eid) != item.eid:
        raise Refusal("FORM", party="relay")
    return delivery


def clear(
    delivery: Delivery, desk: str, view: Directory, keys: HeldKeys, log_key: LogKey, now: float
) -> Clear:
    """Rules 2 to 5, without the memory of what was seen before.

    Raises:
        Refusal: UNKNOWN_AGENCY, UNKNOWN_DESK, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY, SIGNATURE (2); NOT_FOR_US,
            KEY_ERASED, WRAPS (3); EXPIRED, FUTURE (4); PROOF, CHECKPOINT (5).
    """
    envelope = delivery.envelope
    header = envelope.header
    view.desk(header.sender.a, header.sender.d, header.ts)
    signer = view.key(header.signer, Use.MSG, header.ts, header.sender.a)
    verify(signer.public, Purpose.ENVELOPE, envelope.transcript, envelope.sig)
    key = _own_key(delivery, desk, keys, now)
    if now > header.exp:
        raise Refusal("EXPIRED")
    if header.ts > now + AHEAD:
        raise Refusal("FUTURE")
    return Clear(delivery, header, desk, key, delivered_note(envelope, delivery.proof, log_key))


def sealed(
    found: Clear,
    view: Directory,
    policies: Sequence[Policy | None],
    *,
    withdrawn: bool,
    override: str | None = None,
    switched: bool = False,
    at_hand: Sequence[Header] = (),
) -> Shown:
    """Rules 6 to 8, and that the message is what its header says. `policies` are those of the time that counts (Q9).

    `switched` says that it was written after the agreement that it names was withdrawn; `at_hand` are the headers that
    this agency holds of what it refers to.

    Raises:
        Refusal: CANNOT_OPEN, COMMITMENT, PADDING, FORM (6); RECORD, RECORD_DIFFERS (7); the consent rule's own (8);
            the message's own, CATEGORIES_DIFFER, FLAGS_DIFFER, CLASS_DIFFERS.
    """
    header = found.header
    opened = open_delivery(found.delivery, found.key)
    message = parse_payload(opened.payload)
    if class_of(message) != header.cls:
        raise Refusal("CLASS_DIFFERS")
    if getattr(message, "rag", header.rag) != header.rag:
        raise Refusal("CLASS_DIFFERS", detail=("rag",))
    check_heading(message, header.law)
    check_categories(message, header.cat)
    check_flags(message, spec=header.law.spec, crim=header.law.crim, child=header.law.child)
    check_attested(message, header.law, policies)
    proven = prove(header, opened.grant, opened.status, view, withdrawn=withdrawn)
    rests = beside(opened.override, override)
    verdict = decision(header, proven.coverage, view, policies, rests, switched=switched, at_hand=at_hand)
    if not verdict.passes:
        exact = weighed(header, rests, view, next(iter(policies), None)).code
        raise NoAuthority(exact or verdict.code, proven.code)
    place = next(
        (at for at, row in enumerate(header.to) if row.k == found.key.kid and row.d == found.desk), 0
    )
    number = opened.seq[place] if opened.seq else None
    without, unproven = (
        decision(header, worse, view, policies, rests, switched=switched, at_hand=at_hand) for worse in ENDED
    )
    grant, staple = vouched(opened.grant, opened.status, view)
    return Shown(
        opened,
        message,
        alert=verdict.outcome > 0,
        number=number,
        alone=header.gid is None or without.passes,
        unproven=unproven.passes,
        grant=grant,
        staple=staple,
    )


def _own_key(delivery: Delivery, desk: str, keys: HeldKeys, now: float) -> OpeningKey:
    header = delivery.envelope.header
    mine = [row for row in header.to if row.a == keys.agency and row.d == desk]
    if not mine:
        raise Refusal("NOT_FOR_US")
    held: Mapping[str, OpeningKey] = {p.key.kid: p.key for p in keys.prekeys if now < p.nbf + PREKEY_KEPT}
    if mine[0].k not in held:
        raise Refusal("KEY_ERASED")
    place = own_row(delivery, held)
    if header.to[place] != mine[0]:
        raise Refusal("NOT_FOR_US")
    return held[header.to[place].k]
