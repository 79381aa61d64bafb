"""How containers are reached: published ports, the port of a protocol, requests past a proxy."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import cast

import pytest
import requests
from docker.models.containers import Container

from tuner.deploy.engine_statistics import CounterSource
from tuner.deploy.null_container import wait_until_it_answers
from tuner.deploy.reach import Reach
from tuner.deploy.replica import Replica, ReplicaStart
from tuner.measure.golden import Golden
from tuner.serving.container_plan import Ready
from tuner.serving.servers.table import container_plan
from tuner.serving.servers.tensorflow_serving import TENSORFLOW_SERVING
from tuner.spec.study import LoadProtocol, ModelSpec, ServingSpec

MODEL = ModelSpec("m", "", Path(), Path(), tolerance=0.1)


@pytest.mark.parametrize("image", ["tune", "tensorflow/serving:2.19.1"])
@pytest.mark.parametrize(("protocol", "port"), [("rest", 8501), ("grpc", 8500)])
def test_each_protocol_has_tensorflow_servings_port(
    image: str, protocol: LoadProtocol, port: int
) -> None:
    assert container_plan(ServingSpec(image=image), MODEL, image).port_of(protocol) == port


def test_ports_are_published_where_the_bridge_is_elsewhere() -> None:
    assert Reach(published=False).ports(8501, 8500) is None
    here, there = Reach(published=True), Reach(published=True, host="far", remote=True)
    assert here.ports(8501, 8500) == {
        "8501/tcp": ("127.0.0.1", None),
        "8500/tcp": ("127.0.0.1", None),
    }
    assert here.ports(8501, 8501) == {"8501/tcp": ("127.0.0.1", None)}
    assert there.ports(8500) == {"8500/tcp": ("0.0.0.0", None)}


class _Server(BaseHTTPRequestHandler):
    """A container that is up: its model is available, and it answers every request alike."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer({"model_version_status": [{"version": "1", "state": "AVAILABLE"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"predictions": [1.0]})

    def answer(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: a test's output is its failure."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A server on this machine, and a proxy that nobody answers for."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "localhost")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield "127.0.0.1", server.server_port
        server.shutdown()
        thread.join()


def test_requests_to_containers_go_through_no_proxy(address: tuple[str, int]) -> None:
    host, port = address
    url = f"http://{host}:{port}/"
    with pytest.raises(requests.exceptions.ProxyError):
        requests.get(url, timeout=5)
    container = cast("Container", None)  # it is asked for nothing while the server answers
    replica = Replica(
        0, container, address, address, cast("CounterSource", None), Event(), ReplicaStart("")
    )
    replica.wait_until_ready(Ready("/v1/models/m", "AVAILABLE"), 5)
    golden = Golden((b"{}",), ({"predictions": [1.0]},))
    replica.check_answers("m", TENSORFLOW_SERVING.requests["rest"](MODEL, golden))
    wait_until_it_answers(container, url, 5)
