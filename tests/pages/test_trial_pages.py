from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from tests.export import small
from tests.study.small import FEASIBLE, run, specification
from tuner.measure.measurement import Estimate, Finding, Measurement
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages.blocks import Block, Facts, Figure, Log, Section, Table, Words
from tuner.pages.requests import requests
from tuner.pages.sources import Sources
from tuner.pages.trials import trial_pages
from tuner.results.baseline import changes
from tuner.results.on_fronts import OnFronts, on_fronts
from tuner.results.study_file import FinishedStudy
from tuner.results.summary import summarise
from tuner.spec.load import results_directory
from tuner.spec.study import Objective
from tuner.study.storage import default_url, finished_study, open_storage

NASTY = "<script>alert('1')</script>\n\"quoted\""
MOST_BYTES = 40_000


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedStudy]:
    """A simulated study with its samples: 12 configurations in two scenarios, all of them."""
    with contextlib.chdir(tmp_path_factory.mktemp("simulated")):
        spec = specification(FEASIBLE, ("trials: 8", "trials: 12"))
        run(spec)
        results = results_directory(spec)
        storage = open_storage(default_url(results, "simulated"), create=False)
        found = finished_study(spec.name, storage, results)
        samples = {
            t.samples: found.sample_file(t.samples) for t in found.record.trials if t.samples
        }
        yield FinishedStudy(found.record, samples.get)


def unsampled(record: StudyRecord) -> FinishedStudy:
    return FinishedStudy(record, lambda _: None)


def of_kind(section: Section, kind: type[Block]) -> list[Block]:
    return [block for block in section.blocks if isinstance(block, kind)]


def figures(section: Section) -> list[Figure]:
    return [block for block in section.blocks if isinstance(block, Figure)]


def words(section: Section) -> str:
    return "\n".join(block.text for block in section.blocks if isinstance(block, Words))


def fact(section: Section, name: str) -> str:
    rows = dict(row for b in section.blocks if isinstance(b, Facts) for row in b.rows)
    found = rows[name]
    assert isinstance(found, str)
    return found


def check_whole(section: Section) -> None:
    """Every figure has its table, every row its cells, every name its form."""
    for block in section.blocks:
        table = block.table if isinstance(block, Figure) else block
        if isinstance(table, Table):
            assert all(len(row) == len(table.columns) for row in table.rows)
            assert len(table.rows) <= 50
        if isinstance(block, Figure):
            assert re.fullmatch(r"[a-z0-9-]+", block.name)
            assert block.table.rows
            assert block.caption
            switched = (block.plot.layout.meta or {}).get("log_switch", ())
            axes = {"x": block.plot.select_xaxes, "y": block.plot.select_yaxes}
            assert all(axis.type for name in switched for axis in axes[name]())
            assert all(axis.title.text for axis in axes["y"]())


def weight(section: Section) -> int:
    """Bytes of JSON of all that the page shows."""
    figures_ = sum(len(f.plot.to_json()) for f in figures(section))
    rest = [dataclasses.asdict(b.table if isinstance(b, Figure) else b) for b in section.blocks]
    return figures_ + len(json.dumps(rest, default=sorted))


def test_every_configuration_of_any_front_has_one_page(simulated: FinishedStudy) -> None:
    sources = Sources.of(simulated)
    pages = trial_pages(sources)
    fronts = [sources.summary.front, *(s.front for s in sources.summary.scenarios)]
    numbers = {t.number for front in fronts for t in front}
    assert len(numbers) > 2
    assert sorted(p.name for p in pages) == sorted(f"trial-{n}" for n in numbers)
    names = [f.name for p in pages for f in figures(p)]
    assert len(names) == len(set(names))
    for page in pages:
        check_whole(page)
        assert weight(page) < MOST_BYTES
        kinds = {f.name.rsplit("-", 1)[1] for f in figures(page)}
        assert {"latency", "percentiles", "time"} <= kinds
        number = int(page.name.removeprefix("trial-"))
        trial = simulated.record.trial(number)
        assert trial is not None
        assert ("replicas" in kinds) == (trial.configuration["replicas"] == 2)
        assert f"Trial {number}:" in page.title
        assert "core" in page.title


def test_pages_are_the_same_each_time(simulated: FinishedStudy) -> None:
    def drawn() -> list[str]:
        sources = Sources.of(simulated)
        sections = (*trial_pages(sources), requests(sources))
        return [f.plot.to_json() for s in sections for f in figures(s)]

    assert drawn() == drawn()


def test_a_page_says_on_which_fronts_it_is_and_how_it_compares(simulated: FinishedStudy) -> None:
    sources = Sources.of(simulated)
    known = compared(sources.record)
    for page in trial_pages(sources):
        of = known[int(page.name.removeprefix("trial-"))]
        lead = next(b for b in page.blocks if isinstance(b, Words))
        assert lead.tone == "lead"
        assert ("the overall front" in lead.text) == (None in of.fronts)
        for scenario in of.fronts:
            assert scenario is None or str(scenario) in lead.text
        assert ("ecommended" in lead.text) == bool(of.recommends)
        against = [name for name, _ in _facts(page) if name.startswith("... against")]
        assert len(against) == (2 if of.reference is not None else 0)
        if of.reference is not None:
            named = [trace.name for trace in figures(page)[0].plot.data]
            reference = of.reference.representative.number
            assert any(f"burst of trial {reference}" in str(name) for name in named)


def test_it_is_compared_with_the_baseline_in_its_own_scenario_where_that_is_known() -> None:
    busy = small.trial(6, 60.0, 60.0, configuration={**small.BUSY, "cpu": 2.0})
    of = compared(small.study(small.trial(0, 10.0, 40.0), busy))[6]
    assert of.reference is not None
    assert of.reference.representative.number == 0
    assert not of.alike
    assert of.fronts == (small.SPACE.scenario_of(busy.configuration),)

    default = small.trial(7, 90.0, 50.0, configuration={**small.BUSY, "cpu": 1.0})
    both = compared(small.study(small.trial(0, 10.0, 40.0), busy, default))
    of = both[6]
    assert of.reference is not None
    assert of.reference.representative.number == 7
    assert of.alike
    by = changes(of.pooled, of.reference)[0]
    assert by is not None
    assert by.value == pytest.approx(100 * (60 / 90 - 1))
    assert by.low is not None
    assert by.high is not None
    assert by.low < by.value < by.high
    assert both[7].reference is None


def test_without_samples_it_says_so_and_shows_what_is_known(simulated: FinishedStudy) -> None:
    sources = Sources.of(unsampled(simulated.record))
    for page in trial_pages(sources):
        check_whole(page)
        assert "No samples are kept" in words(page)
        assert not [f for f in figures(page) if f.name.endswith(("latency", "time"))]
        assert [f for f in figures(page) if f.name.endswith("percentiles")]
    section = requests(sources)
    assert not figures(section)
    assert "No samples are kept of the baseline (trial 0)" in words(section)


def test_everything_that_speaks_against_a_measurement_is_on_its_page() -> None:
    one = small.trial(0, 10.0, 40.0)
    assert one.measurement is not None
    doubted = replace(
        one,
        measurement=replace(one.measurement, errors={"TIMEOUT": 3}),
        attempts=2,
        discarded=(Finding("INVALID", "others were busy", "Wait."),),
        why={"reason": "tells most", "mean": [9.0, 41.0], "sd": [0.1, 0.2], "feasible": 0.9},
        log_tail="replica 0:\nready",
        impairment={
            "method": "netem",
            "rules": [
                {"replica": 0, "direction": "in", "asked_percent": 1.0, "packets": 0, "dropped": 0}
            ],
        },
        deployment={"stayed": False, "limits": [{"cpu": 0.5}, {"cpu": 1.0}], "since": "0000"},
    )
    (page,) = trial_pages(Sources.of(unsampled(small.study(doubted))))
    check_whole(page)
    doubts = [b.text for b in page.blocks if isinstance(b, Words) and b.tone == "doubt"]
    assert doubts == [
        "WARN: few requests. measure longer",
        "Requests that did not succeed: 3 TIMEOUT",
        "It was measured twice; the first time did not count: INVALID: others were busy",
    ]
    assert fact(page, "verdict") == "WARN"
    assert "Why it was proposed: tells most." in words(page)
    assert "ART (ms) 9 (7.4-10.9)" in words(page)
    assert of_kind(page, Log) == [Log("The end of the containers' log", "replica 0:\nready")]
    tables = {b.caption: b.rows for b in page.blocks if isinstance(b, Table)}
    assert ("limits 1: cpu", "1") in tables["Deployment"]
    assert ("stayed", "no") in tables["Deployment"]
    assert tables["Packets that the rules saw and dropped"] == (("0", "in", "1 %", "0", "0", "-"),)


def test_one_objective_three_and_conditions(simulated: FinishedStudy) -> None:
    for names in (("art_ms",), ("art_ms", "cpu_percent", "p95_ms")):
        record = with_objectives(simulated.record, names)
        sources = Sources.of(replace(simulated, record=record))
        pages = trial_pages(sources)
        assert pages
        for page in pages:
            check_whole(page)
            assert fact(page, "ART (ms)")
        check_whole(requests(sources))


@pytest.mark.parametrize("trials", [(), (small.trial(0, 10.0, 40.0),), (small.infeasible(4),)])
def test_little_or_nothing_was_measured(trials: tuple[TrialRecord, ...]) -> None:
    sources = Sources.of(unsampled(small.study(*trials)))
    pages = trial_pages(sources)
    assert len(pages) == sum(t.measurement is not None for t in trials)
    section = requests(sources)
    check_whole(section)
    assert section.blocks
    if not pages:
        assert "There is no baseline trial" in words(section)


def test_what_others_wrote_stays_text() -> None:
    one = small.trial(0, 10.0, 40.0, configuration={"salt": NASTY})
    hostile = replace(one, log_tail=NASTY, why={"reason": NASTY}, deployment={NASTY: [NASTY]})
    (page,) = trial_pages(Sources.of(unsampled(small.study(hostile))))
    assert NASTY in page.title
    assert NASTY in words(page)
    for figure in figures(page):
        check_whole(page)
        assert "<script" not in figure.plot.to_json()


def test_the_first_requests_are_drawn_with_and_without_them(simulated: FinishedStudy) -> None:
    sources = Sources.of(simulated)
    section = requests(sources)
    check_whole(section)
    names = [f.name for f in figures(section)]
    assert names[0] == "requests-in-order"
    figure = figures(section)[0]
    assert figure.plot.layout.meta["log_switch"] == ["x", "y"]
    assert [view.name for view in figure.views] == ["none", "the first", "the first two"]
    assert sum(len(view.traces) for view in figure.views) == len(figure.plot.data)
    for skip, view in enumerate(figure.views):
        drawn = [trace for i, trace in enumerate(figure.plot.data) if i in view.traces]
        firsts = {int(min(trace.x)) for trace in drawn if "open" not in str(trace.marker)}
        assert firsts == {skip + 1}
        assert {trace.visible for trace in drawn} == {skip == 0}
    baseline = simulated.record.baseline
    assert baseline is not None
    assert baseline.measurement is not None
    counts = [row[3] for row in figure.table.rows if "baseline" in str(row[0]) and row[2] == "none"]
    recording = simulated.recording(baseline)
    assert recording is not None
    assert sum(int(str(c).replace(",", "")) for c in counts) == len(recording.samples)
    said = words(section)
    assert f"{baseline.measurement.warmup_requests:,} (baseline, trial 0)" in said
    assert "never counted" in said
    assert re.search(r"Baseline \(trial 0\): its first request took [0-9.]+ times", said)


def test_a_deployment_that_stayed_is_not_taken_for_a_cold_one(simulated: FinishedStudy) -> None:
    def stayed(trial: TrialRecord) -> TrialRecord:
        return replace(trial, deployment={**trial.deployment, "stayed": True})

    record = simulated.record
    all_stayed = replace(record, trials=tuple(map(stayed, record.trials)))
    section = requests(Sources.of(replace(simulated, record=all_stayed)))
    assert "Trial 0 was measured on the deployment of an earlier trial" in words(section)
    leads = [b.text for b in section.blocks if isinstance(b, Words) and b.tone == "lead"]
    assert leads == []

    # A fresh deployment of the same configuration goes before it.
    fresh = replace(record.trials[0], number=90)
    mixed = replace(record, trials=(stayed(record.trials[0]), *record.trials[1:], fresh))
    section = requests(Sources.of(replace(simulated, record=mixed)))
    assert "Baseline (trial 90)" in words(section)
    assert "Over the study's deployments that stayed up (1 of 1 bursts)" in words(section)


def with_objectives(record: StudyRecord, names: tuple[str, ...]) -> StudyRecord:
    def scored(trial: TrialRecord) -> TrialRecord:
        assert trial.measurement is not None
        return replace(trial, values=tuple(_value(trial.measurement, n) for n in names))

    return replace(
        record,
        objectives=tuple(Objective(name, "minimize") for name in names),
        trials=tuple(map(scored, record.trials)),
    )


def _value(measurement: Measurement, name: str) -> float:
    return measurement.metrics.get(name, Estimate(1.0)).value


def compared(record: StudyRecord) -> Mapping[int, OnFronts]:
    """What each configuration on a front is compared with, by its trial."""
    found = on_fronts(record, summarise(record))
    return {of.pooled.representative.number: of for of in found}


def _facts(page: Section) -> list[tuple[str, object]]:
    return [row for b in page.blocks if isinstance(b, Facts) for row in b.rows]
