"""The page of two studies: what its figures show, and that it is whole whatever is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.study.bursts import SPACE, burst, lost, study
from tuner.measure.record import StudyRecord
from tuner.pages import theme
from tuner.pages.blocks import Figure, Page, Table, Words, figures
from tuner.pages.comparison import comparison_page
from tuner.pages.comparison_fronts import drawn_scopes
from tuner.pages.comparison_ratios import MOST_ROWS, forest
from tuner.pages.comparison_volumes import bars
from tuner.render.html import to_html
from tuner.results.two_studies import compare_studies

HOSTILE = "<script>alert('x')</script>\n\"mnist\" & <b>"


def measured(seed: int, factor: float = 1.0) -> StudyRecord:
    """Every configuration once, with 3 % of noise."""
    noise = np.random.default_rng(seed)
    trials = []
    for number, configuration in enumerate(SPACE.grid()):
        power = float(configuration["cpu"]) * float(configuration["replicas"]) ** 0.5
        art = factor * 3 * float(configuration["concurrency"]) / power
        art, usage = np.array([art, 10 * power]) * np.exp(noise.normal(0, 0.03, 2))
        values = {name: configuration[name] for name in configuration}
        trials.append(burst(number, art, usage, **values))  # type: ignore[arg-type]
    return study(*trials)


def of_one_objective(record: StudyRecord) -> StudyRecord:
    trials = tuple(replace(t, values=t.values[:1]) for t in record.trials)
    return replace(record, objectives=record.objectives[:1], trials=trials)


def page(a: StudyRecord, b: StudyRecord) -> Page:
    return comparison_page(compare_studies(a, b))


def figure(of: Page, name: str) -> Figure:
    return next(f for f in figures(of) if f.name == name)


def tables(of: Page) -> Iterator[Table]:
    for section in of.sections:
        for block in section.blocks:
            if isinstance(block, Table):
                yield block
            elif isinstance(block, Figure):
                yield block.table


def test_the_forest_has_each_ratio_and_the_mean() -> None:
    found = compare_studies(measured(1), measured(2, factor=1.5))
    data = forest(found, "art_ms")
    assert data is not None
    assert data.count == 32
    assert (len(data.rows), data.left_out) == (MOST_ROWS, 2)
    values = [row.ratio.value for row in data.rows]
    assert values == sorted(values)
    assert data.mean.value == pytest.approx(1.5, rel=0.03)
    for row in data.rows:
        assert row.ratio.value == pytest.approx(row.value_b / row.value_a)
    assert max(row.adjusted for row in data.rows) <= min(
        ratio.adjusted for ratio in found.ratios("art_ms") if ratio.value not in values
    )
    drawn = figure(comparison_page(found), "ratio-art-ms")
    assert sum(len(trace.x) for trace in drawn.plot.data) == MOST_ROWS + 1
    assert drawn.plot.layout.xaxis.type == "log"
    assert len(drawn.table.rows) == 32 + 1
    assert str(drawn.table.rows[-1][3]).startswith("1.5")


def test_both_fronts_are_in_one_plane_per_scenario_in_their_colours() -> None:
    found = compare_studies(measured(1), measured(2, factor=1.5))
    drawn = figure(comparison_page(found), "fronts")
    fronts = drawn_scopes(found)
    assert [str(scope.scenario) for scope in fronts] == ["concurrency=1", "concurrency=4"]
    traces = drawn.plot.data
    assert [t.name for t in traces] == ["A", "B", "A", "B"]
    assert {t.name: t.marker.color for t in traces} == {"A": theme.BLUE, "B": theme.ORANGE}
    assert len({t.marker.symbol for t in traces}) == 2
    assert [bool(t.showlegend) for t in traces] == [True, True, False, False]
    for scope, one, two in zip(fronts, traces[::2], traces[1::2], strict=True):
        assert list(one.x) == [p.values[0] for p in scope.a.front]
        assert list(two.y) == [p.values[1] for p in scope.b.front]
    titles = {a.text for a in drawn.plot.layout.annotations}
    assert {"ART (ms)", "CPU usage (% of host)"} <= titles
    points = sum(len(s.a.front) + len(s.b.front) for s in found.scopes)
    assert len(drawn.table.rows) == points


def test_bars_are_shares_of_both_fronts() -> None:
    found = compare_studies(measured(1), measured(2, factor=1.5))
    some = bars(found)
    assert [bar.label for bar in some] == ["everything", "concurrency=1", "concurrency=4"]
    for bar in some:
        assert bar.a.value > 0.98, "but for what noise gives B"
        assert 0 < bar.b.value < 1
        assert bar.b.low is not None
        assert bar.b.high is not None
        assert 0 <= bar.b.low <= bar.b.value <= bar.b.high <= 1 + 1e-9
    drawn = figure(comparison_page(found), "hypervolumes")
    assert list(drawn.plot.data[1].x) == [pytest.approx(100 * bar.b.value) for bar in some]
    assert all(row[-1] == "A" for row in drawn.table.rows)


def test_the_words_say_what_the_figures_show() -> None:
    found = page(measured(1), measured(2, factor=1.5))
    lead = [
        b.text
        for s in found.sections
        for b in s.blocks
        if isinstance(b, Words) and b.tone == "lead"
    ]
    assert lead == ["A is better in 2 of 2 scenarios."]
    short = [b.text for b in found.sections[0].blocks if isinstance(b, Words)]
    assert short[0] == lead[0]
    assert short[1].startswith("B's ART is 1.")
    assert "over 32 configurations" in short[1]
    assert "A's points clearly dominate some of B's" in short[3]
    assert not found.notice


def test_what_is_simulated_says_so() -> None:
    a, b = measured(1), measured(2)
    b = replace(b, trials=tuple(replace(t, backend="simulated") for t in b.trials))
    found = page(a, b)
    assert "SIMULATED" in found.notice
    assert "SIMULATED" in to_html(found)


def hostile(record: StudyRecord) -> StudyRecord:
    return replace(
        record,
        name=HOSTILE,
        model=HOSTILE,
        environment={"host": {HOSTILE: HOSTILE}},
        trials=tuple(replace(t, reason=t.reason and HOSTILE) for t in record.trials),
    )


def test_names_of_others_stay_inert() -> None:
    some = measured(1)
    first = study(*some.trials[1:], lost(100, some.trials[0].configuration))
    html = to_html(page(hostile(first), hostile(some)))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


EMPTY, BASELINE, NOTHING = study(), study(burst(0, 1.0, 10.0)), study(lost(0, {}))


@pytest.mark.parametrize("a", [EMPTY, BASELINE, NOTHING])
@pytest.mark.parametrize("b", [EMPTY, BASELINE, NOTHING, measured(3)])
def test_the_page_is_whole_whatever_is_missing(a: StudyRecord, b: StudyRecord) -> None:
    found = page(a, b)
    assert len(found.sections) == 4
    for table in tables(found):
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert to_html(found) == to_html(page(a, b))


def test_one_objective_is_drawn_as_lines() -> None:
    found = page(of_one_objective(measured(1)), of_one_objective(measured(2)))
    drawn = figure(found, "fronts")
    assert [t.name for t in drawn.plot.data] == ["A", "B"]
    assert list(drawn.plot.data[0].y) == ["concurrency=1", "concurrency=4"]
    assert drawn.plot.layout.xaxis.title.text == "ART (ms)"


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 2))
def test_no_row_is_lost_or_of_another_length(seed: int, factor: float) -> None:
    found = page(measured(seed), measured(seed + 1, factor))
    for table in tables(found):
        assert all(len(row) == len(table.columns) for row in table.rows)
    names = [f.name for f in figures(found)]
    assert names == ["ratio-art-ms", "ratio-cpu-percent", "fronts", "hypervolumes"]
    for one in figures(found):
        for trace in one.plot.data:
            assert all(math.isfinite(x) for x in trace.x)
