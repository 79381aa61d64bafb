"""What is kept to go on from: never another result, and never too much."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from tuner.model.memo import Chains, Step


class Owner:
    """Whoever asks."""


class Sums:
    """Chains of sums; `made` has each step that was computed."""

    def __init__(self, most: int = 100) -> None:
        self.made: list[int] = []
        self.chains: Chains[int] = Chains(lambda _: 1, most)

    def of(self, numbers: Sequence[int], owner: Owner, slot: str = "") -> int:
        def step(number: int) -> Step[int]:
            def make(before: int | None) -> int:
                self.made.append(number)
                return (before or 0) + number

            return Step(number, make)

        return self.chains.last(owner, slot, [step(n) for n in numbers])


def test_a_chain_goes_on_from_where_it_agrees_with_the_last_one() -> None:
    sums, owner = Sums(), Owner()
    assert sums.of([1, 2, 3], owner) == 6
    assert sums.of([1, 2, 3, 4], owner) == 10
    assert sums.made == [1, 2, 3, 4]
    assert sums.of([1, 5], owner) == 6
    assert sums.of([1, 2], owner) == 3
    assert sums.made == [1, 2, 3, 4, 5, 2], "what was replaced is made again"
    assert sums.of([1, 2], owner, "another") == 3
    assert sums.of([1, 2], Owner()) == 3
    assert sums.made == [1, 2, 3, 4, 5, 2, 1, 2, 1, 2]


def test_what_was_used_last_is_kept_up_to_a_size() -> None:
    sums, owner = Sums(most=4), Owner()
    for slot in ("a", "b", "a", "c"):
        sums.of([1, 2], owner, slot)
    assert sums.made == [1, 2] * 3
    sums.of([1, 2], owner, "a")
    assert sums.made == [1, 2] * 3, "b was used before it"
    sums.of([1, 2], owner, "b")
    assert sums.made == [1, 2] * 4
    long = Sums(most=4)
    assert long.of(range(10), owner) == long.of(range(10), owner) == 45
    assert len(long.made) == 10, "the last one is kept, whatever its size"


def test_nothing_is_kept_of_an_owner_that_is_gone() -> None:
    sums, owner = Sums(), Owner()
    sums.of([1, 2], owner)
    assert len(sums.chains) == 1
    del owner
    gc.collect()
    assert len(sums.chains) == 0
