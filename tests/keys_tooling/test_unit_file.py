"""The settings and the service that README.md prints are ones that the programs and the service manager understand."""

import configparser
import re
import tomllib
from pathlib import Path

import pytest

from agent.__main__ import main as agent
from agent.secretfile import CREDENTIAL
from agent.settings import read_settings
from broker.__main__ import main as broker

BOOK = Path(__file__).parents[2] / "keys_tooling" / "README.md"
PROGRAMS = {"fenpost-agent": agent, "fenpost-broker": broker}


def printed(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$", BOOK.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


@pytest.fixture
def unit() -> configparser.ConfigParser:
    (text,) = printed("ini")
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    found.read_string(text)
    return found


def test_the_agent_takes_the_printed_setting(tmp_path: Path):
    (text,) = printed("toml")
    (tmp_path / "agent.toml").write_text(f"[agent]\n{text}")
    assert str(read_settings(tmp_path, {}).passphrase_file).startswith(CREDENTIAL)


def test_the_service_hands_over_the_credential_that_the_setting_names(unit: configparser.ConfigParser):
    (text,) = printed("toml")
    name = tomllib.loads(text)["passphrase_file"].removeprefix(CREDENTIAL)
    assert unit["Service"]["LoadCredentialEncrypted"].partition(":")[0] == name
    assert "Environment" not in unit["Service"]


def test_the_service_writes_no_core_and_nothing_for_others(unit: configparser.ConfigParser):
    service = unit["Service"]
    assert (service["LimitCORE"], service["UMask"], service["NoNewPrivileges"]) == ("0", "0077", "yes")
    assert service["User"] != "root"


def test_what_the_services_start_is_a_command_of_the_programs(unit: configparser.ConfigParser):
    starts = [
        unit["Service"]["ExecStart"],
        *re.findall(r"ExecStart=([^`\n]+)`", BOOK.read_text(encoding="utf-8")),
    ]
    assert len(starts) == 2
    for line in starts:
        program, command, *words = line.split()
        options = {
            name for option in PROGRAMS[Path(program).name].commands[command].params for name in option.opts
        }
        assert [word for word in words if word.startswith("--") and word not in options] == []
        assert any(word.startswith("--") for word in words)
