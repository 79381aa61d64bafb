from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from tuner.arrays import Floats
from tuner.model.chances import (
    Chances,
    able_in,
    behind,
    behind_front,
    hypervolumes,
    plausible,
    tolerated,
)
from tuner.model.pareto import front, hypervolume, non_dominated
from tuner.model.surrogate import Posterior


def points(m: int, most: int = 7) -> st.SearchStrategy[Floats]:
    """Draws of a few points on a coarse grid, so that many are equal in a coordinate."""
    shape = st.tuples(st.integers(1, 3), st.integers(1, most), st.just(m))
    return hn.arrays(np.float64, shape, elements=st.integers(-4, 4).map(float))


def brute_force(draw: Floats, tolerance: float) -> list[bool]:
    return [
        bool(np.isfinite(p).all()) and not any((q < p - tolerance).all() for q in draw)
        for p in draw
    ]


@given(st.integers(1, 3).flatmap(points), st.sampled_from([0.0, 0.5, 1.5]))
def test_tolerated_is_what_no_other_beats_by_more_in_everything(
    draws: Floats, tolerance: float
) -> None:
    found = tolerated(draws, tolerance)
    assert found.tolist() == [brute_force(draw, tolerance) for draw in draws]


@given(points(2), st.data())
def test_what_cannot_serve_is_on_no_front_and_beats_nobody(
    draws: Floats, data: st.DataObject
) -> None:
    lost = data.draw(st.lists(st.integers(0, draws.shape[1] - 1), unique=True))
    draws[:, lost] = np.inf
    found = tolerated(draws, 0.0)
    kept = [i for i in range(draws.shape[1]) if i not in lost]
    assert not found[:, lost].any()
    assert np.array_equal(found[:, kept], tolerated(draws[:, kept], 0.0))


@given(points(2))
def test_the_front_is_tolerated(draws: Floats) -> None:
    for draw, mask in zip(draws, tolerated(draws), strict=True):
        assert mask[non_dominated(draw)].all()


@given(st.integers(1, 3).flatmap(points))
def test_hypervolumes_are_those_of_each_draw(draws: Floats) -> None:
    reference = np.full(draws.shape[2], 2.0)
    expected = [hypervolume(draw, reference) for draw in draws]
    assert hypervolumes(draws, reference).tolist() == pytest.approx(expected)


@given(points(2), points(2))
def test_behind_is_the_least_that_lifts_a_point_onto_the_front(a: Floats, b: Floats) -> None:
    one, others = a[0], b[0]
    distance = behind(one, others)
    lifted = one - distance[:, None]
    for point, far in zip(lifted, distance, strict=True):
        assert not any((q < point).all() for q in others)
        if far > 0:
            assert any((q < point + 1e-6).all() for q in others)


def test_behind_nothing_is_zero() -> None:
    assert behind(np.ones((3, 2)), np.ones((0, 2))).tolist() == [0.0, 0.0, 0.0]


def test_plausible_leaves_out_what_is_surely_behind_or_cannot_serve() -> None:
    mean = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [3.0, 3.0], [-1.0, -1.0]])
    known = Posterior(mean, np.full((5, 2), 0.1), np.array([1.0, 1.0, 1.0, 1.0, 0.0]))
    assert plausible(known).tolist() == [0, 1, 2]
    vague = Posterior(mean, np.full((5, 2), 2.0), known.feasible)
    assert plausible(vague).tolist() == [0, 1, 2, 3]
    assert plausible(vague, most=2).tolist() != [2, 3], "the ones nearest to the front are kept"
    hopeless = Posterior(mean, known.sd, np.zeros(5))
    assert plausible(hopeless).tolist() == []


def test_in_each_draw_what_is_less_likely_to_serve_fails_first() -> None:
    draws = able_in(np.zeros((500, 3, 2)), np.array([1.0, 0.6, 0.2]), np.random.default_rng(1))
    serves = np.isfinite(draws[..., 0])
    assert serves[:, 0].all()
    assert (serves[:, 1] | ~serves[:, 2]).all()
    assert serves.mean(axis=0).tolist() == pytest.approx([1.0, 0.6, 0.2], abs=0.1)


def test_chances_count_draws() -> None:
    draws = np.array([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]])
    found = Chances(np.array([4, 9]), draws, np.array([2.0, 2.0]))
    assert found.on_front.tolist() == [1.0, 0.5]
    assert (found.of(9), found.of(5), found.of(10)) == (0.5, 0.0, 0.0)
    assert found.volumes.tolist() == [3.0, 4.0]
    assert found.uncertainty == pytest.approx(0.5 / 3.5)


@given(
    hn.arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(-5, 5)),
    hn.arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.floats(-5, 5)),
)
def test_behind_a_front_is_behind_all_its_points(some: Floats, others: Floats) -> None:
    ordered = others[front(others)]
    np.testing.assert_allclose(
        behind_front(some, ordered), behind(some, ordered, clip=False), atol=1e-12
    )
