"""Where in the search space some configurations are: the values that they share, in words."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from scipy.stats import binom

from tuner.results.levels import position
from tuner.results.wording import bare, plain
from tuner.spec.space import Configuration, Parameter, SearchSpace, Value

MOST_OF_THEM = 0.8
"""Values are shared where this part of the configurations has one of them."""

_CHANCE = 0.1
"""So rarely would as many share values of any parameter if they were any of all configurations
(Bonferroni's bound over the parameters)."""

_FEWEST = 3
"""What fewer have in common is not worth a word."""


def region(
    space: SearchSpace, chosen: Sequence[Configuration], among: Sequence[Configuration]
) -> str:
    """The values that most of `chosen` share and `among` have less often, the most telling first.

    Of numbers a range, of categories one value. Empty where they share nothing.
    """
    if len(chosen) < _FEWEST:
        return ""
    shared = [f for p in space if (f := _shared(p, chosen, among)) is not None]
    likely = sorted(f for f in shared if f[0] * len(space.parameters) <= _CHANCE)
    return ", ".join(text for _, text in likely)


def _shared(
    p: Parameter, chosen: Sequence[Configuration], among: Sequence[Configuration]
) -> tuple[float, str] | None:
    """The shared values in words, after the probability that as many share them by chance.

    None where they share none.
    """
    own = [c[p.name] for c in chosen if p.name in c]
    all_ = [c[p.name] for c in among if p.name in c]
    tried = sorted(set(all_), key=lambda v: position(p, v))
    needed = MOST_OF_THEM * len(chosen)
    if len(tried) < 2 or len(own) < needed:
        return None
    # The fewest values that most have; of as many, those that most have.
    spans = [(sum(v in span for v in own), span) for span in _spans(p, tried)]
    held = [(hits, span) for hits, span in spans if hits >= needed]
    if not held:
        return None
    hits, span = min(held, key=lambda h: (len(h[1]), -h[0]))
    usual = sum(v in span for v in all_) / len(among)
    chance = float(binom.sf(hits - 1, len(chosen), usual))
    return chance, _text(p, span, tried)


def _spans(p: Parameter, tried: Sequence[Value]) -> Iterator[tuple[Value, ...]]:
    if not p.ordered:
        yield from ((v,) for v in tried)
        return
    if p.values() is None or len(tried) > 12:
        # Of a continuum halves and quarters only: any gap between two trials would be a range.
        cuts = sorted({round(q * len(tried) / 4) for q in range(5)})
        pairs = itertools.combinations(cuts, 2)
        yield from (tuple(tried[i:j]) for i, j in pairs if j - i < len(tried))
        return
    for i, j in itertools.combinations(range(len(tried) + 1), 2):
        if j - i < len(tried):
            yield tuple(tried[i:j])


def _text(p: Parameter, span: Sequence[Value], tried: Sequence[Value]) -> str:
    if len(span) == 1:
        return f"{p.name} {bare(p, span[0])}"
    if span[0] == tried[0]:
        return f"{p.name} {bare(p, span[-1])} or less"
    if span[-1] == tried[-1]:
        return f"{p.name} {bare(p, span[0])} or more"
    return f"{p.name} {plain(span[0])} to {bare(p, span[-1])}"
