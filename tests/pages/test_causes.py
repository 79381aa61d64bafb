"""Causes that were planted in the counters of trials are found, and no others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pages.planted_trials import (
    CONCURRENCY,
    CPU,
    LOSS,
    REPLICAS,
    infeasible,
    measured,
    study,
)
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages.importance_figure import noise
from tuner.results.cause_rules import MEANINGS, NOISE, UNKNOWN
from tuner.results.causes import Causes, Group, causes
from tuner.results.counters import COUNTERS, counters, medians
from tuner.results.regions import region
from tuner.results.summary import summarise
from tuner.spec.space import Configuration, Parameter, SearchSpace

PLAIN = SearchSpace((CPU, REPLICAS))
SPACE = SearchSpace((CONCURRENCY, CPU, REPLICAS, LOSS))

USUAL = {
    "cpu_cores": 0.4,
    "cpu_percent": 20.0,
    "cpu_ms_per_request": 0.8,
    "throughput_rps": 500.0,
    "throttled_percent": 2.0,
    "retransmitted_percent": 0.0,
    "memory_pressure_percent": 0.0,
    "major_faults_per_s": 0.0,
    "memory_limit_hits_per_s": 0.0,
    "client_cpu_percent": 10.0,
    "foreign_percent": 0.0,
    "steal_percent": 0.0,
}
"""Counters of a replica that is well."""


def trial(
    number: int,
    configuration: Mapping[str, Any],
    art: float,
    cpu: float,
    served: tuple[float, ...] = (500.0,),
    **counted: float,
) -> TrialRecord:
    replicas = [{"throughput_rps": rate} for rate in served]
    values = {**USUAL, "cpu_percent": cpu, "cpu_cores": cpu / 50, **counted}
    return measured(number, configuration, (art, cpu), counters=values, replicas=replicas)


def at(
    cpu: float = 0.5, replicas: int = 1, concurrency: int = 1, loss: float = 0.0
) -> dict[str, Any]:
    return {"concurrency": concurrency, "cpu": cpu, "replicas": replicas, "loss": loss}


GOOD = trial(0, at(), 1.0, 20.0)
"""On the front of its scenario, and the overall one."""


def found(*trials: TrialRecord, space: SearchSpace = SPACE) -> Causes:
    record = study(space, trials)
    return causes(record, summarise(record))


def causes_of(*trials: TrialRecord) -> tuple[str, ...]:
    (only,) = found(GOOD, *trials).dominated
    return only.causes


@pytest.mark.parametrize(
    ("cause", "counted"),
    [
        ("short of memory", {"memory_pressure_percent": 40.0}),
        ("short of memory", {"major_faults_per_s": 200.0}),
        ("short of memory", {"memory_limit_hits_per_s": 30.0}),
        ("retransmission", {"retransmitted_percent": 1.5}),
        ("throttled", {"throttled_percent": 90.0}),
        ("more load", {"throughput_rps": 2000.0}),
        ("costly requests", {"cpu_ms_per_request": 2.0}),
    ],
)
def test_a_counter_that_is_worse_is_the_cause(cause: str, counted: dict[str, Any]) -> None:
    assert causes_of(trial(1, at(replicas=2), 2.0, 28.0, **counted))[0] == cause


def test_a_counter_that_is_as_bad_on_the_front_is_none() -> None:
    bad: dict[str, Any] = {"throttled_percent": 90.0}
    front = trial(0, at(), 1.0, 20.0, **bad)
    (only,) = found(front, trial(1, at(replicas=2), 2.0, 28.0, **bad)).dominated
    assert only.causes == (UNKNOWN,)


def test_requests_that_wait_while_the_host_is_busy_are_queueing() -> None:
    waiting = trial(1, at(cpu=1.0, concurrency=4), 4.0, 95.0)
    assert causes_of(waiting) == ("queueing",)
    # Waiting without a busy CPU is not, whatever else it may be.
    assert "queueing" not in causes_of(trial(1, at(cpu=1.0, concurrency=4), 4.0, 30.0))


def test_replicas_without_connections_are_idle() -> None:
    assert causes_of(trial(1, at(replicas=3), 1.5, 22.0, (500.0, 0.0, 0.0)))[0] == "idle replicas"


def test_limits_that_hardly_are_used_are_oversized() -> None:
    assert causes_of(trial(1, at(cpu=2.0), 1.5, 22.0)) == ("oversized",)
    # Half of one core and more is no sign of it.
    assert causes_of(trial(1, at(cpu=1.0), 1.5, 40.0)) == (UNKNOWN,)


def test_several_causes_hold_the_costly_one_first() -> None:
    assert causes_of(
        trial(1, at(cpu=2.0), 2.0, 22.0, throttled_percent=90.0, retransmitted_percent=2.0)
    ) == ("retransmission", "throttled", "oversized")


def test_what_is_as_good_within_the_noise_has_no_cause_but_what_is_spare() -> None:
    tie: dict[str, Any] = {"throttled_percent": 90.0}
    assert causes_of(trial(1, at(loss=1.0), 1.5, 21.0, **tie)) == ("throttled",)
    assert causes_of(trial(1, at(loss=1.0), 1.001, 20.01, **tie)) == (NOISE,)
    assert causes_of(trial(1, at(cpu=2.0), 1.001, 20.01, **tie)) == ("oversized",)


def test_without_counters_nothing_is_said() -> None:
    bare = measured(1, at(replicas=2), (2.0, 40.0))
    assert causes_of(bare) == (UNKNOWN,)


def test_a_scenario_is_compared_with_its_own_front_first() -> None:
    lossy = trial(1, at(loss=1.0), 8.0, 22.0, retransmitted_percent=1.0)
    worse = trial(2, at(loss=1.0, cpu=1.0), 9.0, 35.0, retransmitted_percent=1.0,
                  throttled_percent=70.0)  # fmt: skip
    by_number = {e.trial.number: e for e in found(GOOD, lossy, worse).dominated}
    assert by_number[1].causes == ("retransmission",)
    assert not by_number[1].within
    # Beside the other one with loss, loss explains nothing.
    assert by_number[2].causes[0] == "throttled"
    assert by_number[2].within
    assert [t.number for t in by_number[2].rivals] == [1]


def test_without_scenarios_all_are_compared() -> None:
    good = trial(0, {"cpu": 1.0, "replicas": 1}, 1.0, 20.0)
    bad = trial(1, {"cpu": 0.5, "replicas": 1}, 2.0, 21.0, throttled_percent=90.0)
    (only,) = found(good, bad, space=PLAIN).dominated
    assert only.causes == ("throttled",)
    assert only.within


def test_regions_are_the_values_that_a_cause_shares() -> None:
    slow = [
        trial(10 + i, at(0.5, replicas, c, loss), 5.0 + i, 45.0, throttled_percent=95.0)
        for i, (replicas, c, loss) in enumerate(
            (r, c, loss) for r in (1, 2, 3) for c in (1, 4) for loss in (0.0, 1.0)
        )
    ]
    fine = [
        trial(30 + i, at(cpu, r, c, loss), 1.0, 20.0)
        for i, (cpu, r, c, loss) in enumerate(
            (cpu, r, c, loss)
            for cpu in (1.0, 2.0) for r in (1, 2, 3) for c in (1, 4) for loss in (0.0, 1.0)
        )
    ]  # fmt: skip
    (group,) = found(*slow, *fine).groups
    assert group.cause == "throttled"
    assert group.region == "cpu 0.5 cores"
    assert [(e.counter, e.own, e.theirs) for e in group.evidence[:1]] == [
        ("throttled_percent", 95.0, 2.0)
    ]


def test_what_was_not_feasible_is_grouped_by_its_reason() -> None:
    everything = found(
        GOOD,
        infeasible(1, at(cpu=1.0), "out of memory", "replica 0 was killed"),
        infeasible(2, at(cpu=2.0), "out of memory"),
        infeasible(3, at(replicas=2), "never ready"),
        measured(4, at(replicas=3), (9.0, 9.0), violations={"error_rate <= 0.01": 0.2}),
    )
    groups = {g.cause: g for g in everything.groups}
    assert groups["out of memory"].trials == (1, 2)
    assert groups["out of memory"].detail == "replica 0 was killed"
    assert groups["never ready"].trials == (3,)
    assert groups["breaks error_rate <= 0.01"].trials == (4,)
    assert not everything.dominated


def test_an_empty_study_has_no_causes() -> None:
    nothing = found()
    assert nothing.known == 0
    assert nothing.groups == ()


def test_all_infeasible_leaves_no_front_to_compare_with() -> None:
    cut = measured(1, at(), (1.0, 2.0), cut_short="breaks a constraint")
    (only,) = found(cut).dominated
    assert only.causes == (UNKNOWN,)
    assert only.rivals == ()


@given(
    st.lists(
        st.tuples(st.sampled_from([0.5, 1.0, 2.0]), st.integers(1, 3), st.sampled_from([1, 4]),
                  st.floats(1, 50), st.floats(1, 90), st.floats(0, 100), st.booleans()),
        max_size=15,
    )
)  # fmt: skip
def test_every_configuration_is_on_the_front_or_in_one_group(
    some: list[tuple[float, int, int, float, float, float, bool]],
) -> None:
    trials = [
        trial(i, at(cpu, r, c), art, usage, throttled_percent=throttled)
        if served
        else infeasible(i, at(cpu, r, c), "out of memory")
        for i, (cpu, r, c, art, usage, throttled, served) in enumerate(some)
    ]
    record: StudyRecord = study(SPACE, trials)
    summary = summarise(record)
    everything = causes(record, summary)
    grouped = [n for g in everything.groups for n in g.trials]
    front = [t.number for t in summary.front]
    assert sorted([*grouped, *front]) == sorted(summary.pooled)
    assert all(g.cause in MEANINGS for g in everything.groups if g.end == "dominated")
    assert all(e.causes and set(e.causes) <= set(MEANINGS) for e in everything.dominated)


def test_counters_follow_from_the_metrics() -> None:
    seen = counters(
        trial(1, at(cpu=1.0, replicas=2), 4.0, 40.0, (900.0, 10.0), client_cpu_percent=20.0,
              foreign_percent=5.0, cpu_ms_per_request=0.5)
    )  # fmt: skip
    # Two host CPUs: 40 % of it are 0.8 cores, 20 % of a core are 10 % of it.
    assert seen["host_busy_percent"] == pytest.approx(40 + 10 + 5)
    assert seen["limit_cores"] == 2.0
    assert seen["limits_used_percent"] == pytest.approx(40.0)
    assert seen["waiting"] == pytest.approx(8.0)
    assert seen["idle_replicas"] == 1.0


def test_limits_that_were_read_back_are_believed_first() -> None:
    asked = {"limits": [{"cpu": 0.5, "memory_mib": 64.0}, {"cpu": 0.5, "memory_mib": 64.0}]}
    some = measured(1, at(cpu=2.0), (1.0, 1.0), counters=USUAL, deployment=asked)
    assert counters(some)["limit_cores"] == 1.0
    none = measured(1, at(cpu=2.0), (1.0, 1.0), deployment={"limits": [{"cpu": None}]})
    assert math.isnan(counters(none)["limit_cores"])


def test_medians_are_of_those_that_have_the_counter() -> None:
    with_, without = GOOD, measured(7, at(), (1.0, 20.0))
    of = medians([[with_, without], [], [without]])
    assert set(of) == set(COUNTERS)
    assert of["throttled_percent"][0] == 2.0
    assert math.isnan(of["throttled_percent"][1])
    assert math.isnan(of["throttled_percent"][2])


def shared(values: list[float], among: list[float]) -> str:
    x = Parameter("x", "float", "decision", 1.0, choices=(1.0, 2.0, 4.0, 8.0), unit="GB")
    some, all_ = ([Configuration.of({"x": v}) for v in vs] for vs in (values, among))
    return region(SearchSpace((x,)), some, all_)


def test_regions_in_words() -> None:
    even = [1.0, 2.0, 4.0, 8.0] * 5
    assert shared([1.0] * 4, even) == "x 1 GB"
    assert shared([1.0, 2.0] * 4, even) == "x 2 GB or less"
    assert shared([4.0, 8.0] * 4, even) == "x 4 GB or more"
    assert shared([2.0, 4.0] * 4, even) == "x 2 to 4 GB"
    assert shared(even, even) == ""
    assert shared([1.0, 1.0], even) == "", "two share a value by chance"
    assert shared([1.0] * 5, [1.0] * 20) == "", "nothing else was tried"


def test_noise_is_a_share_of_what_was_measured() -> None:
    trials = [measured(i, at(replicas=1 + i % 3, concurrency=1 + 3 * (i % 2)), (v, 10.0))
              for i, v in enumerate((1.0, 2.0, 4.0, 8.0, 16.0, 32.0))]  # fmt: skip
    record = study(SPACE, trials)
    share = noise(record, "art_ms").share
    assert share is not None
    assert 0 < share < 0.001
    # The same everywhere: there is no variance to take a share of.
    assert noise(record, "cpu_percent").share is None


def biggest(groups: tuple[Group, ...]) -> list[int]:
    return [len(g.trials) for g in groups]


def test_the_largest_group_comes_first() -> None:
    bad = [trial(1 + i, at(cpu, r), 5.0, 60.0, throttled_percent=90.0)
           for i, (cpu, r) in enumerate([(1.0, 1), (1.0, 2)])]  # fmt: skip
    other = trial(9, at(2.0, 3), 5.0, 60.0, retransmitted_percent=3.0)
    groups = found(GOOD, other, *bad).groups
    assert [g.cause for g in groups] == ["throttled", "retransmission"]
    assert biggest(groups) == [2, 1]
