"""How much more a metric is on one kind of host than on another. Pure.

Hosts of a study may differ (`hosts: any`). Configurations that were measured on several kinds of
hosts, the baseline at least, tell how much: on a logarithmic scale a burst is the sum of what its
configuration is, what its kind of host adds, and noise. That is a two-way layout without
interaction (Scheffe, The Analysis of Variance, 1959, chapter 4), in which hosts have a prior. So
what a kind adds is uncertain by about a factor of 2 until something was measured there too.

That a host adds the same to every configuration is an assumption. Where several configurations do
not agree on it, its error is larger (Birge, Physical Review 40, 1932). What a bad network adds has
nothing to do with a host's speed: of a burst with packet loss only its own part changes, and where
that is not known it stays as it was measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuner.arrays import Floats
from tuner.measure.link import LOGARITHM, link_of
from tuner.measure.measurement import CpuLine, Estimate, LossParts, Measurement, Z
from tuner.spec.metrics import METRICS
from tuner.spec.reservation import RESERVED
from tuner.spec.space import Configuration
from tuner.spec.study import NetworkSpec

Burst = tuple[Configuration, str, Measurement]
"""A configuration, the kind of host that it was measured on, and what was measured."""

USUAL = math.log(2.0)
"""The prior's standard deviation of what a kind of host adds, as a logarithm."""

_BETWEEN = 0.05
"""Bursts of one configuration are taken to differ by so much, as a share, beside their errors."""

_ELSEWHERE = frozenset({*RESERVED, "memory_peak_mib", "nodes", "loss_delay_ms"})
"""What does not follow the speed of a host."""

_UNDER_LOSS = frozenset({"cpu_ms_per_request"})
"""What does so in a bad network too."""

_BELIEVED = 4.0
"""So many degrees of freedom's worth of belief that a host adds the same everywhere."""


@dataclass(frozen=True)
class HostEffect:
    """A metric there is exp(`log_ratio`) times as large as on the host that it is stated for.

    `error` is the standard error of `log_ratio`. It rests on so many `configurations`, which were
    measured there and elsewhere.
    """

    log_ratio: float
    error: float
    configurations: int


HostEffects = Mapping[str, HostEffect]
"""By metric."""


def host_effects(bursts: Sequence[Burst], on: str) -> Mapping[str, HostEffects]:
    """What each kind of host but `on` adds to what is measured `on` that one; empty for one kind.

    By the metrics that follow the speed of a host, on a logarithmic scale.
    """
    kinds = sorted({kind for _, kind, _ in bursts} - {on})
    if not kinds:
        return {}
    good = [burst for burst in bursts if not _in_bad_network(burst[0])]
    names = sorted({name for *_, m in bursts for name in m.metrics if _follows(name)})
    by_metric = {name: _effects(good, kinds, name) for name in names}
    return {kind: {name: by_metric[name][kind] for name in names} for kind in kinds}


def without(
    configuration: Configuration, measurement: Measurement, effects: HostEffects
) -> Measurement:
    """The measurement as on the host for which the effects are stated.

    Intervals also have what is uncertain of the effects.
    """
    metrics = {
        name: _scaled(estimate, effects[name])
        if name in effects and is_scaled(configuration, name)
        else estimate
        for name, estimate in measurement.metrics.items()
    }
    loss = measurement.loss
    return replace(
        measurement, metrics=metrics, loss=None if loss is None else _loss_without(loss, effects)
    )


def is_scaled(configuration: Configuration, name: str) -> bool:
    """Whether a metric of a burst as a whole is stated as on the other host."""
    return name in _UNDER_LOSS or not _in_bad_network(configuration)


def _in_bad_network(configuration: Configuration) -> bool:
    return not NetworkSpec.of(configuration).clean


def _follows(name: str) -> bool:
    return name in METRICS and name not in _ELSEWHERE and link_of(name) == LOGARITHM


def _effects(bursts: Sequence[Burst], kinds: Sequence[str], name: str) -> Mapping[str, HostEffect]:
    """By kind, those of one metric; any other kind is that for which they are stated."""
    column = {kind: index for index, kind in enumerate(kinds)}
    groups: dict[Configuration, list[tuple[str, float, float]]] = {}
    for configuration, kind, measurement in bursts:
        estimate = measurement.metrics.get(name)
        if estimate is not None and estimate.value > 0:
            variance = (estimate.relative_error or 0.0) ** 2 + _BETWEEN**2
            groups.setdefault(configuration, []).append((kind, math.log(estimate.value), variance))
    shared = [group for group in groups.values() if len({kind for kind, *_ in group}) > 1]
    precision = np.eye(len(kinds)) / USUAL**2
    score = np.zeros(len(kinds))
    squares, degrees = 0.0, -len({kind for group in shared for kind, *_ in group if kind in column})
    for group in shared:
        design, values, weights = _design(group, column)
        apart = design - (weights @ design) / weights.sum()
        precision += apart.T @ (weights[:, None] * apart)
        score += apart.T @ (weights * values)
        degrees += len(group) - 1
    added = np.linalg.solve(precision, score)
    for group in shared:
        design, values, weights = _design(group, column)
        residual = values - design @ added
        squares += float(weights @ (residual - np.average(residual, weights=weights)) ** 2)
    misfit = max(1.0, (_BELIEVED + squares) / (_BELIEVED + max(degrees, 0)))
    variances = np.diag(np.linalg.inv(precision)) * misfit
    return {
        kind: HostEffect(
            float(added[index]),
            math.sqrt(min(float(variances[index]), USUAL**2)),
            sum(any(k == kind for k, *_ in group) for group in shared),
        )
        for kind, index in column.items()
    }


def _design(
    group: Sequence[tuple[str, float, float]], column: Mapping[str, int]
) -> tuple[Floats, Floats, Floats]:
    """Of the bursts of one configuration: which kind each has, its logarithm, its weight."""
    design = np.zeros((len(group), len(column)))
    for row, (kind, *_) in enumerate(group):
        if kind in column:
            design[row, column[kind]] = 1.0
    return (
        design,
        np.array([value for _, value, _ in group]),
        np.array([1.0 / variance for *_, variance in group]),
    )


def _scaled(estimate: Estimate, effect: HostEffect) -> Estimate:
    """Divided by what the host adds; ends on the scale of logarithms, with the effect's error."""
    value = estimate.value * math.exp(-effect.log_ratio)
    own = estimate.relative_error
    if own is None:
        return Estimate(value)
    factor = math.exp(Z * math.hypot(own, effect.error))
    return Estimate(value, value / factor, value * factor)


def _loss_without(loss: LossParts, effects: HostEffects) -> LossParts:
    art, cpu = effects.get("art_ms"), effects.get("cpu_cores")
    if art is None:
        return loss
    line = loss.cpu
    if line is not None and cpu is not None:
        # In a closed loop CPU usage is what a request costs times throughput, which falls as ART
        # rises: a request costs both effects more.
        error = math.hypot(art.error, cpu.error)
        line = _scaled_line(line, HostEffect(art.log_ratio + cpu.log_ratio, error, 0))
    return replace(loss, undelayed_ms=_scaled(loss.undelayed_ms, art), cpu=line)


def _scaled_line(line: CpuLine, effect: HostEffect) -> CpuLine:
    factor = math.exp(-effect.log_ratio)
    return replace(
        line,
        cores=line.cores * factor,
        cores_error=factor * math.hypot(line.cores_error, line.cores * effect.error),
        slope=line.slope * factor,
        slope_error=line.slope_error * factor,
    )
