"""Sizes that the commands and the agent they ask share; nothing is imported, so that a command starts at once."""

from __future__ import annotations

FORM_LIMIT = 1024 * 1024
"""Bytes of one form, from a case system, a dropped file or a command."""
TOKEN_LIMIT = 256
"""Bytes of api.token."""
