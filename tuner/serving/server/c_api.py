"""The functions of TensorFlow's C API that are used here, declared for ctypes.

Source: `tensorflow/c/c_api.h`, `tf_tensor.h` and `tf_tstring.h` in the wheel's `include` folder.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p
from functools import cache
from types import SimpleNamespace
from typing import Any

from .signatures import tensorflow_directory


class Buffer(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("length", c_size_t), ("deallocator", c_void_p))


class Output(ctypes.Structure):
    _fields_ = (("operation", c_void_p), ("index", c_int))


Deallocator = ctypes.CFUNCTYPE(None, c_void_p, c_size_t, c_void_p)

# Name: result, arguments.
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "TF_NewStatus": (c_void_p, ()),
    "TF_DeleteStatus": (None, (c_void_p,)),
    "TF_GetCode": (c_int, (c_void_p,)),
    "TF_Message": (c_char_p, (c_void_p,)),
    "TF_NewGraph": (c_void_p, ()),
    "TF_DeleteGraph": (None, (c_void_p,)),
    "TF_GraphOperationByName": (c_void_p, (c_void_p, c_char_p)),
    "TF_NewSessionOptions": (c_void_p, ()),
    "TF_DeleteSessionOptions": (None, (c_void_p,)),
    "TF_SetConfig": (None, (c_void_p, c_char_p, c_size_t, c_void_p)),
    "TF_NewBuffer": (POINTER(Buffer), ()),
    "TF_NewBufferFromString": (POINTER(Buffer), (c_char_p, c_size_t)),
    "TF_DeleteBuffer": (None, (POINTER(Buffer),)),
    "TF_LoadSessionFromSavedModel": (
        c_void_p,
        (
            c_void_p,
            c_void_p,
            c_char_p,
            POINTER(c_char_p),
            c_int,
            c_void_p,
            POINTER(Buffer),
            c_void_p,
        ),
    ),
    "TF_CloseSession": (None, (c_void_p, c_void_p)),
    "TF_DeleteSession": (None, (c_void_p, c_void_p)),
    "TF_SessionRun": (
        None,
        (
            c_void_p,
            POINTER(Buffer),
            POINTER(Output),
            POINTER(c_void_p),
            c_int,
            POINTER(Output),
            POINTER(c_void_p),
            c_int,
            c_void_p,
            c_int,
            c_void_p,
            c_void_p,
        ),
    ),
    "TF_AllocateTensor": (c_void_p, (c_int, POINTER(c_int64), c_int, c_size_t)),
    "TF_NewTensor": (
        c_void_p,
        (c_int, POINTER(c_int64), c_int, c_void_p, c_size_t, Deallocator, c_void_p),
    ),
    "TF_DeleteTensor": (None, (c_void_p,)),
    "TF_TensorType": (c_int, (c_void_p,)),
    "TF_NumDims": (c_int, (c_void_p,)),
    "TF_Dim": (c_int64, (c_void_p, c_int)),
    "TF_TensorByteSize": (c_size_t, (c_void_p,)),
    "TF_TensorData": (c_void_p, (c_void_p,)),
    "memmove": (c_void_p, (c_void_p, c_void_p, c_size_t)),
    "TF_StringInit": (None, (c_void_p,)),
    "TF_StringCopy": (None, (c_void_p, c_char_p, c_size_t)),
    "TF_StringDealloc": (None, (c_void_p,)),
    "TF_StringGetDataPointer": (c_void_p, (c_void_p,)),
    "TF_StringGetSize": (c_size_t, (c_void_p,)),
}


# What may take long lets other threads run; the rest keeps the GIL, since giving it up and
# taking it back costs more than such a call.
_LONG = {
    "TF_LoadSessionFromSavedModel",
    "TF_SessionRun",
    "TF_CloseSession",
    "TF_DeleteSession",
    "TF_DeleteGraph",
}


@cache
def library() -> Any:  # noqa: ANN401 the names are resolved at run time
    """The C API, loaded once per process, as a namespace of functions; also C's `memmove`."""
    path = str(tensorflow_directory() / "libtensorflow_cc.so.2")
    releasing, holding = ctypes.CDLL(path), ctypes.PyDLL(path)
    functions = SimpleNamespace()
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(releasing if name in _LONG else holding, name)
        function.restype = result
        function.argtypes = arguments
        setattr(functions, name, function)
    return functions
