"""The answer that a run ends with: a sentence, a row per scenario, and what is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.pages.planted_trials import CPU, MEMORY, REPLICAS, measured, study
from tuner.measure.record import StudyRecord
from tuner.pages.run_page import next_steps
from tuner.pages.study_page import end_blocks, study_blocks
from tuner.pages.what_to_deploy import how_sure
from tuner.render.terminal import plain_text
from tuner.results.mixture import mixture_of_scenarios
from tuner.results.summary import summarise
from tuner.spec.space import Parameter, SearchSpace

SCENARIOS = (
    Parameter("concurrency", "int", "scenario", 4, choices=(1, 4, 16), unit="connections"),
    Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 1.0, 5.0), unit="%"),
)
EXPECTED = {"concurrency": 4, "loss": 0.0}
RESUME = "tune run --study planted"


def served(configuration: Mapping[str, Any]) -> tuple[float, float]:
    busy = min(configuration["replicas"], configuration["concurrency"]) * configuration["cpu"]
    art = 4.0 * configuration["concurrency"] / busy + 8.0 * configuration["loss"]
    return art, 40.0 * configuration["concurrency"] / art


@pytest.fixture(scope="module")
def nine() -> StudyRecord:
    """A study of nine scenarios, a third of which was measured."""
    space = SearchSpace((*SCENARIOS, CPU, replace(MEMORY, choices=(128, 256)), REPLICAS))
    some = list(space.grid())[::3]
    trials = [measured(i, c, served(c)) for i, c in enumerate(some)]
    record = study(space, trials)
    return replace(record, specification={"answer": {"expected": EXPECTED}})


def test_a_run_of_nine_scenarios_ends_with_at_most_25_lines_of_80_columns(
    nine: StudyRecord,
) -> None:
    blocks = [
        *end_blocks(nine, summarise(nine)),
        *next_steps(nine, summarise(nine), "--study planted", RESUME),
    ]
    lines = plain_text(blocks, 80).splitlines()
    assert len(lines) <= 25
    assert lines[0].startswith("For 4 connections and a loss of 0 %, deploy ")
    assert lines[-1].split()[:4] == ["tune", "export", "--study", "planted"]
    for scenario in summarise(nine).scenarios:
        start = [f"{scenario.scenario['concurrency']}", f"{scenario.scenario['loss']:g}"]
        assert sum(line.split()[:2] == start for line in lines) == 1


def test_what_is_shown_begins_with_what_the_run_ended_with(nine: StudyRecord) -> None:
    for width in (80, 200):
        end = plain_text(end_blocks(nine, summarise(nine)), width)
        assert plain_text(study_blocks(nine), width).startswith(end.rstrip())


def test_without_an_expected_scenario_the_next_step_names_one(nine: StudyRecord) -> None:
    record = replace(nine, specification={})
    text = plain_text(next_steps(record, summarise(record), "--study planted", RESUME))
    assert "--when concurrency=1,loss=0" in text
    expected = plain_text(next_steps(nine, summarise(nine), "--study planted", RESUME))
    assert "--when" not in expected


def test_where_too_little_was_measured_the_next_step_is_to_measure_more(nine: StudyRecord) -> None:
    few = replace(nine, trials=nine.trials[:3])
    text = plain_text(next_steps(few, summarise(few), "--study planted", RESUME))
    assert text.split("\n")[1].split() == [*RESUME.split(), "--trials", "20"]
    assert "export" not in text


def test_where_there_is_no_more_to_measure_the_next_step_is_to_export(nine: StudyRecord) -> None:
    space = SearchSpace(tuple(replace(p, choices=(p.default,)) for p in nine.search_space))
    only = study(space, [measured(i, c, served(c)) for i, c in enumerate(space.grid())])
    text = plain_text(next_steps(only, summarise(only), "--study planted", RESUME))
    assert "tune export" in text


def test_the_overall_front_says_of_which_scenarios_it_is_made(nine: StudyRecord) -> None:
    summary = summarise(nine)
    lossy = sum(t.configuration["loss"] == 5.0 for t in summary.front)
    said = mixture_of_scenarios(nine, summary)
    assert f"of its {len(summary.front)} points" in said
    assert lossy > 0
    losses = [t.configuration["loss"] for t in summary.front]
    most = max(set(losses), key=losses.count)
    assert f"{losses.count(most)} have loss={most:g}" in said


def test_a_study_with_one_scenario_has_a_sentence_and_no_mixture() -> None:
    space = SearchSpace((CPU, MEMORY, REPLICAS))
    fixed = {"concurrency": 4, "loss": 0.0}
    trials = [measured(i, c, served({**c, **fixed})) for i, c in enumerate(space.grid())]
    record = study(space, trials)
    text = plain_text(end_blocks(record, summarise(record)), 80)
    assert text.startswith("Deploy 3 replicas with ")
    assert "It is settled" in text
    assert "scenario" not in text
    assert mixture_of_scenarios(record, summarise(record)) == ""


def test_what_counts_as_settled_is_what_the_study_says(nine: StudyRecord) -> None:
    chances = [r.chance for r in summarise(nine).recommendations.values()]
    for stated, shown in ((0.97, 0.97), (0.3, 0.3), (0.0, 0.8)):  # 0: the study never ends by it
        record = replace(nine, specification={"search": {"settled": stated}})
        said = how_sure(record, summarise(record), None)
        settled = sum(chance >= shown for chance in chances)
        assert said.startswith(f"{settled} of {len(chances)} are settled (P >= {shown:g})")


def test_with_too_few_trials_for_a_model_nothing_is_called_settled(nine: StudyRecord) -> None:
    record = replace(nine, trials=nine.trials[:4])
    text = " ".join(plain_text(end_blocks(record, summarise(record)), 80).split())
    assert "deploy 1 replica with" in text
    assert "Too little was measured to say how sure that is." in text
    assert "It is not settled" in text
    assert not any(r.settled for r in summarise(record).recommendations.values())
