"""What every command shares with the terminal: the process's own guard, reports, refusals and exit codes.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 refused or a check did not hold, 2 usage,
3 the relay cannot be reached.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import click

from schemas.canonical import Json
from schemas.errors import Refusal

REFUSED = 1
AWAY = 3
AWAY_CODES = frozenset({"RELAY_AWAY", "UNAVAILABLE", "TOO_LATE"})


@dataclass(frozen=True, slots=True)
class World:
    """What a command takes from outside: the time in Unix seconds and random bytes."""

    clock: Callable[[], float]
    draw: Callable[[int], bytes]

    def now(self) -> int:
        return int(self.clock())


PR_SET_DUMPABLE = 4


def guard_process() -> None:
    """No core files, which would hold keys, no look by others of this user, and files that nobody else may read."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit alone would not stop a core handler that the kernel feeds through a pipe.
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def run(command: click.Command, world: World) -> NoReturn:
    """Run a program's command line to its end and exit."""
    guard_process()
    try:
        # Outside its standalone mode click returns a command's exit code, and None at its ordinary end.
        code = command.main(obj=world, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        tell("Stopped.")
        sys.exit(REFUSED)
    except Refusal as refusal:
        sys.exit(explain(refusal))
    except BrokenPipeError:
        # Whoever read the report has seen enough; without this, Python complains once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(REFUSED)
    except Exception as error:  # noqa: BLE001 - the last resort: a traceback may quote what must not be shown
        tell(
            f"UNFORESEEN: this was not foreseen ({type(error).__name__}). Please report it. Nothing is shown."
        )
        sys.exit(REFUSED)
    sys.exit(code if isinstance(code, int) else 0)


def explain(refusal: Refusal) -> int:
    """Say a refusal on stderr; the exit code that it deserves."""
    named = f" [{', '.join(refusal.detail)}]" if refusal.detail else ""
    tell(f"{refusal.code}: {refusal.say}{named}")
    return AWAY if refusal.code in AWAY_CODES else REFUSED


def report(facts: dict[str, Json], text: str, *, as_json: bool) -> None:
    """Print a result: `facts` for programs, or `text` for people."""
    click.echo(json.dumps(facts, sort_keys=True) if as_json else text)


def tell(text: str) -> None:
    """Narrate to whoever sits at the terminal."""
    click.echo(text, err=True)


def width() -> int:
    """How many letters a line of a table may have: the terminal's, and many where nobody looks."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 200


def shown(text: str) -> str:
    """A text that others wrote, with everything that a terminal could obey or hide made visible."""
    return "".join(
        char if char == " " or unicodedata.category(char)[0] not in "CZ" else f"\\u{{{ord(char):x}}}"
        for char in text
    )


def paragraphs(text: str) -> tuple[str, ...]:
    """Texts that stand apart by an empty line, each in one line."""
    return tuple(" ".join(one.split()) for one in text.split("\n\n"))
