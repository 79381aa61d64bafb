"""What a page may ask of the dashboard: nothing that would break a study of `tune`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

LOOPBACK = ("127.0.0.1", "::1", "localhost")

_READING = ("GET", "HEAD", "OPTIONS")

_HEADERS = [("X-Frame-Options", "DENY"), ("X-Content-Type-Options", "nosniff")]
"""No other page may show the dashboard within itself and let a click there fall on it."""

_REFUSED = (
    (r"POST /api/studies", "a study of tune is made by `tune run`"),
    (r"POST /api/studies/\d+/rename", "a study of tune is named by its study.yaml"),
    (r"POST /api/trials/\d+/(tell|user-attrs)", "a trial of tune is told by its run"),
    (r"(POST|DELETE) /api/artifacts/.*", "the artifacts are made from the study's records"),
)


def guarded(app: WSGIApplication, *, loopback: bool) -> WSGIApplication:
    """`app`, but requests that it cannot serve rightly are answered by 403 and the reason.

    With `loopback`, so are those of a browser that took another name for this machine: a page
    elsewhere may let its own name mean 127.0.0.1, and would then be allowed to read answers. A page
    elsewhere can change nothing, whatever the address.
    """

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:  # noqa: ANN401 -- WSGI's
            return start_response(status, [*headers, *_HEADERS], *error)

        reason = _refusal(environ, loopback=loopback)
        if not reason:
            return app(environ, start)
        body = json.dumps({"reason": reason}).encode()
        start("403 Forbidden", [("Content-Type", "application/json")])
        return [body]

    return answer


def _refusal(environ: dict[str, Any], *, loopback: bool) -> str:
    host = re.sub(r":\d+$", "", environ.get("HTTP_HOST", "")).strip("[]")
    if loopback and host not in LOOPBACK:
        return f"this is not {host}: open 127.0.0.1 or localhost, or start it with --host"
    origin = environ.get("HTTP_ORIGIN")
    own = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}"
    if environ["REQUEST_METHOD"] not in _READING and origin not in (None, own):
        return f"a page of {origin} may change nothing here"
    request = f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '').rstrip('/')}"
    return next((why for pattern, why in _REFUSED if re.fullmatch(pattern, request)), "")
