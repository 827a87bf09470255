"""IG officers of an agency that is a member already: published by its administrator, and ended (PROTOCOL.md K12, U6).

Rules of this house:
- the administrator hears the card's number from the officer herself before anything is published;
- an officer is ended only while another one of the agency stands: nobody must be left who could read its entries.
"""

from __future__ import annotations

import copy

from keys_tooling.applying import Line, post
from keys_tooling.ceremony import BACKDATE, OfficerCard
from keys_tooling.console import World
from keys_tooling.directory_reading import Reading
from keys_tooling.officer import card_number
from keys_tooling.own_side import OwnSide, check_own_chain, own_chain, read_own
from schemas.directory import Agency, Key
from schemas.errors import Refusal
from schemas.keys import ED25519, XWING, Use, kid_of
from schemas.signing import Signed

LIFE = 365 * 24 * 3600
OFFICERS = (Use.IG, Use.IG_AUTH)


async def publish(line: Line, own: OwnSide, card: OfficerCard, number: str, world: World) -> bool:
    """Publish an officer's two keys in the agency's chain; False when they were there.

    Raises:
        Refusal: FINGERPRINT (another number), KEY, ROLLBACK, FORK, CONFLICT, and the relay's own.
    """
    if _digits(number) != _digits(card_number(card)):
        raise Refusal(
            "FINGERPRINT", "That is not this card's number, so nothing was published. Ring her again."
        )
    reading, agency = await _agency(line, own, world)
    if kid_of(XWING, card.ig) in agency.keys:
        return False
    chain, now = own_chain(reading, own.admin), world.now()
    start = now - BACKDATE
    signed = tuple(
        chain.add_key(use, public, start, start + LIFE, now, card.person)
        for use, public in ((Use.IG, card.ig), (Use.IG_AUTH, card.auth))
    )
    await _say(line, reading, signed)
    return True


async def end(line: Line, own: OwnSide, card: OfficerCard, world: World, reason: str) -> bool:
    """Revoke an officer's two keys from now on; False when they were revoked.

    Raises:
        Refusal: UNKNOWN_KEY (not an officer of this agency), OFFICERS (she is the last one), ROLLBACK, FORK, CONFLICT,
            and the relay's own.
    """
    reading, agency = await _agency(line, own, world)
    kids = (kid_of(XWING, card.ig), kid_of(ED25519, card.auth))
    keys = [agency.keys[kid] for kid in kids if kid in agency.keys]
    if len(keys) != len(kids):
        raise Refusal("UNKNOWN_KEY", "Your agency has not published this officer.")
    now = world.now()
    standing = [key for key in keys if key.revoked is None]
    if not standing:
        return False
    if not any(_stands(key, now) for key in agency.keys.values() if key not in keys):
        raise Refusal("OFFICERS", "She is the last officer of your agency. Publish her successor first.")
    chain = own_chain(reading, own.admin)
    await _say(line, reading, tuple(chain.revoke(key.kid, reason, now, now) for key in standing))
    return True


def _stands(key: Key, now: int) -> bool:
    return key.use == Use.IG and key.stands(now)


async def _agency(line: Line, own: OwnSide, world: World) -> tuple[Reading, Agency]:
    reading = await read_own(line, own, world)
    check_own_chain(reading, own.admin)
    return reading, reading.view.agencies[own.admin.agency]


async def _say(line: Line, reading: Reading, signed: tuple[Signed, ...]) -> None:
    trial = copy.deepcopy(reading.view)
    for one in signed:
        trial.apply(one)  # what the directory would refuse is refused here, with its reason
    if not await post(line, signed):
        raise Refusal(
            "CONFLICT", "Somebody else was changing the directory at the same time. Run it again.", retry=True
        )


def _digits(text: str) -> str:
    return text.replace(" ", "").replace("-", "")
