from __future__ import annotations

from dataclasses import replace

import pytest

from tests.results.test_summary import SPACE, infeasible, study, trial
from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.baseline import against_baseline
from tuner.results.pooled import pooled

FIRST, OTHER = trial(0, 1, 1.0, (4.0, 20.0)), trial(1, 1, 2.0, (2.0, 40.0))


def change(record: StudyRecord, of: TrialRecord, index: int) -> Estimate | None:
    return against_baseline(record, pooled(record))[of.configuration][index]


def measured(of: TrialRecord, error: float) -> TrialRecord:
    """With 95 % intervals of so large a share of each value."""
    metrics = {
        name: Estimate(v, v * (1 - error), v * (1 + error))
        for name, v in zip(("art_ms", "cpu_percent"), of.values, strict=True)
    }
    return replace(of, measurement=Measurement(metrics, (), 100, 10, 1.0, "precise", {}))


def test_there_is_no_change_without_a_measured_baseline_or_for_stand_ins() -> None:
    assert change(study(infeasible(0, 1, 1.0), OTHER), OTHER, 0) is None
    assert change(study(OTHER), OTHER, 0) is None
    stand_in = infeasible(1, 4, 0.5)
    assert change(study(FIRST, stand_in), stand_in, 0) is None
    cut_short = replace(OTHER, cut_short="dominated")
    assert change(study(FIRST, cut_short), cut_short, 0) is None


@pytest.mark.parametrize(("index", "percent"), [(0, -50.0), (1, 100.0)])
def test_a_change_is_in_percent_of_the_baseline(index: int, percent: float) -> None:
    by = change(study(FIRST, OTHER), OTHER, index)
    assert by is not None
    assert by.value == pytest.approx(percent)
    assert by.low is not None
    assert by.high is not None
    assert by.low < by.value < by.high
    assert change(study(FIRST, OTHER), FIRST, index) == Estimate(0.0)


def test_all_bursts_of_both_sides_count() -> None:
    """One lucky burst of either is not what both are."""
    again = replace(trial(2, 1, 1.0, (9.0, 20.0)))
    once_more = replace(trial(3, 1, 2.0, (8.0, 40.0)))
    record = study(FIRST, OTHER, again, once_more)
    by = change(record, OTHER, 0)
    assert by is not None
    assert by.value == pytest.approx(100 * (4.0 / 6.0 - 1))  # geometric means: 4 and 6
    assert by == change(record, once_more, 0)


def test_the_interval_holds_the_errors_of_both_sides() -> None:
    def width(first: float, other: float) -> float:
        by = change(study(measured(FIRST, first), measured(OTHER, other)), OTHER, 0)
        assert by is not None
        assert by.low is not None
        assert by.high is not None
        return by.high - by.low

    assert width(0.3, 0.1) > width(0.1, 0.1) > width(0.01, 0.01)
    assert width(0.3, 0.1) == pytest.approx(width(0.1, 0.3))


def test_a_baseline_of_zero_compares_with_nothing() -> None:
    assert change(study(replace(FIRST, values=(4.0, 0.0)), OTHER), OTHER, 1) is None
    nothing = replace(OTHER, values=(2.0, 0.0))
    assert change(study(FIRST, nothing), nothing, 1) == Estimate(-100.0)


def test_the_baseline_is_the_space_s_defaults() -> None:
    assert FIRST.configuration == SPACE.baseline()
