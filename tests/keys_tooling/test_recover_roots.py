"""Next roots of every number and threshold, in one file or each with its holder; what the directory refuses is not begun."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from keys_tooling import applying
from keys_tooling import journal as journals
from keys_tooling.ceremony import admit, make_agency, make_officer
from keys_tooling.console import World as Outside
from keys_tooling.keys_main import keys
from schemas.canonical import b64, unb64
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock, unlock
from schemas.keys import SigningKey
from tests.keys_tooling.admin_place import done, made, refused, run
from tests.keys_tooling.killed_commands import agent_in_force, op_in_force, view
from tests.keys_tooling.policy_place import served, write_secret
from tests.keys_tooling.test_recover import agent, home, op, with_roots, write_roots
from tests.simulated_world import DESK, FLAGS, PASSPHRASE, Party, World

YES = ("--demonstration-cost", "--yes")


def with_agency(tmp_path: Path, count: int, threshold: int) -> World:
    """A partnership with Big, which has so many roots, of which so many must agree."""

    def people(world: World) -> None:
        officer, card = make_officer(secrets.token_bytes)
        member = make_agency(world.now, secrets.token_bytes, (card,), count, threshold)
        world.parties["Big"] = Party("Big", member, member.admin, officer, (DESK,))
        duty = world.parties["oversight"]
        duty.admin, admission = admit(duty.admin, member.id, "Big", (DESK,), FLAGS, world.now)
        for signed in (*member.statements, admission):
            world.take(signed)
        world.write_relay_folder()

    return made(tmp_path, "Peacock", people=people)


def in_file(path: Path, words: bytes = PASSPHRASE) -> tuple[SigningKey, ...]:
    return tuple(SigningKey(unb64(seed, 32)) for seed in unlock(path.read_bytes(), "roots", words)["roots"])


def committed(world: World) -> tuple[frozenset[str], int]:
    agency = view(world)[0].agencies[world.parties["Big"].id]
    return agency.committed, agency.threshold


@pytest.mark.parametrize(("count", "threshold"), [(1, 1), (3, 2), (5, 3), (5, 4), (9, 9)])
def test_there_are_as_many_next_roots_as_before_and_it_can_be_done_again(
    tmp_path: Path, count: int, threshold: int
):
    world = with_agency(tmp_path, count, threshold)
    folder = world.folder / "Big"
    speaking = write_roots(world.folder / "first.fpk", world.parties["Big"].member.next_roots[-threshold:])
    with served(world):
        for _ in range(2):
            done(world, "recover", "op", "--dir", folder, "--roots", speaking, *YES)
            (after,) = folder.glob("next-roots-*.fpk")
            found = in_file(after)
            assert committed(world) == (frozenset(root.kid for root in found), threshold)
            assert len({root.kid for root in found}) == count
            speaking = write_roots(world.folder / f"{after.stem}-some.fpk", found[:threshold])
            after.unlink()
        done(world, "rotate", "--dir", folder, "--use", "op", *YES)


def test_each_holder_gets_the_next_root_under_her_own_passphrase(tmp_path: Path):
    world = with_agency(tmp_path, 5, 3)
    folder, before = world.folder / "Big", world.parties["Big"].member.next_roots

    def brought(roots: dict[str, tuple[SigningKey, ...]]) -> list[str | Path]:
        words: list[str | Path] = []
        for name, held in roots.items():
            data = lock(
                {"roots": [b64(one.seed()) for one in held]}, "roots", own(name), QUICK, secrets.token_bytes
            )
            write_secret(world.folder / f"{name}.fpk", data)
            write_secret(world.folder / f"{name}.pass", own(name) + b"\n")
            words += ["--roots", world.folder / f"{name}.fpk"]
        return words + [
            word for name in roots for word in ("--roots-passphrase-file", world.folder / f"{name}.pass")
        ]

    def own(name: str) -> bytes:
        return f"the words of holder {name}".encode()

    spent = world.parties["Big"].member.roots[:1]  # an old one in her file counts for nothing
    words = brought({"d": before[3:4], "a": (*spent, *before[:1]), "bc": before[1:3]})
    with served(world):
        said = done(world, "recover", "op", "--dir", folder, *words, *YES)["plan"]
        files = sorted(folder.glob("next-root-*.fpk"))
        assert [one["name"] for one in said["files"]][1:] == [path.name for path in files]
        holders = [own("d"), own("a"), own("bc"), own("bc"), PASSPHRASE]
        found = [in_file(path, words) for path, words in zip(files, holders, strict=True)]
        assert [len(roots) for roots in found] == [1] * 5
        assert committed(world) == (frozenset(root.kid for (root,) in found), 3)
        with pytest.raises(Refusal, match="KEYFILE"):
            in_file(files[0])
        told = " ".join(said["after"])
        assert f"{files[0].name} is for whoever brought d.fpk" in told
        assert f"{files[4].name}: for the holders who were not here" in told
        assert "enough to agree" not in told
        assert not list(folder.glob("next-roots-*.fpk"))
        again = brought({"x": found[0], "y": found[2], "z": found[4]})
        assert done(world, "recover", "op", "--dir", folder, *again, *YES)["applied"]


def test_it_is_said_where_the_folders_passphrase_alone_would_open_enough_of_them(tmp_path: Path):
    world = with_agency(tmp_path, 3, 1)
    one = write_roots(world.folder / "one.fpk", world.parties["Big"].member.next_roots[:1])
    spent = write_roots(world.folder / "spent.fpk", world.parties["Big"].member.roots[:1])
    words = (
        "recover",
        "op",
        "--dir",
        world.folder / "Big",
        "--roots",
        one,
        "--roots",
        spent,
        *YES,
        "--dry-run",
    )
    with served(world):
        assert "that alone is enough to agree" in " ".join(done(world, *words)["plan"]["after"])


# --- what the directory refuses


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = with_roots(made(tmp_path, "Peacock"))
    with served(found):
        yield found


def spoiled(length: int) -> bytes:
    """A machine whose random numbers repeat: each key that it draws is there already."""
    return bytes(length) if length == 32 else secrets.token_bytes(length)


@pytest.mark.parametrize(
    "words",
    [
        lambda world: op(world, "--yes"),
        lambda world: agent(world, "--yes"),
        lambda world: ["rotate", "--dir", home(world), "--use", "op", "--use", "renew", *YES],
    ],
    ids=["recover op", "recover agent", "rotate"],
)
def test_what_the_directory_would_refuse_is_not_begun(world: World, words):
    before = sorted(path.name for path in home(world).iterdir())
    typed = [*map(str, words(world)), "--passphrase-file", str(world.folder / "pass")]
    for more in ([], ["--dry-run"]):
        result = CliRunner().invoke(keys, [*typed, *more], obj=Outside(world.clock, spoiled))
        assert isinstance(result.exception, Refusal), (result.output, result.exception)
        assert result.exception.code in ("KEY", "DIRECTORY")
        assert sorted(path.name for path in home(world).iterdir() if path.suffix != ".note") == before
    assert done(world, *words(world))["applied"]


async def _away(_self: object, _request: object) -> None:
    raise Refusal("RELAY_AWAY")


def test_a_change_of_which_nothing_is_published_and_that_can_never_be_is_dropped_and_its_keys_are_kept_aside(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """Begun here and broken off; meanwhile the same roots are used in another folder, and are spent."""
    folder, other = home(world), world.folder / "other"
    shutil.copytree(folder, other)
    with monkeypatch.context() as broken:
        broken.setattr("agent.client.Relay.post_statements", _away)
        assert refused(world, *op(world, "--yes")).code == "RELAY_AWAY"
    made_here = {path.name: path.read_bytes() for path in folder.glob("next-*.fpk")}
    assert len(made_here) == 2
    elsewhere = [other if word == folder else word for word in op(world, "--yes")]
    assert done(world, *elsewhere)["applied"]
    result = run(world, "resume", "--dir", folder)
    assert isinstance(result.exception, Refusal)
    assert result.exception.code == "ROOT_UNKNOWN"
    told = " ".join(result.output.split())
    assert "Nothing of 'recover op' is published" in told
    assert all(f"old-{name}" in told for name in made_here)
    assert not (folder / journals.NAME).exists()
    assert not list(folder.glob("next-*.fpk"))
    assert {name: (folder / f"old-{name}").read_bytes() for name in made_here} == made_here
    (after,) = other.glob("next-roots-*.fpk")
    done(world, "recover", "op", "--dir", folder, "--roots", after, *YES)
    op_in_force(world, 0)


def test_a_change_of_which_something_is_published_is_never_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    posting = applying.post

    async def refuses(line: applying.Line, stated: tuple[applying.Stated, ...]) -> int:
        await posting(line, stated[:3])
        raise Refusal("KEY", party="relay")

    with monkeypatch.context() as broken:
        broken.setattr(applying, "post", refuses)
        assert refused(world, *agent(world, "--yes")).code == "KEY"
    assert (home(world) / journals.NAME).exists()
    assert len(list(home(world).glob("next-agent-*.fpk"))) == 1
    assert done(world, *agent(world, "--yes"))["applied"]
    agent_in_force(world, 0)
