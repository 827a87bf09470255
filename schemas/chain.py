"""An agency's own chain of directory statements, as its administrator extends it (PROTOCOL.md K8)."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.canonical import Json, b64
from schemas.directory_statement import NO_PREVIOUS, agency_id, statement_hash
from schemas.keys import ALGORITHM, Signer, Use
from schemas.policing import SignedPolicy, statement_body
from schemas.retention import SignedRetention
from schemas.sectors import Sector
from schemas.signing import Purpose, Signed


@dataclass(slots=True)
class Chain:
    """Where an agency's statements stand: the next one follows from `seq` and `head`."""

    agency: str
    op: Signer
    seq: int
    head: str

    @classmethod
    def begin(
        cls,
        op: Signer,
        roots: tuple[Signer, ...],
        threshold: int,
        ts: int,
        next_roots: tuple[str, ...] = (),
    ) -> tuple[Chain, Signed]:
        """A new agency and its inception; the root keys are named in it and then kept offline (K11).

        Args:
            op: the first operational key.
            roots: the root keys, of which `threshold` must agree to replace an operational key.
            ts: now.
            next_roots: key ids of the roots after these. They can only be committed to here: the agency's id is the
                hash of this very statement.
        """
        body: Json = {
            "next_roots": list(next_roots),
            "op_key": b64(op.public),
            "roots": [b64(root.public) for root in roots],
            "threshold": threshold,
        }
        chain = cls(agency_id(body), op, -1, NO_PREVIOUS)
        return chain, chain.state("inception", body, ts)

    def state(self, op: str, body: Json, ts: int) -> Signed:
        """Sign the next statement."""
        value = {
            "agency": self.agency,
            "body": body,
            "by": self.op.kid,
            "op": op,
            "prev": self.head,
            "seq": self.seq + 1,
            "ts": ts,
            "v": 1,
        }
        signed = Signed.make(self.op, Purpose.DIRECTORY, value)
        self.seq, self.head = self.seq + 1, statement_hash(signed)
        return signed

    def add_key(
        self, use: Use, public: bytes, nbf: int, exp: int, ts: int, person: str | None = None
    ) -> Signed:
        body = {
            "alg": ALGORITHM[use],
            "exp": exp,
            "nbf": nbf,
            "person": person,
            "pub": b64(public),
            "use": str(use),
        }
        return self.state("add-key", body, ts)

    def revoke(self, kid: str, reason: str, since: int, ts: int) -> Signed:
        return self.state("revoke", {"kid": kid, "reason": reason, "since": since}, ts)

    def countersign(self, kid: str, role: str, ts: int) -> Signed:
        """Oversight's word that a person's key is hers and that she has this role; only its chain may say it."""
        return self.state("countersign", {"kid": kid, "role": role}, ts)

    def admit(
        self,
        member: str,
        name: str,
        desks: tuple[str, ...],
        flags: dict[str, bool],
        ts: int,
        sector: Sector = "other",
    ) -> Signed:
        """Oversight's word that an agency is in; only oversight's chain may say it."""
        body = {"desks": list(desks), "flags": flags, "member": member, "name": name, "sector": sector}
        return self.state("admit", body, ts)

    def policy(self, policy: SignedPolicy, ts: int) -> Signed:
        """Oversight's word that a policy counts from its first second on; two people signed it before (Q3)."""
        return self.state("policy", statement_body(policy), ts)

    def retention(self, signed: SignedRetention, ts: int) -> Signed:
        """Oversight's word that records may go; two people signed the list before (Y1)."""
        return self.state("retention", signed.body().model_dump(mode="json"), ts)
