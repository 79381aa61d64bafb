"""The load generator: what a trial uses to send its burst.

An engine in a process of its own sends, and streams completed requests once a tick; when warm-up
and window end is decided here. Both end at a tick, and the containers' counters are read at once
while the load goes on: at neither end of the window is there a drain.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from tuner.errors import SetupError
from tuner.load import wire
from tuner.load.process import Engine, engine
from tuner.load.progress import Progress, progress
from tuner.load.ticks import Tick, batches_of, decode, fewest_completed, joined, kept_answers
from tuner.measure import stopping
from tuner.measure.samples import Burst, ContainerCounters, Outcome, RequestSamples
from tuner.spec.study import LoadProfile

__all__ = ["Check", "Client", "LoadGenerator", "Progress", "Target"]

TICKS_PER_BATCH = 2
"""Warm-up is judged every tick, the window every batch."""

SPARE_FILES = 64
"""File descriptors of the engine besides its connections."""

Check = Callable[[int, bytes], bool]
"""Whether a response body is a right answer to the request of that number."""

Observe = Callable[[Progress], None]


class Target(Protocol):
    """What a burst is sent to; a deployment is one."""

    @property
    def addresses(self) -> Sequence[tuple[str, int]]: ...

    @property
    def model_name(self) -> str: ...

    def counters(self) -> tuple[ContainerCounters, ...]: ...


class LoadGenerator:
    """Sends bursts: a closed loop over keep-alive connections."""

    @contextmanager
    def connect(
        self,
        target: Target,
        profile: LoadProfile,
        requests: Sequence[bytes],
        *,
        path: str | None = None,
        check: Check | None = None,
    ) -> Iterator[Client]:
        """Open `profile.concurrency` connections to `target`, idle until the client runs.

        Connection i goes to replica i modulo their number: with fewer connections than replicas
        some replicas stay idle. `requests` are the bodies, posted to `path` (the model's
        `:predict`) in an order drawn with the profile's seed. `check` is given a sample of the
        answers after the burst; the wrong ones become `Outcome.WRONG_ANSWER`.

        The engine ends with the block, whatever happens; enter and leave it in one thread. Raises
        TrialFailed when a connection cannot be opened or the engine dies, SetupError when this
        process may not open so many.
        """
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        needed = profile.concurrency + SPARE_FILES
        if hard != resource.RLIM_INFINITY and needed > hard:
            raise SetupError(
                f"concurrency {profile.concurrency} needs {needed} open files, the limit is {hard}",
                f"Raise the hard limit (`ulimit -Hn {needed}` as root), or lower the concurrency.",
            )
        setup = wire.Setup(
            addresses=tuple(target.addresses),
            concurrency=profile.concurrency,
            files=needed,
            host=target.model_name,
            path=path or f"/v1/models/{target.model_name}:predict",
            seed=profile.seed,
            tick_seconds=profile.spec.batch_seconds / TICKS_PER_BATCH,
            timeout_seconds=profile.spec.timeout_seconds,
            bodies=tuple(requests),
        )
        with engine() as started:
            started.send(setup.encode())
            started.receive("connected", patience=profile.spec.timeout_seconds)
            yield Client(started, target, profile, check)


class Client:
    """Open connections; `run` sends one burst over them, once."""

    def __init__(
        self, started: Engine, target: Target, profile: LoadProfile, check: Check | None
    ) -> None:
        self._engine = started
        self._target = target
        self._profile = profile
        self._check = check
        self._replicas = len(target.addresses)

    def run(self, observe: Observe | None = None) -> Burst:
        """Warm up, then measure until the stop rule is met.

        `observe` is called about once a batch, in this thread. Raises TrialFailed when the engine
        dies or hangs; what `observe` and the target's `counters` raise passes through.
        """
        observe = observe or (lambda _: None)
        self._engine.send(wire.RUN)
        before = self._warm_up(observe)
        counters_start = self._target.counters()
        window, reason = self._window(before[-1], observe)
        counters_end = self._target.counters()
        self._engine.send(wire.STOP)
        start, end = before[-1], window[-1]
        return Burst(
            samples=self._samples([*before, *window, *self._rest()]),
            window_start_ns=start.now_ns,
            window_end_ns=end.now_ns,
            counters_start=counters_start,
            counters_end=counters_end,
            client_cpu_ns=end.cpu_ns - start.cpu_ns,
            concurrency=self._profile.concurrency,
            stop_reason=reason,
        )

    def _warm_up(self, observe: Observe) -> list[Tick]:
        spec = self._profile.spec
        began = time.perf_counter_ns()
        used = min(self._replicas, self._profile.concurrency)
        ticks: list[Tick] = []
        while True:
            ticks.append(self._tick())
            seconds = _seconds(began, ticks[-1].now_ns)
            fewest = fewest_completed(ticks, used)
            decision = stopping.warm_up(batches_of(ticks), fewest, seconds, spec)
            if decision.done:
                return ticks
            if len(ticks) % TICKS_PER_BATCH == 0:
                limit = spec.warmup_max_seconds
                observe(progress("warm-up", None, ticks, limit, decision.reason))

    def _window(self, start: Tick, observe: Observe) -> tuple[list[Tick], str]:
        spec = self._profile.spec
        ticks: list[Tick] = []
        while True:
            ticks += [self._tick() for _ in range(TICKS_PER_BATCH)]
            seconds = _seconds(start.now_ns, ticks[-1].now_ns)
            errors = sum(t.errors for t in ticks)
            decision = stopping.window(batches_of(ticks).paired(), errors, seconds, spec)
            if decision.done:
                return ticks, decision.reason
            observe(progress("window", start, ticks, spec.max_seconds, decision.reason))

    def _tick(self) -> Tick:
        return decode(*self._engine.receive("tick"), self._replicas)

    def _rest(self) -> list[Tick]:
        """What completed after the window."""
        ticks: list[Tick] = []
        while True:
            header, payload = self._engine.receive("tick", "ended")
            ticks.append(decode(header, payload, self._replicas))
            if header["event"] == "ended":
                return ticks

    def _samples(self, ticks: list[Tick]) -> RequestSamples:
        samples = joined(ticks)
        if self._check is not None:
            for position, body in kept_answers(ticks):
                if not self._check(int(samples.request[position]), body):
                    samples.outcome[position] = Outcome.WRONG_ANSWER
        return samples


def _seconds(start_ns: int, end_ns: int) -> float:
    """To the hundredth: a tick that is some microseconds early is not one short of a limit."""
    return round((end_ns - start_ns) / 1e9, 2)
