"""Waits that end early, and pauses that grow."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from underlace.agent.clock import Backoff, SystemClock


@pytest.fixture
def clock() -> Iterator[SystemClock]:
    made = SystemClock()
    yield made
    made.close()


def test_interrupt_from_a_signal_handler_ends_a_wait(clock: SystemClock) -> None:
    before = signal.signal(signal.SIGUSR1, lambda number, frame: clock.interrupt())
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        began = time.monotonic()
        clock.wait(30.0)
        assert time.monotonic() - began < 10.0
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_interrupt_before_a_wait_ends_that_one_and_no_other(clock: SystemClock) -> None:
    for _ in range(100_000):
        clock.interrupt()
    began = time.monotonic()
    while time.monotonic() - began < 10.0:
        one = time.monotonic()
        clock.wait(0.05)
        if time.monotonic() - one >= 0.05:
            break
    assert time.monotonic() - began < 5.0


def test_negative_wait_returns(clock: SystemClock) -> None:
    clock.wait(-1.0)


def test_pauses_double_to_the_limit_spread_over_their_upper_half() -> None:
    backoff = Backoff(1.0, 8.0)
    for whole in (1.0, 2.0, 4.0, 8.0, 8.0, 8.0):
        assert whole / 2 <= backoff.next() <= whole
    backoff.reset()
    assert backoff.next() <= 1.0


def test_pauses_are_spread() -> None:
    assert len({Backoff(10.0, 10.0).next() for _ in range(20)}) > 10
