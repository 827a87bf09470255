"""Writes tests/vectors/*.json. Run it only together with a new version of the protocol: `python -m tests.tools.write_vectors
--new-version`, with the names of files to write only those.

The vectors are what other programs are held against. A change in the code that makes them differ is a change of the
wire format, and shows in tests/schemas/test_vectors.py; writing them again would hide it. Envelopes and senders'
records also draw randomness inside HPKE, so they differ with each run.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.tools import vector_envelope, vector_log, vector_statements

FOLDER = Path(__file__).parents[1] / "vectors"
SEALED_ONCE = ("envelope", "record", "epoch", "head")
"""The first three hold HPKE's randomness and belong together, because they are of the same message; the last ML-DSA's."""
FILES: dict[str, Callable[[], dict[str, object]]] = {
    "canonical": vector_statements.canonical,
    "keys": vector_statements.keys,
    "envelope": vector_envelope.vectors,
    "record": vector_log.records,
    "epoch": vector_log.epochs,
    "tree": vector_log.trees,
    "checkpoint": vector_log.notes,
    "head": vector_log.heads,
    "proof": vector_log.proofs,
    "directory": vector_statements.directories,
    "partnership": vector_statements.partnerships,
    "grant": vector_statements.grants,
    "receipt": vector_statements.receipts,
    "request": vector_statements.requests,
    "keyfile": vector_statements.keyfiles,
}


def printed(value: dict[str, object]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=True) + "\n"


def main() -> None:
    if sys.argv[1:2] != ["--new-version"]:
        sys.exit("These are published. If this is a new version of the protocol, say --new-version.")
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[2:] or FILES:
        (FOLDER / f"{name}.json").write_text(printed(FILES[name]()), encoding="ascii")


if __name__ == "__main__":
    main()
