"""By rays, against what is exact and against plain simulation."""

from __future__ import annotations

import numpy as np
import pytest

from tuner.model.ehvi import ehvi
from tuner.model.pareto import front, hypervolume
from tuner.model.rays import Rays, volume_by_rays
from tuner.results.predicted_front import spread


def points_of(count: int, objectives: int, seed: int = 1) -> np.ndarray:
    """On a sphere and a little behind it, so that most are on their front."""
    rng = np.random.default_rng(seed)
    away = np.abs(rng.standard_normal((count, objectives)))
    away /= np.sqrt((away**2).sum(axis=1, keepdims=True))
    return 1.0 - away * rng.uniform(0.7, 1.0, (count, 1))


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("count", [1, 5, 60])
def test_a_volume_is_the_exact_one_to_a_percent(objectives: int, count: int) -> None:
    points, reference = points_of(count, objectives), np.full(objectives, 1.2)
    assert volume_by_rays(points, reference) == pytest.approx(
        hypervolume(points, reference), rel=0.01
    )


def test_a_volume_of_many_objectives_is_that_of_random_points() -> None:
    points, reference = points_of(40, 5), np.full(5, 1.1)
    low = points.min(axis=0)
    drawn = np.random.default_rng(2).uniform(low, reference, (100_000, 5))
    dominated = np.zeros(len(drawn), dtype=np.bool_)
    for point in points:
        dominated |= (point <= drawn).all(axis=1)
    expected = float(dominated.mean() * np.prod(reference - low))
    assert hypervolume(points, reference) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("objectives", [3, 4])
def test_an_expected_improvement_is_that_of_draws(objectives: int) -> None:
    points, reference = points_of(20, objectives), np.full(objectives, 1.2)
    known = points[front(points)]
    rng = np.random.default_rng(3)
    mean = points_of(30, objectives, seed=4) + 0.05
    sd = rng.uniform(0.02, 0.2, mean.shape)
    rays = Rays.over(np.full((1, objectives), -0.5), reference, 4096)
    before = rays.reach(known).max(axis=0)
    draws = mean[:, None] + sd[:, None] * rng.standard_normal((len(mean), 400, objectives))
    expected = [
        np.mean([rays.volume(np.maximum(before, r)) - rays.volume(before) for r in rays.reach(d)])
        for d in draws
    ]
    found = ehvi(mean, sd, known, reference)
    assert np.corrcoef(found, expected)[0, 1] > 0.9
    assert found.sum() == pytest.approx(np.sum(expected), rel=0.2)


def test_without_doubt_it_is_the_added_volume() -> None:
    points, reference = points_of(12, 3), np.full(3, 1.2)
    mean = np.vstack([points_of(6, 3, seed=5) - 0.1, points[:1], np.full((1, 3), 2.0)])
    found = ehvi(mean, np.zeros_like(mean), points, reference)
    before = hypervolume(points, reference)
    added = [hypervolume([*points, m], reference) - before for m in mean]
    np.testing.assert_allclose(found, added, atol=0.15 * max(added))
    assert found[-1] == found[-2] == 0.0


def test_the_chosen_of_a_front_of_four_objectives_are_worth_more_than_any_others() -> None:
    points, reference = points_of(60, 4), np.full(4, 1.2)
    points = points[front(points)]
    chosen = spread(points, reference, 5)
    assert len(chosen) == 5
    others = np.random.default_rng(6)
    most = max(
        hypervolume(points[others.choice(len(points), 5, replace=False)], reference)
        for _ in range(50)
    )
    assert hypervolume(points[chosen], reference) > 0.97 * most
