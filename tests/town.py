"""A partnership on disk, made and run with the real commands: what the demonstration, the tour and the storms live in.

    town = Town(folder)
    town.found(); town.join(PEACOCK); town.start_relay(); town.enrol(PEACOCK); town.start_agent(PEACOCK)

Every command is one that a person would type; its output is kept. Nothing here reaches into a program.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port

BIN = Path(sys.executable).parent
PATIENCE = 60.0
"""Seconds that anything here may take before it counts as failed; usual is under two, also on a busy machine."""


class TownError(Exception):
    """Something did not happen that should have."""


class Ended(TownError):
    """A process ended by itself while it should have come up."""


@dataclass(frozen=True, slots=True)
class AgencyPlan:
    """An agency of the founding documents: its folder, name, desk, what it is in law and of which kind."""

    key: str
    name: str
    desk: str
    flags: tuple[str, ...] = ()
    sector: str = "other"


PEACOCK = AgencyPlan("peacock", "The Peacock Project", "referrals", sector="da_support")
IDVAS = AgencyPlan(
    "idvas", "Peterborough IDVAS", "duty", ("--public-authority", "--s16la-member", "--cda-relevant"), "idva"
)
DASS = AgencyPlan("dass", "IMPAKT DASS", "outreach", sector="da_support")
SARC = AgencyPlan("sarc", "The Elms SARC", "reception", ("--cda-relevant",), "sarc")


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    exit: int
    out: str
    err: str

    def json(self) -> dict:
        return json.loads(self.out)


class Town:
    """One partnership in one folder. `programs` is where the commands are that end by themselves."""

    def __init__(self, root: Path, programs: Path = BIN) -> None:
        self.root = root
        self.programs = programs
        self.port = free_port()
        self.admin_port = free_port()
        self.running: dict[str, subprocess.Popen] = {}
        root.mkdir(parents=True, exist_ok=True)

    # --- folders

    def at(self, *parts: str) -> Path:
        return self.root.joinpath(*parts)

    @property
    def partnership(self) -> Path:
        return self.at("partnership")

    @property
    def relay(self) -> Path:
        return self.at("partnership", "relay")

    def passphrase(self, who: str) -> Path:
        """A passphrase file for `who`, made on first use, readable by its owner only."""
        path = self.at(f"{who}.passphrase")
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(18) + "\n")
        return path

    # --- commands

    def run(self, *words: str | Path, expect: int | None = 0) -> Said:
        """Type a command; raises TownError when it does not end as expected."""
        command = [str(self.programs / str(words[0])), *map(str, words[1:])]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            env=clean_environment(),
        )
        said = Said(done.returncode, done.stdout, done.stderr)
        if expect is not None and said.exit != expect:
            raise TownError(
                f"{' '.join(map(str, words))}\nended with {said.exit}, not {expect}\n{said.out}{said.err}"
            )
        return said

    def officer(self, who: str) -> Path:
        """Make an IG officer's keys; returns the card for the administrator."""
        folder = self.at("officers", who)
        self.run(
            "fenpost-audit",
            "init",
            "--dir",
            folder,
            "--passphrase-file",
            self.passphrase(f"officer-{who}"),
            "--demonstration-cost",
        )
        return folder / "officer.json"

    def found(self, name: str = "Peterborough demonstration partnership") -> None:
        """The root ceremony: oversight, its officer, the relay's keys, the partnership file."""
        self.run(
            "fenpost-keys", "partnership", "init", "--dir", self.partnership, "--name", name,
            "--relay-url", f"http://127.0.0.1:{self.port}", "--listen", f"127.0.0.1:{self.port}",
            "--admin-listen", f"127.0.0.1:{self.admin_port}",
            "--origin", "demo.fenpost.example/log", "--officer", self.officer("oversight"),
            "--passphrase-file", self.passphrase("partnership"), "--demonstration-cost",
        )  # fmt: skip

    def join(self, plan: AgencyPlan) -> None:
        """Make an agency's keys, at the agency."""
        self.run(
            "fenpost-keys", "agency", "init", "--dir", self.at(plan.key), "--name", plan.name, "--desk", plan.desk,
            "--officer", self.officer(plan.key), "--partnership", self.partnership / "partnership.json",
            "--passphrase-file", self.passphrase(plan.key), "--demonstration-cost",
            "--sector", plan.sector, *plan.flags,
        )  # fmt: skip

    def enrol(self, plan: AgencyPlan) -> str:
        """Oversight takes the agency in, after its safety number was read aloud; returns the number."""
        enrolment = self.at(plan.key, "enrolment.json")
        number = self.run("fenpost-keys", "agency", "show", enrolment, "--json").json()["safety_number"]
        self.run(
            "fenpost-keys", "agency", "enrol", enrolment, "--partnership-dir", self.partnership,
            "--fingerprint", number, "--passphrase-file", self.passphrase("partnership"),
        )  # fmt: skip
        self.run(
            "fenpost-agent",
            "init",
            "--dir",
            self.at(plan.key),
            "--passphrase-file",
            self.passphrase(plan.key),
        )
        return number

    # --- processes

    def start_relay(self) -> None:
        self._start("relay", "fenpost-broker", "run", "--config", self.relay / "relay.toml")
        self._until_up(
            "relay", lambda: answers(f"http://127.0.0.1:{self.admin_port}/readyz"), "the relay is ready"
        )

    def start_agent(self, plan: AgencyPlan) -> None:
        self._start(plan.key, "fenpost-agent", "run", "--dir", self.at(plan.key))
        home = self.at(plan.key)

        def answering() -> bool:
            port = home / "agent.port"
            return port.exists() and answers_to(port.read_text(), (home / "api.token").read_text())

        self._until_up(plan.key, answering, f"the agent of {plan.name} answers")

    def stop(self, who: str, how: int = signal.SIGTERM) -> int:
        """End a process and return its exit code."""
        process = self.running.pop(who)
        process.send_signal(how)
        return process.wait(PATIENCE)

    def stop_all(self) -> None:
        for who in [w for w in self.running if w != "relay"] + [w for w in self.running if w == "relay"]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop(who)

    def _start(self, who: str, *words: str | Path) -> None:
        log = self.at(f"{who}.log").open("ab")
        command = [str(BIN / str(words[0])), *map(str, words[1:])]
        self.running[who] = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=clean_environment()
        )
        log.close()

    def _until_up(self, who: str, ready: Callable[[], object], what: str) -> None:
        """Wait until a process is ready; raises Ended when it ends instead, and TownError when neither comes."""

        def up() -> object:
            code = self.running[who].poll()
            if code is not None:
                said = self.at(f"{who}.log").read_text(errors="replace").splitlines()[-3:]
                raise Ended("\n".join([f"{who} ended with {code} when it was started; it said last:", *said]))
            return ready()

        until(up, what)


def clean_environment() -> dict[str, str]:
    """The environment without what would configure Fenpost or slow Python down."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FENPOST_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept


def until(ready: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait for something; raises TownError naming it when it does not come."""
    end = time.monotonic() + patience
    while not ready():
        if time.monotonic() > end:
            raise TownError(f"waited {patience:.0f} s in vain: {what}")
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def answers_to(address: str, token: str) -> bool:
    """Whether an agent answers at "host port" to whoever has this token."""
    host, port = address.split()
    headers = {"Authorization": f"Bearer {token.strip()}"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://{host}:{port}/v1/status", headers=headers), timeout=10
        ) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
