"""A policy tried on past headers: how many would have been decided otherwise, and by which rows. Pure.

Counts only: no agency, no message and nobody is named in the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from schemas.canonical import Json, encode, strict_json
from schemas.consent import decide
from schemas.decision import Decision
from schemas.directory import Directory
from schemas.envelope import Header, parse_header
from schemas.errors import Refusal
from schemas.facts import Coverage, Facts, RequestFacts
from schemas.policy import Policy
from schemas.recorded import read_facts
from schemas.references import onward_facts

LINE_LIMIT = 64 * 1024
WORDS = ("delivered", "delivered with an alert", "held", "refused")


@dataclass(frozen=True, slots=True)
class Past:
    """A header as it was decided on: when, and what the relay knew besides; None when the line does not say."""

    header: Header
    ts: int
    known: Json

    def facts(self, view: Directory, policy: Policy | None) -> Facts:
        """What the rule is asked, under a policy. Raises Refusal UNKNOWN_AGENCY, FORM."""
        header = self.header
        if self.known is not None:
            return read_facts(header, self.known, policy, self.ts)
        coverage: Coverage = "none" if header.gid is None else "covers"
        parties = tuple(view.party(recipient.a) for recipient in header.to)
        sender, onward = view.party(header.sender.a), onward_facts(header)
        asked = None if header.law.rfi is None else RequestFacts(open=True, asked=frozenset(header.cat))
        return Facts(header, coverage, sender, parties, policy, self.ts, request=asked, onward=onward)


@dataclass(frozen=True, slots=True)
class Way:
    """How a policy decides: outcome, code, and the rows that decided."""

    outcome: str
    code: str
    rows: tuple[int, ...]

    @classmethod
    def of(cls, decision: Decision) -> Way:
        return cls(WORDS[decision.outcome], decision.code, decision.rows)

    def to_json(self) -> dict[str, Json]:
        return {"code": self.code, "outcome": self.outcome, "rows": list(self.rows)}

    def __str__(self) -> str:
        rows = f"row{'s' if len(self.rows) > 1 else ''} {', '.join(map(str, self.rows))}" if self.rows else ""
        return " ".join(filter(None, (self.outcome, self.code, f"({rows})" if rows else "")))


@dataclass(slots=True)
class Trial:
    """What came of it: headers tried, those that could not be, and those decided otherwise."""

    tried: int = 0
    passed_over: int = 0
    changed: Counter[tuple[Way, Way]] = field(default_factory=Counter)

    @property
    def otherwise(self) -> int:
        """How many would have come out otherwise: another outcome or another code."""
        return self.changed.total()


def read_past(lines: Iterable[bytes]) -> Iterator[Past]:
    """Headers, one a line: {"header", "known", "ts"} as `fenpost-audit headers` prints them, or a header alone.

    A header alone is taken at its own time, its parties as the directory has them now, and the agreement that it names
    is taken to cover it, the request that it answers to be open and to have asked for it.

    Raises:
        Refusal: FORM, NOT_CANONICAL, TOO_BIG and what parse_header says, with the line's number.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _past(strict_json(line, LINE_LIMIT))
        except Refusal as refusal:
            raise Refusal(refusal.code, detail=(f"line {number}",)) from refusal


def _past(value: Json) -> Past:
    if not isinstance(value, dict):
        raise Refusal("FORM")
    if "header" not in value:
        header = parse_header(encode(value))
        return Past(header, header.ts, None)
    header, ts, known = parse_header(encode(value["header"])), value.get("ts"), value.get("known")
    if not isinstance(ts, int) or isinstance(ts, bool) or not isinstance(known, dict):
        raise Refusal("FORM")
    past = Past(header, ts, known)
    read_facts(header, known, None, ts)
    return past


def try_out(past: Iterable[Past], view: Directory, old: Policy | None, new: Policy) -> Trial:
    """Decide each header under both policies, at its own time.

    A header alone whose agencies are no longer members is passed over and counted.
    """
    trial = Trial()
    for one in past:
        try:
            before, after = (Way.of(decide(one.facts(view, policy))) for policy in (old, new))
        except Refusal:
            trial.passed_over += 1
            continue
        trial.tried += 1
        if (before.outcome, before.code) != (after.outcome, after.code):
            trial.changed[before, after] += 1
    return trial
