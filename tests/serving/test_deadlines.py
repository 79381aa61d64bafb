"""A request that nobody waits for any more is given up, and its run with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import grpc
import numpy as np
import pytest

from tests.serving.asked_in_grpc import PREDICTION, predict_request
from tests.serving.described import Described, Gate, inference
from tests.serving.graphs import write_counter
from tests.serving.processes import Running, free_port, needs_tensorflow, running
from tuner.serving.server.batching import Batcher, BatchingParameters
from tuner.serving.server.messages import Proto, message_class
from tuner.serving.server.metrics import Metrics
from tuner.serving.server.model import ServedModel
from tuner.serving.server.rpc import RpcServer
from tuner.serving.server.run import Tensors, current_deadline, until
from tuner.serving.server.status import Code, StatusError
from tuner.serving.server.tensorflow_c import SavedModel

ENDLESS = 10**12
"""What the model that counts needs days for."""

DEADLINES = ((1, 0.0), (2, 60.0), (3, 90.0))
"""Of three requests with these numbers, in seconds from now."""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of versions of a model that counts to its input."""
    base = tmp_path_factory.mktemp("counter")
    write_counter(base / "1")
    return base


@pytest.fixture(scope="module")
def counting(counter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of that model with one thread for gRPC, whose requests for REST have 0.3 s."""
    flags = ("--grpc_max_threads=1", "--rest_api_timeout_in_ms=300")
    with running(tmp_path_factory.mktemp("log") / "log", *flags, base_path=counter) as server:
        yield server


def count_to(number: int) -> Proto:
    request = message_class("PredictRequest")()
    request.model_spec.name = "half_plus_two"
    request.inputs["x"].dtype = 9  # DT_INT64
    request.inputs["x"].int64_val.append(number)
    return request


def send(channel: grpc.Channel, request: Proto, seconds: float) -> grpc.Future:
    method = channel.unary_unary(
        PREDICTION + "Predict",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_class("PredictResponse").FromString,
    )
    return method.future(request, timeout=seconds)


def cpu_ticks(process: int) -> int:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


def wait_until_idle(process: int) -> None:
    """Until a process has used no processor for a while; a run that goes on would never let it."""
    for _ in range(600):
        before = cpu_ticks(process)
        time.sleep(0.1)
        if cpu_ticks(process) - before <= 1:
            return
    pytest.fail("the process goes on using the processor")


@needs_tensorflow
@pytest.mark.parametrize("inter_op", [-1, 0, 1])
def test_a_run_is_stopped_when_its_time_is_over(counter: Path, inter_op: int) -> None:
    with SavedModel(counter / "1", intra_op_threads=1, inter_op_threads=inter_op) as model:
        assert model.run("serving_default", {"x": np.array(7)}, 60)["y"] == 7
        with pytest.raises(StatusError) as caught:
            model.run("serving_default", {"x": np.array(ENDLESS)}, 0.05)
        assert caught.value.code is Code.DEADLINE_EXCEEDED
        assert model.run("serving_default", {"x": np.array(8)})["y"] == 8


@needs_tensorflow
def test_a_grpc_request_past_its_deadline_uses_no_processor(counting: Running) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{counting.grpc_port}") as channel:
        assert list(send(channel, count_to(3), 30).result().outputs["y"].int64_val) == [3]
        late = send(channel, count_to(ENDLESS), 0.3)
        assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until_idle(counting.process.pid)
        # Its only thread is free again.
        assert list(send(channel, count_to(4), 30).result().outputs["y"].int64_val) == [4]


@needs_tensorflow
def test_a_rest_request_may_be_given_a_time_limit(counting: Running) -> None:
    assert counting.predict({"inputs": 5}) == (200, {"outputs": 5})
    status, answer = counting.predict({"inputs": ENDLESS})
    assert (status, list(answer)) == (504, ["error"])
    wait_until_idle(counting.process.pid)
    assert counting.predict({"inputs": 6}) == (200, {"outputs": 6})


@contextmanager
def gated(gate: Gate, directory: Path) -> Iterator[tuple[RpcServer, grpc.Channel]]:
    """A server with one thread, whose runs wait at the gate."""
    rpc = RpcServer(inference(gate, directory), port := free_port(), 1, 2**20, {})
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield rpc, channel
    finally:
        gate.opened.set()
        rpc.stop(30)


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_request_that_is_given_up_while_it_waits_is_not_run(
    tmp_path: Path, cancelled: bool
) -> None:
    gate = Gate()
    with gated(gate, tmp_path) as (rpc, channel):
        first = send(channel, predict_request(1, name="m"), 30)
        while not gate.inside:
            assert not first.done()
        second = send(channel, predict_request(1, name="m"), 30 if cancelled else 0.1)
        if cancelled:
            second.cancel()
        else:
            assert second.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        gate.opened.set()
        first.result(30)
        third = send(channel, predict_request(1, name="m"), 30)
        third.result(30)
        assert rpc.in_flight <= 1
    assert gate.runs == 2


def test_a_task_past_its_deadline_leaves_the_batching_queue() -> None:
    deadlines: list[float | None] = []

    def run(_model: ServedModel, _signature: str, inputs: Tensors) -> Tensors:
        deadlines.append(current_deadline())
        return {"y": inputs["x"]}

    # The batch is run when it is full.
    parameters = BatchingParameters(1, max_batch_size=3, batch_timeout_micros=60_000_000)
    batcher = Batcher(parameters, run, Metrics())
    model = ServedModel("m", 1, cast("SavedModel", Described()))

    def ask(value: float, deadline: float) -> Tensors:
        with until(deadline):
            return batcher.run(model, "serving_default", {"x": np.full(1, value)})

    now = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        late, early, patient = (pool.submit(ask, n, now + seconds) for n, seconds in DEADLINES)
        with pytest.raises(StatusError, match="timeout exceeded while waiting") as caught:
            late.result(30)
        assert caught.value.code is Code.RESOURCE_EXHAUSTED
        assert early.result(30)["y"].tolist() == [2]
        assert patient.result(30)["y"].tolist() == [3]
    # That of the last one who waits for it.
    assert deadlines == [now + 90]
