"""What IG officers signed, as an entry tells it: openings, handovers, holds (PROTOCOL.md U1-U6, Y7, Y8). Pure."""

from __future__ import annotations

from dataclasses import replace

from keys_tooling.audit.told import Place, Told, holds
from schemas.audit import Event, Leaf
from schemas.canonical import Json, b64
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.handover import check_handover, handover_tag, parse_handover
from schemas.hold import Hold, parse_hold, parse_lift
from schemas.keys import Use
from schemas.ranges import count_of, spelled
from schemas.signing import Purpose, Signed
from schemas.unsealing import parse_unsealed, read_opened, unsealed_tag


def unsealed(told: Told, leaf: Leaf, signed: Signed, view: Directory) -> Told:
    """An officer's opening: who opened is clear, what and why stands in the sealed record."""
    said = parse_unsealed(signed)
    told = replace(told, sender=Place(said.a), mid=said.oid, more={"signer": said.signer, "signed": said.ts})
    if unsealed_tag(said) != leaf.tag or said.ar != b64(leaf.sender_record):
        told = told.blamed("tag")
    fits = holds(signed, said.signer, Use.IG_AUTH, said.ts, said.a, Purpose.UNSEALED, view)
    return told if fits else told.blamed("quoted")


def opening(told: Told, record: dict[str, Json]) -> Told:
    """What she opened, and why, as her own sealed record says."""
    try:
        said = read_opened(record)
    except Refusal:
        return told.blamed("sender")
    if (said.oid, said.by) != (told.mid, told.more.get("signer")):
        return told.blamed("differs")
    what = " ".join(filter(None, (said.act, said.of, said.why, "offline" if said.offline else "")))
    more: dict[str, Json] = {"scope": said.act, "op": said.of, "reason": said.why, "words": said.words}
    more |= {"first": said.first, "count": said.count, "outside": said.offline}
    return replace(told, what=what, more={**told.more, **more})


def handed(told: Told, leaf: Leaf, signed: Signed, view: Directory) -> Told:
    """Keys of entries passed on between two officers."""
    said = parse_handover(signed)
    given = said.given
    more: dict[str, Json] = {"scope": given.of, "signer": given.by, "authoriser": given.to, "kid": given.new}
    more |= {"first": given.first, "count": given.last - given.first + 1, "signed": said.ts}
    told = replace(told, sender=Place(given.a), mid=given.hid, what=given.of, more=more)
    if handover_tag(given) != leaf.tag:
        told = told.blamed("tag")
    try:
        check_handover(said, view)
    except Refusal:
        return told.blamed("quoted")
    return told


def held_back(told: Told, signed: Signed, view: Directory) -> Told:
    """A hold on entries that are needed for a review, or its end."""
    said = parse_hold(signed) if told.event == Event.HOLD else parse_lift(signed)
    purpose = Purpose.HOLD if isinstance(said, Hold) else Purpose.LIFT
    more: dict[str, Json] = {"signer": said.signer, "signed": said.ts}
    if isinstance(said, Hold):
        more |= {"first": said.ranges[0][0], "count": count_of(said.ranges)}
        told = replace(told, what=spelled(said.ranges))
    told = replace(told, sender=Place(said.by), mid=said.hid, more=more)
    fits = holds(signed, said.signer, Use.IG_AUTH, said.ts, said.by, purpose, view)
    return told if fits else told.blamed("quoted")
