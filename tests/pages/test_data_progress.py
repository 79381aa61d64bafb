from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.study.bursts import SPACE, burst, lost
from tests.study.bursts import study as record_of
from tuner.measure.record import FailedTrial, StudyRecord, TrialRecord
from tuner.model.pareto import MARGIN, hypervolume
from tuner.results.progress import Progress, course, search_progress, trial_kinds
from tuner.results.summary import summarise
from tuner.results.timeline import Timeline, slices, timeline
from tuner.spec.space import SearchSpace
from tuner.spec.study import Objective

BEGAN = datetime(2025, 1, 1, 12, tzinfo=UTC)


def at(trial: TrialRecord, seconds: float, **phases: float) -> TrialRecord:
    """The trial as it would be recorded, so many seconds after the study began."""
    began = (BEGAN + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    return replace(trial, started=began, phases=phases or trial.phases)


def progress_of(study: StudyRecord) -> Progress:
    found = search_progress(study, summarise(study), timeline(study))
    assert found is not None
    return found


points: st.SearchStrategy[npt.NDArray[np.float64]] = st.integers(1, 3).flatmap(
    lambda m: st.lists(st.tuples(*[st.integers(0, 6).map(float)] * m), min_size=1, max_size=12).map(
        np.array
    )
)


@given(points)
def test_a_course_is_the_hypervolume_of_the_points_so_far(some: np.ndarray) -> None:
    reference = np.full(some.shape[1], 5.0)
    found = course(some, reference)
    expected = [hypervolume(some[: i + 1], reference) for i in range(len(some))]
    np.testing.assert_allclose(found, expected, atol=1e-9)


values = st.floats(0.5, 200.0)
trials = st.lists(
    st.tuples(values, values, st.sampled_from([1, 4]), st.sampled_from([0.5, 1.0, 2.0]),
              st.sampled_from([-1.0, -1.0, 1.0]), st.booleans()),
    min_size=1,
    max_size=14,
)  # fmt: skip


@given(trials)
@example([(5.0, 1.0, 1, 0.5, -1.0, False)] * 2 + [(5.0, 1.0, 1, 1.0, -1.0, False)])  # a tie
def test_the_hypervolume_never_falls_and_ends_at_the_final_one(
    some: list[tuple[float, float, int, float, float, bool]],
) -> None:
    study = record_of(
        *(
            replace(
                burst(n, art, usage, violation, concurrency=concurrency, cpu=cpu),
                cut_short="dominated" if cut else "",
            )
            for n, (art, usage, concurrency, cpu, violation, cut) in enumerate(some)
        )
    )
    summary = summarise(study)
    found = search_progress(study, summary, timeline(study))
    if not summary.front:
        assert found is None
        return
    assert found is not None
    for shares in (found.overall, found.scenarios):
        assert len(shares) == len(study.trials)
        assert (np.diff(shares) >= 0).all()
        assert shares[-1] == pytest.approx(1.0)
    assert found.overall[found.last] == pytest.approx(1.0)
    on_front = {t.configuration for t in summary.front}
    assert study.trials[found.last].configuration in on_front
    assert found.overall[found.reached(1.0)] == pytest.approx(1.0)
    assert (found.overall[: found.reached(0.5)] < 0.5).all()


def test_shares_are_on_logarithmic_axes_up_to_one_percent_beyond_the_worst() -> None:
    study = record_of(
        burst(0, 16.0, 16.0, concurrency=1),
        lost(1, {"cpu": 0.25}),
        burst(2, 4.0, 64.0, concurrency=1, cpu=2.0),
        burst(3, 2.0, 2.0, concurrency=4),
    )
    found = progress_of(study)
    log = np.log
    corner = np.array([log(16.0), log(64.0)]) + MARGIN
    np.testing.assert_allclose(found.reference, np.exp(corner))
    first = float(np.prod(corner - log([16.0, 16.0])))
    both = hypervolume(log([[16.0, 16.0], [4.0, 64.0]]), corner)
    final = float(np.prod(corner - log([2.0, 2.0])))
    np.testing.assert_allclose(found.overall, [first / final, first / final, both / final, 1.0])
    assert (found.numbers[found.last], found.fronts) == (3, 2)
    # In the first scenario trials 0 and 2 are on the front; the second one has nothing until 3.
    half = first / both / 2
    np.testing.assert_allclose(found.scenarios, [half, half, 0.5, 1.0])
    assert found.last_scenario == 3


def test_a_maximised_objective_counts_the_other_way_round() -> None:
    study = replace(
        record_of(burst(0, 1.0, 10.0), burst(1, 1.0, 40.0, cpu=2.0)),
        objectives=(Objective("art_ms", "minimize"), Objective("throughput_rps", "maximize")),
    )
    found = progress_of(study)
    assert found.overall[0] < found.overall[1]
    np.testing.assert_allclose(found.reference, [1.01, 10.0 / 1.01])


def test_without_scenarios_there_is_no_mean_over_them() -> None:
    space = SearchSpace(SPACE.with_role("decision"))
    trial = burst(0, 1.0, 1.0)
    study = replace(record_of(replace(trial, configuration=space.baseline())), search_space=space)
    found = progress_of(study)
    assert (len(found.scenarios), found.last_scenario, found.fronts) == (0, None, 0)


def test_why_a_trial_was_made() -> None:
    first, other = burst(0, 1.0, 1.0), burst(1, 1.0, 1.0, cpu=2.0)
    proposed = replace(burst(2, 1.0, 1.0, cpu=0.5), why={"acquisition": 0.1})
    gridded = replace(burst(4, 1.0, 1.0), grid_pass=0)
    study = record_of(first, other, proposed, burst(3, 2.0, 2.0), gridded)
    assert trial_kinds(study) == ("start", "start", "proposed", "again", "grid")


def test_what_other_samplers_propose_is_no_start_configuration() -> None:
    study = replace(
        record_of(burst(0, 1.0, 1.0), *(burst(1 + i, 1.0, 1.0, replicas=2 + i) for i in range(3))),
        specification={"search": {"sampler": "random"}, "budget": {"trials": 3}, "seed": 1},
    )
    assert trial_kinds(study) == ("start", "proposed", "proposed", "proposed")


def test_a_trial_takes_its_phases_one_after_another() -> None:
    first = at(burst(0, 1.0, 1.0), 0, deploy=1.0, connect=0.5, burst=6.0)
    again = at(burst(1, 1.0, 1.0), 8, **{"first attempt": 4.0}, deploy=1.0, burst=1.5)
    found = timeline(record_of(first, again))
    assert found.numbers.tolist() == [0, 1]
    np.testing.assert_allclose(found.start, [0.0, 8.0])
    measure, warm = found.spans["measure"], found.spans["warm-up"]
    # The window of these bursts is 2 s, and no longer than the burst.
    np.testing.assert_allclose(warm.start, [1.5])
    np.testing.assert_allclose(warm.seconds, [4.0])
    np.testing.assert_allclose(measure.start, [5.5, 13.0])
    np.testing.assert_allclose(measure.seconds, [2.0, 1.5])
    np.testing.assert_allclose(found.spans["other"].start, [1.0, 8.0])
    assert found.totals == pytest.approx(
        {"deploy": 2.0, "warm-up": 4.0, "measure": 3.5, "other": 4.5}
    )
    assert found.elapsed == pytest.approx(14.5)
    assert found.idle == pytest.approx(0.5)


def test_a_start_within_the_recorded_second_follows_the_trial_before() -> None:
    ends_late = at(burst(0, 1.0, 1.0), 0, burst=2.75)
    found = timeline(record_of(ends_late, at(burst(1, 1.0, 1.0), 2, burst=1.0)))
    np.testing.assert_allclose(found.start, [0.0, 2.75])
    # More than a second too early: it ran at the same time, on another worker.
    found = timeline(record_of(ends_late, at(burst(1, 1.0, 1.0), 1, burst=1.0)))
    np.testing.assert_allclose(found.start, [0.0, 1.0])
    assert found.idle == 0


def test_the_clock_stands_still_while_the_study_is_paused() -> None:
    study = record_of(
        at(burst(0, 1.0, 1.0), 0, burst=2.0),
        at(burst(1, 1.0, 1.0), 3, burst=2.0),
        at(burst(2, 1.0, 1.0), 7205, burst=2.0),
    )
    found = timeline(study)
    assert [(p.at, p.seconds) for p in found.pauses] == [(5.0, 7200.0)]
    np.testing.assert_allclose(found.start, [0.0, 3.0, 5.0])
    assert (found.elapsed, found.idle) == (7.0, 1.0)


def test_failed_trials_are_on_the_timeline_where_their_time_is_known() -> None:
    broken = at(burst(1, 1.0, 1.0), 3, burst=4.0)
    study = replace(
        record_of(at(burst(0, 1.0, 1.0), 0, burst=2.0), replace(lost(4, {}), phases={}, same_as=2)),
        failed=(
            FailedTrial(1, broken.configuration, "INVALID twice", broken),
            FailedTrial(2, broken.configuration, "its process was killed"),
        ),
    )
    found = timeline(study)
    assert found.numbers.tolist() == [0, 1]
    assert found.failed.tolist() == [False, True]
    assert found.untimed == 2
    assert found.end == {0: 2.0, 1: 7.0}


def test_an_empty_study_has_an_empty_timeline() -> None:
    found = timeline(record_of())
    assert (found.elapsed, found.idle, found.totals, found.pauses) == (0, 0, {}, ())
    assert search_progress(record_of(), summarise(record_of()), found) is None


lasted = st.floats(0.0, 40.0)
timed = st.lists(
    st.tuples(st.integers(0, 30_000), lasted, lasted, lasted, lasted), min_size=1, max_size=10
)


@given(timed, st.integers(1, 30))
def test_every_second_of_every_phase_is_on_the_timeline_once(
    some: list[tuple[int, float, float, float, float]], count: int
) -> None:
    study = record_of(
        *(
            at(burst(n, 1.0, 1.0), began, **{"deploy": a, "impair": b, "burst": c, "tear down": d})
            for n, (began, a, b, c, d) in enumerate(some)
        )
    )
    found = timeline(study)
    _each_phase_adds_up(found, study)
    ends = np.zeros(len(found.numbers))
    for spans in found.spans.values():
        np.maximum.at(ends, spans.row, spans.start + spans.seconds)
    long = found.seconds > 0
    np.testing.assert_allclose(ends[long], (found.start + found.seconds)[long], atol=1e-6)
    edges, by_phase = slices(found, count)
    assert (edges[0], edges[-1]) == (0.0, found.elapsed)
    for phase, seconds in by_phase.items():
        assert (seconds > -1e-6).all()
        assert seconds.sum() == pytest.approx(found.totals.get(phase, 0.0), abs=1e-6)


def _each_phase_adds_up(found: Timeline, study: StudyRecord) -> None:
    by_name = {t.number: t for t in study.trials}
    for row, number in enumerate(found.numbers):
        own = {p: float(s.seconds[s.row == row].sum()) for p, s in found.spans.items()}
        phases = by_name[int(number)].phases
        assert own["deploy"] == pytest.approx(phases["deploy"])
        assert own["warm-up"] + own["measure"] == pytest.approx(phases["burst"])
        assert sum(own.values()) == pytest.approx(by_name[int(number)].seconds)
