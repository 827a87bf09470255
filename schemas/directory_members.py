"""Taking what oversight says of others: members, people, policies, retentions (PROTOCOL.md K14, K23, O2, Q3, Y1).

Each is noted in `view.said`, so that it can be undone when oversight's operational key was a thief's (K20).
"""

from __future__ import annotations

from dataclasses import replace

from schemas.directory_lookup import Lookup
from schemas.directory_statement import Admit, Alias, Countersign, Leave, Statement
from schemas.directory_view import Said
from schemas.errors import Refusal
from schemas.keys import Use
from schemas.names import check_name, drawn
from schemas.policing import PolicyBody, check_signers
from schemas.published import Admission, Agency, Left, Moved, Party
from schemas.retention import Retention, RetentionBody, check_retention
from schemas.roles import read_tag


def _only_oversight(view: Lookup, statement: Statement, say: str) -> None:
    if statement.agency != view.oversight:
        raise Refusal("NOT_ALLOWED", say)


def admit(view: Lookup, statement: Statement, body: Admit) -> None:
    """Raises Refusal NOT_ALLOWED, UNKNOWN_AGENCY, NAME."""
    _only_oversight(view, statement, "Only the partnership's oversight admits agencies.")
    member = view.known(body.member)
    check_name(body.name)
    looks = drawn(body.name)
    if any(
        other.admissions[-1].looks == looks and other.id != member.id and _is_here(view, other, statement.ts)
        for other in view.agencies.values()
        if other.admissions
    ):
        raise Refusal("NAME", "The directory has this name already, or one that looks like it.")
    party = Party(body.flags, body.sector)
    entry = Admission(statement.seq, statement.ts, body.name, looks, body.desks, party)
    view.put(replace(member, admissions=(*member.admissions, entry)))
    view.said.append(Said(statement.seq, "admit", member.id))


def _is_here(view: Lookup, agency: Agency, at: int) -> bool:
    left = agency.left
    return (left is None or at < left.stops) and agency.id not in view.moves


def leave(view: Lookup, statement: Statement, body: Leave) -> None:
    """Raises Refusal NOT_ALLOWED, UNKNOWN_AGENCY, DIRECTORY."""
    ours = statement.agency == view.oversight
    if not ours and body.member != statement.agency:
        raise Refusal("NOT_ALLOWED", "An agency leaves by its own word or by oversight's.")
    if body.member == view.oversight:
        raise Refusal("NOT_ALLOWED", "The partnership's oversight cannot leave it.")
    # Of itself an agency says it whenever it likes: whether it is a member then is for oversight's chain to say.
    member = view.member(body.member) if ours else view.known(body.member)
    if body.successor is not None and view.known(body.successor).id == member.id:
        raise Refusal("DIRECTORY", "An agency is not its own successor. Name another, or none.")
    said = Left(statement.agency, statement.seq, statement.ts, body.stops, body.successor)
    view.put(replace(member, leaves=(*member.leaves, said)))
    if ours:
        view.said.append(Said(statement.seq, "leave", member.id))


def alias(view: Lookup, statement: Statement, body: Alias) -> None:
    """Raises Refusal NOT_ALLOWED, UNKNOWN_AGENCY, DIRECTORY."""
    _only_oversight(view, statement, "Only the partnership's oversight says that an agency is another now.")
    was, now = view.member(body.was), view.member(body.now)
    if was.id == now.id:
        raise Refusal("DIRECTORY", "An agency is not its own successor. Name another.")
    view.moves[was.id] = (*view.moves.get(was.id, ()), Moved(now.id, body.until))
    view.said.append(Said(statement.seq, "alias", was.id))


def countersign(view: Lookup, statement: Statement, body: Countersign) -> None:
    """Raises Refusal NOT_ALLOWED, KEY, DIRECTORY, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY, PERSON_TAG."""
    _only_oversight(view, statement, "Only the partnership's oversight countersigns people's keys.")
    key = view.key(body.kid, Use.PERSON, statement.ts)
    if read_tag(key.person)[0] != body.role:
        raise Refusal("KEY", "That key was published for another role. Ask the agency what it meant.")
    if body.kid in view.countersigned:
        raise Refusal("DIRECTORY", "That key is countersigned already.")
    view.countersigned[body.kid] = statement.ts
    view.said.append(Said(statement.seq, "countersign", body.kid))


def put_in_force(view: Lookup, statement: Statement, body: PolicyBody) -> None:
    """Raises Refusal NOT_ALLOWED, and as check_signers and Timeline.after."""
    _only_oversight(view, statement, "Only the partnership's oversight puts a policy in force.")
    signers = check_signers(body, lambda kid: view.signer(kid, statement.ts))
    view.policies = view.policies.after(body, statement.ts, signers)
    view.said.append(Said(statement.seq, "policy", body.digest))


def retain(view: Lookup, statement: Statement, body: RetentionBody) -> None:
    """Raises Refusal NOT_ALLOWED, DIRECTORY, and as check_retention."""
    _only_oversight(view, statement, "Only the partnership's oversight says what may be deleted.")
    if any(one.digest == body.digest for one in view.retentions):
        raise Refusal("DIRECTORY", "This list is on record already.")
    signers = check_retention(body, lambda kid: view.signer(kid, statement.ts))
    said = Retention(body.digest, body.count, statement.ts, view.size, signers)
    view.retentions = (*view.retentions, said)
    view.said.append(Said(statement.seq, "retention", body.digest))
