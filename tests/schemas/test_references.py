"""What a header refers to, as every party works it out."""

from typing import Any

import pytest

from schemas.envelope import Header, Recipient
from schemas.facts import OnwardFacts, RequestFacts
from schemas.references import OPEN_FOR, onward_facts, request_facts, request_mark
from tests.schemas.consent_cases import header
from tests.tools.forge import b
from tests.tools.vector_world import ALDER, BIRCH, CEDAR, T0, seed

MID, OTHER = b(seed("request")[:16]), b(seed("another")[:16])
ASKS = ("contact", "statements")


def to(*keys: Any) -> tuple[Recipient, ...]:
    return tuple(Recipient(a=one.id, d="duty", k=one.prekey.kid) for one in keys)


def request(law: dict[str, Any] | None = None, **changes: Any) -> Header:
    """Alder asks Birch."""
    fields = {"cls": "INFOREQ", "mid": MID, "to": to(BIRCH), **changes}
    return header({"asks": ASKS, **(law or {})}, **fields)


def answer(rfi: str | None = MID, **changes: Any) -> Header:
    """Birch answers Alder."""
    fields = {"cls": "INFOGIVE", "from": {"a": BIRCH.id, "d": "duty"}, "to": to(ALDER), "ts": T0, **changes}
    return header({"rfi": rfi}, **fields)


OPEN = RequestFacts(open=True, asked=frozenset(ASKS))


@pytest.mark.parametrize(
    ("what", "asked", "given", "found"),
    [
        ("the request", request(), answer(), OPEN),
        ("to two agencies", request(to=to(CEDAR, BIRCH)), answer(), OPEN),
        ("another id", request(), answer("B" * 21 + "A"), None),
        ("no id", request(), answer(None), None),
        ("another class than an answer's", request(), answer(cls="RESPOND"), None),
        ("another class than a request's", request({"asks": None}, cls="REFER"), answer(), None),
        ("from somebody who was not asked", request(to=to(CEDAR)), answer(), None),
        ("to somebody who did not ask", request(), answer(to=to(CEDAR)), None),
        ("to somebody else as well", request(), answer(to=to(ALDER, CEDAR)), None),
        ("nothing was asked", request({"asks": None}), answer(), RequestFacts(open=True, asked=frozenset())),
        ("the last second", request(ts=T0 - OPEN_FOR + 1, exp=T0 - OPEN_FOR + 61), answer(), OPEN),
        ("over", request(ts=T0 - OPEN_FOR, exp=T0 - OPEN_FOR + 60), answer(), RequestFacts(open=False, asked=OPEN.asked)),
    ],
)  # fmt: skip
def test_a_request_is_found_by_its_id_its_parties_and_its_time(
    what: str, asked: Header, given: Header, found: RequestFacts | None
):
    assert request_facts(given, (request(mid=OTHER), asked)) == found, what


def test_a_request_is_remembered_under_who_asked_whom():
    marks = {
        request_mark(asker, asked, mid)
        for asker in (ALDER.id, BIRCH.id)
        for asked in (BIRCH.id, CEDAR.id)
        for mid in (MID, OTHER)
    }
    assert len(marks) == 8
    assert all(len(mark) == 32 for mark in marks)


def source(**changes: Any) -> Any:
    return {"leave": None, "mid": MID, "onward": "ASK", "pur": "HOUSING", **changes}


def passing(*sources: Any) -> Header:
    from schemas.envelope import PassedOn

    return header({"src": tuple(PassedOn(**one) for one in sources)})


def test_what_is_passed_on_is_judged_as_its_sender_says():
    head = passing(source(), source(mid="z" * 21 + "A", onward="NONE", leave=OTHER))
    assert onward_facts(head) == (
        OnwardFacts("ASK", "HOUSING", granted=False),
        OnwardFacts("NONE", "HOUSING", granted=True),
    )
    assert onward_facts(header({})) == ()


def test_whoever_holds_the_source_goes_by_its_own_header():
    own = header({"onward": "NONE"}, mid=MID, pur="CRIME")
    assert onward_facts(passing(source(leave=OTHER)), (own,)) == (OnwardFacts("NONE", "CRIME", granted=True),)
    assert onward_facts(passing(source()), (header({}, mid=OTHER),)) == (
        OnwardFacts("ASK", "HOUSING", granted=False),
    )
