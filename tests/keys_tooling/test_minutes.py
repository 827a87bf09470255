"""Ceremonies: each step is read and answered for, and the minutes prove who was there and which keys it was about."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from keys_tooling import agenda
from keys_tooling.console import World
from keys_tooling.keys_main import keys
from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.signing import Purpose, sign
from tests.keys_tooling.test_key_ceremonies import (
    NOW,
    audit,
    done,
    files,
    founding,
    joining,
    quick,
    refused,
    typed,
    write_passphrase,
)

NAMES = ("chair", "lead-1", "Ann B.")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An agency, a lead with a key and a card, and the minutes of a founding that the lead signed too."""
    root = tmp_path_factory.mktemp("ceremony")
    write_passphrase(root / "pass")
    for who in ("ig-oversight", "ig-peacock"):
        done(audit, "init", "--dir", root / who, *quick(root))
    done(keys, *founding(root, root / "P"), *quick(root))
    done(keys, *joining(root, root / "A"), *quick(root))
    agency = json.loads((root / "A/enrolment.json").read_text())["enrolment"]["t"]
    made = (
        "role",
        "new",
        "--role",
        "lead",
        "--person",
        "1",
        "--agency",
        json.loads(agency)["agency"],
        "--dir",
        root / "lead",
    )
    done(keys, *made, "--passphrase-file", root / "pass")
    assert held(root, "m.json", *with_roots(root)).exit_code == 0
    signing = ("--key", root / "lead/lead-1.fpk", "--as", "lead-1", "--out", root / "signed.json")
    done(keys, "ceremony", "sign", root / "m.json", *signing, "--passphrase-file", root / "pass")
    return root


def with_roots(root: Path) -> tuple[str | Path, ...]:
    return ("--roots", root / "A/roots.fpk", "--roots", root / "A/next-roots.fpk")


def answers(kind: str = "founding") -> str:
    return "".join(f"{NAMES[at % 3]}: step {at}\n" for at, _ in enumerate(agenda.steps(kind)))


def held(
    root: Path, out: str, *more: str | Path, names: tuple[str, ...] = NAMES, text: str | None = None
) -> Result:
    present = [word for name in names for word in ("--present", name)]
    words = ["ceremony", "run", "--kind", "founding", "--dir", root / "A", *present, "--out", root / out]
    words += ["--card", "lead-1", root / "lead/lead-1.json", "--passphrase-file", root / "pass", *more]
    ticks = iter(range(NOW, NOW + 10_000, 60))
    world = World(lambda: next(ticks), bytes)
    return CliRunner().invoke(
        keys, [str(word) for word in words], obj=world, input=answers() if text is None else text
    )


def told(root: Path, name: str) -> dict:
    return json.loads(done(keys, "ceremony", "verify", root / name, "--json").stdout)


def test_every_step_is_read_aloud_and_recorded_with_who_and_when(place: Path):
    said = held(place, "again.json").output
    for step in agenda.steps("founding"):
        assert step in said
    minutes = told(place, "again.json")["minutes"]
    assert [step["say"] for step in minutes["steps"]] == list(agenda.steps("founding"))
    assert [step["by"] for step in minutes["steps"]] == [
        NAMES[at % 3] for at, _ in enumerate(minutes["steps"])
    ]
    assert [step["note"] for step in minutes["steps"]][:2] == ["step 0", "step 1"]
    times = [step["at"] for step in minutes["steps"]]
    assert minutes["began"] < times[0] < times[-1] < minutes["ended"]
    assert times == sorted(set(times))


def test_the_ids_of_the_roots_are_in_the_minutes_and_no_secret_is(place: Path):
    from tests.keys_tooling.test_key_ceremonies import seeds

    kids = {row["what"]: row["kid"] for row in told(place, "m.json")["minutes"]["keys"]}
    inception = json.loads(json.loads((place / "A/enrolment.json").read_text())["statements"][0]["t"])["body"]
    assert {kids[f"next-roots {at}"] for at in (1, 2, 3)} == set(inception["next_roots"])
    text = (place / "m.json").read_text()
    assert not [
        seed for name in ("roots", "next-roots") for seed in seeds(place / f"A/{name}.fpk") if seed in text
    ]


def test_who_was_there_with_a_key_signs_and_who_had_none_signs_by_hand(place: Path):
    assert told(place, "m.json")["unsigned"] == ["lead-1"]
    assert told(place, "signed.json")["unsigned"] == []
    page = done(
        keys, "ceremony", "verify", place / "signed.json", "--enrolment", place / "A/enrolment.json"
    ).stdout
    assert "Ann B.: no key   by hand: ____" in page
    assert "Every signature holds. Everybody who has a key has signed." in page


def test_a_ceremony_that_is_broken_off_leaves_no_minutes(place: Path):
    result = held(place, "broken.json", text="chair\nlead-1\n")
    assert result.exit_code == 1
    assert not (place / "broken.json").exists()


def test_somebody_who_is_not_there_cannot_have_done_a_step(place: Path):
    result = held(place, "strange.json", text="Mallory\n" + answers())
    assert result.exit_code == 0
    assert "Nobody of that name is here" in result.output
    assert "Mallory" not in (place / "strange.json").read_text()


@pytest.mark.parametrize(
    ("names", "more", "code"),
    [
        (("chair", "lead-1"), ("--need", "3"), "MINUTES"),
        (("chair", "lead-1", "lead-1"), (), "MINUTES"),
        (("chair", "lead-1", "op"), (), "MINUTES"),
    ],
    ids=["too few", "one twice", "the name of the operational key"],
)
def test_who_is_there_is_counted_before_anything_is_begun(place: Path, names: tuple, more: tuple, code: str):
    before = files(place)
    result = held(place, "x.json", *more, names=names)
    assert isinstance(result.exception, Refusal)
    assert result.exception.code == code
    assert files(place) == before


def test_signing_as_somebody_else_twice_or_with_another_key_is_refused(place: Path):
    words = (
        "ceremony",
        "sign",
        place / "signed.json",
        "--passphrase-file",
        place / "pass",
        "--out",
        place / "x.json",
    )
    own = ("--key", place / "lead/lead-1.fpk")
    assert "signed these minutes already" in refused(keys, *words, *own, "--as", "lead-1").say
    assert "Nobody of that name" in refused(keys, *words, *own, "--as", "chair").say
    assert (
        "Nobody of that name"
        in refused(keys, *words, "--key", place / "P/policy-1.fpk", "--as", "lead-1").say
    )
    assert refused(keys, *words, "--key", place / "A/admin.fpk", "--as", "lead-1").code == "KEYFILE"


def rewritten(change: Callable[[dict], None]) -> Callable[[dict], dict]:
    def spoil(value: dict) -> dict:
        minutes = json.loads(value["text"])
        change(minutes)
        text = json.dumps(minutes, sort_keys=True, separators=(",", ":"))
        return {**value, "text": text}

    return spoil


def forged(value: dict) -> dict:
    """Rewritten, and signed anew by somebody with another key, under the old one's name."""
    key = SigningKey(bytes(32))
    spoilt = rewritten(lambda minutes: minutes.update(ended=minutes["ended"] + 1))(value)
    signature = b64(sign(key, Purpose.MINUTES, spoilt["text"].encode()))
    return {**spoilt, "signatures": [{"as": "op", "by": key.kid, "s": signature}]}


SPOILT = {
    "a time": rewritten(lambda minutes: minutes["steps"][0].update(at=1)),
    "who did it": rewritten(lambda minutes: minutes["steps"][0].update(by="chair: x")),
    "a step less": rewritten(lambda minutes: minutes["steps"].pop()),
    "a key's id": rewritten(lambda minutes: minutes["keys"].reverse()),
    "somebody more": rewritten(lambda minutes: minutes["present"].append({"name": "Eve", "pub": None})),
    "another spelling": lambda value: {**value, "text": value["text"].replace(",", ", ", 1)},
    "no signature": lambda value: {**value, "signatures": []},
    "without the operational key's": lambda value: {**value, "signatures": value["signatures"][1:]},
    "one signature twice": lambda value: {**value, "signatures": value["signatures"] + value["signatures"][1:]},
    "signatures of each other": lambda value: {
        **value, "signatures": [{**one, "s": other["s"]} for one, other in zip(value["signatures"], value["signatures"][::-1], strict=True)],
    },
    "forged": forged,
    "no object": lambda value: [],
    "more fields": lambda value: {**value, "more": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_minutes_that_were_changed_are_refused(place: Path, tmp_path: Path, name: str):
    value = json.loads((place / "signed.json").read_text())
    (tmp_path / "m.json").write_text(json.dumps(SPOILT[name](value)))
    assert refused(keys, "ceremony", "verify", tmp_path / "m.json").code == "MINUTES"


def test_minutes_of_another_agency_do_not_pass_as_ones_own(place: Path, tmp_path: Path):
    done(keys, *joining(place, tmp_path / "B", **{"--name": "Bittern"}), *quick(place))
    refusal = refused(
        keys, "ceremony", "verify", place / "m.json", "--enrolment", tmp_path / "B/enrolment.json"
    )
    assert "another agency's operational key" in refusal.say


def test_every_kind_of_ceremony_begins_and_ends_alike():
    for kind in agenda.AGENDA:
        assert agenda.steps(kind)[:3] == agenda.OPENING
        assert agenda.steps(kind)[-2:] == agenda.CLOSING
        assert max(map(len, agenda.steps(kind))) <= 300
    assert typed(keys, "ceremony", "--help").exit_code == 0
