"""The server as a process on this host, serving TensorFlow Serving's own test model."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

HALF_PLUS_TWO = Path(__file__).parents[1] / "data" / "half_plus_two"
PACKAGE_PARENT = Path(__file__).parents[2] / "tuner" / "serving"
MODEL = "/v1/models/half_plus_two"
PREDICT = f"{MODEL}:predict"

needs_tensorflow = pytest.mark.skipif(
    find_spec("tensorflow") is None, reason="TensorFlow is not installed (extra `models`)"
)


class Running:
    """A server process and how to ask it."""

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, grpc_port: int, log: Path
    ) -> None:
        self.process = process
        self.port = port
        self.grpc_port = grpc_port
        self.log = log

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        with closing(self.connect()) as connection:
            return exchange(connection, method, path, body, headers)

    def predict(self, document: object, path: str = PREDICT) -> tuple[int, Any]:
        return self.ask("POST", path, json.dumps(document).encode())

    def metrics(self) -> dict[str, float]:
        """The lines of the Prometheus page by name and labels."""
        with closing(self.connect()) as connection:
            connection.request("GET", "/monitoring/prometheus/metrics")
            with connection.getresponse() as response:
                assert response.headers["content-type"] == "text/plain"
                lines = response.read().decode().splitlines()
        samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def versions(self) -> dict[str, tuple[str, str]]:
        """State and error code of each version."""
        status, answer = self.ask("GET", MODEL)
        assert status == 200, answer
        return {
            entry["version"]: (entry["state"], entry["status"]["error_code"])
            for entry in answer["model_version_status"]
        }

    def wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not holds():
            assert self.process.poll() is None, self.log.read_text()
            if time.monotonic() > deadline:
                pytest.fail(f"it never came to that:\n{self.log.read_text()}")
            time.sleep(0.05)


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    connection.request(method, path, body, headers or {})
    with connection.getresponse() as response:
        assert response.headers["content-type"] == "application/json"
        return response.status, json.loads(response.read())


def command(*flags: str) -> list[str]:
    return [sys.executable, "-m", "server", *flags]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PACKAGE_PARENT), "TF_CPP_MIN_LOG_LEVEL": "2"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running(log: Path, *flags: str, base_path: Path = HALF_PLUS_TWO) -> Iterator[Running]:
    """A server that is ready; it is killed at the end of the block."""
    port, grpc_port = free_port(), free_port()
    given = (
        "--model_name=half_plus_two",
        f"--model_base_path={base_path}",
        f"--rest_api_port={port}",
        f"--port={grpc_port}",
        *flags,
    )
    with until_killed(command(*given), environment(), log, port, grpc_port) as server:
        yield server


@contextmanager
def until_killed(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    port: int,
    grpc_port: int,
    directory: Path | None = None,
) -> Iterator[Running]:
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, stderr=output, cwd=directory) as process,
    ):
        try:
            server = Running(process, port, grpc_port, log)
            server.wait_until(lambda: listens(port))
            yield server
        finally:
            process.kill()


def listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
