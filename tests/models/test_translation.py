"""The translation model's builder, and what it builds, through TensorFlow's C++ loader."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.translation import build
from models.translation.corpus import grammar_corpus
from models.translation.evaluation import exact_match, golden_lines, spread
from models.translation.loader import as_strings
from tests.models.tensorflow_process import script
from tuner.serving.built_model import build_model, model_checksum
from tuner.serving.server.status import StatusError
from tuner.serving.server.tensorflow_c import SavedModel
from tuner.spec.study import ModelSpec

DIRECTORY = Path(__file__).parents[2] / "models" / "translation"


def run_builder(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DIRECTORY / "build.py"), "--output", str(output), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "one"], "expected a whole number"),
        (["--epochs", "0"], "from 1 on"),
        (["--min-exact-match", "101"], "expected 0 to 100"),
    ],
)
def test_bad_arguments_exit_2_and_leave_the_output(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "built"
    output.mkdir()
    (output / "card.json").write_text("{}")
    with pytest.raises(SystemExit, match="2"):
        build.main(["--output", str(output), *arguments])
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["built", "card.json"]


def test_a_missing_file_exits_2_and_leaves_the_output(tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "card.json").write_text("{}")
    finished = run_builder(tmp_path / "built", "--data", "absent.tsv")
    assert finished.returncode == 2
    assert "absent.tsv: No such file" in finished.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["built", "card.json"]


def test_a_directory_that_no_builder_wrote_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").touch()
    assert build.main(["--output", str(tmp_path)]) == 2
    assert "is no built model" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").exists()


@given(st.lists(st.integers(1, 30), min_size=1, max_size=80), st.integers(2, 40))
def test_golden_requests_spread_over_all_lengths(lengths: list[int], count: int) -> None:
    indices = spread(["word " * length for length in lengths], count)
    chosen = [lengths[index] for index in indices]
    assert len(set(indices)) == len(chosen) == min(count, len(lengths))
    assert chosen == sorted(chosen)
    assert (chosen[0], chosen[-1]) == (min(lengths), max(lengths))


def test_golden_lines_are_text_in_and_text_out() -> None:
    (line,) = golden_lines(["He is big."], ["Er ist groß."]).splitlines()
    assert "groß" in line
    assert json.loads(line) == {
        "request": {"instances": ["He is big."]},
        "response": {"predictions": ["Er ist groß."]},
    }


def test_exact_match_is_letter_by_letter() -> None:
    assert (
        exact_match(["Er ist da.", "er ist da.", "a", "b"], ["Er ist da."] * 2 + ["a"] * 2) == 0.5
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSpec, list[str]]:
    """A model of few pairs from a file, seen few times: it translates, though badly."""
    for package in ("tensorflow", "sacrebleu"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (tune-serving[models])")
    directory = tmp_path_factory.mktemp("translation")
    short = [pair for pair in grammar_corpus(3000, seed=9).train if len(pair[0].split()) <= 10]
    pairs = [*short[:2000], ("zyx.", "Zyx.")]
    data = directory / "pairs.tsv"
    data.write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    model = ModelSpec("translation", "", DIRECTORY, directory / "built")
    said: list[str] = []
    build_model(model, ["--data", str(data), "--epochs", "6", "--seed", "1"], said.append)
    return model, said


@pytest.fixture(scope="module")
def saved_model(built: tuple[ModelSpec, list[str]]) -> SavedModel:
    return SavedModel(built[0].versions / "1")


def translate(saved_model: SavedModel, texts: list[str]) -> list[str]:
    answers = saved_model.run("serving_default", {"text": as_strings(texts)})["translation"]
    assert answers.shape == (len(texts),)
    return [answer.decode() for answer in answers]


def golden_requests(model: ModelSpec) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in model.golden.read_text(encoding="utf-8").splitlines()]
    return [(line["request"]["instances"][0], line["response"]["predictions"][0]) for line in lines]


@pytest.mark.thorough
def test_the_card_tells_what_was_built(built: tuple[ModelSpec, list[str]]) -> None:
    model, said = built
    card = json.loads((model.built / "card.json").read_text())
    assert "pairs.tsv" in card["data"]
    assert (card["train_pairs"], card["held_out_pairs"]) == (1801, 200)
    assert (card["seed"], card["epochs"]) == (1, 6)
    assert card["saved_model_sha256"] == model_checksum(model)
    assert 0 <= card["exact_match"] <= 1
    assert 1 < card["bleu"] <= 100
    assert "version" in card["bleu_signature"]
    assert any(
        f"exact match {card['exact_match']:.2%}, BLEU {card['bleu']:.2f}" in line for line in said
    )
    assert sorted(path.name for path in model.built.parent.iterdir()) == ["built", "pairs.tsv"]


@pytest.mark.thorough
def test_golden_answers_are_reproduced_in_any_batch(
    built: tuple[ModelSpec, list[str]], saved_model: SavedModel
) -> None:
    golden = golden_requests(built[0])
    assert len(golden) == 32
    requests = [request for request, _ in golden]
    expected = [answer for _, answer in golden]
    assert translate(saved_model, requests) == expected
    assert [translate(saved_model, [request])[0] for request in requests] == expected
    lengths = Counter(len(request.split()) for request in requests)
    assert len(lengths) >= 8
    assert len(set(expected)) > 16  # A constant model would pass the rest.


@pytest.mark.thorough
def test_a_translation_is_written_as_text(
    built: tuple[ModelSpec, list[str]], saved_model: SavedModel
) -> None:
    for answer in translate(saved_model, [request for request, _ in golden_requests(built[0])]):
        assert answer[0].isupper()
        assert " ".join(answer.split()) == answer
        assert " ." not in answer
        assert " ," not in answer


@pytest.mark.thorough
def test_blanks_and_case_of_a_request_do_not_matter(saved_model: SavedModel) -> None:
    text = "The old man sees the dog, because he is hungry."
    variants = [
        text,
        text.upper(),
        f"  {text}\n",
        text.replace(" ", "   "),
        text.replace(".", " ."),
    ]
    assert len(set(translate(saved_model, variants))) == 1


@pytest.mark.thorough
def test_odd_requests_are_answered(saved_model: SavedModel) -> None:
    assert translate(saved_model, []) == []
    odd = ["", "   ", "qwertz", ".", "ÄÖÜ 你好 \x00", "the " * 60]
    answers = translate(saved_model, odd)
    assert answers[:2] == ["", ""]
    assert all(len(answer.split()) <= 60 for answer in answers)
    not_text = saved_model.run("serving_default", {"text": np.array([b"\xff\xfe"], np.object_)})
    assert not_text["translation"].shape == (1,)


@pytest.mark.thorough
@pytest.mark.parametrize("signature", ["serving_default", "beam"])
def test_a_text_that_is_too_long_is_refused_in_words(
    saved_model: SavedModel, signature: str
) -> None:
    with pytest.raises(StatusError, match=r"more than 60 words.*61"):
        saved_model.run(signature, {"text": as_strings(["A dog.", "the " * 61])})


@pytest.mark.thorough
def test_a_beam_has_four_translations_best_first(
    built: tuple[ModelSpec, list[str]], saved_model: SavedModel
) -> None:
    texts = [request for request, _ in golden_requests(built[0])]
    found = saved_model.run("beam", {"text": as_strings(texts)})
    translations, scores = found["translations"], found["scores"]
    assert translations.shape == scores.shape == (len(texts), 4)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert (scores[:, 0] < 0).all()
    assert all(len(set(row)) == 4 for row in translations.tolist())
    greedy = translate(saved_model, texts)
    # The search finds what is likeliest word by word, or something likelier.
    among = [text.encode() in row for text, row in zip(greedy, translations.tolist(), strict=True)]
    assert sum(among) > len(texts) / 2
    alone = saved_model.run("beam", {"text": as_strings(texts[-1:])})
    assert alone["translations"][0].tolist() == translations[-1].tolist()
    assert np.allclose(alone["scores"][0], scores[-1], atol=1e-4)


@pytest.mark.thorough
def test_a_model_that_is_not_good_enough_is_not_kept(
    tensorflow_process: ProcessPoolExecutor, tmp_path: Path
) -> None:
    if importlib.util.find_spec("sacrebleu") is None:
        pytest.skip("sacrebleu is not installed (tune-serving[models])")
    arguments = ["--output", str(tmp_path / "built"), "--sentences", "400", "--epochs", "1"]
    finished = tensorflow_process.submit(script, "models.translation.build", arguments).result()
    assert finished.returncode == 1
    assert "is below 90%" in finished.stderr
    assert list(tmp_path.iterdir()) == []
