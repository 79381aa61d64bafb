from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from tests.model.served_space import CANDIDATES, HOST, METRICS, SPACE, bounds, logs, some_rows
from tuner.model.queue_fit import fitted_queue
from tuner.model.queue_prior import PARAMETERS, Loads, solved
from tuner.spec.space import Configuration, Parameter, SearchSpace

LOADS = Loads.of(SPACE, CANDIDATES.configurations, HOST)
USUAL = np.log([p.median for p in PARAMETERS.values()])


def theta(**changed: float) -> npt.NDArray[np.float64]:
    return np.log([changed.get(name, prior.median) for name, prior in PARAMETERS.items()])


def one(**values: float) -> Loads:
    usual = {"concurrency": 1.0, "replicas": 1.0, "cpu": 1.0, "lost": 0.0, "delay": 0.0}
    usual["rate"] = 0.0
    return Loads(*(np.array([v]) for v in {**usual, **values}.values()))


def response(loads: Loads, **changed: float) -> float:
    return float(np.exp(solved(loads, theta(**changed))["response"][0, 0]))


def test_one_request_takes_its_service_and_its_delay() -> None:
    free = {"contention": 1e-9, "host_cores": 64.0, "request_cores": 1.0}
    found = response(one(cpu=8.0), service_s=0.01, delay_s=0.002, **free)
    assert found == pytest.approx(12.0, rel=0.01)
    quarter = response(one(cpu=0.25), service_s=0.01, delay_s=0.002, **free)
    assert quarter == pytest.approx(42.0, rel=0.01)


def test_many_requests_are_bound_by_the_host() -> None:
    free = {"contention": 1e-9, "host_cores": 2.0, "request_cores": 1.0}
    found = response(one(concurrency=80, replicas=16, cpu=2.0), service_s=0.01, **free)
    assert found == pytest.approx(80 * 0.01 / 2 * 1000, rel=0.03)


def test_the_chain_and_its_fluid_limit_meet() -> None:
    kinds = [solved(one(concurrency=n, replicas=4.0), USUAL) for n in (96.0, 97.0)]
    for output in ("response", "cores"):
        below, above = (float(k[output][0, 0]) for k in kinds)
        assert above == pytest.approx(below, abs=0.05)


def test_loss_and_delay_wait_outside_the_replicas() -> None:
    base = response(one())
    assert response(one(delay=10.0)) == pytest.approx(base + 20.0, rel=0.01)
    lossy = response(one(lost=0.1), retransmission_s=0.2)
    assert lossy == pytest.approx(base + 200 * 0.1 / 0.8, rel=0.01)


def test_a_stream_waits_as_in_the_textbook() -> None:
    free = {"contention": 1e-9, "host_cores": 64.0, "request_cores": 1.0, "delay_s": 1e-6}
    load = one(concurrency=1.0, cpu=64.0, rate=50.0)
    found = response(load, service_s=0.01, **free)
    # M/M/1: 1 / (100 - 50) s.
    assert found == pytest.approx(20.0, rel=0.02)
    throughput = np.exp(solved(load, theta(service_s=0.01, **free))["throughput"][0, 0])
    assert throughput == pytest.approx(50.0, rel=0.01)


def test_a_stream_that_is_too_fast_has_an_answer() -> None:
    load = one(concurrency=4.0, rate=1e4)
    assert 100 < response(load, service_s=0.01) < 10_000


def test_requests_never_get_faster_with_more_of_them() -> None:
    found = [response(one(concurrency=n, replicas=2.0)) for n in (1.0, 2.0, 4.0, 8.0, 64.0)]
    assert found == sorted(found)


def test_it_learns_what_other_formulas_say_roughly() -> None:
    truth = logs(bounds)
    rows = some_rows(20)
    fit = fitted_queue(LOADS.at(np.array(rows)), METRICS, truth[rows], host_cpus=HOST)
    assert fit is not None
    for j, metric in enumerate(METRICS):
        mean, changes = fit.predicted(LOADS, metric)
        assert np.median(np.abs(mean - truth[:, j])) < 0.15
        assert changes.shape == (len(CANDIDATES), len(PARAMETERS))
    assert fit.parameters["service_s"] == pytest.approx(0.005, rel=0.3)
    # It is rough: what a process has to mend is left.
    assert np.abs(fit.predicted(LOADS, "art_ms")[0] - truth[:, 0]).max() > 0.05


def test_usage_of_one_replica_is_recognised() -> None:
    truth = logs(bounds)
    replicas = np.log([float(x["replicas"]) for x in CANDIDATES.configurations])
    rows = np.array(some_rows(20))
    for shares, expected in ((0.0, False), (np.log(HOST) - replicas, True)):
        values = truth.copy()
        values[:, 1] += shares
        fit = fitted_queue(LOADS.at(rows), METRICS, values[rows], host_cpus=HOST)
        assert fit is not None
        assert fit.reading.per_replica is expected


def test_it_has_nothing_to_say_without_its_metrics_or_without_data() -> None:
    rows = np.array([0, 1])
    assert fitted_queue(LOADS.at(rows), ("memory_peak_mib",), np.zeros((2, 1))) is None
    assert fitted_queue(LOADS.at(rows[:0]), METRICS, np.zeros((0, 2))) is None


def test_parameters_that_a_space_lacks_have_their_usual_meaning() -> None:
    space = SearchSpace(
        (
            Parameter("threads", "int", "decision", 1, low=1, high=4, flag="threads"),
            Parameter("loss_in", "float", "scenario", 0.0, choices=(0.0, 10.0)),
        )
    )
    loads = Loads.of(space, [Configuration.of({"threads": 2, "loss_in": 10.0})], 3.0)
    assert (loads.concurrency[0], loads.replicas[0], loads.cpu[0]) == (1.0, 1.0, 3.0)
    assert loads.lost[0] == pytest.approx(0.1)
