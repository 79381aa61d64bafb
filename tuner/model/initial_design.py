"""The first configurations of a study: baseline, corners, then a space-filling sequence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from tuner.model.lattice import ENUMERABLE, Lattice
from tuner.spec.space import LIVE, Configuration, Parameter, SearchSpace, Value
from tuner.spec.study import SearchSpec

DEFAULT_COUNT = 14

_CORNER_SHARE = 0.6
_SOBOL_BLOCKS = 3


def initial_trials(trials: int | None) -> int:
    """How many of a budget of `trials` start a study: 14, but at most a third, at least 1."""
    return DEFAULT_COUNT if trials is None else max(1, min(DEFAULT_COUNT, trials // 3))


def bursts_each(search: SearchSpec) -> int:
    """How many of the first configurations share a deployment: two where it can stay up for a
    model that learns from one load of others. Else variety is worth more.
    """
    return 2 if search.stay and search.sampler == "bayes" else 1


def starts(space: SearchSpace, count: int, seed: int, search: SearchSpec) -> list[Configuration]:
    """The initial design of a study that is searched like this."""
    each = bursts_each(search)
    return initial_design(space, count, seed, each=each, scenarios=search.scenarios)


def initial_design(
    space: SearchSpace,
    count: int,
    seed: int,
    *,
    each: int = 1,
    scenarios: Sequence[str] = (),
) -> list[Configuration]:
    """`count` distinct configurations of `space`, or all of them where it has fewer.

    First the baseline. Then, for up to six tenths of the rest, corners of the ordered decision
    parameters (each at its lowest or highest value, opposite corners in pairs), the other
    parameters spread evenly over their values: it is at the ends that limits bind. Then scrambled
    Sobol points (Owen, 1998, as in `scipy.stats.qmc`) over all parameters. Values of inactive
    parameters are dropped. The same arguments give the same list.

    With `each` above 1, so many follow one another on one deployment (`SearchSpace.deployment_of`),
    under loads and networks that are spread evenly: of the same seconds more are then bursts.

    No scenario comes again before every scenario has come, and the first ones are spread evenly.
    Scenarios are the combinations of values of the parameters `scenarios`; none: of all whose role
    it is. That holds where they can be counted, and where no scenario needs another deployment.
    """
    rng = np.random.default_rng([seed, 0])
    places = math.ceil(count / each)
    corners = math.floor(_CORNER_SHARE * (places - 1))
    firsts = itertools.chain(
        [space.baseline()], _corners(space, corners, rng), _sobol(space, places, seed)
    )
    if each > 1:
        firsts = itertools.chain.from_iterable(_elsewhere(space, firsts, each, rng))
    turns = _scenarios(space, scenarios, count, seed)
    design: dict[Configuration, None] = {}
    # Taken one by one: a later stage fills the places that duplicates leave.
    for candidate in firsts:
        if len(design) >= count:
            break
        turn = turns[len(design) % len(turns)] if turns else {}
        design.setdefault(space.effective({**space.filled(candidate), **turn}))
    for candidate in _rest(space, rng):
        if len(design) >= count:
            break
        design.setdefault(candidate)
    return list(design)[:count]


def _scenarios(
    space: SearchSpace, names: Sequence[str], count: int, seed: int
) -> Sequence[Configuration]:
    """All scenarios, the baseline's first and the next ones spread evenly over their values.

    None where they cannot be counted, or where one needs another deployment than another.
    """
    names = tuple(names) or tuple(p.name for p in space.with_role("scenario"))
    parameters = [p for p in space if p.name in names]
    size = SearchSpace(tuple(parameters)).size()
    if not parameters or size is None or size > ENUMERABLE or set(names) - set(LIVE):
        return ()
    rng = np.random.default_rng([seed, 2])
    first = space.baseline().only(names)
    spread = (
        space.effective(
            {
                **space.filled(space.baseline()),
                **{p.name: value_at(p, float(u)) for p, u in zip(parameters, point, strict=True)},
            }
        ).only(names)
        for point in qmc.Sobol(len(parameters), scramble=True, rng=rng).random(
            2 ** math.ceil(math.log2(max(count, 2)))
        )
    )
    every = list(SearchSpace(tuple(parameters)).grid())
    rest = (every[i] for i in rng.permutation(len(every)))
    return tuple(dict.fromkeys(itertools.chain([first], spread, rest)))


def _elsewhere(
    space: SearchSpace, firsts: Iterable[Configuration], each: int, rng: np.random.Generator
) -> Iterator[list[Configuration]]:
    """Each of `firsts`, and after it what differs from it in load and network only."""
    live = [p for p in space if p.name in LIVE and _low(p) != _high(p)]
    engine = qmc.Sobol(len(live), scramble=True, rng=rng) if live else None
    for first in firsts:
        group = [first]
        # Some come out as what is there already.
        for point in (
            engine.random(2 ** math.ceil(math.log2(4 * each))) if engine is not None else ()
        ):
            values = {p.name: value_at(p, float(u)) for p, u in zip(live, point, strict=True)}
            other = space.effective({**space.filled(first), **values})
            if len(group) < each and other not in group:
                group.append(other)
        yield group


def _corners(space: SearchSpace, count: int, rng: np.random.Generator) -> list[Configuration]:
    sides = [p for p in space.with_role("decision") if p.ordered and _low(p) != _high(p)]
    if not sides or count < 1:
        return []
    high = _corner_sides(len(sides), count, rng)
    spread = {p.name: _spread(p, len(high), rng) for p in space if p not in sides}
    return [
        space.effective(
            {
                p.name: spread[p.name][i]
                if p.name in spread
                else (_high(p) if row[sides.index(p)] else _low(p))
                for p in space
            }
        )
        for i, row in enumerate(high)
    ]


def _corner_sides(
    dimensions: int, count: int, rng: np.random.Generator
) -> Sequence[npt.NDArray[np.bool_]]:
    """Up to `count` distinct corners, each directly followed by the opposite one."""
    corners = min(count, 2**dimensions)
    sides: dict[bytes, npt.NDArray[np.bool_]] = {}
    while len(sides) < corners:
        side = rng.random(dimensions) < 0.5
        sides.setdefault(side.tobytes(), side)
        sides.setdefault((~side).tobytes(), ~side)
    return list(sides.values())[:corners]


def _spread(parameter: Parameter, count: int, rng: np.random.Generator) -> list[Value]:
    """`count` values, evenly from the whole range, in random order."""
    return [value_at(parameter, (i + 0.5) / count) for i in rng.permutation(count)]


def _sobol(space: SearchSpace, count: int, seed: int) -> Iterator[Configuration]:
    parameters = list(space)
    engine = qmc.Sobol(len(parameters), scramble=True, rng=np.random.default_rng([seed, 1]))
    # Powers of two keep the sequence balanced; what is drawn twice makes room for later blocks.
    size = max(1, math.ceil(math.log2(count)))
    # Where there is no rest to take from, there are new points without end.
    endless = (space.size() or math.inf) > ENUMERABLE
    for block in itertools.count() if endless else range(_SOBOL_BLOCKS):
        for point in engine.random(2**size if block == 0 else 2 ** (size + block - 1)):
            yield space.effective(
                {p.name: value_at(p, float(u)) for p, u in zip(parameters, point, strict=True)}
            )


def _rest(space: SearchSpace, rng: np.random.Generator) -> Iterator[Configuration]:
    """Every configuration in random order, where they can be enumerated."""
    lattice = Lattice.of(space)
    if lattice is not None:
        for index in rng.permutation(lattice.size):
            yield lattice.configuration(int(index))


def _low(parameter: Parameter) -> Value:
    return value_at(parameter, 0.0)


def _high(parameter: Parameter) -> Value:
    return value_at(parameter, 1.0)


def value_at(parameter: Parameter, share: float) -> Value:
    """The value at `share` in [0, 1] of the parameter's range, logarithmic where that is."""
    values = parameter.values()
    if parameter.log and parameter.low is not None and parameter.high is not None:
        exact = parameter.low * (parameter.high / parameter.low) ** share
        exact = min(max(exact, parameter.low), parameter.high)
        return exact if values is None else min(values, key=lambda v: abs(float(v) - exact))
    if values is not None:
        return values[min(int(share * len(values)), len(values) - 1)]
    assert parameter.low is not None
    assert parameter.high is not None
    return parameter.low + share * (parameter.high - parameter.low)
