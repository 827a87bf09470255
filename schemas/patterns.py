"""What an address, a bank account, a password or a file looks like in free text (PROTOCOL.md M8).

Rules of this house:
- a pattern finds what is typed by habit or pasted by mistake; it is no wall against somebody who wants to get past;
- text is folded before it is searched: width, case, accents, look-alike letters, odd spaces and dashes;
- a false alarm costs a minute of rewording, a miss can cost a life: so the patterns are broad.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping

from schemas.messages.person import is_nhs_number

KINDS: Mapping[str, str] = {
    "POSTCODE": "a UK postcode",
    "STREET": "a street address",
    "BANK": "bank or card details",
    "PASSWORD": "a password, PIN or log-in",
    "FILE": "a picture or a file",
    "NHS_NUMBER": "an NHS number",
}

# Letters of other alphabets that look like Latin ones, as found in text copied from other systems.
_ALIKE = str.maketrans(
    "АВЕЅЗКМНОРСТУХІЈабвеѕкмнорстухіјΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικνορτυχł",
    "ABES3KMHOPCTYXIJabbeskmhopctyxijABEZHIKMNOPTYXaikvoptuxl",
)

_POSTCODE = re.compile(
    r"(?<![A-Z0-9])(?P<outward>GIR|[A-PR-UWYZ](?:[0-9]{1,2}|[A-Z][0-9]{1,2}|[0-9][A-HJKPS-UW]|[A-Z][0-9][A-Z]))"
    r"[ ./_*-]{0,3}(?P<inward>[0-9] ?[ABD-HJLNP-UW-Z]{2})(?![A-Z0-9])",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"1st|2nd|3rd|[04-9]th")
_SURE_STREETS = r"street|road|rd|avenue|ave|lane|ln|crescent|terrace|mews|gardens|gdns|grove"
_OTHER_STREETS = (
    r"St|Close|Cl|Drive|Dr|Way|Court|Ct|Place|Pl|Walk|Square|Sq|Row|Rise|Hill|Green|Park|House|Lodge|Yard"
)
_SMALL_WORDS = (
    r"(?:the|a|an|her|his|their|this|that|my|our|on|in|at|of|by|down|up|off|to|and|or|from|for|with)\b"
)
_SURE_STREET = re.compile(
    rf"(?<![a-z0-9])[0-9]{{1,4}}[a-z]?,? +(?:(?!{_SMALL_WORDS})[a-z][a-z'.-]* +){{1,3}}(?:{_SURE_STREETS})(?![a-z])"
)
_OTHER_STREET = re.compile(
    rf"(?<![A-Za-z0-9])[0-9]{{1,4}}[A-Za-z]?,? +(?:[A-Z][A-Za-z'.-]* +){{1,3}}(?:{_OTHER_STREETS})(?![A-Za-z])"
)
_FLAT = re.compile(
    r"(?<![a-z])(?:flat|apartment|apt) *(?:no\.? *|number *)?[0-9]{1,4}[a-z]?(?![a-z0-9])"
    r"(?! *(?:days?|weeks?|months?|years?|times?))"
)

_SORT_CODE = re.compile(r"(?<![0-9])[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}(?![0-9])")
_ACCOUNT = re.compile(r"(?<![0-9])[0-9]{8}(?![0-9])")
_BANK_WORD = re.compile(r"sort ?code|account|acc(?:t)?\b|a/c|bank")
_CARD = re.compile(r"(?<![0-9])(?:[0-9][ -]?){12,18}[0-9](?![0-9])")
_IBAN = re.compile(r"(?<![a-z0-9])gb[0-9]{2} ?[a-z]{4}(?: ?[0-9]){14}(?![0-9])")

_SECRET_WORD = re.compile(
    r"(?<![a-z])(?:pass ?-?(?:word|code|phrase)|pin(?: ?(?:code|number))?|log ?-?in(?: details)?)s?"
    r"(?: (?:for|to|on|of) [^.\n:=]{1,40}?)?(?P<link> *[:=] *| (?:is|was|are) )(?P<said>[^\s,;]+)"
)
# "the password is known to him" names no password.
_NO_SECRET = frozenset(
    """
    a an the not no now known changed unknown shared saved safe unsafe same being controlled used kept held
    his her hers their theirs compromised on in with to different new needed required lost stolen forgotten reset
    watched
    """.split()  # noqa: SIM905 - forty quoted words read worse
)

_NOT_BARE = re.compile(r"[\W_]+")
_FILE = re.compile(r"data:[a-z]+/[a-z0-9.+-]+[;,]|<(?:img|svg|iframe|object|embed)\b|;base64,")
_BLOB = re.compile(r"[A-Za-z0-9+/_=-]{160,}")
_NHS = re.compile(r"(?<![0-9+])(?P<digits>[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4})(?![0-9])")


def folded(text: str) -> str:
    """Text with width, accents, look-alike letters, odd spaces and dashes ironed out; capitals stay."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKD", text).translate(_ALIKE)
    return "".join(map(_plain, text))


def bare(text: str) -> str:
    """Folded letters and digits in small case, and nothing else: `PE1 1AA` and `pe1-1aa` are the same."""
    return _NOT_BARE.sub("", folded(text).casefold())


def kinds_in(text: str) -> Iterator[str]:
    """The codes of KINDS that a text seems to hold."""
    plain = folded(text)
    small = plain.casefold()
    yield from (kind for kind, found in _FINDERS.items() if found(plain, small))


def postcodes_in(text: str) -> Iterator[str]:
    """The postcodes in a text, bare."""
    for match in _POSTCODE.finditer(folded(text)):
        # "unit B12 1st in the queue": capitals before and small letters after are a code and an ordinal.
        if not (match["outward"].isupper() and _ORDINAL.fullmatch(match["inward"])):
            yield bare(match[0])


def _plain(char: str) -> str:
    kind = unicodedata.category(char)
    if kind == "Zs":
        return " "
    if kind == "Pd":
        return "-"
    return "" if kind in ("Mn", "Cf") else char


def _postcode(plain: str, _: str) -> bool:
    return any(True for _found in postcodes_in(plain))


def _street(plain: str, small: str) -> bool:
    return bool(_SURE_STREET.search(small) or _OTHER_STREET.search(plain) or _FLAT.search(small))


def _bank(_: str, small: str) -> bool:
    pair = _SORT_CODE.search(small) and _ACCOUNT.search(small) and _BANK_WORD.search(small)
    return bool(pair or _IBAN.search(small)) or any(_luhn(match[0]) for match in _CARD.finditer(small))


def _luhn(text: str) -> bool:
    digits = [int(char) for char in text if char.isdigit()]
    doubled = [
        sum(divmod(2 * digit, 10)) if place % 2 else digit for place, digit in enumerate(reversed(digits))
    ]
    return sum(doubled) % 10 == 0 and len(set(digits)) > 1


def _password(_: str, small: str) -> bool:
    return any(match["said"].strip("'\".!?()") not in _NO_SECRET for match in _SECRET_WORD.finditer(small))


def _file(plain: str, small: str) -> bool:
    return bool(_FILE.search(small) or _BLOB.search(plain))


def _nhs_number(_: str, small: str) -> bool:
    return any(is_nhs_number(re.sub(r"[ -]", "", match["digits"])) for match in _NHS.finditer(small))


_FINDERS: Mapping[str, Callable[[str, str], bool]] = {
    "POSTCODE": _postcode,
    "STREET": _street,
    "BANK": _bank,
    "PASSWORD": _password,
    "FILE": _file,
    "NHS_NUMBER": _nhs_number,
}
