"""The converter: graphs with the nodes of a released one, against NumPy step by step."""

from __future__ import annotations

import base64
import json
import struct
import subprocess
import sys
import wave
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.deepspeech.formats import alphabet_of, refuse_other_formats
from tests.models.deepspeech_numpy import Sizes, probabilities, random_weights
from tests.models.tensorflow_process import Finished, freeze, script
from tuner.errors import InputError
from tuner.serving.server.signatures import protobuf_module
from tuner.serving.server.status import StatusError
from tuner.serving.server.tensorflow_c import SavedModel

CONVERT = Path(__file__).parents[2] / "models" / "deepspeech" / "convert.py"
ENGLISH = " abcdefghijklmnopqrstuvwxyz'"


def serialized(characters: list[bytes]) -> bytes:
    parts = [struct.pack("<HH", label, len(c)) + c for label, c in enumerate(characters)]
    return struct.pack("<H", len(characters)) + b"".join(parts)


alphabets = st.lists(st.text(min_size=1, max_size=3).map(str.encode), min_size=1, max_size=30)


@given(alphabets)
def test_an_alphabet_is_read_as_it_was_written(characters: list[bytes]) -> None:
    assert alphabet_of(serialized(characters), "graph.pb") == tuple(characters)


@given(alphabets, st.data())
def test_an_alphabet_that_is_cut_short_is_refused(
    characters: list[bytes], data: st.DataObject
) -> None:
    whole = serialized(characters)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(InputError, match=r"graph\.pb: metadata_alphabet"):
        alphabet_of(whole[:cut], "graph.pb")


def test_labels_that_are_not_a_row_are_refused() -> None:
    wrong = struct.pack("<HHH", 1, 5, 1) + b"a"
    with pytest.raises(InputError, match="not a list of characters by label"):
        alphabet_of(wrong, "graph.pb")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("deepspeech-0.9.3-models.pbmm", b"", "memory-mapped"),
        ("graph.pb", b"\0" * 99 + b"memmapped_package://.directory\0\0", "memory-mapped"),
        ("model.tflite", b"", "TensorFlow Lite"),
        ("graph.pb", b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
    ],
)
def test_other_variants_are_refused_with_the_reason(name: str, content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        refuse_other_formats(content, name)
    assert raised.value.mend == "convert the .pb file of the same release"


def run_converter(graph: Path, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CONVERT), str(graph), "--output", str(output), *more],
        capture_output=True,
        text=True,
        check=False,
    )


def converted(
    tensorflow_process: ProcessPoolExecutor, graph: Path, output: Path, *more: str
) -> Finished:
    """What the converter does with a file for which it needs TensorFlow."""
    arguments = [str(graph), "--output", str(output), *more]
    return tensorflow_process.submit(script, "models.deepspeech.convert", arguments).result()


def test_a_missing_file_exits_2_and_writes_nothing(tmp_path: Path) -> None:
    finished = run_converter(tmp_path / "absent.pb", tmp_path / "built")
    assert finished.returncode == 2
    assert "absent.pb: No such file" in finished.stderr
    assert not list(tmp_path.iterdir())


def test_the_mapped_variant_exits_2_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "models.pbmm").write_bytes(b"weights")
    finished = run_converter(tmp_path / "models.pbmm", tmp_path / "built")
    assert finished.returncode == 2
    assert "convert the .pb file of the same release" in finished.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["models.pbmm"]


@dataclass(frozen=True)
class Frozen:
    """A frozen graph in `path`, what is in it, and a WAV file that it takes."""

    path: Path
    sizes: Sizes
    alphabet: str
    weights: dict[str, Any]
    wav: Path


def frozen_graph(
    tensorflow_process: ProcessPoolExecutor,
    directory: Path,
    sizes: Sizes,
    steps: int,
    alphabet: str,
) -> Frozen:
    weights = random_weights(sizes, seed=5)
    graph = directory / "output_graph.pb"
    described = {**asdict(sizes), "steps": steps, "alphabet": alphabet}
    tensorflow_process.submit(freeze, graph, weights, described).result()
    wav = directory / "noise.wav"
    with wave.open(str(wav), "wb") as file:
        file.setparams((1, 2, sizes.sample_rate, 0, "NONE", ""))
        file.writeframes(random_audio(1.5, sizes.sample_rate, 9).astype("<i2").tobytes())
    return Frozen(graph, sizes, alphabet, weights, wav)


def random_audio(seconds: float, sample_rate: int, seed: int) -> Any:  # noqa: ANN401
    """16-bit samples of noise that gets louder and softer."""
    rng = np.random.default_rng(seed)
    count = round(seconds * sample_rate)
    loudness = np.interp(np.arange(count), np.linspace(0, count, 9), rng.uniform(10, 9000, 9))
    return np.clip(np.round(rng.normal(0, loudness)), -32768, 32767)


@pytest.fixture(scope="module")
def released(
    tensorflow_process: ProcessPoolExecutor, tmp_path_factory: pytest.TempPathFactory
) -> Frozen:
    """All sizes of the English releases, but for n_hidden."""
    return frozen_graph(
        tensorflow_process, tmp_path_factory.mktemp("released"), Sizes(), 16, ENGLISH
    )


@pytest.fixture(scope="module")
def unusual(
    tensorflow_process: ProcessPoolExecutor, tmp_path_factory: pytest.TempPathFactory
) -> Frozen:
    """None of those sizes, and characters of several bytes."""
    alphabet = "äöü ß" + ENGLISH[1:]
    sizes = Sizes(8000, 256, 80, 20, 4, n_hidden=7, classes=len(alphabet) + 1)
    return frozen_graph(tensorflow_process, tmp_path_factory.mktemp("unusual"), sizes, 7, alphabet)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param("released", marks=pytest.mark.thorough), "unusual"])
def test_probabilities_are_those_of_numpy_step_by_step(
    kind: str,
    tensorflow_process: ProcessPoolExecutor,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    frozen: Frozen = request.getfixturevalue(kind)
    sizes = frozen.sizes
    output = tmp_path / "built"
    finished = converted(tensorflow_process, frozen.path, output, "--wav", str(frozen.wav))
    assert finished.returncode == 0, finished.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["built"]
    card = json.loads((output / "card.json").read_text())
    assert card["alphabet"] == list(frozen.alphabet)
    assert (card["sample_rate"], card["n_hidden"]) == (sizes.sample_rate, sizes.n_hidden)
    assert card["graph_metadata"] == {"version": "6", "language": "en-US"}
    assert card["greatest_difference"] < 1e-5

    rng = np.random.default_rng(0)
    seconds = [0.0, 0.3, sizes.window / sizes.sample_rate, *rng.uniform(0.3, 6, 6), 6.0]
    with SavedModel(output / "versions" / "1") as saved_model:
        for seed, length in enumerate(seconds):
            samples = random_audio(length, sizes.sample_rate, seed) / 32768
            found = saved_model.run("probabilities", {"samples": samples[np.newaxis]})
            expected = probabilities(frozen.weights, samples.astype(np.float32), sizes)
            assert found["probabilities"].shape == (1, *expected.shape)
            # A network that always says the same would prove little.
            assert length < 0.3 or np.ptp(expected, axis=0).max() > 0.05
            assert np.abs(found["probabilities"][0] - expected).max() < 1e-5
        check_transcripts(saved_model, output, frozen)


def check_transcripts(saved_model: SavedModel, output: Path, frozen: Frozen) -> None:
    """The golden answer comes back, alone and beside a shorter recording."""
    golden = json.loads((output / "golden.jsonl").read_text())
    sent = base64.b64decode(golden["request"]["instances"][0]["b64"])
    (text,) = golden["response"]["predictions"]
    assert text
    assert set(text) <= set(frozen.alphabet)
    header, body = sent[:44], sent[44:]
    short = header[:40] + struct.pack("<I", 8000) + body[:8000]
    batch = np.empty(2, np.object_)
    batch[:] = [short, sent]
    both = saved_model.run("serving_default", {"wav": batch})["transcript"]
    alone = saved_model.run("serving_default", {"wav": batch[:1]})["transcript"]
    assert both[1].decode() == text
    assert both[0] == alone[0]
    with pytest.raises(StatusError, match="empty"):
        saved_model.run("serving_default", {"wav": batch[:0]})


@pytest.mark.slow
def test_a_graph_is_told_what_it_lacks(
    tensorflow_process: ProcessPoolExecutor, released: Frozen, tmp_path: Path
) -> None:
    graph = protobuf_module("framework.graph").GraphDef.FromString(released.path.read_bytes())
    for index in reversed(range(len(graph.node))):
        if graph.node[index].name in {"metadata_alphabet", "new_state_h"}:
            del graph.node[index]
    path = tmp_path / "older.pb"
    path.write_bytes(graph.SerializeToString())
    finished = converted(tensorflow_process, path, tmp_path / "built")
    assert finished.returncode == 2
    assert "no node new_state_h, metadata_alphabet" in finished.stderr
    assert "release 0.7 or newer" in finished.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["older.pb"]


@pytest.mark.slow
def test_other_files_and_audio_are_refused(
    tensorflow_process: ProcessPoolExecutor, unusual: Frozen, tmp_path: Path
) -> None:
    (tmp_path / "noise.pb").write_bytes(b"\xff\xfe no graph")
    for graph, more, words in (
        (tmp_path / "noise.pb", (), "not a frozen graph"),
        # It takes 8 kHz, which espeak-ng's golden requests are not.
        (unusual.path, (), "--wav FILE"),
        (unusual.path, ("--wav", str(unusual.path)), "not a WAV file"),
    ):
        finished = converted(tensorflow_process, graph, tmp_path / "built", *more)
        assert finished.returncode == 2
        assert words in finished.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["noise.pb"]
