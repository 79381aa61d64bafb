"""The sampler for anybody's Optuna study."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, PartialFixedSampler, RandomSampler
from optuna.study import Study
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)
from optuna.trial import FrozenTrial, Trial, TrialState

from tuner.samplers import BayesSampler
from tuner.spec.metrics import Direction


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


class TestBeforeTheModel(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    """Optuna's own suite, with the sampler as it comes."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return BayesSampler


@pytest.mark.thorough
class TestWithTheModel(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    """Optuna's own suite, with the model from the first trial on."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: BayesSampler(seed=1, n_startup_trials=0)


def optimised(
    objective: Callable[[Trial], float],
    trials: int,
    *,
    seed: int = 1,
    direction: Direction = "minimize",
) -> Study:
    study = optuna.create_study(sampler=BayesSampler(seed=seed), direction=direction)
    study.optimize(objective, n_trials=trials)
    return study


def quadratic(trial: Trial) -> float:
    x = trial.suggest_float("x", -100, 100)
    y = trial.suggest_categorical("y", [-1, 0, 1])
    return x**2 + y


def test_it_finds_the_minimum_of_optunas_first_example() -> None:
    assert optimised(quadratic, 25).best_value == pytest.approx(-1, abs=0.01)


def test_maximising_the_negative_proposes_the_same() -> None:
    down = optimised(quadratic, 14)
    up = optimised(lambda trial: -quadratic(trial), 14, direction="maximize")
    assert [t.params for t in down.trials] == [t.params for t in up.trials]


@pytest.mark.parametrize(("factor", "offset"), [(1e-9, 0.0), (1e9, 0.0), (1.0, -1e3)])
def test_unit_and_offset_of_an_objective_do_not_matter(factor: float, offset: float) -> None:
    study = optimised(lambda trial: factor * quadratic(trial) + offset, 20)
    assert (study.best_value - offset) / factor == pytest.approx(-1, abs=1)


def test_a_seed_repeats_a_study_and_another_one_does_not() -> None:
    first, second, other = (optimised(quadratic, 13, seed=seed) for seed in (3, 3, 4))
    assert [t.params for t in first.trials] == [t.params for t in second.trials]
    assert first.trials[5].params != other.trials[5].params


def test_without_a_seed_every_sampler_draws_its_own_also_after_reseeding() -> None:
    sampler = BayesSampler()
    before = pickle.dumps(sampler)
    sampler.reseed_rng()
    assert pickle.dumps(sampler) != before
    assert pickle.dumps(BayesSampler()) != pickle.dumps(BayesSampler())


def test_a_pickled_sampler_goes_on_with_its_study() -> None:
    study, other = (optimised(quadratic, 12) for _ in range(2))
    other.sampler = pickle.loads(pickle.dumps(other.sampler))
    for each in (study, other):
        each.optimize(quadratic, n_trials=2)
    assert [t.params for t in study.trials] == [t.params for t in other.trials]


def test_constraints_are_learned_and_held() -> None:
    # The lowest value lies where the constraint is broken.
    def objective(trial: Trial) -> float:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        trial.set_constraint("enough", 0.6 - x - y)
        return x + 2 * y

    study = optimised(objective, 25)
    assert study.best_trial.constraints["enough"] <= 0
    assert study.best_value == pytest.approx(0.6, abs=0.03)


def test_a_front_of_two_objectives_in_opposite_directions() -> None:
    def objective(trial: Trial) -> tuple[float, float]:
        x, y = trial.suggest_float("x", -1, 1), trial.suggest_int("y", -3, 3)
        return x**2 + y**2, -((x - 1) ** 2) - y**2

    study = optuna.create_study(directions=["minimize", "maximize"], sampler=BayesSampler(seed=1))
    study.optimize(objective, n_trials=25)
    best = [t for t in study.best_trials if t.params["y"] == 0]
    assert len(best) >= 8
    xs = sorted(t.params["x"] for t in best)
    assert max(np.diff([0.0, *(x for x in xs if 0 <= x <= 1), 1.0])) < 0.35


def test_three_objectives_also_have_a_front() -> None:
    def objective(trial: Trial) -> tuple[float, float, float]:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        return x, y, (1 - x) ** 2 + (1 - y) ** 2

    study = optuna.create_study(directions=["minimize"] * 3, sampler=BayesSampler(seed=1))
    study.optimize(objective, n_trials=14)
    assert len(study.best_trials) >= 10


def conditional(trial: Trial) -> float:
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        return 1 + (trial.suggest_float("only a", -1, 1) - 0.3) ** 2
    layers = trial.suggest_int("layers", 1, 3)
    return sum((trial.suggest_float(f"x{i}", 0, 1) - 0.7) ** 2 for i in range(layers)) + 0.1


class Never(RandomSampler):
    """Refuses once the model knows the parameters."""

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401 -- as Optuna's
        assert trial.number < 12, param_name
        return super().sample_independent(study, trial, param_name, param_distribution)


def test_parameters_that_another_one_decides_about_are_modelled() -> None:
    study = optuna.create_study(sampler=BayesSampler(seed=1, independent_sampler=Never(seed=1)))
    study.optimize(conditional, n_trials=24)
    assert study.best_value == pytest.approx(0.1, abs=0.01)
    assert study.best_params["kind"] == "b"


def test_parameters_that_nothing_explains_come_from_the_independent_sampler() -> None:
    def objective(trial: Trial) -> float:
        value = trial.suggest_float("x", 0, 1)
        if trial.number % 2:
            value += trial.suggest_float("now and then", 0, 1)
        return value + trial.suggest_float("grows", 0, trial.number + 1)

    study = optimised(objective, 14)
    inferred = study.sampler.infer_relative_search_space(study, study.trials[0])
    assert inferred.keys() == {"x", "now and then"}
    asked = study.sampler.sample_relative(study, study.trials[-1], inferred)
    assert asked.keys() == {"x"}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_parent_that_is_held_fixed_leaves_its_children_to_the_independent_sampler() -> None:
    study = optimised(conditional, 12)
    study.sampler = PartialFixedSampler({"kind": "a"}, study.sampler)
    study.optimize(conditional, n_trials=2)
    assert all(t.params["kind"] == "a" for t in study.trials[-2:])


def test_a_small_space_is_measured_whole_and_then_again() -> None:
    def objective(trial: Trial) -> float:
        return trial.suggest_int("x", 0, 4) + trial.suggest_categorical("y", [0.0, 2.0])

    study = optimised(objective, 20)
    seen = [tuple(t.params.items()) for t in study.trials]
    # Sobol points of the beginning may repeat; the model's own do not, while any is left.
    assert len(set(seen[:16])) == 10
    assert all(t.state == TrialState.COMPLETE for t in study.trials)


def test_enqueued_values_are_kept_and_the_others_proposed_beside_them() -> None:
    study = optimised(quadratic, 20)
    for y in (-1, 1):
        study.enqueue_trial({"y": y})
    study.optimize(quadratic, n_trials=2)
    assert [t.params["y"] for t in study.trials[-2:]] == [-1, 1]
    assert abs(study.trials[-2].params["x"]) < 20


def test_where_trials_fail_or_are_infinitely_bad_is_learned() -> None:
    # The best value lies beside a cliff.
    def objective(trial: Trial) -> float:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        if x < 0.5:
            return math.nan if y < 0.5 else math.inf
        return x + y

    study = optimised(objective, 24)
    assert study.best_value == pytest.approx(0.5, abs=0.03)


def test_an_infinitely_good_value_does_not_stop_the_search() -> None:
    study = optimised(lambda t: -math.inf if (x := t.suggest_float("x", 0, 1)) < 0.1 else x, 16)
    assert len(study.trials) == 16


def test_pruned_trials_count_as_bad_ones() -> None:
    def objective(trial: Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        trial.report(abs(x - 0.3), 0)
        if abs(x - 0.3) > 0.4:
            raise optuna.TrialPruned
        return abs(x - 0.3)

    study = optimised(objective, 22)
    assert {t.state for t in study.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert all(t.state == TrialState.COMPLETE for t in study.trials[-6:])


def test_only_failed_and_pruned_trials_are_no_obstacle() -> None:
    def objective(trial: Trial) -> float:
        trial.suggest_float("x", 0, 1)
        if trial.number % 2:
            raise optuna.TrialPruned
        return math.nan

    study = optuna.create_study(sampler=BayesSampler(seed=1, n_startup_trials=2))
    study.optimize(objective, n_trials=6)
    trial = study.ask({"x": FloatDistribution(0, 1)})
    assert 0 <= trial.params["x"] <= 1


def test_trials_that_run_at_once_differ() -> None:
    space: dict[str, BaseDistribution] = {name: FloatDistribution(-1, 1) for name in ("x", "y")}
    study = optuna.create_study(sampler=BayesSampler(seed=1, n_startup_trials=5))
    for _ in range(8):
        trial = study.ask(space)
        study.tell(trial, math.sin(3 * trial.params["x"]) + math.cos(4 * trial.params["y"]))
    running = [study.ask(space) for _ in range(3)]
    points = np.array([[t.params["x"], t.params["y"]] for t in running])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)[np.triu_indices(3, 1)]
    assert (distances > 0.01).all()


def test_threads_share_a_sampler() -> None:
    study = optuna.create_study(sampler=BayesSampler(seed=1))
    study.optimize(quadratic, n_trials=20, n_jobs=2)
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 20


def test_it_loads_neither_docker_nor_plotly_nor_pandas() -> None:
    code = (
        "import sys, tuner.samplers\n"
        "print(*{'docker', 'plotly', 'pandas', 'pyarrow', 'pydantic'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []
