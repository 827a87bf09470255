"""What a person agreed to, read from what a worker wrote, with everybody by id (PROTOCOL.md J5, J6)."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from agent.consent_ledger import Scope
from agent.directory import Book
from agent.forms import Json
from schemas.categories import CATEGORIES
from schemas.errors import Refusal
from schemas.messages.catalogue import parse_payload
from schemas.messages.consent import ConsentGrant

NEWER = frozenset({"UNKNOWN_AGENCY", "STALE_DIRECTORY"})
"""Refusals that a newer directory may cure."""
ABOUT = "AAAAAAAAAAAAAAAAAAAAAA"
"""Stands for the handle while a form is read: the form has no handle yet."""


class ScopeReader:
    """Reads scopes for one agency."""

    def __init__(self, book: Book, agency: str) -> None:
        self._book = book
        self._agency = agency

    async def read(
        self, to: tuple[str, ...], purposes: tuple[Any, ...], categories: tuple[str, ...], evidence: Json
    ) -> Scope:
        """What a person agreed to, with everybody by id.

        Raises:
            Refusal: MISSING, NOT_ALONE and the form's others; UNKNOWN_AGENCY, FORM.
        """
        if not CATEGORIES.issuperset(categories):
            raise Refusal("FORM", "Not a category of the list.", detail=("categories",))
        read_evidence(evidence)
        try:
            found = self._found(to)
        except Refusal as refusal:
            if refusal.code not in NEWER:
                raise
            with contextlib.suppress(Refusal):
                await self._book.refresh()
            found = self._found(to)
        agencies = tuple(dict.fromkeys(one for one in found if one != self._agency))
        if not agencies:
            raise Refusal("FORM", "Name another agency.", detail=("to",))
        named = tuple(dict.fromkeys(purposes)), tuple(sorted(set(categories)))
        return Scope(agencies, *named, self._with_ids(evidence))

    def _with_ids(self, evidence: Json) -> Json:
        """Whom the person ruled out, by id: a name that is compared with an id would rule out nobody.

        Raises:
            Refusal: UNKNOWN_AGENCY for a name that the directory does not have, rather than keep a limit that holds
                nothing back.
        """
        limits = evidence.get("limits") or {}
        if not limits.get("not_recipients"):
            return evidence
        ids = [self._ruled_out(text) for text in limits["not_recipients"]]
        return {**evidence, "limits": {**limits, "not_recipients": ids}}

    def _ruled_out(self, text: str) -> str:
        agency, slash, desk = text.partition("/")
        try:
            return self._book.view().find(agency).id + slash + desk
        except Refusal as refusal:
            raise Refusal(
                refusal.code,
                "Somebody in `not_recipients` is not in the directory, so nothing would be held back from them. Write "
                "an agency as the directory names it, or agency/desk. Anybody else belongs in `in_own_words`.",
                detail=("evidence.limits.not_recipients",),
            ) from refusal

    def _found(self, names: tuple[str, ...]) -> list[str]:
        view = self._book.view()
        return [view.addressee(name, self._book.fresh).id for name in names]


def read_evidence(evidence: Json) -> ConsentGrant:
    """How a person was asked. Raises Refusal MISSING, NOT_ALONE and the form's others."""
    if fixed := {"type", "v", "gid"} & set(evidence):
        raise Refusal("FORM", "The agent fills these in by itself.", detail=tuple(sorted(fixed)))
    message = parse_payload(json.dumps({**evidence, "type": "consent.grant", "v": 1, "gid": ABOUT}))
    if not isinstance(message, ConsentGrant):
        raise Refusal("FORM", detail=("evidence",))
    return message
