"""The order of the tests: what waits for processes comes first, so that no worker ends alone with it."""

import pytest

LONGEST = (
    "stories/test_tour.py", "stories/test_histories.py", "keys_tooling/test_runbook.py", "agent/test_commands.py",
    "agent/test_consent_commands.py", "broker/test_races.py", "broker/test_settings.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))
