"""The command line. Settings of ONNX Runtime have the names and values of its `SessionOptions`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

from tuner.serving.server.batching import BatchingParameters
from tuner.serving.server.batching_flags import (
    MOST_THREADS,
    add_batching_flags,
    batching_parameters,
    request_threads,
)
from tuner.serving.server.flag_types import (
    boolean,
    channel_arguments,
    port,
    port_or_none,
    positive,
)
from tuner.serving.server.limits import body_limit, cpu_limit, memory_limit

from .session import ExecutionMode, OptimizationLevel, SessionSettings


@dataclass(frozen=True)
class Settings:
    """What the server does. Ports are TCP ports, `grpc_port` 0 is no gRPC; sizes are in bytes."""

    model_name: str
    base_path: Path
    http_port: int
    http_threads: int
    grpc_port: int
    grpc_threads: int
    grpc_arguments: Mapping[str, int | str]
    largest_body: int
    session: SessionSettings
    batching: BatchingParameters | None


def read(argv: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings in `argv`, with defaults from `environment`; a wrong flag exits with 2."""
    parser = _parser(environment)
    given = parser.parse_args(argv)
    cores = math.ceil(cpu_limit())
    try:
        batching = batching_parameters(given, cores)
    except ValueError as error:
        parser.error(str(error))
    threads = request_threads(cores, batching)
    session = {field.name: getattr(given, field.name) for field in fields(SessionSettings)}
    if session["intra_op_num_threads"] is None:
        session["intra_op_num_threads"] = cores
    return Settings(
        model_name=given.model_name,
        base_path=given.model_base_path
        or Path(environment.get("MODEL_BASE_PATH", "/models")) / given.model_name,
        http_port=given.http_port,
        http_threads=given.http_threads or threads,
        grpc_port=given.grpc_port,
        grpc_threads=given.grpc_threads or max(4 * cores, threads),
        grpc_arguments=given.grpc_channel_arguments,
        largest_body=given.max_body_bytes or body_limit(memory_limit()),
        session=SessionSettings(**session),
        batching=batching,
    )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="onnxserver", allow_abbrev=False, description=__doc__)
    add = parser.add_argument
    add(
        "--model_name",
        default=environment.get("MODEL_NAME", "model"),
        help="name in the URL [$MODEL_NAME]",
    )
    add(
        "--model_base_path",
        type=Path,
        help="folder of numbered versions, of which the highest with a model.onnx is served"
        " [$MODEL_BASE_PATH/$MODEL_NAME]",
    )
    add("--http_port", type=port, default=8080, help="port of the REST API [8080]")
    add(
        "--http_threads",
        type=positive,
        help="REST requests worked on at the same time [CPU limit, rounded up, plus one; with"
        f" batching twice max_batch_size, at most {MOST_THREADS}]",
    )
    add("--grpc_port", type=port_or_none, default=8081, help="port of gRPC, 0: none [8081]")
    add(
        "--grpc_threads",
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
        "--max_body_bytes",
        type=positive,
        help="largest body or gRPC message; a larger one gets 413 [64 MiB, or 1/32 of the memory"
        " limit where that is less]",
    )
    add(
        "--intra_op_num_threads",
        type=threads,
        help="threads within one operation; 0: one per core [CPU limit, rounded up]",
    )
    add(
        "--inter_op_num_threads",
        type=threads,
        default=1,
        help="threads for operations side by side, with ORT_PARALLEL; 0: one per core [1]",
    )
    add(
        "--execution_mode",
        choices=get_args(ExecutionMode),
        default=SessionSettings.execution_mode,
        help="whether operations of one request run side by side"
        f" [{SessionSettings.execution_mode}]",
    )
    add(
        "--graph_optimization_level",
        choices=get_args(OptimizationLevel),
        default=SessionSettings.graph_optimization_level,
        help=f"how much of the graph is rewritten [{SessionSettings.graph_optimization_level}]",
    )
    add(
        "--allow_spinning",
        type=boolean,
        default=False,
        help="threads without work spin before they sleep: faster, for CPU [false; ONNX Runtime's"
        " own default is true]",
    )
    add(
        "--enable_cpu_mem_arena",
        type=boolean,
        default=True,
        help="keep memory for the next request [true]",
    )
    add_batching_flags(parser)
    return parser


def threads(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 1024:
        raise argparse.ArgumentTypeError(f"{text} is not a number of threads")
    return value
