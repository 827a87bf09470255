"""Who is asking (PROTOCOL.md A1-A6).

Rules of this house:
- the authority in the signature is compared with the configured one, never with the Host header;
- any deviation gets the same answer without detail; nothing of the request is echoed or logged;
- whether the nonce is new is decided in the transaction of the request's own work (broker.sequencer): if the store
  is away, nobody gets in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from broker.view import View
from schemas import api
from schemas.directory import Key
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keys import Use
from schemas.request import Claim, Target, claim_check, digest_header, read_claim
from schemas.signing import Check

ONCE = ("Signature-Input", "Signature", "Content-Digest", "Content-Type")
RENEWING = frozenset({("GET", api.DIRECTORY), ("POST", api.STATEMENTS)})
"""All that a renew key may ask for: to read the directory, and to publish a new request key in it."""


@dataclass(frozen=True, slots=True)
class Requester:
    """Whose request this is. `officer` says that an IG officer's key signed it; `nonce` is still to be spent.

    `bucket` is what it is counted under: an agency's agent, its renew key and its officers each have one (A9).
    """

    agency: str
    kid: str
    officer: bool
    nonce: bytes
    bucket: str


@dataclass(frozen=True, slots=True)
class Asking:
    """A request with a well-formed signature by a known key, which is not yet checked."""

    claim: Claim
    target: Target
    key: Key

    @property
    def officer(self) -> bool:
        """Whether an IG officer's key signed it."""
        return self.key.use == Use.IG_AUTH

    @property
    def renews(self) -> bool:
        """Whether a renew key signed it: an agent was away for so long that its request key is over (A7)."""
        return self.key.use == Use.RENEW

    def check(self, body: bytes) -> Check:
        """What must hold before `requester` may be asked. Raises Refusal UNAUTHENTICATED."""
        return claim_check(self.claim, self.target, self.key.public, digest_header(body))

    def requester(self) -> Requester:
        """Who asks, once the check held."""
        nonce = labelled("fenpost/v1/seen-nonce", self.claim.nonce + self.key.kid.encode("ascii"))
        return Requester(
            self.key.agency, self.key.kid, self.officer, nonce, f"{self.key.agency} {self.key.use}"
        )


class Doorkeeper:
    """Reads who claims to ask. Only members and oversight are let in."""

    def __init__(self, view: View, authority: str, clock: Callable[[], float]) -> None:
        self._view = view
        self._authority = authority
        self._clock = clock

    def asking(self, request: web.Request) -> Asking:
        """Raises Refusal UNAUTHENTICATED."""
        now, headers = int(self._clock()), request.headers
        for name in ONCE:
            if len(headers.getall(name, ())) > 1:
                raise Refusal("UNAUTHENTICATED")
        claim = read_claim(headers, now)
        path, _, query = request.raw_path.partition("?")
        target = Target(request.method, self._authority, path, query, headers.get("Content-Type", ""))
        asking = Asking(claim, target, self._key(claim.keyid, now))
        if asking.renews and (target.method, target.path) not in RENEWING:
            raise Refusal("UNAUTHENTICATED")
        return asking

    def check_still(self, requester: Requester) -> None:
        """Raises Refusal UNAUTHENTICATED unless the key by which this requester was let in stands yet."""
        self._key(requester.kid, int(self._clock()))

    def _key(self, kid: str, now: int) -> Key:
        view = self._view.directory
        try:
            key = view.requester(kid, now)
            if key.agency != view.oversight:
                view.member(key.agency)
        except Refusal as refusal:
            raise Refusal("UNAUTHENTICATED") from refusal
        return key
