"""Where a person's agreement stands (J1-J4): every act from every state, each guard, and versions that run."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.agreement import (
    ACTS,
    DAY,
    LONGEST,
    PAUSE,
    STATES,
    STRICTNESS,
    USUAL,
    Event,
    Standing,
    evidence_hash,
    expired,
    prompts,
    step,
    stricter,
)
from schemas.errors import Refusal

NOW = 1_795_305_600

# Written from the table of the domain brief and from J1, not from the code: act -> (from, to).
ALLOWED = {
    ("NOT_SOUGHT", "give"): "GIVEN",
    ("EXPIRED", "give"): "GIVEN",
    ("REFUSED", "give"): "GIVEN",
    ("WITHDRAWN", "give"): "GIVEN",
    ("LIMITED", "give"): "GIVEN",
    ("NOT_SOUGHT", "limit"): "LIMITED",
    ("EXPIRED", "limit"): "LIMITED",
    ("REFUSED", "limit"): "LIMITED",
    ("WITHDRAWN", "limit"): "LIMITED",
    ("GIVEN", "limit"): "LIMITED",
    ("LIMITED", "limit"): "LIMITED",
    ("GIVEN", "renew"): "GIVEN",
    ("LIMITED", "renew"): "LIMITED",
    ("NOT_SOUGHT", "refuse"): "REFUSED",
    ("EXPIRED", "refuse"): "REFUSED",
    ("REFUSED", "refuse"): "REFUSED",
    ("GIVEN", "withdraw"): "WITHDRAWN",
    ("LIMITED", "withdraw"): "WITHDRAWN",
    ("GIVEN", "expire"): "EXPIRED",
    ("LIMITED", "expire"): "EXPIRED",
    **{(state, "cannot-give"): "CANNOT_GIVE" for state in STATES},
    ("CANNOT_GIVE", "regain"): "NOT_SOUGHT",
}


def standing(state="NOT_SOUGHT", **changes):
    until = NOW if state in ("GIVEN", "LIMITED") else None
    return replace(Standing(state, 3, NOW - DAY, until, mark="before"), **changes)


def event(act, **changes):
    good = {
        "ver": 4, "at": NOW, "mark": "now", "alone": True, "informed": True, "limits": int(act == "limit"),
        "best_interests": True, "review_on": NOW + 30 * DAY,
    }  # fmt: skip
    return Event(act, **{**good, **changes})


def refused(now, what, clock=NOW):
    with pytest.raises(Refusal) as refusal:
        step(now, what, clock)
    return refusal.value.code


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("state", STATES)
def test_every_act_leads_where_the_table_says_or_nowhere(state, act):
    if (state, act) in ALLOWED:
        assert step(standing(state), event(act), NOW).state == ALLOWED[state, act]
    else:
        assert refused(standing(state), event(act)) == "NO_STEP"


@pytest.mark.parametrize("act", ["give", "limit", "renew"])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"alone": False}, "NOT_ALONE"),
        ({"informed": False}, "NOT_INFORMED"),
        ({"until": NOW}, "PERIOD"),
        ({"until": NOW - DAY}, "PERIOD"),
        ({"until": NOW + LONGEST + 1}, "PERIOD"),
    ],
)
def test_agreement_counts_only_when_it_was_asked_freely_and_ends(act, changes, code):
    assert refused(standing("LIMITED"), event(act, **changes)) == code


@pytest.mark.parametrize("act", ["give", "limit", "renew"])
def test_an_agreement_ends_in_six_months_unless_somebody_says_when(act):
    assert step(standing("LIMITED"), event(act), NOW).until == NOW + USUAL
    assert step(standing("LIMITED"), event(act, until=NOW + LONGEST), NOW).until == NOW + LONGEST


def test_a_limited_agreement_has_a_limit_and_a_whole_one_has_none():
    assert refused(standing(), event("limit", limits=0)) == "LIMITS"
    assert refused(standing(), event("give", limits=1)) == "LIMITS"


def test_nobody_is_asked_twice_in_a_row():
    no = step(standing(), event("refuse"), NOW)
    assert no.ask_again_after == NOW + PAUSE
    for act in ("give", "limit", "refuse"):
        soon = event(act, ver=5, mark="again", at=no.ask_again_after - 1)
        assert refused(no, soon, soon.at) == "ASKED_LATELY"
        # Who raises it themselves was not pressed.
        assert step(no, replace(soon, own_accord=True), soon.at)
        assert step(no, replace(soon, at=no.ask_again_after), no.ask_again_after)


def test_a_day_before_which_nobody_asks_again_lies_ahead():
    assert refused(standing(), event("refuse", ask_again_after=NOW)) == "PERIOD"
    assert step(standing(), event("refuse", ask_again_after=NOW + DAY), NOW).ask_again_after == NOW + DAY


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"best_interests": False}, "BEST_INTERESTS"),
        ({"review_on": None}, "BEST_INTERESTS"),
        ({"review_on": NOW}, "PERIOD"),
        ({"review_on": NOW + 91 * DAY}, "PERIOD"),
    ],
)
def test_that_somebody_cannot_decide_is_assessed_and_looked_at_again(changes, code):
    assert refused(standing("GIVEN"), event("cannot-give", **changes)) == code


def test_nothing_is_needed_to_withdraw():
    bare = Event("withdraw", 4, NOW, "now")
    assert step(standing("GIVEN"), bare, NOW).state == "WITHDRAWN"
    assert step(standing("LIMITED"), bare, NOW).until is None


def test_an_agreement_runs_out_at_its_end_and_not_before():
    given_now = step(standing(), event("give", until=NOW + DAY), NOW)
    early = event("expire", ver=5, mark="end", at=NOW + DAY - 1)
    assert refused(given_now, early, early.at) == "NO_STEP"
    assert not expired(given_now, NOW + DAY - 1)
    assert expired(given_now, NOW + DAY)
    assert step(given_now, replace(early, at=NOW + DAY), NOW + DAY).state == "EXPIRED"


def test_a_prompt_comes_fourteen_days_before_the_end_and_not_after_it():
    asked = standing("GIVEN", until=NOW + 14 * DAY)
    assert not prompts(asked, NOW - 1, 14 * DAY)
    assert prompts(asked, NOW, 14 * DAY)
    assert not prompts(asked, NOW + 14 * DAY, 14 * DAY)
    assert not prompts(standing("REFUSED"), NOW, 14 * DAY)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"mark": "before"}, "REPLAY"),
        ({"ver": 3}, "OLDER"),
        ({"ver": 1}, "OLDER"),
        ({"ver": 5}, "OUT_OF_ORDER"),
        ({"at": NOW + 3600}, "FUTURE"),
        ({"at": NOW - DAY - 1}, "OLDER"),
    ],
)
@pytest.mark.parametrize("act", ["give", "withdraw", "cannot-give"])
def test_versions_run_and_a_replay_changes_nothing(act, changes, code):
    assert refused(standing("LIMITED"), event(act, **changes)) == code


def test_an_old_yes_replayed_after_a_no_is_refused():
    yes = event("give")
    given_now = step(standing(), yes, NOW)
    gone = step(given_now, Event("withdraw", 5, NOW + 60, "stop"), NOW + 60)
    assert refused(gone, yes, NOW + 60) == "OLDER"
    assert refused(gone, replace(yes, ver=6), NOW + 60) == "OLDER"  # dated before the no


@pytest.mark.parametrize("one", STATES)
@pytest.mark.parametrize("other", STATES)
def test_the_stricter_counts_whoever_says_it(one, other):
    found = stricter([one, other])
    assert found == stricter([other, one])
    assert found in (one, other)
    if "GIVEN" in (one, other) and one != other:
        assert found != "GIVEN"
    if "WITHDRAWN" in (one, other):
        assert found == "WITHDRAWN"


def test_every_state_has_its_strictness():
    assert sorted(STRICTNESS) == sorted(STATES)


def test_the_hash_of_how_it_was_asked_depends_on_its_salt():
    assert evidence_hash("words", b"a" * 32) != evidence_hash("words", b"b" * 32)
    assert "words" not in evidence_hash("words", b"a" * 32)


@given(
    st.lists(
        st.tuples(st.sampled_from(ACTS), st.integers(0, 5), st.booleans(), st.integers(0, 2)), max_size=30
    )
)
def test_no_history_leads_to_agreement_without_its_guards(history):
    now = Standing()
    for number, (act, days, freely, limits) in enumerate(history):
        at = now.since + days * 30 * DAY
        what = Event(
            act, now.ver + 1, at, str(number), alone=freely, informed=freely, limits=limits,
            best_interests=freely, review_on=at + DAY,
        )  # fmt: skip
        try:
            after = step(now, what, at)
        except Refusal:
            continue
        assert after.ver == now.ver + 1
        assert (after.until is not None) == (after.state in ("GIVEN", "LIMITED"))
        assert freely or after.state not in ("GIVEN", "LIMITED", "CANNOT_GIVE")
        assert after.state != "LIMITED" or limits or now.state == "LIMITED"
        now = after
