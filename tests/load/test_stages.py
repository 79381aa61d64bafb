"""Exploring: one burst that goes through levels, with a window for each stage."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.loopback import CALLS, QUICK, Place, Start, null_server
from tuner.errors import InputError
from tuner.load.burst_progress import BurstProgress
from tuner.load.sender import LoadGenerator
from tuner.load.stages import stage_windows
from tuner.measure.samples import Burst, RequestSamples
from tuner.spec.study import LoadProfile, Stage

CONSTANT = replace(QUICK, arrivals="constant")


def explore(
    target: Place,
    stages: list[Stage],
    concurrency: int = 4,
    rate: float | None = None,
    seen: list[BurstProgress] | None = None,
    senders: int = 1,
) -> tuple[Burst, ...]:
    spec = QUICK if rate is None else CONSTANT
    profile = LoadProfile(concurrency, spec, seed=7, rate_rps=rate, senders=senders)
    with LoadGenerator().connect(target, profile, CALLS) as client:
        return client.explore(stages, None if seen is None else seen.append)


def inside(burst: Burst) -> RequestSamples:
    end = burst.samples.start_ns + burst.samples.duration_ns
    return burst.samples.select((end >= burst.window_start_ns) & (end < burst.window_end_ns))


def seconds(burst: Burst) -> float:
    return (burst.window_end_ns - burst.window_start_ns) / 1e9


@pytest.mark.parametrize("senders", [1, 2])
def test_connections_follow_the_level(start: Start, senders: int) -> None:
    # Long enough for a machine on which this test has to wait for a CPU.
    stages = [Stage(1.5, 1, 1), Stage(1.5, 4, 4), Stage(0.12, 4, 2), Stage(1.5, 2, 2)]
    target = start()
    seen: list[BurstProgress] = []
    bursts = explore(target, stages, seen=seen, senders=senders)
    used = [set(inside(burst).connection.tolist()) for burst in bursts]
    assert used == [{0}, {0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1}]
    assert [burst.concurrency for burst in bursts] == [1, 4, 3, 2]
    # A window of its own for each, in order; all else is shared.
    assert len({id(burst.samples) for burst in bursts}) == 1
    assert len(bursts[0].samples) == len(target.server.bodies)
    for before, after in itertools.pairwise(bursts):
        assert before.window_start_ns < before.window_end_ns <= after.window_start_ns
        assert before.counters_end[0].time_ns <= after.counters_start[0].time_ns
    assert all("fixed length" in burst.stop_reason for burst in bursts)
    assert all(burst.cpu.time_ns.shape == (len(burst.cpu.time_ns), 1) for burst in bursts)
    # The ramp's window begins where that of the step before it ends, so it has that reading.
    assert bursts[2].counters_start is bursts[1].counters_end
    windows = [p for p in seen if p.phase == "window"]
    assert [p.waiting_for.split(":")[0] for p in windows][-1] == "stage 4 of 4"


@pytest.mark.parametrize("senders", [1, 2])
def test_the_rate_follows_the_level(start: Start, senders: int) -> None:
    stages = [Stage(0.6, 100, 100), Stage(0.6, 100, 300), Stage(0.6, 300, 300)]
    bursts = explore(start(), stages, rate=1.0, senders=senders)
    assert [burst.rate_rps for burst in bursts] == [100, 200, 300]
    assert {burst.concurrency for burst in bursts} == {4}
    starts = np.sort(bursts[0].samples.start_ns)
    due = [
        np.diff(starts[(starts >= burst.window_start_ns) & (starts < burst.window_end_ns)])
        for burst in bursts
    ]
    assert np.abs(due[0] - 1e7).max() <= 1
    assert np.abs(due[2] - 1e9 / 300).max() <= 1
    assert (np.diff(due[1]) < 0).all()
    # Half of the stage's rise, 100 + 200 / 2 requests a second, and one for each of its ends.
    assert abs(len(due[1]) + 1 - 200 * seconds(bursts[1])) <= 3


def test_a_level_of_zero_is_silence(start: Start) -> None:
    idle, busy = explore(start(), [Stage(0.6, 0, 0), Stage(0.6, 2, 2)])
    # One request for each connection may be in flight when the level falls.
    assert len(inside(idle)) == 0
    assert len(inside(busy)) > 2


def test_a_ramp_over_many_connections() -> None:
    with null_server() as (_, target):
        (ramp,) = explore(target, [Stage(1.5, 1, 200)], concurrency=200)
    samples = inside(ramp)
    first = [samples.start_ns[samples.connection == c].min() for c in range(0, 200, 20)]
    assert (np.diff(first) > 0).all()


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        ([], "no stage"),
        ([Stage(1.0, 5, 5)], "there are 4 connections"),
        ([Stage(1.0, -1, 2)], "levels of 0 or more"),
        ([Stage(float("inf"), 1, 1)], "levels of 0 or more"),
        ([Stage(0.5, 1, 1)], "too short"),
        ([Stage(1.0, 1, 1), Stage(0.01, 1, 4)], "stage 2 of 0.01 s is too short"),
    ],
)
def test_stages_that_cannot_be_gone_through(start: Start, stages: list[Stage], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        explore(start(), stages)


levels = st.integers(0, 5)
stages = st.lists(
    st.builds(Stage, st.floats(1.2, 6.0).map(lambda s: round(s, 2)), levels, levels),
    min_size=1,
    max_size=5,
)


@given(stages, st.sampled_from([0.05, 0.125, 0.15, 0.2]))
def test_windows_lie_in_their_stages(row: list[Stage], tick: float) -> None:
    began = 0.0
    for stage, span in zip(row, stage_windows(row, tick, 2), strict=True):
        first, last = span.first * tick, span.last * tick
        settling = max(0.5, stage.seconds / 4) if stage.start == stage.end else 0.0
        assert first >= began + settling - 1e-5
        assert last <= began + stage.seconds + 1e-5
        assert span.last - span.first >= 2
        if settling:
            assert (span.last - span.first) % 2 == 0
            assert last - first > stage.seconds - settling - 4 * tick
        began += stage.seconds


def test_whole_ticks_are_not_lost_to_rounding() -> None:
    assert stage_windows([Stage(0.3, 1, 2), Stage(0.9, 2, 2)], 0.1, 2) == ((0, 3), (8, 12))
