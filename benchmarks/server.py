"""The server of the serving image beside one that imports TensorFlow: one run, one table.

    python benchmarks/server.py [--model models/mnist/built] [--seconds 5] [--rounds 3]

Both have the same stack (uvicorn on uvloop, the same HTTP protocol, JSON codec and threads); they
differ in how the model is loaded and run: TensorFlow's C API, or `import tensorflow` and
`tf.saved_model.load`. Each round starts every server anew on one CPU and sends it golden requests
over 16 connections from another: requests/s, the server's CPU time per request, time from the start
to the first right answer, and private memory then and after the load. Ratios are taken in each
round, then the median. Needs the model and the extra `models`. More rows show what the gRPC port,
batching and gRPC itself do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy.typing as npt
import uvicorn
import uvloop

from tuner.serving.server import codec
from tuner.serving.server.app import Application
from tuner.serving.server.inference import Inference, run_directly
from tuner.serving.server.messages import message_class
from tuner.serving.server.metrics import Metrics
from tuner.serving.server.model import numbered_versions, warm
from tuner.serving.server.protocol import Protocol
from tuner.serving.server.signatures import protobuf_module, read_meta_graph
from tuner.serving.server.tensor_proto import fill
from tuner.serving.server.versions import Model, ModelConfig

CONNECTIONS = 16
THREADS = 2  # what the server takes with one CPU
PREDICT = "/v1/models/model:predict"
GRPC_PREDICT = "/tensorflow.serving.PredictionService/Predict"
START_SECONDS = 120
PACKAGE_PARENT = Path(__file__).parents[1] / "tuner" / "serving"


class ImportedModel:
    """What `SavedModel` offers, by TensorFlow's Python package."""

    def __init__(self, path: Path) -> None:
        import tensorflow as tf  # noqa: PLC0415 only in the peer's process

        self._tf = tf
        self._loaded = tf.saved_model.load(str(path))
        stored = protobuf_module("protobuf.saved_model").SavedModel.FromString(
            (path / "saved_model.pb").read_bytes()
        )
        meta_graph = read_meta_graph(stored.meta_graphs[0].SerializeToString())
        self.signatures = meta_graph.signatures
        self.signature_def = meta_graph.signature_def

    def run(
        self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]
    ) -> dict[str, npt.NDArray[Any]]:
        call = self._loaded.signatures[signature]
        specs = call.structured_input_signature[1]
        given = {
            name: self._tf.constant(array, specs[name].dtype) for name, array in inputs.items()
        }
        return {name: tensor.numpy() for name, tensor in call(**given).items()}


def serve_imported(versions: Path, port: int) -> None:
    """Run the peer; does not return."""
    import tensorflow as tf  # noqa: PLC0415 only in the peer's process

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    def load(path: Path) -> Any:  # noqa: ANN401 in place of a SavedModel
        model: Any = ImportedModel(path)
        warm(model)
        return model

    model = Model(ModelConfig("model", versions), load)
    model.refresh()
    metrics = Metrics()
    application = Application(
        Inference({"model": model}, run_directly, metrics),
        metrics,
        ThreadPoolExecutor(THREADS),
        largest=2**26,
    )
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http=Protocol,
        lifespan="off",
        access_log=False,
        log_level="error",
    )


@dataclass(frozen=True)
class Contender:
    """A server to be measured: its command line, and what is sent to it."""

    name: str
    flags: tuple[str, ...] = ()
    imported: bool = False
    grpc: bool = False

    def command(self, versions: Path, port: int) -> list[str]:
        if self.imported:
            return [sys.executable, __file__, "--peer", str(versions), str(port)]
        asked, other = ("port", "rest_api_port") if self.grpc else ("rest_api_port", "port")
        return [
            *(sys.executable, "-m", "server", f"--model_base_path={versions}"),
            *(f"--{asked}={port}", f"--{other}={free_port()}", *self.flags),
        ]


PEER = Contender("import tensorflow", imported=True)
CONTENDERS = (
    PEER,
    Contender("tune, REST"),
    Contender("tune, no gRPC port", ("--port=0",)),
    Contender("tune, REST, batching", ("--enable_batching", "--max_batch_size=16")),
    Contender("tune, gRPC", grpc=True),
)


@dataclass(frozen=True)
class Requests:
    """The golden requests as they are sent: whole HTTP requests, and messages of gRPC."""

    http: Sequence[bytes]
    grpc: Sequence[bytes]


@dataclass(frozen=True)
class Result:
    """One server in one round."""

    rate_rps: float
    cpu_us: float
    """CPU time of the server per request: what the rate would be without neighbours."""
    start_seconds: float
    ready_mib: float
    loaded_mib: float


def measure(contender: Contender, versions: Path, requests: Requests, seconds: float) -> Result:
    port = free_port()
    cpus = sorted(os.sched_getaffinity(0))
    began = time.monotonic()
    with started(contender.command(versions, port), cpus[0]) as process:
        wait_for_answer(contender, port, requests.http[0], process)
        start = time.monotonic() - began
        ready = private_mib(process.pid)
        os.sched_setaffinity(0, {cpus[-1]})
        try:
            for span in (min(1.0, seconds), seconds):  # the first until all threads are there
                before = cpu_seconds(process.pid)
                if contender.grpc:
                    answered = grpc_requests(port, requests.grpc, span)
                else:
                    answered = rest_requests(port, requests.http, span)
        finally:
            os.sched_setaffinity(0, cpus)
        cpu_us = (cpu_seconds(process.pid) - before) / answered * 1e6
        return Result(answered / seconds, cpu_us, start, ready, private_mib(process.pid))


@contextmanager
def started(command: list[str], cpu: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(PACKAGE_PARENT), str(PACKAGE_PARENT.parents[1])]),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "OPENBLAS_NUM_THREADS": "1",
    }
    with subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),  # noqa: PLW1509 no threads here
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_answer(
    contender: Contender, port: int, request: bytes, process: subprocess.Popen[bytes]
) -> None:
    """Ask until the server answers; raises RuntimeError where it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                if contender.grpc:
                    return  # it listens when the model is warm
                connection.sendall(request)
                if connection.recv(100).startswith(b"HTTP/1.1 200 "):
                    return
        except ConnectionError:
            time.sleep(0.01)
    raise RuntimeError(f"{contender.name} does not start")


class Client(asyncio.Protocol):
    """Sends the next request when the answer to the last one is complete."""

    def __init__(self, requests: Sequence[bytes], first: int) -> None:
        self.requests = requests
        self.answered = first
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.transport.write(self.requests[self.answered % len(self.requests)])  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length: ")[2].split()[0]):
            return
        assert head.startswith(b"HTTP/1.1 200 "), self.received
        self.received = b""
        self.answered += 1
        self.send()


def rest_requests(port: int, requests: Sequence[bytes], seconds: float) -> int:
    """How many requests were answered in a closed loop over all connections."""

    async def run() -> int:
        loop = asyncio.get_running_loop()
        clients = [Client(requests, number) for number in range(CONNECTIONS)]
        pairs = [
            await loop.create_connection(lambda c=client: c, "127.0.0.1", port)  # type: ignore[misc]
            for client in clients
        ]
        before = sum(client.answered for client in clients)
        await asyncio.sleep(seconds)
        answered = sum(client.answered for client in clients) - before
        for transport, _ in pairs:
            transport.abort()
        return answered

    return uvloop.run(run())


def grpc_requests(port: int, messages: Sequence[bytes], seconds: float) -> int:
    """The same by gRPC's own client, which may need as much CPU as the server."""

    async def one(number: int, until: float) -> int:
        answered = 0
        async with grpc.aio.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            call = channel.unary_unary(GRPC_PREDICT)
            while time.monotonic() < until:
                await call(messages[(number + answered) % len(messages)])
                answered += 1
        return answered

    async def run() -> int:
        until = time.monotonic() + seconds
        return sum(await asyncio.gather(*(one(n, until) for n in range(CONNECTIONS))))

    return asyncio.run(run())


def private_mib(process_id: int) -> float:
    """Anonymous memory of a process and what it alone has of files that it changed."""
    text = Path(f"/proc/{process_id}/smaps_rollup").read_text()
    return int(text.partition("Private_Dirty:")[2].split()[0]) / 1024


def cpu_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def golden_requests(built: Path) -> Requests:
    """The model's golden requests, which must be rows of its default signature's only input."""
    versions = numbered_versions(built / "versions")
    stored = protobuf_module("protobuf.saved_model").SavedModel.FromString(
        (versions[max(versions)] / "saved_model.pb").read_bytes()
    )
    signatures = read_meta_graph(stored.meta_graphs[0].SerializeToString()).signatures
    lines = (built / "golden.jsonl").read_text().splitlines()
    bodies = [json.dumps(json.loads(line)["request"]).encode() for line in lines]
    http = [
        b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b"
        % (PREDICT.encode(), len(body), body)
        for body in bodies
    ]
    messages = []
    for body in bodies:
        request = codec.decode(codec.parse(body), signatures)
        message = message_class("PredictRequest")()
        message.model_spec.name = "model"
        for name, array in request.inputs.items():
            dtype = signatures[request.signature].inputs[name].dtype
            fill(message.inputs[name], array, dtype)
        messages.append(message.SerializeToString())
    return Requests(http, messages)


def show(results: dict[str, list[Result]]) -> None:
    print(
        f"{'server':22}{'requests/s':>12}{'CPU us':>9}{'start s':>9}{'ready MiB':>11}"
        f"{'loaded MiB':>12}   ratios to the first, in this order"
    )
    for name, found in results.items():
        middle = Result(*(statistics.median(column) for column in columns(found)))
        ratios = [
            statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
            for ours, theirs in zip(columns(found), columns(results[PEER.name]), strict=True)
        ]
        print(
            f"{name:22}{middle.rate_rps:12.0f}{middle.cpu_us:9.0f}{middle.start_seconds:9.2f}"
            f"{middle.ready_mib:11.0f}{middle.loaded_mib:12.0f}   "
            + "".join(f"{ratio:8.2f}" for ratio in ratios),
            flush=True,
        )


def columns(found: list[Result]) -> list[list[float]]:
    return [
        [r.rate_rps for r in found],
        [r.cpu_us for r in found],
        [r.start_seconds for r in found],
        [r.ready_mib for r in found],
        [r.loaded_mib for r in found],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, default=Path("models/mnist/built"))
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", nargs=2, metavar=("VERSIONS", "PORT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        serve_imported(Path(arguments.peer[0]), int(arguments.peer[1]))
        return
    versions = (arguments.model / "versions").resolve()
    requests = golden_requests(arguments.model)
    results: dict[str, list[Result]] = {contender.name: [] for contender in CONTENDERS}
    for _ in range(arguments.rounds):
        for contender in CONTENDERS:
            found = measure(contender, versions, requests, arguments.seconds)
            results[contender.name].append(found)
    show(results)


if __name__ == "__main__":
    main()
