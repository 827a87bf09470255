"""A name that stands in the directory cannot be mistaken for another."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys_tooling.names import check_desks
from schemas.errors import Refusal
from schemas.names import check_name, check_unlike, drawn


@pytest.mark.parametrize(
    "name",
    [
        "The Peacock Project", "Peterborough IDVAS", "IMPAKT DASS", "St. Mary's (North) & Co. – 24/7", "Gŵyl Ddŵr",
        "Αθηνά", "Родник", "x", "Refuge 2",
    ],
)  # fmt: skip
def test_a_plain_name_stands(name: str):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", " Peacock", "Peacock ", "Peacock  Project", "x" * 121, "24/7", "---",
        "Pea\u200bcock", "Pea\u202ecock", "Pea\u2066cock", "Pea\tcock", "Pea\ncock", "Pea\x00cock", "Pea\x1b[1mcock",
        "Pea\u00a0cock", "Pea\u2028cock", "Pea\ue000cock", "Pea\u00adcock", "Pea\ufeffcock", "\ud800",
        "Cafe\u0301", "Ｐeacock", "ﬁne", "𝐏eacock", "№ 5",
        "Peаcock", "Ρeacock", "Peacock Родник",
    ],
)  # fmt: skip
def test_a_name_that_deceives_is_refused(name: str):
    with pytest.raises(Refusal, match=r"^NAME: "):
        check_name(name)


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("the peacock project", "The Peacock Project"), ("ThePeacockProject", "The Peacock Project"),
        ("The Peacock-Project", "The Peacock Project"), ("The Peac0ck Project", "The Peacock Project"),
        ("The Péacock Project", "The Peacock Project"), ("lMPAKT DASS", "IMPAKT DASS"), ("1MPAKT DA55", "IMPAKT DASS"),
        ("СОСНА", "COCHA"), ("Harbour Hornes", "Harbour Homes"), ("VVomen's Aid", "Women's Aid"), ("ΚΑΤΕ", "KATE"),
    ],
)  # fmt: skip
def test_a_look_alike_is_refused(name: str, taken: str):
    with pytest.raises(Refusal, match=r"^NAME: "):
        check_unlike(name, ["Another", taken])


@pytest.mark.parametrize(
    ("name", "taken"),
    [("Cambridge Rape Crisis", "Peterborough Rape Crisis"), ("Refuge 2", "Refuge"), ("IDVAS", "DASS")],
)
def test_names_that_differ_to_the_eye_stand_beside_each_other(name: str, taken: str):
    check_unlike(name, [taken])


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_a_refusal(text: str):
    drawn(text)
    with contextlib.suppress(Refusal):
        assert check_name(text) == text


@pytest.mark.parametrize("desks", [(), ("duty", "duty"), tuple(f"d{n}" for n in range(33)), ("Duty",)])
def test_desks_that_are_none_are_refused(desks: tuple[str, ...]):
    with pytest.raises(Refusal, match=r"^SETTINGS: "):
        check_desks(desks)
