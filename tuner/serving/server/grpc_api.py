"""What every gRPC API here has in common: the server, its limits, and errors as gRPC has them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import NoReturn

import grpc

from .messages import Proto
from .run import until
from .status import Code, StatusError

log = logging.getLogger(__name__)

_LONGEST_MESSAGE = 2000
_NO_DEADLINE_SECONDS = 1e9
"""A deadline further away is none: it would not fit into TensorFlow's milliseconds."""
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class Method:
    """A method of a service: its messages, and what answers it or raises StatusError."""

    name: str
    request: type[Proto]
    response: type[Proto]
    answer: Callable[[Proto], Proto]


class GrpcServer:
    """Services by their full name on a port, answering from construction until `stop`.

    `arguments` are gRPC's channel arguments; a request of more than `largest` bytes is refused with
    RESOURCE_EXHAUSTED. Raises OSError where the port cannot be had.
    """

    def __init__(
        self,
        services: Mapping[str, Iterable[Method]],
        port: int,
        threads: int,
        largest: int,
        arguments: Mapping[str, int | str],
    ) -> None:
        self._lock = Lock()
        self._in_flight = 0
        options = {
            "grpc.so_reuseport": 0,  # a port in use is an error, not shared
            "grpc.max_receive_message_length": largest,
            "grpc.max_send_message_length": -1,
            **arguments,
        }
        self._server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="rpc"), options=list(options.items())
        )
        self._server.add_generic_rpc_handlers(
            tuple(self._service(name, methods) for name, methods in services.items())
        )
        try:
            self._server.add_insecure_port(f"0.0.0.0:{port}")
        except RuntimeError as error:
            raise OSError(f"port {port} cannot be had for the gRPC API: {error}") from error
        self._server.start()

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self._in_flight

    def stop(self, seconds: float) -> None:
        """Take no more requests and wait at most `seconds` for those under way."""
        self._server.stop(seconds).wait()

    def _service(self, name: str, methods: Iterable[Method]) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            name,
            {
                method.name: grpc.unary_unary_rpc_method_handler(
                    self._handler(method.answer),
                    request_deserializer=method.request.FromString,
                    response_serializer=method.response.SerializeToString,
                )
                for method in methods
            },
        )

    def _handler(
        self, answer: Callable[[Proto], Proto]
    ) -> Callable[[Proto, grpc.ServicerContext], Proto]:
        def handle(request: Proto, context: grpc.ServicerContext) -> Proto:
            with self._lock:
                self._in_flight += 1
            try:
                with until(_deadline(context)):
                    return answer(request)
            except StatusError as error:
                _abort(context, error.code, error.message)
            except Exception as error:
                log.exception("a gRPC request failed")
                _abort(context, Code.INTERNAL, f"{type(error).__name__}: {error}")
            finally:
                with self._lock:
                    self._in_flight -= 1

        return handle


def _deadline(context: grpc.ServicerContext) -> float | None:
    """By `time.monotonic`. Raises StatusError for what was given up while it had no thread."""
    if not context.is_active():
        raise StatusError(Code.CANCELLED, "the request was cancelled before it was looked at")
    left = context.time_remaining()
    # Of a call without a deadline some versions of grpcio say the end of time, others infinity.
    return None if left is None or left > _NO_DEADLINE_SECONDS else time.monotonic() + left


def _abort(context: grpc.ServicerContext, code: Code, message: str) -> NoReturn:
    # It travels in a header, of which clients take 8 KiB.
    context.abort(_CODES[code], message[:_LONGEST_MESSAGE])
    raise AssertionError("abort raises")
