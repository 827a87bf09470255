"""Undoing what a thief said in an agency's name, once its roots say from where on (PROTOCOL.md K20).

A rotate-root reaches back from itself, so what is void is always the last of what is not: everything here is cut off
at its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from schemas.directory_view import View
from schemas.errors import Refusal
from schemas.published import Agency, End, settled


def voided(view: View, agency: Agency, start: int, seq: int) -> Agency:
    """The agency without what its operational and renew keys said in statements [start, seq).

    What it said of others, if it is oversight, goes from the view.
    """
    if agency.id == view.oversight:
        while view.said and view.said[-1].seq >= start:
            _take_back(view, *view.said.pop()[1:])
        agency = view.known(agency.id)  # it may have said something of itself
    leaves = tuple(one for one in agency.leaves if one.by != agency.id or one.seq < start)
    recertified = {
        kid: left
        for kid, said in agency.recertified.items()
        if (left := tuple(o for o in said if o[0] < start))
    }
    rosters = {
        desk: lasting
        for desk, words in agency.rosters.items()
        if (lasting := tuple(one for one in words if one.seq < start))
    }
    return replace(_unended(agency, start, seq), leaves=leaves, recertified=recertified, rosters=rosters)


def _unended(agency: Agency, start: int, seq: int) -> Agency:
    """Keys published since `start` never stood; and what was ended since then stands again, unless the word is firm."""
    void = {
        key.kid: End(key.nbf, "voided", seq, firm=True) for key in agency.keys.values() if key.seq >= start
    }
    ends: Mapping[str, tuple[End, ...]] = {
        kid: left
        for kid, said in agency.ends.items()
        if (left := tuple(e for e in said if e.seq < start or (e.firm and void.keys().isdisjoint(e.people))))
    }
    ends = {**ends, **{kid: (end, *ends.get(kid, ())) for kid, end in void.items()}}
    touched = {*agency.ends, *void}
    changed = (settled(agency.keys[kid], ends.get(kid, ())) for kid in touched)
    return replace(agency.with_keys(*changed), ends=ends)


def _take_back(view: View, op: str, about: str) -> None:
    if op == "countersign":
        del view.countersigned[about]
    elif op == "policy":
        view.policies = view.policies.without_last()
    elif op == "retention":
        view.retentions = view.retentions[:-1]
    elif op == "alias":
        view.moves[about] = view.moves[about][:-1]
        if not view.moves[about]:
            del view.moves[about]
    elif op == "admit":
        member = view.known(about)
        view.put(replace(member, admissions=member.admissions[:-1]))
    elif op == "leave":
        member = view.known(about)
        last = max(at for at, one in enumerate(member.leaves) if one.by == view.oversight)
        view.put(replace(member, leaves=(*member.leaves[:last], *member.leaves[last + 1 :])))
    else:
        raise Refusal("DIRECTORY")
