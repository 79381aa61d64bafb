"""Translate a released DeepSpeech graph into a SavedModel that is ready to serve.

    python convert.py output_graph.pb --output built [--beam-width N] [--wav FILE ...]

`tune models convert deepspeech GRAPH --output DIR` runs this. The graph's own metadata says what
it takes and which characters it knows. Golden requests are WAV files of one's own, or commands
spoken by espeak-ng; their answers are the model's. The SavedModel must give the probabilities that
the graph itself gives, step by step, or it is refused. Exit codes: 0 converted, 1 it failed, 2
wrong argument or file. Until it is converted, what was in `--output` stays.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import wave
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt

from tuner.errors import InputError
from tuner.serving.building import new_output, positive_number, run_builder, step

if not __package__:
    # Run as a script: the modules beside it are a package, whatever their directory is called.
    __package__ = "deepspeech_scripts"
    sys.modules[__package__] = ModuleType(__package__)
    sys.modules[__package__].__path__ = [str(Path(__file__).parent)]

from . import loader
from .formats import refuse_other_formats
from .golden import GOLDEN_REQUESTS, golden_lines, spread
from .script import load_tensorflow, write_card
from .speech import (
    HELD_OUT,
    SAMPLE_RATE,
    espeak_version,
    utterances,
    wav_bytes,
)

CHECKED_SECONDS = (0.3, 0.7, 1.3, 2.9, 6.0)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    output = options.output.resolve()
    return run_builder(lambda: convert(output, options), output)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = result.add_argument
    add("graph", type=Path, help="output_graph.pb of a release")
    add("--output", type=Path, required=True, help="directory to write")
    add(
        "--beam-width",
        type=positive_number,
        help="of the decoder; 1 is greedy; default: the graph's",
    )
    add("--wav", type=Path, nargs="+", default=[], help="golden requests; default: espeak-ng")
    return result


def convert(output: Path, options: argparse.Namespace) -> None:
    """All steps; raises InputError for a wrong file and SetupError for a bad outcome."""
    try:
        content = options.graph.read_bytes()
    except OSError as error:
        raise InputError(f"{options.graph}: {error.strerror or error}") from error
    refuse_other_formats(content, str(options.graph))
    with new_output(output) as new:
        saved_model = new / "versions" / "1"
        with step("Load TensorFlow"):
            load_tensorflow(0)
        import tensorflow as tf  # noqa: PLC0415 it takes seconds to import

        from . import released as frozen  # noqa: PLC0415
        from .transcriber import Transcriber  # noqa: PLC0415

        with step(f"Read {options.graph}"):
            released = frozen.read_graph(content, str(options.graph))
            beam_width = options.beam_width or released.beam_width
            print(
                f"  {released.geometry.sample_rate} Hz, {len(released.alphabet)} characters, "
                f"{released.steps} steps at a time, {released.cells} cells, beam of {beam_width}"
            )
            wavs, source = golden_wavs(options.wav, released.geometry.sample_rate)
        with step("Export the SavedModel"):
            try:
                values = frozen.weights_of(released.graph)
                weights = {name: tf.Variable(value) for name, value in values.items()}
                acoustics = frozen.acoustics_of(released, weights)
                rate = released.geometry.sample_rate
                Transcriber(acoustics, weights, released.alphabet, rate, beam_width).write(
                    saved_model
                )
            except (ValueError, tf.errors.OpError) as error:
                raise InputError(
                    f"{options.graph}: TensorFlow cannot run this graph: {error}", frozen.OLDER
                ) from error
        with step("Compare TensorFlow's C++ loader with the graph, step by step"):
            audio = [noise(seconds, released.geometry.sample_rate) for seconds in CHECKED_SECONDS]
            difference = loader.require_same(
                loader.probabilities(saved_model, audio), frozen.step_by_step(released, audio)
            )
        with step("Transcribe the golden requests"):
            heard = loader.transcripts(saved_model, wavs)
            print(f"  {source}: {heard[0]!r} ... {heard[-1]!r}")
        (new / "golden.jsonl").write_text(golden_lines(wavs, heard))
        facts = {
            "description": f"DeepSpeech, translated from {options.graph.name}",
            "graph_sha256": hashlib.sha256(content).hexdigest(),
            "graph_metadata": dict(released.metadata),
            "n_hidden": released.cells,
            "beam_width": beam_width,
            "alphabet": [character.decode("utf-8", "replace") for character in released.alphabet],
            "sample_rate": released.geometry.sample_rate,
            "greatest_difference": difference,
            "golden_requests": source,
        }
        write_card(new, facts, "" if options.wav else espeak_version())


def golden_wavs(paths: Sequence[Path], sample_rate: int) -> tuple[list[bytes], str]:
    """WAV files for golden requests, the shortest first, and where they come from.

    Raises InputError for a file that the model does not take.
    """
    if paths:
        return sorted((checked_wav(path, sample_rate) for path in paths), key=len), "own WAV files"
    if sample_rate != SAMPLE_RATE:
        raise InputError(
            f"this graph takes audio at {sample_rate} Hz, not {SAMPLE_RATE} Hz",
            "name WAV files for the golden requests: --wav FILE ...",
        )
    spoken = utterances(4 * GOLDEN_REQUESTS, HELD_OUT, 1)
    chosen = spread([len(utterance.samples) for utterance in spoken], GOLDEN_REQUESTS)
    return [wav_bytes(spoken[index].samples) for index in chosen], "commands spoken by espeak-ng"


def checked_wav(path: Path, sample_rate: int) -> bytes:
    mend = f"--wav takes WAV files of 16-bit PCM at {sample_rate} Hz"
    try:
        content = path.read_bytes()
        with wave.open(str(path)) as file:
            found = f"{8 * file.getsampwidth()} bits at {file.getframerate()} Hz"
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", mend) from error
    except (wave.Error, EOFError) as error:
        raise InputError(f"{path}: not a WAV file ({error})", mend) from error
    if found != f"16 bits at {sample_rate} Hz":
        raise InputError(f"{path}: {found}", mend)
    return content


def noise(seconds: float, sample_rate: int) -> npt.NDArray[np.float32]:
    """Random audio, the same for the same length."""
    count = round(seconds * sample_rate)
    return np.random.default_rng(count).uniform(-0.5, 0.5, count).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
