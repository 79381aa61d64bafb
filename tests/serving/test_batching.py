"""The batcher on functions that stand in for a model."""

import itertools
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.serving.server.batching import Batcher, BatchingParameters, batch_size, padded, split
from tuner.serving.server.metrics import Metrics
from tuner.serving.server.model import ServedModel
from tuner.serving.server.run import Run, Tensors
from tuner.serving.server.status import Code, StatusError, invalid
from tuner.serving.server.tensorflow_c import SavedModel

MODEL = ServedModel("m", 1, cast("SavedModel", None))
Value = int | bool | tuple[int, ...]
LONG = 10**9  # microseconds: only a full batch is run


class Doubling:
    """A model that doubles `x`; it keeps the sizes of what it ran and refuses negative numbers."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.runs = threading.Event()
        self.may_run = threading.Event()
        self.may_run.set()

    def __call__(self, _model: ServedModel, _signature: str, inputs: Tensors) -> Tensors:
        self.runs.set()
        assert self.may_run.wait(30)
        x = inputs["x"]
        self.sizes.append(len(x))
        if (x < 0).any():
            raise invalid("negative")
        return {"y": x * 2}


def batcher(run: Run[ServedModel], **parameters: Value) -> Batcher[ServedModel]:
    return Batcher(checked({"num_batch_threads": 1, **parameters}), run, Metrics())


def checked(parameters: dict[str, Value]) -> BatchingParameters:
    return BatchingParameters(**parameters)  # type: ignore[arg-type] # by name


def ask_all(batching: Batcher[ServedModel], inputs: list[npt.NDArray[Any]]) -> list[object]:
    """What each of these requests, sent at once, gets: its output or its error."""

    def ask(x: npt.NDArray[Any]) -> object:
        try:
            return batching.run(MODEL, "s", {"x": x})["y"].tolist()
        except StatusError as error:
            return error.message

    with ThreadPoolExecutor(len(inputs)) as pool:
        return list(pool.map(ask, inputs))


def test_requests_are_run_together_and_get_their_own_rows() -> None:
    model = Doubling()
    rows = [np.array([[n], [n + 1]]) for n in range(0, 16, 2)]
    answers = ask_all(batcher(model, max_batch_size=16, batch_timeout_micros=LONG), rows)
    assert answers == [(row * 2).tolist() for row in rows]
    assert model.sizes == [16]


def test_without_a_time_limit_a_request_does_not_wait_for_others() -> None:
    model = Doubling()
    assert ask_all(batcher(model), [np.array([3])]) == [[6]]


def test_a_batch_that_is_not_full_runs_after_its_time() -> None:
    model = Doubling()
    assert ask_all(batcher(model, batch_timeout_micros=1000), [np.array([3])]) == [[6]]


def test_one_wrong_request_does_not_spoil_its_batch() -> None:
    model = Doubling()
    batching = batcher(model, max_batch_size=4, batch_timeout_micros=LONG)
    answers = ask_all(batching, [np.array([n]) for n in (1, -1, 2, 3)])
    assert answers == [[2], "negative", [4], [6]]


def test_requests_of_another_shape_are_another_batch() -> None:
    model = Doubling()
    batching = batcher(model, max_batch_size=2, batch_timeout_micros=LONG)
    answers = ask_all(
        batching, [np.ones((1, 2)), np.ones((1, 3)), np.ones((1, 2)), np.ones((1, 3))]
    )
    assert answers == [[[2, 2]], [[2, 2, 2]], [[2, 2]], [[2, 2, 2]]]
    assert model.sizes == [2, 2]


def test_requests_of_other_shapes_are_padded_where_asked() -> None:
    model = Doubling()
    batching = batcher(
        model, max_batch_size=2, batch_timeout_micros=LONG, pad_variable_length_inputs=True
    )
    assert ask_all(batching, [np.array([[1]]), np.array([[2, 3]])]) == [[[2, 2]], [[4, 6]]]


def test_a_batch_is_filled_up_to_an_allowed_size() -> None:
    model = Doubling()
    batching = batcher(model, max_batch_size=8, allowed_batch_sizes=(4, 8))
    assert ask_all(batching, [np.array([1, 2, 3])]) == [[2, 4, 6]]
    assert ask_all(batching, [np.empty((0,))]) == [[]]
    assert model.sizes == [4, 0]


def test_a_request_larger_than_a_batch_is_refused() -> None:
    with pytest.raises(StatusError, match="Task size 3 is larger than maximum input batch size 2"):
        batcher(Doubling(), max_batch_size=2).run(MODEL, "s", {"x": np.ones(3)})


def test_a_full_queue_refuses() -> None:
    model = Doubling()
    model.may_run.clear()
    batching = batcher(model, max_batch_size=1, max_enqueued_batches=2)
    full = "The batch scheduling queue to which this task was submitted is full"
    answers: queue.Queue[object] = queue.Queue()

    def ask() -> None:
        answers.put(ask_all(batching, [np.array([1])])[0])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    threads[0].start()
    assert model.runs.wait(30)
    # One is being run and two can wait: the others are refused at once.
    for thread in threads[1:]:
        thread.start()
    assert [answers.get(timeout=30) for _ in range(5)] == [full] * 5
    model.may_run.set()
    assert [answers.get(timeout=30) for _ in range(3)] == [[2]] * 3


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ({}, "at least one input tensor"),
        ({"x": np.ones(())}, "at least one dimension"),
        ({"x": np.ones(1), "z": np.ones(2)}, "equal 0th-dimension size"),
    ],
)
def test_inputs_need_a_common_first_dimension(inputs: Tensors, error: str) -> None:
    with pytest.raises(StatusError, match=error) as caught:
        batcher(Doubling()).run(MODEL, "s", inputs)
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("output", "error"),
    [(np.ones(()), "has 0 dimensions"), (np.ones(3), "does not equal the sum")],
)
def test_outputs_that_cannot_be_split_are_a_failed_precondition(
    output: npt.NDArray[Any], error: str
) -> None:
    with pytest.raises(StatusError, match=error) as caught:
        batcher(lambda *_: {"y": output}).run(MODEL, "s", {"x": np.ones(2)})
    assert caught.value.code is Code.FAILED_PRECONDITION


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=12),
    st.integers(3, 8),
    st.integers(1, 3),
)
def test_whatever_comes_together_every_request_gets_its_own(
    sizes: list[int], largest: int, threads: int
) -> None:
    starts = itertools.accumulate(sizes, initial=0)
    inputs = [np.arange(start, start + size) for start, size in zip(starts, sizes, strict=False)]
    batching = batcher(
        Doubling(),
        max_batch_size=largest,
        num_batch_threads=threads,
        batch_timeout_micros=100,
        max_enqueued_batches=100,
    )
    assert ask_all(batching, inputs) == [(x * 2).tolist() for x in inputs]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_splitting_undoes_joining(sizes: list[int]) -> None:
    rows = [np.full((size, 2), number) for number, size in enumerate(sizes)]
    parts = split({"y": np.concatenate(rows)}, sizes, sum(sizes))
    assert [part["y"].tolist() for part in parts] == [row.tolist() for row in rows]
    assert [batch_size(part) for part in parts] == sizes


def test_padding_repeats_the_first_element() -> None:
    texts = np.array([[b"a", b"b"]], object)
    arrays = padded([np.empty((1, 0), object), texts, np.array([[b"c", b"d", b"e"]], object)])
    assert [array.tolist() for array in arrays] == [
        [[b"", b"", b""]],
        [[b"a", b"b", b"a"]],
        [[b"c", b"d", b"e"]],
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_batch_threads": 0},
        {"max_batch_size": 0},
        {"max_enqueued_batches": 0},
        {"batch_timeout_micros": -1},
        {"max_batch_size": 4, "allowed_batch_sizes": (2, 3)},
        {"max_batch_size": 4, "allowed_batch_sizes": (4, 2, 4)},
    ],
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Value]) -> None:
    with pytest.raises(ValueError, match=next(reversed(wrong))):
        checked({"num_batch_threads": 1, **wrong})
