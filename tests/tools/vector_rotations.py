"""The vectors' directory, some days later: keys renewed, a thief outrun, an agency left and moved (K19-K25)."""

from schemas.canonical import b64
from schemas.chain import Chain
from schemas.directory import Directory
from schemas.emergency import second_signature
from schemas.keys import LIFE, Use
from schemas.roots import RotateRoot
from schemas.signing import Purpose, Signed
from tests.tools.rotations import by, ceremony, chain_of, generation, named
from tests.tools.vector_world import ALDER, BIRCH, CEDAR, DAY, OVERSIGHT, STATEMENTS, T0, directory

RENEW, LEAD = named("alder renew"), named("alder lead")
THIEF, OP2, OP3 = named("alder thief"), named("alder op 2"), named("alder op 3")
LATER = T0 + 5 * DAY


def statements() -> tuple[Signed, ...]:
    """What follows after all the others."""
    own, over, said = chain_of(ALDER), chain_of(OVERSIGHT), list[Signed]()
    said.append(own.add_key(Use.RENEW, RENEW.public, T0, T0 + LIFE[Use.RENEW], T0 + DAY))
    said.append(
        own.add_key(Use.PERSON, LEAD.public, T0 + DAY, T0 + DAY + LIFE[Use.PERSON], T0 + DAY, "lead-1")
    )
    said.append(over.countersign(LEAD.kid, "lead", T0 + DAY))
    agent, auth = by(own, RENEW), named("alder auth 2")
    said.append(agent.add_key(Use.AUTH, auth.public, LATER, LATER + LIFE[Use.AUTH], LATER))
    said.append(agent.revoke(ALDER.auth.kid, "rotated", LATER + 60, LATER))
    own = by(agent, ALDER.op)
    said.append(own.rotate_op(OP2, LATER))
    body = second_signature(LEAD, ALDER.id, (ALDER.consent.kid,), "lost", LATER, LATER + 90)
    said.append(own.emergency_revoke(body, ALDER.ig_auth, LATER + 120))
    stolen = own.seq + 1
    said.append(own.add_key(Use.MSG, THIEF.public, LATER, LATER + DAY, LATER + 200))
    said.append(own.revoke(ALDER.msg.kid, "compromised", T0, LATER + 200))
    said.append(own.rotate_root(ceremony(ALDER, op=OP3, void_from=stolen), OP3, LATER + 300))
    said.append(own.recertify((LEAD.kid, ALDER.ig.kid), LATER + 400))
    said.append(over.leave(BIRCH.id, LATER + 2 * DAY, CEDAR.id, LATER + 400))
    said.append(over.alias(BIRCH.id, CEDAR.id, LATER + 99 * DAY, LATER + 400))
    said.append(own.roster("duty", ("manager",), LATER + 500))
    said.append(own.roster("duty", ("duty-worker", "manager"), LATER + 600))
    return tuple(said)


def row() -> dict[str, object]:
    """The valid row: every statement, and what the view says after them."""
    view, more = directory(), statements()
    for signed in more:
        view.apply(signed)
    alder, birch = view.agencies[ALDER.id], view.agencies[BIRCH.id]
    assert birch.left is not None
    return {
        "name": "some days later",
        "statements": [signed.to_json() for signed in (*STATEMENTS, *more)],
        "size": view.size,
        "root": _root(view),
        "op": alder.op_kid,
        "ended": [
            {"kid": key.kid, "reason": key.reason, "since": key.revoked}
            for key in alder.keys.values() if key.revoked is not None
        ],
        "certified": {kid: alder.certified(kid) for kid in (LEAD.kid, ALDER.ig.kid)},
        "left": {"member": BIRCH.id, "stops": birch.left.stops, "successor": birch.left.successor},
        "roster": {"desk": "duty", "roles": alder.roster("duty", LATER + 600)},
        "moved": {"was": BIRCH.id, "now": view.moved(BIRCH.id, LATER)},
    }  # fmt: skip


def _root(view: Directory) -> str:
    return b64(view.frontier.root())


def invalid() -> list[tuple[str, Signed, str]]:
    """Rotations that are refused after the first valid row."""

    def root(body: RotateRoot) -> Signed:
        return chain_of(ALDER).rotate_root(body, OP2, T0)

    def emergency(first: str) -> Signed:
        people = {"stranger": BIRCH.ig_auth, "officer": ALDER.ig_auth}
        body = second_signature(ALDER.ig_auth, ALDER.id, (ALDER.msg.kid,), "lost", T0, T0)
        return chain_of(ALDER).emergency_revoke(body, people[first], T0)

    own, over = chain_of(ALDER), chain_of(OVERSIGHT)
    late = Chain(ALDER.id, ALDER.op, own.seq, own.head).rotate_op(OP2, T0).peek()
    roots = generation(ALDER, 1)
    return [
        ("dated before the last", Signed.make(ALDER.op, Purpose.DIRECTORY, {**late, "ts": T0 - 1}), "DIRECTORY"),
        ("a new operational key that another signs", by(own, BIRCH.op).rotate_op(OP2, T0), "DIRECTORY"),
        ("a root that is committed to, as operational key", by(own, ALDER.op).rotate_op(roots[0], T0), "KEY"),
        ("roots below the threshold", root(ceremony(ALDER, op=OP2, signers=roots[:1])), "ROOT_THRESHOLD"),
        ("one root twice", root(ceremony(ALDER, op=OP2, signers=(roots[0], roots[0]))), "ROOT_THRESHOLD"),
        ("roots that nobody committed to", root(ceremony(ALDER, op=OP2, roots=generation(ALDER, 2), after=(OP3.kid, THIEF.kid))), "ROOT_UNKNOWN"),
        ("fewer next roots than must agree", root(ceremony(ALDER, op=OP2, after=(OP3.kid,))), "KEY"),
        ("one officer in an emergency", emergency("officer"), "EMERGENCY_PAIR"),
        ("a stranger in an emergency", emergency("stranger"), "EMERGENCY_ROLE"),
        ("another agency's leaving", by(own, ALDER.op).leave(BIRCH.id, T0, None, T0), "NOT_ALLOWED"),
        ("an alias that an agency says", by(own, ALDER.op).alias(BIRCH.id, CEDAR.id, T0, T0), "NOT_ALLOWED"),
        ("a running key certified", by(own, ALDER.op).recertify((ALDER.msg.kid,), T0), "KEY"),
        ("a roster of no desk of its", by(own, ALDER.op).roster("nowhere", ("manager",), T0), "UNKNOWN_DESK"),
        ("an agency that names who speaks for oversight", by(own, ALDER.op).add_key(Use.PERSON, LEAD.public, T0, T0 + DAY, T0, "oversight-1"), "NOT_ALLOWED"),
        ("a name in two scripts", over.admit(CEDAR.id, "C\u0435dar Council", ("housing",), {"public_authority": True, "s16la_member": True, "cda_relevant": True}, T0, "housing"), "NAME"),
    ]  # fmt: skip
