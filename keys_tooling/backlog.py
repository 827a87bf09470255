"""What a running agent says is waiting, late, kept back or in doubt, as `fenpost-keys check` judges it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keys_tooling.finding import Check
from schemas.errors import Refusal

UNVOUCHED = frozenset({"late", "stopped"})
"""How it stands with a log that too few agencies vouch for; "waiting" is one that has only begun."""


def backlog(running: Mapping[str, bool] | None, said: Mapping[str, Any]) -> list[Check]:
    """What waits, as the running agent tells it; `running` is None when none answered."""
    if running is None:
        say = "No agent answers here, so what waits was not looked at. Run this on the agent's machine too."
        return [Check("waiting", True, say)]
    waits = said.get("waiting", 0)
    why = ", ".join(sorted(said.get("waiting_because", {})))
    rows = [
        Check("waiting", not why, f"{waits} messages wait to be sent{f', because of {why}' if why else ''}."),
        Check("to take on", True, f"{said.get('to_take_on', 0)} messages wait for somebody to take them on."),
    ]
    return [*rows, *stopped(said), *undelivered(said), *doubted(said)]


def stopped(said: Mapping[str, Any]) -> list[Check]:
    """Why the agent sends nothing, or not everything; what is only waiting then waits for somebody."""
    alarm = said.get("alarm")
    codes = {
        **({alarm["code"]: True} if alarm else {}),
        "OWN_STATEMENT": bool(said.get("own_statements")),
        "TWO_AGENTS": said.get("two_agents") is not None,
        "STALE_DIRECTORY": bool(said.get("directory_stale")),
    }
    heads = (said.get("witnesses"), said.get("directory_witnesses"))
    return [
        *(Check("agent", False, Refusal(code).say) for code, so in codes.items() if so),
        *(Check("witnesses", False, head["say"]) for head in heads if head and head["state"] in UNVOUCHED),
    ]


def undelivered(said: Mapping[str, Any]) -> list[Check]:
    """What was sent and nobody has taken on in time, and what came and may not be shown yet."""
    rows, late, unsure = list[Check](), said.get("untaken", ()), len(said.get("not_confirmed", ()))
    if late:
        desks = sorted({f"{one['to']['name'] or one['to']['agency']}, {one['to']['desk']}" for one in late})
        reds = sum(one["rag"] == "RED" for one in late)
        least = "At least " if said.get("untaken_more") else ""
        say = f"{least}{len(late)} times a desk has not taken on in time what was sent to it ({reds} of them RED). "
        rows.append(Check("undelivered", False, f"{say}Ring: {'; '.join(desks)}."))
    if unsure:
        say = f"{unsure} messages that came are kept back until it is known that their agreement stands. "
        rows.append(Check("not confirmed", False, say + "Ring who sent them: fenpost-agent doctor"))
    return rows


def doubted(said: Mapping[str, Any]) -> list[Check]:
    """What people here read under a key that was in other hands, and what the relay alone says is over."""
    rows, stolen, kept = list[Check](), said.get("in_doubt", ()), said.get("over_unproven", ())
    if stolen:
        count = sum(one["messages"] for one in stolen)
        say = f"{count} messages were signed with a key that was in other hands by then. Ring their senders before "
        say += f"anybody acts on them, by a number from your paper list: {_names(stolen)}. When it is done, "
        rows.append(Check("in doubt", False, f"{say}type what this says at its end: fenpost-agent doctor"))
    if kept:
        say = f"{len(kept)} messages are kept back: the relay says that they are over, and shows no proof. "
        rows.append(Check("kept back", False, f"{say}Ring who sent them: {_names(kept)}."))
    return rows


def _names(rows: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(sorted({one["from"]["name"] or one["from"]["agency"] for one in rows}))
