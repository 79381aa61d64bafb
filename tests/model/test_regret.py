from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.model.planted import METRICS, SPACE, model, observed, truth
from tuner.model.candidates import Candidates
from tuner.model.chances import chances
from tuner.model.regret import decisions, minimax, most_serving, off_ideal, worst_regrets
from tuner.model.surrogate import Surrogate
from tuner.results.predicted_front import rows_of
from tuner.spec.space import Configuration


def true_regrets() -> dict[Configuration, float]:
    """The worst regret of each decision that can serve, as a share, by the known objectives."""
    known = decisions(Candidates.of(SPACE))
    logs = {}
    for c in Candidates.of(SPACE).configurations:
        values = truth(c)
        if values is not None:
            logs[c] = np.log(values)
    worst: dict[Configuration, float] = {}
    for scenario in Candidates.of(SPACE).scenarios:
        there = {c: v for c, v in logs.items() if SPACE.scenario_of(c) == scenario}
        ideal = np.min(list(there.values()), axis=0)
        best = min(float((v - ideal).max()) for v in there.values())
        for decision in known.decisions:
            c = SPACE.effective({**decision, **scenario})
            if c in there:
                own = float((there[c] - ideal).max()) - best
                worst[decision] = max(worst.get(decision, 0.0), own)
    return {d: float(np.expm1(w)) for d, w in worst.items()}


def test_a_decision_is_a_configuration_without_its_scenario() -> None:
    candidates = Candidates.of(SPACE)
    known = decisions(candidates)
    assert len(known.decisions) == 24
    assert known.rows.shape == (24, 4)
    for decision, rows in zip(known.decisions, known.rows, strict=True):
        for row, scenario in zip(rows, candidates.scenarios, strict=True):
            assert candidates.configurations[row] == {**decision, **scenario}


def test_the_decision_of_least_regret_is_found() -> None:
    surrogate = model()
    within = [chances(surrogate, rows_of(surrogate, s)) for s in surrogate.candidates.scenarios]
    found = minimax(surrogate, within)
    assert found is not None
    true = true_regrets()
    assert true[found.decision] <= min(true.values()) + 0.05
    assert found.regret == pytest.approx(true[found.decision], abs=0.15)
    assert found.low <= found.regret <= found.high
    assert len(found.by_scenario) == 4
    assert max(regret for _, regret in found.by_scenario) <= found.regret + 1e-9
    assert 0 < found.best <= 1
    assert found.behind < 0.1
    assert found.left_out == 12, "those of 16 MiB"
    assert minimax(surrogate, within) == found


def test_worst_regrets_are_those_of_the_means() -> None:
    surrogate = model()
    known = decisions(surrogate.candidates)
    able, worst = worst_regrets(surrogate, known)
    true = true_regrets()
    for index, regret in zip(able, worst, strict=True):
        assert np.expm1(regret) == pytest.approx(true[known.decisions[index]], rel=0.3, abs=0.15)


def test_none_is_robust_where_each_breaks_a_constraint_in_some_scenario() -> None:
    candidates = Candidates.of(SPACE)
    known = observed(candidates.configurations)
    slow = {o.number: 40.0 if o.configuration["concurrency"] == 4 else -40.0 for o in known}
    told = [
        o
        if o.values is None
        else replace(o, violations={**o.violations, "p95_ms <= 80": slow[o.number]})
        for o in known
    ]
    surrogate = Surrogate.fit(candidates, METRICS, ("minimize", "minimize"), told)
    within = [chances(surrogate, rows_of(surrogate, s)) for s in candidates.scenarios]
    assert minimax(surrogate, within) is None
    serving = most_serving(surrogate)
    assert serving is not None
    assert (serving.sure, serving.scenarios) == (2, 4)
    assert {s["concurrency"] for s in serving.fails} == {4}


def test_the_decision_that_serves_in_most_scenarios() -> None:
    found = most_serving(model())
    assert found is not None
    assert found.decision["memory"] == 512
    assert (found.sure, found.scenarios, found.fails) == (4, 4, ())
    assert found.expected > 3.6
    assert found.everywhere > 0.9


def test_off_ideal_is_the_worst_objective() -> None:
    points = np.array([[1.0, 5.0], [3.0, 3.0]])
    assert off_ideal(points, np.array([1.0, 1.0])).tolist() == [4.0, 2.0]
