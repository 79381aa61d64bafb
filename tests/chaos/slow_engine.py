"""A socket behind which a Docker Engine takes its time before it hears of a request."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CHUNK = 65536


class SlowEngine:
    """Passes on what clients of `path` and the engine at `engine` say to each other.

    Each request comes `seconds` late. `requests` counts them.
    """

    def __init__(self, path: Path, engine: Path, seconds: float) -> None:
        self.path = path
        self.requests = 0
        self._engine = engine
        self._seconds = seconds
        self._listener = socket.socket(socket.AF_UNIX)
        self._open: list[socket.socket] = [self._listener]

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    @contextmanager
    def listening(self) -> Iterator[SlowEngine]:
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(str(self._engine))
                self._open += [client, engine]
                Conversation(self, client, engine).begin()

    def late(self) -> None:
        self.requests += 1
        time.sleep(self._seconds)


class Conversation:
    """One connection. A request begins where a client speaks first, or after an answer."""

    def __init__(self, slow: SlowEngine, client: socket.socket, engine: socket.socket) -> None:
        self._slow = slow
        self._client = client
        self._engine = engine
        self._answered = True

    def begin(self) -> None:
        for pump in (self._ask, self._answer):
            threading.Thread(target=pump, daemon=True).start()

    def _ask(self) -> None:
        with suppress(OSError):
            while piece := self._client.recv(_CHUNK):
                if self._answered:
                    self._answered = False
                    self._slow.late()
                self._engine.sendall(piece)
            self._engine.shutdown(socket.SHUT_WR)

    def _answer(self) -> None:
        with suppress(OSError):
            while piece := self._engine.recv(_CHUNK):
                self._answered = True
                self._client.sendall(piece)
            self._client.shutdown(socket.SHUT_WR)
