from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.arrays import Floats
from tuner.measure.statistics import checkpoint
from tuner.model.gp import (
    Data,
    Hyper,
    LogNormal,
    Priors,
    fitted,
    matern,
    negative_log_posterior,
)
from tuner.model.process import Places, Prior, Process, lower_factor

GROUPS = np.array([0, 1, 1])
COVARIANCE = np.diag([4.0, 0.5])
PRIORS = Priors(
    (LogNormal(0.7, 0.7), LogNormal(3.0, 0.5)), LogNormal(0.3, 0.8), LogNormal(0.05, 0.5)
)


def basis_at(points: Floats) -> Floats:
    return np.column_stack([np.ones(len(points)), points[:, 0] - 0.5])


def some_data(points: int = 12, values: int = 20, seed: int = 0) -> Data:
    rng = np.random.default_rng(seed)
    at = rng.random((points, 3))
    where = np.concatenate([np.arange(points), rng.integers(0, points, values - points)])
    truth = np.sin(4 * at[:, 0]) + at[:, 1]
    return Data(
        at,
        GROUPS,
        truth[where] + 0.05 * rng.standard_normal(values),
        rng.uniform(0.01, 0.1, values) ** 2,
        where,
        0.3 * at[:, 2],
        basis_at(at),
        COVARIANCE,
        rng.uniform(0.5, 2.0, values),
    )


def dense(data: Data, hyper: Hyper, asked: Places) -> tuple[Floats, Floats]:
    """Posterior mean and covariance by the textbook, one row for each value."""
    at = data.points[data.where]
    linear = data.basis[data.where] @ COVARIANCE @ data.basis[data.where].T
    noise = np.diag(data.variance + (hyper.noise * data.factors) ** 2)
    covariance = matern(at, at, GROUPS, hyper) + linear + noise
    cross = matern(at, asked.points, GROUPS, hyper)
    cross = cross + data.basis[data.where] @ COVARIANCE @ asked.basis.T
    prior = matern(asked.points, asked.points, GROUPS, hyper)
    prior = prior + asked.basis @ COVARIANCE @ asked.basis.T
    solved = np.linalg.solve(covariance, cross)
    mean = asked.mean + solved.T @ (data.values - data.mean[data.where])
    return mean, prior - cross.T @ solved


def places(count: int = 7) -> Places:
    points = np.random.default_rng(5).random((count, 3))
    return Places(points, 0.3 * points[:, 2], basis_at(points))


HYPER = Hyper(np.array([0.4, 2.0]), 0.6, 0.04)


def pooled(data: Data, asked: Places) -> Process:
    residual, variance = data.pooled(HYPER.noise)
    return Process(
        Prior(GROUPS, COVARIANCE, HYPER, "linear"),
        asked,
        Places(data.points, data.mean, data.basis),
        residual + data.mean,
        variance,
    )


def test_the_kernel_is_matern_with_a_length_per_group() -> None:
    a, b = np.array([[0.0, 0.0, 0.0]]), np.array([[0.2, 0.6, 0.8]])
    distance = np.sqrt((0.2 / 0.4) ** 2 + (1.0 / 2.0) ** 2)
    scaled = np.sqrt(5) * distance
    expected = 0.36 * (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
    assert matern(a, b, GROUPS, HYPER)[0, 0] == pytest.approx(expected)


def test_pooled_repeats_give_the_posterior_of_all_values() -> None:
    data, asked = some_data(), places()
    mean, covariance = dense(data, HYPER, asked)
    process = pooled(data, asked)
    np.testing.assert_allclose(process.mean, mean, atol=1e-6)
    rows = np.arange(7)
    np.testing.assert_allclose(process.covariance(rows, rows), covariance, atol=1e-6)
    np.testing.assert_allclose(process.sd, np.sqrt(np.diag(covariance)), atol=1e-6)


def test_block_by_block_is_all_at_once() -> None:
    data, asked = some_data(values=12), places()
    mean, covariance = dense(data, HYPER, asked)
    residual, variance = data.pooled(HYPER.noise)
    seen = Places(data.points, data.mean, data.basis)
    process: Process | None = None
    for block in (slice(0, 5), slice(5, 6), slice(6, 12)):
        values = (residual + data.mean)[block]
        if process is None:
            prior = Prior(GROUPS, COVARIANCE, HYPER, "linear")
            process = Process(prior, asked, seen.at(block), values, variance[block])
        else:
            process = process.seeing(seen.at(block), values, variance[block])
    assert process is not None
    np.testing.assert_allclose(process.mean, mean, atol=1e-6)
    np.testing.assert_allclose(process.sd, np.sqrt(np.diag(covariance)), atol=1e-6)
    some = np.array([1, 4])
    np.testing.assert_allclose(process.covariance(some, some), covariance[some][:, some], atol=1e-6)


def test_believing_the_mean_changes_no_mean_and_shrinks_deviations() -> None:
    process = pooled(some_data(), places())
    after = process.believing(np.array([2, 3]), 0.01)
    np.testing.assert_allclose(after.mean, process.mean, atol=1e-9)
    assert (after.sd <= process.sd + 1e-12).all()
    assert after.sd[2] < 0.95 * process.sd[2]


@given(st.integers(0, 200))
def test_the_gradient_is_that_of_the_posterior(seed: int) -> None:
    data = some_data(points=6, values=11, seed=seed)
    logs = np.log([p.median for p in PRIORS.all])
    logs += np.random.default_rng(seed).normal(0, 0.5, len(logs))
    _, gradient = negative_log_posterior(logs, data, PRIORS)
    step = 1e-5
    for i in range(len(logs)):
        change = step * (np.arange(len(logs)) == i)
        up, _ = negative_log_posterior(logs + change, data, PRIORS)
        down, _ = negative_log_posterior(logs - change, data, PRIORS)
        assert gradient[i] == pytest.approx((up - down) / (2 * step), rel=1e-3, abs=1e-3)


def test_the_likelihood_of_pooled_repeats_is_that_of_all_values() -> None:
    data = some_data()
    apart = Data(
        data.points[data.where],
        GROUPS,
        data.values,
        data.variance,
        np.arange(len(data.values)),
        data.mean[data.where],
        data.basis[data.where],
        COVARIANCE,
        data.factors,
    )
    for shift in (0.0, 0.4):
        logs = np.log([p.median for p in PRIORS.all]) + shift
        together, slopes = negative_log_posterior(logs, data, PRIORS)
        separate, apart_slopes = negative_log_posterior(logs, apart, PRIORS)
        assert together == pytest.approx(separate, abs=1e-3)
        np.testing.assert_allclose(slopes, apart_slopes, rtol=1e-3, atol=1e-3)


def test_the_fit_is_better_than_its_start_and_repeats_itself() -> None:
    data = some_data(30, 40)
    start, _ = negative_log_posterior(np.log([p.median for p in PRIORS.all]), data, PRIORS)
    fit = fitted(data, PRIORS)
    assert fit.evidence > -start
    assert fitted(some_data(30, 40), PRIORS).hyper.all == fit.hyper.all


def test_nothing_seen_leaves_the_priors() -> None:
    data = some_data(1, 1)
    none = Data(
        np.zeros((0, 3)),
        GROUPS,
        np.zeros(0),
        np.zeros(0),
        np.zeros(0, dtype=np.intp),
        np.zeros(0),
        np.zeros((0, 2)),
        data.basis_covariance,
        np.zeros(0),
    )
    assert fitted(none, PRIORS).hyper.all == pytest.approx([p.median for p in PRIORS.all])


def test_checkpoints_are_dense_and_then_sparse() -> None:
    assert [checkpoint(n) for n in (0, 1, 20, 21, 22, 23, 24)] == [0, 1, 20, 20, 22, 22, 24]
    reached = [checkpoint(n) for n in range(5000)]
    assert reached == sorted(reached)
    assert all(n / 1.1 - 1 <= k <= n for n, k in enumerate(reached))
    assert len(set(reached)) < 120


@pytest.mark.parametrize("covariance", [np.array([[1.0, 0.9], [0.9, 1.0]]), np.zeros((3, 3))])
def test_a_factor_of_a_covariance_that_may_be_singular(covariance: Floats) -> None:
    lower = lower_factor(covariance)
    np.testing.assert_allclose(lower @ lower.T, covariance, atol=1e-9)
    assert (np.triu(lower, 1) == 0).all()
