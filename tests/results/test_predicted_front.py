from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from tests.model.planted import METRICS, SPACE, model, observed, truth
from tuner.arrays import Floats
from tuner.model.candidates import Candidates
from tuner.model.pareto import front, hypervolume, non_dominated
from tuner.model.surrogate import Surrogate
from tuner.results.predicted_front import predicted_front, rows_of, spread
from tuner.spec.space import Configuration

SCENARIO = Configuration.of({"concurrency": 4, "loss": 2.0})


def test_the_predicted_front_has_the_best_of_the_scenario_that_can_serve() -> None:
    found = predicted_front(model(), SCENARIO)
    assert 3 <= len(found) <= 6
    assert all(SPACE.scenario_of(r.configuration) == SCENARIO for r in found)
    assert all(r.configuration["memory"] == 512 for r in found), "16 MiB cannot serve"
    assert {r.configuration["cpu"] for r in found} == {0.25, 0.5, 1.0, 2.0}
    assert [r.values for r in found] == sorted(r.values for r in found)
    for one in found:
        expected = truth(one.configuration)
        assert expected is not None
        assert one.values == pytest.approx(expected, rel=0.1)
        assert all(a < v < b for a, v, b in zip(one.low, one.values, one.high, strict=True))
        assert one.feasible > 0.9
        assert 0 <= one.on_front <= 1
    best = [r for r in found if r.configuration["replicas"] == 1]
    assert all(r.on_front > 0.8 for r in best)


def test_no_more_points_than_asked_for() -> None:
    few = predicted_front(model(), SCENARIO, limit=2)
    assert len(few) == 2
    assert len(predicted_front(model(), None)) <= 6
    assert predicted_front(model(), Configuration.of({"concurrency": 3})) == ()


def test_the_same_model_predicts_the_same_front() -> None:
    assert predicted_front(model(), SCENARIO) == predicted_front(model(), SCENARIO)


def test_the_predicted_front_is_empty_where_nothing_could_serve() -> None:
    candidates = Candidates.of(SPACE)
    able = [c for c in candidates.configurations if c["memory"] == 512][:24]
    known = observed(able, of=lambda _: None)
    hopeless = Surrogate.fit(candidates, METRICS, ("minimize", "minimize"), known)
    assert [r for r in predicted_front(hopeless, SCENARIO) if r.configuration["memory"] == 16] == []


def test_what_is_maximised_is_given_in_its_unit() -> None:
    candidates = Candidates.of(SPACE)
    able = [c for c in candidates.configurations if c["memory"] == 512]

    def rates(of: Configuration) -> tuple[float, float] | None:
        found = truth(of)
        return found and (1000 / found[0], found[1])

    known = observed(able, of=rates)
    fast = Surrogate.fit(
        candidates, ("throughput_rps", "cpu_percent"), ("maximize", "minimize"), known
    )
    found = predicted_front(fast, SCENARIO)
    assert [r.values[0] for r in found] == sorted((r.values[0] for r in found), reverse=True)
    for one in found:
        assert one.low[0] < one.values[0] < one.high[0]
        assert one.values == pytest.approx(rates(one.configuration), rel=0.1)


def test_rows_of_a_scenario_are_its_configurations() -> None:
    rows = rows_of(model(), SCENARIO)
    assert len(rows) == 24
    assert len(rows_of(model(), None)) == 96


FRONTS = hn.arrays(
    np.float64, st.tuples(st.integers(1, 8), st.integers(1, 3)), elements=st.floats(0, 1)
)


@given(FRONTS, st.integers(1, 4))
def test_each_point_of_a_spread_adds_the_most_hypervolume(cloud: Floats, limit: int) -> None:
    points, reference = cloud[front(cloud)], np.full(cloud.shape[1], 1.5)
    chosen = spread(points, reference, limit)
    assert len(chosen) <= limit
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert non_dominated(points[chosen]).all()
    # The first of the greedy ones adds most: none alone is better than all chosen ones.
    whole = hypervolume(points[chosen], reference)
    alone = [hypervolume(points[[i]], reference) for i in range(len(points))]
    assert whole >= max(alone) - 1e-9
    if limit >= len(points):
        everything = hypervolume(points, reference)
        assert whole >= 0.97 * everything, "what is left out adds next to nothing"
