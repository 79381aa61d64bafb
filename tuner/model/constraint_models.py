"""How likely a configuration holds the user's constraints, such as `p95_ms <= 80`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from scipy.special import ndtr

from tuner.arrays import Floats
from tuner.model.evidence import Column, Evidence
from tuner.model.exact import Exact
from tuner.model.observations import SERVES, Observation
from tuner.model.process import Process
from tuner.model.queue_fit import QueueFit
from tuner.model.queue_prior import OUTPUTS
from tuner.model.warm import Warm

_TEXT = re.compile(r"^(\w+) (<=|>=) (\S+)$")
_SHIFT = 0.1


def probability_of_holding(
    evidence: Evidence,
    served: Sequence[Observation],
    columns: Sequence[Column],
    processes: Sequence[Process | Exact],
    queue: QueueFit | None,
    warm: Warm | None = None,
    exact: Mapping[str, Floats] = MappingProxyType({}),
) -> Floats:
    """Of every candidate, shape (n,): the product over constraints of P(noise-free value holds).

    `served` are the observations that `evidence` has; `columns` and `processes` those of the
    objectives, which also answer for constraints on the same metrics. `exact` has the values of
    metrics that are known of every candidate, shape (n,) each.
    """
    probabilities = np.ones(len(evidence.candidates))
    texts = dict.fromkeys(t for o in served for t in o.violations if t != SERVES)
    for text in texts:
        parts = _TEXT.match(text)
        if parts is not None and parts[1] in exact:
            values, bound = exact[parts[1]], float(parts[3])
            probabilities *= values <= bound if parts[2] == "<=" else values >= bound
            continue
        violations = np.array([o.violations.get(text, np.nan) for o in served], dtype=np.float64)
        column, bound = _column(text, violations)
        same = [i for i, c in enumerate(columns) if c.metric == column.metric is not None]
        if same:
            process = processes[same[0]]
            sign = column.sign * columns[same[0]].sign
        else:
            process, sign = evidence.process(column, queue, warm), 1.0
        probabilities *= ndtr((bound - sign * process.mean) / process.sd)
    return probabilities


def _column(text: str, violations: Floats) -> tuple[Column, float]:
    """A constraint as a logarithm that must not exceed the bound that is returned with it.

    Metrics that queueing speaks of are taken as they are. Others may be zero and mostly are (error
    rates), where a logarithm says nothing: a tenth of the bound is added. Where the text has no
    positive bound, the violation itself is used, its size pressed together.
    """
    unknown = np.full(len(violations), np.nan)
    parts = _TEXT.match(text)
    bound = float(parts[3]) if parts else 0.0
    if parts is None or not bound > 0:
        sizes = np.abs(violations[np.isfinite(violations)])
        scale = max(float(np.median(sizes)) if len(sizes) else 0.0, 1e-9)
        return Column(None, 1.0, np.arcsinh(violations / scale), unknown), 0.0
    sign = 1.0 if parts[2] == "<=" else -1.0
    values = np.maximum(bound + sign * violations, 0.0)
    if parts[1] in OUTPUTS:
        logs = np.log(np.maximum(values, 1e-6))
        return Column(parts[1], sign, sign * logs, unknown), sign * float(np.log(bound))
    logs = np.log(values + _SHIFT * bound)
    return Column(None, sign, sign * logs, unknown), sign * float(np.log((1 + _SHIFT) * bound))
