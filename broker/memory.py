"""What the relay's memory gives away: no core file, no look by others of its user, and no key longer than its work.

Memory holds a minute of epoch keys and the log's signing keys. The limit on core files does not stop a handler that
the kernel feeds through a pipe, as systemd-coredump and apport are; that a process may not be dumped does, and it also
keeps debuggers of the same user out. Root still looks in: see PROTOCOL.md section 20.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

PR_SET_DUMPABLE = 4


def seal_memory() -> None:
    """For every process of the relay, first of all; a program that is started by it begins without."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def wipe(*secrets: bytes) -> None:
    """Overwrite secrets that only the caller holds. Bytes never change, so whoever else has one gets zeros too."""
    for secret in secrets:
        ctypes.memset(_place(secret), 0, len(secret))


_place = ctypes.pythonapi.PyBytes_AsString
_place.restype, _place.argtypes = ctypes.c_void_p, (ctypes.py_object,)
