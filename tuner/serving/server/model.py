"""One version of a model, loaded and warm."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .codec import DEFAULT_SIGNATURE
from .signatures import PREDICT_METHOD, TENSOR_TYPES, Signature, TensorSpec
from .status import StatusError
from .tensorflow_c import SavedModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedModel:
    """One version of one model. `saved_model.run` may be called from many threads."""

    name: str
    version: int
    saved_model: SavedModel


def load(path: Path, *, intra_op_threads: int, inter_op_threads: int) -> SavedModel:
    """The SavedModel in `path`, which has been run once.

    Raises StatusError where the loader refuses it.
    """
    saved_model = SavedModel(
        path, intra_op_threads=intra_op_threads, inter_op_threads=inter_op_threads
    )
    warm(saved_model)
    return saved_model


def warm(saved_model: SavedModel) -> None:
    """One inference, so that what TensorFlow does on a first call is done before a request.

    Inputs are zeros (or empty strings) of the least shape that the signature allows; a model
    that refuses them is served all the same.
    """
    name = warm_signature(saved_model.signatures)
    if name is None:
        log.warning("no predict signature: the first request will be slow")
        return
    inputs = {k: least_input(s) for k, s in saved_model.signatures[name].inputs.items()}
    try:
        saved_model.run(name, inputs)
    except StatusError as error:
        log.warning("the warm-up input did not suit the signature %s: %s", name, error.message)


def warm_signature(signatures: Mapping[str, Signature]) -> str | None:
    """The predict signature to warm: the default one where it qualifies."""
    names = [
        name
        for name, signature in signatures.items()
        if signature.method == PREDICT_METHOD
        and signature.inputs
        and all(s.dtype in TENSOR_TYPES and s.tensor for s in signature.inputs.values())
    ]
    return DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in names else next(iter(names), None)


def least_input(spec: TensorSpec) -> npt.NDArray[Any]:
    """Zeros (or empty strings) that fit `spec`, with 1 for every unknown size."""
    shape = (1,) if spec.shape is None else tuple(1 if size < 0 else size for size in spec.shape)
    if spec.dtype == "DT_STRING":
        return np.full(shape, b"", dtype=object)
    return np.zeros(shape, TENSOR_TYPES[spec.dtype])
