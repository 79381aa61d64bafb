"""A SavedModel loaded and run through TensorFlow's C API.

`TF_LoadSessionFromSavedModel` is the C++ loader that TensorFlow Serving uses too. A run
releases the GIL, so runs of several threads go on in parallel.
"""

from __future__ import annotations

import ctypes
import math
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import c_char_p, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .c_api import Deallocator, Output, library
from .signatures import (
    TENSOR_TYPES,
    MetaGraph,
    Signature,
    TensorSpec,
    protobuf_module,
    read_meta_graph,
)
from .status import Code, StatusError, invalid

_STRING = "DT_STRING"
_STRING_BYTES = 24  # sizeof(TF_TString)


@contextmanager
def _status() -> Iterator[int]:
    """A TF_Status; raises StatusError at the end of the block where it is not OK."""
    tf = library()
    status = tf.TF_NewStatus()
    try:
        yield status
        code = tf.TF_GetCode(status)
        if code != Code.OK:
            raise StatusError(Code(code), tf.TF_Message(status).decode("utf-8", "replace"))
    finally:
        tf.TF_DeleteStatus(status)


@cache
def _type_numbers() -> dict[str, int]:
    return dict(protobuf_module("framework.types").DataType.items())


@cache
def _type_names() -> dict[int, str]:
    return {number: name for name, number in _type_numbers().items()}


# Memory of string tensors that TensorFlow still holds, by address.
_string_memory: dict[int, ctypes.Array[Any]] = {}


def _free_strings(data: int, length: int, _argument: int | None) -> None:
    tf = library()
    for offset in range(0, length, _STRING_BYTES):
        tf.TF_StringDealloc(data + offset)
    del _string_memory[data]


_free_strings_callback = Deallocator(_free_strings)  # kept: C holds only its address


def _new_tensor(array: npt.NDArray[Any], dtype: str) -> int:
    """A TF_Tensor with a copy of `array`, which has the NumPy type of `dtype`."""
    tf = library()
    shape = (c_int64 * array.ndim)(*array.shape)
    number = _type_numbers()[dtype]
    if dtype != _STRING:
        array = np.asarray(array, order="C")  # `ascontiguousarray` would give a scalar a dimension
        tensor = tf.TF_AllocateTensor(number, shape, array.ndim, array.nbytes)
        tf.memmove(tf.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
        return int(tensor)
    length = array.size * _STRING_BYTES
    memory = ctypes.create_string_buffer(max(length, 1))
    address = ctypes.addressof(memory)
    _string_memory[address] = memory
    for index, element in enumerate(array.flat):
        string = address + index * _STRING_BYTES
        tf.TF_StringInit(string)
        tf.TF_StringCopy(string, element, len(element))
    return int(
        tf.TF_NewTensor(number, shape, array.ndim, address, length, _free_strings_callback, None),
    )


def _array_of(tensor: int) -> npt.NDArray[Any]:
    """A copy of a TF_Tensor's content.

    Raises StatusError (UNIMPLEMENTED) for an element type without a NumPy counterpart.
    """
    tf = library()
    number = tf.TF_TensorType(tensor)
    dtype = _type_names().get(number, str(number))
    if dtype not in TENSOR_TYPES:
        raise StatusError(Code.UNIMPLEMENTED, f"tensors of type {dtype} are not supported")
    shape = tuple(tf.TF_Dim(tensor, axis) for axis in range(tf.TF_NumDims(tensor)))
    array = np.empty(shape, TENSOR_TYPES[dtype])
    data = tf.TF_TensorData(tensor)
    if dtype != _STRING:
        tf.memmove(array.ctypes.data, data, array.nbytes)
        return array
    flat = array.reshape(-1)
    for index in range(math.prod(shape)):
        string = data + index * _STRING_BYTES
        size = tf.TF_StringGetSize(string)
        flat[index] = ctypes.string_at(tf.TF_StringGetDataPointer(string), size)
    return array


def _new_options(**options: int) -> Any:  # noqa: ANN401 a pointer
    """`tensorflow.RunOptions` as a new TF_Buffer."""
    serialized = protobuf_module("protobuf.config").RunOptions(**options).SerializeToString()
    return library().TF_NewBufferFromString(serialized, len(serialized))


@cache
def _in_calling_thread() -> Any:  # noqa: ANN401 a pointer
    """Made once, and kept: almost every run needs it."""
    return _new_options(inter_op_thread_pool=-1)


@contextmanager
def _run_options(*, in_calling_thread: bool, seconds: float | None) -> Iterator[Any]:
    """`tensorflow.RunOptions` as a TF_Buffer; None where a run needs none."""
    if seconds is None:
        yield _in_calling_thread() if in_calling_thread else None
        return
    options = _new_options(timeout_in_ms=max(1, math.ceil(seconds * 1000)))
    try:
        yield options
    finally:
        library().TF_DeleteBuffer(options)


@dataclass(frozen=True)
class _Call:
    """A signature with its tensors resolved in the graph, in the order of the C arrays."""

    inputs: tuple[tuple[str, TensorSpec], ...]
    outputs: tuple[str, ...]
    input_array: ctypes.Array[Output]
    output_array: ctypes.Array[Output]


class _Native:
    """What TensorFlow has allocated for a model."""

    def __init__(self) -> None:
        self.graph: int | None = library().TF_NewGraph()
        self.session: int | None = None

    def free(self) -> None:
        tf = library()
        if self.session is not None:
            session, self.session = self.session, None
            with _status() as status:
                tf.TF_CloseSession(session, status)
            with _status() as status:
                tf.TF_DeleteSession(session, status)
        if self.graph is not None:
            tf.TF_DeleteGraph(self.graph)
            self.graph = None


class SavedModel:
    """A SavedModel (tag `serve`) ready to run. Use it as a context manager or call `close`.

    `intra_op_threads` and `inter_op_threads` size TensorFlow's thread pools; zero lets it choose.
    With negative `inter_op_threads`, all operations of a run are in the calling thread, unless the
    run has a deadline. `run` may be called from any number of threads at once. Raises StatusError
    where the loader refuses the model, ModuleNotFoundError where TensorFlow's libraries are not
    installed.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, intra_op_threads: int = 0, inter_op_threads: int = 0
    ) -> None:
        self._native = _Native()
        # What is forgotten is freed too: of a version that is given up nobody knows the last user.
        self.close = weakref.finalize(self, self._native.free)
        """Free the session and the graph; a second call does nothing."""
        # When the process ends, its memory goes faster without TensorFlow's help.
        self.close.atexit = False
        try:
            self._meta_graph = self._load(Path(path), intra_op_threads, inter_op_threads)
        except BaseException:
            self.close()
            raise
        self._calls: dict[str, _Call] = {}
        self._in_calling_thread = inter_op_threads < 0

    def _load(self, path: Path, intra_op_threads: int, inter_op_threads: int) -> MetaGraph:
        tf = library()
        config = (
            protobuf_module("protobuf.config")
            .ConfigProto(
                intra_op_parallelism_threads=intra_op_threads,
                # The calling thread cannot stop itself: runs with a deadline need others.
                inter_op_parallelism_threads=max(inter_op_threads, 0),
                # Pool threads that spin while they wait burn the replica's CPU quota.
                experimental={"disable_thread_spinning": True},
            )
            .SerializeToString()
        )
        options = tf.TF_NewSessionOptions()
        meta_graph = tf.TF_NewBuffer()
        try:
            with _status() as status:
                tf.TF_SetConfig(options, config, len(config), status)
            tags = (c_char_p * 1)(b"serve")
            with _status() as status:
                self._native.session = tf.TF_LoadSessionFromSavedModel(
                    options,
                    None,
                    os.fsencode(path),
                    tags,
                    1,
                    self._native.graph,
                    meta_graph,
                    status,
                )
            content = meta_graph.contents
            return read_meta_graph(ctypes.string_at(content.data, content.length))
        finally:
            tf.TF_DeleteBuffer(meta_graph)
            tf.TF_DeleteSessionOptions(options)

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._meta_graph.signatures

    @property
    def signature_def(self) -> Mapping[str, Any]:
        """The signatures as the JSON object that TensorFlow Serving shows."""
        return self._meta_graph.signature_def

    @property
    def serialized_signatures(self) -> Mapping[str, bytes]:
        """The signatures as serialized `tensorflow.SignatureDef` messages."""
        return self._meta_graph.serialized

    def run(
        self,
        signature: str,
        inputs: Mapping[str, npt.NDArray[Any]],
        seconds: float | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Outputs of `signature` by name; arrays of DT_STRING hold `bytes` objects.

        Inputs are converted to the signature's types. A run that is not done after `seconds` is
        stopped between two operations. Raises StatusError, INVALID_ARGUMENT where the signature or
        an input is missing or does not fit, DEADLINE_EXCEEDED for a run that was stopped, or what
        TensorFlow says.
        """
        session = self._native.session
        if session is None:
            raise StatusError(Code.FAILED_PRECONDITION, "the model is closed")
        call = self._call(signature)
        if inputs.keys() != {alias for alias, _ in call.inputs}:
            expected = ", ".join(alias for alias, _ in call.inputs)
            raise invalid(f"signature {signature!r} takes the inputs {expected}")
        tf = library()
        count_in, count_out = len(call.inputs), len(call.outputs)
        given = (c_void_p * count_in)()
        got = (c_void_p * count_out)()
        try:
            for index, (alias, spec) in enumerate(call.inputs):
                array = np.asarray(inputs[alias], dtype=TENSOR_TYPES[spec.dtype])
                given[index] = _new_tensor(array, spec.dtype)
            with (
                _run_options(in_calling_thread=self._in_calling_thread, seconds=seconds) as options,
                _status() as status,
            ):
                tf.TF_SessionRun(
                    session,
                    options,
                    call.input_array,
                    given,
                    count_in,
                    call.output_array,
                    got,
                    count_out,
                    None,
                    0,
                    None,
                    status,
                )
            return {
                alias: _array_of(tensor) for alias, tensor in zip(call.outputs, got, strict=True)
            }
        finally:
            for tensor in (*given, *got):
                if tensor:
                    tf.TF_DeleteTensor(tensor)

    def _call(self, name: str) -> _Call:
        call = self._calls.get(name)
        if call is None:
            if name not in self.signatures:
                raise invalid(f'Serving signature name: "{name}" not found in signature def')
            signature = self.signatures[name]
            call = self._calls[name] = _Call(
                inputs=tuple(signature.inputs.items()),
                outputs=tuple(signature.outputs),
                input_array=self._resolve(signature.inputs),
                output_array=self._resolve(signature.outputs),
            )
        return call

    def _resolve(self, specs: Mapping[str, TensorSpec]) -> ctypes.Array[Output]:
        tf = library()
        array = (Output * len(specs))()
        for index, (alias, spec) in enumerate(specs.items()):
            if spec.dtype not in TENSOR_TYPES or not spec.tensor:
                raise StatusError(
                    Code.UNIMPLEMENTED,
                    f"{alias!r} is not a dense tensor of a supported type ({spec.dtype})",
                )
            operation, _, output = spec.tensor.partition(":")
            found = tf.TF_GraphOperationByName(self._native.graph, operation.encode())
            if not found:
                raise StatusError(Code.NOT_FOUND, f"tensor {spec.tensor!r} is not in the graph")
            array[index] = Output(found, int(output or 0))
        return array

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()
