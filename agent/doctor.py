"""`fenpost-agent doctor`: what needs somebody, in sentences."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.call import Line
from agent.settings import Settings, read_settings
from agent.setup import read_partnership
from schemas.errors import Refusal
from schemas.worktime import london

RENEW_NOTICE = 60 * 24 * 3600
ROOM = 200 * 1024 * 1024
Check = dict[str, Any]


def examine(home: Path, environment: Mapping[str, str], now: float) -> list[Check]:
    """Every check, each with `name`, `ok` and `say`."""
    checks: list[Check] = []

    def check(name: str, work: Callable[[], str]) -> None:
        try:
            checks.append({"name": name, "ok": True, "say": work()})
        except Refusal as refusal:
            checks.append({"name": name, "ok": False, "say": f"{refusal.code}: {refusal.say}"})

    check("settings", lambda: _settings(home, environment))
    check("partnership", lambda: f"{read_partnership(home / 'partnership.json').charter.name}")
    check("files", lambda: _private(home))
    check("disk", lambda: _room(home))
    if not checks[0]["ok"]:
        return checks
    state: dict[str, Any] = {}
    check("agent", lambda: _answers(home, state))
    if state:
        check("relay", lambda: _relay(state))
        check("directory", lambda: _directory(state, now))
        check("log", lambda: _log(state))
        check("witnesses", lambda: _witnesses(state["witnesses"]))
        check("directory's witnesses", lambda: _witnesses(state["directory_witnesses"]))
        check("keys", lambda: _keys(state))
        check("renewal", lambda: _renewal(home, now))
        check("own statements", lambda: _own(state))
        check("one agent", lambda: _one(state))
        check("safety numbers", lambda: _numbers(state))
        check("policy", lambda: _policy(state))
        check("officers", lambda: _officers(state))
        check("people's keys", lambda: _people(state))
        check("who speaks for the agency", lambda: _successors(state))
        check("queue", lambda: _queue(state))
        check("taken on", lambda: _untaken(state))
        check("kept back", lambda: _kept_back(state))
        check("who signed", lambda: _in_doubt(state))
        check("daily lists", lambda: _lists(state))
        check("agreements", lambda: _agreements(state))
    return checks


def _settings(home: Path, environment: Mapping[str, str]) -> str:
    read_settings(home, environment)
    return "agent.toml is well formed"


def _answers(home: Path, state: dict[str, Any]) -> str:
    state.update(Line(home).ask("GET", "/v1/status"))
    return "it answers"


def _private(home: Path) -> str:
    settings: Settings = read_settings(home, {})
    for path in (settings.key_file, settings.store, settings.token):
        found = settings.at(path).lstat() if os.path.lexists(settings.at(path)) else None
        if found is None or not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
            raise Refusal("FILE", f"{path.name} is missing or can be read by others. Set it to mode 0600.")
    return "keys, store and token are the agent's alone"


def _room(home: Path) -> str:
    free = shutil.disk_usage(home).free
    if free < ROOM:
        raise Refusal("DISK_FULL", "Less than 200 MB are free. Make room before the store needs it.")
    return f"{free // 2**20} MB free"


def _relay(state: dict[str, Any]) -> str:
    if state["relay"]["code"]:
        raise Refusal(state["relay"]["code"], state["relay"]["say"])
    return "it answers"


def _directory(state: dict[str, Any], now: float) -> str:
    if state["directory_stale"]:
        raise Refusal("STALE_DIRECTORY")
    if abs(now - state["directory_fresh"]) > 24 * 3600:
        raise Refusal("CLOCK")
    return "fresh"


def _log(state: dict[str, Any]) -> str:
    if state["alarm"]:
        raise Refusal(state["alarm"]["code"])
    return f"consistent up to {state['log_size']} entries"


def _witnesses(found: dict[str, Any]) -> str:
    if found["state"] != "agreed":
        raise Refusal("QUORUM", found["say"])
    return f"{found['say']} {found['taking_part']} of {found['members']} take part."


def _keys(state: dict[str, Any]) -> str:
    if state["unknown_own_keys"]:
        raise Refusal("DIRECTORY", "The directory lists keys of your agency that this agent does not hold.")
    return "every running key in the directory is held here"


def _own(state: dict[str, Any]) -> str:
    """What stands in the directory in this agency's name, and nobody here has confirmed."""
    waiting = state["own_statements"]
    if waiting:
        said = " ".join(f"[{one['n']}] {one['say']}" for one in waiting)
        todo = "Ask your administrator. If it was they: fenpost-agent doctor --acknowledge NUMBER. If not: revoke."
        raise Refusal("OWN_STATEMENT", f"{'Nothing is sent. ' if state['own_doubt'] else ''}{said} {todo}")
    return "everything in the directory in this agency's name is known here"


def _one(state: dict[str, Any]) -> str:
    if state["two_agents"] is not None:
        met = f"{london(state['two_agents']):%d %b %Y at %H:%M}"
        raise Refusal(
            "TWO_AGENTS",
            f"{Refusal('TWO_AGENTS').say} Last met on {met}. When it is done: "
            "fenpost-agent doctor --acknowledge agents",
        )
    return "no second agent with these keys was met"


def _numbers(state: dict[str, Any]) -> str:
    if state["other_numbers"]:
        names = ", ".join(one["name"] for one in state["other_numbers"])
        raise Refusal("SAFETY_NUMBER", f"{Refusal('SAFETY_NUMBER').say} It is about: {names}.")
    return "no agency came under another's name"


def _renewal(home: Path, now: float) -> str:
    """What the agent renews by itself, and the one key that it cannot."""
    found = Line(home).ask("GET", "/v1/keys/rotation")
    if found["due"] and found["code"]:
        raise Refusal(found["code"], f"Keys could not be renewed: {Refusal(found['code']).say}")
    renew = max((key["exp"] for key in found["keys"] if key["use"] == "renew"), default=0)
    if renew - now < RENEW_NOTICE:
        raise Refusal(
            "STALE_KEY",
            "The key with which this agent renews the others ends soon. Ask the administrator for a new one: "
            "fenpost-keys rotate --use renew",
        )
    late = ", ".join(f"{one['name']} ({one['count']})" for one in found["sealing_to_old"])
    return f"every key in time; still sealing to old ones: {late}" if late else "every key in time"


def _policy(state: dict[str, Any]) -> str:
    if state["policy"] is None:
        raise Refusal("POLICY")
    return f"version {state['policy']['version']} is in force and held here"


def _officers(state: dict[str, Any]) -> str:
    """Nothing stops for this, and somebody must see to it: without a lead, what needs one is refused."""
    if state["short_of_officers"]:
        said = "; ".join(
            f"{one['name'] or one['agency']} has {one['ig']} of {one['ig_asked']} IG officers and {one['lead']} of "
            f"{one['lead_asked']} safeguarding leads"
            for one in state["short_of_officers"]
        )
        raise Refusal(
            "OFFICERS", f"The policy asks for more: {said}. Ask the administrator to publish their keys."
        )
    return "as many IG officers and leads as the policy asks for"


def _people(state: dict[str, Any]) -> str:
    """Keys of people that end within 60 days are named; within 14, or not looked at for 90, somebody must act."""
    said = _due(state["people_due"], person_due, "Ask your administrator to see to these: {}.")
    return said or "in time, and looked over within the quarter"


def _due(found: list[dict[str, Any]], words: Callable[[dict[str, Any]], str], ask: str) -> str:
    """What is due, in words. Raises Refusal STALE_KEY, with what to ask for, when it cannot wait."""
    said = "; ".join(words(one) for one in found)
    if any(one["urgent"] for one in found):
        raise Refusal("STALE_KEY", ask.format(said))
    return said


def person_due(one: dict[str, Any]) -> str:
    """What is due about one person's key, in words."""
    day, name = f"{london(one['at']):%d %b %Y}", f"{one['person'] or 'a person'} ({one['use']})"
    if one["why"] == "ends":
        return f"the key of {name} ends on {day} and has no successor: fenpost-keys rotate"
    return (
        f"nobody has looked whether the key of {name} is still right since {day}: fenpost-keys role recertify"
    )


def _successors(state: dict[str, Any]) -> str:
    """The operational key and the roots end only when somebody puts the next in their place: within 14 days of the
    day, or after it, she must."""
    ask = "Ask your administrator to see to this: {}. Nothing stops for it."
    said = _due(state["successors_due"], successor_due, ask)
    return said or "the operational key and the root keys are not due to be replaced"


def successor_due(one: dict[str, Any]) -> str:
    """When an operational key or roots are to be followed by the next, in words."""
    since, day = f"{london(one['since']):%d %b %Y}", f"{london(one['at']):%d %b %Y}"
    if one["use"] == "op":
        return (
            f"the operational key is in force since {since}, and the next is due on {day}: "
            "fenpost-keys rotate --use op"
        )
    return (
        f"the next root keys lie in their safe since {since}, and are due to be used on {day}: "
        "fenpost-keys recover op --roots FILE"
    )


def _agreements(state: dict[str, Any]) -> str:
    if state["gate_faults"]:
        raise Refusal(
            "NO_AUTHORITY", f"{state['gate_faults']} messages passed the relay that it should have stopped."
        )
    if state["unconfirmed"]:
        raise Refusal(
            "STATUS_STALE",
            f"{state['unconfirmed']} messages wait, not confirmed: nobody says their agreement stands.",
        )
    if state["recalls_to_answer"]:
        raise Refusal(
            "AGREEMENT_ENDED",
            f"{state['recalls_to_answer']} withdrawn agreements wait for an answer: fenpost-agent consent recalls",
        )
    return f"{state['recalls_unanswered']} answers of other agencies are missing"


def _kept_back(state: dict[str, Any]) -> str:
    kept = state["over_unproven"]
    if kept:
        names = ", ".join(sorted({one["from"]["name"] or one["from"]["agency"] for one in kept}))
        raise Refusal(
            "ENDED",
            f"{len(kept)} messages are kept back: the relay says that they are over, and shows no proof. "
            f"Ring who sent them: {names}.",
        )
    return "nothing is kept back on the relay's bare word"


def _in_doubt(state: dict[str, Any]) -> str:
    """What people here read, signed with a key that was in other hands by then, as is known now."""
    found = state["in_doubt"]
    if found:
        names = ", ".join(sorted({one["from"]["name"] or one["from"]["agency"] for one in found}))
        raise Refusal(
            "REVOKED_KEY",
            f"{sum(one['messages'] for one in found)} messages were signed with a key that was in other hands by then. "
            f"Ring their senders before you act on them, by a number you already have: {names}. They are marked in "
            f"fenpost-agent inbox --all. When it is done: {_looked_over(found)}",
        )
    return "no message that was read here is in doubt"


def _untaken(state: dict[str, Any]) -> str:
    late = state["untaken"]
    if late:
        reds = sum(one["rag"] == "RED" for one in late)
        desks = sorted({f"{one['to']['name'] or one['to']['agency']}, {one['to']['desk']}" for one in late})
        raise Refusal(
            "UNTAKEN",
            f"{'At least ' if state['untaken_more'] else ''}{len(late)} times a desk has not taken on in time what "
            f"you sent it ({reds} of them RED). "
            f"Ring: {'; '.join(desks)}.{_rung(late)}",
        )
    return "every desk took on in time what was sent to it"


def _rung(late: list[dict[str, Any]]) -> str:
    """What to type once somebody rang the desks that a key answered for which was in other hands."""
    found = [one for one in late if one["acknowledge_as"]]
    if not found:
        return ""
    said = f" {len(found)} times only a key says that they have, and it was in other hands by then."
    return f"{said} When it is done: {_looked_over(found)}"


def _looked_over(found: list[dict[str, Any]]) -> str:
    names = sorted({one["acknowledge_as"] for one in found})
    return " ".join(["fenpost-agent doctor", *(f"--acknowledge messages:{name}" for name in names)])


def _lists(state: dict[str, Any]) -> str:
    found = state["reconciliation"]
    if found["differences"]:
        raise Refusal("RECONCILE")
    return "no differences" if found["last_day"] is None else f"no differences up to {found['last_day']}"


def _queue(state: dict[str, Any]) -> str:
    if state["waiting_because"]:
        codes = ", ".join(sorted(state["waiting_because"]))
        raise Refusal("RELAY_AWAY", f"{state['waiting']} messages wait here: {codes}.")
    return f"{state['waiting']} messages wait"
