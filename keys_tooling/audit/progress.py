"""A progress bar on stderr, for work that may take long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Told how far it is, of how much; shown only when stderr is a terminal."""
    with click.progressbar(length=1, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def progress(at: int, of: int) -> None:
            bar.length = max(of, 1)
            bar.update(at - bar.pos)

        yield progress
