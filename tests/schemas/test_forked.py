"""Two notes of one log: what they prove to somebody who was not there (L22)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.canonical import b64
from schemas.checkpoint import Checkpoint, sign_checkpoint
from schemas.errors import Refusal
from schemas.forked import TwoNotes
from schemas.keys import SigningKey
from tests.tools import naive_merkle
from tests.tools.vector_world import LOG, LOG_KEY, ORIGIN, other_leaves, seed

LEAVES = other_leaves(13)


def note(size: int, root: bytes | None = None, key: SigningKey = LOG) -> str:
    return sign_checkpoint(Checkpoint(ORIGIN, size, root or naive_merkle.root(LEAVES[:size])), key)


def refused(two: TwoNotes, proof: tuple[bytes, ...] | None = None) -> str:
    with pytest.raises(Refusal) as caught:
        two.judge(proof)
    return caught.value.code


def test_one_size_with_two_roots_is_proof_by_itself():
    for two in (
        TwoNotes(LOG_KEY, note(7), note(7, seed("x"))),
        TwoNotes(LOG_KEY, note(7, seed("x")), note(7)),
    ):
        assert two.judge() == "forked"
        assert TwoNotes.parse(two.to_bytes()) == two


def test_two_sizes_are_a_question_that_only_the_log_can_answer():
    honest, forked = TwoNotes(LOG_KEY, note(13), note(7)), TwoNotes(LOG_KEY, note(7), note(13, seed("x")))
    proof = tuple(naive_merkle.proof(7, LEAVES))
    for two in (honest, forked):
        assert two.judge() == "unanswered"
        assert two.judge((seed("made up"),)) == "unanswered"
        assert two.judge(()) == "unanswered"
    assert forked.judge(proof) == "unanswered"
    assert refused(honest, proof) == "CONFLICT"


def test_notes_that_fit_prove_nothing():
    assert refused(TwoNotes(LOG_KEY, note(7), note(7))) == "CONFLICT"
    empty = sign_checkpoint(Checkpoint(ORIGIN, 0, naive_merkle.root([])), LOG)
    assert refused(TwoNotes(LOG_KEY, empty, note(7))) == "CONFLICT"


def test_a_note_that_the_log_did_not_sign_accuses_nobody():
    other = SigningKey(seed("other"))
    for bad in (note(7, seed("x"), other), "", "x", note(7, seed("x")).replace("\n7\n", "\n8\n")):
        assert refused(TwoNotes(LOG_KEY, note(7), bad)) == "CHECKPOINT"
        assert refused(TwoNotes(LOG_KEY, bad, note(7))) == "CHECKPOINT"


GOOD = json.loads(TwoNotes(LOG_KEY, note(7), note(7, seed("x"))).to_bytes())


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({**GOOD, "v": 2}, "VERSION"),
        ({**GOOD, "v": True}, "VERSION"),
        ({**GOOD, "more": 1}, "FORM"),
        ({k: v for k, v in GOOD.items() if k != "log"}, "FORM"),
        ({**GOOD, "ours": 7}, "FORM"),
        ({**GOOD, "theirs": None}, "FORM"),
        ({**GOOD, "log": b64(LOG.public)}, "CHECKPOINT"),
        ({**GOOD, "ours": "x" * 200_000}, "TOO_BIG"),
        ([GOOD], "FORM"),
        ("x", "FORM"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_not_one_is_refused(value: object, code: str):
    with pytest.raises(Refusal) as caught:
        TwoNotes.parse(json.dumps(value).encode())
    assert caught.value.code == code


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200), at=st.integers(0, 900))
def test_any_bytes_are_two_notes_or_are_refused(data: bytes, at: int):
    good = TwoNotes(LOG_KEY, note(7), note(7, seed("x"))).to_bytes()
    for attempt in (data, good + data, good[:at] + data + good[at:], good[:at] + good[at + 1 :]):
        try:
            TwoNotes.parse(attempt).judge()
        except Refusal:
            continue
