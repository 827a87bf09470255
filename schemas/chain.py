"""An agency's own chain of directory statements, as its administrator extends it (PROTOCOL.md K8)."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.canonical import Json, b64
from schemas.directory_statement import NO_PREVIOUS, agency_id, statement_hash
from schemas.emergency import EmergencyRevoke
from schemas.keys import ALGORITHM, Signer, Use
from schemas.policing import SignedPolicy, statement_body
from schemas.retention import SignedRetention
from schemas.roots import RotateRoot
from schemas.sectors import Sector
from schemas.signing import Purpose, Signed


@dataclass(slots=True)
class Chain:
    """Where an agency's statements stand: the next one follows from `seq` and `head`.

    `op` is whoever signs: the operational key, or the renew key for what that may sign (K21).
    """

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

    def rotate_op(self, key: Signer, ts: int) -> Signed:
        """The present operational key hands over: from now on only `key` signs, here too."""
        signed = self.state("rotate-op", {"op_key": b64(key.public)}, ts)
        self.op = key
        return signed

    def rotate_root(self, body: RotateRoot, key: Signer, ts: int) -> Signed:
        """What the roots have signed (schemas.roots), stated by the new operational key, which signs from now on."""
        self.op = key
        return self.state("rotate-root", body.model_dump(mode="json"), ts)

    def leave(self, member: str, stops: int, successor: str | None, ts: int) -> Signed:
        """From `stops` on nobody addresses `member` anew: oversight's word, or an agency's own of itself."""
        return self.state("leave", {"member": member, "stops": stops, "successor": successor}, ts)

    def alias(self, was: str, now: str, until: int, ts: int) -> Signed:
        """Oversight's word that an agency is another one now; looking up the old one says so until `until`."""
        return self.state("alias", {"now": now, "until": until, "was": was}, ts)

    def emergency_revoke(self, body: EmergencyRevoke, first: Signer, ts: int) -> Signed:
        """What the second person has signed (schemas.emergency), stated by the first, in this agency's chain."""
        op, self.op = self.op, first
        try:
            return self.state("emergency-revoke", body.model_dump(mode="json"), ts)
        finally:
            self.op = op

    def recertify(self, kids: tuple[str, ...], ts: int) -> Signed:
        return self.state("recertify", {"kids": list(kids)}, ts)

    def roster(self, desk: str, roles: tuple[str, ...], ts: int) -> Signed:
        """The roles that work at one of the agency's desks from now on."""
        return self.state("roster", {"desk": desk, "roles": list(roles)}, ts)

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
