"""The server as a process: its start, its connections, its versions and its end."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.serving.processes import (
    HALF_PLUS_TWO,
    MODEL,
    PREDICT,
    Running,
    command,
    environment,
    exchange,
    needs_tensorflow,
    running,
)

pytestmark = needs_tensorflow


def test_a_connection_is_kept_also_after_an_error(server: Running) -> None:
    with closing(server.connect()) as connection:
        connection.connect()
        kept = connection.sock
        for _ in range(3):
            assert exchange(connection, "POST", PREDICT, b'{"instances": [2]}')[0] == 200
            assert exchange(connection, "POST", PREDICT, b"no JSON")[0] == 400
            assert exchange(connection, "GET", "/v1/models/other")[0] == 404
            assert exchange(connection, "PUT", PREDICT, b"{}")[0] == 400
        assert connection.sock is kept


@pytest.mark.parametrize(("asked", "kept"), [(b"Keep-Alive", True), (b"close", False)])
def test_a_client_of_http_1_0_may_keep_its_connection(
    server: Running, asked: bytes, kept: bool
) -> None:
    body = b'{"instances": [2]}'
    head = b"POST %b HTTP/1.0\r\nConnection: %b\r\n" % (PREDICT.encode(), asked)
    request = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        for _ in range(2 if kept else 1):
            connection.sendall(request)
            answer = connection.recv(2**16)
            assert b"predictions" in answer
            assert b"connection: " + (b"keep-alive" if kept else b"close") in answer
        if not kept:
            assert connection.recv(1) == b""


def test_a_body_of_many_packets_is_put_together(server: Running) -> None:
    numbers = list(range(200_000))
    status, answer = server.predict({"instances": numbers})
    assert status == 200
    assert answer["predictions"] == [n / 2 + 2 for n in numbers]


def test_head_has_no_body_and_does_not_hang(server: Running) -> None:
    with closing(server.connect()) as connection:
        for _ in range(2):
            connection.request("HEAD", MODEL)
            with connection.getresponse() as response:
                assert response.status == 400
                assert response.read() == b""


def test_requests_sent_ahead_are_answered_in_order(server: Running) -> None:
    requests = b"".join(
        b"POST %b HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (PREDICT.encode(), len(body), body)
        for body in (b'{"instances": [%d]}' % n for n in range(20))
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(requests)
        received = b""
        while received.count(b"predictions") < 20:
            received += connection.recv(2**16)
    answers = [
        json.loads(part.split(b"\r\n\r\n")[1]) for part in received.split(b"HTTP/1.1 200")[1:]
    ]
    assert answers == [{"predictions": [n / 2 + 2]} for n in range(20)]


def ask_in_parallel(server: Running, clients: int, requests: int) -> None:
    """Each client its own numbers; now and then a request that is refused."""

    def ask(client: int) -> None:
        with closing(server.connect()) as connection:
            for number in range(client * 1000, client * 1000 + requests):
                body = json.dumps({"instances": [number]}).encode()
                answer = exchange(connection, "POST", PREDICT, body)
                assert answer == (200, {"predictions": [number / 2 + 2]})
                if number % 5 == 0:
                    wrong = b'{"signature_name": "classify_x_to_y", "instances": [{"b64": "AAAA"}]}'
                    assert exchange(connection, "POST", PREDICT, wrong)[0] == 400

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, range(clients)))


def test_parallel_requests_get_their_own_answers(server: Running) -> None:
    ask_in_parallel(server, clients=8, requests=50)


def test_batched_requests_get_their_own_answers(tmp_path: Path) -> None:
    flags = ("--enable_batching", "--max_batch_size=4", "--batch_timeout_micros=5000")
    with running(tmp_path / "log", *flags, "--allowed_batch_sizes=2,4") as server:
        ask_in_parallel(server, clients=8, requests=50)
        size = ":tensorflow:serving:batching_session:processed_batch_size_%s"
        labels = '{thread_pool_name="model_server_batch_threads"}'
        found = server.metrics()
        assert found[size % "sum" + labels] > found[size % "count" + labels]
        status, answer = server.predict({"instances": [1, 2, 3, 4, 5]})
        assert status == 400
        assert answer["error"] == "Task size 5 is larger than maximum input batch size 4"


def test_a_client_that_leaves_does_no_harm(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as half:
        half.sendall(f"POST {PREDICT} HTTP/1.1\r\ncontent-length: 100\r\n\r\n{{".encode())
    assert server.predict({"instances": [0]}) == (200, {"predictions": [2.0]})


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """A folder of versions that a test may change; 1 is there."""
    shutil.copytree(HALF_PLUS_TWO / "00000123", tmp_path / "versions" / "1")
    return tmp_path / "versions"


def test_a_version_that_appears_is_served_and_a_corrupt_one_reported(
    versions: Path, tmp_path: Path
) -> None:
    poll = "--file_system_poll_wait_seconds=0.05"
    with running(tmp_path / "log", poll, base_path=versions) as server:
        assert server.versions() == {"1": ("AVAILABLE", "OK")}
        corrupt = tmp_path / "3"
        shutil.copytree(versions / "1", corrupt)
        (corrupt / "saved_model.pb").write_bytes(b"\xffno model")
        corrupt.rename(versions / "3")
        server.wait_until(lambda: server.versions().get("3", ("", "OK"))[0] == "END")
        assert server.versions()["3"][1] != "OK"
        assert server.predict({"instances": [2]}) == (200, {"predictions": [3.0]})
        assert server.predict({"instances": [2]}, f"{MODEL}/versions/3:predict")[0] == 404

        shutil.copytree(versions / "1", tmp_path / "2")
        (tmp_path / "2").rename(versions / "2")
        server.wait_until(lambda: server.versions().get("2") == ("AVAILABLE", "OK"))
        server.wait_until(lambda: server.versions()["1"] == ("END", "OK"))
        status, answer = server.ask("GET", f"{MODEL}/metadata")
        assert (status, answer["model_spec"]["version"]) == (200, "2")
        assert server.predict({"instances": [2]}) == (200, {"predictions": [3.0]})


@pytest.fixture
def labelled(versions: Path, tmp_path: Path) -> Iterator[Running]:
    shutil.copytree(versions / "1", versions / "2")
    shutil.copytree(versions / "1", versions / "3")
    config = tmp_path / "models.config"
    config.write_text(
        f"""
        model_config_list {{
          config {{
            name: "half_plus_two"
            base_path: "{versions}"
            model_platform: "tensorflow"
            model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
            version_labels {{ key: "stable" value: 1 }}
            version_labels {{ key: "canary" value: 2 }}
          }}
          config {{ name: "other" base_path: "{HALF_PLUS_TWO}" }}
        }}
        """
    )
    with running(tmp_path / "log", f"--model_config_file={config}") as server:
        yield server


def test_several_models_versions_and_labels(labelled: Running) -> None:
    assert labelled.versions() == {"1": ("AVAILABLE", "OK"), "2": ("AVAILABLE", "OK")}
    for path in ("", "/versions/1", "/versions/2", "/labels/stable", "/labels/canary"):
        answer = labelled.predict({"instances": [2]}, f"{MODEL}{path}:predict")
        assert answer == (200, {"predictions": [3.0]})
    for label, version in (("stable", "1"), ("canary", "2")):
        _, answer = labelled.ask("GET", f"{MODEL}/labels/{label}/metadata")
        assert answer["model_spec"]["version"] == version
        # A status is by version only, as TensorFlow Serving's is.
        assert labelled.ask("GET", f"{MODEL}/labels/{label}") == labelled.ask("GET", MODEL)
    assert labelled.predict({"instances": [2]}, f"{MODEL}/versions/3:predict")[0] == 404
    assert labelled.predict({"instances": [2]}, "/v1/models/other:predict")[0] == 200


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
        (("--enable_magic=true",), 2, "unrecognized arguments: --enable_magic=true"),
        (("--rest_api_port=0",), 2, "0 is not a port"),
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


def test_only_corrupt_versions_end_the_start(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    done = subprocess.run(
        command(f"--model_base_path={tmp_path}"),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Could not find SavedModel" in done.stderr


@pytest.mark.parametrize("flag", ["port", "rest_api_port"])
def test_a_port_in_use_ends_the_start(server: Running, flag: str) -> None:
    taken = server.grpc_port if flag == "port" else server.port
    flags = (f"--model_base_path={HALF_PLUS_TWO}", "--port=0", f"--{flag}={taken}")
    done = subprocess.run(
        command(*flags), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode in {1, 3}  # 3 is uvicorn's
    assert "in use" in done.stderr or f"port {taken}" in done.stderr


def test_the_server_needs_nothing_of_tune() -> None:
    program = (
        "import server.__main__, server.rpc, sys;"
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
