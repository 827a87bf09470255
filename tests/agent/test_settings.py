"""agent.toml: what is not known refuses the start."""

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from agent.__main__ import _run
from agent.settings import TEMPLATE, read_settings
from schemas import sealing
from schemas.errors import Refusal


@pytest.fixture
def write(tmp_path):
    def to(text):
        (tmp_path / "agent.toml").write_text(text)
        return tmp_path

    return to


def test_the_template_is_readable(write):
    home = write(TEMPLATE.format(passphrase='passphrase_file = "secret"\n'))
    settings = read_settings(home, {})
    assert settings.at(settings.store) == home / "agent.db"
    assert settings.port == 0


def test_an_override_from_the_environment_counts(write):
    home = write("[agent]\n")
    assert read_settings(home, {"FENPOST_LISTEN": "127.0.0.1:8450"}).port == 8450


def test_a_key_file_has_no_door_in_the_environment(write):
    home = write("[agent]\n")
    assert str(read_settings(home, {"FENPOST_KEY_FILE": "/elsewhere"}).key_file) == "agent.fpk"


@pytest.mark.parametrize(
    "text",
    [
        '[agent]\nkeyfile = "x"\n',
        '[agent]\nlisten = "0.0.0.0:80"\n',
        '[agent]\nlisten = "example.org:80"\n',
        '[agent]\nlisten = "127.0.0.1:99999"\n',
        '[agent]\nhome = "/"\n',
        "[agent]\nsettle = -1\n",
        "[agent]\nwait = 31\n",
        "[relay]\n",
        "agent = 1\n",
        "[agent\n",
    ],
)
def test_a_fault_in_the_settings_refuses_the_start(write, text):
    home = write(text)
    with pytest.raises(Refusal) as refusal:
        read_settings(home, {})
    assert refusal.value.code == "SETTINGS"


def test_the_entry_at_fault_is_named(write):
    with pytest.raises(Refusal) as refusal:
        read_settings(write('[agent]\nkeyfile = "x"\n'), {})
    assert refusal.value.detail == ("keyfile",)


def test_no_settings_at_all_says_what_to_run(tmp_path):
    with pytest.raises(Refusal) as refusal:
        read_settings(tmp_path, {})
    assert "fenpost-agent init" in refusal.value.say


async def test_a_machine_without_the_hybrid_stops_the_start(write, monkeypatch):
    """There is no classical fallback, and no key file is touched."""

    class Lacking:
        def encrypt(self, *_):
            raise UnsupportedAlgorithm("no ML-KEM")

    monkeypatch.setattr(sealing, "SUITE", Lacking())
    with pytest.raises(Refusal, match="SELF_TEST"):
        await _run(read_settings(write("[agent]\n"), {}), b"", None)
