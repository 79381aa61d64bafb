from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.results.known_truth import SERVING, sample
from tuner.model.observations import Observation
from tuner.results.dependence import Effect, compared, parameter_effects, scenario_effects
from tuner.spec.space import Condition, Configuration, Parameter, SearchSpace


def art(c: Mapping[str, Any]) -> float:
    return float(c["concurrency"] / c["replicas"] + c["loss"])


def of(found: tuple[Effect, ...], name: str) -> Effect:
    return next(e for e in found if e.parameter.name == name)


def test_a_curve_is_the_mean_over_the_others_with_a_band_around_it() -> None:
    known = sample(SERVING, {"art_ms": art}, doubt=0.05)
    curve = of(parameter_effects(known, "art_ms"), "replicas").curve([], 0)
    assert curve.values == (1, 2, 3, 4, 5, 6)
    assert curve.settings == 3 * 3 * 4 * 4
    assert curve.feasible == (1.0,) * 6
    for value, mean, low, high in zip(
        curve.values, curve.average.value, curve.average.low, curve.average.high, strict=True
    ):
        assert mean is not None
        assert low is not None
        assert high is not None
        assert mean == pytest.approx(7 / float(value) + 2, rel=0.01)
        assert low < mean < high
    logs = [math.log(x / 6 + y) for x in (1, 4, 16) for y in (0, 1, 2, 5)]
    assert curve.typical.value[-1] == pytest.approx(math.exp(np.mean(logs)), rel=0.01)


def test_the_band_is_as_wide_as_the_doubt_that_is_shared() -> None:
    """An error that all configurations share does not average out."""
    known = sample(SERVING, {"art_ms": art}, doubt=0.0)
    common = 0.1 * np.random.default_rng(1).standard_normal((len(known.draws), 1, 1))
    shifted = type(known)(**{**vars(known), "draws": known.draws + common})
    effect = of(parameter_effects(shifted, "art_ms"), "loss")
    curve = effect.curve([], 0)
    assert curve.average.low[0] is not None
    assert curve.average.high[0] is not None
    assert math.log(curve.average.high[0] / curve.average.low[0]) == pytest.approx(0.39, abs=0.05)


def test_metrics_to_maximise_are_in_their_own_unit() -> None:
    known = sample(SERVING, {"throughput_rps": lambda c: 100.0 * c["replicas"]})
    curve = of(parameter_effects(known, "throughput_rps"), "replicas").curve([], 0)
    assert curve.average.value[-1] == pytest.approx(600, rel=0.01)


def test_values_are_compared_like_with_like() -> None:
    """Little memory serves light loads only; that must not make it look fast."""
    known = sample(
        SERVING,
        {"art_ms": art},
        feasible=lambda c: float(c["memory"] > 64 or c["concurrency"] == 1),
    )
    memory = of(parameter_effects(known, "art_ms"), "memory").curve([], 0)
    assert memory.feasible == pytest.approx((1 / 3, 1 / 3, 1, 1))
    assert memory.settings == 3 * 6 * 4
    assert memory.average.value == pytest.approx([memory.average.value[0]] * 4, rel=0.01)


def test_values_at_which_nothing_serves_have_no_mean() -> None:
    known = sample(
        SERVING,
        {"art_ms": art},
        feasible=lambda c: 0.02 if c["memory"] == 48 else 0.98,
    )
    memory = of(parameter_effects(known, "art_ms"), "memory")
    assert memory.values == (64, 96, 128)
    curve = memory.curve([], 0)
    assert (curve.typical.value[0], curve.average.low[0], curve.average.high[0]) == (
        None,
        None,
        None,
    )
    assert curve.feasible[0] == pytest.approx(0.02)
    assert (
        parameter_effects(sample(SERVING, {"art_ms": art}, feasible=lambda _: 0.1), "art_ms") == ()
    )


def test_every_scenario_has_its_own_curve() -> None:
    known = sample(SERVING, {"art_ms": art})
    found = list(scenario_effects(known, "art_ms"))
    assert len(found) == 3 * (3 * 4) + 4 + 3
    one = next(
        e.curve([], 0)
        for e in found
        if e.parameter.name == "replicas" and e.scenario == {"concurrency": 16, "loss": 5.0}
    )
    assert one.average.value == pytest.approx([16 / r + 5 for r in range(1, 7)], rel=0.01)
    concurrency = [e for e in found if e.parameter.name == "concurrency"]
    assert [dict(e.scenario) for e in concurrency] == [{"loss": x} for x in (0.0, 1.0, 2.0, 5.0)]


def test_a_conditional_parameter_is_looked_at_where_it_is_active() -> None:
    space = SearchSpace(
        (
            Parameter("batching", "categorical", "decision", False, choices=(False, True)),
            Parameter("size", "int", "decision", 1, choices=(1, 4), flag="s",
                      when=Condition("batching", "==", (True,))),
        )
    )  # fmt: skip
    known = sample(space, {"art_ms": lambda c: 10.0 * c.get("size", 100)})
    found = parameter_effects(known, "art_ms")
    assert of(found, "size").curve([], 0).average.value == pytest.approx([10, 40], rel=0.01)
    assert of(found, "batching").curve([], 0).average.value == pytest.approx([1000, 25], rel=0.01)


def test_measured_points_are_the_feasible_trials_of_the_scenario_and_all_is_json() -> None:
    def observed(number: int, loss: float, violation: float) -> Observation:
        configuration = Configuration.of({**SERVING.baseline(), "loss": loss})
        return Observation(number, configuration, (5.0, 9.0 + number), {"serves": violation})

    known = sample(SERVING, {"cpu_percent": art})
    trials = [observed(0, 0.0, -1), observed(1, 5.0, -1), observed(2, 5.0, 1)]
    everywhere = of(parameter_effects(known, "cpu_percent"), "replicas").curve(trials, 1)
    assert [(p.trial, p.value, p.measured) for p in everywhere.measured] == [(0, 1, 9), (1, 1, 10)]
    lossy = next(
        e.curve(trials, 1)
        for e in scenario_effects(known, "cpu_percent")
        if e.parameter.name == "replicas" and e.scenario == {"concurrency": 4, "loss": 5.0}
    )
    assert [p.trial for p in lossy.measured] == [1]
    assert json.loads(json.dumps(asdict(lossy)))["scenario"] == {"concurrency": 4, "loss": 5.0}


@given(arrays(np.bool_, st.tuples(st.integers(1, 5), st.integers(1, 12))))
def test_compared_values_are_feasible_in_all_compared_settings(able: np.ndarray) -> None:
    values, settings = compared(able)
    assert able[np.ix_(values, settings)].all()
    assert (len(values) == 0) == (not able.any())
    if able.all():
        assert able[np.ix_(values, settings)].shape == able.shape
