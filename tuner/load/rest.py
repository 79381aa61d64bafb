"""TensorFlow Serving's REST protocol: HTTP/1.1, one request at a time on each connection."""

from __future__ import annotations

from collections.abc import Callable

import httptools

from tuner.load.connection import Connection, Exchange
from tuner.load.wire import HTTP_ERROR, OK, Setup


def rest_exchanges(setup: Setup) -> Callable[[Connection], Exchange]:
    """Makes the exchanges of a burst. Every request is encoded here, once.

    The replicas are one service, so all requests have the same host name.
    """
    requests = [
        (
            f"POST {setup.path} HTTP/1.1\r\nHost: {setup.host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        + body
        for body in setup.bodies
    ]
    return lambda connection: RestExchange(connection, requests)


class RestExchange(Exchange):
    """A TCP connection that speaks HTTP/1.1. The parser calls the methods `on_...`."""

    __slots__ = ("_parser", "_requests")

    def __init__(self, connection: Connection, requests: list[bytes]) -> None:
        super().__init__(connection)
        self._requests = requests
        self._parser = httptools.HttpResponseParser(self)

    def encode(self, request: int) -> bytes:
        return self._requests[request]

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError:
            self.connection.fail(HTTP_ERROR)

    def connection_lost(self, exc: Exception | None) -> None:
        # The parser refers to this object, and there is no garbage collection during a burst.
        del self._parser
        super().connection_lost(exc)

    def on_body(self, body: bytes) -> None:
        kept = self.connection.body
        if kept is not None:
            kept.append(body)

    def on_message_complete(self) -> None:
        parser = self._parser
        status = parser.get_status_code()
        self.connection.answered(
            status, OK if status == 200 else HTTP_ERROR, last=not parser.should_keep_alive()
        )
