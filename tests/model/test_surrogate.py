from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import conditional
from tests.model.served_space import (
    CANDIDATES,
    DIRECTIONS,
    HOST,
    METRICS,
    SPACE,
    bounds,
    bursts,
    fits,
    logs,
    some_rows,
    upside_down,
)
from tuner.arrays import Floats
from tuner.measure.statistics import checkpoint
from tuner.model import evidence
from tuner.model.candidates import Candidates
from tuner.model.ensemble import Ensemble
from tuner.model.evidence import once_queued, processes
from tuner.model.gp import once_fitted
from tuner.model.observations import Observation
from tuner.model.process import Places, Process
from tuner.model.representative import once_chosen, representative
from tuner.model.surrogate import Surrogate
from tuner.spec.space import Configuration, Parameter, SearchSpace

TRUTH = logs(bounds)


def fit(seen: list[Observation], candidates: Candidates = CANDIDATES) -> Surrogate:
    return Surrogate.fit(candidates, METRICS, DIRECTIONS, seen, host_cpus=HOST)


def fit_without_queue(seen: list[Observation]) -> Surrogate:
    """The same values under names of which queueing says nothing."""
    return Surrogate.fit(CANDIDATES, ("memory_peak_mib", "power_w"), DIRECTIONS, seen)


def error(surrogate: Surrogate, truth: Floats = TRUTH) -> float:
    return float(np.median(np.abs(surrogate.posterior().mean[:, 0] - truth[:, 0])))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_observations_are_enough_to_say_something(count: int) -> None:
    found = fit(bursts(some_rows(count))).posterior()
    assert np.isfinite(found.mean).all()
    assert (found.sd > 0).all()
    assert ((found.feasible > 0) & (found.feasible <= 1)).all()


def test_nothing_that_serves() -> None:
    surrogate = fit(bursts(some_rows(25), serves=lambda _: False))
    found = surrogate.posterior()
    assert np.isfinite(found.mean).all()
    assert found.feasible[some_rows(25)].max() < 0.5
    assert surrogate.queue is None
    assert len(surrogate.observed) == 0


def test_it_learns_a_host_of_other_formulas() -> None:
    surrogate = fit(bursts(some_rows(60)))
    found = surrogate.posterior()
    assert error(surrogate) < 0.08
    covered = np.abs(found.mean - TRUTH) < 1.96 * found.sd
    assert covered.mean() > 0.8


def test_the_queue_helps_where_it_is_nearly_right() -> None:
    seen = bursts(some_rows(15, seed=3))
    assert fit(seen).trends == ("queue", "queue")
    assert error(fit(seen)) < 0.7 * error(fit_without_queue(seen))


@pytest.mark.parametrize("count", [20, 60])
def test_wrong_physics_hardly_hurts(count: int) -> None:
    truth = logs(upside_down)
    seen = bursts(some_rows(count), truth=upside_down)
    assert error(fit(seen), truth) < 1.2 * error(fit_without_queue(seen), truth) + 0.01


def test_the_same_observations_give_the_same_model_whatever_was_fitted_before() -> None:
    seen = bursts(some_rows(45), serves=fits)
    first = fit(seen).posterior()
    for once in (once_fitted, once_chosen, once_queued):
        once.cache_clear()
    processes.clear()
    for count in (30, 41, 44):
        fit(seen[:count]).posterior()
    again = fit(seen).posterior()
    for a, b in zip(
        (first.mean, first.sd, first.feasible), (again.mean, again.sd, again.feasible), strict=True
    ):
        assert (a == b).all()


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_learning_one_by_one_is_learning_together(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = bursts(some_rows(58), serves=fits)
    usual = fit(seen).posterior()
    monkeypatch.setattr(evidence, "BLOCK", block)
    processes.clear()
    other = fit(seen).posterior()
    np.testing.assert_allclose(other.mean, usual.mean, rtol=0, atol=1e-6)
    np.testing.assert_allclose(other.sd, usual.sd, rtol=0, atol=1e-6)


def test_one_more_observation_is_learned_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = bursts(some_rows(60))
    count = checkpoint(56)
    fit(seen[: count + 2]).posterior()
    learned: list[int] = []
    seeing = Process.seeing

    def counted(self: Process, at: Places, values: Floats, variance: Floats) -> Process:
        learned.append(len(values))
        return seeing(self, at, values, variance)

    monkeypatch.setattr(Process, "seeing", counted)
    model = fit(seen[: count + 3])
    members = sum(len(p.members) for p in model.processes if isinstance(p, Ensemble))
    assert learned == [1] * members


def test_the_order_of_observations_hardly_matters() -> None:
    seen = bursts(some_rows(40))
    there, back = fit(seen), fit(seen[::-1])
    np.testing.assert_allclose(there.posterior().mean, back.posterior().mean, atol=0.15)
    assert np.median(np.abs(there.posterior().mean - back.posterior().mean)) < 0.02


def test_a_vague_value_counts_less_than_a_sharp_one() -> None:
    seen = bursts(some_rows(30))
    row = int(np.setdiff1d(np.arange(len(CANDIDATES)), some_rows(30))[0])
    values = tuple(np.exp(TRUTH[row] + 0.5))
    shifts = []
    for sd in (0.02, 0.5):
        new = Observation(30, CANDIDATES.configurations[row], values, {}, (sd, sd))
        shifts.append(fit([*seen, new]).posterior([row]).mean[0, 0])
    before = fit(seen).posterior([row]).mean[0, 0]
    sharp, vague = np.abs(np.array(shifts) - before)
    assert sharp > 3 * vague


def test_a_repeat_makes_it_surer() -> None:
    seen = bursts(some_rows(24))
    row = some_rows(24)[0]
    more = [replace(seen[0], number=24 + i) for i in range(4)]
    assert fit([*seen, *more]).posterior([row]).sd[0, 0] < fit(seen).posterior([row]).sd[0, 0]


def test_values_without_intervals() -> None:
    seen = [replace(o, relative_sd=()) for o in bursts(some_rows(40))]
    surrogate = fit(seen)
    assert error(surrogate) < 0.1
    assert (surrogate.noise_sd > 0.005).all()


def test_pending_ones_make_it_surer_and_change_no_mean() -> None:
    surrogate = fit(bursts(some_rows(24)))
    rows = np.setdiff1d(np.arange(len(CANDIDATES)), some_rows(24))[:3]
    after = surrogate.with_pending(rows)
    np.testing.assert_allclose(after.posterior().mean, surrogate.posterior().mean, atol=1e-9)
    assert (after.posterior(rows).sd < surrogate.posterior(rows).sd).all()
    assert surrogate.with_pending([]).posterior().sd.tolist() == surrogate.posterior().sd.tolist()


def test_draws_and_covariance_agree_with_the_marginals() -> None:
    surrogate = fit(bursts(some_rows(24)))
    rows = np.array([3, 50, 51, 200])
    found = surrogate.posterior(rows)
    draws = surrogate.draws(rows, 4000, np.random.default_rng(0))
    assert draws.shape == (4000, 4, 2)
    np.testing.assert_allclose(draws.mean(axis=0), found.mean, atol=0.02)
    np.testing.assert_allclose(draws.std(axis=0), found.sd, rtol=0.06)
    covariance = surrogate.covariance(rows, rows, 0)
    np.testing.assert_allclose(np.diag(covariance), found.sd[:, 0] ** 2, rtol=1e-6)
    np.testing.assert_allclose(np.cov(draws[..., 0].T), covariance, atol=0.004)


def test_maximised_objectives_are_negated_and_three_are_possible() -> None:
    def three(x: Configuration) -> tuple[float, ...]:
        art, cpu = bounds(x)
        return art, cpu, 1000.0 * float(x["concurrency"]) / art

    seen = bursts(some_rows(40), truth=three)
    surrogate = Surrogate.fit(
        CANDIDATES,
        (*METRICS, "throughput_rps"),
        ("minimize", "minimize", "maximize"),
        seen,
        host_cpus=HOST,
    )
    truth = logs(three)
    found = surrogate.posterior().mean
    assert found.shape == (len(CANDIDATES), 3)
    assert np.median(np.abs(found[:, 2] + truth[:, 2])) < 0.1


def test_other_metrics_have_a_linear_mean() -> None:
    seen = bursts(some_rows(20))
    surrogate = Surrogate.fit(CANDIDATES, ("power_w", "late_percent"), DIRECTIONS, seen)
    assert surrogate.trends == ("linear", "linear")
    assert surrogate.queue is None


def test_constraints_of_the_user_count() -> None:
    def told(o: Observation) -> Observation:
        assert o.values is not None
        art, rate = o.values[0], 0.05 * (o.configuration["loss"] == 4.0)
        return replace(o, violations={"art_ms <= 20": art - 20, "error_rate <= 0.01": rate - 0.01})

    found = fit([told(o) for o in bursts(some_rows(60))]).posterior().feasible
    loss = np.array([float(x["loss"]) for x in CANDIDATES.configurations])
    holds = (TRUTH[:, 0] <= np.log(20)) & (loss < 4)
    clear = np.abs(TRUTH[:, 0] - np.log(20)) > 0.15
    assert ((found > 0.5) == holds)[clear].mean() > 0.97
    assert holds[(found > 0.9) & clear].all()


def test_a_constraint_in_words_of_its_own() -> None:
    def told(o: Observation) -> Observation:
        return replace(o, violations={"fast": o.configuration["cpu"] * -1.0 + 0.75})  # type: ignore[operator]

    found = fit([told(o) for o in bursts(some_rows(40))]).posterior().feasible
    cpu = np.array([float(x["cpu"]) for x in CANDIDATES.configurations])
    assert ((found > 0.5) == (cpu > 0.75)).mean() > 0.97


def test_observations_outside_the_candidates_teach_too() -> None:
    few = Candidates.of(SPACE, [CANDIDATES.configurations[r] for r in some_rows(20, seed=1)])
    surrogate = fit(bursts(some_rows(60)), few)
    truth = TRUTH[some_rows(20, seed=1)]
    assert surrogate.posterior().mean.shape == (20, 2)
    assert error(surrogate, truth) < 0.1
    assert set(surrogate.observed.tolist()) <= set(range(20))


def test_a_space_with_other_parameters() -> None:
    space = SearchSpace(
        (
            Parameter("threads", "int", "decision", 1, low=1, high=8, flag="threads"),
            Parameter("mode", "categorical", "decision", "a", choices=("a", "b", "c"), env="MODE"),
        )
    )
    candidates = Candidates.of(space)

    def value(x: Configuration) -> float:
        return math.pow(float(x["threads"]), -0.7) * (10.0 if x["mode"] == "b" else 20.0)

    rng = np.random.default_rng(0)
    seen = [
        Observation(
            i, x, (value(x) * np.exp(0.03 * rng.standard_normal()), 10.0 + float(x["threads"]))
        )
        for i, x in enumerate(candidates.configurations[::2])
    ]
    truth = np.log([value(x) for x in candidates.configurations])
    surrogate = fit(seen, candidates)
    assert np.median(np.abs(surrogate.posterior().mean[:, 0] - truth)) < 0.06
    scales = surrogate.length_scales["art_ms"]
    assert set(scales) == {"threads", "mode"}


def test_more_configurations_than_are_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "LEARNED", 40)
    monkeypatch.setattr(evidence, "EXACT", 60)
    surrogate = fit(bursts(some_rows(180)))
    assert error(surrogate) < 0.08


def test_the_chosen_few_have_the_best_and_are_spread() -> None:
    rng = np.random.default_rng(0)
    points, values = rng.random((300, 2)), rng.random((300, 2))
    rows = representative(points, values, 20)
    assert len(set(rows.tolist())) == 20
    assert {int(np.argmin(values[:, 0])), int(np.argmin(values[:, 1]))} <= set(rows.tolist())
    nearest = np.linalg.norm(points[:, None] - points[rows], axis=-1).min(axis=1)
    assert nearest.max() < 0.4
    assert representative(points[:5], values[:5], 20).tolist() == [0, 1, 2, 3, 4]


@settings(deadline=None, max_examples=25)
@given(conditional.spaces(), st.integers(0, 12), st.integers(0, 1000))
def test_any_space_can_be_modelled(space: SearchSpace, count: int, seed: int) -> None:
    candidates = Candidates.of(space)
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(candidates), count)
    seen = [
        Observation(
            i,
            candidates.configurations[int(row)],
            tuple(rng.lognormal(3, 1, 2)) if rng.random() < 0.8 else None,
        )
        for i, row in enumerate(rows)
    ]
    found = Surrogate.fit(candidates, METRICS, DIRECTIONS, seen).posterior()
    assert np.isfinite(found.mean).all()
    assert (found.sd > 0).all()
    assert ((found.feasible >= 0) & (found.feasible <= 1)).all()
