"""The law block's defaults: what a header says when its author did not say otherwise (PROTOCOL.md H4, C13).

Defaults, not advice: an agency's own policy may name every field. What a message really holds (special-category,
offence or a child's data, an adult at risk, that only agreement carries it) is never asked; it follows from its fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pydantic import ValidationError

from agent.references import closest
from schemas.canonical import Json
from schemas.categories import Flags as DataFlags
from schemas.directory_statement import Flags as PartyFlags
from schemas.envelope import Law
from schemas.errors import Refusal
from schemas.grants import Grant
from schemas.messages.attested import attested
from schemas.messages.catalogue import Message
from schemas.messages.heading import heading
from schemas.policy import Policy

TOLD_WITHIN = 28 * 24 * 3600
FIXED = frozenset(
    {"spec", "crim", "child", "agree_ver", "pd", "consent_only", "adult_at_risk", "asks", "src"}
)


@dataclass(frozen=True, slots=True)
class Agreed:
    """The agreement that a message rests on, and who gave it."""

    grant: Grant
    by: str


def law_block(
    message: Message,
    data: DataFlags,
    categories: tuple[str, ...],
    sender: PartyFlags,
    agreed: Agreed | None,
    said: Mapping[str, Json],
    policy: Policy | None,
    now: int,
    src: Sequence[Json] = (),
) -> Json:
    """The header's law block as canonical JSON: the author's words (`said`) over the defaults.

    `policy` says which gateways are open on agreement only; `src` is what the message passes on (H8).

    Raises:
        Refusal: FORM, naming the entries that are not of the closed lists.
    """
    if fixed := FIXED & set(said):
        raise Refusal("FORM", "These follow from the message and cannot be set.", detail=tuple(sorted(fixed)))
    follows = heading(message)
    if differ := tuple(f"law.{name}" for name in follows if name in said and said[name] != follows[name]):
        raise Refusal("FORM", "The message itself says otherwise.", detail=differ)
    law: dict[str, Json] = {
        "pd": "personal",
        "spec": data.spec,
        "crim": data.crim,
        "child": data.child,
        "gw": [],
        "onward": "ASK",
        "ooh": False,
        "retain": "R3",
        "vir": [],
        "rfi": None,
        "why_no": None,
        "hc": _harm_causer(sender) if "hc" in categories else None,
        **(_unagreed(now) if agreed is None else _agreed(agreed, data)),
        **said,
        **(_NOBODY if follows.get("pd") == "none" else {}),
        **follows,
    }
    if src:
        law |= {"src": list(src), "onward": _onward(law["onward"], src, said={*said, *follows})}
    codes = law["gw"] if isinstance(law["gw"], list | tuple) else ()
    law |= asdict(
        attested(message, [code for code in codes if isinstance(code, str)], policy, child=data.child)
    )
    if law["told"] not in ("BY", "UNSAFE"):
        law["told_by"] = None
    try:
        return Law.model_validate(_tuples(law)).model_dump(mode="json")
    except ValidationError as error:
        rows = error.errors(include_input=False, include_url=False, include_context=False)
        fields = tuple(sorted({f"law.{row['loc'][0]}" if row["loc"] else "law.told_by" for row in rows}))
        raise Refusal("FORM", "Not of the lists that a header may carry.", detail=fields) from None


_NOBODY: Mapping[str, Json] = {
    "agree": "NOT_APPLICABLE", "agree_by": None, "b6": None, "b9": None, "conf": None, "hc": None, "onward": "NONE",
    "s1": [], "told": "NA", "told_by": None,
}  # fmt: skip
"""What a message about nobody says of agreement and bases."""


def _onward(own: Json, src: Sequence[Json], said: set[str]) -> str:
    """What a message that passes something on says of being passed on itself: nothing freer than its sources do."""
    strict = closest(str(own), src)
    if "onward" in said and strict != own:
        say = f"It passes on what its source keeps closer. Say {strict} for `onward`."
        raise Refusal("FORM", say, detail=("law.onward",))
    return strict


def _agreed(agreed: Agreed, data: DataFlags) -> dict[str, Json]:
    return {
        "agree": "LIMITED" if agreed.grant.limited else "GIVEN",
        "agree_by": agreed.by,
        "agree_ver": agreed.grant.ver,
        "b6": "6a",
        "b9": "9a" if data.spec else None,
        "s1": ["s1:29"] if data.crim else [],
        "conf": "agreement",
        "told": "YES",
        "told_by": None,
    }


def _unagreed(now: int) -> dict[str, Json]:
    # No basis is guessed: without an agreement somebody has to name one, and the rule says which is missing.
    return {
        "agree": "NOT_SOUGHT",
        "agree_by": None,
        "agree_ver": None,
        "b6": None,
        "b9": None,
        "s1": [],
        "conf": None,
        "told": "BY",
        "told_by": now + TOLD_WITHIN,
    }


def _harm_causer(sender: PartyFlags) -> Json:
    # She agreed, he was not asked: his data needs a basis of its own (unlawful acts, with the extension).
    return {"b6": "6e" if sender.public_authority else "6f", "s1": ["s1:10", "s1:36"]}


def _tuples(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
