"""Refusals: the one way Fenpost says no.

Rules of this house:
- a refusal carries a stable code, a sentence that its reader can act on, whose turn it is (`party`) and whether
  trying the same thing again can help (`retry`); what each code means stands in schemas.kinds;
- a refusal never carries what a person wrote, a name, or an identifier of a case: `detail` holds field names only.
"""

from __future__ import annotations

from schemas.kinds import KINDS, UNLISTED, Party


class Refusal(Exception):
    """A refusal with a stable code (PROTOCOL.md R1).

    Args:
        code: one of KINDS.
        say: a sentence for the person who must act; the code's own sentence when left out.
        party: who must act; the code's own when left out.
        retry: whether the same request may succeed later; the code's own when left out.
        detail: names of the fields or codes concerned, never their values.
    """

    def __init__(
        self,
        code: str,
        say: str | None = None,
        *,
        party: Party | None = None,
        retry: bool | None = None,
        detail: tuple[str, ...] = (),
    ) -> None:
        kind = KINDS.get(code, UNLISTED)
        self.code = code
        self.say = kind.say if say is None else say
        self.party: Party = kind.party if party is None else party
        self.retry = kind.retry if retry is None else retry
        self.detail = detail
        super().__init__(f"{code}: {self.say}")
