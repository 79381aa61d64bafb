"""From observations to a Gaussian process of each logarithm.

Whatever is slow (hyperparameters, the queue, the factor of many observations) is learned from the
first observations up to a checkpoint and kept for as long as that stays the same. What is kept is
keyed by its content, so it changes no result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.measure.statistics import checkpoint
from tuner.model.candidates import Candidates
from tuner.model.ensemble import Ensemble
from tuner.model.gp import (
    Data,
    Hyper,
    LogNormal,
    Priors,
    fitted,
    grouped,
    scattered,
)
from tuner.model.memo import Chains, Keyed, Step, digest
from tuner.model.observations import Observation
from tuner.model.process import Places, Prior, Process
from tuner.model.queue_fit import QueueFit, fitted_queue
from tuner.model.queue_prior import OUTPUTS, PARAMETERS, Loads
from tuner.model.representative import representative
from tuner.model.trends import Trend, linear, queueing
from tuner.model.unequal_noise import noise_factors
from tuner.model.warm import Warm
from tuner.spec.space import Configuration

MEMORY_LENGTH = LogNormal(3.0, 0.7)
"""Memory hardly matters once it fits."""
NOISE = LogNormal(0.035, 0.5)
"""Between-burst deviation beyond a burst's own interval; and where no burst has one:"""
WHOLE_NOISE = LogNormal(0.06, 0.7)

LEARNED = 200
"""The most distinct configurations that hyperparameters are learned from."""
QUEUED = 100
"""The most that the queue's few parameters are fitted to, again whenever there are a quarter more
than `QUEUED_ANEW` observations: then they hardly change."""
QUEUED_ANEW = 64
BLOCK = 32
"""So many observations after the checkpoint are learned from together; those that fill no block,
one by one, so that one more trial costs one more."""
EXACT = 1000
"""The most distinct configurations that a checkpoint's process holds; fewer where there are very
many candidates, so that it has at most so many numbers:"""
NUMBERS = 10_000_000
KEPT = 40_000_000
"""Processes of so many numbers (8 bytes each) are kept to go on from."""
SCATTERED = 800_000
"""Of more numbers than this, only the most probable process is kept. With so many observations it
hardly differs from the others."""
UNLIKELY = 0.05
"""A prior mean that is less probable is left out."""


@dataclass(frozen=True, eq=False)
class Column:
    """One logarithm, larger is worse, per burst: shape (N,), NaN where it is not known.

    `sds` are the bursts' own deviations, NaN where unknown. `metric` is what it is the logarithm of
    (times `sign`), None where that is not a plain metric. `noise` is the prior of the noise beyond
    `sds`, None for that of a burst.
    """

    metric: str | None
    sign: float
    values: Floats
    sds: Floats
    noise: LogNormal | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """Where the N bursts of configurations that could serve were.

    `rows`, shape (N,), are those of candidates, or beyond them of `outside`. The first `early`
    bursts are those up to the checkpoint.
    """

    candidates: Candidates
    outside: tuple[Configuration, ...]
    rows: Indices
    early: int
    host_cpus: float | None

    @classmethod
    def of(
        cls,
        candidates: Candidates,
        observations: Sequence[Observation],
        served: Callable[[Observation], bool],
        host_cpus: float | None,
    ) -> Evidence:
        outside: dict[Configuration, int] = {}
        rows = []
        for observation in observations:
            if served(observation):
                row = candidates.index(observation.configuration)
                if row is None:
                    following = len(candidates) + len(outside)
                    row = outside.setdefault(observation.configuration, following)
                rows.append(row)
        early = sum(map(served, observations[: checkpoint(len(observations))]))
        return cls(candidates, tuple(outside), np.array(rows, dtype=np.intp), early, host_cpus)

    @cached_property
    def coordinates(self) -> Floats:
        if not self.outside:
            return self.candidates.coordinates
        outside = self.candidates.encoded(self.outside)
        return np.concatenate([self.candidates.coordinates, outside])

    def queue(self, columns: Sequence[Column], warm: Warm | None = None) -> QueueFit | None:
        """What fits the columns that queueing speaks of best, up to a checkpoint of its own.

        What another study says is believed where it makes these values more likely.
        """
        believed = [PARAMETERS] if warm is None else [PARAMETERS, warm.queue_priors(self.early)]
        spoken = [c for c in columns if c.metric in OUTPUTS]
        early = min(self.early, max(QUEUED_ANEW, checkpoint(self.early, QUEUED_ANEW, 1.25)))
        use = np.zeros(len(self.rows), np.bool_)
        use[:early] = True
        for column in spoken:
            use &= np.isfinite(column.values)
        if not spoken or not use.any():
            return None
        values = np.column_stack([c.values[use] for c in spoken])
        within, where = _distinct(self.rows[use])
        pooled = np.column_stack([np.bincount(where, v) / np.bincount(where) for v in values.T])
        kept = representative(self.coordinates[within], pooled, QUEUED)
        signs = np.array([c.sign for c in spoken])
        loads = _loads_at(self, within[kept])
        names = tuple(str(c.metric) for c in spoken)
        values = pooled[kept] * signs
        fits = []
        for priors in believed:
            key = (digest(loads.table, values), names, self.host_cpus, tuple(priors.items()))
            compute = partial(
                fitted_queue, loads, names, values, host_cpus=self.host_cpus, priors=priors
            )
            fits.append(once_queued(Keyed(key, compute)))
        return max((f for f in fits if f is not None), key=lambda f: f.evidence, default=None)

    def process(
        self,
        name: str,
        column: Column,
        queue: QueueFit | None,
        warm: Warm | None = None,
    ) -> Ensemble:
        """Of one column, around the prior mean for which there is more evidence, with a smaller and
        a larger misfit; and around the other mean, where that is as good as possible.

        `name` tells the columns of a study apart.
        """
        usable = np.isfinite(column.values)
        early = int(usable[: self.early].sum())
        rows, values, sds = self.rows[usable], column.values[usable], column.sds[usable]
        stated = sds[:early][np.isfinite(sds[:early])]
        # What is not known of one burst is supposed to be as it is in others.
        variance = np.where(np.isfinite(sds), sds, np.median(stated) if len(stated) else 0.0) ** 2
        noise = column.noise or (NOISE if len(stated) else WHOLE_NOISE)
        factors = self._noise_factors(values, variance, rows, early)
        variance = variance * factors**2
        names, groups = grouped(self.candidates.owners)
        centre = float(np.median(values[:early])) if early else 0.0
        trends = [linear(self.coordinates, centre)]
        if queue is not None and column.metric is not None and column.metric in OUTPUTS:
            trends.append(_queueing(self, queue, column.metric, column.sign))

        distinct, where = _distinct(rows[:early])
        pooled = np.bincount(where, values[:early]) / np.maximum(np.bincount(where), 1)
        most = max(LEARNED, min(EXACT, NUMBERS // max(len(self.candidates), 1)))
        kept = representative(self.coordinates[distinct], pooled[:, None], most)
        learned = kept[
            representative(self.coordinates[distinct[kept]], pooled[kept, None], LEARNED)
        ]

        def data(trend: Trend, among: Indices) -> Data:
            use = np.isin(where, among)
            at, positions = _distinct(rows[:early][use])
            return Data(
                self.coordinates[at],
                groups,
                values[:early][use],
                variance[:early][use],
                positions,
                trend.mean[at],
                trend.basis[at],
                trend.covariance,
                factors[:early][use],
            )

        priors = [_priors(t, names, noise, column.metric, warm, early) for t in trends]
        fits = [fitted(data(t, learned), p) for t, p in zip(trends, priors, strict=True)]
        evidence = np.array([f.evidence + t.occam for f, t in zip(fits, trends, strict=True)])
        probable = np.exp(evidence - evidence.max())
        probable /= probable.sum()
        best = int(np.argmax(probable))

        after = [
            (at, digest(self.coordinates[rows[at]], values[at], variance[at], factors[at]))
            for at in _blocks(early, len(values))
        ]

        def process(number: int, hyper: Hyper, member: int = 0) -> Process:
            """Around the trend of that number."""
            trend = trends[number]
            places = Places(self.coordinates, trend.mean, trend.basis)
            seen = data(trend, kept)

            def base(_: Process | None) -> Process:
                residual, noise_variance = seen.pooled(hyper.noise)
                return Process(
                    Prior(groups, trend.covariance, hyper, trend.name),
                    places.at(slice(len(self.candidates))),
                    Places(seen.points, seen.mean, seen.basis),
                    residual + seen.mean,
                    noise_variance,
                )

            def more(at: slice, before: Process | None) -> Process:
                assert before is not None
                noisy = variance[at] + (hyper.noise * factors[at]) ** 2
                return before.seeing(places.at(rows[at]), values[at], noisy)

            # Which queue, since that is another prior mean at the places not seen yet.
            first = (seen.digest(), digest(*hyper.all), bool(number) and queue)
            steps = [Step(first, base), *(Step(key, partial(more, at)) for at, key in after)]
            return processes.last(self.candidates, (name, number, member), steps)

        if len(kept) * len(self.candidates) > SCATTERED:
            return Ensemble((process(best, fits[best].hyper),), np.ones(1))
        scatter = scattered(data(trends[best], learned), priors[best], fits[best].hyper)
        members = [
            (process(best, hyper, member), probable[best] * share)
            for member, (hyper, share) in enumerate(scatter)
        ]
        members += [
            (process(number, fits[number].hyper), probable[number])
            for number in range(len(trends))
            if number != best and probable[number] > UNLIKELY
        ]
        weights = np.array([weight for _, weight in members])
        return Ensemble(tuple(member for member, _ in members), weights / weights.sum())

    def _noise_factors(self, values: Floats, variance: Floats, rows: Indices, early: int) -> Floats:
        """As `noise_factors`, by the first `early` bursts, of all of them."""
        known = len(self.candidates)
        # What is outside has no number of its scenario, so it counts as one of its own.
        scenario = np.where(
            rows < known, self.candidates.scenario[np.minimum(rows, known - 1)], -1 - rows
        )
        learned = noise_factors(values[:early], variance[:early], rows[:early], scenario[:early])
        of = dict(zip(scenario[:early].tolist(), learned.tolist(), strict=True))
        return np.array([of.get(s, 1.0) for s in scenario.tolist()])


@lru_cache(maxsize=16)
def once_queued(keyed: Keyed[QueueFit | None]) -> QueueFit | None:
    return keyed.compute()


processes: Chains[Process] = Chains(lambda process: process.numbers, KEPT)


def _priors(
    trend: Trend,
    names: Sequence[str],
    noise: LogNormal,
    metric: str | None,
    warm: Warm | None,
    seen: int,
) -> Priors:
    lengths = {n: MEMORY_LENGTH if n == "memory" else trend.length for n in names}
    if warm is not None:
        lengths = {n: warm.length(metric, trend.name, n, p, seen) for n, p in lengths.items()}
        noise = warm.between_bursts(metric, noise, seen)
    return Priors(tuple(lengths[n] for n in names), trend.signal, noise)


def _blocks(start: int, end: int) -> Iterator[slice]:
    """Whole blocks, then what is left one by one."""
    while start < end:
        following = start + (BLOCK if end - start >= BLOCK else 1)
        yield slice(start, following)
        start = following


def _distinct(rows: Indices) -> tuple[Indices, Indices]:
    """The distinct rows in order of appearance, and which of them each one is."""
    distinct, first, where = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return distinct[order], np.argsort(order)[where.reshape(-1)]


@lru_cache(maxsize=4)
def _loads(candidates: Candidates, host_cpus: float | None) -> Loads:
    return Loads.of(candidates.space, candidates.configurations, host_cpus)


def _loads_at(evidence: Evidence, rows: Indices) -> Loads:
    own = _loads(evidence.candidates, evidence.host_cpus)
    outside = Loads.of(evidence.candidates.space, evidence.outside, evidence.host_cpus)
    return Loads(*np.concatenate([own.table, outside.table])[rows].T)


@lru_cache(maxsize=8)
def _expected(
    candidates: Candidates, host_cpus: float | None, queue: QueueFit, metric: str
) -> tuple[Floats, Floats]:
    return queue.predicted(_loads(candidates, host_cpus), metric)


def _queueing(evidence: Evidence, queue: QueueFit, metric: str, sign: float) -> Trend:
    candidates, host_cpus = evidence.candidates, evidence.host_cpus
    mean, changes = _expected(candidates, host_cpus, queue, metric)
    if evidence.outside:
        more = queue.predicted(Loads.of(candidates.space, evidence.outside, host_cpus), metric)
        mean, changes = np.concatenate([mean, more[0]]), np.concatenate([changes, more[1]])
    return queueing(evidence.coordinates, sign * mean, changes, queue.occam)
