"""What all bursts of one configuration say together.

One burst that was lucky looks better than its configuration is. Where a configuration was measured
more than once, its logarithms are averaged by precision: what a burst's own interval says and what
differs between bursts both count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import f as fisher

from tuner.arrays import Floats
from tuner.measure.link import LOGARITHM, interval_around, link_of
from tuner.measure.measurement import Estimate, Z
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.measure.repeatability import FEWEST_DEGREES, RepeatedBursts
from tuner.model.chances import tolerated
from tuner.model.pareto import coordinates, in_units
from tuner.spec.metrics import METRICS
from tuner.spec.reservation import RESERVED
from tuner.spec.space import Configuration

ASSUMED_BETWEEN = 0.05
"""Standard deviation between bursts as a share of the value, until repeats say what it is."""

_ALPHA = 0.01
_FACTOR = 3.0
_LEAST_UNSTABLE = 0.1
_DRAWS = 2000


@dataclass(frozen=True, eq=False)
class Pooled:
    """A configuration with at least one trial.

    `trials` are all of it, `bursts` those of them that were measured to the end. `values` are the
    averages of the objectives `metrics` in their units, `mean` and `sd` the same on the scales of
    their links, minimised (logarithms, but for what may be 0). All have shape (m,), and are those
    of the last trial where there is no burst. `representative` is the burst nearest to the
    averages, the first of equals. `infeasible` says why the configuration cannot serve or breaks a
    constraint, `unstable` why its bursts do not agree; both are empty for what may be on a front.
    """

    configuration: Configuration
    trials: tuple[TrialRecord, ...]
    bursts: tuple[TrialRecord, ...]
    values: tuple[float, ...]
    mean: Floats
    sd: Floats
    representative: TrialRecord
    metrics: tuple[str, ...]
    infeasible: str = ""
    unstable: str = ""

    @property
    def eligible(self) -> bool:
        """Whether it may be on a front."""
        return bool(self.bursts) and not self.infeasible and not self.unstable

    def estimate(self, index: int) -> Estimate:
        """The average of an objective with its 95 % interval, in its unit; what is reserved is
        exact.
        """
        if self.metrics[index] in RESERVED:
            return Estimate.exact(self.values[index])
        return interval_around(self.metrics[index], self.values[index], Z * float(self.sd[index]))

    def relative_sd(self, index: int) -> float:
        """The standard error of an objective's average as a share of it; infinite for 0."""
        if link_of(self.metrics[index]) == LOGARITHM:
            return float(self.sd[index])
        return self.estimate(index).relative_error or math.inf


@dataclass(frozen=True, eq=False)
class _Group:
    """The bursts of one configuration: minimised logarithms and their own variances, (k, m).

    `network` has the variances of what packet loss adds, (m,): their errors are the same in all
    bursts, so they do not average out. Bursts differ in the `share` of a value that is their own.
    `host` has those of what a burst's kind of host adds, (k, m), which are the same in all bursts
    of that kind.
    """

    trials: tuple[TrialRecord, ...]
    bursts: tuple[TrialRecord, ...]
    logs: Floats
    own: Floats
    network: Floats
    share: Floats
    host: Floats

    @property
    def squares(self) -> Floats:
        """Sum of squared deviations from the group's mean, shape (m,)."""
        sums: Floats = ((self.logs - self.logs.mean(axis=0)) ** 2).sum(axis=0)
        return sums


def pooled(study: StudyRecord) -> tuple[Pooled, ...]:
    """Every configuration of a study's finished trials, in the order of its first trial."""
    by_configuration: dict[Configuration, list[TrialRecord]] = {}
    for trial in study.trials:
        by_configuration.setdefault(trial.configuration, []).append(trial)
    groups = _groups(study, list(by_configuration.values()))
    repeated = _Repeated(groups)
    return tuple(_pooled(study, number, group, repeated) for number, group in enumerate(groups))


def _groups(study: StudyRecord, trials: Sequence[Sequence[TrialRecord]]) -> tuple[_Group, ...]:
    """One for each configuration's trials, all bursts brought to numbers at once."""
    bursts = [
        tuple(
            t
            for t in own
            if t.outcome == "measured" and not t.cut_short and all(map(math.isfinite, t.values))
        )
        for own in trials
    ]
    every = [t for own in bursts for t in own]
    logs = _logs(study, every)
    parts = np.array(
        [[_parts(t, o.metric) for o in study.objectives] for t in every], np.float64
    ).reshape(len(every), len(study.objectives), 4)
    ends = np.cumsum([len(own) for own in bursts])
    groups = []
    for own_trials, own, end in zip(trials, bursts, ends.tolist(), strict=True):
        rows = slice(end - len(own), end)
        error, network, share, host = np.moveaxis(parts[rows], -1, 0)
        network = (network**2).mean(axis=0) if own else network.sum(axis=0)
        varying = np.maximum(error**2 - host**2, 0.0)
        groups.append(_Group(tuple(own_trials), own, logs[rows], varying, network, share, host**2))
    return tuple(groups)


class _Repeated:
    """The bursts of all configurations that were measured more than once, by objective."""

    def __init__(self, groups: Sequence[_Group]) -> None:
        self._groups = groups
        self._repeats: dict[str, RepeatedBursts] = {}
        self.count = sum(len(g.bursts) > 1 for g in groups)

    def of(self, metric: str) -> RepeatedBursts:
        """By the number of each configuration."""
        if metric not in self._repeats:
            self._repeats[metric] = RepeatedBursts.of(
                ([e for t in g.bursts if (e := t.own_estimate(metric))] for g in self._groups),
                link_of(metric),
            )
        return self._repeats[metric]


def _parts(trial: TrialRecord, metric: str) -> tuple[float, float, float, float]:
    """The burst's own standard error, that of its network's part, its own share of the value, and
    what of its own error it shares with its kind of host.

    The errors are shares of the value.
    """
    composed = trial.composed(metric)
    if composed is None:
        own, network, share = standard_error(trial.metric(metric), metric), 0.0, 1.0
    else:
        own, network, share = composed.own_error, composed.network_error, composed.share
    return own, network, share, min(own, trial.host_error(metric))


def _logs(study: StudyRecord, trials: Sequence[TrialRecord]) -> Floats:
    directions = [o.direction for o in study.objectives]
    return coordinates([t.values for t in trials], [o.metric for o in study.objectives], directions)


def standard_error(estimate: Estimate | None, metric: str) -> float:
    """The standard error of a burst's value on the scale of its link: a share for logarithms.

    It is 0 where no interval is known.
    """
    return 0.0 if estimate is None else link_of(metric).standard_error(estimate) or 0.0


def _pooled(study: StudyRecord, number: int, group: _Group, repeated: _Repeated) -> Pooled:
    configuration = group.trials[0].configuration
    metrics = tuple(o.metric for o in study.objectives)
    if not group.bursts:
        last = group.trials[-1]
        mean = _logs(study, [last])[0]
        sd = np.full(len(mean), np.inf)
        return Pooled(
            *(configuration, group.trials, (), last.values, mean, sd, last, metrics),
            infeasible=_infeasible(group),
        )
    between = np.array([between_bursts(study, m, configuration) for m in metrics])
    variance = np.maximum(group.own + (group.share * between) ** 2, 1e-12)
    mean, uncertain = _averaged(group, variance)
    sd = np.sqrt(uncertain + group.network)
    away = (np.abs(group.logs - mean) / sd).max(axis=1)
    nearest = group.bursts[int(np.argmin(np.round(away, 9)))]
    if len(group.bursts) == 1:
        values = nearest.values
    else:
        directions = [o.direction for o in study.objectives]
        average = in_units(mean, metrics, directions).tolist()
        values = tuple(map(_average, average, zip(*(t.values for t in group.bursts), strict=True)))
    return Pooled(
        *(configuration, group.trials, group.bursts, values, mean, sd, nearest, metrics),
        infeasible=_infeasible(group),
        unstable=_unstable(study, number, group, repeated),
    )


def _averaged(group: _Group, variance: Floats) -> tuple[Floats, Floats]:
    """The bursts' average and its variance, shape (m,); each differs by `variance`."""
    if not group.host.any():
        return _by_precision(group.logs, variance)
    # First those of each kind of host, then these averages.
    of_kinds = []
    for kind in dict.fromkeys(t.host_kind for t in group.bursts):
        own = np.array([t.host_kind == kind for t in group.bursts])
        mean, known = _by_precision(group.logs[own], variance[own])
        of_kinds.append((mean, known + group.host[own].mean(axis=0)))
    means, variances = map(np.array, zip(*of_kinds, strict=True))
    return _by_precision(means, variances)


def _by_precision(values: Floats, variances: Floats) -> tuple[Floats, Floats]:
    """The average of the rows by precision, and its variance; all have shape (k, m) or (m,)."""
    weights = 1.0 / variances
    total = weights.sum(axis=0)
    return (weights * values).sum(axis=0) / total, 1.0 / total


def _average(average: float, values: Sequence[float]) -> float:
    """It, or what it is of: the logarithms of equal values average to one that is off by a bit."""
    return values[0] if len(set(values)) == 1 else average


def _infeasible(group: _Group) -> str:
    """It must serve each time, and hold its constraints on average."""
    failed = [t for t in group.trials if t.outcome == "infeasible"]
    if failed:
        times = f" in {len(failed)} of {len(group.trials)} trials" if len(group.trials) > 1 else ""
        return f"{failed[0].reason}{times}"
    judged = group.bursts or group.trials
    broken = [
        text
        for text in judged[0].violations
        if sum(t.violations.get(text, 0.0) for t in judged) > 0
    ]
    return f"breaks {', '.join(broken)}" if broken else ""


def _unstable(study: StudyRecord, number: int, group: _Group, repeated: _Repeated) -> str:
    """Why a configuration's bursts do not agree; empty where they do.

    Its variance between bursts is compared with that of all others that were repeated. Where they
    are alike, the ratio has Fisher's F distribution. A configuration counts as unstable if its
    deviation is above 10 % and three times theirs, and if the probability that any repeated
    configuration looks so by chance is below 1 % (Bonferroni's bound).
    A metric without an interval of its own is taken to vary as much as the worst other metric of
    its burst: in a closed loop CPU usage follows response time.
    """
    degrees = len(group.bursts) - 1
    if not degrees:
        return ""
    variances = group.squares / degrees
    if variances.max() <= _LEAST_UNSTABLE**2:
        return ""
    tests = len(study.objectives) * repeated.count
    own = np.where(group.own > 0, group.own, group.own.max(axis=1, keepdims=True)).mean(axis=0)
    for index, objective in enumerate(study.objectives):
        variance = float(variances[index])
        # Whatever the others differ by, the ratio is no larger than with what they state alone.
        most = variance / max(float(own[index]), 1e-12)
        if variance <= _LEAST_UNSTABLE**2 or most <= _FACTOR**2:
            continue
        others = repeated.of(objective.metric).without(number).repeatability()
        if others is None:
            continue
        expected = max(others.relative_sd**2 + float(own[index]), 1e-12)
        ratio = variance / expected
        if ratio > _FACTOR**2 and fisher.sf(ratio, degrees, others.degrees) < _ALPHA / tests:
            return (
                f"its bursts differ by {100 * math.sqrt(variance):.0f} % in"
                f" {METRICS[objective.metric].label}, those of other configurations by"
                f" {100 * others.relative_sd:.0f} %"
            )
    return ""


def between_bursts(
    study: StudyRecord, metric: str, configuration: Configuration | None = None
) -> float:
    """The standard deviation between bursts, as a share: in the scenario of `configuration`, or in
    the whole study.

    A few repeats say little, so they are joined with the assumed deviation, which counts as
    `FEWEST_DEGREES` repeats. What a configuration reserves does not differ.
    """
    if metric in RESERVED:
        return 0.0
    known = study.repeatability
    if configuration is not None:
        known = study.repeatability_in(study.scenario_of(configuration))
    repeats = known.get(metric)
    if repeats is None:
        return ASSUMED_BETWEEN
    squares = repeats.degrees * repeats.relative_sd**2 + FEWEST_DEGREES * ASSUMED_BETWEEN**2
    return math.sqrt(squares / (repeats.degrees + FEWEST_DEGREES))


def chances_of(configurations: Sequence[Pooled], seed: int = 0) -> Floats:
    """Each one's probability of being on the front of these, or within 2 % of it, shape (n,).

    It is estimated from draws of the averages. What is not eligible has probability 0.
    """
    probabilities = np.zeros(len(configurations))
    able = [i for i, p in enumerate(configurations) if p.eligible]
    if able:
        mean, sd = (
            np.array([getattr(configurations[i], name) for i in able]) for name in ("mean", "sd")
        )
        normal = np.random.default_rng(seed).standard_normal((_DRAWS, *mean.shape))
        probabilities[able] = tolerated(mean + sd * normal).mean(axis=0)
    return probabilities
