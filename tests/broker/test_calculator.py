"""The calculator: a process apart checks and seals exactly as this one would, and nobody waits for the dead."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest

from broker import calculating, drafts
from broker.calculating import Calculator
from broker.calculator import CHECK, asked
from broker.checking import FEW, Checks
from broker.drafts import Draft
from broker.recording import Sealing
from broker.turn import Entry
from schemas.audit import Leaf
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.record_sealing import record_hash
from schemas.signing import Check, Purpose, sign
from schemas.verdicts import BROKEN, HELD, packed, unpacked, verdict

KEY = SigningKey(bytes(range(32)))


def check(data: bytes, purpose: Purpose = Purpose.RECEIPT) -> Check:
    return Check.of(KEY.public, purpose, data, sign(KEY, purpose, data))


def forged(data: bytes) -> Check:
    good = check(data)
    return Check(good.public, good.covered + b"!", good.signature)


GREETING = bytes(4)
"""An empty frame: the process has loaded what it needs."""
MIXED = [check(b"a"), forged(b"b"), check(b""), Check(bytes(32), b"c", bytes(64)), check(b"d" * 5000)]
TRUTH = [True, False, True, False, True]


def draft(number: int) -> Draft:
    """A draft for `number % 4` agencies, with blanks up to four; every other one has a sender's record."""
    few = number % 4
    keys = tuple(bytes((number, at)) * 16 for at in range(few))
    blanks = b"".join(bytes((number, at)) * 8 for at in range(4 - few))
    tag, ar, rk = bytes((number,)) * 32, bytes((number, 8)) * 16, bytes((number, 9)) * 16
    return Draft(tag, ar, rk, keys, blanks, b"{}" * number, b"sender" * 500 * (number % 2))


DRAFTS = [draft(number) for number in range(30)]


@pytest.fixture
async def calculator() -> AsyncIterator[Calculator]:
    made = Calculator(apart=True)
    yield made
    await made.close()


@pytest.fixture
def checks(calculator: Calculator) -> Iterator[Checks]:
    made = Checks(calculator)
    yield made
    made.close()


async def started(calculator: Calculator) -> None:
    """The first job starts it; wait until it listens."""
    assert await calculator.ask(CHECK, packed([check(b"x")])) is None
    await listening(calculator)


async def listening(calculator: Calculator) -> None:
    for _ in range(6000):
        if calculator.ready:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the calculator did not start")


def entries() -> list[Entry]:
    return [Entry(at, one) for at, one in enumerate(DRAFTS)]


async def whole(calculator: Calculator, sealed: list[Entry]) -> None:
    """Have the leaves of a turn made that is told of one entry after the other, as a turn is decided."""
    sealing = Sealing(calculator)
    for count in range(1, len(sealed) + 1):
        sealing.drafted(sealed[:count])
    sealing.rest(sealed)
    await sealing.done()


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "broker.calculator" in child.cmdline()]


def test_a_batch_is_read_as_it_was_packed():
    assert unpacked(packed(MIXED)) == MIXED
    assert drafts.unpacked(drafts.packed(DRAFTS)) == DRAFTS


@pytest.mark.parametrize("cut", [1, 3, 40, 97])
def test_a_batch_that_ends_early_is_refused(cut: int):
    with pytest.raises(Refusal):
        unpacked(packed([check(b"a")])[:cut])


@pytest.mark.parametrize(
    "spoil", [lambda a: a[:3], lambda a: a[:-1], lambda a: a + b"x", lambda a: b"\xff" + a[1:]]
)
def test_what_was_not_made_whole_is_refused(spoil):
    answer = drafts.answered(drafts.packed([draft(number) for number in range(4)]))
    made = [draft(number).made() for number in range(4)]
    assert drafts.read(answer, 4) == made
    with pytest.raises(Refusal):
        drafts.read(spoil(answer), 4)


def test_a_verdict_never_raises():
    assert [verdict(one) == HELD for one in MIXED] == TRUTH
    assert verdict(Check(b"short", b"", b"")) == BROKEN


async def test_few_checks_are_made_here(checks: Checks):
    assert await checks.held(MIXED[:FEW]) == TRUTH[:FEW]
    assert not children()


async def test_one_processor_is_not_shared_with_a_second_process():
    calculator = Calculator(apart=False)
    checks = Checks(calculator)
    assert await checks.held(MIXED * 20) == TRUTH * 20
    assert not children()
    checks.close()
    await calculator.close()


async def test_many_checks_start_the_calculator(calculator: Calculator, checks: Checks):
    assert await checks.held(MIXED[: FEW + 1]) == TRUTH[: FEW + 1]
    await listening(calculator)


async def test_the_calculator_says_what_we_would_have_said(calculator: Calculator, checks: Checks):
    await started(calculator)
    assert await checks.held(MIXED) == TRUTH


async def test_everybody_is_answered_for_their_own_checks(calculator: Calculator, checks: Checks):
    await started(calculator)
    answers = await asyncio.gather(*(checks.held(MIXED[at : at + 2]) for at in range(4)))
    assert answers == [TRUTH[at : at + 2] for at in range(4)]


async def test_who_went_away_leaves_the_others_their_answers(calculator: Calculator, checks: Checks):
    await started(calculator)
    gone, here = checks.held(MIXED), checks.held(MIXED)
    gone.cancel()
    assert await here == TRUTH


@pytest.mark.parametrize("apart", [True, False])
async def test_a_record_is_sealed_alike_wherever_it_is(calculator: Calculator, apart: bool):
    if apart:
        await started(calculator)
    sealed = entries()
    await whole(calculator, sealed)
    assert [(one.record, one.veiled, one.leaf) for one in sealed] == [one.made() for one in DRAFTS]
    for one in sealed:
        assert Leaf.parse(one.leaf) == (one.draft.tag, record_hash(one.record), one.draft.ar)
        assert bool(one.veiled) is bool(one.draft.sender)


async def test_a_calculator_that_is_killed_leaves_nobody_waiting(calculator: Calculator, checks: Checks):
    await started(calculator)
    waiting = [checks.held(MIXED) for _ in range(50)]
    sealed = entries()
    (child,) = children()
    child.send_signal(signal.SIGSTOP)
    sealing = asyncio.create_task(whole(calculator, sealed))
    await asyncio.sleep(0.05)
    assert not sealing.done()
    child.send_signal(signal.SIGKILL)
    assert await asyncio.wait_for(asyncio.gather(*waiting), 60) == [TRUTH] * 50
    await asyncio.wait_for(sealing, 60)
    assert [one.record for one in sealed] == [one.made().record for one in DRAFTS]
    assert await checks.held(MIXED) == TRUTH


async def test_a_calculator_that_died_is_started_again(calculator: Calculator, checks: Checks):
    await started(calculator)
    (child,) = children()
    child.send_signal(signal.SIGKILL)
    for _ in range(6000):
        if not calculator.ready:
            break
        await asyncio.sleep(0.01)
    await started(calculator)
    assert await checks.held(MIXED) == TRUTH


async def test_a_calculator_that_hangs_is_given_up(
    calculator: Calculator, checks: Checks, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(calculating.Line, "patience", 0.2)
    await started(calculator)
    (child,) = children()
    child.send_signal(signal.SIGSTOP)
    waiting, sealed = checks.held(MIXED), entries()
    await asyncio.wait_for(whole(calculator, sealed), 60)
    assert [one.record for one in sealed] == [one.made().record for one in DRAFTS]
    assert await asyncio.wait_for(waiting, 60) == TRUTH
    child.wait(60)


async def test_a_calculator_that_was_given_up_is_not_listened_to():
    """Its answer comes after its jobs were done here: there is nobody whom it could be for."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    line, heard = calculating.Line(), list[bytes | None]()
    line.patience = 0.05
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with theirs:
        await asyncio.get_running_loop().create_connection(lambda: line, sock=ours)
        theirs.send(GREETING)
        await line.listening()
        line.send(CHECK, b"anything", heard.append)
        theirs.send((2).to_bytes(4, "big"))  # it has begun to answer
        while not heard:
            await asyncio.sleep(0.01)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            theirs.send(b"ok" + (1).to_bytes(4, "big") + b"k")
        await asyncio.sleep(0.05)
        assert heard == [None]
        assert faults == []
        with contextlib.suppress(ConnectionResetError):
            while theirs.recv(4096):
                pass  # closed at the other end: else there were nothing to read, and that is BlockingIOError
    assert not line.ready


async def test_a_slow_calculator_is_waited_for(
    calculator: Calculator, checks: Checks, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(calculating.Line, "patience", 4.0)
    await started(calculator)
    (child,) = children()
    for _ in range(5):  # longer than its patience all together, and never with one job
        child.send_signal(signal.SIGSTOP)
        waiting = checks.held(MIXED)
        await asyncio.sleep(1.0)
        child.send_signal(signal.SIGCONT)
        assert await waiting == TRUTH
    assert calculator.ready


async def test_without_a_calculator_everything_is_done_here(
    calculator: Calculator, checks: Checks, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(calculating.sys, "executable", "/nonexistent/python")
    for _ in range(5):
        assert await checks.held(MIXED) == TRUTH
        await asyncio.sleep(0.01)


async def test_nobody_waits_while_a_calculator_loads(calculator: Calculator, checks: Checks):
    assert await checks.held(MIXED) == TRUTH
    while not children():
        await asyncio.sleep(0.001)
    (child,) = children()
    child.send_signal(signal.SIGSTOP)
    try:
        assert not calculator.ready
        assert await asyncio.wait_for(checks.held(MIXED), 5) == TRUTH
    finally:
        child.send_signal(signal.SIGCONT)
    await listening(calculator)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "hangs"])
async def test_a_calculator_that_never_listens_is_done_with(
    calculator: Calculator, checks: Checks, monkeypatch: pytest.MonkeyPatch, end: signal.Signals
):
    monkeypatch.setattr(calculating, "LOADING", 0.3)
    assert await checks.held(MIXED) == TRUTH
    while not children():
        await asyncio.sleep(0.001)
    (child,) = children()
    child.send_signal(end)
    await asyncio.to_thread(child.wait, 60)
    assert await checks.held(MIXED) == TRUTH


async def test_the_process_ends_with_the_calculator():
    calculator = Calculator(apart=True)
    await started(calculator)
    (child,) = children()
    await calculator.close()
    child.wait(60)


def run() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "broker.calculator"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_calculator_whose_relay_is_gone_ends():
    with run() as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0


def test_a_calculator_outlives_the_signal_that_lets_the_relay_finish():
    with run() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read(4) == GREETING
        for _ in range(2):
            process.stdin.write(asked(CHECK, packed(MIXED)))
            process.stdin.flush()
            answer = process.stdout.read(4 + len(MIXED))[4:]
            assert [byte == HELD[0] for byte in answer] == TRUTH
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        process.stdin.close()
        assert process.wait(60) == 0
