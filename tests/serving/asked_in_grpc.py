"""half_plus_two asked in gRPC, by gRPC's own client."""

from __future__ import annotations

import grpc

from tuner.serving.server.messages import Proto, message_class

PREDICTION = "/tensorflow.serving.PredictionService/"
FLOAT, STRING = 1, 7

Value = str | int


def call(channel: grpc.Channel, method: str, request: Proto, response: str) -> Proto:
    send = channel.unary_unary(
        method,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_class(response).FromString,
    )
    return send(request, timeout=30)


def predict_request(*values: float, **spec: Value) -> Proto:
    request = message_class("PredictRequest")()
    request.model_spec.name = spec.get("name", "half_plus_two")
    request.model_spec.signature_name = spec.get("signature_name", "")
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "version_label" in spec:
        request.model_spec.version_label = spec["version_label"]
    tensor = request.inputs["x"]
    tensor.dtype = FLOAT
    tensor.tensor_shape.dim.add(size=len(values))
    tensor.float_val.extend(values)
    return request


def predict(channel: grpc.Channel, request: Proto) -> Proto:
    return call(channel, PREDICTION + "Predict", request, "PredictResponse")
