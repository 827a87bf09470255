"""Asking a question in an officer's folder: parameters read, the opening told, the answer given (PROTOCOL.md U1)."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from keys_tooling.audit import inert
from keys_tooling.audit.extract import LIMIT, read_extract
from keys_tooling.audit.index import Index, open_index
from keys_tooling.audit.mirror_file import open_mirror
from keys_tooling.audit.openings import Journal, unlogged
from keys_tooling.audit.purpose import Purpose
from keys_tooling.audit.queries.question import Answer, Desk, Given, Param, Question, read_time
from keys_tooling.audit.retaining import deleted_on_schedule
from keys_tooling.audit.session import Session
from keys_tooling.audit.verify import verify
from keys_tooling.keyfiles import read_public
from schemas.audit import Event
from schemas.canonical import Json, strict_json
from schemas.directory import Directory
from schemas.errors import Refusal

ROSTER_LIMIT = 1024 * 1024


def ask(
    question: Question,
    given: Mapping[str, str | None],
    session: Session,
    purpose: Purpose,
    progress: Callable[[int], None],
) -> Answer:
    """The answer, once the opening is logged.

    Args:
        given: the parameters as they were typed, by name.

    Raises:
        Refusal: as keys_tooling.audit.index.open_index and Session.announce; BAD_VALUE, MISSING, UNKNOWN_AGENCY, FORM,
            NOT_FOUND for parameters.
    """
    with open_index(session.folder, session.partnership, session.keys, session.world.draw, progress) as index:
        officer = index.officer
        read = read_params(question.params, given, officer.view, officer.agency.id)
        session.announce("query", question.name, index.range(), officer.agency.id, officer.view, purpose)
        with _keeping():
            return question.ask(desk_of(index, session), read)


@contextmanager
def _keeping() -> Iterator[None]:
    """A hundred thousand rows that all stay are no garbage: looking for some among them doubles the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def desk_of(index: Index, session: Session) -> Desk:
    """What questions and reports are asked of, in an opened folder."""
    officer = index.officer

    def check() -> object:
        with open_mirror(session.folder, write=False) as mirror:
            return verify(mirror, session.partnership, lambda _at: None)

    def lost() -> object:
        notes = officer.mirror.notes("log")
        seen = notes[-1].seen if notes else 0
        return unlogged(Journal(session.folder), index.rows(Event.UNSEALED), seen)

    return Desk(
        load=lambda events: index.rows(*events), agency=officer.agency.id, view=officer.view, shelf=officer.shelf,
        now=session.world.now(), closed=index.closed, verify=check, unlogged=lost,  # type: ignore[arg-type]
        scheduled=lambda: deleted_on_schedule(officer.mirror, officer.view),
    )  # fmt: skip


def read_params(
    params: tuple[Param, ...], given: Mapping[str, str | None], view: Directory, agency: str
) -> Given:
    """The parameters of a question, read. Raises as `ask`."""
    found: dict[str, object] = {}
    for param in params:
        text = given.get(param.name)
        if text is None:
            if param.needed:
                raise Refusal(
                    "MISSING", f"This question needs --{param.name.replace('_', '-')}: {param.says}"
                )
            continue
        found[param.name] = _read(param, text, view, agency)
    return Given(found)


def _read(param: Param, text: str, view: Directory, agency: str) -> object:
    if param.kind == "agency":
        return view.find(text).id
    if param.kind == "desk":
        name, slash, desk = text.rpartition("/")
        if not slash:
            raise Refusal("BAD_VALUE", "A desk is AGENCY/DESK, such as 'Peterborough IDVAS/duty'.")
        return f"{view.find(name).id}/{desk}"  # one that there was may be gone by now
    if param.kind == "time":
        return read_time(text, end=param.name == "until")
    if param.kind == "number":
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Refusal("BAD_VALUE", f"--{param.name.replace('_', '-')} is a whole number.")
        return int(text)
    if param.kind == "local":
        return read_extract(read_public(Path(text), LIMIT), agency)
    if param.kind == "roster":
        return _roster(read_public(Path(text), ROSTER_LIMIT))
    return text


def _roster(data: bytes) -> dict[str, tuple[str, ...]]:
    said = strict_json(data, ROSTER_LIMIT)
    if not isinstance(said, dict) or not all(
        isinstance(roles, list) and all(isinstance(role, str) for role in roles) for roles in said.values()
    ):
        raise Refusal("FORM", 'A roster is JSON: {"duty": ["idva", "manager"], ...}.')
    return {str(desk): tuple(roles) for desk, roles in said.items()}


# --- showing


def facts(question: Question, answer: Answer) -> dict[str, Json]:
    """An answer for programs."""
    rows: list[Json] = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    return {
        "columns": list(answer.columns),
        "complete": answer.complete,
        "count": len(rows),
        "number": question.number,
        "query": question.name,
        "question": question.asks,
        "reason": answer.reason,
        "rows": rows,
    }


def as_json(question: Question, answer: Answer) -> str:
    return json.dumps(facts(question, answer), sort_keys=True)


def as_csv(answer: Answer) -> str:
    """Rows for a spreadsheet, inert; an answer that is not whole says so in a last line of one cell."""
    text = inert.table(answer.columns, answer.rows)
    return text if answer.complete else text + inert.table((f"NOT COMPLETE: {answer.reason}",), ())


def as_text(question: Question, answer: Answer, width: int) -> str:
    """An answer for a terminal of `width` columns."""
    names = [name.replace("_", " ").capitalize() for name in answer.columns]
    rows = Table(*names, box=SIMPLE, show_edge=False, pad_edge=False)
    for row in answer.rows:
        rows.add_row(*(Text(inert.plain("" if value is None else str(value))) for value in row))
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, highlight=False, markup=False, emoji=False).print(rows)
    lines = [line.rstrip() for line in out.getvalue().splitlines()] if answer.rows else ["Nothing found."]
    tail = [] if answer.complete else ["", f"NOT COMPLETE. {answer.reason}"]
    return "\n".join([f"{question.number}. {question.asks}: {len(answer.rows):,}", "", *lines, *tail])
