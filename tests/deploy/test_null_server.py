from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.load.grpc_peer import send_grpc
from tests.load.loopback import Place, count
from tuner.deploy import null_server
from tuner.load import http2
from tuner.load.calibrate import calibrate
from tuner.load.sender import LoadGenerator
from tuner.measure.samples import RequestOutcome
from tuner.serving.servers.call import Call


@pytest.fixture(scope="module", params=["1", "3"])
def address(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """The server as a container runs it: from its text, in an interpreter of its own, which becomes
    so many processes.
    """
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    source = Path(null_server.__file__).read_text()
    command = [sys.executable, "-c", source, str(port), request.param]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            yield "127.0.0.1", port
        finally:
            os.killpg(process.pid, signal.SIGKILL)


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
    assert null_server.body_length(head) == 12
    assert null_server.body_length(b"GET / HTTP/1.1\r\nHost: m") == 0


def read(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += connection.recv(size - len(found))
    return found


def test_every_stream_of_http2_is_answered(address: tuple[str, int]) -> None:
    head = http2.request_head([(":method", "POST"), (":path", "/any")])
    end = http2.END_STREAM
    with connected(address) as connection:
        text = http2.PREFACE + http2.settings_frame({http2.HEADER_TABLE_SIZE: 0})
        for n in range(len(text)):
            connection.sendall(text[n : n + 1])
        acknowledged = http2.frame(http2.SETTINGS, http2.ACK, 0)
        greeting = null_server.GREETING + acknowledged
        assert read(connection, len(greeting)) == greeting
        for stream in (1, 3):
            call = http2.frame(http2.HEADERS, http2.END_HEADERS, stream, head.first)
            call += http2.frame(http2.DATA, 0, stream, b"x" * 10_000)
            call += http2.frame(http2.DATA, end, stream, b"y")
            connection.sendall(call)
            wanted = null_server.grpc_answer(stream.to_bytes(4, "big"))
            assert read(connection, len(wanted)) == wanted


def test_a_load_in_grpc_is_answered(address: tuple[str, int]) -> None:
    connected(address).close()
    burst = send_grpc(Place([address]), messages=[b"x" * 200_000, b""])
    assert len(burst.samples) == count(burst, RequestOutcome.OK) > 20


def test_the_load_engine_is_calibrated_in_grpc(address: tuple[str, int]) -> None:
    connected(address).close()
    calls = [Call("/Predict", b"x" * 100)]
    found = calibrate(LoadGenerator(), Place([address]), calls, 0.65, protocol="grpc")
    assert 0 < found.floor_ms.value < 50
    assert found.capacity_rps.value > 100
