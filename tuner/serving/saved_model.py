"""Reads the signatures of a SavedModel from its file, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from tuner.errors import InputError
from tuner.serving import server
from tuner.serving.server.messages import Schema
from tuner.serving.server.signatures import Signature, TensorSpec
from tuner.serving.server.tensor_proto import type_name

FILE = "saved_model.pb"
TAG = "serve"

_SCHEMA = Schema(
    (
        Path(server.__file__).with_name("tensorflow.proto"),
        Path(__file__).with_name("saved_model.proto"),
    )
)


def read_signatures(directory: Path) -> Mapping[str, Signature]:
    """The signatures of the SavedModel in `directory` by name: those of its graph tagged `serve`.

    Raises InputError where there is no such file or graph.
    """
    path = directory / FILE
    try:
        graphs = (
            _SCHEMA.message_class("tensorflow.SavedModel").FromString(path.read_bytes()).meta_graphs
        )
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise InputError(
            f"{path} is not the file of a SavedModel", "export the model again"
        ) from error
    tags = [set(graph.meta_info_def.tags) for graph in graphs]
    served = next((g for g, t in zip(graphs, tags, strict=True) if TAG in t), None)
    if served is None:
        listed = ", ".join("+".join(sorted(t)) or "none" for t in tags) or "no graph at all"
        raise InputError(
            f"{path} has no graph with the tag {TAG!r}; its tags: {listed}",
            "export the model for serving, in Keras with model.export(directory)",
        )
    return {
        name: Signature(
            definition.method_name, _tensors(definition.inputs), _tensors(definition.outputs)
        )
        for name, definition in sorted(served.signature_def.items())
    }


def _tensors(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(
            info.name,
            type_name(info.dtype),
            None
            if info.tensor_shape.unknown_rank
            else tuple(int(dim.size) for dim in info.tensor_shape.dim),
        )
        for name, info in sorted(infos.items())
    }
