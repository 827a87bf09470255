"""Taking statements about who speaks for an agency: inception, rotations (PROTOCOL.md K8, K11, K19-K21)."""

from __future__ import annotations

from dataclasses import replace

from schemas.canonical import unb64
from schemas.directory_keys import emergency_signer
from schemas.directory_lookup import Lookup
from schemas.directory_statement import NO_PREVIOUS, Inception, Revoke, Statement, agency_id
from schemas.directory_undo import voided
from schemas.emergency import EmergencyRevoke
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.keys import ED25519, Use, check_public, kid_of
from schemas.published import Agency
from schemas.renewing import check_ended, check_renewal
from schemas.roots import RotateOp, RotateRoot
from schemas.safety import inception_hash
from schemas.signing import Purpose, Signed, verify


def incept(view: Lookup, statement: Statement, body: Inception, signed: Signed) -> Agency:
    """Raises Refusal DIRECTORY, KEY, SIGNATURE."""
    if statement.agency in view.agencies or statement.seq != 0 or statement.prev != NO_PREVIOUS:
        raise Refusal("DIRECTORY")
    if statement.agency != agency_id(statement.body) or body.threshold > len(body.roots):
        raise Refusal("DIRECTORY")
    op, *roots = (_checked(text) for text in (body.op_key, *body.roots))
    if statement.by != kid_of(ED25519, op):
        raise Refusal("DIRECTORY")
    signed.verified(op, Purpose.DIRECTORY)
    kids = [*(kid_of(ED25519, public) for public in (op, *roots)), *body.next_roots]
    view.check_new(kids)
    view.note(kids, statement.agency)
    committed = frozenset(body.next_roots)
    return Agency(
        statement.agency, op, 0, "", statement.by, (op,), threshold=body.threshold, committed=committed,
        op_since=statement.ts, roots_since=statement.ts, inception=inception_hash(statement.body),
    )  # fmt: skip


def check_following(agency: Agency, statement: Statement) -> None:
    """Raises Refusal DIRECTORY unless the statement follows from the agency's last."""
    if statement.seq != agency.seq + 1 or statement.prev != agency.head:
        raise Refusal("DIRECTORY")
    if statement.ts < agency.ts:
        raise Refusal(
            "DIRECTORY",
            "A directory statement is dated before the one that it follows. Set this machine's clock.",
        )


def speaker(view: Lookup, agency: Agency, statement: Statement, body: Frozen) -> bytes:
    """The public key whose signature a statement needs.

    Raises:
        Refusal: DIRECTORY (nobody who may say that), KEY, RENEW, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY, and as
            emergency_signer.
    """
    if isinstance(body, EmergencyRevoke):
        return emergency_signer(view, agency, statement.by, statement.ts).public
    if isinstance(body, RotateRoot):
        op = _checked(body.op_key)
        if statement.by != kid_of(ED25519, op):
            raise Refusal("DIRECTORY")
        return op
    if statement.by == agency.op_kid:
        return agency.op
    if statement.by not in agency.keys:
        raise Refusal("DIRECTORY")
    key = view.key(statement.by, Use.RENEW, statement.ts, agency.id)
    check_renewal(statement, body)
    if isinstance(body, Revoke) and body.kid in agency.keys:
        check_ended(agency.keys[body.kid].use, statement.ts, body.since)
    return key.public


def rotate_op(view: Lookup, agency: Agency, body: RotateOp, ts: int) -> Agency:
    """Raises Refusal KEY."""
    op = _checked(body.op_key)
    kids = (kid_of(ED25519, op),)
    view.check_new(kids)
    view.note(kids, agency.id)
    return _spoken_by(agency, op, ts)


def rotate_root(view: Lookup, agency: Agency, statement: Statement, body: RotateRoot) -> Agency:
    """Raises Refusal KEY, ROOT_UNKNOWN, ROOT_THRESHOLD, SIGNATURE, DIRECTORY."""
    op, roots = _checked(body.op_key), [_checked(text) for text in body.roots]
    publics = {kid_of(ED25519, public): public for public in roots}
    if len(publics) != len(roots):
        raise Refusal("KEY", "A root is named twice. Name each once.")
    if not agency.committed.issuperset(publics):
        raise Refusal("ROOT_UNKNOWN")
    _check_roots(agency, body, publics)
    if len(body.next_roots) < body.threshold:
        raise Refusal(
            "KEY", "Name at least as many next roots as must agree, or this can never be done again."
        )
    if body.void_from is not None and body.void_from >= statement.seq:
        raise Refusal("DIRECTORY", "What is void begins at a statement that is there. Correct its number.")
    kids = (kid_of(ED25519, op), *body.next_roots)
    view.check_new(kids)
    view.note(kids, agency.id)
    if body.void_from is not None:
        agency = voided(view, agency, body.void_from, statement.seq)
    committed = frozenset(body.next_roots)
    spoken = _spoken_by(agency, op, statement.ts)
    return replace(spoken, threshold=body.threshold, committed=committed, roots_since=statement.ts)


def _spoken_by(agency: Agency, op: bytes, ts: int) -> Agency:
    return replace(agency, op=op, op_kid=kid_of(ED25519, op), ops=(*agency.ops, op), op_since=ts)


def _check_roots(agency: Agency, body: RotateRoot, publics: dict[str, bytes]) -> None:
    signers = [one.by for one in body.sigs]
    if not publics.keys() >= set(signers):
        raise Refusal("ROOT_UNKNOWN")
    if len(set(signers)) != len(signers):
        raise Refusal("ROOT_THRESHOLD", "One root has signed twice. Each signature must be another root's.")
    if len(signers) < max(agency.threshold, body.threshold):
        raise Refusal("ROOT_THRESHOLD")
    text = body.signed(agency.id)
    for one in body.sigs:
        verify(publics[one.by], Purpose.ROTATE_ROOT, text, unb64(one.sig, 64))


def _checked(text: str) -> bytes:
    public = unb64(text, 32)
    check_public(ED25519, public)
    return public
