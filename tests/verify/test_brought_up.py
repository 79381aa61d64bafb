"""Exported files on a real engine: brought up as they stand, measured, and taken down."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from docker import DockerClient

from tests.export.up import free_ports
from tests.verify.exported import LOOSE, MODEL, TIGHT, environment_of, study_of, write_model
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.ownership import LABEL
from tuner.deploy.projects import PROJECT_LABEL, project_of
from tuner.errors import SetupError
from tuner.export.compose import to_compose
from tuner.export.docker_run import to_docker_run
from tuner.export.served import served_by
from tuner.measure.measurement import Measurement
from tuner.measure.record import StudyRecord
from tuner.results.study_file import FinishedStudy, write_study
from tuner.serving.image import build_image
from tuner.spec.load import load_model
from tuner.spec.study import ServingSpec
from tuner.verify.exported_file import read_exported
from tuner.verify.result import Verified
from tuner.verify.verification import verify_file

pytestmark = pytest.mark.docker

Write = Callable[[StudyRecord, Path, int], str]


def write_compose(study: StudyRecord, versions: Path, port: int) -> str:
    return to_compose(served_by(study, study.trials[0]), versions, port)


def write_script(study: StudyRecord, versions: Path, port: int) -> str:
    return to_docker_run(served_by(study, study.trials[0]), versions, port)


FORMATS = [
    pytest.param(write_compose, id="compose"),
    pytest.param(write_script, id="docker-run", marks=pytest.mark.thorough),
]


def left(engine: DockerClient) -> list[str]:
    """What is on the engine of files that are verified, or of a run of this project."""
    labels = (PROJECT_LABEL, LABEL, "tune.export")
    found = set()
    for label in labels:
        chosen: dict[str, str | list[str] | bool] = {"label": label}
        found |= {
            str(c.name)
            for c in engine.containers.list(all=True, filters=chosen, ignore_removed=True)
        }
        found |= {str(n.name) for n in engine.networks.list(filters=chosen)}
    return sorted(name for name in found if "verify" in name or "-up-" in name)


def written(
    engine: DockerClient,
    write: Write = write_compose,
    measurement: Measurement = LOOSE,
    *changes: tuple[str, str],
) -> tuple[StudyRecord, Path]:
    """The study, and the file of its trial with parts of its text changed."""
    if not Path("models", MODEL).exists():
        write_model()
    study = study_of(measurement, environment_of(engine))
    text = write(study, load_model(MODEL).versions, free_ports())
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = Path("exported")
    path.write_text(text)
    return study, path


def verified(study: StudyRecord, path: Path, times: int = 1) -> Verified:
    return verify_file(study, read_exported(path), "docker", times)


@pytest.mark.usefixtures("compose")
@pytest.mark.parametrize("write", FORMATS)
def test_a_file_as_it_stands_is_measured_and_taken_down(engine: DockerClient, write: Write) -> None:
    study, path = written(engine, write)
    before = path.read_bytes()
    found = verified(study, path)
    assert found.differences == ()
    assert found.verdict == "as predicted"
    assert [j.metric for j in found.judged] == ["art_ms", "cpu_percent"]
    (result,) = found.results
    assert result.measurement is not None
    assert result.measurement.requests >= 20
    assert len(result.deployment["containers"]) == 2
    assert [limit["memory_mib"] for limit in result.deployment["limits"]] == [192.0, 192.0]
    # The scenario's network, as in a trial.
    assert result.impairment["asked"]["loss_in"] == 1
    assert path.read_bytes() == before
    assert left(engine) == []


@pytest.mark.usefixtures("compose")
@pytest.mark.thorough
def test_values_outside_their_interval_are_not_as_predicted(engine: DockerClient) -> None:
    study, path = written(engine, write_compose, TIGHT)
    found = verified(study, path, times=2)
    assert len(found.trusted) == 2
    assert found.differences == ()
    assert found.verdict == "not as predicted"
    assert [j.inside for j in found.judged] == [False, False]
    assert left(engine) == []


@pytest.mark.usefixtures("compose")
def test_a_file_that_was_changed_is_caught_though_its_values_are_inside(
    engine: DockerClient,
) -> None:
    image = build_image(engine, print)
    study, path = written(
        engine,
        write_compose,
        LOOSE,
        ("services:\n", f"services:\n  beside: {{image: '{image}', entrypoint: [sleep, '60']}}\n"),
        ("cpus: 0.5", "cpus: 2"),
        ("mem_limit: 192m", "mem_limit: 256m"),
        ("memswap_limit: 192m", "memswap_limit: 256m"),
    )
    found = verified(study, path)
    assert [str(d) for d in found.differences] == [
        "cpu: measured 0.5 cores, found 2 cores",
        "memory: measured 192 MiB, found 256 MiB",
    ]
    assert all(j.inside for j in found.judged)
    assert any("beside" in note for note in found.notes)
    assert found.verdict == "not as predicted"
    assert left(engine) == []


@pytest.mark.usefixtures("compose")
@pytest.mark.thorough
def test_replicas_that_are_killed_again_and_again_cannot_serve(engine: DockerClient) -> None:
    changes = ("mem_limit: 192m", "mem_limit: 24m"), ("memswap_limit: 192m", "memswap_limit: 24m")
    study, path = written(engine, write_compose, LOOSE, *changes)
    found = verified(study, path)
    assert found.verdict == "not as predicted"
    assert found.results[0].infeasible is not None
    assert found.results[0].infeasible.kind == "out of memory"
    assert "memory" in {d.what for d in found.differences}
    assert left(engine) == []


@pytest.mark.usefixtures("compose")
@pytest.mark.thorough
def test_another_model_in_its_place_is_caught(engine: DockerClient, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_model(other)
    versions = other / "models" / MODEL / "built" / "versions"
    (version,) = versions.iterdir()
    (version / "assets.extra").mkdir(exist_ok=True)
    (version / "assets.extra" / "note").write_text("not the same")
    write_model(prediction=3.5)
    here = str(load_model(MODEL).versions)
    study, path = written(engine, write_compose, LOOSE, (f"source: {here}", f"source: {versions}"))
    found = verified(study, path)
    # What it answers is not what the study's golden answers say, and nor is it the same model.
    assert [d.what for d in found.differences] == ["model"]
    assert "wrongly" in found.broken
    assert found.verdict == "not as predicted"
    assert left(engine) == []


@pytest.mark.usefixtures("compose")
@pytest.mark.parametrize("write", FORMATS)
def test_a_taken_port_is_named(engine: DockerClient, write: Write) -> None:
    study, path = written(engine, write)
    port = int(path.read_text().split("127.0.0.1:")[1].split(":")[0].split(",")[0])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(SetupError, match="a port that it publishes is in use"):
            verified(study, path)
    assert left(engine) == []


@pytest.mark.thorough
def test_a_script_that_is_up_already_is_left_alone(engine: DockerClient) -> None:
    study, path = written(engine, write_script)
    subprocess.run(["sh", str(path)], check=True, capture_output=True)
    try:
        with pytest.raises(SetupError, match="take it down first"):
            verified(study, path)
        assert len(engine.containers.list(filters={"label": "tune.export=tune-up-0"})) == 2
    finally:
        subprocess.run(["sh", str(path), "down"], check=True, capture_output=True)
    assert left(engine) == []


def started(study: StudyRecord, path: Path) -> subprocess.Popen[bytes]:
    """`tune verify` in a process of its own."""
    write_study(Path("up.study.zip"), FinishedStudy(study, lambda _: None))
    command = [sys.executable, "-m", "tuner", "verify", str(path), "--study", "up.study.zip"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def of_projects(engine: DockerClient) -> list[str]:
    """The running containers of files that are verified."""
    found = engine.containers.list(filters={"label": PROJECT_LABEL}, ignore_removed=True)
    return [str(c.name) for c in found if c.labels[PROJECT_LABEL].startswith(project_of(""))]


def wait_until_up(engine: DockerClient, process: subprocess.Popen[bytes]) -> None:
    """Until a replica of the file is there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if of_projects(engine):
            return
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"it did not come up: {process.communicate()[0].decode()}")


@pytest.mark.usefixtures("compose")
@pytest.mark.parametrize("write", FORMATS)
def test_a_live_one_is_not_swept_and_leaves_nothing_when_it_is_interrupted(
    engine: DockerClient, write: Write
) -> None:
    study, path = written(engine, write)
    process = started(study, path)
    wait_until_up(engine, process)
    with DockerDeployer(load_model(MODEL), ServingSpec(), "sweeps") as deployer:
        assert not [name for name in deployer.swept if "verify" in name or "-up-" in name]
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output.decode()
    assert left(engine) == []


@pytest.mark.usefixtures("compose")
@pytest.mark.parametrize("write", FORMATS)
def test_the_next_run_sweeps_what_a_killed_one_brought_up(
    engine: DockerClient, write: Write
) -> None:
    study, path = written(engine, write)
    process = started(study, path)
    wait_until_up(engine, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    # What brings the file up is a process of its own, which goes on.
    deadline = time.monotonic() + 60
    while len(of_projects(engine)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    with DockerDeployer(load_model(MODEL), ServingSpec(), "sweeps") as deployer:
        assert left(engine) == []
        assert len([name for name in deployer.swept if "verify" in name or "-up-" in name]) >= 3
