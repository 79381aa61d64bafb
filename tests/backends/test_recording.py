"""A study's trials become a recorded grid."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from tests.backends.grids import file_of
from tests.study.small import FEASIBLE, opened, run, specification, url_of
from tests.study.worlds import in_turn, untrusted
from tuner.backends.recording import passes_of, recorded_grid
from tuner.backends.replay_file import read_table
from tuner.backends.replay_table import ReplayTable
from tuner.errors import InputError
from tuner.measure.record import TrialRecord
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec
from tuner.study.storage import ENVIRONMENT, open_storage, records, stored_record


def table_of(spec: StudySpec) -> ReplayTable:
    return recorded_grid(stored_record(spec.name, open_storage(url_of(spec), create=False)))


def test_each_trial_is_there_with_what_it_measured_and_took() -> None:
    spec = specification()
    done = records(run(spec))
    table = table_of(spec)
    assert len(table.trials) == len(done) == 8
    assert {t.outcome for t in table.trials} == {"measured", "infeasible"}
    for trial, record in zip(table.trials, done, strict=True):
        assert (trial.number, trial.configuration) == (record.number, record.configuration)
        assert (trial.outcome, trial.reason) == (record.outcome, record.reason)
        assert trial.metrics == (record.measurement.metrics if record.measurement else {})
        assert trial.seconds == pytest.approx(record.seconds)
        assert trial.stayed == record.stayed
    assert read_table(file_of(table)).search_space == spec.search_space


def test_what_failed_is_counted_and_not_there() -> None:
    spec = specification(FEASIBLE)
    run(spec, more=3, backend=untrusted(spec, in_turn([False, True, True])))
    table = table_of(spec)
    assert (len(table.trials), table.failed) == (3, 1)
    assert 1 not in {t.number for t in table.trials}


def test_neither_the_host_s_name_nor_its_paths_are_kept() -> None:
    spec = specification()
    study = run(spec, more=1)
    environment = {
        **study.user_attrs[ENVIRONMENT],
        "host": {"name": "a-host-of-mine", "cpus": 2},
        "storage": ["/srv/me/data", "kept"],
        "engine": "tcp://192.0.2.1:2375",
        "calibration": {"socket": "/run/x", "floor_ms": 0.05},
    }
    study.set_user_attr(ENVIRONMENT, environment)
    path = file_of(table_of(spec))
    found = read_table(path).environment
    assert found["host"] == {"cpus": 2}
    assert found["storage"] == ["kept"]
    assert found["calibration"] == {"floor_ms": 0.05}
    whole = path.read_bytes()
    for secret in ("a-host-of-mine", "/srv/me", "192.0.2.1", "/run/x", str(Path.cwd())):
        assert secret.encode() not in whole
    assert platform.node() not in json.dumps(found)


def record(number: int, value: float, grid_pass: int | None) -> TrialRecord:
    configuration = Configuration.of({"cpu": value})
    return TrialRecord(number, configuration, "measured", (), {}, {}, "", grid_pass=grid_pass)


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ([(1.0, None), (2.0, None), (1.0, None)], [0, 0, 1]),
        ([(1.0, 0), (2.0, 0), (1.0, 1), (2.0, 1)], [0, 0, 1, 1]),
        ([(1.0, None), (1.0, 0), (2.0, 0), (1.0, 1), (1.0, None)], [2, 0, 0, 1, 3]),
    ],
    ids=["a search", "a grid", "a grid with baselines between"],
)
def test_a_trial_without_a_pass_takes_the_first_that_is_free(
    trials: list[tuple[float, int | None]], expected: list[int]
) -> None:
    made = [record(i, *trial) for i, trial in enumerate(trials)]
    assert list(passes_of(made)) == expected


def test_there_must_be_a_study() -> None:
    spec = specification()
    opened(spec)
    with pytest.raises(InputError, match="no study 'other'"):
        stored_record("other", open_storage(url_of(spec), create=False))
