"""Who signed what stands in an agency's own chain since its key file was made. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterator

from keys_tooling.directory_reading import Reading
from schemas.canonical import Json, b64
from schemas.directory_statement import statement_hash
from schemas.keyring import AdminKeys
from schemas.signing import Signed


def by_others(reading: Reading, admin: AdminKeys) -> list[tuple[int, str, str]]:
    """Statements of the agency's chain since the key file was made that its key did not sign.

    Returns:
        Number, operation, and the use of the key that signed: "renew" is the agent's own, "" the operational key of
        before, which put this one in force.
    """
    agency, found = reading.view.agencies[admin.agency], list[tuple[int, str, str]]()
    for _, said in _since(reading, admin):
        if said["by"] != admin.op.kid:
            known = agency.keys.get(said["by"])
            found.append((said["seq"], said["op"], "" if known is None else str(known.use)))
    return found[::-1]


def by_copies(reading: Reading, admin: AdminKeys, recorded: Container[str]) -> list[tuple[int, str, int]]:
    """Statements that the key file's own key signed, since the file was made, and that no command of its folder made.

    Args:
        recorded: hashes of the statements that commands of the folder made.

    Returns:
        Number, operation and Unix seconds.
    """
    return [
        (said["seq"], said["op"], said["ts"])
        for signed, said in _since(reading, admin)
        if said["by"] == admin.op.kid and statement_hash(signed) not in recorded
    ][::-1]


def _since(reading: Reading, admin: AdminKeys) -> Iterator[tuple[Signed, Json]]:
    """Statements of the agency's chain that are newer than the key file, newest first."""
    for signed in reversed(reading.statements):
        said = signed.peek()
        if said["agency"] != admin.agency:
            continue
        took_over = said["op"] == "rotate-op" and said["body"]["op_key"] == b64(admin.op.public)
        if said["seq"] <= admin.seq or took_over:
            return
        yield signed, said
