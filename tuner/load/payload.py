"""The golden requests in a protocol, and the check of answers in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuner.errors import InputError
from tuner.load.grpc import framed, unframed
from tuner.load.load_client import CheckAnswer
from tuner.measure.golden import Golden
from tuner.serving.built_model import highest_version, require_built
from tuner.serving.predict_message import decode_response, encode_request
from tuner.serving.saved_model import read_signatures
from tuner.serving.server import codec
from tuner.serving.server.status import StatusError
from tuner.spec.study import LoadProtocol, ModelSpec


@dataclass(frozen=True)
class Payload:
    """Encoded request bodies, and the check of an answer by its request's number."""

    bodies: tuple[bytes, ...]
    check: CheckAnswer


def rest_payload(model: ModelSpec, golden: Golden) -> Payload:
    """The golden requests as they are: they are bodies of the REST API."""
    return Payload(golden.bodies, lambda n, body: golden.answered(n, body, model.tolerance))


def grpc_payload(model: ModelSpec, golden: Golden) -> Payload:
    """The golden requests as PredictRequests, with the tensors that a server makes of the JSON.

    An answer is checked as the JSON body that a server makes of its tensors. Raises SetupError
    where the model is not built, InputError for a request that does not fit its signature.
    """
    require_built(model)
    version = highest_version(model)
    assert version is not None
    signatures = read_signatures(version)
    bodies, rows = [], []
    for number, body in enumerate(golden.bodies):
        try:
            request = codec.decode(codec.parse(body), signatures)
        except StatusError as error:
            raise InputError(
                f"golden request {number} of model {model.name} does not fit its signature:"
                f" {error.message}",
                f"mend {model.golden}",
            ) from error
        signature = signatures[request.signature]
        message = encode_request(model.name, request.signature, request.inputs, signature)
        bodies.append(framed(message))
        rows.append(request.row)

    def check(number: int, body: bytes) -> bool:
        try:
            answer = codec.encode(decode_response(unframed(body)), row=rows[number])
        except (ValueError, StatusError):
            return False
        return golden.answered(number, answer, model.tolerance)

    return Payload(tuple(bodies), check)


PAYLOADS: dict[LoadProtocol, Callable[[ModelSpec, Golden], Payload]] = {
    "rest": rest_payload,
    "grpc": grpc_payload,
}
