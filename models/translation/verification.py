"""The built model under test: its figures, its decoding, and the golden requests from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuner.errors import SetupError

from . import loader
from .evaluation import GOLDEN_REQUESTS, exact_match, golden_lines, quality, spread
from .signatures import BEAM, GREEDY, TRANSLATION, TRANSLATIONS
from .vocabulary import MAX_WORDS, PAD, UNKNOWN, padded

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

    from .translator import Translator

BATCH = 50  # texts of one call of the loader
BEAM_TEXTS = 200
MAX_DISAGREEMENT = 0.01


def judged(
    saved_model: Path, metric: BLEU, texts: Sequence[str], references: Sequence[str]
) -> tuple[list[str], dict[str, Any]]:
    """The loader's translations of the held-out texts, and how good they are."""
    batches = [texts[i : i + BATCH] for i in range(0, len(texts), BATCH)]
    answers = loader.answers(saved_model, {GREEDY: batches, BEAM: batches[: BEAM_TEXTS // BATCH]})
    translations = decoded(answers[GREEDY], TRANSLATION)
    best = decoded(answers[BEAM], TRANSLATIONS)
    found = quality(metric, translations, references)
    beam = exact_match(best, references[: len(best)])
    print(f"  held-out exact match {found.exact_match:.2%}, BLEU {found.bleu:.2f}")
    print(f"  beam search: exact match {beam:.2%} of the first {len(best)}")
    facts = {
        "exact_match": round(found.exact_match, 4),
        "bleu": round(found.bleu, 2),
        "bleu_signature": found.bleu_signature,
        "beam_exact_match": round(beam, 4),
    }
    return translations, facts


def decoded(answers: loader.Answers, output: str) -> list[str]:
    """The texts of an output, of each row the first."""
    rows = [row for answer in answers for row in answer[output].reshape(len(answer[output]), -1)]
    return [row[0].decode() for row in rows]


def check_decoding(
    translator: Translator, texts: Sequence[str], translations: Sequence[str]
) -> None:
    """Raise SetupError unless the network, fed each answer as a whole, would have given it.

    That finds an error in the loop of the graph, or in the keys and values that it keeps. Sums in
    another order may decide a tie otherwise, so a few sentences may differ.
    """
    from .decoding import next_words  # noqa: PLC0415

    differ = compared = 0
    for start in range(0, len(texts), BATCH):
        source = translator.source.rows(texts[start : start + BATCH])
        target = translator.target.ids(translations[start : start + BATCH])
        written = padded(target)
        following = next_words(translator.model, padded(source), written[:, :-1])
        counted = written[:, 1:] != PAD
        # Not an answer that was cut off, nor one that cannot be read back.
        readable = [UNKNOWN not in ids and len(ids) <= MAX_WORDS + 1 for ids in target]
        wrong = ((following != written[:, 1:]) & counted).any(axis=1)
        compared += sum(readable)
        differ += int((wrong & readable).sum())
    print(f"  {differ} of {compared} translations differ from decoding without a cache")
    if differ > MAX_DISAGREEMENT * compared:
        raise SetupError("the exported decoding and the network disagree on these translations")


def golden(
    saved_model: Path,
    texts: Sequence[str],
    references: Sequence[str],
    translations: Sequence[str],
) -> str:
    """Golden requests of all lengths, answered one at a time, as a server answers them.

    A right translation is seldom a close decision: on another kind of CPU it stays the same.
    """
    right = [
        i for i, pair in enumerate(zip(translations, references, strict=True)) if pair[0] == pair[1]
    ]
    usable = right if len(right) >= GOLDEN_REQUESTS else range(len(texts))
    chosen = [usable[i] for i in spread([texts[i] for i in usable], GOLDEN_REQUESTS)]
    requests = [texts[i] for i in chosen]
    alone = loader.answers(saved_model, {GREEDY: [[text] for text in requests]})
    answers = decoded(alone[GREEDY], TRANSLATION)
    for i, answer in zip(chosen, answers, strict=True):
        if answer != translations[i]:
            raise SetupError(
                f"the translation of {texts[i]!r} depends on what shares its batch: "
                f"{answer!r} alone, {translations[i]!r} in a batch"
            )
    return golden_lines(requests, answers)
