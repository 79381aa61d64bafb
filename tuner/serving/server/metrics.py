"""What a server counts, and the page that Prometheus reads.

Names (but for the prefix of another runtime), labels and buckets are those of TensorFlow Serving's
`servables/tensorflow/util.cc` and `util/prometheus_exporter.cc`; durations are in microseconds.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from .status import Code, StatusError

Labels = tuple[tuple[str, str], ...]


def exponential(scale: float, growth: float, count: int) -> tuple[float, ...]:
    """`count` upper limits of buckets, each `growth` times the one before."""
    return tuple(scale * growth**power for power in range(count))


_LIMITS = {
    "request_latency": exponential(10, 1.8, 33),
    "runtime_latency": exponential(10, 1.8, 33),
    "request_example_counts": exponential(1, 2, 15),
    "batching_session:queuing_latency": exponential(100, 1.2, 52),
    "batching_session:processed_batch_size": exponential(1, 2, 15),
}


@dataclass
class _Histogram:
    """Counts per bucket, the last one of what is above every limit."""

    limits: tuple[float, ...]
    sum: float = 0.0
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.limits) + 1)

    def add(self, value: float) -> None:
        self.sum += value
        self.counts[bisect_left(self.limits, value)] += 1


class Metrics:
    """Counters and histograms whose names begin with `prefix`, of the runtime `runtime`.

    Every method may be called from any thread.
    """

    def __init__(self, prefix: str = ":tensorflow:serving:", runtime: str = "TF1") -> None:
        self._prefix = prefix
        self._runtime = runtime
        self._lock = Lock()
        self._requests: dict[Labels, int] = {}
        self._histograms: dict[str, dict[Labels, _Histogram]] = {name: {} for name in _LIMITS}

    @contextmanager
    def counted(self, model: str, api: str, entrypoint: str, *, known: bool) -> Iterator[None]:
        """Count the request that the block answers, and how long it took.

        Not where the model is not `known`: what clients make up would grow the page without end.
        """
        began = time.perf_counter()
        code = Code.INTERNAL
        try:
            yield
            code = Code.OK
        except StatusError as error:
            code = error.code
            raise
        finally:
            if known:
                self.request(model, code)
                if code is Code.OK:
                    self.request_latency(model, api, entrypoint, time.perf_counter() - began)

    def request(self, model: str, code: Code) -> None:
        """One answered request. `model` must be a served one, so that a client adds no labels."""
        labels = (("model_name", model), ("status", code.name))
        with self._lock:
            self._requests[labels] = self._requests.get(labels, 0) + 1

    def request_latency(self, model: str, api: str, entrypoint: str, seconds: float) -> None:
        labels = (("model_name", model), ("API", api), ("entrypoint", entrypoint))
        self._observe("request_latency", labels, seconds * 1e6)

    def runtime_latency(self, model: str, api: str, seconds: float) -> None:
        labels = (("model_name", model), ("API", api), ("runtime", self._runtime))
        self._observe("runtime_latency", labels, seconds * 1e6)

    def examples(self, model: str, count: int) -> None:
        self._observe("request_example_counts", (("model", model),), count)

    def batch(self, pool: str, size: int, queued_seconds: list[float]) -> None:
        """One batch of `size` rows, and how long each of its requests had waited."""
        labels = (("thread_pool_name", pool),)
        self._observe("batching_session:processed_batch_size", labels, size)
        for seconds in queued_seconds:
            name = "batching_session:queuing_latency"
            self._observe(name, labels, seconds * 1e6)

    def _observe(self, name: str, labels: Labels, value: float) -> None:
        with self._lock:
            histograms = self._histograms[name]
            if labels not in histograms:
                histograms[labels] = _Histogram(_LIMITS[name])
            histograms[labels].add(value)

    def page(self) -> str:
        """Everything in Prometheus's text format."""
        count_name = f"{self._prefix}request_count"
        lines = [f"# TYPE {count_name} counter"]
        with self._lock:
            for labels, count in sorted(self._requests.items()):
                lines.append(f"{count_name}{{{_shown(labels)}}} {count}")
            for short_name, histograms in self._histograms.items():
                name = self._prefix + short_name
                lines.append(f"# TYPE {name} histogram")
                for labels, histogram in sorted(histograms.items(), key=lambda item: item[0]):
                    lines += _lines(name, labels, histogram)
        return "\n".join(lines) + "\n"


def _lines(name: str, labels: Labels, histogram: _Histogram) -> list[str]:
    total = 0
    lines = []
    limits = [f"{limit:g}" for limit in histogram.limits] + ["+Inf"]
    for limit, count in zip(limits, histogram.counts, strict=True):
        total += count
        lines.append(f"{name}_bucket{{{_shown((*labels, ('le', limit)))}}} {total}")
    lines.append(f"{name}_sum{{{_shown(labels)}}} {histogram.sum:g}")
    lines.append(f"{name}_count{{{_shown(labels)}}} {total}")
    return lines


def _shown(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
