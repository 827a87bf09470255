"""Every page of an SQLCipher file as it is stored, free ones and the write-ahead log's too: what a key's thief would see.

SQLCipher 4 with a raw key: a page ends with 16 bytes of IV and 64 of HMAC; the rest is AES-256-CBC. The first page begins
with the salt, in clear.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PAGE = 4096
RESERVED = 80
SALT = 16
WAL_HEAD, FRAME_HEAD = 32, 24


def pages(path: Path, key: bytes) -> Iterator[bytes]:
    """The plain bytes of each page of the file and of its log."""
    data = path.read_bytes()
    for at in range(0, len(data), PAGE):
        yield _page(data[at : at + PAGE], key, SALT if at == 0 else 0)
    log = path.with_name(path.name + "-wal")
    frames = log.read_bytes() if log.exists() else b""
    for at in range(WAL_HEAD, len(frames), FRAME_HEAD + PAGE):
        first = int.from_bytes(frames[at : at + 4], "big") == 1
        yield _page(frames[at + FRAME_HEAD : at + FRAME_HEAD + PAGE], key, SALT if first else 0)


def _page(page: bytes, key: bytes, skip: int) -> bytes:
    end = PAGE - RESERVED
    reader = Cipher(algorithms.AES(key), modes.CBC(page[end : end + 16])).decryptor()
    return reader.update(page[skip:end]) + reader.finalize()
