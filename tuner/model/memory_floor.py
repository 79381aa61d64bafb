"""How much memory a replica needs: learned from what ran out, what served, and what it used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from tuner.arrays import Floats, Mask
from tuner.model.candidates import Candidates, numbers
from tuner.model.observations import Observation, served
from tuner.spec.space import LIVE, Configuration, SearchSpace, Value

OTHER_CAUSES = 0.02
"""Probability that a configuration with memory enough cannot serve, before anything is known."""

PROBABLE = 0.4
"""A memory that suffices with less probability than this is not among a study's first trials."""

ENOUGH_KILLS = 2
"""So many trials that ran out of memory rule out whatever has no more memory and no less load."""

_NO_NEED = (*LIVE, "cpu", "memory", "replicas")
"""Parameters that do not change what a replica needs, but for the load that it holds."""

_NEGLIGIBLE = 1e-4
_LIMITED = 0.9
"""A replica that used more than this share of its limit might have used more without it."""
_LESS, _MORE, _WRONG = 0.15, 0.05, 0.002
"""Of a working set: the deviations of the logarithm of the need below and above it, and the
probability that it says nothing of the need."""


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

    @cached_property
    def _kept(self) -> dict[tuple[float, float], Floats]:
        return {}

    def _once(self, pairs: Floats) -> Floats:
        """The same for (memory, load) in rows; each pair is computed once."""
        chances = []
        for memory, load in pairs.tolist():
            if (memory, load) not in self._kept:
                self._kept[memory, load] = self._chances(np.array([memory]), np.array([load]))[0]
            chances.append(self._kept[memory, load])
        return np.array(chances).reshape(len(pairs), len(self.base))

    def learned(
        self,
        good: tuple[Floats, Floats],
        bad: tuple[Floats, Floats],
        other: Floats,
        peaks: tuple[Floats, Floats],
    ) -> MemoryFloor:
        """After what could serve and what could not, each as (memory, load), shape (n,).

        `other`, shape of `bad`'s, is the probability that nothing but memory was in the way.
        `peaks` are (working set, load): what replicas used that had more.
        """
        pairs, counts = np.unique(np.column_stack(good), axis=0, return_counts=True)
        logs: Floats = np.log(self.weight) + counts @ np.log(np.maximum(self._once(pairs), 1e-12))
        table, where = np.unique(np.column_stack([*bad, other]), axis=0, return_counts=True)
        failed = 1.0 - table[:, 2, None] * self._once(table[:, :2])
        logs = logs + where @ np.log(np.maximum(failed, 1e-12)) + self._agreement(*peaks)
        weight = np.exp(logs - logs.max())
        # What is left of the grid is small, and most of it is impossible.
        kept = weight > _NEGLIGIBLE
        weight = weight[kept] / weight[kept].sum()
        return MemoryFloor(self.base[kept], self.slope[kept], self.width[kept], weight)

    def _agreement(self, peak: Floats, load: Floats) -> Floats:
        """How well each (base, slope, width) agrees with working sets, as a logarithm, shape (k,).

        A replica needs about what it used at most. It may need less, since a kernel takes some of
        it back under pressure. Working sets share such an error, so that all count as one.
        """
        if not len(peak):
            return np.zeros_like(self.base)
        used, where = np.unique(load, return_inverse=True)
        least = np.full(len(used), np.inf)
        np.minimum.at(least, where.reshape(-1), np.log(peak))
        off = np.log(self.base + self.slope * used[:, None]) - least[:, None]
        off /= np.where(off > 0, _MORE, _LESS)
        agreement: Floats = np.log(_WRONG + (1 - _WRONG) * np.exp(-0.5 * off**2)).mean(axis=0)
        return agreement

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


@dataclass(frozen=True, eq=False)
class MemoryEvidence:
    """What observations say of memory, each part as arrays of shape (n,).

    `good` and `bad` are the (memory, load) of what could serve and what could not, `peaks` the
    (working set, load) of what had memory to spare. A replica that came not even up held no
    request: its load is 0.
    """

    good: tuple[Floats, Floats]
    bad: tuple[Floats, Floats]
    peaks: tuple[Floats, Floats]

    @classmethod
    def of(cls, space: SearchSpace, observations: Sequence[Observation]) -> MemoryEvidence:
        memory, load = memory_and_load(space, [o.configuration for o in observations])
        load = np.where([o.started for o in observations], load, 0.0)
        serves = np.array([served(o) for o in observations], dtype=np.bool_)
        used = np.array([o.working_set_mib or np.nan for o in observations], dtype=np.float64)
        spare = serves & (used < _LIMITED * memory)
        return cls(
            (memory[serves], load[serves]),
            (memory[~serves], load[~serves]),
            (used[spare], load[spare]),
        )


def hopeless(candidates: Candidates, observations: Sequence[Observation]) -> Mask:
    """Which candidates two trials that ran out of memory rule out, shape (n,).

    Those had no less memory for each replica and no more load, and the same values of every other
    decision that may change what a replica needs: more cores or another network do not help. A
    trial that served with no more memory and no more room for its load speaks against it.
    """
    return _ruled_out(candidates, _sayings(candidates.space, observations))


_Saying = tuple[tuple[Value | None, ...], float, float, bool]


def _ruled_out(candidates: Candidates, sayings: Counter[_Saying]) -> Mask:
    kills = sum(count for (*_, out_of_memory), count in sayings.items() if out_of_memory)
    if kills < ENOUGH_KILLS or all(p.name != "memory" for p in candidates.space):
        return np.zeros(len(candidates), dtype=np.bool_)
    memory, load = memory_and_load_of(candidates)
    others = _other_decisions(candidates)
    ruled_out, contradicted = np.zeros((2, len(candidates)), dtype=np.intp)
    # Many trials say the same, and each saying is compared with all candidates.
    for (at, had, held, out_of_memory), count in sayings.items():
        alike = np.ones(len(candidates), dtype=np.bool_)
        for values, value in zip(others.values(), at, strict=True):
            alike &= values == value
        if out_of_memory:
            ruled_out += count * (alike & (had >= memory) & (held <= load))
        else:
            contradicted += alike & (had <= memory) & (held >= load)
    result: Mask = (ruled_out >= ENOUGH_KILLS) & (contradicted == 0)
    return result


def _sayings(space: SearchSpace, observations: Sequence[Observation]) -> Counter[_Saying]:
    """How often each was seen: other decisions, memory, load held, and whether memory ran out."""
    telling = [o for o in observations if o.out_of_memory or served(o)]
    had, held = memory_and_load(space, [o.configuration for o in telling])
    names = _other_names(space)
    return Counter(
        (
            tuple(o.configuration.get(name) for name in names),
            memory,
            load if o.started or not o.out_of_memory else 0.0,
            o.out_of_memory,
        )
        for o, memory, load in zip(telling, had.tolist(), held.tolist(), strict=True)
    )


def with_enough_memory(
    space: SearchSpace, observations: Sequence[Observation], configuration: Configuration
) -> Configuration:
    """The configuration, or where its memory is improbable the like with the least that is not."""
    return with_least_memory(space, observations, configuration, PROBABLE) or configuration


def with_least_memory(
    space: SearchSpace,
    observations: Sequence[Observation],
    configuration: Configuration,
    probable: float,
) -> Configuration | None:
    """The like with the least memory, at least that of the configuration, that suffices with the
    probability `probable`. None where none does, and where memory is no parameter with choices.
    """
    return MemoryNeed(space, observations).least(configuration, probable)


@dataclass(frozen=True, eq=False)
class MemoryNeed:
    """What observations of a space say of the memory that configurations need.

    What several questions have in common is worked out once.
    """

    space: SearchSpace
    observations: Sequence[Observation]

    def least(self, configuration: Configuration, probable: float) -> Configuration | None:
        """As `with_least_memory`."""
        if not self._values or "memory" not in configuration or not self.observations:
            return None
        given = float(configuration["memory"])
        choices = [v for v in sorted(self._values, key=float) if float(v) >= given]
        others = [Configuration.of({**configuration, "memory": v}) for v in choices]
        candidates = Candidates.of(self.space, others)
        memory, load = memory_and_load_of(candidates)
        evidence = self._evidence
        highest = max(float(load.max()), *evidence.good[1], *evidence.bad[1], 1.0)
        chance = self._floor(highest).probability(memory, load)
        enough = (chance >= probable) & ~_ruled_out(candidates, self._said)
        return others[int(np.argmax(enough))] if enough.any() else None

    @cached_property
    def _values(self) -> tuple[Value, ...] | None:
        parameter = next((p for p in self.space if p.name == "memory"), None)
        return None if parameter is None else parameter.values()

    @cached_property
    def _telling(self) -> Sequence[Observation]:
        # Whatever else was in the way says nothing of memory.
        return [o for o in self.observations if served(o) or o.out_of_memory]

    @cached_property
    def _said(self) -> Counter[_Saying]:
        return _sayings(self.space, self._telling)

    @cached_property
    def _evidence(self) -> MemoryEvidence:
        return MemoryEvidence.of(self.space, self._telling)

    @cached_property
    def _floors(self) -> dict[float, MemoryFloor]:
        return {}

    def _floor(self, highest: float) -> MemoryFloor:
        """What is learned, where no more than so many requests are held at once."""
        if highest not in self._floors:
            values = self._values or ()
            expected = MemoryFloor.expected(
                float(min(values, key=float)), float(max(values, key=float)), highest
            )
            good, bad, peaks = self._evidence.good, self._evidence.bad, self._evidence.peaks
            other = np.full(len(bad[0]), 1.0 - OTHER_CAUSES)
            self._floors[highest] = expected.learned(good, bad, other, peaks)
        return self._floors[highest]


@lru_cache(maxsize=4)
def expected_floor(candidates: Candidates) -> MemoryFloor | None:
    if all(p.name != "memory" for p in candidates.space):
        return None
    memory, load = memory_and_load_of(candidates)
    return MemoryFloor.expected(float(memory.min()), float(memory.max()), float(load.max()))


@lru_cache(maxsize=4)
def _other_decisions(candidates: Candidates) -> Mapping[str, npt.NDArray[np.object_]]:
    """The values of all parameters that may change what a replica needs, shape (n,) each."""
    return {
        name: np.array([c.get(name) for c in candidates.configurations], dtype=np.object_)
        for name in _other_names(candidates.space)
    }


def _other_names(space: SearchSpace) -> tuple[str, ...]:
    return tuple(p.name for p in space if p.name not in _NO_NEED)


@lru_cache(maxsize=4)
def memory_and_load_of(candidates: Candidates) -> tuple[Floats, Floats]:
    return memory_and_load(candidates.space, candidates.configurations)


def memory_and_load(
    space: SearchSpace, configurations: Sequence[Mapping[str, Value]]
) -> tuple[Floats, Floats]:
    """Memory of a replica, and the most requests that it holds at once; shape (n,) each."""
    concurrency = numbers(space, configurations, "concurrency", 1.0)
    replicas = numbers(space, configurations, "replicas", 1.0)
    return numbers(space, configurations, "memory", 1.0), np.ceil(concurrency / replicas)
