"""Every command that changes keys, as it is typed once more each time, and what must be true when it is done."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keys_tooling import invites, roles
from keys_tooling import journal as journals
from keys_tooling.backup import Backup
from keys_tooling.ceremony import make_agency, make_officer
from keys_tooling.enrolment import make_enrolment
from keys_tooling.officer import card_bytes, card_number
from schemas.canonical import b64
from schemas.directory import Directory
from schemas.directory_statement import Flags
from schemas.keyfile import QUICK, lock, unlock
from schemas.keyring import AdminKeys, AgentKeys, PersonKeys, PolicyKey
from schemas.keys import SigningKey
from schemas.signing import Signed
from tests.keys_tooling.admin_place import done
from tests.keys_tooling.killing import Nursery, chosen
from tests.keys_tooling.policy_place import write_secret
from tests.policy_world import next_policy, text_of
from tests.simulated_world import PASSPHRASE, World

Words = tuple[str | Path, ...]
NEW = b"four other words of a test"
LEAST = 18
"""Steps that every change of the directory takes at least."""
QUICKLY = "--demonstration-cost"
LEAVERS = tuple(f"Leaver {letter}" for letter in "ABCDEFGH")
"""Members that leave or are merged, one each time; how many bounds how often a command that ends one is killed."""
ENDING = ("agency leave", "agency leave --finish", "agency merge")
"""Commands that end an agency: each needs a world of its own."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of fenpost-keys.

    Args:
        words: what is typed the n-th time; it prepares what that needs.
        party: whose chain it extends, in the n-th time; None where nothing is published.
        ops: what it publishes there; None where that depends on the keys that stand.
        whole: raises AssertionError unless what the n-th made is whole.
        resumed: typed again it would begin anew, and so it is resumed.
        most: how often it can be done in one world.
    """

    name: str
    words: Callable[[World, int], Words]
    party: Callable[[int], str] | None = None
    ops: tuple[str, ...] | None = ()
    whole: Callable[[World, int], None] = lambda _world, _n: None
    resumed: bool = False
    most: int = 1000


def try_every_kill(world: World, forks: Nursery, command: Command, kills: int, offset: int = 0) -> int:
    """Kill the command at so many of its steps, type it again each time, and look; how often it died.

    Before a single kill its steps are not counted: `offset` says which.
    """
    number = died = 0
    places = [1 + offset % LEAST]
    if kills > 1:
        steps = forks.steps(world, command.words(world, number))
        command.whole(world, number)
        places = chosen(steps, min(kills, command.most - 1), offset)
    for at in places:
        number += 1
        world.clock.advance(1)
        words = command.words(world, number)
        before, lay = published(world, command, number), left_over(world)
        if not forks.killed(world, words, at):
            continue
        died += 1
        if command.resumed:
            at_home = "--dir" if "--dir" in words else "--partnership-dir"
            done(world, "resume", "--dir", words[words.index(at_home) + 1])
        else:
            typed_again(world, words)
        fresh = published(world, command, number)[len(before) :]
        if command.ops is not None:
            allowed = {command.ops, () if command.resumed else command.ops}
            assert tuple(fresh) in allowed, (command.name, at, fresh)
        if not command.resumed or fresh:
            command.whole(world, number)
        assert left_over(world) <= lay, (command.name, at)
    return died


def typed_again(world: World, words: Words) -> None:
    from schemas.errors import Refusal
    from tests.keys_tooling.admin_place import run

    result = run(world, *words)
    there = (
        isinstance(result.exception, Refusal) and result.exception.code == "EXISTS"
    )  # it was done, and says so
    assert result.exit_code == 0 or there, (words, result.output, result.exception)


def left_over(world: World) -> set[Path]:
    """What a command that was begun leaves behind, and one that is done does not."""
    return {
        path
        for path in world.folder.rglob("*")
        if path.name == journals.NAME or path.name.endswith((".part", ".begun"))
    }


def view(world: World) -> tuple[Directory, dict[str, list[str]]]:
    """The directory as the relay has it, and the operations of each chain."""
    found, ops = Directory(world.parties["oversight"].id), dict[str, list[str]]()
    with sqlite3.connect(world.folder / "relay" / "relay.db") as database:
        for text, sig in database.execute("SELECT text, sig FROM statements ORDER BY n"):
            said = found.apply(Signed(text, sig))
            ops.setdefault(said.agency, []).append(said.op)
    database.close()
    return found, ops


def published(world: World, command: Command, number: int) -> list[str]:
    if command.party is None:
        return []
    return view(world)[1][world.parties[command.party(number)].id]


# --- what is typed


def home(world: World, name: str = "Peacock") -> Words:
    return ("--dir", world.folder / name)


def duty(world: World) -> Words:
    return ("--partnership-dir", world.folder / "oversight")


def named(name: str) -> Callable[[int], str]:
    return lambda _n: name


def enrol(world: World, n: int) -> Words:
    member = make_agency(world.now, secrets.token_bytes, (make_officer(secrets.token_bytes)[1],))
    flags = Flags(public_authority=False, s16la_member=False, cda_relevant=False)
    name = f"{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[n % 26]}{n} House"
    new = make_enrolment(member, world.parties["oversight"].id, name, ("duty",), flags, world.now, "idva")
    path = world.folder / f"enrolment-{n}.json"
    path.write_bytes(new.to_bytes())
    return ("agency", "enrol", path, *duty(world), "--fingerprint", new.number, "--yes")


def enrolled(world: World, n: int) -> None:
    found, _ops = view(world)
    name = f"{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[n % 26]}{n} House"
    (agency,) = (one for one in found.agencies.values() if one.name == name)
    assert agency.member


def policy_file(world: World, n: int) -> Words:
    path = world.folder / f"signed-{n}.json"
    path.write_bytes(next_policy(world, len(view(world)[0].policies.entries) + 1).to_bytes())
    return ("policy", "apply", path, *duty(world), "--yes")


def signer_card(world: World, n: int) -> Words:
    out = world.folder / f"signer-{n}.fpk"
    done(world, "policy", "signer", "init", "--person", f"policy-{n + 10}", "--out", out, QUICKLY)
    number = json.loads(out.with_suffix(".json").read_text())["number"]
    return ("policy", "signer", "name", out.with_suffix(".json"), *duty(world), "--fingerprint", number)


def signer_to_end(world: World, n: int) -> Words:
    done(world, *signer_card(world, n + 500))
    (kid,) = (
        key.kid
        for key in view(world)[0].agencies[world.parties["oversight"].id].keys.values()
        if key.person == f"policy-{n + 510}"
    )
    return ("policy", "signer", "end", "--key-id", kid, *duty(world))


def signed_draft(world: World, n: int) -> Words:
    write_secret(
        world.folder / "policy-1.fpk",
        lock(world.founded.signers[0].to_json(), "policy", PASSPHRASE, QUICK, secrets.token_bytes),
    )
    draft = world.folder / f"draft-{n}.json"
    draft.write_bytes(text_of(world, 2))
    return (
        "policy", "sign", draft, "--key", world.folder / "policy-1.fpk", "--out", world.folder / f"once-{n}.json",
    )  # fmt: skip


def signed_once(world: World, n: int) -> None:
    value = json.loads((world.folder / f"once-{n}.json").read_text())
    assert len(value["sigs"]) == 1


def rollback(world: World, n: int) -> Words:
    return ("policy", "rollback", "1", *home(world), "--out", world.folder / f"back-{n}.json")


def person_card(world: World, n: int, tag: str) -> Path:
    keys = PersonKeys(world.parties["Peacock"].id, tag, SigningKey(secrets.token_bytes(32)))
    path = world.folder / f"{tag}-{n}.json"
    path.write_bytes(roles.card_bytes(roles.card_of(keys)))
    return path


def role_publish(world: World, n: int) -> Words:
    return ("role", "publish", person_card(world, n, f"lead-{n + 20}"), *home(world))


def role_countersign(world: World, n: int) -> Words:
    card = person_card(world, n, f"lead-{n + 60}")
    done(world, "role", "publish", card, *home(world))
    number = json.loads(card.read_text())["number"]
    return ("role", "countersign", card, *duty(world), "--number", number)


def rotate_person(world: World, n: int) -> Words:
    done(world, "role", "publish", person_card(world, n, f"lead-{n + 100}"), *home(world))
    return (
        "rotate", "--person", person_card(world, n + 1000, f"lead-{n + 100}"), *home(world), "--yes",
    )  # fmt: skip


def role_desk(world: World, n: int) -> Words:
    return ("role", "desk", "intake", "--role", f"role-{n}", *home(world), "--yes")


def officer_card(world: World, n: int) -> tuple[Path, str]:
    card = make_officer(secrets.token_bytes, f"ig-{n + 2}")[1]
    path = world.folder / f"officer-{n}.json"
    path.write_bytes(card_bytes(card))
    return path, card_number(card)


def officer_publish(world: World, n: int) -> Words:
    path, number = officer_card(world, n)
    return ("officer", "publish", path, *home(world), "--number", number)


def officer_end(world: World, n: int) -> Words:
    path, number = officer_card(world, n + 500)
    done(world, "officer", "publish", path, *home(world), "--number", number)
    return ("officer", "end", path, *home(world), "--reason", "left", "--yes")


def revoke(world: World, n: int) -> Words:
    card = person_card(world, n, f"author-{n + 2}")
    done(world, "role", "publish", card, *home(world))
    return ("revoke", "--person", f"author-{n + 2}", "--reason", "left", *home(world), "--yes")


def leave(world: World, n: int) -> Words:
    return ("agency", "leave", *home(world, LEAVERS[n]), "--stops", "now", "--yes")


def finish(world: World, n: int) -> Words:
    done(world, *leave(world, n))
    return ("agency", "leave", *home(world, LEAVERS[n]), "--finish", "--yes")


def ended(world: World, n: int) -> None:
    agency = view(world)[0].agencies[world.parties[LEAVERS[n]].id]
    assert all(key.revoked is not None for key in agency.keys.values())


def merge(world: World, n: int) -> Words:
    return (
        "agency", "merge", *duty(world), "--was", LEAVERS[n], "--now", "Peacock", "--until", "2030-04-01T00:00Z", "--yes",
    )  # fmt: skip


def roots_in(world: World) -> Path:
    """The roots that may speak now."""
    path = world.folder / "next-roots-first.fpk"
    if not path.exists():
        seeds = [b64(root.seed()) for root in world.parties["Peacock"].member.next_roots]
        write_secret(path, lock({"roots": seeds}, "roots", PASSPHRASE, QUICK, secrets.token_bytes))
    made = sorted((world.folder / "Peacock").glob("next-roots-*.fpk"), key=lambda one: one.stat().st_mtime_ns)
    return made[-1] if made else path


def recover_op(world: World, n: int) -> Words:
    return ("recover", "op", *home(world), "--roots", roots_in(world), QUICKLY, "--yes")


def recover_agent(world: World, n: int) -> Words:
    keys = world.parties["Peacock"].officer
    write_secret(
        world.folder / "officer.fpk", lock(keys.to_json(), keys.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes)
    )
    return (
        "recover", "agent", "--copied", *home(world), "--officer", world.folder / "officer.fpk", QUICKLY, "--yes",
    )  # fmt: skip


def op_in_force(world: World, _n: int) -> None:
    folder = world.folder / "Peacock"
    held = AdminKeys.from_json(unlock((folder / "admin.fpk").read_bytes(), AdminKeys.HOLDS, PASSPHRASE))
    assert view(world)[0].agencies[world.parties["Peacock"].id].op == held.op.public


def agent_in_force(world: World, _n: int) -> None:
    folder, found = world.folder / "Peacock", view(world)[0]
    held = AgentKeys.from_json(unlock((folder / "agent.fpk").read_bytes(), AgentKeys.HOLDS, PASSPHRASE))
    keys = found.agencies[world.parties["Peacock"].id].keys
    for key in (held.msg, held.auth, held.consent, held.witness, held.renew):
        assert keys[key.kid].revoked is None
    assert sum(key.use == "msg" and key.revoked is None for key in keys.values()) == 1


def rotate_here(world: World, n: int) -> Words:
    return ("rotate", *home(world, "oversight"), "--use", "auth", "--use", "msg", "--here", QUICKLY, "--yes")


# --- commands that make files


def card_of_officer(world: World) -> Path:
    path = world.folder / "founder.json"
    if not path.exists():
        path.write_bytes(card_bytes(make_officer(secrets.token_bytes)[1]))
    return path


def partnership_init(world: World, n: int) -> Words:
    return (
        "partnership", "init", "--dir", world.folder / f"founded-{n}", "--name", "Fen", "--relay-url",
        "https://relay.example.org", "--officer", card_of_officer(world), QUICKLY,
    )  # fmt: skip


def founded(world: World, n: int) -> None:
    from keys_tooling.admission import Oversight

    folder = world.folder / f"founded-{n}"
    Oversight.open(folder, PASSPHRASE)
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "partnership.json", "admin.fpk", "agent.fpk", "roots.fpk", "next-roots.fpk", "policy-1.fpk", "policy-2.fpk",
        "relay.fpk", "founding.json", "relay.toml", "passphrase",
    }  # fmt: skip


def agency_init(world: World, n: int) -> Words:
    return (
        "agency", "init", "--dir", world.folder / f"agency-{n}", "--name", "House", "--desk", "duty", "--officer",
        card_of_officer(world), "--partnership", world.folder / "oversight" / "partnership.json", QUICKLY,
    )  # fmt: skip


def agency_made(world: World, n: int) -> None:
    from keys_tooling.agency import read_enrolment
    from keys_tooling.own_side import OwnSide

    folder = world.folder / f"agency-{n}"
    own = OwnSide.open(folder, PASSPHRASE)
    assert read_enrolment(folder).particulars.agency == own.admin.agency
    assert len(list(folder.iterdir())) == 6


def backup(world: World, n: int) -> Words:
    kept = world.folder / "kept"
    if not kept.exists():
        kept.mkdir(mode=0o700)
        for name in ("admin.fpk", "agent.fpk", "partnership.json"):
            (kept / name).write_bytes((world.folder / "IDVAS" / name).read_bytes())
            (kept / name).chmod(0o600)
    place = world.folder / f"backup-{n}"
    return (
        "backup", "--dir", kept, "--out", place / "kept.fpb", "--shares", place / "pages",
        "--backup-passphrase-file", world.folder / "pass", QUICKLY,
    )  # fmt: skip


def backed_up(world: World, n: int) -> None:
    place = world.folder / f"backup-{n}"
    found = Backup.parse((place / "kept.fpb").read_bytes())
    pages = sorted((place / "pages").iterdir())
    assert len(pages) == 5
    shares = [word for page in pages[:3] for word in ("--share-file", page)]
    done(
        world, "restore", place / "kept.fpb", "--dir", place / "tried", *shares,
        "--new-passphrase-file", world.folder / "pass", QUICKLY,
    )  # fmt: skip
    assert {path.name for path in (place / "tried").iterdir()} == set(found.head.files)


def restore(world: World, n: int) -> Words:
    place = world.folder / "backup-restored"
    if not place.exists():
        out = ("--out", place / "kept.fpb", "--backup-passphrase-file", world.folder / "pass", QUICKLY)
        words = backup(world, n)
        done(world, *words[:3], *out)
    return (
        "restore", place / "kept.fpb", "--dir", world.folder / f"back-{n}", "--new-passphrase-file",
        world.folder / "pass", QUICKLY,
    )  # fmt: skip


def restored(world: World, n: int) -> None:
    folder = world.folder / f"back-{n}"
    for name in ("admin.fpk", "agent.fpk"):
        unlock((folder / name).read_bytes(), name.split(".")[0], PASSPHRASE)
    assert len(list(folder.iterdir())) == 3


def recover_shares(world: World, n: int) -> Words:
    restore(world, n)
    place = world.folder / f"backup-{n + 500}"
    return (
        "recover", "shares", world.folder / "backup-restored" / "kept.fpb", "--out", place / "kept.fpb", "--shares",
        place / "pages", "--backup-passphrase-file", world.folder / "pass", QUICKLY,
    )  # fmt: skip


def role_new(world: World, n: int) -> Words:
    agency = world.parties["Peacock"].id
    return (
        "role", "new", "--dir", world.folder / f"lead-{n}", "--agency", agency, "--role", "lead", "--person", "2", QUICKLY,
    )  # fmt: skip


def person_made(world: World, n: int) -> None:
    folder = world.folder / f"lead-{n}"
    held = PersonKeys.from_json(unlock((folder / "lead-2.fpk").read_bytes(), PersonKeys.HOLDS, PASSPHRASE))
    assert roles.parse_card((folder / "lead-2.json").read_bytes()).kid == held.key.kid


def signer_init(world: World, n: int) -> Words:
    return (
        "policy",
        "signer",
        "init",
        "--person",
        "policy-3",
        "--out",
        world.folder / f"made-{n}.fpk",
        QUICKLY,
    )


def signer_made(world: World, n: int) -> None:
    from keys_tooling.policy_signers import read_card

    held = PolicyKey.from_json(
        unlock((world.folder / f"made-{n}.fpk").read_bytes(), PolicyKey.HOLDS, PASSPHRASE)
    )
    assert read_card((world.folder / f"made-{n}.json").read_bytes()).public == held.key.public


def invite_new(world: World, n: int) -> Words:
    (world.folder / "oversight" / "invites").mkdir(
        mode=0o700, exist_ok=True
    )  # so that each time takes as many steps
    return ("invite", "new", *duty(world), "--name", f"House {n}", "--out", world.folder / f"invite-{n}.json")


def invited(world: World, n: int) -> None:
    """The n-th invitation is good at the relay, on oversight's record, and nothing was drawn besides."""
    from schemas.invite import invite_key

    files = {path: invites.read_invitation(path) for path in world.folder.glob("invite-*.json")}
    marks = {invite_key(one.bytes).kid: one for one in files.values()}
    records = {
        path.stem: json.loads(path.read_text())
        for path in (world.folder / "oversight" / "invites").glob("*.json")
    }
    assert files[world.folder / f"invite-{n}.json"].name == f"House {n}"
    assert {mark: (one["name"], one["until"]) for mark, one in records.items()} == {
        mark: (one.name, one.until) for mark, one in marks.items()
    }
    with sqlite3.connect(world.folder / "relay" / "relay.db") as database:
        known = {b64(mark): until for mark, until in database.execute("SELECT mark, until FROM invites")}
    database.close()
    assert known == {mark: one.until for mark, one in marks.items()}


def passphrase(world: World, n: int) -> Words:
    write_secret(world.folder / "new-pass", NEW + b"\n")
    path = world.folder / f"locked-{n}.fpk"
    keys = world.parties["IDVAS"].admin
    write_secret(path, lock(keys.to_json(), keys.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes))
    return ("passphrase", path, "--new-passphrase-file", world.folder / "new-pass", QUICKLY)


def relocked(world: World, n: int) -> None:
    path = world.folder / f"locked-{n}.fpk"
    assert unlock(path.read_bytes(), AdminKeys.HOLDS, NEW) == world.parties["IDVAS"].admin.to_json()
    assert path.stat().st_mode & 0o777 == 0o600


PEACOCK, OVERSIGHT = named("Peacock"), named("oversight")
LEAVER: Callable[[int], str] = lambda n: LEAVERS[n]  # noqa: E731
COMMANDS = (
    Command("agency enrol", enrol, OVERSIGHT, ("admit",), enrolled),
    Command("invite new", invite_new, whole=invited),
    Command("policy apply", policy_file, OVERSIGHT, ("policy",)),
    Command("policy sign", signed_draft, whole=signed_once),
    Command("policy rollback", rollback),
    Command("policy signer name", signer_card, OVERSIGHT, ("add-key",)),
    Command("policy signer end", signer_to_end, OVERSIGHT, ("revoke",)),
    Command("partnership init", partnership_init, whole=founded),
    Command("agency init", agency_init, whole=agency_made),
    Command("backup", backup, whole=backed_up),
    Command("restore", restore, whole=restored),
    Command("passphrase", passphrase, whole=relocked),
    Command("recover shares", recover_shares, whole=lambda world, n: backed_up(world, n + 500)),
    Command("role new", role_new, whole=person_made),
    Command("policy signer init", signer_init, whole=signer_made),
    Command("role publish", role_publish, PEACOCK, ("add-key",)),
    Command("role countersign", role_countersign, OVERSIGHT, ("countersign",)),
    Command("role desk", role_desk, PEACOCK, ("roster",)),
    Command("role recertify", lambda w, _n: ("role", "recertify", *home(w), "--yes"), PEACOCK, ("recertify",), resumed=True),
    Command("officer publish", officer_publish, PEACOCK, ("add-key", "add-key")),
    Command("officer end", officer_end, PEACOCK, ("revoke", "revoke")),
    Command("revoke", revoke, PEACOCK, ("revoke",)),
    Command("rotate --person", rotate_person, PEACOCK, ("add-key", "revoke")),
    Command("rotate --here", rotate_here, OVERSIGHT, ("add-key", "add-key", "revoke", "revoke"), resumed=True),
    Command("recover op", recover_op, PEACOCK, ("rotate-root",), op_in_force, resumed=True),
    Command("recover agent", recover_agent, PEACOCK, None, agent_in_force, resumed=True),
    Command("agency leave", leave, LEAVER, ("leave",), resumed=True, most=len(LEAVERS)),
    Command("agency leave --finish", finish, LEAVER, None, ended, resumed=True, most=len(LEAVERS)),
    Command("agency merge", merge, OVERSIGHT, ("leave", "alias"), resumed=True, most=len(LEAVERS)),
)  # fmt: skip
