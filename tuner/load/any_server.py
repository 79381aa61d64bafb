"""HTTP as servers of all kinds speak it, for endpoints that are not tune's own.

It reads what the quicker `rest` need not: bodies that end with the connection (HTTP/1.0), content
encodings, answers too long to keep, informational responses.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from tuner.load.connection import Connection, Exchange
from tuner.load.rest import RestExchange, http_request
from tuner.load.wire import Setup

MOST_KEPT = 2**22
"""A longer answer is counted and not checked."""


@dataclass(frozen=True)
class AnyServer:
    """What a burst to a server that is not tune's own has beside its requests; see `Setup`."""

    tls_name: str | None = None
    tls_ca: str | None = None
    most_rps: float | None = None


def tls_of(setup: Setup) -> tuple[ssl.SSLContext, str] | None:
    """What secures the connections of a burst; None where nothing does."""
    if setup.tls_name is None:
        return None
    context = ssl.create_default_context(cadata=setup.tls_ca)
    context.set_alpn_protocols(["http/1.1"])
    return context, setup.tls_name


def any_server_exchanges(setup: Setup) -> Callable[[Connection], Exchange]:
    """As `rest_exchanges`."""
    requests = [http_request(call, setup.host) for call in setup.calls]
    statuses = [call.status for call in setup.calls]
    return lambda connection: AnyServerExchange(connection, requests, statuses)


class AnyServerExchange(RestExchange):
    """A TCP or TLS connection that speaks HTTP/1.1 or HTTP/1.0."""

    __slots__ = ("_encoding", "_framed", "_kept", "_open")

    def __init__(self, connection: Connection, requests: list[bytes], statuses: list[int]) -> None:
        super().__init__(connection, requests, statuses)
        self.on_message_begin()

    def on_message_begin(self) -> None:
        self._open = False
        """Whether the headers of an answer are complete, and its body is not."""
        self._framed = False
        """Whether the headers say where the body ends."""
        self._encoding = b""
        self._kept = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"content-length" | b"transfer-encoding":
                self._framed = True
            case b"content-encoding":
                self._encoding = value.strip().lower()

    def on_headers_complete(self) -> None:
        self._open = True

    def on_body(self, body: bytes) -> None:
        self._kept += len(body)
        if self._kept > MOST_KEPT:
            self.connection.body = None
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._open = False
        if self._parser.get_status_code() < 200:  # such as 100 Continue: the answer follows
            return
        kept = self.connection.body
        if kept and self._encoding not in {b"", b"identity"}:
            self.connection.body = _decoded(kept)
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._open and not self._framed and exc is None:
            # The end of the connection is the end of such a body (RFC 9112, 6.3).
            self.on_message_complete()
        super().connection_lost(exc)


def _decoded(pieces: list[bytes]) -> list[bytes] | None:
    """A compressed body; None where it is not checked, as its encoding is another or it is long."""
    try:
        unpack = zlib.decompressobj(32 + zlib.MAX_WBITS)
        body = unpack.decompress(b"".join(pieces), MOST_KEPT)
    except zlib.error:
        return None
    return [body] if unpack.eof else None
