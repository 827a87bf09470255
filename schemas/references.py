"""What a header refers to: the request that it answers, and the messages that it passes on (PROTOCOL.md H8, C19, C20).

Rules of this house:
- an answer is judged by the request's own header, which its sender, the relay, its recipient and their officers saw;
- what a message passes on is its sender's word, signed: whoever saw the source compares.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.envelope import Header
from schemas.facts import OnwardFacts, RequestFacts
from schemas.hashing import labelled

OPEN_FOR = 28 * 24 * 3600
"""How long a request may be answered, in seconds from its own time."""


def request_mark(asker: str, asked: str, mid: str) -> bytes:
    """The 32 bytes under which a relay remembers that `asker` asked `asked` by the message `mid` (C19)."""
    return labelled("fenpost/v1/information-request", f"{asker}\x00{asked}\x00{mid}".encode("ascii"))


def stays_open(asked: int, answered: int) -> bool:
    """Whether a request of the time `asked` may be answered at `answered`."""
    return answered < asked + OPEN_FOR


def request_facts(answer: Header, carried: Iterable[Header]) -> RequestFacts | None:
    """What the rule may know of the request that an answer names (row 19).

    Args:
        answer: a header; None is said of all but those of class INFOGIVE that name a request.
        carried: headers that were seen, among which the request may be.
    """
    if answer.cls != "INFOGIVE" or answer.law.rfi is None:
        return None
    for request in carried:
        if _answers(answer, request):
            return RequestFacts(
                open=stays_open(request.ts, answer.ts), asked=frozenset(request.law.asks or ())
            )
    return None


def onward_facts(header: Header, seen: Iterable[Header] = ()) -> tuple[OnwardFacts, ...]:
    """What the rule may know of the messages that a header passes on (row 22).

    `seen` are headers that are at hand: where one of them is a source, its own words count and not what is said of it.
    """
    if header.law.src is None:
        return ()
    known = {one.mid: one for one in seen}
    said = []
    for one in header.law.src:
        source = known.get(one.mid)
        terms = (one.onward, one.pur) if source is None else (source.law.onward, source.pur)
        said.append(OnwardFacts(*terms, granted=one.leave is not None))
    return tuple(said)


def _answers(answer: Header, request: Header) -> bool:
    return (
        request.cls == "INFOREQ"
        and request.mid == answer.law.rfi
        and answer.sender.a in {to.a for to in request.to}
        and all(to.a == request.sender.a for to in answer.to)
    )
