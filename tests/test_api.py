"""`from tuner import Study`: the front door, on a simulated study."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import optuna
import pandas as pd
import pytest

from tests.cli.small_study import small_study
from tuner import Study
from tuner.api import Begun
from tuner.errors import InputError
from tuner.spec.study import Stage
from tuner.study.loop import Finished


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the study `small`, whose 12 trials have run."""
    root = tmp_path_factory.mktemp("api")
    path = root / "studies" / "small" / "study.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(small_study(trials=12, replicas="[1, 2]"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        Study.open("small", backend="simulated").run()
    return root


@pytest.fixture
def study(place: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(place)
    return Study.open("small", backend="simulated")


def test_trials_are_a_table_with_intervals(study: Study) -> None:
    table = study.trials
    assert list(table.index) == list(range(12))
    assert table.index.name == "trial"
    assert {"cpu", "replicas", "outcome", "feasible", "art_ms", "art_ms_low"} <= set(table)
    measured = table[table["outcome"] == "measured"]
    assert (measured["art_ms_low"] <= measured["art_ms"]).all()
    assert (measured["art_ms"] <= measured["art_ms_high"]).all()
    for trial in study.record.trials:
        estimate = trial.metric("art_ms")
        assert estimate is not None
        assert table.loc[trial.number, "art_ms"] == estimate.value


def test_a_front_is_sorted_and_belongs_to_its_scenario(study: Study) -> None:
    for scenario in ({"concurrency": 4}, "concurrency=1"):
        front = study.front(scenario)
        assert len(front) > 0
        assert front["art_ms"].is_monotonic_increasing
        assert front["cpu_percent"].is_monotonic_decreasing
        assert len(set(front["concurrency"])) == 1
    assert set(study.front().index) <= set(study.trials.index)


def test_a_prediction_is_in_the_objectives_units(study: Study) -> None:
    expected = study.predict({"cpu": 0.5, "concurrency": 4})
    assert expected.configuration["replicas"] == 1  # the default
    (art, _) = expected.values  # noqa: PD011 -- no table
    assert art.low is not None
    assert art.high is not None
    assert art.low < art.value < art.high
    with pytest.raises(InputError, match="no parameter 'gpu'"):
        study.predict({"gpu": 1})
    with pytest.raises(InputError, match="cannot predict"):
        study.predict({"cpu": 0.7})


def test_it_reports_and_exports_to_files(study: Study, tmp_path: Path) -> None:
    page = study.report(tmp_path / "page.html")
    assert page.read_text().lstrip().startswith("<!doctype html>")
    output = tmp_path / "service.env"
    text = study.export("env", scenario={"concurrency": 4}, output=output)
    assert output.read_text() == text
    with pytest.raises(InputError, match="format env does not take --port"):
        study.export("env", port=80)


def test_a_study_file_answers_as_the_study_does(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "small.study.zip"
    study.export("study", output=file)
    opened = Study.open(file)
    pd.testing.assert_frame_equal(opened.trials, study.trials)
    with pytest.raises(InputError, match="cannot be run"):
        opened.run(1)


def test_verify_judges_an_exported_file(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    (tmp_path / "model" / "1").mkdir(parents=True)
    (tmp_path / "model" / "1" / "saved_model.pb").write_bytes(b"model")
    study.export("compose", scenario="concurrency=4", output=file, model_path=tmp_path / "model")
    verified = study.verify(file)
    assert verified.verdict in {"as predicted", "not as predicted"}
    assert [j.metric for j in verified.judged] == ["art_ms", "cpu_percent"]


@pytest.mark.usefixtures("study")
def test_a_run_tells_its_events_and_goes_on_where_it_was(
    tmp_path: Path,
) -> None:
    storage = f"sqlite:///{tmp_path / 'other.db'}"
    other = Study.open("small", backend="simulated", storage=storage)
    events: list[object] = []
    assert other.run(3, on_event=events.append) is other
    assert isinstance(events[0], Begun)
    assert sum(isinstance(event, Finished) for event in events) == 3
    other.run(2)
    assert len(other.trials) == 5
    assert isinstance(other.optuna, optuna.Study)
    assert len(other.optuna.trials) == 5


@pytest.mark.usefixtures("study")
def test_confirm_measures_candidates_again(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'other.db'}"
    other = Study.open("small", backend="simulated", storage=storage).run(8)
    confirmation = other.confirm(top=2, reps=2)
    assert len(confirmation.candidates) == 2
    assert all(candidate.bursts >= 3 for candidate in confirmation.candidates)


@pytest.mark.usefixtures("study")
def test_what_was_never_run_says_so(tmp_path: Path) -> None:
    other = Study.open("small", backend="simulated", storage=f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(InputError, match="no study database"):
        _ = other.trials
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(InputError, match="go together"):
        Study.open("small", backend="replay").run()


def test_importing_the_package_does_not_import_the_front_door() -> None:
    code = "import sys, tuner; print('tuner.api' in sys.modules, tuner.Study.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "Study"]


def test_a_notebook_shows_the_answer_so_far(study: Study, tmp_path: Path) -> None:
    text = study._repr_html_()
    assert "SIMULATED" in text
    assert "<table" in text
    assert "<script" not in text
    never = Study.open("small", backend="simulated", storage=f"sqlite:///{tmp_path}/none.db")
    assert "no study database" in never._repr_html_()


def test_what_is_recommended_is_what_export_writes(study: Study) -> None:
    for scenario in ("concurrency=1", "concurrency=4", None):
        best = study.recommend(scenario)
        (exported,) = json.loads(study.export("json", pick="knee", scenario=scenario))["trials"]
        assert exported["trial"] == best.trial
        chosen = exported["configuration"]
        assert {**chosen["decision"], **chosen["scenario"]} == dict(best.configuration)
        assert best.recommendation is not None
        assert best.recommendation.pooled.representative.number == best.trial
    with pytest.raises(InputError, match="no trial"):
        study.recommend({"concurrency": 64})


def test_one_configuration_is_measured_without_a_trace(study: Study) -> None:
    before = len(study.trials)
    one = study.narrowed(["cpu=0.7", "concurrency=2"], trial=1)
    results: list[int] = []
    repeats = one.measure(2, on_result=lambda index, _: results.append(index))
    assert results == [0, 1]
    assert repeats.configuration["cpu"] == 0.7
    assert repeats.together["art_ms"].low is not None
    assert len(study.trials) == before
    with pytest.raises(InputError, match="no finished trial 99"):
        study.narrowed(trial=99)


def test_a_model_is_measured_without_a_study() -> None:
    model = Study.of_model("mnist", backend="simulated")
    assert len(model.narrowed(["cpu=0.5"]).measure().measurements) == 1
    levels = model.measure_levels([Stage(1, 1, 1), Stage(1, 4, 4)])
    assert len(levels) == 2
    with pytest.raises(InputError, match="without a study"):
        _ = model.trials
