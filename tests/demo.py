"""`make demo`: one referral, end to end, between real processes; and `make run`, which leaves them up.

Every line that it tells was checked: a step whose expectation does not hold ends the demonstration with exit 1.
The people in it are invented. The agencies are from the founding documents' own directory.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import json
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.canaries import canaries_of, search, spellings
from tests.town import BIN, DASS, IDVAS, PEACOCK, AgencyPlan, Ended, Said, Town, TownError, until

CASES = Path(__file__).parent / "cases"
CASE, AGREEMENT, RESPONSE = (CASES / f"{name}.json" for name in ("adult_referral", "agreement", "response"))
RUN_FOLDER = Path("run")
AGENCIES = (PEACOCK, IDVAS, DASS)
CARRIED = (
    "access", "ask", "contact", "crim", "digital", "hc", "health", "needs", "person", "reasons", "response", "risk",
    "staff_safety", "third_party", "wishes",
)  # fmt: skip
"""The kinds of information that she agreed to share."""
ENDS = {signal.SIGINT, signal.SIGTERM}


class Story:
    """What is told and what is recorded of it."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.started = time.monotonic()
        self.facts: dict[str, Any] = {}

    def tell(self, text: str) -> None:
        print(f"     {text}", flush=True)

    def expect(self, holds: object, what: str) -> None:
        """Raises TownError unless it holds; what holds is told."""
        if not holds:
            raise TownError(f"expected, and it is not so: {what}")
        self.tell(f"✓ {what}")

    @contextmanager
    def step(self, title: str) -> Iterator[dict[str, Any]]:
        number = len(self.steps) + 1
        print(f"\n {number:2}. {title}", flush=True)
        record: dict[str, Any] = {"name": title, "ok": False, "seconds": 0.0}
        self.steps.append(record)
        start = time.monotonic()
        try:
            yield record
            record["ok"] = True
        finally:
            record["seconds"] = round(time.monotonic() - start, 3)


class Demonstration:
    """The partnership, and the story that is played in it."""

    def __init__(self, town: Town, story: Story) -> None:
        self.town = town
        self.story = story

    # --- what people type

    def agent(self, plan: AgencyPlan, *words: str | Path, expect: int = 0) -> Any:
        said = self.town.run(
            "fenpost-agent", *words, "--dir", self.town.at(plan.key), "--json", expect=expect
        )
        return said.json()

    def audit(self, who: str, *words: str, expect: int | None = 0) -> Said:
        return self.town.run("fenpost-audit", *words, "--dir", self.town.at("officers", who), expect=expect)

    def state_of(self, plan: AgencyPlan, mid: str, until_state: str | None = None) -> dict[str, Any]:
        """Where a sent message stands at its one desk, waiting for a state if one is named."""
        wait = ["--until", until_state] if until_state else []
        return self.agent(plan, "status", mid, *wait)["desks"][0]

    # --- the steps

    def stand_up(self) -> None:
        with self.story.step("A partnership is founded, and three agencies join it") as record:
            self.town.found()
            self.story.tell(
                "oversight, its information-governance (IG) officer and the relay have keys; each agency gets partnership.json"
            )
            for plan in AGENCIES:
                self.town.join(plan)
            self.town.start_relay()
            for plan in AGENCIES:
                record[plan.key] = self.town.enrol(plan)
                self.story.tell(
                    f"{plan.name} reads its safety number aloud, {record[plan.key]}, and is enrolled"
                )
            for plan in AGENCIES:
                self.town.start_agent(plan)
            self.story.tell("one relay and three agents run, each a process of its own, over HTTP")

    def agree(self) -> str:
        with self.story.step(
            "At The Peacock Project a woman is asked, alone, whether her story may be passed on; she says yes"
        ) as record:
            record["gid"] = self._agreement(PEACOCK)
            self.story.tell(
                "how she was asked stays at the agency; the signed agreement that goes out names nobody"
            )
            record["other"] = self._agreement(DASS)
            self.story.tell(f"{DASS.name} records an agreement of its own, with another person")
            return record["gid"]

    def _agreement(self, plan: AgencyPlan) -> str:
        categories = [word for category in CARRIED for word in ("--category", category)]
        evidence = self.town.at("agreement.json")
        evidence.write_text(json.dumps(asked_lately(json.loads(AGREEMENT.read_text()))))
        answer = self.agent(
            plan,
            "consent",
            "give",
            "--to",
            IDVAS.name,
            "--purpose",
            "SUPPORT",
            "--evidence",
            evidence,
            *categories,
        )
        until(lambda: self.agent(plan, "consent", "show", answer["gid"])["at_the_relay"], "the relay has it")
        return answer["gid"]

    def refer(self, gid: str) -> str:
        with self.story.step(
            "Her full case record becomes a referral that holds only what its form may carry (amber: medium risk)"
        ) as record:
            sent = self._send(gid)
            left = {item["path"]: item["why"] for item in sent["left_out"]}
            record.update(mid=sent["mid"], left_out=len(left))
            self.story.tell(f"{len(left)} things of the case record stay where they are, each with a reason:")
            for path in ("refuge", "risk.answers", "person.legal_name", "harm_causers[0].name"):
                self.story.expect(path in left, f"left out: {path}. {left.get(path)}")
            return sent["mid"]

    def deliver(self, mid: str) -> str:
        with self.story.step("It is delivered, opened and taken on: three different things") as record:
            desk = self.state_of(PEACOCK, mid, "opened")
            self.story.expect(desk["state"] == "opened", f'the sender reads: "{desk["says"]}"')
            item = self.agent(IDVAS, "inbox")["items"][0]
            whole = self.agent(IDVAS, "show", item["id"])
            text = json.dumps(whole, ensure_ascii=False)
            case = json.loads(CASE.read_text())
            kept = [case["refuge"]["address"], case["person"]["legal_name"], case["harm_causers"][0]["name"]]
            self.story.expect(
                not any(word in text for word in kept),
                "the desk reads neither the refuge, nor her legal name, nor the name of who harmed her",
            )
            self.story.expect(
                case["wishes"]["wants"][0] in text, "the desk reads what she wants, in her words"
            )
            self.agent(IDVAS, "take-on", item["id"], "--role", "idva")
            desk = self.state_of(PEACOCK, mid, "taken-on")
            self.story.expect(desk["state"] == "taken-on", f'now the sender reads: "{desk["says"]}"')
            record.update(id=item["id"], states=[step["state"] for step in desk["steps"]])
            return item["id"]

    def respond(self, gid: str, answered: str) -> None:
        with self.story.step("Peterborough IDVAS answers every wish") as record:
            sent = self.agent(
                IDVAS,
                "send",
                "--kind",
                "referral.response",
                "--payload",
                RESPONSE,
                "--answers",
                answered,
                "--gid",
                gid,
            )
            record["mid"] = sent["mid"]
            desk = self.state_of(IDVAS, sent["mid"], "opened")
            item = self.agent(PEACOCK, "inbox")["items"][0]
            reply = self.agent(PEACOCK, "show", item["id"])["message"]
            self.story.expect(
                reply["outcome"] == "accepted", f"accepted, first contact by {reply['first_contact_by']}"
            )
            self.agent(PEACOCK, "take-on", item["id"], "--role", "outreach-worker")
            desk = self.state_of(IDVAS, sent["mid"], "taken-on")
            self.story.expect(desk["state"] == "taken-on", "The Peacock Project has taken the answer on")
            record["states"] = [step["state"] for step in desk["steps"]]

    def withdraw(self, gid: str, first: str) -> str:
        with self.story.step(
            "She withdraws her agreement while another message waits at the relay"
        ) as record:
            self.town.stop(IDVAS.key)
            mid = self._send(gid)["mid"]
            desk = self.state_of(PEACOCK, mid, "queued")
            self.story.expect(
                desk["state"] == "queued", f'IDVAS is offline; the second message: "{desk["says"]}"'
            )
            answer = self.agent(PEACOCK, "consent", "withdraw", gid)
            record.update(mid=mid, stopped=answer["stopped_at_the_relay"])
            self.story.expect(
                answer["stopped_at_the_relay"] == 1, "the relay stopped the one that waited, at once"
            )
            desk = self.state_of(PEACOCK, mid, "withdrawn")
            self.story.expect(desk["state"] == "withdrawn", f'the sender is told: "{desk["says"]}"')
            self.town.start_agent(IDVAS)
            until(lambda: self.agent(IDVAS, "consent", "show", gid)["state"] == "withdrawn", "IDVAS is told")
            self.story.expect(True, "IDVAS comes back and is told that the agreement was withdrawn")
            record["states"] = ["queued", desk["state"]]
            self.story.expect(
                not self.agent(IDVAS, "inbox")["items"], "nothing of the stopped message reached it"
            )
            marked = self.agent(IDVAS, "show", first)["agreement_withdrawn"]
            self.story.expect(marked, "the first message, taken on before, is marked: agreement withdrawn")
            return mid

    def refuse(self, gid: str) -> None:
        with self.story.step("The next one is refused, with a next step") as record:
            here = self._send(gid, expect=1)
            self.story.expect(
                not here["ok"], f"the agent refuses before it seals: {here['code']}: {here['say']}"
            )
            sent = self._send(gid, "--anyway")
            desk = self.state_of(PEACOCK, sent["mid"], "refused")
            self.story.expect(
                desk["state"] == "refused", f'sent all the same, the relay refuses: "{desk["says"]}"'
            )
            record.update(code=here["code"], mid=sent["mid"], states=[desk["state"]])

    def audit_log(self, mid: str) -> dict[str, Any]:
        with self.story.step(
            "The IG officer of The Peacock Project proves the log and reads her agency's entries"
        ) as record:
            self.pull(PEACOCK.key)
            verdict = self.audit(PEACOCK.key, "verify", "--json").json()
            self.story.expect(
                verdict["ok"], f"{verdict['entries']} entries, every one under the relay's signed root"
            )
            mine = self.audit(PEACOCK.key, "read", *self.officer_words(PEACOCK.key), "--json").json()
            events = [entry["event"] for entry in mine["entries"] if entry.get("mid") == mid]
            self.story.expect(
                {"accept", "taken-on"} <= set(events), f"of the referral she reads: {', '.join(events)}"
            )
            self.pull(DASS.key)
            other = self.audit(DASS.key, "read", *self.officer_words(DASS.key), "--json").json()
            seen = [entry["event"] for entry in other["entries"]]
            self.story.expect(
                seen == ["grant"],
                f"the officer of {DASS.name} opens her one entry; {other['closed']} stay closed to her",
            )
            record.update(
                entries=verdict["entries"], hers=len(mine["entries"]), closed_to_other=other["closed"]
            )
            return {"entries": verdict["entries"], "verified": verdict["ok"]}

    def seize(self) -> dict[str, Any]:
        with self.story.step(
            "Everything the relay has on disk is searched for everything in the case record"
        ) as record:
            case = [json.loads(path.read_text()) for path in (CASE, AGREEMENT, RESPONSE)]
            canaries = canaries_of(case, tuple(plan.name for plan in AGENCIES))
            paths = [p for p in [*self.town.relay.rglob("*"), self.town.at("relay.log")] if p.is_file()]
            found = search(paths, canaries)
            searched = {"canaries": len(canaries), "encodings": len(spellings("x")), "files": len(paths)}
            self.story.expect(
                not found,
                f"{len(canaries)} texts from the record, {searched['encodings']} spellings of each, {len(paths)} files: 0 found",
            )
            control = self.town.at("control")
            control.write_bytes(base64.b64encode(b"..." + canaries[0].encode()))
            self.story.expect(search([control], canaries), "and one that was planted beside them is found")
            record.update(searched)
            return {"searched": len(canaries) * searched["encodings"] * len(paths), "found": len(found)}

    def tamper(self) -> None:
        with self.story.step("One byte of the relay's log is changed behind its back") as record:
            self.town.stop("relay")
            where = change_a_byte(self.town.relay / "relay.db")
            record["changed"] = where
            self.story.tell(f"the relay is stopped; {where}")
            caught = self._caught()
            record["caught"] = caught
            self.story.expect(caught, f"caught: {caught}")

    def _caught(self) -> str:
        """Who notices: the relay at its start, or the next officer who pulls."""
        try:
            self.town.start_relay()
        except Ended:
            return "the relay refuses to start over a log that does not hold together"
        fresh = self.town.at("officers", IDVAS.key)
        pulled = self.pull(IDVAS.key, expect=None)
        if pulled.exit == 1:
            return pulled.err.strip().splitlines()[-1]
        verdict = self.town.run("fenpost-audit", "verify", "--dir", fresh, expect=None)
        return verdict.out.strip().splitlines()[0] if verdict.exit == 1 else ""

    # --- words that come again

    def _send(self, gid: str, *more: str, expect: int = 0) -> dict[str, Any]:
        return self.agent(
            PEACOCK, "send", "--kind", "referral.universal", "--case", CASE, "--to", f"{IDVAS.name}/{IDVAS.desk}",
            "--purpose", "SUPPORT", "--gid", gid, *more, expect=expect,
        )  # fmt: skip

    def officer_words(self, who: str) -> list[str]:
        return ["--passphrase-file", str(self.town.passphrase(f"officer-{who}"))]

    def pull(self, who: str, expect: int | None = 0) -> Said:
        partnership = str(self.town.partnership / "partnership.json")
        return self.audit(who, "pull", "--partnership", partnership, *self.officer_words(who), expect=expect)


def asked_lately(evidence: dict[str, Any]) -> dict[str, Any]:
    """The same evidence with dates that fit the day on which the demonstration is played."""
    today = datetime.datetime.fromtimestamp(time.time(), datetime.UTC).date()
    return {
        **evidence,
        "asked_on": str(today - datetime.timedelta(days=1)),
        "valid_until": str(today + datetime.timedelta(days=80)),
    }


def change_a_byte(database: Path) -> str:
    """Flip one bit of the sealed record in the middle of the log; says what was changed."""
    with sqlite3.connect(database) as db:
        size = db.execute("SELECT count(*) FROM records").fetchone()[0]
        index = size // 2
        record = bytearray(db.execute("SELECT relay FROM records WHERE idx = ?", (index,)).fetchone()[0])
        record[len(record) // 2] ^= 1
        db.execute("UPDATE records SET relay = ? WHERE idx = ?", (bytes(record), index))
    return f"one bit of entry {index} of {size} is flipped in its database"


def play(town: Town, story: Story) -> None:
    """The whole story; raises TownError where it does not go as told."""
    demo = Demonstration(town, story)
    demo.stand_up()
    gid = demo.agree()
    mid = demo.refer(gid)
    taken = demo.deliver(mid)
    demo.respond(gid, taken)
    demo.withdraw(gid, taken)
    demo.refuse(gid)
    story.facts["audit"] = demo.audit_log(mid)
    story.facts["canaries"] = demo.seize()
    demo.tamper()


def stay(town: Town, story: Story) -> None:
    """Stand the partnership up with one agreement on record, say what to try, and stay until Ctrl-C."""
    demo = Demonstration(town, story)
    demo.stand_up()
    gid = demo.agree()
    form = {
        "kind": "referral.universal",
        "case": json.loads(CASE.read_text()),
        "to": [{"agency": IDVAS.name, "desk": IDVAS.desk}],
        "gid": gid,
    }
    town.at("referral.json").write_text(json.dumps(form, indent=1))
    town.at("agreement").write_text(gid + "\n")
    shutil.copy(town.partnership / "partnership.json", town.at("partnership.json"))
    # Only now: a process that is started with a signal blocked never hears it.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    print(INVITATION.format(root=town.root), flush=True)
    signal.sigwait(ENDS)


INVITATION = """
 The partnership is up in {root}: a relay and three agents, one agreement on record. In a second terminal, from the
 same folder, type the five commands of the tour in README.md, or look around:

   .venv/bin/fenpost-agent status --dir {root}/peacock
   .venv/bin/fenpost-agent inbox --dir {root}/idvas --all
   .venv/bin/fenpost-agent doctor --dir {root}/idvas

 A JSON file dropped into {root}/peacock/OUT is sent too; what arrives is written to IN. Ctrl-C ends the processes.
"""


def main() -> int:
    """Exit 0 when everything went as told, 1 when anything did not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write what happened as JSON")
    parser.add_argument(
        "--stay", action="store_true", help="leave the partnership up instead of playing the story"
    )
    parser.add_argument("--folder", type=Path, default=RUN_FOLDER, help="where --stay keeps the partnership")
    parser.add_argument("--programs", type=Path, default=BIN, help="where the commands are")
    arguments = parser.parse_args()
    root = arguments.folder if arguments.stay else Path(tempfile.mkdtemp(prefix="fenpost-demo-"))
    if arguments.stay:
        shutil.rmtree(root, ignore_errors=True)
    town, story, ok = Town(root, arguments.programs), Story(), False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print("\n Fenpost: a referral, end to end. The people in it are invented.", flush=True)
    try:
        (stay if arguments.stay else play)(town, story)
        ok = True
    except TownError as error:
        print(f"\n     ✗ {error}\n\n     The folder is kept for a look: {root}", file=sys.stderr)
    finally:
        town.stop_all()
        seconds = round(time.monotonic() - story.started, 1)
        if arguments.json:  # also of what nobody expected, which ends this with a traceback
            write_report(arguments.json, town, story, ok, seconds)
    if ok and not arguments.stay:
        print(f"\n All of it held, in {seconds} seconds.\n")
        if arguments.json:  # whoever reads the report may want to search what it names
            print(
                f" The report is in {arguments.json}, and what it names in {root}: remove that when you are done.\n"
            )
        else:
            shutil.rmtree(root)
    return 0 if ok else 1


def write_report(path: Path, town: Town, story: Story, ok: bool, seconds: float) -> None:
    paths = {"relay_db": str(town.relay / "relay.db"), "root": str(town.root)}
    report = {"ok": ok, "seconds": seconds, "steps": story.steps, **story.facts, "paths": paths}
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
