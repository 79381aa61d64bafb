"""Open connections, and a burst over them with one measured window or one for each stage."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tuner.load.arrivals import Ramp
from tuner.load.burst_progress import BurstProgress, progress_of
from tuner.load.readings import WindowEnd, cpu_readings, read_window_end
from tuner.load.senders import Senders
from tuner.load.stages import TickSpan, check_stages, stage_text, stage_windows
from tuner.load.target import CpuTimes, Target
from tuner.load.ticks import (
    Tick,
    batches_of,
    fewest_completed,
    joined_samples,
    kept_answers,
    loss_of_ticks,
)
from tuner.measure import stopping
from tuner.measure.pruning import Pruner, WindowSoFar, over_saturated
from tuner.measure.samples import Burst, RequestOutcome, RequestSamples
from tuner.spec.study import LoadProfile, Stage

TICKS_PER_BATCH = 2
"""Warm-up is judged every tick, the window every batch."""

CheckAnswer = Callable[[int, bytes], bool]
"""Whether a response body is the right answer to the request of that number."""

ObserveProgress = Callable[[BurstProgress], None]


def tick_seconds(profile: LoadProfile) -> float:
    return profile.spec.batch_seconds / TICKS_PER_BATCH


@dataclass(frozen=True, eq=False)
class Window:
    """The time from the tick `start` to the last of `ticks`, with the counters read meanwhile."""

    start: Tick
    ticks: Sequence[Tick]
    cpu: Sequence[CpuTimes]
    before: WindowEnd
    after: WindowEnd
    reason: str
    cut_short: str = ""
    saved_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        return _seconds(self.start.now_ns, self.ticks[-1].now_ns)


class LoadClient:
    """Open connections, idle. `run` or `explore` sends one burst over them."""

    def __init__(
        self,
        senders: Senders,
        target: Target,
        profile: LoadProfile,
        check: CheckAnswer | None,
    ) -> None:
        self._senders = senders
        self._target = target
        self._profile = profile
        self._check = check
        self._replicas = len(target.addresses)

    def run(self, observe: ObserveProgress | None = None, pruner: Pruner | None = None) -> Burst:
        """Warm up, then measure until the stop rule is met or `pruner` gives a reason to end.

        An open loop that is over-saturated gives one too.

        `observe` is called about once a batch, in this thread, `pruner` after each batch of the
        window. Raises TrialFailed when the engine dies or hangs, and what `observe`, `pruner` and
        the target's counters raise.
        """
        observe = observe or (lambda _: None)
        profile = self._profile
        warm = self._warm_up(_level(profile), observe)
        window = self._window(warm[-1], observe, pruner)
        samples = self._samples([*warm, *window.ticks, self._senders.stop()])
        return self._burst(samples, window, profile.concurrency, profile.rate_rps)

    def explore(
        self, stages: Sequence[Stage], observe: ObserveProgress | None = None
    ) -> tuple[Burst, ...]:
        """Warm up at the first level (unless it is 0), then go through the stages.

        Returns a burst for each stage. The level of a closed loop is the number of active
        connections, at most the profile's concurrency. The level of an open loop is the rate, which
        replaces the profile's. The window of a step leaves out its first part, that of a ramp is
        all of it (`tuner.load.stages`). The bursts have the same samples and differ in their
        windows. `concurrency` and `rate_rps` are the means over the stage. Raises InputError for
        stages that the connections cannot go through, and as `run`.
        """
        observe = observe or (lambda _: None)
        check_stages(stages, self._profile)
        where = stage_windows(stages, tick_seconds(self._profile), TICKS_PER_BATCH)
        ticks = self._warm_up(stages[0].start, observe)
        self._senders.follow([Ramp(s.seconds, s.start, s.end) for s in stages])
        while not ticks[-1].began:
            ticks.append(self._senders.tick())
        windows = self._stages(ticks, stages, where, observe)
        samples = self._samples([*ticks, self._senders.stop()])
        return tuple(
            self._burst(samples, window, *self._mean_level(stage))
            for window, stage in zip(windows, stages, strict=True)
        )

    def climb(
        self,
        next_rate: Callable[[Burst | None], float | None],
        observe: ObserveProgress | None = None,
    ) -> tuple[Burst, ...]:
        """One burst after another, each at the rate that `next_rate` asks for.

        `next_rate` is given the burst before, None at first, and ends the climb with None. Each
        burst has a warm-up and a window of its own, as in `run`. Between two of them nothing is
        sent until the backlog is answered, for `timeout_seconds` at most. Needs an open loop.
        Raises as `run`.
        """
        observe = observe or (lambda _: None)
        ticks: list[Tick] = []
        climbed: list[tuple[Window, float]] = []
        rate = next_rate(None)
        while rate is not None:
            if ticks:
                self._drain(ticks)
            ticks += self._warm_up(rate, observe)
            window = self._window(ticks[-1], observe, None)
            ticks += window.ticks
            climbed.append((window, rate))
            so_far = self._samples(ticks)
            rate = next_rate(self._burst(so_far, window, self._profile.concurrency, rate))
        if not climbed:
            return ()
        samples = self._samples([*ticks, self._senders.stop()])
        return tuple(
            self._burst(samples, window, self._profile.concurrency, rate)
            for window, rate in climbed
        )

    def _drain(self, ticks: list[Tick]) -> None:
        """Send nothing new until all that was due has ended. Extends `ticks`."""
        self._senders.follow([Ramp(math.inf, 0.0, 0.0)])
        began = time.perf_counter_ns()
        before = len(ticks)
        patience = self._profile.spec.timeout_seconds
        while _seconds(began, ticks[-1].now_ns) < patience:
            stopped = any(t.began for t in ticks[before:])
            if stopped and sum(len(t.samples) for t in ticks) >= ticks[-1].due:
                return
            ticks.append(self._senders.tick())

    def _warm_up(self, level: float, observe: ObserveProgress) -> list[Tick]:
        spec = self._profile.spec
        began = self._senders.follow([Ramp(math.inf, level, level)])
        is_closed = self._profile.rate_rps is None
        connections = math.floor(level + 0.5) if is_closed else self._profile.concurrency
        used = min(self._replicas, connections)
        ticks: list[Tick] = []
        while True:
            ticks.append(self._senders.tick())
            if not level or not used:  # nothing is sent
                return ticks
            seconds = _seconds(began, ticks[-1].now_ns)
            fewest = fewest_completed(ticks, used)
            batches = batches_of(ticks)
            decision = stopping.warm_up(batches, fewest, seconds, spec)
            if decision.done:
                return ticks
            if len(ticks) % TICKS_PER_BATCH == 0:
                left = spec.warmup_max_seconds - seconds
                observe(progress_of("warm-up", None, ticks, batches, left, decision.reason))

    def _window(self, start: Tick, observe: ObserveProgress, pruner: Pruner | None) -> Window:
        profile, spec = self._profile, self._profile.spec
        cpu = [self._target.cpu_times()]
        before = self._read(start)
        ticks: list[Tick] = []
        while True:
            ticks += [self._senders.tick() for _ in range(TICKS_PER_BATCH)]
            cpu.append(self._target.cpu_times())
            seconds = _seconds(start.now_ns, ticks[-1].now_ns)
            errors = sum(t.errors for t in ticks)
            batches = batches_of(ticks).paired()
            loss = loss_of_ticks(ticks) if profile.lossy else None
            known = stopping.to_be_known(batches, loss, profile)
            decision = stopping.window(known.batches, errors, seconds, spec, known.slow, known.mean)
            if decision.done:
                saved = max(0.0, spec.max_seconds - seconds)
                after = self._read(ticks[-1])
                return Window(start, ticks, cpu, before, after, decision.reason, "", saved)
            left = stopping.window_left(known.batches, seconds, spec, known.slow)
            seen = WindowSoFar(
                batches,
                cpu_readings(cpu),
                spec.batch_seconds,
                partial(joined_samples, tuple(ticks)),
                None if self._profile.rate_rps is None else ticks[-1].due - start.due,
                sum(len(t.samples) for t in ticks),
            )
            if why := over_saturated(seen) or (pruner(seen) if pruner else ""):
                reason = stopping.cut_short(why, seconds)
                return Window(start, ticks, cpu, before, self._read(ticks[-1]), reason, why, left)
            observe(progress_of("window", start, ticks, batches, left, decision.reason))

    def _stages(
        self,
        ticks: list[Tick],
        stages: Sequence[Stage],
        where: Sequence[TickSpan],
        observe: ObserveProgress,
    ) -> list[Window]:
        """The window of each stage. Extends `ticks`, at the last of which the stages began."""
        zero = len(ticks) - 1
        windows: list[Window] = []
        for number, (stage, (first, last)) in enumerate(zip(stages, where, strict=True), 1):
            stage_words = stage_text(stage, self._profile)
            while len(ticks) - 1 - zero < first:
                ticks.append(self._senders.tick())
            start = ticks[-1]
            cpu = [self._target.cpu_times()]
            # The end of a stage may be the start of the next one's window.
            again = bool(windows) and windows[-1].ticks[-1] is start
            before = windows[-1].after if again else self._read(start)
            for done in range(1, last - first + 1):
                ticks.append(self._senders.tick())
                if done % TICKS_PER_BATCH == 0:
                    cpu.append(self._target.cpu_times())
                    window = ticks[-done:]
                    batches = batches_of(window).paired()
                    left = (last - first - done) * tick_seconds(self._profile)
                    doing = f"stage {number} of {len(stages)}: {stage_words}"
                    observe(progress_of("window", start, window, batches, left, doing))
            after = self._read(ticks[-1])
            reason = f"{stopping.FIXED_STAGE}: {stage_words}"
            windows.append(Window(start, ticks[first - last :], cpu, before, after, reason))
        return windows

    def _read(self, tick: Tick) -> WindowEnd:
        return read_window_end(self._target, self._senders.engines, tick)

    def _samples(self, ticks: list[Tick]) -> RequestSamples:
        samples = joined_samples(ticks)
        if self._check is not None:
            for position, body in kept_answers(ticks):
                if not self._check(int(samples.request[position]), body):
                    samples.outcome[position] = RequestOutcome.WRONG_ANSWER
        return samples

    def _mean_level(self, stage: Stage) -> tuple[int, float | None]:
        """Concurrency and rate of a stage."""
        mean = (stage.start + stage.end) / 2
        if self._profile.rate_rps is None:
            return round(mean), None
        return self._profile.concurrency, mean

    def _burst(
        self,
        samples: RequestSamples,
        window: Window,
        concurrency: int,
        rate_rps: float | None,
    ) -> Burst:
        return Burst(
            samples=samples,
            window_start_ns=window.start.now_ns,
            window_end_ns=window.ticks[-1].now_ns,
            counters_start=window.before.containers,
            counters_end=window.after.containers,
            cpu=cpu_readings(window.cpu),
            client_start=window.before.client,
            client_end=window.after.client,
            host_start=window.before.host,
            host_end=window.after.host,
            concurrency=concurrency,
            stop_reason=window.reason,
            saved_seconds=window.saved_seconds,
            cut_short=window.cut_short,
            rate_rps=rate_rps,
            lossy=self._profile.lossy,
            client=self._senders.where,
        )


def _level(profile: LoadProfile) -> float:
    return profile.concurrency if profile.rate_rps is None else profile.rate_rps


def _seconds(start_ns: int, end_ns: int) -> float:
    """Rounded to the hundredth, so that a tick some microseconds early still reaches a limit."""
    return round((end_ns - start_ns) / 1e9, 2)
