"""Requests that come at about the same time, run as one batch.

The parameters, their defaults and the rules are those of TensorFlow Serving's BatchingSession and
SharedBatchScheduler (`batching/README.md` there). Two rules differ, so that a request cannot spoil
its neighbours: tensors of different shapes go into different batches instead of failing one, and a
batch that the graph refuses is run again request by request.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any, Generic

import numpy as np
import numpy.typing as npt

from .metrics import Metrics
from .run import ModelT, Run, Tensors, current_deadline, until
from .status import Code, StatusError, invalid

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchingParameters:
    """TensorFlow Serving's `BatchingParameters`. Raises ValueError where they make no sense.

    `max_enqueued_batches` counts per kind of request; `allowed_batch_sizes` rises and ends with
    `max_batch_size`, a batch is filled up to the next of them.
    """

    num_batch_threads: int
    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    thread_pool_name: str = "model_server_batch_threads"
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False

    def __post_init__(self) -> None:
        for name in ("num_batch_threads", "max_batch_size", "max_enqueued_batches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive; was {getattr(self, name)}")
        if self.batch_timeout_micros < 0:
            raise ValueError(
                f"batch_timeout_micros must not be negative; was {self.batch_timeout_micros}"
            )
        sizes = self.allowed_batch_sizes
        if sizes and (
            any(a >= b for a, b in itertools.pairwise(sizes))
            or sizes[0] < 1
            or sizes[-1] != self.max_batch_size
        ):
            raise ValueError(
                "allowed_batch_sizes entries must be monotonically increasing, and the last one "
                f"must equal max_batch_size; were {', '.join(map(str, sizes))}"
            )


@dataclass(frozen=True)
class _Task:
    inputs: Tensors
    size: int
    enqueued: float  # by time.monotonic
    deadline: float | None  # likewise
    outputs: Future[Tensors] = field(default_factory=Future)


@dataclass
class _Batch:
    tasks: list[_Task] = field(default_factory=list)
    size: int = 0


@dataclass(frozen=True)
class _Queue(Generic[ModelT]):
    """Batches of requests that can be run together; the last one is still open."""

    model: ModelT
    signature: str
    batches: deque[_Batch] = field(default_factory=deque)


class Batcher(Generic[ModelT]):
    """Runs batches on threads of its own, which end with the process.

    `run` is called from one of them at a time for each batch, and may be called at once by all.
    """

    def __init__(self, parameters: BatchingParameters, run: Run[ModelT], metrics: Metrics) -> None:
        self._parameters = parameters
        self._run_now = run
        self._metrics = metrics
        self._changed = Condition()
        # By what a batch must have in common; an empty queue is removed.
        self._queues: dict[object, _Queue[ModelT]] = {}
        for number in range(parameters.num_batch_threads):
            Thread(target=self._work, name=f"batch-{number}", daemon=True).start()

    def run(self, model: ModelT, signature: str, inputs: Tensors) -> Tensors:
        """What `run` gives for these inputs; waits for the batch they are in.

        Raises what `run` raises for them; INVALID_ARGUMENT where they have no common first
        dimension or are more than a batch holds; UNAVAILABLE where the queue is full.
        """
        size = batch_size(inputs)
        limit = self._parameters.max_batch_size
        if size > limit:
            raise invalid(f"Task size {size} is larger than maximum input batch size {limit}")
        task = _Task(inputs, size, time.monotonic(), current_deadline())
        key = (model.name, model.version, signature, self._shapes(inputs))
        with self._changed:
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = _Queue(model, signature)
            batches = queue.batches
            if not batches or batches[-1].size + size > limit:
                if len(batches) >= self._parameters.max_enqueued_batches:
                    raise StatusError(
                        Code.UNAVAILABLE,
                        "The batch scheduling queue to which this task was submitted is full",
                    )
                batches.append(_Batch())
            batches[-1].tasks.append(task)
            batches[-1].size += size
            self._changed.notify()
        try:
            return task.outputs.result()
        finally:
            # An error holds this frame; without it there is no cycle for the collector.
            del task

    def _shapes(self, inputs: Tensors) -> object:
        """What must be the same of all inputs in a batch, besides names."""
        padded = self._parameters.pad_variable_length_inputs
        return tuple(
            (name, array.dtype.str, array.ndim if padded else array.shape[1:])
            for name, array in sorted(inputs.items())
        )

    def _work(self) -> None:
        while True:
            queue, batch = self._next()
            now = time.monotonic()
            self._metrics.batch(
                self._parameters.thread_pool_name,
                batch.size,
                [now - task.enqueued for task in batch.tasks],
            )
            self._process(queue, [task for task in batch.tasks if not _gave_up(task, now)])

    def _next(self) -> tuple[_Queue[ModelT], _Batch]:
        """Wait for a batch that is full or whose oldest request has waited long enough."""
        timeout = self._parameters.batch_timeout_micros / 1e6
        with self._changed:
            while True:
                wait: float | None = None
                now = time.monotonic()
                for key, queue in self._queues.items():
                    first = queue.batches[0]
                    full = len(queue.batches) > 1 or first.size >= self._parameters.max_batch_size
                    left = first.tasks[0].enqueued + timeout - now
                    if full or left <= 0:
                        queue.batches.popleft()
                        # Behind all others, so that each queue gets its turn.
                        del self._queues[key]
                        if queue.batches:
                            self._queues[key] = queue
                            self._changed.notify()
                        return queue, first
                    wait = left if wait is None else min(wait, left)
                self._changed.wait(wait)

    def _process(self, queue: _Queue[ModelT], tasks: Sequence[_Task]) -> None:
        """Run `tasks` together and set the outcome of each."""
        if not tasks:
            return
        deadlines = [task.deadline for task in tasks if task.deadline is not None]
        try:
            merged = self._merge(tasks)
            # Until the last of them gives up, and so for ever where one never does.
            with until(max(deadlines) if len(deadlines) == len(tasks) else None):
                outputs = self._run_now(queue.model, queue.signature, merged)
            parts = split(outputs, [task.size for task in tasks], batch_size(merged))
        except Exception as error:
            if len(tasks) == 1:
                if not isinstance(error, StatusError):
                    log.exception("a batch failed")
                # Without its frames, which hold the task: no cycle for the collector.
                tasks[0].outputs.set_exception(error.with_traceback(None))
                return
            parts = []
        if parts:
            for task, part in zip(tasks, parts, strict=True):
                task.outputs.set_result(part)
        else:
            # Not in the handler: the errors to come would hold this one.
            for task in tasks:
                self._process(queue, [task])

    def _merge(self, tasks: Sequence[_Task]) -> Tensors:
        """One array for each input, filled up to the next allowed batch size."""
        size = sum(task.size for task in tasks)
        allowed = self._parameters.allowed_batch_sizes
        missing = next((a - size for a in allowed if a >= size), 0) if size else 0
        merged: dict[str, npt.NDArray[Any]] = {}
        for name in tasks[0].inputs:
            arrays = [task.inputs[name] for task in tasks]
            if self._parameters.pad_variable_length_inputs:
                arrays = padded(arrays)
            if missing:
                row = next(array[:1] for array in reversed(arrays) if len(array))
                arrays.append(np.repeat(row, missing, axis=0))
            merged[name] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        return merged


def _gave_up(task: _Task, now: float) -> bool:
    """Whether the deadline of `task` is over; then it is told so."""
    if task.deadline is None or now < task.deadline:
        return False
    task.outputs.set_exception(
        StatusError(
            Code.RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue"
        )
    )
    return True


def batch_size(inputs: Tensors) -> int:
    """The common first dimension of `inputs`; raises StatusError where there is none."""
    sizes = {array.shape[0] if array.ndim else None for array in inputs.values()}
    if None in sizes:
        raise invalid("Batching session Run() input tensors must have at least one dimension")
    if not sizes:
        raise invalid("Batching session Run() must have at least one input tensor")
    if len(sizes) > 1:
        raise invalid("Batching session Run() input tensors must have equal 0th-dimension size")
    return len(next(iter(inputs.values())))


def padded(arrays: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Each array with its dimensions but the first made as large as the largest of them.

    What is added are copies of an array's first element, as TensorFlow Serving does.
    """
    largest = np.max([array.shape for array in arrays], axis=0)
    found = []
    for array in arrays:
        shape = (len(array), *largest[1:])
        if array.shape == shape:
            found.append(array)
            continue
        nothing = b"" if array.dtype.kind == "O" else 0
        larger = np.full(shape, array.flat[0] if array.size else nothing, array.dtype)
        larger[tuple(map(slice, array.shape))] = array
        found.append(larger)
    return found


def split(outputs: Tensors, sizes: Sequence[int], total: int) -> list[Tensors]:
    """The rows of each request; raises StatusError where an output has not `total` rows."""
    for array in outputs.values():
        if not array.ndim:
            raise StatusError(Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions")
        if len(array) != total:
            raise StatusError(
                Code.FAILED_PRECONDITION,
                "Batched output tensor's 0th dimension does not equal the sum of the 0th "
                "dimension sizes of the input tensors",
            )
    ends = np.cumsum(sizes).tolist()
    return [
        {name: array[end - size : end] for name, array in outputs.items()}
        for size, end in zip(sizes, ends, strict=True)
    ]
