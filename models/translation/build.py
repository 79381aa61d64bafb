"""Train a small Transformer to translate, English to German, and write it ready to serve.

    python build.py --output built [--data pairs.tsv] [--seed 0] [--epochs N] [--sentences N]

Without `--data` it learns from sentences of the grammar beside this file, and is good enough when
nine in ten translations of new combinations of words are right, letter by letter. With `--data` it
learns from a user's own pairs, a sentence, a tab and its translation a line, in any languages that
put blanks between words; how good that is, is said, and accepted unless `--min-exact-match` is set.

Beside the SavedModel (`translator.py` has its signatures) and the golden requests, card.json tells
what was built. Exit codes: 0 built, 1 not good enough to serve, 2 wrong argument or data. Until it
is built, what was in `--output` stays.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tuner.errors import InputError, SetupError
from tuner.serving.building import new_output, positive_number, run_builder, step, whole_number
from tuner.serving.version_files import directory_checksum

if not __package__:
    # Run as a script: the modules beside it are a package, whatever their directory is called.
    __package__ = "translation_scripts"
    sys.modules[__package__] = ModuleType(__package__)
    sys.modules[__package__].__path__ = [str(Path(__file__).parent)]

from .corpus import Corpus, grammar_corpus, read_pairs
from .evaluation import load_metric
from .script import load_tensorflow
from .signatures import BEAM, GREEDY, INPUT, SCORES, TRANSLATION, TRANSLATIONS
from .verification import check_decoding, golden, judged
from .vocabulary import SPECIAL, TargetLanguage

if TYPE_CHECKING:
    from .translator import Translator

MIN_EXACT_MATCH = 90.0  # percent
DROPOUT = 0.1
"""Of a user's own pairs, which are few; the grammar's sentences do not repeat."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    output = options.output.resolve()
    return run_builder(lambda: build(output, options), output)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = result.add_argument
    add("--output", type=Path, required=True, help="directory to write")
    add("--data", type=Path, help="pairs to learn from, TSV; default: sentences of the grammar")
    add("--seed", type=whole_number, default=0, help="same seed, same data and weights")
    add("--epochs", type=positive_number, help="default: 7, or 20 with --data")
    add("--sentences", type=positive_number, default=40_000, help="of the grammar, to train on")
    add(
        "--min-exact-match",
        type=percent,
        metavar="PERCENT",
        help="held-out translations that must be right; default: 90, or 0 with --data",
    )
    return result


def percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"expected 0 to 100, found {text!r}")
    return value


def build(output: Path, options: argparse.Namespace) -> None:
    """All steps; raises InputError for a wrong argument and SetupError for a bad outcome."""
    started = time.monotonic()
    epochs = options.epochs or (20 if options.data else 7)
    required = options.min_exact_match
    if required is None:
        required = 0.0 if options.data else MIN_EXACT_MATCH
    with new_output(output) as new:
        saved_model = new / "versions" / "1"
        with step("Read the data" if options.data else "Write sentences of the grammar"):
            corpus = (
                read_pairs(options.data, options.seed)
                if options.data
                else grammar_corpus(options.sentences, options.seed)
            )
            print(f"  {len(corpus.train)} pairs to train, {len(corpus.held_out)} held out")
            if not corpus.held_out:
                raise InputError("none of so few sentences can be held out", "more --sentences")
        with step("Load TensorFlow and sacrebleu"):
            metric, tensorflow = load_metric(), load_tensorflow(options.seed)
        with step("Train"):
            dropout = DROPOUT if options.data else 0.0
            translator = trained(corpus, epochs, options.seed, dropout)
        with step("Export the SavedModel"):
            translator.export(saved_model)
        with step("Translate the held-out sentences through TensorFlow's C++ loader"):
            texts, references = zip(*corpus.held_out, strict=True)
            translations, facts = judged(saved_model, metric, texts, references)
            check_decoding(translator, texts, translations)
        if facts["exact_match"] * 100 < required:
            raise SetupError(
                f"held-out exact match {facts['exact_match']:.2%} is below {required:g}%",
                "train longer (--epochs), on more (--sentences, --data), or ask for less "
                "(--min-exact-match)",
            )
        with step("Choose golden requests"):
            (new / "golden.jsonl").write_text(
                golden(saved_model, texts, references, translations), encoding="utf-8"
            )
        card = {
            "name": "translation",
            "data": corpus.name,
            "held_out": corpus.held_out_rule,
            "train_pairs": len(corpus.train),
            "held_out_pairs": len(corpus.held_out),
            **facts,
            "seed": options.seed,
            "epochs": epochs,
            "signatures": {
                GREEDY: {"input": INPUT, "output": TRANSLATION},
                BEAM: {"input": INPUT, "outputs": [TRANSLATIONS, SCORES]},
            },
            "saved_model_sha256": directory_checksum(saved_model),
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("keras", "numpy", "sacrebleu")},
                "tensorflow": tensorflow,
            },
            "build_seconds": round(time.monotonic() - started, 1),
        }
        (new / "card.json").write_text(json.dumps(card, indent=2) + "\n")


def trained(corpus: Corpus, epochs: int, seed: int, dropout: float) -> Translator:
    # TensorFlow takes seconds to import.
    from .training import train  # noqa: PLC0415
    from .transformer import Size, Transformer  # noqa: PLC0415
    from .translator import SourceLanguage, Translator  # noqa: PLC0415

    sources, targets = zip(*corpus.train, strict=True)
    source, target = SourceLanguage.of(sources), TargetLanguage.of(targets)
    if min(source.size, len(target.words)) <= len(SPECIAL):
        raise InputError("no word occurs twice: there is nothing to learn", "more --data")
    model = Transformer(source.size, len(target.words), Size(), dropout)
    print(
        f"  {model.count_params()} weights; {source.size} words to read, "
        f"{len(target.words)} to write"
    )
    train(model, source.rows(sources), target.ids(targets), epochs, seed)
    return Translator(model, source, target)


if __name__ == "__main__":
    sys.exit(main())
