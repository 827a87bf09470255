"""What import-linter cannot see: imports as Python performs them, and what the client may lean on."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

EVERY_RELAY_MODULE = """
import importlib, pkgutil, sys
import broker
for found in pkgutil.walk_packages(broker.__path__, "broker."):
    if not found.name.startswith("broker.migrations."):  # those run inside a migration only
        importlib.import_module(found.name)
print(*sorted(name for name in sys.modules if name.split(".")[0] in {"schemas", "agent", "keys_tooling"}))
"""


def imported_by(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_a_running_relay_has_not_loaded_the_code_that_opens():
    """import-linter follows imports between modules; this also sees what a package's __init__ drags in."""
    done = subprocess.run(
        [sys.executable, "-c", EVERY_RELAY_MODULE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "schemas.opening" not in loaded
    assert {name for name in loaded if not name.startswith("schemas")} == set()


def test_the_client_leans_on_no_other_part_of_an_agent():
    """The key tools may use agent.client; through it they must not reach an agent's store or keys."""
    ours = {name for name in imported_by(ROOT / "agent" / "client.py") if name.split(".")[0] == "agent"}
    assert ours == set()


def test_a_command_that_asks_its_agent_loads_nothing_heavy():
    """Somebody waits for it at each command: a third of a second lost here is lost every time."""
    asked = "import sys, agent.__main__, agent.call; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    heavy = {"pydantic", "pydantic_core", "cryptography", "nacl", "sqlalchemy", "aiohttp", "asyncio"}
    assert set(done.stdout.split()) & heavy == set()


def test_the_process_that_checks_an_agents_directory_loads_nothing_heavy():
    """It stands beside an agent that has three years of statements to replay, on a small machine."""
    asked = "import sys, agent.checker; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & {"pydantic", "sqlalchemy", "aiohttp", "asyncio", "structlog"} == set()
