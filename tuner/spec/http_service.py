"""What a study knows of a service of the user's own: its container, its requests, its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

HttpMethod = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True)
class HttpAnswer:
    """Which answer is right: `status`, and at most one of the others about its body.

    `json`: the same JSON, numbers within the model's tolerance. `text`, `file`: the same bytes, of
    a text or of a file beside `model.yaml`. `matches`: a regular expression that occurs in it.
    """

    status: int = 200
    json: Any = None
    text: str | None = None
    file: str | None = None
    matches: str | None = None


@dataclass(frozen=True)
class HttpRequest:
    """One request, with at most one of `json`, `text` and `file` (beside `model.yaml`) as body."""

    path: str
    method: HttpMethod = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    text: str | None = None
    file: str | None = None
    answer: HttpAnswer = HttpAnswer()


@dataclass(frozen=True)
class HttpService:
    """An image that answers HTTP at `port`, and is ready once GET of `ready` answers 200.

    `entrypoint` is empty to use the image's own; `command` follows it, or the image's own where
    that is empty too. `user` is a number of a user and of a group. `writable` are the only paths
    that it can write, each in memory. `health` is a command inside it that asks whether it is
    ready: it gets the port and the path of `ready` as two more words. It is empty where none is
    known.
    """

    image: str
    port: int
    requests: tuple[HttpRequest, ...]
    ready: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = "65534:65534"
    writable: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
