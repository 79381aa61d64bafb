"""When connections send: as soon as they have their answer, or by a schedule."""

from __future__ import annotations

import asyncio
import itertools
import random
from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import perf_counter_ns

from tuner.load import arrivals
from tuner.load.alarm import NEVER, Alarm
from tuner.load.arrivals import Ramp
from tuner.load.connection import Connection, Loop
from tuner.load.division import part_of
from tuner.load.recorder import Recorder
from tuner.load.wire import NOT_SENT, Setup
from tuner.spec.metrics import LATE_NS


class ClosedLoop(Loop):
    """Each active connection sends its next request when it has its answer.

    The level is the number of active connections. Those with the lowest numbers are active.
    """

    def __init__(
        self,
        inputs: Iterator[int],
        timeout: float,
        recorder: Recorder,
        most_rps: float | None = None,
    ) -> None:
        super().__init__(inputs, timeout, recorder)
        self._gap_ns = round(1e9 / most_rps) if most_rps else 0
        """The least time between two requests."""
        self._allowed = 0
        """When the next one may be sent."""
        self._alarm = Alarm(self._change)
        self._active = 0
        self._changes: Iterator[tuple[int, int]] = iter(())
        self._next = NEVER, 0

    def follow(self, stages: Sequence[Ramp], at: int) -> None:
        before = itertools.takewhile(
            lambda change: change[0] < at, itertools.chain((self._next,), self._changes)
        )
        changes = ((at + round(1e9 * s), level) for s, level in arrivals.active_levels(stages))
        self._changes = itertools.chain(before, changes)
        self._next = next(self._changes)
        self._change()

    def ready(self, connection: Connection, since: int = 0) -> None:
        if connection.number < self._active:
            self._send(connection, since)

    def _send(self, connection: Connection, since: int = 0) -> None:
        """Send now, or when the next request may be sent. Response times count from then."""
        if not self._gap_ns:
            connection.send(since)
            return
        now = perf_counter_ns()
        at, self._allowed = self._allowed, max(now, self._allowed) + self._gap_ns
        if at <= now:
            connection.send(since)
        else:
            asyncio.get_running_loop().call_later((at - now) / 1e9, self._send_held, connection)

    def _send_held(self, connection: Connection) -> None:
        idle = connection.transport is not None and not connection.start
        if self.sending and idle and connection.number < self._active:
            connection.send()

    def lost(self, connection: Connection) -> None:
        pass  # the active connections stay the same

    def refused(self, connection: Connection, since: int, outcome: int) -> bool:
        if connection.number >= self._active:
            return False
        connection.note_unsent(since, outcome)
        return True

    def end(self) -> None:
        super().end()
        self._alarm.close()

    def _change(self) -> None:
        while self._next[0] <= perf_counter_ns():
            before, self._active = self._active, self._next[1]
            first, last = (
                bisect_left(self.connections, level, key=lambda c: c.number)
                for level in (before, self._active)
            )
            for connection in self.connections[first:last]:
                if connection.transport is not None and not connection.start:
                    self._send(connection)
            self._next = next(self._changes, (NEVER, 0))
        self._alarm.set(self._next[0])


Plan = Callable[[int], tuple[Iterator[float], Iterator[int]]]
"""The gaps before the requests of the n-th schedule (from 0), of a process of rate 1, and the
inputs that they are for. All senders have the same ones."""


class OpenLoop(Loop):
    """Requests are due by a schedule, whatever the server does; the level is their rate.

    A request takes the connection that has been free for longest, so the replicas get equal shares.
    If none is free it waits, first come, first served. `part` is the number of this sender, and how
    many there are.
    """

    def __init__(
        self, plan: Plan, timeout: float, recorder: Recorder, part: tuple[int, int] = (0, 1)
    ) -> None:
        self._numbers: deque[int] = deque()
        """The inputs of the requests that are due, until they are sent, in that order."""
        super().__init__(iter(self._numbers.popleft, None), timeout, recorder)
        self._plan = plan
        self._part = part
        self._followed = 0
        self._alarm = Alarm(self._arrive)
        self._schedule: Iterator[tuple[int, int]] = iter(())
        """When requests are due, and for which inputs."""
        self._next = NEVER, -1
        self._free: OrderedDict[Connection, None] = OrderedDict()
        self._waiting: deque[int] = deque()  # only while no connection is free
        self._due = 0
        self._late = 0

    def follow(self, stages: Sequence[Ramp], at: int) -> None:
        before = itertools.takewhile(
            lambda arrival: arrival[0] < at, itertools.chain((self._next,), self._schedule)
        )
        # Of a plan of its own, as senders know differently much of the schedule before.
        gaps, inputs = self._plan(self._followed)
        self._followed += 1
        whole = zip(arrivals.due_times(gaps, stages), inputs, strict=False)
        mine = ((at + round(1e9 * s), number) for s, number in part_of(whole, *self._part))
        self._schedule = itertools.chain(before, mine)
        self._next = next(self._schedule, (NEVER, -1))
        self._alarm.set(self._next[0])

    def ready(self, connection: Connection, since: int = 0) -> None:  # noqa: ARG002 -- each request has a due time of its own
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._free[connection] = None

    def lost(self, connection: Connection) -> None:
        self._free.pop(connection, None)

    def refused(self, connection: Connection, since: int, outcome: int) -> bool:  # noqa: ARG002
        """Fail the request that has waited for longest, since it can get no connection."""
        if not self._waiting:
            return False
        connection.note_unsent(self._waiting.popleft(), outcome)
        self._late += 1
        return True

    def end(self) -> None:
        self._arrive()  # what is due by now
        super().end()
        self._alarm.close()
        now = perf_counter_ns()
        for start in self._waiting:
            self.recorder.add(start, now - start, now - start, 0, NOT_SENT, -1, -1)
        self._late += len(self._waiting)
        self._waiting.clear()

    def punctuality(self) -> tuple[int, int]:
        return self._due, self._late + len(self._waiting)

    def _arrive(self) -> None:
        now = perf_counter_ns()
        while self._next[0] <= now:
            due, number = self._next
            self._due += 1
            self._numbers.append(number)
            if self._free:
                self._send(self._free.popitem(last=False)[0], due)
            else:
                self._waiting.append(due)
            self._next = next(self._schedule, (NEVER, -1))
        self._alarm.set(self._next[0])

    def _send(self, connection: Connection, due: int) -> None:
        connection.send(due)
        self._late += connection.delay > LATE_NS


def loop_of(setup: Setup, recorder: Recorder) -> Loop:
    """The loop for `setup.arrivals`, of this sender's part."""
    part = setup.sender, setup.senders
    if setup.arrivals == "trace":
        return OpenLoop(partial(_traced, setup), setup.timeout_seconds, recorder, part)
    inputs = _drawn_inputs(setup)
    if setup.arrivals == "closed":
        most = setup.most_rps and setup.most_rps / setup.senders
        return ClosedLoop(part_of(inputs, *part), setup.timeout_seconds, recorder, most)
    gaps = arrivals.GAPS[setup.arrivals]
    return OpenLoop(lambda n: (gaps(setup.seed + n), inputs), setup.timeout_seconds, recorder, part)


def _drawn_inputs(setup: Setup) -> Iterator[int]:
    """The numbers of inputs, drawn uniformly with the seed; repeated after 65536."""
    draws = random.Random(setup.seed)  # noqa: S311 -- no secret
    return itertools.cycle(draws.choices(range(len(setup.calls)), k=1 << 16))


def _traced(setup: Setup, n: int) -> tuple[Iterator[float], Iterator[int]]:
    """Gaps and inputs of a trace: each in its order, from the start that is drawn for both."""
    seed, count = setup.seed + n, len(setup.calls)
    first = arrivals.first_of_trace(len(setup.gaps), seed)
    inputs = itertools.cycle((*range(first, count), *range(first)))
    return arrivals.trace_gaps(setup.gaps, seed), inputs
