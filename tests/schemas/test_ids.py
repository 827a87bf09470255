"""Ids that people type."""

from __future__ import annotations

from schemas.sealing import new_id


def test_an_id_never_looks_like_an_option() -> None:
    drawn = iter([b"\xf8" + bytes(15), b"\xfb" + bytes(15), b"\x04" + bytes(15)])
    assert new_id(lambda _size: next(drawn))[0] == "B"
