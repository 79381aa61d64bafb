"""What one kind of host takes more than another, learned from what both measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.measure.host_effects import USUAL, HostEffect, host_effects, without
from tuner.measure.measurement import CpuLine, Estimate, LossParts, Measurement, Z
from tuner.spec.space import Configuration

BASELINE = Configuration.of({"concurrency": 4, "cpu": 1.0, "memory": 256, "replicas": 1})
OTHER = Configuration.of({**BASELINE, "cpu": 2.0})
LOSSY = Configuration.of({**BASELINE, "loss": 5})


def known_to(value: float, share: float) -> Estimate:
    return Estimate(value, value * (1 - Z * share), value * (1 + Z * share))


def burst(art: float, share: float = 0.02, loss: LossParts | None = None) -> Measurement:
    metrics = {
        "art_ms": known_to(art, share),
        "cpu_cores": known_to(0.5, share),
        "memory_peak_mib": known_to(80.0, share),
        "error_rate": Estimate(0.0, 0.0, 0.01),
    }
    return Measurement(metrics, (), 1000, 10, 3.0, "precise", {}, loss=loss)


def test_one_kind_of_host_has_no_effects() -> None:
    assert host_effects([(BASELINE, "a", burst(5.0))] * 3, "a") == {}


def test_what_is_not_measured_on_both_leaves_a_factor_of_two_open() -> None:
    (effects,) = host_effects([(BASELINE, "a", burst(5.0)), (OTHER, "b", burst(9.0))], "a").values()
    art = effects["art_ms"]
    assert (art.log_ratio, art.configurations) == (0.0, 0)
    assert art.error == pytest.approx(USUAL)


def test_memory_and_shares_do_not_follow_the_speed_of_a_host() -> None:
    found = host_effects([(BASELINE, "a", burst(5.0)), (BASELINE, "b", burst(7.0))], "a")
    assert found["b"].keys() == {"art_ms", "cpu_cores"}


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    truth=st.floats(-0.8, 0.8),
    shared=st.integers(1, 4),
    bursts=st.integers(1, 3),
)
def test_what_was_planted_is_within_four_standard_errors(
    seed: int, truth: float, shared: int, bursts: int
) -> None:
    rng = np.random.default_rng(seed)
    measured = []
    for number in range(shared):
        configuration = Configuration.of({**BASELINE, "memory": 64 * (number + 1)})
        level = rng.uniform(0, 3)
        for kind, added in (("a", 0.0), ("b", truth)):
            for _ in range(bursts):
                art = math.exp(level + added + rng.normal(0, 0.05))
                measured.append((configuration, kind, burst(art, 0.01)))
    effect = host_effects(measured, "a")["b"]["art_ms"]
    assert effect.configurations == shared
    assert abs(effect.log_ratio - truth) < 4 * effect.error
    other_way = host_effects(measured, "b")["a"]["art_ms"]
    assert other_way.log_ratio == pytest.approx(-effect.log_ratio)


def test_intervals_hold_the_truth() -> None:
    """Of 400 pairs of hosts, 90 to 98 % of the 95 % intervals hold what was planted."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        truth = rng.normal(0, 0.4)
        measured = [
            (BASELINE, kind, burst(math.exp(added + rng.normal(0, math.hypot(0.05, 0.02)))))
            for kind, added in (("a", 0.0), ("b", truth), ("a", 0.0), ("b", truth))
        ]
        effect = host_effects(measured, "a")["b"]["art_ms"]
        held += abs(effect.log_ratio - truth) < Z * effect.error
    assert 0.90 < held / 400 < 0.98


def test_configurations_that_do_not_agree_make_the_error_larger() -> None:
    def error(of_the_other: float) -> float:
        measured = [
            (BASELINE, "a", burst(5.0)),
            (BASELINE, "b", burst(7.0)),
            (OTHER, "a", burst(3.0)),
            (OTHER, "b", burst(3.0 * of_the_other)),
        ]
        return host_effects(measured, "a")["b"]["art_ms"].error

    assert error(3.0) > 2 * error(1.4)


def test_a_measurement_is_stated_as_on_the_other_host() -> None:
    effects = {"art_ms": HostEffect(math.log(2.0), 0.03, 1)}
    stated = without(BASELINE, burst(10.0, 0.04), effects)
    art = stated.metrics["art_ms"]
    assert art.value == pytest.approx(5.0)
    assert art.low is not None
    assert art.high is not None
    assert math.log(art.high / art.value) == pytest.approx(Z * 0.05)
    assert math.log(art.value / art.low) == pytest.approx(Z * 0.05)
    assert stated.metrics["memory_peak_mib"] == burst(10.0, 0.04).metrics["memory_peak_mib"]


def test_what_lost_packets_add_is_not_the_hosts() -> None:
    line = CpuLine(0.4, 0.01, 100.0, 0.004, 0.0001)
    loss = LossParts(1000, 100, 0, known_to(6.0, 0.01), 240.0, 30.0, line)
    effects = {
        "art_ms": HostEffect(math.log(2.0), 0.03, 1),
        "cpu_cores": HostEffect(math.log(1.5), 0.03, 1),
    }
    stated = without(LOSSY, burst(30.0, loss=loss), effects)
    assert stated.metrics["art_ms"] == burst(30.0).metrics["art_ms"]
    assert stated.loss is not None
    assert stated.loss.undelayed_ms.value == pytest.approx(3.0)
    assert stated.loss.delay_ms == 240.0
    assert stated.loss.cpu is not None
    assert stated.loss.cpu.slope == pytest.approx(0.004 / 3.0)
