"""The same work on every replica in parallel, with one error where some of it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Executor, wait
from typing import TypeVar

from tuner.errors import Infeasible, TrialError

Item = TypeVar("Item")
Result = TypeVar("Result")


class GivenUp(Exception):  # noqa: N818 -- not a fault: the reason is another replica's
    """Work that stopped because the work of another replica failed."""


def in_parallel(
    executor: Executor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    give_up: Callable[[], None] = lambda: None,
) -> list[Result]:
    """The results of `work` for all items, in their order. When this ends, all work has ended.

    At the first failure or interrupt `give_up` is called, which may tell the rest to raise GivenUp.
    Of several errors the one that says most is raised.
    """
    futures = [executor.submit(work, item) for item in items]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:
        if not all(future.done() for future in futures):
            give_up()
        wait(futures)
    errors = [error for future in futures if (error := future.exception()) is not None]
    if errors:
        raise min(errors, key=_rank)
    return [future.result() for future in futures]


def _rank(error: BaseException) -> int:
    """Errors in order: of the host, of the configuration, of the trial, GivenUp."""
    if isinstance(error, GivenUp):
        return 3
    if isinstance(error, Infeasible):
        return 1
    return 2 if isinstance(error, TrialError) else 0
