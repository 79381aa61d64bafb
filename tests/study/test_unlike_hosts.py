"""A study that says `hosts: any` learns how much more one kind of host takes than another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.study.small import FEASIBLE, opened, run, specification
from tests.study.worlds import World
from tuner.backends.backend import DeployingBackend
from tuner.backends.simulated import SimulatedDeployer, simulated_backend
from tuner.backends.simulated_host import Workload
from tuner.measure.record import StudyRecord
from tuner.results.in_words import hosts_compared
from tuner.spec.host import Host
from tuner.spec.study import StudySpec
from tuner.study.storage import BASELINE, study_record

SLOWER = 1.7
FIRST, SECOND = "EPYC, 4 CPUs", "Xeon, 4 CPUs"


def on(spec: StudySpec, model: str, slower: float = 1.0, seed: int = 0) -> DeployingBackend:
    """A computed host with a CPU of that model, on which everything takes so much longer."""
    usual = Workload()
    work = replace(
        usual, service_ms=slower * usual.service_ms, network_ms=slower * usual.network_ms
    )
    deployer = SimulatedDeployer(Host.this(), spec.seed + seed, work)

    class Told(World):
        def environment(self) -> Mapping[str, Any]:
            return {**super().environment(), "host": {"cpu": model, "cpus": 4}}

    return replace(simulated_backend(spec), deployer=Told(spec, lambda _usual, _label: deployer))


def specified(hosts: str = "any") -> StudySpec:
    return specification(FEASIBLE, ("seed: 3", f"hosts: {hosts}\nseed: 3"))


def on_both(spec: StudySpec, first: int = 6, second: int = 6) -> StudyRecord:
    run(spec, more=first, backend=on(spec, "EPYC"))
    run(spec, more=second, backend=on(spec, "Xeon", SLOWER, seed=1))
    return study_record(opened(spec))


def test_each_kind_of_host_measures_the_baseline_first() -> None:
    spec = specified()
    study = on_both(spec)
    defaults = spec.search_space.baseline()
    first_of = {kind: trials[0].configuration for kind, trials in study.host_kinds.items()}
    assert first_of == {FIRST: defaults, SECOND: defaults}
    marked = [t.number for t in opened(spec).trials if BASELINE in t.user_attrs]
    assert marked == [study.host_kinds[SECOND][0].number]


def test_a_study_on_one_kind_of_host_measures_no_further_baseline() -> None:
    spec = specified()
    for _ in range(2):
        run(spec, more=3, backend=on(spec, "EPYC"))
    assert not any(BASELINE in t.user_attrs for t in opened(spec).trials)


def test_values_are_stated_as_on_the_first_host() -> None:
    spec = specified()
    study = on_both(spec)
    truth = specification(FEASIBLE, name="truth")
    run(truth, more=12, backend=on(truth, "EPYC"))
    known = {
        t.configuration: t.metric("art_ms").value  # type: ignore[union-attr]
        for t in study_record(opened(truth)).trials
        if t.measurement
    }
    ratios, raw, held = [], [], 0
    for trial in study.host_kinds[SECOND]:
        assert trial.as_measured.measurement is not None
        stated = study.estimate(trial, "art_ms")
        assert stated is not None
        assert stated.low is not None
        assert stated.high is not None
        truly = known[trial.configuration]
        ratios.append(stated.value / truly)
        raw.append(trial.as_measured.measurement.metrics["art_ms"].value / truly)
        held += stated.low <= truly <= stated.high
    assert np.median(raw) > 1.4
    assert np.median(ratios) == pytest.approx(1.0, abs=0.15)
    assert held >= len(ratios) - 1


def test_the_study_can_be_stated_for_the_other_host() -> None:
    study = on_both(specified())
    there = study.on(SECOND)
    slow = study.host_kinds[SECOND][-1].number
    trial, same = study.trial(slow), there.trial(slow)
    assert trial is not None
    assert same is not None
    assert same.values == same.as_measured.values
    assert trial.values[0] < 0.8 * same.values[0]
    fast = study.host_kinds[FIRST][-1].number
    here, moved = study.trial(fast), there.trial(fast)
    assert here is not None
    assert moved is not None
    assert moved.values[0] > 1.3 * here.values[0]


def test_it_says_what_the_hosts_have_to_do_with_it() -> None:
    stated, learned = hosts_compared(on_both(specified()))
    assert stated == f"Values are stated for hosts of the kind {FIRST}."
    assert learned.startswith(f"On {SECOND} (trials ")
    assert "1 configuration that was measured on both" in learned


def test_what_is_stored_is_what_was_measured() -> None:
    study = on_both(specified())
    again = StudyRecord.from_json(study.to_json())
    assert [t.values for t in again.trials] == [t.values for t in study.trials]
    documents = [t.to_json() for t in study.trials]
    assert {d["host_kind"] for d in documents} == {FIRST, SECOND}
    assert all("host_effects" not in d for d in documents)


def test_trials_that_do_not_tell_their_host_count_as_measured_there() -> None:
    """Those of an earlier version."""
    spec = specified("alike")
    run(spec, more=3, backend=on(spec, "EPYC"))
    study = study_record(opened(spec))
    untold = [replace(t, host_kind="") for t in study.trials]
    for trials in (untold, [*untold[:2], study.trials[2]]):
        there = replace(study, trials=tuple(trials)).on(SECOND if trials is untold else FIRST)
        assert [t.values for t in there.trials] == [t.values for t in study.trials]


def test_alike_hosts_have_no_effects() -> None:
    spec = specified("alike")
    run(spec, more=3, backend=on(spec, "EPYC"))
    study = study_record(opened(spec))
    assert not any(t.host_effects for t in study.trials)
    assert list(hosts_compared(study)) == []
