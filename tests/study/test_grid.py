from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.study import Study
from optuna.trial import TrialState

from tests.study.small import FEASIBLE, opened, specification
from tests.study.worlds import World, breaking, in_turn, untrusted
from tuner.backends.backend import Backend
from tuner.backends.simulated import simulated_backend
from tuner.deploy.protocol import Deployer
from tuner.errors import InputError, TrialFailed, TuneError
from tuner.measure.record import TrialRecord
from tuner.spec.load import results_directory
from tuner.spec.space import Configuration, Parameter, SearchSpace
from tuner.spec.study import SearchSpec, StudySpec
from tuner.study.grid import Grid, GridPoint, grid_order
from tuner.study.loop import Event, Started, goal, run_study
from tuner.study.storage import records

SPACE = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 1, choices=(1, 4, 16)),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.5, 1.0, 2.0)),
        Parameter("replicas", "int", "decision", 1, low=1, high=2),
    )
)


def grid_spec(*changes: tuple[str, str]) -> StudySpec:
    return replace(specification(*changes), search=SearchSpec(sampler="grid"))


def run(
    spec: StudySpec,
    passes: int = 1,
    backend: Backend | None = None,
    more: int | None = None,
    interrupted_at: int | None = None,
) -> Study:
    study = opened(spec, "grid")

    def observe(event: Event) -> None:
        if isinstance(event, Started) and event.number == interrupted_at:
            raise KeyboardInterrupt

    until = goal(spec, study, more, 0, passes)
    backend = backend or simulated_backend(spec)
    run_study(spec, study, backend, results_directory(spec), until, observe)
    return study


def points(study: Study) -> list[GridPoint]:
    """Those of the grid's trials, in the order in which they were measured."""
    return [
        GridPoint(t.grid_pass, t.configuration) for t in records(study) if t.grid_pass is not None
    ]


def switches(spec: StudySpec, trials: list[TrialRecord]) -> int:
    """How often one trial's deployment is not that of the trial before."""
    deployments = [spec.search_space.deployment_of(t.configuration) for t in trials]
    return sum(a != b for a, b in itertools.pairwise(deployments))


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_every_pass_has_every_configuration_and_each_deployment_in_a_row(
    seed: int, passes: int
) -> None:
    order = grid_order(SPACE, seed, passes)
    assert order == grid_order(SPACE, seed, passes)
    assert order[:18] == grid_order(SPACE, seed, 1)
    for number in range(passes):
        one = [p.configuration for p in order if p.grid_pass == number]
        assert sorted(one, key=str) == sorted(SPACE.grid(), key=str)
        deployments = [SPACE.deployment_of(c) for c in one]
        assert len(list(itertools.groupby(deployments))) == len(set(deployments)) == 6


def test_passes_have_orders_of_their_own() -> None:
    order = grid_order(SPACE, 1, 2)
    first, second = ([p.configuration for p in order if p.grid_pass == n] for n in (0, 1))
    assert first != second


def test_the_whole_grid_is_measured_in_its_order_whatever_the_budget() -> None:
    spec = grid_spec(FEASIBLE)
    study = run(spec)
    assert points(study) == list(grid_order(spec.search_space, spec.seed, 1))
    assert points(run(spec)) == points(study), "nothing is left to do"
    study = run(spec, passes=2)
    assert points(study) == list(grid_order(spec.search_space, spec.seed, 2))
    assert [t.state for t in study.get_trials()] == [TrialState.COMPLETE] * 24
    assert [t.user_attrs["pass"] for t in study.get_trials()] == [0] * 12 + [1] * 12


@pytest.mark.parametrize("interrupted", [0, 1, 7])
def test_an_interrupted_grid_is_completed(interrupted: int) -> None:
    spec = grid_spec(FEASIBLE)
    with pytest.raises(KeyboardInterrupt):
        run(spec, interrupted_at=interrupted)
    found = points(run(spec))
    assert found == list(grid_order(spec.search_space, spec.seed, 1))


def test_a_part_of_it_may_be_measured_now() -> None:
    spec = grid_spec(FEASIBLE)
    order = list(grid_order(spec.search_space, spec.seed, 1))
    assert points(run(spec, more=2)) == order[:2]
    assert points(run(spec, more=3)) == order[:5]


def test_deployments_stay_and_the_baseline_comes_between_them() -> None:
    spec = grid_spec(FEASIBLE, ("choices: [1, 4]", "choices: [1, 2, 4, 8]"),
                     ("baseline_every: 0", "baseline_every: 3"))  # fmt: skip
    trials = records(run(spec))
    measured = [t for t in trials if t.grid_pass is not None]
    assert switches(spec, measured) == 5
    repeats = [i for i, t in enumerate(trials) if t.grid_pass is None]
    assert repeats
    assert all(trials[i].configuration == spec.search_space.baseline() for i in repeats)
    assert not any(trials[i].stayed for i in repeats)
    deployed = [t for t in trials if not t.stayed]
    assert 6 <= len(deployed) <= 6 + len(repeats)
    assert all(t.deploy_seconds == 0 for t in measured if t.stayed)


def test_a_deployment_that_never_comes_up_is_tried_once_in_each_pass() -> None:
    spec = grid_spec(("[0.25, 0.5, 1]", "[1]"))
    study = run(spec, passes=2)
    never = [t for t in records(study) if t.configuration["memory"] == 8]
    assert len(never) == 2 * 4
    tried = [t for t in never if t.same_as is None]
    assert len(tried) == 2 * 2
    by_number = {t.number: t for t in tried}
    for trial in never:
        assert (trial.outcome, trial.reason) == ("infeasible", "out of memory")
        assert study.get_trials()[trial.number].constraints == {"serves": 1.0}
        if trial.same_as is not None:
            like = by_number[trial.same_as]
            assert like.grid_pass == trial.grid_pass
            deployment = spec.search_space.deployment_of
            assert deployment(like.configuration) == deployment(trial.configuration)
            assert trial.seconds == 0
            assert f"in trial {trial.same_as}" in trial.detail
            assert TrialRecord.from_json(trial.to_json()) == trial
    for trial in records(study):
        died = "burst" in trial.phases and trial.outcome == "infeasible"
        assert not died or trial.same_as is None, "load killed it, so the scenario matters"


def test_a_second_pass_never_shares_a_deployment_with_the_first() -> None:
    spec = grid_spec(FEASIBLE, ("[0.25, 0.5, 1]", "[1]"), ("high: 2", "high: 1"))
    trials = records(run(spec, passes=2))
    assert [t.stayed for t in trials] == [False, True, False, True]


def test_points_that_were_invalid_come_once_more_at_the_end() -> None:
    spec = grid_spec(FEASIBLE)
    order = list(grid_order(spec.search_space, spec.seed, 1))
    backend = untrusted(spec, in_turn([False, True, True]))
    study = run(spec, backend=backend)
    assert points(study) == [order[0], *order[2:], order[1]]


def test_points_that_are_invalid_always_are_left_out() -> None:
    spec = grid_spec(FEASIBLE)
    bad = next(iter(spec.search_space.grid()))

    asked: list[Configuration] = []
    backend = untrusted(spec, lambda _target, _profile: asked[-1] == bad)
    study = opened(spec, "grid")

    def observe(event: Event) -> None:
        if isinstance(event, Started):
            asked.append(event.configuration)

    run_study(spec, study, backend, results_directory(spec), goal(spec, study, None, 0, 1), observe)
    assert len(points(study)) == 11
    assert asked.count(bad) == 2


def test_a_broken_trial_keeps_its_place_in_the_pass() -> None:
    spec = grid_spec(FEASIBLE)
    study = run(spec, backend=breaking(spec, 1))
    assert sorted(map(str, points(study))) == sorted(
        map(str, grid_order(spec.search_space, spec.seed, 1))
    )


def test_a_point_that_breaks_always_is_given_up() -> None:
    spec = grid_spec(FEASIBLE)
    first = grid_order(spec.search_space, spec.seed, 1)[0]
    asked: list[Configuration] = []

    def observe(event: Event) -> None:
        if isinstance(event, Started):
            asked.append(event.configuration)

    def choose(usual: Deployer, _label: str) -> Deployer:
        if asked[-1] == first.configuration:
            raise TrialFailed("the engine refuses it")
        return usual

    backend = replace(simulated_backend(spec), deployer=World(spec, choose))
    study = opened(spec, "grid")
    until = goal(spec, study, None, 0, 1)
    with pytest.raises(TuneError, match="3 trials in a row broke"):
        run_study(spec, study, backend, results_directory(spec), until, observe)
    run_study(spec, study, backend, results_directory(spec), until, observe)
    assert len(points(study)) == 11
    assert asked.count(first.configuration) == 3


def test_a_continuous_space_has_no_grid() -> None:
    spec = grid_spec(("choices: [0.25, 0.5, 1]", "low: 0.25, high: 1"))
    with pytest.raises(InputError, match="grid"):
        run(spec)


def test_workers_take_whole_deployments() -> None:
    grid = Grid(SPACE, seed=1, passes=1)
    one = grid.next(grid.points, None, alone=True)
    assert one == grid.points[0]
    rest = [p for p in grid.points if p != one]
    assert grid.same_deployment(grid.next(rest, one, alone=False), one)
    other = grid.next(rest, None, alone=False)
    assert not grid.same_deployment(other, one)
    assert grid.next(rest, None, alone=True) == rest[0]
