"""Lets a test have a process write down its own memory: put this folder on PYTHONPATH, send SIGUSR1.

A core dump by other means wants a debugger, a right that containers do not give, or a kernel that allows it; and the
programs under test refuse to be looked at by others of the same user. A process may always read itself. What is
written is what a core file would hold: every mapping that the process may write, and every anonymous one.
"""

import ctypes
import os
import signal
from pathlib import Path
from typing import Any

PIECE = 1 << 20
PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4


def dump(_number: int, _frame: Any) -> None:
    """Write memory to $MEMORY_FOLDER/PID.memory, and then, as PID.done, whether others could have looked."""
    kept = Path(os.environ["MEMORY_FOLDER"]) / str(os.getpid())
    libc = ctypes.CDLL(None)
    dumpable = libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # its own files in /proc belong to root otherwise
    piece = bytearray(PIECE)
    regions = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    memory = os.open("/proc/self/mem", os.O_RDONLY)
    with kept.with_suffix(".memory").open("wb", buffering=0) as file:
        for span, mode, _, _, node, *name in regions:
            if mode[0] != "r" or (mode[1] != "w" and node != "0") or name[:1] in (["[vvar]"], ["[vsyscall]"]):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            while start < end:
                wanted = memoryview(piece)[: min(PIECE, end - start)]
                try:
                    got = os.preadv(memory, [wanted], start)
                except OSError:
                    break
                file.write(wanted[:got])
                start += got
    os.close(memory)
    libc.prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0)
    kept.with_suffix(".done").write_text(str(dumpable))


if "MEMORY_FOLDER" in os.environ:
    signal.signal(signal.SIGUSR1, dump)
