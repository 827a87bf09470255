"""The disk is full at any step of `fenpost-keys rotate`: once there is room, it is whole or not begun, and goes on."""

import errno
import os
import secrets
import sys
import threading
from pathlib import Path

import pytest

from keys_tooling import journal as journals
from schemas.errors import Refusal
from tests.keys_tooling.admin_place import done, made, run
from tests.keys_tooling.policy_place import served
from tests.keys_tooling.test_killed_changes import held, view
from tests.simulated_world import World

STRIDE = 7
"""Of so many steps one is tried; which ones is drawn, and told when it fails."""
WRITES = os.O_WRONLY | os.O_RDWR
CHANGES = ("os.rename", "os.link")


class Disk:
    """What this thread changes in a folder, step by step; at one of them there is no room left."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._thread = str(folder), threading.get_ident()
        self.left = 0
        """Steps until it is full; 0 for never."""
        sys.addaudithook(self._seen)

    def _seen(self, event: str, args: tuple[object, ...]) -> None:
        if self.left and threading.get_ident() == self._thread and self._is_change(event, args):
            self.step()

    def _is_change(self, event: str, args: tuple[object, ...]) -> bool:
        if event == "open":
            path, _, flags = args
            return isinstance(path, str) and path.startswith(self._folder) and bool(int(str(flags)) & WRITES)
        return event in CHANGES

    def step(self) -> None:
        if self.left and threading.get_ident() == self._thread:
            self.left -= 1
            if not self.left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_rotation_on_a_full_disk_is_whole_or_not_begun_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    world: World = made(tmp_path, "Peacock")
    folder, id_ = world.folder / "Peacock", world.parties["Peacock"].id
    disk, sync = Disk(folder), os.fsync

    def fsync(handle: int) -> None:
        disk.step()
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    rotate = ("rotate", "--dir", folder, "--use", "op", "--use", "renew", "--demonstration-cost", "--yes")
    met = 0
    with served(world):
        rotations = view(world)[1].count("rotate-op")
        for at in range(secrets.randbelow(STRIDE) + 1, 400, STRIDE):
            world.clock.advance(1)
            disk.left = at
            try:
                result = run(world, *rotate)
                full = disk.left == 0
            finally:
                disk.left = 0
            if not full:
                break
            met += 1
            assert isinstance(result.exception, Refusal), (at, result.exception)
            assert result.exception.code == "DISK_FULL", at
            done(world, "resume", "--dir", folder)
            found, ops = view(world)
            after, rotations = ops.count("rotate-op"), rotations + (ops.count("rotate-op") > rotations)
            assert after == rotations, at
            assert found.agencies[id_].op == held(folder).op.public, at
            assert not (folder / journals.NAME).exists(), at
            assert not [path.name for path in folder.iterdir() if path.name.startswith(("next-", ".unf"))], at
        assert 3 < met < 40
        assert result.exit_code == 0
