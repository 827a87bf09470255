"""Invitations: how an agency that nobody knows yet hands in its enrolment by wire, once (PROTOCOL.md W13).

Rules of this house:
- the invitation is a random secret that oversight hands over; on the wire travels only a signature by the key drawn
  from it, over this one enrolment: who listens, or has the relay's store, can enrol nothing with it;
- it opens the door and proves nobody's identity: oversight still rings the agency and hears its safety number.
"""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from pydantic import Field

from schemas.canonical import b64, encode, unb64
from schemas.envelope import AgencyId, Frozen, Hash32, Seconds
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keys import ED25519, Signer, SigningKey, kid_of
from schemas.signing import Purpose, sign, verify

SECRET = 16
LONGEST = 30 * 24 * 3600
"""How long an invitation may be good."""
KEPT = 30 * 24 * 3600
"""What came with an invitation waits this long past its end for oversight."""
MOST = 256
"""Invitations that may stand at once."""
ENROLMENT_LIMIT = 512 * 1024
BODY_LIMIT = ENROLMENT_LIMIT * 2 + 4096
GROUPS = 4


class Invite(Frozen):
    """POST invites, by oversight: make an invitation good until then, or withdraw it. `mark` names it."""

    act: Literal["invite", "withdraw"]
    mark: Hash32
    until: Seconds


class Enrolling(Frozen):
    """POST enrolments, by an agency that nobody knows: its enrolment, signed by the invitation's key.

    `sig` has purpose "fenpost/v1/invited" over canonical {enrolment: b64(H("fenpost/v1/enrolment-file", text)),
    partnership, v: 1}.
    """

    key: Annotated[str, Field(min_length=43, max_length=43)]
    enrolment: Annotated[str, Field(max_length=ENROLMENT_LIMIT)]
    sig: Annotated[str, Field(min_length=86, max_length=86)]

    @property
    def mark(self) -> str:
        """Which invitation it is. Raises Refusal FORM."""
        return kid_of(ED25519, unb64(self.key, 32))

    def check(self, partnership: str) -> None:
        """Raises Refusal INVITE unless the invitation's key signed this very enrolment for this partnership."""
        try:
            verify(
                unb64(self.key, 32),
                Purpose.INVITED,
                signed_text(self.enrolment, partnership),
                unb64(self.sig, 64),
            )
        except Refusal as refusal:
            raise Refusal("INVITE") from refusal


class Standing(Frozen):
    """An invitation as oversight sees it; `taken` is when an enrolment came with it."""

    mark: Hash32
    until: Seconds
    taken: Seconds | None


class Standings(Frozen):
    """GET invites, for oversight."""

    invites: tuple[Standing, ...]


class Taken(Frozen):
    """The answer to POST enrolments: it waits for oversight now, or it did already."""

    status: Literal["taken", "repeat"]


def invite_key(secret: bytes) -> SigningKey:
    """The key that an invitation's 16 bytes give. Raises Refusal INVITE."""
    if len(secret) != SECRET:
        raise Refusal("INVITE")
    return SigningKey(labelled("fenpost/v1/invite", secret))


def enrolling(secret: bytes, enrolment: str, partnership: AgencyId) -> Enrolling:
    """What an agency hands in with its invitation. Raises Refusal INVITE."""
    key: Signer = invite_key(secret)
    signature = sign(key, Purpose.INVITED, signed_text(enrolment, partnership))
    return Enrolling(key=b64(key.public), enrolment=enrolment, sig=b64(signature))


def signed_text(enrolment: str, partnership: str) -> bytes:
    """The bytes that the invitation's key signs."""
    digest = b64(labelled("fenpost/v1/enrolment-file", enrolment.encode("utf-8")))
    return encode({"enrolment": digest, "partnership": partnership, "v": 1})


def spoken(secret: bytes) -> str:
    """The secret in groups of four letters and digits, to be typed from paper."""
    text = base64.b32encode(secret + _check(secret)).decode("ascii").rstrip("=").lower()
    return " ".join(text[at : at + GROUPS] for at in range(0, len(text), GROUPS))


def heard(text: str) -> bytes:
    """The secret that `spoken` spelt; blanks, hyphens and capitals do not count. Raises Refusal INVITE."""
    bare = "".join(char for char in text.upper() if char not in " -\t\n")
    try:
        data = base64.b32decode(bare + "=" * (-len(bare) % 8))
    except ValueError:
        raise Refusal("INVITE", TYPED) from None
    # A base32 text has bits to spare at its end: only the one spelling counts.
    if len(data) != SECRET + 2 or spoken(data[:SECRET]).replace(" ", "").upper() != bare:
        raise Refusal("INVITE", TYPED)
    return data[:SECRET]


TYPED = "This invitation was not typed as it was given. Compare it group by group."


def _check(secret: bytes) -> bytes:
    # Catches a slip of the pen, before anything is sent.
    return labelled("fenpost/v1/invite-check", secret, size=2)
