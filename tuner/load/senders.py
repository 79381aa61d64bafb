"""The engines that send one burst, as if they were one: started together, their reports merged."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Self

from tuner.load import wire
from tuner.load.arrivals import Ramp
from tuner.load.engine_process import started_engine
from tuner.load.ticks import Tick, decode_tick, merged_ticks

LEAD_NS = 20_000_000
"""So much later than they are told do all senders begin, so that each has heard of it by then."""


class Senders:
    """Engines with open connections, idle until the first `follow`.

    Each of them has its part of one load. What they report is merged before anything is computed of
    it. All times are of one clock, CLOCK_MONOTONIC: senders are on this machine. Entered, the block
    ends them. Raises TrialFailed and SetupError as `Engine`, where any of them does.
    """

    def __init__(self, setup: wire.Setup) -> None:
        self._setup = setup
        self._replicas = len(setup.addresses)
        self._tick_ns = round(1e9 * setup.tick_seconds)
        self._began_ns = 0
        self._rest: tuple[Tick, ...] = ()
        """What some senders have told that is not in a merged tick yet."""
        self._waiting: set[int] = set()
        """The senders that are to begin new stages, and have not said that they did."""

    def __enter__(self) -> Self:
        with ExitStack() as world:
            count = self._setup.senders
            self._engines = [world.enter_context(started_engine()) for _ in range(count)]
            for sender, engine in enumerate(self._engines):
                engine.send(replace(self._setup, sender=sender).encode())
            patience = self._setup.timeout_seconds
            connected = [e.receive("connected", patience=patience)[0] for e in self._engines]
            self.where: Mapping[str, Any] = _together([header["client"] for header in connected])
            self._world = world.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._world.close()

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(engine.pid for engine in self._engines)

    def follow(self, stages: Sequence[Ramp]) -> int:
        """Go through the stages, all senders together. Returns from when on (ns).

        The first ones begin shortly. Later ones begin when a tick is due, and that tick says
        `began`.
        """
        soon = time.perf_counter_ns() + LEAD_NS
        if not self._began_ns:
            self._began_ns = at = soon
        else:
            at = self._began_ns - (self._began_ns - soon) // self._tick_ns * self._tick_ns
            self._waiting = set(range(len(self._engines)))
        self._send(wire.follow_command(stages, at))
        return at

    def tick(self) -> Tick:
        """The next tick of all senders: what completed up to the earliest of theirs."""
        ticks = [self._decoded(*engine.receive("tick")) for engine in self._engines]
        began = {sender for sender, tick in enumerate(ticks) if tick.began} & self._waiting
        self._waiting -= began
        merged, rest = merged_ticks(ticks, self._rest, min(tick.now_ns for tick in ticks))
        self._rest = (rest,)
        return replace(merged, began=bool(began) and not self._waiting)

    def stop(self) -> Tick:
        """Stop sending. Returns what completed since the last tick."""
        self._send(wire.STOP)
        earlier, latest = list(self._rest), []
        for engine in self._engines:
            while (frame := engine.receive("tick", "ended"))[0]["event"] == "tick":
                earlier.append(self._decoded(*frame))
            latest.append(self._decoded(*frame))
        return merged_ticks(latest, earlier, max(tick.now_ns for tick in latest) + 1)[0]

    def _send(self, command: bytes) -> None:
        for engine in self._engines:
            engine.send(command)

    def _decoded(self, header: dict[str, Any], payload: bytes) -> Tick:
        return decode_tick(header, payload, self._replicas)


def _together(clients: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where the senders are: what the first says, and what any of them was refused."""
    refused = list(dict.fromkeys(what for c in clients for what in c.get("refused", ())))
    return {
        **clients[0],
        **({"refused": refused} if refused else {}),
        "senders": len(clients),
    }
