from __future__ import annotations

import numpy as np

from tuner.search.lattice import Lattice
from tuner.spec.space import Parameter, SearchSpace, Value

SPACE = SearchSpace(
    (
        Parameter("cpu", "float", "decision", 1.0, choices=(0.5, 1.0, 2.0)),
        Parameter("net", "categorical", "scenario", "wifi", choices=("wifi", "cable", "radio")),
        Parameter("replicas", "int", "decision", 1, low=1, high=5),
    )
)


def lattice() -> Lattice:
    found = Lattice.of(SPACE)
    assert found is not None
    return found


def test_numbers_follow_the_grid() -> None:
    grid = list(SPACE.grid())
    assert [lattice().configuration(i) for i in range(lattice().size)] == grid
    assert [lattice().index(c) for c in grid] == list(range(len(grid)))


def test_what_is_outside_has_no_number() -> None:
    assert lattice().index({"cpu": 0.7, "net": "wifi", "replicas": 1}) is None
    assert lattice().index({"cpu": 0.5}) is None


def test_free_is_all_but_the_taken() -> None:
    grid = list(SPACE.grid())
    assert lattice().free(grid[:-2]).tolist() == [len(grid) - 2, len(grid) - 1]


def test_nearest_moves_the_fewest_steps() -> None:
    here: dict[str, Value] = {"cpu": 1.0, "net": "wifi", "replicas": 3}
    index = lattice().index(here)
    assert index is not None
    free = lattice().free([here])
    rng = np.random.default_rng(0)
    found = {str(lattice().configuration(lattice().nearest(index, free, rng))) for _ in range(50)}
    # A quarter of the range of replicas is less than half of cpu's, or another net.
    assert found == {"cpu=1 net=wifi replicas=2", "cpu=1 net=wifi replicas=4"}


def test_continuous_and_huge_spaces_have_none() -> None:
    continuous = Parameter("x", "float", "decision", 0.5, low=0.0, high=1.0)
    huge = Parameter("n", "int", "decision", 1, low=1, high=1_000_000)
    assert Lattice.of(SearchSpace((continuous,))) is None
    assert Lattice.of(SearchSpace((huge,))) is None
