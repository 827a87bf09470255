"""Root keys and the operational key: how an agency exchanges them (PROTOCOL.md K11, K19, K20).

Rules of this house:
- roots sign what is to come, not where in the chain it will stand: a thief who keeps extending the chain must not be
  able to make their signatures worthless, and roots are brought together from several safes, which takes hours;
- a root counts only if its digest was committed to before it was ever used, so today's thief cannot choose tomorrow's.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.canonical import b64, encode
from schemas.envelope import AgencyId, Frozen, Hash32
from schemas.keys import Signer
from schemas.signing import Purpose, sign

Public32 = Annotated[str, Field(min_length=43, max_length=43)]
Signature64 = Annotated[str, Field(min_length=86, max_length=86)]
Seq = Annotated[int, Field(ge=0, le=2**31)]
MOST = 9
"""Root keys of one agency, and digests of the next."""


class RotateOp(Frozen):
    """The operational key that signs from now on."""

    op_key: Public32


class RootSignature(Frozen):
    """One root's signature; `by` is its key id."""

    by: Hash32
    sig: Signature64


class RotateRoot(Frozen):
    """New roots in force, the digests of those after them, a new operational key, and what is void.

    `void_from` is the first number in the agency's chain that a thief may have signed, or null.
    """

    roots: tuple[Public32, ...] = Field(min_length=1, max_length=MOST)
    threshold: Annotated[int, Field(ge=1, le=MOST)]
    next_roots: tuple[Hash32, ...] = Field(max_length=MOST)
    op_key: Public32
    void_from: Annotated[int, Field(ge=1, le=2**31)] | None
    sigs: tuple[RootSignature, ...] = Field(max_length=MOST)

    def signed(self, agency: AgencyId) -> bytes:
        """The bytes that each root signs with purpose "fenpost/v1/rotate-root"."""
        return encode({"agency": agency, **self.model_dump(mode="json", exclude={"sigs"})})

    def signed_by(self, agency: AgencyId, root: Signer) -> RotateRoot:
        """With one more root's signature, in the order in which they came."""
        signature = sign(root, Purpose.ROTATE_ROOT, self.signed(agency))
        more = RootSignature(by=root.kid, sig=b64(signature))
        return self.model_copy(update={"sigs": (*self.sigs, more)})
