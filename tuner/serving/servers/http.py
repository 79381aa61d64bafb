"""A service of the user's own: any image that answers HTTP, described in `model.yaml`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import orjson

from tuner.errors import InputError
from tuner.measure.golden import Golden, matches
from tuner.serving.container_plan import ContainerPlan, Ready
from tuner.serving.servers.call import JSON, Call
from tuner.serving.servers.server import Requests, Server, refuse_taken, short
from tuner.spec.http_service import HttpAnswer, HttpRequest, HttpService
from tuner.spec.study import ModelSpec, ServingSpec

_IN_MEMORY = "rw,noexec,nosuid,size=64m"

Wrong = Callable[[bytes], str]
"""Why a body is wrong; empty where it is right."""


def service_of(model: ModelSpec) -> HttpService:
    if model.http is None:
        raise InputError(
            f"the server http runs what model.yaml describes, and model {model.name} has no section"
            " http there",
            f"tune models add --image REF --name {model.name} writes one; or name another server",
        )
    return model.http


def _plan(serving: ServingSpec, model: ModelSpec, image: str) -> ContainerPlan:
    """Flags of a study follow the command, variables join those of the service.

    As everywhere with containers, both stand in place of a command that the image has itself.
    """
    service = service_of(model)
    refuse_taken("variable", serving.env, tuple(service.env))
    flags = serving.flag_words
    uid, _, gid = service.user.partition(":")
    return ContainerPlan(
        image=image,
        entrypoint=service.entrypoint or None,
        command=(*service.command, *flags),
        environment={**service.env, **serving.env},
        port=service.port,
        grpc_port=None,
        model_mount=None,
        user=service.user,
        ready=Ready(service.ready),
        # An engine gives it the mode of a directory that the image has there: for root, mostly.
        tmpfs=dict.fromkeys(service.writable, f"{_IN_MEMORY},uid={uid},gid={gid}"),
        health=service.health,
    )


def _golden(model: ModelSpec) -> Golden:
    """The requests of the section `http`; a response is what it says of the right answer."""
    requests = service_of(model).requests
    bodies = tuple(_content(model, request) or b"" for request in requests)
    return Golden(bodies, tuple(request.answer for request in requests))


def _requests(model: ModelSpec, golden: Golden) -> Requests:
    """One call for each body.

    Where they are others than those of the section `http`, all go the way of its first request.
    """
    lines = service_of(model).requests
    if len(lines) != len(golden.bodies):
        lines = lines[:1] * len(golden.bodies)
    calls = tuple(_call(line, body) for line, body in zip(lines, golden.bodies, strict=True))
    judges = [_judge(model, response) for response in golden.responses]
    return Requests(calls, lambda number, body: judges[number](body))


def _call(line: HttpRequest, body: bytes) -> Call:
    headers = JSON if line.json is not None else {}
    status = line.answer.status
    return Call(line.path, body, line.method, {**headers, **line.headers}, status)


def _content(model: ModelSpec, of: HttpRequest | HttpAnswer) -> bytes | None:
    """The bytes that are said to be sent, or answered; None where nothing is said."""
    if of.text is not None:
        return of.text.encode()
    if of.file is not None:
        path = model.directory / of.file
        try:
            return path.read_bytes()
        except OSError as error:
            raise InputError(
                f"{path} cannot be read: {error.strerror}",
                f"mend the section http of {model.directory / 'model.yaml'}",
            ) from error
    return None if of.json is None else json.dumps(of.json, separators=(",", ":")).encode()


def _judge(model: ModelSpec, right: HttpAnswer | None) -> Wrong:
    if right is None:
        return lambda _: ""
    if right.json is not None:
        return lambda body: _wrong_json(right.json, body, model.tolerance)
    if right.matches is not None:
        pattern = re.compile(right.matches.encode())
        return lambda body: (
            ""
            if pattern.search(body)
            else f"expected a match of {short(pattern.pattern.decode())}, got {_shown(body)}"
        )
    expected = _content(model, right)
    if expected is None:
        return lambda _: ""
    return lambda body: (
        "" if body == expected else f"expected {_shown(expected)}, got {_shown(body)}"
    )


def _wrong_json(expected: object, body: bytes, tolerance: float) -> str:
    try:
        actual = orjson.loads(body)
    except orjson.JSONDecodeError:
        return f"expected JSON, got {_shown(body)}"
    if matches(expected, actual, tolerance):
        return ""
    return f"expected {short(json.dumps(expected))}, got {_shown(body)}"


def _shown(body: bytes) -> str:
    return short(body.decode(errors="replace")) if body else "nothing"


HTTP = Server(
    title="a service of your own", plan=_plan, requests={"rest": _requests}, golden=_golden
)
