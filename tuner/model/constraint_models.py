"""How likely a configuration holds the user's constraints, such as `p95_ms <= 80`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
from scipy.special import ndtr

from tuner.arrays import Floats
from tuner.measure.link import LOGARITHM, link_of
from tuner.measure.measurement import Estimate, Z
from tuner.model.ensemble import Ensemble
from tuner.model.evidence import Column, Evidence
from tuner.model.exact import Exact
from tuner.model.observations import SERVES, Observation
from tuner.model.queue_fit import QueueFit
from tuner.model.queue_prior import OUTPUTS
from tuner.model.warm import Warm

_TEXT = re.compile(r"^(\w+) (<=|>=) (\S+)$")
_SHIFT = 0.1


@dataclass(frozen=True, eq=False)
class ConstraintModel:
    """What is believed of one constraint at every candidate.

    On a scale where less is better, the noise-free value has `mean` and `sd`, shape (n,) each, and
    must not exceed `bound`. Bursts differ by `noise` on that scale. `sd` is 0 where the value is
    exact. `in_unit` brings a value of that scale back to the metric's unit; None where the scale
    has forgotten it.
    """

    text: str
    bound: float
    mean: Floats
    sd: Floats
    noise: float
    in_unit: Callable[[float], float] | None = None

    @property
    def probability(self) -> Floats:
        """P(the noise-free value holds) of every candidate, shape (n,)."""
        return self._holds(self.sd)

    def holds_when_deployed(self, row: int) -> float:
        """P(a new deployment of a candidate holds): deployments differ as bursts do."""
        return float(self._holds(np.hypot(self.sd, self.noise))[row])

    def _holds(self, sd: Floats) -> Floats:
        certain = (self.mean <= self.bound).astype(np.float64)
        spread = np.where(sd > 0, sd, 1.0)
        holds: Floats = np.where(sd > 0, ndtr((self.bound - self.mean) / spread), certain)
        return holds

    def value(self, row: int) -> Estimate | None:
        """What many bursts of a candidate would give on average, with its 95 % interval."""
        if self.in_unit is None:
            return None
        mean, sd = float(self.mean[row]), float(self.sd[row])
        value, *ends = (self.in_unit(mean + z * sd) for z in (0.0, -Z, Z))
        return Estimate(value, min(ends), max(ends))


@dataclass(frozen=True, eq=False)
class BoundedColumn:
    """The bursts of one constraint: a column, the bound on its scale, and the way back."""

    column: Column
    bound: float
    in_unit: Callable[[float], float] | None


def bounded_columns(served: Sequence[Observation]) -> Mapping[str, BoundedColumn]:
    """The constraints of the observations that could serve, by text, in order."""
    texts = dict.fromkeys(t for o in served for t in o.violations if t != SERVES)
    return {
        text: _column(
            text, np.array([o.violations.get(text, np.nan) for o in served], dtype=np.float64)
        )
        for text in texts
    }


def constraint_models(
    evidence: Evidence,
    bounded: Mapping[str, BoundedColumn],
    columns: Sequence[Column],
    processes: Sequence[Ensemble | Exact],
    queue: QueueFit | None,
    warm: Warm | None = None,
    exact: Mapping[str, Floats] = MappingProxyType({}),
) -> tuple[ConstraintModel, ...]:
    """A model of each of the constraints that are `bounded`.

    `columns` and `processes` are those of the objectives, which also answer for constraints on the
    same metrics. `exact` has the values of metrics that are known of every candidate, shape (n,)
    each.
    """
    models = []
    for text, own in bounded.items():
        parts = _TEXT.match(text)
        if parts is not None and parts[1] in exact:
            sign = 1.0 if parts[2] == "<=" else -1.0
            values = sign * exact[parts[1]]
            in_unit = partial(operator.mul, sign)
            models.append(
                ConstraintModel(
                    text, sign * float(parts[3]), values, np.zeros(len(values)), 0.0, in_unit
                )
            )
            continue
        column = own.column
        same = [i for i, c in enumerate(columns) if c.metric == column.metric is not None]
        if same:
            process = processes[same[0]]
            sign = column.sign * columns[same[0]].sign
        else:
            process, sign = evidence.process(text, column, queue, warm), 1.0
        models.append(
            ConstraintModel(
                text,
                own.bound,
                sign * process.mean,
                process.sd,
                process.prior.hyper.noise,
                own.in_unit,
            )
        )
    return tuple(models)


def _column(text: str, violations: Floats) -> BoundedColumn:
    """A constraint as a logarithm that must not exceed its bound.

    Metrics that queueing speaks of are taken as they are, shares and rates of events on the scale
    of their link. Others may be zero, where a logarithm says nothing: a tenth of the bound is
    added. Where the text has no positive bound, the violation itself is used, its size pressed
    together.
    """
    unknown = np.full(len(violations), np.nan)
    parts = _TEXT.match(text)
    bound = float(parts[3]) if parts else 0.0
    sign = -1.0 if parts and parts[2] == ">=" else 1.0
    if parts is None or not bound > 0:
        sizes = np.abs(violations[np.isfinite(violations)])
        scale = max(float(np.median(sizes)) if len(sizes) else 0.0, 1e-9)

        def unpressed(pressed: float) -> float:
            return bound + sign * scale * math.sinh(pressed)

        column = Column(None, 1.0, np.arcsinh(violations / scale), unknown)
        return BoundedColumn(column, 0.0, unpressed if parts else None)
    values = np.maximum(bound + sign * violations, 0.0)
    link = link_of(parts[1])
    if link != LOGARITHM:

        def back(scaled: float) -> float:
            return float(link.in_unit(sign * scaled))

        column = Column(None, sign, sign * link.scaled(values), unknown)
        return BoundedColumn(column, sign * float(link.scaled(bound)), back)
    known, shift = (parts[1], 0.0) if parts[1] in OUTPUTS else (None, _SHIFT * bound)
    logs = np.log(np.maximum(values, 1e-6) if known else values + shift)

    def unlogged(log: float) -> float:
        return max(0.0, math.exp(sign * log) - shift)

    column = Column(known, sign, sign * logs, unknown)
    return BoundedColumn(column, sign * math.log(bound + shift), unlogged)
