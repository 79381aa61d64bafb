"""Makes requests for a model from its signature alone. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tuner.errors import InputError
from tuner.serving.server.codec import DEFAULT_SIGNATURE
from tuner.serving.server.signatures import NUMPY_TYPES, PREDICT_METHOD, Signature, TensorSpec
from tuner.spec.problems import nearest

BATCH = "batch"
"""The name of an unknown first dimension."""

MOST_REQUESTS = 8
MOST_NUMBERS = 2_000_000
"""The most numbers in all requests together: each becomes several bytes of text."""

MOST_IN_ONE = 5_000_000
"""The most numbers in one request."""

_WORDS = ("tune", "model", "serving", "one", "two", "three", "a few words", "")

_REAL = "give real inputs with --requests FILE, a JSON body of :predict on each line"


@dataclass(frozen=True)
class Synthesis:
    """Bodies of `:predict`, and the assumptions behind them in words."""

    requests: tuple[dict[str, Any], ...]
    assumed: tuple[str, ...]


def choose_signature(signatures: Mapping[str, Signature], wanted: str | None) -> str:
    """The asked signature, otherwise the default one, otherwise the only one that can be called.

    Raises InputError where there is none, or there are several.
    """
    usable = [name for name, signature in signatures.items() if _is_usable(signature)]
    listed = ", ".join(usable) or "none"
    if wanted is not None:
        if wanted in usable:
            return wanted
        raise InputError(
            f"the model has no signature {wanted!r} that can be called{nearest(wanted, usable)}",
            f"signatures with dense tensors to predict with: {listed}",
        )
    if DEFAULT_SIGNATURE in usable:
        return DEFAULT_SIGNATURE
    if len(usable) == 1:
        return usable[0]
    if not usable:
        raise InputError(
            "the model has no signature for predictions whose tensors are dense and have a JSON"
            " form",
            "export it with one: model.export(directory) of Keras, or"
            " tf.saved_model.save(module, directory, signatures=function)",
        )
    raise InputError(
        f"the model has several signatures and none is called {DEFAULT_SIGNATURE}: {listed}",
        "choose one with --signature",
    )


def tensors_text(tensors: Mapping[str, TensorSpec]) -> str:
    """Inputs or outputs in words: `x float [?, 1], y string`."""
    return ", ".join(
        f"{_printable(name)} {spec.dtype.removeprefix('DT_').lower()} {_shape(spec)}"
        for name, spec in tensors.items()
    )


def synthesise(
    name: str, signature: Signature, dims: Mapping[str, int], seed: int = 0
) -> Synthesis:
    """Requests with random inputs of the signature's types and shapes.

    Numbers with a fraction are from 0 to 1, whole numbers from 0 to 9, bytes from 0 to 255. `dims`
    gives unknown dimensions as `<input>.<axis>`. An unknown first dimension of any input is
    `batch`, by default 1. Raises InputError for a dimension that is missing in `dims` or unneeded.
    """
    sizes = dict(dims)
    unknown = dict.fromkeys(_unknown(signature))
    lone = [key for key in unknown if key not in sizes and key != BATCH]
    if lone:
        raise InputError(
            f"unknown dimensions of signature {name!r}: {tensors_text(signature.inputs)}",
            f"give them: {' '.join(f'--dim {key}=VALUE' for key in lone)}; or {_REAL}",
        )
    if surplus := [key for key in sizes if key not in unknown]:
        raise InputError(
            f"--dim {surplus[0]} is not an unknown dimension of {tensors_text(signature.inputs)}",
            f"the unknown dimensions: {', '.join(unknown) or 'none'}",
        )
    sizes.setdefault(BATCH, 1)
    shapes = {
        key: tuple(
            size if size >= 0 else sizes[BATCH if axis == 0 else f"{key}.{axis}"]
            for axis, size in enumerate(spec.shape or ())
        )
        for key, spec in signature.inputs.items()
    }
    rng = np.random.default_rng(seed)
    total = sum(math.prod(shape) for shape in shapes.values())
    # An empty dimension does not make the lists around it fewer.
    if sum(math.prod(max(1, size) for size in shape) for shape in shapes.values()) > MOST_IN_ONE:
        raise InputError(
            f"inputs of signature {name!r} have more than {MOST_IN_ONE}"
            f" numbers: {tensors_text(signature.inputs)}",
            f"give smaller dimensions with --dim where they are unknown; or {_REAL}",
        )
    count = max(1, min(MOST_REQUESTS, MOST_NUMBERS // max(1, total)))
    by_row = _by_row(signature)
    head = {} if name == DEFAULT_SIGNATURE else {"signature_name": name}
    requests = tuple(
        head
        | _body({k: _values(signature.inputs[k].dtype, shapes[k], rng) for k in shapes}, by_row)
        for _ in range(count)
    )
    assumed = [f"inputs are random: {tensors_text(signature.inputs)}"]
    if BATCH in unknown and BATCH not in dims:
        assumed.append("the batch, an unknown dimension, is 1 (--dim batch=N for another)")
    return Synthesis(requests, tuple(assumed))


def _is_usable(signature: Signature) -> bool:
    tensors = (*signature.inputs.values(), *signature.outputs.values())
    dense = all(spec.tensor and spec.dtype in NUMPY_TYPES for spec in tensors)
    return signature.method == PREDICT_METHOD and bool(signature.inputs) and dense


def _unknown(signature: Signature) -> Iterator[str]:
    for name, spec in signature.inputs.items():
        if spec.shape is None:
            raise InputError(f"input {name!r} has no known number of dimensions", _REAL)
        for axis, size in enumerate(spec.shape):
            if size < 0:
                yield BATCH if axis == 0 else f"{name}.{axis}"


def _by_row(signature: Signature) -> bool:
    """Whether the first dimension of every tensor is unknown, and so the batch."""
    specs = (*signature.inputs.values(), *signature.outputs.values())
    return all(spec.shape is not None and spec.shape[:1] == (-1,) for spec in specs)


def _body(values: Mapping[str, npt.NDArray[Any]], by_row: bool) -> dict[str, Any]:
    if not by_row:
        return {"inputs": {name: array.tolist() for name, array in values.items()}}
    if len(values) == 1:
        return {"instances": next(iter(values.values())).tolist()}
    rows = zip(*(array.tolist() for array in values.values()), strict=True)
    return {"instances": [dict(zip(values, row, strict=True)) for row in rows]}


def _values(dtype: str, shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[Any]:
    """Random values that JSON holds precisely enough."""
    if dtype == "DT_STRING":
        drawn = rng.integers(0, len(_WORDS), shape)
        return np.asarray(np.array(_WORDS, np.object_)[drawn], np.object_)
    if dtype == "DT_BOOL":
        return np.asarray(rng.integers(0, 2, shape), np.bool_)
    if dtype in {"DT_FLOAT", "DT_DOUBLE", "DT_HALF"}:
        return np.asarray(np.round(rng.random(shape), 3))
    return np.asarray(rng.integers(0, 256 if dtype == "DT_UINT8" else 10, shape))


def _printable(name: str) -> str:
    """A name from a file that anybody may have made: no new lines, no commands of a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def _shape(spec: TensorSpec) -> str:
    if spec.shape is None:
        return "of unknown shape"
    return "[" + ", ".join("?" if size < 0 else str(size) for size in spec.shape) + "]"
