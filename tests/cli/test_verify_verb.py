from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.command import Tune
from tests.study.small import FEASIBLE, run, specification
from tests.verify.exported import LOOSE, TIGHT, study_of
from tuner.export.compose import to_compose
from tuner.export.provenance import PREFIX
from tuner.export.served import served_by
from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.record import StudyRecord
from tuner.results.study_file import FinishedStudy, write_study
from tuner.spec.load import results_directory
from tuner.spec.study import Constraint
from tuner.study.storage import default_url, open_storage, stored_record

FILE = "compose.yaml"


def export(study: StudyRecord, number: int = 0) -> None:
    trial = study.trial(number)
    assert trial is not None
    Path(FILE).write_text(to_compose(served_by(study, trial), Path("versions")))


@pytest.fixture
def study() -> StudyRecord:
    """A simulated study in its own storage; trial 0 is exported."""
    spec = specification(FEASIBLE)
    run(spec, more=10)
    run(spec, repeats=(0, 1, 2))
    url = default_url(results_directory(spec), "simulated")
    found = stored_record("small", open_storage(url, create=False))
    export(found)
    return found


def planted(found: StudyRecord) -> None:
    """The study as a file, and its trial as one that was simulated."""
    trials = (replace(t.as_measured, backend="simulated") for t in found.trials)
    found = replace(found, trials=tuple(trials))
    export(found)
    write_study(Path("up.study.zip"), FinishedStudy(found, lambda _: None))


SIMULATED = ("--study", "small", "--backend", "simulated")
PLANTED = ("--study", "up.study.zip", "--backend", "simulated")


@pytest.mark.usefixtures("study")
def test_what_is_as_predicted_ends_with_0_and_a_table(tune: Tune) -> None:
    done = tune("verify", FILE, *SIMULATED)
    assert done.code == 0, done.out + done.err
    assert "SIMULATED" in done.out
    assert "trial 0 of study small" in done.out
    assert re.search(r"average response time|ART", done.out)
    assert "the model of all measurements" in done.out
    assert "As predicted." in done.out


@pytest.mark.usefixtures("study")
def test_several_bursts_are_one_json_document(tune: Tune) -> None:
    done = tune("verify", FILE, *SIMULATED, "--repeat", "3", "--json")
    document = json.loads(done.out)
    assert done.code == document["exit_code"] == 0
    assert document["verdict"] == "as predicted"
    assert len(document["bursts"]) == 3
    for found in document["objectives"].values():
        assert found["predicted"]["low"] <= found["measured"]["value"] <= found["predicted"]["high"]
    values = [b["measurement"]["metrics"]["art_ms"]["value"] for b in document["bursts"]]
    assert len(set(values)) == 3


def test_what_is_outside_its_interval_ends_with_4(tune: Tune) -> None:
    planted(study_of(TIGHT))
    done = tune("verify", FILE, *PLANTED)
    assert done.code == 4
    assert "NOT as predicted" in done.out
    assert "too few were measured for a model" in done.out
    assert "prediction is for another host" not in done.out


def test_what_cannot_be_measured_ends_with_5(tune: Tune) -> None:
    found = study_of()
    trial = found.trials[0].as_measured
    assert trial.measurement is not None
    measurement = replace(trial.measurement, metrics={"power_w": Estimate(30.0)})
    trial = replace(trial, measurement=measurement, values=(30.0,))
    # A computed host has no meter of its power.
    power = replace(found.objectives[0], metric="power_w")
    specification = {**found.specification, "objectives": [vars(power)]}
    planted(replace(found, objectives=(power,), specification=specification, trials=(trial,)))
    done = tune("verify", FILE, *PLANTED)
    assert done.code == 5
    assert "(power_w) could not be measured" in done.out
    assert "CANNOT SAY" in done.out


@pytest.mark.parametrize(
    ("bound", "measurement", "code", "words"),
    [
        (0.001, LOOSE, 6, "As predicted. CONSTRAINT FAILS: art_ms <= 0.001."),
        (0.001, TIGHT, 6, "CONSTRAINT FAILS: art_ms <= 0.001."),
        (60_000, TIGHT, 4, "outside the predicted interval. The constraint holds."),
        (60_000, LOOSE, 0, "As predicted. The constraint holds."),
    ],
)
def test_a_constraint_that_fails_ends_with_6_and_both_are_said(
    tune: Tune, bound: float, measurement: Measurement, code: int, words: str
) -> None:
    constraint = Constraint("art_ms", "<=", bound)
    found = study_of(measurement)
    specification = {**found.specification, "constraints": [vars(constraint)]}
    planted(replace(found, constraints=(constraint,), specification=specification))
    done = tune("verify", FILE, *PLANTED)
    assert done.code == code
    assert words in " ".join(done.out.split())
    assert f"The constraint {constraint} {'FAILS' if code == 6 else 'holds'}: ART" in done.out
    document = json.loads(tune("verify", FILE, *PLANTED, "--json").out)
    assert document["exit_code"] == code
    assert document["constraints"][str(constraint)]["verdict"] == (
        "fails" if code == 6 else "holds"
    )


@pytest.mark.parametrize("backend", ["docker", "replay"])
def test_a_simulated_file_is_verified_by_the_simulated_backend_only(
    tune: Tune, backend: str
) -> None:
    planted(study_of())
    done = tune("verify", FILE, "--study", "up.study.zip", "--backend", backend)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "mend: " in done.err


@pytest.mark.usefixtures("study")
def test_a_file_of_another_study_is_refused(tune: Tune) -> None:
    text = Path(FILE).read_text()
    changed = re.sub(r'"concurrency": \d+', '"concurrency": 77', text)
    assert changed != text
    Path(FILE).write_text(changed)
    done = tune("verify", FILE, *SIMULATED)
    assert done.code == 2
    assert "has not measured the configuration" in done.err
    Path(FILE).write_text(re.sub(r'"model": "[a-z]+"', '"model": "speech"', text))
    done = tune("verify", FILE, *SIMULATED)
    assert done.code == 2
    assert "serves the model speech" in done.err


@pytest.mark.usefixtures("study")
def test_what_is_no_exported_file_is_refused(tune: Tune) -> None:
    for text in ("", "x", f"{PREFIX}nothing\nservices: {{}}\n", "services: {a: b}\n"):
        Path(FILE).write_text(text)
        done = tune("verify", FILE, *SIMULATED)
        assert done.code == 2
        assert FILE in done.err
        assert "mend: " in done.err
    assert tune("verify", "missing", *SIMULATED).code == 2
