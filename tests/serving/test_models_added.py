"""Taking in a model: what is written, and that nothing is where it is refused."""

import json
import shutil
import stat
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from tuner.errors import InputError
from tuner.measure.golden import load_golden, matches
from tuner.serving.added import Wish, add_model, read_requests
from tuner.serving.built_model import highest_version, is_built
from tuner.serving.first_run import FirstAnswers, FirstRun, loader_answers, refused
from tuner.spec.load import load_model
from tuner.spec.memory_choices import ReplicaNeed, replica_need
from tuner.spec.study import ModelSpec

HALF_PLUS_TWO = Path(__file__).parents[1] / "data" / "half_plus_two"
NEED = ReplicaNeed(241.5, 6.0)


def halved(model: ModelSpec, bodies: Sequence[bytes]) -> FirstAnswers:
    """What the model answers, without TensorFlow; it sees requests that have no answers yet."""
    assert load_golden(model.golden).responses == (None,) * (len(bodies) // 2)
    assert highest_version(model)
    rows = [json.loads(body)["instances"] for body in bodies]
    answers = [
        json.dumps({"predictions": [[x / 2 + 2 for x in row] for row in some]}).encode()
        for some in rows
    ]
    return FirstAnswers(answers, NEED)


def add(root: Path, first_run: FirstRun = halved, **changes: object) -> tuple[ModelSpec, list[str]]:
    said: list[str] = []
    wish = Wish(**{"name": "half", "path": HALF_PLUS_TWO, **changes})  # type: ignore[arg-type]
    directory = add_model(wish, first_run, matches, said.append, root)
    model = load_model("half", root)
    assert model.directory == directory
    return model, said


def test_what_its_first_replica_needed_is_kept(tmp_path: Path) -> None:
    model, _ = add(tmp_path)
    assert replica_need(model) == NEED


def test_an_added_model_is_ready_to_be_served(tmp_path: Path) -> None:
    model, said = add(tmp_path, description='x: y "z"  # no comment', tolerance=0.01)
    assert is_built(model)
    assert model.description == 'x: y "z" # no comment'
    assert (model.signature, model.tolerance) == ("serving_default", 0.01)
    version = highest_version(model)
    assert version is not None
    assert version.name == "123"
    assert (version / "saved_model.pb").read_bytes() == (
        HALF_PLUS_TWO / "00000123" / "saved_model.pb"
    ).read_bytes()
    golden = load_golden(model.golden)
    assert len(golden.bodies) == 8
    assert golden.answered(0, halved_body(golden.bodies[0]), 1e-9)
    assert any("x float [?, 1] -> y float [?, 1]" in line for line in said)
    assert any("batch" in line and "is 1" in line for line in said)
    assert [path.name for path in tmp_path.iterdir()] == ["models"]
    for path in tmp_path.rglob("models/half/**/*"):
        assert path.stat().st_mode & (stat.S_IROTH if path.is_file() else stat.S_IXOTH)


def halved_body(body: bytes) -> bytes:
    (row,) = json.loads(body)["instances"]
    return json.dumps({"predictions": [[row[0] / 2 + 2]]}).encode()


def test_model_yaml_explains_itself(tmp_path: Path) -> None:
    model, _ = add(tmp_path)
    text = (model.directory / "model.yaml").read_text()
    for words in ("inputs:  x float [?, 1]", "outputs: y float [?, 1]", "tolerance: 0.001"):
        assert words in text
    assert text.count("\n# ") >= 5
    assert model.description == "x float [?, 1] -> y float [?, 1]"


def test_requests_of_the_user_are_the_golden_ones(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"instances": [[1.0]]}\n\n'
        '{"request": {"instances": [[2.0], [4.0]]}, "response": {"predictions": [[3], [4]]}}\n'
    )
    root = tmp_path / "root"
    root.mkdir()
    model, _ = add(root, requests=path)
    golden = load_golden(model.golden)
    assert golden.responses == ({"predictions": [[2.5]]}, {"predictions": [[3.0], [4.0]]})
    assert golden.times == ()


def test_times_of_recorded_requests_stay_with_the_golden_ones(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("x,sent\n1,2026-01-31T12:00:02Z\n3,2026-01-31T12:00:00Z\n")
    root = tmp_path / "root"
    root.mkdir()
    template = '{"request": {"instances": [["{x}"]]}, "at": "{sent}"}'
    model, _ = add(root, requests=path, template=template)
    golden = load_golden(model.golden)
    assert golden.responses == ({"predictions": [[3.5]]}, {"predictions": [[2.5]]})
    assert golden.times == (0.0, 2.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no request in it"),
        ("{", "line 1: not JSON"),
        ('{"instances": []}\n[1]', "line 2: neither `instances` nor `inputs`"),
        ('{"request": 1}', "line 1: neither"),
    ],
)
def test_bad_requests_are_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_requests(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_requests(tmp_path / "none.jsonl")


def refusing(_model: ModelSpec, _bodies: Sequence[bytes]) -> FirstAnswers:
    raise refused("Op type not registered 'Own' in binary")


def restless() -> FirstRun:
    return lambda _model, bodies: FirstAnswers(
        [json.dumps({"predictions": [number]}).encode() for number in range(len(bodies))]
    )


def interrupted(_model: ModelSpec, _bodies: Sequence[bytes]) -> FirstAnswers:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("first_run", "error", "message"),
    [
        (refusing, InputError, "does not load it: Op type not registered"),
        (restless(), InputError, "gives two answers to request 0"),
        (interrupted, KeyboardInterrupt, "^$"),
    ],
)
def test_nothing_is_left_of_a_model_that_is_not_taken(
    tmp_path: Path, first_run: FirstRun, error: type[BaseException], message: str
) -> None:
    with pytest.raises(error, match=message):
        add(tmp_path, first_run)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_was_not_expected_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"request": {"instances": [[2.0]]}, "response": {"predictions": [[9]]}}\n')
    with pytest.raises(InputError, match=r"request 0 is answered with .*3\.0.*expected .*9"):
        add(tmp_path, requests=path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.jsonl"]


@pytest.mark.parametrize("name", ["mnist", "half", "Half", "../half"])
def test_a_name_is_new_and_a_name(tmp_path: Path, name: str) -> None:
    add(tmp_path)
    with pytest.raises(InputError, match=r"already|expected a name"):
        add(tmp_path, name=name)


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        ("Attempting to use uninitialized value a", "`variables` is missing"),
        ("Could not find variable dense/kernel. This could mean", "ExportArchive"),
        ("Op type not registered 'X'", "not TensorFlow's own"),
        ("Expected image (JPEG, PNG, or GIF)", "--requests FILE"),
    ],
)
def test_a_refusal_has_the_loaders_words_and_a_mend(words: str, mend: str) -> None:
    error = refused(f"  {words}\n", 3)
    assert error.message == f"TensorFlow's C++ loader does not run it (request 3): {words}"
    assert mend in error.mend
    assert "give the whole directory" in refused("OUT_OF_RANGE: Read less bytes").mend


needs_tensorflow = pytest.mark.skipif(
    find_spec("tensorflow") is None, reason="TensorFlow is not installed (extra `models`)"
)


@needs_tensorflow
def test_the_loader_answers_in_a_process_of_its_own(tmp_path: Path) -> None:
    model, _ = add(tmp_path, loader_answers)
    golden = load_golden(model.golden)
    for number, body in enumerate(golden.bodies):
        assert golden.answered(number, halved_body(body), 1e-5)


@needs_tensorflow
def test_the_loaders_own_words_are_heard(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(HALF_PLUS_TWO / "00000123", broken)
    (broken / "variables" / "variables.index").write_bytes(b"cut short")
    with pytest.raises(InputError, match=r"does not load it: DATA_LOSS: file is too short"):
        add(tmp_path, loader_answers, path=broken)
    shutil.rmtree(broken / "variables")
    with pytest.raises(InputError, match=r"does not run it .*uninitialized value"):
        add(tmp_path, loader_answers, path=broken)
    path = tmp_path / "mine.jsonl"
    path.write_text('{"instances": [["text"]]}\n')
    with pytest.raises(InputError, match=r"request 0\): INVALID_ARGUMENT: .*is not of expected"):
        add(tmp_path, loader_answers, requests=path)
