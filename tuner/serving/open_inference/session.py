"""One version of an ONNX model in ONNX Runtime, loaded and warm."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime

from tuner.serving.server.run import Tensors
from tuner.serving.server.status import Code, StatusError, invalid

from .tensors import TensorSpec, least_input

log = logging.getLogger(__name__)

FILE = "model.onnx"
"""What a version's directory must have."""

ExecutionMode = Literal["ORT_SEQUENTIAL", "ORT_PARALLEL"]
OptimizationLevel = Literal[
    "ORT_DISABLE_ALL",
    "ORT_ENABLE_BASIC",
    "ORT_ENABLE_EXTENDED",
    "ORT_ENABLE_LAYOUT",
    "ORT_ENABLE_ALL",
]

# ONNX Runtime's names of element types in `NodeArg.type`.
_TYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}

# Its exceptions by name; all others are INTERNAL.
_CODES = {
    "InvalidArgument": Code.INVALID_ARGUMENT,
    "InvalidGraph": Code.INVALID_ARGUMENT,
    "InvalidProtobuf": Code.INVALID_ARGUMENT,
    "NoSuchFile": Code.NOT_FOUND,
    "NotImplemented": Code.UNIMPLEMENTED,
}


@dataclass(frozen=True)
class SessionSettings:
    """ONNX Runtime's `SessionOptions` of the same names; 0 threads are one per core."""

    intra_op_num_threads: int = 1
    inter_op_num_threads: int = 1
    execution_mode: ExecutionMode = "ORT_SEQUENTIAL"
    graph_optimization_level: OptimizationLevel = "ORT_ENABLE_ALL"
    allow_spinning: bool = False
    """Whether its idle threads spin for a while before they sleep."""
    enable_cpu_mem_arena: bool = True


@dataclass(frozen=True)
class ServedModel:
    """One version of one model. `run` may be called from many threads at once."""

    name: str
    version: int
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    session: Any

    def run(self, inputs: Tensors) -> Tensors:
        """All outputs. Raises StatusError, in ONNX Runtime's words, where it refuses the inputs."""
        feed = {name: _texts(name, array) for name, array in inputs.items()}
        try:
            found: Sequence[npt.NDArray[Any]] = self.session.run(list(self.outputs), feed)
        except Exception as error:
            raise _refused(error) from error
        return {
            name: _bytes(array) if self.outputs[name].datatype == "BYTES" else array
            for name, array in zip(self.outputs, found, strict=True)
        }


def load(name: str, version: int, file: Path, settings: SessionSettings) -> ServedModel:
    """The model in `file`, which has been run once.

    Raises StatusError where ONNX Runtime refuses it, and for inputs or outputs that are no tensors.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.intra_op_num_threads
    options.inter_op_num_threads = settings.inter_op_num_threads
    options.execution_mode = getattr(onnxruntime.ExecutionMode, settings.execution_mode)
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, settings.graph_optimization_level
    )
    options.enable_cpu_mem_arena = settings.enable_cpu_mem_arena
    spinning = "1" if settings.allow_spinning else "0"
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", spinning)
    try:
        session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise _refused(error) from error
    model = ServedModel(
        name,
        version,
        {one.name: _spec(one, "input") for one in session.get_inputs()},
        {one.name: _spec(one, "output") for one in session.get_outputs()},
        session,
    )
    _warm(model)
    return model


def _warm(model: ServedModel) -> None:
    """One inference of the least inputs; a model that refuses them is served all the same."""
    try:
        model.run({name: least_input(spec) for name, spec in model.inputs.items()})
    except StatusError as error:
        log.warning("the warm-up input did not suit the model: %s", error.message)


def _spec(one: Any, kind: str) -> TensorSpec:  # noqa: ANN401 a NodeArg
    if one.type not in _TYPES:
        raise StatusError(
            Code.UNIMPLEMENTED,
            f"{kind} {one.name!r} is of type {one.type}, for which the Open Inference Protocol has "
            "no tensor; a model of scikit-learn is converted with zipmap=False",
        )
    sizes = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in one.shape)
    return TensorSpec(one.name, _TYPES[one.type], sizes)


def _texts(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Strings as ONNX Runtime takes them; all else as it is."""
    if array.dtype.kind != "O":
        return array
    texts = np.empty(array.shape, np.object_)
    try:
        texts.reshape(-1)[:] = [one.decode() for one in array.reshape(-1).tolist()]
    except UnicodeDecodeError as error:
        raise invalid(f"input {name!r} is not text in UTF-8: {error}") from error
    return texts


def _bytes(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    found = np.empty(array.shape, np.object_)
    found.reshape(-1)[:] = [one.encode() for one in array.reshape(-1).tolist()]
    return found


def _refused(error: Exception) -> StatusError:
    code = _CODES.get(type(error).__name__, Code.INTERNAL)
    return StatusError(code, " ".join(str(error).split()))
