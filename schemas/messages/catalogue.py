"""The catalogue: which forms exist, how one is read and how it is printed (PROTOCOL.md M1).

Rules of this house:
- a form is named by `type` and `v`; a change of a form is a new `v`, and never an edit of an old one;
- any text gives a message or a refusal, and nothing in between;
- reading is the inverse of printing. What is signed and hashed are the printed bytes, as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from schemas.errors import Refusal
from schemas.lawful import MessageClass
from schemas.messages.concern import AdultConcern, ChildConcern
from schemas.messages.consent import ConsentGrant, ConsentWithdraw
from schemas.messages.filling import fill
from schemas.messages.information import InfoGive, InfoRequest
from schemas.messages.passing import OnwardAnswer, OnwardAsk
from schemas.messages.reading import PAYLOAD_LIMIT, read_object, refused
from schemas.messages.reconciliation import Reconcile
from schemas.messages.referral import Referral
from schemas.messages.response import Response

Message = (
    Referral
    | Response
    | ChildConcern
    | AdultConcern
    | InfoRequest
    | InfoGive
    | OnwardAsk
    | OnwardAnswer
    | ConsentGrant
    | ConsentWithdraw
    | Reconcile
)

FORMS: Mapping[tuple[str, int], type[Message]] = {
    ("referral.universal", 1): Referral,
    ("referral.response", 1): Response,
    ("child.concern", 1): ChildConcern,
    ("adult.concern", 1): AdultConcern,
    ("info.request", 1): InfoRequest,
    ("info.give", 1): InfoGive,
    ("onward.ask", 1): OnwardAsk,
    ("onward.answer", 1): OnwardAnswer,
    ("consent.grant", 1): ConsentGrant,
    ("consent.withdraw", 1): ConsentWithdraw,
    ("reconcile", 1): Reconcile,
}
CLASSES: Mapping[str, MessageClass] = {
    "referral.universal": "REFER",
    "referral.response": "RESPOND",
    "child.concern": "SAFEGUARD",
    "adult.concern": "SAFEGUARD",
    "info.request": "INFOREQ",
    "info.give": "INFOGIVE",
    "onward.ask": "UPDATE",
    "onward.answer": "RESPOND",
    "consent.grant": "CONSENT",
    "consent.withdraw": "CONSENT",
    "reconcile": "ADMIN",
}
"""The header's class for each type: coarse on purpose, so that the relay learns less."""


def parse_payload(data: str | bytes) -> Message:
    """Read a message.

    Args:
        data: the payload, at most 64 KiB of UTF-8 JSON.

    Raises:
        Refusal: about the text TOO_BIG, NOT_UTF8, NOT_JSON, DUPLICATE_KEY, BAD_NUMBER; about the form UNKNOWN_TYPE,
            UNKNOWN_VERSION; about its fields UNKNOWN_FIELD, MISSING, TOO_LONG, BAD_TEXT, UNKNOWN_CODE, BAD_VALUE,
            UNSAFE_CONTACT, ADDRESS_WITHHELD, DIGITAL_UNSAFE, COLOUR_TOO_LOW, NOT_ALONE. `detail` names fields.
    """
    text, value = read_object(data)
    return fill(_form(value), text, value)


def print_payload(message: Message) -> str:
    """Print a message: sorted keys, no spaces, what was not asked left out. The same message gives the same text.

    Raises:
        Refusal: TOO_BIG, when it is larger than a payload may be.
    """
    value = message.model_dump(exclude_defaults=True)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > PAYLOAD_LIMIT:
        raise Refusal("TOO_BIG", party="sender")
    return text


def class_of(message: Message) -> MessageClass:
    """The header's `cls` for a message."""
    return CLASSES[message.type]


def export_schemas() -> dict[str, dict[str, Any]]:
    """The forms as JSON Schema 2020-12, by file name without its ending: `referral.universal.v1`.

    A JSON Schema cannot say what one answer makes necessary (a reason for AMBER, a number for a safe channel): the
    forms' `owed` says that, and the description of each form repeats it.
    """
    return {f"{kind}.v{version}": _schema(kind, version) for kind, version in FORMS}


def _form(value: Mapping[str, Any]) -> type[Message]:
    kind, version = value.get("type"), value.get("v")
    versions = {known: form for (name, known), form in FORMS.items() if name == kind}
    if not versions:
        raise refused(
            "UNKNOWN_TYPE",
            f"The field type names no form of the partnership. Forms: {', '.join(sorted(CLASSES))}.",
            ("type",),
        )
    # True equals 1 in Python, and a version is not a truth value.
    if type(version) is not int or version not in versions:
        raise refused(
            "UNKNOWN_VERSION",
            "The field v names a version of this form that this program does not know. Update the older program.",
            ("v",),
        )
    return versions[version]


def _schema(kind: str, version: int) -> dict[str, Any]:
    schema = TypeAdapter(FORMS[kind, version]).json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:fenpost:message:{kind}:v{version}",
        **_either(schema),
    }


def _either(node: Any) -> Any:
    # `not_asked_yet` is also a text, so both branches of a text that was not asked fit: any of them, not one.
    if isinstance(node, dict):
        return {"anyOf" if key == "oneOf" else key: _either(item) for key, item in node.items()}
    return [_either(item) for item in node] if isinstance(node, list) else node
