"""The protocol is pure: no I/O, no clock, no operating system.

import-linter holds the third parties; this holds the standard library.
"""

import ast
from pathlib import Path

import pytest

SCHEMAS = Path(__file__).parents[2] / "schemas"
MODULES = sorted(SCHEMAS.rglob("*.py"))

BANNED_MODULES = {
    "asyncio", "builtins", "concurrent", "ctypes", "fcntl", "fileinput", "ftplib", "getpass", "glob", "http",
    "importlib", "io", "locale", "logging", "mmap", "multiprocessing", "os", "pathlib", "pickle", "platform",
    "random", "resource", "sched", "select", "selectors", "shelve", "shutil", "signal", "smtplib", "socket",
    "socketserver", "sqlite3", "ssl", "subprocess", "sys", "syslog", "tempfile", "threading", "time", "zoneinfo",
}  # fmt: skip
BANNED_CALLS = {"open", "print", "input", "breakpoint", "exec", "eval", "__import__"}
BANNED_METHODS = {"now", "utcnow", "today"}  # of datetime and date: time is an argument


def offences(source: str) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [alias.name for alias in names if alias.name.split(".")[0] in BANNED_MODULES]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in BANNED_MODULES:
                found.append(module)
            case ast.Call(func=ast.Name(id=name)) if name in BANNED_CALLS:
                found.append(f"{name}()")
            case ast.Call(func=ast.Attribute(attr=name)) if name in BANNED_METHODS:
                found.append(f".{name}()")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SCHEMAS).as_posix())
def test_a_protocol_module_touches_nothing_outside_itself(path: Path):
    assert offences(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import os", "import os.path as p", "from pathlib import Path", "import json, time", "open('x')",
        "def f():\n    import socket", "from datetime import datetime\ndatetime.now()", "import datetime as d\nd.date.today()",
    ],
)  # fmt: skip
def test_each_way_out_is_caught(source: str):
    assert offences(source) != []


def test_pure_code_passes():
    assert (
        offences("import hashlib, json\nfrom datetime import UTC, datetime\ndatetime.fromtimestamp(0, UTC)")
        == []
    )
