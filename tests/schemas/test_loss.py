"""Which heads an accepted loss explains, and whose signatures it takes (L26)."""

import json
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.checkpoint import Checkpoint, LogKey, sign_checkpoint
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.loss import Loss, check_word, read_loss, read_word, sign_loss, sign_word
from schemas.signing import Signed
from tests.simulated_world import World

ORIGIN = "relay.test/log"
LOG, KEYS_LOG, OTHER = (SigningKey(bytes([n]) * 32) for n in (1, 2, 3))
KEY, KEYS_KEY = LogKey(ORIGIN, LOG.public), LogKey(f"{ORIGIN}/keys", KEYS_LOG.public)
OLD, NEW = bytes(32), b"\x01" * 32


def head(size, root=OLD):
    return Checkpoint(ORIGIN, size, root)


def loss(now=60, was=100, lost=40):
    notes = {
        "now": sign_checkpoint(head(now), LOG),
        "was": "" if was is None else sign_checkpoint(head(was), LOG),
    }
    return Loss.model_validate({"lost": lost, "ts": 1_795_305_600, "v": 1, **notes})


def accepted(said=None, *seen):
    return read_word(
        sign_word(sign_loss(said or loss(), KEYS_LOG), seen, OTHER, OTHER.kid, 1_795_305_700), KEY
    )


KNOWN, UNKNOWN = accepted(), accepted(loss(was=None, lost=None))
NAMED = accepted(loss(was=None, lost=None), head(150, NEW), head(60), head(3, NEW))


@given(st.integers(0, 200), st.sampled_from([OLD, NEW]))
def test_only_heads_between_the_two_are_lost_and_the_newest_only_by_its_root(size, root):
    known, unknown = KNOWN, UNKNOWN
    assert known.lost(head(size, root)) == (60 < size < 100 or (size, root) == (100, OLD))
    assert not unknown.lost(head(size, root))


@given(st.integers(0, 200), st.sampled_from([OLD, NEW]))
def test_what_oversight_names_is_lost_by_its_root_and_never_what_the_relay_still_has(size, root):
    word = NAMED
    assert word.lost(head(size, root)) == word.named(head(size, root)) == ((size, root) == (150, NEW))


@pytest.mark.parametrize(
    "said",
    [
        loss(was=50),
        loss(was=None),
        loss(lost=None),
        loss(now=100).model_copy(update={"was": sign_checkpoint(head(100, NEW), LOG)}),
    ],
)
def test_a_statement_that_does_not_hold_together_is_refused(said):
    with pytest.raises(Refusal) as caught:
        read_loss(sign_loss(said, KEYS_LOG), KEY, KEYS_KEY)
    assert caught.value.code == "FORM"


def test_notes_of_another_log_and_signatures_of_another_key_are_refused():
    foreign = loss().model_copy(update={"now": sign_checkpoint(head(60), OTHER)})
    for signed, code in (
        (sign_loss(foreign, KEYS_LOG), "CHECKPOINT"),
        (sign_loss(loss(), LOG), "SIGNATURE"),
        (Signed(sign_loss(loss(), KEYS_LOG).text + b" ", bytes(64)), "SIGNATURE"),
    ):
        with pytest.raises(Refusal) as caught:
            read_loss(signed, KEY, KEYS_KEY)
        assert caught.value.code == code


def test_a_word_with_one_byte_changed_is_nobodys(tmp_path):
    world = World.found(tmp_path, "Peacock")
    partnership, keys = world.founded.partnership, world.founded.relay
    name = partnership.charter.origin
    notes = {"now": sign_checkpoint(Checkpoint(name, 6, OLD), keys.log)}
    notes["was"] = sign_checkpoint(Checkpoint(name, 9, OLD), keys.log)
    statement = sign_loss(loss(lost=3).model_copy(update=notes), keys.keys_log)
    auth = world.parties["oversight"].officer.auth
    word = sign_word(statement, (), auth, auth.kid, world.now)
    log, keys_log = partnership.log_key, partnership.keys_log_key
    assert check_word(word, log, keys_log, world.directory).loss.lost == 3
    at = secrets.randbelow(len(word.text))
    changed = word.text[:at] + bytes([word.text[at] ^ 1]) + word.text[at + 1 :]
    with pytest.raises(Refusal):
        check_word(Signed(changed, word.signature), log, keys_log, world.directory)
    value = json.loads(word.text) | {"ts": world.now + 1}
    text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(Refusal) as caught:
        check_word(Signed(text, word.signature), log, keys_log, world.directory)
    assert caught.value.code == "SIGNATURE"
