from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.verify.exported import MODEL, study_of
from tuner.errors import InputError, SetupError
from tuner.export.compose import to_compose
from tuner.export.directory import write_exported
from tuner.export.docker_run import to_docker_run
from tuner.export.helm import to_helm
from tuner.export.kustomize import to_kustomize
from tuner.export.provenance import PREFIX
from tuner.export.served import served_by
from tuner.export.workload import ClusterWorkload, workload
from tuner.spec.load import load_model
from tuner.verify.bring_up import bring_up, compose_command
from tuner.verify.exported_file import read_exported
from tuner.verify.specification import specification_of


@pytest.fixture
def compose_text() -> str:
    study = study_of()
    return to_compose(served_by(study, study.trials[0]), Path("versions"))


def written(text: str) -> Path:
    path = Path("exported")
    path.write_text(text)
    return path


def test_a_compose_file_says_which_trial_it_is_from(compose_text: str) -> None:
    found = read_exported(written(compose_text))
    assert found.kind == "compose"
    assert (found.provenance.study, found.provenance.trial) == ("up", 0)
    assert found.provenance.configuration == study_of().trials[0].configuration


def test_a_script_is_known_by_its_first_line() -> None:
    study = study_of()
    text = to_docker_run(served_by(study, study.trials[0]), Path("versions"))
    found = read_exported(written(text))
    assert found.kind == "docker-run"
    assert found.provenance.model == MODEL


KUBERNETES = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: up}\n"


@pytest.mark.parametrize(
    ("text", "message", "mend"),
    [
        ("", "neither a compose file, a stack nor a docker-run script", "tune export"),
        ("just words\n", "neither a compose file, a stack nor a docker-run script", "tune export"),
        (
            "CPU=1\nREPLICAS=2\n",
            "neither a compose file, a stack nor a docker-run script",
            "tune export",
        ),
        ("services: {a: {image: b}\n", "is not YAML", "tune export"),
        ("services: {a: {image: b}}\n", "does not say which trial it comes from", "tune export"),
        ("#!/bin/sh\necho\n", "does not say which trial it comes from", "tune export"),
        (f"{PREFIX}{{}}\nservices: {{}}\n", "provenance is broken", "tune export"),
        (f"{PREFIX}[\nservices: {{}}\n", "provenance is broken", "tune export"),
        (KUBERNETES, "is for Kubernetes", "kubectl"),
        ("---\n" + KUBERNETES, "is for Kubernetes", "kubectl"),
    ],
)
def test_what_cannot_be_verified_is_refused_with_the_mend(
    text: str, message: str, mend: str
) -> None:
    with pytest.raises(InputError) as error:
        read_exported(written(text))
    assert message in error.value.message
    assert "exported" in error.value.message
    assert mend in error.value.mend


@pytest.mark.parametrize(
    ("write", "check"), [(to_helm, "helm lint exported"), (to_kustomize, "kubectl kustomize")]
)
def test_a_directory_for_kubernetes_is_refused_with_the_mend(
    write: Callable[[ClusterWorkload], dict[str, str]], check: str
) -> None:
    study = study_of()
    write_exported(Path("exported"), write(workload(served_by(study, study.trials[0]))))
    with pytest.raises(InputError, match="is for Kubernetes") as error:
        read_exported(Path("exported"))
    assert check in error.value.mend
    assert "compose" in error.value.mend
    Path("another").mkdir()
    with pytest.raises(InputError, match="a directory that `tune export` did not write"):
        read_exported(Path("another"))


def test_a_file_that_is_not_there_or_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_exported(Path("missing"))
    Path("binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text file"):
        read_exported(Path("binary"))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("Bind for 127.0.0.1:8501 failed: port is already allocated", "port that it publishes"),
        ("something else", "cannot be brought up: something else"),
    ],
)
def test_what_the_tool_says_is_told(said: str, message: str) -> None:
    study = study_of()
    text = to_docker_run(served_by(study, study.trials[0]), Path("versions"))
    first, rest = text.split("\n", 1)
    path = written(f"{first}\necho '{said}' >&2; exit 1\n{rest}")
    with pytest.raises(SetupError, match=message):
        bring_up(read_exported(path))("tune-verify-0")


def test_a_script_is_given_its_project_as_a_label() -> None:
    study = study_of()
    text = to_docker_run(served_by(study, study.trials[0]), Path("versions"))
    first, rest = text.split("\n", 1)
    path = written(f'{first}\nprintf %s "$TUNE_LABEL" >label; exit\n{rest}')
    bring_up(read_exported(path))("tune-verify-0123")
    assert Path("label").read_text() == "com.docker.compose.project=tune-verify-0123"


def test_without_a_compose_tool_it_says_so(
    compose_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = read_exported(written(compose_text))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("tuner.verify.bring_up.COMPOSE", (("docker", "compose"),))
    with pytest.raises(SetupError, match="no compose tool"):
        compose_command()
    with pytest.raises(SetupError, match="no compose tool"):
        bring_up(file)


def test_a_study_is_run_again_as_it_was_and_not_as_it_is_specified_by_now() -> None:
    study = study_of()
    Path("studies/up/study.yaml").write_text("model: another\n")
    spec = specification_of(study)
    assert spec.load.max_seconds == 1
    assert spec.load.max_foreign_percent == 100
    assert spec.model == load_model(MODEL)
    assert spec.search_space.baseline() == study.trials[0].configuration
    assert spec.serving.image == "tune"
