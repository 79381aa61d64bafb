"""A study that is served from a recorded grid."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import Study

from tests.backends.grids import BURST_SECONDS, differing, file_of, grid_of, usual
from tests.study.small import specification
from tuner.backends.backend import BackendOptions
from tuner.backends.replay import replay_backend
from tuner.backends.replay_table import ReplayTable
from tuner.errors import InputError
from tuner.spec.load import results_directory
from tuner.spec.space import Configuration
from tuner.spec.study import SearchSpec, StudySpec
from tuner.study.loop import goal, run_study
from tuner.study.queue import queue_repeat
from tuner.study.start import start_or_resume
from tuner.study.storage import records, study_record

DELAY = ("  loss:", "  delay: {role: scenario, type: float, choices: [9], default: 9}\n  loss:")


def random(*changes: tuple[str, str]) -> StudySpec:
    """The small study with a sampler that is quick."""
    search = SearchSpec(sampler="random", cut_short=False, confirm=0)
    return replace(specification(*changes), search=search)


def replayed(
    spec: StudySpec,
    table: ReplayTable,
    more: int | None = None,
    repeats: tuple[int, ...] = (),
    storage: BaseStorage | None = None,
    passes: int = 0,
) -> Study:
    """Run the study, or go on with it in `storage`."""
    study = start_or_resume(spec, storage or InMemoryStorage(), "replay")
    for number in repeats:
        queue_repeat(spec, study, number)
    until = goal(spec, study, more, len(repeats), passes)
    backend = replay_backend(spec, BackendOptions(file_of(table), study_record(study)))
    run_study(spec, study, backend, results_directory(spec), until)
    return study


def test_a_study_is_served_what_was_recorded() -> None:
    spec = random()
    table = grid_of(spec)
    trials = records(replayed(spec, table))
    assert len(trials) == 8
    assert {t.outcome for t in trials} == {"measured", "infeasible"}
    for trial in trials:
        found = usual(trial.configuration, 0)
        assert trial.backend == "replay"
        assert trial.samples is None
        if isinstance(found, str):
            assert (trial.outcome, trial.reason) == ("infeasible", found)
            assert "recorded grid small" in trial.detail
            continue
        assert trial.values == pytest.approx((found["art_ms"], found["cpu_percent"]))
        art = trial.metric("art_ms")
        assert art is not None
        assert art.low == pytest.approx(0.95 * found["art_ms"])
        assert trial.feasible


def test_everything_says_that_it_is_replayed_and_from_what() -> None:
    spec = random()
    record = study_record(replayed(spec, grid_of(spec), more=2))
    assert record.environment["backend"] == "replay"
    assert record.environment["replayed"]["study"] == "small"
    assert record.environment["replayed"]["backend"] == "docker"
    assert record.environment["host"]["cpus"] == 2
    assert {t.deployment["backend"] for t in record.trials} == {"replay"}
    assert all(
        t.measurement.stop_reason.startswith("replayed: ") for t in record.trials if t.measurement
    )


def test_the_same_seed_is_served_the_same_also_after_a_break() -> None:
    spec = random()
    table = grid_of(spec, differing, passes=3)
    whole = records(replayed(spec, table))
    storage = InMemoryStorage()
    assert len(records(replayed(spec, table, more=3, storage=storage))) == 3
    parts = records(replayed(spec, table, more=5, storage=storage))
    assert [t.values for t in parts] == [t.values for t in whole]
    assert [t.configuration for t in parts] == [t.configuration for t in whole]
    assert len({t.deployment["pass"] for t in whole}) > 1


def test_a_repeat_is_served_another_pass_while_there_are_some() -> None:
    spec = random()
    table = grid_of(spec, differing, passes=3)
    storage = InMemoryStorage()
    replayed(spec, table, storage=storage)
    replayed(spec, table, repeats=(0,), storage=storage)
    baseline = spec.search_space.baseline()
    done = records(replayed(spec, table, repeats=(0, 0, 0), storage=storage))
    trials = [t for t in done if t.configuration == baseline]
    assert len(trials) == 5
    passes = [t.deployment["pass"] for t in trials]
    assert set(passes[:3]) == {0, 1, 2}
    assert passes[3:] == passes[:2]
    assert len({t.values for t in trials}) == 3
    # There are three: what comes after them is no further measurement, and says so.
    told = ["served before" in str(t.measurement and t.measurement.findings) for t in trials]
    assert told == [False, False, False, True, True]


def test_trials_cost_what_they_took_and_staying_saves_the_deployment() -> None:
    spec = random(("budget: {trials: 8}", "budget: {trials: 36}"))
    table = grid_of(spec)
    trials = records(replayed(spec, table))
    assert len(trials) == 36
    deployed = None
    for trial in trials:
        now = spec.search_space.deployment_of(trial.configuration)
        assert trial.phases["burst"] == BURST_SECONDS
        stays = now == deployed and trial.outcome == "measured"
        if stays:
            assert trial.stayed
        assert trial.deploy_seconds == (0 if trial.stayed else 6)
        assert trial.seconds == BURST_SECONDS + trial.deploy_seconds
        deployed = now if trial.outcome == "measured" else None
    assert any(t.stayed for t in trials)
    never = replace(spec, search=replace(spec.search, stay=False))
    assert {t.seconds for t in records(replayed(never, table))} == {8.0}


def test_a_budget_of_seconds_is_one_of_recorded_seconds() -> None:
    spec = random()
    spec = replace(
        spec,
        budget=replace(spec.budget, trials=None, seconds=30.0),
        search=replace(spec.search, stay=False),
    )
    # 2 s of burst and 6 s around it: the fourth trial passes 30 s.
    assert len(records(replayed(spec, grid_of(spec)))) == 4


def test_a_full_grid_is_replayed_each_pass_once() -> None:
    spec = replace(specification(), search=SearchSpec(sampler="grid"))
    table = grid_of(spec, differing)
    trials = records(replayed(spec, table, passes=2))
    assert len(trials) == 72
    served = Counter((t.configuration, t.deployment["pass"]) for t in trials if t.same_as is None)
    assert set(served.values()) == {1}


@pytest.mark.parametrize(
    ("change", "problem", "mend"),
    [
        (
            ("[0.25, 0.5, 1], default: 1", "[0.5, 0.75, 1], default: 1"),
            "parameter 'cpu' may be 0.75, which was not recorded",
            "0.25, 0.5, 1",
        ),
        (("choices: [0.25, 0.5, 1]", "low: 0.1, high: 1"), "'cpu' is continuous", "0.25, 0.5, 1"),
        (
            DELAY,
            "search space has the parameter 'delay', and the grid does not",
            "leave it out",
        ),
        (("load: {", "load: {timeout_seconds: 3, "), "load.timeout_seconds is 3", "the grid"),
        (("load: {", "serving: {flags: {a: 1}}\nload: {"), "serving.flags is", "of the grid"),
        (("art_ms, cpu_percent", "p99_ms, cpu_percent"), "p99_ms is recorded in 0 of 48", "art_ms"),
        (("error_rate <=", "p95_ms <="), "p95_ms is recorded in 0 of 48", "art_ms"),
    ],
)  # fmt: skip
def test_a_study_outside_the_grid_is_refused(
    change: tuple[str, str], problem: str, mend: str
) -> None:
    file = file_of(grid_of(specification()))
    with pytest.raises(InputError) as caught:
        replay_backend(specification(change), BackendOptions(file))
    assert problem in caught.value.message
    assert "study 'small'" in caught.value.message
    assert "grid.parquet" in caught.value.message
    assert mend in caught.value.mend


def test_a_grid_with_more_parameters_or_holes_is_refused() -> None:
    wide = grid_of(specification(DELAY))
    with pytest.raises(InputError, match="grid has the parameter 'delay', and the search"):
        replay_backend(specification(), BackendOptions(file_of(wide)))
    spec = specification()
    table = grid_of(spec)
    holes = replace(table, trials=table.trials[1:36])
    with pytest.raises(InputError, match="1 of its 36 configurations were not recorded") as caught:
        replay_backend(spec, BackendOptions(file_of(holes)))
    assert str(table.trials[0].configuration) in caught.value.message


def test_a_smaller_space_and_other_roles_are_served() -> None:
    table = grid_of(specification())
    small = specification(("[8, 64, 256]", "[64, 256]"), ("role: scenario", "role: decision"))
    assert replay_backend(small, BackendOptions(file_of(table))).name == "replay"


def test_trials_of_two_grids_are_never_mixed() -> None:
    spec = random()
    storage = InMemoryStorage()
    replayed(spec, grid_of(spec), more=2, storage=storage)
    with pytest.raises(InputError, match="begun with another recorded grid"):
        replayed(spec, grid_of(spec, passes=3), more=2, storage=storage)


def test_the_file_must_be_named() -> None:
    with pytest.raises(InputError, match="needs a recorded grid") as caught:
        replay_backend(specification())
    assert "--replay FILE" in caught.value.mend
    with pytest.raises(InputError, match="not a readable Parquet file"):
        replay_backend(specification(), BackendOptions(Path("none.parquet")))


def test_doubts_of_the_recorded_trial_stay_with_it() -> None:
    spec = random()
    table = grid_of(spec)
    doubtful = tuple(
        replace(t, verdict="WARN") if t.outcome == "measured" else t for t in table.trials
    )
    trials = records(replayed(spec, replace(table, trials=doubtful), more=4))
    verdicts = {t.measurement.verdict for t in trials if t.measurement}
    assert verdicts == {"WARN"}


def test_a_configuration_that_served_in_one_pass_only_is_served_both_ways() -> None:
    def wavering(configuration: Configuration, grid_pass: int) -> object:
        return "never ready" if grid_pass == 1 else usual(configuration, 0)

    spec = random()
    table = grid_of(spec, wavering)  # type: ignore[arg-type] # as `Values`
    storage = InMemoryStorage()
    replayed(spec, table, storage=storage)
    done = records(replayed(spec, table, repeats=(0,), storage=storage))
    trials = [t for t in done if t.configuration == spec.search_space.baseline()]
    assert {t.outcome for t in trials} == {"measured", "infeasible"}
    assert {t.reason for t in trials} == {"", "never ready"}
