"""HTTP/1.1, one request at a time on each connection."""

from __future__ import annotations

from collections.abc import Callable

import httptools

from tuner.load.connection import Connection, Exchange
from tuner.load.wire import HTTP_ERROR, OK, Setup
from tuner.serving.servers.call import Call

_WITHOUT_BODY = ("GET", "HEAD")


def rest_exchanges(setup: Setup) -> Callable[[Connection], Exchange]:
    """Makes the exchanges of a burst. Every request is encoded here, once.

    The replicas are one service, so all requests have the same host name.
    """
    requests = [http_request(call, setup.host) for call in setup.calls]
    statuses = [call.status for call in setup.calls]
    return lambda connection: RestExchange(connection, requests, statuses)


def http_request(call: Call, host: str) -> bytes:
    """The bytes of a request."""
    headers = {"Host": host, **call.headers}
    if call.body or call.method not in _WITHOUT_BODY:
        headers["Content-Length"] = str(len(call.body))
    lines = [f"{call.method} {call.path} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode() + call.body


class RestExchange(Exchange):
    """A TCP connection that speaks HTTP/1.1. The parser calls the methods `on_...`."""

    __slots__ = ("_parser", "_requests", "_statuses")

    def __init__(self, connection: Connection, requests: list[bytes], statuses: list[int]) -> None:
        super().__init__(connection)
        self._requests = requests
        self._statuses = statuses
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
        right = status == self._statuses[self.connection.request]
        self.connection.answered(
            status, OK if right else HTTP_ERROR, last=not parser.should_keep_alive()
        )
