from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.study.small import FEASIBLE, specification
from tuner.backends.simulated import SimulatedDeployer, SimulatedSender
from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.study_model import FEWEST
from tuner.results.pooled import ASSUMED_BETWEEN
from tuner.spec.fingerprint import to_dict
from tuner.spec.host import Host
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec
from tuner.trial import Rig, TrialRequest, run_trial
from tuner.verify.prediction import Prediction, pooled_bursts, predict_bursts

HOST = Host(cpus=2, memory_mib=8192)


@pytest.fixture
def spec() -> StudySpec:
    """12 configurations, all of which can serve."""
    return specification(FEASIBLE)


def burst(spec: StudySpec, host: SimulatedDeployer, asked: Configuration) -> Measurement:
    result = run_trial(spec, TrialRequest(asked, "x"), Rig(host, SimulatedSender().connect))
    assert result.measurement is not None
    return result.measurement


def record(number: int, asked: Configuration, found: Measurement) -> TrialRecord:
    values = tuple(found.metrics[name].value for name in ("art_ms", "cpu_percent"))
    return TrialRecord(number, asked, "measured", values, {}, {}, "", found, backend="simulated")


def study_of(spec: StudySpec, trials: Sequence[tuple[Configuration, Measurement]]) -> StudyRecord:
    records = [record(n, asked, found) for n, (asked, found) in enumerate(trials)]
    return StudyRecord.of("small", to_dict(spec), {"host": {"cpus": HOST.cpus}}, records)


def measured(spec: StudySpec, seed: int, configurations: int, repeats: int) -> StudyRecord:
    """The first `repeats` of them twice, on a host of its own luck."""
    host = SimulatedDeployer(HOST, seed)
    grid = list(spec.search_space.grid())
    order = [grid[i] for i in np.random.default_rng(seed).permutation(len(grid))[:configurations]]
    return study_of(spec, [(c, burst(spec, host, c)) for c in (*order, *order[:repeats])])


def inside(study: StudyRecord, asked: Configuration, found: Measurement) -> bool:
    """Whether all objectives are where they were predicted."""
    for metric, prediction in predict_bursts(study, asked).items():
        value = found.metrics[metric]
        expected = prediction.interval([value])
        assert expected.low is not None
        assert expected.high is not None
        if not expected.low <= value.value <= expected.high:
            return False
    return True


@pytest.mark.parametrize(
    ("configurations", "repeats", "basis"),
    [
        pytest.param(12, 5, "model", marks=pytest.mark.thorough),
        (FEWEST - 1, 4, "bursts"),
    ],
)
def test_new_bursts_are_where_they_were_predicted_in_95_of_100_cases(
    spec: StudySpec, configurations: int, repeats: int, basis: str
) -> None:
    held, seeds = [], 25
    for seed in range(seeds):
        study = measured(spec, seed, configurations, repeats)
        again = SimulatedDeployer(HOST, 1000 + seed)
        asked = list(dict.fromkeys(t.configuration for t in study.trials))[-4:]
        assert {p.basis for p in predict_bursts(study, asked[0]).values()} == {basis}
        held += [inside(study, c, burst(spec, again, c)) for c in asked]
    # 100 cases: fewer than 90 have a chance of 1 % where 95 are expected.
    assert sum(held) >= 90


def test_bursts_of_another_configuration_are_elsewhere(spec: StudySpec) -> None:
    caught = []
    for seed in range(5):
        study = measured(spec, seed, 12, 5)
        again = SimulatedDeployer(HOST, 1000 + seed)
        for c in dict.fromkeys(t.configuration for t in study.trials):
            if c["cpu"] == 1:
                less = Configuration.of({**c, "cpu": 0.25})
                caught.append(not inside(study, c, burst(spec, again, less)))
    assert sum(caught) >= 0.9 * len(caught)


def test_nothing_is_predicted_of_what_was_not_measured(spec: StudySpec) -> None:
    study = measured(spec, 0, 4, 0)
    known = {t.configuration for t in study.trials}
    assert predict_bursts(study, next(c for c in spec.search_space.grid() if c not in known)) == {}


def test_what_was_cut_short_is_no_measurement_to_predict_from(spec: StudySpec) -> None:
    study = measured(spec, 0, 4, 0)
    cut = replace(study.trials[0], cut_short="surely dominated")
    study = replace(study, trials=(cut, *study.trials[1:]))
    assert predict_bursts(study, cut.configuration) == {}


def test_a_single_burst_is_its_own_prediction_widened_by_what_is_assumed(spec: StudySpec) -> None:
    study = measured(spec, 0, 1, 0)
    (trial,) = study.trials
    found = predict_bursts(study, trial.configuration)
    assert [p.value for p in found.values()] == list(trial.values)
    assert {p.between for p in found.values()} == {ASSUMED_BETWEEN}
    for prediction in found.values():
        expected = prediction.interval([Estimate(prediction.value)])
        assert expected.high is not None
        # Two deployments may each differ by what is assumed.
        assert expected.high / expected.value > math.exp(2 * math.sqrt(2) * ASSUMED_BETWEEN)


POSITIVE = st.floats(1e-3, 1e6)
SHARES = st.floats(0, 0.5)
PREDICTIONS = st.builds(
    Prediction, st.just("art_ms"), POSITIVE, SHARES, SHARES, st.floats(1.9, 5), st.just("model")
)


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    value, half = draw(POSITIVE), draw(SHARES)
    return Estimate(value, value * (1 - half), value * (1 + half))


@given(PREDICTIONS, st.lists(estimates(), min_size=1, max_size=5))
def test_an_interval_holds_its_value_and_narrows_with_more_of_the_same(
    prediction: Prediction, bursts: list[Estimate]
) -> None:
    once, thrice = prediction.interval(bursts), prediction.interval(bursts * 3)
    for found in (once, thrice):
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.value <= found.high
        assert found.low > 0
    assert once.high is not None
    assert thrice.high is not None
    assert thrice.high <= once.high * (1 + 1e-9)


@given(PREDICTIONS, estimates(), st.floats(1, 4))
def test_a_burst_that_says_less_is_given_more_room(
    prediction: Prediction, found: Estimate, times: float
) -> None:
    assert found.low is not None
    assert found.high is not None
    value = found.value
    wider = Estimate(
        value, value + (found.low - value) * times, value + (found.high - value) * times
    )
    before, after = prediction.interval([found]), prediction.interval([wider])
    assert before.high is not None
    assert after.high is not None
    assert after.high >= before.high * (1 - 1e-9)


@given(st.lists(estimates(), min_size=1, max_size=6))
def test_bursts_together_lie_between_them(bursts: list[Estimate]) -> None:
    found = pooled_bursts(bursts, "art_ms")
    values = [e.value for e in bursts]
    assert min(values) * (1 - 1e-9) <= found.value <= max(values) * (1 + 1e-9)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value * (1 + 1e-9)
    assert found.high >= found.value * (1 - 1e-9)


def test_order_does_not_matter() -> None:
    bursts = [Estimate(1.0, 0.9, 1.1), Estimate(2.0, 1.5, 2.5), Estimate(4.0)]
    found = {
        round(pooled_bursts(order, "art_ms").value, 9) for order in itertools.permutations(bursts)
    }
    assert found == {2.0}


def test_values_of_zero_have_a_plain_mean() -> None:
    assert pooled_bursts([Estimate(0.0), Estimate(4.0)], "art_ms") == Estimate(2.0)
