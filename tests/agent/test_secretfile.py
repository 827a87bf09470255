"""Secrets on disk: refused when anybody else can read them."""

import os
import secrets

import pytest

from agent.secretfile import read_passphrase, read_secret, write_new
from agent.unlocking import read_keys
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_bytes(b"four words of a test\nsecond line\n")
    return path


def test_the_first_line_is_the_passphrase(secret):
    assert read_passphrase(secret) == b"four words of a test"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o620])
def test_a_secret_that_others_can_touch_is_refused(secret, mode):
    secret.chmod(mode)
    with pytest.raises(Refusal) as refusal:
        read_secret(secret, 100)
    assert refusal.value.code == "FILE"


def test_a_link_to_a_secret_is_refused(secret, tmp_path):
    (tmp_path / "link").symlink_to(secret)
    with pytest.raises(Refusal) as refusal:
        read_secret(tmp_path / "link", 100)
    assert refusal.value.code == "FILE"


def test_a_pipe_is_refused_without_waiting_on_it(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(Refusal) as refusal:
        read_secret(tmp_path / "pipe", 100)
    assert refusal.value.code == "FILE"


def test_a_missing_secret_is_refused(tmp_path):
    with pytest.raises(Refusal) as refusal:
        read_secret(tmp_path / "nothing", 100)
    assert refusal.value.code == "FILE"


def test_an_empty_passphrase_is_refused(secret):
    secret.write_bytes(b"\n")
    with pytest.raises(Refusal) as refusal:
        read_passphrase(secret)
    assert refusal.value.code == "KEYFILE"


def test_a_wrong_passphrase_is_refused(tmp_path):
    path = tmp_path / "agent.fpk"
    path.touch(0o600)
    path.write_bytes(lock({"agency": "x"}, "agent", b"right", QUICK, secrets.token_bytes))
    with pytest.raises(Refusal) as refusal:
        read_keys(path, b"wrong")
    assert refusal.value.code == "KEYFILE"


@pytest.mark.parametrize("at", [0, 3, 8, 40, -1])
def test_a_touched_key_file_is_refused(tmp_path, at):
    path = tmp_path / "agent.fpk"
    path.touch(0o600)
    data = bytearray(lock({"agency": "x"}, "agent", b"right", QUICK, secrets.token_bytes))
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(Refusal) as refusal:
        read_keys(path, b"right")
    assert refusal.value.code == "KEYFILE"


def test_another_kind_of_key_file_is_refused(tmp_path):
    path = tmp_path / "agent.fpk"
    path.touch(0o600)
    path.write_bytes(lock({"agency": "x"}, "admin", b"right", QUICK, secrets.token_bytes))
    with pytest.raises(Refusal) as refusal:
        read_keys(path, b"right")
    assert refusal.value.code == "KEYFILE"


def test_a_secret_file_is_never_overwritten(secret):
    with pytest.raises(Refusal) as refusal:
        write_new(secret, b"new")
    assert refusal.value.code == "EXISTS"
    assert secret.read_bytes().startswith(b"four")


def test_a_new_secret_file_is_its_owners_alone(tmp_path):
    write_new(tmp_path / "new", b"x")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
