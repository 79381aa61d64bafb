from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings

from tests import conditional
from tuner.model.candidates import Candidates
from tuner.spec.space import Condition, Parameter, SearchSpace, Value

SPACE = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 4, choices=(1, 4, 16)),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0, 4.0)),
        Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 1.0, 4.0)),
        Parameter("mode", "categorical", "decision", "a", choices=("a", "b", "c")),
        Parameter(
            "batch",
            "int",
            "decision",
            8,
            low=1,
            high=16,
            when=Condition("mode", "==", ("b",)),
            flag="max_batch_size",
        ),
    )
)


def column(candidates: Candidates, name: str) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = candidates.coordinates[
        :, [i for i, owner in enumerate(candidates.owners) if owner == name]
    ]
    return found


def test_all_of_a_lattice_in_its_order() -> None:
    candidates = Candidates.of(SPACE)
    assert list(candidates.configurations) == list(SPACE.grid())
    assert [candidates.index(c) for c in candidates.configurations] == list(range(len(candidates)))
    assert candidates.index({"concurrency": 3}) is None
    assert Candidates.of(SPACE) is candidates


def test_equal_ratios_of_wide_ranges_are_equal_distances() -> None:
    candidates = Candidates.of(SPACE)
    assert np.unique(column(candidates, "cpu")).tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_a_range_from_zero_goes_by_square_root() -> None:
    assert np.unique(column(Candidates.of(SPACE), "loss")).tolist() == pytest.approx([0, 0.5, 1])


def test_any_two_categories_are_equally_far_apart() -> None:
    places = np.unique(column(Candidates.of(SPACE), "mode"), axis=0)
    gaps = np.linalg.norm(places[:, None] - places[None], axis=-1)
    assert gaps[~np.eye(3, dtype=bool)].tolist() == pytest.approx([1.0] * 6)


def test_an_inactive_parameter_is_at_its_default_and_says_so() -> None:
    active: dict[str, Value] = {"concurrency": 1, "cpu": 0.5, "loss": 0.0, "mode": "b", "batch": 8}
    inactive: dict[str, Value] = {"concurrency": 1, "cpu": 0.5, "loss": 0.0, "mode": "a"}
    batch = [i for i, owner in enumerate(Candidates.of(SPACE).owners) if owner == "batch"]
    first, second = Candidates.of(SPACE).encoded([active, inactive])[:, batch]
    assert first[0] == second[0]
    assert (first[1], second[1]) == (1.0, 0.0)


def test_deployments_and_scenarios_are_numbered() -> None:
    candidates = Candidates.of(SPACE)
    for row, configuration in enumerate(candidates.configurations):
        scenario = candidates.scenarios[candidates.scenario[row]]
        assert scenario == SPACE.scenario_of(configuration)
    deployments = [SPACE.deployment_of(c) for c in candidates.configurations]
    for a, b in ((0, 1), (0, 57), (3, 160)):
        same = candidates.deployment[a] == candidates.deployment[b]
        assert same == (deployments[a] == deployments[b])
    assert len(set(candidates.deployment.tolist())) == len(set(deployments))


def test_scenarios_of_chosen_parameters() -> None:
    candidates = Candidates.of(SPACE, scenarios=("loss",))
    assert [dict(s) for s in candidates.scenarios] == [{"loss": 0.0}, {"loss": 1.0}, {"loss": 4.0}]


def test_a_continuous_space_takes_a_list() -> None:
    space = SearchSpace((Parameter("cpu", "float", "decision", 1.0, low=0.5, high=2.0),))
    with pytest.raises(ValueError, match="say which"):
        Candidates.of(space)
    some = [space.effective({"cpu": v}) for v in (0.5, 1.0, 2.0, 1.0)]
    candidates = Candidates.of(space, some)
    assert len(candidates) == 3
    assert candidates.coordinates[:, 0].tolist() == pytest.approx([0, 0.5, 1])


@settings(deadline=None)
@given(conditional.spaces())
def test_coordinates_are_in_the_unit_cube_and_tell_configurations_apart(
    space: SearchSpace,
) -> None:
    candidates = Candidates.of(space)
    assert ((candidates.coordinates >= 0) & (candidates.coordinates <= 1)).all()
    assert len(np.unique(candidates.coordinates, axis=0)) == len(candidates)
