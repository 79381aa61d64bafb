"""What the containers' counters of a trial say about how its server spent its time."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from tuner.arrays import Floats
from tuner.measure.record import TrialRecord
from tuner.spec.metrics import METRICS

IDLE_SHARE = 0.1
"""A replica is idle where it served less than this part of what its share would be."""

_MEASURED = (
    "throttled_percent",
    "memory_pressure_percent",
    "major_faults_per_s",
    "memory_limit_hits_per_s",
    "retransmitted_percent",
    "cpu_ms_per_request",
    "throughput_rps",
)

_DERIVED: Mapping[str, tuple[str, str]] = {
    "host_busy_percent": ("host busy", "%"),
    "limits_used_percent": ("CPU limits used", "%"),
    "limit_cores": ("CPU limits in all", "cores"),
    "waiting": ("ART over CPU time per request", "times"),
    "idle_replicas": ("idle replicas", ""),
}

COUNTERS = (*_MEASURED, *_DERIVED)
"""Names of what is looked at: metrics, and what follows from several of them.

`host_busy_percent` has the replicas, the load engine and all others; `limits_used_percent` is the
replicas' CPU time over what their limits allow, `limit_cores`. `waiting` is the response time over
the CPU time of a request: 1 where nothing but computing takes time, and by Little's law the
requests in flight for each core at work. `idle_replicas` served hardly any request.
"""


def counter_label(counter: str) -> tuple[str, str]:
    """What people call it, and its unit."""
    if counter in _DERIVED:
        return _DERIVED[counter]
    return METRICS[counter].label, METRICS[counter].unit


def counter_table(trials: Sequence[TrialRecord]) -> dict[str, Floats]:
    """Each of `COUNTERS`, shape (n,); NaN where a trial does not have it."""
    rows = [counters(t) for t in trials]
    return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in COUNTERS}


def counters(trial: TrialRecord) -> dict[str, float]:
    """Each of `COUNTERS` of one trial; NaN where it does not have it."""
    measured = trial.measurement

    def value(name: str) -> float:
        estimate = trial.metric(name)
        return math.nan if estimate is None else estimate.value

    cores, percent = value("cpu_cores"), value("cpu_percent")
    host = 100 * cores / percent if percent > 0 else math.nan
    limit = _limit(trial)
    each = value("cpu_ms_per_request")
    served = [r.get("throughput_rps", math.nan) for r in (measured.replicas if measured else ())]
    fair = sum(served) / len(served) if served else math.nan
    others = [value(n) for n in ("foreign_percent", "steal_percent")]
    # The metric is that of the busiest sender.
    senders = measured.client.get("sender", ()) if measured else ()
    of_client = [one["cpu_percent"] for one in senders] or [value("client_cpu_percent")]
    client = sum(of_client) / host
    return {
        **{name: value(name) for name in _MEASURED},
        "host_busy_percent": percent + sum(x for x in (client, *others) if not math.isnan(x)),
        "limits_used_percent": 100 * cores / limit,
        "limit_cores": limit,
        "waiting": value("art_ms") / each if each > 0 else math.nan,
        "idle_replicas": (
            float(sum(rate < IDLE_SHARE * fair for rate in served)) if fair > 0 else math.nan
        ),
    }


def medians(rivals: Sequence[Sequence[TrialRecord]]) -> dict[str, Floats]:
    """Each counter's median over the rivals of a configuration, shape (n,); NaN if none has it."""
    trials = {t.number: t for t in itertools.chain.from_iterable(rivals)}
    rows = {number: i for i, number in enumerate(trials)}
    of = counter_table(list(trials.values()))
    whole = np.column_stack([of[name] for name in COUNTERS])
    table = np.full((len(rivals), len(COUNTERS)), np.nan)
    for i, own_rivals in enumerate(rivals):
        if own_rivals:
            table[i] = median(whole[[rows[t.number] for t in own_rivals]])
    return dict(zip(COUNTERS, table.T, strict=True))


def median(rows: Floats) -> Floats:
    """The median of each column without its NaN; NaN where a column has nothing else."""
    with warnings.catch_warnings():
        # A column of NaN has the median NaN, as it should.
        warnings.simplefilter("ignore", RuntimeWarning)
        values: Floats = np.nanmedian(rows, axis=0)
    return values


def _limit(trial: TrialRecord) -> float:
    """Cores that all replicas may use together; NaN where one of them has no limit."""
    limits = trial.deployment.get("limits") or ()
    each = [limit.get("cpu") for limit in limits]
    if each and all(each):
        return float(sum(each))
    configuration = trial.configuration
    if not each and "cpu" in configuration:
        return float(configuration["cpu"]) * float(configuration.get("replicas", 1))
    return math.nan
