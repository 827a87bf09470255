"""Keys are rotated under traffic while agents and the administrator's command are killed: no message may notice.

Two agents, the relay and `fenpost-keys` as real processes on real stores. Each agency's case system has ten messages a
second for the other, by the clock and whatever happens: what its agent cannot take because it is dead waits in the case
system, and goes when the agent is back. Meanwhile both agencies replace every running key again and again, now and then
the administrator's own key and the renew key too, and whoever works is killed at random.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path

from tests.case_system import CaseSystem, Line
from tests.town import BIN, IDVAS, PEACOCK, AgencyPlan, Town, clean_environment, until

ROTATIONS = 50
PACE = 20
"""Messages a second that are offered, by both case systems together. How many were taken and opened is printed: a
machine that has much else to do takes them later, and loses none."""
RUNNING = ("msg", "auth", "consent", "prekey", "witness")
EVERY_KEY = 4
"""In so many rotations each agency once replaces the operational and the renew key too, and nobody acknowledges it."""
SETTLING = 300.0
REFERRAL = {
    "type": "referral.universal",
    "v": 1,
    "rag": "RED",
    "rag_why": "Things got worse tonight.",
    "ask": "Please ring as soon as you can.",
    "strand": ["da"],
    "person": {"person_ref": "pUx7cR0vQm2dLk9sTfWz4A", "known_as": "Robin", "area": "Peterborough"},
    "wishes": {"wants": ["to talk to somebody"]},
    "contact": {
        "checked_on": "2026-11-20",
        "asked_alone": True,
        "channels": [{"kind": "call", "safe": "yes", "value": "07700900123"}],
    },
}
LAW = {"agree": "NOT_SOUGHT", "b6": "6f", "why_no": "A", "told": "YES"}
BOTH = (PEACOCK, IDVAS)


def test_no_message_notices_that_every_key_is_replaced_under_it(tmp_path: Path) -> None:
    draw, before = random.Random(5), used()
    town = Town(tmp_path / "town")
    town.found()
    for plan in BOTH:
        town.join(plan)
    town.start_relay()
    try:
        for plan in BOTH:
            town.enrol(plan)
            town.start_agent(plan)
        systems = [
            CaseSystem(town.at(plan.key), PACE / len(BOTH), lambda n, p=plan, o=other: form(p, o, n))
            for plan, other in (BOTH, reversed(BOTH))
        ]
        began = time.monotonic()
        for system in systems:
            system.begin()
        killed = {"agent": 0, "command": 0}
        for turn in range(ROTATIONS):
            every = turn % EVERY_KEY in (EVERY_KEY - 2, EVERY_KEY - 1)  # once at either agency
            rotate(town, BOTH[turn % 2], draw, killed, every=every)
        for system in systems:
            system.stop()
        offering = time.monotonic() - began
        taking = [system.end(SETTLING) for system in systems]
        until(lambda: all(map(arrived, systems, folders(town))), "every message was handed over", SETTLING)
        arriving = time.monotonic() - began
        for system, plan, folder in zip(systems, reversed(BOTH), folders(town), strict=True):
            found = [json.loads(path.read_bytes())["mid"] for path in folder.glob("*.json")]
            assert sorted(found) == sorted(system.taken.values())  # each of them once, and nothing else
            check_opened(town, system, plan)
        for plan in BOTH:
            words = ("--dir", town.at(plan.key), "--passphrase-file", town.passphrase(plan.key))
            town.run("fenpost-keys", "resume", *words)
            with closing(Line(town.at(plan.key))) as line:
                until(lambda at=line: all_held(at), "the agent holds every key that stands in its name")
                status = line.ask("GET", "/v1/status")
            assert (status["own_doubt"], status["own_statements"]) == (None, [])
    finally:
        town.stop_all()
    offered = sum(system.offered for system in systems)
    print(
        f"\n  {ROTATIONS} rotations in {offering:.0f} s, {killed['agent']} agents and {killed['command']} commands "
        f"killed; messages a second: {offered / offering:.1f} offered, {offered / max(taking):.1f} taken, "
        f"{offered / arriving:.1f} opened; {offered} messages, 0 lost, 0 unreadable; the longest waited "
        f"{max(system.longest for system in systems):.0f} s for its agent; all programs used {used() - before:.0f} s "
        "of a processor"
    )
    assert min(killed.values()) > ROTATIONS // 10


def used() -> float:
    """Seconds of a processor that the programs took which were started here and have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def form(plan: AgencyPlan, other: AgencyPlan, number: int) -> dict:
    return {
        "kind": "referral.universal",
        "payload": {**REFERRAL, "reply_to": {"desk": plan.desk}},
        "to": [{"agency": other.name, "desk": other.desk}],
        "case_ref": f"case-{number}",
        "law": LAW,
    }


def rotate(
    town: Town, plan: AgencyPlan, draw: random.Random, killed: dict[str, int], *, every: bool = False
) -> None:
    """Replace every running key of an agency, or really every one; half of the times somebody is killed in the middle."""
    words = [
        str(BIN / "fenpost-keys"),
        "rotate",
        "--dir",
        str(town.at(plan.key)),
        "--yes",
        "--demonstration-cost",
    ]
    words += ["--all"] if every else [word for use in RUNNING for word in ("--use", use)]
    words += ["--passphrase-file", str(town.passphrase(plan.key))]
    victim = draw.choice(("agent", "command", "nobody", "nobody"))
    for _ in range(20):
        process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=clean_environment()
        )
        if victim != "nobody":
            time.sleep(draw.uniform(0.2, 2.0))
        if victim == "command":
            process.kill()
        elif victim == "agent":
            town.stop(plan.key, signal.SIGKILL)
            town.start_agent(plan)
        _, said = process.communicate(timeout=120)
        if victim != "nobody":
            killed[victim] += 1
        if process.returncode == 0:
            return
        victim = "nobody"
        time.sleep(0.5)
    raise AssertionError(said.decode(errors="replace"))


def folders(town: Town) -> list[Path]:
    """Where messages are handed over, in the order of the case systems that sent them."""
    return [town.at(plan.key, "IN") for plan in reversed(BOTH)]


def arrived(system: CaseSystem, folder: Path) -> bool:
    return sum(1 for _ in folder.glob("*.json")) >= len(system.taken)


def check_opened(town: Town, system: CaseSystem, recipient: AgencyPlan) -> None:
    """Every message is open where it was sent, by its sender's own ladder too, and nothing was rejected there."""
    waiting = set(system.taken.values())
    with closing(Line(system.home)) as here, closing(Line(town.at(recipient.key))) as there:

        def left() -> set[str]:
            for mid in sorted(waiting):
                (desk,) = here.ask("GET", f"/v1/messages/{mid}")["desks"]
                assert desk["state"] not in ("rejected", "withdrawn", "expired", "refused"), desk
                if desk["state"] == "opened":
                    waiting.discard(mid)
            return waiting

        until(lambda: not left(), "the sender knows that every message was opened", SETTLING)
        items = there.ask("GET", "/v1/inbox?all=1")["items"]
    assert [item for item in items if item["state"] not in ("opened", "taken-on")] == []


def all_held(line: Line) -> bool:
    """Whether the agent holds every one of its keys that stand, and nothing is due or in its way."""
    state = line.ask("GET", "/v1/keys/rotation")
    return all(key["held"] for key in state["keys"]) and (state["due"], state["code"]) == ([], "")
