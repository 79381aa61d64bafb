from __future__ import annotations

import re

import pytest

from tuner.errors import InputError
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.spec.settings import DEFAULTS, only_configuration, study_of_model, with_settings
from tuner.spec.space import Configuration
from tuner.spec.study import LoadSpec

HOST = Host(cpus=2, memory_mib=8192)


def test_without_settings_a_model_has_the_defaults() -> None:
    spec = study_of_model("mnist", [], HOST)
    assert only_configuration(spec) == DEFAULTS
    assert spec.search_space.size() == 1
    assert spec.load == LoadSpec()
    assert spec.model.name == "mnist"


def test_settings_are_parameters_and_keys_of_load() -> None:
    settings = ["cpu=0.5", "replicas=2", "concurrency=8", "loss=1", "max_seconds=20"]
    spec = study_of_model("mnist", settings, HOST)
    asked = only_configuration(spec)
    assert (asked["cpu"], asked["replicas"], asked["concurrency"], asked["loss"]) == (0.5, 2, 8, 1)
    assert asked["memory"] == DEFAULTS["memory"]
    assert spec.load.max_seconds == 20


def test_the_last_of_two_settings_counts() -> None:
    assert only_configuration(study_of_model("mnist", ["cpu=1", "cpu=2"], HOST))["cpu"] == 2


def test_a_rate_makes_an_open_loop() -> None:
    spec = study_of_model("mnist", ["rate=100", "concurrency=32"], HOST)
    assert only_configuration(spec)["rate"] == 100
    assert spec.load.arrivals == "poisson"
    assert (
        study_of_model("mnist", ["rate=1", "arrivals=constant"], HOST).load.arrivals == "constant"
    )


def test_losses_of_both_directions_replace_the_common_one() -> None:
    asked = only_configuration(study_of_model("mnist", ["loss_in=1", "loss_out=0"], HOST))
    assert "loss" not in asked
    assert (asked["loss_in"], asked["loss_out"]) == (1, 0)


def test_a_longer_shortest_window_makes_the_longest_longer() -> None:
    load = study_of_model("mnist", ["min_seconds=30"], HOST).load
    assert (load.min_seconds, load.max_seconds) == (30, 30)


def test_a_study_gives_its_baseline_and_its_load() -> None:
    spec = with_settings(load_study("mnist", HOST), ["concurrency=3"], HOST)
    asked = only_configuration(spec)
    assert asked["concurrency"] == 3, "not a value that the study tries"
    assert asked["cpu"] == 1
    assert spec.serving.ready_seconds == 20


def test_a_trials_configuration_can_be_the_start() -> None:
    start = Configuration.of({**DEFAULTS, "cpu": 0.5})
    assert (
        only_configuration(with_settings(load_study("mnist", HOST), [], HOST, start))["cpu"] == 0.5
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["cpu"], r"--set cpu: expected name=value"),
        (["cup=1"], r"--set cup: unknown setting; did you mean 'cpu'\?"),
        (
            ["colour=red"],
            r"--set colour: unknown setting; the settings are concurrency, .*max_seconds",
        ),
        (["cpu=9"], r"--set cpu: expected at most the 2 cores of the host, found 9"),
        (["cpu=fast"], r"--set cpu: expected a number"),
        (["concurrency=1.5"], r"--set concurrency: expected a whole number, found 1.5"),
        (["loss=100"], r"--set loss: expected loss below 100, found 100"),
        (["jitter=1"], r"--set jitter: needs the parameter 'delay'"),
        (["precision=2"], r"--set precision: expected a number < 1, found 2"),
        (["arrivals=poisson"], r"--set arrivals: an open loop needs a rate"),
        (["rate=5", "arrivals=closed"], r"--set rate: a closed loop has no rate"),
    ],
)
def test_a_wrong_setting_is_named(settings: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        study_of_model("mnist", settings, HOST)
    assert re.search(message, caught.value.message)
    assert len(caught.value.message.splitlines()) == 1


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        study_of_model("mnist", ["cup=1", "loss=-1"], HOST)
    assert len(caught.value.message.splitlines()) == 2


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(InputError, match="mnits"):
        study_of_model("mnits", [], HOST)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("max_batch_size=x", "expected a whole number, found 'x'"),
        ("max_batch_size=1.5", "expected a whole number, found 1.5"),
        ("max_batch_size=true", "expected a whole number, found true"),
        ("max_batch_size=1e400", "expected a whole number, found inf"),
        ("max_batch_size=" + "9" * 23, "and 1e+15 in size, found 9999"),
    ],
)
def test_a_parameter_of_the_study_keeps_its_kind(setting: str, message: str) -> None:
    study = load_study("mnist_knobs", HOST)
    with pytest.raises(InputError, match="--set max_batch_size: expected") as caught:
        with_settings(study, ["enable_batching=true", setting], HOST)
    assert message in caught.value.message
