"""Log proofs and checkpoints under attack: what a relay that lies could hand out in place of the true one."""

import pytest

from schemas.audit import Event, Leaf, accept_leaf, event_tag
from schemas.checkpoint import MAX_SIGNATURES, Checkpoint, LogKey, LogProof, open_checkpoint, sign_checkpoint
from schemas.errors import Refusal
from schemas.keys import SigningKey
from tests.tools import naive_merkle
from tests.tools.vector_world import LOG, LOG_KEY, ORIGIN, other_leaves, proven, seed

LEAF = Leaf(seed("eid"), seed("relay"), seed("sender")).to_bytes()
GOOD = proven(LEAF)


def changed(**fields: object) -> LogProof:
    value = {"extra": GOOD.extra, "index": GOOD.index, "hashes": GOOD.hashes, "note": GOOD.note, **fields}
    return LogProof(**value)


def forked(size: int = 7) -> str:
    """Another log's head by the same key: the leaf is not in it."""
    return sign_checkpoint(Checkpoint(ORIGIN, size, naive_merkle.root(other_leaves(size))), LOG)


HOSTILE = {
    "another leaf of the same log": (changed(extra=other_leaves(1)[0]), "PROOF"),
    "the true leaf under another's proof": (changed(index=0), "PROOF"),
    "a fork's head": (changed(note=forked()), "PROOF"),
    "a head of a size more": (changed(note=proven(LEAF, after=3).note), "PROOF"),
    "a head of a size less": (changed(note=proven(LEAF, after=1).note), "PROOF"),
    "an unsigned head": (changed(note=GOOD.note.split("\n\n")[0] + "\n\n"), "CHECKPOINT"),
    "a head by another key": (proven(LEAF, key=SigningKey(seed("x"))), "CHECKPOINT"),
    "a head with the origin swapped": (changed(note=GOOD.note.replace(ORIGIN, "relay.example/keys")), "CHECKPOINT"),
    "no hashes": (changed(hashes=()), "PROOF"),
    "a hash doubled": (changed(hashes=(GOOD.hashes[0], *GOOD.hashes)), "PROOF"),
    "a hash too many": (changed(hashes=(*GOOD.hashes, seed("x"))), "PROOF"),
    "a hash too few": (changed(hashes=GOOD.hashes[:-1]), "PROOF"),
    "an inner node in a leaf's place": (changed(index=2, hashes=GOOD.hashes[1:]), "PROOF"),
    "an index past the end": (changed(index=7), "PROOF"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_proof_that_is_not_the_true_one_is_refused(name: str):
    proof, code = HOSTILE[name]
    with pytest.raises(Refusal) as caught:
        LogProof.parse(proof.to_bytes()).verified(LEAF, LOG_KEY)
    assert caught.value.code == code


def test_the_true_one_holds():
    assert LogProof.parse(GOOD.to_bytes()).verified(LEAF, LOG_KEY).size == 7


def test_a_changed_record_is_another_leaf():
    """The relay cannot keep the proof and swap what the leaf stands for (as verifiers elsewhere once allowed)."""
    leaf = accept_leaf(seed("eid"), b"record", seed("ar"))
    proof = proven(leaf.to_bytes())
    proof.verified(leaf.to_bytes(), LOG_KEY)
    for other in (
        accept_leaf(seed("eid"), b"recorD", seed("ar")),
        accept_leaf(seed("eid"), b"record", seed("aR")),
        accept_leaf(seed("eiD"), b"record", seed("ar")),
    ):
        with pytest.raises(Refusal, match="PROOF"):
            proof.verified(other.to_bytes(), LOG_KEY)


@pytest.mark.parametrize("data", [b"", LEAF[:-1], LEAF + b"\0", b"\x02" + LEAF[1:], b"\x00" + LEAF[1:]])
def test_a_leaf_has_97_bytes_and_a_version(data: bytes):
    with pytest.raises(Refusal, match="PROOF"):
        Leaf.parse(data)


def test_a_leaf_is_read_back():
    assert Leaf.parse(LEAF).to_bytes() == LEAF


def test_each_event_of_a_message_has_its_own_tag():
    eid = seed("eid")
    tags = [
        event_tag(eid, event, agency, desk)
        for event in Event
        for agency in ("ag1a", "ag1b")
        for desk in ("x", "xy")
    ]
    assert len(set(tags)) == len(tags) == len({*tags, eid}) - 1
    # Without a separator, agency "ag1a" with desk "xy" would be agency "ag1ax" with desk "y".
    assert event_tag(eid, Event.OPENED, "ag1ax", "y") != event_tag(eid, Event.OPENED, "ag1a", "xy")


def test_a_witness_may_add_its_line_and_cannot_replace_the_logs():
    witness = SigningKey(seed("witness"))
    line = sign_checkpoint(Checkpoint(ORIGIN, 7, bytes(32)), witness).rsplit("\n\n", 1)[1]
    assert open_checkpoint(GOOD.note + line, LOG_KEY).size == 7
    with pytest.raises(Refusal, match="CHECKPOINT"):
        open_checkpoint(GOOD.note.rsplit("\n\n", 1)[0] + "\n\n" + line, LOG_KEY)


def test_a_line_that_claims_to_be_the_logs_must_verify():
    """Same name, same key id, another signature: beside the true line it is still refused."""
    head, line = GOOD.note.rsplit("\n\n", 1)
    false = line[:-6] + ("AAAA=\n" if not line.endswith("AAAA=\n") else "BBBB=\n")
    for lines in (line + false, false + line, false):
        with pytest.raises(Refusal, match="CHECKPOINT"):
            open_checkpoint(f"{head}\n\n{lines}", LOG_KEY)


def test_a_line_more_than_the_logs_two_and_64_witnesses_is_too_many():
    head, line = GOOD.note.rsplit("\n\n", 1)
    strangers = [
        sign_checkpoint(Checkpoint(ORIGIN, 7, bytes(32)), SigningKey(seed(f"w{n}"))).rsplit("\n\n", 1)[1]
        for n in range(MAX_SIGNATURES)
    ]
    assert open_checkpoint(f"{head}\n\n{line}{''.join(strangers[1:])}", LOG_KEY).size == 7
    with pytest.raises(Refusal, match="CHECKPOINT"):
        open_checkpoint(f"{head}\n\n{line}{''.join(strangers)}", LOG_KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "a+b+c",
        "a+00000000+AQ==",
        "\u00e9" + LOG_KEY.text(),
        LOG_KEY.text() + "=",
        LOG_KEY.text().upper(),
    ],
)
def test_a_verifier_key_has_one_spelling(text: str):
    with pytest.raises(Refusal, match="CHECKPOINT"):
        LogKey.parse(text)
