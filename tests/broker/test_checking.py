"""The checker: a process apart says of each signature what this one would have said, and nobody waits for the dead."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import psutil
import pytest

from broker import checking
from broker.checker import BROKEN, HELD, packed, unpacked, verdict
from broker.checking import FEW, Checks
from schemas.errors import Refusal
from schemas.hashing import Frames
from schemas.keys import SigningKey
from schemas.signing import Check, Purpose, sign

KEY = SigningKey(bytes(range(32)))


def check(data: bytes, purpose: Purpose = Purpose.RECEIPT) -> Check:
    return Check.of(KEY.public, purpose, data, sign(KEY, purpose, data))


def forged(data: bytes) -> Check:
    good = check(data)
    return Check(good.public, good.covered + b"!", good.signature)


MIXED = [check(b"a"), forged(b"b"), check(b""), Check(bytes(32), b"c", bytes(64)), check(b"d" * 5000)]
TRUTH = [True, False, True, False, True]


@pytest.fixture
async def checks() -> AsyncIterator[Checks]:
    made = Checks(apart=True)
    yield made
    await made.close()


async def started(checks: Checks) -> None:
    """A batch that is too many for here starts the checker; wait until it listens."""
    await checks.held([check(b"x")] * (FEW + 1))
    for _ in range(500):
        if checks._checker.ready:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the checker did not start")


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "broker.checker" in child.cmdline()]


def test_a_batch_is_read_as_it_was_packed():
    (frame,) = Frames(packed(MIXED)).frames(10**6)
    assert unpacked(frame) == MIXED


@pytest.mark.parametrize("cut", [1, 3, 40, 97])
def test_a_batch_that_ends_early_is_refused(cut: int):
    (frame,) = Frames(packed([check(b"a")])).frames(10**6)
    with pytest.raises(Refusal):
        unpacked(frame[:cut])


def test_a_verdict_never_raises():
    assert [verdict(one) == HELD for one in MIXED] == TRUTH
    assert verdict(Check(b"short", b"", b"")) == BROKEN


async def test_few_checks_are_made_here(checks: Checks):
    assert await checks.held(MIXED[:FEW]) == TRUTH[:FEW]
    assert not children()


async def test_one_processor_is_not_shared_with_a_second_process():
    checks = Checks(apart=False)
    assert await checks.held(MIXED * 20) == TRUTH * 20
    assert not children()
    await checks.close()


async def test_the_checker_says_what_we_would_have_said(checks: Checks):
    await started(checks)
    assert await checks.held(MIXED) == TRUTH


async def test_everybody_is_answered_for_their_own_checks(checks: Checks):
    await started(checks)
    answers = await asyncio.gather(*(checks.held(MIXED[at : at + 2]) for at in range(4)))
    assert answers == [TRUTH[at : at + 2] for at in range(4)]


async def test_who_went_away_leaves_the_others_their_answers(checks: Checks):
    await started(checks)
    gone, here = checks.held(MIXED), checks.held(MIXED)
    gone.cancel()
    assert await here == TRUTH


async def test_a_checker_that_is_killed_leaves_nobody_waiting(checks: Checks):
    await started(checks)
    waiting = [checks.held(MIXED) for _ in range(50)]
    await asyncio.sleep(0)
    (child,) = children()
    child.send_signal(signal.SIGKILL)
    assert await asyncio.wait_for(asyncio.gather(*waiting), 10) == [TRUTH] * 50
    assert await checks.held(MIXED) == TRUTH


async def test_a_checker_that_died_is_started_again(checks: Checks):
    await started(checks)
    (child,) = children()
    child.send_signal(signal.SIGKILL)
    for _ in range(500):
        if not checks._checker.ready:
            break
        await asyncio.sleep(0.01)
    await started(checks)
    assert await checks.held(MIXED) == TRUTH


async def test_a_checker_that_hangs_is_given_up(checks: Checks, monkeypatch: pytest.MonkeyPatch):
    await started(checks)
    monkeypatch.setattr(checking.Checker, "patience", 0.1)
    (child,) = children()
    child.send_signal(signal.SIGSTOP)
    waiting = checks.held(MIXED)
    await asyncio.sleep(0.2)
    assert not waiting.done()
    assert await asyncio.wait_for(checks.held(MIXED), 10) == TRUTH
    assert await asyncio.wait_for(waiting, 10) == TRUTH
    child.wait(10)


async def test_without_a_checker_everything_is_checked_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checking.sys, "executable", "/nonexistent/python")
    checks = Checks(apart=True)
    for _ in range(5):
        assert await checks.held(MIXED) == TRUTH
        await asyncio.sleep(0.01)
    await checks.close()


async def test_the_checker_ends_with_the_checks():
    checks = Checks(apart=True)
    await started(checks)
    (child,) = children()
    await checks.close()
    child.wait(10)


def run() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "broker.checker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_checker_whose_relay_is_gone_ends():
    with run() as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_checker_outlives_the_signal_that_lets_the_relay_finish():
    with run() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):  # it answers once, so it is past its start when the signals come
            process.stdin.write(packed(MIXED))
            process.stdin.flush()
            assert [byte == HELD[0] for byte in process.stdout.read(len(MIXED))] == TRUTH
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        process.stdin.close()
        assert process.wait(10) == 0
