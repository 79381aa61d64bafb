from __future__ import annotations

from dataclasses import replace

import pytest

from tests.pages.planted_trials import (
    BOTH,
    CONCURRENCY,
    CPU,
    MEMORY,
    Truth,
    infeasible,
    measured,
    sources,
    study,
    surveyed,
)
from tuner.measure.measurement import Finding
from tuner.measure.record import FailedTrial, StudyRecord
from tuner.pages.blocks import Block, Commands, Facts, Link, Log, Points, Table, Words
from tuner.pages.environment import environment
from tuner.pages.sources import Sources
from tuner.pages.summary_section import answer, asked
from tuner.results.chosen import chosen_configurations
from tuner.results.grid_cost import grid_cost_of, searched
from tuner.results.in_words import remedy_counts, verdict_counts
from tuner.results.outcomes import default_decision, outcomes, with_decision
from tuner.results.study_file import FinishedStudy
from tuner.results.summary import summarise
from tuner.spec.space import Configuration, SearchSpace

SPACE = SearchSpace((CONCURRENCY, CPU, MEMORY))
"""18 configurations, 9 decisions in 2 scenarios."""

TRUTHS: dict[str, Truth] = {
    "art_ms": lambda c: 2.0 * c["concurrency"] / c["cpu"],
    "cpu_percent": lambda c: 10.0 * c["cpu"] * c["concurrency"] ** 0.5 + c["memory"] / 1000,
}


@pytest.fixture(scope="module")
def full() -> StudyRecord:
    return surveyed(SPACE, TRUTHS)


def texts(blocks: tuple[Block, ...]) -> str:
    """Everything that is to be read in some blocks."""
    found: list[str] = []
    for block in blocks:
        match block:
            case Words() | Log() | Commands():
                found.append(block.text)
            case Facts():
                found += [block.title, *(f"{n}: {_text(what)}" for n, what in block.rows)]
            case Points():
                found += [block.title, *block.items]
            case Table():
                found += [block.caption, *block.columns]
                found += [" | ".join(map(_text, row)) for row in block.rows]
    return "\n".join(found)


def answer_and_question(of: Sources) -> str:
    """Everything that is to be read in the report's first two sections."""
    return texts((*answer(of).blocks, *asked(of).blocks))


def _text(cell: str | Link) -> str:
    return cell if isinstance(cell, str) else cell.text


def test_what_was_searched_is_counted_once(full: StudyRecord) -> None:
    again = replace(full.trials[0], number=18)
    bad = FailedTrial(19, full.trials[1].configuration, "INVALID twice", full.trials[1])
    record = replace(full, trials=(*full.trials[:9], again), failed=(bad,))
    found = searched(record)
    assert (found.configurations, found.share, found.trials, found.failed) == (9, 0.5, 10, 1)
    assert found.trial_seconds == 11  # each takes a second, the one that does not count too
    cost = grid_cost_of(record)
    assert (cost.grid, cost.grid_seconds) == (18, 18)
    assert found.of_grid == pytest.approx(11 / min(18, cost.ordered_seconds or 18))


def test_a_continuous_space_has_no_share(full: StudyRecord) -> None:
    endless = replace(CPU, choices=None, low=0.5, high=2.0)
    record = replace(full, search_space=SearchSpace((CONCURRENCY, endless, MEMORY)))
    assert searched(record).share is searched(record).of_grid is None
    assert "endless" in answer_and_question(sources(record))


@pytest.mark.parametrize("index", [0, 1])
def test_what_is_recommended_is_compared_with_both_baselines(full: StudyRecord, index: int) -> None:
    summarised = summarise(full)
    best = chosen_configurations(full, summarised, None).scenarios[index]
    assert best.recommendation is summarised.recommendations[best.scenario]
    assert best.changes_measured
    reference = default_decision(full, best.scenario)
    assert reference["cpu"] == 1.0
    for i, truth in enumerate(TRUTHS.values()):
        by, first = best.changes[i], best.from_baseline[i]
        expected = 100 * (truth(best.configuration) / truth(reference) - 1)
        if by is None:
            assert best.is_baseline
        else:
            assert by.value == pytest.approx(expected)
            assert by.low < by.value < by.high  # type: ignore[operator]
        assert first is not None
        whole = 100 * (truth(best.configuration) / truth(SPACE.baseline()) - 1)
        assert first.value == pytest.approx(whole)


def test_each_scenario_has_its_recommendation(full: StudyRecord) -> None:
    found = chosen_configurations(full, summarise(full), None)
    assert [c.scenario["concurrency"] for c in found.scenarios] == [1, 4]
    assert found.robust == ()


def test_the_decision_of_least_regret_is_stated_in_every_scenario(full: StudyRecord) -> None:
    known = sources(full)
    assert known.findings is not None
    assert known.findings.robust is not None
    found = chosen_configurations(full, known.summary, known.findings).robust
    assert len(found) == 2
    decision = known.findings.robust.decision
    for one in found:
        assert one.configuration == with_decision(full, decision, one.scenario)
        assert one.measured


def test_what_was_not_measured_is_predicted(full: StudyRecord) -> None:
    missing = full.trials[8].configuration
    record = replace(full, trials=tuple(t for t in full.trials if t.configuration != missing))
    (found,) = outcomes(record, [missing]).values()
    for estimate, truth in zip(found.values, TRUTHS.values(), strict=True):
        assert estimate.low < truth(missing) * 1.3  # type: ignore[operator]
        assert estimate.high > truth(missing) / 1.3  # type: ignore[operator]
    assert found.changes is not None


def test_the_baselines_decision_is_not_compared_with_itself(full: StudyRecord) -> None:
    (found,) = outcomes(full, [SPACE.baseline()]).values()
    assert found.changes is None
    assert outcomes(full, [Configuration.of({"cpu": 77.0})]) == {}
    assert outcomes(replace(full, trials=full.trials[:3]), [SPACE.baseline()]) == {}


def test_doubts_are_counted_with_their_remedies(full: StudyRecord) -> None:
    finding = Finding("WARN", "few requests", "Raise load.max_seconds.")
    first = full.trials[0]
    assert first.measurement is not None
    doubted = replace(first, measurement=replace(first.measurement, findings=(finding, finding)))
    record = replace(full, trials=(doubted, *full.trials[1:]))
    assert verdict_counts(record) == {"WARN": 1, "VALID": 17}
    assert remedy_counts(record) == (("Raise load.max_seconds.", 1),)
    said = answer_and_question(sources(record))
    assert "Of 18 measurements 5.6 % are in doubt: 17 VALID, 1 WARN." in said
    assert "What would help 1 of them: Raise load.max_seconds." in said


def test_the_summary_says_what_a_reader_asks(full: StudyRecord) -> None:
    said = answer_and_question(sources(full))
    for part in (
        "What to deploy in each scenario. P: nothing else is better by more than 5 %",
        "are settled (P >= 0.8)",
        "objectives: least ART (ms), least CPU usage (% of host)",
        "configurations in the full grid: 18",
        "configurations measured: 18, 100 % of the grid",
        "median of the 18 trials of this study, 1.0 s, times 18",
        "One decision for all 2 scenarios: 1 replica with",
        "What is uncertain",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ((), "Nothing was measured yet."),
        ((infeasible(0, SPACE.baseline(), "out of memory"),), "no feasible trial among 1"),
        ((measured(0, SPACE.baseline(), (1.0, 2.0)),), "(these are the defaults)"),
    ],
)
def test_little_is_said_of_little(trials: tuple[object, ...], said: str) -> None:
    record = study(SPACE, trials)  # type: ignore[arg-type]
    assert said in answer_and_question(sources(record))


@pytest.mark.parametrize("metrics", [BOTH[:1], (*BOTH, "p95_ms")])
def test_any_number_of_objectives(metrics: tuple[str, ...]) -> None:
    truths = {**TRUTHS, "p95_ms": lambda c: 3.0 * TRUTHS["art_ms"](c)}
    record = surveyed(SPACE, {name: truths[name] for name in metrics})
    said = answer_and_question(sources(record))
    assert ("p95 (ms)" in said) == (len(metrics) == 3)
    assert ("CPU usage" in said) == (len(metrics) == 3)


def test_without_scenarios_there_is_one_answer() -> None:
    space = SearchSpace((CPU, MEMORY))
    truths = {"art_ms": lambda c: 2.0 / c["cpu"], "cpu_percent": lambda c: 10.0 * c["cpu"]}
    said = answer_and_question(sources(surveyed(space, truths)))
    assert "scenario" not in said.lower()


def test_the_environment_leaves_nothing_out(small: FinishedStudy) -> None:
    extra = {**small.record.environment, "news": {"a_b": [1, 2], "c": None, "d": True}}
    extra["calibration"] = {"floor_ms": {"value": 0.06, "low": 0.05, "high": 0.07}}
    record = replace(small.record, environment=extra)
    said = texts(environment(Sources.of(FinishedStudy(record, lambda _: None))).blocks)
    for part in (
        "measured by: simulated",
        "CPUs: ",
        "news a b: 1, 2",
        "news c: not known",
        "news d: yes",
        "least response time, without a model (ms): 0.06 (0.05-0.07)",
        "seed: 3",
        "sampler: tpe",
        "budget: 18 trials",
        "name: small",
    ):
        assert part in said
