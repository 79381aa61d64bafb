"""The verbs of `tune models`."""

from __future__ import annotations

import json
import shutil
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from docker import DockerClient

from tests.cli.command import Tune
from tuner.measure.golden import load_golden
from tuner.serving.image import build_image

HALF_PLUS_TWO = Path(__file__).parents[1] / "data" / "half_plus_two"

needs_tensorflow = pytest.mark.skipif(
    find_spec("tensorflow") is None, reason="TensorFlow is not installed (extra `models`)"
)


@pytest.fixture
def tune(tune: Tune) -> Tune:
    return partial(tune, "models")


@needs_tensorflow
def test_a_model_is_added_shown_listed_and_checked(tune: Tune) -> None:
    by = ("--loader", "tensorflow")
    added = tune("add", str(HALF_PLUS_TWO), "--name", "half", "--dim", "batch=2", *by)
    assert added.code == 0, added.err
    assert "tune init half --model half" in added.out
    listed = tune("list")
    lines = [line.split()[:4] for line in listed.out.splitlines()]
    assert ["half", "version", "123", "added"] in lines
    assert "mnist" in listed.out
    shown = tune("show", "half")
    assert shown.code == 0
    for words in ("x float [?, 1] -> y float [?, 1]", "8 requests", "sha256", "synthesised"):
        assert words in shown.out
    checked = tune("check", "half", *by)
    assert checked.code == 0
    assert "8 golden requests answered" in checked.out
    golden = Path("models/half/built/golden.jsonl")
    golden.write_text(golden.read_text().replace('"predictions":[[', '"predictions":[[9', 2))
    wrong = tune("check", "half", *by)
    assert wrong.code == 2
    assert "2 of 8 golden requests differently" in wrong.err
    again = tune("add", str(HALF_PLUS_TWO), "--name", "half", *by)
    assert again.code == 2
    assert "already" in again.err


@pytest.mark.docker
def test_a_replica_gives_the_golden_answers(tune: Tune, engine: DockerClient) -> None:
    build_image(engine, print)
    added = tune("add", str(HALF_PLUS_TWO), "--name", "half", "--loader", "replica")
    assert added.code == 0, added.err
    golden = load_golden(Path("models/half/built/golden.jsonl"))
    for body, response in zip(golden.bodies, golden.responses, strict=True):
        ((x,),) = json.loads(body)["instances"]
        assert response["predictions"] == [[pytest.approx(x / 2 + 2)]]
    assert tune("check", "half", "--loader", "replica").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["m.keras", "--name", "m"], "convert it, then add saved_model: python -c"),
        (["nowhere", "--name", "m"], "nowhere does not exist"),
        ([str(HALF_PLUS_TWO), "--name", "m", "--dim", "batch=0"], "expected NAME=VALUE"),
        ([str(HALF_PLUS_TWO), "--name", "m", "--dim", "x.0=3"], "is not an unknown dimension"),
        ([str(HALF_PLUS_TWO), "--name", "m", "--tolerance", "nan"], "expected a number > 0"),
        ([str(HALF_PLUS_TWO), "--name", "m", "--signature", "x"], "no signature 'x'"),
        (
            [str(HALF_PLUS_TWO), "--name", "m", "--requests", "f", "--dim", "batch=2"],
            "inputs that tune makes",
        ),
    ],
)
def test_what_cannot_be_added_leaves_nothing(
    tune: Tune, arguments: list[str], message: str
) -> None:
    Path("m.keras").touch()
    ended = tune("add", *arguments, "--loader", "tensorflow")
    assert ended.code == 2
    assert message in ended.err
    assert [path.name for path in Path().iterdir()] == ["m.keras"]


def test_a_model_that_is_not_built_says_how(tune: Tune) -> None:
    shown = tune("show", "mnist")
    assert shown.code == 0
    assert "tune models build mnist" in shown.out
    checked = tune("check", "mnist")
    assert checked.code == 2
    assert "tune models build mnist" in checked.err
    assert tune("show", "none").code == 2


CONVERTER = """
import sys
from pathlib import Path
print("arguments", *sys.argv[1:])
if Path(sys.argv[1]).read_text() != "graph":
    print("no graph in it")
    sys.exit(2)
Path(sys.argv[3]).mkdir()
"""


@needs_tensorflow
def test_a_converter_is_run_as_it_says(tune: Tune) -> None:
    directory = Path("models/own")
    directory.mkdir(parents=True)
    (directory / "model.yaml").write_text("description: a model with a converter\n")
    Path("graph.pb").write_text("graph")
    without = tune("convert", "own", "graph.pb", "--output", "out")
    assert without.code == 2
    assert "has no converter" in without.err
    (directory / "convert.py").write_text(CONVERTER)
    ended = tune("convert", "own", "graph.pb", "--output", "out", "--beam", "3")
    assert ended.code == 0, ended.err
    assert "arguments graph.pb --output out --beam 3" in ended.out
    assert Path("out").is_dir()
    shutil.rmtree("out")
    Path("graph.pb").write_text("text")
    refused = tune("convert", "own", "graph.pb", "--output", "out")
    assert refused.code == 2
    assert "no graph in it" in refused.err
    missing = tune("convert", "own", "none.pb", "--output", "out")
    assert missing.code == 2
    assert "none.pb is not a file" in missing.err
