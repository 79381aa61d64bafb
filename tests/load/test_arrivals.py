"""Due times and active connections, from the level of each stage."""

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from tuner.load.arrivals import GAPS, Ramp, active_levels, constant_gaps, due_times, poisson_gaps

levels = st.floats(0.0, 300.0).map(lambda level: round(level, 2))
ramps = st.builds(Ramp, st.floats(0.05, 3.0), levels, levels)
rows = st.lists(ramps, min_size=1, max_size=4)


def integral(stages: list[Ramp], until: float) -> float:
    """Of the level from 0 to `until`, by the trapezoid of each part."""
    total = 0.0
    for stage in stages:
        span = min(until, stage.seconds)
        at_end = stage.start + (stage.end - stage.start) * span / stage.seconds
        total += span * (stage.start + at_end) / 2
        until -= span
    return total


@given(rows)
def test_constant_arrivals_come_whenever_the_integral_of_the_rate_is_whole(
    stages: list[Ramp],
) -> None:
    times = list(due_times(constant_gaps(0), stages))
    whole = integral(stages, math.inf)
    assert abs(len(times) - whole) <= 1 + 1e-6
    for number, time in enumerate(times, 1):
        assert abs(integral(stages, time) - number) < 1e-4


@given(rows, st.sampled_from(sorted(GAPS)), st.integers(0, 100))
def test_due_times_ascend_within_the_stages(stages: list[Ramp], name: str, seed: int) -> None:
    times = list(due_times(GAPS[name](seed), stages))
    length = sum(stage.seconds for stage in stages)
    assert all(0 < time <= length * (1 + 1e-12) for time in times)
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(times))


def test_a_constant_rate_is_kept_for_ever() -> None:
    times = list(itertools.islice(due_times(constant_gaps(0), [Ramp(math.inf, 50, 50)]), 1000))
    assert np.allclose(times, np.arange(1, 1001) / 50)


@given(st.integers(0, 2**32), rows)
def test_poisson_arrivals_are_exponential_in_the_integral_of_the_rate(
    seed: int, stages: list[Ramp]
) -> None:
    endless = [*stages, Ramp(math.inf, 100, 100)]
    times = list(itertools.islice(due_times(poisson_gaps(seed), endless), 400))
    gaps = np.diff([0.0, *(integral(endless, time) for time in times)])
    # So small that a right generator fails once in a million examples.
    assert kstest(gaps, "expon").pvalue > 1e-6


@given(st.integers(0, 2**32))
def test_poisson_counts_have_the_variance_of_their_mean(seed: int) -> None:
    times = list(due_times(poisson_gaps(seed), [Ramp(400.0, 10, 10)]))
    counts = np.bincount(np.floor(times).astype(int), minlength=400)
    # Six standard errors of the mean and of the variance of 400 Poisson counts.
    assert abs(counts.mean() - 10) < 6 * math.sqrt(10 / 400)
    assert abs(counts.var() - 10) < 6 * math.sqrt((10 + 2 * 10**2) / 400)


def test_arrivals_are_those_of_the_seed() -> None:
    def some(seed: int) -> list[float]:
        return list(itertools.islice(due_times(poisson_gaps(seed), [Ramp(math.inf, 10, 10)]), 50))

    assert some(3) == some(3) != some(4)


@given(rows, st.floats(0, 1))
def test_active_connections_are_the_rounded_level(stages: list[Ramp], share: float) -> None:
    length = sum(stage.seconds for stage in stages)
    changes = list(active_levels(stages))
    assert changes[0][0] == 0
    assert all(b[0] >= a[0] for a, b in itertools.pairwise(changes))
    at = share * length
    now = [level for time, level in changes if time <= at][-1]
    began = 0.0
    for stage in stages:
        if at <= began + stage.seconds:
            level = stage.start + (stage.end - stage.start) * (at - began) / stage.seconds
            allowed = {math.floor(level + 0.5 + d) for d in (-1e-6, 0, 1e-6)}
            # At a border between stages either one's level holds.
            following = {math.floor(s.start + 0.5) for s in stages if at >= began + stage.seconds}
            assert now in allowed | following
            return
        began += stage.seconds


def test_a_level_that_stays_does_not_change() -> None:
    assert list(active_levels([Ramp(math.inf, 7, 7)])) == [(0.0, 7)]
    assert list(active_levels([Ramp(1, 2, 2), Ramp(1, 2, 2), Ramp(1, 0, 0)])) == [
        (0.0, 2),
        (2.0, 0),
    ]
    assert list(active_levels([Ramp(2, 1, 3)])) == [(0.0, 1), (0.5, 2), (1.5, 3)]
    assert list(active_levels([Ramp(2, 3, 1)])) == [(0.0, 3), (0.5, 2), (1.5, 1)]
