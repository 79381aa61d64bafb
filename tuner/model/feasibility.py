"""How likely a configuration can serve at all, learned from what could and what could not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from tuner.arrays import Floats
from tuner.model.candidates import Candidates, numbers
from tuner.model.gp import grouped
from tuner.model.observations import SERVES, Observation
from tuner.model.probit import probability_of_success
from tuner.spec.space import SearchSpace, Value

LIKELY, SURE = 0.5, 0.9
"""From these probabilities on something is likely feasible, and surely. What is recommended, and
what a front is made of, surely is."""

OTHER_CAUSES = 0.02
"""Probability that a configuration with memory enough cannot serve, before anything is known."""

_NEGLIGIBLE = 1e-4
_SUSPECTED = 0.2
_ROUNDS = 3


def served(observation: Observation) -> bool:
    """Whether the configuration could serve."""
    return observation.values is not None and observation.violations.get(SERVES, -1.0) <= 0


@dataclass(frozen=True, eq=False)
class MemoryFloor:
    """What is believed of the memory that a replica needs: base + slope x load.

    `load` is the most requests that a replica holds at once. It serves with the probability that
    its memory exceeds the need by a factor that is log-normal around 1 with deviation `width`. The
    posterior is a `weight` for each of many (base, slope, width), shape (k,).
    """

    base: Floats
    slope: Floats
    width: Floats
    weight: Floats

    @classmethod
    def expected(cls, low: float, high: float, load: float) -> MemoryFloor:
        """Before anything is seen, where memory goes from `low` to `high` MiB and load to `load`.

        Whoever chose the lowest memory thought it likely to be enough; larger needs are the less
        likely the larger they are.
        """
        bases = np.geomspace(low / 4, high, 48)
        slopes = np.concatenate([[0.0], np.geomspace(low / 64, high, 24) / load])
        widths = np.array([0.02, 0.08, 0.25])
        base, slope, width = (g.ravel() for g in np.meshgrid(bases, slopes, widths, indexing="ij"))
        by_base = np.minimum(1.0, (0.7 * low / base) ** 2)
        by_slope = np.where(
            slope == 0.0, 0.2, 0.8 / 24 * np.minimum(1.0, low / np.maximum(slope * load, 1e-9))
        )
        weight = by_base * by_slope
        return cls(base, slope, width, weight / weight.sum())

    def _chances(self, memory: Floats, load: Floats) -> Floats:
        need = self.base + self.slope * load[:, None]
        chances: Floats = ndtr(np.log(memory[:, None] / need) / self.width)
        return chances

    def learned(
        self, good: tuple[Floats, Floats], bad: tuple[Floats, Floats], other: Floats
    ) -> MemoryFloor:
        """After what could serve and what could not, each as (memory, load), shape (n,).

        `other`, shape of `bad`'s, is the probability that nothing but memory was in the way.
        """
        pairs, counts = np.unique(np.column_stack(good), axis=0, return_counts=True)
        logs = np.log(self.weight) + counts @ np.log(np.maximum(self._chances(*pairs.T), 1e-12))
        table, where = np.unique(np.column_stack([*bad, other]), axis=0, return_counts=True)
        failed = 1.0 - table[:, 2, None] * self._chances(table[:, 0], table[:, 1])
        logs += where @ np.log(np.maximum(failed, 1e-12))
        weight = np.exp(logs - logs.max())
        # What is left of the grid is small, and most of it is impossible.
        kept = weight > _NEGLIGIBLE
        weight = weight[kept] / weight[kept].sum()
        return MemoryFloor(self.base[kept], self.slope[kept], self.width[kept], weight)

    def probability(self, memory: Floats, load: Floats) -> Floats:
        """P(memory suffices), shape (n,)."""
        pairs, where = np.unique(np.column_stack([memory, load]), axis=0, return_inverse=True)
        probabilities: Floats = (self._chances(*pairs.T) @ self.weight)[where.reshape(-1)]
        return probabilities

    def blamed(self, memory: Floats, load: Floats, other: Floats) -> Floats:
        """P(memory was too small) for configurations that could not serve, shape (n,)."""
        enough = self._chances(memory, load)
        probabilities: Floats = ((1.0 - enough) / (1.0 - other[:, None] * enough)) @ self.weight
        return probabilities


def probability_of_serving(candidates: Candidates, observations: Sequence[Observation]) -> Floats:
    """P(can serve) of every candidate, shape (n,): memory suffices, and nothing else is wrong.

    Failures that memory does not explain are learned by a classifier over all coordinates; what it
    says decides in turn which failures teach how much memory is needed.
    """
    serves = np.array([served(o) for o in observations], dtype=np.bool_)
    seen = [o.configuration for o in observations]
    coordinates, size = candidates.coordinates, len(candidates)
    other = np.full(size + len(seen), 1.0 - OTHER_CAUSES)
    enough, weights = np.ones(size), np.ones(len(seen))
    expected = _expected(candidates)
    memory, load = _memory(candidates.space, seen)
    good, bad = (memory[serves], load[serves]), (memory[~serves], load[~serves])
    for _ in range(_ROUNDS):
        if expected is not None:
            floor = expected.learned(good, bad, other[size:][~serves])
            enough = floor.probability(*_memory_of(candidates))
            weights[~serves] = 1.0 - floor.blamed(*bad, other[size:][~serves])
        if not (weights[~serves] > _SUSPECTED).any():
            break
        points = candidates.encoded(seen)
        names, groups = grouped(candidates.owners)
        other = probability_of_success(
            points, serves, weights, np.concatenate([coordinates, points]), groups, len(names)
        )
    probabilities: Floats = enough * other[:size]
    return probabilities


@lru_cache(maxsize=4)
def _expected(candidates: Candidates) -> MemoryFloor | None:
    if all(p.name != "memory" for p in candidates.space):
        return None
    memory, load = _memory_of(candidates)
    return MemoryFloor.expected(float(memory.min()), float(memory.max()), float(load.max()))


@lru_cache(maxsize=4)
def _memory_of(candidates: Candidates) -> tuple[Floats, Floats]:
    return _memory(candidates.space, candidates.configurations)


def _memory(
    space: SearchSpace, configurations: Sequence[Mapping[str, Value]]
) -> tuple[Floats, Floats]:
    """Memory of a replica, and the most requests that it holds at once; shape (n,) each."""
    concurrency = numbers(space, configurations, "concurrency", 1.0)
    replicas = numbers(space, configurations, "replicas", 1.0)
    return numbers(space, configurations, "memory", 1.0), np.ceil(concurrency / replicas)
