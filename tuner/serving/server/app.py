"""The REST API as an ASGI application.

Source of the protocol: "RESTful API" in TensorFlow Serving's documentation, and its
`model_servers/http_rest_api_handler.cc` for what is wrong first where several things are.
"""

from __future__ import annotations

import asyncio
import logging
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import unquote

import orjson

from . import codec, examples
from .inference import Inference
from .metrics import Metrics
from .status import HTTP_STATUS, Code, StatusError, invalid

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PROMETHEUS_PATH = "/monitoring/prometheus/metrics"

_MODEL = r"(?i:/v1/models)(?:/(?P<model>[^/:]+))"
_VERSION = r"(?:(?i:/versions/)(?P<version>\d+)|(?i:/labels/)(?P<label>[^/:]+))?"
_ACTION = re.compile(_MODEL + _VERSION + r":(?P<verb>classify|regress|predict)", re.ASCII)
_DESCRIPTION = re.compile(_MODEL + "?" + _VERSION + r"(?P<metadata>/metadata)?", re.ASCII)
_LARGEST_VERSION = 2**63 - 1

_SMALL = 2**16  # bytes; larger bodies wait until there is room for them
_DISCARDED = 2**30  # bytes of a refused body that are read, so that its sender sees the answer
_BODY_SECONDS = 60  # without a byte of a body that is not complete

_JSON = b"application/json"
_TEXT = b"text/plain"


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


class RefusedError(Exception):
    """A request that is answered with an HTTP status which is no TensorFlow code's."""

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.message = message


class Application:
    """Answers by `inference`; what takes long runs in `workers`.

    A body of more than `largest` bytes, also after it is unpacked, is refused. `in_flight` counts
    requests that are being answered; it is only touched by the event loop.
    """

    def __init__(
        self,
        inference: Inference,
        metrics: Metrics,
        workers: Executor,
        largest: int,
        metrics_path: str | None = PROMETHEUS_PATH,
    ) -> None:
        self.in_flight = 0
        self._inference = inference
        self._metrics = metrics
        self._workers = workers
        self._largest = largest
        self._metrics_path = metrics_path
        self._room = largest
        self._room_changed = asyncio.Condition()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.in_flight += 1
        try:
            status, body, kind = await self._answer(scope, receive)
            headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
            if status in {408, 413}:
                headers.append((b"connection", b"close"))  # its body may not be over
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        except ClientGoneError:
            log.debug("the client went away while it sent its request")
        finally:
            self.in_flight -= 1

    async def _answer(self, scope: Message, receive: Receive) -> tuple[int, bytes, bytes]:
        # As it was sent: names are decoded when their places are known.
        path = scope["raw_path"].decode("latin-1")
        try:
            if path == self._metrics_path:
                return 200, self._metrics.page().encode(), _TEXT
            return 200, await self._route(path, scope, receive), _JSON
        except StatusError as error:
            return error.http_status, _error(error.message), _JSON
        except RefusedError as error:
            return error.http_status, _error(error.message), _JSON
        except ClientGoneError:
            raise
        except Exception as error:
            log.exception("%s %s failed", scope["method"], path)
            return HTTP_STATUS[Code.INTERNAL], _error(f"{type(error).__name__}: {error}"), _JSON

    async def _route(self, path: str, scope: Message, receive: Receive) -> bytes:
        if not path.lower().startswith("/v1/"):
            raise StatusError(Code.NOT_FOUND, f"Not found: {path}")
        method = scope["method"]
        # Read first: an answer before the end of the body would cost the connection.
        body = await self._read(scope["headers"], receive) if method != "GET" else b""
        # What acts on a model is posted, what describes it is got.
        pattern = {"POST": _ACTION, "GET": _DESCRIPTION}.get(method)
        match = pattern.fullmatch(path) if pattern else None
        if match is None:
            raise invalid(f"Malformed request: {method} {path}")
        if match["model"] is None:
            raise invalid("Missing model name in request.")
        name, label = unquote(match["model"]), match["label"]
        target = (name, _number(match["version"]), None if label is None else unquote(label))
        if method == "GET":
            return self._metadata(*target) if match["metadata"] else self._status(*target)
        gzipped = (b"content-encoding", b"gzip") in scope["headers"]
        call = partial(self._act, match["verb"], target, body, gzipped=gzipped)
        loop = asyncio.get_running_loop()
        if len(body) <= _SMALL and not gzipped:
            return await loop.run_in_executor(self._workers, call)
        async with self._room_for(self._largest if gzipped else len(body)):
            return await loop.run_in_executor(self._workers, call)

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

    async def _read(self, headers: list[tuple[bytes, bytes]], receive: Receive) -> bytes:
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

    def _act(
        self, verb: str, target: tuple[str, int | None, str | None], body: bytes, *, gzipped: bool
    ) -> bytes:
        """The answer to a POST. It is called in a worker."""
        inference = self._inference
        with inference.counted(target[0], verb, "REST"):
            document = codec.parse(self._unpacked(body) if gzipped else body)
            name = codec.signature_name(document)
            if verb == "predict":
                model = inference.find(*target)
                request = codec.decode(document, model.saved_model.signatures)
                outputs = inference.predict(model, name, request.inputs)
                return codec.encode(outputs, row=request.row)
            given = examples.decode(document)
            model = inference.find(*target)
            if verb == "regress":
                return examples.encode_values(inference.regress(model, name, given))
            classes = inference.classify(model, name, given)
            return examples.encode_classes(classes.labels, classes.scores)

    def _unpacked(self, body: bytes) -> bytes:
        unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            unpacked = unpacker.decompress(body, self._largest + 1)
        except zlib.error as error:
            raise invalid(f"the body cannot be decompressed: {error}") from error
        if len(unpacked) > self._largest:
            raise RefusedError(413, f"the body is larger than {self._largest} bytes")
        if not unpacker.eof:
            raise invalid("the body cannot be decompressed: it is not complete")
        return unpacked

    def _status(self, name: str, version: int | None, label: str | None) -> bytes:
        return orjson.dumps(
            {
                "model_version_status": [
                    {
                        "version": str(status.version),
                        "state": status.state.name,
                        "status": {
                            "error_code": status.code.name,
                            "error_message": status.message,
                        },
                    }
                    for status in self._inference.status(name, version, label)
                ]
            }
        )

    def _metadata(self, name: str, version: int | None, label: str | None) -> bytes:
        model = self._inference.find(name, version, label)
        return orjson.dumps(
            {
                "model_spec": {
                    "name": model.name,
                    "signature_name": "",
                    "version": str(model.version),
                },
                "metadata": {"signature_def": {"signature_def": model.saved_model.signature_def}},
            }
        )


def _error(message: str) -> bytes:
    return orjson.dumps({"error": message})


def _number(version: str | None) -> int | None:
    if version is None:
        return None
    if len(version.lstrip("0")) > len(str(_LARGEST_VERSION)) or int(version) > _LARGEST_VERSION:
        raise invalid(f"Failed to convert version: {version} to numeric.")
    return int(version)
