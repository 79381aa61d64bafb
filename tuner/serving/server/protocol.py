"""One write, and so one packet, per small response."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


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

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 whatever a transport has
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol on a joining transport. Every response must have a body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn narrows it so too
        super().connection_made(_JoiningTransport(transport))  # type: ignore[arg-type] # duck-typed
