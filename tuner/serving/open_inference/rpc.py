"""The protocol over gRPC: the service `inference.GRPCInferenceService`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from tuner.serving.server.grpc_api import GrpcServer, Method
from tuner.serving.server.messages import Proto
from tuner.serving.server.status import StatusError, invalid

from .inference import PLATFORM, Inference
from .rest import EXTENSIONS, SERVER
from .session import ServedModel
from .tensors import SCHEMA, fill_contents, has_contents, of_message, of_raw, to_raw

SERVICE = "inference.GRPCInferenceService"


class RpcServer(GrpcServer):
    """The gRPC API of `inference` on a port."""

    def __init__(
        self,
        inference: Inference,
        port: int,
        threads: int,
        largest: int,
        version: str,
        arguments: Mapping[str, int | str],
    ) -> None:
        self._inference = inference
        self._largest = largest
        self._version = version
        answers = {
            "ServerLive": lambda _: message("ServerLiveResponse", live=True),
            "ServerReady": lambda _: message("ServerReadyResponse", ready=True),
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
        }
        methods = [
            Method(
                name,
                SCHEMA.message_class(f"inference.{name}Request"),
                SCHEMA.message_class(f"inference.{name}Response"),
                answer,
            )
            for name, answer in answers.items()
        ]
        super().__init__({SERVICE: methods}, port, threads, largest, arguments)

    def _server_metadata(self, _: Proto) -> Proto:
        return message(
            "ServerMetadataResponse", name=SERVER, version=self._version, extensions=EXTENSIONS
        )

    def _model_ready(self, request: Proto) -> Proto:
        try:
            self._inference.find(request.name, request.version)
        except StatusError:
            return message("ModelReadyResponse", ready=False)
        return message("ModelReadyResponse", ready=True)

    def _model_metadata(self, request: Proto) -> Proto:
        model = self._inference.find(request.name, request.version)
        response = message(
            "ModelMetadataResponse",
            name=model.name,
            versions=[str(model.version)],
            platform=PLATFORM,
        )
        for entries, specs in (
            (response.inputs, model.inputs),
            (response.outputs, model.outputs),
        ):
            for spec in specs.values():
                entries.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
        return response

    def _infer(self, request: Proto) -> Proto:
        with self._inference.counted(request.model_name, "GRPC"):
            model = self._inference.find(request.model_name, request.model_version)
            inputs = self._inputs(model, request)
            wanted = [one.name for one in request.outputs]
            outputs = self._inference.infer(model, inputs, wanted)
            response = message(
                "ModelInferResponse",
                model_name=model.name,
                model_version=str(model.version),
                id=request.id,
            )
            # In the form of the request, unless a type has raw bytes only.
            raw = bool(request.raw_input_contents) or not all(
                has_contents(model.outputs[name].datatype) for name in outputs
            )
            for name, array in outputs.items():
                datatype = model.outputs[name].datatype
                tensor = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
                if raw:
                    response.raw_output_contents.append(to_raw(array))
                else:
                    fill_contents(tensor.contents, datatype, array)
            return response

    def _inputs(self, model: ServedModel, request: Proto) -> dict[str, npt.NDArray[Any]]:
        raw = request.raw_input_contents
        if raw and len(raw) != len(request.inputs):
            raise invalid(f"{len(request.inputs)} inputs have {len(raw)} raw_input_contents")
        inputs: dict[str, npt.NDArray[Any]] = {}
        for number, one in enumerate(request.inputs):
            if one.name in inputs:
                raise invalid(f"input {one.name!r} is there twice")
            if raw and one.HasField("contents"):
                raise invalid(f"input {one.name!r} has contents and raw_input_contents")
            inputs[one.name] = (
                of_raw(one.name, one.datatype, list(one.shape), raw[number])
                if raw
                else of_message(one, self._largest)
            )
            self._inference.check_datatype(model, one.name, one.datatype)
        return inputs


def message(kind: str, /, **fields: Any) -> Proto:  # noqa: ANN401 of the message's own types
    return SCHEMA.message_class(f"inference.{kind}")(**fields)
