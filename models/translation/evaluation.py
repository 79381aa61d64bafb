"""How good translations are, and which of them become golden requests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuner.errors import SetupError

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

GOLDEN_REQUESTS = 32


@dataclass(frozen=True)
class Quality:
    exact_match: float
    """Share of the translations that are the reference, letter by letter."""

    bleu: float
    """BLEU of the corpus, 0 to 100 (Papineni et al. 2002), by sacrebleu (Post 2018)."""

    bleu_signature: str
    """What sacrebleu counted, for comparison with other figures."""


def load_metric() -> BLEU:
    """Raises SetupError where sacrebleu is not installed, so that it is asked before the work."""
    try:
        from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415 a package of the builder alone
    except ModuleNotFoundError as error:
        raise SetupError(f"{error}", "pip install 'tune-serving[models]'") from error
    return BLEU()


def quality(metric: BLEU, translations: Sequence[str], references: Sequence[str]) -> Quality:
    score = metric.corpus_score(list(translations), [list(references)]).score
    return Quality(exact_match(translations, references), float(score), str(metric.get_signature()))


def exact_match(translations: Sequence[str], references: Sequence[str]) -> float:
    equal = [a == b for a, b in zip(translations, references, strict=True)]
    return sum(equal) / len(equal)


def spread(texts: Sequence[str], count: int) -> list[int]:
    """Indices of `count` texts (all, if they are fewer) from the shortest to the longest, evenly.

    The length is in words.
    """
    order = sorted(range(len(texts)), key=lambda index: (len(texts[index].split()), index))
    if len(order) <= count:
        return order
    last = len(order) - 1
    return [order[round(place * last / (count - 1))] for place in range(count)]


def golden_lines(texts: Sequence[str], translations: Sequence[str]) -> str:
    """JSON lines, one instance to a request: a text, answered by its translation."""
    return "".join(
        json.dumps(
            {"request": {"instances": [text]}, "response": {"predictions": [translation]}},
            ensure_ascii=False,
            separators=(",", ":"),
        )
        + "\n"
        for text, translation in zip(texts, translations, strict=True)
    )
