"""What `agency enrol` and `agency pending` do: an agency hands its enrolment in, oversight takes it in."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from keys_tooling import admission, invites, own_side
from keys_tooling import agency as making
from keys_tooling.admission import Oversight
from keys_tooling.carrying_out import carried_out, given, said
from keys_tooling.change import Change
from keys_tooling.console import World, report, shown, tell
from keys_tooling.enrolment import Enrolment, check_fingerprint
from keys_tooling.invite_line import InviteLine
from keys_tooling.invites_main import asked_as_oversight
from keys_tooling.keyfiles import read_public
from keys_tooling.line import asked
from keys_tooling.partnership import PARTNERSHIP
from keys_tooling.plan import Facts
from schemas.errors import Refusal
from schemas.invite import enrolling as signed_enrolment
from schemas.invite import heard
from schemas.partnership import FILE_LIMIT, Partnership

FAULTS = {
    "NOT_INVITED": "this folder has no record of the invitation: ask who made it before you take it in",
    "OTHER_NAME": "it names itself otherwise than you invited it",
}


def hand_in(world: World, folder: Path, invitation: Path | None, *, as_json: bool) -> None:
    """At the agency: post the enrolment with the invitation. No passphrase is needed: nothing secret is opened.

    Raises:
        Refusal: INVITE (not good, another partnership's, mistyped), RELAY_AWAY, TOO_BIG, LIMITED, FILE.
    """
    partnership = Partnership.parse(read_public(folder / PARTNERSHIP, FILE_LIMIT))
    found, charter = making.read_enrolment(folder), partnership.charter
    secret = _secret(invitation, charter.oversight)
    said = signed_enrolment(secret, found.to_bytes().decode("ascii"), charter.oversight)

    new = asked(InviteLine, charter, None, world, lambda line: line.post_enrolment(said))
    text = (
        f"{'Handed in' if new else 'It was handed in before'}: it waits for oversight, who will ring you.\n"
        f"Read this number to oversight, and nobody else: {found.number}"
    )
    facts = {"agency": found.particulars.agency, "safety_number": found.number, "was_handed_in": not new}
    report(facts, text, as_json=as_json)


def _secret(invitation: Path | None, partnership: str) -> bytes:
    if invitation is not None:
        held = invites.read_invitation(invitation)
        if held.partnership != partnership:
            raise Refusal(
                "INVITE", "This invitation is of another partnership. Check which one you were given."
            )
        return held.bytes
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to type the invitation: give --invite.")
    return heard(click.prompt("Invitation", hide_input=True, err=True))


def take_in(
    world: World,
    folder: Path,
    enrolment: Path | None,
    pending: str | None,
    fingerprint: str | None,
    change: Change,
) -> None:
    """Oversight: hear the safety number, say what will happen, record the agency's statements and its admission.

    Raises:
        Refusal: FINGERPRINT, INVITE, and as admission.admit and carrying_out.carry_out.
    """
    oversight, passphrase = change.oversight(folder)
    found = (
        making.read_enrolment(enrolment)
        if enrolment is not None
        else _fetched(world, oversight, pending or "")
    )
    tell(making.described(found, number=False))
    if fingerprint is None and not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for the safety number: give --fingerprint.")
    check_fingerprint(
        found, fingerprint or click.prompt("Safety number, as the agency reads it aloud", err=True)
    )
    id_ = found.particulars.agency
    told = given(agency=id_)
    outcome = carried_out(
        world, oversight, passphrase, change, "agency enrol", told,
        lambda reading, own: admission.admit(reading, own, told, found, world.now()), unasked=True,
    )  # fmt: skip
    members = sum(agency.member for agency in outcome.view.agencies.values())
    before = not outcome.plan.says
    facts: Facts = {
        "agency": id_,
        "member": before or outcome.done is not None,
        "members": members,
        "publishes": [signed.peek()["op"] for signed in outcome.plan.brings]
        + [s.op for s in outcome.plan.says],
        "was_member": before,
    }
    state = "was a member already; nothing was changed" if before else "is a member now"
    text = f"{id_} {state}. Members of the partnership: {members}."
    said(outcome, facts, text, change)


def _fetched(world: World, oversight: Oversight, pending: str) -> Enrolment:
    """The enrolment that came with an invitation."""

    async def ask(line: InviteLine) -> invites.Waiting:
        return invites.chosen(await invites.waiting(line, oversight), pending)

    row = asked(InviteLine, oversight.partnership.charter, oversight.auth, world, ask)
    if row.fault:
        tell(f"Careful: {FAULTS[row.fault]}.")
    assert row.enrolment is not None  # noqa: S101 -- chosen gives none without
    return row.enrolment


def show_pending(world: World, folder: Path, passphrase_file: Path | None, *, as_json: bool) -> None:
    """Oversight: what came with invitations and waits; nothing of it is believed but that it verifies."""

    async def ask(line: InviteLine, oversight: Oversight) -> list[invites.Waiting]:
        members = (await own_side.read_own(line, oversight, world)).view.agencies
        rows = await invites.waiting(line, oversight)
        return [
            row for row in rows
            if row.at.taken is not None
            and not (row.enrolment and (known := members.get(row.enrolment.particulars.agency)) and known.member)
        ]  # fmt: skip

    rows = asked_as_oversight(world, folder, passphrase_file, ask)
    facts = [
        {
            "enrolment": None if row.enrolment is None else _facts(row.enrolment),
            "fault": row.fault or None,
            "invited": None if row.invited is None else row.invited.name,
            "mark": row.at.mark,
            "taken": row.at.taken,
        }
        for row in rows
    ]
    text = "\n\n".join(map(_described, rows)) or "No enrolment waits."
    report({"pending": facts}, text, as_json=as_json)


def _facts(enrolment: Enrolment) -> dict[str, object]:
    # The safety number must come by voice: who could read it here would not ring.
    return {name: value for name, value in making.facts(enrolment).items() if name != "safety_number"}


def _described(row: invites.Waiting) -> str:
    lines = [f"Mark           {row.at.mark[:12]}…"]
    if row.enrolment is not None:
        lines.append(making.described(row.enrolment, number=False))
    if row.fault:
        lines.append(
            f"CAREFUL        {FAULTS.get(row.fault, 'what came does not verify (' + row.fault + ')')}"
        )
    if row.invited is not None:
        lines.append(f"Invited as     {shown(row.invited.name)}")
    return "\n".join(lines)
