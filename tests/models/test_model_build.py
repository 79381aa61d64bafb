"""The host's side of a model: is it built, what is it, and running its builder."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from tuner.errors import InputError, SetupError
from tuner.serving.built_model import build_model, is_built, model_checksum, require_built
from tuner.spec.study import ModelSpec

WRITES_A_MODEL = """
import sys
from pathlib import Path
output = Path(sys.argv[sys.argv.index("--output") + 1])
(output / "versions" / "1").mkdir(parents=True)
(output / "versions" / "1" / "saved_model.pb").write_bytes(b"graph")
(output / "golden.jsonl").write_text("{}")
print("arguments", *sys.argv[3:])
print("a warning", file=sys.stderr)
"""

WAITS = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    print("started")
    time.sleep(60)
except KeyboardInterrupt:
    Path(__file__).with_name("tidied").touch()
"""


@pytest.fixture
def model(tmp_path: Path) -> ModelSpec:
    directory = tmp_path / "own"
    directory.mkdir()
    (directory / "model.yaml").write_text("description: a model of one's own\n")
    return ModelSpec("own", "", directory, directory / "built")


@pytest.fixture
def tensorflow_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something of that name can be found, whether or not TensorFlow itself is installed."""
    (tmp_path / "site" / "tensorflow").mkdir(parents=True)
    (tmp_path / "site" / "tensorflow" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert importlib.util.find_spec("tensorflow") is not None


def write_version(model: ModelSpec, number: str, content: bytes = b"graph") -> Path:
    version = model.versions / number
    (version / "variables").mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(content)
    (version / "variables" / "variables.index").write_bytes(b"weights")
    model.golden.touch()
    return version


def test_checksum_does_not_depend_on_place_or_time(model: ModelSpec, tmp_path: Path) -> None:
    write_version(model, "1")
    moved = ModelSpec("own", "", tmp_path / "moved", tmp_path / "moved" / "built")
    shutil.copytree(model.built, moved.built, copy_function=shutil.copyfile)
    assert model_checksum(moved) == model_checksum(model)
    assert len(model_checksum(model) or "") == 64


def test_checksum_sees_content_names_and_new_files(model: ModelSpec) -> None:
    version = write_version(model, "1")
    seen = {model_checksum(model)}
    (version / "variables" / "variables.index").write_bytes(b"weightz")
    seen.add(model_checksum(model))
    (version / "variables" / "variables.index").rename(version / "variables.index")
    seen.add(model_checksum(model))
    (version / "empty").touch()
    seen.add(model_checksum(model))
    assert len(seen) == 4


def test_checksum_is_of_the_highest_version(model: ModelSpec) -> None:
    write_version(model, "9", b"old")
    before = model_checksum(model)
    write_version(model, "10", b"new")
    assert model_checksum(model) != before
    write_version(model, "2", b"older")
    write_version(model, "backup-99", b"no version")
    (model.versions / "11").mkdir()  # Not complete: no saved_model.pb.
    after = model_checksum(model)
    shutil.rmtree(model.versions / "9")
    assert model_checksum(model) == after


def test_a_missing_build_names_the_command(model: ModelSpec) -> None:
    assert not is_built(model)
    with pytest.raises(SetupError, match="'own' is not built") as raised:
        require_built(model)
    assert raised.value.mend == "tune models build own"
    with pytest.raises(SetupError, match="'own' is not built"):
        model_checksum(model)


def test_a_model_without_golden_requests_is_not_built(model: ModelSpec) -> None:
    write_version(model, "1")
    assert is_built(model)
    require_built(model)
    model.golden.unlink()
    assert not is_built(model)
    with pytest.raises(SetupError, match=r"golden\.jsonl is missing"):
        require_built(model)


def test_a_builder_needs_tensorflow(model: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    (model.directory / "build.py").write_text(WRITES_A_MODEL)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(SetupError, match="needs TensorFlow") as raised:
        build_model(model, [], print)
    assert raised.value.mend == "pip install 'tune-serving[models]'"
    assert not model.built.exists()


def test_no_builder_is_an_error(model: ModelSpec) -> None:
    with pytest.raises(SetupError, match="has no builder"):
        build_model(model, [], print)


@pytest.mark.usefixtures("tensorflow_installed")
def test_the_builder_gets_the_arguments_and_its_lines_are_said(model: ModelSpec) -> None:
    (model.directory / "build.py").write_text(WRITES_A_MODEL)
    said: list[str] = []
    build_model(model, ["--seed", "3"], said.append)
    assert said == ["arguments --seed 3", "a warning"]
    assert is_built(model)


@pytest.mark.usefixtures("tensorflow_installed")
def test_the_builder_is_the_one_that_model_yaml_names(model: ModelSpec) -> None:
    with (model.directory / "model.yaml").open("a") as file:
        file.write("build: make.py\n")
    (model.directory / "make.py").write_text(WRITES_A_MODEL)
    build_model(model, [], print)
    assert is_built(model)


@pytest.mark.usefixtures("tensorflow_installed")
@pytest.mark.parametrize(("code", "error"), [(1, SetupError), (2, InputError)])
def test_a_failed_builder_is_an_error_in_its_words(
    model: ModelSpec, code: int, error: type[Exception]
) -> None:
    (model.directory / "build.py").write_text(f"print('no luck'); raise SystemExit({code})")
    with pytest.raises(error, match=rf"exit code {code}: no luck"):
        build_model(model, [], print)


@pytest.mark.usefixtures("tensorflow_installed")
def test_a_builder_that_writes_nothing_is_an_error(model: ModelSpec) -> None:
    (model.directory / "build.py").write_text("print('done')")
    with pytest.raises(SetupError, match="is not built"):
        build_model(model, [], print)


@pytest.mark.usefixtures("tensorflow_installed")
def test_an_interrupt_lets_the_builder_tidy_up(model: ModelSpec) -> None:
    (model.directory / "build.py").write_text(WAITS)

    def interrupted(_line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_model(model, [], interrupted)
    assert (model.directory / "tidied").exists()
