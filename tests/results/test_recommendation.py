from __future__ import annotations

from tests.results.test_summary import OBJECTIVES, study, trial
from tuner.export.pick import pick
from tuner.results.recommendation import recommend
from tuner.results.summary import summarise

RECORD = study(
    trial(0, 1, 1.0, (5.0, 20.0)),
    trial(1, 1, 2.0, (2.0, 40.0)),
    trial(2, 1, 0.5, (2.5, 22.0)),
    trial(3, 4, 1.0, (8.0, 60.0)),
)


def test_of_an_empty_front_nothing_is_recommended() -> None:
    assert recommend((), OBJECTIVES) is None


def test_what_is_recommended_is_the_best_compromise_of_the_front() -> None:
    summary = summarise(RECORD)
    front = [summary.pooled[t.number] for t in summary.front]
    chosen = recommend(front, OBJECTIVES)
    assert chosen is not None
    assert chosen.representative.number == 2
    assert summary.recommended == chosen.representative


def test_an_export_writes_what_is_recommended_overall_and_in_each_scenario() -> None:
    summary = summarise(RECORD)
    assert pick(RECORD, "knee") == (summary.recommended,)
    for scenario in summary.scenarios:
        when = f"concurrency={scenario.scenario['concurrency']}"
        assert pick(RECORD, "knee", when) == (scenario.recommended,)
