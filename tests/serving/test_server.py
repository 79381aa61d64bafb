"""The server as a process on this host, serving TensorFlow Serving's own test model."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

HALF_PLUS_TWO = Path(__file__).parents[1] / "data" / "half_plus_two"
PACKAGE_PARENT = Path(__file__).parents[2] / "tuner" / "serving"
PREDICT = "/v1/models/half_plus_two:predict"

pytestmark = pytest.mark.skipif(
    find_spec("tensorflow") is None, reason="TensorFlow is not installed (extra `models`)"
)


class Running:
    """A server process and how to ask it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        with closing(self.connect()) as connection:
            return exchange(connection, method, path, body)

    def predict(self, document: object, path: str = PREDICT) -> tuple[int, Any]:
        return self.ask("POST", path, json.dumps(document).encode())


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None
) -> tuple[int, Any]:
    connection.request(method, path, body)
    with connection.getresponse() as response:
        assert response.headers["content-type"] == "application/json"
        return response.status, json.loads(response.read())


def command(*flags: str) -> list[str]:
    return [sys.executable, "-m", "server", *flags]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PACKAGE_PARENT), "TF_CPP_MIN_LOG_LEVEL": "2"}


@contextmanager
def running(log: Path) -> Iterator[Running]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    flags = (
        "--model_name=half_plus_two",
        f"--model_base_path={HALF_PLUS_TWO}",
        f"--rest_api_port={port}",
    )
    with (
        log.open("wb") as output,
        subprocess.Popen(command(*flags), env=environment(), stderr=output) as process,
    ):
        try:
            server = Running(process, port, log)
            wait_until_ready(server)
            yield server
        finally:
            process.kill()


def wait_until_ready(server: Running) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.log.read_text()
        try:
            status, _ = server.ask("GET", "/v1/models/half_plus_two")
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            assert status == 200
            return
    pytest.fail(f"not ready:\n{server.log.read_text()}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("server") / "log") as found:
        yield found


@pytest.mark.parametrize(
    "path", ["/v1/models/half_plus_two", "/v1/models/half_plus_two/versions/123"]
)
def test_the_status_is_available(server: Running, path: str) -> None:
    assert server.ask("GET", path) == (
        200,
        {
            "model_version_status": [
                {
                    "version": "123",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        },
    )


def test_metadata_shows_the_signatures(server: Running) -> None:
    status, answer = server.ask("GET", "/v1/models/half_plus_two/metadata")
    assert status == 200
    assert answer["model_spec"] == {
        "name": "half_plus_two",
        "signature_name": "",
        "version": "123",
    }
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) >= {"serving_default", "classify_x_to_y", "regress_x_to_y"}
    sizes = [{"size": "-1", "name": ""}, {"size": "1", "name": ""}]
    assert signatures["serving_default"]["inputs"] == {
        "x": {
            "dtype": "DT_FLOAT",
            "tensor_shape": {"dim": sizes, "unknown_rank": False},
            "name": "x:0",
        }
    }
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"instances": [1.0, 2.0, 5.0]}, {"predictions": [2.5, 3.0, 4.5]}),
        ({"instances": [[1.0], [2.0]]}, {"predictions": [[2.5], [3.0]]}),
        ({"instances": [{"x": [4]}]}, {"predictions": [[4.0]]}),
        ({"inputs": [[1.0], [2.0]]}, {"outputs": [[2.5], [3.0]]}),
        ({"inputs": {"x": [[6]]}}, {"outputs": [[5.0]]}),
        ({"signature_name": "regress_x2_to_y3", "instances": [[0]]}, {"predictions": [[3.0]]}),
    ],
)
def test_predictions_are_right(server: Running, document: object, answer: object) -> None:
    assert server.predict(document) == (200, answer)
    version = "/v1/models/half_plus_two/versions/123:predict"
    assert server.predict(document, version) == (200, answer)


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/v1/models/other", 404, "Could not find any versions of model other"),
        (
            "GET",
            "/v1/models/half_plus_two/versions/5",
            404,
            "Could not find version 5 of model half_plus_two",
        ),
        ("GET", "/v1/models/other/metadata", 404, "Servable not found for request: Latest(other)"),
        ("POST", "/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
        (
            "POST",
            "/v1/models/half_plus_two/versions/5:predict",
            404,
            "Servable not found for request: Specific(half_plus_two, 5)",
        ),
        ("GET", PREDICT, 400, f"Malformed request: GET {PREDICT}"),
        ("POST", "/v1/models/half_plus_two", 400, "Malformed request: POST"),
        ("POST", "/v1/models/half_plus_two:explain", 400, "Malformed request: POST"),
        ("POST", "/v1/models/half_plus_two:classify", 501, "classify is not supported"),
        ("GET", "/", 404, "Not found: /"),
    ],
)
def test_errors_have_tensorflow_servings_status(
    server: Running, method: str, path: str, status: int, error: str
) -> None:
    body = b'{"instances": [1.0]}' if method == "POST" else None
    found, answer = server.ask(method, path, body)
    assert found == status
    assert list(answer) == ["error"]
    assert error in answer["error"]


def test_a_bad_body_is_the_senders_error(server: Running) -> None:
    assert server.ask("POST", PREDICT, b"{")[0] == 400
    status, answer = server.predict({"instances": ["one"]})
    assert status == 400
    assert 'JSON Value: "one" Type: String is not of expected type: float' in answer["error"]


def test_what_the_graph_refuses_is_the_senders_error(server: Running) -> None:
    document = {"signature_name": "classify_x_to_y", "instances": [{"b64": "AAAA"}]}
    status, answer = server.predict(document)
    assert status == 400
    assert "Could not parse example" in answer["error"]


def test_a_connection_is_kept_also_after_an_error(server: Running) -> None:
    with closing(server.connect()) as connection:
        connection.connect()
        kept = connection.sock
        for _ in range(3):
            assert exchange(connection, "POST", PREDICT, b'{"instances": [2]}')[0] == 200
            assert exchange(connection, "POST", PREDICT, b"no JSON")[0] == 400
            assert exchange(connection, "GET", "/v1/models/other")[0] == 404
        assert connection.sock is kept


def test_a_body_of_many_packets_is_put_together(server: Running) -> None:
    numbers = list(range(200_000))
    status, answer = server.predict({"instances": numbers})
    assert status == 200
    assert answer["predictions"] == [n / 2 + 2 for n in numbers]


def test_parallel_requests_get_their_own_answers(server: Running) -> None:
    def ask(client: int) -> None:
        with closing(server.connect()) as connection:
            for number in range(client * 1000, client * 1000 + 50):
                body = json.dumps({"instances": [number]}).encode()
                answer = exchange(connection, "POST", PREDICT, body)
                assert answer == (200, {"predictions": [number / 2 + 2]})

    with ThreadPoolExecutor(8) as clients:
        list(clients.map(ask, range(8)))


def test_a_client_that_leaves_does_no_harm(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as half:
        half.sendall(f"POST {PREDICT} HTTP/1.1\r\ncontent-length: 100\r\n\r\n{{".encode())
    assert server.predict({"instances": [0]}) == (200, {"predictions": [2.0]})


def test_an_idle_server_leaves_on_sigterm(tmp_path: Path) -> None:
    with running(tmp_path / "log") as server, closing(server.connect()) as connection:
        exchange(connection, "POST", PREDICT, b'{"instances": [2]}')
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0


def test_a_request_under_way_is_answered_before_the_server_leaves(tmp_path: Path) -> None:
    body = b'{"instances": [8]}'
    head = f"POST {PREDICT} HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n"
    with (
        running(tmp_path / "log") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection,
    ):
        connection.sendall(head.encode())
        # The server says so when it waits for the body, so the request is under way.
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        server.process.send_signal(signal.SIGTERM)
        connection.sendall(body)
        answer = connection.recv(1000)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b'{"predictions":[6.0]}')
        assert server.process.wait(30) == 0


@pytest.mark.parametrize(
    ("flags", "code", "error"),
    [
        (("--enable_batching=true",), 2, "unrecognized arguments: --enable_batching=true"),
        (("--rest_api_port=0",), 2, "0 is not a port"),
        (("--rest_api_num_threads=none",), 2, "--rest_api_num_threads"),
        (("--model_base_path=/nowhere",), 1, "/nowhere cannot be read"),
        ((f"--model_base_path={HALF_PLUS_TWO}/00000123",), 1, "no versions of the servable"),
    ],
)
def test_a_wrong_start_ends_with_the_reason(flags: tuple[str, ...], code: int, error: str) -> None:
    done = subprocess.run(
        command(*flags), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert error in done.stderr


def test_the_server_needs_nothing_of_tune() -> None:
    program = (
        "import server.__main__, sys;"
        "print({name.partition('.')[0] for name in sys.modules}"
        " & {'tuner', 'tensorflow', 'docker', 'pandas', 'scipy', 'optuna'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "set()\n"
