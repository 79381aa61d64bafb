from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import plotly.graph_objects as go
import pytest

from tests.pages.planted_trials import infeasible, measured, sources, surveyed
from tests.pages.planted_trials import study as planted
from tests.study.bursts import burst, lost
from tests.study.bursts import study as record_of
from tuner.measure.record import FailedTrial, StudyRecord, TrialRecord
from tuner.pages.blocks import Figure, Link, Page, Section, Table, Words
from tuner.pages.front_figure import MOST_LISTED
from tuner.pages.front_section import fronts_section
from tuner.pages.progress_figure import progress
from tuner.pages.scenario_figure import MOST_PANELS
from tuner.pages.sources import Sources
from tuner.render.html import to_html
from tuner.results.explain import Explanation
from tuner.results.study_file import FinishedStudy
from tuner.results.summary import summarise
from tuner.spec.space import Condition, Parameter, SearchSpace

HOSTILE = "<script>alert(1)</script> \"'</b>\n{{7*7}}"

CONCURRENCY = Parameter("concurrency", "int", "scenario", 1, choices=(1, 4))
CPU = Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0), unit="cores")
REPLICAS = Parameter("replicas", "int", "decision", 1, low=1, high=3)

TRUTHS = {
    "art_ms": lambda c: 4.0 * c.get("concurrency", 1) / c["cpu"],
    "cpu_percent": lambda c: 10.0 * c["cpu"] * c.get("replicas", 1),
    "memory_peak_mib": lambda c: 64.0 * c.get("replicas", 1) / c["cpu"] ** 0.1,
}


def survey(*metrics: str, scenarios: bool = True) -> StudyRecord:
    space = (CONCURRENCY, CPU, REPLICAS) if scenarios else (CPU, REPLICAS)
    return surveyed(SearchSpace(space), {m: TRUTHS[m] for m in metrics})


def unmodelled(record: StudyRecord) -> Sources:
    """Without what takes a model."""
    metrics = tuple(o.metric for o in record.objectives)
    explanation = Explanation(record.name, metrics, {}, len(record.trials), 0, ())
    study = FinishedStudy(record, lambda _: None)
    return Sources(study, summarise(record), None, explanation)


def figures(section: Section) -> dict[str, Figure]:
    return {b.name: b for b in section.blocks if isinstance(b, Figure)}


def words(section: Section) -> str:
    return "\n".join(b.text for b in section.blocks if isinstance(b, Words))


def tables(section: Section) -> list[Table]:
    return [b for b in section.blocks if isinstance(b, Table)]


def traces(plot: go.Figure, name: str) -> list[go.Scatter]:
    return [t for t in plot.data if t.name == name]


def whole(record: StudyRecord) -> tuple[Section, Section]:
    """Both sections of a study; every table behind a figure fits and the page can be written."""
    of = sources(record)
    found = fronts_section(of), progress(of)
    for section in found:
        shown = [f.table for f in figures(section).values()]
        for table in (*shown, *tables(section)):
            assert all(len(row) == len(table.columns) for row in table.rows)
    assert to_html(Page("t", "s", found)) == to_html(Page("t", "s", found))
    return found


def test_two_objectives_are_one_figure_with_a_switch_for_both_axes() -> None:
    section, _ = whole(survey("art_ms", "cpu_percent"))
    plot = figures(section)["front"].plot
    assert plot.layout.meta == {"log_switch": ["x", "y"]}
    # ART spans a factor of 32, CPU usage of 24.
    assert (plot.layout.xaxis.type, plot.layout.yaxis.type) == ("log", "log")
    assert plot.layout.xaxis.title.text == "ART (ms)"
    line, marks = traces(plot, "front")
    assert line.line.shape == "hv"
    np.testing.assert_allclose(sorted(line.x), sorted(marks.x), rtol=1e-6)
    assert len(marks.error_x.array) == len(marks.x)
    assert len(traces(plot, "baseline")) == len(traces(plot, "recommended")) == 1


def test_what_spans_little_has_linear_axes() -> None:
    space = SearchSpace((CPU,))
    record = surveyed(space, {"art_ms": lambda c: 5.0 + c["cpu"], "cpu_percent": TRUTHS["art_ms"]})
    section, _ = whole(record)
    layout = figures(section)["front"].plot.layout
    assert (layout.xaxis.type, layout.yaxis.type) == ("linear", "linear")


def test_hover_texts_are_written_once_and_values_per_mark() -> None:
    section, _ = whole(survey("art_ms", "cpu_percent"))
    (marks,) = traces(figures(section)["front"].plot, "dominated")
    assert isinstance(marks.hovertemplate, str)
    assert "cpu %{customdata[2]}" in marks.hovertemplate
    assert marks.text is None
    assert {texts[2] for texts in marks.customdata} <= {
        "0.25 cores",
        "0.5 cores",
        "1 core",
        "2 cores",
    }
    assert all(len(texts) == 1 + 3 + 2 + 1 for texts in marks.customdata)


def test_three_objectives_are_all_pairs_and_one_is_a_strip_of_trials() -> None:
    section, _ = whole(survey("art_ms", "cpu_percent", "memory_peak_mib"))
    assert list(figures(section))[:3] == [
        "front-art-ms-cpu-percent",
        "front-art-ms-memory-peak-mib",
        "front-cpu-percent-memory-peak-mib",
    ]
    section, _ = whole(survey("art_ms"))
    shown = figures(section)
    assert shown["front"].plot.layout.xaxis.title.text == "trial"
    assert shown["front"].plot.layout.meta == {"log_switch": ["y"]}
    strip = shown["scenario-fronts"].plot
    assert {y for t in strip.data for y in t.y} == {"concurrency=1", "concurrency=4"}


def test_without_scenarios_the_model_is_on_the_front_itself() -> None:
    section, _ = whole(survey("art_ms", "cpu_percent", scenarios=False))
    shown = figures(section)
    assert "scenario-fronts" not in shown
    assert "regret" not in shown
    (predicted,) = traces(shown["front"].plot, "predicted front")
    assert len(predicted.x) == len(predicted.error_x.array) > 0


def test_what_was_cut_short_or_invalid_or_infeasible_is_told_apart() -> None:
    invalid = replace(burst(5, 3.0, 3.0, replicas=4), outcome="invalid", reason="others used CPU")
    record = replace(
        record_of(
            burst(0, 4.0, 10.0),
            replace(burst(1, 9.0, 30.0, cpu=0.25), cut_short="trial 0 is surely better"),
            burst(2, 1.0, 1.0, violation=0.3, replicas=2),
            lost(3, {"replicas": 3}),
        ),
        failed=(FailedTrial(5, invalid.configuration, "INVALID twice", invalid),),
    )
    section, _ = whole(record)
    plot = figures(section)["front"].plot
    symbols = {t.name: t.marker.symbol for t in plot.data if t.mode == "markers"}
    assert {"front", "cut short", "breaks a constraint", "INVALID"} <= set(symbols)
    assert len(set(symbols.values())) == len(symbols)
    assert 1000.0 not in {float(x) for t in plot.data for x in t.x}, "a stand-in"
    by_caption = {t.caption: t for t in tables(section)}
    reasons = {str(row[0]): row[1:] for row in by_caption["Infeasible, by reason"].rows}
    assert reasons == {
        "breaks error_rate <= 0.01": ("1", "1", "2"),
        "out of memory": ("1", "1", "3"),
    }
    assert [row[0] for row in by_caption["Infeasible configurations"].rows] == ["3", "2"]
    assert by_caption["Failed trials"].rows[0][-1] == "INVALID twice"


def test_scenarios_have_panels_with_the_same_axes_two_beside_each_other() -> None:
    section, _ = whole(survey("art_ms", "cpu_percent"))
    shown = figures(section)["scenario-fronts"]
    layout = shown.plot.layout
    assert (layout.xaxis2.matches, layout.yaxis2.matches) == ("x", "y")
    assert [a.text for a in layout.annotations][:2] == ["concurrency=1", "concurrency=4"]
    named = [t.name for t in shown.plot.data if t.showlegend]
    assert len(named) == len(set(named))
    assert {"front", "baseline", "predicted front"} <= set(named)
    assert {"ART (ms)", "ART (ms), predicted", "P"} <= set(shown.table.columns)
    assert any("predicted front" in str(row[-4]) for row in shown.table.rows)


def test_of_many_scenarios_some_are_drawn_and_all_are_listed() -> None:
    loss = Parameter("loss", "float", "scenario", 0.0, choices=tuple(map(float, range(15))))
    space = SearchSpace((loss, CPU))
    trials = [
        measured(i, c, (4.0 + float(c["loss"]), 10.0 * float(c["cpu"])))
        for i, c in enumerate(space.grid())
        if c["cpu"] == 1.0 or float(c["loss"]) > 2
    ]
    of = unmodelled(planted(space, trials))
    shown = figures(fronts_section(of))["scenario-fronts"]
    headings = [a.text for a in shown.plot.layout.annotations]
    assert headings[:MOST_PANELS] == [f"loss={i}" for i in range(3, 15)]
    assert "the 12 scenarios with most trials, of 15" in shown.caption
    assert {row[0] for row in shown.table.rows} == {str(i) for i in range(15)}


def test_the_least_regret_choice_is_said_and_drawn_by_scenario() -> None:
    record = survey("art_ms", "cpu_percent")
    of = sources(record)
    assert of.findings is not None
    assert of.findings.robust is not None
    section = fronts_section(of)
    shown = figures(section)["regret"]
    (bars,) = shown.plot.data
    np.testing.assert_allclose(bars.x, [100 * r for _, r in of.findings.robust.by_scenario])
    assert list(bars.y) == ["concurrency=1", "concurrency=4"]
    assert len(shown.table.rows) == 2
    assert f"Least regret over all scenarios: {of.findings.robust.decision}." in words(section)
    assert "Meets the SLO in most scenarios" in words(section)


def test_of_thousands_the_table_has_the_front_and_the_first_others() -> None:
    space = SearchSpace((Parameter("cpu", "int", "decision", 1, low=1, high=3000),))
    trials = [measured(i, {"cpu": 1 + i}, (1.0 + i, 2.0 + (i % 7) + i)) for i in range(600)]
    of = unmodelled(planted(space, trials))
    shown = figures(fronts_section(of))["front"]
    assert len(shown.table.rows) == MOST_LISTED
    assert "400 of 600" in shown.table.caption
    assert shown.table.rows[0][0] == Link("0", "trial-0")
    (dominated,) = traces(shown.plot, "dominated")
    assert len(dominated.x) == 599
    assert dominated.error_x.array is None


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ((), "Nothing was measured yet."),
        ((lost(0, {}), lost(1, {"cpu": 2.0})), "Nothing feasible was measured in 2 trials"),
        ((burst(0, 4.0, 10.0, violation=1.0),), "Nothing feasible was measured in 1 trials"),
        (
            (replace(burst(0, 4.0, 10.0), cut_short="dominated"),),
            "Nothing feasible was measured in 1 trials",
        ),
        ((burst(0, 4.0, 10.0),), "The overall front has 1 configuration."),
        (
            tuple(burst(i, 4.0 - i, 10.0 + i, cpu=cpu) for i, cpu in enumerate((0.25, 0.5, 1.0))),
            "The overall front has 3 configurations",
        ),
    ],
)
def test_studies_with_little_in_them(trials: tuple[TrialRecord, ...], said: str) -> None:
    section, _ = whole(record_of(*trials))
    assert said in words(section)
    measured_any = any(not t.imputed for t in trials)
    assert ("front" in figures(section)) == measured_any


def test_absent_parameters_are_dashes() -> None:
    batch = Parameter(
        "batch", "int", "decision", 4, choices=(4, 8), flag="b", when=Condition("cpu", "==", (2.0,))
    )
    space = SearchSpace((CONCURRENCY, CPU, batch))
    trials = [
        measured(i, c, (float(c["cpu"]), 9.0 / float(c["cpu"]))) for i, c in enumerate(space.grid())
    ]
    section, _ = whole(planted(space, trials))
    shown = figures(section)
    rows = {str(row[2]): row[3] for row in shown["front"].table.rows if row[2] in ("1", "2")}
    assert rows["1"] == "-"
    assert rows["2"] in ("4", "8")


def test_what_users_wrote_stays_text() -> None:
    word = Parameter("word", "categorical", "decision", HOSTILE, choices=(HOSTILE, "b"), env="W")
    place = Parameter("place", "categorical", "scenario", HOSTILE, choices=(HOSTILE, "c"), env="P")
    space = SearchSpace((word, place, CPU))
    trials = [measured(i, c, (1.0 + i, 20.0 - i)) for i, c in enumerate(space.grid())]
    trials[-1] = infeasible(len(trials) - 1, trials[-1].configuration, HOSTILE, HOSTILE)
    of = sources(planted(space, trials))
    assert of.findings is not None
    page = to_html(Page("t", "s", (fronts_section(of), progress(of))))
    assert "<script>alert" not in page
    assert "{{7*7}}" in page
    for figure in figures(fronts_section(of)).values():
        assert "<script" not in figure.plot.to_json().replace("\\u003c", "<")


def test_progress_has_both_curves_and_the_full_grid() -> None:
    record = survey("art_ms", "cpu_percent")
    began = datetime(2025, 1, 1, tzinfo=UTC)
    trials = tuple(
        replace(t, started=(began + timedelta(seconds=2 * t.number)).isoformat())
        for t in record.trials
    )
    section = progress(unmodelled(replace(record, trials=trials[::-2])))
    shown = figures(section)
    assert list(shown) == ["hypervolume-trials", "hypervolume-time", "timeline"]
    by_trial, by_time = (shown[n].plot for n in list(shown)[:2])
    (overall,) = traces(by_trial, "overall front")
    (mean,) = traces(by_trial, "mean over the fronts of 2 scenarios")
    for line in (overall, mean):
        assert (np.diff(line.y) >= 0).all()
        assert line.y[-1] == pytest.approx(100)
    assert list(overall.x) == sorted(t.number for t in trials[::-2])
    (grid,) = traces(by_time, "full grid, estimated: 24 s")
    assert set(grid.x) == {24.0}
    assert "The full grid of 24 configurations" in words(section)
    assert by_time.layout.meta == {"log_switch": ["x"]}


def test_the_timeline_is_a_trace_per_phase_whatever_the_number_of_trials() -> None:
    began = datetime(2025, 1, 1, tzinfo=UTC)
    phases = {"deploy": 1.0, "connect": 0.1, "impair": 0.1, "burst": 5.0, "tear down": 0.2}
    trials = [
        replace(
            burst(i, 4.0, 10.0),
            phases=phases,
            started=(began + timedelta(seconds=7 * i + 3600 * (i > 200))).isoformat(),
        )
        for i in range(300)
    ]
    section = progress(unmodelled(record_of(*trials)))
    shown = figures(section)
    bars = {t.name: t for t in shown["timeline"].plot.data}
    assert set(bars) == {"deploy", "impair", "warm-up", "measure", "tear down", "other"}
    assert all(len(t.x) == len(t.base) == len(t.y) == 300 for t in bars.values())
    (pause,) = shown["timeline"].plot.layout.annotations
    assert pause.text == "paused 60 min"
    slices = {t.name: t for t in shown["time-shares"].plot.data}
    assert slices.keys() == bars.keys()
    by_phase = {str(row[0]): row for row in shown["timeline"].table.rows}
    assert by_phase["measure"][1:4] == ("10 min", "31 %", "300")
    assert "31 % of the 32 min that trials took was measuring" in words(section)


def test_simulated_time_is_said_to_be_simulated() -> None:
    trial = replace(burst(0, 4.0, 10.0), backend="simulated")
    assert "SIMULATED" in words(progress(unmodelled(record_of(trial))))
    assert "SIMULATED" not in words(progress(unmodelled(record_of(burst(0, 4.0, 10.0)))))
