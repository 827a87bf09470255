"""From a case record to a sealed upload (PROTOCOL.md E2, M2, C13).

Order: minimise, work out categories and flags, fill the law block, seal, hold the result against the consent rule.
The rule is a warning here: it refuses with the next step, and an author who knows better says `anyway`.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

from agent.consent import Held
from agent.forms import Send
from agent.law import Agreed, law_block
from agent.proofs import coverage, facts_of
from agent.ring import HeldKeys
from schemas.canonical import Json, b64
from schemas.categories import Flags, categories_of, flags_of
from schemas.directory import Directory
from schemas.envelope import Header
from schemas.errors import Refusal
from schemas.facts import Facts
from schemas.grants import written_after
from schemas.hashing import labelled
from schemas.messages.catalogue import CLASSES, Message, parse_payload, print_payload
from schemas.minimise import Limits, RecipientProfile, minimise
from schemas.never import refuse_never
from schemas.override import Override, parse_override
from schemas.policy import Policy
from schemas.routes import plan_for, refuse_ruled_out
from schemas.sealing import Draft, Sealed, SealedFor, seal
from schemas.signing import Signed

Draw = Callable[[int], bytes]
RANK = {"RED": 0, "AMBER": 1, "GREEN": 2}


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is needed to seal a message, and to seal it again. Kept in the store until every desk has ended."""

    kind: str
    desk: str
    to: tuple[tuple[str, str], ...]
    thread: str
    rag: str
    purpose: str
    categories: tuple[str, ...]
    law: Json
    payload: str = field(repr=False)
    subject: str
    author: str
    gid: str | None
    life: int
    seq: tuple[int, ...] = ()
    agreement: str | None = None
    """The id of our own agreement, which stays here."""
    override: Json = None
    """The override of its thread, as {"s", "t"}."""

    @property
    def rests(self) -> Override | None:
        return None if self.override is None else parse_override(Signed.from_json(self.override))

    def numbered(self, seq: tuple[int, ...]) -> Plan:
        return replace(self, seq=seq)

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Plan:
        value = json.loads(text)
        value["to"] = tuple((a, d) for a, d in value["to"])
        value["categories"], value["seq"] = tuple(value["categories"]), tuple(value["seq"])
        return cls(**value)


@dataclass(frozen=True, slots=True)
class Composed:
    """A message ready to be planned, and what was left out of the case record on the way."""

    text: str = field(repr=False)
    message: Message = field(repr=False)
    categories: tuple[str, ...]
    flags: Flags
    left_out: tuple[Json, ...] = ()


def compose(
    form: Send,
    recipients: tuple[tuple[str, str], ...],
    held: Held | None,
    view: Directory,
    today: datetime.date,
) -> Composed:
    """The message that a form asks for.

    Raises:
        Refusal: the message's own codes (schemas.messages, schemas.minimise), UNKNOWN_TYPE, UNKNOWN_AGENCY.
    """
    if form.kind not in CLASSES:
        raise Refusal("UNKNOWN_TYPE", f"There is no form of this kind. Forms: {', '.join(sorted(CLASSES))}.")
    limits = None if held is None else limits_of(held)
    profiles = _profiles(form, recipients, view)
    if limits is not None:
        for profile in profiles:  # wherever a desk stands in the list, and whoever wrote the message
            refuse_ruled_out(limits, profile, form.purpose)
    if form.payload is not None:
        message = parse_payload(json.dumps(form.payload))
        if message.type != form.kind:
            raise Refusal("FORM", "`kind` names another form than the payload's type.", detail=("kind",))
        refuse_never(message)
        return Composed(print_payload(message), message, categories_of(message), flags_of(message))
    first, *others = profiles
    for profile in others:
        plan_for(form.kind, profile, form.purpose, limits)
    found = minimise(
        form.case or {}, form.kind, recipient=first, purpose=form.purpose, limits=limits, on=today
    )
    left_out = tuple(asdict(item) for item in found.left_out)
    return Composed(print_payload(found.message), found.message, found.categories, found.flags, left_out)


def plan_of(
    form: Send,
    composed: Composed,
    desk: str,
    recipients: tuple[tuple[str, str], ...],
    thread: str,
    held: Held | None,
    view: Directory,
    keys: HeldKeys,
    policy: Policy | None,
    now: int,
    src: Sequence[Json] = (),
) -> Plan:
    """A form with every default filled in. `src` is what it passes on (H8). Raises Refusal FORM, UNKNOWN_AGENCY."""
    sender = view.member(keys.agency).flags
    if sender is None:
        raise Refusal("UNKNOWN_AGENCY")
    agreed = None if held is None else Agreed(held.grant, held.agree_by)
    law = law_block(
        composed.message, composed.flags, composed.categories, sender, agreed, form.law, policy, now, src
    )
    rag = getattr(composed.message, "rag", None)
    if rag is not None and form.rag is not None and rag != form.rag:
        raise Refusal("FORM", "The colour differs from the one inside the message.", detail=("rag",))
    return Plan(
        kind=form.kind,
        desk=desk,
        to=recipients,
        thread=thread,
        rag=rag or form.rag or "AMBER",
        purpose=form.purpose,
        categories=composed.categories,
        law=law,
        payload=composed.text,
        subject=case_of(form, composed, thread, keys),
        author=form.author,
        gid=form.gid,
        life=form.life,
    )


def seal_plan(
    plan: Plan,
    held: Held | None,
    view: Directory,
    keys: HeldKeys,
    checkpoints: tuple[str, ...],
    now: int,
    draw: Draw,
) -> Sealed:
    """Seal a plan to the newest keys of its recipients.

    Raises:
        Refusal: UNKNOWN_AGENCY, UNKNOWN_DESK, LEFT, MOVED, STALE_KEY, OFFICERS, KEY, TOO_BIG, FORM.
    """
    view.desk(keys.agency, plan.desk)
    person = plan.law.get("pd") != "none"
    for agency, desk in plan.to:
        view.addressed(agency, desk, now, person=person)
    prekeys = {agency: view.prekey(agency, now, person=person) for agency, _ in plan.to}
    draft = Draft(
        sender=keys.agency,
        desk=plan.desk,
        to=tuple(SealedFor(a, d, prekeys[a].kid, prekeys[a].public) for a, d in plan.to),
        thread=plan.thread,
        ts=now,
        exp=now + plan.life,
        cls=CLASSES[plan.kind],
        rag=plan.rag,
        purpose=plan.purpose,
        categories=plan.categories,
        law=plan.law,
        payload=plan.payload,
        subject=plan.subject,
        author=plan.author,
        grant=None if held is None else held.signed,
        status=None if held is None else held.status,
        checkpoints=checkpoints,
        seq=plan.seq,
        override=None if plan.rests is None else (plan.rests.hash, plan.rests.signed),
    )
    return seal(draft, view.officers({keys.agency, *prekeys}, now), keys.msg, draw)


def foresee(
    sealed: Sealed,
    held: Held | None,
    view: Directory,
    policy: Policy | None,
    override: Override | None = None,
    at_hand: Sequence[Header] = (),
) -> Facts:
    """What the relay's gate will decide on, as far as this agent can know.

    `at_hand` are the headers that this agency holds of what the message refers to.
    """
    header = sealed.upload.envelope.header
    ended = None if held is None else held.withdrawal
    signed, staple = (None, None) if held is None else (held.signed, held.status)
    covered = coverage(header, signed, staple, view, withdrawn=ended is not None)
    after = ended is not None and written_after(header, ended)
    return facts_of(header, covered, view, policy, override, switched=after, at_hand=at_hand)


def limits_of(held: Held) -> Limits:
    """What the agreement allows, as minimisation understands it: its categories, and what she ruled out besides."""
    said = held.limits
    return Limits(
        categories=frozenset(held.grant.cat),
        not_categories=frozenset(said.get("not_categories", ())),
        not_about=frozenset(said.get("not_about", ())),
        not_purposes=frozenset(said.get("not_purposes", ())),
        not_recipients=frozenset(said.get("not_recipients", ())),
    )


def _profiles(form: Send, recipients: tuple[tuple[str, str], ...], view: Directory) -> list[RecipientProfile]:
    """One message goes to all its desks, so it holds what the least entitled of them may have.

    The sector is oversight's word in the directory; agencies of different sectors get what "other" gets.
    """
    sector, *different = {view.member(agency).sector for agency, _ in recipients}
    said = form.recipient.model_dump()
    return [
        RecipientProfile(agency=agency, desk=desk, sector="other" if different else sector, **said)
        for agency, desk in recipients
    ]


def case_of(form: Send, composed: Composed, thread: str, keys: HeldKeys) -> str:
    """The keyed reference by which only this agency finds the case again in its audit records (S3)."""
    person = getattr(composed.message, "person", None)
    noted = (form.case or {}).get("case_ref")
    own = noted if isinstance(noted, str) and noted else None
    reference = form.case_ref or own or getattr(person, "person_ref", None) or thread
    return subject_of(reference, keys.subject)


def subject_of(reference: str, key: bytes) -> str:
    """The keyed form of an agency's own reference, which only that agency can make again (S3)."""
    return b64(labelled("fenpost/v1/subject", reference.encode(), key=key))
