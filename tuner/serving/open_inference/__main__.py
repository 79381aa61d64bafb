"""Run the server: `python -m <this package> [--flag=value ...]`; `--help` says the flags.

It listens only when the model is loaded and warm, so a port that answers is a replica that is
ready.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import onnxruntime

from tuner.serving.server.batching import Batcher
from tuner.serving.server.metrics import Metrics
from tuner.serving.server.numbered import numbered_versions
from tuner.serving.server.run import Run
from tuner.serving.server.serving_process import prepare, serve_until_signalled
from tuner.serving.server.status import Code, StatusError

from . import flags
from .flags import Settings
from .inference import Inference, run_directly
from .rest import Application
from .session import FILE, ServedModel, load

log = logging.getLogger("onnxserver")


def load_model(settings: Settings) -> ServedModel:
    """The highest version. Raises StatusError where there is none, or one that is refused."""
    versions = numbered_versions(settings.base_path)
    files = {number: path / FILE for number, path in versions.items() if (path / FILE).is_file()}
    if not files:
        raise StatusError(
            Code.NOT_FOUND, f"{settings.base_path} has no numbered version with a file {FILE}"
        )
    return load(settings.model_name, max(files), files[max(files)], settings.session)


def serve(settings: Settings, model: ServedModel) -> None:
    """Answer requests until a signal comes; does not return. Raises OSError for a port in use."""
    metrics = Metrics("open_inference_", "onnxruntime")
    run: Run[ServedModel] = run_directly
    if settings.batching is not None:
        run = Batcher(settings.batching, run_directly, metrics).run
    inference = Inference(model, run, metrics)
    version = onnxruntime.__version__
    rpc = None
    if settings.grpc_port:
        from .rpc import RpcServer  # noqa: PLC0415 its library is not loaded without the port

        rpc = RpcServer(
            inference,
            settings.grpc_port,
            settings.grpc_threads,
            settings.largest_body,
            version,
            settings.grpc_arguments,
        )
    workers = ThreadPoolExecutor(settings.http_threads, thread_name_prefix="request")
    application = Application(inference, metrics, workers, settings.largest_body, version)
    serve_until_signalled(application, settings.http_port, rpc)


def main() -> None:
    prepare()
    settings = flags.read(sys.argv[1:], os.environ)
    began = time.monotonic()
    try:
        model = load_model(settings)
        log.info(
            "ready in %.2f s: %s version %d; REST on port %d, threads %d, gRPC on port %d,"
            " threads %d, %s, batching %s, bodies up to %d bytes",
            time.monotonic() - began,
            model.name,
            model.version,
            settings.http_port,
            settings.http_threads,
            settings.grpc_port,
            settings.grpc_threads,
            settings.session,
            settings.batching or "off",
            settings.largest_body,
        )
        serve(settings, model)
    except (StatusError, OSError) as error:
        sys.exit(f"onnxserver: {error}")


if __name__ == "__main__":
    main()
