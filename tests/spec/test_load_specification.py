from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import tuner
from tuner.errors import InputError, SetupError
from tuner.spec import yaml
from tuner.spec.host import Host
from tuner.spec.load import (
    builder_of,
    list_studies,
    load_model,
    load_study,
    results_directory,
)
from tuner.spec.study import Budget, LoadSpec, Objective
from tuner.spec.yaml_documents import (
    EndpointDocument,
    LoadDocument,
    ServingDocument,
    StudyDocument,
)

SMALL = Host(cpus=2, memory_mib=8192)
LARGE = Host(cpus=64, memory_mib=262_144)
CHECKOUT = Path(__file__).parents[2]
STUDY = "model: mnist\nsearch_space: mnist\nbudget: {trials: 3}\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("host", [Host(1, 1024), SMALL, LARGE])
def test_shipped_study_suits_the_host(host: Host, tmp_path: Path) -> None:
    space = load_study("mnist", host, tmp_path).search_space
    roles = {p.name: p.role for p in space}
    assert roles == {
        "concurrency": "scenario",
        "cpu": "decision",
        "memory": "decision",
        "replicas": "decision",
        "loss": "scenario",
    }
    assert max(space["cpu"].values() or ()) == min(4, host.cpus)
    assert max(space["replicas"].values() or ()) == min(8, 2 * host.cpus)
    baseline = space.baseline()
    assert baseline == {"concurrency": 4, "cpu": 1, "memory": 256, "replicas": 1, "loss": 0}


def test_shipped_study_as_specified(tmp_path: Path) -> None:
    study = load_study("mnist", SMALL, tmp_path)
    assert study.name == "mnist"
    assert study.objectives == (
        Objective("art_ms", "minimize"),
        Objective("cpu_percent", "minimize"),
    )
    assert [str(constraint) for constraint in study.constraints] == ["error_rate <= 0.01"]
    assert study.budget == Budget(trials=80, seconds=900)
    assert study.model.built == tmp_path / "models" / "mnist" / "built"
    assert study.model.directory == CHECKOUT / "models" / "mnist"
    assert builder_of(study.model).name == "build.py"


def test_working_directory_wins(tmp_path: Path) -> None:
    write(tmp_path / "studies/mnist/study.yaml", STUDY)
    study = load_study("mnist", SMALL, tmp_path)
    assert study.budget == Budget(trials=3)
    assert study.path == tmp_path / "studies/mnist/study.yaml"
    write(tmp_path / "models/mnist/model.yaml", "tolerance: 0.5\n")
    assert load_model("mnist", tmp_path).tolerance == 0.5
    with pytest.raises(SetupError, match=r"build\.py"):
        builder_of(load_model("mnist", tmp_path))


def test_study_by_path(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/deep/study.yaml", STUDY)
    write(tmp_path / "one.yaml", STUDY)
    for text in ("elsewhere/deep", "elsewhere/deep/study.yaml", f"{tmp_path}/elsewhere/deep"):
        assert load_study(text, SMALL, tmp_path).name == "deep"
    assert load_study("one.yaml", SMALL, tmp_path).name == "one"
    write(tmp_path / "No Name.yaml", STUDY)
    with pytest.raises(InputError, match="No Name"):
        load_study("No Name.yaml", SMALL, tmp_path)


SPACE = """\
parameters:
  concurrency: {role: scenario, type: int, choices: [CONCURRENCY], default: CONCURRENCY}
  cpu: {role: decision, type: float, choices: [1], default: 1}
  memory: {role: decision, type: int, choices: [256], default: 256}
  replicas: {role: decision, type: int, choices: [1], default: 1}
  loss: {role: scenario, type: float, choices: [0], default: 0}
"""


@pytest.mark.parametrize("study", ["studies/own/study.yaml", "own.yaml"])
def test_a_study_by_path_finds_what_stands_beside_it(study: str, tmp_path: Path) -> None:
    project, here = tmp_path / "project", tmp_path / "here"
    write(project / study, "model: own\nsearch_space: own\nbudget: {trials: 3}\n")
    write(project / "search_spaces/own.yaml", SPACE.replace("CONCURRENCY", "7"))
    write(project / "models/own/model.yaml", "tolerance: 0.25\n")
    here.mkdir()
    for text in (str(project / study), f"../project/{study}"):
        specification = load_study(text, SMALL, here)
        assert specification.search_space["concurrency"].default == 7
        assert specification.model.tolerance == 0.25
        assert specification.model.built == project / "models/own/built"
    # What is beside the study comes before what the working directory has under the same name.
    write(here / "search_spaces/own.yaml", SPACE.replace("CONCURRENCY", "9"))
    assert load_study(text, SMALL, here).search_space["concurrency"].default == 7
    (project / "search_spaces/own.yaml").unlink()
    assert load_study(text, SMALL, here).search_space["concurrency"].default == 9
    (here / "search_spaces/own.yaml").unlink()
    with pytest.raises(InputError, match="expected the name of a search space, found 'own'"):
        load_study(text, SMALL, here)


def test_a_shipped_model_is_built_in_the_working_directory(tmp_path: Path) -> None:
    write(tmp_path / "project/one.yaml", STUDY)
    study = load_study(str(tmp_path / "project/one.yaml"), SMALL, tmp_path / "here")
    assert study.model.built == tmp_path / "here/models/mnist/built"


@pytest.mark.parametrize("path", ["a" * 300 + "/study.yaml", "a/" * 3000, "circle/study.yaml"])
def test_a_path_that_leads_nowhere_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(InputError) as error:
        load_study(path, SMALL, tmp_path)
    assert error.value.mend


def test_a_name_is_no_longer_than_a_file_name(tmp_path: Path) -> None:
    assert results_directory("a" * 100, tmp_path).parent.name == "a" * 100
    with pytest.raises(InputError, match="expected a name of at most 100 characters"):
        load_study("a" * 101, SMALL, tmp_path)


def test_unknown_study_lists_those_that_exist(tmp_path: Path) -> None:
    write(tmp_path / "studies/speech/study.yaml", STUDY)
    with pytest.raises(InputError) as error:
        load_study("mnits", SMALL, tmp_path)
    assert "did you mean 'mnist'?" in error.value.mend
    names = list_studies(tmp_path)
    assert names == sorted({"mnist", "speech", *names})
    assert f"There are: {', '.join(names)}." in error.value.mend


@pytest.mark.parametrize("name", ["..", "", "a b", "Mnist", "-x", "mnist\n", "é"])
def test_names_cannot_leave_their_directory(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a name"):
        load_study(name, SMALL, tmp_path)
    with pytest.raises(InputError, match="expected a name"):
        results_directory(name, tmp_path)


def test_results_are_in_the_working_directory(tmp_path: Path) -> None:
    study = load_study("mnist", SMALL, tmp_path)
    expected = tmp_path / "studies" / "mnist" / "results"
    assert results_directory(study, tmp_path) == results_directory("mnist", tmp_path) == expected


def test_values_of_flags_are_text(tmp_path: Path) -> None:
    serving = "serving: {flags: {a: 1, b: true, c: 0.5}, env: {D: x}}\n"
    write(tmp_path / "studies/s/study.yaml", STUDY + serving)
    loaded = load_study("s", SMALL, tmp_path).serving
    assert loaded.flags == {"a": "1", "b": "true", "c": "0.5"}
    assert loaded.env == {"D": "x"}


def test_installed_package_carries_its_own_studies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "tuner"
    for name in ("studies", "search_spaces", "models"):
        ignore = shutil.ignore_patterns("results", "built", "__pycache__")
        shutil.copytree(CHECKOUT / name, package / "shipped" / name, ignore=ignore)
    monkeypatch.setattr(tuner, "__file__", str(package / "__init__.py"))
    study = load_study("mnist", SMALL, tmp_path)
    assert study.path == package / "shipped/studies/mnist/study.yaml"
    assert study.model.directory == package / "shipped/models/mnist"
    assert study.model.built == tmp_path / "models/mnist/built"


def test_specification_values_import_nothing_heavy() -> None:
    program = (
        "import sys, tuner.spec.study, tuner.spec.host, tuner.spec.metrics, tuner.errors\n"
        "print(*{'pydantic', 'yaml', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_load_as_written(tmp_path: Path) -> None:
    write(tmp_path / "studies/s/study.yaml", STUDY)
    assert load_study("s", SMALL, tmp_path).load == LoadSpec(), "all keys have their defaults"
    every_key = CHECKOUT / "tests/cases/good/every_key.yaml"
    written = load_study(str(every_key), SMALL, tmp_path).load
    same = [f.name for f in fields(LoadSpec) if getattr(written, f.name) == f.default]
    assert same == [], "the case says that no key is at its default"
    assert (written.arrivals, written.cpu_placement, written.min_slow) == ("constant", "shared", 0)


def test_the_case_with_every_key_has_every_key() -> None:
    written = yaml.read_yaml(CHECKOUT / "tests/cases/good/every_key.yaml").data
    # It takes the place of the model.
    assert written.keys() == StudyDocument.model_fields.keys() - {"endpoint"}
    other = yaml.read_yaml(CHECKOUT / "tests/cases/good/endpoint.yaml").data
    assert other["endpoint"].keys() == EndpointDocument.model_fields.keys()
    assert written["load"].keys() == LoadDocument.model_fields.keys()
    assert written["serving"].keys() == ServingDocument.model_fields.keys()
