"""What never travels, in any message, to anybody (PROTOCOL.md M8).

Two nets. By name: fields of a case record that no message carries. By content: what those fields say, and anything
that looks like an address, a bank account, a password or a file, in the free text of a finished message.

Rules of this house:
- a refuge address has no exception, not even agreement: most harm in this field was an address that got out;
- a refusal names the field and the kind, never what was found;
- both nets work on the sender's machine, before anything is sealed.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from schemas.categories import leaves
from schemas.errors import Refusal
from schemas.kept import Kept, Net, pieces
from schemas.messages.contact import AT_AN_ADDRESS, PHONES, SafeContact
from schemas.patterns import KINDS, bare, folded, kinds_in

_PLACE = "The place where someone is safe never travels: say which desk to ring instead."
_THERAPY = "What was said in therapy or counselling stays there."
_STATUS = "Immigration status never travels: write that advice is wanted, under needs."
_INTIMATE = "This is not needed to help, and could be used against the person."
_IMAGE = "Pictures and files do not travel with a message."
_BANK = "Bank details do not travel with a message."
_LOGIN = "Passwords and device log-ins never travel."
_SOURCE = "Who passed this on is protected."
_OTHERS = "Other people who use the service are not part of this."
_MONITORING = "Monitoring data is kept apart from referrals."
_WHOLE = "Whole files and minutes do not travel: write the lines that matter."

NEVER: Mapping[str, tuple[str, Net]] = {
    **dict.fromkeys(("therapynotes", "counsellingnotes", "therapy", "counselling"), (_THERAPY, "text")),
    **dict.fromkeys(("immigrationstatus", "visastatus", "asylumstatus", "homeofficeref"), (_STATUS, "text")),
    **dict.fromkeys(("refugee", "refugeestatus"), (_STATUS, "none")),
    **dict.fromkeys(("sexualhealth", "hivstatus", "hiv", "sellssex", "sellingsex"), (_INTIMATE, "text")),
    **dict.fromkeys(("image", "images", "photo", "photos", "videos", "attachments"), (_IMAGE, "text")),
    **dict.fromkeys(("bank", "bankdetails", "bankaccount", "banklogin", "banklogins"), (_BANK, "text")),
    **dict.fromkeys(("sortcode", "accountnumber", "cardnumber", "iban"), (_BANK, "text")),
    **dict.fromkeys(("password", "passwords", "passcode", "passphrase", "pin", "pins"), (_LOGIN, "secret")),
    **dict.fromkeys(("login", "logins", "credentials", "devicecredentials"), (_LOGIN, "secret")),
    **dict.fromkeys(("codeword",), ("A code word travels by voice.", "secret")),
    **dict.fromkeys(("informant", "informants", "sourceidentity"), (_SOURCE, "name")),
    **dict.fromkeys(("otherserviceusers", "otherclients", "otherresidents"), (_OTHERS, "name")),
    **dict.fromkeys(("monitoring", "equalitymonitoring", "demographics", "ethnicity"), (_MONITORING, "none")),
    **dict.fromkeys(
        ("religion", "nationality", "sexualorientation", "genderidentity"), (_MONITORING, "none")
    ),
    **dict.fromkeys(("minutes", "maracminutes", "casefile", "casenotes", "fullnotes"), (_WHOLE, "none")),
}
"""Names of fields, bare (small letters and digits only): why they stay, and how their content is looked for."""
_PLACES = ("refuge", "safehouse", "safeaddress", "safeaccommodation", "newaddress", "confidentialaddress")
"""What the name of a field holds that says where somebody is safe."""

KEPT: Mapping[str, str] = {
    "REFUGE": "where a refuge or another safe place is",
    "WITHHELD": "an address, number or name that this message leaves out",
    "KEPT_BACK": "something that the case record keeps back from every message",
}
_SAY = (
    "This holds what never travels: {}. Take it out and try again. "
    "Addresses and numbers belong in their own fields, where their rules apply."
)


def never_named(name: str) -> tuple[str, Net] | None:
    """Why a field of this name never travels, and how to look for what it says; None when it may."""
    plain = bare(name)
    if plain in NEVER:
        return NEVER[plain]
    return (_PLACE, "place") if any(place in plain for place in _PLACES) else None


def kept_of(case: Mapping[str, Any]) -> tuple[Kept, ...]:
    """All that a case record's never-travelling fields say, at any depth."""
    return tuple(dict.fromkeys(_kept_in(case, None, "")))


def refuse_never(message: BaseModel, kept: Iterable[Kept] = ()) -> None:
    """Refuse a message that holds what never travels.

    Args:
        message: any finished message.
        kept: what the case record keeps back; see `kept_of`.

    Raises:
        Refusal: NEVER_SHARED; `detail` lists `path KIND`, never what was found.
    """
    found = dict.fromkeys((*_by_content(message, tuple(kept)), *_by_pattern(message)))
    if not found:
        return
    said = {**KINDS, **KEPT}
    places = "; ".join(f"{path} holds {said[kind]}" for path, kind in found)
    detail = tuple(f"{path} {kind}" for path, kind in found)
    raise Refusal("NEVER_SHARED", _SAY.format(places), party="sender", detail=detail)


def _by_content(message: BaseModel, kept: tuple[Kept, ...]) -> Iterator[tuple[str, str]]:
    if not kept:
        return
    # One string of everything, so that a postcode split over two items of a list is found as well.
    starts, paths, joined, words = [], [], "", {}
    for leaf in leaves(message):
        if isinstance(leaf.value, str):
            starts.append(len(joined))
            paths.append(leaf.path)
            joined += bare(leaf.value)
            words.update(dict.fromkeys(re.findall("[a-z0-9]+", folded(leaf.value).casefold()), leaf.path))
    for item in kept:
        place = joined.find(item.bare)
        if item.whole and item.bare in words:
            yield words[item.bare], item.kind
        elif not item.whole and place >= 0:
            yield paths[bisect_right(starts, place) - 1], item.kind


def _by_pattern(message: BaseModel) -> Iterator[tuple[str, str]]:
    for leaf in leaves(message):
        if isinstance(leaf.value, str) and leaf.path.rpartition(".")[2] not in _RANDOM:
            allowed = _allowed(message, leaf.path)
            yield from ((leaf.path, kind) for kind in kinds_in(leaf.value) if kind not in allowed)


_RANDOM = frozenset({"gid", "ref", "person_ref"})
_ADDRESS = frozenset({"POSTCODE", "STREET"})
_NUMBER = frozenset({"NHS_NUMBER", "BANK"})
_ADDRESS_FIELD = re.compile(r".*\.address\.(?:postcode|lines\[[0-9]+\])")
_CHANNEL_VALUE = re.compile(r"contact\.channels\[(?P<place>[0-9]+)\]\.value")


def _allowed(message: BaseModel, path: str) -> frozenset[str]:
    # The forms let an address in only where its status is shareable, and a number only where the channel is safe.
    if _ADDRESS_FIELD.fullmatch(path):
        return _ADDRESS
    if path.endswith((".nhs_no", ".upn")):
        return _NUMBER
    match = _CHANNEL_VALUE.fullmatch(path)
    contact = getattr(message, "contact", None)
    if not match or not isinstance(contact, SafeContact) or not isinstance(contact.channels, tuple):
        return frozenset()
    kind = contact.channels[int(match["place"])].kind
    return _ADDRESS if kind in AT_AN_ADDRESS else _NUMBER if kind in PHONES else frozenset()


def _kept_in(value: Any, net: Net | None, key: str) -> Iterator[Kept]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            found = never_named(str(name))
            yield from _kept_in(item, found[1] if found else net, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _kept_in(item, net, key)
    elif isinstance(value, str | int) and not isinstance(value, bool) and net and net != "none":
        yield from pieces(str(value), net, bare(key))
