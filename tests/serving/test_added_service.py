"""A service is added as a model: its requests, and what of its answers must stay the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tuner.errors import InputError
from tuner.serving.added_service import ServiceAnswers, ServiceWish, add_service, read_calls
from tuner.serving.container_plan import HEALTH_CHECKS
from tuner.serving.servers.table import server_named
from tuner.spec.http_service import HttpAnswer, HttpRequest, HttpService
from tuner.spec.load import load_model
from tuner.spec.study import ModelSpec, ServingSpec

Answers = Sequence[tuple[int, bytes]]


def added(tmp_path: Path, calls: Sequence[str], first: Answers, again: Answers) -> ModelSpec:
    """The model of a service that answers `calls` so, the first time and again."""
    requests, files = read_calls(calls)
    service = HttpService("some/web:1", 80, requests, "/up", (), ("run", "it"), {"A": "1 $x"})
    wish = ServiceWish("web", replace(service, writable=("/tmp",)), files)
    ran = ServiceAnswers([*first, *again], HEALTH_CHECKS[1])
    add_service(wish, lambda _: ran, lambda _: None, tmp_path)
    return load_model("web", tmp_path)


def test_what_is_the_same_twice_is_the_right_answer(tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(b"\x89PNG")
    calls = [
        'POST /predict {"x": [1, 2]}',
        "GET /text?a=b",
        f"PUT /image @{image}",
        "GET /clock",
        "DELETE /it",
    ]
    first = [(200, b'{"y": 2.0}'), (200, b"plain"), (201, b"\xff\0"), (200, b"12:01"), (204, b"")]
    again = [(200, b'{"y": 2.0001}'), *first[1:3], (200, b"12:02"), (204, b"")]
    model = added(tmp_path, calls, first, again)
    assert model.http is not None
    assert model.http.requests == (
        HttpRequest("/predict", "POST", json={"x": [1, 2]}, answer=HttpAnswer(json={"y": 2.0})),
        HttpRequest("/text?a=b", answer=HttpAnswer(text="plain")),
        HttpRequest("/image", "PUT", file="requests/2", answer=HttpAnswer(201, file="answers/2")),
        HttpRequest("/clock"),
        HttpRequest("/it", "DELETE", answer=HttpAnswer(204)),
    )
    server = server_named(model.server)
    plan = server.plan(ServingSpec.of(model), model, "some/web:1")
    assert (plan.port, plan.ready.path, plan.command) == (80, "/up", ("run", "it"))
    assert plan.environment == {"A": "1 $x"}
    assert plan.tmpfs.keys() == {"/tmp"}
    assert plan.health == HEALTH_CHECKS[1]
    requests = server.requests_in("rest", model, server.golden(model))
    assert [call.body for call in requests.calls][2:4] == [b"\x89PNG", b""]
    assert [call.status for call in requests.calls] == [200, 200, 201, 200, 204]
    for number, (_, body) in enumerate(again):
        assert requests.wrong(number, body) == ""
    assert "got b" in requests.wrong(1, b"b")
    assert requests.wrong(2, b"\xff")
    assert requests.right(3, b"at any time")


@pytest.mark.parametrize(
    ("first", "again", "message"),
    [
        ((404, b"no such page"), (404, b""), "GET / is answered with HTTP 404: no such page"),
        ((200, b'{"error": "bad"}'), (200, b""), "with HTTP 200 and an error inside: .*bad"),
        ((200, b"a"), (503, b""), "with HTTP 200, then with 503"),
    ],
)
def test_a_service_that_answers_with_an_error_is_not_added(
    tmp_path: Path, first: tuple[int, bytes], again: tuple[int, bytes], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        added(tmp_path, ["GET /"], [first], [again])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["/predict", "FETCH /", "GET predict", "POST /a @nowhere", ""])
def test_what_is_no_request_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError) as caught:
        read_calls([text])
    assert "--request 'POST /predict" in caught.value.mend


def test_the_server_needs_a_description(tmp_path: Path) -> None:
    bare = ModelSpec("m", "", tmp_path, tmp_path, server="http")
    with pytest.raises(InputError, match="model m has no section http"):
        server_named("http").plan(ServingSpec.of(bare), bare, "i")
