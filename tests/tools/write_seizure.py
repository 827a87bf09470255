"""Prints schemas/SEIZURE.md, who can read what and what each seizure gives away: `python -m tests.tools.write_seizure`.

tests/stories/test_who_reads.py makes it again and compares, so neither half can go stale.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tests.readers import Findings, find_out
from tests.surrendered import KINDS, PLACES, STORE

PATH = Path(__file__).parents[2] / "schemas" / "SEIZURE.md"
SEIZED = ("the relay, running", "relay's disk or backup", "an agent's disk", "an officer's laptop")
"""Columns of the second table: what is taken, without a passphrase."""

TOP = """# Who can read what, and what a seizure gives away

Printed by `python -m tests.tools.write_seizure`; do not edit. The first two tables were not written but found out: a
real relay ran, one of everything was sent and stored, and then each party's keys fetched all that they let somebody
fetch and opened all that they open. "reads" is what turned up in clear, "sealed" what turned up closed, and nothing
means that not even the bytes were there. `tests/readers.py` does it, and a test does it again.

## With the keys that somebody has

Peacock is the sender, IDVAS the recipient; the other agency took no part. An administrator has an operational key.

"""
MIDDLE = """
## Without any passphrase

The relay running: what it stores, what passes through it, and the epoch keys of the running minute. A message is on
its way, as is what nobody has fetched.

"""
LIST = """
## The surrender list

What each place gives away to whoever takes it, and what it does not. `tests/stories/test_surrender.py` holds the
project to it: every free field of every form is sown with a word, and the word is looked for in {spellings} spellings in the
relay's store, write-ahead log, shared memory, free pages, log, figures, temporary files, backup and in the memory of its
processes, on agents' disks and on an officer's laptop.

"""
MEMORY = """
Of memory, honestly: the relay's processes refuse to be dumped and to be looked into by others of their user; root still
can. Epoch keys are overwritten within a sweep (a second, when the machine is not too busy) of the end of their minute, and the test
finds none of them in any process then; nor, in the calculator, any key of a single record. In the relay's own memory such a key
may linger, as the text of the answer that carried it to an agency's agent, until the memory is used again: how many and
for how long nobody can promise in Python (in the runs that were looked at, none to 91 of the last 131). The log keys are
there as long as it runs.

### The relay's store, column by column

| table | column | gives away |
|---|---|---|
"""


def rendered(findings: Findings, spellings: int) -> str:
    """The whole document."""
    people = [name for name in findings.parties if name not in SEIZED]
    parts = [
        TOP,
        _table(findings, people),
        MIDDLE,
        _table(findings, list(SEIZED)),
        LIST.format(spellings=spellings),
    ]
    parts += ["| what is taken | gives away | does not give away |\n|---|---|---|\n"]
    parts += [f"| {place} | {gives} | {keeps} |\n" for place, gives, keeps in PLACES]
    parts += [MEMORY]
    for name, (what, columns) in STORE.items():
        parts += [f"| `{name}`: {what} | `{column}` | {KINDS[kind]} |\n" for column, kind in columns.items()]
    return "".join(parts)


def _table(findings: Findings, names: list[str]) -> str:
    rows = [
        f"| {thing.name} | " + " | ".join(findings.parties[name].says(thing) for name in names) + " |"
        for thing in findings.things
    ]
    return "\n".join(["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|", *rows]) + "\n"


if __name__ == "__main__":
    from tests.canaries import spellings

    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(find_out(Path(folder) / "world"))
        PATH.write_text(rendered(found, len(spellings("word"))), encoding="utf-8")
