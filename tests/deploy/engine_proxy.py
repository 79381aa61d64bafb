"""A Unix socket in front of an engine, or of none, that refuses, delays and drops what it is told.

It is a real server, so that the whole way from Docker's client to `tune`'s errors is tested.
"""

from __future__ import annotations

import json
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENGINE = Path("/var/run/docker.sock")

VERSION = {"ApiVersion": "1.41", "Version": "20.10.24"}

_PIECE = 65536


@dataclass
class Fault:
    """What befalls calls that match `pattern` (`POST /containers/create`), the first `times`.

    With a `status` it is answered with that and `message`; else it waits `delay` seconds and then
    goes on to the engine, or, with `close`, the connection is closed. `after` so many matching
    calls that go well. `befell` counts.
    """

    pattern: str
    status: int | None = None
    message: object = ""
    delay: float = 0.0
    close: bool = False
    times: int | None = None
    after: int = 0
    befell: int = 0
    _seen: int = 0

    def befalls(self, call: str) -> bool:
        if not re.search(self.pattern, call) or self.befell == self.times:
            return False
        self._seen += 1
        if self._seen <= self.after:
            return False
        self.befell += 1
        return True

    def answer(self) -> bytes:
        message = {"message": self.message} if isinstance(self.message, str) else self.message
        body = json.dumps(message).encode()
        head = f"HTTP/1.1 {self.status} Fault\r\nContent-Type: application/json\r\n"
        return f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class EngineProxy:
    """What is at `path`. `calls` are those that came, without the version of the API; `received`
    has each with its body.
    """

    path: Path
    faults: list[Fault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    received: list[tuple[str, bytes]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    def fault(self, pattern: str, **what: Any) -> Fault:  # noqa: ANN401 -- fields of Fault
        made = Fault(pattern, **what)
        self.faults.append(made)
        return made

    def bodies(self, call: str) -> list[Any]:
        """What was sent with that call, read as JSON."""
        return [json.loads(body) for name, body in self.received if name == call]

    def serve(self, client: socket.socket) -> None:
        head = _request(client)
        if not head:
            return
        first, _, rest = head.partition(b"\r\n")
        method, target = first.decode().split()[:2]
        call = f"{method} {re.sub(r'^/v[0-9.]+', '', target).partition('?')[0]}"
        with self._lock:
            self.calls.append(call)
            self.received.append((call, rest.partition(b"\r\n\r\n")[2]))
            fault = next((f for f in self.faults if f.befalls(call)), None)
        if fault is not None:
            if fault.delay:
                self.ended.wait(fault.delay)
            if fault.close:
                return
            if fault.status is not None:
                client.sendall(fault.answer())
                return
        # One call for each connection: then its end is that of the answer.
        rest = re.sub(rb"(?i)^connection: keep-alive\r\n", b"", rest, flags=re.MULTILINE)
        closing = b"" if b"upgrade" in rest.lower() else b"Connection: close\r\n"
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(str(ENGINE))
            engine.sendall(first + b"\r\n" + closing + rest)
            onward = threading.Thread(target=_pump, args=(client, engine))
            onward.start()
            _pump(engine, client)
            with suppress(OSError):  # it may have gone already
                client.shutdown(socket.SHUT_RDWR)
            onward.join()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def engine_proxy(directory: Path) -> Iterator[EngineProxy]:
    """Serve until the block ends; what still waits then is let go."""
    proxy = EngineProxy(directory / "engine.sock")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):  # the client does not wait any longer
                proxy.serve(self.request)

    with _Server(str(proxy.path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            server.shutdown()
            thread.join()


def _request(client: socket.socket) -> bytes:
    """Headers, and the body where its length is known; empty where nothing came."""
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)^content-length: (\d+)", head, re.MULTILINE)
        if end and len(body) >= (int(length[1]) if length else 0):
            return received
        piece = client.recv(_PIECE)
        if not piece:
            return b""
        received += piece


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):  # either end may close at any time
        while piece := source.recv(_PIECE):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
