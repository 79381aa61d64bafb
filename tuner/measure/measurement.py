"""The measurement of one trial: metrics with intervals, and reasons to doubt them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated, Any, Literal

from annotated_types import Interval
from scipy.special import stdtrit

from tuner.spec.reservation import reserved
from tuner.spec.space import Value
from tuner.spec.study import Prices

CONFIDENCE = 0.95


@lru_cache
def student(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Half the width of a two-sided interval, in standard errors: Student's t.

    With infinitely many degrees of freedom it is that of the normal distribution.
    """
    return float(stdtrit(degrees, 1 - (1 - confidence) / 2))


Z = student(math.inf)
"""The normal distribution's 97.5 % quantile."""

Verdict = Literal["VALID", "WARN", "INVALID"]


_LARGEST = 1e15
"""No metric is larger in its unit. Products and sums of such numbers stay finite."""

Sized = Annotated[float, Interval(ge=-_LARGEST, le=_LARGEST)]
"""A number of a record that is read; one that is computed is not checked."""
Count = Annotated[int, Interval(ge=0, le=_LARGEST)]
Seconds = Annotated[float, Interval(ge=0, le=1e9)]
"""Up to 30 years."""


@dataclass(frozen=True)
class Estimate:
    """A metric's value and, where known, its 95 % confidence interval, in the metric's unit."""

    value: Sized
    low: Sized | None = None
    high: Sized | None = None

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """A value without any uncertainty."""
        return cls(value, value, value)

    @property
    def relative_error(self) -> float | None:
        """The standard error as a share of the value; None without an interval or a value > 0."""
        if self.low is None or self.high is None or self.value <= 0:
            return None
        return (self.high - self.low) / (2 * Z * self.value)


@dataclass(frozen=True)
class Missing:
    """Why a metric cannot be measured somewhere, and what to do about it."""

    why: str
    mend: str


@dataclass(frozen=True)
class Finding:
    """One reason to doubt a measurement, and the remedy."""

    verdict: Verdict
    what: str
    remedy: str


@dataclass(frozen=True)
class CpuLine:
    """CPU usage of a burst as a straight line over its throughput, from batch to batch.

    `cores` were used at `throughput_rps` on average, and each request/s more takes `slope` cores
    more. Errors are standard errors: half of a 95 % interval divided by `Z`.
    """

    cores: Sized
    cores_error: Sized
    throughput_rps: Sized
    slope: Sized
    slope_error: Sized


@dataclass(frozen=True)
class LossParts:
    """A burst with packet loss, taken apart (`tuner.measure.packet_loss`).

    Of the successful `requests` of the window a lost packet delayed `delayed`. These took
    `delay_ms` longer than the others on average, with a standard deviation of `delay_sd_ms`; both
    are 0 where none was delayed. `undelayed_ms` is the mean response time of the others. Of
    `unclear` requests it is not clear which they are: they took half a retransmission timeout
    longer than the median, and not a whole one.
    """

    requests: Count
    delayed: Count
    unclear: Count
    undelayed_ms: Estimate
    delay_ms: Sized
    delay_sd_ms: Sized
    cpu: CpuLine | None = None


@dataclass(frozen=True)
class Measurement:
    """Metrics by name (`tuner.spec.metrics`); a metric that could not be measured is absent."""

    metrics: Mapping[str, Estimate]
    findings: tuple[Finding, ...]
    requests: Count
    """Requests completed in the window."""
    warmup_requests: Count
    window_seconds: Seconds
    stop_reason: str
    errors: Mapping[str, Count]
    """Requests in the window that did not succeed, counted by outcome."""
    saved_seconds: float = 0.0
    """How much earlier than its limit the window ended; of a pruned burst, than expected."""
    replicas: tuple[Mapping[str, float], ...] = ()
    """The metrics of each replica, as far as it has them."""
    client: Mapping[str, Any] = field(default_factory=dict)
    """Where the load engine ran: CPUs, priority, network namespace."""
    source: str = ""
    """The source of the containers' counters."""
    loss: LossParts | None = None
    """Of a burst with packet loss; None for any other, and in records of format 4 and below."""

    @property
    def verdict(self) -> Verdict:
        verdicts = {finding.verdict for finding in self.findings}
        return "INVALID" if "INVALID" in verdicts else "WARN" if "WARN" in verdicts else "VALID"

    def having(self, metric: str, value: float) -> Measurement:
        """The same with one metric more, without an interval."""
        return replace(self, metrics={**self.metrics, metric: Estimate(value)})

    def lacking(self, metric: str) -> Measurement:
        """The same without this metric."""
        return replace(self, metrics={n: e for n, e in self.metrics.items() if n != metric})

    def with_reserved(
        self, configuration: Mapping[str, Value], prices: Prices | None
    ) -> Measurement:
        """The same with what its configuration reserves among the metrics."""
        exact = {n: Estimate.exact(v) for n, v in reserved(configuration, prices).items()}
        return replace(self, metrics={**self.metrics, **exact})
