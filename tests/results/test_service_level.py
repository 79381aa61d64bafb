from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.study_model import model_of
from tuner.results.service_level import (
    is_exhausted,
    nearest_miss,
    replicas_needed,
    service_level,
)
from tuner.spec.space import Configuration, Parameter, SearchSpace
from tuner.spec.study import Constraint, Objective

SPACE = SearchSpace(
    (
        Parameter("rate", "float", "scenario", 100.0, choices=(100.0, 200.0), unit="requests/s"),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0), unit="cores"),
        Parameter("memory", "int", "decision", 128, choices=(64, 128), unit="MiB"),
        Parameter("replicas", "int", "decision", 1, choices=(1, 2)),
    )
)
P95 = Constraint("p95_ms", "<=", 15.0)
ERRORS = Constraint("error_rate", "<=", 0.01)


def at(cpu: float, memory: int = 128, replicas: int = 1, rate: float = 100.0) -> Configuration:
    return Configuration.of({"rate": rate, "cpu": cpu, "memory": memory, "replicas": replicas})


def burst(
    number: int, configuration: Configuration, p95: float, errors: float = 0.0
) -> TrialRecord:
    metrics = {
        "p95_ms": Estimate(p95, p95 * 0.95, p95 * 1.05),
        "error_rate": Estimate(errors, max(0.0, errors - 0.001), errors + 0.002),
        "reserved_cores": Estimate.exact(float(configuration["cpu"])),
    }
    return TrialRecord(
        number=number,
        configuration=configuration,
        outcome="measured",
        values=(metrics["reserved_cores"].value,),
        violations={str(c): c.violation(metrics[c.metric].value) for c in (P95, ERRORS)},
        phases={"burst": 1.0},
        started="2026-01-01T00:00:00+00:00",
        measurement=Measurement(metrics, (), 500, 10, 2.0, "precise", {}),
    )


def too_small(number: int, configuration: Configuration) -> TrialRecord:
    return replace(
        burst(number, configuration, 1.0),
        outcome="infeasible",
        reason="out of memory",
        imputed=True,
        measurement=None,
        violations={"serves": 1.0},
    )


def study(*trials: TrialRecord, constraints: tuple[Constraint, ...] = (P95, ERRORS)) -> StudyRecord:
    objectives = (Objective("reserved_cores", "minimize"),)
    return StudyRecord("held", "mnist", SPACE, objectives, constraints, {}, {}, trials)


def test_a_configuration_that_holds_and_what_less_of_it_would_miss() -> None:
    record = study(burst(0, at(0.5), 9.0), burst(1, at(0.25), 31.0), too_small(2, at(0.5, 64)))
    answer = service_level(record, at(0.5), None)
    p95, errors = answer.outlooks
    assert (p95.constraint, errors.constraint) == (P95, ERRORS)
    assert p95.value is not None
    assert p95.value.value == pytest.approx(9.0)
    assert p95.probability is not None
    assert p95.probability > 0.99
    assert not p95.misses
    cpu, memory = answer.smaller
    assert (cpu.parameter.name, cpu.value, cpu.reason) == ("cpu", 0.25, "")
    assert [str(o.constraint) for o in cpu.missed] == ["p95_ms <= 15"]
    assert (memory.parameter.name, memory.value, memory.reason) == ("memory", 64, "out of memory")


def test_what_is_near_its_bound_is_held_with_even_odds() -> None:
    (p95, _) = service_level(study(burst(0, at(0.5), 15.0)), at(0.5), None).outlooks
    assert p95.probability == pytest.approx(0.5)


def test_bursts_say_together_whether_a_constraint_holds() -> None:
    bursts = [burst(n, at(0.5), p95) for n, p95 in enumerate((16.0, 13.0, 13.2, 13.1))]
    (p95, _) = service_level(study(*bursts), at(0.5), None).outlooks
    assert p95.value is not None
    assert 13.0 < p95.value.value < 14.5
    assert not p95.misses


@given(
    p95=st.floats(0.5, 60),
    bound=st.floats(0.5, 60),
    more=st.floats(1.0, 3.0),
)
def test_a_looser_bound_is_never_held_less_surely(p95: float, bound: float, more: float) -> None:
    def chance(of: float) -> float:
        constraint = Constraint("p95_ms", "<=", of)
        record = study(burst(0, at(0.5), p95), constraints=(constraint,))
        (outlook,) = service_level(record, at(0.5), None).outlooks
        assert outlook.probability is not None
        assert outlook.misses == (p95 > of)
        return outlook.probability

    assert 0 <= chance(bound) <= chance(bound * more) <= 1


def test_a_share_of_nothing_holds_by_its_upper_end() -> None:
    record = study(burst(0, at(0.5), 9.0, 0.0), burst(1, at(0.5), 9.1, 0.0))
    (_, errors) = service_level(record, at(0.5), None).outlooks
    assert errors.value is not None
    assert errors.value.value == errors.value.low == 0.0
    assert errors.value.high is not None
    assert 0.0005 < errors.value.high < 0.002
    assert errors.probability is not None
    assert errors.probability > 0.999


def test_what_was_not_measured_is_predicted_by_the_model() -> None:
    grid = [
        at(cpu, m, r, rate)
        for cpu in (0.5, 1.0, 2.0)
        for m in (64, 128)
        for r in (1, 2)
        for rate in (100.0, 200.0)
    ]
    record = study(*(burst(n, c, 5.0 / float(c["cpu"])) for n, c in enumerate(grid)))
    surrogate = model_of(record)
    assert surrogate is not None
    answer = service_level(record, at(0.25), surrogate)
    p95 = answer.outlooks[0]
    assert not p95.measured
    assert p95.value is not None
    assert p95.value.value == pytest.approx(20.0, rel=0.25)
    assert p95.probability is not None
    assert p95.probability < 0.3
    assert p95.misses
    known = service_level(record, at(0.5), surrogate)
    assert [s.parameter.name for s in known.smaller] == ["cpu"]
    assert not known.outlooks[0].misses


def test_without_bursts_and_a_model_nothing_is_claimed() -> None:
    answer = service_level(study(burst(0, at(1.0), 5.0)), at(2.0), None)
    assert [(o.value, o.probability, o.misses) for o in answer.outlooks] == [
        (None, None, False)
    ] * 2
    assert answer.smaller == ()


def test_the_nearest_miss_is_that_of_the_least_violation_in_shares_of_the_bounds() -> None:
    record = study(
        burst(0, at(1.0), 40.0),
        burst(1, at(2.0), 18.0),
        burst(2, at(2.0, 64), 15.1, errors=0.05),
        too_small(3, at(0.25)),
        burst(4, at(2.0, rate=200.0), 17.0),
    )
    nearest = nearest_miss(record)
    assert nearest is not None
    assert nearest.trial.number == 4
    (p95,) = nearest.missed
    assert p95.value is not None
    assert p95.value.value == pytest.approx(17.0)
    inside = nearest_miss(record, Configuration.of({"rate": 100.0}))
    assert inside is not None
    assert inside.trial.number == 1


def test_where_nothing_could_be_measured_nothing_is_near() -> None:
    assert nearest_miss(study(too_small(0, at(1.0)))) is None
    assert nearest_miss(study(burst(0, at(1.0), 5.0))) is None


def test_a_space_is_exhausted_when_each_configuration_has_a_trial() -> None:
    whole = [burst(n, c, 5.0) for n, c in enumerate(SPACE.grid())]
    assert is_exhausted(study(*whole))
    assert not is_exhausted(study(*whole[1:], burst(99, whole[1].configuration, 5.0)))


@given(
    rate=st.floats(0.1, 1e5),
    low=st.floats(1, 1e4),
    more=st.floats(1, 2),
    replicas=st.integers(1, 8),
)
def test_so_many_replicas_as_a_rate_needs_and_not_one_more(
    rate: float, low: float, more: float, replicas: int
) -> None:
    needed = replicas_needed(rate, Estimate(low * more, low, low * more * 1.1), replicas)
    assert needed is not None
    each = low / replicas
    assert needed * each >= rate * (1 - 1e-6)
    assert (needed - 1) * each < rate * (1 + 1e-6)


def test_what_holds_nothing_holds_nothing_with_more_replicas() -> None:
    assert replicas_needed(100.0, Estimate(0.0, 0.0, 25.0), 1) is None
