"""A share as a page for a safe: one page a share, never two on one, as plain text and as PDF where typst is there."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from keys_tooling.backup import Head
from keys_tooling.console import paragraphs
from keys_tooling.shares import Share39
from keys_tooling.typesetting import typeset
from schemas.worktime import london

BEGIN, END = "----- the words begin -----", "----- the words end -----"
COLUMNS, WIDE = 3, 90
STEPS = paragraphs("""\
Check each word on this page against the screen, then delete the file that it was printed from.

Put this page alone into an envelope, write on it “{name}”, sign over the flap, and lock it in a safe that holds no
other share.

Write into the minutes who has it, and where. Look once a year that it is there and can be read.

Tell nobody these words: not by telephone, not by mail, not in a photograph, whoever asks.

When the keys are to come back, somebody you know asks you, in person. Bring the page, and type it yourself after:
fenpost-keys restore BACKUP --dir FOLDER

If this page was lost, copied or seen, say so at once: fenpost-keys recover shares makes new ones.""")


@dataclass(frozen=True, slots=True)
class SharePage:
    """What one page says."""

    head: Head
    share: Share39

    @property
    def name(self) -> str:
        return f"{self.head.id}-share-{self.share.number}-of-{self.head.of}"

    @property
    def title(self) -> str:
        return f"Backup {self.head.id}: share {self.share.number} of {self.head.of}"

    def facts(self) -> list[str]:
        need = self.head.need or 0
        return [
            f"Backup    {self.head.id}, of {london(self.head.made):%d %B %Y, %H:%M} (London)",
            f"Agency    {self.head.agency or 'not named'}",
            f"Keys in   {', '.join(self.head.files)}",
            f"Any {need} of the {self.head.of} shares open this backup. {need - 1} of them tell nothing of it.",
        ]

    def steps(self) -> list[str]:
        return [step.format(name=f"{self.head.id}, share {self.share.number}") for step in STEPS]

    def text(self) -> str:
        """The page in plain letters, narrow enough for a printer."""
        rows = [f"  {cell}" for cell in _columns(self.share.words)]
        steps = [_wrapped(f"{at}. {step}") for at, step in enumerate(self.steps(), 1)]
        return "\n".join(
            [
                self.title.upper(),
                "",
                *self.facts(),
                "",
                BEGIN,
                "",
                *rows,
                "",
                END,
                "",
                "What to do",
                "",
                *steps,
                "",
            ]
        )

    def pdf(self) -> bytes:
        """The page as tagged PDF (PDF/UA-1). Raises Refusal NO_PDF where typst is not installed."""
        day = london(self.head.made)
        page = {
            "day": day.day,
            "facts": self.facts(),
            "month": day.month,
            "steps": self.steps(),
            "title": self.title,
            "words": _numbered(self.share.words),
            "year": day.year,
        }
        return typeset("keys_tooling", "share.typ", page)


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, WIDE, subsequent_indent="   ", break_long_words=False))


def words_of(text: str) -> str:
    """The words in a page's text, or all of a text that holds nothing else."""
    begun, _, rest = text.partition(BEGIN)
    return rest.partition(END)[0] if rest else begun


def _numbered(words: Sequence[str]) -> list[str]:
    """In the order of reading, row by row: so they are typed, and so a file of them is read."""
    return [f"{at:>2} {word}" for at, word in enumerate(words, 1)]


def _columns(words: Sequence[str]) -> list[str]:
    cells = _numbered(words)
    return [
        "".join(f"{cell:<16}" for cell in cells[at : at + COLUMNS]).rstrip()
        for at in range(0, len(cells), COLUMNS)
    ]
