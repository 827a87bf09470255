"""`make interop` on a machine that lacks something fails, and says what to install."""

import shutil
from pathlib import Path

import pytest

from tests.interop import run


def test_without_go_it_fails_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        run.go_tool()
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "apt install golang-go golang-golang-x-mod-dev" in said.err
    assert said.out == "0 passed, 1 failed\n"


def test_a_go_without_x_mod_fails_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path
):
    go = tmp_path / "go"
    go.write_text(
        f"#!{shutil.which('sh')}\n[ \"$1\" = env ] && exit 0\necho 'cannot find package' >&2\nexit 1\n"
    )
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        run.go_tool()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "apt install golang-golang-x-mod-dev" in said
    assert "cannot find package" in said


def test_without_node_it_fails_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit):
        run.tools()
    assert "apt install nodejs npm" in capsys.readouterr().err


def test_without_softhsm_it_fails_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit):
        run.softhsm()
    assert "apt install softhsm2" in capsys.readouterr().err
