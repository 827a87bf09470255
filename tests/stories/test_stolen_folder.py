"""The compromise drill: a thief copies an agency's whole folder, and every thing that must happen then happens.

Real commands, real processes, real HTTP; the thief has the agency's own program, and one of his own (tests.stories.thief).
The drill is played once; each test is one fact of it. It takes long because it founds a partnership of its own.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from agent.tables import inbox
from schemas.chain import Chain
from schemas.envelope import Delivery
from schemas.keys import SigningKey, Use
from tests.case_system import Line
from tests.forked import programs
from tests.stories import thief as thieves
from tests.stories.thief import Folder, Lying
from tests.storm.test_rotations import LAW, REFERRAL
from tests.town import DASS, PEACOCK, SARC, AgencyPlan, Town, TownError, until

QUEUED = 3
LIMIT = 60.0
"""Seconds after which a running peer must have obeyed a revocation."""


class Drill:
    """What was seen, in the order of the night. Everything public here is a fact of some test."""

    def __init__(self, root: Path) -> None:
        self.town = Town(root, programs())
        self.sent: dict[str, str] = {}
        self.mids: dict[str, str] = {}

    def play(self) -> None:
        self._found()
        self._rob()
        self._run_twice()
        self._queue()
        asyncio.run(self._end())
        self._list()
        self._recover()
        asyncio.run(self._return())
        asyncio.run(self._take_over())
        self._work_again()
        asyncio.run(self._hand_out())

    # --- how people do things

    def own(self, plan: AgencyPlan) -> Folder:
        return Folder(self.town.at(plan.key), self.town.passphrase(plan.key))

    def ask(
        self, plan: AgencyPlan, method: str, path: str, value: object = None, key: str | None = None
    ) -> Any:
        with closing(Line(self.town.at(plan.key))) as line:
            return line.ask(method, path, value, key)

    def send(self, plan: AgencyPlan, name: str, to: AgencyPlan = PEACOCK) -> str:
        said = self.ask(plan, "POST", "/v1/messages", message(to, name), name)
        self.mids[name] = said["mid"]
        return said["mid"]

    def state(self, plan: AgencyPlan, name: str) -> str:
        return self.ask(plan, "GET", f"/v1/messages/{self.mids[name]}")["desks"][0]["state"]

    def reaches(self, plan: AgencyPlan, name: str, *states: str) -> None:
        try:
            until(lambda: self.state(plan, name) in states, f"{name} is {states}")
        except TownError as error:
            raise TownError(f"{error}; it is {self.state(plan, name)}, {self.status(plan)}") from error

    def got(self, plan: AgencyPlan = PEACOCK) -> list[dict[str, Any]]:
        return self.ask(plan, "GET", "/v1/inbox?all=1")["items"]

    def status(self, plan: AgencyPlan) -> dict[str, Any]:
        return self.ask(plan, "GET", "/v1/status")

    def officer(self, who: str) -> tuple[str | Path, ...]:
        return (
            "--dir",
            self.town.at("officers", who),
            "--passphrase-file",
            self.town.passphrase(f"officer-{who}"),
        )

    def keys(self, *words: str | Path, who: str, expect: int | None = 0) -> dict[str, Any]:
        said = self.town.run(
            "fenpost-keys", *words, "--passphrase-file", self.town.passphrase(who), "--json", expect=expect
        )
        return json.loads(said.out) if said.out else {"say": said.err}

    def lent(self, who: str) -> tuple[str | Path, ...]:
        folder = self.town.at("officers", who)
        words = self.town.passphrase(f"officer-{who}")
        return ("--officer", folder / "officer.fpk", "--officer-passphrase-file", words)

    def audit(self, who: str, *words: str) -> dict[str, Any]:
        return self.town.run("fenpost-audit", *words, *self.officer(who), "--json").json()

    # --- the night

    def _found(self) -> None:
        town, plans = self.town, (PEACOCK, DASS, SARC)
        town.found()
        with ThreadPoolExecutor(2) as hands:
            list(hands.map(town.join, plans))
        town.start_relay()
        for plan in plans:
            town.enrol(plan)
            settings = town.at(plan.key, "agent.toml")
            settings.write_text(settings.read_text() + "wait = 2\nwitness_every = 3600\n")
            safe = town.at("safe", plan.key)
            safe.mkdir(parents=True)
            town.at(plan.key, "next-roots.fpk").rename(safe / "next-roots.fpk")
        with ThreadPoolExecutor(3) as hands:
            list(hands.map(town.start_agent, plans))
        for plan in plans:
            until(
                lambda p=plan: self.status(p)["directory_fresh"] and not self.status(p)["relay"]["code"],
                "it runs",
            )
        self.send(DASS, "before")
        self.reaches(DASS, "before", "opened")

    def _rob(self) -> None:
        """Everything is switched off for a night; an agency that writes a message then is not heard of until morning."""
        town = self.town
        town.stop(PEACOCK.key)
        town.stop("relay")
        self.send(SARC, "offline")
        town.stop(SARC.key)
        self.robbed = int(time.time())
        self.thief = thieves.copied(town.at(PEACOCK.key), town.passphrase(PEACOCK.key), town.at("thief"))
        self.stolen = asyncio.run(self.thief.held())
        self.stolen_files = sorted(path.name for path in self.thief.home.iterdir())
        town.start_relay()
        town.start_agent(PEACOCK)

    def _run_twice(self) -> None:
        twin = AgencyPlan("thief", PEACOCK.name, PEACOCK.desk)
        self.town.start_agent(twin)
        self.send(DASS, "in the night")
        self.reaches(DASS, "in the night", "opened")
        both = (PEACOCK, twin)
        until(lambda: all(self.status(plan)["two_agents"] for plan in both), "both know that they are two")
        self.met = [self.status(plan)["two_agents"] for plan in both]
        said = self.town.run("fenpost-agent", "doctor", "--dir", self.town.at(PEACOCK.key), expect=1)
        self.doctor = said.out
        self.night = {"thief": self.got(twin), "agency": self.got(PEACOCK)}
        self.town.stop("thief")
        self.town.stop(PEACOCK.key)  # the agency was rung, and stops its agent

    def _queue(self) -> None:
        for number in range(QUEUED):
            self.send(DASS, f"queued {number}")
        for number in range(QUEUED):
            self.reaches(DASS, f"queued {number}", "queued")

    async def _end(self) -> None:
        """Two people in two roles end the keys, while the thief waits at the agency's mailbox."""
        town, charter = self.town, self.town.partnership / "partnership.json"
        waiting = town.at("emergency.json")
        await asyncio.to_thread(
            self.keys, "emergency", "start", "--agency", PEACOCK.name, "--since", iso(self.robbed), "--out", waiting,
            "--key", town.at("officers", PEACOCK.key, "officer.fpk"), "--partnership", charter,
            who=f"officer-{PEACOCK.key}",
        )  # fmt: skip
        upload = await self.thief.sealed(message(DASS, "false"))
        self.false = upload
        async with self.thief.line() as line:
            self.read = (
                await line.mailbox()
            ).deliveries  # he can until the last moment, and reads what waits
        knocking = asyncio.create_task(thieves.knock(self.thief))
        await asyncio.to_thread(
            self.keys, "emergency", "sign", waiting, "--yes", "--key", town.partnership / "admin.fpk",
            "--partnership", charter, who="partnership",
        )  # fmt: skip
        self.attempted = await thieves.attempts(self.thief, upload, await self._end_of_chain())
        self.accomplice = await self._by_another_door()
        self.knocks = await knocking
        await self._peers(max(at for at, code in self.knocks if code == "done"))

    async def _end_of_chain(self) -> Chain:
        """The end of the agency's chain, which an accomplice who may read the directory tells him."""
        mine = (await thieves.view_of(self.own(DASS))).agencies[self.thief.agent().agency]
        return Chain(mine.id, self.thief.admin().op, mine.seq, mine.head)

    async def _by_another_door(self) -> list[str]:
        chain = await self._end_of_chain()
        async with self.own(DASS).line() as line:
            return await thieves.said(line, thieves.adds(chain, Use.AUTH, SigningKey(bytes(range(32)))))

    async def _peers(self, began: float) -> None:
        """A running peer is asked to seal to the old key, until it refuses; what it sealed meanwhile the relay refuses."""
        self.sealed_late = 0
        while True:
            try:
                await asyncio.to_thread(self.send, DASS, f"late {self.sealed_late}")
            except AssertionError as refusal:
                self.peer_says, self.obeyed = str(refusal), time.time() - began
                return
            self.sealed_late += 1
            assert time.time() - began < 2 * LIMIT, "the peer goes on sealing"
            await asyncio.sleep(1.0)

    def _list(self) -> None:
        """The officer lists what was within the thief's reach, from the log alone."""
        town, who = self.town, PEACOCK.key
        partnership = town.partnership / "partnership.json"
        town.run("fenpost-audit", "pull", "--partnership", partnership, *self.officer(who))
        said = town.run(
            "fenpost-audit", "read", *self.officer(who), "--json", expect=1
        )  # for what the thief may have said
        self.log = said.json()
        since, until_ = iso(self.robbed), iso(int(time.time()) + 1)
        rows = [
            self.audit(
                who,
                "query",
                "left",
                "--key",
                key.kid,
                "--since",
                since,
                "--until",
                until_,
                "--reason",
                "breach",
            )
            for key in self.stolen
        ]
        self.left = {
            row["message"] for answer in rows for row in answer["rows"] if row["how"] == "sealed to it"
        }
        made = self.audit(
            who, "report", "breach", "--agency", PEACOCK.name, "--since", since, "--to", str(town.at("reports")),
            "--reason", "breach",
        )  # fmt: skip
        page = "".join(Path(path).read_text() for path in made["files"])
        self.reported = {mid for mid in self.mids.values() if mid in page}

    def _recover(self) -> None:
        town, home = self.town, self.town.at(PEACOCK.key)
        self.recovered = self.keys(
            "recover", "agent", "--dir", home, "--copied", *self.lent(PEACOCK.key), "--yes", "--demonstration-cost",
            who=PEACOCK.key,
        )  # fmt: skip
        assert self.recovered["applied"]
        assert town.at(PEACOCK.key, "agent.db").exists()

    async def _return(self) -> None:
        """The sender that was off comes back; what waits is looked at before the agency's agent runs again."""
        await asyncio.to_thread(self.town.start_agent, SARC)
        await asyncio.to_thread(self.reaches, SARC, "offline", "queued")
        async with self.own(PEACOCK).line() as line:
            page = (await line.mailbox()).deliveries
        new = tuple(prekey.key for prekey in self.own(PEACOCK).agent().prekeys)
        found = {Delivery.parse(data).envelope.header: data for data in page}
        (header,) = (one for one in found if one.sender.a == self.own(SARC).agent().agency)
        late, self.sealed_afresh = found.pop(header), header.mid
        self.offline = {
            "thief opens": thieves.opens(late, self.stolen),
            "agency opens": thieves.opens(late, new),
        }
        self.others = [thieves.opens(data, self.stolen) for data in found.values()]
        await asyncio.to_thread(self.town.start_agent, PEACOCK)
        for name in (*(f"queued {n}" for n in range(QUEUED)), "offline"):
            plan = SARC if name == "offline" else DASS
            await asyncio.to_thread(self.reaches, plan, name, "opened")
        waited = {*(self.mids[f"queued {n}"] for n in range(QUEUED)), self.sealed_afresh}
        await asyncio.to_thread(  # a sender hears of it before: what is opened is handed over once the relay has that on record
            until, lambda: waited <= {item["mid"] for item in self.got()}, "all of it is handed over"
        )
        self.inbox = await asyncio.to_thread(self.got)
        self.renewed = self.town.at(f"{PEACOCK.key}.log").read_text().count('"renewed"')
        self.after = await asyncio.to_thread(self.status, PEACOCK)

    # --- the second thief: he has SARC's folder, and with it the operational key

    async def _take_over(self) -> None:
        town = self.town
        copy = thieves.copied(town.at(SARC.key), town.passphrase(SARC.key), town.at("second-thief"))
        his, op, request = (SigningKey(bytes([n]) * 32) for n in (1, 2, 3))
        view = await thieves.view_of(copy)
        mine, keys = view.agencies[copy.agent().agency], copy.agent()
        chain, self.first_false = Chain(mine.id, copy.admin().op, mine.seq, mine.head), mine.seq + 1
        async with copy.line() as line:
            self.took = await thieves.said(
                line, thieves.adds(chain, Use.MSG, his), thieves.adds(chain, Use.AUTH, request),
                chain.rotate_op(op, int(time.time())),
            )  # fmt: skip
        await asyncio.to_thread(
            until, lambda: self.status(SARC)["own_doubt"], "the agency's agent is alarmed"
        )
        self.alarmed = await asyncio.to_thread(self.status, SARC)
        now = int(time.time())
        officers = [kid for kid, key in mine.keys.items() if key.use is Use.IG_AUTH]
        async with copy.line(request) as line:  # and he locks everybody else out
            ended = [
                chain.revoke(kid, "lost", now, now) for kid in (keys.auth.kid, keys.renew.kid, *officers)
            ]
            self.locked_out = await thieves.said(line, *ended)
            roots = town.at("second-thief", "roots.fpk")
            self.with_old_roots = await asyncio.to_thread(self._by_roots, roots, "second-thief")
            self.outrun = await asyncio.to_thread(
                self._by_roots, town.at("safe", SARC.key, "next-roots.fpk"), SARC.key
            )
            self.his_door = await thieves.refused(line.directory(0))
        view = await thieves.view_of(self.own(DASS))
        mine = view.agencies[mine.id]
        again = Chain(mine.id, op, mine.seq, mine.head)
        async with self.own(SARC).line() as line:  # the agency's own request key works again
            self.his_word = await thieves.said(
                line,
                again.rotate_op(SigningKey(bytes([4]) * 32), int(time.time())),
                thieves.adds(again, Use.AUTH, op),
            )
        self.voided = {
            name: view.published(key.kid).reason for name, key in (("msg", his), ("auth", request))
        }
        self.stands = {kid: mine.keys[kid].revoked for kid in (keys.auth.kid, keys.renew.kid, *officers)}
        self.his = his

    def _by_roots(self, roots: Path, who: str) -> dict[str, Any]:
        words = ("--dir", self.town.at(who), "--roots", roots, "--void-from", str(self.first_false))
        return self.keys(
            "recover",
            "op",
            *words,
            *self.lent("oversight"),
            "--yes",
            "--demonstration-cost",
            who=SARC.key,
            expect=None,
        )

    def _work_again(self) -> None:
        """People say that they know of what the thief did and of how it ended; then the agency sends."""
        waits = self.status(SARC)["own_statements"]
        self.ask(SARC, "POST", "/v1/acknowledged", {"statements": [one["n"] for one in waits]})
        self.send(SARC, "afterwards")
        self.reaches(SARC, "afterwards", "opened")
        self.town.stop(DASS.key)

    async def _hand_out(self) -> None:
        """The peer's own agent, on what it believed until now, behind a relay that lets the first thief's message pass."""
        home, stolen = self.own(DASS), self.thief.agent().msg.kid
        Lying.desk, Lying.hands_out = DASS.desk, (thieves.delivery_of(self.false, home.agent().agency),)
        agent = await home.opened(Lying)
        try:
            self.believed = {
                name: agent.book.latest.published(kid)
                for name, kid in (("first", stolen), ("second", self.his.kid))
            }
            await agent.inbox.collect(0)
            rows = await agent.store.run(lambda c: c.execute(select(inbox)).all())
        finally:
            await agent.close()
        self.handed_out = [(row.state, row.code) for row in rows]


def message(to: AgencyPlan, name: str) -> dict[str, Any]:
    return {
        "kind": "referral.universal",
        "payload": {**REFERRAL, "reply_to": {"desk": "duty"}},
        "to": [{"agency": to.name, "desk": to.desk}],
        "case_ref": re.sub(r"\W", "-", name),
        "law": LAW,
    }


def iso(ts: int) -> str:
    return datetime.datetime.fromtimestamp(ts, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    found = Drill(tmp_path_factory.mktemp("drill") / "town")
    try:
        found.play()
        yield found
    finally:
        found.town.stop_all()


# --- a second agent


def test_the_agencys_folder_holds_everything_that_its_machine_needs_and_no_officers_key(drill: Drill):
    assert {"admin.fpk", "agent.fpk", "agent.db", "api.token", "passphrase"} <= set(drill.stolen_files)
    assert not {"officer.fpk", "next-roots.fpk"} & set(drill.stolen_files)


def test_both_agents_know_that_two_run_and_the_agencys_people_are_told_what_to_do(drill: Drill):
    assert all(drill.robbed <= met <= drill.robbed + 600 for met in drill.met)
    assert "LOOK  one agent: TWO_AGENTS" in drill.doctor


def test_the_officer_reads_in_the_log_that_two_ran(drill: Drill):
    assert [entry["event"] for entry in drill.log["entries"]].count("two-agents") == 1


def test_the_officer_sees_which_receipts_since_the_theft_anybody_may_have_signed(drill: Drill):
    marked = {(entry["mid"], entry["event"]) for entry in drill.log["entries"] if entry["faults"]}
    assert marked == {(drill.mids["in the night"], event) for event in ("collected", "opened")}


# --- ended by two people


def test_the_relay_refuses_the_thief_from_the_request_after_the_revocation_on(drill: Drill):
    codes = [code for _, code in drill.knocks]
    first = codes.index("UNAUTHENTICATED")
    assert first > 0
    assert set(codes[:first]) == {"done"}
    assert set(codes[first:]) == {"UNAUTHENTICATED"}


def test_every_key_in_the_folder_is_refused_at_every_door(drill: Drill):
    assert len(drill.attempted) == 13
    assert {name: code for name, code in drill.attempted.items() if code != "UNAUTHENTICATED"} == {}


def test_another_member_cannot_hand_in_what_the_thief_signed(drill: Drill):
    assert drill.accomplice == ["NOT_ALLOWED"]


def test_a_running_peer_seals_no_more_to_the_old_keys_within_a_minute(drill: Drill):
    print(f"\n  a running peer refused to seal {drill.obeyed:.1f} s after the relay had taken the revocation")
    assert drill.obeyed <= LIMIT
    assert "KEY" in drill.peer_says


def test_a_running_peer_refuses_what_the_stolen_key_signed_although_a_relay_hands_it_out(drill: Drill):
    assert drill.believed["first"].reason == "compromised"
    assert drill.handed_out.count(("rejected", "REVOKED_KEY")) == 1


# --- what he could have read


def test_the_officer_lists_from_the_log_exactly_what_was_sent_to_the_agency_meanwhile(drill: Drill):
    names = ("in the night", *(f"queued {number}" for number in range(QUEUED)))
    meanwhile = {drill.mids[name] for name in names}
    assert drill.left == meanwhile
    assert drill.reported == meanwhile


def test_the_thief_could_read_what_the_list_says(drill: Drill):
    assert len(drill.read) == QUEUED
    assert all(thieves.opens(data, drill.stolen) for data in drill.read)


# --- the agency goes on


def test_all_that_waited_is_opened_once_and_every_sender_sees_it(drill: Drill):
    mids = [item["mid"] for item in drill.inbox]
    waited = [*(drill.mids[f"queued {number}"] for number in range(QUEUED)), drill.sealed_afresh]
    assert [mids.count(mid) for mid in waited] == [1] * len(waited)
    assert {item["state"] for item in drill.inbox} == {"opened"}
    assert mids.count(drill.mids["before"]) == 1  # the store of before is the store of now
    assert drill.after["own_doubt"] is None
    assert drill.renewed == 0  # it found its new keys in the directory, and made no others


def test_what_came_in_the_night_was_opened_by_the_thief_or_the_agency_and_the_list_names_it(drill: Drill):
    mid = drill.mids["in the night"]
    assert mid in {item["mid"] for found in drill.night.values() for item in found}
    assert mid in drill.left


def test_a_sender_that_was_off_does_not_use_the_old_key_and_the_thief_opens_nothing_of_it(drill: Drill):
    assert drill.offline == {"thief opens": False, "agency opens": True}
    assert drill.others == [True] * QUEUED  # the same attempt opens what was sealed before


# --- the operational key


def test_a_thief_with_the_operational_key_alarms_the_agency(drill: Drill):
    assert drill.took == ["recorded"] * 3
    assert drill.alarmed["own_doubt"] == "OWN_STATEMENT"
    assert "replaced the administrator's key" in json.dumps(drill.alarmed["own_statements"])


def test_the_roots_that_were_in_the_folder_give_him_nothing(drill: Drill):
    assert "ROOT_UNKNOWN" in drill.with_old_roots["say"]


def test_the_agency_outruns_him_with_the_roots_from_its_safe_although_he_locked_it_out(drill: Drill):
    assert drill.locked_out == ["recorded"] * 3
    assert drill.outrun["applied"]
    assert drill.his_door == "UNAUTHENTICATED"
    assert drill.his_word == ["DIRECTORY", "DIRECTORY"]
    assert drill.voided == {"msg": "voided", "auth": "voided"}
    assert set(drill.stands.values()) == {None}


def test_a_running_peer_believes_the_thiefs_keys_no_more(drill: Drill):
    assert drill.believed["second"].reason == "voided"


def test_the_agency_sends_again_with_its_own_keys(drill: Drill):
    assert drill.state(SARC, "afterwards") == "opened"
