"""Two checkpoints of one log that were both signed: the proof that anybody can check (PROTOCOL.md L15).

Of one size with two roots they cannot both be true, whatever the log says now. Of two sizes they are a question that
only the log can answer, by a consistency proof.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from schemas.canonical import strict_json
from schemas.checkpoint import NOTE_LIMIT, Checkpoint, LogKey, open_checkpoint
from schemas.errors import Refusal
from schemas.merkle import verify_consistency

FILE_LIMIT = 4 * NOTE_LIMIT
Verdict = Literal["forked", "unanswered"]


@dataclass(frozen=True, slots=True)
class TwoNotes:
    """Two signed notes of the log with this verifier key, as somebody kept them."""

    log: LogKey
    ours: str
    theirs: str

    def to_bytes(self) -> bytes:
        value = {"log": self.log.text(), "ours": self.ours, "theirs": self.theirs, "v": 1}
        return json.dumps(value, indent=1, sort_keys=True).encode("ascii") + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> TwoNotes:
        """Raises Refusal FORM, TOO_BIG, VERSION, CHECKPOINT."""
        value = strict_json(data, FILE_LIMIT)
        if not isinstance(value, dict) or set(value) != {"log", "ours", "theirs", "v"}:
            raise Refusal("FORM")
        if value["v"] != 1 or isinstance(value["v"], bool):
            raise Refusal("VERSION")
        log, ours, theirs = value["log"], value["ours"], value["theirs"]
        if not (isinstance(log, str) and isinstance(ours, str) and isinstance(theirs, str)):
            raise Refusal("FORM")
        return cls(LogKey.parse(log), ours, theirs)

    def heads(self) -> tuple[Checkpoint, Checkpoint]:
        """Both checkpoints, the smaller first, each signed by the log. Raises Refusal CHECKPOINT."""
        found = [open_checkpoint(note, self.log) for note in (self.ours, self.theirs)]
        older, newer = sorted(found, key=lambda checkpoint: checkpoint.size)
        return older, newer

    def judge(self, proof: tuple[bytes, ...] | None = None) -> Verdict:
        """What the notes prove; `proof` is the log's answer to the question how they fit together.

        forked: the log signed two that cannot both be true. unanswered: they may fit, and it was not shown how.

        Raises:
            Refusal: CHECKPOINT when a note is not the log's; CONFLICT when the two fit together, so nothing is proven.
        """
        older, newer = self.heads()
        if older.size == newer.size and older.root != newer.root:
            return "forked"
        if older.size in (newer.size, 0):
            raise Refusal("CONFLICT", "The two notes fit together. They prove nothing.")
        if proof is None:
            return "unanswered"
        try:
            verify_consistency(older.size, older.root, newer.size, newer.root, proof)
        except Refusal:
            return "unanswered"  # anybody can make up a wrong proof
        raise Refusal("CONFLICT", "The two notes fit together. They prove nothing.")
