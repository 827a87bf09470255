"""What messages refer to, held against what the log itself shows: requests and sources (PROTOCOL.md C21).

The relay writes what it knew of a request, and the sender what it says of a source. Where the officer can open the
entry of the request or the source, that entry counts. What she cannot see is no fault.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from keys_tooling.audit.told import Told
from schemas.audit import Event
from schemas.envelope import Header
from schemas.facts import RequestFacts
from schemas.recorded import read_request
from schemas.references import request_facts


@dataclass(frozen=True, slots=True)
class Carried:
    """What is remembered of an accepted message: who wrote it to whom, and what it says of being passed on."""

    sender: str
    to: frozenset[str]
    terms: tuple[str, str]


@dataclass(slots=True)
class References:
    """Accepted messages as entries pass by in the order of the log."""

    requests: dict[str, Header] = field(default_factory=dict)
    carried: dict[str, Carried] = field(default_factory=dict)

    def held(self, told: Told) -> Told:
        """The entry, blamed with "request" or "source" where earlier entries say otherwise."""
        header = told.header
        if header is None or "form" in told.faults:
            return told
        faults = (*self._request(header, told), *self._source(header))
        if told.event == Event.ACCEPT:
            self._keep(header)
        return told.blamed(*faults)

    def _keep(self, header: Header) -> None:
        if header.cls == "INFOREQ":
            self.requests[header.mid] = header
        to = frozenset(one.a for one in header.to)
        self.carried[header.mid] = Carried(header.sender.a, to, (header.law.onward, header.pur))

    def _request(self, header: Header, told: Told) -> tuple[str, ...]:
        asked = self.requests.get(header.law.rfi or "")
        known = None if told.decision is None else told.decision.known
        if asked is None or known is None or header.cls != "INFOGIVE":
            return ()
        # Without a request, one that is closed is as good: the relay forgets it some time after its end.
        said, shown = _counts(read_request(known)), _counts(request_facts(header, (asked,)))
        return () if said == shown else ("request",)

    def _source(self, header: Header) -> tuple[str, ...]:
        for one in header.law.src or ():
            source, leave = self.carried.get(one.mid), self.carried.get(one.leave or "")
            if source is None:
                continue
            mine = header.sender.a in source.to
            given = leave is None or (leave.sender == source.sender and header.sender.a in leave.to)
            if not mine or source.terms != (one.onward, one.pur) or not given:
                return ("source",)
        return ()


def _counts(facts: RequestFacts | None) -> frozenset[str] | None:
    """What may be answered under a request, as far as the rule asks."""
    return facts.asked if facts is not None and facts.open else None
