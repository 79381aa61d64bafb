from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.study.bursts import burst, lost
from tests.study.bursts import study as record_of
from tests.study.small import FEASIBLE, opened, run, specification
from tests.study.worlds import World
from tuner.backends.backend import Backend
from tuner.backends.simulated import SimulatedDeployer, simulated_backend
from tuner.backends.simulated_host import Workload
from tuner.deploy.protocol import Deployer, Deployment
from tuner.measure.record import StudyRecord
from tuner.results.confirmation import confirmation_candidates, confirmed, next_to_confirm
from tuner.spec.host import Host
from tuner.spec.load import results_directory
from tuner.spec.study import DeploymentSpec, StudySpec
from tuner.study.loop import goal, run_study
from tuner.study.queue import (
    candidate,
    confirmation_is_due,
    queue_confirmation,
    queue_rounds,
    waiting,
)
from tuner.study.storage import BASELINE, CONFIRMS, records, study_record

UNSTABLE = {"cpu": 0.5, "replicas": 2}

SHARE = ("sampler: tpe, cut_short: false, confirm: 0", "sampler: random, confirm: 0.25")


def confirms(spec: StudySpec) -> list[int]:
    """Which trials of a study measured a candidate again."""
    return [t.number for t in opened(spec).get_trials() if CONFIRMS in t.user_attrs]


def test_a_share_of_the_budget_is_spent_in_its_later_half() -> None:
    spec = specification(FEASIBLE, SHARE, ("trials: 8", "trials: 12"))
    study = run(spec)
    again = confirms(spec)
    assert len(records(study)) == 12, "they count in the budget"
    assert len(again) == 3
    assert min(again) >= 6
    assert max(again) - min(again) >= 3, "spread, not in a row"
    trials = {t.number: t for t in study.get_trials()}
    for number in again:
        of = trials[number].user_attrs[CONFIRMS]
        assert trials[number].params == trials[of].params
        assert of < number


def test_no_share_or_a_grid_confirms_nothing() -> None:
    none = specification(FEASIBLE)
    run(none)
    assert confirms(none) == []
    spec = specification(FEASIBLE, SHARE)
    study = opened(spec, "other")
    done = [burst(i, 5.0 + i, 10.0 - i, cpu=cpu) for i, cpu in enumerate((0.25, 0.5, 1.0, 2.0) * 2)]
    grid = replace(spec, search=replace(spec.search, sampler="grid"))
    assert not confirmation_is_due(grid, study, done)
    assert confirmation_is_due(spec, study, done)
    assert queue_confirmation(spec, study, candidate(spec, done))
    assert not confirmation_is_due(spec, study, done), "while one waits"


def test_next_is_what_is_recommended_then_the_most_doubtful_of_those_measured_least() -> None:
    front = [
        burst(0, 1.0, 10.0, cpu=0.25),
        burst(1, 10.0, 1.0, cpu=0.5),
        burst(2, 10.4, 1.03, cpu=1.0, replicas=2),
        burst(3, 90.0, 90.0, cpu=2.0),
    ]
    found = next_to_confirm(record_of(*front))
    assert found is not None
    assert found.number == 1, "it is recommended on a single burst"
    found = next_to_confirm(record_of(*front, burst(4, 10.0, 1.0, cpu=0.5)))
    assert found is not None
    assert found.number == 2
    once = record_of(burst(0, 1.0, 1.0), burst(1, 1.0, 1.0), burst(2, 1.01, 1.01, cpu=2.0))
    found = next_to_confirm(once)
    assert found is not None
    assert found.number == 2
    assert next_to_confirm(record_of(lost(0, {}))) is None


def test_candidates_are_fronts_and_near_misses_without_the_baseline() -> None:
    record = record_of(
        burst(0, 1.0, 1.0),
        burst(1, 0.5, 10.0, cpu=0.5),
        burst(2, 10.0, 0.5, cpu=0.25),
        burst(3, 10.3, 0.52, cpu=2.0),
        burst(4, 500.0, 500.0, replicas=4),
        burst(5, 3.0, 3.0, concurrency=4, replicas=2),
    )
    assert [t.number for t in confirmation_candidates(record, 9)] == [1, 2, 3, 5]
    assert [t.number for t in confirmation_candidates(record, 2)] == [1, 2]


def test_rounds_hold_each_candidate_and_the_baseline_once() -> None:
    spec = specification(FEASIBLE)
    study = run(spec)
    chosen = confirmation_candidates(study_record(study), 3)
    queue_rounds(spec, study, chosen, 4)
    queued = [t.user_attrs for t in waiting(study)]
    assert len(queued) == 16
    orders = set()
    for turn in range(4):
        part = queued[4 * turn : 4 * turn + 4]
        assert sum(BASELINE in a for a in part) == 1
        assert sorted(a[CONFIRMS] for a in part if CONFIRMS in a) == sorted(
            t.number for t in chosen
        )
        orders.add(tuple(a.get(CONFIRMS) for a in part))
    assert len(orders) > 1


def wild(spec: StudySpec, which: DeploymentSpec) -> Backend:
    """A host on which replicas like `which` are fast in the first burst, then slow and fast."""
    hosts = [_host(spec, factor) for factor in (0.3, 1.2)]
    turns: Counter[str] = Counter()
    usual = simulated_backend(spec)

    class Wild(World):
        @contextmanager
        def deploy(self, asked: DeploymentSpec, label: str) -> Iterator[Deployment]:
            if (asked.cpu, asked.replicas, asked.memory_mib) == (
                which.cpu,
                which.replicas,
                which.memory_mib,
            ):
                host = hosts[turns["wild"] % 2]
                turns["wild"] += 1
                with host.deploy(asked, label) as deployment:
                    yield deployment
            else:
                with super().deploy(asked, label) as deployment:
                    yield deployment

    return replace(usual, deployer=Wild(spec, lambda deployer, _: deployer))


def _host(spec: StudySpec, factor: float) -> Deployer:
    one = Workload()
    return SimulatedDeployer(
        Host.this(),
        spec.seed,
        replace(one, service_ms=factor * one.service_ms, network_ms=factor * one.network_ms),
    )


@pytest.fixture
def planted() -> tuple[StudySpec, StudyRecord, StudyRecord, list[int]]:
    """A study with an unstable configuration, before and after it was confirmed; the candidates."""
    spec = specification(
        FEASIBLE,
        ("sampler: tpe", "sampler: random"),
        ("trials: 8", "trials: 12"),
    )
    which = DeploymentSpec(spec.model, spec.serving, 2, 0.5, 256)
    backend = wild(spec, which)
    study = run(spec, backend=backend)
    before = study_record(study)
    chosen = confirmation_candidates(before, 6)
    queue_rounds(spec, study, chosen, 4)
    until = goal(spec, study, None, 4 * (len(chosen) + 1))
    run_study(spec, study, backend, results_directory(spec), until)
    return spec, before, study_record(study), [t.number for t in chosen]


def test_an_unstable_configuration_is_demoted_with_the_reason(
    planted: tuple[StudySpec, StudyRecord, StudyRecord, list[int]],
) -> None:
    _, before, after, numbers = planted
    chosen = [t for n in numbers if (t := before.trial(n)) is not None]
    found = confirmed(before, after, chosen)
    assert len(found.trials) == 4 * (len(chosen) + 1)
    assert found.baseline is not None
    assert found.baseline.bursts == 5
    unstable = [
        c
        for c in found.candidates
        if (c.configuration["cpu"], c.configuration["replicas"]) == (0.5, 2)
    ]
    assert unstable
    for one in unstable:
        assert "its bursts differ by" in one.reason
        assert one.after == 0
        assert one.status in {"demoted", "near"}
    assert any(one.status == "demoted" for one in unstable)
    assert any(t.configuration == unstable[0].configuration for c in found.changes for t in c.lost)
    steady = [c for c in found.candidates if c not in unstable]
    assert steady
    assert all("its bursts differ" not in c.reason for c in steady)
    for one in steady:
        assert one.bursts == 5
        assert all(math.isfinite(e.value) for e in one.estimates)


def test_a_confirmed_point_says_who_beats_it() -> None:
    before = record_of(burst(0, 5.0, 5.0), burst(1, 3.3, 3.3, cpu=0.5), burst(2, 3.6, 3.6, cpu=2.0))
    again = [burst(3 + i, v, v, cpu=0.5) for i, v in enumerate((4.05, 4.1, 4.0))]
    again += [burst(6 + i, v, v, cpu=2.0) for i, v in enumerate((3.5, 3.6, 3.7))]
    after = record_of(*before.trials, *again)
    chosen = [before.trials[1], before.trials[2]]
    found = confirmed(before, after, chosen)
    lucky, honest = found.candidates
    assert (lucky.status, honest.status) == ("demoted", "joined")
    assert lucky.reason.startswith(f"P(front) {lucky.after:.2f}")
    assert lucky.after < 0.5 < lucky.before
    assert "trial 2 is better by" in lucky.reason
    assert honest.reason == ""
    for change in found.changes:
        assert [t.number for t in change.lost] == [1]
        assert [t.number for t in change.gained] == [2]
    assert {c.scenario and dict(c.scenario)["concurrency"] for c in found.changes} == {None, 1}


def test_what_is_off_the_front_by_less_than_can_be_told_is_tied() -> None:
    before = record_of(
        burst(0, 5.0, 5.0), burst(1, 3.59, 3.59, cpu=0.5), burst(2, 3.6, 3.6, cpu=2.0)
    )
    again = [burst(3 + i, 3.62, 3.62, cpu=0.5) for i in range(3)]
    after = record_of(*before.trials, *again)
    (found,) = confirmed(before, after, [before.trials[1]]).candidates
    assert found.status == "tied"
    assert found.after > 0.5
    assert found.reason.endswith("less than can be told")
