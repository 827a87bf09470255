"""`fenpost-*` as a shell finds them, each a fork of one process that has loaded them: a start costs milliseconds.

    subprocess.run([programs() / "fenpost-keys", "--help"])
    subprocess.run(["sh", "-c", "fenpost-keys --help"], env={"PATH": path()})

What runs is each program's own entrance, with the caller's arguments, folder, umask, environment and streams. For what
is left running this is nothing: a signal would reach the caller alone.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pkgutil
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import IO, cast

ENTRANCES = {
    "fenpost-keys": "keys_tooling.keys_main",
    "fenpost-audit": "keys_tooling.audit_main",
    "fenpost-agent": "agent.__main__",
}
LOADED = ("schemas", "keys_tooling", "agent")
CALLER = """\
#!{python} -IS
import array, os, sys, _socket
door = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
door.connect({address!r})
umask = os.umask(0)
said = [{name!r}, os.getcwd(), str(umask), str(len(sys.argv) - 1), *sys.argv[1:]]
said += [f"{{key}}={{value}}" for key, value in os.environ.items()]
data = "\\0".join(said).encode("utf-8", "surrogateescape")
streams = array.array("i", [0, 1, 2]).tobytes()
door.sendmsg([len(data).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
door.sendall(data)
code = door.recv(1)
sys.exit(code[0] if code else 70)
"""


ENDS = contextlib.ExitStack()
"""What is to be closed when the tests of this process are over."""


@cache
def programs() -> Path:
    """A folder with the commands, for as long as this process lives; the first call loads them."""
    folder = Path(tempfile.mkdtemp(prefix="fenpost-programs-"))
    ENDS.callback(shutil.rmtree, folder, ignore_errors=True)
    address = folder / "door"
    for name in ENTRANCES:
        program = folder / name
        program.write_text(CALLER.format(python=sys.executable, address=str(address), name=name))
        program.chmod(0o700)
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(address))
    door.listen(8)
    # -P: this folder is not searched for modules. It ends when its standard input does, which is when this process does;
    # the streams go to each caller's own.
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, str(door.fileno())],
        pass_fds=(door.fileno(),), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    door.close()
    ENDS.callback(server.wait)
    ENDS.callback(cast("IO[bytes]", server.stdin).close)
    return folder


def path() -> str:
    """A PATH on which the commands are found."""
    return f"{programs()}:{Path(sys.executable).parent}:{os.environ['PATH']}"


def serve(door: socket.socket) -> None:
    """Load the programs once, then answer each caller with a fork."""
    for package in LOADED:
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for module_name in ENTRANCES.values():
        importlib.import_module(module_name)
    gc.freeze()
    while True:
        ready, _, _ = select.select([door, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        caller, _ = door.accept()
        if os.fork() == 0:
            door.close()
            answer(caller)
        caller.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def answer(caller: socket.socket) -> None:
    """Become the program that was called, and tell its exit code; never returns."""
    head, streams, _, _ = socket.recv_fds(caller, 4, 3)
    size = int.from_bytes(head, "big")
    data = b""
    while len(data) < size:
        data += caller.recv(size - len(data))
    name, folder, umask, count, *rest = data.decode("utf-8", "surrogateescape").split("\0")
    words, environment = rest[: int(count)], rest[int(count) :]
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.umask(int(umask))
    os.environ.clear()
    os.environ.update(pair.split("=", 1) for pair in environment)
    sys.argv = [name, *words]
    code = 70
    try:
        importlib.import_module(ENTRANCES[name]).main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        caller.sendall(bytes([code & 255]))
        os._exit(code & 255)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
