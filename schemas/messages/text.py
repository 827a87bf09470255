"""Text: what a person typed, kept to what every screen shows alike (PROTOCOL.md M4).

Rules of this house:
- one spelling (Unicode NFC), no control characters but the line break, nothing invisible, nothing that turns the
  order of letters round: what the sender saw is what the recipient sees;
- a model refuses; only `tidy`, on the sender's side and before sealing, mends what has one harmless meaning;
- an error here never repeats the text.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from schemas.categories import NOT_ASKED

SHORT = 200
LONG = 4000

# Joiners and marks without which some languages cannot be written; every other format character is refused.
_NEEDED = frozenset("\u200c\u200d\u200e\u200f\u061c")
# Left behind by word processors and web pages; they mean nothing.
_LITTER = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_LINE_ENDS = {ord("\u2028"): "\n", ord("\u2029"): "\n", ord("\u0085"): "\n", ord("\t"): " "}
_REFUSED = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def tidy(text: str) -> str:
    """Mend what word processors leave behind: line ends, tabs, soft hyphens, letters in two pieces, outer spaces."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_LINE_ENDS).translate(_LITTER)
    return unicodedata.normalize("NFC", text).strip()


def readable(text: str) -> bool:
    """Whether every character is one that every screen shows alike."""
    if text.isascii() and text.isprintable():
        return True
    return all(
        char == "\n" or char in _NEEDED or unicodedata.category(char) not in _REFUSED for char in text
    ) and unicodedata.is_normalized("NFC", text)


def _check(text: str) -> str:
    if not readable(text):
        raise PydanticCustomError("text_form", "holds characters that not every screen shows alike")
    # In a required field these words would pass for an answer.
    if not text.strip() or text == NOT_ASKED:
        raise PydanticCustomError("text_blank", "is blank")
    return text


Short = Annotated[str, Field(min_length=1, max_length=SHORT), AfterValidator(_check)]
"""A few words: at most 200 characters."""
Text = Annotated[str, Field(min_length=1, max_length=LONG), AfterValidator(_check)]
"""A few paragraphs: at most 4,000 characters."""
