"""The process around an API: its signals and log, and uvicorn's server, until a signal comes."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from types import FrameType
from typing import Protocol as Interface

import uvicorn

from .http_api import HttpApplication
from .protocol import Protocol

_KEEP_ALIVE_SECONDS = 300
_DRAIN_SECONDS = 5


class Rpc(Interface):
    """The gRPC API beside it, if there is one."""

    @property
    def in_flight(self) -> int: ...

    def stop(self, seconds: float) -> None: ...


class Server(uvicorn.Server):
    """uvicorn's server, which leaves at once on a signal when no request is being answered."""

    def __init__(
        self, config: uvicorn.Config, application: HttpApplication, rpc: Rpc | None
    ) -> None:
        super().__init__(config)
        self.application = application
        self.rpc = rpc

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.application.in_flight + (self.rpc.in_flight if self.rpc else 0) == 0:
            # No clean-up is owed: the kernel frees the model faster than its runtime does.
            os._exit(0)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let both APIs finish what they have. When it is over, the signal ends the process."""
        ends = [super().shutdown(sockets)]
        if self.rpc is not None:
            ends.append(asyncio.to_thread(self.rpc.stop, _DRAIN_SECONDS))
        await asyncio.gather(*ends)


def prepare() -> None:
    """Log to standard error, and end on a signal also while the models are loaded."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    # What a client does wrong is the client's to know, and must not fill a disk.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    # The first process of a container ignores signals that it has no handler for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))


def serve_until_signalled(application: HttpApplication, port: int, rpc: Rpc | None) -> None:
    """Answer requests until a signal comes; does not return."""
    config = uvicorn.Config(
        application,
        host="0.0.0.0",  # noqa: S104 the container's own network
        port=port,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    # What is alive now stays so, and a request's many lists are no cycles: collect rarely.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    server = Server(config, application, rpc)
    server.run()
    os._exit(0 if server.started else 1)
