"""`tune measure --set` where parameters depend on each other."""

from __future__ import annotations

import pytest

from tuner.errors import InputError
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.spec.settings import only_configuration, with_settings
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec

HOST = Host(cpus=2, memory_mib=8192)


def spec() -> StudySpec:
    return load_study(STUDY, HOST)


STUDY = "mnist_knobs"
SIZES = {"max_batch_size": 4, "batch_timeout_micros": 0, "num_batch_threads": 1}


def test_the_baseline_has_what_is_active() -> None:
    found = only_configuration(with_settings(spec(), [], HOST))
    assert found == load_study(STUDY, HOST).search_space.baseline()
    assert not SIZES.keys() & found.keys()


def test_what_becomes_active_has_its_default_unless_it_is_set() -> None:
    found = only_configuration(
        with_settings(spec(), ["enable_batching=true", "max_batch_size=128"], HOST)
    )
    assert {name: found[name] for name in SIZES} == {**SIZES, "max_batch_size": 128}
    assert all(parameter.when is None for parameter in with_settings(spec(), [], HOST).search_space)


def test_a_trial_s_own_values_are_kept_as_far_as_they_are_active() -> None:
    start = {**load_study(STUDY, HOST).search_space.baseline(), "enable_batching": True, **SIZES}
    trial = Configuration.of({**start, "max_batch_size": 64, "cpu": 2.0})
    assert only_configuration(with_settings(spec(), [], HOST, trial)) == trial
    off = only_configuration(with_settings(spec(), ["enable_batching=false"], HOST, trial))
    assert off["cpu"] == 2.0
    assert not SIZES.keys() & off.keys()


def test_setting_what_is_not_active_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError) as caught:
        with_settings(
            load_study(STUDY, HOST), ["max_batch_size=64", "num_batch_threads=2", "cpu=x"], HOST
        )
    lines = caught.value.message.splitlines()
    assert lines[:2] == [
        f"--set {name}: has no effect, because enable_batching == true does not hold"
        for name in ("max_batch_size", "num_batch_threads")
    ]
    assert "--set cpu" in lines[2]
