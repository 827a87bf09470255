"""The key directory: signed statements, and the view that replaying all of them gives (PROTOCOL.md K8-K25).

Rules of this house:
- a statement counts only if it follows from the ones before: right sequence number, right previous hash, right signer;
- an agency's id is the hash of its inception, so nobody can claim another's;
- a member is an agency that oversight admitted, with its name, desks, flags and sector; nobody admits itself;
- looking up a key says for what use and at what time, or refuses.

What is published is in schemas.published, looking it up in schemas.directory_lookup, and each kind of statement is
taken in a file of its own: directory_chain, directory_keys, directory_members, directory_undo.
"""

from __future__ import annotations

from schemas import directory_chain as chain
from schemas import directory_keys as keys
from schemas import directory_members as members
from schemas.directory_keys import SEALABLE, KeyCheck
from schemas.directory_lookup import DATED, Lookup
from schemas.directory_statement import (
    AddKey,
    Admit,
    Alias,
    Countersign,
    Inception,
    Leave,
    Recertify,
    Revoke,
    Roster,
    Statement,
    parse_statement,
    statement_hash,
    statement_leaf,
)
from schemas.emergency import EmergencyRevoke
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.keys import Shape, check_public
from schemas.merkle import leaf_hash
from schemas.policing import PolicyBody
from schemas.published import Agency, Key, Left, Party, safety_number
from schemas.retention import RetentionBody
from schemas.roots import RotateOp, RotateRoot
from schemas.signing import Check, Purpose, Signed
from schemas.values import changed

__all__ = [
    "DATED", "MAX_AGE", "SEALABLE", "Agency", "Directory", "Key", "Later", "Left", "Party", "safety_number",
]  # fmt: skip

MAX_AGE = 24 * 3600
"""How old a view of the directory may be when it decides anything (recipient rule 2)."""

Later = list[Check | Shape]
"""Checks that are still to be made: `hold` of each raises Refusal SIGNATURE or KEY."""


def _key_check(believed: bool, later: Later | None) -> KeyCheck:
    if later is not None:
        return lambda alg, public: later.append(Shape.of(alg, public))
    return (lambda _alg, _public: None) if believed else check_public


class Directory(Lookup):
    """The view after replaying statements in order. `apply` either takes a statement whole or changes nothing."""

    def apply(self, signed: Signed, *, believed: bool = False, later: Later | None = None) -> Statement:
        """Take one statement into the view.

        Args:
            believed: this program took this very statement before, and kept it where nobody else writes; or it holds
                the root of all of them against one that it signed itself. Then neither signature nor key is checked
                again. Never for what somebody else shows.
            later: where the costly checks, of the signature and of a new key, go instead of being made here. Whoever
                asks for that makes all of them before this view, which is a copy, counts for anything.

        Raises:
            Refusal: FORM, NOT_CANONICAL, DIRECTORY (out of order), UNKNOWN_AGENCY, SIGNATURE, and what the functions
                that take the several kinds raise.
        """
        statement, body = parse_statement(signed)
        if isinstance(body, Inception):
            self.put(chain.incept(self, statement, body, signed))
        else:
            agency = self.known(statement.agency)
            chain.check_following(agency, statement)
            public = chain.speaker(self, agency, statement, body)
            check = Check.of(public, Purpose.DIRECTORY, signed.text, signed.signature)
            if later is not None:
                later.append(check)
            elif not believed:
                check.hold()
            self._take(agency, statement, body, _key_check(believed, later))
        agency, head = self.agencies[statement.agency], statement_hash(signed)
        self.put(changed(agency, seq=statement.seq, head=head, ts=statement.ts))
        self.frontier = self.frontier.append(leaf_hash(statement_leaf(signed)))
        return statement

    def _take(self, agency: Agency, statement: Statement, body: Frozen, check: KeyCheck) -> None:
        if isinstance(body, AddKey):
            self.put(keys.add_key(self, agency, statement, body, check))
        elif isinstance(body, Revoke):
            self.put(keys.revoke(agency, statement, body))
        elif isinstance(body, EmergencyRevoke):
            self.put(keys.emergency_revoke(self, agency, statement, body))
        elif isinstance(body, Recertify):
            self.put(keys.recertify(agency, statement, body))
        elif isinstance(body, Roster):
            self.put(keys.roster(agency, statement, body))
        elif isinstance(body, RotateOp):
            self.put(chain.rotate_op(self, agency, body, statement.ts))
        elif isinstance(body, RotateRoot):
            self.put(chain.rotate_root(self, agency, statement, body))
        else:
            self._hear(statement, body)

    def _hear(self, statement: Statement, body: Frozen) -> None:
        if isinstance(body, Admit):
            members.admit(self, statement, body)
        elif isinstance(body, Leave):
            members.leave(self, statement, body)
        elif isinstance(body, Alias):
            members.alias(self, statement, body)
        elif isinstance(body, Countersign):
            members.countersign(self, statement, body)
        elif isinstance(body, PolicyBody):
            members.put_in_force(self, statement, body)
        elif isinstance(body, RetentionBody):
            members.retain(self, statement, body)
        else:
            raise Refusal("FORM")
