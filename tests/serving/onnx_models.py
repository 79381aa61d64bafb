"""Small ONNX models, and the server that serves one, as a process from the files of its image."""

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.serving.processes import Running, environment, free_port, until_killed
from tuner.serving.open_inference.program import PACKAGE, program
from tuner.spec.study import ModelSpec

needs_onnx = pytest.mark.skipif(
    find_spec("onnxruntime") is None or find_spec("onnx") is None,
    reason="ONNX Runtime is not installed (extra `models`)",
)


def write_half_plus_two(file: Path) -> Path:
    """x FP32 [-1, n] -> y FP32, x / 2 + 2; and s BYTES [-1] -> same BYTES, as it is."""
    from onnx import TensorProto, helper  # noqa: PLC0415 not needed with the skip

    nodes = [
        helper.make_node("Mul", ["x", "half"], ["scaled"]),
        helper.make_node("Add", ["scaled", "two"], ["y"]),
        helper.make_node("Identity", ["s"], ["same"]),
    ]
    return write(
        file,
        nodes,
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "n"]),
            helper.make_tensor_value_info("s", TensorProto.STRING, ["batch"]),
        ],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "n"]),
            helper.make_tensor_value_info("same", TensorProto.STRING, ["batch"]),
        ],
        [
            helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]),
            helper.make_tensor("two", TensorProto.FLOAT, [], [2.0]),
        ],
    )


def build_half_plus_two_onnx(directory: Path) -> ModelSpec:
    """The same as TensorFlow Serving's test model, with its golden request, as ONNX."""
    helper = pytest.importorskip("onnx.helper")
    built = directory / "built"
    write(
        built / "versions" / "1" / "model.onnx",
        [
            helper.make_node("Mul", ["x", "half"], ["scaled"]),
            helper.make_node("Add", ["scaled", "two"], ["y"]),
        ],
        [helper.make_tensor_value_info("x", 1, ["batch", 1])],
        [helper.make_tensor_value_info("y", 1, ["batch", 1])],
        [
            helper.make_tensor("half", 1, [], [0.5]),
            helper.make_tensor("two", 1, [], [2.0]),
        ],
    )
    pair = {"request": {"instances": [[1.0]]}, "response": {"predictions": [[2.5]]}}
    (built / "golden.jsonl").write_text(json.dumps(pair) + "\n")
    return ModelSpec("half_plus_two", "x / 2 + 2", directory, built, server="onnxruntime")


def write(
    file: Path,
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    initializers: Sequence[Any] = (),
) -> Path:
    import onnx  # noqa: PLC0415 likewise
    from onnx import helper  # noqa: PLC0415 likewise

    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, file)
    return file


def tree(directory: Path) -> Path:
    """The server's files as its image has them, and nothing else of this repository."""
    for name, path in program().items():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return directory


@contextmanager
def serving(directory: Path, base_path: Path, *flags: str) -> Iterator[Running]:
    """A server that is ready, of the model `m`; it is killed at the end of the block."""
    port, grpc_port = free_port(), free_port()
    command = [
        *(sys.executable, "-m", PACKAGE, "--model_name=m", f"--model_base_path={base_path}"),
        *(f"--http_port={port}", f"--grpc_port={grpc_port}", *flags),
    ]
    log = directory / "log"
    home = tree(directory / "program")
    around = {**environment(), "PYTHONPATH": str(home)}
    with until_killed(command, around, log, port, grpc_port, directory) as server:
        yield server


def infer(server: Running, document: object, path: str = "/v2/models/m/infer") -> tuple[int, Any]:
    return server.ask("POST", path, json.dumps(document).encode())


def page(server: Running) -> str:
    with closing(server.connect()) as connection:
        connection.request("GET", "/metrics")
        with connection.getresponse() as response:
            assert response.headers["content-type"] == "text/plain"
            return response.read().decode()
