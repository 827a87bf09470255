"""Evidence verifies on another machine, and anything that was done to it shows at its first bad line (PROTOCOL.md U10)."""

import asyncio
import json
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from keys_tooling.audit.evidence import Bad, Verified, verify
from keys_tooling.audit.exporting import FILE, PART, README
from keys_tooling.audit_main import audit
from keys_tooling.console import World as Console
from schemas.partnership import Partnership
from tests.keys_tooling.officer_place import Place
from tests.simulated_world import World


async def played(folder: Path) -> Place:
    """Peacock's officer, whose mirror has messages of hers, steps, and a message of two others; the relay is gone."""
    world = World.found(folder / "world", "Peacock", "IDVAS", "DASS")
    place = Place.make(world, folder / "officer", "Peacock")
    async with world.relay(), world.session() as http:
        for sender, to in (("Peacock", "IDVAS"), ("DASS", "IDVAS"), ("IDVAS", "Peacock")):
            answer = await world.post_envelopes(http, sender, world.seal(sender, to))
            assert answer.status == 200
        page = await world.mailbox(http, "Peacock")
        for state in ("collected", "opened", "taken-on"):
            await world.post_receipts(http, "Peacock", world.receipt("Peacock", page.deliveries[0], state))
        await place.type("pull")
        await exported(place)
    return place


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return asyncio.run(played(tmp_path_factory.mktemp("kept")))


@pytest.fixture(scope="module")
def data(kept: Place) -> bytes:
    """Evidence of all her entries."""
    return (kept.folder / "evidence" / FILE).read_bytes()


@pytest.fixture
async def place(kept: Place, tmp_path: Path) -> AsyncIterator[Place]:
    """The same officer's folder, by itself, and the relay."""
    shutil.copytree(kept.folder, tmp_path / "officer")
    shutil.rmtree(tmp_path / "officer" / "evidence")
    async with kept.world.relay():
        yield Place(kept.world, tmp_path / "officer")


async def exported(place: Place, *words: str) -> Path:
    done = await place.type("export", "--to", place.folder / "evidence", *words)
    assert done.exit == 0, done
    return place.folder / "evidence" / FILE


def elsewhere(*words: str | Path) -> Any:
    """The command on a machine that knows nothing: no folder, no keys, no relay."""
    return CliRunner().invoke(
        audit, ["verify", *map(str, words)], obj=Console(lambda: 0.0, secrets.token_bytes)
    )


def check(data: bytes, given: Partnership | None = None) -> Verified:
    import io

    return verify(io.BytesIO(data).readline, given)


def test_evidence_verifies_where_nothing_is_known_and_shows_what_was_opened(kept: Place):
    path = kept.folder / "evidence" / FILE
    done = elsewhere(path, "--show", "--json")
    said = json.loads(done.stdout)
    assert (done.exit_code, said["ok"], said["entries"], said["sealed"]) == (0, True, 5, 0)
    assert [entry["event"] for entry in said["entries_shown"]] == [
        "accept",
        "accept",
        "collected",
        "opened",
        "taken-on",
    ]
    assert [entry["faults"] for entry in said["entries_shown"]] == [[]] * 5
    assert said["entries_shown"][0]["ref"]
    assert said["oversight_safety_number"] in (path.parent / README).read_text()
    assert "PROVEN" in elsewhere(path.parent).stdout
    for name in (FILE, README):
        assert (path.parent / name).stat().st_mode & 0o777 == 0o600
    assert not (path.parent / PART).exists()
    # Nothing of the message between the others is in it.
    assert kept.world.parties["DASS"].id not in json.dumps(said)


async def test_that_it_was_made_is_logged_and_it_names_the_entry(place: Place):
    path = await exported(place, "--reason", "court_order", "--words", "the county court asked")
    said = json.loads(elsewhere(path, "--json").stdout)
    await place.type("pull")
    read = (await place.type("read", "--json")).json()
    entry = [entry for entry in read["entries"] if entry["event"] == "unsealed"][-1]
    assert (entry["mid"], entry["what"]) == (said["opening"], "export court_order")


async def test_only_one_message(place: Place):
    read = (await place.type("read", "--json")).json()
    mid = read["entries"][0]["mid"]
    path = await exported(place, "--message", mid)
    assert {told.mid for told in check(path.read_bytes()).told} == {mid}


async def test_sealed_evidence_proves_and_opens_nothing(place: Place):
    path = await exported(place, "--sealed")
    found = check(path.read_bytes())
    assert (found.entries, found.sealed, found.told) == (5, 5, [])
    assert b'"rk":"' not in path.read_bytes()


async def test_an_export_that_was_broken_off_is_none_and_is_begun_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    from keys_tooling.audit import exporting

    with monkeypatch.context() as patch:
        real = exporting.lines

        def stops(*given: Any) -> Any:
            for n, line in enumerate(real(*given)):
                if n == 20:
                    raise KeyboardInterrupt
                yield line

        patch.setattr(exporting, "lines", stops)
        await place.type("export", "--to", place.folder / "evidence")
    folder = place.folder / "evidence"
    assert not (folder / FILE).exists()
    part = (folder / PART).read_bytes()
    assert part
    with pytest.raises(Bad, match=r"ends too early"):
        check(part)
    path = await exported(place)
    assert check(path.read_bytes()).entries == 5
    again = await place.type("export", "--to", folder)
    assert again.refusal is not None
    assert again.refusal.code == "EXISTS"


def test_every_truncation_is_refused(data: bytes):
    ends = [at + 1 for at, byte in enumerate(data) if byte == 10]
    cuts = {0, 1, *ends[:-1], *(end - 1 for end in ends), *range(7, len(data), 4999)} - {len(data)}
    for cut in sorted(cuts):
        with pytest.raises(Bad) as found:
            check(data[:cut])
        assert found.value.line <= data[:cut].count(b"\n") + 1


def test_every_change_is_refused_and_the_first_bad_line_named(data: bytes):
    starts = [0, *(at + 1 for at, byte in enumerate(data) if byte == 10)][:-1]
    for at in range(3, len(data), 1009):
        changed = bytearray(data)
        changed[at] ^= 1
        line = sum(start <= at for start in starts)
        with pytest.raises(Bad) as found:
            check(bytes(changed))
        assert found.value.line in (line, line + 1), (at, found.value)


@pytest.mark.parametrize("how", ["taken out", "twice", "swapped", "added", "other index", "other key"])
def test_lines_that_were_moved_are_refused(data: bytes, how: str):
    lines = data.splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if line.startswith(b'{"i":')) + 1
    if how == "taken out":
        changed = [*lines[:at], *lines[at + 1 :]]
    elif how == "twice":
        changed = [*lines[: at + 1], lines[at], *lines[at + 1 :]]
    elif how == "swapped":
        changed = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
    elif how == "added":
        changed = [*lines, lines[-1]]
    else:
        value = json.loads(lines[at])
        value |= {"i": value["i"] + 1} if how == "other index" else {"rk": "A" * 43}
        changed = [
            *lines[:at],
            json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n",
            *lines[at + 1 :],
        ]
    with pytest.raises(Bad) as found:
        check(b"".join(changed))
    expected = len(lines) + 1 if how == "added" else at + (2 if how == "twice" else 1)
    assert found.value.line == expected
    if how in ("other index", "other key"):
        assert found.value.entry is not None


def test_who_writes_the_whole_file_anew_still_lacks_the_officers_key(data: bytes):
    """A chain that fits, over other contents: the end does not sign it."""
    from keys_tooling.audit.evidence import BEGIN, _next
    from schemas.canonical import b64, encode

    lines = data.splitlines(keepends=True)
    gone = next(n for n, line in enumerate(lines) if line.startswith(b'{"i":'))
    so_far, forged = BEGIN, []
    for line in [*lines[:gone], *lines[gone + 1 :]]:
        forged.append(encode({**json.loads(line), "p": b64(so_far)}) + b"\n")
        so_far = _next(so_far, forged[-1])
    with pytest.raises(Bad) as found:
        check(b"".join(forged))
    assert found.value.line == len(forged)


def test_another_partnership_is_not_the_one_that_was_meant(kept: Place, data: bytes, tmp_path: Path):
    other = World.found(tmp_path / "other", "Peacock").founded.partnership
    with pytest.raises(Bad, match="line 1"):
        check(data, other)
    assert check(data, kept.world.founded.partnership).entries == 5


@pytest.mark.parametrize(
    "other", [b"", b"\n", b"{}\n", b"not json\n", b"[1]\n", b'{"kind":"end"}\n', b"\xff\xfe\n", b'{"p":1}\n']
)
def test_any_bytes_give_a_refusal(other: bytes):
    with pytest.raises(Bad):
        check(other)


def test_a_missing_file_and_too_little_are_said():
    assert elsewhere("nowhere").exception is not None
    assert elsewhere().exit_code == 2
