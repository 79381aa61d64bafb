"""What each replica of a deployment had of a burst."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.load.parquet import Recording
from tuner.measure.measurement import Measurement
from tuner.measure.samples import RequestOutcome
from tuner.results.burst_latency import in_window


@dataclass(frozen=True)
class Part:
    """What one replica had of a window: its requests, those of them that did not succeed, its
    metrics by name, and its shares (0 to 1) of all requests and of all replicas' CPU time.

    Without samples, requests are not counted, and shared as the successful ones were. A share of
    nothing is None.
    """

    replica: int
    metrics: Mapping[str, float]
    request_share: float | None
    cpu_share: float | None
    requests: int | None = None
    errors: int | None = None


def parts(measurement: Measurement, recording: Recording | None) -> tuple[Part, ...]:
    """By replica."""
    of = measurement.replicas
    cpu = _shares([metrics.get("cpu_cores", math.nan) for metrics in of])
    if recording is None:
        shares = _shares([metrics.get("throughput_rps", math.nan) for metrics in of])
        return tuple(Part(i, m, shares[i], cpu[i]) for i, m in enumerate(of))
    window = in_window(recording)
    mine = [window.replica == i for i in range(len(of))]
    counts = [int(np.count_nonzero(m)) for m in mine]
    errors = [int(np.count_nonzero(m & (window.outcome != RequestOutcome.OK))) for m in mine]
    shares = _shares(counts)
    return tuple(Part(i, m, shares[i], cpu[i], counts[i], errors[i]) for i, m in enumerate(of))


def _shares(amounts: Sequence[float]) -> list[float | None]:
    whole = sum(amounts)
    return [amount / whole if whole > 0 else None for amount in amounts]
