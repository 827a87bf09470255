"""Shares on paper: any three give the secret back, and each way to get one wrong is said as what it is."""

import itertools
import random

import pytest
from shamir_mnemonic import combine_mnemonics
from shamir_mnemonic.wordlist import WORDLIST

from keys_tooling.shares import Share39, combine, read, split
from schemas.errors import Refusal

SECRET = bytes(range(32))
MADE = split(SECRET, 3, 5, 4711)
OTHER = split(SECRET, 3, 5, 815)
SPOKEN = {"have", "together"}
"""Words of the list that the sentences themselves have."""


def given(*numbers: int, made: tuple[Share39, ...] = MADE) -> list[tuple[str, Share39]]:
    return [(f"share-{number}", made[number - 1]) for number in numbers]


def refused(call, *words: object) -> str:
    with pytest.raises(Refusal) as caught:
        call(*words)
    assert caught.value.code == "SHARE"
    return caught.value.say


@pytest.mark.parametrize("numbers", list(itertools.combinations(range(1, 6), 3)))
def test_any_three_of_five_give_the_secret(numbers: tuple[int, ...]):
    assert combine(given(*numbers)) == SECRET


def test_another_program_of_slip39_combines_our_shares():
    assert combine_mnemonics([" ".join(MADE[at].words) for at in (4, 1, 0)]) == SECRET


def test_more_than_are_needed_do_no_harm():
    assert combine(given(5, 4, 3, 2, 1)) == SECRET


@pytest.mark.parametrize("numbers", [(1,), (1, 2), (4, 5)])
def test_too_few_are_refused_and_the_number_needed_is_said(numbers: tuple[int, ...]):
    assert f"These are {len(numbers)} shares, and 3 are needed" in refused(combine, given(*numbers))


def test_one_given_twice_is_named():
    assert "share-2 and share-2 are the same share" in refused(combine, given(2, 1, 2))


def test_two_sets_of_the_same_secret_do_not_combine():
    mixed = [*given(1, 2), ("share-b", OTHER[2])]
    assert "share-b and share-1 are of two different backups" in refused(combine, mixed)


def test_a_forged_share_with_the_right_beginning_is_refused():
    forged = split(bytes(32), 3, 5, 4711)
    assert "do not fit each other" in refused(combine, [*given(1, 2), ("forged", forged[2])])


@pytest.mark.parametrize(("need", "of"), [(1, 1), (1, 5), (0, 3), (4, 3), (2, 17), (17, 17)])
def test_numbers_that_make_no_sense_are_refused(need: int, of: int):
    assert "at least 2" in refused(split, SECRET, need, of, 1)


# --- typing


def text(share: Share39, **changes: str) -> str:
    words = list(share.words)
    for place, word in changes.items():
        words[int(place[1:]) - 1] = word
    return " ".join(words)


@pytest.mark.parametrize("at", range(1, 34))
def test_a_wrong_word_is_found_whichever_it_is(at: int):
    right = MADE[0].words[at - 1]
    wrong = next(word for word in WORDLIST[at:] if word != right)
    said = refused(read, text(MADE[0], **{f"w{at}": wrong}), "share-1.txt")
    # The two words that hold the flag of the scheme are checked by other rules when it is changed.
    assert f"word {at} is probably wrong" in said or (at == 2 and "share-1.txt" in said)
    assert ({wrong, right} - SPOKEN).isdisjoint(said.split())


def test_neighbours_that_changed_places_are_noticed():
    for at in range(0, 32, 3):
        words = list(MADE[1].words)
        words[at], words[at + 1] = words[at + 1], words[at]
        if words != list(MADE[1].words):
            assert "does not fit together" in refused(read, " ".join(words), "share-2.txt")


def test_random_mistakes_in_several_words_are_noticed():
    draw = random.Random(39)
    for _ in range(25):
        words = list(MADE[2].words)
        for at in draw.sample(range(33), draw.randint(2, 3)):
            words[at] = draw.choice(WORDLIST)
        if words != list(MADE[2].words):
            refused(read, " ".join(words), "share-3.txt")


def test_a_word_that_is_none_is_placed_and_not_repeated():
    said = refused(read, text(MADE[0], w7="xylophone"), "share-1.txt")
    assert "Word 7 of share-1.txt is none of the list" in said
    assert "xylophone" not in said


@pytest.mark.parametrize("count", [0, 1, 32, 34])
def test_a_word_too_few_or_too_many_is_counted(count: int):
    words = (list(MADE[0].words) * 2)[:count]
    assert f"has {count} words, and a share has 33" in refused(read, " ".join(words), "share-1.txt")


def test_four_letters_capitals_and_numbers_are_enough():
    typed = "\n".join(f"{at:>3}. {word[:4].upper()}" for at, word in enumerate(MADE[3].words, 1))
    assert read(typed, "typed") == MADE[3]


def test_a_share_of_a_wallet_is_refused():
    from shamir_mnemonic import generate_mnemonics

    (two, _) = generate_mnemonics(2, [(2, 2), (2, 2)], SECRET)
    assert "share of something else" in refused(read, two[0], "wallet")


def test_a_share_does_not_show_its_words():
    shown = f"{MADE[0]} {MADE[0]!r}"
    assert not set(MADE[0].words) & set(shown.replace("(", " ").split())
