"""Invitations with a real relay: one enrolment each, whoever races, whatever comes, and the same answer for no."""

import asyncio
import contextlib
import io
import json
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from keys_tooling.agency import read_enrolment
from keys_tooling.invite_line import InviteLine
from keys_tooling.invites import read_invitation
from schemas import api
from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.invite import ENROLMENT_LIMIT, Enrolling, enrolling, heard, invite_key, spoken
from tests.keys_tooling.admin_place import done, made, refused, run
from tests.keys_tooling.policy_place import served
from tests.simulated_world import World

DAY = 24 * 3600


@pytest.fixture
def world(tmp_path: Path) -> World:
    return made(tmp_path, "IDVAS")


@pytest.fixture
def joining(world: World) -> Path:
    """A new agency's folder, made with what oversight handed over."""
    return new_agency(world, "peacock", "The Peacock Project")


def new_agency(world: World, folder: str, name: str) -> Path:
    from keys_tooling.ceremony import make_officer
    from keys_tooling.officer import card_bytes

    card = world.folder / "officer.json"
    card.write_bytes(card_bytes(make_officer(secrets.token_bytes)[1]))
    place = ("--dir", world.folder / folder, "--name", name, "--desk", "referrals", "--officer", card)
    more = ("--partnership", world.folder / "oversight" / "partnership.json", "--demonstration-cost")
    done(world, "agency", "init", *place, *more)
    return world.folder / folder


def invited(world: World, name: str = "The Peacock Project", file: str = "invite.json", *more: str) -> Path:
    place = ("--partnership-dir", world.folder / "oversight", "--name", name, "--out", world.folder / file)
    done(world, "invite", "new", *place, *more)
    return world.folder / file


def hand_in(world: World, folder: Path, invitation: Path) -> dict:
    return done(world, "agency", "enrol", "--dir", folder, "--invite", invitation)


def pending(world: World) -> list[dict]:
    return done(world, "agency", "pending", "--partnership-dir", world.folder / "oversight")["pending"]


def said(world: World, folder: Path, invitation: Path) -> Enrolling:
    text = read_enrolment(folder).to_bytes().decode("ascii")
    return enrolling(read_invitation(invitation).bytes, text, world.parties["oversight"].id)


def post(world: World, *bodies: bytes, together: bool = False) -> list[tuple[int, dict]]:
    """Real requests, one after the other or all at once."""

    async def one(http: aiohttp.ClientSession, body: bytes) -> tuple[int, dict]:
        headers = {"Content-Type": api.JSON}
        async with http.post(api.ENROLMENTS, data=io.BytesIO(body), headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def every() -> list[tuple[int, dict]]:
        async with world.session() as http:
            if together:
                return list(await asyncio.gather(*(one(http, body) for body in bodies)))
            return [await one(http, body) for body in bodies]

    return asyncio.run(every())


def body(enrolling_: Enrolling, **changes: object) -> bytes:
    return json.dumps({**enrolling_.model_dump(), **changes}).encode()


# --- the whole way


def test_an_invited_agency_hands_in_its_enrolment_and_oversight_takes_it_in(world: World, joining: Path):
    with served(world):
        invitation = invited(world)
        first = hand_in(world, joining, invitation)
        assert first["was_handed_in"] is False
        rows = pending(world)
        assert [row["enrolment"]["name"] for row in rows] == ["The Peacock Project"]
        assert rows[0]["fault"] is None
        assert first["safety_number"] not in json.dumps(rows)
        place = ("--pending", "The Peacock Project", "--partnership-dir", world.folder / "oversight")
        assert refused(world, "agency", "enrol", *place, "--fingerprint", "1" * 30).code == "FINGERPRINT"
        taken = done(world, "agency", "enrol", *place, "--fingerprint", first["safety_number"])
        assert (taken["member"], taken["members"]) == (True, 2)
        assert pending(world) == []


def test_the_file_carried_by_hand_still_works(world: World, joining: Path):
    number = read_enrolment(joining).number
    with served(world):
        place = (
            joining / "enrolment.json",
            "--partnership-dir",
            world.folder / "oversight",
            "--fingerprint",
            number,
        )
        dry = done(world, "agency", "enrol", *place, "--dry-run")
        assert (dry["applied"], dry["posted"], dry["publishes"][-1]) == (False, 0, "admit")
        taken = done(world, "agency", "enrol", *place, "--yes")
        assert (taken["member"], taken["posted"]) == (True, len(dry["publishes"]))
        assert done(world, "agency", "enrol", *place, "--dry-run")["publishes"] == []


def test_oversight_is_warned_when_it_names_itself_otherwise(world: World):
    other = new_agency(world, "other", "The Peacock Projects")
    with served(world):
        hand_in(world, other, invited(world))
        assert pending(world)[0]["fault"] == "OTHER_NAME"
        result = run(world, "agency", "pending", "--partnership-dir", world.folder / "oversight")
        assert "CAREFUL        it names itself otherwise" in result.stdout


def test_handed_in_twice_is_the_same_and_another_enrolment_is_refused(world: World, joining: Path):
    other = new_agency(world, "other", "Harbour House")
    with served(world):
        invitation = invited(world)
        hand_in(world, joining, invitation)
        assert hand_in(world, joining, invitation)["was_handed_in"] is True
        assert refused(world, "agency", "enrol", "--dir", other, "--invite", invitation).code == "INVITE"
        assert [row["enrolment"]["name"] for row in pending(world)] == ["The Peacock Project"]


def test_of_fifty_at_once_exactly_one_is_taken(world: World, joining: Path):
    """The same invitation, fifty different enrolments that verify under it, on fifty connections at once."""
    with served(world):
        secret = read_invitation(invited(world)).bytes
        text = read_enrolment(joining).to_bytes().decode("ascii")
        oversight = world.parties["oversight"].id
        bodies = [body(enrolling(secret, text + " " * n, oversight)) for n in range(50)]
        answers = post(world, *bodies, together=True)
        assert sorted(status for status, _ in answers) == [200] + [403] * 49
        assert {said["code"] for status, said in answers if status == 403} == {"INVITE"}
        assert len(pending(world)) == 1


# --- no


def test_every_no_has_the_same_answer(world: World, joining: Path):
    with served(world):
        good = said(world, joining, invited(world))
        used = said(world, joining, invited(world, "Second", "second.json"))
        gone = said(world, joining, invited(world, "Third", "third.json"))
        over = said(world, joining, invited(world, "Fourth", "fourth.json", "--days", "1"))
        post(world, body(used))
        done(world, "invite", "withdraw", gone.mark[:12], "--partnership-dir", world.folder / "oversight")
        text = good.enrolment
        world.clock.advance(DAY)
        wrong = enrolling(secrets.token_bytes(16), text, world.parties["oversight"].id)
        answers = post(
            world,
            body(wrong),  # nobody made this invitation
            body(
                enrolling(
                    read_invitation(world.folder / "second.json").bytes,
                    text + " ",
                    world.parties["oversight"].id,
                )
            ),
            body(gone),
            body(over),
            body(good, sig=wrong.sig),  # the right key's name, another's signature
            body(good, enrolment=text + " "),  # changed on its way
            body(
                enrolling(
                    read_invitation(world.folder / "invite.json").bytes, text, world.parties["IDVAS"].id
                )
            ),
        )
        assert {status for status, _ in answers} == {403}
        assert len({json.dumps(said, sort_keys=True) for _, said in answers}) == 1
        assert answers[0][1]["code"] == "INVITE"
        assert post(world, body(good))[0] == (200, {"status": "taken"})


def test_what_is_too_big_or_no_enrolment_is_refused(world: World):
    oversight = world.parties["oversight"].id
    with served(world):
        secret = read_invitation(invited(world)).bytes
        big = enrolling(secret, " " * ENROLMENT_LIMIT, oversight)
        answers = post(
            world,
            body(big, enrolment=" " * (ENROLMENT_LIMIT + 1)),
            b"{" + b" " * (2 * ENROLMENT_LIMIT + 8192) + b"}",
            *(
                body(enrolling(secret, text, oversight))
                for text in ("", "{}", "[]", '{"enrolment":{},"statements":[]}')
            ),
            b"",
            b"\xff",
            b'{"key":"","enrolment":"","sig":""}',
        )
        assert [status for status, _ in answers] == [400, 413, 400, 400, 400, 400, 400, 400, 400]
        assert pending(world) == []
        assert (
            done(world, "invite", "list", "--partnership-dir", world.folder / "oversight")["invites"][0][
                "state"
            ]
            == "good"
        )


def test_only_oversight_makes_invitations_and_sees_what_came(world: World):
    async def ask() -> list[int]:
        mark = invite_key(secrets.token_bytes(16)).kid
        invite = {"act": "invite", "mark": mark, "until": world.now + DAY}
        async with world.session() as http:
            found = [
                await world.call(http, "IDVAS", "POST", api.INVITES, body=json.dumps(invite).encode()),
                await world.call(http, "IDVAS", "GET", api.INVITES),
                await world.call(http, "IDVAS", "GET", api.ENROLMENTS, f"mark={mark}"),
                await world.call(http, "oversight", "GET", api.ENROLMENTS, f"mark={mark}"),
            ]
            long = json.dumps({**invite, "until": world.now + 31 * DAY}).encode()
            found.append(await world.call(http, "oversight", "POST", api.INVITES, body=long))
            return [answer.status for answer in found]

    with served(world):
        assert asyncio.run(ask()) == [403, 403, 403, 404, 400]


# --- the invitation itself


def test_the_secret_is_in_the_invitations_file_alone(world: World, joining: Path):
    with served(world):
        invitation = invited(world)
        secret = read_invitation(invitation).bytes
        hand_in(world, joining, invitation)
    assert invitation.stat().st_mode & 0o777 == 0o600
    store = world.folder / "relay" / "relay.db"
    with sqlite3.connect(store) as database:
        row = database.execute("SELECT mark, text FROM invites").fetchone()
    database.close()
    assert b64(row[0]) == invite_key(secret).kid
    for path in (*world.folder.rglob("*.json"), *world.folder.rglob("relay.db*")):
        if path != invitation:
            assert secret not in path.read_bytes()
            assert b64(secret).encode() not in path.read_bytes()


def test_a_line_typed_from_paper_gives_the_same_secret():
    for _ in range(50):
        secret = secrets.token_bytes(16)
        line = spoken(secret)
        assert heard(line) == heard(line.upper().replace(" ", "-")) == secret
        at = secrets.randbelow(len(line))
        if line[at] != " ":
            other = "a" if line[at] != "a" else "b"
            spoiled = line[:at] + other + line[at + 1 :]
            if spoiled != line:
                with pytest.raises(Refusal, match="INVITE"):
                    heard(spoiled)


@pytest.mark.parametrize("text", ["", "aaaa", "0189", "a" * 29, "a" * 31, "ä" * 29])
def test_a_line_that_is_none_is_refused_before_anything_is_sent(text: str):
    with pytest.raises(Refusal, match="INVITE"):
        heard(text)


def test_a_name_that_looks_like_a_members_is_not_invited(world: World, tmp_path: Path):
    place = ("--partnership-dir", world.folder / "oversight", "--out", tmp_path / "x.json", "--name")
    with served(world):
        assert refused(world, "invite", "new", *place, "lDVAS").code == "NAME"
    assert not (tmp_path / "x.json").exists()


# --- stopped half-way


def test_an_invitation_that_the_relay_did_not_hear_of_is_made_good_when_it_is_typed_again(
    world: World, joining: Path
):
    place = ("--partnership-dir", world.folder / "oversight", "--name", "The Peacock Project")
    typed = ("invite", "new", *place, "--out", world.folder / "invite.json")
    with served(world), unheard():
        assert refused(world, *typed).code == "RELAY_AWAY"
    first = (world.folder / "invite.json").read_bytes()
    assert refused(world, *typed).code == "RELAY_AWAY"  # the relay is away altogether, and nothing is lost
    with served(world):
        other = ("invite", "new", *place[:3], "Harbour House", "--out", world.folder / "invite.json")
        assert refused(world, *other).code == "EXISTS"
        world.clock.advance(60)
        again = done(world, *typed)
        assert (again["was_made"], again["until"]) == (True, json.loads(first)["until"])
        assert (world.folder / "invite.json").read_bytes() == first
        assert len(list((world.folder / "oversight" / "invites").iterdir())) == 1
        assert refused(world, *typed).code == "EXISTS"
        hand_in(world, joining, world.folder / "invite.json")
        assert [row["fault"] for row in pending(world)] == [None]


def test_what_is_only_tried_makes_nothing_and_tells_nobody_also_where_it_was_begun(world: World):
    place = ("--partnership-dir", world.folder / "oversight", "--name", "The Peacock Project")
    typed, own = (
        ("invite", "new", *place, "--out", world.folder / "invite.json"),
        world.folder / "oversight" / "invites",
    )
    with served(world):
        shown = run(world, *typed, "--dry-run")
        assert "the relay takes one enrolment from whoever has it, until 2026-12-06 00:00 UTC" in shown.stderr
        assert (own.exists(), (world.folder / "invite.json").exists()) == (False, False)
        with unheard():
            refused(world, *typed)
        assert done(world, *typed, "--dry-run")["applied"] is False
        assert done(world, "invite", "list", *place[:2])["invites"] == []
        assert done(world, *typed)["was_made"] is True
        assert [one["state"] for one in done(world, "invite", "list", *place[:2])["invites"]] == ["good"]


def test_an_invitation_whose_time_ended_before_the_relay_heard_of_it_is_not_made_good(world: World):
    place = ("--partnership-dir", world.folder / "oversight", "--name", "The Peacock Project", "--days", "1")
    typed = ("invite", "new", *place, "--out", world.folder / "invite.json")
    with served(world):
        with unheard():
            refused(world, *typed)
        world.clock.advance(DAY)
        late = refused(world, *typed)
        assert (late.code, "Destroy invite.json" in late.say) == ("INVITE", True)
        (world.folder / "invite.json").unlink()
        done(world, *typed)
        assert len(list((world.folder / "oversight" / "invites").iterdir())) == 1


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """The wire breaks before an invitation is posted."""

    async def broken(self: InviteLine, _invite: object) -> None:
        raise Refusal("RELAY_AWAY")

    post, InviteLine.post_invite = InviteLine.post_invite, broken
    try:
        yield
    finally:
        InviteLine.post_invite = post


def test_an_old_invitation_and_what_came_with_it_are_forgotten(world: World, joining: Path):
    with served(world):
        hand_in(world, joining, invited(world))
    world.clock.advance(14 * DAY + 30 * DAY + 1)

    async def sweep() -> None:
        from broker.sweeping import Pruning

        async with world.relay() as running:
            await running.sequencer.submit(Pruning())

    asyncio.run(sweep())
    with sqlite3.connect(world.folder / "relay" / "relay.db") as database:
        assert database.execute("SELECT count(*) FROM invites").fetchone() == (0,)
    database.close()
