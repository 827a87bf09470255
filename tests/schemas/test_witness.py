"""Published heads and quorums: whose cosignature counts, and what a relay cannot pass off as one."""

import secrets
from functools import cache

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from hypothesis import given, settings
from hypothesis import strategies as st

from keys_tooling.ceremony import BACKDATE, LIFE, admit, found_partnership, make_agency, make_officer
from schemas import mldsa
from schemas.chain import Chain
from schemas.checkpoint import Checkpoint, LogKey, note_lines, open_checkpoint, sign_checkpoint
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.keys import SigningKey, Use
from schemas.mldsa import MldsaKey, verify_mldsa
from schemas.witness import (
    ACTIVE,
    AHEAD,
    MldsaLogKey,
    WitnessKey,
    check_cosignature,
    cosign,
    needed,
    open_published,
    publish,
    quorum_time,
    taking_part,
    witnesses,
)
from tests.tools.vector_world import seed

NOW = 1_800_000_000
DAY = 86_400
FLAGS = {"public_authority": False, "s16la_member": False, "cda_relevant": False}


class Town:
    """A directory with oversight and members, each with its witness key and its chain."""

    def __init__(self, members: int) -> None:
        _, card = make_officer(secrets.token_bytes)
        address = "relay.test"
        self.founded = found_partnership(
            "Town", f"https://{address}", address, "relay.test/log", NOW, secrets.token_bytes, (card,)
        )
        self.view = Directory(self.founded.oversight.id)
        for signed in self.founded.oversight.statements:
            self.view.apply(signed)
        self.admin, self.members = self.founded.oversight.admin, []
        for number in range(members):
            self.members.append(self.join(f"Agency {number}"))

    def join(self, name: str):
        member = make_agency(NOW, secrets.token_bytes, (make_officer(secrets.token_bytes)[1],))
        self.admin, admission = admit(self.admin, member.id, name, ("duty",), FLAGS, NOW)
        for signed in (*member.statements, admission):
            self.view.apply(signed)
        return member

    def chain(self, member) -> Chain:
        admin = member.admin
        return Chain(admin.agency, admin.op, admin.seq, admin.head)

    def head(self, size: int = 7, root: bytes = bytes(32)) -> tuple[Checkpoint, str]:
        checkpoint = Checkpoint("relay.test/log", size, root)
        keys = self.founded.relay
        return checkpoint, publish(sign_checkpoint(checkpoint, keys.log), checkpoint, keys.log_mldsa)

    def opened(self, note: str):
        partnership = self.founded.partnership
        return open_published(note, partnership.log_key, partnership.log_mldsa_key)

    def counted(self, note: str, now: int = NOW) -> dict[str, int]:
        return witnesses(self.opened(note), self.view, now)


@pytest.fixture(scope="module")
def town() -> Town:
    return Town(3)


def line_of(member, checkpoint: Checkpoint, ts: int = NOW) -> str:
    return cosign(checkpoint, member.id, member.agent.witness, ts)


def test_members_are_counted_once_each_with_their_newest_time(town: Town):
    checkpoint, note = town.head()
    one, two, _ = town.members
    note += line_of(one, checkpoint, NOW - 60) + line_of(one, checkpoint) + line_of(two, checkpoint, NOW - 5)
    assert town.counted(note) == {one.id: NOW, two.id: NOW - 5}


def test_a_quorum_of_one_member_twice_is_none(town: Town):
    checkpoint, note = town.head()
    one = town.members[0]
    found = town.counted(note + "".join(line_of(one, checkpoint, NOW - n) for n in range(5)))
    assert (len(found), needed(3, 1)) == (1, 2)
    assert quorum_time(found, needed(3, 1)) is None


def test_two_keys_of_one_member_count_once():
    town = Town(3)
    one, fresh = town.members[0], SigningKey(secrets.token_bytes(32))
    town.view.apply(town.chain(one).add_key(Use.WITNESS, fresh.public, NOW - 60, NOW + DAY, NOW))
    checkpoint, note = town.head()
    found = town.counted(note + line_of(one, checkpoint) + cosign(checkpoint, one.id, fresh, NOW))
    assert found == {one.id: NOW}


def test_a_majority_of_any_number_meets_every_other_majority():
    assert [needed(members, 1) for members in range(7)] == [1, 1, 1, 2, 3, 3, 4]
    for members in range(3, 128):
        assert 2 * needed(members, 1) > members
    assert (needed(2, 40), needed(100, 40), needed(0, 64)) == (40, 51, 64)


def test_who_takes_part_is_a_member_that_cosigned_lately(town: Town):
    one, two, three = (member.id for member in town.members)
    seen = {one: NOW, two: NOW - ACTIVE, three: NOW - ACTIVE - 1, town.founded.oversight.id: NOW, "ag1x": NOW}
    assert taking_part(seen, town.view, NOW) == 2
    assert taking_part({}, town.view, NOW) == 0


def test_the_time_of_a_quorum_is_that_of_its_last_member():
    assert quorum_time({"a": 30, "b": 10, "c": 20}, 2) == 20
    assert quorum_time({"a": 30, "b": 10, "c": 20}, 3) == 10
    assert quorum_time({"a": 30}, 2) is None
    assert quorum_time({}, 1) is None


def refused_line(town: Town, line: str, checkpoint: Checkpoint, now: int = NOW) -> str:
    name, data = note_lines(f"x\n1\ny\n\n{line}")[1][0]
    with pytest.raises(Refusal) as caught:
        check_cosignature(name, data, checkpoint, town.view, now)
    return caught.value.code


def test_who_is_not_a_witness_is_refused_by_name_and_by_key(town: Town):
    checkpoint, _ = town.head()
    one, two, _ = town.members
    other = SigningKey(secrets.token_bytes(32))
    assert refused_line(town, cosign(checkpoint, one.id, other, NOW), checkpoint) == "UNKNOWN_KEY"
    assert refused_line(town, cosign(checkpoint, two.id, one.agent.witness, NOW), checkpoint) == "UNKNOWN_KEY"
    assert refused_line(town, cosign(checkpoint, one.id, one.agent.msg, NOW), checkpoint) == "UNKNOWN_KEY"
    assert refused_line(town, cosign(checkpoint, "ag1nobody", other, NOW), checkpoint) == "UNKNOWN_AGENCY"
    oversight = town.founded.oversight
    line = cosign(checkpoint, oversight.id, oversight.agent.witness, NOW)
    assert refused_line(town, line, checkpoint) == "UNKNOWN_AGENCY"


@pytest.mark.parametrize(
    "changed",
    [
        Checkpoint("relay.test/log", 8, bytes(32)),
        Checkpoint("relay.test/log", 7, b"\1" * 32),
        Checkpoint("other.test/log", 7, bytes(32)),
        Checkpoint("relay.test/log/keys", 7, bytes(32)),
    ],
    ids=["size", "root", "origin", "the other log"],
)
def test_a_cosignature_is_of_one_head_of_one_log(town: Town, changed: Checkpoint):
    checkpoint, note = town.head()
    assert refused_line(town, line_of(town.members[0], changed), checkpoint) == "SIGNATURE"
    with pytest.raises(Refusal, match="CHECKPOINT"):
        town.counted(note + line_of(town.members[0], changed))


def test_a_cosignature_from_the_future_does_not_count(town: Town):
    checkpoint, note = town.head()
    one = town.members[0]
    assert refused_line(town, line_of(one, checkpoint, NOW + AHEAD + 1), checkpoint) == "FUTURE"
    assert town.counted(note + line_of(one, checkpoint, NOW + AHEAD)) == {one.id: NOW + AHEAD}
    assert town.counted(note + line_of(one, checkpoint, 2**63)) == {}


def test_a_key_counts_only_within_its_dates(town: Town):
    checkpoint, _ = town.head()
    one = town.members[0]
    early, late = NOW - BACKDATE - 1, NOW - BACKDATE + LIFE[Use.WITNESS]
    assert refused_line(town, line_of(one, checkpoint, early), checkpoint) == "STALE_KEY"
    assert refused_line(town, line_of(one, checkpoint, late), checkpoint, late) == "STALE_KEY"


def test_a_revoked_key_makes_no_quorum_whatever_time_it_names():
    town = Town(3)
    one, two, _ = town.members
    checkpoint, note = town.head()
    note += line_of(one, checkpoint) + line_of(two, checkpoint, NOW - 3000)
    assert len(town.counted(note)) == 2
    town.view.apply(town.chain(two).revoke(two.agent.witness.kid, "lost", NOW, NOW))
    assert refused_line(town, line_of(two, checkpoint, NOW - 3000), checkpoint) == "REVOKED_KEY"
    assert town.counted(note) == {one.id: NOW}
    assert quorum_time(town.counted(note), needed(3, 1)) is None


def test_every_byte_of_a_cosignature_matters(town: Town):
    checkpoint, _ = town.head()
    one = town.members[0]
    name, data = note_lines(f"x\n1\ny\n\n{line_of(one, checkpoint)}")[1][0]
    check_cosignature(name, data, checkpoint, town.view, NOW)
    for at in range(len(data)):
        turned = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(Refusal):
            check_cosignature(name, turned, checkpoint, town.view, NOW)
    for short in (data[:-1], data[:12], data + b"\0"):
        with pytest.raises(Refusal, match="SIGNATURE"):
            check_cosignature(name, short, checkpoint, town.view, NOW)


# --- the log's own lines


def test_a_head_needs_both_of_the_logs_lines(town: Town):
    checkpoint, note = town.head()
    assert town.opened(note).checkpoint == checkpoint
    bare = sign_checkpoint(checkpoint, town.founded.relay.log)
    second = note.removeprefix(bare)
    for broken in (
        bare,
        checkpoint.text() + "\n" + second,
        note + second,
        bare + note[len(bare) : -9] + "\n",
    ):
        with pytest.raises(Refusal, match="CHECKPOINT"):
            town.opened(broken)


def test_a_line_by_another_key_or_for_another_head_is_not_the_logs(town: Town):
    checkpoint, _note = town.head()
    bare = sign_checkpoint(checkpoint, town.founded.relay.log)
    for line in (
        publish(bare, checkpoint, MldsaKey(seed("other"))),
        bare + town.head(8)[1][len(sign_checkpoint(town.head(8)[0], town.founded.relay.log)) :],
    ):
        with pytest.raises(Refusal, match="CHECKPOINT"):
            town.opened(line)


def test_a_cosigned_head_is_still_an_ordinary_checkpoint(town: Town):
    checkpoint, note = town.head()
    note += "".join(line_of(member, checkpoint) for member in town.members)
    assert open_checkpoint(note, town.founded.partnership.log_key) == checkpoint


def test_verifier_keys_have_one_spelling_and_one_kind(town: Town):
    public = town.members[0].agent.witness.public
    key = WitnessKey("relay.test/log", public)
    assert WitnessKey.parse(key.text()) == key
    assert key.key_id != LogKey("relay.test/log", public).key_id
    second = town.founded.partnership.log_mldsa_key
    assert MldsaLogKey.parse(second.text()) == second
    for kind in (LogKey, MldsaLogKey):
        with pytest.raises(Refusal, match="CHECKPOINT"):
            kind.parse(key.text())
    for kind in (LogKey, WitnessKey):
        with pytest.raises(Refusal, match="CHECKPOINT"):
            kind.parse(second.text())
    with pytest.raises(Refusal, match="CHECKPOINT"):
        MldsaLogKey.parse(MldsaLogKey("x", second.public[:-1]).text())


def test_mldsa_refuses_what_is_not_its_own():
    key = MldsaKey(seed("k"))
    signature = key.sign_bytes(b"x")
    verify_mldsa(key.public, b"x", signature)
    for public, data, made, code in (
        (key.public, b"y", signature, "SIGNATURE"),
        (MldsaKey(seed("l")).public, b"x", signature, "SIGNATURE"),
        (key.public, b"x", signature[:-1], "SIGNATURE"),
        (key.public, b"x", b"", "SIGNATURE"),
        (key.public[:-1], b"x", signature, "KEY"),
        (b"", b"x", signature, "KEY"),
    ):
        with pytest.raises(Refusal) as caught:
            verify_mldsa(public, data, made)
        assert caught.value.code == code
    with pytest.raises(Refusal, match="KEY"):
        MldsaKey(bytes(31))


def test_without_the_librarys_mldsa_there_is_no_key_and_no_check(monkeypatch: pytest.MonkeyPatch):
    class Unable:
        @staticmethod
        def from_seed_bytes(_seed: bytes) -> None:
            raise UnsupportedAlgorithm("not here")

        from_public_bytes = from_seed_bytes

    monkeypatch.setattr(mldsa, "MLDSA44PrivateKey", Unable)
    monkeypatch.setattr(mldsa, "MLDSA44PublicKey", Unable)
    with pytest.raises(Refusal, match="SELF_TEST"):
        MldsaKey(seed("k"))
    with pytest.raises(Refusal, match="SELF_TEST"):
        verify_mldsa(seed("never seen"), b"x", b"y")


def test_the_formats_own_example_of_a_cosigned_text():
    """The two lines of C2SP tlog-cosignature before the note text, and the byte layout of its cosigned_message."""
    from schemas.witness import _cosigned_text, cosigned_message

    checkpoint = Checkpoint("example.com/behind-the-sofa", 20852163, seed("root"))
    lines = _cosigned_text(checkpoint, 1679315147).decode().split("\n")
    assert lines[:4] == ["cosignature/v1", "time 1679315147", "example.com/behind-the-sofa", "20852163"]
    assert cosigned_message("ab", 5, Checkpoint("cde", 6, b"\7" * 32)) == (
        b"subtree/v1\n\0\x02ab" + bytes(7) + b"\x05" + b"\x03cde" + bytes(8) + bytes(7) + b"\x06" + b"\7" * 32
    )


# --- any text


def is_answered(town: Town, text: str) -> None:
    try:
        town.counted(text)
    except Refusal as refusal:
        if refusal.code != "CHECKPOINT":
            raise


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60), at=st.integers(0, 5000))
def test_any_text_is_a_head_or_is_refused(text: str, at: int):
    town = shared_town()
    note = town.head()[1] + line_of(town.members[0], town.head()[0])
    for attempt in (
        text,
        text + note,
        note + text,
        note[:at] + text + note[at:],
        note[:at] + text + note[at + 1 :],
    ):
        is_answered(town, attempt)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=100), name=st.text(max_size=10))
def test_any_bytes_are_a_cosignature_or_are_refused(data: bytes, name: str):
    town = shared_town()
    checkpoint, _ = town.head()
    one = town.members[0]
    key_id = WitnessKey(one.id, one.agent.witness.public).key_id
    for who, made in ((name, data), (one.id, data), (one.id, key_id + data)):
        with pytest.raises(Refusal):
            check_cosignature(who, made, checkpoint, town.view, NOW)


@cache
def shared_town() -> Town:
    return Town(2)
