"""A load in gRPC against servers on loopback: what is sent, counted and survived."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc as grpcio
import numpy as np
import pytest

from tests.load.grpc_peer import MESSAGES, PATH, Peer, answer, head, send_grpc, trailers
from tests.load.loopback import QUICK, Place, Running, Start, count, started_servers
from tuner.errors import TrialFailed
from tuner.load import http2
from tuner.load.grpc import framed
from tuner.measure.samples import RequestOutcome

StartPeer = Callable[..., Running]
LONG = http2.DEFAULT_WINDOW * 3 + 17


@pytest.fixture
def peer() -> Iterator[StartPeer]:
    with started_servers(Peer) as begin:
        yield begin


def of(target: Running) -> Peer:
    assert isinstance(target.server, Peer)
    return target.server


def test_every_call_that_the_server_saw_is_a_sample(peer: StartPeer) -> None:
    target = peer()
    burst = send_grpc(target)
    samples = burst.samples
    assert len(samples) == len(of(target).bodies) == count(burst, RequestOutcome.OK) > 20
    assert sorted(MESSAGES[i] for i in samples.request) == sorted(of(target).bodies)
    assert set(samples.status.tolist()) == {200}
    assert of(target).opened == 4
    assert samples.duration_ns.min() >= 2e6


def test_each_call_says_what_grpc_asks_for(peer: StartPeer) -> None:
    target = peer()
    send_grpc(target, concurrency=1)
    heads = {tuple(fields) for fields in of(target).heads}
    assert len(heads) == 1
    fields = dict(heads.pop())
    assert fields[":method"] == "POST"
    assert fields[":path"] == PATH
    assert fields[":authority"] == "m"
    assert fields["te"] == "trailers"
    assert fields["content-type"] == "application/grpc"


def test_a_server_without_room_for_a_header_table_is_sent_whole_heads(peer: StartPeer) -> None:
    target = peer(settings={http2.HEADER_TABLE_SIZE: 0})
    burst = send_grpc(target)
    assert count(burst, RequestOutcome.OK) == len(burst.samples) > 20
    assert len({tuple(fields) for fields in of(target).heads}) == 1


@pytest.mark.parametrize("window", [1, 100, http2.DEFAULT_WINDOW, http2.LARGEST_NUMBER])
def test_no_more_is_sent_than_the_server_has_room_for(peer: StartPeer, window: int) -> None:
    size = 40 if window == 1 else LONG if window > 100 else 2000
    messages = [bytes([n]) * size for n in range(3)]
    target = peer(settings={http2.INITIAL_WINDOW_SIZE: window}, seconds=0)
    burst = send_grpc(target, concurrency=2, spec=replace(QUICK, min_requests=5), messages=messages)
    assert count(burst, RequestOutcome.OK) == len(burst.samples) >= 5
    assert of(target).overruns == 0
    assert set(of(target).bodies) == set(messages)


def test_a_long_answer_comes_in_many_frames_and_is_kept_whole(peer: StartPeer) -> None:
    message = bytes(range(256)) * 1000
    kept: list[bytes] = []

    def check(_request: int, body: bytes) -> bool:
        kept.append(body)
        return True

    send_grpc(peer(call=lambda _n, stream: answer(stream, message)), check=check)
    assert kept
    assert set(kept) == {message}


def test_wrong_answers_are_found_in_the_sample_that_is_checked(peer: StartPeer) -> None:
    burst = send_grpc(peer(), concurrency=64, check=lambda request, _: request != 1)
    assert count(burst, RequestOutcome.WRONG_ANSWER) > 0
    wrong = burst.samples.outcome == RequestOutcome.WRONG_ANSWER
    assert set(burst.samples.request[wrong].tolist()) == {1}


@pytest.mark.parametrize(("code", "status"), [(3, 400), (5, 404), (8, 429), (14, 503), (99, 500)])
@pytest.mark.parametrize("trailers_only", [False, True])
def test_a_call_that_fails_has_the_status_of_its_code(
    peer: StartPeer, code: int, status: int, trailers_only: bool
) -> None:
    def call(number: int, stream: int) -> bytes:
        if number % 3:
            return answer(stream)
        if trailers_only:
            end = http2.END_HEADERS | http2.END_STREAM
            text = str(code).encode()
            return head(stream, b"\x88\x00\x0bgrpc-status" + bytes([len(text)]) + text, end)
        return answer(stream, code=code) if code < 10 else head(stream) + trailers_of(stream, code)

    burst = send_grpc(peer(call=call))
    failed = burst.samples.select(burst.samples.outcome == RequestOutcome.HTTP_ERROR)
    assert len(failed) == -(-len(burst.samples) // 3)
    assert set(failed.status.tolist()) == {status}


def trailers_of(stream: int, code: int) -> bytes:
    block = b"\x00\x0bgrpc-status\x02%d" % code
    return head(stream, block, http2.END_HEADERS | http2.END_STREAM)


def test_what_is_no_answer_of_grpc_is_an_error(peer: StartPeer) -> None:
    end = http2.END_HEADERS | http2.END_STREAM
    cases: dict[int, Callable[[int], bytes]] = {
        1: lambda s: head(s, b"\x8d", end),  # HTTP status 404 and no trailers
        3: lambda s: head(s) + http2.frame(http2.DATA, http2.END_STREAM, s, framed(b"x")),
        5: lambda s: http2.frame(http2.RST_STREAM, 0, s, (7).to_bytes(4, "big")),
    }
    target = peer(call=lambda n, s: cases.get(n, answer)(s))
    burst = send_grpc(target, concurrency=1)
    wrong = burst.samples.select(burst.samples.outcome == RequestOutcome.HTTP_ERROR)
    assert wrong.status.tolist() == [404, 0, 0]
    assert of(target).opened == 1


@pytest.mark.parametrize(
    "frames",
    [
        b"\xff" * 20,
        http2.frame(http2.CONTINUATION, http2.END_HEADERS, 1, b"\x88"),
        http2.frame(http2.HEADERS, http2.END_HEADERS, 1, b"\xff\xff\xff\xff\xff"),
        http2.frame(http2.HEADERS, http2.END_HEADERS | http2.PADDED, 1, b"\x09\x88"),
        http2.frame(http2.SETTINGS, 0, 0, b"\0\1\0"),
        http2.frame(http2.WINDOW_UPDATE, 0, 0, b"\0"),
    ],
)
def test_what_is_not_http2_fails_the_call_and_the_connection_comes_back(
    peer: StartPeer, frames: bytes
) -> None:
    target = peer(call=lambda n, s: frames if n == 5 else answer(s))
    burst = send_grpc(target, concurrency=2)
    assert count(burst, RequestOutcome.HTTP_ERROR) == 1
    assert count(burst, RequestOutcome.OK) == len(burst.samples) - 1
    assert of(target).opened == 3


def test_pings_are_answered_and_unknown_frames_ignored(peer: StartPeer) -> None:
    ping = http2.frame(http2.PING, 0, 0, b"12345678")
    unknown = http2.frame(0xFA, 0xFF, 0, b"whatever")
    padded = http2.frame(http2.DATA, http2.PADDED, 1, b"\x03" + framed(b"") + b"\0\0\0")

    def call(number: int, stream: int) -> bytes:
        if number == 0:
            return ping + head(stream) + unknown + padded + trailers(stream)
        return answer(stream)

    target = peer(call=call)
    burst = send_grpc(target, concurrency=1)
    assert count(burst, RequestOutcome.OK) == len(burst.samples)
    assert of(target).acknowledged == [b"12345678"]


def test_a_header_block_may_come_in_pieces(peer: StartPeer) -> None:
    def call(_number: int, stream: int) -> bytes:
        block = b"\x20" + b"\x88" + b"\x00\x0bgrpc-status\x010"
        return http2.frame(http2.HEADERS, http2.END_STREAM, stream, block[:4]) + http2.frame(
            http2.CONTINUATION, http2.END_HEADERS, stream, block[4:]
        )

    burst = send_grpc(peer(call=call))
    assert count(burst, RequestOutcome.OK) == len(burst.samples) > 20


def goaway(last: int) -> bytes:
    return http2.frame(http2.GOAWAY, 0, 0, last.to_bytes(4, "big") + bytes(4))


def test_a_server_that_says_goodbye_gets_another_connection(peer: StartPeer) -> None:
    def call(number: int, stream: int) -> bytes:
        if number % 10 == 5:
            return goaway(stream) + answer(stream)
        return answer(stream)

    target = peer(call=call)
    burst = send_grpc(target, concurrency=2)
    assert count(burst, RequestOutcome.OK) == len(burst.samples)
    goodbyes = sum(n % 10 == 5 for n in range(len(of(target).bodies)))
    assert goodbyes > 2
    # None is opened any more for the last ones, when the burst is over.
    assert goodbyes <= of(target).opened <= 2 + goodbyes


def test_a_call_that_the_server_will_not_answer_is_reset(peer: StartPeer) -> None:
    target = peer(call=lambda n, s: goaway(s - 2) if n == 7 else answer(s))
    burst = send_grpc(target, concurrency=2)
    assert count(burst, RequestOutcome.RESET) == 1
    assert of(target).opened == 3


def test_an_idle_connection_of_an_open_loop_is_left_and_opened_again(peer: StartPeer) -> None:
    target = peer(call=lambda n, s: answer(s) + (goaway(s) if n == 3 else b""))
    spec = replace(QUICK, arrivals="constant", min_seconds=0.3)
    burst = send_grpc(target, concurrency=3, spec=spec, rate=100)
    # The connection was busy again where a request had been waiting for it.
    assert count(burst, RequestOutcome.RESET) <= 1
    assert set(burst.samples.outcome.tolist()) <= {
        RequestOutcome.OK,
        RequestOutcome.RESET,
        RequestOutcome.NOT_SENT,
    }
    assert of(target).opened == 4


def test_resets_are_counted_and_the_connection_comes_back(peer: StartPeer) -> None:
    target = peer(call=lambda n, s: None if n % 10 == 5 else answer(s))
    burst = send_grpc(target)
    seen = len(of(target).bodies)
    assert len(burst.samples) == seen
    assert count(burst, RequestOutcome.RESET) == sum(n % 10 == 5 for n in range(seen))


def test_timeouts_are_counted(peer: StartPeer) -> None:
    target = peer(call=lambda n, s: b"" if n in {3, 30} else answer(s))
    spec = replace(QUICK, min_seconds=0.8, max_seconds=0.8, timeout_seconds=0.2)
    burst = send_grpc(target, concurrency=2, spec=spec)
    late = burst.samples.select(burst.samples.outcome == RequestOutcome.TIMEOUT)
    assert len(late) >= 2
    assert late.duration_ns.min() >= 0.2e9


class Refusing(Peer):
    """It gives no room for a request, and refuses it for being too large."""

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        block = b"\x88\x00\x0bgrpc-status\x018"
        while data := await reader.read(1 << 16):
            for frame in http2.split_frames(data)[0]:
                self.frames[frame.kind] += 1
                if frame.kind == http2.HEADERS:
                    self.bodies.append(b"")
                    end = http2.END_HEADERS | http2.END_STREAM
                    writer.write(head(frame.stream, block, end))


def test_an_answer_before_the_end_of_the_request_ends_it() -> None:
    target = Running(Refusing(settings={http2.INITIAL_WINDOW_SIZE: 0}))
    try:
        burst = send_grpc(target, concurrency=2)
    finally:
        target.stop()
    assert set(burst.samples.status.tolist()) == {429}
    assert of(target).opened == 2
    assert of(target).frames[http2.RST_STREAM] >= len(burst.samples) - 2
    assert of(target).frames[http2.DATA] == 0


def test_a_port_that_speaks_http_1_is_no_place_to_send_grpc_to(start: Start) -> None:
    with pytest.raises(TrialFailed, match=r"cannot connect .* gRPC"):
        send_grpc(start(reply=lambda _n, _body: b""), concurrency=1)


def predict(request: bytes, context: grpcio.ServicerContext) -> bytes:
    """What it was asked, unless that says to refuse."""
    if request == b"refuse":
        context.abort(grpcio.StatusCode.INVALID_ARGUMENT, "as you like: 100 %, ümlaut")
    return request


@pytest.fixture
def grpc_server() -> Iterator[Place]:
    """gRPC's own server."""
    _, service, method = PATH.split("/")
    handlers = {method: grpcio.unary_unary_rpc_method_handler(predict)}
    server = grpcio.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((grpcio.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Place([("127.0.0.1", port)])
    server.stop(None).wait()


def test_grpcs_own_server_is_understood(grpc_server: Place) -> None:
    messages = (b"a", b"refuse", b"c" * LONG)
    bodies: list[tuple[int, bytes]] = []

    def check(request: int, body: bytes) -> bool:
        bodies.append((request, body))
        return True

    burst = send_grpc(grpc_server, messages=messages, concurrency=8, check=check)
    samples = burst.samples
    assert (samples.status == np.where(samples.request == 1, 400, 200)).all()
    assert (samples.outcome == np.where(samples.request == 1, 1, 0)).all()
    assert bodies
    assert all(body == messages[request] for request, body in bodies)
