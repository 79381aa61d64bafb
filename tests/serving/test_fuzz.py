"""Whatever is sent, the server answers it or drops the connection, and goes on."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import grpc
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.serving.processes import MODEL, PREDICT, Running, exchange, needs_tensorflow, running
from tuner.serving.server.messages import message_class

pytestmark = needs_tensorflow

MIB = 2**20
GRPC_PREDICT = "/tensorflow.serving.PredictionService/Predict"

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.builds(lambda text: {"b64": text}, st.text("ABC=+/*", max_size=8)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)
numbers = st.floats(width=32) | st.integers(-10, 10)
documents = st.fixed_dictionaries(
    {},
    optional={
        "instances": st.lists(json_values, max_size=3) | st.lists(numbers, max_size=3),
        "inputs": json_values | st.fixed_dictionaries({"x": json_values}) | st.lists(numbers),
        "examples": st.lists(st.dictionaries(st.sampled_from("xyz"), json_values)) | json_values,
        "context": st.dictionaries(st.sampled_from("xyz"), json_values),
        "signature_name": json_values
        | st.sampled_from(["serving_default", "classify_x_to_y", "regress_x_to_y"]),
    },
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A request's body with something cut out, doubled or put in."""
    body = json.dumps(draw(documents)).encode()
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, len(body)))
    return body[:start] + draw(st.binary(max_size=4) | st.just(body[start:end] * 2)) + body[end:]


paths = st.sampled_from([PREDICT, f"{MODEL}:classify", f"{MODEL}:regress"])


def answers(server: Running) -> bool:
    return server.predict({"instances": [0]}) == (200, {"predictions": [2.0]})


@settings(deadline=None)
@given(paths, documents.map(json.dumps).map(str.encode) | damaged() | st.binary())
def test_every_body_is_answered(server: Running, path: str, body: bytes) -> None:
    status, answer = server.ask("POST", path, body)
    event(f"status {status}")
    assert status in {200, 400}
    assert (status == 400) == (list(answer) == ["error"])


@settings(deadline=None)
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]),
    st.sampled_from(["/", "/v1/models", MODEL, f"{MODEL}/versions/", PREDICT]),
    st.lists(
        st.sampled_from(["/", "v1", "models", "half_plus_two", "versions", "labels", ":", "123"])
        | st.sampled_from(["metadata", "predict", "%2F", "%", "%FF", "9" * 5000, "..", "?", "#"]),
        max_size=6,
    ),
)
def test_every_path_is_answered(server: Running, method: str, start: str, parts: list[str]) -> None:
    with closing(server.connect()) as connection:
        connection.putrequest(method, start + "".join(parts), skip_host=True)
        connection.putheader("content-length", "0")
        connection.endheaders()
        with connection.getresponse() as response:
            event(f"status {response.status}")
            assert response.status in {200, 400, 404}
            response.read()


head = f"POST {PREDICT} HTTP/1.1\r\n".encode()
raw_bytes = (
    st.binary(max_size=200)
    | st.binary(max_size=50).map(lambda noise: head + noise + b"\r\n\r\n")
    | st.integers().map(lambda size: head + b"content-length: %d\r\n\r\n{}" % size)
    | st.binary(max_size=50).map(lambda noise: head + b"transfer-encoding: chunked\r\n\r\n" + noise)
)


@settings(deadline=None)
@given(raw_bytes)
def test_what_is_no_http_does_no_harm(server: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        try:
            received = connection.recv(2**16)
        except ConnectionResetError:
            received = b""
    event(received[:12].decode("ascii", "replace") or "closed")
    assert not received or received.startswith(b"HTTP/1.1 ")
    assert answers(server)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """The beginning of an HTTP/2 connection, and frames whose parts need not go together."""
    sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    for payload in draw(st.lists(st.binary(max_size=40), max_size=8)):
        length = draw(st.just(len(payload)) | st.integers(0, 2**24 - 1))
        kind, flags = draw(st.integers(0, 12)), draw(st.integers(0, 255))
        stream = draw(st.integers(0, 5) | st.integers(0, 2**32 - 1))
        sent += length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
        sent += payload
    return sent


@settings(deadline=None)
@given(st.binary(max_size=200) | frames())
def test_what_is_no_grpc_does_no_harm(server: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.grpc_port), timeout=30) as connection:
        connection.sendall(sent)
    assert answers(server)


@pytest.fixture(scope="module")
def channel(server: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as found:
        yield found


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A PredictRequest of this model, perhaps damaged."""
    request = message_class("PredictRequest")()
    request.model_spec.name = "half_plus_two"
    tensor = request.inputs[draw(st.sampled_from(["x", "inputs", "z"]))]
    tensor.dtype = draw(st.sampled_from([1, 7]) | st.integers(0, 30))
    for size in draw(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 4), max_size=4)):
        tensor.tensor_shape.dim.add(size=size)
    tensor.float_val.extend(draw(st.lists(st.floats(width=32), max_size=4)))
    tensor.int_val.extend(draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4)))
    tensor.half_val.extend(draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=2)))
    tensor.string_val.extend(draw(st.lists(st.binary(max_size=4), max_size=4)))
    tensor.tensor_content = draw(st.binary(max_size=8))
    request.model_spec.signature_name = draw(st.sampled_from(["", "classify_x_to_y", "none"]))
    serialized: bytes = request.SerializeToString()
    if draw(st.booleans()):
        return serialized
    cut = draw(st.integers(0, len(serialized)))
    return serialized[:cut] + draw(st.binary(max_size=3)) + serialized[cut:]


@settings(deadline=None)
@given(messages() | st.binary(max_size=50))
def test_every_message_is_answered(server: Running, channel: grpc.Channel, sent: bytes) -> None:
    call = channel.unary_unary(GRPC_PREDICT)
    code, details = "OK", ""
    try:
        call(sent, timeout=30)
    except grpc.RpcError as error:
        code, details = error.code().name, error.details()
    event(code)
    assert code not in {"DEADLINE_EXCEEDED", "UNAVAILABLE", "UNKNOWN"}
    assert "Error:" not in details  # no exception of Python's that nobody thought of
    assert answers(server)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 10**6,
        b'{"instances": ' + b"[" * 900_000 + b"]" * 900_000 + b"}",
        b'{"instances": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"a":' * 300_000,
        b'{"instances": [' + b"9" * 10**6 + b"]}",
        b'{"instances": [1e' + b"9" * 10**6 + b"]}",
        b'{"instances": [NaN, ' + b"[" * 500_000 + b"]}",
        b'{"instances": ["' + b"\\u0000" * 200_000 + b'"]}',
        b'{"instances": [{"b64": "' + b"A" * 10**6 + b'"}]}',
        b'{"instances": [' + b"[]," * 600_000 + b"[1]]}",
    ],
    ids=[
        "open lists",
        "deep lists",
        "lists as deep as the parser goes",
        "open objects",
        "digits",
        "exponent",
        "deep with NaN",
        "escapes",
        "base64",
        "many lists",
    ],
)
def test_a_monstrous_body_is_the_senders_error(server: Running, body: bytes) -> None:
    status, answer = server.ask("POST", PREDICT, body)
    assert status == 400
    assert len(answer["error"]) < 1000
    assert answers(server)


def resident_mib(server: Running) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_100_mb_gets_413_and_is_not_kept(server: Running, chunked: bool) -> None:
    answers(server)
    before = resident_mib(server)
    length = "transfer-encoding: chunked" if chunked else f"content-length: {100 * MIB}"
    part = b" " * MIB
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"POST {PREDICT} HTTP/1.1\r\n{length}\r\n\r\n".encode())
        for _ in range(100):
            connection.sendall(b"%x\r\n%b\r\n" % (MIB, part) if chunked else part)
        if chunked:
            connection.sendall(b"0\r\n\r\n")
        received = b""
        while data := connection.recv(2**16):  # until the server closes the connection
            received += data
    assert received.startswith(b"HTTP/1.1 413 ")
    assert received.endswith(b'{"error":"the body is larger than 2097152 bytes"}')
    assert resident_mib(server) < before + 20
    assert answers(server)


def test_a_client_that_asks_first_need_not_send_a_body_that_is_too_large(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            f"POST {PREDICT} HTTP/1.1\r\nexpect: 100-continue\r\n"
            f"content-length: {100 * MIB}\r\n\r\n".encode()
        )
        assert connection.recv(2**16).startswith(b"HTTP/1.1 413 ")


def test_slow_clients_hold_nobody_up(server: Running) -> None:
    body = b'{"instances": [8]}'
    whole = f"POST {PREDICT} HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    with ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            for _ in range(100)
        ]
        for number, connection in enumerate(slow):
            connection.sendall(whole[: number % len(whole)])
        for _ in range(10):
            assert answers(server)
        for number, connection in enumerate(slow):
            connection.sendall(whole[number % len(whole) :])
        for connection in slow:
            assert connection.recv(2**16).endswith(b'{"predictions":[6.0]}')


def test_a_client_that_sends_byte_by_byte_is_answered(server: Running) -> None:
    body = b'{"instances": [8]}'
    whole = f"POST {PREDICT} HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in whole:
            connection.sendall(bytes([byte]))
        assert connection.recv(2**16).endswith(b'{"predictions":[6.0]}')


@pytest.mark.thorough
def test_the_resident_size_is_flat_over_10000_requests(tmp_path: Path) -> None:
    """Requests that are answered and refused, by REST and gRPC, with batching on."""
    request = message_class("PredictRequest")()
    request.model_spec.name = "half_plus_two"
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=100)
    request.inputs["x"].float_val.extend(range(100))
    good = request.SerializeToString()
    bodies = [
        json.dumps({"instances": list(range(200))}).encode(),
        b'{"instances": [NaN]}',
        b'{"instances": ["x"]}',
        b"no JSON",
        b'{"signature_name": "classify_x_to_y", "instances": [{"b64": "AAAA"}]}',
        b'{"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}]}',
    ]

    def ask(server: Running, requests: int) -> None:
        """`requests` of each of four clients, every fourth by gRPC."""

        def one() -> None:
            with (
                closing(server.connect()) as connection,
                grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel,
            ):
                call = channel.unary_unary(GRPC_PREDICT)
                for number in range(requests):
                    if number % 4 == 0:
                        assert call(good, timeout=30)
                        continue
                    body = bodies[number % len(bodies)]
                    path = f"{MODEL}:regress" if b"examples" in body else PREDICT
                    assert exchange(connection, "POST", path, body)[0] in {200, 400}

        clients = [threading.Thread(target=one) for _ in range(4)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    with running(tmp_path / "log", "--enable_batching", "--max_batch_size=2000") as server:
        ask(server, 250)  # until every pool has its threads and every cache its size
        before = resident_mib(server)
        ask(server, 2500)
        after = resident_mib(server)
    assert after < before + 3, f"{before:.1f} MiB before, {after:.1f} MiB after"
