"""A partnership's policy: vocabulary, sharing agreements, thresholds, periods, as one dated file (PROTOCOL.md C14-C17).

Rules of this house:
- a policy is data: canonical JSON, every field there, unknown fields refused; it names tests and meanings that the
  software has, and brings none;
- it may be stricter than the protocol, never looser;
- this module reads and looks up; who signed a policy, and which is in force, is for schemas.policing.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from schemas.canonical import Json, decode, encode, strict_json
from schemas.directory import Party
from schemas.directory_statement import Flags, Text
from schemas.envelope import AgencyId, Frozen, Seconds
from schemas.errors import Refusal
from schemas.policing import POLICY_LIMIT, policy_digest
from schemas.vocabulary import CodeText, Dated, PurposeEntry, Term, Vocabulary, forbidden

ANYBODY = "*"
DAY = 24 * 3600


def _pair(parties: tuple[str, ...]) -> tuple[str, ...]:
    if parties != (ANYBODY,) and (len(parties) < 2 or list(parties) != sorted(set(parties))):
        raise ValueError("two agencies or more, in order, each once; or all of them")
    return parties


class DataSharing(Term):
    """A data-sharing agreement: between whom (`["*"]`: every two members), for what, and when (null is open)."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    parties: Annotated[
        tuple[AgencyId | Literal["*"], ...], Field(min_length=1, max_length=256), AfterValidator(_pair)
    ]
    purposes: tuple[CodeText, ...] = Field(min_length=1, max_length=64)


class FlagsOverride(Frozen):
    """What the partnership says of an agency in place of the directory; null leaves the directory's word."""

    public_authority: bool | None
    s16la_member: bool | None
    cda_relevant: bool | None


class Thresholds(Frozen):
    """How long things last, in seconds or days. The upper bounds are the protocol's."""

    staple_s: Annotated[int, Field(ge=3600, le=DAY)]
    grant_days: Annotated[int, Field(ge=1, le=90)]
    prompt_days: Annotated[int, Field(ge=1, le=90)]
    override_msg_s: Annotated[int, Field(ge=3600, le=3 * DAY)]
    override_thread_s: Annotated[int, Field(ge=3600, le=28 * DAY)]
    role_key_delay_s: Annotated[int, Field(ge=0, le=7 * DAY)]
    hold_amber_s: Annotated[int, Field(ge=3600, le=14 * DAY)]
    hold_escalate_s: Annotated[int, Field(ge=60, le=14 * DAY)]
    hold_red_s: Annotated[int, Field(ge=600, le=3 * DAY)]
    hold_red_escalate_s: Annotated[int, Field(ge=60, le=DAY)]
    hold_red_bell_s: Annotated[int, Field(ge=60, le=DAY)]
    lead_due_s: Annotated[int, Field(ge=60, le=DAY)]
    unsafe_days: Annotated[int, Field(ge=1, le=90)]


class Kept(Frozen):
    """How many days sealed records of the log are kept (Y3), and the notice before they go (Y5).

    `log_days` counts from the event; records about a child have `child_days`; the directory's have `directory_days`.
    """

    log_days: Annotated[int, Field(ge=28, le=40_000)]
    child_days: Annotated[int, Field(ge=28, le=40_000)]
    directory_days: Annotated[int, Field(ge=28, le=40_000)]
    notice_days: Annotated[int, Field(ge=1, le=366)]

    @property
    def shortest(self) -> int:
        """Nothing goes before this many seconds."""
        return min(self.log_days, self.child_days, self.directory_days) * DAY


class Officers(Frozen):
    """How many of each an agency must have: IG officers, and safeguarding leads."""

    ig: Annotated[int, Field(ge=1, le=16)]
    lead: Annotated[int, Field(ge=0, le=16)]


class Period(Frozen):
    """So many hours by the clock (H), working hours (WH) or working days (WD)."""

    n: Annotated[int, Field(ge=1, le=1000)]
    unit: Literal["H", "WH", "WD"]


class ColourPeriods(Frozen):
    """By when a person acknowledges a message of this colour, and answers it."""

    acknowledge: Period
    respond: Period


class Periods(Frozen):
    """The default periods of each colour; a kind of message may have its own."""

    RED: ColourPeriods
    AMBER: ColourPeriods
    GREEN: ColourPeriods


@dataclass(frozen=True, slots=True)
class Standing:
    """A dated code as the rule looks it up."""

    since: int
    until: int
    marks: frozenset[str]
    test: str | None = None
    duty: str | None = None


class Policy(Frozen):
    """What a partnership's two signatories laid down. `version` runs; it counts from `effective`."""

    v: Annotated[int, Field(ge=1, le=1)]
    version: Annotated[int, Field(ge=1, le=2**31)]
    name: Text
    effective: Seconds
    vocabulary: Vocabulary
    agreements: tuple[DataSharing, ...] = Field(max_length=1024)
    flags: dict[AgencyId, FlagsOverride] = Field(max_length=256)
    thresholds: Thresholds
    officers: Officers
    periods: Periods
    retention: Kept
    authorisers: tuple[CodeText, ...] = Field(min_length=1, max_length=8)
    break_glass: bool

    @classmethod
    def parse(cls, data: bytes) -> Policy:
        """Read a policy's text.

        Raises:
            Refusal: TOO_BIG, NOT_CANONICAL, FORM (its shape), PURPOSE (one that can never be added), POLICY_FAULT
                (it does not hold together); `detail` names the places.
        """
        decode(data, POLICY_LIMIT)
        try:
            policy = cls.model_validate_json(data)
        except ValidationError as error:
            rows = error.errors(include_input=False, include_url=False, include_context=False)
            places = [".".join(str(part) for part in row["loc"]) for row in rows]
            code = "POLICY_FAULT" if all(row["type"] == "value_error" for row in rows) else "FORM"
            raise Refusal(code, detail=tuple(places[:8])) from None
        if any(map(forbidden, policy.vocabulary.purposes)):
            raise Refusal("PURPOSE", detail=("vocabulary.purposes",))
        if faults := policy.faults():
            raise Refusal("POLICY_FAULT", detail=tuple(faults[:8]))
        return policy

    def faults(self) -> list[str]:
        """Where its parts do not fit together."""
        known = {purpose.code for purpose in self.vocabulary.purposes}
        found = self.vocabulary.faults()
        if len({one.id for one in self.agreements}) != len(self.agreements):
            found.append("agreements")
        found += [
            f"agreements.{one.id}.purposes" for one in self.agreements if not known.issuperset(one.purposes)
        ]
        if self.thresholds.hold_escalate_s > self.thresholds.hold_amber_s:
            found.append("thresholds.hold_escalate_s")
        if self.thresholds.hold_red_escalate_s > self.thresholds.hold_red_s:
            found.append("thresholds.hold_red_escalate_s")
        if self.thresholds.hold_red_bell_s > self.thresholds.hold_red_escalate_s:
            found.append("thresholds.hold_red_bell_s")
        if self.retention.child_days < self.retention.log_days:
            found.append("retention.child_days")
        if self.thresholds.prompt_days >= self.thresholds.grant_days:
            found.append("thresholds.prompt_days")
        return found

    @cached_property
    def text(self) -> bytes:
        """The canonical text that is signed, published and hashed."""
        return encode(self.model_dump(mode="json", by_alias=True))

    @cached_property
    def digest(self) -> str:
        return policy_digest(self.text)

    # --- looking up: built once, read for every message

    @cached_property
    def bases(self) -> Mapping[str, Standing]:
        return _standing(self.vocabulary.bases)

    @cached_property
    def conditions(self) -> Mapping[str, Standing]:
        return _standing(self.vocabulary.conditions)

    @cached_property
    def paragraphs(self) -> Mapping[str, Standing]:
        return _standing(self.vocabulary.schedule1)

    @cached_property
    def gateways(self) -> Mapping[str, Standing]:
        return _standing(self.vocabulary.gateways)

    @cached_property
    def states(self) -> Mapping[str, str]:
        return {entry.code: entry.means for entry in self.vocabulary.states}

    @cached_property
    def reasons(self) -> Mapping[str, str]:
        return {entry.code: entry.means for entry in self.vocabulary.why_no}

    @cached_property
    def told(self) -> Mapping[str, str]:
        return {entry.code: entry.means for entry in self.vocabulary.told}

    @cached_property
    def onward(self) -> Mapping[str, str]:
        return {entry.code: entry.means for entry in self.vocabulary.onward}

    @cached_property
    def attestations(self) -> Mapping[str, str]:
        return {entry.code: entry.need for entry in self.vocabulary.vir}

    @cached_property
    def decided_by(self) -> frozenset[str]:
        return frozenset(entry.code for entry in self.vocabulary.decided_by)

    @cached_property
    def confidence(self) -> frozenset[str]:
        return frozenset(entry.code for entry in self.vocabulary.confidence)

    @cached_property
    def purposes(self) -> Mapping[str, PurposeEntry]:
        return {entry.code: entry for entry in self.vocabulary.purposes}

    def party(self, agency: str, found: Party) -> Party:
        """An agency as the directory has it, with what this policy says in its place."""
        said = self.flags.get(agency)
        if said is None:
            return found
        kept = found.flags.model_dump()
        return Party(Flags(**(kept | said.model_dump(exclude_none=True))), found.sector)

    def shares(self, sender: str, recipients: Sequence[str], purpose: str, at: int) -> bool:
        """Whether a data-sharing agreement stands between the sender and every recipient for this purpose."""
        live = [parties for one, parties in self._sharing.get(purpose, ()) if one.stands(at)]
        if None in live:
            return True
        mine = [parties for parties in live if parties is not None and sender in parties]
        return all(to == sender or any(to in parties for parties in mine) for to in recipients)

    @cached_property
    def _sharing(self) -> Mapping[str, tuple[tuple[DataSharing, frozenset[str] | None], ...]]:
        found: dict[str, list[tuple[DataSharing, frozenset[str] | None]]] = {}
        for one in self.agreements:
            parties = None if one.parties == (ANYBODY,) else frozenset(one.parties)
            for purpose in one.purposes:
                found.setdefault(purpose, []).append((one, parties))
        return {purpose: tuple(rows) for purpose, rows in found.items()}


def _standing(entries: tuple[Dated, ...]) -> Mapping[str, Standing]:
    return {
        entry.code: Standing(
            entry.since or 0,
            2**53 if entry.until is None else entry.until,
            frozenset(getattr(entry, "marks", ())),
            getattr(entry, "test", None),
            getattr(entry, "duty", None),
        )
        for entry in entries
    }


def founding(effective: int = 0, version: int = 1) -> Policy:
    """The default policy, of the partnership of the founding documents, in force from `effective` (C17).

    It comes with the program, as its code does: reading it is no I/O of the protocol.
    """
    data = pkgutil.get_data("schemas", "policies/founding.json")
    if data is None:
        raise Refusal("POLICY")
    said: dict[str, Json] = strict_json(data, POLICY_LIMIT)
    return Policy.parse(encode({**said, "effective": effective, "version": version}))
