from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from tuner.deploy.parallel import GivenUp, in_parallel
from tuner.errors import Infeasible, TrialFailed, TuneError

OOM = Infeasible("out of memory", "too small")
ENOUGH = 30.0
"""Seconds that no test waits unless it fails."""


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as found:
        yield found


def test_results_keep_the_order_of_the_items(executor: ThreadPoolExecutor) -> None:
    assert in_parallel(executor, lambda n: n * n, range(20)) == [n * n for n in range(20)]
    assert in_parallel(executor, str, []) == []


@pytest.mark.parametrize(
    ("errors", "says_most"),
    [
        ([TrialFailed("x"), OOM], OOM),
        ([GivenUp(), OOM, GivenUp()], OOM),
        ([OOM, limits := TuneError("limits")], limits),
    ],
)
def test_the_error_that_says_most_is_raised(
    executor: ThreadPoolExecutor, errors: list[Exception], says_most: Exception
) -> None:
    def work(error: Exception) -> None:
        raise error

    with pytest.raises(type(says_most)) as caught:
        in_parallel(executor, work, errors)
    assert caught.value is says_most


def test_the_first_failure_lets_the_rest_give_up_and_waits_for_it(
    executor: ThreadPoolExecutor,
) -> None:
    given_up = Event()
    ended = []

    def work(fails: bool) -> None:
        if fails:
            raise OOM
        assert given_up.wait(ENOUGH)
        ended.append(1)
        raise GivenUp

    with pytest.raises(Infeasible):
        in_parallel(executor, work, [False, True, False], given_up.set)
    assert len(ended) == 2


def test_without_a_way_to_give_up_the_rest_is_done(executor: ThreadPoolExecutor) -> None:
    done = []

    def work(n: int) -> None:
        if n == 0:
            raise TrialFailed("the first")
        done.append(n)

    with pytest.raises(TrialFailed):
        in_parallel(executor, work, range(20))
    assert sorted(done) == list(range(1, 20))
