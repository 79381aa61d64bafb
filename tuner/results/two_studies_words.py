"""What two studies say about each other, in sentences."""

from __future__ import annotations

import re
from collections import Counter
from statistics import median

from tuner.measure.measurement import Estimate
from tuner.results.ratios import LEVEL, POWER, Overall
from tuner.results.two_fronts import Ahead
from tuner.results.two_studies import TwoStudies
from tuner.spec.metrics import METRICS

_CHECKSUM = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")


def sentences(found: TwoStudies) -> tuple[str, ...]:
    """The overall ratio of each objective, then the fronts."""
    return (
        *(ratio_sentence(found, o.metric) for o in found.objectives),
        front_sentence(found),
    )


def ratio_sentence(found: TwoStudies, metric: str) -> str:
    """Such as "B's ART is 1.31 times A's (1.22 to 1.41) over 14 configurations; 9 differ after
    correction for several tests."
    """
    label = METRICS[metric].label
    overall = found.overall.get(metric)
    if overall is None:
        return f"{label}: no configuration was measured to the end by both, so there is no ratio."
    ratios = found.ratios(metric)
    count = sum(ratio.differs for ratio in ratios)
    seen = median(ratio.seen for ratio in ratios)
    noun = "configuration" if overall.count == 1 else "configurations"
    differing = f"{count} {'differs' if count == 1 else 'differ'}" if count else "none differs"
    return (
        f"B's {label} is {factor(overall.ratio)} over {overall.count} {noun}"
        f"{_doubt(overall.ratio)}{_spread(overall)}; {differing} after correction for several tests"
        f" ({100 * LEVEL:.0f} % false discoveries). In a typical one a factor of {seen:.2f} would"
        f" have been seen with {100 * POWER:.0f} %."
    )


def factor(ratio: Estimate) -> str:
    """Such as `1.31 times A's (1.22 to 1.41)`."""
    text = f"{ratio.value:.2f} times A's"
    if ratio.low is None or ratio.high is None:
        return text
    return f"{text} ({ratio.low:.2f} to {ratio.high:.2f})"


def shortened(text: str) -> str:
    """`text` with 12 digits of each checksum, as people compare them."""
    return _CHECKSUM.sub(r"\1...", text)


def _doubt(ratio: Estimate) -> str:
    known = ratio.low is not None and ratio.high is not None and not ratio.low <= 1 <= ratio.high
    return "" if known else ", which noise can explain"


def _spread(overall: Overall) -> str:
    if overall.count < 2 or overall.spread < 0.005:
        return ""
    return f", among which it varies by {100 * overall.spread:.0f} %"


def front_sentence(found: TwoStudies) -> str:
    """Whose front is clearly ahead in how many scenarios."""
    whole, *scenarios = found.scopes
    scopes = scenarios or [whole]
    counts = Counter(scope.ahead for scope in scopes)
    words: dict[Ahead, str] = {
        "A": "A's points clearly dominate some of B's",
        "B": "B's points clearly dominate some of A's",
        "each in part": "each dominates some of the other's",
        "neither": "neither clearly dominates any point of the other",
        "only A": "only A has a front",
        "only B": "only B has a front",
        "nothing": "neither has a front",
    }
    if not scenarios:
        return f"Fronts: {words[whole.ahead]}."
    parts = [f"in {counts[key]} {text}" for key, text in words.items() if counts[key]]
    noun = "scenario" if len(scopes) == 1 else "scenarios"
    return f"Fronts of {len(scopes)} {noun}: {'; '.join(parts)}."
