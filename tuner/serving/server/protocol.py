"""One write, and so one packet, per small response; and no patience for a head that stays away."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 60
"""How long a client may take for the head of a request, from its first byte."""


class _JoiningTransport:
    """A transport that keeps a response's head back until its body is written.

    uvloop sends what is written at once, so head and body would be two packets: under packet loss
    that is twice the chance of a retransmission, which TensorFlow Serving does not have.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n") and data[9:12] != b"100":
            self._head = data
            return
        head, self._head = self._head, b""
        self._transport.write(head + data)

    def flush(self) -> None:
        """Write the head of a response that has no body, as that to HEAD has none."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 whatever a transport has
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol on a joining transport."""

    _too_slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn narrows it so too
        self._joining = _JoiningTransport(transport)
        super().connection_made(self._joining)  # type: ignore[arg-type] # duck-typed

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._too_slow = self.loop.call_later(HEAD_SECONDS, self._joining.close)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()
        # uvicorn closes what is HTTP/1.0, also for a client that asked it not to, as `ab -k` does.
        if self.cycle is not None:
            self.cycle.keep_alive = self.parser.should_keep_alive()

    def on_response_complete(self) -> None:
        self._joining.flush()
        super().on_response_complete()

    def _stop_waiting(self) -> None:
        if self._too_slow is not None:
            self._too_slow.cancel()
            self._too_slow = None
