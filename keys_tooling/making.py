"""Several files that one command makes: all of them, or none, whatever instant it was killed at.

Rules of this house:
- the names of what will be made are on the disk before the first of it is;
- the last file is what gives the others a meaning: with it all is made, without it the others are taken back when the
  command is run again;
- one command at a time: what another one is making now is not touched;
- a list may have come with the folder, on a stick perhaps: only what such a command makes is taken back by it.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from keys_tooling.carrying_out import agreed
from keys_tooling.console import REFUSED, report, tell
from keys_tooling.keyfiles import PRIVATE, clear_part, new_files, sync_folder
from keys_tooling.plan import Facts, Given
from schemas.canonical import Json
from schemas.errors import Refusal

LIMIT = 256 * 1024
Makes = Callable[[Path], bool]
"""Whether a command makes files of this name, where it makes some in another folder than the last one's."""


@dataclass(slots=True)
class Making:
    """What a command makes; `before` says that a run which was killed afterwards has made all of it."""

    last: Path
    given: Given
    before: bool = False
    held: int | None = field(default=None, repr=False)

    def check_free(self, others: Sequence[Path]) -> None:
        """Raises Refusal EXISTS when any of it is there."""
        if any(os.path.lexists(path) for path in (*others, self.last)):
            raise Refusal("EXISTS")

    def begin(self, others: Sequence[Path]) -> None:
        """Put the names on the disk. Nothing of it may be there yet.

        Raises:
            Refusal: EXISTS, FILE, DISK_FULL.
        """
        self.check_free(others)
        with new_files(self.last.parent):
            pass  # the folder is made, and nobody else may write in it
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self.held = os.open(_list_of(self.last), flags, PRIVATE)
            fcntl.flock(self.held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            value = {"given": dict(self.given), "makes": [str(path.absolute()) for path in others]}
            os.write(self.held, json.dumps(value, sort_keys=True).encode("ascii"))
            os.fsync(self.held)
            sync_folder(self.last.parent)
        except OSError as error:
            raise Refusal("DISK_FULL" if error.errno in (28, 122) else "FILE") from error

    @contextmanager
    def until_heard(self) -> Iterator[None]:
        """All is made and somebody else is being told: if that fails, the names stay, and typed again it goes on."""
        try:
            yield
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Let the names stay: typed again, the command goes on where it is."""
        if self.held is not None:
            os.close(self.held)
            self.held = None

    def end(self) -> None:
        if self.held is not None:
            _list_of(self.last).unlink(missing_ok=True)
            os.close(self.held)
            self.held = None


@contextmanager
def making(
    last: Path, given: Given, *, dry: bool = False, elsewhere: Makes = lambda _path: False
) -> Iterator[Making]:
    """Make files of which `last` is the last; `begin` before the first of them.

    What a run that was killed half-way has made is taken back here. If it was killed when all was made, `before` says
    so, and nothing has to be made.

    Args:
        given: what the command was told, so that it is known again.
        dry: nothing is taken back.
        elsewhere: which files it makes outside of the folder of `last`.

    Raises:
        Refusal: UNFINISHED (another command makes it now), EXISTS (it was made with other words), FILE (a list of what
            no such command makes).
    """
    made = Making(last, given)
    _take_up(made, elsewhere, dry=dry)
    try:
        yield made
    finally:
        made.end()


def _take_up(made: Making, elsewhere: Makes, *, dry: bool) -> None:
    path = _list_of(made.last)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    except OSError as error:
        raise Refusal("FILE", f"{path.name} cannot be read. Check the folder.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        value = _parsed(os.read(handle, LIMIT))
    except BlockingIOError as error:
        os.close(handle)
        raise Refusal(
            "UNFINISHED", "Another command is making these files now. Let it end, then look.", retry=True
        ) from error
    made.held = handle
    if os.path.lexists(made.last):
        if value.get("given") != dict(made.given):
            made.held = None
            os.close(handle)
            raise Refusal("EXISTS")
        made.before = True
        clear_part(made.last)
        tell("All of it was made before, by a run that was interrupted when it was done.")
    elif not dry:
        try:
            others = _named(value.get("makes", []), made.last, elsewhere)
        except Refusal:
            made.leave()
            raise
        for taken in (*others, made.last):
            clear_part(taken)
        for taken in others:
            taken.unlink(missing_ok=True)
        made.end()
    else:
        made.held = None
        os.close(handle)


def _named(makes: Json, last: Path, elsewhere: Makes) -> list[Path]:
    """The files in a list that such a command makes. Raises Refusal FILE when it names any other."""
    home, found = last.parent.resolve(), list[Path]()
    for name in makes if isinstance(makes, list) else [None]:
        path = Path(name) if isinstance(name, str) else Path()
        folder = path.parent.resolve()  # a link in it may lead anywhere
        if (
            not path.is_absolute()
            or path.name == ".."
            or not (folder.is_relative_to(home) or elsewhere(folder / path.name))
        ):
            raise Refusal(
                "FILE",
                f"{_list_of(last).name} lists files that no such command makes there. Nothing was touched. If the "
                "folder came from somebody else, ask them; take the list away when you know what it is.",
            )
        found.append(path)
    return [path for path in found if path != last]


def _parsed(data: bytes) -> Json:
    try:
        value = json.loads(data)
    except ValueError:
        return {}  # it was killed while it wrote the names: before it made anything
    return value if isinstance(value, dict) else {}


def _list_of(last: Path) -> Path:
    return last.with_name(f".{last.name}.begun")


def described(lines: Sequence[str], after: Sequence[str] = ()) -> str:
    """What a command will make, for eyes."""
    text = ["This will happen:", *(f"  - {line}" for line in lines)]
    return "\n".join([*text, *(["Then:", *(f"  - {line}" for line in after)] if after else [])])


def goes_on(plan: str, facts: Facts, *, yes: bool, dry: bool, as_json: bool) -> bool:
    """Show what a command will make, and ask; False after a dry run, which is reported.

    A command that makes new files only is asked nothing where there is no terminal.

    Raises:
        SystemExit: the person said no.
    """
    tell(plan)
    if dry:
        report({**facts, "applied": False}, "Nothing was changed: this was a dry run.", as_json=as_json)
        return False
    if not agreed(yes=yes, unasked=True):
        tell("Nothing was changed.")
        sys.exit(REFUSED)
    return True
