"""The gRPC API: PredictionService and ModelService of TensorFlow Serving.

Messages and names are those of its `apis/*.proto`; what the services do is in `inference.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from .codec import DEFAULT_SIGNATURE
from .grpc_api import GrpcServer, Method
from .inference import Inference
from .messages import Proto, message_class
from .model import ServedModel
from .signatures import TensorSpec
from .status import Code, StatusError, invalid
from .tensor_proto import array_of, fill, type_name

_PACKAGE = "tensorflow.serving"


class RpcServer(GrpcServer):
    """The gRPC API of `inference` on a port; `arguments` are gRPC's channel arguments."""

    def __init__(
        self,
        inference: Inference,
        port: int,
        threads: int,
        largest: int,
        arguments: Mapping[str, int | str],
    ) -> None:
        self._inference = inference
        self._largest = largest
        services = {
            f"{_PACKAGE}.PredictionService": (
                Method(
                    "Predict",
                    message_class("PredictRequest"),
                    message_class("PredictResponse"),
                    self._predict,
                ),
                Method(
                    "Classify",
                    message_class("ClassificationRequest"),
                    message_class("ClassificationResponse"),
                    self._classify,
                ),
                Method(
                    "Regress",
                    message_class("RegressionRequest"),
                    message_class("RegressionResponse"),
                    self._regress,
                ),
                Method(
                    "GetModelMetadata",
                    message_class("GetModelMetadataRequest"),
                    message_class("GetModelMetadataResponse"),
                    self._metadata,
                ),
            ),
            f"{_PACKAGE}.ModelService": (
                Method(
                    "GetModelStatus",
                    message_class("GetModelStatusRequest"),
                    message_class("GetModelStatusResponse"),
                    self._status,
                ),
            ),
        }
        super().__init__(services, port, threads, largest, arguments)

    def _find(self, spec: Proto) -> ServedModel:
        version, label = _version(spec)
        return self._inference.find(spec.name, version, label)

    def _predict(self, request: Proto) -> Proto:  # PredictRequest
        spec = _spec_of(request)
        with self._inference.counted(spec.name, "Predict", "GRPC"):
            model = self._find(spec)
            name = spec.signature_name or DEFAULT_SIGNATURE
            signature = model.saved_model.signatures.get(name)
            if signature is None:
                raise StatusError(
                    Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
                )
            inputs = {
                alias: self._input(alias, tensor, signature.inputs)
                for alias, tensor in request.inputs.items()
            }
            for alias, default in signature.defaults.items():
                if alias in signature.inputs and alias not in inputs:
                    tensor = message_class("tensorflow.TensorProto").FromString(default)
                    inputs[alias] = self._input(alias, tensor, signature.inputs)
            outputs = self._inference.predict(model, name, inputs, list(request.output_filter))
            response = message_class("PredictResponse")()
            _set_spec(response.model_spec, model, name)
            for alias, array in outputs.items():
                fill(response.outputs[alias], array, signature.outputs[alias].dtype)
            return response

    def _input(
        self,
        alias: str,
        tensor: Proto,
        specs: Mapping[str, TensorSpec],
    ) -> npt.NDArray[Any]:
        array = array_of(tensor, alias, self._largest)
        if alias in specs and type_name(tensor.dtype) != specs[alias].dtype:
            index = sorted(spec.tensor for spec in specs.values()).index(specs[alias].tensor)
            raise invalid(
                f"Expects arg[{index}] to be {specs[alias].dtype.removeprefix('DT_').lower()} but "
                f"{type_name(tensor.dtype).removeprefix('DT_').lower()} is provided"
            )
        return array

    def _classify(self, request: Proto) -> Proto:  # ClassificationRequest
        spec = _spec_of(request)
        with self._inference.counted(spec.name, "Classify", "GRPC"):
            model, name = self._find(spec), spec.signature_name or DEFAULT_SIGNATURE
            found = self._inference.classify(model, name, _examples(request.input))
            response = message_class("ClassificationResponse")()
            _set_spec(response.model_spec, model, name)
            labels = found.labels if found.labels is not None else found.scores
            assert labels is not None
            for row in range(len(labels)):
                classes = response.result.classifications.add().classes
                for column in range(labels.shape[1]):
                    entry = classes.add()
                    if found.labels is not None:
                        entry.label = found.labels[row, column].decode("utf-8", "replace")
                    if found.scores is not None:
                        entry.score = found.scores[row, column]
            return response

    def _regress(self, request: Proto) -> Proto:  # RegressionRequest
        spec = _spec_of(request)
        with self._inference.counted(spec.name, "Regress", "GRPC"):
            model, name = self._find(spec), spec.signature_name or DEFAULT_SIGNATURE
            values = self._inference.regress(model, name, _examples(request.input))
            response = message_class("RegressionResponse")()
            _set_spec(response.model_spec, model, name)
            for value in values.tolist():
                response.result.regressions.add(value=value)
            return response

    def _metadata(self, request: Proto) -> Proto:  # GetModelMetadataRequest
        spec = _spec_of(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        model = self._find(spec)
        signatures = message_class("SignatureDefMap")()
        for name, serialized in model.saved_model.serialized_signatures.items():
            signatures.signature_def[name].ParseFromString(serialized)
        response = message_class("GetModelMetadataResponse")()
        _set_spec(response.model_spec, model, "")
        packed = response.metadata["signature_def"]
        packed.type_url = f"type.googleapis.com/{_PACKAGE}.SignatureDefMap"
        packed.value = signatures.SerializeToString()
        return response

    def _status(self, request: Proto) -> Proto:  # GetModelStatusRequest
        spec = _spec_of(request)
        # A label is not looked at, as in TensorFlow Serving: the status is of all versions then.
        version, _ = _version(spec)
        response = message_class("GetModelStatusResponse")()
        for status in self._inference.status(spec.name, version):
            entry = response.model_version_status.add(version=status.version, state=status.state)
            entry.status.error_code = status.code
            entry.status.error_message = status.message
        return response


def _spec_of(request: Proto) -> Proto:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return request.model_spec


def _version(spec: Proto) -> tuple[int | None, str | None]:
    choice = spec.WhichOneof("version_choice")
    return (
        spec.version.value if choice == "version" else None,
        spec.version_label if choice == "version_label" else None,
    )


def _set_spec(spec: Proto, model: ServedModel, signature: str) -> None:
    spec.name = model.name
    spec.version.value = model.version
    spec.signature_name = signature


def _examples(given: Proto) -> list[bytes]:
    """Serialized examples; messages behind one another are one with the fields of both."""
    if given.WhichOneof("kind") == "example_list_with_context":
        shared = given.example_list_with_context
        return [shared.context + example for example in shared.examples]
    return list(given.example_list.examples)
