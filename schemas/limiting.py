"""What the person did not agree to is taken out of a finished message (PROTOCOL.md M9).

A limit is the person's choice. Where the message can go without what was ruled out, it goes without; where it cannot,
it does not go, and the worker is told what to ask about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.categories import Leaf, leaves
from schemas.errors import Refusal
from schemas.messages.filling import B, missing_in
from schemas.routes import Limits
from schemas.selection import Draft, asked, look, masked
from schemas.withholding import Reason


def within(limits: Limits, message: B, draft: Draft, ruled: dict[str, Reason]) -> B:
    """The message without what the person ruled out; what was taken out is taken from `draft` and added to `ruled`.

    Raises:
        Refusal: SCOPE, when the form needs something that was ruled out; `detail` names the categories or codes.
    """
    beyond = {leaf: named for leaf in leaves(message) if (named := _ruled_out(leaf, limits))}
    if not beyond:
        return message
    names = tuple(sorted(set().union(*beyond.values())))
    # The author's own word about the free text cannot be taken back without taking the text back.
    if any(leaf.path.startswith("also_holds") for leaf in beyond):
        raise _cannot_go_without(names)
    unwanted = _unwanted(
        type(message), draft.value, {_stands_at(leaf, draft.value) for leaf in beyond}, names
    )
    reason = Reason("LIMIT", f"The person did not agree to share this ({', '.join(names)}).")
    for path, origin in list(draft.origin.items()):
        if any(path == out or path.startswith((f"{out}.", f"{out}[")) for out in unwanted):
            ruled[origin] = reason
            del draft.origin[path]
    draft.value = asked(masked(draft.value, "", unwanted))
    return draft.filled(type(message))


def _ruled_out(leaf: Leaf, limits: Limits) -> frozenset[str]:
    about = {leaf.value} if isinstance(leaf.value, str) and leaf.value in limits.not_about else set()
    return limits.beyond(leaf.cats) | about


def _stands_at(leaf: Leaf, value: Mapping[str, Any]) -> str:
    """A leaf's path before its form sorted the codes of a set."""
    path, bracket, _ = leaf.path.rpartition("[")
    items = look(value, path) if bracket and leaf.path.endswith("]") else None
    return f"{path}[{items.index(leaf.value)}]" if isinstance(items, list) else leaf.path


def _unwanted(
    form: type[B], value: Mapping[str, Any], out: set[str], names: tuple[str, ...]
) -> frozenset[str]:
    """The paths to take out: with a value that its block cannot do without, the block goes."""
    while missing := list(missing_in(form, masked(value, "", frozenset(out)))):
        blocks = {path.rpartition(".")[0] for path in missing}
        if "" in blocks or blocks <= out:
            raise _cannot_go_without(names)
        out |= blocks
    return frozenset(out)


def _cannot_go_without(names: tuple[str, ...]) -> Refusal:
    say = (
        f"The person did not agree to share {', '.join(names)}, and this message cannot go without it. "
        "Ask again, send something that needs less, or choose another lawful basis."
    )
    return Refusal("SCOPE", say, party="sender", detail=names)
