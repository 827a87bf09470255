"""The sharing statement as data: what it tells, what it leaves out, and in which words (G9, G10)."""

import re
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import statement_words as words
from schemas.categories import CATEGORIES
from schemas.lawful import RejectReason
from schemas.policy import founding
from schemas.statement import (
    Choice,
    ChoiceState,
    Other,
    Shared,
    omission,
    outcome,
    spoken_name,
    state_sharing,
)

DAY = 24 * 3600


def day(ts):
    return f"{ts // DAY} May 2027"


def message(**changes):
    values = {
        "id": "m-1", "sent": True, "ts": 20 * DAY, "about": "unknown", "others": (Other("Peterborough IDVAS", "idva"),),
        "purpose": "SUPPORT", "categories": ("ask", "contact", "wishes"), "agree": "GIVEN", "why_no": None, "told": "YES",
        "overridden": False, "state": "accepted",
    }  # fmt: skip
    return Shared(**{**values, **changes})


def other(*states, name="Peterborough IDVAS", sector="idva", reason=None):
    return Other(name, sector, frozenset(states), reason)


def made(*messages, choices=(), about="adult"):
    return state_sharing("The Peacock Project", 30 * DAY, about, messages, choices, day)


def text(statement):
    lines = [statement.title]
    for section in statement.sections:
        lines += [section.heading, *section.lines]
        for entry in section.entries:
            lines += [entry.day, *entry.lines]
    return "\n".join(lines)


def section(statement, name):
    return next(part for part in statement.sections if part.heading == words.HEADING[name])


# --- what it tells


def test_it_says_who_what_why_when_what_she_said_and_what_came_of_it():
    [entry] = section(made(message(others=(other("queued", "taken-on"),))), "sent").entries
    assert entry.day == "20 May 2027"
    assert entry.lines == (
        "Who got it: Peterborough IDVAS.",
        "What it was about: what help was asked for; safe ways to reach you; what you want, and what you do not want.",
        "Why: so that you can get support.",
        "Your say: You agreed to this.",
        "What came of it: They have taken it on.",
    )


def test_messages_stand_in_their_order():
    found = section(made(message(id="b", ts=9 * DAY), message(id="a", ts=3 * DAY)), "sent").entries
    assert [entry.day for entry in found] == ["3 May 2027", "9 May 2027"]


def test_what_came_in_is_told_when_its_sender_has_told_her():
    [entry] = section(made(message(sent=False, state="taken-on")), "received").entries
    assert entry.lines[0] == "Who it came from: Peterborough IDVAS."
    assert entry.lines[-1] == "What came of it: We have taken it on."


@pytest.mark.parametrize(
    ("states", "state", "code"),
    [
        ((), "waiting", "waiting"),
        ((), "refused", "not_sent"),
        ((), "stopped", "stopped"),
        ((), "something new", "unknown"),
        (("queued",), "accepted", "on_its_way"),
        (("queued", "collected"), "accepted", "arrived"),
        (("queued", "collected", "opened"), "accepted", "arrived"),
        (("queued", "opened", "taken-on"), "accepted", "taken_on"),
        (("queued", "opened", "rejected"), "accepted", "given_back"),
        (("queued", "withdrawn"), "accepted", "stopped"),
        (("queued", "expired"), "accepted", "not_picked_up"),
        (("queued", "collected", "expired"), "accepted", "not_taken_on"),
    ],
)
def test_it_claims_no_more_than_is_known(states, state, code):
    assert outcome(state, frozenset(states)) == code
    assert code in words.OUTCOME


def test_a_message_that_was_only_sent_is_never_said_to_have_arrived():
    for states in ((), ("queued",)):
        said = text(made(message(others=(other(*states),)))).split("What came of it: ")[1].split("\n")[0]
        assert "with them" not in said
        assert "got it" not in said


def test_a_message_that_came_back_says_why():
    said = text(made(message(others=(other("opened", "rejected", reason="over-shared"),))))
    assert "They gave it back to us. It held more than they should have." in said


def test_a_change_of_mind_after_they_had_it_is_said_beside_what_they_did():
    said = text(made(message(others=(other("opened", "taken-on", "recalled"),))))
    assert "They have taken it on. You changed your mind after they had it. They were told." in said


def test_two_services_that_did_different_things_are_told_apart():
    both = (other("taken-on"), other("queued", name="IMPAKT DASS"))
    said = text(made(message(others=both)))
    assert "Who got it: Peterborough IDVAS; IMPAKT DASS." in said
    assert "Peterborough IDVAS: They have taken it on. IMPAKT DASS: It was sent." in said


def test_an_overridden_no_is_told_as_it_was():
    said = text(made(message(agree="REFUSED", why_no="G", told="BY", overridden=True)))
    assert (
        "You had said no to this. We shared it all the same. We thought that somebody could be badly hurt. "
        "Two people at our service had to agree before we did. You can ask us why."
    ) in said


def test_sharing_beyond_what_she_agreed_to_is_told_as_it_was():
    said = text(made(message(agree="LIMITED", why_no="G", overridden=True)))
    assert "You had agreed to something, but not to this. We shared it all the same." in said
    assert "We kept to that part" not in said


def test_an_emergency_that_was_signed_afterwards_is_told_as_it_was():
    said = text(made(message(agree="REFUSED", why_no="F", overridden=True)))
    assert words.LOOKED_AFTER in said
    assert words.TWO_PEOPLE not in said


def test_whoever_was_not_asked_is_not_told_that_they_said_no():
    said = text(made(message(agree="NOT_SOUGHT", why_no="B", overridden=True)))
    assert words.ALL_THE_SAME not in said
    assert words.TWO_PEOPLE in said


def test_no_second_person_is_claimed_where_none_signed():
    said = text(made(message(agree="NOT_SOUGHT", why_no="F")))
    assert words.TWO_PEOPLE not in said
    assert "You were not asked first. We thought that somebody was in danger at that moment." in said


def test_an_agreement_is_told_with_its_limits_and_how_it_stands():
    choice = Choice(
        since=2 * DAY, names=("The Peacock Project", "Peterborough IDVAS"), categories=("contact", "hc"), purposes=("SUPPORT",),
        state="withdrawn", when=9 * DAY, not_for=("HOUSING",), not_what=("health", "crim"), more=True,
        not_to=("IMPAKT DASS",), stopped=("IMPAKT DASS",),
    )  # fmt: skip
    [entry] = section(made(message(), choices=[choice]), "choices").entries
    assert entry.lines == (
        "On 2 May 2027 you agreed that these services may share with each other: The Peacock Project; Peterborough IDVAS.",
        "What they may share: safe ways to reach you.",
        "What for: so that you can get support.",
        "You said that these must not get it: IMPAKT DASS.",
        "You said that it must not be used to help with a place to live.",
        "You said that this must stay out: your health.",
        words.OTHER_LIMITS,
        "You told these services to stop: IMPAKT DASS. We send them nothing more on this.",
        "You changed your mind on 9 May 2027. From then on it no longer counts.",
    )


def test_a_no_that_was_never_a_yes_is_told_as_a_no():
    [entry] = section(
        made(message(), choices=[Choice(2 * DAY, (), (), (), "refused", 2 * DAY)]), "choices"
    ).entries
    assert entry.lines == ("On 2 May 2027 you were asked and said no. That counts.",)


def test_a_code_that_this_page_has_no_words_for_breaks_nothing():
    """A partnership's policy may add purposes, states and reasons."""
    said = text(made(message(purpose="NEW", agree="NEW", why_no="Z", categories=("new",))))
    assert f"Why: {words.OTHER_PURPOSE}." in said
    assert words.NOTHING_KNOWN in said
    assert f"What it was about: {words.NOTHING_NAMED}." in said


def test_it_says_how_to_object_and_to_complain():
    said = "\n".join(section(made(message()), "rights").lines)
    for word in (
        "objection",
        "complaint",
        words.REGULATOR["phone"],
        words.REGULATOR["web"],
        "change your mind",
    ):
        assert word in said


# --- what it leaves out


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"about": "child"}, "another_person"),
        ({"told": "UNSAFE"}, "unsafe"),
        ({"told": "UNSAFE", "overridden": True, "agree": "REFUSED"}, "unsafe"),
        ({"categories": ("hc",), "others": (Other("Police", "police"),)}, "harm_causer"),
        ({"categories": ("crim",), "others": (Other("Probation", "probation"),)}, "harm_causer"),
        ({"categories": ("hc",), "others": (Other("IDVAS", "idva"), Other("Turnaround", "behaviour_change"))}, "harm_causer"),
        ({"categories": ("ask", "hc"), "purpose": "FORUM"}, "harm_causer"),
        ({"categories": ("ask", "crim"), "purpose": "CRIME"}, "harm_causer"),
        ({"sent": False, "told": "BY"}, "not_told_yet"),
        ({"sent": False, "told": "NA"}, "not_told_yet"),
        ({"sent": False, "told": "UNSAFE"}, "unsafe"),
    ],
)  # fmt: skip
def test_what_could_endanger_somebody_is_left_out(changes, why):
    one = message(**changes)
    assert omission(one, "adult") == why
    statement = made(one)
    assert [(left.id, left.why) for left in statement.left_out] == [("m-1", why)]
    assert section(statement, "sent").entries == section(statement, "received").entries == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"told": "UNSAFE"},
        {"categories": ("hc",), "others": (Other("Police", "police"),)},
        {"sent": False, "told": "BY"},
    ],
)
def test_a_worker_who_looked_may_have_it_told(changes):
    assert omission(message(**changes, safe=True), "adult") is None


def test_another_persons_message_is_never_told_whoever_looked():
    assert omission(message(about="child", safe=True), "adult") == "another_person"
    assert omission(message(about="adult", safe=True), "child") == "another_person"


def test_a_child_is_told_only_what_is_surely_about_the_child():
    assert omission(message(about="child"), "child") is None
    assert omission(message(about="unknown"), "child") == "unsure"
    assert omission(message(about="unknown", safe=True), "child") is None


def test_leaving_something_out_changes_nothing_else_on_the_page():
    """Whoever holds two pages cannot tell from the words of one that something is missing in it."""
    assert made(message(), message(id="m-2", told="UNSAFE")).sections == made(message()).sections


def test_other_peoples_categories_are_never_named():
    said = text(made(message(categories=("crim", "hc", "staff_safety", "third_party"))))
    assert f"What it was about: {words.NOTHING_NAMED}." in said


@pytest.mark.parametrize("name", ["12 Larkspur Lane", "The House, PE99 9ZZ", "Flat 3", ""])
def test_a_name_that_holds_an_address_is_not_printed(name):
    assert spoken_name(name) == words.A_SERVICE
    assert name == "" or name not in text(made(message(others=(Other(name, "da_support"),))))


MESSAGES = st.builds(
    message,
    id=st.uuids().map(str),
    sent=st.booleans(),
    about=st.sampled_from(["adult", "child", "unknown"]),
    others=st.lists(
        st.builds(Other, st.just("A Service"), st.sampled_from(["idva", "police", "probation", "health"])),
        min_size=1, max_size=3,
    ).map(tuple),
    purpose=st.sampled_from(sorted(words.PURPOSE)),
    categories=st.sets(st.sampled_from(sorted(CATEGORIES))).map(sorted).map(tuple),
    agree=st.sampled_from(sorted(words.AGREE)),
    why_no=st.none() | st.sampled_from(sorted(words.WHY_NOT_ASKED)),
    told=st.sampled_from(["YES", "BY", "UNSAFE", "NA"]),
    overridden=st.booleans(),
    state=st.sampled_from(["waiting", "accepted", "refused", "stopped", "taken-on", "opened"]),
    safe=st.booleans(),
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(MESSAGES, max_size=4, unique_by=lambda m: m.id), st.sampled_from(["adult", "child"]))
def test_every_message_is_either_told_or_named_as_left_out(messages, about):
    statement = made(*messages, about=about)
    told = sum(len(section(statement, name).entries) for name in ("sent", "received"))
    assert told + len(statement.left_out) == len(messages)


# --- in which words


def test_there_is_a_word_for_every_code():
    assert set(words.CATEGORY) | words.UNSPOKEN == CATEGORIES
    assert not set(words.CATEGORY) & words.UNSPOKEN
    policy = founding()
    assert set(words.PURPOSE) == set(policy.purposes)
    assert set(words.AGREE) == set(policy.states)
    assert set(words.WHY_NOT_ASKED) == set(policy.reasons)
    assert set(words.AGREEMENT) == set(get_args(ChoiceState))
    assert set(words.GIVEN_BACK) >= set(get_args(RejectReason))


def every_sentence():
    everything = [
        message(id=f"{agree}-{why}", agree=agree, why_no=why, overridden=why == "G", purpose=purpose, categories=(cat,))
        for agree, why, purpose, cat in zip(
            sorted(words.AGREE) * 3, (*sorted(words.WHY_NOT_ASKED), None) * 3, sorted(words.PURPOSE) * 3, sorted(words.CATEGORY) * 2, strict=False
        )
    ]  # fmt: skip
    who = ("A Service",)
    choices = [
        Choice(1, who, ("contact",), ("SUPPORT",), state, 9, ("HOUSING",), ("health",), who, True, who)
        for state in get_args(ChoiceState)
    ]
    page = text(made(*everything, choices=choices))
    loose = "\n".join((*words.OUTCOME.values(), *words.GIVEN_BACK.values(), words.RECALLED))
    return re.findall(r"[^.!?\n]+[.!?]", f"{page}\n{loose}".replace("ico.org.uk", "ico"))


def test_no_sentence_is_long():
    """Lists of kinds aside, which are read item by item."""
    for sentence in every_sentence():
        for part in re.split("[;:]", sentence):
            assert len(part.split()) <= 20, part


def test_the_reading_age_is_about_eleven():
    """Flesch-Kincaid grade at most 6 (US sixth grade: eleven years), with syllables counted as groups of vowels."""
    sentences = every_sentence()
    tokens = [word for sentence in sentences for word in re.findall("[a-z']+", sentence.lower())]
    syllables = sum(max(1, len(re.findall("[aeiouy]+", re.sub("e$", "", word)))) for word in tokens)
    assert 0.39 * len(tokens) / len(sentences) + 11.8 * syllables / len(tokens) - 15.59 <= 6


@pytest.mark.parametrize(
    "word",
    [
        "victim",
        "abuse",
        "perpetrator",
        "offender",
        "refuge",
        "client",
        "failed",
        "refused",
        "case",
        "incident",
        "alleg",
    ],
)
def test_no_word_blames_or_gives_away(word):
    assert word not in " ".join(every_sentence()).lower()


def test_the_title_says_nothing():
    assert words.TITLE == "Your information statement"
