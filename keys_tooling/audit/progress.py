"""A progress bar on stderr, for work that may take long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import click


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Told how far it is, of how much; shown only when stderr is a terminal.

    It ends, full, when all is done or the work was left without an error: what is printed then has a line of its own.
    """
    bar = click.progressbar(length=1, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())
    with ExitStack() as shown:
        shown.enter_context(bar)

        def progress(at: int, of: int) -> None:
            bar.length = max(of, 1)
            bar.update(min(at, bar.length) - bar.pos)
            if at >= of:
                shown.close()

        yield progress
        bar.update((bar.length or 1) - bar.pos)
