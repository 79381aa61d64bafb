"""What the engine reports once a tick, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tuner.load import wire
from tuner.measure.samples import Outcome, RequestSamples
from tuner.measure.statistics import Batches


@dataclass(frozen=True, eq=False)
class Tick:
    """Requests that completed since the tick before, up to `now_ns`.

    `cpu_ns` is the CPU time of the engine since it started; `kept` holds (position among
    `samples`, response body) of some of them.
    """

    now_ns: int
    cpu_ns: int
    samples: RequestSamples
    kept: tuple[tuple[int, bytes], ...]

    # Asked for again at every later tick, so worked out once.

    @cached_property
    def successful(self) -> int:
        return int(np.count_nonzero(self.samples.outcome == Outcome.OK))

    @cached_property
    def total_ms(self) -> float:
        """Response times of the successful requests, added up."""
        return float(self.samples.duration_ns[self.samples.outcome == Outcome.OK].sum() / 1e6)

    @cached_property
    def per_replica(self) -> npt.NDArray[np.int64]:
        """Requests by replica up to the last one seen, however they ended."""
        return np.bincount(self.samples.replica).astype(np.int64)

    @property
    def errors(self) -> int:
        return len(self.samples) - self.successful


def decode(header: dict[str, Any], payload: bytes, replicas: int) -> Tick:
    """The tick in a frame; connection i belongs to replica i modulo `replicas`."""
    n = header["n"]
    columns = {name: np.dtype(code) for name, code in wire.COLUMNS.items()}
    positions = [position for position, _ in header["kept"]]
    sizes = [n * dtype.itemsize for dtype in columns.values()]
    sizes += [length for _, length in header["kept"]]
    pieces = wire.split(payload, sizes)
    arrays = {
        name: np.frombuffer(piece, dtype)
        for (name, dtype), piece in zip(columns.items(), pieces, strict=False)
    }
    replica = (arrays["connection"] % replicas).astype(np.int16)
    return Tick(
        header["now"],
        header["cpu"],
        RequestSamples(**arrays, replica=replica),
        tuple(zip(positions, pieces[len(columns) :], strict=True)),
    )


def batches_of(ticks: Sequence[Tick]) -> Batches:
    """One batch of successful requests per tick."""
    return Batches(
        np.array([t.successful for t in ticks], np.float64),
        np.array([t.total_ms for t in ticks], np.float64),
    )


def fewest_completed(ticks: Sequence[Tick], replicas: int) -> int:
    """Requests that the one of `replicas` with the fewest has completed, however they ended."""
    counts = np.zeros(replicas, np.int64)
    for tick in ticks:
        counts[: len(tick.per_replica)] += tick.per_replica
    return int(counts.min())


def joined(ticks: Sequence[Tick]) -> RequestSamples:
    """The samples of all ticks, in arrays of their own."""
    return RequestSamples(
        *(
            np.concatenate([getattr(t.samples, name) for t in ticks])
            for name in RequestSamples.__dataclass_fields__
        )
    )


def kept_answers(ticks: Sequence[Tick]) -> Iterator[tuple[int, bytes]]:
    """(Position among the joined samples, response body) of every answer that was kept."""
    offset = 0
    for tick in ticks:
        for position, body in tick.kept:
            yield offset + position, body
        offset += len(tick.samples)
