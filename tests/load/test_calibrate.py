from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from tests.load.loopback import BUSY, CALLS, Place, Start, null_server
from tests.measure.bursts import closed_loop
from tuner.errors import TrialFailed
from tuner.load.calibrate import CAPACITIES, MOST_IN_FLIGHT, calibrate, capacity_levels
from tuner.load.sender import LoadGenerator
from tuner.measure.samples import Burst
from tuner.serving.servers.call import Call
from tuner.spec.study import Stage


@pytest.mark.alone
def test_floor_and_capacity() -> None:
    with null_server() as (_, target):
        found = calibrate(LoadGenerator(), target, CALLS, 0.8)
    floor, capacity = found.floor_ms, found.capacity_rps
    assert floor.low is not None
    assert floor.high is not None
    assert 0 < floor.low <= floor.value <= floor.high
    assert found.concurrency in CAPACITIES
    assert capacity.low is not None
    assert capacity.high is not None
    assert 0 <= capacity.low <= capacity.value <= capacity.high
    # The engine is one thread, so what it does in a second takes a second of CPU at most.
    assert 0 < found.client_cpu_us * capacity.value < 1.1e6


def test_a_floor_is_that_of_requests_that_succeed(start: Start) -> None:
    with pytest.raises(TrialFailed, match="failed during the calibration") as caught:
        calibrate(LoadGenerator(), start(reply=lambda _n, _body: BUSY), CALLS, 0.65)
    assert "raise load.timeout_seconds" in caught.value.mend


@dataclass
class Slow:
    """A load generator, and the client of its bursts, whose requests all take 3 s."""

    stages: list[Stage] = field(default_factory=list)

    @contextmanager
    def connect(self, *_: object) -> Iterator[Slow]:
        yield self

    def explore(self, stages: Sequence[Stage]) -> tuple[Burst, ...]:
        self.stages = [*stages]
        return tuple(
            closed_loop(round(s.start), 3000, s.seconds, (s.seconds / 2, s.seconds)) for s in stages
        )


def test_requests_longer_than_a_stage_get_longer_stages() -> None:
    slow = Slow()
    target = Place([], local=False)
    measured = calibrate(
        cast("LoadGenerator", slow), target, [Call("/", b"{}")], timeout_seconds=5.0
    )
    assert slow.stages == [Stage(15.0, 1, 1), Stage(15.0, 16, 16), Stage(15.0, 64, 64)]
    assert measured.floor_ms.value == 3000
    assert measured.concurrency == 64


def test_without_any_request_it_is_said_what_to_change() -> None:
    target = Place([], local=False)
    with pytest.raises(TrialFailed, match="no request ended during the calibration") as caught:
        calibrate(
            cast("LoadGenerator", Slow()), target, [Call("/", b"x" * 10**6)], timeout_seconds=0.5
        )
    assert caught.value.mend.startswith("A request has up to 1 MB and 0.5 s: send smaller inputs")


@pytest.mark.parametrize(
    ("largest", "levels"),
    [
        (0, (16, 64)),
        (1_000_000, (16, 64)),
        (5_000_000, (16, 20)),
        (20_000_000, (5,)),
        (MOST_IN_FLIGHT, (1,)),
        (10 * MOST_IN_FLIGHT, (1,)),
    ],
)
def test_large_requests_are_calibrated_with_fewer_connections(
    largest: int, levels: tuple[int, ...]
) -> None:
    assert capacity_levels(largest) == levels
