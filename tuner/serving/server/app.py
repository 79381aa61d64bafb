"""The REST API of one model as an ASGI application.

Source of the protocol: "RESTful API" in TensorFlow Serving's documentation.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor
from typing import Any

import orjson

from . import codec
from .model import ServedModel
from .status import HTTP_STATUS, Code, StatusError, invalid

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_PATH = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>\d+))?"
    r"(?::(?P<verb>predict|classify|regress)|(?P<metadata>/metadata))?",
    re.IGNORECASE,
)


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


class Application:
    """Answers for `model`; predictions run in `workers`.

    `in_flight` counts requests that are being answered; it is only touched by the event loop.
    """

    def __init__(self, model: ServedModel, workers: Executor) -> None:
        self.model = model
        self.workers = workers
        self.in_flight = 0
        self._status = orjson.dumps(
            {
                "model_version_status": [
                    {
                        "version": str(model.version),
                        "state": "AVAILABLE",
                        "status": {"error_code": "OK", "error_message": ""},
                    }
                ]
            }
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.in_flight += 1
        try:
            status, body = await self._answer(scope["method"], scope["path"], receive)
            await send(
                {
                    "type": "http.response.start",
                    "status": status,
                    "headers": [
                        (b"content-type", b"application/json"),
                        (b"content-length", str(len(body)).encode()),
                    ],
                }
            )
            await send({"type": "http.response.body", "body": body})
        except ClientGoneError:
            log.debug("the client went away while it sent its request")
        finally:
            self.in_flight -= 1

    async def _answer(self, method: str, path: str, receive: Receive) -> tuple[int, bytes]:
        try:
            return 200, await self._route(method, path, receive)
        except StatusError as error:
            return error.http_status, orjson.dumps({"error": error.message})
        except ClientGoneError:
            raise
        except Exception as error:
            log.exception("%s %s failed", method, path)
            message = f"{type(error).__name__}: {error}"
            return HTTP_STATUS[Code.INTERNAL], orjson.dumps({"error": message})

    async def _route(self, method: str, path: str, receive: Receive) -> bytes:
        match = _PATH.fullmatch(path)
        if match is None and not path.lower().startswith("/v1/"):
            raise StatusError(Code.NOT_FOUND, f"Not found: {path}")
        verb = match["verb"] if match else None
        # What acts on a model is posted, what describes it is got.
        if match is None or method != ("POST" if verb else "GET"):
            raise invalid(f"Malformed request: {method} {path}")
        if verb:
            # Read first: an answer before the end of the body would cost the connection.
            body = await _read(receive)
            self._find(match, "Servable not found for request: {which}")
            if verb.lower() != "predict":
                raise StatusError(Code.UNIMPLEMENTED, f"{verb} is not supported, use predict")
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.workers, self._predict, body)
        if match["metadata"]:
            self._find(match, "Servable not found for request: {which}")
            return self._metadata()
        self._find(match, "Could not find any versions of model {model}")
        return self._status

    def _find(self, match: re.Match[str], message: str) -> None:
        """Raise NOT_FOUND where the path names another model or version than the served one."""
        name, version = match["model"], match["version"]
        if name == self.model.name and (version is None or int(version) == self.model.version):
            return
        if version is None:
            which = f"Latest({name})"
        else:
            which = f"Specific({name}, {int(version)})"
            message = message.replace("any versions", f"version {int(version)}")
        raise StatusError(Code.NOT_FOUND, message.format(which=which, model=name))

    def _predict(self, body: bytes) -> bytes:
        saved_model = self.model.saved_model
        request = codec.decode(body, saved_model.signatures)
        outputs = saved_model.run(request.signature, request.inputs)
        return codec.encode(outputs, row=request.row)

    def _metadata(self) -> bytes:
        return orjson.dumps(
            {
                "model_spec": {
                    "name": self.model.name,
                    "signature_name": "",
                    "version": str(self.model.version),
                },
                "metadata": {
                    "signature_def": {"signature_def": self.model.saved_model.signature_def}
                },
            }
        )


async def _read(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message["body"]
        return body
    parts = []
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
