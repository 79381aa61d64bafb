"""One Ctrl-C is one KeyboardInterrupt, and what comes after it in the process goes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.study.small import run, specification
from tuner.interrupts import SIGNALS, handled_interrupts, interruptible, shielded
from tuner.study.loop import Event, Started
from tuner.study.storage import records


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
    with interrupted(), shielded(), interruptible():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            pass  # as Python does in a callback of the garbage collector
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


@pytest.mark.parametrize("at", ["start", "burst"])
def test_a_study_that_was_interrupted_is_completed_by_a_later_run_of_the_process(at: str) -> None:
    spec = specification(("[8, 64, 256]", "[64, 256]"))  # 8 MiB gets no burst
    numbers: list[int] = []

    def press(event: Event) -> None:
        if isinstance(event, Started):
            numbers.append(event.number)
        if len(numbers) == 3 and (isinstance(event, Started) if at == "start" else event == "burst"):
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(spec, observe=press)
    assert numbers == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is before
    assert len(records(run(spec))) == 8
