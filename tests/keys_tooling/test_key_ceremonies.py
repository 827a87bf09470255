"""fenpost-keys and fenpost-audit as people type them: what is made, what is refused, and that nothing is overwritten."""

import json
import os
import pty
import secrets
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from keys_tooling.audit_main import audit
from keys_tooling.ceremony import make_agency
from keys_tooling.console import World
from keys_tooling.keys_main import keys
from schemas.canonical import b64, unb64
from schemas.directory import Directory
from schemas.directory_statement import agency_id
from schemas.errors import Refusal
from schemas.founding import Founding
from schemas.keyfile import unlock
from schemas.keyring import AdminKeys, AgentKeys, PolicyKey, RelayKeys
from schemas.keys import SigningKey
from schemas.partnership import Partnership
from schemas.shelf import read_policy
from schemas.signing import Signed

BIN = Path(sys.executable).parent
NOW = 1_795_305_600
PASSPHRASE = "four words of passphrase"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two officers, a partnership and an agency, made once."""
    root = tmp_path_factory.mktemp("place")
    write_passphrase(root / "pass")
    umask = os.umask(0)
    try:
        for who in ("ig-oversight", "ig-peacock"):
            done(audit, "init", "--dir", root / who, *quick(root))
        done(keys, *founding(root, root / "P"), *quick(root))
        done(keys, *joining(root, root / "A"), *quick(root))
    finally:
        os.umask(umask)
    return root


def write_passphrase(path: Path, text: str = PASSPHRASE + "\n") -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def quick(root: Path) -> tuple[str | Path, ...]:
    return ("--passphrase-file", root / "pass", "--demonstration-cost")


def founding(root: Path, folder: Path, **changes: str) -> list[str | Path]:
    given = {
        "--dir": folder, "--name": "Fenland Partnership", "--relay-url": "https://relay.example.org",
        "--officer": root / "ig-oversight" / "officer.json", **changes,
    }  # fmt: skip
    return ["partnership", "init", *(word for pair in given.items() for word in pair)]


def joining(root: Path, folder: Path, **changes: str | Path) -> list[str | Path]:
    given = {
        "--dir": folder, "--name": "The Peacock Project", "--desk": "referrals",
        "--officer": root / "ig-peacock" / "officer.json", "--partnership": root / "P" / "partnership.json", **changes,
    }  # fmt: skip
    return ["agency", "init", *(word for pair in given.items() for word in pair)]


def typed(command: object, *words: str | Path, text: str | None = None) -> Result:
    world = World(lambda: NOW, secrets.token_bytes)
    return CliRunner().invoke(command, [str(word) for word in words], obj=world, input=text)


def done(command: object, *words: str | Path) -> Result:
    result = typed(command, *words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def refused(command: object, *words: str | Path) -> Refusal:
    result = typed(command, *words)
    assert isinstance(result.exception, Refusal), (result.output, result.exception)
    return result.exception


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --- what is made


def test_secret_files_are_for_their_owner_only_whatever_the_umask(place: Path):
    secret = [p for p in place.rglob("*") if p.suffix == ".fpk" or p.name == "passphrase"]
    assert len(secret) == 2 + 6 + 2 + 4
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}


def test_new_folders_are_for_their_owner_only(place: Path):
    assert {(place / name).stat().st_mode & 0o777 for name in ("P", "P/relay", "A", "ig-peacock")} == {0o700}


def test_the_founding_statements_make_oversights_directory(place: Path):
    partnership = Partnership.parse((place / "P/partnership.json").read_bytes())
    view = Directory(partnership.charter.oversight)
    founding = Founding.parse((place / "P/relay/founding.json").read_bytes())
    for signed in founding.statements:
        view.apply(signed)
    assert len(view.officers(set(), NOW)) == 1
    entry = view.policies.in_force(NOW)
    assert entry is not None
    assert read_policy(entry, founding.policies[entry.digest]).version == 1
    assert (place / "P/relay/partnership.json").read_bytes() == (place / "P/partnership.json").read_bytes()


def test_each_key_file_holds_what_its_holder_needs(place: Path):
    def held(path: str, holds: str, passphrase: bytes = PASSPHRASE.encode()) -> object:
        return unlock((place / path).read_bytes(), holds, passphrase)

    agency = json.loads(done(keys, "agency", "show", place / "A", "--json").output)["agency"]
    assert AdminKeys.from_json(held("A/admin.fpk", "admin")).agency == agency
    assert AgentKeys.from_json(held("A/agent.fpk", "agent")).agency == agency
    assert len(held("A/roots.fpk", "roots")["roots"]) == 3
    assert len(held("A/next-roots.fpk", "roots")["roots"]) == 3
    relay = held("P/relay/relay.fpk", "relay", (place / "P/relay/passphrase").read_bytes().strip())
    assert RelayKeys.from_json(relay)


def test_each_policy_signer_has_a_key_file_and_may_have_a_passphrase_of_her_own(place: Path, tmp_path: Path):
    (tmp_path / "ig-oversight").mkdir()
    card = (place / "ig-oversight" / "officer.json").read_bytes()
    (tmp_path / "ig-oversight" / "officer.json").write_bytes(card)
    write_passphrase(tmp_path / "pass")
    own = [write_passphrase(tmp_path / f"own-{n}", f"the words of person {n}\n") for n in (1, 2)]
    words = ("--policy-passphrase-file", own[0], "--policy-passphrase-file", own[1])
    done(keys, *founding(tmp_path, tmp_path / "P"), *quick(tmp_path), *words)
    found = [
        PolicyKey.from_json(unlock((tmp_path / f"P/policy-{n}.fpk").read_bytes(), "policy", words))
        for n, words in ((1, b"the words of person 1"), (2, b"the words of person 2"))
    ]
    assert [held.person for held in found] == ["policy-1", "policy-2"]
    assert found[0].key.kid != found[1].key.kid
    one = typed(keys, *founding(tmp_path, tmp_path / "Q"), *quick(tmp_path), *words[:2])
    assert one.exit_code == 2


def test_root_keys_may_each_have_a_holder_with_a_passphrase_of_her_own(place: Path, tmp_path: Path):
    own = [write_passphrase(tmp_path / f"own-{n}", f"the words of holder {n}\n") for n in range(1, 6)]
    words = [word for file in own for word in ("--root-passphrase-file", file)]
    said = done(
        keys,
        *founding(place, tmp_path / "P"),
        *quick(place),
        "--roots",
        "5",
        "--threshold",
        "3",
        *words,
        "--json",
    )
    facts = json.loads(said.output.splitlines()[-1])
    assert facts["threshold"] == 3
    names = {f"{kind}root-{n}.fpk" for n in range(1, 6) for kind in ("", "next-")}
    assert (
        {Path(path).name for path in facts["roots"]}
        == names
        == {p.name for p in (tmp_path / "P").glob("*root*.fpk")}
    )
    held = [
        unlock((tmp_path / f"P/root-{n}.fpk").read_bytes(), "roots", f"the words of holder {n}".encode())[
            "roots"
        ]
        for n in range(1, 6)
    ]
    statements = json.loads((tmp_path / "P/relay/founding.json").read_text())
    inception = Signed.from_json(
        statements[0] if isinstance(statements, list) else statements["statements"][0]
    ).peek()
    assert inception["body"]["threshold"] == 3
    assert inception["body"]["roots"] == [b64(SigningKey(unb64(one[0])).public) for one in held]
    with pytest.raises(Refusal, match="KEYFILE"):
        unlock((tmp_path / "P/root-1.fpk").read_bytes(), "roots", b"the words of holder 2")


@pytest.mark.parametrize(
    "words",
    [
        ("--roots", "2", "--threshold", "3"),
        ("--root-passphrase-file", "pass"),
        ("--roots", "0"),
        ("--roots", "10"),
    ],
)
def test_a_root_ceremony_that_could_never_be_used_is_a_usage_error(
    place: Path, tmp_path: Path, words: tuple[str, ...]
):
    given = [str(place / word) if word == "pass" else word for word in words]
    assert typed(keys, *founding(place, tmp_path / "P"), *quick(place), *given).exit_code == 2
    assert not (tmp_path / "P").exists()


def seeds(path: Path) -> list[str]:
    return unlock(path.read_bytes(), "roots", PASSPHRASE.encode())["roots"]


@pytest.mark.parametrize(
    ("folder", "statements"), [("P", "P/relay/founding.json"), ("A", "A/enrolment.json")]
)
def test_the_inception_names_the_roots_held_and_commits_to_the_next(
    place: Path, folder: str, statements: str
):
    rows = json.loads((place / statements).read_text())
    inception = Signed.from_json((rows if folder == "P" else rows["statements"])[0]).peek()["body"]
    roots, after = (
        [SigningKey(unb64(seed)) for seed in seeds(place / folder / name)]
        for name in ("roots.fpk", "next-roots.fpk")
    )
    assert inception["roots"] == [b64(key.public) for key in roots]
    assert inception["next_roots"] == [key.kid for key in after]
    assert len({key.kid for key in roots + after}) == 6


def test_a_new_agencys_inception_commits_to_the_roots_it_hands_over():
    member = make_agency(NOW, secrets.token_bytes, ())
    inception = member.statements[0].peek()["body"]
    assert len(member.next_roots) == len(member.roots) == 3
    assert inception["next_roots"] == [key.kid for key in member.next_roots]
    assert agency_id({**inception, "next_roots": []}) != member.id


@pytest.mark.parametrize("command", [founding, joining])
def test_both_root_files_are_named_to_be_taken_to_different_places(
    place: Path, tmp_path: Path, command: Callable
):
    said = done(keys, *command(place, tmp_path / "X"), *quick(place)).output
    assert str(tmp_path / "X/roots.fpk") in said
    assert str(tmp_path / "X/next-roots.fpk") in said
    assert "two different places" in said


@pytest.mark.parametrize(("words", "sector"), [([], "other"), (["--sector", "sarc"], "sarc")])
def test_the_sector_is_signed_and_shown(place: Path, tmp_path: Path, words: list[str], sector: str):
    done(keys, *joining(place, tmp_path / "B"), *words, *quick(place))
    shown = done(keys, "agency", "show", tmp_path / "B")
    assert f"Sector         {sector}\n" in shown.output
    assert json.loads(done(keys, "agency", "show", tmp_path / "B", "--json").output)["sector"] == sector
    signed = json.loads((tmp_path / "B/enrolment.json").read_text())["enrolment"]
    assert json.loads(signed["t"])["sector"] == sector


def test_a_sector_that_is_not_on_the_list_is_a_usage_error(place: Path, tmp_path: Path):
    result = typed(keys, *joining(place, tmp_path / "B"), "--sector", "refuge", *quick(place))
    assert result.exit_code == 2
    assert not (tmp_path / "B").exists()


def test_whoever_runs_the_relay_cannot_open_oversights_keys(place: Path):
    passphrase = (place / "P/relay/passphrase").read_bytes().strip()
    with pytest.raises(Refusal, match="KEYFILE"):
        unlock((place / "P/admin.fpk").read_bytes(), "admin", passphrase)


def test_the_agent_may_have_a_passphrase_of_its_own(place: Path, tmp_path: Path):
    other = write_passphrase(tmp_path / "other", "another long passphrase")
    done(keys, *joining(place, tmp_path / "B"), *quick(place), "--agent-passphrase-file", other)
    assert unlock((tmp_path / "B/agent.fpk").read_bytes(), "agent", b"another long passphrase")
    assert unlock((tmp_path / "B/admin.fpk").read_bytes(), "admin", PASSPHRASE.encode())


def test_the_enrolment_holds_nothing_secret(place: Path):
    admin = unlock((place / "A/admin.fpk").read_bytes(), "admin", PASSPHRASE.encode())
    agent = unlock((place / "A/agent.fpk").read_bytes(), "agent", PASSPHRASE.encode())
    roots, after = (seeds(place / "A" / name) for name in ("roots.fpk", "next-roots.fpk"))
    held = [
        admin["op"],
        agent["store"],
        agent["subject"],
        *roots,
        *after,
        *(p["seed"] for p in agent["prekeys"]),
    ]
    enrolment = (place / "A/enrolment.json").read_text()
    assert not [
        secret for secret in held + [agent[use] for use in ("msg", "auth", "consent")] if secret in enrolment
    ]


def test_the_relay_settings_name_what_is_there(place: Path):
    import tomllib

    settings = tomllib.loads((place / "P/relay/relay.toml").read_text())["relay"]
    assert settings == {
        "partnership": "partnership.json", "key_file": "relay.fpk", "passphrase_file": "passphrase",
        "founding": "founding.json", "database": "relay.db", "anchor": "anchor/heads.json", "listen": "127.0.0.1:8440",
        "admin_listen": "127.0.0.1:8441",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://relay.example.org", "relay.example.org"),
        ("https://relay.example.org:443/", "relay.example.org"),
        ("https://relay.example.org:8443", "relay.example.org:8443"),
        ("http://127.0.0.1:8440", "127.0.0.1:8440"),
        ("http://[::1]:8440", "[::1]:8440"),
    ],
)
def test_requests_name_the_relay_without_its_default_port(url: str, authority: str):
    from keys_tooling.partnership import authority as named

    assert named(url) == authority


def test_the_weak_cost_is_never_quiet(place: Path, tmp_path: Path):
    assert (
        "never use them for real"
        in done(audit, "init", "--dir", tmp_path / "o", *quick(place)).stderr.lower()
    )
    assert "--demonstration-cost" not in done(audit, "init", "--help").output


def test_what_an_administrator_reads_aloud_is_what_oversight_computes(place: Path):
    shown = json.loads(done(keys, "agency", "show", place / "A/enrolment.json", "--json").output)
    assert shown["name"] == "The Peacock Project"
    assert shown["safety_number"] in done(keys, "agency", "show", place / "A").output


# --- nothing is ever overwritten


@pytest.mark.parametrize(
    ("command", "words", "folder"),
    [
        (audit, lambda place: ["init", "--dir", place / "ig-peacock"], "ig-peacock"),
        (keys, lambda place: founding(place, place / "P"), "P"),
        (keys, lambda place: joining(place, place / "A"), "A"),
    ],
)
def test_running_it_again_changes_no_byte(
    place: Path, command: object, words: Callable[[Path], list[str]], folder: str
):
    before = files(place / folder)
    assert refused(command, *words(place), *quick(place)).code == "EXISTS"
    assert files(place / folder) == before


@pytest.mark.parametrize(
    "name", ["roots.fpk", "next-roots.fpk", "admin.fpk", "agent.fpk", "partnership.json", "enrolment.json"]
)
def test_one_file_in_the_way_stops_it_and_nothing_is_left(place: Path, tmp_path: Path, name: str):
    (tmp_path / name).write_text("somebody's")
    assert refused(keys, *joining(place, tmp_path), *quick(place)).code == "EXISTS"
    assert files(tmp_path) == {name: b"somebody's"}


def test_a_dangling_link_in_the_way_is_not_followed(place: Path, tmp_path: Path):
    (tmp_path / "A").mkdir(mode=0o700)
    (tmp_path / "A/admin.fpk").symlink_to(tmp_path / "elsewhere")
    assert refused(keys, *joining(place, tmp_path / "A"), *quick(place)).code == "EXISTS"
    assert not (tmp_path / "elsewhere").exists()


def test_what_fails_half_way_takes_back_what_it_made(place: Path, tmp_path: Path, monkeypatch):
    from keys_tooling import keyfiles

    monkeypatch.setattr(keyfiles.os, "fsync", failing(5))
    with pytest.raises(Refusal, match="DISK_FULL"):
        raise refused(keys, *joining(place, tmp_path / "B"), *quick(place))
    assert files(tmp_path / "B") == {}


def failing(after: int) -> Callable[[int], None]:
    """An fsync that finds the disk full after some calls."""
    calls = iter(range(10_000))

    def fsync(_handle: int) -> None:
        if next(calls) >= after:
            raise OSError(28, "No space left on device")

    return fsync


def test_a_folder_that_others_may_write_in_is_refused(place: Path, tmp_path: Path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert refused(audit, "init", "--dir", tmp_path / "open", *quick(place)).code == "FILE"


# --- passphrases


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_passphrase_file_that_others_may_read_is_refused(tmp_path: Path, mode: int):
    write_passphrase(tmp_path / "pass").chmod(mode)
    refusal = refused(audit, "init", "--dir", tmp_path / "o", *quick(tmp_path))
    assert (refusal.code, "chmod 600" in refusal.say) == ("FILE", True)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "text", ["", "\n", "short\n", "two\nlines of a passphrase\n", "x" * 1025, "zero\0 in a passphrase"]
)
def test_a_passphrase_that_is_none_is_refused(tmp_path: Path, text: str):
    write_passphrase(tmp_path / "pass", text)
    assert refused(audit, "init", "--dir", tmp_path / "o", *quick(tmp_path)).code == "KEYFILE"


def test_without_a_terminal_the_passphrase_file_must_be_named(tmp_path: Path):
    result = typed(audit, "init", "--dir", tmp_path / "o", "--demonstration-cost")
    assert result.exit_code == 2
    assert "--passphrase-file" in result.output


@pytest.mark.parametrize(("again", "code"), [(PASSPHRASE, 0), (PASSPHRASE + "!", 1)])
def test_a_typed_passphrase_is_asked_for_twice_and_never_shown(tmp_path: Path, again: str, code: int):
    ours, theirs = pty.openpty()
    command = [BIN / "fenpost-audit", "init", "--dir", tmp_path / "o", "--demonstration-cost"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        # The space after the colon is written once the echo is off; before that, what is typed is thrown away.
        said = heard(ours, b": ")
        os.write(ours, PASSPHRASE.encode() + b"\n")
        said += heard(ours, b": ")
        os.write(ours, again.encode() + b"\n")
        if code:
            said += heard(ours, b"do not match.")
            process.kill()
        assert process.wait(60) == (-9 if code else 0)
        assert PASSPHRASE.encode() not in said
        assert (tmp_path / "o/officer.fpk").exists() == (not code)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def heard(terminal: int, end: bytes) -> bytes:
    """What a program writes to its terminal until it has written `end`; at most 20 seconds."""
    said = b""
    while end not in said:
        assert select.select([terminal], [], [], 20)[0], said
        said += os.read(terminal, 1000)
    return said


# --- what is refused


@pytest.mark.parametrize("command", [founding, joining])
def test_an_agency_without_an_officer_is_a_usage_error(place: Path, tmp_path: Path, command: Callable):
    words = command(place, tmp_path / "X")
    at = words.index("--officer")
    result = typed(keys, *words[:at], *words[at + 2 :], *quick(place))
    assert result.exit_code == 2
    assert "--officer" in result.output


@pytest.mark.parametrize(
    "card",
    [
        b"", b"{}", b"[1]", b"not json", b'{"v": 1}', b"\xff" * 100, b"{" * 5000,
    ],
)  # fmt: skip
def test_a_malformed_card_is_refused(place: Path, tmp_path: Path, card: bytes):
    (tmp_path / "card").write_bytes(card)
    words = joining(place, tmp_path / "B", **{"--officer": tmp_path / "card"})
    assert refused(keys, *words, *quick(place)).code == "KEY"


@pytest.mark.parametrize(
    ("name", "value"),
    [("v", 2), ("person", "Ann Example"), ("ig", "AAAA"), ("auth", "A" * 43), ("number", "0"), ("more", 1)],
)
def test_a_card_with_a_changed_entry_is_refused(place: Path, tmp_path: Path, name: str, value: object):
    card = json.loads((place / "ig-peacock/officer.json").read_text())
    (tmp_path / "card").write_text(json.dumps({**card, name: value}))
    words = joining(place, tmp_path / "B", **{"--officer": tmp_path / "card"})
    assert refused(keys, *words, *quick(place)).code == "KEY"


def test_a_card_with_another_officers_key_is_refused(place: Path, tmp_path: Path):
    card = json.loads((place / "ig-peacock/officer.json").read_text())
    other = json.loads((place / "ig-oversight/officer.json").read_text())
    (tmp_path / "card").write_text(json.dumps({**card, "ig": other["ig"]}))
    words = joining(place, tmp_path / "B", **{"--officer": tmp_path / "card"})
    assert refused(keys, *words, *quick(place)).code == "KEY"


def test_the_same_officer_twice_is_refused(place: Path, tmp_path: Path):
    words = joining(place, tmp_path / "B")
    assert refused(keys, *words, "--officer", place / "ig-peacock/officer.json", *quick(place)).code == "KEY"


@pytest.mark.parametrize(
    "desk", ["Referrals", "re ferrals", "", "-x", "1a", "x" * 33, "referräls", "referrals\n", "a_b"]
)
def test_a_desk_that_is_no_role_is_refused(place: Path, tmp_path: Path, desk: str):
    refusal = refused(keys, *joining(place, tmp_path / "B", **{"--desk": desk}), *quick(place))
    assert (refusal.code, refusal.detail) == ("SETTINGS", ("desk",))


def test_the_same_desk_twice_is_refused(place: Path, tmp_path: Path):
    words = [*joining(place, tmp_path / "B"), "--desk", "referrals"]
    assert refused(keys, *words, *quick(place)).code == "SETTINGS"


@pytest.mark.parametrize(
    "url",
    [
        "http://relay.example.org", "ftp://relay.example.org", "relay.example.org", "https://", "https://a/b",
        "https://a:99999", "https://rélay.example.org", "https://u@a", "https://a?x=1", "http://10.0.0.1:8440", "https://a:0",
    ],
)  # fmt: skip
def test_a_relay_address_that_is_not_safe_to_use_is_refused(place: Path, tmp_path: Path, url: str):
    words = founding(place, tmp_path / "Q", **{"--relay-url": url})
    assert refused(keys, *words, *quick(place)).code == "SETTINGS"


@pytest.mark.parametrize("origin", ["", "Relay/log", "relay log", "https://relay/log", "relay\nlog"])
def test_a_log_name_that_is_none_is_refused(place: Path, tmp_path: Path, origin: str):
    words = founding(place, tmp_path / "Q", **{"--origin": origin})
    if origin:
        assert (refusal := refused(keys, *words, *quick(place))).code == "SETTINGS"
        assert refusal.detail[0] == "origin"
    else:
        done(keys, *words, *quick(place))


def test_a_relay_address_is_kept_in_small_letters(place: Path, tmp_path: Path):
    done(
        keys,
        *founding(place, tmp_path / "Q", **{"--relay-url": "https://Relay.Example.ORG:443/"}),
        *quick(place),
    )
    charter = Partnership.parse((tmp_path / "Q/partnership.json").read_bytes()).charter
    assert (charter.relay, charter.authority, charter.origin) == (
        "https://relay.example.org", "relay.example.org", "relay.example.org/log",
    )  # fmt: skip


def test_passphrases_never_show_themselves(place: Path):
    from keys_tooling import agency, partnership
    from schemas.keyfile import QUICK

    assert "secret" not in repr(partnership.Locks(b"secret", (place, b"secret"), QUICK))
    assert "secret" not in repr(agency.Locks(b"secret", b"secret", QUICK))


def test_a_partnership_file_with_a_changed_byte_is_refused(place: Path, tmp_path: Path):
    honest = (place / "P/partnership.json").read_text()
    (tmp_path / "p").write_text(honest.replace("relay.example.org", "relay.examp1e.org"))
    words = joining(place, tmp_path / "B", **{"--partnership": tmp_path / "p"})
    assert refused(keys, *words, *quick(place)).code == "SIGNATURE"


# --- opening key files


def opened(place: Path, folder: Path, passphrase: Path) -> Refusal:
    enrolment = place / "A/enrolment.json"
    number = json.loads(done(keys, "agency", "show", enrolment, "--json").output)["safety_number"]
    return refused(
        keys, "agency", "enrol", enrolment, "--partnership-dir", folder, "--fingerprint", number,
        "--passphrase-file", passphrase,
    )  # fmt: skip


def copied(place: Path, folder: Path) -> Path:
    for name, data in files(place / "P").items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o600)
    return folder


def test_a_wrong_passphrase_opens_nothing(place: Path, tmp_path: Path):
    wrong = write_passphrase(tmp_path / "wrong", "four other words here")
    assert opened(place, place / "P", wrong).code == "KEYFILE"


@pytest.mark.parametrize("at", [0, 4, 20, 60, -1])
def test_a_key_file_with_an_edited_byte_opens_nothing(place: Path, tmp_path: Path, at: int):
    folder = copied(place, tmp_path / "P")
    data = bytearray((folder / "admin.fpk").read_bytes())
    data[at] ^= 1
    (folder / "admin.fpk").write_bytes(bytes(data))
    assert opened(place, folder, place / "pass").code == "KEYFILE"


def test_a_key_file_that_others_may_read_is_refused(place: Path, tmp_path: Path):
    folder = copied(place, tmp_path / "P")
    (folder / "admin.fpk").chmod(0o640)
    assert opened(place, folder, place / "pass").code == "FILE"


def test_a_key_file_that_is_a_link_is_refused(place: Path, tmp_path: Path):
    folder = copied(place, tmp_path / "P")
    (folder / "admin.fpk").rename(folder / "elsewhere")
    (folder / "admin.fpk").symlink_to("elsewhere")
    assert opened(place, folder, place / "pass").code == "FILE"


def test_an_agencys_keys_are_not_oversights(place: Path, tmp_path: Path):
    folder = copied(place, tmp_path / "P")
    for name in ("admin.fpk", "agent.fpk"):
        (folder / name).write_bytes((place / "A" / name).read_bytes())
    refusal = opened(place, folder, place / "pass")
    assert (refusal.code, "oversight" in refusal.say) == ("KEYFILE", True)


# --- the programs themselves


def test_the_whole_session_as_typed(tmp_path: Path):
    def run(*words: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
        command = ["sh", "-c", 'umask 0; exec "$@"', "sh", BIN / str(words[0]), *map(str, words[1:])]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == expect, done.stderr
        return done

    write_passphrase(tmp_path / "pass")
    weak = ("--passphrase-file", "pass", "--demonstration-cost")
    card = json.loads(run("fenpost-audit", "init", "--dir", "o", "--json", *weak).stdout)
    assert card["card"] == "o/officer.json"
    founded = run("fenpost-keys", *founding(tmp_path, Path("P"), **{"--officer": "o/officer.json"}), *weak)
    assert "fenpost-broker run --config P/relay/relay.toml" in founded.stdout
    assert "WARNING" in founded.stderr
    assert (tmp_path / "P/admin.fpk").stat().st_mode & 0o777 == 0o600
    again = run(
        "fenpost-keys", *founding(tmp_path, Path("P"), **{"--officer": "o/officer.json"}), *weak, expect=1
    )
    assert again.stderr.splitlines()[-1].startswith("EXISTS: ")
    assert again.stdout == ""
    assert run("fenpost-keys", "partnership", "init", expect=2).stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        (keys,), (keys, "partnership"), (keys, "partnership", "init"), (keys, "agency"), (keys, "agency", "init"),
        (keys, "agency", "enrol"), (keys, "agency", "show"), (audit,), (audit, "init"), (audit, "pull"),
        (audit, "verify"), (audit, "read"),
    ],
)  # fmt: skip
def test_every_help_has_an_example(words: tuple):
    result = typed(*words, "--help")
    assert result.exit_code == 0
    assert "Example:\n" in result.output


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from keys_tooling import keys_main, audit_main;"
        "print(*sorted({'aiohttp', 'cryptography', 'nacl', 'pydantic', 'rich', 'sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# --- outside witnesses


def witnessed(root: Path, folder: Path, *more: str) -> list[str | Path]:
    return [*founding(root, folder), *more, *quick(root)]


def test_a_partnership_names_witnesses_outside_it_and_how_many_it_needs(place: Path):
    from schemas.witness import WitnessKey

    keys_ = [WitnessKey(f"witness.example/{n}", bytes([n]) * 32).text() for n in range(1, 4)]
    named = [word for key in keys_ for word in ("--outside-witness", key, "https://witness.example/w")]
    done(keys, *witnessed(place, place / "W", *named))
    partnership = Partnership.parse((place / "W/partnership.json").read_bytes())
    assert [key.text() for key in partnership.outside.keys] == keys_
    assert partnership.outside.needed == 2
    assert Partnership.parse((place / "P/partnership.json").read_bytes()).outside.needed == 0


@pytest.mark.parametrize(
    "words",
    [
        ("--outside-witness", "no key", "https://witness.example/"),
        ("--outside-witness", "w.example+00000000+AAAA", "https://witness.example/"),
        ("--outside-witness", "w.example+00000000+AAAA", "http://witness.example/"),
        ("--outside-needed", "1"),
    ],
)
def test_a_witness_that_could_not_be_asked_is_refused(place: Path, tmp_path: Path, words: tuple[str, ...]):
    assert refused(keys, *witnessed(place, tmp_path / "X", *words)).code in ("SETTINGS", "CHECKPOINT")
    assert not (tmp_path / "X/partnership.json").exists()
