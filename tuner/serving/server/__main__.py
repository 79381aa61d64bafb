"""Run the server: `python -m <this package> [--flag=value ...]`; `--help` says the flags.

It listens only when the models are loaded and warm, so a port that answers is a replica that is
ready.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from . import flags
from .app import Application
from .batching import Batcher
from .flags import Settings
from .inference import Inference, run_directly
from .metrics import Metrics
from .model import load
from .protocol import Protocol
from .status import Code, StatusError
from .versions import Model

if TYPE_CHECKING:
    from .rpc import RpcServer

log = logging.getLogger("tfserver")

_KEEP_ALIVE_SECONDS = 300
_DRAIN_SECONDS = 5


class Server(uvicorn.Server):
    """uvicorn's server, which leaves at once on a signal when no request is being answered."""

    def __init__(
        self, config: uvicorn.Config, application: Application, rpc: RpcServer | None
    ) -> None:
        super().__init__(config)
        self.application = application
        self.rpc = rpc

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.application.in_flight + (self.rpc.in_flight if self.rpc else 0) == 0:
            # No clean-up is owed: the kernel frees the model faster than TensorFlow does.
            os._exit(0)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let both APIs finish what they have. When it is over, the signal ends the process."""
        ends = [super().shutdown(sockets)]
        if self.rpc is not None:
            ends.append(asyncio.to_thread(self.rpc.stop, _DRAIN_SECONDS))
        await asyncio.gather(*ends)


def load_models(settings: Settings) -> dict[str, Model]:
    """The models with their first versions loaded.

    Raises StatusError where a model has no version that can be served, or not the one that a
    label stands for.
    """
    loading = partial(
        load,
        intra_op_threads=settings.intra_op_threads,
        inter_op_threads=settings.inter_op_threads,
    )
    models = {config.name: Model(config, loading) for config in settings.models}
    for name, model in models.items():
        model.refresh()
        if not model.served:
            failed = [status for status in model.status if status.code is not Code.OK]
            raise StatusError(
                failed[-1].code if failed else Code.NOT_FOUND,
                failed[-1].message
                if failed
                else f"no versions of the servable found under base path {model.config.base_path}",
            )
        for version in model.config.labels.values():
            if version not in model.served:
                raise StatusError(
                    Code.FAILED_PRECONDITION,
                    f"Request to assign label to version {version} of model {name}, which is not "
                    "currently available for inference",
                )
    return models


def keep_refreshed(models: Iterable[Model], seconds: float) -> None:
    """Look for new versions every `seconds`, for ever."""
    while True:
        time.sleep(seconds)
        for model in models:
            try:
                model.refresh()
            except StatusError as error:
                log.warning("model %s: %s", model.config.name, error.message)
            except Exception:
                log.exception("model %s could not be refreshed", model.config.name)


def serve(settings: Settings, models: dict[str, Model]) -> None:
    """Answer requests until a signal comes; does not return. Raises OSError for a port in use."""
    metrics = Metrics()
    run = run_directly
    if settings.batching is not None:
        run = Batcher(settings.batching, run_directly, metrics).run
    inference = Inference(models, run, metrics)
    if settings.poll_seconds > 0:
        looking = (tuple(models.values()), settings.poll_seconds)
        Thread(target=keep_refreshed, args=looking, daemon=True).start()
    rpc = None
    if settings.grpc_port:
        from .rpc import RpcServer  # noqa: PLC0415 its library is not loaded without the port

        rpc = RpcServer(
            inference,
            settings.grpc_port,
            settings.grpc_threads,
            settings.largest_body,
            settings.grpc_arguments,
        )
    workers = ThreadPoolExecutor(settings.rest_threads, thread_name_prefix="request")
    application = Application(
        inference, metrics, workers, settings.largest_body, settings.metrics_path
    )
    config = uvicorn.Config(
        application,
        host="0.0.0.0",  # noqa: S104 the container's own network
        port=settings.rest_port,
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


def main() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    # What a client does wrong is the client's to know, and must not fill a disk.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    # The first process of a container ignores signals that it has no handler for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    settings = flags.read(sys.argv[1:], os.environ)
    began = time.monotonic()
    try:
        models = load_models(settings)
        log.info(
            "ready in %.2f s: %s; REST on port %d, threads %d, gRPC on port %d, threads %d, "
            "intra-op %d, inter-op %d, batching %s, bodies up to %d bytes",
            time.monotonic() - began,
            ", ".join(f"{name} versions {sorted(m.served)}" for name, m in models.items()),
            settings.rest_port,
            settings.rest_threads,
            settings.grpc_port,
            settings.grpc_threads,
            settings.intra_op_threads,
            settings.inter_op_threads,
            settings.batching or "off",
            settings.largest_body,
        )
        serve(settings, models)
    except (StatusError, ModuleNotFoundError, OSError) as error:
        sys.exit(f"tfserver: {error}")


if __name__ == "__main__":
    main()
