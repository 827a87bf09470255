"""fenpost-keys policy with a real relay: drafted, checked, signed by two, put in force, brought back; or refused."""

import json
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.envelope import Header
from schemas.errors import Refusal
from schemas.facts import Facts
from schemas.keyfile import QUICK, lock
from schemas.policing import LATE, SignedPolicy, policy_digest, spoken
from schemas.recorded import print_facts
from tests.keys_tooling.policy_place import done, edit, made, put, refused, run, served, told, write_secret
from tests.policy_world import BLIND, next_policy, signed, text_of
from tests.simulated_world import PASSPHRASE, World

DAY = 24 * 3600


@pytest.fixture
def world(tmp_path: Path) -> World:
    return made(tmp_path)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A partnership with its relay up, for tests that change nothing of it."""
    found = made(tmp_path_factory.mktemp("still"))
    with served(found):
        yield found


# --- the whole way


def test_two_people_put_the_next_policy_in_force_and_bring_the_old_one_back(world: World):
    with served(world):
        assert told(world, "show", "--dir", "P")["in_force"]["version"] == 1
        done(world, "new", "--dir", "P", "--from", "1", "--effective", "now", "--out", "draft.json")
        edit(world, "draft.json", **BLIND)
        checked = told(world, "check", "draft.json", "--dir", "P")
        assert (checked["version"], checked["against"], checked["missing_signatures"]) == (2, 1, 2)
        assert checked["changes"] == ["No longer there: data-sharing agreement founding."]
        once = told(world, "sign", "draft.json", "--key", "policy-1.fpk", "--out", "once.json")
        assert (once["person"], once["missing_signatures"]) == ("policy-1", 1)
        twice = told(world, "sign", "once.json", "--key", "policy-2.fpk", "--out", "signed.json")
        assert (twice["person"], twice["missing_signatures"]) == ("policy-2", 0)
        assert once["digest"] == twice["digest"] == checked["digest"]
        assert told(world, "check", "signed.json", "--dir", "P")["signers"] == ["policy-1", "policy-2"]
        dry = told(world, "apply", "signed.json", "--partnership-dir", "P", "--dry-run")
        assert (dry["version"], dry["applied"]) == (2, False)
        applied = told(world, "apply", "signed.json", "--partnership-dir", "P", "--yes")
        assert (applied["version"], applied["was_on_record"]) == (2, False)
        again = told(world, "apply", "signed.json", "--partnership-dir", "P", "--yes")
        assert again["was_on_record"] is True

        back = told(world, "rollback", "1", "--dir", "P", "--out", "back.json")
        assert (back["version"], back["effective"]) == (3, world.now)
        assert told(world, "check", "back.json", "--dir", "P")["changes"] == [
            "New data-sharing agreement: founding."
        ]
        done(world, "sign", "back.json", "--key", "policy-2.fpk", "--out", "back-1.json")
        done(world, "sign", "back-1.json", "--key", "policy-1.fpk", "--out", "back-2.json")
        done(world, "apply", "back-2.json", "--partnership-dir", "P", "--yes")
        shown = told(world, "show", "--dir", "P")
        assert [entry["version"] for entry in shown["history"]] == [1, 2, 3]
        assert shown["in_force"]["version"] == 3
        assert shown["history"][2]["signers"] == ["policy-2", "policy-1"]


def test_a_policy_to_come_is_shown_as_such(world: World):
    with served(world):
        put(world, "signed.json", next_policy(world, effective=world.now + DAY))
        done(world, "apply", "signed.json", "--partnership-dir", "P", "--yes")
        shown = told(world, "show", "--dir", "P")
        assert (shown["in_force"]["version"], [entry["version"] for entry in shown["coming"]]) == (1, [2])
        text = done(world, "show", "--dir", "P").output
        assert "To come        version 2, from 2026-11-23 00:00 UTC" in text
        world.clock.advance(DAY)
        assert told(world, "show", "--dir", "P")["in_force"]["version"] == 2


def test_any_agency_may_look_and_check(world: World):
    folder, agent = world.folder / "P", world.parties["Peacock"].member.agent
    (folder / "agent.fpk").unlink()
    write_secret(
        folder / "agent.fpk", lock(agent.to_json(), agent.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes)
    )
    put(world, "signed.json", next_policy(world))
    with served(world):
        assert told(world, "show", "--dir", "P")["in_force"]["version"] == 1
        assert told(world, "check", "signed.json", "--dir", "P")["signers"] == ["policy-1", "policy-2"]
        assert refused(world, "apply", "signed.json", "--partnership-dir", "P", "--yes") == "KEYFILE"


def test_a_draft_begins_in_a_week_unless_somebody_says_otherwise(world: World):
    with served(world):
        assert (
            told(world, "new", "--dir", "P", "--from", "1", "--out", "a.json")["effective"]
            == world.now + 7 * DAY
        )
        at = told(
            world,
            "new",
            "--dir",
            "P",
            "--from",
            "1",
            "--effective",
            "2027-01-04T09:00+01:00",
            "--out",
            "b.json",
        )
        assert at["effective"] == 1_799_049_600
        draft = json.loads((world.folder / "b.json").read_text())
        assert (draft["version"], draft["effective"]) == (2, 1_799_049_600)
        from_file = told(world, "new", "--dir", "P", "--from", "b.json", "--out", "c.json")
        assert from_file["version"] == 2


def test_the_digest_is_read_aloud_in_groups(world: World):
    put(world, "draft.json", SignedPolicy(text_of(world, 2)))
    out = done(world, "sign", "draft.json", "--key", "policy-1.fpk", "--out", "once.json").output
    assert f"Digest         {' '.join(spoken(policy_digest(text_of(world, 2))))}\n" in out


# --- refused


def test_nothing_is_overwritten(world: World):
    put(world, "draft.json", SignedPolicy(text_of(world, 2)))
    put(world, "there.json", SignedPolicy(text_of(world, 2)))
    before = (world.folder / "there.json").read_bytes()
    with served(world):
        assert (
            refused(world, "sign", "draft.json", "--key", "policy-1.fpk", "--out", "there.json") == "EXISTS"
        )
        assert refused(world, "new", "--dir", "P", "--from", "1", "--out", "there.json") == "EXISTS"
        assert refused(world, "rollback", "1", "--dir", "P", "--out", "there.json") == "EXISTS"
    assert (world.folder / "there.json").read_bytes() == before


def test_one_person_does_not_sign_twice(world: World):
    put(world, "draft.json", SignedPolicy(text_of(world, 2)))
    done(world, "sign", "draft.json", "--key", "policy-1.fpk", "--out", "once.json")
    assert (
        refused(world, "sign", "once.json", "--key", "policy-1.fpk", "--out", "two.json")
        == "POLICY_SAME_PERSON"
    )
    assert not (world.folder / "two.json").exists()


APPLIED = [
    ("one signature", "POLICY_SIGNERS", lambda w: signed(text_of(w, 2), w.founded.signers[0].key)),
    ("no signature", "POLICY_SIGNERS", lambda w: SignedPolicy(text_of(w, 2))),
    ("older", "POLICY_OLDER", lambda w: next_policy(w, version=1)),
    ("a gap", "POLICY_GAP", lambda w: next_policy(w, version=3)),
    ("in the past", "POLICY_PAST", lambda w: next_policy(w, effective=w.now - LATE - 1)),
    ("changed", "SIGNATURE", lambda w: SignedPolicy(text_of(w, 2, name="B"), next_policy(w).sigs)),
    ("a stranger's", "UNKNOWN_KEY", lambda w: signed(text_of(w, 2), w.founded.signers[0].key, w.founded.relay.log)),
    ("no policy", "FORM", lambda w: next_policy(w, more=1)),
    ("not holding together", "POLICY_FAULT", lambda w: next_policy(w, agreements=[NOWHERE])),
]  # fmt: skip
NOWHERE = {"id": "x", "parties": ["*"], "purposes": ["NOWHERE"], "from": None, "to": None}


@pytest.mark.parametrize(("what", "code", "make"), APPLIED, ids=[row[0] for row in APPLIED])
def test_nothing_is_posted_that_the_relay_would_refuse(still: World, what: str, code: str, make):
    put(still, "signed.json", make(still))
    assert refused(still, "apply", "signed.json", "--partnership-dir", "P", "--yes") == code
    assert len(told(still, "show", "--dir", "P")["history"]) == 1
    if code != "POLICY_SIGNERS":
        assert refused(still, "check", "signed.json", "--dir", "P") == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"[]", "FORM"),
        (b"{}", "FORM"),
        (b"{", "FORM"),
        (b'{"policy":"{}","sigs":[]}', "FORM"),
        (b"\xff", "FORM"),
    ],
)
def test_what_is_no_policy_is_refused_before_anything_is_asked(still: World, data: bytes, code: str):
    (still.folder / "draft.json").write_bytes(data)
    assert refused(still, "check", "draft.json", "--dir", "P") == code
    assert refused(still, "sign", "draft.json", "--key", "policy-1.fpk", "--out", "once.json") == code
    assert refused(still, "apply", "draft.json", "--partnership-dir", "P", "--yes") == code


def test_without_a_terminal_nothing_is_put_in_force_unasked(world: World):
    put(world, "signed.json", next_policy(world))
    with served(world):
        result = run(world, "apply", "signed.json", "--partnership-dir", "P")
        assert result.exit_code == 2
        assert "Signed by      policy-1, policy-2" in result.output
        assert len(told(world, "show", "--dir", "P")["history"]) == 1


def test_a_key_file_of_another_kind_does_not_sign(world: World):
    put(world, "draft.json", SignedPolicy(text_of(world, 2)))
    assert refused(world, "sign", "draft.json", "--key", "admin.fpk", "--out", "once.json") == "KEYFILE"


def test_a_version_that_is_not_there_is_not_brought_back(world: World):
    with served(world):
        assert refused(world, "rollback", "7", "--dir", "P", "--out", "back.json") == "NOT_FOUND"
        assert refused(world, "new", "--dir", "P", "--from", "nowhere.json", "--out", "a.json") == "FILE"


@pytest.mark.parametrize("when", ["tomorrow", "2027-01-04T09:00", "9999-99-99T00:00Z"])
def test_a_moment_without_its_zone_is_no_moment(still: World, when: str):
    result = run(still, "new", "--dir", "P", "--from", "1", "--effective", when, "--out", "a.json")
    assert result.exit_code == 2


def test_a_relay_that_is_away_is_said_to_be_away(world: World):
    assert refused(world, "show", "--dir", "P") == "RELAY_AWAY"


def test_a_relay_that_lost_the_text_takes_it_again(world: World):
    put(world, "signed.json", next_policy(world))
    with served(world):
        done(world, "apply", "signed.json", "--partnership-dir", "P", "--yes")
    with sqlite3.connect(world.folder / "relay" / "relay.db") as database:
        database.execute("DELETE FROM policies")
    database.close()
    with served(world):
        assert refused(world, "new", "--dir", "P", "--from", "2", "--out", "a.json") == "NOT_FOUND"
        assert told(world, "apply", "signed.json", "--partnership-dir", "P", "--yes")["was_on_record"] is True
        done(world, "new", "--dir", "P", "--from", "2", "--out", "a.json")


# --- dry-run


def known(world: World, header: Header) -> dict:
    """What a relay's record says that it knew, but that the agreement does not cover the message."""
    party = world.directory.party(header.sender.a)
    return print_facts(Facts(header, "outside", party, (party,), None, world.now))


def test_past_headers_are_decided_under_both_and_only_counted(world: World):
    grant = world.grant("Peacock", "IDVAS")
    status = world.status("Peacock", grant)
    nobody = world.seal("Peacock", "IDVAS").upload.envelope.header
    agreed = world.seal("Peacock", "IDVAS", grant=grant, status=status).upload.envelope.header
    rows = [json.loads(one.model_dump_json(by_alias=True)) for one in (nobody, agreed, agreed)]
    lines = [
        json.dumps(rows[0]),
        json.dumps(rows[1]),
        json.dumps({"header": rows[2], "ts": world.now, "known": known(world, agreed)}),
        "",
    ]
    (world.folder / "past.jsonl").write_text("\n".join(lines) + "\n")
    put(world, "draft.json", SignedPolicy(text_of(world, 2, **BLIND)))
    with served(world):
        said = told(world, "dry-run", "draft.json", "--headers", "past.jsonl", "--dir", "P")
        text = done(world, "dry-run", "draft.json", "--headers", "past.jsonl", "--dir", "P").output
    assert (said["tried"], said["against"], said["version"]) == (3, 1, 2)
    assert said["otherwise"] >= 1
    assert {"code": "NO_AGREEMENT", "outcome": "refused", "rows": [4]} in [
        row["to"] for row in said["changes"]
    ]
    assert "delivered (row 7) → refused NO_AGREEMENT (row 4)" in text
    for name in ("Peacock", "IDVAS", world.parties["Peacock"].id, agreed.mid, agreed.thr):
        assert name not in text
        assert name not in json.dumps(said)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", "FORM"),
        ("[]", "FORM"),
        ('{"header":{},"ts":1,"known":{}}', "VERSION"),
        ('{"header":{"v":1},"ts":1}', "FORM"),
        ('{"v":1}', "FORM"),
    ],
)
def test_a_line_that_is_no_header_is_named_by_its_number(still: World, line: str, code: str):
    (still.folder / "past.jsonl").write_text(f"\n{line}\n")
    put(still, "draft.json", SignedPolicy(text_of(still, 2)))
    result = run(still, "dry-run", "draft.json", "--headers", "past.jsonl", "--dir", "P")
    assert isinstance(result.exception, Refusal)
    assert (result.exception.code, result.exception.detail) == (code, ("line 2",))


def test_headers_of_an_agency_that_left_are_passed_over_and_counted(world: World):
    header = json.loads(world.seal("Peacock", "IDVAS").upload.envelope.header.model_dump_json(by_alias=True))
    header["to"][0]["a"] = "ag1" + "a" * 32
    (world.folder / "past.jsonl").write_text(json.dumps(header) + "\n")
    put(world, "draft.json", SignedPolicy(text_of(world, 2)))
    with served(world):
        said = told(world, "dry-run", "draft.json", "--headers", "past.jsonl", "--dir", "P")
    assert (said["tried"], said["passed_over"], said["otherwise"]) == (0, 1, 0)
