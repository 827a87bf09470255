"""The journal of a change that was begun: how a command that was killed goes on where it ended.

Rules of this house:
- it holds what will be published, never a secret: new secrets are in key files before the journal calls itself ready;
- a journal that is not ready published nothing, so whatever it made is taken back;
- one change at a time in one folder: another command is told which one waits.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from keys_tooling.keyfiles import FULL, PRIVATE, clear_part, new_files, refusing, sync_folder
from keys_tooling.plan import NewFile, Plan, Said
from schemas.canonical import strict_json
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.signing import Signed

NAME = "unfinished.json"
LIMIT = 4 * 1024 * 1024
Word = Annotated[str, Field(max_length=400)]


class _Said(Frozen):
    op: Word
    body: dict[str, object]
    text: str | None = None


class _File(Frozen):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,120}$")]
    final: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,120}$")]


class _Journal(Frozen):
    v: Annotated[int, Field(ge=1, le=1)]
    stage: Literal["begun", "ready"]
    size: Annotated[int, Field(ge=0)]
    does: Word
    given: dict[str, str]
    agency: Word
    publishes: tuple[_Said, ...]
    files: tuple[_File, ...]
    affects: tuple[str, ...]
    after: tuple[str, ...]
    brings: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Journal:
    """A change under way: its plan, and the size of the directory when it was planned."""

    plan: Plan
    size: int


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One command at a time changes a folder; the lock ends with the process, however that ends.

    Raises:
        Refusal: UNFINISHED (another one is at work), FILE.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Refusal("FILE", "The folder cannot be read. Check its name.") from error
    try:
        _take(handle)
        yield
    finally:
        os.close(handle)


def _take(handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Refusal(
            "UNFINISHED",
            "Another command is changing keys from this folder now. Let it end, then look.",
            retry=True,
        ) from error


def begin(folder: Path, plan: Plan, size: int) -> Journal:
    """Make the plan's key files, and the journal that makes it certain.

    Raises:
        Refusal: EXISTS (a key file of that name), FILE, DISK_FULL; nothing of it is left then.
    """
    journal = Journal(plan, size)
    with new_files(folder) as files:
        # Before the journal names them: what it names and was not ready is taken back.
        files.absent(NAME, *(new.name for new in plan.files))
    _write(folder, journal, "begun")
    try:
        with new_files(folder) as files:
            for new in plan.files:
                files.secret(new.name, new.data)
            made, files.made = files.made, []  # they stay for as long as the journal may call itself ready
            try:
                _write(folder, journal, "ready")
            except BaseException:
                _erase(folder)
                files.made = made
                raise
    except BaseException:
        _erase(folder)
        raise
    return journal


def unfinished(folder: Path) -> Journal | None:
    """The change that was begun here; what was begun and not ready is taken back.

    Raises:
        Refusal: FILE (it is spoiled, or others may read it).
    """
    path = folder / NAME
    (folder / f".{NAME}.part").unlink(missing_ok=True)  # of a run that was killed while it wrote it
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refusal("FILE", f"{NAME} cannot be read. Check the folder.") from error
    with os.fdopen(handle, "rb") as file:
        data = file.read(LIMIT + 1)
    try:
        strict_json(data, LIMIT)
        held = _Journal.model_validate_json(data)
        brought = tuple(map(Signed.from_json, held.brings))
    except (Refusal, ValidationError) as error:
        raise Refusal(
            "FILE", f"{NAME} is spoiled. Bring it back from your backup, or ask for help."
        ) from error
    if held.stage == "begun":
        for made in held.files:
            (folder / made.name).unlink(missing_ok=True)
            clear_part(folder / made.name)
        _erase(folder)
        return None
    plan = Plan(
        held.does,
        tuple(sorted(held.given.items())),
        held.agency,
        tuple(Said(one.op, one.body, one.text) for one in held.publishes),
        tuple(NewFile(one.name, one.final) for one in held.files),
        held.affects,
        held.after,
        brought,
    )
    return Journal(plan, held.size)


def check_free(journal: Journal | None, does: str, given: tuple[tuple[str, str], ...]) -> None:
    """Raises Refusal UNFINISHED when another change waits to be finished here."""
    if journal is not None and not journal.plan.same(does, given):
        raise Refusal(
            "UNFINISHED",
            f"'{journal.plan.does}' was begun here and is not finished. "
            "Run first: fenpost-keys resume --dir with this folder",
        )


def finish(folder: Path, journal: Journal) -> None:
    """Everything is published: the new key files take their places, and the journal goes.

    Raises:
        Refusal: FILE, DISK_FULL; run again, it goes on.
    """
    full = (
        f"The disk is full. '{journal.plan.does}' is published; its key files are not all in their places. Free some "
        "space, then run: fenpost-keys resume --dir with this folder"
    )
    with refusing(full):
        for new in journal.plan.files:
            made, final = folder / new.name, folder / new.final
            if new.name == new.final or not made.exists():
                continue
            if final.exists():
                kept = folder / f"old-{new.name}"
                if not kept.exists():
                    os.link(final, kept)  # the old one stays until a person destroys it
            made.replace(final)
            sync_folder(folder)
    _erase(folder, full)


def drop(folder: Path, journal: Journal) -> tuple[str, ...]:
    """Forget a change of which nothing was published.

    Returns:
        The names under which the key files that it made are put aside. A person destroys them: that nothing was
        published is the relay's word, and nobody could draw these keys again.
    """
    aside = []
    with refusing():
        for new in journal.plan.files:
            made, kept = folder / new.name, folder / f"old-{new.name}"
            if made.exists() and not kept.exists():
                os.link(made, kept)
            made.unlink(missing_ok=True)
            if kept.exists():
                aside.append(kept.name)
    _erase(folder)
    return tuple(aside)


def _write(folder: Path, journal: Journal, stage: str) -> None:
    plan = journal.plan
    value = {
        **plan.to_json(),
        "brings": [signed.to_json() for signed in plan.brings],
        "publishes": [{**said.to_json(), "text": said.text} for said in plan.says],
        "size": journal.size,
        "stage": stage,
        "v": 1,
    }
    part = folder / f".{NAME}.part"
    with refusing():
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), PRIVATE)
            file.write(json.dumps(value, indent=1, sort_keys=True).encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / NAME)
        sync_folder(folder)


def _erase(folder: Path, full: str = FULL) -> None:
    with refusing(full):
        (folder / NAME).unlink(missing_ok=True)
        sync_folder(folder)
