"""A pickled model is copied, never opened: only MLServer's container unpickles it."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tuner.errors import InputError
from tuner.measure.golden import load_golden, matches
from tuner.serving.added import Wish, add_model
from tuner.serving.first_run import FirstAnswers
from tuner.spec.load import load_model
from tuner.spec.study import ModelSpec

ASKED = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [2.5]}]}
OUTPUT = {"name": "predict", "shape": [1], "datatype": "INT64", "data": [1]}
# A pickle that ends the process which opens it.
TRAP = b"cos\nabort\n(tR."


def answers(model: ModelSpec, bodies: Sequence[bytes]) -> FirstAnswers:
    assert (model.versions / "1" / "model.joblib").read_bytes() == TRAP
    added = {"model_name": model.name, "id": "1", "outputs": [OUTPUT | {"parameters": {}}]}
    return FirstAnswers([json.dumps(added).encode()] * len(bodies))


def add(tmp_path: Path, **given: object) -> list[str]:
    file = tmp_path / "any.joblib"
    file.write_bytes(TRAP)
    said: list[str] = []
    wish = Wish(**{"name": "trap", "path": file, **given})  # type: ignore[arg-type]
    add_model(wish, answers, matches, said.append, tmp_path)
    return said


def test_it_is_copied_unopened_and_the_danger_is_said(tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    requests.write_text(json.dumps(ASKED) + "\n")
    said = add(tmp_path, requests=requests)
    assert any("unpickles it in its container" in line for line in said)
    model = load_model("trap", tmp_path)
    assert model.server == "mlserver"
    assert load_golden(model.golden).responses == ({"outputs": [OUTPUT]},)


def test_without_requests_nobody_knows_what_it_takes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not unpickle it") as caught:
        add(tmp_path)
    assert "--requests" in caught.value.mend
