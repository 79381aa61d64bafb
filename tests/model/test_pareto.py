from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.model.pareto import front, hypervolume, logarithms, minimised, non_dominated
from tuner.spec.metrics import Direction

MINIMISE_BOTH: tuple[Direction, ...] = ("minimize", "minimize")


def points(dimensions: int, most: int = 12) -> st.SearchStrategy[list[list[int]]]:
    # A small grid of integers: ties and duplicates are frequent, volumes are exact.
    point = st.lists(st.integers(0, 6), min_size=dimensions, max_size=dimensions)
    return st.lists(point, max_size=most)


def dominates(a: list[int], b: list[int]) -> bool:
    pairs = list(zip(a, b, strict=True))
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


def cells_dominated(found: list[list[int]], reference: int, dimensions: int) -> int:
    """Unit cells of the box [0, reference] whose lower corner some point dominates or equals."""
    return sum(
        any(all(x <= c for x, c in zip(point, cell, strict=True)) for point in found)
        for cell in itertools.product(range(reference), repeat=dimensions)
    )


@given(st.integers(1, 4).flatmap(points))
def test_non_dominated_is_what_the_definition_says(found: list[list[int]]) -> None:
    expected = [not any(dominates(other, point) for other in found) for point in found]
    assert non_dominated(np.array(found, dtype=float)).tolist() == expected


def test_nothing_has_an_empty_front() -> None:
    assert non_dominated(np.empty((0, 2))).tolist() == []
    assert front(np.empty((0, 2))).tolist() == []


@given(points(3))
def test_front_is_sorted_and_holds_the_non_dominated(found: list[list[int]]) -> None:
    array = np.array(found, dtype=float).reshape(-1, 3)
    indices = front(array)
    assert sorted(indices) == np.flatnonzero(non_dominated(array)).tolist()
    rows = [found[i] for i in indices]
    assert rows == sorted(rows)


@given(points(2), st.integers(1, 6))
def test_hypervolume_of_two_objectives_counts_cells(found: list[list[int]], top: int) -> None:
    assert hypervolume(found, [top, top]) == cells_dominated(found, top, 2)


@given(points(3, most=6), st.integers(1, 5))
def test_hypervolume_of_three_objectives_counts_cells(found: list[list[int]], top: int) -> None:
    assert hypervolume(found, [top] * 3) == cells_dominated(found, top, 3)


@given(points(4, most=4))
def test_hypervolume_of_four_objectives_counts_cells(found: list[list[int]]) -> None:
    assert hypervolume(found, [4] * 4) == cells_dominated(found, 4, 4)


def test_hypervolume_of_one_objective_is_a_length() -> None:
    assert hypervolume([[3.0], [1.5]], [4.0]) == 2.5


def test_points_outside_the_reference_add_nothing() -> None:
    assert hypervolume([[1, 1], [0, 9], [5, 0]], [3, 3]) == 4.0


def test_minimised_negates_what_is_maximised_and_refuses_nan() -> None:
    assert minimised([[1, 2]], ("minimize", "maximize")).tolist() == [[1, -2]]
    with pytest.raises(ValueError, match="NaN"):
        minimised([[math.nan, 1]], MINIMISE_BOTH)


@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=20))
def test_logarithms_are_finite_and_keep_order(values: list[float]) -> None:
    logs = logarithms(values)
    assert np.isfinite(logs).all()
    assert (np.diff(logs[np.argsort(values, kind="stable")]) >= 0).all()
