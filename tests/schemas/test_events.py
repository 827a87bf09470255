"""The events that the protocol lists are those that a record may say (PROTOCOL.md L11)."""

import re
from pathlib import Path

from schemas.audit import Event

TEXT = (Path(__file__).parents[2] / "schemas" / "PROTOCOL.md").read_text(encoding="utf-8")


def test_the_protocol_lists_every_event_and_no_other():
    found = re.search(r"The events are ([a-z,\n -]+)\.", TEXT)
    assert found is not None
    assert sorted(re.split(r",\s+", found[1])) == sorted(Event)
