"""Run the server: `python -m <this package> [--flag=value ...]`.

Flags and variables are those of TensorFlow Serving and of its image that have a meaning here; any
other flag is refused. It listens only when the model is loaded and warm, so a port that answers is
a replica that is ready.
"""

from __future__ import annotations

import argparse
import gc
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import uvicorn

from .app import Application
from .cpus import cpu_limit
from .model import ServedModel, load
from .protocol import Protocol
from .status import StatusError

log = logging.getLogger("tfserver")

_KEEP_ALIVE_SECONDS = 300
_DRAIN_SECONDS = 5


def arguments(argv: Sequence[str], environment: dict[str, str]) -> argparse.Namespace:
    """The settings in `argv`, with defaults from `environment`; a wrong flag exits with 2."""
    name = environment.get("MODEL_NAME", "model")
    parser = argparse.ArgumentParser(prog="tfserver", allow_abbrev=False, description=__doc__)
    parser.add_argument("--model_name", default=name, help="name in the URL [$MODEL_NAME]")
    parser.add_argument(
        "--model_base_path",
        type=Path,
        help="folder of numbered versions, of which the highest is served"
        " [$MODEL_BASE_PATH/$MODEL_NAME]",
    )
    parser.add_argument("--rest_api_port", type=port, default=8501, help="port to listen on")
    parser.add_argument(
        "--rest_api_num_threads",
        type=positive,
        help="requests worked on at the same time [CPU limit, rounded up, plus one]",
    )
    parser.add_argument(
        "--tensorflow_session_parallelism",
        type=int,
        help="threads of both of TensorFlow's pools where the two flags below are not set",
    )
    parser.add_argument(
        "--tensorflow_intra_op_parallelism",
        type=int,
        help="threads within one operation; 0: one per CPU [CPU limit, rounded up]",
    )
    parser.add_argument(
        "--tensorflow_inter_op_parallelism",
        type=int,
        help="threads for operations of one request; 0: one per CPU; -1: the request's own [-1]",
    )
    settings = parser.parse_args(argv)
    if settings.model_base_path is None:
        base = Path(environment.get("MODEL_BASE_PATH", "/models"))
        settings.model_base_path = base / settings.model_name
    cores = math.ceil(cpu_limit())
    session = settings.tensorflow_session_parallelism
    if settings.rest_api_num_threads is None:
        settings.rest_api_num_threads = cores + 1
    if settings.tensorflow_intra_op_parallelism is None:
        settings.tensorflow_intra_op_parallelism = cores if session is None else session
    if settings.tensorflow_inter_op_parallelism is None:
        settings.tensorflow_inter_op_parallelism = -1 if session is None else session
    return settings


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def port(text: str) -> int:
    value = int(text)
    if not 0 < value < 2**16:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return value


class Server(uvicorn.Server):
    """uvicorn's server, which leaves at once on a signal when no request is being answered."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self.application = application

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.application.in_flight == 0:
            # No clean-up is owed: the kernel frees the model faster than TensorFlow does.
            os._exit(0)
        super().handle_exit(sig, frame)


def serve(model: ServedModel, port_number: int, threads: int) -> None:
    """Answer requests until a signal comes; does not return."""
    application = Application(model, ThreadPoolExecutor(threads, thread_name_prefix="request"))
    config = uvicorn.Config(
        application,
        host="0.0.0.0",  # noqa: S104 the container's own network
        port=port_number,
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
    server = Server(config, application)
    server.run()
    os._exit(0 if server.started else 1)


def main() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # The first process of a container ignores signals that it has no handler for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    settings = arguments(sys.argv[1:], dict(os.environ))
    began = time.monotonic()
    try:
        model = load(
            settings.model_name,
            settings.model_base_path,
            intra_op_threads=settings.tensorflow_intra_op_parallelism,
            inter_op_threads=settings.tensorflow_inter_op_parallelism,
        )
    except (StatusError, ModuleNotFoundError, OSError) as error:
        sys.exit(f"tfserver: {error}")
    log.info(
        "model %s version %d ready in %.2f s, port %d, threads %d, intra-op %d, inter-op %d",
        model.name,
        model.version,
        time.monotonic() - began,
        settings.rest_api_port,
        settings.rest_api_num_threads,
        settings.tensorflow_intra_op_parallelism,
        settings.tensorflow_inter_op_parallelism,
    )
    serve(model, settings.rest_api_port, settings.rest_api_num_threads)


if __name__ == "__main__":
    main()
