import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.measure.drift import Baseline, Drift, drifts
from tuner.measure.measurement import Estimate, Z

TOLERANCE = 0.05


def baseline(number: int, art_ms: float, half: float = 0.2, **more: float) -> Baseline:
    values = {"art_ms": art_ms, **more}
    return Baseline(number, {n: Estimate(v, v - half, v + half) for n, v in values.items()})


def spans(*art_ms: float) -> list[tuple[int, float]]:
    """Baselines of every tenth trial."""
    found = drifts([baseline(10 * i, value) for i, value in enumerate(art_ms)], TOLERANCE)
    return [(d.first, d.last) for d in found]


def test_a_steady_host_has_not_drifted() -> None:
    assert spans(10, 10.1, 9.9, 10, 10.2) == []


def test_one_baseline_says_nothing() -> None:
    assert drifts([], TOLERANCE) == ()
    assert drifts([baseline(0, 10)], TOLERANCE) == ()


def test_a_baseline_that_was_off_puts_the_trials_around_it_in_doubt() -> None:
    assert spans(10, 10, 20, 10, 10) == [(11, 29)]


def test_off_baselines_in_a_row_are_one_span() -> None:
    assert spans(10, 10, 20, 30, 10, 10, 10) == [(11, 39)]
    assert spans(10, 20, 10, 10, 20, 10, 10) == [(1, 19), (31, 49)]


def test_the_first_and_the_last_baseline_may_be_off() -> None:
    assert spans(20, 10, 10) == [(0, 9)]
    assert spans(10, 10, 20) == [(11, math.inf)]


def test_of_two_baselines_that_differ_neither_is_good() -> None:
    assert spans(10, 20) == [(0, math.inf)]


def test_a_host_that_changed_for_good_has_no_good_baseline() -> None:
    """Half of them before and half after: nothing says which is the host that the study is on."""
    assert spans(10, 10, 10, 10, 20, 20, 20, 20) == [(0, math.inf)]
    assert spans(10, 10, 10, 10, 10, 20, 20, 20) == [(41, math.inf)]


def test_a_host_that_slows_down_steadily_is_off_at_both_ends() -> None:
    assert spans(10, 11, 12, 13, 14, 15, 16, 17, 18) == [(0, 9), (71, math.inf)]


def test_what_baselines_ordinarily_differ_by_is_no_drift() -> None:
    restless = (10, 11.5, 9, 10.5, 9.5, 11, 9)
    assert spans(*restless) == []
    assert spans(*restless, 20, *restless) == [(61, 79)]


def test_a_faster_host_is_off_too() -> None:
    assert spans(10, 10, 5, 10) == [(11, 29)]


def test_what_the_intervals_explain_is_no_drift() -> None:
    wide = [baseline(10 * i, art, half=1.1) for i, art in enumerate((10, 10, 12, 10))]
    assert drifts(wide, TOLERANCE) == ()
    narrow = [baseline(10 * i, art, half=0.9) for i, art in enumerate((10, 10, 12, 10))]
    assert len(drifts(narrow, TOLERANCE)) == 1


def test_what_is_within_the_tolerance_is_no_drift() -> None:
    exact = [Baseline(n, {"art_ms": Estimate(art)}) for n, art in enumerate((10, 10, 11, 10))]
    assert drifts(exact, tolerance=0.11) == ()
    assert len(drifts(exact, tolerance=0.09)) == 1


def test_any_metric_may_drift_and_words_say_which() -> None:
    steady = [baseline(n, 10, cpu_percent=40) for n in (0, 10, 30)]
    off = baseline(20, 20, cpu_percent=30)
    (found,) = drifts([*steady[:2], off, steady[2]], TOLERANCE)
    assert found.what == (
        "art_ms of the baseline was +100% in trial 20, "
        "cpu_percent of the baseline was -25% in trial 20"
    )


def test_a_trial_is_in_a_span_from_its_first_to_its_last() -> None:
    span = Drift(11, 19, "")
    assert [n for n in range(30) if n in span] == list(range(11, 20))
    assert 10**9 in Drift(11, math.inf, "")


@given(st.lists(st.booleans(), min_size=3, max_size=12), st.data())
def test_every_trial_between_an_off_baseline_and_its_good_neighbours_is_in_one_span(
    off: list[bool], data: st.DataObject
) -> None:
    """`off` of the baselines, fewer than half of them, took twice as long."""
    off = [is_off and 2 * sum(off[: i + 1]) < len(off) for i, is_off in enumerate(off)]
    gaps = data.draw(st.lists(st.integers(1, 5), min_size=len(off), max_size=len(off)))
    numbers = np.cumsum(gaps) - gaps[0]
    at = list(zip(numbers.tolist(), off, strict=True))
    found = drifts([baseline(n, 20 if is_off else 10) for n, is_off in at], TOLERANCE)
    good = [n for n, is_off in at if not is_off]
    for number in range(int(numbers[-1]) + 5):
        before = max((n for n in good if n <= number), default=-1)
        after = min((n for n in good if n >= number), default=math.inf)
        doubted = any(before < n < after for n, is_off in at if is_off)
        assert sum(number in span for span in found) == doubted


@given(
    st.floats(1e-3, 1e3),
    st.lists(st.floats(-1, 1), min_size=1, max_size=20),
    st.floats(0, 0.5),
)
def test_a_host_within_the_tolerance_never_drifts(
    truth: float, offsets: list[float], tolerance: float
) -> None:
    """Each within half the tolerance of the truth, so that no median is further away than that."""
    values = [truth * (1 + 0.49 * tolerance / (1 + tolerance) * offset) for offset in offsets]
    found = [Baseline(n, {"art_ms": Estimate(value)}) for n, value in enumerate(values)]
    assert drifts(found, tolerance + 1e-9) == ()


def studies(
    between: float, within: float, times: list[float], repeats: int = 300
) -> list[tuple[Drift, ...]]:
    """Drifts of studies whose eight baselines, two metrics each, take `times` as long.

    Baselines differ by `between` (a share), and by `within` more, which their intervals tell.
    """
    rng = np.random.default_rng(9)
    found = []
    for _ in range(repeats):
        noise = rng.normal(0, between, (8, 2)) + rng.normal(0, within, (8, 2))
        values = 10 * np.array(times)[:, None] * np.exp(noise)
        some = [
            Baseline(
                10 * i,
                {
                    name: Estimate(v, v - Z * within * v, v + Z * within * v)
                    for name, v in zip(("art_ms", "cpu_percent"), row, strict=True)
                },
            )
            for i, row in enumerate(values.tolist())
        ]
        found.append(drifts(some, TOLERANCE))
    return found


def share_in_doubt(found: list[tuple[Drift, ...]], trials: range) -> float:
    return float(np.mean([[any(n in d for d in some) for n in trials] for some in found]))


@pytest.mark.parametrize("error", [0.01, 0.025, 0.05])
def test_noise_that_the_intervals_tell_is_seldom_a_drift(error: float) -> None:
    alarms = [bool(some) for some in studies(0, error, [1.0] * 8)]
    assert np.mean(alarms) < 0.05


@pytest.mark.parametrize("between", [0.02, 0.05, 0.1])
def test_bursts_that_always_differ_leave_most_trials_out_of_doubt(between: float) -> None:
    """Were they held against their intervals only, it would be 10 to 90 %."""
    assert share_in_doubt(studies(between, 0.01, [1.0] * 8), range(80)) < 0.15


@pytest.mark.parametrize("times", [[1, 1, 1, 1.5, 1.5, 1, 1, 1], [1, 1, 1, 1, 1.5, 1.5, 1.5, 1.5]])
def test_a_change_of_the_host_is_found_among_bursts_that_differ(times: list[float]) -> None:
    """The trials between the two baselines in the middle."""
    found = studies(0.03, 0.01, times)
    assert share_in_doubt(found, range(30, 41)) > 0.9
