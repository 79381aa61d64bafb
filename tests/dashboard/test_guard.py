"""What the dashboard answers at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse
from wsgiref.util import setup_testing_defaults

import pytest

from tuner.dashboard.guard import guarded


def served(_environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"served"]


def answer(
    method: str, path: str, host: str, *, loopback: bool = True, origin: str | None = None
) -> tuple[str, bytes]:
    environ: dict[str, Any] = {} if origin is None else {"HTTP_ORIGIN": origin}
    setup_testing_defaults(environ)
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": host}
    statuses = []

    def start_response(status: str, headers: Any, _exc: object = None) -> Any:  # noqa: ANN401
        statuses.append(status)
        assert ("X-Frame-Options", "DENY") in headers

    body = b"".join(guarded(served, loopback=loopback)(environ, start_response))
    return statuses[0], body


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080"])
def test_loopback_answers_to_its_own_names(host: str) -> None:
    assert answer("GET", "/api/studies", host) == ("200 OK", b"served")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "", "127.0.0.1.evil.example"]
)
def test_a_name_that_a_page_elsewhere_gave_to_loopback_is_refused(host: str) -> None:
    status, _ = answer("GET", "/api/studies", host)
    assert status == "403 Forbidden"
    assert answer("GET", "/api/studies", host, loopback=False)[0] == "200 OK"


@pytest.mark.parametrize(
    ("method", "path", "why"),
    [
        ("POST", "/api/studies", "tune run"),
        ("POST", "/api/studies/", "tune run"),
        ("POST", "/api/studies/12/rename", "study.yaml"),
        ("POST", "/api/trials/3/tell", "its run"),
        ("POST", "/api/trials/3/user-attrs", "its run"),
        ("POST", "/api/artifacts/1/2", "records"),
        ("DELETE", "/api/artifacts/1/2/abc", "records"),
    ],
)
def test_what_would_break_a_study_is_refused_with_the_reason(
    method: str, path: str, why: str
) -> None:
    status, body = answer(method, path, "localhost")
    assert status == "403 Forbidden"
    assert why in json.loads(body)["reason"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/api/studies/1"), ("PUT", "/api/studies/1/note"), ("GET", "/api/studies/1")],
)
def test_the_rest_is_the_dashboards(method: str, path: str) -> None:
    assert answer(method, path, "localhost")[0] == "200 OK"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("loopback", [True, False])
def test_a_page_elsewhere_changes_nothing(method: str, loopback: bool) -> None:
    for origin in ("http://192.0.2.7", "null", "http://127.0.0.1:1", "http://localhost:8080"):
        status, _ = answer(
            method, "/api/studies/1", "127.0.0.1:8080", loopback=loopback, origin=origin
        )
        assert status == "403 Forbidden"
    own = "http://127.0.0.1:8080"
    assert answer(method, "/api/studies/1", "127.0.0.1:8080", origin=own)[0] == "200 OK"
    assert answer("GET", "/api/studies/1", "127.0.0.1:8080", origin="null")[0] == "200 OK"
