"""Answers by which nothing can be measured are refused with what was seen and the mend."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from tuner.deploy import reach, unfit_answers
from tuner.deploy.reach import DirectSession, HttpReply
from tuner.deploy.unfit_answers import refuse_unfit_answer
from tuner.errors import InputError
from tuner.serving.servers.call import Call


@contextmanager
def answering(
    body: bytes, headers: Mapping[str, str], status: int = 200, version: str = "HTTP/1.1"
) -> Iterator[str]:
    """A server on loopback that gives one answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = version

        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


CALL = Call("/a", method="GET", headers={})
PACKED = gzip.compress(b"{}", mtime=0)


def asked(url: str, call: Call = CALL) -> HttpReply:
    with DirectSession() as session:
        return session.ask(url, call, 5.0)


@pytest.mark.parametrize(
    ("body", "headers", "status", "version", "seen", "mend"),
    [
        (
            b"",
            {"Location": "https://there"},
            302,
            "HTTP/1.1",
            "redirect to https://there .HTTP 302",
            "path",
        ),
        (b"{}", {}, 200, "HTTP/1.0", "in HTTP/1.0, after which", "HTTP/1.1"),
        (b"{}", {"Connection": "close"}, 200, "HTTP/1.1", "ends the connection", "keep conn"),
        (PACKED, {"Content-Encoding": "gzip"}, 200, "HTTP/1.1", "compressed .gzip.", "compression"),
    ],
)
def test_what_was_seen_and_the_mend_are_said(
    body: bytes, headers: Mapping[str, str], status: int, version: str, seen: str, mend: str
) -> None:
    framed = {"Content-Length": str(len(body)), **headers}
    with answering(body, framed, status, version) as url:
        answer = asked(url)
    with pytest.raises(InputError, match=f"GET /a is answered .*{seen}") as caught:
        refuse_unfit_answer(answer, CALL)
    assert mend in caught.value.mend


def test_a_long_answer_is_read_no_further_than_it_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reach, "MOST_BYTES", 2**20)
    monkeypatch.setattr(unfit_answers, "MOST_BYTES", 2**20)
    with answering(b"x" * 2**21, {"Content-Length": str(2**21)}) as url:
        answer = asked(url)
    assert len(answer.body) == 2**20 + 1
    with pytest.raises(InputError, match="with more than 1 MiB"):
        refuse_unfit_answer(answer, CALL)


def test_what_is_expected_is_fit_also_in_pieces_and_a_redirect() -> None:
    with answering(b"2\r\n{}\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked"}) as url:
        answer = asked(url)
    assert (answer.status, answer.body) == (200, b"{}")
    refuse_unfit_answer(answer, CALL)
    with answering(b"", {"Content-Length": "0", "Location": "/b"}, 307) as url:
        refuse_unfit_answer(asked(url), Call("/a", method="GET", headers={}, status=307))
