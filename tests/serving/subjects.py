"""A model for each server, and what it answers: the subjects of the conformance suite."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from docker import DockerClient

from tests.deploy.conftest import build_half_plus_two
from tests.serving.onnx_models import build_half_plus_two_onnx
from tuner.serving.image import build_image
from tuner.serving.open_inference.tensors import SCHEMA
from tuner.serving.server.messages import message_class
from tuner.serving.server.tensor_proto import tensor_of
from tuner.serving.servers.onnx_runtime import IMAGE as ONNX_IMAGE
from tuner.serving.servers.server import Server
from tuner.serving.servers.table import server_named
from tuner.spec.http_service import HttpAnswer, HttpRequest, HttpService
from tuner.spec.study import LoadProtocol, ModelSpec, ServingSpec

SERVICE_IMAGE = f"tune-test-service:{os.getpid()}"
SERVICE = HttpService(
    SERVICE_IMAGE,
    8080,
    (
        HttpRequest(
            "/double", "POST", json={"x": 21}, answer=HttpAnswer(json={"double": 42, "note": ""})
        ),
        HttpRequest("/", answer=HttpAnswer(text="hello")),
        HttpRequest("/", answer=HttpAnswer(matches="^h.l+o$")),
    ),
    command=("app:app", "--host", "0.0.0.0", "--port", "8080"),
)
"""`service_app` in an image."""


@dataclass(frozen=True)
class Subject:
    """A server with a model of it.

    `answers` are, in each protocol, a right and a wrong answer to the first golden request. `taken`
    is a flag and a variable that the plan decides itself, None where there is no such. `image` puts
    the image on an engine. With `too_little_mib` the server starts and runs out of memory.
    """

    serving: ServingSpec
    model: ModelSpec
    answers: Mapping[LoadProtocol, tuple[bytes, bytes]]
    image: Callable[[DockerClient], str]
    too_little_mib: int
    taken: tuple[str | None, str | None] = (None, None)

    @property
    def server(self) -> Server:
        return server_named(self.serving.server)


def _tensorflow_serving(directory: Path) -> Subject:
    model = build_half_plus_two(directory)
    return Subject(
        ServingSpec.of(model),
        model,
        {
            "rest": (b'{"predictions": [2.5]}', b'{"predictions": [2.6]}'),
            "grpc": (_response(2.5), _response(2.6)),
        },
        lambda engine: build_image(engine, print),
        24,
        ("rest_api_port", "MODEL_NAME"),
    )


def _response(value: float) -> bytes:
    message = message_class("PredictResponse")()
    message.outputs["y"].CopyFrom(tensor_of(np.array([value], np.float32), "DT_FLOAT"))
    encoded: bytes = message.SerializeToString()
    return encoded


def _onnxruntime(directory: Path) -> Subject:
    model = build_half_plus_two_onnx(directory)
    return Subject(
        ServingSpec(server="onnxruntime"),
        model,
        {
            "rest": (_inferred(2.5), _inferred(2.6)),
            "grpc": (_inferred_raw(2.5), _inferred_raw(2.6)),
        },
        lambda engine: build_image(engine, print, recipe=ONNX_IMAGE),
        24,
        ("http_port", "MODEL_NAME"),
    )


def _never_run(server: str, flag: str) -> Callable[[Path], Subject]:
    """A server whose image nobody here has; it serves the same file as ONNX Runtime."""

    def subject(directory: Path) -> Subject:
        like = _onnxruntime(directory)
        return replace(
            like, serving=ServingSpec(server=server), image=_no_image, taken=(flag, None)
        )

    return subject


def _no_image(_: DockerClient) -> str:
    pytest.skip("its image comes from a registry, and none was ever reached")


def _inferred(value: float) -> bytes:
    output = {"name": "y", "shape": [1, 1], "datatype": "FP32", "data": [value]}
    return json.dumps({"model_name": "any", "outputs": [output]}).encode()


def _inferred_raw(value: float) -> bytes:
    response = SCHEMA.message_class("inference.ModelInferResponse")()
    response.outputs.add(name="y", datatype="FP32", shape=[1, 1])
    response.raw_output_contents.append(np.array([[value]], np.float32).tobytes())
    encoded: bytes = response.SerializeToString()
    return encoded


def _http(directory: Path) -> Subject:
    model = ModelSpec("web", "", directory, directory / "built", server="http", http=SERVICE)
    right, wrong = (f'{{"note": "", "double": {n}}}'.encode() for n in (42.00001, 43))
    return Subject(ServingSpec.of(model), model, {"rest": (right, wrong)}, build_service_image, 12)


def build_service_image(engine: DockerClient) -> str:
    """`service_app` with the uvicorn of the serving image."""
    dockerfile = f"""\
FROM {build_image(engine, print)}
COPY app.py /srv/app.py
ENV PYTHONPATH=/opt/tfserver:/srv
EXPOSE 8080
ENTRYPOINT ["python3", "-m", "uvicorn"]
""".encode()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        app = Path(__file__).with_name("service_app.py").read_bytes()
        for name, content in (("Dockerfile", dockerfile), ("app.py", app)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    context.seek(0)
    engine.images.build(fileobj=context, custom_context=True, tag=SERVICE_IMAGE, rm=True)
    return SERVICE_IMAGE


def _mlserver(directory: Path) -> Subject:
    return Subject(
        ServingSpec(server="mlserver"),
        described_sklearn(directory),
        {
            "rest": (_inferred_class(1), _inferred_class(0)),
            "grpc": (_inferred_class_in_grpc(1), _inferred_class_in_grpc(0)),
        },
        _no_mlserver,
        24,
        (None, "MLSERVER_MODEL_URI"),
    )


def _no_mlserver(_: DockerClient) -> str:
    pytest.skip(
        "MLServer's image takes minutes to build: make chaos (tests/chaos/test_mlserver.py)"
    )


def described_sklearn(directory: Path) -> ModelSpec:
    """A model with an empty file: whether x is above 0, of two numbers. Nothing is unpickled."""
    built = directory / "built"
    (built / "versions" / "1").mkdir(parents=True)
    (built / "versions" / "1" / "model.joblib").touch()
    asked = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [0.5, 0.75]}
    answer = {"name": "predict", "shape": [1, 1], "datatype": "INT64", "data": [1]}
    pair = {"request": {"inputs": [asked]}, "response": {"outputs": [answer]}}
    (built / "golden.jsonl").write_text(json.dumps(pair) + "\n")
    return ModelSpec("above", "two numbers", directory, built, server="mlserver")


def _inferred_class(value: int) -> bytes:
    """As MLServer writes it, with what it adds."""
    added = {"content_type": "np"}
    output = {"name": "predict", "shape": [1, 1], "datatype": "INT64", "parameters": added}
    return json.dumps({"id": "some", "outputs": [output | {"data": [value]}]}).encode()


def _inferred_class_in_grpc(value: int) -> bytes:
    response = SCHEMA.message_class("inference.ModelInferResponse")()
    output = response.outputs.add(name="predict", datatype="INT64", shape=[1, 1])
    output.contents.int64_contents.append(value)
    encoded: bytes = response.SerializeToString()
    return encoded


SUBJECTS: Mapping[str, Callable[[Path], Subject]] = {
    "tensorflow-serving": _tensorflow_serving,
    "onnxruntime": _onnxruntime,
    "http": _http,
    "mlserver": _mlserver,
    "triton": _never_run("triton", "http-port"),
    "openvino": _never_run("openvino", "rest_port"),
}
"""By the server's name: what makes the subject in a directory of its own."""
