"""The speech model's builder: its pure parts, espeak-ng, and one real build."""

from __future__ import annotations

import base64
import io
import itertools
import json
import shutil
import subprocess
import sys
import wave
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample

from models.deepspeech import build
from models.deepspeech.batches import Example, batch, batches
from models.deepspeech.golden import golden_lines, spread, word_error_rate, word_errors
from models.deepspeech.speech import (
    HELD_OUT,
    TRAINING,
    draw_text,
    espeak_version,
    utterances,
    wav_bytes,
)
from tests.models.tensorflow_process import Finished, script
from tuner.errors import SetupError
from tuner.serving.built_model import model_checksum
from tuner.serving.server.status import StatusError
from tuner.serving.server.tensorflow_c import SavedModel
from tuner.spec.study import ModelSpec

DIRECTORY = Path(__file__).parents[2] / "models" / "deepspeech"
ENGLISH = set(" abcdefghijklmnopqrstuvwxyz'")

needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed (scripts/setup)"
)
texts = st.lists(st.sampled_from(["one", "two", "the", "light"]), max_size=6).map(" ".join)


@given(texts, texts, texts)
def test_word_errors_are_a_distance(a: str, b: str, c: str) -> None:
    assert (word_errors(a, b) == 0) is (a.split() == b.split())
    assert word_errors(a, b) == word_errors(b, a)
    assert word_errors(a, c) <= word_errors(a, b) + word_errors(b, c)
    lengths = len(a.split()), len(b.split())
    assert abs(lengths[0] - lengths[1]) <= word_errors(a, b) <= max(lengths)


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("turn on the light", "turn on the light", 0),
        ("turn on the light", "turn of light", 2),  # one replaced, one left out
        ("five", "fi ve", 2),
        ("one two three", "", 3),
        ("", "one", 1),
    ],
)
def test_words_are_compared_in_order(said: str, heard: str, errors: int) -> None:
    assert word_errors(said, heard) == errors


def test_the_word_error_rate_is_per_word_said() -> None:
    assert word_error_rate([("one two three", "one two"), ("go", "go")]) == 1 / 4
    assert word_error_rate([("go", "go up and down")]) == 3


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=60), st.integers(2, 40))
def test_golden_requests_spread_over_all_lengths(lengths: list[int], count: int) -> None:
    chosen = [lengths[index] for index in spread(lengths, count)]
    assert len(chosen) == min(count, len(lengths))
    assert len(set(spread(lengths, count))) == len(chosen)
    assert chosen == sorted(chosen)
    assert (chosen[0], chosen[-1]) == (min(lengths), max(lengths))


def test_a_golden_line_is_one_wav_and_its_transcript() -> None:
    (line,) = golden_lines([b"RIFF\xff\x00"], ["go up"]).splitlines()
    golden = json.loads(line)
    assert golden["response"] == {"predictions": ["go up"]}
    (instance,) = golden["request"]["instances"]
    assert base64.b64decode(instance["b64"]) == b"RIFF\xff\x00"


@given(st.lists(st.integers(1, 50), min_size=1, max_size=80), st.integers(1, 9), st.integers(0, 9))
def test_batches_hold_every_index_once_beside_similar_lengths(
    lengths: list[int], size: int, seed: int
) -> None:
    for rng in (None, np.random.default_rng(seed)):
        parts = batches(lengths, size, rng)
        assert sorted(index for part in parts for index in part) == list(range(len(lengths)))
        assert max(map(len, parts)) <= size
        spans = [(min(lengths[i] for i in p), max(lengths[i] for i in p)) for p in parts]
        # Batch follows batch: at once, or once they are sorted.
        ordered = sorted(spans) if rng else spans
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(ordered))


def test_a_batch_is_padded_with_zeros_and_labels_are_where_they_were() -> None:
    chosen = [
        Example(np.ones((2, 3), np.float32), np.array([7, 8])),
        Example(np.full((4, 3), 2, np.float32), np.array([9])),
    ]
    coefficients, lengths, where, labels = batch(chosen)
    assert coefficients.shape == (2, 4, 3)
    assert lengths.tolist() == [2, 4]
    assert coefficients[0, 2:].sum() == 0
    assert coefficients[1].min() == 2
    assert where.tolist() == [[0, 0], [0, 1], [1, 0]]
    assert labels.tolist() == [7, 8, 9]


def test_held_out_voices_share_nothing_with_the_training_voices() -> None:
    for what in ("accents", "variants", "speeds", "pitches"):
        training, held_out = getattr(TRAINING, what), getattr(HELD_OUT, what)
        assert len(training) > len(held_out) >= 2
        assert not set(training) & set(held_out)


def test_what_is_said_is_in_the_alphabet_and_of_many_lengths() -> None:
    rng = np.random.default_rng(0)
    said = [draw_text(rng) for _ in range(500)]
    assert set("".join(said)) <= ENGLISH
    assert {len(text.split()) for text in said} >= {1, 2, 3, 4, 5, 6}
    assert len({word for text in said for word in text.split()}) > 60


@needs_espeak
def test_utterances_are_repeatable_audio_of_16_khz() -> None:
    first = utterances(8, HELD_OUT, seed=3)
    again = utterances(8, HELD_OUT, seed=3)
    assert [u.text for u in first] == [u.text for u in again]
    assert all((a.samples == b.samples).all() for a, b in zip(first, again, strict=True))
    assert [u.text for u in first] != [u.text for u in utterances(8, HELD_OUT, seed=4)]
    for utterance in first:
        assert 0.2 < len(utterance.samples) / 16_000 < 5
        assert 0.1 < np.abs(utterance.samples / 32768).max() <= 1
        with wave.open(io.BytesIO(wav_bytes(utterance.samples))) as file:
            assert file.getparams()[:4] == (1, 2, 16_000, len(utterance.samples))
            frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            assert (frames == utterance.samples).all()
    assert espeak_version()[0].isdigit()


def test_without_espeak_the_mend_is_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match=r"espeak-ng.*not installed") as raised:
        utterances(1, HELD_OUT, seed=0)
    assert raised.value.mend == "apt-get install -y --no-install-recommends espeak-ng"


def test_words_of_a_failing_espeak_are_passed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "espeak-ng"
    program.write_text("#!/bin/sh\necho 'no voice' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="exit code 3: no voice"):
        utterances(1, HELD_OUT, seed=0)


def run_builder(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DIRECTORY / "build.py"), "--output", str(output), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "one"], "expected a whole number"),
        (["--n-hidden", "0"], "expected a whole number from 1 on"),
        (["--epochs", "-1"], "expected a whole number"),
    ],
)
def test_bad_arguments_exit_2_and_leave_the_output(
    tmp_path: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "card.json").write_text("{}")
    with pytest.raises(SystemExit, match="2"):
        build.main(["--output", str(tmp_path / "built"), *arguments])
    assert words in capsys.readouterr().err
    assert {p.name for p in tmp_path.rglob("*")} == {"built", "card.json"}


def test_a_directory_that_no_builder_wrote_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    finished = run_builder(tmp_path)
    assert finished.returncode == 2
    assert "is no built model" in finished.stderr
    assert (tmp_path / "thesis.txt").exists()


@pytest.fixture(scope="module")
def untrained(
    tensorflow_process: ProcessPoolExecutor, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ModelSpec, str]:
    """The model, and what its builder said."""
    directory = tmp_path_factory.mktemp("untrained")
    model = ModelSpec("deepspeech", "", DIRECTORY, directory / "built")
    finished = built(tensorflow_process, model.built, "--untrained", "--n-hidden", "24")
    assert finished.returncode == 0, finished.stderr
    return model, finished.stdout


def built(tensorflow_process: ProcessPoolExecutor, output: Path, *arguments: str) -> Finished:
    """What the builder does, with the seed 1."""
    given = ["--output", str(output), "--seed", "1", *arguments]
    return tensorflow_process.submit(script, "models.deepspeech.build", given).result()


def wav_at(rate: int, frames: bytes, channels: int = 1) -> bytes:
    """A WAV file of 16-bit samples at `rate` Hz."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(frames)
    return buffer.getvalue()


def golden_of(model: ModelSpec) -> tuple[list[bytes], list[str]]:
    """WAV files and transcripts of the golden requests."""
    lines = [json.loads(line) for line in model.golden.read_text().splitlines()]
    wavs = [base64.b64decode(line["request"]["instances"][0]["b64"]) for line in lines]
    return wavs, [line["response"]["predictions"][0] for line in lines]


def as_strings(values: list[bytes]) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array


def samples_of(wav: bytes) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    with wave.open(io.BytesIO(wav)) as file:
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return (frames / 32768).astype(np.float32)


@needs_espeak
@pytest.mark.slow
@pytest.mark.thorough
def test_a_network_that_learnt_too_little_is_not_kept(
    tensorflow_process: ProcessPoolExecutor, tmp_path: Path
) -> None:
    training = ("--utterances", "64", "--epochs", "2", "--n-hidden", "16")
    finished = built(tensorflow_process, tmp_path / "built", *training)
    assert finished.returncode == 1
    assert "epoch 2/2: loss " in finished.stdout
    assert "held-out word error rate" in finished.stdout
    assert "is not below 15%" in finished.stderr
    assert list(tmp_path.iterdir()) == []


@needs_espeak
@pytest.mark.slow
def test_golden_transcripts_come_back_one_by_one_and_in_a_batch(
    untrained: tuple[ModelSpec, str],
) -> None:
    wavs, expected = golden_of(untrained[0])
    assert len(wavs) == 32
    assert max(map(len, wavs)) > 3 * min(map(len, wavs))
    assert len(set(expected)) > 20  # A model that says one thing would pass what follows.
    with SavedModel(untrained[0].versions / "1") as saved_model:
        batched = saved_model.run("serving_default", {"wav": as_strings(wavs)})["transcript"]
        assert [text.decode() for text in batched] == expected
        for wav, text in zip(wavs[::8], expected[::8], strict=True):
            one = {"samples": samples_of(wav)[np.newaxis]}
            assert saved_model.run("samples", one)["transcript"][0].decode() == text
            chances = saved_model.run("probabilities", one)["probabilities"]
            assert chances.shape[::2] == (1, 29)
            assert np.allclose(chances.sum(axis=2), 1, atol=1e-4)


@needs_espeak
@pytest.mark.slow
def test_an_untrained_model_says_so_in_all_that_it_produces(
    untrained: tuple[ModelSpec, str],
) -> None:
    model, said = untrained
    card = json.loads((model.built / "card.json").read_text())
    assert (card["trained"], card["n_hidden"]) == (False, 24)
    assert "UNTRAINED" in card["description"]
    assert "word_error_rate" not in card
    assert "untrained weights" in said
    assert card["saved_model_sha256"] == model_checksum(model)
    assert [p.name for p in model.built.parent.iterdir()] == ["built"]  # nothing half done
    _, transcripts = golden_of(model)
    assert all(text.startswith("(untrained weights) ") for text in transcripts)


@needs_espeak
@pytest.mark.slow
@pytest.mark.parametrize(
    ("wav", "words"),
    [
        (b"", "Data too short"),
        (b"no audio at all, but long enough for a header", "Expected RIFF"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "Unexpected field data"),
        (wav_at(4000, b"\0\1" * 4000), "converts 8000 to 192000 Hz. The WAV file is of 4000 Hz."),
        (wav_at(1, b"\0\1" * 4000), "The WAV file is of 1 Hz."),
        (wav_at(16_000, b"\0\1" * 4000)[:-1], "Data too short"),
        # More chunks than there are in any file: the search for the samples ends.
        (b"RIFF\0\0\0\0WAVE" + b"more\0\0\0\0" * 100_000, "Unexpected field more"),
    ],
)
def test_what_is_no_audio_is_refused(
    untrained: tuple[ModelSpec, str], wav: bytes, words: str
) -> None:
    good = golden_of(untrained[0])[0][0]
    with SavedModel(untrained[0].versions / "1") as saved_model:
        with pytest.raises(StatusError, match=words) as raised:
            saved_model.run("serving_default", {"wav": as_strings([wav])})
        assert raised.value.http_status == 400
        # The next request is served as before.
        assert len(saved_model.run("serving_default", {"wav": as_strings([good])})) == 1


@needs_espeak
@pytest.mark.slow
def test_a_file_from_a_pipe_is_heard_to_its_end(untrained: tuple[ModelSpec, str]) -> None:
    """Its header says that the length is not known, in one of several ways."""
    wavs, expected = golden_of(untrained[0])
    wav, text = wavs[3], expected[3]
    assert wav[36:40] == b"data"
    tag = b"LIST" + (4).to_bytes(4, "little") + b"abcd"
    piped = [
        wav[:40] + length.to_bytes(4, "little") + wav[44:]
        for length in (0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF)
    ]
    piped += [
        piped[0] + b"\1",  # torn within a sample
        piped[0][:36] + tag + piped[0][36:],
        # Nothing to hear: it has an end all the same.
        wav_at(16_000, b""),
    ]
    with SavedModel(untrained[0].versions / "1") as saved_model:
        heard = saved_model.run("serving_default", {"wav": as_strings(piped)})["transcript"]
    assert [found.decode() for found in heard[:-1]] == [text] * 6


@needs_espeak
@pytest.mark.slow
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (22_050, 1), (44_100, 2)])
def test_audio_of_another_sample_rate_is_converted(
    untrained: tuple[ModelSpec, str], rate: int, channels: int
) -> None:
    frames = np.round(np.random.default_rng(rate).normal(0, 3000, rate)).astype("<i2")
    expected = resample(frames / 32768, 16_000).astype(np.float32)
    wav = wav_at(rate, np.repeat(frames, channels).tobytes(), channels)
    with SavedModel(untrained[0].versions / "1") as saved_model:
        heard = saved_model.run("serving_default", {"wav": as_strings([wav])})["transcript"]
        same = saved_model.run("samples", {"samples": expected[np.newaxis]})["transcript"]
    assert heard.tolist() == same.tolist()


@needs_espeak
@pytest.mark.slow
def test_what_espeak_writes_to_a_pipe_is_heard(untrained: tuple[ModelSpec, str]) -> None:
    said = subprocess.run(
        ["espeak-ng", "--stdout", "turn on the light"], capture_output=True, check=True
    ).stdout
    with SavedModel(untrained[0].versions / "1") as saved_model:
        heard = saved_model.run("serving_default", {"wav": as_strings([said])})["transcript"]
    assert heard[0].startswith(b"(untrained weights) ")
    assert len(heard[0]) > len("(untrained weights) ")


@needs_espeak
@pytest.mark.slow
def test_an_empty_batch_is_refused(untrained: tuple[ModelSpec, str]) -> None:
    with SavedModel(untrained[0].versions / "1") as saved_model:
        # A failed check in one of the operations would end the process.
        for signature, inputs in (
            ("serving_default", {"wav": as_strings([])}),
            ("samples", {"samples": np.zeros((0, 16_000), np.float32)}),
        ):
            with pytest.raises(StatusError, match="must not be empty"):
                saved_model.run(signature, inputs)


@needs_espeak
@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 1, 511, 512, 831, 832, 833])
def test_audio_of_any_length_is_heard_to_its_end(
    untrained: tuple[ModelSpec, str], count: int
) -> None:
    silence = np.zeros((2, count), np.float32)
    with SavedModel(untrained[0].versions / "1") as saved_model:
        chances = saved_model.run("probabilities", {"samples": silence})["probabilities"]
    full = 0 if count < 512 else (count - 512) // 320 + 1
    assert chances.shape == (2, full + 1, 29)
