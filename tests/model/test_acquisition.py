"""What a trial is worth: on a space so small that one can say what it should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tuner.model.acquisition import (
    Interest,
    overall_gain,
    robust_interest,
    scenario_interest,
)
from tuner.model.candidates import Candidates
from tuner.model.learning import Learning
from tuner.model.observations import Observation
from tuner.model.selection import Costs, Sought, best_gain, select
from tuner.model.surrogate import Surrogate
from tuner.spec.metrics import Direction
from tuner.spec.space import Configuration, Parameter, SearchSpace

SPACE = SearchSpace(
    (
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0)),
        Parameter("memory", "int", "decision", 512, choices=(64, 128, 256, 512)),
        Parameter("concurrency", "int", "scenario", 4, choices=(1, 4, 16)),
    )
)
CANDIDATES = Candidates.of(SPACE)
DIRECTIONS: tuple[Direction, ...] = ("minimize", "minimize")
BURST_SD = np.array([0.03, 0.03])
EVERYWHERE = np.arange(len(CANDIDATES))


def values(at: Configuration) -> tuple[float, float]:
    return 10.0 * float(at["concurrency"]) ** 0.5 / float(at["cpu"]), 20.0 * float(at["cpu"])


def fitted(rows: list[int], floor: float = 0.0) -> Surrogate:
    seen = []
    for number, row in enumerate(rows):
        at = CANDIDATES.configurations[row]
        able = float(at["memory"]) > floor
        found = values(at) if able else None
        violations = {"serves": -1.0 if able else 1.0}
        seen.append(
            Observation(
                *(number, at, found, violations, (0.01, 0.01)),
                deploy_seconds=6.0,
                burst_seconds=2.0,
            )
        )
    return Surrogate.fit(CANDIDATES, ("a", "b"), DIRECTIONS, seen)


def rows_where(**wanted: float) -> list[int]:
    return [
        i
        for i, c in enumerate(CANDIDATES.configurations)
        if all(c[name] == value for name, value in wanted.items())
    ]


def sought(target: str, surrogate: Surrogate, **other: object) -> Sought:
    known = {"measured": np.unique(surrogate.observed), "up": None, "costs": None}
    return Sought(target, burst_sd=BURST_SD, **{**known, **other})  # type: ignore[arg-type]


SOME = [*rows_where(memory=512, cpu=0.25), *rows_where(memory=512, cpu=2.0)]


def test_the_overall_front_gains_most_where_nothing_is_known_between_its_ends() -> None:
    surrogate = fitted(SOME)
    gain = overall_gain(surrogate, np.array(SOME))
    assert gain.shape == (len(CANDIDATES),)
    assert (gain >= 0).all()
    best = CANDIDATES.configurations[int(np.argmax(gain))]
    assert best["concurrency"] == 1
    assert best["cpu"] in (0.5, 1.0)


def test_what_is_known_is_worth_little() -> None:
    few, many = fitted(SOME), fitted(list(EVERYWHERE))
    for target in ("overall", "per-scenario"):
        before = best_gain(few, EVERYWHERE, sought(target, few))
        after = best_gain(many, EVERYWHERE, sought(target, many))
        assert after < before / 2


def test_points_of_interest_are_near_their_scenarios_front() -> None:
    surrogate = fitted([*SOME, *rows_where(memory=512, cpu=1.0)])
    interest = scenario_interest(surrogate)
    assert (interest.worth > 0).all()
    # No scenario is left out, though one of them dominates the others.
    assert set(CANDIDATES.scenario[interest.rows]) == {0, 1, 2}


def test_to_see_a_scenario_served_at_all_comes_first() -> None:
    # At concurrency 16 nothing is sure to serve; everything is known where it is lower.
    doubted = np.isin(EVERYWHERE, rows_where(concurrency=16))
    surrogate = replace(fitted(list(EVERYWHERE)), feasible=np.where(doubted, 0.7, 0.98))
    interest = scenario_interest(surrogate)
    assert (interest.serving[~doubted] == 0).all()
    assert int(np.argmax(interest.serving)) in rows_where(concurrency=16)
    assert select(surrogate, EVERYWHERE, sought("per-scenario", surrogate)).row in rows_where(
        concurrency=16
    )


def test_a_burst_tells_of_its_neighbours_and_no_more_than_all() -> None:
    surrogate = fitted(SOME)
    row = rows_where(cpu=1.0, memory=256, concurrency=4)[0]
    interest = Interest(np.array([row]), np.ones(1), np.ones(1), np.zeros(len(CANDIDATES)))
    learning = Learning.of(surrogate, interest, EVERYWHERE, BURST_SD)
    gain = learning.gain()
    assert int(np.argmax(gain)) in rows_where(cpu=1.0, concurrency=4)
    assert gain.max() <= 1.0
    assert gain[rows_where(cpu=1.0, memory=256, concurrency=1)[0]] < gain[row]
    assert learning.told(row).sum() == pytest.approx(gain[row])


def test_the_second_burst_tells_what_the_first_has_not() -> None:
    surrogate = fitted(SOME)
    learning = Learning.of(surrogate, scenario_interest(surrogate), EVERYWHERE, BURST_SD)
    columns = np.array(rows_where(cpu=1.0))
    order, gains = learning.sequence(surrogate, columns, 4)
    assert len(set(order)) == 4
    assert set(order) <= set(columns.tolist())
    alone = learning.gain()
    assert gains[0] == pytest.approx(alone[order[0]])
    assert all(gain <= alone[column] + 1e-12 for gain, column in zip(gains, order, strict=True))
    # As a model that has seen the first one says.
    after = Learning.of(surrogate.with_pending([order[0]]), learning.interest, EVERYWHERE, BURST_SD)
    assert after.own[0][order[1]] < learning.own[0][order[1]]


def test_costs_are_what_trials_took() -> None:
    def seen(deploy: float | None, burst: float | None) -> Observation:
        at = CANDIDATES.configurations[0]
        return Observation(0, at, (1.0, 1.0), deploy_seconds=deploy, burst_seconds=burst)

    assert Costs.of([seen(5.0, 2.0), seen(0.0, 3.0), seen(7.0, 4.0)]) == Costs(6.0, 3.0)
    assert Costs.of([]) == Costs.of([seen(None, None)])


@pytest.mark.parametrize("target", ["overall", "per-scenario", "robust"])
def test_a_dear_deployment_is_kept(target: str) -> None:
    surrogate = fitted(SOME)
    up = int(CANDIDATES.deployment[rows_where(cpu=1.0, memory=256)[0]])
    dear = sought(target, surrogate, up=up, costs=Costs(deploy=1e6, burst=1.0))
    found = select(surrogate, EVERYWHERE, dear)
    assert found.stays
    assert found.seconds == 1.0
    assert CANDIDATES.deployment[found.row] == up
    free = sought(target, surrogate, up=up, costs=Costs(deploy=0.0, burst=1.0))
    anywhere = select(surrogate, EVERYWHERE, free)
    assert anywhere.gain >= found.gain


def test_interest_in_a_robust_decision_is_in_those_that_may_be_it() -> None:
    surrogate = fitted([*SOME, *rows_where(memory=256, cpu=0.5)])
    interest = robust_interest(surrogate)
    assert (interest.worth > 0).all()
    decisions = {CANDIDATES.configurations[r]["cpu"] for r in interest.rows}
    assert decisions & {0.5, 1.0}  # the compromises between the ends
    same = robust_interest(surrogate)
    assert np.array_equal(interest.rows, same.rows)
    assert np.array_equal(interest.worth, same.worth)
