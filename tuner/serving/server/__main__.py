"""Run the server: `python -m <this package> [--flag=value ...]`; `--help` says the flags.

It listens only when the models are loaded and warm, so a port that answers is a replica that is
ready.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Thread

from . import flags
from .app import Application
from .batching import Batcher
from .flags import Settings
from .inference import Inference, run_directly
from .metrics import Metrics
from .model import load
from .serving_process import prepare, serve_until_signalled
from .status import Code, StatusError
from .versions import Model

log = logging.getLogger("tfserver")


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
    inference = Inference(models, run, metrics, check_methods=settings.check_methods)
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
        inference,
        metrics,
        workers,
        settings.largest_body,
        settings.metrics_path,
        settings.rest_seconds,
    )
    serve_until_signalled(application, settings.rest_port, rpc)


def main() -> None:
    prepare()
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
