"""Signing keys on a token: SoftHSM2, as Debian packages it, is asked by the programs themselves."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agent.tokens import Tokens
from keys_tooling.ceremony import make_officer
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock, unlock
from schemas.keyring import AdminKeys, OfficerKeys, PersonKeys, PolicyKey
from schemas.keys import SigningKey
from schemas.signing import Purpose, Signed
from schemas.token_place import TokenKey, TokenPlace
from tests.interop.softhsm import LIBRARY, PIN, new_token
from tests.keys_tooling.test_key_ceremonies import BIN, write_passphrase

ROOT = Path(__file__).parents[2]
PASSPHRASE = "four words of passphrase"


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an empty token called peacock, which this process and its children see."""
    monkeypatch.setenv("SOFTHSM2_CONF", str(new_token(tmp_path / "token", "peacock")))
    write_passphrase(tmp_path / "pass")
    write_passphrase(tmp_path / "pin", PIN + "\n")
    return tmp_path


def tokens(pin: str = PIN) -> Tokens:
    return Tokens(lambda _label: pin)


def refused(call, *words: object) -> str:
    with pytest.raises(Refusal) as caught:
        call(*words)
    assert caught.value.code == "TOKEN"
    return caught.value.say


# --- the token


def test_what_a_key_made_in_the_token_signs_is_ed25519(token: Path):
    place = tokens().make(str(LIBRARY), "peacock", b"op")
    signed = Signed.make(TokenKey(place, tokens().sign), Purpose.DIRECTORY, {"a": 1})
    assert signed.verified(place.public, Purpose.DIRECTORY) == b'{"a":1}'


def test_a_key_put_into_the_token_signs_as_it_did_in_its_file(token: Path):
    key = SigningKey(secrets.token_bytes(32))
    place = tokens().take(str(LIBRARY), "peacock", b"person", key)
    assert (place.public, place.kid) == (key.public, key.kid)
    assert tokens().sign(place, b"words") == key.sign_bytes(b"words")


def test_a_key_never_comes_out_of_the_token(token: Path):
    import pkcs11
    import pkcs11.exceptions

    key = SigningKey(secrets.token_bytes(32))
    for name, make in ((b"a", tokens().make), (b"b", lambda *words: tokens().take(*words, key))):
        make(str(LIBRARY), "peacock", name)
        library = pkcs11.lib(str(LIBRARY))
        with library.get_token(token_label="peacock").open(user_pin=PIN) as session:
            found = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, id=name)
            with pytest.raises(pkcs11.exceptions.AttributeSensitive):
                found[pkcs11.Attribute.VALUE]


def test_two_keys_of_one_name_are_refused(token: Path):
    tokens().make(str(LIBRARY), "peacock", b"op")
    with pytest.raises(Refusal, match="EXISTS"):
        tokens().make(str(LIBRARY), "peacock", b"op")


# --- what can be wrong with it


def test_a_wrong_pin_is_said_and_not_tried_again(token: Path):
    place = tokens().make(str(LIBRARY), "peacock", b"op")
    asked = []
    said = refused(Tokens(lambda label: asked.append(label) or "0000").sign, place, b"words")
    assert "not the token's PIN" in said
    assert asked == ["peacock"]


def test_a_token_that_is_not_there_is_said(token: Path):
    place = tokens().make(str(LIBRARY), "peacock", b"op")
    other = TokenPlace(place.module, place.label, "0000000000000000", place.id, place.public)
    assert "token is not there" in refused(tokens().sign, other, b"words")
    assert "token is not there" in refused(tokens().make, str(LIBRARY), "bittern", b"op")


def test_a_library_that_is_not_there_is_said(token: Path):
    assert "library cannot be loaded" in refused(tokens().make, "/nowhere/library.so", "peacock", b"op")


def test_a_key_that_is_not_on_the_token_is_said(token: Path):
    place = tokens().make(str(LIBRARY), "peacock", b"op")
    other = TokenPlace(place.module, place.label, place.serial, b"other".hex(), place.public)
    assert "does not have this key" in refused(tokens().sign, other, b"words")


def test_a_token_that_signs_with_another_key_is_found_out(token: Path):
    place = tokens().make(str(LIBRARY), "peacock", b"op")
    other = TokenPlace(place.module, place.label, place.serial, place.id, SigningKey(bytes(32)).public)
    assert "signed with another key" in refused(tokens().sign, other, b"words")


TAKEN_OUT = """
import shutil, sys
from agent.tokens import Tokens
from schemas.errors import Refusal
from schemas.token_place import TokenPlace

def pin(label):  # between finding the token and signing, somebody takes it out
    shutil.rmtree(sys.argv[2])
    return "9876"

library, _, public = sys.argv[1:]
try:
    Tokens(pin).sign(TokenPlace(library, "peacock", sys.stdin.readline().strip(), b"op".hex(), bytes.fromhex(public)), b"w")
except Refusal as refusal:
    print(refusal)
"""


def test_a_token_taken_out_in_the_middle_is_said(token: Path):
    place = tokens().make(str(LIBRARY), "peacock", b"op")
    command = [
        sys.executable,
        "-c",
        TAKEN_OUT,
        str(LIBRARY),
        str(token / "token" / "store"),
        place.public.hex(),
    ]
    done = subprocess.run(
        command, input=place.serial, capture_output=True, text=True, cwd=ROOT, check=False, timeout=30
    )
    assert done.stdout.startswith("TOKEN: "), (done.stdout, done.stderr)
    assert (
        "Nothing was signed" in done.stdout
        or "is not there" in done.stdout
        or "does not have this key" in done.stdout
    )


# --- key files that name a token


def test_every_kind_of_key_file_comes_back_as_it_was_written(token: Path):
    place = tokens().make(str(LIBRARY), "peacock", b"op")
    key = TokenKey(place, tokens().sign)
    officer, _ = make_officer(secrets.token_bytes)
    for held in (
        AdminKeys("ag1x", key, 1, "head"),
        OfficerKeys(officer.ig, key),
        PolicyKey(key, "policy-1"),
        PersonKeys("ag1x", "lead-1", key),
    ):
        again = type(held).from_json(held.to_json(), tokens().sign)
        assert again.to_json() == held.to_json()
        assert "TokenPlace" in repr(again)
        without = type(held).from_json(held.to_json())
        signer = getattr(without, "op", getattr(without, "key", getattr(without, "auth", None)))
        assert "works without one" in refused(signer.sign_bytes, b"words")


# --- as people type it


def program(
    folder: Path, name: str, *words: str | Path, pin: bool = True
) -> subprocess.CompletedProcess[str]:
    first = ["--token-pin-file", str(folder / "pin")] if pin else []
    command = [str(BIN / name), *first, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL
    )


def test_a_key_file_is_put_on_the_token_and_its_new_file_holds_no_seed(token: Path):
    key = SigningKey(secrets.token_bytes(32))
    held = PersonKeys("ag1x", "lead-1", key)
    (token / "lead-1.fpk").write_bytes(
        lock(held.to_json(), held.HOLDS, PASSPHRASE.encode(), QUICK, secrets.token_bytes)
    )
    (token / "lead-1.fpk").chmod(0o600)
    words = (
        "token", "take", token / "lead-1.fpk", "--module", LIBRARY, "--token", "peacock", "--out", token / "on-token.fpk",
        "--passphrase-file", token / "pass", "--demonstration-cost", "--json",
    )  # fmt: skip
    done = program(token, "fenpost-keys", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kid"] == key.kid
    found = unlock((token / "on-token.fpk").read_bytes(), "person", PASSPHRASE.encode())
    assert set(found["key"]) == {"id", "label", "module", "pub", "serial"}
    assert PersonKeys.from_json(found, tokens().sign).key.sign_bytes(b"w") == key.sign_bytes(b"w")
    assert program(token, "fenpost-keys", *words).stderr.startswith("EXISTS")


def test_a_persons_key_is_made_on_the_token_and_her_card_names_it(token: Path):
    from keys_tooling.roles import parse_card

    agency = "ag1" + "a" * 32
    words = (
        "role", "new", "--dir", token / "ann", "--agency", agency, "--role", "lead", "--person", "2", "--token", "peacock",
        "--module", LIBRARY, "--passphrase-file", token / "pass", "--demonstration-cost",
    )  # fmt: skip
    done = program(token, "fenpost-keys", *words)
    assert done.returncode == 0, done.stderr
    held = unlock((token / "ann/lead-2.fpk").read_bytes(), "person", PASSPHRASE.encode())
    key = PersonKeys.from_json(held, tokens().sign).key
    card = parse_card((token / "ann/lead-2.json").read_bytes())
    assert card.public == key.public
    signed = Signed.make(key, Purpose.OVERRIDE_AUTHORISE, {"a": 1})
    assert signed.verified(card.public, Purpose.OVERRIDE_AUTHORISE)


def test_the_pin_is_never_taken_from_the_environment(token: Path, monkeypatch: pytest.MonkeyPatch):
    key = SigningKey(secrets.token_bytes(32))
    held = PolicyKey(key, "policy-1")
    (token / "p.fpk").write_bytes(
        lock(held.to_json(), held.HOLDS, PASSPHRASE.encode(), QUICK, secrets.token_bytes)
    )
    (token / "p.fpk").chmod(0o600)
    for name in ("PIN", "TOKEN_PIN", "FENPOST_PIN", "FENPOST_TOKEN_PIN", "PKCS11_PIN", "SOFTHSM2_PIN"):
        monkeypatch.setenv(name, PIN)
    done = program(
        token, "fenpost-keys", "token", "take", token / "p.fpk", "--module", LIBRARY, "--token", "peacock",
        "--out", token / "q.fpk", "--passphrase-file", token / "pass", "--demonstration-cost", pin=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout
    assert "give --token-pin-file" in done.stderr


def test_the_operational_key_on_a_token_publishes_at_a_real_relay(token: Path):
    from keys_tooling import roles
    from tests.keys_tooling.policy_place import served
    from tests.simulated_world import World

    world = World.again(token / "world", "Peacock", "IDVAS")
    party, folder = world.parties["Peacock"], token / "A"
    folder.mkdir(mode=0o700)
    (folder / "partnership.json").write_bytes(world.founded.partnership.to_bytes())
    place = tokens().take(str(LIBRARY), "peacock", b"op", party.admin.op)
    admin = AdminKeys(party.admin.agency, TokenKey(place), party.admin.seq, party.admin.head)
    for name, held in (("admin.fpk", admin), ("agent.fpk", party.member.agent)):
        (folder / name).write_bytes(
            lock(held.to_json(), held.HOLDS, PASSPHRASE.encode(), QUICK, secrets.token_bytes)
        )
        (folder / name).chmod(0o600)
    outside = textwrap.dedent(f"""
        import secrets
        from keys_tooling.console import World, run
        from keys_tooling.keys_main import keys
        run(keys, World(lambda: {world.clock()!r}, secrets.token_bytes))
    """)
    card = PersonKeys(party.id, "lead-1", SigningKey(secrets.token_bytes(32)))
    (token / "lead-1.json").write_bytes(roles.card_bytes(roles.card_of(card)))
    with served(world):
        done = subprocess.run(
            [sys.executable, "-c", outside, "--token-pin-file", str(token / "pin"), "role", "publish", str(token / "lead-1.json"),
             "--dir", str(folder), "--passphrase-file", str(token / "pass")],
            capture_output=True, text=True, cwd=ROOT, check=False, timeout=60, stdin=subprocess.DEVNULL,
            env={**os.environ},
        )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert shutil.which("softhsm2-util")


def test_each_of_those_who_sign_an_emergency_may_have_her_key_on_a_token(token: Path):
    """An officer starts it, the lead signs, the officer posts; or oversight's duty does."""
    from tests.broker.leads import People
    from tests.keys_tooling.admin_place import done, made
    from tests.keys_tooling.policy_place import served, write_secret
    from tests.simulated_world import PASSPHRASE as LOCKED

    everybody: list[People] = []
    (token / "world").mkdir()
    world = made(token / "world", people=lambda found: everybody.append(People.of(found)))
    peacock, oversight = world.parties["Peacock"], world.parties["oversight"]

    def taken(name: bytes, key: SigningKey) -> TokenKey:
        return TokenKey(tokens().take(str(LIBRARY), "peacock", name, key))

    officer, duty = token / "officer.fpk", world.folder / "oversight" / "admin.fpk"
    admin = oversight.admin
    lead = PersonKeys(peacock.id, "lead-2", taken(b"lead", everybody[0].keys["lead"]))
    duty.unlink()
    for path, held in (
        (officer, OfficerKeys(peacock.officer.ig, taken(b"ig", peacock.officer.auth))),
        (token / "lead-2.fpk", lead),
        (duty, AdminKeys(admin.agency, taken(b"op", admin.op), admin.seq, admin.head)),
    ):
        write_secret(path, lock(held.to_json(), held.HOLDS, LOCKED, QUICK, secrets.token_bytes))
    first, both = token / "emergency.json", token / "both.json"
    partnership = ("--partnership", world.folder / "oversight" / "partnership.json")

    def typed(*words: str | Path) -> dict:
        return done(world, "--token-pin-file", token / "pin", "emergency", *words, *partnership)

    with served(world):
        typed("start", "--agency", "Peacock", "--use", "msg", "--out", first, "--key", officer)
        typed("sign", first, "--key", token / "lead-2.fpk", "--out", both, "--yes")
        assert typed("sign", both, "--key", officer, "--yes")["posted"] == 1
        first.unlink()
        typed("start", "--agency", "Peacock", "--use", "renew", "--out", first, "--key", duty)
        assert typed("sign", first, "--key", officer, "--yes")["posted"] == 1
