from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pages.planted_trials import sources, surveyed
from tests.study.bursts import OBJECTIVES, SPACE, burst, lost
from tests.study.bursts import study as record_of
from tuner.measure.measurement import Estimate
from tuner.measure.record import FailedTrial, StudyRecord
from tuner.pages.decisions import decisions_on_fronts
from tuner.pages.scenario_figure import ScenarioPanel, scenario_panels, shown
from tuner.results.places import (
    FrontData,
    PlacedConfiguration,
    boundary,
    front_data,
    infeasible_by_reason,
)
from tuner.results.summary import summarise
from tuner.spec.space import Configuration, Parameter, SearchSpace
from tuner.spec.study import Objective


def data_of(study: StudyRecord) -> FrontData:
    return front_data(study, summarise(study))


def panels_of(study: StudyRecord) -> tuple[ScenarioPanel, ...]:
    return scenario_panels(study, summarise(study), None)


def places(data: FrontData) -> dict[int, str]:
    return {p.trial: p.place for p in data.points}


def test_every_configuration_has_its_place() -> None:
    invalid = replace(burst(6, 3.0, 3.0, replicas=4), outcome="invalid", reason="others used CPU")
    study = replace(
        record_of(
            burst(0, 4.0, 10.0),
            burst(1, 2.0, 20.0, cpu=2.0),
            burst(2, 5.0, 20.0, cpu=0.5),
            replace(burst(3, 9.0, 30.0, cpu=0.25), cut_short="trial 0 is surely better"),
            burst(4, 1.0, 1.0, violation=0.3, replicas=2),
            lost(5, {"replicas": 3}),
        ),
        failed=(
            FailedTrial(6, invalid.configuration, "INVALID twice", invalid),
            FailedTrial(7, invalid.configuration, "its process was killed"),
        ),
    )
    data = data_of(study)
    assert places(data) == {
        0: "front", 1: "front", 2: "dominated", 3: "cut short", 4: "infeasible", 6: "invalid",
    }  # fmt: skip
    notes = {p.trial: p.note for p in data.points}
    assert notes[3] == "VALID; trial 0 is surely better"
    assert notes[4] == "VALID; breaks error_rate <= 0.01"
    assert notes[6] == "INVALID: others used CPU"
    assert data.baseline is not None
    assert data.baseline.trial == 0
    assert data.recommended
    assert set(data.recommended) <= {*data.at("front"), *data.at("dominated")}


def test_a_stand_in_is_never_drawn() -> None:
    data = data_of(record_of(burst(0, 4.0, 10.0), lost(1, {"cpu": 2.0}), lost(2, {"cpu": 2.0})))
    assert places(data) == {0: "front"}
    (one,) = data.unserved
    assert (one.trials, one.reason) == ((1, 2), "out of memory in 2 of 2 trials")


def test_what_served_once_is_drawn_where_it_was_measured() -> None:
    data = data_of(
        record_of(burst(0, 4.0, 10.0), burst(1, 2.0, 2.0, cpu=2.0), lost(2, {"cpu": 2.0}))
    )
    point = next(p for p in data.points if p.trial == 1)
    assert (point.place, point.values) == ("infeasible", (2.0, 2.0))
    assert point.note == "VALID; out of memory in 1 of 2 trials"
    assert data.unserved == ()


def test_a_point_is_the_average_of_its_bursts_with_their_interval() -> None:
    study = record_of(burst(0, 4.0, 10.0), burst(1, 4.4, 10.0), burst(2, 9.0, 30.0, cpu=2.0))
    data = data_of(study)
    point = data.points[0]
    assert point.trials == (0, 1)
    art = point.estimates[0]
    assert art.low is not None
    assert art.high is not None
    assert 4.0 < art.low < art.value < art.high < 4.4 or art.low < 4.0 < art.value < 4.4 < art.high
    assert data.bursts == ((0, (4.0, 10.0)), (1, (4.4, 10.0)))


def test_what_was_cut_short_has_the_interval_of_its_burst() -> None:
    cut = replace(burst(1, 8.0, 30.0, cpu=2.0), cut_short="dominated")
    point = data_of(record_of(burst(0, 4.0, 10.0), cut)).points[1]
    assert point.estimates == (Estimate(8.0, 8.0 * 0.98, 8.0 * 1.02), Estimate(30.0))


@pytest.mark.parametrize("trials", [(), (lost(0, {}),)])
def test_nothing_measured_is_nothing_to_draw(trials: tuple[()]) -> None:
    data = data_of(record_of(*trials))
    assert (data.points, data.baseline, data.recommended) == ((), None, ())
    assert len(data.unserved) == len(trials)


values = st.tuples(*[st.integers(1, 5).map(float)] * 3)


@given(st.lists(values, max_size=10), st.sampled_from(["minimize", "maximize"]))
def test_a_boundary_is_what_no_other_front_point_dominates_in_two_objectives(
    some: list[tuple[float, ...]], direction: str
) -> None:
    objectives = (*OBJECTIVES, Objective("throughput_rps", direction))  # type: ignore[arg-type]
    sign = 1 if direction == "minimize" else -1
    points = [
        PlacedConfiguration(i, (i,), Configuration(()), "front", tuple(map(Estimate, v)), "")
        for i, v in enumerate(some)
    ]
    away = [replace(p, place="infeasible", estimates=(Estimate(0.0),) * 3) for p in points]
    for pair in itertools.combinations(range(3), 2):
        edge = boundary([*points, *away], objectives, pair)

        def of(point: PlacedConfiguration, pair: tuple[int, int] = pair) -> tuple[float, float]:
            a, b = (point.values[i] * (sign if i == 2 else 1) for i in pair)
            return a, b

        expected = {
            p.trial
            for p in points
            if not any(
                of(q) != of(p) and all(a <= b for a, b in zip(of(q), of(p), strict=True))
                for q in points
            )
        }
        assert {p.trial for p in edge} == expected
        assert [of(p) for p in edge] == sorted(of(p) for p in edge)


def test_a_panel_is_one_scenario_with_its_own_front() -> None:
    study = record_of(
        burst(0, 4.0, 10.0),
        burst(1, 5.0, 20.0, cpu=2.0),
        burst(2, 9.0, 30.0, concurrency=4),
        burst(3, 8.0, 40.0, concurrency=4, cpu=2.0),
        burst(4, 8.5, 45.0, concurrency=4, cpu=0.5),
        lost(5, {"concurrency": 4, "cpu": 0.25}),
    )
    one, four = panels_of(study)
    assert (one.scenario["concurrency"], one.trials, four.trials) == (1, 2, 4)
    assert {p.trial: p.place for p in one.points} == {0: "front", 1: "dominated"}
    assert {p.trial: p.place for p in four.points} == {2: "front", 3: "front", 4: "dominated"}
    assert four.baseline is not None
    assert four.baseline.trial == 2, "the baseline's decision, in this scenario"


def test_without_scenario_parameters_there_are_no_panels() -> None:
    space = SearchSpace(SPACE.with_role("decision"))
    trial = replace(burst(0, 1.0, 1.0), configuration=space.baseline())
    study = replace(record_of(trial), search_space=space)
    assert panels_of(study) == ()
    assert decisions_on_fronts(study, (), None) == ()


@given(st.lists(st.integers(1, 5), max_size=8), st.integers(0, 9))
def test_shown_are_the_panels_with_most_trials_in_their_order(counts: list[int], most: int) -> None:
    some = [
        ScenarioPanel(Configuration.of({"loss": i}), count, (), (), None)
        for i, count in enumerate(counts)
    ]
    found = shown(some, most)
    assert len(found) == min(most, len(some))
    assert list(found) == [p for p in some if p in found]
    left = [p.trials for p in some if p not in found]
    assert not left or not found or max(left) <= min(p.trials for p in found)


def test_decisions_on_most_fronts_come_first() -> None:
    study = record_of(
        burst(0, 4.0, 10.0),
        burst(1, 2.0, 20.0, cpu=2.0),
        burst(2, 9.0, 30.0, concurrency=4),
        burst(3, 8.0, 20.0, concurrency=4, cpu=2.0),
        burst(4, 3.0, 90.0, cpu=0.5),
    )
    first, second = decisions_on_fronts(study, panels_of(study), None)
    assert (first.decision["cpu"], second.decision["cpu"]) == (2.0, 1.0)
    assert "concurrency" not in first.decision
    assert sorted(first.on_front.values()) == [1, 3]
    assert (first.fronts, first.measured, first.chance) == (2, 2, None)
    assert (second.fronts, second.measured) == (1, 2)


SURVEYED = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 1, choices=(1, 4)),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0)),
        Parameter("replicas", "int", "decision", 1, low=1, high=3),
    )
)


def test_what_the_model_recommends_counts_beside_what_was_measured() -> None:
    of = sources(
        surveyed(
            SURVEYED,
            {
                "art_ms": lambda c: 4.0 * c["concurrency"] / c["cpu"],
                "cpu_percent": lambda c: 10.0 * c["cpu"] * c["replicas"],
            },
        )
    )
    assert of.findings is not None
    found = scenario_panels(of.record, of.summary, of.findings)
    assert all(panel.predicted_front for panel in found)
    for decision in decisions_on_fronts(of.record, found, of.findings):
        assert decision.fronts >= max(len(decision.on_front), len(decision.predicted_front)) > 0
        assert decision.chance is not None
        assert 0 <= decision.chance <= 1
    robust = of.findings.robust
    assert robust is not None
    by_scenario = dict(robust.by_scenario)
    assert set(by_scenario) == {p.scenario for p in found}
    assert max(by_scenario.values()) <= robust.regret + 1e-9


def test_reasons_are_counted_the_most_frequent_first() -> None:
    study = record_of(
        burst(0, 4.0, 10.0),
        burst(1, 4.0, 10.0, violation=0.1, cpu=2.0),
        lost(2, {"cpu": 0.25}),
        lost(3, {"cpu": 0.5}),
    )
    found = {
        reason: [t.number for t in some] for reason, some in infeasible_by_reason(study).items()
    }
    assert list(found.items()) == [("out of memory", [2, 3]), ("breaks error_rate <= 0.01", [1])]
