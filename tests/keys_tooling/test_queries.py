"""Each of the thirty questions finds what it must and leaves out what it must not, in one partnership's real log."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from broker import logs
from keys_tooling.audit import query
from keys_tooling.audit.mirror_file import open_mirror
from keys_tooling.audit.queries.catalogue import BY_NAME, QUESTIONS
from keys_tooling.audit.queries.question import Answer, read_time, when
from schemas.audit import Event, Leaf
from schemas.canonical import b64
from schemas.errors import Refusal
from tests.keys_tooling.queried_world import CASE, DAY, HOUR, Story


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    logs.configure("error")
    return Story.told(tmp_path_factory.mktemp("story"))


def extract(story: Story, folder: Path, party: str = "Peacock", **changes: Any) -> str:
    """A file as an agent writes it."""
    said = {
        "v": 1, "agency": story.world.parties[party].id, "made": story.world.now, "subject": CASE, "sent": [],
        "received": [], "looked": [], "tellings": [], "conflict_denials": None, **changes,
    }  # fmt: skip
    path = folder / "extract.json"
    path.write_text(json.dumps(said))
    return str(path)


def test_there_are_thirty_and_each_has_a_name_of_its_own():
    assert [question.number for question in QUESTIONS] == list(range(1, 31))
    assert len(BY_NAME) == 30


def test_everything_that_happened_at_the_relay_is_in_the_log(story: Story):
    """What an entry can be, all but what has tests of its own: handovers, holds of records, deletions, losses."""
    story.asked("corrections", "oversight")
    found = {row.event for row in story.opened["oversight"][0]}
    apart = {
        Event.DELETED,
        Event.HANDOVER,
        Event.HOLD,
        Event.LIFT,
        Event.NONDISCLOSURE,
        Event.RESTORED,
        Event.TWO_AGENTS,
        Event.UNSEALED,
    }
    assert found == set(Event) - apart


def test_1_what_was_shared_about_one_person(story: Story, tmp_path: Path):
    local = extract(story, tmp_path, sent=[story.mids["agreed"]])
    found = story.asked("shares-about", local=local)
    assert (story.named(found), found.complete) == ({"agreed"}, True)
    missing = story.asked("shares-about", local=extract(story, tmp_path, sent=["A" * 21 + "A"]))
    assert (story.named(missing), missing.complete) == ({"agreed"}, False)  # by its reference alone
    late = story.asked("shares-about", local=local, since="2026-11-23")
    assert late.rows == ()


def test_2_what_was_received_about_one_person(story: Story, tmp_path: Path):
    local = extract(story, tmp_path, "IDVAS", received=[story.mids["agreed"]], subject=CASE)
    assert story.named(story.asked("received-about", "IDVAS", local=local)) == {"agreed"}
    with pytest.raises(Refusal, match="NOT_ALLOWED: This extract is of another agency"):
        story.asked("received-about", "Peacock", local=local)


def test_3_who_acknowledged_and_when(story: Story):
    [row] = story.asked("acknowledgements", message=story.mids["agreed"]).rows
    assert row[4:] == (
        "2026-11-22 00:00:00",
        "2026-11-22 00:00:00",
        "2026-11-22 00:00:00",
        "taken-on",
        "idva",
    )
    [never] = story.asked("acknowledgements", message=story.mids["child"]).rows
    assert never[7] == "expired queued"
    with pytest.raises(Refusal, match="NOT_FOUND"):
        story.asked("acknowledgements", message=story.mids["waiting"])


def test_4_what_was_sent_to_one_agency_in_a_window(story: Story):
    assert story.named(story.asked("sent-to", agency="Council")) == {"plain"}
    assert story.asked("sent-to", agency="Council", until="2026-11-22").rows == ()
    with pytest.raises(Refusal, match="UNKNOWN_AGENCY"):
        story.asked("sent-to", agency="Nobody")


def test_5_what_left_a_mailbox_or_was_under_a_key(story: Story):
    found = story.asked("left", desk="IDVAS/intake")
    assert story.named(found) == {"agreed", "onward", "before", "special", "lawful"}
    assert {row[1] for row in found.rows if row[2] == story.mids["onward"]} == {"sent"}
    header = story.sealed["plain"].upload.envelope.header
    assert story.named(story.asked("left", key=header.to[0].k)) == {"plain"}
    assert story.asked("left", desk="Council/intake", since="2026-12-25").rows == ()
    for slip, code in (
        ({"desk": "IDVAS/intaek"}, "UNKNOWN_DESK"),
        ({"key": "A" * 43}, "UNKNOWN_KEY"),
        ({}, "MISSING"),
    ):
        with pytest.raises(Refusal, match=code):
            story.asked("left", **slip)
    by = story.asked("left", key=header.signer)
    assert "onward" not in story.named(by)
    assert story.named(by) >= {"plain", "agreed", "emergency"}


def test_6_who_holds_data_from_a_message_onward_too(story: Story):
    found = story.asked("holders", message=story.mids["agreed"])
    assert [(row[0], row[3]) for row in found.rows] == [("IDVAS", "sent"), ("Peacock", "passed on by IDVAS")]
    passed = story.asked("holders", message=story.mids["before"])
    assert ("IDVAS", "says", "deleted") in [(row[0], row[3], row[4]) for row in passed.rows]
    assert ("Council", "IDVAS passed it on") in [(row[0], row[3]) for row in passed.rows]
    assert [row[4] for row in story.asked("holders", message=story.mids["child"]).rows] == ["did not get it"]
    with pytest.raises(Refusal, match="NOT_FOUND"):
        story.asked("holders", message=story.mids["waiting"])


def test_7_what_went_without_agreement(story: Story):
    found = story.named(story.asked("without-agreement"))
    assert found >= {"overridden", "emergency", "unsafe", "special", "lawful"}
    assert not found & {"agreed", "child", "onward", "before", "plain", "waiting"}
    assert story.named(story.asked("without-agreement", why="F")) == {"emergency", "signed emergency"}


def test_8_overrides_after_a_no(story: Story):
    found = story.asked("overrides-after-refusal")
    assert story.named(found) == {"overridden", "emergency", "signed emergency"}
    by = {row[4]: row[:3] for row in found.rows}
    assert by[story.mids["overridden"]] == (
        "lead-2 at Peacock",
        "author-1 at Peacock",
        "Because of what happened.",
    )
    assert by[story.mids["emergency"]][0] == "nobody"


def test_9_break_glass_that_nobody_signed_for_in_time(story: Story):
    found = story.named(story.asked("unsigned-emergencies"))
    assert "emergency" in found
    assert not found & {"signed emergency", "overridden", "agreed"}
    young = story.asked("unsigned-emergencies", at=story.began + HOUR)
    assert young.rows == ()


def test_10_a_basis_outside_its_dates(story: Story):
    found = story.asked("out-of-dates")
    assert story.named(found) == {"outdated"}
    assert (found.rows[0][0], str(found.rows[0][1])[:5]) == ("basis 6f", "ended")
    assert story.asked("out-of-dates", basis="6d").rows == ()


def test_11_special_category_without_a_condition(story: Story):
    assert story.named(story.asked("special-without-condition")) == {"special"}


def test_12_no_data_sharing_agreement(story: Story):
    found = story.asked("without-sharing-agreement")
    assert (story.named(found), found.complete) == ({"stranger"}, True)


def test_13_after_a_withdrawal(story: Story):
    found = story.asked("after-withdrawal")
    assert story.named(found) == {"after"}
    assert found.rows[0][2] == "same case"


def test_14_recalls_that_nobody_confirmed(story: Story):
    found = story.asked("recalls-unanswered")
    assert [(row[0], row[3]) for row in found.rows] == [(story.gids["ended"], "Council")]
    assert story.asked("recalls-unanswered", hours="10000").rows == ()


def test_15_unsafe_to_tell_and_not_looked_at(story: Story, tmp_path: Path):
    later = story.began + 100 * DAY
    found = story.asked("unsafe-to-tell", at=later)
    assert (story.named(found), found.complete) == ({"unsafe"}, False)
    assert story.asked("unsafe-to-tell", at=story.began + 80 * DAY).rows == ()
    for ts, safe, names in (
        (later - DAY, False, set()),
        (story.began, False, {"unsafe"}),
        (story.began, True, set()),
    ):
        looked = [{"mid": story.mids["unsafe"], "ts": ts, "safe": safe}]
        answer = story.asked("unsafe-to-tell", at=later, local=extract(story, tmp_path, looked=looked))
        assert (story.named(answer), answer.complete) == (names, True)


def test_16_blocked_attempts(story: Story):
    found = story.asked("blocked-attempts")
    [row] = found.rows
    assert (row[0], row[1], row[3]) == ("2026-11-22", "Peacock / intake", 5)
    assert story.asked("blocked-attempts", more_than="5").rows == ()
    # Who wrote them stands in the record that their sender sealed; its officers and oversight's open it.
    assert (row[2], found.complete) == ("worker", True)
    assert story.asked("blocked-attempts", "oversight").rows[0][2] == "worker"


def test_what_did_not_go_shows_its_author_and_does_not_link_entries(story: Story):
    """Its record is kept under the veil; from outside nothing tells which later entry is the same message's."""
    stayed = [
        row for row in story.desk().rows(Event.REFUSE, Event.HELD) if row.sender.agency == story.desk().agency
    ]
    assert stayed
    assert {row.author for row in stayed} == {"worker"}
    assert all(row.ref and not row.faults for row in stayed)
    with open_mirror(story.folder / "Peacock", write=False) as mirror:
        leaves = [Leaf.parse(entry.leaf).sender_record for entry in mirror.entries()]
    committed = {story.sealed[name].upload.envelope.header.ar for name in story.sealed}
    assert len(set(leaves)) == len(leaves)
    assert not {b64(leaves[row.seq]) for row in stayed} & committed


def test_17_work_at_odd_hours_and_by_others(story: Story, tmp_path: Path):
    found = story.asked("unusual-work")
    assert (story.named(found), found.complete) == ({"agreed"}, False)
    found = story.asked("unusual-work", "IDVAS")  # by the roster that it has put on record itself
    assert (story.named(found), "no roster" in found.reason) == ({"agreed", "special", "before"}, False)
    roster = tmp_path / "roster.json"
    for roles, names in ((["manager"], {"agreed", "special", "before"}), (["idva"], {"agreed"})):
        roster.write_text(json.dumps({"intake": roles}))
        assert story.named(story.asked("unusual-work", "IDVAS", roster=str(roster))) == names
    roster.write_text("[]")
    with pytest.raises(Refusal, match="FORM: A roster is JSON"):
        story.asked("unusual-work", roster=str(roster))


def test_18_a_key_that_opens_many_threads(story: Story):
    idvas = story.world.parties["IDVAS"].member.agent.msg.kid
    found = story.asked("busy-keys", more_than="2")
    assert [(row[0], row[1], row[3]) for row in found.rows] == [("2026-11-23", idvas, 3)]
    assert story.asked("busy-keys").rows == ()


def test_19_conflict_denials_are_the_agencys_to_count(story: Story, tmp_path: Path):
    nothing = story.asked("conflict-denials")
    assert (nothing.rows, nothing.complete) == ((), False)
    unknown = story.asked("conflict-denials", local=extract(story, tmp_path))
    assert (unknown.rows, unknown.complete) == ((), False)
    counted = story.asked("conflict-denials", local=extract(story, tmp_path, conflict_denials=3))
    assert ([row[2] for row in counted.rows], counted.complete) == ([3], True)


def test_20_how_timely_reds_were(story: Story):
    found = {row[0]: row[1:7] for row in story.asked("timeliness", "oversight").rows}
    assert found["IDVAS"] == (
        7,
        0,
        2,
        0,
        0,
        5,
    )  # special and lawful were taken up on Monday, the others ran out
    assert found["Police"] == (1, 0, 0, 0, 0, 1)
    early = {row[0]: row[1:7] for row in story.asked("timeliness", "oversight", colour="AMBER").rows}
    assert early["Council"] == (1, 1, 0, 0, 0, 0)


def test_21_more_than_the_forms_minimum(story: Story):
    """Every referral says what is asked for; not every one says something of health."""
    found = story.asked("beyond-minimum")
    rows = [(row[0], row[2], row[3], row[5]) for row in found.rows]
    assert rows == [
        ("Peacock", "health", 1, "beyond the form's minimum"),
        ("Peacock / intake", "", 1, "given back as over-shared"),
    ]
    assert not found.complete
    assert [row[2] for row in story.asked("beyond-minimum", until="2026-11-22").rows] == ["health"]


def test_22_police_requests_with_and_without_notice(story: Story):
    found = story.asked("police-requests")
    notice = {row[1]: row[3] for row in found.rows}
    assert notice == {story.mids["noticed"]: "given", story.mids["unnoticed"]: "not given"}
    assert story.asked("police-requests", "IDVAS").rows == ()


def test_23_what_officers_did(story: Story):
    """That she copied the log is in the log by the time of the next officer's pull."""
    found = story.asked("officers-acts", "oversight")
    acts = [(str(row[1]).rpartition(" at ")[2], row[2]) for row in found.rows]
    assert acts == [("Peacock", "copied sealed records"), ("IDVAS", "copied sealed records")]
    assert story.asked("officers-acts", "Peacock").rows == ()


def test_24_which_policy_was_in_force(story: Story):
    def version(**given: str) -> list[Any]:
        return [row[1] for row in story.asked("in-force", **given).rows if row[0] == "policy"]

    assert version() == [2]
    assert version(when="2026-11-22") == [1]
    assert version(when="2026-11-23T11:00") == [2]


def test_25_what_is_gone_and_by_which_entry(story: Story):
    found = {str(row[1]): row[3] for row in story.asked("deleted").rows}
    assert found[story.mids["agreed"]] == "gone from the relay"
    early = story.asked("deleted", at=story.began)
    assert {row[3] for row in early.rows} == {"gone from the relay"}
    assert story.mids["waiting"] not in found


def test_26_who_turns_18_is_not_in_the_log(story: Story):
    found = story.asked("turning-18")
    assert ([row[0] for row in found.rows], found.complete) == ([story.gids["kept"]], False)
    assert "Birthdays" in found.reason
    assert story.asked("turning-18", at=story.began + 100 * DAY).rows == ()


def test_27_what_was_given_back_and_why(story: Story):
    assert story.asked("corrections").rows == (("given back", "over-shared", "Peacock", 1),)
    assert story.asked("corrections", until="2026-11-22").rows == ()


def test_28_gaps(story: Story, tmp_path: Path):
    import shutil
    import sqlite3
    from dataclasses import replace

    assert story.asked("gaps").rows == ()
    shutil.copytree(story.folder / "Peacock", tmp_path / "Peacock")
    with sqlite3.connect(tmp_path / "Peacock" / "mirror.db") as database:
        database.execute("DELETE FROM entry WHERE i = 5")
    database.close()
    assert [row[0] for row in replace(story, folder=tmp_path, opened={}).asked("gaps").rows] == ["entry 5"]


def test_29_what_the_person_was_told(story: Story, tmp_path: Path):
    without = story.asked("told-the-person")
    assert {"agreed", "unsafe"} <= story.named(without)
    tellings = [{"ts": story.began + HOUR, "role": "idva", "shown": 2}]
    local = extract(story, tmp_path, sent=[story.mids["agreed"]], tellings=tellings)
    found = story.asked("told-the-person", local=local)
    assert [(row[1], row[2]) for row in found.rows] == [("message", "YES"), ("statement made", "2 messages")]


def test_30_who_people_are_is_not_in_the_log(story: Story):
    found = story.asked("demographic-gap")
    assert (found.rows, found.complete) == ((), False)
    assert "on purpose" in found.reason


def test_what_cannot_be_read_is_said_and_what_was_wrongly_decided_is_counted(story: Story, tmp_path: Path):
    """A breach must not be hidden by a fault of the relay's."""
    import shutil
    import sqlite3
    from dataclasses import replace

    shutil.copytree(story.folder / "Peacock", tmp_path / "Peacock")
    changed = replace(story, folder=tmp_path, opened={})
    assert changed.asked("sent-to", agency="Council").complete
    with sqlite3.connect(tmp_path / "Peacock" / "mirror.db") as database:
        database.execute("UPDATE entry SET relay = (SELECT relay FROM entry WHERE i = 1) WHERE i = 2")
        database.execute("UPDATE policy SET text = x'00'")
    database.close()
    (tmp_path / "Peacock" / "opened.db").unlink()
    changed.opened.clear()
    found = changed.asked("sent-to", agency="Council")
    assert (changed.named(found), found.complete) == ({"plain"}, False)
    assert found.reason.startswith("1 entries are left out")
    unread = changed.asked("out-of-dates")
    assert (unread.rows, unread.complete) == ((), False)


# --- who sees what, and in which form


def test_an_officer_is_answered_from_her_own_entries_alone(story: Story):
    everybody = story.named(story.asked("acknowledgements", "oversight"))
    assert story.named(story.asked("acknowledgements", "IDVAS")) == everybody - {
        "plain",
        "noticed",
        "unnoticed",
        "stranger",
    }


def test_an_answer_as_json_csv_and_text_says_whether_it_is_whole(story: Story):
    question, answer = BY_NAME["turning-18"], story.asked("turning-18")
    said = json.loads(query.as_json(question, answer))
    assert (said["number"], said["complete"], said["count"]) == (26, False, 1)
    assert said["rows"][0]["agreement"] == story.gids["kept"]
    lines = list(csv.reader(io.StringIO(query.as_csv(answer))))
    assert (len(lines), lines[-1][0][:13]) == (3, "NOT COMPLETE:")
    assert "NOT COMPLETE. Birthdays" in query.as_text(question, answer, 120)


def test_what_somebody_wrote_comes_out_inert():
    hostile = '=HYPERLINK("http://x")\x1b[2J\u202e<b>'
    answer = Answer(("reason",), ((hostile,),))
    question = BY_NAME["corrections"]
    assert "\x1b" not in query.as_text(question, answer, 120) + query.as_csv(answer) + query.as_json(
        question, answer
    )
    assert list(csv.reader(io.StringIO(query.as_csv(answer))))[1][0].startswith("'=HYPERLINK")


@pytest.mark.parametrize(
    ("text", "end", "said"),
    [("2026-11-22", False, "2026-11-22 00:00:00"), ("2026-11-22", True, "2026-11-23 00:00:00"),
     ("2026-11-22T09:30", True, "2026-11-22 09:30:00"), ("2026-11-22T09:30:01Z", False, "2026-11-22 09:30:01"), ("1795305600", False, "2026-11-22 00:00:00")],
)  # fmt: skip
def test_times_are_read_as_they_are_meant(text: str, end: bool, said: str):
    assert when(read_time(text, end=end)) == said


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "22.11.2026", "2026-11-22T09:30+01:00", "1" * 13, "20261122", "0"]
)
def test_other_times_are_refused(text: str):
    with pytest.raises(Refusal, match="BAD_VALUE"):
        read_time(text)
