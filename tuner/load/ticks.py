"""The engine's reports, one a tick, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tuner.load import wire
from tuner.load.target import CpuTimes
from tuner.measure.packet_loss import RETRANSMISSION_NS, count_unclear, is_delayed
from tuner.measure.samples import RequestOutcome, RequestSamples
from tuner.measure.statistics import Batches
from tuner.measure.stopping import LossSoFar

MEDIAN_SAMPLES = 16384
"""The median of a window so far is computed from about this many of its requests."""


@dataclass(frozen=True, eq=False)
class Tick:
    """The requests that completed since the last tick, up to `now_ns`, of one sender or of all.

    `senders` holds (time, CPU time since its start) of each sender. `kept` holds (position among
    `samples`, response body) of some requests. `due` and `late` count the requests of an open loop
    since its start: those that were due, and those of them that were sent late or still wait.
    `began` says that new stages began at this tick.
    """

    now_ns: int
    senders: CpuTimes
    samples: RequestSamples
    kept: tuple[tuple[int, bytes], ...] = ()
    due: int = 0
    late: int = 0
    began: bool = False

    # Every later tick needs these again, so they are computed once.

    @cached_property
    def successful_ns(self) -> npt.NDArray[np.int64]:
        """Response times of the successful requests."""
        samples = self.samples
        durations: npt.NDArray[np.int64] = samples.duration_ns[samples.outcome == RequestOutcome.OK]
        return durations

    @cached_property
    def long_ns(self) -> npt.NDArray[np.int64]:
        """The response times that a lost packet may have made longer, and those near them."""
        return self.successful_ns[self.successful_ns >= RETRANSMISSION_NS / 2]

    @cached_property
    def total_ms(self) -> float:
        """The sum of the response times of the successful requests."""
        return float(self.successful_ns.sum() / 1e6)

    @cached_property
    def per_replica(self) -> npt.NDArray[np.int64]:
        """The number of requests of each replica, up to the last one seen, however they ended."""
        replica = self.samples.replica
        return np.bincount(replica[replica >= 0]).astype(np.int64)

    @property
    def cpu_ns(self) -> int:
        """The CPU time of all senders since they started."""
        return sum(cpu_ns for _, cpu_ns in self.senders)

    @property
    def successful(self) -> int:
        return len(self.successful_ns)

    @property
    def errors(self) -> int:
        return len(self.samples) - self.successful


def decode_tick(header: dict[str, Any], payload: bytes, replicas: int, ahead_ns: int = 0) -> Tick:
    """The tick in a frame. Connection i belongs to replica i modulo `replicas`.

    The clock of this machine is so far ahead of that in the frame.
    """
    n = header["n"]
    columns = {name: np.dtype(code) for name, code in wire.COLUMNS.items()}
    positions = [position for position, _ in header["kept"]]
    sizes = [n * dtype.itemsize for dtype in columns.values()]
    sizes += [length for _, length in header["kept"]]
    pieces = wire.cut(payload, sizes)
    arrays = {
        name: np.frombuffer(piece, dtype)
        for (name, dtype), piece in zip(columns.items(), pieces, strict=False)
    }
    if ahead_ns:
        arrays["start_ns"] = arrays["start_ns"] + ahead_ns
    now = header["now"] + ahead_ns
    connection = arrays["connection"]
    replica = np.where(connection < 0, -1, connection % replicas).astype(np.int16)
    return Tick(
        now_ns=now,
        senders=((now, header["cpu"]),),
        samples=RequestSamples(**arrays, replica=replica),
        kept=tuple(zip(positions, pieces[len(columns) :], strict=True)),
        due=header["due"],
        late=header["late"],
        began=header["began"],
    )


def merged_ticks(
    latest: Sequence[Tick], earlier: Sequence[Tick], until_ns: int
) -> tuple[Tick, Tick]:
    """The latest tick of every sender as one, with what `earlier` ones hold; and what is left.

    The merged tick has what completed before `until_ns`, in order of completion. What completed
    later is left, for the next merge. So each request is once in merged ticks, in the one in which
    it completed.
    """
    parts = [*earlier, *latest]
    samples = joined_samples(parts)
    end = samples.start_ns + samples.duration_ns
    order = np.argsort(end, kind="stable")
    cut = int(np.searchsorted(end[order], until_ns))
    place = np.argsort(order)
    kept = sorted((int(place[position]), body) for position, body in kept_answers(parts))
    merged = Tick(
        now_ns=until_ns,
        senders=tuple(reading for tick in latest for reading in tick.senders),
        samples=samples.select(order[:cut]),
        kept=tuple((at, body) for at, body in kept if at < cut),
        due=sum(tick.due for tick in latest),
        late=sum(tick.late for tick in latest),
    )
    rest = Tick(
        now_ns=until_ns,
        senders=(),
        samples=samples.select(order[cut:]),
        kept=tuple((at - cut, body) for at, body in kept if at >= cut),
    )
    return merged, rest


def batches_of(ticks: Sequence[Tick]) -> Batches:
    """One batch of successful requests per tick."""
    return Batches(
        np.array([t.successful for t in ticks], np.float64),
        np.array([t.total_ms for t in ticks], np.float64),
    )


def fewest_completed(ticks: Sequence[Tick], replicas: int) -> int:
    """The fewest requests that any of `replicas` has completed, however they ended."""
    counts = np.zeros(replicas, np.int64)
    for tick in ticks:
        counts[: len(tick.per_replica)] += tick.per_replica
    return int(counts.min())


def loss_of_ticks(ticks: Sequence[Tick]) -> LossSoFar:
    """What lost packets did in these ticks: an even number of them, two for each batch."""
    batches = batches_of(ticks)
    if not batches.count.sum():
        return LossSoFar(0, 0, batches.paired())
    step = 1 + sum(t.successful for t in ticks) // MEDIAN_SAMPLES
    median = float(np.median(np.concatenate([t.successful_ns[::step] for t in ticks])))
    delayed = [t.long_ns[is_delayed(t.long_ns, median)] for t in ticks]
    unclear = sum(count_unclear(t.long_ns, median) for t in ticks)
    undelayed = Batches(
        batches.count - [len(d) for d in delayed],
        batches.total_ms - [float(d.sum() / 1e6) for d in delayed],
    )
    return LossSoFar(sum(map(len, delayed)), unclear, undelayed.paired())


def joined_samples(ticks: Sequence[Tick]) -> RequestSamples:
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
