"""Each model as it is built by default: minutes, so `make thorough` only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tuner.serving.built_model import build_model, model_checksum
from tuner.spec.study import ModelSpec

MODELS = Path(__file__).parents[2] / "models"

pytestmark = pytest.mark.thorough


def card_of_build(name: str, directory: Path) -> tuple[dict[str, Any], str]:
    """The card of a model, and what its builder said."""
    model = ModelSpec(name, "", MODELS / name, directory / "built")
    said: list[str] = []
    build_model(model, [], said.append)
    card: dict[str, Any] = json.loads((model.built / "card.json").read_text())
    assert card["saved_model_sha256"] == model_checksum(model)
    golden = [json.loads(line) for line in model.golden.read_text("utf-8").splitlines()]
    assert len(golden) == 32
    # A model that always says the same would pass the rest.
    assert len({str(line["response"]) for line in golden}) > 16
    assert [path.name for path in directory.iterdir()] == ["built"]
    return card, "\n".join(said)


def test_deepspeech_hears_voices_that_it_was_not_trained_on(tmp_path: Path) -> None:
    card, said = card_of_build("deepspeech", tmp_path)
    assert (card["trained"], card["train_utterances"], card["n_hidden"]) == (True, 5000, 160)
    assert card["held_out_utterances"] == 300
    assert 0 <= card["word_error_rate"] < 0.15
    assert f"word error rate {card['word_error_rate']:.2%}" in said


def test_translation_translates_what_it_was_not_trained_on(tmp_path: Path) -> None:
    card, said = card_of_build("translation", tmp_path)
    assert card["train_pairs"] == 40_000
    assert card["exact_match"] >= 0.9
    assert f"exact match {card['exact_match']:.2%}" in said


def test_mnist_reads_digits_that_it_was_not_trained_on(tmp_path: Path) -> None:
    card, said = card_of_build("mnist", tmp_path)
    assert (card["epochs"], card["train_samples"]) == (15, 1438)
    assert card["accuracy"] > 0.95
    assert f"held-out accuracy {card['accuracy']:.2%}" in said
