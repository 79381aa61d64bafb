from __future__ import annotations

from optuna.study import Study

from tests.study.small import FEASIBLE, opened, run, specification
from tests.study.worlds import in_turn, untrusted
from tuner.measure.pruning import pruner_of
from tuner.measure.record import TrialRecord
from tuner.results.summary import summarise
from tuner.search.observed import observations
from tuner.spec.study import StudySpec
from tuner.study.storage import records, study_record

LONG = ("{min_seconds: 0.5, max_seconds: 1,", "{min_seconds: 2, max_seconds: 3,")
CUT = ("cut_short: false", "cut_short: true")
BOTH_AT_ONCE = ("[art_ms, cpu_percent]", "[art_ms, throughput_rps]")


def cutting(*changes: tuple[str, str]) -> StudySpec:
    """Twelve configurations that can serve; one that is slower than another is worse in all."""
    return specification(FEASIBLE, LONG, BOTH_AT_ONCE, CUT, *changes)


def short(study: Study) -> list[TrialRecord]:
    return [t for t in records(study) if t.cut_short]


def test_bursts_of_dominated_configurations_are_cut_short_and_told_so() -> None:
    spec = cutting()
    study = run(spec, more=10)
    cut = short(study)
    assert cut
    summary = summarise(study_record(study))
    shown = [*summary.front, *(t for s in summary.scenarios for t in s.front)]
    metrics = [o.metric for o in spec.objectives]
    seen = {o.number: o for o in observations(spec.search_space, study.get_trials(), metrics)}
    by_number = {t.number: t for t in records(study)}
    for trial in cut:
        assert trial.outcome == "measured"
        assert trial.feasible
        assert not trial.eligible
        assert trial not in shown
        assert trial.measurement is not None
        assert trial.measurement.stop_reason.startswith("simulated: cut short after ")
        assert 0.9 <= trial.measurement.window_seconds < 2
        assert 0 < trial.measurement.saved_seconds < 3
        assert seen[trial.number].cut_short
        assert TrialRecord.from_json(trial.to_json()) == trial
        rival = by_number[int(trial.cut_short.split()[1])]
        assert rival.eligible
        assert rival.number < trial.number
        scenario = spec.search_space.scenario_of
        assert scenario(rival.configuration) == scenario(trial.configuration)
        assert trial.values[0] > rival.values[0]
        assert trial.values[1] < rival.values[1]
    assert all(t.eligible for t in shown)
    baseline = spec.search_space.baseline()
    other = next(t.configuration for t in cut)
    pruner = pruner_of(study_record(study), other, host_cpus=2)
    assert pruner is not None
    assert pruner.rivals
    assert not {r.number for r in pruner.rivals} & {t.number for t in cut}
    assert pruner_of(study_record(study), baseline, host_cpus=2) is None


def test_nothing_is_cut_short_where_the_study_does_not_want_it() -> None:
    assert short(run(specification(FEASIBLE, LONG, BOTH_AT_ONCE), more=8)) == []


def test_a_burst_whose_constraint_is_surely_broken_is_cut_short_and_infeasible() -> None:
    spec = cutting(("error_rate <= 0.01", "error_rate <= 0.01, p50_ms <= 3"))
    broken = [t for t in short(run(spec, more=10)) if "p50_ms <= 3" in t.cut_short]
    assert broken
    for trial in broken:
        assert trial.cut_short == "p50_ms <= 3 is surely broken"
        assert trial.violations["p50_ms <= 3"] > 0
        assert not trial.feasible


def test_baselines_and_repeats_are_measured_to_the_end() -> None:
    spec = cutting(("baseline_every: 0", "baseline_every: 2"))
    study = run(spec, more=10)
    cut = short(study)
    assert cut
    baseline = spec.search_space.baseline()
    assert all(t.configuration != baseline for t in cut)
    count = len(records(study))
    repeats = records(run(spec, repeats=tuple(t.number for t in cut)))[count:]
    again = [t for t in repeats if t.configuration in {c.configuration for c in cut}]
    assert len(again) == len(cut)
    assert not any(t.cut_short for t in again)


def test_both_attempts_of_a_trial_may_be_cut_short() -> None:
    spec = cutting()
    first = short(run(spec, more=10))[0].number
    bursts = in_turn([*[False] * first, True])
    study = run(spec, more=first + 1, backend=untrusted(spec, bursts), database="again")
    trial = records(study)[first]
    assert trial.attempts == 2
    assert trial.cut_short
    assert records(opened(spec, "again"))[first] == trial
