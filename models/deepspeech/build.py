"""Train a small DeepSpeech on synthesised commands and write it ready to serve.

    python build.py --output built [--seed 0] [--n-hidden N] [--epochs N] [--utterances N]
    python build.py --output built --n-hidden 2048 --untrained

espeak-ng speaks the training data and the golden requests. `--untrained` writes a network of
random weights, for studies of what a size costs; its transcripts say so. Beside the SavedModel
(`transcriber.py` has its signatures) and the golden requests, card.json tells what was built.
Exit codes: 0 built, 1 not good enough to serve, 2 wrong argument. Until it is built, what was in
`--output` stays.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from tuner.errors import SetupError
from tuner.serving.building import new_output, positive_number, run_builder, step, whole_number

if not __package__:
    # Run as a script: the modules beside it are a package, whatever their directory is called.
    __package__ = "deepspeech_scripts"
    sys.modules[__package__] = ModuleType(__package__)
    sys.modules[__package__].__path__ = [str(Path(__file__).parent)]

from . import loader
from .golden import GOLDEN_REQUESTS, golden_lines, spread, word_error_rate
from .script import load_tensorflow, write_card
from .speech import (
    HELD_OUT,
    TRAINING,
    Utterance,
    espeak_version,
    utterances,
    wav_bytes,
)

if TYPE_CHECKING:
    from .transcriber import Transcriber

MAX_WORD_ERROR_RATE = 0.15
HELD_OUT_UTTERANCES = 300
BEAM_WIDTH = 16
UNTRAINED = "(untrained weights) "
COMPARED = 3  # held-out utterances


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    output = options.output.resolve()
    return run_builder(lambda: build(output, options), output)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = result.add_argument
    add("--output", type=Path, required=True, help="directory to write")
    add("--seed", type=whole_number, default=0, help="same seed, same data and weights")
    add(
        "--n-hidden",
        type=positive_number,
        default=160,
        help="units of a layer; released models: 2048",
    )
    add(
        "--epochs",
        type=positive_number,
        default=12,
        help="how often to go through the training data",
    )
    add("--utterances", type=positive_number, default=5000, help="how many to train on")
    add("--untrained", action="store_true", help="random weights, to study what the size costs")
    return result


def build(output: Path, options: argparse.Namespace) -> None:
    """All steps; raises InputError for a wrong argument and SetupError for a bad outcome."""
    with new_output(output) as new:
        saved_model = new / "versions" / "1"
        synthesiser = espeak_version()
        with step(f"Synthesise speech with espeak-ng {synthesiser}"):
            # Without training all that is needed is golden requests, of different lengths.
            count, others = options.utterances, HELD_OUT_UTTERANCES
            if options.untrained:
                count, others = 0, 2 * GOLDEN_REQUESTS
            spoken = utterances(count, TRAINING, options.seed)
            held_out = utterances(others, HELD_OUT, options.seed + 1)
            print(f"  {describe(spoken)} to train; {describe(held_out)} of other voices held out")
        with step("Load TensorFlow"):
            load_tensorflow(options.seed)
        facts = network_facts(options) | {
            "data": f"commands, digits and phrases spoken by espeak-ng {synthesiser}",
            "train_utterances": len(spoken),
            "held_out_utterances": len(held_out),
        }
        transcriber = write_network(spoken, options, saved_model)
        with step("Compare TensorFlow's C++ loader with Python"):
            audio = [utterance.floats for utterance in held_out[:COMPARED]]
            loader.require_same(
                loader.probabilities(saved_model, audio),
                [transcriber.probabilities(a) for a in audio],
            )
        wavs = [wav_bytes(utterance.samples) for utterance in held_out]
        with step("Transcribe the held-out voices through TensorFlow's C++ loader"):
            heard = loader.transcripts(saved_model, wavs)
            if options.untrained:
                print(f"  untrained weights: no word error rate; it hears {heard[0]!r}")
            else:
                rate = word_error_rate(zip((u.text for u in held_out), heard, strict=True))
                print(f"  held-out word error rate {rate:.2%}")
                facts["word_error_rate"] = round(rate, 4)
                require_good(rate)
        # What it hears wrongly is no example of a request and its answer.
        usable = [i for i, u in enumerate(held_out) if options.untrained or heard[i] == u.text]
        lengths = [len(held_out[i].samples) for i in usable]
        golden = [usable[place] for place in spread(lengths, GOLDEN_REQUESTS)]
        lines = golden_lines([wavs[i] for i in golden], [heard[i] for i in golden])
        (new / "golden.jsonl").write_text(lines)
        write_card(new, facts, synthesiser)


def describe(spoken: Sequence[Utterance]) -> str:
    seconds = sum(len(utterance.samples) for utterance in spoken) / 16_000
    return f"{len(spoken)} utterances ({seconds / 60:.1f} min)"


def network_facts(options: argparse.Namespace) -> dict[str, Any]:
    trained = not options.untrained
    return {
        "description": f"DeepSpeech with n_hidden {options.n_hidden}, "
        + ("trained on synthesised commands" if trained else "UNTRAINED: its weights are random"),
        "trained": trained,
        "n_hidden": options.n_hidden,
        "beam_width": BEAM_WIDTH,
        "seed": options.seed,
        **({"epochs": options.epochs} if trained else {}),
    }


def write_network(
    spoken: Sequence[Utterance], options: argparse.Namespace, directory: Path
) -> Transcriber:
    """Train on what is spoken, or not, and write the SavedModel."""
    import tensorflow as tf  # noqa: PLC0415 they take seconds to import

    from . import training  # noqa: PLC0415
    from .front_end import Geometry  # noqa: PLC0415
    from .network import initial_weights  # noqa: PLC0415
    from .transcriber import ENGLISH, Transcriber, own_network  # noqa: PLC0415

    geometry, classes = Geometry(), len(ENGLISH) + 1
    if options.untrained:
        rng = np.random.default_rng(options.seed)
        weights = initial_weights(geometry, options.n_hidden, classes, rng)
    else:
        with step("Compute the coefficients"):
            number = {character: label for label, character in enumerate(ENGLISH)}
            labels = [np.array([number[c] for c in u.text]) for u in spoken]
            data = training.examples([u.floats for u in spoken], labels, geometry)
        with step("Train"):
            weights = training.train(
                data, geometry, options.n_hidden, classes, options.seed, options.epochs
            )
    with step("Export the SavedModel"):
        count = sum(value.size for value in weights.values())
        print(f"  {count:,} {'random, untrained' if options.untrained else 'trained'} weights")
        variables = {name: tf.Variable(value, name=name) for name, value in weights.items()}
        acoustics = own_network(variables, geometry)
        transcriber = Transcriber(
            acoustics,
            variables,
            ENGLISH,
            geometry.sample_rate,
            BEAM_WIDTH,
            UNTRAINED if options.untrained else "",
        )
        transcriber.write(directory)
    return transcriber


def require_good(rate: float) -> None:
    # Not "at least", so that a NaN is refused too.
    if not rate < MAX_WORD_ERROR_RATE:
        raise SetupError(
            f"held-out word error rate {rate:.2%} is not below {MAX_WORD_ERROR_RATE:.0%}",
            "train longer (--epochs), on more (--utterances), or a larger network (--n-hidden)",
        )


if __name__ == "__main__":
    sys.exit(main())
