"""What runs on a host of a Dask cluster that sends: an actor that holds the load engines there."""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from contextlib import ExitStack, suppress
from typing import Any

from tuner.errors import SetupError
from tuner.load.engine_process import LocalEngine, started_engine

REACH_SECONDS = 5.0
"""So long it may take to connect to a service."""

_guard = threading.Lock()
_taken: weakref.ref[SendingHost] | None = None


class SendingHost:
    """A Dask actor: starts load engines on its host, and passes on what is said to and by them.

    A host sends for one run at a time; `who` says for which. Dask drops an actor that nobody holds
    any more, also where the process that held it was killed; its engines end with it. Methods run
    one after the other in a thread of their own. Coroutines do not wait for them.
    """

    def __init__(self, who: str) -> None:
        """Raises SetupError where the host sends for another run."""
        global _taken  # noqa: PLW0603 -- a process has one host to send from
        self.who = who
        self._engines: dict[int, tuple[LocalEngine, ExitStack]] = {}
        self.closed = False
        with _guard:
            other = _taken() if _taken is not None else None
            if other is not None and not other.closed:
                raise SetupError(
                    f"this host sends for {other.who}",
                    "wait until that run has ended, or use other hosts",
                )
            _taken = weakref.ref(self)

    def clock_ns(self) -> int:
        """The clock of this host's engines."""
        return time.perf_counter_ns()

    def cpus(self) -> int:
        return len(os.sched_getaffinity(0))

    def refusal(self, service: tuple[str, int]) -> str:
        """Why this host cannot connect to an address; empty where it can."""
        try:
            with socket.create_connection(service, timeout=REACH_SECONDS):
                return ""
        except OSError as error:
            return error.strerror or str(error)

    def start(self) -> int:
        """Start an engine; the number by which the other methods know it."""
        stack = ExitStack()
        engine = stack.enter_context(started_engine())
        self._engines[engine.pid] = engine, stack
        return engine.pid

    def send(self, engine: int, data: bytes) -> None:
        self._engines[engine][0].send(data)

    def frame(self, engine: int, seconds: float) -> tuple[dict[str, Any], bytes]:
        return self._engines[engine][0].frame(seconds)

    def wait_ns(self, engine: int) -> int | None:
        return self._engines[engine][0].wait_ns()

    async def end(self, engine: int) -> None:
        """End an engine at once, also while something is awaited from it."""
        self._end(engine)

    async def close(self) -> None:
        """End all engines, and leave the host to others."""
        self.end_all()

    def __del__(self) -> None:
        self.end_all()

    def end_all(self) -> None:
        """As `close`."""
        self.closed = True
        for engine in list(self._engines):
            self._end(engine)

    def _end(self, engine: int) -> None:
        with suppress(KeyError):  # ended already
            self._engines.pop(engine)[1].close()


def end_sending() -> None:
    """End all that is sent from here, for whichever run: this process ends."""
    host = _taken() if _taken is not None else None
    if host is not None:
        host.end_all()
