"""The headers that a relay decided on, out of an officer's mirror: what a policy's dry run is fed with."""

from __future__ import annotations

import json
from collections.abc import Iterator

from keys_tooling.audit.read import Reading


def header_lines(reading: Reading) -> Iterator[str]:
    """{"header", "known", "ts"} for each accepted, held or refused message, in order, as JSON.

    An entry with a fault is left out: what the relay misquoted says nothing of its rule.
    """
    for told in reading.entries:
        known = None if told.decision is None else told.decision.known
        if told.header is None or known is None or told.faults:
            continue
        header = told.header.model_dump(mode="json", by_alias=True)
        yield json.dumps({"header": header, "known": known, "ts": told.ts}, sort_keys=True)
