from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import given, settings

from tests import conditional
from tuner.model.lattice import Lattice
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


@settings(deadline=None)
@given(conditional.spaces())
def test_conditional_configurations_are_numbered_once_each(space: SearchSpace) -> None:
    found = Lattice.of(space)
    assert found is not None
    grid = list(space.grid())
    assert [found.configuration(i) for i in range(found.size)] == grid
    assert [found.index(c) for c in grid] == list(range(len(grid)))
    assert set(grid) == set(conditional.configurations(space))


def test_a_value_of_an_inactive_parameter_is_outside() -> None:
    found = Lattice.of(conditional.BATCHING)
    assert found is not None
    off: dict[str, Value] = {"cpu": 1.0, "batching": False, "net": "wifi"}
    assert found.index(off) is not None
    assert found.index({**off, "size": 16}) is None
    assert found.index({**off, "batching": True}) is None


def test_an_inactive_parameter_is_at_its_default_for_what_is_nearest() -> None:
    found = Lattice.of(conditional.BATCHING)
    assert found is not None
    off: dict[str, Value] = {"cpu": 1.0, "batching": False, "net": "wifi"}
    index = found.index(off)
    assert index is not None
    taken: list[Mapping[str, Value]] = [
        c for c in conditional.BATCHING.grid() if c["cpu"] != 1.0 or c["net"] != "wifi"
    ]
    nearest = found.nearest(index, found.free([*taken, off]), np.random.default_rng(0))
    assert found.configuration(nearest) == {**off, "batching": True, "size": 16, "padding": "none"}


def test_continuous_and_huge_spaces_have_none() -> None:
    continuous = Parameter("x", "float", "decision", 0.5, low=0.0, high=1.0)
    huge = Parameter("n", "int", "decision", 1, low=1, high=1_000_000)
    assert Lattice.of(SearchSpace((continuous,))) is None
    assert Lattice.of(SearchSpace((huge,))) is None
