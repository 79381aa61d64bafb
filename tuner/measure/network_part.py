"""What the network adds to each request, over all lossy bursts of a study. Pure.

How many requests a lost packet delays, and by how much, depends on the network and the bytes sent,
and hardly on how a model is served. So the bursts of all configurations estimate it together, which
is far more precise than one burst. A configuration that differs is left out, and stands alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from tuner.arrays import Floats, Mask
from tuner.measure.measurement import LossParts
from tuner.spec.space import Configuration

FEWEST_DELAYED = 20
"""Fewer delayed requests than these say too little about a network."""
MOST_UNCLEAR = 0.1
"""The most unclear requests per delayed one (and two more) of a burst that can be taken apart."""
MOST_DELAYED = 0.4
"""The largest share of delayed requests of such a burst: the median must be undelayed."""
DIFFERS = 0.001
"""A configuration differs where one like the others would do so with less than this probability.
Delays double with each loss in a row, so a few long ones are no sign yet."""
MOST_CHI2 = float(chi2.isf(DIFFERS, 2))


@dataclass(frozen=True)
class NetworkPart:
    """What lost packets add to a request: a share of them, 0 to 1, takes `delay_ms` longer.

    The errors are standard errors. Those called own are the part of them that a configuration
    shares with no other: it counts where configurations are compared, the rest is the same in all.
    It rests on `bursts` of `configurations` with `delayed` requests.
    """

    share: float
    share_error: float
    share_own_error: float
    delay_ms: float
    delay_error_ms: float
    delay_own_error_ms: float
    delayed: int
    bursts: int
    configurations: int

    @property
    def mean_ms(self) -> float:
        """The mean over all requests, delayed or not."""
        return self.share * self.delay_ms

    @property
    def error_ms(self) -> float:
        """The standard error of `mean_ms`."""
        return math.hypot(self.delay_ms * self.share_error, self.share * self.delay_error_ms)

    @property
    def own_error_ms(self) -> float:
        """The part of `error_ms` that the configuration shares with no other."""
        return math.hypot(
            self.delay_ms * self.share_own_error, self.share * self.delay_own_error_ms
        )


def inseparable(requests: int, delayed: int, unclear: int) -> str:
    """Why the delayed requests of a burst cannot be told from the others; empty where they can."""
    if delayed > MOST_DELAYED * requests:
        return "a lost packet delayed most of its requests"
    if unclear > 2 + MOST_UNCLEAR * delayed:
        return "response times without a lost packet are as long as its delay"
    return ""


def network_parts(
    bursts: Mapping[Configuration, Sequence[LossParts]],
    later: Mapping[Configuration, Sequence[LossParts]] | None = None,
) -> Mapping[Configuration, NetworkPart | str]:
    """The part of one network in each configuration, from the bursts of all of them.

    The share is binomial. The delay has the same variance in all configurations. Each configuration
    is compared with all others by chi2 of both; the one that differs most is left out, until none
    differs any more. Those that are left out have the reason instead of a part.

    What the others differ beyond chance is estimated too (DerSimonian and Laird, Controlled
    Clinical Trials 7, 1986). The more they do, the more a configuration's own bursts count for it
    (empirical Bayes). All have a reason where too few requests were delayed, or where no more than
    half of the configurations agree.

    A `later` configuration, which is none of those, says something of itself only.
    """
    groups = {**bursts, **(later or {})}
    names = list(groups)
    counts = _Counts.of(list(groups.values()))
    first = np.arange(len(names)) < len(bursts)
    kept = first.copy()
    differing: dict[int, str] = {}
    while kept.any() and (values := counts.differences(kept)).max() > MOST_CHI2:
        worst = int(np.argmax(values))
        kept[worst] = False
        differing[worst] = counts.in_words(worst, kept, float(values[worst]))
    disagree = len(bursts) > 1 and 2 * len(differing) >= len(bursts)

    def parts(used: Mask, rows: Sequence[int]) -> Sequence[NetworkPart | str]:
        """Those of some rows, by the bursts of all configurations used."""
        if disagree:
            return ["the configurations do not agree on what this network adds"] * len(rows)
        if counts.delayed[used].sum() < FEWEST_DELAYED:
            few = f"fewer than {FEWEST_DELAYED} requests were delayed in this network so far"
            return [few] * len(rows)
        return counts.parts(used, rows)

    rows = range(len(bursts))
    found = list(parts(kept, rows))
    if not disagree:
        found = [differing.get(row, part) for row, part in enumerate(found)]
    for row in range(len(bursts), len(names)):
        used = kept.copy()
        used[row] = True
        value = float(counts.differences(used)[row])
        differs = value > MOST_CHI2
        found.append(counts.in_words(row, kept, value) if differs else parts(used, [row])[0])
    return dict(zip(names, found, strict=True))


@dataclass(frozen=True, eq=False)
class _Counts:
    """By configuration, shape (n,): bursts, requests, delayed ones, sum and scatter of delays.

    `scatter` is the sum of squared deviations from the configuration's mean delay.
    """

    bursts: Floats
    requests: Floats
    delayed: Floats
    total_ms: Floats
    scatter: Floats

    @classmethod
    def of(cls, groups: Sequence[Sequence[LossParts]]) -> _Counts:
        rows = []
        for group in groups:
            requests, delayed, delays, sds = np.array(
                [(p.requests, p.delayed, p.delay_ms, p.delay_sd_ms) for p in group], np.float64
            ).T
            mean = float(delayed @ delays) / max(float(delayed.sum()), 1.0)
            within = np.maximum(delayed - 1, 0) @ sds**2 + delayed @ (delays - mean) ** 2
            rows.append((len(group), requests.sum(), delayed.sum(), delayed @ delays, within))
        return cls(*np.array(rows, np.float64).T)

    def _pool(self, kept: Mask) -> tuple[float, float, float]:
        """Share, mean delay, and variance of a single delay over the configurations kept."""
        delayed = float(self.delayed[kept].sum())
        share = delayed / float(self.requests[kept].sum())
        mean = float(self.total_ms[kept].sum()) / delayed if delayed else 0.0
        degrees = delayed - np.count_nonzero(self.delayed[kept])
        variance = float(self.scatter[kept].sum()) / degrees if degrees > 0 else 0.0
        return share, mean, variance

    def differences(self, kept: Mask) -> Floats:
        """Of each configuration kept, chi2 against all others kept, of share and delay: (n,)."""
        share, _, variance = self._pool(kept)
        requests, delayed, total_ms = (
            np.sum(a[kept]) - a for a in (self.requests, self.delayed, self.total_ms)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = self.delayed / self.requests - delayed / requests
            delays = self.total_ms / self.delayed - total_ms / delayed
            values = np.nan_to_num(
                shares**2 / (share * (1 - share) * (1 / self.requests + 1 / requests)), posinf=0.0
            ) + np.nan_to_num(delays**2 / (variance * (1 / self.delayed + 1 / delayed)), posinf=0.0)
        return np.where(kept & (delayed > 0), values, 0.0)

    def parts(self, kept: Mask, rows: Sequence[int]) -> list[NetworkPart]:
        """Those of the configurations `rows`, by all bursts of those kept."""
        share, mean, variance = self._pool(kept)
        own = self.delayed / self.requests
        shares = _shrunk(own, self.requests, kept, share, share * (1 - share))
        own = self.total_ms / np.maximum(self.delayed, 1)
        delays = _shrunk(own, self.delayed, kept & (self.delayed > 0), mean, variance)
        amounts = (int(a[kept].sum()) for a in (self.delayed, self.bursts, np.ones(len(kept))))
        delayed, bursts, configurations = amounts
        values = np.column_stack([*shares, *delays])[rows].tolist()
        return [
            NetworkPart(s, s_error, s_own, d, d_error, d_own, delayed, bursts, configurations)
            for s, s_error, s_own, d, d_error, d_own in values
        ]

    def in_words(self, row: int, others: Mask, value: float) -> str:
        own = self.total_ms[row] / self.requests[row]
        share, mean, _ = self._pool(others)
        return (
            f"its lost packets cost {own:.3g} ms per request, those of the other configurations"
            f" {share * mean:.3g} ms (chi2 {value:.1f}, P {chi2.sf(value, 2):.1g})"
        )


def _shrunk(
    values: Floats, counts: Floats, kept: Mask, mean: float, variance: float
) -> tuple[Floats, Floats, Floats]:
    """What each configuration's value most likely is, its standard error, and its own part of that;
    shape (n,).

    `values` are means over `counts` single values of that variance, `mean` is that of all kept.
    """
    if not variance:
        return np.full(len(values), mean), np.zeros(len(values)), np.zeros(len(values))
    weights = counts[kept] / variance
    total = float(weights.sum())
    between = 0.0
    if len(weights) > 1:
        excess = float(weights @ (values[kept] - mean) ** 2) - (len(weights) - 1)
        between = max(0.0, excess / (total - float(weights @ weights) / total))
    of_mean = 1 / total + between * float(weights @ weights) / total**2
    own = between * counts / (between * counts + variance)
    apart = (1 - own) * between
    return mean + own * (values - mean), np.sqrt(apart + (1 - own) ** 2 * of_mean), np.sqrt(apart)
