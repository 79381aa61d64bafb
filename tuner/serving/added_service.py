"""Adds a service of the user: an image that answers HTTP, as a model."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

import orjson

from tuner.errors import InputError
from tuner.measure.golden import matches
from tuner.serving.added import check_new, make_readable
from tuner.serving.servers.server import short
from tuner.spec import study_files
from tuner.spec.http_service import HttpAnswer, HttpMethod, HttpRequest, HttpService
from tuner.spec.load import load_model
from tuner.spec.study import ModelSpec
from tuner.spec.yaml_text import yaml_text


@dataclass(frozen=True)
class ServiceAnswers:
    """What a new service did: (status, body) of its answer to each request, twice over.

    `health` is a command that asked inside its container whether it was ready; empty where none
    could.
    """

    answers: Sequence[tuple[int, bytes]]
    health: tuple[str, ...] = ()


ServiceRun = Callable[[ModelSpec], ServiceAnswers]
"""Runs a new service. Raises InputError where it does not serve."""

_HEAD = """\
# A service: what tune needs to know to start it, to call it and to check its answers.
# Written by `tune models add`; edit it as you like (docs/reference/study.md, section http).

"""
_FORM = "such as --request 'POST /predict {\"x\": 1}', or @FILE for a body in a file"
_LONGEST_TEXT = 2000
"""Longer answers are kept in files beside `model.yaml`."""


@dataclass(frozen=True)
class ServiceWish:
    """What the user says about the service to add. The right answers are yet to be found."""

    name: str
    service: HttpService
    files: Mapping[str, bytes]
    description: str = ""
    tolerance: float = ModelSpec.tolerance


def read_calls(texts: Sequence[str]) -> tuple[tuple[HttpRequest, ...], dict[str, bytes]]:
    """Requests such as `GET /status` and `POST /predict {"x": 1}`, and the files of their bodies.

    A body is JSON, or other text, or `@FILE`, which is to stand beside `model.yaml` under the name
    in the request. Raises InputError.
    """
    requests: list[HttpRequest] = []
    files: dict[str, bytes] = {}
    for number, text in enumerate(texts):
        method, _, rest = text.strip().partition(" ")
        path, _, body = rest.strip().partition(" ")
        if method not in get_args(HttpMethod) or re.fullmatch("/[!-~]*", path) is None:
            raise InputError(f"--request {text!r} is not a method, a path and a body", _FORM)
        request = HttpRequest(path, cast(HttpMethod, method))
        if body.startswith("@"):
            name = f"requests/{number}"
            files[name] = _bytes_of(Path(body[1:]))
            request = replace(request, file=name)
        elif body:
            request = replace(request, **_json_or_text(body))
        requests.append(request)
    return tuple(requests), files


def add_service(wish: ServiceWish, run: ServiceRun, say: Callable[[str], None], root: Path) -> Path:
    """Write `<root>/models/<name>` and return that directory.

    The answers that `run` gets become the right ones, as far as they are the same each time. Raises
    InputError, and leaves nothing, where the service does not serve or answers with an error.
    """
    check_new(wish.name, root)
    with tempfile.TemporaryDirectory(prefix=f".{wish.name}-", dir=root) as scratch:
        new = study_files.path_of("model", wish.name, Path(scratch)).parent
        new.mkdir(parents=True)
        _write(new, wish, wish.files)
        say(f"first run of {wish.service.image}: each request twice")
        ran = run(load_model(wish.name, Path(scratch)))
        answers = ran.answers
        say(_health_in_words(ran.health))
        half = len(answers) // 2
        files = dict(wish.files)
        requests = []
        for number, request in enumerate(wish.service.requests):
            right = _right(request, answers[number], answers[number + half], wish.tolerance, say)
            if isinstance(right, bytes):
                name = f"answers/{number}"
                files[name] = right
                right = HttpAnswer(file=name)
            requests.append(replace(request, answer=replace(right, status=answers[number][0])))
        service = replace(wish.service, requests=tuple(requests), health=ran.health)
        _write(new, replace(wish, service=service), files)
        load_model(wish.name, Path(scratch))
        make_readable(new)
        directory = study_files.path_of("model", wish.name, root).parent
        directory.parent.mkdir(exist_ok=True)
        new.rename(directory)
    return directory


def _health_in_words(health: tuple[str, ...]) -> str:
    if not health:
        return (
            "the image has no tool to ask whether it is ready (bash, curl, wget, python3), so its"
            " compose files have no health check; `health` in model.yaml may name one"
        )
    return f"health check of compose files: by {health[0]}"


def _right(
    request: HttpRequest,
    first: tuple[int, bytes],
    again: tuple[int, bytes],
    tolerance: float,
    say: Callable[[str], None],
) -> HttpAnswer | bytes:
    """What is right of two answers to a request; bytes that must be the same in a file."""
    asked = f"{request.method} {request.path}"
    (status, body), (status_again, body_again) = first, again
    shown = short(body.decode(errors="replace"))
    if status >= 400:
        raise InputError(
            f"{asked} is answered with HTTP {status}: {shown}",
            "correct --request, so that the service answers it",
        )
    if status != status_again:
        raise InputError(
            f"{asked} is answered with HTTP {status}, then with {status_again}",
            "give a request that has one answer",
        )
    value, other = _read_json(body), _read_json(body_again)
    if isinstance(value, dict) and value.get("error"):
        raise InputError(
            f"{asked} is answered with HTTP {status} and an error inside: {shown}",
            "correct --request; a server that answers errors so needs `answer` in model.yaml",
        )
    if value is not None and other is not None and matches(value, other, tolerance):
        say(f"{asked}: JSON, numbers within {tolerance:g}")
        return HttpAnswer(json=value)
    if body != body_again:
        say(f"{asked}: another answer each time, so only its status {status} is checked")
        return HttpAnswer()
    if not body:
        say(f"{asked}: status {status}")
        return HttpAnswer()
    say(f"{asked}: the same {len(body)} bytes")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return body
    plain = text.isprintable() and len(text) <= _LONGEST_TEXT
    return HttpAnswer(text=text) if plain else body


def _read_json(body: bytes) -> Any:  # noqa: ANN401 -- any JSON
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _json_or_text(body: str) -> dict[str, Any]:
    value = _read_json(body.encode())
    return {"text": body} if value is None else {"json": value}


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", _FORM) from error


def _write(directory: Path, wish: ServiceWish, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(content)
    service = wish.service
    said = {
        "image": service.image,
        "port": service.port,
        "ready": service.ready,
        "entrypoint": list(service.entrypoint),
        "command": list(service.command),
        "env": dict(service.env),
        "user": service.user,
        "writable": list(service.writable),
        "health": list(service.health),
        "requests": [_request(request) for request in service.requests],
    }
    document = {
        "description": " ".join(wish.description.split()) or f"the service {service.image}",
        "tolerance": wish.tolerance,
        "http": _without_empty(said),
    }
    (directory / "model.yaml").write_text(_HEAD + yaml_text(document), encoding="utf-8")


def _request(request: HttpRequest) -> dict[str, Any]:
    answer = request.answer
    return _without_empty(
        {
            "method": request.method,
            "path": request.path,
            "headers": dict(request.headers),
            **_content(request),
            "answer": {"status": answer.status, **_content(answer)},
        }
    )


def _content(of: HttpRequest | HttpAnswer) -> dict[str, Any]:
    parts = {"json": of.json, "text": of.text, "file": of.file}
    return {name: part for name, part in parts.items() if part is not None}


def _without_empty(said: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if value not in ([], {})}
