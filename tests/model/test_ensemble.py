from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.served_space import (
    CANDIDATES,
    DIRECTIONS,
    HOST,
    METRICS,
    bounds,
    bursts,
    some_rows,
)
from tuner.arrays import Floats
from tuner.model.ensemble import Ensemble, error_correlation_of
from tuner.model.exact import Exact
from tuner.model.gp import Data, Hyper, LogNormal, Priors, fitted, scattered
from tuner.model.process import Places, Prior, Process, lower_factor
from tuner.model.surrogate import Surrogate
from tuner.spec.space import Configuration

GROUPS = np.array([0, 1])
PRIORS = Priors(
    (LogNormal(0.5, 0.5), LogNormal(0.5, 0.5)), LogNormal(0.3, 0.6), LogNormal(0.05, 0.5)
)
EVERYWHERE = Places(np.random.default_rng(1).random((9, 2)), np.zeros(9), np.ones((9, 1)))
ROWS = np.arange(9)


def process(
    hyper: Hyper, seed: int = 0, noise: float = 0.05, values: Floats | None = None
) -> Process:
    rng = np.random.default_rng(seed)
    points = np.random.default_rng(2).random((12, 2))
    seen = Places(points, np.zeros(12), np.ones((12, 1)))
    measured = np.sin(4 * points[:, 0]) + noise * rng.standard_normal(12)
    prior = Prior(GROUPS, np.eye(1), hyper, "linear")
    variance = np.full(12, noise**2 + hyper.noise**2)
    return Process(prior, EVERYWHERE, seen, measured if values is None else values, variance)


positive = st.floats(0.1, 2.0)
hypers = st.builds(lambda a, b, s: Hyper(np.array([a, b]), s, 0.03), positive, positive, positive)


@st.composite
def ensembles(draw: st.DrawFn) -> Ensemble:
    members = draw(st.lists(hypers, min_size=1, max_size=4))
    weights = np.array(
        draw(st.lists(st.floats(0.1, 1), min_size=len(members), max_size=len(members)))
    )
    return Ensemble(tuple(process(h) for h in members), weights / weights.sum())


@settings(max_examples=25, deadline=None)
@given(ensembles())
def test_variances_are_those_within_members_and_between_them(ensemble: Ensemble) -> None:
    means = np.array([m.mean for m in ensemble.members])
    seconds = np.array([m.sd**2 + m.mean**2 for m in ensemble.members])
    np.testing.assert_allclose(ensemble.mean, ensemble.weights @ means, atol=1e-12)
    variance = ensemble.weights @ seconds - (ensemble.weights @ means) ** 2
    np.testing.assert_allclose(ensemble.sd**2, variance, rtol=1e-6, atol=1e-9)
    covariance = ensemble.covariance(ROWS, ROWS)
    np.testing.assert_allclose(np.diag(covariance), ensemble.sd**2, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-9)
    assert np.linalg.eigvalsh(covariance).min() > -1e-8


@settings(max_examples=25, deadline=None)
@given(hypers)
def test_one_member_is_its_process(hyper: Hyper) -> None:
    alone, ensemble = process(hyper), Ensemble((process(hyper),), np.ones(1))
    np.testing.assert_array_equal(ensemble.mean, alone.mean)
    np.testing.assert_allclose(ensemble.sd, alone.sd, rtol=1e-12)
    np.testing.assert_allclose(ensemble.covariance(ROWS, ROWS), alone.covariance(ROWS, ROWS))
    normals = np.random.default_rng(3).standard_normal((5, len(ROWS)))
    drawn = ensemble.draws(ROWS, normals, np.random.default_rng(4))
    same = alone.mean + normals @ lower_factor(alone.covariance(ROWS, ROWS)).T
    np.testing.assert_allclose(drawn, same, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(ensembles(), st.lists(st.integers(0, 8), min_size=1, max_size=3, unique=True))
def test_what_is_believed_changes_no_mean_and_makes_nothing_less_sure(
    ensemble: Ensemble, rows: list[int]
) -> None:
    after = ensemble.believing(np.array(rows), 0.01)
    np.testing.assert_allclose(after.mean, ensemble.mean, atol=1e-6)
    assert (after.sd <= ensemble.sd + 1e-9).all()


def test_draws_have_the_moments_of_the_ensemble_and_its_members_shares() -> None:
    near, far = Hyper(np.array([0.3, 0.3]), 0.2, 0.03), Hyper(np.array([1.5, 1.5]), 1.5, 0.03)
    ensemble = Ensemble((process(near), process(far)), np.array([0.7, 0.3]))
    normals = np.random.default_rng(5).standard_normal((20_000, len(ROWS)))
    drawn = ensemble.draws(ROWS, normals, np.random.default_rng(6))
    np.testing.assert_allclose(drawn.mean(axis=0), ensemble.mean, atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), ensemble.covariance(ROWS, ROWS), atol=0.03)


def some_data(count: int) -> Data:
    rng = np.random.default_rng(count)
    points = rng.random((count, 2))
    return Data(
        points,
        GROUPS,
        np.sin(5 * points[:, 0]) + 0.05 * rng.standard_normal(count),
        np.full(count, 0.05**2),
        np.arange(count),
        np.zeros(count),
        np.ones((count, 1)),
        np.eye(1),
        np.ones(count),
    )


def test_the_size_of_a_misfit_is_surer_the_more_was_seen() -> None:
    ratios = []
    for count in (4, 100):
        data = some_data(count)
        best = fitted(data, PRIORS).hyper
        (first, most), (small, _), (large, _) = scattered(data, PRIORS, best)
        assert first is best
        assert most == pytest.approx(2 / 3)
        assert small.signal < best.signal < large.signal
        ratios.append(large.signal / small.signal)
    assert ratios[0] > 1.2 * ratios[1] > 1.2


def test_nothing_seen_has_nothing_to_scatter() -> None:
    none = Data(
        np.zeros((0, 2)),
        GROUPS,
        np.zeros(0),
        np.zeros(0),
        np.zeros(0, np.intp),
        np.zeros(0),
        np.zeros((0, 1)),
        np.eye(1),
        np.zeros(0),
    )
    best = fitted(none, PRIORS).hyper
    assert scattered(none, PRIORS, best) == ((best, 1.0),)


def apart(rho: float, seed: int) -> tuple[Ensemble, Ensemble]:
    """Two objectives whose values are as unlike what was expected as `rho` says."""
    rng = np.random.default_rng(seed)
    hyper = Hyper(np.array([0.05, 0.05]), 1.0, 0.01)
    first = rng.standard_normal(12)
    second = rho * first + np.sqrt(1 - rho**2) * rng.standard_normal(12)
    return tuple(Ensemble((process(hyper, values=v),), np.ones(1)) for v in (first, second))  # type: ignore[return-value]


@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.9])
def test_how_errors_go_together_is_learned(rho: float) -> None:
    learned = np.mean([error_correlation_of(apart(rho, seed))[0, 1] for seed in range(20)])
    # Twelve values against four that say 0.
    assert learned == pytest.approx(0.75 * rho, abs=0.15)


def test_correlations_are_a_correlation_matrix_and_none_is_known_of_what_is_exact() -> None:
    one, other = apart(-0.9, 0)
    third, _ = apart(0.9, 0)
    matrix = error_correlation_of([one, other, third, Exact(np.zeros(9))])
    np.testing.assert_allclose(np.diag(matrix), 1.0)
    assert np.linalg.eigvalsh(matrix).min() > 0
    assert matrix[3, :3].tolist() == [0.0, 0.0, 0.0]


def test_other_bursts_say_nothing_of_how_errors_go_together() -> None:
    one, other = apart(-0.9, 0)
    longer = other.believing(np.array([0]), 0.01)
    assert error_correlation_of([one, longer])[0, 1] == 0.0


def closed_loop(x: Configuration) -> tuple[float, float]:
    """Bends that no queue has, by which clients that wait longer use less CPU."""
    art, cpu = bounds(x)
    bend = float(np.exp(0.5 * np.sin(3.0 * float(x["replicas"]) + 5.0 * float(x["cpu"]))))
    return art * bend, cpu / bend


def test_a_surrogate_draws_objectives_that_are_wrong_together() -> None:
    seen = bursts(some_rows(40), truth=closed_loop)
    surrogate = Surrogate.fit(CANDIDATES, METRICS, DIRECTIONS, seen, host_cpus=HOST)
    rows = np.setdiff1d(np.arange(len(CANDIDATES)), some_rows(40))[:6]

    def drawn_together(model: Surrogate) -> float:
        draws = model.draws(rows, 2000, np.random.default_rng(0))
        off = (draws - draws.mean(axis=0)) / draws.std(axis=0)
        return float((off[..., 0] * off[..., 1]).mean())

    assert surrogate.error_correlation[0, 1] < -0.4
    assert drawn_together(surrogate) < -0.3
    assert abs(drawn_together(surrogate.likeliest())) < 0.05


def test_the_likeliest_is_surer_than_the_ensemble() -> None:
    surrogate = Surrogate.fit(
        CANDIDATES, METRICS, DIRECTIONS, bursts(some_rows(20)), host_cpus=HOST
    )
    likeliest = surrogate.likeliest()
    assert all(isinstance(p, Ensemble) and len(p.members) == 1 for p in likeliest.processes)
    assert likeliest.posterior().sd.mean() < surrogate.posterior().sd.mean()
    assert likeliest.length_scales == surrogate.length_scales
