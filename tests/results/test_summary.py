from __future__ import annotations

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.summary import summarise
from tuner.spec.space import Configuration, Parameter, SearchSpace
from tuner.spec.study import Objective

SPACE = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 1, choices=(1, 4)),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.5, 1.0, 2.0)),
    )
)
OBJECTIVES = (Objective("art_ms", "minimize"), Objective("cpu_percent", "minimize"))


def trial(
    number: int, concurrency: int, cpu: float, values: tuple[float, float], violation: float = -1.0
) -> TrialRecord:
    return TrialRecord(
        number=number,
        configuration=Configuration.of({"concurrency": concurrency, "cpu": cpu}),
        outcome="measured",
        values=values,
        violations={"error_rate <= 0.01": violation, "serves": -1.0},
        phases={"burst": 1.0},
        started="2025-01-01T00:00:00+00:00",
    )


def infeasible(number: int, concurrency: int, cpu: float) -> TrialRecord:
    return TrialRecord(
        number=number,
        configuration=Configuration.of({"concurrency": concurrency, "cpu": cpu}),
        outcome="infeasible",
        values=(0.0, 0.0),  # better than all, were it measured
        violations={"serves": 1.0},
        phases={"deploy": 1.0},
        started="2025-01-01T00:00:00+00:00",
        reason="out of memory",
        imputed=True,
    )


def study(*trials: TrialRecord) -> StudyRecord:
    return StudyRecord("small", "mnist", SPACE, OBJECTIVES, (), {}, {}, trials)


def test_fronts_hold_feasible_trials_only_sorted_by_the_first_objective() -> None:
    found = summarise(
        study(
            trial(0, 1, 1.0, (5.0, 20.0)),
            trial(1, 1, 2.0, (2.0, 40.0)),
            trial(2, 4, 1.0, (8.0, 60.0)),
            trial(3, 4, 2.0, (9.0, 70.0)),
            trial(4, 1, 0.5, (1.0, 1.0), violation=0.2),
            infeasible(5, 4, 0.5),
        )
    )
    assert [t.number for t in found.front] == [1, 0]
    assert found.infeasible == 1
    by_scenario = {s.scenario["concurrency"]: s for s in found.scenarios}
    assert [t.number for t in by_scenario[1].front] == [1, 0]
    assert [t.number for t in by_scenario[4].front] == [2]
    best = found.recommendations[by_scenario[4].scenario]
    assert best.pooled.representative.number == 2
    assert found.recommends(best.configuration)
    assert not found.recommends(found.front[1].configuration)


def test_nothing_feasible_is_an_empty_front() -> None:
    found = summarise(study(infeasible(0, 1, 1.0)))
    assert found.front == ()
    assert (found.headline, dict(found.recommendations)) == (None, {})
    assert all(s.front == () for s in found.scenarios)
    assert summarise(study()).front == ()
