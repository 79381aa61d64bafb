"""What the note of a study says."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dashboard.shown import Shown
from tests.study.small import opened, run, specification
from tuner.dashboard.live_note import trial_address
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.pages.note import ROWS, study_note
from tuner.render.markdown import inert, to_markdown
from tuner.results.summary import summarise
from tuner.results.wording import deployment_text, metric_interval
from tuner.spec.space import Parameter, SearchSpace
from tuner.spec.study import Objective
from tuner.study.storage import study_record

EMPTY = StudyRecord("x", "m", SearchSpace(()), (Objective("art_ms", "minimize"),), (), {}, {}, ())

HOSTILE = [
    "<script>pwned = 1</script>",
    "a|b\n| --- |\n# heading",
    "![x](https://localhost/x.png) [y](javascript:pwned=1)",
    "`code` **bold** $x$ &lt; http://localhost www.x.org me@x.org",
]


def note(record: StudyRecord, running: int) -> str:
    return to_markdown(study_note(record, running), trial_address)


def sections(text: str) -> dict[str, str]:
    """By heading."""
    parts = re.split(r"^#+ (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(section: str) -> list[list[str]]:
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [re.split(r"(?<!\\) \| ", line[2:-2]) for line in lines[2:]]


def numbers(cell: str) -> list[int]:
    return [int(n) for n in re.findall(r"trials\?numbers=(\d+)", cell)]


def test_it_has_the_answer_so_far(shown: Shown) -> None:
    record, summary = shown.record, summarise(shown.record)
    found = sections(note(record, running=2))
    assert [numbers(row[0])[0] for row in rows(found["Overall front"])] == [
        t.number for t in summary.front
    ]
    best = summary.headline
    assert best is not None
    said = found["What to deploy"]
    assert (
        inert(deployment_text(record.search_space, record.decision_of(best.configuration))) in said
    )
    for index, objective in enumerate(record.objectives):
        assert inert(metric_interval(objective.metric, best.pooled.estimate(index))) in said
    chosen = [r.pooled.representative.number for r in summary.recommendations.values()]
    assert [numbers(" | ".join(row))[0] for row in rows(said)] == chosen


def test_it_counts_and_says_what_was_asked(shown: Shown) -> None:
    record = shown.record
    infeasible = sum(not t.feasible for t in record.trials)
    assert infeasible > 0
    found = sections(note(record, running=2))
    head = found["Study small"]
    assert "SIMULATED" in head
    assert f"After 24 trials: 24 complete, {infeasible} of them infeasible, 0 failed" in head
    assert "2 running" in head
    assert r"error\_rate \<= 0.01" in found["The question"]
    assert rows(found["Search space"]) == [
        ["concurrency", "scenario", "1, 4", "connections", "4"],
        ["cpu", "decision", "0.25, 0.5, 1", "cores", "1"],
        ["memory", "decision", "8, 64, 256", "MiB", "256"],
        ["replicas", "decision", "1, 2", "", "1"],
        ["loss", "scenario", "0", "%", "0"],
    ]


def test_a_study_without_trials_has_one_too() -> None:
    text = note(study_record(opened(specification())), running=1)
    assert "After 0 trials:" in text
    assert "Nothing was measured yet." in sections(text)["What to deploy"]
    assert "Overall front" not in sections(text)


def test_where_nothing_is_feasible_nothing_is_recommended() -> None:
    spec = specification(("[8, 64, 256], default: 256", "[8], default: 8"))
    found = sections(note(study_record(run(spec, more=4)), running=0))
    assert "4 of them infeasible" in found["Study small"]
    assert "no feasible trial among 4" in found["What to deploy"]


@pytest.mark.parametrize(
    ("objectives", "columns"), [("[art_ms]", 13), ("[art_ms, cpu_percent, p95_ms]", 16)]
)
def test_one_objective_or_three(objectives: str, columns: int) -> None:
    spec = specification(("[art_ms, cpu_percent]", objectives))
    found = sections(note(study_record(run(spec, more=3)), running=0))
    assert {len(row) for row in rows(found["Overall front"])} == {columns}


def test_a_long_front_is_cut_and_says_so(shown: Shown) -> None:
    record = shown.record
    some = next(t for t in record.trials if t.eligible)
    assert some.measurement is not None
    trials = []
    for number, configuration in enumerate(record.search_space.grid()):
        values = 2.0**number, 0.5**number
        names = [o.metric for o in record.objectives]
        metrics = {n: Estimate(v, v, v) for n, v in zip(names, values, strict=True)}
        measured = replace(some.measurement, metrics={**some.measurement.metrics, **metrics})
        trial = replace(some, number=number, configuration=configuration, values=values)
        trials.append(replace(trial, measurement=measured))
    assert len(trials) > ROWS
    found = sections(note(replace(record, trials=tuple(trials)), 0))["Overall front"]
    assert len(rows(found)) == ROWS
    assert f"{len(trials) - ROWS} more are in \\`tune show\\`" in found


def hostile(record: StudyRecord, text: str) -> StudyRecord:
    choices = (text, "plain")
    parameter = Parameter(text, "categorical", "decision", "plain", choices, unit=text, env="X")
    return replace(
        record,
        name=text,
        model=text,
        search_space=SearchSpace((*record.search_space.parameters, parameter)),
        specification={**record.specification, "description": text},
    )


@given(st.sampled_from(HOSTILE) | st.text(min_size=1))
def test_texts_of_the_study_mean_nothing(text: str) -> None:
    record = hostile(EMPTY, text)
    found = note(record, running=0)
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", "x", found)
    assert not set(bare) & set("<>!&$^")
    headings = [line for line in bare.split("\n") if line.startswith("#")]
    assert len(headings) == 4
    assert {len(row) for row in rows(sections(bare)["Search space"])} == {5}
