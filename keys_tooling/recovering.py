"""What recovering publishes: a new operational key by the roots' word, or new running keys. Pure but for draws.

Rules of this house:
- the roots that count are those committed to before (next-roots.fpk): whoever stole roots.fpk has nothing;
- with every use new roots are committed to, or it could never be done again;
- what was sealed to a lost key stays closed for ever, and the plan says so.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from keys_tooling.ceremony import BACKDATE, SIGNING, WEEK, running_keys, signing_of
from keys_tooling.console import World, paragraphs
from keys_tooling.directory_reading import Reading
from keys_tooling.keyfiles import read_secret
from keys_tooling.own_side import OwnSide
from keys_tooling.partnership import ADMIN, AGENT
from keys_tooling.plan import Given, Plan, Said, add_key, revoke
from keys_tooling.revocation import UNDOES, stood
from keys_tooling.root_files import Brought, Locked, locked_file, next_roots
from schemas.canonical import Json, b64
from schemas.directory import Agency
from schemas.errors import Refusal
from schemas.keyring import AdminKeys, AgentKeys
from schemas.keys import ALGORITHM, LIFE, SigningKey, Use
from schemas.roots import RotateRoot

RUNNING = frozenset({*SIGNING, Use.PREKEY})
CLOSED = paragraphs("""\
messages on their way that were sealed to a lost key can be opened by nobody: their senders are asked to seal them again

what was received before is only in the old agent's store, and that opens only with the lost agent.fpk: without a
copy of it nobody can bring it back

agreements given before stand; the case references of the old agent are not found again under the new key""")
KEPT = paragraphs("""\
what waits at the relay is still opened here: the receiving keys of agent.db stay, for that alone

nobody who has a copy is let in, and nobody seals to the old keys; what was sealed to them before, a thief may have
read

agreements, cases and receipts stay as they are: the store and its key stay""")
AFTER_LOSS = (
    "move agent.db and api.token of the old agent away, if they are there; do not delete them yet",
    "fenpost-agent init --dir FOLDER, and fenpost-agent run --dir FOLDER",
    "ring the agencies whose messages were on their way, and those with urgent cases",
    "make a new backup: fenpost-keys backup",
)
AFTER_COPY = (
    "api.token was copied too: openssl rand -base64 32 > api.token, and give it to your case system",
    "fenpost-agent run --dir FOLDER: it collects what waits, and seals anew what it had not sent",
    "destroy old-next-agent-*.fpk, and find out how the folder was copied before you rely on its passphrase again",
    "an officer lists what could be read: fenpost-audit report breach",
    "make a new backup: fenpost-keys backup",
)
SHOWN = 12
"""How many of the latest statements are shown to whoever must choose the first false one."""


def new_op(
    reading: Reading,
    own: OwnSide,
    given: Given,
    brought: tuple[Brought, ...],
    void_from: int | None,
    locked: Locked,
    world: World,
) -> Plan:
    """A new operational key and as many new next roots as were committed to, by the word of some of these.

    Raises:
        Refusal: ROOT_UNKNOWN, ROOT_THRESHOLD, DIRECTORY (there is no statement of that number).
    """
    agency = reading.view.agencies[own.admin.agency]
    roots = {root.kid: root for one in brought for root in one.roots}
    usable = tuple(root for root in roots.values() if root.kid in agency.committed)
    if not usable:
        raise Refusal(
            "ROOT_UNKNOWN",
            "None of these roots may speak now. Bring next-roots.fpk, of this agency, from its safe.",
        )
    if len(usable) < agency.threshold:
        raise Refusal(
            "ROOT_THRESHOLD",
            f"These are {len(usable)} roots that may speak, and {agency.threshold} must. Bring more.",
        )
    if void_from is not None and not 1 <= void_from <= agency.seq:
        raise Refusal(
            "DIRECTORY", f"Statements of this agency are numbered from 1 to {agency.seq}. Correct the number."
        )
    # As many as before: fewer could be too few to agree, and would be gone with the first page that is lost.
    op, *after = (SigningKey(world.draw(32)) for _ in range(1 + len(agency.committed)))
    body = RotateRoot(
        roots=tuple(b64(root.public) for root in usable),
        threshold=agency.threshold,
        next_roots=tuple(root.kid for root in after),
        op_key=b64(op.public),
        void_from=void_from,
        sigs=(),
    )
    for root in usable:
        body = body.signed_by(agency.id, root)
    admin = AdminKeys(agency.id, op, agency.seq, agency.head)
    mark = op.kid[:6].replace("-", "0").replace("_", "0").lower()
    files, handing = next_roots(mark, tuple(after), brought, agency, locked, world)
    return Plan(
        "recover op",
        given,
        agency.id,
        (Said("rotate-root", body.model_dump(mode="json")),),
        (
            locked_file(f"next-admin-{mark}.fpk", ADMIN, admin.to_json(), AdminKeys.HOLDS, locked, world),
            *files,
        ),
        (
            "whoever has the old operational key can publish nothing in this agency's name from then on",
            *_void(reading, agency, void_from),
        ),
        (
            *handing,
            "look what is published: fenpost-keys check. Publish again what was undone and was right",
            "make a new backup: fenpost-keys backup",
        ),
        puts=(op,),
    )


def copied_keys(folder: Path, passphrase: bytes, agency: str) -> AgentKeys:
    """The keys that somebody copied. Raises Refusal FILE, KEYFILE (another agency's)."""
    held = AgentKeys.from_json(read_secret(folder / AGENT, AgentKeys.HOLDS, passphrase))
    if held.agency != agency:
        raise Refusal("KEYFILE", "The keys in this folder are of two agencies.")
    return held


def new_agent(
    reading: Reading,
    own: OwnSide,
    given: Given,
    locked: Locked,
    world: World,
    copied: AgentKeys | None = None,
    since: int | None = None,
) -> Plan:
    """New running keys in a new agent.fpk, and the end of all that the old one held.

    Args:
        copied: the keys that a thief has too. The store's key and the receiving keys stay then: they are the only ones
            that open what waits. Nothing else of them does.
        since: from when those that stood then end, in Unix seconds, also if they were rotated out by now; newer ones
            end now. None for now.
    """
    agency, now = reading.view.agencies[own.admin.agency], world.now()
    start = now - BACKDATE
    keys = fresh = running_keys(agency.id, start, world.draw)
    if copied is not None:
        prekeys = (*copied.prekeys, *fresh.prekeys)
        keys = replace(fresh, prekeys=prekeys, store=copied.store, subject=copied.subject)
    says = [
        add_key(use, ALGORITHM[use], b64(key.public), start, start + LIFE[use])
        for use, key in signing_of(fresh).items()
    ]
    says += [
        add_key(Use.PREKEY, ALGORITHM[Use.PREKEY], b64(one.key.public), one.nbf, one.nbf + 2 * WEEK)
        for one in fresh.prekeys
    ]
    end = now if since is None else since
    ends = {key.kid: at for at in (now, end) for key in stood(agency, at, now) if key.use in RUNNING}
    old = sorted((agency.keys[kid] for kid in ends), key=lambda key: (key.nbf, key.kid))
    reason = "lost" if copied is None else "compromised"
    says += [revoke(key.kid, reason, ends[key.kid]) for key in old]
    signing = dict.fromkeys(key.use for key in old if key.use is not Use.PREKEY)
    undoes = tuple(f"{use}: {UNDOES[use]}" for use in signing) if end < now else ()
    mark = keys.msg.kid[:6].replace("-", "0").replace("_", "0").lower()
    return Plan(
        "recover agent",
        given,
        agency.id,
        tuple(says),
        (locked_file(f"next-agent-{mark}.fpk", AGENT, keys.to_json(), AgentKeys.HOLDS, locked, world),),
        CLOSED if copied is None else (*KEPT, *undoes),
        AFTER_LOSS if copied is None else AFTER_COPY,
    )


def _void(reading: Reading, agency: Agency, void_from: int | None) -> list[str]:
    rows = []
    for signed in reading.statements:
        said = signed.peek()
        void = void_from is not None and said["seq"] >= void_from
        if said["agency"] == agency.id and (void or said["seq"] > agency.seq - SHOWN):
            at = datetime.fromtimestamp(said["ts"], UTC)
            word = "undone" if void else "stands"
            if void and said["op"] == "revoke":  # of a lost or stolen key too, and then it counts again
                word = "undone, that key counts again. If it was lost or stolen, revoke it again at once"
            rows.append(f"statement {said['seq']} of {at:%d %B %Y %H:%M} UTC ({_what(agency, said)}): {word}")
    if void_from is None:
        rows.append(
            "nothing is undone: if a thief published anything, say from which number on, with --void-from"
        )
    return rows


def _what(agency: Agency, said: Json) -> str:
    ended = agency.keys.get(str(said["body"].get("kid")))
    use = said["body"].get("use") or (ended and f"{ended.use}, {said['body'].get('reason')}")
    return f"{said['op']} {use}" if use else str(said["op"])
