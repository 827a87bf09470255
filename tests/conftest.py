"""How the tests share a machine: in which order, and in how many workers."""

import os

import pytest

from tests.ports import WORKERS

LONGEST = (
    "stories/test_tour.py", "stories/test_histories.py", "keys_tooling/test_runbook.py", "agent/test_commands.py",
    "agent/test_consent_commands.py", "broker/test_races.py", "broker/test_settings.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for processes comes first, so that no worker ends alone with it."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))


def pytest_xdist_auto_num_workers() -> int:
    """Three for two processors: a third of the time, a test waits for the disk, where commits are durable."""
    return min((3 * (os.cpu_count() or 1) + 1) // 2, WORKERS)
