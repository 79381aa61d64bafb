"""The engines that send one burst, as if they were one: started together, their reports merged."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Self

from tuner.load import wire
from tuner.load.arrivals import Ramp
from tuner.load.engine_process import Engine, EngineHost, StartEngine
from tuner.load.ticks import Tick, decode_tick, merged_ticks

LEAD_NS = 20_000_000
AFAR_LEAD_NS = 250_000_000
"""Where a sender is on another machine."""


class Senders:
    """Engines with open connections, idle until the first `follow`.

    Each of them has its part of one load. What they report is merged before anything is computed of
    it. All times are of one clock, this machine's CLOCK_MONOTONIC; those of an engine on another
    machine are brought to it. `start` has a function for each sender. Leaving the block ends them.
    Raises TrialFailed and SetupError as `Engine`, where any of them does.
    """

    def __init__(self, setup: wire.Setup, start: Sequence[StartEngine]) -> None:
        self._setup = setup
        self._start = start
        self._replicas = len(setup.addresses)
        self._tick_ns = round(1e9 * setup.tick_seconds)
        self._began_ns = 0
        self._rest: tuple[Tick, ...] = ()
        """What some senders have told that is not in a merged tick yet."""
        self._waiting: set[int] = set()
        """The senders that are to begin new stages, and have not said that they did."""

    def __enter__(self) -> Self:
        with ExitStack() as world:
            self.engines: Sequence[Engine] = [world.enter_context(each()) for each in self._start]
            for sender, engine in enumerate(self.engines):
                engine.send(replace(self._setup, sender=sender).encode())
            patience = self._setup.timeout_seconds
            connected = [e.receive("connected", patience=patience)[0] for e in self.engines]
            clients = [header["client"] for header in connected]
            self.where: Mapping[str, Any] = _together(clients, self.engines)
            self._world = world.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._world.close()

    def follow(self, stages: Sequence[Ramp]) -> int:
        """Go through the stages, all senders together. Returns from when on (ns).

        The first ones begin shortly. Later ones begin when a tick is due, and that tick says
        `began`.
        """
        soon = time.perf_counter_ns() + self._lead_ns
        if not self._began_ns:
            self._began_ns = at = soon
        else:
            at = self._began_ns - (self._began_ns - soon) // self._tick_ns * self._tick_ns
            self._waiting = set(range(len(self.engines)))
        for engine in self.engines:
            engine.send(wire.follow_command(stages, at - engine.ahead_ns))
        return at

    def tick(self) -> Tick:
        """The next tick of all senders: what completed up to the earliest of theirs."""
        ticks = [self._decoded(engine, *engine.receive("tick")) for engine in self.engines]
        began = {sender for sender, tick in enumerate(ticks) if tick.began} & self._waiting
        self._waiting -= began
        merged, rest = merged_ticks(ticks, self._rest, min(tick.now_ns for tick in ticks))
        self._rest = (rest,)
        return replace(merged, began=bool(began) and not self._waiting)

    def stop(self) -> Tick:
        """Stop sending. Returns what completed since the last tick."""
        for engine in self.engines:
            engine.send(wire.STOP)
        earlier, latest = list(self._rest), []
        for engine in self.engines:
            while (frame := engine.receive("tick", "ended"))[0]["event"] == "tick":
                earlier.append(self._decoded(engine, *frame))
            latest.append(self._decoded(engine, *frame))
        return merged_ticks(latest, earlier, max(tick.now_ns for tick in latest) + 1)[0]

    @property
    def _lead_ns(self) -> int:
        """So much later than they are told do all begin, so that each has heard of it by then."""
        return LEAD_NS if all(e.host is None for e in self.engines) else AFAR_LEAD_NS

    def _decoded(self, engine: Engine, header: dict[str, Any], payload: bytes) -> Tick:
        return decode_tick(header, payload, self._replicas, engine.ahead_ns)


def _together(clients: Sequence[Mapping[str, Any]], engines: Sequence[Engine]) -> dict[str, Any]:
    """Where the senders are: what the first says, and what any of them was refused.

    Of those on other machines also the machine of each, with its clock.
    """
    refused = list(dict.fromkeys(what for c in clients for what in c.get("refused", ())))
    hosts = [engine.host for engine in engines if engine.host is not None]
    return {
        **clients[0],
        **({"refused": refused} if refused else {}),
        "senders": len(clients),
        **({"hosts": [_host_facts(host) for host in hosts]} if hosts else {}),
    }


def _host_facts(host: EngineHost) -> dict[str, Any]:
    """The clocks of two machines count from when they started, so they are far apart."""
    return {
        "name": host.name,
        "clock_behind_s": round(host.ahead_ns / 1e9, 6),
        "clock_known_to_ms": round(host.apart_ns / 1e6, 3),
    }
