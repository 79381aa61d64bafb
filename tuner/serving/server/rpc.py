"""The gRPC API: PredictionService and ModelService of TensorFlow Serving.

Messages and names are those of its `apis/*.proto`; what the services do is in `inference.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, NoReturn

import grpc
import numpy.typing as npt

from .codec import DEFAULT_SIGNATURE
from .inference import Inference
from .messages import Proto, message_class
from .model import ServedModel
from .signatures import TensorSpec
from .status import Code, StatusError, invalid
from .tensor_proto import array_of, fill, type_name

log = logging.getLogger(__name__)

Answer = Callable[[Proto], Proto]

_PACKAGE = "tensorflow.serving"
_LONGEST_MESSAGE = 2000
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class RpcServer:
    """The gRPC API on a port, answering from construction until `stop`.

    `arguments` are gRPC's channel arguments; a request of more than `largest` bytes is refused with
    RESOURCE_EXHAUSTED. Raises OSError where the port cannot be had.
    """

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
        self._lock = Lock()
        self._in_flight = 0
        options = {
            "grpc.so_reuseport": 0,  # a port in use is an error, not shared
            "grpc.max_receive_message_length": largest,
            "grpc.max_send_message_length": -1,
            **arguments,
        }
        self._server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="rpc"), options=list(options.items())
        )
        self._server.add_generic_rpc_handlers(
            (
                self._service(
                    "PredictionService",
                    ("Predict", "PredictRequest", "PredictResponse", self._predict),
                    ("Classify", "ClassificationRequest", "ClassificationResponse", self._classify),
                    ("Regress", "RegressionRequest", "RegressionResponse", self._regress),
                    (
                        "GetModelMetadata",
                        "GetModelMetadataRequest",
                        "GetModelMetadataResponse",
                        self._metadata,
                    ),
                ),
                self._service(
                    "ModelService",
                    (
                        "GetModelStatus",
                        "GetModelStatusRequest",
                        "GetModelStatusResponse",
                        self._status,
                    ),
                ),
            )
        )
        try:
            self._server.add_insecure_port(f"0.0.0.0:{port}")
        except RuntimeError as error:
            raise OSError(f"port {port} cannot be had for the gRPC API: {error}") from error
        self._server.start()

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self._in_flight

    def stop(self, seconds: float) -> None:
        """Take no more requests and wait at most `seconds` for those under way."""
        self._server.stop(seconds).wait()

    def _service(self, name: str, *methods: tuple[str, str, str, Answer]) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            f"{_PACKAGE}.{name}",
            {
                method: grpc.unary_unary_rpc_method_handler(
                    self._handler(answer),
                    request_deserializer=message_class(request).FromString,
                    response_serializer=message_class(response).SerializeToString,
                )
                for method, request, response, answer in methods
            },
        )

    def _handler(self, answer: Answer) -> Callable[[Proto, grpc.ServicerContext], Proto]:
        def handle(request: Proto, context: grpc.ServicerContext) -> Proto:
            with self._lock:
                self._in_flight += 1
            try:
                return answer(request)
            except StatusError as error:
                _abort(context, error.code, error.message)
            except Exception as error:
                log.exception("a gRPC request failed")
                _abort(context, Code.INTERNAL, f"{type(error).__name__}: {error}")
            finally:
                with self._lock:
                    self._in_flight -= 1

        return handle

    def _find(self, spec: Proto) -> ServedModel:
        version, label = _version(spec)
        return self._inference.find(spec.name, version, label)

    def _predict(self, request: Proto) -> Proto:  # PredictRequest
        spec = request.model_spec
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
        spec = request.model_spec
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
        spec = request.model_spec
        with self._inference.counted(spec.name, "Regress", "GRPC"):
            model, name = self._find(spec), spec.signature_name or DEFAULT_SIGNATURE
            values = self._inference.regress(model, name, _examples(request.input))
            response = message_class("RegressionResponse")()
            _set_spec(response.model_spec, model, name)
            for value in values.tolist():
                response.result.regressions.add(value=value)
            return response

    def _metadata(self, request: Proto) -> Proto:  # GetModelMetadataRequest
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        model = self._find(request.model_spec)
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
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        spec = request.model_spec
        response = message_class("GetModelStatusResponse")()
        for status in self._inference.status(spec.name, *_version(spec)):
            entry = response.model_version_status.add(version=status.version, state=status.state)
            entry.status.error_code = status.code
            entry.status.error_message = status.message
        return response


def _abort(context: grpc.ServicerContext, code: Code, message: str) -> NoReturn:
    # It travels in a header, of which clients take 8 KiB.
    context.abort(_CODES[code], message[:_LONGEST_MESSAGE])
    raise AssertionError("abort raises")


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
