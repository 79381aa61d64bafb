"""The models that the page about any image describes are models that tune takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tuner.spec.load import load_model

PAGE = Path(__file__).parents[2] / "docs/how-to/any-image.md"
MODELS = dict(
    re.findall(
        r"(?s)```yaml\n# models/(\w+)/model\.yaml\n(.*?)```", PAGE.read_text(encoding="utf-8")
    )
)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_the_page_is_taken(name: str, tmp_path: Path) -> None:
    directory = tmp_path / "models" / name
    directory.mkdir(parents=True)
    text = MODELS[name] if "description:" in MODELS[name] else f"description: it\n{MODELS[name]}"
    directory.joinpath("model.yaml").write_text(text, encoding="utf-8")
    model = load_model(name, tmp_path)
    assert model.http is not None
    assert model.http.ready.startswith("/")
    assert model.http.requests


def test_there_are_some() -> None:
    assert {"web", "densenet", "iris"} <= MODELS.keys()
