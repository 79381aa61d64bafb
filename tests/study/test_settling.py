"""A study that ends when what it recommends is settled."""

from __future__ import annotations

import pytest

from tests.study.small import FEASIBLE, run, specification
from tuner.measure.record import TrialRecord
from tuner.results.summary import summarise
from tuner.study.loop import Converged, Event
from tuner.study.settling import FEWEST_BURSTS
from tuner.study.storage import records, study_record

SETTLING = (
    ("choices: [0.25, 0.5, 1]", "choices: [0.25, 0.5, 1, 2]"),
    ("choices: [8, 64, 256]", "choices: [128, 256]"),
    ("low: 1, high: 2", "low: 1, high: 4"),
    ("trials: 8", "trials: 60"),
    ("sampler: tpe, cut_short: false, confirm: 0", "sampler: bayes"),
)


def decided(trials: list[TrialRecord]) -> list[TrialRecord]:
    return [t for t in trials if "decides" in t.why]


def test_a_study_ends_when_every_recommendation_is_settled_and_confirmed() -> None:
    spec = specification(*SETTLING)
    events: list[Event] = []
    study = run(spec, observe=events.append)
    trials = records(study)
    (end,) = [e for e in events if isinstance(e, Converged)]
    assert end.reason == (
        f"every scenario's recommendation is settled (P >= 0.8) after {len(trials)} trials"
    )
    assert len(trials) < 60
    recommended = summarise(study_record(study)).recommendations
    assert len(recommended) == 2
    for chosen in recommended.values():
        assert chosen.chance >= 0.8
        assert len(chosen.pooled.bursts) >= FEWEST_BURSTS
        since = {t.deployment["since"] for t in chosen.pooled.trials}
        assert len(since) >= FEWEST_BURSTS, "each burst on a deployment of its own"
    again: list[Event] = []
    assert len(records(run(spec, observe=again.append))) == len(trials)
    assert again == [end], "a resumed run is settled already"
    assert len(records(run(spec, more=2))) == len(trials) + 2, "unless more trials are asked for"


def test_trials_that_settle_say_for_which_scenario_and_are_not_cut_short() -> None:
    trials = records(run(specification(*SETTLING)))
    settling = decided(trials)
    assert settling
    for trial in settling:
        assert trial.why["reason"].startswith("to settle what is recommended for concurrency=")
        assert not trial.cut_short
    assert len(settling) <= 0.75 * len([t for t in trials if t.why]) + 2


@pytest.mark.parametrize(
    "search",
    [
        "sampler: bayes, settled: 0",
        pytest.param("sampler: bayes, target: overall", marks=pytest.mark.thorough),
        "sampler: tpe",
    ],
)
def test_otherwise_the_budget_is_the_end(search: str) -> None:
    spec = specification(
        ("sampler: tpe, cut_short: false, confirm: 0", search),
        ("trials: 8", "trials: 14"),
        FEASIBLE,
        ("choices: [0.25, 0.5, 1]", "choices: [0.25, 0.5, 0.75, 1]"),
    )
    events: list[Event] = []
    study = run(spec, observe=events.append)
    assert not decided(records(study))
    assert not any(isinstance(e, Converged) for e in events)
    assert len(records(study)) == 14
