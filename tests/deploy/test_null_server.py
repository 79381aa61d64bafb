from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuner.deploy import null_server


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """The server as a container runs it: from its text, in an interpreter of its own."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    source = Path(null_server.__file__).read_text()
    with subprocess.Popen([sys.executable, "-c", source, str(port)]) as process:
        try:
            yield "127.0.0.1", port
        finally:
            process.kill()


def connected(address: tuple[str, int]) -> socket.socket:
    while True:
        try:
            return socket.create_connection(address, timeout=10)
        except ConnectionRefusedError:
            continue


def request(body: bytes) -> bytes:
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: m\r\nContent-Length: %d\r\n\r\n" % len(
        body
    )
    return head + body


def answers(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count * len(null_server.ANSWER):
        found += connection.recv(1 << 16)
    return found


def test_every_request_of_a_connection_is_answered(address: tuple[str, int]) -> None:
    with connected(address) as connection:
        for body in (b"", b"{}", b"x" * 300_000, b"\r\n\r\n"):
            connection.sendall(request(body))
            assert answers(connection, 1) == null_server.ANSWER


def test_requests_may_come_together_or_in_pieces(address: tuple[str, int]) -> None:
    with connected(address) as connection:
        text = request(b"first") + request(b"second") + request(b"")
        connection.sendall(text)
        assert answers(connection, 3) == 3 * null_server.ANSWER
        for n in range(len(text)):
            connection.sendall(text[n : n + 1])
        assert answers(connection, 3) == 3 * null_server.ANSWER


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length", b"CONTENT-LENGTH "])
def test_the_length_is_read_whatever_its_case(name: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: m\r\n" + name + b": 12"
    assert null_server.content_length(head) == 12
    assert null_server.content_length(b"GET / HTTP/1.1\r\nHost: m") == 0
