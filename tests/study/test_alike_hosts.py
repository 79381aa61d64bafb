"""A run whose model, image or CPUs are not those of the study's trials is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import TrialState

from tests.study.small import FEASIBLE, opened, run, specification
from tests.study.worlds import World
from tuner.backends.backend import DeployingBackend
from tuner.backends.simulated import simulated_backend
from tuner.errors import InputError
from tuner.spec.study import StudySpec
from tuner.study.loop import Event, Started
from tuner.study.storage import records

USUAL: Mapping[str, Any] = {
    "model_checksum": "aa11",
    "image": "tune-server:1",
    "host": {"cpu": "EPYC", "cpus": 4, "name": "a"},
}


def on(spec: StudySpec, changed: Mapping[str, Any]) -> DeployingBackend:
    """A computed host that says this of itself."""

    class Told(World):
        def environment(self) -> Mapping[str, Any]:
            return {**super().environment(), **USUAL, **changed}

    return replace(simulated_backend(spec), deployer=Told(spec, lambda usual, _: usual))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model_checksum": "bb22"}, "model checksum was aa11, is bb22"),
        ({"image": "tune-server:2"}, "image was tune-server:1, is tune-server:2"),
        (
            {"images": {"a": {"image": "x:2"}, "b": {"image": "y:1"}}, "model_checksum": "bb22"},
            "model checksum was aa11, is bb22; images was x:1, y:1, is x:2, y:1",
        ),
        ({"host": {"cpu": "Xeon", "cpus": 4}}, "CPU model was EPYC, is Xeon"),
        ({"host": {"cpu": "EPYC", "cpus": 8}}, "CPUs was 4, is 8"),
    ],
)
def test_what_differs_is_named_before_anything_is_measured(
    changed: Mapping[str, Any], said: str
) -> None:
    spec = specification(FEASIBLE)
    first = {"images": {"a": {"image": "x:1"}, "b": {"image": "y:1"}}} if "images" in said else {}
    run(spec, more=2, backend=on(spec, first))
    with pytest.raises(InputError) as caught:
        run(spec, more=2, backend=on(spec, changed))
    assert caught.value.message.endswith(said)
    assert ("hosts: any" in caught.value.mend) is ("CPU" in said)
    assert len(opened(spec).get_trials()) == len(records(opened(spec))) == 2


def test_the_same_on_another_host_is_taken_and_so_is_what_is_not_told() -> None:
    spec = specification(FEASIBLE)
    for changed in ({}, {"host": {"cpu": "EPYC", "cpus": 4, "name": "b"}}, {"host": {"cpus": 4}}):
        run(spec, more=1, backend=on(spec, changed))
    assert len(records(opened(spec))) == 3


def test_any_hosts_may_take_part_where_the_study_says_so_but_no_other_model() -> None:
    spec = specification(FEASIBLE, ("seed: 3", "hosts: any\nseed: 3"))
    run(spec, more=1, backend=on(spec, {}))
    other = {"host": {"cpu": "Xeon", "cpus": 8}}
    run(spec, more=1, backend=on(spec, other))
    with pytest.raises(InputError, match="model checksum was aa11, is bb22"):
        run(spec, more=1, backend=on(spec, {**other, "model_checksum": "bb22"}))


def test_of_two_that_begin_at_once_the_second_is_refused_when_it_tells() -> None:
    spec = specification(FEASIBLE)

    def first(happened: Event) -> None:
        if isinstance(happened, Started):
            run(spec, more=2, backend=on(spec, {}))  # of which one runs already

    with pytest.raises(InputError, match="model checksum was aa11, is bb22"):
        run(spec, more=3, backend=on(spec, {"model_checksum": "bb22"}), observe=first)
    study = opened(spec)
    assert [t.state for t in study.get_trials()] == [
        TrialState.FAIL,
        TrialState.COMPLETE,
        TrialState.WAITING,
    ]
    assert len(records(run(spec, backend=on(spec, {})))) == 8
