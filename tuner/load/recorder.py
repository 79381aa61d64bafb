"""Collects the engine's completed requests until the next tick takes them."""

from __future__ import annotations

from array import array

from tuner.load.wire import COLUMNS

MOST_KEPT_BYTES = 16 * 2**20
"""The most bytes of response bodies that are kept for checking, per burst."""


class Recorder:
    """Completed requests as columns, and some of their response bodies."""

    def __init__(self) -> None:
        self._columns = [array(code) for code in COLUMNS.values()]
        # Looked up once, since `add` is the busiest function of the engine.
        self._append = [column.append for column in self._columns]
        self._kept: list[tuple[int, bytes]] = []
        self.keep_bytes = MOST_KEPT_BYTES
        """How many more bytes of response bodies may be kept."""

    def add(
        self,
        start: int,
        delay: int,
        duration: int,
        status: int,
        outcome: int,
        connection: int,
        request: int,
    ) -> None:
        a, b, c, d, e, f, g = self._append
        a(start)
        b(delay)
        c(duration)
        d(status)
        e(outcome)
        f(connection)
        g(request)

    def keep(self, body: bytes) -> None:
        """Keep the body of the request that was added last."""
        self._kept.append((len(self._columns[0]) - 1, body))
        self.keep_bytes -= len(body)

    def take(self) -> tuple[int, list[tuple[int, int]], bytes]:
        """Hand over all requests since the last call.

        Returns their number n, the (position, length) of each kept body, and the columns of n
        values each, followed by those bodies.
        """
        n = len(self._columns[0])
        kept = [(position, len(body)) for position, body in self._kept]
        payload = b"".join([*(c.tobytes() for c in self._columns), *(b for _, b in self._kept)])
        for column in self._columns:
            del column[:]
        self._kept.clear()
        return n, kept, payload
