"""Keys are rotated under traffic while agents and the administrator's command are killed: no message may notice.

Two agents, the relay and `fenpost-keys` as real processes on real stores. Messages are handed to the sending agent at a
steady pace; meanwhile both agencies replace every running key again and again, now and then the administrator's own key
and the renew key too, and whoever works is killed at random.
"""

from __future__ import annotations

import http.client
import json
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

from tests.town import BIN, IDVAS, PEACOCK, AgencyPlan, Town, clean_environment, until

ROTATIONS = 50
PACE = 20
"""Messages a second that are handed in."""
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
    "reply_to": {"desk": "duty"},
}
LAW = {"agree": "NOT_SOUGHT", "b6": "6f", "why_no": "A", "told": "YES"}


def test_no_message_notices_that_every_key_is_replaced_under_it(tmp_path: Path) -> None:
    draw = random.Random(5)
    town = Town(tmp_path / "town")
    town.found()
    for plan in (PEACOCK, IDVAS):
        town.join(plan)
    town.start_relay()
    try:
        for plan in (PEACOCK, IDVAS):
            town.enrol(plan)
            town.start_agent(plan)
        sender = Sender(town)
        sender.start()
        killed = {"agent": 0, "command": 0}
        for turn in range(ROTATIONS):
            every = turn % EVERY_KEY in (EVERY_KEY - 2, EVERY_KEY - 1)  # once at either agency
            rotate(town, (PEACOCK, IDVAS)[turn % 2], draw, killed, every=every)
        sender.stop()
        unopened = set(sender.taken)
        until(lambda: not left(town, unopened), "every message was opened at the other agency", SETTLING)
        rejected = [item for item in inbox(town) if item["state"] not in ("opened", "taken-on")]
        assert rejected == []
        assert ask(town, IDVAS, "GET", "/v1/status")["to_take_on"] == len(sender.taken)  # each of them once
        for plan in (PEACOCK, IDVAS):
            words = ("--dir", town.at(plan.key), "--passphrase-file", town.passphrase(plan.key))
            town.run("fenpost-keys", "resume", *words)
            state = ask(town, plan, "GET", "/v1/keys/rotation")
            # A renew key is taken up at the agent's next start.
            assert all(key["held"] or key["use"] == "renew" for key in state["keys"])
            assert (state["due"], state["code"]) == ([], "")
            status = ask(town, plan, "GET", "/v1/status")
            assert (status["own_doubt"], status["own_statements"]) == (None, [])
    finally:
        town.stop_all()
    print(
        f"\n  {ROTATIONS} rotations, {killed['agent']} agents and {killed['command']} commands killed, "
        f"{len(sender.taken)} messages at {sender.pace:.1f} a second, 0 lost, 0 unreadable"
    )
    assert min(killed.values()) > ROTATIONS // 10


class Sender(threading.Thread):
    """A case system that hands in a message every so often, and again under its key until the agent has taken it."""

    def __init__(self, town: Town) -> None:
        super().__init__(daemon=True)
        self.town, self.taken, self._over = town, list[str](), threading.Event()
        self.pace = 0.0

    def run(self) -> None:
        began, number = time.monotonic(), 0
        while not self._over.is_set():
            self.taken.append(self._sent(number))
            number += 1
            self.pace = number / (time.monotonic() - began)
            time.sleep(max(0.0, began + number / PACE - time.monotonic()))

    def stop(self) -> None:
        self._over.set()
        self.join(120)
        assert not self.is_alive(), "the sender could not end"

    def _sent(self, number: int) -> str:
        form = {
            "kind": "referral.universal",
            "payload": REFERRAL,
            "to": [{"agency": IDVAS.name, "desk": IDVAS.desk}],
            "case_ref": f"case-{number}",
            "law": LAW,
        }
        while True:
            try:
                return ask(self.town, PEACOCK, "POST", "/v1/messages", form, f"n-{number}")["mid"]
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.1)  # it was killed


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
        _, said = process.communicate(timeout=120)
        if victim == "agent":
            town.start_agent(plan)
        if victim != "nobody":
            killed[victim] += 1
        if process.returncode == 0:
            return
        victim = "nobody"
        time.sleep(0.5)
    raise AssertionError(said.decode(errors="replace"))


def left(town: Town, unopened: set[str]) -> int:
    """How many messages the other agency has not opened yet; those that it has leave the set."""
    for mid in sorted(unopened):
        (desk,) = ask(town, PEACOCK, "GET", f"/v1/messages/{mid}")["desks"]
        assert desk["state"] not in ("rejected", "withdrawn", "expired", "refused"), desk
        if desk["state"] == "opened":
            unopened.discard(mid)
    return len(unopened)


def inbox(town: Town) -> list[dict]:
    return ask(town, IDVAS, "GET", "/v1/inbox?all=1")["items"]


def ask(
    town: Town, plan: AgencyPlan, method: str, path: str, value: object = None, key: str | None = None
) -> dict:
    """Ask an agent on its loopback face; raises OSError or ValueError while it is away."""
    home = town.at(plan.key)
    host, port = (home / "agent.port").read_text().split()
    headers = {"Authorization": f"Bearer {(home / 'api.token').read_text().strip()}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    line = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        line.request(method, path, None if value is None else json.dumps(value), headers)
        answer = line.getresponse()
        said = json.loads(answer.read())
    finally:
        line.close()
    if answer.status >= 500:
        raise ValueError(said)
    assert answer.status < 300, said
    return said
