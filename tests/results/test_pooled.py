from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.study.bursts import burst, lost, study
from tuner.measure.link import LinkFunction
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord, TrialRecord, stated_trials
from tuner.measure.repeatability import RepeatedBursts
from tuner.results.pooled import (
    ASSUMED_BETWEEN,
    Pooled,
    between_bursts,
    chances_of,
    pooled,
    standard_error,
)
from tuner.results.summary import summarise
from tuner.spec.study import Objective


def steady(first: int) -> list[TrialRecord]:
    """RepeatedBursts of three configurations that agree to 2 %."""
    found = []
    for i, replicas in enumerate((2, 3, 4)):
        for j, wobble in enumerate((0.98, 1.0, 1.02)):
            number = first + 3 * i + j
            found.append(burst(number, 40 * wobble, 90 / wobble, replicas=replicas))
    return found


def of(record: StudyRecord, number: int) -> Pooled:
    return next(p for p in pooled(record) if number in {t.number for t in p.trials})


def test_bursts_of_a_configuration_are_averaged() -> None:
    one = of(study(burst(0, 4.0, 10.0), burst(1, 9.0, 10.0), burst(2, 6.1, 10.0)), 0)
    assert one.values == pytest.approx(((4 * 9 * 6.1) ** (1 / 3), 10.0))
    assert one.representative.number == 2, "the one nearest to the average"
    assert one.sd[1] == pytest.approx(ASSUMED_BETWEEN / math.sqrt(3), rel=0.01)
    found = one.estimate(0)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


@given(st.floats(0.001, 10_000), st.integers(2, 6))
def test_equal_values_average_to_that_value_to_the_last_bit(cpu: float, count: int) -> None:
    one = pooled(study(*(burst(i, 4.0 + i, cpu) for i in range(count))))[0]
    assert one.values[1] == cpu


@given(st.lists(st.floats(1, 100), min_size=1, max_size=6))
def test_an_average_is_among_its_bursts(arts: list[float]) -> None:
    trials = [burst(i, art, 10.0) for i, art in enumerate(arts)]
    one = pooled(study(*trials))[0]
    assert min(arts) * 0.999 <= one.values[0] <= max(arts) * 1.001
    assert one.representative in trials


def test_it_is_known_the_better_the_more_bursts_there_are() -> None:
    three = of(study(*(burst(i, 5.0, 10.0) for i in range(3)), *steady(10)), 0)
    one = of(study(burst(0, 5.0, 10.0), *steady(10)), 0)
    assert (three.sd < one.sd).all()


def test_a_precise_burst_counts_for_more() -> None:
    sure, vague = burst(0, 4.0, 10.0), burst(1, 8.0, 10.0)
    assert vague.measurement is not None
    wide = replace(vague.measurement.metrics["art_ms"], low=1.0, high=15.0)
    metrics = {**vague.measurement.metrics, "art_ms": wide}
    vague = replace(vague, measurement=replace(vague.measurement, metrics=metrics))
    assert pooled(study(sure, vague))[0].values[0] == pytest.approx(4.0, rel=0.01)


def test_a_burst_that_was_cut_short_counts_for_nothing() -> None:
    short = replace(burst(1, 1.0, 1.0), cut_short="surely dominated")
    assert of(study(burst(0, 4.0, 10.0), short), 0).values == (4.0, 10.0)
    alone = of(study(short), 1)
    assert not alone.eligible
    assert summarise(study(short)).front == ()


def test_what_failed_once_is_on_no_front() -> None:
    good, bad = burst(0, 1.0, 1.0), lost(1, {})
    one = of(study(good, bad), 0)
    assert one.infeasible == "out of memory in 1 of 2 trials"
    assert summarise(study(good, bad, burst(2, 5.0, 5.0, cpu=2.0))).front[0].number == 2


def test_a_constraint_must_hold_on_average() -> None:
    above, below = burst(0, 1.0, 1.0, violation=0.002), burst(1, 1.0, 1.0, violation=-0.008)
    assert of(study(above, below), 0).eligible
    assert of(study(above), 0).infeasible == "breaks error_rate <= 0.01"


def test_a_lucky_burst_does_not_stay_on_the_front() -> None:
    lucky = burst(0, 3.0, 10.0, cpu=0.5)
    other = burst(1, 4.0, 9.9, cpu=2.0)
    assert [t.number for t in summarise(study(lucky, other)).front] == [0, 1]
    found = summarise(study(lucky, other, burst(2, 6.0, 10.0, cpu=0.5)))
    assert [t.number for t in found.front] == [1]


def test_bursts_that_do_not_agree_make_a_configuration_unstable() -> None:
    wild = [burst(i, art, 10.0, cpu=0.5) for i, art in enumerate((4.0, 2.2, 5.0))]
    record = study(*wild, *steady(10))
    one = of(record, 0)
    assert one.unstable.startswith("its bursts differ by 42 % in ART, those of other")
    assert not one.eligible
    summary = summarise(record)
    assert 0 not in {t.number for t in summary.front}
    assert [p.configuration for p in summary.unstable] == [wild[0].configuration]


def test_nothing_is_unstable_before_others_were_repeated_or_where_all_vary_alike() -> None:
    wild = [burst(i, art, 10.0, cpu=0.5) for i, art in enumerate((4.0, 2.2, 5.0))]
    assert of(study(*wild), 0).unstable == ""
    rough = [
        burst(10 + 3 * i + j, 40 * wobble, 90.0, replicas=replicas)
        for i, replicas in enumerate((2, 3, 4))
        for j, wobble in enumerate((0.6, 1.0, 1.5))
    ]
    assert of(study(*wild, *rough), 0).unstable == ""


def test_a_share_near_zero_is_judged_as_a_share() -> None:
    """0.5, 1 and 1.8 % differ by a factor of 3.6, and by next to nothing of the whole."""

    def throttled(trial: TrialRecord, share: float) -> TrialRecord:
        assert trial.measurement is not None
        measured = trial.measurement.having("throttled_percent", share)
        return replace(trial, values=(trial.values[0], share), measurement=measured)

    shares = (0.5, 1.0, 1.8)
    few = [throttled(burst(i, 5.0, 0.0, cpu=0.5), share) for i, share in enumerate(shares)]
    others = [throttled(trial, 20.0 + trial.number % 3) for trial in steady(10)]
    objectives = (study().objectives[0], Objective("throttled_percent", "minimize"))
    record = replace(study(*few, *others), objectives=objectives)
    assert of(record, 0).unstable == ""
    many = [throttled(t, share) for t, share in zip(few, (5.0, 40.0, 90.0), strict=True)]
    unstable = of(replace(study(*many, *others), objectives=objectives), 0).unstable
    assert "in throttled" in unstable


def test_chances_are_those_of_what_may_be_on_a_front() -> None:
    record = study(
        burst(0, 1.0, 10.0, cpu=0.25),
        burst(1, 10.0, 1.0, cpu=0.5),
        burst(2, 20.0, 20.0, cpu=1.0),
        burst(3, 3.0, 3.0, cpu=2.0, violation=1.0),
        burst(4, 1.03, 10.3, replicas=2),
    )
    chances = chances_of(pooled(record))
    assert chances[0] > 0.9
    assert chances[1:4].tolist() == [1.0, 0.0, 0.0]
    assert 0.3 < chances[4] < 0.95, "behind by 3 %, and known to 5 %"


def test_bursts_are_collected_once_however_many_configurations_are_doubtful(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collected: list[int] = []
    of_all = RepeatedBursts.of

    def counted(repeats: Iterable[Sequence[Estimate]], *link: LinkFunction) -> RepeatedBursts:
        collected.append(1)
        return of_all(repeats, *link)

    monkeypatch.setattr(RepeatedBursts, "of", counted)
    doubtful = [
        burst(100 + 2 * i + j, art, 50.0, replicas=5 + i)
        for i in range(6)
        for j, art in enumerate((5.0, 20.0))
    ]
    record = study(*steady(0), *doubtful)
    between = len(record.repeatability)
    collected.clear()
    found = pooled(record)
    assert between > 0
    assert len([p for p in found if len(p.bursts) > 1]) == 9
    assert len(collected) <= len(record.objectives)


def on_hosts(*kinds: str, cpu: float = 1.0) -> list[TrialRecord]:
    """A burst on each; those of B take 1.5 times as long."""
    arts = {"A": 4.0, "B": 6.0}
    return [
        replace(burst(i, arts[k] * (1 + 0.01 * (i % 3)), 10.0, cpu=cpu), host_kind=k)
        for i, k in enumerate(kinds)
    ]


def test_what_a_kind_of_host_adds_does_not_average_out() -> None:
    """Compared with generalised least squares of the whole covariance."""
    both = on_hosts("A", "B")
    trials = [*both, *on_hosts(*"AABBBB", cpu=0.5), *on_hosts(*"BBBBBBBB", cpu=2.0)]
    trials = [replace(t, number=n) for n, t in enumerate(trials)]
    record = study(*stated_trials(trials, ("art_ms", "cpu_percent")))
    error = record.trials[1].host_effects["art_ms"].error
    assert error > 0.03
    _, mixed, elsewhere = pooled(record)
    assert elsewhere.sd[0] > error
    assert elsewhere.sd[0] < math.hypot(error, ASSUMED_BETWEEN / math.sqrt(8)) * 1.1

    between = between_bursts(record, "art_ms", mixed.configuration)
    there = np.array([t.host_kind == "B" for t in mixed.bursts])
    stated = np.array([standard_error(t.metric("art_ms"), "art_ms") for t in mixed.bursts])
    covariance = np.diag(stated**2 - there * error**2 + between**2)
    covariance += error**2 * np.outer(there, there)
    inverse = np.linalg.inv(covariance)
    logs = np.log([t.values[0] for t in mixed.bursts])
    assert mixed.mean[0] == pytest.approx(float(inverse.sum(axis=0) @ logs / inverse.sum()))
    assert mixed.sd[0] == pytest.approx(inverse.sum() ** -0.5)
    assert mixed.sd[0] < error
