"""What the gate says no to sounds the same, whatever stands behind it: words, status, headers, and the work it does (C11).

Time is shown by structure, not by a clock: each refusal takes the same statements to the store, in the same order.
"""

from typing import Any

import pytest

from broker.intake import covered, judge, switched
from broker.turn import Agreement
from schemas.policy import founding
from schemas.sealing import status_hash
from schemas.signing import Signed
from tests.broker.test_agreements import agree, said
from tests.simulated_world import AGREED, World

DAY = 24 * 3600
UNASKED = {
    **AGREED,
    "agree": "NOT_SOUGHT",
    "agree_by": None,
    "agree_ver": None,
    "b6": "6f",
    "why_no": "B",
    "told": "YES",
}
CASES = ("no such agreement", "withdrawn", "not for this recipient", "not for this purpose", "not this kind",          "expired", "another agency's", "another agency's, withdrawn", "another agency's, without a staple")  # fmt: skip
NO_PARTY = ("no such agreement", *(name for name in CASES if name.startswith("another")))


async def recorded(world: World, http, issuer: str, grant: Signed, status: Signed | None) -> None:
    """An agreement on record, posted when it may be."""
    statements = [("grant", grant)] + ([] if status is None else [("status", status)])
    answer = await world.post_statements(http, issuer, *statements)
    assert {r["status"] for r in answer.json()["results"]} == {"recorded"}, answer.body


async def stand(world: World, http) -> dict[str, dict[str, Any]]:
    """For each case, how a message of Peacock's that has it is made."""
    grant, status = await agree(world, http, "IDVAS")
    gone, gone_status = await agree(world, http, "IDVAS")
    assert await said(world, http, "Peacock", "withdraw", world.withdrawal("Peacock", gone)) == (
        "recorded",
        None,
    )
    over = world.grant("Peacock", "IDVAS", exp=world.now + 60)
    over_status = world.status("Peacock", over)
    await recorded(world, http, "Peacock", over, over_status)
    theirs, theirs_gone, bare = (world.grant("Harbour", "IDVAS") for _ in range(3))
    theirs_status, gone_staple = world.status("Harbour", theirs), world.status("Harbour", theirs_gone)
    await recorded(world, http, "Harbour", theirs, theirs_status)
    await recorded(world, http, "Harbour", theirs_gone, gone_staple)
    await recorded(world, http, "Harbour", bare, None)
    ending = world.withdrawal("Harbour", theirs_gone)
    assert await said(world, http, "Harbour", "withdraw", ending) == ("recorded", None)
    world.clock.advance(120)
    nowhere = world.grant("Peacock", "IDVAS")
    made_up = {"grant": nowhere, "status": world.status("Peacock", nowhere)}
    return {
        "no such agreement": made_up,
        "withdrawn": {"grant": gone, "status": gone_status},
        "not for this recipient": {"grant": grant, "status": status, "to": "Harbour"},
        "not for this purpose": {"grant": grant, "status": status, "purpose": "HOUSING"},
        "not this kind": {"grant": grant, "status": status, "categories": ("ask", "risk")},
        "expired": {"grant": over, "status": over_status},
        "another agency's": {"grant": theirs, "status": theirs_status},
        "another agency's, withdrawn": {"grant": theirs_gone, "status": gone_staple},
        "another agency's, without a staple": {"grant": bare, "status": world.status("Harbour", bare)},
    }


def sealed(world: World, case: dict[str, Any], **changes: Any):
    made = {**case, **changes}
    return world.seal("Peacock", made.pop("to", "IDVAS"), **made)


async def answers(
    world: World, http, cases: dict[str, Any], names=CASES, **changes: Any
) -> dict[str, tuple[int, dict[str, str], bytes]]:
    found = {}
    for name in names:
        answer = await world.post_envelopes(http, "Peacock", sealed(world, cases[name], **changes))
        headers = {key.lower(): value for key, value in answer.headers.items() if key.lower() != "date"}
        found[name] = (answer.status, headers, answer.body)
    return found


def different(found: dict[str, Any]) -> dict[str, Any]:
    """The first, and those that are not like it; nothing when all are alike."""
    first, *others = found
    odd = [name for name in others if found[name] != found[first]]
    return {name: found[name] for name in (first, *odd)} if odd else {}


async def test_status_headers_and_body_are_the_same_byte_for_byte(world: World, http):
    found = await answers(world, http, await stand(world, http))
    assert set(found) == set(CASES)
    assert different(found) == {}
    status, _, body = found["withdrawn"]
    assert status == 403
    assert b'"code": "GRANT"' in body


@pytest.mark.parametrize(
    "law",
    [
        {**AGREED, "agree": "LIMITED"},
        {**AGREED, "b6": "6f", "s1": ["s1:10"], "b9": "9g", "spec": True},
        {**AGREED, "agree_by": None},
        {**AGREED, "consent_only": True},
        {**AGREED, "b6": "6f"},
        {**AGREED, "b6": None},
        {**AGREED, "b6": "6f", "spec": True, "s1": ["s1:10"]},
        {**AGREED, "crim": True, "b6": "6f", "s1": ["s1:18"]},
    ],
    ids=lambda law: "-".join(f"{name}={value}" for name, value in law.items() if AGREED.get(name) != value),
)
async def test_they_stay_the_same_whatever_else_the_header_says(world: World, http, law):
    """A fault on paper that depends on the agreement would tell; one that does not is told to everybody."""
    cases = await stand(world, http)
    for rag in ("GREEN", "AMBER"):
        found = await answers(world, http, cases, law=law, rag=rag)
        assert different(found) == {}, rag


@pytest.mark.parametrize(
    "law",
    [
        UNASKED, {**UNASKED, "why_no": None}, {**UNASKED, "why_no": "G"}, {**UNASKED, "agree": "EXPIRED"}, AGREED,
        {**UNASKED, "agree": "CANNOT_GIVE", "why_no": "A"}, {**AGREED, "why_no": "G", "b6": "6f"},
        {**UNASKED, "agree": "REFUSED", "why_no": "G"}, {**UNASKED, "agree": "WITHDRAWN", "why_no": "G"},
    ],
    ids=lambda law: f"{law['agree']}-{law['why_no']}",
)  # fmt: skip
async def test_a_stranger_learns_nothing_from_another_agencys_handle(world: World, http, law):
    """Whatever the header claims, and whether it passes, waits or is refused."""
    cases = await stand(world, http)
    for rag in ("GREEN", "AMBER", "RED"):
        found = await answers(world, http, cases, NO_PARTY, law=law, rag=rag)
        told = {name: (status, _said(body)) for name, (status, _, body) in found.items()}
        assert different(told) == {}, rag


def _said(body: bytes) -> Any:
    """An answer without what differs between any two messages: ids, proofs, sealed records."""
    import json

    value = json.loads(body)
    for result in value.get("results", ()):
        for name in ("eid", "proof", "record", "rk"):
            result.pop(name, None)
    return value


async def test_in_a_batch_they_are_the_same_too(world: World, http):
    cases = await stand(world, http)
    uploads = [sealed(world, cases[name]) for name in CASES]
    results = (await world.post_envelopes(http, "Peacock", *uploads)).json()["results"]
    for result in results:
        assert len(result.pop("eid")) == 43
    assert results == [results[0]] * len(CASES)


async def test_the_store_is_asked_the_same_questions(world: World, http, relay):
    """As many statements, with the same text, in the same order: no refusal does more work than another."""
    cases = await stand(world, http)
    await world.mailbox(http, "Peacock")  # the relay writes down once that this run of hers is new to it (A8)
    driver = (await relay.store._writer.get_raw_connection()).driver_connection
    traced: dict[str, list[str]] = {}
    for name in CASES:
        upload = sealed(world, cases[name])
        lines = traced.setdefault(name, [])
        await driver.set_trace_callback(lambda line, lines=lines: lines.append(shape(line)))
        answer = await world.post_envelopes(http, "Peacock", upload)
        await driver.set_trace_callback(None)
        assert answer.status == 403
    # Tree nodes and epoch keys depend on the log's length and the minute, never on the message.
    kept = {name: [line for line in deciding(lines) if apart(line)] for name, lines in traced.items()}
    assert different(kept) == {}


def deciding(lines: list[str]) -> list[str]:
    """The turn in which it was decided: the relay's own, which sweep or note whom it met, come when they come."""
    turns: list[list[str]] = []
    for line in lines:
        turns += [[]] * line.startswith("BEGIN")
        if turns and "COMMIT" not in turns[-1]:
            turns[-1] = [*turns[-1], line]
    (found,) = (turn for turn in turns if any("FROM grants" in line for line in turn))
    assert found[-1] == "COMMIT"
    return found


def shape(line: str) -> str:
    """A statement without its values."""
    return " ".join(
        word for word in line.replace("(", " ( ").split() if word.isupper() or word.isidentifier()
    )


def apart(line: str) -> bool:
    return not any(f"INTO {table}" in line for table in ("nodes", "epochs"))


async def test_other_doors_say_not_found_alike(world: World, http):
    cases = await stand(world, http)
    asked = []
    for name in NO_PARTY:
        gid = cases[name]["grant"].peek()["gid"]
        answer = await world.call(http, "Peacock", "GET", f"/v1/grants/{gid}")
        headers = {key: value for key, value in answer.headers.items() if key.lower() != "date"}
        asked.append((answer.status, headers, answer.body))
        withdrawal = world.withdrawal("Peacock", cases[name]["grant"])
        assert await said(world, http, "Peacock", "withdraw", withdrawal) == ("refused", "NOT_FOUND")
        status = world.status("Peacock", cases[name]["grant"])
        assert await said(world, http, "Peacock", "status", status) == ("refused", "NOT_FOUND")
    assert asked[0][0] == 404
    assert all(one == asked[0] for one in asked)


# --- the decision itself


def held(world: World, grant: Signed, *statuses: Signed, withdrawal: Signed | None = None) -> Agreement:
    from schemas.grants import parse_grant, parse_status

    known = {status_hash(one): (parse_status(one), one) for one in statuses}
    return Agreement(parse_grant(grant), grant, known, withdrawal)


def test_to_a_stranger_every_agreement_is_unknown(tmp_path):
    world = World.found(tmp_path, "Peacock", "IDVAS", "Harbour")
    grant = world.grant("Harbour", "IDVAS")
    status, gone = world.status("Harbour", grant), world.withdrawal("Harbour", grant)
    header = world.seal("Peacock", "IDVAS", grant=grant, status=status).upload.envelope.header
    for agreement in (
        None,
        held(world, grant),
        held(world, grant, status),
        held(world, grant, status, withdrawal=gone),
    ):
        assert covered(header, agreement, world.now) == "unknown"
        assert not switched(header, agreement)


def test_an_agreement_that_has_not_begun_is_as_good_as_none(tmp_path):
    """The relay records none that begins later; one that it had anyway would prove nothing."""
    world = World.found(tmp_path, "Peacock", "IDVAS")
    grant = world.grant("Peacock", "IDVAS", nbf=world.now + DAY)
    status = world.status("Peacock", grant)
    header = world.seal("Peacock", "IDVAS", grant=grant, status=status).upload.envelope.header
    assert covered(header, held(world, grant, status), world.now) == "unknown"


def test_the_real_code_goes_to_the_officers_and_not_to_the_sender(tmp_path):
    """The sealed record says what was decided; the answer does not."""
    from broker.intake import Refuse, examine

    world = World.found(tmp_path, "Peacock", "IDVAS")
    grant = world.grant("Peacock", "IDVAS")
    status, gone = world.status("Peacock", grant), world.withdrawal("Peacock", grant)
    upload = world.seal("Peacock", "IDVAS", grant=grant, status=status)
    item = examine(upload.upload.to_bytes(), world.parties["Peacock"].id, world.directory)
    policy = founding()
    known = [None, held(world, grant, status, withdrawal=gone)]
    verdicts = [judge(item, world.directory, one, {}, world.now, policy) for one in known]
    assert all(isinstance(one, Refuse) for one in verdicts)
    assert {one.told.code for one in verdicts} == {"GRANT"}
    assert [one.code for one in verdicts] == ["GRANT", "BASIS"]
