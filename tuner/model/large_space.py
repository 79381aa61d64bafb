"""Candidates of a space that is continuous or too large to look at as a whole."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.stats import qmc

from tuner.model.initial_design import value_at
from tuner.model.lattice import ENUMERABLE
from tuner.spec.space import LIVE, Configuration, Parameter, SearchSpace, Value

CELLS = 16_000_000
"""So many pairs of candidate and observation are held in memory at most."""

SPREAD = 1024
_SPREAD_LEAST = 32
_NEAR = 48
_FEW = 3
STEP = 0.08
_LEVELS = 4
_SCENARIOS = 36
_ELSEWHERE = 32
_MOST_CROSSED = 200


def is_whole(space: SearchSpace, observations: int) -> bool:
    """Whether a model looks at every configuration of the space after so many observations.

    That is where there are at most `ENUMERABLE`, and they fit into memory with the observations.
    """
    size = space.size()
    return size is not None and size <= ENUMERABLE and size * max(observations, 1) <= CELLS


def crossed(
    space: SearchSpace, measured: Sequence[Configuration], scenarios: Sequence[str]
) -> list[Configuration]:
    """Distinct configurations: those measured, then each measured decision in each scenario that
    was measured, of at most `_MOST_CROSSED` scenarios.

    `scenarios` are the parameters that make a scenario; all others are the decision.
    """
    others = [p.name for p in space if p.name not in scenarios]
    decisions = dict.fromkeys(c.only(others) for c in measured)
    levels = dict.fromkeys(c.only(scenarios) for c in measured)
    defaults = {p.name: p.default for p in space}
    combined = (
        space.effective({**defaults, **decision, **level})
        for decision, level in itertools.product(decisions, list(levels)[:_MOST_CROSSED])
    )
    return list(dict.fromkeys([*measured, *combined]))


def sampled(
    space: SearchSpace,
    centres: Sequence[Configuration],
    seed: Sequence[int],
    *,
    scenarios: Sequence[str] = (),
    up: Configuration | None = None,
) -> list[Configuration]:
    """Distinct configurations of `space`: spread over it, and near to `centres`.

    Scrambled Sobol points; steps from each centre in one or two parameters, most of them small; and
    other loads and networks of the configuration that is `up`. With `scenarios` (names of
    parameters) each of these in every scenario; of a continuum of scenarios a few levels are taken.
    The same arguments give the same list.
    """
    rng = np.random.default_rng([*seed, 2])
    levels = list(_scenarios(space, scenarios))
    # What is up is repeated first: a deployment in each scenario.
    points = itertools.chain(
        [space.filled(up)] if up is not None else [],
        (space.filled(c) for c in centres),
        near(space, centres, max(_NEAR // len(levels), _FEW), rng),
        _elsewhere(space, up if len(levels) == 1 else None, rng),
        _spread(space, max(SPREAD // len(levels), _SPREAD_LEAST), rng),
    )
    configurations = (space.effective({**point, **level}) for point in points for level in levels)
    return list(dict.fromkeys(configurations))


def _scenarios(space: SearchSpace, names: Sequence[str]) -> Iterator[Mapping[str, Value]]:
    """Values of the parameters `names`, at most `_SCENARIOS` combinations; one of nothing."""
    parameters = [p for p in space if p.name in names]
    levels = [list(p.values() or _levels(p, _LEVELS)) for p in parameters]
    while math.prod(map(len, levels)) > _SCENARIOS:
        longest = max(range(len(levels)), key=lambda i: len(levels[i]))
        levels[longest] = levels[longest][::2] if len(levels[longest]) > 2 else levels[longest][:1]
    for values in itertools.product(*levels):
        yield dict(zip([p.name for p in parameters], values, strict=True))


def _levels(parameter: Parameter, count: int) -> list[Value]:
    return [value_at(parameter, i / (count - 1)) for i in range(count)]


def _spread(space: SearchSpace, count: int, rng: np.random.Generator) -> Iterator[dict[str, Value]]:
    parameters = list(space)
    engine = qmc.Sobol(len(parameters), scramble=True, rng=rng)
    for point in engine.random(2 ** math.ceil(math.log2(count))):
        yield {p.name: value_at(p, float(u)) for p, u in zip(parameters, point, strict=True)}


def near(
    space: SearchSpace,
    centres: Sequence[Configuration],
    each: int,
    rng: np.random.Generator,
    *,
    width: float = STEP,
    most: int = 2,
) -> Iterator[dict[str, Value]]:
    """Values near to each of `centres`: steps in at most `most` parameters, of about `width` as a
    share of the range. Of an unordered parameter any value is near.
    """
    several = [p for p in space if p.values() is None or len(p.values() or ()) > 1]
    for centre in centres if several else ():
        for _ in range(each):
            point = space.filled(centre)
            for i in rng.permutation(len(several))[: rng.integers(1, most + 1)]:
                point[several[i].name] = _stepped(several[i], point[several[i].name], width, rng)
            yield point


def _elsewhere(
    space: SearchSpace, up: Configuration | None, rng: np.random.Generator
) -> Iterator[dict[str, Value]]:
    live = [p for p in space if p.name in LIVE]
    for _ in range(_ELSEWHERE if up is not None and live else 0):
        assert up is not None
        yield {**space.filled(up), **{p.name: value_at(p, float(rng.random())) for p in live}}


def _stepped(parameter: Parameter, value: Value, usual: float, rng: np.random.Generator) -> Value:
    """Another value of the parameter, mostly one near to `value`."""
    values = parameter.values()
    if not parameter.ordered:
        assert values is not None
        return values[int(rng.integers(len(values)))]
    width = usual * math.exp(rng.standard_normal())
    if values is not None:
        at = values.index(value) if value in values else 0
        steps = max(1, round(width * (len(values) - 1))) * (1 if rng.random() < 0.5 else -1)
        return values[min(max(at + steps, 0), len(values) - 1)]
    share = _share(parameter, float(value)) + width * rng.standard_normal()
    return value_at(parameter, min(max(share, 0.0), 1.0))


def _share(parameter: Parameter, value: float) -> float:
    """The inverse of `value_at` for a continuum."""
    assert parameter.low is not None
    assert parameter.high is not None
    if parameter.log:
        return math.log(value / parameter.low) / math.log(parameter.high / parameter.low)
    return (value - parameter.low) / (parameter.high - parameter.low)
