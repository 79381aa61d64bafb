"""A study against a recorded grid, with answers that are known."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.backends.grids import BURST_SECONDS, grid_of, usual
from tests.study.small import FEASIBLE, specification
from tuner.errors import InputError
from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.against import Scope, against
from tuner.spec.space import Configuration, Value
from tuner.spec.study import Objective, StudySpec

LOG2, MARGIN = math.log(2), math.log(1.01)

WHOLE = 3 * LOG2**2 + 6 * LOG2 * MARGIN + MARGIN**2
"""Hypervolume of a scenario of the usual grid: 0.25, 0.5, 1 and 2 cores, each doubling halves ART
and doubles CPU usage, so all four are on the front; the reference is a margin beyond the worst."""

HALF_A_CORE = (LOG2 + MARGIN) * (2 * LOG2 + MARGIN)
"""What the second of them has alone."""


def at(**changes: Value) -> Configuration:
    values: dict[str, Value] = {
        "concurrency": 1,
        "cpu": 0.5,
        "memory": 256,
        "replicas": 1,
        "loss": 0.0,
    }
    return Configuration.of({**values, **changes})


def trial(
    number: int, configuration: Configuration, *values: float, backend: str = "docker"
) -> TrialRecord:
    """A trial of 8 s that measured these values."""
    metrics = {
        name: Estimate(value, 0.95 * value, 1.05 * value)
        for name, value in zip(("art_ms", "cpu_percent", "error_rate"), (*values, 0.0), strict=True)
    }
    return TrialRecord(
        number,
        configuration,
        "measured",
        values,
        {},
        {"deploy": 5.0, "burst": 2.0, "tear down": 1.0},
        "2026-11-24T10:00:00+00:00",
        Measurement(metrics, (), 500, 100, 2.0, "", {}),
        backend=backend,
    )


def study(spec: StudySpec, *trials: TrialRecord) -> StudyRecord:
    return StudyRecord(
        spec.name,
        spec.model.name,
        spec.search_space,
        spec.objectives,
        spec.constraints,
        {},
        {},
        trials,
    )


def scope(scopes: tuple[Scope, ...], concurrency: int) -> Scope:
    return next(s for s in scopes if s.scenario and s.scenario["concurrency"] == concurrency)


def test_a_front_is_worth_what_the_grid_says_of_its_points() -> None:
    spec = specification(FEASIBLE)
    # A lucky burst: a thousandth of what the configuration takes.
    found = against(study(spec, trial(0, at(), 0.002, 0.005)), grid_of(spec))
    one, four = scope(found.scopes, 1), scope(found.scopes, 4)
    assert one.study.share == pytest.approx(HALF_A_CORE / WHOLE)
    assert (one.trials, one.study.points) == (1, 1)
    assert one.grid_front == 6  # two of the four by two ways
    assert (four.trials, four.study.points, four.study.share) == (0, 0, 0)
    assert found.scopes[0].scenario is None
    assert [s.scenario["concurrency"] for s in found.scopes[1:] if s.scenario] == [1, 4]
    assert found.scenarios_share == pytest.approx(HALF_A_CORE / WHOLE / 2)


def test_the_whole_front_is_worth_all() -> None:
    spec = specification(FEASIBLE)
    trials = [
        trial(i, c, *values)
        for i, c in enumerate(spec.search_space.grid())
        for values in [_objectives(usual(c, 0))]
    ]
    found = against(study(spec, *trials), grid_of(spec))
    assert [s.study.share for s in found.scopes] == pytest.approx([1, 1, 1])
    assert all(s.study.dominated == () for s in found.scopes)
    assert found.trials_share == 1
    assert found.ratios["art_ms"].value == pytest.approx(1)


def test_the_predicted_front_is_judged_in_every_scenario() -> None:
    spec = specification(FEASIBLE)
    grid = grid_of(spec)
    every = list(spec.search_space.grid())
    # All of one scenario and a third of the other.
    some = [c for c in every if c["concurrency"] == 1 or c["cpu"] == 0.5]
    trials = [trial(i, c, *_objectives(usual(c, 0))) for i, c in enumerate(some)]
    found = against(study(spec, *trials), grid)
    for one in found.scopes:
        assert one.predicted_front is not None
        assert 1 <= one.predicted_front.points <= 6
        assert one.predicted_front.share > 0.9
    # In the other one the predicted front has points that were not measured there.
    four = scope(found.scopes, 4)
    assert four.predicted_front is not None
    assert four.predicted_front.points > four.study.points
    assert found.scenarios_predicted is not None
    assert found.to_json()["scopes"][1]["predicted_front"]["share"] > 0.9
    few = against(study(spec, *trials[:2]), grid)
    assert {s.predicted_front for s in few.scopes} == {None}
    assert few.scenarios_predicted is None


def test_costs_are_shares_of_one_pass_ordered_by_deployment() -> None:
    spec = specification(FEASIBLE)
    found = against(study(spec, *(trial(i, at(), 2, 5) for i in range(3))), grid_of(spec))
    assert (found.trials, found.configurations, found.passes) == (3, 12, 2)
    assert found.trials_share == 3 / 12
    assert found.seconds == 24
    assert found.grid_seconds == pytest.approx(12 * BURST_SECONDS + 6 * 6)
    assert found.cost_share == pytest.approx(24 / 60)
    simulated = against(study(spec, trial(0, at(), 2, 5, backend="simulated")), grid_of(spec))
    assert (simulated.seconds, simulated.cost_share) == (None, None)


def wasteful(configuration: Configuration, _grid_pass: int) -> Mapping[str, float]:
    """A second replica is of no use and costs a fifth more."""
    cpu, replicas = float(configuration["cpu"]), int(configuration["replicas"])
    return {
        "art_ms": int(configuration["concurrency"]) / cpu,
        "cpu_percent": 10 * cpu * (1.2 if replicas == 2 else 1),
        "error_rate": 0.0,
    }


def test_points_that_the_grid_dominates_are_named_with_what_it_has_instead() -> None:
    spec = specification(FEASIBLE)
    record = study(spec, trial(0, at(replicas=2), 2, 5), trial(1, at(cpu=1.0), 1, 10))
    found = scope(against(record, grid_of(spec, wasteful)).scopes, 1)
    assert found.study.points == 2
    (one,) = found.study.dominated
    assert (one.configuration, one.by) == (at(replicas=2), at())
    assert one.factors == pytest.approx((1, 1.2))


def test_what_noise_explains_is_not_dominated() -> None:
    def noisy(configuration: Configuration, grid_pass: int) -> Mapping[str, float]:
        values = wasteful(configuration, grid_pass)
        return {name: value * (1 + 0.3 * grid_pass) for name, value in values.items()}

    spec = specification(FEASIBLE)
    record = study(spec, trial(0, at(replicas=2), 2, 5))
    assert scope(against(record, grid_of(spec, noisy)).scopes, 1).study.dominated == ()


def test_infeasible_in_the_grid_counts_for_nothing() -> None:
    def never(configuration: Configuration, grid_pass: int) -> Mapping[str, float] | str:
        return "never ready" if configuration == at() else usual(configuration, grid_pass)

    def failing(configuration: Configuration, grid_pass: int) -> Mapping[str, float]:
        errors = {"error_rate": 0.5} if configuration == at() else {}
        return {**_measured(usual(configuration, grid_pass)), **errors}

    spec = specification(FEASIBLE)
    for values in (never, failing):
        found = scope(against(study(spec, trial(0, at(), 2, 5)), grid_of(spec, values)).scopes, 1)
        assert found.study.infeasible == (at(),)
        assert (found.study.share, found.study.dominated) == (0, ())


def test_a_single_pass_is_judged_by_the_others() -> None:
    def lucky(configuration: Configuration, grid_pass: int) -> Mapping[str, float]:
        values = _measured(usual(configuration, grid_pass))
        if configuration == at() and grid_pass == 0:
            return {name: value / 1000 for name, value in values.items()}
        return values

    spec = specification(FEASIBLE)
    record = study(spec, trial(0, at(), 2, 5))
    same = against(record, grid_of(spec, passes=3))
    assert [j.share for j in same.scopes[1].passes] == pytest.approx([1, 1, 1])
    assert same.scenarios_passes == pytest.approx((1, 1, 1))
    found = scope(against(record, grid_of(spec, lucky, passes=2)).scopes, 1)
    # Its luck dominates everything else in the first pass, and is worth little in the second.
    assert found.passes[0].points == 1
    assert found.passes[0].share == pytest.approx(HALF_A_CORE / WHOLE)
    once = against(record, grid_of(spec, passes=1))
    assert once.scopes[1].passes == ()
    assert once.scenarios_passes == ()


def test_a_slower_host_shows_where_both_measured() -> None:
    spec = specification(FEASIBLE)
    trials = [
        trial(i, c, *(1.2 * v for v in _objectives(usual(c, 0))))
        for i, c in enumerate(spec.search_space.grid())
    ]
    ratio = against(study(spec, *trials), grid_of(spec)).ratios["cpu_percent"]
    assert ratio.value == pytest.approx(1.2)
    assert ratio.low == pytest.approx(1.2)


def test_only_the_part_of_the_grid_in_the_study_s_space_counts() -> None:
    whole = grid_of(specification())
    spec = specification(FEASIBLE)
    found = against(study(spec, trial(0, at(), 2, 5)), whole)
    assert found.configurations == 12
    assert scope(found.scopes, 1).study.share == pytest.approx(HALF_A_CORE / WHOLE)


def test_configurations_beside_the_grid_are_counted_and_cost() -> None:
    spec = specification(FEASIBLE, ("choices: [0.25, 0.5, 1]", "low: 0.1, high: 2"))
    record = study(spec, trial(0, at(cpu=0.3), 1, 1), trial(1, at(), 2, 5))
    found = against(record, grid_of(specification(FEASIBLE)))
    assert (found.trials, found.outside) == (2, 1)
    assert scope(found.scopes, 1).study.points == 0  # the other is dominated by it
    assert found.seconds == 16


def test_a_grid_without_the_objective_or_the_space_is_refused() -> None:
    spec = specification(FEASIBLE)
    record = study(spec, trial(0, at(), 2, 5))
    other = replace(record, objectives=(Objective("p99_ms", "minimize"), spec.objectives[1]))
    with pytest.raises(InputError, match="no configuration of its search space with p99_ms"):
        against(other, grid_of(spec))
    elsewhere = specification(FEASIBLE, ("[0.25, 0.5, 1], default: 1", "[2], default: 2"))
    with pytest.raises(InputError, match="the grid small cannot be compared"):
        against(study(elsewhere), grid_of(spec))


def test_objectives_that_are_maximised_are_judged_so() -> None:
    def rates(configuration: Configuration, grid_pass: int) -> Mapping[str, float]:
        values = _measured(usual(configuration, grid_pass))
        return {**values, "throughput_rps": 1000 / values["art_ms"]}

    spec = specification(FEASIBLE, ("[art_ms, cpu_percent]", "[throughput_rps, cpu_percent]"))
    record = study(spec, trial(0, at(), 500, 5))
    found = scope(against(record, grid_of(spec, rates)).scopes, 1)
    assert found.study.share == pytest.approx(HALF_A_CORE / WHOLE)


def test_the_comparison_is_plain_data() -> None:
    spec = specification(FEASIBLE)
    record = study(spec, trial(0, at(replicas=2), 2, 5))
    found = against(record, grid_of(spec, wasteful))
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["format"] == 2
    assert document["cost_share"] == found.cost_share
    assert document["scopes"][0]["scenario"] is None
    assert document["scopes"][1]["scenario"] == {"concurrency": 1, "loss": 0}
    (one,) = document["scopes"][1]["study"]["dominated"]
    assert one["by"] == dict(at())


def _measured(found: Mapping[str, float] | str) -> Mapping[str, float]:
    assert not isinstance(found, str)
    return found


def _objectives(found: Mapping[str, float] | str) -> tuple[float, float]:
    values = _measured(found)
    return values["art_ms"], values["cpu_percent"]
