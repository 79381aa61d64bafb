"""One Ctrl-C is one KeyboardInterrupt, and what comes after it in the process goes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tuner.interrupts import SIGNALS, handled_interrupts, interruptible, shielded


@contextmanager
def interrupted() -> Iterator[None]:
    with handled_interrupts(), pytest.raises(KeyboardInterrupt):
        yield


def a_later_run() -> list[str]:
    """What is done by a run that nobody interrupts."""
    done = []
    with handled_interrupts(), shielded():
        done.append("asked")
        with interruptible():
            done.append("measured")
        done.append("told")
    return done


WHOLE = ["asked", "measured", "told"]


def test_an_interrupt_waits_until_the_shield_ends() -> None:
    done = []
    with interrupted(), shielded():
        signal.raise_signal(signal.SIGINT)
        done.append("told")
    assert done == ["told"]
    assert a_later_run() == WHOLE


def test_an_interrupt_that_waits_is_raised_where_a_shield_may_be_interrupted() -> None:
    done = []
    with interrupted(), shielded():
        signal.raise_signal(signal.SIGTERM)
        done.append("told")
        with interruptible():
            done.append("measured")
    assert done == ["told"]
    assert a_later_run() == WHOLE


def test_an_interrupt_breaks_off_what_may_be_interrupted_and_lets_it_be_told() -> None:
    done = []
    with interrupted(), shielded():
        try:
            with interruptible():
                signal.raise_signal(signal.SIGINT)
                done.append("measured")
        finally:
            signal.raise_signal(signal.SIGINT)  # pressed again
            done.append("told")
    assert done == ["told"]
    assert a_later_run() == WHOLE


def test_an_interrupt_outside_a_shield_is_raised_at_once_and_forgotten() -> None:
    with interrupted():
        signal.raise_signal(signal.SIGINT)
    assert a_later_run() == WHOLE


def test_an_interrupt_that_was_swallowed_is_raised_again_by_the_shield() -> None:
    # Python itself suppresses it in a callback of the garbage collector.
    with interrupted(), shielded(), interruptible(), suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert a_later_run() == WHOLE


def test_an_interrupt_is_not_lost_when_the_shield_breaks() -> None:
    with interrupted(), shielded():
        signal.raise_signal(signal.SIGINT)
        raise RuntimeError("the storage went away")
    assert a_later_run() == WHOLE


def test_a_shield_inside_a_shield_leaves_the_interrupt_to_the_outer_one() -> None:
    done = []
    with interrupted(), shielded():
        with shielded():
            signal.raise_signal(signal.SIGINT)
        done.append("told")
    assert done == ["told"]


def test_the_handlers_that_were_there_are_put_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with handled_interrupts():
        inside = [signal.getsignal(number) for number in SIGNALS]
        with handled_interrupts():
            pass
        assert [signal.getsignal(number) for number in SIGNALS] == inside != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
    with interrupted():
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_another_thread_runs_without_handlers() -> None:
    found: list[list[str]] = []
    thread = threading.Thread(target=lambda: found.append(a_later_run()))
    thread.start()
    thread.join()
    assert found == [WHOLE]
