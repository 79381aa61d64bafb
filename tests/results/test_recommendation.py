from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pages.planted_trials import (
    CONCURRENCY,
    CPU,
    LOSS,
    MEMORY,
    REPLICAS,
    infeasible,
    measured,
    study,
)
from tuner.errors import InputError
from tuner.export.pick import pick
from tuner.export.render import ExportOptions, render
from tuner.measure.record import StudyRecord
from tuner.results.findings import find
from tuner.results.reserving import deployable_everywhere, idle_replicas
from tuner.results.summary import summarise
from tuner.spec.space import Configuration, SearchSpace

DECISIONS = SearchSpace((CPU, MEMORY, REPLICAS))
BOTH_SCENARIOS = SearchSpace((CONCURRENCY, LOSS, CPU, REPLICAS))
TINY = {"cpu": 0.5, "memory": 48, "replicas": 1}


def record_of(*trials: tuple[Mapping[str, Any], tuple[float, float]]) -> StudyRecord:
    """A study without scenarios: each trial changes `TINY` and has these objectives."""
    return study(
        DECISIONS, [measured(i, {**TINY, **c}, values) for i, (c, values) in enumerate(trials)]
    )


def chosen(record: StudyRecord) -> Configuration:
    best = summarise(record).headline
    assert best is not None
    return best.configuration


def queue(configuration: Mapping[str, Any]) -> tuple[float, float]:
    """More cores serve faster and are used more; memory, and replicas above one client, do nothing.

    Lost packets make clients wait, so that the replicas are used less.
    """
    busy = min(configuration["replicas"], configuration["concurrency"])
    art = 4.0 * configuration["concurrency"] / (busy * configuration["cpu"])
    art += 8.0 * configuration["loss"]
    return art, 40.0 * configuration["concurrency"] / art


def with_scenarios(**answer: Any) -> StudyRecord:  # noqa: ANN401 -- settings of `answer`
    trials = [measured(i, c, queue(c)) for i, c in enumerate(BOTH_SCENARIOS.grid())]
    return replace(study(BOTH_SCENARIOS, trials), specification={"answer": answer})


def test_without_a_feasible_trial_nothing_is_recommended() -> None:
    broken = measured(0, TINY, (1.0, 1.0), violations={"error_rate <= 0.01": 0.5})
    for record in (study(DECISIONS, []), study(DECISIONS, [broken])):
        summary = summarise(record)
        assert (summary.headline, dict(summary.recommendations)) == (None, {})


def test_the_best_compromise_of_all_objectives_is_recommended() -> None:
    record = record_of(({"cpu": 2.0}, (2.0, 40.0)), ({"cpu": 1.0}, (2.5, 22.0)), ({}, (5.0, 20.0)))
    assert chosen(record)["cpu"] == 1.0


@pytest.mark.parametrize("larger", [{"memory": 256}, {"cpu": 2.0}, {"replicas": 3}])
def test_of_what_cannot_be_told_apart_the_one_that_reserves_less_wins(
    larger: Mapping[str, Any],
) -> None:
    # The larger one was a little luckier, in both objectives.
    record = record_of((larger, (2.66, 20.0)), ({}, (2.70, 20.2)))
    assert chosen(record) == Configuration.of(TINY)
    best = summarise(record).headline
    assert best is not None
    assert best.equals == (Configuration.of({**TINY, **larger}),)


def test_what_is_clearly_better_wins_though_it_reserves_more() -> None:
    record = record_of(({"memory": 256}, (2.0, 20.0)), ({}, (2.7, 20.2)))
    assert chosen(record)["memory"] == 256


def test_the_margin_says_what_cannot_be_told_apart() -> None:
    record = record_of(({"memory": 256}, (2.0, 20.0)), ({}, (2.3, 20.2)))
    wide = replace(record, specification={"answer": {"margin": 0.3}})
    assert (chosen(record)["memory"], chosen(wide)["memory"]) == (256, 48)


def test_fewer_replicas_come_before_fewer_cores_and_those_before_less_memory() -> None:
    alike = (2.0, 20.0)
    two, one = {"replicas": 2, "cpu": 0.5}, {"replicas": 1, "cpu": 2.0, "memory": 256}
    assert chosen(record_of((two, alike), (one, alike))) == Configuration.of({**TINY, **one})
    more, less = {"cpu": 1.0, "memory": 48}, {"cpu": 0.5, "memory": 256}
    assert chosen(record_of((more, alike), (less, alike)))["memory"] == 256


def test_a_scenario_is_never_recommended_and_each_has_its_decision() -> None:
    summary = summarise(with_scenarios())
    assert summary.headline is None
    assert [s.scenario for s in summary.scenarios] == list(summary.recommendations)
    for scenario, best in summary.recommendations.items():
        assert summary.study.scenario_of(best.configuration) == scenario
        assert best.pooled.representative.eligible


def test_no_replica_is_idle() -> None:
    record = with_scenarios()
    for best in summarise(record).recommendations.values():
        assert idle_replicas(record, best.configuration) == 0
    findings = find(record)
    assert findings is not None
    assert findings.robust is not None
    scenarios = [s.scenario for s in summarise(record).scenarios]
    assert deployable_everywhere(record, findings.robust.decision, scenarios)


def test_memory_that_ran_out_once_is_not_recommended_though_it_served_at_other_times() -> None:
    space = SearchSpace((CONCURRENCY, CPU, MEMORY))
    trials = [
        measured(i, c, (4.0 / float(c["cpu"]), 20.0 * float(c["cpu"])))
        for i, c in enumerate(space.grid())
    ]
    killed = infeasible(90, {"concurrency": 4, "cpu": 2.0, "memory": 48}, "out of memory")
    memory = {
        s["concurrency"]: r.configuration["memory"]
        for s, r in summarise(study(space, [*trials, killed])).recommendations.items()
    }
    # Under one client it may still do; it never ran out under so little load.
    assert memory == {1: 48, 4: 128}


def test_where_all_that_was_measured_has_idle_replicas_nothing_is_recommended() -> None:
    record = with_scenarios()
    idle = [t for t in record.trials if idle_replicas(record, t.configuration)]
    assert idle
    assert dict(summarise(replace(record, trials=tuple(idle))).recommendations) == {}


def test_in_an_open_loop_a_free_replica_takes_the_next_request() -> None:
    record = with_scenarios()
    three = Configuration.of({"concurrency": 1, "loss": 0.0, "cpu": 1.0, "replicas": 3})
    assert idle_replicas(record, three) == 2
    opened = replace(record, specification={"load": {"arrivals": "poisson"}})
    assert idle_replicas(opened, three) == 0


def test_the_expected_scenario_heads_the_answer_and_is_exported() -> None:
    expected = {"concurrency": 4, "loss": 1.0}
    record = with_scenarios(expected=expected)
    best = summarise(record).headline
    assert best is not None
    assert best.scenario == expected
    assert pick(record, "knee") == (best.pooled.representative,)


def test_without_an_expected_scenario_an_export_asks_for_one() -> None:
    record = with_scenarios()
    with pytest.raises(InputError, match="4 scenarios") as refused:
        pick(record, "knee")
    assert "concurrency=4,loss=1" in str(refused.value.mend)
    for scenario, best in summarise(record).recommendations.items():
        when = f"concurrency={scenario['concurrency']},loss={scenario['loss']}"
        assert pick(record, "knee", when) == (best.pooled.representative,)


def test_data_hold_what_is_recommended_in_every_scenario() -> None:
    record = with_scenarios()
    chosen = [r.pooled.representative.number for r in summarise(record).recommendations.values()]
    exported = json.loads(render(record, "json", ExportOptions()).text)["trials"]
    assert [t["trial"] for t in exported] == sorted(chosen)
    with pytest.raises(InputError, match="4 scenarios"):
        render(record, "env", ExportOptions())


def test_one_decision_for_all_scenarios_is_a_pick() -> None:
    record = with_scenarios()
    (trial,) = pick(record, "robust")
    findings = find(record)
    assert findings is not None
    assert findings.robust is not None
    assert record.decision_of(trial.configuration) == findings.robust.decision
    (lossy,) = pick(record, "robust", "concurrency=4,loss=1")
    assert record.scenario_of(lossy.configuration) == {"concurrency": 4, "loss": 1.0}


def test_an_unmeasured_rival_makes_a_recommendation_doubtful() -> None:
    record = with_scenarios()
    scenario = Configuration.of({"concurrency": 4, "loss": 0.0})
    whole = summarise(record).recommendations[scenario]
    assert whole.settled
    without = [t for t in record.trials if t.configuration != whole.configuration]
    poorer = summarise(replace(record, trials=tuple(without))).recommendations[scenario]
    assert poorer.configuration != whole.configuration
    assert poorer.chance < whole.chance
    assert poorer.rival is not None


def test_what_reserves_less_and_was_not_measured_is_named() -> None:
    space = SearchSpace((CPU, MEMORY))
    trials = [
        measured(i, c, (4.0 / float(c["cpu"]), 20.0 * float(c["cpu"])))
        for i, c in enumerate(space.grid())
    ]
    everything = summarise(study(space, trials)).headline
    assert everything is not None
    assert (everything.configuration["memory"], everything.leaner) == (48, None)
    without = [t for t in trials if t.configuration != everything.configuration]
    best = summarise(study(space, without)).headline
    assert best is not None
    assert best.configuration["memory"] == 128
    assert best.leaner == everything.configuration


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([48, 128, 256]), st.integers(1, 3)
        ),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    st.data(),
)
def test_what_is_recommended_is_measured_and_is_not_beaten_by_more_than_the_margin(
    decisions: list[tuple[float, int, int]], data: st.DataObject
) -> None:
    value = st.floats(1.0, 50.0)
    record = record_of(
        *(
            (
                {"cpu": cpu, "memory": memory, "replicas": replicas},
                data.draw(st.tuples(value, value)),
            )
            for cpu, memory, replicas in decisions
        )
    )
    best = summarise(record).headline
    assert best is not None
    assert 0.0 <= best.chance <= 1.0
    own = best.pooled.values
    for other in record.trials:
        # The interval of a burst here is 1 %, and bursts are taken to differ by 5 %.
        assert not all(v < 0.7 * o for v, o in zip(other.values, own, strict=True))
