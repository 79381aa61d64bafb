"""When each trial ran and what it did meanwhile, on the study's own clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from statistics import median

import numpy as np
import numpy.typing as npt

from tuner.arrays import Counts, Floats
from tuner.measure.record import StudyRecord, TrialRecord

PHASES = ("deploy", "impair", "warm-up", "measure", "tear down", "other")
"""`other` is to connect, and a first measurement that did not count."""

_PAUSE_SECONDS = 60.0
_PAUSE_TRIALS = 5
"""Nothing ran for a minute, and for as long as five usual trials take: the study was paused."""

_RESOLUTION = 1.0
"""Starts are recorded in whole seconds, rounded down."""


@dataclass(frozen=True, eq=False)
class Spans:
    """One phase of some trials: `row` says of which of the timeline's trials; all shape (k,)."""

    row: Counts
    start: Floats
    seconds: Floats


@dataclass(frozen=True)
class Pause:
    """At `at` seconds nothing ran for `seconds`, which the clock leaves out."""

    at: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Timeline:
    """n trials whose time is known, by their start; those that failed too.

    `start` and `seconds` have shape (n,); the clock is 0 when the first trial starts and stands
    still in `pauses`. A trial's spans, one after another, take all of its seconds. `failed` says
    which trials say nothing about their configuration; `untimed` counts those of which no time is
    known: they broke before they were measured, or shared another trial's end.
    """

    numbers: Counts
    start: Floats
    seconds: Floats
    failed: npt.NDArray[np.bool_]
    spans: Mapping[str, Spans]
    pauses: tuple[Pause, ...]
    untimed: int

    @cached_property
    def totals(self) -> Mapping[str, float]:
        """Seconds of all trials by phase, of `PHASES` those that took any."""
        totals = {phase: float(self.spans[phase].seconds.sum()) for phase in PHASES}
        return {phase: seconds for phase, seconds in totals.items() if seconds > 0}

    @cached_property
    def elapsed(self) -> float:
        """From the first trial's start to the last one's end, without pauses."""
        return float((self.start + self.seconds).max(initial=0.0))

    @cached_property
    def idle(self) -> float:
        """Seconds of those in which no trial ran: the next one was chosen, results were written."""
        before = np.maximum.accumulate(np.concatenate([[0.0], self.start + self.seconds]))[:-1]
        return float(np.maximum(self.start - before, 0.0).sum())

    @cached_property
    def end(self) -> Mapping[int, float]:
        """When each trial was over, by its number."""
        return dict(zip(self.numbers.tolist(), (self.start + self.seconds).tolist(), strict=True))


def timeline(study: StudyRecord) -> Timeline:
    """All trials of a study with a known duration, as they ran."""
    kept = [*study.trials, *(f.record for f in study.failed if f.record is not None)]
    timed = [t for t in kept if t.seconds > 0]
    began = [datetime.fromisoformat(t.started).timestamp() for t in timed]
    order = sorted(range(len(timed)), key=lambda i: (began[i], timed[i].number))
    trials = [timed[i] for i in order]
    seconds = np.array([t.seconds for t in trials], dtype=np.float64)
    start, pauses = _clock([began[i] for i in order], seconds.tolist())
    bad = {f.number for f in study.failed}
    return Timeline(
        np.array([t.number for t in trials], dtype=np.int64),
        start,
        seconds,
        np.array([t.number in bad for t in trials], dtype=np.bool_),
        _spans(trials, start),
        pauses,
        len(study.trials) + len(study.failed) - len(timed),
    )


def slices(clock: Timeline, count: int) -> tuple[Floats, Mapping[str, Floats]]:
    """The time cut into `count` equal slices: their edges, (count + 1,), and the seconds that all
    trials together spent in each of them, (count,), by phase.
    """
    edges = np.linspace(0.0, clock.elapsed, count + 1)
    return edges, {phase: np.diff(_until(spans, edges)) for phase, spans in clock.spans.items()}


def _until(spans: Spans, at: Floats) -> Floats:
    """The seconds of the spans before each of the times `at`, which ascend; same shape."""
    # It grows by 1 per second from the start of each span to its end, and is a line in between.
    times = np.concatenate([spans.start, spans.start + spans.seconds])
    slopes = np.repeat([1.0, -1.0], len(spans.start))
    order = np.argsort(times, kind="stable")
    times, slope = times[order], np.cumsum(slopes[order])
    if not len(times):
        return np.zeros(len(at))
    grown = np.concatenate([[0.0], np.cumsum(slope[:-1] * np.diff(times))])
    spent: Floats = np.interp(at, times, grown)
    return spent


def _clock(began: Sequence[float], seconds: Sequence[float]) -> tuple[Floats, tuple[Pause, ...]]:
    """Starts, (n,), on a clock without pauses; `began` ascends and is what was recorded."""
    usual = median(seconds) if seconds else 0.0
    longest = max(_PAUSE_SECONDS, _PAUSE_TRIALS * usual)
    start, pauses = np.empty(len(began)), []
    busy, left_out = 0.0, began[0] if began else 0.0
    for i, (recorded, lasted) in enumerate(zip(began, seconds, strict=True)):
        at = recorded - left_out
        if at - busy > longest:
            pauses.append(Pause(busy, at - busy))
            left_out += at - busy
            at = busy
        elif at < busy < at + _RESOLUTION:
            # It began when the one before was over, within the second that was recorded.
            at = busy
        start[i] = at
        busy = max(busy, at + lasted)
    return start, tuple(pauses)


def _spans(trials: Sequence[TrialRecord], start: Floats) -> dict[str, Spans]:
    by_phase: dict[str, list[tuple[int, float, float]]] = {phase: [] for phase in PHASES}
    for row, trial in enumerate(trials):
        at = float(start[row])
        for phase, seconds in _parts(trial):
            if seconds > 0:
                by_phase[phase].append((row, at, seconds))
            at += seconds
    return {
        phase: Spans(
            np.array([row for row, _, _ in spans], dtype=np.int64),
            np.array([at for _, at, _ in spans], dtype=np.float64),
            np.array([seconds for _, _, seconds in spans], dtype=np.float64),
        )
        for phase, spans in by_phase.items()
    }


def _parts(trial: TrialRecord) -> Iterator[tuple[str, float]]:
    """What a trial did, in order: a burst is its warm-up and its window."""
    for name, seconds in trial.phases.items():
        if name == "burst" and trial.measurement is not None:
            # A simulated window lasts longer than it takes to compute.
            window = min(seconds, trial.measurement.window_seconds)
            yield "warm-up", seconds - window
            yield "measure", window
        elif name == "burst":
            yield "measure", seconds
        else:
            yield (name if name in PHASES else "other"), seconds
