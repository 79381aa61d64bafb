"""Against plain simulation, and what must hold by definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.model.ehvi import chance_undominated, ehvi, expected_below
from tuner.model.pareto import hypervolume, non_dominated

FRONT = np.array([[0.0, 2.0], [0.5, 1.0], [2.0, 0.2]])
REFERENCE = np.array([3.0, 3.0])


def simulated(
    mean: list[float], sd: list[float], front: np.ndarray, reference: np.ndarray
) -> tuple[float, float]:
    """Expected improvement and chance to be undominated, from 4,000 draws."""
    draws = np.random.default_rng(1).normal(mean, sd, (4000, len(mean)))
    before = hypervolume(front, reference)
    gains = [hypervolume([*front, y], reference) - before for y in draws]
    undominated = ~np.any(np.all(front[None] <= draws[:, None], axis=2), axis=1)
    return float(np.mean(gains)), float(undominated.mean())


@settings(max_examples=12, deadline=None)
@given(
    st.tuples(st.floats(-1, 4), st.floats(-1, 4)), st.tuples(st.floats(0.05, 1), st.floats(0.05, 1))
)
def test_two_objectives_as_simulated(mean: tuple[float, float], sd: tuple[float, float]) -> None:
    gain, chance = simulated([*mean], [*sd], FRONT, REFERENCE)
    exact = ehvi(np.array([mean]), np.array([sd]), FRONT, REFERENCE)[0]
    assert exact == pytest.approx(gain, rel=0.12, abs=0.02)
    assert chance_undominated(np.array([mean]), np.array([sd]), FRONT)[0] == pytest.approx(
        chance, abs=0.04
    )


@pytest.mark.parametrize("mean", [[0.2, 0.3, 0.1], [1.0, 1.0, 1.0], [0.6, 0.1, 1.4]])
def test_three_objectives_as_simulated(mean: list[float]) -> None:
    front = np.array([[0.2, 0.8, 0.9], [0.9, 0.3, 0.5], [0.5, 0.5, 0.5]])
    reference = np.array([1.5, 1.5, 1.5])
    gain, _ = simulated(mean, [0.2, 0.3, 0.25], front, reference)
    found = ehvi(np.array([mean]), np.array([[0.2, 0.3, 0.25]]), front, reference)[0]
    assert found == pytest.approx(gain, rel=0.2, abs=0.01)


def test_one_objective_is_expected_improvement() -> None:
    mean, sd = np.array([[1.0], [2.0]]), np.array([[0.5], [0.5]])
    found = ehvi(mean, sd, np.array([[1.5], [1.2]]), np.array([4.0]))
    assert found == pytest.approx(expected_below(np.array([1.2]), mean[:, 0], sd[:, 0])[:, 0])
    assert found[0] > found[1] > 0


def test_without_doubt_it_is_the_improvement_itself() -> None:
    points = np.array([[0.2, 1.5], [1.0, 0.5], [2.5, 2.5], [-1.0, 0.0]])
    before = hypervolume(FRONT, REFERENCE)
    exact = [hypervolume([*FRONT, p], REFERENCE) - before for p in points]
    assert ehvi(points, np.zeros((4, 2)), FRONT, REFERENCE) == pytest.approx(exact, abs=1e-7)


def test_an_empty_front_leaves_everything_free() -> None:
    none = np.zeros((0, 2))
    found = ehvi(np.array([[1.0, 2.0]]), np.zeros((1, 2)), none, REFERENCE)
    assert found == pytest.approx([2.0])
    assert chance_undominated(np.ones((3, 2)), np.ones((3, 2)), none) == pytest.approx(1.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_dominated_points_of_the_front_and_what_lies_beyond_do_not_matter(
    seed: int, objectives: int
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((12, objectives))
    mean, sd = rng.random((5, objectives)), rng.random((5, objectives))
    reference = np.ones(objectives)
    beyond = np.vstack([points, points[:3] + 1.5])
    found = ehvi(mean, sd, beyond, reference)
    assert (found >= 0).all()
    assert found == pytest.approx(ehvi(mean, sd, points[non_dominated(points)], reference))
