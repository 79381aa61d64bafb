"""One Ctrl-C is one KeyboardInterrupt, and what comes after it in the process goes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tuner.interrupts import SIGNALS, ended_whole, handled_interrupts, interruptible, shielded


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


def test_a_second_interrupt_does_not_break_off_what_cleans_up_after_the_first() -> None:
    done = []
    with interrupted():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGTERM)
            done.append("removed")
    assert done == ["removed"]
    assert a_later_run() == WHOLE


def test_a_second_interrupt_is_held_also_where_the_cleaning_breaks() -> None:
    done = []
    with interrupted():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            try:
                int("the engine refuses")
            except ValueError:
                signal.raise_signal(signal.SIGINT)
                done.append("told")
    assert done == ["told"]


def test_a_run_within_the_handling_of_an_earlier_interrupt_can_be_interrupted() -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:  # in a cell of a notebook, say
        assert a_later_run() == WHOLE
        with interrupted():
            signal.raise_signal(signal.SIGINT)


@contextmanager
def world(done: list[str], *, press: str) -> Iterator[None]:
    """Something to clean up; the signal arrives where it begins or where it ends."""
    try:
        if press == "begin":
            signal.raise_signal(signal.SIGINT)
        yield
    finally:
        if press == "end":
            signal.raise_signal(signal.SIGINT)
        done.append("removed")


@pytest.mark.parametrize("press", ["begin", "within", "end"])
def test_a_world_is_left_whole_wherever_the_interrupt_arrives(press: str) -> None:
    done: list[str] = []
    with interrupted(), ended_whole(world(done, press=press)):
        if press == "within":
            signal.raise_signal(signal.SIGINT)
            done.append("went on")
        if press == "begin":
            done.append("began")
    assert done == ["removed"]
    assert a_later_run() == WHOLE


def test_a_terminal_that_closes_interrupts_unless_the_process_was_started_to_outlive_it() -> None:
    with interrupted():
        signal.raise_signal(signal.SIGHUP)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with handled_interrupts():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_runs_without_handlers_and_shields_nothing() -> None:
    found: list[list[str]] = []
    within, pressed = threading.Event(), threading.Event()

    def run() -> None:
        with handled_interrupts(), shielded():
            within.set()
            pressed.wait(30)
        found.append(a_later_run())

    thread = threading.Thread(target=run)
    with interrupted():
        thread.start()
        within.wait(30)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            pressed.set()
            thread.join(30)
    assert found == [WHOLE]
