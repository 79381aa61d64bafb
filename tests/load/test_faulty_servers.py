"""Servers that go wrong under load: the measurement says how, and is not trusted where it lies."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.load.loopback import (
    BODIES,
    BUSY,
    NONSENSE,
    OK,
    QUICK,
    Place,
    Reply,
    Start,
    null_server,
    send,
)
from tuner.load.burst_progress import BurstProgress
from tuner.measure.measurement import Measurement
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import Burst

LONG = replace(
    QUICK, min_seconds=1.6, max_seconds=1.6, precision=1e-9, batch_seconds=0.1, min_requests=100
)
"""A window of one length, whatever comes."""

TICKS = os.sysconf("SC_CLK_TCK")


def measured(burst: Burst) -> Measurement:
    return measure_burst(burst, host_cpus=os.cpu_count() or 1, batch_seconds=0.1)


def told(measurement: Measurement) -> list[tuple[str, str]]:
    return [(f.verdict, f.what) for f in measurement.findings]


def in_window(act: Callable[[], object], batches: int = 5) -> Callable[[BurstProgress], None]:
    """An observer that acts once, so many batches into the window."""
    seen: list[BurstProgress] = []

    def observe(progress: BurstProgress) -> None:
        if progress.phase == "window":
            seen.append(progress)
            if len(seen) == batches:
                act()

    return observe


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (lambda n, _: BUSY if n % 100 == 50 else OK, "http error"),
        (lambda n, _: NONSENSE if n % 100 == 50 else OK, "http error"),
        (lambda n, _: None if n % 100 == 50 else OK, "reset"),
    ],
)
def test_one_request_in_a_hundred_that_fails_is_told(
    start: Start, reply: Callable[[int, bytes], Reply], name: str
) -> None:
    found = measured(send(start(reply=reply), spec=LONG))
    assert 0 < found.metrics["error_rate"].value < 0.05
    errors = [(v, w) for v, w in told(found) if w.endswith(f"requests: {name}")]
    assert [verdict for verdict, _ in errors] == ["WARN"]


def test_a_server_that_answers_wrongly_in_mid_burst_is_not_trusted(start: Start) -> None:
    target = start()
    wrong = OK.replace(b"{}", b"[]")
    turn = in_window(lambda: setattr(target.server, "reply", lambda _n, _body: wrong))
    burst = send(
        target, concurrency=len(BODIES), spec=LONG, observe=turn, check=lambda _, b: b == b"{}"
    )
    found = measured(burst)
    assert found.verdict == "INVALID"
    assert any(what.endswith("wrong answer") for _, what in told(found))


def test_a_server_that_hangs_in_mid_burst_is_not_trusted(start: Start) -> None:
    target = start()
    hang = in_window(lambda: setattr(target.server, "reply", lambda _n, _body: b""))
    found = measured(send(target, spec=LONG, observe=hang))
    assert found.verdict == "INVALID"
    assert any("it hung" in what for _, what in told(found)), told(found)


def test_a_server_that_slows_down_halfway_is_told(start: Start) -> None:
    target = start(seconds=0.005)
    slow = in_window(lambda: setattr(target.server, "seconds", 0.05), batches=8)
    found = measured(send(target, spec=LONG, observe=slow))
    assert found.verdict == "INVALID"
    assert any(what.startswith("ART went from") for _, what in told(found)), told(found)


@dataclass
class Counted(Place):
    """A server whose CPU time is that of its process."""

    pid: int = 0

    def cpu_times(self) -> tuple[tuple[int, int], ...]:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return ((self._now()[0], (int(fields[11]) + int(fields[12])) * 10**9 // TICKS),)


def test_a_server_that_is_halted_for_a_while_is_not_trusted() -> None:
    """SIGSTOP, of which no engine knows anything."""
    with null_server() as (pid, place):
        timers: list[threading.Timer] = []

        def halt() -> None:
            os.kill(pid, signal.SIGSTOP)
            timers.append(threading.Timer(1.5, os.kill, (pid, signal.SIGCONT)))
            timers[-1].start()

        spec = replace(LONG, min_seconds=2.4, max_seconds=2.4)
        burst = send(Counted(place.addresses, pid=pid), spec=spec, observe=in_window(halt))
        timers[-1].join()
    found = measured(burst)
    assert found.verdict == "INVALID"
    assert any("used no CPU: something halted it" in what for _, what in told(found)), told(found)
