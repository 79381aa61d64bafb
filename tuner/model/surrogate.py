"""A model of the search space: what every candidate's objectives are likely to be.

Each objective's logarithm is a few Gaussian processes of its own (`ensemble`); larger is worse in
all of them, since those that are maximised are negated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tuner.arrays import Floats, Indices
from tuner.model.candidates import Candidates
from tuner.model.constraint_models import ConstraintModel, bounded_columns, constraint_models
from tuner.model.ensemble import Ensemble, error_correlation_of, joint_normals
from tuner.model.evidence import Column, Evidence
from tuner.model.exact import Exact, exact_values
from tuner.model.feasibility import probability_of_serving
from tuner.model.gp import grouped
from tuner.model.observations import Observation, served
from tuner.model.pareto import logarithms
from tuner.model.queue_fit import QueueFit
from tuner.model.scales import Scale, linked
from tuner.model.warm import Warm
from tuner.spec.metrics import Direction
from tuner.spec.study import Prices

_UNKNOWN_NOISE = 0.03


@dataclass(frozen=True, eq=False)
class Posterior:
    """Of the noise-free minimised logarithms: `mean` and `sd`, shape (n, m), marginals; and
    `feasible`, shape (n,): P(can serve and holds the constraints).
    """

    mean: Floats
    sd: Floats
    feasible: Floats


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A model of the minimised logarithms of the objectives and of feasibility.

    Rows are those of `candidates`, columns the `metrics`. `feasible`, shape (n,), is P(can serve
    and holds the `constraints`). `observed` has the row of each burst that was served, but for
    those that are not among the candidates. `usual_sd`, shape (m,), is the typical deviation of a
    burst by its own interval. `error_correlation`, shape (m, m), is that of the objectives' errors
    at one configuration.
    """

    candidates: Candidates
    metrics: tuple[str, ...]
    directions: tuple[Direction, ...]
    processes: tuple[Ensemble | Exact, ...]
    feasible: Floats
    observed: Indices
    usual_sd: Floats
    error_correlation: Floats
    queue_fit: QueueFit | None = None
    constraints: tuple[ConstraintModel, ...] = ()

    @classmethod
    def fit(
        cls,
        candidates: Candidates,
        metrics: Sequence[str],
        directions: Sequence[Direction],
        observations: Sequence[Observation],
        *,
        host_cpus: float | None = None,
        warm: Warm | None = None,
        scales: Sequence[Scale] | None = None,
        prices: Prices | None = None,
    ) -> Surrogate:
        """From one observation per burst, in order; a pure function of its arguments.

        Hyperparameters are learned from the first `checkpoint(len(observations))` of them, so that
        they change seldom, and a study that is taken up again finds the same. `warm` is what
        another study knows, used as a prior that fades. `scales` has one for each objective; None
        for those of the metrics' links. What candidates reserve, at these `prices`, is known by
        formula.
        """
        good = [o for o in observations if served(o)]
        evidence = Evidence.of(candidates, observations, served, host_cpus)
        columns = _columns(metrics, directions, good, scales or linked(metrics))
        bounded = bounded_columns(good)
        queue = evidence.queue(columns, warm) or evidence.queue(
            [b.column for b in bounded.values()], warm
        )
        exact = exact_values(candidates, prices)
        processes = tuple(
            Exact(column.sign * logarithms(exact[column.metric]))
            if column.metric is not None and column.metric in exact
            else evidence.process(name, column, queue, warm)
            for name, column in zip(metrics, columns, strict=True)
        )
        constraints = constraint_models(evidence, bounded, columns, processes, queue, warm, exact)
        serving = probability_of_serving(candidates, observations)
        feasible = np.prod([serving, *(c.probability for c in constraints)], axis=0)
        return cls(
            candidates,
            tuple(metrics),
            tuple(directions),
            processes,
            feasible,
            evidence.rows[evidence.rows < len(candidates)],
            np.array([_usual(column) for column in columns]),
            error_correlation_of(processes),
            queue,
            constraints,
        )

    def posterior(self, rows: npt.ArrayLike | None = None) -> Posterior:
        """Marginals at these rows, or at all candidates."""
        chosen = slice(None) if rows is None else np.asarray(rows, dtype=np.intp)
        return Posterior(
            np.column_stack([p.mean[chosen] for p in self.processes]),
            np.column_stack([p.sd[chosen] for p in self.processes]),
            self.feasible[chosen],
        )

    def draws(self, rows: npt.ArrayLike, count: int, rng: np.random.Generator) -> Floats:
        """Joint samples of the noise-free minimised logarithms, shape (count, n, m).

        The errors of objectives go together as `error_correlation` says.
        """
        chosen = np.asarray(rows, dtype=np.intp)
        normals = joint_normals(self.error_correlation, count, len(chosen), rng)
        by_objective = [
            p.draws(chosen, own, rng) for p, own in zip(self.processes, normals, strict=True)
        ]
        return np.stack(by_objective, axis=-1)

    def covariance(self, rows_a: npt.ArrayLike, rows_b: npt.ArrayLike, objective: int) -> Floats:
        """Posterior covariance of one objective's logarithms, shape (len(rows_a), len(rows_b))."""
        a, b = np.asarray(rows_a, dtype=np.intp), np.asarray(rows_b, dtype=np.intp)
        return self.processes[objective].covariance(a, b)

    def with_pending(self, rows: npt.ArrayLike) -> Surrogate:
        """As if each of `rows` had been measured and its mean had come out (kriging believer).

        Means stay, deviations shrink (Ginsbourger, Le Riche and Carraro, Kriging Is Well-Suited to
        Parallelize Optimization, 2010).
        """
        chosen = np.asarray(rows, dtype=np.intp)
        variances = self.noise_sd**2 + self.usual_sd**2
        processes = tuple(
            p.believing(chosen, float(v)) for p, v in zip(self.processes, variances, strict=True)
        )
        return replace(self, processes=processes)

    def likeliest(self) -> Surrogate:
        """The same with the most probable process of each objective alone, each by itself.

        It is cheaper, and surer than it may be.
        """
        return replace(
            self,
            processes=tuple(p.alone() for p in self.processes),
            error_correlation=np.eye(len(self.metrics)),
        )

    @property
    def noise_sd(self) -> Floats:
        """Between-burst sd of each objective's logarithm beyond its own interval, shape (m,)."""
        return np.array([p.prior.hyper.noise for p in self.processes])

    @property
    def queue(self) -> Mapping[str, float] | None:
        """The fitted parameters of the queue, None where it has none to say."""
        return None if self.queue_fit is None else self.queue_fit.parameters

    @property
    def trends(self) -> tuple[str, ...]:
        """What each objective's prior mean is: "queue" or "linear"."""
        return tuple(p.prior.trend for p in self.processes)

    @property
    def length_scales(self) -> Mapping[str, Mapping[str, float]]:
        """By metric and parameter, in units of the parameter's range; not of what is exact."""
        names, _ = grouped(self.candidates.owners)
        return {
            metric: dict(zip(names, map(float, p.prior.hyper.lengths), strict=True))
            for metric, p in zip(self.metrics, self.processes, strict=True)
            if isinstance(p, Ensemble)
        }


def _columns(
    metrics: Sequence[str],
    directions: Sequence[Direction],
    served: Sequence[Observation],
    scales: Sequence[Scale],
) -> list[Column]:
    unknown = (None,) * len(metrics)
    values = np.array([o.values for o in served], dtype=np.float64).reshape(-1, len(metrics))
    sds = np.array([o.relative_sd or unknown for o in served], dtype=np.float64)
    sds = sds.reshape(-1, len(metrics))
    signs = [1.0 if d == "minimize" else -1.0 for d in directions]
    return [
        Column(
            metric if scale.plain else None,
            sign,
            scale.scaled(values[:, j], sign),
            sds[:, j],
            scale.noise,
        )
        for j, (metric, sign, scale) in enumerate(zip(metrics, signs, scales, strict=True))
    ]


def _usual(column: Column) -> float:
    stated = column.sds[np.isfinite(column.sds)]
    if len(stated):
        return float(np.median(stated))
    return _UNKNOWN_NOISE if column.noise is None else 0.0
