"""`fenpost-agent extract`: a file for the agency's IG officer."""

from __future__ import annotations

import json
from pathlib import Path

import click

from agent.console import PATH, folder, line, say


@click.command()
@folder
@click.option("--case-ref", help="Your own reference for one person: the extract then names her messages.")
@click.option("--out", type=PATH, required=True, help="A new file, which only you may read.")
def extract(home: Path, as_json: bool, case_ref: str | None, out: Path) -> None:
    """Write what the log cannot know, for your IG officer: which messages belong to a case, and when she was told.

    \b
    Example:
      fenpost-agent extract --dir peacock --case-ref 4711 --out extract.json
    """
    from agent.secretfile import write_new
    from schemas.errors import Refusal

    if out.exists() or out.is_symlink():
        raise Refusal("EXISTS")
    answer = line(home).ask("POST", "/v1/extracts", {} if case_ref is None else {"case_ref": case_ref})
    write_new(out, json.dumps(answer, sort_keys=True).encode("ascii"))
    counts = {name: len(answer[name]) for name in ("looked", "received", "sent", "tellings")}
    text = f"Written: {counts['sent']} messages sent, {counts['received']} received. Give it to your IG officer only."
    say(as_json, counts, text)
