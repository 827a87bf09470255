"""Reading an opened entry, and whether what people signed in it holds. Pure.

The relay wrote the record, so nothing in it is taken for granted: a header, a receipt and a statement travel with
their signatures, and what does not hold is named in `faults`, never left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from keys_tooling.audit.again import decided_otherwise
from keys_tooling.audit.officers_statements import handed, held_back, opening, unsealed
from keys_tooling.audit.recorded_parts import Deed, Message, Missing, Reader, Stamp, Step, Twice, Weighed
from keys_tooling.audit.told import Place, Told, holds
from schemas.audit import Event, Leaf, event_tag
from schemas.canonical import Json, b64, unb64
from schemas.covering import check_basis
from schemas.directory import Directory
from schemas.directory_statement import AddKey, Admit, Countersign, Revoke, Statement, parse_statement
from schemas.envelope import parse_header
from schemas.errors import Refusal
from schemas.grants import Grant, ending, parse_grant, parse_recalled, parse_withdrawal
from schemas.hashing import labelled
from schemas.keys import Use
from schemas.nondisclosure import parse_undisclosed, undisclosed_tag
from schemas.override import parse_override, terms_of, verify_override
from schemas.policing import PolicyBody
from schemas.policy import Policy
from schemas.receipt import parse_receipt
from schemas.shelf import Shelf
from schemas.signing import Purpose, Signed, verify

STAYED = frozenset({Event.HELD, Event.REFUSE})
"""Messages that did not go: the hash of their sender's record stands in the header, not in the leaf (L9)."""


def senders_hash(leaf: Leaf, facts: dict[str, Json]) -> bytes:
    """The hash of the sender's record that belongs to an opened entry.

    Raises:
        Refusal: FORM, NOT_CANONICAL, VERSION when the record of what did not go quotes no header.
    """
    if facts.get("event") not in STAYED:
        return leaf.sender_record
    return unb64(parse_header(str(facts.get("header", "")).encode()).ar, 32)


def tell(index: int, leaf: Leaf, facts: dict[str, Json], view: Directory, shelf: Shelf) -> Told:
    """What a relay's record tells, held against the leaf, the signatures in it, the directory and the rule."""
    told: Told | None = None
    try:
        stamp = Stamp.model_validate(facts | {"event": Event(facts.get("event", ""))})
        told = Told(index, str(stamp.event), stamp.ts, stamp.rule, policy=stamp.policy)
        if stamp.event in (Event.ACCEPT, Event.HELD, Event.REFUSE):
            told = _message(told, stamp.event, leaf, Message.model_validate(facts), view)
            return told.blamed(*_otherwise(told, stamp, facts, view, shelf))
        if stamp.event == Event.OVERRIDE:
            return _overridden(told, facts, view, shelf.in_force(view.policies, told.ts))
        if stamp.event in (Event.LEAD_MISSING, Event.ESCALATED):
            missing = Missing.model_validate(facts)
            what = str(missing.count) if missing.count else "oversight was told" if missing.loud else ""
            told = replace(told, sender=Place(missing.a, missing.d), mid=missing.mid, what=what)
            return replace(told, more={"count": missing.count, "outside": missing.loud})
        if "eid" in facts:
            return _step(told, stamp.event, leaf, Step.model_validate(facts), facts, view)
        if stamp.event == Event.NONDISCLOSURE:
            return _undisclosed(told, leaf, Signed.from_json(facts.get("statement")), view)
        if stamp.event == Event.UNSEALED:
            return unsealed(told, leaf, Signed.from_json(facts.get("statement")), view)
        if stamp.event in (Event.HOLD, Event.LIFT):
            return held_back(told, Signed.from_json(facts.get("statement")), view)
        if stamp.event in (Event.DELETED, Event.RESTORED):
            return _of_relay(told, Deed.model_validate(facts))
        if stamp.event == Event.TWO_AGENTS:
            return replace(told, sender=Place(Twice.model_validate(facts).a, ""))
        if stamp.event == Event.HANDOVER:
            return handed(told, leaf, Signed.from_json(facts.get("statement")), view)
        return _statement(told, facts, view)
    except (ValidationError, ValueError, Refusal):
        return (told or Told(index)).blamed("form")


def compare(told: Told, record: dict[str, Json]) -> Told:
    """Add what the sender's own record tells, and a fault when it does not say what the header says."""
    if told.event == Event.NONDISCLOSURE:
        return _weighed(told, record)
    if told.event == Event.UNSEALED:
        return opening(told, record)
    header = told.header
    if header is None:
        return told
    expected: dict[str, Json] = {
        "cat": list(header.cat),
        "from": {"a": header.sender.a, "d": header.sender.d},
        "mid": header.mid,
        "pur": header.pur,
        "to": [{"a": r.a, "d": r.d} for r in header.to],
    }
    told = replace(told, ref=str(record.get("ref", "")), author=str(record.get("author", "")))
    if any(record.get(name) != value for name, value in expected.items()):
        return told.blamed("differs")
    return told


def _message(told: Told, event: Event, leaf: Leaf, said: Message, view: Directory) -> Told:
    data = said.header.encode("ascii")
    header = parse_header(data)
    transcript = labelled("fenpost/v1/header", data) + unb64(said.wm, 32) + unb64(said.body, 32)
    eid = labelled("fenpost/v1/eid", transcript)
    told = replace(
        told,
        sender=Place(header.sender.a, header.sender.d),
        to=tuple(Place(r.a, r.d) for r in header.to),
        cls=header.cls,
        rag=header.rag,
        pur=header.pur,
        cat=header.cat,
        decision=said.decision,
        eid=b64(eid),
        mid=header.mid,
        gid=header.gid or "",
        header=header,
    )
    tag = eid if event == Event.ACCEPT else event_tag(eid, event, header.sender.a, header.sender.d)
    if tag != leaf.tag or (event == Event.ACCEPT and header.ar != b64(leaf.sender_record)):
        told = told.blamed("tag")
    try:
        key = view.key(header.signer, Use.MSG, header.ts, header.sender.a)
        verify(key.public, Purpose.ENVELOPE, transcript, unb64(said.sig, 64))
    except Refusal:
        return told.blamed("quoted")
    return told


def _otherwise(
    told: Told, stamp: Stamp, facts: dict[str, Json], view: Directory, shelf: Shelf
) -> tuple[str, ...]:
    if told.header is None:
        return ()
    return decided_otherwise(told.header, told.ts, stamp.policy, facts, view, shelf)


def _step(told: Told, event: Event, leaf: Leaf, said: Step, facts: dict[str, Json], view: Directory) -> Told:
    step: dict[str, Any] = {"sender": Place(said.a, said.d), "eid": said.eid, "mid": said.mid or ""}
    if event_tag(unb64(said.eid, 32), event, said.a, said.d) != leaf.tag:
        step["faults"] = ("tag",)
    if (quoted := facts.get("receipt")) is not None:
        signed = Signed.from_json(quoted)
        receipt = parse_receipt(signed)
        more: dict[str, Json] = {"role": receipt.role or "", "reason": receipt.reason or ""}
        more |= {"signed": receipt.ts, "signer": receipt.signer}
        told = replace(told, **step, what=receipt.reason or "", more=more)
        fits = (receipt.eid, receipt.a, receipt.d, receipt.state) == (said.eid, said.a, said.d, str(event))
        if not fits or not holds(
            signed, receipt.signer, Use.MSG, receipt.ts, receipt.a, Purpose.RECEIPT, view
        ):
            return told.blamed("quoted")
        return told
    told = replace(told, **step)
    if event == Event.WITHDRAWN:
        signed = Signed.from_json(facts.get("statement"))
        ended = ending(signed)
        told = replace(told, gid=ended.gid)
        if isinstance(ended, Grant):
            fits = holds(signed, ended.signer, Use.CONSENT, told.ts, ended.iss, Purpose.GRANT, view)
        else:
            fits = holds(signed, ended.signer, Use.CONSENT, told.ts, ended.by, Purpose.WITHDRAW, view)
        if not fits:
            return told.blamed("quoted")
    elif event in (Event.COLLECTED, Event.OPENED, Event.TAKEN_ON, Event.REJECTED):
        return told.blamed("quoted")
    elif event == Event.BREAK_GLASS:
        told = replace(told, more={"due": said.due})
    elif event == Event.EXPIRED:
        told = replace(told, more={"reason": said.state})
    return told


def _statement(told: Told, facts: dict[str, Json], view: Directory) -> Told:
    """A grant, a withdrawal, a directory statement, or an officer's reading."""
    more: dict[str, Json]
    if told.event == Event.READ:
        reader = Reader.model_validate(facts)
        told = replace(told, more={"signer": reader.kid, "first": reader.first, "count": reader.count})
        return replace(told, sender=Place(reader.a), what=f"{reader.count} from {reader.first}")
    signed = Signed.from_json(facts.get("statement"))
    if told.event == Event.GRANT:
        grant = parse_grant(signed)
        parties = tuple(Place(agency) for agency in sorted(grant.parties() - {grant.iss}))
        told = replace(told, sender=Place(grant.iss), to=parties, gid=grant.gid, cat=grant.cat)
        told = replace(told, pur=" ".join(grant.pur), more={"starts": grant.nbf, "ends": grant.exp})
        fits = holds(signed, grant.signer, Use.CONSENT, told.ts, grant.iss, Purpose.GRANT, view)
    elif told.event == Event.RECALLED:
        answer = parse_recalled(signed)
        told = replace(told, sender=Place(answer.a), gid=answer.gid, what=answer.why or answer.did)
        more = {"did": answer.did, "reason": answer.why or "", "outside": answer.outside}
        told = replace(told, more={**more, "passed": list(answer.passed)})
        fits = holds(signed, answer.signer, Use.CONSENT, told.ts, answer.a, Purpose.RECALLED, view)
    elif told.event == Event.WITHDRAW:
        ended = parse_withdrawal(signed)
        told = replace(told, sender=Place(ended.by), gid=ended.gid)
        fits = holds(signed, ended.signer, Use.CONSENT, told.ts, ended.by, Purpose.WITHDRAW, view)
    else:
        statement, body = parse_statement(signed)
        told = replace(told, sender=Place(statement.agency), what=statement.op)
        more = {"op": statement.op, "signer": statement.by}
        if isinstance(body, AddKey):
            told = replace(told, what=f"{statement.op} {body.use}")
            more |= {"role": body.person or "", "starts": body.nbf, "ends": body.exp}
        elif isinstance(body, Revoke):
            more |= {"kid": body.kid, "reason": body.reason, "ends": body.since}
        elif isinstance(body, Countersign):
            more |= {"kid": body.kid, "role": body.role}
        elif isinstance(body, PolicyBody):
            told = replace(told, what=f"{statement.op} {body.version}")
            more |= {"count": body.version, "starts": body.effective}
        elif isinstance(body, Admit):
            told = replace(told, to=(Place(body.member),))
        told = replace(told, more=more)
        fits = _stated(signed, statement, view)
    return told if fits else told.blamed("quoted")


def _overridden(told: Told, facts: dict[str, Json], view: Directory, policy: Policy | None) -> Told:
    """An override as two people signed it; `ref` is its id, and its reason is the sealed record's."""
    override = parse_override(Signed.from_json(facts.get("statement")))
    core = override.core
    told = replace(told, sender=Place(core.sender.a, core.sender.d), pur=core.pur, cat=core.cat)
    told = replace(told, to=tuple(Place(one.a, one.d) for one in core.to), mid=core.mid or "", ref=core.oid)
    told = replace(told, author=core.author, what=f"{core.scope} {core.reason}")
    more: dict[str, Json] = {
        "authoriser": override.by,
        "scope": core.scope,
        "why_no": core.reason,
        "thr": core.thr or "",
    }
    told = replace(told, more=more | {"ovr": override.hash, "b6": core.basis, "ends": core.exp})
    try:
        verify_override(override, view, terms_of(policy), told.ts)
        check_basis(core.basis, policy)
    except Refusal:
        return told.blamed("quoted")
    return told


def _undisclosed(told: Told, leaf: Leaf, signed: Signed, view: Directory) -> Told:
    """A decision not to share: who decided is clear, what was weighed stands in the sealed record."""
    said = parse_undisclosed(signed)
    told = replace(told, sender=Place(said.by), mid=said.nid)
    if undisclosed_tag(said) != leaf.tag or said.ar != b64(leaf.sender_record):
        told = told.blamed("tag")
    fits = holds(signed, said.signer, Use.MSG, said.ts, said.by, Purpose.NONDISCLOSURE, view)
    return told if fits else told.blamed("quoted")


def _weighed(told: Told, record: dict[str, Json]) -> Told:
    """What the sealed record of a decision not to share says: codes only."""
    try:
        said = Weighed.model_validate(record)
    except ValidationError:
        return told.blamed("sender")
    if told.sender is None or (said.nid, said.sender.a) != (told.mid, told.sender.agency):
        return told.blamed("differs")
    to = tuple(Place(desk.a, desk.d) for desk in said.to)
    told = replace(told, to=to, pur=said.pur, cat=tuple(said.cat), ref=said.ref, author=said.author)
    more = {"reason": said.why, "outside": said.outside, "due": said.review}
    return replace(told, what=said.why, more=more)


def _of_relay(told: Told, said: Deed) -> Told:
    count = said.count if told.event == Event.DELETED else said.lost
    return replace(told, what=said.digest, more={"count": count, "ref": said.digest})


def _stated(signed: Signed, statement: Statement, view: Directory) -> bool:
    """Whether somebody signed it who may have: that it stands in the directory shows in the directory's own log."""
    try:
        return any(
            signed.verified(key, Purpose.DIRECTORY) for key in view.speakers(statement.agency, statement.by)
        )
    except Refusal:
        return False
