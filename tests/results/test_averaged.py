"""What holds for every averaged grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.backends.grids import differing, grid_of, usual
from tests.study.small import specification
from tuner.model.pareto import non_dominated
from tuner.results.averaged import Averaged, averaged
from tuner.spec.space import Configuration


@st.composite
def grids(draw: st.DrawFn, error: float = 0.0) -> Averaged:
    """Up to 12 configurations with values of two digits, so that many are equal."""
    n = draw(st.integers(1, 12))
    values = draw(arrays(np.float64, (n, 2), elements=st.integers(1, 40).map(lambda i: i / 10)))
    feasible = draw(arrays(np.bool_, n))
    return Averaged(
        tuple(Configuration.of({"i": i}) for i in range(n)),
        ("minimize", draw(st.sampled_from(["minimize", "maximize"]))),
        np.where(feasible[:, None], values, np.nan),
        np.full((n, 2), error),
        feasible,
    )


@given(grids(), st.data())
def test_the_front_has_the_whole_hypervolume_and_a_part_has_less(
    grid: Averaged, data: st.DataObject
) -> None:
    every = np.arange(len(grid.configurations))
    front = grid.front(every)
    assert grid.share(front, every) == pytest.approx(1)
    able = np.flatnonzero(grid.feasible)
    some = np.array(
        sorted(data.draw(st.sets(st.sampled_from([*able, *able])))) if len(able) else []
    )
    share = grid.share(some.astype(np.intp), every)
    assert 0 <= share <= 1 + 1e-12
    if len(able) and set(front) <= set(some):
        assert share == pytest.approx(1)


@given(grids())
def test_without_noise_exactly_what_is_off_the_front_by_two_percent_is_dominated(
    grid: Averaged,
) -> None:
    every = np.arange(len(grid.configurations))
    able = np.flatnonzero(grid.feasible)
    on_front = non_dominated(grid.logs[able])
    for row, best in zip(able, on_front, strict=True):
        by = grid.dominator(int(row), every)
        # Values are multiples of 0.1 up to 4, so the next one differs by more than 2 %.
        assert (by is None) == bool(best)
        if by is not None:
            assert (grid.logs[by] <= grid.logs[row]).all()


@given(grids(error=10.0))
def test_where_all_is_noise_nothing_is_clearly_dominated(grid: Averaged) -> None:
    every = np.arange(len(grid.configurations))
    assert all(grid.dominator(int(row), every) is None for row in np.flatnonzero(grid.feasible))


def test_values_are_means_and_errors_what_differs_between_passes() -> None:
    spec = specification()
    grid = averaged(grid_of(spec, differing, passes=3), spec.objectives, spec.constraints)
    for row, configuration in enumerate(grid.configurations):
        expected = usual(configuration, 0)
        assert grid.feasible[row] == (not isinstance(expected, str))
        if isinstance(expected, str):
            assert np.isnan(grid.values[row]).all()
            continue
        assert grid.values[row].tolist() == pytest.approx(
            [1.1 * expected["art_ms"], 1.1 * expected["cpu_percent"]]
        )
        sd = np.std(np.log([1.0, 1.1, 1.2]), ddof=1)
        assert grid.errors[row].tolist() == pytest.approx([sd / 3**0.5] * 2)


def test_of_a_single_pass_the_errors_are_those_of_its_intervals() -> None:
    spec = specification()
    grid = averaged(grid_of(spec, passes=1), spec.objectives, spec.constraints)
    assert grid.errors.tolist() == pytest.approx(np.full((36, 2), 0.05 / 1.96), rel=1e-3)


def test_a_part_of_the_passes_has_the_noise_of_all() -> None:
    spec = specification()
    table = grid_of(spec, differing, passes=3)
    whole = averaged(table, spec.objectives, spec.constraints)
    one = averaged(table, spec.objectives, spec.constraints, {2})
    assert one.configurations == whole.configurations
    able = one.feasible
    assert one.errors[able] == pytest.approx(whole.errors[able] * 3**0.5)
    assert one.values[able] == pytest.approx(whole.values[able] * 1.2 / 1.1)
