"""Two lists of one day, held against each other: what differs is named, to both sides alike (N1-N6)."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.messages.catalogue import parse_payload, print_payload
from schemas.messages.reconciliation import PART_LINES, PARTS, Reconcile
from schemas.reconciliation import (
    DAY,
    GRACE,
    NOTES,
    SETTLE,
    SPREAD,
    Account,
    Finding,
    Item,
    compare,
    complete,
    contradicts_itself,
    day_number,
    day_of,
    day_text,
    due,
    gaps,
    heard,
    tally,
    write,
)

US, THEM = "ag1" + "a" * 32, "ag1" + "b" * 32
TODAY = 20_779
NOON = TODAY * DAY + DAY // 2
NIGHT = (TODAY + 1) * DAY + SETTLE


def eid(number):
    return b64(number.to_bytes(32, "big"))


def item(number=1, state="collected", *, d="duty", ts=NOON, n=None, at=None, known=None):
    return Item(
        eid(number), d, ts, number if n is None else n, state, ts + 60 if at is None else at, known or ts
    )


def account(*, sent=(), got=(), made=NIGHT, unsent=(), missing=()):
    return Account(
        made, {i.key: i for i in sent}, {i.key: i for i in got}, frozenset(unsent), dict.fromkeys(missing, 0)
    )


def found(ours, theirs, day=TODAY):
    first = compare(US, THEM, day, ours, theirs)
    assert first == compare(THEM, US, day, theirs, ours), "both sides find the same"
    return [(f.kind, f.n) for f in first]


def test_two_lists_that_say_the_same_leave_nothing():
    same = item(1, "taken-on")
    assert found(account(sent=[same]), account(got=[same])) == []
    assert found(account(), account()) == []


DIFFER = [
    # (the sender's word, the recipient's word, what is found)
    ("queued", None, "not-seen"),
    ("collected", None, "not-kept"),
    ("taken-on", None, "not-kept"),
    ("withdrawn", None, None),
    ("expired", None, None),
    ("waiting", None, None),
    (None, "collected", "not-sent"),
    (None, "taken-on", "not-sent"),
    ("waiting", "opened", None),
    ("queued", "collected", "not-told"),
    ("queued", "taken-on", "not-told"),
    ("opened", "rejected", "not-told"),
    ("queued", "withdrawn", None),
    ("opened", "expired", None),
    ("collected", "opened", "open"),
    ("opened", "collected", "open"),
    ("taken-on", "opened", "not-kept"),
    ("rejected", "collected", "not-kept"),
    ("withdrawn", "opened", "ends"),
    ("expired", "collected", "ends"),
    ("taken-on", "taken-on", None),
    ("rejected", "rejected", None),
    ("taken-on", "rejected", "ends"),
    ("expired", "taken-on", "ends"),
    ("withdrawn", "expired", None),
]


@pytest.mark.parametrize(("sent", "got", "kind"), DIFFER)
def test_each_pair_of_words_says_what_it_says(sent, got, kind):
    ours = account(sent=[item(1, sent)] if sent else [])
    theirs = account(got=[item(1, got)] if got else [])
    expected = [] if kind is None else [(kind, 1)]
    assert found(ours, theirs) == expected


def test_open_and_late_are_named_and_are_no_difference():
    assert {Finding(kind, US).grave for kind in NOTES} == {False}
    assert Finding("not-seen", US).grave


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        # sealed or accepted just before the other side wrote
        (item(1, "queued", ts=NIGHT - GRACE + 1 - DAY, known=NIGHT - GRACE + 1), None),
        # received just before the sender wrote
        (None, item(1, "collected", known=NIGHT - GRACE + 1)),
        # a step just before the other side wrote
        (item(1, "queued"), item(1, "taken-on", at=NIGHT - GRACE + 1)),
        (item(1, "taken-on", at=NIGHT - GRACE + 1), item(1, "collected")),
        (item(1, "withdrawn", at=NIGHT + 3), item(1, "collected")),
        # a receipt that came after the recipient had written without the message
        (item(1, "collected", at=NIGHT + 3), None),
    ],
)
def test_what_is_younger_than_the_other_list_is_no_difference(sent, got):
    ours = account(sent=[] if sent is None else [sent])
    theirs = account(got=[] if got is None else [got])
    assert found(ours, theirs) == []


def test_what_was_seen_since_the_sender_wrote_is_open():
    young = item(1, "opened", at=NIGHT - GRACE + 1)
    assert found(account(sent=[item(1, "queued")]), account(got=[young])) == [("open", 1)]


@pytest.mark.parametrize("off", [-300, 300])
def test_clocks_five_minutes_off_make_no_difference(off):
    """The recipient signs its steps by a clock that is off, and writes by it."""
    sent = item(1, "taken-on", at=NOON + 90 + off)
    ours = account(sent=[sent, item(2, "queued", ts=NIGHT - SETTLE - 1, known=NIGHT - SETTLE + 200)])
    theirs = account(
        got=[
            dataclasses.replace(sent, known=NOON + 30 + off),
            item(2, "taken-on", ts=NIGHT - SETTLE - 1, at=NIGHT + off - 5),
        ],
        made=NIGHT + off,
    )
    assert found(ours, theirs) == []


def test_a_message_belongs_to_the_day_of_its_header_on_both_sides():
    late = item(1, "taken-on", ts=(TODAY + 1) * DAY - 1, at=(TODAY + 1) * DAY + 5)
    assert found(account(sent=[late]), account(), TODAY) == [("not-kept", 1)]
    assert found(account(sent=[late]), account(), TODAY + 1) == []
    assert day_of((TODAY + 1) * DAY - 1) == TODAY
    assert day_number(day_text(TODAY)) == TODAY


def test_a_message_to_two_desks_is_two_lines():
    ours = account(sent=[item(1, "taken-on"), item(1, "queued", d="lead")])
    theirs = account(got=[item(1, "taken-on")])
    (only,) = compare(US, THEM, TODAY, ours, theirs)
    assert (only.kind, only.d, only.sender) == ("not-seen", "lead", US)


def test_another_running_number_is_a_difference_and_an_unknown_one_is_not():
    assert found(account(sent=[item(1, "opened", n=4)]), account(got=[item(1, "opened", n=5)])) == [
        ("number", 5)
    ]
    assert found(account(sent=[item(1, "rejected", n=4)]), account(got=[item(1, "rejected", n=0)])) == []


def test_what_came_after_a_younger_one_is_named():
    sent = [item(n, "taken-on") for n in (1, 2, 3)]
    assert found(account(sent=sent), account(got=[sent[1], sent[0], sent[2]])) == [("late", 1)]


def test_a_missing_number_that_never_left_is_no_gap():
    theirs = account(missing=(4, 5, 6), got=[item(7)])
    ours = account(sent=[item(7), item(4, "queued")], unsent=(5,))
    (gap,) = gaps(US, THEM, ours, theirs)
    assert (gap.kind, gap.n, gap.sender) == ("gap", 6, US)
    assert gaps(THEM, US, theirs, ours) == (gap,)
    assert found(ours, theirs) == [("not-seen", 4), ("open", 7)]


def test_a_number_missed_a_moment_ago_is_no_gap_yet():
    ours = Account(NIGHT, missing={5: NIGHT - GRACE + 1})
    assert gaps(US, THEM, ours, account()) == ()


# --- writing and reading


def test_what_is_written_reads_back_and_adds_up():
    told = NIGHT - DAY
    mine = account(
        sent=[
            item(1, "taken-on"),
            item(2, "waiting"),
            item(3, "queued", ts=NOON - DAY),
            item(4, "taken-on", ts=NOON - DAY, at=told - 1),
            item(5, "taken-on", ts=NOON - DAY, at=told + 1),
        ],
        got=[item(6, "opened"), item(7, "rejected", n=0)],
        unsent=(8,),
        missing=(9,),
    )
    parts = write(TODAY, mine, told)
    assert parts == tuple(parse_payload(print_payload(part)) for part in parts)
    (part,) = parts
    assert [line.n for line in part.sent.lines] == [1], "what waits is never told"
    assert [line.n for line in part.sent.earlier] == [3, 5], "what ended was listed as ended before"
    assert [line.eid for line in part.got.lines] == [eid(6), eid(7)]
    assert (part.sent.unsent, part.got.missing) == ((8,), (9,))
    assert (part.sent.sent.count, part.sent.taken_on.count, part.got.collected.count) == (1, 1, 2)
    assert complete(parts)
    assert not contradicts_itself(parts)
    view = heard(parts)
    assert view.made == NIGHT
    assert {i.n for i in view.sent.values()} == {1, 3, 5}
    assert (view.unsent, view.missing) == (frozenset({8}), {9: 0})


def test_the_root_is_over_what_was_sent_and_not_over_its_order():
    forth, back = [item(1), item(2)], [item(2), item(1)]
    assert tally(forth, "queued") == tally(back, "queued")
    assert tally(forth, "queued") != tally([item(1), item(3)], "queued")
    assert tally([], "taken-on").count == 0


def test_a_busy_day_is_told_in_parts_that_each_fit_a_message():
    many = [item(n + 1, "opened", d="d" * 32) for n in range(2 * PART_LINES + 1)]
    parts = write(TODAY, account(sent=many, got=many), 0)
    assert len(parts) == 5
    assert all(len(print_payload(part)) <= 64 * 1024 for part in parts)
    assert complete(parts)
    assert not contradicts_itself(parts)
    assert not complete(parts[:-1])
    assert found(account(sent=many), account(got=list(heard(parts).got.values()))) == [
        ("open", n) for n in sorted(range(1, len(many) + 1), key=eid)
    ]


def test_a_day_beyond_all_bounds_is_cut_and_its_reader_can_tell():
    many = [item(n + 1, "opened") for n in range(PARTS * PART_LINES + 1)]
    parts = write(TODAY, account(sent=many), 0)
    assert len(parts) == PARTS
    assert complete(parts)
    assert contradicts_itself(parts)


def spoilt(part, **sent):
    return part.model_copy(update={"sent": part.sent.model_copy(update=sent)})


def test_a_list_that_does_not_add_up_contradicts_itself():
    (part,) = write(TODAY, account(sent=[item(1, "taken-on")]), 0)
    assert contradicts_itself((spoilt(part, taken_on=tally([], "taken-on")),))
    assert contradicts_itself((spoilt(part, lines=()),))
    stray = [item(1, "taken-on", ts=NOON - DAY)]
    (other,) = write(TODAY - 1, account(sent=stray), 0)
    assert contradicts_itself((other.model_copy(update={"day": day_text(TODAY)}),))
    assert contradicts_itself(write(TODAY, account(made=NIGHT - DAY), 0)), "the day was not over"
    first, *rest = write(TODAY, account(sent=[item(n, "opened") for n in range(1, PART_LINES + 9)]), 0)
    assert contradicts_itself((first.model_copy(update={"made": 5}), *rest))


@pytest.mark.parametrize(
    "change",
    [
        {"day": "2026-02-30"},
        {"day": "today"},
        {"made": -1},
        {"part": 0},
        {"parts": 17},
        {"note": "anything"},
        {"sent": None},
        {"v": 2},
        {"v": True},
    ],
)
def test_what_is_no_list_is_refused(change):
    (part,) = write(TODAY, account(), 0)
    with pytest.raises(Refusal):
        parse_payload(json.dumps(json.loads(print_payload(part)) | change))


def test_the_newest_word_about_an_earlier_day_counts():
    (first,) = write(TODAY, account(got=[item(1, "collected")]), 0)
    ended = account(got=[item(1, "taken-on", at=NIGHT + 60)], made=NIGHT + DAY)
    (second,) = write(TODAY + 1, ended, NIGHT)
    assert heard((second, first)).got[item(1).key].state == "taken-on"
    assert heard((first, second)).made == NIGHT + DAY


@given(st.integers(0, 40_000), st.text("ab", min_size=32, max_size=32))
def test_a_pair_writes_at_one_second_after_the_day_has_settled(day, other):
    at = due(US, "ag1" + other, day)
    assert at == due("ag1" + other, US, day)
    assert (day + 1) * DAY + SETTLE <= at < (day + 1) * DAY + SETTLE + SPREAD


# --- anything that two sides may say

STATES = ("queued", "collected", "opened", "taken-on", "rejected", "withdrawn", "expired", "waiting")
ITEMS = st.builds(
    item,
    st.integers(1, 5),
    st.sampled_from(STATES),
    d=st.sampled_from(("duty", "lead")),
    ts=st.sampled_from((NOON - DAY, NOON, NOON + DAY)),
    n=st.integers(0, 5),
    at=st.integers(NOON, NIGHT),
)
SIDES = st.builds(
    account,
    sent=st.lists(ITEMS, max_size=6),
    got=st.lists(ITEMS, max_size=6),
    unsent=st.lists(st.integers(1, 5)),
    missing=st.lists(st.integers(1, 5)),
)


@settings(deadline=None)
@given(SIDES, SIDES)
def test_both_sides_always_find_the_same(ours, theirs):
    found(ours, theirs)
    assert gaps(US, THEM, ours, theirs) == gaps(THEM, US, theirs, ours)


@settings(deadline=None)
@given(SIDES)
def test_every_list_reads_back_whole_and_adds_up(side):
    parts = write(TODAY, side, 0)
    assert complete(parts)
    assert not contradicts_itself(parts)
    assert all(isinstance(parse_payload(print_payload(part)), Reconcile) for part in parts)


@settings(deadline=None)
@given(st.lists(ITEMS, max_size=6))
def test_nothing_that_was_sent_is_ever_passed_over(sent):
    """Each line that the other side does not have is named, unless it ended for a reason that both can prove."""
    ours, theirs = account(sent=sent), account()
    named = {(f.eid, f.d) for f in compare(US, THEM, TODAY, ours, theirs)}
    old = NIGHT - GRACE
    owed = {
        i.key
        for i in ours.sent.values()
        if day_of(i.ts) == TODAY
        and i.state not in ("withdrawn", "expired", "waiting")
        and max(i.known, i.at) <= old
    }
    assert named == owed
