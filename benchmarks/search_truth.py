"""A search problem whose truth is known, and how measuring it goes wrong by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tuner.arrays import Floats, Mask
from tuner.model.lattice import Lattice
from tuner.model.pareto import MARGIN, hypervolume, logarithms, non_dominated
from tuner.spec.metrics import Direction
from tuner.spec.space import Configuration, SearchSpace

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Measured:
    """Values of one burst in their units, and the standard errors that it reports, relative."""

    values: Floats
    relative_sd: Floats


Instrument = Callable[[int, np.random.Generator], Measured | None]
"""What measuring a configuration, given by its index, says; None where it cannot serve."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Every configuration of `space` in the order of its `Lattice`, with its true values.

    `truth` has shape (n, m), NaN where a configuration is infeasible. All metrics are minimised.
    A deployment costs `deploy_seconds`, a burst `burst_seconds`, of each configuration or of all.
    `independent` says that what is measured is no part of what the truth was made of.
    """

    name: str
    space: SearchSpace
    metrics: tuple[str, ...]
    host_cpus: float
    truth: Floats
    measure: Instrument
    deploy_seconds: Floats | float = 5.0
    burst_seconds: Floats | float = 2.0
    independent: bool = True

    @property
    def directions(self) -> tuple[Direction, ...]:
        return tuple("minimize" for _ in self.metrics)

    @cached_property
    def lattice(self) -> Lattice:
        return Lattice(self.space)

    @cached_property
    def configurations(self) -> tuple[Configuration, ...]:
        return tuple(self.lattice.configuration(i) for i in range(self.lattice.size))

    @cached_property
    def feasible(self) -> Mask:
        return np.asarray(np.isfinite(self.truth).all(axis=1))

    @cached_property
    def logs(self) -> Floats:
        """Logarithms of the truth; infinite where infeasible, so that nothing is dominated."""
        return np.where(
            self.feasible[:, None], logarithms(np.nan_to_num(self.truth, nan=1.0)), np.inf
        )

    @cached_property
    def deployment(self) -> Indices:
        """Which deployment each configuration needs, numbered from 0; shape (n,)."""
        return _numbered([self.space.deployment_of(c) for c in self.configurations])

    @cached_property
    def scenario(self) -> Indices:
        """The number of each configuration's scenario; shape (n,)."""
        return _numbered([self.space.scenario_of(c) for c in self.configurations])

    @cached_property
    def scenarios(self) -> tuple[Configuration, ...]:
        """The scenarios by number."""
        return tuple(dict.fromkeys(self.space.scenario_of(c) for c in self.configurations))

    def by(self, parameter: str) -> Indices:
        """Groups of equal values of one parameter, numbered from 0; shape (n,)."""
        return _numbered([c.get(parameter) for c in self.configurations])

    def hypervolume(self, indices: npt.ArrayLike, within: npt.ArrayLike | None = None) -> float:
        """Share of the true front's hypervolume, on logarithmic axes, that `indices` have.

        `within` (a mask, shape (n,)) limits both to some configurations, such as those of one
        scenario; the reference is the worst of them. 1 where none of them is feasible.
        """
        among = np.ones(len(self.truth), np.bool_) if within is None else np.asarray(within)
        every = self.logs[among & self.feasible]
        if len(every) == 0:
            return 1.0
        chosen = np.zeros(len(self.truth), np.bool_)
        chosen[np.asarray(indices, dtype=np.intp)] = True
        reference = every.max(axis=0) + MARGIN
        found = self.logs[chosen & among & self.feasible]
        return hypervolume(found, reference) / hypervolume(every, reference)

    def front(self, within: npt.ArrayLike | None = None) -> Indices:
        """Indices of the truly non-dominated configurations (of those `within`)."""
        among = self.feasible if within is None else self.feasible & np.asarray(within)
        rows = np.flatnonzero(among)
        return rows[non_dominated(self.logs[rows])]

    def seconds(self, indices: npt.ArrayLike, *, stay: bool = True, workers: int = 1) -> Floats:
        """What measuring `indices` in this order has cost after each of them, all workers together.

        With `stay` a deployment is only brought up where the worker's one before was another.
        """
        rows = np.asarray(indices, dtype=np.intp)
        new = np.ones(len(rows), np.bool_)
        if stay:
            deployment = self.deployment[rows]
            new[workers:] = deployment[workers:] != deployment[:-workers]
        deploy, burst = (
            np.broadcast_to(seconds, len(self.truth))[rows]
            for seconds in (self.deploy_seconds, self.burst_seconds)
        )
        return np.cumsum(new * deploy + burst)

    @cached_property
    def grid_seconds(self) -> float:
        """What the full grid costs once, ordered by deployment."""
        return float(self.seconds(np.argsort(self.deployment, kind="stable"))[-1])


@dataclass(frozen=True, eq=False)
class Noisy:
    """Log-normal noise of standard deviations `sd`, shape (n, m).

    A burst reports what it knows of its own noise: the right amount on average of squares, from
    nine batches, so that it is off by a quarter.
    """

    truth: Floats
    sd: Floats

    def __call__(self, index: int, rng: np.random.Generator) -> Measured | None:
        errors = rng.standard_normal(self.truth.shape[1])
        reported = np.sqrt(rng.chisquare(8, self.truth.shape[1]) / 8)
        if np.isnan(self.truth[index]).any():
            return None
        sd = self.sd[index]
        return Measured(self.truth[index] * np.exp(sd * errors), sd * reported)


def _numbered(things: Sequence[object]) -> Indices:
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(thing, len(numbers)) for thing in things], dtype=np.intp)
