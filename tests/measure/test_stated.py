from __future__ import annotations

from dataclasses import replace

import pytest

from tests.study.bursts import burst
from tuner.measure.measurement import CpuLine, Estimate, Finding, LossParts, Z
from tuner.measure.record import TrialRecord, stated_trials
from tuner.measure.stopping import CAPPED
from tuner.spec.space import Value

METRICS = ("art_ms", "cpu_percent")


def lossy(
    number: int,
    undelayed: float = 3.0,
    requests: int = 2000,
    delayed: int = 40,
    **configuration: Value,
) -> TrialRecord:
    """A burst of 4 connections whose delayed requests took 250 ms longer; 2 host CPUs."""
    art = undelayed + delayed / requests * 250
    configuration = {"concurrency": 4, "loss": 1.0, **configuration}
    record = burst(number, art, 30.0, -1.0, **configuration)
    assert record.measurement is not None
    own = Estimate(undelayed, 0.98 * undelayed, 1.02 * undelayed)
    line = CpuLine(0.6, 0.006, 4000 / art, 0.6 / (4000 / art), 0.0)
    metrics = {
        "art_ms": Estimate(art, 0.6 * art, 1.4 * art),
        "cpu_percent": Estimate(30.0, 20.0, 40.0),
        "cpu_cores": Estimate(0.6, 0.4, 0.8),
        "throughput_rps": Estimate(4000 / art),
        "throttled_percent": Estimate(43.0),
    }
    parts = LossParts(requests, delayed, 0, own, 250.0, 60.0, line)
    return replace(record, measurement=replace(record.measurement, metrics=metrics, loss=parts))


def changed(record: TrialRecord, **changes: object) -> TrialRecord:
    """The same with another measurement."""
    assert record.measurement is not None
    return replace(record, measurement=replace(record.measurement, **changes))  # type: ignore[arg-type]


def alone(record: TrialRecord) -> str:
    assert record.stated is not None
    assert not record.stated.composed
    return record.stated.alone


STUDY = [lossy(i, 3.0 + i, cpu=cpu) for i, cpu in enumerate((0.25, 0.5, 1.0, 2.0))]


def test_art_is_the_undelayed_mean_and_the_networks_part() -> None:
    lucky = lossy(9, 3.0, delayed=28, replicas=2)
    found = stated_trials([*STUDY, lucky], METRICS)[-1]
    assert found.stated is not None
    network = found.stated.network
    assert network is not None
    assert network.share == pytest.approx(188 / 10_000)
    art = found.metric("art_ms")
    assert art is not None
    assert art.value == pytest.approx(3.0 + 250 * 0.0188)
    assert art.high is not None
    half = ((0.02 * 3.0) ** 2 + (Z * network.error_ms) ** 2) ** 0.5
    assert art.high - art.value == pytest.approx(half)
    assert found.values[0] == art.value
    throughput = found.metric("throughput_rps")
    assert throughput is not None
    assert throughput.value == pytest.approx(4000 / art.value)
    # CPU time per request x throughput, as all CPU time of this burst is of requests.
    assert found.values[1] == pytest.approx(30.0 * lucky.values[0] / art.value)


def test_a_burst_without_loss_is_as_it_was_measured() -> None:
    plain = burst(9, 4.0, 20.0)
    assert stated_trials([*STUDY, plain], METRICS)[-1] is plain


def test_violations_follow_the_values() -> None:
    lucky = lossy(9, delayed=28)
    limit = {"art_ms <= 7": lucky.values[0] - 7, "throughput_rps >= 9": 1.0, "serves": -1.0}
    found = stated_trials([*STUDY, replace(lucky, violations=limit)], METRICS)[-1]
    throughput = found.metric("throughput_rps")
    assert throughput is not None
    assert found.violations["art_ms <= 7"] == pytest.approx(found.values[0] - 7)
    expected = 1.0 + 4000 / lucky.values[0] - throughput.value
    assert found.violations["throughput_rps >= 9"] == pytest.approx(expected)
    assert found.violations["serves"] == -1.0


def test_it_is_stored_as_it_was_measured() -> None:
    found = stated_trials(STUDY, METRICS)
    assert [t.to_json() for t in found] == [t.to_json() for t in STUDY]
    assert tuple(TrialRecord.from_json(t.to_json()) for t in found) == tuple(STUDY)
    assert stated_trials(found, METRICS) == found, "stating it again changes nothing"


@pytest.mark.parametrize(
    ("trial", "why"),
    [
        (lossy(9, rate=50.0), "open loop"),
        (lossy(9, delay=20.0), "delays packets too"),
        (changed(lossy(9), errors={"TIMEOUT": 1}), "failed"),
        (changed(lossy(9), loss=None), "says nothing about single"),
        (lossy(9, replicas=2, delayed=90), "its lost packets cost 11.2 ms per request"),
        (lossy(9, loss=5.0, delayed=5), "fewer than 20"),
    ],
)
def test_where_the_networks_part_does_not_hold_the_burst_counts(
    trial: TrialRecord, why: str
) -> None:
    *others, found = stated_trials([*STUDY, trial], METRICS)
    assert why in alone(found)
    assert (found.values, found.violations) == (trial.values, trial.violations)
    assert tuple(others) == stated_trials(STUDY, METRICS)


def test_a_throttled_burst_whose_stalls_are_as_long_as_a_loss_counts_alone() -> None:
    odd = lossy(9)
    assert odd.measurement is not None
    assert odd.measurement.loss is not None
    odd = changed(odd, loss=replace(odd.measurement.loss, unclear=30))
    found = stated_trials([*STUDY, odd], METRICS)[-1]
    assert "as long as its delay (its CPU limit throttled it in 43 % of the periods)" in alone(
        found
    )


def test_networks_are_told_apart() -> None:
    worse = [lossy(10 + i, requests=500, cpu=c, loss=5.0) for i, c in enumerate((0.5, 1.0))]
    found = stated_trials([*STUDY, *worse], METRICS)
    shares = [t.stated.network.share for t in found if t.stated and t.stated.network]
    assert shares == pytest.approx([0.02] * 4 + [0.08] * 2)


def test_a_window_that_ended_early_is_no_doubt_where_the_study_knows_the_rest() -> None:
    doubts = (Finding("WARN", f"ended early: {CAPPED} of 8 s", ""), Finding("WARN", "busy", ""))
    found = stated_trials([*STUDY, changed(lossy(9), findings=doubts)], METRICS)[-1]
    assert found.measurement is not None
    assert found.measurement.findings == doubts[1:]


def test_a_later_burst_changes_no_earlier_one_up_to_the_next_checkpoint() -> None:
    trials = [lossy(i, delayed=35 + i % 10, replicas=1 + i % 3) for i in range(24)]
    row = [stated_trials(trials[:n], METRICS) for n in range(20, 25)]
    assert row[1][:20] == row[0], "21 trials: the first 20 say what the network adds"
    assert row[1][20].stated is not None
    assert row[1][20].stated.network is not None, "which holds for those that follow"
    assert row[2][:20] != row[0], "22 trials are the next checkpoint"
    assert row[3][:22] == row[2]


def test_a_later_configuration_is_compared_with_the_earlier_ones() -> None:
    trials = [lossy(i, delayed=40, replicas=1 + i % 3) for i in range(20)]
    odd = stated_trials([*trials, lossy(20, delayed=120, cpu=0.5)], METRICS)[-1]
    assert "its lost packets cost 15 ms per request" in alone(odd)


def test_what_all_share_is_no_error_where_configurations_are_compared() -> None:
    alike = stated_trials(STUDY, METRICS)[0].composed("art_ms")
    assert alike is not None
    assert alike.network_error > alike.own_error
    assert alike.compared_error == alike.own_error
    differ = [lossy(i, delayed=30 + 6 * i, cpu=c) for i, c in enumerate((0.25, 0.5, 1.0, 2.0))]
    found = stated_trials(differ, METRICS)[0]
    for metric in METRICS:
        own = found.composed(metric)
        assert own is not None
        assert own.own_error < own.compared_error < (own.total.relative_error or 0)
        assert found.compared_error(metric) == own.compared_error
