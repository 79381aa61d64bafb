"""SavedModels of a few nodes, written without TensorFlow's Python package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuner.serving.server.signatures import PREDICT_METHOD, protobuf_module

Proto = Any


@dataclass(frozen=True)
class Node:
    """An operation of a graph; `types` are its attributes that are types, such as T."""

    name: str
    op: str
    inputs: Sequence[str] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Proto] = field(default_factory=dict)


def number(dtype: str) -> int:
    value: int = protobuf_module("framework.types").DataType.Value(dtype)
    return value


def constant(name: str, dtype: str, **value: object) -> Node:
    """A scalar; `value` is a field of a TensorProto, as `int_val=[3]`."""
    tensor = protobuf_module("framework.tensor").TensorProto(dtype=number(dtype), **value)
    attribute = protobuf_module("framework.attr_value").AttrValue(tensor=tensor)
    return Node(name, "Const", (), {"dtype": dtype}, {"value": attribute})


def text(value: str) -> Proto:
    return protobuf_module("framework.attr_value").AttrValue(s=value.encode())


def whole(value: int) -> Proto:
    return protobuf_module("framework.attr_value").AttrValue(i=value)


def write_saved_model(directory: Path, nodes: Sequence[Node], *signatures: Proto) -> None:
    """Write the SavedModel to `directory`; each of `signatures` is of `signature`."""
    saved = protobuf_module("protobuf.saved_model").SavedModel(saved_model_schema_version=1)
    meta = saved.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    meta.graph_def.versions.producer = 27
    for node in nodes:
        added = meta.graph_def.node.add(name=node.name, op=node.op, input=node.inputs)
        for name, dtype in node.types.items():
            added.attr[name].type = number(dtype)
        for name, value in node.values.items():
            added.attr[name].CopyFrom(value)
    for name, definition in signatures:
        meta.signature_def[name].CopyFrom(definition)
    directory.mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(saved.SerializeToString())


def signature(
    name: str,
    inputs: Mapping[str, tuple[str, str]],
    outputs: Mapping[str, tuple[str, str]],
    *,
    method: str = PREDICT_METHOD,
    defaults: Mapping[str, Proto] | None = None,
) -> tuple[str, Proto]:
    """A signature whose `inputs` and `outputs` are tensors of a type, of any shape."""
    found = protobuf_module("protobuf.meta_graph").SignatureDef(method_name=method)
    for tensors, given in ((found.inputs, inputs), (found.outputs, outputs)):
        for alias, (tensor, dtype) in given.items():
            tensors[alias].name = tensor
            tensors[alias].dtype = number(dtype)
            tensors[alias].tensor_shape.unknown_rank = True
    for alias, value in (defaults or {}).items():
        found.defaults[alias].CopyFrom(value)
    return name, found


def write_identity(directory: Path, dtype: str) -> None:
    """A model that answers with its input."""
    nodes = [
        Node("x", "Placeholder", (), {"dtype": dtype}),
        Node("y", "Identity", ("x",), {"T": dtype}),
    ]
    spec = signature("serving_default", {"x": ("x:0", dtype)}, {"y": ("y:0", dtype)})
    write_saved_model(directory, nodes, spec)


def write_counter(directory: Path) -> None:
    """A model that counts from 0 to its input, one at a time, and answers with what it got to."""
    loop = {"frame_name": text("loop")}
    whole_numbers = {"T": "DT_INT64"}
    nodes = [
        Node("x", "Placeholder", (), {"dtype": "DT_INT64"}),
        constant("zero", "DT_INT64", int64_val=[0]),
        Node("count", "Enter", ("zero",), whole_numbers, loop),
        Node(
            "limit",
            "Enter",
            ("x",),
            whole_numbers,
            loop | {"is_constant": protobuf_module("framework.attr_value").AttrValue(b=True)},
        ),
        Node("merged", "Merge", ("count", "again"), whole_numbers, {"N": whole(2)}),
        Node("less", "Less", ("merged", "limit"), whole_numbers),
        Node("condition", "LoopCond", ("less",)),
        Node("switched", "Switch", ("merged", "condition"), whole_numbers),
        Node("inside", "Identity", ("switched:1",), whole_numbers),
        constant_in("one", "inside", "DT_INT64", int64_val=[1]),
        Node("sum", "AddV2", ("inside", "one"), whole_numbers),
        Node("again", "NextIteration", ("sum",), whole_numbers),
        Node("y", "Exit", ("switched",), whole_numbers),
    ]
    spec = signature("serving_default", {"x": ("x:0", "DT_INT64")}, {"y": ("y:0", "DT_INT64")})
    write_saved_model(directory, nodes, spec)


def constant_in(name: str, behind: str, dtype: str, **value: object) -> Node:
    """A constant of a loop: it is there behind a node of the loop's body."""
    outside = constant(name, dtype, **value)
    return Node(name, outside.op, (f"^{behind}",), outside.types, outside.values)
