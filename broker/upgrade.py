"""Bringing a store to the schema that this program knows, and refusing one from the future."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from broker.migrations import HEAD
from schemas.errors import Refusal

FOLDER = Path(__file__).parent / "migrations"


def revision(connection: Connection) -> str | None:
    """The store's schema revision, or None for an empty store."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])


def upgrade(connection: Connection) -> str:
    """Bring the store to HEAD and say which revision it had.

    Raises:
        Refusal: SETTINGS when the store is newer than this program.
    """
    found = revision(connection)
    if found == HEAD:
        return found
    # Alembic costs 15 MB of memory and is needed only here.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise Refusal(
            "SETTINGS", "The store was made by a newer relay. Run that version, or restore a backup."
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return found or "empty"
