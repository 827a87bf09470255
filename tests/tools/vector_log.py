"""The vectors of sealed records, epochs, trees, checkpoints and log proofs."""

import json
from base64 import b64encode

from schemas.audit import Event, Leaf, accept_leaf, event_facts, event_tag, tag_text
from schemas.checkpoint import Checkpoint, LogProof, sign_checkpoint
from schemas.keys import SigningKey
from schemas.merkle import leaf_hash
from schemas.mldsa import MldsaKey
from schemas.record_sealing import seal_epoch_record, veil_record
from schemas.witness import WitnessKey, cosign, publish
from tests.tools import naive_merkle
from tests.tools.forge import Forged, b, forge, h, l32, text, wrap
from tests.tools.splices import changed
from tests.tools.vector_world import (
    ALDER,
    BIRCH,
    LOG,
    LOG_KEY,
    LOG_MLDSA,
    MLDSA_LOG_KEY,
    ORIGIN,
    OVERSIGHT,
    T0,
    other_leaves,
    proven,
    seed,
)

SIZES = (1, 2, 3, 7, 8, 13)
EPOCHS = {
    keys: (seed(f"{keys.name} epoch id"), seed(f"{keys.name} epoch key"))
    for keys in (ALDER, BIRCH, OVERSIGHT)
}
BLANK = b(seed("blank")[:16])


def relay_facts(made: Forged) -> bytes:
    """What the relay's record of an acceptance says."""
    return event_facts(
        Event.ACCEPT,
        T0 + 61,
        body=b(h("fenpost/v1/body", made.body)),
        decision={"alert": False, "code": "", "rows": [7]},
        header=made.header.decode(),
        sig=b(made.sig),
        wm=b(h("fenpost/v1/wraps", made.wm)),
    )


def records() -> dict[str, object]:
    """Senders' records: wrapped by HPKE, so sealed once."""
    made = forge()
    record, head_size = made.record, int.from_bytes(made.record[4:8], "big")
    head = record[8 : 8 + head_size]
    rest = record[8 + head_size :]
    body = rest[4 : 4 + int.from_bytes(rest[:4], "big")]
    wraps = rest[4 + len(body) :]

    def build(head: bytes = head, body: bytes = body, wraps: bytes = wraps, magic: bytes = b"FPR1") -> bytes:
        return magic + l32(head) + l32(body) + wraps

    def headed(edit) -> bytes:
        return build(head=text(edit(json.loads(head))))

    flipped = body[:-1] + bytes([body[-1] ^ 1])
    bad = {
        "the last byte is missing": record[:-1],
        "a byte is left over": record + b"\0",
        "another magic": build(magic=b"FPR2"),
        "a head with a space": build(head=head.replace(b":", b": ", 1)),
        "version 2": headed(lambda v: {**v, "v": 2}),
        "officers out of order": headed(lambda v: {**v, "to": v["to"][::-1]}),
        "an officer twice": headed(lambda v: {**v, "to": [v["to"][0]] * 3}),
        "nobody to read it": headed(lambda v: {**v, "to": []}),
        "another way of wrapping": headed(lambda v: {**v, "w": "none"}),
        "the context of the relay's kind": headed(lambda v: {**v, "ctx": b(seed("tag"))}),
        "the body does not open": build(body=flipped),
        "another commitment": headed(lambda v: {**v, "kc": b(seed("kc"))}),
        "a context that is not the one asked for": headed(lambda v: {**v, "ctx": "A" * 22}),
    }
    return {
        "description": "Senders' audit records (S1 to S4): opened with their key, or by an officer.",
        "valid": [
            {
                "name": "of one recipient", "record": b(record), "ctx": b(seed("one mid")[:16]), "rk": b(made.rk),
                "facts": made.facts.decode(), "hash": b(made.ar),
                "officers": [{"kid": k.ig.kid, "seed": b(seed(f"{k.name} ig"))} for k in (ALDER, BIRCH, OVERSIGHT)],
            }
        ],
        "invalid": [
            {"name": name, "change": changed(record, data), "refusal": "RECORD"} for name, data in bad.items()
        ],
    }  # fmt: skip


def epochs() -> dict[str, object]:
    """The relay's record, its epoch objects and the veiled record of the same leaf."""
    made = forge()
    rk, tag = seed("relay rk"), made.eid
    keys = tuple(EPOCHS[who][1] for who in (ALDER, BIRCH, OVERSIGHT))
    facts = relay_facts(made)
    record = seal_epoch_record(tag_text(tag), facts, keys, rk, (BLANK,))
    leaf = accept_leaf(tag, record, made.ar)
    objects = []
    for who, (epoch_id, key) in EPOCHS.items():
        info = b"fenpost/v1/epoch-wrap\0" + epoch_id + h("fenpost/v1/kid", b"\x02" + who.ig.public)
        objects.append({
            "agency": who.id, "id": b(epoch_id), "key": b(key), "kid": who.ig.kid, "officer_seed": b(seed(f"{who.name} ig")),
            "wrap": b(wrap(who.ig.public, info, key)),
        })  # fmt: skip
    return {
        "description": "The relay's record of one acceptance (S5), the epochs under which it is wrapped (S6), the leaf (L9) "
        "and the sender's record behind the log's veil (S7). Only the epochs' wraps draw randomness.",
        "valid": [
            {
                "name": "accepted", "tag": b(tag), "facts": facts.decode(), "rk": b(rk), "blanks": [BLANK],
                "record": b(record), "epochs": objects, "leaf": b(leaf.to_bytes()), "sender_record": b(made.record),
                "veiled": b(veil_record(made.record, tag, rk)),
                "collected_tag": b(event_tag(tag, Event.COLLECTED, BIRCH.id, "idva")),
            }
        ],
        "invalid": [
            {"name": "a byte of the record is turned", "change": changed(record, record[:1000] + bytes([record[1000] ^ 1]) + record[1001:]), "refusal": "RECORD"},
            {"name": "a wrap is missing", "change": changed(record, record[:-48]), "refusal": "RECORD"},
            {"name": "tags of the sender's kind", "change": changed(record, _with_tags(record)), "refusal": "RECORD"},
        ],
    }  # fmt: skip


def _with_tags(record: bytes) -> bytes:
    size = int.from_bytes(record[4:8], "big")
    head = record[8 : 8 + size].replace(b'"w":"epoch"', b'"w":"hpke"')
    return b"FPR1" + l32(head) + record[8 + size :]


def trees() -> dict[str, object]:
    leaves = other_leaves(max(SIZES))
    inclusion = [
        {"index": m, "size": n, "leaf": b(leaves[m]), "root": b(naive_merkle.root(leaves[:n])),
         "hashes": [b(x) for x in naive_merkle.path(m, leaves[:n])]}
        for n in SIZES for m in range(n)
    ]  # fmt: skip
    consistency = [
        {"old": m, "new": n, "old_root": b(naive_merkle.root(leaves[:m])), "new_root": b(naive_merkle.root(leaves[:n])),
         "hashes": [b(x) for x in (naive_merkle.proof(m, leaves[:n]) if m < n else [])]}
        for n in SIZES for m in SIZES if m <= n
    ]  # fmt: skip
    good = next(row for row in inclusion if (row["index"], row["size"]) == (4, 7))
    grown = next(row for row in consistency if (row["old"], row["new"]) == (7, 13))
    interior = naive_merkle.root(leaves[:2])
    bad = [
        ("another leaf", {**good, "leaf": b(leaves[5])}),
        ("another index", {**good, "index": 5}),
        ("a size whose tree has another shape", {**good, "size": 9}),
        ("a size less", {**good, "size": 6}),
        ("an index past the end", {**good, "index": 7}),
        ("another root", {**good, "root": inclusion[0]["root"]}),
        ("no hashes", {**good, "hashes": []}),
        ("a hash more", {**good, "hashes": [*good["hashes"], good["hashes"][0]]}),
        ("a hash less", {**good, "hashes": good["hashes"][:-1]}),
        ("hashes in another order", {**good, "hashes": good["hashes"][::-1]}),
        ("a hash of 31 bytes", {**good, "hashes": [good["hashes"][0][:-1] + "A", *good["hashes"][1:]]}),
        (
            "a node shown as a leaf",
            {**good, "index": 0, "size": 2, "leaf": b(interior), "hashes": [b(leaf_hash(leaves[2]))]},
        ),
        ("trees that do not follow", {**grown, "old_root": inclusion[0]["root"]}),
        ("another new root", {**grown, "new_root": inclusion[0]["root"]}),
        ("an old tree of a size less", {**grown, "old": 6}),
        ("the newer tree first", {**grown, "old": 13, "new": 7}),
        ("no hashes between trees", {**grown, "hashes": []}),
        ("a hash too many between trees", {**grown, "hashes": [*grown["hashes"], grown["hashes"][0]]}),
        ("a proof for an unchanged tree", {**grown, "new": 7, "new_root": grown["old_root"]}),
    ]
    return {
        "description": "Inclusion and consistency in trees of RFC 6962 (L1 to L4). An entry with `index` is an inclusion.",
        "valid": [{"name": f"leaf {r['index']} of {r['size']}", **r} for r in inclusion]
        + [{"name": f"{r['old']} grows to {r['new']}", **r} for r in consistency],
        "invalid": [{"name": name, **row, "refusal": "PROOF"} for name, row in bad],
    }


def notes() -> dict[str, object]:
    checkpoint = Checkpoint(ORIGIN, 7, naive_merkle.root(other_leaves(7)))
    note = sign_checkpoint(checkpoint, LOG)
    witness = SigningKey(seed("witness"))
    body, line = note.rsplit("\n\n", 1)
    second = sign_checkpoint(checkpoint, witness).rsplit("\n\n", 1)[1].replace(ORIGIN, "witness.example")
    both = f"{body}\n\n{line}{second}"

    def resigned(text: str) -> str:
        return (
            f"{text}\n\u2014 {ORIGIN} {b64encode(LOG_KEY.key_id + LOG.sign_bytes(text.encode())).decode()}\n"
        )

    three = body + "\n"
    bad = {
        "unsigned": body + "\n",
        "no signature line": body + "\n\n",
        "signed by another key": sign_checkpoint(checkpoint, witness),
        "another log's": sign_checkpoint(Checkpoint("other.example/log", 7, checkpoint.root), LOG),
        "a size more": note.replace("\n7\n", "\n8\n"),
        "the same line twice": note + line,
        "a size with a plus": resigned(three.replace("\n7\n", "\n+7\n")),
        "a size with a nought in front": resigned(three.replace("\n7\n", "\n07\n")),
        "a size with an underscore": resigned(three.replace("\n7\n", "\n1_0\n")),
        "a size in other digits": resigned(three.replace("\n7\n", "\n\u0667\n")),
        "a root of 31 bytes": resigned("\n".join([ORIGIN, "7", "A" * 40 + "AA==", ""])),
        "a line more": resigned(three + "more\n"),
        "windows line ends": note.replace("\n", "\r\n"),
        "a hyphen for the dash": note.replace("\u2014", "-"),
        "something after the last line": note + "x",
        "empty": "",
    }
    return {
        "description": "Checkpoints as signed notes (L5 to L7), read with the verifier key of the log.",
        "key": LOG_KEY.text(),
        "seed": b(seed("log")),
        "valid": [
            {"name": "signed by the log", "note": note, "origin": ORIGIN, "size": 7, "root": b(checkpoint.root)},
            {"name": "and by a witness nobody here knows", "note": both, "origin": ORIGIN, "size": 7, "root": b(checkpoint.root)},
        ],
        "invalid": [{"name": name, "note": text, "refusal": "CHECKPOINT"} for name, text in bad.items()],
    }  # fmt: skip


def heads() -> dict[str, object]:
    """Published heads and cosignatures. ML-DSA draws randomness, so they were signed once."""
    checkpoint = Checkpoint(ORIGIN, 7, naive_merkle.root(other_leaves(7)))
    bare = sign_checkpoint(checkpoint, LOG)
    note = publish(bare, checkpoint, LOG_MLDSA)
    keys = {who.id: SigningKey(seed(f"{who.name} witness")) for who in (ALDER, BIRCH)}
    lines = {who: cosign(checkpoint, who, key, T0 + 120) for who, key in keys.items()}
    other = Checkpoint(ORIGIN, 8, checkpoint.root)
    one, key = next(iter(lines.items()))
    stranger = SigningKey(seed("a stranger's witness"))
    turned = key[:-6] + ("A" if key[-6] != "A" else "B") + key[-5:]
    second = note[len(bare) :]
    bad = {
        "without the log's second line": bare,
        "without the log's first line": bare.rsplit("\n\n", 1)[0] + "\n\n" + second,
        "the second line of another size": bare + publish(bare, other, LOG_MLDSA)[len(bare) :],
        "the second line by another key": publish(bare, checkpoint, MldsaKey(seed("another log mldsa"))),
        "the second line twice": note + second,
        "a second line that is cut short": note[:-50] + note[-49:],
        "the second line for another log": bare
        + publish(bare, Checkpoint("other.example/log", 7, checkpoint.root), LOG_MLDSA)[len(bare) :].replace(
            "other.example/log", ORIGIN
        ),
        "a member's cosignature of another size": note + cosign(other, one, keys[one], T0 + 120),
        "a member's cosignature with a byte turned": note + turned,
    }
    return {
        "description": "Published heads (L17) and cosignatures (L18). `cosigned` names the members that count, with "
        "the time of each; others' lines are passed over. ML-DSA-44 draws randomness, so they were signed once.",
        "key": LOG_KEY.text(),
        "mldsa": MLDSA_LOG_KEY.text(),
        "mldsa_seed": b(seed("log mldsa")),
        "witnesses": [
            {"agency": who, "key": WitnessKey(who, key.public).text(), "seed": b(key.seed())} for who, key in keys.items()
        ],
        "valid": [
            {"name": name, "note": text, "origin": ORIGIN, "size": 7, "root": b(checkpoint.root), "cosigned": cosigned}
            for name, text, cosigned in (
                ("signed by the log's two keys", note, {}),
                ("cosigned by a member", note + lines[one], {one: T0 + 120}),
                ("cosigned by two", note + "".join(lines.values()), dict.fromkeys(lines, T0 + 120)),
                ("and by a witness nobody knows", note + cosign(checkpoint, one, stranger, T0 + 120), {}),
                ("cosigned twice by one", note + lines[one] + cosign(checkpoint, one, keys[one], T0 + 60), {one: T0 + 120}),
            )
        ],
        "invalid": [{"name": name, "note": text, "refusal": "CHECKPOINT"} for name, text in bad.items()],
    }  # fmt: skip


def proofs() -> dict[str, object]:
    leaf = Leaf(seed("a tag"), seed("a relay record"), seed("a sender record")).to_bytes()
    alone = proven(leaf, before=0, after=0)
    good = proven(leaf)
    lines = good.to_bytes().decode()
    longer = proven(leaf, after=3)
    bad = {
        "an upper-case head": (lines.replace("c2sp", "C2SP"), "PROOF"),
        "no extra line": (lines.replace(lines.split("\n")[1] + "\n", ""), "PROOF"),
        "another leaf in extra": (_with(good, extra=leaf[:-1] + b"\0"), "PROOF"),
        "another index": (_with(good, index=3), "PROOF"),
        "an index below nought": (lines.replace("index 4", "index -4"), "PROOF"),
        "an index with a nought in front": (lines.replace("index 4", "index 04"), "PROOF"),
        "an index in superscript": (lines.replace("index 4", "index \u00b2"), "PROOF"),
        "no hashes": (_with(good, hashes=()), "PROOF"),
        "a hash less": (_with(good, hashes=good.hashes[:-1]), "PROOF"),
        "a hash more": (_with(good, hashes=(*good.hashes, good.hashes[0])), "PROOF"),
        "a hash twice": (_with(good, hashes=(good.hashes[0], *good.hashes)), "PROOF"),
        "the checkpoint of a larger tree": (_with(good, note=longer.note), "PROOF"),
        "another log's checkpoint": (
            _with(good, note=good.note.replace(ORIGIN, "other.example/log")),
            "CHECKPOINT",
        ),
        "an unsigned checkpoint": (_with(good, note=good.note.rsplit("\n\n", 1)[0] + "\n"), "CHECKPOINT"),
        "no checkpoint": (_with(good, note=""), "CHECKPOINT"),
        "cut off": (lines[:40], "PROOF"),
        "empty": ("", "PROOF"),
    }
    return {
        "description": "Log proofs (L8) of one leaf (L9), read with the verifier key of the log.",
        "key": LOG_KEY.text(),
        "leaf": b(leaf),
        "valid": [
            {"name": "the fifth of seven", "proof": lines, "index": 4, "size": 7},
            {"name": "alone", "proof": alone.to_bytes().decode(), "index": 0, "size": 1},
        ],
        "invalid": [{"name": name, "proof": text, "refusal": code} for name, (text, code) in bad.items()],
    }


def _with(good: LogProof, **fields: object) -> str:
    value = {"extra": good.extra, "index": good.index, "hashes": good.hashes, "note": good.note, **fields}
    return LogProof(**value).to_bytes().decode()
