"""The queue's parameters from a study's own measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from tuner.arrays import Floats
from tuner.model.gp import LogNormal
from tuner.model.queue_prior import OUTPUTS, PARAMETERS, Loads, solved

_FIRM = frozenset({"art_ms", "throughput_rps", "cpu_percent", "cpu_cores", "cpu_ms_per_request"})
_USAGES = frozenset({"cpu_percent", "cpu_cores"})
_HOST_WIDTH = 0.15
_MISFIT = 0.15
_STEP = 1e-4
_STARTS = (0.002, 0.02, 0.2)


@dataclass(frozen=True, eq=False)
class Reading:
    """How metrics are read: cores of the host where known, and whether CPU usage is of the whole or
    of one replica on average (in percent of a core).
    """

    host_cpus: float | None = None
    per_replica: bool = False

    def outputs(self, loads: Loads, logs: Floats, metrics: Sequence[str]) -> Floats:
        """Logarithms of metrics in their units, shape (k, metrics, n)."""
        distinct, inverse = loads.distinct()
        outputs = solved(distinct, logs)
        host = logs[:, 3, None] if self.host_cpus is None else np.log(self.host_cpus)
        per_metric = []
        for metric in metrics:
            values = outputs[OUTPUTS[metric]]
            if metric in _USAGES and self.per_replica:
                values = values - np.log(distinct.replicas)
            elif metric == "cpu_percent":
                values = values - host
            per_metric.append(values + np.log(100.0) * (metric == "cpu_percent"))
        return np.stack(per_metric, axis=1)[:, :, inverse]


@dataclass(frozen=True, eq=False)
class QueueFit:
    """Fitted logarithms of `PARAMETERS` with their covariance (by Laplace).

    `evidence` is the logarithm of the evidence for it up to a constant; `occam`, per metric, what
    having fitted the parameters costs: the logarithm of prior density x posterior volume.
    """

    logs: Floats
    covariance: Floats
    evidence: float
    occam: float
    reading: Reading

    @property
    def parameters(self) -> Mapping[str, float]:
        return dict(zip(PARAMETERS, map(float, np.exp(self.logs)), strict=True))

    @property
    def widths(self) -> Mapping[str, float]:
        """Deviations of the parameters' logarithms."""
        return dict(zip(PARAMETERS, map(float, np.sqrt(np.diag(self.covariance))), strict=True))

    def predicted(self, loads: Loads, metric: str) -> tuple[Floats, Floats]:
        """Logarithms of a metric, shape (n,), and what one sd of the parameters changes, (n, k)."""
        logarithms = self.reading.outputs(loads, _varied(self.logs), (metric,))[:, 0]
        jacobian = (logarithms[1:] - logarithms[0]).T / _STEP
        values, vectors = np.linalg.eigh(self.covariance)
        return logarithms[0], jacobian @ (vectors * np.sqrt(np.maximum(values, 0.0)))


def _varied(logs: Floats) -> Floats:
    return np.vstack([logs, logs + _STEP * np.eye(len(logs))])


def fitted_queue(
    loads: Loads,
    metrics: Sequence[str],
    values: Floats,
    *,
    host_cpus: float | None = None,
    priors: Mapping[str, LogNormal] = PARAMETERS,
) -> QueueFit | None:
    """Robust least squares of logarithms `values`, shape (n, m), of configurations `loads`.

    The columns are logarithms of the metrics themselves (not negated). None where the queue speaks
    of none of them, or nothing was measured.
    """
    chosen = [i for i, m in enumerate(metrics) if m in OUTPUTS]
    if not chosen or len(values) == 0:
        return None
    names = [metrics[i] for i in chosen]
    parameter_priors = dict(priors)
    if host_cpus is not None:
        parameter_priors["host_cores"] = LogNormal(host_cpus, _HOST_WIDTH)
    readings = [Reading(host_cpus)]
    if not _USAGES.isdisjoint(names):
        readings.append(Reading(host_cpus, per_replica=True))
    return max(
        (_fitted(loads, names, values[:, chosen].T, r, parameter_priors) for r in readings),
        key=lambda fit: fit.evidence,
    )


def _fitted(
    loads: Loads,
    names: Sequence[str],
    targets: Floats,
    reading: Reading,
    priors: Mapping[str, LogNormal],
) -> QueueFit:
    """Beside `PARAMETERS` each metric has a constant factor; that of a percentile is wide."""
    centres = np.log([priors[n].median for n in PARAMETERS])
    count, size = len(centres), targets.shape[1]
    widths = np.array(
        [priors[n].width for n in PARAMETERS] + [0.05 if n in _FIRM else 0.7 for n in names]
    )
    centres = np.concatenate([centres, np.zeros(len(names))])

    def residuals(point: Floats) -> Floats:
        predicted = reading.outputs(loads, point[None, :count], names)[0]
        missed = (predicted + point[count:, None] - targets) / _MISFIT
        return np.concatenate([missed.ravel(), (point - centres) / widths])

    def jacobian(point: Floats) -> Floats:
        predicted = reading.outputs(loads, _varied(point[:count]), names)
        full = np.zeros((targets.size, len(point)))
        full[:, :count] = ((predicted[1:] - predicted[0]) / _STEP).reshape(count, -1).T
        full[:, count:] = np.repeat(np.eye(len(names)), size, axis=0)
        return np.vstack([full / _MISFIT, np.diag(1.0 / widths)])

    best = None
    for service in _STARTS:
        start = centres.copy()
        start[0] = np.log(service)
        solution = least_squares(
            residuals, start, jacobian, loss="soft_l1", max_nfev=25, xtol=1e-5, ftol=1e-5
        )
        if best is None or solution.cost < best.cost:
            best = solution
    assert best is not None
    slopes = jacobian(best.x)
    covariance = np.asarray(np.linalg.inv(slopes.T @ slopes))[:count, :count]
    distance = ((best.x - centres) / widths)[:count]
    volume = float(np.linalg.slogdet(covariance)[1]) / 2 - float(np.log(widths[:count]).sum())
    # All metrics share the parameters, and what they cost.
    occam = (volume - 0.5 * float(distance @ distance)) / len(names)
    return QueueFit(best.x[:count], covariance, volume - float(best.cost), occam, reading)
