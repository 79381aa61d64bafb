"""The same work on every replica at the same time, and one error when some of it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Executor, wait
from typing import TypeVar

from tuner.errors import Infeasible, TrialError

Item = TypeVar("Item")
Result = TypeVar("Result")


class GivenUp(Exception):  # noqa: N818 -- not a fault: the reason is another replica's
    """Work that stopped because that of another replica failed."""


def in_parallel(
    executor: Executor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    give_up: Callable[[], None] = lambda: None,
) -> list[Result]:
    """`work` of all items, in their order. Nothing of it runs any more when this returns or raises.

    `give_up` is called at the first failure or interrupt, while the rest goes on: it may tell the
    rest to raise GivenUp. Of several errors the one that says most is raised.
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
    """A broken host says more than a bad configuration, and that more than a broken trial."""
    if isinstance(error, GivenUp):
        return 3
    if isinstance(error, Infeasible):
        return 1
    return 2 if isinstance(error, TrialError) else 0
