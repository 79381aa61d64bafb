"""The REST application without a server around it: what depends on time, and on room."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.serving.described import Gate, inference
from tuner.serving.server import http_api
from tuner.serving.server.app import Application
from tuner.serving.server.http_api import Message
from tuner.serving.server.metrics import Metrics

LARGEST = 300_000


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def application(gate: Gate, tmp_path: Path) -> Application:
    return Application(inference(gate, tmp_path), Metrics(), ThreadPoolExecutor(8), LARGEST)


async def post(application: Application, *parts: bytes | None) -> tuple[int, Any]:
    """Status and document of the answer to a body in `parts`; after None nothing more comes."""
    waiting = list(parts)
    sent: list[Message] = []

    async def receive() -> Message:
        part = waiting.pop(0)
        if part is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "raw_path": b"/v1/models/m:predict", "headers": []}
    await application(scope, receive, send)
    head, body = sent
    return head["status"], orjson.loads(body["body"])


def test_a_body_that_stops_coming_gets_408(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_api, "_BODY_SECONDS", 0.01)
    status, answer = asyncio.run(post(application, b'{"instances": [1', None))
    assert (status, answer) == (408, {"error": "the body stopped coming"})
    assert application.in_flight == 0


def test_a_body_may_come_in_parts(application: Application, gate: Gate) -> None:
    gate.opened.set()
    assert asyncio.run(post(application, b'{"inst', b'ances": ', b"[1]}", b"")) == (
        200,
        {"predictions": [0.0]},
    )


def test_large_bodies_wait_until_there_is_room(application: Application, gate: Gate) -> None:
    large = b'{"instances": [1' + b" " * 100_000 + b"]}"
    small = b'{"instances": [1]}'

    async def ask() -> list[tuple[int, Any]]:
        asked = [asyncio.create_task(post(application, large)) for _ in range(6)]
        # Two of them have room; small ones pass.
        while gate.inside < 2:  # noqa: ASYNC110 the other side is a thread
            await asyncio.sleep(0.001)
        asked.append(asyncio.create_task(post(application, small)))
        while gate.inside < 3:  # noqa: ASYNC110 likewise
            await asyncio.sleep(0.001)
        gate.opened.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(ask()) == [(200, {"predictions": [0.0]})] * 7
    assert gate.most <= 3
