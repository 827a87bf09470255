"""The runbooks do what they say, as they are printed: every sh block of the three pages, in one town founded once."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import forked
from tests.ports import free_port
from tests.town import PATIENCE, answers, clean_environment, until

BOOKS = Path(__file__).parents[2] / "keys_tooling"
PAGES = ("README.md", "AUDIT.md", "RUNBOOKS.md")
PART = re.compile(r"^#{2,3} (?P<title>[^\n]*)$|^```sh\n(?P<block>.*?)^```$", re.MULTILINE | re.DOTALL)
MAKES_KEY_FILES = re.compile(
    r"fenpost-(?:audit init|keys (?:partnership init|agency init|policy signer init|role new|rotate|backup|restore|passphrase"
    r"|recover (?:shares|op|agent)))\b"
)
ENDS_BEFORE = {
    "The agent's keys": "fenpost-agent --dir peacock", "Afterwards": "fenpost-agent --dir harbour",
    "9. The relay is away": "fenpost-broker",
}  # fmt: skip
"""What the text under a title says has ended, or what later titles do without."""
OTHERS_BEFORE = {
    "The whole machine is gone": "mkdir -m 700 harbour-safe\nmv harbour/next-roots.fpk harbour-safe\nrm -r harbour\n",
    "5. A key or a device is in wrong hands": "fenpost-agent init --dir harbour --passphrase-file harbour.pass\n"
    "cp -pr harbour stolen\n"
    "fenpost-keys role desk intake --role stranger --yes --dir stolen --passphrase-file harbour.pass\n",
}
"""What happened before a title: a fire, and a thief who copied the folder of an agency and speaks in its name."""

SAYS = {
    "1. Officers make their keys": ("Card           peacock-officer/officer.json",),
    "2. Oversight founds the partnership": ("Partnership    Fenland Partnership",),
    "4. An agency makes its keys": ("Agency         The Peacock Project",),
    "5. Oversight takes the agency in": ("is a member now. Members of the partnership: 1.",),
    "6. The agent runs": ("ok  agent: it answers", "ok  own statements: everything", "ok  one agent: no second"),
    "7. Authors and safeguarding leads get keys of their own": (
        "lead-2 is countersigned.", "The Peacock Project  lead-2  counts later",
    ),
    "8. Keys are kept: backup": (
        "5 pages are in pages", "It holds: next-roots.fpk", "admin.fpk: restored", "Everything fits.",
        "next-roots.fpk: restored",
    ),
    "A share on paper was lost or seen": ("is made: backups/next-roots-again.fpb", "Destroy the old backup"),
    "9. Does everything fit?": ("ok    admin.fpk holds the operational key that is in force.", "Everything fits."),
    "12. Passphrases": ("peacock/agent.fpk gets the new passphrase", "destroy them, and make a new backup"),
    "10. A ceremony and its minutes": ("MINUTES OF A CEREMONY: founding", "Every signature holds."),
    "1. Keep a mirror, prove it, read": (
        "WHOLE. Everything stored is what the relay signed", "entries belong to other agencies and stay closed.",
    ),
    "2. Records go when their time is over": (
        "Nothing may go now.", "2 entries: 1-2", "The hold is lifted.", "Nothing was deleted yet.",
    ),
    "3. Ask, and hand out evidence": ("officers-acts", "30  demographic-gap", "PROVEN"),
    "4. Write reports": ("reports/INTERNAL-weekly", "reports/PUBLIC-quarterly"),
    "1. An agency joins": (
        "Invitation     invite.json, for Harbour House", "Handed in: it waits for oversight",
        "Invited as     Harbour House", "is a member now. Members of the partnership: 2.",
    ),
    "2. Staff join, move and leave": (
        "lead-3 is countersigned.", "lead-4 is countersigned.", "reason left", "Done: revoke.",
        "Done: role desk.", "desk referrals: idva, duty-manager", "LACKS: 0 safeguarding leads count", "something is due",
        "Done: role recertify.",
    ),
    "3. Keys are rotated": (
        "The agent will do this:", "rotate-op: op_key", "Nothing was changed: this was a dry run.",
        "0 of 3 recorded", "old-next-admin-", "lead-3: her old key signs for a week more",
        "lead-3 is countersigned.",
    ),
    "The agent's keys": (
        "can be opened by nobody", "reason lost", "Done: recover agent.", "ok  keys: every running key",
        "ok  own statements: everything", "is made: backups/peacock-new.fpb", "Harbour House (ag1",
    ),
    "The operational key": (
        "next-roots.fpk: restored", "rotate-root: next_roots", "Done: recover op.",
        "ok    admin.fpk holds the operational key that is in force.",
    ),
    "The whole machine is gone": (
        "Done: recover op.", "can be opened by nobody", "Done: recover agent.", "Everything fits.",
    ),
    "5. A key or a device is in wrong hands": (
        "Nothing has happened yet; it must be signed again within a day.", "this does not end the operational key",
        "Done. The relay refuses these keys from the next request on.",
    ),
    "The whole folder was copied": (
        "statement 43 of", "(roster): stands", "(roster): undone", "(emergency-revoke): undone", "Done: recover op.",
        "still opened here", "Done: recover agent.", "ok    admin.fpk holds the operational key that is in force.",
        "ok  keys: every running key",
    ),
    "Afterwards": ("INTERNAL-breach",),
    "6. A rogue insider": (
        "Entries        2, kept until you lift it", "copied sealed records", "17. Work outside hours",
        "Done: revoke.", "The Peacock Project  lead-3  revoked", "your agency has 1 safeguarding leads then",
    ),
    "7. A safeguarding lead is absent": (
        "LACKS: 0 safeguarding leads count", "lead-5 is countersigned. It counts once the policy's delay is over.",
    ),
    "8. The law, or the policy, changes": (
        "thresholds.prompt_days: was 14, becomes 21.", "Otherwise      0 under version 2", "Signed as      policy-2; complete",
        "Version 2 is on record now.", "Version 3 is on record now.", "policy-3 is named.",
    ),
    "9. The relay is away": (
        "relay: The relay cannot be reached.", "LOOK  relay: RELAY_AWAY", "The stored log is whole",
        "statements follow, and their root is the relay's.",
    ),
    "10. An IG officer changes": (
        "Taken          the keys of entries 0 to", "signed by both of you", "ig ends here: nothing more is sealed to her.",
    ),
    "11. An agency is merged, split or renamed": (
        "Nothing was changed: this was a dry run.", "alias: now ag1", "agreements do NOT follow", "Done: agency merge.",
    ),
    "12. An agency leaves": (
        "The Peacock Project does its work then", "Done: agency leave.", "is made: escrow/officer.fpb", "officer.fpk: restored",
        "WHOLE. Everything stored is what the relay signed", "stay closed.", "Done: agency leave --finish.",
    ),
}  # fmt: skip
"""What must be printed under each title that has commands: a block that does nothing says nothing of it."""
TWELVE = (
    "An agency joins", "An agency leaves", "Staff join, move and leave", "Keys are rotated", "A key is lost",
    "A key or a device is in wrong hands", "A rogue insider", "An agency is merged, split or renamed",
    "An IG officer changes", "A safeguarding lead is absent", "The law, or the policy, changes", "The relay is away",
)  # fmt: skip


def parts() -> Iterator[tuple[str, str | None]]:
    """Each title, and then each block under it, in the order of the pages."""
    title = ""
    for page in PAGES:
        for part in PART.finditer((BOOKS / page).read_text(encoding="utf-8")):
            title = part["title"].removesuffix(" ‖") if part["title"] else title
            yield title, part["block"]


@dataclass
class Session:
    """A person's shell in one folder, the programs that she left running, and what was printed under each title."""

    folder: Path
    path: str
    ports: dict[str, str] = field(
        default_factory=lambda: {"8440": str(free_port()), "8441": str(free_port())}
    )
    running: dict[str, subprocess.Popen] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def type(self, title: str, block: str) -> None:
        """Type a block as it is printed, but for the ports and the cost of passphrases."""
        for printed, free in self.ports.items():
            block = block.replace(f"127.0.0.1:{printed}", f"127.0.0.1:{free}")
        block = MAKES_KEY_FILES.sub(r"\g<0> --demonstration-cost", block)
        if re.match(r"fenpost-\w+ run ", block):
            self.start(block)
            return
        done = self.shell(block)
        assert done.returncode == 0, (title, block, done.stdout, done.stderr)
        self.said[title] = self.said.get(title, "") + done.stdout + done.stderr

    def shell(self, block: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-e", "-c", block],
            cwd=self.folder,
            env={**clean_environment(), "PATH": self.path},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE * 2,
        )

    def start(self, block: str) -> None:
        """Leave a program running, and wait until it answers."""
        program = running_name(block)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with (self.folder / f"{program.replace(' ', '')}.log").open("ab") as log:
            self.running[program] = subprocess.Popen(
                ["sh", "-c", f"exec {block}"],
                cwd=self.folder,
                env={**clean_environment(), "PATH": path},
                stdout=log,
                stderr=log,
            )
        if program == "fenpost-broker":
            until(lambda: answers(f"http://127.0.0.1:{self.ports['8441']}/readyz"), "the relay is ready")
        else:
            asks = program.replace("agent", "agent status", 1)
            until(lambda: self.shell(asks).returncode == 0, "the agent answers")

    def stop(self, program: str) -> None:
        process = self.running.pop(program)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, program


def running_name(block: str) -> str:
    """How a program that runs is known: an agent by its folder too."""
    words = block.split()
    return words[0] if words[0] == "fenpost-broker" else f"{words[0]} --dir {words[words.index('--dir') + 1]}"


@contextlib.contextmanager
def session(folder: Path) -> Iterator[Session]:
    person = Session(folder, forked.path())
    try:
        yield person
    finally:
        for process in person.running.values():
            process.terminate()
        for process in person.running.values():
            process.wait(PATIENCE)


def test_the_session_of_the_runbooks_runs_as_printed_and_says_what_it_did(tmp_path: Path):
    with session(tmp_path) as person:
        for title, block in parts():
            if block is None:
                if title in ENDS_BEFORE:
                    person.stop(ENDS_BEFORE[title])
                if title in OTHERS_BEFORE:
                    assert person.shell(OTHERS_BEFORE[title]).returncode == 0
            else:
                person.type(title, block)
        log = person.said["1. Keep a mirror, prove it, read"]
        for program in ("fenpost-agent --dir peacock", "fenpost-broker"):
            person.stop(program)
        pulling = "fenpost-audit pull --dir successor --passphrase-file successor.pass"
        away = person.shell(pulling)
    assert (away.returncode, away.stderr.split(":")[0]) == (3, "RELAY_AWAY")
    assert "NOT WHOLE" not in log
    missing = [
        (title, words) for title, found in SAYS.items() for words in found if words not in person.said[title]
    ]
    assert not missing, (missing, {title: person.said[title] for title, _ in missing})


def test_every_title_with_commands_is_held_to_what_they_print():
    typed = {
        title
        for title, block in parts()
        if block is not None and not re.fullmatch(r"fenpost-\w+ run .*\n", block)
    }
    assert typed == set(SAYS)


@pytest.mark.parametrize("name", TWELVE)
def test_each_of_the_twelve_runbooks_says_who_what_to_say_and_what_cannot_be_undone(name: str):
    text = (BOOKS / "RUNBOOKS.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^## (\d+\. {re.escape(name)}.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    for heading in ("**Who:**", "**Say", "**Cannot be undone:**", "```sh"):
        assert heading in found, (name, heading)
    title = found.splitlines()[0]
    anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
    assert f"](#{anchor})" in text, anchor
