"""The command line: flags and variables of TensorFlow Serving and of its image.

Those that have a meaning here keep their names; any other flag is refused. The batching parameters,
for which TensorFlow Serving wants a file, may also be flags of the same names.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .app import PROMETHEUS_PATH
from .batching import BatchingParameters
from .batching_flags import (
    MOST_THREADS,
    add_batching_flags,
    batching_parameters,
    refuse_without_batching,
    request_threads,
)
from .configuration import read_batching, read_metrics_path, read_models
from .flag_types import (
    boolean,
    channel_arguments,
    not_negative,
    port,
    port_or_none,
    positive,
)
from .limits import body_limit, cpu_limit, memory_limit
from .versions import ModelConfig


@dataclass(frozen=True)
class Settings:
    """What the server does. Ports are TCP ports, `grpc_port` 0 is no gRPC; sizes are in bytes."""

    models: tuple[ModelConfig, ...]
    rest_port: int
    rest_threads: int
    grpc_port: int
    grpc_threads: int
    grpc_arguments: Mapping[str, int | str]
    largest_body: int
    metrics_path: str | None
    intra_op_threads: int
    inter_op_threads: int
    batching: BatchingParameters | None
    poll_seconds: float
    rest_seconds: float | None = None
    check_methods: bool = False


def read(argv: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings in `argv`, with defaults from `environment`; a wrong flag exits with 2."""
    parser = _parser(environment)
    given = parser.parse_args(argv)
    cores = math.ceil(cpu_limit())
    session = given.tensorflow_session_parallelism
    intra, inter = given.tensorflow_intra_op_parallelism, given.tensorflow_inter_op_parallelism
    try:
        batching = _batching(given, cores)
        rest_threads = request_threads(cores, batching)
        return Settings(
            models=_models(given, environment),
            rest_port=given.rest_api_port,
            rest_threads=given.rest_api_num_threads or rest_threads,
            grpc_port=given.port,
            grpc_threads=given.grpc_max_threads or max(4 * cores, rest_threads),
            grpc_arguments=given.grpc_channel_arguments,
            largest_body=given.rest_api_max_body_bytes or body_limit(memory_limit()),
            metrics_path=PROMETHEUS_PATH
            if given.monitoring_config_file is None
            else read_metrics_path(given.monitoring_config_file),
            intra_op_threads=_first(intra, session, cores),
            inter_op_threads=_first(inter, session, -1),
            batching=batching,
            poll_seconds=given.file_system_poll_wait_seconds,
            rest_seconds=given.rest_api_timeout_in_ms / 1000 or None,
            check_methods=given.enable_signature_method_name_check,
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tfserver", allow_abbrev=False, description=__doc__)
    add = parser.add_argument
    add(
        "--model_name",
        default=environment.get("MODEL_NAME", "model"),
        help="name in the URL [$MODEL_NAME]",
    )
    add(
        "--model_base_path",
        type=Path,
        help="folder of numbered versions, of which the highest is served"
        " [$MODEL_BASE_PATH/$MODEL_NAME]",
    )
    add(
        "--model_config_file",
        type=Path,
        help="ModelServerConfig in text form, instead of the two flags above: several models,"
        " which of their versions, labels",
    )
    add(
        "--file_system_poll_wait_seconds",
        type=float,
        default=1.0,
        help="time between looks for new versions; 0: only at the start [1]",
    )
    add("--rest_api_port", type=port, default=8501, help="port of the REST API [8501]")
    add(
        "--rest_api_num_threads",
        type=positive,
        help="REST requests worked on at the same time [CPU limit, rounded up, plus one; with"
        f" batching twice max_batch_size, at most {MOST_THREADS}]",
    )
    add(
        "--rest_api_timeout_in_ms",
        type=not_negative,
        default=0,
        help="a model that runs longer for a REST request is stopped; 0: none is [0]",
    )
    add(
        "--rest_api_max_body_bytes",
        type=positive,
        help="largest body or gRPC message; a larger one gets 413 [64 MiB, or 1/32 of the memory"
        " limit where that is less]; not a flag of TensorFlow Serving",
    )
    add("--port", type=port_or_none, default=8500, help="port of the gRPC API, 0: none [8500]")
    add(
        "--grpc_max_threads",
        type=positive,
        help="gRPC requests worked on at the same time [4 per CPU; with batching as for REST]",
    )
    add(
        "--grpc_channel_arguments",
        type=channel_arguments,
        default={},
        help="gRPC's own settings: name=value,...",
    )
    add(
        "--monitoring_config_file",
        type=Path,
        help=f"MonitoringConfig in text form [metrics at {PROMETHEUS_PATH}]",
    )
    add(
        "--tensorflow_session_parallelism",
        type=int,
        help="threads of both of TensorFlow's pools where the two flags below are not set",
    )
    add(
        "--tensorflow_intra_op_parallelism",
        type=int,
        help="threads within one operation; 0: one per CPU [CPU limit, rounded up]",
    )
    add(
        "--tensorflow_inter_op_parallelism",
        type=int,
        help="threads for operations of one request; 0: one per CPU; -1: the request's own [-1]",
    )
    add(
        "--enable_signature_method_name_check",
        type=boolean,
        nargs="?",
        const=True,
        default=False,
        help="a signature can be asked only by the method that it names [false]",
    )
    add_batching_flags(parser)
    add("--batching_parameters_file", type=Path, help="BatchingParameters in text form")
    add(
        "--pad_variable_length_inputs",
        type=boolean,
        nargs="?",
        const=True,
        help="make inputs of different shapes one batch by padding [false]",
    )
    return parser


def _models(given: argparse.Namespace, environment: Mapping[str, str]) -> tuple[ModelConfig, ...]:
    if given.model_config_file is not None:
        return read_models(given.model_config_file)
    base_path = given.model_base_path
    if base_path is None:
        base_path = Path(environment.get("MODEL_BASE_PATH", "/models")) / given.model_name
    return (ModelConfig(given.model_name, base_path),)


def _batching(given: argparse.Namespace, cores: int) -> BatchingParameters | None:
    file = given.batching_parameters_file
    read = file is not None and given.enable_batching
    batching = batching_parameters(given, cores, read_batching(file) if read else None)
    if batching is None and file is not None:
        refuse_without_batching("batching_parameters_file")
    return batching


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)
