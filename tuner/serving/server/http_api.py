"""What every REST API here has in common, as an ASGI application: bodies, their limits, errors."""

from __future__ import annotations

import asyncio
import logging
import zlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from .status import HTTP_STATUS, Code, StatusError, invalid

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_SMALL = 2**16  # bytes; larger bodies wait until there is room for them
_DISCARDED = 2**30  # bytes of a refused body that are read, so that its sender sees the answer
_BODY_SECONDS = 60  # without a byte of a body that is not complete

KEEP_ALIVE = b"keep-alive"
JSON = b"application/json"
TEXT = b"text/plain"


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


class RefusedError(Exception):
    """A request that is answered with an HTTP status which is no TensorFlow code's."""

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.message = message


@dataclass(frozen=True)
class Request:
    """`path` is as it was sent: names in it are decoded when their places are known.

    `sent` is the body, perhaps compressed.
    """

    method: str
    path: str
    headers: Headers
    sent: bytes
    largest: int

    @property
    def gzipped(self) -> bool:
        return (b"content-encoding", b"gzip") in self.headers

    def body(self) -> bytes:
        """Unpacked. Raises StatusError, and RefusedError where it is larger than `largest`."""
        return _unpacked(self.sent, self.largest) if self.gzipped else self.sent


@dataclass(frozen=True)
class Response:
    """An answer with status 200."""

    body: bytes
    kind: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class HttpApplication(ABC):
    """Answers by `answer`: to GET in the event loop, to all else in `workers`, as it takes longer.

    A body of more than `largest` bytes, also after it is unpacked, is refused. `pages` are texts by
    path. `in_flight` counts requests that are being answered; it is only touched by the event loop.
    """

    def __init__(
        self, workers: Executor, largest: int, pages: Mapping[str, Callable[[], str]]
    ) -> None:
        self.in_flight = 0
        self._workers = workers
        self._largest = largest
        self._pages = pages
        self._room = largest
        self._room_changed = asyncio.Condition()

    @abstractmethod
    def answer(self, request: Request) -> Response:
        """The answer to a request. Raises StatusError or RefusedError where it has none."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.in_flight += 1
        try:
            status, response = await self._answer(scope, receive)
            headers = [
                (b"content-type", response.kind),
                (b"content-length", str(len(response.body)).encode()),
                *response.headers,
            ]
            if status in {408, 413}:
                headers.append((b"connection", b"close"))  # its body may not be over
            elif scope.get("http_version") == "1.0" and (b"connection", KEEP_ALIVE) in (
                (name, value.lower()) for name, value in scope["headers"]
            ):
                headers.append((b"connection", KEEP_ALIVE))  # its client waits for these words
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": response.body})
        except ClientGoneError:
            log.debug("the client went away while it sent its request")
        finally:
            self.in_flight -= 1

    async def _answer(self, scope: Message, receive: Receive) -> tuple[int, Response]:
        method, path = scope["method"], scope["raw_path"].decode("latin-1")
        try:
            if path in self._pages:
                return 200, Response(self._pages[path]().encode(), TEXT)
            # Read first: an answer before the end of the body would cost the connection.
            body = await self._read(scope["headers"], receive) if method != "GET" else b""
            request = Request(method, path, scope["headers"], body, self._largest)
            if method == "GET":
                return 200, self.answer(request)
            return 200, await self._in_a_worker(request)
        except (StatusError, RefusedError) as error:
            return error.http_status, _error(error.message)
        except ClientGoneError:
            raise
        except Exception as error:
            log.exception("%s %s failed", method, path)
            return HTTP_STATUS[Code.INTERNAL], _error(f"{type(error).__name__}: {error}")

    async def _in_a_worker(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        if len(request.sent) <= _SMALL and not request.gzipped:
            return await loop.run_in_executor(self._workers, self.answer, request)
        async with self._room_for(self._largest if request.gzipped else len(request.sent)):
            return await loop.run_in_executor(self._workers, self.answer, request)

    @asynccontextmanager
    async def _room_for(self, size: int) -> AsyncIterator[None]:
        """Wait until all bodies that are worked on are together no larger than the largest may be.

        So memory is bounded by the limit of one body, whatever comes at the same time.
        """
        async with self._room_changed:
            await self._room_changed.wait_for(lambda: self._room >= size)
            self._room -= size
        try:
            yield
        finally:
            async with self._room_changed:
                self._room += size
                self._room_changed.notify_all()

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        """The request's body. Raises RefusedError where it is too large or stops coming."""
        too_large = RefusedError(413, f"the body is larger than {self._largest} bytes")
        declared = next((value for name, value in headers if name == b"content-length"), b"0")
        if (b"expect", b"100-continue") in headers and int(declared) > self._largest:
            raise too_large  # before the client begins to send it
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            try:
                async with asyncio.timeout(_BODY_SECONDS):
                    message = await receive()
            except TimeoutError as error:
                raise RefusedError(408, "the body stopped coming") from error
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part = message.get("body", b"")
            size += len(part)
            if size <= self._largest:
                parts.append(part)
            else:
                parts.clear()
            more = message.get("more_body", False) and size <= _DISCARDED
        if size > self._largest:
            raise too_large
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _error(message: str) -> Response:
    return Response(orjson.dumps({"error": message}))


def _unpacked(body: bytes, largest: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        unpacked = unpacker.decompress(body, largest + 1)
    except zlib.error as error:
        raise invalid(f"the body cannot be decompressed: {error}") from error
    if len(unpacked) > largest:
        raise RefusedError(413, f"the body is larger than {largest} bytes")
    if not unpacker.eof:
        raise invalid("the body cannot be decompressed: it is not complete")
    return unpacked
