"""Agreements at the relay: what rests on one passes while it stands, and not a moment longer."""

import asyncio
import contextlib
import os
import secrets

import pytest

from schemas.canonical import b64
from schemas.grants import parse_withdrawal, written_after
from schemas.keys import Use
from schemas.sealing import Sealed
from schemas.signing import Purpose, Signed
from tests.simulated_world import AGREED, World

DAY = 24 * 3600
ROUNDS = int(os.environ.get("FENPOST_RACE_ROUNDS", "50"))
"""Withdrawals that race with fetches; a storm asks for more."""


async def agree(world: World, http, *others: str) -> tuple[Signed, Signed]:
    """Peacock's agreement with others, and its staple, both recorded."""
    grant = world.grant("Peacock", *others)
    status = world.status("Peacock", grant)
    answer = await world.post_statements(http, "Peacock", ("grant", grant), ("status", status))
    assert [r["status"] for r in answer.json()["results"]] == ["recorded", "recorded"], answer.body
    return grant, status


async def said(world: World, http, party: str, kind: str, signed: Signed) -> tuple[str, str | None]:
    (result,) = (await world.post_statements(http, party, (kind, signed))).json()["results"]
    return result["status"], result["code"]


def resting(world: World, grant: Signed, status: Signed, *recipients: str, **changes) -> Sealed:
    return world.seal("Peacock", *(recipients or ("IDVAS",)), grant=grant, status=status, **changes)


async def test_a_message_within_its_agreement_passes(world: World, http):
    grant, status = await agree(world, http, "IDVAS")
    assert (await world.post_envelopes(http, "Peacock", resting(world, grant, status))).status == 200
    # The response rests on the same agreement, the other way.
    back = world.seal("IDVAS", "Peacock", grant=grant, status=status)
    assert (await world.post_envelopes(http, "IDVAS", back)).status == 200


async def test_unknown_withdrawn_and_not_for_this_sound_alike(world: World, http):
    grant, status = await agree(world, http, "IDVAS")
    withdrawn, stapled = await agree(world, http, "IDVAS")
    assert await said(world, http, "Peacock", "withdraw", world.withdrawal("Peacock", withdrawn)) == (
        "recorded",
        None,
    )
    nowhere = world.grant("Peacock", "IDVAS")
    theirs = world.grant("Harbour", "IDVAS")
    await world.post_statements(
        http, "Harbour", ("grant", theirs), ("status", world.status("Harbour", theirs))
    )
    over = world.grant("Peacock", "IDVAS", nbf=world.now - 60, exp=world.now + 1)
    await world.post_statements(http, "Peacock", ("grant", over), ("status", world.status("Peacock", over)))
    world.clock.advance(5)
    refused = [
        resting(world, withdrawn, stapled),
        resting(world, nowhere, world.status("Peacock", nowhere)),
        resting(world, theirs, status),
        resting(world, over, world.status("Peacock", over)),
        resting(world, grant, status, "Harbour"),
        resting(world, grant, status, "IDVAS", "Harbour"),
        resting(world, grant, status, purpose="HOUSING"),
        resting(world, grant, status, categories=("ask", "risk")),
    ]
    answers = [await world.post_envelopes(http, "Peacock", sealed) for sealed in refused]
    assert {(answer.status, answer.body) for answer in answers} == {(answers[0].status, answers[0].body)}
    assert (answers[0].status, answers[0].json()["code"]) == (403, "GRANT")


async def test_a_staple_older_than_a_day_is_named_to_the_party_that_can_renew_it(world: World, http):
    grant, status = await agree(world, http, "IDVAS")
    world.clock.advance(DAY + 1)
    answer = await world.post_envelopes(http, "Peacock", resting(world, grant, status))
    assert (answer.status, answer.json()["code"], answer.json()["retry"]) == (403, "STATUS_STALE", True)
    renewed = world.status("Peacock", grant)
    assert await said(world, http, "Peacock", "status", renewed) == ("recorded", None)
    assert (await world.post_envelopes(http, "Peacock", resting(world, grant, renewed))).status == 200


async def test_a_staple_that_the_relay_never_saw_counts_for_nothing(world: World, http):
    grant, _ = await agree(world, http, "IDVAS")
    unseen = world.status("Peacock", grant, exp=world.now + 60)
    assert (await world.post_envelopes(http, "Peacock", resting(world, grant, unseen))).json()[
        "code"
    ] == "STATUS_STALE"


async def test_a_grant_is_taken_from_its_issuer_only(world: World, http):
    grant = world.grant("Peacock", "IDVAS")
    assert await said(world, http, "IDVAS", "grant", grant) == ("refused", "NOT_ALLOWED")
    agent = world.parties["Peacock"].member.agent
    wrong_key = world.grant("Peacock", "IDVAS", key=agent.msg)
    assert await said(world, http, "Peacock", "grant", wrong_key) == ("refused", "UNKNOWN_KEY")
    forged = Signed(grant.text, world.grant("Peacock", "IDVAS").signature)
    assert await said(world, http, "Peacock", "grant", forged) == ("refused", "SIGNATURE")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": "late"}, "GRANT"), ({"exp": "over"}, "EXPIRED"), ({"nbf": "yesterday", "exp": "over"}, "EXPIRED"),
        ({"nbf": "ahead"}, "FUTURE"), ({"cat": ["ask", None]}, "FORM"), ({"limited": "Yes"}, "FORM"), ({"limited": None}, "FORM"),
        ({"limited": "true"}, "FORM"), ({"ver": None}, "FORM"), ({"pur": ["immigration"]}, "FORM"), ({"pur": ["IMMIGRATION"]}, "PURPOSE"), ({"pur": []}, "FORM"),
        ({"to": ["ag1" + "a" * 32]}, "UNKNOWN_AGENCY"), ({"v": 2}, "FORM"),
        ({"cat": ["surname"]}, "FORM"), ({"name": "x"}, "FORM"), ({"gid": 5}, "FORM"),
    ],
    ids=str,
)  # fmt: skip
async def test_a_grant_that_does_not_hold_together_is_refused(world: World, http, changes, code):
    times = {
        "late": world.now + 91 * DAY, "over": world.now - 1, "yesterday": world.now - DAY, "ahead": world.now + 3600,
    }  # fmt: skip
    grant = world.grant(
        "Peacock", "IDVAS", **{name: times.get(str(value), value) for name, value in changes.items()}
    )
    assert await said(world, http, "Peacock", "grant", grant) == ("refused", code)


async def test_the_same_statement_again_is_a_repeat_and_another_under_its_id_clashes(world: World, http):
    grant, status = await agree(world, http, "IDVAS")
    assert await said(world, http, "Peacock", "grant", grant) == ("repeat", None)
    assert await said(world, http, "Peacock", "status", status) == ("repeat", None)
    other = world.grant("Peacock", "IDVAS", gid=grant.peek()["gid"], ver=2)
    assert await said(world, http, "Peacock", "grant", other) == ("refused", "ID_CLASH")


async def test_an_older_version_never_follows_a_newer_one(world: World, http):
    gid = b64(secrets.token_bytes(16))
    newer, older = (world.grant("Peacock", "IDVAS", gid=gid, ver=ver) for ver in (2, 1))
    assert await said(world, http, "Peacock", "grant", newer) == ("recorded", None)
    assert await said(world, http, "Peacock", "grant", older) == ("refused", "OLDER")
    status = world.status("Peacock", newer)
    assert await said(world, http, "Peacock", "status", status) == ("recorded", None)
    before = world.status("Peacock", newer, ts=world.now - 60, exp=world.now + 600)
    assert await said(world, http, "Peacock", "status", before) == ("refused", "OLDER")
    # Nor does a header that quotes another version than the one on record, or says more than was agreed.
    for changes in ({"agree_ver": 1}, {"agree_ver": 3}, {"agree": "LIMITED", "agree_ver": 2}):
        sealed = resting(world, newer, status, law={**AGREED, **changes})
        assert (await world.post_envelopes(http, "Peacock", sealed)).json()["code"] == "GRANT"
    right = resting(world, newer, status, law={**AGREED, "agree_ver": 2})
    assert (await world.post_envelopes(http, "Peacock", right)).status == 200


async def test_a_narrower_version_stops_what_no_longer_fits_and_nothing_else(world: World, relay, http):
    wide = world.grant("Peacock", "IDVAS", cat=["ask", "risk"])
    status = world.status("Peacock", wide)
    await world.post_statements(http, "Peacock", ("grant", wide), ("status", status))
    both, fits = (resting(world, wide, status, categories=c) for c in (("ask", "risk"), ("ask",)))
    for sealed in (both, fits):
        assert (await world.post_envelopes(http, "Peacock", sealed)).status == 200
    less = {**wide.peek(), "cat": ["ask"], "limited": True, "ver": 2}
    narrow = world.grant("Peacock", "IDVAS", **less)
    size = relay.relay.log.size
    assert await said(world, http, "Peacock", "grant", narrow) == ("recorded", None)
    assert relay.relay.log.size == size + 2  # the version, and the message that it stopped
    page = await world.mailbox(http, "IDVAS")
    assert [item.eid for item in page.head.items] == [fits.eid]
    (stopped,) = [n for n in page.head.notices if n.kind == "withdrawn"]
    (limited,) = [n for n in page.head.notices if n.kind == "limited"]
    assert (limited.gid, limited.a) == (less["gid"], world.parties["Peacock"].id)
    assert limited.evidence.t == narrow.text.decode()
    assert (stopped.kind, stopped.eid, stopped.evidence.t) == ("withdrawn", both.eid, narrow.text.decode())
    assert await said(world, http, "Peacock", "grant", wide) == ("refused", "OLDER")
    # What quotes the older version is not covered any more; what quotes the newer is.
    old = resting(world, wide, status)
    assert (await world.post_envelopes(http, "Peacock", old)).json()["code"] == "GRANT"
    law = {**AGREED, "agree": "LIMITED", "agree_ver": 2}
    assert (
        await world.post_envelopes(http, "Peacock", resting(world, narrow, status, law=law))
    ).status == 200


@pytest.mark.parametrize(
    "changes",
    [{"limited": False}, {"cat": ["ask", "risk", "hc"]}, {"pur": ["SUPPORT", "HOUSING"]}, {"exp": "later"}, {"to": "Harbour"}],
    ids=str,
)  # fmt: skip
async def test_a_later_version_never_allows_more_under_the_same_handle(world: World, http, changes):
    wide = world.grant("Peacock", "IDVAS", cat=["ask", "risk"])
    await said(world, http, "Peacock", "grant", wide)
    more = {"later": wide.peek()["exp"] + 1, "Harbour": [*wide.peek()["to"], world.parties["Harbour"].id]}
    values = {
        name: more.get(value, value) if isinstance(value, str) else value for name, value in changes.items()
    }
    newer = world.grant("Peacock", "IDVAS", **{**wide.peek(), "limited": True, "ver": 2, **values})
    assert await said(world, http, "Peacock", "grant", newer) == ("refused", "ID_CLASH")
    theirs = Signed.make(world.parties["IDVAS"].member.agent.consent, Purpose.GRANT, newer.peek())
    assert await said(world, http, "IDVAS", "grant", theirs) == ("refused", "NOT_ALLOWED")


async def test_a_clock_an_hour_ahead_is_named(world: World, http):
    grant, _ = await agree(world, http, "IDVAS")
    ahead = world.now + 3600
    late = world.status("Peacock", grant, ts=ahead, exp=ahead + 60)
    assert await said(world, http, "Peacock", "status", late) == ("refused", "FUTURE")
    gone = world.withdrawal("Peacock", grant, ts=ahead)
    assert await said(world, http, "Peacock", "withdraw", gone) == ("refused", "FUTURE")


async def test_a_key_of_another_agency_signs_nothing_for_this_one(world: World, http):
    stranger = world.parties["Harbour"].member.agent.consent
    grant = world.grant("Peacock", "IDVAS", key=stranger)
    assert await said(world, http, "Peacock", "grant", grant) == ("refused", "UNKNOWN_KEY")
    ours, _ = await agree(world, http, "IDVAS")
    for kind, purpose, extra in (
        ("status", Purpose.STATUS, {"state": "active", "exp": world.now + 60}),
        ("withdraw", Purpose.WITHDRAW, {"by": world.parties["Peacock"].id}),
    ):
        value = {"gid": ours.peek()["gid"], "signer": stranger.kid, "ts": world.now, "v": 1, **extra}
        forged = Signed.make(stranger, purpose, value)
        assert await said(world, http, "Peacock", kind, forged) == ("refused", "UNKNOWN_KEY")


async def test_a_yes_replayed_after_the_no_is_refused(world: World, http):
    grant, status = await agree(world, http, "IDVAS")
    assert (await said(world, http, "IDVAS", "withdraw", world.withdrawal("IDVAS", grant)))[0] == "recorded"
    for kind, signed in (("grant", grant), ("status", status)):
        assert await said(world, http, "Peacock", kind, signed) == ("refused", "AGREEMENT_ENDED")
    newer = world.grant("Peacock", "IDVAS", gid=grant.peek()["gid"], ver=2)
    assert await said(world, http, "Peacock", "grant", newer) == ("refused", "AGREEMENT_ENDED")
    answer = await world.post_envelopes(http, "Peacock", resting(world, grant, status))
    assert answer.json()["code"] == "GRANT"


async def test_only_the_issuer_renews(world: World, http):
    grant, _ = await agree(world, http, "IDVAS")
    theirs = world.status("IDVAS", grant, exp=world.now + 60)
    assert await said(world, http, "IDVAS", "status", theirs) == ("refused", "NOT_FOUND")
    assert await said(world, http, "Peacock", "status", theirs) == ("refused", "UNKNOWN_KEY")


async def test_any_party_withdraws_and_nobody_else(world: World, http):
    grant, status = await agree(world, http, "IDVAS")
    unknown = world.grant("Peacock", "IDVAS")
    stranger = await said(world, http, "Harbour", "withdraw", world.withdrawal("Harbour", grant))
    absent = await said(world, http, "Harbour", "withdraw", world.withdrawal("Harbour", unknown))
    assert stranger == absent == ("refused", "NOT_FOUND")
    in_anothers_name = world.withdrawal("Peacock", grant)
    assert await said(world, http, "IDVAS", "withdraw", in_anothers_name) == ("refused", "NOT_ALLOWED")
    assert await said(world, http, "IDVAS", "withdraw", world.withdrawal("IDVAS", grant)) == (
        "recorded",
        None,
    )
    assert await said(world, http, "Peacock", "withdraw", world.withdrawal("Peacock", grant)) == (
        "repeat",
        None,
    )
    assert await said(world, http, "Peacock", "status", world.status("Peacock", grant, exp=world.now + 9)) == (
        "refused", "AGREEMENT_ENDED",
    )  # fmt: skip
    assert (await world.post_envelopes(http, "Peacock", resting(world, grant, status))).json()[
        "code"
    ] == "GRANT"


async def test_a_withdrawal_stops_what_waits_and_tells_both_sides(world: World, relay, http):
    grant, status = await agree(world, http, "IDVAS", "Harbour")
    sealed = resting(world, grant, status, "IDVAS", "Harbour")
    await world.post_envelopes(http, "Peacock", sealed)
    other = world.seal("Peacock", "IDVAS")
    await world.post_envelopes(http, "Peacock", other)
    (held,) = (await world.mailbox(http, "Harbour")).deliveries
    await world.post_receipts(http, "Harbour", world.receipt("Harbour", held, "collected"))
    size, withdrawal = relay.relay.log.size, world.withdrawal("Peacock", grant)
    answer = await world.post_statements(http, "Peacock", ("withdraw", withdrawal))
    assert answer.json()["results"][0] == {"status": "recorded", "stopped": 1, "code": None, "say": None}
    assert relay.relay.log.size == size + 2
    page = await world.mailbox(http, "IDVAS")
    assert [item.eid for item in page.head.items] == [other.eid]
    for party, kinds in (
        ("IDVAS", ["ended", "withdrawn"]),
        ("Harbour", ["ended", "recall"]),
        ("Peacock", ["recall", "withdrawn"]),
    ):
        notices = [n for n in (await world.mailbox(http, party)).head.notices if n.kind != "receipt"]
        assert sorted(n.kind for n in notices) == kinds
        assert all(n.evidence and n.evidence.t == withdrawal.text.decode() for n in notices)
        assert {n.gid for n in notices} == {grant.peek()["gid"]}
        about = {(n.eid, n.mid) for n in notices if n.kind != "ended"}
        assert about == {(sealed.eid, sealed.mid)}
    answer = await world.post_receipts(http, "IDVAS", world.receipt("IDVAS", held, "collected"))
    assert answer.json()["results"][0]["code"] == "ENDED"
    answer = await world.post_receipts(http, "Harbour", world.receipt("Harbour", held, "taken-on"))
    assert answer.json()["results"][0]["status"] == "recorded"


async def test_what_may_go_without_the_agreement_is_not_stopped(world: World, http):
    grant, status = await agree(world, http, "IDVAS")
    law = {**AGREED, "b6": "6c", "why_no": "E", "gw": ["CA89-47"], "child": True}
    duty = resting(world, grant, status, law=law, cls="SAFEGUARD")
    answer = await world.post_envelopes(http, "Peacock", duty)
    assert answer.status == 200, answer.body
    answer = await world.post_statements(http, "Peacock", ("withdraw", world.withdrawal("Peacock", grant)))
    assert answer.json()["results"][0]["stopped"] == 0
    assert [item.eid for item in (await world.mailbox(http, "IDVAS")).head.items] == [duty.eid]


async def test_a_grant_is_shown_to_its_parties_only(world: World, http):
    grant, status = await agree(world, http, "IDVAS")
    gid = grant.peek()["gid"]
    page = (await world.call(http, "IDVAS", "GET", f"/v1/grants/{gid}")).json()
    assert (page["grant"], page["status"], page["withdrawal"]) == (grant.to_json(), status.to_json(), None)
    stranger = await world.call(http, "Harbour", "GET", f"/v1/grants/{gid}")
    absent = await world.call(http, "Harbour", "GET", f"/v1/grants/{b64(secrets.token_bytes(16))}")
    assert (stranger.status, stranger.body) == (absent.status, absent.body)
    assert stranger.status == 404
    withdrawal = world.withdrawal("IDVAS", grant)
    await world.post_statements(http, "IDVAS", ("withdraw", withdrawal))
    page = (await world.call(http, "Peacock", "GET", f"/v1/grants/{gid}")).json()
    assert page["withdrawal"] == withdrawal.to_json()


async def test_nothing_is_released_after_a_withdrawal_was_acknowledged(world: World, http):
    """Withdrawals race with fetches and long polls: a page asked for after the acknowledgement never holds it."""
    for number in range(ROUNDS):
        grant, status = await agree(world, http, "IDVAS")
        waiting = asyncio.create_task(world.mailbox(http, "IDVAS", "wait=5&limit=64"))
        sealed = resting(world, grant, status)
        posted = asyncio.create_task(world.post_envelopes(http, "Peacock", sealed))
        if number % 3:
            assert (await posted).status == 200
        withdrawn = await world.post_statements(
            http, "Peacock", ("withdraw", world.withdrawal("Peacock", grant))
        )
        assert withdrawn.json()["results"][0]["status"] == "recorded"
        after = await world.mailbox(http, "IDVAS")
        assert (await posted).status in (200, 403)
        late = await world.mailbox(http, "IDVAS")
        for page in (after, late):
            assert sealed.eid not in {item.eid for item in page.head.items}
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        notices = tuple({notice.id for page in (after, late) for notice in page.head.notices})
        await world.post_receipts(http, "IDVAS", notices=notices)


async def test_what_she_ruled_out_stays_a_no_when_the_staple_is_long_forgotten(world: World, relay, http):
    """Not even a RED: a staple that was pruned must not turn "not this" into "no proof"."""
    grant = world.grant("Peacock", "IDVAS", pur=["HOUSING"])
    status = world.status("Peacock", grant)
    await world.post_statements(http, "Peacock", ("grant", grant), ("status", status))
    world.clock.advance(3 * 24 * 3600)
    await relay.sweeper.sweep()
    for rag in ("AMBER", "RED"):
        sealed = world.seal("Peacock", "IDVAS", grant=grant, status=status, rag=rag)
        answer = await world.post_envelopes(http, "Peacock", sealed)
        assert (answer.status, answer.json()["code"]) == (403, "GRANT")


async def test_several_statements_of_one_request_leave_the_last_of_them(world: World, relay, http):
    """As an agent posts them once the relay is there again: all in one turn, and before anything of it was stored."""
    wide = world.grant("Peacock", "IDVAS", cat=["ask", "needs", "risk"])
    narrow, least = (
        world.grant("Peacock", "IDVAS", **{**wide.peek(), "cat": cat, "limited": True, "ver": ver})
        for ver, cat in ((2, ["ask", "risk"]), (3, ["ask"]))
    )
    status = world.status("Peacock", wide)
    words = (
        ("grant", wide),
        ("status", status),
        ("grant", narrow),
        ("grant", narrow),
        ("grant", least),
        ("grant", wide),
    )
    answer = await world.post_statements(http, "Peacock", *words)
    assert [result["status"] for result in answer.json()["results"]] == [
        "recorded", "recorded", "recorded", "repeat", "recorded", "refused",
    ]  # fmt: skip
    page = await world.call(http, "IDVAS", "GET", f"/v1/grants/{wide.peek()['gid']}")
    assert page.json()["grant"]["t"] == least.text.decode()
    law = {**AGREED, "agree": "LIMITED", "agree_ver": 3}
    more = resting(world, least, status, categories=("ask", "risk"), law=law)
    for outside in (resting(world, wide, status), more):
        assert (await world.post_envelopes(http, "Peacock", outside)).json()["code"] == "GRANT"
    assert (await world.post_envelopes(http, "Peacock", resting(world, least, status, law=law))).status == 200


@pytest.mark.parametrize("last", ["grant", "status", "withdraw"])
async def test_an_agreement_that_was_made_limited_and_ended_in_one_request_has_ended(
    world: World, http, last
):
    wide = world.grant("Peacock", "IDVAS", cat=["ask", "risk"])
    narrow = world.grant("Peacock", "IDVAS", **{**wide.peek(), "cat": ["ask"], "limited": True, "ver": 2})
    status, gone = world.status("Peacock", wide), world.withdrawal("Peacock", wide)
    after = {"grant": narrow, "status": status, "withdraw": gone}[last]
    answer = await world.post_statements(
        http, "Peacock", ("grant", wide), ("grant", narrow), ("withdraw", gone), (last, after)
    )
    results = [(result["status"], result["code"]) for result in answer.json()["results"]]
    expected = ("repeat", None) if last == "withdraw" else ("refused", "AGREEMENT_ENDED")
    assert results == [("recorded", None)] * 3 + [expected]
    page = (await world.call(http, "IDVAS", "GET", f"/v1/grants/{wide.peek()['gid']}")).json()
    assert (page["grant"]["t"], page["withdrawal"]["t"]) == (narrow.text.decode(), gone.text.decode())
    assert (await world.post_envelopes(http, "Peacock", resting(world, wide, status))).status == 403


async def test_what_is_taken_is_what_agents_believe(world: World, http):
    """Agents hold each statement against its key at the statement's own time, so the relay does too."""
    began = world.directory.key(world.parties["IDVAS"].member.agent.consent.kid, Use.CONSENT, world.now).nbf
    early = world.grant("Peacock", "IDVAS", nbf=began - 1)
    assert await said(world, http, "Peacock", "grant", early) == ("refused", "STALE_KEY")
    world.clock.now = began + 60
    wide = world.grant("Peacock", "IDVAS", cat=["ask", "risk"], nbf=began)
    assert await said(world, http, "Peacock", "grant", wide) == ("recorded", None)
    less = {**wide.peek(), "cat": ["ask"], "limited": True, "ver": 2}
    for nbf, code in ((began - 1, "STALE_KEY"), (world.now + 301, "FUTURE")):
        narrow = world.grant("Peacock", "IDVAS", **{**less, "nbf": nbf})
        assert await said(world, http, "Peacock", "grant", narrow) == ("refused", code)
    before = world.status("Peacock", wide, ts=began - 1, exp=world.now + 60)
    assert await said(world, http, "Peacock", "status", before) == ("refused", "STALE_KEY")
    gone = world.withdrawal("IDVAS", wide, ts=began - 1)
    assert await said(world, http, "IDVAS", "withdraw", gone) == ("refused", "STALE_KEY")
    assert (await said(world, http, "IDVAS", "withdraw", world.withdrawal("IDVAS", wide)))[0] == "recorded"


@pytest.mark.parametrize("seconds", [301, DAY, 60 * DAY])
async def test_a_withdrawal_dated_back_is_to_be_signed_anew(world: World, http, seconds):
    grant, _ = await agree(world, http, "IDVAS")
    back = world.withdrawal("IDVAS", grant, ts=world.now - seconds)
    (result,) = (await world.post_statements(http, "IDVAS", ("withdraw", back))).json()["results"]
    assert (result["status"], result["code"]) == ("refused", "CLOCK")
    assert "sign it anew" in result["say"]
    assert await said(world, http, "IDVAS", "withdraw", world.withdrawal("IDVAS", grant)) == (
        "recorded",
        None,
    )
    assert (await said(world, http, "IDVAS", "withdraw", back))[
        0
    ] == "repeat"  # it has ended, whatever the date


async def test_a_party_that_dates_its_stop_back_stops_no_danger_that_was_told_before(
    world: World, relay, http
):
    """A RED on another basis went honestly; a stop by another agency, dated back as far as it may be, leaves it."""
    grant, status = await agree(world, http, "IDVAS")
    law = {**AGREED, "b6": "6f", "why_no": "B"}
    red = resting(world, grant, status, law=law, rag="RED")
    assert (await world.post_envelopes(http, "Peacock", red)).status == 200
    back = world.withdrawal("IDVAS", grant, ts=world.now - 300)
    assert await said(world, http, "IDVAS", "withdraw", back) == ("recorded", None)
    page = await world.mailbox(http, "IDVAS")
    assert [item.eid for item in page.head.items] == [red.eid]
    header = red.upload.envelope.header
    for by, allowed in (("IDVAS", 300), ("Peacock", 0)):
        for seconds, after in ((allowed, False), (allowed + 1, True)):
            ended = parse_withdrawal(world.withdrawal(by, grant, ts=header.ts - seconds))
            assert written_after(header, ended) == after
